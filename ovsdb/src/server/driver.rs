//! The tasks of a server: one for each connection, which moves bytes, and one that watches the clock.
//! The [`Hub`] makes the decisions.

mod connection;
mod outlet;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use std::{fmt, io};

#[cfg(feature = "tls")]
use tokio::io::AsyncWriteExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::connection::{Connection, End, LINGER, READ};
use self::outlet::Outlet;
use super::SessionId;
use super::fault::ConnectionFaults;
use super::hub::{Hub, Now};
use super::listen::{Close, Listener};
use super::storage::Storage;
use crate::protocol::Limits;
use crate::simulated::HashState;

/// How many bytes a client may still send on a connection that is being closed.
const IGNORED: usize = 1 << 20;

/// How many connections a task writes to before it asks the hub again.
const OUTLETS: usize = 32;

/// What the tasks of a server share.
pub(super) struct Shared {
    hub: Mutex<Hub>,
    outlets: Mutex<HashMap<SessionId, Arc<Outlet>, HashState>>,
    clock: Mutex<Option<JoinHandle<()>>>,
    /// Notified when a deadline may have become earlier.
    earlier: Notify,
    /// Notified when there may be a transaction for the source of a relay.
    forwards: Notify,
    /// The files of databases, by the databases' names.
    storages: BTreeMap<Arc<str>, Arc<Storage>>,
    limits: Limits,
    interval: Duration,
    stopped: tokio::sync::watch::Sender<bool>,
    /// The sockets that tasks accept connections on.
    listeners: Mutex<Vec<Arc<dyn Close>>>,
    faults: tokio::sync::watch::Sender<ConnectionFaults>,
    /// For a member of a cluster: notifies all members that the cluster has changed.
    notify_cluster: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("hub", &self.hub)
            .field("storages", &self.storages)
            .field("faults", &*self.faults.borrow())
            .finish_non_exhaustive()
    }
}

/// The time now.
pub(super) fn now() -> Now {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Now {
        instant: tokio::time::Instant::now().into_std(),
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
            listeners: Mutex::default(),
            faults: tokio::sync::watch::Sender::default(),
            notify_cluster: OnceLock::new(),
        }
    }

    /// The state machine. Nothing is awaited while it is locked.
    pub(super) fn hub(&self) -> MutexGuard<'_, Hub> {
        // After a panic the machine is still usable, and there is no other one.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the machine, then wakes the tasks of the sessions that have something to send.
    pub(super) fn with_hub<R>(self: &Arc<Self>, call: impl FnOnce(&mut Hub) -> R) -> R {
        let (result, ready) = self.call_hub(call);
        for (_, outlet) in self.outlets(&ready) {
            outlet.wake();
        }
        result
    }

    /// Calls the machine, then sends what the sessions have to send.
    pub(super) fn with_hub_sending<R>(self: &Arc<Self>, call: impl FnOnce(&mut Hub) -> R) -> R {
        let (result, ready) = self.call_hub(call);
        self.send(&ready);
        result
    }

    /// Calls the machine. Returns its result, and the sessions that have something to send.
    fn call_hub<R>(self: &Arc<Self>, call: impl FnOnce(&mut Hub) -> R) -> (R, Vec<SessionId>) {
        let (result, ready, written, forwarding, appended) = {
            let mut hub = self.hub();
            let result = call(&mut hub);
            let (ready, written) = (hub.poll_ready(), hub.poll_written());
            let (forwarding, appended) = (hub.poll_forwarding(), hub.poll_appended());
            (result, ready, written, forwarding, appended)
        };
        if forwarding {
            self.forwards.notify_one();
        }
        for storage in written.iter().filter_map(|name| self.storages.get(name)) {
            storage.wake(self);
        }
        if appended && let Some(notify) = self.notify_cluster.get() {
            // The other members must have the commit before the client gets the reply.
            notify();
        }
        (result, ready)
    }

    /// The outgoing halves of these sessions' connections.
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

    /// Sends to these sessions what their connections accept at once, and wakes the tasks of those for
    /// which something is left to do.
    fn send(self: &Arc<Self>, sessions: &[SessionId]) {
        let outlets = self.outlets(sessions);
        if !self.faults.borrow().is_normal() {
            return outlets.iter().for_each(|(_, outlet)| outlet.wake());
        }
        for outlets in outlets.chunks(OUTLETS) {
            let mut idle = Vec::with_capacity(outlets.len());
            for (id, outlet) in outlets {
                match outlet.try_lock() {
                    Some(output) if output.is_shared() && output.is_idle() => {
                        idle.push((*id, outlet, output));
                    }
                    // The session's task asks the hub for more once it has sent everything, or when
                    // it is woken.
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
                        output.refill(|unsent| hub.poll_transmit(*id, unsent));
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

    /// Makes this server a member of a cluster. `notify` must call [`Hub::handle_cluster`] for
    /// every running member.
    pub(super) fn join_cluster(&self, notify: impl Fn() + Send + Sync + 'static) {
        // A server joins only one cluster.
        let _ = self.notify_cluster.set(Box::new(notify));
    }

    /// The file of a database, if it is in one.
    pub(super) fn storage(&self, database: &str) -> Option<&Arc<Storage>> {
        self.storages.get(database)
    }

    /// The files of all databases that are in one.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Arc<Storage>> {
        self.storages.values()
    }

    /// The limits for clients' messages, and the interval of probes.
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

    /// Shares a socket that is listened on, and closes it when the server stops.
    pub(super) fn keep<L: Send + 'static>(&self, listener: Listener<L>) -> Arc<Listener<L>> {
        let listener = Arc::new(listener);
        self.listeners().push(listener.clone());
        listener
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Arc<dyn Close>>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all connections, and releases the addresses and the files.
    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
        for listener in std::mem::take(&mut *self.listeners()) {
            listener.close();
        }
        for storage in self.storages.values() {
            storage.close();
        }
    }

    /// Changes the faults of the connections.
    pub(super) fn change_faults(&self, change: impl FnOnce(&mut ConnectionFaults)) {
        self.faults.send_modify(change);
    }

    /// Whether new connections are refused.
    pub(super) fn refuses_connections(&self) -> bool {
        self.faults.borrow().refusing > 0
    }

    /// Waits until the server is stopped.
    pub(super) async fn stopped(&self) {
        // This cannot fail: `self` owns the sender.
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
        let mut faults = shared.faults.subscribe();
        if faults.borrow_and_update().hanging > 0 {
            tokio::select! {
                () = shared.stopped() => return,
                _ = faults.wait_for(|faults| faults.hanging == 0) => {}
            }
        }
        let deadline = shared.hub().poll_timeout();
        tokio::select! {
            () = shared.stopped() => return,
            () = shared.earlier.notified() => {}
            _ = faults.changed() => {}
            () = async { match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }} => shared.with_hub(|hub| hub.handle_timeout(now())),
        }
    }
}

/// Serves one connection until it ends. The client is probed when it was not active for `interval`; zero
/// turns probes off.
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
    let connection = Connection::new(shared.clone(), id, outlet.clone());
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
    shared.with_hub(|hub| hub.handle_closed(id));
    if matches!(end, End::Orderly(_)) {
        linger(&shared, read, outlet.shut_down()).await;
    }
}

/// Closes a connection without resetting it.
#[cfg(feature = "tls")]
pub(super) async fn close(shared: &Shared, stream: impl AsyncRead + AsyncWrite) {
    let (read, mut write) = tokio::io::split(stream);
    linger(shared, read, async { write.shutdown().await }).await;
}

/// Closes a connection without resetting it. If a socket is closed while received bytes are unread, the
/// system resets the connection, and the client may lose the last bytes it was sent. So this sends the
/// end of the stream first, and ignores what still arrives until the client closes too, but at most
/// [`IGNORED`] bytes and for at most [`LINGER`].
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
        // An error means that the connection is lost already.
        _ = tokio::time::timeout(LINGER, closed) => {}
        () = shared.stopped() => {}
    }
}
