//! Mutations.

use super::wire::{Wire, words};
use crate::value::json::{DecodeError, Reader, write_string};
use crate::value::{Datum, Str};

/// How a mutation changes a column (RFC 7047 section 5.1, `<mutator>`).
///
/// ```
/// use ovsdb::protocol::{Mutator, Wire};
///
/// assert_eq!(Mutator::from_json(r#""+=""#)?, Mutator::Add);
/// assert_eq!(Mutator::Insert.as_str(), "insert");
/// # Ok::<(), ovsdb::value::json::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutator {
    /// `+=`, on numbers and sets of numbers.
    Add,
    /// `-=`, on numbers and sets of numbers.
    Subtract,
    /// `*=`, on numbers and sets of numbers.
    Multiply,
    /// `/=`, on numbers and sets of numbers.
    Divide,
    /// `%=`, on integers and sets of integers.
    Modulo,
    /// Adds elements or pairs. A key that a map has keeps its value.
    Insert,
    /// Removes elements, pairs, or the pairs whose keys are given.
    Delete,
}

words!(
    Mutator,
    "mutator",
    Add = "+=",
    Subtract = "-=",
    Multiply = "*=",
    Divide = "/=",
    Modulo = "%=",
    Insert = "insert",
    Delete = "delete",
);

/// A change of one column (RFC 7047 section 5.1, `<mutation>`).
///
/// ```
/// use ovsdb::protocol::{Mutation, Mutator, Wire};
/// use ovsdb::value::{Atom, Datum};
///
/// let mutation = Mutation {
///     column: "tag".into(),
///     mutator: Mutator::Add,
///     argument: Datum::from(Atom::Integer(1)),
/// };
/// assert_eq!(mutation.to_json(), r#"["tag","+=",1]"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// The column's name.
    pub column: Str,
    /// How to change it.
    pub mutator: Mutator,
    /// The mutator's argument.
    pub argument: Datum,
}

impl Mutation {
    /// A change of the column with this name.
    pub fn new(column: impl Into<Str>, mutator: Mutator, argument: impl Into<Datum>) -> Self {
        Self {
            column: column.into(),
            mutator,
            argument: argument.into(),
        }
    }
}

impl Wire for Mutation {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()?;
        reader.demand("a column")?;
        let column = reader.text()?;
        reader.demand("a mutator")?;
        let mutator = Mutator::read(reader)?;
        reader.demand("a value")?;
        let argument = Datum::read(reader)?;
        reader.finish()?;
        Ok(Self {
            column,
            mutator,
            argument,
        })
    }

    fn write(&self, out: &mut String) {
        out.push('[');
        write_string(out, &self.column);
        out.push(',');
        self.mutator.write(out);
        out.push(',');
        self.argument.write(out);
        out.push(']');
    }
}
