//! One table at one moment: its rows and their indexes, in persistent tries and treaps.

use std::sync::Arc;

use super::any::{AnyChange, AnyRow};
use super::erased::{ErasedRow, SharedRow, has_same, has_same_columns};
use super::index::DeclaredIndex;
use super::prefetch;
use super::table_type::TableType;
use crate::trie::{Entry, HashTrie, Versioned, hash_of, hash_uuid};
use crate::value::Uuid;

/// The most changes that a state records for streams and earlier states. Each keeps the old row alive.
const MOST_CHANGES: usize = 1024;
/// In a tokio runtime, a table with more rows than this is dropped on another thread, unless it shares
/// most of its nodes: dropping it takes long enough to delay the thread that drops the last handle.
const LARGE: usize = 1000;

impl Entry for Uuid {}

impl Entry for SharedRow {
    fn read_count(&self) -> usize {
        Self::strong_count(self)
    }
}

impl Versioned for SharedRow {
    fn is_same(&self, other: &Self) -> bool {
        self.uuid() == other.uuid()
    }

    fn is_unchanged(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other)
            || self.is_same(other)
                && self.version() == other.version()
                && has_same_columns(&**self, &**other)
    }
}

/// A change of one row.
#[derive(Debug)]
pub(super) struct RowChange {
    /// The hash of the uuid.
    hash: u32,
    old: Option<SharedRow>,
    new: Option<SharedRow>,
    keys: Keys,
}

impl RowChange {
    fn uuid(&self) -> Option<Uuid> {
        let row = self.new.as_ref().or(self.old.as_ref());
        row.map(|row| row.uuid())
    }
}

/// What is known about a row's keys in the indexes of the schema when the row changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// They are the same, and need not be compared.
    Same,
    /// They may differ.
    MayDiffer,
}

/// The changes of rows from one version to the next, each row at most once.
pub(super) type RowChanges = Vec<RowChange>;

/// The rows and indexes of a table at one moment.
#[derive(Debug)]
pub(super) struct TableState {
    pub(super) table: TableType,
    pub(super) rows: HashTrie<SharedRow>,
    /// One for each of [`Table::INDEXES`](crate::Table::INDEXES), with the hashes of the rows' uuids. A change of a row
    /// that keeps its key does not touch the index.
    pub(super) indexes: Box<[HashTrie<u32>]>,
    /// The indexes that the program declared.
    pub(super) declared: Box<[Box<dyn DeclaredIndex>]>,
    /// The state's number in the order in which the table's states were published.
    version: u64,
    /// The changes of rows since the previous version; `None` when they are not known, or are too many
    /// to record.
    changes: Option<Arc<RowChanges>>,
    /// The old versions of removed and changed rows, kept so that their allocations can be reused. A
    /// reader may still hold some of them.
    removed: Vec<SharedRow>,
}

impl Drop for TableState {
    fn drop(&mut self) {
        if self.rows.len() > LARGE
            && self.rows.is_mostly_unshared()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let rows = std::mem::take(&mut self.rows);
            let indexes = std::mem::take(&mut self.indexes);
            let declared = std::mem::take(&mut self.declared);
            drop(runtime.spawn_blocking(move || drop((rows, indexes, declared))));
        }
    }
}

impl TableState {
    /// A table without rows and without declared indexes.
    pub(super) fn new(table: TableType) -> Self {
        let indexes = table.indexes().iter().map(|_| HashTrie::default());
        Self {
            table,
            rows: HashTrie::default(),
            indexes: indexes.collect(),
            declared: Box::default(),
            version: 0,
            changes: None,
            removed: Vec::new(),
        }
    }

    /// The next state, with the same indexes and no rows.
    pub(super) fn emptied(&self) -> Self {
        let mut state = Self::new(self.table.clone());
        state.declared = self.declared.iter().map(|index| index.emptied()).collect();
        state.version = self.version + 1;
        state
    }

    /// The next state, with the same rows, to be changed. It shares all nodes with this one, and copies
    /// those that are changed (copy-on-write).
    pub(super) fn successor(&self) -> Self {
        Self {
            table: self.table.clone(),
            rows: self.rows.clone(),
            indexes: self.indexes.clone(),
            declared: self.declared.iter().map(|index| index.shared()).collect(),
            version: self.version + 1,
            changes: Some(Arc::default()),
            removed: Vec::new(),
        }
    }

    /// Turns this earlier state into the next one by replaying `missed`, the changes from this version
    /// to the published one.
    pub(super) fn follow<'a>(&mut self, missed: impl Iterator<Item = &'a Arc<RowChanges>>) {
        self.version += 1;
        for changes in missed {
            self.apply(changes);
            self.version += 1;
        }
        // If an even earlier state has missed the changes recorded here, the log still needs them.
        // Otherwise their old rows can be reused.
        let own = self.changes.take().and_then(Arc::into_inner);
        let mut changes = own.unwrap_or_default();
        let removed = changes.drain(..).filter_map(|change| change.old);
        self.removed.extend(removed);
        // Reusing a row drops its columns, whose reference counts are scattered over the memory.
        prefetch::dropped(&self.removed);
        self.changes = Some(Arc::new(changes));
    }

    fn apply(&mut self, changes: &[RowChange]) {
        let hashes: Vec<u32> = changes.iter().map(|change| change.hash).collect();
        prefetch::counts(&self.rows, &hashes);
        for change in changes {
            let hash = change.hash;
            match (&change.old, &change.new) {
                (_, Some(new)) => drop(self.put(hash, new, change.keys)),
                (Some(old), None) => drop(self.take(hash, old.uuid())),
                (None, None) => {}
            }
        }
    }

    pub(super) fn get(&self, uuid: Uuid) -> Option<&SharedRow> {
        self.rows.get(hash_uuid(uuid), |row| row.uuid() == uuid)
    }

    /// The row of the table that equals `row`, whose uuid has this hash; and whether it is the only row
    /// with the hash.
    pub(super) fn equal(&self, hash: u32, row: &SharedRow) -> Option<(&SharedRow, bool)> {
        let (mut equal, mut count) = (None, 0);
        self.rows.find_map::<()>(hash, |known| {
            count += 1;
            if known.is_unchanged(row) {
                equal = Some(known);
            }
            None
        });
        Some((equal?, count == 1))
    }

    /// Inserts a row into the rows and indexes. Returns the row that it replaces.
    fn put(&mut self, hash: u32, row: &SharedRow, keys: Keys) -> Option<SharedRow> {
        let uuid = row.uuid();
        let old = self
            .rows
            .insert(hash, row.clone(), |row| row.uuid() == uuid);
        if keys == Keys::MayDiffer {
            for (index, columns) in self.indexes.iter_mut().zip(self.table.indexes()) {
                if let Some(old) = &old {
                    if has_same(&**old, &**row, columns.iter().copied()) {
                        continue;
                    }
                    index.remove(hash_key(&**old, columns), |row| *row == hash);
                }
                index.add(hash_key(&**row, columns), hash);
            }
        }
        for index in &mut self.declared {
            index.change(uuid, old.as_deref(), Some(&**row));
        }
        old
    }

    /// Removes a row from the rows and indexes.
    fn take(&mut self, hash: u32, uuid: Uuid) -> Option<SharedRow> {
        let old = self.rows.remove(hash, |row| row.uuid() == uuid)?;
        for (index, columns) in self.indexes.iter_mut().zip(self.table.indexes()) {
            index.remove(hash_key(&*old, columns), |row| *row == hash);
        }
        for index in &mut self.declared {
            index.change(uuid, Some(&*old), None);
        }
        Some(old)
    }

    fn note(&mut self, change: RowChange) {
        match self.changes.as_mut().and_then(Arc::get_mut) {
            Some(changes) if changes.len() < MOST_CHANGES => changes.push(change),
            _ => self.changes = None,
        }
    }

    /// A copy of a row, to be changed. It reuses the allocation of the last of the removed rows, if no
    /// reader holds that row.
    pub(super) fn copy(&mut self, row: &dyn ErasedRow) -> SharedRow {
        if let Some(mut copy) = self.removed.pop()
            && Arc::get_mut(&mut copy).is_some_and(|free| free.copy_from(row))
        {
            return copy;
        }
        row.copy(row.uuid())
    }

    /// Inserts a row, or replaces the one with its uuid. Returns whether it replaced one.
    pub(super) fn insert(&mut self, row: SharedRow) -> bool {
        self.insert_with(row, Keys::MayDiffer)
    }

    fn insert_with(&mut self, row: SharedRow, keys: Keys) -> bool {
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

    /// Replaces `old` by a row that may differ from it in these columns only. Does nothing when they
    /// are equal.
    pub(super) fn replace(&mut self, old: &dyn ErasedRow, row: SharedRow, columns: &[usize]) {
        if has_same(old, &*row, columns.iter().copied()) {
            return;
        }
        let mut indexed = self.table.indexes().iter().copied().flatten();
        let keys = if indexed.any(|column| columns.contains(column)) {
            Keys::MayDiffer
        } else {
            Keys::Same
        };
        self.insert_with(row, keys);
    }

    /// Removes a row. Returns whether it existed.
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

    /// Fills an empty table with rows, faster than inserting them one by one. They are sorted by the
    /// hashes of their uuids.
    pub(super) fn fill(&mut self, rows: Vec<(u32, SharedRow)>) {
        self.changes = None;
        for (index, columns) in self.indexes.iter_mut().zip(self.table.indexes()) {
            let entries = rows
                .iter()
                .map(|(hash, row)| (hash_key(&**row, columns), *hash));
            *index = HashTrie::build(entries);
        }
        for index in &mut self.declared {
            rows.iter()
                .for_each(|(_, row)| index.change(row.uuid(), None, Some(&**row)));
        }
        self.rows = HashTrie::of_sorted(rows);
    }

    /// Whether anything may have changed since the previous version.
    pub(super) fn is_changed(&self) -> bool {
        self.changes
            .as_ref()
            .is_none_or(|changes| !changes.is_empty())
    }

    /// Called before the state is published: discards the record of changes if a row is in it twice.
    pub(super) fn finish(&mut self) {
        self.removed = Vec::new();
        if let Some(changes) = self.changes.as_mut().and_then(Arc::get_mut) {
            // A message may name a row twice.
            changes.sort_unstable_by(|a, b| {
                let hashes = a.hash.cmp(&b.hash);
                hashes.then_with(|| a.uuid().cmp(&b.uuid()))
            });
            let is_twice =
                |two: &[RowChange]| two[0].hash == two[1].hash && two[0].uuid() == two[1].uuid();
            if changes.windows(2).any(is_twice) {
                self.changes = None;
            }
        }
    }

    /// The state's number in the order in which the table's states were published.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// The changes of rows since the previous version, if they were recorded.
    pub(super) const fn changes(&self) -> Option<&Arc<RowChanges>> {
        self.changes.as_ref()
    }

    /// Calls `each` with the old and the new version of every row that differs between `old` and this
    /// state, in no particular order.
    pub(super) fn differences<'a>(
        &'a self,
        old: &'a Self,
        each: &mut dyn FnMut(Option<&'a SharedRow>, Option<&'a SharedRow>),
    ) {
        match &self.changes {
            Some(changes) if self.version == old.version + 1 => {
                for RowChange { old, new, .. } in &**changes {
                    each(old.as_ref(), new.as_ref());
                }
            }
            _ => HashTrie::diff(&old.rows, &self.rows, &mut |old, new| each(old, new)),
        }
    }

    /// The changes of the table since `old`, an earlier state; without `old`, since the empty table.
    pub(super) fn changes_since(&self, old: Option<&Self>) -> Vec<AnyChange> {
        let nothing = Self::new(self.table.clone());
        let mut changes = Vec::new();
        self.differences(old.unwrap_or(&nothing), &mut |old, new| {
            let erase = |row: Option<&SharedRow>| row.map(|row| row.clone() as Arc<dyn AnyRow>);
            changes.extend(AnyChange::new(erase(old), erase(new)));
        });
        changes
    }
}

/// The hash of the key that a row has in an index over these columns.
fn hash_key(row: &dyn ErasedRow, index: &[usize]) -> u32 {
    hash_of(|hasher| {
        for column in index.iter().filter_map(|column| row.column(*column)) {
            column.hash_into(hasher);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::sync::Mutex;
    use std::thread::ThreadId;

    use super::*;
    use crate::cache::Index;
    use crate::model::Row;

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

    /// The threads on which keys were dropped.
    static THREADS: Mutex<Option<HashSet<ThreadId>>> = Mutex::new(None);

    /// A key that records the thread on which it is dropped.
    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Key(i64);

    impl Drop for Key {
        fn drop(&mut self) {
            let mut threads = THREADS.lock().expect("no panic");
            let threads = threads.get_or_insert_default();
            threads.insert(std::thread::current().id());
        }
    }

    fn table(rows: usize) -> TableState {
        let mut state = TableState::new(TableType::of::<Item>());
        state.declared = Box::new([Index::function(|item: &Item| [Key(item.count)]).build()]);
        let rows = (0..rows).map(|number| {
            let uuid = Uuid::from_u128(number as u128);
            let count = number as i64;
            let row = Arc::new(Row::new(uuid, Item { count })) as SharedRow;
            (hash_uuid(uuid), row)
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|row| row.0);
        state.fill(rows);
        state
    }

    /// Drops a state in a runtime, and returns the threads on which its keys were dropped.
    fn threads(state: TableState) -> HashSet<ThreadId> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        *THREADS.lock().expect("no panic") = None;
        runtime.block_on(async { drop(state) });
        // Waits for the runtime's other threads.
        drop(runtime);
        THREADS.lock().expect("no panic").take().unwrap_or_default()
    }

    #[test]
    fn a_large_table_is_dropped_on_another_thread() {
        let here = std::thread::current().id();
        assert_eq!(threads(table(100)), [here].into());
        let elsewhere = threads(table(3 * LARGE));
        assert!(elsewhere.len() == 1 && !elsewhere.contains(&here));

        // Most nodes are shared, so there is little to drop here.
        let table = table(3 * LARGE);
        let mut other = table.successor();
        for number in 0..10 {
            other.remove(Uuid::from_u128(number));
        }
        assert_eq!(threads(other), [here].into());
        assert!(!threads(table).contains(&here));
    }

    fn item(uuid: Uuid, count: i64) -> SharedRow {
        Arc::new(Row::new(uuid, Item { count }))
    }

    /// A state after `before`, filled with one row.
    fn filled(before: &TableState, uuid: Uuid) -> TableState {
        let mut state = before.emptied();
        state.fill(vec![(hash_uuid(uuid), item(uuid, 0))]);
        state
    }

    /// The rows that differ between two states, each before and after, sorted.
    fn differences(old: &TableState, new: &TableState) -> Vec<[Option<Uuid>; 2]> {
        let mut found = Vec::new();
        new.differences(old, &mut |old, new| {
            found.push([old, new].map(|row| row.map(|row| row.uuid())));
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn rows_whose_uuids_have_the_same_hash_are_told_apart() {
        let mut known = HashMap::new();
        let mut uuids = (1..).map(Uuid::from_u128);
        let same = uuids.find_map(|uuid| Some((known.insert(hash_uuid(uuid), uuid)?, uuid)));
        let (one, other) = same.expect("there are more uuids than hashes");
        let empty = TableState::new(TableType::of::<Item>());
        let differences = differences(&filled(&empty, one), &filled(&empty, other));
        assert_eq!(differences, [[None, Some(other)], [Some(one), None]]);
    }

    #[test]
    fn a_state_that_was_filled_since_differs_in_all_rows() {
        let [first, second, third] = [1, 2, 3].map(Uuid::from_u128);
        let mut before = TableState::new(TableType::of::<Item>());
        before.insert(item(first, 0));
        let refilled = filled(&before, second);
        let mut after = refilled.successor();
        after.insert(item(third, 0));
        assert_eq!(differences(&refilled, &after), [[None, Some(third)]]);
        assert_eq!(
            differences(&before, &after),
            [
                [None, Some(second)],
                [None, Some(third)],
                [Some(first), None]
            ]
        );
    }
}
