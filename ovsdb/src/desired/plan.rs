//! Plans: the difference between the desired state and a view.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Desired;
use super::build::{Build, Written};
use super::change::{Change, Labels};
use super::conflict::Conflict;
use super::resolution::Resolution;
use crate::cache::Snapshot;
use crate::client::Client;
use crate::model::Database;
use crate::transaction::{CommitError, Outcome, Transaction};
use crate::value::json::write_string;

/// The changes that bring a database to the desired state; [`Desired::plan`] makes it. It is empty if
/// there is nothing to do.
///
/// Its `Display` form has the title of each step, then the rows that change, each in the form of
/// [`Change`].
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// use ovsdb::nb::{self, AddressSet};
/// use ovsdb::testing::SnapshotBuilder;
///
/// let mut rows = SnapshotBuilder::<nb::Database>::new();
/// rows.table::<AddressSet>();
/// let view = rows.build()?;
/// let mut desired = nb::Desired::new();
/// desired.row(AddressSet::NAME, "pods").set(AddressSet::ADDRESSES, ["192.0.2.1"]);
/// let plan = desired.plan(&view)?;
/// assert_eq!(plan.to_string(), "+ Address_Set pods\n    addresses: 192.0.2.1\n    name: pods\n");
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a plan does nothing until it is committed"]
pub struct Plan<D> {
    steps: Vec<Step<D>>,
}

/// A part of a [`Plan`] that can be a transaction of its own; [`Desired::begin`] begins it.
///
/// ```
/// # async fn example(
/// #     client: ovsdb::nb::Client,
/// #     plan: ovsdb::desired::Plan<ovsdb::nb::Database>,
/// # ) -> Result<(), ovsdb::CommitError> {
/// for step in plan.into_steps() {
///     println!("{}: {} rows", step.title(), step.changes().count());
///     step.commit(&client).await?;
/// }
/// # Ok(()) }
/// ```
#[must_use = "a step does nothing until it is committed"]
pub struct Step<D> {
    title: String,
    changes: Vec<Written<D>>,
    labels: Arc<Labels<D>>,
}

impl<D: Database> Desired<D> {
    /// Compares the desired state with a view.
    ///
    /// Each step first deletes rows; then it inserts and changes rows, table by table, and removes
    /// references to the deleted ones. Owned rows that are not wanted are deleted in the first step, which
    /// is the one before the first [`begin`](Self::begin), and unwanted rows in their own step. If a
    /// required column, a set or a map of a wanted row would have no value left, the rows that it refers to
    /// are deleted in the later step that gives it another value.
    ///
    /// # Errors
    /// When the desired state cannot be reached, or only by touching rows of another owner, or when the
    /// cache lacks a table or an index; see [`Conflict`].
    pub fn plan(&self, view: &Snapshot<D>) -> Result<Plan<D>, Conflict> {
        let mut resolution = Resolution::new(self.placeholders);
        let mut tables = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let mut matched = table.matched(view)?;
            matched.find(&mut resolution)?;
            tables.push(matched);
        }
        // A key or a condition refers only to rows that were wanted before the row that it finds, so each
        // round looks up at least one row.
        loop {
            let mut left = 0;
            for table in &mut tables {
                left += table.find_more(&mut resolution)?;
            }
            if left == 0 {
                break;
            }
        }
        for table in &tables {
            table.delete_owned(&mut resolution);
        }
        if resolution.has_deleted() && self.steps.len() > 1 {
            for table in &tables {
                table.delete_later(&mut resolution);
            }
        }
        let mut build = Build::new(self.steps.len());
        for table in &tables {
            table.compare(&resolution, &mut build)?;
        }
        if build.is_empty() {
            return Ok(Plan { steps: Vec::new() });
        }
        let mut new = HashMap::new();
        for table in &tables {
            table.name_new(&resolution, &mut new);
        }
        let labels = Arc::new(Labels {
            new,
            view: view.clone(),
            names: self.tables.iter().map(|table| table.name()).collect(),
        });
        let steps = self
            .steps
            .iter()
            .zip(build.finish())
            .filter(|(_, changes)| !changes.is_empty());
        let steps = steps.map(|(title, changes)| Step {
            title: title.clone(),
            changes,
            labels: labels.clone(),
        });
        Ok(Plan {
            steps: steps.collect(),
        })
    }
}

impl<D: Database> Plan<D> {
    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The changes, in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.steps.iter().flat_map(Step::changes)
    }

    /// How many changes there are.
    pub(super) fn count(&self) -> usize {
        self.steps.iter().map(|step| step.changes.len()).sum()
    }

    /// The steps that change anything, in order.
    #[must_use]
    pub fn into_steps(self) -> Vec<Step<D>> {
        self.steps
    }

    /// Writes all changes into a transaction, such as the one in a closure of
    /// [`Client::apply`](crate::Client::apply).
    pub fn write(&self, txn: &mut Transaction<D>) {
        for step in &self.steps {
            for written in &step.changes {
                written.write.write(txn, true);
            }
        }
    }

    /// Commits all changes in one transaction. The commit fails if the rows that the plan is based on
    /// have changed: with a [conflict](crate::transaction::Refusal::is_conflict) if a row to be changed
    /// or deleted no longer has its key or its owner, a value to be replaced has changed, another client
    /// has given another value to a key that is to be added to a map, or a row with the key of a new one
    /// exists by now; with a [duplicate](crate::transaction::Refusal::duplicate) if the schema makes that
    /// key unique. Replaced reals, conditions that compare reals, and keys by a function or by the values
    /// of a map are not verified.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn commit(self, client: &Client<D>) -> Result<Outcome, CommitError> {
        let mut txn = client.transaction();
        self.write(&mut txn);
        txn.commit().await
    }

    /// The changes as JSON: an array of [steps](Step::to_json).
    #[must_use]
    pub fn to_json(&self) -> String {
        let steps: Vec<String> = self.steps.iter().map(Step::to_json).collect();
        format!("[{}]", steps.join(","))
    }
}

impl<D: Database> Step<D> {
    /// Its title; empty for rows that are wanted before the first [`Desired::begin`].
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The changes, in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        let changes = self.changes.iter();
        changes.map(|written| written.change(&self.labels))
    }

    /// The step as JSON: an object with its `title`, and its `changes` as an array of objects with the
    /// members `action` (`insert`, `update`, `delete`), `table`, `uuid`, `row` (its name) and
    /// `columns`, an array of objects with `column` and those of `old`, `new`, `added` and `removed`
    /// that apply.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::from(r#"{"title":"#);
        write_string(&mut out, &self.title);
        out.push_str(r#","changes":["#);
        for (at, change) in self.changes().enumerate() {
            if at > 0 {
                out.push(',');
            }
            change.write_json(&mut out);
        }
        out.push_str("]}");
        out
    }

    /// Writes the changes into a transaction.
    pub fn write(&self, txn: &mut Transaction<D>) {
        for written in &self.changes {
            written.write.write(txn, false);
        }
    }

    /// Commits the step in one transaction, with the guards of [`Plan::commit`].
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn commit(self, client: &Client<D>) -> Result<Outcome, CommitError> {
        let mut txn = client.transaction();
        self.write(&mut txn);
        txn.commit().await
    }
}

impl<D> fmt::Debug for Plan<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.steps).finish()
    }
}

impl<D> fmt::Debug for Step<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = self.changes.iter();
        let changes: Vec<_> = changes
            .map(|written| written.change(&self.labels))
            .collect();
        let mut shown = f.debug_struct("Step");
        shown.field("title", &self.title).field("changes", &changes);
        shown.finish_non_exhaustive()
    }
}

impl<D> fmt::Display for Plan<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

impl<D> fmt::Display for Step<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.title.is_empty() {
            writeln!(f, "{}:", self.title)?;
        }
        for written in &self.changes {
            writeln!(f, "{}", written.change(&self.labels))?;
        }
        Ok(())
    }
}
