//! Connections within the process.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;

use tokio::io::DuplexStream;

type Connect = dyn Fn() -> io::Result<DuplexStream> + Send + Sync;

/// A server in this process, to which a client connects without a socket.
///
/// [`Server::remote`](crate::server::Server::remote) returns it. The remotes that one server returns are
/// equal; those made by two calls of [`new`](Self::new) are not.
///
/// ```
/// use ovsdb::Remote;
/// use ovsdb::server::Server;
///
/// let server = Server::memory(r#"{"name": "Inventory", "tables": {}}"#)?;
/// let Remote::Memory(remote) = server.remote() else { panic!("another remote") };
/// assert_eq!(remote.to_string(), "memory:Inventory");
/// # Ok::<(), ovsdb::server::ServerError>(())
/// ```
#[derive(Clone)]
pub struct MemoryRemote {
    name: Arc<str>,
    connect: Arc<Connect>,
    /// The host that the certificate of a simulated server must be for.
    #[cfg(all(simulation, feature = "tls"))]
    tls_host: Option<Arc<str>>,
}

impl MemoryRemote {
    /// A remote to which `connect` makes connections; `name` is for logs and errors.
    #[must_use]
    pub fn new(
        name: &str,
        connect: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            connect: Arc::new(connect),
            #[cfg(all(simulation, feature = "tls"))]
            tls_host: None,
        }
    }

    /// The same remote with TLS, for the simulation. The server's certificate must be for this host.
    #[cfg(all(simulation, feature = "tls"))]
    #[must_use]
    pub fn simulated_tls(mut self, host: &str) -> Self {
        self.tls_host = Some(host.into());
        self
    }

    #[cfg(all(simulation, feature = "tls"))]
    pub(super) fn tls_host(&self) -> Option<&str> {
        self.tls_host.as_deref()
    }

    /// The client's end of a new connection. A server in this process serves the other end in a task.
    ///
    /// # Errors
    /// When the server has ended or refuses connections. For a remote made by [`new`](Self::new), when its
    /// function fails.
    ///
    /// # Panics
    /// When the remote is a server's, and this is called outside a tokio runtime.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        (self.connect)()
    }
}

impl fmt::Debug for MemoryRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryRemote").field(&self.name).finish()
    }
}

impl fmt::Display for MemoryRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory:{}", self.name)
    }
}

impl PartialEq for MemoryRemote {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connect, &other.connect)
    }
}

impl Eq for MemoryRemote {}

impl Hash for MemoryRemote {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.connect).cast::<()>().hash(state);
    }
}
