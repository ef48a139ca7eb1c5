//! Prefetching: reads the memory of many rows together, before they are changed one after the other.
//!
//! The rows that an update changes are scattered over the memory, and few are in the processor's
//! caches. Without prefetching, each change waits in turn for the row's nodes, its columns, and the
//! reference counts of the values it shares. Reads that do not depend on each other overlap their cache
//! misses.

use super::erased::SharedRow;
use crate::trie::prefetch::{find_together, read_together};
use crate::trie::{Entry, HashTrie, hash_uuid};
use crate::value::json::Reader;
use crate::value::{ColumnValue, Prefetch, parse_uuid};

/// How many rows are read together: few enough that they stay in the processor's caches until they are
/// changed.
pub(super) const GROUP: usize = 64;
/// How many rows of a group are sampled to find the columns with reference counts.
const SAMPLE: usize = 4;

/// How many rows of an update were prefetched and not yet decoded.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    left: usize,
    hashes: Vec<u32>,
}

impl Ahead {
    /// Called before each row of an update. Reads the uuids of the next rows in the message, and
    /// prefetches these rows: the reference counts that copying them will increment, and the first
    /// elements of `columns`, the columns of the last change. Malformed messages are left to the
    /// decoder to report.
    pub(super) fn next(
        &mut self,
        reader: &mut Reader<'_>,
        table: &HashTrie<SharedRow>,
        columns: &[usize],
    ) {
        if self.left > 0 {
            self.left -= 1;
            return;
        }
        let start = reader.checkpoint();
        self.hashes.clear();
        while self.hashes.len() < GROUP
            && let Ok(Some(key)) = reader.key()
            && let Ok(uuid) = parse_uuid(&key, 0)
            && reader.skip().is_ok()
        {
            self.hashes.push(hash_uuid(uuid));
        }
        reader.restore(start);
        self.left = self.hashes.len().saturating_sub(1);
        // With a single row there is no other cache miss to overlap with.
        if self.left > 0 {
            rows(table, &self.hashes, columns);
        }
    }
}

/// Reads the rows with these hashes, the reference counts that copying them will increment, and the
/// first elements of these columns.
fn rows(table: &HashTrie<SharedRow>, hashes: &[u32], columns: &[usize]) {
    let rows = find_together(table, hashes);
    read_rows(rows.iter().copied());
    for index in columns {
        read_column(rows.iter().copied(), *index, Prefetch::read_elements);
    }
}

/// Reads the rows with these hashes, and the first elements of these columns.
pub(super) fn columns(rows: &HashTrie<SharedRow>, hashes: &[u32], columns: &[usize]) {
    let rows = find_together(rows, hashes);
    read_together(rows.iter().map(|row| row.read_count()));
    for index in columns {
        read_column(rows.iter().copied(), *index, Prefetch::read_elements);
    }
}

/// Reads the reference counts of the rows with these hashes.
pub(super) fn counts(rows: &HashTrie<SharedRow>, hashes: &[u32]) {
    let rows = find_together(rows, hashes);
    read_together(rows.iter().map(|row| row.read_count()));
}

/// Reads the reference counts that dropping these rows will decrement.
pub(super) fn dropped(rows: &[SharedRow]) {
    for group in rows.chunks(GROUP) {
        read_rows(group.iter());
    }
}

/// Reads these rows, and the reference counts that copying or dropping them changes, column by column.
/// Most columns are empty or stored inline, so a sample of the rows decides which columns are read.
fn read_rows<'a>(rows: impl ExactSizeIterator<Item = &'a SharedRow> + Clone) {
    read_together(rows.clone().map(Entry::read_count));
    let apart = rows.len().div_ceil(SAMPLE).max(1);
    let columns = rows.clone().next().map_or(0, |row| row.columns().len());
    for index in 0..columns {
        let mut sample = rows.clone().step_by(apart);
        if sample.any(|row| row.column(index).is_some_and(Prefetch::has_counts)) {
            read_column(rows.clone(), index, Prefetch::read_counts);
        }
    }
}

/// Reads one column of these rows.
fn read_column<'a>(
    rows: impl Iterator<Item = &'a SharedRow>,
    index: usize,
    read: fn(&'a dyn ColumnValue, &[&'a dyn ColumnValue]) -> usize,
) {
    let column: Vec<_> = rows.filter_map(|row| row.column(index)).collect();
    let reads = column.first().map(|first| read(*first, &column));
    read_together(reads.into_iter());
}
