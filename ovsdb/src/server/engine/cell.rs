//! The value of a column in a stored row.

use std::cmp::Ordering;

use ovsdb_schema::ColumnType;

use crate::value::{Atom, Datum, Map, Set};

/// The value of a column: like [`Datum`], but a single atom needs no allocation.
///
/// Equal values have the same form: a set of one atom is always [`One`](Self::One).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Cell {
    /// Exactly one atom.
    One(Atom),
    /// No atom, or several.
    Set(Set<Atom>),
    /// Pairs.
    Map(Map<Atom, Atom>),
}

impl Cell {
    /// The empty set.
    pub(crate) fn empty() -> Self {
        Self::Set(Set::new())
    }

    /// The value that an insert stores if it omits a column of this type.
    pub(crate) fn default_of(column: &ColumnType) -> Self {
        Self::from(Datum::default_of(column))
    }

    /// The cell with these atoms.
    pub(super) fn of_set(set: Set<Atom>) -> Self {
        match &*set {
            [one] => Self::One(one.clone()),
            _ => Self::Set(set),
        }
    }

    /// The number of elements or pairs.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Set(set) => set.len(),
            Self::Map(map) => map.len(),
        }
    }

    /// The elements of a set, or the only atom; none of a map.
    pub(crate) fn elements(&self) -> &[Atom] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Set(set) => set,
            Self::Map(_) => &[],
        }
    }

    /// The pairs of a map.
    pub(crate) fn pairs(&self) -> Option<&Map<Atom, Atom>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Whether this atom is an element of the set, or a key of the map.
    fn contains(&self, atom: &Atom) -> bool {
        match self {
            Self::One(one) => one == atom,
            Self::Set(set) => set.contains(atom),
            Self::Map(map) => map.contains_key(atom),
        }
    }

    /// Whether this value has all elements, or all pairs, of `other`.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Map(own), Self::Map(other)) => {
                other.iter().all(|(key, value)| own.get(key) == Some(value))
            }
            _ => other.elements().iter().all(|atom| self.contains(atom)),
        }
    }

    /// Whether this value has no element, or no pair, of `other`.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Map(own), Self::Map(other)) => {
                !other.iter().any(|(key, value)| own.get(key) == Some(value))
            }
            _ => !other.elements().iter().any(|atom| self.contains(atom)),
        }
    }

    /// Adds the elements of `other`, or its pairs whose keys do not exist here.
    pub(super) fn unite(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Map(own), Self::Map(other)) => {
                for (key, value) in other {
                    if !own.contains_key(key) {
                        own.insert(key.clone(), value.clone());
                    }
                }
            }
            (Self::Map(_), _) | (_, Self::Map(_)) => {}
            _ if other.elements().is_empty() => {}
            _ => {
                let mut set = self.take_set();
                if let [one] = other.elements() {
                    set.insert(one.clone());
                } else {
                    set.extend(other.elements().iter().cloned());
                }
                *self = Self::of_set(set);
            }
        }
    }

    /// Removes the elements of `other`; from a map, the pairs of `other` or, if `other` is a set, the
    /// pairs with these keys.
    pub(super) fn subtract(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Map(own), Self::Map(other)) => {
                own.retain(|key, value| other.get(key) != Some(value));
            }
            (Self::Map(own), keys) => own.retain(|key, _| !keys.contains(key)),
            (_, Self::Map(_)) => {}
            (Self::One(_), _) => {
                if other.contains(&self.elements()[0]) {
                    *self = Self::empty();
                }
            }
            (Self::Set(own), _) => {
                if let [one] = other.elements() {
                    own.remove(one);
                } else {
                    own.retain(|atom| !other.contains(atom));
                }
                *self = Self::of_set(self.take_set());
            }
        }
    }

    /// Keeps the elements, or pairs, for which `keep` returns true; it also gets the value of a pair.
    /// Returns how many were removed.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Atom, Option<&Atom>) -> bool) -> usize {
        let before = self.len();
        match self {
            Self::One(one) => {
                if !keep(one, None) {
                    *self = Self::empty();
                }
            }
            Self::Set(set) => {
                set.retain(|atom| keep(atom, None));
                *self = Self::of_set(self.take_set());
            }
            Self::Map(map) => map.retain(|key, value| keep(key, Some(value))),
        }
        before - self.len()
    }

    fn take_set(&mut self) -> Set<Atom> {
        match std::mem::replace(self, Self::empty()) {
            Self::One(one) => Set::from(vec![one]),
            Self::Set(set) => set,
            Self::Map(_) => Set::new(),
        }
    }

    /// The difference that an update2 message sends to turn this value into `new` (ovsdb-server(7),
    /// "Update2 Notification"): the elements that only one of them has; for a map, the pairs whose key
    /// only one has, and the new pair where the values differ.
    pub(crate) fn difference(&self, new: &Self) -> Self {
        let (Self::Map(old), Self::Map(new)) = (self, new) else {
            return Self::of_set(toggled(self.elements(), new.elements()));
        };
        let removed = old.iter().filter(|(key, _)| !new.contains_key(*key));
        let added = new
            .iter()
            .filter(|(key, value)| old.get(*key) != Some(*value));
        let pairs = removed.chain(added);
        Self::Map(pairs.map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    /// The wire form (RFC 7047 section 5.1).
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::One(one) => one.write(out),
            Self::Set(set) => {
                out.push_str("[\"set\",[");
                for (at, atom) in set.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    atom.write(out);
                }
                out.push_str("]]");
            }
            Self::Map(map) => {
                out.push_str("[\"map\",[");
                for (at, (key, value)) in map.iter().enumerate() {
                    out.push_str(if at > 0 { ",[" } else { "[" });
                    key.write(out);
                    out.push(',');
                    value.write(out);
                    out.push(']');
                }
                out.push_str("]]");
            }
        }
    }
}

/// The atoms that only one of two sorted lists has.
fn toggled(a: &[Atom], b: &[Atom]) -> Set<Atom> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut out = Vec::new();
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) => match x.cmp(y) {
                Ordering::Less => a.next(),
                Ordering::Greater => b.next(),
                Ordering::Equal => {
                    a.next();
                    b.next();
                    continue;
                }
            },
            (Some(_), None) => a.next(),
            (None, _) => b.next(),
        };
        match next {
            Some(atom) => out.push(atom.clone()),
            None => return Set::from(out),
        }
    }
}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cell {
    /// The order in which ovsdb-server sorts values of one column: first by length, then by atoms.
    fn cmp(&self, other: &Self) -> Ordering {
        self.len()
            .cmp(&other.len())
            .then_with(|| match (self, other) {
                (Self::Map(a), Self::Map(b)) => a
                    .keys()
                    .cmp(b.keys())
                    .then_with(|| a.values().cmp(b.values())),
                _ => self.elements().cmp(other.elements()),
            })
    }
}

impl From<Datum> for Cell {
    fn from(datum: Datum) -> Self {
        match datum {
            Datum::Set(set) => Self::of_set(set),
            Datum::Map(map) => Self::Map(map),
        }
    }
}

impl From<&Cell> for Datum {
    fn from(cell: &Cell) -> Self {
        match cell {
            Cell::One(one) => Self::from(one.clone()),
            Cell::Set(set) => Self::Set(set.clone()),
            Cell::Map(map) => Self::Map(map.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(elements: &[i64]) -> Cell {
        Cell::of_set(elements.iter().map(|n| Atom::Integer(*n)).collect())
    }

    fn map(pairs: &[(i64, i64)]) -> Cell {
        let atoms = |(k, v): &(i64, i64)| (Atom::Integer(*k), Atom::Integer(*v));
        Cell::Map(pairs.iter().map(atoms).collect())
    }

    #[test]
    fn a_cell_is_no_larger_than_three_words() {
        assert_eq!(size_of::<Cell>(), 24);
    }

    #[test]
    fn sets_and_maps_grow_and_shrink() {
        let mut cell = set(&[]);
        cell.unite(&set(&[3]));
        assert_eq!(cell, Cell::One(Atom::Integer(3)));
        cell.unite(&set(&[1, 3, 5]));
        assert_eq!(cell, set(&[1, 3, 5]));
        cell.subtract(&set(&[1, 2]));
        cell.subtract(&set(&[5]));
        assert_eq!(cell, Cell::One(Atom::Integer(3)));
        cell.subtract(&set(&[3]));
        assert_eq!(cell, set(&[]));

        let mut cell = map(&[(1, 1), (2, 2), (3, 3)]);
        cell.unite(&map(&[(1, 9), (4, 4)]));
        assert_eq!(cell, map(&[(1, 1), (2, 2), (3, 3), (4, 4)]));
        cell.subtract(&map(&[(1, 9), (2, 2)]));
        assert_eq!(cell, map(&[(1, 1), (3, 3), (4, 4)]));
        cell.subtract(&set(&[3, 4]));
        assert_eq!(cell, map(&[(1, 1)]));
        // A set has no pairs that a map could take.
        cell.unite(&set(&[5]));
        assert_eq!(cell, map(&[(1, 1)]));
    }

    #[test]
    fn values_are_sorted_by_length_then_by_elements_or_keys_then_by_values() {
        let is_sorted = |cells: &[Cell]| cells.windows(2).all(|two| two[0] < two[1]);
        assert!(is_sorted(&[
            set(&[]),
            set(&[8]),
            set(&[9]),
            set(&[1, 3]),
            set(&[2, 3])
        ]));
        assert!(is_sorted(&[
            map(&[]),
            map(&[(8, 1)]),
            map(&[(9, 0)]),
            map(&[(1, 5), (2, 5)]),
            map(&[(1, 4), (3, 4)]),
            map(&[(1, 5), (3, 3)]),
        ]));
    }

    #[test]
    fn a_difference_has_what_only_one_value_has() {
        assert_eq!(set(&[1, 2]).difference(&set(&[2, 3])), set(&[1, 3]));
        assert_eq!(set(&[1]).difference(&set(&[1])), set(&[]));
        let (old, new) = (
            map(&[(1, 1), (2, 2), (3, 3)]),
            map(&[(2, 2), (3, 4), (5, 5)]),
        );
        assert_eq!(old.difference(&new), map(&[(1, 1), (3, 4), (5, 5)]));
    }

    #[test]
    fn a_map_includes_another_if_it_has_its_pairs() {
        let cell = map(&[(1, 1), (2, 2)]);
        assert!(cell.includes(&map(&[(1, 1)])) && !cell.includes(&map(&[(1, 2)])));
        assert!(cell.excludes(&map(&[(1, 2)])) && !cell.excludes(&map(&[(1, 2), (2, 2)])));
        assert!(set(&[1, 2]).includes(&set(&[])) && set(&[1, 2]).excludes(&set(&[3])));
    }
}
