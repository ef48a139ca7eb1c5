//! The task of a database in a file: it syncs the file to disk and compacts it.
//!
//! The driver wakes this task, and the task reports to the machine through the driver's [`Shared`], so
//! the two modules use each other.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::driver::{Shared, now};
use super::engine::Database;
use super::file::{Compaction, FileJournal, FileLock};
use super::hosted::{FullRecord, Position};
use crate::error_chain::ErrorChain;

/// A database's file.
#[derive(Debug)]
pub(super) struct Storage {
    /// The database's name.
    pub(super) name: Arc<str>,
    journal: FileJournal,
    lock: Mutex<Option<FileLock>>,
    /// Notified when a transaction was appended to the file.
    written: Notify,
    /// Notified when a compaction has ended.
    compacting: Notify,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The result of trying to begin a compaction.
enum Begun {
    Compaction(Compaction, Box<Database>),
    /// Another compaction is running.
    Busy,
    /// The database is no longer served.
    NotServed,
}

/// When dropped, tells the waiting tasks that the compaction has ended, successfully or not.
struct Ended(Arc<Storage>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.compacting.notify_waiters();
    }
}

impl Storage {
    pub(super) fn new(name: Arc<str>, journal: FileJournal, lock: FileLock) -> Self {
        Self {
            name,
            journal,
            lock: Mutex::new(Some(lock)),
            compacting: Notify::new(),
            written: Notify::new(),
            task: Mutex::default(),
        }
    }

    /// Wakes the task to handle what was written, and starts the task if it does not run. Outside a tokio
    /// runtime it cannot be started; the next call inside a runtime starts it.
    pub(super) fn wake(self: &Arc<Self>, shared: &Arc<Shared>) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            *task = Some(runtime.spawn(run(Arc::downgrade(self), Arc::downgrade(shared))));
        }
        self.written.notify_one();
    }

    /// Stops writing for good, so that another server may open the file.
    pub(super) fn close(&self) {
        self.journal.close();
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        *lock = None;
    }

    /// Writes the database to a new file, which replaces the old one. If a compaction is running
    /// already, waits for it and then compacts again.
    ///
    /// # Errors
    /// Those of [`Compaction::finish`], and when nothing can be written to the file any more.
    pub(super) async fn compact(self: &Arc<Self>, shared: &Arc<Shared>) -> std::io::Result<()> {
        loop {
            let ended = self.compacting.notified();
            let mut ended = std::pin::pin!(ended);
            ended.as_mut().enable();
            match self.begin_compaction(shared)? {
                Begun::Compaction(compaction, database) => {
                    let date = now().date;
                    let running = (compaction, Ended(self.clone()));
                    let written = tokio::task::spawn_blocking(move || {
                        let (compaction, _ended) = running;
                        let record = FullRecord {
                            state: database.state(),
                            comment: None,
                            date,
                        };
                        compaction.finish(&database.schema().text, &record)
                    });
                    let written = written.await;
                    return written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                }
                Begun::Busy => ended.await,
                Begun::NotServed => return Ok(()),
            }
        }
    }

    fn begin_compaction(&self, shared: &Shared) -> std::io::Result<Begun> {
        // The database is copied under the lock under which the compaction begins. So each later commit,
        // which the copy lacks, is appended to the new file too.
        let hub = shared.hub();
        let Some(database) = hub.database(&self.name) else {
            return Ok(Begun::NotServed);
        };
        Ok(match self.journal.begin_compaction()? {
            Some(compaction) => Begun::Compaction(compaction, Box::new(database.clone())),
            None => Begun::Busy,
        })
    }

    /// Waits until everything that was committed is on disk.
    ///
    /// # Errors
    /// When it cannot be written to disk.
    pub(super) async fn flush(&self) -> std::io::Result<Position> {
        let journal = self.journal.clone();
        let synced = tokio::task::spawn_blocking(move || journal.sync()).await;
        synced.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    async fn sync(&self, shared: &Arc<Shared>) {
        let synced = self.flush().await;
        shared.with_hub(|hub| match synced {
            Ok(position) => hub.handle_synced(&self.name, position),
            Err(error) => {
                let error = ErrorChain::new(&error).to_string();
                tracing::error!(database = %self.name, error, "a database cannot be written");
                hub.handle_sync_failed(&self.name, &error);
            }
        });
    }
}

async fn run(storage: Weak<Storage>, shared: Weak<Shared>) {
    loop {
        let (Some(storage), Some(shared)) = (storage.upgrade(), shared.upgrade()) else {
            return;
        };
        tokio::select! {
            () = shared.stopped() => {
                storage.sync(&shared).await;
                return;
            }
            () = storage.written.notified() => {}
        }
        if shared.hub().waits_for_disk(&storage.name) {
            storage.sync(&shared).await;
        }
        if storage.journal.has_grown() {
            // In a task of its own, so that transactions that wait for the disk do not wait for the
            // compaction.
            tokio::spawn(async move {
                if let Err(error) = storage.compact(&shared).await
                    && !shared.is_stopped()
                {
                    storage.journal.postpone_compaction();
                    let error = ErrorChain::new(&error);
                    tracing::warn!(database = %storage.name, %error, "a database cannot be compacted");
                }
            });
        }
    }
}
