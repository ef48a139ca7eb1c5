//! The northbound database: connecting to it, and reading what was granted on its networks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use ovsdb::cache::Index;
use ovsdb::nb::{self, Acl, LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort};
use ovsdb::server::Server;
use ovsdb::{Error, Map, Row, Str};

use crate::assign::Known;
use crate::connection::Connection;
use crate::grant::Grant;
use crate::ids;
use crate::names::{NetworkNames, controller};
use crate::policy::owner;

/// A view of the northbound database.
pub type View = nb::Snapshot;

/// Indexes by values that the schema does not keep unique.
#[derive(Debug, Clone)]
pub struct Names {
    /// Finds switches by their names.
    pub switches: Index<LogicalSwitch, Str>,
    /// Finds routers by their names.
    pub routers: Index<LogicalRouter, Str>,
    /// Finds ACLs by the ids of their owner.
    pub acls: Index<Acl, Str>,
}

/// The northbound database, and a replica of the tables that matter.
#[derive(Debug, Clone)]
pub struct Northbound {
    /// The client.
    pub client: nb::Client,
    /// The replica.
    pub cache: nb::Cache,
    /// The indexes of the replica.
    pub names: Names,
    /// The lock that every transaction asserts, if any.
    pub lock: Option<Str>,
    /// The server, if it is in this process; it ends when its last user drops it.
    server: Option<Arc<Server>>,
}

impl Northbound {
    /// Connects, and waits until the replica is complete.
    ///
    /// # Errors
    /// When a remote is malformed or none is given, an `ssl:` remote has no TLS configuration, no remote can
    /// be used (for instance because no server has a northbound database), or the replica cannot be
    /// started: see [`CacheBuilder::start`](ovsdb::CacheBuilder::start).
    pub async fn connect(connection: impl Into<Connection>) -> Result<Self, Error> {
        let connection = connection.into();
        let server = connection.server().cloned();
        Self::start(connection.client().connect().await?, server).await
    }

    /// Like [`connect`](Self::connect), but waits if no server can be used yet.
    ///
    /// # Errors
    /// When a remote is malformed or none is given, an `ssl:` remote has no TLS configuration, or the replica
    /// cannot be started: see [`CacheBuilder::start`](ovsdb::CacheBuilder::start).
    pub async fn connect_waiting(connection: impl Into<Connection>) -> Result<Self, Error> {
        let connection = connection.into();
        let server = connection.server().cloned();
        let builder = connection.client().wait_for_server(true);
        Self::start(builder.connect().await?, server).await
    }

    async fn start(client: nb::Client, server: Option<Arc<Server>>) -> Result<Self, Error> {
        let names = Names {
            switches: Index::column(LogicalSwitch::NAME),
            routers: Index::column(LogicalRouter::NAME),
            acls: Index::function(|acl: &Acl| acl.external_ids.get(owner::ID).cloned()),
        };
        let cache = client
            .cache()
            .table::<LogicalSwitch>()
            .table::<LogicalSwitchPort>()
            .table::<LogicalRouter>()
            .table::<LogicalRouterPort>()
            .table::<nb::GatewayChassis>()
            .table::<nb::Copp>()
            .table::<nb::Meter>()
            .table::<nb::MeterBand>()
            .table::<nb::PortGroup>()
            .table::<nb::AddressSet>()
            .table::<Acl>()
            .index(&names.switches)
            .index(&names.routers)
            .index(&names.acls)
            .start()
            .await?;
        Ok(Self {
            client,
            cache,
            names,
            lock: None,
            server,
        })
    }

    /// The server, if it is in this process.
    #[must_use]
    pub const fn server(&self) -> Option<&Arc<Server>> {
        self.server.as_ref()
    }

    /// The same database, with every transaction asserting that this client holds the lock.
    #[must_use]
    pub fn under(self, lock: &Str) -> Self {
        Self {
            lock: Some(lock.clone()),
            ..self
        }
    }
}

/// Whether a row belongs to this network.
#[must_use]
pub fn is_of(external_ids: &Map<Str, Str>, network: &str) -> bool {
    external_ids
        .get(ids::NETWORK)
        .is_some_and(|name| *name == *network)
}

/// Whether a network's controller maintains a row.
#[must_use]
pub fn is_owned(external_ids: &Map<Str, Str>, network: &str) -> bool {
    let owner = external_ids.get(ids::OWNER);
    owner.is_some_and(|owner| *owner == *controller(network))
}

/// What was granted on a network, as read from its rows.
#[must_use]
pub fn known(view: &View, network: &str) -> Known {
    let switches: Vec<_> = view
        .rows::<LogicalSwitch>()
        .filter(|switch| is_of(&switch.external_ids, network))
        .collect();
    let ports = view.get_all(switches.iter().flat_map(|switch| switch.ports.iter()));
    let ports = ports.filter(|port| port.external_ids.contains_key(ids::POD));
    let grants = ports.filter_map(|port| Some((port.name.to_string(), port_grant(port)?)));
    Known {
        ports: grants.collect(),
        subnets: node_subnets(view, network),
    }
}

/// The nodes' subnets: those of the router's addresses.
fn node_subnets(view: &View, network: &str) -> BTreeMap<String, Vec<IpNet>> {
    let prefix = NetworkNames::new(network).router_to_switch("");
    let routers = view.rows::<LogicalRouter>();
    let routers = routers.filter(|router| is_of(&router.external_ids, network));
    let ports = view.get_all(routers.flat_map(|router| router.ports.iter()));
    let subnets = ports.filter_map(|port: &Row<LogicalRouterPort>| {
        let node = port.name.strip_prefix(&prefix)?;
        let networks = port
            .networks
            .iter()
            .filter_map(|text| text.parse::<IpNet>().ok());
        Some((
            node.to_owned(),
            networks.map(|network| network.trunc()).collect(),
        ))
    });
    subnets.collect()
}

/// A port's MAC address and addresses. Their prefix lengths are not in the row.
fn port_grant(port: &LogicalSwitchPort) -> Option<Grant> {
    let mut words = port.addresses.first()?.split(' ');
    Some(Grant {
        mac: words.next()?.parse().ok()?,
        addresses: words
            .map(|word| word.parse::<IpAddr>().ok().map(IpNet::from))
            .collect::<Option<_>>()?,
        gateways: Vec::new(),
        routes: Vec::new(),
    })
}
