//! `multihoming apply`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use multihoming::apply::{Grants, Others, apply};
use multihoming::database::Northbound;

use crate::failure::Failure;
use crate::input::{Database, Input, Nodes};

/// Makes the northbound database hold what the manifests describe
///
/// Rows that are there already are kept, and corrected where they differ. What is in the database
/// and not in the manifests stays, unless --prune is given. A second run changes nothing.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    nodes: Nodes,
    /// Remove the networks, nodes and pods that are not in the manifests
    #[arg(long)]
    prune: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cluster = arguments.nodes.cluster(&arguments.input)?;
    let northbound = Northbound::connect(&arguments.database.northbound).await?;
    let others = if arguments.prune {
        Others::Remove
    } else {
        Others::Keep
    };
    let done = apply(&northbound, &cluster, &Grants::new(), others, |_, _| {}).await?;
    let mut out = std::io::stdout().lock();
    for step in &done.steps {
        writeln!(out, "{step}: done")?;
    }
    if done.steps.is_empty() {
        writeln!(out, "nothing to do")?;
    }
    Ok(ExitCode::SUCCESS)
}
