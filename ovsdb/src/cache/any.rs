//! Rows and changes of any table, for code that is not written for one.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::model::{ColumnInfo, Row, Table};
use crate::value::{ColumnValue, Uuid};

/// A row whose table is known at run time only.
pub trait AnyRow: Any + fmt::Debug + Send + Sync {
    /// The row's uuid.
    fn uuid(&self) -> Uuid;
    /// The name of its table.
    fn table(&self) -> &'static str;
    /// The columns, in the order of their indexes.
    fn columns(&self) -> &'static [ColumnInfo];
    /// The value of the column with this index.
    fn column(&self, index: usize) -> Option<&dyn ColumnValue>;
    /// The row itself, a [`Row<T>`], to be downcast.
    fn as_any(&self) -> &dyn Any;
}

impl<T: Table> AnyRow for Row<T> {
    fn uuid(&self) -> Uuid {
        Self::uuid(self)
    }

    fn table(&self) -> &'static str {
        T::TABLE
    }

    fn columns(&self) -> &'static [ColumnInfo] {
        T::COLUMNS
    }

    fn column(&self, index: usize) -> Option<&dyn ColumnValue> {
        T::column(self, index)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// As [`Row<T>`], with the feature `serde`.
#[cfg(feature = "serde")]
impl serde_core::Serialize for dyn AnyRow {
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.columns().iter().enumerate();
        let mut columns =
            columns.filter_map(|(index, info)| Some((info.name, info.kind, self.column(index)?)));
        crate::model::serialize::write(Some(self.uuid()), &mut columns, serializer)
    }
}

/// What became of a row of any table.
#[derive(Debug, Clone)]
pub enum AnyChange {
    /// The row is new.
    Inserted(Arc<dyn AnyRow>),
    /// The row has other columns than before.
    Modified {
        /// The row as it was.
        old: Arc<dyn AnyRow>,
        /// The row as it is.
        new: Arc<dyn AnyRow>,
    },
    /// The row is gone.
    Deleted(Arc<dyn AnyRow>),
}

impl AnyChange {
    pub(super) fn new(old: Option<Arc<dyn AnyRow>>, new: Option<Arc<dyn AnyRow>>) -> Option<Self> {
        Some(match (old, new) {
            (Some(old), Some(new)) => Self::Modified { old, new },
            (None, Some(new)) => Self::Inserted(new),
            (Some(old), None) => Self::Deleted(old),
            (None, None) => return None,
        })
    }

    /// The row as it was, unless it is new.
    #[must_use]
    pub fn before(&self) -> Option<&dyn AnyRow> {
        match self {
            Self::Inserted(_) => None,
            Self::Modified { old, .. } | Self::Deleted(old) => Some(&**old),
        }
    }

    /// The row as it is, unless it is gone.
    #[must_use]
    pub fn after(&self) -> Option<&dyn AnyRow> {
        match self {
            Self::Inserted(new) | Self::Modified { new, .. } => Some(&**new),
            Self::Deleted(_) => None,
        }
    }

    /// The row as it is, or as it was last.
    #[must_use]
    pub fn row(&self) -> &dyn AnyRow {
        match self {
            Self::Inserted(row) | Self::Modified { new: row, .. } | Self::Deleted(row) => &**row,
        }
    }

    /// The columns that changed: of a row that was modified those that differ, else all.
    pub fn columns(&self) -> impl Iterator<Item = &'static ColumnInfo> {
        let (old, new) = (self.before(), self.after());
        let columns = self.row().columns().iter().enumerate();
        let changed = columns.filter(move |(index, _)| match (old, new) {
            (Some(old), Some(new)) => match (old.column(*index), new.column(*index)) {
                (Some(old), Some(new)) => !old.equals(new),
                _ => false,
            },
            _ => true,
        });
        changed.map(|(_, column)| column)
    }
}
