//! The operations of a network controller on `OVN_Northbound`: those of OVN-Kubernetes' package
//! `libovsdb/ops` on switches, routers, ports, ACLs, port groups, address sets, load balancers, meters
//! and related rows.
//!
//! Each is a plain function on a transaction. A function reads what earlier ones have written, so they
//! can be combined, and all of them are one transaction of the server:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use operations::{port_group, switch};
//! use ovsdb::CommitError;
//!
//! let cache = operations::cache(&client).start().await?;
//! let apply = client.apply(&cache, |_, txn| {
//!     switch::ensure(txn, "node1", |switch| {
//!         switch.other_config.insert("subnet", "10.244.0.0/24");
//!     });
//!     let port = switch::ensure_port(txn, "node1", "default_web", |port| {
//!         port.addresses = ["0a:58:0a:f4:00:05 10.244.0.5"].into();
//!     })?;
//!     port_group::ensure(txn, "web", |_| {});
//!     port_group::add_ports(txn, "web", &[port])?;
//!     Ok::<_, CommitError>(())
//! });
//! apply.await?;
//! # Ok(()) }
//! ```
//!
//! Nothing here waits, locks or retries. The commit verifies what was looked up by name, and
//! [`Client::apply`](ovsdb::Client::apply) runs the closure again when another client was first.
//!
//! # What replaces what
//!
//! | OVN-Kubernetes | here |
//! |---|---|
//! | an `operationModel` with a `Model` whose index columns are set | an index and a key: `txn.one(LogicalSwitchPort::NAME, "p1")` |
//! | `ModelPredicate` | [`rows::find`] in a whole table, [`children::find`] among those of one parent |
//! | `OnModelUpdates`, `OnModelMutations` | what the closure of `txn.edit` changes: only the difference is sent |
//! | `ErrNotFound: true` | `txn.one(..)?`, which also refuses several rows |
//! | `ErrNotFound: false` without a model to create | [`rows::optional`] |
//! | `BulkOp: true` | [`rows::edit`], [`rows::delete`] |
//! | `DoAfter`, to hand on a uuid | the [`Ref`](ovsdb::Ref) that a function returns |
//! | `…Ops` functions that append to a list of operations | all functions: they take the transaction |
//! | `buildFailOnDuplicateOps` | the guard of `txn.ensure` and `txn.one` |
//! | `TransactAndCheck`, `TransactWithRetry` | `client.apply` |
//! | `CreateOrUpdate…`, `Update…` of one row | `txn.ensure`, [`rows::update`] |
//! | `Get…` | `txn.one`, then `txn.get` |
//! | `Find…WithPredicate`, `List…` | [`rows::find`]; `txn.peek().rows::<T>()` where the rows themselves are wanted |
//!
//! Operations that need only the library, [`rows`] and [`children`] have no function of their own:
//! those on rules for quality of service ([`QOS_RULES`], `LogicalSwitch::QOS_RULES`), DHCP options
//! ([`DHCP_OPTIONS`]), template variables, static MAC bindings and control plane protection.

pub mod acl;
pub mod address_set;
pub mod children;
pub mod load_balancer;
pub mod meter;
pub mod nb_global;
pub mod port_group;
pub mod router;
pub mod rows;
pub mod switch;

use std::sync::LazyLock;

use ovsdb::cache::Index;
use ovsdb::nb::{
    Acl, Client, Database, DhcpOptions, LoadBalancer, LogicalRouter, LogicalSwitch, QoS,
};
use ovsdb::transaction::BuildError;
use ovsdb::{CacheBuilder, Str};

pub use ovsdb::nb::Transaction;

/// A table of the database.
pub trait Table: ovsdb::Table<Database = Database> {}

impl<T: ovsdb::Table<Database = Database>> Table for T {}

/// What an operation returns.
pub type Result<R = ()> = std::result::Result<R, BuildError>;

/// Finds switches by their names, which the schema does not keep unique.
pub static SWITCHES: LazyLock<Index<LogicalSwitch, Str>> =
    LazyLock::new(|| Index::column(LogicalSwitch::NAME));

/// Finds routers by their names.
pub static ROUTERS: LazyLock<Index<LogicalRouter, Str>> =
    LazyLock::new(|| Index::column(LogicalRouter::NAME));

/// Finds load balancers by their names.
pub static LOAD_BALANCERS: LazyLock<Index<LoadBalancer, Str>> =
    LazyLock::new(|| Index::column(LoadBalancer::NAME));

/// Finds ACLs by the ids that their owner gives them.
pub static ACLS: LazyLock<Index<Acl, Str>> =
    LazyLock::new(|| Index::map_key(Acl::EXTERNAL_IDS, "k8s.ovn.org/id"));

/// Finds rules for quality of service by the ids that their owner gives them.
pub static QOS_RULES: LazyLock<Index<QoS, Str>> =
    LazyLock::new(|| Index::map_key(QoS::EXTERNAL_IDS, "k8s.ovn.org/id"));

/// Finds DHCP options by the ids that their owner gives them.
pub static DHCP_OPTIONS: LazyLock<Index<DhcpOptions, Str>> =
    LazyLock::new(|| Index::map_key(DhcpOptions::EXTERNAL_IDS, "k8s.ovn.org/id"));

/// A cache of all tables, with the indexes.
pub fn cache(client: &Client) -> CacheBuilder<Database> {
    let cache = client.cache().all_tables();
    let cache = cache.index(&SWITCHES).index(&ROUTERS);
    let cache = cache.index(&LOAD_BALANCERS).index(&ACLS);
    cache.index(&QOS_RULES).index(&DHCP_OPTIONS)
}
