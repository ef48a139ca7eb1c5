//! What the replica holds at one moment: its tables with their indexes, all in persistent tries.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::{Arc, LazyLock};

use super::any::{AnyChange, AnyRow};
use super::index::{DeclaredIndex, Pair, Pairs};
use super::trie::{self, Entry, HashTrie, Versioned};
use crate::model::{Row, Table};
use crate::value::Uuid;

/// One seed for the whole process, so that a look-up hashes as the writer did.
static HASHER: LazyLock<foldhash::fast::RandomState> = LazyLock::new(Default::default);

#[expect(
    clippy::cast_possible_truncation,
    reason = "the trie uses 32 bits of a hash"
)]
pub(super) fn hash_of(write: impl FnOnce(&mut foldhash::fast::FoldHasher<'_>)) -> u32 {
    let mut hasher = HASHER.build_hasher();
    write(&mut hasher);
    hasher.finish() as u32
}

pub(super) fn hash_uuid(uuid: Uuid) -> u32 {
    hash_of(|hasher| hasher.write_u128(uuid.as_u128()))
}

impl Entry for Uuid {}

impl<T: Table> Entry for Arc<Row<T>> {
    fn warm(&self) -> usize {
        Self::strong_count(self)
    }
}

impl<T: Table> Versioned for Arc<Row<T>> {
    fn is_same(&self, other: &Self) -> bool {
        self.uuid() == other.uuid()
    }

    fn is_unchanged(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other) || self == other
    }
}

/// The rows and indexes of a table at one moment. Cloning it is cheap.
#[derive(Debug)]
pub(super) struct TableState<T> {
    pub(super) rows: HashTrie<Arc<Row<T>>>,
    /// One for each of [`Table::INDEXES`], with the hashes of the rows' uuids: so that a change of
    /// a row which leaves its key as it is leaves the index as it is.
    pub(super) indexes: Box<[Pairs]>,
    /// Those that the program declared.
    pub(super) declared: Box<[Box<dyn DeclaredIndex<T>>]>,
}

impl<T: 'static> Clone for TableState<T> {
    fn clone(&self) -> Self {
        Self {
            rows: self.rows.clone(),
            indexes: self.indexes.clone(),
            declared: self.declared.iter().map(|index| index.shared()).collect(),
        }
    }
}

impl<T: Table> Default for TableState<T> {
    fn default() -> Self {
        Self {
            rows: HashTrie::default(),
            indexes: T::INDEXES.iter().map(|_| Pairs::default()).collect(),
            declared: Box::default(),
        }
    }
}

impl<T: Table> TableState<T> {
    /// A table with the same indexes and no rows.
    pub(super) fn emptied(&self) -> Self {
        Self {
            declared: self.declared.iter().map(|index| index.emptied()).collect(),
            ..Self::default()
        }
    }

    pub(super) fn get(&self, uuid: Uuid) -> Option<&Arc<Row<T>>> {
        self.rows.get(hash_uuid(uuid), |row| row.uuid() == uuid)
    }

    pub(super) fn iter(&self) -> trie::Iter<'_, Arc<Row<T>>> {
        self.rows.iter()
    }

    /// What an index over these columns has for the row with this hash.
    fn pair(columns: &T, row: u32, index: &[usize]) -> Pair {
        let key = hash_of(|hasher| {
            for column in index.iter().filter_map(|column| columns.column(*column)) {
                column.hash_into(hasher);
            }
        });
        Pair { key, row }
    }

    /// Puts a row in, in the place of the one with its uuid, which is returned.
    pub(super) fn insert(&mut self, row: Arc<Row<T>>) -> Option<Arc<Row<T>>> {
        let uuid = row.uuid();
        let hash = hash_uuid(uuid);
        let old = self
            .rows
            .insert(hash, row.clone(), |row| row.uuid() == uuid);
        for (index, columns) in self.indexes.iter_mut().zip(T::INDEXES) {
            let new = Self::pair(&row, hash, columns);
            if let Some(old) = &old {
                let old = Self::pair(old, hash, columns);
                if old == new {
                    continue;
                }
                index.remove(old);
            }
            index.insert(new);
        }
        for index in &mut self.declared {
            index.change(uuid, old.as_ref().map(|row| row.columns()), Some(&row));
        }
        old
    }

    /// Puts rows into an empty table, at the cost of building it once. The error has the uuid that
    /// two of them have.
    pub(super) fn fill(&mut self, rows: Vec<Arc<Row<T>>>) -> Result<(), Uuid> {
        for (index, columns) in self.indexes.iter_mut().zip(T::INDEXES) {
            let pairs = rows
                .iter()
                .map(|row| Self::pair(row, hash_uuid(row.uuid()), columns));
            *index = Pairs::build(pairs);
        }
        for index in &mut self.declared {
            rows.iter()
                .for_each(|row| index.change(row.uuid(), None, Some(row)));
        }
        let entries = rows.into_iter().map(|row| (hash_uuid(row.uuid()), row));
        self.rows = HashTrie::build(entries);
        match self.rows.twice() {
            Some(row) => Err(row.uuid()),
            None => Ok(()),
        }
    }

    pub(super) fn remove(&mut self, uuid: Uuid) -> Option<Arc<Row<T>>> {
        let hash = hash_uuid(uuid);
        let old = self.rows.remove(hash, |row| row.uuid() == uuid)?;
        for (index, columns) in self.indexes.iter_mut().zip(T::INDEXES) {
            index.remove(Self::pair(&old, hash, columns));
        }
        for index in &mut self.declared {
            index.change(uuid, Some(&old), None);
        }
        Some(old)
    }
}

/// A table's state, whatever its rows are.
pub(super) trait AnyTable: Any + fmt::Debug + Send + Sync {
    /// The number of rows.
    fn len(&self) -> usize;
    /// The row with this uuid.
    fn row(&self, uuid: Uuid) -> Option<Arc<dyn AnyRow>>;
    /// How the table differs from what it was in `old`, an earlier state of the same table; or
    /// from an empty one.
    fn changes_since(&self, old: Option<&dyn AnyTable>) -> Vec<AnyChange>;
}

impl<T: Table> AnyTable for TableState<T> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, uuid: Uuid) -> Option<Arc<dyn AnyRow>> {
        self.get(uuid).map(|row| row.clone() as Arc<dyn AnyRow>)
    }

    fn changes_since(&self, old: Option<&dyn AnyTable>) -> Vec<AnyChange> {
        let nothing = Self::default();
        let old = old.and_then(|old| (old as &dyn Any).downcast_ref());
        let old = old.unwrap_or(&nothing);
        let mut changes = Vec::new();
        HashTrie::diff(&old.rows, &self.rows, &mut |old, new| {
            let erase = |row: Option<&Arc<Row<T>>>| row.map(|row| row.clone() as Arc<dyn AnyRow>);
            changes.extend(AnyChange::new(erase(old), erase(new)));
        });
        changes
    }
}

/// A hasher for type ids, which are hashes themselves.
#[derive(Debug, Default)]
pub(super) struct TypeIdHasher(u64);

impl Hasher for TypeIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }
}

/// Which tables a replica has, and where.
#[derive(Debug)]
pub(super) struct Registry {
    by_type: HashMap<TypeId, usize, BuildHasherDefault<TypeIdHasher>>,
    pub(super) names: Box<[&'static str]>,
}

impl Registry {
    pub(super) fn new(types: &[TypeId], names: Box<[&'static str]>) -> Self {
        Self {
            by_type: types.iter().copied().zip(0..).collect(),
            names,
        }
    }

    pub(super) fn find<T: Table>(&self) -> Option<usize> {
        self.by_type.get(&TypeId::of::<T>()).copied()
    }
}

/// Every table of a replica after the same server transaction.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) registry: Arc<Registry>,
    pub(super) tables: Box<[Arc<dyn AnyTable>]>,
    /// The last transaction that the server named; nil where it names none.
    pub(super) last_txn_id: Uuid,
}

impl State {
    /// The table `T`, where it is known to be.
    pub(super) fn typed<T: Table>(&self, at: usize) -> Option<&TableState<T>> {
        let table: &dyn Any = &**self.tables.get(at)?;
        table.downcast_ref()
    }

    /// The table `T`, to be kept.
    pub(super) fn shared<T: Table>(&self, at: usize) -> Option<Arc<TableState<T>>> {
        let table: Arc<dyn Any + Send + Sync> = self.tables.get(at)?.clone();
        table.downcast().ok()
    }

    /// Whether the table is the same in both.
    pub(super) fn has_same(&self, other: &Self, at: usize) -> bool {
        match (self.tables.get(at), other.tables.get(at)) {
            (Some(ours), Some(theirs)) => std::ptr::addr_eq(Arc::as_ptr(ours), Arc::as_ptr(theirs)),
            _ => true,
        }
    }

    /// Whether all tables are the same in both.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (0..self.tables.len()).all(|at| self.has_same(other, at))
    }

    /// The number of rows in all tables.
    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(|table| table.len()).sum()
    }
}
