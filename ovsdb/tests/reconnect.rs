//! After a connection was lost, the replica is complete again, and its streams deliver exactly the
//! changes made meanwhile.

mod support;

use std::time::Duration;

use ovsdb::cache::Change;
use ovsdb::testing::{Cluster, Cut, Proxy, Server};
use ovsdb::{
    Cache, Client, ClientBuilder, ConnectionState, DisconnectReason, MonitorVersion, Ref, Snapshot,
};
use support::inventory::{Database, Item, ItemOnly, Part, Slot};
use support::peer::{Connection, Peer, Received};
use support::replica::{Dumped, Fold, same_as_dump};
use support::scale::size;
use support::seed::Seed;
use support::{INVENTORY, inventory_server};
use tokio::io::AsyncWriteExt;

/// A test that takes longer hangs.
const HANG: Duration = Duration::from_secs(60);

const VERSIONS: [MonitorVersion; 3] = [
    MonitorVersion::Monitor,
    MonitorVersion::MonitorCond,
    MonitorVersion::MonitorCondSince,
];

fn builder(remotes: impl ovsdb::IntoRemotes) -> ClientBuilder<Database> {
    Client::builder()
        .remotes(remotes)
        .backoff(Duration::from_millis(1), Duration::from_millis(50))
}

async fn connect(remotes: impl ovsdb::IntoRemotes) -> Client<Database> {
    builder(remotes).connect().await.expect("a client")
}

fn item(name: &str, count: i64) -> Item {
    Item {
        name: name.into(),
        count,
        only: ItemOnly::Sole,
        ..Default::default()
    }
}

/// Rows `from..to`, each with a part of its own.
async fn insert(client: &Client<Database>, from: i64, to: i64) -> Vec<Ref<Item>> {
    let mut txn = client.transaction();
    let rows = (from..to)
        .map(|n| {
            let part = txn.insert(Part {
                label: format!("part {n}").into(),
            });
            txn.insert(Item {
                parts: [part].into(),
                ..item(&format!("item {n}"), n)
            })
        })
        .collect();
    txn.commit().await.expect("a commit");
    rows
}

async fn delete(client: &Client<Database>, rows: &[Ref<Item>]) {
    let mut txn = client.transaction();
    for row in rows {
        txn.delete(*row);
    }
    txn.commit().await.expect("a commit");
}

/// Makes the client lose its connection. Returns once the client has noticed.
async fn cut_off(client: &Client<Database>, proxy: &Proxy) {
    let mut state = client.state();
    proxy.refuse(true);
    proxy.cut(Cut::Reset);
    let lost = state.wait_for(|state| !state.is_connected());
    drop(lost.await.expect("the client lives"));
}

/// Lets the client connect again, and waits until its replicas are current.
async fn let_back(proxy: &Proxy, caches: &[&Cache<Database>]) {
    proxy.refuse(false);
    for cache in caches {
        cache.current().await.expect("current");
    }
}

#[tokio::test]
async fn two_replicas_equal_the_server_after_a_reconnect() {
    for version in VERSIONS {
        let server = inventory_server();
        let proxy = Proxy::start(&server.remote(), 1).await.expect("a proxy");
        let (client, other) = (
            connect(proxy.remote()).await,
            connect(server.remote()).await,
        );
        insert(&other, 0, 50).await;
        let items = client.cache().table::<Item>().newest_monitor(version);
        let items = items.start().await.expect("a cache");
        let parts = client.cache().table::<Part>().newest_monitor(version);
        let parts = parts.table::<Slot>().start().await.expect("a cache");
        for changes in [false, true] {
            cut_off(&client, &proxy).await;
            assert!(!items.is_current() && !parts.is_current());
            // The rows stay readable.
            let before = items.snapshot().rows::<Item>().len();
            assert_eq!(before, parts.snapshot().rows::<Part>().len());
            assert!(before >= 50 && items.staleness().is_some());
            if changes {
                insert(&other, 50, 60).await;
                let mut txn = other.transaction();
                txn.delete(Item::COUNT.lt(5));
                txn.insert(Slot { number: 7 });
                txn.commit().await.expect("a commit");
            }
            let_back(&proxy, &[&items, &parts]).await;
            same_as_dump(&items, &server).await;
            same_as_dump(&parts, &server).await;
        }
        assert_eq!(items.snapshot().rows::<Item>().len(), 55);
        assert_eq!(parts.snapshot().rows::<Part>().len(), 55);
        assert_eq!(parts.snapshot().rows::<Slot>().len(), 1);
        // The monitors still deliver changes.
        insert(&other, 100, 110).await;
        same_as_dump(&items, &server).await;
        same_as_dump(&parts, &server).await;
    }
}

/// Deletes 55 rows while the client is disconnected: exactly these deletions and those of the rows' parts are
/// delivered.
async fn deletions_are_delivered_alone(
    server: &impl Dumped,
    proxied: &str,
    other: &Client<Database>,
    version: MonitorVersion,
) {
    let proxy = Proxy::start(proxied, 1).await.expect("a proxy");
    let client = connect(proxy.remote()).await;
    let rows = insert(other, 0, 100).await;
    let cache = client.cache().all_tables().newest_monitor(version);
    let cache = cache.start().await.expect("a cache");
    same_as_dump(&cache, server).await;
    let (mut items, mut all) = (cache.changes::<Item>(), cache.all_changes());
    let mut fold = Fold::default();
    let there = cache.snapshot().rows::<Item>().len();
    assert_eq!(items.next().await.expect("the start").len(), there);
    fold.take(&all.next().await.expect("the start"));
    assert_eq!(fold.inserted, 2 * there);

    cut_off(&client, &proxy).await;
    delete(other, &rows[..55]).await;
    // A relay applies a transaction after its source has committed it.
    let direct = connect(proxied).await;
    let direct = direct.cache().table::<Item>().start().await;
    let are_deleted =
        |view: &Snapshot<Database>| rows[..55].iter().all(|row| view.get(*row).is_none());
    let applied = direct.expect("a cache");
    let applied = applied.wait_until(HANG, |view| are_deleted(view).then_some(()));
    applied.await.expect("applied");
    let_back(&proxy, &[&cache]).await;
    same_as_dump(&cache, server).await;

    let batch = items.try_next().expect("what changed");
    let kind = batch.kind();
    assert!(kind.is_resync() && kind.transactions() == 1, "{kind:?}");
    let mut gone: Vec<_> = batch
        .into_iter()
        .map(|change| match change {
            Change::Deleted(row) => row.reference(),
            other => panic!("{other:?}"),
        })
        .collect();
    let mut expected = rows[..55].to_vec();
    gone.sort();
    expected.sort();
    assert_eq!(gone, expected);
    assert!(items.try_next().is_none());
    // The parts were deleted with them, in the same batch.
    fold.take(&all.try_next().expect("what changed"));
    assert!(all.try_next().is_none() && fold.is(&cache.snapshot()));
    assert_eq!(
        (fold.deleted, fold.inserted, fold.modified),
        (110, 2 * there, 0)
    );

    // Nothing changed, so nothing is delivered.
    cut_off(&client, &proxy).await;
    let_back(&proxy, &[&cache]).await;
    same_as_dump(&cache, server).await;
    assert!(items.try_next().is_none() && all.try_next().is_none());
    delete(other, &rows[55..]).await;
}

#[tokio::test]
async fn rows_deleted_while_disconnected_are_delivered_and_nothing_else() {
    let server = inventory_server();
    let other = connect(server.remote()).await;
    for version in VERSIONS {
        deletions_are_delivered_alone(&server, &server.remote(), &other, version).await;
    }
}

#[tokio::test]
async fn a_cluster_and_a_relay_resume_where_the_client_was() {
    let cluster = Cluster::start(INVENTORY, 1).expect("a cluster");
    let relay = Server::builder().relay("Inventory", &cluster.remotes());
    let relay = relay.start().expect("a relay");
    relay.wait_until_connected("Inventory").expect("connected");
    let other = connect(cluster.remotes()).await;
    // A server keeps at most as much history as it has data, so these rows make room for history.
    insert(&other, 1_000, 1_500).await;
    for remote in [cluster.remotes(), relay.remote()] {
        let proxy = Proxy::start(&remote, 1).await.expect("a proxy");
        let client = connect(proxy.remote()).await;
        let cache = client.cache().all_tables().start().await.expect("a cache");
        insert(&other, 0, 1).await;
        same_as_dump(&cache, &cluster).await;
        assert!(!cache.snapshot().last_txn_id().is_nil());
        cut_off(&client, &proxy).await;
        let mut txn = other.transaction();
        txn.delete(Item::NAME.eq("item 0"));
        txn.commit().await.expect("a commit");
        let before = proxy.passed().to_client;
        let_back(&proxy, &[&cache]).await;
        same_as_dump(&cache, &cluster).await;
        // The 500 rows are not sent again: with them, more would be received.
        let passed = proxy.passed().to_client - before;
        assert!(passed < 30_000, "{passed} bytes");
        let version = MonitorVersion::MonitorCondSince;
        deletions_are_delivered_alone(&cluster, &remote, &other, version).await;
    }
}

#[tokio::test]
async fn a_replica_follows_a_database_restored_to_an_older_state() {
    // The database is restored to an earlier state: from a backup, or after a disk lost writes.
    let mut server = inventory_server();
    let file = server.folder().join("Inventory.db");
    let client = connect(server.remote()).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut changes = cache.all_changes();
    let mut fold = Fold::default();
    insert(&client, 0, 20).await;
    let old = std::fs::read(&file).expect("the database");
    insert(&client, 20, 40).await;
    let mut txn = client.transaction();
    txn.update(Item::COUNT.lt(10)).set(Item::ACTIVE, true);
    txn.commit().await.expect("a commit");
    server.kill().expect("killed");
    std::fs::write(&file, old).expect("put back");
    server.start().expect("started");
    same_as_dump(&cache, &server).await;
    assert_eq!(cache.snapshot().rows::<Item>().len(), 20);
    while let Some(batch) = changes.try_next() {
        fold.take(&batch);
    }
    assert!(fold.is(&cache.snapshot()));
    assert_eq!((fold.deleted, fold.modified), (40, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_opened_under_load_never_has_a_stale_row() {
    let seed = Seed::new();
    let server = inventory_server();
    let client = connect(server.remote()).await;
    let mut random = seed.random();
    // Other clients change rows all the time, except while the gate is closed.
    let gate = std::sync::Arc::new(tokio::sync::RwLock::new(()));
    let mut load = Vec::new();
    for number in 0..2 {
        let (writer, gate) = (connect(server.remote()).await, gate.clone());
        let mut random = seed.random();
        let first = 100 * (number + 1);
        insert(&writer, first, first + 50).await;
        load.push(tokio::spawn(async move {
            for n in 0.. {
                let _open = gate.read().await;
                let mut txn = writer.transaction();
                let row = Item::NAME.eq(format!("item {}", first + random.i64(..50)));
                match random.u8(..4) {
                    // Two rows are deleted, and a new one gets the name of the second.
                    0 => {
                        txn.delete(row.clone());
                        let name = format!("item {}", first + random.i64(..50));
                        txn.delete(Item::NAME.eq(name.clone()));
                        txn.insert(Item {
                            total: n,
                            ..item(&name, 1_000 * first + n % 50_000)
                        });
                    }
                    1 => drop(txn.update(row).set(Item::WEIGHT, Some(n))),
                    2 => drop(txn.mutate(row).insert(Item::TAGS, [n.to_string().as_str()])),
                    _ => drop(txn.mutate(row).add(Item::TOTAL, 1)),
                }
                txn.commit().await.expect("a commit");
            }
        }));
    }

    let counter = insert(&client, 0, 1).await[0];
    let first = client.cache().all_tables().start().await.expect("a cache");
    for round in 0..size(40, 200) {
        let mut txn = client.transaction();
        txn.mutate(counter).add(Item::TOTAL, 1);
        txn.commit().await.expect("a commit");
        let total = |cache: &Cache<Database>| {
            let view = cache.snapshot();
            view.get(counter).expect("the counter").total
        };
        let written = round as i64 + 1;
        assert_eq!(total(&first), written);
        let starting = (
            client.cache().all_tables().start(),
            client.cache().table::<Item>().start(),
        );
        let mut txn = client.transaction();
        txn.mutate(counter).add(Item::WEIGHT, 0);
        let (second, third, touched) = tokio::join!(starting.0, starting.1, txn.commit());
        let (second, third) = (second.expect("a cache"), third.expect("a cache"));
        touched.expect("a commit");
        // The first snapshot of each cache shows what was committed before.
        assert_eq!((total(&second), total(&third)), (written, written));
        // All of them receive later changes.
        let mut stream = second.all_changes();
        let mut fold = Fold::default();
        tokio::time::sleep(Duration::from_millis(random.u64(..5))).await;
        let closed = gate.write().await;
        for cache in [&first, &second, &third] {
            same_as_dump(cache, &server).await;
        }
        while let Some(batch) = stream.try_next() {
            fold.take(&batch);
        }
        assert!(fold.is(&second.snapshot()));
        drop(closed);
    }
    for writer in load {
        assert!(!writer.is_finished(), "a writer failed");
        writer.abort();
    }
}

/// Answers requests until the client requests a monitor, and returns that request; `None` when the client
/// hangs up.
async fn until_monitor(connection: &mut Connection) -> Option<Received> {
    while let Some(text) = connection.text().await {
        let request = Received::of(&text);
        match request.method.as_str() {
            "set_db_change_aware" => connection.reply(&request, "{}").await,
            "get_schema" => connection.reply(&request, INVENTORY).await,
            "monitor_cond" => connection.fail(&request, "\"unknown database\"").await,
            "echo" => connection.reply(&request, "[]").await,
            "monitor_cond_since" => return Some(request),
            other => panic!("{other}"),
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_host_is_noticed_while_a_large_reply_is_decoded() {
    // Prepared in advance, so that the peer replies at once.
    let rows: Vec<_> = (0..size(150_000, 600_000))
        .map(|n| {
            format!(
                r#""{}":{{"initial":{{"name":"item {n}","total":{n},"tags":["set",["a","b"]]}}}}"#,
                ovsdb::Uuid::from_u128(n as u128 + 1)
            )
        })
        .collect();
    let nil = ovsdb::Uuid::nil();
    let reply = format!(r#"[false,"{nil}",{{"Item":{{{}}}}}]"#, rows.join(","));
    let peer = Peer::new();
    let client = builder(peer.remote())
        .probe_interval(Some(Duration::from_millis(100)))
        // Long enough for the test to see the state between two connections.
        .backoff(Duration::from_secs(1), Duration::from_secs(1))
        .wait_for_server(true)
        .connect();
    let starting = tokio::spawn(async move {
        let client = client.await.expect("a client");
        let state = client.state();
        (state, tokio::spawn(client.cache().table::<Item>().start()))
    });
    let mut connection = peer.accept().await;
    // On a busy machine, the client may give up the connection before the reply was sent, because the peer
    // was slow. Then it connects again.
    loop {
        if let Some(request) = until_monitor(&mut connection).await {
            let mut text = String::new();
            ovsdb::protocol::write_reply(&mut text, &request.id, &reply);
            if connection.stream.write_all(text.as_bytes()).await.is_ok() {
                break;
            }
        }
        connection = peer.accept().await;
    }
    let (mut state, starting) = starting.await.expect("no panic");
    // From now on the host is dead: it accepts bytes, and sends nothing.
    let lost = state.wait_for(|state| matches!(state, ConnectionState::Waiting { .. }));
    let reason = match &lost.await.expect("the client lives") {
        ConnectionState::Waiting { lost: Some(lost) } => lost.clone(),
        other => panic!("{other:?}"),
    };
    assert!(
        matches!(reason.reason(), DisconnectReason::Silent),
        "{reason:?}"
    );
    assert!(!starting.is_finished(), "the reply was decoded before");
    // The client had probed the host.
    let mut asked = 0;
    while let Some(text) = connection.text().await {
        assert!(text.contains("\"echo\""), "{text}");
        asked += 1;
    }
    assert!(asked > 0);

    // Another host has the same database with a single row. The replica holds only that row afterwards.
    let mut connection = peer.accept().await;
    let request = until_monitor(&mut connection).await.expect("the monitor");
    let row = ovsdb::Uuid::from_u128(7);
    let reply = format!(r#"[false,"{nil}",{{"Item":{{"{row}":{{"initial":{{"name":"x"}}}}}}}}]"#);
    connection.reply(&request, &reply).await;
    let answering = tokio::spawn(async move {
        until_monitor(&mut connection).await;
    });
    let cache = starting.await.expect("no panic").expect("a cache");
    let alone = |view: &Snapshot<Database>| (view.rows::<Item>().len() == 1).then(|| view.clone());
    let view = cache
        .wait_until(Duration::from_secs(30), alone)
        .await
        .expect("one row");
    assert_eq!(view.get(Ref::<Item>::new(row)).expect("the row").name, "x");
    answering.abort();
}

#[tokio::test]
async fn a_connection_that_is_given_up_is_closed_before_the_next_attempt() {
    let peer = Peer::new();
    let hour = Duration::from_secs(3600);
    let client = builder(peer.remote())
        .probe_interval(Some(Duration::from_millis(50)))
        .backoff(hour, hour)
        .connect();
    let greeting = async {
        let mut connection = peer.accept().await;
        connection.give_schema(INVENTORY).await;
        connection
    };
    let (client, mut connection) = tokio::join!(client, greeting);
    let client = client.expect("a client");
    // The peer answers nothing any more. It receives only probes until the client closes the connection.
    while let Some(text) = connection.text().await {
        assert!(text.contains("\"echo\""), "{text}");
    }
    assert!(!client.state().get().is_connected());
}

#[tokio::test]
async fn a_half_open_connection_is_given_up() {
    let server = inventory_server();
    let proxy = Proxy::start(&server.remote(), 1).await.expect("a proxy");
    let client = builder(proxy.remote())
        .probe_interval(Some(Duration::from_millis(50)))
        .backoff(Duration::from_secs(1), Duration::from_secs(1))
        .connect_timeout(Duration::from_millis(200));
    let client = client.connect().await.expect("a client");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let other = connect(server.remote()).await;
    let mut state = client.state();
    for round in 0..3 {
        proxy.stall(true);
        let lost = state.wait_for(|state| matches!(state, ConnectionState::Waiting { .. }));
        match &lost.await.expect("the client lives") {
            ConnectionState::Waiting { lost: Some(lost) } => {
                assert!(
                    matches!(lost.reason(), DisconnectReason::Silent),
                    "{lost:?}"
                );
            }
            other => panic!("{other:?}"),
        }
        insert(&other, 10 * round, 10 * round + 10).await;
        proxy.stall(false);
        cache.current().await.expect("current");
        same_as_dump(&cache, &server).await;
    }
}
