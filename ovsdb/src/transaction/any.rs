//! Operations on tables known at run time only.

use super::outcome::{OperationIndex, Selection};
use super::{BuildError, Outcome, Transaction};
use crate::model::{AllOf, AnyTable, Database};
use crate::protocol::{Columns, Mutation, Operation, OperationResult, Until};
use crate::schema_check;
use crate::value::{Str, Uuid};

/// Writes operations on a table known by its name only; [`Transaction::any_table`] makes one.
///
/// Each operation is checked against the server's schema when it is written: the table and the columns
/// exist, values fit the columns' types and constraints, and so do the defaults of columns that an insert
/// leaves out, the columns' types allow the functions and mutators, no immutable column is changed, and no
/// column is written that only the server sets. The commit returns the first mistake
/// ([`BuildError::SchemaMismatch`]) and sends nothing. A transaction that was [made without a
/// schema](Transaction::detached) skips these checks.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::Client::<ovsdb::AnyDatabase>::builder();
/// # let client = client.server(&server).database("OVN_Northbound").connect().await?;
/// use ovsdb::model::AnyColumn;
///
/// let mut txn = client.transaction();
/// let deleted = txn.any_table("Address_Set").delete(AnyColumn::new("name").eq("as1"));
/// println!("{} rows deleted", txn.commit().await?.count(deleted));
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug)]
pub struct AnyOperations<'t, D> {
    transaction: &'t mut Transaction<D>,
    table: Str,
}

impl<D: Database> Transaction<D> {
    /// Operations on the table with this name. Its columns are given by name too.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let mut rows = ovsdb::nb::Transaction::detached();
    /// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
    /// # rows.commit_on(&server)?;
    /// # let client = ovsdb::Client::<ovsdb::AnyDatabase>::builder();
    /// # let client = client.server(&server).database("OVN_Northbound").connect().await?;
    /// use ovsdb::model::AnyColumn;
    /// use ovsdb::protocol::{Mutation, Mutator};
    /// use ovsdb::value::Datum;
    ///
    /// let mut txn = client.transaction();
    /// let port = txn.any_table("Logical_Switch_Port").insert([("name", "p1")]);
    /// let mut switches = txn.any_table("Logical_Switch");
    /// switches.mutate(
    ///     AnyColumn::new("name").eq("sw0"),
    ///     [Mutation::new("ports", Mutator::Insert, port)],
    /// );
    /// let labels = Datum::map([("owner", "me")]);
    /// let labelled = switches.update(AnyColumn::new("name").eq("sw0"), [("external_ids", labels)]);
    /// let outcome = txn.commit().await?;
    /// assert_eq!(outcome.count(labelled), 1);
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn any_table(&mut self, table: impl Into<Str>) -> AnyOperations<'_, D> {
        AnyOperations {
            table: table.into(),
            transaction: self,
        }
    }
}

impl<D: Database> AnyOperations<'_, D> {
    fn add(&mut self, operation: Operation) -> OperationIndex {
        let schema = self.transaction.origin.schema();
        let checked = schema.map(|schema| schema_check::operation(&schema, &operation));
        let index = self.transaction.operation(operation);
        if let Some(Err(mut mismatch)) = checked {
            mismatch.operation = Some(index.get());
            self.transaction
                .mistake(BuildError::SchemaMismatch(mismatch));
        }
        index
    }

    /// Inserts a row. Columns that are left out get the server's defaults.
    ///
    /// The returned uuid can be used to refer to the row in this transaction. With
    /// [`RowIdentity::ClientChosen`](crate::RowIdentity::ClientChosen) it stays the row's uuid;
    /// otherwise the server chooses another one, which [`Outcome::inserted_uuid`] returns.
    pub fn insert(&mut self, row: impl Into<Columns>) -> Uuid {
        let uuid = self.transaction.origin.new_uuid();
        let (uuid_name, client_uuid) = self.transaction.identity_of(uuid);
        let index = self.add(Operation::Insert {
            table: self.table.clone(),
            row: row.into(),
            uuid_name,
            uuid: client_uuid,
        });
        self.transaction.inserted.insert(uuid, index.get());
        uuid
    }

    /// Sets columns of the rows that meet all clauses.
    pub fn update(
        &mut self,
        rows: impl Into<AllOf<AnyTable>>,
        columns: impl Into<Columns>,
    ) -> OperationIndex {
        self.add(Operation::Update {
            table: self.table.clone(),
            conditions: rows.into().into_clauses(),
            row: columns.into(),
        })
    }

    /// Applies the mutations, in order, to the rows that meet all clauses.
    pub fn mutate(
        &mut self,
        rows: impl Into<AllOf<AnyTable>>,
        mutations: impl IntoIterator<Item = Mutation>,
    ) -> OperationIndex {
        self.add(Operation::Mutate {
            table: self.table.clone(),
            conditions: rows.into().into_clauses(),
            mutations: mutations.into_iter().collect(),
        })
    }

    /// Deletes the rows that meet all clauses.
    pub fn delete(&mut self, rows: impl Into<AllOf<AnyTable>>) -> OperationIndex {
        self.add(Operation::Delete {
            table: self.table.clone(),
            conditions: rows.into().into_clauses(),
        })
    }

    /// Reads columns of the rows that meet all clauses; [`Outcome::any_rows`] returns them. `_uuid` can
    /// be read too.
    #[must_use = "pass this to `Outcome::any_rows` to read the selected rows"]
    pub fn select<C: Into<Str>>(
        &mut self,
        rows: impl Into<AllOf<AnyTable>>,
        columns: impl IntoIterator<Item = C>,
    ) -> Selection<AnyTable> {
        let index = self.add(Operation::Select {
            table: self.table.clone(),
            conditions: rows.into().into_clauses(),
            columns: Some(columns.into_iter().map(Into::into).collect()),
        });
        Selection::new(index)
    }

    /// Fails the transaction with "timed out" unless the rows that meet all clauses equal the expected
    /// ones in these columns, in any order. With [`Until::NotEqual`], fails it if they do.
    pub fn wait<C: Into<Str>>(
        &mut self,
        rows: impl Into<AllOf<AnyTable>>,
        columns: impl IntoIterator<Item = C>,
        until: Until,
        expected: impl IntoIterator<Item = Columns>,
    ) -> OperationIndex {
        self.add(Operation::Wait {
            timeout: Some(0),
            table: self.table.clone(),
            conditions: rows.into().into_clauses(),
            columns: Some(columns.into_iter().map(Into::into).collect()),
            until,
            rows: expected.into_iter().collect(),
        })
    }
}

impl Outcome {
    /// The rows that a select read from a table known by its name, with the selected columns.
    ///
    /// Their types are not known here: a whole number in a column of reals reads as an integer, which
    /// compares equal to the real.
    #[must_use]
    pub fn any_rows(&self, selection: &Selection<AnyTable>) -> &[Columns] {
        match self.results().get(selection.index.get()) {
            Some(OperationResult::Rows(rows)) => rows,
            _ => &[],
        }
    }
}
