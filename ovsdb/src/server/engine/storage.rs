//! The rows of a database, with their indexes and references.
//!
//! Everything is stored in persistent tries: a clone of a whole database costs a few reference counts
//! for each of its tables, and shares every row.

use std::hash::Hash;
use std::sync::Arc;

use super::row::Row;
use super::schema::{ColumnId, Schema, TableDef, TableId};
use crate::trie::{Entry, HashTrie, hash_of, hash_uuid};
use crate::value::Uuid;

/// A row of a table, with the number of strong references from other rows.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) row: Arc<Row>,
    pub(super) references: u32,
}

impl Entry for Stored {}

impl Entry for Arc<Row> {}

/// A weak reference, seen from the row that is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Referrer {
    /// The row that is referred to.
    pub(super) to: Uuid,
    /// The referring row's table.
    pub(super) table: u32,
    /// The referring row.
    pub(super) row: Uuid,
}

impl Entry for Referrer {}

/// The rows of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    rows: HashTrie<Stored>,
    /// For each index of the schema, the rows by the hash of the index's columns.
    indexes: Vec<HashTrie<Arc<Row>>>,
    /// The weak references to rows of this table, with an entry for each reference: a row that refers
    /// to another one several times has several entries.
    referrers: HashTrie<Referrer>,
}

/// A change of one row, from before a transaction to after it.
#[derive(Debug, Clone)]
pub(crate) struct RowChange {
    /// The row before; `None` when it was inserted.
    pub(crate) old: Option<Arc<Row>>,
    /// The row after; `None` when it was deleted.
    pub(crate) new: Option<Arc<Row>>,
}

impl RowChange {
    /// The row's uuid.
    pub(crate) fn uuid(&self) -> Uuid {
        let row = self.new.as_ref().or(self.old.as_ref());
        row.map_or(Uuid::nil(), |row| row.uuid())
    }
}

impl Table {
    pub(crate) fn new(def: &TableDef) -> Self {
        Self {
            indexes: def.indexes.iter().map(|_| HashTrie::default()).collect(),
            ..Self::default()
        }
    }

    /// How many rows there are.
    pub(crate) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row with this uuid.
    pub(crate) fn get(&self, uuid: Uuid) -> Option<&Arc<Row>> {
        self.stored(uuid).map(|stored| &stored.row)
    }

    pub(super) fn stored(&self, uuid: Uuid) -> Option<&Stored> {
        // While a database is read from a file by one large transaction, there are no rows yet: skip
        // hashing.
        if self.rows.len() == 0 {
            return None;
        }
        self.rows
            .get(hash_uuid(uuid), |stored| stored.row.uuid() == uuid)
    }

    /// All rows, in no particular order.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &Arc<Row>> {
        self.rows.iter().map(|stored| &stored.row)
    }

    /// The row with the same values as `row` in the columns of an index, if `is` accepts it.
    pub(super) fn indexed(
        &self,
        def: &TableDef,
        index: usize,
        row: &Row,
        is: impl Fn(&Row) -> bool,
    ) -> Option<&Arc<Row>> {
        let ids = &def.indexes[index];
        if self.indexes[index].len() == 0 {
            return None;
        }
        self.indexes[index].get(hash_columns(def, ids, row), |other| {
            other.has_same(row, def, ids) && is(other)
        })
    }

    /// The weak references to a row.
    pub(super) fn referrers(&self, to: Uuid) -> Vec<Referrer> {
        let mut found = Vec::new();
        let _: Option<()> = self.referrers.find_map(hash_uuid(to), |referrer| {
            if referrer.to == to {
                found.push(*referrer);
            }
            None
        });
        found
    }

    /// Stores the rows of a table that is empty.
    fn fill(&mut self, def: &TableDef, replacements: &[Replacement]) {
        let rows = || {
            let new = replacements.iter();
            new.filter_map(|new| Some((new.change.new.as_ref()?, new.references)))
        };
        self.rows = HashTrie::build(rows().map(|(row, references)| {
            let stored = Stored {
                row: row.clone(),
                references,
            };
            (hash_uuid(row.uuid()), stored)
        }));
        for (ids, index) in def.indexes.iter().zip(&mut self.indexes) {
            let rows = rows().map(|(row, _)| (hash_columns(def, ids, row), row.clone()));
            *index = HashTrie::build(rows);
        }
    }

    fn replace(&mut self, def: &TableDef, change: &RowChange, references: u32) {
        let uuid = change.uuid();
        let is = |stored: &Stored| stored.row.uuid() == uuid;
        match &change.new {
            Some(row) => {
                let row = row.clone();
                let stored = Stored { row, references };
                self.rows.insert(hash_uuid(uuid), stored, is);
            }
            None => drop(self.rows.remove(hash_uuid(uuid), is)),
        }
        for (ids, index) in def.indexes.iter().zip(&mut self.indexes) {
            let is = |other: &Arc<Row>| other.uuid() == uuid;
            if let (Some(old), Some(new)) = (&change.old, &change.new)
                && old.has_same(new, def, ids)
            {
                // The index holds the row itself, so the new version must replace the old one.
                index.insert(hash_columns(def, ids, new), new.clone(), is);
                continue;
            }
            if let Some(old) = &change.old {
                index.remove(hash_columns(def, ids, old), is);
            }
            if let Some(new) = &change.new {
                index.add(hash_columns(def, ids, new), new.clone());
            }
        }
    }
}

/// The hash of a row's values in these columns.
pub(super) fn hash_columns(def: &TableDef, ids: &[ColumnId], row: &Row) -> u32 {
    hash_of(|hasher| {
        for id in ids {
            row.get(def, *id).hash(hasher);
        }
    })
}

/// The rows of all tables at one moment.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) schema: Arc<Schema>,
    tables: Vec<Table>,
}

/// A row that a transaction changed, ready to be stored, with its new number of strong references.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) table: TableId,
    pub(super) change: RowChange,
    pub(super) references: u32,
}

impl State {
    /// An empty database.
    pub(crate) fn new(schema: Arc<Schema>) -> Self {
        Self {
            tables: schema.tables.iter().map(Table::new).collect(),
            schema,
        }
    }

    /// A table.
    pub(crate) fn table(&self, id: TableId) -> &Table {
        &self.tables[id]
    }

    /// Stores the changes of a transaction.
    pub(super) fn store(&mut self, replacements: &[Replacement]) {
        let schema = self.schema.clone();
        for replacements in replacements.chunk_by(|a, b| a.table == b.table) {
            let id = replacements[0].table;
            let (def, table) = (&schema.tables[id], &mut self.tables[id]);
            if table.len() == 0 && replacements.len() > 1 {
                table.fill(def, replacements);
            } else {
                for replacement in replacements {
                    table.replace(def, &replacement.change, replacement.references);
                }
            }
            if !def.weak.is_empty() {
                for replacement in replacements {
                    self.follow_weak_references(def, replacement);
                }
            }
        }
    }

    fn follow_weak_references(&mut self, def: &TableDef, replacement: &Replacement) {
        let RowChange { old, new } = &replacement.change;
        let row = replacement.change.uuid();
        let Ok(table) = u32::try_from(replacement.table) else {
            return;
        };
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for id in &def.weak {
            let (before, after) = (
                old.as_ref().and_then(|row| row.stored(*id)),
                new.as_ref().and_then(|row| row.stored(*id)),
            );
            if before == after {
                continue;
            }
            let column = def.column(*id);
            let of = |cell| super::references::weak_targets(column, cell);
            removed.extend(before.into_iter().flat_map(of));
            added.extend(after.into_iter().flat_map(of));
        }
        for (target, to) in removed {
            let referrer = Referrer { to, table, row };
            self.tables[target]
                .referrers
                .remove(hash_uuid(to), |other| *other == referrer);
        }
        for (target, to) in added {
            self.tables[target]
                .referrers
                .add(hash_uuid(to), Referrer { to, table, row });
        }
    }
}
