//! The ports of pods, which are the same in every topology.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};
use ovsdb::{Map, Ref, Str};

use super::{Draft, Switches};
use crate::assign::PodGrant;
use crate::config::{NetworkConfig, Profile};
use crate::error::{InputError, Reason};
use crate::ids;
use crate::remove;

/// The most ports in one step.
const PORTS_OF_A_STEP: usize = 250;
/// The pod's uid in a port's options.
const UID: &str = "iface-id-ver";

/// The ports of pods, by name.
pub(super) type Ports = BTreeMap<String, Ref<LogicalSwitchPort>>;

/// Adds the ports of the network's pods to the draft. A pod whose port has its uid and is on another
/// switch is left out.
pub(super) fn add(
    draft: &mut Draft<'_>,
    config: &NetworkConfig,
    switches: &Switches,
    pods: &[PodGrant<'_>],
    profile: Profile,
    refused: &mut Vec<InputError>,
) -> Ports {
    let mut ports = Ports::new();
    let mut freed = BTreeSet::new();
    for pods in pods.chunks(PORTS_OF_A_STEP) {
        draft.desired.begin(match pods {
            [pod] => format!(
                "pod {}/{} on {}",
                pod.pod.namespace, pod.pod.name, config.name
            ),
            pods => format!("{} pods on {}", pods.len(), config.name),
        });
        let mut of_switches = BTreeMap::<&str, Vec<_>>::new();
        for pod in pods {
            let Some(switch) = switches.of(pod.node) else {
                continue;
            };
            match port(draft, config, switch, pod, profile, &mut freed) {
                Ok(port) => {
                    of_switches.entry(switch).or_default().push(port);
                    ports.insert(pod.attachment.port.clone(), port);
                }
                Err(reason) => refused.push(InputError::new(&pod.pod.place, "", reason)),
            }
        }
        for (switch, ports) in of_switches {
            let switch = draft.desired.row(&draft.names.switches, switch);
            switch.part(LogicalSwitch::PORTS, ports);
        }
    }
    let granted = pods.iter().flat_map(|pod| &pod.grant.addresses);
    for address in granted {
        freed.remove(address.addr().to_string().as_str());
    }
    if !freed.is_empty() {
        remove::free(draft, &config.name, freed, &ports);
    }
    ports
}

fn port(
    draft: &mut Draft<'_>,
    config: &NetworkConfig,
    switch: &str,
    pod: &PodGrant<'_>,
    profile: Profile,
    freed: &mut BTreeSet<Str>,
) -> Result<Ref<LogicalSwitchPort>, Reason> {
    let name = pod.attachment.port.as_str();
    let mut uid = pod.pod.uid.as_deref();
    let view = draft.view.clone();
    let address = pod.grant.port_address();
    if let Some(port) = view.get_by(LogicalSwitchPort::NAME, name) {
        let known = port.options.get(UID).map(Str::as_str);
        let row = port.reference();
        let there = draft.switch(switch);
        if there.is_some_and(|switch| switch.ports.contains(&row)) {
            // A port without a uid was created before ports had uids; OVN-Kubernetes leaves it so.
            uid = uid.filter(|_| known.is_some());
        } else {
            let switches = view.rows::<LogicalSwitch>();
            let mut elsewhere = switches.filter(|switch| switch.ports.contains(&row));
            // Another uid means another pod with the same name, created later on another node.
            match elsewhere.find(|switch| !draft.is_gone(switch.uuid())) {
                Some(holder) if known == uid => {
                    return Err(Reason::WrongSwitch {
                        port: name.to_owned(),
                        found: holder.name.to_string(),
                    });
                }
                Some(_) => draft.unwanted(port),
                None => {}
            }
        }
        if port.addresses.iter().all(|known| *known != *address) {
            freed.extend(remove::addresses(port));
        }
    }
    let chassis = match profile {
        Profile::Mid2023 => pod.node,
        Profile::Central2026 => pod.chassis,
    };
    let mut options = Map::<Str, Str>::from([("requested-chassis", chassis)]);
    options.extend(uid.map(|uid| (UID, uid)));
    let mut ids = ids::of_network(config);
    ids.insert(ids::NAMESPACE, pod.pod.namespace.as_str());
    ids.insert(ids::POD, "true");
    ids.insert(ids::NAD, pod.attachment.nad.as_str());
    let port = draft.desired.row(LogicalSwitchPort::NAME, name);
    Ok(port
        .set(LogicalSwitchPort::TYPE, "")
        .set(LogicalSwitchPort::ADDRESSES, [address.as_str()])
        .set(LogicalSwitchPort::PORT_SECURITY, [address.as_str()])
        .set(LogicalSwitchPort::TAG_REQUEST, None)
        .set(LogicalSwitchPort::OPTIONS, options)
        .part(LogicalSwitchPort::EXTERNAL_IDS, ids)
        .reference())
}
