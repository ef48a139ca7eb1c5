//! The figures of one measurement.

use serde::Serialize;
use serde_json::Value;

/// The figures of one run of one client.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) client: &'static str,
    pub(crate) run: usize,
    /// The number of ports that the client had after the initial sync.
    pub(crate) rows: usize,
    /// The length of the initial reply.
    pub(crate) wire_bytes: usize,
    /// The time to read that reply and drop it, measured just before the client runs.
    pub(crate) floor_wall_s: f64,
    pub(crate) sync_wall_s: f64,
    pub(crate) sync_cpu_s: f64,
    pub(crate) sync_server_cpu_s: f64,
    pub(crate) peak_rss_bytes: u64,
    pub(crate) settled_rss_bytes: u64,
    /// Transactions of one row.
    pub(crate) single: Phase,
    /// Transactions of many rows.
    pub(crate) batch: Phase,
    /// The times of reading from the replica: nanoseconds for a look-up by key and for a snapshot,
    /// microseconds for a scan.
    pub(crate) reads: Value,
}

/// The figures of following a series of transactions.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Phase {
    pub(crate) transactions: usize,
    pub(crate) rows: usize,
    pub(crate) rows_per_s: f64,
    pub(crate) client_cpu_us_per_row: f64,
    pub(crate) server_cpu_us_per_row: f64,
    /// From the sending of a transaction until the writer has its reply, which does not involve the
    /// client.
    pub(crate) commit_p50_us: f64,
    /// From the sending of a transaction until the client's code gets the change.
    pub(crate) latency_p50_us: f64,
    pub(crate) latency_p99_us: f64,
}
