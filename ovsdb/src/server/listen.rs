//! The addresses that a server listens on, and its sockets.

mod local;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

pub(super) use self::local::LocalStream;

/// An address to listen on, in the form of a passive connection method of ovsdb(7) ("Connection
/// Methods").
///
/// ```
/// use ovsdb::server::PassiveRemote;
///
/// let remote: PassiveRemote = "ptcp:6641:127.0.0.1".parse()?;
/// assert_eq!(remote.to_string(), "ptcp:6641:127.0.0.1");
/// assert!("tcp:127.0.0.1:6641".parse::<PassiveRemote>().is_err());
/// # Ok::<(), ovsdb::server::PassiveRemoteError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PassiveRemote {
    /// `punix:PATH`: a socket in the file system.
    Unix {
        /// The socket's path.
        path: PathBuf,
    },
    /// `ptcp:[PORT][:HOST]`: TCP. Port 0 means any free port.
    Tcp {
        /// The port.
        port: u16,
        /// The address; by default all IPv4 addresses.
        host: IpAddr,
    },
    /// `pssl:[PORT][:HOST]`: TLS.
    Ssl {
        /// The port.
        port: u16,
        /// The address; by default all IPv4 addresses.
        host: IpAddr,
    },
}

/// The default port (ovsdb(7)).
const DEFAULT_PORT: u16 = 6640;

/// Why a text is not a passive remote.
///
/// ```
/// use ovsdb::server::PassiveRemote;
///
/// let error = "unix:/run/nb.sock".parse::<PassiveRemote>().expect_err("an active remote");
/// assert_eq!(error.remote, "unix:/run/nb.sock");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad remote to listen on {remote:?}: {reason}")]
#[non_exhaustive]
pub struct PassiveRemoteError {
    /// The text.
    pub remote: String,
    /// What is wrong with it.
    pub reason: PassiveRemoteErrorReason,
}

/// What is wrong with a passive remote.
///
/// ```
/// use ovsdb::server::{PassiveRemote, PassiveRemoteErrorReason};
///
/// let error = "ptcp:66410".parse::<PassiveRemote>().expect_err("no port");
/// assert_eq!(error.reason, PassiveRemoteErrorReason::BadPort("66410".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassiveRemoteErrorReason {
    /// The method is none of those that a server has.
    #[error("the method {0:?} is none of `punix:`, `ptcp:`, `pssl:`")]
    UnknownMethod(String),
    /// An active remote: the server does not connect to clients.
    #[error(
        "the method {0:?} is active, and the server does not connect to clients; use `punix:`, `ptcp:` or `pssl:`"
    )]
    Active(String),
    /// `db:DATABASE,TABLE,COLUMN`: remotes that a database lists are not supported.
    #[error(
        "remotes that a database lists (`db:`) are not supported; use `punix:`, `ptcp:` or `pssl:`"
    )]
    Database,
    /// The port is not a number from 0 to 65535.
    #[error("the port {0:?} is not a number from 0 to 65535")]
    BadPort(String),
    /// The host is not an IP address.
    #[error("the host {0:?} is not an IP address")]
    BadHost(String),
    /// The path is missing.
    #[error("the path is missing")]
    NoPath,
}

impl FromStr for PassiveRemote {
    type Err = PassiveRemoteError;

    fn from_str(text: &str) -> Result<Self, PassiveRemoteError> {
        use PassiveRemoteErrorReason as Reason;
        let error = |reason| PassiveRemoteError {
            remote: text.to_owned(),
            reason,
        };
        let (method, rest) = text.split_once(':').unwrap_or((text, ""));
        match method {
            "punix" if rest.is_empty() => Err(error(Reason::NoPath)),
            "punix" => Ok(Self::Unix { path: rest.into() }),
            "ptcp" => parse_address(rest)
                .map(|(port, host)| Self::Tcp { port, host })
                .map_err(error),
            "pssl" => parse_address(rest)
                .map(|(port, host)| Self::Ssl { port, host })
                .map_err(error),
            "unix" | "tcp" | "ssl" => Err(error(Reason::Active(method.to_owned()))),
            "db" => Err(error(Reason::Database)),
            other => Err(error(Reason::UnknownMethod(other.to_owned()))),
        }
    }
}

fn parse_address(text: &str) -> Result<(u16, IpAddr), PassiveRemoteErrorReason> {
    let (port, host) = text.split_once(':').unwrap_or((text, ""));
    let port = match port {
        "" => DEFAULT_PORT,
        port => port
            .parse()
            .map_err(|_| PassiveRemoteErrorReason::BadPort(port.to_owned()))?,
    };
    let plain = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match plain.unwrap_or(host) {
        "" => Ipv4Addr::UNSPECIFIED.into(),
        host => host
            .parse()
            .map_err(|_| PassiveRemoteErrorReason::BadHost(host.to_owned()))?,
    };
    Ok((port, host))
}

impl fmt::Display for PassiveRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, port, host) = match self {
            Self::Unix { path } => return write!(f, "punix:{}", path.display()),
            Self::Tcp { port, host } => ("ptcp", port, host),
            Self::Ssl { port, host } => ("pssl", port, host),
        };
        match host {
            IpAddr::V4(host) if host.is_unspecified() => write!(f, "{method}:{port}"),
            IpAddr::V4(host) => write!(f, "{method}:{port}:{host}"),
            IpAddr::V6(host) => write!(f, "{method}:{port}:[{host}]"),
        }
    }
}

/// A socket that connections are accepted on until it is closed.
///
/// The address of a server must be free as soon as the server has ended, but the task that accepts connections
/// notices the end later. So the end of the server closes the socket, not the end of the task.
#[derive(Debug)]
pub(super) struct Listener<L> {
    socket: Mutex<Option<L>>,
}

impl<L: Accept> Listener<L> {
    fn new(socket: L) -> Self {
        Self {
            socket: Mutex::new(Some(socket)),
        }
    }

    /// Waits for the next client: for ever, once the socket is closed.
    pub(super) async fn accept(&self) -> io::Result<L::Accepted> {
        let poll = |context: &mut Context<'_>| match &*self.socket() {
            Some(socket) => socket.poll_accept(context),
            None => Poll::Pending,
        };
        std::future::poll_fn(poll).await
    }
}

impl<L> Listener<L> {
    fn socket(&self) -> MutexGuard<'_, Option<L>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What can be closed.
pub(super) trait Close: Send + Sync {
    /// Closes the socket: its address is free when this returns.
    fn close(&self);
}

impl<L: Send> Close for Listener<L> {
    fn close(&self) {
        *self.socket() = None;
    }
}

/// A socket that connections are accepted on.
pub(super) trait Accept {
    /// A connection.
    type Accepted;
    /// The next connection.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Accepted>>;
}

impl Accept for TcpListener {
    type Accepted = (TcpStream, SocketAddr);

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Accepted>> {
        Self::poll_accept(self, context)
    }
}

/// Listens on a unix socket. A socket file that is left over from a server that has ended is replaced; any
/// other file stays, and is an error.
pub(super) async fn bind_unix(path: &Path) -> io::Result<Listener<UnixSocket>> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let connected = UnixStream::connect(path).await;
            let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            if !is_socket || !connected.is_err_and(refused) {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        listener => listener?,
    };
    Ok(Listener::new(UnixSocket {
        listener,
        path: path.to_owned(),
    }))
}

/// A unix socket, whose file is removed when the socket is dropped.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Accept for UnixSocket {
    type Accepted = LocalStream;

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<LocalStream>> {
        let accepted = ready!(self.listener.poll_accept(context));
        Poll::Ready(accepted.and_then(|(stream, _)| LocalStream::new(stream)))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Another process may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens on TCP, and returns the port too.
pub(super) async fn bind_tcp(host: IpAddr, port: u16) -> io::Result<(Listener<TcpListener>, u16)> {
    let listener = TcpListener::bind((host, port)).await?;
    let port = listener.local_addr()?.port();
    Ok((Listener::new(listener), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_round_trip() {
        for text in [
            "punix:/a b/c:d",
            "ptcp:6641",
            "ptcp:0:127.0.0.1",
            "pssl:6641:[::1]",
        ] {
            assert_eq!(text.parse::<PassiveRemote>().expect(text).to_string(), text);
        }
        let plain: PassiveRemote = "ptcp:".parse().expect("a remote");
        assert_eq!(plain.to_string(), "ptcp:6640");
    }

    #[test]
    fn malformed_remotes_say_what_is_wrong() {
        for (text, part) in [
            ("", "method \"\""),
            ("unix:/a", "method \"unix\" is active"),
            (
                "db:Open_vSwitch,Open_vSwitch,manager_options",
                "(`db:`) are not",
            ),
            ("udp:6640", "method \"udp\" is none"),
            ("punix:", "path is missing"),
            ("ptcp:x", "port \"x\""),
            ("ptcp:1:somewhere", "host \"somewhere\""),
        ] {
            let error = text.parse::<PassiveRemote>().expect_err(text);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
        let socket = bind_unix(&path).await.expect("replaced");
        let file = path.with_extension("txt");
        std::fs::write(&file, "a database").expect("written");
        let error = bind_unix(&file).await.expect_err("not a socket");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read_to_string(&file).expect("kept"), "a database");
        let error = bind_unix(&path).await.expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
    }
}
