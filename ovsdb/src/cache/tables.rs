//! The tables of a replica before it is started.

use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;

use ovsdb_schema::DatabaseSchema;

use super::index::{DeclaredIndex, Index, Key, OrderedIndex};
use super::monitor::ReplicaMonitor;
use super::table::{TableReplica, TypedTable};
use crate::model::{AnyOf, Database, Table, TableVisitor};
use crate::protocol::{Clause, MonitorVersion};

/// Which tables, rows and indexes a replica is to have.
pub(crate) struct Tables<D> {
    tables: Vec<Box<dyn TableReplica>>,
    types: Vec<TypeId>,
    database: PhantomData<fn() -> D>,
}

impl<D> fmt::Debug for Tables<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tables.fmt(f)
    }
}

impl<D> Default for Tables<D> {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            types: Vec::new(),
            database: PhantomData,
        }
    }
}

impl<D: Database> Tables<D> {
    /// Adds the table `T`, or changes which of its rows there will be: all of them without `rows`.
    pub(crate) fn select<T: Table<Database = D>>(&mut self, rows: Option<AnyOf<T>>) {
        let conditions = rows.map(AnyOf::into_clauses);
        if let Some(table) = self.typed::<T>() {
            table.select(conditions);
            return;
        }
        self.tables.push(Box::new(TypedTable::<T>::new(conditions)));
        self.types.push(TypeId::of::<T>());
    }

    /// The table `T`, if it was added.
    fn typed<T: Table<Database = D>>(&mut self) -> Option<&mut TypedTable<T>> {
        let known = TypeId::of::<T>();
        let at = self.types.iter().position(|table| *table == known)?;
        let table: &mut dyn Any = &mut **self.tables.get_mut(at)?;
        table.downcast_mut()
    }

    fn declare<T: Table<Database = D>>(&mut self, index: Box<dyn DeclaredIndex<T>>) {
        if self.typed::<T>().is_none() {
            self.select::<T>(None);
        }
        if let Some(table) = self.typed::<T>() {
            table.declare(index);
        }
    }

    /// Adds an index to the table `T`, and the whole table where it was not added before.
    pub(crate) fn index<T: Table<Database = D>, K: Key>(&mut self, index: &Index<T, K>) {
        self.declare(index.build());
    }

    /// As [`index`](Self::index), with an ordered index.
    pub(crate) fn ordered_index<T: Table<Database = D>, K: Key>(
        &mut self,
        index: &OrderedIndex<T, K>,
    ) {
        self.declare(index.build());
    }

    /// Adds every generated table of the database, whole where it was not added before.
    pub(crate) fn add_all(&mut self) {
        struct Adder<'a, D>(&'a mut Tables<D>);
        impl<D: Database> TableVisitor<D> for Adder<'_, D> {
            fn table<T: Table<Database = D>>(&mut self) {
                if self.0.typed::<T>().is_none() {
                    self.0.select::<T>(None);
                }
            }
        }
        D::with_all_tables(&mut Adder(self));
    }

    /// The names of the tables and the conditions that their rows must meet.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (&'static str, &[Clause])> {
        let tables = self.tables.iter();
        tables.map(|table| (table.table(), table.conditions().unwrap_or_default()))
    }

    /// A table that was added as two types.
    pub(crate) fn twice(&self) -> Option<&'static str> {
        let mut names: Vec<_> = self.tables.iter().map(|table| table.table()).collect();
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
        ReplicaMonitor::new(self.tables, &self.types, schema, D::VERSION, newest)
    }
}
