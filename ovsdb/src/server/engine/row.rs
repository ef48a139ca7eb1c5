//! A stored row.

use std::borrow::Cow;

use super::cell::Cell;
use super::schema::{ColumnId, TableDef};
use crate::value::{Atom, Uuid};

/// A row: its uuid, its version, and the columns that differ from their defaults.
///
/// Most columns of most rows have the default, which `update2` and `update3` omit too. So a row stores a short sorted
/// list instead of a value for each column.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    uuid: Uuid,
    version: Uuid,
    cells: Box<[(ColumnId, Cell)]>,
}

impl Row {
    /// A row with these columns; all others have their defaults.
    pub(super) fn new(
        uuid: Uuid,
        version: Uuid,
        table: &TableDef,
        cells: Vec<(ColumnId, Cell)>,
    ) -> Self {
        let mut cells = cells;
        cells.retain(|(id, cell)| {
            !matches!(*id, ColumnId::UUID | ColumnId::VERSION) && *cell != table.column(*id).default
        });
        cells.sort_by_key(|(id, _)| *id);
        Self {
            uuid,
            version,
            cells: cells.into(),
        }
    }

    /// The row's uuid.
    pub(crate) const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The row's version, which changes with each change of the row.
    pub(crate) const fn version(&self) -> Uuid {
        self.version
    }

    pub(super) const fn set_version(&mut self, version: Uuid) {
        self.version = version;
    }

    /// The columns that differ from their default, in the order of their names.
    pub(crate) fn cells(&self) -> &[(ColumnId, Cell)] {
        &self.cells
    }

    /// A column's value, if it differs from its default.
    pub(crate) fn stored(&self, id: ColumnId) -> Option<&Cell> {
        let at = self.cells.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.cells[at].1)
    }

    /// The value of any column.
    pub(crate) fn get<'a>(&'a self, table: &'a TableDef, id: ColumnId) -> Cow<'a, Cell> {
        match id {
            ColumnId::UUID => Cow::Owned(Cell::One(Atom::Uuid(self.uuid))),
            ColumnId::VERSION => Cow::Owned(Cell::One(Atom::Uuid(self.version))),
            _ => Cow::Borrowed(self.stored(id).unwrap_or(&table.column(id).default)),
        }
    }

    /// Sets a column.
    pub(super) fn set(&mut self, table: &TableDef, id: ColumnId, cell: Cell) {
        let is_default = cell == table.column(id).default;
        match self.cells.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) if is_default => {
                let mut cells = std::mem::take(&mut self.cells).into_vec();
                cells.remove(at);
                self.cells = cells.into();
            }
            Ok(at) => self.cells[at].1 = cell,
            Err(_) if is_default => {}
            Err(at) => {
                let mut cells = std::mem::take(&mut self.cells).into_vec();
                cells.insert(at, (id, cell));
                self.cells = cells.into();
            }
        }
    }

    /// Whether all columns are equal in both rows, apart from uuid and version.
    pub(super) fn has_same_columns(&self, other: &Self) -> bool {
        self.cells == other.cells
    }

    /// Whether these columns are equal in both rows.
    pub(super) fn has_same(&self, other: &Self, table: &TableDef, ids: &[ColumnId]) -> bool {
        ids.iter()
            .all(|id| self.get(table, *id) == other.get(table, *id))
    }

    /// The columns in which this row and a later version of it differ.
    pub(crate) fn changed_columns<'a>(
        &'a self,
        new: &'a Self,
    ) -> impl Iterator<Item = ColumnId> + 'a {
        let (mut a, mut b) = (self.cells.iter().peekable(), new.cells.iter().peekable());
        std::iter::from_fn(move || {
            loop {
                let (x, y) = (a.peek(), b.peek());
                match (x, y) {
                    (None, None) => return None,
                    (Some((id, _)), None) => {
                        a.next();
                        return Some(*id);
                    }
                    (None, Some((id, _))) => {
                        b.next();
                        return Some(*id);
                    }
                    (Some((x, _)), Some((y, _))) if x < y => {
                        a.next();
                        return Some(*x);
                    }
                    (Some((x, _)), Some((y, _))) if y < x => {
                        b.next();
                        return Some(*y);
                    }
                    (Some((id, old)), Some((_, new))) => {
                        let same = old == new;
                        a.next();
                        b.next();
                        if !same {
                            return Some(*id);
                        }
                    }
                }
            }
        })
    }
}
