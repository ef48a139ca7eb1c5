//! `multihoming delete`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use multihoming::apply::{ApplyError, Steps};
use multihoming::database::Northbound;
use multihoming::network::Networks;
use multihoming::remove;
use multihoming::topology::Draft;

use crate::connection::NorthboundDatabase;
use crate::failure::{Failure, tell_report};
use crate::input::Input;

/// Removes from the northbound database what the manifests describe
///
/// A network is removed with everything on it, unless pods are attached to it by another
/// NetworkAttachmentDefinition that is not in the manifests. The rows that all routers share stay.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: NorthboundDatabase,
    #[command(flatten)]
    input: Input,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let manifests = arguments.input.read()?;
    let mut report = manifests.report.clone();
    let networks = Networks::new(&manifests, arguments.input.profile, &mut report).networks;
    let status = tell_report(&report);
    let northbound = Northbound::connect(arguments.database.connection()?).await?;
    let mut draft = Draft::new(&northbound);
    remove::described(&mut draft, &manifests, &networks);
    let steps = Steps::new(&draft).map_err(ApplyError::from)?;
    let mut done = Vec::new();
    steps.commit(&mut done, |_, _| {}).await?;
    let mut out = std::io::stdout().lock();
    for step in &done {
        writeln!(out, "{step}: done")?;
    }
    if done.is_empty() {
        writeln!(out, "nothing to do")?;
    }
    Ok(status)
}
