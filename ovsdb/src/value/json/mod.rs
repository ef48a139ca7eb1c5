//! JSON as ovsdb-server reads and writes it.
//!
//! A general JSON library differs from the server in ways that lose data: `1e3` and `1.0` are
//! integers in OVSDB, `-0` is zero, a NUL in a string is refused, nesting goes to 1,000. The
//! [`Reader`] handles these in one place, and lets a column's decoder pull its value straight out of the
//! message, without a tree in between.

mod error;
mod number;
mod reader;
mod scan;
mod writer;

pub use self::error::{DecodeError, DecodeErrorKind, MAX_DEPTH};
pub use self::number::Number;
#[cfg(feature = "server")]
pub(crate) use self::reader::Checkpoint;
pub use self::reader::{Raw, Reader};
pub(crate) use self::scan::plain_end;
pub(crate) use self::writer::{write_integer, write_uuid};
pub use self::writer::{write_real, write_string};
