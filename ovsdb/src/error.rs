//! The library's errors.

use std::io;
use std::sync::Arc;

use crate::cache::{ApplyError, SkewReport};
use crate::protocol::{FrameError, OvsdbError};
#[cfg(feature = "tls")]
use crate::transport::TlsError;
use crate::transport::{ConnectError, Remote, RemoteError};
use crate::value::json::DecodeError;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The last handle was dropped, or the client was closed.
    #[error("the client was closed")]
    Closed,
    /// The server closed the connection.
    #[error("the server closed the connection")]
    ByServer,
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// TLS failed, or the server does not accept the client's certificate.
    #[cfg(feature = "tls")]
    #[error("TLS failed")]
    Tls(#[source] TlsError),
    /// What the server sent cannot be cut into messages.
    #[error("the server's stream is malformed")]
    Frame(#[source] FrameError),
    /// A message of the server is malformed.
    #[error("a message of the server is malformed")]
    Message(#[source] DecodeError),
    /// A message of the server is not UTF-8.
    #[error("a message of the server is not UTF-8")]
    NotUtf8,
    /// An update does not fit the replica, which can be relied on no longer.
    #[error("an update does not fit the replica")]
    Inconsistent(#[source] ApplyError),
    /// The server ended a monitor: its database went away or changed its schema.
    #[error("the server ended a monitor")]
    MonitorCanceled,
    /// The task that owns the connection ended with its runtime.
    #[error("the runtime was shut down")]
    RuntimeGone,
}

impl From<io::Error> for DisconnectReason {
    /// What a stream's error says: also that TLS failed.
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "tls")]
        let error = match error.downcast::<TlsError>() {
            Ok(error) => return Self::Tls(error),
            Err(error) => error,
        };
        Self::Io(error)
    }
}

/// The end of a connection, as everybody who waited on it hears of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("disconnected")]
pub struct Disconnected {
    #[source]
    reason: Arc<DisconnectReason>,
}

impl Disconnected {
    pub(crate) fn new(reason: DisconnectReason) -> Self {
        Self {
            reason: Arc::new(reason),
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &DisconnectReason {
        &self.reason
    }
}

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The remote's text is malformed, or no remote was given.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// No connection could be made.
    #[error("cannot connect to {remote}")]
    Connect {
        /// Where to.
        remote: Remote,
        /// Why not.
        #[source]
        source: Arc<ConnectError>,
    },
    /// No connection was made in time.
    #[error("no answer from {remote} in time")]
    ConnectTimeout {
        /// Where to.
        remote: Remote,
    },
    /// The connection ended before the answer came.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// The server refused the request.
    #[error("the server refused the request")]
    Refused(#[from] OvsdbError),
    /// The server's answer is of another shape than the protocol says.
    #[error("the server's answer is malformed")]
    Answer(#[from] DecodeError),
    /// The rows in the server's answer do not fit the tables.
    #[error("the server's rows do not fit the tables")]
    Apply(#[from] ApplyError),
    /// The server's schema cannot be understood.
    #[error("the server's schema is malformed")]
    Schema(#[source] Arc<ovsdb_schema::SchemaError>),
    /// The server's schema differs, and that was asked to be an error.
    #[error("{0}")]
    Skew(SkewReport),
    /// The server knows no conditions, but a table has one.
    #[error("the server monitors whole tables only, but {0} has a condition")]
    ConditionsNotSupported(&'static str),
    /// A cache was given two types for one table.
    #[error("the table {0} was added to a cache with two types")]
    TableTwice(&'static str),
}
