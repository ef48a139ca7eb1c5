//! Assigns subnets and addresses on a network.
//!
//! What an annotation grants takes precedence over what was found in the database or granted before.
//! Nodes and pods without any of these get the next free subnets and addresses, in the order of the
//! manifests.

mod pools;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use ovsdb::Uuid;

use self::pools::{Owner, Pools};
use crate::addresses::{Family, Mac, nth};
use crate::allocate::NodeSubnets;
use crate::cluster::{Attachment, Cluster, NODE_SUBNETS, Node, Pod};
use crate::config::Topology;
use crate::error::{InputError, Reason};
use crate::grant::{self, Grant, Route};
use crate::report::Warning;

/// The label of a pod that names the virtual machine in it.
const MACHINE: &str = "vm.kubevirt.io/name";

/// What was granted on a network before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The nodes' subnets.
    pub subnets: BTreeMap<String, Vec<IpNet>>,
    /// The ports' grants.
    pub ports: BTreeMap<String, Grant>,
}

/// A node with its subnets on a layer3 network.
#[derive(Debug, Clone)]
pub struct NodeGrant<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its subnets, IPv4 first.
    pub subnets: Vec<IpNet>,
}

impl NodeGrant<'_> {
    /// The router's addresses on the node's switch, with the subnets' prefix lengths.
    #[must_use]
    pub fn gateways(&self) -> Vec<IpNet> {
        let gateway = |subnet: &IpNet| {
            nth(subnet, 1).and_then(|address| IpNet::new(address, subnet.prefix_len()).ok())
        };
        self.subnets.iter().filter_map(gateway).collect()
    }

    fn has(&self, family: Family) -> bool {
        self.subnets
            .iter()
            .any(|subnet| Family::of(subnet.addr()) == family)
    }
}

/// A pod's attachment to a network, with what is granted for it.
#[derive(Debug, Clone)]
pub struct PodGrant<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The node it runs on.
    pub node: &'a str,
    /// That node's chassis; the node's name if nothing is known of the node.
    pub chassis: &'a str,
    /// What the pod requested.
    pub attachment: &'a Attachment,
    /// What the pod is granted.
    pub grant: Grant,
}

/// Everything that is granted on one network.
#[derive(Debug, Clone, Default)]
pub struct Assignment<'a> {
    /// The network's index in [`Cluster::networks`].
    pub network: usize,
    /// The nodes, of a layer3 network only.
    pub nodes: Vec<NodeGrant<'a>>,
    /// The attachments of the live pods that were asked for, except those in `refused` and, on a layer3
    /// network, those of pods whose node has no subnets.
    pub pods: Vec<PodGrant<'a>>,
    /// What could not be granted, and why.
    pub refused: Vec<InputError>,
    /// What is granted, but may not have been intended.
    pub warnings: Vec<Warning>,
}

impl Assignment<'_> {
    /// What must be remembered of this assignment so that the next one is the same.
    #[must_use]
    pub fn known(&self) -> Known {
        let subnets = self
            .nodes
            .iter()
            .map(|n| (n.node.name.clone(), n.subnets.clone()));
        let ports = self
            .pods
            .iter()
            .map(|p| (p.attachment.port.clone(), p.grant.clone()));
        Known {
            subnets: subnets.collect(),
            ports: ports.collect(),
        }
    }
}

/// Assigns subnets and addresses on the network with this index in [`Cluster::networks`].
///
/// `known` has what was granted before. Nodes and ports that the cluster does not have keep their
/// grants.
///
/// A node or pod that cannot be granted everything that it needs is left out.
///
/// # Errors
/// When the command line requests a subnet that the network does not have or that another node has.
pub fn assign<'a>(
    cluster: &'a Cluster,
    network: usize,
    known: &Known,
) -> Result<Assignment<'a>, InputError> {
    assign_some(cluster, network, known, |_| true)
}

/// Like [`assign`], but only for pods for whose index in [`Cluster::pods`] `is_asked` returns true.
///
/// # Errors
/// As [`assign`].
pub fn assign_some<'a>(
    cluster: &'a Cluster,
    network: usize,
    known: &Known,
    is_asked: impl Fn(usize) -> bool,
) -> Result<Assignment<'a>, InputError> {
    let mut assignment = Assignment {
        network,
        ..Assignment::default()
    };
    if cluster.networks[network].config.topology == Topology::Layer3 {
        assign_subnets(cluster, network, known, &mut assignment)?;
    }
    let mut pools = Pools::new(cluster, network, &assignment.nodes);
    let wanted = wanted(cluster, &assignment, is_asked);
    assign_addresses(cluster, wanted, known, &mut pools, &mut assignment);
    Ok(assignment)
}

fn assign_subnets<'a>(
    cluster: &'a Cluster,
    network: usize,
    known: &Known,
    assignment: &mut Assignment<'a>,
) -> Result<(), InputError> {
    let config = &cluster.networks[network].config;
    let mut subnets = NodeSubnets::new(config.cluster_subnets.clone());
    let mut grants: Vec<NodeGrant<'a>> = Vec::new();
    for node in &cluster.nodes {
        let asked = match node.index {
            Some(index) => {
                let asked = subnets.nth(index).and_then(|asked| {
                    for subnet in &asked {
                        subnets.reserve(&node.name, *subnet)?;
                    }
                    Ok(asked)
                });
                let wrong = |error| {
                    let reason = Reason::Subnet(format!("network {}: {error}", config.name));
                    InputError::new(&node.place, "--node-subnets", reason)
                };
                asked.map_err(wrong)?
            }
            None => {
                let asked = node.subnets.get(&config.name).cloned().unwrap_or_default();
                let reserved = asked
                    .iter()
                    .try_for_each(|subnet| subnets.reserve(&node.name, *subnet));
                if let Err(error) = reserved {
                    let field = format!("metadata.annotations.{NODE_SUBNETS}");
                    let reason = Reason::Subnet(format!("network {}: {error}", config.name));
                    let error = InputError::new(&node.place, field, reason);
                    assignment.refused.push(error);
                    continue;
                }
                asked
            }
        };
        grants.push(NodeGrant {
            node,
            subnets: asked,
        });
    }
    let places = grants.iter().enumerate();
    let places: HashMap<&str, usize> = places
        .map(|(at, grant)| (grant.node.name.as_str(), at))
        .collect();
    for (name, before) in &known.subnets {
        let mut grant = places.get(name.as_str()).map(|at| &mut grants[*at]);
        for subnet in before {
            let family = Family::of(subnet.addr());
            let has_one = grant.as_ref().is_some_and(|grant| grant.has(family));
            // A subnet that no longer fits, or that another node requests explicitly, is lost.
            if has_one || subnets.reserve(name, *subnet).is_err() {
                continue;
            }
            if let Some(grant) = &mut grant {
                grant.subnets.push(*subnet);
            }
        }
    }
    for mut grant in grants {
        let mut exhausted = false;
        for family in subnets.families() {
            if grant.has(family) {
                continue;
            }
            match subnets.allocate(&grant.node.name, family) {
                Some(subnet) => grant.subnets.push(subnet),
                None => exhausted = true,
            }
        }
        if exhausted {
            let reason = Reason::NoSubnetLeft(config.name.clone());
            let error = InputError::new(&grant.node.place, "", reason);
            assignment.refused.push(error);
            continue;
        }
        grant
            .subnets
            .sort_by_key(|subnet| Family::of(subnet.addr()));
        assignment.nodes.push(grant);
    }
    Ok(())
}

/// A pod for which something must be granted.
struct Wanted<'a> {
    pod: &'a Pod,
    node: &'a str,
    attachment: &'a Attachment,
}

/// The attachments of live pods to the network. In a layer3 network, the pod's node must have subnets.
fn wanted<'a>(
    cluster: &'a Cluster,
    assignment: &Assignment<'_>,
    is_asked: impl Fn(usize) -> bool,
) -> Vec<Wanted<'a>> {
    let network = assignment.network;
    let layer3 = cluster.networks[network].config.topology == Topology::Layer3;
    let nodes = assignment.nodes.iter();
    let nodes: HashSet<&str> = nodes.map(|grant| grant.node.name.as_str()).collect();
    let pods = cluster.pods.iter().enumerate();
    let live = pods.filter(|(place, pod)| pod.live && is_asked(*place));
    let wanted = live.flat_map(|(_, pod)| {
        let attachments = pod.attachments.iter();
        let attachments = attachments.filter(move |attachment| attachment.network == network);
        attachments.filter_map(move |attachment| {
            Some(Wanted {
                pod,
                node: pod.node.as_deref()?,
                attachment,
            })
        })
    });
    wanted
        .filter(|wanted| !layer3 || nodes.contains(wanted.node))
        .collect()
}

fn assign_addresses<'a>(
    cluster: &'a Cluster,
    wanted: Vec<Wanted<'a>>,
    known: &Known,
    pools: &mut Pools,
    assignment: &mut Assignment<'a>,
) {
    let network = assignment.network;
    let assigned = !cluster.networks[network].config.is_without_ipam();
    let mut addresses: Vec<Option<Vec<IpNet>>> = vec![None; wanted.len()];
    let mut refused = vec![false; wanted.len()];
    for (at, wants) in wanted.iter().enumerate() {
        let Some(grant) = &wants.attachment.grant else {
            continue;
        };
        let field = format!("metadata.annotations.{}", grant::ANNOTATION);
        match pools.grant(wants.node, Owner::Pod(at), &grant.addresses) {
            Ok(shared) => {
                for (address, other) in shared {
                    let warning = shared_address(wants, &wanted[other], address, &field);
                    assignment.warnings.extend(warning);
                }
                addresses[at] = Some(grant.addresses.clone());
            }
            Err(reason) => {
                let error = InputError::new(&wants.pod.place, field, reason);
                assignment.refused.push(error);
                refused[at] = true;
            }
        }
    }
    let ports = wanted.iter().enumerate();
    let ports: HashMap<&str, usize> = ports
        .map(|(at, wants)| (wants.attachment.port.as_str(), at))
        .collect();
    for (port, before) in known.ports.iter().filter(|_| assigned) {
        match ports.get(port.as_str()) {
            // The port belongs to none of these pods, so its addresses stay taken.
            None => pools.reserve_anywhere(&before.addresses),
            Some(at) if addresses[*at].is_some() => {}
            Some(at) if refused[*at] => pools.reserve_anywhere(&before.addresses),
            Some(at) => {
                // Addresses that no longer fit, or that another pod was granted, are lost.
                let node = wanted[*at].node;
                if let Some(fitted) = pools.fitted(node, &before.addresses)
                    && pools.reserve(node, Owner::Pod(*at), &fitted)
                {
                    addresses[*at] = Some(fitted);
                }
            }
        }
    }
    for (at, wants) in wanted.into_iter().enumerate() {
        if refused[at] {
            continue;
        }
        let attachment = wants.attachment;
        let addresses = match addresses[at].take() {
            Some(addresses) => addresses,
            None if !assigned => attachment.addresses.clone(),
            None => match pools.take(wants.node, Owner::Pod(at)) {
                Ok(addresses) => addresses,
                Err(reason) => {
                    let error = InputError::new(&wants.pod.place, "", reason);
                    assignment.refused.push(error);
                    continue;
                }
            },
        };
        let before = known.ports.get(&attachment.port);
        let mac = mac(attachment, &addresses, assigned, before);
        let routes = match &attachment.grant {
            Some(grant) => grant.routes.clone(),
            None => routes(cluster, network, &addresses),
        };
        let gateways = match &attachment.grant {
            Some(grant) => grant.gateways.clone(),
            None => attachment.default_route.clone(),
        };
        let node = cluster.node(wants.node);
        assignment.pods.push(PodGrant {
            pod: wants.pod,
            node: wants.node,
            chassis: node.map_or(wants.node, |node| &node.chassis),
            attachment,
            grant: Grant {
                mac,
                addresses,
                gateways,
                routes,
            },
        });
    }
}

/// A warning about an address that two pods have, unless both run the same virtual machine: during a
/// live migration, it has a pod on both nodes.
fn shared_address(
    wants: &Wanted<'_>,
    other: &Wanted<'_>,
    address: IpAddr,
    field: &str,
) -> Option<Warning> {
    let machine = wants.pod.labels.get(MACHINE);
    let same_namespace = wants.pod.namespace == other.pod.namespace;
    if machine.is_some() && machine == other.pod.labels.get(MACHINE) && same_namespace {
        return None;
    }
    let (namespace, name) = (&other.pod.namespace, &other.pod.name);
    Some(Warning {
        place: wants.pod.place.clone(),
        field: field.to_owned(),
        text: format!("the address {address} is granted to the pod {namespace}/{name} as well"),
    })
}

fn mac(attachment: &Attachment, addresses: &[IpNet], assigned: bool, known: Option<&Grant>) -> Mac {
    let granted = attachment.grant.as_ref().map(|grant| grant.mac);
    let derived = addresses
        .first()
        .map(|address| Mac::from_ip(address.addr()));
    let before = known.map(|grant| grant.mac).filter(|_| !assigned);
    granted
        .or(attachment.mac)
        .or(derived)
        .or(before)
        .unwrap_or_else(|| Mac::random(Uuid::new_v4().into_bytes()))
}

/// A layer3 pod reaches the other nodes' subnets through its node's gateway.
fn routes(cluster: &Cluster, network: usize, addresses: &[IpNet]) -> Vec<Route> {
    let ranges = &cluster.networks[network].config.cluster_subnets;
    let pairs = ranges.iter().filter_map(|range| {
        let own = addresses
            .iter()
            .find(|a| Family::of(a.addr()) == range.family())?;
        Some(Route {
            dest: range.network,
            next_hop: Some(nth(&own.trunc(), 1)?),
        })
    });
    pairs.collect()
}

#[cfg(test)]
mod tests;
