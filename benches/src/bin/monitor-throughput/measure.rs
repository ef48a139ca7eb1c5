//! Runs the measurements: the clients take turns, and the floor is measured before each.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ovsdb_benches::{Connection, Kind, Northbound, Result, median, port_uuid, process};

use crate::Arguments;
use crate::figures::{Figures, Phase};
use crate::follower::Follower;
use crate::replay::replay;
use crate::table;

/// The number of rows in a transaction that changes many.
const BATCH: usize = 100;

/// How long a client is idle before its settled memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures the clients and prints the figures.
pub(crate) fn compare(arguments: &Arguments) -> Result {
    let clients = match arguments.clients.as_slice() {
        [] => [Kind::Ovsdb, Kind::CIdl, Kind::PythonIdl].as_slice(),
        clients => clients,
    };
    eprintln!("loading {} ports", arguments.ports);
    let database = Northbound::with_ports(arguments.ports)?;
    let mut all = Vec::new();
    for run in 1..=arguments.runs {
        for &kind in clients {
            eprintln!("run {run} of {}: {}", arguments.runs, kind.name());
            let figures = measure(arguments, &database, kind, run)?;
            if arguments.json {
                println!("{}", serde_json::to_string(&figures)?);
            }
            all.push(figures);
        }
    }
    if arguments.json {
        for ratios in table::ratios(&all) {
            println!("{ratios}");
        }
    } else {
        println!("{}\n", process::machine()?);
        table::print(&all);
        println!();
    }
    if clients.contains(&Kind::Ovsdb) {
        eprintln!("decoding from memory");
        replay(&database.initial_reply()?, arguments.runs, arguments.json)?;
    }
    Ok(())
}

/// The time to read the bytes of the initial reply and drop them.
fn floor(database: &Northbound, wire_bytes: usize) -> Result<f64> {
    let params = database.monitor_params();
    let request = format!(r#"{{"id":1,"method":"monitor_cond_since","params":{params}}}"#);
    let start = Instant::now();
    Connection::new(&database.socket())?.read_bytes(&request, wire_bytes)?;
    Ok(start.elapsed().as_secs_f64())
}

fn measure(
    arguments: &Arguments,
    database: &Northbound,
    kind: Kind,
    run: usize,
) -> Result<Figures> {
    let server = database.server();
    let server_process = server.process_id().ok_or("the server has ended")?;
    Writer::new(database, arguments.ports)?.mark(0)?;
    let wire_bytes = database.initial_reply()?.len();
    let floor_wall_s = floor(database, wire_bytes)?;

    let before = process::cpu_us(server_process)?;
    let mut follower = Follower::start(kind, &server.remote())?;
    let synced = follower.wait_for(0)?;
    let server_cpu = process::cpu_us(server_process)? - before;
    if synced.rows != arguments.ports {
        return Err(format!("{} has only {} ports", kind.name(), synced.rows).into());
    }
    sleep(SETTLE);
    let peak_rss_bytes = process::memory(follower.process(), "VmHWM")?;
    let settled_rss_bytes = process::memory(follower.process(), "VmRSS")?;

    let mut writer = Writer::new(database, arguments.ports)?;
    let mut phase = |first_mark, transactions, rows| {
        feed(
            &mut follower,
            &mut writer,
            server_process,
            first_mark,
            transactions,
            rows,
        )
    };
    let single = phase(1, arguments.single, 1)?;
    let batch = phase(3, arguments.batches, BATCH)?;
    writer.mark(-1)?;
    let reads = follower.reads()?;
    follower.wait_for(-1)?;
    Ok(Figures {
        client: kind.name(),
        run,
        rows: synced.rows,
        wire_bytes,
        floor_wall_s,
        sync_wall_s: synced.wall_us / 1e6,
        sync_cpu_s: synced.cpu_us / 1e6,
        sync_server_cpu_s: server_cpu as f64 / 1e6,
        peak_rss_bytes,
        settled_rss_bytes,
        single,
        batch,
        reads,
    })
}

/// Lets the client follow transactions that change rows, from one mark to the next.
fn feed(
    follower: &mut Follower,
    writer: &mut Writer,
    server_process: u32,
    first_mark: i64,
    transactions: usize,
    rows: usize,
) -> Result<Phase> {
    writer.mark(first_mark)?;
    let start = follower.wait_for(first_mark)?;
    let server_start = process::cpu_us(server_process)?;
    let start_ns = process::monotonic_ns()?;
    let mut commits = Vec::with_capacity(transactions);
    for _ in 0..transactions {
        let commit = Instant::now();
        writer.change(rows)?;
        commits.push(commit.elapsed().as_secs_f64() * 1e6);
    }
    writer.mark(first_mark + 1)?;
    let end = follower.wait_for(first_mark + 1)?;
    let server_cpu = process::cpu_us(server_process)? - server_start;
    let all = transactions * rows;
    if end.changes != all {
        return Err(format!("the client saw {} of {all} changes", end.changes).into());
    }
    let per_row = |us: f64| us / all.max(1) as f64;
    Ok(Phase {
        transactions,
        rows: all,
        rows_per_s: all as f64 / (end.at_ns.saturating_sub(start_ns) as f64 / 1e9),
        client_cpu_us_per_row: per_row(end.cpu_us - start.cpu_us),
        server_cpu_us_per_row: per_row(server_cpu as f64),
        commit_p50_us: median(commits),
        latency_p50_us: end.p50_us,
        latency_p99_us: end.p99_us,
    })
}

/// Changes ports, one after the other.
struct Writer {
    connection: Connection,
    ports: usize,
    next: usize,
}

impl Writer {
    fn new(database: &Northbound, ports: usize) -> Result<Self> {
        Ok(Self {
            connection: Connection::new(&database.socket())?,
            ports,
            next: 0,
        })
    }

    fn transact(&mut self, operations: &str) -> Result {
        let params = format!(r#"["OVN_Northbound",{operations}]"#);
        self.connection.call("transact", &params).map(drop)
    }

    /// Writes a mark, at which the client prints its figures.
    fn mark(&mut self, mark: i64) -> Result {
        self.transact(&format!(
            r#"{{"op":"update","table":"NB_Global","where":[],"row":{{"nb_cfg":{mark}}}}}"#
        ))
    }

    /// Writes the time into this many ports.
    fn change(&mut self, rows: usize) -> Result {
        let now = process::monotonic_ns()?;
        let operations: Vec<String> = (0..rows)
            .map(|_| {
                // The changed rows are far apart, like the ports of pods that change.
                self.next = (self.next + 7919) % self.ports;
                let uuid = port_uuid(self.next);
                format!(
                    r#"{{"op":"update","table":"Logical_Switch_Port","where":[["_uuid","==",["uuid","{uuid}"]]],"row":{{"options":["map",[["iface-id-ver","{now}"],["requested-chassis","worker-00001"]]]}}}}"#
                )
            })
            .collect();
        self.transact(&operations.join(","))
    }
}
