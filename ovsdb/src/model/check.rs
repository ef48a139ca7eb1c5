//! Compile-time checks that a field of a `derive(Table)` struct can hold its column.
//!
//! The macro sees only the tokens of a type. The type may be an alias, and only the compiler knows to
//! which table a reference is. So the macro writes constants that call these functions. `model.rs` uses
//! the same comparisons for `Column` and `ColumnInfo`, so the two files use each other.

use crate::model::Table;
use crate::value::{ColumnKind, Domain, Value};
use ovsdb_schema::AtomicType;

/// What the schema says about a column.
pub struct Expected {
    /// The name of the schema's database.
    pub database: &'static str,
    /// The elements, or a map's keys.
    pub key: Atoms,
    /// A map's values; `None` unless it is a map.
    pub value: Option<Atoms>,
    /// Whether it holds at least one atom.
    pub required: bool,
    /// Whether it holds at most one atom.
    pub single: bool,
}

/// What the schema says about a column's atoms.
pub struct Atoms {
    /// Their type.
    pub atomic: AtomicType,
    /// The table that they refer to.
    pub table: Option<&'static str>,
    /// The strings that are allowed.
    pub values: Option<&'static [&'static str]>,
}

/// Whether a field of type `V` can hold the column.
#[must_use]
pub const fn fits<V: Value>(expected: &Expected) -> bool {
    let [key, value] = V::DOMAINS;
    holds(&V::KIND, expected)
        && means(key, &expected.key, expected.database)
        && match &expected.value {
            Some(expected_value) => means(value, expected_value, expected.database),
            None => true,
        }
}

/// Does not compile unless `T` is a table.
pub const fn is_table<T: Table>() {}

/// Whether every reference in `V` is to a table of this database.
#[must_use]
pub const fn refers_within<V: Value>(database: &str) -> bool {
    let [key, value] = V::DOMAINS;
    within(key, database) && within(value, database)
}

/// Whether the atoms are references to this table.
pub(super) const fn is_rows_of(domain: Domain, database: &str, table: &str) -> bool {
    match domain {
        Domain::Rows {
            database: of,
            table: target,
        } => same(of, database) && same(target, table),
        Domain::Any | Domain::Enum(_) => false,
    }
}

const fn within(domain: Domain, expected: &str) -> bool {
    match domain {
        Domain::Rows { database, .. } => same(database, expected),
        Domain::Any | Domain::Enum(_) => true,
    }
}

/// The same as [`ColumnKind::accepts`], for constants.
const fn holds(kind: &ColumnKind, expected: &Expected) -> bool {
    let maps = match (&kind.value, &expected.value) {
        (Some(value), Some(atoms)) => *value as u8 == atoms.atomic as u8,
        (None, None) => true,
        _ => false,
    };
    kind.key as u8 == expected.key.atomic as u8
        && maps
        && (kind.value.is_some()
            || !kind.single
            || (expected.single && (!kind.scalar || expected.required)))
}

/// Whether two columns have the same shape.
pub(super) const fn same_kind(a: &ColumnKind, b: &ColumnKind) -> bool {
    let values = match (&a.value, &b.value) {
        (Some(a), Some(b)) => *a as u8 == *b as u8,
        (None, None) => true,
        _ => false,
    };
    values && a.key as u8 == b.key as u8 && a.scalar == b.scalar && a.single == b.single
}

/// The position of the index over these columns among `indexes`.
///
/// # Panics
/// When there is no such index.
pub(super) const fn position_of(indexes: &[&[usize]], columns: &[usize]) -> usize {
    let mut at = 0;
    while at < indexes.len() {
        if same_columns(indexes[at], columns) {
            return at;
        }
        at += 1;
    }
    panic!("the table has no index over these columns")
}

const fn same_columns(a: &[usize], b: &[usize]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether atoms stand for what the schema says. A type without a domain is accepted: `Uuid` for any
/// reference, `Str` for any string.
const fn means(domain: Domain, expected: &Atoms, database: &str) -> bool {
    match (domain, expected.table, expected.values) {
        (Domain::Any, ..) => true,
        (
            Domain::Rows {
                database: of,
                table,
            },
            Some(expected),
            _,
        ) => same(of, database) && same(table, expected),
        (Domain::Enum(values), _, Some(expected)) => same_values(values, expected),
        (Domain::Rows { .. } | Domain::Enum(_), ..) => false,
    }
}

/// Whether both contain the same values, in any order.
const fn same_values(a: &[&str], b: &[&str]) -> bool {
    let mut at = 0;
    while at < a.len() {
        if !contains(b, a[at]) {
            return false;
        }
        at += 1;
    }
    a.len() == b.len()
}

const fn contains(values: &[&str], value: &str) -> bool {
    let mut at = 0;
    while at < values.len() {
        if same(values[at], value) {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether two names are equal.
#[must_use]
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}
