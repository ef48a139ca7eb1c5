//! Runs the measurements: the servers take turns, each on a copy of the same file.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ovsdb::schema::{DatabaseSchema, bundled};
use ovsdb_benches::{Connection, Result, all_columns, fill, port_uuid, process};
use serde::Serialize;
use serde_json::json;

use crate::servers::{Kind, Running};
use crate::{Arguments, in_process, table};

/// The number of rows in a transaction that changes many.
const BATCH: usize = 100;

/// How long a server is idle before its memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// The figures of one run of one server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) server: &'static str,
    pub(crate) run: usize,
    /// The length of the reply with all rows.
    pub(crate) dump_bytes: usize,
    pub(crate) start_wall_s: f64,
    pub(crate) start_cpu_s: f64,
    pub(crate) started_rss_bytes: f64,
    pub(crate) loaded_rss_bytes: f64,
    pub(crate) loading_peak_rss_bytes: f64,
    pub(crate) dump_cpu_s: f64,
    pub(crate) single_cpu_us: f64,
    pub(crate) batch_cpu_us_per_row: f64,
    pub(crate) followed_single_cpu_us: f64,
    pub(crate) followed_batch_cpu_us_per_row: f64,
}

/// Measures the servers and prints the figures.
pub(crate) fn compare(arguments: &Arguments) -> Result {
    let kinds = match arguments.servers.as_slice() {
        [] => [Kind::Ovsdb, Kind::OvsdbServer].as_slice(),
        kinds => kinds,
    };
    let folder = tempfile::tempdir()?;
    let text = bundled("OVN_Northbound").ok_or("no northbound schema")?;
    let schema = folder.path().join("nb.ovsschema");
    std::fs::write(&schema, text)?;
    let empty = folder.path().join("empty.db");
    tool(&["create".as_ref(), &empty, &schema])?;
    let params = all_columns(&DatabaseSchema::parse(text)?);

    // Load each server over a socket, to measure its memory afterwards. Later, all servers are started
    // with the file of the first one.
    let full = folder.path().join("full.db");
    let mut loaded = Vec::new();
    for &kind in kinds {
        eprintln!("loading {} ports into {}", arguments.ports, kind.name());
        let file = folder.path().join("loaded.db");
        std::fs::copy(&empty, &file)?;
        let server = Running::start(kind, &file, &folder.path().join("socket"))?;
        fill(server.remote(), arguments.ports)?;
        sleep(SETTLE);
        loaded.push((server.memory()?, server.peak_memory()?));
        drop(server);
        if !full.exists() {
            std::fs::rename(&file, &full)?;
            tool(&["compact".as_ref(), &full])?;
        }
    }
    let mut all = Vec::new();
    for run in 1..=arguments.runs {
        for (&kind, &(loaded, peak)) in kinds.iter().zip(&loaded) {
            eprintln!("run {run} of {}: {}", arguments.runs, kind.name());
            let file = folder.path().join("served.db");
            std::fs::copy(&full, &file)?;
            let server = Running::start(kind, &file, &folder.path().join("socket"))?;
            let mut figures = measure(arguments, &server, &params)?;
            (figures.server, figures.run) = (kind.name(), run);
            (figures.loaded_rss_bytes, figures.loading_peak_rss_bytes) = (loaded, peak);
            if arguments.json {
                println!("{}", serde_json::to_string(&figures)?);
            }
            all.push(figures);
        }
    }
    eprintln!("in this process");
    let own = in_process::measure(arguments.single, arguments.made)?;
    if arguments.json {
        println!("{}", json!({ "in_process": own }));
    } else {
        println!("{}\n", process::machine()?);
        table::print(arguments, &all, &own);
    }
    Ok(())
}

fn tool(arguments: &[&Path]) -> Result {
    let output = Command::new("ovsdb-tool").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into())
}

fn measure(arguments: &Arguments, server: &Running, params: &str) -> Result<Figures> {
    sleep(SETTLE);
    let started_rss_bytes = server.memory()?;
    let before = server.cpu_us()?;
    let mut reader = server.connect()?;
    let dump_bytes = reader.skip_reply("monitor_cond_since", params)?;
    let dump_cpu_s = (server.cpu_us()? - before) / 1e6;
    drop(reader);

    let mut writer = Writer {
        connection: server.connect()?,
        ports: arguments.ports,
        next: 0,
    };
    let single = |writer: &mut Writer, followers: &mut [Connection]| {
        writer.series(server, arguments.single, 1, followers)
    };
    let batch = |writer: &mut Writer, followers: &mut [Connection]| {
        writer.series(server, arguments.batches, BATCH, followers)
    };
    let single_cpu_us = single(&mut writer, &mut [])?;
    let batch_cpu_us_per_row = batch(&mut writer, &mut [])?;
    let mut followers = Vec::new();
    for _ in 0..arguments.clients {
        let mut follower = server.connect()?;
        follower.skip_reply("monitor_cond_since", &without_initial(params)?)?;
        followers.push(follower);
    }
    Ok(Figures {
        server: "",
        run: 0,
        dump_bytes,
        start_wall_s: server.start_wall_s,
        start_cpu_s: server.start_cpu_s,
        started_rss_bytes,
        loaded_rss_bytes: 0.0,
        loading_peak_rss_bytes: 0.0,
        dump_cpu_s,
        single_cpu_us,
        batch_cpu_us_per_row,
        followed_single_cpu_us: single(&mut writer, &mut followers)?,
        followed_batch_cpu_us_per_row: batch(&mut writer, &mut followers)?,
    })
}

/// The same monitor without the existing rows.
fn without_initial(params: &str) -> Result<String> {
    let mut params: serde_json::Value = serde_json::from_str(params)?;
    let tables = params[2].as_object_mut().ok_or("no tables")?;
    for request in tables.values_mut() {
        let request = match request {
            serde_json::Value::Array(requests) => &mut requests[0],
            request => request,
        };
        request["select"] = json!({ "initial": false });
    }
    Ok(params.to_string())
}

/// Changes ports, one after the other.
struct Writer {
    connection: Connection,
    ports: usize,
    next: usize,
}

impl Writer {
    /// Commits transactions of this many rows. Returns the server's processor time per row.
    /// Meanwhile the followers read the updates.
    fn series(
        &mut self,
        server: &Running,
        transactions: usize,
        rows: usize,
        followers: &mut [Connection],
    ) -> Result<f64> {
        let before = server.cpu_us()?;
        let mut received = vec![0; followers.len()];
        followers.iter_mut().try_for_each(Connection::keep_alive)?;
        let mut alive = Instant::now();
        for _ in 0..transactions {
            self.change(rows)?;
            if alive.elapsed() > Duration::from_secs(2) {
                followers.iter_mut().try_for_each(Connection::keep_alive)?;
                alive = Instant::now();
            }
            drop_received(followers, &mut received)?;
        }
        // All followers get the same bytes.
        let all_equal = |received: &[usize]| {
            let first = received.first().copied().unwrap_or_default();
            received.iter().all(|other| *other == first)
        };
        loop {
            let known = received.clone();
            sleep(Duration::from_millis(20));
            drop_received(followers, &mut received)?;
            if known == received && all_equal(&received) {
                break;
            }
        }
        let cpu = server.cpu_us()? - before;
        Ok(cpu / (transactions * rows) as f64)
    }

    fn change(&mut self, rows: usize) -> Result {
        let operations: Vec<String> = (0..rows)
            .map(|_| {
                // The changed rows are far apart, like the ports of pods that change.
                self.next += 7919;
                let uuid = port_uuid(self.next % self.ports);
                let value = self.next;
                format!(
                    r#"{{"op":"update","table":"Logical_Switch_Port","where":[["_uuid","==",["uuid","{uuid}"]]],"row":{{"options":["map",[["iface-id-ver","{value}"],["requested-chassis","worker-00001"]]]}}}}"#
                )
            })
            .collect();
        let operations = operations.join(",");
        let params = format!(r#"["OVN_Northbound",{operations}]"#);
        self.connection.call("transact", &params).map(drop)
    }
}

fn drop_received(followers: &mut [Connection], received: &mut [usize]) -> Result {
    for (follower, received) in followers.iter_mut().zip(received) {
        *received += follower.drop_received()?;
    }
    Ok(())
}
