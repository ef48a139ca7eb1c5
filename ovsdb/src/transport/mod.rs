//! Remotes and the byte streams to them.

mod error;
#[cfg(feature = "server")]
mod memory;
mod remote;
#[cfg(feature = "tls")]
mod tls;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

pub use self::error::ConnectError;
#[cfg(feature = "server")]
pub use self::memory::MemoryRemote;
pub use self::remote::{IntoRemotes, Remote, RemoteError, RemoteErrorReason, parse_remotes};
#[cfg(feature = "tls")]
pub use self::tls::{TlsConfig, TlsConfigBuilder, TlsError, TlsMaterial, TlsPart};
#[cfg(all(feature = "server", feature = "tls"))]
pub use self::tls::{TlsServerConfig, TlsServerConfigBuilder};

/// Without the feature `tls` there are no values of this type.
#[cfg(all(feature = "server", not(feature = "tls")))]
#[derive(Debug, Clone)]
pub(crate) enum TlsServerConfig {}

/// Without the feature `tls` there are no values of this type.
#[cfg(not(feature = "tls"))]
#[derive(Debug, Clone)]
pub(crate) enum TlsConfig {}

/// The half of a stream for reading.
pub(crate) type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
/// The half of a stream for writing.
///
/// After a failed write, what the server sent before can still be read. With TLS a failed write stays
/// pending, and reading returns the reason.
pub(crate) type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Connects to a remote; `tls` is for `ssl:` remotes.
pub(crate) async fn connect(
    remote: &Remote,
    tls: Option<&TlsConfig>,
) -> Result<(ReadHalf, WriteHalf), ConnectError> {
    match remote {
        Remote::Tcp { host, port } => {
            let (read, write) = connect_tcp(host, *port).await?.into_split();
            Ok((Box::new(read), Box::new(write)))
        }
        Remote::Unix { path } => {
            let (read, write) = UnixStream::connect(path).await?.into_split();
            Ok((Box::new(read), Box::new(write)))
        }
        #[cfg(feature = "server")]
        Remote::Memory(remote) => {
            #[cfg(all(simulation, feature = "tls"))]
            if let Some(host) = remote.tls_host() {
                let tls = tls.ok_or(ConnectError::NoTlsConfig)?;
                return tls.handshake(host, remote.connect()?).await;
            }
            let (read, write) = tokio::io::split(remote.connect()?);
            Ok((Box::new(read), Box::new(write)))
        }
        #[cfg(feature = "tls")]
        Remote::Ssl { host, port } => {
            let tls = tls.ok_or(ConnectError::NoTlsConfig)?;
            let stream = connect_tcp(host, *port).await?;
            tls.handshake(host, stream).await
        }
        #[cfg(not(feature = "tls"))]
        Remote::Ssl { .. } => match tls {
            Some(tls) => match *tls {},
            None => Err(ConnectError::NoTlsFeature),
        },
    }
}

async fn connect_tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Requests are small, and callers wait for the replies, so do not delay them.
    stream.set_nodelay(true)?;
    Ok(stream)
}
