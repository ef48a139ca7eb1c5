//! The records of transactions in a database file (ovsdb(5), "Standalone Format"): for each changed
//! table and row, the columns with new values; `null` for a deleted row.

use std::sync::Arc;

use ovsdb_schema::Max;

use super::cell::Cell;
use super::error::{syntax, syntax_of};
use super::parse::{Context, read_cell};
use super::row::Row;
use super::schema::{ColumnId, TableDef, TableId};
use super::storage::RowChange;
use super::transaction::{Caller, Transaction, WrittenRow};
use super::{Commit, Database, Proposal, Schema, State};
use crate::protocol::OvsdbError;
use crate::value::json::{Reader, write_string};
use crate::value::{Map, Set, Uuid, parse_uuid};

/// Appends the record of a commit, without its closing brace, so that further members can be added.
/// Returns false if the record is empty because only ephemeral columns changed.
pub(crate) fn write_commit(out: &mut String, commit: &Commit, schema: &Schema) -> bool {
    let start = out.len();
    out.push('{');
    for (id, rows) in &commit.tables {
        let def = &schema.tables[*id];
        let mut is_first = true;
        for change in rows {
            let row = out.len();
            if is_first {
                out.push_str(if out.len() > start + 1 { ",\"" } else { "\"" });
                out.push_str(&def.name);
                out.push_str("\":{");
            } else {
                out.push(',');
            }
            if write_change(out, change, def) {
                is_first = false;
            } else {
                out.truncate(row);
            }
        }
        if !is_first {
            out.push('}');
        }
    }
    out.len() > start + 1
}

/// Writes the record of a whole database, without its closing brace. After each row it calls `written`,
/// which may take the text written so far.
pub(crate) fn write_state<E>(
    out: &mut String,
    state: &State,
    mut written: impl FnMut(&mut String) -> Result<(), E>,
) -> Result<(), E> {
    out.push('{');
    let mut is_empty = true;
    for (id, def) in state.schema.tables.iter().enumerate() {
        for (at, row) in state.table(id).rows().enumerate() {
            if at == 0 {
                out.push_str(if is_empty { "\"" } else { "},\"" });
                out.push_str(&def.name);
                out.push_str("\":{");
                is_empty = false;
            } else {
                out.push(',');
            }
            write_whole(out, row, def);
            written(out)?;
        }
    }
    if !is_empty {
        out.push('}');
    }
    Ok(())
}

fn write_uuid(out: &mut String, uuid: Uuid) {
    out.push('"');
    let mut buffer = Uuid::encode_buffer();
    out.push_str(uuid.hyphenated().encode_lower(&mut buffer));
    out.push_str("\":");
}

fn write_whole(out: &mut String, row: &Row, def: &TableDef) {
    write_uuid(out, row.uuid());
    let cells = row.cells().iter().map(|(id, cell)| (*id, cell));
    write_cells(out, def, cells);
}

/// Appends a row's change. Returns false if no changed column is kept in files.
fn write_change(out: &mut String, change: &RowChange, def: &TableDef) -> bool {
    match (&change.old, &change.new) {
        (None, Some(row)) => {
            write_whole(out, row, def);
            true
        }
        (Some(row), None) => {
            write_uuid(out, row.uuid());
            out.push_str("null");
            true
        }
        (Some(old), Some(new)) => {
            let changed: Vec<_> = old
                .changed_columns(new)
                .filter(|id| !def.column(*id).ephemeral)
                .collect();
            if changed.is_empty() {
                return false;
            }
            write_uuid(out, new.uuid());
            let cells: Vec<_> = changed.iter().map(|id| (*id, new.get(def, *id))).collect();
            write_cells(out, def, cells.iter().map(|(id, cell)| (*id, &**cell)));
            true
        }
        (None, None) => false,
    }
}

fn write_cells<'a>(
    out: &mut String,
    def: &TableDef,
    cells: impl Iterator<Item = (ColumnId, &'a Cell)>,
) {
    out.push('{');
    let mut is_first = true;
    for (id, cell) in cells {
        let column = def.column(id);
        if column.ephemeral {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        write_string(out, &column.name);
        out.push(':');
        cell.write(out);
    }
    out.push('}');
}

/// The caller of a [`Load`], which is allowed everything.
struct Replay;

impl Caller for Replay {
    fn holds(&self, _: &str) -> bool {
        true
    }

    fn is_read_only(&self) -> bool {
        false
    }
}

/// A row of another server.
#[derive(Debug)]
pub(crate) struct ForeignRow {
    pub(crate) table: TableId,
    pub(crate) uuid: Uuid,
    /// All its columns; `None` when the row does not exist.
    pub(crate) cells: Option<Vec<(ColumnId, Cell)>>,
    /// Whether the row gets a new version even if its columns are unchanged.
    pub(crate) is_new_version: bool,
}

/// A transaction that writes given rows, without operations.
pub(super) struct Load<'a> {
    transaction: Transaction<'a>,
    last: Uuid,
}

impl Database {
    /// Begins a transaction that writes given rows, without operations.
    pub(super) fn load(&mut self) -> Load<'_> {
        let last = super::parse::random_uuid(&mut self.random);
        let (state, random) = (&self.state, &mut self.random);
        Load {
            transaction: Transaction::new(
                state,
                (random, &mut self.repeats),
                &Replay,
                std::time::Duration::ZERO,
            ),
            last,
        }
    }

    /// Proposes a transaction that copies rows from another server.
    ///
    /// # Errors
    /// When the rows violate a constraint, or a row to be deleted does not exist.
    pub(crate) fn take_over(
        &mut self,
        rows: impl IntoIterator<Item = ForeignRow>,
    ) -> Result<Proposal, OvsdbError> {
        let mut load = self.load();
        for row in rows {
            load.change(row.table, row.uuid, row.cells)?;
            if row.is_new_version {
                load.renew(row.table, row.uuid);
            }
        }
        let replacements = load.transaction.finish()?;
        Ok(self.propose(String::from("["), replacements, Vec::new()))
    }

    /// Executes the record of a transaction.
    ///
    /// # Errors
    /// When the record is malformed or does not fit the database.
    pub(crate) fn replay(&mut self, record: &str) -> Result<(), OvsdbError> {
        let proposal = read_record(self.load(), record)?;
        self.commit(proposal);
        Ok(())
    }
}

impl Load<'_> {
    /// Adds a row.
    pub(super) fn insert(&mut self, table: TableId, uuid: Uuid, cells: Vec<(ColumnId, Cell)>) {
        let def = &self.transaction.state.schema.tables[table];
        let version = super::parse::random_uuid(self.transaction.random);
        let new = Some(Arc::new(Row::new(uuid, version, def, cells)));
        let change = WrittenRow {
            change: RowChange { old: None, new },
            references: 0,
        };
        self.transaction.written[table].rows.insert(uuid, change);
    }

    fn change(
        &mut self,
        table: TableId,
        uuid: Uuid,
        cells: Option<Vec<(ColumnId, Cell)>>,
    ) -> Result<(), OvsdbError> {
        let state = self.transaction.state;
        let def = &state.schema.tables[table];
        let Some(row) = state.table(table).get(uuid) else {
            return match cells {
                Some(cells) => {
                    self.insert(table, uuid, cells);
                    Ok(())
                }
                None => Err(syntax(
                    "",
                    format!("transaction deletes row {uuid} that does not exist"),
                )),
            };
        };
        let change = &mut self.transaction.change(table, row).change;
        match (cells, &mut change.new) {
            (None, new) => *new = None,
            (Some(cells), Some(new)) => {
                let new = Arc::make_mut(new);
                for (id, cell) in cells {
                    new.set(def, id, cell);
                }
            }
            (Some(_), None) => {}
        }
        Ok(())
    }

    /// Gives a changed row a new version.
    fn renew(&mut self, table: TableId, uuid: Uuid) {
        let version = super::parse::random_uuid(self.transaction.random);
        let written = self.transaction.written[table].rows.get_mut(&uuid);
        if let Some(new) = written.and_then(|change| change.change.new.as_mut()) {
            Arc::make_mut(new).set_version(version);
        }
    }

    /// Checks the rows, and proposes them.
    pub(super) fn finish(self) -> Result<Proposal, OvsdbError> {
        let replacements = self.transaction.finish()?;
        Ok(Proposal {
            results: String::new(),
            commit: Some(Arc::new(Commit {
                id: self.last,
                tables: Vec::new(),
                comment: None,
            })),
            replacements,
            durable: false,
            writes: true,
        })
    }
}

fn read_record(mut load: Load<'_>, record: &str) -> Result<Proposal, OvsdbError> {
    let wrong = |error: crate::value::json::DecodeError| syntax("", error);
    // ovsdb-server writes the member `_is_diff`, this library does not. Searching for its name is faster
    // than parsing the record twice.
    let is_diff = record.contains("\"_is_diff\"") && {
        let mut is_diff = false;
        let mut reader = Reader::new(record);
        reader.object().map_err(wrong)?;
        while let Some(name) = reader.key().map_err(wrong)? {
            let value = reader.skip().map_err(wrong)?;
            is_diff |= name == "_is_diff" && value.text == "true";
        }
        reader.end().map_err(wrong)?;
        is_diff
    };
    let schema = load.transaction.state.schema.clone();
    let mut reader = Reader::new(record);
    reader.object().map_err(wrong)?;
    while let Some(name) = reader.key().map_err(wrong)? {
        let Some(table) = schema.find(&name) else {
            let value = reader.skip().map_err(wrong)?;
            if matches!(&*name, "_date" | "_comment" | "_is_diff") {
                continue;
            }
            let details = format!("No table named {name}.");
            return Err(syntax_of("unknown table", value.text, details));
        };
        reader.object().map_err(wrong)?;
        while let Some(uuid) = reader.key().map_err(wrong)? {
            let uuid = parse_uuid(&uuid, 0)
                .map_err(|_| syntax("", format!("\"{uuid}\" is not a valid UUID")))?;
            if reader.null() {
                load.change(table, uuid, None)?;
                continue;
            }
            let old = is_diff.then(|| load.transaction.state.table(table).get(uuid));
            let mut context = Context {
                names: None,
                repeats: Some(&mut *load.transaction.repeats),
            };
            let old = old.flatten().map(|old| &**old);
            let def = &schema.tables[table];
            let cells = read_cells(&mut reader, def, old, &mut context)?;
            load.change(table, uuid, Some(cells))?;
        }
    }
    reader.end().map_err(wrong)?;
    load.finish()
}

/// Reads a row's columns. With `old`, they are differences from that row.
fn read_cells(
    reader: &mut Reader<'_>,
    def: &TableDef,
    old: Option<&Row>,
    context: &mut Context<'_>,
) -> Result<Vec<(ColumnId, Cell)>, OvsdbError> {
    let start = reader.again();
    let text = || start.again().skip().map_or("", |raw| raw.text);
    let wrong = |error: crate::value::json::DecodeError| syntax(text(), error);
    let mut cells = Vec::with_capacity(8);
    reader.object().map_err(wrong)?;
    while let Some(name) = reader.key().map_err(wrong)? {
        let Some(id) = def.find(&name) else {
            let details = format!("No column {name} in table {}.", def.name);
            return Err(syntax_of("unknown column", text(), details));
        };
        let kind = &def.column(id).kind;
        let Some(old) = old else {
            cells.push((id, read_cell(reader, kind, context)?));
            continue;
        };
        let mut relaxed = kind.clone();
        (relaxed.min, relaxed.max) = (0, Max::Unlimited);
        let difference = read_cell(reader, &relaxed, context)?;
        let new = if kind.max.is_one() {
            difference
        } else {
            patch(&old.get(def, id), &difference)
        };
        if !kind.allows(new.len()) {
            return Err(syntax(text(), "Datum created by diff has size error"));
        }
        cells.push((id, new));
    }
    Ok(cells)
}

/// The value after a difference is applied: the symmetric difference of both. In a map, a pair whose key
/// exists with another value replaces that value.
fn patch(old: &Cell, difference: &Cell) -> Cell {
    match (old, difference) {
        (Cell::Map(old), Cell::Map(difference)) => {
            let mut new: Map<_, _> = old.clone();
            for (key, value) in difference {
                if new.get(key) == Some(value) {
                    new.remove(key);
                } else {
                    new.insert(key.clone(), value.clone());
                }
            }
            Cell::Map(new)
        }
        (old, difference) => {
            let mut new: Set<_> = old.elements().iter().cloned().collect();
            for atom in difference.elements() {
                if !new.remove(atom) {
                    new.insert(atom.clone());
                }
            }
            Cell::of_set(new)
        }
    }
}
