//! The speed and memory of clients that follow a northbound database of many ports: the client of
//! this library, the C IDL and Python's IDL. Each is a separate process, and all are measured in the
//! same way.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program prints its results"
)]

mod client;
mod figures;
mod follower;
mod measure;
mod replay;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ovsdb_benches::{Kind, Northbound, Result};

/// Measure clients that follow a northbound database
#[derive(Debug, Parser)]
#[command(name = "monitor-throughput")]
struct Arguments {
    /// How many ports the database has, ten to a switch
    #[arg(long, default_value_t = 100_000)]
    ports: usize,
    /// A client to measure; may be given several times; by default all clients are measured
    #[arg(long = "client", value_enum)]
    clients: Vec<Kind>,
    /// How many times each client is measured; the clients take turns
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many transactions change one row each
    #[arg(long, default_value_t = 2000)]
    single: usize,
    /// How many transactions change 100 rows each; the default changes every port once
    #[arg(long, default_value_t = 1000)]
    batches: usize,
    /// Print each measurement as a line of JSON
    #[arg(long)]
    json: bool,
    /// Write the reply with all rows to a file, and measure nothing
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Measure only decoding and applying the recorded reply from memory
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    replay: Option<PathBuf>,
    /// Run as the measured client, and follow this remote
    #[arg(long, value_name = "REMOTE", hide = true)]
    follow: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", ovsdb::ErrorChain::new(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result {
    if let Some(remote) = &arguments.follow {
        return client::follow(remote);
    }
    if let Some(file) = &arguments.replay {
        return replay::replay_file(file, arguments.runs, arguments.json);
    }
    if let Some(file) = &arguments.record {
        let reply = Northbound::with_ports(arguments.ports)?.initial_reply()?;
        std::fs::write(file, &reply)?;
        eprintln!("{}: {} bytes", file.display(), reply.len());
        return Ok(());
    }
    measure::compare(arguments)
}
