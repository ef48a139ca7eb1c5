//! The lock of a database file, which tells ovsdb-server and `ovsdb-tool` that the database is served.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::FileErrorReason;

/// The lock files that this process holds. A POSIX lock belongs to the process: it does not keep the
/// process from taking it again, and it is released as soon as the process closes any descriptor of the file.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The lock of a database file, held until dropped: a POSIX lock on the file `.NAME.~lock~` in the same
/// folder.
#[derive(Debug)]
pub(crate) struct FileLock {
    path: PathBuf,
    file: Option<File>,
}

impl FileLock {
    /// Takes the lock.
    pub(super) fn take(database: &Path) -> Result<Self, FileErrorReason> {
        // Lock the file itself, not a link to it.
        let database = database.canonicalize()?;
        let mut name = std::ffi::OsString::from(".");
        name.push(database.file_name().unwrap_or_default());
        name.push(".~lock~");
        let path = database.with_file_name(name);
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains(&path) {
            return Err(FileErrorReason::Locked);
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::ACCESS | Errno::AGAIN) => return Err(FileErrorReason::Locked),
            Err(error) => return Err(io::Error::from(error).into()),
        }
        held.insert(path.clone());
        Ok(Self {
            path,
            file: Some(file),
        })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        // Close the file before the entry is removed: closing it later would release a lock that was
        // taken again in this process.
        self.file = None;
        held.remove(&self.path);
    }
}
