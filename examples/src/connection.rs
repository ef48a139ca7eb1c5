//! Connections to a database.

use std::sync::Arc;

use ovsdb::server::Server;
use ovsdb::{Client, ClientBuilder, Database, Error, TlsConfig};

/// Where a database's servers listen, and how to connect to them.
///
/// A string converts into a connection to the remotes that it lists, without TLS, to any member of a
/// cluster.
#[derive(Debug, Clone)]
#[must_use]
pub struct Connection {
    target: Target,
    tls: Option<TlsConfig>,
    leader_only: bool,
}

/// What a connection leads to.
#[derive(Debug, Clone)]
enum Target {
    Remotes(String),
    /// A server in this process, which lives until its last user drops it.
    Embedded(Arc<Server>),
}

impl Connection {
    /// A connection to these remotes, separated by commas.
    pub fn new(remotes: impl Into<String>) -> Self {
        Self {
            target: Target::Remotes(remotes.into()),
            tls: None,
            leader_only: false,
        }
    }

    /// A connection to a server in this process.
    pub fn embedded(server: Server) -> Self {
        Self {
            target: Target::Embedded(Arc::new(server)),
            tls: None,
            leader_only: false,
        }
    }

    /// The server in this process, if the connection leads to one.
    #[must_use]
    pub fn server(&self) -> Option<&Arc<Server>> {
        match &self.target {
            Target::Remotes(_) => None,
            Target::Embedded(server) => Some(server),
        }
    }

    /// Sets the TLS configuration for `ssl:` remotes.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets whether to use only the leader of a cluster.
    pub const fn leader_only(mut self, leader_only: bool) -> Self {
        self.leader_only = leader_only;
        self
    }

    /// Connects a client.
    ///
    /// # Errors
    /// When a remote is malformed or none is given, an `ssl:` remote has no TLS configuration, or no remote
    /// can be used, for instance because no server has the database.
    pub async fn connect<D: Database>(self) -> Result<Client<D>, Error> {
        self.client().connect().await
    }

    /// The builder of a client.
    pub(crate) fn client<D: Database>(self) -> ClientBuilder<D> {
        let builder = Client::builder().leader_only(self.leader_only);
        let builder = match self.target {
            Target::Remotes(remotes) => builder.remotes(remotes),
            Target::Embedded(server) => builder.server(&server),
        };
        match self.tls {
            Some(tls) => builder.tls(tls),
            None => builder,
        }
    }
}

impl From<&str> for Connection {
    fn from(remotes: &str) -> Self {
        Self::new(remotes)
    }
}

impl From<&String> for Connection {
    fn from(remotes: &String) -> Self {
        Self::new(remotes)
    }
}

impl From<String> for Connection {
    fn from(remotes: String) -> Self {
        Self::new(remotes)
    }
}
