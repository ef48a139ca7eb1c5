//! Prefetching for many look-ups: the rows are read together before the look-ups, so that their cache
//! misses overlap.

use super::index::{Index, Key};
use super::prefetch;
use super::snapshot::TableView;
use crate::model::Table;
use crate::trie::hash_uuid;
use crate::trie::prefetch::find_together;

/// How many look-ups are prefetched together: few enough that the rows stay in the processor's caches.
pub(crate) const LOOK_AHEAD: usize = prefetch::GROUP;

impl<T: Table> TableView<'_, T> {
    /// Prefetches the rows whose keys in an index of [`Table::INDEXES`] have these hashes, and the first
    /// elements of these columns in them.
    pub(crate) fn look_ahead(self, index: usize, hashes: &[u32], columns: &[usize]) {
        let found = find_together(&self.state.indexes[index], hashes);
        let rows: Vec<u32> = found.into_iter().copied().collect();
        prefetch::columns(&self.state.rows, &rows, columns);
    }

    /// Prefetches the rows with these keys in a declared index, and the first elements of these columns
    /// in them. Keys that several rows have are left out.
    pub(crate) fn look_ahead_in<'k, K: Key>(
        self,
        index: &Index<T, K>,
        keys: impl IntoIterator<Item = &'k K>,
        columns: &[usize],
    ) {
        if let Some(index) = index.of(&self.state.declared) {
            let rows: Vec<u32> = index.find_together(keys).map(hash_uuid).collect();
            prefetch::columns(&self.state.rows, &rows, columns);
        }
    }
}
