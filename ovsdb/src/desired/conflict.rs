//! What cannot be had, or would touch rows of others.

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
    /// A row with the key of a wanted one exists and belongs to another owner.
    #[error(
        "{table} {wanted} is wanted, but the row {row} that there is belongs to another owner: {held}"
    )]
    HeldByOther {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
        /// The row that there is.
        row: Uuid,
        /// The columns of that row that tell its owner, as JSON.
        held: String,
    },
    /// A wanted row would not be one of the [owned](super::Desired::owned) ones.
    #[error("{table} {wanted} is wanted, but would not be owned: it lacks {condition}")]
    NotOwned {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
        /// What owned rows meet.
        condition: String,
    },
    /// Two wanted rows are the same row of the database.
    #[error("{table} {wanted} and {other} are wanted, and are one row: {row}")]
    SameRow {
        /// The table.
        table: &'static str,
        /// What the one is called.
        wanted: String,
        /// What the other is called.
        other: String,
        /// The row.
        row: Uuid,
    },
    /// A row that is wanted by its uuid does not exist. Only a row that is wanted by a key can be inserted.
    #[error(
        "{table} {row} is wanted by its uuid, but does not exist: plan again on a newer view, or want the row by a key"
    )]
    NoSuchRow {
        /// The table.
        table: &'static str,
        /// The uuid.
        row: Uuid,
    },
    /// A wanted row would not have the key by which it is wanted, and not be found again.
    #[error("{table} {wanted} is wanted, but with other columns: it would not be found again")]
    NotFoundAgain {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
    },
    /// A value that cannot be sent, such as a string with a NUL.
    #[error("{table} {wanted} is wanted, with a value of {column} that cannot be sent")]
    Value {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
        /// The column.
        column: &'static str,
    },
    /// The cache was started without a table.
    #[error("rows of {table} are wanted, but the cache was started without the table")]
    NotReplicated {
        /// The table.
        table: &'static str,
    },
    /// The cache was started without an index.
    #[error("{table} {wanted} is to be found in an index that the cache was started without")]
    NoIndex {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
    },
    /// A wanted row is to refer to a row that the same plan deletes: that row is to be wanted as well, or not
    /// referred to.
    #[error(
        "{table} {wanted} is wanted with a reference to the row {row} in {column}, which is not wanted: the plan would delete it"
    )]
    RefersToDeleted {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
        /// The column.
        column: &'static str,
        /// The row that would be deleted.
        row: Uuid,
    },
}
