//! What a transaction has read and written of one table.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{AllOf, Row, Table};
use crate::value::{Atom, ColumnValue, Datum, Uuid};

/// A row that the transaction writes.
#[derive(Debug, Clone)]
pub(super) struct Written<T> {
    /// The row in the view, or the version that the caller read and edits; `None` when the row is new, or
    /// its values are not known.
    pub(super) before: Option<Arc<Row<T>>>,
    /// The row as it was before the operations that further edits may still change; `None` while these
    /// include the insert of the row, or its values are not known.
    pub(super) base: Option<Arc<Row<T>>>,
    /// The row as the transaction leaves it; `None` when the transaction deletes it.
    pub(super) now: Option<Arc<Row<T>>>,
    /// Whether the transaction inserts the row; false if it first deletes a known row with the same uuid.
    pub(super) is_inserted: bool,
    /// The overlay's epoch when the operations after `base` were written.
    pub(super) epoch: usize,
    /// The numbers of the operations after `base`.
    pub(super) places: EditPlaces,
    /// The columns whose value in `before` is replaced as a whole.
    pub(super) replaced: BTreeSet<usize>,
    /// The pairs of maps in `before` that are replaced or removed.
    pub(super) replaced_pairs: BTreeMap<usize, BTreeMap<Atom, Atom>>,
    /// The elements of sets, and the keys of maps, that are added or removed.
    pub(super) moved: BTreeMap<usize, BTreeSet<Atom>>,
}

/// The numbers of an edited row's operations in the transaction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EditPlaces {
    pub(super) update: Option<usize>,
    pub(super) mutate: Option<usize>,
    pub(super) wait: Option<usize>,
}

/// The rows of the view that were found by a key, a condition or a range.
#[derive(Debug, Clone)]
pub(super) struct KeyRead<T> {
    pub(super) condition: AllOf<T>,
    pub(super) rows: Vec<Arc<Row<T>>>,
    /// Whether the rows were read, and not only their identity.
    pub(super) is_whole: bool,
    /// Whether to send a guard that the same rows have the key. It is not needed where an index of the
    /// schema or the guards of the rows ensure this, and not possible where the key has reals.
    pub(super) is_guarded: bool,
}

/// What a transaction read and wrote of a table.
#[derive(Debug, Clone)]
pub(super) struct Touched<T> {
    pub(super) written: HashMap<Uuid, Written<T>, crate::simulated::HashState>,
    /// The written rows in the order of their first write.
    pub(super) order: Vec<Uuid>,
    /// The rows of the view that were read, and the missing ones that were looked for.
    pub(super) read: BTreeMap<Uuid, Option<Arc<Row<T>>>>,
    /// The rows of the view of which single columns were read, with these columns.
    pub(super) read_columns: BTreeMap<Uuid, (Arc<Row<T>>, BTreeSet<usize>)>,
    pub(super) keys: Vec<KeyRead<T>>,
    known_keys: HashSet<String>,
}

impl<T> Default for Touched<T> {
    fn default() -> Self {
        Self {
            written: HashMap::default(),
            order: Vec::new(),
            read: BTreeMap::new(),
            read_columns: BTreeMap::new(),
            keys: Vec::new(),
            known_keys: HashSet::new(),
        }
    }
}

impl<T: Table> Touched<T> {
    /// The record of a row that the transaction writes; `first` makes it at the first write.
    pub(super) fn write(
        &mut self,
        uuid: Uuid,
        first: impl FnOnce() -> Written<T>,
    ) -> &mut Written<T> {
        let order = &mut self.order;
        self.written.entry(uuid).or_insert_with(|| {
            order.push(uuid);
            first()
        })
    }

    /// The written rows that exist after the transaction, in the order of their first write.
    pub(super) fn left(&self) -> impl Iterator<Item = &Arc<Row<T>>> {
        let written = self.order.iter().filter_map(|uuid| self.written.get(uuid));
        written.filter_map(|written| written.now.as_ref())
    }

    /// Records which rows have a key in the view.
    pub(super) fn read_key(&mut self, read: KeyRead<T>) {
        let (is_whole, is_guarded) = (read.is_whole, read.is_guarded);
        let key = format!("{is_whole} {is_guarded} {:?}", read.condition);
        if self.known_keys.insert(key) {
            self.keys.push(read);
        }
    }
}

impl<T> Written<T> {
    /// A row of the database that is about to be edited.
    pub(super) fn edited(row: Arc<Row<T>>, epoch: usize) -> Self {
        Self::of(Some(row), epoch)
    }

    /// A row of the view that is unchanged so far.
    fn of(row: Option<Arc<Row<T>>>, epoch: usize) -> Self {
        Self {
            before: row.clone(),
            base: row.clone(),
            now: row,
            is_inserted: false,
            epoch,
            places: EditPlaces::default(),
            replaced: BTreeSet::new(),
            replaced_pairs: BTreeMap::new(),
            moved: BTreeMap::new(),
        }
    }

    /// A row that the transaction inserts.
    pub(super) fn inserted(row: Arc<Row<T>>, epoch: usize) -> Self {
        Self {
            before: None,
            base: None,
            is_inserted: true,
            ..Self::edited(row, epoch)
        }
    }

    /// Whether values that exist in the database are replaced.
    pub(super) fn replaces(&self) -> bool {
        !self.replaced.is_empty() || !self.replaced_pairs.is_empty()
    }

    /// Whether this may overwrite what `earlier` has written: both add or remove the same element or
    /// key, or both replace any values of the row.
    pub(super) fn writes_over(&self, earlier: &Self) -> bool {
        let shared = |(column, atoms): (&usize, &BTreeSet<Atom>)| {
            let others = earlier.moved.get(column);
            others.is_some_and(|others| !atoms.is_disjoint(others))
        };
        self.replaces() && earlier.replaces() || self.moved.iter().any(shared)
    }

    /// Records that the pairs with these keys are replaced, for keys that `before` has.
    pub(super) fn replace_pairs(&mut self, column: usize, keys: impl IntoIterator<Item = Atom>)
    where
        T: Table,
    {
        let before = self.before.as_ref().and_then(|row| row.column(column));
        let Some(Datum::Map(before)) = before.map(ColumnValue::to_datum) else {
            return;
        };
        let replaced = self.replaced_pairs.entry(column).or_default();
        for key in keys {
            if let Some(value) = before.get(&key) {
                replaced.insert(key, value.clone());
            }
        }
    }

    /// Freezes the operations written so far, since others were written after them.
    pub(super) fn start_again(&mut self, epoch: usize) {
        self.base = self.now.clone();
        self.places = EditPlaces::default();
        self.epoch = epoch;
    }
}

impl<T: Table> Touched<T> {
    /// Records that the transaction deletes a row.
    pub(super) fn delete(&mut self, uuid: Uuid, before: Option<Arc<Row<T>>>, epoch: usize) {
        let written = self.write(uuid, || Written::of(before, epoch));
        written.now = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_may_overwrite_an_earlier_one_if_both_replace_values_or_move_the_same_element() {
        let nothing = || Written::<()>::of(None, 0);
        let replaced = || Written {
            replaced: [1].into(),
            ..nothing()
        };
        let pairs = || Written {
            replaced_pairs: [(2, [(Atom::from("a"), Atom::from("b"))].into())].into(),
            ..nothing()
        };
        let moved = |column: usize, atom: i64| Written {
            moved: [(column, [Atom::Integer(atom), Atom::Integer(0)].into())].into(),
            ..nothing()
        };
        assert!(!nothing().replaces() && !moved(1, 1).replaces());
        assert!(replaced().replaces() && pairs().replaces());
        for (later, earlier, over) in [
            (nothing(), nothing(), false),
            (replaced(), nothing(), false),
            (nothing(), replaced(), false),
            (replaced(), pairs(), true),
            (pairs(), replaced(), true),
            (moved(1, 7), moved(1, 8), true),
            (moved(1, 7), moved(2, 7), false),
            (moved(1, 7), replaced(), false),
        ] {
            assert_eq!(later.writes_over(&earlier), over, "{later:?} {earlier:?}");
        }
        let other = Written {
            moved: [(1, [Atom::Integer(9)].into())].into(),
            ..nothing()
        };
        assert!(!other.writes_over(&moved(1, 7)), "not the same element");
    }
}
