//! Guards by the version of a row: they have constant size, and cover every column.

mod support;

use ovsdb::cache::Index;
use ovsdb::protocol::MonitorVersion;
use ovsdb::testing::{Cluster, Server};
use ovsdb::{Cache, Client, CommitError, Map, Real, Retry, Str, Transaction};
use support::inventory::{Database, Item, Slot};
use support::{INVENTORY, connect, inventory_server, item};

/// The items "a", which is large, and "b".
async fn with_items(client: &Client<Database>) -> Cache<Database> {
    let mut txn = client.transaction();
    txn.insert(Item {
        tags: (0..1000).map(|tag| format!("tag {tag}")).collect(),
        ratio: (1.0 / 3.0).into(),
        ..item("a", 1)
    });
    txn.insert(item("b", 2));
    txn.commit().await.expect("a commit");
    let cache = client.cache().all_tables().row_versions().start().await;
    cache.expect("a cache")
}

/// The transaction as JSON, with its guards.
fn guards(txn: &Transaction<Database>) -> String {
    txn.to_json().expect("no mistake")
}

#[tokio::test]
async fn a_row_of_any_size_is_guarded_by_its_version() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let cache = with_items(&client).await;
    let view = cache.snapshot();
    let a = view.get_by(Item::NAME, "a").expect("a row").reference();
    assert!(view.get(a).expect("a row").version().is_some());
    let of = |name: &str| {
        let mut txn = client.transaction_on(&cache);
        assert!(txn.get_by(Item::NAME, name).is_some());
        txn.insert(Slot { number: 1 });
        guards(&txn)
    };
    let (large, small) = (of("a"), of("b"));
    assert_eq!(large.len(), small.len(), "{large}");
    assert!(large.contains("_version") && !large.contains("tag 7"));

    // Columns that are read alone are guarded by their values, unless the server may round them.
    let mut txn = client.transaction_on(&cache);
    assert_eq!(txn.get_column(a, Item::TOTAL), Some(1));
    txn.insert(Slot { number: 1 });
    assert!(!guards(&txn).contains("_version"), "{txn:?}");
    assert!(txn.get_column(a, Item::RATIO).is_some());
    assert!(guards(&txn).contains("_version"), "{txn:?}");

    // Without the setting, the row is guarded by its columns.
    let plain = client.cache().all_tables().start().await.expect("a cache");
    assert_eq!(plain.snapshot().get(a).expect("a row").version(), None);
    let mut txn = client.transaction_on(&plain);
    txn.get(a);
    txn.insert(Slot { number: 1 });
    assert!(guards(&txn).contains("tag 7"));
}

#[tokio::test]
async fn every_change_of_a_row_that_was_read_is_a_conflict() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let other: Client<Database> = connect(&server).await;
    let _ = with_items(&client).await;
    let by_active = Index::column(Item::ACTIVE);
    type Read = fn(&mut Transaction<Database>, &Index<Item, bool>);
    let reads: [Read; 4] = [
        |txn, _| assert!(txn.get_by(Item::NAME, "a").is_some()),
        |txn, _| {
            let a = txn.view().expect("a view").get_by(Item::NAME, "a");
            let a = a.expect("a row").reference();
            assert!(txn.get(a).is_some());
        },
        |txn, by| assert_eq!(txn.find(by, false).len(), 2),
        // An edit of a real depends on its value.
        |txn, _| {
            let a = txn.view().expect("a view").get_by(Item::NAME, "a");
            let a = a.expect("a row").clone();
            txn.edit(&a, |a| a.ratio = (a.ratio.get() + 1.0).into());
        },
    ];
    for newest in [
        MonitorVersion::Monitor,
        MonitorVersion::MonitorCond,
        MonitorVersion::MonitorCondSince,
    ] {
        let cache = client.cache().all_tables().index(&by_active);
        let cache = cache.row_versions().newest_monitor(newest).start().await;
        let cache = cache.expect("a cache");
        for (number, read) in reads.into_iter().enumerate() {
            let begin = || {
                let mut txn = client.transaction_on(&cache);
                read(&mut txn, &by_active);
                txn.comment("something");
                txn
            };
            // No other client writes, and the versions in updates are correct.
            for _ in 0..2 {
                begin().commit().await.expect("nothing has changed");
                let mut txn = client.transaction();
                txn.mutate(Item::NAME.eq("a")).add(Item::COUNT, 1);
                txn.commit().await.expect("a commit");
            }
            let outdated = begin();
            let mut txn = other.transaction();
            txn.update(Item::NAME.eq("a"))
                .set(Item::RATIO, number as f64 / 7.0);
            txn.commit().await.expect("a commit");
            let error = outdated.commit().await.expect_err("another real");
            let CommitError::Refused(refusal) = &error else {
                panic!("{newest:?}, {number}: {error}")
            };
            assert!(refusal.is_conflict() && error.retry() == Retry::Again);
            // The closure decides on the new version of the row.
            let apply = client.edit(&cache, |_, txn| read(txn, &by_active));
            apply.await.expect("decided again");
        }
    }
}

#[tokio::test]
async fn versions_are_fetched_again_after_a_restart() {
    let mut server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let cache = with_items(&client).await;
    let version = || {
        let view = cache.snapshot();
        let a = view.get_by(Item::NAME, "a").expect("a row");
        a.version().expect("a version")
    };
    let before = version();
    // After a restart the server has other versions.
    server.kill().expect("killed");
    server.start().expect("started");
    let apply = client.edit(&cache, |_, txn| {
        assert!(txn.get_by(Item::NAME, "a").is_some());
        txn.insert(Slot { number: 1 });
    });
    apply.await.expect("the versions are right");
    assert_ne!(version(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_cluster_have_versions_of_their_own() {
    let mut cluster = Cluster::start(INVENTORY, 3).expect("a cluster");
    let client: Client<Database> = Client::builder()
        .remotes(cluster.remotes())
        .leader_only(false)
        .connect()
        .await
        .expect("a client");
    let cache = with_items(&client).await;
    for number in 0..3 {
        let apply = client.edit(&cache, |_, txn| {
            let b = txn.get_by(Item::NAME, "b").expect("a row");
            txn.edit(&b, |b| b.count = number + 1);
        });
        let (_, outcome) = apply.await.expect("the versions are right");
        assert_eq!(outcome.results().len(), 1, "after one guard");
        // If the client was connected to this member, it continues on another one.
        let _ = cluster.member_mut(number as usize).kill();
        cluster.restart(number as usize).expect("restarted");
        cache.current().await.expect("current");
    }
}

#[tokio::test]
async fn through_a_relay_rows_are_guarded_by_their_columns() {
    let server = inventory_server();
    let relay = Server::builder()
        .relay("Inventory", &server.remote())
        .start();
    let relay = relay.expect("a relay");
    relay.wait_until_connected("Inventory").expect("connected");
    let direct: Client<Database> = connect(&server).await;
    let _ = with_items(&direct).await;
    let client: Client<Database> = Client::builder()
        .remotes(relay.remote())
        .leader_only(false)
        .connect()
        .await
        .expect("a client");
    let cache = client.cache().all_tables().row_versions().start().await;
    let cache = cache.expect("a cache");
    let both = cache.wait_until(None, |view| (view.rows::<Item>().len() == 2).then_some(()));
    both.await.expect("two rows");
    let begin = || {
        let mut txn = client.transaction_on(&cache);
        let b = txn.get_by(Item::NAME, "b").expect("a row");
        assert!(b.version().is_some(), "of the relay");
        txn.edit(&b, |b| b.count += 1);
        txn
    };
    assert!(!guards(&begin()).contains("_version"));
    begin().commit().await.expect("nothing has changed");
    let outdated = begin();
    let mut txn = direct.transaction();
    txn.update(Item::NAME.eq("b")).set(Item::WEIGHT, Some(3));
    txn.commit().await.expect("a commit");
    let error = outdated.commit().await.expect_err("another weight");
    assert_eq!(error.retry(), Retry::Again, "{error}");
}

/// A database with a map of reals.
#[derive(Debug)]
struct Shop;

impl ovsdb::Database for Shop {
    const NAME: &'static str = "Shop";
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Shop, table = "List")]
struct List {
    name: Str,
    prices: Map<Str, Real>,
}

#[tokio::test]
async fn a_replaced_real_in_a_map_is_guarded_by_the_version_of_its_row() {
    let schema = r#"{"name":"Shop","version":"1.0.0","tables":{"List":{"isRoot":true,"columns":{
        "name":{"type":"string"},
        "prices":{"type":{"key":"string","value":"real","min":0,"max":"unlimited"}}}}}}"#;
    let server = Server::builder().schema(schema).start().expect("a server");
    let [client, other] = [
        connect::<Shop>(&server).await,
        connect::<Shop>(&server).await,
    ];
    let mut txn = client.transaction();
    let list = txn.insert(List {
        prices: [("tea", 1.0 / 3.0)].into(),
        ..Default::default()
    });
    let outcome = txn.commit().await.expect("a commit");
    let list = outcome.inserted(list).expect("a row");
    let cache = client.cache().table::<List>().row_versions().start().await;
    let cache = cache.expect("a cache");
    let raise = || {
        let mut txn = client.transaction_on(&cache);
        let row = cache.snapshot().get(list).expect("a row").clone();
        txn.edit(&row, |list| {
            let price = list.prices.get("tea").expect("a price").get();
            list.prices.insert("tea", price + 1.0);
        });
        txn
    };
    raise().commit().await.expect("nothing has changed");
    let outdated = raise();
    let mut txn = other.transaction();
    txn.mutate(list).set_keys(List::PRICES, [("tea", 7.0)]);
    txn.commit().await.expect("a commit");
    let error = outdated.commit().await.expect_err("another price");
    assert_eq!(error.retry(), Retry::Again, "{error}");
}
