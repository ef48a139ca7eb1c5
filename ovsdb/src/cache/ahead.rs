//! Reading ahead: rows that an update changes, looked up together.
//!
//! Rows that change are all over the memory, and hardly any is in the processor's caches. Looked up
//! one after the other, each has the processor wait for its nodes, its columns and the counts of
//! what it shares. Many at once wait together.

use super::hash::hash_uuid;
use super::table_state::TableState;
use crate::value::json::Reader;
use crate::value::parse_uuid;

/// How many rows are looked up together: what they have should stay in the caches until they are
/// changed.
pub(super) const GROUP: usize = 64;

/// How far an update's reader may go before it looks ahead again.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    left: usize,
    hashes: Vec<u32>,
}

impl Ahead {
    /// Called before each row of an update. Reads the uuids that follow in the message, and
    /// reads what copying the rows changes, and the elements of these columns, which are those of
    /// the last change. What is wrong with the message is left to whoever reads it.
    pub(super) fn next(&mut self, reader: &mut Reader<'_>, state: &TableState, columns: &[usize]) {
        if self.left > 0 {
            self.left -= 1;
            return;
        }
        let start = reader.checkpoint();
        self.hashes.clear();
        while self.hashes.len() < GROUP
            && let Ok(Some(key)) = reader.key()
            && let Ok(uuid) = parse_uuid(&key, 0)
            && reader.skip().is_ok()
        {
            self.hashes.push(hash_uuid(uuid));
        }
        reader.restore(start);
        self.left = self.hashes.len().saturating_sub(1);
        // One alone has nothing to wait with.
        if self.left > 0 {
            state.read_ahead(&self.hashes, columns);
        }
    }
}
