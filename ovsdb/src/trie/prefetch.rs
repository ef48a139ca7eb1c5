//! Prefetching in a trie: reads many nodes together, before they are searched or changed one after the
//! other, so that their cache misses overlap.
//!
//! This file walks the nodes of the trie, and the trie prefetches the nodes it is about to change, so
//! the two files use each other. Every prefetch ends in [`read_together`].

use std::hint::black_box;

use super::{HashTrie, Node, begin, digit, expected};

/// The first entry with each of these hashes, if there is one. All hashes are searched level by level
/// together, so their cache misses overlap. Also reads those parts of the nodes that a change of the
/// entries will touch.
pub(crate) fn find_together<'a, E>(trie: &'a HashTrie<E>, hashes: &[u32]) -> Vec<&'a E> {
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

/// Reads the parts of a node that copying or changing it reads first.
pub(super) fn read_node<E>(node: &Node<E>) -> usize {
    match node {
        Node::Leaf(entries) => entries.capacity(),
        Node::Branch(nodes) => nodes.capacity(),
    }
}

/// Reads memory and ignores its contents: the cache misses of independent reads overlap.
pub(crate) fn read_together(reads: impl Iterator<Item = usize>) {
    black_box(reads.fold(0, usize::wrapping_add));
}
