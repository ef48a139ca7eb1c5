//! Inserts a logical switch with a port, unless a switch with this name exists.
//!
//!     cargo run -p ovsdb-examples --example insert_switch -- unix:/var/run/ovn/ovnnb_db.sock sw0

use ovsdb::cache::Index;
use ovsdb::nb::{self, LogicalSwitch, LogicalSwitchPort};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a program says what it did")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(remote), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("give a remote and a name".into());
    };
    let client = nb::Client::builder().remotes(remote).connect().await?;
    // The schema has no index over the names of switches.
    let by_name = Index::column(LogicalSwitch::NAME);
    let cache = client.cache().index(&by_name).start().await?;

    // The closure is run again if another client inserts a switch with this name meanwhile.
    let (switch, _) = client
        .edit(&cache, |view, txn| {
            if let Some(switch) = view.get_by(&by_name, name.as_str()) {
                return switch.reference();
            }
            let port = txn.insert(LogicalSwitchPort {
                name: format!("{name}-port").into(),
                addresses: ["0a:58:0a:00:00:02 10.0.0.2"].into(),
                ..Default::default()
            });
            let switch = LogicalSwitch {
                name: name.as_str().into(),
                ports: [port].into(),
                other_config: [("subnet", "10.0.0.0/24")].into(),
                ..Default::default()
            };
            // The schema does not keep names unique; this guard does.
            let guard = txn.wait(LogicalSwitch::NAME.eq(name.as_str()));
            guard
                .comparing(LogicalSwitch::NAME)
                .until_not([switch.clone()]);
            txn.insert(switch)
        })
        .await?;

    // When the commit resolves, the replica shows the new row.
    let view = cache.snapshot();
    let row = view
        .get(switch)
        .ok_or("another client has deleted the switch")?;
    println!("{} {} has {} ports", row.uuid(), row.name, row.ports.len());
    Ok(())
}
