//! Errors on a node.

use ovsdb::{CommitError, Error};

use super::mappings::BadMapping;

/// Why a node could not be brought into the wanted state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The database cannot be reached or read.
    #[error(transparent)]
    Database(#[from] Error),
    /// A transaction failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The table `Open_vSwitch` has no row.
    #[error("the table Open_vSwitch is empty: the node was never set up")]
    NotSetUp,
    /// A bridge is missing.
    #[error("there is no bridge {0:?}")]
    NoBridge(String),
    /// No interface of a pod has this name.
    #[error("there is no interface {0:?} of a pod")]
    NotAttached(String),
    /// The bridge mappings in the database are malformed.
    #[error(transparent)]
    Mapping(#[from] BadMapping),
    /// A port with this name belongs to another bridge.
    #[error("the port {port:?} belongs to the bridge {bridge:?}")]
    OnOtherBridge {
        /// The port.
        port: String,
        /// Its bridge.
        bridge: String,
    },
    /// An interface with this name does not belong to this attachment.
    #[error("the interface {interface:?} belongs to {}", owner(iface_id.as_deref(), nad.as_deref()))]
    Taken {
        /// The interface.
        interface: String,
        /// Its logical port; `None` if it has none, as is the case for an uplink.
        iface_id: Option<String>,
        /// The key of its NetworkAttachmentDefinition; `None` on the default network.
        nad: Option<String>,
    },
    /// The switch cannot open an interface.
    #[error("the switch cannot open the interface {interface:?}: {error}")]
    Switch {
        /// The interface.
        interface: String,
        /// The error that the switch reports.
        error: String,
    },
    /// The interface does not exist, or was removed while it was waited for.
    #[error("the interface {interface:?} does not exist")]
    Gone {
        /// The interface.
        interface: String,
    },
    /// The interface belongs to another pod, NAD, sandbox or MAC address.
    #[error("the interface {interface:?} does not belong to this attachment: it belongs to {}", owner(iface_id.as_deref(), nad.as_deref()))]
    NotOwned {
        /// The interface.
        interface: String,
        /// Its logical port now; `None` if it has none.
        iface_id: Option<String>,
        /// The key of its NetworkAttachmentDefinition; `None` on the default network.
        nad: Option<String>,
    },
    /// Something did not happen in time.
    #[error("the interface {interface:?} did not get ready in time: waited for {awaited}")]
    Timeout {
        /// The interface.
        interface: String,
        /// What was waited for.
        awaited: &'static str,
    },
    /// The client was closed.
    #[error("the connection to the database is closed")]
    Closed,
    /// Another client keeps changing the same rows back.
    #[error("another client keeps changing the same rows")]
    Contended,
}

/// What an interface belongs to.
fn owner(iface_id: Option<&str>, nad: Option<&str>) -> String {
    match (iface_id, nad) {
        (None, _) => "no pod".to_owned(),
        (Some(iface_id), None) => format!("the logical port {iface_id:?} of the default network"),
        (Some(iface_id), Some(nad)) => {
            format!("the logical port {iface_id:?} of the network {nad:?}")
        }
    }
}
