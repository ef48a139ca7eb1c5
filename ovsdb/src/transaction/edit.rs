//! Edits of rows: only differences are sent, with guards for the values that they replace.

use std::sync::Arc;

use ovsdb_schema::Max;

use super::difference::Difference;
use super::find_by::RowKey as _;
use super::merge::joined;
use super::read::Purpose;
use super::touched::{EditPlaces, Written};
use super::{BuildError, FindBy, Transaction, guard};
use crate::model::{AllOf, Database, Row, Table};
use crate::protocol::{Clause, Columns, Operation};
use crate::value::{Ref, Sealed, Str, Uuid};

/// A row to be edited: a reference to a [`Row`] or to an `Arc` of one, or a [`Ref`].
///
/// ```
/// # #[cfg(feature = "nb")]
/// # fn example(view: &ovsdb::nb::Snapshot, txn: &mut ovsdb::nb::Transaction) {
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// if let Some(port) = view.get_by(Port::NAME, "p1") {
///     txn.edit(port, |port| port.tag = Some(5));
///     txn.edit(port.reference(), |port| port.enabled = Some(true));
/// }
/// # }
/// ```
pub trait EditRow<T: Table>: Sealed {
    /// The row's uuid.
    #[doc(hidden)]
    fn uuid(&self) -> Uuid;
    /// The row as the caller read it.
    #[doc(hidden)]
    fn read(self) -> Option<Arc<Row<T>>>;
}

impl<T: Table> EditRow<T> for Ref<T> {
    fn uuid(&self) -> Uuid {
        Self::uuid(*self)
    }
    fn read(self) -> Option<Arc<Row<T>>> {
        None
    }
}

impl<T: Table> EditRow<T> for &Row<T> {
    fn uuid(&self) -> Uuid {
        Row::uuid(self)
    }
    fn read(self) -> Option<Arc<Row<T>>> {
        Some(Arc::new(self.clone()))
    }
}

impl<T: Table> EditRow<T> for &Arc<Row<T>> {
    fn uuid(&self) -> Uuid {
        Row::uuid(self)
    }
    fn read(self) -> Option<Arc<Row<T>>> {
        Some(self.clone())
    }
}

impl<D: Database> Transaction<D> {
    /// Changes a row by a closure, and sends only the differences. Of a set or map, only the elements
    /// and pairs that differ are inserted and deleted. So an element that another client adds to the
    /// same set, or a key that it adds to the same map, stays. Other columns are updated as a whole:
    /// those with at most one value, and sets and maps that the schema does not allow to be empty. If
    /// nothing differs, nothing is sent. Returns whether the closure changed the row.
    ///
    /// A row that the transaction has inserted or edited before is changed further. The earlier insert
    /// or edit is extended. If an operation other than an insert or edit was added since, or any operation
    /// of [`any_table`](Self::any_table), or another transaction was merged, the edit becomes new
    /// operations instead.
    ///
    /// The commit fails when the row no longer exists, when another client has changed a value that the
    /// edit replaces (the old value of an updated column, or the pair of a map whose key is replaced or
    /// removed), and when another client was first to set a key that the edit adds, to another value.
    /// Reals are not compared, because servers send them rounded. If the transaction [requires a current
    /// replica](Self::require_current), as in [`Client::apply`](crate::Client::apply), and the cache
    /// has [row versions](crate::CacheBuilder::row_versions), the row's version is compared in place of a
    /// column of reals that the edit replaces, but not through a relay. After such a failure nothing has
    /// changed, [`Refusal::is_conflict`](super::Refusal::is_conflict) returns true,
    /// [`CommitError::retry`](super::CommitError::retry) says [`Again`](super::Retry::Again), and
    /// [`Client::apply`](crate::Client::apply) runs its closure again. If the change depends on other
    /// values of the row, read the row with [`get`](Self::get), which guards all of it.
    ///
    /// The edit starts from the row in the transaction's view; without a view, from the one that `row`
    /// holds.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// # let mut txn = client.transaction();
    /// # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
    /// # txn.commit().await?;
    /// use ovsdb::nb::LogicalSwitch as Switch;
    ///
    /// let view = cache.snapshot();
    /// let switch = view.rows::<Switch>().next().ok_or("no switch")?;
    /// let mut txn = client.transaction();
    /// txn.edit(switch, |switch| {
    ///     switch.name = "sw1".into();
    ///     switch.external_ids.insert("owner", "me");
    /// });
    /// txn.commit().await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// Without a row to start from, or if the transaction has deleted the row, the commit sends nothing
    /// and returns [`BuildError::NoSuchRow`]. If the edit changes an immutable column of an existing
    /// row, or of an inserted row after an operation that reads the column, it returns
    /// [`BuildError::Immutable`].
    pub fn edit<T: Table<Database = D>>(
        &mut self,
        row: impl EditRow<T>,
        change: impl FnOnce(&mut T),
    ) -> bool {
        let uuid = row.uuid();
        let touched = self.overlay.touched::<T>();
        let written = touched.and_then(|touched| touched.written.get(&uuid));
        let start = match written {
            Some(written) => written.now.clone(),
            None if self.overlay.view.is_some() => self.overlay.before(uuid),
            None => row.read(),
        };
        let Some(start) = start else {
            let table = T::TABLE;
            self.mistake(BuildError::NoSuchRow { table, uuid });
            return false;
        };
        let mut columns = T::clone(&start);
        change(&mut columns);
        if columns == **start {
            return false;
        }
        self.write_edit(&start, Arc::new(Row::new(uuid, columns)));
        true
    }

    /// Applies a change that was computed from `read`, which may differ from the row in the view.
    pub(crate) fn edit_from<T: Table<Database = D>>(&mut self, read: &Arc<Row<T>>, columns: &T) {
        let uuid = read.uuid();
        let touched = self.overlay.touched::<T>();
        let written = touched.and_then(|touched| touched.written.get(&uuid));
        let (start, columns) = match written {
            None => (read.clone(), columns.clone()),
            Some(Written { now: Some(now), .. }) => (now.clone(), joined::<T>(read, now, columns)),
            Some(Written { now: None, .. }) => {
                let table = T::TABLE;
                self.mistake(BuildError::NoSuchRow { table, uuid });
                return;
            }
        };
        if columns != **start {
            self.write_edit(&start, Arc::new(Row::new(uuid, columns)));
        }
    }

    /// Writes the edit of a row as operations.
    fn write_edit<T: Table<Database = D>>(&mut self, start: &Arc<Row<T>>, now: Arc<Row<T>>) {
        let uuid = now.uuid();
        let epoch = self.overlay.epoch;
        let touched = self.overlay.touch::<T>();
        let written = touched.write(uuid, || Written::edited(start.clone(), epoch));
        if written.epoch != epoch {
            written.start_again(epoch);
        }
        written.now = Some(now.clone());
        let (base, places, is_inserted) =
            (written.base.clone(), written.places, written.is_inserted);
        let Some(mut base) = base else {
            // No operation depends on the insert yet, so change the insert itself.
            let columns = self.columns_to_insert::<T>(&now);
            let insert = self.inserted.get(&uuid).copied();
            let insert = insert.and_then(|place| self.operations.get_mut(place));
            if let Some(Operation::Insert { row, .. }) = insert {
                *row = columns;
            }
            return;
        };
        if is_inserted {
            let folded = self.fold_immutable::<T>(uuid, &base, &now);
            base = Arc::new(Row::new(uuid, folded));
            if let Some(written) = self.overlay.touch::<T>().written.get_mut(&uuid) {
                written.base = Some(base.clone());
            }
        }
        let difference = self.difference::<T>(&base, &now);
        let places = self.put_difference::<T>(uuid, places, &difference);
        let written = self.overlay.touch::<T>().written.get_mut(&uuid);
        if let Some(written) = written {
            written.places = places;
            if written.before.is_some() {
                written.replaced.extend(difference.replaced);
            }
            for (index, atoms) in difference.moved {
                written.moved.entry(index).or_default().extend(atoms);
            }
            for (index, keys) in difference.replaced_keys {
                written.replace_pairs(index, keys);
            }
        }
    }

    /// Changes immutable columns of a row that the transaction inserts, in the insert itself, unless a
    /// later operation reads them. Returns `base` with the columns that were changed in this way.
    fn fold_immutable<T: Table<Database = D>>(&mut self, uuid: Uuid, base: &T, now: &T) -> T {
        let mut folded = base.clone();
        let schema = self.origin.schema();
        let table = schema
            .as_ref()
            .and_then(|schema| schema.tables.get(T::TABLE));
        let insert = self.inserted.get(&uuid).copied();
        let (Some(table), Some(insert)) = (table, insert) else {
            return folded;
        };
        for (index, info) in T::COLUMNS.iter().enumerate() {
            let is_immutable = table.columns.get(info.name).is_some_and(|it| !it.mutable);
            let (Some(old), Some(new)) = (base.column(index), now.column(index)) else {
                continue;
            };
            let mut after = self.operations[insert + 1..].iter();
            if !is_immutable || old.equals(new) || after.any(|it| sees::<T>(it, info.name)) {
                continue;
            }
            if let Some((name, datum)) = self.whole::<T>(index, new.to_datum())
                && let Some(Operation::Insert { row, .. }) = self.operations.get_mut(insert)
                && let Some(column) = folded.column_mut(index)
            {
                row.insert(name, datum);
                column.assign(new);
            }
        }
        folded
    }

    fn put_difference<T: Table<Database = D>>(
        &mut self,
        uuid: Uuid,
        mut places: EditPlaces,
        difference: &Difference,
    ) -> EditPlaces {
        let row = || AllOf::from(Ref::<T>::new(uuid)).into_clauses();
        let update = (!difference.columns.is_empty()).then(|| Operation::Update {
            table: T::TABLE.into(),
            conditions: row(),
            row: difference.columns.clone(),
        });
        let mutate = (!difference.mutations.is_empty()).then(|| Operation::Mutate {
            table: T::TABLE.into(),
            conditions: row(),
            mutations: difference.mutations.clone(),
        });
        let wait = (!difference.added_pairs.is_empty())
            .then(|| guard::of_pairs::<T>(uuid, difference.added_pairs.iter().cloned()));
        let mut put = |place: &mut Option<usize>, operation: Option<Operation>| {
            match (&*place, operation) {
                (Some(place), Some(operation)) => self.operations[*place] = operation,
                (None, Some(operation)) => {
                    *place = Some(self.operations.len());
                    self.operations.push(operation);
                }
                // The edit changes nothing any more. Keep an operation in its place, since later ones
                // are identified by their number.
                (Some(place), None) => {
                    self.operations[*place] = Operation::Update {
                        table: T::TABLE.into(),
                        conditions: row(),
                        row: Columns::new(),
                    };
                }
                (None, None) => {}
            }
        };
        put(&mut places.update, update);
        put(&mut places.mutate, mutate);
        put(&mut places.wait, wait);
        self.edit_waits.extend(places.wait);
        places
    }

    /// The difference between two versions of a row in the database.
    fn difference<T: Table<Database = D>>(&mut self, base: &T, now: &T) -> Difference {
        let schema = self.origin.schema();
        let table = schema
            .as_ref()
            .and_then(|schema| schema.tables.get(T::TABLE));
        let mut difference = Difference::default();
        for (index, info) in T::COLUMNS.iter().enumerate() {
            let (Some(old), Some(new)) = (base.column(index), now.column(index)) else {
                continue;
            };
            if old.equals(new) {
                continue;
            }
            let Some((name, new)) = self.whole::<T>(index, new.to_datum()) else {
                continue;
            };
            let column = table.and_then(|table| table.columns.get(info.name));
            if column.is_some_and(|column| !column.mutable) {
                let (table, column) = (T::TABLE, info.name);
                self.mistake(BuildError::Immutable { table, column });
                continue;
            }
            // A set or map that must not be empty could become empty between the two mutations,
            // `delete` and `insert`. A column of at most one value is replaced as a whole too.
            let is_whole = column.is_some_and(|column| {
                let kind = &column.kind;
                kind.min > 0 || matches!(kind.max, Max::Limited(1))
            });
            if info.kind.is_one() || is_whole {
                difference.columns.insert(name, new);
                difference.replaced.push(index);
                continue;
            }
            difference.parts(index, name, &old.to_datum(), &new);
        }
        difference
    }

    /// Makes sure that a row with this key exists and has what the closure sets. Returns a reference to
    /// it. A row that the view or the transaction has is [edited](Self::edit); otherwise one is
    /// inserted, with the key and what the closure sets. Columns that the closure does not change keep
    /// their values; in a new row they have those of `T::default()`. If several rows have the key, the
    /// one with the smallest uuid is edited.
    ///
    /// When two clients ensure the same key at the same time, one inserts the row, and the commit of
    /// the other fails with a [conflict](super::Refusal::is_conflict), or with a
    /// [duplicate](super::Refusal::duplicate) in an index of the schema. When that client tries again,
    /// it finds the row.
    ///
    /// With an index by a function or by the values of a map, the closure must set the key, or else the
    /// commit returns [`BuildError::Unmet`]. With such an index, or one over reals, no guard keeps two
    /// clients from inserting one row each.
    ///
    /// As with [`insert`](Self::insert), another row must refer to a new row of a table that is not in
    /// the root set.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::cache::Index;
    /// use ovsdb::nb::{LogicalSwitch as Switch, LogicalSwitchPort as Port};
    ///
    /// // The schema allows several switches with the same name, so the program declares an index.
    /// let by_name = Index::column(Switch::NAME);
    /// let cache = client.cache().index(&by_name).table::<Port>().start().await?;
    /// for _ in 0..2 {
    ///     let apply = client.edit(&cache, |_, txn| {
    ///         let port = txn.ensure(Port::NAME, "p1", |port| port.addresses = ["dynamic"].into());
    ///         txn.ensure(&by_name, "sw0", |switch| {
    ///             switch.ports.insert(port);
    ///         })
    ///     });
    ///     apply.await?;
    /// }
    /// assert_eq!(cache.snapshot().rows::<Port>().len(), 1);
    /// assert_eq!(cache.snapshot().rows::<Switch>().len(), 1);
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    ///
    /// The transaction needs a view, as [`Client::apply`](crate::Client::apply) gives it; without a
    /// view the commit returns [`BuildError::NoView`].
    pub fn ensure<T, Q, B>(&mut self, by: B, key: Q, change: impl FnOnce(&mut T)) -> Ref<T>
    where
        T: Table<Database = D>,
        B: FindBy<T, Q>,
    {
        let key = by.key(key);
        let by = by.by();
        let found = self.find_guarded(by, &key, Purpose::Ensure);
        if let Some(row) = found.first() {
            self.edit(row, change);
            return row.reference();
        }
        let mut columns = T::default();
        by.put(&mut columns, &key);
        change(&mut columns);
        let row = Row::new(Uuid::nil(), columns);
        if !by.has(&row, &key) {
            self.mistake(BuildError::Unmet { table: T::TABLE });
        }
        self.insert(row.into_columns())
    }

    /// Like [`ensure`](Self::ensure), for rows that meet a condition. It reads all rows of the table,
    /// where an index would find them directly. The closure must give a new row the values that the
    /// condition requires, or else the commit returns [`BuildError::Unmet`]. If the condition compares
    /// reals, no guard keeps two clients from inserting one row each.
    ///
    /// ```
    /// # #[cfg(feature = "nb")]
    /// # fn example(txn: &mut ovsdb::nb::Transaction) {
    /// use ovsdb::nb::LogicalRouter as Router;
    ///
    /// let owned = Router::EXTERNAL_IDS.includes([("network", "blue")]);
    /// txn.ensure_where(owned, |router| {
    ///     router.name = "blue_cluster_router".into();
    ///     router.external_ids.insert("network", "blue");
    /// });
    /// # }
    /// ```
    pub fn ensure_where<T: Table<Database = D>>(
        &mut self,
        condition: impl Into<AllOf<T>>,
        change: impl FnOnce(&mut T),
    ) -> Ref<T> {
        let condition = condition.into();
        let found = self.find_where(&condition);
        if let Some(row) = found.first() {
            self.edit(row, change);
            return row.reference();
        }
        let mut columns = T::default();
        change(&mut columns);
        let row = self.insert(columns);
        let touched = self.overlay.touched::<T>();
        let inserted = touched.and_then(|touched| touched.written.get(&row.uuid())?.now.as_ref());
        if inserted.is_some_and(|row| !condition.holds_for(row)) {
            self.mistake(BuildError::Unmet { table: T::TABLE });
        }
        row
    }
}

/// Whether an operation reads a column of the table.
fn sees<T: Table>(operation: &Operation, column: &str) -> bool {
    if operation.table().is_none_or(|table| table != T::TABLE) {
        return false;
    }
    let names = |columns: &Option<Vec<Str>>| {
        let columns = columns.as_ref();
        columns.is_none_or(|columns| columns.iter().any(|name| name == column))
    };
    let (conditions, reads) = match operation {
        Operation::Update { conditions, .. }
        | Operation::Mutate { conditions, .. }
        | Operation::Delete { conditions, .. } => (conditions, false),
        Operation::Select {
            conditions,
            columns,
            ..
        }
        | Operation::Wait {
            conditions,
            columns,
            ..
        } => (conditions, names(columns)),
        _ => return false,
    };
    let is_about =
        |clause: &Clause| matches!(clause, Clause::Compare { column: name, .. } if name == column);
    reads || conditions.iter().any(is_about)
}
