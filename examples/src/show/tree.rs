//! The picture as a tree, for a terminal.

use termtree::Tree;

use super::{End, Network, Picture, Router, Switch, SwitchPort};

/// Draws the tree.
#[must_use]
pub fn draw(picture: &Picture) -> String {
    let networks = picture.networks.iter().map(network);
    networks.map(|tree| tree.to_string()).collect()
}

fn network(network: &Network) -> Tree<String> {
    let mut label = format!("{} ({})", network.name, network.topology);
    if network.finished == Some(false) {
        label.push_str(", unfinished");
    }
    let mut tree = Tree::new(label);
    let behind_router = |switch: &&Switch| {
        let router = network.router.as_ref();
        router.is_some_and(|router| {
            router
                .ports
                .iter()
                .any(|p| p.switch.as_ref() == Some(&switch.name))
        })
    };
    tree.extend(
        network
            .router
            .iter()
            .map(|router| self::router(router, network)),
    );
    let others = network
        .switches
        .iter()
        .filter(|switch| !behind_router(switch));
    tree.extend(others.map(switch));
    tree
}

fn router(router: &Router, network: &Network) -> Tree<String> {
    let mut tree = Tree::new(format!("router {}", router.name));
    for port in &router.ports {
        let mut label = format!("{} {} {}", port.name, port.mac, port.networks.join(" "));
        if !port.chassis.is_empty() {
            label.push_str(&format!(" on chassis {}", port.chassis.join(", ")));
        }
        let behind = network
            .switches
            .iter()
            .filter(|s| port.switch.as_ref() == Some(&s.name));
        let mut branch = Tree::new(label);
        branch.extend(behind.map(switch));
        tree.push(branch);
    }
    tree
}

fn switch(switch: &Switch) -> Tree<String> {
    let mut label = format!("switch {}", switch.name);
    for subnet in &switch.subnets {
        label.push(' ');
        label.push_str(subnet);
    }
    // The port to the router is shown above the switch already.
    let ports = switch
        .ports
        .iter()
        .filter(|port| !matches!(port.end, End::Router { .. }));
    let mut tree = Tree::new(label);
    tree.extend(ports.map(port));
    tree
}

fn port(port: &SwitchPort) -> Tree<String> {
    let addresses = port.addresses.join(", ");
    Tree::new(match &port.end {
        End::Pod {
            namespace,
            name,
            node,
            ..
        } => {
            let node = node.as_deref().unwrap_or("no node");
            format!("pod {namespace}/{name} {addresses} on {node}")
        }
        End::Localnet { network_name, vlan } => match vlan {
            Some(vlan) => format!("physical network {network_name}, VLAN {vlan}"),
            None => format!("physical network {network_name}"),
        },
        End::Router { port } => format!("router port {port}"),
        End::Other { kind } => format!("port {} ({kind}) {addresses}", port.name),
    })
}
