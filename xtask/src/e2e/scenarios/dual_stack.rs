//! Pods of a dual-stack layer3 network reach each other over IPv4 and IPv6.

use super::both_answer;
use crate::Result;
use crate::e2e::lab::{DUAL_STACK, Lab};
use crate::e2e::wait::{check, eventually};

pub(super) fn run(lab: &mut Lab) -> Result {
    lab.bring_up(&DUAL_STACK)?;
    both_answer(lab, &DUAL_STACK)?;
    let pair = lab.pair(&DUAL_STACK)?;
    for (from, to) in [(pair.one, pair.two), (pair.two, pair.one)] {
        let addresses = &to.attachment.grant.addresses;
        let address = addresses.get(1).ok_or("a pod without a second address")?;
        let limit = eventually("an answer", || from.ping(address.addr(), ""))?;
        let what = format!(
            "{} pings {} at {}: hop limit 63",
            from.name(),
            to.name(),
            address.addr()
        );
        check(&what, address.addr().is_ipv6() && limit == 63, limit)?;
    }
    Ok(())
}
