//! One connection without its socket: the bytes received and to be sent, and the requests that
//! wait for replies.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::outgoing::Outgoing;
use super::pending::{Pending, Waiter};
use super::shared::Shared;
use super::wire_log::WireLog;
use crate::error::DisconnectReason;
use crate::error_chain::ErrorChain;
use crate::protocol::{Framer, Limits, Request, write_notification, write_request_head};

/// The smallest buffer offered to a read.
const READ: usize = 64 * 1024;
/// After a message longer than this, the bytes that follow it are copied to a new buffer, so that the
/// message's large allocation is freed.
const LONG: usize = 1024 * 1024;
/// Reading pauses while at least this many bytes are queued after a message that is being decoded.
const BACKLOG: usize = 64 * 1024 * 1024;
/// Calls stay in their queue while at least this many unsent bytes are buffered.
const UNSENT: usize = 4 * 1024 * 1024;

/// A whole message, and when its last byte arrived.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) bytes: Bytes,
    pub(super) at: Instant,
}

/// The client's state of one connection.
pub(super) struct Connection {
    framer: Framer,
    received: BytesMut,
    /// When the last bytes arrived.
    heard: Instant,
    shared: Arc<Shared>,
    wire_log: WireLog,
    outgoing: Outgoing,
    /// Why nothing can be written any more. What the server sent before that can still be read, such as
    /// the replies to requests that it carried out.
    write_closed: Option<DisconnectReason>,
    pub(super) pending: Pending,
    /// Messages that wait to be handled, usually because another one is being decoded.
    backlog: VecDeque<Arrival>,
    backlog_bytes: usize,
}

impl Connection {
    pub(super) fn new(
        now: Instant,
        limits: Limits,
        shared: Arc<Shared>,
        wire_log: WireLog,
    ) -> Self {
        Self {
            pending: Pending::new(shared.clone()),
            framer: Framer::new(limits),
            received: BytesMut::new(),
            heard: now,
            shared,
            wire_log,
            outgoing: Outgoing::default(),
            write_closed: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
        }
    }

    // Receiving.

    /// Whether more bytes may be read now.
    pub(super) const fn reads(&self) -> bool {
        self.backlog_bytes < BACKLOG
    }

    /// `count` bytes were appended to the receive buffer.
    pub(super) fn received(&mut self, now: Instant, count: usize) {
        self.heard = now;
        self.shared.counters.bytes_received.add(count);
    }

    /// The next whole message, if one has arrived.
    pub(super) fn message(&mut self) -> Result<Option<Arrival>, DisconnectReason> {
        let taken = self.framer.take(&mut self.received);
        let Some(bytes) = taken.map_err(DisconnectReason::Frame)? else {
            return Ok(None);
        };
        self.wire_log.received(&bytes);
        if bytes.len() > LONG {
            self.received = BytesMut::from(&*self.received);
        }
        self.shared.counters.messages_received.add(1);
        Ok(Some(Arrival {
            bytes,
            at: self.heard,
        }))
    }

    /// Queues a message until the one before it is decoded.
    pub(super) fn push_backlog(&mut self, message: Arrival) {
        self.backlog_bytes += message.bytes.len();
        self.backlog.push_back(message);
    }

    /// Puts a message back at the front of the queue: it was taken out but not handled yet.
    pub(super) fn push_front_backlog(&mut self, message: Arrival) {
        self.backlog_bytes += message.bytes.len();
        self.backlog.push_front(message);
    }

    /// Takes the first of the queued messages.
    pub(super) fn pop_backlog(&mut self) -> Option<Arrival> {
        let message = self.backlog.pop_front()?;
        self.backlog_bytes -= message.bytes.len();
        Some(message)
    }

    // Sending.

    /// The buffer for received bytes, if more may be read; and the bytes to write next.
    pub(super) fn buffers(&mut self) -> (Option<&mut BytesMut>, &[u8]) {
        let reads = self.reads();
        if reads {
            // Doubling bounds how often a long message is moved.
            self.received.reserve(READ.max(self.received.len()));
        }
        let transmit = match self.write_closed {
            None => self.outgoing.front(),
            Some(_) => &[],
        };
        (reads.then_some(&mut self.received), transmit)
    }

    /// The first `count` of the bytes to be written were written.
    pub(super) fn transmitted(&mut self, count: usize) {
        self.shared.counters.bytes_sent.add(count);
        self.outgoing.advance(count);
    }

    /// Nothing can be written any more.
    pub(super) fn close_write(&mut self, reason: DisconnectReason) {
        self.write_closed.get_or_insert(reason);
    }

    /// Why the connection ends, now that reading failed for `reason`. An earlier failure to write is
    /// the better reason.
    pub(super) fn end_reason(&mut self, reason: DisconnectReason) -> DisconnectReason {
        self.write_closed.take().unwrap_or(reason)
    }

    /// Queues a request, and registers the waiter for its reply. `params` is the text of a JSON array.
    pub(super) fn send(&mut self, waiter: Waiter, method: &str, params: String) {
        let id = self.pending.add(waiter);
        let mut head = String::with_capacity(64);
        write_request_head(&mut head, &id, method);
        self.wire_log.sent(&[&head, &params, "}"]);
        self.outgoing.request(&head, params);
    }

    pub(super) fn send_request(&mut self, waiter: Waiter, request: &Request) {
        let mut params = String::new();
        if let Err(invalid) = request.write_params(&mut params) {
            // The handles check what callers pass before it becomes a request of the session.
            let database = &*self.wire_log.database;
            let remote = &self.wire_log.remote;
            let error = ErrorChain::new(&invalid);
            tracing::error!(database, %remote, %error, "a request of the session cannot be sent");
            return;
        }
        self.send(waiter, request.method(), params);
    }

    /// Asks the server to cancel the transaction that was sent with this id.
    pub(super) fn send_cancel(&mut self, id: u64) {
        let mut message = String::new();
        write_notification(&mut message, "cancel", &format!("[{id}]"));
        self.send_text(&message);
    }

    /// Queues the text of a message.
    pub(super) fn send_text(&mut self, message: &str) {
        self.wire_log.sent(&[message]);
        self.outgoing.text(message);
    }

    /// Whether another call can be sent.
    pub(super) const fn has_room(&self, window: usize) -> bool {
        self.write_closed.is_none() && self.outgoing.len() < UNSENT && self.pending.calls() < window
    }

    /// Whether no call waits for its reply. The bytes that are not sent yet then belong to abandoned
    /// calls, or to messages of the session itself.
    pub(super) const fn is_answered(&self) -> bool {
        self.pending.calls() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::parse_remotes;

    fn connection() -> Connection {
        let wire_log = WireLog {
            database: "db".into(),
            remote: parse_remotes("tcp:192.0.2.1:6641")
                .expect("a remote")
                .remove(0),
        };
        let shared = Arc::new(Shared::new("db"));
        Connection::new(Instant::now(), Limits::default(), shared, wire_log)
    }

    #[test]
    fn reading_pauses_while_too_much_is_queued() {
        let mut connection = connection();
        let message = |length| Arrival {
            bytes: Bytes::from(vec![0; length]),
            at: Instant::now(),
        };
        assert!(connection.pop_backlog().is_none());
        connection.push_backlog(message(BACKLOG - 1));
        assert!(connection.reads() && connection.buffers().0.is_some());
        connection.push_backlog(message(1));
        assert!(!connection.reads() && connection.buffers().0.is_none());
        // The first one is taken out, and put back at its place.
        let first = connection.pop_backlog().expect("a message");
        assert_eq!(first.bytes.len(), BACKLOG - 1);
        assert!(connection.reads());
        connection.push_front_backlog(first);
        assert!(!connection.reads());
        let lengths = std::iter::from_fn(|| connection.pop_backlog());
        let lengths: Vec<_> = lengths.map(|message| message.bytes.len()).collect();
        assert_eq!(lengths, [BACKLOG - 1, 1]);
        assert_eq!(connection.backlog_bytes, 0);
        assert!(connection.reads());
    }

    #[test]
    fn calls_wait_while_much_is_unsent() {
        let mut connection = connection();
        let send = |connection: &mut Connection, length| {
            connection.send(Waiter::None, "echo", "x".repeat(length));
        };
        send(&mut connection, UNSENT * 3 / 4);
        assert!(connection.has_room(1));
        send(&mut connection, UNSENT / 4);
        assert!(!connection.has_room(1));
        loop {
            let count = connection.buffers().1.len();
            if count == 0 {
                break;
            }
            connection.transmitted(count);
        }
        assert!(connection.has_room(1) && !connection.has_room(0));
        assert!(connection.is_answered(), "no caller waits");
    }

    #[test]
    fn after_a_failed_write_nothing_is_written_and_its_reason_counts() {
        let mut connection = connection();
        connection.send_text("[1]");
        assert_eq!(connection.buffers().1, b"[1]");
        connection.close_write(DisconnectReason::Silent);
        connection.close_write(DisconnectReason::Closed);
        assert!(connection.buffers().1.is_empty() && connection.reads());
        assert!(!connection.has_room(1));
        let reason = connection.end_reason(DisconnectReason::ByServer);
        assert!(matches!(reason, DisconnectReason::Silent), "{reason}");
    }
}
