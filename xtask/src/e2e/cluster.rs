//! The machines: three nodes, the networks between them, and OVN's central databases.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::database::{Databases, Kind, schema};
use super::namespace::Namespace;
use super::node::{Multihoming, Node, Place, daemon};
use super::process::Process;
use super::table::rows;
use crate::Result;

/// The nodes of the manifests.
const NODES: [Place; 3] = [
    Place {
        name: "master001",
        tunnel: "192.168.122.10",
        physical: "192.168.100.10",
    },
    Place {
        name: "work001",
        tunnel: "192.168.122.101",
        physical: "192.168.100.101",
    },
    Place {
        name: "work002",
        tunnel: "192.168.122.102",
        physical: "192.168.100.102",
    },
];

/// The address of a host on the physical network that does not run OVN.
pub(super) const HOST: &str = "192.168.100.1";

/// All machines. They are dropped in the order of the fields.
#[derive(Debug)]
pub(super) struct Machines {
    pub(super) nodes: Vec<Node>,
    _northd: Process,
    central: Databases,
    pub(super) host: Namespace,
    pub(super) physical: Namespace,
    _tunnels: Namespace,
    _control: Namespace,
}

impl Machines {
    /// Boots everything, with databases of this kind.
    pub(super) fn boot(multihoming: &Multihoming, kind: Kind) -> Result<Self> {
        let tunnels = Namespace::network("tunnels")?;
        let physical = Namespace::network("physical")?;
        let host = Namespace::new("host")?;
        host.plug("eth0", &physical)?;
        host.address("eth0", &format!("{HOST}/24"))?;

        let control = Namespace::new("control")?;
        let schemas = [schema("OVN_Northbound")?, schema("OVN_Southbound")?];
        let central = Databases::start(kind, "central", &schemas)?;
        let remote = central.remote();
        let northd = daemon(&control, "ovn-northd", central.folder())?
            .arg(format!("--ovnnb-db={remote}"))
            .arg(format!("--ovnsb-db={remote}"))
            .run(central.folder())?;
        let networks = [&tunnels, &physical];
        let boot = |place| Node::boot(place, kind, &remote, networks, multihoming);
        let nodes = NODES.into_iter().map(boot).collect::<Result<_>>()?;
        Ok(Self {
            nodes,
            _northd: northd,
            central,
            host,
            physical,
            _tunnels: tunnels,
            _control: control,
        })
    }

    /// The remote of the northbound and the southbound database.
    pub(super) fn remote(&self) -> String {
        self.central.remote()
    }

    /// The rows of a table of the northbound or the southbound database.
    pub(super) fn rows(&self, database: &str, table: &str) -> Result<Vec<Value>> {
        rows(&self.central, database, table)
    }

    /// The node with this name.
    pub(super) fn node(&self, name: &str) -> Result<&Node> {
        let found = self.nodes.iter().find(|node| node.place.name == name);
        found.ok_or_else(|| format!("there is no node {name}").into())
    }

    /// The folders of the daemons' logs, with the machines they belong to.
    fn folders(&self) -> impl Iterator<Item = (&str, &Path)> {
        let nodes = self.nodes.iter();
        let nodes = nodes.map(|node| (node.place.name, node.folder()));
        nodes.chain([("central", self.central.folder())])
    }

    /// Copies the logs into a folder as `MACHINE-DAEMON.log`, and the ports and flows of each node's switch as
    /// text files.
    pub(super) fn copy_logs(&self, to: &Path) -> Result {
        fs::create_dir_all(to)?;
        for (machine, folder) in self.folders() {
            for (name, text) in logs(folder)? {
                fs::write(to.join(format!("{machine}-{name}")), text)?;
            }
        }
        for node in &self.nodes {
            for (command, name) in [("dpif/show", "ports"), ("dpctl/dump-flows", "flows")] {
                let file = to.join(format!("{}-{name}.txt", node.place.name));
                fs::write(file, node.ask_switch(command)?)?;
            }
        }
        Ok(())
    }

    /// Shows the end of every log.
    pub(super) fn show_logs(&self) {
        for (machine, folder) in self.folders() {
            for (name, text) in logs(folder).unwrap_or_default() {
                let lines: Vec<&str> = text.lines().collect();
                let end = lines.len().saturating_sub(15);
                println!("--- {machine}: {name}\n{}", lines[end..].join("\n"));
            }
        }
    }
}

/// The logs of a folder, by their names.
fn logs(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            logs.push((name.into_owned(), text));
        }
    }
    logs.sort();
    Ok(logs)
}
