//! What differs between two tries.
//!
//! Two versions of one trie share every node that no change between them touched, and a shared
//! node is stepped over without looking inside. So the difference costs what was changed, however
//! many entries there are; between two tries that share nothing it costs a walk through both.

use std::sync::Arc;

use super::{HashTrie, Node, Slot};

/// An entry that can be told from others, and from a later version of itself.
pub(crate) trait Versioned {
    /// Whether the other is an entry for the same thing, perhaps at another time.
    fn is_same(&self, other: &Self) -> bool;
    /// Whether the other is this very version.
    fn is_unchanged(&self, other: &Self) -> bool;
}

impl<E: Versioned> HashTrie<E> {
    /// Shows every entry that is in one trie only, or in another version, as the old and the new
    /// one. In no particular order.
    pub(crate) fn diff<'a>(
        old: &'a Self,
        new: &'a Self,
        each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
    ) {
        match (&old.root, &new.root) {
            (Some(old), Some(new)) => nodes(old, new, each),
            (Some(old), None) => all(old, &mut |entry| each(Some(entry), None)),
            (None, Some(new)) => all(new, &mut |entry| each(None, Some(entry))),
            (None, None) => {}
        }
    }

    /// Whether no entry differs.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let mut same = true;
        Self::diff(self, other, &mut |_, _| same = false);
        same
    }
}

/// Shows every entry below `node`.
fn all<'a, E>(node: &'a Node<E>, each: &mut impl FnMut(&'a E)) {
    match node {
        Node::Branch { slots, .. } => slots.iter().for_each(|slot| all_of(slot, each)),
        Node::Collision(entries) => entries.iter().for_each(each),
    }
}

fn all_of<'a, E>(slot: &'a Slot<E>, each: &mut impl FnMut(&'a E)) {
    match slot {
        Slot::Entry(_, entry) => each(entry),
        Slot::Node(node) => all(node, each),
    }
}

fn nodes<'a, E: Versioned>(
    old: &'a Arc<Node<E>>,
    new: &'a Arc<Node<E>>,
    each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
) {
    if Arc::ptr_eq(old, new) {
        return;
    }
    match (&**old, &**new) {
        (
            Node::Branch {
                bitmap: old_bits,
                slots: old,
            },
            Node::Branch {
                bitmap: new_bits,
                slots: new,
            },
        ) => {
            let (mut old, mut new) = (old.iter(), new.iter());
            let mut left = old_bits | new_bits;
            while left != 0 {
                let bit = left & left.wrapping_neg();
                left &= left - 1;
                // A node has a slot for each of its bits.
                let old = if old_bits & bit == 0 {
                    None
                } else {
                    old.next()
                };
                let new = if new_bits & bit == 0 {
                    None
                } else {
                    new.next()
                };
                slots(old, new, each);
            }
        }
        // Lists are at one depth, where there is nothing else; any other pair is told apart in
        // full.
        (old, new) => {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            all(old, &mut |entry| before.push(entry));
            all(new, &mut |entry| after.push(entry));
            lists(&before, &after, each);
        }
    }
}

fn slots<'a, E: Versioned>(
    old: Option<&'a Slot<E>>,
    new: Option<&'a Slot<E>>,
    each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
) {
    match (old, new) {
        (Some(Slot::Node(old)), Some(Slot::Node(new))) => nodes(old, new, each),
        (Some(Slot::Entry(_, old)), Some(Slot::Entry(_, new))) => {
            if !old.is_unchanged(new) {
                lists(&[old], &[new], each);
            }
        }
        (Some(Slot::Entry(_, old)), Some(Slot::Node(new))) => {
            let mut found = false;
            all(new, &mut |entry| {
                if !found && old.is_same(entry) {
                    found = true;
                    if !old.is_unchanged(entry) {
                        each(Some(old), Some(entry));
                    }
                } else {
                    each(None, Some(entry));
                }
            });
            if !found {
                each(Some(old), None);
            }
        }
        (Some(Slot::Node(old)), Some(Slot::Entry(_, new))) => {
            let mut found = false;
            all(old, &mut |entry| {
                if !found && new.is_same(entry) {
                    found = true;
                    if !entry.is_unchanged(new) {
                        each(Some(entry), Some(new));
                    }
                } else {
                    each(Some(entry), None);
                }
            });
            if !found {
                each(None, Some(new));
            }
        }
        (Some(old), None) => all_of(old, &mut |entry| each(Some(entry), None)),
        (None, Some(new)) => all_of(new, &mut |entry| each(None, Some(entry))),
        (None, None) => {}
    }
}

/// For short lists: every entry is looked for in the other one.
fn lists<'a, E: Versioned>(
    old: &[&'a E],
    new: &[&'a E],
    each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
) {
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
    use super::super::tests::{Numbers, hash};
    use super::*;
    use std::collections::BTreeMap;

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
        found
    }

    fn expected(old: &BTreeMap<u64, u64>, new: &BTreeMap<u64, u64>) -> Difference {
        let keys = old.keys().chain(new.keys());
        let versions = keys.map(|key| (*key, (old.get(key).copied(), new.get(key).copied())));
        versions.filter(|(_, (old, new))| old != new).collect()
    }

    #[test]
    fn the_difference_is_that_of_the_maps() {
        let mut numbers = Numbers(0x0fed_cba9_8765_4321);
        let (mut trie, mut model) = (HashTrie::default(), BTreeMap::new());
        let mut versions = vec![(trie.clone(), model.clone())];
        for step in 0..20_000_u64 {
            // Phases of growing and of shrinking, so that every shape meets every other.
            let growing = (step / 2000).is_multiple_of(2);
            let key = numbers.next() % 500;
            if numbers.next() % 4 < if growing { 1 } else { 3 } {
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
    fn tries_that_were_built_apart_are_compared_too() {
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
