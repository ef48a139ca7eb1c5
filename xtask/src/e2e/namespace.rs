//! Network namespaces. For packets, each is a machine of its own.

use std::process::Command;

use crate::Result;
use crate::command::output;

/// A network namespace, which is removed with its interfaces when it is dropped.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace with a working loopback interface.
    pub(super) fn new(name: &str) -> Result<Self> {
        ip(&format!("netns add {name}"))?;
        let namespace = Self {
            name: name.to_owned(),
        };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Creates a namespace with a bridge `br0`: a network that machines can be plugged into.
    pub(super) fn network(name: &str) -> Result<Self> {
        let network = Self::new(name)?;
        network.ip("link add br0 type bridge")?;
        network.ip("link set br0 up")?;
        Ok(network)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A program that will run in the namespace.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `ip` with these arguments, separated by blanks, in the namespace.
    pub(super) fn ip(&self, arguments: &str) -> Result<String> {
        ip(&format!("-netns {} {arguments}", self.name))
    }

    /// Connects an interface of this namespace to a network. The other end has the namespace's name.
    pub(super) fn plug(&self, interface: &str, network: &Self) -> Result {
        let (name, bridge) = (&self.name, &network.name);
        ip(&format!(
            "link add {interface} netns {name} type veth peer name {name} netns {bridge}"
        ))?;
        network.ip(&format!("link set {name} master br0"))?;
        network.bring_up(name)?;
        self.bring_up(interface)?;
        self.compute_checksums(interface)
    }

    /// Brings up an interface without an IPv6 link-local address, so that the kernel sends nothing on it by
    /// itself.
    pub(super) fn bring_up(&self, interface: &str) -> Result {
        self.ip(&format!("link set {interface} addrgenmode none up"))
            .map(drop)
    }

    /// Gives an interface an address, and brings it up.
    pub(super) fn address(&self, interface: &str, address: &str) -> Result {
        self.ip(&format!("address add {address} dev {interface} nodad"))?;
        self.ip(&format!("link set {interface} up"))?;
        Ok(())
    }

    /// Makes the kernel compute checksums: the switch in user space forwards packets as they are, and
    /// there is no hardware that would compute them.
    pub(super) fn compute_checksums(&self, interface: &str) -> Result {
        let mut command = self.command("ethtool");
        output(command.args(["--offload", interface, "tx", "off"])).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The sandbox removes what is left.
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

/// Runs `ip` with these arguments, separated by blanks.
fn ip(arguments: &str) -> Result<String> {
    output(Command::new("ip").args(arguments.split_whitespace()))
}
