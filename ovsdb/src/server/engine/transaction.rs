//! Executes the operations of a transaction (RFC 7047 section 5.2).
//!
//! The database stays unchanged: rows that the transaction writes are kept separately. A transaction
//! that fails is dropped; one that succeeds goes through [`commit`](super::commit).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::cell::Cell;
use super::condition::{Conjunction, read_clauses};
use super::error::{error, syntax, syntax_of};
use super::mutation::read_mutations;
use super::parse::{
    Context, Kind, Members, Symbols, What, check_atom, random_uuid, read_columns, read_row, text_of,
};
use super::repeats::Repeats;
use super::row::Row;
use super::schema::{ColumnId, TableDef, TableId};
use super::storage::{RowChange, State, Table};
use crate::protocol::{OvsdbError, Wire};
use crate::simulated::HashState;
use crate::value::json::{Raw, Reader};
use crate::value::{Atom, Uuid, parse_uuid};

/// The rows of a table that a transaction has written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) rows: HashMap<Uuid, WrittenRow, HashState>,
}

/// A row that a transaction has written.
#[derive(Debug, Clone)]
pub(super) struct WrittenRow {
    pub(super) change: RowChange,
    /// The number of strong references to the row from other rows.
    pub(super) references: i64,
}

/// What the sender of a transaction may do.
pub(crate) trait Caller {
    /// Whether it holds this lock.
    fn holds(&self, lock: &str) -> bool;
    /// Whether it may only read.
    fn is_read_only(&self) -> bool;
    /// Whether it is the server itself: only the server writes to its own database `_Server`.
    fn is_server(&self) -> bool {
        false
    }
}

/// Why a transaction did not commit.
#[derive(Debug)]
pub(super) enum Stop {
    /// An operation failed.
    Failed(OvsdbError),
    /// The condition of a `wait` is not met yet.
    Waits,
}

impl From<OvsdbError> for Stop {
    fn from(error: OvsdbError) -> Self {
        Self::Failed(error)
    }
}

type Result<T = (), E = Stop> = std::result::Result<T, E>;

/// A transaction that is being executed.
pub(super) struct Transaction<'a> {
    pub(super) state: &'a State,
    pub(super) written: Vec<Written>,
    pub(super) random: &'a mut fastrand::Rng,
    pub(super) repeats: &'a mut Repeats,
    symbols: Symbols,
    caller: &'a dyn Caller,
    /// The time since its first try.
    elapsed: Duration,
    /// The time limit of the `wait` operation that is not met.
    pub(super) timeout: Option<Duration>,
    /// Whether the reply must wait for the disk.
    pub(super) durable: bool,
    /// Whether an operation other than `select`, `wait`, `abort`, `comment` and `assert` was executed.
    pub(super) writes: bool,
    pub(super) comments: Vec<String>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(
        state: &'a State,
        (random, repeats): (&'a mut fastrand::Rng, &'a mut Repeats),
        caller: &'a dyn Caller,
        elapsed: Duration,
    ) -> Self {
        Self {
            written: state
                .schema
                .tables
                .iter()
                .map(|_| Written::default())
                .collect(),
            state,
            random,
            repeats,
            symbols: Symbols::default(),
            caller,
            elapsed,
            timeout: None,
            durable: false,
            writes: false,
            comments: Vec::new(),
        }
    }

    /// Executes the operations, and appends a result for each to `results`, separated by commas.
    pub(super) fn run(&mut self, operations: &[Raw<'_>], results: &mut String) -> Result {
        for (at, raw) in operations.iter().enumerate() {
            if at > 0 {
                results.push(',');
            }
            let result = self.operation(*raw, at + 1, operations.len(), results);
            if let Err(stop) = result {
                if let Stop::Failed(error) = &stop {
                    error.write(results);
                    for _ in at + 1..operations.len() {
                        results.push_str(",null");
                    }
                }
                return Err(stop);
            }
        }
        Ok(())
    }

    fn operation(
        &mut self,
        raw: Raw<'_>,
        number: usize,
        of: usize,
        results: &mut String,
    ) -> Result {
        let mut members = Members::read(raw, What::Operation(number, of));
        let name = members.required("op", Kind::Id).map(text_of);
        let name = name.as_deref().unwrap_or_default();
        let start = results.len();
        let outcome = match name {
            "insert" => self.insert(&mut members, results),
            "select" => self.select(&mut members, results),
            "update" => self.update(&mut members, results),
            "mutate" => self.mutate(&mut members, results),
            "delete" => self.delete(&mut members, results),
            "wait" => self.wait(&mut members, results),
            "commit" => self.commit(&mut members, results),
            "abort" => Err(error("aborted", "aborted by request").into()),
            "comment" => self.comment(&mut members, results),
            "assert" => self.assert(&mut members, results),
            "" => Ok(()),
            other => {
                members.fail(format_args!("No operation \"{other}\""));
                Ok(())
            }
        };
        // An error in the form of the operation takes precedence over other errors.
        let outcome = members.finish().map_err(Stop::from).and(outcome);
        let reads = matches!(name, "select" | "wait" | "abort" | "comment" | "assert");
        let outcome = outcome.and_then(|()| {
            self.writes |= !reads;
            if reads || self.caller.is_server() {
                return Ok(());
            }
            if self.caller.is_read_only() {
                let details = format!(
                    "{name} operation not allowed when database server is in read only mode"
                );
                return Err(error("not allowed", details).into());
            }
            let database = self.state.schema.name();
            if database.starts_with('_') {
                let details = format!(
                    "{name} operation not allowed on table in reserved database {database}"
                );
                return Err(error("not allowed", details).into());
            }
            Ok(())
        });
        if outcome.is_err() {
            results.truncate(start);
        }
        outcome
    }

    fn table(&self, members: &mut Members<'_>) -> Option<TableId> {
        let name = text_of(members.required("table", Kind::Id)?);
        let id = self.state.schema.find(&name);
        if id.is_none() {
            members.fail(format_args!("No table named {name}."));
        }
        id
    }

    const fn context(&mut self) -> Context<'_> {
        Context {
            names: Some((&mut self.symbols, &mut *self.random)),
            repeats: Some(&mut *self.repeats),
        }
    }

    fn insert(&mut self, members: &mut Members<'_>, results: &mut String) -> Result {
        let table = self.table(members);
        let uuid = members.optional("uuid", Kind::String);
        let uuid_name = members.optional("uuid-name", Kind::Id);
        let row = members.required("row", Kind::Object);
        members.check()?;
        let (Some(table), Some(row)) = (table, row) else {
            return Ok(());
        };
        let state = self.state;
        let def = &state.schema.tables[table];
        let mut chosen = None;
        if let Some(raw) = uuid {
            let Ok(uuid) = parse_uuid(&text_of(raw), 0) else {
                return Err(syntax(raw.text, "bad uuid").into());
            };
            if self.written[table].rows.contains_key(&uuid)
                || state.table(table).get(uuid).is_some()
            {
                let details = format!(
                    "This UUID would duplicate a UUID already present within the \"{}\" table or \
                     deleted from this table within the same transaction.",
                    def.name
                );
                return Err(syntax_of("duplicate uuid", raw.text, details).into());
            }
            chosen = Some(uuid);
        }
        let uuid = match uuid_name {
            Some(raw) => {
                let symbol = self.symbols.symbol(&text_of(raw), self.random);
                if symbol.inserted {
                    let details = "This \"uuid-name\" appeared on an earlier \"insert\" operation.";
                    return Err(syntax_of("duplicate uuid-name", raw.text, details).into());
                }
                symbol.inserted = true;
                if let Some(chosen) = chosen {
                    symbol.uuid = chosen;
                }
                symbol.uuid
            }
            None => chosen.unwrap_or_else(|| random_uuid(self.random)),
        };
        let cells = read_row(row, def, &mut self.context())?;
        check_defaults(def, &cells)?;
        let version = random_uuid(self.random);
        let row = Arc::new(Row::new(uuid, version, def, cells));
        let change = WrittenRow {
            change: RowChange {
                old: None,
                new: Some(row),
            },
            references: 0,
        };
        self.written[table].rows.insert(uuid, change);
        results.push_str("{\"uuid\":");
        Atom::Uuid(uuid).write(results);
        results.push('}');
        Ok(())
    }

    fn select(&mut self, members: &mut Members<'_>, results: &mut String) -> Result {
        let table = self.table(members);
        let conditions = members.required("where", Kind::Array);
        let columns = members.optional("columns", Kind::Array);
        let sort = members.optional("sort", Kind::Array);
        members.check()?;
        let (Some(table), Some(conditions)) = (table, conditions) else {
            return Ok(());
        };
        let state = self.state;
        let def = &state.schema.tables[table];
        let condition = self.conditions(conditions, def)?;
        let ids = match columns {
            Some(columns) => read_columns(columns, def)?,
            None => def.all_ids().collect(),
        };
        let sort = sort.map(|sort| read_columns(sort, def)).transpose()?;
        let mut rows = self.rows(table, &condition);
        if let Some(sort) = sort {
            rows.sort_by(|a, b| compare(a, b, def, &sort));
        }
        if !ids.contains(&ColumnId::UUID) {
            let mut known = std::collections::HashSet::<Vec<Cell>, HashState>::default();
            rows.retain(|row| known.insert(values(row, def, &ids)));
        }
        results.push_str("{\"rows\":[");
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                results.push(',');
            }
            write_row(results, row, def, &ids);
        }
        results.push_str("]}");
        Ok(())
    }

    fn update(&mut self, members: &mut Members<'_>, results: &mut String) -> Result {
        let table = self.table(members);
        let conditions = members.required("where", Kind::Array);
        let row = members.required("row", Kind::Object);
        members.check()?;
        let (Some(table), Some(conditions), Some(row)) = (table, conditions, row) else {
            return Ok(());
        };
        let state = self.state;
        let def = &state.schema.tables[table];
        let cells = read_row(row, def, &mut self.context())?;
        for (id, _) in &cells {
            let column = def.column(*id);
            if !column.mutable {
                let details = format!(
                    "Cannot update immutable column {} in table {}.",
                    column.name, def.name
                );
                return Err(syntax_of("constraint violation", members.text(), details).into());
            }
        }
        let condition = self.conditions(conditions, def)?;
        let rows = self.rows(table, &condition);
        for row in &rows {
            if cells.iter().all(|(id, cell)| *row.get(def, *id) == *cell) {
                continue;
            }
            let row = Arc::make_mut(self.row_mut(table, row));
            for (id, cell) in &cells {
                row.set(def, *id, cell.clone());
            }
        }
        write_count(results, rows.len());
        Ok(())
    }

    fn mutate(&mut self, members: &mut Members<'_>, results: &mut String) -> Result {
        let table = self.table(members);
        let conditions = members.required("where", Kind::Array);
        let mutations = members.required("mutations", Kind::Array);
        members.check()?;
        let (Some(table), Some(conditions), Some(mutations)) = (table, conditions, mutations)
        else {
            return Ok(());
        };
        let state = self.state;
        let def = &state.schema.tables[table];
        let mutations = read_mutations(mutations, def, &mut self.context())?;
        let condition = self.conditions(conditions, def)?;
        let rows = self.rows(table, &condition);
        if !mutations.is_empty() {
            for row in &rows {
                let row = Arc::make_mut(self.row_mut(table, row));
                for mutation in &mutations {
                    mutation.apply(row, def)?;
                }
            }
        }
        write_count(results, rows.len());
        Ok(())
    }

    fn delete(&mut self, members: &mut Members<'_>, results: &mut String) -> Result {
        let conditions = members.required("where", Kind::Array);
        let table = self.table(members);
        members.check()?;
        let (Some(table), Some(conditions)) = (table, conditions) else {
            return Ok(());
        };
        let state = self.state;
        let condition = self.conditions(conditions, &state.schema.tables[table])?;
        let rows = self.rows(table, &condition);
        for row in &rows {
            let change = self.change(table, row);
            change.change.new = None;
            if change.change.old.is_none() {
                self.written[table].rows.remove(&row.uuid());
            }
        }
        write_count(results, rows.len());
        Ok(())
    }

    fn wait(&mut self, members: &mut Members<'_>, results: &mut String) -> Result {
        let timeout = members.optional("timeout", Kind::Integer);
        let conditions = members.required("where", Kind::Array);
        let columns = members.optional("columns", Kind::Array);
        let until = members.required("until", Kind::String);
        let rows = members.required("rows", Kind::Array);
        let table = self.table(members);
        members.check()?;
        let (Some(table), Some(conditions), Some(until), Some(rows)) =
            (table, conditions, until, rows)
        else {
            return Ok(());
        };
        let state = self.state;
        let def = &state.schema.tables[table];
        let condition = self.conditions(conditions, def)?;
        let ids = match columns {
            Some(columns) => read_columns(columns, def)?,
            None => def.all_ids().collect(),
        };
        let limit = timeout.map(|raw| (raw, i64::from_json(raw.text)));
        let limit = match limit {
            Some((raw, milliseconds)) => match milliseconds.map(u64::try_from) {
                Ok(Ok(milliseconds)) => Some(Duration::from_millis(milliseconds)),
                _ => return Err(syntax(raw.text, "timeout must be nonnegative").into()),
            },
            None => None,
        };
        let equal = match &*text_of(until) {
            "==" => true,
            "!=" => false,
            _ => return Err(syntax(until.text, "\"until\" must be \"==\" or \"!=\"").into()),
        };
        let expected = self.expected_rows(rows, def, &ids)?;
        let actual = self.rows(table, &condition);
        let actual = actual.iter().map(|row| values(row, def, &ids));
        let actual: std::collections::HashSet<Vec<Cell>, HashState> = actual.collect();
        if (actual == expected) == equal {
            results.push_str("{}");
            return Ok(());
        }
        match limit {
            Some(limit) if self.elapsed >= limit => {
                let details = match self.elapsed.as_millis() {
                    0 => "\"where\" clause test failed".to_owned(),
                    elapsed => format!("\"wait\" timed out after {elapsed} ms"),
                };
                Err(error("timed out", details).into())
            }
            _ => {
                self.timeout = limit;
                Err(Stop::Waits)
            }
        }
    }

    fn expected_rows(
        &mut self,
        rows: Raw<'_>,
        def: &TableDef,
        ids: &[ColumnId],
    ) -> Result<std::collections::HashSet<Vec<Cell>, HashState>> {
        let mut expected = std::collections::HashSet::default();
        let wrong = |error: crate::value::json::DecodeError| syntax(rows.text, error);
        let mut reader = Reader::of(rows);
        reader.array().map_err(wrong)?;
        while reader.element().map_err(wrong)? {
            let raw = reader.skip().map_err(wrong)?;
            let cells = read_row(raw, def, &mut self.context())?;
            let value = |id: &ColumnId| {
                let given = cells.iter().find(|(given, _)| given == id);
                given.map_or_else(|| def.column(*id).default.clone(), |(_, cell)| cell.clone())
            };
            expected.insert(ids.iter().map(value).collect());
        }
        Ok(expected)
    }

    fn commit(&mut self, members: &mut Members<'_>, results: &mut String) -> Result {
        if let Some(durable) = members.required("durable", Kind::Boolean) {
            self.durable |= durable.text == "true";
            results.push_str("{}");
        }
        Ok(())
    }

    fn comment(&mut self, members: &mut Members<'_>, results: &mut String) -> Result {
        if let Some(comment) = members.required("comment", Kind::String) {
            self.comments.push(text_of(comment).into_owned());
            results.push_str("{}");
        }
        Ok(())
    }

    fn assert(&mut self, members: &mut Members<'_>, results: &mut String) -> Result {
        let Some(lock) = members.required("lock", Kind::Id).map(text_of) else {
            return Ok(());
        };
        if !self.caller.holds(&lock) {
            let details = format!("Asserted lock {lock} not held.");
            return Err(error("not owner", details).into());
        }
        results.push_str("{}");
        Ok(())
    }

    fn conditions(&mut self, raw: Raw<'_>, def: &TableDef) -> Result<Conjunction> {
        Ok(Conjunction(read_clauses(raw, def, &mut self.context())?))
    }

    /// The rows of a table that meet a condition, as the transaction has left them so far.
    fn rows(&self, table: TableId, condition: &Conjunction) -> Vec<Arc<Row>> {
        let def = &self.state.schema.tables[table];
        let (stored, written) = (self.state.table(table), &self.written[table]);
        if let Some(uuid) = condition.equal(ColumnId::UUID)
            && let [Atom::Uuid(uuid)] = uuid.elements()
        {
            let row = match written.rows.get(uuid) {
                Some(change) => change.change.new.as_ref(),
                None => stored.get(*uuid),
            };
            let row = row.filter(|row| condition.holds(row, def));
            return row.cloned().into_iter().collect();
        }
        let holds = |row: &&Arc<Row>| condition.holds(row, def);
        let new = written.rows.values();
        let new = new
            .filter_map(|change| change.change.new.as_ref())
            .filter(holds);
        if let Some((index, example)) = indexed(def, condition) {
            let found = stored.indexed(def, index, &example, |row| {
                !written.rows.contains_key(&row.uuid()) && condition.holds(row, def)
            });
            return found.into_iter().chain(new).cloned().collect();
        }
        let old = stored.rows();
        let old = old.filter(|row| !written.rows.contains_key(&row.uuid()));
        old.filter(holds).chain(new).cloned().collect()
    }

    /// The change of a row, which is recorded if there was none yet.
    pub(super) fn change(&mut self, table: TableId, row: &Arc<Row>) -> &mut WrittenRow {
        let state = self.state;
        let rows = &mut self.written[table].rows;
        rows.entry(row.uuid()).or_insert_with(|| {
            let stored = state.table(table).stored(row.uuid());
            unchanged(row, stored.map_or(0, |stored| stored.references))
        })
    }

    /// The change of a row of any table, also of a row that the transaction has deleted; `None` when there
    /// is no such row.
    pub(super) fn find_change(&mut self, table: TableId, uuid: Uuid) -> Option<&mut WrittenRow> {
        match self.written[table].rows.entry(uuid) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => {
                let stored = self.state.table(table).stored(uuid)?;
                Some(place.insert(unchanged(&stored.row, stored.references)))
            }
        }
    }

    /// A row, to be changed.
    fn row_mut(&mut self, table: TableId, row: &Arc<Row>) -> &mut Arc<Row> {
        self.change(table, row)
            .change
            .new
            .get_or_insert_with(|| row.clone())
    }

    /// A table of the database, without the transaction's changes.
    pub(super) fn stored(&self, table: TableId) -> &'a Table {
        self.state.table(table)
    }
}

/// The record of a row that is not changed yet.
fn unchanged(row: &Arc<Row>, references: u32) -> WrittenRow {
    WrittenRow {
        change: RowChange {
            old: Some(row.clone()),
            new: Some(row.clone()),
        },
        references: i64::from(references),
    }
}

/// Checks the defaults of columns that an insert omits against the constraints.
fn check_defaults(def: &TableDef, cells: &[(ColumnId, Cell)]) -> Result<(), OvsdbError> {
    for (id, column) in def.ids().zip(&def.columns) {
        if column.default.len() != 1 || cells.iter().any(|(given, _)| *given == id) {
            continue;
        }
        match &column.default {
            Cell::Map(map) => {
                for (key, value) in map {
                    check_atom(key, &column.kind.key)?;
                    if let Some(base) = &column.kind.value {
                        check_atom(value, base)?;
                    }
                }
            }
            one => {
                for atom in one.elements() {
                    check_atom(atom, &column.kind.key)?;
                }
            }
        }
    }
    Ok(())
}

/// An index all of whose columns a condition compares for equality, and a row with these values.
fn indexed(def: &TableDef, condition: &Conjunction) -> Option<(usize, Row)> {
    def.indexes.iter().enumerate().find_map(|(index, ids)| {
        let cells = ids
            .iter()
            .map(|id| Some((*id, condition.equal(*id)?.clone())));
        let cells: Vec<_> = cells.collect::<Option<_>>()?;
        Some((index, Row::new(Uuid::nil(), Uuid::nil(), def, cells)))
    })
}

fn values(row: &Row, def: &TableDef, ids: &[ColumnId]) -> Vec<Cell> {
    ids.iter()
        .map(|id| row.get(def, *id).into_owned())
        .collect()
}

/// The order of two rows by these columns.
pub(super) fn compare(a: &Row, b: &Row, def: &TableDef, ids: &[ColumnId]) -> std::cmp::Ordering {
    ids.iter()
        .map(|id| a.get(def, *id).cmp(&b.get(def, *id)))
        .find(|order| order.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}

/// Appends columns of a row as a JSON object.
pub(crate) fn write_row(out: &mut String, row: &Row, def: &TableDef, ids: &[ColumnId]) {
    out.push('{');
    for (at, id) in ids.iter().enumerate() {
        out.push_str(if at > 0 { ",\"" } else { "\"" });
        out.push_str(&def.column(*id).name);
        out.push_str("\":");
        row.get(def, *id).write(out);
    }
    out.push('}');
}

fn write_count(results: &mut String, count: usize) {
    // Writing to a String cannot fail.
    let _ = write!(results, "{{\"count\":{count}}}");
}
