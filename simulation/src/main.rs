//! Clients and servers on a simulated network, from a seed: no sockets, no threads of theirs, virtual time.
//!
//! The whole client of the crate `ovsdb` runs, and its whole embedded server, each as programs use them, on
//! a tokio runtime of one thread whose clock is paused: time passes only when nothing is left to do. They
//! are connected by pipes within the process, which the network cuts, delays and freezes. What is left to
//! chance comes from the seed: the scenario, the order in which tokio looks at what is ready, uuids, waits.
//! So a seed gives the same run each time, byte for byte.
//!
//! `cargo xtask simulate` builds this with `--cfg simulation`. Otherwise it does nothing.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program talks to people"
)]

#[cfg(simulation)]
mod client;
#[cfg(simulation)]
mod command;
#[cfg(simulation)]
mod controller;
#[cfg(simulation)]
mod network;
#[cfg(simulation)]
mod oracle;
#[cfg(simulation)]
mod replica;
#[cfg(simulation)]
mod scenario;
#[cfg(simulation)]
mod servers;
#[cfg(simulation)]
mod shrink;
#[cfg(simulation)]
mod tables;
#[cfg(simulation)]
mod tls;
#[cfg(simulation)]
mod trace;
#[cfg(simulation)]
mod verdict;
#[cfg(simulation)]
mod work;
#[cfg(simulation)]
mod world;

#[cfg(simulation)]
fn main() -> std::process::ExitCode {
    command::run()
}

#[cfg(not(simulation))]
fn main() {
    eprintln!("`cargo xtask simulate` builds and runs this");
}
