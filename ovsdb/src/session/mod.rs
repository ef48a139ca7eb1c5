//! The session: the client's end of a connection. It connects again when the connection is lost.
//!
//! | file | what it is |
//! |---|---|
//! | `handle` | what clients hold: it sends calls and orders to the session |
//! | `driver` | the tokio task: socket, clock and threads |
//! | `machine` | every decision, as a pure state machine; `phase`, `connection`, `monitors`, `conditions`, `locks`, `pending`, `reconnect`, `outage`, `server_database` are its parts |
//!
//! Handles send calls through a bounded channel, so that callers wait while the session is busy or has
//! no connection (back-pressure). Orders (monitors, locks, close) go through an unbounded channel,
//! which the session always reads. Messages are handled in wire order: a reply reaches its caller only
//! after every update before it is in the replica and published.

mod command;
mod conditions;
mod connection;
mod driver;
mod handle;
mod job;
mod locks;
mod machine;
mod monitors;
mod outage;
mod outgoing;
mod pending;
mod phase;
mod reconnect;
mod server_database;
mod shared;
mod shown;
mod state;
#[cfg(test)]
mod tests;
mod wire_log;

use std::time::Duration;

pub(crate) use self::command::CallError;
pub(crate) use self::handle::{MonitorGuard, Session};
use self::reconnect::Timings;
pub(crate) use self::shared::Shared;
pub use self::state::{ConnectionState, RemoteOrder};
use crate::protocol::{Limits, Request};
use crate::transport::{Remote, TlsConfig};
use crate::value::{Str, Uuid};

/// How a session connects, and what it requires of servers.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) database: Str,
    pub(crate) remotes: Vec<Remote>,
    pub(crate) order: RemoteOrder,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) limits: Limits,
    pub(crate) timings: Timings,
    pub(crate) leader_only: bool,
    pub(crate) cluster: Option<Uuid>,
    /// How many calls may be in flight at once.
    pub(crate) window: usize,
    /// Whether to keep trying when every remote has failed once and no connection was ever made.
    pub(crate) wait_for_server: bool,
}

impl Options {
    /// The default options, without remotes.
    pub(crate) fn new(database: &str) -> Self {
        Self {
            database: Str::from(database),
            remotes: Vec::new(),
            order: RemoteOrder::default(),
            tls: None,
            limits: Limits::default(),
            timings: Timings {
                min_backoff: Duration::from_secs(1),
                max_backoff: Duration::from_secs(8),
                connect_timeout: Duration::from_secs(10),
                probe_interval: Some(Duration::from_secs(5)),
            },
            leader_only: false,
            cluster: None,
            window: 256,
            wait_for_server: false,
        }
    }
}

fn get_schema(database: &str) -> Request {
    Request::GetSchema {
        database: database.into(),
    }
}
