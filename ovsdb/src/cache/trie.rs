//! A persistent hash trie: the map behind rows and indexes.
//!
//! A clone is one reference count, and a change copies only the few nodes on its path that a
//! snapshot still holds; nodes that nobody else holds are changed in place. So a snapshot of
//! 100,000 rows costs nothing to take, and little to keep while the writer goes on.
//!
//! What a walk costs is the memory that it has to wait for. A node is one allocation, and which
//! slots it has stands beside the reference to it: one line of it is read at each level.

mod build;
mod diff;

use std::array;
use std::hint::black_box;

use ecow::EcoVec;

pub(crate) use self::diff::Versioned;

/// Bits of the hash that one level consumes.
const BITS: u32 = 6;
/// From this shift on the hash is used up, and entries share a list.
const EXHAUSTED: u32 = 32;
/// The most nodes that are above one another, with the list below them.
const DEPTH: usize = EXHAUSTED.div_ceil(BITS) as usize + 1;

/// What a trie holds.
pub(crate) trait Entry: Clone {
    /// Reads the memory that a clone changes, and returns whatever. Before many are cloned this
    /// is done for all of them: reads do not wait for one another, as reference counts do.
    fn warm(&self) -> usize {
        0
    }
}

/// A set of entries found by a 32-bit hash and a predicate. The caller brings both, so that an
/// index can hash what it likes of a row without storing it.
#[derive(Debug, Clone)]
pub(crate) struct HashTrie<E> {
    root: Branch<E>,
    len: usize,
}

/// A node: one slot for each bit that is set, in the order of the bits.
#[derive(Debug, Clone)]
struct Branch<E> {
    bitmap: u64,
    slots: EcoVec<Slot<E>>,
}

#[derive(Debug, Clone)]
enum Slot<E> {
    /// An entry, with its hash to tell it from others without looking into it.
    Entry(u32, E),
    /// A node below.
    Branch(Branch<E>),
    /// Entries whose whole hash is the same.
    Collision(EcoVec<E>),
}

impl<E> Default for HashTrie<E> {
    fn default() -> Self {
        Self {
            root: Branch {
                bitmap: 0,
                slots: EcoVec::new(),
            },
            len: 0,
        }
    }
}

impl<E> Branch<E> {
    /// The slot of this bit, if there is one.
    fn slot(&self, bit: u64) -> Option<&Slot<E>> {
        if self.bitmap & bit == 0 {
            return None;
        }
        self.slots.get(position(self.bitmap, bit))
    }
}

/// The bit of the branch at `shift` that `hash` belongs to.
const fn bit(hash: u32, shift: u32) -> u64 {
    1 << ((hash >> shift) & ((1 << BITS) - 1))
}

/// Where the slot of `bit` is, or would be.
const fn position(bitmap: u64, bit: u64) -> usize {
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
        let (mut branch, mut shift) = (&self.root, 0);
        loop {
            match branch.slot(bit(hash, shift))? {
                Slot::Entry(other, entry) if *other == hash => return find(entry),
                Slot::Entry(..) => return None,
                Slot::Branch(below) => branch = below,
                Slot::Collision(entries) => return entries.iter().find_map(find),
            }
            shift += BITS;
        }
    }

    /// The first entry with each of these hashes, as far as there is one; level by level for all
    /// of them, so that no walk waits for the memory of another. What a change of the entries
    /// reads and writes of the nodes is read too.
    pub(crate) fn find_together(&self, hashes: &[u32]) -> Vec<&E> {
        let mut branches: Vec<_> = hashes.iter().map(|hash| (*hash, &self.root)).collect();
        let mut slots = Vec::with_capacity(hashes.len());
        let mut found = Vec::with_capacity(hashes.len());
        let mut shift = 0;
        while !branches.is_empty() {
            slots.clear();
            slots.extend(branches.iter().filter_map(|(hash, branch)| {
                let slot = branch.slot(bit(*hash, shift))?;
                Some((*hash, slot))
            }));
            read_together(branches.iter().map(|(_, branch)| branch.slots.capacity()));
            let is_entry = |slot: &Slot<E>| usize::from(matches!(slot, Slot::Entry(..)));
            read_together(slots.iter().map(|(_, slot)| is_entry(slot)));
            branches.clear();
            for (hash, slot) in &slots {
                match slot {
                    Slot::Entry(other, entry) if other == hash => found.push(entry),
                    Slot::Entry(..) => {}
                    Slot::Branch(below) => branches.push((*hash, below)),
                    Slot::Collision(entries) => found.extend(entries.first()),
                }
            }
            shift += BITS;
        }
        found
    }

    pub(crate) fn iter(&self) -> Iter<'_, E> {
        let mut iter = Iter {
            levels: array::from_fn(|_| [].iter()),
            depth: 0,
            list: [].iter(),
            left: self.len,
        };
        iter.levels[0] = self.root.slots.iter();
        iter
    }
}

/// Has memory read, whatever is in it: many reads wait for it together.
pub(crate) fn read_together(reads: impl Iterator<Item = usize>) {
    black_box(reads.fold(0, usize::wrapping_add));
}

/// Before the slots of a node change: they are copied, if a snapshot has the node too.
fn before_copy<E: Entry>(slots: &mut EcoVec<Slot<E>>) {
    if !slots.is_unique() {
        read_together(slots.iter().map(|slot| match slot {
            Slot::Entry(_, entry) => entry.warm(),
            Slot::Branch(below) => below.slots.capacity(),
            Slot::Collision(entries) => entries.capacity(),
        }));
    }
}

/// The slots of a node, to be changed: of a copy, if a snapshot has the node too.
fn own<E: Entry>(slots: &mut EcoVec<Slot<E>>) -> &mut [Slot<E>] {
    before_copy(slots);
    slots.make_mut()
}

impl<E: Entry> HashTrie<E> {
    /// Whether most of its nodes are in no other trie, so that letting go of it takes the longer
    /// the more entries it has. It is told by a few of them.
    pub(crate) fn is_apart(&mut self) -> bool {
        let mut slots = &mut self.root.slots;
        loop {
            if !slots.is_unique() {
                return false;
            }
            let (mut apart, mut nodes, mut last) = (0, 0, None);
            for slot in slots.make_mut() {
                if let Slot::Branch(Branch { slots, .. }) = slot {
                    nodes += 1;
                    apart += usize::from(slots.is_unique());
                    last = Some(slots);
                }
            }
            match last {
                Some(below) if 2 * apart > nodes => slots = below,
                last => return last.is_none(),
            }
        }
    }

    /// Puts `entry` in, in the place of the one that `is` accepts, which is returned.
    pub(crate) fn insert(&mut self, hash: u32, entry: E, is: impl Fn(&E) -> bool) -> Option<E> {
        let replaced = insert(&mut self.root, hash, 0, entry, &is);
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// The entry with this hash that `is` accepts, to be changed; not its hash.
    pub(crate) fn get_mut(&mut self, hash: u32, is: impl Fn(&E) -> bool) -> Option<&mut E> {
        // Looked up first, so that a miss copies nothing.
        self.get(hash, &is)?;
        let (mut branch, mut shift) = (&mut self.root, 0);
        loop {
            let at = position(branch.bitmap, bit(hash, shift));
            match &mut own(&mut branch.slots)[at] {
                Slot::Entry(_, entry) => return Some(entry),
                Slot::Branch(below) => branch = below,
                Slot::Collision(entries) => {
                    return entries.make_mut().iter_mut().find(|entry| is(entry));
                }
            }
            shift += BITS;
        }
    }

    /// Takes out the entry that `is` accepts.
    pub(crate) fn remove(&mut self, hash: u32, is: impl Fn(&E) -> bool) -> Option<E> {
        // Looked up first, so that a miss copies nothing.
        self.get(hash, &is)?;
        let removed = remove(&mut self.root, hash, 0, &is)?;
        self.len -= 1;
        Some(removed)
    }
}

fn insert<E: Entry>(
    Branch { bitmap, slots }: &mut Branch<E>,
    hash: u32,
    shift: u32,
    entry: E,
    is: &impl Fn(&E) -> bool,
) -> Option<E> {
    let bit = bit(hash, shift);
    let at = position(*bitmap, bit);
    if *bitmap & bit == 0 {
        // Copied by the insertion, with room for one more.
        before_copy(slots);
        *bitmap |= bit;
        slots.insert(at, Slot::Entry(hash, entry));
        return None;
    }
    let slot = &mut own(slots)[at];
    match slot {
        Slot::Branch(below) => insert(below, hash, shift + BITS, entry, is),
        Slot::Entry(other, old) if *other == hash && is(old) => Some(std::mem::replace(old, entry)),
        Slot::Entry(other, old) => {
            let other = (*other, old.clone());
            *slot = pair(other, (hash, entry), shift + BITS);
            None
        }
        Slot::Collision(entries) => match entries.make_mut().iter_mut().find(|entry| is(entry)) {
            Some(old) => Some(std::mem::replace(old, entry)),
            None => {
                entries.push(entry);
                None
            }
        },
    }
}

/// What holds two entries which the levels above could not tell apart.
fn pair<E: Entry>(first: (u32, E), second: (u32, E), shift: u32) -> Slot<E> {
    if shift >= EXHAUSTED {
        return Slot::Collision([first.1, second.1].into());
    }
    let (a, b) = (bit(first.0, shift), bit(second.0, shift));
    let bitmap = a | b;
    let slots = match a.cmp(&b) {
        std::cmp::Ordering::Equal => [pair(first, second, shift + BITS)].into(),
        std::cmp::Ordering::Less => [first, second].map(Slot::of).into(),
        std::cmp::Ordering::Greater => [second, first].map(Slot::of).into(),
    };
    Slot::Branch(Branch { bitmap, slots })
}

fn remove<E: Entry>(
    Branch { bitmap, slots }: &mut Branch<E>,
    hash: u32,
    shift: u32,
    is: &impl Fn(&E) -> bool,
) -> Option<E> {
    let bit = bit(hash, shift);
    if *bitmap & bit == 0 {
        return None;
    }
    let at = position(*bitmap, bit);
    let (removed, empty) = match &mut own(slots)[at] {
        Slot::Entry(_, entry) => (entry.clone(), true),
        Slot::Branch(below) => {
            let removed = remove(below, hash, shift + BITS, is)?;
            (removed, below.slots.is_empty())
        }
        Slot::Collision(entries) => {
            let found = entries.iter().position(is)?;
            (entries.remove(found), entries.is_empty())
        }
    };
    if empty {
        *bitmap &= !bit;
        slots.remove(at);
    }
    Some(removed)
}

impl<E> Slot<E> {
    fn of((hash, entry): (u32, E)) -> Self {
        Self::Entry(hash, entry)
    }
}

/// The entries, in no particular order.
#[derive(Debug)]
pub(crate) struct Iter<'a, E> {
    /// The nodes from the root down to where the iteration is.
    levels: [std::slice::Iter<'a, Slot<E>>; DEPTH],
    depth: usize,
    /// A list of entries that comes first.
    list: std::slice::Iter<'a, E>,
    left: usize,
}

impl<'a, E> Iterator for Iter<'a, E> {
    type Item = &'a E;

    fn next(&mut self) -> Option<&'a E> {
        loop {
            let entry = match self.list.next() {
                Some(entry) => entry,
                None => match self.levels[self.depth].next() {
                    Some(Slot::Entry(_, entry)) => entry,
                    Some(Slot::Branch(below)) => {
                        self.depth += 1;
                        self.levels[self.depth] = below.slots.iter();
                        continue;
                    }
                    Some(Slot::Collision(entries)) => {
                        self.list = entries.iter();
                        continue;
                    }
                    None => {
                        self.depth = self.depth.checked_sub(1)?;
                        continue;
                    }
                },
            };
            self.left -= 1;
            return Some(entry);
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
            let hashes: Vec<u32> = (0..500).map(hash).collect();
            let mut together: Vec<_> = trie.find_together(&hashes);
            let each = hashes.iter().filter_map(|hash| trie.get(*hash, |_| true));
            let mut each: Vec<_> = each.collect();
            together.sort_unstable();
            each.sort_unstable();
            assert_eq!(together, each);
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

    #[test]
    fn it_is_told_which_trie_has_nodes_of_its_own() {
        let keys = || (0..5000_u64).map(|key| (hash(key), (key, 0)));
        let mut trie = HashTrie::build(keys());
        assert!(trie.is_apart());
        let mut clone = trie.clone();
        assert!(!trie.is_apart() && !clone.is_apart());
        let change = |trie: &mut HashTrie<(u64, u64)>, key| {
            trie.insert(hash(key), (key, 1), |entry| entry.0 == key);
        };
        (0..20).for_each(|key| change(&mut clone, key));
        assert!(!trie.is_apart() && !clone.is_apart());
        (0..5000).for_each(|key| change(&mut clone, key));
        assert!(trie.is_apart() && clone.is_apart());
    }
}
