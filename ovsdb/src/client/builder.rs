//! The builder of a client.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::{Client, Inner, at_least_one};
use crate::error::Error;
use crate::model::{Database, RowIdentity};
use crate::protocol::{Limits, check_text};
use crate::session::{Options, RemoteOrder, Session};
use crate::transport::{IntoRemotes, Remote, RemoteError};
use crate::value::{Str, Uuid};

/// Configures how to connect; [`Client::builder`] makes one.
///
/// | setting | default |
/// |---|---|
/// | [`remote_order`](Self::remote_order) | shuffled |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s |
/// | [`probe_interval`](Self::probe_interval) | 5 s |
/// | [`backoff`](Self::backoff) | 1 s to 8 s |
/// | [`request_timeout`](Self::request_timeout) | 60 s |
/// | [`max_in_flight`](Self::max_in_flight) | 256 |
/// | [`leader_only`](Self::leader_only) | no |
/// | [`limits`](Self::limits) | 1 GiB a message |
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use std::time::Duration;
///
/// use ovsdb::{Client, Error, nb};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let connected = Client::<nb::Database>::builder()
///     .remotes("unix:/no/such/socket")
///     .connect_timeout(Duration::from_secs(5))
///     .leader_only(true)
///     .connect()
///     .await;
/// assert!(matches!(connected, Err(Error::Connect { .. })));
/// # }); }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a client does not connect until `connect` is called"]
pub struct ClientBuilder<D> {
    remotes: Result<Vec<Remote>, RemoteError>,
    options: Options,
    identity: RowIdentity,
    request_timeout: Option<Duration>,
    author: Option<Str>,
    database: PhantomData<fn() -> D>,
}

impl<D: Database> ClientBuilder<D> {
    pub(super) fn new() -> Self {
        Self {
            remotes: Ok(Vec::new()),
            options: Options::new(D::NAME),
            identity: RowIdentity::default(),
            request_timeout: Some(Duration::from_secs(60)),
            author: None,
            database: PhantomData,
        }
    }

    /// The database's name on the server, if it differs from `D`'s.
    ///
    /// With [`AnyDatabase`](crate::AnyDatabase), this names the database whose tables are known at run
    /// time only. A compiled database may have another name on the server, with the same tables.
    pub fn database(mut self, name: impl Into<Str>) -> Self {
        self.options.database = name.into();
        self
    }

    /// The addresses of the servers: text as in ovsdb(7), separated by commas; a [`Remote`]; or an
    /// array or vector of these. If one is malformed, [`connect`](Self::connect) returns the error.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::{Remote, nb};
    ///
    /// let hosts = ["192.0.2.1", "192.0.2.2", "2001:db8::3"];
    /// let client = nb::Client::builder().remotes(hosts.map(|host| Remote::ssl(host, 6641)));
    /// # let _ = client; }
    /// ```
    pub fn remotes(mut self, remotes: impl IntoRemotes) -> Self {
        self.remotes = remotes.into_remotes();
        self
    }

    /// Connects to a server in this process, without a socket or a port.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ovsdb::nb;
    /// use ovsdb::server::Server;
    ///
    /// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// let server = Server::memory(schema)?;
    /// let client = nb::Client::builder().server(&server).connect().await?;
    /// # let _ = client; Ok(()) }
    /// # #[cfg(not(feature = "nb"))] fn main() {}
    /// ```
    #[cfg(feature = "server")]
    pub fn server(self, server: &crate::server::Server) -> Self {
        self.remotes(server.remote())
    }

    /// The TLS configuration for `ssl:` remotes.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::transport::TlsConfig) -> Self {
        self.options.tls = Some(tls);
        self
    }

    /// The order in which several remotes are tried.
    pub const fn remote_order(mut self, order: RemoteOrder) -> Self {
        self.options.order = order;
        self
    }

    /// Limits for messages from the server, which bound the memory they take.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Time allowed per remote to connect and become usable.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.timings.connect_timeout = timeout;
        self
    }

    /// How long the server may be silent before it is probed with an `echo`. If nothing arrives for the
    /// same time again, the connection is given up. `None` turns probes off: a half-open connection is
    /// then noticed late, or never.
    ///
    /// A server that composes the first rows of a large cache may be silent for longer. If it is given up
    /// meanwhile, the next connection gets twice the time for its first rows, and so on up to eight
    /// intervals after the probe, so that the client does not request the same rows without end.
    pub const fn probe_interval(mut self, interval: Option<Duration>) -> Self {
        self.options.timings.probe_interval = interval;
        self
    }

    /// How long a remote waits for its next attempt after its server could not be reached or used, or the
    /// connection was lost: `min` at first, doubled at each failure up to `max`, and each wait shortened
    /// at random by up to half (exponential backoff with jitter). Each remote has its own backoff;
    /// a remote that is not waiting is tried at once.
    ///
    /// With the defaults, a client makes on average 13 attempts in the first minute and 10 in each
    /// later one to a server that is down; 1,000 clients make 10,000 a minute. All waits end when a
    /// connection has served as long as its remote's next wait, or when a leader hands over. A server
    /// that answers but is not ready, as during an election, does not count as down: the client
    /// tries again after tens of milliseconds, growing up to `max`, and stays connected to one such
    /// server meanwhile.
    pub const fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.options.timings.min_backoff = min;
        self.options.timings.max_backoff = max;
        self
    }

    /// The time allowed for a request, including the wait for a connection; `None` for no limit.
    /// [`Transaction::timeout`](crate::Transaction::timeout) sets it for one transaction.
    pub const fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The author of this client's transactions. Each transaction that writes something contains a
    /// comment that names the author. The comment is kept in the database's history, where `ovsdb-tool
    /// show-log` shows it, and in the transactions of an embedded server (`Server::transactions`).
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// use ovsdb::nb::{self, LogicalSwitch};
    ///
    /// let builder = nb::Client::builder().server(&server).author("network-controller 1.2");
    /// let mut txn = builder.connect().await?.transaction();
    /// txn.insert(LogicalSwitch { name: "sw0".into(), ..Default::default() });
    /// txn.commit().await?;
    /// let committed = server.transactions::<nb::Database>();
    /// assert_eq!(committed[0].comment(), Some("network-controller 1.2"));
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn author(mut self, author: impl Into<Str>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// How many requests may be in flight at once, at least one; further ones wait to be sent. Requests for
    /// monitors and locks are not limited.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.options.window = requests.max(1);
        self
    }

    /// Whether to use only the leader of a cluster, which applies each transaction before the other
    /// members do. If a server is not the leader, or no longer, the client leaves it: at once if another
    /// remote can be tried. Standalone servers and relays need not be leaders.
    ///
    /// Without this, the client leaves a member whose log index is lower than the one it saw last,
    /// because its data are stale. Servers report their index after the rows of a transaction. So when
    /// the connection is lost in between, a member that lacks just the last transaction is accepted,
    /// and views go back by that transaction until the member catches up.
    pub const fn leader_only(mut self, leader_only: bool) -> Self {
        self.options.leader_only = leader_only;
        self
    }

    /// The only cluster to accept, by the id that `ovsdb-tool db-cid` prints.
    pub const fn cluster_id(mut self, cluster: Uuid) -> Self {
        self.options.cluster = Some(cluster);
        self
    }

    /// Makes [`connect`](Self::connect) wait until a server can be used, instead of failing when
    /// every remote has failed once.
    pub const fn wait_for_server(mut self, wait: bool) -> Self {
        self.options.wait_for_server = wait;
        self
    }

    /// How transactions identify the rows they insert; by default, by uuids that the client chooses.
    pub const fn row_identity(mut self, identity: RowIdentity) -> Self {
        self.identity = identity;
        self
    }

    /// Connects to the first remote that can be used, and reads the database's schema. From then on,
    /// the client connects again by itself whenever the connection is lost.
    ///
    /// # Errors
    /// When a remote is malformed, or none is given; when the name of the database or the author has a
    /// NUL. When every remote has failed once, for instance because no server has the database: the error
    /// is the last remote's. With [`wait_for_server`](Self::wait_for_server) the client keeps trying instead.
    /// At once when an `ssl:` remote is tried without a TLS configuration or without the feature `tls`.
    pub async fn connect(mut self) -> Result<Client<D>, Error> {
        check_text(&self.options.database, "the name of the database")?;
        if let Some(author) = &self.author {
            check_text(author, "the author")?;
        }
        self.options.remotes = at_least_one(self.remotes)?;
        Ok(Client {
            inner: Arc::new(Inner {
                database: self.options.database.clone(),
                session: Session::start(self.options).await?,
                identity: self.identity,
                request_timeout: self.request_timeout,
                author: self.author,
                #[cfg(any(feature = "nb", feature = "vswitch"))]
                attached: super::attached::Attached::default(),
            }),
            database: PhantomData,
        })
    }
}
