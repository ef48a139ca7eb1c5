//! Waiting until a view of a replica meets a condition.

use std::time::Duration;

use super::Cache;
use crate::cache::{Freshness, Snapshot};
use crate::error::{Disconnected, Error};
use crate::model::Database;

/// Why [`Cache::wait_until`] found nothing.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// use std::time::Duration;
///
/// use ovsdb::WaitError;
/// use ovsdb::cache::Freshness;
/// use ovsdb::nb::LogicalSwitch;
///
/// let limit = Some(Duration::from_millis(1));
/// match cache.wait_until(limit, |view| view.rows::<LogicalSwitch>().next().cloned()).await {
///     Ok(row) => println!("{}", row.name),
///     Err(WaitError::TimedOut { freshness: Freshness::Current, .. }) => println!("there is no row"),
///     Err(WaitError::TimedOut { freshness, .. }) => println!("{freshness}"),
///     Err(error) => println!("{error}"),
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// No view met the condition within the time limit.
    #[error("no view of the cache met the condition within {limit:?}; {freshness}")]
    TimedOut {
        /// The time limit.
        limit: Duration,
        /// Whether the cache was current at the time limit. If it was not, it may lack the latest rows
        /// of the server.
        freshness: Freshness,
        /// Why the monitor [cannot be started](Cache::monitor_error), if it cannot.
        #[source]
        source: Option<Box<Error>>,
    },
    /// The cache has ended, so no view follows: its client was closed or lost its runtime, or decoding a message
    /// for the cache panicked.
    #[error("the cache ended before a view met the condition")]
    Ended(#[source] Disconnected),
}

impl<D: Database> Cache<D> {
    /// Calls `look` with views until it returns something, up to `limit`; `None` for no limit.
    ///
    /// `look` is called with the current view, then with each one that is published, in order, without
    /// polling. So it also finds a condition that holds after one transaction and no longer after the
    /// next. When the caller is too slow, views are coalesced like the [batches of a
    /// stream](crate::cache::Changes). The view need not be [current](Self::is_current): call
    /// [`current`](Self::current) first where that matters.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// # let mut txn = client.transaction();
    /// # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), up: Some(true), ..Default::default() });
    /// # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
    /// # txn.commit().await?;
    /// use std::time::Duration;
    ///
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    ///
    /// // Wait until ovn-controller has bound the port and it is up.
    /// let port = cache
    ///     .wait_until(Duration::from_secs(30), |view| {
    ///         let port = view.get_by(Port::NAME, "p1")?;
    ///         (port.up == Some(true)).then(|| port.reference())
    ///     })
    ///     .await?;
    /// # let _ = port;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] when `look` returned nothing in time; [`WaitError::Ended`] when the
    /// client is closed or loses its runtime, or decoding a message for the cache panicked. The closure can
    /// report an error of its own by returning a `Result` inside the `Option`.
    pub async fn wait_until<R>(
        &self,
        limit: impl Into<Option<Duration>>,
        mut look: impl FnMut(&Snapshot<D>) -> Option<R>,
    ) -> Result<R, WaitError> {
        let limit = limit.into();
        let mut views = self.views();
        let found = async {
            while let Some(view) = views.next().await {
                if let Some(found) = look(&view) {
                    return Ok(found);
                }
            }
            Err(WaitError::Ended(self.why_ended()()))
        };
        let Some(limit) = limit else {
            return found.await;
        };
        match tokio::time::timeout(limit, found).await {
            Ok(found) => found,
            Err(_) => Err(WaitError::TimedOut {
                limit,
                freshness: self.freshness().get(),
                source: self.monitor_error().map(Box::new),
            }),
        }
    }
}
