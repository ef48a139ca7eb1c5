//! Interning: long strings and sets of references that repeat in a replica usually share an allocation.
//!
//! A [`Reader`](super::json::Reader) interns what it reads, and atoms are read through it, so that no
//! second pass over a row is needed. So the reader, the atoms and this table use each other.

use std::any::Any;
use std::fmt;
use std::hash::BuildHasher;

use ovsdb_schema::AtomicType;

use super::{Atomic, Set, Str};

/// Recently decoded values, whose allocations are shared by equal ones.
#[derive(Default)]
pub(crate) struct Repeats {
    strings: Strings,
    sets: Sets,
    hasher: crate::simulated::HashState,
}

impl fmt::Debug for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeats").finish_non_exhaustive()
    }
}

impl Repeats {
    /// The string, sharing the allocation of an equal known one.
    pub(crate) fn string(&mut self, text: &str) -> Str {
        if Str::is_short(text) || text.len() > LONGEST {
            return Str::from(text);
        }
        self.strings.share(text, self.hasher.hash_one(text))
    }

    /// The set, sharing the allocation of an equal known one. Only sets of uuids are interned, since
    /// others are rarely equal.
    pub(crate) fn set<A: Atomic>(&mut self, set: Set<A>) -> Set<A> {
        if A::TYPE != AtomicType::Uuid || set.is_empty() {
            return set;
        }
        // Hashing a whole large set would take long. Different sets rarely agree in these three
        // elements.
        let some = [0, set.len() / 2, set.len() - 1].map(|at| &set[at]);
        let hash = self.hasher.hash_one((set.len(), some));
        self.sets.share(set, hash)
    }
}

/// How many hashes of strings are kept, and at most how many strings that occurred again.
const STRINGS: usize = 4096;
/// How many of the last new strings are kept too.
const RECENT: usize = 8;
/// Longer strings rarely repeat, and hashing them is expensive.
const LONGEST: usize = 128;

/// The interned strings.
///
/// Most long strings occur once, or twice in one row, while the keys of maps occur in every row. So a
/// new string is kept only until a few others follow it, and its hash until another hash takes its
/// place. A string that occurs again while its hash is kept goes into a table of fixed size. So memory
/// is bounded, no sweep is needed, and strings that occur once do not evict the keys.
struct Strings {
    /// Hashes of strings that occurred.
    seen: Vec<u32>,
    /// Strings that occurred again, with their hashes.
    slots: Vec<(u32, Str)>,
    /// The last strings, with their hashes.
    recent: [(u32, Str); RECENT],
    next: usize,
}

impl Default for Strings {
    fn default() -> Self {
        Self {
            seen: vec![0; STRINGS],
            slots: vec![(0, Str::default()); STRINGS],
            recent: Default::default(),
            next: 0,
        }
    }
}

impl Strings {
    fn share(&mut self, text: &str, hash: u64) -> Str {
        let (place, mark) = (hash as usize % STRINGS, (hash >> 32) as u32);
        let known = |(other, string): &&(u32, Str)| *other == mark && *string == *text;
        let slot = &mut self.slots[place];
        if let Some((_, string)) = Some(&*slot).filter(known) {
            return string.clone();
        }
        let again = std::mem::replace(&mut self.seen[place], mark) == mark;
        let string = match self.recent.iter().find(known) {
            Some((_, string)) => string.clone(),
            None => {
                let string = Str::from(text);
                self.recent[self.next] = (mark, string.clone());
                self.next = (self.next + 1) % RECENT;
                string
            }
        };
        if again {
            *slot = (mark, string.clone());
        }
        string
    }
}

/// How many sets [`Sets`] keeps.
const SETS: usize = 128;
/// How many of them each call checks, to drop those that no row holds any more.
const CHECKED: usize = 4;
/// How many hashes of sets are kept.
const MARKS: usize = 1024;

/// Sets of uuids. For instance, all switches and routers of a cluster may have the same thousands of
/// load balancers.
///
/// Only a hash of most sets is kept, because a large set that keeps changing is different each time. A
/// set that occurs again is kept until another one takes its slot, or until a check finds that no row
/// holds it any more.
struct Sets {
    /// Hashes of sets that occurred.
    seen: Vec<u32>,
    /// Sets that occurred again, with their hashes.
    slots: Vec<Option<(u64, Box<dyn Kept>)>>,
    /// The slot to check next.
    next: usize,
}

impl Default for Sets {
    fn default() -> Self {
        Self {
            seen: vec![0; MARKS],
            slots: std::iter::repeat_with(|| None).take(SETS).collect(),
            next: 0,
        }
    }
}

impl Sets {
    fn share<A: Atomic>(&mut self, set: Set<A>, hash: u64) -> Set<A> {
        for _ in 0..CHECKED {
            let slot = &mut self.slots[self.next];
            if slot.as_mut().is_some_and(|(_, set)| set.is_alone()) {
                *slot = None;
            }
            self.next = (self.next + 1) % SETS;
        }
        let slot = &mut self.slots[hash as usize % SETS];
        if let Some((other, known)) = slot
            && *other == hash
            && let Some(known) = (&**known as &dyn Any).downcast_ref()
            && set == *known
        {
            return known.clone();
        }
        let mark = (hash >> 32) as u32;
        if std::mem::replace(&mut self.seen[hash as usize % MARKS], mark) == mark {
            *slot = Some((hash, Box::new(set.clone())));
        }
        set
    }
}

/// A set of any type.
trait Kept: Any + Send {
    /// Whether this is the only handle of its allocation.
    fn is_alone(&mut self) -> bool;
}

impl<A: Atomic> Kept for Set<A> {
    fn is_alone(&mut self) -> bool {
        self.is_unshared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Uuid;

    #[test]
    fn strings_that_repeat_share_an_allocation() {
        let mut repeats = Repeats::default();
        let first = repeats.string("k8s.ovn.org/network");
        let second = repeats.string("k8s.ovn.org/network");
        assert_eq!(first.as_ptr(), second.as_ptr());
        // Many strings that occur once do not evict one that repeats.
        for number in 0..3 * STRINGS {
            let text = format!("a string that occurs once, number {number}");
            assert_eq!(repeats.string(&text), text);
        }
        let third = repeats.string("k8s.ovn.org/network");
        assert_eq!(first.as_ptr(), third.as_ptr());
        assert_eq!(repeats.string("short"), "short");
    }

    #[test]
    fn strings_with_the_same_hash_are_told_apart() {
        let mut strings = Strings::default();
        let (one, other) = (
            "a string that has its hash",
            "another string with this hash",
        );
        for text in [one, one, other, other, one] {
            assert_eq!(strings.share(text, 7), text);
        }
    }

    #[test]
    fn sets_of_uuids_that_repeat_share_an_allocation() {
        let mut repeats = Repeats::default();
        let set = |from: u128, to: u128| (from..to).map(Uuid::from_u128).collect::<Set<Uuid>>();
        for (from, to) in [(1, 9), (2, 9), (1, 10), (1, 2), (3, 3)] {
            // The first time, only a hash is kept.
            let sets = [(); 4].map(|()| repeats.set(set(from, to)));
            assert_eq!(sets, [(); 4].map(|()| set(from, to)));
            assert_eq!(sets[1].as_ptr(), sets[2].as_ptr());
            assert_eq!(sets[1].as_ptr(), sets[3].as_ptr());
        }
        // Different sets that agree in the sampled elements are not confused.
        for _ in 0..3 {
            for numbers in [[1, 2, 4, 5, 7], [1, 3, 4, 5, 7]] {
                let set = Set::<Uuid>::from(numbers.map(Uuid::from_u128));
                assert_eq!(repeats.set(set.clone()), set);
            }
        }
        // Sets of other types are not shared.
        let names = [(); 3].map(|()| repeats.set(Set::<Str>::from(["a", "b"])));
        assert_ne!(names[1].as_ptr(), names[2].as_ptr());
    }

    #[test]
    fn sets_that_no_row_holds_are_dropped() {
        let mut repeats = Repeats::default();
        let set = |number| (number..number + 9).map(Uuid::from_u128).collect();
        let kept = |repeats: &Repeats| repeats.sets.slots.iter().flatten().count();
        // Sets that occur once are not kept at all.
        let once: Vec<Set<Uuid>> = (0..40).map(|number| repeats.set(set(number))).collect();
        assert_eq!(kept(&repeats), 0);
        let again: Vec<Set<Uuid>> = (0..40).map(|number| repeats.set(set(number))).collect();
        assert!(kept(&repeats) > 20);
        assert_eq!(once, again);
        drop(again);
        let held = [(); SETS].map(|()| repeats.set(set(50)));
        assert_eq!(kept(&repeats), 1);
        assert!(held[1..].iter().all(|set| set.as_ptr() == held[1].as_ptr()));
    }
}
