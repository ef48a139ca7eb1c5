//! What is wanted of a table, and how it differs from a view.

use std::any::Any;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::build::{Build, Deletion, Edit, Insertion, Whole};
use super::change::name_of;
use crate::cache::{Snapshot, TableView};
use crate::model::{AllOf, Collection, Row, Table};
use crate::transaction::Finder;
use crate::value::{Atom, ColumnValue, Datum, Map, Ref, Set, Uuid, Value, read_datum};

/// Says which elements of a column are the owner's.
type Owns = Box<dyn Fn(&Atom) -> bool + Send + Sync>;

/// What is given of a column.
pub(super) enum Mode {
    Whole,
    /// The owner's part, beside which others may have theirs.
    Part(Holds),
    /// The owner's part, and what else is the owner's.
    AllOwned(Owns),
    Initial,
}

/// Whether a column holds all parts of another value; or of a datum, where references had to be resolved.
pub(super) type Holds = fn(&dyn ColumnValue, &dyn ColumnValue, Option<&Datum>) -> bool;

/// [`Holds`] for columns of this type.
pub(super) fn holds_all<V: Collection>(
    column: &dyn ColumnValue,
    parts: &dyn ColumnValue,
    resolved: Option<&Datum>,
) -> bool {
    let Some(column) = column.as_any().downcast_ref::<V>() else {
        return false;
    };
    match resolved {
        Some(datum) => {
            let mut parts = V::default();
            read_datum(&mut parts, datum) && column.holds_all(&parts)
        }
        None => {
            let parts = parts.as_any().downcast_ref::<V>();
            parts.is_some_and(|parts| column.holds_all(parts))
        }
    }
}

/// A row that is wanted.
pub(super) struct Wanted<T: Table> {
    /// The uuid by which other wanted rows refer to it.
    pub(super) placeholder: Uuid,
    pub(super) step: usize,
    pub(super) find: Finder<T>,
    /// The rows with its key.
    pub(super) condition: Option<AllOf<T>>,
    /// The columns of the key, if they are unique by the schema.
    pub(super) unique: Option<Vec<&'static str>>,
    /// A new row with the key.
    pub(super) new: T,
    pub(super) columns: Vec<Given>,
}

/// What is given of a column of a wanted row.
pub(super) struct Given {
    step: usize,
    index: usize,
    value: Box<dyn ColumnValue>,
    mode: Mode,
}

impl<T: Table> Wanted<T> {
    pub(super) fn give(&mut self, step: usize, index: usize, value: impl Value, mode: Mode) {
        let is_part = |mode: &Mode| matches!(mode, Mode::Part(_) | Mode::AllOwned(_));
        let part = is_part(&mode);
        // What is given later in a step holds; parts add up.
        self.columns.retain(|known| {
            known.step != step || known.index != index || (part && is_part(&known.mode))
        });
        let value = Box::new(value);
        self.columns.push(Given {
            step,
            index,
            value,
            mode,
        });
    }
}

/// Rows that are not wanted, whoever owns them.
pub(super) struct Unwanted<T> {
    pub(super) step: usize,
    pub(super) rows: AllOf<T>,
}

/// What is wanted of a table.
pub(super) struct TableWish<T: Table> {
    /// The rows that belong to the owner.
    pub(super) owned: Option<AllOf<T>>,
    pub(super) unwanted: Vec<Unwanted<T>>,
    /// Whether references to rows that go are taken out of all rows of the table.
    pub(super) is_cleaned: bool,
    pub(super) rows: Vec<Wanted<T>>,
    /// The places of rows by their keys.
    pub(super) keys: HashMap<String, usize>,
}

impl<T: Table> Default for TableWish<T> {
    fn default() -> Self {
        Self {
            owned: None,
            unwanted: Vec::new(),
            is_cleaned: false,
            rows: Vec::new(),
            keys: HashMap::new(),
        }
    }
}

impl<T: Table> fmt::Debug for TableWish<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TableWish");
        shown
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl<T: Table> TableWish<T> {
    pub(super) fn add(&mut self, row: Wanted<T>) -> usize {
        let place = self.rows.len();
        if let Some(condition) = &row.condition {
            self.keys.insert(format!("{condition:?}"), place);
        }
        self.rows.push(row);
        place
    }
}

/// Why there is no plan.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// use ovsdb::desired::Conflict;
/// use ovsdb::nb::{self, AddressSet};
/// use ovsdb::testing::SnapshotBuilder;
///
/// let mut rows = SnapshotBuilder::<nb::Database>::new();
/// let theirs = [("owner", "them")].into();
/// rows.insert(AddressSet { name: "pods".into(), external_ids: theirs, ..Default::default() });
///
/// let mut desired = nb::Desired::new();
/// desired.owned::<AddressSet>(AddressSet::EXTERNAL_IDS.includes([("owner", "me")]));
/// let set = desired.row(AddressSet::NAME, "pods");
/// set.part(AddressSet::EXTERNAL_IDS, [("owner", "me")]);
/// let conflicts = desired.plan(&rows.build().expect("rows")).expect_err("it is theirs");
/// assert!(matches!(conflicts, Conflict::HeldByOther { .. }));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A row with the key of a wanted one exists and belongs to another owner.
    #[error(
        "{table} {wanted} is wanted, but the row {row} that there is belongs to another owner: {held}"
    )]
    HeldByOther {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
        /// The row that there is.
        row: Uuid,
        /// The columns of that row that tell its owner, as JSON.
        held: String,
    },
    /// A wanted row would not be one of the [owned](super::Desired::owned) ones.
    #[error("{table} {wanted} is wanted, but would not be owned: it lacks {condition}")]
    NotOwned {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
        /// What owned rows meet.
        condition: String,
    },
    /// Two wanted rows are the same row of the database.
    #[error("{table} {wanted} and {other} are wanted, and are one row: {row}")]
    SameRow {
        /// The table.
        table: &'static str,
        /// What the one is called.
        wanted: String,
        /// What the other is called.
        other: String,
        /// The row.
        row: Uuid,
    },
    /// A wanted row would not have the key by which it is wanted, and not be found again.
    #[error("{table} {wanted} is wanted, but with other columns: it would not be found again")]
    NotFoundAgain {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
    },
    /// A value that cannot be sent, such as a string with a NUL.
    #[error("{table} {wanted} is wanted, with a value of {column} that cannot be sent")]
    Value {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
        /// The column.
        column: &'static str,
    },
    /// The cache was started without a table.
    #[error("rows of {table} are wanted, but the cache was started without the table")]
    NotReplicated {
        /// The table.
        table: &'static str,
    },
    /// The cache was started without an index.
    #[error("{table} {wanted} is to be found in an index that the cache was started without")]
    NoIndex {
        /// The table.
        table: &'static str,
        /// What the wanted row is called.
        wanted: String,
    },
}

/// Which rows of the view the wanted ones are, and which are to be deleted.
#[derive(Default)]
pub(super) struct Resolution {
    /// The uuids of wanted rows that exist, by their placeholders.
    pub(super) existing: HashMap<Uuid, Uuid>,
    /// Those of rows to be inserted whose placeholder is a row already, of another key.
    pub(super) renamed: HashMap<Uuid, Uuid>,
    /// The rows that are deleted, each with its step.
    pub(super) deleted: HashMap<Uuid, usize>,
}

impl Resolution {
    /// The uuid of the row that a placeholder stands for, or of any other row.
    fn uuid_of(&self, row: Uuid) -> Uuid {
        let known = self.existing.get(&row).or_else(|| self.renamed.get(&row));
        known.copied().unwrap_or(row)
    }

    /// A datum with references to the rows that exist.
    fn resolve(&self, datum: Datum) -> Datum {
        datum.map_atoms(|atom| match atom {
            Atom::Uuid(uuid) => Atom::Uuid(self.uuid_of(uuid)),
            other => other,
        })
    }

    /// A datum without references to rows that are deleted in a step.
    fn without_deleted(&self, datum: &Datum, step: usize) -> Datum {
        let is_gone =
            |atom: &Atom| matches!(atom, Atom::Uuid(uuid) if self.deleted.get(uuid) == Some(&step));
        match datum {
            Datum::Set(set) => {
                Datum::Set(set.iter().filter(|atom| !is_gone(atom)).cloned().collect())
            }
            Datum::Map(map) => {
                let pairs = map
                    .iter()
                    .filter(|(key, value)| !is_gone(key) && !is_gone(value));
                Datum::Map(
                    pairs
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect(),
                )
            }
        }
    }
}

/// A [`TableWish`] of any table of the database.
pub(super) trait AnyTable<D>: Send + Sync {
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// How many rows are wanted.
    fn len(&self) -> usize;
    /// Finds the wanted rows in the view, and those to be deleted.
    fn resolve(&self, view: &Snapshot<D>, resolution: &mut Resolution) -> Result<(), Conflict>;
    /// Notes what the wanted rows are called that there are not yet.
    fn name_new(&self, resolution: &Resolution, names: &mut HashMap<Uuid, String>);
    /// What a row of the view is called; `None` when it is not of this table.
    fn name(&self, view: &Snapshot<D>, row: Uuid) -> Option<String>;
    /// Compares the wanted rows with the view.
    fn compare(
        &self,
        view: &Snapshot<D>,
        resolution: &Resolution,
        build: &mut Build<D>,
    ) -> Result<(), Conflict>;
}

impl<T: Table> AnyTable<T::Database> for TableWish<T> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn resolve(
        &self,
        view: &Snapshot<T::Database>,
        resolution: &mut Resolution,
    ) -> Result<(), Conflict> {
        let Some(table) = view.try_table::<T>() else {
            return Err(Conflict::NotReplicated { table: T::TABLE });
        };
        for unwanted in &self.unwanted {
            for row in rows_that_meet(table, &unwanted.rows) {
                let deleted = &mut resolution.deleted;
                deleted.entry(row.uuid()).or_insert(unwanted.step);
            }
        }
        let mut taken: HashMap<Uuid, &Wanted<T>> = HashMap::with_capacity(self.rows.len());
        resolution.existing.reserve(self.rows.len());
        for wanted in &self.rows {
            let Some(row) = self.find(table, wanted, resolution)? else {
                if table.get(Ref::new(wanted.placeholder)).is_some() {
                    let renamed = &mut resolution.renamed;
                    renamed.insert(wanted.placeholder, Uuid::new_v4());
                }
                continue;
            };
            if let Some(other) = taken.insert(row.uuid(), wanted) {
                return Err(Conflict::SameRow {
                    table: T::TABLE,
                    wanted: wanted.label(),
                    other: other.label(),
                    row: row.uuid(),
                });
            }
            resolution.existing.insert(wanted.placeholder, row.uuid());
        }
        if let Some(owned) = &self.owned {
            for row in table.rows() {
                if !taken.contains_key(&row.uuid()) && owned.holds_for(row) {
                    resolution.deleted.entry(row.uuid()).or_insert(0);
                }
            }
        }
        Ok(())
    }

    fn name_new(&self, resolution: &Resolution, names: &mut HashMap<Uuid, String>) {
        for wanted in &self.rows {
            if !resolution.existing.contains_key(&wanted.placeholder) {
                names.insert(resolution.uuid_of(wanted.placeholder), wanted.label());
            }
        }
    }

    fn name(&self, view: &Snapshot<T::Database>, row: Uuid) -> Option<String> {
        let row = view.try_table::<T>()?.get(Ref::new(row))?;
        name_of(row.columns())
    }

    fn compare(
        &self,
        view: &Snapshot<T::Database>,
        resolution: &Resolution,
        build: &mut Build<T::Database>,
    ) -> Result<(), Conflict> {
        let Some(table) = view.try_table::<T>() else {
            return Err(Conflict::NotReplicated { table: T::TABLE });
        };
        let mut wanted_rows = HashSet::new();
        let has_deleted = !resolution.deleted.is_empty();
        for wanted in &self.rows {
            let existing = resolution.existing.get(&wanted.placeholder);
            let row = existing.and_then(|uuid| table.get_shared(Ref::new(*uuid)));
            let Some(row) = row else {
                self.insert(table, wanted, resolution, build)?;
                continue;
            };
            let cleaned = match has_deleted {
                true => steps_to_clean::<T>(&row, resolution),
                false => BTreeSet::new(),
            };
            if has_deleted {
                wanted_rows.insert(row.uuid());
            }
            let differs = |given: &Given| given.differs::<T>(&row, resolution);
            if cleaned.is_empty() && !wanted.columns.iter().any(differs) {
                continue;
            }
            let stages = self.stages(wanted, &row, cleaned, resolution)?;
            let mut still = AllOf::from(row.reference());
            for condition in self.owned.iter().chain(&wanted.condition) {
                still = still.and(condition.clone());
            }
            build.edits(&row, stages, &still);
        }
        if !has_deleted {
            return Ok(());
        }
        for unwanted in &self.unwanted {
            for row in rows_that_meet(table, &unwanted.rows) {
                // The first that names a row has it.
                if resolution.deleted.get(&row.uuid()) != Some(&unwanted.step) {
                    continue;
                }
                let Some(row) = table.get_shared(row.reference()) else {
                    continue;
                };
                let still = AllOf::from(row.reference()).and(unwanted.rows.clone());
                build.delete(unwanted.step, Deletion { row, still });
            }
        }
        if self.owned.is_none() && !self.is_cleaned {
            return Ok(());
        }
        let is_unwanted = |row: &Row<T>| {
            let mut unwanted = self.unwanted.iter();
            unwanted.any(|unwanted| unwanted.rows.holds_for(row))
        };
        for row in table.rows_shared() {
            let owned = self.owned.as_ref().filter(|owned| owned.holds_for(&row));
            if resolution.deleted.contains_key(&row.uuid()) {
                if let Some(owned) = owned.filter(|_| !is_unwanted(&row)) {
                    let still = AllOf::from(row.reference()).and(owned.clone());
                    build.delete(0, Deletion { row, still });
                }
                continue;
            }
            if (owned.is_none() && !self.is_cleaned) || wanted_rows.contains(&row.uuid()) {
                continue;
            }
            let steps = steps_to_clean::<T>(&row, resolution);
            if steps.is_empty() {
                continue;
            }
            let mut columns = T::clone(&row);
            let mut stages = Vec::new();
            for step in steps {
                clean(&mut columns, resolution, step);
                stages.push((step, columns.clone()));
            }
            let mut still = AllOf::from(row.reference());
            if let Some(owned) = owned {
                still = still.and(owned.clone());
            }
            build.edits(&row, stages, &still);
        }
        Ok(())
    }
}

/// The rows that meet a condition.
fn rows_that_meet<'v, T: Table>(
    table: TableView<'v, T>,
    condition: &AllOf<T>,
) -> Box<dyn Iterator<Item = &'v Row<T>> + 'v> {
    let meets = condition.clone();
    match condition.row() {
        Some(row) => Box::new(
            table
                .get(row)
                .filter(|row| meets.holds_for(row))
                .into_iter(),
        ),
        None => Box::new(table.rows().filter(move |row| meets.holds_for(row))),
    }
}

impl<T: Table> TableWish<T> {
    /// Plans a row that there is not yet.
    fn insert(
        &self,
        table: TableView<'_, T>,
        wanted: &Wanted<T>,
        resolution: &Resolution,
        build: &mut Build<T::Database>,
    ) -> Result<(), Conflict> {
        let uuid = resolution.uuid_of(wanted.placeholder);
        let mut columns = self.inserted(wanted, resolution)?;
        self.check(wanted, &columns)?;
        let first = Arc::new(Row::new(uuid, columns.clone()));
        let later = wanted.columns.iter().map(|given| given.step);
        let later: BTreeSet<usize> = later.filter(|step| *step != wanted.step).collect();
        let mut stages = Vec::new();
        for step in later {
            wanted.put(&mut columns, step, resolution, true)?;
            self.check(wanted, &columns)?;
            stages.push((step, columns.clone()));
        }
        let found = (wanted.find)(table).unwrap_or_default();
        let gone = found.into_iter().filter_map(|row| {
            let step = resolution.deleted.get(&row.uuid())?;
            Some((*step, table.get_shared(row)?))
        });
        let insertion = Insertion {
            uuid,
            columns: first.columns().clone(),
            whole: (!stages.is_empty()).then_some(columns),
            condition: wanted.condition.clone(),
            unique: wanted.unique.clone(),
            step: wanted.step,
            gone: gone.collect(),
        };
        build.insert(wanted.step, insertion);
        let still = AllOf::from(first.reference());
        let mut before = first;
        for (step, columns) in stages {
            let edit = Edit::new(before, columns, still.clone(), Whole::Nothing);
            before = Arc::new(Row::new(uuid, edit.columns.clone()));
            build.edit(step, edit);
        }
        Ok(())
    }

    /// What a row that exists becomes, step by step.
    fn stages(
        &self,
        wanted: &Wanted<T>,
        row: &Arc<Row<T>>,
        cleaned: BTreeSet<usize>,
        resolution: &Resolution,
    ) -> Result<Vec<(usize, T)>, Conflict> {
        let mut steps = cleaned;
        steps.extend(wanted.columns.iter().map(|given| given.step));
        let mut columns = T::clone(row);
        let mut stages = Vec::new();
        for step in steps {
            clean(&mut columns, resolution, step);
            wanted.put(&mut columns, step, resolution, false)?;
            stages.push((step, columns.clone()));
        }
        self.check(wanted, &columns)?;
        Ok(stages)
    }

    /// The row that a wanted one is.
    fn find<'v>(
        &self,
        table: TableView<'v, T>,
        wanted: &Wanted<T>,
        resolution: &Resolution,
    ) -> Result<Option<&'v Row<T>>, Conflict> {
        let Some(found) = (wanted.find)(table) else {
            let (table, wanted) = (T::TABLE, wanted.label());
            return Err(Conflict::NoIndex { table, wanted });
        };
        let stays = |row: &Ref<T>| !resolution.deleted.contains_key(&row.uuid());
        let found = found.into_iter().filter(stays);
        let mut found: Vec<_> = found.filter_map(|row| table.get(row)).collect();
        found.sort_by_key(|row| row.uuid());
        let Some(owned) = &self.owned else {
            return Ok(found.first().copied());
        };
        let own = found.iter().find(|row| owned.holds_for(row));
        match (own, found.first()) {
            (Some(row), _) => Ok(Some(row)),
            (None, None) => Ok(None),
            (None, Some(other)) => Err(Conflict::HeldByOther {
                table: T::TABLE,
                wanted: wanted.label(),
                row: other.uuid(),
                held: held(owned, other),
            }),
        }
    }

    /// The wanted row as it is inserted.
    fn inserted(&self, wanted: &Wanted<T>, resolution: &Resolution) -> Result<T, Conflict> {
        let mut columns = wanted.new.clone();
        for (index, info) in T::COLUMNS.iter().enumerate() {
            if let Some(column) = columns.column_mut(index).filter(|_| info.may_refer()) {
                let key = column.to_datum();
                let resolved = resolution.resolve(key.clone());
                if resolved != key {
                    read_datum(column, &resolved);
                }
            }
        }
        wanted.put(&mut columns, wanted.step, resolution, true)?;
        Ok(columns)
    }

    /// Whether a wanted row would be found again, and be owned.
    fn check(&self, wanted: &Wanted<T>, columns: &T) -> Result<(), Conflict> {
        let row = Row::new(wanted.placeholder, columns.clone());
        let is_found = wanted
            .condition
            .as_ref()
            .is_none_or(|key| key.holds_for(&row));
        if !is_found {
            let (table, wanted) = (T::TABLE, wanted.label());
            return Err(Conflict::NotFoundAgain { table, wanted });
        }
        let Some(owned) = &self.owned else {
            return Ok(());
        };
        if owned.holds_for(&row) {
            return Ok(());
        }
        Err(Conflict::NotOwned {
            table: T::TABLE,
            wanted: wanted.label(),
            condition: owned.to_text(),
        })
    }
}

impl<T: Table> Wanted<T> {
    /// Gives a row what is given in a step.
    fn put(
        &self,
        columns: &mut T,
        step: usize,
        resolution: &Resolution,
        is_new: bool,
    ) -> Result<(), Conflict> {
        let given = self.columns.iter().filter(|given| given.step == step);
        for given in given {
            let put = given.put(columns, resolution, is_new);
            put.map_err(|column| self.bad_value(column))?;
        }
        Ok(())
    }

    fn bad_value(&self, column: &'static str) -> Conflict {
        let (table, wanted) = (T::TABLE, self.label());
        Conflict::Value {
            table,
            wanted,
            column,
        }
    }

    /// What it is called: by its columns, else by its key.
    fn label(&self) -> String {
        let named = name_of(&self.new);
        named.unwrap_or_else(|| match &self.condition {
            Some(condition) => condition.to_text(),
            None => "without a name".to_owned(),
        })
    }
}

/// The columns that tell who owns a row.
fn held<T: Table>(owned: &AllOf<T>, row: &Row<T>) -> String {
    let columns = owned.columns().into_iter().filter_map(|name| {
        let index = T::COLUMNS.iter().position(|info| info.name == name)?;
        Some(format!("{name}: {}", row.column(index)?.to_datum()))
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// The steps in which rows are deleted that a row refers to.
fn steps_to_clean<T: Table>(columns: &T, resolution: &Resolution) -> BTreeSet<usize> {
    let infos = T::COLUMNS.iter().enumerate();
    let referring = infos.filter(|(_, info)| info.refers());
    let mut steps = BTreeSet::new();
    for (index, _) in referring {
        let datum = columns.column(index).map(ColumnValue::to_datum);
        for atom in datum.iter().flat_map(Datum::atoms) {
            if let Atom::Uuid(uuid) = atom {
                steps.extend(resolution.deleted.get(uuid));
            }
        }
    }
    steps
}

/// Takes references to rows that are deleted in a step out of a row.
fn clean<T: Table>(columns: &mut T, resolution: &Resolution, step: usize) {
    for (index, info) in T::COLUMNS.iter().enumerate() {
        if !info.refers() || resolution.deleted.is_empty() {
            continue;
        }
        if let Some(column) = columns.column_mut(index) {
            let datum = column.to_datum();
            let cleaned = resolution.without_deleted(&datum, step);
            if cleaned != datum {
                read_datum(column, &cleaned);
            }
        }
    }
}

impl Given {
    fn owns(&self) -> Option<&Owns> {
        match &self.mode {
            Mode::AllOwned(owns) => Some(owns),
            _ => None,
        }
    }

    /// Whether the column of a row that exists is not as it is given.
    fn differs<T: Table>(&self, row: &T, resolution: &Resolution) -> bool {
        let Some(column) = row.column(self.index) else {
            return false;
        };
        let wanted = || resolution.resolve(self.value.to_datum());
        match &self.mode {
            Mode::Initial => false,
            Mode::Whole if T::COLUMNS[self.index].kind.has_reals() => {
                as_sent(column.to_datum()) != as_sent(self.value.to_datum())
            }
            Mode::Whole if !T::COLUMNS[self.index].may_refer() => !column.equals(&*self.value),
            Mode::Whole => column.to_datum() != wanted(),
            Mode::Part(holds) if !T::COLUMNS[self.index].may_refer() => {
                !holds(column, &*self.value, None)
            }
            Mode::Part(holds) => !holds(column, &*self.value, Some(&wanted())),
            Mode::AllOwned(_) => {
                let current = column.to_datum();
                joined(current.clone(), &wanted(), self.owns()) != current
            }
        }
    }

    /// Gives a new row, or one that exists, the column. The error is its name.
    fn put<T: Table>(
        &self,
        columns: &mut T,
        resolution: &Resolution,
        is_new: bool,
    ) -> Result<(), &'static str> {
        let info = &T::COLUMNS[self.index];
        let Some(column) = columns.column_mut(self.index) else {
            return Ok(());
        };
        let wanted = || resolution.resolve(self.value.to_datum());
        let datum = match &self.mode {
            Mode::Initial if !is_new => return Ok(()),
            Mode::Whole | Mode::Initial if !info.may_refer() => {
                // What cannot be sent is found when the transaction is checked.
                column.assign(&*self.value);
                return Ok(());
            }
            Mode::Whole | Mode::Initial => wanted(),
            Mode::Part(_) | Mode::AllOwned(_) => joined(
                column.to_datum(),
                &wanted(),
                self.owns().filter(|_| !is_new),
            ),
        };
        match read_datum(column, &datum) {
            true => Ok(()),
            false => Err(info.name),
        }
    }
}

/// A set or map with the owner's part in it, and without what else was the owner's.
fn joined(current: Datum, part: &Datum, owns: Option<&Owns>) -> Datum {
    let is_owned = |atom: &Atom| owns.is_some_and(|owns| owns(atom));
    match (current, part) {
        (Datum::Set(current), Datum::Set(part)) => {
            let kept = current
                .iter()
                .filter(|atom| part.contains(*atom) || !is_owned(atom));
            Datum::Set(kept.chain(part).cloned().collect::<Set<_>>())
        }
        (Datum::Map(current), Datum::Map(part)) => {
            let kept = current
                .iter()
                .filter(|(key, _)| !part.contains_key(*key) && !is_owned(key));
            let all = kept.chain(part);
            Datum::Map(
                all.map(|(key, value)| (key.clone(), value.clone()))
                    .collect::<Map<_, _>>(),
            )
        }
        // A column is one or the other; an empty map may be written like an empty set.
        (current, part) if part.is_empty() => current,
        (_, part) => part.clone(),
    }
}

/// A datum with its reals as servers send them: with 15 digits.
fn as_sent(datum: Datum) -> Datum {
    datum.map_atoms(|atom| match atom {
        Atom::Real(real) if real.get().is_finite() => {
            let sent = format!("{:.14e}", real.get()).parse().unwrap_or(real.get());
            Atom::Real(sent.into())
        }
        other => other,
    })
}
