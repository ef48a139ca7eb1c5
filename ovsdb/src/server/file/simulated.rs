//! A database file in memory, for the crate `simulation`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::{write_pieces, write_record};
use super::{FileErrorReason, Replayed, replay};
use crate::protocol::OvsdbError;
use crate::server::engine::Database;
use crate::server::hosted::{FullRecord, Journal, Position};

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    is_full: bool,
}

/// A file in memory. Clones refer to the same file.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct MemoryFile {
    contents: Arc<Mutex<Contents>>,
}

impl MemoryFile {
    /// A file with an empty database with this schema.
    #[must_use]
    pub fn new(schema: &str) -> Self {
        let file = Self::default();
        // A record is one line of JSON, so remove line breaks.
        write_record(&mut file.contents().bytes, &schema.replace('\n', " "));
        file
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes all writes fail, or succeed again.
    pub fn set_full(&self, is_full: bool) {
        self.contents().is_full = is_full;
    }

    /// Opens the file as after a crash in which this many bytes of a record were written.
    pub(in crate::server) fn open(
        &self,
        torn: usize,
        seed: u64,
    ) -> Result<Database, FileErrorReason> {
        let mut contents = self.contents();
        let mut record = Vec::new();
        write_record(&mut record, r#"{"_comment":"not written to its end"}"#);
        record.truncate(torn.min(record.len() - 1));
        contents.bytes.extend(record);
        let Replayed {
            database, length, ..
        } = replay(&contents.bytes, &"memory", seed)?;
        contents.bytes.truncate(length);
        Ok(database)
    }

    fn write(&self, bytes: &[u8]) -> Result<Position, OvsdbError> {
        let mut contents = self.contents();
        if contents.is_full {
            return Err(OvsdbError::new("I/O error"));
        }
        contents.bytes.extend_from_slice(bytes);
        Ok(Position(contents.bytes.len() as u64))
    }
}

impl Journal for MemoryFile {
    fn append(&mut self, record: &str) -> Result<Position, OvsdbError> {
        let mut bytes = Vec::new();
        write_record(&mut bytes, record);
        self.write(&bytes)
    }

    fn replace(&mut self, schema: &str, record: &FullRecord<'_>) -> Result<Position, OvsdbError> {
        let mut bytes = Vec::new();
        write_record(&mut bytes, schema);
        let _ = write_pieces(&mut bytes, record);
        let mut contents = self.contents();
        if contents.is_full {
            return Err(OvsdbError::new("I/O error"));
        }
        contents.bytes = bytes;
        Ok(Position(contents.bytes.len() as u64))
    }
}
