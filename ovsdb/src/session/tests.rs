//! The session in virtual time: the machine at one end, a scripted server at the other, and no
//! socket between them.

mod locks;
mod monitors;
mod patience;
mod standing_by;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovsdb_schema::DatabaseSchema;
use tokio::sync::oneshot;

use super::command::{Answer, Call, CallError, Order, Ticket};
use super::job::Job;
use super::machine::{Machine, Output};
use super::{ConnectionState, Options, RemoteOrder, Shared};
use crate::cache::{Handle, ReplicaMonitor, Tables};
use crate::error::{DisconnectReason, Error};
use crate::protocol::{Framer, Limits, Message, MonitorVersion, write_failure, write_reply};
use crate::transport::{Remote, parse_remotes};
use crate::value::{Str, Uuid};

const SCHEMA: &str = r#"{"name":"Inventory","version":"1.0.0","tables":{
    "Item":{"columns":{"name":{"type":"string"}}}}}"#;

const MINUTE: Duration = Duration::from_secs(60);

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn options(remotes: &str) -> Options {
    Options {
        remotes: parse_remotes(remotes).expect("remotes"),
        order: RemoteOrder::Given,
        ..Options::new("Inventory")
    }
}

/// The database of the tests.
#[derive(Debug)]
struct Inventory;

impl ovsdb::Database for Inventory {
    const NAME: &'static str = "Inventory";
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Inventory, table = "Item")]
struct Item {
    name: Str,
}

/// The replica of the table `Item`, and a handle to read it by.
fn items() -> (Box<ReplicaMonitor>, Handle) {
    let mut tables = Tables::<Inventory>::default();
    tables.select::<Item>(None);
    let schema = DatabaseSchema::parse(SCHEMA).expect("a schema");
    let monitor = tables.into_monitor(&schema, MonitorVersion::MonitorCondSince);
    let handle = Handle::detached(monitor.shared().clone());
    (Box::new(monitor), handle)
}

/// The reply to `monitor_cond_since` with this many rows.
fn rows(count: u128) -> String {
    let row = |number| {
        format!(
            r#""{}":{{"initial":{{"name":"{number}"}}}}"#,
            Uuid::from_u128(number)
        )
    };
    let rows: Vec<String> = (1..=count).map(row).collect();
    let rows = rows.join(",");
    format!(r#"[false,"{}",{{"Item":{{{rows}}}}}]"#, Uuid::nil())
}

/// A request as the scripted server received it.
#[derive(Debug)]
struct Received {
    id: String,
    method: String,
    params: String,
}

/// What the driver would be doing.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Down,
    Connecting(Remote),
    Up(Remote),
}

/// The machine, its clock, and the scripted server.
struct Lab {
    now: Instant,
    machine: Machine,
    shared: Arc<Shared>,
    first: oneshot::Receiver<Result<(), Error>>,
    line: Line,
    /// Bytes that the server has received and not read.
    at_server: Vec<u8>,
    jobs: VecDeque<Box<Job>>,
    published: usize,
    ended: bool,
    /// The remotes that were tried, in order.
    attempts: Vec<Remote>,
    /// The network takes no bytes to the server.
    stuck: bool,
}

impl Lab {
    fn new(options: Options) -> Self {
        let now = Instant::now();
        let shared = Arc::new(Shared::new(&options.database));
        let (sender, first) = oneshot::channel();
        let machine = Machine::new(now, 7, options, shared.clone(), sender);
        let mut lab = Self {
            now,
            machine,
            shared,
            first,
            line: Line::Down,
            at_server: Vec::new(),
            jobs: VecDeque::new(),
            published: 0,
            ended: false,
            attempts: Vec::new(),
            stuck: false,
        };
        lab.run();
        lab
    }

    /// A machine whose connection serves.
    fn serving(options: Options) -> Self {
        let mut lab = Self::new(options);
        lab.connect();
        lab.greet();
        lab
    }

    /// Carries out the machine's outputs until there are none.
    fn run(&mut self) {
        while let Some(output) = self.machine.poll_output(self.now) {
            match output {
                Output::Connect(remote) => {
                    assert_eq!(self.line, Line::Down, "one connection at a time");
                    self.attempts.push(remote.clone());
                    self.line = Line::Connecting(remote);
                }
                Output::Disconnect => {
                    self.line = Line::Down;
                    self.at_server.clear();
                }
                Output::Decode(job) => self.jobs.push_back(job),
                Output::Published => self.published += 1,
                Output::Ended(lost) => {
                    self.line = Line::Down;
                    self.ended = true;
                    for closer in self.machine.finish(&lost) {
                        let _ = closer.send(());
                    }
                }
            }
        }
        self.carry();
    }

    /// Carries to the server what the machine wants to write.
    fn carry(&mut self) {
        loop {
            let (_, bytes) = self.machine.buffers();
            let count = bytes.len();
            if count == 0 || self.stuck {
                return;
            }
            self.at_server.extend_from_slice(bytes);
            self.machine.handle_transmitted(count);
        }
    }

    /// Lets time pass, waking the machine whenever it asked for that.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.run();
        }
        self.now = end;
        self.run();
    }

    /// The attempt to connect succeeds.
    fn connect(&mut self) {
        let Line::Connecting(remote) = std::mem::replace(&mut self.line, Line::Down) else {
            panic!("no attempt to connect");
        };
        self.line = Line::Up(remote);
        self.machine.handle_connected(self.now, Ok(()));
        self.run();
    }

    /// The attempt to connect fails.
    fn refuse(&mut self) {
        assert!(
            matches!(self.line, Line::Connecting(_)),
            "no attempt to connect"
        );
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        self.machine.handle_connected(self.now, Err(refused.into()));
        self.run();
    }

    /// The server answers the first requests of a connection, like a server without `_Server`.
    fn greet(&mut self) {
        let server = self.request_for_server();
        self.send(&format!(
            r#"{{"id":{},"error":{{"error":"unknown database"}},"result":null}}"#,
            server.id
        ));
        self.answer_schema();
    }

    /// The same, like a server that has the database `_Server`.
    fn greet_with_server_database(&mut self) {
        let server = self.request_for_server();
        self.reply(
            &server,
            r#"{"Database":{"00000000-0000-0000-0000-000000000001":{"initial":
                {"name":"Inventory","model":"standalone","connected":true,"schema":"first"}}}}"#,
        );
        self.answer_schema();
    }

    /// The connection's request to monitor `_Server`; the server has answered what came before it.
    fn request_for_server(&mut self) -> Received {
        let aware = self.request();
        assert_eq!(aware.method, "set_db_change_aware");
        self.reply(&aware, "{}");
        let server = self.request();
        assert!(server.params.starts_with("[\"_Server\","), "{server:?}");
        server
    }

    fn answer_schema(&mut self) {
        let schema = self.request();
        assert_eq!(schema.method, "get_schema");
        self.reply(&schema, SCHEMA);
    }

    /// The next request that the server received, if there is one.
    fn try_request(&mut self) -> Option<Received> {
        let mut framer = Framer::new(Limits::default());
        let range = framer.find(&self.at_server).expect("messages")?;
        let message: Vec<u8> = self.at_server.drain(..range.end).collect();
        let text = String::from_utf8(message).expect("text");
        match Message::parse(&text).expect("a message") {
            Message::Request { id, method, params } => Some(Received {
                id: id.text.to_owned(),
                method: method.into_owned(),
                params: params.text.to_owned(),
            }),
            Message::Notification { method, params } => Some(Received {
                id: "null".to_owned(),
                method: method.into_owned(),
                params: params.text.to_owned(),
            }),
            Message::Reply { id, outcome } => Some(Received {
                id: id.text.to_owned(),
                method: "reply".to_owned(),
                params: outcome.expect("a result").text.to_owned(),
            }),
        }
    }

    fn request(&mut self) -> Received {
        self.try_request().expect("a request")
    }

    /// The server sends bytes.
    fn send(&mut self, text: &str) {
        if let (Some(buffer), _) = self.machine.buffers() {
            buffer.extend_from_slice(text.as_bytes());
            self.machine.handle_received(self.now, text.len());
        }
        self.run();
    }

    fn reply(&mut self, request: &Received, result: &str) {
        let mut text = String::new();
        write_reply(&mut text, &request.id, result);
        self.send(&text);
    }

    /// The server closes the connection.
    fn hang_up(&mut self) {
        self.machine.handle_received(self.now, 0);
        self.run();
    }

    /// A caller makes a request, if the machine takes one.
    fn call(&mut self, method: &'static str, params: &str) -> Option<Caller> {
        if !self.machine.takes_calls() {
            return None;
        }
        let (reply, answer) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        self.machine.handle_call(Call {
            method,
            params: params.to_owned(),
            basis: None,
            ticket: ticket.clone(),
            reply,
        });
        self.run();
        Some(Caller { ticket, answer })
    }

    fn order(&mut self, order: Order) {
        self.machine.handle_order(self.now, order);
        self.run();
    }

    /// A caller starts a monitor.
    fn monitor(&mut self, monitor: Box<ReplicaMonitor>) -> Started {
        let (started, answer) = oneshot::channel();
        self.order(Order::Monitor { monitor, started });
        answer
    }

    /// The thread of the oldest job ends.
    fn finish_job(&mut self) {
        let job = self.jobs.pop_front().expect("a job");
        self.machine.handle_decoded(self.now, job.run());
        self.run();
    }

    /// Why the last connection or attempt ended.
    fn lost(&self) -> String {
        match &*self.shared.state.borrow() {
            ConnectionState::Waiting { lost: Some(lost) } | ConnectionState::Closed { lost } => {
                lost.reason().to_string()
            }
            other => panic!("not lost: {other:?}"),
        }
    }

    fn is_connected(&self) -> bool {
        self.shared.state.borrow().is_connected()
    }
}

/// The channel by which a caller gets the outcome of the monitor that it started.
type Started = oneshot::Receiver<Result<u64, Error>>;

/// The caller's end of a call.
struct Caller {
    ticket: Arc<Ticket>,
    answer: oneshot::Receiver<Result<Answer, CallError>>,
}

impl Caller {
    fn answer(&mut self) -> Option<Result<String, CallError>> {
        let answer = self.answer.try_recv().ok()?;
        Some(answer.map(|answer| answer.text))
    }
}

#[test]
fn a_connection_serves_once_server_and_schema_are_known() {
    let mut lab = Lab::new(options("tcp:192.0.2.1:6641"));
    assert!(matches!(lab.line, Line::Connecting(_)));
    lab.connect();
    assert!(lab.first.try_recv().is_err() && !lab.is_connected());
    assert!(lab.call("list_dbs", "[]").is_none(), "nothing is sent yet");
    lab.greet();
    assert!(matches!(lab.first.try_recv(), Ok(Ok(()))) && lab.is_connected());
    assert!(lab.shared.schema.load().tables.contains_key("Item"));
    let mut caller = lab.call("list_dbs", "[]").expect("a call");
    let request = lab.request();
    assert_eq!(request.method, "list_dbs");
    assert!(caller.answer().is_none());
    lab.reply(&request, r#"["Inventory"]"#);
    assert!(matches!(caller.answer(), Some(Ok(names)) if names == r#"["Inventory"]"#));
}

#[test]
fn the_first_remote_is_any_of_them_unless_an_order_is_given() {
    let remotes = "tcp:192.0.2.1:6641,tcp:192.0.2.2:6641,tcp:192.0.2.3:6641";
    for (order, expected) in [(RemoteOrder::Given, 1), (RemoteOrder::Shuffled, 3)] {
        let mut first = HashSet::new();
        for seed in 0..50 {
            let options = Options {
                order,
                ..options(remotes)
            };
            let now = Instant::now();
            let shared = Arc::new(Shared::new(&options.database));
            let mut machine = Machine::new(now, seed, options, shared, oneshot::channel().0);
            let Some(Output::Connect(remote)) = machine.poll_output(now) else {
                panic!("no attempt to connect");
            };
            first.insert(remote.to_string());
        }
        assert_eq!(first.len(), expected, "{order:?}");
    }
}

#[test]
fn an_idle_connection_is_kept_alive_by_probes() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    for _ in 0..1000 {
        lab.pass(milliseconds(5_000));
        let probe = lab.request();
        assert_eq!((&*probe.method, &*probe.params), ("echo", "[]"));
        lab.reply(&probe, "[]");
    }
    // Bytes of a message that does not end also show that the server is alive.
    lab.send("{\"id\":null,\"method\":\"");
    for _ in 0..100 {
        lab.pass(milliseconds(4_000));
        lab.send("x");
    }
    assert!(lab.is_connected() && lab.try_request().is_none());
    lab.pass(milliseconds(9_999));
    assert!(lab.is_connected());
    lab.pass(milliseconds(1));
    assert!(!lab.is_connected());
    assert_eq!(lab.lost(), DisconnectReason::Silent.to_string());
}

#[test]
fn a_servers_keepalive_is_answered() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    lab.send(r#"{"id":"echo","method":"echo","params":[1,{"a":2}]}"#);
    let answer = lab.request();
    assert_eq!(
        (&*answer.method, &*answer.id, &*answer.params),
        ("reply", "\"echo\"", r#"[1,{"a":2}]"#)
    );
}

#[test]
fn messages_may_arrive_byte_by_byte() {
    let mut lab = Lab::new(options("tcp:192.0.2.1:6641"));
    lab.connect();
    let replies = format!(
        r#"{{"id":0,"result":{{}},"error":null}} {{"id":1,"result":null,"error":"unknown database"}}{{"id":2,"result":{SCHEMA},"error":null}}"#
    );
    for byte in replies.chars() {
        assert!(!lab.is_connected());
        lab.send(&byte.to_string());
    }
    assert!(lab.is_connected());
}

#[test]
fn more_requests_than_fit_wait_for_their_turn() {
    let mut lab = Lab::serving(Options {
        window: 2,
        ..options("tcp:192.0.2.1:6641")
    });
    let mut first = lab.call("echo", "[1]").expect("room");
    let mut second = lab.call("echo", "[2]").expect("room");
    assert!(lab.call("echo", "[3]").is_none(), "two are on their way");
    let (one, two) = (lab.request(), lab.request());
    // Replies may come in any order.
    lab.reply(&two, "[2]");
    assert!(matches!(second.answer(), Some(Ok(text)) if text == "[2]"));
    assert!(first.answer().is_none());
    assert!(lab.call("echo", "[3]").is_some() && lab.call("echo", "[4]").is_none());
    lab.reply(&one, "[1]");
    assert!(matches!(first.answer(), Some(Ok(text)) if text == "[1]"));
}

#[test]
fn a_lost_connection_leaves_outcomes_unknown_and_another_follows() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    lab.pass(MINUTE / 20);
    let mut sent = lab.call("transact", r#"["Inventory"]"#).expect("room");
    lab.hang_up();
    assert!(matches!(sent.answer(), Some(Err(CallError::Lost(lost)))
        if matches!(lost.reason(), DisconnectReason::ByServer)));
    assert!(lab.call("echo", "[]").is_none(), "no connection");
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    assert!(lab.is_connected() && lab.call("echo", "[]").is_some());
}

#[test]
fn bytes_that_arrived_before_a_failed_write_are_read() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let mut caller = lab.call("echo", "[1]").expect("room");
    let request = lab.request();
    let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    lab.machine.handle_write_failed(broken.into());
    lab.run();
    assert!(lab.is_connected() && lab.call("echo", "[2]").is_none());
    lab.reply(&request, "[1]");
    assert!(matches!(caller.answer(), Some(Ok(_))));
    lab.hang_up();
    assert_eq!(lab.lost(), "the connection failed", "the write's reason");
}

#[test]
fn a_transaction_that_is_given_up_is_cancelled() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let caller = lab.call("transact", r#"["Inventory"]"#).expect("room");
    let request = lab.request();
    assert!(!caller.ticket.abandon(), "it was sent");
    lab.order(Order::Abandon(caller.ticket.clone()));
    let cancel = lab.request();
    assert_eq!(
        (&*cancel.method, cancel.params),
        ("cancel", format!("[{}]", request.id))
    );
    // A call that is given up before it is sent is never sent.
    let ticket = Arc::new(Ticket::default());
    assert!(ticket.abandon());
    let (reply, _answer) = oneshot::channel();
    lab.machine.handle_call(Call {
        method: "transact",
        params: "[]".to_owned(),
        basis: None,
        ticket,
        reply,
    });
    lab.run();
    assert!(lab.try_request().is_none());
}

#[test]
fn the_first_connection_is_given_up_when_every_remote_failed() {
    let mut lab = Lab::new(options("tcp:192.0.2.1:6641,tcp:192.0.2.2:6641"));
    lab.refuse();
    lab.pass(Duration::ZERO);
    // The second does not answer.
    lab.pass(milliseconds(9_999));
    assert!(!lab.ended);
    lab.pass(milliseconds(1));
    assert!(lab.ended && lab.attempts.len() == 2);
    assert!(matches!(
        lab.first.try_recv(),
        Ok(Err(Error::ConnectTimeout { remote })) if remote == lab.attempts[1]
    ));
    assert!(lab.machine.poll_timeout().is_none());
}

#[test]
fn a_client_can_wait_for_its_first_server() {
    let mut lab = Lab::new(Options {
        wait_for_server: true,
        ..options("tcp:192.0.2.1:6641")
    });
    for _ in 0..100 {
        lab.refuse();
        assert!(!lab.ended && lab.first.try_recv().is_err());
        lab.pass(milliseconds(8_000));
    }
    lab.connect();
    lab.greet();
    assert!(matches!(lab.first.try_recv(), Ok(Ok(()))));
}

#[test]
fn closing_waits_for_the_replies() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let mut caller = lab.call("echo", "[1]").expect("room");
    let (done, mut closed) = oneshot::channel();
    lab.order(Order::Close { done });
    assert!(lab.machine.is_closing() && !lab.ended);
    // A call that was made before the close is sent and answered.
    let mut queued = lab.call("echo", "[2]").expect("made before");
    lab.machine.handle_drained();
    lab.run();
    for _ in 0..2 {
        assert!(!lab.ended && closed.try_recv().is_err());
        let request = lab.request();
        lab.reply(&request, "[]");
    }
    assert!(matches!(caller.answer(), Some(Ok(_))) && matches!(queued.answer(), Some(Ok(_))));
    assert!(lab.ended && closed.try_recv().is_ok());
    assert_eq!(lab.lost(), DisconnectReason::Closed.to_string());
}

#[test]
fn closing_waits_for_rows_that_are_being_decoded() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let (monitor, replica) = items();
    let _started = lab.monitor(monitor);
    let request = lab.request();
    lab.reply(&request, &rows(10_000));
    let (done, mut closed) = oneshot::channel();
    lab.order(Order::Close { done });
    lab.machine.handle_drained();
    lab.run();
    assert!(!lab.ended && closed.try_recv().is_err());
    lab.finish_job();
    assert!(lab.ended && closed.try_recv().is_ok());
    assert_eq!(replica.snapshot::<Inventory>().rows::<Item>().len(), 10_000);
}

#[test]
fn closing_does_not_wait_for_what_was_given_up() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    lab.stuck = true;
    let caller = lab.call("transact", r#"["Inventory"]"#).expect("room");
    let mut other = lab.call("echo", "[]").expect("room");
    let (done, mut closed) = oneshot::channel();
    lab.order(Order::Close { done });
    lab.machine.handle_drained();
    lab.order(Order::Abandon(caller.ticket.clone()));
    assert!(!lab.ended, "the other caller waits");
    lab.order(Order::Abandon(other.ticket.clone()));
    assert!(lab.ended, "no caller waits for what is not sent");
    assert!(matches!(closed.try_recv(), Ok(())));
    assert!(other.answer().is_none_or(|answer| answer.is_err()));
}

#[test]
fn closing_does_not_wait_for_a_connection() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    lab.hang_up();
    let (done, mut closed) = oneshot::channel();
    lab.order(Order::Close { done });
    assert!(lab.ended && closed.try_recv().is_ok());
}

#[test]
fn bytes_that_are_not_messages_end_the_connection() {
    for nonsense in [
        "HTTP/1.1 400 Bad Request",
        "]",
        "{\"id\":\u{1}}",
        "{\"id\":1,\"jsonrpc\":2}",
    ] {
        let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
        lab.send(nonsense);
        assert!(!lab.is_connected(), "{nonsense}");
    }
}

#[test]
fn keepalives_are_answered_while_rows_are_decoded_and_the_rest_waits() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let (monitor, replica) = items();
    let mut started = lab.monitor(monitor);
    let request = lab.request();
    assert_eq!(request.method, "monitor_cond_since");
    lab.reply(&request, &rows(10_000));
    assert!(lab.jobs.len() == 1 && started.try_recv().is_err());

    let mut caller = lab.call("echo", "[1]").expect("room");
    let call = lab.request();
    lab.send(r#"{"id":"echo","method":"echo","params":[]}"#);
    assert_eq!(lab.request().method, "reply");
    lab.reply(&call, "[1]");
    assert!(caller.answer().is_none(), "wire order");
    lab.finish_job();
    assert!(matches!(started.try_recv(), Ok(Ok(_))));
    assert_eq!(replica.snapshot::<Inventory>().rows::<Item>().len(), 10_000);
    assert!(matches!(caller.answer(), Some(Ok(_))));
}

#[test]
fn a_job_of_a_lost_connection_does_not_hold_up_the_next_greeting() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    lab.pass(milliseconds(3_000));
    let (monitor, replica) = items();
    let mut started = lab.monitor(monitor);
    let request = lab.request();
    lab.reply(&request, &rows(10_000));
    assert_eq!(lab.jobs.len(), 1);
    lab.hang_up();
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    assert!(
        lab.is_connected() && lab.try_request().is_none(),
        "the job has the replica"
    );
    lab.finish_job();
    // The job's rows came by the lost connection, so the rows are requested again.
    let request = lab.request();
    assert_eq!(request.method, "monitor_cond_since");
    lab.reply(&request, &rows(3));
    assert!(matches!(started.try_recv(), Ok(Ok(_))));
    assert_eq!(replica.snapshot::<Inventory>().rows::<Item>().len(), 3);
}

#[test]
fn a_condition_is_refused_if_the_server_turns_out_to_monitor_whole_tables_only() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let mut tables = Tables::<Inventory>::default();
    tables.select::<Item>(None);
    let schema = DatabaseSchema::parse(SCHEMA).expect("a schema");
    let monitor = tables.into_monitor(&schema, MonitorVersion::Monitor);
    let mut started = lab.monitor(Box::new(monitor));
    let request = lab.request();
    assert_eq!(request.method, "monitor");
    // The client asks for the condition before the server has replied.
    let (reply, mut selected) = oneshot::channel();
    lab.order(Order::SetCondition {
        key: 0,
        table: "Item".into(),
        clauses: vec![crate::protocol::Clause::Always(false)],
        reply,
    });
    assert!(selected.try_recv().is_err());
    lab.reply(&request, "{}");
    assert!(matches!(started.try_recv(), Ok(Ok(_))));
    assert!(matches!(
        selected.try_recv(),
        Ok(Err(Error::ConditionsNotSupported(table))) if table == "Item"
    ));
    assert!(lab.try_request().is_none());
}

#[test]
fn a_commit_waits_for_a_monitor_that_was_refused_and_is_requested_again() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let (monitor, _replica) = items();
    let mut started = lab.monitor(monitor);
    let request = lab.request();
    lab.reply(&request, &rows(1));
    assert!(matches!(started.try_recv(), Ok(Ok(_))));
    lab.pass(milliseconds(3_000));
    lab.hang_up();
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    let request = lab.request();
    assert_eq!(request.method, "monitor_cond_since");
    let mut refusal = String::new();
    write_failure(&mut refusal, &request.id, r#"{"error":"syntax error"}"#);
    lab.send(&refusal);
    let commit = |lab: &mut Lab| {
        let mut caller = lab.call("transact", r#"["Inventory"]"#).expect("room");
        let request = lab.request();
        lab.reply(&request, "[]");
        let answer = caller.answer.try_recv().expect("a reply");
        answer.expect("a result").shown
    };
    assert!(
        commit(&mut lab).is_none(),
        "it is unknown whether the monitor ever starts"
    );
    lab.pass(milliseconds(2_000));
    let request = lab.request();
    assert_eq!(request.method, "monitor_cond_since");
    let mut shown = commit(&mut lab).expect("a commit that waits for the monitor");
    assert!(matches!(
        shown.try_recv(),
        Err(oneshot::error::TryRecvError::Empty)
    ));
    lab.reply(&request, &rows(2));
    assert!(!matches!(
        shown.try_recv(),
        Err(oneshot::error::TryRecvError::Empty)
    ));
}

#[test]
fn a_monitor_whose_condition_was_being_changed_is_not_resumed_with_the_one_before() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let (monitor, _replica) = items();
    let _started = lab.monitor(monitor);
    let request = lab.request();
    let row = Uuid::from_u128(1);
    let last = Uuid::from_u128(7);
    lab.reply(
        &request,
        &format!(r#"[false,"{last}",{{"Item":{{"{row}":{{"initial":{{"name":"a"}}}}}}}}]"#),
    );
    let mut replies = Vec::new();
    let mut select = |lab: &mut Lab, everything| {
        let (reply, selected) = oneshot::channel();
        replies.push(selected);
        lab.order(Order::SetCondition {
            key: 0,
            table: "Item".into(),
            clauses: vec![crate::protocol::Clause::Always(everything)],
            reply,
        });
    };
    select(&mut lab, true);
    let request = lab.request();
    assert_eq!(request.method, "monitor_cond_change");
    lab.reply(&request, "{}");
    // The rows of the next condition come, and its reply does not.
    select(&mut lab, false);
    assert_eq!(lab.request().method, "monitor_cond_change");
    lab.send(&format!(
        r#"{{"id":null,"method":"update3","params":[1,"{last}",{{"Item":{{"{row}":{{"delete":null}}}}}}]}}"#
    ));
    select(&mut lab, true);
    lab.pass(milliseconds(3_000));
    lab.hang_up();
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    let request = lab.request();
    assert_eq!(request.method, "monitor_cond_since");
    let all = format!(r#""{}"]"#, Uuid::nil());
    assert!(request.params.ends_with(&all), "{}", request.params);
}

#[test]
fn rows_of_a_schema_that_was_replaced_meanwhile_are_not_shown() {
    let mut lab = Lab::new(options("tcp:192.0.2.1:6641"));
    lab.connect();
    lab.greet_with_server_database();
    let (monitor, replica) = items();
    let _started = lab.monitor(monitor);
    let request = lab.request();
    lab.reply(&request, &rows(1));
    let names = || {
        let snapshot = replica.snapshot::<Inventory>();
        let names = snapshot.rows::<Item>().map(|row| row.name.clone());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["1"]);
    let convert = |lab: &mut Lab, schema: &str| {
        let row = format!(
            r#"{{"00000000-0000-0000-0000-000000000001":{{"modify":{{"schema":"{schema}"}}}}}}"#
        );
        lab.send(&format!(
            r#"{{"id":null,"method":"update2","params":[0,{{"Database":{row}}}]}}"#
        ));
    };

    // The database is converted, and has no names any more.
    lab.send(r#"{"id":null,"method":"monitor_canceled","params":[1]}"#);
    convert(&mut lab, "second");
    let request = lab.request();
    assert_eq!(request.method, "get_schema");
    lab.reply(
        &request,
        &SCHEMA.replace("\"name\":{\"type", "\"other\":{\"type"),
    );
    let without_names = lab.request();
    assert_eq!(without_names.method, "monitor_cond_since");

    // Before the server gets that request, the database is converted back.
    convert(&mut lab, "first");
    let row = Uuid::from_u128(1);
    lab.reply(
        &without_names,
        &format!(r#"[false,"{row}",{{"Item":{{"{row}":{{"initial":{{}}}}}}}}]"#),
    );
    assert_eq!(names(), ["1"], "the server has the name");
    let cancel = lab.request();
    assert_eq!(cancel.method, "monitor_cancel");
    let request = lab.request();
    assert_eq!(request.method, "get_schema");
    lab.reply(&request, SCHEMA);
    let request = lab.request();
    assert_eq!(request.method, "monitor_cond_since");
    lab.reply(&request, &rows(2));
    assert_eq!(names(), ["1", "2"]);
    assert!(lab.try_request().is_none());
}

#[test]
fn a_panic_of_a_decoder_loses_its_monitor_and_the_connection_but_not_the_session() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    lab.pass(milliseconds(3_000));
    let mut started = lab.monitor(items().0);
    let request = lab.request();
    lab.reply(&request, &rows(10_000));
    lab.jobs.clear();
    lab.machine.handle_decode_lost(lab.now, true);
    lab.run();
    let Ok(Err(Error::Disconnected(lost))) = started.try_recv() else {
        panic!("the caller that waits for the rows gets the reason");
    };
    assert!(matches!(lost.reason(), DisconnectReason::DecoderPanicked));
    assert_eq!(lab.lost(), lost.to_string());
    let (reply, mut changed) = oneshot::channel();
    lab.order(Order::SetCondition {
        key: 0,
        table: "Item".into(),
        clauses: Vec::new(),
        reply,
    });
    let Ok(Err(Error::Disconnected(lost))) = changed.try_recv() else {
        panic!("the cache has no monitor");
    };
    assert!(matches!(lost.reason(), DisconnectReason::DecoderPanicked));
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    assert!(lab.is_connected() && lab.try_request().is_none());
}

#[test]
fn a_panic_of_a_function_of_an_index_loses_its_monitor_but_not_the_session() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    lab.pass(milliseconds(3_000));
    let mut tables = Tables::<Inventory>::default();
    tables.index(&crate::cache::Index::<Item, i64>::function(|item| {
        item.name
            .parse::<i64>()
            .ok()
            .filter(|number| *number < 3)
            .map(|number| 10 / (2 - number))
    }));
    let schema = DatabaseSchema::parse(SCHEMA).expect("a schema");
    let monitor = tables.into_monitor(&schema, MonitorVersion::MonitorCondSince);
    let mut started = lab.monitor(Box::new(monitor));
    let request = lab.request();
    lab.reply(&request, &rows(2));
    let Ok(Err(Error::Disconnected(lost))) = started.try_recv() else {
        panic!("the caller that waits for the rows gets the reason");
    };
    assert!(matches!(lost.reason(), DisconnectReason::DecoderPanicked));
    assert_eq!(lab.lost(), lost.to_string());
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    assert!(lab.is_connected() && lab.try_request().is_none());
}
