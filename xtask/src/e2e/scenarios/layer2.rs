//! Pods of a layer2 network reach each other on one segment.

use super::{arriving_request, both_answer};
use crate::Result;
use crate::e2e::lab::{LAYER2, Lab};
use crate::e2e::wait::check;

pub(super) fn run(lab: &mut Lab) -> Result {
    lab.bring_up(&LAYER2)?;
    let pair = lab.pair(&LAYER2)?;
    both_answer(lab, &LAYER2)?;

    let routes = pair.one.namespace.ip("route show")?;
    let one = routes.lines().count() == 1 && routes.starts_with("10.22.0.0/16 dev eth1 ");
    check("nginx1-l2 has the recorded route and no other", one, routes)?;

    let packet = arriving_request(pair)?;
    check(
        "a request reaches nginx2-l2 from the other pod's MAC address, as recorded",
        packet.starts_with("0a:58:0a:16:00:01 > 0a:58:0a:16:00:02, ")
            && packet.contains(" 10.22.0.1 > 10.22.0.2: "),
        packet,
    )
}
