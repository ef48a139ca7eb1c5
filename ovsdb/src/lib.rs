//! A typed client for OVSDB (RFC 7047 and ovsdb-server's extensions), the database of Open
//! vSwitch and OVN.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Generated code names this crate by its public path, inside it too.
extern crate self as ovsdb;

pub mod cache;
mod client;
mod error;
mod lock;
pub mod model;
pub mod protocol;
mod session;
pub mod stats;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transaction;
mod transport;
pub mod value;

/// The tables of `OVN_Northbound` (ovn-nb(5)), generated from the schema of OVN 26.03.
#[cfg(feature = "nb")]
pub mod nb {
    ovsdb::schema!("OVN_Northbound");
}

/// The tables of `OVN_Southbound` (ovn-sb(5)), generated from the schema of OVN 26.03.
#[cfg(feature = "sb")]
pub mod sb {
    ovsdb::schema!("OVN_Southbound");
}

/// The tables of `Open_vSwitch` (ovs-vswitchd.conf.db(5)), generated from the schema of Open
/// vSwitch 4.0.
#[cfg(feature = "vswitch")]
pub mod vswitch {
    ovsdb::schema!("Open_vSwitch");
}

pub use ovsdb_schema as schema;

#[cfg(feature = "derive")]
pub use ovsdb_derive::{Table, schema};

/// The version of rustls that [`TlsConfig::from_rustls`] takes the configuration of.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;

pub use self::cache::{Cache, CacheBuilder, MonitorVersion, Skew, SkewReport, Snapshot};
pub use self::client::{Client, ClientBuilder};
pub use self::error::{DisconnectReason, Disconnected, Error};
pub use self::lock::Lock;
pub use self::model::{Column, ColumnInfo, Database, Row, Table, TableVisitor};
pub use self::session::{ConnectionState, RemoteOrder};
pub use self::stats::{CacheStats, Stats};
pub use self::transaction::{CommitError, Outcome, RetryPolicy, RowIdentity, Transaction};
pub use self::transport::{ConnectError, Remote, RemoteError, RemoteErrorReason, parse_remotes};
#[cfg(feature = "tls")]
pub use self::transport::{TlsConfig, TlsConfigBuilder, TlsError, TlsMaterial, TlsPart};
pub use self::value::{ColumnValue, Map, Real, Ref, Set, Str, Uuid};
