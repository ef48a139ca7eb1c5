//! Sets.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::ops::Deref;

use super::shared_slice::{IntoIter, SharedSlice};

/// A set of atoms: sorted and distinct, in one allocation, which clones share until one of them is
/// changed (copy-on-write). A new empty set has no allocation. In a replica, rows with the same set of
/// references usually share it.
///
/// It dereferences to a sorted slice. Build it from an iterator: an insert into a large set moves all
/// elements after the new one.
///
/// ```
/// use ovsdb::{Set, Str};
///
/// let set: Set<Str> = ["b", "a", "b"].into();
/// assert_eq!(set.len(), 2);
/// assert!(set.contains("a"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set<T>(SharedSlice<T>);

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(SharedSlice::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&*self.0).finish()
    }
}

impl<T> Deref for Set<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Ord> Set<T> {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the set contains `value`; found in logarithmic time.
    #[must_use]
    pub fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        self.0
            .binary_search_by(|item| item.borrow().cmp(value))
            .is_ok()
    }

    /// Adds `value`. Returns false if the set contained it already.
    pub fn insert(&mut self, value: impl Into<T>) -> bool
    where
        T: Clone,
    {
        let value = value.into();
        match self.0.binary_search(&value) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, value);
                true
            }
        }
    }

    /// Removes `value`. Returns false if the set did not contain it.
    pub fn remove<Q: Ord + ?Sized>(&mut self, value: &Q) -> bool
    where
        T: std::borrow::Borrow<Q> + Clone,
    {
        match self.0.binary_search_by(|item| item.borrow().cmp(value)) {
            Ok(at) => {
                self.0.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// Keeps the elements for which `keep` returns true. If nothing is removed, the set stays shared
    /// with its clones.
    ///
    /// ```
    /// let mut tags: ovsdb::Set<i64> = [1, 2, 3].into();
    /// tags.retain(|tag| *tag != 2);
    /// assert_eq!(tags, [1, 3].into());
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool)
    where
        T: Clone,
    {
        let kept: Vec<T> = self.iter().filter(|item| keep(item)).cloned().collect();
        if kept.len() < self.len() {
            self.0 = kept.into();
        }
    }

    /// The elements of `self` that `other` does not contain, in order.
    ///
    /// ```
    /// let (old, new): (ovsdb::Set<i64>, ovsdb::Set<i64>) = ([1, 2].into(), [2, 3].into());
    /// assert!(new.difference(&old).eq(&[3]));
    /// assert!(old.difference(&new).eq(&[1]));
    /// ```
    pub fn difference(&self, other: &Self) -> impl Iterator<Item = &T> {
        self.iter().filter(|item| !other.contains(*item))
    }

    /// A set of these elements, in any order.
    fn sorted(mut items: Vec<T>) -> Self
    where
        T: Clone,
    {
        if !items.is_sorted_by(|a, b| a < b) {
            items.sort_unstable();
            items.dedup();
        }
        Self(items.into())
    }

    /// The symmetric difference, by which an update2 message changes a set.
    #[must_use]
    pub(crate) fn toggled(&self, changes: &Self) -> Self
    where
        T: Clone,
    {
        let mut out = SharedSlice::with_capacity(self.len() + changes.len());
        let (mut old, mut new) = (self.iter().peekable(), changes.iter().peekable());
        loop {
            let next = match (old.peek(), new.peek()) {
                (Some(a), Some(b)) => match a.cmp(b) {
                    std::cmp::Ordering::Less => old.next(),
                    std::cmp::Ordering::Greater => new.next(),
                    std::cmp::Ordering::Equal => {
                        old.next();
                        new.next();
                        continue;
                    }
                },
                (Some(_), None) => old.next(),
                (None, _) => new.next(),
            };
            match next {
                Some(item) => out.push(item.clone()),
                None => break,
            }
        }
        Self(out.shrunk())
    }

    /// Reads the cache line of the reference count that a clone changes.
    pub(super) fn read_count(&self) -> usize
    where
        T: Clone,
    {
        self.0.read_count()
    }

    /// Whether no clone shares the allocation.
    pub(super) fn is_unshared(&mut self) -> bool
    where
        T: Clone,
    {
        self.0.is_unshared()
    }

    /// A set of these elements, which a server sent.
    pub(super) fn received(elements: SharedSlice<T>) -> Self
    where
        T: Clone,
    {
        // Servers send sets sorted, usually in the same order as here.
        if elements.is_sorted_by(|a, b| a < b) {
            Self(elements.shrunk())
        } else {
            elements.into_iter().collect()
        }
    }
}

/// Conversions from collections whose elements convert into `T`, such as `&str` into `Str`.
macro_rules! from {
    ($([$($generics:ident),*] $collection:ty;)*) => { $(
        impl<T: Ord + Clone, U: Into<T>, $($generics),*> From<$collection> for Set<T> {
            fn from(items: $collection) -> Self {
                items.into_iter().collect()
            }
        }
    )* };
}

from! {
    [] Vec<U>;
    [] BTreeSet<U>;
    [S] HashSet<U, S>;
}

impl<T: Ord + Clone, U: Into<T>, const N: usize> From<[U; N]> for Set<T> {
    fn from(items: [U; N]) -> Self {
        items.into_iter().collect()
    }
}

impl<T: Ord + Clone, U: Into<T>> FromIterator<U> for Set<T> {
    fn from_iter<I: IntoIterator<Item = U>>(items: I) -> Self {
        Self::sorted(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Ord + Clone, U: Into<T>> Extend<U> for Set<T> {
    fn extend<I: IntoIterator<Item = U>>(&mut self, items: I) {
        let mut all = self.to_vec();
        all.extend(items.into_iter().map(Into::into));
        if all.len() > self.len() {
            *self = Self::sorted(all);
        }
    }
}

impl<T: Clone> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    fn into_iter(self) -> IntoIter<T> {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Str;

    #[test]
    fn sets_grow_and_shrink_by_many_elements() {
        let mut set: Set<i64> = [5, 1].into();
        set.extend([3, 5, 3]);
        assert_eq!(*set, [1, 3, 5]);
        set.extend(Vec::<i64>::new());
        set.retain(|item| *item > 1);
        assert_eq!(*set, [3, 5]);
        set.retain(|_| true);
        assert!(set.difference(&[5, 7].into()).eq(&[3]));
        set.retain(|_| false);
        assert!(set.is_empty());
    }

    #[test]
    fn sets_are_made_of_the_standard_collections() {
        let expected: Set<Str> = ["a", "b"].into();
        assert_eq!(Set::from(vec!["b", "a", "b"]), expected);
        assert_eq!(Set::from(vec![Str::from("b"), Str::from("a")]), expected);
        assert_eq!(Set::from(BTreeSet::from(["a", "b"])), expected);
        assert_eq!(
            Set::from(HashSet::from(["a".to_owned(), "b".to_owned()])),
            expected
        );
        assert_eq!(["b", "a"].iter().copied().collect::<Set<Str>>(), expected);
    }

    #[test]
    fn a_change_toggles_each_of_its_elements() {
        let set: Set<i64> = [1, 3, 5].into();
        assert_eq!(set.toggled(&[3, 4].into()), [1, 4, 5].into());
        assert_eq!(set.toggled(&[1, 3, 5].into()), Set::new());
        assert_eq!(Set::new().toggled(&set), set);
        assert_eq!(set.toggled(&Set::new()), set);
    }

    #[test]
    fn sets_stay_sorted_and_unique() {
        let mut set: Set<i64> = [3, 1, 3].into();
        assert!(set.insert(2_i64));
        assert!(!set.insert(2_i64));
        assert_eq!(*set, [1, 2, 3]);
        assert!(set.remove(&1));
        assert!(!set.remove(&1));
        assert_eq!(*set, [2, 3]);
    }
}
