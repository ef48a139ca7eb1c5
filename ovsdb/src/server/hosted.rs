//! A database with everything that is needed to serve it.

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

/// Where a database stores its transactions.
///
/// A record is one JSON object, as in the files of ovsdb-server.
pub(crate) trait Journal: Send + std::fmt::Debug {
    /// Appends a record. It need not be on disk yet.
    ///
    /// # Errors
    /// When the record cannot be written: what was written of it is removed, and if that fails too, the
    /// journal appends nothing any more. When the journal was closed, or appends nothing after an earlier
    /// failure.
    fn append(&mut self, record: &str) -> Result<Position, OvsdbError>;

    /// Replaces all records by a schema and one record.
    ///
    /// # Errors
    /// When that cannot be written: the journal is unchanged. When the journal was closed, or appends
    /// nothing after an earlier failure. It is no error when only the folder cannot be synced after the
    /// replacement: the new records are in use, but the journal appends nothing any more.
    fn replace(&mut self, schema: &str, record: &FullRecord<'_>) -> Result<Position, OvsdbError>;
}

/// A position in a journal, which grows with each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(pub(crate) u64);

/// A transaction that waits for a change of the database, or of the cluster.
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

    /// When the transaction is tried again even if nothing has changed: then the time limit of the `wait`
    /// operation that is not met has passed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.checked_add(self.timeout?)
    }
}

/// A transaction that a relay forwards to its source.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(super) session: SessionId,
    pub(super) id: Box<str>,
    /// The request's parameters, as JSON.
    pub(crate) params: Box<str>,
}

/// A reply that waits until its transaction is on disk.
#[derive(Debug)]
pub(super) struct Unsynced {
    pub(super) position: Position,
    pub(super) session: SessionId,
    pub(super) id: Box<str>,
    pub(super) results: String,
}

/// A database with everything that is needed to serve it.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) database: Database,
    pub(super) history: History,
    pub(super) waiting: Vec<Waiting>,
    pub(super) unsynced: Vec<Unsynced>,
    /// For a relay: the transactions for its source.
    pub(super) forwards: Option<VecDeque<Forward>>,
    /// For a member of a cluster: its position in the cluster's log.
    pub(super) membership: Option<Membership>,
    journal: Option<Box<dyn Journal>>,
    selections: Vec<Weak<Selection>>,
    /// The uuid of the database's row in `_Server`.
    pub(super) status: Uuid,
    /// The injected faults of the next transactions.
    pub(super) faults: VecDeque<TransactionFault>,
    /// How many faults in force report that the server does not lead the cluster of the database.
    pub(super) leadership_faults: u32,
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
            leadership_faults: 0,
        }
    }

    /// A shared copy of this selection.
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

    /// Appends a transaction to the journal. `date` is the time of day, in milliseconds since 1970.
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

    /// For a member of a cluster: the access to the cluster's log, to append commits.
    pub(super) fn seat(&self) -> Option<Seat> {
        self.membership
            .as_ref()
            .map(|membership| membership.seat().clone())
    }

    /// Forgets the history and the shared selections of the database that was replaced.
    pub(super) fn restart(&mut self) {
        self.history = History::new(self.database.last_transaction());
        self.selections.clear();
    }

    /// Replaces the database by its converted version.
    pub(super) fn replace(&mut self, database: Database, date: i64) -> Result<(), OvsdbError> {
        if let Some(journal) = &mut self.journal {
            if let Some((table, column)) = database.schema().lost_reference() {
                return Err(violation(format_args!(
                    "Table {} column {} is ephemeral and must refer to a row, which a file cannot keep.",
                    table.name, column.name
                )));
            }
            let comment = "converted by ovsdb-server";
            let record = FullRecord {
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

/// The approximate length of a changed row's text.
const ROW: usize = 160;

/// The approximate length of a record's pieces.
const PIECE: usize = 64 * 1024;

/// The record of a whole database. Its text may be longer than all rows in memory, so it is generated
/// and written in pieces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FullRecord<'a> {
    pub(crate) state: &'a State,
    pub(crate) comment: Option<&'a str>,
    /// The time of day, in milliseconds since 1970.
    pub(crate) date: i64,
}

impl FullRecord<'_> {
    /// Passes the text to `each`, piece by piece. When called again, it generates the same text again.
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

/// Appends the members `_comment` and `_date` of a record, and closes it.
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
