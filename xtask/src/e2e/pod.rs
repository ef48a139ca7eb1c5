//! A pod: a network namespace whose interface is plugged into its node's switch.

use std::net::IpAddr;

use multihoming::grant::Grant;
use multihoming::node::interface_name;

use super::namespace::Namespace;
use super::node::{Multihoming, Node};
use crate::Result;
use crate::command::{attempt, output};

/// The attachment of a pod to one network.
#[derive(Debug, Clone)]
pub(super) struct Attachment {
    /// The pod's namespace, in the sense of Kubernetes.
    pub(super) namespace: String,
    /// The pod.
    pub(super) pod: String,
    /// Its uid.
    pub(super) uid: String,
    /// The network.
    pub(super) network: String,
    /// The NAD.
    pub(super) nad: String,
    /// The interface in the pod.
    pub(super) interface: String,
    /// The MTU of the interface.
    pub(super) mtu: Option<i64>,
    /// The interface's MAC address, addresses and routes.
    pub(super) grant: Grant,
}

/// A running pod.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) attachment: Attachment,
    pub(super) node: &'static str,
    /// The host's end of its veth pair.
    pub(super) host_interface: String,
    /// The id of its sandbox, in the sense of a container runtime.
    sandbox: String,
    pub(super) namespace: Namespace,
}

impl Pod {
    /// Does what a container runtime and a CNI plug-in do for a new pod. Returns once ovn-controller
    /// has installed the flows.
    pub(super) fn start(
        attachment: Attachment,
        node: &Node,
        multihoming: &Multihoming,
    ) -> Result<Self> {
        let namespace = Namespace::new(&attachment.pod)?;
        let sandbox = attachment.uid.replace('-', "");
        let Attachment {
            interface,
            grant,
            mtu,
            ..
        } = &attachment;

        let name = namespace.name();
        node.namespace.ip(&format!(
            "link add new type veth peer name {interface} netns {name}"
        ))?;
        let index = format!("/sys/class/net/{interface}/ifindex");
        let index = output(namespace.command("cat").arg(index))?
            .trim()
            .parse()?;
        let host = interface_name(&sandbox, Some(index));
        node.namespace.ip(&format!("link set new name {host}"))?;
        if let Some(mtu) = mtu {
            node.namespace.ip(&format!("link set {host} mtu {mtu}"))?;
            namespace.ip(&format!("link set {interface} mtu {mtu}"))?;
        }
        node.namespace.bring_up(&host)?;
        namespace.ip(&format!("link set {interface} address {}", grant.mac))?;
        namespace.compute_checksums(interface)?;
        for address in &grant.addresses {
            namespace.address(interface, &address.to_string())?;
        }
        for route in &grant.routes {
            let via = route.next_hop.map(|router| format!("via {router} "));
            let (to, via) = (route.dest, via.unwrap_or_default());
            namespace.ip(&format!("route add {to} {via}dev {interface}"))?;
        }

        let pod = Self {
            node: node.place.name,
            host_interface: host,
            sandbox,
            namespace,
            attachment,
        };
        pod.attach(node, multihoming)?;
        Ok(pod)
    }

    /// Connects the interface to the node's switch.
    pub(super) fn attach(&self, node: &Node, multihoming: &Multihoming) -> Result {
        let Attachment {
            namespace,
            pod,
            uid,
            network,
            nad,
            grant,
            ..
        } = &self.attachment;
        let addresses = grant.addresses.iter().map(|a| format!(" --ip {a}"));
        let (remote, sandbox, interface) = (node.remote(), &self.sandbox, &self.host_interface);
        let command = format!(
            "node --ovs {remote} attach --sandbox {sandbox} --interface {interface} \
             --pod {namespace}/{pod} --uid {uid} --network {network} --nad {nad} --mac {}{}",
            grant.mac,
            addresses.collect::<String>(),
        );
        multihoming.run(&command).map(drop)
    }

    /// Does what a CNI plug-in does for a pod that is removed. Dropping the pod removes its namespace.
    pub(super) fn detach(&self, node: &Node, multihoming: &Multihoming) -> Result {
        let (remote, sandbox, interface) = (node.remote(), &self.sandbox, &self.host_interface);
        let command =
            format!("node --ovs {remote} detach --sandbox {sandbox} --interface {interface}");
        multihoming.run(&command).map(drop)
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.attachment.pod
    }

    /// Its first address.
    pub(super) fn address(&self) -> Result<IpAddr> {
        let first = self.attachment.grant.addresses.first();
        let first = first.ok_or_else(|| format!("{} has no address", self.name()))?;
        Ok(first.addr())
    }

    /// Pings once, with these further options. Returns the time to live of the reply, if there is one.
    pub(super) fn ping(&self, to: impl std::fmt::Display, options: &str) -> Result<Option<u8>> {
        ping(&self.namespace, to, options)
    }
}

/// Pings once from a namespace; see [`Pod::ping`].
pub(super) fn ping(
    from: &Namespace,
    to: impl std::fmt::Display,
    options: &str,
) -> Result<Option<u8>> {
    let mut command = from.command("ping");
    command.args(["-n", "-c", "1", "-W", "1"]);
    command.args(options.split_whitespace()).arg(to.to_string());
    let (answered, text) = attempt(&mut command)?;
    if !answered {
        return Ok(None);
    }
    let ttl = text
        .split("ttl=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let ttl = ttl.ok_or_else(|| format!("an answer without a time to live:\n{text}"))?;
    Ok(Some(ttl.parse()?))
}
