//! The node side: the Open_vSwitch database of one node, as CNI plug-ins and the node's setup write it.
//!
//! Every operation that writes says what the database must contain. It compares that with a replica,
//! writes the differences in one transaction, and compares again, until there are none. So operations
//! are idempotent, and when two run at the same time, the slower one adapts to what the faster one
//! wrote. If a server restarts meanwhile, the operation waits for it, up to the client's request timeout.

mod attach;
mod bandwidth;
mod bridges;
mod error;
mod mappings;
mod setup;

use std::time::Duration;

use ovsdb::vswitch::{Bridge, Database, Interface, OpenVSwitch, Port, QoS};
use ovsdb::{Cache, Client, Map, Row, Snapshot, Str, Transaction, WaitError};

use crate::connection::Connection;

pub use self::attach::{Attachment, interface_name};
pub use self::bandwidth::{BadRate, Bandwidth, Rate};
pub use self::error::NodeError;
pub use self::mappings::{BadMapping, BridgeMappings, Mapping};
pub use self::setup::Setup;

/// The external id that names the sandbox of a pod.
const SANDBOX: &str = "sandbox";
/// How often an operation compares before it reports that another client keeps changing the rows.
const ATTEMPTS: u32 = 10;

/// Whether an operation had to write something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The database was already as requested.
    Unchanged,
    /// Something was written.
    Changed,
}

/// A node's Open_vSwitch database.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use ovsdb::{server::Server, vswitch::{OpenVSwitch, Transaction}};
/// # let server = Server::memory(ovsdb::schema::bundled("Open_vSwitch").expect("a schema"))?;
/// # let mut row = Transaction::detached();
/// # row.insert(OpenVSwitch::default());
/// # row.commit_on(&server)?;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("db.sock");
/// # server.listen(&ovsdb::server::PassiveRemote::Unix { path: path.clone() }).await?;
/// use multihoming::node::Node;
///
/// let remote = "unix:/var/run/openvswitch/db.sock";
/// # let remote = format!("unix:{}", path.display());
/// let node = Node::connect(remote).await?;
/// node.uplink("br-out", "ens3f1", None).await?;
/// node.set_bridge_mapping(&"localnet.network_br-localnet:br-out".parse()?).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Node {
    client: Client<Database>,
    cache: Cache<Database>,
}

impl Node {
    /// Connects to the node's ovsdb-server and replicates the tables that matter here.
    ///
    /// # Errors
    /// When a remote is malformed or none is given, an `ssl:` remote has no TLS configuration, no remote
    /// can be used (for instance because no server has the database), or the replica cannot be started:
    /// see [`CacheBuilder::start`](ovsdb::CacheBuilder::start).
    pub async fn connect(connection: impl Into<Connection>) -> Result<Self, NodeError> {
        let client = connection.into().client().connect().await?;
        let cache = client
            .cache()
            .table::<OpenVSwitch>()
            .table::<Bridge>()
            .table::<Port>()
            .table::<Interface>()
            .table::<QoS>()
            .index_references_to::<Port>()
            .start()
            .await?;
        Ok(Self { client, cache })
    }

    /// Calls `write` to put into a transaction what must change, and commits it, until nothing must change.
    async fn converge(
        &self,
        write: impl Fn(&View, &mut Transaction<Database>) -> Result<(), NodeError>,
    ) -> Result<Effect, NodeError> {
        let mut effect = Effect::Unchanged;
        for _ in 0..ATTEMPTS {
            let applied = self.client.apply(&self.cache, |view, transaction| {
                write(&View(view.clone()), transaction)?;
                Ok::<_, NodeError>(transaction.is_empty())
            });
            if applied.await?.0 {
                return Ok(effect);
            }
            effect = Effect::Changed;
        }
        Err(NodeError::Contended)
    }

    /// Waits until `look` returns something; returns `None` if it does not in time.
    async fn wait_for<R>(
        &self,
        limit: Duration,
        look: impl Fn(&View) -> Result<Option<R>, NodeError>,
    ) -> Result<Option<R>, NodeError> {
        let look = |view: &Snapshot<Database>| look(&View(view.clone())).transpose();
        match self.cache.wait_until(limit, look).await {
            Ok(found) => found.map(Some),
            Err(WaitError::TimedOut { .. }) => Ok(None),
            Err(_) => Err(NodeError::Closed),
        }
    }

    /// Waits until the switch has opened an interface. Returns its OpenFlow port number.
    ///
    /// # Errors
    /// [`NodeError::Switch`] when the switch reports that it cannot, [`NodeError::Timeout`] when it
    /// reports nothing in time, [`NodeError::Gone`] when the interface does not exist or is removed, and
    /// [`NodeError::Closed`] when the client is closed.
    pub async fn opened(&self, interface: &str, limit: Duration) -> Result<i64, NodeError> {
        let opened = self.wait_for(limit, |view| {
            let row = view.interface(interface).ok_or_else(|| NodeError::Gone {
                interface: interface.to_owned(),
            })?;
            switch_error(row)?;
            Ok(row.ofport)
        });
        opened.await?.ok_or_else(|| NodeError::Timeout {
            interface: interface.to_owned(),
            awaited: "the switch to open it",
        })
    }
}

/// Returns the error that the switch reports for an interface.
fn switch_error(interface: &Interface) -> Result<(), NodeError> {
    match &interface.error {
        None => Ok(()),
        Some(error) => Err(NodeError::Switch {
            interface: interface.name.to_string(),
            error: error.to_string(),
        }),
    }
}

/// A view of the replica, with the queries that several operations need.
struct View(Snapshot<Database>);

impl View {
    /// The one row of the table Open_vSwitch.
    fn root(&self) -> Result<&Row<OpenVSwitch>, NodeError> {
        let mut rows = self.0.rows::<OpenVSwitch>();
        rows.next().ok_or(NodeError::NotSetUp)
    }

    fn bridge(&self, name: &str) -> Option<&Row<Bridge>> {
        self.0.get_by(Bridge::NAME, name)
    }

    fn port(&self, name: &str) -> Option<&Row<Port>> {
        self.0.get_by(Port::NAME, name)
    }

    fn interface(&self, name: &str) -> Option<&Row<Interface>> {
        self.0.get_by(Interface::NAME, name)
    }

    /// The ports of a bridge.
    fn ports<'a>(&'a self, bridge: &'a Bridge) -> impl Iterator<Item = &'a Row<Port>> {
        self.0.get_all(&bridge.ports)
    }

    /// The bridge with this port.
    fn bridge_of(&self, port: &Row<Port>) -> Option<&Row<Bridge>> {
        self.0.referrers(port).next()
    }
}

/// Sets these keys of a map; `None` removes the key.
fn put<'a>(map: &mut Map<Str, Str>, wanted: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) {
    for (key, value) in wanted {
        match value {
            Some(value) => drop(map.insert(key, value)),
            None => drop(map.remove(key)),
        }
    }
}
