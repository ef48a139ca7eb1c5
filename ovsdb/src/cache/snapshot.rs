//! Views of the replica at one moment.

use std::any::Any;
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use super::any::AnyRow;
use super::erased::{SharedRow, shared, typed};
use super::index::{self, Index, Key, OrderedIndex, References};
use super::scan::Rows;
use super::state::State;
use super::table_state::TableState;
use crate::model::{Column, Database, Mutability, ReferredBy, Row, Table};
use crate::trie::hash_uuid;
use crate::value::{Ref, Str, Uuid, Value};

/// A consistent view of the replica. Taking one is O(1). Holding one does not delay updates, but keeps
/// its rows in memory.
///
/// # Panics
/// The methods that take a table as a type panic when the cache was started without it, which is a bug
/// in the program and not in the data; [`try_table`](Self::try_table) and
/// [`try_referrers`](Self::try_referrers) do not.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().all_tables().start().await?;
/// # let mut txn = client.transaction();
/// # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
/// # txn.commit().await?;
/// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
///
/// let view = cache.snapshot();
/// if let Some(port) = view.get_by(LogicalSwitchPort::NAME, "stor-l3.network_work001") {
///     println!("{} has the addresses {:?}", port.uuid(), port.addresses);
/// }
/// for switch in view.rows::<LogicalSwitch>() {
///     for port in view.get_all(&switch.ports) {
///         println!("{} has {}", switch.name, port.name);
///     }
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
pub struct Snapshot<D> {
    state: Arc<State>,
    database: PhantomData<fn() -> D>,
}

impl<D> Clone for Snapshot<D> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            database: PhantomData,
        }
    }
}

impl<D> fmt::Debug for Snapshot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("last_txn_id", &self.state.last_txn_id)
            .finish()
    }
}

impl<D: Database> Snapshot<D> {
    pub(super) const fn new(state: Arc<State>) -> Self {
        Self {
            state,
            database: PhantomData,
        }
    }

    /// The table `T`, or `None` when the cache was started without it.
    #[must_use]
    pub fn try_table<T: Table<Database = D>>(&self) -> Option<TableView<'_, T>> {
        let at = self.state.registry.find::<T>()?;
        let state = self.state.tables.get(at)?;
        Some(TableView {
            state,
            table: PhantomData,
        })
    }

    /// The table `T`.
    #[must_use]
    #[track_caller]
    pub fn table<T: Table<Database = D>>(&self) -> TableView<'_, T> {
        match self.try_table() {
            Some(table) => table,
            None => panic!("the cache was started without the table {}", T::TABLE),
        }
    }

    /// The row that `row` refers to, if the replica has it.
    #[must_use]
    #[track_caller]
    pub fn get<T: Table<Database = D>>(&self, row: Ref<T>) -> Option<&Row<T>> {
        self.table().get(row)
    }

    /// The rows that `rows` refer to, in the same order; rows that the replica lacks are left out. A
    /// column of references can be passed as it is.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "testing"))] {
    /// # let mut rows = ovsdb::testing::SnapshotBuilder::<ovsdb::nb::Database>::new();
    /// # let port = rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
    /// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
    /// # let view = rows.build()?;
    /// use ovsdb::nb::LogicalSwitch;
    ///
    /// for switch in view.rows::<LogicalSwitch>() {
    ///     let names: Vec<_> = view.get_all(&switch.ports).map(|port| &port.name).collect();
    ///     println!("{} has {names:?}", switch.name);
    ///     # assert_eq!(names, ["p1"]);
    /// }
    /// # }
    /// # Ok::<(), ovsdb::testing::ReplayError>(())
    /// ```
    #[track_caller]
    pub fn get_all<'r, T: Table<Database = D>>(
        &self,
        rows: impl IntoIterator<Item = &'r Ref<T>>,
    ) -> impl Iterator<Item = &Row<T>> {
        let table = self.table();
        rows.into_iter().filter_map(move |row| table.get(*row))
    }

    /// The row that `row` refers to, shared, so that it can outlive the view; see
    /// [`TableView::get_shared`].
    #[must_use]
    #[track_caller]
    pub fn get_shared<T: Table<Database = D>>(&self, row: Ref<T>) -> Option<Arc<Row<T>>> {
        self.table().get_shared(row)
    }

    /// Like [`get_all`](Self::get_all), with shared rows that can outlive the view; see
    /// [`TableView::get_shared`].
    #[track_caller]
    pub fn get_all_shared<'r, T: Table<Database = D>>(
        &self,
        rows: impl IntoIterator<Item = &'r Ref<T>>,
    ) -> impl Iterator<Item = Arc<Row<T>>> {
        let table = self.table();
        rows.into_iter()
            .filter_map(move |row| table.get_shared(*row))
    }

    /// The rows whose column has this value, found by reading every row of the table; see
    /// [`TableView::scan_by`].
    #[track_caller]
    pub fn scan_by<'k, T, V, M, Q>(
        &self,
        column: Column<T, V, M>,
        value: &'k Q,
    ) -> impl Iterator<Item = &Row<T>> + use<'_, 'k, D, T, V, M, Q>
    where
        T: Table<Database = D>,
        V: Value + Borrow<Q>,
        M: Mutability,
        Q: Eq + ?Sized,
    {
        self.table().scan_by(column, value)
    }

    /// The rows with this key in a declared index; see [`TableView::find`].
    #[track_caller]
    pub fn find<T: Table<Database = D>, K: Key + Borrow<Q>, Q: Hash + Eq + ?Sized>(
        &self,
        index: &Index<T, K>,
        key: &Q,
    ) -> impl ExactSizeIterator<Item = &Row<T>> {
        self.table().find(index, key)
    }

    /// The rows of the table `S` that refer to a row, in no particular order: which switch has this port?
    ///
    /// The cache must have been built with
    /// [`index_references_to`](crate::CacheBuilder::index_references_to) the row's table. A row that
    /// refers to it from several columns is returned once.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "testing"))] {
    /// # let mut rows = ovsdb::testing::SnapshotBuilder::<ovsdb::nb::Database>::new();
    /// # let port = rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
    /// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
    /// # rows.index_references_to::<ovsdb::nb::LogicalSwitchPort>();
    /// # let view = rows.build()?;
    /// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
    ///
    /// let port = view.get_by(LogicalSwitchPort::NAME, "p1").expect("a port");
    /// let switch = view.referrers::<LogicalSwitch>(port).next();
    /// assert_eq!(switch.expect("the switch of the port").name, "sw0");
    /// # }
    /// # Ok::<(), ovsdb::testing::ReplayError>(())
    /// ```
    ///
    /// This does not compile for a table whose rows cannot refer to that row:
    ///
    /// ```compile_fail
    /// # #[cfg(not(feature = "nb"))] compile_error!();
    /// # fn example(view: &ovsdb::Snapshot<ovsdb::nb::Database>) {
    /// use ovsdb::nb::{LogicalRouter, LogicalSwitchPort};
    ///
    /// if let Some(port) = view.get_by(LogicalSwitchPort::NAME, "p1") {
    ///     let router = view.referrers::<LogicalRouter>(port).next();
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the cache was started without that index, which is a bug in the program;
    /// [`try_referrers`](Self::try_referrers) returns an error instead.
    #[track_caller]
    pub fn referrers<S: Table<Database = D>>(&self, row: impl ReferredBy<S>) -> Referrers<'_, S> {
        match referrers(self, row.as_reference()) {
            Ok(rows) => rows,
            Err(error) => panic!("{error}"),
        }
    }

    /// Like [`referrers`](Self::referrers), for code that does not know which indexes the cache has.
    ///
    /// # Errors
    /// When the cache was started without an index of the references from `S` to the row's table.
    pub fn try_referrers<S: Table<Database = D>>(
        &self,
        row: impl ReferredBy<S>,
    ) -> Result<Referrers<'_, S>, ReferencesNotIndexed> {
        referrers(self, row.as_reference())
    }

    /// The rows with keys in this range of a declared index; see [`TableView::range`].
    #[track_caller]
    pub fn range<T: Table<Database = D>, K: Key + Borrow<Q>, Q: Ord + ?Sized>(
        &self,
        index: &OrderedIndex<T, K>,
        range: impl RangeBounds<Q>,
    ) -> impl DoubleEndedIterator<Item = &Row<T>> + ExactSizeIterator {
        self.table().range(index, range)
    }

    /// The rows of the table `T`, in no particular order.
    #[track_caller]
    pub fn rows<T: Table<Database = D>>(&self) -> impl ExactSizeIterator<Item = &Row<T>> {
        self.table().rows()
    }

    /// The names of the tables in this view, including those without rows.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.state.registry.names.iter().map(Str::as_str)
    }

    /// The number of rows in all tables.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Whether there is no row in any table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row with this uuid in the table with this name, for code that works with any table.
    #[must_use]
    pub fn any_row(&self, table: &str, uuid: Uuid) -> Option<Arc<dyn AnyRow>> {
        let row = self.any_table(table)?.get(uuid)?;
        Some(row.clone())
    }

    /// The rows of the table with this name, in no particular order; `None` when the cache was started
    /// without it.
    ///
    /// It reads compiled tables as well as tables known at run time only.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "testing"))] {
    /// # let mut rows = ovsdb::testing::SnapshotBuilder::<ovsdb::nb::Database>::new();
    /// # let port = rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
    /// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
    /// # let view = rows.build()?;
    /// for table in view.table_names() {
    ///     let rows = view.any_rows(table).map_or(0, |rows| rows.len());
    ///     println!("{table} has {rows} rows");
    ///     # assert_eq!(rows, 1);
    /// }
    /// # }
    /// # Ok::<(), ovsdb::testing::ReplayError>(())
    /// ```
    pub fn any_rows(&self, table: &str) -> Option<impl ExactSizeIterator<Item = &dyn AnyRow>> {
        let rows = self.any_table(table)?.rows.iter();
        Some(rows.map(|row| -> &dyn AnyRow { &**row }))
    }

    /// The table with this name.
    fn any_table(&self, name: &str) -> Option<&TableState> {
        let at = self.state.registry.position(name)?;
        Some(&**self.state.tables.get(at)?)
    }

    /// The id of the last transaction in this view; nil when the server names none (a standalone
    /// database, or a server without `monitor_cond_since`).
    #[must_use]
    pub fn last_txn_id(&self) -> Uuid {
        self.state.last_txn_id
    }
}

/// One table of a [`Snapshot`].
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// # let mut rows = ovsdb::testing::SnapshotBuilder::<ovsdb::nb::Database>::new();
/// # let port = rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
/// # let view = rows.build()?;
/// use ovsdb::nb::LogicalSwitch;
///
/// // Finds the table once, for many rows.
/// let switches = view.table::<LogicalSwitch>();
/// for switch in switches.rows() {
///     assert_eq!(switches.get(switch.reference()), Some(switch));
/// }
/// # }
/// # Ok::<(), ovsdb::testing::ReplayError>(())
/// ```
#[derive(Debug)]
pub struct TableView<'a, T: Table> {
    pub(super) state: &'a TableState,
    table: PhantomData<fn() -> T>,
}

impl<T: Table> Clone for TableView<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Table> Copy for TableView<'_, T> {}

impl<'a, T: Table> TableView<'a, T> {
    /// The number of rows.
    #[must_use]
    pub const fn len(self) -> usize {
        self.state.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The row that `row` refers to, if the replica has it.
    #[must_use]
    pub fn get(self, row: Ref<T>) -> Option<&'a Row<T>> {
        get(self.state, row.uuid())
    }

    /// The row that `row` refers to, shared, so that it can outlive the view. It is the replica's own
    /// row, not a copy.
    #[must_use]
    pub fn get_shared(self, row: Ref<T>) -> Option<Arc<Row<T>>> {
        shared(self.state.get(row.uuid())?.clone())
    }

    /// The rows whose column has this value, found by reading every row of the table: for rare look-ups
    /// and small tables. Otherwise declare an [`Index`].
    pub fn scan_by<'k, V, M, Q>(
        self,
        column: Column<T, V, M>,
        value: &'k Q,
    ) -> impl Iterator<Item = &'a Row<T>> + use<'a, 'k, T, V, M, Q>
    where
        V: Value + Borrow<Q>,
        M: Mutability,
        Q: Eq + ?Sized,
    {
        self.rows()
            .filter(move |row| column.get(row).borrow() == value)
    }

    /// The row with this hash in this index of [`Table::INDEXES`] for which `matches` returns true.
    pub(super) fn indexed(
        self,
        index: usize,
        hash: u32,
        matches: impl Fn(&T) -> bool,
    ) -> Option<&'a Row<T>> {
        let rows = &self.state.rows;
        let matching = |row: &'a SharedRow| typed(&**row).filter(|row| matches(row));
        self.state.indexes[index].find_map(hash, |row| rows.find_map(*row, matching))
    }

    /// The rows with this key in a declared index, in no particular order.
    ///
    /// # Panics
    /// When the cache was started without the index, which is a bug in the program.
    #[track_caller]
    pub fn find<K: Key + Borrow<Q>, Q: Hash + Eq + ?Sized>(
        self,
        index: &Index<T, K>,
        key: &Q,
    ) -> impl ExactSizeIterator<Item = &'a Row<T>> + use<'a, T, K, Q> {
        match index.of(&self.state.declared) {
            Some(rows) => Found {
                state: self.state,
                uuids: rows.find(key),
                table: PhantomData,
            },
            None => panic!("the cache was started without this index of {}", T::TABLE),
        }
    }

    /// Like [`find`](Self::find), into a list. Returns false when the cache was started without the
    /// index.
    pub(crate) fn find_into<K: Key>(
        self,
        index: &Index<T, K>,
        key: &K,
        found: &mut Vec<&'a Row<T>>,
    ) -> bool {
        let Some(rows) = index.of(&self.state.declared) else {
            return false;
        };
        found.extend(rows.find(key).filter_map(|uuid| get(self.state, uuid)));
        true
    }

    /// The rows with keys in this range of a declared index, sorted by key. A row with several keys in
    /// the range is returned once for each. A range of strings is a pair of bounds, as in the standard
    /// maps: `(Included("a"), Excluded("b"))`.
    ///
    /// # Panics
    /// When the cache was started without the index, which is a bug in the program.
    #[track_caller]
    pub fn range<K: Key + Borrow<Q>, Q: Ord + ?Sized, R: RangeBounds<Q>>(
        self,
        index: &OrderedIndex<T, K>,
        range: R,
    ) -> impl DoubleEndedIterator<Item = &'a Row<T>> + ExactSizeIterator + use<'a, T, K, Q, R> {
        match index.of(&self.state.declared) {
            Some(rows) => Found {
                state: self.state,
                uuids: rows.range(&range).map(|(_, uuid)| uuid),
                table: PhantomData,
            },
            None => panic!("the cache was started without this index of {}", T::TABLE),
        }
    }

    /// Like [`range`](Self::range); `None` when the cache was started without the index.
    pub(crate) fn try_range<K: Key>(
        self,
        index: &OrderedIndex<T, K>,
        range: &impl RangeBounds<K>,
    ) -> Option<Vec<&'a Row<T>>> {
        let rows = index.of(&self.state.declared)?.range(range);
        Some(rows.filter_map(|(_, uuid)| get(self.state, uuid)).collect())
    }

    /// The rows, in no particular order.
    pub fn rows(self) -> impl ExactSizeIterator<Item = &'a Row<T>> {
        Rows::new(self.state.rows.iter())
    }

    /// The rows, in no particular order, shared, so that they can outlive the view. They are the
    /// replica's own rows, not copies.
    pub fn rows_shared(self) -> impl Iterator<Item = Arc<Row<T>>> + use<'a, T> {
        let rows = self.state.rows.iter();
        rows.filter_map(|row| shared(row.clone()))
    }
}

/// The rows of the table `S` that refer to a row.
fn referrers<S, T>(
    view: &Snapshot<S::Database>,
    row: Ref<T>,
) -> Result<Referrers<'_, S>, ReferencesNotIndexed>
where
    S: Table,
    T: Table,
{
    let table = view.try_table::<S>().map(|table| table.state);
    let index = table.and_then(|state| {
        let indexes = state.declared.iter();
        let mut indexes = indexes.filter_map(|index| (&**index as &dyn Any).downcast_ref());
        let index = indexes.find(|index: &&References| index.is_to(T::TABLE))?;
        Some((state, index))
    });
    match index {
        Some((state, index)) => Ok(Referrers(Found {
            state,
            uuids: index.find(row.uuid()),
            table: PhantomData,
        })),
        None => Err(ReferencesNotIndexed {
            from: S::TABLE,
            to: T::TABLE,
        }),
    }
}

/// The rows of the table `S` that refer to a row, from [`Snapshot::referrers`].
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::Row;
/// use ovsdb::cache::Referrers;
/// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort, Snapshot};
///
/// fn switches<'a>(view: &'a Snapshot, port: &Row<LogicalSwitchPort>) -> Referrers<'a, LogicalSwitch> {
///     view.referrers(port)
/// }
/// # }
/// ```
pub struct Referrers<'a, S>(Found<'a, S, index::Found<'a>>);

impl<S: Table> fmt::Debug for Referrers<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Referrers")
            .field("table", &S::TABLE)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<'a, S: Table> Iterator for Referrers<'a, S> {
    type Item = &'a Row<S>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<S: Table> ExactSizeIterator for Referrers<'_, S> {}

/// The cache was started without an index of the references from one table to another, or without the
/// first table.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::Row;
/// use ovsdb::cache::ReferencesNotIndexed;
/// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort, Snapshot};
///
/// fn is_used(
///     view: &Snapshot,
///     port: &Row<LogicalSwitchPort>,
/// ) -> Result<bool, ReferencesNotIndexed> {
///     Ok(view.try_referrers::<LogicalSwitch>(port)?.len() > 0)
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cache was started without an index of the references from {from} to {to}: \
     add the table {from} and call `index_references_to` when the cache is built"
)]
#[non_exhaustive]
pub struct ReferencesNotIndexed {
    /// The name of the table with the references.
    pub from: &'static str,
    /// The name of the table that the references are to.
    pub to: &'static str,
}

/// The row with this uuid in a table of the type `T`.
fn get<T: Table>(state: &TableState, uuid: Uuid) -> Option<&Row<T>> {
    let with_uuid = |row: &Row<T>| row.uuid() == uuid;
    let rows = &state.rows;
    rows.find_map(hash_uuid(uuid), |row| {
        typed(&**row).filter(|row| with_uuid(row))
    })
}

/// The rows with the uuids that an index found.
struct Found<'a, T, I> {
    state: &'a TableState,
    uuids: I,
    table: PhantomData<fn() -> T>,
}

impl<'a, T: Table, I: Iterator<Item = Uuid>> Iterator for Found<'a, T, I> {
    type Item = &'a Row<T>;

    fn next(&mut self) -> Option<Self::Item> {
        // An index holds only uuids of rows that exist in the same state.
        let uuid = self.uuids.next()?;
        get(self.state, uuid)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.uuids.size_hint()
    }
}

impl<T: Table, I: DoubleEndedIterator<Item = Uuid>> DoubleEndedIterator for Found<'_, T, I> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let uuid = self.uuids.next_back()?;
        get(self.state, uuid)
    }
}

impl<T: Table, I: ExactSizeIterator<Item = Uuid>> ExactSizeIterator for Found<'_, T, I> {}
