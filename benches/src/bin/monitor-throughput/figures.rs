//! The figures of one measurement.

use serde::Serialize;
use serde_json::Value;

/// What one run of one client took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) client: &'static str,
    pub(crate) run: usize,
    /// The ports the client knew when it had everything.
    pub(crate) rows: usize,
    /// The length of the reply that had them.
    pub(crate) wire_bytes: usize,
    /// How long reading that reply, and nothing else, took just before.
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
    /// What reading the replica takes: nanoseconds by key, microseconds a scan.
    pub(crate) reads: Value,
}

/// What following a series of transactions took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Phase {
    pub(crate) transactions: usize,
    pub(crate) rows: usize,
    pub(crate) rows_per_s: f64,
    pub(crate) client_cpu_us_per_row: f64,
    pub(crate) server_cpu_us_per_row: f64,
    /// From a transaction's sending to its reply, as the writer has it: the server's own time.
    pub(crate) commit_p50_us: f64,
    /// From a transaction's sending until the client is told of the change.
    pub(crate) latency_p50_us: f64,
    pub(crate) latency_p99_us: f64,
}
