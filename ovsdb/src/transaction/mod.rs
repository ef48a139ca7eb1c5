//! Transactions: built with types, sent as one request, answered operation by operation.

mod any;
mod apply;
mod commit;
mod detached;
mod difference;
mod duplicate;
mod edit;
mod find_by;
mod garbage;
mod guard;
mod merge;
mod names;
mod once;
mod operations;
mod outcome;
mod overlay;
mod range;
mod read;
mod read_column;
mod retry;
#[cfg(test)]
mod tests;
mod touched;
mod write;
mod written;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ovsdb_schema::DatabaseSchema;

use self::detached::Detached;
use self::overlay::Overlay;
use crate::cache::Basis;
use crate::client::{Cache, Client};
use crate::model::{ColumnInfo, Database, RowIdentity, Table};
use crate::protocol::Operation;
use crate::simulated::new_uuid;
use crate::value::{Str, Uuid};

pub use self::any::AnyOperations;
pub use self::duplicate::{Duplicate, DuplicateRow};
pub use self::edit::EditRow;
pub use self::find_by::FindBy;
pub(crate) use self::find_by::RowKey;
pub use self::merge::MergeConflict;
pub use self::operations::{Mutate, Update, Wait};
pub use self::outcome::{BuildError, CommitError, OperationIndex, Outcome, Refusal, Selection};
pub use self::read::Peek;
pub use self::retry::{Retry, RetryPolicy};
pub use self::written::{GivenColumns, Mutations, TableOperation};

/// A transaction under construction; [`Client::transaction`] makes one, and for unit tests
/// [`Transaction::detached`] does.
///
/// Operations are carried out in order, all or none. Nothing is sent before
/// [`commit`](Self::commit).
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
///
/// let mut txn = client.transaction();
/// let port = txn.insert(LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// txn.mutate(LogicalSwitch::NAME.eq("sw0")).insert(LogicalSwitch::PORTS, [port]);
/// txn.commit().await?;
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[must_use = "a transaction does nothing until it is committed"]
pub struct Transaction<D> {
    origin: Origin<D>,
    timeout: Option<Duration>,
    /// The replica that the operations are based on. They are sent only if it has been current without
    /// interruption since this was set.
    basis: Option<Basis>,
    operations: Vec<Operation>,
    /// How many of the first operations were added by this crate.
    guards: usize,
    /// How many operations `sealed` added: guards for what was read or replaced, and the author's
    /// comment. They come after the guards against earlier attempts.
    reads: usize,
    /// The uuids that this transaction uses for inserted rows, with the numbers of their operations.
    inserted: HashMap<Uuid, usize>,
    /// The first mistake, which the commit returns.
    mistake: Option<BuildError>,
    /// What was read and written through the transaction.
    overlay: Overlay<D>,
    /// The numbers, counted without the guards, of the waits that edits add. Such a wait fails if
    /// another client was first to set a key that the edit adds, to another value.
    edit_waits: BTreeSet<usize>,
}

/// The client that sends the transaction; in tests, what replaces it.
enum Origin<D> {
    Client(Client<D>),
    Detached(Detached),
}

impl<D> Clone for Origin<D> {
    fn clone(&self) -> Self {
        match self {
            Self::Client(client) => Self::Client(client.clone()),
            Self::Detached(detached) => Self::Detached(detached.clone()),
        }
    }
}

impl<D: Database> Origin<D> {
    /// The server's schema; `None` if it is not known.
    fn schema(&self) -> Option<Arc<DatabaseSchema>> {
        match self {
            Self::Client(client) => Some(client.server_schema()),
            Self::Detached(detached) => detached.schema.clone(),
        }
    }

    fn author(&self) -> Option<&Str> {
        match self {
            Self::Client(client) => client.author(),
            Self::Detached(_) => None,
        }
    }

    fn row_identity(&self) -> RowIdentity {
        match self {
            Self::Client(client) => client.row_identity(),
            Self::Detached(_) => RowIdentity::ClientChosen,
        }
    }

    /// Whether row versions come from the server that decides on the transaction.
    fn gives_versions(&self) -> bool {
        matches!(self, Self::Client(client) if !client.is_relay())
    }

    /// Numbers the rows that are inserted from now on after those of `other`, if neither has a client.
    fn number_after(&mut self, other: &Self) {
        if let (Self::Detached(own), Self::Detached(other)) = (self, other) {
            own.number_after(other);
        }
    }

    /// The uuid of a row to be inserted.
    fn new_uuid(&mut self) -> Uuid {
        match self {
            Self::Client(_) => new_uuid(),
            Self::Detached(detached) => detached.new_uuid(),
        }
    }
}

impl<D> Clone for Transaction<D> {
    fn clone(&self) -> Self {
        Self {
            origin: self.origin.clone(),
            timeout: self.timeout,
            basis: self.basis.clone(),
            operations: self.operations.clone(),
            guards: self.guards,
            inserted: self.inserted.clone(),
            mistake: self.mistake.clone(),
            overlay: self.overlay.clone(),
            edit_waits: self.edit_waits.clone(),
            reads: self.reads,
        }
    }
}

impl<D> fmt::Debug for Transaction<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("operations", &self.operations)
            .field("mistake", &self.mistake)
            .finish_non_exhaustive()
    }
}

impl<D: Database> Client<D> {
    /// A new, empty transaction.
    pub fn transaction(&self) -> Transaction<D> {
        Transaction::new(Origin::Client(self.clone()), self.request_timeout())
    }
}

impl<D: Database> Transaction<D> {
    fn new(origin: Origin<D>, timeout: Option<Duration>) -> Self {
        Self {
            origin,
            timeout,
            basis: None,
            operations: Vec::new(),
            guards: 0,
            inserted: HashMap::new(),
            mistake: None,
            overlay: Overlay::default(),
            edit_waits: BTreeSet::new(),
            reads: 0,
        }
    }

    /// The time allowed for the commit, including the wait for a connection; `None` for no limit.
    ///
    /// When the time limit passes before the reply, the client asks the server to cancel the transaction.
    /// The server may have committed it before, so the outcome is unknown, unless the transaction was
    /// not sent yet.
    pub const fn timeout(&mut self, limit: Option<Duration>) -> &mut Self {
        self.timeout = limit;
        self
    }

    /// Sends the transaction only if `cache` is [current](Cache::is_current) now, and stays so without
    /// interruption until the transaction is sent. So a transaction that is based on a view from before
    /// an outage is not sent after the outage. Call this method before taking the view.
    /// [`Client::apply`] does the same by itself.
    ///
    /// If the connection was lost or the schema converted meanwhile, or the cache is not current now,
    /// the commit ends with [`CommitError::NotSent`], and [`CommitError::retry`] says
    /// [`Again`](Retry::Again). It says [`Never`](Retry::Never) if no connection was made within the
    /// time limit.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// use ovsdb::nb::NbGlobal;
    ///
    /// cache.current().await?;
    /// let mut txn = client.transaction();
    /// txn.require_current(&cache);
    /// for global in cache.snapshot().rows::<NbGlobal>() {
    ///     txn.update(global).set(NbGlobal::NB_CFG, global.nb_cfg + 1);
    /// }
    /// txn.commit().await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn require_current(&mut self, cache: &Cache<D>) -> &mut Self {
        self.basis = Some(cache.basis());
        self
    }

    /// Whether the transaction has no operations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The operations so far.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Adds an operation that was built by hand.
    pub fn operation(&mut self, operation: Operation) -> OperationIndex {
        self.overlay.epoch += 1;
        self.operations.push(operation);
        OperationIndex(self.operations.len() - 1)
    }

    /// Inserts operations of this crate before all others.
    fn put_first(&mut self, operations: impl IntoIterator<Item = Operation>) {
        let before = self.operations.len();
        self.operations.splice(0..0, operations);
        let added = self.operations.len() - before;
        self.guards += added;
        for place in self.inserted.values_mut() {
            *place += added;
        }
    }

    fn mistake(&mut self, mistake: BuildError) {
        self.mistake.get_or_insert(mistake);
    }
}

/// Whether a server has the column, with a type that the compiled one can hold.
fn is_known<T: Table>(server: &DatabaseSchema, column: &ColumnInfo) -> bool {
    let table = server.tables.get(T::TABLE);
    let known = table.and_then(|table| table.columns.get(column.name));
    known.is_some_and(|known| column.kind.accepts(&known.kind))
}
