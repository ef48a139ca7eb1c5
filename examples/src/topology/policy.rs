//! The rows of policies: address sets first, then the groups whose ACLs name them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ovsdb::nb::{
    Acl, AddressSet, LogicalSwitch, LogicalSwitchPort, Meter, MeterBand, MeterBandAction,
    MeterUnit, PortGroup,
};
use ovsdb::{Map, Ref, Row, Str, Uuid};

use super::pod::Ports;
use crate::assign::PodGrant;
use crate::cluster::Cluster;
use crate::database::is_of;
use crate::ids;
use crate::names::controller;
use crate::network::Network;
use crate::plan::Plan;
use crate::policy::lower::{Endpoint, Group, LOGGING_METER, Rows, Scene, Set, lower};
use crate::policy::{Direction, owner};
use crate::remove::Others;

/// How many logged packets a second are logged.
const LOGGING_RATE: i64 = 20;

/// Plans the meter of what is logged, which all policies share.
pub(super) fn meter(plan: &mut Plan) {
    plan.begin("the meter of logging");
    let Some(meter) = plan.find(Meter::NAME, LOGGING_METER) else {
        let band = logging_band(plan);
        plan.insert(Meter {
            name: LOGGING_METER.into(),
            unit: MeterUnit::Pktps,
            fair: Some(true),
            bands: [band].into(),
            ..Default::default()
        });
        return;
    };
    plan.set(&meter, Meter::UNIT, MeterUnit::Pktps);
    plan.set(&meter, Meter::FAIR, Some(true));
    let bands = plan.view().get_all(&meter.bands);
    let fits =
        |band: &Row<MeterBand>| band.action == MeterBandAction::Drop && band.rate == LOGGING_RATE;
    if !bands.into_iter().any(fits) {
        let band = logging_band(plan);
        plan.set(&meter, Meter::BANDS, [band].into());
    }
}

fn logging_band(plan: &mut Plan) -> Ref<MeterBand> {
    plan.insert(MeterBand {
        action: MeterBandAction::Drop,
        rate: LOGGING_RATE,
        ..Default::default()
    })
}

/// What the manifests say nothing of, or nothing that could be read.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    /// What becomes of what they do not have.
    pub(super) others: Others,
    /// The ports that stay in any case.
    pub(super) kept: &'a BTreeSet<Str>,
}

/// Plans the rows of the policies that are for a network.
pub(super) fn plan(
    plan: &mut Plan,
    cluster: &Cluster,
    network: &Network,
    pods: &[PodGrant<'_>],
    ports: &Ports,
    left: Left<'_>,
) {
    let strangers = strangers(plan, &network.config.name, ports, left);
    let ours = pods.iter().map(|pod| Endpoint {
        namespace: &pod.pod.namespace,
        labels: Some(&pod.pod.labels),
        port: &pod.attachment.port,
        addresses: pod.grant.addresses.iter().map(ipnet::IpNet::addr).collect(),
    });
    let theirs = strangers.iter().map(|(name, stranger)| Endpoint {
        namespace: &stranger.namespace,
        labels: None,
        port: name,
        addresses: stranger.addresses.clone(),
    });
    let scene = Scene {
        config: &network.config,
        profile: cluster.profile,
        tiers: plan.has_column(Acl::TIER),
        namespaces: &cluster.namespaces,
        endpoints: ours.chain(theirs).collect(),
    };
    let policies: Vec<_> = cluster.policies_of(network).collect();
    let rows = lower(&scene, &policies);
    let known = Known::new(plan, cluster, &network.config.name, &rows, left.others);
    plan.begin(format!(
        "address sets of policies on {}",
        network.config.name
    ));
    for (name, set) in &rows.sets {
        address_set(plan, name, set, &strangers);
    }
    plan.begin(format!("policies on {}", network.config.name));
    for (name, group) in &rows.groups {
        port_group(plan, name, group, ports, &strangers, &known);
    }
    known.remove_stale(plan, &rows, left.others);
}

/// A pod's port that the manifests say nothing of.
struct Stranger {
    port: Ref<LogicalSwitchPort>,
    namespace: String,
    addresses: Vec<IpAddr>,
}

fn strangers(
    plan: &Plan,
    network: &str,
    ports: &Ports,
    left: Left<'_>,
) -> BTreeMap<String, Stranger> {
    let view = plan.view();
    let switches = view.rows::<LogicalSwitch>();
    let switches = switches.filter(|switch| is_of(&switch.external_ids, network));
    let all = view.get_all(switches.flat_map(|switch| switch.ports.iter()));
    let pods = all.filter(|port| port.external_ids.contains_key(ids::POD));
    let unknown = pods.filter(|port| !ports.contains_key(port.name.as_str()));
    let stay = unknown.filter(|port| left.others == Others::Keep || left.kept.contains(&port.name));
    let named = stay.map(|port| {
        let namespace = port
            .external_ids
            .get(ids::NAMESPACE)
            .map_or("", Str::as_str);
        let words = port
            .addresses
            .iter()
            .flat_map(|address| address.split(' ').skip(1));
        let stranger = Stranger {
            port: port.reference(),
            namespace: namespace.to_owned(),
            addresses: words.filter_map(|word| word.parse().ok()).collect(),
        };
        (port.name.to_string(), stranger)
    });
    named.collect()
}

/// The network's rows of policies as they are.
struct Known {
    groups: Vec<Arc<Row<PortGroup>>>,
    sets: Vec<Arc<Row<AddressSet>>>,
    /// The groups that stay, although no policy that was read needs them.
    foreign: BTreeSet<Uuid>,
    /// Those among them that lose the pods of policies that are gone.
    trimmed: BTreeSet<Uuid>,
    /// The ports of the other ones.
    foreign_ports: BTreeSet<Ref<LogicalSwitchPort>>,
}

impl Known {
    fn new(plan: &Plan, cluster: &Cluster, network: &str, wanted: &Rows, others: Others) -> Self {
        let kept = KeptGroups::new(cluster, network);
        let view = plan.view();
        let owner = controller(network);
        let owned = |ids: &Map<Str, Str>| ids.get(ids::OWNER).is_some_and(|it| *it == *owner);
        let groups = view
            .table::<PortGroup>()
            .rows_shared()
            .filter(|group| is_of(&group.external_ids, network) || owned(&group.external_ids));
        let groups: Vec<_> = groups.collect();
        let sets = view
            .table::<AddressSet>()
            .rows_shared()
            .filter(|set| owned(&set.external_ids));
        let foreign: Vec<&Arc<Row<PortGroup>>> = groups
            .iter()
            .filter(|group| !wanted.groups.contains_key(group.name.as_str()))
            .filter(|group| others == Others::Keep || kept.has(&group.name))
            .collect();
        type Groups<'a> = Vec<&'a Arc<Row<PortGroup>>>;
        let (trimmed, whole): (Groups<'_>, Groups<'_>) = foreign
            .iter()
            .copied()
            .partition(|group| others == Others::Remove && kept.is_trimmed(&group.name));
        Self {
            sets: sets.collect(),
            foreign: foreign.iter().map(|group| group.uuid()).collect(),
            trimmed: trimmed.iter().map(|group| group.uuid()).collect(),
            foreign_ports: whole
                .iter()
                .flat_map(|group| group.ports.iter().copied())
                .collect(),
            groups,
        }
    }

    /// Plans the removal of the rows that nobody needs: of policies that are gone, and of sets
    /// that no rule names any longer.
    fn remove_stale(&self, plan: &mut Plan, wanted: &Rows, others: Others) {
        let unwanted = self.groups.iter();
        let unwanted = unwanted.filter(|group| !wanted.groups.contains_key(group.name.as_str()));
        let mut matches = Vec::new();
        for group in unwanted {
            if !self.foreign.contains(&group.uuid()) {
                plan.delete(group);
            } else {
                if self.trimmed.contains(&group.uuid()) {
                    let ports = group.ports.iter().copied();
                    let ports = ports.filter(|port| self.foreign_ports.contains(port));
                    plan.set(group, PortGroup::PORTS, ports.collect());
                }
                let acls = plan.view().get_all(&group.acls);
                matches.extend(acls.map(|acl| acl.r#match.clone()));
            }
        }
        let unwanted = self
            .sets
            .iter()
            .filter(|set| !wanted.sets.contains_key(set.name.as_str()));
        for set in unwanted {
            let name = format!("${}", set.name);
            let named = matches.iter().any(|text| text.contains(&name));
            // The set of a namespace stays as long as anything of it may.
            let of_namespace = owner::id(&set.external_ids).contains(":Namespace:");
            let all = others == Others::Remove && self.foreign.is_empty();
            if all || !(named || of_namespace) {
                plan.delete(set);
            }
        }
    }
}

/// The groups of policies that were refused.
struct KeptGroups {
    every: bool,
    /// Of the pods that they select.
    policies: BTreeSet<String>,
    /// Of the pods that they isolate, which other policies may isolate as well.
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

    /// Whether a group loses the pods that no policy selects any longer.
    fn is_trimmed(&self, group: &str) -> bool {
        !self.every && self.deny.contains(group)
    }
}

fn address_set(plan: &mut Plan, name: &str, set: &Set, strangers: &BTreeMap<String, Stranger>) {
    let Some(row) = plan.find(AddressSet::NAME, name) else {
        plan.insert(AddressSet {
            name: name.into(),
            addresses: set.addresses.iter().cloned().collect(),
            external_ids: set.ids.clone(),
        });
        return;
    };
    let mut wanted = set.addresses.clone();
    let theirs = strangers.values().flat_map(|stranger| &stranger.addresses);
    let theirs = theirs.map(|address| Str::from(address.to_string()));
    wanted.extend(theirs.filter(|address| row.addresses.contains(address)));
    plan.set(&row, AddressSet::ADDRESSES, wanted.into_iter().collect());
    plan.merge(&row, AddressSet::EXTERNAL_IDS, &set.ids);
}

fn port_group(
    plan: &mut Plan,
    name: &str,
    group: &Group,
    ports: &Ports,
    strangers: &BTreeMap<String, Stranger>,
    known: &Known,
) {
    let port = |name: &String| {
        let stranger = || strangers.get(name).map(|stranger| stranger.port);
        ports.get(name).copied().or_else(stranger)
    };
    let mut wanted: BTreeSet<Ref<LogicalSwitchPort>> =
        group.ports.iter().filter_map(port).collect();
    let Some(row) = plan.find(PortGroup::NAME, name) else {
        let acls: Vec<Ref<Acl>> = group
            .acls
            .iter()
            .map(|acl| plan.insert(acl.clone()))
            .collect();
        plan.insert(PortGroup {
            name: name.into(),
            external_ids: group.ids.clone(),
            ports: wanted.into_iter().collect(),
            acls: acls.into_iter().collect(),
        });
        return;
    };
    let theirs: BTreeSet<_> = strangers.values().map(|stranger| stranger.port).collect();
    let kept = row.ports.iter().copied();
    wanted.extend(kept.filter(|port| theirs.contains(port) || known.foreign_ports.contains(port)));
    plan.set(&row, PortGroup::PORTS, wanted.into_iter().collect());
    plan.merge(&row, PortGroup::EXTERNAL_IDS, &group.ids);
    acls(plan, &row, group);
}

/// Brings a group's ACLs, which their ids tell from each other, up to date.
fn acls(plan: &mut Plan, group: &Row<PortGroup>, wanted: &Group) {
    let existing: Vec<Arc<Row<Acl>>> = plan.view().get_all_shared(&group.acls).collect();
    let mut left: BTreeMap<Ref<Acl>, &Arc<Row<Acl>>> =
        existing.iter().map(|acl| (acl.reference(), acl)).collect();
    for acl in &wanted.acls {
        let same =
            |row: &&&Arc<Row<Acl>>| owner::id(&row.external_ids) == owner::id(&acl.external_ids);
        match left.values().find(same).copied() {
            Some(row) => {
                left.remove(&row.reference());
                update_acl(plan, row, acl);
            }
            None => {
                let inserted = plan.insert(acl.clone());
                plan.attach(group.reference(), PortGroup::ACLS, inserted);
            }
        }
    }
    for row in left.into_values() {
        plan.delete(row);
        plan.detach(group, PortGroup::ACLS, row.reference());
    }
}

fn update_acl(plan: &mut Plan, row: &Row<Acl>, wanted: &Acl) {
    plan.set(row, Acl::NAME, wanted.name.clone());
    plan.set(row, Acl::PRIORITY, wanted.priority);
    plan.set(row, Acl::DIRECTION, wanted.direction.clone());
    plan.set(row, Acl::MATCH, wanted.r#match.clone());
    plan.set(row, Acl::ACTION, wanted.action.clone());
    plan.set(row, Acl::LOG, wanted.log);
    plan.set(row, Acl::SEVERITY, wanted.severity.clone());
    plan.set(row, Acl::METER, wanted.meter.clone());
    plan.set(row, Acl::OPTIONS, wanted.options.clone());
    plan.set(row, Acl::TIER, wanted.tier);
    plan.merge(row, Acl::EXTERNAL_IDS, &wanted.external_ids);
}
