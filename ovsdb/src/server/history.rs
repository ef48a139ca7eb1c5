//! The last transactions of a database, from which monitors can be resumed (ovsdb-server(7),
//! "Monitor_cond_since").

use std::collections::VecDeque;
use std::sync::Arc;

use super::engine::Commit;
use super::monitor::Pending;
use crate::value::Uuid;

/// At least this many of the last transactions are kept.
const TRANSACTIONS: usize = 100;
/// More are kept as long as all of them together changed at most this many rows.
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

    /// The changes since this transaction; `None` when the history does not reach back to it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::engine::RowChange;

    /// A transaction that changed this many rows.
    fn commit(number: u128, rows: usize) -> Arc<Commit> {
        let change = RowChange {
            old: None,
            new: None,
        };
        Arc::new(Commit {
            id: Uuid::from_u128(number),
            tables: vec![(0, vec![change; rows])],
            comment: None,
        })
    }

    #[test]
    fn transactions_are_kept_while_they_are_few_or_their_rows_are() {
        let mut history = History::new(Uuid::nil());
        let kept = |history: &History| history.commits().count();
        for number in 1..=TRANSACTIONS as u128 {
            history.add(commit(number, ROWS));
        }
        assert_eq!(kept(&history), TRANSACTIONS, "however many rows they have");
        history.add(commit(1000, 0));
        assert_eq!(kept(&history), TRANSACTIONS);
        assert_eq!(history.before, Uuid::from_u128(1));

        let mut history = History::new(Uuid::nil());
        for number in 1..=ROWS as u128 {
            history.add(commit(number, 1));
        }
        assert_eq!((kept(&history), history.before), (ROWS, Uuid::nil()));
        history.add(commit(20_000, 10));
        assert_eq!(kept(&history), ROWS - 9);
        assert_eq!(history.before, Uuid::from_u128(10));
        let last = history.last().expect("the last one");
        assert_eq!(last.id, Uuid::from_u128(20_000));
        assert!(history.since(Uuid::from_u128(9)).is_none());
        let none = history.since(Uuid::from_u128(20_000)).expect("it is kept");
        assert_eq!(none.len(), 0);
    }
}
