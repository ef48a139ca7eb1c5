//! Rows and changes of any table, for code that works with any table.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::model::{ColumnInfo, Row, Table};
use crate::protocol::Columns;
use crate::value::{ColumnKind, ColumnValue, Sealed, Str, Uuid};

/// A row of any table: a [`Row<T>`] of a compiled table, or a row of a table known at run time only.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// # let mut rows = ovsdb::testing::SnapshotBuilder::<ovsdb::nb::Database>::new();
/// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// # let view = rows.build()?;
/// for row in view.any_rows("Logical_Switch").into_iter().flatten() {
///     for (column, value) in row.values() {
///         println!("{} {column}: {}", row.uuid(), value.to_datum());
///     }
/// }
/// # assert_eq!(view.any_rows("Logical_Switch").into_iter().flatten().count(), 1);
/// # }
/// # Ok::<(), ovsdb::testing::ReplayError>(())
/// ```
pub trait AnyRow: Sealed + Any + fmt::Debug + Send + Sync {
    /// The row's uuid.
    fn uuid(&self) -> Uuid;
    /// The name of its table.
    fn table(&self) -> &str;
    /// Its columns, in the order of their indexes.
    fn columns(&self) -> AnyColumns<'_>;
    /// The value of the column with this index; `None` when there are fewer columns.
    fn column(&self, index: usize) -> Option<&dyn ColumnValue>;
    /// The row itself, to be downcast: a [`Row<T>`] where the table is compiled.
    fn as_any(&self) -> &dyn Any;
}

impl dyn AnyRow + '_ {
    /// The value of the column with this name; `None` when the row has no such column.
    ///
    /// [`to_datum`](ColumnValue::to_datum) converts the value, whatever its type, to a
    /// [`Datum`](crate::value::Datum).
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&dyn ColumnValue> {
        self.column(self.columns().position(column)?)
    }

    /// The names and values of all columns.
    pub fn values(&self) -> impl Iterator<Item = (&str, &dyn ColumnValue)> {
        let columns = self.columns();
        (0..columns.len()).filter_map(move |at| Some((columns.get(at)?.0, self.column(at)?)))
    }

    /// All columns by name, as operations take them.
    #[must_use]
    pub fn to_columns(&self) -> Columns {
        let values = self.values();
        values
            .map(|(name, value)| (Str::from(name), value.to_datum()))
            .collect()
    }
}

impl<T> Sealed for Row<T> {}

impl<T: Table> AnyRow for Row<T> {
    fn uuid(&self) -> Uuid {
        Self::uuid(self)
    }

    fn table(&self) -> &str {
        T::TABLE
    }

    fn columns(&self) -> AnyColumns<'_> {
        AnyColumns::compiled(T::COLUMNS)
    }

    fn column(&self, index: usize) -> Option<&dyn ColumnValue> {
        T::column(self, index)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Serializes as [`Row<T>`] does, with the feature `serde`.
#[cfg(feature = "serde")]
impl serde_core::Serialize for dyn AnyRow {
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.columns().iter().enumerate();
        let mut columns =
            columns.filter_map(|(index, (name, kind))| Some((name, kind, self.column(index)?)));
        crate::model::serialize::write(Some(self.uuid()), &mut columns, serializer)
    }
}

/// The names and shapes of the columns that a row of any table has.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// # let mut rows = ovsdb::testing::SnapshotBuilder::<ovsdb::nb::Database>::new();
/// # rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// # let view = rows.build()?;
/// # let row = view.any_rows("Logical_Switch_Port").into_iter().flatten().next().expect("a row");
/// let columns = row.columns();
/// let tag = columns.position("tag").and_then(|index| columns.get(index));
/// let (name, kind) = tag.expect("a column");
/// println!("{name} is of the type {kind}");
/// # }
/// # Ok::<(), ovsdb::testing::ReplayError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AnyColumns<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Compiled(&'static [ColumnInfo]),
    Named(&'a [NamedColumn]),
}

/// A column of a table known at run time only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedColumn {
    pub(super) name: Str,
    pub(super) kind: ColumnKind,
}

impl<'a> AnyColumns<'a> {
    pub(super) const fn compiled(columns: &'static [ColumnInfo]) -> Self {
        Self(Source::Compiled(columns))
    }

    pub(super) const fn named(columns: &'a [NamedColumn]) -> Self {
        Self(Source::Named(columns))
    }

    /// The number of columns.
    #[must_use]
    pub const fn len(self) -> usize {
        match self.0 {
            Source::Compiled(columns) => columns.len(),
            Source::Named(columns) => columns.len(),
        }
    }

    /// Whether there is no column.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The name and the shape of the column with this index.
    #[must_use]
    pub fn get(self, index: usize) -> Option<(&'a str, ColumnKind)> {
        match self.0 {
            Source::Compiled(columns) => {
                let column = columns.get(index)?;
                Some((column.name, column.kind))
            }
            Source::Named(columns) => {
                let column = columns.get(index)?;
                Some((&column.name, column.kind))
            }
        }
    }

    /// The index of the column with this name.
    #[must_use]
    pub fn position(self, name: &str) -> Option<usize> {
        match self.0 {
            Source::Compiled(columns) => columns.iter().position(|column| column.name == name),
            Source::Named(columns) => columns.iter().position(|column| column.name == name),
        }
    }

    /// The names and shapes, in the order of the indexes.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (&'a str, ColumnKind)> {
        let (compiled, named) = match self.0 {
            Source::Compiled(columns) => (columns, [].as_slice()),
            Source::Named(columns) => ([].as_slice(), columns),
        };
        (0..self.len()).map(move |at| match compiled.get(at) {
            Some(column) => (column.name, column.kind),
            None => (named[at].name.as_str(), named[at].kind),
        })
    }

    /// The names, in the order of the indexes.
    pub fn names(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.iter().map(|(name, _)| name)
    }

    /// Whether these are the other row's columns themselves, not only equal ones.
    pub(super) fn is_same(self, other: AnyColumns<'_>) -> bool {
        match (self.0, other.0) {
            (Source::Compiled(a), Source::Compiled(b)) => std::ptr::eq(a, b),
            (Source::Named(a), Source::Named(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }
}

/// A change of a row of any table.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let mut rows = ovsdb::nb::Transaction::detached();
/// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// # rows.commit_on(&server)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// use ovsdb::cache::AnyChange;
///
/// let mut changes = cache.all_changes();
/// while let Some(batch) = changes.next().await {
///     for change in batch.all() {
///         match change {
///             AnyChange::Inserted(row) => println!("{} {} is new", row.table(), row.uuid()),
///             AnyChange::Modified { new, .. } => println!("{} {} changed", new.table(), new.uuid()),
///             AnyChange::Deleted(row) => println!("{} {} is gone", row.table(), row.uuid()),
///         }
///     }
///     # assert_eq!(batch.all().len(), 1);
///     # break;
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub enum AnyChange {
    /// The row is new.
    Inserted(Arc<dyn AnyRow>),
    /// A column of the row changed, or only its [version](Row::version).
    Modified {
        /// The row before the change.
        old: Arc<dyn AnyRow>,
        /// The row after the change.
        new: Arc<dyn AnyRow>,
    },
    /// The row was deleted.
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

    /// The row before the change; `None` when it is new.
    #[must_use]
    pub fn before(&self) -> Option<&dyn AnyRow> {
        match self {
            Self::Inserted(_) => None,
            Self::Modified { old, .. } | Self::Deleted(old) => Some(&**old),
        }
    }

    /// The row after the change; `None` when it was deleted.
    #[must_use]
    pub fn after(&self) -> Option<&dyn AnyRow> {
        match self {
            Self::Inserted(new) | Self::Modified { new, .. } => Some(&**new),
            Self::Deleted(_) => None,
        }
    }

    /// The row after the change, or the deleted row.
    #[must_use]
    pub fn row(&self) -> &dyn AnyRow {
        match self {
            Self::Inserted(row) | Self::Modified { new: row, .. } | Self::Deleted(row) => &**row,
        }
    }

    /// The names of the columns that changed: those that differ if the row was modified, otherwise
    /// all. After a change of the server's schema, also those that only one of the two rows has.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let (old, new) = (self.before(), self.after());
        let differs = move |name: &&str| match (old, new) {
            (Some(old), Some(new)) => match (old.get(name), new.get(name)) {
                (Some(old), Some(new)) => !old.equals(new),
                _ => true,
            },
            _ => true,
        };
        let row = self.row();
        let only_old = old.filter(|old| !old.columns().is_same(row.columns()));
        let only_old = only_old.into_iter().flat_map(|old| old.columns().names());
        let only_old = only_old.filter(move |name| row.get(name).is_none());
        row.columns().names().chain(only_old).filter(differs)
    }
}
