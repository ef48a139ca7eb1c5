//! The rows of a hash index.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::{DeclaredIndex, Key, Keys, changed, keys_of};
use crate::cache::erased::ErasedRow;
use crate::trie::{self, Entry, HashTrie, hash_of, hash_uuid, prefetch};
use crate::value::Uuid;

/// The rows that have one key.
#[derive(Debug, Clone)]
struct Group<K> {
    key: K,
    rows: Rows,
}

impl<K: Key> Entry for Group<K> {}

/// Most keys have one row, which needs no trie.
#[derive(Debug, Clone)]
enum Rows {
    One(Uuid),
    Many(HashTrie<Uuid>),
}

fn hash_key<K: Hash + ?Sized>(key: &K) -> u32 {
    hash_of(|mut hasher| key.hash(&mut hasher))
}

/// The rows, grouped by key.
#[derive(Clone)]
pub(super) struct Groups<K: Key>(HashTrie<Group<K>>);

impl<K: Key> Default for Groups<K> {
    fn default() -> Self {
        Self(HashTrie::default())
    }
}

impl<K: Key> fmt::Debug for Groups<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups")
            .field("keys", &self.0.len())
            .finish_non_exhaustive()
    }
}

/// The rows, grouped by key, and the function that computes the keys.
pub(in crate::cache) struct HashRows<K: Key> {
    keys: Arc<Keys<K>>,
    groups: Groups<K>,
}

impl<K: Key> fmt::Debug for HashRows<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashRows")
            .field("keys", &self.groups.0.len())
            .finish_non_exhaustive()
    }
}

impl<K: Key> HashRows<K> {
    pub(super) fn new(keys: Arc<Keys<K>>) -> Self {
        Self {
            keys,
            groups: Groups::default(),
        }
    }

    pub(super) fn is_by(&self, keys: &Arc<Keys<K>>) -> bool {
        Arc::ptr_eq(&self.keys, keys)
    }

    /// The uuids of the rows with this key.
    pub(in crate::cache) fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Found<'_>
    where
        K: Borrow<Q>,
    {
        self.groups.find(key)
    }

    /// For prefetching: the uuids of the rows with these keys, without the keys that have several rows.
    /// Where two keys have the same hash, the row may be that of the other key. All keys are searched
    /// together, so that cache misses overlap.
    pub(in crate::cache) fn find_together<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k K>,
    ) -> impl Iterator<Item = Uuid> {
        let hashes: Vec<u32> = keys.into_iter().map(hash_key).collect();
        let groups = prefetch::find_together(&self.groups.0, &hashes);
        groups.into_iter().filter_map(|group| match group.rows {
            Rows::One(uuid) => Some(uuid),
            Rows::Many(_) => None,
        })
    }
}

impl<K: Key> Groups<K> {
    /// The uuids of the rows with this key.
    pub(super) fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Found<'_>
    where
        K: Borrow<Q>,
    {
        let group = self.0.get(hash_key(key), |group| group.key.borrow() == key);
        match group.map(|group| &group.rows) {
            None => Found::One(None),
            Some(Rows::One(uuid)) => Found::One(Some(*uuid)),
            Some(Rows::Many(rows)) => Found::Many(rows.iter()),
        }
    }

    pub(super) fn add(&mut self, key: &K, uuid: Uuid) {
        let hash = hash_key(key);
        let Some(group) = self.0.get_mut(hash, |group| group.key == *key) else {
            let group = Group {
                key: key.clone(),
                rows: Rows::One(uuid),
            };
            self.0.add(hash, group);
            return;
        };
        match &mut group.rows {
            Rows::One(other) if *other == uuid => {}
            Rows::One(other) => {
                let mut rows = HashTrie::default();
                for uuid in [*other, uuid] {
                    rows.add(hash_uuid(uuid), uuid);
                }
                group.rows = Rows::Many(rows);
            }
            Rows::Many(rows) => {
                rows.insert(hash_uuid(uuid), uuid, |other| *other == uuid);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K, uuid: Uuid) {
        let hash = hash_key(key);
        let empty = match self.0.get_mut(hash, |group| group.key == *key) {
            None => false,
            Some(group) => match &mut group.rows {
                Rows::One(other) => *other == uuid,
                Rows::Many(rows) => {
                    rows.remove(hash_uuid(uuid), |other| *other == uuid);
                    rows.len() == 0
                }
            },
        };
        if empty {
            self.0.remove(hash, |group| group.key == *key);
        }
    }
}

impl<K: Key> DeclaredIndex for HashRows<K> {
    fn change(&mut self, uuid: Uuid, old: Option<&dyn ErasedRow>, new: Option<&dyn ErasedRow>) {
        let keys = self.keys.clone();
        let (old, new) = (keys_of(&*keys, old), keys_of(&*keys, new));
        let (removed, added) = changed(&old, &new);
        removed.iter().for_each(|key| self.groups.remove(key, uuid));
        added.iter().for_each(|key| self.groups.add(key, uuid));
    }

    fn emptied(&self) -> Box<dyn DeclaredIndex> {
        Box::new(Self::new(self.keys.clone()))
    }

    fn shared(&self) -> Box<dyn DeclaredIndex> {
        Box::new(Self {
            keys: self.keys.clone(),
            groups: self.groups.clone(),
        })
    }
}

/// The uuids that were found.
#[derive(Debug)]
pub(in crate::cache) enum Found<'a> {
    One(Option<Uuid>),
    Many(trie::Iter<'a, Uuid>),
}

impl Iterator for Found<'_> {
    type Item = Uuid;

    fn next(&mut self) -> Option<Uuid> {
        match self {
            Self::One(uuid) => uuid.take(),
            Self::Many(rows) => rows.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::One(uuid) => (
                usize::from(uuid.is_some()),
                Some(usize::from(uuid.is_some())),
            ),
            Self::Many(rows) => rows.size_hint(),
        }
    }
}

impl ExactSizeIterator for Found<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_added_twice_is_found_once() {
        let mut groups: Groups<u32> = Groups::default();
        let uuid = Uuid::from_u128;
        for (rows, expected) in [(1, 1), (1, 1), (2, 2), (2, 2), (1, 2), (3, 3)] {
            groups.add(&7, uuid(rows));
            assert_eq!(groups.find(&7).count(), expected, "after {rows}");
        }
        assert_eq!(groups.find(&8).count(), 0);
        for (rows, expected) in [(2, 2), (2, 2), (1, 1), (3, 0)] {
            groups.remove(&7, uuid(rows));
            assert_eq!(groups.find(&7).count(), expected, "without {rows}");
        }
    }
}
