//! The arguments that say what the input is; commands share them.

use std::path::PathBuf;

use clap::Args;
use multihoming::apply::Others;
use multihoming::cluster::{Cluster, Options};
use multihoming::config::Profile;
use multihoming::error::InputError;
use multihoming::manifest::Manifests;

/// What is read.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// A manifest, a folder of manifests, or `-` for the standard input; may be given again
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Which OVN-Kubernetes to follow: of July 2023, or of April 2026, the last that had a central
    /// mode
    ///
    /// The form that OVN-Kubernetes has had since May 2026, interconnect only, is not among them.
    /// The profiles differ in names and ids. Both take the policyTypes of a MultiNetworkPolicy literally: a
    /// policy without them isolates nobody.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) profile: Profile,
}

impl Input {
    /// Reads the manifests.
    pub(crate) fn read(&self) -> Result<Manifests, InputError> {
        Manifests::read(&self.paths)
    }
}

/// What is said of nodes besides the manifests.
#[derive(Debug, Args)]
pub(crate) struct Nodes {
    /// A node, with its chassis (system-id) where that is not called as the node is; may be given
    /// again
    #[arg(long = "node", value_name = "NAME[=CHASSIS]", value_parser = node)]
    nodes: Vec<(String, Option<String>)>,
    /// Which of a layer3 network's subnets a node gets, counted from 0. It goes before the node's
    /// annotation. Where no Node manifest and no --node is given, these are the nodes
    #[arg(long, value_name = "NAME=N,...", value_delimiter = ',', value_parser = node_subnet)]
    node_subnets: Vec<(String, u32)>,
    /// The cluster's MTU, which the routers of central-2026 check
    #[arg(long, value_name = "BYTES", default_value_t = 1400, value_parser = clap::value_parser!(u32).range(576..=65535))]
    cluster_mtu: u32,
}

impl Nodes {
    /// Puts the manifests and these nodes together.
    pub(crate) fn cluster(&self, input: &Input) -> Result<Cluster, InputError> {
        Cluster::new(&input.read()?, &self.options(input))
    }

    /// What is said besides the manifests.
    pub(crate) fn options(&self, input: &Input) -> Options {
        Options {
            profile: input.profile,
            nodes: self.nodes.clone(),
            node_subnets: self.node_subnets.iter().cloned().collect(),
            cluster_mtu: Some(self.cluster_mtu),
        }
    }
}

fn node(text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('=') {
        Some((_, "")) => Err("the chassis has no name".to_owned()),
        Some((name, chassis)) => Ok((name.to_owned(), Some(chassis.to_owned()))),
        None => Ok((text.to_owned(), None)),
    }
}

fn node_subnet(text: &str) -> Result<(String, u32), String> {
    let (name, number) = text.split_once('=').ok_or("not NAME=N")?;
    let number = number
        .parse()
        .map_err(|_| format!("{number:?} is not a number"))?;
    Ok((name.to_owned(), number))
}

/// What becomes of what is not in the manifests.
#[derive(Debug, Args)]
pub(crate) struct Changes {
    /// Remove the networks, nodes, pods and policies that are not in the manifests
    #[arg(long)]
    prune: bool,
}

impl Changes {
    pub(crate) const fn others(&self) -> Others {
        if self.prune {
            Others::Remove
        } else {
            Others::Keep
        }
    }
}
