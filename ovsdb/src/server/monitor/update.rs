//! Writes the updates of a monitor, in the form of each monitor method.

use std::borrow::Cow;

use super::selection::{Kinds, SelectedTable, Selection};
use crate::protocol::MonitorVersion;
use crate::server::engine::{Cell, ColumnId, Row, RowChange, Schema, State, TableDef, TableId};
use crate::value::Uuid;
use crate::value::json::write_uuid;

/// Writes the tables of an update, row by row.
struct Tables<'a> {
    schema: &'a Schema,
    out: &'a mut String,
    /// The table whose rows are being written.
    table: Option<TableId>,
}

impl<'a> Tables<'a> {
    fn new(schema: &'a Schema, out: &'a mut String) -> Self {
        out.push('{');
        Self {
            schema,
            out,
            table: None,
        }
    }

    /// Begins a row: writes everything before its change.
    fn row(&mut self, table: TableId, uuid: Uuid) -> &mut String {
        if self.table == Some(table) {
            self.out.push(',');
        } else {
            if self.table.is_some() {
                self.out.push_str("},");
            }
            self.out.push('"');
            self.out.push_str(&self.schema.tables[table].name);
            self.out.push_str("\":{");
            self.table = Some(table);
        }
        write_uuid(self.out, uuid);
        self.out.push(':');
        self.out
    }

    /// Ends the text. Returns whether it has any row.
    fn finish(self) -> bool {
        let has_rows = self.table.is_some();
        self.out.push_str(if has_rows { "}}" } else { "}" });
        has_rows
    }
}

/// Appends the rows for a monitor's first reply.
pub(crate) fn initial(
    out: &mut String,
    selection: &Selection,
    version: MonitorVersion,
    state: &State,
) {
    let schema = &*state.schema;
    let mut tables = Tables::new(schema, out);
    for table in selection.tables() {
        if !table.kinds.has(Kinds::INITIAL) {
            continue;
        }
        let def = &schema.tables[table.id];
        for row in state.table(table.id).rows() {
            if table.selects(row, def) {
                let out = tables.row(table.id, row.uuid());
                write_whole(out, row, def, table, Kinds::INITIAL, version);
            }
        }
    }
    tables.finish();
}

/// The approximate length of a changed row's text.
const ROW: usize = 200;

/// The text of a monitor's update with the changes that it selects; `None` when it selects none of them.
/// `count` is the number of `changes`. Changes of the same table must be adjacent.
pub(crate) fn changes<'a>(
    selection: &Selection,
    version: MonitorVersion,
    schema: &Schema,
    changes: impl IntoIterator<Item = (TableId, &'a RowChange)>,
    count: usize,
) -> Option<String> {
    let mut text = String::with_capacity(ROW * count);
    let mut tables = Tables::new(schema, &mut text);
    for (id, change) in changes {
        let Some(table) = selection.table(id) else {
            continue;
        };
        let def = &schema.tables[id];
        let seen = |row: &'a std::sync::Arc<Row>| table.selects(row, def).then_some(&**row);
        let old = change.old.as_ref().and_then(seen);
        let new = change.new.as_ref().and_then(seen);
        write_change(&mut tables, table, def, version, old, new);
    }
    tables.finish().then_some(text)
}

/// The text of an update with the rows that a new condition adds and removes; `None` when there are
/// none.
pub(crate) fn condition_change(
    old: &Selection,
    new: &Selection,
    version: MonitorVersion,
    state: &State,
) -> Option<String> {
    let schema = &*state.schema;
    let mut text = String::new();
    let mut tables = Tables::new(schema, &mut text);
    for (before, after) in old.tables().iter().zip(new.tables()) {
        if before.condition == after.condition {
            continue;
        }
        let def = &schema.tables[after.id];
        for row in state.table(after.id).rows() {
            let (was, is) = (before.selects(row, def), after.selects(row, def));
            if was != is {
                let (old, new) = (was.then_some(&**row), is.then_some(&**row));
                write_change(&mut tables, after, def, version, old, new);
            }
        }
    }
    tables.finish().then_some(text)
}

/// Writes the change of a row for a monitor, between the two versions that the monitor sees.
fn write_change(
    tables: &mut Tables<'_>,
    table: &SelectedTable,
    def: &TableDef,
    version: MonitorVersion,
    old: Option<&Row>,
    new: Option<&Row>,
) {
    match (old, new) {
        (None, None) => {}
        (None, Some(row)) if table.kinds.has(Kinds::INSERT) => {
            let out = tables.row(table.id, row.uuid());
            write_whole(out, row, def, table, Kinds::INSERT, version);
        }
        (Some(row), None) if table.kinds.has(Kinds::DELETE) => {
            let out = tables.row(table.id, row.uuid());
            if version == MonitorVersion::Monitor {
                out.push_str("{\"old\":");
                write_columns(out, def, table, Kinds::DELETE, |id| Some(row.get(def, id)));
                out.push('}');
            } else {
                out.push_str("{\"delete\":null}");
            }
        }
        (Some(old), Some(new)) if table.kinds.has(Kinds::MODIFY) => {
            let mut changed: Vec<_> = old.changed_columns(new).collect();
            if old.version() != new.version() {
                changed.push(ColumnId::VERSION);
            }
            let is_seen = |column: &super::selection::SelectedColumn| changed.contains(&column.id);
            if !table.columns.iter().any(is_seen) {
                return;
            }
            let out = tables.row(table.id, new.uuid());
            write_modification(out, def, table, version, &changed, old, new);
        }
        _ => {}
    }
}

fn write_modification(
    out: &mut String,
    def: &TableDef,
    table: &SelectedTable,
    version: MonitorVersion,
    changed: &[ColumnId],
    old: &Row,
    new: &Row,
) {
    if version == MonitorVersion::Monitor {
        out.push_str("{\"old\":");
        write_columns(out, def, table, Kinds::MODIFY, |id| {
            changed.contains(&id).then(|| old.get(def, id))
        });
        out.push_str(",\"new\":");
        write_columns(out, def, table, Kinds::MODIFY, |id| Some(new.get(def, id)));
        out.push('}');
        return;
    }
    out.push_str("{\"modify\":");
    write_columns(out, def, table, Kinds::MODIFY, |id| {
        if !changed.contains(&id) {
            return None;
        }
        let (old, new) = (old.get(def, id), new.get(def, id));
        // For a column of at most one element, the new value is sent instead of a difference.
        Some(if def.column(id).kind.max.is_one() {
            new
        } else {
            Cow::Owned(old.difference(&new))
        })
    });
    out.push('}');
}

/// Writes a row that the monitor did not see before.
fn write_whole(
    out: &mut String,
    row: &Row,
    def: &TableDef,
    table: &SelectedTable,
    kind: Kinds,
    version: MonitorVersion,
) {
    if version == MonitorVersion::Monitor {
        out.push_str("{\"new\":");
        write_columns(out, def, table, kind, |id| Some(row.get(def, id)));
        out.push('}');
        return;
    }
    out.push_str(if kind == Kinds::INITIAL {
        "{\"initial\":{"
    } else {
        "{\"insert\":{"
    });
    // Both lists are sorted. Columns that the row does not store have their default, which
    // `monitor_cond` and `monitor_cond_since` omit.
    let mut is_first = true;
    let mut selected = table.columns.iter().peekable();
    for (id, cell) in row.cells() {
        while selected.next_if(|column| column.id < *id).is_some() {}
        if selected
            .next_if(|column| column.id == *id)
            .is_some_and(|column| column.kinds.has(kind))
        {
            write_member(out, &mut is_first, def, *id, cell);
        }
    }
    let system = table
        .columns
        .iter()
        .filter(|column| column.id >= ColumnId::VERSION);
    for column in system.filter(|column| column.kinds.has(kind)) {
        write_member(out, &mut is_first, def, column.id, &row.get(def, column.id));
    }
    out.push_str("}}");
}

/// Writes those of the selected columns that have a value, as a JSON object.
fn write_columns<'a>(
    out: &mut String,
    def: &TableDef,
    table: &SelectedTable,
    kind: Kinds,
    value: impl Fn(ColumnId) -> Option<Cow<'a, Cell>>,
) {
    out.push('{');
    let mut is_first = true;
    for column in table.columns.iter().filter(|column| column.kinds.has(kind)) {
        if let Some(cell) = value(column.id) {
            write_member(out, &mut is_first, def, column.id, &cell);
        }
    }
    out.push('}');
}

fn write_member(out: &mut String, is_first: &mut bool, def: &TableDef, id: ColumnId, cell: &Cell) {
    out.push_str(if std::mem::take(is_first) {
        "\""
    } else {
        ",\""
    });
    out.push_str(&def.column(id).name);
    out.push_str("\":");
    cell.write(out);
}
