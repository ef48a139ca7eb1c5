//! The task of a session: it reads messages, hands them to the hub, and sends what they cause.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::outlet::Outlet;
use super::{Shared, now};
use crate::protocol::Framer;
use crate::server::SessionId;
use crate::server::fault::Conduct;

/// How long a connection that is being closed may take to send what is left, and how long the client may
/// take to notice.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// How much is read at once. Most requests are shorter.
pub(super) const READ: usize = 8 * 1024;

/// How a session ends, and why.
pub(super) enum End {
    /// The connection is lost, or is to be cut.
    Cut(String),
    /// The server closes it, after everything was sent.
    Orderly(String),
}

/// A connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    id: SessionId,
    outlet: Arc<Outlet>,
    buffer: BytesMut,
    framer: Framer,
    /// When to send what is there, where replies are held back.
    due: Option<tokio::time::Instant>,
    /// Whether there may be messages in the buffer that were not handled yet.
    stalled: bool,
    /// Once nothing more is read.
    ended: Option<Ended>,
}

/// The end of what is read from a connection.
struct Ended {
    /// When that was. If the client closed its end: or when it was last sent something.
    since: tokio::time::Instant,
    /// Why it is let go, unless it closed its end itself.
    reason: Option<String>,
}

/// What the machine wants of a connection.
struct Wants {
    /// To handle messages.
    input: bool,
    /// To wait for a reply that comes later.
    later_reply: bool,
    /// To close the connection, for this reason.
    close: Option<String>,
    /// To send something.
    output: bool,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, id: SessionId, outlet: Arc<Outlet>) -> Self {
        Self {
            id,
            outlet,
            buffer: BytesMut::new(),
            framer: Framer::new(shared.limits),
            shared,
            due: None,
            stalled: false,
            ended: None,
        }
    }

    /// Moves bytes until the connection ends, and returns why.
    pub(super) async fn run(mut self, read: &mut (impl AsyncRead + Unpin)) -> End {
        let mut conduct = self.shared.conduct.subscribe();
        let generation = conduct.borrow().generation;
        loop {
            let Conduct {
                hanging,
                delay,
                generation: now,
                ..
            } = *conduct.borrow_and_update();
            if now != generation {
                return End::Cut("a fault that was asked for".into());
            }
            if hanging > 0 {
                // The sender is a part of what this shares.
                let _ = conduct.changed().await;
                continue;
            }
            let wants = self.poll(delay);
            if let Some(reason) = wants.close {
                self.end(Some(reason));
            }
            if wants.input && self.stalled {
                self.handle_messages();
                continue;
            }
            let patience = match self.leave(wants.output, wants.later_reply) {
                Ok(patience) => patience,
                Err(end) => return end,
            };
            let due = self.due;
            if self.buffer.capacity() - self.buffer.len() < READ / 4 {
                self.buffer.reserve(READ);
            }
            tokio::select! {
                _ = conduct.changed() => {}
                () = self.outlet.woken() => {}
                () = async { match patience {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }} => {}
                sent = async {
                    if let Some(due) = due {
                        tokio::time::sleep_until(due).await;
                    }
                    self.outlet.send().await
                }, if wants.output => match sent {
                    Ok(count) => self.sent(count),
                    Err(error) if error.kind() == io::ErrorKind::WriteZero => {
                        return End::Cut("the client reads no more".into());
                    }
                    Err(error) => return End::Cut(error.to_string()),
                },
                received = read.read_buf(&mut self.buffer), if wants.input && self.ended.is_none() => {
                    match received {
                        Ok(0) => self.end(None),
                        Ok(_) => self.handle_messages(),
                        Err(error) => return End::Cut(error.to_string()),
                    }
                }
            }
        }
    }

    /// Takes the bytes to send after a delay, and asks what to do.
    fn poll(&mut self, delay: Duration) -> Wants {
        let mut output = self.outlet.lock();
        let mut hub = self.shared.hub();
        if self.ended.is_some() {
            // This task must see what is sent.
            output.reserve();
            if !self.stalled {
                hub.handle_end(self.id);
            }
        }
        if output.is_idle() {
            output.refill(|unsent| hub.poll_transmit(self.id, unsent));
            let is_delayed = !delay.is_zero() && !output.is_idle();
            self.due = is_delayed.then(|| tokio::time::Instant::now() + delay);
        }
        Wants {
            input: hub.wants_input(self.id),
            later_reply: hub.owes_reply(self.id),
            close: hub.poll_close(self.id),
            output: !output.is_idle(),
        }
    }

    /// Notes that nothing more is read: the client has sent everything, or, with a reason, it is let go.
    fn end(&mut self, reason: Option<String>) {
        if self
            .ended
            .as_ref()
            .is_some_and(|ended| ended.reason.is_some())
        {
            return;
        }
        if reason.is_some() {
            self.stalled = false;
        }
        let now = tokio::time::Instant::now();
        let due = self.due.filter(|_| !self.outlet.lock().is_idle());
        self.ended = Some(Ended {
            since: due.map_or(now, |due| due.max(now)),
            reason,
        });
    }

    /// Decides whether the connection ends, once nothing more is read from it. A client that sends no
    /// more may still read: it gets the replies to what it has sent, as it does before it is let go.
    /// Returns when to give up, if ever.
    fn leave(&self, output: bool, later_reply: bool) -> Result<Option<tokio::time::Instant>, End> {
        let Some(ended) = &self.ended else {
            return Ok(None);
        };
        let reason = || match &ended.reason {
            Some(reason) => reason.clone(),
            None => "the client has closed the connection".into(),
        };
        let all_sent = !output && !self.stalled;
        if all_sent && !later_reply {
            return Err(End::Orderly(reason()));
        }
        // A slow reader who was not let go has time.
        let until = (all_sent || ended.reason.is_some()).then(|| ended.since + LINGER);
        if until.is_some_and(|until| until <= tokio::time::Instant::now()) {
            return Err(End::Cut(reason()));
        }
        Ok(until)
    }

    fn sent(&mut self, count: usize) {
        if let Some(ended) = &mut self.ended
            && ended.reason.is_none()
        {
            ended.since = tokio::time::Instant::now();
        }
        self.shared
            .with_hub(|hub| hub.handle_sent(self.id, count, now()));
    }

    /// Handles the messages that have arrived, until much waits to be sent, and sends what they
    /// caused: the replies first, then the updates of other sessions.
    fn handle_messages(&mut self) {
        let mut ready = Vec::new();
        let refused = self.handle_buffer(&mut ready);
        ready.sort_unstable_by_key(|id| (*id != self.id, *id));
        ready.dedup();
        self.shared.send(&ready);
        if refused.is_some() {
            self.end(refused);
        }
    }

    /// Handles the messages, and returns what is wrong with one, if anything is.
    fn handle_buffer(&mut self, ready: &mut Vec<SessionId>) -> Option<String> {
        self.stalled = false;
        loop {
            match self.framer.take(&mut self.buffer) {
                Ok(None) => return None,
                Ok(Some(message)) => {
                    let Ok(text) = std::str::from_utf8(&message) else {
                        return Some("received a message that is not UTF-8".to_owned());
                    };
                    let ((deadline, goes_on), with_output) = self.shared.ask_hub(|hub| {
                        hub.handle_message(self.id, text, now());
                        (hub.poll_timeout(), hub.wants_input(self.id))
                    });
                    ready.extend(with_output);
                    if deadline.is_some() {
                        self.shared.earlier.notify_one();
                    }
                    if !goes_on {
                        self.stalled = true;
                        return None;
                    }
                }
                Err(error) => return Some(format!("received bytes that are no message: {error}")),
            }
        }
    }
}
