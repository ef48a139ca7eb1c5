//! A journal in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::{write_pieces, write_record};
use crate::protocol::OvsdbError;
use crate::server::hosted::{FullRecord, Journal, Position};

/// Files up to this size, in bytes, are not compacted automatically.
const SMALL: u64 = 10 * 1024 * 1024;
/// Files with fewer records than this are not compacted automatically.
const FEW: u64 = 100;
/// How many times a compaction catches up with appended records before appending has to wait for it.
const ROUNDS: usize = 8;

/// What is appended while a compaction runs.
#[derive(Debug, Default)]
struct Backlog {
    /// The records that the new file lacks so far.
    bytes: Vec<u8>,
    /// Whether the compaction's result must be discarded, because the database was replaced or the
    /// journal was closed meanwhile.
    is_stale: bool,
}

/// The state of the file.
#[derive(Debug)]
struct FileState {
    path: PathBuf,
    /// Shared with a sync that runs.
    file: Arc<File>,
    /// The file's length.
    length: u64,
    /// The length from which growth is measured: the file's length when it was opened, compacted (without
    /// what was appended meanwhile) or replaced, or when a compaction was postponed.
    base: u64,
    /// The number of records after the schema; once the file was compacted or replaced, only of those
    /// appended since.
    records: u64,
    /// The number of records appended since the file was opened; a replacement counts as one.
    position: Position,
    /// Set while a compaction runs.
    compaction: Option<Backlog>,
    /// Why nothing can be appended any more: the contents of the disk are unknown, or the journal was
    /// closed.
    broken: Option<String>,
    /// Why records that were appended may not be on disk. A sync after a failed one may succeed although
    /// they are lost, so no sync is tried any more.
    lost: Option<String>,
    /// Makes sure that the folder's entries are on disk; tests replace it.
    sync_folder: fn(&Path) -> io::Result<()>,
}

/// A journal in a file. Clones refer to the same file.
#[derive(Debug, Clone)]
pub(crate) struct FileJournal {
    state: Arc<Mutex<FileState>>,
}

impl FileJournal {
    /// A journal that continues at the end of this file.
    pub(super) fn new(path: &Path, file: File, length: u64, records: u64) -> Self {
        let state = FileState {
            path: path.to_owned(),
            file: Arc::new(file),
            length,
            base: length,
            records,
            position: Position::default(),
            compaction: None,
            broken: None,
            lost: None,
            sync_folder: |folder| File::open(folder)?.sync_all(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, FileState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that all records appended so far are on disk. Returns their position.
    ///
    /// # Errors
    /// When the sync fails, or an earlier one has failed. After that, nothing can be appended any more.
    pub(crate) fn sync(&self) -> io::Result<Position> {
        let (file, position) = {
            let state = self.state();
            if let Some(error) = &state.lost {
                return Err(io::Error::other(error.clone()));
            }
            (state.file.clone(), state.position)
        };
        match file.sync_data() {
            Ok(()) => Ok(position),
            Err(error) => {
                self.state().lose(&error);
                Err(error)
            }
        }
    }

    /// Stops appending and replacing for good, so that another server may open the file.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        let ended = || "the server has ended".to_owned();
        state.broken.get_or_insert_with(ended);
        if let Some(backlog) = &mut state.compaction {
            backlog.is_stale = true;
        }
    }

    /// Whether the file has grown enough to be compacted: it is above 10 MiB, more than twice as large as
    /// `base`, and has at least 100 records (like ovsdb-server(1), `ovsdb-server/compact`). False while a
    /// compaction runs, and when nothing can be appended any more.
    pub(crate) fn has_grown(&self) -> bool {
        let state = self.state();
        state.compaction.is_none()
            && state.broken.is_none()
            && state.length > SMALL
            && state.length / 2 > state.base
            && state.records >= FEW
    }

    /// Lets the file double in size once more before [`has_grown`](Self::has_grown) returns true.
    pub(crate) fn postpone_compaction(&self) {
        let mut state = self.state();
        state.base = state.length;
    }

    /// Begins a compaction: from now on, appended records are remembered for the new file. Returns
    /// `None` while another compaction runs.
    ///
    /// # Errors
    /// When nothing can be appended any more. In particular, another server may have opened the file once the
    /// journal was closed.
    pub(crate) fn begin_compaction(&self) -> io::Result<Option<Compaction>> {
        let mut state = self.state();
        if let Some(broken) = &state.broken {
            return Err(io::Error::other(broken.clone()));
        }
        if state.compaction.is_some() {
            return Ok(None);
        }
        state.compaction = Some(Backlog::default());
        Ok(Some(Compaction {
            new: beside(&state.path, "compact"),
            journal: self.clone(),
        }))
    }
}

/// A running compaction. Dropping it abandons it.
#[derive(Debug)]
#[must_use = "a compaction is not finished until `finish` is called"]
pub(crate) struct Compaction {
    journal: FileJournal,
    new: PathBuf,
}

impl Drop for Compaction {
    fn drop(&mut self) {
        let mut state = self.journal.state();
        // After success the file was renamed. After a failure, remove the incomplete file.
        let _ = fs::remove_file(&self.new);
        state.compaction = None;
    }
}

impl Compaction {
    /// Writes a new file with the schema, the database as it was when the compaction began, and the
    /// records appended since. Then replaces the old file with it, unless the database was replaced or
    /// the journal was closed meanwhile.
    ///
    /// # Errors
    /// When the new file cannot be written: the old one stays in use. When the folder cannot be synced
    /// after the replacement: the new file is in use, but nothing can be appended any more.
    pub(crate) fn finish(self, schema: &str, record: &FullRecord<'_>) -> io::Result<()> {
        let old = self.journal.state().file.clone();
        let (mut file, base) = write_new(&self.new, schema, record, &old)?;
        for _ in 0..ROUNDS {
            let more = match &mut self.journal.state().compaction {
                Some(backlog) if !backlog.is_stale => std::mem::take(&mut backlog.bytes),
                _ => return Ok(()),
            };
            if more.is_empty() {
                break;
            }
            file.write_all(&more)?;
            file.sync_data()?;
        }
        let mut state = self.journal.state();
        let last = match &mut state.compaction {
            Some(backlog) if !backlog.is_stale => std::mem::take(&mut backlog.bytes),
            _ => return Ok(()),
        };
        file.write_all(&last)?;
        file.sync_data()?;
        let length = file.stream_position()?;
        state.take_file(&self.new, file, base, length)?;
        state.sync_folder()
    }
}

impl FileState {
    /// Continues with a new file, which replaces the current one.
    fn take_file(&mut self, new: &Path, file: File, base: u64, length: u64) -> io::Result<()> {
        fs::rename(new, &self.path)?;
        self.file = Arc::new(file);
        (self.base, self.length, self.records) = (base, length, 0);
        Ok(())
    }

    /// Makes sure that the file is the new one after a crash too. Otherwise a crash may bring back the old
    /// file without the records that follow.
    fn sync_folder(&mut self) -> io::Result<()> {
        let synced = (self.sync_folder)(folder_of(&self.path));
        if let Err(error) = &synced {
            self.lose(error);
        }
        synced
    }

    /// A sync has failed.
    fn lose(&mut self, error: &io::Error) {
        self.lost.get_or_insert_with(|| error.to_string());
        self.broken.get_or_insert_with(|| error.to_string());
    }
}

/// The folder of a file.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The path of a temporary file that will replace `path`.
fn beside(path: &Path, purpose: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{purpose}.tmp"));
    name.into()
}

/// Writes a file with a schema and the record of all rows. Returns it and its length. It gets the
/// access rights of `old`.
fn write_new(
    path: &Path,
    schema: &str,
    record: &FullRecord<'_>,
    old: &File,
) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)?;
    file.set_permissions(old.metadata()?.permissions())?;
    let mut first = Vec::new();
    write_record(&mut first, schema);
    file.write_all(&first)?;
    write_pieces(&mut file, record)?;
    file.sync_data()?;
    let length = file.stream_position()?;
    Ok((file, length))
}

/// Renames a file, unless there is one with the new name. Where the system or the file system cannot check
/// this, a file that another process has just created is replaced.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;

        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::EXIST) => return Ok(()),
            // The kernel or the file system lacks the flag.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    fs::rename(from, to)
}

/// Creates a file with these contents, completely or not at all, unless it exists.
pub(super) fn create_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let new = beside(path, &format!("{}.create", std::process::id()));
    let written = (|| {
        let mut file = File::create(&new)?;
        file.write_all(contents)?;
        file.sync_data()?;
        match fs::hard_link(&new, path) {
            // Another process created it first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // The file system has no hard links.
            Err(_) => rename_new(&new, path),
            Ok(()) => Ok(()),
        }?;
        File::open(folder_of(path))?.sync_all()
    })();
    let _ = fs::remove_file(&new);
    written
}

/// The error for a transaction or a conversion that could not be written.
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
        let mut file = &*state.file;
        if let Err(error) = file.write_all(&bytes) {
            // Remove what was written: otherwise the next record would follow half of this one.
            let length = state.length;
            let undone = file
                .set_len(length)
                .and_then(|()| file.seek(SeekFrom::Start(length)));
            if let Err(error) = undone {
                state.broken = Some(error.to_string());
            }
            return Err(failed(&state.path, &error));
        }
        if let Some(backlog) = &mut state.compaction {
            backlog.bytes.extend_from_slice(&bytes);
        }
        state.length += bytes.len() as u64;
        state.records += 1;
        state.position.0 += 1;
        Ok(state.position)
    }

    fn replace(&mut self, schema: &str, record: &FullRecord<'_>) -> Result<Position, OvsdbError> {
        let state = &mut *self.state();
        if let Some(error) = &state.broken {
            return Err(failed(&state.path, error));
        }
        let new = beside(&state.path, "convert");
        let replaced = write_new(&new, schema, record, &state.file)
            .and_then(|(file, length)| state.take_file(&new, file, length, length));
        if let Err(error) = replaced {
            let _ = fs::remove_file(&new);
            return Err(failed(&state.path, &error));
        }
        if let Err(error) = state.sync_folder() {
            // The converted file is in place, so the conversion has succeeded.
            tracing::error!(
                path = %state.path.display(), %error,
                "a database was converted, but its folder cannot be synced, so it accepts no more changes"
            );
        }
        if let Some(backlog) = &mut state.compaction {
            backlog.is_stale = true;
        }
        state.position.0 += 1;
        Ok(state.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::file::{create, open};

    const SCHEMA: &str = r#"{"name":"Files","version":"1.0.0","tables":{"Thing":{"isRoot":true,
        "columns":{"name":{"type":"string"}}}}}"#;
    const ROWS: usize = 20_000;

    #[test]
    fn a_file_is_compacted_when_it_is_large_has_doubled_and_has_many_records() {
        let folder = tempfile::tempdir().expect("a folder");
        let opened = create(&folder.path().join("things.db"), SCHEMA, 1).expect("a file");
        let journal = opened.journal;
        for (length, base, records, has_grown) in [
            (SMALL, 0, FEW, false),
            (SMALL + 1, 0, FEW, true),
            (SMALL + 1, 0, FEW - 1, false),
            (4 * SMALL, 2 * SMALL, FEW, false),
            (4 * SMALL + 2, 2 * SMALL, FEW, true),
        ] {
            let mut state = journal.state();
            (state.length, state.base, state.records) = (length, base, records);
            drop(state);
            assert_eq!(journal.has_grown(), has_grown, "{length} {base} {records}");
        }
        let compaction = journal.begin_compaction().expect("an open journal");
        let _compaction = compaction.expect("no other one runs");
        let another = journal.begin_compaction().expect("an open journal");
        assert!(!journal.has_grown() && another.is_none());
        journal.state().compaction = None;
        assert!(journal.has_grown());
        journal.postpone_compaction();
        assert!(!journal.has_grown());
        journal.state().base = 0;
        journal.close();
        assert!(!journal.has_grown());
    }

    #[test]
    fn each_record_has_a_position_and_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut opened = create(&folder.path().join("things.db"), SCHEMA, 1).expect("a file");
        for number in 1..=3 {
            let position = opened.journal.append("{}").expect("written");
            assert_eq!(position, Position(number));
            assert_eq!(opened.journal.state().records, number);
            assert_eq!(opened.journal.sync().expect("on disk"), position);
        }
        let path = opened.journal.state().path.clone();
        let length = fs::metadata(path).expect("a file").len();
        assert_eq!(opened.journal.state().length, length);
    }

    #[test]
    fn the_growth_of_a_rewritten_file_is_measured_from_its_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("things.db");
        let opened = create(&path, SCHEMA, 1).expect("a file");
        let mut journal = opened.journal;
        let whole = FullRecord {
            state: opened.database.state(),
            comment: None,
            date: 1,
        };
        let length = || fs::metadata(&path).expect("a file").len();
        journal.append("{}").expect("written");
        let compaction = journal.begin_compaction().expect("an open journal");
        journal.append("{}").expect("written");
        let compaction = compaction.expect("no other one runs");
        compaction.finish(SCHEMA, &whole).expect("compacted");
        let compacted = length();
        let state = |journal: &FileJournal| {
            let state = journal.state();
            (state.length, state.base, state.records)
        };
        // The record that was appended meanwhile follows the rows.
        let mut record = Vec::new();
        write_record(&mut record, "{}");
        let base = compacted - record.len() as u64;
        assert_eq!(state(&journal), (compacted, base, 0));
        assert_eq!(journal.replace(SCHEMA, &whole), Ok(Position(3)));
        assert_eq!(length(), base);
        assert_eq!(state(&journal), (base, base, 0));
    }

    #[test]
    fn when_the_folder_of_a_converted_file_cannot_be_synced_the_file_is_in_use_and_nothing_is_appended()
     {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("things.db");
        let opened = create(&path, SCHEMA, 1).expect("a file");
        let mut journal = opened.journal;
        journal.append("{}").expect("written");
        journal.state().sync_folder = |_| Err(io::Error::other("the folder is lost"));
        let converted = SCHEMA.replace("1.0.0", "2.0.0");
        let converted = converted.replace(['\n', ' '], "");
        let whole = FullRecord {
            state: opened.database.state(),
            comment: None,
            date: 1,
        };
        assert_eq!(journal.replace(&converted, &whole), Ok(Position(2)));
        // No reply may claim any more that its transaction is on disk.
        for _ in 0..2 {
            let error = journal.sync().expect_err("it is not known what is on disk");
            assert_eq!(error.to_string(), "the folder is lost");
        }
        let error = journal.append("{}").expect_err("nothing is appended");
        assert!(error.to_string().contains("the folder is lost"), "{error}");
        assert!(journal.replace(SCHEMA, &whole).is_err());
        drop(opened.lock);
        let version = open(&path, 2).expect("an intact file").database;
        assert_eq!(version.schema().source.version.as_deref(), Some("2.0.0"));
    }

    #[test]
    fn a_file_that_another_process_has_created_meanwhile_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("things.db");
        for contents in ["first", "second"] {
            create_new(&path, contents.as_bytes()).expect("created, or there already");
            assert_eq!(fs::read_to_string(&path).expect("a file"), "first");
        }
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1);
        // So it does on a file system without hard links.
        let path = folder.path().join("others.db");
        for contents in ["first", "second"] {
            let new = folder.path().join("new");
            fs::write(&new, contents).expect("written");
            rename_new(&new, &path).expect("renamed, or there already");
            assert_eq!(fs::read_to_string(&path).expect("a file"), "first");
        }
    }

    #[test]
    fn a_journal_that_was_closed_is_not_compacted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("things.db");
        let opened = create(&path, SCHEMA, 1).expect("a file");
        opened.journal.close();
        drop(opened.lock);
        // Another server may open the file now.
        assert!(opened.journal.begin_compaction().is_err());
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 2);
    }

    #[test]
    fn only_a_record_that_says_so_holds_differences() {
        let schema = r#"{"name":"Files","version":"1.0.0","tables":{"Thing":{"isRoot":true,
            "columns":{"numbers":{"type":{"key":"integer","min":0,"max":"unlimited"}}}}}}"#;
        let row = |start: &str, numbers: &str| {
            format!(
                r#"{{{start}"Thing":{{"00000000-0000-0000-0000-000000000001":{{"numbers":["set",{numbers}]}}}}}}"#
            )
        };
        for (start, numbers) in [
            (r#""_is_diff":true,"#, r#"["set",[1,3]]"#),
            (r#""_is_diff":false,"#, r#"["set",[2,3]]"#),
            ("", r#"["set",[2,3]]"#),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("things.db");
            let mut opened = create(&path, schema, 1).expect("a file");
            for record in [row("", "[1,2]"), row(start, "[2,3]")] {
                opened.journal.append(&record).expect("written");
            }
            drop((opened.database, opened.lock));
            let opened = open(&path, 1).expect("a good file");
            let mut text = String::new();
            let whole = FullRecord {
                state: opened.database.state(),
                comment: None,
                date: 1,
            };
            let pieces = whole.pieces(|piece| {
                text.push_str(piece);
                Ok::<_, ()>(())
            });
            assert_eq!(pieces, Ok(()));
            assert!(text.contains(numbers), "{start}: {text}");
        }
    }

    #[test]
    fn a_record_that_does_not_fit_the_database_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("things.db");
        for (record, reason) in [
            (r#"{"Other":{}}"#, "No table named Other."),
            (
                r#"{"Thing":{"00000000-0000-0000-0000-000000000001":{"name":1}}}"#,
                "expected string",
            ),
        ] {
            let mut opened = create(&path, SCHEMA, 1).expect("a file");
            let good = r#"{"Thing":{"00000000-0000-0000-0000-000000000001":{"name":"a"}}}"#;
            for record in [good, record] {
                opened.journal.append(record).expect("written");
            }
            drop((opened.database, opened.lock));
            let error = open(&path, 1).expect_err("it does not fit");
            let shown = crate::error_chain::ErrorChain::new(&error).to_string();
            let start = "record 2 does not fit the database: ";
            assert!(shown.contains(start) && shown.contains(reason), "{shown}");
            fs::remove_file(&path).expect("removed");
        }
    }

    #[test]
    fn a_compaction_writes_every_row_and_holds_little_of_the_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("things.db");
        let opened = create(&path, SCHEMA, 1).expect("a file");
        let (mut database, journal) = (opened.database, opened.journal);
        let empty = FullRecord {
            state: &database.state().clone(),
            comment: None,
            date: 1,
        };
        let compaction = journal
            .begin_compaction()
            .expect("an open journal")
            .expect("no other compaction runs");
        compaction.finish(SCHEMA, &empty).expect("compacted");
        let rows = (1..=ROWS as u128).map(|number| {
            let uuid = crate::value::Uuid::from_u128(number);
            format!(r#""{uuid}":{{"name":"a thing with a long name, {number}"}}"#)
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        let record = format!(r#"{{"Thing":{{{rows}}}}}"#);
        database.replay(&record).expect("a good record");
        let whole = FullRecord {
            state: database.state(),
            comment: Some("compacted"),
            date: 1,
        };
        let compaction = journal
            .begin_compaction()
            .expect("an open journal")
            .expect("no other compaction runs");
        let mut outcome = Ok(());
        let allocated = allocation_counter::measure(|| outcome = compaction.finish(SCHEMA, &whole));
        outcome.expect("compacted");
        let length = fs::metadata(&path).expect("a file").len();
        assert_eq!(journal.state().length, length);
        assert!(length > record.len() as u64);
        assert!(allocated.bytes_max < length / 4, "{allocated:?}");

        drop((database, opened.lock));
        let opened = open(&path, 2).expect("an intact file");
        assert_eq!(opened.database.state().table(0).len(), ROWS);
    }
}
