//! Packets of a localnet network with vlanID carry the VLAN tag on the wire.

use super::both_answer;
use crate::Result;
use crate::e2e::capture::Capture;
use crate::e2e::lab::{Lab, VLAN};
use crate::e2e::wait::{check, eventually};

pub(super) fn run(lab: &mut Lab) -> Result {
    lab.bring_up(&VLAN)?;
    let pair = lab.pair(&VLAN)?;
    both_answer(lab, &VLAN)?;

    // The other end of the cable of the first pod's node.
    let physical = &lab.cluster.physical;
    let wire = Capture::start(physical, pair.one.node, "")?;
    let inside = Capture::start(&pair.two.namespace, "eth1", "")?;
    let (one, two) = (pair.one.address()?, pair.two.address()?);
    eventually("an answer", || pair.one.ping(two, ""))?;
    let request = format!("{one} > {two}: ICMP echo request");
    let tagged = wire.wait_for(&[&request])?;
    check(
        "a request has the tag 100 on the wire",
        tagged.contains(" vlan 100,"),
        tagged,
    )?;
    let plain = inside.wait_for(&[&request])?;
    check("and no tag in the pod", !plain.contains("vlan"), plain)?;
    let packets = wire.packets();
    let untagged = packets
        .lines()
        .any(|line| line.contains("192.168.200.") && !line.contains(" vlan 100,"));
    check(
        "every packet of the network has the tag",
        !untagged,
        packets,
    )
}
