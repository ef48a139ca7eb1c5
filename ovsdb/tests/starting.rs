//! Monitors that the server refuses: the error goes to the cache that is being started, or that was
//! started before, and affects nothing else.

mod support;

use std::time::Duration;

use ovsdb::cache::Freshness;
use ovsdb::protocol::{ErrorKind, FrameError, Limits, MonitorSinceReply, TableUpdates2, Wire as _};
use ovsdb::{Cache, Client, ClientBuilder, DisconnectReason, Error, Uuid};
use support::INVENTORY;
use support::inventory::{Database, Item, Part};
use support::peer::{Connection, Peer, Received};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(60);

fn builder(remote: String) -> ClientBuilder<Database> {
    Client::builder()
        .remotes(remote)
        .probe_interval(None)
        .backoff(Duration::from_millis(10), Duration::from_millis(100))
}

async fn scripted(peer: &Peer, builder: ClientBuilder<Database>) -> (Client<Database>, Connection) {
    let connecting = tokio::spawn(builder.connect());
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

type Start = JoinHandle<Result<Cache<Database>, Error>>;

fn start(client: &Client<Database>) -> Start {
    tokio::spawn(client.cache().table::<Item>().start())
}

async fn outcome(start: Start) -> Result<Cache<Database>, Error> {
    let outcome = timeout(HANG, start).await.expect("no hang");
    outcome.expect("no panic")
}

/// Starts a cache whose monitor the peer accepts.
async fn started(start: Start, connection: &mut Connection) -> Cache<Database> {
    let request = connection.request().await;
    connection.reply(&request, &no_rows()).await;
    outcome(start).await.expect("a cache")
}

/// The client's next request comes on the same connection.
async fn serves(client: &Client<Database>, connection: &mut Connection) {
    let client = client.clone();
    let ids = tokio::spawn(async move { client.list_dbs().await });
    let request = connection.request().await;
    assert_eq!(request.method, "list_dbs");
    connection.reply(&request, r#"["Inventory"]"#).await;
    let names = ids.await.expect("no panic").expect("an answer");
    assert_eq!(names.len(), 1);
}

#[tokio::test]
async fn a_cache_that_the_server_refuses_is_an_error_of_its_own() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer, builder(peer.remote())).await;
    // The server may refuse with any error, and for any of the monitor methods.
    for error in [r#"{"error":"not allowed"}"#, "\"unknown database\""] {
        let starting = start(&client);
        let request = connection.request().await;
        connection.fail(&request, error).await;
        let error = outcome(starting).await.expect_err("refused");
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
    }
    let starting = start(&client);
    for method in ["monitor_cond_since", "monitor_cond", "monitor"] {
        let request = connection.request().await;
        assert_eq!(request.method, method);
        connection.fail(&request, "\"unknown method\"").await;
    }
    let error = outcome(starting).await.expect_err("refused");
    assert!(
        matches!(&error, Error::Refused(error) if error.kind() == ErrorKind::UnknownMethod),
        "{error:?}"
    );
    // Malformed replies.
    for reply in ["7", "[false,7,{}]", r#"[false,"x",{}]"#, "[]"] {
        let starting = start(&client);
        let request = connection.request().await;
        connection.reply(&request, reply).await;
        let error = outcome(starting).await.expect_err("malformed");
        assert!(matches!(error, Error::Apply(_)), "{reply}: {error:?}");
        assert_eq!(connection.request().await.method, "monitor_cancel");
    }
    serves(&client, &mut connection).await;
    assert_eq!(client.stats().connections, 1);
}

#[tokio::test]
async fn starting_a_cache_ends_by_the_time_limit_with_the_reason() {
    // The server does not answer.
    let peer = Peer::new();
    let limit = Some(Duration::from_millis(200));
    let (client, mut connection) =
        scripted(&peer, builder(peer.remote()).request_timeout(limit)).await;
    let starting = start(&client);
    let late = connection.request().await;
    let error = outcome(starting).await.expect_err("too late");
    assert!(
        matches!(&error, Error::Disconnected(lost) if matches!(lost.reason(), DisconnectReason::TimedOut)),
        "{error:?}"
    );
    // When the server answers later, the monitor is cancelled.
    connection.reply(&late, &no_rows()).await;
    assert_eq!(connection.request().await.method, "monitor_cancel");
    serves(&client, &mut connection).await;
    // A cache may have a time limit of its own; here it has none.
    let own = client.cache().table::<Item>().timeout(None).start();
    let own = tokio::spawn(own);
    let request = connection.request().await;
    tokio::time::sleep(2 * Duration::from_millis(200)).await;
    connection.reply(&request, &no_rows()).await;
    drop(outcome(own).await.expect("a cache"));
    assert_eq!(connection.request().await.method, "monitor_cancel");

    // The server no longer has the database, and reports that on every connection.
    drop(connection);
    let gone = tokio::spawn(async move {
        loop {
            let mut connection = peer.accept().await;
            let aware = connection.request().await;
            let server = connection.request().await;
            let mut text = String::new();
            ovsdb::protocol::write_reply(&mut text, &aware.id, "{}");
            ovsdb::protocol::write_reply(&mut text, &server.id, r#"{"Database":{}}"#);
            connection.send(&text).await;
            while connection.text().await.is_some() {}
        }
    });
    let error = outcome(start(&client)).await.expect_err("no database");
    assert!(
        matches!(&error, Error::Disconnected(lost) if matches!(lost.reason(), DisconnectReason::NoDatabase { database, .. } if database == "Inventory")),
        "{error:?}"
    );
    gone.abort();
}

/// Serves connections until starting the cache ends. On each, `monitor` answers the request for the monitor,
/// then the connection is closed. Returns the outcome, and how many connections there were.
async fn until_it_ends(
    peer: &Peer,
    mut connection: Connection,
    starting: Start,
    monitor: impl AsyncFn(&mut Connection, &Received),
) -> (Result<Cache<Database>, Error>, usize) {
    let mut connections = 0;
    let mut starting = Box::pin(outcome(starting));
    let served = async {
        loop {
            connections += 1;
            let request = connection.request().await;
            assert_eq!(request.method, "monitor_cond_since");
            monitor(&mut connection, &request).await;
            drop(connection);
            connection = peer.accept().await;
            connection.give_schema(INVENTORY).await;
        }
    };
    let outcome = tokio::select! {
        outcome = &mut starting => outcome,
        () = served => unreachable!("the server does not stop"),
    };
    (outcome, connections)
}

#[tokio::test]
async fn starting_a_cache_fails_when_each_attempt_loses_the_connection() {
    // A server that closes the connection.
    let peer = Peer::new();
    let forever = || builder(peer.remote()).request_timeout(None);
    let (client, connection) = scripted(&peer, forever()).await;
    let starting = start(&client);
    let (error, connections) = until_it_ends(&peer, connection, starting, async |_, _| ()).await;
    let error = error.expect_err("lost");
    assert!(
        matches!(&error, Error::Disconnected(lost) if matches!(lost.reason(), DisconnectReason::ByServer | DisconnectReason::Io(_))),
        "{error:?}"
    );
    assert!(connections >= 5, "{connections}");

    // A reply that is longer than the client's limit.
    let peer = Peer::new();
    let limits = Limits::new().message_bytes(100_000);
    let forever = builder(peer.remote()).request_timeout(None).limits(limits);
    let (client, connection) = scripted(&peer, forever).await;
    let starting = start(&client);
    let large = format!("[{}]", "1,".repeat(100_000));
    let (error, _) = until_it_ends(&peer, connection, starting, async |connection, request| {
        let mut text = String::new();
        ovsdb::protocol::write_reply(&mut text, &request.id, &large);
        // An error means that the client hung up.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut connection.stream, text.as_bytes()).await;
        while connection.text().await.is_some() {}
    })
    .await;
    let error = error.expect_err("too long");
    assert!(
        matches!(&error, Error::Disconnected(lost) if matches!(lost.reason(), DisconnectReason::Frame(FrameError::TooLong(_)))),
        "{error:?}"
    );
}

/// Waits until the cache's monitor cannot be started. Returns the reason.
async fn refused(cache: &Cache<Database>) -> Error {
    let mut freshness = cache.freshness();
    let refused = freshness.wait_for(|now| matches!(now, Freshness::RefusedSince(_)));
    let refused = timeout(HANG, refused).await;
    refused.expect("no hang").expect("the client lives");
    cache.monitor_error().expect("the reason")
}

async fn followed(cache: &Cache<Database>) {
    let mut freshness = cache.freshness();
    let current = freshness.wait_for(|now| *now == Freshness::Current);
    let current = timeout(HANG, current).await;
    current.expect("no hang").expect("the client lives");
    assert!(cache.monitor_error().is_none());
}

#[tokio::test]
async fn a_cache_that_is_refused_later_is_stale_and_the_rest_goes_on() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer, builder(peer.remote())).await;
    let first = started(start(&client), &mut connection).await;
    let second = started(start(&client), &mut connection).await;
    drop(connection);
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    // Of two caches, one is refused repeatedly, and the other one is not.
    let request = connection.request().await;
    connection
        .fail(&request, r#"{"error":"internal error"}"#)
        .await;
    let request = connection.request().await;
    connection.reply(&request, &no_rows()).await;
    followed(&second).await;
    let error = refused(&first).await;
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    let commit = tokio::spawn({
        let mut txn = client.transaction();
        txn.comment("all the same");
        txn.commit()
    });
    for reply in ["no", "7", r#"[false,"x",{}]"#] {
        // The refused monitor is requested again after a while, on the same connection.
        let mut request = connection.request().await;
        while request.method != "monitor_cond_since" {
            match request.method.as_str() {
                "transact" => connection.reply(&request, "[{}]").await,
                "monitor_cancel" => connection.reply(&request, "{}").await,
                other => panic!("{other}"),
            }
            request = connection.request().await;
        }
        if reply == "no" {
            connection
                .fail(&request, r#"{"error":"internal error"}"#)
                .await;
        } else {
            connection.reply(&request, reply).await;
            let error = async {
                while !matches!(first.monitor_error(), Some(Error::Apply(_))) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(HANG, error).await.expect("no hang");
        }
    }
    // No commit waits for a refused cache.
    let committed = timeout(HANG, commit).await.expect("no hang");
    committed.expect("no panic").expect("a commit");
    let mut request = connection.request().await;
    while request.method != "monitor_cond_since" {
        request = connection.request().await;
    }
    connection.reply(&request, &no_rows()).await;
    followed(&first).await;
    assert_eq!(client.stats().connections, 2);
}

#[tokio::test]
async fn a_server_without_conditions_refuses_the_caches_that_have_one() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer, builder(peer.remote())).await;
    let some = client.cache().table_where::<Item>(Item::COUNT.lt(5));
    let some = started(tokio::spawn(some.start()), &mut connection).await;
    let parts = client.cache().table::<Part>().start();
    let parts = started(tokio::spawn(parts), &mut connection).await;
    drop(connection);
    // Another server, of an older release.
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    for _ in 0..5 {
        let request = connection.request().await;
        if request.method == "monitor" {
            assert!(request.params.contains("Part"), "{request:?}");
            connection.reply(&request, "{}").await;
        } else {
            connection.fail(&request, "\"unknown method\"").await;
        }
    }
    followed(&parts).await;
    let error = refused(&some).await;
    assert!(
        matches!(&error, Error::ConditionsNotSupported(table) if table == "Item"),
        "{error:?}"
    );
    serves(&client, &mut connection).await;
    // The next server supports conditions.
    drop(connection);
    let mut connection = peer.accept().await;
    connection.give_schema(INVENTORY).await;
    for _ in 0..2 {
        let request = connection.request().await;
        connection.reply(&request, &no_rows()).await;
    }
    followed(&some).await;
    followed(&parts).await;
    assert_eq!(client.stats().connections, 3);
}

#[tokio::test]
async fn a_monitor_that_keeps_ending_the_connection_is_started_alone() {
    let peer = Peer::new();
    let (client, mut connection) = scripted(&peer, builder(peer.remote())).await;
    let items = started(start(&client), &mut connection).await;
    let parts = client.cache().table::<Part>().start();
    let parts = started(tokio::spawn(parts), &mut connection).await;
    // The server closes the connection whenever items are requested, for the first of the two caches.
    let served = tokio::spawn(async move {
        drop(connection);
        let mut healthy = false;
        loop {
            let mut connection = peer.accept().await;
            connection.give_schema(INVENTORY).await;
            while let Some(text) = connection.text().await {
                let request = Received::of(&text);
                match request.method.as_str() {
                    "monitor_cond_since" if request.params.contains("Item") && !healthy => break,
                    "monitor_cond_since" => connection.reply(&request, &no_rows()).await,
                    // Makes the server behave well from now on.
                    "list_dbs" => {
                        healthy = true;
                        connection.reply(&request, r#"["Inventory"]"#).await;
                    }
                    other => panic!("{other}"),
                }
            }
        }
    });
    let error = refused(&items).await;
    assert!(
        matches!(&error, Error::Disconnected(lost) if matches!(lost.reason(), DisconnectReason::ByServer | DisconnectReason::Io(_))),
        "{error:?}"
    );
    // The other cache was suspected too, and is started soon; the connection is usable.
    followed(&parts).await;
    while client.list_dbs().await.is_err() {}
    followed(&items).await;
    followed(&parts).await;
    served.abort();
}
