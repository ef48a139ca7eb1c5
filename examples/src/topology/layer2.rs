//! A layer2 network: one switch for all pods, wherever they run.

use ipnet::IpNet;
use ovsdb::nb::LogicalSwitch;

use super::{Draft, Switches, version};
use crate::config::{NetworkConfig, Profile};
use crate::ids;
use crate::names::NetworkNames;

/// Adds the switch to the plan.
pub(super) fn add(draft: &mut Draft<'_>, config: &NetworkConfig, profile: Profile) -> Switches {
    let name = NetworkNames::new(&config.name).layer2_switch();
    switch(draft, config, name, profile)
}

/// Adds the only switch of a network to the plan, in a step of its own.
pub(super) fn switch(
    draft: &mut Draft<'_>,
    config: &NetworkConfig,
    name: String,
    profile: Profile,
) -> Switches {
    let existing = draft.switch(&name);
    let version = version(existing.map(|switch| &switch.external_ids), profile);
    // The column can hold one subnet of each family. If the network has several of a family, the last one
    // is written.
    let subnets = config.subnets.iter().map(|subnet| match subnet {
        IpNet::V4(_) => ("subnet", subnet.to_string()),
        IpNet::V6(_) => ("ipv6_prefix", subnet.network().to_string()),
    });
    let subnets: Vec<_> = subnets.collect();
    draft
        .desired
        .begin(format!("the switch of {}", config.name))
        .row(&draft.names.switches, name.as_str())
        .set(LogicalSwitch::OTHER_CONFIG, subnets)
        .part(LogicalSwitch::EXTERNAL_IDS, ids::of_switch(config, profile))
        .part(LogicalSwitch::EXTERNAL_IDS, version);
    Switches::One(name)
}
