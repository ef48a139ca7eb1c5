//! `multihoming node`: one node's Open_vSwitch database.

use std::io::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use multihoming::addresses::Mac;
use multihoming::names::pod_port;
use multihoming::node::{
    Attachment, Bandwidth, Effect, Mapping, Node, Rate, Setup, interface_name,
};

use crate::connection::SwitchDatabase;
use crate::failure::Failure;

/// Writes a node's Open_vSwitch database: bridges and their mappings, and pods' interfaces
///
/// Every command can be repeated: it writes only what differs from the request.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: SwitchDatabase,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(Init),
    BridgeMapping(BridgeMapping),
    Uplink(Uplink),
    Attach(Attach),
    Detach(Detach),
    Bandwidth(SetBandwidth),
}

/// Makes a node a chassis: sets its identity, the address of OVN's southbound database and the end
/// of its tunnels, and creates the integration bridge
#[derive(Debug, Args)]
struct Init {
    /// The chassis' name
    #[arg(long, value_name = "ID")]
    system_id: String,
    /// The node's name; by default the chassis' name
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// The remote of the southbound database
    #[arg(long, value_name = "REMOTE")]
    ovn_remote: String,
    /// The kind of tunnel
    #[arg(long, value_name = "TYPE", default_value = "geneve")]
    encap_type: String,
    /// The address at which the other nodes' tunnels end
    #[arg(long, value_name = "ADDRESS")]
    encap_ip: IpAddr,
    /// The datapath: in the kernel (system) or in user space (netdev)
    #[arg(long, value_parser = ["system", "netdev"], default_value = "system")]
    datapath_type: String,
    #[command(flatten)]
    integration: Integration,
}

/// Maps the network_name of localnet ports to a bridge; the other mappings stay
#[derive(Debug, Args)]
struct BridgeMapping {
    /// The mapping to set; it replaces an earlier one of the network
    #[arg(value_name = "NETWORK:BRIDGE", required_unless_present = "remove")]
    mapping: Option<Mapping>,
    /// Remove the mapping of this network instead
    #[arg(long, value_name = "NETWORK", conflicts_with = "mapping")]
    remove: Option<String>,
}

/// Creates a bridge that leads to the physical network through an interface of the node
#[derive(Debug, Args)]
struct Uplink {
    /// The bridge
    bridge: String,
    /// The interface
    interface: String,
    /// The bridge's datapath; by default a new bridge gets the kernel's
    #[arg(long, value_parser = ["system", "netdev"])]
    datapath_type: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

/// Puts a pod's interface on the integration bridge, and waits for ovn-controller
#[derive(Debug, Args)]
struct Attach {
    #[command(flatten)]
    interface: InterfaceName,
    /// The pod
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = pair)]
    pod: (String, String),
    /// The pod's uid
    #[arg(long, value_name = "UID")]
    uid: String,
    /// The network's name; without this option and --nad, the cluster's default network
    #[arg(long, value_name = "NAME", requires_all = ["nad", "host_end"])]
    network: Option<String>,
    /// The NetworkAttachmentDefinition
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "network")]
    nad: Option<String>,
    /// The pod's MAC address
    #[arg(long, value_name = "MAC")]
    mac: Mac,
    /// An address of the pod with the length of its prefix; may be given several times
    #[arg(long = "ip", value_name = "ADDRESS/LENGTH")]
    addresses: Vec<IpNet>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    integration: Integration,
    #[command(flatten)]
    waiting: Waiting,
}

/// Removes a pod's interface from the integration bridge
#[derive(Debug, Args)]
struct Detach {
    #[command(flatten)]
    interface: InterfaceName,
    #[command(flatten)]
    integration: Integration,
}

/// Sets the limits of a pod's interface, and removes those that are not given
#[derive(Debug, Args)]
struct SetBandwidth {
    /// The interface
    interface: String,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Debug, Args)]
struct Integration {
    /// The integration bridge of ovn-controller
    #[arg(long, value_name = "NAME", default_value = "br-int")]
    integration_bridge: String,
}

#[derive(Debug, Args)]
struct InterfaceName {
    /// The id of the pod's sandbox (container)
    #[arg(long, value_name = "ID")]
    sandbox: String,
    /// The index of the pod's end of the veth pair; omit it for the default network
    #[arg(long, value_name = "INDEX", group = "host_end")]
    ifindex: Option<u32>,
    /// The name of the host's end, instead of the name made from the sandbox and the index
    #[arg(long, value_name = "NAME", group = "host_end")]
    interface: Option<String>,
}

impl InterfaceName {
    fn name(&self) -> String {
        let given = self.interface.clone();
        given.unwrap_or_else(|| interface_name(&self.sandbox, self.ifindex))
    }
}

#[derive(Debug, Args)]
struct Limits {
    /// Bits per second that the pod may receive, such as 10M
    #[arg(long, value_name = "RATE")]
    ingress: Option<Rate>,
    /// Bits per second that the pod may send
    #[arg(long, value_name = "RATE")]
    egress: Option<Rate>,
}

impl From<&Limits> for Bandwidth {
    fn from(limits: &Limits) -> Self {
        Self {
            ingress: limits.ingress,
            egress: limits.egress,
        }
    }
}

#[derive(Debug, Args)]
struct Waiting {
    /// Do not wait until the interface works
    #[arg(long)]
    no_wait: bool,
    /// How many seconds to wait until the interface works
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

impl Waiting {
    fn limit(&self) -> Option<Duration> {
        (!self.no_wait).then_some(Duration::from_secs(self.timeout))
    }
}

/// Reads `NAMESPACE/NAME`.
fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("must be NAMESPACE/NAME"),
    }
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let node = Node::connect(arguments.database.connection()?).await?;
    match &arguments.command {
        Command::Init(init) => {
            let setup = Setup {
                system_id: init.system_id.clone(),
                hostname: init.hostname.as_ref().unwrap_or(&init.system_id).clone(),
                ovn_remote: init.ovn_remote.clone(),
                encap_type: init.encap_type.clone(),
                encap_ip: init.encap_ip,
                integration_bridge: init.integration.integration_bridge.clone(),
                datapath_type: init.datapath_type.clone(),
            };
            say("node", &setup.system_id, node.set_up(&setup).await?)?;
        }
        Command::BridgeMapping(BridgeMapping { mapping, remove }) => {
            if let Some(mapping) = mapping {
                let effect = node.set_bridge_mapping(mapping).await?;
                say("bridge mapping", &mapping.to_string(), effect)?;
            }
            if let Some(network) = remove {
                let effect = node.remove_bridge_mapping(network).await?;
                say("bridge mapping of", network, effect)?;
            }
        }
        Command::Uplink(uplink) => {
            let datapath_type = uplink.datapath_type.as_deref();
            let (bridge, interface) = (&uplink.bridge, &uplink.interface);
            let effect = node.uplink(bridge, interface, datapath_type).await?;
            if let Some(limit) = uplink.waiting.limit() {
                node.opened(bridge, limit).await?;
                node.opened(interface, limit).await?;
            }
            say("uplink", &format!("{interface} of {bridge}"), effect)?;
        }
        Command::Attach(attach) => {
            let attachment = attach.attachment();
            let bridge = &attach.integration.integration_bridge;
            let effect = node.attach(bridge, &attachment).await?;
            if let Some(limit) = attach.waiting.limit() {
                node.installed(&attachment, limit).await?;
            }
            say("interface", &attachment.interface, effect)?;
        }
        Command::Detach(detach) => {
            let interface = detach.interface.name();
            let bridge = &detach.integration.integration_bridge;
            let effect = node.detach(bridge, &interface).await?;
            say("interface", &interface, effect)?;
        }
        Command::Bandwidth(SetBandwidth { interface, limits }) => {
            let effect = node.set_bandwidth(interface, limits.into()).await?;
            say("bandwidth of", interface, effect)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Attach {
    fn attachment(&self) -> Attachment {
        let (namespace, pod) = &self.pod;
        let iface_id = match &self.nad {
            Some(nad) => pod_port(nad, namespace, pod),
            None => format!("{namespace}_{pod}"),
        };
        Attachment {
            interface: self.interface.name(),
            iface_id,
            pod_uid: self.uid.clone(),
            sandbox: self.interface.sandbox.clone(),
            mac: self.mac.to_string(),
            addresses: self.addresses.clone(),
            network: self.network.clone().zip(self.nad.clone()),
            bandwidth: Bandwidth::from(&self.limits),
        }
    }
}

/// Prints what was done.
fn say(kind: &str, name: &str, effect: Effect) -> Result<(), Failure> {
    let effect = match effect {
        Effect::Unchanged => "unchanged",
        Effect::Changed => "changed",
    };
    writeln!(std::io::stdout(), "{kind} {name}: {effect}")?;
    Ok(())
}
