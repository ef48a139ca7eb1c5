//! Conditions that are evaluated for many rows.

use super::{AllOf, Row, Table};
use crate::protocol::{Clause, Function};
use crate::value::read_datum;

/// A condition that compares columns with values of their own types, so that it need not convert each
/// column to a `Datum`.
pub(crate) struct Matcher<T> {
    /// Clauses by the column's index, each with a row that has the argument in that column.
    typed: Vec<(usize, Function, T)>,
    /// The other clauses.
    others: AllOf<T>,
}

impl<T: Table> Matcher<T> {
    pub(crate) fn new(condition: &AllOf<T>) -> Self {
        let (mut typed, mut others) = (Vec::new(), Vec::new());
        for clause in condition.clauses() {
            match Self::read(clause) {
                Some(read) => typed.push(read),
                None => others.push(clause.clone()),
            }
        }
        let others = AllOf::from_clauses(others);
        Self { typed, others }
    }

    fn read(clause: &Clause) -> Option<(usize, Function, T)> {
        let Clause::Compare {
            column,
            function: function @ (Function::Equal | Function::NotEqual | Function::Includes),
            argument,
        } = clause
        else {
            return None;
        };
        let mut infos = T::COLUMNS.iter();
        let index = infos.position(|info| *column == info.name)?;
        let mut row = T::default();
        read_datum(row.column_mut(index)?, argument).then_some((index, *function, row))
    }

    /// The columns that are compared by their own types.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.typed.iter().map(|(index, ..)| *index)
    }

    /// The same as [`AllOf::holds_for`].
    pub(crate) fn holds_for(&self, row: &Row<T>) -> bool {
        let typed = self.typed.iter().all(|(index, function, argument)| {
            let (Some(column), Some(argument)) = (row.column(*index), argument.column(*index))
            else {
                return false;
            };
            match function {
                Function::Includes => column.includes(argument),
                Function::NotEqual => !column.equals(argument),
                _ => column.equals(argument),
            }
        });
        typed && self.others.holds_for(row)
    }
}
