//! The difference between two versions of a row: columns to set, and changes of sets and maps.

use crate::protocol::{Columns, Mutation, Mutator};
use crate::value::{Atom, Datum, Set, Str};

/// The difference between two versions of a row.
#[derive(Default)]
pub(super) struct Difference {
    pub(super) columns: Columns,
    pub(super) mutations: Vec<Mutation>,
    /// The new pairs of maps whose keys did not exist.
    pub(super) added_pairs: Vec<(usize, Datum)>,
    /// The columns whose old value is replaced as a whole.
    pub(super) replaced: Vec<usize>,
    /// The keys of maps whose pairs are replaced or removed.
    pub(super) replaced_keys: Vec<(usize, Vec<Atom>)>,
    /// The elements of sets, and the keys of maps, that are added or removed.
    pub(super) moved: Vec<(usize, Vec<Atom>)>,
}

impl Difference {
    /// Adds the elements of a set, or the pairs of a map, that are new or removed.
    pub(super) fn parts(&mut self, index: usize, name: Str, old: &Datum, new: &Datum) {
        let (removed, added);
        match (old, new) {
            (Datum::Set(old), Datum::Set(new)) => {
                let is_removed = |atom: &&Atom| !new.contains(*atom);
                removed = old.iter().filter(is_removed).cloned().collect();
                let is_new = |atom: &&Atom| !old.contains(*atom);
                added = Datum::Set(new.iter().filter(is_new).cloned().collect());
            }
            _ => {
                // An empty map looks like an empty set.
                let value = |datum: &Datum, key: &Atom| match datum {
                    Datum::Map(map) => map.get(key).cloned(),
                    Datum::Set(_) => None,
                };
                let other = |(key, old): &(&Atom, &Atom)| value(new, key).as_ref() != Some(*old);
                let replaced = pairs(old).filter(other);
                let replaced: Vec<_> = replaced.map(|(k, v)| (k.clone(), v.clone())).collect();
                removed = replaced.iter().map(|(key, _)| key.clone()).collect();
                let set = pairs(new).filter(|(key, new)| value(old, key).as_ref() != Some(*new));
                let set: Vec<_> = set.map(|(k, v)| (k.clone(), v.clone())).collect();
                let is_new = |(key, _): &&(Atom, Atom)| value(old, key).is_none();
                let new_pairs: Vec<_> = set.iter().filter(is_new).cloned().collect();
                added = Datum::Map(set.into_iter().collect());
                if !replaced.is_empty() {
                    let keys = replaced.into_iter().map(|(key, _)| key).collect();
                    self.replaced_keys.push((index, keys));
                }
                if !new_pairs.is_empty() {
                    let new_pairs = Datum::Map(new_pairs.into_iter().collect());
                    self.added_pairs.push((index, new_pairs));
                }
            }
        }
        let removed: Set<Atom> = removed;
        let mut moved: Vec<Atom> = removed.iter().cloned().collect();
        match &added {
            Datum::Set(added) => moved.extend(added.iter().cloned()),
            Datum::Map(_) => moved.extend(pairs(&added).map(|(key, _)| key.clone())),
        }
        self.moved.push((index, moved));
        let mut push = |mutator, argument: Datum| {
            if !argument.is_empty() {
                self.mutations
                    .push(Mutation::new(name.clone(), mutator, argument));
            }
        };
        push(Mutator::Delete, Datum::Set(removed));
        push(Mutator::Insert, added);
    }
}

/// The pairs of a map.
fn pairs(datum: &Datum) -> impl Iterator<Item = (&Atom, &Atom)> {
    let map = match datum {
        Datum::Map(map) => Some(map),
        Datum::Set(_) => None,
    };
    map.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Wire as _;

    fn parts(old: Datum, new: Datum) -> Difference {
        let mut difference = Difference::default();
        difference.parts(3, "c".into(), &old, &new);
        difference
    }

    #[test]
    fn only_removed_and_added_elements_of_a_set_are_sent() {
        for (old, new, mutations, moved) in [
            (
                Datum::set([1, 2]),
                Datum::set([2, 3]),
                r#"[["c","delete",1],["c","insert",3]]"#,
                vec![1, 3],
            ),
            (
                Datum::set([1, 2]),
                Datum::set([2]),
                r#"[["c","delete",1]]"#,
                vec![1],
            ),
            (
                Datum::set([1]),
                Datum::set([1, 2]),
                r#"[["c","insert",2]]"#,
                vec![2],
            ),
            (Datum::set([1]), Datum::set([1]), "[]", vec![]),
        ] {
            let difference = parts(old, new);
            assert_eq!(difference.mutations.to_json(), mutations);
            let moved: Vec<Atom> = moved.into_iter().map(Atom::Integer).collect();
            assert_eq!(difference.moved, [(3, moved)], "{mutations}");
            assert!(difference.replaced_keys.is_empty() && difference.added_pairs.is_empty());
            assert!(difference.columns.is_empty() && difference.replaced.is_empty());
        }
    }

    #[test]
    fn replaced_pairs_of_a_map_are_removed_first() {
        let keys = |keys: &[&str]| keys.iter().map(|key| Atom::from(*key)).collect::<Vec<_>>();
        let difference = parts(
            Datum::map([("changed", 1), ("gone", 2), ("same", 3)]),
            Datum::map([("changed", 7), ("new", 8), ("same", 3)]),
        );
        let expected = concat!(
            r#"[["c","delete",["set",["changed","gone"]]],"#,
            r#"["c","insert",["map",[["changed",7],["new",8]]]]]"#
        );
        assert_eq!(difference.mutations.to_json(), expected);
        assert_eq!(difference.replaced_keys, [(3, keys(&["changed", "gone"]))]);
        assert_eq!(difference.added_pairs, [(3, Datum::map([("new", 8)]))]);
        assert_eq!(
            difference.moved,
            [(3, keys(&["changed", "gone", "changed", "new"]))]
        );
        // An empty map may look like an empty set.
        let filled = parts(Datum::empty(), Datum::map([("new", 8)]));
        assert_eq!(
            filled.mutations.to_json(),
            r#"[["c","insert",["map",[["new",8]]]]]"#
        );
        assert!(filled.replaced_keys.is_empty());
        assert_eq!(filled.added_pairs, [(3, Datum::map([("new", 8)]))]);
        let emptied = parts(Datum::map([("gone", 2)]), Datum::empty());
        assert_eq!(emptied.mutations.to_json(), r#"[["c","delete","gone"]]"#);
        assert_eq!(emptied.replaced_keys, [(3, keys(&["gone"]))]);
        assert!(emptied.added_pairs.is_empty());
    }
}
