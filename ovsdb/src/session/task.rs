//! The task of a session: connecting, greeting, serving, and again.

mod incoming;

use std::sync::Arc;
use std::time::Duration;

use ovsdb_schema::DatabaseSchema;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;

use super::job::Job;
use super::link::{Link, LinkEvent};
use super::locks::Locks;
use super::monitors::{Monitors, Server};
use super::outage::{Outage, Warning};
use super::pending::{Effect, Waiter};
use super::reconnect::{Action, End, Reconnect};
use super::server_database::{self, Demands};
use super::state::{ConnectionState, RemoteOrder};
use super::wire_log::WireLog;
use super::{Call, CallError, Options, Order, Shared};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::error_chain::ErrorChain;
use crate::protocol::Request;
use crate::transport::{self, ConnectError, Remote};

/// How long a connection that is closed may take to say so.
const GOODBYE: Duration = Duration::from_secs(1);

type Handled = Result<(), DisconnectReason>;

pub(super) struct Task {
    options: Options,
    calls: mpsc::Receiver<Call>,
    orders: mpsc::UnboundedReceiver<Order>,
    shared: Arc<Shared>,
    /// Who waits for the first connection, and how many attempts may still fail before it.
    first: Option<oneshot::Sender<Result<(), Error>>>,
    attempts: usize,
    started: Instant,
    reconnect: Reconnect,
    outage: Outage,
    demands: Demands,
    monitors: Monitors,
    locks: Locks,
    /// Whether the user was warned that locks demand the leader.
    warned_of_locks: bool,
    job: Option<JoinHandle<Job>>,
    link: Option<Link>,
    /// Whether an update was published, and nobody else had a turn since.
    published: bool,
    /// Those who closed the client, to be told when it is; and whether it is being closed.
    closers: Vec<oneshot::Sender<()>>,
    closing: bool,
    /// Whether every handle is gone.
    deserted: bool,
}

/// What woke the task.
enum Event {
    Link(Result<LinkEvent, DisconnectReason>),
    Connected(Connected),
    Call(Option<Call>),
    Order(Option<Order>),
    Job(Result<Job, JoinError>),
    Time,
}

/// An attempt to connect, under way.
type Attempt = JoinHandle<Connected>;

/// How an attempt ends.
type Connected = Result<(transport::ReadHalf, transport::WriteHalf), ConnectError>;

impl Task {
    pub(super) fn new(
        mut options: Options,
        calls: mpsc::Receiver<Call>,
        orders: mpsc::UnboundedReceiver<Order>,
        shared: Arc<Shared>,
        first: oneshot::Sender<Result<(), Error>>,
    ) -> Self {
        arrange(&mut options.remotes, options.order);
        let remotes = options.remotes.len();
        Self {
            calls,
            orders,
            shared,
            first: Some(first),
            attempts: remotes,
            started: Instant::now(),
            reconnect: Reconnect::new(options.timings, remotes, random()),
            outage: Outage::default(),
            demands: Demands::new(options.leader_only, options.cluster),
            monitors: Monitors::new(options.database, &options.timings),
            locks: Locks::default(),
            warned_of_locks: false,
            job: None,
            link: None,
            published: false,
            closers: Vec::new(),
            closing: false,
            deserted: false,
            options,
        }
    }

    /// Serves until the client is closed or dropped; then tells everybody who waits.
    pub(super) async fn run(mut self) {
        let lost = self.live().await;
        tracing::debug!(database = self.options.database, reason = %ErrorChain::new(&lost), "the session ends");
        self.link = None;
        self.orders.close();
        self.calls.close();
        while let Some(call) = self.calls.recv().await {
            let _ = call.reply.send(Err(CallError::NotSent(lost.clone())));
        }
        self.shared
            .state
            .send_replace(ConnectionState::Closed { lost: lost.clone() });
        self.monitors.fail(&lost);
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Close { done } = order {
                self.closers.push(done);
            }
        }
        if let Some(job) = self.job.take() {
            // It holds a replica, which is dropped where it is.
            let _ = job.await;
        }
        for done in self.closers.drain(..) {
            let _ = done.send(());
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn live(&mut self) -> Disconnected {
        let mut attempt: Option<Attempt> = None;
        loop {
            if let Some(lost) = self.is_over() {
                if let Some(attempt) = attempt {
                    attempt.abort();
                }
                if let Some(link) = &mut self.link {
                    let _ = tokio::time::timeout(GOODBYE, link.finish()).await;
                    link.pending.fail(&lost);
                }
                return lost;
            }
            let now = self.now();
            let action = self.reconnect.poll(now);
            let handled = match action {
                Some(Action::Connect(index)) => {
                    attempt = self.connect(index);
                    Ok(())
                }
                Some(Action::Probe) => self.probe(),
                Some(Action::ConnectTimedOut) => Err(DisconnectReason::ConnectTimeout),
                Some(Action::StandByOver) => Err(self.not_ready()),
                Some(Action::Silent) => self.silent().await,
                None => {
                    let event = self.event(attempt.as_mut()).await;
                    if let Event::Connected(connected) = event {
                        attempt = None;
                        self.greet(connected)
                    } else {
                        self.handle_event(event).await
                    }
                }
            };
            if let Err(reason) = handled {
                if let Some(attempt) = attempt.take() {
                    attempt.abort();
                }
                if let Some(lost) = self.disconnect(reason) {
                    return lost;
                }
            }
        }
    }

    /// Whether nothing is left to do.
    fn is_over(&self) -> Option<Disconnected> {
        if !self.closing && !self.deserted {
            return None;
        }
        // Without a connection nothing that waits can be answered.
        let serving = self.link.as_ref().filter(|link| link.serves);
        let busy = serving.is_some_and(|link| !link.is_idle() || !self.calls.is_empty());
        let done = !busy && self.job.is_none();
        done.then(|| Disconnected::new(DisconnectReason::Closed))
    }

    async fn event(&mut self, attempt: Option<&mut Attempt>) -> Event {
        let retry = self.link.as_ref().filter(|link| link.serves);
        let retry = retry.and_then(|_| self.monitors.deadline());
        let deadline = self.reconnect.deadline().into_iter().chain(retry).min();
        let deadline = deadline.map(|at| self.started + at);
        let window = self.options.window;
        let drained = self.closing && self.calls.is_empty();
        let listening = !self.deserted
            && !drained
            && self.link.as_ref().is_some_and(|link| link.has_room(window));
        tokio::select! {
            event = turn(&mut self.link), if self.link.is_some() => Event::Link(event),
            connected = join(attempt) => Event::Connected(connected),
            call = self.calls.recv(), if listening => Event::Call(call),
            order = self.orders.recv(), if !self.deserted => Event::Order(order),
            job = finished(&mut self.job), if self.job.is_some() => Event::Job(job),
            () = sleep_until(deadline.unwrap_or(self.started)), if deadline.is_some() => Event::Time,
            else => Event::Order(None),
        }
    }

    async fn handle_event(&mut self, event: Event) -> Handled {
        match event {
            Event::Link(Ok(LinkEvent::Received)) => {
                let now = self.now();
                self.reconnect.heard(now);
                self.received().await
            }
            Event::Link(Ok(LinkEvent::Written)) | Event::Connected(_) => Ok(()),
            Event::Time => {
                self.with_server(|monitors, server| {
                    if let Some(server) = server {
                        monitors.retry(server);
                    }
                });
                Ok(())
            }
            Event::Link(Err(reason)) => Err(reason),
            Event::Call(Some(call)) => {
                self.call(call);
                Ok(())
            }
            Event::Call(None) => {
                // Closed for new calls, and no old one is left; or deserted.
                self.deserted |= !self.closing;
                Ok(())
            }
            Event::Order(Some(order)) => self.order(order),
            Event::Order(None) => {
                self.deserted = true;
                Ok(())
            }
            Event::Job(Ok(job)) => {
                self.job = None;
                self.decoded(job);
                self.catch_up().await
            }
            Event::Job(Err(_)) => {
                self.job = None;
                self.monitors.drop_lent();
                Err(DisconnectReason::RuntimeGone)
            }
        }
    }

    // Connecting.

    fn connect(&self, index: usize) -> Option<Attempt> {
        let remote = self.options.remotes.get(index)?.clone();
        tracing::debug!(%remote, database = self.options.database, "connecting");
        self.shared.counters.attempts.add(1);
        self.shared.state.send_replace(ConnectionState::Connecting {
            remote: remote.clone(),
        });
        let tls = self.options.tls.clone();
        let attempt = async move { transport::connect(&remote, tls.as_ref()).await };
        Some(tokio::spawn(attempt.in_current_span()))
    }

    /// The remote of the attempt or the connection.
    fn remote(&self) -> Option<Remote> {
        match &*self.shared.state.borrow() {
            ConnectionState::Connecting { remote } | ConnectionState::Connected { remote } => {
                Some(remote.clone())
            }
            _ => None,
        }
    }

    /// A connection is made: asks the server who it is, and for the schema, all at once.
    fn greet(&mut self, connected: Connected) -> Handled {
        let (read, write) =
            connected.map_err(|error| DisconnectReason::Connect(Arc::new(error)))?;
        // Only an attempt under way comes here, and it has a remote.
        let remote = self.remote().ok_or(DisconnectReason::Requested)?;
        let wire_log = WireLog {
            database: self.options.database,
            remote,
        };
        let (limits, shared) = (self.options.limits, self.shared.clone());
        let mut link = Link::new(read, write, limits, shared, wire_log);
        link.send_request(Waiter::Nobody, &Request::SetDbChangeAware { aware: true });
        link.send_request(Waiter::ServerDatabases, &server_database::request());
        link.send_request(Waiter::Schema, &get_schema(self.options.database));
        self.link = Some(link);
        Ok(())
    }

    /// Begins to serve once everything that the greeting asked for is there, and the server is
    /// ready.
    fn greeted(&mut self) -> Handled {
        let now = self.now();
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        if link.serves || !link.greeting.server_known {
            return Ok(());
        }
        if let Some(databases) = &link.databases
            && let Err(reason) = self.demands.check(databases, self.options.database)
        {
            return self.stand_by(reason);
        }
        self.reconnect.ready(now);
        let Some(schema) = link.greeting.schema.take() else {
            return Ok(());
        };
        link.serves = true;
        self.take_schema(&schema)?;
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        for (name, request) in self.locks.requests() {
            link.send_request(Waiter::Lock(name), &request);
        }
        self.check_locks();
        self.start_monitors();
        self.shared.counters.connections.add(1);
        let now = self.now();
        self.reconnect.connected(now);
        self.shared.lost.store(None);
        if let Some(remote) = self.remote() {
            tracing::info!(%remote, database = self.options.database, "connected");
            self.shared
                .state
                .send_replace(ConnectionState::Connected { remote });
        }
        if let Some(first) = self.first.take() {
            self.deserted |= first.send(Ok(())).is_err();
        }
        Ok(())
    }

    /// Keeps the connection to a server that is not ready yet, unless another remote can be tried.
    fn stand_by(&mut self, reason: DisconnectReason) -> Handled {
        // Whoever waits for the first connection wants to hear when all remotes have failed.
        let hurried = self.first.is_some() && !self.options.patient;
        let now = self.now();
        if end_of(&reason) != End::NotReady || hurried || !self.reconnect.stand_by(now) {
            return Err(reason);
        }
        if let Some(link) = &mut self.link {
            let database = self.options.database;
            tracing::debug!(%reason, database, "waiting for the server to become ready");
            link.not_ready = Some(reason);
        }
        Ok(())
    }

    /// Why the server that the session stands by is not ready.
    fn not_ready(&mut self) -> DisconnectReason {
        let reason = self.link.as_mut().and_then(|link| link.not_ready.take());
        reason.unwrap_or(DisconnectReason::NotLeader)
    }

    /// Warns once of locks that other clients of a cluster cannot see.
    fn check_locks(&mut self) {
        let Options {
            database,
            cluster,
            leader_only,
            ..
        } = self.options;
        if leader_only || self.warned_of_locks || self.locks.is_empty() {
            return;
        }
        let serving = self.link.as_ref().filter(|link| link.serves);
        let databases = serving.and_then(|link| link.databases.as_ref());
        if !databases.is_some_and(|databases| databases.is_clustered(database, cluster)) {
            return;
        }
        self.warned_of_locks = true;
        tracing::warn!(
            remote = self.remote().as_ref().map(tracing::field::display),
            database,
            "each server of a cluster has locks of its own: a client that relies on a lock needs \
             leader_only(true)"
        );
    }

    /// Does something to the monitors, with the server if it serves.
    fn with_server(&mut self, act: impl FnOnce(&mut Monitors, Option<&mut Server<'_>>)) {
        let now = self.now();
        let schema = self.shared.schema.load();
        let link = self.link.as_mut().filter(|link| link.serves);
        let mut server = link.map(|link| Server {
            link,
            schema: &schema,
            now,
        });
        act(&mut self.monitors, server.as_mut());
    }

    fn start_monitors(&mut self) {
        self.with_server(|monitors, server| {
            if let Some(server) = server {
                monitors.start_all(server);
            }
        });
    }

    fn take_schema(&self, text: &str) -> Handled {
        let schema = DatabaseSchema::parse_lenient(text).map_err(DisconnectReason::Schema)?;
        if **self.shared.schema.load() != schema {
            self.shared.schema.store(Arc::new(schema));
        }
        Ok(())
    }

    /// Lets go of the connection or the attempt. The end, when the first connection never came.
    fn disconnect(&mut self, reason: DisconnectReason) -> Option<Disconnected> {
        let served = self.link.as_ref().is_some_and(|link| link.serves);
        let remote = self.remote();
        self.log_failure(remote.as_ref(), &reason, served);
        let end = end_of(&reason);
        let lost = Disconnected::new(reason);
        if let Some(mut link) = self.link.take() {
            link.pending.fail(&lost);
        }
        self.locks.lost();
        let now = self.now();
        self.monitors.lost(&lost, end == End::Failed, now);
        self.reconnect.disconnected(now, end);
        self.shared.lost.store(Some(Arc::new(lost.clone())));
        self.shared.state.send_replace(ConnectionState::Waiting {
            lost: Some(lost.clone()),
        });
        let first = self.first.take()?;
        self.attempts = self.attempts.saturating_sub(1);
        let hopeless =
            matches!(lost.reason(), DisconnectReason::Connect(error) if error.is_permanent());
        if hopeless || (self.attempts == 0 && !self.options.patient) {
            let _ = first.send(Err(Error::of_attempt(remote, &lost)));
            return Some(lost);
        }
        self.deserted |= first.is_closed();
        self.first = Some(first);
        None
    }

    /// Logs why there is no connection: a lost one always, failed attempts where an operator
    /// should know.
    fn log_failure(&mut self, remote: Option<&Remote>, reason: &DisconnectReason, served: bool) {
        let database = self.options.database;
        let now = self.now();
        let shown = remote.map(tracing::field::display);
        let chain = ErrorChain::new(reason);
        if served {
            tracing::warn!(remote = shown, database, reason = %chain, "the connection is lost");
            self.outage.begin(now);
            return;
        }
        tracing::debug!(remote = shown, database, reason = %chain, "no connection");
        if self.first.is_some() && !self.options.patient {
            // The caller of `connect` gets the error.
            return;
        }
        let warning = Warning {
            remote: remote.cloned(),
            reason: chain.to_string(),
        };
        let remotes = self.options.remotes.len();
        for Warning { remote, reason } in self.outage.failed(now, remotes, warning) {
            tracing::warn!(
                remote = remote.as_ref().map(tracing::field::display),
                database,
                reason,
                attempts = self.outage.failures(),
                "no server can be used, trying again"
            );
        }
    }

    fn probe(&mut self) -> Handled {
        if let Some(link) = &mut self.link {
            link.send(Waiter::Nobody, "echo", "[]");
        }
        Ok(())
    }

    async fn silent(&mut self) -> Handled {
        // What came while the task was not looking is a sign of life as well.
        let alive = match &mut self.link {
            Some(link) => link.is_alive().await,
            None => false,
        };
        if !alive {
            return Err(DisconnectReason::Silent);
        }
        let now = self.now();
        self.reconnect.heard(now);
        self.received().await
    }

    // What handles ask for.

    fn call(&mut self, call: Call) {
        let Some(link) = &mut self.link else {
            return;
        };
        if call.reply.is_closed() {
            return;
        }
        if call.basis.is_some_and(|basis| !basis.holds()) {
            let outdated = Disconnected::new(DisconnectReason::ViewOutdated);
            let _ = call.reply.send(Err(CallError::NotSent(outdated)));
            return;
        }
        if !call.ticket.send() {
            return;
        }
        let waiter = Waiter::Call {
            reply: call.reply,
            ticket: call.ticket,
            effect: Effect::of(call.method),
        };
        self.shared.counters.requests.add(1);
        link.send(waiter, call.method, &call.params);
    }

    fn order(&mut self, order: Order) -> Handled {
        let link = self.link.as_mut().filter(|link| link.serves);
        match order {
            Order::Monitor { monitor, started } => {
                let key = self.monitors.add(monitor, started);
                self.with_server(|monitors, server| {
                    if let Some(server) = server {
                        monitors.start(key, server);
                    }
                });
            }
            Order::SetCondition {
                key,
                table,
                clauses,
                asker,
            } => self.with_server(|monitors, server| {
                monitors.set_condition(key, table, clauses, asker, server);
            }),
            Order::EndMonitor { key } => self.monitors.end(key, link),
            Order::Abandon(ticket) => {
                if let Some(link) = link
                    && let Some(id) = link.pending.abandon(&ticket)
                {
                    link.send_cancel(id);
                }
            }
            Order::Lock { name, steal, asker } => {
                let requests = self.locks.want(name.clone(), steal, asker);
                if let Some(link) = link {
                    for request in requests {
                        let waiter = match request {
                            Request::Unlock { .. } => Waiter::Nobody,
                            _ => Waiter::Lock(name.clone()),
                        };
                        link.send_request(waiter, &request);
                    }
                }
                self.check_locks();
            }
            Order::Unlock { name } => {
                if self.locks.unwant(&name)
                    && let Some(link) = link
                {
                    link.send_request(Waiter::Nobody, &Request::Unlock { name });
                }
            }
            Order::SetRemotes(mut remotes) => {
                arrange(&mut remotes, self.options.order);
                let stays = self
                    .remote()
                    .and_then(|remote| remotes.iter().position(|known| *known == remote));
                self.options.remotes = remotes;
                let count = self.options.remotes.len();
                let busy = self.reconnect.set_remotes(count, stays);
                if busy && stays.is_none() {
                    return Err(DisconnectReason::Requested);
                }
            }
            Order::Reconnect => {
                if self.reconnect.retry_now() {
                    return Err(DisconnectReason::Requested);
                }
            }
            Order::Close { done } => {
                self.closers.push(done);
                self.closing = true;
                self.calls.close();
            }
        }
        Ok(())
    }
}

/// What the end of an attempt or a connection says of the server.
const fn end_of(reason: &DisconnectReason) -> End {
    match reason {
        DisconnectReason::Requested => End::Requested,
        DisconnectReason::NotJoined
        | DisconnectReason::NoQuorum
        | DisconnectReason::NotLeader
        | DisconnectReason::Stale { .. } => End::NotReady,
        _ => End::Failed,
    }
}

fn get_schema(database: &str) -> Request {
    Request::GetSchema {
        database: database.into(),
    }
}

/// Brings remotes into the order in which they are tried.
fn arrange(remotes: &mut [Remote], order: RemoteOrder) {
    if order == RemoteOrder::Shuffled {
        for last in (1..remotes.len()).rev() {
            let bound = last as u64 + 1;
            let other = usize::try_from(random() % bound).unwrap_or(0);
            remotes.swap(last, other);
        }
    }
}

/// A number that differs from client to client.
fn random() -> u64 {
    crate::value::Uuid::new_v4().as_u64_pair().1
}

async fn turn(link: &mut Option<Link>) -> Result<LinkEvent, DisconnectReason> {
    match link {
        Some(link) => link.turn().await,
        None => std::future::pending().await,
    }
}

async fn join(attempt: Option<&mut Attempt>) -> Connected {
    match attempt {
        Some(attempt) => attempt
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error).into())),
        None => std::future::pending().await,
    }
}

async fn finished(job: &mut Option<JoinHandle<Job>>) -> Result<Job, JoinError> {
    match job {
        Some(job) => job.await,
        None => std::future::pending().await,
    }
}
