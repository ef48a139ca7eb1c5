//! The session under faults that a real server or a scripted peer can show: reconnects, locks, schema
//! changes, time limits, unknown outcomes, and its end.

mod support;

use std::time::{Duration, Instant};

use ovsdb::protocol::{ErrorKind, Wire};
use ovsdb::testing::{Server, program};
use ovsdb::{
    Cache, Client, ClientBuilder, CommitError, ConnectionState, DisconnectReason, Error,
    RowIdentity,
};
use support::inventory::{Database, Item};
use support::peer::{Connection, Peer};
use support::{INVENTORY, inventory_server, item};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(30);

/// A client with short time limits.
fn quick(remote: String) -> ClientBuilder<Database> {
    Client::builder()
        .remotes(remote)
        .backoff(Duration::from_millis(10), Duration::from_millis(100))
        .probe_interval(Some(Duration::from_millis(200)))
}

async fn until(client: &Client<Database>, wanted: impl Fn(&ConnectionState) -> bool) {
    let mut state = client.state();
    let reached = timeout(HANG, state.wait_for(|state| wanted(state))).await;
    reached.expect("no hang").expect("the session lives");
}

async fn items(client: &Client<Database>) -> Cache<Database> {
    let start = client.cache().table::<Item>().start();
    timeout(HANG, start)
        .await
        .expect("no hang")
        .expect("a cache")
}

async fn insert(client: &Client<Database>, name: &str, total: i64) {
    let mut txn = client.transaction();
    txn.insert(item(name, total));
    txn.commit().await.expect("a commit");
}

fn names(cache: &Cache<Database>) -> Vec<String> {
    let view = cache.snapshot();
    let mut names: Vec<_> = view
        .rows::<Item>()
        .map(|row| row.name.to_string())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_client_reconnects_to_a_server_that_comes_back() {
    let mut server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let cache = items(&client).await;
    insert(&client, "before", 1).await;
    for round in 2..5 {
        server.kill().expect("killed");
        until(&client, |state| !state.is_connected()).await;
        // The replica is readable, and reports that it is stale.
        assert_eq!(names(&cache).len(), round - 1);
        assert!(!cache.is_current());
        // Requests made meanwhile wait.
        let writer = client.clone();
        let write = tokio::spawn(async move {
            insert(&writer, &format!("during {round}"), round as i64).await;
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!write.is_finished());
        server.start().expect("started");
        timeout(HANG, write)
            .await
            .expect("no hang")
            .expect("a commit");
        timeout(HANG, cache.current())
            .await
            .expect("no hang")
            .expect("current");
        assert_eq!(names(&cache).len(), round);
    }
}

#[tokio::test]
async fn a_server_that_stops_answering_is_given_up() {
    let server = Server::builder()
        .schema(INVENTORY)
        .tcp(true)
        .start()
        .expect("a server");
    let remote = server.tcp_remote().expect("a port");
    let client = quick(remote).connect().await.expect("a client");
    let cache = items(&client).await;
    server.signal("STOP").expect("stopped");
    until(&client, |state| match state {
        ConnectionState::Waiting { lost: Some(lost) } => {
            matches!(lost.reason(), DisconnectReason::Silent)
        }
        _ => false,
    })
    .await;
    server.signal("CONT").expect("continued");
    until(&client, ConnectionState::is_connected).await;
    insert(&client, "after", 1).await;
    timeout(HANG, cache.current())
        .await
        .expect("no hang")
        .expect("current");
    assert_eq!(names(&cache), ["after"]);
}

async fn scripted(peer: &Peer, builder: ClientBuilder<Database>) -> (Client<Database>, Connection) {
    let client = tokio::spawn(async move { builder.connect().await.expect("a client") });
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    (client.await.expect("a client"), connection)
}

async fn again(peer: &Peer) -> Connection {
    let mut connection = timeout(HANG, peer.accept())
        .await
        .expect("another connection");
    connection.give_schema(INVENTORY).await;
    connection
}

#[tokio::test]
async fn an_outcome_stays_unknown_when_a_later_attempt_is_refused() {
    // The guard has passed, and the insert is refused. The first attempt may still arrive, and be carried out.
    let refused = r#"[{},{"error":"constraint violation","details":"too many"}]"#;
    // A reply without results is reported as malformed, which leaves the outcome open too.
    for (reply, is_read) in [(refused, true), ("[]", false)] {
        let peer = Peer::new();
        let builder = quick(peer.remote()).probe_interval(None);
        let (client, mut connection) = scripted(&peer, builder).await;
        let mut txn = client.transaction();
        txn.insert(item("n", 1));
        let commit = tokio::spawn(async move { timeout(HANG, txn.commit_once()).await });
        connection.request().await;
        drop(connection);
        let mut connection = again(&peer).await;
        let second = connection.request().await;
        connection.reply(&second, reply).await;
        let outcome = commit.await.expect("no panic").expect("no hang");
        match outcome {
            Err(CommitError::Unknown(_)) if is_read => {}
            Err(CommitError::Answer(_)) if !is_read => {}
            other => panic!("{reply}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_settled_by_the_next_connection() {
    for (there, identity) in [
        (true, RowIdentity::ClientChosen),
        (false, RowIdentity::ClientChosen),
        (false, RowIdentity::Named),
    ] {
        let peer = Peer::new();
        let builder = quick(peer.remote())
            .probe_interval(None)
            .row_identity(identity);
        let (client, mut connection) = scripted(&peer, builder).await;
        let mut txn = client.transaction();
        txn.wait(Item::NAME.eq("n")).comparing(Item::NAME).until([]);
        let row = txn.insert(item("n", 1));
        let commit = tokio::spawn(async move { timeout(HANG, txn.commit_once()).await });
        let first = connection.request().await;
        assert_eq!(first.method, "transact");
        drop(connection);
        let mut connection = again(&peer).await;
        if identity == RowIdentity::Named {
            let outcome = commit.await.expect("no panic").expect("no hang");
            assert!(
                matches!(outcome, Err(CommitError::Unknown(_))),
                "nothing shows the outcome"
            );
            continue;
        }
        let second = connection.request().await;
        // The same operations, after a guard on the row.
        let guard = format!(
            r#"["Inventory",{{"op":"wait","table":"Item","timeout":0,"where":[["_uuid","==",["uuid","{}"]]],"columns":["_uuid"],"until":"==","rows":[]}},"#,
            row.uuid()
        );
        let operations = first
            .params
            .strip_prefix(r#"["Inventory","#)
            .expect("operations");
        assert_eq!(second.params, format!("{guard}{operations}"));
        let uuid = row.uuid();
        if there {
            let answer = r#"[{"error":"timed out","details":"\"wait\" timed out"},null,null]"#;
            connection.reply(&second, answer).await;
        } else {
            let answer = format!(r#"[{{}},{{}},{{"uuid":["uuid","{uuid}"]}}]"#);
            connection.reply(&second, &answer).await;
        }
        let outcome = commit
            .await
            .expect("no panic")
            .expect("no hang")
            .expect("committed");
        assert_eq!(outcome.is_settled(), there);
        assert_eq!(outcome.inserted(row), Some(row));
    }
}

#[tokio::test]
async fn time_limits_say_whether_the_transaction_was_sent() {
    let server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let other = quick(server.remote()).connect().await.expect("a client");
    let cache = items(&client).await;
    let waiting = |name: &str| {
        let mut txn = client.transaction();
        txn.wait(Item::NAME.eq("signal"))
            .comparing(Item::NAME)
            .timeout(None)
            .until([item("signal", 0)]);
        txn.insert(item(name, name.len() as i64));
        txn
    };
    let mut late = waiting("late");
    late.timeout(Some(Duration::from_millis(100)));
    match late.commit().await {
        Err(CommitError::Unknown(lost)) => {
            assert!(matches!(lost.reason(), DisconnectReason::TimedOut));
        }
        other => panic!("{other:?}"),
    }
    // Dropping a future cancels its transaction.
    let dropped = timeout(Duration::from_millis(100), waiting("dropped").commit()).await;
    assert!(dropped.is_err());
    let kept = tokio::spawn(waiting("kept").commit());
    // The server reads requests in order: when it answers this one, both are cancelled.
    client.list_dbs().await.expect("names");
    insert(&other, "signal", 7).await;
    kept.await.expect("no panic").expect("a commit");
    assert_eq!(names(&cache), ["kept", "signal"]);
}

#[tokio::test]
async fn a_change_is_retried_after_a_conflict() {
    const WRITERS: i64 = 4;
    const ADDS: i64 = 25;
    let server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    insert(&client, "counter", 0).await;
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let client = quick(server.remote()).connect().await.expect("a client");
        writers.push(tokio::spawn(async move {
            let cache = items(&client).await;
            let policy = ovsdb::RetryPolicy::default()
                .tries(1000)
                .max_wait(Duration::from_millis(20));
            for _ in 0..ADDS {
                let added = client
                    .apply_with(policy, &cache, |view, txn| {
                        let row = view.get_by(Item::NAME, "counter").expect("the counter");
                        txn.verify(row, Item::COUNT);
                        // Read, add, write: without the verification, additions would be lost.
                        txn.update(row.reference()).set(Item::COUNT, row.count + 1);
                        Ok::<_, CommitError>(())
                    })
                    .await;
                added.expect("added");
            }
        }));
    }
    for writer in writers {
        timeout(HANG, writer)
            .await
            .expect("no hang")
            .expect("no panic");
    }
    let cache = items(&client).await;
    let view = cache.snapshot();
    let counter = view.get_by(Item::NAME, "counter").expect("the counter");
    assert_eq!(counter.count, WRITERS * ADDS);

    // A transaction that cannot succeed ends after the tries, with the server's error.
    let mut runs = 0;
    let policy = ovsdb::RetryPolicy::default().tries(3);
    let refused = client
        .apply_with(policy, &cache, |_, txn| {
            runs += 1;
            txn.insert(item("counter", 99));
            Ok::<_, CommitError>(())
        })
        .await
        .expect_err("the name is taken");
    assert_eq!(
        (runs, refused.kind()),
        (3, Some(ErrorKind::ConstraintViolation))
    );
    // The closure's own error ends `apply` at once; an empty transaction is not sent.
    let own = client
        .apply(&cache, |_, _| Err::<(), _>(refused.clone()))
        .await;
    assert!(own.is_err());
    let (nothing, outcome) = client.edit(&cache, |_, _| 5).await.expect("nothing to do");
    assert!(nothing == 5 && outcome.results().is_empty());
}

#[tokio::test]
async fn a_lock_is_requested_again() {
    let mut server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let mut lock = client.lock("l").await.expect("a lock");
    for _ in 0..2 {
        server.kill().expect("killed");
        timeout(HANG, lock.lost())
            .await
            .expect("no hang")
            .expect("the client lives");
        let mut txn = client.transaction();
        txn.assert_lock(lock.name());
        let commit = tokio::spawn(txn.commit());
        server.start().expect("started");
        // The lock is requested before anything that waited is sent.
        commit.await.expect("no panic").expect("we hold it");
        timeout(HANG, lock.held())
            .await
            .expect("no hang")
            .expect("the client lives");
    }
    drop(lock);
    let rival = quick(server.remote()).connect().await.expect("a client");
    let mut lock = rival.lock("l").await.expect("a lock");
    timeout(HANG, lock.held())
        .await
        .expect("no hang")
        .expect("the lock was released");
    // A request for the lock whose future was dropped does not keep the lock.
    for _ in 0..20 {
        drop(timeout(Duration::ZERO, client.lock("l")).await);
    }
    drop(lock);
    let mut lock = rival.lock("l").await.expect("a lock");
    timeout(HANG, lock.held())
        .await
        .expect("no hang")
        .expect("no other client holds it");
}

#[tokio::test]
async fn a_changed_schema_is_taken_up_on_the_same_connection() {
    let server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let cache = items(&client).await;
    insert(&client, "old", 1).await;
    let mut changes = cache.changes::<Item>();
    let first = timeout(HANG, changes.next())
        .await
        .expect("no hang")
        .expect("the snapshot");
    assert_eq!(first.iter().count(), 1);
    assert!(cache.skew().is_empty());
    let state = client.state();

    // One column is removed, another one is added.
    let narrower = INVENTORY.replacen("\"weight\"", "\"heft\"", 1);
    let narrower = narrower.replacen("\"version\": \"", "\"version\": \"9", 1);
    assert!(narrower.contains("heft"));
    let other = quick(server.remote()).connect().await.expect("a client");
    other
        .convert(Wire::from_json(&narrower).expect("json"))
        .await
        .expect("converted");
    let mut freshness = cache.freshness();
    let converted = freshness.wait_for(|_| !cache.skew().is_empty());
    timeout(HANG, converted)
        .await
        .expect("no hang")
        .expect("the client lives");
    timeout(HANG, cache.current())
        .await
        .expect("no hang")
        .expect("current");
    assert!(!client.has_column(Item::WEIGHT) && client.has_column(Item::NAME));
    assert!(!state.has_changed(), "the connection stayed the same");
    insert(&client, "new", 2).await;
    assert_eq!(names(&cache), ["new", "old"]);
    let mut next = async || {
        let next = timeout(HANG, changes.next()).await;
        next.expect("no hang").expect("a change")
    };
    // The schema change is reported; the row that existed before is not.
    let converted = next().await;
    assert!(converted.kind().is_schema_change() && converted.is_empty());
    let next = next().await;
    assert_eq!(next.iter().count(), 1);
    let new = next
        .iter()
        .next()
        .and_then(|change| change.after().cloned());
    assert_eq!(new.expect("an insert").name, "new");
}

#[tokio::test]
async fn a_database_that_is_removed_and_comes_back_is_found() {
    if support::embedded_server_lacks("the control socket") {
        return;
    }
    let server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let cache = items(&client).await;
    insert(&client, "kept", 1).await;
    let control = |arguments: &[&str]| {
        let output = std::process::Command::new(program("ovs-appctl").expect("ovs-appctl"))
            .arg("-t")
            .arg(server.folder().join("ctl.sock"))
            .args(arguments)
            .output()
            .expect("ovs-appctl runs");
        assert!(output.status.success(), "{output:?}");
    };
    control(&["ovsdb-server/remove-db", "Inventory"]);
    until(&client, |state| match state {
        ConnectionState::Waiting { lost: Some(lost) } => matches!(
            lost.reason(),
            DisconnectReason::NoDatabase { .. } | DisconnectReason::Refused(_)
        ),
        _ => false,
    })
    .await;
    assert_eq!(names(&cache), ["kept"]);
    let file = server.folder().join("Inventory.db");
    control(&["ovsdb-server/add-db", &file.display().to_string()]);
    timeout(HANG, cache.current())
        .await
        .expect("no hang")
        .expect("current");
    insert(&client, "new", 2).await;
    assert_eq!(names(&cache), ["kept", "new"]);
}

#[tokio::test]
async fn remotes_can_be_changed() {
    let (first, second) = (inventory_server(), inventory_server());
    let client = quick(first.remote()).connect().await.expect("a client");
    let cache = items(&client).await;
    insert(&client, "first", 1).await;
    let there = quick(second.remote()).connect().await.expect("a client");
    insert(&there, "second", 1).await;
    let mut changes = cache.changes::<Item>();
    timeout(HANG, changes.next())
        .await
        .expect("no hang")
        .expect("the snapshot");

    assert!(client.set_remotes("nonsense").is_err() && client.set_remotes("").is_err());
    // A list with the connection's remote does not affect the connection.
    let state = client.state();
    let both = format!("{},{}", first.remote(), second.remote());
    client.set_remotes(&both).expect("remotes");
    client.list_dbs().await.expect("names");
    assert!(!state.has_changed());

    let typed: ovsdb::Remote = second.remote().parse().expect("a remote");
    assert!(client.set_remotes(Vec::<ovsdb::Remote>::new()).is_err());
    client.set_remotes([typed]).expect("remotes");
    let next = timeout(HANG, changes.next())
        .await
        .expect("no hang")
        .expect("a change");
    assert_eq!(next.iter().count(), 2, "one row was deleted, one inserted");
    assert_eq!(names(&cache), ["second"]);
    until(&client, |state| {
        matches!(state, ConnectionState::Connected { remote }
        if remote.to_string() == second.remote())
    })
    .await;
    client.reconnect();
    until(&client, |state| !state.is_connected()).await;
    until(&client, ConnectionState::is_connected).await;
}

#[tokio::test]
async fn a_client_can_wait_for_its_first_server() {
    let mut server = inventory_server();
    server.kill().expect("killed");
    let impatient = quick(server.remote()).connect().await;
    assert!(
        matches!(impatient, Err(Error::Connect { .. })),
        "{impatient:?}"
    );
    let patient = quick(server.remote()).wait_for_server(true);
    let connect = tokio::spawn(patient.connect());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!connect.is_finished());
    server.start().expect("started");
    let client = timeout(HANG, connect)
        .await
        .expect("no hang")
        .expect("no panic");
    insert(&client.expect("a client"), "first", 1).await;
}

#[tokio::test]
async fn closing_waits_for_the_replies() {
    let server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let cache = items(&client).await;
    let commits: Vec<_> = (0..50)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut txn = client.transaction();
                txn.insert(item(&number.to_string(), number));
                txn.commit().await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let other = client.clone();
    timeout(HANG, client.close()).await.expect("no hang");
    let mut committed = 0;
    for commit in commits {
        match commit.await.expect("no panic") {
            Ok(_) => committed += 1,
            Err(CommitError::NotSent(lost)) => {
                assert!(matches!(lost.reason(), DisconnectReason::Closed));
            }
            Err(error) => panic!("expected a commit or NotSent, got {error:?}"),
        }
    }
    // What was committed is in the replica, which stays readable, and reports that it has ended.
    assert_eq!(names(&cache).len(), committed);
    assert!(!cache.is_current() && cache.current().await.is_err());
    assert!(matches!(
        other.state().get(),
        ConnectionState::Closed { .. }
    ));
    for error in [
        other.list_dbs().await.expect_err("a closed client"),
        other.lock("l").await.expect_err("a closed client"),
        other
            .cache()
            .table::<Item>()
            .start()
            .await
            .expect_err("a closed client"),
    ] {
        match error {
            Error::Disconnected(lost) => {
                assert!(matches!(lost.reason(), DisconnectReason::Closed), "{lost}");
            }
            other => panic!("{other:?}"),
        }
    }
    timeout(HANG, other.close()).await.expect("closed already");
}

#[tokio::test]
async fn nothing_outlives_the_last_handle() {
    let server = inventory_server();
    let client = quick(server.remote()).connect().await.expect("a client");
    let state = client.state();
    let cache = items(&client).await;
    let lock = client.lock("l").await.expect("a lock");
    drop(client);
    // The cache and the lock keep the session alive.
    let writer = quick(server.remote()).connect().await.expect("a client");
    insert(&writer, "new", 1).await;
    let arrived = cache.wait_until(HANG, |view| view.get_by(Item::NAME, "new").map(|_| ()));
    arrived.await.expect("the cache follows");
    assert!(state.get().is_connected());
    drop(cache);
    drop(lock);
    let mut state = state;
    let end = state.wait_for(|state| matches!(state, ConnectionState::Closed { .. }));
    timeout(HANG, end)
        .await
        .expect("the task ends")
        .map(drop)
        .unwrap_or_default();
    let mut lock = writer.lock("l").await.expect("a lock");
    timeout(HANG, lock.held())
        .await
        .expect("no hang")
        .expect("no other client holds it");
}

#[test]
fn a_runtime_that_ends_leaves_typed_errors() {
    let server = inventory_server();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (client, cache) = runtime.block_on(async {
        let client = quick(server.remote()).connect().await.expect("a client");
        let cache = items(&client).await;
        insert(&client, "kept", 1).await;
        (client, cache)
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    assert_eq!(names(&cache), ["kept"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let begin = Instant::now();
        let mut txn = client.transaction();
        txn.insert(item("late", 2));
        let error = txn.commit().await.expect_err("no server listens");
        let (CommitError::NotSent(lost) | CommitError::Unknown(lost)) = error else {
            panic!("expected a lost connection, got {error:?}");
        };
        let of_lock = client.lock("l").await.expect_err("no runtime");
        let Error::Disconnected(of_lock) = of_lock else {
            panic!("expected a lost connection, got {of_lock:?}");
        };
        for lost in [lost, of_lock] {
            let gone = matches!(lost.reason(), DisconnectReason::RuntimeGone);
            assert!(gone, "{lost:?}");
        }
        assert!(begin.elapsed() < HANG);
        drop(cache);
        timeout(HANG, client.close()).await.expect("no hang");
    });
}

#[tokio::test]
async fn locks_and_conditions_wait_for_a_connection_as_long_as_a_request() {
    let mut server = inventory_server();
    let limited = quick(server.remote()).request_timeout(Some(Duration::from_millis(100)));
    let client = limited.connect().await.expect("a client");
    insert(&client, "kept", 1).await;
    insert(&client, "left", 2).await;
    let cache = items(&client).await;
    server.kill().expect("killed");
    until(&client, |state| !state.is_connected()).await;
    for lock in [client.lock("l").await, client.steal("l").await] {
        let error = lock.expect_err("there is no connection");
        assert!(matches!(error, Error::Disconnected(_)), "{error:?}");
    }
    let changed = cache.set_condition(Item::NAME.eq("kept"));
    let changed = timeout(HANG, changed).await.expect("no hang");
    assert!(
        matches!(changed, Err(Error::Disconnected(_))),
        "{changed:?}"
    );

    server.start().expect("started");
    // The lock without a handle is released, and the condition is in force.
    let other = quick(server.remote()).connect().await.expect("a client");
    let arrived = cache.wait_until(HANG, |view| (view.rows::<Item>().len() == 1).then_some(()));
    arrived.await.expect("the condition");
    assert_eq!(names(&cache), ["kept"]);
    let mut lock = other.lock("l").await.expect("a lock");
    timeout(HANG, lock.held())
        .await
        .expect("no hang")
        .expect("no other client holds it");
}
