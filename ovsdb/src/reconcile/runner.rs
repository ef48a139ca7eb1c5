//! The handle of what runs: stopping it, whether it is healthy, what it has done.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::attempt::Job;
use super::driver::drive;
use super::failures::FailingKey;
use super::health::{Ended, Unhealthy};
use crate::cache::WorkQueue;
use crate::model::Database;
use crate::stats::ReconcilerStats;

/// A reconciler that runs; [`Reconciler::run`](super::Reconciler::run) makes it. All clones are handles of the
/// same one, and it stops when the last is dropped.
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
/// // What the probe of a supervisor asks for.
/// match runner.health() {
///     Ok(()) => println!("healthy"),
///     Err(reason) => println!("unhealthy: {reason}"),
/// }
/// // A key may come from elsewhere: the program's configuration, a timer.
/// runner.add("sw0".into());
///
/// // Attempts that run are finished, but not for ever.
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

    /// Queues a key, to be worked on whatever the rows are; after the end it does nothing.
    pub fn add(&self, key: K) {
        self.queue.add(key);
    }

    /// Takes no key any more, and waits until the attempts that run are finished. Keys that are queued
    /// stay undone.
    ///
    /// An attempt may wait for a connection as long as the
    /// [request timeout](crate::ClientBuilder::request_timeout) says. When the future is dropped the
    /// reconciler stops all the same; [`Client::close`](crate::Client::close) ends the attempts as well.
    pub async fn stop(&self) -> Ended {
        self.stop.send_replace(true);
        self.ended().await
    }

    /// Waits until the reconciler has ended, and its last attempt is finished.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Ended::RuntimeGone),
            Err(_) => Ended::RuntimeGone,
        }
    }

    /// Whether the reconciler does its work; [`health`](Self::health) says why not.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health().is_ok()
    }

    /// Whether the reconciler does its work, for the probe of a supervisor.
    ///
    /// # Errors
    /// [`Unhealthy`], when it has ended, when the replica has not been current for longer than
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

    /// The keys whose last attempt has failed, those that fail for the longest time first.
    #[must_use]
    pub fn failing(&self) -> Vec<FailingKey<K>> {
        self.job.failing.for_longer_than(Duration::ZERO)
    }

    /// What the reconciler has done, and has to do.
    #[must_use]
    pub fn stats(&self) -> ReconcilerStats {
        // Before the counters: what is done by now has been counted.
        let [queued, running, delayed] = self.queue.counts();
        let mut stats = self.job.counters.stats();
        (stats.queued, stats.running, stats.delayed) = (queued, running, delayed);
        stats.failing = self.job.failing.len();
        stats
    }
}
