//! `multihoming`: OVN-Kubernetes secondary networks from Kubernetes manifests.
//!
//! One module for each subcommand: its arguments, and what it does with them.

mod apply;
mod check;
mod connection;
mod delete;
mod demo;
mod environment;
mod failure;
mod input;
mod node;
mod plan;
mod progress;
mod run;
mod show;
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds OVN-Kubernetes' secondary networks in OVN's databases, from Kubernetes manifests.
///
/// An object that is wrong, or contradicts another one, is left out and reported on the standard
/// error, and everything else is done, as by OVN-Kubernetes: a network whose description is wrong, a
/// node, pod or policy with a malformed field or annotation, an attachment to a network that no
/// manifest describes, an address that cannot be granted. Rows that such an object describes are not
/// removed from the database either. Nothing is done if the command line is wrong, or if a file
/// cannot be read or is neither YAML nor JSON. Kinds of objects that the program does not read,
/// networks of other CNI plug-ins and unknown members are reported as well; they are not errors.
///
/// The exit status is 0 on success; 2 if something was left out, or nothing was done because of the
/// command line or a file; and 1 for any other failure. `plan` has its own exit statuses.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Apply(apply::Arguments),
    Check(check::Arguments),
    Delete(delete::Arguments),
    Demo(demo::Arguments),
    Node(Box<node::Arguments>),
    Plan(plan::Arguments),
    Run(Box<run::Arguments>),
    Show(show::Arguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let is_plan = matches!(command, Command::Plan(_));
    let result = match command {
        Command::Apply(arguments) => apply::run(&arguments).await,
        Command::Check(arguments) => check::run(&arguments),
        Command::Delete(arguments) => delete::run(&arguments).await,
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::Node(arguments) => node::run(&arguments).await,
        Command::Plan(arguments) => plan::run(&arguments).await,
        Command::Run(arguments) => run::run(&arguments).await,
        Command::Show(arguments) => show::run(&arguments).await,
    };
    result.unwrap_or_else(|failure| {
        let status = failure::report(&failure);
        // For a plan, 1 means that there is something to do.
        if is_plan { ExitCode::from(2) } else { status }
    })
}
