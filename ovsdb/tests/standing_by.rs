//! A client that requires the leader of a cluster, and finds only followers: it stays connected to one of
//! them until that member leads, or shows that another member does. `session/tests/standing_by.rs` has the
//! cases that depend on times.

mod support;

use std::time::Duration;

use ovsdb::{Client, ClientBuilder, ConnectionState, RemoteOrder};
use support::INVENTORY;
use support::inventory::{Database, Item};
use support::peer::{Connection, Peer, Received};
use tokio::time::timeout;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(60);
/// How long a remote is not tried again after a failure: longer than the test.
const NEVER: Duration = Duration::from_secs(3600);

const ROW: &str = "00000000-0000-0000-0000-000000000001";

fn builder(remotes: impl ovsdb::IntoRemotes) -> ClientBuilder<Database> {
    Client::builder()
        .remotes(remotes)
        .remote_order(RemoteOrder::Given)
        .leader_only(true)
        .wait_for_server(true)
        .probe_interval(None)
        .backoff(NEVER, NEVER)
}

fn description(leader: bool, index: i64, schema: &str) -> String {
    let schema = serde_json::to_string(schema).expect("json");
    format!(
        r#"{{"name":"Inventory","model":"clustered","connected":true,"leader":{leader},
        "schema":{schema},"cid":["uuid","{ROW}"],"sid":["uuid","{ROW}"],"index":{index}}}"#
    )
}

/// Answers the first requests of a connection, as a member of a cluster.
async fn greet(connection: &mut Connection, leader: bool, index: i64) {
    let aware = connection.request().await;
    let server = connection.request().await;
    let schema = connection.request().await;
    assert_eq!(schema.method, "get_schema");
    let row = description(leader, index, INVENTORY);
    let rows = format!(r#"{{"Database":{{"{ROW}":{{"initial":{row}}}}}}}"#);
    let mut text = String::new();
    for (request, reply) in [(aware, "{}"), (server, &rows), (schema, INVENTORY)] {
        ovsdb::protocol::write_reply(&mut text, &request.id, reply);
    }
    // Sent together: the client may disconnect after the second one.
    connection.send(&text).await;
}

/// Reports a change of the database's description.
async fn change(connection: &mut Connection, columns: &str) {
    let words = format!(
        r#"{{"id":null,"method":"update2","params":[0,{{"Database":{{"{ROW}":{{"modify":{columns}}}}}}}]}}"#
    );
    connection.send(&words).await;
}

/// Whether the client hung up.
async fn is_left(connection: &mut Connection) -> bool {
    connection.text().await.is_none()
}

#[tokio::test]
async fn a_log_that_grows_shows_that_another_member_leads() {
    let (first, second) = (Peer::new(), Peer::new());
    let remotes = format!("{},{}", first.remote(), second.remote());
    let client = builder(remotes).connect();
    let connecting = tokio::spawn(client);
    let mut at_first = first.accept().await;
    greet(&mut at_first, false, 5).await;
    assert!(is_left(&mut at_first).await, "the second was not tried yet");
    let mut at_second = second.accept().await;
    greet(&mut at_second, false, 5).await;
    change(&mut at_second, r#"{"index":6}"#).await;
    let mut at_first = first.accept().await;
    greet(&mut at_first, true, 6).await;
    let client = timeout(HANG, connecting).await.expect("no hang");
    let client = client.expect("no panic").expect("a client");
    let remote = first.remote().parse().expect("a remote");
    assert!(matches!(
        &client.state().get(),
        ConnectionState::Connected { remote: at } if *at == remote
    ));
    // The first member hands over to the second one, which leads already. The client connects to the second
    // one without a pause.
    let cache = tokio::spawn(client.cache().table::<Item>().start());
    let request: Received = at_first.request().await;
    let rows = format!(r#"[false,"{ROW}",{{}}]"#);
    at_first.reply(&request, &rows).await;
    let cache = cache.await.expect("no panic").expect("a cache");
    tokio::time::sleep(Duration::from_millis(150)).await;
    change(&mut at_first, r#"{"leader":false}"#).await;
    let mut at_second = second.accept().await;
    greet(&mut at_second, true, 7).await;
    let request = at_second.request().await;
    at_second.reply(&request, &rows).await;
    let current = timeout(HANG, cache.current()).await;
    current.expect("no hang").expect("current");
}
