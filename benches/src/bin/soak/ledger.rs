//! What a writer knows about the outcome of its transactions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How often an inserted row must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The transaction was committed.
    Once,
    /// It is certain that nothing has changed.
    Never,
    /// The outcome is unknown.
    AtMostOnce,
}

/// The values written to a port: the one that was committed last, and those of unknown outcome.
#[derive(Debug, Default)]
pub(crate) struct PortValues {
    pub(crate) committed: Option<u64>,
    pub(crate) unknown: Vec<u64>,
}

/// The records of what was written.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) committed: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    /// Rows that were inserted and not checked yet, by name.
    pub(crate) rows: VecDeque<(String, Expected)>,
    /// Rows that were not as expected when they were checked. They are checked again at the end, since the
    /// first answer may have come from a server that lags.
    pub(crate) suspects: Vec<(String, Expected)>,
    /// Names of rows whose outcome is unknown: they may appear later.
    pub(crate) late: BTreeSet<String>,
    /// How many rows were checked. Rows in `suspects` count only after the last check.
    pub(crate) checked: u64,
    pub(crate) ports: BTreeMap<usize, PortValues>,
    /// Increments of the shared counter that were committed, and of unknown outcome.
    pub(crate) increments: i64,
    pub(crate) unknown_increments: i64,
}

impl Ledger {
    /// Adds the records of another writer.
    pub(crate) fn add(&mut self, other: Self) {
        self.committed += other.committed;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.rows.extend(other.rows);
        self.suspects.extend(other.suspects);
        self.late.extend(other.late);
        self.checked += other.checked;
        self.ports.extend(other.ports);
        self.increments += other.increments;
        self.unknown_increments += other.unknown_increments;
    }
}

/// The errors found in what was written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Rows and increments that exist more often than they were committed.
    pub(crate) duplicates: u64,
    /// Committed rows, values of ports and increments that do not exist.
    pub(crate) lost: u64,
    /// Rows that exist although the client reported that nothing had changed.
    pub(crate) refused_but_present: u64,
}

impl Wrong {
    /// Counts the errors of a row that was found this many times.
    pub(crate) fn note(&mut self, found: usize, expected: Expected) {
        match (found, expected) {
            (0, Expected::Once) => self.lost += 1,
            (found @ 2.., _) => self.duplicates += found as u64 - 1,
            (1, Expected::Never) => self.refused_but_present += 1,
            _ => {}
        }
    }

    pub(crate) const fn nothing(&self) -> bool {
        self.duplicates == 0 && self.lost == 0 && self.refused_but_present == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_not_as_expected_are_counted() {
        let mut wrong = Wrong::default();
        wrong.note(1, Expected::Once);
        wrong.note(0, Expected::Never);
        wrong.note(0, Expected::AtMostOnce);
        wrong.note(1, Expected::AtMostOnce);
        assert!(wrong.nothing());
        wrong.note(0, Expected::Once);
        wrong.note(3, Expected::Once);
        wrong.note(2, Expected::AtMostOnce);
        wrong.note(1, Expected::Never);
        let expected = Wrong {
            duplicates: 3,
            lost: 1,
            refused_but_present: 1,
        };
        assert_eq!(wrong, expected);
    }
}
