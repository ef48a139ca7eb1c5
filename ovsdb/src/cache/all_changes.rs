//! Streams of the changes of a whole replica.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::any::AnyChange;
use super::changes::{BatchKind, Change, difference};
use super::handle::Handle;
use super::snapshot::Snapshot;
use super::state::State;
use super::subscription::{Step, Subscription};
use super::table_state::TableState;
use super::table_type::TableType;
use crate::model::{Database, Table};

/// The changes of all tables in one server transaction, or in several that were coalesced.
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
/// # let batch = cache.all_changes().next().await.expect("the rows that exist");
/// let (switches, ports) = (batch.table::<LogicalSwitch>(), batch.table::<LogicalSwitchPort>());
/// println!("{} changes of switches and {} of ports", switches.len(), ports.len());
/// # assert_eq!((switches.len(), ports.len()), (1, 1));
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
pub struct DatabaseChanges<D> {
    /// The state before; `None` in the first batch of a stream.
    before: Option<Arc<State>>,
    after: Arc<State>,
    kind: BatchKind,
    database: PhantomData<fn() -> D>,
}

impl<D> fmt::Debug for DatabaseChanges<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseChanges")
            .field("tables", &self.changed().collect::<Vec<_>>())
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl<D> DatabaseChanges<D> {
    fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.after.tables.len()).filter(|at| match &self.before {
            Some(before) => !before.has_same(&self.after, *at),
            None => self.after.tables[*at].rows.len() > 0,
        })
    }

    fn changed(&self) -> impl Iterator<Item = &str> {
        self.places().map(|at| &*self.after.registry.names[at])
    }
}

impl<D: Database> DatabaseChanges<D> {
    /// What the batch stands for: the start of the stream, one transaction, or several.
    #[must_use]
    pub const fn kind(&self) -> BatchKind {
        self.kind
    }

    /// All tables as they are after the batch.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<D> {
        Snapshot::new(self.after.clone())
    }

    /// All tables as they were before the batch; `None` in the first batch of a stream.
    #[must_use]
    pub fn before(&self) -> Option<Snapshot<D>> {
        self.before.clone().map(Snapshot::new)
    }

    /// The names of the tables that changed.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.changed()
    }

    /// The changes of the table `T`, in no particular order.
    ///
    /// # Panics
    /// When the cache was started without the table.
    #[must_use]
    #[track_caller]
    pub fn table<T: Table<Database = D>>(&self) -> Vec<Change<T>> {
        let Some(at) = self.after.registry.find::<T>() else {
            panic!("the cache was started without the table {}", T::TABLE)
        };
        let new = &self.after.tables[at];
        match self.before.as_ref().and_then(|state| state.tables.get(at)) {
            Some(old) => difference(old, new, Some),
            None => difference(&TableState::new(TableType::of::<T>()), new, Some),
        }
    }

    /// The changes of all tables, for code that works with any table.
    #[must_use]
    pub fn all(&self) -> Vec<AnyChange> {
        self.places().flat_map(|at| self.changes_of(at)).collect()
    }

    /// The changes of the table with this name, in no particular order; `None` when the cache was
    /// started without it.
    #[must_use]
    pub fn any_table(&self, table: &str) -> Option<Vec<AnyChange>> {
        let at = self.after.registry.position(table)?;
        Some(self.changes_of(at))
    }

    fn changes_of(&self, at: usize) -> Vec<AnyChange> {
        let before = self.before.as_ref().and_then(|state| state.tables.get(at));
        self.after.tables[at].changes_since(before.map(|before| &**before))
    }
}

/// The changes of a whole replica: all rows first, then each server transaction, across tables, one batch
/// at a time. [`Cache::all_changes`](crate::Cache::all_changes) opens such a stream.
///
/// The guarantees of [`Changes`](super::Changes) for one table hold here for all tables.
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
/// let mut changes = cache.all_changes();
/// while let Some(batch) = changes.next().await {
///     for change in batch.all() {
///         println!("{} {}", change.row().table(), change.row().uuid());
///     }
///     # break;
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct AllChanges<D> {
    subscription: Arc<Subscription>,
    /// The state that the consumer has seen; `None` until the first batch was delivered.
    seen: Option<Arc<State>>,
    start: Option<Arc<State>>,
    database: PhantomData<fn() -> D>,
    handle: Handle,
}

impl<D> fmt::Debug for AllChanges<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllChanges")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Opens a stream of the changes of all tables.
    pub(crate) fn all_changes<D: Database>(&self) -> AllChanges<D> {
        AllChanges::new(self.clone())
    }
}

impl<D> AllChanges<D> {
    /// The database's name, for the log.
    pub(super) fn database(&self) -> &str {
        &self.handle.shared().database
    }

    /// How many batches are queued.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.subscription.len() + usize::from(self.start.is_some())
    }
}

impl<D: Database> AllChanges<D> {
    fn new(handle: Handle) -> Self {
        let (subscription, start) = handle.shared().subscribe(None);
        Self {
            subscription,
            seen: None,
            start: Some(start),
            database: PhantomData,
            handle,
        }
    }

    fn batch(&mut self, state: Arc<State>, kind: BatchKind) -> DatabaseChanges<D> {
        DatabaseChanges {
            before: self.seen.replace(state.clone()),
            after: state,
            kind,
            database: PhantomData,
        }
    }

    fn step(&mut self, step: Step) -> DatabaseChanges<D> {
        let kind = BatchKind::of(&step);
        self.batch(step.state, kind)
    }

    /// The next batch; `None` once the cache has [ended](super::Freshness::Ended) and the queued batches
    /// were returned. Cancel-safe: no batch is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<DatabaseChanges<D>> {
        poll_fn(|context| self.poll_batch(context)).await
    }

    /// The next batch if one is queued, without waiting.
    pub fn try_next(&mut self) -> Option<DatabaseChanges<D>> {
        if let Some(start) = self.start.take() {
            return Some(self.batch(start, BatchKind::START));
        }
        let step = self.subscription.pop()?;
        Some(self.step(step))
    }

    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<DatabaseChanges<D>>> {
        if let Some(start) = self.start.take() {
            return Poll::Ready(Some(self.batch(start, BatchKind::START)));
        }
        let popped = self.subscription.poll_pop(context);
        popped.map(|step| step.map(|step| self.step(step)))
    }
}

impl<D: Database> Stream for AllChanges<D> {
    type Item = DatabaseChanges<D>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_batch(context)
    }
}
