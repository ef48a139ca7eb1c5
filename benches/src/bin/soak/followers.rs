//! The processes that follow the cluster: which heartbeats each has seen, and how much memory it uses.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use ovsdb::testing::Cluster;
use ovsdb_benches::process::memory;
use ovsdb_benches::{Kind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::heartbeats::{self, Committed};

/// How long a client may take to fetch its rows, or to see the last heartbeats.
const LIMIT: Duration = Duration::from_secs(300);

/// When a client saw each heartbeat, by member and number. Each list ends with the last heartbeat that it saw.
type Seen = Vec<Vec<u64>>;

struct Follower {
    kind: Kind,
    process: Child,
    input: ChildStdin,
    seen: Arc<Mutex<Seen>>,
    /// The lines that it prints, except heartbeats.
    lines: Receiver<Value>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It has ended unless something failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The result of a client.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) kind: Kind,
    pub(crate) seen: Seen,
    /// Its resident memory in bytes, sampled each second.
    pub(crate) memory: Vec<u64>,
    pub(crate) end: End,
}

/// The line that a client prints after it has compared its rows with a dump.
#[derive(Debug, Deserialize)]
pub(crate) struct End {
    pub(crate) compared: usize,
    pub(crate) differ: usize,
    pub(crate) connections: u64,
    #[serde(default)]
    pub(crate) resyncs: Option<u64>,
}

/// The memory of each client, sampled each second.
pub(crate) type Memory = Vec<Vec<u64>>;

pub(crate) struct Followers {
    followers: Vec<Follower>,
    stop: Arc<AtomicBool>,
    sampler: Mutex<Option<JoinHandle<Memory>>>,
}

impl Followers {
    /// Starts these clients, each after the previous one has all rows.
    pub(crate) fn start(kinds: &[Kind], remotes: &str, members: usize) -> Result<Self> {
        let followers = kinds
            .iter()
            .map(|kind| Follower::start(*kind, remotes, members));
        let followers: Vec<Follower> = followers.collect::<Result<_>>()?;
        let processes: Vec<u32> = followers
            .iter()
            .map(|follower| follower.process.id())
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let sampler = std::thread::spawn(move || {
            let mut samples = vec![Vec::new(); processes.len()];
            while !stopped.load(Ordering::Relaxed) {
                for (samples, process) in samples.iter_mut().zip(&processes) {
                    samples.extend(memory(*process, "VmRSS").ok());
                }
                sleep(Duration::from_secs(1));
            }
            samples
        });
        Ok(Self {
            followers,
            stop,
            sampler: Mutex::new(Some(sampler)),
        })
    }

    /// Stops sampling, and returns the memory of each client until now.
    pub(crate) fn memory(&self) -> Memory {
        self.stop.store(true, Ordering::Relaxed);
        let mut sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = sampler.take().and_then(|thread| thread.join().ok());
        samples.unwrap_or_default()
    }

    /// Waits until all of them have seen the last heartbeats, at most for `LIMIT`.
    pub(crate) fn wait_for(&self, committed: &Committed) -> Result {
        let deadline = Instant::now() + LIMIT;
        for follower in &self.followers {
            while !follower.has_seen(committed) {
                if Instant::now() > deadline {
                    // The rows that it lacks are counted later.
                    eprintln!(
                        "{} did not see the last heartbeats in time",
                        follower.kind.name()
                    );
                    break;
                }
                sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Makes all of them compare their rows with those of the leader.
    pub(crate) fn finish(self, cluster: &Cluster, mut memory: Memory) -> Result<Vec<Followed>> {
        let folder = tempfile::tempdir()?;
        let dump = folder.path().join("dump");
        std::fs::write(&dump, cluster.dump()?)?;
        memory.resize(self.followers.len(), Vec::new());
        let each = self.followers.into_iter().zip(memory);
        each.map(|(follower, memory)| follower.finish(&dump, memory))
            .collect()
    }
}

impl Follower {
    fn start(kind: Kind, remotes: &str, members: usize) -> Result<Self> {
        let mut process = kind
            .command("c-soak", "python-soak.py")?
            .arg(remotes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", kind.name()))?;
        let input = process.stdin.take().ok_or("the client has no input")?;
        let output = process.stdout.take().ok_or("the client has no output")?;
        let seen = Arc::new(Mutex::new(vec![Vec::new(); members]));
        let (send, lines) = channel();
        let noted = seen.clone();
        std::thread::spawn(move || read(BufReader::new(output), &noted, &send));
        let follower = Self {
            kind,
            process,
            input,
            seen,
            lines,
        };
        let rows = follower.line()?;
        eprintln!("{}: {rows}", kind.name());
        Ok(follower)
    }

    fn line(&self) -> Result<Value> {
        let line = self.lines.recv_timeout(LIMIT);
        line.map_err(|_| {
            format!(
                "the client {} ended, or printed nothing in time",
                self.kind.name()
            )
            .into()
        })
    }

    fn has_seen(&self, committed: &Committed) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().zip(committed).all(|(seen, committed)| {
            let last = committed.iter().rposition(Option::is_some);
            last.is_none_or(|last| seen.len() > last)
        })
    }

    fn finish(mut self, dump: &Path, memory: Vec<u64>) -> Result<Followed> {
        writeln!(self.input, "{}", dump.display())?;
        let end = serde_json::from_value(self.line()?)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Followed {
            kind: self.kind,
            seen: std::mem::take(&mut *seen),
            memory,
            end,
        })
    }
}

/// Records the heartbeats that a client prints, and sends its other lines to `rest`.
fn read(output: BufReader<std::process::ChildStdout>, seen: &Mutex<Seen>, rest: &Sender<Value>) {
    for line in output.lines().map_while(std::result::Result::ok) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else {
            eprintln!("a client printed {line}");
            return;
        };
        let Some(at) = line["at_ns"].as_u64() else {
            if rest.send(line).is_err() {
                return;
            }
            continue;
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (member, seen) in seen.iter_mut().enumerate() {
            let heartbeat = line["heartbeats"][heartbeats::key(member)].as_str();
            let heartbeat = heartbeat.and_then(|heartbeat| heartbeat.parse::<usize>().ok());
            // A heartbeat also counts as the earlier ones that the client skipped.
            if let Some(heartbeat) = heartbeat.filter(|heartbeat| *heartbeat >= seen.len()) {
                seen.resize(heartbeat + 1, at);
            }
        }
    }
}
