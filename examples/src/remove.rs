//! What goes: networks, nodes, pods, and what is left over of those that went unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ovsdb::nb::{
    AddressSet, LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, PortGroup,
};
use ovsdb::{Map, Row, Set, Str};

use crate::cluster::Cluster;
use crate::config::{NetworkConfig, Profile, Topology};
use crate::database::{View, is_of};
use crate::ids;
use crate::manifest::{self, Manifests};
use crate::names::{NetworkNames, controller, mangle};
use crate::network::Network;
use crate::plan::Plan;
use crate::policy::{Direction, owner};

/// What is not in the manifests but in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Others {
    /// It stays, and keeps its addresses.
    #[default]
    Keep,
    /// It goes.
    Remove,
}

/// Plans the removal of a whole network, in one step. What only its rows refer to, the database
/// collects itself; the control plane protection stays.
pub fn network(plan: &mut Plan, name: &str) {
    plan.begin(format!("remove the network {name}"));
    let view = plan.view().clone();
    let owner = controller(name);
    let owned = |ids: &Map<Str, Str>| {
        ids.get(ids::OWNER)
            .is_some_and(|controller| *controller == *owner)
    };
    for switch in view
        .rows::<LogicalSwitch>()
        .filter(|row| is_of(&row.external_ids, name))
    {
        plan.delete(switch);
    }
    for router in view
        .rows::<LogicalRouter>()
        .filter(|row| is_of(&row.external_ids, name))
    {
        plan.delete(router);
    }
    for group in view.rows::<PortGroup>() {
        if is_of(&group.external_ids, name) || owned(&group.external_ids) {
            plan.delete(group);
        }
    }
    for set in view
        .rows::<AddressSet>()
        .filter(|row| owned(&row.external_ids))
    {
        plan.delete(set);
    }
}

/// Plans the removal of a node from a layer3 network, in one step: its switch with all ports, and
/// the router's port to it.
pub fn node(plan: &mut Plan, network: &str, node: &str) {
    plan.begin(format!("remove the node {node} from {network}"));
    let view = plan.view().clone();
    let names = NetworkNames::new(network);
    let switch = names.node_switch(node);
    let switches = view.find(&plan.names().switches, switch.as_str());
    let switches: Vec<_> = switches
        .filter(|row| is_of(&row.external_ids, network))
        .collect();
    for row in switches {
        plan.delete(row);
    }
    let Some(port) = plan.find(LogicalRouterPort::NAME, &names.router_to_switch(node)) else {
        return;
    };
    for router in view.referrers::<LogicalRouter>(&port) {
        plan.delete(&port);
        plan.detach(router, LogicalRouter::PORTS, port.reference());
    }
}

/// A pod's port with the switch it is on.
type PodPort = (Arc<Row<LogicalSwitch>>, Arc<Row<LogicalSwitchPort>>);

/// The ports of pods on networks that pass the test.
fn pod_ports(plan: &Plan, network: impl Fn(&str) -> bool) -> Vec<PodPort> {
    let view = plan.view();
    let mut ports = Vec::new();
    for switch in view.table::<LogicalSwitch>().rows_shared() {
        if switch
            .external_ids
            .get(ids::NETWORK)
            .is_some_and(|name| network(name))
        {
            let all = view.get_all_shared(&switch.ports);
            let of_pods = all.filter(|port| port.external_ids.contains_key(ids::POD));
            ports.extend(of_pods.map(|port| (switch.clone(), port)));
        }
    }
    ports
}

/// The addresses of a port.
fn addresses(port: &LogicalSwitchPort) -> impl Iterator<Item = &str> {
    let texts = port.addresses.iter();
    texts.flat_map(|address| address.split(' ').skip(1))
}

/// Plans the removal of pods' ports.
fn remove_ports(plan: &mut Plan, ports: &[PodPort]) {
    if ports.is_empty() {
        return;
    }
    // While a virtual machine moves, two ports have its addresses.
    let gone: BTreeSet<_> = ports.iter().map(|(_, port)| port.reference()).collect();
    let mut others = BTreeSet::new();
    for (switch, port) in pod_ports(plan, |_| true) {
        if !gone.contains(&port.reference()) {
            let network = switch.external_ids.get(ids::NETWORK).cloned();
            let addresses = addresses(&port).map(Str::from);
            others.extend(addresses.map(|address| (network.clone(), address)));
        }
    }
    for port in ports {
        pod_port(plan, port, &others);
    }
}

/// Plans the removal of a pod's port, and of its addresses from what policies select, in one step.
/// Addresses that others have on the network stay.
fn pod_port(plan: &mut Plan, (switch, port): &PodPort, others: &BTreeSet<(Option<Str>, Str)>) {
    plan.begin(format!("remove the port {}", port.name));
    let network = switch.external_ids.get(ids::NETWORK).cloned();
    let addresses: BTreeSet<Str> = addresses(port)
        .map(Str::from)
        .filter(|address| !others.contains(&(network.clone(), address.clone())))
        .collect();
    let network = switch
        .external_ids
        .get(ids::NETWORK)
        .map_or("", Str::as_str);
    let view = plan.view().clone();
    for set in view
        .rows::<AddressSet>()
        .filter(|set| is_owned(&set.external_ids, network))
    {
        let gone: Set<Str> = set
            .addresses
            .iter()
            .filter(|address| addresses.contains(*address))
            .cloned()
            .collect();
        if !gone.is_empty() {
            plan.take_out(set, AddressSet::ADDRESSES, gone);
        }
    }
    plan.delete(port);
    plan.detach(switch, LogicalSwitch::PORTS, port.reference());
}

/// Whether a network's controller looks after a row.
fn is_owned(external_ids: &Map<Str, Str>, network: &str) -> bool {
    let owner = external_ids.get(ids::OWNER);
    owner.is_some_and(|owner| *owner == *controller(network))
}

/// Plans the removal of policies from a network, in one step: their groups, then whatever served
/// them alone.
fn policies(plan: &mut Plan, network: &str, policies: &[manifest::Policy]) {
    plan.begin(format!("remove policies from {network}"));
    let view = plan.view().clone();
    let names: BTreeSet<String> = policies
        .iter()
        .flat_map(|policy| {
            [Profile::Mid2023, Profile::Central2026].map(|profile| {
                owner::policy_group(network, &policy.namespace, &policy.name, profile).0
            })
        })
        .collect();
    let of_policies = view.rows::<PortGroup>().filter(|group| {
        let ids = &group.external_ids;
        (is_of(ids, network) || is_owned(ids, network))
            && owner::policy_namespace(&group.name, ids).is_some()
    });
    let (gone, left): (Vec<_>, Vec<_>) =
        of_policies.partition(|group| names.contains(group.name.as_str()));
    for group in &gone {
        plan.delete(group);
    }
    let namespaces: BTreeSet<&str> = gone
        .iter()
        .filter_map(|group| owner::policy_namespace(&group.name, &group.external_ids))
        .collect();
    for namespace in namespaces {
        let others = left.iter().filter(|group| {
            owner::policy_namespace(&group.name, &group.external_ids) == Some(namespace)
        });
        deny_groups(plan, network, namespace, &others.collect::<Vec<_>>());
    }
    if gone.is_empty() {
        return;
    }
    let acls = left.iter().flat_map(|group| group.acls.iter());
    let matches: Vec<Str> = view.get_all(acls).map(|acl| acl.r#match.clone()).collect();
    for set in view
        .rows::<AddressSet>()
        .filter(|set| is_owned(&set.external_ids, network))
    {
        let name = format!("${}", set.name);
        let of_namespace = owner::id(&set.external_ids).contains(":Namespace:");
        let named = matches.iter().any(|text| text.contains(&name));
        if left.is_empty() || !(named || of_namespace) {
            plan.delete(set);
        }
    }
}

/// The groups of a namespace in which nothing is allowed: they go with its last policy; before
/// that they lose the pods that no policy is for any longer.
fn deny_groups(plan: &mut Plan, network: &str, namespace: &str, others: &[&&Row<PortGroup>]) {
    let subjects: BTreeSet<_> = others
        .iter()
        .flat_map(|group| group.ports.iter().copied())
        .collect();
    for profile in [Profile::Mid2023, Profile::Central2026] {
        for direction in Direction::BOTH {
            let (name, _) = owner::deny_group(network, namespace, direction, profile);
            let Some(group) = plan.find(PortGroup::NAME, &name) else {
                continue;
            };
            if others.is_empty() {
                plan.delete(&group);
            } else {
                let kept = group
                    .ports
                    .iter()
                    .filter(|port| subjects.contains(port))
                    .copied();
                plan.set(&group, PortGroup::PORTS, kept.collect());
            }
        }
    }
}

/// The names of the networks in the database.
fn network_names(plan: &Plan) -> BTreeSet<String> {
    let view = plan.view();
    let of_switches = view.rows::<LogicalSwitch>().map(|row| &row.external_ids);
    let of_routers = view.rows::<LogicalRouter>().map(|row| &row.external_ids);
    let names = of_switches
        .chain(of_routers)
        .filter_map(|ids| ids.get(ids::NETWORK));
    names.map(Str::to_string).collect()
}

/// The namespace and the name of the pod that a port is of.
fn pod_of(port: &LogicalSwitchPort) -> Option<(&str, &str)> {
    let namespace = port.external_ids.get(ids::NAMESPACE)?;
    let nad = port.external_ids.get(ids::NAD)?;
    let rest = port.name.strip_prefix(&mangle(nad))?;
    // Between the NAD and the pod may stand the number of a further attachment.
    let rest = match rest.strip_prefix('.') {
        Some(rest) => rest.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };
    let pod = rest
        .strip_prefix('_')?
        .strip_prefix(namespace.as_str())?
        .strip_prefix('_')?;
    Some((namespace, pod))
}

/// The names of the ports that stay in any case, because what would ask for them was refused.
#[must_use]
pub fn kept_ports(view: &View, cluster: &Cluster) -> BTreeSet<Str> {
    let kept = &cluster.report.kept;
    let ports = view.rows::<LogicalSwitchPort>();
    let ports = ports.filter(|port| port.external_ids.contains_key(ids::POD));
    let ports = ports.filter(|port| {
        let nad = port.external_ids.get(ids::NAD).map_or("", Str::as_str);
        pod_of(port).is_some_and(|(namespace, pod)| kept.port(nad, namespace, pod))
    });
    ports.map(|port| port.name.clone()).collect()
}

/// Plans the removal of everything that the manifests describe.
///
/// A network whose pods use another NAD as well, of which the manifests say nothing, stays: it
/// loses the pods of the NADs that go.
pub fn described(plan: &mut Plan, manifests: &Manifests, networks: &[Network]) {
    let mut gone: BTreeSet<&str> = BTreeSet::new();
    for network in networks {
        let name = network.config.name.as_str();
        let (ours, others): (Vec<_>, Vec<_>) = pod_ports(plan, |other| other == name)
            .into_iter()
            .partition(|(_, port)| {
                let nad = port.external_ids.get(ids::NAD);
                nad.is_none_or(|nad| network.nads.iter().any(|key| *nad == *key.as_str()))
            });
        if others.is_empty() {
            self::network(plan, name);
            gone.insert(name);
        } else {
            remove_ports(plan, &ours);
        }
    }
    if !manifests.policies.is_empty() {
        for name in network_names(plan) {
            if !gone.contains(name.as_str()) {
                policies(plan, &name, &manifests.policies);
            }
        }
    }
    for described in &manifests.nodes {
        let layer3: Vec<String> = layer3_networks(plan).into_keys().collect();
        for network in layer3.iter().filter(|name| !gone.contains(name.as_str())) {
            node(plan, network, &described.name);
        }
    }
    let pods = manifests.pods.iter();
    let pods: BTreeSet<(&str, &str)> = pods
        .map(|pod| (pod.namespace.as_str(), pod.name.as_str()))
        .collect();
    let mut ports = pod_ports(plan, |network| !gone.contains(network));
    ports.retain(|(_, port)| pod_of(port).is_some_and(|pod| pods.contains(&pod)));
    remove_ports(plan, &ports);
}

/// The layer3 networks in the database, with the nodes they have.
fn layer3_networks(plan: &Plan) -> BTreeMap<String, Vec<String>> {
    let view = plan.view();
    let mut networks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for router in view.rows::<LogicalRouter>() {
        if let Some(name) = router.external_ids.get(ids::NETWORK) {
            networks.entry(name.to_string()).or_default();
        }
    }
    for switch in view.table::<LogicalSwitch>().rows_shared() {
        let name = switch.external_ids.get(ids::NETWORK);
        let layer3 = switch.external_ids.get(ids::TOPOLOGY);
        let layer3 = layer3.is_some_and(|topology| *topology == *Topology::Layer3.as_str());
        if let Some(name) = name.filter(|_| layer3) {
            let nodes = networks.entry(name.to_string()).or_default();
            let node = switch.name.strip_prefix(NetworkNames::new(name).prefix());
            nodes.extend(node.map(str::to_owned));
        }
    }
    networks
}

/// Plans the removal of the ports of pods that have come to their end.
pub fn completed(plan: &mut Plan, cluster: &Cluster) {
    let ended = cluster.pods.iter().filter(|pod| pod.completed);
    let names: BTreeSet<&str> = ended
        .flat_map(|pod| {
            pod.attachments
                .iter()
                .map(|attachment| attachment.port.as_str())
        })
        .collect();
    let mut ports = pod_ports(plan, |_| true);
    ports.retain(|(_, port)| names.contains(port.name.as_str()));
    remove_ports(plan, &ports);
}

/// Plans the removal of what a network has left of another shape that it had before.
fn reshaped(plan: &mut Plan, config: &NetworkConfig) {
    plan.begin(format!("remove what {} was before", config.name));
    let view = plan.view().clone();
    let other = |ids: &Map<Str, Str>| {
        let topology = ids.get(ids::TOPOLOGY);
        is_of(ids, &config.name)
            && topology.is_some_and(|topology| *topology != *config.topology.as_str())
    };
    for switch in view
        .rows::<LogicalSwitch>()
        .filter(|row| other(&row.external_ids))
    {
        plan.delete(switch);
    }
    for router in view
        .rows::<LogicalRouter>()
        .filter(|row| other(&row.external_ids))
    {
        plan.delete(router);
    }
}

/// Plans the removal of everything that the cluster does not have: networks, the nodes of layer3
/// networks, and pods. What would be asked for by objects that were refused stays.
pub fn stale(plan: &mut Plan, cluster: &Cluster) {
    let kept = &cluster.report.kept;
    let wanted: BTreeSet<&str> = cluster
        .networks
        .iter()
        .map(|network| network.config.name.as_str())
        .collect();
    for name in network_names(plan) {
        if !wanted.contains(name.as_str()) && !kept.network(&name) {
            network(plan, &name);
        }
    }
    for network in &cluster.networks {
        reshaped(plan, &network.config);
    }
    let mut gone = BTreeSet::new();
    for (network, nodes) in layer3_networks(plan) {
        let nodes = nodes.iter().filter(|name| cluster.node(name).is_none());
        for name in nodes.filter(|name| !kept.node(name)) {
            if wanted.contains(network.as_str()) {
                node(plan, &network, name);
                gone.insert(NetworkNames::new(&network).node_switch(name));
            }
        }
    }
    let live = cluster.pods.iter().filter(|pod| pod.live);
    let ports: BTreeSet<&str> = live
        .flat_map(|pod| {
            pod.attachments
                .iter()
                .map(|attachment| attachment.port.as_str())
        })
        .collect();
    let kept = kept_ports(plan.view(), cluster);
    let mut stale = pod_ports(plan, |network| wanted.contains(network));
    stale.retain(|(switch, port)| {
        !ports.contains(port.name.as_str())
            && !gone.contains(switch.name.as_str())
            && !kept.contains(&port.name)
    });
    remove_ports(plan, &stale);
}
