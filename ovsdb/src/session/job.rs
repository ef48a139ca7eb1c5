//! Applying a message to a monitor's replica: at once, or on another thread when it is long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bytes::Bytes;

use super::connection::Arrival;
use crate::cache::{ApplyError, ReplicaMonitor};
use crate::protocol::{MonitorVersion, UpdateHeader};
use crate::value::Uuid;
use crate::value::json::Raw;

/// Payloads of at least this length, in bytes, are decoded on another thread, so that the session
/// answers keepalives meanwhile. Decoding a shorter one takes too little time to matter to keepalives.
const LARGE: usize = if cfg!(simulation) { 1024 } else { 256 * 1024 };

/// What kind of message is applied.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// The reply that starts the monitor.
    Start,
    /// An update in the form of this version, and the id of its transaction if the update names it.
    Update(MonitorVersion, Option<Uuid>),
}

/// A monitor that is lent to the code that applies a message to it.
#[derive(Debug)]
pub(super) struct Loan {
    /// The monitor's key.
    pub(super) key: u64,
    /// The id under which the message addressed the monitor.
    pub(super) wire: u64,
    pub(super) monitor: Box<ReplicaMonitor>,
}

/// A long message to be applied to a replica.
#[derive(Debug)]
pub(super) struct Job {
    loan: Loan,
    kind: Kind,
    /// When the message had arrived.
    at: Instant,
    payload: Payload,
}

/// The outcome of applying a message, with the monitor to be taken back.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) loan: Loan,
    pub(super) kind: Kind,
    pub(super) applied: Result<(), ApplyError>,
}

/// The result of handing a message to a replica.
#[derive(Debug)]
pub(super) enum Applied {
    /// The message was applied, or could not be.
    Done(Decoded),
    /// It is long: the job must be run on another thread.
    Large(Box<Job>),
    /// Decoding it panicked, and the monitor is lost.
    Panicked,
}

impl Loan {
    /// Applies the reply that starts the monitor; `result` is a part of `message`.
    pub(super) fn start(self, message: &Arrival, result: Raw<'_>) -> Applied {
        self.apply(Kind::Start, message, result)
    }

    /// Applies an update; `header` was read from `message`.
    pub(super) fn update(self, message: &Arrival, header: &UpdateHeader<'_>) -> Applied {
        let kind = Kind::Update(header.version, header.last_txn_id);
        self.apply(kind, message, header.updates)
    }

    fn apply(self, kind: Kind, message: &Arrival, payload: Raw<'_>) -> Applied {
        let at = message.at;
        if payload.text.len() < LARGE {
            // A panic drops the monitor, so a message that was applied in part is never seen.
            let run = AssertUnwindSafe(|| self.run(kind, at, payload));
            return catch_unwind(run).map_or(Applied::Panicked, Applied::Done);
        }
        Applied::Large(Box::new(Job {
            loan: self,
            kind,
            at,
            payload: Payload::new(&message.bytes, payload),
        }))
    }

    fn run(mut self, kind: Kind, at: Instant, payload: Raw<'_>) -> Decoded {
        self.monitor.is_decoding = true;
        let applied = match kind {
            Kind::Start => self.monitor.start(payload),
            Kind::Update(version, last_txn_id) => {
                self.monitor.update(version, last_txn_id, payload, at)
            }
        };
        self.monitor.is_decoding = false;
        Decoded {
            loan: self,
            kind,
            applied,
        }
    }
}

impl Job {
    /// Applies the message.
    pub(super) fn run(self) -> Decoded {
        self.loan.run(self.kind, self.at, self.payload.raw())
    }
}

/// A part of a message, kept alive by the message's buffer.
#[derive(Debug)]
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
        // The whole message was checked to be UTF-8, and a JSON value within it begins and ends at
        // whole characters.
        Raw {
            text: std::str::from_utf8(&self.bytes).unwrap_or_default(),
            offset: self.offset,
        }
    }
}
