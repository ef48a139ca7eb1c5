//! The tables of a replica before it is started.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;

use ovsdb_schema::DatabaseSchema;

use super::erased::TableType;
use super::index::{DeclaredIndex, Index, Key, OrderedIndex};
use super::monitor::ReplicaMonitor;
use super::table::TableReplica;
use crate::model::{AnyOf, Database, Table, TableVisitor};
use crate::protocol::{Clause, MonitorVersion};

/// Which tables, rows and indexes a replica is to have.
pub(crate) struct Tables<D> {
    list: List,
    database: PhantomData<fn() -> D>,
}

impl<D> fmt::Debug for Tables<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.tables.fmt(f)
    }
}

impl<D> Default for Tables<D> {
    fn default() -> Self {
        Self {
            list: List::default(),
            database: PhantomData,
        }
    }
}

impl<D: Database> Tables<D> {
    /// Adds the table `T`, or changes which of its rows there will be: all of them without `rows`.
    pub(crate) fn select<T: Table<Database = D>>(&mut self, rows: Option<AnyOf<T>>) {
        let conditions = rows.map(AnyOf::into_clauses);
        self.list.select(Entry::of::<T>(), conditions);
    }

    /// Adds an index to the table `T`, and the whole table where it was not added before.
    pub(crate) fn index<T: Table<Database = D>, K: Key>(&mut self, index: &Index<T, K>) {
        self.list.declare(Entry::of::<T>(), index.build());
    }

    /// As [`index`](Self::index), with an ordered index.
    pub(crate) fn ordered_index<T: Table<Database = D>, K: Key>(
        &mut self,
        index: &OrderedIndex<T, K>,
    ) {
        self.list.declare(Entry::of::<T>(), index.build());
    }

    /// Adds every generated table of the database, whole where it was not added before.
    pub(crate) fn add_all(&mut self) {
        struct Entries(Vec<Entry>);
        impl<D: Database> TableVisitor<D> for Entries {
            fn table<T: Table<Database = D>>(&mut self) {
                self.0.push(Entry::of::<T>());
            }
        }
        let mut entries = Entries(Vec::new());
        D::with_all_tables(&mut entries);
        self.list.add_all(&entries.0);
    }

    /// The names of the tables and the conditions that their rows must meet.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (&'static str, &[Clause])> {
        let tables = self.list.tables.iter();
        tables.map(|table| (table.table(), table.conditions().unwrap_or_default()))
    }

    /// A table that was added as two types.
    pub(crate) fn twice(&self) -> Option<&'static str> {
        let mut names: Vec<_> = self.list.tables.iter().map(TableReplica::table).collect();
        names.sort_unstable();
        let pair = names.windows(2).find(|pair| pair[0] == pair[1])?;
        Some(pair[0])
    }

    /// The replica, empty and fitted to the server's schema, to be monitored in this way or an
    /// older one.
    pub(crate) fn into_monitor(
        self,
        schema: &DatabaseSchema,
        newest: MonitorVersion,
    ) -> ReplicaMonitor {
        ReplicaMonitor::new(
            self.list.tables,
            &self.list.types,
            schema,
            D::VERSION,
            newest,
        )
    }
}

/// A table and the type that tells it from others.
#[derive(Clone, Copy)]
struct Entry {
    id: TypeId,
    table: &'static TableType,
}

impl Entry {
    fn of<T: Table>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            table: TableType::of::<T>(),
        }
    }
}

/// The tables, whatever their database.
#[derive(Default)]
struct List {
    tables: Vec<TableReplica>,
    types: Vec<TypeId>,
}

impl List {
    /// The table, if it was added.
    fn find(&mut self, entry: Entry) -> Option<&mut TableReplica> {
        let at = self.types.iter().position(|known| *known == entry.id)?;
        self.tables.get_mut(at)
    }

    fn select(&mut self, entry: Entry, conditions: Option<Vec<Clause>>) {
        if let Some(table) = self.find(entry) {
            table.select(conditions);
            return;
        }
        self.tables.push(TableReplica::new(entry.table, conditions));
        self.types.push(entry.id);
    }

    fn add_all(&mut self, entries: &[Entry]) {
        for entry in entries {
            if self.find(*entry).is_none() {
                self.select(*entry, None);
            }
        }
    }

    fn declare(&mut self, entry: Entry, index: Box<dyn DeclaredIndex>) {
        self.add_all(&[entry]);
        if let Some(table) = self.find(entry) {
            table.declare(index);
        }
    }
}
