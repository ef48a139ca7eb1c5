//! The difference between two tries.
//!
//! A trie and a clone that was changed share every node that was not changed, and shared nodes are
//! skipped. So the cost is proportional to the changes and not to the size. Nodes that are not shared
//! are walked even if their entries are equal, as in the two copies of a double-buffered table.

use ecow::EcoVec;

use super::{HashTrie, Node};

/// An entry that can be compared with other entries, and with other versions of itself.
pub(crate) trait Versioned {
    /// Whether the other one is a version of the same entry.
    fn is_same(&self, other: &Self) -> bool;
    /// Whether the other one is the same version.
    fn is_unchanged(&self, other: &Self) -> bool;
}

impl<E: Versioned> HashTrie<E> {
    /// Calls `each` with the old and the new version of every entry that differs, in no particular order.
    pub(crate) fn diff<'a>(
        old: &'a Self,
        new: &'a Self,
        each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
    ) {
        nodes(&old.root, &new.root, each);
    }

    /// Like [`diff`](Self::diff), from this trie to one that consists of `new` and of those entries of
    /// this trie whose hash is in `kept`. `kept` and `new` are sorted by hash.
    pub(crate) fn diff_sorted<'a>(
        &'a self,
        kept: &[u32],
        new: &'a [(u32, E)],
        each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
    ) {
        let (mut old, mut kept) = (Vec::new(), kept);
        entries(&self.root, &mut |entry| {
            if !is_next(&mut kept, entry.0) {
                old.push(entry);
            }
        });
        lists(old.into_iter(), new.iter(), each);
    }

    /// The entries whose hash is among `kept`, which is sorted.
    pub(crate) fn kept(&self, mut kept: &[u32]) -> Vec<(u32, E)>
    where
        E: Clone,
    {
        let mut found = Vec::with_capacity(kept.len());
        entries(&self.root, &mut |entry| {
            if is_next(&mut kept, entry.0) {
                found.push(entry.clone());
            }
        });
        found
    }

    /// Whether no entry differs.
    #[cfg(test)]
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let mut same = true;
        Self::diff(self, other, &mut |_, _| same = false);
        same
    }
}

/// Whether these share one allocation.
fn is_same<T>(a: &EcoVec<T>, b: &EcoVec<T>) -> bool {
    std::ptr::eq(a.as_slice(), b.as_slice())
}

fn nodes<'a, E: Versioned>(
    old: &'a Node<E>,
    new: &'a Node<E>,
    each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
) {
    match (old, new) {
        (Node::Branch(old), Node::Branch(new)) if is_same(old, new) => {}
        (Node::Leaf(old), Node::Leaf(new)) if is_same(old, new) => {}
        (Node::Branch(old), Node::Branch(new)) => {
            for (old, new) in old.iter().zip(new) {
                nodes(old, new, each);
            }
        }
        (Node::Leaf(old), Node::Leaf(new)) => lists(old.iter(), new.iter(), each),
        // One of them was split, or was emptied.
        (old, new) => {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            all(old, &mut before);
            all(new, &mut after);
            lists(before.into_iter(), after.into_iter(), each);
        }
    }
}

/// Appends every entry in and below the node, sorted by hash.
fn all<'a, E>(node: &'a Node<E>, found: &mut Vec<&'a (u32, E)>) {
    entries(node, &mut |entry| found.push(entry));
}

/// Calls `each` with every entry in and below the node, in the order of the hashes.
fn entries<'a, E>(node: &'a Node<E>, each: &mut impl FnMut(&'a (u32, E))) {
    match node {
        Node::Leaf(own) => own.iter().for_each(each),
        Node::Branch(nodes) => nodes.iter().for_each(|node| entries(node, each)),
    }
}

/// Whether the hash is among `hashes`, which are sorted. Drops those before it, since callers ask in the order
/// of the hashes.
fn is_next(hashes: &mut &[u32], hash: u32) -> bool {
    while let [first, rest @ ..] = *hashes
        && *first < hash
    {
        *hashes = rest;
    }
    hashes.first() == Some(&hash)
}

/// Merges two lists that are sorted by hash.
fn lists<'a, E: Versioned + 'a>(
    old: impl Iterator<Item = &'a (u32, E)>,
    new: impl Iterator<Item = &'a (u32, E)>,
    each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
) {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    let (mut before, mut after) = (Vec::new(), Vec::new());
    while let Some(hash) = match (old.peek(), new.peek()) {
        (Some(old), Some(new)) => Some(old.0.min(new.0)),
        (old, new) => old.or(new).map(|entry| entry.0),
    } {
        before.clear();
        after.clear();
        let this = |entry: &&(u32, E)| entry.0 == hash;
        before.extend(std::iter::from_fn(|| old.next_if(this)).map(|entry| &entry.1));
        after.extend(std::iter::from_fn(|| new.next_if(this)).map(|entry| &entry.1));
        of_one_hash(&before, &after, each);
    }
}

/// Compares the entries with one hash, usually a single one: each is searched for in the other list.
fn of_one_hash<'a, E: Versioned>(
    old: &[&'a E],
    new: &[&'a E],
    each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
) {
    if let ([old], [new]) = (old, new)
        && old.is_unchanged(new)
    {
        return;
    }
    for entry in old {
        match new.iter().find(|other| other.is_same(entry)) {
            Some(other) if other.is_unchanged(entry) => {}
            Some(other) => each(Some(entry), Some(other)),
            None => each(Some(entry), None),
        }
    }
    for entry in new {
        if !old.iter().any(|other| other.is_same(entry)) {
            each(None, Some(entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::super::tests::hash;
    use super::*;
    use std::collections::BTreeMap;

    impl Entry for (u64, u64) {}

    impl Versioned for (u64, u64) {
        fn is_same(&self, other: &Self) -> bool {
            self.0 == other.0
        }
        fn is_unchanged(&self, other: &Self) -> bool {
            self == other
        }
    }

    type Difference = BTreeMap<u64, (Option<u64>, Option<u64>)>;

    fn difference(old: &HashTrie<(u64, u64)>, new: &HashTrie<(u64, u64)>) -> Difference {
        let mut found = BTreeMap::new();
        HashTrie::diff(old, new, &mut |old, new| {
            let key = old.or(new).expect("one of both").0;
            let versions = (old.map(|old| old.1), new.map(|new| new.1));
            assert_eq!(found.insert(key, versions), None, "shown twice");
        });
        assert_eq!(old.is_same_as(new), found.is_empty());
        // Entries that stay, and whose hash no other entry has, may be given by their hash.
        let (mut sorted, mut again, mut kept) = (Vec::new(), BTreeMap::new(), Vec::new());
        all(&new.root, &mut sorted);
        sorted.retain(|(hash, entry)| {
            let mut same = Vec::new();
            old.find_map::<()>(*hash, |other| {
                same.push(*other);
                None
            });
            let stays = same == [*entry] && entry.0 % 5 != 0;
            kept.extend(stays.then_some(*hash));
            !stays
        });
        assert_eq!(old.kept(&kept).len(), kept.len());
        let sorted: Vec<_> = sorted.into_iter().copied().collect();
        old.diff_sorted(&kept, &sorted, &mut |old, new| {
            let key = old.or(new).expect("one of both").0;
            again.insert(key, (old.map(|old| old.1), new.map(|new| new.1)));
        });
        assert_eq!(found, again);
        found
    }

    fn expected(old: &BTreeMap<u64, u64>, new: &BTreeMap<u64, u64>) -> Difference {
        let keys = old.keys().chain(new.keys());
        let versions = keys.map(|key| (*key, (old.get(key).copied(), new.get(key).copied())));
        versions.filter(|(_, (old, new))| old != new).collect()
    }

    #[test]
    fn the_difference_is_that_of_the_maps() {
        let mut random = fastrand::Rng::with_seed(0x0fed_cba9_8765_4321);
        let (mut trie, mut model) = (HashTrie::default(), BTreeMap::new());
        let mut versions = vec![(trie.clone(), model.clone())];
        for step in 0..20_000_u64 {
            // The tries alternately grow and shrink, so that every pair of shapes occurs.
            let growing = (step / 2000).is_multiple_of(2);
            let key = random.u64(..500);
            if random.u32(..4) < if growing { 1 } else { 3 } {
                trie.remove(hash(key), |entry: &(u64, u64)| entry.0 == key);
                model.remove(&key);
            } else {
                trie.insert(hash(key), (key, step), |entry| entry.0 == key);
                model.insert(key, step);
            }
            if step % 500 < 3 {
                versions.push((trie.clone(), model.clone()));
            }
        }
        for (old, old_model) in &versions {
            for (new, new_model) in &versions {
                assert_eq!(difference(old, new), expected(old_model, new_model));
            }
        }
    }

    #[test]
    fn tries_that_share_no_nodes_are_compared_too() {
        let build = |keys: &[u64]| {
            let mut trie = HashTrie::default();
            for key in keys {
                trie.insert(hash(*key), (*key, 0), |entry: &(u64, u64)| entry.0 == *key);
            }
            trie
        };
        let keys: Vec<u64> = (0..300).collect();
        let backwards: Vec<u64> = (0..300).rev().collect();
        assert!(build(&keys).is_same_as(&build(&backwards)));
        let found = difference(&build(&keys), &build(&backwards[..299]));
        assert_eq!(found, [(0, (Some(0), None))].into());
    }
}
