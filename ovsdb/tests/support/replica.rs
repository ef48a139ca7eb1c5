//! Checks that a replica, and the changes it delivered, equal the server's contents.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ovsdb::cache::{AnyChange, AnyRow, DatabaseChanges};
use ovsdb::testing::{Cluster, Dump, Server, ServerError};
use ovsdb::value::Datum;
use ovsdb::{Cache, Database, Snapshot, Uuid};
use tokio::task::JoinHandle;

/// How long a replica may take to equal the server's contents, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database that can be dumped.
pub trait Dumped {
    fn dump_of<D: Database>(&self) -> Result<String, ServerError>;
}

impl Dumped for Server {
    fn dump_of<D: Database>(&self) -> Result<String, ServerError> {
        self.dump(D::NAME, None)
    }
}

impl Dumped for Cluster {
    fn dump_of<D: Database>(&self) -> Result<String, ServerError> {
        self.dump()
    }
}

/// Waits until the replica equals what `ovsdb-client dump` prints, row by row. No client may write
/// meanwhile.
pub async fn same_as_dump<D: Database>(cache: &Cache<D>, server: &impl Dumped) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let dump: Dump = server
            .dump_of::<D>()
            .expect("a dump")
            .parse()
            .expect("understood");
        let (tables, found) = dump.differences(&cache.snapshot());
        assert!(tables > 0, "no table was compared");
        if found.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            let first: Vec<_> = found.iter().take(10).map(ToString::to_string).collect();
            panic!("{} differences, the first: {first:#?}", found.len());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

type Columns = BTreeMap<String, Datum>;
type Rows = BTreeMap<(String, Uuid), Columns>;

fn columns(row: &dyn AnyRow) -> Columns {
    let values = row.values();
    values
        .map(|(name, value)| (name.to_owned(), value.to_datum()))
        .collect()
}

/// The changes of a replica, folded.
#[derive(Debug, Default)]
pub struct Fold {
    rows: Rows,
    pub inserted: usize,
    pub modified: usize,
    pub deleted: usize,
    pub resyncs: usize,
    pub coalesced: usize,
}

impl Fold {
    /// Follows a replica until its client is closed.
    pub fn of<D: Database>(cache: &Cache<D>) -> JoinHandle<Self> {
        let mut changes = cache.all_changes();
        tokio::spawn(async move {
            let mut fold = Self::default();
            while let Some(batch) = changes.next().await {
                fold.take(&batch);
            }
            fold
        })
    }

    /// Folds a batch: each change must fit the ones before it.
    pub fn take<D: Database>(&mut self, batch: &DatabaseChanges<D>) {
        self.resyncs += usize::from(batch.kind().is_resync());
        self.coalesced += usize::from(batch.kind().is_coalesced());
        for change in batch.all() {
            let key = (change.row().table().to_owned(), change.row().uuid());
            let before = change.before().map(columns);
            let known = match change.after().map(columns) {
                Some(after) => self.rows.insert(key.clone(), after),
                None => self.rows.remove(&key),
            };
            assert_eq!(known, before, "{key:?} was something else before");
            match change {
                AnyChange::Inserted(_) => self.inserted += 1,
                AnyChange::Modified { .. } => {
                    assert!(change.columns().next().is_some(), "{key:?} is as it was");
                    self.modified += 1;
                }
                AnyChange::Deleted(_) => self.deleted += 1,
            }
        }
    }

    /// Whether the folded changes equal the replica.
    pub fn is<D: Database>(&self, view: &Snapshot<D>) -> bool {
        let mut rows = Rows::new();
        for table in view.table_names() {
            let all = view.any_rows(table).into_iter().flatten();
            rows.extend(all.map(|row| ((table.to_owned(), row.uuid()), columns(row))));
        }
        self.rows == rows
    }
}
