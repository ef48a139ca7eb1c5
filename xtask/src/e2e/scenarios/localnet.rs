//! Pods of a localnet network reach each other, the nodes and the physical network.

use super::{arriving_request, both_answer};
use crate::Result;
use crate::e2e::cluster::HOST;
use crate::e2e::lab::{LOCALNET, Lab};
use crate::e2e::pod::ping;
use crate::e2e::wait::{check, eventually};

pub(super) fn run(lab: &mut Lab) -> Result {
    lab.bring_up(&LOCALNET)?;
    let pair = lab.pair(&LOCALNET)?;
    both_answer(lab, &LOCALNET)?;

    for node in &lab.cluster.nodes {
        let name = node.place.name;
        let ports = node.ports()?;
        let patch = "patch-localnet.network_ovn_localnet_port-to-br-int";
        let patched = ports.iter().any(|port| port == patch);
        let (what, expected) = if [pair.one.node, pair.two.node].contains(&name) {
            (format!("{name} has the recorded patch port"), true)
        } else {
            (format!("{name}, without a pod, has no patch port"), false)
        };
        check(&what, patched == expected, ports.join("\n"))?;
    }

    let routes = pair.one.namespace.ip("route show")?;
    let one = routes.lines().count() == 1 && routes.starts_with("192.168.100.0/24 dev eth1 ");
    check("nginx1-lo has the recorded route and no other", one, routes)?;

    let packet = arriving_request(pair)?;
    check(
        "a request reaches nginx2-lo from the other pod's MAC address, as recorded",
        packet.starts_with("0a:58:c0:a8:64:04 > 0a:58:c0:a8:64:05, ")
            && packet.contains(" 192.168.100.4 > 192.168.100.5: "),
        packet,
    )?;

    let nodes = lab.cluster.nodes.iter();
    let nodes = nodes.map(|node| (node.place.name, node.place.physical));
    for (name, address) in nodes.chain([("a host of the physical network", HOST)]) {
        let ttl = eventually(name, || pair.one.ping(address, ""))?;
        check(
            &format!("nginx1-lo on work001 pings {name}: ttl 64"),
            ttl == 64,
            ttl,
        )?;
    }
    let ttl = eventually("an answer", || {
        ping(&lab.cluster.host, pair.two.address()?, "")
    })?;
    check("the host pings nginx2-lo: ttl 64", ttl == 64, ttl)
}
