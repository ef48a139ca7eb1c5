//! `multihoming apply`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use multihoming::apply::{Done, Grants, apply};
use multihoming::cluster::Cluster;
use multihoming::database::Northbound;
use multihoming::status;

use crate::connection::NorthboundDatabase;
use crate::failure::{Failure, tell, tell_report, worse};
use crate::input::{Changes, Input, Nodes};
use crate::progress::Progress;
use crate::wait::Waiting;

/// Builds in the northbound database what the manifests describe
///
/// Rows that exist already are kept, and corrected where they differ. Rows of objects that are not
/// in the manifests stay, unless --prune is given. A second run changes nothing.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: NorthboundDatabase,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    nodes: Nodes,
    #[command(flatten)]
    changes: Changes,
    /// Print the annotations that the cluster's nodes and pods would get, as manifests, instead of
    /// what was done
    #[arg(long, value_enum)]
    status: Option<Format>,
    #[command(flatten)]
    wait: Waiting,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cluster = arguments.nodes.cluster(&arguments.input)?;
    let status = tell_report(&cluster.report);
    let wait = arguments.wait.wait(&arguments.database)?;
    let northbound = Northbound::connect(arguments.database.connection()?).await?;
    let mut progress = Progress::default();
    let others = arguments.changes.others();
    let report = |done, all| progress.show(done, all);
    let done = apply(&northbound, &cluster, &Grants::new(), others, report).await?;
    let status = worse(status, tell(&done.refused, &done.warnings));
    print(arguments.status, &cluster, &done)?;
    if let Some(wait) = wait {
        wait.run(&northbound.client, arguments.status.is_none())
            .await?;
    }
    Ok(status)
}

fn print(status: Option<Format>, cluster: &Cluster, done: &Done) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if let Some(format) = status {
        let list = status::list(cluster, &done.granted);
        match format {
            Format::Json => writeln!(out, "{list:#}")?,
            Format::Yaml => out.write_all(serde_saphyr::to_string(&list)?.as_bytes())?,
        }
        return Ok(());
    }
    for step in &done.steps {
        writeln!(out, "{step}: done")?;
    }
    if done.steps.is_empty() {
        writeln!(out, "nothing to do")?;
    }
    Ok(())
}
