//! Interning: strings and maps that repeat from row to row share one allocation.

use std::hash::BuildHasher as _;
use std::mem::discriminant;

use crate::simulated::HashState;
use crate::value::{Atom, Map, Str};

/// The first strings and maps, up to this number, are stored as they come, so that a small database
/// needs no tables of known values.
const FEW: u32 = 1000;
/// How many maps are kept.
const MAPS: usize = 4096;

/// Recently stored values, with which equal new values share their allocation.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    count: u32,
    kept: Option<Box<Kept>>,
}

#[derive(Debug)]
struct Kept {
    strings: crate::value::Repeats,
    /// For each place, a part of the hash of the last map that was not found in `maps`.
    seen: Vec<u32>,
    /// Maps that were seen more than once.
    maps: Vec<Map<Atom, Atom>>,
    hasher: HashState,
}

impl Clone for Repeats {
    /// A copy of the database begins without known values.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Repeats {
    fn kept(&mut self) -> Option<&mut Kept> {
        if self.kept.is_none() {
            self.count += 1;
            if self.count > FEW {
                self.kept = Some(Box::new(Kept {
                    strings: crate::value::Repeats::default(),
                    seen: vec![0; MAPS],
                    maps: vec![Map::new(); MAPS],
                    hasher: HashState::default(),
                }));
            }
        }
        self.kept.as_deref_mut()
    }

    /// The string, sharing the allocation of an equal known one.
    pub(super) fn string(&mut self, text: &str) -> Str {
        match self.kept() {
            Some(kept) => kept.strings.string(text),
            None => Str::from(text),
        }
    }

    /// The map, sharing the allocation of an equal known one.
    pub(super) fn map(&mut self, map: Map<Atom, Atom>) -> Map<Atom, Atom> {
        match self.kept() {
            Some(kept) if !map.is_empty() => kept.map(map),
            _ => map,
        }
    }
}

impl Kept {
    /// A map is kept when it is seen for the second time. Most maps are seen only once, and must not
    /// displace the others.
    fn map(&mut self, map: Map<Atom, Atom>) -> Map<Atom, Atom> {
        let hash = self.hasher.hash_one(&map);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "any bits of the hash will do"
        )]
        let (place, mark) = (hash as usize % MAPS, (hash >> 32) as u32);
        if self.maps[place] == map && has_same_types(&self.maps[place], &map) {
            return self.maps[place].clone();
        }
        if std::mem::replace(&mut self.seen[place], mark) == mark {
            self.maps[place] = map.clone();
        }
        map
    }
}

/// Whether two maps have the same types of keys and of values. They could be equal with other types,
/// because an integer is equal to a real.
fn has_same_types(a: &Map<Atom, Atom>, b: &Map<Atom, Atom>) -> bool {
    let types = |map: &Map<Atom, Atom>| {
        let first = map.iter().next();
        first.map(|(key, value)| (discriminant(key), discriminant(value)))
    };
    types(a) == types(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &str) -> Map<Atom, Atom> {
        [(Atom::from("key"), Atom::from(value))]
            .into_iter()
            .collect()
    }

    #[test]
    fn values_that_repeat_share_an_allocation() {
        let mut repeats = Repeats::default();
        for _ in 0..=FEW {
            assert_eq!(repeats.map(map("a")), map("a"));
        }
        let _ = repeats.map(map("a"));
        let (one, other) = (repeats.map(map("a")), repeats.map(map("a")));
        assert!(std::ptr::eq(
            &raw const one[&Atom::from("key")],
            &raw const other[&Atom::from("key")]
        ));
        assert_eq!(repeats.map(map("b")), map("b"));
    }

    #[test]
    fn maps_of_equal_numbers_keep_their_types() {
        let mut repeats = Repeats::default();
        let real: Map<Atom, Atom> = [(2.0, "a")].into();
        let integer: Map<Atom, Atom> = [(2, "a")].into();
        for _ in 0..FEW + 3 {
            repeats.map(real.clone());
        }
        let stored = repeats.map(integer);
        assert!(
            matches!(stored.keys().next(), Some(Atom::Integer(2))),
            "{stored:?}"
        );
    }
}
