//! The fuzz targets of the embedded server, `session` and `file`: what holds for any bytes that a client may
//! send, and for any file.

#![allow(unreachable_pub, reason = "a module of two crates")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use bytes::BytesMut;
use ovsdb::protocol::{Framer, Limits, Message};
use ovsdb::schema::DatabaseSchema;
use ovsdb::server::Server;
use ovsdb::testing::Replay;
use ovsdb::{AnyDatabase, Client, Remote};
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Runtime;

use super::inventory::Database;
use super::wire::Rows;

static SCHEMA: &str = include_str!("../../ovsdb/tests/files/inventory.ovsschema");

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// Whatever clients send, another client is still served, and receives every change.
///
/// The lines of the input are sent by two clients in turn.
///
/// # Panics
/// When that other client is not served, or has other rows than the server.
pub fn session(data: &[u8]) {
    static SEED: LazyLock<Server> = LazyLock::new(|| Server::memory(SCHEMA).expect("a server"));
    runtime().block_on(async {
        let server = SEED.fork();
        let mut watcher = Watcher::new(&server).await;
        let mut clients = [connect(&server), connect(&server)];
        for (at, line) in data.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let client = &mut clients[at % 2];
            // The server may have disconnected this client.
            let _ = exchange(client, line).await;
        }
        for client in clients {
            end(client).await;
        }
        watcher.catch_up().await;
        if !watcher.is_canceled {
            let fresh = Watcher::new(&server).await;
            let (told, there) = (watcher.replica.snapshot(), fresh.replica.snapshot());
            assert_eq!(Rows::of(&told), Rows::of(&there));
        }
    });
}

fn connect(server: &Server) -> DuplexStream {
    let Remote::Memory(remote) = server.remote() else {
        panic!("another remote");
    };
    remote.connect().expect("a connection")
}

/// Sends bytes, and reads what arrives meanwhile.
async fn exchange(client: &mut DuplexStream, bytes: &[u8]) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(client);
    let mut sent = std::pin::pin!(writer.write_all(bytes));
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            biased;
            done = &mut sent => return done,
            count = reader.read(&mut buffer) => {
                if count? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// Ends a client's stream, and reads what is left.
async fn end(mut client: DuplexStream) {
    let _ = client.shutdown().await;
    let mut buffer = [0; 4096];
    while let Ok(1..) = client.read(&mut buffer).await {}
}

/// A client that monitors all rows.
struct Watcher {
    stream: DuplexStream,
    framer: Framer,
    buffer: BytesMut,
    replica: Replay<Database>,
    /// Whether the server ended its monitor, as it does when the database is converted.
    is_canceled: bool,
}

impl Watcher {
    async fn new(server: &Server) -> Self {
        let schema = DatabaseSchema::parse(SCHEMA).expect("a good schema");
        let mut watcher = Self {
            stream: connect(server),
            framer: Framer::new(Limits::new()),
            buffer: BytesMut::new(),
            replica: Replay::new(&schema),
            is_canceled: false,
        };
        // Otherwise the server disconnects it when the database is converted.
        let aware = r#"{"id":"aware","method":"set_db_change_aware","params":[true]}"#;
        watcher.send(aware).await;
        let request = watcher.replica.request();
        let mut params = String::new();
        request.write_params(&mut params).expect("good parameters");
        let method = request.method();
        let request = format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
        watcher.send(&request).await;
        watcher.catch_up().await;
        watcher
    }

    async fn send(&mut self, message: &str) {
        let sent = self.stream.write_all(message.as_bytes()).await;
        sent.expect("the server reads");
    }

    /// Receives everything that the server has sent so far.
    async fn catch_up(&mut self) {
        self.send(r#"{"id":"end","method":"echo","params":[]}"#)
            .await;
        loop {
            while let Some(message) = self.framer.take(&mut self.buffer).expect("messages") {
                let text = std::str::from_utf8(&message).expect("text");
                match Message::parse(text).expect("a message") {
                    Message::Reply { id, .. } if id.text == "\"end\"" => return,
                    Message::Reply { id, .. } if id.text == "\"aware\"" => {}
                    Message::Notification { method, .. } if &*method == "monitor_canceled" => {
                        self.is_canceled = true;
                    }
                    _ => self.replica.receive(text).expect("what fits"),
                }
            }
            let count = self.stream.read_buf(&mut self.buffer).await;
            assert!(count.expect("a connection") > 0, "the server disconnected");
        }
    }
}

/// A file is opened or refused; opening never makes it longer. A file that was opened has the same rows when
/// it is opened again, before and after a compaction.
///
/// If the input begins with a line break, the rest is the file itself. Otherwise each line is the JSON of a
/// record.
///
/// # Panics
/// When that does not hold.
pub fn file(data: &[u8]) {
    static FOLDER: LazyLock<tempfile::TempDir> =
        LazyLock::new(|| tempfile::tempdir().expect("a folder"));
    let path = FOLDER.path().join("Inventory.db");
    let contents = match data.strip_prefix(b"\n") {
        Some(contents) => contents.to_vec(),
        None => records(data),
    };
    runtime().block_on(async {
        std::fs::write(&path, &contents).expect("written");
        let Some(rows) = open(&path, false).await else {
            let after = std::fs::read(&path).expect("the file");
            assert_eq!(after, contents, "a file that is refused stays as it is");
            return;
        };
        let after = std::fs::read(&path).expect("the file");
        assert!(contents.starts_with(&after), "only its end is cut off");
        assert_eq!(open(&path, true).await.as_ref(), Some(&rows), "again");
        assert_eq!(open(&path, false).await, Some(rows), "compacted");
    });
}

/// A file whose records have these lines as their JSON.
fn records(lines: &[u8]) -> Vec<u8> {
    let mut contents = Vec::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let mut head = format!("OVSDB JSON {} ", line.len());
        for byte in Sha1::digest(line) {
            let _ = write!(head, "{byte:02x}");
        }
        contents.extend_from_slice(head.as_bytes());
        contents.push(b'\n');
        contents.extend_from_slice(line);
    }
    contents
}

/// The rows of a database as text, by table and uuid.
type Shown = BTreeMap<String, BTreeMap<ovsdb::Uuid, Vec<String>>>;

/// The rows of a file, if it can be opened.
async fn open(path: &Path, compact: bool) -> Option<Shown> {
    let server = Server::file(path).ok()?;
    let name = server.databases().pop().expect("a database");
    let client = Client::<AnyDatabase>::builder().server(&server);
    let mut shown = Shown::new();
    // The client may not accept the schema.
    if let Ok(client) = client.database(&*name).connect().await
        && let Ok(cache) = client.cache().any_tables().start().await
    {
        let view = cache.snapshot();
        for table in view.table_names() {
            let rows = shown.entry(table.to_string()).or_default();
            for row in view.any_rows(table).into_iter().flatten() {
                let columns = row
                    .values()
                    .map(|(name, value)| format!("{name}: {:?}", value.to_datum()));
                rows.insert(row.uuid(), columns.collect());
            }
        }
    }
    if compact {
        server.compact(&name).await.expect("compacted");
    }
    server.close().await.expect("closed");
    Some(shown)
}
