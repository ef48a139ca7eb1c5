//! Errors of requests that do not fit a server's schema, with their places.

use std::fmt;

use crate::protocol::{Function, Mutator, Wire as _};
use crate::value::{Atom, Datum, Str};

/// A part of a request that does not fit the server's schema or the cache; nothing was sent.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::Client::<ovsdb::AnyDatabase>::builder();
/// # let client = client.server(&server).database("OVN_Northbound").connect().await?;
/// use ovsdb::CommitError;
/// use ovsdb::transaction::BuildError;
///
/// let mut txn = client.transaction();
/// txn.any_table("Logical_Switch").insert([("nam", "sw0")]);
/// let Err(CommitError::Build(BuildError::SchemaMismatch(mismatch))) = txn.commit().await else {
///     panic!("there is no such column");
/// };
/// assert_eq!((&*mismatch.table, mismatch.column.as_deref()), ("Logical_Switch", Some("nam")));
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct SchemaMismatch {
    /// The index of the operation in its transaction, from 0; `None` outside a transaction.
    pub operation: Option<usize>,
    /// The table.
    pub table: Str,
    /// The column.
    pub column: Option<Str>,
    /// What is wrong.
    pub reason: Box<MismatchReason>,
}

/// Why a request does not fit the server's schema or the cache.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::Client::<ovsdb::AnyDatabase>::builder();
/// # let client = client.server(&server).database("OVN_Northbound").connect().await?;
/// use ovsdb::transaction::BuildError;
/// use ovsdb::{CommitError, MismatchReason};
///
/// let mut txn = client.transaction();
/// txn.any_table("Logical_Switch").insert([("nam", "sw0")]);
/// if let Err(CommitError::Build(BuildError::SchemaMismatch(mismatch))) = txn.commit().await
///     && let MismatchReason::NoColumn { nearest: Some(nearest) } = &*mismatch.reason
/// {
///     println!("did you mean {nearest}?");
///     # assert_eq!(nearest, "name");
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MismatchReason {
    /// The database has no such table.
    NoTable {
        /// The table with the most similar name, if one is similar enough.
        nearest: Option<Str>,
    },
    /// The cache was started without the table.
    NotCached {
        /// The table with the most similar name, if one is similar enough.
        nearest: Option<Str>,
    },
    /// The table has no such column.
    NoColumn {
        /// The column with the most similar name, if one is similar enough.
        nearest: Option<Str>,
    },
    /// The value is of another type.
    Type {
        /// The expected type.
        expected: String,
        /// The value.
        found: Datum,
    },
    /// The value has too few or too many elements.
    Count {
        /// Its number of elements.
        count: usize,
        /// The least number.
        least: usize,
        /// The greatest number; `None` for any number.
        most: Option<usize>,
    },
    /// The schema does not allow the value.
    Excluded {
        /// The value.
        value: Atom,
        /// The values that the schema allows.
        allowed: String,
        /// The most similar allowed value, if one is similar enough.
        nearest: Option<Str>,
    },
    /// The function cannot be applied to the column's type.
    Function {
        /// The function.
        function: Function,
        /// The column's type.
        kind: String,
    },
    /// The mutator cannot be applied to the column's type.
    Mutator {
        /// The mutator.
        mutator: Mutator,
        /// The column's type.
        kind: String,
    },
    /// The column keeps the value that its row was inserted with.
    Immutable,
    /// Only the server sets the column.
    OfServer,
}

impl fmt::Display for MismatchReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = |f: &mut fmt::Formatter<'_>, nearest: &Option<Str>| match nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        };
        match self {
            Self::NoTable { nearest } => {
                f.write_str("the database has no such table")?;
                hint(f, nearest)
            }
            Self::NotCached { nearest } => {
                f.write_str("the cache was started without this table")?;
                hint(f, nearest)
            }
            Self::NoColumn { nearest } => {
                f.write_str("the table has no such column")?;
                hint(f, nearest)
            }
            Self::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Count { count, least, most } => match most {
                Some(most) if least == most => {
                    write!(f, "expected {most} value, found {count}")
                }
                Some(most) => {
                    write!(f, "expected {least} to {most} values, found {count}")
                }
                None => write!(f, "expected at least {least} value, found {count}"),
            },
            Self::Excluded {
                value,
                allowed,
                nearest,
            } => {
                write!(f, "the value {value} is not allowed: expected {allowed}")?;
                hint(f, nearest)
            }
            Self::Function { function, kind } => write!(
                f,
                "the function {} cannot be applied to a column of the type {kind}",
                function.to_json()
            ),
            Self::Mutator { mutator, kind } => write!(
                f,
                "the mutator {} cannot be applied to a column of the type {kind}",
                mutator.to_json()
            ),
            Self::Immutable => f.write_str(
                "the column cannot be changed after its row was inserted: insert another row instead",
            ),
            Self::OfServer => f.write_str("only the server sets this column"),
        }
    }
}

impl fmt::Display for SchemaMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.operation {
            write!(f, "operation {operation}, ")?;
        }
        match &self.column {
            Some(column) => write!(f, "column {column:?} of the table {:?}: ", self.table)?,
            None => write!(f, "table {:?}: ", self.table)?,
        }
        self.reason.fmt(f)
    }
}
