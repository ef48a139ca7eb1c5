//! The replica: the tables, rows and columns that a monitor selects, kept up to date with the server.
//!
//! [`Cache`](crate::Cache) is the handle of one replica. Its `snapshot` returns a [`Snapshot`], a view
//! of all tables after the same server transaction. A snapshot does not change while the replica does.

mod all_changes;
mod any;
mod changes;
mod copies;
mod erased;
#[cfg(feature = "testing")]
pub(crate) mod fixture;
mod handle;
mod index;
mod look_ahead;
mod lookup;
mod monitor;
mod named;
mod plan;
mod prefetch;
#[cfg(feature = "testing")]
pub(crate) mod replay;
mod scan;
mod shared;
mod skew;
mod snapshot;
mod state;
mod subscription;
mod table;
mod table_state;
mod table_type;
mod tables;
#[cfg(test)]
mod tests;
mod views;
mod work_queue;

pub use self::all_changes::{AllChanges, DatabaseChanges};
pub use self::any::{AnyChange, AnyColumns, AnyRow};
pub use self::changes::{BatchKind, Change, ChangeBatch, Changes, Columns};
pub(crate) use self::handle::Handle;
pub(crate) use self::index::KeyName;
pub use self::index::{Elements, Index, Key, OrderedIndex};
pub(crate) use self::look_ahead::LOOK_AHEAD;
pub use self::lookup::LookUp;
pub(crate) use self::monitor::ReplicaMonitor;
pub use self::shared::Freshness;
pub(crate) use self::shared::{Basis, Shared};
pub use self::skew::{Skew, SkewReport};
pub use self::snapshot::{ReferencesNotIndexed, Referrers, Snapshot, TableView};
pub use self::table::{ApplyError, ApplyErrorReason};
pub(crate) use self::tables::Tables;
pub(crate) use self::views::Views;
pub use self::work_queue::{Work, WorkQueue};
pub(crate) use self::work_queue::{catching, message};
