//! Injected faults, as clients see them.

mod support;

use std::time::Duration;

use ovsdb::protocol::OvsdbError;
use ovsdb::server::{Committed, Server, TransactionFault};
use ovsdb::{Client, CommitError, ConnectionState, Remote};
use support::inventory::{Database, Item};
use support::{INVENTORY, item};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A test that takes longer hangs.
const HANG: Duration = Duration::from_secs(60);
const NAME: &str = "Inventory";

fn server() -> Server {
    Server::memory(INVENTORY).expect("a server")
}

async fn client(server: &Server) -> Client<Database> {
    let builder = Client::builder()
        .server(server)
        .backoff(Duration::from_millis(1), Duration::from_millis(20));
    builder.connect().await.expect("a client")
}

async fn insert(client: &Client<Database>, name: &str, total: i64) -> Result<(), CommitError> {
    let mut txn = client.transaction();
    txn.insert(item(name, total));
    txn.commit().await.map(drop)
}

fn names(server: &Server) -> Vec<String> {
    let committed = server.transactions::<Database>();
    let rows = committed.iter().flat_map(Committed::inserted::<Item>);
    rows.map(|row| row.name.to_string()).collect()
}

async fn until(client: &Client<Database>, is: impl FnMut(&ConnectionState) -> bool) {
    let mut state = client.state();
    let waited = timeout(HANG, state.wait_for(is)).await;
    waited.expect("no hang").expect("a state");
}

#[tokio::test]
async fn a_refused_transaction_has_the_error_and_changes_nothing() {
    let server = server();
    let client = client(&server).await;
    let error = OvsdbError::new("I/O error");
    let fault = TransactionFault::Refuse(error);
    server.faults().next_transaction(NAME, fault).expect("it");
    let refused = insert(&client, "one", 1).await.expect_err("refused");
    assert!(refused.to_string().contains("I/O error"), "{refused}");
    assert!(matches!(refused, CommitError::Refused(_)), "{refused:?}");
    assert!(names(&server).is_empty());
    insert(&client, "two", 2).await.expect("the fault is over");
    assert_eq!(names(&server), ["two"]);
    let unknown = server.faults().forget_history("nothing");
    assert_eq!(unknown.expect_err("unknown").error, "unknown database");
}

#[tokio::test]
async fn a_commit_without_a_reply_is_unknown_whether_it_was_carried_out_or_not() {
    let server = server();
    let client = client(&server).await;
    for (fault, total, committed) in [
        (TransactionFault::DisconnectBefore, 1, 0),
        (TransactionFault::DisconnectAfter, 2, 1),
    ] {
        server.faults().next_transaction(NAME, fault).expect("it");
        let unknown = insert(&client, &format!("item{total}"), total).await;
        let unknown = unknown.expect_err("no reply");
        assert!(matches!(unknown, CommitError::Unknown(_)), "{unknown:?}");
        assert_eq!(names(&server).len(), committed);
    }
}

#[tokio::test]
async fn a_client_comes_back_after_its_connection_is_closed_and_new_ones_are_refused() {
    let server = server();
    let client = client(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let refusing = server.faults().refuse_connections();
    server.faults().disconnect();
    until(&client, |state| {
        matches!(state, ConnectionState::Waiting { lost: Some(_) })
    })
    .await;
    let other = Client::<Database>::builder().server(&server).connect();
    other.await.expect_err("refused");
    drop(refusing);
    until(&client, ConnectionState::is_connected).await;
    insert(&client, "one", 1).await.expect("a commit");
    assert_eq!(cache.snapshot().rows::<Item>().len(), 1);
}

#[tokio::test]
async fn a_server_that_hangs_answers_when_it_is_released() {
    let server = server();
    let client = client(&server).await;
    let hang = server.faults().hang();
    let mut asked = std::pin::pin!(client.list_dbs());
    let waited = timeout(Duration::from_millis(50), &mut asked).await;
    waited.expect_err("nothing is answered");
    drop(hang);
    asked.await.expect("an answer");
}

#[tokio::test]
async fn a_server_that_hangs_keeps_the_connections_of_clients_that_it_does_not_probe() {
    let interval = Duration::from_millis(100);
    let builder = Server::builder().memory(INVENTORY).probe_interval(interval);
    let server = builder.start().expect("a server");
    let remote = server
        .listen(&"ptcp:0:127.0.0.1".parse().expect("a remote"))
        .await;
    let Remote::Tcp { host, port, .. } = remote.expect("a socket") else {
        panic!("not TCP");
    };
    let mut peer = TcpStream::connect((host.to_string(), port))
        .await
        .expect("a connection");
    let hang = server.faults().hang();
    let request = br#"{"id":1,"method":"echo","params":["late"]}"#;
    peer.write_all(request).await.expect("a request");
    tokio::time::sleep(interval * 5).await;
    drop(hang);
    let (mut text, mut buffer) = (String::new(), [0; 1000]);
    while !text.contains("late") {
        let read = timeout(HANG, peer.read(&mut buffer))
            .await
            .expect("no hang");
        let count = read.expect("a connection");
        assert_ne!(count, 0, "the connection was closed after {text:?}");
        text += std::str::from_utf8(&buffer[..count]).expect("text");
    }
}

#[tokio::test(start_paused = true)]
async fn replies_are_delayed_by_the_requested_time() {
    let server = server();
    let client = client(&server).await;
    let delay = server.faults().delay(Duration::from_millis(300));
    // The clock is paused: it advances only when everything waits for it.
    let before = tokio::time::Instant::now();
    client.list_dbs().await.expect("an answer");
    assert!(before.elapsed() >= Duration::from_millis(300));
    drop(delay);
    client.list_dbs().await.expect("an answer");
    let before = tokio::time::Instant::now();
    client.list_dbs().await.expect("an answer");
    assert!(before.elapsed() < Duration::from_millis(300));
}

#[tokio::test]
async fn a_client_leaves_a_server_that_is_no_longer_the_leader() {
    let server = server();
    let builder = Client::<Database>::builder()
        .server(&server)
        .leader_only(true);
    let builder = builder.backoff(Duration::from_millis(1), Duration::from_millis(20));
    let client = builder.connect().await.expect("a client");
    let follower = server.faults().lose_leadership(NAME).expect("it");
    until(&client, |state| !state.is_connected()).await;
    drop(follower);
    until(&client, ConnectionState::is_connected).await;
    insert(&client, "one", 1).await.expect("a commit");
}

/// Requests the changes since a transaction. Returns whether the server knew that transaction.
async fn resumes(server: &Server, since: ovsdb::Uuid) -> bool {
    let Remote::Memory(remote) = server.remote() else {
        panic!("another remote");
    };
    let mut stream = remote.connect().expect("a connection");
    let request = format!(
        r#"{{"id":1,"method":"monitor_cond_since","params":["{NAME}","m",{{"Item":[{{"columns":["name"]}}]}},"{since}"]}}"#
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut reply = String::new();
    while !reply.contains("result\":[") {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.expect("a reply");
        assert!(count > 0, "{reply}");
        reply.push_str(std::str::from_utf8(&part[..count]).expect("text"));
    }
    reply.contains("result\":[true")
}

#[tokio::test]
async fn a_server_that_forgot_its_history_sends_everything_again() {
    let server = server();
    let client = client(&server).await;
    insert(&client, "one", 1).await.expect("a commit");
    let first = server.transactions::<Database>()[0].id();
    insert(&client, "two", 2).await.expect("a commit");
    assert!(resumes(&server, first).await);
    server.faults().forget_history(NAME).expect("it");
    assert!(!resumes(&server, first).await);
    assert!(server.transactions::<Database>().is_empty());
}

/// A standalone ovsdb-server has no history and would send everything again.
#[tokio::test]
async fn a_client_that_comes_back_is_sent_only_what_it_missed() {
    let server = server();
    let client = client(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    insert(&client, "one", 1).await.expect("a commit");
    let sees = |count| {
        cache.wait_until(HANG, move |view| {
            (view.rows::<Item>().len() == count).then_some(())
        })
    };
    sees(1).await.expect("the row");
    for (missed, resyncs) in [("two", 0), ("three", 0), ("four", 1)] {
        let refusing = server.faults().refuse_connections();
        let fault = TransactionFault::DisconnectAfter;
        server.faults().next_transaction(NAME, fault).expect("it");
        let count = cache.snapshot().rows::<Item>().len() + 1;
        let total = i64::try_from(count).expect("a number");
        let unknown = insert(&client, missed, total).await;
        let unknown = unknown.expect_err("no reply");
        assert!(matches!(unknown, CommitError::Unknown(_)), "{unknown:?}");
        if resyncs > 0 {
            server.faults().forget_history(NAME).expect("it");
        }
        drop(refusing);
        sees(count).await.expect("the row that was missed");
        assert_eq!(cache.stats().resyncs, resyncs, "{missed}");
    }
}

#[tokio::test]
async fn committed_rows_have_their_types() {
    let server = server();
    let client = client(&server).await;
    insert(&client, "one", 1).await.expect("a commit");
    let inserted = server.transactions::<Database>()[0].inserted::<Item>();
    let row = inserted[0].reference();
    let mut txn = client.transaction();
    txn.comment("two of them");
    txn.update(row).set(Item::TOTAL, 2);
    txn.commit().await.expect("a commit");
    let mut txn = client.transaction();
    txn.delete(row);
    txn.commit().await.expect("a commit");
    let [_, updated, deleted] = &server.transactions::<Database>()[..] else {
        panic!("three transactions");
    };
    assert_eq!(updated.comment(), Some("two of them"));
    let (before, after) = &updated.updated::<Item>()[0];
    assert_eq!((before.total, after.total), (1, 2));
    assert_eq!(before.columns(), inserted[0].columns());
    assert!(updated.inserted::<Item>().is_empty() && updated.deleted::<Item>().is_empty());
    assert_eq!(deleted.deleted::<Item>()[0].reference(), row);
    assert!(format!("{deleted:?}").contains("Item: 1"), "{deleted:?}");
}
