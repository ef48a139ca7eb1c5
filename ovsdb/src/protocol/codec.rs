//! The framer as a [`tokio_util::codec`].

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::framing::{FrameError, Framer, Limits};

/// Cuts a byte stream into messages, and writes messages into one.
///
/// A message is handed out as the [`Bytes`] it arrived in, undecoded and unchecked but for its
/// brackets.
#[derive(Debug)]
pub struct Codec {
    framer: Framer,
}

impl Codec {
    /// A codec at the start of a stream.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            framer: Framer::new(limits),
        }
    }
}

impl Decoder for Codec {
    type Item = Bytes;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        match self.framer.find(buffer)? {
            Some(range) => {
                let mut message = buffer.split_to(range.end);
                let _ = message.split_to(range.start);
                Ok(Some(message.freeze()))
            }
            None => {
                let _ = buffer.split_to(self.framer.take_blanks());
                Ok(None)
            }
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        match self.decode(buffer)? {
            None if !self.framer.is_between_messages() => Err(FrameError::Truncated),
            message => Ok(message),
        }
    }
}

impl Encoder<&str> for Codec {
    type Error = FrameError;

    fn encode(&mut self, message: &str, buffer: &mut BytesMut) -> Result<(), FrameError> {
        buffer.extend_from_slice(message.as_bytes());
        Ok(())
    }
}
