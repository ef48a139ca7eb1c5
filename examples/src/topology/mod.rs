//! The rows of a network in the northbound database: one module for each topology, and those
//! that they share.

mod copp;
mod layer2;
mod layer3;
mod localnet;
mod pod;
mod policy;

use std::collections::BTreeMap;

use ovsdb::nb::{LogicalRouter, LogicalSwitch, LogicalSwitchPort};
use ovsdb::{Column, Map, Ref, Row, Str, Table};

use crate::assign::Assignment;
use crate::cluster::Cluster;
use crate::config::{NetworkConfig, Profile, Topology};
use crate::error::InputError;
use crate::ids;
use crate::plan::Plan;
use crate::remove::{self, Others};

pub use self::localnet::network_name;

/// A network's switches.
#[derive(Debug)]
enum Switches {
    /// One, for all pods.
    One(Ref<LogicalSwitch>),
    /// One for each node.
    Nodes(BTreeMap<String, Ref<LogicalSwitch>>),
}

impl Switches {
    /// The switch of the pods on a node.
    fn of(&self, node: &str) -> Option<Ref<LogicalSwitch>> {
        match self {
            Self::One(switch) => Some(*switch),
            Self::Nodes(switches) => switches.get(node).copied(),
        }
    }
}

/// The row that tells, by its version, whether a network is all there.
#[derive(Debug, Clone, Copy)]
enum Marked {
    Router(Ref<LogicalRouter>),
    Switch(Ref<LogicalSwitch>),
}

/// Plans the rows of the cluster's networks, whose subnets and addresses are assigned as given, and
/// returns which pods are left out because the database has their ports where they must not be.
pub fn plan(
    plan: &mut Plan,
    cluster: &Cluster,
    assignments: &[Assignment<'_>],
    others: Others,
) -> Vec<InputError> {
    let mut refused = Vec::new();
    let kept = remove::kept_ports(plan.view(), cluster);
    let layer3 = |topology| topology == Topology::Layer3;
    let routed = cluster
        .networks
        .iter()
        .any(|network| layer3(network.config.topology));
    let copp = routed.then(|| copp::plan(plan));
    if !cluster.policies.is_empty() {
        policy::meter(plan);
    }
    for (network, assignment) in cluster.networks.iter().zip(assignments) {
        let config = &network.config;
        let profile = cluster.profile;
        let (switches, marked) = match (config.topology, copp) {
            (Topology::Layer3, Some(copp)) => {
                let (router, switches) =
                    layer3::plan(plan, config, &assignment.nodes, copp, profile);
                (Switches::Nodes(switches), Marked::Router(router))
            }
            (Topology::Localnet, _) => {
                let switch = localnet::plan(plan, config, profile);
                (Switches::One(switch), Marked::Switch(switch))
            }
            _ => {
                let switch = layer2::plan(plan, config, profile);
                (Switches::One(switch), Marked::Switch(switch))
            }
        };
        let pods = &assignment.pods;
        let ports = pod::plan(plan, config, &switches, pods, profile, &mut refused);
        let left = policy::Left {
            others,
            kept: &kept,
        };
        policy::plan(plan, cluster, network, pods, &ports, left);
        if profile == Profile::Mid2023 {
            finish(plan, config, marked);
        }
    }
    refused
}

/// A switch by its name, made or brought up to date.
fn switch(
    plan: &mut Plan,
    name: &str,
    other_config: Map<Str, Str>,
    external_ids: Map<Str, Str>,
) -> Ref<LogicalSwitch> {
    match plan.find_switch(name) {
        Some(switch) => {
            plan.set(&switch, LogicalSwitch::OTHER_CONFIG, other_config);
            plan.merge(&switch, LogicalSwitch::EXTERNAL_IDS, &external_ids);
            switch.reference()
        }
        None => {
            let switch = LogicalSwitch {
                name: name.into(),
                other_config,
                external_ids,
                ..Default::default()
            };
            plan.insert_once(LogicalSwitch::NAME, switch)
        }
    }
}

/// A switch's port to something else than a pod, made or brought up to date.
fn switch_port(plan: &mut Plan, switch: Ref<LogicalSwitch>, wanted: LogicalSwitchPort) {
    let port = match plan.find(LogicalSwitchPort::NAME, &wanted.name) {
        Some(port) => {
            plan.set(&port, LogicalSwitchPort::TYPE, wanted.r#type);
            plan.set(&port, LogicalSwitchPort::ADDRESSES, wanted.addresses);
            plan.set(&port, LogicalSwitchPort::OPTIONS, wanted.options);
            plan.set(&port, LogicalSwitchPort::TAG_REQUEST, wanted.tag_request);
            port.reference()
        }
        None => plan.insert(wanted),
    };
    let row = plan.view().get(switch);
    if !row.is_some_and(|switch| switch.ports.contains(&port)) {
        plan.attach(switch, LogicalSwitch::PORTS, port);
    }
}

/// The `external_ids` of the row that marks a network as being built, or as finished where it has
/// been before.
fn with_version<T: Table>(
    mut ids: Map<Str, Str>,
    existing: Option<&Row<T>>,
    column: Column<T, Map<Str, Str>>,
    profile: Profile,
) -> Map<Str, Str> {
    if profile == Profile::Mid2023 {
        let finished = existing
            .and_then(|row| column.get(row).get(ids::VERSION))
            .is_some_and(|version| *version == *ids::FINISHED);
        let version = if finished {
            ids::FINISHED
        } else {
            ids::UNFINISHED
        };
        ids.insert(ids::VERSION, version);
    }
    ids
}

/// Marks a network as finished.
fn finish(plan: &mut Plan, config: &NetworkConfig, marked: Marked) {
    plan.begin(format!("mark {} as finished", config.name));
    match marked {
        Marked::Router(router) => finish_row(plan, router, LogicalRouter::EXTERNAL_IDS, || {
            layer3::router_ids(config)
        }),
        Marked::Switch(switch) => finish_row(plan, switch, LogicalSwitch::EXTERNAL_IDS, || {
            ids::of_network(config)
        }),
    }
}

fn finish_row<T: Table<Database = ovsdb::nb::Database>>(
    plan: &mut Plan,
    row: Ref<T>,
    column: Column<T, Map<Str, Str>>,
    own: impl FnOnce() -> Map<Str, Str>,
) {
    let existing = plan.view().get(row);
    let mut wanted = existing.map_or_else(Map::default, |row| column.get(row).clone());
    if wanted
        .get(ids::VERSION)
        .is_some_and(|version| *version == *ids::FINISHED)
    {
        return;
    }
    for (key, value) in own() {
        wanted.insert(key, value);
    }
    wanted.insert(ids::VERSION, ids::FINISHED);
    plan.set_later(row, column, wanted);
}
