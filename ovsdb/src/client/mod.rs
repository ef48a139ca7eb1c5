//! The handles: the client, the caches and locks made from it, and their builders.
//!
//! A handle sends requests to its [`Session`], and reads what the session and the replica share with
//! it. It decides nothing about the connection.

mod any;
#[cfg(any(feature = "nb", feature = "vswitch"))]
mod attached;
mod builder;
mod cache;
mod databases;
mod lock;
mod wait;
mod watched;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ovsdb_schema::DatabaseSchema;

use crate::cache::Basis;
use crate::error::Error;
use crate::model::{Column, Database, Mutability, RowIdentity, Table};
use crate::protocol::{Json, Operation, Request, Wire};
use crate::session::{CallError, ConnectionState, Session};
use crate::stats::{Counters, Stats};
use crate::transport::{IntoRemotes, Remote, RemoteError, RemoteErrorReason};
use crate::value::{Str, Uuid, Value};

pub use self::builder::ClientBuilder;
pub use self::cache::{Cache, CacheBuilder};
pub use self::databases::DatabaseInfo;
pub use self::lock::Lock;
pub use self::wait::WaitError;
pub use self::watched::Watched;

#[derive(Debug)]
struct Inner {
    database: Str,
    session: Session,
    identity: RowIdentity,
    request_timeout: Option<Duration>,
    author: Option<Str>,
    /// State that other modules, such as `progress`, keep for each client; shared by all clones.
    #[cfg(any(feature = "nb", feature = "vswitch"))]
    attached: attached::Attached,
}

/// A client of one database. Clones share the connection, which ends when all clones, and all caches,
/// streams and locks made from them, are dropped.
///
/// When the connection is lost, the client connects again, to the same server or to the next remote.
/// Caches are brought up to date, locks are requested again, and requests made meanwhile wait. Requests
/// that were sent but not answered end with an error that says so.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ovsdb::cache::Index;
/// use ovsdb::nb;
/// use ovsdb::server::Server;
///
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let server = Server::memory(schema)?;
/// let client = nb::Client::builder().server(&server).connect().await?;
/// // The schema has no index over the names of switches.
/// let by_name = Index::column(nb::LogicalSwitch::NAME);
/// let cache = client.cache().index(&by_name).start().await?;
///
/// let mut txn = client.transaction();
/// txn.insert(nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// txn.commit().await?;
/// assert!(cache.snapshot().get_by(&by_name, "sw0").is_some());
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
pub struct Client<D> {
    inner: Arc<Inner>,
    database: PhantomData<fn() -> D>,
}

impl<D> Clone for Client<D> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            database: PhantomData,
        }
    }
}

impl<D: Database> fmt::Debug for Client<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("database", &self.server_schema().name)
            .field("state", &*self.session().shared().state.borrow())
            .finish_non_exhaustive()
    }
}

impl<D: Database> Client<D> {
    /// A builder of a client.
    pub fn builder() -> ClientBuilder<D> {
        ClientBuilder::new()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.inner.session
    }

    /// The name of the database on the server.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.inner.database
    }

    /// The state of this type that another module keeps for this client, shared by all clones as long
    /// as it is in use.
    #[cfg(any(feature = "nb", feature = "vswitch"))]
    pub(crate) fn attached<S: Default + Send + Sync + 'static>(&self) -> Arc<S> {
        self.inner.attached.get()
    }

    pub(crate) fn row_identity(&self) -> RowIdentity {
        self.inner.identity
    }

    /// A builder of a replica, which selects its tables and rows.
    ///
    /// Each replica has its own monitor. Replicas may be started at any time, and end with their last
    /// handle, without affecting the others. Snapshots are consistent only within one replica: at the
    /// same moment, two replicas may show different transactions.
    pub fn cache(&self) -> CacheBuilder<D> {
        CacheBuilder::new(self.clone())
    }

    /// The database's schema on the server; without a connection, on the last server.
    #[must_use]
    pub fn server_schema(&self) -> Arc<DatabaseSchema> {
        self.session().shared().schema.load_full()
    }

    /// Whether the server is a relay of the database.
    pub(crate) fn is_relay(&self) -> bool {
        self.session().shared().is_relay.load(Ordering::Relaxed)
    }

    /// The state of the connection, as a value to read and to wait for.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let other = client.clone();
    /// # tokio::spawn(async move { other.close().await });
    /// let mut state = client.state();
    /// while let Ok(state) = state.changed().await {
    ///     println!("{state}");
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    #[must_use]
    pub fn state(&self) -> Watched<ConnectionState> {
        Watched::new(self.session().shared().state.subscribe(), |state| {
            state.end().cloned()
        })
    }

    /// Counters of what the client has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.session().stats()
    }

    /// Changes the remotes, in any form that [the builder](ClientBuilder::remotes) takes. If the client
    /// is connected to a remote that is not among the new ones, it disconnects and tries the new ones.
    ///
    /// # Errors
    /// When a remote is malformed, or none is given; nothing changes then.
    pub fn set_remotes(&self, remotes: impl IntoRemotes) -> Result<(), Error> {
        let remotes = at_least_one(remotes.into_remotes())?;
        self.session().set_remotes(remotes);
        Ok(())
    }

    /// Closes the connection, if there is one, and tries the remotes again at once, without backoff.
    pub fn reconnect(&self) {
        self.session().reconnect();
    }

    /// Whether the server's schema has the column, with a type whose values the compiled type can hold.
    #[must_use]
    pub fn has_column<T: Table<Database = D>, V: Value, M: Mutability>(
        &self,
        column: Column<T, V, M>,
    ) -> bool {
        let schema = self.session().shared().schema.load();
        schema
            .tables
            .get(T::TABLE)
            .and_then(|table| table.columns.get(column.name()))
            .is_some_and(|server| V::KIND.accepts(&server.kind))
    }

    async fn call<T: Wire>(&self, request: &Request) -> Result<T, Error> {
        Ok(T::from_json(
            &self.call_raw(request, self.inner.request_timeout).await?,
        )?)
    }

    /// Sends a request whose reply has no content.
    async fn call_without_content(&self, request: &Request) -> Result<(), Error> {
        self.call::<Json>(request).await.map(drop)
    }

    /// The names of the server's databases (RFC 7047 section 4.1.1).
    ///
    /// # Errors
    /// When the server refuses, its reply is malformed, or no reply came: [`Error::Disconnected`] says why.
    pub async fn list_dbs(&self) -> Result<Vec<Str>, Error> {
        self.call(&Request::ListDbs).await
    }

    /// The schema of any database of the server (RFC 7047 section 4.1.2).
    ///
    /// # Errors
    /// When the name has a NUL, the server does not have the database, its schema is malformed, or no reply
    /// came.
    pub async fn get_schema(&self, database: &str) -> Result<DatabaseSchema, Error> {
        let request = Request::GetSchema {
            database: database.into(),
        };
        let schema = self.call_raw(&request, self.inner.request_timeout).await?;
        DatabaseSchema::parse_lenient(&schema).map_err(|error| Error::Schema(Arc::new(error)))
    }

    /// The server's own id (ovsdb-server(7), "Get Server ID").
    ///
    /// # Errors
    /// When the server does not know the request, its reply is malformed, or no reply came.
    pub async fn get_server_id(&self) -> Result<Uuid, Error> {
        self.call(&Request::GetServerId).await
    }

    /// Makes the server echo `params`, a JSON array (RFC 7047 section 4.1.11).
    ///
    /// # Errors
    /// When `params` is not an array, is nested deeper than servers accept, or has a number that servers
    /// cannot store; when the server refuses, its reply is malformed, or no reply came.
    pub async fn echo(&self, params: Json) -> Result<Json, Error> {
        self.call(&Request::Echo { params }).await
    }

    /// Requests a lock, and resolves with the server's first answer: this client holds the lock, or
    /// waits until another one releases it (RFC 7047 section 4.1.8). The lock is requested again on
    /// every later connection, until the handle is dropped.
    ///
    /// # Clusters
    /// A lock lives in the memory of one server; the members of a cluster do not share it. Two clients
    /// on two members can both hold the same lock, and [`assert_lock`](crate::Transaction::assert_lock)
    /// passes for both. Every client that relies on a lock must therefore use the leader, by
    /// [`leader_only(true)`](ClientBuilder::leader_only); without it, a warning is logged. Even then,
    /// the lock excludes other clients only as far as all agree on the leader: around a change of
    /// leadership, the old holder may finish a transaction that it has sent. Let transactions guard
    /// what they rely on, by [`wait`](crate::Transaction::wait) or
    /// [`verify`](crate::Transaction::verify).
    ///
    /// # Errors
    /// When the server refuses or its reply is malformed, the client is closed or loses its runtime, or the
    /// name has a NUL. When there is no answer within the [request timeout](ClientBuilder::request_timeout),
    /// which includes the wait for a connection: the error says why there is no connection, if there is
    /// none, and a lock that is granted later is released.
    pub async fn lock(&self, name: impl Into<Str>) -> Result<Lock, Error> {
        let (session, limit) = (self.session().clone(), self.request_timeout());
        Lock::acquire(session, name.into(), false, limit).await
    }

    /// Takes a lock from the client that holds it (RFC 7047 section 4.1.8). Without a connection, or if
    /// the connection is lost before the server has answered, the lock is stolen on the next one. Once the
    /// server has answered, the lock is requested on later connections, not stolen. If another client
    /// steals the lock in turn, servers do not queue this client for it: the handle gets it back only by
    /// another steal, or on a later connection.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub async fn steal(&self, name: impl Into<Str>) -> Result<Lock, Error> {
        let (session, limit) = (self.session().clone(), self.request_timeout());
        Lock::acquire(session, name.into(), true, limit).await
    }

    /// Converts the database to a new schema (ovsdb-server(7), "Schema Conversion"). Resolves when this
    /// client uses the new schema, and each of its caches follows the converted database or
    /// [cannot](Cache::monitor_error); earlier if the time limit passes or the connection is lost after the
    /// server's reply.
    ///
    /// # Errors
    /// When the schema is nested deeper than servers accept, or has a number that servers cannot store.
    /// When the server refuses, for instance because the schema is malformed or the data do not fit it.
    /// When no reply came, or a malformed one, the database may or may not have been converted.
    pub async fn convert(&self, schema: Json) -> Result<(), Error> {
        self.call_without_content(&Request::Convert {
            database: self.inner.database.clone(),
            schema,
        })
        .await
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.session().shared().counters
    }

    /// The author of the transactions.
    pub(crate) fn author(&self) -> Option<&Str> {
        self.inner.author.as_ref()
    }

    pub(crate) fn request_timeout(&self) -> Option<Duration> {
        self.inner.request_timeout
    }

    pub(crate) async fn call_raw(
        &self,
        request: &Request,
        limit: Option<Duration>,
    ) -> Result<String, CallError> {
        self.session().call(request, limit).await
    }

    /// Sends a transaction of these operations.
    pub(crate) async fn transact(
        &self,
        operations: &[Operation],
        basis: Option<Basis>,
        limit: Option<Duration>,
    ) -> Result<String, CallError> {
        let mut params = String::new();
        Request::write_transact(&mut params, &self.inner.database, operations)
            .map_err(CallError::Invalid)?;
        let session = self.session();
        session.call_text("transact", params, basis, limit).await
    }

    /// Ends the client. Earlier calls are still sent and answered, later ones are refused. Without a
    /// connection it ends at once. Caches stay readable, in their last state.
    pub async fn close(self) {
        self.session().close().await;
    }
}

/// The remotes, or an error if there are none.
fn at_least_one(remotes: Result<Vec<Remote>, RemoteError>) -> Result<Vec<Remote>, RemoteError> {
    match remotes {
        Ok(remotes) if remotes.is_empty() => Err(RemoteError {
            remote: String::new(),
            reason: RemoteErrorReason::Empty,
        }),
        remotes => remotes,
    }
}
