//! Reading: snapshots, indexes and references.
//!
//! A [`Cache`] is a replica of the tables that it was started with. [`Cache::snapshot`] takes a [`Snapshot`] of it:
//!
//! - It shows all tables after the same server transaction (snapshot isolation).
//! - Taking it costs the same for any number of rows.
//! - It never changes. Updates go on meanwhile: they copy what they change (copy-on-write), so a snapshot that is held
//!   neither blocks the replica nor is blocked by it. It keeps the rows that were replaced since in memory.
//!
//! Take a snapshot for each decision, and drop it afterwards.
//!
//! # Finding rows
//!
//! | you have | method | cost |
//! |---|---|---|
//! | a reference | [`get`](Snapshot::get), [`get_all`](Snapshot::get_all) for a set of them | constant |
//! | the value of a column that the schema keeps unique | [`get_by`](Snapshot::get_by) | constant |
//! | a key of an index that you declared | [`find`](Snapshot::find), or [`get_by`](Snapshot::get_by) for one row | constant |
//! | a range of keys | [`range`](Snapshot::range) | logarithmic |
//! | a row that others refer to | [`referrers`](Snapshot::referrers) | constant |
//! | the value of any column | [`scan_by`](Snapshot::scan_by) | reads every row |
//! | no key | [`rows`](Snapshot::rows) | reads every row |
//!
//! Only the last two read the whole table. [`get_by`](Snapshot::get_by) does not compile for a column that the schema does not keep
//! unique.
//!
//! An index is declared when the cache is built, and the same handle is used for the look-up:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let mut txn = client.transaction();
//! # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), external_ids: [("namespace", "web")].into(), ..Default::default() });
//! # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
//! # txn.commit().await?;
//! use ovsdb::cache::{Index, OrderedIndex};
//! use ovsdb::nb::{Acl, LogicalSwitch as Switch, LogicalSwitchPort as Port};
//!
//! let by_name = Index::column(Switch::NAME); // the schema lets switches share a name
//! let namespace = Index::map_key(Port::EXTERNAL_IDS, "namespace");
//! let priority = OrderedIndex::column(Acl::PRIORITY);
//! let cache = client
//!     .cache()
//!     .index(&by_name) // adds the table of the index, too
//!     .index(&namespace)
//!     .ordered_index(&priority)
//!     .index_references_to::<Port>()
//!     .start()
//!     .await?;
//!
//! let view = cache.snapshot();
//! // The schema keeps the names of ports unique, so they need no declared index.
//! let port = view.get_by(Port::NAME, "p1").ok_or("no port p1")?;
//! // Which switch has this port?
//! let switch = view.referrers::<Switch>(port).next().ok_or("no switch has p1")?;
//! assert_eq!(switch.name, "sw0");
//! // Which ports does this switch have?
//! let names: Vec<_> = view.get_all(&switch.ports).map(|port| &port.name).collect();
//! assert_eq!(names, ["p1"]);
//! assert_eq!(view.find(&namespace, "web").count(), 1);
//! assert_eq!(view.find(&by_name, "sw1").count(), 0);
//! assert_eq!(view.range(&priority, 1000..2000).count(), 0);
//! # Ok(()) }
//! ```
//!
//! An [`Index`](cache::Index) or [`OrderedIndex`](cache::OrderedIndex) has as its key the value of a column (`column`), each element of a set
//! (`elements`), the value at one key of a map (`map_key`), each value of a map (`map_values`), or what a function returns for
//! the row (`function`).
//!
//! # References
//!
//! A column of references holds uuids, not rows. The row that a reference names is absent from the replica if the table's condition
//! does not select it: [`get`](Snapshot::get) then returns `None`, and [`get_all`](Snapshot::get_all) skips it. Both panic if the
//! cache was started without the table.
//!
//! # Keeping rows
//!
//! A row that is borrowed from a snapshot lives as long as the snapshot. [`get_shared`](Snapshot::get_shared) returns an
//! [`Arc`](std::sync::Arc), which can outlive the snapshot. It is the replica's own row, not a copy.
//!
//! # Mistakes
//!
//! A look-up in a table or an index that the cache was started without is a mistake in the program, and panics with the name of the
//! table. [`try_table`](Snapshot::try_table) and [`try_referrers`](Snapshot::try_referrers) do not panic:
//! they are for code that does not know how the cache was built.
//!
//! # Waiting for a row
//!
//! [`Cache::wait_until`] calls a closure with a view, and again after each change, until the closure finds something. It does not
//! poll:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
//! # let writer = client.clone();
//! # tokio::spawn(async move {
//! #     let mut txn = writer.transaction();
//! #     txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
//! #     txn.commit().await.expect("a commit");
//! # });
//! use std::time::Duration;
//!
//! use ovsdb::nb::LogicalSwitch as Switch;
//!
//! let found = cache.wait_until(Duration::from_secs(30), |view| view.scan_by(Switch::NAME, "sw0").next().cloned());
//! println!("{}", found.await?.uuid());
//! # Ok(()) }
//! ```
//!
//! Next: [`conditions`](super::conditions).

#[cfg(doc)]
use crate::*;
