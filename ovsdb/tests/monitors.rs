//! The replica on real servers: every monitor method, schema skew, large loads, and commits that are
//! visible when they resolve.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use ovsdb::testing::Server;
use ovsdb::{Cache, Client, Error, MonitorVersion, Row, Skew, Uuid, nb};
use support::inventory::{Database, Item, ItemOnly, Part};
use support::{bundled_server, connect, inventory_server};

const VERSIONS: [MonitorVersion; 3] = [
    MonitorVersion::Monitor,
    MonitorVersion::MonitorCond,
    MonitorVersion::MonitorCondSince,
];

fn item(name: &str) -> Item {
    let total = name
        .bytes()
        .fold(7_i64, |sum, byte| sum * 31 + i64::from(byte));
    Item {
        name: name.into(),
        total,
        only: ItemOnly::Sole,
        ..Default::default()
    }
}

/// Compares the replica with a select on the server: the items by uuid, and the number of parts. The indexes
/// must find each item.
async fn same_as_the_server(client: &Client<Database>, cache: &Cache<Database>) {
    let mut txn = client.transaction();
    let items = txn.select::<Item>(Item::NAME.ne(""));
    let parts = txn.select::<Part>(Part::LABEL.ne("no part"));
    let outcome = txn.commit().await.expect("a select");
    let view = cache.snapshot();
    let theirs: BTreeMap<Uuid, Item> = outcome
        .rows(&items)
        .expect("rows")
        .into_iter()
        .map(|row| (row.uuid(), row.into_columns()))
        .collect();
    let ours: BTreeMap<Uuid, Item> = view
        .rows::<Item>()
        .map(|row| (row.uuid(), Item::clone(row)))
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(
        view.rows::<Part>().len(),
        outcome.rows(&parts).expect("rows").len()
    );
    for (uuid, item) in &ours {
        let found = view
            .get_by(Item::NAME, item.name.as_str())
            .expect("indexed by name");
        assert_eq!(found.uuid(), *uuid);
        let key = (&item.count, &item.total);
        let found = view
            .get_by(Item::COUNT_AND_TOTAL, key)
            .expect("indexed by both");
        assert_eq!(found.uuid(), *uuid);
    }
}

#[tokio::test]
async fn each_monitor_method_follows_inserts_updates_and_deletes() {
    for version in VERSIONS {
        let server = inventory_server();
        let client: Client<Database> = connect(&server).await;
        let mut txn = client.transaction();
        let wheel = txn.insert(Part {
            label: "wheel".into(),
        });
        let first = txn.insert(Item {
            parts: [wheel].into(),
            tags: ["a", "b"].into(),
            notes: [("k", "v"), ("l", "w")].into(),
            sizes: [("s", 1), ("t", 2)].into(),
            weight: Some(3),
            ..item("first")
        });
        txn.insert(item("second"));
        txn.commit().await.expect("a commit");

        let cache = client
            .cache()
            .table::<Item>()
            .table::<Part>()
            .newest_monitor(version)
            .start()
            .await
            .expect("a cache");
        assert_eq!(cache.monitor_version(), version);
        assert!(cache.skew().is_empty());
        same_as_the_server(&client, &cache).await;
        let before = cache.snapshot();

        // `update2` and `update3` change sets and maps of many elements by differences, scalars and
        // optional values by new values.
        let mut txn = client.transaction();
        let bell = txn.insert(Part {
            label: "bell".into(),
        });
        txn.mutate(first)
            .insert(Item::TAGS, ["c"])
            .delete(Item::TAGS, ["a"])
            .insert(Item::NOTES, [("m", "x")])
            .delete_keys(Item::NOTES, ["k"])
            .delete(Item::PARTS, [wheel])
            .insert(Item::PARTS, [bell])
            .add(Item::COUNT, 5);
        txn.update(first)
            .set(Item::WEIGHT, None)
            .set(Item::ACTIVE, true)
            .set(Item::SIZES, [("s", 7), ("u", 3)]);
        txn.commit().await.expect("a commit");
        let row = cache.snapshot().get(first).expect("the row").clone();
        assert_eq!((row.count, row.active, row.weight), (5, true, None));
        assert_eq!(row.tags, ["b", "c"].into());
        assert_eq!(row.notes, [("l", "w"), ("m", "x")].into());
        assert_eq!(row.sizes, [("s", 7), ("u", 3)].into());
        assert_eq!(row.parts, [bell].into());
        same_as_the_server(&client, &cache).await;
        // Unreferenced parts are collected in the same transaction.
        assert!(cache.snapshot().get(wheel).is_none() && before.get(wheel).is_some());

        // Both rows are deleted, and new rows get their names in the same transaction, which the index must
        // handle.
        let mut txn = client.transaction();
        txn.delete(Item::NAME.eq("second"));
        txn.delete(first);
        txn.insert(Item {
            count: 1,
            ..item("first")
        });
        txn.insert(Item {
            count: 2,
            ..item("second")
        });
        txn.commit().await.expect("a commit");
        same_as_the_server(&client, &cache).await;
        let named = cache
            .snapshot()
            .get_by(Item::NAME, "first")
            .expect("a row")
            .clone();
        assert!(named.uuid() != first.uuid() && named.count == 1);

        let mut txn = client.transaction();
        txn.delete::<Item>(Item::NAME.ne(""));
        txn.commit().await.expect("a commit");
        same_as_the_server(&client, &cache).await;
        assert_eq!(cache.snapshot().rows::<Item>().len(), 0);

        // Earlier snapshots are unchanged.
        let old = before.get(first).expect("the row as it was");
        assert_eq!((old.count, old.tags.len()), (0, 2));
        assert_eq!(before.rows::<Item>().len(), 2);
        assert!(before.get_by(Item::NAME, "second").is_some());
    }
}

#[tokio::test]
async fn rows_cross_a_condition() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    for (version, conditional) in VERSIONS.into_iter().zip([false, true, true]) {
        let cache = client
            .cache()
            .table_where::<Item>(Item::ACTIVE.eq(true).or(Item::COUNT.gt(10)))
            .newest_monitor(version)
            .start()
            .await;
        if !conditional {
            assert!(matches!(cache, Err(Error::ConditionsNotSupported(table)) if table == "Item"));
            continue;
        }
        let cache = cache.expect("a cache");
        let mut txn = client.transaction();
        let row = txn.insert(item("crossing"));
        txn.commit().await.expect("a commit");
        assert!(cache.snapshot().get(row).is_none());
        for (count, shown) in [(11, true), (10, false)] {
            let mut txn = client.transaction();
            txn.update(row).set(Item::COUNT, count);
            txn.commit().await.expect("a commit");
            assert_eq!(cache.snapshot().get(row).is_some(), shown);
        }
        let mut txn = client.transaction();
        txn.delete(row);
        txn.commit().await.expect("a commit");
    }
}

/// How many monitors the server has.
fn monitors(server: &Server) -> usize {
    let report = server.appctl(&["memory/show"]).expect("a report");
    let count = report.split_whitespace().find_map(|part| {
        let number = part.strip_prefix("monitors:")?;
        number.parse().ok()
    });
    count.unwrap_or(0)
}

#[tokio::test]
async fn monitors_come_and_go_without_disturbing_others() {
    if support::embedded_server_lacks("the control socket") {
        return;
    }
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let all = client.cache().all_tables().start().await.expect("a cache");
    let mut changes = all.changes::<Item>();
    assert!(changes.next().await.expect("the start").kind().is_start());
    let insert = async |name: &str| {
        let mut txn = client.transaction();
        txn.insert(item(name));
        txn.commit().await.expect("a commit");
    };
    insert("one").await;
    let batch = changes.next().await.expect("a batch");
    assert_eq!(batch.iter().len(), 1);

    // Another monitor, of one table.
    let (before, quiet) = (monitors(&server), all.stats().transactions);
    let items = client.cache().table::<Item>().start();
    let items = items.await.expect("a cache");
    assert_eq!(monitors(&server), before + 1);
    assert_eq!(items.snapshot().rows::<Item>().len(), 1);
    assert!(items.snapshot().try_table::<Part>().is_none());
    assert!(changes.try_next().is_none());
    insert("two").await;
    assert_eq!(items.snapshot().rows::<Item>().len(), 2);
    assert_eq!(all.snapshot().rows::<Item>().len(), 2);
    assert_eq!(changes.try_next().map(|batch| batch.iter().len()), Some(1));

    // Dropping the cache ends its monitor, on the server too.
    drop(items);
    let gone = async {
        while monitors(&server) > before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(30), gone);
    gone.await.expect("the server ends the monitor");
    assert!(changes.try_next().is_none());
    insert("three").await;
    assert_eq!(all.snapshot().rows::<Item>().len(), 3);
    assert_eq!(changes.try_next().map(|batch| batch.iter().len()), Some(1));
    let stats = all.stats();
    assert_eq!((stats.transactions, stats.resyncs), (quiet + 2, 0));
    assert_eq!(client.stats().connections, 1);
}

/// A server with the schema of an OVN release.
fn release(release: &str) -> Server {
    let path = format!(
        "{}/../schemas/tests/files/{release}/ovn-nb.ovsschema",
        env!("CARGO_MANIFEST_DIR")
    );
    let schema = std::fs::read_to_string(path).expect("a schema");
    Server::builder().schema(schema).start().expect("a server")
}

#[tokio::test]
async fn an_older_server_works_and_what_it_lacks_is_listed() {
    let server = release("ovn-23.03");
    let client: Client<nb::Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let skew = cache.skew();
    assert_eq!(skew.server_version.as_deref(), Some("7.0.0"));
    assert_eq!(skew.compiled_version.as_deref(), Some("7.18.0"));
    assert!(skew.differences.contains(&Skew::MissingColumn {
        table: "ACL".into(),
        column: "tier".into(),
    }));
    assert!(skew.differences.contains(&Skew::MissingTable {
        table: "Sample".into()
    }));

    let mut txn = client.transaction();
    let acl = txn.insert(nb::Acl {
        action: nb::AclAction::Drop,
        direction: nb::AclDirection::ToLport,
        r#match: "ip4".into(),
        priority: 5,
        ..Default::default()
    });
    let switch = nb::LogicalSwitch {
        name: "sw".into(),
        acls: [acl].into(),
        ..Default::default()
    };
    let switch = txn.insert(switch);
    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    assert_eq!(view.get(acl).map(|acl| acl.tier), Some(0));
    assert_eq!(view.get(switch).map(|switch| switch.acls.len()), Some(1));
    assert_eq!(view.rows::<nb::Sample>().len(), 0);

    // A value for a column that the server lacks is refused before it is sent.
    assert!(!client.has_column(nb::Acl::TIER) && client.has_column(nb::Acl::PRIORITY));
    let mut txn = client.transaction();
    txn.insert(nb::Acl {
        tier: 2,
        ..Default::default()
    });
    let error = txn.commit().await.expect_err("no such column");
    assert!(error.nothing_changed() && error.kind().is_none());

    let strict = client.cache().table::<nb::Acl>().strict(true).start().await;
    assert!(matches!(strict, Err(Error::Skew(report)) if !report.is_empty()));
    let strict = client
        .cache()
        .table::<nb::Meter>()
        .strict(true)
        .start()
        .await;
    assert!(strict.is_ok(), "nothing of this table differs");
}

/// Some columns of two tables as OVN 23.03 had them, and one column that the server of 26.03 lacks.
mod older {
    use ovsdb::{Map, Ref, Set, Str};

    #[derive(Debug)]
    pub(super) struct Northbound;

    impl ovsdb::Database for Northbound {
        const NAME: &'static str = "OVN_Northbound";
        const VERSION: Option<&'static str> = Some("7.0.0");
    }

    #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
    #[ovsdb(database = Northbound, table = "Logical_Switch")]
    pub(super) struct Switch {
        pub name: Str,
        pub ports: Set<Ref<Port>>,
        #[ovsdb(column = "external_ids")]
        pub ids: Map<Str, Str>,
        pub column_of_the_past: Option<i64>,
    }

    #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
    #[ovsdb(
        database = Northbound,
        table = "Logical_Switch_Port",
        schema = "../schemas/tests/files/ovn-23.03/ovn-nb.ovsschema"
    )]
    pub(super) struct Port {
        pub name: Str,
        pub r#type: Str,
        pub addresses: Set<Str>,
    }
}

#[tokio::test]
async fn a_client_that_declares_some_columns_works_with_a_newer_server() {
    use older::{Northbound, Port, Switch};

    let server = release("ovn-26.03");
    let client: Client<Northbound> = connect(&server).await;
    let cache = client
        .cache()
        .table::<Switch>()
        .table::<Port>()
        .start()
        .await
        .expect("a cache");
    let missing = Skew::MissingColumn {
        table: "Logical_Switch".into(),
        column: "column_of_the_past".into(),
    };
    assert_eq!(cache.skew().differences, [missing]);

    // Another client sets columns that this one does not know.
    let full: Client<nb::Database> = connect(&server).await;
    let mut txn = full.transaction();
    let port = txn.insert(nb::LogicalSwitchPort {
        name: "p".into(),
        r#type: "of the future".into(),
        tag: Some(5),
        ..Default::default()
    });
    txn.insert(nb::LogicalSwitch {
        name: "sw".into(),
        ports: [port].into(),
        other_config: [("k", "v")].into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    // The server sends the other client's changes before the reply to this client's commit. So once that
    // commit resolves, the replica shows both.
    client
        .echo(ovsdb::protocol::Wire::from_json("[]").expect("json"))
        .await
        .expect("an echo");
    let mut txn = client.transaction();
    txn.mutate(Switch::NAME.eq("sw"))
        .insert(Switch::EXTERNAL_IDS, [("a", "b")]);
    txn.commit().await.expect("a commit");

    let view = cache.snapshot();
    let found = view.get_by(Port::NAME, "p").expect("by the schema's index");
    assert_eq!(found.r#type, "of the future");
    let mut switches = view.scan_by(Switch::NAME, "sw");
    let switch = switches.next().expect("a switch");
    assert_eq!(switch.ids["a"], "b");
    assert_eq!(
        switch
            .ports
            .iter()
            .map(|p| view.get(*p).is_some())
            .collect::<Vec<_>>(),
        [true]
    );
    assert_eq!(switch.column_of_the_past, None);
}

#[tokio::test]
async fn unknown_enum_values_are_kept() {
    // The compiled schema of 26.03 lists fewer actions than this server has.
    let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a schema");
    let newer = schema.replacen("\"allow-related\"", "\"allow-related\", \"allow-maybe\"", 1);
    assert_ne!(schema, newer);
    let server = Server::builder().schema(newer).start().expect("a server");
    let client: Client<nb::Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut txn = client.transaction();
    let acl = txn.insert(nb::Acl {
        action: "allow-maybe".into(),
        direction: nb::AclDirection::FromLport,
        ..Default::default()
    });
    txn.insert(nb::LogicalSwitch {
        acls: [acl].into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    let row = cache.snapshot().get(acl).expect("a row").clone();
    assert_eq!(row.action, nb::AclAction::Unknown("allow-maybe".into()));
    let mut txn = client.transaction();
    txn.update(acl)
        .set(nb::Acl::ACTION, row.action.clone())
        .set(nb::Acl::PRIORITY, 7);
    txn.commit().await.expect("the value goes back as it came");
    assert_eq!(cache.snapshot().get(acl).expect("a row").priority, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_rows_are_loaded() {
    const SWITCHES: usize = 10_000;
    const PORTS: usize = 10;
    let server = bundled_server("OVN_Northbound");
    let client: Client<nb::Database> = connect(&server).await;
    for block in (0..SWITCHES).collect::<Vec<_>>().chunks(500) {
        let mut txn = client.transaction();
        for switch in block {
            let ports: Vec<_> = (0..PORTS)
                .map(|port| {
                    let address = format!("0a:58:0a:00:{port:02x}:01 10.{}.{port}.1", switch % 250);
                    txn.insert(nb::LogicalSwitchPort {
                        name: format!("port-{switch}-{port}").into(),
                        addresses: [address.as_str()].into(),
                        port_security: [address.as_str()].into(),
                        external_ids: [("namespace", "default"), ("pod", "true")].into(),
                        options: [("requested-chassis", format!("node-{}", switch % 100))].into(),
                        ..Default::default()
                    })
                })
                .collect();
            txn.insert(nb::LogicalSwitch {
                name: format!("switch-{switch}").into(),
                ports: ports.into(),
                ..Default::default()
            });
        }
        txn.commit().await.expect("a commit");
    }

    // A new client, which gets all rows in one reply.
    let reader: Client<nb::Database> = connect(&server).await;
    let cache = reader.cache().all_tables().start().await.expect("a cache");
    let view = cache.snapshot();
    assert_eq!(view.rows::<nb::LogicalSwitchPort>().len(), SWITCHES * PORTS);
    assert_eq!(view.rows::<nb::LogicalSwitch>().len(), SWITCHES);
    let mut owned = 0;
    for switch in view.rows::<nb::LogicalSwitch>() {
        for port in &switch.ports {
            let port = view.get(*port).expect("the port that the switch refers to");
            let by_name = view.get_by(nb::LogicalSwitchPort::NAME, port.name.as_str());
            assert_eq!(by_name.map(Row::uuid), Some(port.uuid()));
            assert_eq!(port.external_ids["namespace"], "default");
            owned += 1;
        }
    }
    assert_eq!(owned, SWITCHES * PORTS);
}
