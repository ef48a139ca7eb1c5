//! Connections: reconnects, staleness and time limits.
//!
//! A [`Client`] connects again whenever its connection is lost, until it is closed or dropped. The program need not do anything,
//! but should know what happens meanwhile:
//!
//! | | while there is no connection | on the next connection |
//! |---|---|---|
//! | caches | stay readable and say that they are stale | receive exactly what changed meanwhile, as one change |
//! | streams | deliver nothing | deliver that change as one batch |
//! | requests that were not sent | wait, at most as long as their time limit | are sent |
//! | requests that were sent | fail; the outcome of a transaction is [unknown](CommitError::Unknown) | |
//! | conditions | are kept | are requested again |
//! | locks | are lost ([`is_held`](Lock::is_held) returns false) | are requested again |
//!
//! A server with enough history sends only the difference (`monitor_cond_since`). Otherwise every row is fetched again and compared with
//! the replica. Streams deliver the same difference in both cases, and [`CacheStats::resyncs`] counts how often every row was
//! fetched again.
//!
//! # Staleness
//!
//! [`Cache::is_current`] says whether a cache follows its server now, [`Cache::staleness`] for how long it has not, and
//! [`Cache::freshness`] can be waited for:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! use std::time::Duration;
//!
//! use ovsdb::cache::Freshness;
//! use ovsdb::nb::{self, LogicalSwitch as Switch};
//!
//! let client = nb::Client::builder().server(&server);
//! let client = client.backoff(Duration::from_millis(10), Duration::from_millis(100)).connect().await?;
//! let cache = client.cache().table::<Switch>().start().await?;
//! let mut changes = cache.changes::<Switch>();
//! assert!(changes.next().await.is_some_and(|batch| batch.kind().is_start()));
//!
//! // The connection breaks, and the server refuses new ones.
//! let outage = server.faults().refuse_connections();
//! server.faults().disconnect();
//! cache.freshness().wait_for(|now| *now != Freshness::Current).await?;
//! assert!(cache.staleness().is_some());
//! assert!(cache.snapshot().is_empty()); // still readable
//!
//! // Meanwhile the database changes.
//! let mut txn = nb::Transaction::detached();
//! txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! txn.commit_on(&server)?;
//!
//! // The server accepts connections again.
//! drop(outage);
//! cache.current().await?;
//! let batch = changes.next().await.ok_or("the client was closed")?;
//! assert!(batch.kind().is_resync());
//! assert_eq!(batch.len(), 1);
//! # Ok(()) }
//! ```
//!
//! A decision on a stale view may be wrong. [`Client::apply`], [`Client::converge`] and [`Reconciler`] decide on current
//! views only, and a transaction of theirs is not sent if the view has become stale in between. For other transactions,
//! [`require_current`](Transaction::require_current) does the same.
//!
//! [`Cache::monitor_error`] says why a cache stays stale although the client is connected: the server refuses its monitor, for
//! instance because a condition names a column that the schema lacks, or sends rows that do not fit; or the connection was lost five times
//! in a row while the monitor was being started.
//!
//! # Detecting a dead server
//!
//! The client probes a silent server by an `echo` after the [`probe_interval`](ClientBuilder::probe_interval), and gives the connection up
//! after another interval without an answer (half-open connection). [`Client::state`] shows the state of the connection with its reason.
//! The loss of a connection is logged at the level `WARN`, a new connection at `INFO`.
//!
//! A busy server may be silent for longer while it composes the first rows of a large cache. Each time the client gives up such a
//! server, it allows twice as long on the next connection, up to eight intervals after the probe.
//!
//! # Which server, and when
//!
//! With several remotes, each remote has its own exponential backoff with jitter. A remote that has not failed is tried at once. A server
//! that answers but cannot serve, as during the election of a leader, is not treated as down. The client tries the other remotes. If none
//! of them can serve either, it stays connected to one such server, which reports when it can, and tries the others again after tens of
//! milliseconds at first, and after longer waits later.
//!
//! # Time limits
//!
//! | setting of [`ClientBuilder`] | default | bounds |
//! |---|---|---|
//! | [`connect_timeout`](ClientBuilder::connect_timeout) | 10 s | an attempt at one remote, until it is usable |
//! | [`probe_interval`](ClientBuilder::probe_interval) | 5 s | the silence of a server before it is probed, and again before it is given up |
//! | [`backoff`](ClientBuilder::backoff) | 1 s to 8 s | the wait before a failed remote is tried again |
//! | [`request_timeout`](ClientBuilder::request_timeout) | 60 s | a request, the wait for a connection included |
//! | [`max_in_flight`](ClientBuilder::max_in_flight) | 256 requests | requests that await replies; further ones queue |
//! | [`limits`](ClientBuilder::limits) | 1 GiB | a message of the server |
//!
//! [`connect`](ClientBuilder::connect) itself fails when every remote has failed once. With
//! [`wait_for_server`](ClientBuilder::wait_for_server) it waits instead, for programs that start before their server.
//!
//! [`Client::reconnect`] leaves the connection for a new one, [`Client::set_remotes`] changes the servers, and [`Client::close`]
//! sends the queued requests, waits for their replies and ends the client; without a connection, it ends the client at once. Caches
//! remain readable.
//!
//! Next: [`clusters`](super::clusters).

#[cfg(doc)]
use crate::*;
