//! Maps wanted rows to rows of the view or to new rows, and records which rows are deleted.

use std::collections::{BTreeSet, HashMap};

use super::placeholder::Placeholders;
use crate::model::Table;
use crate::value::{Atom, ColumnValue, Datum, Uuid, read_datum};

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy)]
enum Resolved {
    /// It was not looked up yet.
    Unknown,
    /// The row of the view with this uuid.
    Existing(Uuid),
    /// A row that is inserted with this uuid.
    New(Uuid),
}

/// A row that is deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deleted {
    pub(super) step: usize,
    /// The position of the [condition](super::Desired::unwanted) that deletes it; `None` if it is
    /// deleted because it is owned and not wanted.
    pub(super) unwanted: Option<usize>,
    /// Whether another row with its key is inserted in the same or a later step, so that the deletion
    /// must not be moved to a later step.
    pub(super) is_replaced: bool,
}

/// Maps wanted rows to rows of the view or to new rows, and records which rows are deleted.
pub(super) struct Resolution {
    placeholders: Placeholders,
    rows: Vec<Resolved>,
    deleted: HashMap<Uuid, Deleted, crate::simulated::HashState>,
}

impl Resolution {
    pub(super) fn new(placeholders: Placeholders) -> Self {
        Self {
            placeholders,
            rows: vec![Resolved::Unknown; placeholders.len()],
            deleted: HashMap::default(),
        }
    }

    pub(super) fn exists(&mut self, number: u32, row: Uuid) {
        self.rows[number as usize] = Resolved::Existing(row);
    }

    /// The wanted row is inserted: with the uuid `other`, or else with that of its placeholder.
    pub(super) fn is_new(&mut self, number: u32, other: Option<Uuid>) {
        let uuid = other.unwrap_or_else(|| self.placeholders.uuid(number));
        self.rows[number as usize] = Resolved::New(uuid);
    }

    pub(super) const fn placeholder(&self, number: u32) -> Uuid {
        self.placeholders.uuid(number)
    }

    /// The uuid of a wanted row: of the row in the view, or of the one that is inserted.
    pub(super) fn uuid_of(&self, number: u32) -> Uuid {
        match self.rows[number as usize] {
            Resolved::Existing(uuid) | Resolved::New(uuid) => uuid,
            Resolved::Unknown => self.placeholders.uuid(number),
        }
    }

    /// The uuid of the row that a placeholder stands for; any other uuid is returned as it is.
    pub(super) fn resolve(&self, row: Uuid) -> Uuid {
        match self.placeholders.number(row).map(|at| self.rows[at]) {
            Some(Resolved::Existing(uuid) | Resolved::New(uuid)) => uuid,
            Some(Resolved::Unknown) | None => row,
        }
    }

    /// Whether this is the placeholder of a wanted row.
    pub(super) fn is_placeholder(&self, row: Uuid) -> bool {
        self.placeholders.number(row).is_some()
    }

    /// Whether this is the placeholder of a row that was not looked up yet.
    pub(super) fn is_unknown(&self, row: Uuid) -> bool {
        let row = self.placeholders.number(row).map(|at| self.rows[at]);
        matches!(row, Some(Resolved::Unknown))
    }

    /// A value with its placeholders replaced by the rows they stand for.
    pub(super) fn resolved(&self, value: &dyn ColumnValue) -> Box<dyn ColumnValue> {
        value.with_uuids(&mut |uuid| self.resolve(uuid))
    }

    /// Deletes a row in a step, unless it is deleted already.
    pub(super) fn delete(&mut self, row: Uuid, step: usize, unwanted: Option<usize>) {
        self.deleted.entry(row).or_insert(Deleted {
            step,
            unwanted,
            is_replaced: false,
        });
    }

    /// Moves the deletion of a row to a later step, if it is deleted and not replaced.
    pub(super) fn delete_later(&mut self, row: Uuid, step: usize) {
        if let Some(deleted) = self.deleted.get_mut(&row).filter(|row| !row.is_replaced) {
            deleted.step = deleted.step.max(step);
        }
    }

    /// Records that another row with the key of a deleted one is inserted.
    pub(super) fn replace(&mut self, row: Uuid) {
        if let Some(deleted) = self.deleted.get_mut(&row) {
            deleted.is_replaced = true;
        }
    }

    pub(super) fn deleted(&self, row: Uuid) -> Option<Deleted> {
        self.deleted.get(&row).copied()
    }

    pub(super) fn has_deleted(&self) -> bool {
        !self.deleted.is_empty()
    }

    /// The deleted rows that a datum refers to.
    pub(super) fn deleted_in<'d>(
        &self,
        datum: &'d Datum,
    ) -> impl Iterator<Item = (Uuid, Deleted)> + use<'d, '_> {
        datum.atoms().filter_map(|atom| match atom {
            Atom::Uuid(uuid) => Some((*uuid, self.deleted(*uuid)?)),
            _ => None,
        })
    }

    /// The steps that delete rows to which this row refers.
    pub(super) fn steps_to_clean<T: Table>(&self, columns: &T) -> BTreeSet<usize> {
        let mut steps = BTreeSet::new();
        for index in referring::<T>() {
            if let Some(datum) = columns.column(index).map(ColumnValue::to_datum) {
                steps.extend(self.deleted_in(&datum).map(|(_, deleted)| deleted.step));
            }
        }
        steps
    }

    /// Removes from a row the references to rows that this step deletes.
    pub(super) fn clean<T: Table>(&self, columns: &mut T, step: usize) {
        if self.deleted.is_empty() {
            return;
        }
        for index in referring::<T>() {
            if let Some(column) = columns.column_mut(index) {
                let datum = column.to_datum();
                let cleaned = self.without_deleted(&datum, |row| row.step == step);
                if cleaned != datum {
                    read_datum(column, &cleaned);
                }
            }
        }
    }

    /// A datum without the references to deleted rows for which `is_removed` returns true.
    pub(super) fn without_deleted(
        &self,
        datum: &Datum,
        is_removed: impl Fn(Deleted) -> bool,
    ) -> Datum {
        let stays = |atom: &Atom| match atom {
            Atom::Uuid(uuid) => !self.deleted(*uuid).is_some_and(&is_removed),
            _ => true,
        };
        match datum {
            Datum::Set(set) => Datum::Set(set.iter().filter(|atom| stays(atom)).cloned().collect()),
            Datum::Map(map) => {
                let pairs = map
                    .iter()
                    .filter(|(key, value)| stays(key) && stays(value))
                    .map(|(key, value)| (key.clone(), value.clone()));
                Datum::Map(pairs.collect())
            }
        }
    }
}

/// The columns that contain references.
pub(super) fn referring<T: Table>() -> impl Iterator<Item = usize> {
    let infos = T::COLUMNS.iter().enumerate();
    infos
        .filter(|(_, info)| info.refers())
        .map(|(index, _)| index)
}
