//! Numbers in a message; [`Number`] documents the rule.

use ovsdb_schema::NumberErrorReason;

use super::error::{DecodeError, DecodeErrorKind};

pub use ovsdb_schema::Number;

/// Reads the number at `position`. Returns it, and the position after it.
pub(super) fn lex(text: &str, position: usize) -> Result<(Number, usize), DecodeError> {
    Number::lex(text, position).map_err(|error| {
        let kind = match error.reason {
            NumberErrorReason::OutOfRange => DecodeErrorKind::NumberOutOfRange,
            _ => DecodeErrorKind::BadNumber,
        };
        DecodeError::new(error.offset, kind)
    })
}
