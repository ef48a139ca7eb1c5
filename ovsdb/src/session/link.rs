//! One connection: its bytes, what waits to be written, and who waits for replies.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio_util::codec::Decoder as _;

use super::Shared;
use super::pending::{Pending, Waiter};
use super::server_database::ServerDatabases;
use super::wire_log::WireLog;
use crate::error::DisconnectReason;
use crate::protocol::{Codec, FrameError, Limits, Request, write_notification, write_request};
use crate::transport::{ReadHalf, WriteHalf};

/// The least capacity that a read asks for.
const READ: usize = 64 * 1024;
/// A message of more bytes than this gives its memory back once it is decoded.
const LONG: usize = 1024 * 1024;
/// Messages that wait behind one being decoded, in bytes, before reading stops.
const BACKLOG: usize = 64 * 1024 * 1024;
/// Bytes that wait to be written before calls are left in their queue.
const UNSENT: usize = 4 * 1024 * 1024;

/// How far the server's part in the greeting is.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// Whether the server has answered for `_Server`.
    pub(super) server_known: bool,
    /// The text of the server's schema.
    pub(super) schema: Option<String>,
}

/// A connection.
pub(super) struct Link {
    read: ReadHalf,
    write: WriteHalf,
    codec: Codec,
    received: BytesMut,
    /// When the last bytes came.
    heard: Instant,
    shared: Arc<Shared>,
    wire_log: WireLog,
    unsent: BytesMut,
    /// Why nothing can be written any more. What the server sent before can still be read, the
    /// answers to what it carried out among it.
    mute: Option<DisconnectReason>,
    pub(super) pending: Pending,
    /// Messages that arrived while one was being decoded.
    backlog: VecDeque<Arrival>,
    backlog_bytes: usize,
    pub(super) greeting: Greeting,
    /// Whether the greeting is over, and the connection serves.
    pub(super) serves: bool,
    /// Why it does not yet, though the greeting is over.
    pub(super) not_ready: Option<DisconnectReason>,
    /// What the server says of its databases; `None` where it has no `_Server`.
    pub(super) databases: Option<ServerDatabases>,
    /// Whether the schema is being asked for again.
    pub(super) schema_asked: bool,
}

/// A whole message, and when its last byte came.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) bytes: Bytes,
    pub(super) at: Instant,
}

/// What a connection does by itself.
pub(super) enum LinkEvent {
    /// Bytes came, and perhaps whole messages with them.
    Received,
    /// Bytes went.
    Written,
}

impl Link {
    pub(super) fn new(
        read: ReadHalf,
        write: WriteHalf,
        limits: Limits,
        shared: Arc<Shared>,
        wire_log: WireLog,
    ) -> Self {
        Self {
            pending: Pending::new(shared.clone()),
            read,
            write,
            codec: Codec::new(limits),
            received: BytesMut::new(),
            heard: Instant::now(),
            shared,
            wire_log,
            unsent: BytesMut::new(),
            mute: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            greeting: Greeting::default(),
            serves: false,
            not_ready: None,
            databases: None,
            schema_asked: false,
        }
    }

    /// Reads or writes, whichever can be done first.
    pub(super) async fn turn(&mut self) -> Result<LinkEvent, DisconnectReason> {
        let reading = self.backlog_bytes < BACKLOG;
        // Long messages make the buffer double instead of growing by a read at a time.
        self.received.reserve(READ.max(self.received.len()));
        let writing = !self.unsent.is_empty() && self.mute.is_none();
        tokio::select! {
            read = self.read.read_buf(&mut self.received), if reading => match received(read) {
                Ok(count) => {
                    self.heard = Instant::now();
                    self.shared.counters.bytes_received.add(count);
                    Ok(LinkEvent::Received)
                }
                Err(reason) => Err(self.mute.take().unwrap_or(reason)),
            },
            written = self.write.write(&self.unsent), if writing => {
                match written {
                    Ok(0) => self.mute = Some(DisconnectReason::ByServer),
                    Ok(count) => {
                        self.shared.counters.bytes_sent.add(count);
                        self.unsent.advance(count);
                    }
                    Err(error) => self.mute = Some(error.into()),
                }
                Ok(LinkEvent::Written)
            }
            else => std::future::pending().await,
        }
    }

    /// Reads what is there, without waiting: whether anything is, or whether reading is held up
    /// by ourselves, so that the peer cannot be blamed for silence.
    pub(super) async fn is_alive(&mut self) -> bool {
        if self.backlog_bytes >= BACKLOG {
            return true;
        }
        self.received.reserve(READ);
        let (read, received) = (&mut self.read, &mut self.received);
        let counters = &self.shared.counters;
        let mut chunk = [0; 4096];
        poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut *read).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    received.extend_from_slice(buffer.filled());
                    counters.bytes_received.add(buffer.filled().len());
                    Poll::Ready(true)
                }
                _ => Poll::Ready(false),
            }
        })
        .await
    }

    /// The next whole message, if one has arrived.
    pub(super) fn message(&mut self) -> Result<Option<Arrival>, DisconnectReason> {
        let message = self.codec.decode(&mut self.received);
        let message = message.map_err(|error| match error {
            FrameError::Io(error) => error.into(),
            other => DisconnectReason::Frame(other),
        })?;
        Ok(message.map(|bytes| {
            self.wire_log.received(&bytes);
            if bytes.len() > LONG {
                // What follows stands behind it in one allocation, and would keep all of it.
                self.received = BytesMut::from(&*self.received);
            }
            self.shared.counters.messages_received.add(1);
            let at = self.heard;
            Arrival { bytes, at }
        }))
    }

    /// Puts a message behind the one being decoded.
    pub(super) fn put_back(&mut self, message: Arrival) {
        self.backlog_bytes += message.bytes.len();
        self.backlog.push_back(message);
    }

    /// The first of the messages that waited.
    pub(super) fn take_back(&mut self) -> Option<Arrival> {
        let message = self.backlog.pop_front()?;
        self.backlog_bytes -= message.bytes.len();
        Some(message)
    }

    /// Sends a request, and notes who waits for its reply.
    pub(super) fn send(&mut self, waiter: Waiter, method: &str, params: &str) -> u64 {
        let id = self.pending.add(waiter);
        let mut message = String::with_capacity(params.len() + 64);
        write_request(&mut message, &id, method, params);
        self.send_text(&message);
        id
    }

    pub(super) fn send_request(&mut self, waiter: Waiter, request: &Request) {
        let mut params = String::new();
        if let Err(invalid) = request.write_params(&mut params) {
            // The handles check what they are given, before it becomes a request of the session.
            tracing::error!(%invalid, "a request of the session cannot be sent");
            return;
        }
        self.send(waiter, request.method(), &params);
    }

    pub(super) fn send_cancel(&mut self, id: u64) {
        let mut message = String::new();
        write_notification(&mut message, "cancel", &format!("[{id}]"));
        self.send_text(&message);
    }

    /// Sends the text of a message.
    pub(super) fn send_text(&mut self, message: &str) {
        self.wire_log.sent(message.as_bytes());
        self.unsent.extend_from_slice(message.as_bytes());
    }

    /// Whether another call can be sent.
    pub(super) fn has_room(&self, window: usize) -> bool {
        self.serves
            && self.mute.is_none()
            && self.unsent.len() < UNSENT
            && self.pending.calls() < window
    }

    /// Whether everything is sent and every call is answered.
    pub(super) fn is_idle(&self) -> bool {
        self.unsent.is_empty() && self.pending.calls() == 0
    }

    /// Writes what can be written without waiting for the peer, at the connection's end.
    pub(super) async fn finish(&mut self) {
        let _ = self.write.shutdown().await;
    }
}

fn received(read: io::Result<usize>) -> Result<usize, DisconnectReason> {
    match read {
        Ok(0) => Err(DisconnectReason::ByServer),
        Ok(count) => Ok(count),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::state::ConnectionState;
    use arc_swap::ArcSwap;
    use ovsdb_schema::DatabaseSchema;
    use tokio::sync::watch;

    #[tokio::test]
    async fn a_long_message_is_not_kept_by_what_follows_it() {
        let (ours, mut theirs) = tokio::io::duplex(16 * LONG);
        let (read, write) = tokio::io::split(ours);
        let shared = Shared {
            state: watch::Sender::new(ConnectionState::Waiting { lost: None }),
            lost: arc_swap::ArcSwapOption::empty(),
            schema: ArcSwap::from_pointee(DatabaseSchema::empty("db")),
            counters: crate::stats::Counters::new("db"),
        };
        let limits = Limits::default();
        let wire_log = WireLog {
            database: "db",
            remote: "unix:/peer".parse().expect("a remote"),
        };
        let (read, write) = (Box::new(read), Box::new(write));
        let mut link = Link::new(read, write, limits, Arc::new(shared), wire_log);
        let long = format!("[\"{}\"]", "x".repeat(4 * LONG));
        theirs.write_all(long.as_bytes()).await.expect("sent");
        theirs.write_all(b"[1][").await.expect("sent");
        let mut messages = Vec::new();
        while messages.len() < 2 {
            link.turn().await.expect("bytes");
            while let Some(message) = link.message().expect("a message") {
                messages.push(message.bytes);
            }
        }
        assert_eq!(
            (messages[0].len(), &*messages[1]),
            (long.len(), &b"[1]"[..])
        );
        assert!(
            link.received.capacity() < LONG,
            "{}",
            link.received.capacity()
        );
        theirs.write_all(b"2]").await.expect("sent");
        let last = loop {
            if let Some(message) = link.message().expect("a message") {
                break message.bytes;
            }
            link.turn().await.expect("bytes");
        };
        assert_eq!(&*last, b"[2]");
    }
}
