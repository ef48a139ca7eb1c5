//! The requests of the manifests and the command line, put together: networks, nodes, pods with their
//! attachments, namespaces, and policies. Nothing here knows about databases.

mod nodes;
mod reader;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use ipnet::IpNet;

use self::reader::{LeftOut, PodReader, check_policy};
use crate::addresses::Mac;
use crate::config::Profile;
use crate::error::{InputError, Place};
use crate::grant::Grant;
use crate::manifest::{self, Manifests, POLICY};
use crate::network::{Network, Networks};
use crate::policy::{self, Namespace, Policy};
use crate::report::Report;

/// The annotation with a node's subnets.
pub const NODE_SUBNETS: &str = "k8s.ovn.org/node-subnets";
/// The MTU of a cluster that does not set one.
const CLUSTER_MTU: u32 = 1400;

/// What the command line says in addition to the manifests.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The version of OVN-Kubernetes to follow.
    pub profile: Profile,
    /// Names of nodes, each with the name of its chassis if that is not the node's own name.
    pub nodes: Vec<(String, Option<String>)>,
    /// Which subnet of each layer3 network a node has, counted from 0.
    pub node_subnets: BTreeMap<String, u32>,
    /// The cluster's MTU; 1400 when `None`.
    pub cluster_mtu: Option<u32>,
}

impl Options {
    /// The MTU that routers check towards nodes that support this check; `None` for the profile of
    /// 2023, which has no such check.
    fn gateway_mtu(&self) -> Option<u32> {
        let mtu = self.cluster_mtu.unwrap_or(CLUSTER_MTU);
        (self.profile == Profile::Central2026).then_some(mtu)
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it was found.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Its chassis' name (`system-id`).
    pub chassis: String,
    /// The MTU that routers check towards it.
    pub gateway_mtu: Option<u32>,
    /// The subnets in its annotation, by network.
    pub subnets: BTreeMap<String, Vec<IpNet>>,
    /// The index of its subnets in every layer3 network, which takes precedence over the annotation.
    pub index: Option<u32>,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// What its manifest says.
    pub manifest: Arc<manifest::Pod>,
    /// Whether it runs, or will run: it has a node, and has not completed.
    pub live: bool,
    /// Its attachments to the cluster's networks, in the order of its annotation.
    pub attachments: Vec<Attachment>,
}

impl Deref for Pod {
    type Target = manifest::Pod;

    fn deref(&self) -> &manifest::Pod {
        &self.manifest
    }
}

/// A pod's attachment to one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network, as an index of [`Cluster::networks`].
    pub network: usize,
    /// The NAD, `namespace/name`.
    pub nad: String,
    /// The key that distinguishes the attachment from the pod's others: the NAD and, from the second
    /// attachment to it on, a number.
    pub key: String,
    /// The name of its port.
    pub port: String,
    /// The interface's name in the pod.
    pub interface: String,
    /// The addresses that it requests.
    pub addresses: Vec<IpNet>,
    /// The MAC address that it requests.
    pub mac: Option<Mac>,
    /// The gateways of its default route, as requested.
    pub default_route: Vec<IpAddr>,
    /// What it has been granted already.
    pub grant: Option<Grant>,
}

/// Everything that is requested.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Which OVN-Kubernetes is followed.
    pub profile: Profile,
    /// The networks.
    pub networks: Vec<Network>,
    /// The nodes, in the order in which they get their subnets.
    pub nodes: Vec<Node>,
    /// The pods, in the order in which they get their addresses.
    pub pods: Vec<Pod>,
    /// The namespaces: those with a manifest, and those of other objects.
    pub namespaces: BTreeMap<String, Namespace>,
    /// The policies.
    pub policies: Vec<Policy>,
    /// What was left out, and why.
    pub report: Report,
    /// The indexes of the nodes, by name.
    node_places: HashMap<String, usize>,
}

impl Cluster {
    /// Puts the objects of the manifests together. An object that is malformed or contradicts another
    /// is left out, and recorded in the report.
    ///
    /// # Errors
    /// When the command line is wrong.
    pub fn new(manifests: &Manifests, options: &Options) -> Result<Self, InputError> {
        let mut report = manifests.report.clone();
        let networks = Networks::new(manifests, options.profile, &mut report);
        let nodes = nodes::nodes(&manifests.nodes, options, &mut report)?;
        let by_name = nodes.iter().enumerate();
        let named = inhabited(manifests);
        let mut cluster = Self {
            profile: options.profile,
            node_places: by_name.map(|(at, node)| (node.name.clone(), at)).collect(),
            nodes,
            pods: Vec::new(),
            namespaces: policy::namespaces(&manifests.namespaces, named, &mut report),
            policies: Vec::new(),
            networks: Vec::new(),
            report: Report::default(),
        };
        let mut left_out = BTreeMap::new();
        for pod in &manifests.pods {
            let pod = cluster.pod(pod, &networks, &mut report, &mut left_out);
            cluster.pods.push(pod);
        }
        for found in &manifests.policies {
            match policy::policy(found) {
                Ok(mut policy) => {
                    check_policy(&mut policy, &networks, &mut report, &mut left_out);
                    cluster.policies.push(policy);
                }
                Err(error) => {
                    report.refused.push(error);
                    report
                        .kept
                        .keep_object(POLICY, &found.namespace, &found.name);
                }
            }
        }
        for (object, users) in left_out {
            let text = format!("attachments and policies that need it and are left out: {users}");
            report.warn(&object, "", text);
        }
        cluster.networks = networks.networks;
        cluster.report = report;
        Ok(cluster)
    }

    /// The policies for a network.
    pub fn policies_of(&self, network: &Network) -> impl Iterator<Item = &Policy> {
        self.policies
            .iter()
            .filter(|policy| is_for(policy, network))
    }

    /// The node with this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.node_places.get(name).map(|at| &self.nodes[*at])
    }

    fn pod(
        &self,
        pod: &Arc<manifest::Pod>,
        networks: &Networks,
        report: &mut Report,
        left_out: &mut LeftOut,
    ) -> Pod {
        let live = pod.node.is_some() && !pod.completed;
        let mut attachments = Vec::new();
        if !pod.host_network {
            let mut reader = PodReader {
                cluster: self,
                pod,
                networks,
                report,
                left_out,
            };
            attachments = reader.attachments();
            if live {
                attachments.retain(|attachment| reader.has_node(attachment));
            }
        }
        Pod {
            manifest: pod.clone(),
            live,
            attachments,
        }
    }

    /// The pods that differ from those of an earlier cluster; `None` if anything else that affects them
    /// differs: networks, nodes, namespaces and policies must be the same, no policy may be for their
    /// networks, and nothing may have been left out.
    #[must_use]
    pub fn changed_pods(&self, before: &Self) -> Option<ChangedPods> {
        let same = self.networks == before.networks
            && self.nodes == before.nodes
            && self.namespaces == before.namespaces
            && self.policies == before.policies
            && self.report.is_clean()
            && before.report.is_clean();
        if !same {
            return None;
        }
        let known = before.pods.iter();
        let mut known: HashMap<&str, &Pod> = known.map(|pod| (&*pod.place.object, pod)).collect();
        let mut changed = ChangedPods::default();
        for (place, pod) in self.pods.iter().enumerate() {
            match known.remove(&*pod.place.object) {
                Some(known) if known == pod => {}
                known => {
                    changed.places.insert(place);
                    changed.add(known);
                }
            }
        }
        known.into_values().for_each(|pod| changed.add(Some(pod)));
        let networks = changed
            .places
            .iter()
            .flat_map(|place| &self.pods[*place].attachments);
        changed
            .networks
            .extend(networks.map(|attachment| attachment.network));
        let mut networks = changed.networks.iter().map(|place| &self.networks[*place]);
        let is_free = networks.all(|network| self.policies_of(network).next().is_none());
        is_free.then_some(changed)
    }
}

/// Pods that have changed.
#[derive(Debug, Clone, Default)]
pub struct ChangedPods {
    /// The indexes of the changed pods in [`Cluster::pods`].
    pub places: BTreeSet<usize>,
    /// The ports that they had before, with the networks' indexes.
    pub ports: BTreeMap<String, usize>,
    /// The networks that they are or were on.
    pub networks: BTreeSet<usize>,
}

impl ChangedPods {
    fn add(&mut self, before: Option<&Pod>) {
        for attachment in before.iter().flat_map(|pod| &pod.attachments) {
            self.ports
                .insert(attachment.port.clone(), attachment.network);
            self.networks.insert(attachment.network);
        }
    }
}

fn is_for(policy: &Policy, network: &Network) -> bool {
    policy.nads.iter().any(|nad| network.nads.contains(nad))
}

/// The namespaces of all objects.
fn inhabited(manifests: &Manifests) -> impl Iterator<Item = &str> {
    let pods = manifests.pods.iter().map(|pod| pod.namespace.as_str());
    let policies = manifests
        .policies
        .iter()
        .map(|policy| policy.namespace.as_str());
    let nads = manifests
        .nads
        .iter()
        .filter_map(|nad| nad.key.split('/').next());
    pods.chain(policies).chain(nads)
}

#[cfg(test)]
mod tests;
