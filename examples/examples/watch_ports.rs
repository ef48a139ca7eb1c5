//! Prints the ports of logical switches that are inserted, modified and deleted, until it is
//! interrupted.
//!
//!     cargo run -p ovsdb-examples --example watch_ports -- unix:/var/run/ovn/ovnnb_db.sock

use ovsdb::cache::Change;
use ovsdb::nb::{self, LogicalSwitchPort};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a program says what it sees")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let remote = std::env::args().nth(1).ok_or("give a remote")?;
    let client = nb::Client::builder().remotes(remote).connect().await?;
    // Only ports that a pod, a VM or a container uses are replicated.
    let cache = client
        .cache()
        .table_where::<LogicalSwitchPort>(LogicalSwitchPort::TYPE.eq(""))
        .start()
        .await?;

    // All existing ports come first, then the changes. Changes made while there was no connection arrive
    // combined, once it is back.
    let mut changes = cache.changes::<LogicalSwitchPort>();
    while let Some(batch) = changes.next().await {
        for change in &batch {
            match change {
                Change::Inserted(port) => println!("+ {} {:?}", port.name, port.addresses),
                Change::Modified { old, new } if old.up != new.up => {
                    let up = if new.up == Some(true) { "up" } else { "down" };
                    println!("~ {} is {up}", new.name);
                }
                Change::Modified { new, .. } => println!("~ {} {:?}", new.name, new.addresses),
                Change::Deleted(port) => println!("- {}", port.name),
            }
        }
    }
    Ok(())
}
