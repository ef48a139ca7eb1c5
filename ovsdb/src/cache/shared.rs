//! What the handles of a replica and the session share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::skew::SkewReport;
use super::state::State;
use super::subscription::{Step, Subscription};
use crate::error_chain::ErrorChain;
use crate::protocol::MonitorVersion;
use crate::stats::{CacheCounters, CacheStats};
use crate::value::Str;

/// Why a monitor cannot be started: an error of the session, whose type this module does not know.
pub(crate) type Cause = dyn std::error::Error + Send + Sync;

/// Whether the replica follows the server.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// use ovsdb::cache::Freshness;
///
/// match cache.freshness().get() {
///     Freshness::StaleSince(lost) => println!("no connection for {:?}", lost.elapsed()),
///     Freshness::RefusedSince(_) => println!("{:?}", cache.monitor_error()),
///     freshness => println!("{freshness}"),
/// }
/// # assert!(matches!(cache.freshness().get(), Freshness::Current));
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// The replica follows the server.
    Current,
    /// The connection is lost, or the server has not answered the monitor request yet. The replica has
    /// not been current since this time.
    StaleSince(Instant),
    /// The monitor cannot be started although the connection works: the server refuses it, lacks what a
    /// condition needs, or sends rows that do not fit the tables. Or starting it lost several connections in
    /// a row. The replica has not been current since this time.
    /// [`Cache::monitor_error`](crate::Cache::monitor_error) tells why.
    RefusedSince(Instant),
    /// The client was closed, lost its runtime, or decoding a message for the cache panicked: the replica will not
    /// change any more.
    Ended,
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "the cache follows the server",
            Self::StaleSince(_) => "the cache does not follow the server now",
            Self::RefusedSince(_) => "the cache cannot follow the server",
            Self::Ended => {
                "the cache has ended: its client was closed or lost its runtime, or decoding a message panicked"
            }
        })
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) state: ArcSwap<State>,
    pub(super) skew: ArcSwap<SkewReport>,
    pub(super) counters: CacheCounters,
    /// The database's name, for the log.
    pub(super) database: Str,
    freshness: watch::Sender<Freshness>,
    has_panicked: Arc<AtomicBool>,
    /// The id of the request whose rows make the replica current; 0 when there is none. Changed only
    /// under the lock of `freshness`.
    request: AtomicU64,
    /// Why the monitor cannot be started. Changed only under the lock of `freshness`.
    refused: Mutex<Option<Arc<Cause>>>,
    version: Mutex<MonitorVersion>,
    /// The streams; `None` once no state follows. The lock is held while a state is published, so that a
    /// new stream misses no state and gets none twice.
    subscriptions: Mutex<Option<Vec<Weak<Subscription>>>>,
}

impl Shared {
    pub(super) fn new(
        state: State,
        skew: SkewReport,
        version: MonitorVersion,
        database: &str,
    ) -> Self {
        Self {
            counters: CacheCounters::new(database),
            database: database.into(),
            state: ArcSwap::from_pointee(state),
            skew: ArcSwap::from_pointee(skew),
            freshness: watch::Sender::new(Freshness::StaleSince(Instant::now())),
            has_panicked: Arc::default(),
            request: AtomicU64::new(0),
            refused: Mutex::default(),
            version: Mutex::new(version),
            subscriptions: Mutex::new(Some(Vec::new())),
        }
    }

    fn subscriptions(&self) -> MutexGuard<'_, Option<Vec<Weak<Subscription>>>> {
        // Nothing panics while the lock is held. Wakers are called only after it is released: a waker may
        // run a reader's code, which may open a stream.
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A queue for a stream, and the state before the first one that will be queued.
    pub(super) fn subscribe(&self, table: Option<usize>) -> (Arc<Subscription>, Arc<State>) {
        let subscription = Arc::new(Subscription::new(table));
        let mut subscriptions = self.subscriptions();
        match &mut *subscriptions {
            Some(subscriptions) => subscriptions.push(Arc::downgrade(&subscription)),
            // Nothing waits for it yet.
            None => drop(subscription.end()),
        }
        (subscription, self.state.load_full())
    }

    /// Publishes a state, and queues it for the streams.
    pub(super) fn publish(&self, step: &Step) {
        let mut subscriptions = self.subscriptions();
        let before = self.state.swap(step.state.clone());
        if before.is_same(&step.state) && !step.schema_change {
            return;
        }
        let mut wakers = Vec::new();
        if let Some(streams) = &mut *subscriptions {
            streams.retain(|subscription| match subscription.upgrade() {
                Some(subscription) => {
                    wakers.extend(subscription.push(&before, step));
                    true
                }
                None => false,
            });
        }
        drop(subscriptions);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The replica has the rows of `request`, and is current from now on, unless the request was
    /// abandoned meanwhile.
    pub(crate) fn set_current(&self, request: u64) {
        self.freshness.send_if_modified(|freshness| {
            if self.request.load(Ordering::Relaxed) != request
                || matches!(freshness, Freshness::Current | Freshness::Ended)
            {
                return false;
            }
            *self.refused() = None;
            *freshness = Freshness::Current;
            true
        });
    }

    fn refused(&self) -> MutexGuard<'_, Option<Arc<Cause>>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The monitor cannot be started, for this reason. Returns whether the reason is new.
    pub(crate) fn set_refused(&self, error: Arc<Cause>, now: Instant) -> bool {
        let mut news = false;
        self.freshness.send_if_modified(|freshness| {
            let since = match *freshness {
                Freshness::Current => now,
                Freshness::StaleSince(since) | Freshness::RefusedSince(since) => since,
                Freshness::Ended => return false,
            };
            self.request.store(0, Ordering::Relaxed);
            let text = ErrorChain::new(&*error).to_string();
            let before = self.refused().replace(error.clone());
            news = before.is_none_or(|before| ErrorChain::new(&*before).to_string() != text);
            *freshness = Freshness::RefusedSince(since);
            news
        });
        news
    }

    /// Why the monitor cannot be started.
    pub(crate) fn refusal(&self) -> Option<Arc<Cause>> {
        self.refused().clone()
    }

    /// The names of the tables.
    pub(crate) fn tables(&self) -> Box<[Str]> {
        self.state.load().registry.names.clone()
    }

    /// The replica is stale until it has the rows of `request`; 0 when nothing is requested. A refused
    /// monitor that is requested again stays refused until it has these rows.
    pub(crate) fn set_stale(&self, request: u64, now: Instant) {
        self.freshness.send_if_modified(|freshness| {
            self.request.store(request, Ordering::Relaxed);
            *freshness = match *freshness {
                Freshness::Current => Freshness::StaleSince(now),
                Freshness::RefusedSince(since) if request == 0 => {
                    *self.refused() = None;
                    Freshness::StaleSince(since)
                }
                _ => return false,
            };
            true
        });
    }

    /// The request that made the replica current; `None` when it is not current.
    fn current_request(&self) -> Option<u64> {
        let freshness = self.freshness.borrow();
        let current = *freshness == Freshness::Current;
        current.then(|| self.request.load(Ordering::Relaxed))
    }

    pub(super) fn set_version(&self, version: MonitorVersion) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }

    /// How the server's schema differs from the compiled tables.
    pub(crate) fn skew(&self) -> Arc<SkewReport> {
        self.skew.load_full()
    }

    pub(crate) fn version(&self) -> MonitorVersion {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn freshness(&self) -> watch::Receiver<Freshness> {
        self.freshness.subscribe()
    }

    /// An update was published this long after its last byte arrived.
    pub(super) fn set_lag(&self, lag: Duration) {
        self.counters.set_lag(lag);
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let queues: Vec<usize> = self
            .subscriptions()
            .iter()
            .flatten()
            .filter_map(|subscription| Some(subscription.upgrade()?.len()))
            .collect();
        CacheStats {
            rows: self.state.load().len(),
            transactions: self.counters.transactions.get(),
            bytes: self.counters.bytes.get(),
            resyncs: self.counters.resyncs.get(),
            lag: self.counters.lag(),
            streams: queues.len(),
            longest_queue: queues.into_iter().max().unwrap_or(0),
        }
    }

    /// Whether the replica ended because decoding a message panicked.
    pub(crate) fn has_panicked(&self) -> Arc<AtomicBool> {
        self.has_panicked.clone()
    }

    /// Ends the streams: no state will follow.
    pub(super) fn end(&self, has_panicked: bool) {
        self.has_panicked.store(has_panicked, Ordering::Release);
        let ended = self.subscriptions().take();
        self.freshness.send_replace(Freshness::Ended);
        let ended = ended.iter().flatten();
        ended
            .filter_map(|subscription| subscription.upgrade()?.end())
            .for_each(Waker::wake);
    }
}

/// Records whether a replica was current when a transaction began to read it. The basis holds as long
/// as the replica stays current. It does not hold again when the replica becomes current again.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    shared: Arc<Shared>,
    /// The request that made the replica current; `None` when it was not.
    request: Option<u64>,
}

impl Basis {
    /// The replica as it is now.
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        Self {
            request: shared.current_request(),
            shared: shared.clone(),
        }
    }

    /// Whether both are of the same replica, and either the same request made it current at both times,
    /// or it was current at neither. A transaction whose replica was not current is never sent.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.request == other.request
    }

    /// Whether the replica was current all the time since.
    pub(crate) fn holds(&self) -> bool {
        self.request.is_some() && self.shared.current_request() == self.request
    }
}
