//! A level-triggered work queue: controllers get the keys of objects to look at, not the events.

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

/// Polls a source for new keys; ready at its end, with the panic that ended it.
type Source<K> = Box<dyn FnMut(&mut Context<'_>, &mut dyn FnMut(K)) -> Poll<Option<Panic>> + Send>;

/// The payload of a panic in the user's closure.
type Panic = Box<dyn Any + Send>;

struct Inner<K> {
    keys: Mutex<Keys<K>>,
    sources: Mutex<Vec<Source<K>>>,
    timer: Timer,
    /// The waker that sources get: it wakes every waiting worker, since the one that polled the source may
    /// have been dropped.
    alarm: Waker,
}

/// Weak, since the sources belong to the queue.
struct Alarm<K>(Weak<Inner<K>>);

impl<K: Send + 'static> Wake for Alarm<K> {
    fn wake(self: Arc<Self>) {
        if let Some(inner) = self.0.upgrade() {
            let mut keys = inner.keys();
            keys.stirred = true;
            Inner::wake_all(keys);
        }
    }
}

/// A queue of keys that is fed from changes: the objects that a worker must look at again.
///
/// A key is in the queue once, however often it is added, and with one worker at a time. One that
/// is added while a worker has it is queued again when the worker is done, so that no change is
/// missed, and what is queued never is more than there are keys. Workers share the queue by cloning
/// it.
///
/// The queue ends when [`close`](Self::close) is called, and when the streams that feed it have ended,
/// as they do when their client is closed. From then on nothing is queued any more, neither by
/// [`add`](Self::add) nor by [`Work::retry`]; what is queued already is still handed out, and then each
/// worker gets `None`. A closed queue stays closed; one whose streams have ended goes on when it is fed
/// from another one.
///
/// When the closure of a feed panics, its change would be missed without a word. So the queue is
/// closed, after the keys of all other changes that were there; the panic goes on in the worker that
/// waited for the key.
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
/// // The switches, when they change or one of their ports does.
/// let queue = WorkQueue::new();
/// queue.feed(cache.changes::<LogicalSwitch>(), |change, _| [change.uuid()]);
/// queue.feed(cache.changes::<LogicalSwitchPort>(), |change, view| {
///     let switches = view.referrers::<LogicalSwitch>(change.reference());
///     switches.map(|switch| switch.uuid()).collect::<Vec<_>>()
/// });
/// while let Some(switch) = queue.next().await {
///     println!("{} is to be looked at", switch.key());
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
        // Nothing panics while the lock is held but a key's own comparison.
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
            alarm: Waker::from(Arc::new(Alarm(inner.clone()))),
        });
        Self { inner }
    }

    /// Adds the keys that `keys` makes of each change of a table, and of the tables as they are
    /// after it. The queue begins with the keys of all rows.
    ///
    /// When the server's schema [changed](super::BatchKind::is_schema_change), all rows must be
    /// looked at again: `keys` is called for each as at the beginning, with
    /// [`Change::Inserted`].
    ///
    /// `keys` is run by the workers that wait for a key. It must not feed or close the queue itself.
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
                    let (table, row) = (T::TABLE, change.uuid());
                    let message = message(&*caught);
                    tracing::error!(table, %row, message, "the closure of a feed panicked");
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

    /// Adds the keys that `keys` makes of each transaction, and of each change of the
    /// [schema](super::BatchKind::is_schema_change).
    pub fn feed_all<D: Database, I: IntoIterator<Item = K>>(
        &self,
        changes: AllChanges<D>,
        mut keys: impl FnMut(&DatabaseChanges<D>) -> I + Send + 'static,
    ) {
        self.feed_from(changes, move |_, batch, add| {
            let caught = catching(|| keys(&batch).into_iter().for_each(add));
            if let Err(panic) = &caught {
                let message = message(&**panic);
                tracing::error!(
                    database = D::NAME,
                    message,
                    "the closure of a feed panicked"
                );
            }
            caught
        });
    }

    /// Adds the keys that `each` makes of the items of any stream.
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
        keys.stirred = true;
        Inner::wake_all(keys);
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Source<K>>> {
        let sources = &self.inner.sources;
        sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a key; after the queue has ended it does nothing.
    pub fn add(&self, key: K) {
        let mut keys = self.inner.keys();
        if !keys.has_ended() && keys.add(key, Instant::now()) {
            Inner::wake_all(keys);
        }
    }

    /// Ends the queue, for good: what is queued is still handed out, then [`next`](Self::next)
    /// returns `None`.
    pub fn close(&self) {
        let mut sources = self.sources();
        let mut keys = self.inner.keys();
        keys.closed = true;
        keys.drop_delayed();
        // No code of the user runs under a lock: neither wakers, nor what the sources' end drops.
        let ended = std::mem::take(&mut *sources);
        drop(sources);
        Inner::wake_all(keys);
        drop(ended);
    }

    /// The number of keys that wait for a worker.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.keys().queue.len()
    }

    /// The number of keys that are to be queued [after a time](Work::retry_after) that is not over.
    #[must_use]
    pub fn delayed(&self) -> usize {
        self.inner.keys().delays.len()
    }

    /// How many keys are queued, in work, and delayed, at one moment.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let keys = self.inner.keys();
        let (queued, delayed) = (keys.queue.len(), keys.delays.len());
        [queued, keys.places.len() - queued - delayed, delayed]
    }

    /// Whether no key waits for a worker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key, for one worker; `None` at the end, once the client or the queue was closed and
    /// no key is in work that might be queued again. No key is lost when the future is dropped.
    ///
    /// # Panics
    /// When the closure of a feed does.
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
                if keys.stirred || !keys.queue.is_empty() {
                    // Whoever was woken for more may have been this worker.
                    Inner::wake_all(keys);
                }
                return Poll::Ready(Some(work));
            }
            if keys.has_ended() && keys.places.is_empty() {
                return Poll::Ready(None);
            }
            if !keys.stirred {
                keys.wait(context);
                let delayed = !keys.delays.is_empty();
                drop(keys);
                if !(delayed && self.poll_timer()) {
                    return Poll::Pending;
                }
            }
        }
    }

    /// Hands the first key out.
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

    /// Hands out keys that are queued now, at most so many.
    pub(crate) fn take_queued(&self, most: usize) -> Vec<Work<K>> {
        let mut keys = self.inner.keys();
        (0..most).map_while(|_| self.take(&mut keys)).collect()
    }

    /// Queues what the sources have, without handing a key out. The context is woken when they may have
    /// more.
    pub(crate) fn poll_sources(&self, context: &Context<'_>) {
        loop {
            self.look_for_keys();
            let mut keys = self.inner.keys();
            if !keys.stirred {
                keys.wait(context);
                return;
            }
        }
    }

    /// Sets the timer to the first of the delayed keys. Returns whether one was due, and is queued.
    fn poll_timer(&self) -> bool {
        let next = || self.inner.keys().delays.next();
        let Some(due) = self.inner.timer.poll(&self.inner.alarm, next) else {
            return false;
        };
        self.inner.keys().queue_due(due);
        true
    }

    /// Asks every source. The keys that they have are queued, and all who wait know what has become
    /// of them, before the panic of one goes on.
    fn look_for_keys(&self) {
        if !std::mem::take(&mut self.inner.keys().stirred) {
            return;
        }
        let mut context = Context::from_waker(&self.inner.alarm);
        let mut sources = self.sources();
        let before = sources.len();
        let (mut found, mut panic) = (Vec::new(), None);
        sources.retain_mut(|source| {
            // The streams of the cache do not panic; those of a later version may.
            let asked = catching(|| source(&mut context, &mut |key| found.push(key)));
            match asked {
                Ok(Poll::Pending) => return true,
                Ok(Poll::Ready(None)) => {}
                Ok(Poll::Ready(Some(caught))) | Err(caught) => {
                    panic.get_or_insert(caught);
                }
            }
            false
        });
        let mut keys = self.inner.keys();
        if !keys.has_ended() && !found.is_empty() {
            let now = Instant::now();
            for key in found {
                keys.add(key, now);
            }
        }
        keys.exhausted |= before > 0 && sources.is_empty();
        keys.closed |= panic.is_some();
        if keys.has_ended() {
            keys.drop_delayed();
            // The others may wait for a source that has ended.
            let ended = std::mem::take(&mut *sources);
            drop(sources);
            Inner::wake_all(keys);
            drop(ended);
        } else {
            drop(keys);
            drop(sources);
        }
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// Runs a closure of the user, whose state is not looked at again after a panic.
pub(crate) fn catching<R>(run: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(run))
}

/// What a panic says, where it says anything.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(owned).unwrap_or("a value that is no text")
}

/// A key in a worker's hands. When it is dropped, the work is done; when a panic of the worker drops
/// it, the key goes to the queue's end, for another worker.
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

    /// The work is done; the key is queued again if it was added meanwhile.
    pub fn done(self) {}

    /// The work is to be tried again: the key goes to the queue's end. After the queue has ended there
    /// is no other time, and the work is done.
    pub fn retry(mut self) {
        self.next = Next::Again;
    }

    /// For how long the key has waited: since it was added for the first change that no worker has
    /// finished. Retries do not start it again.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The work is to be tried again after a time, or when the key is added before. After the queue has
    /// ended there is no other time, and the work is done.
    ///
    /// The worker that waits for a key waits for that time, on tokio's timer.
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
