//! Keeps an entry in a node's `ovn-bridge-mappings` until it is interrupted, even while other clients edit
//! the mappings.
//!
//!     cargo run -p ovsdb-examples --example bridge_mappings -- \
//!         unix:/var/run/openvswitch/db.sock physnet br-out

use ovsdb::vswitch::{self, OpenVSwitch};

const KEY: &str = "ovn-bridge-mappings";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(remote), Some(network), Some(bridge)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("give a remote, a network and a bridge".into());
    };
    let client = vswitch::Client::builder().remotes(remote).connect().await?;
    let cache = client.cache().table::<OpenVSwitch>().start().await?;
    let mut changes = cache.changes::<OpenVSwitch>();
    while changes.next().await.is_some() {
        client
            .edit(&cache, |view, txn| {
                for node in view.rows::<OpenVSwitch>() {
                    let current = node.external_ids.get(KEY).map_or("", |text| text.as_str());
                    let wanted = with_entry(current, &network, &bridge);
                    if wanted != current {
                        // If another client edits the ids meanwhile, the commit fails, and the closure
                        // runs again.
                        txn.verify(node, OpenVSwitch::EXTERNAL_IDS);
                        txn.mutate(node)
                            .set_keys(OpenVSwitch::EXTERNAL_IDS, [(KEY, wanted)]);
                    }
                }
            })
            .await?;
    }
    Ok(())
}

/// The mappings with this network's entry set, and all others unchanged.
fn with_entry(mappings: &str, network: &str, bridge: &str) -> String {
    let others = mappings.split(',').filter(|entry| {
        !entry.is_empty() && entry.split_once(':').map(|(name, _)| name) != Some(network)
    });
    let own = format!("{network}:{bridge}");
    others.chain([own.as_str()]).collect::<Vec<_>>().join(",")
}
