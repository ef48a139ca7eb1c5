//! A plain connection that sends texts and receives messages. It writes the changes that the measured
//! clients follow, and measures the floor with which the clients are compared.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use ovsdb::protocol::{Framer, Limits, Message, write_reply};

use crate::Result;

/// A blocking connection to a Unix socket.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    framer: Framer,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When the socket cannot be connected to, for instance because no server listens on it.
    pub fn new(socket: &Path) -> Result<Self> {
        Ok(Self {
            stream: UnixStream::connect(socket)?,
            framer: Framer::new(Limits::default()),
            buffer: Vec::new(),
        })
    }

    /// Sets the time that each read from the socket may take.
    ///
    /// # Errors
    /// When the limit is zero.
    pub fn limit_waiting(&self, limit: Duration) -> Result {
        Ok(self.stream.set_read_timeout(Some(limit))?)
    }

    /// Sends a request with the id 1, and returns the reply.
    ///
    /// # Errors
    /// When the connection fails, a message is malformed, or the server refuses the request or one of its
    /// operations.
    pub fn call(&mut self, method: &str, params: &str) -> Result<String> {
        let request = format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
        self.stream.write_all(request.as_bytes())?;
        loop {
            let text = self.message()?;
            match Message::parse(&text)? {
                Message::Reply {
                    outcome: Ok(result),
                    ..
                } => {
                    let result = result.text;
                    if method == "transact" && result.contains(r#""error":""#) {
                        return Err(format!("{params:.200}: {result:.2000}").into());
                    }
                    return Ok(text);
                }
                Message::Reply {
                    outcome: Err(error),
                    ..
                } => return Err(error.text.into()),
                Message::Request { id, params, .. } => {
                    let mut reply = String::new();
                    write_reply(&mut reply, id.text, params.text);
                    self.stream.write_all(reply.as_bytes())?;
                }
                Message::Notification { .. } => {}
            }
        }
    }

    /// Sends a request, and reads and drops this many bytes.
    ///
    /// # Errors
    /// When the connection fails, or ends too early.
    pub fn read_bytes(&mut self, request: &str, count: usize) -> Result {
        self.stream.write_all(request.as_bytes())?;
        let mut buffer = vec![0; 64 << 10];
        let mut rest = count;
        while rest > 0 {
            match self.stream.read(&mut buffer)? {
                0 => return Err("the server closed the connection".into()),
                read => rest = rest.saturating_sub(read),
            }
        }
        Ok(())
    }

    /// Sends a request, reads the reply and drops it. Returns its length.
    ///
    /// # Errors
    /// When the connection fails, or ends too early.
    pub fn skip_reply(&mut self, method: &str, params: &str) -> Result<usize> {
        let request = format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
        self.stream.write_all(request.as_bytes())?;
        let mut block = vec![0; 64 << 10];
        let (mut length, mut depth) = (0, 0_usize);
        let (mut in_string, mut escaped) = (false, false);
        loop {
            let read = match self.stream.read(&mut block)? {
                0 => return Err("the server closed the connection".into()),
                read => read,
            };
            for byte in &block[..read] {
                length += 1;
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_string => escaped = true,
                    b'"' => in_string = !in_string,
                    _ if in_string => {}
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth == 1 => return Ok(length),
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
            }
        }
    }

    /// Sends the reply to an inactivity probe in advance, because [`drop_received`](Self::drop_received)
    /// does not answer probes.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn keep_alive(&mut self) -> Result {
        let reply = r#"{"id":"echo","result":[],"error":null}"#;
        Ok(self.stream.write_all(reply.as_bytes())?)
    }

    /// Reads and drops what has arrived. Returns the number of bytes.
    ///
    /// # Errors
    /// When the connection fails, or ends too early.
    pub fn drop_received(&mut self) -> Result<usize> {
        let mut block = [0; 16 << 10];
        let mut length = 0;
        self.stream.set_nonblocking(true)?;
        let outcome = loop {
            match self.stream.read(&mut block) {
                Ok(0) => break Err("the server closed the connection".into()),
                Ok(read) => length += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(length),
                Err(error) => break Err(error.into()),
            }
        };
        self.stream.set_nonblocking(false)?;
        outcome
    }

    fn message(&mut self) -> Result<String> {
        let mut block = vec![0; 64 << 10];
        loop {
            if let Some(range) = self.framer.find(&self.buffer)? {
                let message = String::from_utf8(self.buffer[range.clone()].to_vec())?;
                self.buffer.drain(..range.end);
                return Ok(message);
            }
            match self.stream.read(&mut block)? {
                0 => return Err("the server closed the connection".into()),
                read => self.buffer.extend_from_slice(&block[..read]),
            }
        }
    }
}
