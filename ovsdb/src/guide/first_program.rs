//! First program: connect, read, write.
//!
//! OVSDB is the database of Open vSwitch and OVN. A server keeps typed tables, clients subscribe to rows
//! ("monitor" them), and every change is a transaction. This library keeps a replica of the rows that a program
//! subscribes to, so reading needs no request. Three types do most of the work:
//!
//! | type | what it is |
//! |---|---|
//! | [`Client`] | a session with one database, which reconnects by itself |
//! | [`Cache`] | a replica of some tables, kept up to date by the server |
//! | [`Transaction`] | changes, all of which are committed or none |
//!
//! # Dependencies
//!
//! The package is not on crates.io. Take it from its repository, with the features for the databases that you use:
//!
//! ```toml
//! [dependencies]
//! ovsdb = { git = "https://github.com/ovsdb-rs/ovsdb", features = ["nb"] }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! ```
//!
//! The examples of this guide also use the feature `server`: an OVSDB server that runs inside the program, so
//! they need no other process.
//!
//! # The program
//!
//! ```
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{self, LogicalSwitch, LogicalSwitchPort};
//! use ovsdb::server::Server;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // A server in this process, with an empty northbound database.
//!     let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//!     let server = Server::memory(schema)?;
//!
//!     // 1. Connect.
//!     let client = nb::Client::builder().server(&server).connect().await?;
//!
//!     // 2. Replicate two tables. Switches can be looked up by their names.
//!     let switch_names = Index::column(LogicalSwitch::NAME);
//!     let cache = client.cache().table::<LogicalSwitchPort>().index(&switch_names).start().await?;
//!
//!     // 3. Write: a switch with one port, in one transaction.
//!     let mut txn = client.transaction();
//!     let port = txn.insert(LogicalSwitchPort { name: "p1".into(), ..Default::default() });
//!     txn.insert(LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
//!     txn.commit().await?;
//!
//!     // 4. Read.
//!     let view = cache.snapshot();
//!     let switch = view.get_by(&switch_names, "sw0").ok_or("no switch sw0")?;
//!     for port in view.get_all(&switch.ports) {
//!         println!("{} has the port {}, {}", switch.name, port.name, port.uuid());
//!     }
//!     # assert_eq!(view.get_all(&switch.ports).count(), 1);
//!     Ok(())
//! }
//! ```
//!
//! 1. [`nb::Client`](nb) is a [`Client`] for the tables of OVN_Northbound. [`connect`](ClientBuilder::connect) resolves when a server can
//!    be used and the client has read its schema. The connection runs in a tokio task of its own. The task ends when all clones of the
//!    client, and all caches, streams and locks made from it, are dropped.
//! 2. [`start`](CacheBuilder::start) subscribes and resolves when all rows have arrived. From then on the server sends
//!    every change.
//! 3. [`insert`](Transaction::insert) returns a reference to the new row at once, so another row of the same
//!    transaction can refer to it. [`commit`](Transaction::commit) sends the transaction and waits for the outcome.
//! 4. The commit has resolved, so the cache shows its rows (read-your-writes). A [snapshot](Cache::snapshot) is a
//!    view of all tables after the same transaction. It does not change while you hold it.
//!
//! The module [`nb`] has aliases of the library's types for its database, so a function takes a `&nb::Snapshot` or a
//! `&mut nb::Transaction`. Others are `nb::Client`, `nb::Cache`, `nb::Desired`, `nb::Plan`, `nb::Reconciler<K>` and
//! `nb::Runner<K>`.
//!
//! # A real server
//!
//! Replace `.server(&server)` by the remotes of the server:
//!
//! ```
//! # use ovsdb::nb;
//! let builder = nb::Client::builder().remotes("unix:/var/run/ovn/ovnnb_db.sock");
//! let builder = nb::Client::builder().remotes("tcp:192.0.2.1:6641");
//! // All members of a cluster. Only the leader is used.
//! let cluster = "ssl:192.0.2.1:6641,ssl:192.0.2.2:6641,ssl:192.0.2.3:6641";
//! let builder = nb::Client::builder().remotes(cluster).leader_only(true);
//! # let _ = builder;
//! ```
//!
//! [`clusters`](super::clusters) explains the last line, and how `ssl:` remotes get their certificates.
//!
//! # Errors
//!
//! | error | from |
//! |---|---|
//! | [`Error`] | connecting, starting a cache, changing a condition, a lock |
//! | [`CommitError`] | a commit; [`writing`](super::writing) explains its kinds |
//! | [`WaitError`] | [`Cache::wait_until`] |
//!
//! The cause of an error is its [source](std::error::Error::source). [`ErrorChain`] shows an error with all its causes on one line.
//! If `main` returns an error, Rust prints its `Debug` form, which is for programmers. A program for users prints the chain:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use ovsdb::{ErrorChain, nb};
//!
//! async fn run(remotes: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let client = nb::Client::builder().remotes(remotes).connect().await?;
//!     println!("connected to {}", client.database());
//!     Ok(())
//! }
//!
//! if let Err(error) = run("unix:/nowhere/nb.sock").await {
//!     eprintln!("{}", ErrorChain::new(&*error));
//!     // std::process::exit(1)
//!     # assert!(ErrorChain::new(&*error).to_string().starts_with("cannot connect to unix:/nowhere/nb.sock: "));
//! }
//! # }
//! ```
//!
//! # Logs
//!
//! The library logs through the crate `tracing`: connections, reconnects and their reasons, differences of schemas. A program sees the
//! logs once it installs a subscriber, such as `tracing_subscriber::fmt::init()` of the crate `tracing-subscriber`. [The front
//! page](crate#logs) lists the levels.
//!
//! Next: [`tables`](super::tables).

#[cfg(doc)]
use crate::*;
