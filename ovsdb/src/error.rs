//! The library's errors.

use std::io;
use std::sync::Arc;

use crate::cache::{ApplyError, SkewReport};
use crate::protocol::{FrameError, OvsdbError};
#[cfg(feature = "tls")]
use crate::transport::TlsError;
use crate::transport::{ConnectError, Remote, RemoteError};
use crate::value::Uuid;
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
    /// The server refused what every connection begins with.
    #[error("the server refused the session")]
    Refused(#[source] OvsdbError),
    /// The server's schema cannot be understood.
    #[error("the server's schema is malformed")]
    Schema(#[source] ovsdb_schema::SchemaError),
    /// A monitor with conditions cannot go on: this server knows none.
    #[error("the server monitors whole tables only, but {0} has a condition")]
    ConditionsNotSupported(&'static str),
    /// No connection could be made.
    #[error("cannot connect")]
    Connect(#[source] Arc<ConnectError>),
    /// No connection, or no answer to what it begins with, in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The server was silent for two probe intervals.
    #[error("the server is silent")]
    Silent,
    /// The answer to a request did not come within its time limit; the connection may live.
    #[error("no answer in time")]
    TimedOut,
    /// The server does not have the database, or has it no more.
    #[error("the server has no database {0}")]
    NoDatabase(&'static str),
    /// The server belongs to another cluster than the one asked for.
    #[error("the server is not of the cluster {wanted}")]
    OtherCluster {
        /// The cluster asked for.
        wanted: Uuid,
    },
    /// The server has not joined its cluster yet.
    #[error("the server has not joined its cluster yet")]
    NotJoined,
    /// The server has no contact with the majority of its cluster, or a relay with its source.
    #[error("the server is cut off from its cluster")]
    NoQuorum,
    /// The server is not its cluster's leader, and the leader was asked for.
    #[error("the server is not its cluster's leader")]
    NotLeader,
    /// The server's data are older than what was seen before.
    #[error("the server's data are stale: its index is {index}, {seen} was seen before")]
    Stale {
        /// The server's index in the cluster's log.
        index: i64,
        /// The highest index seen.
        seen: i64,
    },
    /// The user asked for other remotes, or for another connection.
    #[error("another connection was asked for")]
    Requested,
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

/// Why an answer did not come: most often the end of a connection, as everybody who waited on it
/// hears of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no answer came")]
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
    /// The server cannot be used: what every connection begins with failed, or the server lacks
    /// what was demanded of it.
    #[error("cannot use {remote}")]
    Unusable {
        /// Where.
        remote: Remote,
        /// Why.
        #[source]
        lost: Disconnected,
    },
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

impl Error {
    /// Why an attempt to connect failed.
    pub(crate) fn of_attempt(remote: Option<Remote>, lost: &Disconnected) -> Self {
        let Some(remote) = remote else {
            return lost.clone().into();
        };
        match lost.reason() {
            DisconnectReason::Refused(error) => Self::Refused(error.clone()),
            DisconnectReason::ConnectTimeout => Self::ConnectTimeout { remote },
            DisconnectReason::Connect(source) => Self::Connect {
                remote,
                source: source.clone(),
            },
            _ => Self::Unusable {
                remote,
                lost: lost.clone(),
            },
        }
    }
}
