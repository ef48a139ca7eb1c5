//! The changes of a plan, as they are found and as they are written into a transaction.

use std::sync::Arc;

use super::change::{Action, Change, Labels};
use crate::model::{AllOf, Database, Row, Table};
use crate::transaction::Transaction;
use crate::value::{Ref, Uuid};

/// A row to be inserted.
pub(super) struct Insertion<T> {
    pub(super) uuid: Uuid,
    pub(super) columns: T,
    /// The rows with its key, of which there is none.
    pub(super) condition: Option<AllOf<T>>,
}

/// A row to be changed.
pub(super) struct Edit<T> {
    pub(super) row: Arc<Row<T>>,
    pub(super) columns: T,
}

/// A row to be deleted, and what makes it the owner's.
pub(super) struct Deletion<T> {
    pub(super) row: Arc<Row<T>>,
    pub(super) owned: AllOf<T>,
}

/// A change that can be written into a transaction.
pub(super) trait Write<D>: Send + Sync {
    fn write(&self, txn: &mut Transaction<D>);
}

impl<T: Table> Write<T::Database> for Insertion<T> {
    fn write(&self, txn: &mut Transaction<T::Database>) {
        if let Some(condition) = &self.condition {
            txn.expect(condition.clone(), Vec::new());
        }
        txn.insert_under(self.uuid, self.columns.clone());
    }
}

impl<T: Table> Write<T::Database> for Edit<T> {
    fn write(&self, txn: &mut Transaction<T::Database>) {
        txn.edit_from(&self.row, &self.columns);
    }
}

impl<T: Table> Write<T::Database> for Deletion<T> {
    fn write(&self, txn: &mut Transaction<T::Database>) {
        let row: Ref<T> = self.row.reference();
        let still = AllOf::from(row).and(self.owned.clone());
        txn.expect(still, vec![self.row.clone()]);
        txn.delete(row);
    }
}

/// A plan that is being made.
pub(super) struct Build<D> {
    deletions: Vec<Written<D>>,
    steps: Vec<Vec<Written<D>>>,
}

/// A change, and how it is written.
pub(super) struct Written<D> {
    pub(super) change: Change,
    pub(super) write: Box<dyn Write<D>>,
}

impl<D: Database> Build<D> {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            deletions: Vec::new(),
            steps: (0..steps).map(|_| Vec::new()).collect(),
        }
    }

    /// The changes of each step.
    pub(super) fn finish(mut self) -> Vec<Vec<Written<D>>> {
        if let Some(first) = self.steps.first_mut() {
            first.splice(0..0, self.deletions);
        }
        self.steps
    }

    pub(super) fn insert<T: Table<Database = D>>(
        &mut self,
        step: usize,
        insertion: Insertion<T>,
        labels: &Labels,
    ) {
        let (uuid, nothing) = (insertion.uuid, T::default());
        let change = Change::new(Action::Insert, uuid, &nothing, &insertion.columns, labels);
        let write = Box::new(insertion);
        self.steps[step].push(Written { change, write });
    }

    pub(super) fn edit<T: Table<Database = D>>(
        &mut self,
        step: usize,
        edit: Edit<T>,
        labels: &Labels,
    ) {
        if edit.columns == **edit.row {
            return;
        }
        let uuid = edit.row.uuid();
        let before = edit.row.columns();
        let change = Change::new(Action::Update, uuid, before, &edit.columns, labels);
        let write = Box::new(edit);
        self.steps[step].push(Written { change, write });
    }

    pub(super) fn delete<T: Table<Database = D>>(
        &mut self,
        deletion: Deletion<T>,
        labels: &Labels,
    ) {
        let change = Change::deletion::<T>(deletion.row.uuid(), labels);
        let write = Box::new(deletion);
        self.deletions.push(Written { change, write });
    }
}
