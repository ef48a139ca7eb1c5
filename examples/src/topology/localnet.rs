//! A localnet network: one switch, as in layer2, with a port to a physical network.

use ovsdb::Ref;
use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};

use super::{layer2, switch_port};
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
    let port = LogicalSwitchPort {
        name: names.localnet_port().into(),
        r#type: "localnet".into(),
        addresses: ["unknown"].into(),
        options: [("network_name", network_name(config, profile))].into(),
        // northd copies it to `tag`.
        tag_request: config.vlan.map(i64::from),
        ..Default::default()
    };
    switch_port(plan, switch, port);
    switch
}

/// The name by which `ovn-bridge-mappings` says which bridge leads to the physical network.
#[must_use]
pub fn network_name(config: &NetworkConfig, profile: Profile) -> String {
    match (profile, &config.physical_network) {
        (Profile::Mid2023, _) => format!("{}_br-localnet", mangle(&config.name)),
        (Profile::Central2026, Some(physical)) => physical.clone(),
        (Profile::Central2026, None) => config.name.clone(),
    }
}
