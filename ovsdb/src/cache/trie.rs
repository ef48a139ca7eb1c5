//! A persistent hash trie: the map behind rows and indexes.
//!
//! A clone is one reference count, and a change copies only the few nodes on its path that a
//! snapshot still holds; nodes that nobody else holds are changed in place. So a snapshot of
//! 100,000 rows costs nothing to take, and little to keep while the writer goes on.

mod build;
mod diff;

use std::sync::Arc;

pub(crate) use self::diff::Versioned;

/// Bits of the hash that one level consumes.
const BITS: u32 = 5;
/// From this shift on the hash is used up, and entries share a list.
const EXHAUSTED: u32 = 32;

/// A set of entries found by a 32-bit hash and a predicate. The caller brings both, so that an
/// index can hash what it likes of a row without storing it.
#[derive(Debug)]
pub(crate) struct HashTrie<E> {
    root: Option<Arc<Node<E>>>,
    len: usize,
}

#[derive(Debug, Clone)]
enum Node<E> {
    /// One slot for each bit that is set, in the order of the bits.
    Branch { bitmap: u32, slots: Vec<Slot<E>> },
    /// Entries whose whole hash is the same.
    Collision(Vec<E>),
}

#[derive(Debug, Clone)]
enum Slot<E> {
    /// An entry, with its hash to tell it from others without looking into it.
    Entry(u32, E),
    Node(Arc<Node<E>>),
}

impl<E> Default for HashTrie<E> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

impl<E> Clone for HashTrie<E> {
    fn clone(&self) -> Self {
        Self {
            root: self.root.clone(),
            len: self.len,
        }
    }
}

/// The bit of the branch at `shift` that `hash` belongs to.
const fn bit(hash: u32, shift: u32) -> u32 {
    1 << ((hash >> shift) & ((1 << BITS) - 1))
}

/// Where the slot of `bit` is, or would be.
const fn position(bitmap: u32, bit: u32) -> usize {
    (bitmap & (bit - 1)).count_ones() as usize
}

impl<E> HashTrie<E> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The first entry with this hash that `is` accepts.
    pub(crate) fn get(&self, hash: u32, is: impl Fn(&E) -> bool) -> Option<&E> {
        self.find_map(hash, |entry| is(entry).then_some(entry))
    }

    /// What `find` makes of the first entry with this hash that it makes something of.
    pub(crate) fn find_map<'a, R>(
        &'a self,
        hash: u32,
        find: impl Fn(&'a E) -> Option<R>,
    ) -> Option<R> {
        let mut node = self.root.as_deref()?;
        let mut shift = 0;
        loop {
            match node {
                Node::Branch { bitmap, slots } => {
                    let bit = bit(hash, shift);
                    if bitmap & bit == 0 {
                        return None;
                    }
                    match &slots[position(*bitmap, bit)] {
                        Slot::Entry(other, entry) if *other == hash => return find(entry),
                        Slot::Entry(..) => return None,
                        Slot::Node(child) => node = child,
                    }
                    shift += BITS;
                }
                Node::Collision(entries) => return entries.iter().find_map(find),
            }
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_, E> {
        let mut iter = Iter {
            stack: Vec::new(),
            left: self.len,
        };
        iter.stack.extend(self.root.as_deref().map(Level::of));
        iter
    }
}

impl<E: Clone> HashTrie<E> {
    /// Puts `entry` in, in the place of the one that `is` accepts, which is returned.
    pub(crate) fn insert(&mut self, hash: u32, entry: E, is: impl Fn(&E) -> bool) -> Option<E> {
        let replaced = match &mut self.root {
            Some(root) => Node::insert(Arc::make_mut(root), hash, 0, entry, &is),
            None => {
                let slots = vec![Slot::Entry(hash, entry)];
                self.root = Some(Arc::new(Node::Branch {
                    bitmap: bit(hash, 0),
                    slots,
                }));
                None
            }
        };
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// The entry with this hash that `is` accepts, to be changed; not its hash.
    pub(crate) fn get_mut(&mut self, hash: u32, is: impl Fn(&E) -> bool) -> Option<&mut E> {
        // Looked up first, so that a miss copies nothing.
        self.get(hash, &is)?;
        let mut node = Arc::make_mut(self.root.as_mut()?);
        let mut shift = 0;
        loop {
            match node {
                Node::Branch { bitmap, slots } => {
                    match &mut slots[position(*bitmap, bit(hash, shift))] {
                        Slot::Entry(_, entry) => return Some(entry),
                        Slot::Node(child) => node = Arc::make_mut(child),
                    }
                    shift += BITS;
                }
                Node::Collision(entries) => return entries.iter_mut().find(|entry| is(entry)),
            }
        }
    }

    /// Takes out the entry that `is` accepts.
    pub(crate) fn remove(&mut self, hash: u32, is: impl Fn(&E) -> bool) -> Option<E> {
        // Looked up first, so that a miss copies nothing.
        self.get(hash, &is)?;
        let root = Arc::make_mut(self.root.as_mut()?);
        let removed = Node::remove(root, hash, 0, &is)?;
        self.len -= 1;
        if root.is_empty() {
            self.root = None;
        }
        Some(removed)
    }
}

impl<E: Clone> Node<E> {
    fn insert(&mut self, hash: u32, shift: u32, entry: E, is: &impl Fn(&E) -> bool) -> Option<E> {
        let (bitmap, slots) = match self {
            Self::Branch { bitmap, slots } => (bitmap, slots),
            Self::Collision(entries) => {
                return match entries.iter_mut().find(|entry| is(entry)) {
                    Some(old) => Some(std::mem::replace(old, entry)),
                    None => {
                        entries.push(entry);
                        None
                    }
                };
            }
        };
        let bit = bit(hash, shift);
        let at = position(*bitmap, bit);
        if *bitmap & bit == 0 {
            *bitmap |= bit;
            slots.insert(at, Slot::Entry(hash, entry));
            return None;
        }
        match &mut slots[at] {
            Slot::Node(child) => Arc::make_mut(child).insert(hash, shift + BITS, entry, is),
            Slot::Entry(other, old) if *other == hash && is(old) => {
                Some(std::mem::replace(old, entry))
            }
            Slot::Entry(other, old) => {
                let other = (*other, old.clone());
                slots[at] = Slot::Node(Arc::new(Self::pair(other, (hash, entry), shift + BITS)));
                None
            }
        }
    }

    /// A node that holds two entries which the levels above could not tell apart.
    fn pair(first: (u32, E), second: (u32, E), shift: u32) -> Self {
        if shift >= EXHAUSTED {
            return Self::Collision(vec![first.1, second.1]);
        }
        let (a, b) = (bit(first.0, shift), bit(second.0, shift));
        let slots = match a.cmp(&b) {
            std::cmp::Ordering::Equal => {
                vec![Slot::Node(Arc::new(Self::pair(
                    first,
                    second,
                    shift + BITS,
                )))]
            }
            std::cmp::Ordering::Less => {
                vec![
                    Slot::Entry(first.0, first.1),
                    Slot::Entry(second.0, second.1),
                ]
            }
            std::cmp::Ordering::Greater => {
                vec![
                    Slot::Entry(second.0, second.1),
                    Slot::Entry(first.0, first.1),
                ]
            }
        };
        Self::Branch {
            bitmap: a | b,
            slots,
        }
    }

    fn remove(&mut self, hash: u32, shift: u32, is: &impl Fn(&E) -> bool) -> Option<E> {
        match self {
            Self::Branch { bitmap, slots } => {
                let bit = bit(hash, shift);
                let at = position(*bitmap, bit);
                if *bitmap & bit == 0 {
                    return None;
                }
                match &mut slots[at] {
                    Slot::Entry(..) => {
                        *bitmap &= !bit;
                        match slots.remove(at) {
                            Slot::Entry(_, entry) => Some(entry),
                            Slot::Node(_) => None,
                        }
                    }
                    Slot::Node(child) => {
                        let node = Arc::make_mut(child);
                        let removed = node.remove(hash, shift + BITS, is);
                        if node.is_empty() {
                            *bitmap &= !bit;
                            slots.remove(at);
                        }
                        removed
                    }
                }
            }
            Self::Collision(entries) => {
                let at = entries.iter().position(is)?;
                Some(entries.swap_remove(at))
            }
        }
    }
}

impl<E> Node<E> {
    const fn is_empty(&self) -> bool {
        match self {
            Self::Branch { slots, .. } => slots.is_empty(),
            Self::Collision(entries) => entries.is_empty(),
        }
    }
}

#[derive(Debug)]
enum Level<'a, E> {
    Slots(std::slice::Iter<'a, Slot<E>>),
    Entries(std::slice::Iter<'a, E>),
}

impl<'a, E> Level<'a, E> {
    fn of(node: &'a Node<E>) -> Self {
        match node {
            Node::Branch { slots, .. } => Self::Slots(slots.iter()),
            Node::Collision(entries) => Self::Entries(entries.iter()),
        }
    }
}

/// The entries, in no particular order.
#[derive(Debug)]
pub(crate) struct Iter<'a, E> {
    stack: Vec<Level<'a, E>>,
    left: usize,
}

impl<'a, E> Iterator for Iter<'a, E> {
    type Item = &'a E;

    fn next(&mut self) -> Option<&'a E> {
        loop {
            let entry = match self.stack.last_mut()? {
                Level::Entries(entries) => entries.next(),
                Level::Slots(slots) => match slots.next() {
                    Some(Slot::Entry(_, entry)) => Some(entry),
                    Some(Slot::Node(node)) => {
                        self.stack.push(Level::of(node));
                        continue;
                    }
                    None => None,
                },
            };
            match entry {
                Some(entry) => {
                    self.left -= 1;
                    return Some(entry);
                }
                None => drop(self.stack.pop()),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<E> ExactSizeIterator for Iter<'_, E> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A small generator of numbers, the same in every run.
    pub(super) struct Numbers(pub(super) u64);

    impl Numbers {
        pub(super) fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
    }

    /// Few distinct hashes, so that every kind of node occurs.
    pub(super) fn hash(key: u64) -> u32 {
        match key % 4 {
            0 => 7,
            1 => (key as u32 % 3) << 30,
            _ => (key as u32).wrapping_mul(0x9e37_79b9),
        }
    }

    #[test]
    fn the_trie_is_the_map_it_stands_for_and_snapshots_do_not_change() {
        let mut numbers = Numbers(0x1234_5678_9abc_def1);
        let mut trie = HashTrie::default();
        let mut model = BTreeMap::new();
        let mut snapshots = Vec::new();
        for step in 0..20_000_u64 {
            let key = numbers.next() % 500;
            if numbers.next().is_multiple_of(3) {
                let removed = trie.remove(hash(key), |entry: &(u64, u64)| entry.0 == key);
                assert_eq!(removed.map(|entry| entry.1), model.remove(&key));
            } else {
                let old = trie.insert(hash(key), (key, step), |entry| entry.0 == key);
                assert_eq!(old.map(|entry| entry.1), model.insert(key, step));
            }
            assert_eq!(trie.len(), model.len());
            if let Some(entry) = trie.get_mut(hash(key ^ 1), |entry| entry.0 == key ^ 1) {
                entry.1 += 1_000_000;
                *model.get_mut(&(key ^ 1)).expect("known") += 1_000_000;
            }
            if step % 1000 == 0 {
                snapshots.push((trie.clone(), model.clone()));
            }
        }
        snapshots.push((trie, model));
        for (trie, model) in snapshots {
            let mut entries: Vec<_> = trie.iter().copied().collect();
            entries.sort_unstable();
            assert_eq!(entries, model.clone().into_iter().collect::<Vec<_>>());
            for key in 0..500 {
                let found = trie
                    .get(hash(key), |entry| entry.0 == key)
                    .map(|entry| entry.1);
                assert_eq!(found, model.get(&key).copied());
            }
        }
    }
}
