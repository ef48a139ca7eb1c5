//! Monitors: the changes that a session subscribes to (RFC 7047 section 4.1.5; ovsdb-server(7),
//! "Monitor_cond" and "Monitor_cond_since").

mod pending;
mod selection;
pub(super) mod update;

pub(super) use self::pending::Pending;
pub(super) use self::selection::Selection;

use std::sync::Arc;

use crate::protocol::MonitorVersion;

/// A monitor of a session.
#[derive(Debug)]
pub(super) struct Monitor {
    /// Its id, the text of any JSON value.
    pub(super) id: Arc<str>,
    /// The database's name.
    pub(super) database: Arc<str>,
    pub(super) version: MonitorVersion,
    /// Shared by all monitors of the database with an equal selection, so that they can also share the
    /// texts of updates.
    pub(super) selection: Arc<Selection>,
    /// Changes that were not sent to the session yet.
    pub(super) pending: Pending,
}
