//! Compares the server of this library with ovsdb-server: processor time, memory, time to start. Each
//! is a separate process that serves a file on a unix socket, and both are measured in the same way.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program prints its results"
)]

mod in_process;
mod measure;
mod servers;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::servers::Kind;
use clap::Parser;

/// Compare this library's server with ovsdb-server
#[derive(Debug, Parser)]
#[command(name = "server-throughput")]
struct Arguments {
    /// How many ports the database has, ten to a switch
    #[arg(long, default_value_t = 100_000)]
    ports: usize,
    /// A server to measure; may be given twice; by default both are measured
    #[arg(long = "server", value_enum)]
    servers: Vec<Kind>,
    /// How many times each server is measured; the servers take turns
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many transactions change one row each
    #[arg(long, default_value_t = 5000)]
    single: usize,
    /// How many transactions change 100 rows each
    #[arg(long, default_value_t = 500)]
    batches: usize,
    /// How many clients follow, with the same monitor
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// How many servers are made, filled and dropped in this process
    #[arg(long, default_value_t = 1000)]
    made: usize,
    /// Print each measurement as a line of JSON
    #[arg(long)]
    json: bool,
    /// Run as the measured server, and serve this file
    #[arg(long, value_name = "FILE", hide = true, requires = "socket")]
    serve: Option<PathBuf>,
    /// The socket to serve it on
    #[arg(long, value_name = "SOCKET", hide = true)]
    socket: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match (&arguments.serve, &arguments.socket) {
        (Some(file), Some(socket)) => servers::serve(file, socket),
        _ => measure::compare(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", ovsdb::ErrorChain::new(&*error));
            ExitCode::FAILURE
        }
    }
}
