//! The task that owns a connection.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::codec::FramedRead;

use super::pending::{Pending, StartingMonitor, Waiter};
use super::{CallError, Command};
use crate::cache::{ApplyError, ReplicaMonitor};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::protocol::{
    Codec, ErrorKind, Json, Limits, Message, OvsdbError, Request, Wire, write_reply, write_request,
};
use crate::transport::{ReadHalf, WriteHalf};
use crate::value::json::{Raw, Reader};

/// Messages longer than this are decoded on a thread of their own, so that the session goes on
/// answering meanwhile.
const LARGE: usize = 256 * 1024;
/// Messages that wait behind one being decoded, in bytes, before reading stops.
const BACKLOG: usize = 64 * 1024 * 1024;
/// Bytes that wait to be written before commands are left in their queue.
const UNSENT: usize = 4 * 1024 * 1024;
/// The capacity that a read asks for.
const READ: usize = 64 * 1024;

/// A monitor whose message is being decoded elsewhere.
enum Job {
    Start(StartingMonitor, Result<(), ApplyError>),
    Update(u64, Box<ReplicaMonitor>, Result<(), ApplyError>),
}

pub(crate) struct Task {
    messages: FramedRead<ReadHalf, Codec>,
    write: WriteHalf,
    unsent: BytesMut,
    commands: mpsc::Receiver<Command>,
    pending: Pending,
    monitors: HashMap<u64, Box<ReplicaMonitor>>,
    next_monitor: u64,
    job: Option<JoinHandle<Job>>,
    /// The monitor that was cancelled while a job has it.
    ended: Option<u64>,
    /// Messages that arrived while a job was running.
    backlog: VecDeque<Bytes>,
    backlog_bytes: usize,
    /// Who closed the client, to be told when all is sent.
    closing: Option<tokio::sync::oneshot::Sender<()>>,
}

/// What woke the task.
enum Event {
    Message(Option<Result<Bytes, crate::protocol::FrameError>>),
    Command(Option<Command>),
    Job(Result<Job, tokio::task::JoinError>),
    Written(std::io::Result<usize>),
}

impl Task {
    pub(crate) fn new(
        read: ReadHalf,
        write: WriteHalf,
        limits: Limits,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            messages: FramedRead::with_capacity(read, Codec::new(limits), READ),
            write,
            unsent: BytesMut::new(),
            commands,
            pending: Pending::default(),
            monitors: HashMap::new(),
            next_monitor: 1,
            job: None,
            ended: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            closing: None,
        }
    }

    /// Serves the connection until it ends; then tells everybody who waits.
    pub(crate) async fn run(mut self) {
        let reason = self.serve().await;
        tracing::debug!(%reason, "the session ends");
        let lost = Disconnected::new(reason);
        self.pending.fail(&lost);
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            match command {
                Command::Call { reply, .. } => {
                    let _ = reply.send(Err(CallError::NotSent(lost.clone())));
                }
                Command::Monitor { started, .. } => {
                    let _ = started.send(Err(lost.clone().into()));
                }
                Command::Cancel { .. } | Command::Close { .. } => {}
            }
        }
        // Replicas are large: dropping one takes long enough to hold up a worker thread.
        let monitors = std::mem::take(&mut self.monitors);
        tokio::task::spawn_blocking(move || drop(monitors));
        if let Some(done) = self.closing.take() {
            let _ = done.send(());
        }
    }

    async fn serve(&mut self) -> DisconnectReason {
        loop {
            if self.closing.is_some() && self.unsent.is_empty() && self.job.is_none() {
                return DisconnectReason::Closed;
            }
            let reading = self.backlog_bytes < BACKLOG;
            let listening = self.unsent.len() < UNSENT && self.closing.is_none();
            let event = tokio::select! {
                message = next(&mut self.messages), if reading => Event::Message(message),
                command = self.commands.recv(), if listening => Event::Command(command),
                done = finished(&mut self.job), if self.job.is_some() => Event::Job(done),
                written = self.write.write(&self.unsent), if !self.unsent.is_empty() => {
                    Event::Written(written)
                }
            };
            let handled = match event {
                Event::Message(None) => Err(DisconnectReason::ByServer),
                Event::Message(Some(Err(error))) => Err(match error {
                    crate::protocol::FrameError::Io(error) => error.into(),
                    other => DisconnectReason::Frame(other),
                }),
                Event::Message(Some(Ok(message))) => self.arrived(message),
                Event::Command(None) => Err(DisconnectReason::Closed),
                Event::Command(Some(command)) => {
                    self.command(command);
                    Ok(())
                }
                Event::Job(Ok(job)) => self.decoded(job).and_then(|()| self.catch_up()),
                Event::Job(Err(_)) => Err(DisconnectReason::RuntimeGone),
                Event::Written(Ok(0)) => Err(DisconnectReason::ByServer),
                Event::Written(Ok(count)) => {
                    self.unsent.advance(count);
                    Ok(())
                }
                Event::Written(Err(error)) => Err(error.into()),
            };
            if let Err(reason) = handled {
                return reason;
            }
        }
    }

    fn send(&mut self, id: u64, method: &str, params: &str) {
        let mut message = String::with_capacity(params.len() + 64);
        write_request(&mut message, &id, method, params);
        self.unsent.extend_from_slice(message.as_bytes());
    }

    fn send_request(&mut self, waiter: Waiter, request: &Request) {
        let mut params = String::new();
        request.write_params(&mut params);
        let id = self.pending.add(waiter);
        self.send(id, request.method(), &params);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Call {
                method,
                params,
                reply,
            } => {
                let id = self.pending.add(Waiter::Call(reply));
                self.send(id, method, &params);
            }
            Command::Monitor {
                monitor,
                database,
                started,
            } => {
                let id = self.next_monitor;
                self.next_monitor += 1;
                self.start_monitor(StartingMonitor {
                    id,
                    database,
                    monitor,
                    started,
                });
            }
            Command::Cancel { id } => {
                if self.monitors.remove(&id).is_none() && self.job.is_some() {
                    self.ended = Some(id);
                }
                self.send_request(
                    Waiter::Nobody,
                    &Request::MonitorCancel { id: Json::from(id) },
                );
            }
            Command::Close { done } => self.closing = Some(done),
        }
    }

    fn start_monitor(&mut self, starting: StartingMonitor) {
        let request = starting.monitor.request(starting.database, starting.id);
        if let (Request::Monitor { .. }, Some(table)) =
            (&request, starting.monitor.conditional_table())
        {
            let _ = starting
                .started
                .send(Err(Error::ConditionsNotSupported(table)));
            return;
        }
        self.send_request(Waiter::Monitor(starting), &request);
    }

    /// Takes a message off the wire: at once, or into the backlog of a running job.
    fn arrived(&mut self, message: Bytes) -> Result<(), DisconnectReason> {
        if self.job.is_none() {
            return self.handle(&message);
        }
        // Keepalives need no order, and cannot wait.
        if message.len() < 4096
            && let Ok(text) = std::str::from_utf8(&message)
            && let Ok(Message::Request { id, method, params }) = Message::parse(text)
        {
            self.answer(id, &method, params);
            return Ok(());
        }
        self.backlog_bytes += message.len();
        self.backlog.push_back(message);
        Ok(())
    }

    /// Handles what waited for a job, as long as no other one starts.
    fn catch_up(&mut self) -> Result<(), DisconnectReason> {
        while self.job.is_none()
            && let Some(message) = self.backlog.pop_front()
        {
            self.backlog_bytes -= message.len();
            self.handle(&message)?;
        }
        Ok(())
    }

    fn handle(&mut self, bytes: &Bytes) -> Result<(), DisconnectReason> {
        let text = std::str::from_utf8(bytes).map_err(|_| DisconnectReason::NotUtf8)?;
        match Message::parse(text).map_err(DisconnectReason::Message)? {
            Message::Request { id, method, params } => {
                self.answer(id, &method, params);
                Ok(())
            }
            Message::Notification { method, params } => self.notified(bytes, &method, params),
            Message::Reply { id, outcome } => self.replied(bytes, id, outcome),
        }
    }

    fn answer(&mut self, id: Raw<'_>, method: &str, params: Raw<'_>) {
        let mut reply = String::new();
        if method == "echo" {
            write_reply(&mut reply, id.text, params.text);
        } else {
            let error = OvsdbError::new("unknown method").to_json();
            crate::protocol::write_failure(&mut reply, id.text, &error);
        }
        self.unsent.extend_from_slice(reply.as_bytes());
    }

    fn notified(
        &mut self,
        bytes: &Bytes,
        method: &str,
        params: Raw<'_>,
    ) -> Result<(), DisconnectReason> {
        match method {
            "update" | "update2" | "update3" => {}
            "monitor_canceled" => return Err(DisconnectReason::MonitorCanceled),
            other => {
                tracing::debug!(method = other, "a notification nobody waits for");
                return Ok(());
            }
        }
        let id = first_number(params).map_err(DisconnectReason::Message)?;
        // An update may cross the cancellation of its monitor.
        let Some((id, mut monitor)) = id.and_then(|id| self.monitors.remove_entry(&id)) else {
            return Ok(());
        };
        if params.text.len() < LARGE {
            let applied = monitor.update(method, params);
            return self.decoded(Job::Update(id, monitor, applied));
        }
        let (method, payload) = (method.to_owned(), Payload::new(bytes, params));
        self.job = Some(tokio::task::spawn_blocking(move || {
            let applied = monitor.update(&method, payload.raw());
            Job::Update(id, monitor, applied)
        }));
        Ok(())
    }

    fn replied(
        &mut self,
        bytes: &Bytes,
        id: Raw<'_>,
        outcome: Result<Raw<'_>, Raw<'_>>,
    ) -> Result<(), DisconnectReason> {
        let waiter = id.text.parse().ok().and_then(|id| self.pending.take(id));
        let Some(waiter) = waiter else {
            tracing::warn!(id = id.text, "a reply to no request");
            return Ok(());
        };
        let refused = match outcome {
            Ok(_) => None,
            Err(error) => {
                Some(OvsdbError::read(&mut Reader::of(error)).map_err(DisconnectReason::Message)?)
            }
        };
        match (waiter, outcome, refused) {
            (Waiter::Call(reply), Ok(result), _) => {
                let _ = reply.send(Ok(result.text.to_owned()));
            }
            (Waiter::Call(reply), _, Some(error)) => {
                let _ = reply.send(Err(CallError::Refused(error)));
            }
            (Waiter::Monitor(mut starting), Ok(result), _) => {
                if result.text.len() < LARGE {
                    let applied = starting.monitor.start(result);
                    return self.decoded(Job::Start(starting, applied));
                }
                let payload = Payload::new(bytes, result);
                self.job = Some(tokio::task::spawn_blocking(move || {
                    let applied = starting.monitor.start(payload.raw());
                    Job::Start(starting, applied)
                }));
            }
            (Waiter::Monitor(mut starting), _, Some(error)) => {
                match starting.monitor.version.older() {
                    Some(older) if error.kind() == ErrorKind::UnknownMethod => {
                        starting.monitor.version = older;
                        self.start_monitor(starting);
                    }
                    _ => {
                        let _ = starting.started.send(Err(error.into()));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a monitor back from decoding.
    fn decoded(&mut self, job: Job) -> Result<(), DisconnectReason> {
        self.job = None;
        match job {
            Job::Start(starting, Ok(())) => {
                let (id, version) = (starting.id, starting.monitor.version);
                self.monitors.insert(id, starting.monitor);
                if starting.started.send(Ok((id, version))).is_err() {
                    // Whoever started it is gone, and with it the guard that would end it.
                    self.command(Command::Cancel { id });
                }
                Ok(())
            }
            Job::Start(starting, Err(error)) => {
                let _ = starting.started.send(Err(error.into()));
                self.command(Command::Cancel { id: starting.id });
                Ok(())
            }
            Job::Update(id, monitor, applied) => {
                if self.ended.take() != Some(id) {
                    self.monitors.insert(id, monitor);
                }
                applied.map_err(DisconnectReason::Inconsistent)
            }
        }
    }
}

/// A part of a message that outlives the borrow of it.
struct Payload {
    bytes: Bytes,
    offset: usize,
}

impl Payload {
    fn new(message: &Bytes, raw: Raw<'_>) -> Self {
        let end = raw.offset + raw.text.len();
        Self {
            bytes: message.slice(raw.offset..end),
            offset: raw.offset,
        }
    }

    fn raw(&self) -> Raw<'_> {
        // The message was checked whole; a part of it between quotes and brackets is UTF-8 too.
        Raw {
            text: std::str::from_utf8(&self.bytes).unwrap_or_default(),
            offset: self.offset,
        }
    }
}

/// The id of the monitor that an update is for, when it is one of our numbers.
fn first_number(params: Raw<'_>) -> Result<Option<u64>, crate::value::json::DecodeError> {
    let mut reader = Reader::of(params);
    reader.array()?;
    reader.demand("a monitor's id")?;
    Ok(reader.skip()?.text.parse().ok())
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

async fn finished(job: &mut Option<JoinHandle<Job>>) -> Result<Job, tokio::task::JoinError> {
    match job {
        Some(job) => job.await,
        None => std::future::pending().await,
    }
}
