//! The library's errors.
//!
//! Three rules for messages. An error says what it knows itself, and its cause is its source, which
//! [`ErrorChain`](crate::ErrorChain) appends. A server's error reply is not a cause but the error
//! itself: it is part of the message, and not a source. An error that only wraps another one is
//! transparent.

use std::sync::Arc;
use std::{fmt, io};

use crate::cache::{ApplyError, SkewReport};
use crate::protocol::{FrameError, InvalidValue, OvsdbError};
use crate::schema_check::SchemaMismatch;
#[cfg(feature = "tls")]
use crate::transport::TlsError;
use crate::transport::{ConnectError, Remote, RemoteError};
use crate::value::json::DecodeError;
use crate::value::{Str, Uuid};

/// Why a connection ended, or why a request got no reply.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// use ovsdb::{DisconnectReason, Error};
///
/// # client.clone().close().await;
/// let Err(Error::Disconnected(lost)) = client.list_dbs().await else {
///     panic!("the client is closed");
/// };
/// match lost.reason() {
///     DisconnectReason::Closed => println!("the client was closed on purpose"),
///     DisconnectReason::NoDatabase { available, .. } => println!("choose one of {available:?}"),
///     reason => println!("{}", ovsdb::ErrorChain::new(reason)),
/// }
/// # assert!(matches!(lost.reason(), DisconnectReason::Closed));
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
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
    /// The bytes that the server sent cannot be split into messages, or exceed the
    /// [`Limits`](crate::protocol::Limits).
    #[error("the server sent a malformed byte stream")]
    Frame(#[source] FrameError),
    /// A message of the server is malformed.
    #[error("the server sent a malformed message")]
    Message(#[source] DecodeError),
    /// A message of the server is not UTF-8.
    #[error("the server sent a message that is not UTF-8")]
    NotUtf8,
    /// The server refused the request for the database's schema.
    #[error("the server refused the session: {0}")]
    Refused(OvsdbError),
    /// The server's schema cannot be parsed.
    #[error("the server's schema is malformed")]
    Schema(#[source] ovsdb_schema::SchemaError),
    /// No connection could be made.
    #[error("cannot connect")]
    Connect(#[source] Arc<ConnectError>),
    /// The connection, or the replies to its first requests, took longer than the connect timeout.
    #[error("the connection was not usable within the connect timeout")]
    ConnectTimeout,
    /// The server sent nothing for two probe intervals, or for up to nine if it was to send the first rows
    /// of a cache.
    #[error("the server stopped responding")]
    Silent,
    /// The reply to a request did not come within its time limit, or the replica that a transaction is to be
    /// based on did not become current in time. The connection may still work.
    #[error("the time limit passed before the server had replied or the replica was current")]
    TimedOut,
    /// The transaction was not sent, because the replica that it is based on is no longer current: for
    /// example, the connection was lost or the schema changed. [`Client::apply`](crate::Client::apply)
    /// runs its closure again.
    #[error("the view that the transaction is based on became outdated before it was sent")]
    ViewOutdated,
    /// The replica that a transaction is to be based on is stale, because its monitor cannot be
    /// started; see [`Cache::monitor_error`](crate::Cache::monitor_error).
    #[error("the cache cannot follow the server")]
    MonitorRefused(#[source] Box<Error>),
    /// The server does not serve the database, or no longer does.
    #[error("the server has no database {database}{}", OtherDatabases(available))]
    NoDatabase {
        /// The database.
        database: Str,
        /// The databases that the server has, in the order of their names.
        available: Vec<Str>,
    },
    /// The server's database does not belong to the requested cluster.
    #[error("the server does not belong to the cluster {wanted}")]
    OtherCluster {
        /// The requested cluster.
        wanted: Uuid,
    },
    /// The server has no schema of the database yet: it has not joined its cluster or, as a relay, not reached
    /// its source.
    #[error("the server has not joined its cluster yet, or has not reached the source it relays")]
    NotJoined,
    /// The server is not in contact with the majority of its cluster, or, as a relay, with its source.
    #[error(
        "the server is not in contact with the majority of its cluster, or with the source it relays"
    )]
    NoQuorum,
    /// The server is not its cluster's leader, which is required.
    #[error("the server is not its cluster's leader")]
    NotLeader,
    /// The server's data are older than data seen before.
    #[error("the server's data is stale: its log index is {index}, and {seen} was seen before")]
    Stale {
        /// The server's index in the cluster's log.
        index: i64,
        /// The highest index seen.
        seen: i64,
    },
    /// Decoding a message of the server panicked, by a fault of this library, of a table that was
    /// written by hand, or of an index's function. The cache that the message was for ends; the client connects
    /// again.
    #[error("decoding a message of the server panicked")]
    DecoderPanicked,
    /// The user requested other remotes, or a reconnect.
    #[error("a reconnect was requested")]
    Requested,
    /// The task that owns the connection ended because its runtime was shut down.
    #[error("the runtime was shut down")]
    RuntimeGone,
}

/// The end of an error message: the databases that the server has.
struct OtherDatabases<'a>(&'a [Str]);

impl fmt::Display for OtherDatabases<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.iter().enumerate() {
            let before = if place == 0 { "; it has " } else { ", " };
            write!(f, "{before}{name}")?;
        }
        Ok(())
    }
}

impl From<io::Error> for DisconnectReason {
    /// The reason for a stream's error, which may be a TLS error.
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "tls")]
        let error = match error.downcast::<TlsError>() {
            Ok(error) => return Self::Tls(error),
            Err(error) => error,
        };
        Self::Io(error)
    }
}

/// Why no reply came: usually because the connection ended. All callers that wait for replies on it
/// get the same error.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// use ovsdb::{DisconnectReason, Error};
///
/// match client.list_dbs().await {
///     Err(Error::Disconnected(lost)) if matches!(lost.reason(), DisconnectReason::TimedOut) => {
///         println!("no reply in time");
///     }
///     databases => println!("{:?}", databases?),
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct Disconnected {
    reason: Arc<DisconnectReason>,
}

impl Disconnected {
    pub(crate) fn new(reason: DisconnectReason) -> Self {
        Self {
            reason: Arc::new(reason),
        }
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &DisconnectReason {
        &self.reason
    }
}

/// Why a request failed.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::{Client, Error, ErrorChain, nb};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let builder = Client::<nb::Database>::builder().remotes("unix:/no/such/socket");
/// let error = builder.connect().await.expect_err("no server listens there");
/// assert!(matches!(&error, Error::Connect { remote, .. } if remote.to_string().ends_with("socket")));
/// // The message of an error does not contain its cause; the chain does.
/// assert!(ErrorChain::new(&error).to_string().len() > error.to_string().len());
/// # }); }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The remote's text is malformed, or no remote was given.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// No connection could be made.
    #[error("cannot connect to {remote}")]
    Connect {
        /// The remote.
        remote: Remote,
        /// The reason.
        #[source]
        source: Arc<ConnectError>,
    },
    /// No connection became usable within the connect timeout.
    #[error("the connection to {remote} was not usable within the connect timeout")]
    ConnectTimeout {
        /// The remote.
        remote: Remote,
    },
    /// No reply came, usually because the connection ended; [`Disconnected::reason`] says why.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// A value of the request cannot be sent; nothing was sent.
    #[error(transparent)]
    InvalidValue(#[from] InvalidValue),
    /// The server refused the request.
    #[error("the server refused the request: {0}")]
    Refused(OvsdbError),
    /// The server's reply does not have the form that the protocol requires.
    #[error("the server's reply is malformed")]
    Answer(#[from] DecodeError),
    /// The rows in the server's reply do not fit the tables.
    #[error("the server's rows do not fit the tables")]
    Apply(#[from] ApplyError),
    /// The server's schema cannot be parsed, or a relay cannot serve it.
    #[error("the server's schema cannot be used")]
    Schema(#[source] Arc<ovsdb_schema::SchemaError>),
    /// The server cannot be used: the connection ended before the first requests were answered, a reply
    /// to them is malformed, or the server does not meet the client's requirements.
    #[error("cannot use {remote}")]
    Unusable {
        /// The remote.
        remote: Remote,
        /// The reason.
        #[source]
        lost: Disconnected,
    },
    /// The cache is strict, and the server's schema lacks a table or column that the program was
    /// compiled with, or has the column with another type.
    #[error("{0}")]
    Skew(SkewReport),
    /// The server does not support conditions, but a table has one.
    #[error("the server can monitor whole tables only, but the table {0} has a condition")]
    ConditionsNotSupported(Str),
    /// The condition of a cache's table needs a column that the server's schema lacks.
    #[error("the condition on the table {table} needs the column {column}, which the server lacks")]
    ConditionColumn {
        /// The table.
        table: Str,
        /// The column.
        column: Str,
    },
    /// A table, column or condition that was given by name does not fit the server's schema or the cache.
    #[error(transparent)]
    SchemaMismatch(#[from] SchemaMismatch),
    /// A cache was given two types for the same table.
    #[error("the table {0} was added to a cache with two types")]
    TableTwice(Str),
}

impl From<OvsdbError> for Error {
    fn from(error: OvsdbError) -> Self {
        Self::Refused(error)
    }
}

impl Error {
    /// The error for a failed attempt to connect.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorChain;
    use crate::transaction::{CommitError, Refusal};

    /// Examples of errors that have a cause or contain a server's reply.
    fn errors() -> Vec<Box<dyn std::error::Error>> {
        let remote: Remote = "tcp:192.0.2.1:6641".parse().expect("a remote");
        let io = || io::Error::from_raw_os_error(111);
        let source = || Arc::new(ConnectError::Io(io()));
        let reply = || OvsdbError::with_details("not allowed", "the reason");
        let lost = |reason| Disconnected::new(reason);
        let decode = || DecodeError::new(7, crate::value::json::DecodeErrorKind::Expected("a set"));
        vec![
            Box::new(Error::Refused(reply())),
            Box::new(Error::Answer(decode())),
            Box::new(Error::Connect {
                remote: remote.clone(),
                source: source(),
            }),
            Box::new(Error::Unusable {
                remote,
                lost: lost(DisconnectReason::Refused(reply())),
            }),
            Box::new(Error::Disconnected(lost(DisconnectReason::Connect(
                source(),
            )))),
            Box::new(Error::Disconnected(lost(DisconnectReason::Io(io())))),
            Box::new(CommitError::Unknown(lost(DisconnectReason::Io(io())))),
            Box::new(CommitError::NotSent(lost(DisconnectReason::Message(
                decode(),
            )))),
            Box::new(CommitError::Refused(Box::new(Refusal {
                operation: Some(1),
                name: Some("insert"),
                table: Some("T".into()),
                error: reply(),
                of_request: false,
                of_guard: false,
            }))),
        ]
    }

    #[test]
    fn no_message_repeats_its_cause_and_the_chain_has_the_root() {
        for error in errors() {
            let mut error: &dyn std::error::Error = error.as_ref();
            let chain = ErrorChain::new(error).to_string();
            let roots = ["not allowed: the reason", "(os error 111)", "a set"];
            let found = roots.map(|root| chain.matches(root).count());
            assert_eq!(found.iter().sum::<usize>(), 1, "{chain}");
            while let Some(source) = error.source() {
                let (outer, inner) = (error.to_string(), source.to_string());
                assert!(!outer.contains(&inner), "{outer:?} repeats {inner:?}");
                error = source;
            }
        }
    }

    #[test]
    fn replies_of_the_server_are_part_of_the_message() {
        let reply = OvsdbError::with_details("not allowed", "the reason");
        assert_eq!(
            Error::Refused(reply.clone()).to_string(),
            "the server refused the request: not allowed: the reason"
        );
        assert_eq!(
            DisconnectReason::Refused(reply).to_string(),
            "the server refused the session: not allowed: the reason"
        );
        let lost = Disconnected::new(DisconnectReason::ByServer);
        assert_eq!(
            Error::from(lost).to_string(),
            "the server closed the connection"
        );
    }
}
