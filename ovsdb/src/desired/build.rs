//! The changes of a plan while it is being made, and how they are written into a transaction.

use std::sync::{Arc, OnceLock};

use super::change::{Action, Change, Labels};
use crate::model::{AllOf, Database, Row, Table};
use crate::transaction::Transaction;
use crate::value::Uuid;

/// A row to be inserted.
pub(super) struct Insertion<T: Table> {
    pub(super) uuid: Uuid,
    pub(super) columns: T,
    /// The columns after all steps, if later steps change the row.
    pub(super) whole: Option<T>,
    /// The condition for rows with its key. The guard is that no such row exists, except those in
    /// `replaced`.
    pub(super) condition: Option<AllOf<T>>,
    /// The columns of the key, if they are unique by the schema.
    pub(super) unique: Option<Vec<&'static str>>,
    pub(super) step: usize,
    /// The rows with its key that the plan deletes, each with its step.
    pub(super) replaced: Vec<(usize, Arc<Row<T>>)>,
}

/// A row to be changed.
pub(super) struct Edit<T> {
    pub(super) before: Arc<Row<T>>,
    pub(super) columns: T,
    /// The condition that the row must still meet. For a wanted row that the plan found: it has its key
    /// and belongs to the owner. For any other row: it exists.
    still: AllOf<T>,
    whole: Whole<T>,
}

/// How an edit is written when all steps are in one transaction.
pub(super) enum Whole<T> {
    /// As it is.
    Same,
    /// With these columns, which include the edits of later steps.
    Merged(T),
    /// Not at all: the insert or an earlier edit includes its columns.
    Nothing,
}

impl<T> Edit<T> {
    pub(super) const fn new(
        before: Arc<Row<T>>,
        columns: T,
        still: AllOf<T>,
        whole: Whole<T>,
    ) -> Self {
        Self {
            before,
            columns,
            still,
            whole,
        }
    }
}

/// A row to be deleted, and the condition that it must still meet.
pub(super) struct Deletion<T> {
    pub(super) row: Arc<Row<T>>,
    pub(super) still: AllOf<T>,
}

/// A change that can be written into a transaction.
pub(super) trait Write<D>: Send + Sync {
    /// Writes the change: as part of the whole plan, or of one step.
    fn write(&self, txn: &mut Transaction<D>, is_whole: bool);
    /// The change in readable form.
    fn change(&self, labels: &Labels<D>) -> Change;
}

impl<T: Table> Write<T::Database> for Insertion<T> {
    fn write(&self, txn: &mut Transaction<T::Database>, is_whole: bool) {
        if let Some(condition) = &self.condition {
            let remaining = self.replaced.iter();
            let remaining = remaining.filter(|(step, _)| is_whole || *step >= self.step);
            let remaining = remaining.map(|(_, row)| row.clone()).collect();
            txn.expect(condition.clone(), remaining, self.unique.as_deref());
        }
        let whole = self.whole.as_ref().filter(|_| is_whole);
        let columns = whole.unwrap_or(&self.columns);
        txn.insert_under(self.uuid, columns.clone());
    }

    fn change(&self, labels: &Labels<T::Database>) -> Change {
        let nothing = T::default();
        Change::new(Action::Insert, self.uuid, &nothing, &self.columns, labels)
    }
}

impl<T: Table> Write<T::Database> for Edit<T> {
    fn write(&self, txn: &mut Transaction<T::Database>, is_whole: bool) {
        let columns = match &self.whole {
            Whole::Nothing if is_whole => return,
            Whole::Merged(columns) if is_whole => columns,
            _ => &self.columns,
        };
        txn.expect(self.still.clone(), vec![self.before.clone()], None);
        txn.edit_from(&self.before, columns);
    }

    fn change(&self, labels: &Labels<T::Database>) -> Change {
        let (uuid, before) = (self.before.uuid(), self.before.columns());
        Change::new(Action::Update, uuid, before, &self.columns, labels)
    }
}

impl<T: Table> Write<T::Database> for Deletion<T> {
    fn write(&self, txn: &mut Transaction<T::Database>, _: bool) {
        txn.expect(self.still.clone(), vec![self.row.clone()], None);
        txn.delete(self.row.reference());
    }

    fn change(&self, labels: &Labels<T::Database>) -> Change {
        Change::deletion::<T>(self.row.uuid(), labels)
    }
}

/// A plan that is being made.
pub(super) struct Build<D> {
    steps: Vec<Changes<D>>,
}

/// The changes of one step.
struct Changes<D> {
    /// Written before the others.
    deletions: Vec<Box<dyn Write<D>>>,
    others: Vec<Box<dyn Write<D>>>,
}

/// A change, and its readable form once that was requested.
pub(super) struct Written<D> {
    change: OnceLock<Change>,
    pub(super) write: Box<dyn Write<D>>,
}

impl<D> Written<D> {
    pub(super) fn change(&self, labels: &Labels<D>) -> &Change {
        self.change.get_or_init(|| self.write.change(labels))
    }
}

impl<D: Database> Build<D> {
    pub(super) fn new(steps: usize) -> Self {
        let nothing = |_| Changes {
            deletions: Vec::new(),
            others: Vec::new(),
        };
        Self {
            steps: (0..steps).map(nothing).collect(),
        }
    }

    /// Whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.all(|step| step.deletions.is_empty() && step.others.is_empty())
    }

    /// The changes, step by step.
    pub(super) fn finish(self) -> impl Iterator<Item = Vec<Written<D>>> {
        let written = |write: Box<dyn Write<D>>| Written {
            change: OnceLock::new(),
            write,
        };
        self.steps.into_iter().map(move |step| {
            let changes = step.deletions.into_iter().chain(step.others);
            changes.map(written).collect()
        })
    }

    pub(super) fn insert<T: Table<Database = D>>(&mut self, step: usize, row: Insertion<T>) {
        self.steps[step].others.push(Box::new(row));
    }

    /// Adds the edits of a row: `stages` has the row as each step leaves it.
    pub(super) fn edits<T: Table<Database = D>>(
        &mut self,
        row: &Arc<Row<T>>,
        mut stages: Vec<(usize, T)>,
        still: &AllOf<T>,
    ) {
        let mut known = row.columns().clone();
        stages.retain(|(_, columns)| {
            let changes = *columns != known;
            known.clone_from(columns);
            changes
        });
        let mut whole = match stages.len() {
            0 | 1 => Whole::Same,
            _ => Whole::Merged(known),
        };
        let mut before = row.clone();
        for (step, columns) in stages {
            let after = Arc::new(Row::new(row.uuid(), columns.clone()));
            let whole = std::mem::replace(&mut whole, Whole::Nothing);
            self.edit(step, Edit::new(before, columns, still.clone(), whole));
            before = after;
        }
    }

    pub(super) fn edit<T: Table<Database = D>>(&mut self, step: usize, edit: Edit<T>) {
        if edit.columns != **edit.before {
            self.steps[step].others.push(Box::new(edit));
        }
    }

    pub(super) fn delete<T: Table<Database = D>>(&mut self, step: usize, deletion: Deletion<T>) {
        self.steps[step].deletions.push(Box::new(deletion));
    }
}
