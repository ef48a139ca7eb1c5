//! Two servers with the same database, and clients of both.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use bytes::BytesMut;
use ovsdb::Remote;
use ovsdb::protocol::{Framer, Limits};
use ovsdb::server::Server;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::UnixStream;

use super::draw::Step;
use super::normal::{Names, is_update};

/// Stands for the end of a connection.
const CLOSED: &str = "the connection was closed";

/// How many clients there are.
pub const CLIENTS: usize = 3;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A client's connection.
struct Connection {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    framer: Framer,
}

impl Connection {
    /// A connection that the server has accepted.
    async fn new(stream: impl Stream + 'static) -> Result<Self, String> {
        let mut connection = Self {
            stream: Box::new(stream),
            buffer: BytesMut::new(),
            framer: Framer::new(Limits::default()),
        };
        connection.drain().await?;
        Ok(connection)
    }

    async fn send(&mut self, text: &str) -> Result<(), String> {
        let sent = self.stream.write_all(text.as_bytes()).await;
        sent.map_err(|error| error.to_string())
    }

    async fn next(&mut self) -> Result<Value, String> {
        loop {
            let message = self
                .framer
                .take(&mut self.buffer)
                .map_err(|error| error.to_string())?;
            if let Some(message) = message {
                let text = std::str::from_utf8(&message).map_err(|error| error.to_string())?;
                return serde_json::from_str(text).map_err(|error| format!("{error}: {text}"));
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(CLOSED.into()),
                Ok(_) => {}
                // The server has closed a socket that had unread bytes.
                Err(_) => return Err(CLOSED.into()),
            }
        }
    }

    /// The result of a request.
    async fn call(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        self.send(&format!(
            r#"{{"id":"call","method":"{method}","params":{params}}}"#
        ))
        .await?;
        loop {
            let mut message = self.next().await?;
            if message.get("id").and_then(Value::as_str) == Some("call") {
                return Ok(message["result"].take());
            }
        }
    }

    /// Everything that the server has sent so far, except its probes, which are answered; the last element is a
    /// string if it has closed the connection.
    async fn drain(&mut self) -> Result<Vec<Value>, String> {
        // There may be bytes left to read from a closed connection.
        let _ = self
            .send(r#"{"id":"drained","method":"echo","params":[]}"#)
            .await;
        let mut messages = Vec::new();
        loop {
            let message = tokio::time::timeout(std::time::Duration::from_secs(30), self.next());
            let message = match message.await {
                Err(_) => return Err("no reply within 30 s".into()),
                Ok(Err(error)) if error == CLOSED => {
                    messages.push(CLOSED.into());
                    return Ok(messages);
                }
                Ok(message) => message?,
            };
            if message.get("id").and_then(Value::as_str) == Some("drained") {
                return Ok(messages);
            }
            if message.get("method").and_then(Value::as_str) == Some("echo") {
                let reply = format!(r#"{{"id":{},"result":[],"error":null}}"#, message["id"]);
                self.send(&reply).await?;
                continue;
            }
            messages.push(message);
        }
    }
}

/// One of the two servers.
struct Side {
    clients: Vec<Connection>,
    names: Names,
    /// The uuids of the rows that were inserted, by their numbers.
    rows: Vec<Option<String>>,
}

impl Side {
    fn new(clients: Vec<Connection>) -> Self {
        Self {
            clients,
            names: Names::default(),
            rows: Vec::new(),
        }
    }

    /// The text with `@N@` replaced by the rows' uuids.
    fn fill(&self, text: &str) -> String {
        let mut out = String::new();
        for (at, part) in text.split('@').enumerate() {
            if at % 2 == 0 {
                out.push_str(part);
                continue;
            }
            let row: usize = part.parse().expect("a row's number");
            match self.rows.get(row).cloned().flatten() {
                Some(uuid) => out.push_str(&uuid),
                None => drop(write!(out, "{}", fixed_uuid(row))),
            }
        }
        out
    }

    async fn step(&mut self, step: &Step) -> Result<Vec<Vec<Value>>, String> {
        let client = step.client;
        let message = self.fill(&step.message());
        self.clients[client].send(&message).await?;
        let mut all = Vec::new();
        // The client that sent the request is drained first: when the server answers its `echo`, it has
        // already sent the other clients what the request caused.
        let own = self.clients[client].drain().await?;
        for (at, other) in self.clients.iter_mut().enumerate() {
            all.push(if at == client {
                own.clone()
            } else {
                other.drain().await?
            });
        }
        self.note_rows(step, &own);
        Ok(all)
    }

    /// Records the uuids of the rows that a transaction has inserted.
    fn note_rows(&mut self, step: &Step, messages: &[Value]) {
        let reply = messages
            .iter()
            .find(|message| message.get("id").is_some_and(Value::is_number));
        let results = reply.and_then(|reply| reply["result"].as_array());
        for (operation, row) in step.inserts() {
            if self.rows.len() <= row {
                self.rows.resize(row + 1, None);
            }
            let uuid = results
                .and_then(|results| results.get(operation))
                .and_then(|result| result["uuid"][1].as_str());
            let uuid = uuid.map_or_else(|| fixed_uuid(row), str::to_owned);
            self.names.add(&uuid, format!("row{row}"));
            self.rows[row] = Some(uuid);
        }
    }

    /// The messages in normal form. Adjacent updates are split into rows, because the server chooses
    /// their number and order.
    fn normal(&self, messages: &[Value], conversion: bool) -> Vec<Part> {
        // If several clients are disconnected together, it is a race whether one is still notified of
        // the others' locks.
        let closed = messages.last().is_some_and(Value::is_string);
        let mut parts = Vec::new();
        let mut updates: BTreeMap<String, Option<String>> = BTreeMap::new();
        let flush = |updates: &mut BTreeMap<_, _>, parts: &mut Vec<Part>| {
            parts.extend(
                std::mem::take(updates)
                    .into_iter()
                    .map(|(of, change)| Part { of, change }),
            );
        };
        for message in messages {
            if closed && message["method"] == "locked" {
                continue;
            }
            let Some(normal) = self.names.message(message) else {
                continue;
            };
            if message["method"] == "monitor_canceled" {
                updates.insert(normal.to_string(), Some(String::new()));
                continue;
            }
            if !is_update(message) {
                flush(&mut updates, &mut parts);
                parts.push(Part {
                    of: normal.to_string(),
                    change: Some(String::new()),
                });
                continue;
            }
            let monitor = format!("{} {}", normal["method"], normal["params"][0]);
            let tables = normal["params"].as_array().and_then(|params| params.last());
            for (table, rows) in tables.and_then(Value::as_object).into_iter().flatten() {
                for (row, change) in rows.as_object().into_iter().flatten() {
                    updates
                        .entry(format!("{monitor} {table} {row}"))
                        // Two changes of a row may be merged, or not.
                        .and_modify(|change| *change = None)
                        .or_insert_with(|| Some(change.to_string()));
                }
            }
        }
        flush(&mut updates, &mut parts);
        if conversion {
            // Sessions end together with their locks, in any order, so a new holder may be notified for
            // each of them.
            parts.sort_by(|a, b| a.of.cmp(&b.of));
            parts.dedup();
        }
        parts
    }
}

/// A message, or the change of a row in an update.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    of: String,
    /// `None` if the row has changed several times.
    change: Option<String>,
}

impl Part {
    /// Whether it is a row of an update, rather than a message.
    fn is_update(&self) -> bool {
        self.of.starts_with("\"update")
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.of,
            self.change.as_deref().unwrap_or("several changes")
        )
    }
}

/// Removes what cannot be compared: rows that have changed several times on either side.
fn comparable(a: &mut Vec<Part>, b: &mut Vec<Part>) {
    let several = a.iter().chain(&*b).filter(|part| part.change.is_none());
    let several: BTreeSet<String> = several.map(|part| part.of.clone()).collect();
    for side in [a, b] {
        side.retain(|part| !several.contains(&part.of));
    }
}

/// Whether a waiting transaction was carried out: a client got a reply to another request than the one of
/// this step.
fn went_on(step: &Step, all: &[Vec<Value>]) -> bool {
    let asked: Value = serde_json::from_str(&step.message()).unwrap_or_default();
    let replies = all.iter().enumerate().flat_map(|(client, messages)| {
        let ids = messages.iter().filter_map(|message| message.get("id"));
        ids.filter(|id| id.is_number()).map(move |id| (client, id))
    });
    let mut replies = replies;
    replies.any(|(client, id)| client != step.client || Some(id) != asked.get("id"))
}

/// Treats all errors in rows as the same: after a conversion, a row that was drawn for another schema
/// may have several, and each server may find any of them first.
fn without_choices(parts: &mut [Part]) {
    for part in parts {
        for kind in [
            "unknown column",
            "syntax error",
            "constraint violation",
            "ovsdb error",
        ] {
            let error = format!("\"error\":\"{kind}\"}}");
            let Some(end) = part.of.find(&error) else {
                continue;
            };
            if let Some(start) = part.of[..end].rfind("{\"details\":") {
                part.of
                    .replace_range(start..end + error.len(), "an error in a row");
            }
        }
    }
}

/// The atoms of a datum: the elements of a set or the keys of a map, or its values.
fn atoms(datum: &Value, values: bool) -> Vec<Value> {
    match (datum[0].as_str(), datum[1].as_array()) {
        (Some("set"), Some(elements)) => elements.clone(),
        (Some("map"), Some(pairs)) => pairs
            .iter()
            .map(|pair| pair[usize::from(values)].clone())
            .collect(),
        _ => vec![datum.clone()],
    }
}

/// The uuid for a row that was never inserted.
fn fixed_uuid(row: usize) -> String {
    format!("00000000-0000-4000-8000-{row:012x}")
}

fn pipe(server: &Server) -> Result<DuplexStream, String> {
    match server.remote() {
        Remote::Memory(remote) => remote.connect().map_err(|error| error.to_string()),
        other => Err(format!("{other} is not in this process")),
    }
}

/// Both servers.
pub struct Pair {
    reference: Side,
    ours: Side,
    servers: (ovsdb::testing::Server, Server),
    /// Whether a conversion was requested.
    may_be_converted: bool,
    /// The monitors with a condition on `_uuid`, by client and id.
    by_uuid: BTreeSet<(usize, String)>,
}

impl Pair {
    pub async fn start(schema: &str) -> Result<Self, String> {
        let ours = Server::memory(schema).map_err(|error| error.to_string())?;
        Self::with(schema, ours).await
    }

    /// With this embedded server.
    pub async fn with(schema: &str, ours: Server) -> Result<Self, String> {
        let reference = ovsdb::testing::Server::builder().schema(schema).start();
        let reference = reference.map_err(|error| format!("ovsdb-server: {error}"))?;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let stream = UnixStream::connect(reference.socket()).await;
            let stream = stream.map_err(|error| error.to_string())?;
            clients.push(Connection::new(stream).await?);
        }
        let mut own = Vec::new();
        for _ in 0..CLIENTS {
            own.push(Connection::new(pipe(&ours)?).await?);
        }
        Ok(Self {
            reference: Side::new(clients),
            ours: Side::new(own),
            servers: (reference, ours),
            may_be_converted: false,
            by_uuid: BTreeSet::new(),
        })
    }

    pub const fn servers(&self) -> (&ovsdb::testing::Server, &Server) {
        (&self.servers.0, &self.servers.1)
    }

    /// The servers, without clients.
    pub fn into_servers(self) -> (ovsdb::testing::Server, Server) {
        self.servers
    }

    /// Whether ovsdb-server's process ends within a second.
    async fn reference_dies(&self) -> bool {
        let id = self.servers.0.process_id().unwrap_or_default();
        for _ in 0..20 {
            let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let state = state.rsplit(')').next().unwrap_or_default();
            if matches!(state.trim().chars().next(), None | Some('Z' | 'X')) {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        false
    }

    /// Whether ovsdb-server has a weak reference to a row that does not exist, which RFC 7047 rules out
    /// (section 3.2). Version 3.1 sometimes keeps one after a conversion or a restart.
    async fn reference_dangles(&self) -> Result<bool, String> {
        let stream = UnixStream::connect(self.servers.0.socket()).await;
        let mut connection = Connection::new(stream.map_err(|error| error.to_string())?).await?;
        let schema = connection
            .call("get_schema", &serde_json::json!(["D"]))
            .await?;
        let tables = schema["tables"].as_object().cloned().unwrap_or_default();
        let mut params = vec![Value::from("D")];
        let selects = tables
            .keys()
            .map(|table| serde_json::json!({"op": "select", "table": table, "where": []}));
        params.extend(selects);
        let results = connection.call("transact", &params.into()).await?;
        let rows = |at: usize| results[at]["rows"].as_array().into_iter().flatten();
        let uuid = |row: &Value| row["_uuid"][1].as_str().map(str::to_owned);
        let all: Vec<BTreeSet<String>> = (0..tables.len())
            .map(|at| rows(at).filter_map(uuid).collect())
            .collect();
        let place = |name: &Value| {
            tables
                .keys()
                .position(|table| Some(table.as_str()) == name.as_str())
        };
        for (at, table) in tables.values().enumerate() {
            for (name, column) in table["columns"].as_object().into_iter().flatten() {
                for part in ["key", "value"] {
                    let base = &column["type"][part];
                    let Some(referred) =
                        place(&base["refTable"]).filter(|_| base["refType"] == "weak")
                    else {
                        continue;
                    };
                    let mut atoms = rows(at).flat_map(|row| atoms(&row[name], part == "value"));
                    if atoms.any(|atom| {
                        atom[1]
                            .as_str()
                            .is_some_and(|uuid| !all[referred].contains(uuid))
                    }) {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Runs a step on both servers. Returns whether to continue; the error is a difference.
    pub async fn step(&mut self, step: &Step) -> Result<bool, String> {
        let reference = match self.reference.step(step).await {
            Ok(reference) => reference,
            // Version 3.1 crashes on some monitors.
            Err(_) if self.reference_dies().await => return Ok(false),
            Err(error) => return Err(format!("ovsdb-server: {error}")),
        };
        self.may_be_converted |= step.is_conversion();
        self.note_conditions(step);
        let ours = self.ours.step(step).await;
        let ours = ours.map_err(|error| format!("embedded server: {error}"))?;
        for (client, (theirs, own)) in reference.iter().zip(&ours).enumerate() {
            let (mut a, mut b) = (
                self.reference.normal(theirs, step.is_conversion()),
                self.ours.normal(own, step.is_conversion()),
            );
            comparable(&mut a, &mut b);
            if self.may_be_converted && a != b {
                without_choices(&mut a);
                without_choices(&mut b);
            }
            if a != b {
                self.without_conditions_on_uuids(client, &mut a);
                self.without_conditions_on_uuids(client, &mut b);
            }
            if a != b && went_on(step, &ours) {
                // ovsdb-server sends to its clients in turns. A client that was not yet sent the first of
                // two changes of a row is sent both as one.
                a.retain(|part| !part.is_update());
                b.retain(|part| !part.is_update());
            }
            if a != b && (self.reference_dies().await || self.reference_dangles().await?) {
                return Ok(false);
            }
            if a != b {
                let text = |side: &[Part]| {
                    let texts: Vec<_> = side.iter().map(Part::to_string).collect();
                    texts.join("\n    ")
                };
                let raw = |side: &[Value]| {
                    let texts: Vec<_> = side.iter().map(Value::to_string).collect();
                    texts.join("\n    ")
                };
                return Err(format!(
                    "client {client} receives\n  from ovsdb-server\n    {}\n  from the embedded \
                     server\n    {}\n  as they were\n    {}\n  and\n    {}",
                    text(&a),
                    text(&b),
                    raw(theirs),
                    raw(own)
                ));
            }
            if theirs.last().is_some_and(Value::is_string) {
                self.reconnect(client).await?;
            }
        }
        Ok(true)
    }

    /// Records monitors with a condition on `_uuid`.
    fn note_conditions(&mut self, step: &Step) {
        let message: Value = serde_json::from_str(&step.message()).unwrap_or_default();
        let method = message["method"].as_str().unwrap_or_default();
        if method.starts_with("monitor_cond") && message.to_string().contains("[\"_uuid\",") {
            for id in [&message["params"][0], &message["params"][1]] {
                self.by_uuid.insert((step.client, id.to_string()));
            }
        }
    }

    /// Leaves out updates of monitors with a condition on `_uuid`: version 3.1 of ovsdb-server
    /// evaluates it wrongly if another monitor has the same columns, and sends too many or too few
    /// rows.
    fn without_conditions_on_uuids(&self, client: usize, parts: &mut Vec<Part>) {
        parts.retain(|part| {
            let monitor = part.of.split(' ').nth(1).unwrap_or_default();
            !part.is_update() || !self.by_uuid.contains(&(client, monitor.to_owned()))
        });
    }

    async fn reconnect(&mut self, client: usize) -> Result<(), String> {
        let stream = UnixStream::connect(self.servers.0.socket()).await;
        let stream = stream.map_err(|error| error.to_string())?;
        self.reference.clients[client] = Connection::new(stream).await?;
        self.ours.clients[client] = Connection::new(pipe(&self.servers.1)?).await?;
        Ok(())
    }
}
