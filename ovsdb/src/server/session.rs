//! A client's session, as the server keeps it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::monitor::Monitor;
use super::outgoing::Outgoing;
use crate::protocol::{OvsdbError, Wire, write_failure, write_notification};
use crate::value::json::write_string;

/// A session's number. It is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(super) u64);

/// Whether the session has asked for a sign of life.
#[derive(Debug, Clone, Copy)]
enum Probe {
    /// Something was received at this time.
    Idle(Instant),
    /// The client was asked at this time.
    Asked(Instant),
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) outgoing: Outgoing,
    pub(super) monitors: Vec<Monitor>,
    /// The locks that it holds, waits for, or lost to a thief.
    pub(super) locks: BTreeSet<Box<str>>,
    /// Whether it wants to hear of changed schemas rather than be disconnected.
    pub(super) db_change_aware: bool,
    pub(super) read_only: bool,
    /// How many of its replies wait for the disk.
    pub(super) unsynced: usize,
    /// How many of its transactions are at the source of a relay, or wait to be sent there.
    pub(super) forwarded: usize,
    /// Why it is to be closed.
    pub(super) closing: Option<String>,
    probe: Probe,
    /// After so long without a sign of life the client is asked for one; after as long again the
    /// session ends. Zero: never.
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

    /// Notes that the client has sent something, or has read something.
    pub(super) const fn is_alive(&mut self, now: Instant) {
        self.probe = Probe::Idle(now);
    }

    /// When the next probe, or the end of patience, is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.interval.is_zero() || self.closing.is_some() {
            return None;
        }
        let (Probe::Idle(since) | Probe::Asked(since)) = self.probe;
        since.checked_add(self.interval)
    }

    /// Asks the client for a sign of life, or gives it up, when that is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.probe {
            Probe::Idle(_) => {
                self.probe = Probe::Asked(now);
                self.outgoing.write(|out| {
                    out.push_str(r#"{"id":"echo","method":"echo","params":[]}"#);
                });
            }
            Probe::Asked(_) => {
                let limit = self.interval.as_secs_f64();
                self.close(format!("no reply to an inactivity probe within {limit} s"));
            }
        }
    }

    /// Has the session end. It is told of no changes any more: its monitors may be of a schema that
    /// is replaced.
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
        // A long one is not copied.
        self.outgoing.share(&result.into());
        self.outgoing.write(|out| out.push('}'));
    }

    /// Sends an error as the reply.
    pub(super) fn fail(&mut self, id: &str, error: &OvsdbError) {
        let error = error.to_json();
        self.outgoing.write(|out| write_failure(out, id, &error));
    }

    /// Sends a word as the error of a reply.
    pub(super) fn fail_with_word(&mut self, id: &str, word: &str) {
        let mut error = String::new();
        write_string(&mut error, word);
        self.outgoing.write(|out| write_failure(out, id, &error));
    }

    /// Sends a notification with one string, or one JSON text, as its parameter.
    pub(super) fn notify(&mut self, method: &str, parameter: &str) {
        self.outgoing
            .write(|out| write_notification(out, method, &format!("[{parameter}]")));
    }

    pub(super) fn monitor(&self, id: &str) -> Option<usize> {
        self.monitors.iter().position(|monitor| *monitor.id == *id)
    }
}
