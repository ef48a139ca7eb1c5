//! `multihoming check`: reads manifests and says what they describe; no database is needed.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use multihoming::network::networks;

use crate::failure::Failure;
use crate::input::Input;

/// Reads the manifests and says what they describe, without a database
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let manifests = arguments.input.read()?;
    let networks = networks(&manifests.nads, arguments.input.profile)?;
    let mut out = std::io::stdout().lock();
    for network in &networks {
        writeln!(
            out,
            "network {} ({})",
            network.config.name, network.config.topology
        )?;
    }
    writeln!(
        out,
        "{} nodes, {} pods",
        manifests.nodes.len(),
        manifests.pods.len()
    )?;
    Ok(ExitCode::SUCCESS)
}
