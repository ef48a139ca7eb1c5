//! How much memory a cache has after its rows were fetched again many times.
//!
//! A private ovsdb-server holds a northbound database. A cache follows it in a separate process. In each
//! round, ports change, and the resident memory of the cache's process is read. Then the server is killed and
//! started again. A standalone server keeps no history, so it sends every row.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program talks to people"
)]

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

use clap::Parser;
use ovsdb::Client;
use ovsdb::nb::{Database, NbGlobal};
use ovsdb::schema::bundled;
use ovsdb::testing::Server;
use ovsdb_benches::process::{machine, memory};
use ovsdb_benches::{Connection, PORTS_PER_SWITCH, Result, fill, median, port_uuid};

/// How many transactions change ports in a round.
const TRANSACTIONS: usize = 20;

/// Measure the memory of a cache whose rows are fetched again many times
#[derive(Debug, Parser)]
#[command(name = "resyncs")]
struct Arguments {
    /// How many rows the database has
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// How often all rows are fetched again
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// How many ports change in a round
    #[arg(long, default_value_t = 1000)]
    changes: usize,
    /// The pause before the memory is read, in seconds; after ten seconds, idle threads of the cache end
    #[arg(long, default_value_t = 0.0)]
    pause: f64,
    /// Follow this remote, as the cache under test
    #[arg(long, hide = true, value_name = "REMOTE")]
    follow: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.follow {
        Some(remote) => follow(remote),
        None => run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", ovsdb::ErrorChain::new(&*error));
            ExitCode::FAILURE
        }
    }
}

/// The cache under test. It prints each mark that it shows, and how often it has fetched all rows again.
fn follow(remote: &str) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = Client::<Database>::builder().remotes(remote);
        let client = client.connect().await?;
        let cache = client.cache().all_tables().start().await?;
        let mut marks = cache.changes::<NbGlobal>();
        loop {
            marks.next().await.ok_or("the client ended")?;
            let view = cache.snapshot();
            let global = view.rows::<NbGlobal>().next();
            let mark = global.ok_or("NB_Global has no row")?.nb_cfg;
            let mut out = std::io::stdout().lock();
            writeln!(out, "{mark} {}", cache.stats().resyncs)?;
            out.flush()?;
        }
    })
}

/// The process of the cache.
struct Follower {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It follows until it is killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Follower {
    fn start(remote: &str) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--follow", remote])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the cache has no output")?;
        Ok(Self {
            process,
            lines: BufReader::new(output).lines(),
        })
    }

    /// Waits until the cache shows the mark. Returns how often it has fetched all rows again.
    fn wait_for(&mut self, mark: usize) -> Result<u64> {
        for line in self.lines.by_ref() {
            let line = line?;
            let (shown, resyncs) = line.split_once(' ').ok_or("the cache prints no mark")?;
            if shown.parse::<usize>()? == mark {
                return Ok(resyncs.parse()?);
            }
        }
        Err("the cache has ended".into())
    }
}

/// Writes a mark, and changes ports.
fn write(server: &Server, mark: usize, ports: std::ops::Range<usize>) -> Result {
    let mut connection = Connection::new(&server.socket())?;
    let mut operations =
        format!(r#"{{"op":"update","table":"NB_Global","where":[],"row":{{"nb_cfg":{mark}}}}}"#);
    for port in ports {
        operations += &format!(
            r#",{{"op":"update","table":"Logical_Switch_Port","where":[["_uuid","==",["uuid","{}"]]],"row":{{"options":["map",[["requested-chassis","worker-{mark}"],["iface-id-ver","{port}"]]]}}}}"#,
            port_uuid(port)
        );
    }
    connection.call("transact", &format!(r#"["OVN_Northbound",{operations}]"#))?;
    Ok(())
}

fn run(arguments: &Arguments) -> Result {
    let schema = bundled("OVN_Northbound").ok_or("no northbound schema")?;
    let mut server = Server::builder().schema(schema).start()?;
    let ports = arguments.rows * PORTS_PER_SWITCH / (PORTS_PER_SWITCH + 1);
    fill(server.remote(), ports)?;
    let mut follower = Follower::start(&server.remote())?;
    let process = follower.process.id();
    follower.wait_for(0)?;

    let (mut mark, mut sizes) = (0, Vec::new());
    let block = arguments.changes.div_ceil(TRANSACTIONS);
    let mut port = 0;
    for round in 0..=arguments.rounds {
        for _ in 0..TRANSACTIONS {
            mark += 1;
            port = if port + block > ports { 0 } else { port };
            write(&server, mark, port..(port + block).min(ports))?;
            port += block;
        }
        let resyncs = follower.wait_for(mark)?;
        sleep(Duration::from_secs_f64(arguments.pause));
        let size = memory(process, "VmRSS")?;
        sizes.push(size);
        eprintln!(
            "round {round}: {:.1} MB, {resyncs} resyncs",
            size as f64 / 1e6
        );
        if resyncs != round as u64 {
            return Err("the rows were not fetched again".into());
        }
        if round < arguments.rounds {
            server.kill()?;
            server.start()?;
            mark += 1;
            write(&server, mark, 0..0)?;
            follower.wait_for(mark)?;
        }
    }
    let tenth = sizes.len().div_ceil(10);
    let megabytes = |sizes: &[u64]| median(sizes.iter().map(|size| *size as f64 / 1e6));
    let (start, end) = (
        megabytes(&sizes[..tenth]),
        megabytes(&sizes[sizes.len() - tenth..]),
    );
    println!(
        "{}, {} rows, {} resyncs",
        machine()?,
        arguments.rows,
        arguments.rounds
    );
    println!(
        "RSS at start {start:.1} MB, at end {end:.1} MB, {:+.1} %",
        (end / start - 1.0) * 100.0,
    );
    Ok(())
}
