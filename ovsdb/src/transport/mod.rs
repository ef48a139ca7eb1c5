//! Remotes and the byte streams to them.

mod remote;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

pub use self::remote::{Remote, RemoteError, RemoteErrorReason, parse_remotes};

/// The half of a stream that is read from.
pub(crate) type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
/// The half of a stream that is written to.
pub(crate) type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Connects to a remote.
pub(crate) async fn connect(remote: &Remote) -> io::Result<(ReadHalf, WriteHalf)> {
    match remote {
        Remote::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            // Requests are small and wait for an answer.
            stream.set_nodelay(true)?;
            let (read, write) = stream.into_split();
            Ok((Box::new(read), Box::new(write)))
        }
        Remote::Unix { path } => {
            let (read, write) = UnixStream::connect(path).await?.into_split();
            Ok((Box::new(read), Box::new(write)))
        }
    }
}
