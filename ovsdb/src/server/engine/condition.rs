//! Conditions on the rows of a table.

use std::cmp::Ordering;
use std::collections::HashSet;

use ovsdb_schema::{AtomicType, Max};

use super::cell::Cell;
use super::error::{English, syntax, syntax_of};
use super::parse::{Context, read_cell};
use super::row::Row;
use super::schema::{ColumnId, TableDef};
use crate::protocol::{Function, OvsdbError, Wire};
use crate::simulated::HashState;
use crate::value::json::{Raw, Reader};

/// A clause of a condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Clause {
    /// Is true for every row, or for none.
    Constant(bool),
    /// Compares a column.
    Column {
        id: ColumnId,
        function: Function,
        argument: Cell,
    },
}

impl Clause {
    fn read(
        reader: &mut Reader<'_>,
        table: &TableDef,
        context: &mut Context<'_>,
    ) -> Result<Self, OvsdbError> {
        if matches!(reader.peek(), Some(b't' | b'f')) {
            let constant = reader.boolean().map_err(|error| syntax("", error))?;
            return Ok(Self::Constant(constant));
        }
        let text = {
            let mut ahead = reader.again();
            ahead.skip().map_or("", |raw| raw.text)
        };
        let wrong = |_| syntax(text, "Parse error in condition.");
        let length = {
            let mut ahead = reader.again();
            ahead.array().map_err(wrong)?;
            let mut length = 0;
            while ahead.element().map_err(wrong)? {
                ahead.skip().map_err(wrong)?;
                length += 1;
            }
            length
        };
        if length != 3 {
            return Err(syntax(text, "Parse error in condition."));
        }
        reader.array().map_err(wrong)?;
        reader.demand("").map_err(wrong)?;
        let name = reader.string().map_err(wrong)?;
        reader.demand("").map_err(wrong)?;
        let function = reader.string().map_err(wrong)?;
        reader.demand("").map_err(wrong)?;
        let Some(id) = table.find(&name) else {
            let details = format!("No column {name} in table {}.", table.name);
            return Err(syntax_of("unknown column", text, details));
        };
        let mut quoted = String::new();
        crate::value::json::write_string(&mut quoted, &function);
        let Ok(function) = Function::from_json(&quoted) else {
            let details = format!("No function named {function}.");
            return Err(syntax_of("unknown function", text, details));
        };
        let column = table.column(id);
        let mut kind = column.kind.clone();
        match function {
            Function::Less
            | Function::LessOrEqual
            | Function::Greater
            | Function::GreaterOrEqual => {
                let is_number = matches!(kind.key.atomic, AtomicType::Integer | AtomicType::Real);
                if !is_number || !(kind.is_scalar() || kind.is_optional()) {
                    let details = format!(
                        "Type mismatch: {} operator may not be applied to column {name} of type {}.",
                        quoted,
                        English(&kind)
                    );
                    return Err(syntax(text, details));
                }
                kind.min = 1;
            }
            Function::Excludes if !kind.is_scalar() => {
                kind.min = 0;
                kind.max = Max::Unlimited;
            }
            Function::Includes if !kind.is_scalar() => kind.min = 0,
            _ => {}
        }
        let argument = read_cell(reader, &kind, context)?;
        reader.finish().map_err(wrong)?;
        Ok(Self::Column {
            id,
            function,
            argument,
        })
    }

    /// Whether the clause is true for the row.
    pub(crate) fn holds(&self, row: &Row, table: &TableDef) -> bool {
        let (id, function, argument) = match self {
            Self::Constant(constant) => return *constant,
            Self::Column {
                id,
                function,
                argument,
            } => (*id, *function, argument),
        };
        let cell = row.get(table, id);
        match function {
            Function::Equal => *cell == *argument,
            Function::NotEqual => *cell != *argument,
            Function::Includes => cell.includes(argument),
            Function::Excludes => cell.excludes(argument),
            ordered => {
                let ([value], [limit]) = (cell.elements(), argument.elements()) else {
                    return false;
                };
                let order = value.cmp(limit);
                match ordered {
                    Function::Less => order == Ordering::Less,
                    Function::LessOrEqual => order != Ordering::Greater,
                    Function::Greater => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }
            }
        }
    }
}

/// The clauses of an operation's `where`, all of which must be true.
#[derive(Debug, Clone, Default)]
pub(super) struct Conjunction(pub(super) Vec<Clause>);

/// Reads the clauses of a condition.
pub(crate) fn read_clauses(
    raw: Raw<'_>,
    table: &TableDef,
    context: &mut Context<'_>,
) -> Result<Vec<Clause>, OvsdbError> {
    let wrong = |_| syntax(raw.text, "array expected");
    let mut reader = Reader::of(raw);
    let mut clauses = Vec::new();
    reader.array().map_err(wrong)?;
    while reader.element().map_err(wrong)? {
        clauses.push(Clause::read(&mut reader, table, context)?);
    }
    Ok(clauses)
}

impl Conjunction {
    /// Whether every clause is true for the row.
    pub(super) fn holds(&self, row: &Row, table: &TableDef) -> bool {
        self.0.iter().all(|clause| clause.holds(row, table))
    }

    /// The value that a column must equal, if a clause requires one.
    pub(super) fn equal(&self, column: ColumnId) -> Option<&Cell> {
        self.0.iter().find_map(|clause| match clause {
            Clause::Column {
                id,
                function: Function::Equal,
                argument,
            } if *id == column => Some(argument),
            _ => None,
        })
    }
}

/// The condition of a monitor: it selects the rows for which any clause is true.
///
/// Clauses that compare one column for equality are looked up by hash, because clients list the rows
/// they need by the hundreds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Disjunction {
    /// Whether it selects every row. Then there are no clauses.
    everything: bool,
    /// The values that a column is compared with for equality, in the order of the columns.
    equal: Vec<(ColumnId, HashSet<Cell, HashState>)>,
    /// Sets, so that conditions that differ only in the order of their clauses are equal: monitors with
    /// equal selections share the texts of updates.
    others: HashSet<Clause, HashState>,
}

impl Disjunction {
    /// The condition made of these clauses. Without clauses it selects every row.
    pub(crate) fn new(clauses: Vec<Clause>) -> Self {
        let mut condition = Self {
            everything: clauses.is_empty(),
            ..Self::default()
        };
        for clause in clauses {
            match clause {
                Clause::Constant(constant) => condition.everything |= constant,
                Clause::Column {
                    id,
                    function: Function::Equal,
                    argument,
                } => {
                    let known = condition
                        .equal
                        .binary_search_by_key(&id, |(column, _)| *column);
                    match known {
                        Ok(at) => drop(condition.equal[at].1.insert(argument)),
                        Err(at) => {
                            let values = [argument].into_iter().collect();
                            condition.equal.insert(at, (id, values));
                        }
                    }
                }
                other => drop(condition.others.insert(other)),
            }
        }
        match condition.everything {
            true => Self::everything(),
            false => condition,
        }
    }

    /// The condition that selects every row.
    pub(crate) fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// Whether it selects the row.
    pub(crate) fn selects(&self, row: &Row, table: &TableDef) -> bool {
        self.everything
            || self
                .equal
                .iter()
                .any(|(id, values)| values.contains(&*row.get(table, *id)))
            || self.others.iter().any(|clause| clause.holds(row, table))
    }
}

#[cfg(test)]
mod tests {
    use ovsdb_schema::DatabaseSchema;

    use super::*;
    use crate::server::engine::Schema;

    const SCHEMA: &str = r#"{"name":"D","tables":{"T":{"columns":{"n":{"type":"integer"},
        "s":{"type":"string"},"x":{"type":"real"}}}}}"#;

    fn condition(schema: &Schema, text: &str) -> Disjunction {
        let clauses = read_clauses(
            Raw { text, offset: 0 },
            &schema.tables[0],
            &mut Context::without_names(),
        );
        Disjunction::new(clauses.expect("a condition"))
    }

    #[test]
    fn conditions_that_differ_only_in_order_and_repetition_are_equal() {
        let schema = DatabaseSchema::parse(SCHEMA).expect("a schema");
        let schema = Schema::new(schema).expect("a schema");
        let groups: &[&[&str]] = &[
            &[
                r#"[["n","==",1],["s","==","a"],["n",">",7],["n","==",2],["x","<",1.5]]"#,
                r#"[["x","<",1.5],["n","==",2],["s","==","a"],["n","==",1],["n",">",7]]"#,
                r#"[["n","==",2],["n","==",2],["n",">",7],["s","==","a"],["x","<",1.5],["n",">",7],["n","==",1],false]"#,
            ],
            &[r#"[["n","==",1],["s","==","a"],["n",">",7],["n","==",2]]"#],
            &[r#"[["n","==",1],["s","==","a"],["n",">=",7],["n","==",2],["x","<",1.5]]"#],
            &[r#"[["n","==",1]]"#],
            &[r#"[["n","==",2]]"#],
            &[r#"[["n","!=",2]]"#],
            &["[false]", "[false,false]"],
            &["[]", "[true]", r#"[["n","==",1],true]"#],
        ];
        for (at, group) in groups.iter().enumerate() {
            for text in *group {
                for (other, others) in groups.iter().enumerate() {
                    for known in *others {
                        let equal = condition(&schema, text) == condition(&schema, known);
                        assert_eq!(equal, at == other, "{text} {known}");
                    }
                }
            }
        }
    }
}
