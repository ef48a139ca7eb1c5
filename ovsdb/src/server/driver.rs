//! The tasks of a server: one for each connection, which moves bytes, and one that watches the clock. The
//! [`Hub`] decides what they do.

mod outlet;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use foldhash::fast::RandomState;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::outlet::Outlet;
use super::SessionId;
use super::fault::Conduct;
use super::hub::{Hub, Now};
use super::storage::Storage;
use crate::protocol::{Framer, Limits};

/// How long a connection that is being closed may take to send what is left, and how long the client may
/// take to notice.
const LINGER: Duration = Duration::from_secs(5);

/// How much a client may still send on a connection that is being closed.
const IGNORED: usize = 1 << 20;

/// How many connections a task writes to before it looks at the hub again.
const OUTLETS: usize = 32;

/// How much is read at once. Most requests are shorter.
const READ: usize = 8 * 1024;

/// What the tasks of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    hub: Mutex<Hub>,
    outlets: Mutex<HashMap<SessionId, Arc<Outlet>, RandomState>>,
    clock: Mutex<Option<JoinHandle<()>>>,
    /// A deadline may have become earlier.
    earlier: Notify,
    /// There may be a transaction for the source of a relay.
    forwards: Notify,
    /// The databases in files, by their names.
    storages: BTreeMap<Arc<str>, Arc<Storage>>,
    limits: Limits,
    interval: Duration,
    stopped: tokio::sync::watch::Sender<bool>,
    conduct: tokio::sync::watch::Sender<Conduct>,
}

/// The time now.
pub(super) fn now() -> Now {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Now {
        instant: Instant::now(),
        date: since_1970.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        }),
    }
}

impl Shared {
    pub(super) fn new(
        hub: Hub,
        storages: BTreeMap<Arc<str>, Arc<Storage>>,
        limits: Limits,
        interval: Duration,
    ) -> Self {
        Self {
            hub: Mutex::new(hub),
            outlets: Mutex::default(),
            clock: Mutex::default(),
            earlier: Notify::new(),
            forwards: Notify::new(),
            storages,
            limits,
            interval,
            stopped: tokio::sync::watch::Sender::new(false),
            conduct: tokio::sync::watch::Sender::default(),
        }
    }

    /// The state machine. Nothing is awaited while it is locked.
    pub(super) fn hub(&self) -> MutexGuard<'_, Hub> {
        // After a panic in the machine its state is still usable, and there is no other.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the machine, and wakes the sessions that have something to send after it.
    pub(super) fn with_hub<R>(self: &Arc<Self>, call: impl FnOnce(&mut Hub) -> R) -> R {
        let (result, ready) = self.ask_hub(call);
        for (_, outlet) in self.outlets(&ready) {
            outlet.wake();
        }
        result
    }

    /// Calls the machine, and sends to the sessions that have something to send after it.
    pub(super) fn with_hub_sending<R>(self: &Arc<Self>, call: impl FnOnce(&mut Hub) -> R) -> R {
        let (result, ready) = self.ask_hub(call);
        self.send(&ready);
        result
    }

    /// Calls the machine, and returns the sessions that have something to send after it.
    fn ask_hub<R>(self: &Arc<Self>, call: impl FnOnce(&mut Hub) -> R) -> (R, Vec<SessionId>) {
        let (result, ready, written, forwarding) = {
            let mut hub = self.hub();
            let result = call(&mut hub);
            let (ready, written) = (hub.poll_ready(), hub.poll_written());
            (result, ready, written, hub.poll_forwarding())
        };
        if forwarding {
            self.forwards.notify_one();
        }
        for storage in written.iter().filter_map(|name| self.storages.get(name)) {
            storage.wake(self);
        }
        (result, ready)
    }

    /// The outgoing halves of the connections of these sessions.
    fn outlets(&self, sessions: &[SessionId]) -> Vec<(SessionId, Arc<Outlet>)> {
        if sessions.is_empty() {
            return Vec::new();
        }
        let outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        let outlets = sessions
            .iter()
            .filter_map(|id| Some((*id, outlets.get(id)?.clone())));
        outlets.collect()
    }

    /// Sends to these sessions what their connections take at once. Their tasks are woken only for
    /// what is left.
    fn send(self: &Arc<Self>, sessions: &[SessionId]) {
        let outlets = self.outlets(sessions);
        if !self.conduct.borrow().is_normal() {
            return outlets.iter().for_each(|(_, outlet)| outlet.wake());
        }
        for outlets in outlets.chunks(OUTLETS) {
            let mut idle = Vec::with_capacity(outlets.len());
            for (id, outlet) in outlets {
                match outlet.try_lock() {
                    Some(output) if output.is_shared() && output.is_idle() => {
                        idle.push((*id, outlet, output))
                    }
                    // Its task asks the hub when it has sent what it has, or when it is woken.
                    _ => outlet.wake(),
                }
            }
            {
                let mut hub = self.hub();
                idle.retain_mut(|(id, outlet, output)| {
                    let is_closing = hub.poll_close(*id).is_some();
                    if is_closing {
                        outlet.wake();
                    } else {
                        output.refill(hub.poll_transmit(*id));
                    }
                    !is_closing
                });
            }
            let sent: Vec<_> = idle
                .into_iter()
                .map(|(id, outlet, mut output)| {
                    if !output.send_now() {
                        outlet.wake();
                    }
                    (id, output.take_sent())
                })
                .collect();
            let now = now();
            self.with_hub(|hub| {
                for (id, count) in sent {
                    hub.handle_sent(id, count, now);
                }
            });
        }
    }

    /// The file of a database, if it has one.
    pub(super) fn storage(&self, database: &str) -> Option<&Arc<Storage>> {
        self.storages.get(database)
    }

    /// The databases that are in files.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Arc<Storage>> {
        self.storages.values()
    }

    /// The limits of clients, and the interval of probes.
    pub(super) const fn settings(&self) -> (Limits, Duration) {
        (self.limits, self.interval)
    }

    /// Waits until there may be a transaction for the source of a relay.
    pub(super) async fn forwards(&self) {
        self.forwards.notified().await;
    }

    /// Whether the server has ended.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Ends all connections, and releases the files.
    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
        for storage in self.storages.values() {
            storage.close();
        }
    }

    /// Changes how the connections behave.
    pub(super) fn conduct(&self, change: impl FnOnce(&mut Conduct)) {
        self.conduct.send_modify(change);
    }

    /// Whether new connections are refused.
    pub(super) fn refuses_connections(&self) -> bool {
        self.conduct.borrow().refusing > 0
    }

    /// Waits until the server is stopped.
    pub(super) async fn stopped(&self) {
        // The sender is a part of this.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// Starts the task that watches the clock on this runtime, unless one is running.
    fn watch_clock(self: &Arc<Self>) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if clock.as_ref().is_none_or(JoinHandle::is_finished) {
            *clock = Some(tokio::spawn(watch_clock(Arc::downgrade(self))));
        }
        self.earlier.notify_one();
    }
}

async fn watch_clock(shared: Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let deadline = shared.hub().poll_timeout();
        tokio::select! {
            () = shared.stopped() => return,
            () = shared.earlier.notified() => {}
            () = async { match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }} => shared.with_hub(|hub| hub.handle_timeout(now())),
        }
    }
}

/// Serves one connection until it ends. After `interval` without a message the client is probed.
pub(super) async fn serve<S>(shared: Arc<Shared>, stream: S, interval: Duration)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    if shared.refuses_connections() {
        return;
    }
    shared.watch_clock();
    let (mut read, write) = tokio::io::split(stream);
    let outlet = Arc::new(Outlet::new(write));
    let id = shared.with_hub(|hub| hub.handle_connected(now(), interval, false));
    let Some(id) = id else {
        tracing::warn!("a client is disconnected: there are too many sessions");
        return linger(&shared, read, outlet.shut_down()).await;
    };
    {
        let mut outlets = shared
            .outlets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        outlets.insert(id, outlet.clone());
    }
    let connection = Connection {
        shared: shared.clone(),
        id,
        outlet: outlet.clone(),
        buffer: BytesMut::new(),
        framer: Framer::new(shared.limits),
        due: None,
        stalled: false,
        ended: None,
    };
    let end = tokio::select! {
        end = connection.run(&mut read) => end,
        () = shared.stopped() => End::Cut("the server stops".into()),
    };
    let (End::Cut(reason) | End::Orderly(reason)) = &end;
    tracing::debug!(session = id.0, reason, "a client's session ends");
    {
        let mut outlets = shared
            .outlets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        outlets.remove(&id);
    }
    shared.with_hub(|hub| hub.handle_closed(id, now()));
    if matches!(end, End::Orderly(_)) {
        linger(&shared, read, outlet.shut_down()).await;
    }
}

/// Closes a connection without a reset.
pub(super) async fn close(shared: &Shared, stream: impl AsyncRead + AsyncWrite) {
    let (read, mut write) = tokio::io::split(stream);
    linger(shared, read, async { write.shutdown().await }).await;
}

/// Closes a connection without a reset. A socket that is closed while bytes wait to be read resets the
/// connection, and the client may lose what it was sent last; so the end is sent first, and what still
/// comes is ignored until the client closes too.
async fn linger(
    shared: &Shared,
    mut read: impl AsyncRead + Unpin,
    shut_down: impl Future<Output = io::Result<()>>,
) {
    let closed = async {
        shut_down.await?;
        let mut buffer = vec![0; READ];
        let mut ignored = 0;
        while ignored < IGNORED {
            match read.read(&mut buffer).await? {
                0 => break,
                count => ignored += count,
            }
        }
        io::Result::Ok(())
    };
    tokio::select! {
        // A failure means that the connection is gone already.
        _ = tokio::time::timeout(LINGER, closed) => {}
        () = shared.stopped() => {}
    }
}

/// How a session ends, and why.
enum End {
    /// The connection is lost, or is to be cut.
    Cut(String),
    /// The server closes it, after everything was sent.
    Orderly(String),
}

/// A connection.
struct Connection {
    shared: Arc<Shared>,
    id: SessionId,
    outlet: Arc<Outlet>,
    buffer: BytesMut,
    framer: Framer,
    /// When to send what is there, where replies are held back.
    due: Option<tokio::time::Instant>,
    /// Whether there may be messages in the buffer that were not handled yet.
    stalled: bool,
    /// Once nothing more is read.
    ended: Option<Ended>,
}

/// The end of what is read from a connection.
struct Ended {
    /// When that was. If the client closed its end: or when it was last sent something.
    since: tokio::time::Instant,
    /// Why it is let go, unless it closed its end itself.
    reason: Option<String>,
}

/// What the machine wants of a connection.
struct Wants {
    /// To handle messages.
    input: bool,
    /// To wait for a reply that comes later.
    later_reply: bool,
    /// To close the connection, for this reason.
    close: Option<String>,
    /// To send something.
    output: bool,
}

impl Connection {
    /// Moves bytes until the connection ends, and returns why.
    async fn run(mut self, read: &mut (impl AsyncRead + Unpin)) -> End {
        let mut conduct = self.shared.conduct.subscribe();
        let generation = conduct.borrow().generation;
        loop {
            let Conduct {
                hanging,
                delay,
                generation: now,
                ..
            } = *conduct.borrow_and_update();
            if now != generation {
                return End::Cut("a fault that was asked for".into());
            }
            if hanging > 0 {
                // The sender is a part of what this shares.
                let _ = conduct.changed().await;
                continue;
            }
            let wants = self.poll(delay);
            if let Some(reason) = wants.close {
                self.end(Some(reason));
            }
            if wants.input && self.stalled {
                self.handle_messages();
                continue;
            }
            let patience = match self.leave(wants.output, wants.later_reply) {
                Ok(patience) => patience,
                Err(end) => return end,
            };
            let due = self.due;
            if self.buffer.capacity() - self.buffer.len() < READ / 4 {
                self.buffer.reserve(READ);
            }
            tokio::select! {
                _ = conduct.changed() => {}
                () = self.outlet.woken() => {}
                () = async { match patience {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }} => {}
                sent = async {
                    if let Some(due) = due {
                        tokio::time::sleep_until(due).await;
                    }
                    self.outlet.send().await
                }, if wants.output => match sent {
                    Ok(count) => self.sent(count),
                    Err(error) if error.kind() == io::ErrorKind::WriteZero => {
                        return End::Cut("the client reads no more".into());
                    }
                    Err(error) => return End::Cut(error.to_string()),
                },
                received = read.read_buf(&mut self.buffer), if wants.input && self.ended.is_none() => {
                    match received {
                        Ok(0) => self.end(None),
                        Ok(_) => self.handle_messages(),
                        Err(error) => return End::Cut(error.to_string()),
                    }
                }
            }
        }
    }

    /// Takes the bytes to send after a delay, and asks what to do.
    fn poll(&mut self, delay: Duration) -> Wants {
        let mut output = self.outlet.lock();
        let mut hub = self.shared.hub();
        if self.ended.is_some() {
            // This task must see what is sent.
            output.reserve();
            if !self.stalled {
                hub.handle_end(self.id);
            }
        }
        if output.is_idle() {
            output.refill(hub.poll_transmit(self.id));
            let is_delayed = !delay.is_zero() && !output.is_idle();
            self.due = is_delayed.then(|| tokio::time::Instant::now() + delay);
        }
        Wants {
            input: hub.wants_input(self.id),
            later_reply: hub.owes_reply(self.id),
            close: hub.poll_close(self.id),
            output: !output.is_idle(),
        }
    }

    /// Notes that nothing more is read: the client has sent everything, or, with a reason, it is let go.
    fn end(&mut self, reason: Option<String>) {
        if self
            .ended
            .as_ref()
            .is_some_and(|ended| ended.reason.is_some())
        {
            return;
        }
        if reason.is_some() {
            self.stalled = false;
        }
        let now = tokio::time::Instant::now();
        let due = self.due.filter(|_| !self.outlet.lock().is_idle());
        self.ended = Some(Ended {
            since: due.map_or(now, |due| due.max(now)),
            reason,
        });
    }

    /// Decides whether the connection ends, once nothing more is read from it. A client that sends no
    /// more may still read: it gets the replies to what it has sent, as it does before it is let go.
    /// Returns when to give up, if ever.
    fn leave(&self, output: bool, later_reply: bool) -> Result<Option<tokio::time::Instant>, End> {
        let Some(ended) = &self.ended else {
            return Ok(None);
        };
        let reason = || match &ended.reason {
            Some(reason) => reason.clone(),
            None => "the client has closed the connection".into(),
        };
        let all_sent = !output && !self.stalled;
        if all_sent && !later_reply {
            return Err(End::Orderly(reason()));
        }
        // A slow reader who was not let go has time.
        let until = (all_sent || ended.reason.is_some()).then(|| ended.since + LINGER);
        if until.is_some_and(|until| until <= tokio::time::Instant::now()) {
            return Err(End::Cut(reason()));
        }
        Ok(until)
    }

    fn sent(&mut self, count: usize) {
        if let Some(ended) = &mut self.ended
            && ended.reason.is_none()
        {
            ended.since = tokio::time::Instant::now();
        }
        self.shared
            .with_hub(|hub| hub.handle_sent(self.id, count, now()));
    }

    /// Handles the messages that have arrived, until much waits to be sent, and sends what they
    /// caused: the replies first, then the updates of other sessions.
    fn handle_messages(&mut self) {
        let mut ready = Vec::new();
        let refused = self.handle_buffer(&mut ready);
        ready.sort_unstable_by_key(|id| (*id != self.id, *id));
        ready.dedup();
        self.shared.send(&ready);
        if refused.is_some() {
            self.end(refused);
        }
    }

    /// Handles the messages, and returns what is wrong with one, if anything is.
    fn handle_buffer(&mut self, ready: &mut Vec<SessionId>) -> Option<String> {
        self.stalled = false;
        loop {
            match self.framer.take(&mut self.buffer) {
                Ok(None) => return None,
                Ok(Some(message)) => {
                    let Ok(text) = std::str::from_utf8(&message) else {
                        return Some("received a message that is not UTF-8".to_owned());
                    };
                    let ((deadline, goes_on), with_output) = self.shared.ask_hub(|hub| {
                        hub.handle_message(self.id, text, now());
                        (hub.poll_timeout(), hub.wants_input(self.id))
                    });
                    ready.extend(with_output);
                    if deadline.is_some() {
                        self.shared.earlier.notify_one();
                    }
                    if !goes_on {
                        self.stalled = true;
                        return None;
                    }
                }
                Err(error) => return Some(format!("received bytes that are no message: {error}")),
            }
        }
    }
}
