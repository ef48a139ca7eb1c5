//! Keys whose last attempt failed.

use std::collections::HashMap;
use std::error::Error;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A key whose last attempts failed; [`Runner::failing`](super::Runner::failing) lists them.
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
///
/// for failing in runner.failing() {
///     let error = ErrorChain::new(&*failing.error);
///     println!("{}: {} attempts in {:?}: {error}", failing.key, failing.attempts, failing.since);
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FailingKey<K> {
    /// The key.
    pub key: K,
    /// How many attempts in a row failed.
    pub attempts: u32,
    /// How long ago the first of these attempts failed.
    pub since: Duration,
    /// Why the last one failed: the error of the closure, a [`CommitError`](crate::CommitError), or
    /// the message of a panic.
    pub error: Arc<dyn Error + Send + Sync>,
}

/// The failures of a key in a row.
#[derive(Debug, Clone)]
pub(super) struct Failures {
    pub(super) attempts: u32,
    first: Instant,
    pub(super) error: Arc<dyn Error + Send + Sync>,
}

#[derive(Debug)]
pub(super) struct Failing<K> {
    keys: Mutex<HashMap<K, Failures>>,
}

impl<K: Hash + Eq + Clone> Failing<K> {
    pub(super) fn new() -> Self {
        Self {
            keys: Mutex::new(HashMap::new()),
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<K, Failures>> {
        // Nothing panics while the lock is held, except a key's own code (`Hash`, `Eq`, `Clone`).
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.keys().len()
    }

    pub(super) fn of(&self, key: &K) -> Option<Failures> {
        self.keys().get(key).cloned()
    }

    pub(super) fn succeeded(&self, key: &K) {
        self.keys().remove(key);
    }

    /// Records a failure. Returns how many there were in a row.
    pub(super) fn failed(&self, key: &K, error: Arc<dyn Error + Send + Sync>) -> u32 {
        let mut keys = self.keys();
        match keys.get_mut(key) {
            Some(failures) => {
                failures.attempts = failures.attempts.saturating_add(1);
                failures.error = error;
                failures.attempts
            }
            None => {
                let (attempts, first) = (1, Instant::now());
                let failures = Failures {
                    attempts,
                    first,
                    error,
                };
                keys.insert(key.clone(), failures);
                attempts
            }
        }
    }

    /// The keys that have been failing for this long; those that fail the longest come first.
    pub(super) fn for_longer_than(&self, limit: Duration) -> Vec<FailingKey<K>> {
        let keys = self.keys();
        let mut failing: Vec<_> = keys
            .iter()
            .map(|(key, failures)| FailingKey {
                key: key.clone(),
                attempts: failures.attempts,
                since: failures.first.elapsed(),
                error: failures.error.clone(),
            })
            .filter(|failing| failing.since >= limit)
            .collect();
        drop(keys);
        failing.sort_by_key(|failing| std::cmp::Reverse(failing.since));
        failing
    }
}
