//! How a database is reached.

use ovsdb::{ClientBuilder, Database, TlsConfig};

/// Where a database's servers listen, and how a client connects to them.
///
/// A text is a connection to the remotes that it lists, without TLS, to any member of a cluster.
#[derive(Debug, Clone)]
#[must_use]
pub struct Connection {
    remotes: String,
    tls: Option<TlsConfig>,
    leader_only: bool,
}

impl Connection {
    /// A connection to these remotes, separated by commas.
    pub fn new(remotes: impl Into<String>) -> Self {
        Self {
            remotes: remotes.into(),
            tls: None,
            leader_only: false,
        }
    }

    /// Sets how `ssl:` remotes are reached.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets whether only the leader of a cluster will do.
    pub const fn leader_only(mut self, leader_only: bool) -> Self {
        self.leader_only = leader_only;
        self
    }

    /// A client that connects this way.
    pub(crate) fn client<D: Database>(self) -> ClientBuilder<D> {
        let builder = ovsdb::Client::builder()
            .remotes(self.remotes)
            .leader_only(self.leader_only);
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
