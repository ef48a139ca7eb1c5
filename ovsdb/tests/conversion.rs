//! Caches of a database whose schema is converted under them.

mod support;

use std::time::Duration;

use ovsdb::{Client, Uuid};
use support::INVENTORY;
use support::inventory::{Database, Item, Part};
use support::peer::{Connection, Peer};
use tokio::time::timeout;

/// Far more than anything here takes: a test that hangs must fail.
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

/// The reply to a monitor without rows.
fn no_rows() -> String {
    format!(r#"[false,"{}",{{}}]"#, Uuid::nil())
}

/// Has the peer cancel a monitor, and answers the question for the schema that follows.
async fn cancel(connection: &mut Connection, monitor: u64, schema: &str) {
    let words = format!(r#"{{"id":null,"method":"monitor_canceled","params":[{monitor}]}}"#);
    connection.send(&words).await;
    let request = connection.request().await;
    assert_eq!(request.method, "get_schema");
    connection.reply(&request, schema).await;
}

#[tokio::test]
async fn a_monitor_that_was_asked_for_by_an_earlier_schema_is_asked_for_again() {
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

    // Two conversions in a row: the second is in force when the first monitor is asked for.
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
