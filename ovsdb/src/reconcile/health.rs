//! Why a reconciler is unhealthy, or has ended.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;

/// Why a reconciler has ended.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// # let runner = ovsdb::Reconciler::new(&client, &cache)
/// #     .watch::<ovsdb::nb::LogicalSwitch>(|switch| switch.name.clone())
/// #     .run(1, |_, _, _| Ok(()));
/// # client.close().await;
/// use ovsdb::reconcile::Ended;
///
/// match runner.ended().await {
///     Ended::Stopped => println!("stopped on request"),
///     ended => println!("{ended}"),
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// [`Runner::stop`](super::Runner::stop) was called, or the last handle dropped.
    Stopped,
    /// The client was closed.
    ClientClosed,
    /// The [queue](super::Reconciler::queue) was closed, or all streams that feed it have ended.
    QueueEnded,
    /// A function that computes the keys of a row panicked, with this message, so a change would be
    /// missed.
    Panicked(String),
    /// The tokio runtime was shut down.
    RuntimeGone,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the reconciler was stopped"),
            Self::ClientClosed => f.write_str("the client was closed"),
            Self::QueueEnded => f.write_str("the queue of keys has ended"),
            Self::Panicked(message) => {
                write!(
                    f,
                    "the function that computes the keys of a row panicked: {message}"
                )
            }
            Self::RuntimeGone => f.write_str("the runtime was shut down"),
        }
    }
}

/// Why a reconciler is unhealthy.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// # let runner = ovsdb::Reconciler::new(&client, &cache)
/// #     .watch::<ovsdb::nb::LogicalSwitch>(|switch| switch.name.clone())
/// #     .run(1, |_, _, _| Ok(()));
/// use ovsdb::ErrorChain;
/// use ovsdb::reconcile::Unhealthy;
///
/// match runner.health() {
///     Err(Unhealthy::Ended(_)) => println!("start it again"),
///     Err(reason) => println!("{}", ErrorChain::new(&reason)),
///     Ok(()) => {}
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Unhealthy {
    /// It has ended.
    #[error("{0}")]
    Ended(Ended),
    /// The replica does not follow the server, so nothing is reconciled.
    #[error("the replica has not followed the server for {staleness:?}")]
    Stale {
        /// For how long.
        staleness: Duration,
        /// Why the server [refuses the monitor](crate::Cache::monitor_error), if it does.
        #[source]
        source: Option<Box<Error>>,
    },
    /// Keys keep failing.
    #[error("{keys} keys keep failing; the key {key} has failed {attempts} times within {since:?}")]
    Failing {
        /// How many keys.
        keys: usize,
        /// The key that has been failing the longest, in its `Debug` form.
        key: String,
        /// How many attempts in a row failed for it.
        attempts: u32,
        /// How long ago the first of these attempts failed.
        since: Duration,
        /// Why its last attempt failed.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
}
