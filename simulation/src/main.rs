//! Clients and servers on a simulated network, determined by a seed: no sockets, no extra threads, virtual
//! time.
//!
//! The complete client and the complete embedded server of the crate `ovsdb` run as in programs, on a
//! single-threaded tokio runtime whose clock is paused: time advances only when no task can run. Pipes
//! within the process connect them; the simulated network cuts, delays and freezes these. All randomness
//! except that of TLS comes from the seed: the scenario, the order in which tokio polls ready tasks, uuids,
//! delays. So a seed gives the same run each time, byte for byte within TLS.
//!
//! `cargo xtask simulate` builds this with `--cfg simulation`. Without it, the program does nothing.
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
    eprintln!("this build simulates nothing: run `cargo xtask simulate`");
}
