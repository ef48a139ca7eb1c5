//! Maps a table's columns to those of the server's schema, and guides the decoder through the columns
//! of its rows.

use std::sync::Arc;

use ovsdb_schema::DatabaseSchema;

use super::erased::SharedRow;
use super::skew::{Skew, SkewReport};
use super::table_type::TableType;
use crate::value::json::Reader;
use crate::value::{Datum, Str};

/// The column with a row's version.
pub(super) const VERSION: &str = "_version";

/// One column of the server's schema, and how it is decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned {
    /// Its index among the table's columns. The row's version has the index after the last column.
    pub(super) index: usize,
    /// Whether an `update2` reports changes of the column as a difference: its type on the server has
    /// `max` > 1.
    pub(super) difference: bool,
}

/// Which of a table's columns the server has, and how it reports them.
#[derive(Debug, Default)]
pub(super) struct Plan {
    exists_on_server: bool,
    /// Whether rows of a compiled table have their version, beside the columns.
    pub(super) has_version: bool,
    columns: Vec<Planned>,
    /// The names of `columns`, in the same order.
    names: Vec<Str>,
    /// The columns whose default on the server is not a value of the compiled type. An inserted row must
    /// not omit them.
    pub(super) required: Vec<usize>,
    /// The names of the columns as JSON keys.
    keys: Vec<String>,
    /// For each column, the number of elements in the last list that was not empty. Most columns have the
    /// same number in all rows, so this predicts how much memory to allocate.
    pub(super) elements: Vec<usize>,
    /// The indexes of the columns in the last change of a row. Where columns are
    /// [required](Self::required), also those in an inserted row.
    pub(super) changed: Vec<usize>,
    /// For each column, the column that followed it in the last row. Servers write the columns of all
    /// rows in the same order, and most rows of a table have the same ones, so this predicts the next
    /// column.
    next: Vec<usize>,
    first: usize,
}

/// The decoder's position among a row's columns.
#[derive(Debug, Default)]
pub(super) struct Cursor(Option<usize>);

impl Plan {
    /// The plan, and the row that an insert without any column stands for.
    pub(super) fn new(
        compiled: &TableType,
        schema: &DatabaseSchema,
        report: &mut SkewReport,
    ) -> (Self, SharedRow) {
        let mut row = compiled.default_row();
        let name = compiled.name();
        let Some(table) = schema.tables.get(name.as_str()) else {
            report.differences.push(Skew::MissingTable { table: name });
            return (Self::default(), row);
        };
        let all = compiled.columns();
        let mut columns = Vec::with_capacity(all.len());
        let mut names = Vec::with_capacity(all.len());
        let mut required = Vec::new();
        for index in 0..all.len() {
            let Some((column, kind)) = all.get(index) else {
                continue;
            };
            let (table_name, column_name) = (name.clone(), Str::from(column));
            let Some(server) = table.columns.get(column) else {
                report.differences.push(Skew::MissingColumn {
                    table: table_name,
                    column: column_name,
                });
                continue;
            };
            if !kind.accepts(&server.kind) {
                report.differences.push(Skew::OtherType {
                    table: table_name,
                    column: column_name,
                    compiled: kind.to_string(),
                    server: server.kind.to_string(),
                });
                continue;
            }
            if kind.is_wider_than(&server.kind) {
                report.differences.push(Skew::Narrower {
                    table: table_name,
                    column: column_name,
                    compiled: kind.to_string(),
                    server: server.kind.to_string(),
                });
            }
            let default = Datum::default_of(&server.kind).to_string();
            let read = Arc::get_mut(&mut row)
                .and_then(|row| row.column_mut(index))
                .map(|column| column.decode(&mut Reader::new(&default)));
            if matches!(read, Some(Err(_))) {
                required.push(index);
            }
            let difference = !server.kind.max.is_one();
            columns.push(Planned { index, difference });
            names.push(Str::from(column));
        }
        let has_version =
            matches!(compiled, TableType::Compiled(_)) && table.columns.contains_key(VERSION);
        if has_version {
            let (index, difference) = (all.len(), false);
            columns.push(Planned { index, difference });
            names.push(Str::from(VERSION));
        }
        let keys = names.iter().map(|name| format!("\"{name}\":"));
        let plan = Self {
            exists_on_server: true,
            has_version,
            required,
            keys: keys.collect(),
            elements: vec![0; all.len()],
            changed: Vec::new(),
            next: (1..=columns.len()).collect(),
            columns,
            names,
            first: 0,
        };
        (plan, row)
    }

    pub(super) const fn exists_on_server(&self) -> bool {
        self.exists_on_server
    }

    /// The names of the columns to request: those that the server has with a type that fits.
    pub(super) fn columns(&self) -> &[Str] {
        &self.names
    }

    /// The name of a column.
    pub(super) fn name(&self, planned: Planned) -> Option<&Str> {
        let at = self
            .columns
            .iter()
            .position(|column| column.index == planned.index)?;
        self.names.get(at)
    }

    /// Moves to the next column of a row, if it is the predicted one.
    pub(super) fn expected(&self, cursor: &mut Cursor, reader: &mut Reader<'_>) -> Option<Planned> {
        let next = match cursor.0 {
            Some(last) => self.next[last],
            None => self.first,
        };
        if !reader.eat_key(self.keys.get(next)?) {
            return None;
        }
        cursor.0 = Some(next);
        Some(self.columns[next])
    }

    /// Moves to the column with this name, and predicts it at this place in the next row.
    pub(super) fn find(&mut self, cursor: &mut Cursor, name: &str) -> Option<Planned> {
        let at = self.names.iter().position(|column| *column == name)?;
        match cursor.0 {
            Some(last) => self.next[last] = at,
            None => self.first = at,
        }
        cursor.0 = Some(at);
        Some(self.columns[at])
    }
}
