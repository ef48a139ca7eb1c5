//! The task of a database in a file: it has transactions written to the disk, and the file compacted.
//!
//! The driver wakes this task, and the task reports to the machine through the driver's [`Shared`]: each
//! needs the other.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::driver::{Shared, now};
use super::engine::Database;
use super::file::{Compaction, FileJournal, FileLock};
use super::hosted::{Position, Whole};
use crate::protocol::OvsdbError;

/// A database's file.
#[derive(Debug)]
pub(super) struct Storage {
    /// The database's name.
    pub(super) name: Arc<str>,
    journal: FileJournal,
    lock: Mutex<Option<FileLock>>,
    /// The file was written to.
    written: Notify,
    /// A compaction has ended.
    compacting: Notify,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What became of the wish to compact a database.
enum Begun {
    Compaction(Compaction, Box<Database>),
    /// Another compaction is going on.
    Busy,
    /// The database is served no longer.
    Gone,
}

/// Tells those who wait for a compaction that it has ended, however it has.
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

    /// Has the task look after what was written. Without a runtime it waits for the next call with
    /// one.
    pub(super) fn wake(self: &Arc<Self>, shared: &Arc<Shared>) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            *task = Some(runtime.spawn(run(Arc::downgrade(self), Arc::downgrade(shared))));
        }
        self.written.notify_one();
    }

    /// Writes nothing any more, so that another server may open the file.
    pub(super) fn close(&self) {
        self.journal.close();
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        *lock = None;
    }

    /// Writes the database to a new file that takes the place of the old one. When that is going on
    /// already it waits, and does it once more.
    ///
    /// # Errors
    /// When it cannot be written. Then the old one goes on.
    pub(super) async fn compact(self: &Arc<Self>, shared: &Arc<Shared>) -> std::io::Result<()> {
        loop {
            let ended = self.compacting.notified();
            let mut ended = std::pin::pin!(ended);
            ended.as_mut().enable();
            match self.begin_compaction(shared) {
                Begun::Compaction(compaction, database) => {
                    let date = now().date;
                    let running = (compaction, Ended(self.clone()));
                    let written = tokio::task::spawn_blocking(move || {
                        let (compaction, _ended) = running;
                        let record = Whole {
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
                Begun::Gone => return Ok(()),
            }
        }
    }

    fn begin_compaction(&self, shared: &Shared) -> Begun {
        // Under one lock: later commits are not in the copy, and go to the new file as well.
        let hub = shared.hub();
        let Some(database) = hub.database(&self.name) else {
            return Begun::Gone;
        };
        match self.journal.begin_compaction() {
            Some(compaction) => Begun::Compaction(compaction, Box::new(database.clone())),
            None => Begun::Busy,
        }
    }

    /// Waits until everything that was committed is on the disk.
    ///
    /// # Errors
    /// When it cannot be written there.
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
                tracing::error!(database = %self.name, %error, "a database cannot be written");
                let error = OvsdbError {
                    details: Some(error.to_string().into()),
                    ..OvsdbError::new("I/O error")
                };
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
            // Beside this task: transactions that wait for the disk do not wait for it.
            tokio::spawn(async move {
                if let Err(error) = storage.compact(&shared).await {
                    storage.journal.postpone_compaction();
                    tracing::warn!(database = %storage.name, %error, "a database cannot be compacted");
                }
            });
        }
    }
}
