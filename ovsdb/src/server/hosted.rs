//! A database that a server serves.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::SessionId;
use super::consensus::{Membership, Seat};
use super::engine::error::violation;
use super::engine::{Database, Proposal, State, record};
use super::fault::TransactionFault;
use super::history::History;
use super::monitor::Selection;
use crate::protocol::OvsdbError;
use crate::value::Uuid;
use crate::value::json::Raw;

/// Where a database keeps its transactions.
///
/// A record is one JSON object, as the files of ovsdb-server have it.
pub(crate) trait Journal: Send + std::fmt::Debug {
    /// Appends a record. It need not be on disk yet.
    ///
    /// # Errors
    /// When it cannot be written; then nothing of it may be there.
    fn append(&mut self, record: &str) -> Result<Position, OvsdbError>;

    /// Replaces everything by a schema and one record.
    ///
    /// # Errors
    /// When it cannot be written; then everything is as it was.
    fn replace(&mut self, schema: &str, record: &Whole<'_>) -> Result<Position, OvsdbError>;
}

/// How far a journal was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(pub(crate) u64);

/// A transaction that waits for the database to change.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) session: SessionId,
    /// The request's id, as JSON.
    pub(super) id: Box<str>,
    /// The request's parameters, as JSON.
    pub(super) params: Box<str>,
    pub(super) since: Instant,
    pub(super) timeout: Option<Duration>,
}

impl Waiting {
    /// Keeps the parameters, to try the transaction again.
    pub(super) fn with(mut self, params: Raw<'_>) -> Self {
        if self.params.is_empty() {
            self.params = params.text.into();
        }
        self
    }

    /// When it fails if nothing changes before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.checked_add(self.timeout?)
    }
}

/// A transaction that a relay passes on to its source.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(super) session: SessionId,
    pub(super) id: Box<str>,
    /// The request's parameters, as JSON.
    pub(crate) params: Box<str>,
}

/// A reply that waits until the disk has the transaction.
#[derive(Debug)]
pub(super) struct Unsynced {
    pub(super) position: Position,
    pub(super) session: SessionId,
    pub(super) id: Box<str>,
    pub(super) results: String,
}

/// A database with what serves it.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) database: Database,
    pub(super) history: History,
    pub(super) waiting: Vec<Waiting>,
    pub(super) unsynced: Vec<Unsynced>,
    /// Of a relay: the transactions for its source.
    pub(super) forwards: Option<VecDeque<Forward>>,
    /// Of a member of a cluster: its place in the cluster.
    pub(super) membership: Option<Membership>,
    journal: Option<Box<dyn Journal>>,
    selections: Vec<Weak<Selection>>,
    /// The row of the database in `_Server`.
    pub(super) status: Uuid,
    /// What becomes of the next transactions.
    pub(super) faults: VecDeque<TransactionFault>,
}

impl Hosted {
    pub(super) fn new(database: Database, journal: Option<Box<dyn Journal>>) -> Self {
        Self {
            history: History::new(database.last_transaction()),
            database,
            journal,
            waiting: Vec::new(),
            unsynced: Vec::new(),
            forwards: None,
            membership: None,
            selections: Vec::new(),
            status: Uuid::nil(),
            faults: VecDeque::new(),
        }
    }

    /// The one shared copy of this selection.
    pub(super) fn share(&mut self, selection: Selection) -> Arc<Selection> {
        self.selections.retain(|known| known.strong_count() > 0);
        let mut known = self.selections.iter().filter_map(Weak::upgrade);
        if let Some(known) = known.find(|known| **known == selection) {
            return known;
        }
        let selection = Arc::new(selection);
        self.selections.push(Arc::downgrade(&selection));
        selection
    }

    /// Writes a transaction to the journal. `date` is the time of day, in milliseconds since 1970.
    pub(super) fn write(
        &mut self,
        proposal: &Proposal,
        date: i64,
    ) -> Result<Option<Position>, OvsdbError> {
        let (Some(journal), Some(commit)) = (&mut self.journal, proposal.commit()) else {
            return Ok(None);
        };
        let mut rows = commit.tables.iter().flat_map(|(_, rows)| rows);
        if planted!(ServerFileLosesRecord) && rows.all(|row| row.new.is_none()) {
            return Ok(None);
        }
        let mut text = String::with_capacity(ROW * commit.row_count() + 128);
        if !record::write_commit(&mut text, commit, self.database.schema()) {
            return Ok(None);
        }
        text.push(',');
        annotate(&mut text, commit.comment.as_deref(), date);
        journal.append(&text).map(Some)
    }

    /// Where commits are appended to the log of a cluster, for a member of one.
    pub(super) fn seat(&self) -> Option<Seat> {
        self.membership
            .as_ref()
            .map(|membership| membership.seat().clone())
    }

    /// Forgets what was kept of the database as it was before it was replaced.
    pub(super) fn restart(&mut self) {
        self.history = History::new(self.database.last_transaction());
        self.selections.clear();
    }

    /// Replaces the database by a converted one.
    pub(super) fn replace(&mut self, database: Database, date: i64) -> Result<(), OvsdbError> {
        if let Some(journal) = &mut self.journal {
            if let Some((table, column)) = database.schema().lost_reference() {
                return Err(violation(format_args!(
                    "Table {} column {} is ephemeral and must refer to a row, which a file cannot keep.",
                    table.name, column.name
                )));
            }
            let comment = "converted by ovsdb-server";
            let record = Whole {
                state: database.state(),
                comment: Some(comment),
                date,
            };
            journal.replace(&database.schema().text, &record)?;
        }
        self.database = database;
        self.restart();
        Ok(())
    }
}

/// How long the text of a changed row is, about.
const ROW: usize = 160;

/// How long the pieces of a record are, about.
const PIECE: usize = 64 * 1024;

/// The record of a whole database. Its text may be longer than all rows in memory, so nobody holds all
/// of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole<'a> {
    pub(crate) state: &'a State,
    pub(crate) comment: Option<&'a str>,
    /// The time of day, in milliseconds since 1970.
    pub(crate) date: i64,
}

impl Whole<'_> {
    /// Passes the text on, piece by piece. It is the same each time.
    ///
    /// # Errors
    /// That of `each`.
    pub(crate) fn pieces<E>(&self, mut each: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let mut text = String::new();
        let mut is_empty = true;
        record::write_state(&mut text, self.state, |text| {
            is_empty = false;
            if text.len() >= PIECE {
                each(text)?;
                text.clear();
            }
            Ok(())
        })?;
        if !is_empty {
            text.push(',');
        }
        annotate(&mut text, self.comment, self.date);
        each(&text)
    }
}

/// Appends what a record says of itself, and closes it.
fn annotate(text: &mut String, comment: Option<&str>, date: i64) {
    use crate::protocol::Wire;
    text.push_str("\"_date\":");
    date.write(text);
    if let Some(comment) = comment {
        text.push_str(",\"_comment\":");
        crate::value::json::write_string(text, comment);
    }
    text.push('}');
}
