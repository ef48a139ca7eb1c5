//! The errors of a schema.

use std::fmt;

/// Why a schema cannot be read, and where in its JSON.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SchemaError {
    /// The path of member names and array indexes to the place, such as
    /// `tables.Bridge.columns.ports.type`; empty for the schema as a whole.
    pub path: String,
    /// What is wrong there.
    pub reason: SchemaErrorReason,
}

impl SchemaError {
    /// The error for this place in a schema.
    #[must_use]
    pub fn new(path: impl Into<String>, reason: SchemaErrorReason) -> Self {
        let path = path.into();
        Self { path, reason }
    }
}

/// What is wrong with a schema.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SchemaErrorReason {
    /// The text is not JSON.
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The column in bytes, counted from 1.
        column: usize,
        /// What the JSON parser says.
        message: String,
    },
    /// A string with a NUL.
    Nul,
    /// A required member is missing.
    Missing(&'static str),
    /// A member that no schema has.
    UnknownMember(String),
    /// A value of another type than this one, or none of these values.
    Expected(&'static str),
    /// Not an identifier: a letter or underscore, then letters, digits and underscores.
    BadId(String),
    /// An identifier that begins with an underscore, which is the server's to use.
    ReservedId(String),
    /// A version that is not three numbers.
    BadVersion(String),
    /// An unknown type.
    UnknownType(String),
    /// A reference to a table that the schema does not have.
    UnknownTable(String),
    /// An index over a column that the table does not have.
    UnknownColumn(String),
    /// A constraint that does not apply to the atomic type.
    WrongConstraint {
        /// The constraint.
        constraint: &'static str,
        /// The type.
        atomic: &'static str,
    },
    /// An enum together with another constraint or a reference.
    EnumAndConstraint,
    /// A table without columns.
    NoColumns,
    /// A table with more columns than the embedded server of the crate `ovsdb` can serve. The parser accepts any
    /// number.
    TooManyColumns {
        /// How many columns the table has.
        columns: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A minimum above the maximum.
    MinAboveMax,
    /// A `min` that is neither 0 nor 1.
    BadMin,
    /// A `max` that is neither "unlimited" nor a number from 1 to 4294967294.
    BadMax,
    /// An enum without values.
    EmptyEnum,
    /// A value that an enum lists twice.
    DuplicateValue(String),
    /// An index without columns.
    EmptyIndex,
    /// An index that names a column twice.
    DuplicateColumn(String),
    /// An index over an ephemeral column.
    EphemeralInIndex(String),
}

impl fmt::Display for SchemaErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json {
                line,
                column,
                message,
            } => {
                write!(f, "not JSON at line {line}, column {column}: {message}")
            }
            Self::Nul => f.write_str("a string holds a NUL, which OVSDB does not allow"),
            Self::NoColumns => f.write_str("a table must have at least one column"),
            Self::TooManyColumns { columns, limit } => {
                write!(
                    f,
                    "the table has {columns} columns, and the embedded server serves at most {limit}"
                )
            }
            Self::Missing(member) => write!(f, "the member {member:?} is missing"),
            Self::UnknownMember(member) => write!(f, "unknown member {member:?}"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::BadId(id) => write!(f, "{id:?} is not an identifier"),
            Self::ReservedId(id) => write!(f, "{id:?} is reserved: it begins with an underscore"),
            Self::BadVersion(version) => write!(f, "{version:?} is not a version x.y.z"),
            Self::UnknownType(name) => write!(f, "unknown type {name:?}"),
            Self::UnknownTable(name) => write!(f, "the schema has no table {name:?}"),
            Self::UnknownColumn(name) => write!(f, "the table has no column {name:?}"),
            Self::WrongConstraint { constraint, atomic } => {
                write!(f, "{constraint} does not apply to {atomic}")
            }
            Self::EnumAndConstraint => {
                f.write_str("an enum cannot have another constraint or a refTable")
            }
            Self::MinAboveMax => f.write_str("the minimum is above the maximum"),
            Self::BadMin => f.write_str("min must be 0 or 1"),
            Self::BadMax => {
                f.write_str("max must be \"unlimited\" or a number from 1 to 4294967294")
            }
            Self::EmptyEnum => f.write_str("the enum has no value"),
            Self::DuplicateValue(value) => write!(f, "the enum lists {value:?} twice"),
            Self::EmptyIndex => f.write_str("the index has no column"),
            Self::DuplicateColumn(name) => write!(f, "the index names {name:?} twice"),
            Self::EphemeralInIndex(name) => {
                write!(f, "the ephemeral column {name:?} cannot be in an index")
            }
        }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return self.reason.fmt(f);
        }
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl std::error::Error for SchemaError {}
