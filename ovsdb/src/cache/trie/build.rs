//! Building a trie at once: every node at its size, and none looked for.

use ecow::EcoVec;

use super::{BITS, Branch, EXHAUSTED, Entry, HashTrie, Slot, Versioned, bit};

/// The digits of a hash, the first one highest: the order of the entries in a trie.
const fn order(hash: u32) -> u32 {
    let mut order = 0;
    let mut shift = 0;
    while shift < EXHAUSTED {
        let bits = if EXHAUSTED - shift < BITS {
            EXHAUSTED - shift
        } else {
            BITS
        };
        order = order << bits | (hash >> shift) & ((1 << bits) - 1);
        shift += BITS;
    }
    order
}

impl<E: Entry> HashTrie<E> {
    /// The trie of these entries, no two of which are the same.
    pub(crate) fn build(entries: impl Iterator<Item = (u32, E)>) -> Self {
        let mut entries: Vec<_> = entries
            .map(|(hash, entry)| (order(hash), hash, entry))
            .collect();
        entries.sort_unstable_by_key(|entry| entry.0);
        let len = entries.len();
        Self {
            root: branch(&mut entries.into_iter(), len, 0),
            len,
        }
    }
}

/// What holds the next `count` entries, which the levels above cannot tell apart.
fn slot<E: Entry>(
    entries: &mut std::vec::IntoIter<(u32, u32, E)>,
    count: usize,
    shift: u32,
) -> Slot<E> {
    if shift >= EXHAUSTED {
        return Slot::Collision(entries.take(count).map(|(_, _, entry)| entry).collect());
    }
    Slot::Branch(branch(entries, count, shift))
}

/// The node of the next `count` entries.
fn branch<E: Entry>(
    entries: &mut std::vec::IntoIter<(u32, u32, E)>,
    count: usize,
    shift: u32,
) -> Branch<E> {
    let mut bitmap = 0_u64;
    for (_, hash, _) in &entries.as_slice()[..count] {
        bitmap |= bit(*hash, shift);
    }
    let mut slots = EcoVec::with_capacity(bitmap.count_ones() as usize);
    let mut left = count;
    while left > 0 {
        let rest = &entries.as_slice()[..left];
        let first = bit(rest[0].1, shift);
        let same = rest
            .iter()
            .take_while(|(_, hash, _)| bit(*hash, shift) == first)
            .count();
        left -= same;
        if same == 1 {
            let next = entries.next();
            slots.extend(next.map(|(_, hash, entry)| Slot::Entry(hash, entry)));
        } else {
            slots.push(slot(entries, same, shift + BITS));
        }
    }
    Branch { bitmap, slots }
}

impl<E: Versioned> HashTrie<E> {
    /// An entry that is in the trie twice, which one that was built may have.
    pub(crate) fn twice(&self) -> Option<&E> {
        twice(&self.root.slots)
    }
}

fn twice<E: Versioned>(slots: &[Slot<E>]) -> Option<&E> {
    slots.iter().find_map(|slot| match slot {
        Slot::Entry(..) => None,
        Slot::Branch(below) => twice(&below.slots),
        Slot::Collision(entries) => entries.iter().enumerate().find_map(|(at, entry)| {
            let same = |other: &E| other.is_same(entry);
            entries[..at].iter().any(same).then_some(entry)
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Numbers, hash};
    use super::*;

    #[test]
    fn what_is_built_is_what_is_inserted() {
        let mut numbers = Numbers(0x1357_9bdf_0246_8ace);
        for count in [0, 1, 2, 10, 500, 3000] {
            let keys: Vec<u64> = (0..count)
                .map(|at| numbers.next() % 8 * 10_000 + at)
                .collect();
            let entries = keys.iter().map(|key| (hash(*key), (*key, 1_u64)));
            let built = HashTrie::build(entries);
            let mut inserted = HashTrie::default();
            for key in &keys {
                inserted.insert(hash(*key), (*key, 1), |entry: &(u64, u64)| entry.0 == *key);
            }
            assert_eq!(built.len(), inserted.len());
            assert!(built.is_same_as(&inserted) && built.twice().is_none());
            for key in &keys {
                let found = built.get(hash(*key), |entry| entry.0 == *key);
                assert_eq!(found.map(|entry| entry.0), Some(*key));
            }
            assert_eq!(built.iter().count(), keys.len());
        }
    }

    #[test]
    fn an_entry_that_is_there_twice_is_found() {
        let entries = [5, 6, 7, 5].map(|key| (hash(key), (key, key)));
        let trie = HashTrie::build(entries.into_iter());
        assert_eq!(trie.twice(), Some(&(5, 5)));
    }
}
