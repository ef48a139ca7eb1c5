//! A cluster whose leadership is transferred and whose members are killed all the time. Caches follow it, and
//! writers record what they wrote. At the end, the program reports what is duplicated, lost or different, and
//! how stale the caches were.
//!
//! The members are ovsdb-servers, unless `OVSDB_TEST_SERVER=embedded` selects the library's. Each cache runs
//! in a separate process, as the peers do, so that its memory can be measured. `cargo xtask soak` runs this
//! program.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program prints its results"
)]

mod faults;
mod final_check;
mod follow;
mod followers;
mod heartbeats;
mod ledger;
mod report;
mod writers;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ovsdb::schema::bundled;
use ovsdb::testing::Cluster;
use ovsdb_benches::process::machine;
use ovsdb_benches::{Kind, PORTS_PER_SWITCH, Result, fill};

use crate::faults::Faults;
use crate::followers::Followers;
use crate::heartbeats::Heartbeats;
use crate::report::Report;
use crate::writers::Writers;

/// The members of the cluster.
const MEMBERS: usize = 3;

/// Run caches and writers on a cluster whose leadership is transferred and whose members are killed
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How long faults are injected, in minutes
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// How many rows the database has
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// How many clients write
    #[arg(long, default_value_t = 4)]
    writers: usize,
    /// How many caches follow
    #[arg(long, default_value_t = 3)]
    caches: usize,
    /// Peers that follow as well; all of them if the option has no value
    #[arg(long, value_enum, num_args = 0.., value_delimiter = ',')]
    peers: Option<Vec<Kind>>,
    /// The interval between transfers of the leadership, in seconds
    #[arg(long, default_value_t = 5.0)]
    transfer_every: f64,
    /// The interval between kills of a member, in seconds
    #[arg(long, default_value_t = 60.0)]
    kill_every: f64,
    /// How long a killed member is down, in seconds
    #[arg(long, default_value_t = 10.0)]
    down: f64,
    /// The pause of a writer between two transactions, in milliseconds
    #[arg(long, default_value_t = 20)]
    pause: u64,
    /// Run as one of the caches, and follow these remotes
    #[arg(long, hide = true, value_name = "REMOTES")]
    follow: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.follow {
        Some(remotes) => follow::follow(remotes).map(|()| true),
        None => soak(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", ovsdb::ErrorChain::new(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Runs the soak. Returns whether there were no errors.
fn soak(arguments: &Arguments) -> Result<bool> {
    let schema = bundled("OVN_Northbound").ok_or("no northbound schema")?;
    let mut cluster = Cluster::start(schema, MEMBERS)?;
    // Every ten ports have a switch, which is a row too.
    let ports = arguments.rows * PORTS_PER_SWITCH / (PORTS_PER_SWITCH + 1);
    fill(cluster.members()[cluster.leader()?].remote(), ports)?;
    eprintln!("{ports} ports in a cluster of {MEMBERS}");

    let remotes = cluster.remotes();
    let mut kinds = vec![Kind::Ovsdb; arguments.caches];
    match arguments.peers.as_deref() {
        Some([]) => kinds.extend([Kind::CIdl, Kind::PythonIdl]),
        Some(peers) => kinds.extend(peers),
        None => {}
    }
    let followers = Followers::start(&kinds, &remotes, MEMBERS)?;
    eprintln!("{} clients follow", kinds.len());
    let heartbeats = Heartbeats::start(&cluster);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let pause = Duration::from_millis(arguments.pause);
    let writers = runtime.block_on(Writers::start(&remotes, arguments.writers, ports, pause))?;

    let faults = Faults::cause(&mut cluster, arguments)?;
    let memory = followers.memory();
    let ledger = runtime.block_on(writers.stop())?;
    let heartbeats = heartbeats.stop()?;
    followers.wait_for(&heartbeats)?;
    let writes = runtime.block_on(final_check::check(&cluster, ledger))?;
    let followed = followers.finish(&cluster, memory)?;
    let report = Report::new(faults, heartbeats, followed, writes);
    println!("{}, {} rows", machine()?, arguments.rows);
    report.print();
    Ok(report.is_right())
}
