//! Checks names, values, conditions and operations against a server's schema, before they are sent.
//!
//! Compiled tables are not checked here: the compiler checks their names and types, and the server their
//! values. Nothing that a server accepts is refused here, except columns that only the server sets. The
//! server may still refuse a value because of other rows.

mod mismatch;

use std::borrow::Cow;
use std::fmt;

use ovsdb_schema::{
    AtomicType, BaseType, ColumnType, Constraint, DatabaseSchema, EnumValue, Max, TableSchema,
    nearest,
};

pub use self::mismatch::{MismatchReason, SchemaMismatch};
use crate::protocol::{Clause, Columns, Function, Mutation, Mutator, Operation};
use crate::value::{Atom, Datum, Str};

type Checked<T = ()> = Result<T, SchemaMismatch>;

/// A table of the server's schema, by its name.
pub(crate) fn table<'a>(schema: &'a DatabaseSchema, name: &'a str) -> Checked<CheckedTable<'a>> {
    match schema.tables.get(name) {
        Some(table) => Ok(CheckedTable { name, table }),
        None => {
            let nearest = nearest(name, schema.tables.keys().map(String::as_str));
            Err(SchemaMismatch {
                operation: None,
                table: name.into(),
                column: None,
                reason: Box::new(MismatchReason::NoTable {
                    nearest: nearest.map(Str::from),
                }),
            })
        }
    }
}

/// Checks that a cache has the table.
pub(crate) fn cached<'a>(name: &'a str, tables: impl Iterator<Item = &'a str>) -> Checked {
    let tables: Vec<&str> = tables.collect();
    if tables.contains(&name) {
        return Ok(());
    }
    let nearest = nearest(name, tables).map(Str::from);
    Err(SchemaMismatch {
        operation: None,
        table: name.into(),
        column: None,
        reason: Box::new(MismatchReason::NotCached { nearest }),
    })
}

/// A table that the server's schema has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckedTable<'a> {
    name: &'a str,
    table: &'a TableSchema,
}

impl CheckedTable<'_> {
    fn mismatch<T>(&self, column: &str, reason: MismatchReason) -> Checked<T> {
        Err(SchemaMismatch {
            operation: None,
            table: self.name.into(),
            column: Some(column.into()),
            reason: Box::new(reason),
        })
    }

    /// The type of a column, and whether it can be changed.
    fn column(&self, name: &str) -> Checked<(Cow<'_, ColumnType>, bool)> {
        if let Some(column) = self.table.columns.get(name) {
            return Ok((Cow::Borrowed(&column.kind), column.mutable));
        }
        if is_of_server(name) {
            let uuid = ColumnType::scalar(BaseType::new(AtomicType::Uuid));
            return Ok((Cow::Owned(uuid), false));
        }
        let names = self.table.columns.keys().map(String::as_str);
        let nearest = nearest(name, names).map(Str::from);
        self.mismatch(name, MismatchReason::NoColumn { nearest })
    }

    /// Checks that the table has these columns.
    pub(crate) fn names<'n>(&self, names: impl IntoIterator<Item = &'n Str>) -> Checked {
        names
            .into_iter()
            .try_for_each(|name| self.column(name).map(drop))
    }

    /// Checks a condition.
    pub(crate) fn clauses(&self, clauses: &[Clause]) -> Checked {
        for clause in clauses {
            let Clause::Compare {
                column,
                function,
                argument,
            } = clause
            else {
                continue;
            };
            let (kind, _) = self.column(column)?;
            let mut kind = kind.into_owned();
            match function {
                Function::Equal | Function::NotEqual => {}
                Function::Includes | Function::Excludes if kind.is_scalar() => {}
                Function::Includes => kind.min = 0,
                Function::Excludes => (kind.min, kind.max) = (0, Max::Unlimited),
                Function::Less
                | Function::LessOrEqual
                | Function::Greater
                | Function::GreaterOrEqual => {
                    if !is_number(&kind) || !(kind.is_scalar() || kind.is_optional()) {
                        let (function, kind) = (*function, kind.to_string());
                        let reason = MismatchReason::Function { function, kind };
                        return self.mismatch(column, reason);
                    }
                    // The argument is one number, even if the column may be empty.
                    kind.min = 1;
                }
            }
            self.datum(column, &kind, argument)?;
        }
        Ok(())
    }

    /// Checks the columns of a row to be inserted or, with `change`, of rows to be changed.
    fn row(&self, row: &Columns, change: bool) -> Checked {
        for (name, datum) in row {
            let (kind, mutable) = self.column(name)?;
            if is_of_server(name) {
                return self.mismatch(name, MismatchReason::OfServer);
            }
            if change && !mutable {
                return self.mismatch(name, MismatchReason::Immutable);
            }
            self.datum(name, &kind, datum)?;
        }
        Ok(())
    }

    /// Checks the server's defaults for columns that a row to be inserted omits.
    fn omitted(&self, row: &Columns) -> Checked {
        for (name, column) in &self.table.columns {
            if row.get(name.as_str()).is_none() {
                self.datum(name, &column.kind, &Datum::default_of(&column.kind))?;
            }
        }
        Ok(())
    }

    fn mutation(&self, mutation: &Mutation) -> Checked {
        let (name, mutator) = (&mutation.column, mutation.mutator);
        let (kind, mutable) = self.column(name)?;
        if is_of_server(name) {
            return self.mismatch(name, MismatchReason::OfServer);
        }
        if !mutable {
            return self.mismatch(name, MismatchReason::Immutable);
        }
        let mut kind = kind.into_owned();
        let applies = match mutator {
            Mutator::Insert | Mutator::Delete => !kind.is_scalar(),
            Mutator::Modulo => is_number(&kind) && kind.key.atomic == AtomicType::Integer,
            Mutator::Add | Mutator::Subtract | Mutator::Multiply | Mutator::Divide => {
                is_number(&kind)
            }
        };
        if !applies {
            let kind = kind.to_string();
            return self.mismatch(name, MismatchReason::Mutator { mutator, kind });
        }
        match mutator {
            Mutator::Insert => kind.min = 0,
            Mutator::Delete => {
                (kind.min, kind.max) = (0, Max::Unlimited);
                if kind.is_map() && matches!(mutation.argument, Datum::Set(_)) {
                    // Only the keys.
                    kind.value = None;
                }
            }
            _ => kind = ColumnType::scalar(BaseType::new(kind.key.atomic)),
        }
        self.datum(name, &kind, &mutation.argument)
    }

    /// Checks a value for a column of this type.
    fn datum(&self, column: &str, kind: &ColumnType, datum: &Datum) -> Checked {
        let fits = match (datum, &kind.value) {
            (Datum::Set(set), None) => set.iter().all(|atom| is_of(atom, kind.key.atomic)),
            (Datum::Map(map), Some(value)) => map
                .iter()
                .all(|(k, v)| is_of(k, kind.key.atomic) && is_of(v, value.atomic)),
            _ => false,
        };
        if !fits {
            let (expected, found) = (kind.to_string(), datum.clone());
            return self.mismatch(column, MismatchReason::Type { expected, found });
        }
        let (count, least) = (datum.len(), kind.min as usize);
        let most = match kind.max {
            Max::Limited(most) => Some(most as usize),
            Max::Unlimited => None,
        };
        if count < least || most.is_some_and(|most| count > most) {
            return self.mismatch(column, MismatchReason::Count { count, least, most });
        }
        let excluded = match (datum, &kind.value) {
            (Datum::Set(set), _) => set.iter().find_map(|atom| excluded(atom, &kind.key)),
            (Datum::Map(map), Some(value)) => map
                .iter()
                .find_map(|(k, v)| excluded(k, &kind.key).or_else(|| excluded(v, value))),
            (Datum::Map(_), None) => None,
        };
        match excluded {
            Some(reason) => self.mismatch(column, reason),
            None => Ok(()),
        }
    }
}

/// Checks an operation.
pub(crate) fn operation(schema: &DatabaseSchema, operation: &Operation) -> Checked {
    let Some(name) = operation.table() else {
        return Ok(());
    };
    let table = table(schema, name)?;
    match operation {
        Operation::Insert { row, .. } => {
            table.row(row, false)?;
            table.omitted(row)
        }
        Operation::Select {
            conditions,
            columns,
            ..
        } => {
            table.clauses(conditions)?;
            table.names(columns.iter().flatten())
        }
        Operation::Update {
            conditions, row, ..
        } => {
            table.clauses(conditions)?;
            table.row(row, true)
        }
        Operation::Mutate {
            conditions,
            mutations,
            ..
        } => {
            table.clauses(conditions)?;
            mutations
                .iter()
                .try_for_each(|mutation| table.mutation(mutation))
        }
        Operation::Delete { conditions, .. } => table.clauses(conditions),
        Operation::Wait {
            conditions,
            columns,
            rows,
            ..
        } => {
            table.clauses(conditions)?;
            table.names(columns.iter().flatten())?;
            for (name, datum) in rows.iter().flatten() {
                let (kind, _) = table.column(name)?;
                table.datum(name, &kind, datum)?;
            }
            Ok(())
        }
        Operation::Commit { .. }
        | Operation::Abort
        | Operation::Comment { .. }
        | Operation::Assert { .. } => Ok(()),
    }
}

/// Whether this is a column of every table that only the server sets.
fn is_of_server(column: &str) -> bool {
    matches!(column, "_uuid" | "_version")
}

/// Whether the type is a number, a set of numbers or an optional number.
fn is_number(kind: &ColumnType) -> bool {
    kind.value.is_none() && matches!(kind.key.atomic, AtomicType::Integer | AtomicType::Real)
}

fn is_of(atom: &Atom, atomic: AtomicType) -> bool {
    match atom {
        Atom::Integer(_) => matches!(atomic, AtomicType::Integer | AtomicType::Real),
        // A server reads a whole real as an integer.
        Atom::Real(real) => {
            atomic == AtomicType::Real
                || (atomic == AtomicType::Integer && real.as_integer().is_some())
        }
        Atom::Boolean(_) => atomic == AtomicType::Boolean,
        Atom::String(_) => atomic == AtomicType::String,
        Atom::Uuid(_) | Atom::NamedUuid(_) => atomic == AtomicType::Uuid,
    }
}

/// The reason why the schema does not allow an atom of the right type.
fn excluded(atom: &Atom, base: &BaseType) -> Option<MismatchReason> {
    let within = match (&base.constraint, atom) {
        (Constraint::None, _) => true,
        (Constraint::Enum(values), _) => values.iter().any(|value| is_value(atom, value)),
        (Constraint::Integer { min, max }, Atom::Integer(number)) => {
            min.is_none_or(|min| *number >= min) && max.is_none_or(|max| *number <= max)
        }
        (Constraint::Integer { min, max }, Atom::Real(real)) => {
            let number = real.as_integer()?;
            min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
        }
        (Constraint::Real { min, max }, _) => {
            let bound = |bound: &Option<f64>| bound.map(|bound| Atom::Real(bound.into()));
            bound(min).is_none_or(|min| *atom >= min) && bound(max).is_none_or(|max| *atom <= max)
        }
        (Constraint::Length { min, max }, Atom::String(text)) => {
            let length = text.chars().count() as u64;
            min.is_none_or(|min| length >= min) && max.is_none_or(|max| length <= max)
        }
        _ => true,
    };
    if within {
        return None;
    }
    let near = match (&base.constraint, atom) {
        (Constraint::Enum(values), Atom::String(text)) => {
            let texts = values.iter().filter_map(|value| match value {
                EnumValue::String(text) => Some(text.as_str()),
                _ => None,
            });
            nearest(text, texts).map(Str::from)
        }
        _ => None,
    };
    Some(MismatchReason::Excluded {
        value: atom.clone(),
        allowed: allowed(&base.constraint),
        nearest: near,
    })
}

fn is_value(atom: &Atom, value: &EnumValue) -> bool {
    match (atom, value) {
        (_, EnumValue::Integer(value)) => *atom == Atom::Integer(*value),
        (_, EnumValue::Real(value)) => *atom == Atom::Real((*value).into()),
        (Atom::Boolean(boolean), EnumValue::Boolean(value)) => boolean == value,
        (Atom::String(text), EnumValue::String(value)) => text == value,
        (Atom::Uuid(uuid), EnumValue::Uuid(value)) => value.parse() == Ok(*uuid),
        // The row is not known yet.
        (Atom::NamedUuid(_), _) => true,
        _ => false,
    }
}

/// The values that a constraint allows, in words.
fn allowed(constraint: &Constraint) -> String {
    fn bounds<T: fmt::Display>(min: &Option<T>, max: &Option<T>) -> String {
        match (min, max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "anything".to_owned(),
        }
    }
    match constraint {
        Constraint::None => bounds::<i64>(&None, &None),
        Constraint::Enum(values) => {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            format!("one of {}", values.join(", "))
        }
        Constraint::Integer { min, max } => bounds(min, max),
        Constraint::Real { min, max } => bounds(min, max),
        Constraint::Length { min, max } => format!("{} characters", bounds(min, max)),
        _ => "another value".to_owned(),
    }
}
