//! A level-triggered work queue: controllers get the keys of objects to look at, not events.

mod delays;
mod keys;

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::hash::Hash;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Instant;

use self::delays::Timer;
use self::keys::{Keys, Next, Place};
use super::all_changes::{AllChanges, DatabaseChanges};
use super::changes::{Change, Changes};
use super::snapshot::Snapshot;
use crate::model::{Database, Table};

/// Polls a source for new keys. Ready when the source has ended, with the panic if one ended it.
type Source<K> = Box<dyn FnMut(&mut Context<'_>, &mut dyn FnMut(K)) -> Poll<Option<Panic>> + Send>;

/// The payload of a panic in a closure of the user.
type Panic = Box<dyn Any + Send>;

struct Inner<K> {
    keys: Mutex<Keys<K>>,
    sources: Mutex<Vec<Source<K>>>,
    timer: Timer,
    /// The waker that sources get. It wakes every waiting worker, since the worker that polled the
    /// source may no longer wait.
    source_waker: Waker,
}

/// Wakes the queue. The reference is weak, since the queue owns the sources, and they own this
/// waker.
struct SourceWaker<K>(Weak<Inner<K>>);

impl<K: Send + 'static> Wake for SourceWaker<K> {
    fn wake(self: Arc<Self>) {
        if let Some(inner) = self.0.upgrade() {
            let mut keys = inner.keys();
            keys.sources_ready = true;
            Inner::wake_all(keys);
        }
    }
}

/// A queue of keys, fed from changes: the objects that workers must look at again.
///
/// A key is in the queue at most once, however often it is added, and at most one worker works on it. If it
/// is added meanwhile, it is queued again when the worker is done. So no change is missed,
/// and the queue never holds more entries than there are keys. Workers share the queue by cloning it.
/// Several caches can feed one queue, also those of two databases.
///
/// The queue ends when [`close`](Self::close) is called, or when all streams that feed it have ended,
/// as they do when their cache ends. From then on neither [`add`](Self::add) nor [`Work::retry`]
/// queues anything, and keys that wait for a [delay](Work::retry_after) are dropped. Keys that were queued
/// before, or added while in work, are still handed out; then each worker gets `None`. A closed queue
/// stays closed. One whose streams have ended continues when it is fed from another stream.
///
/// Keys are compared, hashed, cloned and dropped while the queue is locked, so this code must not use the queue.
///
/// If the closure of a feed panics, the change or batch that it was called for is lost. This is not
/// silent: the queue takes the keys of all other available changes, is closed, and resumes the panic in
/// the worker that polled it.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let mut txn = client.transaction();
/// # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
/// # txn.commit().await?;
/// # let cache = client.cache();
/// # let cache = cache.table::<ovsdb::nb::LogicalSwitch>().table::<ovsdb::nb::LogicalSwitchPort>().index_references_to::<ovsdb::nb::LogicalSwitchPort>().start().await?;
/// use ovsdb::cache::WorkQueue;
/// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
///
/// // The switches: queued when they change, or when one of their ports does.
/// let queue = WorkQueue::new();
/// queue.feed(cache.changes::<LogicalSwitch>(), |change, _| [change.uuid()]);
/// queue.feed(cache.changes::<LogicalSwitchPort>(), |change, view| {
///     let switches = view.referrers::<LogicalSwitch>(change.reference());
///     switches.map(|switch| switch.uuid()).collect::<Vec<_>>()
/// });
/// while let Some(switch) = queue.next().await {
///     println!("look at {}", switch.key());
///     switch.done();
/// #   break;
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
pub struct WorkQueue<K> {
    inner: Arc<Inner<K>>,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> Default for WorkQueue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue")
            .field("queued", &self.inner.keys().queue.len())
            .finish_non_exhaustive()
    }
}

impl<K> Inner<K> {
    fn keys(&self) -> MutexGuard<'_, Keys<K>> {
        // Nothing panics while the lock is held, except a key's own code, such as its comparison or its
        // clone.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(mut keys: MutexGuard<'_, Keys<K>>) {
        let waiting = std::mem::take(&mut keys.waiting);
        drop(keys);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> WorkQueue<K> {
    /// An empty queue with no source.
    #[must_use]
    pub fn new() -> Self {
        let inner = Arc::new_cyclic(|inner: &Weak<Inner<K>>| Inner {
            keys: Mutex::new(Keys::new()),
            sources: Mutex::default(),
            timer: Timer::default(),
            source_waker: Waker::from(Arc::new(SourceWaker(inner.clone()))),
        });
        Self { inner }
    }

    /// Queues the keys that `keys` returns for each change of a table; `keys` also gets the tables
    /// after the change. The first keys are those of all rows.
    ///
    /// When the server's schema [changes](super::BatchKind::is_schema_change), all rows must be looked
    /// at again: `keys` is called for each with [`Change::Inserted`], as at the beginning.
    ///
    /// The workers that wait for a key run `keys`. It must not feed or close the queue itself: that
    /// would deadlock.
    pub fn feed<T: Table, I: IntoIterator<Item = K>>(
        &self,
        changes: Changes<T>,
        mut keys: impl FnMut(&Change<T>, &Snapshot<T::Database>) -> I + Send + 'static,
    ) {
        self.feed_from(changes, move |changes, batch, add| {
            let mut panic = None;
            let mut take = |change: &Change<T>| {
                let caught = catching(|| {
                    let keys = keys(change, batch.snapshot()).into_iter();
                    keys.for_each(&mut *add);
                });
                if let Err(caught) = caught {
                    let (database, table) = (changes.database(), T::TABLE);
                    let (row, words) = (change.uuid(), message(&*caught));
                    tracing::error!(database, table, %row, panic = words, "the closure of a feed panicked");
                    panic.get_or_insert(caught);
                }
            };
            batch.iter().for_each(&mut take);
            if batch.kind().is_schema_change() {
                let view = batch.snapshot();
                let rows = view.rows::<T>().filter(|row| changes.shows(row));
                let rows = rows.filter_map(|row| view.get_shared(row.reference()));
                rows.for_each(|row| take(&Change::Inserted(row)));
            }
            panic.map_or(Ok(()), Err)
        });
    }

    /// Queues the keys that `keys` returns for each batch of the stream: first all rows, then each
    /// transaction and each change of the [schema](super::BatchKind::is_schema_change). As in
    /// [`feed`](Self::feed), `keys` must not feed or close the queue.
    pub fn feed_all<D: Database, I: IntoIterator<Item = K>>(
        &self,
        changes: AllChanges<D>,
        mut keys: impl FnMut(&DatabaseChanges<D>) -> I + Send + 'static,
    ) {
        self.feed_from(changes, move |changes, batch, add| {
            let caught = catching(|| keys(&batch).into_iter().for_each(add));
            if let Err(panic) = &caught {
                let (database, panic) = (changes.database(), message(&**panic));
                tracing::error!(database, panic, "the closure of a feed panicked");
            }
            caught
        });
    }

    /// Queues the keys that `each` returns for the items of a stream.
    fn feed_from<S: Stream + Unpin + Send + 'static>(
        &self,
        mut stream: S,
        mut each: impl FnMut(&S, S::Item, &mut dyn FnMut(K)) -> Result<(), Panic> + Send + 'static,
    ) {
        let source: Source<K> = Box::new(move |context, add| {
            let mut panic = None;
            loop {
                match (Pin::new(&mut stream).poll_next(context), panic.take()) {
                    (Poll::Ready(Some(item)), before) => {
                        panic = before.or(each(&stream, item, add).err());
                    }
                    (Poll::Pending, None) => return Poll::Pending,
                    (_, panic) => return Poll::Ready(panic),
                }
            }
        });
        let mut sources = self.sources();
        let mut keys = self.inner.keys();
        if keys.closed {
            return;
        }
        sources.push(source);
        drop(sources);
        keys.exhausted = false;
        keys.sources_ready = true;
        Inner::wake_all(keys);
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Source<K>>> {
        let sources = &self.inner.sources;
        sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a key. After the queue has ended, it does nothing.
    pub fn add(&self, key: K) {
        let mut keys = self.inner.keys();
        if !keys.has_ended() && keys.add(key, Instant::now()) {
            Inner::wake_all(keys);
        }
    }

    /// Ends the queue for good. Queued keys are still handed out, then [`next`](Self::next) returns
    /// `None`.
    pub fn close(&self) {
        let mut sources = self.sources();
        let mut keys = self.inner.keys();
        keys.closed = true;
        // User code must not run under a lock: neither wakers, nor the destructors of sources and keys.
        let delayed = keys.take_delayed();
        let ended = std::mem::take(&mut *sources);
        drop(sources);
        Inner::wake_all(keys);
        drop((ended, delayed));
    }

    /// The number of queued keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.keys().queue.len()
    }

    /// The number of keys that wait for their [delay](Work::retry_after) to end.
    #[must_use]
    pub fn delayed(&self) -> usize {
        self.inner.keys().delays.len()
    }

    /// How many keys are queued, in work, and delayed, all counted at one moment.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let keys = self.inner.keys();
        let (queued, delayed) = (keys.queue.len(), keys.delays.len());
        [queued, keys.places.len() - queued - delayed, delayed]
    }

    /// Whether no key is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key, for one worker. Returns `None` at the end: the queue has ended, no key is queued,
    /// and no worker has a key. Cancel-safe: no key is lost when the future is dropped.
    ///
    /// # Panics
    /// When the closure of a feed or the [predicate](Changes::rows) of its stream panicked, or when a key
    /// is [delayed](Work::retry_after) and the worker does not run in a tokio runtime with a timer.
    pub async fn next(&self) -> Option<Work<K>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    pub(crate) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Work<K>>> {
        loop {
            self.look_for_keys();
            let mut keys = self.inner.keys();
            if !keys.delays.is_empty() {
                keys.queue_due(Instant::now());
            }
            if let Some(work) = self.take(&mut keys) {
                if keys.sources_ready || !keys.queue.is_empty() {
                    // More keys wait, and the worker that was woken for them may have been this one.
                    Inner::wake_all(keys);
                }
                return Poll::Ready(Some(work));
            }
            if keys.has_ended() && keys.places.is_empty() {
                return Poll::Ready(None);
            }
            if !keys.sources_ready {
                keys.wait(context);
                let delayed = !keys.delays.is_empty();
                drop(keys);
                if !(delayed && self.poll_timer()) {
                    return Poll::Pending;
                }
            }
        }
    }

    /// Hands out the first key.
    fn take(&self, keys: &mut Keys<K>) -> Option<Work<K>> {
        let key = keys.queue.pop_front()?;
        let place = keys.places.insert(key.clone(), Place::InWork);
        let since = match place {
            Some(Place::Queued(since)) => since,
            _ => Instant::now(),
        };
        Some(Work {
            key,
            queue: self.clone(),
            since,
            next: Next::Done,
        })
    }

    /// Hands out queued keys, at most this many.
    pub(crate) fn take_queued(&self, most: usize) -> Vec<Work<K>> {
        let mut keys = self.inner.keys();
        (0..most).map_while(|_| self.take(&mut keys)).collect()
    }

    /// Queues the keys that the sources have, without handing one out. Wakes the context when there may
    /// be more.
    pub(crate) fn poll_sources(&self, context: &Context<'_>) {
        loop {
            self.look_for_keys();
            let mut keys = self.inner.keys();
            if !keys.sources_ready {
                keys.wait(context);
                return;
            }
        }
    }

    /// Sets the timer for the first delayed key. Returns true if that key was due already, and is
    /// queued now.
    fn poll_timer(&self) -> bool {
        let next = || self.inner.keys().delays.next();
        let Some(due) = self.inner.timer.poll(&self.inner.source_waker, next) else {
            return false;
        };
        self.inner.keys().queue_due(due);
        true
    }

    /// Polls every source. If one panics, the panic is resumed only after the keys of all sources were
    /// queued and the waiting workers were woken.
    fn look_for_keys(&self) {
        if !std::mem::take(&mut self.inner.keys().sources_ready) {
            return;
        }
        let mut context = Context::from_waker(&self.inner.source_waker);
        let mut sources = self.sources();
        let before = sources.len();
        let (mut found, mut panic) = (Vec::new(), None);
        sources.retain_mut(|source| {
            // A stream runs the predicates of `Changes::rows`, which may panic.
            let polled = catching(|| source(&mut context, &mut |key| found.push(key)));
            match polled {
                Ok(Poll::Pending) => return true,
                Ok(Poll::Ready(None)) => {}
                Ok(Poll::Ready(Some(caught))) | Err(caught) => {
                    panic.get_or_insert(caught);
                }
            }
            false
        });
        let now = Instant::now();
        let mut keys = self.inner.keys();
        // A queue that has ended has no sources, so none of these keys comes after the end.
        for key in found {
            keys.add(key, now);
        }
        keys.exhausted |= before > 0 && sources.is_empty();
        if panic.is_some() {
            keys.closed = true;
        }
        if keys.has_ended() {
            let delayed = keys.take_delayed();
            // Other workers may wait for a source that has ended.
            let ended = std::mem::take(&mut *sources);
            drop(sources);
            Inner::wake_all(keys);
            drop((ended, delayed));
        } else {
            drop(keys);
            drop(sources);
        }
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// Runs a closure of the user, and catches its panic. The closure may be called again, with its own
/// state as the panic left it.
pub(crate) fn catching<R>(run: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(run))
}

/// The message of a panic; where it has none, a text that says so.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(owned).unwrap_or("a panic without a message")
}

/// A key that a worker works on. Dropping it means that the work is done, unless a panic of the
/// worker drops it: that has the effect of [`retry`](Self::retry).
///
/// ```
/// use ovsdb::cache::WorkQueue;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let queue = WorkQueue::new();
/// queue.add("sw0");
/// let work = queue.next().await.expect("a key");
/// assert_eq!(*work.key(), "sw0");
/// work.retry(); // it failed
/// queue.next().await.expect("the same key").done();
/// assert!(queue.is_empty());
/// # });
/// ```
#[derive(Debug)]
#[must_use = "the work is done when this is dropped"]
pub struct Work<K: Hash + Eq + Clone + Send + 'static> {
    key: K,
    queue: WorkQueue<K>,
    since: Instant,
    next: Next,
}

impl<K: Hash + Eq + Clone + Send + 'static> Work<K> {
    /// The key.
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// The work is done. If the key was added meanwhile, it is queued again.
    pub fn done(self) {}

    /// The work failed and must be tried again: the key goes to the end of the queue. After the
    /// queue has ended, the key is dropped instead, unless it was added before the end, while in work.
    pub fn retry(mut self) {
        self.next = Next::Again;
    }

    /// The time since the key was added for the first change that no worker has finished. Retries
    /// do not reset it.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The work failed and must be tried again after a delay, or earlier if the key is added
    /// meanwhile. After the queue has ended, the key is dropped instead, unless it was added before the
    /// end, while in work.
    ///
    /// A worker that waits for a key also waits for the delay, on tokio's timer.
    pub fn retry_after(mut self, delay: Duration) {
        self.next = Next::After(delay);
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> Deref for Work<K> {
    type Target = K;
    fn deref(&self) -> &K {
        &self.key
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> Drop for Work<K> {
    fn drop(&mut self) {
        let next = if std::thread::panicking() {
            Next::Again
        } else {
            self.next
        };
        let mut keys = self.queue.inner.keys();
        if keys.done(&self.key, self.since, next) {
            Inner::wake_all(keys);
        }
    }
}
