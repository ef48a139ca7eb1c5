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
    /// The columns of the key, if they are unique by the schema.
    pub(super) unique: Option<Vec<&'static str>>,
}

/// A row to be changed.
pub(super) struct Edit<T> {
    pub(super) row: Arc<Row<T>>,
    pub(super) columns: T,
    /// The row, as long as it has its key and belongs to the owner.
    pub(super) still: AllOf<T>,
    /// The row after an earlier step has taken out references to deleted rows.
    pub(super) cleaned: Option<Arc<Row<T>>>,
    /// Whether it is what an earlier step does to a row that a later one changes.
    pub(super) is_preparation: bool,
}

impl<T> Edit<T> {
    /// A change of a row that needs no other step.
    pub(super) const fn new(row: Arc<Row<T>>, columns: T, still: AllOf<T>) -> Self {
        Self {
            row,
            columns,
            still,
            cleaned: None,
            is_preparation: false,
        }
    }
}

/// A row to be deleted, and what makes it the owner's.
pub(super) struct Deletion<T> {
    pub(super) row: Arc<Row<T>>,
    pub(super) owned: AllOf<T>,
}

/// A change that can be written into a transaction.
pub(super) trait Write<D>: Send + Sync {
    /// Writes the change: of the whole plan, or of one step after the others.
    fn write(&self, txn: &mut Transaction<D>, is_whole: bool);
    /// The change as people read it.
    fn change(&self, labels: &Labels<'_>) -> Change;
}

impl<T: Table> Write<T::Database> for Insertion<T> {
    fn write(&self, txn: &mut Transaction<T::Database>, _: bool) {
        if let Some(condition) = &self.condition {
            txn.expect(condition.clone(), Vec::new(), self.unique.as_deref());
        }
        txn.insert_under(self.uuid, self.columns.clone());
    }

    fn change(&self, labels: &Labels<'_>) -> Change {
        let nothing = T::default();
        Change::new(Action::Insert, self.uuid, &nothing, &self.columns, labels)
    }
}

impl<T: Table> Write<T::Database> for Edit<T> {
    fn write(&self, txn: &mut Transaction<T::Database>, is_whole: bool) {
        if is_whole && self.is_preparation {
            return;
        }
        let cleaned = self.cleaned.as_ref().filter(|_| !is_whole);
        txn.expect(self.still.clone(), vec![self.row.clone()], None);
        txn.edit_from(cleaned.unwrap_or(&self.row), &self.columns);
    }

    fn change(&self, labels: &Labels<'_>) -> Change {
        let (uuid, before) = (self.row.uuid(), self.row.columns());
        Change::new(Action::Update, uuid, before, &self.columns, labels)
    }
}

impl<T: Table> Write<T::Database> for Deletion<T> {
    fn write(&self, txn: &mut Transaction<T::Database>, _: bool) {
        let row: Ref<T> = self.row.reference();
        let still = AllOf::from(row).and(self.owned.clone());
        txn.expect(still, vec![self.row.clone()], None);
        txn.delete(row);
    }

    fn change(&self, labels: &Labels<'_>) -> Change {
        Change::deletion::<T>(self.row.uuid(), labels)
    }
}

/// A plan that is being made.
pub(super) struct Build<D> {
    deletions: Vec<Box<dyn Write<D>>>,
    steps: Vec<Vec<Box<dyn Write<D>>>>,
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

    /// Whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        self.deletions.is_empty() && self.steps.iter().all(Vec::is_empty)
    }

    /// The changes of each step.
    pub(super) fn finish(mut self, labels: &Labels<'_>) -> Vec<Vec<Written<D>>> {
        if let Some(first) = self.steps.first_mut() {
            first.splice(0..0, self.deletions);
        }
        let written = |write: Box<dyn Write<D>>| Written {
            change: write.change(labels),
            write,
        };
        let steps = self.steps.into_iter();
        steps
            .map(|step| step.into_iter().map(written).collect())
            .collect()
    }

    pub(super) fn insert<T: Table<Database = D>>(&mut self, step: usize, row: Insertion<T>) {
        self.steps[step].push(Box::new(row));
    }

    pub(super) fn edit<T: Table<Database = D>>(&mut self, step: usize, edit: Edit<T>) {
        if edit.columns != **edit.row {
            self.steps[step].push(Box::new(edit));
        }
    }

    pub(super) fn delete<T: Table<Database = D>>(&mut self, deletion: Deletion<T>) {
        self.deletions.push(Box::new(deletion));
    }
}
