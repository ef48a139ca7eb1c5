//! The last transactions of a database, from which monitors can be resumed (ovsdb-server(7),
//! "Monitor_cond_since").

use std::collections::VecDeque;
use std::sync::Arc;

use super::engine::Commit;
use super::monitor::Pending;
use crate::value::Uuid;

/// The fewest transactions that are kept.
const TRANSACTIONS: usize = 100;
/// The most rows that are kept in addition.
const ROWS: usize = 10_000;

/// The last transactions.
#[derive(Debug)]
pub(super) struct History {
    /// The id of the transaction before the first one that is kept.
    before: Uuid,
    commits: VecDeque<Arc<Commit>>,
    rows: usize,
}

impl History {
    /// The history of a database with this last transaction.
    pub(super) const fn new(last: Uuid) -> Self {
        Self {
            before: last,
            commits: VecDeque::new(),
            rows: 0,
        }
    }

    /// Adds a transaction.
    pub(super) fn add(&mut self, commit: Arc<Commit>) {
        self.rows += commit.row_count();
        self.commits.push_back(commit);
        while self.rows > ROWS && self.commits.len() > TRANSACTIONS {
            if let Some(first) = self.commits.pop_front() {
                self.rows -= first.row_count();
                self.before = first.id;
            }
        }
    }

    /// The transactions that are kept, the oldest first.
    pub(super) fn commits(&self) -> impl Iterator<Item = &Arc<Commit>> {
        self.commits.iter()
    }

    /// The last transaction, if it is kept.
    pub(super) fn last(&self) -> Option<Arc<Commit>> {
        self.commits.back().cloned()
    }

    /// The changes since this transaction; `None` when it is not kept.
    pub(super) fn since(&self, transaction: Uuid) -> Option<Pending> {
        let skipped = if transaction == self.before {
            0
        } else {
            let at = self
                .commits
                .iter()
                .position(|commit| commit.id == transaction)?;
            at + 1 + usize::from(planted!(ResumeSkipsOne))
        };
        let mut pending = Pending::default();
        for commit in self.commits.iter().skip(skipped) {
            pending.add(commit);
        }
        Some(pending)
    }
}
