//! The selection of a monitor: tables, columns, rows, kinds of change.

use crate::protocol::OvsdbError;
use crate::server::engine::error::syntax;
use crate::server::engine::parse::{Context, Kind, Members, What};
use crate::server::engine::{ColumnId, Disjunction, Row, Schema, TableDef, TableId, read_clauses};
use crate::value::json::{Raw, Reader};

/// The kinds of change that a monitor reports (RFC 7047 section 4.1.5, `<monitor-select>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const INITIAL: Self = Self(1);
    pub(super) const INSERT: Self = Self(2);
    pub(super) const DELETE: Self = Self(4);
    pub(super) const MODIFY: Self = Self(8);
    const ALL: Self = Self(15);

    pub(super) const fn has(self, kind: Self) -> bool {
        self.0 & kind.0 != 0
    }
}

/// A column that a monitor reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SelectedColumn {
    pub(super) id: ColumnId,
    pub(super) kinds: Kinds,
}

/// The selection within one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SelectedTable {
    pub(super) id: TableId,
    pub(super) columns: Vec<SelectedColumn>,
    pub(super) kinds: Kinds,
    pub(super) condition: Disjunction,
}

impl SelectedTable {
    pub(super) fn selects(&self, row: &Row, def: &TableDef) -> bool {
        self.condition.selects(row, def)
    }
}

/// The selection within a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Sorted by the tables' numbers.
    tables: Vec<SelectedTable>,
}

impl Selection {
    /// Reads the requests of a monitor. Only those of `monitor_cond` and later have conditions.
    pub(crate) fn read(
        requests: Raw<'_>,
        schema: &Schema,
        conditional: bool,
    ) -> Result<Self, OvsdbError> {
        let mut tables: Vec<SelectedTable> = Vec::new();
        each_request(
            requests,
            "monitor-requests must be object",
            |name, requests| {
                let id = find_table(schema, name)?;
                let def = &schema.tables[id];
                let mut table = SelectedTable {
                    id,
                    columns: Vec::new(),
                    kinds: Kinds(0),
                    condition: Disjunction::everything(),
                };
                let mut is_first = true;
                for request in requests {
                    let condition = read_request(request, def, conditional, &mut table)?;
                    // As in ovsdb-server, a table's first request determines the rows.
                    if std::mem::take(&mut is_first) {
                        table.condition = condition;
                    }
                }
                table.columns.sort_by_key(|column| column.id);
                tables.retain(|other| other.id != id);
                tables.push(table);
                Ok(())
            },
        )?;
        tables.sort_by_key(|table| table.id);
        Ok(Self { tables })
    }

    /// The selection with the new conditions of a `monitor_cond_change`. As in ovsdb-server, for a
    /// plain `monitor` the conditions are not even checked.
    pub(crate) fn with_conditions(
        &self,
        requests: Raw<'_>,
        schema: &Schema,
        conditional: bool,
    ) -> Result<Self, OvsdbError> {
        let mut changed = self.clone();
        let is_object = "monitor-cond-change-requests must be object";
        each_request(requests, is_object, |name, requests| {
            let id = find_table(schema, name)?;
            let def = &schema.tables[id];
            let Some(table) = changed.tables.iter_mut().find(|table| table.id == id) else {
                let details = format!("no table named {name} in monitor session");
                return Err(syntax("", details));
            };
            for request in requests {
                let mut members = Members::read(request, What::Table(def.name.to_string()));
                let columns = members.optional("columns", Kind::Array);
                let conditions = members.optional("where", Kind::Array);
                members.finish()?;
                if columns.is_some() {
                    return Err(syntax(request.text, "changing columns is unsupported"));
                }
                if let Some(conditions) = conditions.filter(|_| conditional) {
                    table.condition = read_condition(conditions, def)?;
                }
            }
            Ok(())
        })?;
        Ok(changed)
    }

    pub(super) fn table(&self, id: TableId) -> Option<&SelectedTable> {
        let at = self
            .tables
            .binary_search_by_key(&id, |table| table.id)
            .ok()?;
        Some(&self.tables[at])
    }

    pub(super) fn tables(&self) -> &[SelectedTable] {
        &self.tables
    }
}

fn find_table(schema: &Schema, name: &str) -> Result<TableId, OvsdbError> {
    schema.find(name).ok_or_else(|| OvsdbError {
        syntax: None,
        ..syntax("", format!("no table named {name}"))
    })
}

/// Calls `read` for each table, with its name and its requests. A single request may stand without an
/// array.
fn each_request<'a>(
    raw: Raw<'a>,
    is_object: &str,
    mut read: impl FnMut(&str, Vec<Raw<'a>>) -> Result<(), OvsdbError>,
) -> Result<(), OvsdbError> {
    let wrong = |_| syntax(raw.text, is_object);
    let mut reader = Reader::of(raw);
    reader.object().map_err(wrong)?;
    while let Some(name) = reader.key().map_err(wrong)? {
        let mut requests = Vec::new();
        if reader.peek() == Some(b'[') {
            reader.array().map_err(wrong)?;
            while reader.element().map_err(wrong)? {
                requests.push(reader.skip().map_err(wrong)?);
            }
        } else {
            requests.push(reader.skip().map_err(wrong)?);
        }
        read(&name, requests)?;
    }
    Ok(())
}

/// Reads one request of a table, adds its columns, and returns its condition.
fn read_request(
    request: Raw<'_>,
    def: &TableDef,
    conditional: bool,
    table: &mut SelectedTable,
) -> Result<Disjunction, OvsdbError> {
    let mut members = Members::read(request, What::Table(def.name.to_string()));
    let conditions = conditional
        .then(|| members.optional("where", Kind::Array))
        .flatten();
    let columns = members.optional("columns", Kind::Array);
    let select = members.optional("select", Kind::Object);
    members.finish()?;
    let kinds = match select {
        Some(select) => read_kinds(select, def)?,
        None => Kinds::ALL,
    };
    table.kinds.0 |= kinds.0;
    let ids = match columns {
        Some(columns) => read_column_names(columns, def)?,
        None => std::iter::once(ColumnId::VERSION)
            .chain(def.ids())
            .collect(),
    };
    for id in ids {
        if table.columns.iter().any(|column| column.id == id) {
            let text = columns.map_or("", |columns| columns.text);
            let details = format!("column {} mentioned more than once", def.column(id).name);
            return Err(syntax(text, details));
        }
        table.columns.push(SelectedColumn { id, kinds });
    }
    match conditions {
        Some(conditions) => read_condition(conditions, def),
        None => Ok(Disjunction::everything()),
    }
}

fn read_condition(conditions: Raw<'_>, def: &TableDef) -> Result<Disjunction, OvsdbError> {
    let clauses = read_clauses(conditions, def, &mut Context::without_names())?;
    Ok(Disjunction::new(clauses))
}

fn read_kinds(select: Raw<'_>, def: &TableDef) -> Result<Kinds, OvsdbError> {
    let mut members = Members::read(select, What::Select(def.name.to_string()));
    let mut kinds = 0;
    for (name, kind) in [
        ("initial", Kinds::INITIAL),
        ("insert", Kinds::INSERT),
        ("delete", Kinds::DELETE),
        ("modify", Kinds::MODIFY),
    ] {
        if members
            .optional(name, Kind::Boolean)
            .is_none_or(|raw| raw.text == "true")
        {
            kinds |= kind.0;
        }
    }
    members.finish()?;
    Ok(Kinds(kinds))
}

fn read_column_names(raw: Raw<'_>, def: &TableDef) -> Result<Vec<ColumnId>, OvsdbError> {
    let names = |_| syntax(raw.text, "array of column names expected");
    let mut ids = Vec::new();
    let mut reader = Reader::of(raw);
    reader.array().map_err(names)?;
    while reader.element().map_err(names)? {
        let name = reader.string().map_err(names)?;
        let id = def
            .find(&name)
            .ok_or_else(|| syntax(raw.text, format!("{name} is not a valid column name")))?;
        ids.push(id);
    }
    Ok(ids)
}
