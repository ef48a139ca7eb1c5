//! Errors that the server reports.

use std::fmt;

use super::wire::{Object, Wire, read_object, required};
use crate::value::Str;
use crate::value::json::{DecodeError, Reader};

/// Declares [`ErrorKind`] with the word of each kind.
macro_rules! kinds {
    ($( $(#[$meta:meta])* $variant:ident = $word:literal, )*) => {
        /// The kind of an error that the server reports (RFC 7047 section 3.1, ovsdb-server(7)).
        ///
        /// ```
        /// use ovsdb::protocol::ErrorKind;
        ///
        /// assert_eq!(ErrorKind::from_word("not leader"), ErrorKind::NotLeader);
        /// assert_eq!(ErrorKind::from_word("unheard of"), ErrorKind::Other);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $( $(#[$meta])* $variant, )*
            /// A kind that this library does not know; [`OvsdbError::error`] is its word.
            Other,
        }

        impl ErrorKind {
            /// Every kind with its word on the wire, except [`Other`](Self::Other).
            pub const ALL: &'static [(Self, &'static str)] = &[$( (Self::$variant, $word), )*];

            /// The kind with this word on the wire.
            #[must_use]
            pub fn from_word(word: &str) -> Self {
                match word {
                    $( $word => Self::$variant, )*
                    _ => Self::Other,
                }
            }
        }
    };
}

kinds! {
    /// The request or the operation is malformed.
    SyntaxError = "syntax error",
    /// The table has no such column.
    UnknownColumn = "unknown column",
    /// The database has no such table.
    UnknownTable = "unknown table",
    /// The server has no such database.
    UnknownDatabase = "unknown database",
    /// The database exists, but the server cannot serve it now.
    DatabaseNotAvailable = "database not available",
    /// No such mutator.
    UnknownMutator = "unknown mutator",
    /// No such condition function.
    UnknownFunction = "unknown function",
    /// A value outside the column's constraints, a duplicate in an index, too many rows.
    ConstraintViolation = "constraint violation",
    /// A strong reference to a row that does not exist, or that the transaction deletes.
    ReferentialIntegrityViolation = "referential integrity violation",
    /// Two rows with the same uuid.
    DuplicateUuid = "duplicate uuid",
    /// Two rows of a transaction with the same name.
    DuplicateUuidName = "duplicate uuid-name",
    /// A `wait` whose condition did not become true in time.
    TimedOut = "timed out",
    /// An `abort` operation.
    Aborted = "aborted",
    /// An `assert` of a lock that the client does not hold.
    NotOwner = "not owner",
    /// The operation is not allowed.
    NotAllowed = "not allowed",
    /// The server does not have the feature.
    NotSupported = "not supported",
    /// A division by zero.
    DomainError = "domain error",
    /// The result of a mutation does not fit.
    RangeError = "range error",
    /// The client's role does not allow the operation (ovsdb-server(7), RBAC).
    PermissionError = "permission error",
    /// The transaction was cancelled.
    Canceled = "canceled",
    /// The request names a method that the server does not have.
    UnknownMethod = "unknown method",
    /// The request names a monitor that does not exist.
    UnknownMonitor = "unknown monitor",
    /// The parameters of the request are of the wrong shape.
    InvalidParameters = "invalid parameters",
    /// The cluster could not commit the transaction: it has no leader, leadership was lost, or a
    /// timeout passed.
    ClusterError = "cluster error",
    /// This server of the cluster is not its leader.
    NotLeader = "not leader",
    /// An error without a kind of its own, such as a duplicate key in a map.
    OvsdbError = "ovsdb error",
    /// A bug in the server.
    InternalError = "internal error",
    /// The server got an error from its operating system.
    IoError = "I/O error",
    /// The server lacks the resources.
    ResourcesExhausted = "resources exhausted",
}

/// An error that the server reports, for a request or for one operation.
///
/// ```
/// use ovsdb::protocol::{ErrorKind, OvsdbError, Wire};
///
/// let error = OvsdbError::from_json(r#"{"error":"timed out","details":"after 5 ms"}"#)?;
/// assert_eq!(error.kind(), ErrorKind::TimedOut);
/// assert_eq!(error.to_string(), "timed out: after 5 ms");
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OvsdbError {
    /// The word that names the kind.
    pub error: Str,
    /// What exactly was wrong, for people.
    pub details: Option<Str>,
    /// The part of the request that was malformed.
    pub syntax: Option<Str>,
    /// The operating system's error that caused it.
    pub io_error: Option<Str>,
}

impl OvsdbError {
    /// An error that is only a word.
    #[must_use]
    pub fn new(error: impl Into<Str>) -> Self {
        Self {
            error: error.into(),
            details: None,
            syntax: None,
            io_error: None,
        }
    }

    /// An error with its explanation.
    #[must_use]
    pub fn with_details(error: impl Into<Str>, details: impl Into<Str>) -> Self {
        Self {
            details: Some(details.into()),
            ..Self::new(error)
        }
    }

    /// The kind of the error, for decisions.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::from_word(&self.error)
    }
}

impl fmt::Display for OvsdbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        for part in [&self.details, &self.syntax, &self.io_error]
            .into_iter()
            .flatten()
        {
            write!(f, ": {part}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OvsdbError {}

/// The server writes the error of a request as a string or an object, and that of an operation always
/// as an object.
impl Wire for OvsdbError {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.peek() == Some(b'"') {
            return reader.text().map(Self::new);
        }
        let (mut error, mut details, mut syntax, mut io_error) = (None, None, None, None);
        read_object(reader, |reader, key| {
            match &*key {
                "error" => error = Some(reader.text()?),
                "details" => details = Option::read(reader)?,
                "syntax" => syntax = Option::read(reader)?,
                "io-error" => io_error = Option::read(reader)?,
                // Servers add members, which do not change what the error means.
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(Self {
            error: required(reader, "error", error)?,
            details,
            syntax,
            io_error,
        })
    }

    fn write(&self, out: &mut String) {
        Object::new(out)
            .member("error", &self.error)
            .optional("details", self.details.as_ref())
            .optional("syntax", self.syntax.as_ref())
            .optional("io-error", self.io_error.as_ref())
            .end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_word() {
        for (kind, word) in ErrorKind::ALL {
            assert_eq!(OvsdbError::new(*word).kind(), *kind);
        }
        assert_eq!(OvsdbError::new("a new one").kind(), ErrorKind::Other);
    }

    #[test]
    fn both_forms_are_read() {
        let short = OvsdbError::from_json("\"unknown method\"").expect("a string");
        assert_eq!(short.kind(), ErrorKind::UnknownMethod);
        let text = r#"{"error":"syntax error","details":"d","syntax":"s","io-error":"e"}"#;
        let long = OvsdbError::from_json(text).expect("an object");
        assert_eq!(long.to_string(), "syntax error: d: s: e");
        assert_eq!(long.to_json(), text);
        assert!(OvsdbError::from_json("{\"details\":\"d\"}").is_err());
        assert!(OvsdbError::from_json("null").is_err());
    }
}
