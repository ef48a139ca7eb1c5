//! The rows of policies: address sets first, then the groups whose ACLs refer to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ovsdb::nb::{Acl, AddressSet, LogicalSwitch, LogicalSwitchPort, PortGroup};
use ovsdb::{Map, Ref, Row, Str};

use super::pod::Ports;
use super::{Draft, copp};
use crate::assign::PodGrant;
use crate::cluster::Cluster;
use crate::database::{View, is_of, is_owned};
use crate::ids;
use crate::network::Network;
use crate::policy::lower::{Endpoint, Group, LOGGING_METER, PolicyContext, Rows, Set, lower};
use crate::policy::{Direction, owner};
use crate::remove::{Others, addresses};

/// The limit of logged packets a second.
const LOGGING_RATE: i64 = 20;

/// Adds the meter for logging, which all policies share, to the draft.
pub(super) fn meter(draft: &mut Draft<'_>) {
    let (desired, view) = (&mut draft.desired, &draft.view);
    desired.begin("the meter of logging");
    let band = copp::band(desired, view, [LOGGING_METER].into_iter(), LOGGING_RATE);
    copp::meter(desired, LOGGING_METER, &[band].into());
}

/// What to do with rows whose objects are not in the manifests, or could not be read.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    /// What to do with rows that are not in the manifests.
    pub(super) others: Others,
    /// The ports that are kept because the objects that would request them were refused.
    pub(super) kept: &'a BTreeSet<Str>,
}

/// Adds the rows of the policies for a network to the draft.
pub(super) fn add(
    draft: &mut Draft<'_>,
    cluster: &Cluster,
    network: &Network,
    pods: &[PodGrant<'_>],
    ports: &Ports,
    left: Left<'_>,
) {
    let name = &network.config.name;
    let other_ports = other_ports(draft, name, ports, left);
    // A refused pod has no port, and its addresses are not granted.
    let granted = pods.iter();
    let granted = granted.filter(|pod| ports.contains_key(&pod.attachment.port));
    let ours = granted.map(|pod| Endpoint {
        namespace: &pod.pod.namespace,
        labels: Some(&pod.pod.labels),
        port: &pod.attachment.port,
        addresses: pod.grant.addresses.iter().map(ipnet::IpNet::addr).collect(),
    });
    let theirs = other_ports.iter().map(|(name, other)| Endpoint {
        namespace: &other.namespace,
        labels: None,
        port: name,
        addresses: other.addresses.clone(),
    });
    let context = PolicyContext {
        config: &network.config,
        profile: cluster.profile,
        tiers: draft.tiers,
        namespaces: &cluster.namespaces,
        endpoints: ours.chain(theirs).collect(),
    };
    let policies: Vec<_> = cluster.policies_of(network).collect();
    let rows = lower(&context, &policies);
    let view = draft.view.clone();
    let known = Known::new(&view, cluster, name, &rows, left.others);
    let desired = &mut draft.desired;
    desired.begin(format!("address sets of policies on {name}"));
    for (name, set) in &rows.sets {
        let addresses = known.addresses(name, set, &other_ports);
        desired
            .row(AddressSet::NAME, name.as_str())
            .set(AddressSet::ADDRESSES, addresses)
            .part(AddressSet::EXTERNAL_IDS, set.ids.clone());
    }
    desired.begin(format!("policies on {name}"));
    for (name, group) in &rows.groups {
        let acls: Vec<_> = group.acls.iter().map(|acl| self::acl(draft, acl)).collect();
        draft
            .desired
            .row(PortGroup::NAME, name.as_str())
            .set(
                PortGroup::PORTS,
                known.ports(name, group, ports, &other_ports),
            )
            .set(PortGroup::ACLS, acls)
            .part(PortGroup::EXTERNAL_IDS, group.ids.clone());
    }
    known.stale(draft, &rows, left.others);
}

/// Adds an ACL, which is found by its ids, to the desired rows.
fn acl(draft: &mut Draft<'_>, acl: &Acl) -> Ref<Acl> {
    let row = draft
        .desired
        .row(&draft.names.acls, owner::id(&acl.external_ids));
    row.set(Acl::NAME, acl.name.clone())
        .set(Acl::PRIORITY, acl.priority)
        .set(Acl::DIRECTION, acl.direction.clone())
        .set(Acl::MATCH, acl.r#match.clone())
        .set(Acl::ACTION, acl.action.clone())
        .set(Acl::LOG, acl.log)
        .set(Acl::SEVERITY, acl.severity.clone())
        .set(Acl::METER, acl.meter.clone())
        .set(Acl::OPTIONS, acl.options.clone())
        .set(Acl::TIER, acl.tier)
        .part(Acl::EXTERNAL_IDS, acl.external_ids.clone())
        .reference()
}

/// A pod's port that is not in the manifests.
struct OtherPort {
    port: Ref<LogicalSwitchPort>,
    namespace: String,
    addresses: Vec<IpAddr>,
}

fn other_ports(
    draft: &Draft<'_>,
    network: &str,
    ports: &Ports,
    left: Left<'_>,
) -> BTreeMap<String, OtherPort> {
    let view = &draft.view;
    let switches = view.rows::<LogicalSwitch>();
    let switches = switches
        .filter(|switch| is_of(&switch.external_ids, network) && !draft.is_gone(switch.uuid()));
    let all = view.get_all(switches.flat_map(|switch| switch.ports.iter()));
    let other_ports = all.filter(|port| {
        port.external_ids.contains_key(ids::POD)
            && !ports.contains_key(port.name.as_str())
            && !draft.is_gone(port.uuid())
            && (left.others == Others::Keep || left.kept.contains(&port.name))
    });
    let named = other_ports.map(|port| {
        let namespace = port.external_ids.get(ids::NAMESPACE);
        let other = OtherPort {
            port: port.reference(),
            namespace: namespace.map_or("", Str::as_str).to_owned(),
            addresses: addresses(port)
                .filter_map(|word| word.parse().ok())
                .collect(),
        };
        (port.name.to_string(), other)
    });
    named.collect()
}

/// The rows of policies that the network has in the database.
struct Known<'a> {
    view: &'a View,
    groups: Vec<&'a Row<PortGroup>>,
    sets: Vec<&'a Row<AddressSet>>,
    /// The groups that are kept, although no policy that was read needs them.
    foreign: BTreeSet<Ref<PortGroup>>,
    /// The groups in `foreign` from which the pods of removed policies are removed.
    trimmed: BTreeSet<Ref<PortGroup>>,
    /// The ports of the groups that are in `foreign` but not in `trimmed`.
    foreign_ports: BTreeSet<Ref<LogicalSwitchPort>>,
}

impl<'a> Known<'a> {
    fn new(
        view: &'a View,
        cluster: &Cluster,
        network: &str,
        wanted: &Rows,
        others: Others,
    ) -> Self {
        let kept = KeptGroups::new(cluster, network);
        let is_ours = |ids: &Map<Str, Str>| is_of(ids, network) || is_owned(ids, network);
        let groups = view.rows::<PortGroup>();
        let groups: Vec<_> = groups
            .filter(|group| is_ours(&group.external_ids))
            .collect();
        let sets = view.rows::<AddressSet>();
        let foreign = groups.iter().copied().filter(|group| {
            !wanted.groups.contains_key(group.name.as_str())
                && (others == Others::Keep || kept.has(&group.name))
        });
        let foreign: Vec<&Row<PortGroup>> = foreign.collect();
        let (trimmed, whole): (Vec<&Row<PortGroup>>, Vec<_>) = foreign
            .iter()
            .partition(|group| others == Others::Remove && kept.is_trimmed(&group.name));
        Self {
            view,
            sets: sets
                .filter(|set| is_owned(&set.external_ids, network))
                .collect(),
            foreign: foreign.iter().map(|group| group.reference()).collect(),
            trimmed: trimmed.iter().map(|group| group.reference()).collect(),
            foreign_ports: whole
                .iter()
                .flat_map(|group| group.ports.iter().copied())
                .collect(),
            groups,
        }
    }

    /// The addresses of a set: the wanted ones, and those of other ports that are in it already.
    fn addresses(
        &self,
        name: &str,
        set: &Set,
        other_ports: &BTreeMap<String, OtherPort>,
    ) -> BTreeSet<Str> {
        let mut wanted = set.addresses.clone();
        if let Some(row) = self.view.get_by(AddressSet::NAME, name) {
            let theirs = other_ports.values().flat_map(|other| &other.addresses);
            let theirs = theirs.map(|address| Str::from(address.to_string()));
            wanted.extend(theirs.filter(|address| row.addresses.contains(address)));
        }
        wanted
    }

    /// The ports of a group: the wanted ones, and other ports that are in it already.
    fn ports(
        &self,
        name: &str,
        group: &Group,
        ports: &Ports,
        other_ports: &BTreeMap<String, OtherPort>,
    ) -> BTreeSet<Ref<LogicalSwitchPort>> {
        let port = |name: &String| {
            let other = || other_ports.get(name).map(|other| other.port);
            ports.get(name).copied().or_else(other)
        };
        let mut wanted: BTreeSet<_> = group.ports.iter().filter_map(port).collect();
        if let Some(row) = self.view.get_by(PortGroup::NAME, name) {
            let theirs: BTreeSet<_> = other_ports.values().map(|other| other.port).collect();
            let stays = |port: &&Ref<_>| theirs.contains(port) || self.foreign_ports.contains(port);
            wanted.extend(row.ports.iter().filter(stays));
        }
        wanted
    }

    /// Removes rows that are no longer needed: those of removed policies, and address sets that no rule
    /// refers to any more.
    fn stale(&self, draft: &mut Draft<'_>, wanted: &Rows, others: Others) {
        let mut matches = Vec::new();
        for group in &self.groups {
            if wanted.groups.contains_key(group.name.as_str()) {
                continue;
            }
            if !self.foreign.contains(&group.reference()) {
                draft.unwanted(group);
                continue;
            }
            if self.trimmed.contains(&group.reference()) {
                let ports = group.ports.iter().copied();
                let ports = ports.filter(|port| self.foreign_ports.contains(port));
                let ports: Vec<_> = ports.collect();
                let row = draft.desired.row(PortGroup::NAME, group.name.clone());
                row.set(PortGroup::PORTS, ports);
            }
            matches.extend(
                self.view
                    .get_all(&group.acls)
                    .map(|acl| acl.r#match.clone()),
            );
        }
        for set in &self.sets {
            if wanted.sets.contains_key(set.name.as_str()) {
                continue;
            }
            let name = format!("${}", set.name);
            let named = matches.iter().any(|text| text.contains(&name));
            // Address sets of namespaces are removed only with `Others::Remove`, and only if no foreign
            // group is kept.
            let of_namespace = owner::id(&set.external_ids).contains(":Namespace:");
            let all = others == Others::Remove && self.foreign.is_empty();
            if all || !(named || of_namespace) {
                draft.unwanted(set);
            }
        }
    }
}

/// The groups of refused policies.
struct KeptGroups {
    every: bool,
    /// The groups of the pods that they apply to.
    policies: BTreeSet<String>,
    /// The groups of the pods that they isolate, which other policies may isolate too.
    deny: BTreeSet<String>,
}

impl KeptGroups {
    fn new(cluster: &Cluster, network: &str) -> Self {
        let kept = &cluster.report.kept;
        let profile = cluster.profile;
        let policies = kept.policies().iter().map(|(namespace, policy)| {
            let (name, _) = owner::policy_group(network, namespace, policy, profile);
            name
        });
        let deny = kept.policies().iter().flat_map(|(namespace, _)| {
            Direction::BOTH.map(|direction| {
                let (name, _) = owner::deny_group(network, namespace, direction, profile);
                name
            })
        });
        Self {
            every: kept.every_policy(),
            policies: policies.collect(),
            deny: deny.collect(),
        }
    }

    fn has(&self, group: &str) -> bool {
        self.every || self.policies.contains(group) || self.deny.contains(group)
    }

    /// Whether pods that no policy selects any more are removed from a group.
    fn is_trimmed(&self, group: &str) -> bool {
        !self.every && self.deny.contains(group)
    }
}
