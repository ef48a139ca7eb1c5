//! After a network is deleted, no packets pass, and nothing is left of it in the databases.

use crate::Result;
use crate::e2e::capture::Capture;
use crate::e2e::lab::{DUAL_STACK, LAYER2, LAYER3, LOCALNET, Lab, Network, VLAN};
use crate::e2e::wait::{becomes, check, eventually};

pub(super) fn run(lab: &mut Lab) -> Result {
    let networks = [&DUAL_STACK, &VLAN, &LOCALNET, &LAYER2, &LAYER3];
    for network in networks {
        lab.bring_up(network)?;
    }
    for (index, network) in networks.iter().enumerate() {
        silence(lab, network)?;
        // Other networks are not affected.
        if let Some(next) = networks.get(index + 1) {
            let pair = lab.pair(next)?;
            eventually("an answer on another network", || {
                pair.one.ping(pair.two.address()?, "")
            })?;
        }
    }
    for network in networks {
        lab.end_pods(network)?;
    }
    nothing_is_left(lab)
}

/// Checks that no rows and ports of the networks are left.
fn nothing_is_left(lab: &Lab) -> Result {
    for (database, table) in [
        ("OVN_Northbound", "Logical_Switch"),
        ("OVN_Northbound", "Logical_Router"),
        ("OVN_Southbound", "Datapath_Binding"),
        ("OVN_Southbound", "Port_Binding"),
    ] {
        becomes(&format!("the table {table} is empty"), || {
            Ok(lab.cluster.rows(database, table)?.is_empty())
        })?;
    }
    for node in &lab.cluster.nodes {
        let name = node.place.name;
        // The three bridges, two uplinks, and a tunnel to each of the two other nodes.
        becomes(
            &format!("{name} has only the ports that it had at first"),
            || Ok(node.ports()?.len() == 3 + 2 + 2),
        )?;
    }
    Ok(())
}

fn silence(lab: &Lab, network: &Network) -> Result {
    lab.northbound("delete", &[network.manifest])?;
    let pair = lab.pair(network)?;
    let to = pair.two.address()?;
    eventually("no answer", || {
        Ok(pair.one.ping(to, "")?.is_none().then_some(()))
    })?;
    let capture = Capture::start(&pair.two.namespace, "eth1", "-Q in")?;
    for _ in 0..3 {
        pair.one.ping(to, "-W 0.2")?;
    }
    let packets = capture.packets();
    let what = format!(
        "no packets after the deletion of {}",
        pair.one.attachment.network
    );
    check(&what, packets.is_empty(), packets)
}
