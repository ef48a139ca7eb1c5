//! Documentation generated from the schema.

use ovsdb_schema::{
    AtomicType, BaseType, ColumnSchema, ColumnType, Constraint, Max, RefType, TableSchema,
};

/// The documentation of a table's struct.
pub(crate) fn table(name: &str, table: &TableSchema) -> String {
    let mut doc = format!("A row of the table `{name}`.\n\n");
    doc += if table.is_root {
        "The table is part of the root set: its rows live until they are deleted."
    } else {
        "The table is not part of the root set: a row lives as long as another row refers to it."
    };
    if let Some(rows) = table.max_rows {
        doc += &format!(" It has at most {rows} {}.", plural(rows, "row"));
    }
    for index in &table.indexes {
        let columns: Vec<_> = index.iter().map(|column| format!("`{column}`")).collect();
        doc += &format!("\n\nNo two rows have the same {}.", columns.join(", "));
    }
    doc
}

/// The documentation of a column.
pub(crate) fn column(name: &str, column: &ColumnSchema, table: &TableSchema) -> String {
    let mut doc = format!("`{name}`: {}.", column_type(&column.kind));
    if table.indexes.iter().any(|index| index == &[name]) {
        doc += " Unique in the table (an index).";
    } else if table
        .indexes
        .iter()
        .any(|index| index.iter().any(|column| column == name))
    {
        doc += " Part of an index.";
    }
    if !column.mutable {
        doc += " Cannot be changed after the row's insert.";
    }
    if column.ephemeral {
        doc += " Ephemeral: need not survive a restart of the server.";
    }
    doc
}

/// What a column holds.
pub(crate) fn column_type(kind: &ColumnType) -> String {
    let key = base_type(&kind.key);
    if let Some(value) = &kind.value {
        let limit = match kind.max {
            Max::Limited(max) => format!(" of at most {max} {}", plural(max.into(), "pair")),
            Max::Unlimited => String::new(),
        };
        return format!("map{limit} from {key} to {}", base_type(value));
    }
    match (kind.min, kind.max) {
        (1, Max::Limited(1)) => key,
        (_, Max::Limited(1)) => format!("optional {key}"),
        (min, Max::Limited(max)) => format!("set of {min} to {max} of {key}"),
        (0, Max::Unlimited) => format!("set of {key}"),
        (min, Max::Unlimited) => format!("set of {min} or more of {key}"),
    }
}

fn base_type(base: &BaseType) -> String {
    if let Some(table) = &base.ref_table {
        let kind = match base.ref_type {
            RefType::Strong => "strong",
            RefType::Weak => "weak",
        };
        return format!("{kind} reference to `{table}`");
    }
    let name = base.atomic.as_str();
    match &base.constraint {
        Constraint::Enum(values) => {
            let quote = if base.atomic == AtomicType::String {
                "\""
            } else {
                ""
            };
            let values: Vec<_> = values
                .iter()
                .map(|v| format!("`{quote}{v}{quote}`"))
                .collect();
            format!("{name}, one of {}", values.join(", "))
        }
        Constraint::Integer { min, max } => format!("{name}{}", range(*min, *max, "")),
        Constraint::Real { min, max } => format!("{name}{}", range(*min, *max, "")),
        Constraint::Length { min, max } => format!("{name}{}", range(*min, *max, " characters")),
        _ => name.to_owned(),
    }
}

fn range<T: ToString>(min: Option<T>, max: Option<T>, unit: &str) -> String {
    match (
        min.map(|min| min.to_string()),
        max.map(|max| max.to_string()),
    ) {
        (Some(min), Some(max)) => format!(" ({min} to {max}{unit})"),
        (Some(min), None) => format!(" ({min}{unit} or more)"),
        (None, Some(max)) => format!(" (up to {max}{unit})"),
        (None, None) => String::new(),
    }
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}
