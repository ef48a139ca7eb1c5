//! One table of the replica: its rows, its indexes, and how updates change them.

use std::fmt;
use std::sync::Arc;

use super::copies::{Copies, Gathered};
use super::erased::{ErasedRow, SharedRow};
use super::index::DeclaredIndex;
use super::named::NamedTable;
use super::plan::{Cursor, Plan};
use super::prefetch::Ahead;
use super::skew::{SkewReport, check_condition};
use super::table_state::TableState;
use super::table_type::TableType;
use crate::model::ColumnInfo;
use crate::protocol::{Clause, MonitorRequest};
use crate::value::json::{DecodeError, DecodeErrorKind, Reader};
use crate::value::{Str, Uuid, parse_uuid};

/// An update that cannot be applied, with the place of the error.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// use ovsdb::cache::ApplyErrorReason;
/// use ovsdb::testing::{Replay, ReplayError};
/// use ovsdb::{nb, schema};
///
/// let schema = schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let schema = schema::DatabaseSchema::parse(schema).expect("a schema");
/// let nil = ovsdb::Uuid::nil();
/// let reply = format!(r#"{{"id":1,"error":null,"result":[false,"{nil}",{{"Other":{{}}}}]}}"#);
/// let error = Replay::<nb::Database>::new(&schema).receive(&reply).expect_err("another table");
/// let ReplayError::Apply(error) = error else { panic!("{error}") };
/// assert_eq!((&*error.table, error.reason), ("Other", ApplyErrorReason::UnknownTable));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplyError {
    /// The table; empty when the message is malformed outside any table.
    pub table: Str,
    /// The row, once its uuid was read.
    pub row: Option<Uuid>,
    /// The column, if the error concerns one.
    pub column: Option<Str>,
    /// What was wrong.
    pub reason: ApplyErrorReason,
}

/// Why an update cannot be applied.
///
/// ```
/// # fn example(error: ovsdb::cache::ApplyError) {
/// use ovsdb::cache::ApplyErrorReason;
///
/// match error.reason {
///     ApplyErrorReason::Decode(error) => println!("malformed: {error}"),
///     _ => println!("the server and the replica disagree: {error}"),
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplyErrorReason {
    /// The message is malformed, or has a column or a value that does not fit the table.
    Decode(DecodeError),
    /// The update changes or deletes a row that the replica does not have.
    UnknownRow,
    /// The update inserts a row that the replica already has, or that the same message contains twice.
    KnownRow,
    /// The table was not requested.
    UnknownTable,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.table.is_empty() {
            true => f.write_str("outside any table")?,
            false => write!(f, "table {}", self.table)?,
        }
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        match &self.reason {
            ApplyErrorReason::Decode(error) => write!(f, ": {error}"),
            ApplyErrorReason::UnknownRow => {
                f.write_str(": the update changes or deletes a row that the replica does not have")
            }
            ApplyErrorReason::KnownRow => f.write_str(
                ": the update inserts a row that the replica already has, or contains it twice",
            ),
            ApplyErrorReason::UnknownTable => {
                f.write_str(": the update is for a table that was not requested")
            }
        }
    }
}

impl std::error::Error for ApplyError {}

/// The form in which a message reports changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `old` and `new` rows, from a plain `monitor`.
    Update,
    /// Differences, from `monitor_cond` and `monitor_cond_since`.
    Update2,
}

/// The replica of one table, as the session sees it.
#[derive(Debug)]
pub(crate) struct TableReplica {
    table: TableType,
    name: Str,
    conditions: Option<Vec<Clause>>,
    plan: Plan,
    /// The row that an insert without any column stands for.
    defaults: SharedRow,
    copies: Copies,
    /// The rows of a message that contains every row, until they are in the working state.
    gathered: Option<Gathered>,
}

impl TableReplica {
    pub(super) fn new(table: TableType, conditions: Option<Vec<Clause>>) -> Self {
        Self {
            name: table.name(),
            conditions,
            plan: Plan::default(),
            defaults: table.default_row(),
            copies: Copies::new(Arc::new(TableState::new(table.clone()))),
            table,
            gathered: None,
        }
    }

    /// A table known at run time only, with all its columns and rows.
    pub(super) fn named(name: Str) -> Self {
        Self::new(
            TableType::Named(Arc::new(NamedTable::new(name, None))),
            None,
        )
    }

    /// Selects columns of a table known at run time only, before the monitor starts.
    pub(super) fn select_columns(&mut self, columns: Box<[Str]>) {
        let table = NamedTable::new(self.name.clone(), Some(columns));
        let table = TableType::Named(Arc::new(table));
        *self = Self::new(table, self.conditions.take());
    }

    /// The selected columns of a table known at run time only; an inner `None` for all columns.
    pub(super) fn wanted_columns(&self) -> Option<Option<&[Str]>> {
        match &self.table {
            TableType::Named(table) => Some(table.wanted()),
            TableType::Compiled(_) => None,
        }
    }

    /// Selects rows, before the monitor starts.
    pub(super) fn select(&mut self, conditions: Option<Vec<Clause>>) {
        self.conditions = conditions;
    }

    /// The columns of the struct; empty where the table is known at run time only.
    pub(super) const fn compiled_columns(&self) -> &'static [ColumnInfo] {
        match &self.table {
            TableType::Compiled(table) => table.columns,
            TableType::Named(_) => &[],
        }
    }

    /// Adds an index, before there are rows.
    pub(super) fn declare(&mut self, index: Box<dyn DeclaredIndex>) {
        let mut state = self.copies.published().emptied();
        let mut declared = std::mem::take(&mut state.declared).into_vec();
        declared.push(index);
        state.declared = declared.into_boxed_slice();
        self.copies = Copies::new(Arc::new(state));
    }

    /// Decodes columns into `row`: whole values or, with `changes`, the differences of an `update2`.
    /// Notes in the plan which columns a difference contains, and which columns a whole row contains
    /// where some are required.
    fn decode(
        plan: &mut Plan,
        row: &mut dyn ErasedRow,
        reader: &mut Reader<'_>,
        changes: bool,
        place: &mut Place,
    ) -> Result<(), DecodeError> {
        let noted = changes || !plan.required.is_empty();
        if noted {
            plan.changed.clear();
        }
        reader.object()?;
        let mut cursor = Cursor::default();
        loop {
            let planned = match plan.expected(&mut cursor, reader) {
                Some(planned) => planned,
                None => {
                    let Some(name) = reader.key()? else { break };
                    let Some(planned) = plan.find(&mut cursor, &name) else {
                        place.column = Some(Str::from(name));
                        let expected = DecodeErrorKind::Expected("a column that was requested");
                        return reader.error(expected);
                    };
                    planned
                }
            };
            let elements = plan.elements.get_mut(planned.index);
            reader.elements = elements.as_ref().map_or(0, |last| **last);
            let decoded = match row.column_mut(planned.index) {
                Some(column) if changes && planned.difference => column.decode_change(reader),
                Some(column) => column.decode(reader),
                None => reader.skip().map(drop),
            };
            if let Some(last) = elements {
                *last = reader.elements;
            }
            if noted {
                plan.changed.push(planned.index);
            }
            if let Err(error) = decoded {
                place.column = plan.name(planned).cloned();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Decodes a new row, in which the server omits columns that have their default.
    fn decode_new(
        &mut self,
        uuid: Uuid,
        reader: &mut Reader<'_>,
        place: &mut Place,
    ) -> Result<SharedRow, DecodeError> {
        let mut row = self.defaults.copy(uuid);
        if let Some(row) = Arc::get_mut(&mut row) {
            Self::decode(&mut self.plan, row, reader, false, place)?;
        }
        let plan = &self.plan;
        let mut required = plan.required.iter();
        if let Some(index) = required.find(|index| !plan.changed.contains(*index)) {
            let column = self.table.columns().get(*index);
            place.column = column.map(|(name, _)| Str::from(name));
            let expected = "a value: the type of the column cannot hold the server's default";
            return reader.error(DecodeErrorKind::Expected(expected));
        }
        Ok(row)
    }

    fn insert(&mut self, row: SharedRow) -> Result<(), ApplyErrorReason> {
        if let Some(rows) = &mut self.gathered {
            rows.add(self.copies.published(), row);
            return Ok(());
        }
        let working = self.copies.working();
        if planted!(DeletedWhileAwayKept) {
            working.remove(row.uuid());
        }
        if working.insert(row) {
            return Err(ApplyErrorReason::KnownRow);
        }
        Ok(())
    }

    /// Replaces the working state by the gathered rows, if any. If a row was gathered twice, that is the
    /// row of the error.
    fn take_gathered(&mut self, place: &mut Place) -> Result<(), ApplyErrorReason> {
        let Some(rows) = self.gathered.take() else {
            return Ok(());
        };
        self.copies.fill(&self.table, rows).map_err(|twice| {
            *place = Place {
                row: Some(twice),
                column: None,
            };
            ApplyErrorReason::KnownRow
        })
    }

    fn remove(&mut self, uuid: Uuid, place: &mut Place) -> Result<(), ApplyErrorReason> {
        if planted!(DeleteNotApplied) {
            return Ok(());
        }
        self.take_gathered(place)?;
        if !self.copies.working().remove(uuid) {
            return Err(ApplyErrorReason::UnknownRow);
        }
        Ok(())
    }

    /// Applies the differences of an `update2` to a row.
    fn modify(
        &mut self,
        uuid: Uuid,
        reader: &mut Reader<'_>,
        place: &mut Place,
    ) -> Result<(), ApplyErrorReason> {
        self.take_gathered(place)?;
        let working = self.copies.working();
        let old = working.get(uuid).ok_or(ApplyErrorReason::UnknownRow)?;
        let old = old.clone();
        let mut new = working.copy(&*old);
        if let Some(row) = Arc::get_mut(&mut new) {
            let start = reader.checkpoint();
            Self::decode(&mut self.plan, row, reader, true, place)?;
            if planted!(UpdateTwice) {
                reader.restore(start);
                Self::decode(&mut self.plan, row, reader, true, place)?;
            }
        }
        working.replace(&*old, new, &self.plan.changed);
        Ok(())
    }

    /// Replaces the row with the same uuid.
    fn replace(&mut self, row: SharedRow, place: &mut Place) -> Result<(), ApplyErrorReason> {
        self.take_gathered(place)?;
        let working = self.copies.working();
        let old = working.get(row.uuid());
        let old = old.ok_or(ApplyErrorReason::UnknownRow)?.clone();
        // All columns may have changed: a column that the server omits, against the rules, gets its
        // default.
        self.plan.changed.clear();
        self.plan.changed.extend(0..self.table.columns().len());
        if self.plan.has_version {
            self.plan.changed.push(self.table.columns().len());
        }
        working.replace(&*old, row, &self.plan.changed);
        Ok(())
    }

    /// One row of an `update2` or `update3` (ovsdb-server(7), `<row-update2>`).
    fn row_update2(
        &mut self,
        uuid: Uuid,
        reader: &mut Reader<'_>,
        place: &mut Place,
    ) -> Result<(), ApplyErrorReason> {
        reader.object()?;
        let Some(kind) = reader.key()? else {
            return Ok(reader.error(DecodeErrorKind::Expected("exactly one kind of change"))?);
        };
        match &*kind {
            "initial" | "insert" => {
                let row = self.decode_new(uuid, reader, place)?;
                self.insert(row)?;
            }
            "modify" => {
                self.modify(uuid, reader, place)?;
            }
            "delete" => {
                reader.skip()?;
                self.remove(uuid, place)?;
            }
            _ => {
                let expected = DecodeErrorKind::Expected("initial, insert, modify or delete");
                return Ok(reader.error(expected)?);
            }
        }
        if reader.key()?.is_some() {
            return Ok(reader.error(DecodeErrorKind::Expected("exactly one kind of change"))?);
        }
        Ok(())
    }

    /// One row of an `update` (RFC 7047 section 4.1.6).
    fn row_update(
        &mut self,
        uuid: Uuid,
        reader: &mut Reader<'_>,
        place: &mut Place,
    ) -> Result<(), ApplyErrorReason> {
        let (mut old, mut new) = (false, None);
        reader.object()?;
        while let Some(key) = reader.key()? {
            match &*key {
                "old" => {
                    old = true;
                    reader.skip()?;
                }
                "new" => {
                    new = Some(self.decode_new(uuid, reader, place)?);
                }
                _ => {
                    let expected = DecodeErrorKind::Expected("old or new");
                    return Ok(reader.error(expected)?);
                }
            }
        }
        match new {
            Some(row) if old => self.replace(row, place),
            Some(row) => self.insert(row),
            None => self.remove(uuid, place),
        }
    }

    /// The table's name.
    pub(super) const fn table(&self) -> &Str {
        &self.name
    }

    /// The part of the monitor request for this table.
    pub(super) fn request(&self) -> MonitorRequest {
        MonitorRequest {
            columns: Some(self.plan.columns().to_vec()),
            conditions: self.conditions.clone(),
            select: None,
        }
    }

    /// The condition that rows must meet, `None` for all rows.
    pub(super) fn conditions(&self) -> Option<&[Clause]> {
        self.conditions.as_deref()
    }

    /// Changes the condition, and returns the one before.
    pub(super) fn set_condition(&mut self, condition: Option<Vec<Clause>>) -> Option<Vec<Clause>> {
        std::mem::replace(&mut self.conditions, condition)
    }

    /// Fits the table to the server's schema. Returns whether the columns of its rows changed.
    pub(super) fn fit(
        &mut self,
        schema: &ovsdb_schema::DatabaseSchema,
        report: &mut SkewReport,
    ) -> bool {
        let mut reshaped = false;
        if let TableType::Named(table) = &self.table
            && let Some(fitted) = table.fitted(schema, report)
        {
            self.table = TableType::Named(fitted);
            reshaped = true;
        }
        (self.plan, self.defaults) = Plan::new(&self.table, schema, report);
        let condition = self.conditions.as_deref().unwrap_or_default();
        check_condition(&self.name, condition, schema, report);
        reshaped
    }

    /// Whether the server has the table.
    pub(super) fn exists_on_server(&self) -> bool {
        self.plan.exists_on_server()
    }

    /// Begins a message that contains every row. Rows that did not change are taken from the published
    /// state.
    pub(super) fn begin_fresh(&mut self) {
        if planted!(DeletedWhileAwayKept) {
            return;
        }
        self.copies.roll_back();
        self.gathered = Some(Gathered::default());
    }

    /// Applies the table's part of an update to the working state.
    pub(super) fn apply(&mut self, reader: &mut Reader<'_>, form: Form) -> Result<(), ApplyError> {
        let mut place = Place::default();
        let mut rows = || -> Result<(), ApplyErrorReason> {
            reader.object()?;
            let mut ahead = Ahead::default();
            loop {
                if self.gathered.is_none() {
                    ahead.next(reader, &self.copies.working().rows, &self.plan.changed);
                }
                place = Place::default();
                let Some(key) = reader.key()? else { break };
                let uuid = parse_uuid(&key, reader.offset())?;
                place = Place {
                    row: Some(uuid),
                    column: None,
                };
                match form {
                    Form::Update => self.row_update(uuid, reader, &mut place)?,
                    Form::Update2 => self.row_update2(uuid, reader, &mut place)?,
                }
            }
            self.take_gathered(&mut place)
        };
        rows().map_err(|reason| ApplyError {
            table: self.name.clone(),
            row: place.row,
            column: place.column,
            reason,
        })
    }

    /// Discards the changes since the published state.
    pub(super) fn roll_back(&mut self) {
        self.gathered = None;
        self.copies.roll_back();
    }

    /// Publishes the working state, and returns it if anything changed.
    pub(super) fn publish(&mut self) -> Option<Arc<TableState>> {
        // If the message does not contain this table, its rows are still being gathered. There are none:
        // the table becomes empty, and no row was sent twice.
        let _ = self.take_gathered(&mut Place::default());
        let published = self.copies.publish()?;
        Some(published.clone())
    }

    /// The published state.
    pub(super) fn published(&self) -> Arc<TableState> {
        self.copies.published().clone()
    }
}

impl From<DecodeError> for ApplyErrorReason {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// The decoder's position, for the error.
#[derive(Default)]
struct Place {
    row: Option<Uuid>,
    column: Option<Str>,
}
