//! A client's session, on the server's side.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::monitor::Monitor;
use super::outgoing::Outgoing;
use crate::protocol::{OvsdbError, Wire, write_failure, write_notification};
use crate::value::json::write_string;

/// A session's number, which is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(super) u64);

/// The state of probing a client.
#[derive(Debug, Clone, Copy)]
enum Probe {
    /// The client was last active at this time: it connected, sent a message, or read a part of a backlog; or
    /// the server resumed after it had hung.
    Idle(Instant),
    /// The client was probed at this time, and has not been active since.
    Probed(Instant),
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) outgoing: Outgoing,
    pub(super) monitors: Vec<Monitor>,
    /// The locks that it holds, waits for, or lost to a `steal`.
    pub(super) locks: BTreeSet<Box<str>>,
    /// Whether it is notified when a database is converted or removed, instead of being disconnected.
    pub(super) db_change_aware: bool,
    pub(super) read_only: bool,
    /// How many of its replies wait for the disk.
    pub(super) unsynced: usize,
    /// How many of its transactions wait for the source of a relay, to be forwarded or answered.
    pub(super) forwarded: usize,
    /// Why it must be closed; `None` while it need not be.
    pub(super) closing: Option<String>,
    probe: Probe,
    /// The client is probed when it has not been active for this time; after the same time again the
    /// session ends. Zero turns probes off.
    interval: Duration,
}

impl Session {
    pub(super) fn new(now: Instant, interval: Duration, read_only: bool) -> Self {
        Self {
            outgoing: Outgoing::default(),
            monitors: Vec::new(),
            locks: BTreeSet::new(),
            db_change_aware: false,
            read_only,
            unsynced: 0,
            forwarded: 0,
            closing: None,
            probe: Probe::Idle(now),
            interval,
        }
    }

    /// Records that the client counts as active: it has sent a message, or read a part of a backlog, or the
    /// server resumes after it has hung.
    pub(super) const fn record_activity(&mut self, now: Instant) {
        self.probe = Probe::Idle(now);
    }

    /// When the next probe, or the end of the session, is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.interval.is_zero() || self.closing.is_some() {
            return None;
        }
        let (Probe::Idle(since) | Probe::Probed(since)) = self.probe;
        since.checked_add(self.interval)
    }

    /// Probes the client, or ends the session, if that is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.probe {
            Probe::Idle(_) => {
                self.probe = Probe::Probed(now);
                self.outgoing.write(|out| {
                    out.push_str(r#"{"id":"echo","method":"echo","params":[]}"#);
                });
            }
            Probe::Probed(_) => {
                let limit = self.interval.as_secs_f64();
                self.close(format!("no reply to an inactivity probe within {limit} s"));
            }
        }
    }

    /// Ends the session. It gets no more updates, because its monitors may be of a schema that was
    /// replaced.
    pub(super) fn close(&mut self, reason: String) {
        self.closing.get_or_insert(reason);
        self.monitors.clear();
    }

    /// Sends a successful reply; `result` is JSON.
    pub(super) fn reply(&mut self, id: &str, result: String) {
        self.outgoing.write(|out| {
            for part in ["{\"error\":null,\"id\":", id, ",\"result\":"] {
                out.push_str(part);
            }
        });
        // A long result is shared instead of copied.
        self.outgoing.share(&result.into());
        self.outgoing.write(|out| out.push('}'));
    }

    /// Sends an error as the reply.
    pub(super) fn fail(&mut self, id: &str, error: &OvsdbError) {
        let error = error.to_json();
        self.outgoing.write(|out| write_failure(out, id, &error));
    }

    /// Sends an error reply whose error is a plain string.
    pub(super) fn fail_with_word(&mut self, id: &str, word: &str) {
        let mut error = String::new();
        write_string(&mut error, word);
        self.outgoing.write(|out| write_failure(out, id, &error));
    }

    /// Sends a notification with one parameter, given as JSON.
    pub(super) fn notify(&mut self, method: &str, parameter: &str) {
        self.outgoing
            .write(|out| write_notification(out, method, &format!("[{parameter}]")));
    }

    pub(super) fn monitor(&self, id: &str) -> Option<usize> {
        self.monitors.iter().position(|monitor| *monitor.id == *id)
    }
}
