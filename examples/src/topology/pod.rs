//! The ports of pods, which are the same in every topology.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
use ovsdb::{Map, Ref, Row, Set, Str};

use super::Switches;
use crate::assign::PodGrant;
use crate::config::{NetworkConfig, Profile};
use crate::error::{InputError, Reason};
use crate::ids;
use crate::plan::Plan;

/// So many ports are one step.
const PORTS_OF_A_STEP: usize = 250;

type SwitchRow = Arc<Row<LogicalSwitch>>;

/// The ports of pods, by name.
pub(super) type Ports = BTreeMap<String, Ref<LogicalSwitchPort>>;

/// Plans the ports of the network's pods. A pod whose port is on another switch is left out.
pub(super) fn plan(
    plan: &mut Plan,
    config: &NetworkConfig,
    switches: &Switches,
    pods: &[PodGrant<'_>],
    profile: Profile,
    refused: &mut Vec<InputError>,
) -> Ports {
    let mut ports = Ports::new();
    let holders = holders(plan);
    for pods in pods.chunks(PORTS_OF_A_STEP) {
        plan.begin(match pods {
            [pod] => format!(
                "pod {}/{} on {}",
                pod.pod.namespace, pod.pod.name, config.name
            ),
            pods => format!("{} pods on {}", pods.len(), config.name),
        });
        for pod in pods {
            if let Some(switch) = switches.of(pod.node) {
                match port(plan, config, switch, pod, &holders, profile) {
                    Ok(port) => {
                        ports.insert(pod.attachment.port.clone(), port);
                    }
                    Err(reason) => refused.push(InputError::new(&pod.pod.place, "", reason)),
                }
            }
        }
    }
    ports
}

/// Which switch each port is on.
fn holders(plan: &Plan) -> HashMap<Ref<LogicalSwitchPort>, SwitchRow> {
    let mut holders = HashMap::new();
    for switch in plan.view().table::<LogicalSwitch>().rows_shared() {
        holders.extend(switch.ports.iter().map(|port| (*port, switch.clone())));
    }
    holders
}

fn port(
    plan: &mut Plan,
    config: &NetworkConfig,
    switch: Ref<LogicalSwitch>,
    pod: &PodGrant<'_>,
    holders: &HashMap<Ref<LogicalSwitchPort>, SwitchRow>,
    profile: Profile,
) -> Result<Ref<LogicalSwitchPort>, Reason> {
    let wanted = wanted(config, pod, profile);
    if let Some(port) = plan.find(LogicalSwitchPort::NAME, &wanted.name) {
        let elsewhere = holders
            .get(&port.reference())
            .filter(|holder| holder.reference() != switch);
        let Some(holder) = elsewhere else {
            update(plan, &port, wanted);
            return Ok(port.reference());
        };
        // A port goes with its switch.
        if !plan.is_deleted(holder) {
            // Another uid is another pod of the same name, which came after it on another node.
            if uid(&port) == uid(&wanted) {
                return Err(Reason::WrongSwitch {
                    port: port.name.to_string(),
                    found: holder.name.to_string(),
                });
            }
            plan.delete(&port);
            plan.detach(holder, LogicalSwitch::PORTS, port.reference());
        }
    }
    let port = plan.insert(wanted);
    plan.attach(switch, LogicalSwitch::PORTS, port);
    Ok(port)
}

/// The pod's uid in a port.
fn uid(port: &LogicalSwitchPort) -> Option<&Str> {
    port.options.get("iface-id-ver")
}

fn wanted(config: &NetworkConfig, pod: &PodGrant<'_>, profile: Profile) -> LogicalSwitchPort {
    let address = pod.grant.port_address();
    let chassis = match profile {
        Profile::Mid2023 => pod.node,
        Profile::Central2026 => pod.chassis,
    };
    let mut options = Map::<Str, Str>::from([("requested-chassis", chassis)]);
    if let Some(uid) = &pod.pod.uid {
        options.insert("iface-id-ver", uid.as_str());
    }
    let mut external_ids = ids::of_network(config);
    external_ids.insert(ids::NAMESPACE, pod.pod.namespace.as_str());
    external_ids.insert(ids::POD, "true");
    external_ids.insert(ids::NAD, pod.attachment.nad.as_str());
    LogicalSwitchPort {
        name: pod.attachment.port.as_str().into(),
        addresses: Set::from([address.as_str()]),
        port_security: Set::from([address.as_str()]),
        options,
        external_ids,
        ..Default::default()
    }
}

/// Brings a port up to date: the row stays, because others refer to it.
fn update(plan: &mut Plan, port: &Row<LogicalSwitchPort>, wanted: LogicalSwitchPort) {
    let mut options = wanted.options;
    // A port without the uid was made before there was one in ports.
    if uid(port).is_none() {
        options.remove("iface-id-ver");
    }
    plan.set(port, LogicalSwitchPort::TYPE, wanted.r#type);
    plan.set(port, LogicalSwitchPort::ADDRESSES, wanted.addresses);
    plan.set(port, LogicalSwitchPort::PORT_SECURITY, wanted.port_security);
    plan.set(port, LogicalSwitchPort::TAG_REQUEST, wanted.tag_request);
    plan.set(port, LogicalSwitchPort::OPTIONS, options);
    plan.merge(port, LogicalSwitchPort::EXTERNAL_IDS, &wanted.external_ids);
}
