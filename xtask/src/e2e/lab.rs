//! The state that the scenarios share: the cluster, the networks that are up, and their pods.

use std::collections::BTreeMap;

use clap::ValueEnum as _;
use multihoming::cluster::{Cluster, Options};
use multihoming::config::Profile;
use multihoming::grant::{self, Grants};
use multihoming::manifest::Manifests;
use multihoming::names::pod_port;
use serde_json::Value;

use super::cluster::Machines;
use super::database::Kind;
use super::node::Multihoming;
use super::pod::{Attachment, Pod};
use super::wait::eventually;
use crate::Result;
use crate::command::root;

/// A network with a pod on each of two nodes.
#[derive(Debug)]
pub(super) struct Network {
    /// The manifest with the NAD and the pods.
    pub(super) manifest: &'static str,
    /// The two pods.
    pub(super) pods: [&'static str; 2],
    /// The time to live of a reply when it arrives.
    pub(super) ttl: u8,
    /// Its name in the manifest, if it is a localnet network, which reaches the physical network.
    localnet: Option<&'static str>,
}

impl Network {
    /// The network's name in the nodes' bridge mappings, if it needs one.
    fn network_name(&self, profile: Profile) -> Option<String> {
        self.localnet.map(|name| match profile {
            Profile::Mid2023 => format!("{}_br-localnet", name.replace('-', ".")),
            Profile::Central2026 => name.to_owned(),
        })
    }
}

/// The recorded layer3 network: `examples/tests/files/golden.json` has the rows and addresses of a real cluster.
pub(super) const LAYER3: Network = Network {
    manifest: "examples/manifests/l3-network.yaml",
    pods: ["nginx1-l3", "nginx2-l3"],
    ttl: 63,
    localnet: None,
};

/// The recorded layer2 network.
pub(super) const LAYER2: Network = Network {
    manifest: "examples/manifests/l2-network.yaml",
    pods: ["nginx1-l2", "nginx2-l2"],
    ttl: 64,
    localnet: None,
};

/// The recorded localnet network.
pub(super) const LOCALNET: Network = Network {
    manifest: "examples/manifests/localnet-network.yaml",
    pods: ["nginx1-lo", "nginx2-lo"],
    ttl: 64,
    localnet: Some("localnet-network"),
};

/// A localnet network with a VLAN.
pub(super) const VLAN: Network = Network {
    manifest: "xtask/manifests/vlan-network.yaml",
    pods: ["nginx1-vlan", "nginx2-vlan"],
    ttl: 64,
    localnet: Some("vlan-network"),
};

/// A layer3 network with IPv4 and IPv6.
pub(super) const DUAL_STACK: Network = Network {
    manifest: "xtask/manifests/dual-stack-network.yaml",
    pods: ["nginx1-dual", "nginx2-dual"],
    ttl: 63,
    localnet: None,
};

/// The nodes of the recorded cluster.
pub(super) const NODES: &str = "examples/manifests/nodes.yaml";

/// Everything that runs. It is dropped in the order of the fields.
#[derive(Debug)]
pub(super) struct Lab {
    pods: BTreeMap<String, Pod>,
    pub(super) cluster: Machines,
    pub(super) multihoming: Multihoming,
    profile: Profile,
}

/// The two pods of a network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) one: &'a Pod,
    pub(super) two: &'a Pod,
}

impl Lab {
    /// Boots the cluster.
    pub(super) fn new(profile: Profile, kind: Kind, verbose: bool) -> Result<Self> {
        let multihoming = Multihoming::new(verbose)?;
        Ok(Self {
            pods: BTreeMap::new(),
            cluster: Machines::boot(&multihoming, kind)?,
            multihoming,
            profile,
        })
    }

    /// Runs a command of `multihoming` on the northbound database with manifests.
    pub(super) fn northbound(&self, command: &str, manifests: &[&str]) -> Result<String> {
        let profile = self.profile.to_possible_value().ok_or("a hidden profile")?;
        let (remote, profile) = (self.cluster.remote(), profile.get_name().to_owned());
        let mut arguments = format!("{command} --nb {remote} --profile {profile}");
        for manifest in manifests {
            arguments += &format!(" -f {}", root().join(manifest).display());
        }
        self.multihoming.run(&arguments)
    }

    /// Creates a network and starts its pods, unless they run. When this returns, packets pass.
    pub(super) fn bring_up(&mut self, network: &Network) -> Result {
        let [one, two] = network.pods;
        if self.pods.contains_key(one) {
            return Ok(());
        }
        if let Some(name) = network.network_name(self.profile) {
            for node in &self.cluster.nodes {
                let remote = node.remote();
                let command = format!("node --ovs {remote} bridge-mapping {name}:br-out");
                self.multihoming.run(&command)?;
            }
        }
        let status = self.northbound("apply --status json", &[NODES, network.manifest])?;
        for (node, attachment) in self.attachments(network.manifest, &status)? {
            let node = self.cluster.node(&node)?;
            let pod = Pod::start(attachment, node, &self.multihoming)?;
            self.pods.insert(pod.name().to_owned(), pod);
        }
        let pair = self.pair(network)?;
        let to = pair.two.address()?;
        let answer = || pair.one.ping(to, "");
        eventually(&format!("an answer from {two} to {one}"), answer).map(drop)
    }

    /// The pods of a network that is up.
    pub(super) fn pair(&self, network: &Network) -> Result<Pair<'_>> {
        let [one, two] = network.pods.map(|name| self.pods.get(name));
        let (one, two) = one.zip(two).ok_or("the network is not up")?;
        Ok(Pair { one, two })
    }

    /// Whether the database says that a pod's port is up.
    pub(super) fn is_up(&self, pod: &Pod) -> Result<bool> {
        let Attachment {
            nad,
            namespace,
            pod,
            ..
        } = &pod.attachment;
        let name = pod_port(nad, namespace, pod);
        let rows = self.cluster.rows("OVN_Northbound", "Logical_Switch_Port")?;
        let port = rows.iter().find(|row| row["name"] == *name);
        Ok(port.is_some_and(|port| port["up"] == true))
    }

    /// Ends the pods of a network, as a CNI plug-in does, and forgets them.
    pub(super) fn end_pods(&mut self, network: &Network) -> Result {
        for name in network.pods {
            if let Some(pod) = self.pods.remove(name) {
                let node = self.cluster.node(pod.node)?;
                pod.detach(node, &self.multihoming)?;
            }
        }
        Ok(())
    }

    /// The attachments of a manifest's pods, and their nodes. Their addresses are read from the annotations
    /// that `multihoming` printed, as a CNI plug-in does.
    fn attachments(&self, manifest: &str, status: &str) -> Result<Vec<(String, Attachment)>> {
        let manifests = Manifests::read(&[NODES, manifest].map(|path| root().join(path)))?;
        let options = Options {
            profile: self.profile,
            ..Options::default()
        };
        let cluster = Cluster::new(&manifests, &options)?;
        let status: Value = serde_json::from_str(status)?;
        let mut attachments = Vec::new();
        for pod in &cluster.pods {
            let items = status["items"].as_array().into_iter().flatten();
            let mut annotations = items
                .filter(|item| item["kind"] == "Pod" && item["metadata"]["name"] == *pod.name)
                .filter_map(|item| item["metadata"]["annotations"][grant::ANNOTATION].as_str());
            let annotation = annotations.next().ok_or("a pod without an annotation")?;
            let grants = Grants::read(grant::ANNOTATION, annotation)?;
            for attachment in &pod.attachments {
                let network = &cluster.networks[attachment.network].config;
                let grant = grants.get(&attachment.key)?;
                let attachment = Attachment {
                    namespace: pod.namespace.clone(),
                    pod: pod.name.clone(),
                    uid: pod.uid.clone().ok_or("a pod without a uid")?,
                    network: network.name.clone(),
                    nad: attachment.key.clone(),
                    interface: attachment.interface.clone(),
                    mtu: network.mtu,
                    grant: grant.ok_or("an attachment without a grant")?,
                };
                let node = pod.node.clone().ok_or("a pod without a node")?;
                attachments.push((node, attachment));
            }
        }
        Ok(attachments)
    }
}
