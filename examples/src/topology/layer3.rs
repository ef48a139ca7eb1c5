//! A layer3 network: one router, and a switch for each node with a subnet of its own.

use std::collections::BTreeMap;

use ipnet::IpNet;
use ovsdb::nb::{Copp, Desired, GatewayChassis, LogicalRouter, LogicalRouterPort, LogicalSwitch};
use ovsdb::{Map, Ref, Str};

use super::{Draft, Switches, switch_port, version};
use crate::addresses::{Mac, nth};
use crate::assign::NodeGrant;
use crate::config::{NetworkConfig, Profile};
use crate::ids;
use crate::names::NetworkNames;

/// The name of a network's router.
pub(super) fn router_name(config: &NetworkConfig) -> String {
    NetworkNames::new(&config.name).cluster_router()
}

/// Adds the router and the switches to the plan. Returns the switches' names.
pub(super) fn add(
    draft: &mut Draft<'_>,
    config: &NetworkConfig,
    nodes: &[NodeGrant<'_>],
    copp: Ref<Copp>,
    profile: Profile,
) -> Switches {
    let names = NetworkNames::new(&config.name);
    let (by_name, name) = (draft.names, router_name(config));
    let existing = draft.view.find(&by_name.routers, name.as_str()).next();
    let version = version(existing.map(|router| &router.external_ids), profile);
    let desired = &mut draft.desired;
    desired.begin(format!("the router of {}", config.name));
    desired
        .row(&by_name.routers, name.as_str())
        .set(
            LogicalRouter::OPTIONS,
            [("always_learn_from_arp_request", "false")],
        )
        .set(LogicalRouter::COPP, Some(copp))
        .part(LogicalRouter::EXTERNAL_IDS, ids::of_network(config))
        .part(LogicalRouter::EXTERNAL_IDS, [(ids::CLUSTER_ROUTER, "yes")])
        .part(LogicalRouter::EXTERNAL_IDS, version);
    let mut switches = BTreeMap::new();
    for grant in nodes {
        let node = &grant.node.name;
        desired.begin(format!("node {node} of {}", config.name));
        let router_port = ("router-port", names.router_to_switch(node));
        let name = names.switch_to_router(node);
        let to_router = switch_port(desired, &name, "router", "router", router_port, None);
        let switch = names.node_switch(node);
        desired
            .row(&by_name.switches, switch.as_str())
            .set(LogicalSwitch::OTHER_CONFIG, switch_config(&grant.subnets))
            .part(LogicalSwitch::EXTERNAL_IDS, ids::of_switch(config, profile))
            .part(LogicalSwitch::PORTS, [to_router]);
        let to_switch = router_port_to(desired, &names, grant);
        desired
            .row(&by_name.routers, router_name(config))
            .part(LogicalRouter::PORTS, [to_switch]);
        switches.insert(node.clone(), switch);
    }
    Switches::Nodes(switches)
}

/// A node's subnets, and the address reserved for management.
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

/// Adds the router's port to a node's switch, pinned to the node's chassis, to the desired rows.
fn router_port_to(
    desired: &mut Desired,
    names: &NetworkNames,
    grant: &NodeGrant<'_>,
) -> Ref<LogicalRouterPort> {
    let (node, chassis) = (&grant.node.name, grant.node.chassis.as_str());
    let pinned = desired
        .row(GatewayChassis::NAME, names.gateway_chassis(node, chassis))
        .set(GatewayChassis::CHASSIS_NAME, chassis)
        .set(GatewayChassis::PRIORITY, 1)
        .reference();
    let gateways = grant.gateways();
    // From the IPv4 gateway if there is one, since it comes first.
    let mac = gateways.first().map(|gateway| Mac::from_ip(gateway.addr()));
    let mtu = grant.node.gateway_mtu;
    let networks: Vec<String> = gateways.iter().map(IpNet::to_string).collect();
    desired
        .row(LogicalRouterPort::NAME, names.router_to_switch(node))
        .set(
            LogicalRouterPort::MAC,
            mac.map(|mac| mac.to_string()).unwrap_or_default(),
        )
        .set(LogicalRouterPort::NETWORKS, networks)
        .set(LogicalRouterPort::GATEWAY_CHASSIS, [pinned])
        .part(
            LogicalRouterPort::OPTIONS,
            mtu.map(|mtu| ("gateway_mtu", mtu.to_string())),
        )
        .reference()
}
