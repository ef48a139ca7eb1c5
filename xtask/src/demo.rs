//! `cargo xtask demo`: the main job, end to end, on a database of its own.

use ovsdb::testing::{Server, program};

use crate::command::{command, root, run, run_cargo};
use crate::{Result, packages};

/// The demo's options.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A manifest, or a folder of them, as often as wanted
    #[arg(short, long, value_name = "PATH", default_values = MANIFESTS)]
    file: Vec<String>,
    /// Which of a network's subnets each node has
    #[arg(
        long,
        value_name = "NAME=N,...",
        default_value = "master001=0,work002=1,work001=2"
    )]
    node_subnets: String,
}

/// A layer-3 network, and the nodes and pods that it joins.
const MANIFESTS: [&str; 2] = [
    "examples/manifests/nodes.yaml",
    "examples/manifests/l3-network.yaml",
];

/// Applies the manifests to a new northbound database, and shows what became of them.
pub(crate) fn run_demo(arguments: &Arguments) -> Result {
    packages::ensure(packages::DATABASE)?;
    run_cargo("build --release --locked --bin multihoming")?;
    let multihoming = root().join("target/release/multihoming");
    let multihoming = multihoming.to_string_lossy();

    let schema = ovsdb::schema::bundled("OVN_Northbound").ok_or("no northbound schema")?;
    let server = Server::builder().schema(schema).start()?;
    let remote = server.remote();
    let mut apply = command(&multihoming, &["apply", "--nb", &remote]);
    for file in &arguments.file {
        apply.args(["-f", file]);
    }
    run(apply.args(["--node-subnets", &arguments.node_subnets]))?;
    run(&mut command(&multihoming, &["show", "--nb", &remote]))?;
    let nbctl = program("ovn-nbctl")?;
    let database = format!("--db={remote}");
    run(&mut command(&nbctl.to_string_lossy(), &[&database, "show"]))
}
