//! The project's own tasks; `cargo xtask help` lists them.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these programs talk to people"
)]

mod api;
mod command;
mod e2e;
mod fuzz;
mod matrix;
mod mutants;
mod packages;
mod simulate;
mod soak;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// The result of every task; the error is a text for people.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The tasks, one module for each.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The tasks of the project ovsdb")]
enum Task {
    /// Run the checks: formatting, lints, spelling, dependencies, features, documentation, fuzz targets, simulation, tests
    Test(test::Arguments),
    /// Check the networks of `multihoming` by sending packets, on three nodes in network namespaces
    E2e(e2e::Arguments),
    /// Run clients and servers on a simulated network, determined by seeds
    Simulate(simulate::Arguments),
    /// Change the library in thousands of small ways, and check that a test fails each time
    Mutants(mutants::Arguments),
    /// Run caches and writers on a cluster whose leader hands over and whose members are killed
    Soak(soak::Arguments),
    /// Compare the public items with those of an earlier revision, before a release
    Api(api::Arguments),
    /// Run the tests and `e2e` with the daemons of other releases of Debian
    Matrix(matrix::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Test(arguments) => test::run_checks(&arguments),
        Task::E2e(arguments) => e2e::run(&arguments),
        Task::Simulate(arguments) => simulate::simulate(&arguments),
        Task::Mutants(arguments) => mutants::mutants(&arguments),
        Task::Soak(arguments) => soak::soak(&arguments),
        Task::Api(arguments) => api::compare(&arguments),
        Task::Matrix(arguments) => matrix::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
