//! Removes networks, nodes, policies and pods, and what is left over from those that were removed while
//! the program did not run.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::nb::{
    AddressSet, Database, LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort,
    PortGroup,
};
use ovsdb::{Column, Map, Row, Str, Table, Uuid};

use crate::cluster::Cluster;
use crate::config::{Profile, Topology};
use crate::database::{View, is_of, is_owned};
use crate::ids;
use crate::manifest::{self, Manifests};
use crate::names::{NetworkNames, mangle};
use crate::network::Network;
use crate::policy::{Direction, owner};
use crate::topology::Draft;

/// The most ports that are removed in one step.
const PORTS_OF_A_STEP: usize = 250;

/// What to do with rows that are in the database but not in the manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Others {
    /// Keep them, with their addresses.
    #[default]
    Keep,
    /// Remove them.
    Remove,
}

/// The names of ports that are wanted.
type Wanted<'a> = BTreeSet<&'a str>;

/// Removes rows of a table, selected by their `external_ids`.
fn rows<T: Table<Database = Database>>(
    draft: &mut Draft<'_>,
    ids: Column<T, Map<Str, Str>>,
    goes: impl Fn(&Map<Str, Str>) -> bool,
) {
    let view = draft.view.clone();
    for row in view.rows::<T>().filter(|row| goes(ids.get(row))) {
        draft.unwanted(row);
    }
}

/// Removes switches, and those of their ports that are wanted on other switches. The database deletes
/// the other ports.
fn switches(draft: &mut Draft<'_>, wanted: &Wanted<'_>, goes: impl Fn(&LogicalSwitch) -> bool) {
    let view = draft.view.clone();
    for switch in view.rows::<LogicalSwitch>().filter(|row| goes(row)) {
        draft.unwanted(switch);
        let ports = view.get_all(&switch.ports);
        for port in ports.filter(|port| wanted.contains(port.name.as_str())) {
            draft.unwanted(port);
        }
    }
}

/// Removes a whole network, in one step. The database itself deletes rows to which only the network's
/// rows refer; the rows that all routers share (`Copp` and its meters) are kept.
fn network(draft: &mut Draft<'_>, name: &str, wanted: &Wanted<'_>) {
    draft.desired.begin(format!("remove the network {name}"));
    switches(draft, wanted, |row| is_of(&row.external_ids, name));
    rows(draft, LogicalRouter::EXTERNAL_IDS, |ids| is_of(ids, name));
    let is_ours = |ids: &Map<Str, Str>| is_of(ids, name) || is_owned(ids, name);
    rows(draft, PortGroup::EXTERNAL_IDS, is_ours);
    rows(draft, AddressSet::EXTERNAL_IDS, |ids| is_owned(ids, name));
}

/// Removes a node of a layer3 network, in one step: its switch with all ports, and the router's port to
/// it.
fn node(draft: &mut Draft<'_>, network: &str, node: &str, wanted: &Wanted<'_>) {
    let names = NetworkNames::new(network);
    draft
        .desired
        .begin(format!("remove the node {node} from {network}"));
    let (view, port) = (draft.view.clone(), names.router_to_switch(node));
    if let Some(port) = view.get_by(LogicalRouterPort::NAME, port.as_str()) {
        // If the router is removed, its port is removed with it.
        let has = |router: &Row<LogicalRouter>| {
            router.ports.contains(&port.reference()) && !draft.is_gone(router.uuid())
        };
        if view.rows::<LogicalRouter>().any(has) {
            draft.unwanted(port);
        }
    }
    let switch = names.node_switch(node);
    switches(draft, wanted, |row| {
        *row.name == *switch && is_of(&row.external_ids, network)
    });
}

/// A switch's network, and a pod's port on the switch.
type PodPort<'v> = (&'v Str, &'v Row<LogicalSwitchPort>);

/// The ports of pods on networks, except ports that are removed already, by themselves or with their
/// switch.
fn pod_ports<'v>(view: &'v View, is_gone: impl Fn(Uuid) -> bool) -> Vec<PodPort<'v>> {
    let switches = view.rows::<LogicalSwitch>();
    let stay = switches.filter(|switch| !is_gone(switch.uuid()));
    let networks = stay.filter_map(|row| Some((row, row.external_ids.get(ids::NETWORK)?)));
    let ports = networks.flat_map(|(switch, network)| {
        let ports = view.get_all(&switch.ports).map(move |port| (network, port));
        ports.filter(|(_, port)| port.external_ids.contains_key(ids::POD) && !is_gone(port.uuid()))
    });
    ports.collect()
}

/// The addresses of a port.
pub fn addresses(port: &LogicalSwitchPort) -> impl Iterator<Item = Str> {
    let texts = port.addresses.iter();
    texts
        .flat_map(|address| address.split(' ').skip(1))
        .map(Str::from)
}

/// Removes the pods' ports for which `goes` returns true, and their addresses from the address sets of
/// policies. Addresses that other ports on the network have are kept.
fn ports(draft: &mut Draft<'_>, goes: impl Fn(&str, &Row<LogicalSwitchPort>) -> bool) {
    let view = draft.view.clone();
    // A port that is removed with its switch needs no step of its own, but its addresses must be
    // removed.
    let all = pod_ports(&view, |_| false).into_iter();
    let (ports, mut others): (Vec<_>, Vec<_>) =
        all.partition(|(network, port)| goes(network, port));
    if ports.is_empty() {
        return;
    }
    let there = pod_ports(&view, |row| draft.is_gone(row)).into_iter();
    let there: BTreeSet<_> = there.map(|(_, port)| port.uuid()).collect();
    others.retain(|(_, port)| there.contains(&port.uuid()));
    // While a virtual machine moves, two ports have its addresses.
    let of_others = |(network, port): PodPort<'_>| {
        let network = network.clone();
        addresses(port)
            .map(move |address| (network.clone(), address))
            .collect::<Vec<_>>()
    };
    let used: BTreeSet<_> = others.into_iter().flat_map(of_others).collect();
    for ports in ports.chunks(PORTS_OF_A_STEP) {
        draft.desired.begin(match ports {
            [(_, port)] => format!("remove the port {}", port.name),
            ports => format!("remove {} ports", ports.len()),
        });
        let mut free: BTreeMap<&Str, BTreeSet<Str>> = BTreeMap::new();
        for (network, port) in ports {
            if there.contains(&port.uuid()) {
                draft.unwanted(port);
            }
            let unused = |address: &Str| !used.contains(&((*network).clone(), address.clone()));
            let addresses = addresses(port).filter(unused);
            free.entry(network).or_default().extend(addresses);
        }
        for (network, addresses) in free {
            remove_addresses(draft, network, &addresses);
        }
    }
}

/// Removes addresses from the address sets of a network's policies, unless ports that are not in `ours`
/// have them.
pub fn free<P>(
    draft: &mut Draft<'_>,
    network: &str,
    mut addresses: BTreeSet<Str>,
    ours: &BTreeMap<String, P>,
) {
    let view = draft.view.clone();
    for (other, port) in pod_ports(&view, |row| draft.is_gone(row)) {
        if *other == *network && !ours.contains_key(port.name.as_str()) {
            for address in self::addresses(port) {
                addresses.remove(&address);
            }
        }
    }
    remove_addresses(draft, network, &addresses);
}

fn remove_addresses(draft: &mut Draft<'_>, network: &str, addresses: &BTreeSet<Str>) {
    for set in draft.view.rows::<AddressSet>() {
        let has = |address: &Str| addresses.contains(address);
        let is_ours = is_owned(&set.external_ids, network) && !draft.is_gone(set.uuid());
        if is_ours && set.addresses.iter().any(has) {
            let gone = addresses.clone();
            let row = draft.desired.row(AddressSet::NAME, set.name.clone());
            row.part_of(
                AddressSet::ADDRESSES,
                move |it| gone.contains(it),
                None::<Str>,
            );
        }
    }
}

/// Removes policies of a network, in one step: their groups, then the rows that only they use.
fn policies(draft: &mut Draft<'_>, network: &str, policies: &[manifest::Policy]) {
    let view = draft.view.clone();
    draft
        .desired
        .begin(format!("remove policies from {network}"));
    let groups = policies.iter().flat_map(|policy| {
        let name = |profile| owner::policy_group(network, &policy.namespace, &policy.name, profile);
        [Profile::Mid2023, Profile::Central2026].map(|profile| name(profile).0)
    });
    let names: BTreeSet<String> = groups.collect();
    let namespace = |group: &&Row<PortGroup>| {
        let ids = &group.external_ids;
        let is_ours = is_of(ids, network) || is_owned(ids, network);
        owner::policy_namespace(&group.name, ids)
            .filter(|_| is_ours)
            .map(str::to_owned)
    };
    let of_policies = view
        .rows::<PortGroup>()
        .filter(|group| namespace(group).is_some());
    let (gone, left): (Vec<_>, Vec<_>) =
        of_policies.partition(|group| names.contains(group.name.as_str()));
    if gone.is_empty() {
        return;
    }
    for group in &gone {
        draft.unwanted(group);
    }
    for name in gone.iter().filter_map(namespace).collect::<BTreeSet<_>>() {
        // A namespace's default-deny groups are removed with its last policy. Until then, pods to which
        // no policy applies any more are removed from these groups.
        let others = left
            .iter()
            .filter(|group| namespace(group).as_ref() == Some(&name));
        let others: Vec<_> = others.collect();
        let subjects = others.iter().flat_map(|group| group.ports.iter().copied());
        let subjects: BTreeSet<_> = subjects.collect();
        for profile in [Profile::Mid2023, Profile::Central2026] {
            for direction in Direction::BOTH {
                let (group, _) = owner::deny_group(network, &name, direction, profile);
                let Some(group) = view.get_by(PortGroup::NAME, group.as_str()) else {
                    continue;
                };
                if others.is_empty() {
                    draft.unwanted(group);
                } else {
                    let kept = group.ports.iter().copied();
                    let kept = kept.filter(|port| subjects.contains(port));
                    let kept: Vec<_> = kept.collect();
                    let row = draft.desired.row(PortGroup::NAME, group.name.clone());
                    row.set(PortGroup::PORTS, kept);
                }
            }
        }
    }
    let acls = left.iter().flat_map(|group| group.acls.iter());
    let matches: Vec<&Str> = view.get_all(acls).map(|acl| &acl.r#match).collect();
    let sets = view.rows::<AddressSet>();
    for set in sets.filter(|set| is_owned(&set.external_ids, network)) {
        let name = format!("${}", set.name);
        let of_namespace = owner::id(&set.external_ids).contains(":Namespace:");
        let named = matches.iter().any(|text| text.contains(&name));
        if left.is_empty() || !(named || of_namespace) {
            draft.unwanted(set);
        }
    }
}

/// The networks in the database: their names, and the nodes of layer3 networks.
fn networks(view: &View) -> BTreeMap<String, Option<BTreeSet<String>>> {
    let mut networks: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    for router in view.rows::<LogicalRouter>() {
        if let Some(name) = router.external_ids.get(ids::NETWORK) {
            networks
                .entry(name.to_string())
                .or_default()
                .get_or_insert_default();
        }
    }
    for switch in view.rows::<LogicalSwitch>() {
        let Some(name) = switch.external_ids.get(ids::NETWORK) else {
            continue;
        };
        let nodes = networks.entry(name.to_string()).or_default();
        let topology = switch.external_ids.get(ids::TOPOLOGY);
        if topology.is_some_and(|topology| *topology == *Topology::Layer3.as_str()) {
            let node = switch.name.strip_prefix(NetworkNames::new(name).prefix());
            nodes
                .get_or_insert_default()
                .extend(node.map(str::to_owned));
        }
    }
    networks
}

/// The namespace and the name of the pod that a port belongs to.
fn pod_of(port: &LogicalSwitchPort) -> Option<(&str, &str)> {
    let namespace = port.external_ids.get(ids::NAMESPACE)?;
    let nad = port.external_ids.get(ids::NAD)?;
    let rest = port.name.strip_prefix(&mangle(nad))?;
    // Between the NAD and the pod there may be the number of a further attachment.
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

/// The names of the ports that are kept although no accepted object requests them: they may belong to
/// objects that were refused.
#[must_use]
pub fn kept_ports(view: &View, cluster: &Cluster) -> BTreeSet<Str> {
    let kept = &cluster.report.kept;
    if kept.is_empty() {
        return BTreeSet::new();
    }
    let ports = view.rows::<LogicalSwitchPort>();
    let ports = ports.filter(|port| port.external_ids.contains_key(ids::POD));
    let ports = ports.filter(|port| {
        let nad = port.external_ids.get(ids::NAD).map_or("", Str::as_str);
        pod_of(port).is_some_and(|(namespace, pod)| kept.port(nad, namespace, pod))
    });
    ports.map(|port| port.name.clone()).collect()
}

/// Removes everything that the manifests describe.
///
/// A network whose pods also use another NAD, which is not in the manifests, is kept. Of what is
/// on it, the ports of the removed NADs, and the policies, nodes and pods in the manifests, are removed.
pub fn described(draft: &mut Draft<'_>, manifests: &Manifests, described: &[Network]) {
    let (view, nothing) = (draft.view.clone(), Wanted::new());
    let mut gone: BTreeSet<&str> = BTreeSet::new();
    for Network { config, nads, .. } in described {
        let name = config.name.as_str();
        let is_ours = |port: &LogicalSwitchPort| {
            let nad = port.external_ids.get(ids::NAD);
            nad.is_none_or(|nad| nads.iter().any(|key| *nad == *key.as_str()))
        };
        let mut pods = pod_ports(&view, |row| draft.is_gone(row)).into_iter();
        if pods.all(|(network, port)| *network != *name || is_ours(port)) {
            network(draft, name, &nothing);
            gone.insert(name);
        } else {
            ports(draft, |network, port| *network == *name && is_ours(port));
        }
    }
    let mut left = networks(&view);
    left.retain(|name, _| !gone.contains(name.as_str()));
    for name in left.keys().filter(|_| !manifests.policies.is_empty()) {
        policies(draft, name, &manifests.policies);
    }
    for described in &manifests.nodes {
        for name in left
            .iter()
            .filter_map(|(name, nodes)| nodes.is_some().then_some(name))
        {
            node(draft, name, &described.name, &nothing);
        }
    }
    let pods = manifests.pods.iter();
    let pods: BTreeSet<(&str, &str)> = pods
        .map(|pod| (pod.namespace.as_str(), pod.name.as_str()))
        .collect();
    ports(draft, |_, port| {
        pod_of(port).is_some_and(|pod| pods.contains(&pod))
    });
}

/// The names of the ports of pods.
fn ports_of<'a>(cluster: &'a Cluster, which: impl Fn(&crate::cluster::Pod) -> bool) -> Wanted<'a> {
    let pods = cluster.pods.iter().filter(|pod| which(pod));
    let attachments = pods.flat_map(|pod| &pod.attachments);
    attachments
        .map(|attachment| attachment.port.as_str())
        .collect()
}

/// Removes the ports of completed pods.
pub fn completed(draft: &mut Draft<'_>, cluster: &Cluster) {
    let ended = ports_of(cluster, |pod| pod.completed);
    ports(draft, |_, port| ended.contains(port.name.as_str()));
}

/// Removes the ports in `had` that no live pod has. With [`Others::Keep`], only the ports of completed
/// pods are removed.
pub fn some(
    draft: &mut Draft<'_>,
    cluster: &Cluster,
    had: &BTreeMap<String, usize>,
    others: Others,
) {
    let goes = match others {
        Others::Keep => ports_of(cluster, |pod| pod.completed),
        Others::Remove => had.keys().map(String::as_str).collect(),
    };
    let live = ports_of(cluster, |pod| pod.live);
    let gone = had.keys().map(String::as_str);
    let gone = gone.filter(|port| goes.contains(port) && !live.contains(port));
    let gone: Wanted<'_> = gone.collect();
    if !gone.is_empty() {
        ports(draft, |_, port| gone.contains(port.name.as_str()));
    }
}

/// Removes everything that the cluster does not have: networks, the nodes of layer3 networks, and pods.
/// What refused objects would request is kept.
pub fn stale(draft: &mut Draft<'_>, cluster: &Cluster) {
    let kept = &cluster.report.kept;
    let live = ports_of(cluster, |pod| pod.live);
    let configs = cluster.networks.iter().map(|network| &network.config);
    let wanted: BTreeMap<&str, _> = configs
        .map(|config| (config.name.as_str(), config))
        .collect();
    let existing = networks(&draft.view);
    for name in existing.keys() {
        if !wanted.contains_key(name.as_str()) && !kept.network(name) {
            network(draft, name, &live);
        }
    }
    for (name, config) in &wanted {
        // Rows of another topology that the network had before.
        draft
            .desired
            .begin(format!("remove what {name} was before"));
        let other = |ids: &Map<Str, Str>| {
            let topology = ids.get(ids::TOPOLOGY);
            let other = topology.is_some_and(|topology| *topology != *config.topology.as_str());
            other && is_of(ids, name)
        };
        switches(draft, &live, |row| other(&row.external_ids));
        rows(draft, LogicalRouter::EXTERNAL_IDS, other);
    }
    for (network, nodes) in existing
        .iter()
        .filter(|(name, _)| wanted.contains_key(name.as_str()))
    {
        for name in nodes.iter().flatten() {
            if cluster.node(name).is_none() && !kept.node(name) {
                node(draft, network, name, &live);
            }
        }
    }
    let kept = kept_ports(&draft.view, cluster);
    ports(draft, |network, port| {
        wanted.contains_key(network)
            && !live.contains(port.name.as_str())
            && !kept.contains(&port.name)
    });
}
