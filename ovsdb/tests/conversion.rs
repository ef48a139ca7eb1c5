//! Caches of a database whose schema is converted while they are in use.

mod support;

use std::time::Duration;

use ovsdb::cache::Freshness;
use ovsdb::model::Condition;
use ovsdb::protocol::{MonitorSinceReply, TableUpdates2, Wire};
use ovsdb::testing::Server;
use ovsdb::{Cache, Client, ClientBuilder, CommitError, DisconnectReason, Error, Skew, Uuid, nb};
use support::inventory::{Database, Item, ItemOnly, Part, Slot};
use support::peer::{Connection, Peer};
use support::{INVENTORY, inventory_server};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(60);

async fn scripted(peer: &Peer) -> (Client<Database>, Connection) {
    let connecting = Client::<Database>::builder()
        .remotes(peer.remote())
        .backoff(Duration::from_millis(10), Duration::from_millis(100))
        .connect();
    let connecting = tokio::spawn(connecting);
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    let client = connecting.await.expect("no panic");
    (client.expect("a client"), connection)
}

/// A monitor's reply without rows.
fn no_rows() -> String {
    let reply = MonitorSinceReply {
        found: false,
        last_txn_id: Uuid::nil(),
        updates: TableUpdates2::new(),
    };
    reply.to_json()
}

/// Makes the peer cancel a monitor, and answer the request for the schema that follows.
async fn cancel(connection: &mut Connection, monitor: u64, schema: &str) {
    let words = format!(r#"{{"id":null,"method":"monitor_canceled","params":[{monitor}]}}"#);
    connection.send(&words).await;
    let request = connection.request().await;
    assert_eq!(request.method, "get_schema");
    connection.reply(&request, schema).await;
}

#[tokio::test]
async fn a_monitor_that_was_requested_for_an_earlier_schema_is_requested_again() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let items = tokio::spawn(client.cache().table::<Item>().start());
    let request = connection.request().await;
    connection.reply(&request, &no_rows()).await;
    let items = items.await.expect("no panic").expect("a cache");
    let parts = tokio::spawn(client.cache().table::<Part>().start());
    let request = connection.request().await;
    connection.reply(&request, &no_rows()).await;
    let _parts = parts.await.expect("no panic").expect("a cache");

    // Two conversions in a row: the second is in force when the first monitor is requested.
    let narrower = INVENTORY.replacen("\"weight\"", "\"heft\"", 1);
    cancel(&mut connection, 1, INVENTORY).await;
    let first = connection.request().await;
    assert!(first.params.contains("\"weight\""), "{first:?}");
    connection.reply(&first, &no_rows()).await;
    cancel(&mut connection, 2, &narrower).await;
    let withdrawn = connection.request().await;
    assert_eq!(
        (withdrawn.method.as_str(), withdrawn.params.as_str()),
        ("monitor_cancel", "[3]")
    );
    for table in ["Item", "Part"] {
        let request = connection.request().await;
        assert_eq!(request.method, "monitor_cond_since");
        assert!(request.params.contains(table) && !request.params.contains("\"weight\""));
        connection.reply(&request, &no_rows()).await;
    }
    let current = timeout(HANG, items.current()).await;
    current.expect("no hang").expect("current");
    assert_eq!(items.skew().differences.len(), 1);
}

// A condition on a column that a conversion removes.

fn quick(remote: String) -> ClientBuilder<Database> {
    Client::builder()
        .remotes(remote)
        .backoff(Duration::from_millis(10), Duration::from_millis(100))
}

async fn convert<D: ovsdb::Database>(client: &Client<D>, schema: &str) {
    let schema = Wire::from_json(schema).expect("json");
    client.convert(schema).await.expect("converted");
}

async fn insert(client: &Client<Database>, name: &str, active: bool) {
    let mut txn = client.transaction();
    let row = txn.insert(Item {
        name: name.into(),
        only: ItemOnly::Sole,
        total: i64::from(name.as_bytes()[0]),
        ..Default::default()
    });
    if active {
        txn.update(row).set(Item::ACTIVE, true);
    }
    let committed = timeout(HANG, txn.commit()).await;
    committed.expect("no hang").expect("a commit");
}

fn names(cache: &Cache<Database>) -> String {
    let view = cache.snapshot();
    let mut names: Vec<_> = view
        .rows::<Item>()
        .map(|row| row.name.to_string())
        .collect();
    names.sort();
    names.join(" ")
}

/// Waits until the cache is current.
async fn followed(cache: &Cache<Database>) {
    let mut freshness = cache.freshness();
    let current = freshness.wait_for(|now| *now == Freshness::Current);
    let current = timeout(HANG, current).await;
    current.expect("no hang").expect("the client lives");
}

/// Waits until the cache's monitor cannot be started. Returns the reason.
async fn refused(cache: &Cache<Database>) -> Error {
    let mut freshness = cache.freshness();
    let refused = freshness.wait_for(|now| matches!(now, Freshness::RefusedSince(_)));
    let refused = timeout(HANG, refused).await;
    refused.expect("no hang").expect("the client lives");
    assert!(!cache.is_current() && cache.staleness().is_some());
    let error = cache.monitor_error().expect("the reason");
    let current = timeout(HANG, cache.current()).await.expect("no hang");
    assert_eq!(current.expect_err("refused").to_string(), error.to_string());
    error
}

fn lacks(error: &Error, table: &str, column: &str) -> bool {
    matches!(error, Error::ConditionColumn { table: at, column: lacked } if *at == table && lacked == column)
}

#[tokio::test]
async fn a_condition_on_a_removed_column_affects_only_its_own_cache() {
    let server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let active = client.cache().table_where::<Item>(Item::ACTIVE.eq(true));
    let active = active.start().await.expect("a cache");
    let all = client.cache().table::<Item>().start().await;
    let all = all.expect("a cache");
    let mut changes = active.changes::<Item>();
    insert(&client, "a", true).await;
    insert(&client, "b", false).await;
    assert_eq!((names(&active), names(&all)), ("a".into(), "a b".into()));

    let narrower = INVENTORY.replacen("\"active\"", "\"live\"", 1);
    convert(&client, &narrower).await;
    let error = refused(&active).await;
    assert!(lacks(&error, "Item", "active"), "{error}");
    let skew = Skew::Condition {
        table: "Item".into(),
        column: "active".into(),
    };
    assert!(active.skew().differences.contains(&skew));
    assert!(!all.skew().differences.contains(&skew));
    // Everything else continues on the same connection; the cache is unchanged.
    insert(&client, "c", false).await;
    assert_eq!((names(&active), names(&all)), ("a".into(), "a b c".into()));
    assert!(all.is_current() && client.stats().connections == 1);
    // No transaction is based on the refused cache.
    let applied = client.edit(&active, |_, _| ());
    let applied = timeout(HANG, applied).await.expect("no hang");
    assert!(matches!(
        applied.expect_err("the view is stale"),
        CommitError::NotSent(lost)
            if matches!(lost.reason(), DisconnectReason::MonitorRefused(why) if lacks(why, "Item", "active"))
    ));
    // Starting a cache gives the same error.
    let start = client.cache().table_where::<Item>(Item::ACTIVE.eq(true));
    let error = timeout(HANG, start.start()).await.expect("no hang");
    let error = error.expect_err("no such column");
    assert!(lacks(&error, "Item", "active"), "{error}");
    // Another connection changes nothing.
    let mut freshness = all.freshness();
    client.reconnect();
    let lost = freshness.wait_for(|now| *now != Freshness::Current);
    let lost = timeout(HANG, lost).await.expect("no hang");
    lost.expect("the client lives");
    followed(&all).await;
    let error = refused(&active).await;
    assert!(lacks(&error, "Item", "active"), "{error}");

    // The column is added again, and the cache is current again.
    convert(&client, INVENTORY).await;
    followed(&active).await;
    assert!(active.monitor_error().is_none() && active.skew().is_empty());
    assert_eq!((names(&active), names(&all)), ("".into(), "a b c".into()));
    insert(&client, "d", true).await;
    assert_eq!(names(&active), "d");
    let mut seen = Vec::new();
    while let Some(batch) = changes.try_next() {
        seen.extend(batch.iter().map(|change| change.row().name.to_string()));
    }
    assert_eq!(seen, ["a", "a", "d"], "inserted, deleted, inserted");
    assert_eq!(client.stats().connections, 2);
}

#[tokio::test]
async fn another_condition_brings_a_refused_cache_back() {
    let server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let cache = client
        .cache()
        .table_where::<Item>(Item::ACTIVE.eq(true))
        .table_where::<Slot>(Slot::NUMBER.gt(0))
        .start()
        .await
        .expect("a cache");
    insert(&client, "a", true).await;
    let narrower = INVENTORY.replacen("\"active\"", "\"live\"", 1);
    let narrower = narrower.replacen("\"number\"", "\"count\"", 1);
    convert(&client, &narrower).await;
    refused(&cache).await;
    // A new condition that is not possible either is refused.
    let changed = cache.set_condition(Item::ACTIVE.eq(false));
    let error = timeout(HANG, changed).await.expect("no hang");
    assert!(lacks(&error.expect_err("no such column"), "Item", "active"));
    // A possible one is kept, but the cache stays refused as long as the other table's condition is impossible.
    let changed = cache.set_condition(Item::TOTAL.gt(0));
    let error = timeout(HANG, changed).await.expect("no hang");
    assert!(lacks(
        &error.expect_err("the other table"),
        "Slot",
        "number"
    ));
    assert!(lacks(&refused(&cache).await, "Slot", "number"));
    let changed = cache.set_condition(Condition::<Slot>::all());
    let changed = timeout(HANG, changed).await.expect("no hang");
    changed.expect("in force");
    assert!(cache.is_current() && cache.monitor_error().is_none());
    assert_eq!(names(&cache), "a");
    assert_eq!(client.stats().connections, 1);
}

#[tokio::test]
async fn a_table_that_vanishes_is_empty_until_it_comes_back() {
    let server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let slots = client.cache().table_where::<Slot>(Slot::NUMBER.gt(0));
    let slots = slots.start().await.expect("a cache");
    let mut txn = client.transaction();
    txn.insert(Slot { number: 7 });
    txn.commit().await.expect("a commit");
    assert_eq!(slots.snapshot().rows::<Slot>().len(), 1);
    let mut without: serde_json::Value = serde_json::from_str(INVENTORY).expect("json");
    without["tables"]
        .as_object_mut()
        .expect("tables")
        .remove("Slot");
    for _ in 0..2 {
        convert(&client, &without.to_string()).await;
        insert_anything(&client).await;
        followed(&slots).await;
        assert_eq!(slots.snapshot().rows::<Slot>().len(), 0);
        let missing = Skew::MissingTable {
            table: "Slot".into(),
        };
        assert_eq!(slots.skew().differences, [missing]);
        // The condition is kept until the table exists.
        let changed = timeout(HANG, slots.set_condition(Slot::NUMBER.gt(1))).await;
        changed.expect("no hang").expect("a condition");
        convert(&client, INVENTORY).await;
        let mut txn = client.transaction();
        txn.insert(Slot { number: 1 });
        txn.insert(Slot { number: 2 });
        txn.commit().await.expect("a commit");
        followed(&slots).await;
        assert_eq!(slots.snapshot().rows::<Slot>().len(), 1);
    }
    assert_eq!(client.stats().connections, 1);
}

/// Commits a transaction. The server replies after a conversion that was requested before.
async fn insert_anything(client: &Client<Database>) {
    let mut txn = client.transaction();
    txn.comment("after the conversion");
    txn.commit().await.expect("a commit");
}

#[tokio::test]
async fn a_northbound_database_that_goes_back_to_an_older_release_is_followed() {
    let release = |release: &str| {
        let path = format!(
            "{}/../schemas/tests/files/{release}/ovn-nb.ovsschema",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::read_to_string(path).expect("a schema")
    };
    let server = Server::builder().schema(release("ovn-26.03")).start();
    let server = server.expect("a server");
    let client = Client::<nb::Database>::builder().remotes(server.remote());
    let client = client.connect().await.expect("a client");
    let acls = client.cache().table_where::<nb::Acl>(nb::Acl::TIER.eq(0));
    let acls = acls.start().await.expect("a cache");
    let switches = client.cache().table::<nb::LogicalSwitch>().start().await;
    let switches = switches.expect("a cache");
    convert(&client, &release("ovn-23.03")).await;
    let mut txn = client.transaction();
    let switch = txn.insert(nb::LogicalSwitch {
        name: "sw".into(),
        ..Default::default()
    });
    let committed = timeout(HANG, txn.commit()).await;
    committed.expect("no hang").expect("a commit");
    assert!(switches.snapshot().get(switch).is_some());
    let error = timeout(HANG, acls.current()).await.expect("no hang");
    let error = error.expect_err("no such column");
    assert!(lacks(&error, "ACL", "tier"), "{error}");
    assert_eq!(client.stats().connections, 1);
}
