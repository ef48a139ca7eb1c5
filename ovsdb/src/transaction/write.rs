//! The operations of a transaction, written with the tables' types.

use std::sync::Arc;

use super::names::row_name;
use super::touched::Written;
use super::{
    BuildError, Mutate, OperationIndex, Selection, Transaction, Update, Wait, is_known, outcome,
};
use crate::model::{AllOf, Column, ColumnInfo, Database, Mutability, Row, RowIdentity, Table};
use crate::protocol::{Clause, Columns, Operation, Until};
use crate::value::{Datum, Ref, Str, Uuid, Value};

impl<D: Database> Transaction<D> {
    /// A value for the column `index` of `T`, with the name of the column. Records a mistake if the
    /// server lacks the column or gives it another type.
    pub(super) fn datum<T: Table>(&mut self, index: usize, datum: Datum) -> Option<(Str, Datum)> {
        let column = T::COLUMNS.get(index)?;
        if let Some(server) = self.origin.schema()
            && !is_known::<T>(&server, column)
        {
            let (table, column) = (T::TABLE, column.name);
            self.mistake(BuildError::NoSuchColumn { table, column });
            return None;
        }
        Some((Str::from(column.name), datum))
    }

    /// Like [`datum`](Self::datum), for the whole value of the column. Records a mistake if its number
    /// of elements does not fit the server's type.
    pub(super) fn whole<T: Table>(&mut self, index: usize, datum: Datum) -> Option<(Str, Datum)> {
        let (name, datum) = self.datum::<T>(index, datum)?;
        let Some(server) = self.origin.schema() else {
            return Some((name, datum));
        };
        let column = server.tables.get(T::TABLE)?.columns.get(name.as_str())?;
        if let Some(mistake) = outcome::check_count::<T>(index, &column.kind, datum.len()) {
            self.mistake(mistake);
            return None;
        }
        Some((name, datum))
    }

    /// Inserts a row. Columns that have the server's default are not sent.
    ///
    /// The returned reference can be used in this transaction. With [`RowIdentity::ClientChosen`] it
    /// stays valid after the commit; otherwise [`Outcome::inserted`](super::Outcome::inserted) returns
    /// the one to use then.
    ///
    /// A row of a table that is not in the root set needs another row that refers to it by a strong
    /// reference, or else the server deletes it in the same transaction. So if a transaction inserts
    /// such a row without referring to it, the commit sends nothing and returns
    /// [`BuildError::Unreferenced`].
    pub fn insert<T: Table<Database = D>>(&mut self, row: T) -> Ref<T> {
        let uuid = self.origin.new_uuid();
        self.insert_under(uuid, row)
    }

    /// Like [`insert`](Self::insert), with this uuid where the client chooses uuids.
    pub(crate) fn insert_under<T: Table<Database = D>>(&mut self, uuid: Uuid, row: T) -> Ref<T> {
        let identity = self.identity_of(uuid);
        self.insert_as(identity, uuid, row)
    }

    /// The name or the uuid of an inserted row on the wire.
    pub(super) fn identity_of(&self, uuid: Uuid) -> (Option<Str>, Option<Uuid>) {
        match self.origin.row_identity() {
            RowIdentity::ClientChosen => (None, Some(uuid)),
            RowIdentity::Named => (Some(row_name(uuid)), None),
        }
    }

    /// Inserts a row with a uuid of the caller's choice, so that the server recognises a second try of
    /// the same transaction ("duplicate uuid"). The uuid is sent even with [`RowIdentity::Named`]: a
    /// server older than Open vSwitch 2.13 refuses it with a syntax error.
    pub fn insert_with_uuid<T: Table<Database = D>>(&mut self, uuid: Uuid, row: T) -> Ref<T> {
        self.insert_as((None, Some(uuid)), uuid, row)
    }

    fn insert_as<T: Table<Database = D>>(
        &mut self,
        (uuid_name, client_uuid): (Option<Str>, Option<Uuid>),
        uuid: Uuid,
        row: T,
    ) -> Ref<T> {
        let columns = self.columns_to_insert(&row);
        let known = self.inserted.insert(uuid, self.operations.len());
        if let Some(known) = known.filter(|known| !self.is_deleted::<T>(uuid, *known)) {
            self.mistake(BuildError::SameUuid {
                uuid,
                table: T::TABLE,
                other: self.operations[known].table().cloned().unwrap_or_default(),
            });
        }
        self.operations.push(Operation::Insert {
            table: T::TABLE.into(),
            row: columns,
            uuid_name,
            uuid: client_uuid,
        });
        let epoch = self.overlay.epoch;
        let row = Arc::new(Row::new(uuid, row));
        let touched = self.overlay.touch::<T>();
        let written = touched.write(uuid, || Written::inserted(row.clone(), epoch));
        if written.now.is_none() {
            // The row with this uuid was deleted before, and is inserted again.
            written.now = Some(row);
            written.is_inserted = written.before.is_none();
            written.start_again(epoch);
        }
        Ref::new(uuid)
    }

    /// Whether the row that the operation at a place inserts is deleted again.
    fn is_deleted<T: Table<Database = D>>(&self, uuid: Uuid, place: usize) -> bool {
        let touched = self.overlay.touched::<T>();
        let written = touched.and_then(|touched| touched.written.get(&uuid));
        let table = self.operations[place].table();
        table.is_some_and(|table| table == T::TABLE)
            && written.is_some_and(|written| written.now.is_none())
    }

    /// The columns of a new row to be sent: those that differ from the server's defaults.
    pub(super) fn columns_to_insert<T: Table<Database = D>>(&mut self, row: &T) -> Columns {
        let server = self.origin.schema();
        let known = server
            .as_ref()
            .and_then(|server| server.tables.get(T::TABLE));
        let mut nothing = None;
        let columns = T::COLUMNS.iter().enumerate().filter_map(|(index, info)| {
            let column = row.column(index)?;
            let known = known.and_then(|table| table.columns.get(info.name));
            let omitted = match known.filter(|known| info.kind.accepts(&known.kind)) {
                Some(known) => column.is_default(&known.kind),
                // The server lacks the column or gives it another type, so replicas read it as the
                // struct's default; or no schema is known.
                None => nothing
                    .get_or_insert_with(T::default)
                    .column(index)
                    .is_some_and(|unset| column.equals(unset)),
            };
            if omitted {
                return None;
            }
            self.whole::<T>(index, column.to_datum())
        });
        columns.collect::<Vec<_>>().into()
    }

    /// The clauses of an operation. Records a mistake if the server lacks one of their columns or gives
    /// it another type.
    fn clauses<T: Table<Database = D>>(&mut self, rows: AllOf<T>) -> Vec<Clause> {
        self.check_condition(&rows);
        rows.into_clauses()
    }

    /// Records a mistake if a condition uses a column that the server lacks or gives another type.
    pub(super) fn check_condition<T: Table<Database = D>>(&mut self, rows: &AllOf<T>) {
        if rows.as_row().is_some() {
            return;
        }
        let Some(server) = self.origin.schema() else {
            return;
        };
        for name in rows.columns() {
            let info = T::COLUMNS.iter().find(|info| info.name == name);
            if let Some(info) = info.filter(|info| !is_known::<T>(&server, info)) {
                let (table, column) = (T::TABLE, info.name);
                self.mistake(BuildError::NoSuchColumn { table, column });
            }
        }
    }

    /// Sets columns of the rows that meet all clauses; call [`Update::set`] for each column.
    #[must_use = "an update that sets no column is not sent"]
    pub fn update<T: Table<Database = D>>(
        &mut self,
        rows: impl Into<AllOf<T>>,
    ) -> Update<'_, D, T> {
        let operation = Operation::Update {
            table: T::TABLE.into(),
            conditions: self.clauses(rows.into()),
            row: Columns::new(),
        };
        Update::new(self, operation)
    }

    /// Changes columns of the rows that meet all clauses; call the methods of [`Mutate`] for each
    /// change.
    #[must_use = "a mutation without a change is not sent"]
    pub fn mutate<T: Table<Database = D>>(
        &mut self,
        rows: impl Into<AllOf<T>>,
    ) -> Mutate<'_, D, T> {
        let operation = Operation::Mutate {
            table: T::TABLE.into(),
            conditions: self.clauses(rows.into()),
            mutations: Vec::new(),
        };
        Mutate::new(self, operation)
    }

    /// Deletes the rows that meet all clauses.
    pub fn delete<T: Table<Database = D>>(&mut self, rows: impl Into<AllOf<T>>) -> OperationIndex {
        let rows = rows.into();
        if let Some(uuid) = rows.as_row() {
            let (before, epoch) = (self.overlay.before::<T>(uuid), self.overlay.epoch);
            self.overlay.touch::<T>().delete(uuid, before, epoch);
        }
        let conditions = self.clauses(rows);
        self.operation(Operation::Delete {
            table: T::TABLE.into(),
            conditions,
        })
    }

    /// Reads the rows that meet all clauses; [`Outcome::rows`](super::Outcome::rows) returns them.
    #[must_use = "pass this to `Outcome::rows` to read the selected rows"]
    pub fn select<T: Table<Database = D>>(&mut self, rows: impl Into<AllOf<T>>) -> Selection<T> {
        let conditions = self.clauses(rows.into());
        let server = self.origin.schema();
        // The same columns that a replica requests.
        let readable = |column: &&ColumnInfo| {
            let server = server.as_ref();
            server.is_none_or(|server| is_known::<T>(server, column))
        };
        let columns = T::COLUMNS.iter().filter(readable).map(|column| column.name);
        let operation = Operation::Select {
            table: T::TABLE.into(),
            conditions,
            columns: Some(
                ["_uuid"]
                    .into_iter()
                    .chain(columns)
                    .map(Str::from)
                    .collect(),
            ),
        };
        Selection::new(self.operation(operation))
    }

    /// Requires that rows are, or are not, as given. Otherwise the transaction fails: at once, or after
    /// the [timeout](Wait::timeout) if one is set. Call the methods of [`Wait`] to say which columns to
    /// compare, and with what.
    pub fn wait<T: Table<Database = D>>(&mut self, rows: impl Into<AllOf<T>>) -> Wait<'_, D, T> {
        let operation = Operation::Wait {
            timeout: Some(0),
            table: T::TABLE.into(),
            conditions: self.clauses(rows.into()),
            columns: Some(Vec::new()),
            until: Until::Equal,
            rows: Vec::new(),
        };
        Wait::new(self, operation)
    }

    /// Fails the transaction with "timed out" unless a column of a row still has the value in `row`, as
    /// `ovsdb_idl_txn_verify` of the C library does (optimistic concurrency). For a real that needs more
    /// than 15 digits it always fails, because servers send reals rounded.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// # let view = cache.snapshot();
    /// use ovsdb::nb::Meter;
    ///
    /// if let Some(meter) = view.get_by(Meter::NAME, "arp-rate-limiter") {
    ///     let mut txn = client.transaction();
    ///     txn.verify(meter, Meter::FAIR);
    ///     txn.update(meter).set(Meter::FAIR, !meter.fair.unwrap_or(false));
    /// #   let _ = txn.commit().await;
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn verify<T: Table<Database = D>, V: Value, M: Mutability>(
        &mut self,
        row: &Row<T>,
        column: Column<T, V, M>,
    ) -> OperationIndex {
        self.wait(row.reference())
            .comparing(column)
            .until([T::clone(row)])
    }

    /// Adds a comment, which the server keeps in the database's history (RFC 7047 section 5.2.9).
    pub fn comment(&mut self, comment: impl Into<Str>) -> OperationIndex {
        self.operation(Operation::Comment {
            comment: comment.into(),
        })
    }

    /// Fails the transaction unless the client holds this lock on the server that it is connected to;
    /// each server of a cluster [has its own locks](crate::Client::lock).
    pub fn assert_lock(&mut self, lock: impl Into<Str>) -> OperationIndex {
        self.operation(Operation::Assert { lock: lock.into() })
    }

    /// Fails the transaction on purpose: the operations before it are tried and undone.
    pub fn abort(&mut self) -> OperationIndex {
        self.operation(Operation::Abort)
    }

    /// Makes the commit wait until the transaction is on the server's disk.
    pub fn durable(&mut self) -> OperationIndex {
        self.operation(Operation::Commit { durable: true })
    }
}
