//! What handles ask of a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::{oneshot, watch};

use super::shown::Shown;
use crate::cache::{Basis, ReplicaMonitor};
use crate::error::{Disconnected, Error};
use crate::protocol::{Clause, InvalidValue, OvsdbError};
use crate::transport::Remote;
use crate::value::Str;

/// How a call ends: with the text of its result, with the server's error, or not at all.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Not sent, since no server reads it.
    Invalid(InvalidValue),
    Refused(OvsdbError),
    /// Given up before it was sent.
    NotSent(Disconnected),
    /// Given up after it was, or may have been, sent.
    Lost(Disconnected),
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Invalid(invalid) => Self::InvalidValue(invalid),
            CallError::Refused(error) => Self::Refused(error),
            CallError::NotSent(lost) | CallError::Lost(lost) => Self::Disconnected(lost),
        }
    }
}

/// Where a call is: its caller and the session agree on whether it was sent.
#[derive(Debug, Default)]
pub(crate) struct Ticket(AtomicU8);

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const ABANDONED: u8 = 2;

impl Ticket {
    fn move_on(&self, to: u8) -> bool {
        let moved = self
            .0
            .compare_exchange(QUEUED, to, Ordering::AcqRel, Ordering::Acquire);
        moved.is_ok()
    }

    /// The session is about to send the call; false when its caller has given it up.
    pub(super) fn send(&self) -> bool {
        self.move_on(SENT)
    }

    /// The caller gives the call up; false when it was sent before.
    pub(super) fn abandon(&self) -> bool {
        self.move_on(ABANDONED)
    }
}

/// A request, and who waits for the text of its result.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) method: &'static str,
    /// The text of the parameters, a JSON array.
    pub(super) params: String,
    /// What the caller decided on; the call is not sent when it does not hold any more.
    pub(super) basis: Option<Basis>,
    pub(super) ticket: Arc<Ticket>,
    pub(super) reply: oneshot::Sender<Result<Answer, CallError>>,
}

/// The text of a call's result.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    /// What to wait for before the caller may go on, when a replica does not show the call's effect
    /// yet.
    pub(super) shown: Option<Shown>,
}

/// How the caller that started a monitor hears that its rows are there.
pub(super) type MonitorReply = oneshot::Sender<Result<u64, Error>>;

/// How a caller hears that its condition is in force.
pub(super) type ConditionReply = oneshot::Sender<Result<(), Error>>;

/// Who asked for a lock, and waits for the server's first answer.
pub(super) type LockReply = oneshot::Sender<Result<watch::Receiver<bool>, Error>>;

/// What handles ask for beside calls.
#[derive(Debug)]
pub(crate) enum Order {
    /// A monitor to start.
    Monitor {
        monitor: Box<ReplicaMonitor>,
        started: MonitorReply,
    },
    /// A monitor to end.
    EndMonitor { key: u64 },
    /// A condition for a table of a monitor.
    SetCondition {
        key: u64,
        table: Str,
        clauses: Vec<Clause>,
        reply: ConditionReply,
    },
    /// A call whose caller is gone.
    Abandon(Arc<Ticket>),
    /// A lock to ask for.
    Lock {
        name: Str,
        steal: bool,
        reply: LockReply,
    },
    /// A handle of a lock that is gone.
    Unlock { name: Str },
    /// Other remotes.
    SetRemotes(Vec<Remote>),
    /// Another connection.
    Reconnect,
    /// The end.
    Close { done: oneshot::Sender<()> },
}
