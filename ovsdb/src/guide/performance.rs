//! Memory and speed: figures, and what they depend on.
//!
//! # Figures
//!
//! Measured with 100,000 logical switch ports (57 MB of initial reply), on two cores of an AMD EPYC with ovsdb-server 3.1.0; medians of three runs:
//!
//! | | this library | C IDL | Python's IDL |
//! |---|---|---|---|
//! | initial sync, processor time of the client | 0.205 s | 1.43 s | 12.4 s |
//! | memory afterwards (RSS) | 108 MB | 664 MB | 1168 MB |
//! | memory at most (peak RSS) | 162 MB | 668 MB | 1172 MB |
//! | following transactions of one row, processor time of the client | 11.8 us a row | 96.6 us | 38.6 us |
//! | following transactions of 100 rows, processor time of the client | 1.14 us a row | 6.51 us | 26.2 us |
//! | look-up by uuid | 77.2 ns | 228 ns | 464 ns |
//! | scan of all ports | 1.6 ms | 16.0 ms | 585 ms |
//! | snapshot | 20.8 ns | | |
//!
//! This command measures them again:
//!
//! ```sh
//! cargo run --release -p ovsdb-benches --bin monitor-throughput
//! ```
//!
//! `benches/README.md` in the repository defines each figure, has many more, and names the targets that were
//! missed. Machines differ: compare only the ratios within one run.
//!
//! # What memory depends on
//!
//! | | |
//! |---|---|
//! | columns | A struct of [`derive(Table)`](derive@Table) with the columns that the program reads saves the rest, on the wire too. |
//! | rows | A [condition](super::conditions) leaves rows on the server. |
//! | values that repeat | Long strings, and sets of references, that repeat are usually stored once (interning). |
//! | indexes | Each declared index holds its keys, and a uuid for each row of a key. |
//! | snapshots that are held | They keep the rows that were replaced since. Drop them. |
//! | streams | At most 1,024 transactions or 16 MiB of messages wait for a slow consumer, then they are coalesced. |
//! | messages | [`limits`](ClientBuilder::limits) bounds a message, 1 GiB by default. |
//!
//! Caches of one client do not share rows. Start one cache with all tables that a program reads. Besides, only a snapshot of one cache
//! shows all of its tables after the same transaction.
//!
//! # What speed depends on
//!
//! - Nothing that a reader does blocks the replica, and an update blocks no reader.
//! - A large message is decoded on another thread, and probes are answered meanwhile.
//! - Closures of [`apply`](Client::apply) and [`Reconciler`] run on the runtime's workers. Move long computations elsewhere.
//! - Many small transactions cost the server more than a few large ones. [`share_commits`](Reconciler::share_commits) lets the keys of a
//!   controller share a transaction.
//! - Guards are sent with a transaction. For wide rows, [`row_versions`](CacheBuilder::row_versions) makes them short: a guard then contains
//!   one uuid instead of the row's columns. It costs 59 bytes on the wire for each replicated row and each change of one.
//! - [`range`](Transaction::range), and every condition except one on the uuid, make ovsdb-server read the whole table. From release 3.6
//!   on, it uses an index of the schema if the condition consists of `eq` and gives all columns of the index.
//!
//! # Counters
//!
//! [`Client::stats`], [`Cache::stats`] and [`Runner::stats`] are cheap to read:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
//! let stats = cache.stats();
//! println!("{} rows, {:?} from the last byte of an update to its publication", stats.rows, stats.lag);
//! println!("the slowest stream has {} batches waiting", stats.longest_queue);
//! println!("{} bytes received", client.stats().bytes_received);
//! # Ok(()) }
//! ```
//!
//! With the feature `metrics`, most of them are also exported through the facade of the crate `metrics`; the module [`stats`] lists which.
//!
//! # How a byte travels
//!
//! 1. One task owns the connection. [`protocol::Framer`] finds the end of a message in one pass over the new bytes.
//! 2. [`protocol::Message`] reads the envelope. The payload stays text.
//! 3. An update is decoded straight into rows, without a tree of values in between.
//! 4. A whole server transaction is published at once. If it does not fit, none of it is published, and all rows are fetched again.
//! 5. Streams wake up, then the commits that wait for this update resolve.
//!
//! Next: [`any_tables`](super::any_tables).

#[cfg(doc)]
use crate::*;
