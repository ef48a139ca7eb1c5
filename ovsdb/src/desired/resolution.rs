//! Which rows of the view the wanted ones are, and which are to be deleted.

use std::collections::{BTreeSet, HashMap};

use super::placeholder::Placeholders;
use crate::model::Table;
use crate::value::{Atom, ColumnValue, Datum, Uuid, read_datum};

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy)]
enum Resolved {
    /// It has not been looked for yet.
    Unknown,
    /// The row with this uuid in the view.
    Existing(Uuid),
    /// A row that is inserted under this uuid.
    New(Uuid),
}

/// A row that is deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deleted {
    pub(super) step: usize,
    /// Which of the conditions under which rows of the table are [not wanted](super::Desired::unwanted) names
    /// it; `None` for one that is owned and not among the wanted.
    pub(super) unwanted: Option<usize>,
    /// Whether another row with its key is made in its step, so that it cannot stay longer.
    pub(super) is_replaced: bool,
}

/// Which rows of the view the wanted ones are, and which are to be deleted.
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

    /// A row is inserted under this uuid instead of its placeholder, if there is one.
    pub(super) fn is_new(&mut self, number: u32, other: Option<Uuid>) {
        let uuid = other.unwrap_or_else(|| self.placeholders.uuid(number));
        self.rows[number as usize] = Resolved::New(uuid);
    }

    pub(super) const fn placeholder(&self, number: u32) -> Uuid {
        self.placeholders.uuid(number)
    }

    /// The uuid of a wanted row: of the one in the view, or of the one that is inserted.
    pub(super) fn uuid_of(&self, number: u32) -> Uuid {
        match self.rows[number as usize] {
            Resolved::Existing(uuid) | Resolved::New(uuid) => uuid,
            Resolved::Unknown => self.placeholders.uuid(number),
        }
    }

    /// The uuid of the row that a placeholder stands for, or of any other row.
    pub(super) fn resolve(&self, row: Uuid) -> Uuid {
        match self.placeholders.number(row).map(|at| self.rows[at]) {
            Some(Resolved::Existing(uuid) | Resolved::New(uuid)) => uuid,
            Some(Resolved::Unknown) | None => row,
        }
    }

    /// Whether a uuid stands for a row that has not been looked for yet.
    pub(super) fn is_unknown(&self, row: Uuid) -> bool {
        let row = self.placeholders.number(row).map(|at| self.rows[at]);
        matches!(row, Some(Resolved::Unknown))
    }

    /// A value with the rows that its placeholders stand for.
    pub(super) fn resolved(&self, value: &dyn ColumnValue) -> Box<dyn ColumnValue> {
        value.with_uuids(&mut |uuid| self.resolve(uuid))
    }

    /// Deletes a row; the first who says so says in which step.
    pub(super) fn delete(&mut self, row: Uuid, step: usize, unwanted: Option<usize>) {
        self.deleted.entry(row).or_insert(Deleted {
            step,
            unwanted,
            is_replaced: false,
        });
    }

    /// Deletes a row in a later step, if it is deleted and may stay.
    pub(super) fn delete_later(&mut self, row: Uuid, step: usize) {
        if let Some(deleted) = self.deleted.get_mut(&row).filter(|row| !row.is_replaced) {
            deleted.step = deleted.step.max(step);
        }
    }

    /// Notes that another row with the key of one that is deleted is made.
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

    /// The rows that a datum names and that are deleted.
    pub(super) fn deleted_in<'d>(
        &self,
        datum: &'d Datum,
    ) -> impl Iterator<Item = (Uuid, Deleted)> + use<'d, '_> {
        datum.atoms().filter_map(|atom| match atom {
            Atom::Uuid(uuid) => Some((*uuid, self.deleted(*uuid)?)),
            _ => None,
        })
    }

    /// The steps in which rows are deleted that a row refers to.
    pub(super) fn steps_to_clean<T: Table>(&self, columns: &T) -> BTreeSet<usize> {
        let mut steps = BTreeSet::new();
        for index in referring::<T>() {
            if let Some(datum) = columns.column(index).map(ColumnValue::to_datum) {
                steps.extend(self.deleted_in(&datum).map(|(_, deleted)| deleted.step));
            }
        }
        steps
    }

    /// Takes references to rows that are deleted in a step out of a row.
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

    /// A datum without references to rows that are deleted, as far as `is_gone` says.
    pub(super) fn without_deleted(
        &self,
        datum: &Datum,
        is_gone: impl Fn(Deleted) -> bool,
    ) -> Datum {
        let stays = |atom: &Atom| match atom {
            Atom::Uuid(uuid) => !self.deleted(*uuid).is_some_and(&is_gone),
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

/// The columns that refer to rows.
pub(super) fn referring<T: Table>() -> impl Iterator<Item = usize> {
    let infos = T::COLUMNS.iter().enumerate();
    infos
        .filter(|(_, info)| info.refers())
        .map(|(index, _)| index)
}
