//! Bridges, their uplinks, and which of them lead to which physical network.

use ovsdb::vswitch::{Bridge, BridgeFailMode, Database, Interface, OpenVSwitch, Port};
use ovsdb::{Ref, Row, Transaction};

use super::mappings::{BridgeMappings, Mapping};
use super::{Effect, MapChange, Node, NodeError, View};

const MAPPINGS: &str = "ovn-bridge-mappings";

impl Node {
    /// Maps a physical network to a bridge for ovn-controller; other networks' mappings stay.
    ///
    /// # Errors
    /// When the node was never set up, or its mappings are malformed.
    pub async fn set_bridge_mapping(&self, mapping: &Mapping) -> Result<Effect, NodeError> {
        self.change_mappings(|mappings| mappings.set(mapping.clone()))
            .await
    }

    /// Takes the mapping of a physical network away; other networks' mappings stay.
    ///
    /// # Errors
    /// When the node was never set up, or its mappings are malformed.
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
            let keys = MapChange::new(&root.external_ids, [(MAPPINGS, wanted)]);
            if keys.is_empty() {
                return Ok(());
            }
            // The old text is part of the condition, so that a mapping which somebody adds in
            // this moment is not overwritten: nothing happens then, and we look again.
            let mut rows = root.reference().into();
            if let Some(current) = current {
                let unchanged = OpenVSwitch::EXTERNAL_IDS.includes([(MAPPINGS, current.clone())]);
                rows = unchanged.and(rows);
            }
            transaction
                .mutate::<OpenVSwitch>(rows)
                .delete_keys(OpenVSwitch::EXTERNAL_IDS, keys.removed)
                .insert(OpenVSwitch::EXTERNAL_IDS, keys.added);
            Ok(())
        })
        .await
    }

    /// Makes a bridge that reaches the outside through an interface of the node.
    ///
    /// A new bridge has this datapath type, an old one gets it; `None` is the kernel's for a new
    /// bridge, and no change for an old one.
    ///
    /// # Errors
    /// When the node was never set up, or another bridge has the interface.
    pub async fn uplink(
        &self,
        bridge: &str,
        interface: &str,
        datapath_type: Option<&str>,
    ) -> Result<Effect, NodeError> {
        self.converge(|view, transaction| {
            let made = ensure_bridge(view, transaction, bridge, datapath_type, None)?;
            ensure_port(view, transaction, made, interface)
        })
        .await
    }
}

/// Makes a bridge with its own internal port, or gives it what it lacks.
pub(super) fn ensure_bridge(
    view: &View,
    transaction: &mut Transaction<Database>,
    name: &str,
    datapath_type: Option<&str>,
    fail_mode: Option<BridgeFailMode>,
) -> Result<Ref<Bridge>, NodeError> {
    let root = view.root()?;
    let Some(bridge) = view.bridge(name) else {
        let interface = transaction.insert(Interface {
            name: name.into(),
            r#type: "internal".into(),
            ..Default::default()
        });
        let port = transaction.insert(Port {
            name: name.into(),
            interfaces: [interface].into(),
            ..Default::default()
        });
        let bridge = transaction.insert(Bridge {
            name: name.into(),
            datapath_type: datapath_type.unwrap_or_default().into(),
            fail_mode,
            ports: [port].into(),
            ..Default::default()
        });
        transaction
            .mutate(root)
            .insert(OpenVSwitch::BRIDGES, [bridge]);
        return Ok(bridge);
    };
    if let Some(wanted) = datapath_type.filter(|wanted| bridge.datapath_type != *wanted) {
        transaction
            .update(bridge)
            .set(Bridge::DATAPATH_TYPE, wanted);
    }
    if fail_mode.is_some() && bridge.fail_mode != fail_mode {
        transaction.update(bridge).set(Bridge::FAIL_MODE, fail_mode);
    }
    Ok(bridge.reference())
}

/// Makes a port with one interface of the same name on a bridge.
fn ensure_port(
    view: &View,
    transaction: &mut Transaction<Database>,
    bridge: Ref<Bridge>,
    name: &str,
) -> Result<(), NodeError> {
    if let Some(port) = view.port(name) {
        return on_bridge(view, port, bridge);
    }
    let interface = transaction.insert(Interface {
        name: name.into(),
        ..Default::default()
    });
    let port = transaction.insert(Port {
        name: name.into(),
        interfaces: [interface].into(),
        ..Default::default()
    });
    transaction.mutate(bridge).insert(Bridge::PORTS, [port]);
    Ok(())
}

/// Refuses a port of another bridge than this.
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
