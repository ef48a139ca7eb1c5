//! `cargo xtask e2e`: checks the example program's networks by sending packets.
//!
//! Three nodes run Open vSwitch and OVN as on real machines: each is a network namespace with its own
//! ovsdb-server, ovs-vswitchd (in user space) and ovn-controller. `multihoming` configures the networks
//! in the databases, and packets show whether the configuration is right. With `--server embedded`, the
//! library's server (the program `ovsdb-serve`) replaces every ovsdb-server.
//!
//! Everything runs in a [`sandbox`], which the kernel removes completely, however the run ends.

mod capture;
mod cleanup;
mod cluster;
mod database;
mod footprint;
mod lab;
mod namespace;
mod node;
mod pod;
mod process;
mod sandbox;
mod scenarios;
mod table;
mod wait;

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use multihoming::config::Profile;

use self::database::Kind;
use self::lab::Lab;
use self::scenarios::Scenario;
use crate::command::run_cargo;
use crate::{Result, packages};

/// The options of the run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The scenarios to run; without a scenario, all of them
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Which version of OVN-Kubernetes to follow; by default all of them, one after the other
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Which server to use for all databases of all machines
    #[arg(long, value_enum, default_value = "ovsdb")]
    server: Kind,
    /// Show the commands of `multihoming`
    #[arg(long, short)]
    verbose: bool,
    /// Copy the daemons' logs into this folder
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
    /// How the run ends, for the check that nothing is left behind
    #[arg(long, value_enum, hide = true, default_value = "well")]
    end: End,
    /// The part that runs in the sandbox
    #[arg(long, hide = true)]
    inside: bool,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum End {
    /// When the scenarios are done.
    Well,
    /// With an error.
    Failure,
    /// With a panic.
    Panic,
    /// Never, unless it is killed.
    Hang,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    if arguments.inside {
        return inside(arguments);
    }
    packages::ensure(packages::DATABASE)?;
    packages::ensure(packages::DAEMONS)?;
    packages::ensure(packages::NETWORK)?;
    if !packages::is_root() {
        return Err("network namespaces need root: run it with sudo".into());
    }
    if arguments.end != End::Well {
        return sandbox::run(&[]);
    }
    // Build this program's package too, so that common dependencies are built once, with the features that both need.
    run_cargo(
        "build --quiet --package xtask --package ovsdb-examples --bin multihoming --bin ovsdb-serve",
    )?;
    let start = Instant::now();
    if arguments.profile.is_some() {
        sandbox::run(&[])?;
    } else {
        for profile in Profile::value_variants() {
            let profile = profile.to_possible_value().ok_or("a hidden profile")?;
            println!("OVN-Kubernetes as in {}", profile.get_name());
            sandbox::run(&["--profile", profile.get_name()])?;
        }
    }
    if arguments.scenarios.is_empty() {
        cleanup::check()?;
    }
    println!("done in {} s", start.elapsed().as_secs());
    Ok(())
}

/// What runs in the sandbox.
fn inside(arguments: &Arguments) -> Result {
    sandbox::mount_files()?;
    let mut lab = Lab::new(
        arguments.profile.unwrap_or_default(),
        arguments.server,
        arguments.verbose,
    )?;
    match arguments.end {
        End::Well => {}
        End::Failure => {
            cleanup::ready(&lab);
            return Err("a deliberate failure".into());
        }
        End::Panic => {
            cleanup::ready(&lab);
            panic!("a deliberate panic");
        }
        End::Hang => {
            cleanup::ready(&lab);
            loop {
                std::thread::park();
            }
        }
    }
    let done = scenarios::run(&mut lab, &arguments.scenarios);
    if let Some(folder) = &arguments.logs {
        lab.cluster.copy_logs(folder)?;
    }
    if done.is_err() {
        lab.cluster.show_logs();
    }
    done
}
