//! A limit on what a pod receives reaches the queueing discipline of its interface in the kernel.

use crate::Result;
use crate::command::output;
use crate::e2e::lab::{LAYER2, Lab};
use crate::e2e::wait::becomes;

pub(super) fn run(lab: &mut Lab) -> Result {
    lab.bring_up(&LAYER2)?;
    let pod = lab.pair(&LAYER2)?.two;
    let node = lab.cluster.node(pod.node)?;
    let (remote, interface) = (node.remote(), &pod.host_interface);
    let limit = |options: &str| {
        let command = format!("node --ovs {remote} bandwidth {interface} {options}");
        lab.multihoming.run(&command)
    };
    // The class that the switch creates for the whole interface.
    let is_limited = |rate: &str| {
        let mut command = node.namespace.command("tc");
        let classes = output(command.args(["class", "show", "dev", interface]))?;
        Ok(classes.contains("htb") && classes.contains(rate))
    };
    limit("--ingress 10M")?;
    becomes("a pod receives at most 10 Mbit/s", || {
        is_limited("ceil 10Mbit")
    })?;
    limit("--ingress 20M")?;
    becomes("then at most 20 Mbit/s", || is_limited("ceil 20Mbit"))?;
    limit("")?;
    becomes("then without a limit", || Ok(!is_limited("")?))
}
