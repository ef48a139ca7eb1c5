//! Fitting the compiled tables to the server's schema, which may be older or newer.

use std::fmt;

use ovsdb_schema::DatabaseSchema;

use crate::model::Table;
use crate::protocol::Clause;
use crate::value::json::Reader;
use crate::value::{Datum, Str};

/// A column or table that was compiled in but that the server's schema lacks, or has in a form
/// the compiled type cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skew {
    /// The server's schema has no such table: the replica's one stays empty.
    MissingTable {
        /// The table.
        table: &'static str,
    },
    /// The table has no such column: it reads as its default.
    MissingColumn {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The column is of another type: it reads as its default.
    OtherType {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The compiled type.
        compiled: String,
        /// The server's type.
        server: String,
    },
    /// The column holds exactly one value, or at most one, where the compiled type can hold none or
    /// several. It reads as it is; a value that the server's type has no room for is refused before
    /// it is sent ([`BuildError::Count`](crate::transaction::BuildError::Count)).
    Narrower {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The compiled type.
        compiled: String,
        /// The server's type.
        server: String,
    },
    /// The table's condition needs a column that the server's table lacks: the cache cannot be
    /// started, or not again; see [`Cache::monitor_error`](crate::Cache::monitor_error).
    Condition {
        /// The table.
        table: &'static str,
        /// The column.
        column: Str,
    },
}

impl Skew {
    /// Whether something that was compiled in reads as its default, whatever the server holds.
    #[must_use]
    pub const fn reads_default(&self) -> bool {
        !matches!(self, Self::Narrower { .. })
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingTable { table } => write!(f, "no table {table}"),
            Self::MissingColumn { table, column } => write!(f, "no column {table}.{column}"),
            Self::OtherType {
                table,
                column,
                compiled,
                server,
            } => {
                write!(f, "column {table}.{column} is {server}, not {compiled}")
            }
            Self::Narrower {
                table,
                column,
                compiled,
                server,
            } => write!(
                f,
                "column {table}.{column} is {server}, of which {compiled} reads every value"
            ),
            Self::Condition { table, column } => {
                write!(f, "no column {table}.{column} for the condition")
            }
        }
    }
}

/// How the server's schema differs from the compiled tables, as far as these need it.
///
/// What the server has beyond the compiled tables is no skew: it is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SkewReport {
    /// The version of the server's schema.
    pub server_version: Option<String>,
    /// The version of the compiled schema.
    pub compiled_version: Option<String>,
    /// The differences.
    pub differences: Vec<Skew>,
}

impl SkewReport {
    /// Whether there is no difference.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// Whether everything that was compiled in is read from the server, and nothing is its default
    /// for want of a column.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.differences.iter().any(Skew::reads_default)
    }

    /// Tells an operator of the differences.
    pub(crate) fn log(&self, database: &str) {
        if !self.is_complete() {
            tracing::warn!(database, skew = %self, "the server's schema differs");
        } else if !self.is_empty() {
            tracing::info!(database, skew = %self, "the server's schema differs");
        }
    }
}

impl fmt::Display for SkewReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "?".to_owned());
        let server = version(&self.server_version);
        let compiled = version(&self.compiled_version);
        if self.is_empty() {
            return write!(
                f,
                "the server's schema {server} has every table and column of the compiled {compiled}"
            );
        }
        write!(
            f,
            "the server's schema {server} differs from the compiled {compiled}:"
        )?;
        for (at, skew) in self.differences.iter().enumerate() {
            write!(f, "{} {skew}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Reports the columns that a table's condition needs and the server's table lacks. Where the
/// server lacks the whole table nothing is asked for.
pub(super) fn check_condition(
    table: &'static str,
    condition: &[Clause],
    schema: &DatabaseSchema,
    report: &mut SkewReport,
) {
    let Some(server) = schema.tables.get(table) else {
        return;
    };
    for clause in condition {
        let Clause::Compare { column, .. } = clause else {
            continue;
        };
        let skew = Skew::Condition {
            table,
            column: column.clone(),
        };
        // Names that begin with _ are the system's, which every table has.
        if !column.starts_with('_')
            && !server.columns.contains_key(&**column)
            && !report.differences.contains(&skew)
        {
            report.differences.push(skew);
        }
    }
}

/// One column as the server has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned {
    pub(super) name: &'static str,
    /// Its index in [`Table::COLUMNS`].
    pub(super) index: usize,
    /// Whether an update2 reports its changes as a difference: the server's type has max > 1.
    pub(super) difference: bool,
}

/// Which of a table's columns the server has, and how it reports them.
#[derive(Debug, Default)]
pub(super) struct Plan {
    there: bool,
    columns: Vec<Planned>,
    /// The columns whose default on the server the compiled type does not read: no inserted row may
    /// omit one.
    pub(super) required: Vec<usize>,
    /// The names of the columns as keys of an object.
    keys: Vec<String>,
    /// How many elements each column had last: many columns of a table are alike in all its rows.
    pub(super) elements: Vec<usize>,
    /// The indexes of the columns that the last change of a row had, or its insert where columns are
    /// [required](Self::required).
    pub(super) changed: Vec<usize>,
    /// Which column came behind each one last, and which came first: servers write the columns of
    /// rows in one order, and rows of one table have much the same ones.
    behind: Vec<usize>,
    first: usize,
}

/// Where a row's decoder is among the columns.
#[derive(Debug, Default)]
pub(super) struct Cursor(Option<usize>);

impl Plan {
    /// The plan, and the row that a server means when it omits every column.
    pub(super) fn new<T: Table>(schema: &DatabaseSchema, report: &mut SkewReport) -> (Self, T) {
        let mut row = T::default();
        let Some(table) = schema.tables.get(T::TABLE) else {
            report
                .differences
                .push(Skew::MissingTable { table: T::TABLE });
            return (Self::default(), row);
        };
        let mut columns = Vec::with_capacity(T::COLUMNS.len());
        let mut required = Vec::new();
        for (index, column) in T::COLUMNS.iter().enumerate() {
            let Some(server) = table.columns.get(column.name) else {
                let (table, column) = (T::TABLE, column.name);
                report
                    .differences
                    .push(Skew::MissingColumn { table, column });
                continue;
            };
            if !column.kind.accepts(&server.kind) {
                report.differences.push(Skew::OtherType {
                    table: T::TABLE,
                    column: column.name,
                    compiled: column.kind.to_string(),
                    server: server.kind.to_string(),
                });
                continue;
            }
            if column.kind.is_wider_than(&server.kind) {
                report.differences.push(Skew::Narrower {
                    table: T::TABLE,
                    column: column.name,
                    compiled: column.kind.to_string(),
                    server: server.kind.to_string(),
                });
            }
            let default = Datum::default_of(&server.kind).to_string();
            let read = row
                .column_mut(index)
                .map(|column| column.decode(&mut Reader::new(&default)));
            if matches!(read, Some(Err(_))) {
                required.push(index);
            }
            let difference = !server.kind.max.is_one();
            columns.push(Planned {
                name: column.name,
                index,
                difference,
            });
        }
        let keys = columns.iter().map(|column| format!("\"{}\":", column.name));
        let plan = Self {
            there: true,
            required,
            keys: keys.collect(),
            elements: vec![0; T::COLUMNS.len()],
            changed: Vec::new(),
            behind: (1..=columns.len()).collect(),
            columns,
            first: 0,
        };
        (plan, row)
    }

    pub(super) const fn is_there(&self) -> bool {
        self.there
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name)
    }

    /// Steps to the next column of a row, if it is the expected one.
    pub(super) fn expected(&self, cursor: &mut Cursor, reader: &mut Reader<'_>) -> Option<Planned> {
        let next = match cursor.0 {
            Some(last) => self.behind[last],
            None => self.first,
        };
        if !reader.eat_key(self.keys.get(next)?) {
            return None;
        }
        cursor.0 = Some(next);
        Some(self.columns[next])
    }

    /// The column of this name, which will be expected here in the next row.
    pub(super) fn find(&mut self, cursor: &mut Cursor, name: &str) -> Option<Planned> {
        let at = self.columns.iter().position(|column| column.name == name)?;
        match cursor.0 {
            Some(last) => self.behind[last] = at,
            None => self.first = at,
        }
        cursor.0 = Some(at);
        Some(self.columns[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_whether_anything_differs() {
        let mut report = SkewReport {
            server_version: Some("7.0.0".to_owned()),
            compiled_version: Some("7.1.0".to_owned()),
            differences: Vec::new(),
        };
        assert_eq!(
            report.to_string(),
            "the server's schema 7.0.0 has every table and column of the compiled 7.1.0"
        );
        let (table, column) = ("T", "c");
        report.differences.push(Skew::MissingTable { table: "U" });
        report
            .differences
            .push(Skew::MissingColumn { table, column });
        assert_eq!(
            report.to_string(),
            "the server's schema 7.0.0 differs from the compiled 7.1.0: no table U, no column T.c"
        );
    }
}
