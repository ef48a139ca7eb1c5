//! The handle of a replica, and its builder.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Client, Watched};
use crate::cache::{
    AllChanges, Basis, Changes, Freshness, Handle, Index, Key, OrderedIndex, SkewReport, Snapshot,
    Tables, Views,
};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::model::{AnyOf, Database, Table};
use crate::protocol::{MonitorVersion, check_conditions};
use crate::schema_check;
use crate::session::MonitorGuard;
use crate::stats::CacheStats;

/// Selects the tables and rows of a replica; [`Client::cache`] makes one.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let mut rows = ovsdb::nb::Transaction::detached();
/// # let port = rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
/// # rows.commit_on(&server)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// use ovsdb::cache::Index;
/// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort as Port};
///
/// let switch_of = Index::elements(LogicalSwitch::PORTS);
/// let cache = client
///     .cache()
///     .index(&switch_of) // all switches
///     .table_where::<Port>(Port::TYPE.eq("router")) // some ports
///     .strict(true)
///     .start()
///     .await?;
/// # assert_eq!(cache.snapshot().rows::<Port>().len(), 0);
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[must_use = "a cache is not started until `start` is called"]
pub struct CacheBuilder<D> {
    client: Client<D>,
    pub(super) tables: Tables<D>,
    newest: MonitorVersion,
    strict: bool,
    /// The time limit, if it is not the client's.
    timeout: Option<Option<Duration>>,
}

impl<D> fmt::Debug for CacheBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

impl<D: Database> CacheBuilder<D> {
    pub(super) fn new(client: Client<D>) -> Self {
        Self {
            client,
            tables: Tables::default(),
            newest: MonitorVersion::MonitorCondSince,
            strict: false,
            timeout: None,
        }
    }

    /// Adds the table `T`, with all its rows and the columns of `T`.
    pub fn table<T: Table<Database = D>>(mut self) -> Self {
        self.tables.select::<T>(None);
        self
    }

    /// Adds the table `T`, with the rows for which any of the clauses holds. If the table was added
    /// before, these rows replace those selected earlier.
    pub fn table_where<T: Table<Database = D>>(mut self, rows: impl Into<AnyOf<T>>) -> Self {
        self.tables.select(Some(rows.into()));
        self
    }

    /// Adds an index to the table `T`. If the table was not added before, adds it with all its rows.
    pub fn index<T: Table<Database = D>, K: Key>(mut self, index: &Index<T, K>) -> Self {
        self.tables.index(index);
        self
    }

    /// Adds an ordered index to the table `T`. If the table was not added before, adds it with all its
    /// rows.
    pub fn ordered_index<T: Table<Database = D>, K: Key>(
        mut self,
        index: &OrderedIndex<T, K>,
    ) -> Self {
        self.tables.ordered_index(index);
        self
    }

    /// Indexes, in every compiled table of the cache, the columns whose type can refer to the table `T`,
    /// so that [`Snapshot::referrers`] finds the rows that refer to a row of `T`. It adds no table.
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
    /// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
    ///
    /// let cache = client
    ///     .cache()
    ///     .table::<LogicalSwitch>()
    ///     .table::<LogicalSwitchPort>()
    ///     .index_references_to::<LogicalSwitchPort>()
    ///     .start()
    ///     .await?;
    /// let view = cache.snapshot();
    /// for port in view.rows::<LogicalSwitchPort>() {
    ///     for switch in view.referrers::<LogicalSwitch>(port) {
    ///         println!("{} has {}", switch.name, port.name);
    ///     }
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn index_references_to<T: Table<Database = D>>(mut self) -> Self {
        self.tables.index_references_to::<T>();
        self
    }

    /// Adds every generated table of the database; those not added before with all their rows.
    pub fn all_tables(mut self) -> Self {
        self.tables.add_all();
        self
    }

    /// Gives each row its [version](crate::Row::version), the column `_version` of ovsdb-server(5),
    /// which changes with each change of the row. With it, a transaction verifies a row of any size,
    /// and any of its columns, by comparing one uuid.
    ///
    /// What a transaction [reads](crate::Transaction::get) of such rows is guarded by their
    /// versions instead of their columns. That covers columns of reals too, and columns that the
    /// cache lacks. Through a relay, columns are compared instead, since the source executes the
    /// transaction, and its versions are not those of the relay.
    ///
    /// It costs 59 bytes on the wire for each row and each change of a row. Streams then also
    /// deliver a row when only columns that the cache lacks have changed. On every later
    /// connection all rows are fetched again, since row versions belong to one run of one server.
    /// Tables that are added by name have a column `_version`, unless columns were selected without it.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let mut rows = ovsdb::nb::Transaction::detached();
    /// # rows.insert(ovsdb::nb::PortGroup { name: "pods".into(), ..Default::default() });
    /// # rows.commit_on(&server)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::nb::PortGroup;
    ///
    /// let cache = client.cache().table::<PortGroup>().row_versions().start().await?;
    /// let apply = client.edit(&cache, |_, txn| {
    ///     // The commit verifies one uuid, however many ports the group has.
    ///     if let Some(group) = txn.get_by(PortGroup::NAME, "pods") {
    ///         let ports = group.ports.len().to_string();
    ///         txn.edit(&group, |group| drop(group.external_ids.insert("ports", ports)));
    ///     }
    /// });
    /// apply.await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub const fn row_versions(mut self) -> Self {
        self.tables.add_row_versions();
        self
    }

    /// The newest monitor method to try: `monitor_cond_since` by default. Older ones are tried if the
    /// server does not know it.
    pub const fn newest_monitor(mut self, version: MonitorVersion) -> Self {
        self.newest = version;
        self
    }

    /// Makes [`start`](Self::start) fail if the server's schema lacks a compiled table or column, or has
    /// a column with another type ([`SkewReport::is_complete`]). Without this, [`Cache::skew`] lists the
    /// differences, and such columns read as their default.
    pub const fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// The time allowed for [`start`](Self::start), including the wait for a connection; `None` for no
    /// limit. By default it is the client's [`request_timeout`](crate::ClientBuilder::request_timeout).
    pub const fn timeout(mut self, limit: Option<Duration>) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Starts the monitor, and waits until the replica has all the rows it selects. This continues
    /// across lost connections, within the client's
    /// [`request_timeout`](crate::ClientBuilder::request_timeout) or [`timeout`](Self::timeout).
    ///
    /// # Errors
    /// [`Error::TableTwice`] when a table was added with two types. [`Error::InvalidValue`] when a
    /// condition has a value that cannot be sent. [`Error::Refused`] when the server refuses the monitor.
    /// [`Error::ConditionColumn`] and [`Error::ConditionsNotSupported`] when the server cannot evaluate a
    /// condition. [`Error::Apply`] when the server's rows do not fit the tables. With
    /// [`strict`](Self::strict), [`Error::Skew`] when its schema lacks what was compiled in.
    /// [`Error::SchemaMismatch`] when its schema does not fit a table, column or condition that was given
    /// by name. [`Error::Disconnected`] when the client is closed or loses its runtime, when decoding the
    /// rows panicked ([`DisconnectReason::DecoderPanicked`]), when the connection was lost five times in a
    /// row before the rows arrived, and when the time limit passed: with the reason why there is no
    /// connection, or [`DisconnectReason::TimedOut`] if there is a connection.
    pub async fn start(self) -> Result<Cache<D>, Error> {
        if let Some(table) = self.tables.twice() {
            return Err(Error::TableTwice(table));
        }
        for (table, conditions) in self.tables.conditions() {
            check_conditions(table, conditions)?;
        }
        let schema = self.client.server_schema();
        for (table, columns, conditions) in self.tables.named() {
            let table = schema_check::table(&schema, table)?;
            table.names(columns.into_iter().flatten())?;
            table.clauses(conditions)?;
        }
        let monitor = self.tables.into_monitor(&schema, self.newest);
        let skew = SkewReport::clone(&monitor.shared().skew());
        if self.strict && !skew.is_complete() {
            return Err(Error::Skew(skew));
        }
        skew.log(self.client.database());
        let shared = monitor.shared().clone();
        let request_timeout = self.client.request_timeout();
        let limit = self.timeout.unwrap_or(request_timeout);
        let session = self.client.session();
        let monitor = Arc::new(session.monitor(monitor, limit, request_timeout).await?);
        Ok(Cache {
            handle: Handle::new(shared, monitor.clone()),
            monitor: Some(monitor),
            database: PhantomData,
        })
    }
}

/// A replica that follows the server, shared by all clones of the handle. The monitor ends when the
/// last clone and the last stream made from one are dropped.
///
/// The replica outlives connections. Without a connection it stays as it was, and
/// [`staleness`](Self::staleness) tells for how long. On the next connection, all changes made
/// meanwhile are applied at once, as one change.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// use ovsdb::nb::LogicalSwitch;
///
/// // Without a connection this waits for one.
/// cache.current().await?;
/// let view = cache.snapshot();
/// println!("{} switches", view.rows::<LogicalSwitch>().len());
/// // A view does not change; the cache tells how old the newest one is.
/// println!("{:?}", cache.staleness());
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[must_use = "the monitor ends when the last handle is dropped"]
pub struct Cache<D> {
    handle: Handle,
    /// `None` in tests, where no session feeds the replica.
    pub(super) monitor: Option<Arc<MonitorGuard>>,
    database: PhantomData<fn() -> D>,
}

impl<D> Clone for Cache<D> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            monitor: self.monitor.clone(),
            database: PhantomData,
        }
    }
}

impl<D> fmt::Debug for Cache<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("version", &self.handle.shared().version())
            .field("freshness", &*self.handle.shared().freshness().borrow())
            .finish_non_exhaustive()
    }
}

impl<D> Cache<D> {
    #[cfg(test)]
    pub(crate) const fn of(handle: Handle) -> Self {
        Self {
            handle,
            monitor: None,
            database: PhantomData,
        }
    }
}

impl<D: Database> Cache<D> {
    /// The replica as it is now: all tables after the same server transaction.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<D> {
        self.handle.snapshot()
    }

    /// A stream of views: the current one, then one for each change.
    pub(super) fn views(&self) -> Views<D> {
        self.handle.views()
    }

    /// The changes of the table `T`: all its rows first, then each server transaction that changes the
    /// table. If the reader is slow, transactions are coalesced.
    ///
    /// # Panics
    /// When the cache was started without the table, which is a bug in the program.
    #[track_caller]
    pub fn changes<T: Table<Database = D>>(&self) -> Changes<T> {
        match self.handle.changes() {
            Some(changes) => changes,
            None => panic!("the cache was started without the table {}", T::TABLE),
        }
    }

    /// The changes of all tables: all rows first, then each server transaction. If the reader is slow,
    /// transactions are coalesced.
    pub fn all_changes(&self) -> AllChanges<D> {
        self.handle.all_changes()
    }

    /// Changes the condition of the table `T`, and waits until the replica has the rows for which any
    /// of the clauses holds (ovsdb-server(7), "Monitor_cond_change").
    ///
    /// The condition is kept on every later connection. Without a connection, it is changed when
    /// the next one is made. If several changes wait, each table gets the last one, and all the
    /// futures resolve when it is in force. Neither dropping the future nor the end of the time limit, the
    /// client's [`request_timeout`](crate::ClientBuilder::request_timeout), undoes the change.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    ///
    /// cache.set_condition(Port::TYPE.eq("router").or(Port::TYPE.eq("localnet"))).await?;
    /// let view = cache.snapshot();
    /// assert!(view.rows::<Port>().all(|port| !port.r#type.is_empty()));
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// # Panics
    /// When the cache was started without the table.
    ///
    /// # Errors
    /// When the condition has a value that cannot be sent. When the server refuses the condition, lacks a
    /// column that it needs, or supports no conditions, or when the server's rows do not fit the tables when
    /// the monitor is started with the new condition; the earlier condition stays. When the client is
    /// closed or loses its runtime, or decoding a message for the cache panicked: each has ended the cache. When
    /// the time limit passed: the reason why there is no connection, or [`DisconnectReason::TimedOut`] if there
    /// is a connection.
    ///
    /// When the monitor [cannot be started](Self::monitor_error), it is requested again with the new
    /// condition. If it still cannot be started because of another table's condition, the new one is kept
    /// until it can, and [`Error::ConditionColumn`] names that table.
    #[track_caller]
    pub fn set_condition<T: Table<Database = D>>(
        &self,
        rows: impl Into<AnyOf<T>>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let clauses = rows.into().into_clauses();
        assert!(
            self.snapshot().try_table::<T>().is_some(),
            "the cache was started without the table {}",
            T::TABLE
        );
        async move {
            match &self.monitor {
                Some(guard) => guard.set_condition(T::TABLE.into(), clauses).await,
                None => Ok(()),
            }
        }
    }

    /// Counters of the replica: the updates applied, and how far the replica and its streams lag.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.handle.shared().stats()
    }

    /// How the schema of the server (without a connection, of the last server) differs from the
    /// compiled tables. When the report changes, every stream of changes delivers a batch that
    /// [reports it](crate::cache::BatchKind::is_schema_change).
    #[must_use]
    pub fn skew(&self) -> Arc<SkewReport> {
        self.handle.shared().skew()
    }

    /// The method by which the server is monitored.
    #[must_use]
    pub fn monitor_version(&self) -> MonitorVersion {
        self.handle.shared().version()
    }

    /// Whether the replica is current, as a value to read and to wait for.
    #[must_use]
    pub fn freshness(&self) -> Watched<Freshness> {
        let end = self.why_ended();
        Watched::new(self.handle.shared().freshness(), move |freshness| {
            (*freshness == Freshness::Ended).then(&end)
        })
    }

    /// The freshness now, without a handle to watch it.
    fn freshness_now(&self) -> Freshness {
        *self.handle.shared().freshness().borrow()
    }

    /// Tells why the replica has ended, once it has.
    pub(super) fn why_ended(&self) -> impl Fn() -> Disconnected + Send + Sync + use<D> {
        // The replica itself is not captured: a value that is watched does not keep its rows.
        let has_panicked = self.handle.shared().has_panicked();
        let state = self.monitor.as_ref().map(|monitor| monitor.state());
        move || {
            if has_panicked.load(Ordering::Acquire) {
                return Disconnected::new(DisconnectReason::DecoderPanicked);
            }
            let end = state
                .as_ref()
                .and_then(|state| state.borrow().end().cloned());
            end.unwrap_or_else(|| Disconnected::new(DisconnectReason::Closed))
        }
    }

    /// Whether the replica follows the server now.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.freshness_now() == Freshness::Current
    }

    /// For how long the replica has not followed the server; `None` while it does.
    ///
    /// The time counts from when the loss was noticed. [`Duration::MAX`] once the cache has
    /// [ended](Freshness::Ended).
    #[must_use]
    pub fn staleness(&self) -> Option<Duration> {
        match self.freshness_now() {
            Freshness::Current => None,
            Freshness::StaleSince(since) | Freshness::RefusedSince(since) => Some(since.elapsed()),
            Freshness::Ended => Some(Duration::MAX),
        }
    }

    /// Why the monitor cannot be started; `None` while the replica follows the server and, except in the
    /// last case below, without a connection.
    ///
    /// The server refuses the monitor, or its rows do not fit the tables: [`Error::ConditionColumn`]
    /// when a condition needs a column that the schema lacks, after a conversion or on another server;
    /// [`Error::ConditionsNotSupported`] on a server without conditional monitoring; otherwise
    /// [`Error::Refused`] or [`Error::Apply`]. Or the connection was lost five times in a row while this
    /// monitor was being started: [`Error::Disconnected`], which stays without a connection too.
    /// Everything else continues: other caches, transactions, and this replica's snapshots. Its streams
    /// stay open, and deliver the changes made meanwhile once the monitor is started.
    ///
    /// The monitor is requested again when the schema, the connection or a
    /// [condition](Self::set_condition) changes, and, if the reason may be temporary, after a
    /// [backoff](crate::ClientBuilder::backoff). After five lost connections, it is requested again only
    /// after the backoff or when a condition changes.
    #[must_use]
    pub fn monitor_error(&self) -> Option<Error> {
        // Reasons are always errors of this type.
        self.handle
            .shared()
            .refusal()?
            .downcast_ref::<Error>()
            .cloned()
    }

    /// Waits until the replica is current; returns at once if it is.
    ///
    /// # Errors
    /// When the monitor cannot be started, the [reason](Self::monitor_error). When the client was
    /// closed or lost its runtime, or decoding a message for the cache panicked
    /// ([`DisconnectReason::DecoderPanicked`]): each has ended the cache.
    pub async fn current(&self) -> Result<(), Error> {
        loop {
            let mut freshness = self.freshness();
            let settled = freshness.wait_for(|now| !matches!(now, Freshness::StaleSince(_)));
            match settled.await {
                Ok(Freshness::Current) => return Ok(()),
                Ok(Freshness::RefusedSince(_)) => {
                    // Without an error, the connection was lost meanwhile: the next one requests the
                    // monitor again.
                    if let Some(error) = self.monitor_error() {
                        return Err(error);
                    }
                }
                Ok(Freshness::StaleSince(_)) => {}
                Ok(Freshness::Ended) => return Err(self.why_ended()().into()),
                Err(ended) => return Err(ended.into()),
            }
        }
    }

    /// The basis of decisions on views that are taken from now on. As long as it holds, the decisions are
    /// valid.
    pub(crate) fn basis(&self) -> Basis {
        Basis::of(self.handle.shared())
    }

    /// Waits until the replica is current, and returns a view with the basis of decisions on it. It
    /// also waits for a monitor whose requests lost one connection after another, since the session
    /// requests such a monitor again.
    pub(crate) async fn current_view(&self) -> Result<(Basis, Snapshot<D>), Disconnected> {
        loop {
            if planted!(StaleSnapshotApplied) {
                return Ok((self.basis(), self.snapshot()));
            }
            match self.current().await {
                Ok(()) => {}
                Err(Error::Disconnected(_)) if self.freshness_now() == Freshness::Ended => {
                    return Err(self.why_ended()());
                }
                Err(Error::Disconnected(_)) => {
                    let mut freshness = self.freshness();
                    let refused = |now: &Freshness| matches!(now, Freshness::RefusedSince(_));
                    let _ = freshness.wait_for(|now| !refused(now)).await;
                    continue;
                }
                Err(error) => {
                    let refused = DisconnectReason::MonitorRefused(Box::new(error));
                    return Err(Disconnected::new(refused));
                }
            }
            let basis = self.basis();
            if basis.holds() {
                return Ok((basis, self.snapshot()));
            }
        }
    }
}
