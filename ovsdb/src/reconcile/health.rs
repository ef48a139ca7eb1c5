//! Why a reconciler is unhealthy, or has ended.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::Freshness;
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
    /// The cache has ended: its client was closed or lost its runtime, or decoding a message for the cache panicked.
    CacheEnded,
    /// The [queue](super::Reconciler::queue) was closed, or all streams that feed it have ended.
    QueueEnded,
    /// A function that computes keys, or a [predicate](crate::cache::Changes::rows) of a stream that feeds
    /// the queue, panicked with this message, so a change would be missed.
    Panicked(String),
    /// The tokio runtime was shut down.
    RuntimeGone,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the reconciler was stopped"),
            Self::CacheEnded => Freshness::Ended.fmt(f),
            Self::QueueEnded => f.write_str("the queue of keys has ended"),
            Self::Panicked(message) => {
                write!(
                    f,
                    "a function that feeds the queue of keys panicked: {message}"
                )
            }
            Self::RuntimeGone => f.write_str("the runtime was shut down"),
        }
    }
}

/// The beginning of an error message: how many keys keep failing.
struct Keep(usize);

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 key keeps"),
            keys => write!(f, "{keys} keys keep"),
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
        /// Why the monitor [cannot be started](crate::Cache::monitor_error), if it cannot.
        #[source]
        source: Option<Box<Error>>,
    },
    /// Keys keep failing.
    #[error(
        "{} failing; the key {key} has failed {attempts} times within {since:?}",
        Keep(*keys)
    )]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_not_many() {
        for (keys, words) in [(1, "1 key keeps failing; "), (2, "2 keys keep failing; ")] {
            let failing = Unhealthy::Failing {
                keys,
                key: "a".to_owned(),
                attempts: 3,
                since: Duration::from_secs(5),
                source: Arc::new(fmt::Error),
            };
            let expected = format!("{words}the key a has failed 3 times within 5s");
            assert_eq!(failing.to_string(), expected);
        }
    }
}
