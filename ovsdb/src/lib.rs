//! A typed client for OVSDB (RFC 7047 and ovsdb-server's extensions), the database of Open
//! vSwitch and OVN.
//!
//! A [`Client`] is a session with one database: it connects, and connects again whenever the
//! connection is lost. A [`Cache`] is a replica of some of its tables. A [`Transaction`] writes.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ovsdb::nb;
//! use ovsdb::server::Server;
//!
//! // A server in this process. To reach a real server, give its remote; for a cluster, those of all members:
//! // `.remotes("ssl:192.0.2.1:6641,ssl:192.0.2.2:6641,ssl:192.0.2.3:6641").leader_only(true)`.
//! let server = Server::memory(ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema"))?;
//! let client = nb::Client::builder().server(&server).connect().await?;
//!
//! // Replicate these tables; of the ports, only those of type `router`.
//! let cache = client
//!     .cache()
//!     .table::<nb::LogicalSwitch>()
//!     .table_where::<nb::LogicalSwitchPort>(nb::LogicalSwitchPort::TYPE.eq("router"))
//!     .start()
//!     .await?;
//!
//! // All operations or none. The replica shows them when the commit resolves.
//! let mut txn = client.transaction();
//! let port = txn.insert(nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
//! txn.insert(nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
//! txn.commit().await?;
//!
//! // A view of one moment: consistent across tables, valid for as long as it is held.
//! let view = cache.snapshot();
//! for switch in view.rows::<nb::LogicalSwitch>() {
//!     println!("{} has {} ports", switch.name, switch.ports.len());
//! }
//!
//! // All rows first, then the changes of each server transaction (coalesced if the reader is slow).
//! let mut changes = cache.changes::<nb::LogicalSwitch>();
//! while let Some(batch) = changes.next().await {
//!     for change in &batch {
//!         println!("{change:?}");
//!     }
//! #   break;
//! }
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! The types are generic in the database, and each generated module has aliases for its database:
//! `nb::Client` is `Client<nb::Database>`.
//!
//! # The guide
//!
//! The module [`guide`] teaches the library in an hour. Start with its basics:
//!
//! | to learn | chapters |
//! |---|---|
//! | the basics | [`first_program`](guide::first_program), [`tables`](guide::tables), [`reading`](guide::reading), [`conditions`](guide::conditions) |
//! | to write | [`writing`](guide::writing), [`deciding`](guide::deciding), [`desired_state`](guide::desired_state) |
//! | to react | [`following`](guide::following), [`controllers`](guide::controllers) |
//! | to run it | [`connections`](guide::connections), [`clusters`](guide::clusters), [`schema_skew`](guide::schema_skew), [`daemons`](guide::daemons), [`testing`](guide::testing), [`performance`](guide::performance) |
//! | any schema | [`any_tables`](guide::any_tables) |
//! | what replaces what | from [Go's libovsdb](guide::from_go), [OVN-Kubernetes' `libovsdb/ops`](guide::from_ovn_kubernetes), [the C IDL](guide::from_c), [Python's IDL](guide::from_python) |
//!
//! # Promises
//!
//! 1. After a reconnect, exactly what changed meanwhile is delivered, whether or not the server could resume. Until then the
//!    replica stays readable.
//! 2. Replies and updates are applied in the order of the wire. An update that cannot be applied forces a
//!    visible resync.
//! 3. No change is dropped silently. For a slow consumer, pending changes are coalesced, so memory is bounded, and the batch
//!    [reports it](cache::BatchKind::is_coalesced).
//! 4. A server with an older or newer schema works. Columns that the program does not know are not requested. Those that the
//!    server lacks read as their default and are listed in [`Cache::skew`]; strict mode makes them an error.
//! 5. An unknown outcome is never reported as a success or a failure.
//! 6. Nothing panics on what a peer sends: depth, size and time are bounded, and errors are typed.
//! 7. Dropping a handle, cancelling a future at any `.await` or shutting the runtime down neither leaks nor hangs anything.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `derive` (default) | `schema!` and `derive(Table)` |
//! | `nb` | the module `nb`: OVN_Northbound, of OVN 26.03 |
//! | `sb` | the module `sb`: OVN_Southbound, of OVN 26.03 |
//! | `vswitch` | the module `vswitch`: Open_vSwitch, of Open vSwitch 4.0 |
//! | `tls` | `ssl:` remotes, through rustls |
//! | `serde` | serde's `Serialize` and `Deserialize` for [rows and values](value#serialization) |
//! | `metrics` | [metrics](stats) through the facade of the crate `metrics` |
//! | `server` | the module `server`: an OVSDB server |
//! | `testing` | the module `testing`: private servers for tests, and replicas fed from memory |
//!
//! The runtime is tokio.
//!
//! # Logs
//!
//! Logs are [`tracing`] events. Those of a client have the field `database`, and those about connecting
//! also `remote`. Those about TLS have the field `peer` instead. Errors are shown with all their causes,
//! as [`ErrorChain`] does.
//!
//! | level | what |
//! |---|---|
//! | `ERROR` | a closure of the program panicked, in the feed of a work queue or in a reconciler; a request of the session cannot be sent; a relay cannot apply what its source sent; a server of this library cannot write its file |
//! | `WARN` | a connection that served is lost; no server can be used, once for each of the first 16 reasons and then at growing intervals; an update does not fit, so all rows are fetched again; a cache is stale because its monitor cannot be started; the server's schema lacks tables or columns that the program uses, or has columns of other types; locks are used on a cluster without `leader_only`; certificates cannot be read again; a server replied to an unknown request; a key of a reconciler fails for the first, second, fourth, eighth time, and so on; the southbound database does not say which chassis are late; a server of this library cannot accept a connection, has too many clients, cannot compact its file, or cut off an incomplete record at the end of it |
//! | `INFO` | connected; certificates were read again; the server's schema differs from the compiled one, but lacks nothing of it; a client's TLS handshake with a server of this library failed, or took too long |
//! | `DEBUG` | every attempt to connect, and why it failed, or why the client waits for the server to become ready; transactions whose closure is run again; the other failures of a reconciler's key, and its recovery; the end of a session; requests of the session that the server refused, late replies and unknown notifications |
//! | `TRACE` | the target `ovsdb::wire`: every message that is sent or received |
//!
//! An event of `ovsdb::wire` has the fields `direction` (`sent` or `received`), `remote`,
//! `database` and `size` (bytes). Its message is the JSON text, with control characters escaped. A text
//! longer than 4,096 bytes is cut to at most that length, and `...` follows. Messages are logged before
//! TLS encrypts them and after TLS has decrypted them. So the log never contains TLS keys, but it
//! contains the secrets that rows hold. It costs nothing unless a subscriber enables it.
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The examples of the README.
#[cfg(all(doctest, feature = "nb", feature = "server"))]
#[doc = include_str!("../../README.md")]
struct Readme;

// Generated code names this crate by its public path, inside it too.
extern crate self as ovsdb;

#[macro_use]
#[cfg(not(simulation))]
mod simulated;
#[macro_use]
#[cfg(simulation)]
#[doc(hidden)]
#[allow(missing_docs, reason = "only the simulation uses it")]
pub mod simulated;

pub mod cache;
mod client;
pub mod desired;
mod error;
mod error_chain;
pub mod guide;
pub mod model;
#[cfg(any(feature = "nb", feature = "sb", feature = "vswitch"))]
pub mod progress;
pub mod protocol;
pub mod reconcile;
#[cfg(feature = "server")]
mod relay;
mod schema_cache;
mod schema_check;
#[cfg(feature = "server")]
pub mod server;
mod session;
pub mod stats;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transaction;
mod transport;
mod trie;
pub mod value;

/// The tables of `OVN_Northbound`, generated from the schema of OVN 26.03.
///
/// They are described in [ovn-nb(5)](https://www.ovn.org/support/dist-docs/ovn-nb.5.html). Each table and column
/// here links to its table's section in Debian's copy of that page, whose sections have anchors.
#[cfg(feature = "nb")]
pub mod nb {
    ovsdb::schema!(
        "OVN_Northbound",
        manual = "https://manpages.debian.org/unstable/ovn-nb.5#{table}_TABLE",
    );

    pub use crate::progress::northbound::{Realize, Realized, Stage, realized};
}

/// The tables of `OVN_Southbound`, generated from the schema of OVN 26.03.
///
/// They are described in [ovn-sb(5)](https://www.ovn.org/support/dist-docs/ovn-sb.5.html). Each table and column
/// here links to its table's section in Debian's copy of that page, whose sections have anchors.
#[cfg(feature = "sb")]
pub mod sb {
    ovsdb::schema!(
        "OVN_Southbound",
        manual = "https://manpages.debian.org/unstable/ovn-sb.5#{table}_TABLE",
    );

    pub use crate::progress::chassis::lagging_chassis;
}

/// The tables of `Open_vSwitch`, generated from the schema of Open vSwitch 4.0.
///
/// They are described in
/// [ovs-vswitchd.conf.db(5)](https://www.openvswitch.org/support/dist-docs/ovs-vswitchd.conf.db.5.html). Each table and
/// column here links to its table's section in Debian's copy of that page, whose sections have anchors.
#[cfg(feature = "vswitch")]
pub mod vswitch {
    ovsdb::schema!(
        "Open_vSwitch",
        manual = "https://manpages.debian.org/unstable/ovs-vswitchd.conf.db.5#{table}_TABLE",
    );

    pub use crate::progress::switch::{Configure, Configured, configured};
}

pub use ovsdb_schema as schema;

/// The traits that generated code implements with the feature `serde`.
#[cfg(feature = "serde")]
#[doc(hidden)]
pub use serde_core as __serde;

#[cfg(feature = "derive")]
pub use ovsdb_derive::{Table, schema};

/// The version of rustls that [`TlsConfig::from_rustls`] takes the configuration of.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;

pub use self::cache::{Skew, SkewReport, Snapshot};
pub use self::client::{
    Cache, CacheBuilder, Client, ClientBuilder, DatabaseInfo, Lock, WaitError, Watched,
};
pub use self::desired::Desired;
pub use self::error::{DisconnectReason, Disconnected, Error};
pub use self::error_chain::ErrorChain;
pub use self::model::{
    AnyDatabase, Column, ColumnInfo, Database, Immutable, Mutable, Row, RowIdentity, Table,
    TableVisitor, Unique, UniqueIndex,
};
pub use self::protocol::MonitorVersion;
pub use self::reconcile::{Reconciler, Runner};
pub use self::schema_check::{MismatchReason, SchemaMismatch};
pub use self::session::{ConnectionState, RemoteOrder};
pub use self::stats::{CacheStats, Stats};
pub use self::transaction::{CommitError, Outcome, Retry, RetryPolicy, Transaction};
#[cfg(feature = "server")]
pub use self::transport::MemoryRemote;
pub use self::transport::{
    ConnectError, IntoRemotes, Remote, RemoteError, RemoteErrorReason, parse_remotes,
};
#[cfg(feature = "tls")]
pub use self::transport::{TlsConfig, TlsConfigBuilder, TlsError, TlsMaterial, TlsPart};
pub use self::value::{ColumnValue, Map, Real, Ref, Set, Str, Uuid};
