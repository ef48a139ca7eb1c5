//! Rows as the replica's engine sees them: without their types.
//!
//! The tries of rows, the indexes of the schema, decoding and differences are compiled once, in this
//! crate. A program's own crate gets a few short functions for each table that it monitors, the typed
//! views, which downcast, and each declared index, whose code depends on the type of its keys.

use std::any::Any;
use std::sync::Arc;

use super::any::AnyRow;
use crate::model::{Row, Table};
use crate::value::{ColumnValue, Uuid};

/// A row as the engine handles it: a [`Row<T>`] of a compiled table, or a row of a table known at run
/// time only.
pub(crate) trait ErasedRow: AnyRow {
    /// The column with this index, to be changed.
    fn column_mut(&mut self, index: usize) -> Option<&mut dyn ColumnValue>;
    /// A copy of this row, with this uuid.
    fn copy(&self, uuid: Uuid) -> SharedRow;
    /// The row's `_version`; nil where it is not known, or where it is a column.
    fn version(&self) -> Uuid {
        Uuid::nil()
    }
    /// Copies another row into this one. Returns false if that row is of another type.
    fn copy_from(&mut self, other: &dyn ErasedRow) -> bool;
}

/// A row, shared by all states that have it.
pub(crate) type SharedRow = Arc<dyn ErasedRow>;

impl<T: Table> ErasedRow for Row<T> {
    /// The row's version has the index after the last column.
    fn column_mut(&mut self, index: usize) -> Option<&mut dyn ColumnValue> {
        if index == T::COLUMNS.len() {
            return Some(self.version_mut());
        }
        self.columns_mut().column_mut(index)
    }

    fn copy(&self, uuid: Uuid) -> SharedRow {
        let mut copy = Self::new(uuid, self.columns().clone());
        *copy.version_mut() = ErasedRow::version(self);
        Arc::new(copy)
    }

    fn version(&self) -> Uuid {
        Self::version(self).unwrap_or_default()
    }

    fn copy_from(&mut self, other: &dyn ErasedRow) -> bool {
        match typed(other) {
            Some(other) => {
                self.clone_from(other);
                true
            }
            None => false,
        }
    }
}

/// The row as a `Row<T>`. All rows of a table have one type, so `None` (another type) never occurs.
pub(super) fn typed<T: Table>(row: &dyn ErasedRow) -> Option<&Row<T>> {
    (row as &dyn Any).downcast_ref()
}

/// Like [`typed`], for a shared row.
pub(super) fn shared<T: Table>(row: SharedRow) -> Option<Arc<Row<T>>> {
    let row: Arc<dyn Any + Send + Sync> = row;
    row.downcast().ok()
}

/// Whether both rows have the same values in these columns.
pub(super) fn has_same(
    a: &dyn ErasedRow,
    b: &dyn ErasedRow,
    mut columns: impl Iterator<Item = usize>,
) -> bool {
    columns.all(|column| {
        let columns = (a.column(column), b.column(column));
        matches!(columns, (Some(a), Some(b)) if a.equals(b))
    })
}

/// Whether both rows have the same columns with the same values.
pub(super) fn has_same_columns(a: &dyn ErasedRow, b: &dyn ErasedRow) -> bool {
    // A table that is known at run time only may get other columns when the server's schema changes.
    a.columns().is_same(b.columns()) && has_same(a, b, 0..a.columns().len())
}
