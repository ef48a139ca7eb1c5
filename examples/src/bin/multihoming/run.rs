//! `multihoming run`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;
use multihoming::controller::{Controller, Settings, Watched};
use multihoming::database::Northbound;
use multihoming::remove::Others;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::connection::NorthboundDatabase;
use crate::failure::Failure;
use crate::input::{Input, Nodes};

/// Keeps the northbound database as the manifests say, until it is stopped
///
/// It watches the files and the database. A row that is deleted or edited by hand is restored, and
/// rows of objects that are no longer in the manifests are removed. If several instances run on one
/// database, only the one that holds the lock "multihoming" of the server works; the others wait
/// until it ends. Each server of a cluster has locks of its own, so all instances connect to the
/// leader only. An object that becomes invalid is reported in the log and left out, and its rows stay
/// as they are. While a file cannot be read or parsed, the earlier manifests stay in force. SIGTERM
/// and SIGINT end the program; the database stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: NorthboundDatabase,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    nodes: Nodes,
    /// Keep networks, nodes, pods and policies that are not in the manifests
    #[arg(long)]
    no_prune: bool,
    /// What to log to the standard error: a level, or TARGET=LEVEL, separated by commas
    #[arg(long, env = "RUST_LOG", default_value = "info,ovsdb=warn")]
    log: Targets,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(wants_colour());
    tracing_subscriber::registry()
        .with(lines)
        .with(arguments.log.clone())
        .init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        ended = control(arguments) => ended,
        _ = terminate.recv() => Ok(stopped("SIGTERM")),
        _ = interrupt.recv() => Ok(stopped("SIGINT")),
    }
}

async fn control(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let settings = Settings {
        paths: arguments.input.paths.clone(),
        options: arguments.nodes.options(&arguments.input),
        others: if arguments.no_prune {
            Others::Keep
        } else {
            Others::Remove
        },
    };
    let connection = arguments.database.leader()?;
    let manifests = Watched::new(settings)?;
    let northbound = Northbound::connect_waiting(connection).await?;
    let controller = Controller::start(northbound, manifests).await?;
    match controller.run().await? {}
}

/// Whether the log has colours: on a terminal, unless `NO_COLOR` is set and not empty.
fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

fn stopped(signal: &str) -> ExitCode {
    info!("{signal}: ending");
    ExitCode::SUCCESS
}
