//! Streams of the changes of one table.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::erased::{SharedRow, shared};
use super::handle::Handle;
use super::snapshot::Snapshot;
use super::state::State;
use super::subscription::{Step, Subscription};
use super::table_state::TableState;
use super::table_type::TableType;
use crate::model::{Column, ColumnInfo, Mutability, Row, Table};
use crate::value::{Ref, Sealed, Uuid, Value};

/// A change of a row of the table `T`.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let mut rows = ovsdb::nb::Transaction::detached();
/// # let port = rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
/// # rows.commit_on(&server)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitchPort>().start().await?;
/// use ovsdb::cache::Change;
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// let mut changes = cache.changes::<Port>();
/// while let Some(batch) = changes.next().await {
///     for change in &batch {
///         match change {
///             Change::Inserted(port) => println!("{} is new", port.name),
///             Change::Modified { old, new } if change.changed(Port::TAG) => {
///                 println!("{}: the tag {:?} becomes {:?}", new.name, old.tag, new.tag);
///             }
///             Change::Modified { .. } => {}
///             Change::Deleted(port) => println!("{} is gone", port.name),
///         }
///     }
///     # assert_eq!(batch.len(), 1);
///     # break;
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug)]
pub enum Change<T> {
    /// The row is new.
    Inserted(Arc<Row<T>>),
    /// A column of the row changed, or only its [version](Row::version).
    Modified {
        /// The row before the change.
        old: Arc<Row<T>>,
        /// The row after the change.
        new: Arc<Row<T>>,
    },
    /// The row was deleted.
    Deleted(Arc<Row<T>>),
}

impl<T> Clone for Change<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Inserted(row) => Self::Inserted(row.clone()),
            Self::Modified { old, new } => Self::Modified {
                old: old.clone(),
                new: new.clone(),
            },
            Self::Deleted(row) => Self::Deleted(row.clone()),
        }
    }
}

impl<T: Table> Change<T> {
    /// The row before the change; `None` when it is new.
    #[must_use]
    pub const fn before(&self) -> Option<&Arc<Row<T>>> {
        match self {
            Self::Inserted(_) => None,
            Self::Modified { old, .. } | Self::Deleted(old) => Some(old),
        }
    }

    /// The row after the change; `None` when it was deleted.
    #[must_use]
    pub const fn after(&self) -> Option<&Arc<Row<T>>> {
        match self {
            Self::Inserted(new) | Self::Modified { new, .. } => Some(new),
            Self::Deleted(_) => None,
        }
    }

    /// The row after the change, or the deleted row.
    #[must_use]
    pub const fn row(&self) -> &Arc<Row<T>> {
        match self {
            Self::Inserted(row) | Self::Modified { new: row, .. } | Self::Deleted(row) => row,
        }
    }

    /// The row's uuid.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.row().uuid()
    }

    /// A reference to the row.
    #[must_use]
    pub fn reference(&self) -> Ref<T> {
        self.row().reference()
    }

    fn has_changed(&self, index: usize) -> bool {
        let Self::Modified { old, new } = self else {
            return true;
        };
        match (old.column(index), new.column(index)) {
            (Some(old), Some(new)) => !old.equals(new),
            _ => false,
        }
    }

    /// Whether the column changed. All columns of a new or deleted row count as changed.
    #[must_use]
    pub fn changed<V: Value, M: Mutability>(&self, column: Column<T, V, M>) -> bool {
        match self {
            Self::Modified { old, new } => column.get(old) != column.get(new),
            Self::Inserted(_) | Self::Deleted(_) => true,
        }
    }

    /// The columns that changed: those that differ if the row was modified, otherwise all.
    pub fn columns(&self) -> impl Iterator<Item = &'static ColumnInfo> {
        let columns = T::COLUMNS.iter().enumerate();
        columns
            .filter(|(index, _)| self.has_changed(*index))
            .map(|(_, column)| column)
    }
}

/// The changes of a table between two states, in no particular order.
pub(super) fn difference<T: Table>(
    old: &TableState,
    new: &TableState,
    mut keep: impl FnMut(Change<T>) -> Option<Change<T>>,
) -> Vec<Change<T>> {
    let mut changes = Vec::new();
    new.differences(old, &mut |old, new| {
        let typed = |row: Option<&SharedRow>| shared::<T>(row?.clone());
        let change = match (typed(old), typed(new)) {
            (Some(old), Some(new)) => Change::Modified { old, new },
            (Some(_), None) if planted!(DeleteNotStreamed) => return,
            (Some(old), None) => Change::Deleted(old),
            (None, Some(new)) => Change::Inserted(new),
            (None, None) => return,
        };
        changes.extend(keep(change));
    });
    changes
}

/// What a batch of changes stands for: the start of a stream, or server transactions.
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
/// # let mut changes = cache.changes::<ovsdb::nb::LogicalSwitch>();
/// # let batch = changes.next().await.expect("the rows that exist");
/// # assert!(batch.kind().is_start());
/// match batch.kind() {
///     kind if kind.is_start() => println!("{} rows exist", batch.len()),
///     kind if kind.is_resync() => println!("{} rows changed without a connection", batch.len()),
///     kind => println!("{} rows changed in {} transactions", batch.len(), kind.transactions()),
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchKind {
    transactions: u64,
    resync: bool,
    schema_change: bool,
}

impl BatchKind {
    pub(super) const START: Self = Self {
        transactions: 0,
        resync: false,
        schema_change: false,
    };

    pub(super) const fn of(step: &Step) -> Self {
        Self {
            transactions: step.transactions,
            resync: step.resync,
            schema_change: step.schema_change,
        }
    }

    /// Whether this is the first batch of a stream: all rows that existed when it was opened.
    #[must_use]
    pub const fn is_start(self) -> bool {
        self.transactions == 0
    }

    /// How many server transactions the batch stands for: 0 for the first batch of a stream, and 1 for a
    /// [resync](Self::is_resync), which may contain more. An update in which the server itself coalesced
    /// several transactions counts as one. The number is greater when the consumer was too slow and
    /// several were coalesced. The batch then has each row at most once, as it was before the first
    /// transaction and after the last; a row that was inserted and deleted in between is not in it.
    #[must_use]
    pub const fn transactions(self) -> u64 {
        self.transactions
    }

    /// Whether the batch coalesces more than one server transaction.
    #[must_use]
    pub const fn is_coalesced(self) -> bool {
        self.transactions > 1
    }

    /// Whether the monitor was started again before the batch: after a lost connection, a
    /// conversion of the schema, or an update that did not fit. The batch then has everything that
    /// changed meanwhile, in however many transactions.
    #[must_use]
    pub const fn is_resync(self) -> bool {
        self.resync
    }

    /// Whether the server's schema changed before the batch, by a conversion or between two connections:
    /// [`Cache::skew`](crate::Cache::skew) reports something else now, or a table that is known at run
    /// time only was added or has other columns.
    ///
    /// Every stream delivers such a batch, even when no row changed: columns may have disappeared, and
    /// new ones may have appeared that can be written from now on.
    #[must_use]
    pub const fn is_schema_change(self) -> bool {
        self.schema_change
    }

    /// Whether the batch is delivered even if it has no changes.
    pub(super) const fn must_be_seen(self) -> bool {
        self.is_start() || self.is_coalesced() || self.schema_change
    }
}

/// The changes of one table in one server transaction, or in several that were coalesced. A batch has
/// each row at most once.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let mut rows = ovsdb::nb::Transaction::detached();
/// # let port = rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
/// # rows.commit_on(&server)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().table::<ovsdb::nb::LogicalSwitchPort>().start().await?;
/// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
///
/// let mut changes = cache.changes::<LogicalSwitchPort>();
/// while let Some(batch) = changes.next().await {
///     // Other tables, as they are after the same transaction.
///     let switches = batch.snapshot().rows::<LogicalSwitch>().len();
///     for change in &batch {
///         println!("{} ({switches} switches)", change.row().name);
///     }
///     # assert_eq!((switches, batch.len()), (1, 1));
///     # break;
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
pub struct ChangeBatch<T: Table> {
    changes: Vec<Change<T>>,
    kind: BatchKind,
    snapshot: Snapshot<T::Database>,
}

impl<T: Table> fmt::Debug for ChangeBatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeBatch")
            .field("changes", &self.changes)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl<T: Table> ChangeBatch<T> {
    /// What the batch stands for: the start of the stream, one transaction, or several.
    #[must_use]
    pub const fn kind(&self) -> BatchKind {
        self.kind
    }

    /// All tables as they are after the batch.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot<T::Database> {
        &self.snapshot
    }

    /// The number of changes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are no changes, as at the start of an empty table.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes, in no particular order.
    pub fn iter(&self) -> std::slice::Iter<'_, Change<T>> {
        self.changes.iter()
    }
}

impl<T: Table> IntoIterator for ChangeBatch<T> {
    type Item = Change<T>;
    type IntoIter = std::vec::IntoIter<Change<T>>;
    fn into_iter(self) -> Self::IntoIter {
        self.changes.into_iter()
    }
}

impl<'a, T: Table> IntoIterator for &'a ChangeBatch<T> {
    type Item = &'a Change<T>;
    type IntoIter = std::slice::Iter<'a, Change<T>>;
    fn into_iter(self) -> Self::IntoIter {
        self.changes.iter()
    }
}

/// Columns of the table `T`: one column, or a tuple of up to eight.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitchPort>().start().await?;
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// // Leaves out modifications of other columns.
/// let changes = cache.changes::<Port>().columns((Port::UP, Port::TAG));
/// # let _ = changes;
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
pub trait Columns<T: Table>: Sealed {
    /// Calls `each` with the index of each column.
    fn each(&self, each: &mut dyn FnMut(usize));
}

impl<T, V, M> Sealed for Column<T, V, M> {}

impl<T: Table, V: Value, M: Mutability> Columns<T> for Column<T, V, M> {
    fn each(&self, each: &mut dyn FnMut(usize)) {
        each(self.index());
    }
}

/// Tuples of columns.
macro_rules! tuples {
    ($( ($($column:ident $at:tt),*) )*) => { $(
        impl<$($column: Sealed),*> Sealed for ($($column,)*) {}

        impl<T: Table, $($column: Columns<T>),*> Columns<T> for ($($column,)*) {
            fn each(&self, each: &mut dyn FnMut(usize)) {
                $( self.$at.each(each); )*
            }
        }
    )* };
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

/// Which rows a stream shows.
type Predicate<T> = Box<dyn Fn(&Row<T>) -> bool + Send + Sync>;

/// The changes of the table `T`: all its rows first, then each server transaction that changes the
/// table, one batch at a time. [`Cache::changes`](crate::Cache::changes) opens one.
///
/// A [change of the schema](BatchKind::is_schema_change) is reported too. When a consumer lags by more
/// than 1,024 transactions, or 16 MiB of messages, the queued transactions are coalesced into one batch,
/// which [reports it](BatchKind::is_coalesced) and has each changed row once. So memory stays bounded,
/// and applying all batches always gives the table. A stream may be opened and dropped at any time, and
/// keeps its cache alive. It ends when the cache [ends](super::Freshness::Ended), usually because the
/// client was closed.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().all_tables().start().await?;
/// use ovsdb::cache::Change;
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// let mut changes = cache.changes::<Port>();
/// while let Some(batch) = changes.next().await {
///     for change in &batch {
///         match change {
///             Change::Inserted(port) => println!("{} is new", port.name),
///             Change::Deleted(port) => println!("{} is gone", port.name),
///             change if change.changed(Port::UP) => println!("{} went up or down", change.uuid()),
///             _ => {}
///         }
///     }
/// #   break;
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct Changes<T: Table> {
    subscription: Arc<Subscription>,
    /// The index of the table in a state.
    table: usize,
    /// The table as the consumer knows it.
    seen: Arc<TableState>,
    /// The state that the stream begins with, until it is delivered.
    start: Option<Arc<State>>,
    columns: Vec<usize>,
    rows: Vec<Predicate<T>>,
    handle: Handle,
}

impl<T: Table> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("table", &T::TABLE)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Opens a stream of the changes of the table `T`; `None` when the replica was started without it.
    pub(crate) fn changes<T: Table>(&self) -> Option<Changes<T>> {
        let table = self.shared().state.load().registry.find::<T>()?;
        Some(Changes::new(self.clone(), table))
    }
}

impl<T: Table> Changes<T> {
    /// The database's name, for the log.
    pub(super) fn database(&self) -> &str {
        &self.handle.shared().database
    }

    fn new(handle: Handle, table: usize) -> Self {
        let (subscription, start) = handle.shared().subscribe(Some(table));
        Self {
            subscription,
            table,
            seen: Arc::new(TableState::new(TableType::of::<T>())),
            start: Some(start),
            columns: Vec::new(),
            rows: Vec::new(),
            handle,
        }
    }

    /// Leaves out modifications in which none of these columns changed. Inserted and deleted rows are
    /// still shown.
    pub fn columns(mut self, columns: impl Columns<T>) -> Self {
        columns.each(&mut |column| self.columns.push(column));
        self
    }

    /// Shows only rows for which `predicate` holds. A row for which it begins to hold is shown as
    /// inserted, and one for which it ceases to hold as deleted.
    pub fn rows(mut self, predicate: impl Fn(&Row<T>) -> bool + Send + Sync + 'static) -> Self {
        self.rows.push(Box::new(predicate));
        self
    }

    /// How many batches are queued, including those that the filters will leave out.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.subscription.len() + usize::from(self.start.is_some())
    }

    /// Whether the stream's filter shows the row.
    pub(super) fn shows(&self, row: &Row<T>) -> bool {
        self.rows.iter().all(|predicate| predicate(row))
    }

    /// The change after the filters; `None` if they hide it.
    fn filter(&self, change: Change<T>) -> Option<Change<T>> {
        let change = match change {
            Change::Modified { old, new } => match (self.shows(&old), self.shows(&new)) {
                (true, true) => Change::Modified { old, new },
                (true, false) => Change::Deleted(old),
                (false, true) => Change::Inserted(new),
                (false, false) => return None,
            },
            other if self.shows(other.row()) => other,
            _ => return None,
        };
        let wanted = self.columns.is_empty()
            || self
                .columns
                .iter()
                .any(|column| change.has_changed(*column));
        wanted.then_some(change)
    }

    /// The batch that leads to this state; `None` if there is nothing to show.
    fn batch(&mut self, state: Arc<State>, kind: BatchKind) -> Option<ChangeBatch<T>> {
        let new = state.tables.get(self.table)?.clone();
        let changes = difference(&self.seen, &new, |change| self.filter(change));
        self.seen = new;
        if changes.is_empty() && !kind.must_be_seen() {
            return None;
        }
        Some(ChangeBatch {
            changes,
            kind,
            snapshot: Snapshot::new(state),
        })
    }

    /// The next batch; `None` once the cache has [ended](super::Freshness::Ended) and the queued batches
    /// were returned. Cancel-safe: no batch is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ChangeBatch<T>> {
        poll_fn(|context| self.poll_batch(context)).await
    }

    /// The next batch if one is queued, without waiting.
    pub fn try_next(&mut self) -> Option<ChangeBatch<T>> {
        if let Some(start) = self.start.take()
            && let Some(batch) = self.batch(start, BatchKind::START)
        {
            return Some(batch);
        }
        while let Some(step) = self.subscription.pop() {
            let kind = BatchKind::of(&step);
            if let Some(batch) = self.batch(step.state, kind) {
                return Some(batch);
            }
        }
        None
    }

    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<ChangeBatch<T>>> {
        loop {
            if let Some(batch) = self.try_next() {
                return Poll::Ready(Some(batch));
            }
            match self.subscription.poll_pop(context) {
                Poll::Ready(Some(step)) => {
                    let kind = BatchKind::of(&step);
                    if let Some(batch) = self.batch(step.state, kind) {
                        return Poll::Ready(Some(batch));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<T: Table> Stream for Changes<T> {
    type Item = ChangeBatch<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_batch(context)
    }
}
