//! Testing what you wrote.
//!
//! | what is tested | what you need |
//! |---|---|
//! | a function that reads a snapshot or writes a transaction | neither a server nor a runtime |
//! | a controller, a whole program | the embedded server |
//! | faults: lost replies, dead leaders, lagging members | the embedded server and its faults |
//! | the real ovsdb-server | the feature `testing` |
//!
//! # The embedded server
//!
//! The module [`server`] is an OVSDB server inside the program, compared with ovsdb-server message by message. A test needs no process, no
//! socket and no folder, and the constraints, defaults and references of the schema hold as in production:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ovsdb::nb::{self, LogicalSwitch};
//! use ovsdb::server::{Server, TransactionFault};
//!
//! let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! let seed = Server::memory(schema)?;
//! // Every test starts from the same rows. A fork costs the same for any number of rows.
//! let server = seed.fork();
//! let client = nb::Client::builder().server(&server).connect().await?;
//!
//! // What does the program do if its commit is carried out and the reply is lost?
//! let fault = TransactionFault::DisconnectAfter;
//! server.faults().next_transaction("OVN_Northbound", fault)?;
//! let mut txn = client.transaction();
//! txn.insert(LogicalSwitch { name: "sw0".into(), ..Default::default() });
//! assert!(txn.commit().await.is_err());
//!
//! // What was committed, as typed rows.
//! let committed = server.transactions::<nb::Database>();
//! let switches: Vec<_> = committed.iter().flat_map(|txn| txn.inserted::<LogicalSwitch>()).collect();
//! assert_eq!(switches[0].name, "sw0");
//! # Ok(()) }
//! ```
//!
//! # A controller under faults
//!
//! The whole program runs against the server, while the test breaks the connection or loses the reply of a commit:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use ovsdb::nb::{self, LogicalSwitch as Switch, PortGroup};
//! use ovsdb::server::{Server, TransactionFault};
//!
//! /// The controller: a port group for each switch.
//! fn run(client: &nb::Client, cache: &nb::Cache) -> nb::Runner<ovsdb::Str> {
//!     nb::Reconciler::new(client, cache).watch::<Switch>(|switch| switch.name.clone()).run(1, |name, _view, txn| {
//!         txn.ensure(PortGroup::NAME, name, |_| {});
//!         Ok(())
//!     })
//! }
//!
//! let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! let server = Server::memory(schema)?;
//! // By default the client waits up to a second before it connects again. A test should not wait that long.
//! let short = Duration::from_millis(10);
//! let client = nb::Client::builder().server(&server).backoff(short, short).connect().await?;
//! let cache = client.cache().table::<Switch>().table::<PortGroup>().start().await?;
//! let runner = run(&client, &cache);
//!
//! // The connection is cut, and a switch appears meanwhile.
//! server.faults().disconnect();
//! let mut txn = nb::Transaction::detached();
//! txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! txn.commit_on(&server)?;
//! // The controller's next commit is carried out, but its reply is lost.
//! server.faults().next_transaction("OVN_Northbound", TransactionFault::DisconnectAfter)?;
//!
//! let limit = Duration::from_secs(30);
//! cache.wait_until(limit, |view| view.get_by(PortGroup::NAME, "sw0").cloned()).await?;
//! runner.health()?;
//! runner.stop().await;
//! // It was inserted once.
//! let committed = server.transactions::<nb::Database>();
//! assert_eq!(committed.iter().flat_map(|txn| txn.inserted::<PortGroup>()).count(), 1);
//! # Ok(()) }
//! ```
//!
//! A fault that lasts, such as [`refuse_connections`](server::Faults::refuse_connections), ends when its guard is dropped. The faults
//! and what they test:
//!
//! | call | what it tests |
//! |---|---|
//! | [`Faults::disconnect`](server::Faults::disconnect), [`refuse_connections`](server::Faults::refuse_connections) | reconnects |
//! | [`Faults::hang`](server::Faults::hang), [`delay`](server::Faults::delay) | time limits, probes |
//! | [`Faults::next_transaction`](server::Faults::next_transaction) | refusals, unknown outcomes |
//! | [`Faults::lose_leadership`](server::Faults::lose_leadership) | [`leader_only`](crate::ClientBuilder::leader_only) |
//! | [`Faults::forget_history`](server::Faults::forget_history) | monitors that cannot be resumed |
//! | [`Server::convert`](server::Server::convert) | upgrades of the schema |
//! | [`Server::cluster`](server::Server::cluster) | failover: members that hand over, die, hang, lag or lose the majority |
//!
//! # Without a server
//!
//! Code that reads takes a [`Snapshot`], which [`SnapshotBuilder`](crate::testing::SnapshotBuilder) (feature `testing`) makes from typed
//! rows. Code that writes takes a `&mut` [`Transaction`], which [`Transaction::detached`] makes without a client. Then the test reads what
//! was written:
//!
//! ```
//! use ovsdb::nb::{self, LogicalSwitchPort as Port};
//! use ovsdb::testing::SnapshotBuilder;
//! use ovsdb::transaction::TableOperation;
//!
//! /// What is tested: the body of a closure of `Client::apply`.
//! fn disable_untagged(view: &nb::Snapshot, txn: &mut nb::Transaction) {
//!     for port in view.rows::<Port>().filter(|port| port.tag.is_none()) {
//!         txn.update(port).set(Port::ENABLED, Some(false));
//!     }
//! }
//!
//! let mut rows = SnapshotBuilder::<nb::Database>::new();
//! rows.insert(Port { name: "p1".into(), tag: Some(7), ..Default::default() });
//! let untagged = rows.insert(Port { name: "p2".into(), ..Default::default() });
//! let view = rows.build()?;
//!
//! let mut txn = nb::Transaction::detached();
//! disable_untagged(&view, &mut txn);
//! let [TableOperation::Update { rows, columns }] = &txn.operations_on::<Port>()[..] else {
//!     panic!("one update expected: {txn:?}");
//! };
//! assert_eq!(*rows, untagged);
//! assert_eq!(columns.get(Port::ENABLED), Some(&Some(false)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - A snapshot needs the indexes that the code uses: [`index`](crate::testing::SnapshotBuilder::index) declares one, and
//!   [`index_references_to`](crate::testing::SnapshotBuilder::index_references_to) is for
//!   [`referrers`](Snapshot::referrers). A [`Desired`] is tested by the text of its plan: `desired.plan(&view)?.to_string()`.
//! - [`Transaction::detached_on`] makes a transaction that reads a snapshot, as that of [`Client::apply`] does.
//! - [`inserted`](Transaction::inserted), [`operations_on`](Transaction::operations_on) and
//!   [`to_json`](Transaction::to_json) show what was written. [`check`](Transaction::check) finds mistakes.
//! - [`commit_on`](Transaction::commit_on) carries the transaction out on an embedded server, such as a fork, which checks it
//!   against the schema and the rows.
//!
//! # The real server
//!
//! With the feature `testing`, [`testing::Server`] and [`testing::Cluster`] start private ovsdb-server
//! processes, which end with the test. With `OVSDB_TEST_SERVER=embedded` in the environment, the same test runs on the embedded
//! server. [`Proxy`](crate::testing::Proxy) cuts, stalls and slows connections, and [`Dump`](crate::testing::Dump)
//! compares a replica with what a server holds.
//!
//! Next: [`performance`](super::performance).

#[cfg(doc)]
use crate::*;
