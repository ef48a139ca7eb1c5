//! The client: the handle that everything starts from.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use ovsdb_schema::DatabaseSchema;

use crate::cache::CacheBuilder;
use crate::error::Error;
use crate::model::{Column, Database, Table};
use crate::protocol::{Json, Limits, LockReply, Request, Wire};
use crate::session::{CallError, Session};
use crate::transaction::{RowIdentity, Transaction};
use crate::transport::{self, Remote, RemoteError, RemoteErrorReason, TlsConfig, parse_remotes};
use crate::value::{Str, Uuid, Value};

/// How long a connection may take to be made, unless said otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Says where and how to connect; [`Client::builder`] makes one.
#[derive(Debug, Clone)]
#[must_use = "a client connects with `connect`"]
pub struct ClientBuilder<D> {
    remotes: String,
    limits: Limits,
    connect_timeout: Duration,
    identity: RowIdentity,
    tls: Option<TlsConfig>,
    database: PhantomData<fn() -> D>,
}

impl<D: Database> ClientBuilder<D> {
    /// Where the server listens: remotes as in ovsdb(7), separated by commas and tried in order.
    pub fn remotes(mut self, remotes: impl Into<String>) -> Self {
        self.remotes = remotes.into();
        self
    }

    /// How `ssl:` remotes are reached.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// What the server may ask of our memory; 1 GiB a message unless said otherwise.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long each remote may take to answer; 10 seconds unless said otherwise.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How transactions name the rows they insert; by a uuid of their own unless said otherwise.
    pub const fn row_identity(mut self, identity: RowIdentity) -> Self {
        self.identity = identity;
        self
    }

    /// Connects to the first remote that answers, and reads the database's schema.
    ///
    /// # Errors
    /// When a remote is malformed, none answers, or the server does not have the database. The
    /// error is the last remote's.
    pub async fn connect(self) -> Result<Client<D>, Error> {
        let remotes = parse_remotes(&self.remotes)?;
        let mut last = Error::Remote(RemoteError {
            remote: self.remotes.clone(),
            reason: RemoteErrorReason::Empty,
        });
        for remote in remotes {
            match self.connect_to(&remote).await {
                Ok(client) => return Ok(client),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_to(&self, remote: &Remote) -> Result<Client<D>, Error> {
        let attempt = async {
            let (read, write) = transport::connect(remote, self.tls.as_ref())
                .await
                .map_err(|source| Error::Connect {
                    remote: remote.clone(),
                    source: Arc::new(source),
                })?;
            let session = Session::spawn(read, write, self.limits, D::NAME);
            let schema = get_schema(&session, D::NAME).await?;
            Ok(Client {
                inner: Arc::new(Inner {
                    session,
                    schema: Arc::new(schema),
                    identity: self.identity,
                }),
                database: PhantomData,
            })
        };
        match tokio::time::timeout(self.connect_timeout, attempt).await {
            Ok(connected) => connected,
            Err(_) => Err(Error::ConnectTimeout {
                remote: remote.clone(),
            }),
        }
    }
}

async fn get_schema(session: &Session, database: &str) -> Result<DatabaseSchema, Error> {
    let schema = session
        .call(&Request::GetSchema {
            database: database.into(),
        })
        .await?;
    DatabaseSchema::parse_lenient(&schema).map_err(|error| Error::Schema(Arc::new(error)))
}

#[derive(Debug)]
struct Inner {
    session: Session,
    schema: Arc<DatabaseSchema>,
    identity: RowIdentity,
}

/// A client of one database on one server. Clones share the connection, which ends with the last
/// of them, and of the caches made from them.
///
/// ```no_run
/// # #[cfg(feature = "nb")] async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ovsdb::{Client, nb};
///
/// let client = Client::<nb::Database>::builder()
///     .remotes("unix:/var/run/ovn/ovnnb_db.sock")
///     .connect()
///     .await?;
/// let cache = client.cache().table::<nb::LogicalSwitch>().start().await?;
///
/// let mut txn = client.transaction();
/// txn.insert(nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// txn.commit().await?;
/// assert!(cache.snapshot().rows::<nb::LogicalSwitch>().any(|switch| switch.name == "sw0"));
/// # Ok(()) }
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

impl<D> fmt::Debug for Client<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("database", &self.inner.schema.name)
            .finish_non_exhaustive()
    }
}

impl<D: Database> Client<D> {
    /// Starts to describe a client.
    pub fn builder() -> ClientBuilder<D> {
        ClientBuilder {
            remotes: String::new(),
            limits: Limits::default(),
            connect_timeout: CONNECT_TIMEOUT,
            identity: RowIdentity::default(),
            tls: None,
            database: PhantomData,
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.inner.session
    }

    pub(crate) fn row_identity(&self) -> RowIdentity {
        self.inner.identity
    }

    /// Starts to describe a replica: which tables and rows it has.
    pub fn cache(&self) -> CacheBuilder<D> {
        CacheBuilder::new(self.clone())
    }

    /// A new, empty transaction.
    pub fn transaction(&self) -> Transaction<D> {
        Transaction::new(self.clone())
    }

    /// The database's schema as this server has it.
    #[must_use]
    pub fn server_schema(&self) -> Arc<DatabaseSchema> {
        self.inner.schema.clone()
    }

    /// Whether this server's schema has the column, in a form that its type can hold.
    #[must_use]
    pub fn has_column<T: Table<Database = D>, V: Value>(&self, column: Column<T, V>) -> bool {
        let table = self.inner.schema.tables.get(T::TABLE);
        table
            .and_then(|table| table.columns.get(column.name()))
            .is_some_and(|server| V::KIND.accepts(&server.kind))
    }

    async fn call<T: Wire>(&self, request: &Request) -> Result<T, Error> {
        Ok(T::from_json(&self.inner.session.call(request).await?)?)
    }

    /// A request whose answer says nothing but that it was done.
    async fn order(&self, request: &Request) -> Result<(), Error> {
        self.call::<Json>(request).await.map(drop)
    }

    /// The names of the server's databases (RFC 7047 section 4.1.1).
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn list_dbs(&self) -> Result<Vec<Str>, Error> {
        self.call(&Request::ListDbs).await
    }

    /// The schema of any database of the server (RFC 7047 section 4.1.2).
    ///
    /// # Errors
    /// When the server does not have the database, or its schema is malformed.
    pub async fn get_schema(&self, database: &str) -> Result<DatabaseSchema, Error> {
        get_schema(&self.inner.session, database).await
    }

    /// The server's own id (ovsdb-server(7), "Get Server ID").
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn get_server_id(&self) -> Result<Uuid, Error> {
        self.call(&Request::GetServerId).await
    }

    /// Has the server echo `params`, a JSON array (RFC 7047 section 4.1.11).
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn echo(&self, params: Json) -> Result<Json, Error> {
        self.call(&Request::Echo { params }).await
    }

    /// Asks for a lock; true when it is ours at once (RFC 7047 section 4.1.8).
    ///
    /// # Errors
    /// When the client has asked for it before.
    pub async fn lock(&self, name: &str) -> Result<bool, Error> {
        self.call(&Request::Lock { name: name.into() })
            .await
            .map(|lock: LockReply| lock.locked)
    }

    /// Takes a lock from whoever has it (RFC 7047 section 4.1.8).
    ///
    /// # Errors
    /// When the client has asked for it before.
    pub async fn steal(&self, name: &str) -> Result<bool, Error> {
        self.call(&Request::Steal { name: name.into() })
            .await
            .map(|lock: LockReply| lock.locked)
    }

    /// Gives a lock back, or stops waiting for it (RFC 7047 section 4.1.8).
    ///
    /// # Errors
    /// When the client has not asked for it.
    pub async fn unlock(&self, name: &str) -> Result<(), Error> {
        self.order(&Request::Unlock { name: name.into() }).await
    }

    /// Says whether the client wants to hear of changed schemas instead of being disconnected
    /// (ovsdb-server(7), "Database Change Awareness").
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn set_db_change_aware(&self, aware: bool) -> Result<(), Error> {
        self.order(&Request::SetDbChangeAware { aware }).await
    }

    /// Converts the database to a new schema (ovsdb-server(7), "Schema Conversion").
    ///
    /// # Errors
    /// When the schema is malformed, or the data do not fit it.
    pub async fn convert(&self, schema: Json) -> Result<(), Error> {
        self.order(&Request::Convert {
            database: D::NAME.into(),
            schema,
        })
        .await
    }

    pub(crate) async fn call_raw(&self, request: &Request) -> Result<String, CallError> {
        self.inner.session.call(request).await
    }

    /// Ends the connection, once what was asked for before is sent. Whatever still waits for an
    /// answer then hears of the end.
    pub async fn close(self) {
        self.inner.session.close().await;
    }
}
