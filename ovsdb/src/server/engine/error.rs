//! The errors of transactions, as ovsdb-server words them.

use std::fmt;

use ovsdb_schema::{ColumnType, Max};

use super::id::is_id;
use crate::protocol::OvsdbError;
use crate::value::{Atom, Str};

/// An error of this kind with details.
pub(crate) fn error(kind: &str, details: impl fmt::Display) -> OvsdbError {
    OvsdbError {
        error: kind.into(),
        details: Some(Str::from(details.to_string())),
        syntax: None,
        io_error: None,
    }
}

/// A syntax error in this part of the request.
pub(crate) fn syntax(text: &str, details: impl fmt::Display) -> OvsdbError {
    syntax_of("syntax error", text, details)
}

/// An error of this kind in this part of the request.
pub(crate) fn syntax_of(kind: &str, text: &str, details: impl fmt::Display) -> OvsdbError {
    OvsdbError {
        syntax: Some(text.into()),
        ..error(kind, details)
    }
}

/// A constraint violation with these details.
pub(crate) fn violation(details: impl fmt::Display) -> OvsdbError {
    error("constraint violation", details)
}

/// A type as error messages describe it.
pub(super) struct English<'a>(pub(super) &'a ColumnType);

impl fmt::Display for English<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0;
        if kind.is_scalar() {
            return kind.key.atomic.fmt(f);
        }
        f.write_str(if kind.value.is_some() { "map" } else { "set" })?;
        match (kind.min, kind.max) {
            (0, Max::Unlimited) => f.write_str(" of")?,
            (min, Max::Unlimited) => write!(f, " of {min} or more")?,
            (0, Max::Limited(max)) => write!(f, " of up to {max}")?,
            (min, Max::Limited(max)) => write!(f, " of {min} to {max}")?,
        }
        match &kind.value {
            Some(value) => write!(f, " ({}, {}) pairs", kind.key.atomic, value.atomic),
            None => write!(f, " {}s", kind.key.atomic),
        }
    }
}

/// An atom in the form of command lines: a plain word has no quotes.
pub(super) struct EnglishAtom<'a>(pub(super) &'a Atom);

impl fmt::Display for EnglishAtom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Atom::String(text) if is_id(text) && !matches!(&**text, "true" | "false") => {
                f.write_str(text)
            }
            Atom::Uuid(uuid) => uuid.fmt(f),
            other => other.fmt(f),
        }
    }
}
