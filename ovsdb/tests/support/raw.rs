//! A client that sends messages as given.

use bytes::BytesMut;
use ovsdb::Remote;
use ovsdb::protocol::{Framer, Limits};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long a reply may take.
const HANG: std::time::Duration = std::time::Duration::from_secs(60);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub struct Raw {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    framer: Framer,
    requests: u64,
}

impl Raw {
    pub async fn connect(remote: &Remote) -> Self {
        let stream: Box<dyn Stream> = match remote {
            Remote::Memory(memory) => Box::new(memory.connect().expect("a connection")),
            Remote::Unix { path } => {
                let connected = UnixStream::connect(path).await;
                Box::new(connected.expect("a connection"))
            }
            other => panic!("expected a memory or unix remote, got {other}"),
        };
        Self {
            stream,
            buffer: BytesMut::new(),
            framer: Framer::new(Limits::default()),
            requests: 0,
        }
    }

    /// Sends a request. Returns its id.
    pub async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.send_text(method, &params.to_string()).await
    }

    /// Like [`send`](Self::send), with parameters as text.
    pub async fn send_text(&mut self, method: &str, params: &str) -> u64 {
        self.requests += 1;
        let id = self.requests;
        let request = format!(r#"{{"id":{id},"method":"{method}","params":{params}}}"#);
        let sent = self.stream.write_all(request.as_bytes()).await;
        sent.expect("sent");
        id
    }

    /// Sends text: messages that are written by hand, or several at once.
    pub async fn send_bytes(&mut self, text: &str) {
        let sent = self.stream.write_all(text.as_bytes()).await;
        sent.expect("sent");
    }

    /// The next message; `None` at the end of the connection.
    pub async fn message(&mut self) -> Option<Value> {
        let text = self.text().await?;
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    /// The text of the next message; `None` at the end of the connection.
    pub async fn text(&mut self) -> Option<String> {
        loop {
            let text = self.framer.take(&mut self.buffer).expect("a message");
            if let Some(text) = text {
                return Some(String::from_utf8(text.to_vec()).expect("text"));
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// The reply to a request. Messages before it are dropped.
    pub async fn reply(&mut self, id: u64) -> Value {
        loop {
            let message = timeout(HANG, self.message()).await.expect("a reply");
            let message = message.expect("a connection");
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
        }
    }

    /// Sends a request. Returns the result in its reply.
    pub async fn result(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        let mut reply = self.reply(id).await;
        assert_eq!(reply["error"], Value::Null, "{reply}");
        reply["result"].take()
    }

    /// The rows of a table, with these columns.
    pub async fn select(&mut self, database: &str, table: &str, columns: &[&str]) -> Vec<Value> {
        let select = json!({"op": "select", "table": table, "where": [], "columns": columns});
        let mut result = self.result("transact", json!([database, select])).await;
        match result[0]["rows"].take() {
            Value::Array(rows) => rows,
            _ => panic!("no rows: {result}"),
        }
    }
}
