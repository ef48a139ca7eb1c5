//! One attempt: runs the closure for a key, commits what it wrote, and decides what becomes of the key.
//!
//! [`Job::attempt`] is the one place that commits. Keys whose closures could share a transaction would be
//! taken from the queue together here.

use std::error::Error;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tracing::Instrument as _;

use super::Settings;
use super::failures::Failing;
use crate::cache::{Snapshot, Work, catching, message};
use crate::client::{Cache, Client};
use crate::error_chain::ErrorChain;
use crate::model::Database;
use crate::stats::ReconcilerCounters;
use crate::transaction::{CommitError, Transaction};

/// The error of a closure that reconciles: any error, or a text. `?` converts into it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The closure of the user.
type Reconcile<D, K> = dyn Fn(&Attempt<'_, K>, &Snapshot<D>, &mut Transaction<D>) -> Result<(), BoxError>
    + Send
    + Sync;

/// A key that is worked on, and what became of it before;
/// [`Reconciler::run_attempts`](super::Reconciler::run_attempts) gives it to the closure.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// use ovsdb::nb::LogicalSwitch;
/// use ovsdb::reconcile::Reconciler;
///
/// let reconciler = Reconciler::new(&client, &cache);
/// let runner = reconciler.watch::<LogicalSwitch>(|switch| switch.uuid()).run_attempts(4, |attempt, _, _| {
///     if attempt.number > 10 {
///         println!("{} still fails: {:?}", attempt.key, attempt.last_error);
///     }
///     Ok(())
/// });
/// # runner.stop().await;
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Attempt<'a, K> {
    /// The key.
    pub key: &'a K,
    /// 1, and one more for each attempt in a row that has failed before.
    pub number: u32,
    /// How often the closure was run in this attempt before: it is run again after a conflict with
    /// another client.
    pub conflicts: u32,
    /// Why the attempt before has failed.
    pub last_error: Option<&'a (dyn Error + Send + Sync + 'static)>,
}

/// Why an attempt failed.
#[derive(Debug)]
enum Failure {
    Closure(BoxError),
    Panic(ClosurePanicked),
    Commit(CommitError),
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::Commit(error)
    }
}

impl From<Failure> for Arc<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Closure(error) => Self::from(error),
            Failure::Panic(panic) => Arc::new(panic),
            Failure::Commit(error) => Arc::new(error),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the closure panicked: {0}")]
struct ClosurePanicked(String);

/// What the tasks of a runner share.
pub(super) struct Job<D: Database, K> {
    pub(super) client: Client<D>,
    pub(super) cache: Cache<D>,
    pub(super) settings: Settings,
    pub(super) failing: Failing<K>,
    pub(super) counters: ReconcilerCounters,
    reconcile: Box<Reconcile<D, K>>,
}

impl<D: Database, K: Hash + Eq + Clone + fmt::Debug + Send + Sync + 'static> Job<D, K> {
    pub(super) fn new(
        client: Client<D>,
        cache: Cache<D>,
        settings: Settings,
        reconcile: impl Fn(&Attempt<'_, K>, &Snapshot<D>, &mut Transaction<D>) -> Result<(), BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let counters = ReconcilerCounters::new(client.database(), &settings.name);
        Self {
            client,
            cache,
            settings,
            failing: Failing::new(),
            counters,
            reconcile: Box::new(reconcile),
        }
    }

    /// Works on a key once.
    pub(super) async fn attempt(&self, work: Work<K>) {
        let key = work.key();
        let before = self.failing.of(key);
        let number = before.as_ref().map_or(1, |before| before.attempts + 1);
        self.counters.attempts.add(1);
        if before.is_some() {
            self.counters.retries.add(1);
        }
        let mut attempt = Attempt {
            key,
            number,
            conflicts: 0,
            last_error: before.as_ref().map(|before| &*before.error),
        };
        let mut runs = 0;
        let change = |view: &Snapshot<D>, txn: &mut Transaction<D>| {
            attempt.conflicts = runs;
            runs += 1;
            match catching(|| (self.reconcile)(&attempt, view, txn)) {
                Ok(result) => result.map_err(Failure::Closure),
                Err(panic) => Err(Failure::Panic(ClosurePanicked(message(&*panic).to_owned()))),
            }
        };
        let (database, reconciler) = (self.client.database(), &*self.settings.name);
        let span = tracing::debug_span!("ovsdb_reconcile", database, reconciler, ?key, number);
        let apply = self
            .client
            .apply_with(self.settings.conflicts, &self.cache, change);
        let result = apply.instrument(span.clone()).await;
        self.counters.conflicts.add(runs.saturating_sub(1) as usize);
        match result {
            Ok(_) => {
                self.failing.succeeded(key);
                self.counters.succeeded(work.age());
                if number > 1 {
                    span.in_scope(|| tracing::debug!(database, "the key no longer fails"));
                }
                work.done();
            }
            // That is no fault of the key: it is worked on once there is a connection again.
            Err(Failure::Commit(CommitError::NotSent(_))) if !self.cache.is_current() => {
                work.retry();
            }
            Err(failure) => {
                span.in_scope(|| self.failed(work, failure));
            }
        }
    }

    /// Notes why an attempt failed, and has the key tried again later.
    fn failed(&self, work: Work<K>, failure: Failure) {
        let panicked = matches!(failure, Failure::Panic(_));
        let error: Arc<dyn Error + Send + Sync> = failure.into();
        self.counters.failures.add(1);
        let attempts = self.failing.failed(work.key(), error.clone());
        let delay = self.settings.backoff.wait(attempts);
        let (database, reconciler) = (self.client.database(), &*self.settings.name);
        let (key, error) = (work.key(), ErrorChain::new(&*error));
        if panicked {
            tracing::error!(database, reconciler, ?key, attempts, ?delay, %error, "a key failed");
        } else if attempts.is_power_of_two() {
            tracing::warn!(database, reconciler, ?key, attempts, ?delay, %error, "a key failed");
        } else {
            tracing::debug!(database, reconciler, ?key, attempts, ?delay, %error, "a key failed");
        }
        work.retry_after(delay);
    }
}
