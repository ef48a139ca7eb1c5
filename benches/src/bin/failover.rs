//! How soon a client follows the new leader of a cluster: after a transfer of the leadership, after
//! four transfers in a row, and after the leader was killed.
//!
//! A private cluster of three members has a northbound database, and a client writes to it all the time.
//! After each change of the leader, plain connections find the new leader and write a number to it. The
//! time is measured until the cache of another client shows that number. Both clients have `leader_only`,
//! and otherwise default settings.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program prints its results"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use ovsdb::nb::{Database, LogicalSwitch, NbGlobal};
use ovsdb::schema::bundled;
use ovsdb::testing::Cluster;
use ovsdb::{Cache, Client};
use ovsdb_benches::{Connection, Result};

/// After this time without progress, the run is given up.
const LIMIT: Duration = Duration::from_secs(120);
/// How long to wait for a new leader before the transfer is requested again.
const HAND_OVER: Duration = Duration::from_secs(3);
/// The interval at which members are asked which one leads.
const INTERVAL: Duration = Duration::from_millis(2);

/// Measure how soon clients follow a cluster's new leader
#[derive(Debug, Parser)]
#[command(name = "failover")]
struct Arguments {
    /// How many single transfers of the leadership to measure
    #[arg(long, default_value_t = 12)]
    transfers: usize,
    /// How many bursts of transfers to measure
    #[arg(long, default_value_t = 4)]
    bursts: usize,
    /// How many transfers a burst has
    #[arg(long, default_value_t = 4)]
    burst: usize,
    /// How often to kill the leader
    #[arg(long, default_value_t = 6)]
    kills: usize,
    /// The pause between the writer's transactions, in milliseconds
    #[arg(long, default_value_t = 10)]
    write_every: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let run = |runtime: tokio::runtime::Runtime| run(&arguments, &runtime);
    match runtime.map_err(Into::into).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", ovsdb::ErrorChain::new(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, runtime: &tokio::runtime::Runtime) -> Result {
    let schema = bundled("OVN_Northbound").ok_or("no northbound schema")?;
    let cluster = Cluster::start(schema, 3)?;
    let mut bench = runtime.block_on(Bench::new(cluster))?;
    let load = Load::start(runtime, &bench.remotes, arguments.write_every)?;
    sleep(Duration::from_secs(2));

    let mut transfers = Series::new("transfer");
    for _ in 0..arguments.transfers {
        bench.settle();
        transfers.add(bench.transfer(1)?);
    }
    let mut bursts = Series::new("burst of transfers, from the last one");
    for _ in 0..arguments.bursts {
        bench.settle();
        bursts.add(bench.transfer(arguments.burst)?);
    }
    let mut kills = Series::new("kill");
    for _ in 0..arguments.kills {
        bench.settle();
        kills.add(bench.kill()?);
    }
    println!(
        "| until a cache shows what the new leader has | runs | median s | worst s | new leader elected, median s | attempts to connect, median |"
    );
    println!("|---|---|---|---|---|---|");
    for series in [&transfers, &bursts, &kills] {
        series.print();
    }
    println!();
    println!("{}", load.finish(runtime)?);
    Ok(())
}

/// The times of one change of the leader.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// The time until a member led.
    elected: Duration,
    /// The time until the cache showed a number that was written to that member.
    followed: Duration,
    attempts: u64,
}

struct Series {
    name: &'static str,
    samples: Vec<Sample>,
}

impl Series {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            samples: Vec::new(),
        }
    }

    fn add(&mut self, sample: Sample) {
        eprintln!(
            "{}: followed after {:.3} s, a leader was elected after {:.3} s, {} attempts",
            self.name,
            sample.followed.as_secs_f64(),
            sample.elected.as_secs_f64(),
            sample.attempts,
        );
        self.samples.push(sample);
    }

    fn print(&self) {
        let sorted = |of: &dyn Fn(&Sample) -> f64| {
            let mut all: Vec<f64> = self.samples.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let followed = sorted(&|sample| sample.followed.as_secs_f64());
        let elected = sorted(&|sample| sample.elected.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let attempts = sorted(&|sample| sample.attempts as f64);
        let median = |all: &[f64]| all.get(all.len() / 2).copied().unwrap_or(f64::NAN);
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.3} | {:.0} |",
            self.name,
            followed.len(),
            median(&followed),
            followed.last().copied().unwrap_or(f64::NAN),
            median(&elected),
            median(&attempts),
        );
    }
}

struct Bench {
    cluster: Cluster,
    remotes: String,
    client: Client<Database>,
    cache: Cache<Database>,
    /// The last number written to a leader.
    number: i64,
}

impl Bench {
    async fn new(cluster: Cluster) -> Result<Self> {
        let remotes = cluster.remotes();
        let client = Client::<Database>::builder()
            .remotes(remotes.clone())
            .leader_only(true)
            .connect()
            .await?;
        let mut txn = client.transaction();
        txn.insert(NbGlobal::default());
        for number in 0..1000 {
            txn.insert(LogicalSwitch {
                name: format!("switch-{number}").into(),
                ..Default::default()
            });
        }
        txn.commit().await?;
        let cache = client.cache().all_tables().start().await?;
        Ok(Self {
            cluster,
            remotes,
            client,
            cache,
            number: 0,
        })
    }

    /// Waits, so that the clients' connections have served for a while before the next change.
    fn settle(&self) {
        sleep(Duration::from_millis(1500));
    }

    /// Makes the leader hand over this many times, and measures the last transfer.
    fn transfer(&mut self, times: usize) -> Result<Sample> {
        let mut leader = self.cluster.leader()?;
        let mut attempts = self.client.stats().attempts;
        for time in 1.. {
            let mut start = Instant::now();
            let began = start;
            let next = loop {
                let command = ["cluster/failure-test", "transfer-leadership"];
                self.cluster.members()[leader].appctl(&command)?;
                match self.find_leader(Some(leader), HAND_OVER) {
                    Some(next) => break next,
                    None if began.elapsed() > LIMIT => return Err("no other member leads".into()),
                    // The leader does not hand over while no other member is up to date.
                    None => {
                        leader = self.cluster.leader()?;
                        start = Instant::now();
                    }
                }
            };
            leader = next;
            if time == times {
                return self.follow(start, leader, attempts);
            }
            attempts = self.client.stats().attempts;
        }
        Err("the number of transfers is 0".into())
    }

    fn kill(&mut self) -> Result<Sample> {
        let leader = self.cluster.leader()?;
        let attempts = self.client.stats().attempts;
        let start = Instant::now();
        self.cluster.member_mut(leader).kill()?;
        let next = self.find_leader(Some(leader), LIMIT);
        let next = next.ok_or("no other member leads")?;
        let sample = self.follow(start, next, attempts)?;
        self.cluster.restart(leader)?;
        Ok(sample)
    }

    /// The member that leads; `except` is not considered.
    fn find_leader(&self, except: Option<usize>, limit: Duration) -> Option<usize> {
        let deadline = Instant::now() + limit;
        let mut connections: Vec<Option<Connection>> = Vec::new();
        connections.resize_with(self.cluster.members().len(), || None);
        while Instant::now() < deadline {
            for (number, member) in self.cluster.members().iter().enumerate() {
                if Some(number) == except || member.process_id().is_none() {
                    continue;
                }
                let slot = &mut connections[number];
                if slot.is_none() {
                    *slot = Connection::new(&member.socket()).ok();
                }
                let Some(connection) = slot else { continue };
                match connection.call("transact", LEADS) {
                    Ok(reply) if reply.contains(r#""leader":true"#) => return Some(number),
                    Ok(_) => {}
                    Err(_) => *slot = None,
                }
            }
            sleep(INTERVAL);
        }
        None
    }

    /// Writes to the new leader, and waits until the cache shows it.
    fn follow(&mut self, start: Instant, mut leader: usize, attempts: u64) -> Result<Sample> {
        let elected = start.elapsed();
        self.number += 1;
        let write = format!(
            r#"["OVN_Northbound",{{"op":"update","table":"NB_Global","where":[],"row":{{"hv_cfg":{}}}}}]"#,
            self.number
        );
        // A member that has already lost the leadership again refuses the write.
        while let Err(error) = Connection::new(&self.cluster.members()[leader].socket())
            .and_then(|mut connection| connection.call("transact", &write))
        {
            if start.elapsed() > LIMIT {
                return Err(error);
            }
            leader = self.find_leader(None, LIMIT).ok_or("no member leads")?;
        }
        loop {
            let view = self.cache.snapshot();
            let global = view.rows::<NbGlobal>().next();
            if global.is_some_and(|global| global.hv_cfg >= self.number) {
                break;
            }
            if start.elapsed() > LIMIT {
                return Err("the cache did not follow the new leader in time".into());
            }
            sleep(Duration::from_millis(1));
        }
        Ok(Sample {
            elected,
            followed: start.elapsed(),
            attempts: self.client.stats().attempts - attempts,
        })
    }
}

const LEADS: &str = r#"["_Server",{"op":"select","table":"Database","where":[["name","==","OVN_Northbound"]],"columns":["leader"]}]"#;

/// A client that writes all the time.
struct Load {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
    client: Client<Database>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(runtime: &tokio::runtime::Runtime, remotes: &str, pause: u64) -> Result<Self> {
        let client = Client::<Database>::builder()
            .remotes(remotes)
            .leader_only(true);
        let client = runtime.block_on(client.connect())?;
        let (stop, failed) = (Arc::default(), Arc::default());
        let (stopped, failures) = (Arc::clone(&stop), Arc::clone(&failed));
        let writer = client.clone();
        let task = runtime.spawn(async move {
            while !AtomicBool::load(&stopped, Ordering::Relaxed) {
                let mut txn = writer.transaction();
                txn.timeout(Some(Duration::from_secs(5)));
                txn.mutate(NbGlobal::HV_CFG.ge(0)).add(NbGlobal::NB_CFG, 1);
                if txn.commit().await.is_err() {
                    AtomicUsize::fetch_add(&failures, 1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        });
        Ok(Self {
            stop,
            failed,
            client,
            task,
        })
    }

    fn finish(self, runtime: &tokio::runtime::Runtime) -> Result<String> {
        self.stop.store(true, Ordering::Relaxed);
        runtime.block_on(self.task)?;
        let (stats, failed) = (self.client.stats(), self.failed.load(Ordering::Relaxed));
        Ok(format!(
            "The writer's transactions: {} committed, {} refused, {} of unknown outcome; in all, {failed} failed. Attempts to connect: {}.",
            stats.committed, stats.refused, stats.unknown, stats.attempts
        ))
    }
}
