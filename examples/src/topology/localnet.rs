//! A localnet network: one switch, as in layer2, with a port to a physical network.

use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
use ovsdb::{Map, Ref, Set};

use super::layer2;
use crate::config::{NetworkConfig, Profile};
use crate::names::{NetworkNames, mangle};
use crate::plan::Plan;

/// Plans the switch and its port.
pub(super) fn plan(
    plan: &mut Plan,
    config: &NetworkConfig,
    profile: Profile,
) -> Ref<LogicalSwitch> {
    plan.begin(format!("the switch of {}", config.name));
    let names = NetworkNames::new(&config.name);
    let switch = layer2::switch(plan, config, &names.localnet_switch(), profile);
    port(plan, config, &names.localnet_port(), switch, profile);
    switch
}

/// The name by which `ovn-bridge-mappings` says which bridge leads to the physical network.
#[must_use]
pub fn network_name(config: &NetworkConfig, profile: Profile) -> String {
    match (profile, &config.physical_network) {
        (Profile::Mid2023, _) => format!("{}_br-localnet", mangle(&config.name)),
        (Profile::Current, Some(physical)) => physical.clone(),
        (Profile::Current, None) => config.name.clone(),
    }
}

fn port(
    plan: &mut Plan,
    config: &NetworkConfig,
    name: &str,
    switch: Ref<LogicalSwitch>,
    profile: Profile,
) {
    let addresses = Set::from(["unknown"]);
    let options = Map::from([("network_name", network_name(config, profile))]);
    // northd copies it to `tag`.
    let tag_request = config.vlan.map(i64::from);
    let port = match plan.find(LogicalSwitchPort::NAME, name) {
        Some(port) => {
            plan.set(&port, LogicalSwitchPort::TYPE, "localnet".into());
            plan.set(&port, LogicalSwitchPort::ADDRESSES, addresses);
            plan.set(&port, LogicalSwitchPort::OPTIONS, options);
            plan.set(&port, LogicalSwitchPort::TAG_REQUEST, tag_request);
            port.reference()
        }
        None => plan.insert(LogicalSwitchPort {
            name: name.into(),
            r#type: "localnet".into(),
            addresses,
            options,
            tag_request,
            ..Default::default()
        }),
    };
    let there = plan
        .view()
        .get(switch)
        .is_some_and(|switch| switch.ports.contains(&port));
    if !there {
        plan.attach(switch, LogicalSwitch::PORTS, port);
    }
}
