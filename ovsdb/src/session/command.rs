//! The calls and orders that handles send to a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::{oneshot, watch};

use super::shown::Shown;
use crate::cache::{Basis, ReplicaMonitor};
use crate::error::{Disconnected, Error};
use crate::protocol::{Clause, InvalidValue, OvsdbError};
use crate::transport::Remote;
use crate::value::Str;

/// The outcome of a call that did not succeed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Not sent: it has a value that servers cannot read.
    Invalid(InvalidValue),
    Refused(OvsdbError),
    /// The call was not sent: the session ended, the time limit passed, or the basis no longer holds.
    NotSent(Disconnected),
    /// The call was sent, or may have been, and then the connection was lost, the session ended, or the
    /// time limit passed.
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

/// The state of a call, by which its caller and the session agree on whether it was sent.
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

    /// The session is about to send the call. Returns false when its caller has given it up.
    pub(super) fn send(&self) -> bool {
        self.move_on(SENT)
    }

    /// The caller gives the call up. Returns false when the session has sent it already.
    pub(super) fn abandon(&self) -> bool {
        self.move_on(ABANDONED)
    }
}

/// A request, and the caller that waits for the text of its result.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) method: &'static str,
    /// The text of the parameters, a JSON array.
    pub(super) params: String,
    /// The replica that the call is based on. If it is no longer current, the call is not sent.
    pub(super) basis: Option<Basis>,
    pub(super) ticket: Arc<Ticket>,
    pub(super) reply: oneshot::Sender<Result<Answer, CallError>>,
}

/// The text of a call's result.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    /// What the call has to wait for before it returns; `None` when there is nothing to wait for.
    pub(super) shown: Option<Shown>,
}

/// Tells the caller that started a monitor that the replica has its rows.
pub(super) type MonitorReply = oneshot::Sender<Result<u64, Error>>;

/// Tells a caller that its condition is in force.
pub(super) type ConditionReply = oneshot::Sender<Result<(), Error>>;

/// Tells the caller that requested a lock the server's first answer.
pub(super) type LockReply = oneshot::Sender<Result<watch::Receiver<bool>, Error>>;

/// Everything that handles ask the session for, except calls.
#[derive(Debug)]
pub(crate) enum Order {
    /// Start a monitor.
    Monitor {
        monitor: Box<ReplicaMonitor>,
        started: MonitorReply,
    },
    /// End a monitor.
    EndMonitor { key: u64 },
    /// Change the condition of a table of a monitor.
    SetCondition {
        key: u64,
        table: Str,
        clauses: Vec<Clause>,
        reply: ConditionReply,
    },
    /// Abandon a call whose caller no longer waits: its time limit passed, or its future was dropped.
    Abandon(Arc<Ticket>),
    /// Request a lock.
    Lock {
        name: Str,
        steal: bool,
        reply: LockReply,
    },
    /// A handle of a lock was dropped: release the lock if no other handle is left.
    Unlock { name: Str },
    /// Replace the remotes.
    SetRemotes(Vec<Remote>),
    /// Close this connection, and connect again.
    Reconnect,
    /// End the session.
    Close { done: oneshot::Sender<()> },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::DisconnectReason;
    use crate::protocol::check_text;

    #[test]
    fn an_error_of_a_call_keeps_what_happened() {
        let invalid = check_text("a\0b", "the name").expect_err("a NUL");
        let error = Error::from(CallError::Invalid(invalid.clone()));
        assert!(matches!(error, Error::InvalidValue(kept) if kept == invalid));
        let refused = OvsdbError::new("not supported");
        let error = Error::from(CallError::Refused(refused.clone()));
        assert!(matches!(error, Error::Refused(kept) if kept == refused));
        for of in [CallError::NotSent, CallError::Lost] {
            let error = Error::from(of(Disconnected::new(DisconnectReason::Silent)));
            assert!(matches!(error, Error::Disconnected(lost)
                if matches!(lost.reason(), DisconnectReason::Silent)));
        }
    }

    #[test]
    fn a_call_is_either_sent_or_given_up() {
        let (sent, given_up) = (Ticket::default(), Ticket::default());
        assert!(sent.send() && !sent.abandon() && !sent.send());
        assert!(given_up.abandon() && !given_up.send() && !given_up.abandon());
    }
}
