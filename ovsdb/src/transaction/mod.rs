//! Transactions: built typed, sent whole, answered operation by operation.

mod any;
mod apply;
mod detached;
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
mod read;
mod retry;
mod touched;
mod written;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ovsdb_schema::DatabaseSchema;
use tracing::Instrument as _;

use self::detached::Detached;
use self::names::{row_name, with_names};
use self::overlay::Overlay;
use self::touched::Written;
use crate::cache::Basis;
use crate::client::{Cache, Client};
use crate::model::{AllOf, Column, ColumnInfo, Database, Mutability, Row, RowIdentity, Table};
use crate::protocol::{Columns, InvalidValue, Operation, Until, check_operations};
use crate::session::CallError;
use crate::value::{Datum, Ref, Str, Uuid, Value};

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
/// [`Transaction::detached`].
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
    /// The replica that the operations were decided on; they are not sent once that is outdated.
    basis: Option<Basis>,
    operations: Vec<Operation>,
    /// How many of the first operations are not the user's.
    guards: usize,
    /// How many of these, the last ones, say what the transaction was decided on.
    reads: usize,
    /// The inserted rows' uuids, which references in this transaction may bear.
    inserted: HashMap<Uuid, usize>,
    /// The first mistake, which the commit returns.
    mistake: Option<BuildError>,
    /// What is read through the transaction.
    overlay: Overlay<D>,
    /// The places of the waits by which edits find that another client was faster, without the guards.
    edit_waits: BTreeSet<usize>,
}

/// Where a transaction goes, which also tells what it may write.
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
    /// The server's schema; `None` where nothing is known of it.
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

    /// The uuid of a row to be inserted.
    fn new_uuid(&mut self) -> Uuid {
        match self {
            Self::Client(_) => Uuid::new_v4(),
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

    /// How long the commit may take, the wait for a connection included; `None` waits for ever.
    ///
    /// When the time is over, the server is told to forget the transaction. It may have carried it
    /// out before: the outcome is unknown, unless the transaction was not even sent.
    pub const fn timeout(&mut self, limit: Option<Duration>) -> &mut Self {
        self.timeout = limit;
        self
    }

    /// Sends the transaction only if `cache` is [current](Cache::is_current), from now on without
    /// interruption: a decision on a view of it is not carried out after an outage. Call it
    /// before taking the view. [`Client::apply`] does so by itself.
    ///
    /// When the connection was lost meanwhile, or the schema converted, or the cache is not current
    /// now, the commit ends with [`CommitError::NotSent`], after which [`CommitError::retry`] says
    /// [`Again`](Retry::Again).
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

    /// Whether the transaction has no operation.
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

    /// Puts operations that are not the user's before all others.
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

    /// Checks a value that goes into the column `index` of `T`, and brings it into its wire form.
    fn datum<T: Table>(&mut self, index: usize, datum: Datum) -> Option<(Str, Datum)> {
        let column = T::COLUMNS.get(index)?;
        if let Some(server) = self.origin.schema()
            && !is_known::<T>(&server, column)
        {
            let (table, column) = (T::TABLE, column.name);
            self.mistake(BuildError::NoSuchColumn { table, column });
            return None;
        }
        Some((Str::from(column.name), datum))
    }

    /// Brings the whole value of the column `index` of `T` into its wire form. The server's type must have room for it.
    fn whole<T: Table>(&mut self, index: usize, datum: Datum) -> Option<(Str, Datum)> {
        let (name, datum) = self.datum::<T>(index, datum)?;
        let Some(server) = self.origin.schema() else {
            return Some((name, datum));
        };
        let column = server.tables.get(T::TABLE)?.columns.get(name.as_str())?;
        if let Some(mistake) = outcome::check_count::<T>(index, &column.kind, datum.len()) {
            self.mistake(mistake);
            return None;
        }
        Some((name, datum))
    }

    /// Inserts a row; columns that hold what the server stores in omitted ones are left to it.
    ///
    /// The reference can be used in this transaction at once, and is the row's for ever with
    /// [`RowIdentity::ClientChosen`].
    ///
    /// The server deletes a row of a table that is not in the root set in the same transaction, unless
    /// another row refers to it by a strong reference. So a transaction that inserts one without
    /// referring to it is not sent, but ends with [`BuildError::Unreferenced`].
    pub fn insert<T: Table<Database = D>>(&mut self, row: T) -> Ref<T> {
        let uuid = self.origin.new_uuid();
        self.insert_under(uuid, row)
    }

    /// As [`insert`](Self::insert), with this uuid where uuids are chosen here.
    pub(crate) fn insert_under<T: Table<Database = D>>(&mut self, uuid: Uuid, row: T) -> Ref<T> {
        let identity = self.identity_of(uuid);
        self.insert_as(identity, uuid, row)
    }

    /// How an inserted row is named on the wire: by its name in the transaction, or by its uuid.
    fn identity_of(&self, uuid: Uuid) -> (Option<Str>, Option<Uuid>) {
        match self.origin.row_identity() {
            RowIdentity::ClientChosen => (None, Some(uuid)),
            RowIdentity::Named => (Some(row_name(uuid)), None),
        }
    }

    /// Inserts a row under a uuid of the caller's choice, so that a second try of the same
    /// transaction is recognised by the server ("duplicate uuid"). With [`RowIdentity::Named`] as well:
    /// a server older than Open vSwitch 2.13 refuses it with a syntax error.
    pub fn insert_with_uuid<T: Table<Database = D>>(&mut self, uuid: Uuid, row: T) -> Ref<T> {
        self.insert_as((None, Some(uuid)), uuid, row)
    }

    fn insert_as<T: Table<Database = D>>(
        &mut self,
        (uuid_name, client_uuid): (Option<Str>, Option<Uuid>),
        uuid: Uuid,
        row: T,
    ) -> Ref<T> {
        let columns = self.columns_to_insert(&row);
        self.inserted.insert(uuid, self.operations.len());
        self.operations.push(Operation::Insert {
            table: T::TABLE.into(),
            row: columns,
            uuid_name,
            uuid: client_uuid,
        });
        let epoch = self.overlay.epoch;
        let row = Arc::new(Row::new(uuid, row));
        let touched = self.overlay.touch::<T>();
        let written = touched.write(uuid, || Written::inserted(row.clone(), epoch));
        if written.now.is_none() {
            // It was deleted before, under the same uuid.
            written.now = Some(row);
            written.is_inserted = written.before.is_none();
            written.start_again(epoch);
        }
        Ref::new(uuid)
    }

    /// The columns of a new row that are sent: those that differ from what the server stores anyway.
    fn columns_to_insert<T: Table<Database = D>>(&mut self, row: &T) -> Columns {
        let server = self.origin.schema();
        let known = server
            .as_ref()
            .and_then(|server| server.tables.get(T::TABLE));
        let mut nothing = None;
        let columns = T::COLUMNS.iter().enumerate().filter_map(|(index, info)| {
            let column = row.column(index)?;
            let known = known.and_then(|table| table.columns.get(info.name));
            let omitted = match known.filter(|known| info.kind.accepts(&known.kind)) {
                Some(known) => column.is_default(&known.kind),
                // Replicas read it as the struct's default.
                None => nothing
                    .get_or_insert_with(T::default)
                    .column(index)
                    .is_some_and(|unset| column.equals(unset)),
            };
            if omitted {
                return None;
            }
            self.whole::<T>(index, column.to_datum())
        });
        columns.collect::<Vec<_>>().into()
    }

    /// Sets columns of the rows that meet all clauses; the columns follow by
    /// [`Update::set`].
    #[must_use = "an update that sets no column is not sent"]
    pub fn update<T: Table<Database = D>>(
        &mut self,
        rows: impl Into<AllOf<T>>,
    ) -> Update<'_, D, T> {
        let operation = Operation::Update {
            table: T::TABLE.into(),
            conditions: rows.into().into_clauses(),
            row: Columns::new(),
        };
        Update::new(self, operation)
    }

    /// Changes columns of the rows that meet all clauses; the changes follow by the methods of
    /// [`Mutate`].
    #[must_use = "a mutation without a change is not sent"]
    pub fn mutate<T: Table<Database = D>>(
        &mut self,
        rows: impl Into<AllOf<T>>,
    ) -> Mutate<'_, D, T> {
        let operation = Operation::Mutate {
            table: T::TABLE.into(),
            conditions: rows.into().into_clauses(),
            mutations: Vec::new(),
        };
        Mutate::new(self, operation)
    }

    /// Deletes the rows that meet all clauses.
    pub fn delete<T: Table<Database = D>>(&mut self, rows: impl Into<AllOf<T>>) -> OperationIndex {
        let rows = rows.into();
        if let Some(uuid) = rows.as_row() {
            let (before, epoch) = (self.overlay.before::<T>(uuid), self.overlay.epoch);
            self.overlay.touch::<T>().delete(uuid, before, epoch);
        }
        self.operation(Operation::Delete {
            table: T::TABLE.into(),
            conditions: rows.into_clauses(),
        })
    }

    /// Reads the rows that meet all clauses; [`Outcome::rows`] has them.
    #[must_use = "the rows are read from the outcome by this"]
    pub fn select<T: Table<Database = D>>(&mut self, rows: impl Into<AllOf<T>>) -> Selection<T> {
        let server = self.origin.schema();
        // The columns that a replica asks for.
        let readable = |column: &&ColumnInfo| {
            let server = server.as_ref();
            server.is_none_or(|server| is_known::<T>(server, column))
        };
        let columns = T::COLUMNS.iter().filter(readable).map(|column| column.name);
        let operation = Operation::Select {
            table: T::TABLE.into(),
            conditions: rows.into().into_clauses(),
            columns: Some(
                ["_uuid"]
                    .into_iter()
                    .chain(columns)
                    .map(Str::from)
                    .collect(),
            ),
        };
        Selection::new(self.operation(operation))
    }

    /// Makes the transaction wait until rows are, or are not, as given; which columns to compare,
    /// and with what, follows by the methods of [`Wait`].
    pub fn wait<T: Table<Database = D>>(&mut self, rows: impl Into<AllOf<T>>) -> Wait<'_, D, T> {
        let operation = Operation::Wait {
            timeout: Some(0),
            table: T::TABLE.into(),
            conditions: rows.into().into_clauses(),
            columns: Some(Vec::new()),
            until: Until::Equal,
            rows: Vec::new(),
        };
        Wait::new(self, operation)
    }

    /// Fails the transaction with "timed out" unless a column of a row still is what `row` says,
    /// as `ovsdb_idl_txn_verify` of the C library does (optimistic concurrency).
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let cache = client.cache().all_tables().start().await?;
    /// # let view = cache.snapshot();
    /// use ovsdb::nb::Meter;
    ///
    /// if let Some(meter) = view.get_by(Meter::NAME, "arp-rate-limiter") {
    ///     let mut txn = client.transaction();
    ///     txn.verify(meter, Meter::FAIR);
    ///     txn.update(meter).set(Meter::FAIR, !meter.fair.unwrap_or(false));
    /// #   let _ = txn.commit().await;
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn verify<T: Table<Database = D>, V: Value, M: Mutability>(
        &mut self,
        row: &Row<T>,
        column: Column<T, V, M>,
    ) -> OperationIndex {
        self.wait(row.reference())
            .comparing(column)
            .until([T::clone(row)])
    }

    /// Writes a remark into the server's log and the database's history.
    pub fn comment(&mut self, comment: impl Into<Str>) -> OperationIndex {
        self.operation(Operation::Comment {
            comment: comment.into(),
        })
    }

    /// Fails the transaction unless the client holds this lock at the server that it is connected
    /// to; the servers of a cluster [have locks of their own](crate::Client::lock).
    pub fn assert_lock(&mut self, lock: impl Into<Str>) -> OperationIndex {
        self.operation(Operation::Assert { lock: lock.into() })
    }

    /// Fails the transaction on purpose: the operations before it are tried, and undone.
    pub fn abort(&mut self) -> OperationIndex {
        self.operation(Operation::Abort)
    }

    /// Makes the commit wait until the transaction is on the server's disk.
    pub fn durable(&mut self) -> OperationIndex {
        self.operation(Operation::Commit { durable: true })
    }

    /// Sends the transaction and waits for its outcome.
    ///
    /// A commit that resolved is visible in every cache of this client that
    /// [is current](crate::Cache::is_current) (read-your-writes). After a schema conversion, and
    /// whenever else a monitor is started again, the commit waits until the cache has its rows. It
    /// does not wait for a cache that is stale because the server refuses its monitor. It stops
    /// waiting when the time limit passes or the connection is lost after the server's answer: the
    /// transaction is committed then and reported so, and the caches that do not show it yet are
    /// stale.
    ///
    /// A transaction without operations commits at once; nothing is sent. Without a connection
    /// the commit waits for one, and sends the transaction as it is: what it was decided on may be
    /// long outdated by then. Where a replica decides what to write, [`Client::apply`] decides again
    /// instead, and [`require_current`](Self::require_current) prevents the sending. Dropping the future tells the server to forget the
    /// transaction, which may come too late.
    ///
    /// # Errors
    /// [`CommitError::Refused`] when the server refused it: nothing has changed.
    /// [`CommitError::Unknown`] when the connection was lost, or the time was over, before the
    /// answer: it may have been carried out or not; see [`commit_once`](Self::commit_once). The other kinds
    /// say that nothing was sent.
    pub async fn commit(self) -> Result<Outcome, CommitError> {
        let sealed = self.sealed();
        sealed.without_reads(sealed.send().await)
    }

    /// The answer to the user's operations alone.
    fn without_reads(&self, answer: Result<Outcome, CommitError>) -> Result<Outcome, CommitError> {
        match answer {
            Ok(outcome) => Ok(outcome.without_first(self.reads)),
            Err(error) => Err(self.without_own_guards(error)),
        }
    }

    /// The error without the places of guards.
    fn without_own_guards(&self, error: CommitError) -> CommitError {
        match error {
            CommitError::Refused(refusal) => {
                let refusal = refusal.without_guards(self.reads, &self.edit_waits);
                CommitError::Refused(Box::new(refusal))
            }
            other => other,
        }
    }

    /// Sends the operations as they are.
    async fn send(&self) -> Result<Outcome, CommitError> {
        let Origin::Client(client) = &self.origin else {
            return Err(CommitError::Build(BuildError::Detached));
        };
        let operations = self.operations.len();
        let span = tracing::debug_span!(
            "ovsdb_transaction",
            database = client.database(),
            operations
        );
        let outcome = self.send_uncounted(client).instrument(span).await;
        let counters = client.counters();
        match &outcome {
            Ok(outcome) if outcome.results().is_empty() => {}
            Ok(_) => counters.committed.add(1),
            Err(CommitError::Refused(_)) => counters.refused.add(1),
            Err(CommitError::Unknown(_) | CommitError::Answer(_)) => counters.unknown.add(1),
            Err(CommitError::Build(_) | CommitError::NotSent(_)) => {}
        }
        outcome
    }

    /// Whether the transaction can be sent: the first mistake that was made when it was written, such
    /// as a column that the server lacks, a row that nothing refers to, or a string with a NUL.
    /// [`commit`](Self::commit) begins with this.
    ///
    /// # Errors
    /// The mistake.
    pub fn check(&self) -> Result<(), BuildError> {
        self.check_rows()?;
        Ok(check_operations(&self.operations).map_err(|error| self.without_guards(error))?)
    }

    /// The check without that of the values, which is done when they are written.
    fn check_rows(&self) -> Result<(), BuildError> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let Some(schema) = self.origin.schema() else {
            return Ok(());
        };
        match garbage::first_unreferenced(&self.operations, &self.inserted, &schema) {
            Some(index) => Err(BuildError::Unreferenced {
                operation: index.saturating_sub(self.guards),
                table: self.operations[index].table().cloned().unwrap_or_default(),
            }),
            None => Ok(()),
        }
    }

    fn without_guards(&self, mut invalid: InvalidValue) -> InvalidValue {
        let operation = invalid.operation;
        invalid.operation = operation.and_then(|index| index.checked_sub(self.guards));
        invalid
    }

    /// The operations as they are on the wire.
    fn wire_operations(&self) -> Cow<'_, [Operation]> {
        match self.origin.row_identity() {
            RowIdentity::Named => {
                let named = |uuid| self.is_named(uuid);
                Cow::Owned(with_names(self.operations.iter().cloned(), named))
            }
            RowIdentity::ClientChosen => Cow::Borrowed(&self.operations),
        }
    }

    async fn send_uncounted(&self, client: &Client<D>) -> Result<Outcome, CommitError> {
        self.check_rows()?;
        if self.operations.is_empty() {
            return Ok(Outcome::empty());
        }
        let operations = self.wire_operations();
        let basis = self.basis.clone();
        let answer = client.transact(&operations, basis, self.timeout);
        match answer.await {
            Ok(text) => Outcome::read(text, &self.operations, &self.inserted),
            Err(CallError::Invalid(invalid)) => {
                let invalid = self.without_guards(invalid);
                Err(CommitError::Build(BuildError::InvalidValue(invalid)))
            }
            Err(CallError::Refused(error)) => {
                Err(CommitError::Refused(Box::new(Refusal::of_request(error))))
            }
            Err(CallError::NotSent(lost)) => Err(CommitError::NotSent(lost)),
            Err(CallError::Lost(lost)) => Err(CommitError::Unknown(lost)),
        }
    }
}

/// Whether a server has the column, in a form that its type can hold.
fn is_known<T: Table>(server: &DatabaseSchema, column: &ColumnInfo) -> bool {
    let table = server.tables.get(T::TABLE);
    let known = table.and_then(|table| table.columns.get(column.name));
    known.is_some_and(|known| column.kind.accepts(&known.kind))
}
