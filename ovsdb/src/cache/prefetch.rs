//! Prefetching: reads the memory of many rows at once, before they are changed one after the other.
//!
//! Rows that change lie all over the memory, and few are in the processor's caches. Taken one after the
//! other, each change waits for the row's nodes, its columns and the reference counts of what it shares.
//! Reads that do not depend on each other wait together.

use std::hint::black_box;

use super::erased::SharedRow;
use super::hash::hash_uuid;
use super::table_state::TableState;
use super::trie::{Entry, HashTrie, Node, begin, digit, expected};
use crate::value::json::Reader;
use crate::value::{Prefetch, parse_uuid};

/// How many rows are looked up together: what they have should stay in the caches until they are
/// changed.
pub(super) const GROUP: usize = 64;

/// How far an update's reader may go before it looks ahead again.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    left: usize,
    hashes: Vec<u32>,
}

impl Ahead {
    /// Called before each row of an update. Reads the uuids that follow in the message, and
    /// reads what copying the rows changes, and the elements of these columns, which are those of
    /// the last change. Mistakes in the message are left to its decoder.
    pub(super) fn next(&mut self, reader: &mut Reader<'_>, state: &TableState, columns: &[usize]) {
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
        // One alone has nothing to wait with.
        if self.left > 0 {
            rows(state, &self.hashes, columns);
        }
    }
}

/// Reads the rows with these hashes, the reference counts that copies of them change, and the elements
/// of these columns.
fn rows(state: &TableState, hashes: &[u32], columns: &[usize]) {
    let rows = find_together(&state.rows, hashes);
    read_rows(rows.iter().copied(), state.table.columns.len());
    for index in columns {
        let columns = rows.iter().filter_map(|row| row.column(*index));
        read_together(columns.map(Prefetch::read_elements));
    }
}

/// Reads the reference counts of the rows with these hashes.
pub(super) fn counts(rows: &HashTrie<SharedRow>, hashes: &[u32]) {
    let rows = find_together(rows, hashes);
    read_together(rows.iter().map(|row| row.read_count()));
}

/// Reads what dropping these rows, of so many columns, will count down.
pub(super) fn dropped(rows: &[SharedRow], columns: usize) {
    for group in rows.chunks(GROUP) {
        read_rows(group.iter(), columns);
    }
}

/// Reads these rows, and the reference counts that copying or dropping them changes: one column of all
/// rows after the other.
fn read_rows<'a>(rows: impl Iterator<Item = &'a SharedRow> + Clone, columns: usize) {
    read_together(rows.clone().map(Entry::read_count));
    for index in 0..columns {
        let columns = rows.clone().filter_map(|row| row.column(index));
        read_together(columns.map(Prefetch::read_counts));
    }
}

/// The first entry with each of these hashes, where there is one: level by level for all of them, so
/// that no search waits for the memory of another. Reads what a change of the entries touches of the
/// nodes as well.
pub(super) fn find_together<'a, E>(trie: &'a HashTrie<E>, hashes: &[u32]) -> Vec<&'a E> {
    let mut nodes: Vec<_> = hashes.iter().map(|hash| (*hash, &trie.root)).collect();
    let mut below = Vec::with_capacity(hashes.len());
    let mut leaves = Vec::with_capacity(hashes.len());
    let mut depth = 0;
    while !nodes.is_empty() {
        read_together(nodes.iter().map(|(_, node)| read_node(node)));
        for (hash, node) in nodes.drain(..) {
            match node {
                Node::Leaf(entries) => leaves.push((hash, depth, entries.as_slice())),
                Node::Branch(nodes) => below.push((hash, &nodes[digit(hash, depth)])),
            }
        }
        (nodes, below) = (below, nodes);
        depth += 1;
    }
    read_together(leaves.iter().map(|(hash, depth, entries)| {
        let entry = entries.get(expected(*hash, *depth, entries.len()));
        entry.map_or(0, |entry| entry.0 as usize)
    }));
    let found = leaves.into_iter().filter_map(|(hash, depth, entries)| {
        let entry = entries.get(begin(entries, hash, depth))?;
        (entry.0 == hash).then_some(&entry.1)
    });
    found.collect()
}

/// Reads what a copy or a change of the node reads of it first.
pub(super) fn read_node<E>(node: &Node<E>) -> usize {
    match node {
        Node::Leaf(entries) => entries.capacity(),
        Node::Branch(nodes) => nodes.capacity(),
    }
}

/// Has memory read, whatever it holds: independent reads wait for it together.
pub(super) fn read_together(reads: impl Iterator<Item = usize>) {
    black_box(reads.fold(0, usize::wrapping_add));
}
