//! What can go wrong on a node.

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
    /// The database is empty.
    #[error("the table Open_vSwitch is empty: the node was never set up")]
    NotSetUp,
    /// A bridge is missing.
    #[error("there is no bridge {0:?}")]
    NoBridge(String),
    /// An interface is missing.
    #[error("there is no interface {0:?} of a pod")]
    NotAttached(String),
    /// The bridge mappings in the database, or the one to be set, are malformed.
    #[error(transparent)]
    Mapping(#[from] BadMapping),
    /// A port of this name belongs to another bridge.
    #[error("the port {port:?} belongs to the bridge {bridge:?}")]
    OnOtherBridge {
        /// The port.
        port: String,
        /// Its bridge.
        bridge: String,
    },
    /// An interface of this name belongs to another attachment.
    #[error(
        "the interface {interface:?} belongs to {iface_id:?} of the network attachment {nad:?}"
    )]
    Taken {
        /// The interface.
        interface: String,
        /// Its logical port.
        iface_id: String,
        /// The attachment's key, empty for the default network.
        nad: String,
    },
    /// The switch cannot open an interface.
    #[error("the switch cannot open the interface {interface:?}: {error}")]
    Switch {
        /// The interface.
        interface: String,
        /// What the switch says.
        error: String,
    },
    /// Somebody took an interface away while it was waited for.
    #[error("the interface {interface:?} was taken away")]
    Gone {
        /// The interface.
        interface: String,
    },
    /// Somebody gave an interface to another pod while it was waited for.
    #[error("the interface {interface:?} was given to {iface_id:?}")]
    GivenAway {
        /// The interface.
        interface: String,
        /// Its logical port now.
        iface_id: String,
    },
    /// Something did not happen in time.
    #[error("waited in vain for the interface {interface:?}: for {awaited}")]
    Timeout {
        /// The interface.
        interface: String,
        /// What was waited for.
        awaited: &'static str,
    },
    /// The connection to the database was closed for good.
    #[error("the connection to the database is closed")]
    Closed,
    /// Somebody changes the same rows to something else all the time.
    #[error("somebody else keeps changing the same rows")]
    Contended,
}
