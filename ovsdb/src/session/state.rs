//! What a user can see of the connection.

use std::fmt;

use crate::error::Disconnected;
use crate::error_chain::ErrorChain;
use crate::transport::Remote;

/// Where the connection is; [`Client::state`](crate::Client::state) shows every change.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectionState {
    /// There is no connection; the next attempt follows.
    Waiting {
        /// Why the last connection or attempt ended; `None` before the first.
        lost: Option<Disconnected>,
    },
    /// A connection is being made.
    Connecting {
        /// Where to.
        remote: Remote,
    },
    /// The connection serves.
    Connected {
        /// Where to.
        remote: Remote,
    },
    /// The client was closed, or gave up before its first connection: nothing follows.
    Closed {
        /// Why.
        lost: Disconnected,
    },
}

impl ConnectionState {
    /// Whether the connection serves.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { lost: None } => f.write_str("not connected yet"),
            Self::Waiting { lost: Some(lost) } => write!(f, "waiting: {}", ErrorChain::new(lost)),
            Self::Connecting { remote } => write!(f, "connecting to {remote}"),
            Self::Connected { remote } => write!(f, "connected to {remote}"),
            Self::Closed { lost } => write!(f, "closed: {}", ErrorChain::new(lost)),
        }
    }
}

/// In which order several remotes are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RemoteOrder {
    /// In an order that each client draws for itself, so that clients spread over the servers.
    #[default]
    Shuffled,
    /// As given.
    Given,
}
