//! Applying a message to a monitor's replica: at once, or on another thread when it is long.

use std::time::Instant;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::link::Arrival;
use crate::cache::{ApplyError, ReplicaMonitor};
use crate::value::json::Raw;

/// Messages longer than this are decoded on a thread of their own, so that the session goes on
/// answering meanwhile.
const LARGE: usize = 256 * 1024;

/// A monitor, out of the session's hands while a message is applied to it.
#[derive(Debug)]
pub(super) struct Job {
    /// The monitor's key.
    pub(super) key: u64,
    /// The id that the message was for.
    pub(super) wire: u64,
    pub(super) monitor: Box<ReplicaMonitor>,
    /// Whether the message is the reply that starts the monitor.
    pub(super) starts: bool,
    /// When the message was there.
    pub(super) at: Instant,
    pub(super) applied: Result<(), ApplyError>,
}

/// A message applied at once, or still being applied.
pub(super) type Applied = Result<Job, JoinHandle<Job>>;

impl Job {
    pub(super) const fn new(
        key: u64,
        wire: u64,
        monitor: Box<ReplicaMonitor>,
        starts: bool,
        message: &Arrival,
    ) -> Self {
        Self {
            key,
            wire,
            monitor,
            starts,
            at: message.at,
            applied: Ok(()),
        }
    }

    /// Applies `payload`, a part of `message`, by `apply`.
    pub(super) fn run(
        mut self,
        message: &Arrival,
        payload: Raw<'_>,
        apply: impl FnOnce(&mut ReplicaMonitor, Raw<'_>) -> Result<(), ApplyError> + Send + 'static,
    ) -> Applied {
        if payload.text.len() < LARGE {
            self.applied = apply(&mut self.monitor, payload);
            return Ok(self);
        }
        let payload = Payload::new(&message.bytes, payload);
        Err(tokio::task::spawn_blocking(move || {
            self.applied = apply(&mut self.monitor, payload.raw());
            self
        }))
    }
}

/// A part of a message that outlives the borrow of it.
struct Payload {
    bytes: Bytes,
    offset: usize,
}

impl Payload {
    fn new(message: &Bytes, raw: Raw<'_>) -> Self {
        let end = raw.offset + raw.text.len();
        Self {
            bytes: message.slice(raw.offset..end),
            offset: raw.offset,
        }
    }

    fn raw(&self) -> Raw<'_> {
        // The message was checked whole; a part of it between quotes and brackets is UTF-8 too.
        Raw {
            text: std::str::from_utf8(&self.bytes).unwrap_or_default(),
            offset: self.offset,
        }
    }
}
