//! A node: what runs on a machine of the cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use ovsdb::testing::program;

use super::database::{Databases, Kind, schema};
use super::namespace::Namespace;
use super::process::Process;
use super::table::rows;
use crate::Result;
use crate::command::{attempt, output};

/// The program under test.
#[derive(Debug)]
pub(super) struct Multihoming {
    program: PathBuf,
    verbose: bool,
}

impl Multihoming {
    /// The program in the same folder as this one, built by the same cargo.
    pub(super) fn new(verbose: bool) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("multihoming");
        Ok(Self { program, verbose })
    }

    /// Runs it with these arguments, separated by blanks. Returns what it printed.
    pub(super) fn run(&self, arguments: &str) -> Result<String> {
        if self.verbose {
            println!("    $ multihoming {arguments}");
        }
        output(Command::new(&self.program).args(arguments.split_whitespace()))
    }
}

/// A node's addresses on both networks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its name, which is also its chassis' name.
    pub(super) name: &'static str,
    /// The address of its tunnels.
    pub(super) tunnel: &'static str,
    /// Its address on the physical network, on the bridge `br-out`.
    pub(super) physical: &'static str,
}

/// A node with its daemons. They are dropped in the order of the fields.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    _controller: Process,
    _switch: Process,
    databases: Databases,
    pub(super) namespace: Namespace,
}

impl Node {
    /// Boots a node that is plugged into the network of the tunnels and the physical one.
    pub(super) fn boot(
        place: Place,
        kind: Kind,
        southbound: &str,
        [tunnels, physical]: [&Namespace; 2],
        multihoming: &Multihoming,
    ) -> Result<Self> {
        let Place { name, tunnel, .. } = place;
        let namespace = Namespace::new(name)?;
        namespace.plug("ens3f2", tunnels)?;
        namespace.plug("ens3f1", physical)?;

        let schema = schema("Open_vSwitch")?;
        let databases = Databases::start(kind, name, &[schema])?;
        let (folder, remote) = (databases.folder(), databases.remote());
        let run = |arguments: &str| multihoming.run(&format!("node --ovs {remote} {arguments}"));
        let identity = format!("--system-id {name} --hostname {name} --encap-ip {tunnel}");
        run(&format!(
            "init {identity} --ovn-remote {southbound} --datapath-type netdev"
        ))?;
        let switch = daemon(&namespace, "ovs-vswitchd", folder)?
            .arg("--disable-system")
            .arg(format!("--unixctl={}", control(folder).display()))
            .arg(&remote)
            .run(folder)?;

        // The tunnels need an address on a bridge: the switch in user space does not look for one
        // elsewhere.
        for (bridge, uplink, address) in [
            ("brens3f2", "ens3f2", tunnel),
            ("br-out", "ens3f1", place.physical),
        ] {
            run(&format!("uplink {bridge} {uplink} --datapath-type netdev"))?;
            namespace.compute_checksums(bridge)?;
            namespace.address(bridge, &format!("{address}/24"))?;
        }
        run("bridge-mapping physnet:brens3f2")?;
        let controller = daemon(&namespace, "ovn-controller", folder)?
            .arg(&remote)
            .run(folder)?;
        Ok(Self {
            place,
            _controller: controller,
            _switch: switch,
            databases,
            namespace,
        })
    }

    /// The remote of its database.
    pub(super) fn remote(&self) -> String {
        self.databases.remote()
    }

    /// The names of its ports, including those that ovn-controller created.
    pub(super) fn ports(&self) -> Result<Vec<String>> {
        let rows = rows(&self.databases, "Open_vSwitch", "Port")?;
        let names = rows.iter().filter_map(|row| row["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// The folder with its daemons' files.
    pub(super) fn folder(&self) -> &Path {
        self.databases.folder()
    }

    /// The switch's output for a command of ovs-appctl(8), for debugging.
    pub(super) fn ask_switch(&self, command: &str) -> Result<String> {
        let mut appctl = Command::new(program("ovs-appctl")?);
        appctl.arg(format!("--target={}", control(self.folder()).display()));
        attempt(appctl.args(command.split_whitespace())).map(|(_, text)| text)
    }
}

fn control(folder: &Path) -> PathBuf {
    folder.join("ovs-vswitchd.ctl")
}

/// A daemon that is about to start.
pub(super) struct Daemon {
    name: &'static str,
    command: Command,
}

/// A daemon of Open vSwitch or OVN in a namespace, with its files in a folder.
pub(super) fn daemon(namespace: &Namespace, name: &'static str, folder: &Path) -> Result<Daemon> {
    let program = program(name)?;
    let mut command = namespace.command(&program.to_string_lossy());
    command.arg("--no-chdir");
    for variable in ["RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"] {
        command.env(format!("OVS_{variable}"), folder);
        command.env(format!("OVN_{variable}"), folder);
    }
    Ok(Daemon { name, command })
}

impl Daemon {
    pub(super) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(super) fn run(mut self, folder: &Path) -> Result<Process> {
        Process::start(&mut self.command, folder, self.name)
    }
}
