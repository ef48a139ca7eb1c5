//! The tasks of a server: one for each connection, which moves bytes, and one that watches the clock. The
//! [`Hub`] decides what they do.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf as _, Bytes, BytesMut};
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

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

/// How many pieces are sent at once.
const PIECES: usize = 8;

/// How much is read at once. Most requests are shorter.
const READ: usize = 8 * 1024;

/// What the tasks of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    hub: Mutex<Hub>,
    /// Wakes the task of a session.
    wakers: Mutex<HashMap<SessionId, Arc<Notify>, RandomState>>,
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
            wakers: Mutex::default(),
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
        self.with_hub_for(None, call)
    }

    /// The same for the task of this session, which asks by itself what it has to send.
    fn with_hub_for<R>(
        self: &Arc<Self>,
        own: Option<SessionId>,
        call: impl FnOnce(&mut Hub) -> R,
    ) -> R {
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
        let mut others = ready.iter().filter(|id| Some(**id) != own).peekable();
        if others.peek().is_some() {
            let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            for waker in others.filter_map(|id| wakers.get(id)) {
                waker.notify_one();
            }
        }
        result
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
pub(super) async fn serve<S>(shared: Arc<Shared>, mut stream: S, interval: Duration)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if shared.refuses_connections() {
        return;
    }
    shared.watch_clock();
    let waker = Arc::new(Notify::new());
    let id = shared.with_hub(|hub| hub.handle_connected(now(), interval, false));
    let Some(id) = id else {
        tracing::warn!("a client is disconnected: there are too many sessions");
        return close(&shared, stream).await;
    };
    {
        let mut wakers = shared.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.insert(id, waker.clone());
    }
    let connection = Connection {
        shared: shared.clone(),
        id,
        waker,
        buffer: BytesMut::new(),
        framer: Framer::new(shared.limits),
        unsent: VecDeque::new(),
        due: None,
        stalled: false,
        ended: None,
    };
    let end = tokio::select! {
        end = connection.run(&mut stream) => end,
        () = shared.stopped() => End::Cut("the server stops".into()),
    };
    let (End::Cut(reason) | End::Orderly(reason)) = &end;
    tracing::debug!(session = id.0, reason, "a client's session ends");
    {
        let mut wakers = shared.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.remove(&id);
    }
    shared.with_hub(|hub| hub.handle_closed(id, now()));
    if matches!(end, End::Orderly(_)) {
        close(&shared, stream).await;
    }
}

/// Closes a connection without a reset. A socket that is closed while bytes wait to be read resets the
/// connection, and the client may lose what it was sent last; so the end is sent first, and what still
/// comes is ignored until the client closes too.
pub(super) async fn close(shared: &Shared, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let closed = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; READ];
        let mut ignored = 0;
        while ignored < IGNORED {
            match stream.read(&mut buffer).await? {
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
    waker: Arc<Notify>,
    buffer: BytesMut,
    framer: Framer,
    unsent: VecDeque<Bytes>,
    /// When to send them, where replies are held back.
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
}

impl Connection {
    /// Moves bytes until the connection ends, and returns why.
    async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) -> End {
        let (mut read, mut write) = tokio::io::split(stream);
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
            let patience = match self.leave(wants.later_reply) {
                Ok(patience) => patience,
                Err(end) => return end,
            };
            let due = self.due;
            if self.buffer.capacity() - self.buffer.len() < READ / 4 {
                self.buffer.reserve(READ);
            }
            let pieces: SmallVec<[Bytes; PIECES]> =
                self.unsent.iter().take(PIECES).cloned().collect();
            tokio::select! {
                _ = conduct.changed() => {}
                () = self.waker.notified() => {}
                () = async { match patience {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }} => {}
                sent = async {
                    if pieces.is_empty() {
                        return std::future::pending().await;
                    }
                    if let Some(due) = due {
                        tokio::time::sleep_until(due).await;
                    }
                    let pieces: SmallVec<[IoSlice<'_>; PIECES]> =
                        pieces.iter().map(|bytes| IoSlice::new(bytes)).collect();
                    write.write_vectored(&pieces).await
                } => match sent {
                    Ok(count) if count > 0 => self.sent(count),
                    Ok(_) => return End::Cut("the client reads no more".into()),
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
        let mut hub = self.shared.hub();
        if self.ended.is_some() && !self.stalled {
            hub.handle_end(self.id);
        }
        if self.unsent.is_empty() {
            self.unsent = hub.poll_transmit(self.id);
            let is_delayed = !delay.is_zero() && !self.unsent.is_empty();
            self.due = is_delayed.then(|| tokio::time::Instant::now() + delay);
        }
        Wants {
            input: hub.wants_input(self.id),
            later_reply: hub.owes_reply(self.id),
            close: hub.poll_close(self.id),
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
        let due = self.due.filter(|_| !self.unsent.is_empty());
        self.ended = Some(Ended {
            since: due.map_or(now, |due| due.max(now)),
            reason,
        });
    }

    /// Decides whether the connection ends, once nothing more is read from it. A client that sends no
    /// more may still read: it gets the replies to what it has sent, as it does before it is let go.
    /// Returns when to give up, if ever.
    fn leave(&self, later_reply: bool) -> Result<Option<tokio::time::Instant>, End> {
        let Some(ended) = &self.ended else {
            return Ok(None);
        };
        let reason = || match &ended.reason {
            Some(reason) => reason.clone(),
            None => "the client has closed the connection".into(),
        };
        let all_sent = self.unsent.is_empty() && !self.stalled;
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

    fn sent(&mut self, mut count: usize) {
        let all = count;
        if let Some(ended) = &mut self.ended
            && ended.reason.is_none()
        {
            ended.since = tokio::time::Instant::now();
        }
        while let Some(first) = self.unsent.front_mut() {
            let own = count.min(first.len());
            first.advance(own);
            count -= own;
            if !first.is_empty() {
                break;
            }
            self.unsent.pop_front();
        }
        self.shared
            .with_hub(|hub| hub.handle_sent(self.id, all, now()));
    }

    /// Handles the messages that have arrived, until much waits to be sent.
    fn handle_messages(&mut self) {
        self.stalled = false;
        let reason = loop {
            match self.framer.take(&mut self.buffer) {
                Ok(None) => return,
                Ok(Some(message)) => {
                    let Ok(text) = std::str::from_utf8(&message) else {
                        break "received a message that is not UTF-8".to_owned();
                    };
                    let (deadline, goes_on) = self.shared.with_hub_for(Some(self.id), |hub| {
                        hub.handle_message(self.id, text, now());
                        (hub.poll_timeout(), hub.wants_input(self.id))
                    });
                    if deadline.is_some() {
                        self.shared.earlier.notify_one();
                    }
                    if !goes_on {
                        self.stalled = true;
                        return;
                    }
                }
                Err(error) => break format!("received bytes that are no message: {error}"),
            }
        };
        self.end(Some(reason));
    }
}
