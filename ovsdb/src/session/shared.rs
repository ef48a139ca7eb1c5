//! The state of a session that its handles read while it runs.

use std::sync::atomic::AtomicBool;

use arc_swap::{ArcSwap, ArcSwapOption};
use ovsdb_schema::DatabaseSchema;
use tokio::sync::watch;

use super::state::ConnectionState;
use crate::error::{DisconnectReason, Disconnected};
use crate::schema_cache::ByText;
use crate::stats::Counters;

/// The schemas that servers sent, shared between sessions.
static SCHEMAS: ByText<DatabaseSchema> = ByText::new();

/// The session's state, as its handles see it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: watch::Sender<ConnectionState>,
    /// Why there is no connection; `None` while there is one, and until the first attempt has failed.
    pub(super) lost: ArcSwapOption<Disconnected>,
    pub(crate) schema: ArcSwap<DatabaseSchema>,
    /// Whether the server of the last connection relays the database from another one.
    pub(crate) is_relay: AtomicBool,
    pub(crate) counters: Counters,
}

impl Shared {
    /// The state before the first connection.
    pub(super) fn new(database: &str) -> Self {
        Self {
            state: watch::Sender::new(ConnectionState::Waiting { lost: None }),
            lost: ArcSwapOption::empty(),
            counters: Counters::new(database),
            is_relay: AtomicBool::new(false),
            schema: ArcSwap::from_pointee(DatabaseSchema::empty(database)),
        }
    }

    /// Parses the server's schema, and makes it the current one.
    pub(super) fn take_schema(&self, text: &str) -> Result<(), DisconnectReason> {
        let schema = SCHEMAS.get(text, DatabaseSchema::parse_lenient);
        let schema = schema.map_err(DisconnectReason::Schema)?;
        if **self.schema.load() != *schema {
            self.schema.store(schema);
        }
        Ok(())
    }
}
