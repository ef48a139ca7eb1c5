//! Why no connection could be made.

use std::io;

#[cfg(feature = "tls")]
use super::tls::TlsError;

/// Why no connection could be made to a remote.
///
/// ```
/// # #[cfg(feature = "nb")] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ovsdb::Error> {
/// use ovsdb::Error;
///
/// # let client = ovsdb::nb::Client::builder().remotes("unix:/nowhere/db.sock");
/// match client.connect().await {
///     Err(Error::Connect { remote, source }) if !source.is_permanent() => {
///         println!("{remote} may come back: {source}");
///     }
///     connected => drop(connected?),
/// }
/// # Ok(()) }
/// # #[cfg(not(feature = "nb"))] fn main() {}
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server cannot be reached, or the connection failed during the TLS handshake.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server was reached, but TLS with it failed.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An `ssl:` remote was given, but no [`TlsConfig`](crate::TlsConfig).
    #[cfg(feature = "tls")]
    #[error("the remote needs TLS, and the client was given no TlsConfig")]
    NoTlsConfig,
    /// An `ssl:` remote was given, but the library was built without TLS.
    #[cfg(not(feature = "tls"))]
    #[error("the remote needs TLS, which is the feature `tls` of the crate ovsdb")]
    NoTlsFeature,
}

impl ConnectError {
    /// Whether trying again is useless, because the client's configuration is wrong.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        #[cfg(feature = "tls")]
        return matches!(self, Self::NoTlsConfig);
        #[cfg(not(feature = "tls"))]
        return matches!(self, Self::NoTlsFeature);
    }
}
