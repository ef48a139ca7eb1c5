//! A private ovsdb-server with a northbound database: the switches and pod ports of a large
//! cluster, as OVN-Kubernetes writes them for a layer-3 secondary network.

use std::path::PathBuf;

use ovsdb::nb::{Database, LogicalSwitch, LogicalSwitchPort, NbGlobal};
use ovsdb::schema::{DatabaseSchema, bundled};
use ovsdb::testing::{Replay, Server};
use ovsdb::{Client, Uuid};

use crate::{Connection, Result};

/// How many ports each switch has.
pub const PORTS_PER_SWITCH: usize = 10;

/// How many switches a transaction inserts.
const BLOCK: usize = 100;

/// The uuid of the port with this number. The uuids are spread out like random ones: Open vSwitch uses
/// the first 32 bits of a uuid as its hash, and would be slow with consecutive numbers.
#[must_use]
pub const fn port_uuid(port: usize) -> Uuid {
    const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    Uuid::from_u128((port as u128 + 1).wrapping_mul(GOLDEN))
}

/// A private server with a loaded northbound database.
#[derive(Debug)]
pub struct Northbound {
    server: Server,
    schema: DatabaseSchema,
}

impl Northbound {
    /// Starts a server and inserts this many ports, ten to a switch.
    ///
    /// # Errors
    /// When ovsdb-server is missing, does not start or refuses a row.
    pub fn with_ports(ports: usize) -> Result<Self> {
        let text = bundled("OVN_Northbound").ok_or("no northbound schema")?;
        let schema = DatabaseSchema::parse(text)?;
        let server = Server::builder().schema(text).start()?;
        fill(server.remote(), ports)?;
        Ok(Self { server, schema })
    }

    /// The server.
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// The server's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.server.socket()
    }

    /// The parameters of a monitor of all tables and columns.
    #[must_use]
    pub fn monitor_params(&self) -> String {
        all_columns(&self.schema)
    }

    /// The reply with all rows, as a client receives it.
    ///
    /// # Errors
    /// When the connection fails, a message is malformed, or the server refuses the request.
    pub fn initial_reply(&self) -> Result<String> {
        Connection::new(&self.socket())?.call("monitor_cond_since", &self.monitor_params())
    }
}

/// The parameters of a `monitor_cond_since` of all tables and columns.
///
/// # Panics
/// Never: every request of the library can be written.
#[must_use]
pub fn all_columns(schema: &DatabaseSchema) -> String {
    let mut params = String::new();
    Replay::<Database>::new(schema)
        .request()
        .write_params(&mut params)
        .expect("a request of the library");
    params
}

/// Inserts this many ports, ten to a switch, into the database of a server.
///
/// # Errors
/// When the server cannot be reached or refuses a row.
pub fn fill(remote: String, ports: usize) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(load(remote, ports))
}

async fn load(remote: String, ports: usize) -> Result {
    // A server may not respond for a long time while it is being loaded.
    let client = Client::<Database>::builder()
        .remotes(remote)
        .probe_interval(None)
        .request_timeout(None)
        .connect()
        .await?;
    let mut txn = client.transaction();
    txn.insert(NbGlobal::default());
    txn.commit().await?;
    let switches: Vec<usize> = (0..ports.div_ceil(PORTS_PER_SWITCH)).collect();
    for block in switches.chunks(BLOCK) {
        let mut txn = client.transaction();
        for &number in block {
            let first = number * PORTS_PER_SWITCH;
            let own = first..ports.min(first + PORTS_PER_SWITCH);
            let own: Vec<_> = own
                .map(|port| txn.insert_with_uuid(port_uuid(port), port_row(number, port)))
                .collect();
            txn.insert(LogicalSwitch {
                ports: own.into(),
                ..switch_row(number)
            });
        }
        txn.commit().await?;
    }
    client.close().await;
    Ok(())
}

/// The node switch of a layer-3 network.
fn switch_row(number: usize) -> LogicalSwitch {
    let subnet = format!("10.{}.{}", number >> 8 & 255, number & 255);
    LogicalSwitch {
        name: format!("l3.network_worker-{number:05}").into(),
        other_config: [
            ("subnet", format!("{subnet}.0/24")),
            ("exclude_ips", format!("{subnet}.2")),
        ]
        .into(),
        external_ids: [
            ("k8s.ovn.org/network", "l3-network"),
            ("k8s.ovn.org/topology", "layer3"),
        ]
        .into(),
        ..Default::default()
    }
}

/// The port of a pod on that switch.
fn port_row(switch: usize, port: usize) -> LogicalSwitchPort {
    let (high, low, host) = (switch >> 8 & 255, switch & 255, port % PORTS_PER_SWITCH + 3);
    let address = format!("0a:58:0a:{high:02x}:{low:02x}:{host:02x} 10.{high}.{low}.{host}");
    let namespace = format!("namespace-{:02}", port % 50);
    LogicalSwitchPort {
        name: format!("kube.system.l3.network_{namespace}_pod-{port:06}").into(),
        addresses: [address.as_str()].into(),
        port_security: [address.as_str()].into(),
        options: [
            ("requested-chassis", format!("worker-{switch:05}")),
            ("iface-id-ver", port_uuid(port).to_string()),
        ]
        .into(),
        external_ids: [
            ("namespace", namespace.as_str()),
            ("pod", "true"),
            ("k8s.ovn.org/network", "l3-network"),
            ("k8s.ovn.org/nad", "kube-system/l3-network"),
            ("k8s.ovn.org/topology", "layer3"),
        ]
        .into(),
        ..Default::default()
    }
}
