//! When a commit resolves, every cache of its client shows it, even while monitors are being started
//! again. The time limit, a lost connection, or closing the client ends the wait for a cache earlier.

mod support;

use std::process::Command;
use std::time::Duration;

use ovsdb::protocol::Wire;
use ovsdb::testing::{Server, program};
use ovsdb::{Cache, Client, CommitError, Outcome, Ref, Uuid};
use support::inventory::{Database, Item, Part};
use support::peer::{Connection, Peer, Received};
use support::{INVENTORY, connect, inventory_server, item};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(60);

// Real servers.

/// Another schema that differs only in its version, and the schema itself.
fn schemas() -> [String; 2] {
    let newer = INVENTORY.replacen("\"1.2.3\"", "\"1.2.4\"", 1);
    assert_ne!(newer, INVENTORY);
    [newer, INVENTORY.to_owned()]
}

/// Inserts a row. Returns how many caches do not show it when the commit resolves.
async fn late(client: &Client<Database>, caches: &[&Cache<Database>], number: i64) -> usize {
    let mut txn = client.transaction();
    let part = txn.insert(Part {
        label: "part".into(),
    });
    let row = txn.insert(Item {
        parts: [part].into(),
        ..item(&format!("item {number}"), number)
    });
    let committed = timeout(HANG, txn.commit()).await.expect("no hang");
    committed.expect("a commit");
    let shows = |cache: &&&Cache<Database>| {
        let view = cache.snapshot();
        let parts = view.try_table::<Part>();
        let items = view.try_table::<Item>();
        parts.is_none_or(|parts| parts.get(part).is_some())
            && items.is_none_or(|items| items.get(row).is_some())
    };
    caches.len() - caches.iter().filter(shows).count()
}

/// The client that converts the database.
#[derive(Debug, Clone, Copy)]
enum By {
    Itself,
    Another,
    /// `ovsdb-client convert`.
    Program,
}

async fn convert(client: &Client<Database>, schema: &str) {
    let schema = Wire::from_json(schema).expect("json");
    client.convert(schema).await.expect("converted");
}

async fn convert_by(by: By, server: &Server, clients: [&Client<Database>; 2], schema: &str) {
    match by {
        By::Itself => convert(clients[0], schema).await,
        By::Another => convert(clients[1], schema).await,
        By::Program => {
            let file = server.folder().join("converted.ovsschema");
            std::fs::write(&file, schema).expect("written");
            let mut command = Command::new(program("ovsdb-client").expect("ovsdb-client"));
            command.arg("convert").arg(server.remote()).arg(file);
            let done = tokio::task::spawn_blocking(move || command.output());
            let output = done.await.expect("no panic").expect("ovsdb-client runs");
            assert!(output.status.success(), "{output:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_after_a_conversion_are_shown_when_they_resolve() {
    let server = inventory_server();
    let (client, other) = (connect(&server).await, connect(&server).await);
    let all = client.cache().all_tables().start().await.expect("a cache");
    let items = client.cache().table::<Item>().start().await;
    let items = items.expect("a cache");
    let parts = client.cache().table::<Part>().start().await;
    let parts = parts.expect("a cache");
    let (mut number, mut found) = (0, Vec::new());
    for by in [By::Itself, By::Another, By::Program] {
        for turn in 0..20 {
            convert_by(by, &server, [&client, &other], &schemas()[turn % 2]).await;
            number += 1;
            let late = late(&client, &[&all, &items, &parts], number).await;
            if late > 0 {
                found.push((by, turn, late));
            }
        }
    }
    assert!(found.is_empty(), "caches that were late: {found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_shown_when_the_rows_are_decoded_on_a_thread_of_their_own() {
    let server = inventory_server();
    let client = connect(&server).await;
    // So many rows that they are decoded on another thread than the session's.
    for block in 0..10 {
        let mut txn = client.transaction();
        for row in 0..500 {
            let number = 1_000 * (block + 1) + row;
            txn.insert(Item {
                notes: [("note", "x".repeat(200))].into(),
                ..item(&format!("item {number}"), number)
            });
        }
        txn.commit().await.expect("a commit");
    }
    let all = client.cache().all_tables().start().await.expect("a cache");
    let items = client.cache().table::<Item>().start().await;
    let items = items.expect("a cache");
    let mut found = Vec::new();
    for turn in 0..10 {
        convert(&client, &schemas()[turn % 2]).await;
        let late = late(&client, &[&all, &items], turn as i64).await;
        if late > 0 {
            found.push((turn, late));
        }
    }
    assert!(found.is_empty(), "caches that were late: {found:?}");
}

// A peer that follows a script.

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

/// A monitor's reply with one row for each name and uuid.
fn rows(names: &[(&str, Uuid)]) -> String {
    let row = |(name, uuid): &(&str, Uuid)| {
        format!(r#""{uuid}":{{"initial":{{"name":"{name}","only":"sole"}}}}"#)
    };
    let rows: Vec<_> = names.iter().map(row).collect();
    let nil = Uuid::nil();
    format!(r#"[false,"{nil}",{{"Item":{{{}}}}}]"#, rows.join(","))
}

async fn start(client: &Client<Database>, connection: &mut Connection) -> Cache<Database> {
    let cache = tokio::spawn(client.cache().table::<Item>().start());
    let request = connection.request().await;
    connection.reply(&request, &rows(&[])).await;
    cache.await.expect("no panic").expect("a cache")
}

type Commit = JoinHandle<Result<Outcome, CommitError>>;

/// Commits a row. Returns the request that the peer received.
async fn commit(
    client: &Client<Database>,
    connection: &mut Connection,
    limit: Option<Duration>,
) -> (Commit, Received, Ref<Item>) {
    let mut txn = client.transaction();
    txn.timeout(limit);
    let row = txn.insert(item("new", 1));
    let commit = tokio::spawn(txn.commit());
    let request = connection.request().await;
    assert_eq!(request.method, "transact");
    (commit, request, row)
}

fn inserted(row: Ref<Item>) -> String {
    format!(r#"[{{"uuid":["uuid","{}"]}}]"#, row.uuid())
}

/// Returns once the client has handled everything that the peer has sent.
async fn settle(connection: &mut Connection) {
    connection
        .send(r#"{"method":"echo","params":[],"id":"settle"}"#)
        .await;
    let answer = connection.text().await.expect("an answer");
    assert!(answer.contains("settle"), "{answer}");
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

async fn resolves(commit: Commit) -> Result<Outcome, CommitError> {
    let outcome = timeout(HANG, commit).await.expect("no hang");
    outcome.expect("no panic")
}

fn canceled(monitor: u64) -> String {
    format!(r#"{{"id":null,"method":"monitor_canceled","params":[{monitor}]}}"#)
}

#[tokio::test]
async fn a_commit_in_flight_when_its_monitors_are_canceled_waits_for_all_of_them() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let first = start(&client, &mut connection).await;
    let second = start(&client, &mut connection).await;
    let dropped = start(&client, &mut connection).await;
    let (commit, transact, row) = commit(&client, &mut connection, None).await;
    for monitor in 1..=3 {
        connection.send(&canceled(monitor)).await;
    }
    // Carried out after the monitors were cancelled.
    connection.reply(&transact, &inserted(row)).await;
    let schema = connection.request().await;
    assert_eq!(schema.method, "get_schema");
    settle(&mut connection).await;
    assert!(!commit.is_finished(), "no cache shows it");
    connection.reply(&schema, INVENTORY).await;
    let mut requests = Vec::new();
    for _ in 0..3 {
        requests.push(connection.request().await);
    }
    let uuid = row.uuid();
    connection
        .reply(&requests[0], &rows(&[("new", uuid)]))
        .await;
    settle(&mut connection).await;
    assert!(first.snapshot().get(row).is_some());
    assert!(!commit.is_finished(), "the second cache does not show it");
    connection
        .reply(&requests[1], &rows(&[("new", uuid)]))
        .await;
    settle(&mut connection).await;
    assert!(!commit.is_finished(), "the third cache does not show it");
    // Nothing waits for a dropped cache any more.
    drop(dropped);
    let cancel = connection.request().await;
    assert_eq!(cancel.method, "monitor_cancel");
    resolves(commit).await.expect("committed");
    assert!(second.snapshot().get(row).is_some());
}

#[tokio::test]
async fn a_commit_waits_for_a_replica_that_is_fetched_again() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer).await;
    let cache = start(&client, &mut connection).await;
    let (commit, transact, row) = commit(&client, &mut connection, None).await;
    // An update that does not fit: it deletes a row that does not exist.
    let nil = Uuid::nil();
    connection
        .send(&format!(
            r#"{{"id":null,"method":"update3","params":[1,"{nil}",{{"Item":{{"{nil}":{{"delete":null}}}}}}]}}"#
        ))
        .await;
    connection.reply(&transact, &inserted(row)).await;
    assert_eq!(connection.request().await.method, "monitor_cancel");
    let again = connection.request().await;
    settle(&mut connection).await;
    assert!(!commit.is_finished());
    // As if the server had been replaced by an older release meanwhile, which knows only older monitor methods.
    connection
        .fail(&again, r#"{"error":"unknown method"}"#)
        .await;
    let again = connection.request().await;
    assert_eq!(again.method, "monitor_cond");
    settle(&mut connection).await;
    assert!(!commit.is_finished());
    let uuid = row.uuid();
    connection
        .reply(
            &again,
            &format!(r#"{{"Item":{{"{uuid}":{{"initial":{{"name":"new","only":"sole"}}}}}}}}"#),
        )
        .await;
    resolves(commit).await.expect("committed");
    assert!(cache.snapshot().get(row).is_some() && cache.is_current());
}

#[tokio::test]
async fn a_commit_with_a_reply_is_committed_even_if_no_replica_ever_shows_it() {
    enum End {
        TimeLimit,
        Connection,
        Close,
    }
    for end in [End::TimeLimit, End::Connection, End::Close] {
        let peer = Peer::new();
        let (client, mut connection) = scripted(&peer).await;
        let cache = start(&client, &mut connection).await;
        let limit = match end {
            End::TimeLimit => Some(Duration::from_secs(2)),
            _ => None,
        };
        let (commit, transact, row) = commit(&client, &mut connection, limit).await;
        connection.send(&canceled(1)).await;
        connection.reply(&transact, &inserted(row)).await;
        assert_eq!(connection.request().await.method, "get_schema");
        settle(&mut connection).await;
        match end {
            End::TimeLimit => {}
            End::Connection => {
                assert!(!commit.is_finished());
                drop(connection);
            }
            End::Close => {
                assert!(!commit.is_finished());
                client.close().await;
            }
        }
        let outcome = resolves(commit).await.expect("committed");
        assert_eq!(outcome.inserted(row), Some(row));
        // The cache reports that it is stale.
        assert!(!cache.is_current() && cache.snapshot().get(row).is_none());
    }
}

#[cfg(feature = "server")]
#[tokio::test]
async fn a_commit_through_a_relay_waits_for_the_rows_of_a_source_whose_connection_was_lost() {
    let peer = Peer::new();
    let relay = tokio::spawn(ovsdb::server::Server::relay("Inventory", peer.remote()));
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    let monitor = connection.request().await;
    connection.reply(&monitor, &rows(&[])).await;
    let relay = relay.await.expect("no panic").expect("a relay");
    let client = Client::<Database>::builder().server(&relay);
    let client = client.connect().await.expect("connected");
    let cache = client.cache().table::<Item>().start().await;
    let cache = cache.expect("a cache");

    // The relay's own monitor is being restarted when the transaction is carried out.
    connection.send(&canceled(1)).await;
    let schema = connection.request().await;
    connection.reply(&schema, INVENTORY).await;
    assert_eq!(connection.request().await.method, "monitor_cond_since");
    let (commit, transact, row) = commit(&client, &mut connection, None).await;
    connection.reply(&transact, &inserted(row)).await;
    settle(&mut connection).await;
    assert!(!commit.is_finished());
    drop(connection);
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    let monitor = connection.request().await;
    settle(&mut connection).await;
    assert!(!commit.is_finished(), "the relay does not have the row");
    connection
        .reply(&monitor, &rows(&[("new", row.uuid())]))
        .await;
    resolves(commit).await.expect("committed");
    assert!(cache.snapshot().get(row).is_some());
}
