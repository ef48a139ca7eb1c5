//! A pod's interface on the integration bridge: what a CNI plug-in writes on ADD and DEL.

use std::time::Duration;

use ipnet::IpNet;
use ovsdb::vswitch::{Bridge, Database, Interface, Port};
use ovsdb::{Map, Row, Str, Transaction};

use super::bandwidth::{Bandwidth, delete_queues, insert_queue, limit_egress, limit_ingress};
use super::bridges::on_bridge;
use super::{Effect, Node, NodeError, SANDBOX, View, put, switch_error};

const IFACE_ID: &str = "iface-id";
const IFACE_ID_VER: &str = "iface-id-ver";
const ATTACHED_MAC: &str = "attached_mac";
const IP_ADDRESSES: &str = "ip_addresses";
const NETWORK: &str = "k8s.ovn.org/network";
const NAD: &str = "k8s.ovn.org/nad";
/// What ovn-controller writes when the flows of a port are in place.
const INSTALLED: &str = "ovn-installed";

/// The longest name of a network interface in Linux.
const LONGEST_NAME: usize = 15;

/// The name of the host's end of a pod's veth pair: the beginning of the sandbox's id and, except for
/// the default network, the index of the pod's end.
#[must_use]
pub fn interface_name(sandbox: &str, pod_interface_index: Option<u32>) -> String {
    let suffix = pod_interface_index.map_or_else(String::new, |index| format!("_{index}"));
    let length = LONGEST_NAME.saturating_sub(suffix.len());
    sandbox.chars().take(length).chain(suffix.chars()).collect()
}

/// A pod's interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The name of the host's end of the veth pair.
    pub interface: String,
    /// The pod's logical switch port.
    pub iface_id: String,
    /// The pod's uid.
    pub pod_uid: String,
    /// The sandbox's (container's) id.
    pub sandbox: String,
    /// The pod's MAC address.
    pub mac: String,
    /// The pod's addresses, with the length of the prefix.
    pub addresses: Vec<IpNet>,
    /// The network's name and the NAD's key; `None` for the default network.
    pub network: Option<(String, String)>,
    /// The limits of the rates at which the pod may receive and send.
    pub bandwidth: Bandwidth,
}

impl Attachment {
    fn nad(&self) -> Option<&str> {
        self.network.as_ref().map(|(_, nad)| nad.as_str())
    }

    /// The addresses in the form of the database.
    fn address_list(&self) -> Option<String> {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        (!addresses.is_empty()).then(|| addresses.join(","))
    }

    /// The keys in `external_ids` that belong to an attachment; `None` for those it does not have.
    fn external_ids<'a>(
        &'a self,
        addresses: Option<&'a str>,
    ) -> [(&'static str, Option<&'a str>); 7] {
        let network = self.network.as_ref();
        [
            (ATTACHED_MAC, Some(&self.mac)),
            (IFACE_ID, Some(&self.iface_id)),
            (IFACE_ID_VER, Some(&self.pod_uid)),
            (SANDBOX, Some(&self.sandbox)),
            (IP_ADDRESSES, addresses),
            (NETWORK, network.map(|(network, _)| network.as_str())),
            (NAD, self.nad()),
        ]
    }

    /// Whether an interface belongs to this attachment, of this pod or of an earlier one with its name.
    fn owns(&self, interface: &Interface) -> bool {
        text(&interface.external_ids, IFACE_ID) == Some(&self.iface_id)
            && text(&interface.external_ids, NAD) == self.nad()
    }

    /// Whether an interface of this attachment is left over from an earlier pod with the same name, or
    /// from an earlier sandbox or MAC address of this pod.
    fn outlived(&self, interface: &Interface) -> bool {
        let ids = &interface.external_ids;
        text(ids, IFACE_ID_VER) != Some(&self.pod_uid)
            || text(ids, SANDBOX) != Some(&self.sandbox)
            || text(ids, ATTACHED_MAC) != Some(&self.mac)
    }
}

/// The logical port of an interface, and the key of its NetworkAttachmentDefinition.
fn owner(interface: Option<&Row<Interface>>) -> [Option<String>; 2] {
    [IFACE_ID, NAD].map(|key| Some(text(&interface?.external_ids, key)?.to_owned()))
}

fn text<'a>(map: &'a Map<Str, Str>, key: &str) -> Option<&'a str> {
    map.get(key).map(Str::as_str)
}

impl Node {
    /// Puts a pod's interface on the integration bridge. Other interfaces of the same logical port are
    /// removed from the bridge: they are left over from an earlier pod with the same name, or from an
    /// earlier sandbox of this pod.
    ///
    /// # Errors
    /// [`NodeError::NoBridge`] when the bridge does not exist, [`NodeError::Taken`] when the
    /// interface of this name does not belong to this logical port and NAD, [`NodeError::OnOtherBridge`]
    /// when it is on another bridge, [`NodeError::Contended`] when another client keeps changing the same
    /// rows, or the error of the commit.
    pub async fn attach(&self, bridge: &str, wanted: &Attachment) -> Result<Effect, NodeError> {
        let addresses = wanted.address_list();
        self.converge(|view, transaction| {
            let bridge = view
                .bridge(bridge)
                .ok_or_else(|| NodeError::NoBridge(bridge.to_owned()))?;
            for (port, interface) in view.pod_ports(bridge) {
                let same = text(&interface.external_ids, IFACE_ID) == Some(&wanted.iface_id);
                if same && interface.name != wanted.interface {
                    remove_port(view, transaction, bridge, port, interface);
                }
            }
            let ids = wanted.external_ids(addresses.as_deref());
            let Some(port) = view.port(&wanted.interface) else {
                insert_port(view, transaction, bridge, wanted, &ids);
                return Ok(());
            };
            on_bridge(view, port, bridge.reference())?;
            let interface = view.interface(&wanted.interface);
            let Some(interface) = interface.filter(|interface| wanted.owns(interface)) else {
                let [iface_id, nad] = owner(interface);
                return Err(NodeError::Taken {
                    interface: wanted.interface.clone(),
                    iface_id,
                    nad,
                });
            };
            // The interface is inserted as a new row, so that a status of the old one is not taken
            // for a status of this one. The same is done if the switch has reported an error for
            // the interface.
            if wanted.outlived(interface) || interface.error.is_some() {
                remove_port(view, transaction, bridge, port, interface);
                insert_port(view, transaction, bridge, wanted, &ids);
            } else {
                update_port(view, transaction, port, interface, wanted, &ids);
            }
            Ok(())
        })
        .await
    }

    /// Waits until ovn-controller has installed the flows of a pod's interface.
    ///
    /// # Errors
    /// When that does not happen in time, the switch cannot open the interface, the interface does not
    /// exist, is removed, or belongs to another pod, NAD, sandbox or MAC address, or the client is closed.
    pub async fn installed(&self, wanted: &Attachment, limit: Duration) -> Result<(), NodeError> {
        let installed = self.wait_for(limit, |view| {
            let interface = view
                .interface(&wanted.interface)
                .ok_or_else(|| NodeError::Gone {
                    interface: wanted.interface.clone(),
                })?;
            if !wanted.owns(interface) || wanted.outlived(interface) {
                let [iface_id, nad] = owner(Some(interface));
                return Err(NodeError::NotOwned {
                    interface: wanted.interface.clone(),
                    iface_id,
                    nad,
                });
            }
            switch_error(interface)?;
            Ok((text(&interface.external_ids, INSTALLED) == Some("true")).then_some(()))
        });
        installed.await?.ok_or_else(|| NodeError::Timeout {
            interface: wanted.interface.clone(),
            awaited: "ovn-controller to install its flows",
        })
    }

    /// Removes a pod's interface from the integration bridge. It is not an error if the interface does
    /// not exist.
    ///
    /// # Errors
    /// When the bridge does not exist, the interface is on another bridge or is not a pod's, the commit
    /// fails, or another client keeps changing the same rows.
    pub async fn detach(&self, bridge: &str, interface: &str) -> Result<Effect, NodeError> {
        self.converge(|view, transaction| {
            let Some(port) = view.port(interface) else {
                return Ok(());
            };
            let bridge = view
                .bridge(bridge)
                .ok_or_else(|| NodeError::NoBridge(bridge.to_owned()))?;
            on_bridge(view, port, bridge.reference())?;
            let interface = view
                .interface(interface)
                .filter(|row| text(&row.external_ids, IFACE_ID).is_some())
                .ok_or_else(|| NodeError::NotAttached(interface.to_owned()))?;
            remove_port(view, transaction, bridge, port, interface);
            Ok(())
        })
        .await
    }
}

impl View {
    /// The ports of a bridge with their interfaces.
    fn pod_ports<'a>(
        &'a self,
        bridge: &'a Bridge,
    ) -> impl Iterator<Item = (&'a Row<Port>, &'a Row<Interface>)> {
        self.ports(bridge).flat_map(move |port| {
            let interfaces = self.0.get_all(&port.interfaces);
            interfaces.map(move |interface| (port, interface))
        })
    }
}

/// Inserts the port. The old one may be removed in the same transaction.
fn insert_port(
    view: &View,
    transaction: &mut Transaction<Database>,
    bridge: &Row<Bridge>,
    wanted: &Attachment,
    ids: &[(&'static str, Option<&str>)],
) {
    let pairs = ids
        .iter()
        .filter_map(|(key, value)| Some((*key, (*value)?)));
    let (policing_rate, policing_burst) = wanted.bandwidth.policing();
    let interface = transaction.insert(Interface {
        name: wanted.interface.as_str().into(),
        external_ids: pairs.collect(),
        ingress_policing_rate: policing_rate,
        ingress_policing_burst: policing_burst,
        ..Default::default()
    });
    delete_queues(view, transaction, &wanted.sandbox, None);
    let ingress = wanted.bandwidth.ingress;
    let qos = ingress.map(|rate| insert_queue(transaction, &wanted.sandbox, rate));
    let port = transaction.insert(Port {
        name: wanted.interface.as_str().into(),
        interfaces: [interface].into(),
        other_config: [("transient", "true")].into(),
        qos,
        ..Default::default()
    });
    transaction.edit(bridge, |row| {
        row.ports.insert(port);
    });
}

/// Changes an existing port where it differs from what is wanted.
fn update_port(
    view: &View,
    transaction: &mut Transaction<Database>,
    port: &Row<Port>,
    interface: &Row<Interface>,
    wanted: &Attachment,
    ids: &[(&'static str, Option<&str>)],
) {
    transaction.edit(interface, |row| {
        put(&mut row.external_ids, ids.iter().copied());
    });
    transaction.edit(port, |row| {
        put(&mut row.other_config, [("transient", Some("true"))]);
    });
    limit_egress(transaction, interface, wanted.bandwidth);
    let (sandbox, ingress) = (&wanted.sandbox, wanted.bandwidth.ingress);
    limit_ingress(view, transaction, port, sandbox, ingress);
}

/// Removes a port from the bridge. Nothing else refers to its rows, so the server deletes them; only a
/// QoS row must be deleted explicitly.
fn remove_port(
    view: &View,
    transaction: &mut Transaction<Database>,
    bridge: &Row<Bridge>,
    port: &Row<Port>,
    interface: &Interface,
) {
    transaction.edit(bridge, |row| {
        row.ports.remove(&port.reference());
    });
    if let Some(sandbox) = text(&interface.external_ids, SANDBOX) {
        // The server checks references before it deletes the unreferenced port, so remove the reference
        // here.
        if port.qos.is_some() {
            transaction.edit(port, |row| row.qos = None);
        }
        delete_queues(view, transaction, sandbox, Some(port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_named_after_the_sandbox() {
        let sandbox = "0123456789abcdef0123";
        assert_eq!(interface_name(sandbox, None), "0123456789abcde");
        assert_eq!(interface_name(sandbox, Some(7)), "0123456789abc_7");
        assert_eq!(interface_name(sandbox, Some(1234)), "0123456789_1234");
        assert_eq!(interface_name("ab", Some(3)), "ab_3");
    }
}
