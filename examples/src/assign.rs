//! Who gets which subnet and which address on a network.
//!
//! What an annotation grants comes first, then what was found in the database or granted before,
//! then the next free one, in the order of the manifests.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use ovsdb::Uuid;

use crate::addresses::{Family, Mac, nth};
use crate::allocate::{NodeSubnets, Pool};
use crate::cluster::{Attachment, Cluster, NODE_SUBNETS, Node, Pod};
use crate::config::Topology;
use crate::error::{InputError, Reason};
use crate::grant::{self, Grant, Route};
use crate::report::Warning;

/// The label of a pod with the virtual machine that it runs.
const MACHINE: &str = "vm.kubevirt.io/name";

/// What a network has been granted before.
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

/// A pod with its address on a network.
#[derive(Debug, Clone)]
pub struct PodGrant<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The node it runs on.
    pub node: &'a str,
    /// That node's chassis, or its name where nothing is known of the node.
    pub chassis: &'a str,
    /// What it asked for.
    pub attachment: &'a Attachment,
    /// What it gets.
    pub grant: Grant,
}

/// Everything that is granted on one network.
#[derive(Debug, Clone, Default)]
pub struct Assignment<'a> {
    /// The nodes, of a layer3 network only.
    pub nodes: Vec<NodeGrant<'a>>,
    /// The live pods.
    pub pods: Vec<PodGrant<'a>>,
    /// What could not be granted, and why.
    pub refused: Vec<InputError>,
    /// What is granted and may not have been meant.
    pub warnings: Vec<Warning>,
}

impl Assignment<'_> {
    /// What must be known of this assignment so that the next one is the same.
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

/// Assigns subnets and addresses on the network with this place in [`Cluster::networks`].
///
/// `known` has what was granted before; where it names nodes and ports that the cluster does not
/// have, they keep theirs.
///
/// A node or a pod to which nothing can be granted is left out.
///
/// # Errors
/// When the command line asks for subnets that the network does not have, or for one twice.
pub fn assign<'a>(
    cluster: &'a Cluster,
    network: usize,
    known: &Known,
) -> Result<Assignment<'a>, InputError> {
    let mut assignment = Assignment::default();
    if cluster.networks[network].config.topology == Topology::Layer3 {
        assign_subnets(cluster, network, known, &mut assignment)?;
    }
    let mut pools = Pools::new(cluster, network, &assignment.nodes);
    assign_addresses(cluster, network, known, &mut pools, &mut assignment);
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
                let asked = subnets.at(index).and_then(|asked| {
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
            // One that no longer fits, or that another node asks for by name, is lost.
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
            match subnets.next(&grant.node.name, family) {
                Some(subnet) => grant.subnets.push(subnet),
                None => exhausted = true,
            }
        }
        if exhausted {
            let reason = Reason::Exhausted(format!("network {}", config.name));
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

/// The pools that a network's pods have addresses of, and who has which.
struct Pools {
    /// The pools of each node, or under the empty name those of all.
    pools: BTreeMap<String, Vec<Pool>>,
    owners: HashMap<IpAddr, Owner>,
}

/// Who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The node itself: its gateway, or its management port.
    Node,
    /// The pod with this place among those on the network.
    Pod(usize),
    /// A port that is not among those of the cluster's pods.
    Other,
}

impl Pools {
    fn new(cluster: &Cluster, network: usize, nodes: &[NodeGrant<'_>]) -> Self {
        let config = &cluster.networks[network].config;
        let mut owners = HashMap::new();
        let mut pools = BTreeMap::new();
        for grant in nodes {
            let node_pools = grant.subnets.iter().map(|subnet| Pool::of_node(*subnet));
            pools.insert(grant.node.name.clone(), node_pools.collect());
            let reserved = |(subnet, offset)| nth(subnet, offset);
            let reserved = grant
                .subnets
                .iter()
                .flat_map(|s| [(s, 1), (s, 2)])
                .filter_map(reserved);
            owners.extend(reserved.map(|address| (address, Owner::Node)));
        }
        if config.topology != Topology::Layer3 {
            let mut all: Vec<Pool> = config.subnets.iter().copied().map(Pool::new).collect();
            for pool in &mut all {
                for range in &config.exclude_subnets {
                    pool.exclude(range);
                }
            }
            pools.insert(String::new(), all);
        }
        Self { pools, owners }
    }

    fn of(&mut self, node: &str) -> (&mut [Pool], &mut HashMap<IpAddr, Owner>) {
        let key = if self.pools.contains_key(node) {
            node
        } else {
            ""
        };
        let pools = self
            .pools
            .get_mut(key)
            .map_or(&mut [][..], Vec::as_mut_slice);
        (pools, &mut self.owners)
    }

    /// Takes the addresses of a grant for `owner`, and returns who else has been granted one of
    /// them.
    fn grant(
        &mut self,
        node: &str,
        owner: Owner,
        addresses: &[IpNet],
    ) -> Result<Vec<(IpAddr, usize)>, Reason> {
        let (pools, owners) = self.of(node);
        // Nobody assigns addresses where there is no pool: any is fine.
        for address in addresses.iter().map(IpNet::addr) {
            if owners.get(&address) == Some(&Owner::Node) {
                let (address, owner) = (address.to_string(), "the node".to_owned());
                return Err(Reason::AddressTaken { address, owner });
            }
            if !pools.is_empty() && !pools.iter().any(|pool| pool.has(address)) {
                let subnets: Vec<_> = pools.iter().map(|pool| pool.subnet().to_string()).collect();
                let (address, subnets) = (address.to_string(), subnets.join(", "));
                return Err(Reason::AddressOutside { address, subnets });
            }
        }
        let mut shared = Vec::new();
        for address in addresses.iter().map(IpNet::addr) {
            if let Some(pool) = pools.iter_mut().find(|pool| pool.has(address)) {
                // An excluded address may have been granted by hand.
                pool.reserve(address);
            }
            match owners.entry(address) {
                Entry::Occupied(other) => {
                    if let Owner::Pod(other) = other.get() {
                        shared.push((address, *other));
                    }
                }
                Entry::Vacant(entry) => {
                    entry.insert(owner);
                }
            }
        }
        Ok(shared)
    }

    /// Takes addresses for `owner` unless they are taken.
    fn reserve(&mut self, node: &str, owner: Owner, addresses: &[IpNet]) -> bool {
        let (pools, owners) = self.of(node);
        if addresses.iter().any(|it| owners.contains_key(&it.addr())) {
            return false;
        }
        for address in addresses.iter().map(IpNet::addr) {
            if let Some(pool) = pools.iter_mut().find(|pool| pool.has(address)) {
                pool.reserve(address);
            }
            owners.insert(address, owner);
        }
        true
    }

    /// The next free address of every pool.
    fn take(&mut self, node: &str, owner: Owner) -> Result<Vec<IpNet>, Reason> {
        let (pools, owners) = self.of(node);
        let mut taken = Vec::new();
        for pool in pools {
            let subnet = pool.subnet();
            let exhausted = || Reason::Exhausted(subnet.to_string());
            let address = pool.take().ok_or_else(exhausted)?;
            owners.insert(address, owner);
            taken.extend(IpNet::new(address, subnet.prefix_len()));
        }
        Ok(taken)
    }

    /// The addresses with their subnets' prefix lengths, if there is one of every pool.
    fn fitted(&mut self, node: &str, addresses: &[IpNet]) -> Option<Vec<IpNet>> {
        let (pools, _) = self.of(node);
        if pools.len() != addresses.len() {
            return None;
        }
        let fitted = pools.iter().zip(addresses).map(|(pool, address)| {
            let address = Some(address.addr()).filter(|address| pool.has(*address))?;
            IpNet::new(address, pool.subnet().prefix_len()).ok()
        });
        fitted.collect()
    }

    /// Takes the addresses of another's port out of whatever pools they are of.
    fn reserve_anywhere(&mut self, addresses: &[IpNet]) {
        for address in addresses.iter().map(IpNet::addr) {
            let mut pools = self.pools.values_mut().flatten();
            if let Some(pool) = pools.find(|pool| pool.has(address)) {
                pool.reserve(address);
                self.owners.entry(address).or_insert(Owner::Other);
            }
        }
    }
}

/// A pod that is to be granted something.
struct Wanted<'a> {
    pod: &'a Pod,
    node: &'a str,
    attachment: &'a Attachment,
}

/// The live pods on a network whose nodes have what they need of it.
fn wanted<'a>(cluster: &'a Cluster, network: usize, nodes: &[NodeGrant<'_>]) -> Vec<Wanted<'a>> {
    let layer3 = cluster.networks[network].config.topology == Topology::Layer3;
    let nodes: HashSet<&str> = nodes.iter().map(|grant| grant.node.name.as_str()).collect();
    let live = cluster.pods.iter().filter(|pod| pod.live);
    let wanted = live.flat_map(|pod| {
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
    network: usize,
    known: &Known,
    pools: &mut Pools,
    assignment: &mut Assignment<'a>,
) {
    let wanted = wanted(cluster, network, &assignment.nodes);
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
            // It is not our pod's; it stays as it is.
            None => pools.reserve_anywhere(&before.addresses),
            Some(at) if addresses[*at].is_some() => {}
            Some(at) if refused[*at] => pools.reserve_anywhere(&before.addresses),
            Some(at) => {
                // What no longer fits is lost, as is what another pod was granted.
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

/// A warning of an address that two pods have, unless both run one virtual machine: while it moves
/// from one node to the other, it has a pod on either.
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

/// A layer3 pod reaches the other nodes' subnets by way of its node's gateway.
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
mod tests {
    use super::*;
    use crate::cluster::Options;
    use crate::error::Place;
    use crate::manifest::Manifests;
    use std::fmt::Write as _;

    /// A network `net` with this topology and these subnets, nodes a and b, and pods that are
    /// told by node, name and the rest of their metadata.
    fn cluster(network: &str, pods: &[(&str, &str, &str)], options: &Options) -> Cluster {
        let mut text = format!(
            "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
             metadata: {{name: n, namespace: s}}\nspec:\n  config: '{{\"name\": \"net\", \
             \"type\": \"ovn-k8s-cni-overlay\", \"netAttachDefName\": \"s/n\", {network}}}'\n"
        );
        for (node, name, annotation) in pods {
            let networks = if annotation.contains("cncf.io/networks") {
                ""
            } else {
                "k8s.v1.cni.cncf.io/networks: n, "
            };
            let _ = write!(
                text,
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: s, \
                 annotations: {{{networks}{annotation}}}}}\nspec: {{nodeName: {node}}}\n"
            );
        }
        let mut manifests = Manifests::default();
        manifests
            .add_text(&Place::default(), &text)
            .expect("manifests");
        Cluster::new(&manifests, options).expect("a cluster")
    }

    fn nodes() -> Options {
        Options {
            nodes: vec![("a".to_owned(), None), ("b".to_owned(), None)],
            ..Options::default()
        }
    }

    fn ports(assignment: &Assignment<'_>) -> Vec<String> {
        assignment
            .pods
            .iter()
            .map(|pod| pod.grant.port_address())
            .collect()
    }

    const LAYER3: &str = r#""topology": "layer3", "subnets": "10.0.0.0/16,fd00:44::/48""#;
    const LAYER2: &str = r#""topology": "layer2", "subnets": "10.1.0.0/24,10.2.0.0/24",
        "excludeSubnets": "10.1.0.0/30""#;

    #[test]
    fn layer3_pods_live_in_their_nodes_subnets() {
        let options = nodes();
        let cluster = cluster(LAYER3, &[("b", "p", ""), ("a", "q", "")], &options);
        let assignment = assign(&cluster, 0, &Known::default()).expect("addresses");
        let node = &assignment.nodes[1];
        assert_eq!(node.subnets[0].to_string(), "10.0.1.0/24");
        assert_eq!(node.subnets[1].to_string(), "fd00:44:0:2::/64");
        assert_eq!(node.gateways()[1].to_string(), "fd00:44:0:2::1/64");
        assert_eq!(
            ports(&assignment),
            [
                "0a:58:0a:00:01:03 10.0.1.3 fd00:44:0:2::3",
                "0a:58:0a:00:00:03 10.0.0.3 fd00:44:0:1::3"
            ]
        );
        let routes = &assignment.pods[0].grant.routes;
        assert_eq!(routes[0].dest.to_string(), "10.0.0.0/16");
        assert_eq!(routes[1].next_hop, "fd00:44:0:2::1".parse().ok());
        // Once more, with what is known by now, is the same.
        let again = assign(&cluster, 0, &assignment.known()).expect("addresses");
        assert_eq!(again.known(), assignment.known());
    }

    #[test]
    fn a_pod_has_an_address_of_every_subnet() {
        let options = nodes();
        let cluster = cluster(LAYER2, &[("a", "p", ""), ("b", "q", "")], &options);
        let assignment = assign(&cluster, 0, &Known::default()).expect("addresses");
        let expected = [
            "0a:58:0a:01:00:04 10.1.0.4 10.2.0.1",
            "0a:58:0a:01:00:05 10.1.0.5 10.2.0.2",
        ];
        assert_eq!(ports(&assignment), expected);
    }

    #[test]
    fn what_was_granted_before_stays() {
        let options = nodes();
        let one = cluster(LAYER2, &[("a", "q", "")], &options);
        let mut known = Known::default();
        let grant = |addresses: [&str; 2]| Grant {
            mac: "02:00:00:00:00:01".parse().expect("a MAC address"),
            addresses: addresses.map(|a| a.parse().expect("an address")).to_vec(),
            gateways: Vec::new(),
            routes: Vec::new(),
        };
        known
            .ports
            .insert("s.n_s_q".into(), grant(["10.1.0.9/32", "10.2.0.7/32"]));
        known
            .ports
            .insert("s.n_s_gone".into(), grant(["10.1.0.4/32", "10.2.0.1/32"]));
        let assignment = assign(&one, 0, &known).expect("addresses");
        assert_eq!(ports(&assignment), ["0a:58:0a:01:00:09 10.1.0.9 10.2.0.7"]);
        assert_eq!(assignment.pods[0].grant.addresses[0].prefix_len(), 24);
        // The addresses of a pod that is not among the manifests are not given away.
        let two = cluster(LAYER2, &[("a", "new", "")], &options);
        let assignment = assign(&two, 0, &known).expect("addresses");
        assert_eq!(ports(&assignment), ["0a:58:0a:01:00:05 10.1.0.5 10.2.0.2"]);

        known
            .subnets
            .insert("b".into(), vec!["10.0.0.0/24".parse().expect("a subnet")]);
        known.subnets.insert(
            "gone".into(),
            vec!["10.0.1.0/24".parse().expect("a subnet")],
        );
        let three = cluster(
            r#""topology": "layer3", "subnets": "10.0.0.0/16""#,
            &[],
            &options,
        );
        let assignment = assign(&three, 0, &known).expect("subnets");
        let subnets: Vec<_> = assignment
            .nodes
            .iter()
            .map(|n| n.subnets[0].to_string())
            .collect();
        assert_eq!(subnets, ["10.0.2.0/24", "10.0.0.0/24"]);
    }

    #[test]
    fn grants_of_annotations_are_kept_and_checked() {
        let granted = |address: &str| {
            format!(
                "k8s.ovn.org/pod-networks: '{{\"s/n\": {{\"ip_addresses\": [\"{address}\"], \
                 \"mac_address\": \"02:00:00:00:00:09\"}}}}'"
            )
        };
        let network =
            r#""topology": "layer2", "subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.1/32""#;
        let options = nodes();
        for (address, shown) in [("10.1.0.2/24", "10.1.0.3"), ("10.1.0.1/24", "10.1.0.2")] {
            let pods = [("a", "p", ""), ("b", "q", &granted(address))];
            let kept = cluster(network, &pods, &options);
            let assignment = assign(&kept, 0, &Known::default()).expect("addresses");
            let bare = address.trim_end_matches("/24");
            assert!(ports(&assignment)[0].ends_with(shown));
            assert_eq!(ports(&assignment)[1], format!("02:00:00:00:00:09 {bare}"));
        }
        let outside = granted("10.9.0.1/24");
        let outside = cluster(network, &[("a", "p", &outside)], &options);
        let error = refused(&outside);
        assert!(
            matches!(error.reason(), Reason::AddressOutside { .. }),
            "{error}"
        );
        let same = granted("10.1.0.7/24");
        let twice = cluster(network, &[("a", "p", &same), ("a", "q", &same)], &options);
        let assignment = assign(&twice, 0, &Known::default()).expect("addresses");
        assert_eq!(ports(&assignment), ["02:00:00:00:00:09 10.1.0.7"; 2]);
        let warning = assignment.warnings[0].to_string();
        assert!(
            warning.ends_with("10.1.0.7 is granted to the pod s/p as well"),
            "{warning}"
        );
        let gateway = granted("10.0.0.1/24");
        let gateway = cluster(LAYER3, &[("a", "p", &gateway)], &options);
        let error = refused(&gateway);
        assert!(
            matches!(error.reason(), Reason::AddressTaken { .. }),
            "{error}"
        );
    }

    #[test]
    fn without_ipam_a_pod_has_what_it_asks_for() {
        let network = r#""topology": "layer2""#;
        let asks =
            |rest: &str| format!("k8s.v1.cni.cncf.io/networks: '[{{\"name\": \"n\"{rest}}}]'");
        let options = nodes();
        let shown = |rest: &str, known: &Known| {
            let asking = cluster(network, &[("a", "p", &asks(rest))], &options);
            ports(&assign(&asking, 0, known).expect("addresses")).remove(0)
        };
        let none = Known::default();
        assert_eq!(
            shown(r#", "mac": "02:00:00:00:00:05""#, &none),
            "02:00:00:00:00:05"
        );
        assert_eq!(
            shown(r#", "ips": ["10.7.0.5/24"]"#, &none),
            "0a:58:0a:07:00:05 10.7.0.5"
        );
        let random = shown("", &none);
        let first: u8 = u8::from_str_radix(&random[..2], 16).expect("hexadecimal");
        assert_eq!(
            first & 3,
            2,
            "locally administered, and of one station: {random}"
        );
        let known = Known {
            ports: [(
                "s.n_s_p".to_owned(),
                Grant {
                    mac: random.parse().expect("a MAC address"),
                    addresses: Vec::new(),
                    gateways: Vec::new(),
                    routes: Vec::new(),
                },
            )]
            .into(),
            ..Known::default()
        };
        assert_eq!(shown("", &known), random);
    }

    #[test]
    fn contradictions_and_exhaustion_are_told() {
        let mut options = nodes();
        options.node_subnets = [("a".to_owned(), 1), ("b".to_owned(), 1)].into();
        let same = cluster(LAYER3, &[], &options);
        let error = assign(&same, 0, &Known::default()).expect_err("one subnet for two");
        assert_eq!(error.field(), "--node-subnets");
        options.node_subnets = [("a".to_owned(), 256)].into();
        let beyond = cluster(LAYER3, &[], &options);
        assert!(assign(&beyond, 0, &Known::default()).is_err());
        let options = nodes();
        let small = cluster(
            r#""topology": "layer3", "subnets": "10.0.0.0/24/25""#,
            &[],
            &{
                let mut options = options.clone();
                options.nodes.push(("c".to_owned(), None));
                options
            },
        );
        let error = refused(&small);
        assert!(matches!(error.reason(), Reason::Exhausted(_)), "{error}");
        let assignment = assign(&small, 0, &Known::default()).expect("subnets");
        assert_eq!(assignment.nodes.len(), 2);
        let tiny = r#""topology": "layer2", "subnets": "10.0.0.0/30""#;
        let pods = [("a", "p", ""), ("a", "q", ""), ("a", "r", "")];
        let tiny = cluster(tiny, &pods, &options);
        let error = refused(&tiny);
        assert!(matches!(error.reason(), Reason::Exhausted(_)), "{error}");
        let assignment = assign(&tiny, 0, &Known::default()).expect("addresses");
        assert_eq!(assignment.pods.len(), 2);
    }

    /// The only thing that is refused.
    fn refused(cluster: &Cluster) -> InputError {
        let mut assignment = assign(cluster, 0, &Known::default()).expect("an assignment");
        assert_eq!(assignment.refused.len(), 1, "{:?}", assignment.refused);
        assignment.refused.remove(0)
    }
}
