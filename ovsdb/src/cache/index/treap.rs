//! A persistent treap that stores the size of each subtree: the sorted set that ordered indexes use.
//!
//! As in the trie, a clone costs one reference count, and a change copies only those nodes on its path
//! that are shared (copy-on-write). Random priorities balance the tree for any order of inserts.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::value::Uuid;

type Link<K> = Option<Arc<Node<K>>>;

#[derive(Debug, Clone)]
struct Node<K> {
    key: K,
    uuid: Uuid,
    /// At least the priority of each child (heap order).
    priority: u32,
    /// The number of nodes in this subtree.
    size: usize,
    left: Link<K>,
    right: Link<K>,
}

/// A sorted set of pairs of a key and a uuid.
#[derive(Debug)]
pub(super) struct Treap<K> {
    root: Link<K>,
}

impl<K> Default for Treap<K> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<K> Clone for Treap<K> {
    fn clone(&self) -> Self {
        Self {
            root: self.root.clone(),
        }
    }
}

fn size<K>(link: &Link<K>) -> usize {
    link.as_ref().map_or(0, |node| node.size)
}

impl<K> Node<K> {
    fn resize(&mut self) {
        self.size = 1 + size(&self.left) + size(&self.right);
    }
}

impl<K: Ord> Node<K> {
    fn compare(&self, key: &K, uuid: Uuid) -> Ordering {
        self.key.cmp(key).then_with(|| self.uuid.cmp(&uuid))
    }
}

/// Splits a tree in two: the pairs before this one, and those after it.
fn split<K: Ord + Clone>(link: Link<K>, key: &K, uuid: Uuid) -> (Link<K>, Link<K>) {
    let Some(mut node) = link else {
        return (None, None);
    };
    let inner = Arc::make_mut(&mut node);
    if inner.compare(key, uuid).is_lt() {
        let (left, right) = split(inner.right.take(), key, uuid);
        inner.right = left;
        inner.resize();
        (Some(node), right)
    } else {
        let (left, right) = split(inner.left.take(), key, uuid);
        inner.left = right;
        inner.resize();
        (left, Some(node))
    }
}

/// Joins two trees; every pair of the first is before every pair of the second.
fn join<K: Clone>(left: Link<K>, right: Link<K>) -> Link<K> {
    match (left, right) {
        (Some(mut left), Some(right)) if left.priority >= right.priority => {
            let inner = Arc::make_mut(&mut left);
            inner.right = join(inner.right.take(), Some(right));
            inner.resize();
            Some(left)
        }
        (Some(left), Some(mut right)) => {
            let inner = Arc::make_mut(&mut right);
            inner.left = join(Some(left), inner.left.take());
            inner.resize();
            Some(right)
        }
        (left, right) => left.or(right),
    }
}

fn insert<K: Ord + Clone>(link: Link<K>, mut new: Node<K>) -> Arc<Node<K>> {
    match link {
        Some(mut node) if node.priority >= new.priority => {
            let inner = Arc::make_mut(&mut node);
            let side = if inner.compare(&new.key, new.uuid).is_lt() {
                &mut inner.right
            } else {
                &mut inner.left
            };
            *side = Some(insert(side.take(), new));
            inner.resize();
            node
        }
        link => {
            (new.left, new.right) = split(link, &new.key, new.uuid);
            new.resize();
            Arc::new(new)
        }
    }
}

fn remove<K: Ord + Clone>(link: &mut Link<K>, key: &K, uuid: Uuid) {
    let Some(node) = link else { return };
    let inner = Arc::make_mut(node);
    match inner.compare(key, uuid) {
        Ordering::Less => remove(&mut inner.right, key, uuid),
        Ordering::Greater => remove(&mut inner.left, key, uuid),
        Ordering::Equal => {
            *link = join(inner.left.take(), inner.right.take());
            return;
        }
    }
    inner.resize();
}

impl<K> Treap<K> {
    pub(super) fn len(&self) -> usize {
        size(&self.root)
    }
}

impl<K: Ord + Clone> Treap<K> {
    fn contains(&self, key: &K, uuid: Uuid) -> bool {
        let mut link = &self.root;
        while let Some(node) = link {
            link = match node.compare(key, uuid) {
                Ordering::Less => &node.right,
                Ordering::Greater => &node.left,
                Ordering::Equal => return true,
            };
        }
        false
    }

    pub(super) fn insert(&mut self, key: K, uuid: Uuid, priority: u32) {
        if self.contains(&key, uuid) {
            return;
        }
        let new = Node {
            key,
            uuid,
            priority,
            size: 1,
            left: None,
            right: None,
        };
        self.root = Some(insert(self.root.take(), new));
    }

    pub(super) fn remove(&mut self, key: &K, uuid: Uuid) {
        // Checked first, so that a miss copies nothing.
        if self.contains(key, uuid) {
            remove(&mut self.root, key, uuid);
        }
    }

    /// The pairs whose keys are in the range, in order.
    pub(super) fn range<Q: Ord + ?Sized>(&self, range: &impl RangeBounds<Q>) -> Range<'_, K>
    where
        K: Borrow<Q>,
    {
        let is_before = |key: &K| match range.start_bound() {
            Bound::Included(start) => key.borrow() < start,
            Bound::Excluded(start) => key.borrow() <= start,
            Bound::Unbounded => false,
        };
        let is_after = |key: &K| match range.end_bound() {
            Bound::Included(end) => key.borrow() > end,
            Bound::Excluded(end) => key.borrow() >= end,
            Bound::Unbounded => false,
        };
        // The stack for each end holds the nodes on the path to that end, without those beyond it.
        // `left` stops the iteration at the other end.
        let (mut front, mut before) = (Path::new(), 0);
        let mut link = &self.root;
        while let Some(node) = link {
            link = if is_before(&node.key) {
                before += 1 + size(&node.left);
                &node.right
            } else {
                front.push(&**node);
                &node.left
            };
        }
        let (mut back, mut after) = (Path::new(), 0);
        let mut link = &self.root;
        while let Some(node) = link {
            link = if is_after(&node.key) {
                after += 1 + size(&node.right);
                &node.left
            } else {
                back.push(&**node);
                &node.right
            };
        }
        Range {
            front,
            back,
            // If the range's end is before its start, the two counts may exceed the size.
            left: self.len().saturating_sub(before + after),
        }
    }
}

/// A path of nodes, from the root down. Up to 64 nodes are stored in place, and a treap of a million
/// pairs is rarely deeper. A longer path is allocated.
type Path<'a, K> = SmallVec<[&'a Node<K>; 64]>;

/// Pairs in order.
#[derive(Debug)]
pub(in crate::cache) struct Range<'a, K> {
    /// The stack of the iteration from the front: the last node is next.
    front: Path<'a, K>,
    back: Path<'a, K>,
    left: usize,
}

impl<'a, K> Iterator for Range<'a, K> {
    type Item = (&'a K, Uuid);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let node = self.front.pop()?;
        let mut link = &node.right;
        while let Some(below) = link {
            self.front.push(below);
            link = &below.left;
        }
        Some((&node.key, node.uuid))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<K> DoubleEndedIterator for Range<'_, K> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let node = self.back.pop()?;
        let mut link = &node.left;
        while let Some(below) = link {
            self.back.push(below);
            link = &below.right;
        }
        Some((&node.key, node.uuid))
    }
}

impl<K> ExactSizeIterator for Range<'_, K> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn pairs(treap: &Treap<u64>, range: impl RangeBounds<u64>) -> Vec<(u64, Uuid)> {
        let forward: Vec<_> = treap
            .range(&range)
            .map(|(key, uuid)| (*key, uuid))
            .collect();
        let mut backward: Vec<_> = treap
            .range(&range)
            .rev()
            .map(|(k, uuid)| (*k, uuid))
            .collect();
        backward.reverse();
        assert_eq!(forward, backward);
        assert_eq!(treap.range(&range).len(), forward.len());
        // Taken from both ends at once, each pair is yielded once.
        let (mut both, mut back) = (Vec::new(), Vec::new());
        let mut ends = treap.range(&range);
        while let Some((key, uuid)) = ends.next() {
            both.push((*key, uuid));
            back.extend(ends.next_back().map(|(key, uuid)| (*key, uuid)));
        }
        back.reverse();
        both.extend(back);
        assert_eq!(forward, both);
        forward
    }

    #[test]
    fn a_treap_has_the_entries_of_its_model_and_snapshots_do_not_change() {
        let mut random = fastrand::Rng::with_seed(0x1234_5678_9abc_def1);
        let (mut treap, mut model) = (Treap::default(), BTreeSet::new());
        let mut snapshots = Vec::new();
        for step in 0..20_000 {
            let (key, uuid) = (random.u64(..50), random.u32(..10));
            let uuid = Uuid::from_u128(uuid.into());
            if random.bool() {
                treap.remove(&key, uuid);
                model.remove(&(key, uuid));
            } else {
                treap.insert(key, uuid, random.u32(..));
                model.insert((key, uuid));
            }
            assert_eq!(treap.len(), model.len());
            if step % 1000 == 0 {
                snapshots.push((treap.clone(), model.clone()));
            }
        }
        snapshots.push((treap, model));
        for (treap, model) in snapshots {
            let expected = |range: &dyn Fn(u64) -> bool| {
                let pairs = model.iter().copied().filter(|(key, _)| range(*key));
                pairs.collect::<Vec<_>>()
            };
            assert_eq!(pairs(&treap, ..), expected(&|_| true));
            assert_eq!(pairs(&treap, 10..20), expected(&|k| (10..20).contains(&k)));
            assert_eq!(
                pairs(&treap, 10..=20),
                expected(&|k| (10..=20).contains(&k))
            );
            assert_eq!(pairs(&treap, 45..), expected(&|k| k >= 45));
            assert_eq!(pairs(&treap, ..3), expected(&|k| k < 3));
            assert_eq!(pairs(&treap, 7..=7), expected(&|k| k == 7));
            let excluded = (Bound::Excluded(5), Bound::Excluded(7));
            assert_eq!(pairs(&treap, excluded), expected(&|k| k == 6));
            #[expect(
                clippy::reversed_empty_ranges,
                reason = "a program may pass such a range"
            )]
            let reversed = pairs(&treap, 20..10);
            assert!(reversed.is_empty());
            assert!(pairs(&treap, 1000..).is_empty());
        }
    }
}
