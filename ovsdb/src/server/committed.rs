//! Committed transactions, with the types of the tables, for assertions in tests.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::engine::{Commit, Row as Stored, RowChange, Schema, TableDef};
use crate::model::{Database, Row, Table};
use crate::value::Uuid;
use crate::value::json::Reader;

/// A transaction that a server has committed; [`Server::transactions`](super::Server::transactions)
/// lists them.
///
/// ```
/// # #[cfg(feature = "nb")] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ovsdb::nb::{self, LogicalSwitch};
/// use ovsdb::server::Server;
///
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let server = Server::memory(schema)?;
/// let client = nb::Client::builder().server(&server).connect().await?;
/// let mut txn = client.transaction();
/// txn.comment("a switch for the tenant");
/// txn.insert(LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// txn.commit().await?;
///
/// let committed = server.transactions::<nb::Database>();
/// assert_eq!(committed.len(), 1);
/// assert_eq!(committed[0].comment(), Some("a switch for the tenant"));
/// assert_eq!(committed[0].inserted::<LogicalSwitch>()[0].name, "sw0");
/// assert!(committed[0].updated::<nb::LogicalSwitchPort>().is_empty());
/// # Ok(()) }
/// # #[cfg(not(feature = "nb"))] fn main() {}
/// ```
pub struct Committed<D> {
    pub(super) commit: Arc<Commit>,
    pub(super) schema: Arc<Schema>,
    pub(super) database: PhantomData<fn() -> D>,
}

impl<D> Clone for Committed<D> {
    fn clone(&self) -> Self {
        Self {
            commit: self.commit.clone(),
            schema: self.schema.clone(),
            database: PhantomData,
        }
    }
}

impl<D> fmt::Debug for Committed<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tables = f.debug_struct("Committed");
        tables.field("id", &self.commit.id);
        tables.field("comment", &self.commit.comment);
        for (table, rows) in &self.commit.tables {
            if let Some(def) = self.schema.tables.get(*table) {
                tables.field(&def.name, &rows.len());
            }
        }
        tables.finish()
    }
}

impl<D: Database> Committed<D> {
    /// The transaction's id, from which monitors can be resumed.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.commit.id
    }

    /// The texts of its `comment` operations, one a line.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.commit.comment.as_deref()
    }

    /// The rows that it inserted into a table.
    #[must_use]
    pub fn inserted<T: Table<Database = D>>(&self) -> Vec<Row<T>> {
        self.changes::<T, _>(|def, change| match change {
            (None, Some(new)) => Some(typed(def, new)),
            _ => None,
        })
    }

    /// The rows of a table that it changed, each before and after.
    #[must_use]
    pub fn updated<T: Table<Database = D>>(&self) -> Vec<(Row<T>, Row<T>)> {
        self.changes::<T, _>(|def, change| match change {
            (Some(old), Some(new)) => Some((typed(def, old), typed(def, new))),
            _ => None,
        })
    }

    /// The rows of a table that it deleted, including those deleted because nothing refers to them any
    /// more.
    #[must_use]
    pub fn deleted<T: Table<Database = D>>(&self) -> Vec<Row<T>> {
        self.changes::<T, _>(|def, change| match change {
            (Some(old), None) => Some(typed(def, old)),
            _ => None,
        })
    }

    fn changes<T: Table<Database = D>, R>(
        &self,
        read: impl Fn(&TableDef, (Option<&Stored>, Option<&Stored>)) -> Option<R>,
    ) -> Vec<R> {
        let Some(table) = self.schema.find(T::TABLE) else {
            return Vec::new();
        };
        let def = &self.schema.tables[table];
        let tables = self.commit.tables.iter().filter(|(id, _)| *id == table);
        tables
            .flat_map(|(_, rows)| rows)
            .filter_map(|RowChange { old, new }| read(def, (old.as_deref(), new.as_deref())))
            .collect()
    }
}

/// A row with the table's type. A column that the server lacks, or whose value the type cannot hold, has
/// its default.
pub(super) fn typed<T: Table>(def: &TableDef, row: &Stored) -> Row<T> {
    let mut columns = T::default();
    for (at, column) in T::COLUMNS.iter().enumerate() {
        let Some(id) = def.find(column.name) else {
            continue;
        };
        let mut text = String::new();
        row.get(def, id).write(&mut text);
        let Some(value) = columns.column_mut(at) else {
            continue;
        };
        // After an error the column keeps its default.
        let _ = value.decode(&mut Reader::new(&text));
    }
    Row::new(row.uuid(), columns)
}
