//! Builds a trie from sorted entries: every node is allocated once, with its final size, and no leaf
//! grows or is split.

use ecow::EcoVec;

use super::{DEEPEST, Entry, HashTrie, LARGEST, Node, Versioned, WIDTH, digit};

impl<E: Entry> HashTrie<E> {
    /// A trie with these entries.
    pub(crate) fn build(entries: impl Iterator<Item = (u32, E)>) -> Self {
        let mut entries: Vec<_> = entries.collect();
        entries.sort_unstable_by_key(|entry| entry.0);
        Self::of_sorted(entries)
    }

    /// A trie with these entries, which are sorted by hash.
    pub(crate) fn of_sorted(entries: Vec<(u32, E)>) -> Self {
        Self {
            len: entries.len(),
            root: Node::build(entries, 0),
        }
    }
}

impl<E: Entry> Node<E> {
    /// The node at this depth for these entries, which are sorted by hash.
    pub(super) fn build(entries: Vec<(u32, E)>, depth: u32) -> Self {
        let count = entries.len();
        node(&mut entries.into_iter(), count, depth)
    }
}

/// The node for the next `count` entries.
fn node<E: Entry>(entries: &mut std::vec::IntoIter<(u32, E)>, count: usize, depth: u32) -> Node<E> {
    if count <= LARGEST || depth == DEEPEST {
        let mut leaf = EcoVec::with_capacity(count);
        leaf.extend(entries.take(count));
        return Node::Leaf(leaf);
    }
    let mut left = count;
    let nodes = (0..WIDTH).map(|value| {
        let rest = &entries.as_slice()[..left];
        let own = rest.partition_point(|entry| digit(entry.0, depth) <= value);
        left -= own;
        node(entries, own, depth + 1)
    });
    Node::Branch(nodes.collect())
}

/// An entry that occurs twice among these, which are sorted by hash.
pub(crate) fn twice<E: Versioned>(entries: &[(u32, E)]) -> Option<&E> {
    entries.iter().enumerate().find_map(|(at, (hash, entry))| {
        let same = entries[..at].iter().rev();
        let mut same = same.take_while(|other| other.0 == *hash);
        same.any(|other| other.1.is_same(entry)).then_some(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::hash;
    use super::*;

    #[test]
    fn a_built_trie_equals_one_filled_by_inserts() {
        let mut random = fastrand::Rng::with_seed(0x1357_9bdf_0246_8ace);
        for count in [0, 1, 2, 10, 500, 3000] {
            let keys: Vec<u64> = (0..count).map(|at| random.u64(..8) * 10_000 + at).collect();
            let entries = keys.iter().map(|key| (hash(*key), (*key, 1_u64)));
            let built = HashTrie::build(entries);
            let mut inserted = HashTrie::default();
            for key in &keys {
                inserted.insert(hash(*key), (*key, 1), |entry: &(u64, u64)| entry.0 == *key);
            }
            assert_eq!(built.len(), inserted.len());
            assert!(built.is_same_as(&inserted));
            for key in &keys {
                let found = built.get(hash(*key), |entry| entry.0 == *key);
                assert_eq!(found.map(|entry| entry.0), Some(*key));
            }
            assert_eq!(built.iter().count(), keys.len());
        }
    }

    #[test]
    fn a_duplicate_entry_is_found() {
        // 17 has the same hash as 5.
        let sorted = |keys: &[u64]| {
            let mut entries: Vec<_> = keys.iter().map(|key| (hash(*key), (*key, *key))).collect();
            entries.sort_by_key(|entry| entry.0);
            entries
        };
        assert_eq!(twice(&sorted(&[5, 17, 6, 7, 5])), Some(&(5, 5)));
        assert_eq!(twice(&sorted(&[5, 17, 6, 18, 7])), None);
    }
}
