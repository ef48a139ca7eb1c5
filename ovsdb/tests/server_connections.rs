//! Connections of the embedded server: which are probed, and how they end.

#![cfg(feature = "server")]
#![allow(missing_docs)]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use ovsdb::server::{PassiveRemote, Server};
use serde_json::json;
use support::raw::Raw;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

const SCHEMA: &str = r#"{"name": "Inventory", "tables": {"Item": {"isRoot": true, "columns": {"name": {"type": "string"}}}}}"#;

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("UTF-8");
    text
}

#[tokio::test]
async fn silent_clients_are_probed_on_tcp_and_not_on_unix_sockets() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("db.sock");
    let server = Server::builder()
        .memory(SCHEMA)
        .probe_interval(Duration::from_millis(50))
        .start()
        .expect("a server");
    let remote = PassiveRemote::Unix { path: path.clone() };
    server.listen(&remote).await.expect("a socket");
    let remote = "ptcp:0:127.0.0.1".parse().expect("a remote");
    let remote = server.listen(&remote).await.expect("a port").to_string();

    let mut unix = UnixStream::connect(&path).await.expect("a connection");
    let address = remote.trim_start_matches("tcp:");
    let mut tcp = TcpStream::connect(address).await.expect("a connection");
    // The client on TCP is probed once, and then disconnected.
    let probe = r#"{"id":"echo","method":"echo","params":[]}"#;
    assert_eq!(read_to_end(&mut tcp).await, probe);

    // That took two intervals, during which the other client was silent too.
    let request = br#"{"method":"list_dbs","params":[],"id":0}"#;
    unix.write_all(request).await.expect("written");
    let mut reply = vec![0; 256];
    let count = unix.read(&mut reply).await.expect("a reply");
    let reply = String::from_utf8_lossy(&reply[..count]);
    assert!(reply.contains(r#"["Inventory","_Server"]"#), "{reply}");
}

#[tokio::test]
async fn a_server_that_is_closed_has_released_clients_files_and_sockets() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, file) = (folder.path().join("db.sock"), folder.path().join("db"));
    let create = || Server::builder().create(&file, SCHEMA).start();
    let server = create().expect("a server");
    let remote = PassiveRemote::Unix { path: path.clone() };
    server.listen(&remote).await.expect("a socket");
    let mut client = UnixStream::connect(&path).await.expect("a connection");
    let request = br#"{"method":"transact","params":["Inventory",{"op":"insert","table":"Item","row":{"name":"a"}}],"id":0}"#;
    client.write_all(request).await.expect("written");
    let mut first = [0];
    client.read_exact(&mut first).await.expect("a reply");

    server.close().await.expect("all is on the disk");
    read_to_end(&mut client).await;
    let next = create().expect("the file is free");
    next.listen(&remote).await.expect("the socket is free");
    drop(next);
    let contents = std::fs::read_to_string(&file).expect("the file");
    assert!(contents.contains(r#""name":"a""#), "{contents}");
}

#[tokio::test]
async fn a_server_that_is_dropped_has_released_its_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("db.sock");
    let unix = PassiveRemote::Unix { path: path.clone() };
    let server = Server::memory(SCHEMA).expect("a server");
    server.listen(&unix).await.expect("a socket");
    let any = "ptcp:0:127.0.0.1".parse().expect("a remote");
    let remote = server.listen(&any).await.expect("a port").to_string();
    let port: u16 = remote
        .rsplit(':')
        .next()
        .expect("a port")
        .parse()
        .expect("a port");
    let tcp: PassiveRemote = format!("ptcp:{port}:127.0.0.1").parse().expect("a remote");

    // No task runs in between.
    drop(server);
    assert!(!path.exists());
    let next = Server::memory(SCHEMA).expect("a server");
    next.listen(&unix).await.expect("the socket is free");
    next.listen(&tcp).await.expect("the port is free");
    UnixStream::connect(&path).await.expect("a connection");
}

#[tokio::test]
async fn a_client_that_is_disconnected_sees_no_reset() {
    let server = Server::memory(SCHEMA).expect("a server");
    let remote = "ptcp:0:127.0.0.1".parse().expect("a remote");
    let remote = server.listen(&remote).await.expect("a port").to_string();
    let address = remote.trim_start_matches("tcp:");
    // The server reads only the beginning of this. Closing the socket would then reset the connection.
    let request = r#"{"method":"list_dbs","params":[],"id":0}"#;
    let requests = request.to_owned() + &"garbage".repeat(50_000);
    for _ in 0..20 {
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client
            .write_all(requests.as_bytes())
            .await
            .expect("written");
        let replies = read_to_end(&mut client).await;
        assert!(replies.contains(r#"["Inventory","_Server"]"#), "{replies}");
    }
}

#[tokio::test]
async fn requests_wait_while_their_client_does_not_read_the_replies() {
    let server = Server::memory(SCHEMA).expect("a server");
    let mut other = Raw::connect(&server.remote()).await;
    let insert = |name: &str| {
        let row = json!({"name": name});
        json!(["Inventory", {"op": "insert", "table": "Item", "row": row}])
    };
    other.result("transact", insert(&"x".repeat(100_000))).await;

    // All requests are in the server's buffer at once; their replies are 15 times as long as what it queues.
    let select = json!(["Inventory", {"op": "select", "table": "Item", "where": []}]);
    let mut requests = String::new();
    for id in 0..40 {
        requests += &json!({"id": id, "method": "transact", "params": select}).to_string();
    }
    requests += &json!({"id": 40, "method": "transact", "params": insert("last")}).to_string();
    assert!(requests.len() < 8 * 1024);
    let mut client = Raw::connect(&server.remote()).await;
    client.send_bytes(&requests).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let rows = other.select("Inventory", "Item", &["_uuid"]).await;
    assert_eq!(rows.len(), 1, "the insert waits");

    for id in 0..=40 {
        let reply = client.message().await.expect("a reply");
        assert_eq!(reply["id"], id);
    }
    let rows = other.select("Inventory", "Item", &["_uuid"]).await;
    assert_eq!(rows.len(), 2);
}

/// The numbers in the updates of one row, until the last one.
async fn follow(path: PathBuf, last: usize) -> Vec<usize> {
    let mut client = UnixStream::connect(&path).await.expect("a connection");
    let request =
        br#"{"method":"monitor","params":["Counters","m",{"Counter":{"columns":["n"]}}],"id":0}"#;
    client.write_all(request).await.expect("written");
    let (mut numbers, mut text) = (Vec::new(), String::new());
    let mut bytes = [0; 256];
    while numbers.last() != Some(&last) {
        let count = client.read(&mut bytes).await.expect("updates");
        assert!(count > 0, "the connection ended after {numbers:?}");
        text.push_str(std::str::from_utf8(&bytes[..count]).expect("ASCII"));
        while let Some((_, rest)) = text.split_once(r#""new":{"n":"#) {
            let Some((number, rest)) = rest.split_once('}') else {
                break;
            };
            numbers.push(number.parse().expect("a number"));
            text = rest.to_owned();
        }
    }
    numbers
}

/// The task of any session may send to a monitoring client: no update may be lost or overtake another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_get_every_transaction_in_order_whichever_session_commits_it() {
    const WRITERS: usize = 4;
    const TRANSACTIONS: usize = 250;
    let schema = r#"{"name":"Counters","tables":{"Counter":{"columns":{"n":{"type":"integer"}},"isRoot":true}}}"#;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("db.sock");
    let server = Server::memory(schema).expect("a server");
    let remote = PassiveRemote::Unix { path: path.clone() };
    server.listen(&remote).await.expect("a socket");
    let insert = r#"{"op":"insert","table":"Counter","row":{"n":0}}"#;
    let mutate = r#"{"op":"mutate","table":"Counter","where":[],"mutations":[["n","+=",1]]}"#;
    let request = |operation: &str| {
        format!(r#"{{"method":"transact","params":["Counters",{operation}],"id":0}}"#)
    };
    let mut first = UnixStream::connect(&path).await.expect("a connection");
    let text = request(insert);
    first.write_all(text.as_bytes()).await.expect("written");
    first.read_u8().await.expect("a reply");

    let last = WRITERS * TRANSACTIONS;
    let followers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(follow(path.clone(), last)))
        .collect();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (path, text) = (path.clone(), request(mutate));
        writers.spawn(async move {
            let mut client = UnixStream::connect(&path).await.expect("a connection");
            let mut reply = [0; 256];
            for _ in 0..TRANSACTIONS {
                client.write_all(text.as_bytes()).await.expect("written");
                assert!(client.read(&mut reply).await.expect("a reply") > 0);
            }
        });
    }
    writers.join_all().await;
    for follower in followers {
        let numbers = follower.await.expect("all were received");
        let (start, end) = (numbers[0], numbers[numbers.len() - 1]);
        assert_eq!(numbers, (start..=end).collect::<Vec<_>>());
    }
}
