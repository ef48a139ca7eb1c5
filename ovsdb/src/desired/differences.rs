//! The differences of one table, once its wanted rows were looked up in the view.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::build::{Build, Deletion, Edit, Insertion, Whole};
use super::conflict::Conflict;
use super::matched::{Matched, rows_that_meet};
use super::resolution::Resolution;
use super::table::{FoundBy, Wanted};
use crate::model::{AllOf, Row, Table};
use crate::value::Uuid;

impl<T: Table> Matched<'_, T> {
    /// Plans the insert of a row that does not exist yet.
    pub(super) fn insert(
        &self,
        place: usize,
        resolution: &Resolution,
        build: &mut Build<T::Database>,
    ) -> Result<(), Conflict> {
        let wanted = &self.desired.rows[place];
        let uuid = resolution.uuid_of(wanted.number);
        let mut columns = self.desired.with_key(wanted, resolution);
        self.put(wanted, &mut columns, wanted.step, resolution, true)?;
        self.check(place, &columns, resolution)?;
        let first = Arc::new(Row::new(uuid, columns.clone()));
        let later = wanted.columns.0.iter().map(|given| given.step);
        let later: BTreeSet<usize> = later.filter(|step| *step != wanted.step).collect();
        let mut stages = Vec::new();
        for step in later {
            self.put(wanted, &mut columns, step, resolution, true)?;
            self.check(place, &columns, resolution)?;
            stages.push((step, columns.clone()));
        }
        let (unique, mut replaced) = (self.unique(wanted), Vec::new());
        if let FoundBy::Key { keys, key } = wanted.found
            && resolution.has_deleted()
        {
            self.desired.keys[keys].find(self.table, key, resolution, &mut replaced);
        }
        let replaced = replaced.into_iter().filter_map(|row| {
            let deleted = resolution.deleted(row.uuid())?;
            Some((deleted.step, self.table.get_shared(row.reference())?))
        });
        let insertion = Insertion {
            uuid,
            columns: first.columns().clone(),
            whole: (!stages.is_empty()).then_some(columns),
            condition: self.desired.condition(wanted, resolution),
            unique,
            step: wanted.step,
            replaced: replaced.collect(),
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

    fn unique(&self, wanted: &Wanted<T>) -> Option<Vec<&'static str>> {
        match wanted.found {
            FoundBy::Key { keys, .. } => self.desired.keys[keys].unique_columns(),
            _ => None,
        }
    }

    /// Sets in a row what the wanted row gives to its columns in this step.
    fn put(
        &self,
        wanted: &Wanted<T>,
        columns: &mut T,
        step: usize,
        resolution: &Resolution,
        is_new: bool,
    ) -> Result<(), Conflict> {
        let put = wanted.columns.put(columns, step, resolution, is_new);
        put.map_err(|refused| self.desired.refused(wanted, resolution, refused))
    }

    /// The row after each step; empty if the steps leave it unchanged.
    pub(super) fn stages(
        &self,
        place: usize,
        row: &Arc<Row<T>>,
        cleaned: BTreeSet<usize>,
        resolution: &Resolution,
    ) -> Result<Vec<(usize, T)>, Conflict> {
        let wanted = &self.desired.rows[place];
        let mut steps = cleaned;
        steps.extend(wanted.columns.0.iter().map(|given| given.step));
        let mut columns = T::clone(row);
        let mut stages = Vec::new();
        for step in steps {
            resolution.clean(&mut columns, step);
            self.put(wanted, &mut columns, step, resolution, false)?;
            stages.push((step, columns.clone()));
        }
        if columns == ***row {
            stages.clear();
        } else {
            self.check(place, &columns, resolution)?;
        }
        Ok(stages)
    }

    /// Checks that a wanted row would be found again, would be owned, and would not be found as another
    /// wanted row.
    fn check(&self, place: usize, columns: &T, resolution: &Resolution) -> Result<(), Conflict> {
        let wanted = &self.desired.rows[place];
        let row = Row::new(resolution.uuid_of(wanted.number), columns.clone());
        if !self.desired.is_found(wanted, &row, resolution) {
            let (table, wanted) = (T::TABLE, self.desired.label(wanted, resolution));
            return Err(Conflict::NotFoundAgain { table, wanted });
        }
        if let (Some(owned), Some(matcher)) = (&self.desired.owned, &self.owned)
            && !matcher.holds_for(&row)
        {
            return Err(Conflict::NotOwned {
                table: T::TABLE,
                wanted: self.desired.label(wanted, resolution),
                condition: owned.to_text(),
            });
        }
        if self.taken.is_none() {
            return Ok(());
        }
        let mut other = None;
        let is_new = self.rows[place].is_none();
        self.desired
            .each_wanted(&row, resolution, &self.resolved, &mut |also| {
                // Of several rows with a key, the one with the smallest uuid is found; the uuid of a new
                // row is not known.
                let is_first =
                    self.rows[also].is_none_or(|known| is_new || row.uuid() < known.uuid());
                if also != place && is_first {
                    other = Some(also);
                }
            });
        match other {
            Some(other) => Err(self.same_row(place, other, row.uuid(), resolution)),
            None => Ok(()),
        }
    }

    /// Plans which rows are deleted. If the table is cleaned, also plans to remove references to deleted
    /// rows from rows that are not wanted.
    pub(super) fn delete(&self, resolution: &Resolution, build: &mut Build<T::Database>) {
        for (at, unwanted) in self.desired.unwanted.iter().enumerate() {
            for row in rows_that_meet(self.table, &unwanted.rows) {
                // If a row meets several conditions, the first one deletes it.
                let deleted = resolution.deleted(row.uuid());
                let Some(deleted) = deleted.filter(|deleted| deleted.unwanted == Some(at)) else {
                    continue;
                };
                if let Some(row) = self.table.get_shared(row.reference()) {
                    let still = AllOf::from(row.reference()).and(unwanted.rows.clone());
                    build.delete(deleted.step, Deletion { row, still });
                }
            }
        }
        if self.desired.owned.is_none() && !self.desired.is_cleaned {
            return;
        }
        let wanted = self.rows.iter().flatten().map(|row| row.uuid());
        let wanted: HashSet<Uuid, crate::simulated::HashState> = wanted.collect();
        for row in self.table.rows_shared() {
            if let Some(deleted) = resolution.deleted(row.uuid()) {
                if let (None, Some(owned)) = (deleted.unwanted, &self.desired.owned) {
                    let still = AllOf::from(row.reference()).and(owned.clone());
                    build.delete(deleted.step, Deletion { row, still });
                }
                continue;
            }
            if !self.desired.is_cleaned || wanted.contains(&row.uuid()) {
                continue;
            }
            let mut columns = T::clone(&row);
            let mut stages = Vec::new();
            for step in resolution.steps_to_clean(row.columns()) {
                resolution.clean(&mut columns, step);
                stages.push((step, columns.clone()));
            }
            build.edits(&row, stages, &AllOf::from(row.reference()));
        }
    }
}
