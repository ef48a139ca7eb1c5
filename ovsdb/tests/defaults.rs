//! The values that a server gives to columns that an insert omits, and does not send.

mod support;

use ovsdb::transaction::BuildError;
use ovsdb::{
    Client, CommitError, MonitorVersion, Ref, Row, Set, Str, Transaction, Uuid, nb, vswitch,
};
use support::replica::same_as_dump;
use support::{bundled_server, connect};

const VERSIONS: [MonitorVersion; 3] = [
    MonitorVersion::Monitor,
    MonitorVersion::MonitorCond,
    MonitorVersion::MonitorCondSince,
];

#[tokio::test]
async fn a_set_of_at_least_one_begins_with_the_server_s_default() {
    let server = bundled_server("OVN_Northbound");
    let client: Client<nb::Database> = connect(&server).await;
    let mut caches = Vec::new();
    for version in VERSIONS {
        let cache = client.cache().table::<nb::ForwardingGroup>();
        let cache = cache.newest_monitor(version).start().await;
        caches.push(cache.expect("a cache"));
    }
    let mut txn = client.transaction();
    let group = txn.insert(nb::ForwardingGroup {
        name: "group".into(),
        vip: "192.0.2.1".into(),
        vmac: "02:00:00:00:00:01".into(),
        ..Default::default()
    });
    txn.insert(nb::LogicalSwitch {
        name: "switch".into(),
        forwarding_groups: [group].into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    for cache in &caches {
        let row = cache.snapshot().get(group).expect("the row").clone();
        assert_eq!(row.child_port, [""].into(), "{:?}", cache.monitor_version());
        same_as_dump(cache, &server).await;
    }
    let row = caches[2].snapshot().get(group).expect("the row").clone();
    let mut txn = client.transaction();
    txn.verify(&row, nb::ForwardingGroup::CHILD_PORT);
    txn.mutate(group)
        .insert(nb::ForwardingGroup::CHILD_PORT, ["p1"])
        .delete(nb::ForwardingGroup::CHILD_PORT, [""]);
    txn.commit().await.expect("the row is as it was read");
    for cache in &caches {
        let row = cache.snapshot().get(group).expect("the row").clone();
        assert_eq!(
            row.child_port,
            ["p1"].into(),
            "{:?}",
            cache.monitor_version()
        );
        same_as_dump(cache, &server).await;
        assert_eq!(cache.stats().resyncs, 0);
    }
}

#[tokio::test]
async fn the_default_of_a_generated_table_is_what_the_server_stores() {
    assert_eq!(nb::ForwardingGroup::default().child_port, [""].into());
    assert_eq!(vswitch::NetFlow::default().targets, [""].into());
    // A reference has no default: the server refuses the row.
    assert_eq!(vswitch::Port::default().interfaces, Set::new());

    let server = bundled_server("Open_vSwitch");
    let client: Client<vswitch::Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut txn = client.transaction();
    let netflow = txn.insert(vswitch::NetFlow::default());
    let sflow = txn.insert(vswitch::SFlow::default());
    let bridge = txn.insert(vswitch::Bridge {
        name: "br0".into(),
        netflow: Some(netflow),
        sflow: Some(sflow),
        ..Default::default()
    });
    txn.insert(vswitch::OpenVSwitch {
        bridges: [bridge].into(),
        ..Default::default()
    });
    assert!(
        txn.operations()
            .iter()
            .all(|operation| !format!("{operation:?}").contains("targets")),
        "a default is left to the server"
    );
    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    let (netflow, sflow) = (view.get(netflow), view.get(sflow));
    assert_eq!(
        netflow.map(Row::columns),
        Some(&vswitch::NetFlow::default())
    );
    assert_eq!(sflow.map(Row::columns), Some(&vswitch::SFlow::default()));
    same_as_dump(&cache, &server).await;
}

#[tokio::test]
async fn a_value_that_the_server_s_type_cannot_hold_is_not_sent() {
    let server = bundled_server("Open_vSwitch");
    let client: Client<vswitch::Database> = connect(&server).await;
    let count = |build: &dyn Fn(&mut Transaction<vswitch::Database>)| {
        let mut txn = client.transaction();
        build(&mut txn);
        async {
            match txn.commit().await {
                Err(CommitError::Build(BuildError::Count {
                    table,
                    column,
                    count,
                    ..
                })) => {
                    format!("{table}.{column}: {count}")
                }
                other => panic!("{other:?}"),
            }
        }
    };
    let empty = || vswitch::NetFlow {
        targets: Set::new(),
        ..Default::default()
    };
    let inserted = count(&|txn| {
        txn.insert(empty());
    })
    .await;
    assert_eq!(inserted, "NetFlow.targets: 0");
    let inserted = count(&|txn| {
        txn.insert(vswitch::Port::default());
    })
    .await;
    assert_eq!(inserted, "Port.interfaces: 0");
    let row = Ref::<vswitch::NetFlow>::new(Uuid::from_u128(1));
    let updated = count(&|txn| {
        txn.update(row)
            .set(vswitch::NetFlow::TARGETS, Set::<Str>::new());
    });
    assert_eq!(updated.await, "NetFlow.targets: 0");
    let awaited = count(&|txn| {
        let wait = txn.wait(row).comparing(vswitch::NetFlow::TARGETS);
        wait.until([empty()]);
    });
    assert_eq!(awaited.await, "NetFlow.targets: 0");
    let error = BuildError::Count {
        table: "NetFlow",
        column: "targets",
        count: 0,
        least: 1,
        most: None,
    };
    assert_eq!(
        error.to_string(),
        "column NetFlow.targets holds 0 values, but must hold at least 1 value by the server's schema"
    );
}

#[derive(Debug, Clone, PartialEq, ovsdb::Table)]
#[ovsdb(
    database = vswitch::Database,
    table = "NetFlow",
    schema = "Open_vSwitch",
    default = true
)]
struct Exporter {
    targets: Set<Str>,
    engine_id: Option<i64>,
    /// Wider than the schema's integer.
    active_timeout: Option<i64>,
}

#[test]
fn the_default_that_the_derive_writes_is_what_the_server_stores() {
    let expected = Exporter {
        targets: [""].into(),
        engine_id: None,
        active_timeout: Some(0),
    };
    assert_eq!(Exporter::default(), expected);
}
