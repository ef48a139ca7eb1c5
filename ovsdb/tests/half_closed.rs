//! Clients that send everything at once and then close their end (`nc -N`), or send garbage after it:
//! they get their replies.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ovsdb::testing::Server;
use support::INVENTORY;

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(60);

fn server() -> Server {
    let server = Server::builder().schema(INVENTORY).tcp(true).start();
    server.expect("a server")
}

/// The bytes that the server sends to a client that sends this and then closes its end of the
/// connection.
fn replies_on_socket(server: &Server, text: &str) -> String {
    let mut stream = UnixStream::connect(server.socket()).expect("a connection");
    stream.set_read_timeout(Some(HANG)).expect("a time limit");
    stream.write_all(text.as_bytes()).expect("written");
    stream.shutdown(Shutdown::Write).expect("shut down");
    let mut replies = String::new();
    stream.read_to_string(&mut replies).expect("an orderly end");
    replies
}

fn connect(server: &Server) -> TcpStream {
    let remote = server.tcp_remote().expect("a port");
    let stream = TcpStream::connect(remote.trim_start_matches("tcp:")).expect("a connection");
    stream.set_read_timeout(Some(HANG)).expect("a time limit");
    stream
}

fn replies_on_port(server: &Server, text: &str) -> String {
    let mut stream = connect(server);
    stream.write_all(text.as_bytes()).expect("written");
    stream.shutdown(Shutdown::Write).expect("shut down");
    let mut replies = String::new();
    stream.read_to_string(&mut replies).expect("an orderly end");
    replies
}

/// The ids of the replies, in order.
fn ids(replies: &str) -> Vec<u64> {
    let messages = serde_json::Deserializer::from_str(replies).into_iter::<serde_json::Value>();
    let messages = messages.map(|message| message.expect("a message"));
    messages
        .filter_map(|message| message["id"].as_u64())
        .collect()
}

fn insert(id: u64, notes: &str) -> String {
    format!(
        r#"{{"id":{id},"method":"transact","params":["Inventory",{{"op":"insert","table":"Item","row":{{"name":"i{id}","total":{id},"only":"sole","notes":["map",[["large","{notes}"]]]}}}},{{"op":"commit","durable":true}}]}}"#
    )
}

#[test]
fn a_half_closed_connection_gets_its_replies() {
    let server = server();
    let list = r#"{"id":0,"method":"list_dbs","params":[]}"#;
    for replies in [
        replies_on_socket(&server, list),
        replies_on_port(&server, list),
    ] {
        assert!(replies.contains(r#"["Inventory","_Server"]"#), "{replies}");
    }
    // Commits that wait for the disk, and a reply that is larger than a socket's buffer.
    let large = "x".repeat(1 << 20);
    let inserts: String = (1..=8).map(|id| insert(id, &large)).collect();
    assert_eq!(
        ids(&replies_on_socket(&server, &inserts)),
        (1..=8).collect::<Vec<_>>()
    );
    let select = r#"{"id":1,"method":"transact","params":["Inventory",{"op":"select","table":"Item","where":[]}]}"#;
    let monitor = r#"{"id":2,"method":"monitor","params":["Inventory",null,{"Item":{}}]}"#;
    let requests = format!("{select}{list}{monitor}");
    for replies in [
        replies_on_socket(&server, &requests),
        replies_on_port(&server, &requests),
    ] {
        assert_eq!(ids(&replies), [1, 0, 2]);
        assert_eq!(replies.matches(&large).count(), 16);
    }
}

#[test]
fn a_half_closed_connection_ends_its_waits_and_locks() {
    let server = server();
    // No client ever makes this condition true.
    let wait = r#"{"id":1,"method":"transact","params":["Inventory",{"op":"wait","table":"Item","where":[],"columns":["name"],"until":"!=","rows":[]}]}"#;
    let lock = r#"{"id":2,"method":"lock","params":["a"]}"#;
    for _ in 0..2 {
        let requests = format!("{lock}{wait}{{\"id\":3,");
        let replies = replies_on_port(&server, &requests);
        assert_eq!(ids(&replies), [2], "{replies}");
        // The lock is free for the next client.
        assert!(replies.contains(r#""locked":true"#), "{replies}");
    }
    assert_eq!(replies_on_socket(&server, ""), "");
}

#[test]
fn requests_before_garbage_are_answered() {
    let server = server();
    let large = "x".repeat(1 << 20);
    for (at, garbage) in ["garbage", "{}"].into_iter().enumerate() {
        let first = 2 * at as u64;
        let requests = insert(first, &large) + &insert(first + 1, "") + garbage;
        let replies = replies_on_socket(&server, &requests);
        assert_eq!(ids(&replies), [first, first + 1], "{garbage}");
    }
}
