//! A peer that follows a script, for behaviour that a real server rarely or never shows.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use ovsdb::protocol::{Framer, Limits, Message, Request};

/// A socket whose replies the test writes itself.
pub struct Peer {
    folder: tempfile::TempDir,
    listener: UnixListener,
}

impl Peer {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("peer.sock")).unwrap();
        Self { folder, listener }
    }

    pub fn remote(&self) -> String {
        format!("unix:{}", self.folder.path().join("peer.sock").display())
    }

    pub async fn accept(&self) -> Connection {
        let (stream, _) = self.listener.accept().await.unwrap();
        Connection {
            stream,
            buffer: Vec::new(),
            framer: Framer::new(Limits::default()),
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("peer.sock")
    }
}

pub struct Connection {
    pub stream: UnixStream,
    buffer: Vec<u8>,
    framer: Framer,
}

/// A request as the peer received it.
#[derive(Debug)]
pub struct Received {
    pub id: String,
    pub method: String,
    pub params: String,
}

impl Received {
    /// Parses a request, which must be one that a server understands.
    pub fn of(text: &str) -> Self {
        match Message::parse(text).expect("a message") {
            Message::Request { id, method, params } => {
                Request::parse(&method, params).expect("a request of OVSDB");
                Self {
                    id: id.text.to_owned(),
                    method: method.into_owned(),
                    params: params.text.to_owned(),
                }
            }
            other => panic!("expected a request, got {other:?}"),
        }
    }
}

impl Connection {
    /// The next message's text; `None` when the other side hung up.
    pub async fn text(&mut self) -> Option<String> {
        loop {
            if let Some(range) = self.framer.find(&self.buffer).unwrap() {
                let message = self.buffer[range.clone()].to_vec();
                self.buffer.drain(..range.end);
                return Some(String::from_utf8(message).unwrap());
            }
            let read = tokio::time::timeout(
                Duration::from_secs(20),
                self.stream.read_buf(&mut self.buffer),
            );
            if read
                .await
                .expect("the client sends within 20 s")
                .unwrap_or(0)
                == 0
            {
                return None;
            }
        }
    }

    pub async fn request(&mut self) -> Received {
        Received::of(&self.text().await.expect("a request"))
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub async fn reply(&mut self, request: &Received, result: &str) {
        let mut text = String::new();
        ovsdb::protocol::write_reply(&mut text, &request.id, result);
        self.send(&text).await;
    }

    pub async fn fail(&mut self, request: &Received, error: &str) {
        let mut text = String::new();
        ovsdb::protocol::write_failure(&mut text, &request.id, error);
        self.send(&text).await;
    }

    /// Answers the first requests of a connection, as a server without `_Server` does.
    pub async fn give_schema(&mut self, schema: &str) {
        let aware = self.request().await;
        assert_eq!(aware.method, "set_db_change_aware");
        self.reply(&aware, "{}").await;
        let server = self.request().await;
        assert!(server.params.starts_with("[\"_Server\","), "{server:?}");
        self.fail(&server, "{\"error\":\"unknown database\"}").await;
        let request = self.request().await;
        assert_eq!(request.method, "get_schema");
        self.reply(&request, schema).await;
    }
}
