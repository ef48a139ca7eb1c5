//! Pods of a layer3 network reach each other through the router.

use super::{arriving_request, both_answer};
use crate::Result;
use crate::e2e::lab::{LAYER3, Lab};
use crate::e2e::wait::{check, eventually};

pub(super) fn run(lab: &mut Lab) -> Result {
    lab.bring_up(&LAYER3)?;
    let pair = lab.pair(&LAYER3)?;
    both_answer(lab, &LAYER3)?;

    let routes = pair.one.namespace.ip("route show")?;
    let routes: Vec<&str> = routes.lines().map(str::trim).collect();
    check(
        "nginx1-l3 has the recorded routes",
        routes.len() == 2
            && routes.contains(&"10.33.0.0/16 via 10.33.2.1 dev eth1")
            && routes
                .iter()
                .any(|r| r.starts_with("10.33.2.0/24 dev eth1 ")),
        routes.join("\n"),
    )?;

    let packet = arriving_request(pair)?;
    check(
        "a request reaches nginx2-l3 from the router's MAC address, as recorded",
        packet.starts_with("0a:58:0a:21:01:01 > 0a:58:0a:21:01:03, ")
            && packet.contains(" 10.33.2.3 > 10.33.1.3: "),
        packet,
    )?;

    // 1,400 bytes minus the headers of IP and ICMP.
    let full = eventually("an answer to a full packet", || {
        pair.one.ping(pair.two.address()?, "-M do -s 1372")
    });
    check(
        "a packet as long as the network's MTU passes",
        full.is_ok(),
        "no answer",
    )?;
    let longer = pair.one.ping(pair.two.address()?, "-M do -s 1373")?;
    check(
        "a longer one does not leave the pod",
        longer.is_none(),
        "an answer",
    )
}
