//! The scenarios, one in each file.

mod bandwidth;
mod deletion;
mod detach;
mod dual_stack;
mod isolation;
mod layer2;
mod layer3;
mod localnet;
mod policy;
mod spoofing;
mod vlan;

use std::time::Instant;

use clap::ValueEnum;

use super::capture::Capture;
use super::lab::{Lab, Network, Pair};
use super::wait::{becomes, check, eventually};
use crate::Result;

/// The scenarios, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// Pods of a layer3 network reach each other through the router
    Layer3,
    /// Pods of a layer2 network reach each other on one segment
    Layer2,
    /// Pods of a localnet network reach each other, the nodes and the physical network
    Localnet,
    /// Pods of a dual-stack network reach each other over IPv4 and IPv6
    DualStack,
    /// Packets of a localnet network with vlanID carry the VLAN tag on the wire
    Vlan,
    /// No packets pass from one network to another
    Isolation,
    /// Packets with a MAC or an IP address that is not the pod's are dropped
    Spoofing,
    /// A MultiNetworkPolicy allows TCP to port 80, and nothing else
    Policy,
    /// A limit on what a pod receives reaches the kernel
    Bandwidth,
    /// A detached pod is cut off, and answers again after it is attached again
    Detach,
    /// No packets pass after a network is deleted
    Deletion,
}

/// Runs these scenarios, or all of them if the list is empty.
pub(super) fn run(lab: &mut Lab, scenarios: &[Scenario]) -> Result {
    let chosen = match scenarios {
        [] => Scenario::value_variants(),
        chosen => chosen,
    };
    for scenario in chosen {
        let value = scenario.to_possible_value().ok_or("a hidden scenario")?;
        let name = value.get_name();
        println!("{name}");
        let start = Instant::now();
        let run = match scenario {
            Scenario::Layer3 => layer3::run,
            Scenario::Layer2 => layer2::run,
            Scenario::Localnet => localnet::run,
            Scenario::DualStack => dual_stack::run,
            Scenario::Vlan => vlan::run,
            Scenario::Isolation => isolation::run,
            Scenario::Spoofing => spoofing::run,
            Scenario::Policy => policy::run,
            Scenario::Bandwidth => bandwidth::run,
            Scenario::Detach => detach::run,
            Scenario::Deletion => deletion::run,
        };
        run(lab).map_err(|error| format!("{name}: {error}"))?;
        println!("  took {:.1} s", start.elapsed().as_secs_f32());
    }
    Ok(())
}

/// Pings from both ends, and checks the time to live of the replies, and what the database shows for
/// the ports.
fn both_answer(lab: &Lab, network: &Network) -> Result {
    let pair = lab.pair(network)?;
    for (from, to) in [(pair.one, pair.two), (pair.two, pair.one)] {
        let ttl = eventually("an answer", || from.ping(to.address()?, ""))?;
        let what = format!(
            "{} on {} pings {} on {}: ttl {}",
            from.name(),
            from.node,
            to.name(),
            to.node,
            network.ttl
        );
        check(&what, from.node != to.node && ttl == network.ttl, ttl)?;
    }
    becomes("the database has both ports up", || {
        Ok(lab.is_up(pair.one)? && lab.is_up(pair.two)?)
    })
}

/// A ping request of the first pod, as it arrives at the second.
fn arriving_request(pair: Pair<'_>) -> Result<String> {
    let capture = Capture::start(&pair.two.namespace, "eth1", "-Q in icmp")?;
    eventually("an answer", || pair.one.ping(pair.two.address()?, ""))?;
    capture.wait_for(&["ICMP echo request"])
}
