//! The output queue of a client.

use std::collections::VecDeque;

use bytes::Bytes;

/// Texts of at least this size are shared between sessions instead of copied.
const SHARED: usize = 4096;
/// With at least this many pieces in the queue, short texts are copied and joined.
const PIECES: usize = 8;

/// Messages that wait to be sent, in order.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    ready: VecDeque<Bytes>,
    text: String,
    /// The bytes in the queue or being sent.
    unsent: usize,
}

impl Outgoing {
    /// Appends the text that `write` writes.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut String)) {
        let before = self.text.len();
        write(&mut self.text);
        self.unsent += self.text.len() - before;
    }

    /// Appends a text. A long one is not copied, so several sessions can share it.
    pub(super) fn share(&mut self, text: &Bytes) {
        self.unsent += text.len();
        let is_copied =
            text.len() < SHARED && (!self.text.is_empty() || self.ready.len() >= PIECES);
        // Only a text that is copied into the string must be validated.
        match std::str::from_utf8(if is_copied { text } else { &[] }) {
            Ok(short) if is_copied => self.text.push_str(short),
            _ => {
                self.finish();
                self.ready.push_back(text.clone());
            }
        }
    }

    fn finish(&mut self) {
        if !self.text.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.text).into());
        }
    }

    /// Moves the whole queue into the empty queue `taken`. They are swapped, so that neither is
    /// allocated again for each message.
    pub(super) fn take(&mut self, taken: &mut VecDeque<Bytes>) {
        self.finish();
        std::mem::swap(&mut self.ready, taken);
    }

    /// The whole queue, as one piece.
    pub(super) fn into_bytes(mut self) -> Bytes {
        self.finish();
        if self.ready.len() == 1 {
            return self.ready.pop_front().unwrap_or_default();
        }
        let pieces: Vec<&[u8]> = self.ready.iter().map(|piece| &**piece).collect();
        pieces.concat().into()
    }

    /// Records that bytes were sent.
    pub(super) const fn sent(&mut self, count: usize) {
        self.unsent = self.unsent.saturating_sub(count);
    }

    /// The bytes in the queue or being sent.
    pub(super) const fn unsent(&self) -> usize {
        self.unsent
    }
}
