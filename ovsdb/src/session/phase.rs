//! The phases of a session, from its first attempt to connect to its end.

use super::connection::Connection;
use super::server_database::ServerDatabases;
use crate::error::DisconnectReason;
use crate::transport::Remote;

/// The phases. What exists in one phase only is stored in its variant.
pub(super) enum Phase {
    /// There is no connection; [`Reconnect`](super::reconnect::Reconnect) knows when the next
    /// attempt is due.
    Waiting,
    /// A connection is being made.
    Connecting { remote: Remote },
    /// The server's databases and schema were requested. A reply is still missing, or the server is
    /// not ready and the session stands by.
    Greeting(Box<Greeting>),
    /// The connection serves: monitors and locks were requested, and calls are sent.
    Serving(Box<Serving>),
    /// The client was closed or dropped: queued calls are still sent and answered, then the session ends.
    Closing(Box<Serving>),
    /// The session is over.
    Ended,
}

/// A connection that does not serve yet.
pub(super) struct Greeting {
    pub(super) remote: Remote,
    pub(super) connection: Connection,
    /// Whether the server has answered the monitor of `_Server`, if only with an error.
    pub(super) server_known: bool,
    /// The server's report on its databases; `None` before it arrives, and if the server has no
    /// `_Server`.
    pub(super) databases: Option<ServerDatabases>,
    /// The text of the server's schema.
    pub(super) schema: Option<String>,
    /// Why the server is not ready to serve, while the session stands by.
    pub(super) not_ready: Option<DisconnectReason>,
}

/// A connection that serves.
pub(super) struct Serving {
    pub(super) remote: Remote,
    pub(super) connection: Connection,
    /// The server's report on its databases; `None` where it has no `_Server`.
    pub(super) databases: Option<ServerDatabases>,
    /// Whether the schema was requested again, and the reply has not come yet.
    pub(super) schema_requested: bool,
}

impl Phase {
    /// The remote of the attempt or connection.
    pub(super) fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Connecting { remote } => Some(remote),
            Self::Greeting(greeting) => Some(&greeting.remote),
            Self::Serving(serving) | Self::Closing(serving) => Some(&serving.remote),
            Self::Waiting | Self::Ended => None,
        }
    }

    /// The connection, also before it serves.
    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Greeting(greeting) => Some(&mut greeting.connection),
            Self::Serving(serving) | Self::Closing(serving) => Some(&mut serving.connection),
            Self::Waiting | Self::Connecting { .. } | Self::Ended => None,
        }
    }

    /// The connection that serves.
    pub(super) fn serving(&mut self) -> Option<&mut Serving> {
        match self {
            Self::Serving(serving) | Self::Closing(serving) => Some(serving),
            Self::Waiting | Self::Connecting { .. } | Self::Greeting(_) | Self::Ended => None,
        }
    }
}
