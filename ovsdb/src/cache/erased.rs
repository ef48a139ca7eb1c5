//! Rows as the replica's engine sees them: without their types.
//!
//! Tries, indexes, decoding and differences are compiled once, in this crate. A program's own crate
//! gets a few short functions for each table that it monitors, and the typed views, which downcast.

use std::any::Any;
use std::sync::Arc;

use super::any::AnyRow;
use crate::model::{Row, Table};
use crate::value::{ColumnValue, Uuid};

/// A row of the engine: a [`Row<T>`] of the table that it belongs to, or one of a table that is known
/// at run time only.
pub(crate) trait ErasedRow: AnyRow {
    /// The column with this index, to be changed.
    fn column_mut(&mut self, index: usize) -> Option<&mut dyn ColumnValue>;
    /// A row with this uuid and the same columns.
    fn copy(&self, uuid: Uuid) -> SharedRow;
    /// The row's `_version`, beside its columns; nil where it is not known.
    fn version(&self) -> Uuid {
        Uuid::nil()
    }
    /// Makes this row a copy of another one, and returns whether that is of the same type.
    fn copy_from(&mut self, other: &dyn ErasedRow) -> bool;
}

/// A row that versions of its table share.
pub(crate) type SharedRow = Arc<dyn ErasedRow>;

impl<T: Table> ErasedRow for Row<T> {
    /// The version comes after the columns.
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

/// The row with its type `T`, if it has that type: all rows of a table have one type.
pub(super) fn typed<T: Table>(row: &dyn ErasedRow) -> Option<&Row<T>> {
    (row as &dyn Any).downcast_ref()
}

/// The row with its type, to be kept.
pub(super) fn shared<T: Table>(row: SharedRow) -> Option<Arc<Row<T>>> {
    let row: Arc<dyn Any + Send + Sync> = row;
    row.downcast().ok()
}

/// Whether these columns are the same in both rows.
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

/// Whether all columns are the same in both rows.
pub(super) fn has_same_columns(a: &dyn ErasedRow, b: &dyn ErasedRow) -> bool {
    // A table that is known at run time only gets other columns when the server's schema changes.
    a.columns().is_same(b.columns()) && has_same(a, b, 0..a.columns().len())
}
