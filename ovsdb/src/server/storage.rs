//! The task under a database in a file: it has transactions written to the disk, and the file
//! compacted.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::driver::{Shared, now};
use super::file::{FileJournal, FileLock};
use super::hosted::whole;
use crate::protocol::OvsdbError;

/// A database's file.
#[derive(Debug)]
pub(super) struct Storage {
    /// The database's name.
    pub(super) name: Arc<str>,
    journal: FileJournal,
    _lock: FileLock,
    /// The file was written to.
    written: Notify,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Storage {
    pub(super) fn new(name: Arc<str>, journal: FileJournal, lock: FileLock) -> Self {
        Self {
            name,
            journal,
            _lock: lock,
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

    /// Writes the database to a new file that takes the place of the old one.
    ///
    /// # Errors
    /// When it cannot be written. Then the old one goes on.
    pub(super) async fn compact(&self, shared: &Arc<Shared>) -> std::io::Result<()> {
        let database = {
            // Together: what is committed later is not in the copy, and is remembered.
            let hub = shared.hub();
            let Some(database) = hub.database(&self.name) else {
                return Ok(());
            };
            if !self.journal.begin_compaction() {
                return Ok(());
            }
            database.clone()
        };
        let journal = self.journal.clone();
        let date = now().date;
        let written = tokio::task::spawn_blocking(move || {
            let record = whole(database.state(), None, date);
            journal.finish_compaction(&database.schema().text, &record)
        });
        written
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    async fn sync(&self, shared: &Arc<Shared>) {
        let journal = self.journal.clone();
        let synced = tokio::task::spawn_blocking(move || journal.sync()).await;
        let synced = synced.unwrap_or_else(|error| Err(std::io::Error::other(error)));
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
        if storage.journal.has_grown()
            && let Err(error) = storage.compact(&shared).await
        {
            tracing::warn!(database = %storage.name, %error, "a database cannot be compacted");
        }
    }
}
