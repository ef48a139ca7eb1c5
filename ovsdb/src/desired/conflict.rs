//! Why no plan can be made: the desired rows contradict each other or the view, a plan would touch rows
//! of other owners, a value cannot be sent, or the cache lacks a table or an index.

use crate::value::Uuid;

/// Why there is no plan.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// use ovsdb::desired::Conflict;
/// use ovsdb::nb::{self, AddressSet};
/// use ovsdb::testing::SnapshotBuilder;
///
/// let mut rows = SnapshotBuilder::<nb::Database>::new();
/// let theirs = [("owner", "them")].into();
/// rows.insert(AddressSet { name: "pods".into(), external_ids: theirs, ..Default::default() });
///
/// let mut desired = nb::Desired::new();
/// desired.owned::<AddressSet>(AddressSet::EXTERNAL_IDS.includes([("owner", "me")]));
/// let set = desired.row(AddressSet::NAME, "pods");
/// set.part(AddressSet::EXTERNAL_IDS, [("owner", "me")]);
/// let conflicts = desired.plan(&rows.build().expect("rows")).expect_err("it is theirs");
/// assert!(matches!(conflicts, Conflict::HeldByOther { .. }));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A row that has the key or meets the condition of a wanted one exists and belongs to another owner.
    #[error(
        "{table} {wanted} is wanted, but the existing row {row} belongs to another owner: {held}"
    )]
    HeldByOther {
        /// The table.
        table: &'static str,
        /// The wanted row's name.
        wanted: String,
        /// The existing row.
        row: Uuid,
        /// The columns of that row that tell its owner, each as `column: value`, with the value as
        /// JSON.
        held: String,
    },
    /// A wanted row would not meet the condition for [owned](super::Desired::owned) rows.
    #[error(
        "{table} {wanted} is wanted, but does not meet the condition for owned rows: {condition}"
    )]
    NotOwned {
        /// The table.
        table: &'static str,
        /// The wanted row's name.
        wanted: String,
        /// The condition for owned rows.
        condition: String,
    },
    /// Two wanted rows are the same row of the database.
    #[error("{table} {wanted} and {other} are wanted, but they are the same row: {row}")]
    SameRow {
        /// The table.
        table: &'static str,
        /// The one row's name.
        wanted: String,
        /// The other row's name.
        other: String,
        /// The row.
        row: Uuid,
    },
    /// A row that is wanted by its uuid does not exist. Such a row is never inserted.
    #[error(
        "{table} {row} is wanted by its uuid, but does not exist: plan again on a newer view, or want the row by a key"
    )]
    NoSuchRow {
        /// The table.
        table: &'static str,
        /// The uuid.
        row: Uuid,
    },
    /// The condition of [owned](super::Desired::owned) or [unwanted](super::Desired::unwanted) rows has a
    /// reference to a wanted row, which may not exist yet. Use the reference of an existing row.
    #[error(
        "the condition of owned or unwanted rows of {table} refers to a wanted row: use the reference of an existing row"
    )]
    RefersToWanted {
        /// The table of the owned or unwanted rows.
        table: &'static str,
    },
    /// A wanted row would not have the key, or not meet the condition, by which it is wanted, so it
    /// would not be found again.
    #[error(
        "{table} {wanted} is wanted, but its columns do not match the key or the condition by which it is wanted: it would not be found again"
    )]
    NotFoundAgain {
        /// The table.
        table: &'static str,
        /// The wanted row's name.
        wanted: String,
    },
    /// A [part](super::WantedRow::part) with a value that cannot be sent, such as a string with a NUL.
    /// The values of [`set`](super::WantedRow::set) are checked by the commit.
    #[error("{table} {wanted} is wanted, but its value of {column} cannot be sent")]
    Value {
        /// The table.
        table: &'static str,
        /// The wanted row's name.
        wanted: String,
        /// The column.
        column: &'static str,
    },
    /// The cache was started without a table.
    #[error("the plan needs the table {table}, but the cache was started without it")]
    NotReplicated {
        /// The table.
        table: &'static str,
    },
    /// The cache was started without an index.
    #[error("{table} {wanted} is wanted by an index that the cache was started without")]
    NoIndex {
        /// The table.
        table: &'static str,
        /// The wanted row's name.
        wanted: String,
    },
    /// A wanted row refers to an owned row that the same plan deletes because it is not wanted. Want that
    /// row as well, or do not refer to it.
    #[error(
        "{table} {wanted} refers in {column} to the row {row}, which is not wanted: the plan would delete it"
    )]
    RefersToDeleted {
        /// The table.
        table: &'static str,
        /// The wanted row's name.
        wanted: String,
        /// The column.
        column: &'static str,
        /// The row that would be deleted.
        row: Uuid,
    },
}
