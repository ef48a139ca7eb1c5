//! Bytes that wait to be written.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

/// Parameters of at least this length are queued without being copied. Everything else is gathered into
/// one buffer, so that one write sends many messages.
const OWN_CHUNK: usize = 16 * 1024;

/// A queue of messages, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Written first.
    chunks: VecDeque<Bytes>,
    /// Messages, or parts of messages, written after the chunks.
    tail: BytesMut,
    bytes: usize,
}

impl Outgoing {
    /// How many bytes wait.
    pub(super) const fn len(&self) -> usize {
        self.bytes
    }

    /// Queues a request: `head`, which is everything before the parameters, the parameters, and the
    /// closing brace. Long parameters are not copied.
    pub(super) fn request(&mut self, head: &str, params: String) {
        self.text(head);
        if params.len() < OWN_CHUNK {
            self.text(&params);
        } else {
            self.flush_tail();
            self.bytes += params.len();
            self.chunks.push_back(Bytes::from(params));
        }
        self.text("}");
    }

    /// Queues the text of a message, or a part of it.
    pub(super) fn text(&mut self, text: &str) {
        self.bytes += text.len();
        self.tail.extend_from_slice(text.as_bytes());
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            let tail = self.tail.split().freeze();
            self.chunks.push_back(tail);
        }
    }

    /// The bytes to write next; empty when nothing is queued.
    pub(super) fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&self.tail, |chunk| chunk)
    }

    /// The first `count` bytes of [`front`](Self::front) were written.
    pub(super) fn advance(&mut self, count: usize) {
        self.bytes -= count;
        match self.chunks.front_mut() {
            None => self.tail.advance(count),
            Some(chunk) if count < chunk.len() => chunk.advance(count),
            Some(_) => drop(self.chunks.pop_front()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is queued, written in pieces of at most this size.
    fn written(outgoing: &mut Outgoing, most: usize) -> (String, usize) {
        let (mut bytes, mut writes) = (Vec::new(), 0);
        while !outgoing.front().is_empty() {
            let count = outgoing.front().len().min(most);
            bytes.extend_from_slice(&outgoing.front()[..count]);
            let left = outgoing.len() - count;
            outgoing.advance(count);
            assert_eq!(outgoing.len(), left);
            writes += 1;
        }
        (String::from_utf8(bytes).expect("text"), writes)
    }

    #[test]
    fn messages_are_written_in_order_and_short_ones_together() {
        for length in [OWN_CHUNK - 1, OWN_CHUNK, 3 * OWN_CHUNK] {
            for most in [1000, usize::MAX] {
                let mut outgoing = Outgoing::default();
                assert_eq!((outgoing.len(), outgoing.front().len()), (0, 0));
                let params = "x".repeat(length);
                outgoing.text("{1}");
                outgoing.request("{2", "[]".to_owned());
                outgoing.request("{3", params.clone());
                outgoing.text("{4}");
                let expected = format!("{{1}}{{2[]}}{{3{params}}}{{4}}");
                assert_eq!(outgoing.len(), expected.len());
                let (text, writes) = written(&mut outgoing, most);
                assert_eq!(text, expected);
                assert_eq!(outgoing.len(), 0);
                if most == usize::MAX {
                    // Long parameters are a write of their own, between two others.
                    assert_eq!(writes, if length < OWN_CHUNK { 1 } else { 3 });
                }
            }
        }
    }
}
