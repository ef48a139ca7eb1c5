//! Following: streams of changes, and work queues.
//!
//! A program that reacts to changes has three choices:
//!
//! | you need | use | what it delivers |
//! |---|---|---|
//! | every change | [`Cache::changes`], [`Cache::all_changes`] | batches of old and new rows |
//! | to know which objects to look at again | [`WorkQueue`](cache::WorkQueue) | each key once (level-triggered) |
//! | objects kept in their desired state, with retries | [`Reconciler`]: the [next chapter](super::controllers) | a key, a view and a transaction |
//!
//! # Streams
//!
//! A stream starts with all rows of a table, and then delivers one batch for each server transaction that changes the table:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
//! use ovsdb::cache::Change;
//! use ovsdb::nb::LogicalSwitch as Switch;
//!
//! let mut changes = cache.changes::<Switch>();
//! let first = changes.next().await.ok_or("the client was closed")?;
//! assert!(first.kind().is_start() && first.is_empty());
//!
//! let mut txn = client.transaction();
//! txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! txn.commit().await?;
//!
//! while let Some(batch) = changes.next().await {
//!     // All tables after this batch.
//!     let view = batch.snapshot();
//!     for change in &batch {
//!         match change {
//!             Change::Inserted(row) => println!("+ {}", row.name),
//!             Change::Modified { old, new } => println!("~ {} {:?} {:?}", new.name, old.ports, new.ports),
//!             Change::Deleted(row) => println!("- {}", row.name),
//!         }
//!     }
//!     # let _ = view;
//!     # break;
//! }
//! # Ok(()) }
//! ```
//!
//! - [`columns`](cache::Changes::columns) leaves out modifications of other columns, and [`rows`](cache::Changes::rows) shows only rows
//!   for which a closure returns true.
//! - [`Cache::all_changes`] delivers the changes of all tables of one transaction in one batch.
//! - Both methods of [`Cache`] return a [`Stream`](futures_core::Stream). Dropping the future of `next` loses nothing.
//!
//! No change is ever lost. Applying all batches, in order, to an empty table always gives the table:
//!
//! | event | what the stream delivers |
//! |---|---|
//! | A connection was lost. | One batch with everything that changed meanwhile ([`is_resync`](cache::BatchKind::is_resync)). |
//! | The consumer is slow: more than 1,024 transactions, or 16 MiB of messages, are waiting. | One batch that coalesces them ([`is_coalesced`](cache::BatchKind::is_coalesced)): each row once, with its values before the first and after the last of these transactions. Memory stays bounded. |
//! | The schema of the server changed so that [`Cache::skew`] or the columns of a table by name are different. | A batch, even without rows ([`is_schema_change`](cache::BatchKind::is_schema_change)). |
//! | The client was closed, its runtime was shut down, or a panic while rows were decoded has ended the cache. | The end of the stream. |
//!
//! # Work queues
//!
//! A controller rarely needs to know what changed. It needs to know which object to look at again. A
//! [`WorkQueue`](cache::WorkQueue) holds each key once, however often it changes, and hands a key to one worker at a time. A key that
//! changes while a worker holds it is queued again afterwards:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let mut txn = client.transaction();
//! # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
//! # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
//! # txn.commit().await?;
//! use ovsdb::cache::WorkQueue;
//! use ovsdb::nb::{LogicalSwitch as Switch, LogicalSwitchPort as Port};
//!
//! let cache = client.cache().table::<Switch>().table::<Port>().index_references_to::<Port>().start().await?;
//! // A switch is due when it changes, and when one of its ports changes.
//! let queue = WorkQueue::new();
//! queue.feed(cache.changes::<Switch>(), |change, _view| [change.row().name.clone()]);
//! queue.feed(cache.changes::<Port>(), |change, view| {
//!     let switches = view.referrers::<Switch>(change.reference());
//!     switches.map(|switch| switch.name.clone()).collect::<Vec<_>>()
//! });
//! while let Some(work) = queue.next().await {
//!     println!("look at {}", work.key());
//!     work.done(); // or work.retry_after(delay)
//!     # break;
//! }
//! # Ok(()) }
//! ```
//!
//! Clone the queue for several workers. Work that is dropped by a panic goes back into the queue.
//!
//! # Two databases
//!
//! A client has one database, so a program that joins two has two clients and two caches. One queue can be fed from both. The worker
//! takes a snapshot of each cache and looks up both rows by the key:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = |name| ovsdb::server::Server::memory(ovsdb::schema::bundled(name).expect("a bundled schema"));
//! # let (northbound, southbound) = (server("OVN_Northbound")?, server("OVN_Southbound")?);
//! # let mut txn = ovsdb::nb::Transaction::detached();
//! # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
//! # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
//! # txn.commit_on(&northbound)?;
//! use ovsdb::cache::WorkQueue;
//! use ovsdb::nb::{self, LogicalSwitchPort as Port};
//! use ovsdb::sb::{self, Chassis, PortBinding};
//!
//! let north = nb::Client::builder().server(&northbound).connect().await?;
//! let south = sb::Client::builder().server(&southbound).connect().await?;
//! let ports = north.cache().table::<Port>().start().await?;
//! let bindings = south.cache().table::<PortBinding>().table::<Chassis>().start().await?;
//!
//! let queue = WorkQueue::new();
//! queue.feed(ports.changes::<Port>(), |change, _view| [change.row().name.clone()]);
//! queue.feed(bindings.changes::<PortBinding>(), |change, _view| [change.row().logical_port.clone()]);
//! while let Some(work) = queue.next().await {
//!     let (nb_view, sb_view) = (ports.snapshot(), bindings.snapshot());
//!     let port = nb_view.get_by(Port::NAME, work.key());
//!     let binding = sb_view.get_by(PortBinding::LOGICAL_PORT, work.key());
//!     let chassis = binding.and_then(|row| row.chassis).and_then(|chassis| sb_view.get(chassis));
//!     println!("{} exists: {}, on {:?}", work.key(), port.is_some(), chassis.map(|row| &row.hostname));
//!     # assert!(port.is_some() && binding.is_none());
//!     work.done();
//!     # break;
//! }
//! # Ok(()) }
//! ```
//!
//! The two snapshots are not of one moment: a row can have arrived in one database and not yet in the other. Treat a missing half as normal.
//! When it arrives, its key is queued again. For a program that also writes, use a [`Reconciler`], and feed its queue with the second
//! cache's changes ([`Reconciler::queue`]).
//!
//! Next: [`controllers`](super::controllers).

#[cfg(doc)]
use crate::*;
