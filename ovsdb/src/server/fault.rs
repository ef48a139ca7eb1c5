//! What goes wrong on demand: the part that the server's machine and its connections know.

use std::time::Duration;

use crate::protocol::OvsdbError;

/// What becomes of a transaction that could be committed;
/// [`Faults::next_transaction`](super::Faults::next_transaction) takes one.
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
    /// It is not committed. The error follows the results of its operations, as that of a violated
    /// index does.
    Refuse(OvsdbError),
    /// It is not committed, and its client is disconnected without a reply: for the client its outcome
    /// is unknown.
    DisconnectBefore,
    /// It is committed, and its client is disconnected without a reply: for the client its outcome is
    /// unknown.
    DisconnectAfter,
}

/// How the connections behave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Conduct {
    /// How many faults refuse new connections.
    pub(super) refusing: u32,
    /// How many faults keep the connections from reading and writing.
    pub(super) hanging: u32,
    /// How long replies and updates are held back.
    pub(super) delay: Duration,
    /// Connections that were made with a lower number are closed.
    pub(super) generation: u64,
}

impl Conduct {
    /// Whether what is to be sent may be sent at once.
    pub(super) const fn is_normal(&self) -> bool {
        self.hanging == 0 && self.delay.is_zero()
    }
}
