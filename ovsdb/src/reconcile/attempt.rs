//! Attempts: run the closure for keys, commit what it wrote, and decide what happens to the keys next.

use std::error::Error;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tracing::Instrument as _;

use super::Settings;
use super::failures::{Failing, Failures};
use crate::cache::{Snapshot, Work, catching, message};
use crate::client::{Cache, Client};
use crate::error_chain::ErrorChain;
use crate::model::Database;
use crate::stats::ReconcilerCounters;
use crate::transaction::{CommitError, Transaction};

/// How often keys that share a transaction are tried together before they are split.
const SHARED_TRIES: usize = 3;

/// The error of a closure that reconciles: any error, or a text. `?` converts into it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The user's closure.
type Reconcile<D, K> = dyn Fn(&Attempt<'_, K>, &Snapshot<D>, &mut Transaction<D>) -> Result<(), BoxError>
    + Send
    + Sync;

/// A key that is being handled, with the history of its earlier attempts;
/// [`Reconciler::run_attempts`](super::Reconciler::run_attempts) passes it to the closure.
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
    /// The number of this attempt: 1, plus the number of earlier attempts in a row that failed.
    pub number: u32,
    /// How often the closure was run before in this attempt. It is run again after a conflict with
    /// another client; more rarely, after a lost connection, or because another key that shares the
    /// commit failed or the keys that share it are tried in halves.
    pub conflicts: u32,
    /// The error of the previous attempt.
    pub last_error: Option<&'a (dyn Error + Send + Sync + 'static)>,
}

/// Why an attempt failed: for one of its keys, or for all of them.
#[derive(Debug)]
enum Failure {
    Closure(usize, BoxError),
    Panic(usize, ClosurePanicked),
    Commit(CommitError),
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::Commit(error)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the closure panicked: {0}")]
struct ClosurePanicked(String);

/// A key that is being handled, with its earlier failures.
struct Begun<K: Hash + Eq + Clone + Send + 'static> {
    work: Work<K>,
    before: Option<Failures>,
    /// How often the closure was run for the key in this attempt.
    runs: u32,
}

impl<K: Hash + Eq + Clone + Send + 'static> Begun<K> {
    fn attempt(&self) -> Attempt<'_, K> {
        let before = self.before.as_ref();
        Attempt {
            key: self.work.key(),
            number: before.map_or(1, |before| before.attempts.saturating_add(1)),
            conflicts: self.runs,
            last_error: before.map(|before| &*before.error),
        }
    }
}

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

    /// Makes one attempt for keys.
    pub(super) async fn attempt(&self, keys: Vec<Work<K>>) {
        let begun = keys.into_iter().map(|work| {
            let before = self.failing.of(work.key());
            self.counters.attempts.add(1);
            self.counters.retries.add(usize::from(before.is_some()));
            Begun {
                work,
                before,
                runs: 0,
            }
        });
        let mut groups = vec![begun.collect::<Vec<_>>()];
        while let Some(mut group) = groups.pop() {
            match self.commit(&mut group).await {
                Ok(()) => group.into_iter().for_each(|begun| self.succeeded(begun)),
                Err(Failure::Closure(at, error)) => {
                    self.failed(group.remove(at), error.into(), false);
                    groups.push(group);
                }
                Err(Failure::Panic(at, panic)) => {
                    self.failed(group.remove(at), Arc::new(panic), true);
                    groups.push(group);
                }
                // The keys are not at fault: they are tried again once the replica is current.
                Err(Failure::Commit(CommitError::NotSent(_))) if !self.cache.is_current() => {
                    group.into_iter().for_each(|begun| begun.work.retry());
                }
                // The server may refuse the transaction because of only some of the keys.
                Err(Failure::Commit(CommitError::Build(_) | CommitError::Refused(_)))
                    if group.len() > 1 =>
                {
                    let half = group.split_off(group.len() / 2);
                    groups.extend([half, group]);
                }
                Err(Failure::Commit(error)) => {
                    let error: Arc<dyn Error + Send + Sync> = Arc::new(error);
                    for begun in group {
                        self.failed(begun, error.clone(), false);
                    }
                }
            }
        }
    }

    /// Commits what the closure writes for these keys.
    async fn commit(&self, group: &mut [Begun<K>]) -> Result<(), Failure> {
        let Some(first) = group.first() else {
            return Ok(());
        };
        let (database, reconciler) = (self.client.database(), &*self.settings.name);
        let (keys, key, number) = (group.len(), first.work.key(), first.attempt().number);
        let span = tracing::debug_span!(
            "ovsdb_reconcile",
            database,
            reconciler,
            keys,
            ?key,
            attempt = number
        );
        let mut runs: usize = 0;
        let change = |view: &Snapshot<D>, txn: &mut Transaction<D>| {
            runs += 1;
            for (at, begun) in group.iter_mut().enumerate() {
                let attempt = begun.attempt();
                let ended = catching(|| (self.reconcile)(&attempt, view, txn));
                begun.runs += 1;
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(Failure::Closure(at, error)),
                    Err(panic) => {
                        let message = message(&*panic).to_owned();
                        return Err(Failure::Panic(at, ClosurePanicked(message)));
                    }
                }
            }
            Ok(())
        };
        let mut policy = self.settings.conflicts;
        if keys > 1 {
            // Split the group after a few conflicts: a transaction with fewer keys conflicts less often.
            policy.tries = policy.tries.min(SHARED_TRIES);
        }
        let apply = self.client.apply_with(policy, &self.cache, change);
        let result = apply.instrument(span).await;
        self.counters.conflicts.add(runs.saturating_sub(1));
        result.map(drop)
    }

    fn succeeded(&self, Begun { work, before, .. }: Begun<K>) {
        self.failing.succeeded(work.key());
        self.counters.succeeded(work.age());
        if before.is_some() {
            let (database, reconciler) = (self.client.database(), &*self.settings.name);
            tracing::debug!(database, reconciler, key = ?work.key(), "the key no longer fails");
        }
        work.done();
    }

    /// Records a failed attempt, and queues the key again after a delay.
    fn failed(
        &self,
        Begun { work, .. }: Begun<K>,
        error: Arc<dyn Error + Send + Sync>,
        panicked: bool,
    ) {
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
        if !planted!(FailedKeyForgotten) {
            work.retry_after(delay);
        }
    }
}
