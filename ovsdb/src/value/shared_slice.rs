//! The storage of the elements of sets and maps.

use std::hash::{Hash, Hasher};
use std::iter::FusedIterator;
use std::ops::Deref;

use ecow::EcoVec;

/// A slice that clones share until one of them is changed (copy-on-write). So two versions of a row
/// share the columns that did not change.
#[derive(Clone, Debug, Eq, PartialOrd, Ord)]
pub(super) struct SharedSlice<T>(EcoVec<T>);

impl<T> Default for SharedSlice<T> {
    fn default() -> Self {
        Self(EcoVec::new())
    }
}

impl<T> Deref for SharedSlice<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: PartialEq> PartialEq for SharedSlice<T> {
    fn eq(&self, other: &Self) -> bool {
        // Two versions of a row share most columns, so comparing the pointers is often enough.
        std::ptr::eq::<[T]>(&*self.0, &*other.0) || self.0 == other.0
    }
}

impl<T: Hash> Hash for SharedSlice<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T: Clone> SharedSlice<T> {
    /// An empty slice with capacity for this many elements.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(EcoVec::with_capacity(capacity))
    }

    /// Appends an element.
    #[inline]
    pub(super) fn push(&mut self, element: T) {
        self.0.push(element);
    }

    /// Inserts an element at this index.
    pub(super) fn insert(&mut self, at: usize, element: T) {
        self.0.insert(at, element);
    }

    /// Removes the element at this index.
    pub(super) fn remove(&mut self, at: usize) -> T {
        self.0.remove(at)
    }

    /// The elements, to be changed; copied first if a clone shares them.
    pub(super) fn make_mut(&mut self) -> &mut [T] {
        self.0.make_mut()
    }

    /// Reads the cache line of the reference count that a clone changes.
    pub(super) fn read_count(&self) -> usize {
        self.0.capacity()
    }

    /// Whether no clone shares the allocation.
    pub(super) fn is_unshared(&mut self) -> bool {
        self.0.is_unique()
    }

    /// The same elements in an allocation of the exact size.
    pub(super) fn shrunk(self) -> Self {
        if self.0.len() == self.0.capacity() {
            return self;
        }
        let mut exact = EcoVec::with_capacity(self.0.len());
        exact.extend(self.0);
        Self(exact)
    }
}

impl<T: Clone> From<Vec<T>> for SharedSlice<T> {
    fn from(elements: Vec<T>) -> Self {
        Self(elements.into())
    }
}

impl<T: Clone> IntoIterator for SharedSlice<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self.0.into_iter())
    }
}

/// The elements of a [`Set`](super::Set), or the pairs of a [`Map`](super::Map), in order.
///
/// ```
/// let set: ovsdb::Set<i64> = [2, 1].into();
/// assert!(set.into_iter().eq([1, 2]));
/// ```
#[derive(Debug)]
pub struct IntoIter<T>(ecow::vec::IntoIter<T>);

impl<T: Clone> Iterator for IntoIter<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T: Clone> DoubleEndedIterator for IntoIter<T> {
    fn next_back(&mut self) -> Option<T> {
        self.0.next_back()
    }
}

impl<T: Clone> ExactSizeIterator for IntoIter<T> {}
impl<T: Clone> FusedIterator for IntoIter<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_until_one_changes() {
        let first: SharedSlice<i64> = vec![1, 2].into();
        let mut second = first.clone();
        assert!(std::ptr::eq::<[i64]>(&*first, &*second));
        second.push(3);
        assert_eq!((&*first, &*second), (&[1, 2][..], &[1, 2, 3][..]));
        assert_ne!(first, second);
    }

    #[test]
    fn no_room_is_kept_beyond_the_elements() {
        let mut elements = SharedSlice::with_capacity(8);
        elements.push(String::from("one"));
        let shrunk = elements.shrunk();
        assert_eq!(
            (&*shrunk, shrunk.0.capacity()),
            (&["one".to_owned()][..], 1)
        );
    }
}
