//! A journal in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::write_record;
use crate::protocol::OvsdbError;
use crate::server::hosted::{Journal, Position};

/// A file smaller than this is not worth compacting.
const SMALL: u64 = 10 * 1024 * 1024;
/// Nor is one with fewer records.
const FEW: u64 = 100;

/// What is known of the file.
#[derive(Debug)]
struct State {
    path: PathBuf,
    file: File,
    /// The file's length.
    length: u64,
    /// Its length when it was opened or compacted.
    base: u64,
    /// The records since then.
    records: u64,
    /// The records that were ever appended.
    position: Position,
    /// What was appended since a compaction began.
    since: Option<Vec<u8>>,
    /// The first error of a sync: what is on disk is not known any more.
    broken: Option<String>,
}

/// A journal in a file. Clones are of the same file.
#[derive(Debug, Clone)]
pub(crate) struct FileJournal {
    state: Arc<Mutex<State>>,
}

impl FileJournal {
    /// A journal that goes on at the end of this file.
    pub(super) fn new(path: &Path, file: File, length: u64, records: u64) -> Self {
        let state = State {
            path: path.to_owned(),
            file,
            length,
            base: length,
            records,
            position: Position::default(),
            since: None,
            broken: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has everything that was appended until now written to the disk, and returns how far that is.
    ///
    /// # Errors
    /// When it cannot be. From then on nothing can be appended.
    pub(crate) fn sync(&self) -> io::Result<Position> {
        let (file, position) = {
            let state = self.state();
            (state.file.try_clone()?, state.position)
        };
        match file.sync_data() {
            Ok(()) => Ok(position),
            Err(error) => {
                self.state().broken.get_or_insert_with(|| error.to_string());
                Err(error)
            }
        }
    }

    /// Whether the file has grown so much that it should be compacted (ovsdb-server(1),
    /// "Compaction": above 10 MB, twice as large as after the last time, 100 records).
    pub(crate) fn has_grown(&self) -> bool {
        let state = self.state();
        state.since.is_none()
            && state.length > SMALL
            && state.length / 2 > state.base
            && state.records >= FEW
    }

    /// Begins a compaction: from here on, what is appended is remembered for the new file. False
    /// when one is going on.
    pub(crate) fn begin_compaction(&self) -> bool {
        let mut state = self.state();
        let begins = state.since.is_none();
        state.since.get_or_insert_with(Vec::new);
        begins
    }

    /// Ends a compaction: puts a file with the schema, the database as it was when the compaction
    /// began, and what was appended since, in the place of the old one.
    ///
    /// # Errors
    /// When the new file cannot be written. Then the old one goes on.
    pub(crate) fn finish_compaction(&self, schema: &str, record: &str) -> io::Result<()> {
        let mut contents = Vec::with_capacity(schema.len() + record.len() + 256);
        write_record(&mut contents, schema);
        write_record(&mut contents, record);
        let path = self.state().path.clone();
        let new = beside(&path, "compact");
        let written = write_new(&new, &contents);
        let mut state = self.state();
        // The database was replaced meanwhile: what was written is out of date.
        let Some(since) = state.since.take() else {
            return fs::remove_file(new);
        };
        let mut file = written?;
        file.write_all(&since)?;
        file.sync_data()?;
        let base = contents.len() as u64;
        state.take_file(&new, file, base, base + since.len() as u64)
    }
}

impl State {
    /// Goes on with a new file, which takes the place of this one.
    fn take_file(&mut self, new: &Path, file: File, base: u64, length: u64) -> io::Result<()> {
        fs::rename(new, &self.path)?;
        if let Some(folder) = self.path.parent() {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            File::open(folder)?.sync_all()?;
        }
        (self.file, self.base, self.length, self.records) = (file, base, length, 0);
        Ok(())
    }
}

/// Where a new file is written, for this purpose, before it takes the place of `path`.
fn beside(path: &Path, purpose: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{purpose}.tmp"));
    name.into()
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)?;
    file.write_all(contents)?;
    file.sync_data()?;
    Ok(file)
}

/// The error of a transaction that could not be written.
fn failed(path: &Path, error: &impl ToString) -> OvsdbError {
    OvsdbError {
        details: Some(format!("{}: {}", path.display(), error.to_string()).into()),
        ..OvsdbError::new("I/O error")
    }
}

impl Journal for FileJournal {
    fn append(&mut self, record: &str) -> Result<Position, OvsdbError> {
        let state = &mut *self.state();
        if let Some(error) = &state.broken {
            return Err(failed(&state.path, error));
        }
        let mut bytes = Vec::with_capacity(record.len() + 96);
        write_record(&mut bytes, record);
        if let Err(error) = state.file.write_all(&bytes) {
            // Nothing of it may stay: the next record would follow half of this one.
            let length = state.length;
            let undone = state
                .file
                .set_len(length)
                .and_then(|()| state.file.seek(SeekFrom::Start(length)));
            if let Err(error) = undone {
                state.broken = Some(error.to_string());
            }
            return Err(failed(&state.path, &error));
        }
        if let Some(since) = &mut state.since {
            since.extend_from_slice(&bytes);
        }
        state.length += bytes.len() as u64;
        state.records += 1;
        state.position.0 += 1;
        Ok(state.position)
    }

    fn replace(&mut self, schema: &str, record: &str) -> Result<Position, OvsdbError> {
        let mut contents = Vec::with_capacity(schema.len() + record.len() + 256);
        write_record(&mut contents, schema);
        write_record(&mut contents, record);
        let state = &mut *self.state();
        let length = contents.len() as u64;
        let new = beside(&state.path, "convert");
        let replaced =
            write_new(&new, &contents).and_then(|file| state.take_file(&new, file, length, length));
        replaced.map_err(|error| failed(&state.path, &error))?;
        // What a compaction that is going on would write is out of date.
        state.since = None;
        state.position.0 += 1;
        Ok(state.position)
    }
}
