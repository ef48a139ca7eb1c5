//! Documentation generated from the schema.

use ovsdb_schema::{
    AtomicType, BaseType, ColumnSchema, ColumnType, Constraint, DatabaseSchema, EnumValue, Max,
    RefType, TableSchema,
};

use crate::manual::Manual;
use crate::notes::Notes;

/// What generated documentation states.
pub(crate) struct Facts<'a> {
    pub(crate) schema: &'a DatabaseSchema,
    /// What is known of a bundled schema; empty for any other.
    pub(crate) notes: Notes<'a>,
    /// The manual to link to.
    pub(crate) manual: Option<&'a Manual>,
}

/// The documentation of a table's struct.
pub(crate) fn table(facts: &Facts<'_>, name: &str) -> String {
    let table = &facts.schema.tables[name];
    let mut paragraphs = vec![format!("A row of the table `{name}`.")];
    paragraphs.extend(facts.notes.table(name));
    let mut life = if table.is_root {
        "A root table: its rows live until a client deletes them.".to_owned()
    } else {
        "Not a root table: the server deletes a row as soon as no other row has a strong reference to it."
            .to_owned()
    };
    if let Some(rows) = table.max_rows {
        life += &format!(" The table has at most {rows} {}.", plural(rows, "row"));
    }
    paragraphs.push(life);
    for (kind, word) in [(RefType::Strong, "Strong"), (RefType::Weak, "Weak")] {
        let columns = referring_columns(facts.schema, name, kind);
        if !columns.is_empty() {
            paragraphs.push(format!("{word} references to it: {}.", columns.join(", ")));
        }
    }
    for index in &table.indexes {
        paragraphs.push(format!("No two rows have the same {}.", and(index)));
    }
    paragraphs.extend(facts.manual.map(|manual| manual.link(name)));
    paragraphs.join("\n\n")
}

/// The columns that refer to a table in this way, each as Markdown.
fn referring_columns(schema: &DatabaseSchema, target: &str, kind: RefType) -> Vec<String> {
    let mut found = Vec::new();
    for (table, table_schema) in &schema.tables {
        for (column, column_schema) in &table_schema.columns {
            let refers = |base: &BaseType| {
                base.ref_table.as_deref() == Some(target) && base.ref_type == kind
            };
            if column_schema.kind.atoms().any(refers) {
                found.push(format!("`{table}.{column}`"));
            }
        }
    }
    found
}

/// The documentation of a column.
pub(crate) fn column(facts: &Facts<'_>, table_name: &str, name: &str) -> String {
    let table = &facts.schema.tables[table_name];
    let column = &table.columns[name];
    let mut sentences = vec![format!("`{name}`: {}.", column_type(&column.kind))];
    sentences.extend(default(&column.kind));
    sentences.extend(references(facts.schema, column));
    for index in &table.indexes {
        if index.iter().all(|part| part != name) {
            continue;
        }
        sentences.push(match index.as_slice() {
            [_] => "Unique in the table.".to_owned(),
            _ => format!("No two rows have the same {}.", and(index)),
        });
    }
    if !column.mutable {
        sentences.push("Cannot change after the row's insert.".to_owned());
    }
    if column.ephemeral {
        sentences.push("Ephemeral: it may be lost when the server restarts.".to_owned());
    }
    sentences.extend(facts.notes.column(table_name, name));
    let mut paragraphs = vec![sentences.join(" ")];
    if let Some(keys) = facts.notes.keys(table_name, name) {
        let what = if column.kind.is_map() {
            "Keys"
        } else {
            "Elements"
        };
        paragraphs.push(format!("{what} {keys}"));
    }
    paragraphs.extend(facts.manual.map(|manual| manual.link(table_name)));
    paragraphs.join("\n\n")
}

/// What the server stores where an insert omits the column. A column that may be empty is empty then,
/// which its type says.
fn default(kind: &ColumnType) -> Option<String> {
    if kind.min == 0 {
        return None;
    }
    let atoms: Option<Vec<String>> = kind.atoms().map(default_atom).collect();
    Some(match atoms.as_deref() {
        None => "An insert must set it.".to_owned(),
        Some([atom]) if kind.is_scalar() => format!("Default: `{atom}`."),
        Some([atom]) => format!("Default: the one element `{atom}`."),
        Some(atoms) => format!("Default: the one pair `{}`.", atoms.join("=")),
    })
}

/// The default of an atomic type (RFC 7047 section 5.2.1), unless the server would refuse to store it.
fn default_atom(base: &BaseType) -> Option<String> {
    if base.ref_table.is_some() {
        return None;
    }
    let value = match base.atomic {
        AtomicType::Integer => EnumValue::Integer(0),
        AtomicType::Real => EnumValue::Real(0.0),
        AtomicType::Boolean => EnumValue::Boolean(false),
        AtomicType::String => EnumValue::String(String::new()),
        AtomicType::Uuid => EnumValue::Uuid("00000000-0000-0000-0000-000000000000".to_owned()),
    };
    let allowed = match &base.constraint {
        Constraint::None => true,
        Constraint::Enum(values) => values.contains(&value),
        Constraint::Integer { min, max } => {
            min.is_none_or(|min| min <= 0) && max.is_none_or(|max| max >= 0)
        }
        Constraint::Real { min, max } => {
            min.is_none_or(|min| min <= 0.0) && max.is_none_or(|max| max >= 0.0)
        }
        Constraint::Length { min, .. } => min.is_none_or(|min| min == 0),
        // The enum is not exhaustive. For a kind of constraint added later, the documentation says that an insert must
        // set the column.
        _ => false,
    };
    allowed.then(|| literal(base, &value))
}

/// What the column's references mean for the rows that they name.
fn references(schema: &DatabaseSchema, column: &ColumnSchema) -> Vec<String> {
    let mut sentences = Vec::new();
    for base in column.kind.atoms() {
        let Some(target) = &base.ref_table else {
            continue;
        };
        let of_root = schema
            .tables
            .get(target)
            .is_none_or(|table: &TableSchema| table.is_root);
        sentences.push(match base.ref_type {
            RefType::Weak => {
                "The server removes a reference when the row it refers to is deleted.".to_owned()
            }
            RefType::Strong if of_root => {
                "The server refuses to delete a row that is referred to.".to_owned()
            }
            RefType::Strong => {
                "The server keeps a row as long as a strong reference to it exists.".to_owned()
            }
        });
    }
    sentences.dedup();
    sentences
}

/// What a column holds.
pub(crate) fn column_type(kind: &ColumnType) -> String {
    let one = |base| atoms(base, 1);
    if let Some(value) = &kind.value {
        let pairs = match (kind.min, kind.max) {
            (0, Max::Unlimited) => String::new(),
            (0, Max::Limited(max)) => {
                format!(" of at most {max} {}", plural(max.into(), "pair"))
            }
            (min, Max::Limited(max)) if min == max => {
                format!(" of {min} {}", plural(min.into(), "pair"))
            }
            (min, Max::Limited(max)) => format!(" of {min} to {max} pairs"),
            (min, Max::Unlimited) => format!(" of {min} or more pairs"),
        };
        return format!("map{pairs} from {} to {}", one(&kind.key), one(value));
    }
    let many = || atoms(&kind.key, 2);
    match (kind.min, kind.max) {
        (1, Max::Limited(1)) => one(&kind.key),
        (_, Max::Limited(1)) => format!("optional {}", one(&kind.key)),
        (0, Max::Limited(max)) => format!("set of at most {max} {}", many()),
        (min, Max::Limited(max)) => format!("set of {min} to {max} {}", many()),
        (0, Max::Unlimited) => format!("set of {}", many()),
        (min, Max::Unlimited) => format!("set of {min} or more {}", many()),
    }
}

/// One atom of this type or several, with what limits them.
fn atoms(base: &BaseType, count: u64) -> String {
    if let Some(table) = &base.ref_table {
        let kind = match base.ref_type {
            RefType::Strong => "strong",
            RefType::Weak => "weak",
        };
        return format!("{kind} {} to `{table}`", plural(count, "reference"));
    }
    let name = plural(count, base.atomic.as_str());
    match &base.constraint {
        Constraint::Enum(values) => {
            let values: Vec<_> = values
                .iter()
                .map(|value| format!("`{}`", literal(base, value)))
                .collect();
            match values.as_slice() {
                [value] => format!("{name} (only {value})"),
                values => format!("{name} (one of {})", values.join(", ")),
            }
        }
        Constraint::Integer { min, max } => format!("{name}{}", range(*min, *max, "")),
        Constraint::Real { min, max } => format!("{name}{}", range(*min, *max, "")),
        Constraint::Length { min, max } => format!("{name}{}", range(*min, *max, " characters")),
        _ => name,
    }
}

/// A value as one writes it: strings have quotes.
fn literal(base: &BaseType, value: &EnumValue) -> String {
    match base.atomic {
        AtomicType::String => format!("\"{value}\""),
        _ => value.to_string(),
    }
}

fn range<T: ToString>(min: Option<T>, max: Option<T>, unit: &str) -> String {
    match (
        min.map(|min| min.to_string()),
        max.map(|max| max.to_string()),
    ) {
        (Some(min), Some(max)) => format!(" ({min} to {max}{unit})"),
        (Some(min), None) => format!(" ({min}{unit} or more)"),
        (None, Some(max)) => format!(" (at most {max}{unit})"),
        (None, None) => String::new(),
    }
}

/// Names of columns as Markdown: `a`, `b` and `c`.
fn and(columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(", "),
    }
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}
