//! The task of a session: it reads messages, hands them to the hub, and sends the replies and updates.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::outlet::Outlet;
use super::{Shared, now};
use crate::protocol::Framer;
use crate::server::SessionId;
use crate::server::fault::ConnectionFaults;

/// How long a connection that is being closed may take to send what is left, and how long the client
/// may then take to close it too.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// The size of the read buffer, in bytes. Most requests are shorter.
pub(super) const READ: usize = 8 * 1024;

/// How a session ends, and why.
pub(super) enum End {
    /// At once: the connection is lost, or must be cut.
    Cut(String),
    /// After everything was sent: the server shuts the connection down.
    Orderly(String),
}

/// A connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    id: SessionId,
    outlet: Arc<Outlet>,
    buffer: BytesMut,
    framer: Framer,
    /// When to send what is queued, while a fault delays replies.
    due: Option<tokio::time::Instant>,
    /// Whether the buffer may contain messages that were not handled yet.
    stalled: bool,
    /// Set once nothing more is read.
    ended: Option<Ended>,
}

/// The state of a connection from which nothing more is read.
struct Ended {
    /// When the time limit began: when the client closed its end, or when the server began to close the
    /// connection; if a fault delays the output, when that is due. After the client closed its end, the
    /// limit begins again whenever something was sent to it.
    since: tokio::time::Instant,
    /// Why the server closes the connection; `None` if the client closed its end.
    reason: Option<String>,
}

/// What the machine needs from a connection.
struct Wants {
    /// It can handle more messages.
    input: bool,
    /// A reply will follow later.
    later_reply: bool,
    /// The connection must be closed, for this reason.
    close: Option<String>,
    /// There is something to send.
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

    /// Moves bytes until the connection ends. Returns why it ended.
    pub(super) async fn run(mut self, read: &mut (impl AsyncRead + Unpin)) -> End {
        let mut faults = self.shared.faults.subscribe();
        let generation = faults.borrow().generation;
        loop {
            let ConnectionFaults {
                hanging,
                delay,
                generation: now,
                ..
            } = *faults.borrow_and_update();
            if now != generation {
                return End::Cut("an injected fault".into());
            }
            if hanging > 0 {
                // This cannot fail: `self.shared` owns the sender.
                let _ = faults.changed().await;
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
                _ = faults.changed() => {}
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
                        return End::Cut("the client stopped reading".into());
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

    /// Takes the bytes to send, sets the time when they are due if a fault delays them, and asks the
    /// machine what it needs.
    fn poll(&mut self, delay: Duration) -> Wants {
        let mut output = self.outlet.lock();
        let mut hub = self.shared.hub();
        if self.ended.is_some() {
            // Only this task may send now: after the client closed its end, the time limit starts again
            // whenever this task has sent something.
            output.reserve();
            if !self.stalled {
                hub.handle_half_closed(self.id);
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

    /// Records that nothing more is read: the client closed its end, or, with a reason, the server
    /// closes the connection.
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

    /// Decides whether the connection ends, once nothing more is read from it. A client that has closed
    /// its end may still read, so it gets the replies to its requests first; so does a client whose
    /// connection the server closes. Returns the time after which to give up, if any.
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
        // A slow reader that the server is not disconnecting gets as long as it needs.
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

    /// Handles the messages that have arrived, as long as the machine wants input, and sends the output:
    /// first this session's replies, then other sessions' updates.
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

    /// Handles the messages. Returns the error of a message that is malformed.
    fn handle_buffer(&mut self, ready: &mut Vec<SessionId>) -> Option<String> {
        self.stalled = false;
        loop {
            match self.framer.take(&mut self.buffer) {
                Ok(None) => return None,
                Ok(Some(message)) => {
                    let Ok(text) = std::str::from_utf8(&message) else {
                        return Some("received a message that is not UTF-8".to_owned());
                    };
                    let ((deadline, goes_on), with_output) = self.shared.call_hub(|hub| {
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
                Err(error) => {
                    return Some(format!("received bytes that are not a message: {error}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use crate::server::Server;
    use crate::server::driver::serve;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_closed_its_end_gets_its_replies_and_no_more_updates() {
        const SCHEMA: &str = r#"{"name":"D","tables":{"T":{"columns":{"n":{"type":"integer"}}}}}"#;
        let server = Server::memory(SCHEMA).expect("a server");
        // More than the buffer of the stream holds, so that the server cannot send all of it at once.
        let text = "x".repeat(8 * 1024);
        let (mut client, stream) = tokio::io::duplex(1024);
        tokio::spawn(serve(server.shared.clone(), stream, Duration::ZERO));
        let requests = format!(
            r#"{{"id":1,"method":"monitor","params":["D","m",{{"T":{{}}}}]}}{{"id":2,"method":"echo","params":["{text}"]}}"#
        );
        client.write_all(requests.as_bytes()).await.expect("sent");
        client.shutdown().await.expect("closed");
        // The clock is paused, so this ends once the server has done all that it can.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let insert = r#"["D",{"op":"insert","table":"T","row":{"n":1}}]"#;
        server.transact(insert);
        let mut replies = String::new();
        client.read_to_string(&mut replies).await.expect("an end");
        assert!(replies.contains(&text), "{} bytes", replies.len());
        assert!(!replies.contains("update"), "{replies}");
    }
}
