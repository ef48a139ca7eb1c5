//! `cargo xtask simulate`: clients and servers on a simulated network, from seeds.

use crate::Result;
use crate::command::{cargo, command, root, run};

/// What the program is built with: its own switch, and that of tokio by which its scheduler takes a seed.
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

/// Runs the simulation with these options. It is built in a folder of its own, since the flags concern
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

/// clippy has nothing to say of the simulation, nor of what the library has for it.
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
