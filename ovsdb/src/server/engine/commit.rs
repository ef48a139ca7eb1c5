//! The checks at the commit: the constraints of the database as a whole.
//!
//! They are made in ovsdb-server's order. Rows that turn out unchanged are dropped. References are
//! counted, and the rows they refer to must exist. Rows outside the root set without references are
//! deleted (garbage collection). Tables must keep their limits. Weak references to deleted rows are
//! removed from their columns. Indexes must stay unique.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::cell::Cell;
use super::error::{EnglishAtom as English, error, violation};
use super::parse::random_uuid;
use super::references::{strong_targets, weak_targets};
use super::row::Row;
use super::schema::{ColumnId, TableDef, TableId};
use super::storage::{Replacement, RowChange, hash_columns};
use super::transaction::{Transaction, WrittenRow, compare};
use crate::protocol::OvsdbError;
use crate::simulated::HashState;
use crate::value::{Atom, Uuid};

type Result<T = ()> = std::result::Result<T, OvsdbError>;

impl Transaction<'_> {
    /// Checks the transaction. Returns the changes to be stored.
    pub(super) fn finish(mut self) -> Result<Vec<Replacement>> {
        self.drop_unchanged();
        if self.written.iter().all(|table| table.rows.is_empty()) {
            return Ok(Vec::new());
        }
        self.count_references()?;
        self.check_references()?;
        self.collect_garbage();
        self.check_row_limits()?;
        self.remove_weak_references()?;
        self.check_indexes()?;
        Ok(self.replacements())
    }

    fn drop_unchanged(&mut self) {
        for table in &mut self.written {
            table.rows.retain(|_, WrittenRow { change, .. }| {
                let is_same = matches!((&change.old, &change.new), (Some(old), Some(new))
                    if old.has_same_columns(new) && old.version() == new.version());
                is_changed(change) && !is_same
            });
        }
    }

    fn count_references(&mut self) -> Result {
        let schema = self.state.schema.clone();
        for (id, def) in schema.tables.iter().enumerate() {
            if def.strong.is_empty() {
                continue;
            }
            // Counting only changes the numbers of references, and adds rows that are otherwise
            // unchanged.
            let changes = self.written[id].rows.values();
            let changes: Vec<_> = changes.map(|change| change.change.clone()).collect();
            for change in changes {
                let uuid = change.uuid();
                let RowChange { old, new } = change;
                for column in &def.strong {
                    let before = old.as_ref().and_then(|row| row.stored(*column));
                    // A required reference that was never set is the nil uuid, its default.
                    let after = new.as_ref().map(|row| row.get(def, *column));
                    if old.is_some() && before == new.as_ref().and_then(|row| row.stored(*column)) {
                        continue;
                    }
                    let targets = |cell| strong_targets(def.column(*column), cell);
                    for (target, to) in before.into_iter().flat_map(targets) {
                        if to != uuid
                            && let Some(referred) = self.find_change(target, to)
                        {
                            referred.references -= 1;
                        }
                    }
                    for (target, to) in after.iter().flat_map(|cell| targets(cell)) {
                        if to == uuid {
                            continue;
                        }
                        let Some(referred) = self.find_change(target, to) else {
                            return Err(error(
                                "referential integrity violation",
                                format_args!(
                                    "Table {} column {} row {uuid} references nonexistent row \
                                     {to} in table {}.",
                                    def.name,
                                    def.column(*column).name,
                                    schema.tables[target].name
                                ),
                            ));
                        };
                        referred.references += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_references(&self) -> Result {
        for (def, table) in self.state.schema.tables.iter().zip(&self.written) {
            let left = table
                .rows
                .iter()
                .find(|(_, change)| change.change.new.is_none() && change.references > 0);
            if let Some((uuid, change)) = left {
                return Err(error(
                    "referential integrity violation",
                    format_args!(
                        "cannot delete {} row {uuid} because of {} remaining reference(s)",
                        def.name, change.references
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Deletes the rows outside the root set to which nothing refers, then the rows to which only
    /// deleted rows referred.
    fn collect_garbage(&mut self) {
        let schema = self.state.schema.clone();
        let mut garbage: Vec<(TableId, Uuid)> = Vec::new();
        for (id, def) in schema.tables.iter().enumerate() {
            if !def.is_root {
                let rows = self.written[id].rows.iter();
                let rows = rows.filter(|(_, change)| is_garbage(change));
                garbage.extend(rows.map(|(uuid, _)| (id, *uuid)));
            }
        }
        while let Some((id, uuid)) = garbage.pop() {
            let Some(change) = self.written[id].rows.get_mut(&uuid) else {
                continue;
            };
            let Some(row) = change.change.new.take() else {
                continue;
            };
            let def = &schema.tables[id];
            for column in &def.strong {
                let targets = row
                    .stored(*column)
                    .map(|cell| strong_targets(def.column(*column), cell));
                for (target, to) in targets.into_iter().flatten() {
                    if to == uuid {
                        continue;
                    }
                    if let Some(referred) = self.find_change(target, to) {
                        referred.references -= 1;
                        if is_garbage(referred) && !schema.tables[target].is_root {
                            garbage.push((target, to));
                        }
                    }
                }
            }
        }
    }

    fn check_row_limits(&self) -> Result {
        for (id, def) in self.state.schema.tables.iter().enumerate() {
            let Some(most) = def.max_rows else {
                continue;
            };
            let (mut inserted, mut deleted) = (0, 0);
            for WrittenRow { change, .. } in self.written[id].rows.values() {
                inserted += u64::from(change.old.is_none() && change.new.is_some());
                deleted += u64::from(change.old.is_some() && change.new.is_none());
            }
            let count = self.stored(id).len() as u64 + inserted - deleted;
            if count > most && !self.written[id].rows.is_empty() {
                return Err(violation(format_args!(
                    "transaction causes \"{}\" table to contain {count} rows, greater than the \
                     schema-defined limit of {most} row(s)",
                    def.name
                )));
            }
        }
        Ok(())
    }

    /// Whether a row exists after the transaction.
    fn exists(&self, table: TableId, uuid: Uuid) -> bool {
        match self.written[table].rows.get(&uuid) {
            Some(change) => change.change.new.is_some(),
            None => self.stored(table).get(uuid).is_some(),
        }
    }

    fn remove_weak_references(&mut self) -> Result {
        let schema = self.state.schema.clone();
        // Removing a reference to a deleted row changes the row that refers to it.
        for id in 0..schema.tables.len() {
            let is_deleted =
                |change: &&WrittenRow| change.change.old.is_some() && change.change.new.is_none();
            let deleted = self.written[id].rows.values().filter(is_deleted);
            let deleted: Vec<_> = deleted.map(|change| change.change.uuid()).collect();
            for uuid in deleted {
                for referrer in self.stored(id).referrers(uuid) {
                    let _ = self.find_change(referrer.table as usize, referrer.row);
                }
            }
        }
        for (id, def) in schema.tables.iter().enumerate() {
            if def.weak.is_empty() {
                continue;
            }
            // A required reference that was never set is the nil uuid, to which no row belongs. It is not
            // stored, so look at the column's type too.
            let refers = |row: &Arc<Row>| {
                let mut weak = def.weak.iter();
                weak.any(|id| row.stored(*id).is_some() || def.column(*id).kind.min > 0)
            };
            let rows = self.written[id].rows.values();
            let rows = rows.filter_map(|change| change.change.new.as_ref());
            let uuids: Vec<_> = rows
                .filter(|row| refers(row))
                .map(|row| row.uuid())
                .collect();
            for uuid in uuids {
                self.remove_weak_references_of(id, def, uuid)?;
            }
        }
        Ok(())
    }

    fn remove_weak_references_of(&mut self, id: TableId, def: &TableDef, uuid: Uuid) -> Result {
        for column_id in &def.weak {
            let column = def.column(*column_id);
            let Some(change) = self.written[id].rows.get(&uuid) else {
                return Ok(());
            };
            let Some(row) = change.change.new.clone() else {
                return Ok(());
            };
            let cell = row.get(def, *column_id);
            let is_missing = |(target, to): &(TableId, Uuid)| !self.exists(*target, *to);
            if !weak_targets(column, &cell).iter().any(is_missing) {
                continue;
            }
            let (key, value) = column.targets(ovsdb_schema::RefType::Weak);
            let exists = |table: Option<TableId>, atom: &Atom| match (table, atom) {
                (Some(table), Atom::Uuid(to)) => self.exists(table, *to),
                _ => true,
            };
            let has_zero = weak_targets(column, &cell)
                .iter()
                .any(|(_, to)| to.is_nil());
            let mut cell = cell.into_owned();
            let removed =
                cell.retain(|k, v| exists(key, k) && v.is_none_or(|atom| exists(value, atom)));
            let is_insert = change.change.old.is_none();
            if cell.len() < column.kind.min as usize {
                return Err(violation(if has_zero && is_insert {
                    format!(
                        "Weak reference column \"{}\" in \"{}\" row {uuid} (inserted within this \
                         transaction) contained all-zeros UUID (probably as the default value for \
                         this column) but deleting this value caused a constraint volation because \
                         this column is not allowed to be empty.",
                        column.name, def.name
                    )
                } else {
                    format!(
                        "Deletion of {removed} weak reference(s) to deleted (or never-existing) rows \
                         from column \"{}\" in \"{}\" row {uuid} {}caused this column to become \
                         empty, but constraints on this column disallow an empty column.",
                        column.name,
                        def.name,
                        if is_insert {
                            "(inserted within this transaction) "
                        } else {
                            ""
                        }
                    )
                }));
            }
            if let Some(change) = self.written[id].rows.get_mut(&uuid)
                && let Some(row) = &mut change.change.new
            {
                Arc::make_mut(row).set(def, *column_id, cell);
            }
        }
        Ok(())
    }

    fn check_indexes(&self) -> Result {
        for (id, def) in self.state.schema.tables.iter().enumerate() {
            for (index, ids) in def.indexes.iter().enumerate() {
                self.check_index(id, def, index, ids)?;
            }
        }
        Ok(())
    }

    fn check_index(&self, id: TableId, def: &TableDef, index: usize, ids: &[ColumnId]) -> Result {
        let written = &self.written[id];
        let mut candidates: HashMap<u32, SmallVec<[&Arc<Row>; 1]>, HashState> = HashMap::default();
        for WrittenRow { change, .. } in written.rows.values() {
            let Some(row) = &change.new else { continue };
            if let Some(old) = &change.old
                && old.has_same(row, def, ids)
            {
                continue;
            }
            let same = candidates.entry(hash_columns(def, ids, row)).or_default();
            if let Some(other) = same.iter().find(|other| other.has_same(row, def, ids)) {
                return Err(self.duplicate(id, def, ids, other, row));
            }
            same.push(row);
            // The stored row with these values, unless the transaction changes its values or deletes it.
            let keeps = |other: &Row| match written.rows.get(&other.uuid()) {
                Some(change) => {
                    let new = change.change.new.as_ref();
                    new.is_some_and(|new| new.has_same(other, def, ids))
                }
                None => true,
            };
            let other = self.stored(id).indexed(def, index, row, |other| {
                other.uuid() != row.uuid() && keeps(other)
            });
            if let Some(other) = other {
                return Err(self.duplicate(id, def, ids, other, row));
            }
        }
        Ok(())
    }

    fn duplicate(
        &self,
        id: TableId,
        def: &TableDef,
        ids: &[ColumnId],
        a: &Arc<Row>,
        b: &Arc<Row>,
    ) -> OvsdbError {
        let all: Vec<_> = std::iter::once(ColumnId::UUID).chain(def.ids()).collect();
        let (first, second) = if compare(a, b, def, &all).is_lt() {
            (b, a)
        } else {
            (a, b)
        };
        let names: Vec<_> = ids
            .iter()
            .map(|id| format!("\"{}\"", def.column(*id).name))
            .collect();
        violation(format_args!(
            "Transaction causes multiple rows in \"{}\" table to have identical values ({}) for \
             index on column{} {}.  First row, with UUID {}, {}  Second row, with UUID {}, {}",
            def.name,
            values_of(first, def, ids),
            if names.len() == 1 { "" } else { "s" },
            list(&names),
            first.uuid(),
            self.history(id, def, ids, first),
            second.uuid(),
            self.history(id, def, ids, second),
        ))
    }

    /// How a row with duplicate values came about, in ovsdb-server's words.
    fn history(&self, id: TableId, def: &TableDef, ids: &[ColumnId], row: &Row) -> String {
        let written = self.written[id].rows.get(&row.uuid());
        let change = written.filter(|change| is_changed(&change.change));
        match change.map(|change| (&change.change.old, &change.change.new)) {
            None => "existed in the database before this transaction and was not modified by the \
                     transaction."
                .into(),
            Some((None, _)) => "was inserted by this transaction.".into(),
            Some((Some(old), Some(new))) if old.has_same(new, def, ids) => {
                "existed in the database before this transaction, which modified some of the \
                 row's columns but not any columns in this index."
                    .into()
            }
            Some((Some(old), _)) => format!(
                "had the following index values before the transaction: {}.",
                values_of(old, def, ids)
            ),
        }
    }

    fn replacements(mut self) -> Vec<Replacement> {
        let count = self.written.iter().map(|table| table.rows.len()).sum();
        let mut all = Vec::with_capacity(count);
        for (table, written) in self.written.drain(..).enumerate() {
            for (_, mut change) in written.rows {
                if let (Some(old), Some(new)) = (&change.change.old, &mut change.change.new)
                    && !Arc::ptr_eq(old, new)
                {
                    // The row gets a new version even if its only change was a weak reference that was
                    // removed again.
                    Arc::make_mut(new).set_version(random_uuid(self.random));
                }
                if change.change.old.is_some() || change.change.new.is_some() {
                    all.push(Replacement {
                        table,
                        change: change.change,
                        references: u32::try_from(change.references).unwrap_or(0),
                    });
                }
            }
        }
        all
    }
}

/// Whether the row was inserted, deleted or changed.
pub(super) fn is_changed(change: &RowChange) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
        (None, None) => false,
        _ => true,
    }
}

const fn is_garbage(change: &WrittenRow) -> bool {
    change.change.new.is_some() && change.references <= 0
}

/// The values of these columns in ovsdb-server's words: `1, xyz, and [1, 2, 3]`.
fn values_of(row: &Row, def: &TableDef, ids: &[ColumnId]) -> String {
    let values: Vec<_> = ids
        .iter()
        .map(|id| english_value(&row.get(def, *id), !def.column(*id).kind.max.is_one()))
        .collect();
    list(&values)
}

/// A value in the form of command lines: in brackets, or a map in braces, if it is empty or its column
/// can hold several.
fn english_value(cell: &Cell, several: bool) -> String {
    match cell {
        Cell::One(one) if several => format!("[{}]", English(one)),
        Cell::One(one) => English(one).to_string(),
        Cell::Set(set) => {
            let atoms: Vec<_> = set.iter().map(|atom| English(atom).to_string()).collect();
            format!("[{}]", atoms.join(", "))
        }
        Cell::Map(map) => {
            let pairs = map
                .iter()
                .map(|(k, v)| format!("{}={}", English(k), English(v)));
            let pairs = pairs.collect::<Vec<_>>().join(", ");
            if several || map.is_empty() {
                format!("{{{pairs}}}")
            } else {
                pairs
            }
        }
    }
}

fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [a, b] => format!("{a} and {b}"),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
    }
}
