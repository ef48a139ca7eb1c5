//! Injected faults: the types that the server's state machine and its connections use.

use std::time::Duration;

use crate::protocol::OvsdbError;

/// What happens to a transaction that could be committed; passed to
/// [`Faults::next_transaction`](super::Faults::next_transaction).
///
/// ```
/// use ovsdb::protocol::OvsdbError;
/// use ovsdb::server::TransactionFault;
///
/// let fault = TransactionFault::Refuse(OvsdbError::new("I/O error"));
/// assert_ne!(fault, TransactionFault::DisconnectBefore);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionFault {
    /// It is not committed. The error follows the results of its operations, like the error of a
    /// violated index.
    Refuse(OvsdbError),
    /// It is not committed, and its client is disconnected without a reply: for the client its outcome
    /// is unknown.
    DisconnectBefore,
    /// It is committed, and its client is disconnected without a reply: for the client its outcome is
    /// unknown.
    DisconnectAfter,
}

/// The faults of the connections.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ConnectionFaults {
    /// How many faults in force refuse new connections.
    pub(super) refusing: u32,
    /// How many faults in force stop all reading and writing.
    pub(super) hanging: u32,
    /// How long replies and updates are delayed.
    pub(super) delay: Duration,
    /// Connections made in an earlier generation are closed.
    pub(super) generation: u64,
}

impl ConnectionFaults {
    /// Whether output may be sent at once.
    pub(super) const fn is_normal(&self) -> bool {
        self.hanging == 0 && self.delay.is_zero()
    }
}
