//! Bridges, their uplinks, and the physical networks that they lead to.

use ovsdb::vswitch::{Bridge, BridgeFailMode, Database, Interface, OpenVSwitch, Port};
use ovsdb::{Ref, Row, Transaction};

use super::mappings::{BridgeMappings, Mapping};
use super::{Effect, Node, NodeError, View, put};

const MAPPINGS: &str = "ovn-bridge-mappings";

impl Node {
    /// Maps a physical network to a bridge for ovn-controller; the mappings of other networks are kept.
    ///
    /// # Errors
    /// When the node was never set up, its mappings are malformed, the commit fails, or another client
    /// keeps changing the same rows.
    pub async fn set_bridge_mapping(&self, mapping: &Mapping) -> Result<Effect, NodeError> {
        self.change_mappings(|mappings| mappings.set(mapping.clone()))
            .await
    }

    /// Removes the mapping of a physical network; the mappings of other networks are kept.
    ///
    /// # Errors
    /// When the node was never set up, its mappings are malformed, the commit fails, or another client
    /// keeps changing the same rows.
    pub async fn remove_bridge_mapping(&self, network: &str) -> Result<Effect, NodeError> {
        self.change_mappings(|mappings| mappings.remove(network))
            .await
    }

    async fn change_mappings(
        &self,
        change: impl Fn(&mut BridgeMappings),
    ) -> Result<Effect, NodeError> {
        self.converge(|view, transaction| {
            let root = view.root()?;
            let current = root.external_ids.get(MAPPINGS);
            let mut mappings: BridgeMappings = current.map_or("", |text| text).parse()?;
            change(&mut mappings);
            let text = mappings.to_string();
            let wanted = Some(text.as_str()).filter(|text| !text.is_empty());
            // The edit verifies the text that it replaces, so a mapping that another client adds at the
            // same time is not lost.
            transaction.edit(root, |row| put(&mut row.external_ids, [(MAPPINGS, wanted)]));
            Ok(())
        })
        .await
    }

    /// Creates a bridge that reaches the outside through an interface of the node.
    ///
    /// Sets the datapath type of a new or an existing bridge. With `None` a new bridge gets the
    /// kernel's, and an existing one keeps its own.
    ///
    /// # Errors
    /// When the node was never set up, the interface is on another bridge, the commit fails, or another
    /// client keeps changing the same rows.
    pub async fn uplink(
        &self,
        bridge: &str,
        interface: &str,
        datapath_type: Option<&str>,
    ) -> Result<Effect, NodeError> {
        self.converge(|view, transaction| {
            let root = view.root()?.reference();
            let made = ensure_bridge(view, transaction, root, bridge, datapath_type, None);
            ensure_port(view, transaction, made, interface)
        })
        .await
    }
}

/// Creates a bridge with its own internal port, unless it exists, and sets its datapath type and fail mode
/// where they are given.
pub(super) fn ensure_bridge(
    view: &View,
    transaction: &mut Transaction<Database>,
    root: Ref<OpenVSwitch>,
    name: &str,
    datapath_type: Option<&str>,
    fail_mode: Option<BridgeFailMode>,
) -> Ref<Bridge> {
    let existing = view.bridge(name).map(Row::reference);
    let bridge = existing.unwrap_or_else(|| {
        let port = new_port(transaction, name, "internal");
        let bridge = transaction.insert(Bridge {
            name: name.into(),
            ports: [port].into(),
            ..Default::default()
        });
        transaction.edit(root, |row| {
            row.bridges.insert(bridge);
        });
        bridge
    });
    transaction.edit(bridge, |row| {
        if let Some(wanted) = datapath_type {
            row.datapath_type = wanted.into();
        }
        if fail_mode.is_some() {
            row.fail_mode = fail_mode;
        }
    });
    bridge
}

/// Creates a port with one interface of the same name.
fn new_port(transaction: &mut Transaction<Database>, name: &str, kind: &str) -> Ref<Port> {
    let interface = transaction.insert(Interface {
        name: name.into(),
        r#type: kind.into(),
        ..Default::default()
    });
    transaction.insert(Port {
        name: name.into(),
        interfaces: [interface].into(),
        ..Default::default()
    })
}

/// Puts a port on a bridge.
fn ensure_port(
    view: &View,
    transaction: &mut Transaction<Database>,
    bridge: Ref<Bridge>,
    name: &str,
) -> Result<(), NodeError> {
    if let Some(port) = view.port(name) {
        return on_bridge(view, port, bridge);
    }
    let port = new_port(transaction, name, "");
    transaction.edit(bridge, |row| {
        row.ports.insert(port);
    });
    Ok(())
}

/// Refuses a port that is on another bridge than this.
pub(super) fn on_bridge(
    view: &View,
    port: &Row<Port>,
    bridge: Ref<Bridge>,
) -> Result<(), NodeError> {
    match view.bridge_of(port) {
        Some(other) if other.reference() != bridge => Err(NodeError::OnOtherBridge {
            port: port.name.to_string(),
            bridge: other.name.to_string(),
        }),
        _ => Ok(()),
    }
}
