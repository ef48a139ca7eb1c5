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

/// Why a transaction cannot be sent: a mistake in it, or a row that it needs and that there is not.
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
    /// The server's schema lacks the column, or has it with another type.
    #[error("the server's schema has no column {table}.{column} of this type")]
    NoSuchColumn {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A value of fewer or more elements than the server's type of the column has: none where one is
    /// required, as in the `Default` of a struct that leaves such a column empty, or too many.
    #[error("{}", wrong_count(table, column, *count, *least, *most))]
    Count {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// How many elements or pairs the value has.
        count: usize,
        /// How many it has at least on the server: 0 or 1.
        least: usize,
        /// How many it has at most on the server; `None` when any number.
        most: Option<usize>,
    },
    /// A row of a table that is not in the root set, to which no other row refers by a strong
    /// reference in the same transaction: the server would delete it at once.
    #[error(
        "operation {operation}, insert in {table}: the row would be deleted at the commit, since no other row refers to it by a strong reference and {table} is not in the root set"
    )]
    Unreferenced {
        /// The number of the operation that inserts the row.
        operation: usize,
        /// Its table.
        table: Str,
    },
    /// A transaction without a view was to be read; [`Client::transaction_on`] and [`Client::apply`] make
    /// such that have one.
    ///
    /// [`Client::transaction_on`]: crate::Client::transaction_on
    /// [`Client::apply`]: crate::Client::apply
    #[error("rows of {table} were to be read through a transaction that has no view")]
    NoView {
        /// The table that was to be read.
        table: &'static str,
    },
    /// A table was to be read that the cache was started without.
    #[error("the table {table} was to be read, but the cache was started without it")]
    NotReplicated {
        /// The table.
        table: &'static str,
    },
    /// An index was to be looked up in that the cache was started without.
    #[error("rows of {table} were to be found in an index that the cache was started without")]
    NoIndex {
        /// The table of the index.
        table: &'static str,
    },
    /// A row was to be edited that neither the view nor the transaction has.
    #[error("the row {uuid} of {table} was to be edited, but there is none")]
    NoSuchRow {
        /// The table.
        table: &'static str,
        /// The row.
        uuid: Uuid,
    },
    /// No row has the key by which [`one`](super::Transaction::one) was to find one.
    #[error("{table} has no row with {key}")]
    NotFound {
        /// The table.
        table: &'static str,
        /// The key, for people to read: `name == sw0`.
        key: String,
    },
    /// Several rows have the key by which [`one`](super::Transaction::one) was to find one.
    #[error("{table} has {count} rows with {key}, and one was expected")]
    Several {
        /// The table.
        table: &'static str,
        /// The key, for people to read: `name == sw0`.
        key: String,
        /// How many rows have it.
        count: usize,
    },
    /// Two inserts have one uuid.
    #[error("a row of {table} was inserted under the uuid {uuid}, as one of {other} was before")]
    SameUuid {
        /// The uuid.
        uuid: Uuid,
        /// The table of the second row.
        table: &'static str,
        /// The table of the first one.
        other: Str,
    },
    /// An edit changed a column that the schema does not let be changed.
    #[error("the column {table}.{column} cannot be changed once the row is inserted")]
    Immutable {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A row that was made by [`ensure`](super::Transaction::ensure) or
    /// [`ensure_where`](super::Transaction::ensure_where) does not have the key, or meet the condition: it would
    /// not be found again.
    #[error(
        "the row of {table} that was made does not meet the condition under which it was missing"
    )]
    Unmet {
        /// The table.
        table: &'static str,
    },
    /// An operation on a table that is known by its name only does not fit the server's schema.
    #[error(transparent)]
    SchemaMismatch(#[from] SchemaMismatch),
    /// A value that cannot be sent, such as a string with a NUL.
    #[error(transparent)]
    InvalidValue(#[from] InvalidValue),
    /// The transaction was made by [`Transaction::detached`](super::Transaction::detached), and has no
    /// client that could send it.
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
        (_, Some(most)) if count > most => format!("at most {most} values"),
        _ => format!("at least {least} value"),
    };
    format!(
        "column {table}.{column} holds {count} values, but must hold {expected} by the server's schema"
    )
}

/// What is wrong with a value of `count` elements in a column that is of the type `server` there.
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
    /// The operation that failed; `None` when all succeeded and the commit failed, or when the
    /// request as a whole did.
    pub operation: Option<usize>,
    /// The failed operation's name on the wire.
    pub name: Option<&'static str>,
    /// The failed operation's table.
    pub table: Option<Str>,
    /// What the server says.
    pub error: OvsdbError,
    /// Whether the request as a whole failed, before its first operation.
    pub(crate) of_request: bool,
    /// Whether a guard of what was read through the transaction failed.
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

    /// Whether another client has changed what was read through the transaction, or what an edit
    /// replaces: nothing is wrong with the transaction, but it was decided on what is not so any more.
    /// [`Client::apply`](crate::Client::apply) decides again.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        self.of_guard
    }

    /// The refusal with the operations counted without the guards: the first ones, and those at `waits`
    /// after them.
    pub(super) fn without_guards(mut self, count: usize, waits: &BTreeSet<usize>) -> Self {
        if let Some(operation) = self.operation
            && (operation < count || waits.contains(&(operation - count)))
        {
            self.operation = None;
            self.of_guard = self.error.kind() == ErrorKind::TimedOut;
        }
        self.without_first(count)
    }

    /// The refusal with the operations counted without the first ones.
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
                "rows of {table} that the transaction was decided on have changed meanwhile: {}",
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
///     Err(CommitError::Refused(refusal)) => println!("nothing has changed: {refusal}"),
///     Err(CommitError::Unknown(lost)) => println!("it may have been carried out: {lost}"),
///     Err(error) => println!("{error}"),
/// }
/// # assert_eq!(server.transactions::<ovsdb::nb::Database>().len(), 1);
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The transaction is wrong in itself, or a row that it needs was not found; nothing was sent.
    #[error("the transaction cannot be sent")]
    Build(#[from] BuildError),
    /// No connection came in time, or the client was closed; nothing was sent.
    #[error("the transaction was not sent")]
    NotSent(#[source] Disconnected),
    /// The server refused the transaction; nothing has changed.
    #[error("the server refused the transaction: {0}")]
    Refused(Box<Refusal>),
    /// The connection was lost, or the time was over, after the transaction was sent: it may have been
    /// carried out, or not. [`Transaction::commit_once`](super::Transaction::commit_once) settles
    /// it.
    #[error("the transaction's outcome is unknown")]
    Unknown(#[source] Disconnected),
    /// The server's answer is malformed: the transaction may have been carried out, or not.
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
    /// Whether the answer itself is lost.
    settled: bool,
    /// Results in the text that are not the user's.
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

    /// The outcome of a transaction that is known to be committed, and nothing more.
    pub(super) fn settled(inserted: &HashMap<Uuid, usize>) -> Self {
        Self {
            inserted: inserted.clone(),
            settled: true,
            ..Self::empty()
        }
    }

    /// The outcome without the first operations, which were not the user's.
    pub(super) fn without_first(mut self, count: usize) -> Self {
        self.results.drain(..count.min(self.results.len()));
        for place in self.inserted.values_mut() {
            *place -= count;
        }
        self.skipped += count;
        self
    }

    /// Whether the transaction is known to be committed, but its answer was lost with a
    /// connection: [`results`](Self::results) are empty, counts 0, selections unknown.
    /// [`inserted`](Self::inserted) is right.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Reads the answer to a transaction of these operations.
    pub(super) fn read(
        text: String,
        operations: &[Operation],
        inserted: &HashMap<Uuid, usize>,
    ) -> Result<Self, CommitError> {
        let results = Vec::<OperationResult>::from_json(&text).map_err(CommitError::Answer)?;
        for (index, result) in results.iter().enumerate() {
            if let OperationResult::Failed(error) = result {
                // Behind the operations' results stands the error of the commit itself.
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

    /// The row that an insert made, under the uuid that the server gave it.
    ///
    /// With [`RowIdentity::ClientChosen`](super::RowIdentity::ClientChosen) this is `row` itself.
    #[must_use]
    pub fn inserted<T: Table>(&self, row: Ref<T>) -> Option<Ref<T>> {
        self.inserted_uuid(row.uuid()).map(Ref::new)
    }

    /// As [`inserted`](Self::inserted), of a table that is known by its name only.
    #[must_use]
    pub fn inserted_uuid(&self, row: Uuid) -> Option<Uuid> {
        let place = *self.inserted.get(&row)?;
        if self.settled {
            // Only uuids of our own choice settle anything.
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
    /// When the rows do not fit the table's type.
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

/// The place of an operation in its transaction, by which [`Outcome`](Outcome) tells its
/// result.
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
    /// The place, from 0 on.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }

    /// The place after `operations` others: that of a [merged](super::Transaction::merge) transaction's
    /// operation.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_operation_and_its_table() {
        let shown = |operation, name, table: Option<&str>, of_guard| {
            let refusal = Refusal {
                operation,
                name,
                table: table.map(Str::from),
                of_guard,
                ..Refusal::of_request(OvsdbError::new("no"))
            };
            refusal.to_string()
        };
        let insert = Some("insert");
        assert_eq!(
            shown(Some(2), insert, Some("T"), false),
            "operation 2, insert in T: no"
        );
        assert_eq!(
            shown(Some(2), Some("comment"), None, false),
            "operation 2, comment: no"
        );
        assert_eq!(shown(None, None, None, false), "no");
        assert_eq!(shown(None, insert, Some("T"), false), "no");
        let changed = "rows of T that the transaction was decided on have changed meanwhile: no";
        assert_eq!(shown(None, insert, Some("T"), true), changed);
    }
}
