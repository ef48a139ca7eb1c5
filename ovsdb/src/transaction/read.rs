//! Reading through a transaction: its view, with its own writes applied.

use std::sync::Arc;

use super::find_by::RowKey;
use super::guard::Guarding;
use super::touched::{KeyRead, Touched};
use super::{BuildError, FindBy, Transaction};
use crate::cache::{Snapshot, TableView};
use crate::client::{Cache, Client};
use crate::model::{AllOf, Database, Row, Table};
use crate::protocol::Operation;
use crate::value::Ref;

impl<D: Database> Client<D> {
    /// A new transaction that can be read: it shows the replica as it is now, with its own writes
    /// applied.
    ///
    /// It is sent only while the replica [is current](Transaction::require_current), and committed only
    /// if what was read through it is unchanged; see [`Transaction::get`]. [`apply`](Self::apply) makes
    /// such a transaction, and runs its closure again after a conflict.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// use ovsdb::nb::Meter;
    ///
    /// let mut txn = client.transaction_on(&cache);
    /// if txn.get_by(Meter::NAME, "arp").is_none() {
    ///     let band = txn.insert(ovsdb::nb::MeterBand { rate: 100, ..Default::default() });
    ///     txn.insert(Meter { name: "arp".into(), bands: [band].into(), ..Default::default() });
    /// }
    /// assert!(txn.get_by(Meter::NAME, "arp").is_some());
    /// # let _ = txn;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn transaction_on(&self, cache: &Cache<D>) -> Transaction<D> {
        let mut txn = self.transaction();
        txn.require_current(cache);
        txn.overlay.view = Some(cache.snapshot());
        txn
    }
}

impl<D: Database> Transaction<D> {
    /// Like [`detached`](Self::detached), with a view. Reads through the transaction show this view
    /// with the transaction's own writes applied.
    ///
    /// ```
    /// # #[cfg(feature = "nb")]
    /// # fn example(view: ovsdb::nb::Snapshot) {
    /// use ovsdb::nb::{LogicalSwitchPort as Port, Transaction};
    ///
    /// let mut txn = Transaction::detached_on(view);
    /// if let Some(port) = txn.get_by(Port::NAME, "p1") {
    ///     txn.edit(&port, |port| port.enabled = Some(true));
    /// }
    /// # }
    /// ```
    pub fn detached_on(view: Snapshot<D>) -> Self {
        let mut txn = Self::detached();
        txn.overlay.view = Some(view);
        txn
    }

    /// The view that the transaction reads, without the transaction's own writes; `None` if it has no
    /// view. What is read from the view itself is not guarded.
    #[must_use]
    pub const fn view(&self) -> Option<&Snapshot<D>> {
        self.overlay.view.as_ref()
    }

    /// The row that `row` refers to, as the transaction leaves it: with its edits; `None` if it deletes
    /// the row, or the replica does not have it.
    ///
    /// The result is guarded: the commit fails when the row has changed since, in any column that the
    /// replica has, or when a missing row has come to exist. Then nothing has changed on the server,
    /// [`Refusal::is_conflict`](super::Refusal::is_conflict) returns true, and
    /// [`Client::apply`](crate::Client::apply) runs its closure again. [`peek`](Self::peek) reads
    /// without a guard. A transaction without operations is not sent, so nothing is verified.
    ///
    /// A guard is a `wait` operation with the row's columns, as the replica has them. Columns that hold
    /// reals are left out, because servers send reals rounded; so a change of one is not noticed. In a cache
    /// with [row versions](crate::CacheBuilder::row_versions) the guard is the row's version, which
    /// covers all columns. Through a relay, columns are compared.
    ///
    /// What [`insert`](Self::insert), [`edit`](Self::edit) and the [`delete`](Self::delete) of a single
    /// row write is visible to later reads. What other operations write is not visible. These are
    /// [`update`](Self::update) and [`mutate`](Self::mutate), even of a single row, a `delete` by a
    /// condition, and the operations of [`any_table`](Self::any_table) and [`operation`](Self::operation).
    ///
    /// ```
    /// # #[cfg(feature = "nb")]
    /// # fn example(txn: &mut ovsdb::nb::Transaction, switch: ovsdb::Ref<ovsdb::nb::LogicalSwitch>) {
    /// if let Some(row) = txn.get(switch) {
    ///     let others = !row.ports.is_empty();
    ///     txn.edit(switch, |switch| {
    ///         switch.other_config.insert("shared", others.to_string());
    ///     });
    /// }
    /// # }
    /// ```
    ///
    /// For a row that the transaction has not written, it is a mistake, which the commit returns, if the
    /// transaction has no view ([`BuildError::NoView`]), or the cache was started without the table
    /// ([`BuildError::NotReplicated`]).
    pub fn get<T: Table<Database = D>>(&mut self, row: Ref<T>) -> Option<Arc<Row<T>>> {
        let uuid = row.uuid();
        let touched = self.overlay.touched::<T>();
        let written = touched.and_then(|touched| touched.written.get(&uuid));
        if let Some(written) = written {
            let (before, now) = (written.before.clone(), written.now.clone());
            if before.is_some() {
                self.overlay.touch::<T>().read.entry(uuid).or_insert(before);
            }
            return now;
        }
        if !self.has_table::<T>() {
            return None;
        }
        let before = self.overlay.before::<T>(uuid);
        let read = &mut self.overlay.touch::<T>().read;
        read.entry(uuid).or_insert_with(|| before.clone());
        before
    }

    /// The row with this key, in a unique column, in an index of the schema over several columns, or in
    /// a declared index. If several rows have the key, the one with the smallest uuid.
    ///
    /// The row is guarded as by [`get`](Self::get). The commit also fails if another row has the key by
    /// then, or any row if none was found. For an index by a function, by the values of a map, or over
    /// reals, only the rows that were found are guarded.
    ///
    /// If a [condition](crate::CacheBuilder::table_where) selects only some of the table's rows for the
    /// cache, a row with the key that is not selected makes the commit fail too.
    ///
    /// ```
    /// # #[cfg(feature = "nb")]
    /// # fn example(txn: &mut ovsdb::nb::Transaction) {
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    ///
    /// if let Some(port) = txn.get_by(Port::NAME, "p1") {
    ///     txn.edit(&port, |port| port.tag = port.tag_request);
    /// }
    /// # }
    /// ```
    ///
    /// It is a mistake, which the commit returns, if the transaction has no view
    /// ([`BuildError::NoView`]), if the cache was started without the table
    /// ([`BuildError::NotReplicated`]) or the index ([`BuildError::NoIndex`]), or if the server lacks the
    /// column of the key ([`BuildError::NoSuchColumn`]).
    pub fn get_by<T, Q, B>(&mut self, by: B, key: Q) -> Option<Arc<Row<T>>>
    where
        T: Table<Database = D>,
        B: FindBy<T, Q>,
    {
        let key = by.key(key);
        self.find_guarded(by.by(), &key, Purpose::Rows)
            .into_iter()
            .next()
    }

    /// The rows with this key, sorted by uuid; guarded as by [`get_by`](Self::get_by).
    ///
    /// ```
    /// # #[cfg(feature = "nb")] fn example(
    /// #     txn: &mut ovsdb::nb::Transaction,
    /// #     by_chassis: &ovsdb::cache::Index<ovsdb::nb::LogicalSwitchPort, ovsdb::Str>,
    /// # ) {
    /// for port in txn.find(by_chassis, "node-1") {
    ///     txn.delete(&port);
    /// }
    /// # }
    /// ```
    pub fn find<T, Q, B>(&mut self, by: B, key: Q) -> Vec<Arc<Row<T>>>
    where
        T: Table<Database = D>,
        B: FindBy<T, Q>,
    {
        let key = by.key(key);
        self.find_guarded(by.by(), &key, Purpose::Rows)
    }

    /// The only row with this key, to be edited, deleted or referred to.
    ///
    /// The commit verifies that the row is still the only one with the key, but not its other columns,
    /// which another client may change meanwhile. [`get`](Self::get) reads and guards them. For an
    /// index by a function, by the values of a map, or over reals, the commit verifies instead that the
    /// row is unchanged.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::CommitError;
    /// use ovsdb::cache::Index;
    /// use ovsdb::nb::LogicalSwitch as Switch;
    /// use ovsdb::transaction::BuildError;
    ///
    /// let by_name = Index::column(Switch::NAME);
    /// let cache = client.cache().index(&by_name).start().await?;
    /// let apply = client.apply(&cache, |_, txn| {
    ///     let switch = txn.one(&by_name, "sw0")?;
    ///     txn.edit(switch, |switch| {
    ///         switch.other_config.insert("subnet", "10.0.0.0/24");
    ///     });
    ///     Ok::<_, CommitError>(())
    /// });
    /// let error = apply.await.expect_err("there is no switch");
    /// assert!(matches!(error, CommitError::Build(BuildError::NotFound { .. })));
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`BuildError::NotFound`] when no row has the key, and [`BuildError::Several`] when more than one
    /// has. If the closure of [`Client::apply`] returns them, `apply` ends with that error. If it
    /// continues, the commit verifies that still no row, or the same rows, have the key; for an index by
    /// a function, by the values of a map, or over reals, only that the rows found are unchanged.
    /// [`BuildError::NoView`], [`BuildError::NotReplicated`], [`BuildError::NoIndex`], and
    /// [`BuildError::NoSuchColumn`] when the server lacks the column of the key; the commit returns
    /// these too.
    pub fn one<T, Q, B>(&mut self, by: B, key: Q) -> Result<Ref<T>, BuildError>
    where
        T: Table<Database = D>,
        B: FindBy<T, Q>,
    {
        let key = by.key(key);
        let earlier = self.mistake.take();
        let found = self.find_guarded(by.by(), &key, Purpose::Key);
        let mistake = self.mistake.take();
        self.mistake = earlier.or_else(|| mistake.clone());
        if let Some(mistake) = mistake {
            return Err(mistake);
        }
        let table = T::TABLE;
        let key = || {
            let condition = by.by().condition(&key);
            condition.map_or_else(|| "this key".to_owned(), |rows| rows.to_text())
        };
        match &found[..] {
            [row] => Ok(row.reference()),
            [] => Err(BuildError::NotFound { table, key: key() }),
            several => Err(BuildError::Several {
                table,
                key: key(),
                count: several.len(),
            }),
        }
    }

    /// Reads without guards: the commit does not fail when what was read has changed. Use it for whole
    /// tables, by [`Peek::rows`]: if a scan were guarded, every change of the table would be a
    /// conflict.
    ///
    /// ```
    /// # #[cfg(feature = "nb")]
    /// # fn example(txn: &mut ovsdb::nb::Transaction) {
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    ///
    /// let unnamed = txn.peek().rows::<Port>().filter(|port| port.name.is_empty());
    /// let unnamed: Vec<_> = unnamed.map(|port| port.reference()).collect();
    /// for port in unnamed {
    ///     txn.delete(port);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub const fn peek(&self) -> Peek<'_, D> {
        Peek { txn: self }
    }

    /// Whether there is a view with the table; records a mistake if not.
    pub(super) fn has_table<T: Table<Database = D>>(&mut self) -> bool {
        let table = T::TABLE;
        let mistake = match &self.overlay.view {
            None => BuildError::NoView { table },
            Some(view) if view.try_table::<T>().is_none() => BuildError::NotReplicated { table },
            Some(_) => return true,
        };
        self.mistake(mistake);
        false
    }

    /// Adds a guard that the rows which meet a condition are these, unless a unique index of the
    /// server's schema over the columns `unique` ensures it, or the condition compares reals, which
    /// servers send rounded.
    pub(crate) fn expect<T: Table<Database = D>>(
        &mut self,
        condition: AllOf<T>,
        rows: Vec<Arc<Row<T>>>,
        unique: Option<&[&str]>,
    ) {
        let is_unique = unique.is_some_and(|columns| self.is_unique::<T>(columns));
        let is_guarded = !is_unique && condition.is_exact();
        self.overlay.touch::<T>().read_key(KeyRead {
            condition,
            rows,
            is_whole: false,
            is_guarded,
        });
    }

    /// Whether the server's schema has an index over exactly these columns.
    fn is_unique<T: Table>(&self, columns: &[&str]) -> bool {
        let schema = self.origin.schema();
        let table = schema
            .as_ref()
            .and_then(|schema| schema.tables.get(T::TABLE));
        table.is_some_and(|table| {
            let mut indexes = table.indexes.iter();
            indexes.any(|index| {
                let has = |column: &&str| index.iter().any(|other| other == column);
                index.len() == columns.len() && columns.iter().all(has)
            })
        })
    }

    /// The rows with a key, guarded as needed for their purpose.
    pub(super) fn find_guarded<T: Table<Database = D>, B: RowKey<T>>(
        &mut self,
        by: &B,
        key: &B::Key,
        purpose: Purpose,
    ) -> Vec<Arc<Row<T>>> {
        if !self.has_table::<T>() {
            return Vec::new();
        }
        let view = self.overlay.view.as_ref();
        let table = view.and_then(Snapshot::try_table::<T>);
        let mut rows = Vec::new();
        if !table.is_some_and(|table| by.find_in(table, key, &mut rows)) {
            self.mistake(BuildError::NoIndex { table: T::TABLE });
            return Vec::new();
        }
        let found = rows
            .into_iter()
            .filter_map(|row| self.overlay.before(row.uuid()));
        let found: Vec<Arc<Row<T>>> = found.collect();
        let condition = by.condition(key).filter(AllOf::is_exact);
        if let Some(condition) = &condition {
            self.check_condition(condition);
        }
        let unique = by.unique_columns();
        let is_unique = unique.is_some_and(|columns| self.is_unique::<T>(&columns));
        // Before Open vSwitch 3.6, ovsdb-server reads the whole table for any condition except one on
        // `_uuid`. Where a unique index prevents other rows with the key, only the row itself is guarded; a
        // row to be inserted needs no guard.
        let guard = match (is_unique, purpose, found.is_empty()) {
            (false, ..) | (true, Purpose::Rows | Purpose::Key, true) => Guard::Key,
            (true, Purpose::Rows, false) => Guard::Rows,
            (true, Purpose::Ensure, true) => Guard::None,
            (true, Purpose::Key | Purpose::Ensure, false) => Guard::KeyOfRow,
        };
        let is_whole = matches!(purpose, Purpose::Rows);
        self.guarded(found, condition, is_whole, guard, |row| by.has(row, key))
    }

    /// The rows that meet a condition, guarded against other rows that meet it. If the condition compares
    /// reals, only the rows that were found are guarded.
    pub(super) fn find_where<T: Table<Database = D>>(
        &mut self,
        condition: &AllOf<T>,
    ) -> Vec<Arc<Row<T>>> {
        if !self.has_table::<T>() {
            return Vec::new();
        }
        let view = self.overlay.view.as_ref();
        let table = view.and_then(Snapshot::try_table::<T>);
        let rows = table.into_iter().flat_map(TableView::rows_shared);
        let found: Vec<_> = rows.filter(|row| condition.holds_for(row)).collect();
        self.check_condition(condition);
        let has = |row: &Row<T>| condition.holds_for(row);
        self.guarded(found, Some(condition.clone()), false, Guard::Key, has)
    }

    /// Guards rows that were found in the view. Returns the rows that match once the transaction's own
    /// writes are applied.
    fn guarded<T: Table<Database = D>>(
        &mut self,
        found: Vec<Arc<Row<T>>>,
        condition: Option<AllOf<T>>,
        is_whole: bool,
        guard: Guard,
        has: impl Fn(&Row<T>) -> bool,
    ) -> Vec<Arc<Row<T>>> {
        let touched = self.overlay.touch::<T>();
        let untouched = found.iter();
        let untouched = untouched.filter(|row| !touched.written.contains_key(&row.uuid()));
        let own = touched.left().filter(|row| has(row));
        let mut rows: Vec<_> = untouched.chain(own).cloned().collect();
        rows.sort_by_key(|row| row.uuid());
        let mut read_key = |condition, rows, is_guarded| {
            touched.read_key(KeyRead {
                condition,
                rows,
                is_whole,
                is_guarded,
            });
        };
        match (condition, guard) {
            (Some(condition), Guard::Key) if condition.is_exact() => {
                read_key(condition, found, true);
            }
            (Some(condition), Guard::None) => read_key(condition, found, false),
            (Some(condition), Guard::KeyOfRow) => {
                for row in found {
                    let of_row = AllOf::from(row.reference()).and(condition.clone());
                    read_key(of_row, vec![row], true);
                }
            }
            (condition, _) => {
                if let Some(condition) = condition {
                    read_key(condition, found.clone(), false);
                }
                for row in found {
                    touched.read.entry(row.uuid()).or_insert(Some(row));
                }
            }
        }
        rows
    }

    /// Adds the operations that are sent before the user's: guards for what was read or replaced, and a
    /// comment that names the author.
    pub(super) fn sealed(mut self) -> Self {
        if self.operations.is_empty() {
            return self;
        }
        let schema = self.origin.schema();
        let mut guards = self.overlay.guards(Guarding {
            schema: schema.as_deref(),
            by_version: self.basis.is_some() && self.origin.gives_versions(),
        });
        if planted!(EditUnguarded) {
            guards.clear();
        }
        if let Some(author) = self.origin.author()
            && self.operations.iter().any(Operation::writes)
        {
            let comment = author.clone();
            guards.push(Operation::Comment { comment });
        }
        self.reads = guards.len();
        self.put_first(guards);
        self
    }
}

/// Why rows are looked up by a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// To read them.
    Rows,
    /// To know which rows have the key.
    Key,
    /// Like `Key`; a row is inserted if none has the key.
    Ensure,
}

/// The guard for a look-up by a key.
#[derive(Debug, Clone, Copy)]
enum Guard {
    /// The rows with the key are those that were found.
    Key,
    /// The row is as it was read.
    Rows,
    /// The row has the key.
    KeyOfRow,
    /// No guard.
    None,
}

/// Reads a transaction without guards; [`Transaction::peek`] makes one, and has an example.
///
/// # Panics
/// Like a [`Snapshot`]: when the cache was started without the table or the index.
///
/// ```
/// # #[cfg(feature = "nb")]
/// # fn example(txn: &ovsdb::nb::Transaction) {
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// println!("{} ports then", txn.peek().rows::<Port>().count());
/// # }
/// ```
#[derive(Debug)]
pub struct Peek<'t, D> {
    pub(super) txn: &'t Transaction<D>,
}

impl<D> Clone for Peek<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Peek<'_, D> {}

impl<'t, D: Database> Peek<'t, D> {
    /// The row that `row` refers to, as the transaction leaves it.
    #[must_use]
    #[track_caller]
    pub fn get<T: Table<Database = D>>(self, row: Ref<T>) -> Option<&'t Row<T>> {
        let overlay = &self.txn.overlay;
        let touched = overlay.touched::<T>();
        match touched.and_then(|touched| touched.written.get(&row.uuid())) {
            Some(written) => written.now.as_deref(),
            None => overlay.view.as_ref()?.get(row),
        }
    }

    /// The row with this key, as the transaction leaves it; of several, the one with the smallest uuid.
    #[must_use]
    #[track_caller]
    pub fn get_by<T, Q, B>(self, by: B, key: Q) -> Option<&'t Row<T>>
    where
        T: Table<Database = D>,
        B: FindBy<T, Q>,
    {
        self.find(by, key).into_iter().next()
    }

    /// The rows with this key, as the transaction leaves them, sorted by uuid.
    #[must_use]
    #[track_caller]
    pub fn find<T, Q, B>(self, by: B, key: Q) -> Vec<&'t Row<T>>
    where
        T: Table<Database = D>,
        B: FindBy<T, Q>,
    {
        let key = by.key(key);
        let overlay = &self.txn.overlay;
        let touched = overlay.touched::<T>();
        let mut rows = Vec::new();
        if let Some(view) = &overlay.view {
            let table = view.table::<T>();
            assert!(
                by.by().find_in(table, &key, &mut rows),
                "the cache was started without this index of {}",
                T::TABLE
            );
            rows.retain(|row| {
                touched.is_none_or(|touched| !touched.written.contains_key(&row.uuid()))
            });
        }
        let own = touched.into_iter().flat_map(Touched::left);
        rows.extend(own.map(|row| &**row).filter(|row| by.by().has(row, &key)));
        rows.sort_by_key(|row| row.uuid());
        rows
    }

    /// All rows of a table, as the transaction leaves them: first the rows of the view, then those that
    /// the transaction inserts, or edits without having them in a view.
    #[track_caller]
    pub fn rows<T: Table<Database = D>>(self) -> impl Iterator<Item = &'t Row<T>> {
        let overlay = &self.txn.overlay;
        let touched = overlay.touched::<T>();
        let written =
            move |row: &Row<T>| touched.and_then(|touched| touched.written.get(&row.uuid()));
        let view = overlay.view.iter().flat_map(|view| view.rows::<T>());
        let view = view.filter_map(move |row| match written(row) {
            Some(written) => written.now.as_deref(),
            None => Some(row),
        });
        let own = touched.into_iter().flat_map(|touched| {
            let written = touched.order.iter();
            let written = written.filter_map(|uuid| touched.written.get_key_value(uuid));
            written.filter(|(uuid, _)| overlay.before::<T>(**uuid).is_none())
        });
        view.chain(own.filter_map(|(_, written)| written.now.as_deref()))
    }
}
