//! No packets pass from one network to another.
//!
//! A pod sends to a pod of another network on the same node: to its MAC address, as if it were on the same
//! segment, and through the router, if the sender's network has one. Then packets of another length are sent
//! within that other network; their arrival shows that the capture would have seen the first ones.

use crate::Result;
use crate::e2e::capture::Capture;
use crate::e2e::lab::{LAYER2, LAYER3, LOCALNET, Lab, Network};
use crate::e2e::pod::Pod;
use crate::e2e::wait::{check, eventually};

pub(super) fn run(lab: &mut Lab) -> Result {
    let networks = [&LAYER3, &LAYER2, &LOCALNET];
    for network in networks {
        lab.bring_up(network)?;
    }
    for from in networks {
        for to in networks {
            if from.manifest != to.manifest {
                nothing_passes(lab, from, to)?;
            }
        }
    }
    Ok(())
}

fn nothing_passes(lab: &Lab, from: &Network, to: &Network) -> Result {
    let (sender, target) = (lab.pair(from)?.one, lab.pair(to)?.one);
    let friend = lab.pair(to)?.two;
    let capture = Capture::start(&target.namespace, "eth1", "-Q in icmp")?;

    let address = target.address()?;
    for next_hop in next_hops(sender, target)? {
        sender
            .namespace
            .ip(&format!("route add {address}/32 {next_hop}"))?;
        for _ in 0..3 {
            sender.ping(address, "-s 100 -W 0.2")?;
        }
        sender.namespace.ip(&format!("route del {address}/32"))?;
    }
    sender
        .namespace
        .ip("neighbour flush dev eth1 nud permanent")?;

    eventually("an answer", || friend.ping(address, ""))?;
    capture.wait_for(&["ICMP echo request", "length 64"])?;
    let packets = capture.packets();
    let passed = packets.contains("length 108");
    let what = format!("nothing passes from {} to {}", sender.name(), target.name());
    check(&what, !passed, packets)
}

/// The routes to a pod of another network: directly, as to a neighbour, and through the router, if any.
fn next_hops(sender: &Pod, target: &Pod) -> Result<Vec<String>> {
    let (address, mac) = (target.address()?, target.attachment.grant.mac);
    let neighbour = format!("neighbour replace {address} lladdr {mac} dev eth1 nud permanent");
    sender.namespace.ip(&neighbour)?;
    let routers = sender.attachment.grant.routes.iter();
    let mut hops: Vec<_> = routers
        .filter_map(|route| route.next_hop)
        .map(|router| format!("via {router} dev eth1"))
        .collect();
    hops.push("dev eth1 scope link".to_owned());
    Ok(hops)
}
