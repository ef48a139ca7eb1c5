//! The wanted rows of a table, matched with the rows of a view.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::build::Build;
use super::change::name_of;
use super::conflict::Conflict;
use super::given::Mode;
use super::key::ResolvedKeys;
use super::resolution::{Deleted, Resolution, referring};
use super::table::{DesiredTable, FoundBy, Wanted};
use crate::cache::{LOOK_AHEAD, TableView};
use crate::model::{AllOf, Matcher, Row, Table};
use crate::trie::prefetch::read_together;
use crate::value::{ColumnValue, Ref, Uuid};

/// How many of the columns that wanted rows give are prefetched at most.
const MOST_AHEAD: usize = 8;

/// The wanted rows of a table, matched with the rows of a view, without the table's type.
pub(super) trait AnyMatched<D> {
    /// Marks unwanted rows as deleted. Then looks up the wanted rows, except those whose keys or conditions
    /// refer to rows that were not looked up yet.
    fn find(&mut self, resolution: &mut Resolution) -> Result<(), Conflict>;
    /// Looks up those wanted rows that `find` left out and whose keys or conditions are known by now.
    /// Returns how many are still left.
    fn find_more(&mut self, resolution: &mut Resolution) -> Result<usize, Conflict>;
    /// Marks owned rows that are not wanted as deleted.
    fn delete_owned(&self, resolution: &mut Resolution);
    /// Where a required column, a set or a map of a wanted row refers to deleted rows only, delays their
    /// deletion until a later step gives the column another value.
    fn delete_later(&self, resolution: &mut Resolution);
    /// Plans the differences.
    fn compare(&self, resolution: &Resolution, build: &mut Build<D>) -> Result<(), Conflict>;
    /// Records the names of wanted rows that do not exist yet.
    fn name_new(&self, resolution: &Resolution, names: &mut HashMap<Uuid, String>);
}

/// What is known of a wanted row after it was looked up. Columns are compared at once, while the
/// processor's caches have the row; references are compared once all rows were looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It does not exist, or a column differs from what is given.
    Differs,
    /// The columns are as given; references were not compared yet.
    SameButReferences,
    Same,
}

/// The wanted rows of a table, matched with the rows of a view.
pub(super) struct Matched<'v, T: Table> {
    pub(super) desired: &'v DesiredTable<T>,
    pub(super) table: TableView<'v, T>,
    pub(super) owned: Option<Matcher<T>>,
    /// For each wanted row, the row of the view that was found for it.
    pub(super) rows: Vec<Option<&'v Row<T>>>,
    states: Vec<State>,
    /// How many of the wanted rows exist.
    found: usize,
    /// For each found row of the view, its wanted row; only if several wanted rows could match the same
    /// row.
    pub(super) taken: Option<HashMap<Uuid, usize>>,
    /// The wanted rows whose keys or conditions refer to rows that were not looked up yet.
    waiting: Vec<usize>,
    /// For each of the columns and indexes that find wanted rows, the keys whose placeholders are
    /// resolved. They are made only after all rows were looked up.
    pub(super) resolved: Vec<ResolvedKeys>,
}

impl<'v, T: Table> Matched<'v, T> {
    pub(super) fn new(desired: &'v DesiredTable<T>, table: TableView<'v, T>) -> Self {
        Self {
            desired,
            table,
            owned: desired.owned.as_ref().map(Matcher::new),
            rows: vec![None; desired.rows.len()],
            states: vec![State::Differs; desired.rows.len()],
            found: 0,
            taken: desired.can_be_same().then(HashMap::new),
            waiting: Vec::new(),
            resolved: desired.keys.iter().map(|_| ResolvedKeys::new()).collect(),
        }
    }

    /// The columns to prefetch: the first `MOST_AHEAD` columns that wanted rows give, which stand for
    /// all, and those that identify the owner.
    fn columns(&self) -> Vec<usize> {
        let first = self.desired.rows.iter().flat_map(|row| &row.columns.0);
        let first = first.take(MOST_AHEAD).map(|given| given.index);
        let owned = self.owned.iter().flat_map(Matcher::columns);
        let columns: BTreeSet<usize> = first.chain(owned).collect();
        columns.into_iter().collect()
    }

    /// Whether the key or the condition of a wanted row refers to a row that was not looked up yet.
    fn has_unknown(&self, wanted: &Wanted<T>, resolution: &Resolution) -> bool {
        match &wanted.found {
            FoundBy::Key { keys, key } => self.desired.keys[*keys].has_unknown(*key, resolution),
            FoundBy::Condition(condition) => {
                condition.uuids().any(|uuid| resolution.is_unknown(uuid))
            }
            FoundBy::Nothing => false,
        }
    }

    /// Looks up a wanted row in the view.
    fn find_row(
        &mut self,
        place: usize,
        resolution: &mut Resolution,
        found: &mut Vec<&'v Row<T>>,
    ) -> Result<(), Conflict> {
        let wanted = &self.desired.rows[place];
        found.clear();
        match &wanted.found {
            FoundBy::Key { keys, key } => {
                let keys = &self.desired.keys[*keys];
                if !keys.find(self.table, *key, resolution, found) {
                    let (table, wanted) = (T::TABLE, self.desired.label(wanted, resolution));
                    return Err(Conflict::NoIndex { table, wanted });
                }
            }
            FoundBy::Condition(condition) => {
                let condition = condition.with_uuids(|uuid| resolution.resolve(uuid));
                found.extend(rows_that_meet(self.table, &condition));
            }
            FoundBy::Nothing => {}
        }
        if resolution.has_deleted() {
            // A row that a later step deletes still exists in this step.
            let later = |deleted: Deleted| deleted.step > wanted.step;
            found.retain(|row| {
                let stays = resolution.deleted(row.uuid()).is_none_or(later);
                if !stays {
                    resolution.replace(row.uuid());
                }
                stays
            });
        }
        found.sort_unstable_by_key(|row| row.uuid());
        let own = match &self.owned {
            Some(owned) => found.iter().find(|row| owned.holds_for(row)),
            None => found.first(),
        };
        let Some(row) = own.copied() else {
            if let (Some(other), Some(owned)) = (found.first(), &self.desired.owned) {
                return Err(Conflict::HeldByOther {
                    table: T::TABLE,
                    wanted: self.desired.label(wanted, resolution),
                    row: other.uuid(),
                    held: held(owned, other),
                });
            }
            if let FoundBy::Condition(condition) = &wanted.found
                && let Some(row) = condition.row()
            {
                let (table, row) = (T::TABLE, resolution.resolve(row.uuid()));
                if self.table.get(Ref::new(row)).is_none() {
                    return Err(Conflict::NoSuchRow { table, row });
                }
            }
            let placeholder = resolution.placeholder(wanted.number);
            // A row was inserted under this uuid before, and has another key now.
            let is_taken = self.table.get(Ref::new(placeholder)).is_some();
            resolution.is_new(wanted.number, is_taken.then(crate::simulated::new_uuid));
            return Ok(());
        };
        if let Some(taken) = &mut self.taken
            && let Some(other) = taken.insert(row.uuid(), place)
        {
            return Err(self.same_row(place, other, row.uuid(), resolution));
        }
        resolution.exists(wanted.number, row.uuid());
        self.rows[place] = Some(row);
        let (mut state, columns) = (State::Same, &wanted.columns.0);
        for given in columns {
            if T::COLUMNS[given.index].may_refer() {
                state = State::SameButReferences;
            } else if given.differs::<T>(row, resolution) {
                state = State::Differs;
                break;
            }
        }
        self.states[place] = state;
        self.found += 1;
        Ok(())
    }

    pub(super) fn same_row(
        &self,
        wanted: usize,
        other: usize,
        row: Uuid,
        resolution: &Resolution,
    ) -> Conflict {
        let label = |place: usize| self.desired.label(&self.desired.rows[place], resolution);
        Conflict::SameRow {
            table: T::TABLE,
            wanted: label(wanted),
            other: label(other),
            row,
        }
    }
}

impl<T: Table> AnyMatched<T::Database> for Matched<'_, T> {
    fn find(&mut self, resolution: &mut Resolution) -> Result<(), Conflict> {
        let unwanted = self.desired.unwanted.iter().map(|unwanted| &unwanted.rows);
        let mut uuids = unwanted.chain(&self.desired.owned).flat_map(AllOf::uuids);
        if uuids.any(|uuid| resolution.is_placeholder(uuid)) {
            return Err(Conflict::RefersToWanted { table: T::TABLE });
        }
        for (at, unwanted) in self.desired.unwanted.iter().enumerate() {
            for row in rows_that_meet(self.table, &unwanted.rows) {
                resolution.delete(row.uuid(), unwanted.step, Some(at));
            }
        }
        let columns = self.columns();
        let mut found = Vec::new();
        for (place, wanted) in self.desired.rows.iter().enumerate() {
            if self.has_unknown(wanted, resolution) {
                self.waiting.push(place);
                continue;
            }
            if let FoundBy::Key { keys, key } = wanted.found {
                let keys = &self.desired.keys[keys];
                let end = keys.len().min(key + LOOK_AHEAD);
                if key % LOOK_AHEAD == 0 && key + 1 < end {
                    keys.look_ahead(self.table, key..end, &columns);
                    let rows = &self.desired.rows[place..];
                    look_ahead(&rows[..LOOK_AHEAD.min(rows.len())]);
                }
            }
            self.find_row(place, resolution, &mut found)?;
        }
        Ok(())
    }

    fn find_more(&mut self, resolution: &mut Resolution) -> Result<usize, Conflict> {
        let mut found = Vec::new();
        for place in std::mem::take(&mut self.waiting) {
            if self.has_unknown(&self.desired.rows[place], resolution) {
                self.waiting.push(place);
            } else {
                self.find_row(place, resolution, &mut found)?;
            }
        }
        Ok(self.waiting.len())
    }

    fn delete_owned(&self, resolution: &mut Resolution) {
        let Some(owned) = &self.owned else {
            return;
        };
        if self.found == self.table.len() {
            // All rows are wanted.
            return;
        }
        let wanted = self.rows.iter().flatten().map(|row| row.uuid());
        let wanted: HashSet<Uuid, crate::simulated::HashState> = wanted.collect();
        for row in self.table.rows() {
            let is_owned = owned.holds_for(row) || planted!(PlanDeletesOthers);
            if !wanted.contains(&row.uuid()) && is_owned && !planted!(PlanLeavesUnwanted) {
                resolution.delete(row.uuid(), 0, None);
            }
        }
    }

    fn delete_later(&self, resolution: &mut Resolution) {
        for (wanted, row) in self.desired.rows.iter().zip(&self.rows) {
            let Some(row) = row else { continue };
            for index in referring::<T>() {
                // An optional column can be empty until the later step, so nothing needs to be delayed.
                // A set may have to hold an element, which is not known here.
                let kind = &T::COLUMNS[index].kind;
                let Some(column) = row.column(index).filter(|_| kind.scalar || !kind.single) else {
                    continue;
                };
                let datum = column.to_datum();
                let deleted: Vec<_> = resolution.deleted_in(&datum).collect();
                if deleted.is_empty() || deleted.len() < datum.len() {
                    continue;
                }
                let last = deleted.iter().map(|(_, deleted)| deleted.step).max();
                let given = wanted.columns.0.iter();
                let given = given
                    .filter(|given| given.index == index && !matches!(given.mode, Mode::Initial));
                let later = given.map(|given| given.step);
                let Some(step) = later.filter(|step| Some(*step) > last).min() else {
                    continue;
                };
                for (row, _) in deleted {
                    resolution.delete_later(row, step);
                }
            }
        }
    }

    fn compare(
        &self,
        resolution: &Resolution,
        build: &mut Build<T::Database>,
    ) -> Result<(), Conflict> {
        let has_deleted = resolution.has_deleted();
        for (place, (wanted, row)) in self.desired.rows.iter().zip(&self.rows).enumerate() {
            let Some(row) = row else {
                self.insert(place, resolution, build)?;
                continue;
            };
            let cleaned = match has_deleted {
                true => resolution.steps_to_clean(row.columns()),
                false => BTreeSet::new(),
            };
            let differs = || match self.states[place] {
                State::Same => false,
                State::Differs => true,
                State::SameButReferences => {
                    let mut given = wanted.columns.0.iter();
                    given.any(|given| given.differs::<T>(row, resolution))
                }
            };
            if cleaned.is_empty() && !differs() {
                continue;
            }
            let Some(row) = self.table.get_shared(row.reference()) else {
                continue;
            };
            let stages = self.stages(place, &row, cleaned, resolution)?;
            let mut still = AllOf::from(row.reference());
            let condition = self.desired.condition(wanted, resolution);
            for condition in self.desired.owned.iter().chain(&condition) {
                still = still.and(condition.clone());
            }
            build.edits(&row, stages, &still);
        }
        if has_deleted {
            self.delete(resolution, build);
        }
        Ok(())
    }

    fn name_new(&self, resolution: &Resolution, names: &mut HashMap<Uuid, String>) {
        for (wanted, row) in self.desired.rows.iter().zip(&self.rows) {
            if row.is_none() {
                let uuid = resolution.uuid_of(wanted.number);
                let mut columns = self.desired.with_key(wanted, resolution);
                // The error was returned when the row was compared.
                let _ = wanted
                    .columns
                    .put(&mut columns, wanted.step, resolution, true);
                let named = name_of(&columns);
                let name = named.unwrap_or_else(|| self.desired.label(wanted, resolution));
                names.insert(uuid, name);
            }
        }
    }
}

/// Prefetches the given values of wanted rows.
fn look_ahead<T: Table>(rows: &[Wanted<T>]) {
    let columns = rows.iter().map(|row| row.columns.0.len()).max();
    for at in 0..columns.unwrap_or(0).min(MOST_AHEAD) {
        let given = rows.iter().filter_map(|row| row.columns.0.get(at));
        let values: Vec<&dyn ColumnValue> = given.map(|given| &*given.value).collect();
        let read = values.first().map(|first| first.read_elements(&values));
        read_together(read.into_iter());
    }
}

/// The rows that meet a condition.
pub(super) fn rows_that_meet<'v, T: Table>(
    table: TableView<'v, T>,
    condition: &AllOf<T>,
) -> Box<dyn Iterator<Item = &'v Row<T>> + 'v> {
    let meets = Matcher::new(condition);
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

/// The columns of a row that tell its owner, each as `column: value`, with the value as JSON.
fn held<T: Table>(owned: &AllOf<T>, row: &Row<T>) -> String {
    let columns = owned.columns().into_iter().filter_map(|name| {
        let index = T::COLUMNS.iter().position(|info| info.name == name)?;
        Some(format!("{name}: {}", row.column(index)?.to_datum()))
    });
    columns.collect::<Vec<_>>().join(", ")
}
