//! A persistent hash trie, which stores rows and indexes.
//!
//! A clone costs one reference count. A change copies only the few nodes on its path that a snapshot still
//! shares (copy-on-write); all others are changed in place. So a snapshot of 100,000 rows is taken in
//! constant time, and keeping it costs little while the writer changes rows.
//!
//! Lookups are bound by cache misses. Leaves hold up to 128 entries sorted by hash, so the inner nodes
//! are few and stay in the cache; within a leaf the position is guessed from the hash (interpolation
//! search), which usually touches one cache line.

mod build;
mod diff;
mod hash;
pub(crate) mod prefetch;

use std::array;

use ecow::EcoVec;

pub(crate) use self::build::twice;
pub(crate) use self::diff::Versioned;
pub(crate) use self::hash::{hash_of, hash_uuid};
use self::prefetch::read_together;

/// How many bits of the hash each level uses, beginning with the highest.
const BITS: u32 = 6;
/// The number of nodes in a branch.
const WIDTH: usize = 1 << BITS;
/// The depth at which all bits of the hash are used.
const DEEPEST: u32 = u32::BITS.div_ceil(BITS);
/// How many entries a leaf holds before it is split.
const LARGEST: usize = 128;

/// An entry of a trie.
pub(crate) trait Entry: Clone {
    /// Reads the reference count that a clone changes, for prefetching. The result means nothing.
    fn read_count(&self) -> usize {
        0
    }
}

impl Entry for u32 {}

/// A multiset of entries, found by a 32-bit hash and a predicate. The caller provides both, so an index
/// can hash any part of a row without storing it.
#[derive(Debug, Clone)]
pub(crate) struct HashTrie<E> {
    root: Node<E>,
    len: usize,
}

#[derive(Debug, Clone)]
enum Node<E> {
    /// At most [`LARGEST`] entries, each with its hash, sorted by hash; more only when all bits of
    /// the hash are used.
    Leaf(EcoVec<(u32, E)>),
    /// A node for each value of the next bits of the hash.
    Branch(EcoVec<Self>),
}

impl<E> Default for Node<E> {
    fn default() -> Self {
        Self::Leaf(EcoVec::new())
    }
}

impl<E> Default for HashTrie<E> {
    fn default() -> Self {
        Self {
            root: Node::default(),
            len: 0,
        }
    }
}

/// The index of the node of a branch at this depth that `hash` belongs to.
const fn digit(hash: u32, depth: u32) -> usize {
    (hash << (depth * BITS) >> (u32::BITS - BITS)) as usize
}

/// The expected position of a hash in a leaf at this depth with this many entries, if hashes are evenly
/// distributed. It is less than `len`, unless `len` is 0.
const fn expected(hash: u32, depth: u32, len: usize) -> usize {
    let rest = match hash.checked_shl(depth * BITS) {
        Some(rest) => rest,
        None => 0,
    };
    ((rest as u64 * len as u64) >> u32::BITS) as usize
}

/// The position at which the entries with this hash begin in a leaf at this depth, or would begin.
fn begin<E>(entries: &[(u32, E)], hash: u32, depth: u32) -> usize {
    let expected = expected(hash, depth, entries.len());
    let (before, after) = entries.split_at(expected);
    match before
        .iter()
        .rev()
        .take_while(|entry| entry.0 >= hash)
        .count()
    {
        0 => expected + after.iter().take_while(|entry| entry.0 < hash).count(),
        back => expected - back,
    }
}

/// The position in a leaf at this depth of the entry with this hash that `is` accepts; otherwise the
/// position after all entries with this hash.
fn place<E>(
    entries: &[(u32, E)],
    hash: u32,
    depth: u32,
    is: impl Fn(&E) -> bool,
) -> Result<usize, usize> {
    let mut at = begin(entries, hash, depth);
    while let Some((other, entry)) = entries.get(at)
        && *other == hash
    {
        if is(entry) {
            return Ok(at);
        }
        at += 1;
    }
    Err(at)
}

impl<E> Node<E> {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Leaf(entries) if entries.is_empty())
    }
}

impl<E> HashTrie<E> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The first entry with this hash that `is` accepts.
    pub(crate) fn get(&self, hash: u32, is: impl Fn(&E) -> bool) -> Option<&E> {
        self.find_map(hash, |entry| is(entry).then_some(entry))
    }

    /// The first result of `find` for an entry with this hash that is not `None`.
    pub(crate) fn find_map<'a, R>(
        &'a self,
        hash: u32,
        mut find: impl FnMut(&'a E) -> Option<R>,
    ) -> Option<R> {
        let (mut node, mut depth) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(entries) => {
                    let rest = &entries[begin(entries, hash, depth)..];
                    let mut same = rest.iter().take_while(|entry| entry.0 == hash);
                    return same.find_map(|entry| find(&entry.1));
                }
                Node::Branch(nodes) => node = &nodes[digit(hash, depth)],
            }
            depth += 1;
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_, E> {
        let mut iter = Iter {
            levels: array::from_fn(|_| [].iter()),
            depth: 0,
            leaf: [].iter(),
            left: self.len,
        };
        iter.levels[0] = std::slice::from_ref(&self.root).iter();
        iter
    }
}

/// Prefetches a list of entries that a change will copy because a snapshot shares it.
fn before_copy<E: Entry>(entries: &mut EcoVec<(u32, E)>) {
    if !entries.is_unique() {
        read_together(entries.iter().map(|entry| entry.1.read_count()));
    }
}

/// The entries of a leaf, to be changed; copied first if a snapshot shares the leaf.
fn own_entries<E: Entry>(entries: &mut EcoVec<(u32, E)>) -> &mut [(u32, E)] {
    before_copy(entries);
    entries.make_mut()
}

/// The nodes of a branch, to be changed; copied first if a snapshot shares the branch.
fn own_nodes<E: Entry>(nodes: &mut EcoVec<Node<E>>) -> &mut [Node<E>] {
    if !nodes.is_unique() {
        read_together(nodes.iter().map(prefetch::read_node));
    }
    nodes.make_mut()
}

impl<E: Entry> Node<E> {
    /// Whether no other trie shares the node.
    fn is_unshared(&mut self) -> bool {
        match self {
            Self::Leaf(entries) => entries.is_unique(),
            Self::Branch(nodes) => nodes.is_unique(),
        }
    }

    /// Inserts an entry at a position of a leaf at this depth. The leaf is split when it has too many
    /// entries.
    fn add(&mut self, at: usize, entry: (u32, E), depth: u32) {
        let Self::Leaf(entries) = self else {
            return;
        };
        // If a snapshot shares the list, the insertion copies it, with spare capacity.
        before_copy(entries);
        entries.insert(at, entry);
        if entries.len() > LARGEST && depth < DEEPEST {
            let split = std::mem::take(entries).into_iter().collect();
            *self = Self::build(split, depth);
        }
    }
}

impl<E: Entry> HashTrie<E> {
    /// Whether most of its nodes are not shared, so that dropping it takes longer the more entries it
    /// has. Only a few nodes are sampled.
    pub(crate) fn is_mostly_unshared(&mut self) -> bool {
        let mut node = &mut self.root;
        loop {
            if !node.is_unshared() {
                return false;
            }
            let Node::Branch(nodes) = node else {
                return true;
            };
            let nodes = nodes.make_mut();
            let apart = nodes.iter_mut().map(Node::is_unshared);
            if 2 * apart.filter(|apart| *apart).count() <= WIDTH {
                return false;
            }
            match nodes
                .iter_mut()
                .find(|node| matches!(node, Node::Branch(_)))
            {
                Some(below) => node = below,
                None => return true,
            }
        }
    }

    /// The leaf for `hash`, to be changed, and its depth.
    fn leaf_mut(&mut self, hash: u32) -> (&mut Node<E>, u32) {
        let (mut node, mut depth) = (&mut self.root, 0);
        while let Node::Branch(nodes) = node {
            node = &mut own_nodes(nodes)[digit(hash, depth)];
            depth += 1;
        }
        (node, depth)
    }

    /// Inserts `entry`. If `is` accepts an entry with this hash, replaces that entry and returns it.
    pub(crate) fn insert(&mut self, hash: u32, entry: E, is: impl Fn(&E) -> bool) -> Option<E> {
        let (node, depth) = self.leaf_mut(hash);
        let Node::Leaf(entries) = node else {
            return None;
        };
        match place(entries, hash, depth, is) {
            Ok(at) => Some(std::mem::replace(&mut own_entries(entries)[at].1, entry)),
            Err(at) => {
                node.add(at, (hash, entry), depth);
                self.len += 1;
                None
            }
        }
    }

    /// Adds `entry`, even if an equal one exists.
    pub(crate) fn add(&mut self, hash: u32, entry: E) {
        let (node, depth) = self.leaf_mut(hash);
        let Node::Leaf(entries) = node else {
            return;
        };
        let begin = begin(entries, hash, depth);
        let same = entries[begin..].partition_point(|other| other.0 == hash);
        node.add(begin + same, (hash, entry), depth);
        self.len += 1;
    }

    /// The entry with this hash that `is` accepts, to be changed. Its hash must stay the same.
    pub(crate) fn get_mut(&mut self, hash: u32, is: impl Fn(&E) -> bool) -> Option<&mut E> {
        // Checked first, so that a miss copies nothing.
        self.get(hash, &is)?;
        let (node, depth) = self.leaf_mut(hash);
        let Node::Leaf(entries) = node else {
            return None;
        };
        let at = place(entries, hash, depth, is).ok()?;
        Some(&mut own_entries(entries)[at].1)
    }

    /// Removes the first entry with this hash that `is` accepts.
    pub(crate) fn remove(&mut self, hash: u32, is: impl Fn(&E) -> bool) -> Option<E> {
        // Checked first, so that a miss copies nothing.
        self.get(hash, &is)?;
        let removed = remove(&mut self.root, hash, 0, &is)?;
        self.len -= 1;
        Some(removed)
    }
}

fn remove<E: Entry>(
    node: &mut Node<E>,
    hash: u32,
    depth: u32,
    is: &impl Fn(&E) -> bool,
) -> Option<E> {
    match node {
        Node::Leaf(entries) => {
            let at = place(entries, hash, depth, is).ok()?;
            before_copy(entries);
            Some(entries.remove(at).1)
        }
        Node::Branch(nodes) => {
            let below = &mut own_nodes(nodes)[digit(hash, depth)];
            let removed = remove(below, hash, depth + 1, is)?;
            if below.is_empty() {
                // An emptied leaf keeps its allocation; a new one has none.
                *below = Node::default();
                if nodes.iter().all(Node::is_empty) {
                    *node = Node::default();
                }
            }
            Some(removed)
        }
    }
}

/// The entries, in the order of their hashes.
#[derive(Debug)]
pub(crate) struct Iter<'a, E> {
    /// For each level from the root to the current leaf, the nodes still to be visited.
    levels: [std::slice::Iter<'a, Node<E>>; DEEPEST as usize + 1],
    depth: usize,
    /// The entries that come next.
    leaf: std::slice::Iter<'a, (u32, E)>,
    left: usize,
}

impl<'a, E> Iter<'a, E> {
    /// Moves to the next leaf that is not empty, and returns its first entry.
    fn next_leaf(&mut self) -> Option<&'a E> {
        loop {
            match self.levels[self.depth].next() {
                Some(Node::Leaf(entries)) => {
                    self.leaf = entries.iter();
                    if let Some((_, entry)) = self.leaf.next() {
                        return Some(entry);
                    }
                }
                Some(Node::Branch(nodes)) => {
                    self.depth += 1;
                    self.levels[self.depth] = nodes.iter();
                }
                None => self.depth = self.depth.checked_sub(1)?,
            }
        }
    }
}

impl<'a, E> Iterator for Iter<'a, E> {
    type Item = &'a E;

    #[inline]
    fn next(&mut self) -> Option<&'a E> {
        let next = match self.leaf.next() {
            Some((_, entry)) => Some(entry),
            None => self.next_leaf(),
        };
        self.left -= usize::from(next.is_some());
        next
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<E> ExactSizeIterator for Iter<'_, E> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Half of the keys share a few hashes, so that every kind of node occurs.
    pub(super) fn hash(key: u64) -> u32 {
        match key % 4 {
            0 => 7,
            1 => (key as u32 % 3) << 30,
            _ => (key as u32).wrapping_mul(0x9e37_79b9),
        }
    }

    #[test]
    fn a_trie_has_the_entries_of_its_model_and_snapshots_do_not_change() {
        let mut random = fastrand::Rng::with_seed(0x1234_5678_9abc_def1);
        let mut trie = HashTrie::default();
        let mut model = BTreeMap::new();
        let mut snapshots = Vec::new();
        for step in 0..20_000_u64 {
            let key = random.u64(..500);
            if random.u32(..3) == 0 {
                let removed = trie.remove(hash(key), |entry: &(u64, u64)| entry.0 == key);
                assert_eq!(removed.map(|entry| entry.1), model.remove(&key));
            } else {
                let old = trie.insert(hash(key), (key, step), |entry| entry.0 == key);
                assert_eq!(old.map(|entry| entry.1), model.insert(key, step));
            }
            assert_eq!(trie.len(), model.len());
            if let Some(entry) = trie.get_mut(hash(key ^ 1), |entry| entry.0 == key ^ 1) {
                entry.1 += 1_000_000;
                *model.get_mut(&(key ^ 1)).expect("known") += 1_000_000;
            }
            if step % 1000 == 0 {
                snapshots.push((trie.clone(), model.clone()));
            }
        }
        snapshots.push((trie, model));
        for (trie, model) in snapshots {
            let hashes: Vec<u32> = (0..500).map(hash).collect();
            let mut together: Vec<_> = prefetch::find_together(&trie, &hashes);
            let each = hashes.iter().filter_map(|hash| trie.get(*hash, |_| true));
            let mut each: Vec<_> = each.collect();
            together.sort_unstable();
            each.sort_unstable();
            assert_eq!(together, each);
            let mut entries: Vec<_> = trie.iter().copied().collect();
            entries.sort_unstable();
            assert_eq!(entries, model.clone().into_iter().collect::<Vec<_>>());
            for key in 0..500 {
                let found = trie
                    .get(hash(key), |entry| entry.0 == key)
                    .map(|entry| entry.1);
                assert_eq!(found, model.get(&key).copied());
            }
        }
    }

    #[test]
    fn a_trie_with_mostly_unshared_nodes_is_recognised() {
        let keys = || (0..5000_u64).map(|key| (hash(key), (key, 0)));
        let mut trie = HashTrie::build(keys());
        assert!(trie.is_mostly_unshared());
        let mut clone = trie.clone();
        assert!(!trie.is_mostly_unshared() && !clone.is_mostly_unshared());
        let change = |trie: &mut HashTrie<(u64, u64)>, key| {
            trie.insert(hash(key), (key, 1), |entry| entry.0 == key);
        };
        (0..20).for_each(|key| change(&mut clone, key));
        assert!(!trie.is_mostly_unshared() && !clone.is_mostly_unshared());
        (0..5000).for_each(|key| change(&mut clone, key));
        assert!(trie.is_mostly_unshared() && clone.is_mostly_unshared());
    }

    #[test]
    fn an_entry_may_exist_several_times() {
        let mut trie = HashTrie::default();
        let keys = || (0..1000_u32).flat_map(|key| (0..key % 4).map(move |_| key));
        let hash = |key: u32| key.wrapping_mul(0x9e37_79b9);
        keys().for_each(|key| trie.add(hash(key), key));
        let built = HashTrie::build(keys().map(|key| (hash(key), key)));
        for mut trie in [trie, built] {
            assert_eq!(trie.len(), keys().count());
            for key in 0..1000 {
                let mut found = 0;
                let nothing: Option<()> = trie.find_map(hash(key), |other| {
                    assert_eq!(*other, key);
                    found += 1;
                    None
                });
                assert_eq!((nothing, found), (None, key % 4));
                for _ in 0..key % 4 {
                    assert_eq!(trie.remove(hash(key), |other| *other == key), Some(key));
                }
                assert_eq!(trie.remove(hash(key), |_| true), None);
            }
            assert_eq!(trie.len(), 0);
        }
    }

    #[test]
    fn an_emptied_trie_is_small_again() {
        let mut trie = HashTrie::build((0..5000_u64).map(|key| (hash(key), (key, 0))));
        assert!(matches!(trie.root, Node::Branch(_)));
        for key in 0..5000 {
            assert!(trie.remove(hash(key), |entry| entry.0 == key).is_some());
        }
        assert!(trie.root.is_empty() && trie.len() == 0);
    }
}
