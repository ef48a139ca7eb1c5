//! An OVSDB server, for tests and for production. It answers as ovsdb-server does.
//!
//! [`Server`] serves databases in memory or in files, to clients in the same process and on sockets. Its
//! core is a state machine without sockets and without a clock, which appends transactions to the files;
//! small tokio tasks move bytes, keep time, and sync and compact the files. The server checks and executes
//! transactions as ovsdb-server does, error by error: the tests run random transactions on random schemas
//! on both servers, and compare the results.
//!
//! ```
//! # #[cfg(feature = "nb")] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ovsdb::nb;
//! use ovsdb::server::Server;
//!
//! let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! let server = Server::memory(schema)?;
//! let client = nb::Client::builder().server(&server).connect().await?;
//! let mut transaction = client.transaction();
//! transaction.insert(nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
//! transaction.commit().await?;
//!
//! let cache = client.cache().all_tables().start().await?;
//! assert_eq!(cache.snapshot().table::<nb::LogicalSwitch>().len(), 1);
//! # Ok(()) }
//! # #[cfg(not(feature = "nb"))] fn main() {}
//! ```
//!
//! # What it lacks
//!
//! - Clusters on several machines (raft). A clustered file is refused with the error
//!   [`FileErrorReason::Clustered`]. For tests, a [`Cluster`] is several servers in one process that
//!   share their databases as a cluster does.
//! - Role-based access control (RBAC), replication from an active server, and the control socket that
//!   `ovs-appctl` talks to.
//! - Tables with more than 65,534 columns. A schema with one is refused.
//! - Remotes that the server itself connects to, and remotes that a database lists
//!   (`db:DATABASE,TABLE,COLUMN`). [`PassiveRemote`] refuses both, with an error that
//!   says so.

mod cluster;
mod committed;
mod consensus;
mod driver;
mod engine;
mod fault;
mod faults;
mod file;
mod history;
mod hosted;
mod hub;
mod listen;
mod locks;
mod monitor;
mod outgoing;
pub(crate) mod relay;
mod request;
mod session;
#[cfg(simulation)]
#[doc(hidden)]
pub mod simulated;
mod storage;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ovsdb_schema::{DatabaseSchema, SchemaError};

pub use self::cluster::{Backup, Cluster, ClusterError};
pub use self::committed::Committed;
use self::driver::{Shared, now, serve};
use self::engine::{Database, Schema};
pub use self::fault::TransactionFault;
pub use self::faults::{Fault, Faults};
use self::file::Opened;
pub use self::file::{FileError, FileErrorReason};
use self::hub::{Hub, Quotas};
pub use self::listen::{PassiveRemote, PassiveRemoteError, PassiveRemoteErrorReason};
pub(crate) use self::request::Answer;
pub(crate) use self::session::SessionId;
use self::storage::Storage;
use crate::error_chain::ErrorChain;
use crate::protocol::{Limits, OvsdbError};
use crate::schema_cache::ByText;
use crate::transport::{MemoryRemote, Remote, TlsServerConfig as Tls};
#[cfg(feature = "tls")]
pub use crate::transport::{TlsServerConfig, TlsServerConfigBuilder};

/// Why a server cannot be started.
///
/// ```
/// use ovsdb::server::{Server, ServerError};
///
/// assert!(matches!(Server::memory("{}"), Err(ServerError::Schema(_))));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The text of a schema is malformed, or the schema has a table with too many columns.
    #[error("a schema is broken: {0}")]
    Schema(#[from] SchemaError),
    /// A file cannot be served.
    #[error(transparent)]
    File(#[from] FileError),
    /// Two databases have the same name, or one has that of the server's own database, `_Server`.
    #[error("there are two databases with the name {0:?}")]
    TwoDatabases(String),
    /// A database of a cluster was given as a file.
    #[error("a cluster keeps its databases in memory, and cannot serve {}", .0.display())]
    ClusterInFile(PathBuf),
    /// A cluster was started without members.
    #[error("a cluster needs at least one member")]
    NoMembers,
}

/// Where a database comes from.
#[derive(Debug)]
enum Source {
    Memory(String),
    File(PathBuf),
    Create { path: PathBuf, schema: String },
}

/// The databases and settings of a server; [`Server::builder`] makes one.
///
/// ```
/// use std::time::Duration;
/// use ovsdb::server::Server;
///
/// let server = Server::builder()
///     .memory(ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema"))
///     .memory(ovsdb::schema::bundled("OVN_Southbound").expect("a bundled schema"))
///     .probe_interval(Duration::from_secs(30))
///     .start()?;
/// assert_eq!(server.databases(), ["OVN_Northbound", "OVN_Southbound"]);
/// # Ok::<(), ovsdb::server::ServerError>(())
/// ```
#[derive(Debug)]
#[must_use = "a server is not started until `start` is called"]
pub struct ServerBuilder {
    sources: Vec<Source>,
    limits: Limits,
    quotas: Quotas,
    probe_interval: Duration,
    tls: Option<Tls>,
}

impl ServerBuilder {
    /// Adds an empty database with this schema, given as the text of a schema file. It is kept in memory
    /// only.
    pub fn memory(mut self, schema: impl Into<String>) -> Self {
        self.sources.push(Source::Memory(schema.into()));
        self
    }

    /// Adds the database in this file, which `ovsdb-tool`, ovsdb-server or this library has written.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.sources.push(Source::File(path.into()));
        self
    }

    /// Adds the database in this file. If the file does not exist, it is created with an empty database
    /// of this schema.
    pub fn create(mut self, path: impl Into<PathBuf>, schema: impl Into<String>) -> Self {
        let (path, schema) = (path.into(), schema.into());
        self.sources.push(Source::Create { path, schema });
        self
    }

    /// Limits for clients' messages. They bound the memory that a message takes. A client that exceeds
    /// a limit is disconnected.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many clients may be connected at the same time: 10,000 by default. Further ones are
    /// disconnected.
    ///
    /// ```
    /// use ovsdb::server::Server;
    ///
    /// let schema = r#"{"name": "Inventory", "tables": {}}"#;
    /// let server = Server::builder().memory(schema).max_sessions(100).max_monitors(10).start()?;
    /// # Ok::<(), ovsdb::server::ServerError>(())
    /// ```
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.quotas.sessions = sessions;
        self
    }

    /// How many monitors and how many locks each client may have, and how many waiting transactions in
    /// each database: 1,000 of each by default. At a limit, every further request of that kind fails with
    /// the error `resources exhausted`.
    pub const fn max_monitors(mut self, monitors: usize) -> Self {
        self.quotas.monitors = monitors;
        self
    }

    /// How long a client on TCP or TLS may send nothing before it is probed with an `echo`, and again
    /// before it is disconnected: 5 seconds by default; zero turns probes off. A slow reader is not
    /// probed as long as it reads. As with ovsdb-server, clients on unix sockets and in the process are
    /// not probed, since the system reports their end.
    pub const fn probe_interval(mut self, interval: Duration) -> Self {
        self.probe_interval = interval;
        self
    }

    /// The certificate for `pssl:` remotes, and which clients may connect to them.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsServerConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Starts the server. Until it [listens](Server::listen), only clients in this process can connect,
    /// through [`ClientBuilder::server`](crate::ClientBuilder::server).
    ///
    /// # Errors
    /// When a schema is broken, a file cannot be served, two databases have the same name, or one is
    /// named `_Server`, like the server's own.
    pub fn start(self) -> Result<Server, ServerError> {
        let mut hub = Hub::new(self.quotas, fastrand::u64(..));
        let mut storages = BTreeMap::new();
        for source in self.sources {
            let (database, opened) = match source {
                Source::Memory(schema) => (memory(&schema)?, None),
                Source::File(path) => split(file::open(&path, fastrand::u64(..))?),
                Source::Create { path, schema } => {
                    let seed = fastrand::u64(..);
                    split(file::create(&path, &schema, seed)?)
                }
            };
            let name: Arc<str> = database.schema().name().into();
            let journal = opened.as_ref().map(|(journal, _)| journal.clone());
            let journal = journal.map(|journal| Box::new(journal) as Box<dyn hosted::Journal>);
            if !hub.add(database, journal, now()) {
                return Err(ServerError::TwoDatabases(name.to_string()));
            }
            if let Some((journal, lock)) = opened {
                let storage = Storage::new(name.clone(), journal, lock);
                storages.insert(name, Arc::new(storage));
            }
        }
        let shared = Shared::new(hub, storages, self.limits, self.probe_interval);
        Ok(Server::new(shared, self.tls))
    }

    /// Starts a cluster of this many servers that share these databases, which are in memory only.
    ///
    /// ```
    /// use ovsdb::server::Server;
    ///
    /// let cluster = Server::builder()
    ///     .memory(r#"{"name": "Inventory", "tables": {}}"#)
    ///     .start_cluster(3)?;
    /// assert_eq!(cluster.members().len(), 3);
    /// assert_eq!(cluster.leader(), Some(0));
    /// # Ok::<(), ovsdb::server::ServerError>(())
    /// ```
    ///
    /// # Errors
    /// When a schema is broken, a database is in a file, two databases have the same name, one is named
    /// `_Server`, like the server's own, or there are no members.
    pub fn start_cluster(self, members: usize) -> Result<Cluster, ServerError> {
        let mut databases: Vec<Database> = Vec::new();
        for source in &self.sources {
            let database = match source {
                Source::Memory(schema) => clustered(schema)?,
                Source::File(path) | Source::Create { path, .. } => {
                    return Err(ServerError::ClusterInFile(path.clone()));
                }
            };
            let name = database.schema().name();
            if name == hub::SERVER || databases.iter().any(|other| other.schema().name() == name) {
                return Err(ServerError::TwoDatabases(name.to_owned()));
            }
            databases.push(database);
        }
        if members == 0 {
            return Err(ServerError::NoMembers);
        }
        let names = databases.iter().map(|database| database.schema().name());
        let names = names.collect::<Vec<_>>().join(",");
        let start = |hub, member| {
            let storages = BTreeMap::new();
            let shared = Shared::new(hub, storages, self.limits, self.probe_interval);
            Server::named(&format!("{names}#{member}"), shared, self.tls.clone())
        };
        Ok(Cluster::start(&databases, members, self.quotas, start))
    }
}

type OpenedFile = Option<(file::FileJournal, file::FileLock)>;

fn split(opened: Opened) -> (Database, OpenedFile) {
    (opened.database, Some((opened.journal, opened.lock)))
}

/// Parsed schemas of databases in memory, shared by databases with the same schema text.
static SCHEMAS: ByText<Schema> = ByText::new();

fn memory(schema: &str) -> Result<Database, SchemaError> {
    let schema = SCHEMAS.get(schema, |schema| {
        let source = DatabaseSchema::parse(schema)?;
        Schema::new(source)
    })?;
    Ok(Database::new(schema, fastrand::u64(..)))
}

/// An empty database of a cluster. Ephemeral columns are kept like others, as in databases made by
/// `ovsdb-tool create-cluster`.
fn clustered(schema: &str) -> Result<Database, SchemaError> {
    let mut source = DatabaseSchema::parse(schema)?;
    for table in source.tables.values_mut() {
        for column in table.columns.values_mut() {
            column.ephemeral = false;
        }
    }
    Ok(Database::new(
        Arc::new(Schema::new(source)?),
        fastrand::u64(..),
    ))
}

/// An OVSDB server. When it is dropped, its clients are disconnected, and it ends.
///
/// ```
/// use ovsdb::server::Server;
///
/// let server = Server::memory(r#"{"name": "Inventory", "tables": {}}"#)?;
/// let copy = server.fork();
/// assert_eq!(copy.databases(), ["Inventory"]);
/// # Ok::<(), ovsdb::server::ServerError>(())
/// ```
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
pub struct Server {
    shared: Arc<Shared>,
    remote: Remote,
    tls: Option<Tls>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Server {
    fn new(shared: Shared, tls: Option<Tls>) -> Self {
        let names: Vec<_> = shared.hub().names().map(ToString::to_string).collect();
        Self::named(&names.join(","), shared, tls)
    }

    /// A server whose remote in this process has this name.
    fn named(name: &str, shared: Shared, tls: Option<Tls>) -> Self {
        let shared = Arc::new(shared);
        let weak = Arc::downgrade(&shared);
        let remote = MemoryRemote::new(name, move || {
            let shared = reached(&weak)?;
            let (client, server) = tokio::io::duplex(PIPE);
            tokio::spawn(serve(shared, server, Duration::ZERO));
            Ok(client)
        });
        Self {
            shared,
            remote: Remote::Memory(remote),
            tls,
        }
    }

    /// A builder of a server.
    pub const fn builder() -> ServerBuilder {
        ServerBuilder {
            sources: Vec::new(),
            limits: Limits::new(),
            quotas: Quotas::new(),
            probe_interval: PROBE_INTERVAL,
            tls: None,
        }
    }

    /// A server with an empty database with this schema, given as the text of a schema file.
    ///
    /// # Errors
    /// When the schema is broken, or its database is named `_Server`, like the server's own.
    pub fn memory(schema: impl Into<String>) -> Result<Self, ServerError> {
        Self::builder().memory(schema).start()
    }

    /// A cluster of this many servers that share an empty database with this schema; see
    /// [`Cluster::memory`].
    ///
    /// # Errors
    /// When the schema is broken, its database is named `_Server`, like the server's own, or there are no
    /// members.
    pub fn cluster(schema: impl Into<String>, members: usize) -> Result<Cluster, ServerError> {
        Cluster::memory(schema, members)
    }

    /// A server with the database in this file.
    ///
    /// # Errors
    /// When the file cannot be served, or its database is named `_Server`, like the server's own.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, ServerError> {
        Self::builder().file(path).start()
    }

    /// The remote for clients in this process, which needs no socket.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Listens on an address for as long as the server lives. Returns the remote for clients; if `remote`
    /// has port 0, with the port that the system chose.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ovsdb::server::{PassiveRemote, Server};
    ///
    /// let server = Server::memory(r#"{"name": "Inventory", "tables": {}}"#)?;
    /// let remote = server.listen(&"ptcp:0:127.0.0.1".parse()?).await?;
    /// assert!(remote.to_string().starts_with("tcp:127.0.0.1:"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the address cannot be listened on. For a `pssl:` remote also when the server was given no
    /// certificate, or the crate is built without the feature `tls`.
    pub async fn listen(&self, remote: &PassiveRemote) -> io::Result<Remote> {
        let shared = self.shared.clone();
        match remote {
            PassiveRemote::Unix { path } => {
                let socket = shared.keep(listen::bind_unix(path).await?);
                tokio::spawn(async move {
                    while let Some(stream) = accepted(&shared, || socket.accept()).await {
                        tokio::spawn(serve(shared.clone(), stream, Duration::ZERO));
                    }
                });
                Ok(Remote::unix(path))
            }
            PassiveRemote::Tcp { port, host } => {
                let (listener, port) = listen::bind_tcp(*host, *port).await?;
                let listener = shared.keep(listener);
                tokio::spawn(async move {
                    while let Some((stream, _)) = accepted(&shared, || listener.accept()).await {
                        // Replies are small, and clients wait for them, so do not delay them.
                        let _ = stream.set_nodelay(true);
                        tokio::spawn(serve(shared.clone(), stream, shared.settings().1));
                    }
                });
                Ok(Remote::tcp(host, port))
            }
            PassiveRemote::Ssl { port, host } => self.listen_tls(*host, *port).await,
        }
    }

    #[cfg(feature = "tls")]
    async fn listen_tls(&self, host: IpAddr, port: u16) -> io::Result<Remote> {
        let Some(tls) = self.tls.clone() else {
            let error =
                "a `pssl:` remote needs a certificate, and the server was given no TlsServerConfig";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        };
        let (listener, port) = listen::bind_tcp(host, port).await?;
        let shared = self.shared.clone();
        let listener = shared.keep(listener);
        tokio::spawn(async move {
            while let Some((stream, peer)) = accepted(&shared, || listener.accept()).await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve_tls(
                    shared.clone(),
                    stream,
                    peer.to_string(),
                    tls.clone(),
                ));
            }
        });
        Ok(Remote::ssl(host, port))
    }

    #[cfg(not(feature = "tls"))]
    async fn listen_tls(&self, _: IpAddr, _: u16) -> io::Result<Remote> {
        let error = "a `pssl:` remote needs TLS, which is the feature `tls` of the crate ovsdb";
        Err(io::Error::new(io::ErrorKind::Unsupported, error))
    }

    /// A server with the database in this file, as after a crash in which this many bytes of a record
    /// were written.
    ///
    /// # Errors
    /// When the file cannot be read as a database.
    #[cfg(simulation)]
    pub fn simulated_on(
        file: &simulated::MemoryFile,
        torn: usize,
    ) -> Result<Self, FileErrorReason> {
        let database = file.open(torn, fastrand::u64(..))?;
        let mut hub = Hub::new(Quotas::new(), fastrand::u64(..));
        hub.add(database, Some(Box::new(file.clone())), now());
        let shared = Shared::new(hub, BTreeMap::new(), Limits::new(), PROBE_INTERVAL);
        Ok(Self::new(shared, None))
    }

    /// The remote for clients in this process with TLS, configured by `tls` at each connection.
    #[cfg(all(simulation, feature = "tls"))]
    #[must_use]
    pub fn simulated_tls_remote(
        &self,
        tls: impl Fn() -> io::Result<TlsServerConfig> + Send + Sync + 'static,
    ) -> MemoryRemote {
        let server = Arc::downgrade(&self.shared);
        MemoryRemote::new("tls", move || {
            let shared = reached(&server)?;
            let (client, server) = tokio::io::duplex(PIPE);
            let peer = "a client".to_owned();
            tokio::spawn(serve_tls(shared, server, peer, tls()?));
            Ok(client)
        })
    }

    /// Another server with the same databases, in memory only. It shares the rows until one of the
    /// servers changes them, so forking costs the same for any number of rows. Tests fork a server that
    /// was filled once.
    pub fn fork(&self) -> Self {
        let own = self.shared.hub();
        let mut hub = Hub::new(own.quotas(), fastrand::u64(..));
        for name in own.names() {
            if let Some(database) = own.database(name) {
                hub.add(database.fork(fastrand::u64(..)), None, now());
            }
        }
        let (limits, interval) = self.shared.settings();
        Self::new(
            Shared::new(hub, BTreeMap::new(), limits, interval),
            self.tls.clone(),
        )
    }

    /// The names of the databases, without the server's own `_Server`.
    #[must_use]
    pub fn databases(&self) -> Vec<String> {
        self.shared.hub().names().map(ToString::to_string).collect()
    }

    /// Ends the server: disconnects its clients, then waits until every commit is on disk. When a
    /// server is only dropped, its commits are in the files, but the system may not have written them
    /// to disk yet.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ovsdb::server::Server;
    ///
    /// let server = Server::memory(r#"{"name": "Inventory", "tables": {}}"#)?;
    /// server.close().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When a file cannot be written to disk; the error names the database.
    pub async fn close(self) -> io::Result<()> {
        self.shared.stop();
        for storage in self.shared.storages() {
            storage.flush().await.map_err(|error| {
                io::Error::new(error.kind(), format!("database {}: {error}", storage.name))
            })?;
        }
        Ok(())
    }

    /// Injects faults into the server, for tests.
    #[must_use]
    pub const fn faults(&self) -> Faults<'_> {
        Faults {
            shared: &self.shared,
        }
    }

    /// The last transactions that changed something in a database, oldest first, for assertions in
    /// tests: the last 100, and more as long as they changed at most 10,000 rows in total. The list is
    /// empty when a database is opened or forked. It is emptied by a conversion,
    /// [`Faults::forget_history`] and [`Cluster::restore`], and when a member of a [`Cluster`] lags by more
    /// than 10,000 transactions and gets the whole database.
    #[must_use]
    pub fn transactions<D: crate::model::Database>(&self) -> Vec<Committed<D>> {
        let hub = self.shared.hub();
        let Some(database) = hub.database(D::NAME) else {
            return Vec::new();
        };
        let committed = hub.commits(D::NAME).into_iter().map(|commit| Committed {
            commit,
            schema: database.schema().clone(),
            database: std::marker::PhantomData,
        });
        committed.collect()
    }

    /// Stops serving a database. Returns false when there is none with this name, or it is the server's
    /// own. As after a conversion, clients that are aware of database changes are notified that its
    /// monitors are cancelled, and all other clients are disconnected. A client that waits until a durable
    /// transaction is on disk is disconnected in any case.
    pub fn remove(&self, database: &str) -> bool {
        let removed = self.shared.with_hub(|hub| hub.remove(database, now()));
        if removed && let Some(storage) = self.shared.storage(database) {
            storage.close();
        }
        removed
    }

    /// Converts a database to another schema, as a client's `convert` request does.
    ///
    /// # Errors
    /// When there is no such database, or it is the server's own, or [relayed](Self::relay): a relay takes its
    /// schema from the source; the schema is broken, or does not have this database's name; the rows
    /// do not fit it; the file cannot be written, or cannot keep an ephemeral reference; or a member of a
    /// [`Cluster`] has no majority, or has not applied every committed transaction and every election of a
    /// leader. Then nothing has changed. It is no error when only the folder cannot be synced after the file
    /// was replaced: the database is converted, but accepts no more changes.
    pub fn convert(&self, database: &str, schema: &str) -> Result<(), OvsdbError> {
        self.shared
            .with_hub(|hub| hub.convert_now(database, schema, now()))
    }

    /// Rewrites a database's file without overwritten values. The server also does this by itself, when
    /// a file has more than doubled in size since it was opened, converted or last compacted, is above
    /// 10 MiB and has at least 100 transactions. For a database that is in memory or not served, this
    /// does nothing.
    ///
    /// # Errors
    /// When the new file cannot be written: the old one stays in use. When the folder cannot be synced
    /// after the replacement: the new file is in use, but the database accepts no more changes. When the
    /// database accepts no more changes already, because an earlier write or sync has failed.
    pub async fn compact(&self, database: &str) -> io::Result<()> {
        match self.shared.storage(database) {
            Some(storage) => storage.compact(&self.shared).await,
            None => Ok(()),
        }
    }
}

/// The default of [`ServerBuilder::probe_interval`].
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// The size of the buffer of a connection within the process.
const PIPE: usize = if cfg!(simulation) { 4 } else { 256 } * 1024;

/// How long a listener pauses after accepting a connection failed, for lack of file descriptors for
/// instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The server at the other end of a connection within the process; an error if it has ended or refuses
/// connections.
fn reached(server: &Weak<Shared>) -> io::Result<Arc<Shared>> {
    let refused = |reason| io::Error::new(io::ErrorKind::ConnectionRefused, reason);
    let ended = || refused("the server has ended");
    let shared = server.upgrade().ok_or_else(ended)?;
    if shared.is_stopped() {
        return Err(ended());
    }
    if shared.refuses_connections() {
        return Err(refused(
            "the server refuses connections, by an injected fault",
        ));
    }
    Ok(shared)
}

/// The next connection; `None` when the server stops.
async fn accepted<C, F>(shared: &Shared, mut accept: impl FnMut() -> F) -> Option<C>
where
    F: Future<Output = io::Result<C>>,
{
    loop {
        let accepted = tokio::select! {
            () = shared.stopped() => return None,
            accepted = accept() => accepted,
        };
        match accepted {
            Ok(connection) => return Some(connection),
            Err(error) => {
                let error = ErrorChain::new(&error);
                tracing::warn!(%error, "a connection cannot be accepted");
            }
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// The time allowed for the TLS handshake.
#[cfg(feature = "tls")]
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves one connection with TLS until it ends.
#[cfg(feature = "tls")]
async fn serve_tls<S>(shared: Arc<Shared>, stream: S, peer: String, tls: TlsServerConfig)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let handshake = tokio::time::timeout(HANDSHAKE, tls.accept(stream, peer.clone()));
    let accepted = tokio::select! {
        () = shared.stopped() => return,
        accepted = handshake => accepted,
    };
    match accepted {
        Ok(Ok(stream)) => {
            let (_, interval) = shared.settings();
            serve(shared, stream, interval).await;
        }
        Ok(Err((error, stream))) => {
            let chain = ErrorChain::new(&error).to_string();
            tracing::info!(
                peer,
                error = chain,
                "the TLS handshake with a client failed"
            );
            driver::close(&shared, stream).await;
        }
        Err(_) => tracing::info!(peer, "a client did not finish the TLS handshake in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_has_ended_is_not_reached_while_a_task_still_holds_it() {
        let server = Server::memory(r#"{"name":"D","tables":{}}"#).expect("a server");
        let held = server.shared.clone();
        let weak = Arc::downgrade(&held);
        assert!(reached(&weak).is_ok());
        drop(server);
        let error = reached(&weak).expect_err("it has ended");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), "the server has ended");
    }
}
