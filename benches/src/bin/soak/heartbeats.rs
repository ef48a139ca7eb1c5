//! Heartbeats: numbers that are written through each member of the cluster, whether it leads or not, by
//! connections that do nothing else. The time from the commit of a heartbeat until a cache shows it is the
//! staleness of the cache.
//!
//! The tested clients do not write heartbeats: a client that looks for the new leader would write none, which
//! would hide how long its cache was stale.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use ovsdb::testing::Cluster;
use ovsdb_benches::process::monotonic_ns;
use ovsdb_benches::{Connection, Result};

/// The pause between two heartbeats through a member.
const INTERVAL: Duration = Duration::from_millis(100);
/// The time allowed for a reply of a member.
const LIMIT: Duration = Duration::from_secs(5);

/// The key of the heartbeats through a member, in `NB_Global.external_ids`.
pub(crate) fn key(member: usize) -> String {
    format!("heartbeat-{member}")
}

/// When each heartbeat was committed, by member and number; `None` if it may not have been committed.
pub(crate) type Committed = Vec<Vec<Option<u64>>>;

pub(crate) struct Heartbeats {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Option<u64>>>>,
}

impl Heartbeats {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let members = cluster.members().iter().enumerate();
        let threads = members.map(|(member, server)| {
            let (stop, socket) = (stop.clone(), server.socket());
            std::thread::spawn(move || write_heartbeats(member, &socket, &stop))
        });
        Self {
            threads: threads.collect(),
            stop,
        }
    }

    pub(crate) fn stop(self) -> Result<Committed> {
        self.stop.store(true, Ordering::Relaxed);
        let threads = self.threads.into_iter().map(JoinHandle::join);
        let committed: std::thread::Result<_> = threads.collect();
        committed.map_err(|_| "a thread that writes heartbeats panicked".into())
    }
}

fn write_heartbeats(member: usize, socket: &Path, stop: &AtomicBool) -> Vec<Option<u64>> {
    let (mut committed, mut connection) = (Vec::new(), None);
    while !stop.load(Ordering::Relaxed) {
        let done = send(member, committed.len(), socket, &mut connection);
        if done.is_err() {
            connection = None;
        }
        committed.push(done.ok());
        sleep(INTERVAL);
    }
    committed
}

/// Sends a heartbeat, and returns when it was committed.
fn send(
    member: usize,
    number: usize,
    socket: &Path,
    connection: &mut Option<Connection>,
) -> Result<u64> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::new(socket)?),
    };
    connection.limit_waiting(LIMIT)?;
    let key = key(member);
    let transaction = format!(
        r#"["OVN_Northbound",{{"op":"mutate","table":"NB_Global","where":[],"mutations":[["external_ids","delete",["set",["{key}"]]],["external_ids","insert",["map",[["{key}","{number}"]]]]]}}]"#
    );
    connection.call("transact", &transaction)?;
    monotonic_ns()
}
