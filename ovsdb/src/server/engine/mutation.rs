//! Mutations of a column (RFC 7047 section 5.1, `<mutation>`).

use ovsdb_schema::{AtomicType, BaseType, ColumnType, Constraint, Max};

use super::cell::Cell;
use super::error::{English, error, syntax, syntax_of, violation};
use super::parse::{Context, check_atom, read_cell};
use super::row::Row;
use super::schema::{ColumnId, TableDef};
use crate::protocol::{Mutator, OvsdbError, Wire};
use crate::value::json::{Raw, Reader};
use crate::value::{Atom, Real, Set};

/// A mutation of a column.
#[derive(Debug)]
pub(super) struct Mutation {
    id: ColumnId,
    mutator: Mutator,
    argument: Cell,
}

/// Reads the mutations of an operation.
pub(super) fn read_mutations(
    raw: Raw<'_>,
    table: &TableDef,
    context: &mut Context<'_>,
) -> Result<Vec<Mutation>, OvsdbError> {
    let wrong = |_| syntax(raw.text, "array expected");
    let mut reader = Reader::of(raw);
    let mut mutations = Vec::new();
    reader.array().map_err(wrong)?;
    while reader.element().map_err(wrong)? {
        let one = reader.skip().map_err(wrong)?;
        mutations.push(Mutation::read(one, table, context)?);
    }
    Ok(mutations)
}

impl Mutation {
    fn read(raw: Raw<'_>, table: &TableDef, context: &mut Context<'_>) -> Result<Self, OvsdbError> {
        let text = raw.text;
        let malformed = |_| syntax(text, "Parse error in mutation.");
        let mut reader = Reader::of(raw);
        reader.array().map_err(malformed)?;
        reader.demand("").map_err(malformed)?;
        let name = reader.string().map_err(malformed)?;
        reader.demand("").map_err(malformed)?;
        let word = reader.string().map_err(malformed)?;
        reader.demand("").map_err(malformed)?;
        let value = reader.skip().map_err(malformed)?;
        reader.finish().map_err(malformed)?;

        let Some(id) = table.find(&name) else {
            let details = format!("No column {name} in table {}.", table.name);
            return Err(syntax_of("unknown column", text, details));
        };
        let column = table.column(id);
        if !column.mutable {
            let details = format!(
                "Cannot mutate immutable column {name} in table {}.",
                table.name
            );
            return Err(syntax_of("constraint violation", text, details));
        }
        let mut quoted = String::new();
        crate::value::json::write_string(&mut quoted, &word);
        let Ok(mutator) = Mutator::from_json(&quoted) else {
            let details = format!("No mutator named {word}.");
            return Err(error("unknown mutator", details));
        };
        let mismatch = || {
            let details = format!(
                "Type mismatch: {quoted} operator may not be applied to column {name} of type {}.",
                English(&column.kind)
            );
            syntax(text, details)
        };
        let mut kind = column.kind.clone();
        let mut reader = Reader::of(value);
        let argument = match mutator {
            Mutator::Insert | Mutator::Delete => {
                if kind.is_scalar() {
                    return Err(mismatch());
                }
                kind.min = 0;
                if matches!(mutator, Mutator::Delete) {
                    kind.max = Max::Unlimited;
                }
                match read_cell(&mut reader, &kind, context) {
                    Err(_) if matches!(mutator, Mutator::Delete) && kind.is_map() => {
                        kind.value = None;
                        read_cell(&mut Reader::of(value), &kind, context)?
                    }
                    argument => argument?,
                }
            }
            _ => {
                let arithmetic = kind.value.is_none()
                    && match kind.key.atomic {
                        AtomicType::Integer => true,
                        AtomicType::Real => !matches!(mutator, Mutator::Modulo),
                        _ => false,
                    };
                if !arithmetic {
                    return Err(mismatch());
                }
                let mut kind = ColumnType::scalar(BaseType::new(kind.key.atomic));
                kind.key.constraint = Constraint::None;
                read_cell(&mut reader, &kind, context)?
            }
        };
        Ok(Self {
            id,
            mutator,
            argument,
        })
    }

    /// Applies the mutation to a row.
    pub(super) fn apply(&self, row: &mut Row, table: &TableDef) -> Result<(), OvsdbError> {
        let column = table.column(self.id);
        let mut cell = row.get(table, self.id).into_owned();
        match self.mutator {
            Mutator::Insert => cell.unite(&self.argument),
            Mutator::Delete => cell.subtract(&self.argument),
            _ => {
                let [argument] = self.argument.elements() else {
                    return Ok(());
                };
                cell = self.calculate(&cell, argument, &column.kind.key)?;
            }
        }
        let count = cell.len();
        if !column.kind.allows(count) {
            return Err(violation(format_args!(
                "Attempted to store {count} elements in {}.",
                English(&column.kind)
            )));
        }
        row.set(table, self.id, cell);
        Ok(())
    }

    fn calculate(&self, cell: &Cell, argument: &Atom, base: &BaseType) -> Result<Cell, OvsdbError> {
        let mut results = Vec::with_capacity(cell.len());
        for atom in cell.elements() {
            results.push(match (atom, argument) {
                (Atom::Integer(a), Atom::Integer(b)) => Atom::Integer(self.integer(*a, *b)?),
                (Atom::Real(a), Atom::Real(b)) => Atom::Real(self.real(a.get(), b.get())?),
                _ => atom.clone(),
            });
        }
        for atom in &results {
            check_atom(atom, base)?;
        }
        let count = results.len();
        let set = Set::from(results);
        if set.len() < count {
            return Err(violation(format_args!(
                "Result of {} operation contains duplicates.",
                self.mutator.to_json()
            )));
        }
        Ok(Cell::of_set(set))
    }

    fn integer(&self, a: i64, b: i64) -> Result<i64, OvsdbError> {
        let result = match self.mutator {
            Mutator::Add => a.checked_add(b),
            Mutator::Subtract => a.checked_sub(b),
            Mutator::Multiply => multiply(a, b),
            _ if b == 0 => return Err(error("domain error", "Division by zero.")),
            Mutator::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        result.ok_or_else(|| self.out_of_range())
    }

    fn real(&self, a: f64, b: f64) -> Result<Real, OvsdbError> {
        let result = match self.mutator {
            Mutator::Add => a + b,
            Mutator::Subtract => a - b,
            Mutator::Multiply => a * b,
            _ if b == 0.0 => return Err(error("domain error", "Division by zero.")),
            _ => a / b,
        };
        if result.is_finite() {
            Ok(result.into())
        } else {
            Err(self.out_of_range())
        }
    }

    fn out_of_range(&self) -> OvsdbError {
        let details = format!(
            "Result of {} operation is out of range.",
            self.mutator.to_json()
        );
        error("range error", details)
    }
}

/// The product, or `None` where ovsdb-server reports that it is out of range. It does so for a few
/// products that fit, such as 1 times the greatest integer.
const fn multiply(a: i64, b: i64) -> Option<i64> {
    let overflows = match (a > 0, b > 0) {
        (true, true) => a >= i64::MAX / b,
        (true, false) => b < i64::MIN / a,
        (false, true) => a < i64::MIN / b,
        (false, false) => a != 0 && b < i64::MAX / a,
    };
    if overflows { None } else { a.checked_mul(b) }
}
