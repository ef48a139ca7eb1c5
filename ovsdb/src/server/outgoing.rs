//! What is to be sent to a client.

use std::collections::VecDeque;

use bytes::Bytes;

/// Texts of this size are shared between sessions rather than copied.
const SHARED: usize = 4096;
/// So many pieces may wait; where more do, short texts are put together.
const PIECES: usize = 8;

/// Messages that wait to be sent, in order.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    ready: VecDeque<Bytes>,
    text: String,
    /// The bytes that wait here or are being sent.
    unsent: usize,
}

impl Outgoing {
    /// Appends the text that `write` writes.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut String)) {
        let before = self.text.len();
        write(&mut self.text);
        self.unsent += self.text.len() - before;
    }

    /// Appends a text that other sessions get too.
    pub(super) fn share(&mut self, text: &Bytes) {
        self.unsent += text.len();
        let is_copied =
            text.len() < SHARED && (!self.text.is_empty() || self.ready.len() >= PIECES);
        // A long text is not even looked at.
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

    /// Moves everything that waits into `taken`, which is empty. It is swapped, so that neither queue is
    /// allocated again for each message.
    pub(super) fn take(&mut self, taken: &mut VecDeque<Bytes>) {
        self.finish();
        std::mem::swap(&mut self.ready, taken);
    }

    /// Everything that waits, in one piece.
    pub(super) fn into_bytes(mut self) -> Bytes {
        self.finish();
        if self.ready.len() == 1 {
            return self.ready.pop_front().unwrap_or_default();
        }
        let pieces: Vec<&[u8]> = self.ready.iter().map(|piece| &**piece).collect();
        pieces.concat().into()
    }

    /// Notes that bytes were sent.
    pub(super) const fn sent(&mut self, count: usize) {
        self.unsent = self.unsent.saturating_sub(count);
    }

    /// The bytes that wait or are being sent.
    pub(super) const fn unsent(&self) -> usize {
        self.unsent
    }
}
