//! The kinds of servers, what they need, and why one cannot be used.

use std::io;
use std::path::PathBuf;

use ovsdb_schema::SchemaError;

use super::programs::MissingProgram;

/// The environment variable that selects the server for tests.
const SERVER_VARIABLE: &str = "OVSDB_TEST_SERVER";

/// The kind of a [`testing::Server`](super::Server).
///
/// ```
/// use ovsdb::testing::{Server, ServerKind};
///
/// // Nothing needs to be installed for this one.
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let server = Server::builder().kind(ServerKind::Embedded).schema(schema).start()?;
/// assert_eq!(server.kind(), ServerKind::Embedded);
/// # Ok::<(), ovsdb::testing::ServerError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerKind {
    /// An ovsdb-server process.
    Reference,
    /// [`ovsdb::server::Server`](crate::server::Server), on a thread of this process. It has no control
    /// socket and no log. Of ovsdb-server's options it supports only `--remote`, `--private-key`,
    /// `--certificate`, `--ca-cert` and `--ssl-protocols`; as a relay only `--remote`.
    Embedded,
}

impl ServerKind {
    /// The kind that the environment variable `OVSDB_TEST_SERVER` selects, `reference` or `embedded`;
    /// ovsdb-server if it is not set.
    ///
    /// # Errors
    /// When the variable has another value.
    ///
    /// ```
    /// assert!(ovsdb::testing::ServerKind::from_environment().is_ok());
    /// ```
    pub fn from_environment() -> Result<Self, ServerError> {
        match std::env::var(SERVER_VARIABLE).as_deref() {
            Ok("embedded") => Ok(Self::Embedded),
            Ok("reference") | Err(std::env::VarError::NotPresent) => Ok(Self::Reference),
            Ok(other) => Err(ServerError::UnknownKind(other.to_owned())),
            Err(error) => Err(ServerError::UnknownKind(error.to_string())),
        }
    }
}

/// The PEM files of a server that listens for TLS, named after the options of ovsdb-server.
///
/// ```
/// # fn example(folder: &std::path::Path, schema: &str) -> Result<(), ovsdb::testing::ServerError> {
/// use ovsdb::testing::{Server, SslFiles};
///
/// let files = SslFiles {
///     private_key: folder.join("server-key.pem"),
///     certificate: folder.join("server-cert.pem"),
///     ca_certificate: folder.join("client-ca.pem"),
/// };
/// let server = Server::builder().schema(schema).ssl(files).start()?;
/// # let _ = server; Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct SslFiles {
    /// For `--private-key`.
    pub private_key: PathBuf,
    /// For `--certificate`.
    pub certificate: PathBuf,
    /// For `--ca-cert`: the authorities of clients' certificates.
    pub ca_certificate: PathBuf,
}

/// Why a server cannot be started or used.
///
/// ```
/// use ovsdb::testing::{Server, ServerError};
///
/// let error = Server::builder().schema("no schema").start().expect_err("not JSON");
/// assert!(matches!(error, ServerError::Schema(_)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A program is not installed.
    #[error(transparent)]
    Missing(#[from] MissingProgram),
    /// The schema is malformed.
    #[error("broken schema")]
    Schema(#[from] SchemaError),
    /// An operation on a file, a socket or a process failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A program failed.
    #[error("{program} failed: {message}")]
    Failed {
        /// The program.
        program: String,
        /// What the program wrote to its standard error, or the error of the embedded server.
        message: String,
    },
    /// The server was killed, and not started again.
    #[error("the server does not run: it was killed, and not started again")]
    NotRunning,
    /// A cluster has no leader, or its leader did not hand over to another member.
    #[error("the cluster did not elect the expected leader: {0}")]
    NoLeader(String),
    /// The embedded server does not support this.
    #[error("the embedded server has no {0}")]
    NotEmbedded(&'static str),
    /// The environment variable has an unknown value.
    #[error("{SERVER_VARIABLE} is {0:?}, but must be \"reference\" or \"embedded\"")]
    UnknownKind(String),
    /// The server ended, or did not answer in time.
    #[error("the server does not answer; its log ends: {log}")]
    Silent {
        /// The end of the server's log.
        log: String,
    },
}
