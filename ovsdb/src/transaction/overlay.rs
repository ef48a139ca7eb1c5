//! The overlay of a transaction: its view, with its own writes applied.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use super::guard::{self, Guarding};
use super::merge::MergeConflict;
use super::touched::Touched;
use crate::cache::Snapshot;
use crate::model::{Database, Row, Table};
use crate::protocol::Operation;
use crate::value::{Ref, Uuid};

/// The view of a transaction, with its own writes applied.
pub(super) struct Overlay<D> {
    pub(super) view: Option<Snapshot<D>>,
    /// What was read and written, by table, in the order of first use.
    tables: Vec<Box<dyn AnyTouched>>,
    places: HashMap<TypeId, usize>,
    /// How many operations other than inserts of typed rows and edits were added, and how many
    /// transactions were merged into this one. An edit must not change operations of an earlier epoch.
    pub(super) epoch: usize,
}

impl<D> Clone for Overlay<D> {
    fn clone(&self) -> Self {
        Self {
            view: self.view.clone(),
            tables: self.tables.iter().map(|table| table.copy()).collect(),
            places: self.places.clone(),
            epoch: self.epoch,
        }
    }
}

impl<D> Default for Overlay<D> {
    fn default() -> Self {
        Self {
            view: None,
            tables: Vec::new(),
            places: HashMap::new(),
            epoch: 0,
        }
    }
}

/// A [`Touched`] of any table.
trait AnyTouched: Send + Sync {
    fn copy(&self) -> Box<dyn AnyTouched>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// Guards for what was read and replaced.
    fn guards(&self, guarding: Guarding<'_>) -> Vec<Operation>;
    /// The type of the table.
    fn table(&self) -> TypeId;
    /// The name of the table, if the row with this uuid is written.
    fn name_if_written(&self, row: Uuid) -> Option<&'static str>;
    /// An empty record for the same table.
    fn nothing(&self) -> Box<dyn AnyTouched>;
    /// Why the changes of `other` to the same table cannot follow these.
    fn conflict(&self, other: &dyn AnyTouched) -> Option<MergeConflict>;
    /// Whether this may overwrite changes of `earlier` in a row of the same table that has changed
    /// since.
    fn replaces_again(&self, earlier: &dyn AnyTouched) -> bool;
    /// Adds what `other` has recorded of the same table.
    fn absorb(&mut self, other: &dyn AnyTouched, epoch: usize);
}

impl<T: Table> AnyTouched for Touched<T> {
    fn copy(&self) -> Box<dyn AnyTouched> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn table(&self) -> TypeId {
        TypeId::of::<T>()
    }

    fn name_if_written(&self, row: Uuid) -> Option<&'static str> {
        self.written.contains_key(&row).then_some(T::TABLE)
    }

    fn nothing(&self) -> Box<dyn AnyTouched> {
        Box::new(Self::default())
    }

    fn conflict(&self, other: &dyn AnyTouched) -> Option<MergeConflict> {
        let other = other.as_any().downcast_ref()?;
        Self::conflict(self, other)
    }

    fn replaces_again(&self, earlier: &dyn AnyTouched) -> bool {
        let Some(earlier) = earlier.as_any().downcast_ref::<Self>() else {
            return false;
        };
        self.written.iter().any(|(row, own)| {
            let earlier = earlier.written.get(row);
            earlier.is_some_and(|earlier| earlier.before != own.before && own.writes_over(earlier))
        })
    }

    fn absorb(&mut self, other: &dyn AnyTouched, epoch: usize) {
        if let Some(other) = other.as_any().downcast_ref() {
            Self::absorb(self, other, epoch);
        }
    }

    fn guards(&self, guarding: Guarding<'_>) -> Vec<Operation> {
        let mut guards = Vec::new();
        let mut covered: HashMap<Uuid, Option<&Arc<Row<T>>>> = HashMap::new();
        for key in self.keys.iter().filter(|key| key.is_guarded) {
            guards.push(guard::of_key(key, guarding));
            if key.is_whole {
                covered.extend(key.rows.iter().map(|row| (row.uuid(), Some(row))));
            }
        }
        for (uuid, row) in &self.read {
            if !covered.contains_key(uuid) {
                covered.insert(*uuid, row.as_ref());
                guards.push(guard::of_row(*uuid, row.as_deref(), guarding));
            }
        }
        let columns = self.read_columns.iter();
        let columns = columns.filter(|(uuid, _)| !covered.contains_key(*uuid));
        guards.extend(
            columns.map(|(_, (row, columns))| {
                guard::of_columns(row, columns.iter().copied(), guarding)
            }),
        );
        let written = self
            .order
            .iter()
            .filter_map(|uuid| self.written.get_key_value(uuid));
        // An edit may be based on another version of the row than the one that was read, so it needs
        // its own guard.
        let written = written.filter(|(uuid, written)| {
            covered
                .get(*uuid)
                .is_none_or(|read| *read != written.before.as_ref())
        });
        guards.extend(written.filter_map(|(_, written)| guard::of_edit(written, guarding)));
        guards
    }
}

impl<D: Database> Overlay<D> {
    /// Why the changes of `other` cannot follow these.
    pub(super) fn conflict(&self, other: &Self) -> Option<MergeConflict> {
        let mut tables = other.tables.iter().filter_map(|other| {
            let place = *self.places.get(&other.table())?;
            Some((&self.tables[place], other))
        });
        tables.find_map(|(own, other)| own.conflict(&**other))
    }

    /// Whether this may overwrite changes of `earlier` in a row that has changed since.
    pub(super) fn replaces_again(&self, earlier: &Self) -> bool {
        earlier.tables.iter().any(|earlier| {
            let place = self.places.get(&earlier.table());
            place.is_some_and(|place| self.tables[*place].replaces_again(&**earlier))
        })
    }

    /// Adds what `other` has recorded. Later edits become new operations.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.epoch += 1;
        for other in &other.tables {
            let place = *self.places.entry(other.table()).or_insert_with(|| {
                self.tables.push(other.nothing());
                self.tables.len() - 1
            });
            self.tables[place].absorb(&**other, self.epoch);
        }
        if self.view.is_none() {
            self.view.clone_from(&other.view);
        }
    }

    /// The table of a written row.
    pub(super) fn table_of(&self, row: Uuid) -> Option<&'static str> {
        self.tables
            .iter()
            .find_map(|table| table.name_if_written(row))
    }

    /// What was read and written of a table, if anything.
    pub(super) fn touched<T: Table>(&self) -> Option<&Touched<T>> {
        let place = *self.places.get(&TypeId::of::<T>())?;
        self.tables.get(place)?.as_any().downcast_ref()
    }

    /// What was read and written of a table, to record more.
    pub(super) fn touch<T: Table>(&mut self) -> &mut Touched<T> {
        let place = *self.places.entry(TypeId::of::<T>()).or_insert_with(|| {
            self.tables.push(Box::new(Touched::<T>::default()));
            self.tables.len() - 1
        });
        match self.tables[place].as_any_mut().downcast_mut() {
            Some(touched) => touched,
            None => unreachable!("each entry is found by its type"),
        }
    }

    /// The row in the view.
    pub(super) fn before<T: Table<Database = D>>(&self, uuid: Uuid) -> Option<Arc<Row<T>>> {
        let table = self.view.as_ref()?.try_table::<T>()?;
        table.get_shared(Ref::new(uuid))
    }

    /// Guards for what was read and replaced.
    pub(super) fn guards(&self, guarding: Guarding<'_>) -> Vec<Operation> {
        let tables = self.tables.iter();
        tables.flat_map(|table| table.guards(guarding)).collect()
    }
}
