//! A connection that does nothing but send texts and receive messages: what feeds the clients under
//! measurement, and the floor that they are compared with.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

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
    /// When nobody listens.
    pub fn new(socket: &Path) -> Result<Self> {
        Ok(Self {
            stream: UnixStream::connect(socket)?,
            framer: Framer::new(Limits::default()),
            buffer: Vec::new(),
        })
    }

    /// Sends a request, with the id 1, and returns the message that answers it.
    ///
    /// # Errors
    /// When the connection fails, or the server refuses the request or one of its operations.
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
                    let end = &result.text[..result.text.len().min(2000)];
                    if method == "transact" && end.contains(r#""error""#) {
                        return Err(format!("{params:.200}: {end}").into());
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

    /// Sends a request and reads this many bytes, whatever they are.
    ///
    /// # Errors
    /// When the connection fails or ends before.
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
