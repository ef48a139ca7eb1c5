//! The embedded server is killed at any moment: every durable transaction that was acknowledged is in
//! the file, and both this library and ovsdb-server can open it. Also, a full disk.
//!
//! With `OVSDB_TEST_SCALE=full`, the two tests that kill the server repeatedly kill it 200 times each.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "support/scale.rs"]
#[allow(unreachable_pub)]
mod scale;
#[path = "support/seed.rs"]
#[allow(dead_code, unreachable_pub)]
mod seed;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use ovsdb::protocol::{Framer, Limits};
use ovsdb::server::{FileErrorReason, PassiveRemote, Server, ServerError};
use ovsdb::testing;
use scale::size;
use seed::Seed;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const SCHEMA: &str = r#"{"name":"Files","version":"1.0.0","tables":{"Item":{"isRoot":true,
    "indexes":[["name"]],"columns":{"name":{"type":"string"},"text":{"type":"string"},
    "numbers":{"type":{"key":"integer","min":0,"max":"unlimited"}}}}}}"#;

/// The environment variable with the path of the file that the child serves.
const FILE: &str = "OVSDB_TEST_CHILD_FILE";
/// If this environment variable is set, the child compacts and converts the database all the time.
const BUSY: &str = "OVSDB_TEST_CHILD_BUSY";

/// Not a test, but the server that the tests kill. It ends when its standard input ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(file) = std::env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let server = match Server::builder().create(&file, SCHEMA).start() {
        Ok(server) => server,
        Err(error) => return println!("\nfailed {error}"),
    };
    let path = file.with_extension("sock");
    server.listen(&PassiveRemote::Unix { path }).await.unwrap();
    println!("\nready");
    let busy = async {
        for round in 0_u64.. {
            if std::env::var_os(BUSY).is_none() {
                std::future::pending::<()>().await;
            }
            let more = format!(r#""c{}":{{"type":"string"}},"text""#, round % 2);
            let schema = SCHEMA.replacen(r#""text""#, &more, 1);
            // A conversion while the file is compacted.
            let (compacted, converted) = tokio::join!(server.compact("Files"), async {
                tokio::task::yield_now().await;
                if round % 5 == 0 {
                    server.convert("Files", &schema)
                } else {
                    Ok(())
                }
            });
            compacted.unwrap();
            converted.unwrap();
        }
    };
    let mut input = tokio::io::stdin();
    let mut end = [0];
    tokio::select! {
        () = busy => {}
        _ = input.read(&mut end) => {}
    }
}

/// A child process that serves a file; killed when it is dropped.
struct Served {
    process: Child,
    output: BufReader<ChildStdout>,
    socket: PathBuf,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Served {
    /// Starts the child. Returns the line in which it says that it is ready, or why it failed.
    fn spawn(mut command: Command, file: &Path, busy: bool) -> (Self, String) {
        command
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command.stderr(Stdio::null());
        if busy {
            command.env(BUSY, "1");
        }
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let socket = file.with_extension("sock");
        let mut served = Self {
            process,
            output,
            socket,
        };
        let mut line = String::new();
        while !line.starts_with("ready") && !line.starts_with("failed") {
            line.clear();
            assert_ne!(
                served.output.read_line(&mut line).unwrap(),
                0,
                "the child ended"
            );
        }
        (served, line)
    }

    fn start(file: &Path, busy: bool) -> Self {
        let (served, said) = Self::spawn(itself(), file, busy);
        assert_eq!(said.trim(), "ready");
        served
    }
}

/// This program, as the child.
fn itself() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]);
    command
}

/// A client that sends requests ahead of their replies.
struct Peer {
    stream: UnixStream,
    buffer: BytesMut,
    framer: Framer,
}

impl Peer {
    async fn connect(socket: &Path) -> std::io::Result<Self> {
        let mut peer = Self {
            stream: UnixStream::connect(socket).await?,
            buffer: BytesMut::new(),
            framer: Framer::new(Limits::default()),
        };
        peer.send(&json!({"id": "aware", "method": "set_db_change_aware", "params": [true]}))
            .await;
        Ok(peer)
    }

    /// Sends a message; one that cannot be sent gets no reply.
    async fn send(&mut self, message: &Value) {
        let _ = self.stream.write_all(message.to_string().as_bytes()).await;
    }

    /// The next message, until the connection ends.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.framer.take(&mut self.buffer).unwrap() {
                return Some(serde_json::from_slice(&message).unwrap());
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(count) if count > 0 => {}
                _ => return None,
            }
        }
    }

    /// The reply to a request.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(&json!({"id": "call", "method": method, "params": params}))
            .await;
        loop {
            let message = self.next().await.expect("a reply");
            if message["id"] == "call" {
                assert_eq!(message["error"], Value::Null, "{message}");
                return message["result"].clone();
            }
        }
    }
}

fn insert(name: &str, text: &str) -> Value {
    json!(["Files", {"op": "insert", "table": "Item", "row": {"name": name, "text": text}},
           {"op": "commit", "durable": true}])
}

/// Inserts rows until the server has ended. Returns the names of those that were acknowledged.
async fn load(socket: PathBuf, prefix: String) -> BTreeSet<String> {
    const AHEAD: usize = 8;
    let mut acknowledged = BTreeSet::new();
    let Ok(mut peer) = Peer::connect(&socket).await else {
        return acknowledged;
    };
    let text = "x".repeat(fastrand::usize(0..2000));
    for number in 0..AHEAD {
        let params = insert(&format!("{prefix}-{number}"), &text);
        peer.send(&json!({"id": number, "method": "transact", "params": params}))
            .await;
    }
    let mut next = AHEAD;
    while let Some(message) = peer.next().await {
        let Some(number) = message["id"].as_u64() else {
            continue;
        };
        assert_eq!(message["result"][1], json!({}), "{message}");
        acknowledged.insert(format!("{prefix}-{number}"));
        let params = insert(&format!("{prefix}-{next}"), &text);
        peer.send(&json!({"id": next, "method": "transact", "params": params}))
            .await;
        next += 1;
    }
    acknowledged
}

const NAMES: &str = r#"["Files",{"op":"select","table":"Item","where":[],"columns":["name"]}]"#;

fn names(results: &Value) -> BTreeSet<String> {
    let rows = results[0]["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The rows of a file, by a server in this process.
async fn names_by_ours(file: &Path) -> BTreeSet<String> {
    let server = Server::file(file).unwrap();
    let path = file.with_extension("own");
    server
        .listen(&PassiveRemote::Unix { path: path.clone() })
        .await
        .unwrap();
    let mut peer = Peer::connect(&path).await.unwrap();
    names(
        &peer
            .call("transact", serde_json::from_str(NAMES).unwrap())
            .await,
    )
}

/// The rows of a file, by `ovsdb-tool`.
fn names_by_tool(file: &Path) -> BTreeSet<String> {
    let mut command = Command::new(testing::program("ovsdb-tool").unwrap());
    let output = command.arg("query").arg(file).arg(NAMES).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    names(&serde_json::from_slice(&output.stdout).unwrap())
}

/// Checks that ovsdb-server opens the file.
fn reference_opens(file: &Path) {
    let mut server = testing::Server::builder().schema(SCHEMA).start().unwrap();
    server.kill().unwrap();
    std::fs::copy(file, server.folder().join("Files.db")).unwrap();
    server.start().unwrap();
    server.wait_until_connected("Files").unwrap();
}

async fn kill_often(times: usize, busy: bool) {
    let seed = Seed::new();
    let mut random = seed.random();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("files.db");
    let mut all = BTreeSet::new();
    for time in 0..times {
        let served = Served::start(&file, busy);
        let clients: Vec<_> = (0..3)
            .map(|client| tokio::spawn(load(served.socket.clone(), format!("{time}-{client}"))))
            .collect();
        tokio::time::sleep(Duration::from_micros(random.u64(..60_000))).await;
        drop(served);
        for client in clients {
            all.extend(client.await.unwrap());
        }
        // Opening the file cuts off an incomplete record at its end. ovsdb-tool would refuse that record, so
        // it comes second.
        let by_ours = names_by_ours(&file).await;
        let lost: Vec<_> = all.difference(&by_ours).collect();
        assert!(lost.is_empty(), "time {time}: {lost:?}");
        assert_eq!(names_by_tool(&file), by_ours, "time {time}");
        if time % 20 == 0 {
            let copy = folder.path().join("copy.db");
            std::fs::copy(&file, &copy).unwrap();
            reference_opens(&copy);
        }
    }
    assert!(
        all.len() > times,
        "the server was hardly loaded: {} rows",
        all.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_no_durable_transaction_is_lost() {
    kill_often(size(10, 200), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_compacts_and_converts_no_durable_transaction_is_lost() {
    kill_often(size(10, 200), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_gets_an_error_while_the_database_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("files.db");
    let served = Served::start(&file, false);
    let (_other, said) = Served::spawn(itself(), &file, false);
    assert!(
        said.contains("another server or tool has locked this database"),
        "{said}"
    );
    match Server::file(&file) {
        Err(ServerError::File(error)) => assert!(matches!(error.reason, FileErrorReason::Locked)),
        other => panic!("{other:?}"),
    }
    drop(served);
    drop(Server::file(&file).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_transactions_fail_and_nothing_of_them_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("files.db");
    let mut limited = Command::new("sh");
    // Writing beyond the limit is an error, after some of it may have been written.
    limited.args(["-c", r#"trap "" XFSZ; ulimit -f 400; exec "$0" "$@""#]);
    limited
        .arg(itself().get_program())
        .args(itself().get_args());
    let (served, said) = Served::spawn(limited, &file, false);
    assert_eq!(said.trim(), "ready");

    let mut peer = Peer::connect(&served.socket).await.unwrap();
    let text = "x".repeat(9_000);
    let (mut expected, mut refused) = (BTreeSet::new(), 0);
    for number in 0..100 {
        // Small records: there may still be space for them.
        let text = if number % 2 == 0 { &*text } else { "small" };
        let name = number.to_string();
        let results = peer.call("transact", insert(&name, text)).await;
        match results[2]["error"].as_str() {
            None => drop(expected.insert(name)),
            Some(error) => {
                assert_eq!(error, "I/O error", "{results}");
                assert!(
                    results[2]["details"].as_str().unwrap().contains("files.db"),
                    "{results}"
                );
                refused += 1;
            }
        }
        let select = peer
            .call("transact", serde_json::from_str(NAMES).unwrap())
            .await;
        assert_eq!(names(&select), expected);
    }
    assert!(
        refused > 10 && expected.len() > 10,
        "{refused} refused, {}",
        expected.len()
    );
    drop(served);
    assert_eq!(names_by_tool(&file), expected);
    assert_eq!(names_by_ours(&file).await, expected);
    reference_opens(&file);
}
