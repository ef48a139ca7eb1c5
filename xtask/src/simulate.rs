//! `cargo xtask simulate`: clients and servers on a simulated network, determined by seeds.

use crate::Result;
use crate::command::{cargo, command, root, run};

/// The flags of the build: the project's own `cfg`, and the one with which tokio's scheduler accepts a
/// seed.
const FLAGS: &str = "--cfg simulation --cfg tokio_unstable";

/// The options of the simulation.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Options of the simulation; `--help` after `--` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn simulate(arguments: &Arguments) -> Result {
    let arguments: Vec<&str> = arguments.arguments.iter().map(String::as_str).collect();
    simulate_with(&arguments)
}

/// Runs the simulation with these options. It is built in a separate folder, since its flags affect
/// every crate.
pub(crate) fn simulate_with(options: &[&str]) -> Result {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut arguments = vec!["run", "--package=ovsdb-simulation", "--profile=simulation"];
    arguments.extend(["--locked", "--quiet", "--"]);
    arguments.extend(options);
    run(command(&cargo(), &arguments)
        .env("RUSTFLAGS", format!("{flags} {FLAGS}"))
        .env("CARGO_TARGET_DIR", root().join("target/simulation")))
}

/// Runs clippy on the simulation, and on the code of the library that only the simulation has.
pub(crate) fn lint() -> Result {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let arguments = [
        "clippy",
        "--package=ovsdb-simulation",
        "--profile=simulation",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    run(command(&cargo(), &arguments)
        .env("RUSTFLAGS", format!("{flags} {FLAGS}"))
        .env("CARGO_TARGET_DIR", root().join("target/simulation")))
}
