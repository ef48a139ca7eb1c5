//! The state of the connection, as users see it.

use std::fmt;

use crate::error::Disconnected;
use crate::error_chain::ErrorChain;
use crate::transport::Remote;

/// The state of the connection, which [`Client::state`](crate::Client::state) reports.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// use ovsdb::ConnectionState;
///
/// match client.state().get() {
///     ConnectionState::Connected { remote } => println!("the server is {remote}"),
///     ConnectionState::Waiting { lost: Some(lost) } => println!("{}", ovsdb::ErrorChain::new(&lost)),
///     state => println!("{state}"),
/// }
/// # assert!(client.state().get().is_connected());
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectionState {
    /// There is no connection; another attempt follows.
    Waiting {
        /// Why the last connection or attempt ended; `None` before the first.
        lost: Option<Disconnected>,
    },
    /// A connection is being made, or is not usable yet.
    Connecting {
        /// The remote.
        remote: Remote,
    },
    /// The connection is usable: the server was found ready, and the schema is known.
    Connected {
        /// The remote.
        remote: Remote,
    },
    /// The client was closed or dropped, gave up before its first connection, or lost its runtime: no attempt
    /// follows.
    Closed {
        /// Why.
        lost: Disconnected,
    },
}

impl ConnectionState {
    /// Whether the connection is usable.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// Why no attempt follows, if none does.
    pub(crate) const fn end(&self) -> Option<&Disconnected> {
        match self {
            Self::Closed { lost } => Some(lost),
            _ => None,
        }
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

/// The order in which several remotes are tried.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::{Client, RemoteOrder, nb};
///
/// // Try the server on this machine first, then the others in turn.
/// let builder = Client::<nb::Database>::builder()
///     .remotes("unix:/run/ovn/ovnnb_db.sock,tcp:192.0.2.1:6641")
///     .remote_order(RemoteOrder::Given);
/// # let _ = builder;
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RemoteOrder {
    /// In an order that each client draws at random, so that clients spread over the servers.
    #[default]
    Shuffled,
    /// As given.
    Given,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::DisconnectReason;
    use crate::transport::parse_remotes;

    #[test]
    fn each_state_is_put_into_words() {
        let remote = || {
            parse_remotes("tcp:192.0.2.1:6641")
                .expect("a remote")
                .remove(0)
        };
        let lost = || Disconnected::new(DisconnectReason::Silent);
        let reason = ErrorChain::new(&lost()).to_string();
        for (state, words, connected) in [
            (
                ConnectionState::Waiting { lost: None },
                "not connected yet".to_owned(),
                false,
            ),
            (
                ConnectionState::Waiting { lost: Some(lost()) },
                format!("waiting: {reason}"),
                false,
            ),
            (
                ConnectionState::Connecting { remote: remote() },
                "connecting to tcp:192.0.2.1:6641".to_owned(),
                false,
            ),
            (
                ConnectionState::Connected { remote: remote() },
                "connected to tcp:192.0.2.1:6641".to_owned(),
                true,
            ),
            (
                ConnectionState::Closed { lost: lost() },
                format!("closed: {reason}"),
                false,
            ),
        ] {
            assert_eq!(state.to_string(), words);
            assert_eq!(state.is_connected(), connected, "{words}");
        }
    }
}
