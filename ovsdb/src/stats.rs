//! Counters of what a client and its caches do.
//!
//! [`Client::stats`](crate::Client::stats), [`Cache::stats`](crate::Cache::stats) and, for a
//! reconciler, [`Runner::stats`](crate::reconcile::Runner::stats) return them. With the feature
//! `metrics`, these are also metrics of the `metrics` facade, with the label `database`; those of a
//! reconciler also have the label `reconciler`:
//!
//! | metric | kind | field |
//! |---|---|---|
//! | `ovsdb_connection_attempts_total` | counter | [`Stats::attempts`] |
//! | `ovsdb_connections_total` | counter | [`Stats::connections`] |
//! | `ovsdb_received_bytes_total` | counter | [`Stats::bytes_received`] |
//! | `ovsdb_sent_bytes_total` | counter | [`Stats::bytes_sent`] |
//! | `ovsdb_received_messages_total` | counter | [`Stats::messages_received`] |
//! | `ovsdb_requests_total` | counter | [`Stats::requests`] |
//! | `ovsdb_transactions_committed_total` | counter | [`Stats::committed`] |
//! | `ovsdb_transactions_refused_total` | counter | [`Stats::refused`] |
//! | `ovsdb_transactions_unknown_total` | counter | [`Stats::unknown`] |
//! | `ovsdb_replica_transactions_total` | counter | [`CacheStats::transactions`] |
//! | `ovsdb_replica_bytes_total` | counter | [`CacheStats::bytes`] |
//! | `ovsdb_replica_resyncs_total` | counter | [`CacheStats::resyncs`] |
//! | `ovsdb_replica_rows` | gauge | [`CacheStats::rows`], of the replica that changed last |
//! | `ovsdb_replica_lag_seconds` | histogram | [`CacheStats::lag`] |
//! | `ovsdb_reconciler_attempts_total` | counter | [`ReconcilerStats::attempts`] |
//! | `ovsdb_reconciler_failures_total` | counter | [`ReconcilerStats::failures`] |
//! | `ovsdb_reconciler_retries_total` | counter | [`ReconcilerStats::retries`] |
//! | `ovsdb_reconciler_conflicts_total` | counter | [`ReconcilerStats::conflicts`] |
//! | `ovsdb_reconciler_queued` | gauge | [`ReconcilerStats::queued`] |
//! | `ovsdb_reconciler_latency_seconds` | histogram | [`ReconcilerStats::latency`] |

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of a client since it was made; [`Client::stats`](crate::Client::stats) returns them.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// let stats = client.stats();
/// assert_eq!((stats.connections, stats.refused), (1, 0));
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections that became usable.
    pub connections: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Requests of callers that were sent.
    pub requests: u64,
    /// Transactions that were committed.
    pub committed: u64,
    /// Transactions that the server refused.
    pub refused: u64,
    /// Transactions to which no reply came, or a malformed one, after they were or may have been sent. Those
    /// whose outcome [`Client::apply`](crate::Client::apply) finds out later are counted too.
    pub unknown: u64,
    /// Requests of callers now in flight.
    pub in_flight: usize,
    /// Requests now queued to be sent. Callers that wait for room in the queue are not counted.
    pub waiting: usize,
}

/// Counters of a cache; [`Cache::stats`](crate::Cache::stats) returns them.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// let stats = cache.stats();
/// println!("{} rows, {} batches wait for the slowest stream", stats.rows, stats.longest_queue);
/// # assert_eq!(stats.rows, 0);
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Rows now in all tables.
    pub rows: usize,
    /// Server transactions that were applied. A reply that starts or resumes the monitor counts as one. So
    /// does an update in which the server coalesced several transactions.
    pub transactions: u64,
    /// The bytes of the applied rows and changes, as JSON on the wire.
    pub bytes: u64,
    /// How often all rows were fetched again and compared with the replica, for example after a
    /// connection was lost, the schema was converted, or an update did not fit.
    pub resyncs: u64,
    /// The time from the last byte of the last update to its publication.
    pub lag: Duration,
    /// Streams of changes now open.
    pub streams: usize,
    /// The number of batches queued for the slowest stream.
    pub longest_queue: usize,
}

/// Counters of a reconciler since its start, and how many keys wait;
/// [`Runner::stats`](crate::reconcile::Runner::stats) returns them.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// # let runner = ovsdb::Reconciler::new(&client, &cache)
/// #     .watch::<ovsdb::nb::LogicalSwitch>(|switch| switch.name.clone())
/// #     .run(1, |_, _, _| Ok(()));
/// let stats = runner.stats();
/// println!("{} keys wait, the last one took {:?}", stats.queued, stats.latency);
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReconcilerStats {
    /// Keys now waiting for a worker.
    pub queued: usize,
    /// Keys now being handled.
    pub running: usize,
    /// Keys that failed, and now wait for their next attempt.
    pub delayed: usize,
    /// Keys whose last attempt failed.
    pub failing: usize,
    /// Attempts begun. An attempt ends when the key's transaction is committed, or with an error. Runs
    /// of the closure after a conflict belong to the same attempt.
    pub attempts: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Attempts for keys whose previous attempt failed.
    pub retries: u64,
    /// How often the closure was run again within an attempt, usually after a conflict with another
    /// client.
    pub conflicts: u64,
    /// The time from the first change of the last key that succeeded until its success: the time in
    /// the queue, and all attempts.
    pub latency: Duration,
}

/// A number that only grows.
pub(crate) struct Counter {
    count: AtomicU64,
    #[cfg(feature = "metrics")]
    metric: metrics::Counter,
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

impl Counter {
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, reason = "for the metric")
    )]
    fn new(name: &'static str, database: &str) -> Self {
        Self {
            count: AtomicU64::new(0),
            #[cfg(feature = "metrics")]
            metric: metrics::counter!(name, "database" => database.to_owned()),
        }
    }

    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, reason = "for the metric")
    )]
    fn of_reconciler(name: &'static str, database: &str, reconciler: &str) -> Self {
        Self {
            count: AtomicU64::new(0),
            #[cfg(feature = "metrics")]
            metric: metrics::counter!(name, "database" => database.to_owned(), "reconciler" => reconciler.to_owned()),
        }
    }

    pub(crate) fn add(&self, more: usize) {
        self.count.fetch_add(more as u64, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        self.metric.increment(more as u64);
    }

    pub(crate) fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// A client's counters.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) attempts: Counter,
    pub(crate) connections: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) messages_received: Counter,
    pub(crate) requests: Counter,
    pub(crate) committed: Counter,
    pub(crate) refused: Counter,
    pub(crate) unknown: Counter,
    /// Requests of callers now in flight.
    pub(crate) in_flight: AtomicU64,
}

impl Counters {
    pub(crate) fn new(database: &str) -> Self {
        let counter = |name| Counter::new(name, database);
        Self {
            attempts: counter("ovsdb_connection_attempts_total"),
            connections: counter("ovsdb_connections_total"),
            bytes_received: counter("ovsdb_received_bytes_total"),
            bytes_sent: counter("ovsdb_sent_bytes_total"),
            messages_received: counter("ovsdb_received_messages_total"),
            requests: counter("ovsdb_requests_total"),
            committed: counter("ovsdb_transactions_committed_total"),
            refused: counter("ovsdb_transactions_refused_total"),
            unknown: counter("ovsdb_transactions_unknown_total"),
            in_flight: AtomicU64::new(0),
        }
    }

    pub(crate) fn stats(&self, waiting: usize) -> Stats {
        Stats {
            attempts: self.attempts.get(),
            connections: self.connections.get(),
            bytes_received: self.bytes_received.get(),
            bytes_sent: self.bytes_sent.get(),
            messages_received: self.messages_received.get(),
            requests: self.requests.get(),
            committed: self.committed.get(),
            refused: self.refused.get(),
            unknown: self.unknown.get(),
            in_flight: usize::try_from(self.in_flight.load(Ordering::Relaxed)).unwrap_or(0),
            waiting,
        }
    }
}

/// A cache's counters.
pub(crate) struct CacheCounters {
    pub(crate) transactions: Counter,
    pub(crate) bytes: Counter,
    pub(crate) resyncs: Counter,
    lag: AtomicU64,
    #[cfg(feature = "metrics")]
    rows: metrics::Gauge,
    #[cfg(feature = "metrics")]
    lags: metrics::Histogram,
}

impl std::fmt::Debug for CacheCounters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheCounters")
            .field("transactions", &self.transactions)
            .field("bytes", &self.bytes)
            .field("resyncs", &self.resyncs)
            .finish_non_exhaustive()
    }
}

impl CacheCounters {
    pub(crate) fn new(database: &str) -> Self {
        let counter = |name| Counter::new(name, database);
        Self {
            transactions: counter("ovsdb_replica_transactions_total"),
            bytes: counter("ovsdb_replica_bytes_total"),
            resyncs: counter("ovsdb_replica_resyncs_total"),
            lag: AtomicU64::new(0),
            #[cfg(feature = "metrics")]
            rows: metrics::gauge!("ovsdb_replica_rows", "database" => database.to_owned()),
            #[cfg(feature = "metrics")]
            lags: metrics::histogram!("ovsdb_replica_lag_seconds", "database" => database.to_owned()),
        }
    }

    /// An update was published this long after its last byte arrived.
    pub(crate) fn set_lag(&self, lag: Duration) {
        let nanoseconds = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
        self.lag.store(nanoseconds, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        self.lags.record(lag);
    }

    pub(crate) fn lag(&self) -> Duration {
        Duration::from_nanos(self.lag.load(Ordering::Relaxed))
    }

    /// The number of rows in the replica has changed.
    #[cfg(feature = "metrics")]
    pub(crate) fn set_rows(&self, rows: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.rows.set(rows as f64);
    }
}

/// A reconciler's counters.
pub(crate) struct ReconcilerCounters {
    pub(crate) attempts: Counter,
    pub(crate) failures: Counter,
    pub(crate) retries: Counter,
    pub(crate) conflicts: Counter,
    latency: AtomicU64,
    #[cfg(feature = "metrics")]
    queued: metrics::Gauge,
    #[cfg(feature = "metrics")]
    latencies: metrics::Histogram,
}

impl ReconcilerCounters {
    pub(crate) fn new(database: &str, reconciler: &str) -> Self {
        let counter = |name| Counter::of_reconciler(name, database, reconciler);
        Self {
            attempts: counter("ovsdb_reconciler_attempts_total"),
            failures: counter("ovsdb_reconciler_failures_total"),
            retries: counter("ovsdb_reconciler_retries_total"),
            conflicts: counter("ovsdb_reconciler_conflicts_total"),
            latency: AtomicU64::new(0),
            #[cfg(feature = "metrics")]
            queued: metrics::gauge!("ovsdb_reconciler_queued", "database" => database.to_owned(), "reconciler" => reconciler.to_owned()),
            #[cfg(feature = "metrics")]
            latencies: metrics::histogram!("ovsdb_reconciler_latency_seconds", "database" => database.to_owned(), "reconciler" => reconciler.to_owned()),
        }
    }

    /// A key has succeeded, this long after its first change.
    pub(crate) fn succeeded(&self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency.store(nanoseconds, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        self.latencies.record(latency);
    }

    /// The number of waiting keys has changed.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, reason = "for the metric")
    )]
    pub(crate) fn set_queued(&self, queued: usize) {
        #[cfg(feature = "metrics")]
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.queued.set(queued as f64);
    }

    /// The counters. The caller adds the numbers of the queue.
    pub(crate) fn stats(&self) -> ReconcilerStats {
        ReconcilerStats {
            attempts: self.attempts.get(),
            failures: self.failures.get(),
            retries: self.retries.get(),
            conflicts: self.conflicts.get(),
            latency: Duration::from_nanos(self.latency.load(Ordering::Relaxed)),
            ..ReconcilerStats::default()
        }
    }
}
