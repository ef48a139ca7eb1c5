//! What a user can see of the connection.

use std::fmt;

use crate::error::Disconnected;
use crate::error_chain::ErrorChain;
use crate::transport::Remote;

/// Where the connection is; [`Client::state`](crate::Client::state) shows every change.
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
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::{Client, RemoteOrder, nb};
///
/// // The server of this machine first, others only without it.
/// let builder = Client::<nb::Database>::builder()
///     .remotes("unix:/run/ovn/ovnnb_db.sock,tcp:192.0.2.1:6641")
///     .remote_order(RemoteOrder::Given);
/// # let _ = builder;
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RemoteOrder {
    /// In an order that each client draws for itself, so that clients spread over the servers.
    #[default]
    Shuffled,
    /// As given.
    Given,
}
