//! A localnet network: one switch, as in layer2, with a port to a physical network.

use ovsdb::nb::LogicalSwitch;

use super::{Draft, Switches, layer2, switch_port};
use crate::config::{NetworkConfig, Profile};
use crate::names::{NetworkNames, mangle};

/// Adds the switch and its port to the plan.
pub(super) fn add(draft: &mut Draft<'_>, config: &NetworkConfig, profile: Profile) -> Switches {
    let names = NetworkNames::new(&config.name);
    let switches = layer2::switch(draft, config, names.localnet_switch(), profile);
    let option = ("network_name", network_name(config, profile));
    let (desired, port) = (&mut draft.desired, names.localnet_port());
    let port = switch_port(desired, &port, "localnet", "unknown", option, config.vlan);
    desired
        .row(&draft.names.switches, names.localnet_switch())
        .part(LogicalSwitch::PORTS, [port]);
    switches
}

/// The name of the physical network in `ovn-bridge-mappings`, which maps it to a bridge.
#[must_use]
pub fn network_name(config: &NetworkConfig, profile: Profile) -> String {
    match (profile, &config.physical_network) {
        (Profile::Mid2023, _) => format!("{}_br-localnet", mangle(&config.name)),
        (Profile::Central2026, Some(physical)) => physical.clone(),
        (Profile::Central2026, None) => config.name.clone(),
    }
}
