//! Conditions, as on the wire.

use std::fmt;

use super::wire::{Wire, words};
use crate::value::json::{DecodeError, DecodeErrorKind, Reader, write_string};
use crate::value::{Atom, Datum, Str};

/// The function of a condition (RFC 7047 section 5.1, `<function>`).
///
/// ```
/// use ovsdb::protocol::{Function, Wire};
///
/// assert_eq!(Function::from_json(r#""includes""#)?, Function::Includes);
/// assert_eq!(Function::LessOrEqual.as_str(), "<=");
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `<`, on integers and reals.
    Less,
    /// `<=`, on integers and reals.
    LessOrEqual,
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `>=`, on integers and reals.
    GreaterOrEqual,
    /// `>`, on integers and reals.
    Greater,
    /// The column holds all elements of the argument.
    Includes,
    /// The column holds no element of the argument.
    Excludes,
}

words!(
    Function,
    "function",
    Less = "<",
    LessOrEqual = "<=",
    Equal = "==",
    NotEqual = "!=",
    GreaterOrEqual = ">=",
    Greater = ">",
    Includes = "includes",
    Excludes = "excludes",
);

/// One clause of a `where` (RFC 7047 section 5.1, `<condition>`; as an extension, true and false are
/// clauses too: ovsdb-server(7), "Notation").
///
/// Operations combine clauses by AND, monitors by OR.
///
/// ```
/// use ovsdb::protocol::{Clause, Function, Wire};
/// use ovsdb::value::{Atom, Datum};
///
/// let clause = Clause::Compare {
///     column: "tag".into(),
///     function: Function::Greater,
///     argument: Datum::from(Atom::Integer(100)),
/// };
/// assert_eq!(clause.to_json(), r#"["tag",">",100]"#);
/// assert_eq!(Clause::from_json("true")?, Clause::Always(true));
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// Every row, or none.
    Always(bool),
    /// Rows for which this comparison of a column with the argument is true.
    Compare {
        /// The column's name.
        column: Str,
        /// How to compare.
        function: Function,
        /// The argument.
        argument: Datum,
    },
}

impl Clause {
    /// The same clause, with the atoms of its argument changed by `change`.
    pub(crate) fn map_atoms(self, change: impl FnMut(Atom) -> Atom) -> Self {
        match self {
            Self::Always(always) => Self::Always(always),
            Self::Compare {
                column,
                function,
                argument,
            } => Self::Compare {
                column,
                function,
                argument: argument.map_atoms(change),
            },
        }
    }
}

impl Wire for Clause {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.peek() {
            Some(b'[') => {
                reader.array()?;
                reader.demand("a column")?;
                let column = reader.text()?;
                reader.demand("a function")?;
                let function = Function::read(reader)?;
                reader.demand("a value")?;
                let argument = Datum::read(reader)?;
                reader.finish()?;
                Ok(Self::Compare {
                    column,
                    function,
                    argument,
                })
            }
            Some(b't' | b'f') => reader.boolean().map(Self::Always),
            _ => reader.error(DecodeErrorKind::Expected("a condition")),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Always(always) => always.write(out),
            Self::Compare {
                column,
                function,
                argument,
            } => {
                out.push('[');
                write_string(out, column);
                out.push(',');
                function.write(out);
                out.push(',');
                argument.write(out);
                out.push(']');
            }
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}
