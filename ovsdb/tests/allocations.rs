//! Reading the replica allocates nothing: whatever is looked up, however it is found.

mod support;

use std::fmt::Write as _;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use ovsdb::cache::{Index, OrderedIndex};
use ovsdb::nb::{Database, LogicalSwitch, LogicalSwitchPort as Port, MeterBand, NbGlobal};
use ovsdb::schema::{DatabaseSchema, bundled};
use ovsdb::testing::Replay;
use ovsdb::{Ref, Row, Uuid};
use support::{bundled_server, connect};

const PORTS: u128 = 2000;

/// A replica with so many ports, and one row in each table that has one at the most.
fn replay() -> Replay<Database> {
    let schema = bundled("OVN_Northbound").expect("a bundled schema");
    let schema = DatabaseSchema::parse(schema).expect("a good schema");
    let mut ports = String::new();
    for number in 1..=PORTS {
        let comma = if number == 1 { "" } else { "," };
        let uuid = Uuid::from_u128(number << 64 | number);
        write!(
            ports,
            r#"{comma}"{uuid}":{{"initial":{{"name":"a port with a long name, {number}",
                "addresses":"0a:58:0a:00:00:03 10.0.0.3"}}}}"#
        )
        .expect("written");
    }
    let nil = Uuid::nil();
    let mut replay = Replay::new(&schema);
    let reply = format!(
        r#"{{"id":1,"error":null,"result":[false,"{nil}",{{"Logical_Switch_Port":{{{ports}}},
            "NB_Global":{{"{nil}":{{"initial":{{"nb_cfg":7}}}}}}}}]}}"#
    );
    replay.receive(&reply).expect("a good reply");
    replay
}

/// How many allocations reading takes.
fn allocations(read: impl FnOnce()) -> u64 {
    allocation_counter::measure(read).count_total
}

#[test]
fn a_look_up_allocates_nothing() {
    let replay = replay();
    let view = replay.snapshot();
    let name = format!("a port with a long name, {PORTS}");
    let port = Ref::<Port>::new(Uuid::from_u128(PORTS << 64 | PORTS));
    let read = allocations(|| {
        assert!(view.get(port).is_some());
        assert!(view.get(Ref::<Port>::new(Uuid::nil())).is_none());
        assert_eq!(
            view.get_by(Port::NAME, name.as_str())
                .map(|port| port.reference()),
            Some(port)
        );
        assert!(view.get_by(Port::NAME, "no such port").is_none());
        // Without an index.
        assert!(view.get_by(NbGlobal::NB_CFG, &7).is_some());
        assert!(view.get_by(MeterBand::RATE, &7).is_none());
    });
    assert_eq!(read, 0);
    // What counts does count.
    assert_eq!(allocations(|| drop(name.clone())), 1);
}

#[test]
fn going_through_rows_allocates_nothing() {
    let replay = replay();
    let view = replay.snapshot();
    let read = allocations(|| {
        let size = |port: &Arc<Row<Port>>| port.name.len() + port.addresses.len();
        assert!(view.rows::<Port>().map(size).sum::<usize>() > 2000 * 20);
        assert_eq!(view.rows::<Port>().len(), 2000);
    });
    assert_eq!(read, 0);
}

#[tokio::test]
async fn a_look_up_in_a_declared_index_allocates_nothing() {
    let server = bundled_server("OVN_Northbound");
    let client = connect::<Database>(&server).await;
    let mut txn = client.transaction();
    let port = |number: i64| Port {
        name: format!("port {number:03}").into(),
        tag: Some(number),
        ..Default::default()
    };
    let ports: Vec<_> = (1..=200).map(|number| txn.insert(port(number))).collect();
    txn.insert(LogicalSwitch {
        ports: ports.into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");

    let tag = Index::column(Port::TAG);
    let owner = Index::elements(LogicalSwitch::PORTS);
    let by_name = OrderedIndex::column(Port::NAME);
    let builder = client.cache().index(&tag).index(&owner);
    let cache = builder
        .ordered_index(&by_name)
        .start()
        .await
        .expect("a cache");
    let read = allocations(|| {
        let view = cache.snapshot();
        assert_eq!(view.find(&tag, &Some(7)).len(), 1);
        let ports = view.find(&tag, &Some(7));
        let owners: usize = ports
            .map(|port| view.find(&owner, &port.reference()).count())
            .sum();
        assert_eq!(owners, 1);
        let range = (Included("port 010"), Excluded("port 020"));
        assert_eq!(view.range::<_, _, str>(&by_name, range).count(), 10);
    });
    assert_eq!(read, 0);
    client.close().await;
}
