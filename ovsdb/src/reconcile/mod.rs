//! The runner of a controller. The controller says which rows belong to which objects. The runner calls
//! the controller's closure for each object whose rows have changed, and again until it succeeds.
//!
//! [`Reconciler`] configures what is watched and how failures are handled. [`Reconciler::run`] starts
//! it and returns the handle, a [`Runner`]. The runner uses a [`WorkQueue`], which keeps the keys, and
//! [`Client::apply_with`](crate::Client::apply_with), which runs the closure with guards.

mod attempt;
mod driver;
mod failures;
mod health;
mod runner;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use self::attempt::Job;
pub use self::attempt::{Attempt, BoxError};
pub use self::failures::FailingKey;
pub use self::health::{Ended, Unhealthy};
pub use self::runner::Runner;
use crate::cache::{Index, Key, Snapshot, WorkQueue};
use crate::client::{Cache, Client};
use crate::model::{Database, Row, Table};
use crate::transaction::{RetryPolicy, Transaction};

/// Configures which rows a controller watches, and how it works on their keys; [`run`](Self::run)
/// starts it.
///
/// A key stands for an object that the controller maintains: a switch's name, a namespace. Each watched
/// row has one key, several or none. When a row is inserted, modified or deleted, the keys of the old and of
/// the new row are queued, and the closure is called for each of them, with a view of the database and
/// a transaction to write. The closure decides what to do from the view alone, whatever the change was
/// (level-triggered). So changes that come faster than they are handled are coalesced.
///
/// - At the start every key is handled, and later every key after its last change. Empty tables have no keys: a
///   controller that writes into an empty database adds its first key by [`Runner::add`].
/// - Only one worker handles a key at a time. Different keys are handled at the same time, in at most
///   `concurrency` transactions.
/// - A transaction that conflicts with another client's is decided again, as by [`Client::apply`]. So
///   several controllers may change the same rows.
/// - A key that fails is tried again when it changes, or after a delay that doubles with each failure.
///   The other keys are not delayed.
/// - No run is based on a replica that is not [current](Cache::is_current): without a connection,
///   keys are only collected.
///
/// | setting | default |
/// |---|---|
/// | [`backoff`](Self::backoff) | 50 ms to 60 s |
/// | [`conflicts`](Self::conflicts) | [`RetryPolicy::default`] |
/// | [`stale_limit`](Self::stale_limit) | 30 s |
/// | [`failing_limit`](Self::failing_limit) | 60 s |
/// | [`share_commits`](Self::share_commits) | 1 key |
/// | [`name`](Self::name) | the name of the database |
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let mut txn = client.transaction();
/// # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// # txn.commit().await?;
/// use ovsdb::cache::Index;
/// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
/// use ovsdb::reconcile::Reconciler;
///
/// let by_name = Index::column(LogicalSwitch::NAME);
/// let cache = client.cache().index(&by_name).table::<LogicalSwitchPort>().start().await?;
///
/// // Every switch has a port to the physical network.
/// let runner = Reconciler::new(&client, &cache)
///     .watch::<LogicalSwitch>(|switch| switch.name.clone())
///     .run(8, move |name, _, txn| {
///         let Some(switch) = txn.get_by(&by_name, name) else {
///             return Ok(()); // it was deleted
///         };
///         let uplink = txn.ensure(LogicalSwitchPort::NAME, format!("{name}-uplink"), |port| {
///             port.r#type = "localnet".into();
///             port.addresses = ["unknown"].into();
///         });
///         txn.edit(&switch, |switch| {
///             switch.ports.insert(uplink);
///         });
///         Ok(())
///     });
///
/// let shown = cache.wait_until(None, |view| {
///     view.get_by(LogicalSwitchPort::NAME, "sw0-uplink").map(|port| port.r#type.clone())
/// });
/// assert_eq!(shown.await?, "localnet");
/// runner.stop().await;
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[must_use = "a reconciler does nothing until it is run"]
pub struct Reconciler<D: Database, K> {
    client: Client<D>,
    cache: Cache<D>,
    queue: WorkQueue<K>,
    settings: Settings,
}

#[derive(Debug, Clone)]
struct Settings {
    name: String,
    backoff: RetryPolicy,
    conflicts: RetryPolicy,
    stale_limit: Duration,
    failing_limit: Duration,
    /// At least 1.
    shared_commits: usize,
}

impl<D: Database, K> fmt::Debug for Reconciler<D, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<D: Database, K: Hash + Eq + Clone + fmt::Debug + Send + Sync + 'static> Reconciler<D, K> {
    /// A reconciler that watches nothing yet. It reads `cache`, which must be a cache of `client`, and
    /// writes through `client`.
    pub fn new(client: &Client<D>, cache: &Cache<D>) -> Self {
        Self {
            client: client.clone(),
            cache: cache.clone(),
            queue: WorkQueue::new(),
            settings: Settings {
                name: client.database().to_owned(),
                backoff: RetryPolicy::default()
                    .min_wait(Duration::from_millis(50))
                    .max_wait(Duration::from_secs(60)),
                conflicts: RetryPolicy::default(),
                stale_limit: Duration::from_secs(30),
                failing_limit: Duration::from_secs(60),
                shared_commits: 1,
            },
        }
    }

    /// Watches the rows of the table `T`; the closure returns the row's key. When a change gives a row
    /// another key, both keys are queued.
    ///
    /// # Panics
    /// When the cache was started without the table, which is a bug in the program.
    #[track_caller]
    pub fn watch<T: Table<Database = D>>(
        self,
        key: impl Fn(&Row<T>) -> K + Send + 'static,
    ) -> Self {
        self.watch_keys::<T, _>(move |row, _| [key(row)])
    }

    /// Watches the rows of the table `T` by the keys that they have in an index: none, one or several.
    /// The index need not be one of the cache's.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().index_references_to::<ovsdb::nb::LogicalSwitchPort>();
    /// # let cache = cache.start().await?;
    /// use ovsdb::cache::Index;
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    /// use ovsdb::reconcile::Reconciler;
    ///
    /// // Ports without this map key belong to no object.
    /// let namespace = Index::map_key(Port::EXTERNAL_IDS, "namespace");
    /// let reconciler = Reconciler::new(&client, &cache).watch_index(&namespace);
    /// # reconciler.run(1, |_, _, _| Ok(())).stop().await;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// # Panics
    /// As [`watch`](Self::watch).
    #[track_caller]
    pub fn watch_index<T: Table<Database = D>>(self, index: &Index<T, K>) -> Self
    where
        K: Key,
    {
        let index = index.clone();
        self.watch_keys::<T, _>(move |row, _| index.keys(row).into_owned())
    }

    /// Watches the rows of the table `T`; the closure returns the row's keys: none, one or several. The
    /// closure also gets a view of the database after the change, even when it is called for the old row.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().index_references_to::<ovsdb::nb::LogicalSwitchPort>();
    /// # let cache = cache.start().await?;
    /// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
    /// use ovsdb::reconcile::Reconciler;
    ///
    /// // The switches, when they change or one of their ports does. Inserting or deleting a port also
    /// // changes its switch.
    /// let reconciler = Reconciler::new(&client, &cache)
    ///     .watch::<LogicalSwitch>(|switch| switch.uuid())
    ///     .watch_keys::<LogicalSwitchPort, _>(|port, view| {
    ///         let switches = view.referrers::<LogicalSwitch>(port);
    ///         switches.map(|switch| switch.uuid()).collect::<Vec<_>>()
    ///     });
    /// # reconciler.run(1, |_, _, _| Ok(())).stop().await;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// # Panics
    /// As [`watch`](Self::watch).
    #[track_caller]
    pub fn watch_keys<T: Table<Database = D>, I: IntoIterator<Item = K>>(
        self,
        keys: impl Fn(&Row<T>, &Snapshot<D>) -> I + Send + 'static,
    ) -> Self {
        let changes = self.cache.changes::<T>();
        self.queue.feed(changes, move |change, view| {
            let rows = change.before().into_iter().chain(change.after());
            rows.flat_map(|row| keys(row, view)).collect::<Vec<_>>()
        });
        self
    }

    /// The queue of keys: to add keys from elsewhere, and to feed it from streams of another cache or
    /// with a filter.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "sb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// # let schema = ovsdb::schema::bundled("OVN_Southbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let sb = ovsdb::sb::Client::builder().server(&server).connect().await?;
    /// # let southbound = sb.cache().all_tables().start().await?;
    /// use ovsdb::nb::LogicalSwitchPort;
    /// use ovsdb::reconcile::Reconciler;
    /// use ovsdb::sb::PortBinding;
    ///
    /// // A port is looked at again when it is bound to another chassis.
    /// let reconciler = Reconciler::new(&client, &cache)
    ///     .watch::<LogicalSwitchPort>(|port| port.name.clone());
    /// let bindings = southbound.changes::<PortBinding>();
    /// reconciler.queue().feed(bindings, |change, _| {
    ///     change.changed(PortBinding::CHASSIS).then(|| change.row().logical_port.clone())
    /// });
    /// # reconciler.run(1, |_, _, _| Ok(())).stop().await;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "sb", feature = "server")))] fn main() {}
    /// ```
    #[must_use]
    pub const fn queue(&self) -> &WorkQueue<K> {
        &self.queue
    }

    /// The reconciler's name in logs and metrics.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// The delay of a key after a failure: `min` after the first one, doubled after each further one in
    /// a row, up to `max`. Each delay is shortened at random by up to half (jitter).
    pub const fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.settings.backoff = self.settings.backoff.min_wait(min).max_wait(max);
        self
    }

    /// How often and when a transaction that conflicts with another client's is decided again. When the
    /// tries are used up, the key has failed.
    pub const fn conflicts(mut self, policy: RetryPolicy) -> Self {
        self.settings.conflicts = policy;
        self
    }

    /// How long the replica may not be current before the runner is [unhealthy](Runner::health).
    pub const fn stale_limit(mut self, limit: Duration) -> Self {
        self.settings.stale_limit = limit;
        self
    }

    /// How long a key may fail, attempt after attempt, before the runner is
    /// [unhealthy](Runner::health).
    pub const fn failing_limit(mut self, limit: Duration) -> Self {
        self.settings.failing_limit = limit;
        self
    }

    /// Lets up to this many queued keys share a transaction. Sixteen keys in one transaction cost
    /// client and server about half as much as sixteen transactions, or less; more keys gain little.
    ///
    /// The closure is called for one key after another with the same transaction, which shows what it
    /// wrote for the earlier keys. If the closure fails for a key, that key is left out, and the others
    /// are decided again without it. When the server refuses the transaction, or the transaction has a
    /// mistake, the keys are tried in halves until the key at fault is found; the same is done after the
    /// third conflict. A conflict concerns all keys of the transaction, so share less where other clients
    /// write the same rows.
    pub fn share_commits(mut self, keys: usize) -> Self {
        self.settings.shared_commits = keys.max(1);
        self
    }

    /// Starts to handle keys, in up to `concurrency` tasks at a time, each with a transaction of its own.
    ///
    /// The closure reads the view, writes the transaction, and does nothing else: it may be run several
    /// times for one change. It must not block, since it runs on a worker thread of the runtime. The
    /// commit verifies what it reads through the transaction ([`Client::apply`]). If it writes nothing,
    /// nothing is sent. What it writes is itself a change, so a key is usually handled once more, with
    /// nothing to do.
    ///
    /// If the closure returns an error, of any type, nothing is written, and the key is tried again later. The same
    /// happens when the server refuses the transaction, and when the closure panics, which is logged as
    /// an error.
    ///
    /// The runner stops when the last [handle](Runner) is dropped, so keep it.
    ///
    /// # Panics
    /// When called outside a tokio runtime.
    #[track_caller]
    pub fn run(
        self,
        concurrency: usize,
        reconcile: impl Fn(&K, &Snapshot<D>, &mut Transaction<D>) -> Result<(), BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Runner<D, K> {
        self.run_attempts(concurrency, move |attempt, view, txn| {
            reconcile(attempt.key, view, txn)
        })
    }

    /// Like [`run`](Self::run), for a closure that gets the number and history of the
    /// [attempt](Attempt).
    ///
    /// # Panics
    /// When called outside a tokio runtime.
    #[track_caller]
    pub fn run_attempts(
        self,
        concurrency: usize,
        reconcile: impl Fn(&Attempt<'_, K>, &Snapshot<D>, &mut Transaction<D>) -> Result<(), BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Runner<D, K> {
        let job = Job::new(self.client, self.cache, self.settings, reconcile);
        Runner::start(Arc::new(job), self.queue, concurrency.max(1))
    }
}
