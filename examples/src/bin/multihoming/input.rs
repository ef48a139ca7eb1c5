//! The arguments for the input, which commands share.

use std::path::PathBuf;

use clap::Args;
use multihoming::apply::Others;
use multihoming::cluster::{Cluster, Options};
use multihoming::config::Profile;
use multihoming::error::InputError;
use multihoming::manifest::Manifests;

/// The manifests to read.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// A manifest, a folder of manifests, or `-` for the standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The version of OVN-Kubernetes to follow: of July 2023, or of April 2026, the last one with a
    /// central mode
    ///
    /// Later versions, since May 2026, have interconnect only, and are not supported. The profiles differ
    /// in the fields that they read, in names and ids, and in the ACLs of policies. Both take the
    /// policyTypes of a MultiNetworkPolicy literally: a policy without them isolates no pod.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) profile: Profile,
}

impl Input {
    /// Reads the manifests.
    pub(crate) fn read(&self) -> Result<Manifests, InputError> {
        Manifests::read(&self.paths)
    }
}

/// Nodes, in addition to those of the manifests.
#[derive(Debug, Args)]
pub(crate) struct Nodes {
    /// A node, with its chassis (system-id) if that has another name than the node; may be given
    /// several times
    #[arg(long = "node", value_name = "NAME[=CHASSIS]", value_parser = node)]
    nodes: Vec<(String, Option<String>)>,
    /// Which subnet of each layer3 network a node gets, counted from 0. This takes precedence over
    /// the node's annotation. If there is no Node manifest and no --node, these are the nodes
    #[arg(long, value_name = "NAME=N,...", value_delimiter = ',', value_parser = node_subnet)]
    node_subnets: Vec<(String, u32)>,
    /// The cluster's MTU, which routers check in the profile central-2026
    #[arg(long, value_name = "BYTES", default_value_t = 1400, value_parser = clap::value_parser!(u32).range(576..=65535))]
    cluster_mtu: u32,
}

impl Nodes {
    /// The cluster that the manifests and these nodes describe.
    pub(crate) fn cluster(&self, input: &Input) -> Result<Cluster, InputError> {
        Cluster::new(&input.read()?, &self.options(input))
    }

    /// The options that add to the manifests.
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

/// What to do with rows whose objects are not in the manifests.
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
