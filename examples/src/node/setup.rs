//! Prepares a node for ovn-controller.

use std::net::IpAddr;

use ovsdb::vswitch::{BridgeFailMode, OpenVSwitch};

use super::NodeError;
use super::bridges::ensure_bridge;
use super::{Effect, Node, put};

/// The bridge that ovn-controller works on unless told otherwise.
const DEFAULT_BRIDGE: &str = "br-int";

/// How a node takes part in OVN (ovn-controller(8), "Configuration").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The chassis' name.
    pub system_id: String,
    /// The node's name.
    pub hostname: String,
    /// Where the southbound database is.
    pub ovn_remote: String,
    /// The kind of tunnel.
    pub encap_type: String,
    /// The address at which the other nodes' tunnels end.
    pub encap_ip: IpAddr,
    /// The bridge that ovn-controller works on.
    pub integration_bridge: String,
    /// The datapath of the integration bridge: `system` is the kernel's, `netdev` is in user space.
    pub datapath_type: String,
}

impl Node {
    /// Inserts the only row of the table Open_vSwitch if necessary, sets in it how the node takes part
    /// in OVN, and creates the integration bridge.
    ///
    /// # Errors
    /// When the commit fails, or another client keeps changing the same rows.
    pub async fn set_up(&self, setup: &Setup) -> Result<Effect, NodeError> {
        let encap_ip = setup.encap_ip.to_string();
        let bridge = Some(setup.integration_bridge.as_str());
        let external_ids = [
            ("system-id", Some(setup.system_id.as_str())),
            ("hostname", Some(&setup.hostname)),
            ("ovn-remote", Some(&setup.ovn_remote)),
            ("ovn-encap-type", Some(&setup.encap_type)),
            ("ovn-encap-ip", Some(&encap_ip)),
            ("ovn-bridge", bridge.filter(|name| *name != DEFAULT_BRIDGE)),
            // If the bridge is deleted, ovn-controller creates it again: with the kernel's datapath, unless
            // this is set.
            ("ovn-bridge-datapath-type", Some(&setup.datapath_type)),
        ];
        self.converge(|view, transaction| {
            let root = match view.root() {
                Ok(root) => root.reference(),
                // The schema allows one row: if two clients insert it, the second is refused.
                Err(_) => transaction.insert(OpenVSwitch::default()),
            };
            transaction.edit(root, |row| put(&mut row.external_ids, external_ids));
            ensure_bridge(
                view,
                transaction,
                root,
                &setup.integration_bridge,
                Some(&setup.datapath_type),
                Some(BridgeFailMode::Secure),
            );
            Ok(())
        })
        .await
    }
}
