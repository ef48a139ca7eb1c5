//! The outcome of a transaction: results, refusals and unknown outcomes.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::marker::PhantomData;

use ovsdb_schema::{ColumnType, Max};

use crate::error::Disconnected;
use crate::model::{Row, Table};
use crate::protocol::{ErrorKind, InvalidValue, Operation, OperationResult, OvsdbError, Wire};
use crate::schema_check::SchemaMismatch;
use crate::value::json::{DecodeError, DecodeErrorKind, Reader};
use crate::value::{Atomic, Ref, Str, Uuid};

/// Why a transaction cannot be sent: a mistake in it, or a row that it needs does not exist.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::{LogicalSwitch, Transaction};
/// use ovsdb::transaction::BuildError;
///
/// let mut txn = Transaction::detached();
/// txn.insert(LogicalSwitch { name: "a\0b".into(), ..Default::default() });
/// let error = txn.check().expect_err("no server takes a NUL");
/// assert!(matches!(error, BuildError::InvalidValue(_)));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The server's schema lacks the column, or gives it another type.
    #[error("the server's schema has no column {table}.{column} of this type")]
    NoSuchColumn {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A value with fewer or more elements than the server's type of the column allows: none where one
    /// is required, as in the `Default` of a struct that leaves such a column empty, or too many.
    #[error("{}", wrong_count(table, column, *count, *least, *most))]
    Count {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// How many elements or pairs the value has.
        count: usize,
        /// The least number of elements on the server: 0 or 1.
        least: usize,
        /// The greatest number of elements on the server; `None` for any number.
        most: Option<usize>,
    },
    /// A row of a table that is not in the root set, to which no other row refers by a strong reference
    /// in the same transaction. The server would delete it at once.
    #[error(
        "operation {operation}, insert in {table}: the row would be deleted at the commit, since no other row refers to it by a strong reference and {table} is not in the root set"
    )]
    Unreferenced {
        /// The number of the operation that inserts the row.
        operation: usize,
        /// Its table.
        table: Str,
    },
    /// A row was read through a transaction that has no view. [`Client::transaction_on`] and
    /// [`Client::apply`] make transactions that have one.
    ///
    /// [`Client::transaction_on`]: crate::Client::transaction_on
    /// [`Client::apply`]: crate::Client::apply
    #[error(
        "cannot read rows of {table}: the transaction has no view; make it with `transaction_on` or `apply`"
    )]
    NoView {
        /// The table that was to be read.
        table: &'static str,
    },
    /// A row was read of a table that the cache was started without.
    #[error("cannot read rows of {table}: the cache was started without the table")]
    NotReplicated {
        /// The table.
        table: &'static str,
    },
    /// Rows were looked up in an index that the cache was started without.
    #[error("cannot look up rows of {table}: the cache was started without the index")]
    NoIndex {
        /// The table of the index.
        table: &'static str,
    },
    /// A row was edited that the view lacks or that the transaction has deleted. In a transaction
    /// without a view: a row was edited of which only a reference was given.
    #[error(
        "cannot edit the row {uuid} of {table}: it is not in the view, or the transaction has deleted it"
    )]
    NoSuchRow {
        /// The table.
        table: &'static str,
        /// The row.
        uuid: Uuid,
    },
    /// [`one`](super::Transaction::one) found no row with the key.
    #[error("expected one row of {table} with {key}, found none")]
    NotFound {
        /// The table.
        table: &'static str,
        /// The key in readable form: `name == sw0`.
        key: String,
    },
    /// [`one`](super::Transaction::one) found several rows with the key.
    #[error("expected one row of {table} with {key}, found {count}")]
    Several {
        /// The table.
        table: &'static str,
        /// The key in readable form: `name == sw0`.
        key: String,
        /// How many rows have the key.
        count: usize,
    },
    /// Two inserts have the same uuid.
    #[error("two inserts have the uuid {uuid}: one into {other}, then one into {table}")]
    SameUuid {
        /// The uuid.
        uuid: Uuid,
        /// The table of the second row.
        table: &'static str,
        /// The table of the first row.
        other: Str,
    },
    /// An edit changed a column that the schema makes immutable.
    #[error("cannot change the column {table}.{column}: it is immutable after the insert")]
    Immutable {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A row that [`ensure`](super::Transaction::ensure) or
    /// [`ensure_where`](super::Transaction::ensure_where) inserted does not have the key or meet the
    /// condition, so it would not be found again.
    #[error(
        "the row that was inserted into {table} would not be found again: it does not meet the condition of the search"
    )]
    Unmet {
        /// The table.
        table: &'static str,
    },
    /// An operation on a table known by its name only does not fit the server's schema.
    #[error(transparent)]
    SchemaMismatch(#[from] SchemaMismatch),
    /// A value that cannot be sent, such as a string with a NUL.
    #[error(transparent)]
    InvalidValue(#[from] InvalidValue),
    /// The transaction was made without a client that could send it, as by
    /// [`Transaction::detached`](super::Transaction::detached).
    #[error(
        "the transaction has no client to commit it: it was made by `Transaction::detached`, for tests"
    )]
    Detached,
}

fn wrong_count(
    table: &str,
    column: &str,
    count: usize,
    least: usize,
    most: Option<usize>,
) -> String {
    let expected = match (least, most) {
        (1, Some(1)) => "exactly 1 value".to_owned(),
        (_, Some(1)) if count > 1 => "at most 1 value".to_owned(),
        (_, Some(most)) if count > most => format!("at most {most} values"),
        _ => format!("at least {least} value"),
    };
    format!(
        "column {table}.{column} holds {count} values, but must hold {expected} by the server's schema"
    )
}

/// The mistake in a value with `count` elements, in a column whose type on the server is `server`.
pub(super) fn check_count<T: Table>(
    index: usize,
    server: &ColumnType,
    count: usize,
) -> Option<BuildError> {
    let least = server.min as usize;
    let most = match server.max {
        Max::Limited(most) => Some(most as usize),
        Max::Unlimited => None,
    };
    if count >= least && most.is_none_or(|most| count <= most) {
        return None;
    }
    Some(BuildError::Count {
        table: T::TABLE,
        column: T::COLUMNS.get(index)?.name,
        count,
        least,
        most,
    })
}

/// Why the server refused a transaction.
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
/// use ovsdb::CommitError;
/// use ovsdb::nb::LogicalSwitchPort;
/// use ovsdb::protocol::ErrorKind;
///
/// let mut txn = client.transaction();
/// txn.update(LogicalSwitchPort::NAME.eq("p1")).set(LogicalSwitchPort::TAG, Some(100_000));
/// if let Err(CommitError::Refused(refusal)) = txn.commit().await {
///     match (refusal.error.kind(), refusal.operation) {
///         (ErrorKind::ConstraintViolation, None) => println!("at the commit: {}", refusal.error),
///         (_, Some(operation)) => println!("operation {operation}: {}", refusal.error),
///         _ => println!("{refusal}"),
///     }
///     # assert_eq!(refusal.operation, Some(0));
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The operation that failed; `None` when all operations succeeded and the commit failed, when the
    /// request as a whole failed, or when a guard that this crate added failed.
    pub operation: Option<usize>,
    /// The failed operation's name on the wire.
    pub name: Option<&'static str>,
    /// The failed operation's table.
    pub table: Option<Str>,
    /// The server's error.
    pub error: OvsdbError,
    /// Whether the request as a whole failed, before its first operation.
    pub(crate) of_request: bool,
    /// Whether a guard failed that this crate added for what was read or replaced, or for a key that an
    /// edit adds.
    pub(crate) of_guard: bool,
}

impl Refusal {
    pub(super) const fn of_request(error: OvsdbError) -> Self {
        Self {
            operation: None,
            name: None,
            table: None,
            error,
            of_request: true,
            of_guard: false,
        }
    }

    /// Whether another client has changed what was read through the transaction, what an edit replaces,
    /// or the value of a key that an edit adds. Nothing is wrong with the transaction itself, but it must
    /// be built again from newer rows, as [`Client::apply`](crate::Client::apply) does.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        self.of_guard
    }

    /// The refusal, with operations counted without the first `count` ones, which are guards. If one of
    /// these failed, or one of the operations `waits`, which are guards too, the refusal names no
    /// operation, and it is a conflict if the error is "timed out".
    pub(super) fn without_guards(mut self, count: usize, waits: &BTreeSet<usize>) -> Self {
        if let Some(operation) = self.operation
            && (operation < count || waits.contains(&(operation - count)))
        {
            self.operation = None;
            self.of_guard = self.error.kind() == ErrorKind::TimedOut;
        }
        self.without_first(count)
    }

    /// The refusal, with operations counted without the first `count` ones.
    pub(super) fn without_first(mut self, count: usize) -> Self {
        self.operation = self.operation.map(|index| index.saturating_sub(count));
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.operation, self.name, &self.table) {
            (None, _, Some(table)) if self.of_guard => write!(
                f,
                "another client has changed rows of {table} that the transaction is based on: {}",
                self.error
            ),
            (Some(index), Some(name), Some(table)) => {
                write!(f, "operation {index}, {name} in {table}: {}", self.error)
            }
            (Some(index), Some(name), None) => {
                write!(f, "operation {index}, {name}: {}", self.error)
            }
            _ => write!(f, "{}", self.error),
        }
    }
}

/// Why a transaction is not known to be committed.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// use ovsdb::CommitError;
///
/// # let mut txn = client.transaction();
/// # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// match txn.commit().await {
///     Ok(_) => println!("committed"),
///     Err(CommitError::Build(mistake)) => println!("nothing was sent: {mistake}"),
///     Err(error) if error.nothing_changed() => println!("nothing has changed: {error}"),
///     Err(error) => println!("it may have been carried out: {error}"),
/// }
/// # assert_eq!(server.transactions::<ovsdb::nb::Database>().len(), 1);
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The transaction has a mistake, or a row that it needs was not found; nothing was sent.
    #[error("the transaction cannot be sent")]
    Build(#[from] BuildError),
    /// The time limit passed, the client was closed or its runtime shut down, decoding a message for the
    /// cache panicked, which has ended the cache, the cache's monitor cannot be started, or the view that
    /// the transaction is based on [became outdated](super::Transaction::require_current); nothing was sent.
    #[error("the transaction was not sent")]
    NotSent(#[source] Disconnected),
    /// The server replied with an error; nothing has changed. Some errors of a cluster leave this open:
    /// [`retry`](Self::retry) returns [`Retry::Unknown`](crate::Retry::Unknown) for them.
    #[error("the server refused the transaction: {0}")]
    Refused(Box<Refusal>),
    /// The connection was lost, the client was closed or its runtime shut down, or the time limit
    /// passed, after the transaction was sent: it may or may not have been committed.
    /// [`Transaction::commit_once`](super::Transaction::commit_once), used instead of `commit`, can settle
    /// it after a lost connection.
    #[error("the transaction's outcome is unknown")]
    Unknown(#[source] Disconnected),
    /// The server's reply is malformed: the transaction may or may not have been committed.
    #[error("the reply to the transaction is malformed")]
    Answer(#[source] DecodeError),
}

impl CommitError {
    /// The kind of the server's error, when the server refused the transaction.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Refused(refusal) => Some(refusal.error.kind()),
            _ => None,
        }
    }
}

/// The results of a transaction that was committed.
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
/// use ovsdb::nb::LogicalSwitch;
///
/// let mut txn = client.transaction();
/// let deleted = txn.delete(LogicalSwitch::NAME.eq("sw0"));
/// let left = txn.select(LogicalSwitch::NAME.ne(""));
/// let outcome = txn.commit().await?;
/// assert_eq!(outcome.count(deleted), 1);
/// for switch in outcome.rows(&left)? {
///     println!("{} is left", switch.name);
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Outcome {
    text: String,
    results: Vec<OperationResult>,
    inserted: HashMap<Uuid, usize>,
    /// Whether the transaction is known to be committed, but its reply was lost.
    settled: bool,
    /// How many results at the start of `text` are left out of `results`: those of operations that this
    /// crate added.
    skipped: usize,
}

impl Outcome {
    pub(super) fn empty() -> Self {
        Self {
            text: "[]".to_owned(),
            results: Vec::new(),
            inserted: HashMap::new(),
            settled: false,
            skipped: 0,
        }
    }

    /// The outcome of a transaction that is known to be committed although its reply was lost.
    pub(super) fn settled(inserted: &HashMap<Uuid, usize>) -> Self {
        Self {
            inserted: inserted.clone(),
            settled: true,
            ..Self::empty()
        }
    }

    /// The outcome without the results of the first operations, which this crate added.
    pub(super) fn without_first(mut self, count: usize) -> Self {
        self.results.drain(..count.min(self.results.len()));
        for place in self.inserted.values_mut() {
            *place -= count;
        }
        self.skipped += count;
        self
    }

    /// Whether the transaction is known to be committed, but its results never arrived, for example
    /// because the connection was lost. Then [`results`](Self::results) are empty, counts are 0, and
    /// selected rows are unknown; [`inserted`](Self::inserted) returns only rows whose uuids the client
    /// chose.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Reads the reply to a transaction of these operations.
    pub(super) fn read(
        text: String,
        operations: &[Operation],
        inserted: &HashMap<Uuid, usize>,
    ) -> Result<Self, CommitError> {
        let results = Vec::<OperationResult>::from_json(&text).map_err(CommitError::Answer)?;
        for (index, result) in results.iter().enumerate() {
            if let OperationResult::Failed(error) = result {
                // After the results of the operations comes the error of the commit itself.
                let operation = operations.get(index);
                return Err(CommitError::Refused(Box::new(Refusal {
                    operation: operation.map(|_| index),
                    name: operation.map(Operation::name),
                    table: operation.and_then(Operation::table).cloned(),
                    error: error.clone(),
                    of_request: false,
                    of_guard: false,
                })));
            }
        }
        if results.len() != operations.len() {
            let expected = DecodeErrorKind::Expected("one result for each operation");
            return Err(CommitError::Answer(DecodeError::new(0, expected)));
        }
        Ok(Self {
            text,
            results,
            inserted: inserted.clone(),
            settled: false,
            skipped: 0,
        })
    }

    /// The operations' results, in order.
    #[must_use]
    pub fn results(&self) -> &[OperationResult] {
        &self.results
    }

    /// How many rows an update, mutate or delete touched; 0 for another operation.
    #[must_use]
    pub fn count(&self, operation: OperationIndex) -> u64 {
        match self.results.get(operation.0) {
            Some(OperationResult::Count(count)) => *count,
            _ => 0,
        }
    }

    /// The row that an insert made, with the uuid that it has on the server.
    ///
    /// In a client with [`RowIdentity::ClientChosen`](super::RowIdentity::ClientChosen), this is `row`
    /// itself.
    #[must_use]
    pub fn inserted<T: Table>(&self, row: Ref<T>) -> Option<Ref<T>> {
        self.inserted_uuid(row.uuid()).map(Ref::new)
    }

    /// Like [`inserted`](Self::inserted), for a table known by its name only.
    #[must_use]
    pub fn inserted_uuid(&self, row: Uuid) -> Option<Uuid> {
        let place = *self.inserted.get(&row)?;
        if self.settled {
            // A settled outcome has only the rows whose uuids this client chose.
            return Some(row);
        }
        match self.results.get(place)? {
            OperationResult::Inserted(uuid) => Some(*uuid),
            _ => None,
        }
    }

    /// The rows that a select read.
    ///
    /// # Errors
    /// When the rows do not fit the table's type, or the outcome has no such result, as when it [is
    /// settled](Self::is_settled).
    pub fn rows<T: Table>(&self, selection: &Selection<T>) -> Result<Vec<Row<T>>, DecodeError> {
        let mut reader = Reader::new(&self.text);
        let mut rows = Vec::new();
        reader.array()?;
        for _ in 0..self.skipped + selection.index.0 {
            reader.demand("a result")?;
            reader.skip()?;
        }
        reader.demand("a result")?;
        reader.object()?;
        while let Some(key) = reader.key()? {
            if key != "rows" {
                reader.skip()?;
                continue;
            }
            reader.array()?;
            while reader.element()? {
                rows.push(read_row(&mut reader)?);
            }
        }
        Ok(rows)
    }
}

fn read_row<T: Table>(reader: &mut Reader<'_>) -> Result<Row<T>, DecodeError> {
    let (mut uuid, mut columns) = (None, T::default());
    reader.object()?;
    while let Some(name) = reader.key()? {
        if name == "_uuid" {
            uuid = Some(<Uuid as Atomic>::read(reader)?);
            continue;
        }
        let index = T::COLUMNS.iter().position(|column| column.name == name);
        match index.and_then(|index| columns.column_mut(index)) {
            Some(column) => column.decode(reader)?,
            None => drop(reader.skip()?),
        }
    }
    match uuid {
        Some(uuid) => Ok(Row::new(uuid, columns)),
        None => reader.error(DecodeErrorKind::Missing("_uuid")),
    }
}

/// The number of an operation in its transaction, by which [`Outcome`](Outcome) returns its result.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// let mut txn = ovsdb::nb::Transaction::detached();
/// assert_eq!(txn.comment("the first operation").get(), 0);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationIndex(pub(super) usize);

impl OperationIndex {
    /// The number, from 0 on.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }

    /// The number of this operation after its transaction was [merged](super::Transaction::merge) into
    /// another; `operations` is the number that `merge` returned.
    #[must_use]
    pub const fn after(self, operations: usize) -> Self {
        Self(self.0.saturating_add(operations))
    }
}

/// The rows that a `select` will read.
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
/// use ovsdb::nb::LogicalSwitch;
///
/// let mut txn = client.transaction();
/// let selection = txn.select(LogicalSwitch::NAME.eq("sw0"));
/// let switches = txn.commit().await?.rows(&selection)?;
/// assert_eq!(switches[0].name, "sw0");
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug)]
pub struct Selection<T> {
    pub(super) index: OperationIndex,
    table: PhantomData<fn() -> T>,
}

impl<T> Selection<T> {
    pub(super) const fn new(index: OperationIndex) -> Self {
        Self {
            index,
            table: PhantomData,
        }
    }

    /// This `select` after its transaction was [merged](super::Transaction::merge) into another;
    /// `operations` is the number that `merge` returned.
    #[must_use]
    pub const fn after(&self, operations: usize) -> Self {
        Self::new(self.index.after(operations))
    }
}

#[cfg(test)]
mod tests;
