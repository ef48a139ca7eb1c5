//! One table at one moment: its rows and their indexes, in persistent tries.

use std::any::Any;
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use super::ahead::GROUP;
use super::any::{AnyChange, AnyRow};
use super::hash::{hash_of, hash_uuid};
use super::index::DeclaredIndex;
use super::trie::{self, Entry, HashTrie, Versioned, read_together};
use crate::model::{Row, Table};
use crate::value::{ColumnValue, Uuid};

/// The most changes that a state keeps for those who follow. It keeps the rows before them too.
const MOST_CHANGES: usize = 1024;
/// A table of more rows than this is taken apart on another thread, unless it shares most of what
/// it has: that takes long enough to hold up whoever lets go of it.
const LARGE: usize = 1000;

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

/// What became of one row.
#[derive(Debug)]
pub(super) struct RowChange<T> {
    /// That of the uuid.
    hash: u32,
    old: Option<Arc<Row<T>>>,
    new: Option<Arc<Row<T>>>,
    keys: Keys,
}

impl<T: Table> RowChange<T> {
    fn uuid(&self) -> Option<Uuid> {
        let row = self.new.as_ref().or(self.old.as_ref());
        row.map(|row| row.uuid())
    }
}

/// Whether two versions of a row have the same keys in the indexes of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// They have, and need not be compared.
    Same,
    /// They may not.
    MayDiffer,
}

/// What became of the rows between a version and the next, each of them at most once.
pub(super) type RowChanges<T> = Vec<RowChange<T>>;

/// The rows and indexes of a table at one moment.
#[derive(Debug)]
pub(super) struct TableState<T: Table> {
    pub(super) rows: HashTrie<Arc<Row<T>>>,
    /// One for each of [`Table::INDEXES`], with the hashes of the rows' uuids: so that a change of
    /// a row which leaves its key as it is leaves the index as it is.
    pub(super) indexes: Box<[HashTrie<u32>]>,
    /// Those that the program declared.
    pub(super) declared: Box<[Box<dyn DeclaredIndex<T>>]>,
    /// Which of the table's states this is, in the order in which they were published.
    version: u64,
    /// What became of the rows since the version before; `None` when that is not known, or too
    /// much to be kept.
    changes: Option<Arc<RowChanges<T>>>,
    /// Rows that are gone, for their memory. Of some a reader may still have something.
    gone: Vec<Arc<Row<T>>>,
}

impl<T: Table> Default for TableState<T> {
    fn default() -> Self {
        Self {
            rows: HashTrie::default(),
            indexes: T::INDEXES.iter().map(|_| HashTrie::default()).collect(),
            declared: Box::default(),
            version: 0,
            changes: None,
            gone: Vec::new(),
        }
    }
}

impl<T: Table> Drop for TableState<T> {
    fn drop(&mut self) {
        if self.rows.len() > LARGE
            && self.rows.is_apart()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let rows = std::mem::take(&mut self.rows);
            let indexes = std::mem::take(&mut self.indexes);
            let declared = std::mem::take(&mut self.declared);
            drop(runtime.spawn_blocking(move || drop((rows, indexes, declared))));
        }
    }
}

impl<T: Table> TableState<T> {
    /// The state that follows on this one, with the same indexes and no rows.
    pub(super) fn emptied(&self) -> Self {
        let mut state = Self::default();
        state.declared = self.declared.iter().map(|index| index.emptied()).collect();
        state.version = self.version + 1;
        state
    }

    /// The state that follows on this one, with the same rows, to be changed. It shares what it
    /// has with this one, and copies of that what is changed.
    pub(super) fn successor(&self) -> Self {
        Self {
            rows: self.rows.clone(),
            indexes: self.indexes.clone(),
            declared: self.declared.iter().map(|index| index.shared()).collect(),
            version: self.version + 1,
            changes: Some(Arc::default()),
            gone: Vec::new(),
        }
    }

    /// Makes of this earlier state the one that follows on the last version, when `missed` is
    /// what became of the rows from this version to that.
    pub(super) fn follow<'a>(&mut self, missed: impl Iterator<Item = &'a Arc<RowChanges<T>>>) {
        self.version += 1;
        for changes in missed {
            self.apply(changes);
            self.version += 1;
        }
        // Its own are not asked for any more, unless another earlier state misses them.
        let own = self.changes.take().and_then(Arc::into_inner);
        let mut changes = own.unwrap_or_default();
        let gone = changes.drain(..).filter_map(|change| change.old);
        self.gone.extend(gone);
        // Each is dropped when its memory is taken, with counts that lie all over the memory.
        for group in self.gone.chunks(GROUP) {
            Self::read_rows(group.iter());
        }
        self.changes = Some(Arc::new(changes));
    }

    fn apply(&mut self, changes: &[RowChange<T>]) {
        let hashes: Vec<u32> = changes.iter().map(|change| change.hash).collect();
        let rows = self.rows.find_together(&hashes);
        read_together(rows.iter().map(|row| row.warm()));
        for change in changes {
            let hash = change.hash;
            match (&change.old, &change.new) {
                (_, Some(new)) => drop(self.put(hash, new, change.keys)),
                (Some(old), None) => drop(self.take(hash, old.uuid())),
                (None, None) => {}
            }
        }
    }

    /// Reads the rows with these hashes together, before they change one after the other: their
    /// nodes, their columns, what a copy of them counts, and the elements of these columns.
    pub(super) fn read_ahead(&self, hashes: &[u32], columns: &[usize]) {
        let rows = self.rows.find_together(hashes);
        Self::read_rows(rows.iter().copied());
        for index in columns {
            let columns = rows.iter().filter_map(|row| row.column(*index));
            read_together(columns.map(ColumnValue::warm_elements));
        }
    }

    /// Reads these rows, and what copying or dropping them counts.
    fn read_rows<'a>(rows: impl Iterator<Item = &'a Arc<Row<T>>> + Clone) {
        read_together(rows.clone().map(Entry::warm));
        let columns: Vec<&T> = rows.map(|row| row.columns()).collect();
        black_box(T::warm(&columns));
    }

    pub(super) fn get(&self, uuid: Uuid) -> Option<&Arc<Row<T>>> {
        self.rows.get(hash_uuid(uuid), |row| row.uuid() == uuid)
    }

    pub(super) fn iter(&self) -> trie::Iter<'_, Arc<Row<T>>> {
        self.rows.iter()
    }

    /// The hash of the key that a row has in an index over these columns.
    fn hash_key(columns: &T, index: &[usize]) -> u32 {
        hash_of(|hasher| {
            for column in index.iter().filter_map(|column| columns.column(*column)) {
                column.hash_into(hasher);
            }
        })
    }

    /// Whether these columns are the same in both.
    fn is_same(a: &T, b: &T, columns: &[usize]) -> bool {
        columns.iter().all(|column| {
            let columns = (a.column(*column), b.column(*column));
            matches!(columns, (Some(a), Some(b)) if a.equals(b))
        })
    }

    /// Puts a row into the rows and indexes, in the place of the one with its uuid, which is
    /// returned.
    fn put(&mut self, hash: u32, row: &Arc<Row<T>>, keys: Keys) -> Option<Arc<Row<T>>> {
        let uuid = row.uuid();
        let old = self
            .rows
            .insert(hash, row.clone(), |row| row.uuid() == uuid);
        if keys == Keys::MayDiffer {
            for (index, columns) in self.indexes.iter_mut().zip(T::INDEXES) {
                if let Some(old) = &old {
                    if Self::is_same(old, row, columns) {
                        continue;
                    }
                    index.remove(Self::hash_key(old, columns), |row| *row == hash);
                }
                index.add(Self::hash_key(row, columns), hash);
            }
        }
        for index in &mut self.declared {
            index.change(uuid, old.as_ref().map(|row| row.columns()), Some(row));
        }
        old
    }

    /// Takes a row out of the rows and indexes.
    fn take(&mut self, hash: u32, uuid: Uuid) -> Option<Arc<Row<T>>> {
        let old = self.rows.remove(hash, |row| row.uuid() == uuid)?;
        for (index, columns) in self.indexes.iter_mut().zip(T::INDEXES) {
            index.remove(Self::hash_key(&old, columns), |row| *row == hash);
        }
        for index in &mut self.declared {
            index.change(uuid, Some(&old), None);
        }
        Some(old)
    }

    fn note(&mut self, change: RowChange<T>) {
        match self.changes.as_mut().and_then(Arc::get_mut) {
            Some(changes) if changes.len() < MOST_CHANGES => changes.push(change),
            _ => self.changes = None,
        }
    }

    /// A copy of a row, to be changed; in the memory of one that is gone where there is one.
    pub(super) fn copy(&mut self, row: &Row<T>) -> Arc<Row<T>> {
        if let Some(mut copy) = self.gone.pop()
            && let Some(free) = Arc::get_mut(&mut copy)
        {
            free.clone_from(row);
            return copy;
        }
        Arc::new(row.clone())
    }

    /// Puts a row in, in the place of the one with its uuid. Whether there was one.
    pub(super) fn insert(&mut self, row: Arc<Row<T>>) -> bool {
        self.insert_with(row, Keys::MayDiffer)
    }

    fn insert_with(&mut self, row: Arc<Row<T>>, keys: Keys) -> bool {
        let hash = hash_uuid(row.uuid());
        let old = self.put(hash, &row, keys);
        let replaced = old.is_some();
        self.note(RowChange {
            hash,
            old,
            new: Some(row),
            keys,
        });
        replaced
    }

    /// Puts a row in the place of `old`, from which it differs in no more than these columns;
    /// unless it does not.
    pub(super) fn replace(&mut self, old: &Row<T>, row: Arc<Row<T>>, columns: &[usize]) {
        if Self::is_same(old, &row, columns) {
            return;
        }
        let mut indexed = T::INDEXES.iter().copied().flatten();
        let keys = if indexed.any(|column| columns.contains(column)) {
            Keys::MayDiffer
        } else {
            Keys::Same
        };
        self.insert_with(row, keys);
    }

    /// Takes a row out. Whether there was one.
    pub(super) fn remove(&mut self, uuid: Uuid) -> bool {
        let hash = hash_uuid(uuid);
        let old = self.take(hash, uuid);
        let removed = old.is_some();
        if removed {
            self.note(RowChange {
                hash,
                old,
                new: None,
                keys: Keys::MayDiffer,
            });
        }
        removed
    }

    /// Puts rows into an empty table, at the cost of building it once. The error has the uuid that
    /// two of them have.
    pub(super) fn fill(&mut self, rows: Vec<Arc<Row<T>>>) -> Result<(), Uuid> {
        self.changes = None;
        for (index, columns) in self.indexes.iter_mut().zip(T::INDEXES) {
            let entries = rows
                .iter()
                .map(|row| (Self::hash_key(row, columns), hash_uuid(row.uuid())));
            *index = HashTrie::build(entries);
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

    /// Whether anything may have changed since the version before.
    pub(super) fn is_changed(&self) -> bool {
        self.changes
            .as_ref()
            .is_none_or(|changes| !changes.is_empty())
    }

    /// Before the state is published: the changes are each row's only one, or they are not kept.
    pub(super) fn finish(&mut self) {
        self.gone = Vec::new();
        if let Some(changes) = self.changes.as_mut().and_then(Arc::get_mut) {
            // A message may have a row twice.
            changes.sort_unstable_by(|a, b| {
                let hashes = a.hash.cmp(&b.hash);
                hashes.then_with(|| a.uuid().cmp(&b.uuid()))
            });
            let is_twice =
                |two: &[RowChange<T>]| two[0].hash == two[1].hash && two[0].uuid() == two[1].uuid();
            if changes.windows(2).any(is_twice) {
                self.changes = None;
            }
        }
    }

    /// Which of the table's states this is, in the order in which they were published.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// What became of the rows since the version before, as far as it is kept.
    pub(super) const fn changes(&self) -> Option<&Arc<RowChanges<T>>> {
        self.changes.as_ref()
    }

    /// Shows every row that this state has, and `old` has not or has otherwise; and the other way
    /// round. In no particular order.
    pub(super) fn differences<'a>(
        &'a self,
        old: &'a Self,
        each: &mut impl FnMut(Option<&'a Arc<Row<T>>>, Option<&'a Arc<Row<T>>>),
    ) {
        match &self.changes {
            Some(changes) if self.version == old.version + 1 => {
                for RowChange { old, new, .. } in &**changes {
                    each(old.as_ref(), new.as_ref());
                }
            }
            _ => HashTrie::diff(&old.rows, &self.rows, each),
        }
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
        let mut changes = Vec::new();
        self.differences(old.unwrap_or(&nothing), &mut |old, new| {
            let erase = |row: Option<&Arc<Row<T>>>| row.map(|row| row.clone() as Arc<dyn AnyRow>);
            changes.extend(AnyChange::new(erase(old), erase(new)));
        });
        changes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;
    use std::thread::ThreadId;

    use super::*;
    use crate::cache::Index;

    #[derive(Debug)]
    struct Inventory;

    impl ovsdb::Database for Inventory {
        const NAME: &'static str = "Inventory";
    }

    #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
    #[ovsdb(database = Inventory, table = "Item")]
    struct Item {
        count: i64,
    }

    /// Where keys were dropped.
    static THREADS: Mutex<Option<HashSet<ThreadId>>> = Mutex::new(None);

    /// A key that tells where it is dropped.
    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Key(i64);

    impl Drop for Key {
        fn drop(&mut self) {
            let mut threads = THREADS.lock().expect("no panic");
            let threads = threads.get_or_insert_default();
            threads.insert(std::thread::current().id());
        }
    }

    fn table(rows: usize) -> TableState<Item> {
        let mut state = TableState::default();
        state.declared = Box::new([Index::function(|item: &Item| [Key(item.count)]).build()]);
        let rows = (0..rows).map(|number| {
            let uuid = Uuid::from_u128(number as u128);
            let count = number as i64;
            Arc::new(Row::new(uuid, Item { count }))
        });
        state.fill(rows.collect()).expect("each once");
        state
    }

    /// Drops a state in a runtime, and returns where its keys were dropped.
    fn threads(state: TableState<Item>) -> HashSet<ThreadId> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        *THREADS.lock().expect("no panic") = None;
        runtime.block_on(async { drop(state) });
        // Waits for what runs elsewhere.
        drop(runtime);
        THREADS.lock().expect("no panic").take().unwrap_or_default()
    }

    #[test]
    fn a_large_table_is_taken_apart_on_another_thread() {
        let here = std::thread::current().id();
        assert_eq!(threads(table(100)), [here].into());
        let elsewhere = threads(table(3 * LARGE));
        assert!(elsewhere.len() == 1 && !elsewhere.contains(&here));

        // Most of it is somebody else's too: there is little to do here.
        let table = table(3 * LARGE);
        let mut other = table.successor();
        for number in 0..10 {
            other.remove(Uuid::from_u128(number));
        }
        assert_eq!(threads(other), [here].into());
        assert!(!threads(table).contains(&here));
    }
}
