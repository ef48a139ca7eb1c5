//! Changes of conditions while the replica is in use.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use ovsdb::model::{AllOf, Condition};
use ovsdb::protocol::{ErrorKind, Wire};
use ovsdb::{Cache, Client, Error, MonitorVersion, Uuid};
use support::inventory::{Database, Item, ItemOnly, Part};
use support::peer::{Connection, Peer};
use support::{INVENTORY, inventory_server};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(30);

async fn quick(remote: String) -> Client<Database> {
    Client::builder()
        .remotes(remote)
        .backoff(Duration::from_millis(10), Duration::from_millis(100))
        .connect()
        .await
        .expect("a client")
}

async fn fill(client: &Client<Database>, counts: std::ops::Range<i64>) {
    let mut txn = client.transaction();
    for count in counts {
        txn.insert(Item {
            name: count.to_string().into(),
            count,
            total: count,
            only: ItemOnly::Sole,
            ..Default::default()
        });
    }
    txn.commit().await.expect("a commit");
}

fn counts(cache: &Cache<Database>) -> BTreeSet<i64> {
    let view = cache.snapshot();
    view.rows::<Item>().map(|row| row.count).collect()
}

#[tokio::test]
async fn a_condition_change_resolves_when_the_replica_has_its_rows() {
    let server = inventory_server();
    let client = quick(server.remote()).await;
    fill(&client, 0..100).await;
    for version in [
        MonitorVersion::MonitorCond,
        MonitorVersion::MonitorCondSince,
    ] {
        let cache = client
            .cache()
            .table_where::<Item>(Item::COUNT.lt(10))
            .table::<Part>()
            .newest_monitor(version)
            .start()
            .await
            .expect("a cache");
        let mut changes = cache.changes::<Item>();
        assert_eq!(counts(&cache), (0..10).collect());
        for (low, high) in [(20, 30), (25, 60), (0, 100), (99, 100)] {
            let rows = Item::COUNT.eq(-1).or(Item::COUNT.ge(high - 1));
            cache.set_condition(rows).await.expect("a condition");
            assert_eq!(counts(&cache), (high - 1..100).collect());
            // Clauses are combined by OR, so a range is given by its values.
            let rows = (low..high).map(|count| Item::COUNT.eq(count).into());
            let rows = rows.reduce(ovsdb::model::AnyOf::or).expect("a clause");
            cache.set_condition(rows).await.expect("a condition");
            assert_eq!(counts(&cache), (low..high).collect());
        }
        cache
            .set_condition(Condition::<Item>::none())
            .await
            .expect("none");
        assert_eq!(counts(&cache), BTreeSet::new());
        cache
            .set_condition(Condition::<Item>::all())
            .await
            .expect("all");
        assert_eq!(counts(&cache).len(), 100);
        // The stream showed rows appear and disappear; together they add up to the replica.
        let mut known = BTreeSet::new();
        while let Some(batch) = changes.try_next() {
            for change in &batch {
                match change.after() {
                    Some(_) => assert!(known.insert(change.uuid())),
                    None => assert!(known.remove(&change.uuid())),
                }
            }
        }
        assert_eq!(known.len(), 100);
    }
}

#[tokio::test]
async fn a_condition_outlives_its_connection() {
    let mut server = inventory_server();
    let client = quick(server.remote()).await;
    fill(&client, 0..20).await;
    let cache = client
        .cache()
        .table_where::<Item>(Item::COUNT.lt(5))
        .start()
        .await
        .expect("a cache");
    cache
        .set_condition(Item::COUNT.ge(15))
        .await
        .expect("a condition");
    server.kill().expect("killed");
    // Without a connection the change waits for the next one.
    let changer = cache.clone();
    let change = tokio::spawn(async move { changer.set_condition(Item::COUNT.eq(7)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!change.is_finished());
    assert_eq!(counts(&cache), (15..20).collect());
    server.start().expect("started");
    timeout(HANG, change)
        .await
        .expect("no hang")
        .expect("no panic")
        .expect("in force");
    assert_eq!(counts(&cache), BTreeSet::from([7]));
    for _ in 0..2 {
        server.kill().expect("killed");
        let mut freshness = cache.freshness();
        let stale = freshness.wait_for(|now| *now != ovsdb::cache::Freshness::Current);
        timeout(HANG, stale)
            .await
            .expect("no hang")
            .expect("the client lives");
        server.start().expect("started");
        timeout(HANG, cache.current())
            .await
            .expect("no hang")
            .expect("current");
        assert_eq!(counts(&cache), BTreeSet::from([7]));
    }
    fill(&client, 20..21).await;
    assert_eq!(counts(&cache), BTreeSet::from([7]));
}

async fn scripted(peer: &Peer) -> (Client<Database>, Connection) {
    let connecting = tokio::spawn(quick(peer.remote()));
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    (connecting.await.expect("a client"), connection)
}

async fn started(client: &Client<Database>, connection: &mut Connection) -> Cache<Database> {
    let starter = client.clone();
    let start = tokio::spawn(async move { starter.cache().table::<Item>().start().await });
    let request = connection.request().await;
    connection
        .reply(&request, &format!(r#"[false,"{}",{{}}]"#, Uuid::nil()))
        .await;
    start.await.expect("no panic").expect("a cache")
}

type Change = tokio::task::JoinHandle<Result<(), Error>>;

async fn change(cache: &Cache<Database>, count: i64) -> Change {
    let cache = cache.clone();
    let change = tokio::spawn(async move { cache.set_condition(Item::COUNT.eq(count)).await });
    // `set_condition` hands its request to the session when its future is first polled.
    tokio::task::yield_now().await;
    change
}

#[tokio::test]
async fn changes_that_wait_are_coalesced() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let cache = started(&client, &mut connection).await;
    let first = change(&cache, 1).await;
    let request = connection.request().await;
    assert_eq!(request.method, "monitor_cond_change");
    assert_eq!(
        request.params,
        r#"[1,1,{"Item":[{"where":[["count","==",1]]}]}]"#
    );
    let mut waiting = Vec::new();
    for count in 2..10 {
        waiting.push(change(&cache, count).await);
    }
    connection.reply(&request, "{}").await;
    timeout(HANG, first)
        .await
        .expect("no hang")
        .expect("no panic")
        .expect("in force");
    let request = connection.request().await;
    assert_eq!(
        request.params,
        r#"[1,1,{"Item":[{"where":[["count","==",9]]}]}]"#
    );
    assert!(waiting.iter().all(|change| !change.is_finished()));
    // Refused: the earlier condition stays in force.
    connection
        .fail(&request, r#"{"error":"syntax error"}"#)
        .await;
    for change in waiting {
        let refused = timeout(HANG, change)
            .await
            .expect("no hang")
            .expect("no panic");
        assert!(
            matches!(refused, Err(Error::Refused(error)) if error.kind() == ErrorKind::SyntaxError)
        );
    }
    let unknown = change(&cache, 10).await;
    assert_eq!(connection.request().await.method, "monitor_cond_change");
    drop(connection);
    // Sent but not acknowledged: the next connection begins with it.
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    let request = connection.request().await;
    assert!(
        request.params.contains(r#"["count","==",10]"#),
        "{request:?}"
    );
    // Refused on that connection: the change is given up, and the earlier condition is requested at once.
    connection
        .fail(&request, r#"{"error":"syntax error"}"#)
        .await;
    let refused = timeout(HANG, unknown)
        .await
        .expect("no hang")
        .expect("no panic");
    assert!(matches!(refused, Err(Error::Refused(_))));
    let request = connection.request().await;
    assert!(
        request.params.contains(r#"["count","==",1]"#),
        "{request:?}"
    );
    let reply = format!(r#"[false,"{}",{{}}]"#, Uuid::nil());
    connection.reply(&request, &reply).await;
    timeout(HANG, cache.current())
        .await
        .expect("no hang")
        .expect("current");
}

#[tokio::test]
async fn a_condition_on_a_monitor_without_conditions_is_an_error() {
    let server = inventory_server();
    let client = quick(server.remote()).await;
    fill(&client, 0..3).await;
    let cache = client
        .cache()
        .table::<Item>()
        .newest_monitor(MonitorVersion::Monitor)
        .start()
        .await
        .expect("a cache");
    let refused = cache.set_condition(Item::COUNT.eq(1)).await;
    assert!(matches!(
        refused,
        Err(Error::ConditionsNotSupported(table)) if table == "Item"
    ));
    assert_eq!(counts(&cache).len(), 3);
    // Set without a connection, refused on the next one, which continues as before.
    client.reconnect();
    let changed = timeout(HANG, cache.set_condition(Item::COUNT.eq(1))).await;
    assert!(changed.expect("no hang").is_err());
    timeout(HANG, cache.current())
        .await
        .expect("no hang")
        .expect("current");
    assert_eq!(counts(&cache).len(), 3);
    client
        .echo(Wire::from_json("[]").expect("json"))
        .await
        .expect("an echo");
    // After the client is closed, a change of conditions is an error.
    let closed = cache.clone();
    client.close().await;
    assert!(closed.set_condition(Item::COUNT.eq(1)).await.is_err());
}

#[tokio::test]
async fn conditions_hold_here_for_the_rows_that_the_server_selects() {
    let server = inventory_server();
    let client = quick(server.remote()).await;
    let mut txn = client.transaction();
    for number in 0..30_i64 {
        let odd = (number % 2 == 1).then_some(number);
        let tags: Vec<String> = (0..number % 4).map(|tag| tag.to_string()).collect();
        txn.insert(Item {
            name: format!("item {number}").into(),
            count: number - 10,
            total: number,
            ratio: (number as f64 / 4.0).into(),
            weight: odd,
            active: number % 3 == 0,
            notes: [
                ("odd", odd.is_some().to_string()),
                ("rest", (number % 5).to_string()),
            ]
            .into(),
            sizes: odd
                .map(|odd| ("s".to_owned(), odd % 4))
                .into_iter()
                .collect(),
            tags: tags.into(),
            only: ItemOnly::Sole,
            ..Default::default()
        });
    }
    txn.commit().await.expect("a commit");
    let cache = client
        .cache()
        .table::<Item>()
        .start()
        .await
        .expect("a cache");
    let view = cache.snapshot();
    let first = view.rows::<Item>().next().expect("a row").reference();
    let strings = |strings: &[&str]| strings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let conditions: Vec<AllOf<Item>> = vec![
        AllOf::all(),
        first.into(),
        Condition::none().into(),
        Item::NAME.eq("item 3").into(),
        Item::NAME.ne("item 3").into(),
        Item::COUNT.lt(0).into(),
        Item::COUNT.le(0).into(),
        Item::COUNT.gt(0).into(),
        AllOf::from(Item::COUNT.ge(0)).and(Item::TOTAL.lt(20)),
        Item::RATIO.gt(2.5).into(),
        Item::RATIO.eq(2.5).into(),
        Item::ACTIVE.eq(true).into(),
        Item::WEIGHT.eq(None).into(),
        Item::WEIGHT.eq(Some(5)).into(),
        Item::WEIGHT.ne(Some(5)).into(),
        Item::WEIGHT.lt(7).into(),
        Item::WEIGHT.ge(7).into(),
        Item::TAGS.eq(strings(&["0", "1"])).into(),
        Item::TAGS.ne(strings(&[])).into(),
        Item::TAGS.includes(strings(&["1"])).into(),
        Item::TAGS.includes(strings(&[])).into(),
        Item::TAGS.excludes(strings(&["1", "2"])).into(),
        Item::NOTES.includes([("odd", "true")]).into(),
        Item::NOTES
            .excludes([("odd", "true"), ("rest", "3")])
            .into(),
        Item::NOTES.includes([("none", "")]).into(),
        Item::SIZES.includes([("s", 3)]).into(),
        Item::SIZES.excludes([("s", 3)]).into(),
        Item::SIZES.eq([("s", 1)]).into(),
    ];
    for condition in conditions {
        let mut txn = client.transaction();
        let selected = txn.select(condition.clone());
        let outcome = txn.commit().await.expect("a commit");
        let selected = outcome.rows(&selected).expect("rows");
        let selected: BTreeSet<_> = selected.iter().map(ovsdb::Row::uuid).collect();
        let here = view.rows::<Item>().filter(|row| condition.holds_for(row));
        let here: BTreeSet<_> = here.map(ovsdb::Row::uuid).collect();
        assert_eq!(here, selected, "{condition:?}");
    }
}
