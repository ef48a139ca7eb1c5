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

/// Says where and how to connect; [`Client::builder`] makes one.
///
/// | setting | unless said otherwise |
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
#[must_use = "a client connects with `connect`"]
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

    /// The database's name on the server, where it is not `D`'s own.
    ///
    /// With [`AnyDatabase`](crate::AnyDatabase) that is the database whose tables are known at run time
    /// only. A compiled database may have another name on the server too: its tables are the same.
    pub fn database(mut self, name: impl Into<Str>) -> Self {
        self.options.database = name.into();
        self
    }

    /// Where the servers listen: text as in ovsdb(7), with commas between several; a [`Remote`]; an
    /// array or a vector of these. [`connect`](Self::connect) tells what is malformed.
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

    /// The server to connect to, in this process: no socket, no port.
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

    /// How `ssl:` remotes are reached.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::transport::TlsConfig) -> Self {
        self.options.tls = Some(tls);
        self
    }

    /// In which order several remotes are tried.
    pub const fn remote_order(mut self, order: RemoteOrder) -> Self {
        self.options.order = order;
        self
    }

    /// Limits on the messages of a server, which bound the memory they take.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Time allowed per remote to connect and become usable.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.timings.connect_timeout = timeout;
        self
    }

    /// How long the server may be silent before it is probed with an `echo`. After the same time without a
    /// byte from the server the connection is given up. `None` never probes: then a half-open connection is
    /// noticed late, or never.
    pub const fn probe_interval(mut self, interval: Option<Duration>) -> Self {
        self.options.timings.probe_interval = interval;
        self
    }

    /// How long a remote is not tried after its server could not be reached or closed the connection:
    /// `min` at first, doubled at each failure up to `max`, each wait shortened at random by up to a half
    /// (exponential backoff with jitter). Each remote has a backoff of its own; one without is tried at
    /// once.
    ///
    /// With the defaults one client makes on average 13 attempts in the first minute and 10 in
    /// each later one to a server that is down, 1,000 clients 10,000 a minute. A connection that
    /// served as long as the wait, or a leader that hands over, ends all waits. A server that
    /// answers but is not ready, as during the election of a leader, is not down: the client waits
    /// tens of milliseconds, growing up to `max`, and stays connected to one such server meanwhile.
    pub const fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.options.timings.min_backoff = min;
        self.options.timings.max_backoff = max;
        self
    }

    /// How long a request may take, the wait for a connection included; `None` waits for ever.
    /// [`Transaction::timeout`](crate::Transaction::timeout) sets it for one transaction.
    pub const fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Who writes: each transaction that writes something says so in the database's history, where
    /// `ovsdb-tool show-log` and the transactions (`Server::transactions`) of an embedded
    /// server show it, as a comment before its own ones.
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

    /// How many requests may wait for their answers at once; further ones wait to be sent.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.options.window = requests.max(1);
        self
    }

    /// Whether to use only the leader of a cluster, whose data are never outdated. A server that is
    /// no leader, or not any more, is left for another one, at once when another can be tried. Standalone
    /// servers and relays are always accepted.
    ///
    /// Without it, a member whose index is lower than the one last seen is left as outdated. Servers tell their
    /// index after the rows of a transaction: when the connection is lost in between, a member that lacks
    /// just the last transaction is accepted, and views go back by it until the member catches up.
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

    /// How transactions name the rows they insert; by a uuid of their own unless said otherwise.
    pub const fn row_identity(mut self, identity: RowIdentity) -> Self {
        self.identity = identity;
        self
    }

    /// Connects to the first remote that can be used, and reads the database's schema. From then
    /// on the client connects by itself whenever the connection is lost.
    ///
    /// # Errors
    /// When a remote is malformed, none can be used, or the server does not have the database.
    /// The error is the last remote's.
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
