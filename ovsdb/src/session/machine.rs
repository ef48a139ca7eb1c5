//! The session as a pure state machine: it has no socket, no clock and no runtime.
//!
//! The driver reports events (`handle_*`, most with the time). After each it asks what to do until there is
//! nothing more ([`poll_output`](Machine::poll_output)), what to write ([`buffers`](Machine::buffers))
//! and when to call again if nothing happens ([`poll_timeout`](Machine::poll_timeout)). The same inputs
//! at the same times give the same outputs; the random seed is an argument.
//!
//! Messages are handled in wire order. While one of them is decoded on another thread
//! ([`Output::Decode`]), those after it wait, except keepalives.

mod incoming;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::sync::oneshot;

use super::command::{Call, CallError, Order};
use super::connection::Connection;
use super::job::{Decoded, Job};
use super::locks::Locks;
use super::monitors::{Monitors, Server};
use super::outage::{Outage, Warning};
use super::pending::{Effect, Waiter};
use super::phase::{Greeting, Phase, Serving};
use super::reconnect::{Action, End, Reconnect};
use super::server_database::{self, ServerRequirements};
use super::shared::Shared;
use super::state::{ConnectionState, RemoteOrder};
use super::wire_log::WireLog;
use super::{Options, get_schema};
use crate::error::{DisconnectReason, Disconnected, Error};
use crate::error_chain::ErrorChain;
use crate::protocol::Request;
use crate::transport::{ConnectError, Remote};

/// What the driver has to do.
#[derive(Debug)]
pub(super) enum Output {
    /// Connect to this remote, and report the outcome to the machine.
    Connect(Remote),
    /// Close the connection, or abandon the attempt to connect.
    Disconnect,
    /// Run this job on another thread, since it takes long, and hand the result back.
    Decode(Box<Job>),
    /// An update was published and another message is waiting. Let subscribers run first, so that they
    /// can see each update by itself, and release earlier states of the replica, which can be reused.
    Published,
    /// The session is over, for this reason.
    Ended(Disconnected),
}

/// An error ends the connection.
type Handled = Result<(), DisconnectReason>;

/// The state machine.
pub(super) struct Machine {
    options: Options,
    shared: Arc<Shared>,
    phase: Phase,
    outputs: VecDeque<Output>,
    /// The origin of the times that `reconnect` takes.
    started: Instant,
    reconnect: Reconnect,
    outage: Outage,
    random: fastrand::Rng,
    /// The caller that waits for the first connection.
    first: Option<oneshot::Sender<Result<(), Error>>>,
    /// After how many more failed attempts that caller gets an error, unless `wait_for_server` is
    /// set.
    attempts: usize,
    requirements: ServerRequirements,
    monitors: Monitors,
    locks: Locks,
    /// Whether the warning that locks need the cluster's leader was logged.
    warned_of_locks: bool,
    /// Whether a job is being run.
    decoding: bool,
    /// Whether an update was published since subscribers last ran.
    published: bool,
    /// Whether no further calls may be made: the client was closed, no handle is left, or the session has
    /// ended.
    closing: bool,
    /// Whether every call made before the close was taken from its queue, or given up by its caller.
    drained: bool,
    /// The callers that closed the client, to be told when the session has ended.
    closers: Vec<oneshot::Sender<()>>,
}

impl Machine {
    /// A machine that is about to connect to the first remote; `first` gets the outcome of the
    /// first connection.
    pub(super) fn new(
        now: Instant,
        seed: u64,
        mut options: Options,
        shared: Arc<Shared>,
        first: oneshot::Sender<Result<(), Error>>,
    ) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        arrange(&mut options.remotes, options.order, &mut random);
        let remotes = options.remotes.len();
        Self {
            shared,
            phase: Phase::Waiting,
            outputs: VecDeque::new(),
            started: now,
            reconnect: Reconnect::new(options.timings, remotes, random.fork()),
            outage: Outage::default(),
            random,
            first: Some(first),
            attempts: remotes,
            requirements: ServerRequirements::new(options.leader_only, options.cluster),
            monitors: Monitors::new(options.database.clone(), &options.timings),
            locks: Locks::default(),
            warned_of_locks: false,
            decoding: false,
            published: false,
            closing: false,
            drained: false,
            closers: Vec::new(),
            options,
        }
    }

    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    // Outputs.

    /// What to do next; `None` when nothing is left to do until the next event. The driver calls this
    /// after each event, until it returns `None`.
    pub(super) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let handled = match self.next_step(now) {
                Step::Output(output) => return Some(output),
                Step::Idle => return None,
                Step::Done(handled) => handled,
            };
            if let Err(reason) = handled {
                self.disconnect(now, reason);
            }
        }
    }

    fn next_step(&mut self, now: Instant) -> Step {
        if matches!(self.phase, Phase::Ended) {
            return Step::Idle;
        }
        if self.is_over() {
            self.end(&Disconnected::new(DisconnectReason::Closed));
            return Step::Done(Ok(()));
        }
        let elapsed = self.elapsed(now);
        self.reconnect.set_owes(self.monitors.is_owed());
        match self.reconnect.poll(elapsed) {
            Some(Action::Connect(index)) => {
                self.connect(index);
                Step::Done(Ok(()))
            }
            Some(Action::Probe) => {
                if let Some(connection) = self.phase.connection() {
                    connection.send(Waiter::None, "echo", "[]".to_owned());
                }
                Step::Done(Ok(()))
            }
            Some(Action::ConnectTimedOut) => Step::Done(Err(DisconnectReason::ConnectTimeout)),
            Some(Action::StandByOver) => Step::Done(Err(self.not_ready())),
            Some(Action::Silent) => {
                // While the client does not read, no bytes arrive, even from a peer that is alive.
                if self.phase.connection().is_some_and(|link| !link.reads()) {
                    self.reconnect.heard(elapsed);
                    return Step::Done(Ok(()));
                }
                self.reconnect.fell_silent();
                Step::Done(Err(DisconnectReason::Silent))
            }
            None => {
                if self.monitors.deadline().is_some_and(|at| at <= elapsed) {
                    self.with_server(now, |monitors, server| {
                        if let Some(server) = server {
                            monitors.retry(server);
                        }
                    });
                }
                self.next_message(now)
            }
        }
    }

    /// When to call [`poll_output`](Self::poll_output) again if nothing happens before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.phase, Phase::Ended) {
            return None;
        }
        let retry = match self.phase {
            Phase::Serving(_) | Phase::Closing(_) => self.monitors.deadline(),
            _ => None,
        };
        let deadline = self.reconnect.deadline().into_iter().chain(retry).min()?;
        Some(self.started + deadline)
    }

    /// The buffer for received bytes, if the connection is to be read; and the bytes to write to it.
    pub(super) fn buffers(&mut self) -> (Option<&mut BytesMut>, &[u8]) {
        match self.phase.connection() {
            Some(connection) => connection.buffers(),
            None => (None, &[]),
        }
    }

    /// Whether a call would be sent at once. Otherwise calls stay in their bounded queue, which makes callers
    /// wait (back-pressure).
    pub(super) fn takes_calls(&mut self) -> bool {
        let window = self.options.window;
        !self.drained
            && self
                .phase
                .serving()
                .is_some_and(|serving| serving.connection.has_room(window))
    }

    /// Whether no further calls may be made.
    pub(super) const fn is_closing(&self) -> bool {
        self.closing
    }

    // Inputs: the connection.

    /// The attempt to connect has ended.
    pub(super) fn handle_connected(&mut self, now: Instant, connected: Result<(), ConnectError>) {
        let Phase::Connecting { remote } = &self.phase else {
            return;
        };
        let remote = remote.clone();
        if let Err(error) = connected {
            self.disconnect(now, DisconnectReason::Connect(Arc::new(error)));
            return;
        }
        // The first requests of a connection are sent together, without waiting for the replies.
        let wire_log = WireLog {
            database: self.options.database.clone(),
            remote: remote.clone(),
        };
        let (limits, shared) = (self.options.limits, self.shared.clone());
        let mut connection = Connection::new(now, limits, shared, wire_log);
        let aware = Request::SetDbChangeAware { aware: true };
        connection.send_request(Waiter::None, &aware);
        connection.send_request(Waiter::ServerDatabases, &server_database::request());
        connection.send_request(Waiter::Schema, &get_schema(&self.options.database));
        self.phase = Phase::Greeting(Box::new(Greeting {
            remote,
            connection,
            server_known: false,
            databases: None,
            schema: None,
            not_ready: None,
        }));
    }

    /// `count` bytes were received into the buffer from [`buffers`](Self::buffers); 0 means that the
    /// peer closed the connection.
    pub(super) fn handle_received(&mut self, now: Instant, count: usize) {
        if count == 0 {
            return self.handle_read_failed(now, DisconnectReason::ByServer);
        }
        let elapsed = self.elapsed(now);
        if let Some(connection) = self.phase.connection() {
            connection.received(now, count);
            self.reconnect.heard(elapsed);
        }
    }

    /// The connection cannot be read any more.
    pub(super) fn handle_read_failed(&mut self, now: Instant, reason: DisconnectReason) {
        if let Some(connection) = self.phase.connection() {
            let reason = connection.end_reason(reason);
            self.disconnect(now, reason);
        }
    }

    /// The first `count` of the bytes to be written were written.
    pub(super) fn handle_transmitted(&mut self, count: usize) {
        if let Some(connection) = self.phase.connection() {
            connection.transmitted(count);
        }
    }

    /// The connection cannot be written any more. It stays open for reading, so that no
    /// reply that the server sent before is lost.
    pub(super) fn handle_write_failed(&mut self, reason: DisconnectReason) {
        if let Some(connection) = self.phase.connection() {
            connection.close_write(reason);
        }
    }

    /// The job of [`Output::Decode`] has ended.
    pub(super) fn handle_decoded(&mut self, now: Instant, decoded: Decoded) {
        self.decoding = false;
        self.take_decoded(now, decoded);
    }

    /// The job of [`Output::Decode`] panicked, or was cancelled because the runtime is shut down. The
    /// monitor that was lent to it is lost.
    pub(super) fn handle_decode_lost(&mut self, now: Instant, panicked: bool) {
        self.decoding = false;
        let reason = || match panicked {
            true => DisconnectReason::DecoderPanicked,
            false => DisconnectReason::RuntimeGone,
        };
        self.monitors.discard_lent(&Disconnected::new(reason()));
        self.disconnect(now, reason());
    }

    // Inputs: the handles.

    /// A caller's request. The driver passes one only while [`takes_calls`](Self::takes_calls) returns
    /// true.
    pub(super) fn handle_call(&mut self, call: Call) {
        let Some(serving) = self.phase.serving() else {
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
        serving.connection.send(waiter, call.method, call.params);
    }

    /// No call is queued for which a caller waits, and none will be: the client was closed, every handle was
    /// dropped, or the caller that waited for the first connection has gone.
    pub(super) fn handle_drained(&mut self) {
        self.drained = true;
        self.close();
    }

    fn close(&mut self) {
        self.closing = true;
        self.phase = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Serving(serving) => Phase::Closing(serving),
            other => other,
        };
    }

    /// An order of a handle.
    pub(super) fn handle_order(&mut self, now: Instant, order: Order) {
        if let Err(reason) = self.order(now, order) {
            self.disconnect(now, reason);
        }
    }

    fn order(&mut self, now: Instant, order: Order) -> Handled {
        let connection = self.phase.serving().map(|serving| &mut serving.connection);
        match order {
            Order::Monitor { monitor, started } => {
                let key = self.monitors.add(monitor, started);
                self.with_server(now, |monitors, server| {
                    if let Some(server) = server {
                        monitors.start(key, server);
                    }
                });
            }
            Order::SetCondition {
                key,
                table,
                clauses,
                reply,
            } => self.with_server(now, |monitors, server| {
                monitors.set_condition(key, table, clauses, reply, server);
            }),
            Order::EndMonitor { key } => self.monitors.end(key, connection),
            Order::Abandon(ticket) => {
                if let Some(connection) = connection
                    && let Some(id) = connection.pending.abandon(&ticket)
                {
                    connection.send_cancel(id);
                }
            }
            Order::Lock { name, steal, reply } => {
                let requests = self.locks.request(name, steal, reply);
                if let Some(connection) = connection {
                    for (waiter, request) in requests {
                        connection.send_request(waiter, &request);
                    }
                }
                self.check_locks();
            }
            Order::Unlock { name } => {
                if self.locks.release(&name)
                    && let Some(connection) = connection
                {
                    connection.send_request(Waiter::None, &Request::Unlock { name });
                }
            }
            Order::SetRemotes(remotes) => return self.set_remotes(remotes),
            Order::Reconnect => {
                if self.reconnect.retry_now() {
                    return Err(DisconnectReason::Requested);
                }
            }
            Order::Close { done } => {
                self.closers.push(done);
                self.close();
            }
        }
        Ok(())
    }

    fn set_remotes(&mut self, mut remotes: Vec<Remote>) -> Handled {
        arrange(&mut remotes, self.options.order, &mut self.random);
        let current = self.phase.remote();
        let stays = current.and_then(|remote| remotes.iter().position(|known| known == remote));
        self.options.remotes = remotes;
        let count = self.options.remotes.len();
        let busy = self.reconnect.set_remotes(count, stays);
        if busy && stays.is_none() && !planted!(RemotesKept) {
            return Err(DisconnectReason::Requested);
        }
        Ok(())
    }

    // Transitions.

    fn connect(&mut self, index: usize) {
        let Some(remote) = self.options.remotes.get(index).cloned() else {
            return;
        };
        tracing::debug!(%remote, database = &*self.options.database, "connecting");
        self.shared.counters.attempts.add(1);
        let state = ConnectionState::Connecting {
            remote: remote.clone(),
        };
        self.shared.state.send_replace(state);
        self.phase = Phase::Connecting {
            remote: remote.clone(),
        };
        self.outputs.push_back(Output::Connect(remote));
    }

    /// Begins to serve, once the server has answered the first requests and is ready.
    fn greeted(&mut self, now: Instant) -> Handled {
        let Phase::Greeting(greeting) = &mut self.phase else {
            return Ok(());
        };
        if !greeting.server_known {
            return Ok(());
        }
        if let Some(databases) = &greeting.databases
            && let Err(reason) = self.requirements.check(databases, &self.options.database)
        {
            return self.stand_by(now, reason);
        }
        let elapsed = self.elapsed(now);
        self.reconnect.ready(elapsed);
        let Phase::Greeting(greeting) = &mut self.phase else {
            return Ok(());
        };
        let Some(schema) = greeting.schema.take() else {
            return Ok(());
        };
        self.shared.take_schema(&schema)?;
        let (database, cluster) = (&self.options.database, self.options.cluster);
        let databases = greeting.databases.as_ref();
        let is_relay = databases.is_some_and(|known| known.is_relay(database, cluster));
        self.shared.is_relay.store(is_relay, Ordering::Relaxed);
        let Phase::Greeting(greeting) = std::mem::replace(&mut self.phase, Phase::Waiting) else {
            return Ok(());
        };
        let remote = greeting.remote.clone();
        let mut serving = Box::new(Serving {
            remote: greeting.remote,
            connection: greeting.connection,
            databases: greeting.databases,
            schema_requested: false,
        });
        for (waiter, request) in self.locks.requests() {
            serving.connection.send_request(waiter, &request);
        }
        self.phase = if self.closing {
            Phase::Closing(serving)
        } else {
            Phase::Serving(serving)
        };
        self.start_monitors(now);
        self.check_locks();
        self.shared.counters.connections.add(1);
        self.reconnect.connected(elapsed);
        self.shared.lost.store(None);
        tracing::info!(%remote, database = &*self.options.database, "connected");
        self.shared
            .state
            .send_replace(ConnectionState::Connected { remote });
        if let Some(first) = self.first.take()
            && first.send(Ok(())).is_err()
        {
            self.handle_drained();
        }
        Ok(())
    }

    /// Calls `act` with the monitors, and with the server if the connection serves.
    fn with_server(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Monitors, Option<&mut Server<'_>>),
    ) {
        let elapsed = self.elapsed(now);
        let schema = self.shared.schema.load();
        let mut server = self.phase.serving().map(|serving| Server {
            connection: &mut serving.connection,
            schema: &schema,
            now,
            elapsed,
        });
        act(&mut self.monitors, server.as_mut());
    }

    fn start_monitors(&mut self, now: Instant) {
        self.with_server(now, |monitors, server| {
            if let Some(server) = server {
                monitors.start_all(server);
            }
        });
    }

    /// Keeps the connection to a server that is not ready yet, unless another remote can be tried.
    fn stand_by(&mut self, now: Instant, reason: DisconnectReason) -> Handled {
        // `connect` fails as soon as every remote has failed once, so the session does not wait for
        // any of them.
        let fail_fast = self.first.is_some() && !self.options.wait_for_server;
        let elapsed = self.elapsed(now);
        if end_of(&reason) != End::NotReady || fail_fast || !self.reconnect.stand_by(elapsed) {
            return Err(reason);
        }
        if let Phase::Greeting(greeting) = &mut self.phase {
            let database = &*self.options.database;
            let (remote, chain) = (&greeting.remote, ErrorChain::new(&reason));
            tracing::debug!(%remote, database, reason = %chain, "waiting for the server to become ready");
            greeting.not_ready = Some(reason);
        }
        Ok(())
    }

    /// Why the server that the session stands by is not ready.
    fn not_ready(&mut self) -> DisconnectReason {
        match &mut self.phase {
            Phase::Greeting(greeting) => greeting.not_ready.take(),
            _ => None,
        }
        .unwrap_or(DisconnectReason::NotLeader)
    }

    /// Warns, once, when locks are used on a cluster without `leader_only`: each server has its own
    /// locks.
    fn check_locks(&mut self) {
        let Options {
            database,
            cluster,
            leader_only,
            ..
        } = &self.options;
        if *leader_only || self.warned_of_locks || self.locks.is_empty() {
            return;
        }
        let Some(serving) = self.phase.serving() else {
            return;
        };
        let clustered = serving
            .databases
            .as_ref()
            .is_some_and(|databases| databases.is_clustered(database, *cluster));
        if !clustered {
            return;
        }
        tracing::warn!(
            remote = %serving.remote,
            database = &**database,
            "each server of a cluster has locks of its own: a client that relies on a lock needs \
             leader_only(true)"
        );
        self.warned_of_locks = true;
    }

    /// Closes the connection or abandons the attempt. Ends the session if there was no connection yet,
    /// and the error is permanent or, without `wait_for_server`, every remote has failed once.
    fn disconnect(&mut self, now: Instant, reason: DisconnectReason) {
        let remote = self.phase.remote().cloned();
        self.log_failure(now, remote.as_ref(), &reason);
        let end = end_of(&reason);
        let lost = Disconnected::new(reason);
        if let Some(connection) = self.phase.connection() {
            connection.pending.fail(&lost);
        }
        self.phase = Phase::Waiting;
        self.outputs.push_back(Output::Disconnect);
        self.locks.lost();
        let elapsed = self.elapsed(now);
        self.monitors.lost(&lost, end == End::Failed, now, elapsed);
        self.reconnect.disconnected(elapsed, end);
        self.shared.lost.store(Some(Arc::new(lost.clone())));
        self.shared.state.send_replace(ConnectionState::Waiting {
            lost: Some(lost.clone()),
        });
        let Some(first) = self.first.take() else {
            return;
        };
        self.attempts = self.attempts.saturating_sub(1);
        let permanent =
            matches!(lost.reason(), DisconnectReason::Connect(error) if error.is_permanent());
        if permanent || (self.attempts == 0 && !self.options.wait_for_server) {
            let _ = first.send(Err(Error::of_attempt(remote, &lost)));
            self.end(&lost);
        } else if first.is_closed() {
            self.handle_drained();
        } else {
            self.first = Some(first);
        }
    }

    /// Logs why there is no connection. Each lost connection is logged; warnings about failed attempts
    /// are limited.
    fn log_failure(&mut self, now: Instant, remote: Option<&Remote>, reason: &DisconnectReason) {
        let database = &*self.options.database.clone();
        let elapsed = self.elapsed(now);
        let shown = remote.map(tracing::field::display);
        let chain = ErrorChain::new(reason);
        if self.phase.serving().is_some() {
            tracing::warn!(remote = shown, database, reason = %chain, "the connection is lost");
            self.outage.begin(elapsed);
            return;
        }
        tracing::debug!(remote = shown, database, reason = %chain, "no connection");
        if self.first.is_some() && !self.options.wait_for_server {
            // The caller of `connect` gets the error.
            return;
        }
        let warning = Warning {
            remote: remote.cloned(),
            reason: chain.to_string(),
        };
        let remotes = self.options.remotes.len();
        for Warning { remote, reason } in self.outage.failed(elapsed, remotes, warning) {
            tracing::warn!(
                remote = remote.as_ref().map(tracing::field::display),
                database,
                reason,
                attempts = self.outage.failures(),
                "no server can be used; trying again"
            );
        }
    }

    /// Whether nothing is left to do.
    fn is_over(&mut self) -> bool {
        if !self.closing || self.decoding || planted!(SessionOutlivesHandles) {
            return false;
        }
        // Closing does not wait for a connection: without one, queued calls fail.
        match self.phase.serving() {
            Some(_) if planted!(CloseForgetsCalls) => true,
            Some(serving) => self.drained && serving.connection.is_answered(),
            None => true,
        }
    }

    /// Ends the session, and fails the requests in flight. The driver informs all other callers.
    fn end(&mut self, lost: &Disconnected) {
        let database = &*self.options.database;
        tracing::debug!(database, reason = %ErrorChain::new(lost), "the session ends");
        if let Some(connection) = self.phase.connection() {
            connection.pending.fail(lost);
        }
        self.phase = Phase::Ended;
        self.closing = true;
        self.outputs.push_back(Output::Ended(lost.clone()));
    }

    /// Tells the callers that wait for a monitor or a condition that the session is over. Returns the
    /// callers that closed it.
    pub(super) fn finish(&mut self, lost: &Disconnected) -> Vec<oneshot::Sender<()>> {
        let lost_state = ConnectionState::Closed { lost: lost.clone() };
        self.shared.state.send_replace(lost_state);
        self.locks = Locks::default();
        self.monitors.fail(lost);
        std::mem::take(&mut self.closers)
    }
}

impl Drop for Machine {
    /// Without [`finish`](Self::finish), the runtime was shut down.
    fn drop(&mut self) {
        self.shared.state.send_if_modified(|state| {
            let lost = Disconnected::new(DisconnectReason::RuntimeGone);
            let is_open = state.end().is_none();
            if is_open {
                *state = ConnectionState::Closed { lost };
            }
            is_open
        });
    }
}

/// What [`Machine::next_step`] did.
enum Step {
    /// A step, after which there may be another one.
    Done(Handled),
    /// An output for the driver.
    Output(Output),
    /// There is nothing to do until the next event.
    Idle,
}

/// What the end of a connection, or of an attempt, says about the server.
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

/// Brings remotes into the order in which they are tried.
fn arrange(remotes: &mut [Remote], order: RemoteOrder, random: &mut fastrand::Rng) {
    if order == RemoteOrder::Shuffled {
        random.shuffle(remotes);
    }
}
