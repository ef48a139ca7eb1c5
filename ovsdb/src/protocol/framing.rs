//! Finds where a message ends.
//!
//! OVSDB messages follow each other without a delimiter (RFC 7047 section 4). The framer follows
//! brackets and strings, and remembers its position: it reads each byte once, however the stream is
//! cut into reads.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::value::json::{MAX_DEPTH, plain_end};

/// Limits of the memory that a peer can make this side use.
///
/// ```
/// use ovsdb::protocol::Limits;
///
/// let limits = Limits::new().message_bytes(64 << 20);
/// assert_eq!(limits.depth, Limits::default().depth);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message, in bytes; the initial reply of a monitor is one message.
    pub message_bytes: usize,
    /// The deepest nesting.
    pub depth: u32,
}

impl Default for Limits {
    /// 1 GiB and a depth of 1,000.
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// 1 GiB and a depth of 1,000.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            message_bytes: 1 << 30,
            depth: MAX_DEPTH,
        }
    }

    /// The same limits with another longest message.
    #[must_use]
    pub const fn message_bytes(mut self, bytes: usize) -> Self {
        self.message_bytes = bytes;
        self
    }

    /// The same limits with another deepest nesting.
    #[must_use]
    pub const fn depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }
}

/// Why a stream cannot be cut into messages. The connection cannot be used any more.
///
/// ```
/// use ovsdb::protocol::{FrameError, Framer, Limits};
///
/// let mut framer = Framer::new(Limits::new().depth(2));
/// assert!(matches!(framer.find(b"[[["), Err(FrameError::TooDeep(2))));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The message does not start with a bracket.
    #[error("a message starts with byte {0:#04x}, not with `{{` or `[`")]
    NotAMessage(u8),
    /// The message is longer than the limit.
    #[error("a message is longer than {0} bytes")]
    TooLong(usize),
    /// The message is nested deeper than the limit.
    #[error("a message is nested deeper than {0}")]
    TooDeep(u32),
    /// The stream ended within a message.
    #[error("the stream ended within a message")]
    Truncated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a message.
    Between,
    /// Within a message, outside strings.
    Plain,
    /// Within a string.
    String,
    /// After a backslash in a string.
    Escape,
}

/// Finds the ends of messages in a growing buffer.
///
/// ```
/// use ovsdb::protocol::{Framer, Limits};
///
/// let mut framer = Framer::new(Limits::default());
/// let stream = br#" {"id":1} ["#;
/// assert_eq!(framer.find(&stream[..5]).unwrap(), None);
/// assert_eq!(framer.find(stream).unwrap(), Some(1..9));
/// // The caller removes the message from the front of the buffer, and continues with the rest.
/// assert_eq!(framer.find(&stream[9..]).unwrap(), None);
/// ```
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    state: State,
    depth: u32,
    /// Where the message starts; blanks before it are not part of it.
    start: usize,
    /// How many bytes of the buffer were read.
    seen: usize,
}

impl Framer {
    /// A framer at the start of a stream.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Between,
            depth: 0,
            start: 0,
            seen: 0,
        }
    }

    /// Where the first message in `buffer` is; `None` while it has not ended.
    ///
    /// After `None`, pass the same bytes followed by more. After a message, pass the bytes after it.
    ///
    /// # Errors
    /// When the bytes are not a message, or exceed the limits.
    pub fn find(&mut self, buffer: &[u8]) -> Result<Option<Range<usize>>, FrameError> {
        let mut at = self.seen;
        while let Some(&byte) = buffer.get(at) {
            match self.state {
                State::Plain => match byte {
                    b'"' => self.state = State::String,
                    b'{' | b'[' => {
                        if self.depth >= self.limits.depth {
                            return Err(FrameError::TooDeep(self.limits.depth));
                        }
                        self.depth += 1;
                    }
                    b'}' | b']' => {
                        self.depth -= 1;
                        if self.depth == 0 {
                            let message = self.start..at + 1;
                            *self = Self::new(self.limits);
                            return self.check(message.len()).map(|()| Some(message));
                        }
                    }
                    _ => {}
                },
                State::String => {
                    at = plain_end(buffer, at);
                    match buffer.get(at) {
                        Some(b'"') => self.state = State::Plain,
                        Some(b'\\') => self.state = State::Escape,
                        // A control character, which the decoder of the message will refuse.
                        Some(_) => {}
                        None => break,
                    }
                }
                State::Escape => self.state = State::String,
                State::Between => match byte {
                    b'{' | b'[' => {
                        self.start = at;
                        self.depth = 1;
                        self.state = State::Plain;
                    }
                    b' ' | b'\t' | b'\n' | b'\r' => self.start = at + 1,
                    other => return Err(FrameError::NotAMessage(other)),
                },
            }
            at += 1;
        }
        self.seen = at;
        self.check(at - self.start)?;
        Ok(None)
    }

    /// Removes the first whole message from the front of `buffer`, with the blanks before it; `None`
    /// while it has not ended. More bytes may be appended to `buffer` between two calls. The message is
    /// returned as it arrived; only its brackets were counted.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use ovsdb::protocol::{Framer, Limits};
    ///
    /// let (mut framer, mut buffer) = (Framer::new(Limits::default()), BytesMut::from("[1] [2"));
    /// assert_eq!(framer.take(&mut buffer)?.as_deref(), Some(&b"[1]"[..]));
    /// assert_eq!(framer.take(&mut buffer)?, None);
    /// buffer.extend_from_slice(b"]");
    /// assert_eq!(framer.take(&mut buffer)?.as_deref(), Some(&b"[2]"[..]));
    /// # Ok::<(), ovsdb::protocol::FrameError>(())
    /// ```
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(range) = self.find(buffer)? else {
            let _ = buffer.split_to(self.take_blanks());
            return Ok(None);
        };
        let mut message = buffer.split_to(range.end);
        let _ = message.split_to(range.start);
        Ok(Some(message.freeze()))
    }

    /// Checks that the stream may end here, between two messages.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] within a message.
    pub fn end(&self) -> Result<(), FrameError> {
        if self.state == State::Between {
            Ok(())
        } else {
            Err(FrameError::Truncated)
        }
    }

    /// How many blanks at the front of the buffer are not part of a message and may be dropped. The
    /// next call of [`find`](Self::find) then starts after them.
    pub fn take_blanks(&mut self) -> usize {
        if self.state != State::Between {
            return 0;
        }
        self.start = 0;
        std::mem::take(&mut self.seen)
    }

    const fn check(&self, length: usize) -> Result<(), FrameError> {
        if length > self.limits.message_bytes {
            return Err(FrameError::TooLong(self.limits.message_bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        r#"{"id":"a\"}{\\","method":"echo","params":[]}"#,
        "\n  ",
        r#"[]{"x":{"y":["]","[{",{}]}}"#,
        " \t",
        r#"{"error":null,"id":2,"result":[{"rows":[]},"\\\\"]}"#,
    );

    /// The messages of `stream` when it arrives in pieces that end at these places.
    fn messages(stream: &[u8], cuts: &[usize]) -> Vec<String> {
        let mut framer = Framer::new(Limits::default());
        let mut found = Vec::new();
        let mut front = 0;
        for &end in cuts.iter().chain([&stream.len()]) {
            while let Some(range) = framer.find(&stream[front..end]).expect("a good stream") {
                let message = &stream[front + range.start..front + range.end];
                found.push(String::from_utf8(message.to_vec()).expect("text"));
                front += range.end;
            }
        }
        found
    }

    #[test]
    fn messages_are_found_wherever_the_stream_is_cut() {
        let stream = STREAM.as_bytes();
        let whole = messages(stream, &[]);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[1], "[]");
        for cut in 0..=stream.len() {
            assert_eq!(messages(stream, &[cut]), whole, "cut at {cut}");
        }
        let every: Vec<usize> = (0..stream.len()).collect();
        assert_eq!(messages(stream, &every), whole);
    }

    #[test]
    fn each_byte_is_looked_at_once() {
        let mut framer = Framer::new(Limits::default());
        let mut buffer = b"{\"a\":\"".to_vec();
        assert!(framer.find(&buffer).expect("no error").is_none());
        // What was read is not read again, even if it changes.
        buffer.fill(b'}');
        buffer.extend(b"x\"}");
        assert_eq!(framer.find(&buffer).expect("no error"), Some(0..9));
    }

    #[test]
    fn limits_hold_before_the_message_ends() {
        let mut framer = Framer::new(Limits {
            message_bytes: 100,
            depth: 10,
        });
        assert!(matches!(
            framer.find(&[b'['; 11]),
            Err(FrameError::TooDeep(10))
        ));
        let mut framer = Framer::new(Limits {
            message_bytes: 100,
            depth: 10,
        });
        let digits = [b"[".as_slice(), &[b'1'; 100]].concat();
        assert!(matches!(
            framer.find(&digits),
            Err(FrameError::TooLong(100))
        ));
        for garbage in ["x", "}", "\"a\"", "1", "\u{0}", "\u{feff}{}"] {
            let mut framer = Framer::new(Limits::default());
            let found = framer.find(garbage.as_bytes());
            assert!(
                matches!(found, Err(FrameError::NotAMessage(_))),
                "{garbage:?}"
            );
        }
    }

    #[test]
    fn blanks_do_not_pile_up() {
        let mut framer = Framer::new(Limits {
            message_bytes: 10,
            depth: 10,
        });
        assert!(framer.find(&[b' '; 1000]).expect("blanks").is_none());
        assert_eq!(framer.take_blanks(), 1000);
        assert_eq!(framer.find(b" {}").expect("a message"), Some(1..3));
    }
}
