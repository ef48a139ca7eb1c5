//! A picture of the networks in a northbound database: read only from the rows, whichever program wrote them, and
//! drawn in several ways.

pub mod mermaid;
pub mod svg;
pub mod tree;

use std::collections::{BTreeMap, HashMap};

use ovsdb::nb::{
    GatewayChassis, LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort,
};
use ovsdb::{Map, Row, Str};
use serde::Serialize;

use crate::database::{View, is_of};
use crate::ids;
use crate::names::{NetworkNames, mangle};

/// All networks of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// The networks, by name.
    pub networks: Vec<Network>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its topology, derived from the rows.
    pub topology: String,
    /// Whether it is marked as finished; `None` if no row has a version.
    pub finished: Option<bool>,
    /// Its router.
    pub router: Option<Router>,
    /// Its switches, by name.
    pub switches: Vec<Switch>,
}

/// A router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Router {
    /// Its name.
    pub name: String,
    /// Its ports, by name.
    pub ports: Vec<RouterPort>,
}

/// A port of a router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouterPort {
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub mac: String,
    /// Its addresses with prefix lengths.
    pub networks: Vec<String>,
    /// The chassis that it is pinned to.
    pub chassis: Vec<String>,
    /// The switch that it leads to.
    pub switch: Option<String>,
}

/// A switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Switch {
    /// Its name.
    pub name: String,
    /// The node that it belongs to, in a layer3 network.
    pub node: Option<String>,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// Its ports: first to routers, then to physical networks, then pods by namespace and name, then
    /// others.
    pub ports: Vec<SwitchPort>,
}

/// A port of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwitchPort {
    /// Its name.
    pub name: String,
    /// Its addresses, as in the column.
    pub addresses: Vec<String>,
    /// Whether northd reports it as up.
    pub up: Option<bool>,
    /// What it leads to.
    #[serde(flatten)]
    pub end: End,
}

/// What a switch's port leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// A router's port.
    Router {
        /// That port's name.
        port: String,
    },
    /// A physical network.
    Localnet {
        /// Its name in bridge mappings.
        network_name: String,
        /// The VLAN.
        vlan: Option<i64>,
    },
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The NAD of its attachment.
        nad: String,
        /// The node or chassis that it runs on.
        node: Option<String>,
    },
    /// Another kind of port.
    Other {
        /// Its type.
        kind: String,
    },
}

impl Picture {
    /// Reads the networks from the rows.
    #[must_use]
    pub fn new(view: &View) -> Self {
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        let switches = view.rows::<LogicalSwitch>().map(|row| &row.external_ids);
        let routers = view.rows::<LogicalRouter>().map(|row| &row.external_ids);
        for external_ids in routers.chain(switches) {
            if let Some(name) = external_ids.get(ids::NETWORK) {
                names.insert(
                    name,
                    external_ids.get(ids::TOPOLOGY).map_or("", Str::as_str),
                );
            }
        }
        let networks = names
            .into_iter()
            .map(|(name, topology)| network(view, name, topology));
        Self {
            networks: networks.collect(),
        }
    }
}

fn network(view: &View, name: &str, topology: &str) -> Network {
    let mut versions: Vec<Option<&Str>> = Vec::new();
    // The switch that each router port leads to.
    let mut peers: HashMap<&str, &str> = HashMap::new();
    let mut switches = Vec::new();
    for row in view
        .rows::<LogicalSwitch>()
        .filter(|row| is_of(&row.external_ids, name))
    {
        versions.push(row.external_ids.get(ids::VERSION));
        for port in view.get_all(&row.ports) {
            if let Some(peer) = port.options.get("router-port") {
                peers.insert(peer, &row.name);
            }
        }
        switches.push(switch(view, name, row));
    }
    switches.sort_by(|one, other| one.name.cmp(&other.name));
    let mut routers = view
        .rows::<LogicalRouter>()
        .filter(|row| is_of(&row.external_ids, name));
    let router = routers.next().map(|row| {
        versions.push(row.external_ids.get(ids::VERSION));
        router(view, row, &peers)
    });
    let version = versions.into_iter().flatten().next();
    Network {
        name: name.to_owned(),
        topology: topology.to_owned(),
        finished: version.map(|version| *version == *ids::FINISHED),
        router,
        switches,
    }
}

fn router(view: &View, row: &Row<LogicalRouter>, peers: &HashMap<&str, &str>) -> Router {
    let ports = view.get_all(&row.ports);
    let mut ports: Vec<RouterPort> = ports
        .map(|port: &Row<LogicalRouterPort>| {
            let chassis = view.get_all(&port.gateway_chassis);
            let chassis = chassis.map(|row: &Row<GatewayChassis>| row.chassis_name.to_string());
            RouterPort {
                name: port.name.to_string(),
                mac: port.mac.to_string(),
                networks: port.networks.iter().map(Str::to_string).collect(),
                chassis: chassis.collect(),
                switch: peers.get(port.name.as_str()).map(ToString::to_string),
            }
        })
        .collect();
    ports.sort_by(|one, other| one.name.cmp(&other.name));
    Router {
        name: row.name.to_string(),
        ports,
    }
}

fn switch(view: &View, network: &str, row: &Row<LogicalSwitch>) -> Switch {
    let names = NetworkNames::new(network);
    let topology = row.external_ids.get(ids::TOPOLOGY).map_or("", Str::as_str);
    let node = row
        .name
        .strip_prefix(names.prefix())
        .filter(|_| topology == "layer3");
    let subnets = ["subnet", "ipv6_prefix"].iter().filter_map(|key| {
        let text = row.other_config.get(*key)?;
        // OVN treats the prefix as one of 64 bits.
        Some(if text.contains('/') {
            text.to_string()
        } else {
            format!("{text}/64")
        })
    });
    let ports = view.get_all(&row.ports);
    let mut ports: Vec<SwitchPort> = ports
        .map(|port| SwitchPort {
            name: port.name.to_string(),
            addresses: port.addresses.iter().map(Str::to_string).collect(),
            up: port.up,
            end: end(port),
        })
        .collect();
    ports.sort_by(|one, other| (&one.end, &one.name).cmp(&(&other.end, &other.name)));
    Switch {
        name: row.name.to_string(),
        node: node.map(str::to_owned),
        subnets: subnets.collect(),
        ports,
    }
}

fn end(port: &LogicalSwitchPort) -> End {
    let option = |key: &str| text(&port.options, key);
    match port.r#type.as_str() {
        "router" => End::Router {
            port: option("router-port").unwrap_or_default(),
        },
        "localnet" => End::Localnet {
            network_name: option("network_name").unwrap_or_default(),
            vlan: port.tag.or(port.tag_request),
        },
        "" if port.external_ids.contains_key(ids::POD) => {
            let nad = text(&port.external_ids, ids::NAD).unwrap_or_default();
            let namespace = text(&port.external_ids, ids::NAMESPACE).unwrap_or_default();
            End::Pod {
                name: pod_name(port, &nad, &namespace),
                namespace,
                nad,
                node: option("requested-chassis"),
            }
        }
        kind => End::Other {
            kind: kind.to_owned(),
        },
    }
}

fn text(map: &Map<Str, Str>, key: &str) -> Option<String> {
    map.get(key).map(Str::to_string)
}

/// A pod's name is only in the name of its port, after its namespace.
fn pod_name(port: &LogicalSwitchPort, nad: &str, namespace: &str) -> String {
    let name = port.name.as_str();
    let rest = name.strip_prefix(&mangle(nad)).unwrap_or(name);
    match rest.split_once(&format!("_{namespace}_")) {
        Some((_, pod)) => pod.to_owned(),
        None => name.to_owned(),
    }
}
