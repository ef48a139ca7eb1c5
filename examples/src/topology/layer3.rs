//! A layer3 network: one router, and a switch for each node with a subnet of its own.

use std::collections::BTreeMap;

use ipnet::IpNet;
use ovsdb::nb::{
    Copp, GatewayChassis, LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort,
};
use ovsdb::{Map, Ref, Set, Str};

use super::{switch_port, with_version};
use crate::addresses::{Mac, nth};
use crate::assign::NodeGrant;
use crate::config::{NetworkConfig, Profile};
use crate::ids;
use crate::names::NetworkNames;
use crate::plan::Plan;

/// Plans the router, and switches by their nodes' names.
pub(super) fn plan(
    plan: &mut Plan,
    config: &NetworkConfig,
    nodes: &[NodeGrant<'_>],
    copp: Ref<Copp>,
    profile: Profile,
) -> (Ref<LogicalRouter>, BTreeMap<String, Ref<LogicalSwitch>>) {
    let router = router(plan, config, copp, profile);
    let mut switches = BTreeMap::new();
    for node in nodes {
        plan.begin(format!("node {} of {}", node.node.name, config.name));
        let names = NetworkNames::new(&config.name);
        let name = &node.node.name;
        let other_config = switch_config(&node.subnets);
        let ids = ids::of_switch(config, profile);
        let switch = super::switch(plan, &names.node_switch(name), other_config, ids);
        let port = LogicalSwitchPort {
            name: names.switch_to_router(name).into(),
            r#type: "router".into(),
            addresses: ["router"].into(),
            options: [("router-port", names.router_to_switch(name))].into(),
            ..Default::default()
        };
        switch_port(plan, switch, port);
        router_port(plan, config, node, router);
        switches.insert(node.node.name.clone(), switch);
    }
    (router, switches)
}

/// What the router bears, its version apart.
pub(super) fn router_ids(config: &NetworkConfig) -> Map<Str, Str> {
    let mut ids = ids::of_network(config);
    ids.insert(ids::CLUSTER_ROUTER, "yes");
    ids
}

fn router(
    plan: &mut Plan,
    config: &NetworkConfig,
    copp: Ref<Copp>,
    profile: Profile,
) -> Ref<LogicalRouter> {
    plan.begin(format!("the router of {}", config.name));
    let name = NetworkNames::new(&config.name).cluster_router();
    let existing = plan.find_router(&name);
    let column = LogicalRouter::EXTERNAL_IDS;
    let ids = with_version(router_ids(config), existing.as_deref(), column, profile);
    let options = Map::from([("always_learn_from_arp_request", "false")]);
    match existing {
        Some(router) => {
            plan.set(&router, LogicalRouter::OPTIONS, options);
            plan.set(&router, LogicalRouter::COPP, Some(copp));
            plan.merge(&router, column, &ids);
            router.reference()
        }
        None => {
            let router = LogicalRouter {
                name: name.into(),
                options,
                external_ids: ids,
                copp: Some(copp),
                ..Default::default()
            };
            plan.insert_once(LogicalRouter::NAME, router)
        }
    }
}

/// A node's subnets, and the address that is kept for management.
fn switch_config(subnets: &[IpNet]) -> Map<Str, Str> {
    let mut config = Map::<Str, Str>::new();
    for subnet in subnets {
        match subnet {
            IpNet::V4(_) => {
                config.insert("subnet", subnet.to_string());
                if let Some(management) = nth(subnet, 2) {
                    config.insert("exclude_ips", management.to_string());
                }
            }
            IpNet::V6(_) => drop(config.insert("ipv6_prefix", subnet.network().to_string())),
        }
    }
    config
}

/// The router's port to the switch, pinned to the node's chassis.
fn router_port(
    plan: &mut Plan,
    config: &NetworkConfig,
    node: &NodeGrant<'_>,
    router: Ref<LogicalRouter>,
) {
    let gateways = node.gateways();
    let name = NetworkNames::new(&config.name).router_to_switch(&node.node.name);
    // From the IPv4 gateway where there is one: it is the first.
    let mac = gateways
        .first()
        .map(|gateway| Mac::from_ip(gateway.addr()).to_string());
    let mac = Str::from(mac.unwrap_or_default());
    let networks: Set<Str> = gateways.iter().map(IpNet::to_string).collect();
    let chassis = Set::from([gateway_chassis(plan, config, node)]);
    let mtu = node
        .node
        .gateway_mtu
        .map(|mtu| ("gateway_mtu", mtu.to_string()));
    let options: Map<Str, Str> = mtu.into_iter().collect();
    let port = match plan.find(LogicalRouterPort::NAME, &name) {
        Some(port) => {
            plan.set(&port, LogicalRouterPort::MAC, mac);
            plan.set(&port, LogicalRouterPort::NETWORKS, networks);
            plan.set(&port, LogicalRouterPort::GATEWAY_CHASSIS, chassis);
            plan.merge(&port, LogicalRouterPort::OPTIONS, &options);
            port.reference()
        }
        None => plan.insert(LogicalRouterPort {
            name: name.into(),
            mac,
            networks,
            gateway_chassis: chassis,
            options,
            ..Default::default()
        }),
    };
    let there = plan
        .view()
        .get(router)
        .is_some_and(|router| router.ports.contains(&port));
    if !there {
        plan.attach(router, LogicalRouter::PORTS, port);
    }
}

fn gateway_chassis(
    plan: &mut Plan,
    config: &NetworkConfig,
    node: &NodeGrant<'_>,
) -> Ref<GatewayChassis> {
    let chassis = node.node.chassis.as_str();
    let name = NetworkNames::new(&config.name).gateway_chassis(&node.node.name, chassis);
    match plan.find(GatewayChassis::NAME, &name) {
        Some(row) => {
            plan.set(&row, GatewayChassis::CHASSIS_NAME, chassis.into());
            plan.set(&row, GatewayChassis::PRIORITY, 1);
            row.reference()
        }
        None => plan.insert(GatewayChassis {
            name: name.into(),
            chassis_name: chassis.into(),
            priority: 1,
            ..Default::default()
        }),
    }
}
