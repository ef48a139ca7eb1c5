//! The builder's selection of tables, rows and indexes.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;

use ovsdb_schema::DatabaseSchema;

use super::index::{DeclaredIndex, Index, Key, OrderedIndex, References};
use super::monitor::{ReplicaMonitor, fitting, new_tables};
use super::table::TableReplica;
use super::table_type::TableType;
use crate::model::{AnyOf, Database, Table, TableVisitor};
use crate::protocol::{Clause, MonitorVersion};
use crate::value::Str;

/// The tables, rows and indexes that a replica is started with.
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
    /// Adds the table `T`, or changes its condition; `None` selects all rows.
    pub(crate) fn select<T: Table<Database = D>>(&mut self, rows: Option<AnyOf<T>>) {
        let conditions = rows.map(AnyOf::into_clauses);
        self.list.select(Entry::of::<T>(), conditions);
    }

    /// Adds an index to the table `T`, and adds the whole table if it was not added before.
    pub(crate) fn index<T: Table<Database = D>, K: Key>(&mut self, index: &Index<T, K>) {
        self.list.declare(Entry::of::<T>(), index.build());
    }

    /// Like [`index`](Self::index), with an ordered index.
    pub(crate) fn ordered_index<T: Table<Database = D>, K: Key>(
        &mut self,
        index: &OrderedIndex<T, K>,
    ) {
        self.list.declare(Entry::of::<T>(), index.build());
    }

    /// Indexes the references to the table `T`, in every compiled table that is added.
    pub(crate) fn index_references_to<T: Table<Database = D>>(&mut self) {
        if !self.list.referred.contains(&T::TABLE) {
            self.list.referred.push(T::TABLE);
        }
    }

    /// Adds every generated table of the database that was not added before, with all its rows.
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

    /// Adds a table by its name, or changes its condition; `None` selects all rows.
    pub(crate) fn named_rows(&mut self, name: Str, rows: Option<Vec<Clause>>) {
        self.list.named(name).select(rows);
    }

    /// Adds a table by its name, or changes its selected columns.
    pub(crate) fn named_columns(&mut self, name: Str, columns: Box<[Str]>) {
        self.list.named(name).select_columns(columns);
    }

    /// Adds every table of the server's schema that was not added by other means, also those that
    /// appear when the schema changes.
    pub(crate) const fn add_all_named(&mut self) {
        self.list.all_named = true;
    }

    /// Adds the version to each row. In tables added by name it is the column `_version`.
    pub(crate) const fn add_row_versions(&mut self) {
        self.list.row_versions = true;
    }

    /// The names of the tables and the conditions that their rows must meet.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (&str, &[Clause])> {
        let tables = self.list.tables.iter();
        tables.map(|table| (&**table.table(), table.conditions().unwrap_or_default()))
    }

    /// The tables that were added by name: the name, the selected columns, and the condition.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, Option<&[Str]>, &[Clause])> {
        self.list.tables.iter().filter_map(|table| {
            let conditions = table.conditions().unwrap_or_default();
            Some((&**table.table(), table.wanted_columns()?, conditions))
        })
    }

    /// The name of a table that was added as two types.
    pub(crate) fn twice(&self) -> Option<Str> {
        let mut names: Vec<_> = self.list.tables.iter().map(TableReplica::table).collect();
        names.sort_unstable();
        let pair = names.windows(2).find(|pair| pair[0] == pair[1])?;
        Some(pair[0].clone())
    }

    /// The empty replica with the server's schema applied, to be monitored with the method `newest` or
    /// an older one.
    pub(crate) fn into_monitor(
        self,
        schema: &DatabaseSchema,
        newest: MonitorVersion,
    ) -> ReplicaMonitor {
        let mut list = self.list;
        list.index_references(D::NAME);
        if list.all_named {
            list.add_new(schema);
        }
        let schema = fitting(schema, list.row_versions);
        let mut monitor =
            ReplicaMonitor::new(list.tables, &list.types, &schema, D::VERSION, newest);
        monitor.all_tables = list.all_named;
        monitor.row_versions = list.row_versions;
        monitor
    }
}

/// A table and its type's id.
#[derive(Clone)]
struct Entry {
    id: TypeId,
    table: TableType,
}

impl Entry {
    fn of<T: Table>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            table: TableType::of::<T>(),
        }
    }
}

/// The tables, without the type of their database.
#[derive(Default)]
struct List {
    tables: Vec<TableReplica>,
    /// The type of each table; `None` if it is known at run time only.
    types: Vec<Option<TypeId>>,
    /// Whether to add all other tables of the server's schema.
    all_named: bool,
    /// Whether rows contain their version. In tables added by name it is the column `_version`.
    row_versions: bool,
    /// The tables to which references are indexed.
    referred: Vec<&'static str>,
}

impl List {
    /// The table, if it was added as this type.
    fn find(&mut self, entry: &Entry) -> Option<&mut TableReplica> {
        let at = self
            .types
            .iter()
            .position(|known| *known == Some(entry.id))?;
        self.tables.get_mut(at)
    }

    fn select(&mut self, entry: Entry, conditions: Option<Vec<Clause>>) {
        if let Some(table) = self.find(&entry) {
            table.select(conditions);
            return;
        }
        self.tables.push(TableReplica::new(entry.table, conditions));
        self.types.push(Some(entry.id));
    }

    fn add_all(&mut self, entries: &[Entry]) {
        for entry in entries {
            if self.find(entry).is_none() {
                self.select(entry.clone(), None);
            }
        }
    }

    /// Adds the indexes of references.
    fn index_references(&mut self, database: &str) {
        for table in &mut self.tables {
            for target in &self.referred {
                let index = References::new(table.compiled_columns(), database, target);
                if let Some(index) = index {
                    table.declare(Box::new(index));
                }
            }
        }
    }

    fn declare(&mut self, entry: Entry, index: Box<dyn DeclaredIndex>) {
        self.add_all(std::slice::from_ref(&entry));
        if let Some(table) = self.find(&entry) {
            table.declare(index);
        }
    }

    /// The table with this name; added if there was none.
    fn named(&mut self, name: Str) -> &mut TableReplica {
        let mut known = self.tables.iter().zip(&self.types);
        let at = known.position(|(table, id)| id.is_none() && *table.table() == name);
        let at = at.unwrap_or_else(|| {
            self.tables.push(TableReplica::named(name));
            self.types.push(None);
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }

    fn add_new(&mut self, schema: &DatabaseSchema) {
        let more = new_tables(&self.tables, schema);
        self.types.extend(more.iter().map(|_| None));
        self.tables.extend(more);
    }
}
