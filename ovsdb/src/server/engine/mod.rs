//! The database engine: schema, rows, transactions. It does no I/O and reads no clock.
//!
//! A [`Database`] executes the operations of a `transact` request, given as JSON, and returns the JSON of
//! their results. The changes of a transaction are a [`Commit`], which monitors, the history and the
//! storage use.

mod cell;
mod commit;
mod condition;
mod convert;
pub(crate) mod error;
pub(crate) mod id;
mod mutation;
pub(crate) mod parse;
pub(crate) mod record;
mod references;
mod repeats;
mod row;
mod schema;
mod schema_text;
mod storage;
#[cfg(test)]
mod tests;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::cell::Cell;
pub(crate) use self::condition::{Disjunction, read_clauses};
use self::repeats::Repeats;
pub(crate) use self::row::Row;
pub(crate) use self::schema::{ColumnId, Schema, TableDef, TableId};
use self::storage::Replacement;
pub(crate) use self::storage::{RowChange, State};
pub(crate) use self::transaction::Caller;
use self::transaction::{Stop, Transaction};
use crate::protocol::{OvsdbError, Wire};
use crate::value::Uuid;
use crate::value::json::Raw;

/// The changes of a transaction.
#[derive(Debug)]
pub(crate) struct Commit {
    /// The transaction's id.
    pub(crate) id: Uuid,
    /// The rows that changed, table by table.
    pub(crate) tables: Vec<(TableId, Vec<RowChange>)>,
    /// The texts of its `comment` operations, one a line.
    pub(crate) comment: Option<String>,
}

impl Commit {
    /// How many rows changed.
    pub(crate) fn row_count(&self) -> usize {
        self.tables.iter().map(|(_, rows)| rows.len()).sum()
    }
}

/// The result of executing the operations of a transaction.
#[derive(Debug)]
pub(crate) enum Executed {
    /// The condition of a `wait` is not met yet. The transaction must be tried again when the database
    /// changes, and when this time has passed since its first try.
    Waits { timeout: Option<Duration> },
    /// It failed. The results are an array with one element for each operation, and one more if the
    /// checks at the commit failed.
    Failed { results: String },
    /// It can be committed.
    Ready(Proposal),
}

/// A transaction that can be committed to the database that it was executed on.
#[derive(Debug)]
pub(crate) struct Proposal {
    /// The results, an array without its closing bracket.
    results: String,
    /// The changes, if there are any.
    commit: Option<Arc<Commit>>,
    replacements: Vec<Replacement>,
    /// Whether the reply must wait until the commit is on disk.
    pub(crate) durable: bool,
    /// Whether it has an operation other than `select`, `wait`, `abort`, `comment` and `assert`, even if
    /// that changed nothing.
    pub(crate) writes: bool,
}

impl Proposal {
    /// The changes, if there are any.
    pub(crate) const fn commit(&self) -> Option<&Arc<Commit>> {
        self.commit.as_ref()
    }

    /// The results with this error, when the transaction is not committed.
    pub(crate) fn refuse(mut self, error: &OvsdbError) -> String {
        append(&mut self.results, error);
        self.results.push(']');
        self.results
    }
}

/// Appends an error to results that lack their closing bracket.
fn append(results: &mut String, error: &OvsdbError) {
    if results.len() > 1 {
        results.push(',');
    }
    error.write(results);
}

/// A database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    state: State,
    random: fastrand::Rng,
    repeats: Repeats,
    last: Uuid,
}

impl Database {
    /// An empty database with this schema. `seed` determines the uuids that it chooses.
    pub(crate) fn new(schema: Arc<Schema>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            state: State::new(schema),
            last: parse::random_uuid(&mut random),
            random,
            repeats: Repeats::default(),
        }
    }

    /// A copy with the same rows, which chooses other uuids from now on. It shares every row.
    pub(crate) fn fork(&self, seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            ..self.clone()
        }
    }

    /// Replaces the schema and the rows by those of another member of the cluster, or of a backup. No row
    /// is copied.
    pub(crate) fn follow(&mut self, state: State, last: Uuid) {
        self.state = state;
        self.last = last;
    }

    /// The schema.
    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.state.schema
    }

    /// The rows.
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// The id of the last transaction.
    pub(crate) const fn last_transaction(&self) -> Uuid {
        self.last
    }

    /// Executes a transaction without committing it. `operations` are the parameters of a `transact`
    /// request after the database's name. `elapsed` is the time since the first try.
    pub(crate) fn execute(
        &mut self,
        operations: &[Raw<'_>],
        caller: &dyn Caller,
        elapsed: Duration,
    ) -> Executed {
        // Most results are short: counts.
        let mut results = String::with_capacity(16 * operations.len() + 2);
        results.push('[');
        let chosen = (&mut self.random, &mut self.repeats);
        let mut transaction = Transaction::new(&self.state, chosen, caller, elapsed);
        match transaction.run(operations, &mut results) {
            Ok(()) => {}
            Err(Stop::Waits) => {
                let timeout = transaction.timeout;
                return Executed::Waits { timeout };
            }
            Err(Stop::Failed(_)) => {
                results.push(']');
                return Executed::Failed { results };
            }
        }
        let (durable, writes) = (transaction.durable, transaction.writes);
        let comments = std::mem::take(&mut transaction.comments);
        match transaction.finish() {
            Ok(replacements) => {
                let mut proposal = self.propose(results, replacements, comments);
                (proposal.durable, proposal.writes) = (durable, writes);
                Executed::Ready(proposal)
            }
            Err(error) => {
                append(&mut results, &error);
                results.push(']');
                Executed::Failed { results }
            }
        }
    }

    fn propose(
        &mut self,
        results: String,
        replacements: Vec<Replacement>,
        comments: Vec<String>,
    ) -> Proposal {
        let mut tables: Vec<(TableId, Vec<RowChange>)> = Vec::new();
        for replacements in replacements.chunk_by(|a, b| a.table == b.table) {
            let mut rows = Vec::with_capacity(replacements.len());
            // A row of which only the number of references changed is unchanged for clients.
            let changes = replacements.iter().map(|replacement| &replacement.change);
            rows.extend(changes.filter(|change| commit::is_changed(change)).cloned());
            if !rows.is_empty() {
                tables.push((replacements[0].table, rows));
            }
        }
        let commit = (!tables.is_empty()).then(|| {
            Arc::new(Commit {
                id: parse::random_uuid(&mut self.random),
                tables,
                comment: (!comments.is_empty()).then(|| comments.join("\n")),
            })
        });
        Proposal {
            results,
            commit,
            replacements,
            durable: false,
            writes: true,
        }
    }

    /// Commits a transaction. Returns its results. No other transaction may have been committed since
    /// it was executed.
    pub(crate) fn commit(&mut self, mut proposal: Proposal) -> String {
        self.state.store(&proposal.replacements);
        if let Some(commit) = &proposal.commit {
            self.last = commit.id;
        }
        proposal.results.push(']');
        proposal.results
    }
}
