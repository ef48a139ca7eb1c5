//! Packets with a MAC or an IP address that is not the pod's are dropped.
//!
//! Genuine packets of another length are sent after the forged ones. Their arrival shows that the capture
//! would have seen the forged ones.

use std::net::{IpAddr, Ipv4Addr};

use crate::Result;
use crate::e2e::capture::Capture;
use crate::e2e::lab::{LAYER2, LAYER3, LOCALNET, Lab, Network};
use crate::e2e::wait::{check, eventually};

pub(super) fn run(lab: &mut Lab) -> Result {
    for network in [&LAYER3, &LAYER2, &LOCALNET] {
        lab.bring_up(network)?;
        forged_packets_are_dropped(lab, network)?;
    }
    Ok(())
}

fn forged_packets_are_dropped(lab: &Lab, network: &Network) -> Result {
    let pair = lab.pair(network)?;
    let (forger, target) = (&pair.one.namespace, pair.two.address()?);
    let capture = Capture::start(&pair.two.namespace, "eth1", "-Q in icmp")?;

    // The pod must know the MAC address of its next hop beforehand, since a forger's ARP requests are not
    // answered.
    let router = pair.one.attachment.grant.routes.first();
    let next_hop = router.and_then(|route| route.next_hop).unwrap_or(target);
    eventually("an answer", || pair.one.ping(target, ""))?;
    let known = neighbour(&forger.ip(&format!("neighbour show {next_hop} dev eth1"))?)?;
    let remember = format!("neighbour replace {next_hop} lladdr {known} dev eth1 nud permanent");

    forger.ip("link set eth1 address 0a:58:de:ad:be:ef")?;
    forger.ip(&remember)?;
    for _ in 0..3 {
        pair.one.ping(target, "-s 100 -W 0.2")?;
    }
    let mac = pair.one.attachment.grant.mac;
    forger.ip(&format!("link set eth1 address {mac}"))?;

    let other = another_address(pair.one.address()?)?;
    forger.ip(&format!("address add {other}/32 dev eth1"))?;
    forger.ip(&remember)?;
    for _ in 0..3 {
        pair.one
            .ping(target, &format!("-s 200 -W 0.2 -I {other}"))?;
    }
    forger.ip(&format!("address del {other}/32 dev eth1"))?;
    forger.ip(&format!("neighbour del {next_hop} dev eth1"))?;

    // Genuine packets, with another length.
    eventually("an answer", || pair.one.ping(target, "-s 300"))?;
    capture.wait_for(&["ICMP echo request", "length 308"])?;
    let packets = capture.packets();
    let name = pair.one.name();
    for (forged, length) in [("MAC", "length 108"), ("IP", "length 208")] {
        let what = format!("packets of {name} with a forged {forged} address are dropped");
        check(&what, !packets.contains(length), &packets)?;
    }
    Ok(())
}

/// The MAC address in a line of `ip neighbour show`.
fn neighbour(line: &str) -> Result<String> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "lladdr");
    let mac = words
        .nth(1)
        .ok_or_else(|| format!("no neighbour: {line}"))?;
    Ok(mac.to_owned())
}

/// An address of the same subnet that no pod has.
fn another_address(address: IpAddr) -> Result<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ok(Ipv4Addr::new(a, b, c, 77))
        }
        IpAddr::V6(address) => Err(format!("{address} is not an IPv4 address").into()),
    }
}
