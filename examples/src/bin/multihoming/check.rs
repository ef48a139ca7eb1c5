//! `multihoming check`: reads manifests and reports what they describe; no database is needed.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use multihoming::assign::{Known, assign};

use crate::failure::{Failure, tell, tell_report, worse};
use crate::input::{Input, Nodes};

/// Reads the manifests and reports what they describe, without a database
///
/// It reports everything that apply and plan would leave out, except what they would leave out because of
/// the rows of a database.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    nodes: Nodes,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cluster = arguments.nodes.cluster(&arguments.input)?;
    let mut status = tell_report(&cluster.report);
    for network in 0..cluster.networks.len() {
        let assignment = assign(&cluster, network, &Known::default())?;
        status = worse(status, tell(&assignment.refused, &assignment.warnings));
    }
    let mut out = std::io::stdout().lock();
    for network in &cluster.networks {
        let policies = cluster.policies_of(network).count();
        let config = &network.config;
        writeln!(
            out,
            "network {} ({}), {policies} policies",
            config.name, config.topology
        )?;
    }
    writeln!(
        out,
        "{} nodes, {} pods",
        cluster.nodes.len(),
        cluster.pods.len()
    )?;
    for pod in cluster.pods.iter().filter(|pod| pod.node.is_none()) {
        writeln!(out, "{}: has no node yet, and gets no port", pod.place)?;
    }
    Ok(status)
}
