//! Maps.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Index;

use super::shared_slice::{IntoIter, SharedSlice};

/// A map of atoms: pairs sorted by key, in one allocation, which clones share until one of them is
/// changed (copy-on-write). A new empty map has no allocation.
///
/// ```
/// use ovsdb::{Map, Str};
///
/// let ids: Map<Str, Str> = [("pod", "true"), ("namespace", "default")].into();
/// assert_eq!(ids.get("pod").map(Str::as_str), Some("true"));
/// assert_eq!(ids["namespace"], "default");
/// assert_eq!(ids.get("node"), None);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Map<K, V>(SharedSlice<(K, V)>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(SharedSlice::default())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(key, value)| (key, value)))
            .finish()
    }
}

impl<K, V> Map<K, V> {
    /// The number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs in the order of their keys.
    pub fn iter(&self) -> MapIter<'_, K, V> {
        self.into_iter()
    }

    /// The keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> Map<K, V> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(k, _)| k.borrow().cmp(key))
    }

    /// The value of `key`; found in logarithmic time.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// Whether the map has `key`.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets the value of `key`. Returns the one that it replaces.
    pub fn insert(&mut self, key: impl Into<K>, value: impl Into<V>) -> Option<V>
    where
        K: Clone,
        V: Clone,
    {
        let (key, value) = (key.into(), value.into());
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0.make_mut()[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Removes `key`. Returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q> + Clone,
        V: Clone,
    {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Keeps the pairs for which `keep` returns true. If nothing is removed, the map stays shared with
    /// its clones.
    ///
    /// ```
    /// let mut ids: ovsdb::Map<ovsdb::Str, i64> = [("a", 1), ("b", 2)].into();
    /// ids.retain(|key, _| key != "a");
    /// assert_eq!(ids, [("b", 2)].into());
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool)
    where
        K: Clone,
        V: Clone,
    {
        let kept = self.0.iter().filter(|(key, value)| keep(key, value));
        let kept: Vec<(K, V)> = kept.cloned().collect();
        if kept.len() < self.len() {
            self.0 = kept.into();
        }
    }

    /// A map of these pairs, in any order. If pairs have the same key, the last one wins.
    fn sorted(mut pairs: Vec<(K, V)>) -> Self
    where
        K: Clone,
        V: Clone,
    {
        if !pairs.is_sorted_by(|(a, _), (b, _)| a < b) {
            // The sort is stable, so after the reversal the last of several equal keys comes first;
            // `dedup_by` keeps the first.
            pairs.reverse();
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            pairs.dedup_by(|(later, _), (kept, _)| later == kept);
        }
        Self(pairs.into())
    }

    /// Applies an update2 change: a key that is absent is added, a key with another value gets the new
    /// value, and a key with the same value is removed.
    #[must_use]
    pub(crate) fn patched(&self, changes: Self) -> Self
    where
        K: Clone,
        V: Clone + PartialEq,
    {
        let mut pairs = SharedSlice::with_capacity(self.len() + changes.len());
        let mut old = self.0.iter().peekable();
        for (key, value) in changes.0 {
            while let Some(pair) = old.next_if(|(k, _)| *k < key) {
                pairs.push(pair.clone());
            }
            match old.next_if(|(k, _)| *k == key) {
                Some((_, current)) if *current == value => {}
                _ => pairs.push((key, value)),
            }
        }
        old.for_each(|pair| pairs.push(pair.clone()));
        Self(pairs.shrunk())
    }

    /// Reads the cache line of the reference count that a clone changes.
    pub(super) fn read_count(&self) -> usize
    where
        K: Clone,
        V: Clone,
    {
        self.0.read_count()
    }

    /// A map of these pairs, which a server sent.
    pub(super) fn received(pairs: SharedSlice<(K, V)>) -> Self
    where
        K: Clone,
        V: Clone,
    {
        if pairs.is_sorted_by(|(a, _), (b, _)| a < b) {
            Self(pairs.shrunk())
        } else {
            pairs.into_iter().collect()
        }
    }
}

/// Conversions from collections of pairs whose keys and values convert into `K` and `V`, such as
/// `(&str, &str)` into strings. If pairs have the same key, the last one wins.
macro_rules! from {
    ($([$($generics:ident),*] $collection:ty;)*) => { $(
        impl<K: Ord + Clone, V: Clone, L: Into<K>, W: Into<V>, $($generics),*> From<$collection>
            for Map<K, V>
        {
            fn from(pairs: $collection) -> Self {
                pairs.into_iter().collect()
            }
        }
    )* };
}

from! {
    [] Vec<(L, W)>;
    [] BTreeMap<L, W>;
    [S] HashMap<L, W, S>;
}

impl<K: Ord + Clone, V: Clone, L: Into<K>, W: Into<V>, const N: usize> From<[(L, W); N]>
    for Map<K, V>
{
    fn from(pairs: [(L, W); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: Ord + Clone, V: Clone, L: Into<K>, W: Into<V>> FromIterator<(L, W)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (L, W)>>(pairs: I) -> Self {
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()));
        Self::sorted(pairs.collect())
    }
}

impl<K: Ord + Clone, V: Clone, L: Into<K>, W: Into<V>> Extend<(L, W)> for Map<K, V> {
    /// A key that exists already gets the new value.
    fn extend<I: IntoIterator<Item = (L, W)>>(&mut self, pairs: I) {
        let mut all = self.0.to_vec();
        let pairs = pairs.into_iter();
        all.extend(pairs.map(|(key, value)| (key.into(), value.into())));
        if all.len() > self.len() {
            *self = Self::sorted(all);
        }
    }
}

impl<K: Clone, V: Clone> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<(K, V)>;
    fn into_iter(self) -> IntoIter<(K, V)> {
        self.0.into_iter()
    }
}

/// The pairs of a [`Map`], borrowed.
///
/// ```
/// let map: ovsdb::Map<i64, bool> = [(2, true), (1, false)].into();
/// assert!(map.iter().eq([(&1, &false), (&2, &true)]));
/// ```
#[derive(Debug)]
pub struct MapIter<'a, K, V>(std::slice::Iter<'a, (K, V)>);

impl<'a, K, V> Iterator for MapIter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<K, V> ExactSizeIterator for MapIter<'_, K, V> {}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = MapIter<'a, K, V>;
    fn into_iter(self) -> Self::IntoIter {
        MapIter(self.0.iter())
    }
}

impl<Q: Ord + ?Sized, K: Ord + Borrow<Q>, V> Index<&Q> for Map<K, V> {
    type Output = V;

    /// # Panics
    /// When the map does not have the key, like the standard maps; [`get`](Map::get) returns `None`.
    #[track_caller]
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the map does not have the key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Str;

    #[test]
    fn maps_grow_and_shrink_by_many_pairs() {
        let mut map: Map<i64, i64> = [(1, 10), (2, 20)].into();
        map.extend([(2, 21), (0, 0)]);
        assert_eq!(map, [(0, 0), (1, 10), (2, 21)].into());
        map.extend(Vec::<(i64, i64)>::new());
        map.retain(|key, value| *key != 1 && *value > 0);
        assert_eq!(map, [(2, 21)].into());
    }

    #[test]
    fn a_change_adds_replaces_and_removes() {
        let map: Map<i64, i64> = [(1, 10), (3, 30), (5, 50)].into();
        let changed = map.patched([(0, 1), (1, 10), (3, 31), (9, 90)].into());
        assert_eq!(changed, [(0, 1), (3, 31), (5, 50), (9, 90)].into());
    }

    #[test]
    fn maps_are_made_of_the_standard_collections() {
        let expected: Map<Str, i64> = [("a", 1), ("b", 2)].into();
        assert_eq!(Map::from(vec![("b", 2), ("a", 7), ("a", 1)]), expected);
        assert_eq!(Map::from(BTreeMap::from([("a", 1), ("b", 2)])), expected);
        let hashed = HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(Map::from(hashed), expected);
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let map: Map<i64, i64> = [(2, 1), (1, 1), (2, 2), (1, 3)].into();
        assert_eq!(map, [(1, 3), (2, 2)].into());
    }

    #[test]
    fn keys_are_set_and_removed() {
        let mut map = Map::<i64, i64>::new();
        assert_eq!(map.insert(2_i64, 20_i64), None);
        assert_eq!(map.insert(1_i64, 10_i64), None);
        assert_eq!(map.insert(2_i64, 21_i64), Some(20));
        assert_eq!(map.remove(&1), Some(10));
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&2, &21)]);
    }
}
