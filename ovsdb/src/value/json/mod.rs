//! JSON as ovsdb-server reads and writes it.
//!
//! General JSON libraries differ from the server in ways that lose data: in OVSDB `1e3` and `1.0` are
//! integers, `-0` is zero, a NUL in a string is refused, and values nest up to 1,000 levels. The
//! [`Reader`] handles all of this in one place. A column's decoder reads its value directly from the
//! message, without a tree of values in between.

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
