//! A detached pod is cut off, and the database shows that. After it is attached again, it answers again.

use crate::Result;
use crate::e2e::lab::{LAYER2, Lab};
use crate::e2e::wait::becomes;

pub(super) fn run(lab: &mut Lab) -> Result {
    lab.bring_up(&LAYER2)?;
    let pair = lab.pair(&LAYER2)?;
    let (pod, to) = (pair.two, pair.two.address()?);
    let node = lab.cluster.node(pod.node)?;
    let answers = || pair.one.ping(to, "").map(|ttl| ttl.is_some());

    pod.detach(node, &lab.multihoming)?;
    becomes("a detached pod is down", || Ok(!lab.is_up(pod)?))?;
    becomes("and does not answer", || Ok(!answers()?))?;
    pod.attach(node, &lab.multihoming)?;
    becomes("after it is attached again, it is up", || lab.is_up(pod))?;
    becomes("and answers", answers)
}
