//! The rows of networks in the northbound database: one module for each topology, and what they share.

mod copp;
mod layer2;
mod layer3;
mod localnet;
mod pod;
mod policy;

use std::collections::{BTreeMap, HashSet};

use ovsdb::nb::{Database, Desired, LogicalRouter, LogicalSwitch, LogicalSwitchPort, Transaction};
use ovsdb::{Map, Ref, Row, Str, Table, Uuid};

use crate::assign::Assignment;
use crate::cluster::Cluster;
use crate::config::{NetworkConfig, Profile, Topology};
use crate::database::{Names, Northbound, View};
use crate::error::InputError;
use crate::ids;
use crate::remove::{self, Others};

pub use self::localnet::network_name;

/// The wanted and unwanted rows of a plan, while they are collected.
#[derive(Debug)]
pub struct Draft<'a> {
    /// The desired state so far.
    pub desired: Desired,
    /// What each transaction of the plan begins with: it is committed only while the cache has followed the
    /// server since before `view` was taken and, if there is a controller's lock, while that lock is held.
    pub beginning: Transaction,
    /// The view of the database that the plan starts from.
    pub view: View,
    /// The indexes by which rows are found.
    pub names: &'a Names,
    /// Whether the server's schema has ACL tiers.
    pub tiers: bool,
    /// The rows that are removed so far.
    gone: HashSet<Uuid>,
}

impl<'a> Draft<'a> {
    /// An empty draft.
    #[must_use]
    pub fn new(northbound: &'a Northbound) -> Self {
        let mut desired = Desired::new();
        // Removed rows may be referred to by switches and routers that the draft does not touch.
        desired.cleaned::<LogicalSwitch>();
        desired.cleaned::<LogicalRouter>();
        let mut beginning = northbound.client.transaction();
        beginning.require_current(&northbound.cache);
        if let Some(lock) = &northbound.lock {
            beginning.assert_lock(lock);
        }
        Self {
            desired,
            beginning,
            view: northbound.cache.snapshot(),
            names: &northbound.names,
            tiers: northbound.client.has_column(ovsdb::nb::Acl::TIER),
            gone: HashSet::new(),
        }
    }

    /// The switch with this name in the view, unless the draft removes it.
    #[must_use]
    pub fn switch(&self, name: &str) -> Option<&Row<LogicalSwitch>> {
        let mut found = self.view.find(&self.names.switches, name);
        found.find(|switch| !self.is_gone(switch.uuid()))
    }

    /// Removes a row.
    pub fn unwanted<T: Table<Database = Database>>(&mut self, row: &Row<T>) {
        self.desired.unwanted(row);
        self.gone.insert(row.uuid());
    }

    /// Whether a row is removed so far.
    #[must_use]
    pub fn is_gone(&self, row: Uuid) -> bool {
        self.gone.contains(&row)
    }
}

/// The names of a network's switches.
#[derive(Debug)]
enum Switches {
    /// One switch for all pods.
    One(String),
    /// One switch for each node.
    Nodes(BTreeMap<String, String>),
}

impl Switches {
    /// The switch for the pods on a node.
    fn of(&self, node: &str) -> Option<&str> {
        match self {
            Self::One(switch) => Some(switch),
            Self::Nodes(switches) => switches.get(node).map(String::as_str),
        }
    }
}

/// Whether the draft has the rows of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policies {
    /// It has them.
    Added,
    /// It does not have them.
    None,
}

/// Adds the rows of the networks with these assignments to the draft. Returns the pods that are left
/// out because their ports in the database are on a switch where they must not be.
pub fn add(
    draft: &mut Draft<'_>,
    cluster: &Cluster,
    assignments: &[Assignment<'_>],
    others: Others,
    policies: Policies,
) -> Vec<InputError> {
    let mut refused = Vec::new();
    let kept = remove::kept_ports(&draft.view, cluster);
    let mut networks = cluster.networks.iter();
    let routed = networks.any(|network| network.config.topology == Topology::Layer3);
    let copp = routed.then(|| copp::add(draft));
    if !cluster.policies.is_empty() {
        policy::meter(draft);
    }
    let profile = cluster.profile;
    for assignment in assignments {
        let network = &cluster.networks[assignment.network];
        let config = &network.config;
        let switches = match (config.topology, copp) {
            (Topology::Layer3, Some(copp)) => {
                layer3::add(draft, config, &assignment.nodes, copp, profile)
            }
            (Topology::Localnet, _) => localnet::add(draft, config, profile),
            _ => layer2::add(draft, config, profile),
        };
        let pods = &assignment.pods;
        let ports = pod::add(draft, config, &switches, pods, profile, &mut refused);
        if policies == Policies::Added {
            let left = policy::Left {
                others,
                kept: &kept,
            };
            policy::add(draft, cluster, network, pods, &ports, left);
        }
        if profile == Profile::Mid2023 {
            finish(&mut draft.desired, draft.names, config, &switches);
        }
    }
    refused
}

/// Marks a network as finished.
fn finish(desired: &mut Desired, names: &Names, config: &NetworkConfig, switches: &Switches) {
    desired.begin(format!("mark {} as finished", config.name));
    let version = [(ids::VERSION, ids::FINISHED)];
    match switches {
        Switches::Nodes(_) => {
            let router = desired.row(&names.routers, layer3::router_name(config));
            router.part(LogicalRouter::EXTERNAL_IDS, version);
        }
        Switches::One(switch) => {
            let switch = desired.row(&names.switches, switch.as_str());
            switch.part(LogicalSwitch::EXTERNAL_IDS, version);
        }
    }
}

/// The version for a network that is being built, or was finished before.
fn version(existing: Option<&Map<Str, Str>>, profile: Profile) -> Map<Str, Str> {
    let known = existing.and_then(|ids| ids.get(ids::VERSION));
    let version = match known {
        Some(version) if *version == *ids::FINISHED => ids::FINISHED,
        _ => ids::UNFINISHED,
    };
    let has_version = profile == Profile::Mid2023;
    let pair = has_version.then_some((ids::VERSION, version));
    pair.into_iter().collect()
}

/// Adds a switch's port that leads to something other than a pod to the desired rows.
fn switch_port(
    desired: &mut Desired,
    name: &str,
    kind: &str,
    addresses: &str,
    option: (&str, String),
    vlan: Option<u16>,
) -> Ref<LogicalSwitchPort> {
    desired
        .row(LogicalSwitchPort::NAME, name)
        .set(LogicalSwitchPort::TYPE, kind)
        .set(LogicalSwitchPort::ADDRESSES, [addresses])
        .set(LogicalSwitchPort::OPTIONS, [option])
        // northd copies it to `tag`.
        .set(LogicalSwitchPort::TAG_REQUEST, vlan.map(i64::from))
        .reference()
}
