//! What the log tells an operator.

mod support;

use std::time::Duration;

use ovsdb::cache::WorkQueue;
use ovsdb::testing::{Cluster, Server};
use ovsdb::{Client, ClientBuilder, Reconciler, TlsConfig, Uuid, nb};
use support::capture::Log;
use support::certificates::{Authority, Validity, server_files};
use support::inventory::{Database, Item, ItemOnly};
use support::{INVENTORY, inventory_server};
use tracing::Level;

const LOST: &str = "the connection is lost";
const NO_CONNECTION: &str = "no connection";
const NO_SERVER: &str = "no server can be used; trying again";

fn quick<D: ovsdb::Database>(remote: &str) -> ClientBuilder<D> {
    let backoff = Duration::from_millis(1);
    Client::builder().remotes(remote).backoff(backoff, backoff)
}

/// An item with a note of this length.
fn item(total: i64, length: usize) -> Item {
    Item {
        name: total.to_string().into(),
        total,
        only: ItemOnly::Sole,
        notes: [("note", "x".repeat(length))].into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_server_that_is_waited_for_is_logged_as_a_warning_with_the_whole_reason() {
    let (log, _guard) = Log::capture();
    let connecting = quick::<Database>("unix:/nowhere/db.sock").wait_for_server(true);
    let connecting = tokio::spawn(connecting.connect());
    let attempts = log.has(50, NO_CONNECTION).await;
    for attempt in &attempts {
        assert_eq!(attempt.level, Level::DEBUG);
        assert_eq!(
            &attempt["reason"],
            "cannot connect: No such file or directory (os error 2)"
        );
    }
    let warnings = log.at_least(Level::INFO);
    let [warning] = warnings.as_slice() else {
        panic!("expected one warning, got {warnings:#?}");
    };
    assert_eq!((warning.level, warning.message()), (Level::WARN, NO_SERVER));
    assert_eq!(&warning["database"], "Inventory");
    assert_eq!(&warning["remote"], "unix:/nowhere/db.sock");
    assert_eq!(&warning["attempts"], "1");
    assert_eq!(warning["reason"], attempts[0]["reason"]);
    connecting.abort();
}

#[tokio::test]
async fn a_server_with_another_database_is_logged_as_a_warning() {
    let (log, _guard) = Log::capture();
    let server = inventory_server();
    let nowhere = "unix:/nowhere/db.sock";
    let remotes = format!("{},{nowhere}", server.remote());
    let connecting = quick::<nb::Database>(&remotes).wait_for_server(true);
    let connecting = tokio::spawn(connecting.connect());
    log.has(20, NO_CONNECTION).await;
    // Once for each reason, however many attempts.
    let mut told: Vec<_> = log
        .at_least(Level::INFO)
        .iter()
        .map(|event| (event["remote"].to_owned(), event["reason"].to_owned()))
        .collect();
    told.sort_by_key(|(remote, _)| remote == nowhere);
    let no_database = "the server has no database OVN_Northbound; it has Inventory, _Server";
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], (server.remote(), no_database.to_owned()));
    assert_eq!(told[1].0, nowhere);
    connecting.abort();
}

#[tokio::test]
async fn a_server_that_is_not_the_leader_is_logged_as_a_warning() {
    let cluster = Cluster::start(INVENTORY, 3).expect("a cluster");
    let (log, _guard) = Log::capture();
    let leader = cluster.leader().expect("a leader");
    let remote = cluster.members()[(leader + 1) % 3].remote();
    let connecting = quick::<Database>(&remote).wait_for_server(true);
    let connecting = tokio::spawn(connecting.leader_only(true).connect());
    let warning = log.has(1, NO_SERVER).await.remove(0);
    assert_eq!(warning["remote"], *remote);
    assert_eq!(&warning["reason"], "the server is not its cluster's leader");
    connecting.abort();
}

#[tokio::test]
async fn an_error_that_the_caller_gets_is_not_logged_as_a_warning() {
    let (log, _guard) = Log::capture();
    let failed = quick::<Database>("unix:/nowhere/db.sock").connect().await;
    failed.expect_err("no server");
    assert_eq!(log.with_message(NO_CONNECTION).len(), 1);
    assert!(log.at_least(Level::INFO).is_empty(), "{:#?}", log.all());
}

#[tokio::test]
async fn a_lost_connection_is_logged_with_its_database_and_remote() {
    let mut server = inventory_server();
    let (log, _guard) = Log::capture();
    let client = quick::<Database>(&server.remote()).connect().await;
    let client = client.expect("a client");
    server.kill().expect("killed");
    let lost = log.has(1, LOST).await.remove(0);
    assert_eq!(lost.level, Level::WARN);
    for event in log
        .all()
        .iter()
        .filter(|event| event.target.starts_with("ovsdb"))
    {
        assert_eq!(&event["database"], "Inventory", "{event:?}");
        if event.fields.contains_key("remote") {
            assert_eq!(event["remote"], *server.remote(), "{event:?}");
        }
    }
    // The outage is reported too, if it lasts.
    log.has(1, NO_SERVER).await;
    server.start().expect("started");
    log.has(2, "connected").await;
    drop(client);
}

#[tokio::test]
async fn a_lock_that_others_of_a_cluster_cannot_see_is_logged_as_a_warning() {
    const MESSAGE: &str = "each server of a cluster has locks of its own: a client that relies on \
                           a lock needs leader_only(true)";
    let cluster = Cluster::start(INVENTORY, 1).expect("a cluster");
    let standalone = inventory_server();
    let (log, _guard) = Log::capture();
    let locked = async |remote: &str, leader_only| {
        let client = quick::<Database>(remote).leader_only(leader_only);
        let client = client.connect().await.expect("a client");
        let one = client.lock("one").await.expect("a lock");
        let two = client.lock("two").await.expect("a lock");
        let mut state = client.state();
        client.reconnect();
        for connected in [false, true] {
            let reached = state.wait_for(|state| state.is_connected() == connected);
            drop(reached.await.expect("the client lives"));
        }
        drop((one, two));
        client.close().await;
    };
    locked(&standalone.remote(), false).await;
    locked(&cluster.remotes(), true).await;
    assert!(log.with_message(MESSAGE).is_empty());
    locked(&cluster.remotes(), false).await;
    let warnings = log.with_message(MESSAGE);
    let [warning] = warnings.as_slice() else {
        panic!("expected one warning, got {warnings:#?}");
    };
    assert_eq!(warning.level, Level::WARN);
    assert_eq!(&warning["database"], "Inventory");
    assert_eq!(warning["remote"], *cluster.remotes());
}

#[tokio::test]
async fn a_schema_that_lacks_something_is_logged_as_a_warning_and_a_narrower_one_is_logged() {
    const MESSAGE: &str = "the server's schema differs";
    let with = |column: &str, other: &str| {
        let schema = INVENTORY.replace(column, other);
        assert_ne!(schema, INVENTORY);
        schema
    };
    let lacking = with("\"number\": {", "\"other\": {");
    let tags = r#""tags": {"type": {"key": "string", "min": 0, "max": "#;
    let narrower = with(&format!("{tags}\"unlimited\""), &format!("{tags}1"));
    let (log, _guard) = Log::capture();
    for (schema, logged) in [
        (INVENTORY.to_owned(), None),
        (lacking, Some((Level::WARN, ": no column Slot.number"))),
        (
            narrower,
            Some((
                Level::INFO,
                ": column Item.tags is optional string; set of string can hold each of its values",
            )),
        ),
    ] {
        let before = log.with_message(MESSAGE).len();
        let server = Server::builder().schema(schema).start();
        let server = server.expect("a server");
        let client = quick::<Database>(&server.remote()).connect().await;
        let client = client.expect("a client");
        let cache = client.cache().all_tables().start().await;
        let cache = cache.expect("a cache");
        let events = log.with_message(MESSAGE).split_off(before);
        assert_eq!(events.len(), usize::from(logged.is_some()), "{events:#?}");
        if let (Some(event), Some((level, difference))) = (events.first(), logged) {
            assert_eq!(event.level, level);
            assert_eq!(&event["database"], "Inventory");
            assert!(event["skew"].ends_with(difference), "{event:?}");
            assert_eq!(event["skew"], cache.skew().to_string());
        }
        client.close().await;
    }
}

#[tokio::test]
async fn every_message_is_logged_at_trace_level() {
    let server = inventory_server();
    let (log, _guard) = Log::capture();
    let client = quick::<Database>(&server.remote()).connect().await;
    let client = client.expect("a client");
    let cache = client.cache().table::<Item>().start().await;
    let cache = cache.expect("a cache");
    for (total, length) in [(1, 10), (2, 100_000)] {
        let mut txn = client.transaction();
        txn.insert(item(total, length));
        txn.commit().await.expect("a commit");
    }
    drop(cache);
    let stats = client.stats();
    client.close().await;

    let mut wire = log.all();
    wire.retain(|event| event.target == "ovsdb::wire");
    let of = |direction: &str| {
        let mut events = wire.clone();
        events.retain(|event| event["direction"] == *direction);
        events
    };
    let size = |event: &support::capture::Logged| event["size"].parse::<u64>().expect("a size");
    let (sent, received) = (of("sent"), of("received"));
    assert_eq!(sent.len() + received.len(), wire.len());
    assert!(received.len() as u64 >= stats.messages_received);
    // The sizes are those of the whole messages, however much of them is shown.
    assert!(sent.iter().map(size).sum::<u64>() >= stats.bytes_sent);
    for event in &wire {
        assert_eq!(event.level, Level::TRACE);
        assert_eq!(event["remote"], *server.remote());
        assert_eq!(&event["database"], "Inventory");
        let shown = event.message();
        if size(event) <= 4096 {
            assert_eq!(shown.len() as u64, size(event), "{shown}");
            assert!(shown.starts_with('{') && shown.ends_with('}'), "{shown}");
        } else {
            assert_eq!(shown.len(), 4096 + "...".len());
        }
    }
    let large = |events: &[support::capture::Logged]| {
        let mut events = events.iter();
        events.any(|event| size(event) > 100_000 && event.message().ends_with("..."))
    };
    assert!(large(&sent) && large(&received));
    let transact = |event: &&support::capture::Logged| event.message().contains("\"transact\"");
    assert_eq!(sent.iter().filter(transact).count(), 2);
}

#[tokio::test]
async fn no_secret_of_tls_is_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("the authority");
    let certificate = authority.issue(&["127.0.0.1"], Validity::Now);
    let files = server_files(folder.path(), &certificate, &authority);
    let server = Server::builder().schema(INVENTORY).ssl(files).start();
    let server = server.expect("a server");
    let (log, _guard) = Log::capture();
    let client = authority.issue(&["client"], Validity::Now);
    let tls = TlsConfig::builder()
        .ca_pem(authority.pem())
        .client_pem(client.certificate.clone(), client.key.clone())
        .build()
        .expect("TLS");
    let remote = server.ssl_remote().expect("a remote");
    let connected = quick::<Database>(&remote).tls(tls).connect().await;
    connected.expect("a client").close().await;
    let text = format!("{:?}", log.all());
    assert!(text.contains("ovsdb::wire") && text.contains("get_schema"));
    let mut secrets = client.key.lines().filter(|line| !line.contains("-----"));
    assert!(secrets.all(|secret| !text.contains(secret)), "{text}");
}

#[tokio::test]
async fn a_key_that_keeps_failing_is_logged_as_a_warning_at_growing_intervals() {
    let server = inventory_server();
    let client = quick::<Database>(&server.remote());
    let client = client.connect().await.expect("a client");
    let cache = client.cache().table::<Item>().start();
    let cache = cache.await.expect("a cache");
    let (log, _guard) = Log::capture();
    let brief = Duration::from_millis(1);
    let runner = Reconciler::<_, u32>::new(&client, &cache)
        .name("numbers")
        .backoff(brief, brief)
        .run_attempts(1, |attempt, _, _| match attempt.number {
            1..=5 => Err("not yet".into()),
            6 => panic!("a mistake"),
            _ => Ok(()),
        });
    runner.add(7);
    log.has(1, "the key no longer fails").await;
    let failures = log.with_message("a key failed");
    let levels: Vec<_> = failures.iter().map(|failure| failure.level).collect();
    let (error, warn, debug) = (Level::ERROR, Level::WARN, Level::DEBUG);
    assert_eq!(levels, [warn, warn, debug, warn, debug, error]);
    for (number, failure) in (1..).zip(&failures) {
        assert_eq!(&failure["database"], "Inventory");
        assert_eq!(&failure["reconciler"], "numbers");
        assert_eq!(&failure["key"], "7");
        assert_eq!(failure["attempts"], number.to_string());
    }
    assert_eq!(&failures[0]["error"], "not yet");
    assert_eq!(&failures[5]["error"], "the closure panicked: a mistake");
}

#[tokio::test]
async fn a_panic_in_a_feed_is_logged_with_its_database() {
    let (log, _guard) = Log::capture();
    let server = inventory_server();
    let client = quick::<Database>(&server.remote()).connect().await;
    let client = client.expect("a client");
    let cache = client.cache().table::<Item>().start().await;
    let cache = cache.expect("a cache");
    let mut txn = client.transaction();
    txn.insert(item(1, 1));
    txn.commit().await.expect("a commit");
    for all in [false, true] {
        let queue = WorkQueue::<Uuid>::new();
        match all {
            true => queue.feed_all(cache.all_changes(), |_| -> [Uuid; 0] {
                panic!("a mistake")
            }),
            false => queue.feed(cache.changes::<Item>(), |_, _| -> [Uuid; 0] {
                panic!("a mistake")
            }),
        }
        let taken = tokio::spawn(async move { queue.next().await.is_none() });
        assert!(taken.await.expect_err("the panic").is_panic());
    }
    let errors = log.at_least(Level::ERROR);
    assert_eq!(errors.len(), 2, "{errors:#?}");
    for error in errors {
        assert_eq!(error.message(), "the closure of a feed panicked");
        assert_eq!(&error["panic"], "a mistake");
        assert_eq!(&error["database"], "Inventory");
    }
}
