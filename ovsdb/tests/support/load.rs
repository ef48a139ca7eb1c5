//! Writers whose transactions can be counted in the database, to check that each was carried out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ovsdb::protocol::ErrorKind;
use ovsdb::{Client, CommitError, Ref, Snapshot, Transaction, Uuid};

use tokio::task::JoinHandle;

use super::inventory::{Database, Item, ItemOnly, Part};

/// How many counter rows a writer has. Their totals add up to the number of its transactions.
const CELLS: usize = 8;
/// Each transaction inserts a row, and the transaction that comes this many later deletes it.
const KEPT: usize = 300;

/// How a writer settles an outcome that is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// By [`Transaction::commit_once`].
    ByLibrary,
    /// By sending the transaction again: the uuid of its item is fixed, so the server refuses a second insert.
    ByHand,
}

/// The results of a writer's transactions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub committed: usize,
    /// How many were sent again because their outcome was unknown.
    pub unknown: usize,
    pub not_sent: usize,
}

pub struct Writer {
    client: Client<Database>,
    number: i64,
    settle: Settle,
    random: fastrand::Rng,
    cells: Vec<Ref<Item>>,
    totals: Vec<i64>,
    next: usize,
    pub tally: Tally,
}

impl Writer {
    /// Inserts the writer's counter rows.
    pub async fn new(
        client: Client<Database>,
        number: i64,
        settle: Settle,
        random: fastrand::Rng,
    ) -> Self {
        let mut txn = client.transaction();
        let cells = (0..CELLS)
            .map(|cell| {
                txn.insert(Item {
                    name: format!("cell {number} {cell}").into(),
                    count: number * 100 + cell as i64,
                    only: ItemOnly::Sole,
                    ..Default::default()
                })
            })
            .collect();
        txn.commit().await.expect("a commit");
        Self {
            client,
            number,
            settle,
            random,
            cells,
            totals: vec![0; CELLS],
            next: 0,
            tally: Tally::default(),
        }
    }

    fn name(&self, transaction: usize) -> String {
        format!("row {} {transaction}", self.number)
    }

    /// A transaction that inserts a row with a part, adds 1 to a counter row, and deletes an old row.
    fn build(&self, uuid: Uuid, cell: usize) -> Transaction<Database> {
        let mut txn = self.client.transaction();
        let part = txn.insert(Part {
            label: self.name(self.next).into(),
        });
        let row = Item {
            name: self.name(self.next).into(),
            count: 10_000 * (self.number + 1),
            total: self.next as i64,
            tags: ["a", "b"].into(),
            notes: [("by", self.name(self.next).as_str())].into(),
            parts: [part].into(),
            only: ItemOnly::Sole,
            ..Default::default()
        };
        txn.insert_with_uuid(uuid, row);
        let tag = format!("{}", self.next % 5);
        txn.mutate(self.cells[cell])
            .add(Item::TOTAL, 1)
            .insert(Item::TAGS, [tag.as_str()]);
        if self.next.is_multiple_of(7) {
            txn.mutate(self.cells[cell]).delete(Item::TAGS, ["0", "3"]);
        }
        if let Some(old) = self.next.checked_sub(KEPT) {
            txn.delete(Item::NAME.eq(self.name(old)));
        }
        txn
    }

    /// Commits the next transaction exactly once, even if the connection is lost.
    pub async fn commit(&mut self) {
        let (uuid, cell) = (Uuid::new_v4(), self.random.usize(..CELLS));
        let mut unknown = false;
        loop {
            let txn = self.build(uuid, cell);
            let outcome = match self.settle {
                Settle::ByLibrary => txn.commit_once().await,
                Settle::ByHand => txn.commit().await,
            };
            match outcome {
                Ok(_) => break,
                Err(CommitError::NotSent(_)) => self.tally.not_sent += 1,
                Err(CommitError::Unknown(_)) => unknown = true,
                Err(error) if unknown && error.kind() == Some(ErrorKind::DuplicateUuid) => break,
                // The cluster has no leader at the moment. After some of these errors it is not known
                // whether the transaction was carried out.
                Err(error)
                    if matches!(
                        error.kind(),
                        Some(
                            ErrorKind::ClusterError
                                | ErrorKind::NotLeader
                                | ErrorKind::DatabaseNotAvailable
                        )
                    ) =>
                {
                    if error.nothing_changed() {
                        self.tally.not_sent += 1;
                    } else {
                        unknown = true;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("transaction {} of {}: {error:?}", self.next, self.number),
            }
        }
        self.totals[cell] += 1;
        self.next += 1;
        self.tally.committed += 1;
        self.tally.unknown += usize::from(unknown);
    }

    /// Checks that every transaction was carried out exactly once.
    pub fn check(&self, view: &Snapshot<Database>) {
        for (cell, total) in self.cells.iter().zip(&self.totals) {
            let row = view.get(*cell).expect("the row that counts");
            assert_eq!(row.total, *total, "{} {:?}", row.name, self.tally);
        }
        let kept = self.next.saturating_sub(KEPT)..self.next;
        for transaction in kept.clone() {
            let name = self.name(transaction);
            let row = view.get_by(Item::NAME, name.as_str());
            let row = row.unwrap_or_else(|| panic!("{name} is missing"));
            let part = row.parts.iter().next().and_then(|part| view.get(*part));
            assert_eq!(part.expect("its part").label, name);
        }
        let mine = format!("row {} ", self.number);
        let rows = view.rows::<Item>();
        let rows = rows.filter(|row| row.name.starts_with(&mine)).count();
        assert_eq!(rows, kept.len());
    }
}

/// Writers at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    progress: Arc<AtomicUsize>,
    writers: Vec<JoinHandle<Writer>>,
}

impl Load {
    pub fn start(writers: Vec<Writer>) -> Self {
        let (stop, progress) = (Arc::default(), Arc::default());
        let work = |mut writer: Writer| {
            let (stop, progress) = (Arc::clone(&stop), Arc::clone(&progress));
            tokio::spawn(async move {
                while !AtomicBool::load(&stop, Ordering::Relaxed) {
                    writer.commit().await;
                    AtomicUsize::fetch_add(&progress, 1, Ordering::Relaxed);
                }
                writer
            })
        };
        let writers = writers.into_iter().map(work).collect();
        Self {
            stop,
            progress,
            writers,
        }
    }

    /// Waits until this many transactions were committed since the start.
    pub async fn until(&self, due: usize) {
        while self.progress.load(Ordering::Relaxed) < due {
            let failed = self.writers.iter().any(JoinHandle::is_finished);
            assert!(!failed, "a writer failed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until this many more are committed.
    pub async fn go_on(&self, transactions: usize) {
        let done = self.progress.load(Ordering::Relaxed);
        self.until(done + transactions).await;
    }

    /// Stops the writers.
    pub async fn finish(self) -> Vec<Writer> {
        self.stop.store(true, Ordering::Relaxed);
        let mut writers = Vec::new();
        for writer in self.writers {
            writers.push(writer.await.expect("no writer fails"));
        }
        writers
    }
}
