//! Changes that a session was not sent yet. They are merged row by row, so that a client which does not
//! read costs no more memory than the rows that changed.

use std::collections::BTreeMap;

use crate::server::engine::{Commit, RowChange, TableId};
use crate::value::Uuid;

/// Merged changes. A row that was inserted and then deleted is left out.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    rows: BTreeMap<(TableId, Uuid), RowChange>,
}

impl Pending {
    /// Whether no row has changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows changed.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds what a transaction changed.
    pub(crate) fn add(&mut self, commit: &Commit) {
        for (table, rows) in &commit.tables {
            for change in rows {
                let key = (*table, change.uuid());
                match self.rows.get_mut(&key) {
                    None => drop(self.rows.insert(key, change.clone())),
                    Some(known) => {
                        known.new = change.new.clone();
                        if known.old.is_none() && known.new.is_none() {
                            self.rows.remove(&key);
                        }
                    }
                }
            }
        }
    }

    /// The changes, table by table.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (TableId, &RowChange)> {
        self.rows
            .iter()
            .map(|((table, _), change)| (*table, change))
    }
}
