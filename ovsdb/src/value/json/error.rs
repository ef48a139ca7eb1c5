//! Why a message could not be decoded.

use std::fmt;

/// The deepest nesting that is read; ovsdb-server has the same limit.
pub const MAX_DEPTH: u32 = 1000;

/// Why a message could not be decoded, and where.
///
/// ```
/// use ovsdb::value::json::{DecodeErrorKind, Reader};
///
/// let error = Reader::new(r#" "5" "#).number().expect_err("a string");
/// assert_eq!((error.offset, error.kind), (1, DecodeErrorKind::Expected("a number")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeError {
    /// The byte of the message at which decoding stopped. For a number out of range, the byte at which the
    /// number starts. For a malformed uuid, the byte right after the token before its string; if the uuid
    /// is the key of a row, the byte right after the key's colon.
    pub offset: usize,
    /// What was wrong there.
    pub kind: DecodeErrorKind,
}

/// What was wrong with a message.
///
/// ```
/// use ovsdb::protocol::{Mutator, Wire};
///
/// let error = Mutator::from_json(r#""**""#).expect_err("no such mutator");
/// assert_eq!(error.kind.to_string(), r#"unknown mutator "**""#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The text ended before a value or within one.
    UnexpectedEnd,
    /// Something else was found where this was expected.
    Expected(&'static str),
    /// Text follows the value.
    TrailingText,
    /// Nesting beyond [`MAX_DEPTH`].
    TooDeep,
    /// The number is malformed.
    BadNumber,
    /// A number beyond the range of a double, or with an exponent that ovsdb-server refuses.
    NumberOutOfRange,
    /// The escape sequence does not exist in JSON, or is half of a surrogate pair.
    BadEscape,
    /// A control character lacks the escape that JSON requires.
    ControlCharacter,
    /// A string contains a NUL, which OVSDB does not allow.
    Nul,
    /// The text is not a uuid with 36 characters.
    BadUuid,
    /// A set with more elements than the column can hold.
    TooManyElements,
    /// A required member is missing.
    Missing(&'static str),
    /// The word is none of those allowed here.
    Unknown {
        /// The kind of word: "operation", "mutator", "member" ...
        what: &'static str,
        /// The word.
        word: String,
    },
}

impl DecodeError {
    /// An error of `kind` at byte `offset`.
    #[must_use]
    pub const fn new(offset: usize, kind: DecodeErrorKind) -> Self {
        Self { offset, kind }
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedEnd => f.write_str("the text ends within a value"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::TrailingText => f.write_str("text after the value"),
            Self::TooDeep => write!(f, "nesting deeper than {MAX_DEPTH}"),
            Self::BadNumber => f.write_str("malformed number"),
            Self::NumberOutOfRange => f.write_str("number out of range"),
            Self::BadEscape => f.write_str("bad escape sequence in a string"),
            Self::ControlCharacter => f.write_str("unescaped control character in a string"),
            Self::Nul => f.write_str("NUL in a string"),
            Self::BadUuid => f.write_str("malformed uuid"),
            Self::TooManyElements => f.write_str("more elements than the column holds"),
            Self::Missing(member) => write!(f, "missing member {member:?}"),
            Self::Unknown { what, word } => write!(f, "unknown {what} {word:?}"),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.offset)
    }
}

impl std::error::Error for DecodeError {}
