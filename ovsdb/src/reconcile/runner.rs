//! The handle of a running reconciler: to stop it, and to read its health and statistics.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::attempt::Job;
use super::driver::drive;
use super::failures::FailingKey;
use super::health::{Ended, Unhealthy};
use crate::cache::{Freshness, WorkQueue};
use crate::model::Database;
use crate::stats::ReconcilerStats;

/// A running reconciler; [`Reconciler::run`](super::Reconciler::run) starts it. Clones are handles of
/// the same one, which stops when the last of them is dropped.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().all_tables().start().await?;
/// use std::time::Duration;
///
/// use ovsdb::nb::LogicalSwitch;
/// use ovsdb::reconcile::Reconciler;
///
/// let reconciler = Reconciler::new(&client, &cache).watch::<LogicalSwitch>(|switch| switch.name.clone());
/// let runner = reconciler.run(4, |name, _, txn| {
///     txn.comment(format!("looked at {name}"));
///     Ok(())
/// });
///
/// // For the health probe of a supervisor.
/// match runner.health() {
///     Ok(()) => println!("healthy"),
///     Err(reason) => println!("unhealthy: {reason}"),
/// }
/// // A key may come from elsewhere: the program's configuration, a timer.
/// runner.add("sw0".into());
///
/// // Running attempts are finished; wait for them, but only up to a limit.
/// if tokio::time::timeout(Duration::from_secs(10), runner.stop()).await.is_err() {
///     println!("{} attempts still run", runner.stats().running);
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[must_use = "the reconciler stops when the last handle is dropped"]
pub struct Runner<D: Database, K> {
    job: Arc<Job<D, K>>,
    queue: WorkQueue<K>,
    stop: Arc<watch::Sender<bool>>,
    ended: watch::Receiver<Option<Ended>>,
}

impl<D: Database, K> Clone for Runner<D, K> {
    fn clone(&self) -> Self {
        Self {
            job: self.job.clone(),
            queue: self.queue.clone(),
            stop: self.stop.clone(),
            ended: self.ended.clone(),
        }
    }
}

impl<D: Database, K> fmt::Debug for Runner<D, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("name", &self.job.settings.name)
            .field("ended", &*self.ended.borrow())
            .finish_non_exhaustive()
    }
}

impl<D: Database, K: Hash + Eq + Clone + fmt::Debug + Send + Sync + 'static> Runner<D, K> {
    #[track_caller]
    pub(super) fn start(job: Arc<Job<D, K>>, queue: WorkQueue<K>, concurrency: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = watch::channel(None);
        let drive = drive(job.clone(), queue.clone(), concurrency, stopped);
        tokio::spawn(async move {
            let ended = drive.await;
            end.send_replace(Some(ended));
        });
        let stop = Arc::new(stop);
        Self {
            job,
            queue,
            stop,
            ended,
        }
    }

    /// Queues a key, to be handled whether or not its rows have changed. After the end, it does
    /// nothing.
    pub fn add(&self, key: K) {
        self.queue.add(key);
    }

    /// Stops taking keys, and waits until the running attempts are finished. Queued keys are not
    /// handled.
    ///
    /// An attempt may wait for a connection up to the [request
    /// timeout](crate::ClientBuilder::request_timeout). If the future is dropped, the reconciler stops
    /// anyway. [`Client::close`](crate::Client::close) also ends running attempts.
    pub async fn stop(&self) -> Ended {
        self.stop.send_replace(true);
        self.ended().await
    }

    /// Waits until the reconciler has ended and its last attempt is finished.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Ended::RuntimeGone),
            Err(_) => Ended::RuntimeGone,
        }
    }

    /// Whether the reconciler is healthy; [`health`](Self::health) tells why not.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health().is_ok()
    }

    /// Whether the reconciler is healthy, for the probe of a supervisor.
    ///
    /// # Errors
    /// [`Unhealthy`] when it has ended, when the replica has not been current for longer than
    /// [`stale_limit`](super::Reconciler::stale_limit), and when keys have been failing for longer than
    /// [`failing_limit`](super::Reconciler::failing_limit).
    pub fn health(&self) -> Result<(), Unhealthy> {
        let ended = self.ended.borrow().clone();
        if let Some(ended) = ended {
            return Err(Unhealthy::Ended(ended));
        }
        if self.ended.has_changed().is_err() {
            return Err(Unhealthy::Ended(Ended::RuntimeGone));
        }
        if self.job.cache.freshness().get() == Freshness::Ended {
            // The reconciler has not noticed it yet.
            return Err(Unhealthy::Ended(Ended::CacheEnded));
        }
        let settings = &self.job.settings;
        if let Some(staleness) = self.job.cache.staleness()
            && staleness >= settings.stale_limit
        {
            return Err(Unhealthy::Stale {
                staleness,
                source: self.job.cache.monitor_error().map(Box::new),
            });
        }
        let failing = self.job.failing.for_longer_than(settings.failing_limit);
        match failing.first() {
            None => Ok(()),
            Some(first) => Err(Unhealthy::Failing {
                keys: failing.len(),
                key: format!("{:?}", first.key),
                attempts: first.attempts,
                since: first.since,
                source: first.error.clone(),
            }),
        }
    }

    /// The keys whose last attempt failed; those that fail the longest come first.
    #[must_use]
    pub fn failing(&self) -> Vec<FailingKey<K>> {
        self.job.failing.for_longer_than(Duration::ZERO)
    }

    /// Counters of the reconciler, and how many keys wait.
    #[must_use]
    pub fn stats(&self) -> ReconcilerStats {
        // Count the keys before reading the counters, so that finished work is in the counters.
        let [queued, running, delayed] = self.queue.counts();
        let mut stats = self.job.counters.stats();
        (stats.queued, stats.running, stats.delayed) = (queued, running, delayed);
        stats.failing = self.job.failing.len();
        stats
    }
}
