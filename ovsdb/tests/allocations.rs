//! What the replica allocates: nothing for reading, little for a row, and repeated values once.

mod support;

use std::collections::HashSet;
use std::ops::Bound::{Excluded, Included};

use ovsdb::cache::{Index, OrderedIndex};
use ovsdb::nb::{Database, LogicalSwitch, LogicalSwitchPort as Port, MeterBand, NbGlobal};
use ovsdb::schema::{DatabaseSchema, bundled};
use ovsdb::testing::Replay;
use ovsdb::{Ref, Row, Uuid};
use support::{bundled_server, connect};

const PORTS: u128 = 2000;

/// A replica that has received nothing.
fn empty() -> Replay<Database> {
    let schema = bundled("OVN_Northbound").expect("a bundled schema");
    Replay::new(&DatabaseSchema::parse(schema).expect("a good schema"))
}

/// The first reply, with these tables.
fn reply(tables: &str) -> String {
    let nil = Uuid::nil();
    format!(r#"{{"id":1,"error":null,"result":[false,"{nil}",{{{tables}}}]}}"#)
}

/// This many rows of an object, made from their numbers.
fn rows(count: u128, row: impl Fn(u128) -> String) -> String {
    let rows = (1..=count).map(|number| {
        let uuid = Uuid::from_u128(number << 64 | number);
        format!(r#""{uuid}":{}"#, row(number))
    });
    rows.collect::<Vec<_>>().join(",")
}

/// A replica with [`PORTS`] ports, and the row of `NB_Global`.
fn replay() -> Replay<Database> {
    let ports = rows(PORTS, |number| {
        format!(
            r#"{{"initial":{{"name":"a port with a long name, {number}",
                "addresses":"0a:58:0a:00:00:03 10.0.0.3"}}}}"#
        )
    });
    let nil = Uuid::nil();
    let mut replay = empty();
    let tables = format!(
        r#""Logical_Switch_Port":{{{ports}}},"NB_Global":{{"{nil}":{{"initial":{{"nb_cfg":7}}}}}}"#
    );
    replay.receive(&reply(&tables)).expect("a good reply");
    replay
}

/// How many bytes are allocated and kept.
fn bytes_kept(keep: impl FnOnce()) -> i64 {
    allocation_counter::measure(keep).bytes_current
}

/// How many allocations reading makes.
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
            view.get_by(Port::NAME, name.as_str()).map(Row::reference),
            Some(port)
        );
        assert!(view.get_by(Port::NAME, "no such port").is_none());
        // Without an index.
        assert_eq!(view.scan_by(NbGlobal::NB_CFG, &7).count(), 1);
        assert_eq!(view.scan_by(MeterBand::RATE, &7).count(), 0);
    });
    assert_eq!(read, 0);
    // The counter does count.
    assert_eq!(allocations(|| drop(name.clone())), 1);
}

#[test]
fn a_scan_allocates_nothing() {
    let replay = replay();
    let view = replay.snapshot();
    let read = allocations(|| {
        let size = |port: &Row<Port>| port.name.len() + port.addresses.len();
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
    let builder = builder.index_references_to::<Port>();
    let cache = builder
        .ordered_index(&by_name)
        .start()
        .await
        .expect("a cache");
    let read = allocations(|| {
        let view = cache.snapshot();
        assert_eq!(view.find(&tag, &Some(7)).len(), 1);
        assert!(view.get_by(&tag, &Some(7)).is_some());
        let ports = view.find(&tag, &Some(7));
        let owners: usize = ports
            .map(|port| view.find(&owner, &port.reference()).count())
            .sum();
        assert_eq!(owners, 1);
        let mut ports = view.find(&tag, &Some(7));
        let port = ports.next().expect("a port");
        assert_eq!(view.referrers::<LogicalSwitch>(port).count(), 1);
        let range = (Included("port 010"), Excluded("port 020"));
        assert_eq!(view.range::<_, _, str>(&by_name, range).count(), 10);
    });
    assert_eq!(read, 0);
    client.close().await;
}

/// A row must take fewer bytes than this. The C IDL of Open vSwitch 3.1 takes 6,600 bytes of memory for such
/// a row (benches/README.md: 664 MB for 100,000 ports).
const MOST_BYTES_A_ROW: i64 = 1000;

#[test]
fn a_row_takes_few_bytes() {
    // As OVN-Kubernetes writes the ports of pods on a network.
    let ports = rows(PORTS, |number| {
        let (high, low) = (number / 250, number % 250);
        let address = format!("0a:58:0a:80:{high:02x}:{low:02x} 10.128.{high}.{low}");
        format!(
            r#"{{"initial":{{"name":"tenant_network_namespace_pod-{number:05}",
                "addresses":"{address}","port_security":"{address}",
                "external_ids":["map",[["k8s.ovn.org/nad","namespace/tenant-network"],
                    ["k8s.ovn.org/network","tenant-network"],["k8s.ovn.org/topology","layer3"],
                    ["namespace","namespace"],["pod","true"]]],
                "options":["map",[["iface-id-ver","{number:036}"],["requested-chassis","node-{high:03}"]]],
                "type":"","enabled":["set",[]],"up":true}}}}"#
        )
    });
    let reply = reply(&format!(r#""Logical_Switch_Port":{{{ports}}}"#));
    let mut replay = empty();
    let kept = bytes_kept(|| replay.receive(&reply).expect("a good reply"));
    let each = kept / i64::try_from(PORTS).expect("a small number");
    assert!(
        (200..MOST_BYTES_A_ROW).contains(&each),
        "{each} bytes a row"
    );
}

#[test]
fn sets_of_references_that_repeat_are_kept_once() {
    const SWITCHES: u128 = 100;
    const BALANCERS: u128 = 1000;
    let set = |range: std::ops::RangeInclusive<u128>| {
        let uuids = range.map(|number| format!(r#"["uuid","{}"]"#, Uuid::from_u128(number)));
        format!(r#"["set",[{}]]"#, uuids.collect::<Vec<_>>().join(","))
    };
    // All have the same load balancers, and different ports.
    let switches = rows(SWITCHES, |number| {
        let (balancers, ports) = (set(1..=BALANCERS), set(number * 1000..=number * 1000 + 9));
        format!(
            r#"{{"initial":{{"name":"switch {number}","load_balancer":{balancers},"ports":{ports}}}}}"#
        )
    });
    let reply = reply(&format!(r#""Logical_Switch":{{{switches}}}"#));
    let mut replay = empty();
    let kept = bytes_kept(|| replay.receive(&reply).expect("a good reply"));
    let one = i64::try_from(BALANCERS * 16).expect("a small number");
    assert!((one..20 * one).contains(&kept), "{kept} bytes");
    let addresses = |replay: &Replay<Database>| {
        let view = replay.snapshot();
        let sets = view.rows::<LogicalSwitch>();
        let addresses: HashSet<_> = sets.map(|switch| switch.load_balancer.as_ptr()).collect();
        addresses.len()
    };
    // There may be several copies: at the first occurrence only the hash of the set is kept, and other sets
    // may evict the hash.
    assert!(addresses(&replay) < 10);

    // After each set was changed separately, they still share two copies.
    let change = rows(SWITCHES, |_| {
        let change = set(BALANCERS..=BALANCERS + 1);
        format!(r#"{{"modify":{{"load_balancer":{change}}}}}"#)
    });
    let nil = Uuid::nil();
    let update = format!(
        r#"{{"id":null,"method":"update3","params":[1,"{nil}",{{"Logical_Switch":{{{change}}}}}]}}"#
    );
    let more = bytes_kept(|| replay.receive(&update).expect("a good update"));
    assert!(more < 20 * one, "{more} bytes more");
    assert_eq!(addresses(&replay), 2);
    let view = replay.snapshot();
    for switch in view.rows::<LogicalSwitch>() {
        let last = switch.load_balancer.last().map(|balancer| balancer.uuid());
        assert_eq!(last, Some(Uuid::from_u128(BALANCERS + 1)));
        assert_eq!(switch.load_balancer.len(), 1000);
        assert_eq!(switch.ports.len(), 10);
    }
}
