//! What differs between two tries.
//!
//! Two versions of one trie share every node that no change between them touched, and a shared
//! node is stepped over without looking inside. So the difference costs what was changed, however
//! many entries there are; between two tries that share nothing it costs a walk through both.

use ecow::EcoVec;

use super::{Branch, HashTrie, Slot};

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
        branches(&old.root, &new.root, each);
    }

    /// Whether no entry differs.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let mut same = true;
        Self::diff(self, other, &mut |_, _| same = false);
        same
    }
}

/// Shows every entry in or below the slots.
fn all<'a, E>(slots: &'a [Slot<E>], each: &mut impl FnMut(&'a E)) {
    for slot in slots {
        match slot {
            Slot::Entry(_, entry) => each(entry),
            Slot::Branch(below) => all(&below.slots, each),
            Slot::Collision(entries) => entries.iter().for_each(&mut *each),
        }
    }
}

/// Whether these are one allocation, and not two that are alike.
fn is_same<T>(a: &EcoVec<T>, b: &EcoVec<T>) -> bool {
    std::ptr::eq(a.as_slice(), b.as_slice())
}

fn branches<'a, E: Versioned>(
    old: &'a Branch<E>,
    new: &'a Branch<E>,
    each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
) {
    if is_same(&old.slots, &new.slots) {
        return;
    }
    let mut left = old.bitmap | new.bitmap;
    while left != 0 {
        let bit = left & left.wrapping_neg();
        left &= left - 1;
        slots(old.slot(bit), new.slot(bit), each);
    }
}

fn slots<'a, E: Versioned>(
    old: Option<&'a Slot<E>>,
    new: Option<&'a Slot<E>>,
    each: &mut impl FnMut(Option<&'a E>, Option<&'a E>),
) {
    match (old, new) {
        (Some(Slot::Branch(old)), Some(Slot::Branch(new))) => branches(old, new, each),
        (Some(Slot::Entry(_, old)), Some(Slot::Entry(_, new))) => {
            if !old.is_unchanged(new) {
                lists(&[old], &[new], each);
            }
        }
        (Some(Slot::Entry(_, old)), Some(new)) => {
            let mut found = false;
            all(std::slice::from_ref(new), &mut |entry| {
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
        (Some(old), Some(Slot::Entry(_, new))) => {
            let mut found = false;
            all(std::slice::from_ref(old), &mut |entry| {
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
        (Some(Slot::Collision(old)), Some(Slot::Collision(new))) if is_same(old, new) => {}
        // Lists are at one depth, where there is nothing else; any other pair is told apart in
        // full.
        (Some(old), Some(new)) => {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            all(std::slice::from_ref(old), &mut |entry| before.push(entry));
            all(std::slice::from_ref(new), &mut |entry| after.push(entry));
            lists(&before, &after, each);
        }
        (Some(old), None) => all(std::slice::from_ref(old), &mut |entry| {
            each(Some(entry), None);
        }),
        (None, Some(new)) => all(std::slice::from_ref(new), &mut |entry| {
            each(None, Some(entry));
        }),
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
    use super::super::Entry;
    use super::super::tests::{Numbers, hash};
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
