//! A layer2 network: one switch for all pods, wherever they run.

use ipnet::IpNet;
use ovsdb::nb::LogicalSwitch;
use ovsdb::{Map, Ref, Str};

use super::with_version;
use crate::config::{NetworkConfig, Profile};
use crate::ids;
use crate::names::NetworkNames;
use crate::plan::Plan;

/// Plans the switch.
pub(super) fn plan(
    plan: &mut Plan,
    config: &NetworkConfig,
    profile: Profile,
) -> Ref<LogicalSwitch> {
    plan.begin(format!("the switch of {}", config.name));
    switch(
        plan,
        config,
        &NetworkNames::new(&config.name).layer2_switch(),
        profile,
    )
}

/// The only switch of a network, under this name.
pub(super) fn switch(
    plan: &mut Plan,
    config: &NetworkConfig,
    name: &str,
    profile: Profile,
) -> Ref<LogicalSwitch> {
    let existing = plan.find_switch(name);
    let column = LogicalSwitch::EXTERNAL_IDS;
    let ids = ids::of_switch(config, profile);
    let ids = with_version(ids, existing.as_deref(), column, profile);
    super::switch(plan, name, switch_config(&config.subnets), ids)
}

/// The network's subnets, as far as the columns have room for them: the last one of each family.
fn switch_config(subnets: &[IpNet]) -> Map<Str, Str> {
    let pairs = subnets.iter().map(|subnet| match subnet {
        IpNet::V4(_) => ("subnet", subnet.to_string()),
        IpNet::V6(_) => ("ipv6_prefix", subnet.network().to_string()),
    });
    pairs.collect()
}
