//! The writers: each inserts rows, increments a counter that all share, and changes its own ports. It records
//! the outcomes, and compares them with the server's rows during the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ovsdb::nb::{Cache, Client, LoadBalancer, LogicalSwitchPort as Port, NbGlobal};
use ovsdb::{CommitError, ErrorChain, Ref};
use ovsdb_benches::{Result, port_uuid};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::ledger::{Expected, Ledger};

/// How many of its rows a writer keeps in the database. It checks and deletes older ones, so that the
/// database does not grow.
const ROWS: usize = 200;
/// How many rows it checks and deletes at a time.
const BLOCK: usize = 100;
/// How many ports a writer changes.
const PORTS: usize = 1000;
/// The time allowed for a check while members are killed.
const LIMIT: Duration = Duration::from_secs(120);
/// The key in `options` of the ports.
pub(crate) const PORT_KEY: &str = "soak";

pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<std::result::Result<Ledger, String>>>,
}

impl Writers {
    pub(crate) async fn start(
        remotes: &str,
        writers: usize,
        ports: usize,
        pause: Duration,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        let own = PORTS.min(ports / writers.max(1)).max(1);
        for number in 0..writers {
            // The servers may still be busy with the initial sync of the followers.
            let client = Client::builder().remotes(remotes).leader_only(true);
            let client = client.wait_for_server(true);
            let client = client.connect().await?;
            let cache = client.cache().table::<NbGlobal>().start().await?;
            let writer = Writer {
                number,
                client,
                cache,
                ports: number * own..(number + 1) * own,
                ledger: Ledger::default(),
            };
            tasks.push(tokio::spawn(writer.write(stop.clone(), pause)));
        }
        Ok(Self { stop, tasks })
    }

    /// Ends the writers, and returns their records.
    pub(crate) async fn stop(self) -> Result<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        for task in self.tasks {
            ledger.add(task.await??);
        }
        Ok(ledger)
    }
}

struct Writer {
    number: usize,
    client: Client,
    cache: Cache,
    ports: std::ops::Range<usize>,
    ledger: Ledger,
}

impl Writer {
    async fn write(
        mut self,
        stop: Arc<AtomicBool>,
        pause: Duration,
    ) -> std::result::Result<Ledger, String> {
        for turn in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match turn % 4 {
                kind @ (0 | 1) => self.insert(turn, kind == 1).await,
                2 => self.count().await,
                _ => self.change_port(turn).await,
            }
            if self.ledger.rows.len() >= ROWS + BLOCK {
                self.check().await?;
            }
            sleep(pause).await;
        }
        Ok(self.ledger)
    }

    /// Records the outcome of a transaction.
    fn note<R>(&mut self, outcome: &std::result::Result<R, CommitError>) -> Expected {
        let (count, expected) = match outcome {
            Ok(_) => (&mut self.ledger.committed, Expected::Once),
            Err(error) if error.nothing_changed() => (&mut self.ledger.refused, Expected::Never),
            Err(_) => (&mut self.ledger.unknown, Expected::AtMostOnce),
        };
        *count += 1;
        expected
    }

    /// Inserts a row into a table without an index: only the client can prevent that it is inserted twice.
    async fn insert(&mut self, turn: u64, once: bool) {
        let name = format!("row-{}-{turn}", self.number);
        let mut txn = self.client.transaction();
        txn.insert(LoadBalancer {
            name: name.as_str().into(),
            ..Default::default()
        });
        let outcome = if once {
            txn.commit_once().await
        } else {
            txn.commit().await
        };
        let expected = self.note(&outcome);
        if expected == Expected::AtMostOnce {
            self.ledger.late.insert(name.clone());
        }
        self.ledger.rows.push_back((name, expected));
    }

    /// Increments the shared counter by a guarded edit.
    async fn count(&mut self) {
        let edit = self.client.edit(&self.cache, |view, txn| {
            if let Some(global) = view.rows::<NbGlobal>().next() {
                txn.edit(global.reference(), |global: &mut NbGlobal| {
                    global.sb_cfg += 1;
                });
            }
        });
        let outcome = edit.await;
        match self.note(&outcome) {
            Expected::Once => self.ledger.increments += 1,
            Expected::AtMostOnce => self.ledger.unknown_increments += 1,
            Expected::Never => {}
        }
    }

    /// Writes the number of this turn into a port.
    async fn change_port(&mut self, turn: u64) {
        let step = usize::try_from(turn / 4).unwrap_or_default();
        let port = self.ports.start + step % self.ports.len();
        let mut txn = self.client.transaction();
        txn.mutate(Ref::<Port>::new(port_uuid(port)))
            .set_keys(Port::OPTIONS, [(PORT_KEY, turn.to_string())]);
        let outcome = txn.commit().await;
        let expected = self.note(&outcome);
        let values = self.ledger.ports.entry(port).or_default();
        match expected {
            Expected::Once => values.committed = Some(turn),
            Expected::AtMostOnce => values.unknown.push(turn),
            Expected::Never => {}
        }
    }

    /// Checks the oldest rows on the server, and deletes those that are as expected.
    async fn check(&mut self) -> std::result::Result<(), String> {
        let block: Vec<_> = self.ledger.rows.drain(..BLOCK).collect();
        let deadline = Instant::now() + LIMIT;
        let found = loop {
            let mut txn = self.client.transaction();
            let names = block.iter().map(|(name, _)| name.as_str());
            let selections: Vec<_> = names
                .map(|name| txn.select(LoadBalancer::NAME.eq(name)))
                .collect();
            match txn.commit().await {
                Ok(outcome) => {
                    let counts = selections.iter().map(|selection| outcome.rows(selection));
                    let counts = counts.map(|rows| rows.map(|rows| rows.len()));
                    let counts: std::result::Result<Vec<usize>, _> = counts.collect();
                    break counts.map_err(|error| error.to_string())?;
                }
                Err(error) => retry(&error, deadline).await?,
            }
        };
        let mut right = Vec::new();
        for ((name, expected), found) in block.into_iter().zip(found) {
            match (found, expected) {
                (1, Expected::Once | Expected::AtMostOnce) => right.push(name),
                (0, Expected::Never | Expected::AtMostOnce) => self.ledger.checked += 1,
                _ => self.ledger.suspects.push((name, expected)),
            }
        }
        self.ledger.checked += right.len() as u64;
        loop {
            let mut txn = self.client.transaction();
            for name in &right {
                txn.delete(LoadBalancer::NAME.eq(name.as_str()));
            }
            match txn.commit().await {
                Ok(_) => return Ok(()),
                Err(error) => retry(&error, deadline).await?,
            }
        }
    }
}

/// Waits a moment before the next attempt; returns an error after the deadline.
async fn retry(error: &CommitError, deadline: Instant) -> std::result::Result<(), String> {
    if Instant::now() > deadline {
        return Err(format!(
            "a writer's rows could not be checked: {}",
            ErrorChain::new(error)
        ));
    }
    sleep(Duration::from_millis(50)).await;
    Ok(())
}
