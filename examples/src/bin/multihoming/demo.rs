//! `multihoming demo`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use multihoming::apply::{Grants, Others, apply};
use multihoming::cluster::{Cluster, Options};
use multihoming::connection::Connection;
use multihoming::database::Northbound;
use multihoming::error::Place;
use multihoming::manifest::Manifests;
use multihoming::show::{Picture, svg, tree};
use ovsdb::server::{PassiveRemote, Server};

use crate::failure::{Failure, tell_report};
use crate::progress::Progress;

/// Builds the networks of the sample manifests in a database of its own, and shows them
///
/// It builds a layer3, a layer2 and a localnet network with three nodes and their pods, in a
/// database within this program. It needs no other program and no privileges.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file for the picture, an SVG document; by default in the folder for temporary files
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Keep serving the database on a socket, until interrupted
    #[arg(long)]
    keep: bool,
    /// The path of the socket; by default in the folder for temporary files
    #[arg(long, value_name = "PATH", requires = "keep")]
    socket: Option<PathBuf>,
}

/// The sample manifests: their names, and their texts.
const MANIFESTS: [(&str, &str); 4] = [
    ("nodes.yaml", include_str!("../../../manifests/nodes.yaml")),
    (
        "l3-network.yaml",
        include_str!("../../../manifests/l3-network.yaml"),
    ),
    (
        "l2-network.yaml",
        include_str!("../../../manifests/l2-network.yaml"),
    ),
    (
        "localnet-network.yaml",
        include_str!("../../../manifests/localnet-network.yaml"),
    ),
];

/// Which of the layer3 network's subnets each node gets.
const NODE_SUBNETS: [(&str, u32); 3] = [("master001", 0), ("work002", 1), ("work001", 2)];

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut manifests = Manifests::default();
    for (name, text) in MANIFESTS {
        let place = Place {
            file: name.to_owned(),
            ..Place::default()
        };
        manifests.add_text(&place, text)?;
    }
    let node_subnets = NODE_SUBNETS.map(|(node, number)| (node.to_owned(), number));
    let options = Options {
        node_subnets: node_subnets.into(),
        cluster_mtu: Some(1400),
        ..Options::default()
    };
    let cluster = Cluster::new(&manifests, &options)?;
    let status = tell_report(&cluster.report);

    let schema = ovsdb::schema::bundled("OVN_Northbound").unwrap_or_default();
    let northbound = Northbound::connect(Connection::embedded(Server::memory(schema)?)).await?;
    let mut progress = Progress::default();
    let report = |done, all| progress.show(done, all);
    let done = apply(&northbound, &cluster, &Grants::new(), Others::Keep, report).await?;
    let picture = Picture::new(&northbound.cache.snapshot());
    let path = temporary(arguments.svg.as_ref(), "svg");
    std::fs::write(&path, svg::draw(&picture))?;
    let steps = done.steps.len();
    {
        let mut out = std::io::stdout().lock();
        write!(out, "{}", tree::draw(&picture))?;
        writeln!(
            out,
            "\n{steps} transactions; the picture is {}",
            path.display()
        )?;
    }
    if arguments.keep {
        serve(&northbound, temporary(arguments.socket.as_ref(), "sock")).await?;
    }
    Ok(status)
}

/// Serves the database until the user interrupts.
async fn serve(northbound: &Northbound, socket: PathBuf) -> Result<(), Failure> {
    if let Some(server) = northbound.server() {
        let remote = server.listen(&PassiveRemote::Unix { path: socket }).await?;
        writeln!(
            std::io::stdout().lock(),
            "serving on {remote} until interrupted; look with: ovn-nbctl --db={remote} show"
        )?;
        tokio::signal::ctrl_c().await?;
    }
    Ok(())
}

/// The given path, or one in the folder for temporary files.
fn temporary(given: Option<&PathBuf>, extension: &str) -> PathBuf {
    let name = format!("multihoming-demo-{}.{extension}", std::process::id());
    given.map_or_else(|| std::env::temp_dir().join(name), Clone::clone)
}
