//! The server as a state machine: databases, sessions, locks. It reads no clock, and its only I/O is to
//! write to the [`Journal`](super::hosted::Journal)s of its databases.
//!
//! Inputs are the `handle_*` methods: a client connected, sent a message or disconnected, bytes were
//! sent, time passed. Outputs are the `poll_*` methods: what to send, which sessions to close, when to
//! call again. Requests are handled one at a time, as in ovsdb-server.

mod cluster;
mod databases;
mod faults;
mod monitors;
mod relay;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub(crate) use self::databases::SERVER;
pub(crate) use self::relay::Forwarded;
use super::SessionId;
use super::engine::Caller;
use super::hosted::{Hosted, Position, Unsynced};
use super::locks::Locks;
use super::session::Session;
use crate::protocol::{Message, OvsdbError, Wire};
use crate::value::Uuid;
use crate::value::json::{Raw, Reader};

/// The time, passed to the machine as an argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// For time limits.
    pub(crate) instant: Instant,
    /// The time of day, in milliseconds since 1970.
    pub(crate) date: i64,
}

/// While a session has more unsent bytes than this, the changes for its monitors are merged instead of
/// queued.
const QUEUED: usize = if cfg!(simulation) { 4 } else { 256 } * 1024;

/// A session with more unsent bytes than this is closed when it must be notified of a lock, since such
/// notifications cannot be merged.
const UNREAD: usize = 4 * QUEUED;

/// While more of a session's replies than this wait for the disk, nothing more is read from it.
const UNSYNCED: usize = 1000;

/// The greatest number of sessions, and of what each may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quotas {
    pub(crate) sessions: usize,
    /// The greatest number of monitors of a session; the same for its locks, and for its transactions
    /// that wait in one database.
    pub(crate) monitors: usize,
}

impl Quotas {
    pub(crate) const fn new() -> Self {
        Self {
            sessions: 10_000,
            monitors: 1000,
        }
    }
}

/// The error for a request beyond a session's quota.
fn exhausted(limit: usize, what: &str) -> OvsdbError {
    let details = format!("a session may have at most {limit} {what}");
    super::engine::error::error("resources exhausted", details)
}

/// The server's state.
#[derive(Debug)]
pub(crate) struct Hub {
    quotas: Quotas,
    id: Uuid,
    random: fastrand::Rng,
    databases: BTreeMap<Arc<str>, Hosted>,
    sessions: BTreeMap<SessionId, Session>,
    locks: Locks,
    next_session: u64,
    /// The sessions that may have something to send, may have to be closed, or may be read from again.
    ready: Vec<SessionId>,
    /// The databases to whose journals transactions were appended.
    written: Vec<Arc<str>>,
    /// Whether there are new transactions for the source of a relay.
    forwarding: bool,
    /// Whether the log of a cluster was appended to.
    appended: bool,
}

/// A session as the sender of a transaction.
struct SessionCaller<'a> {
    session: SessionId,
    locks: &'a Locks,
    read_only: bool,
}

impl Caller for SessionCaller<'_> {
    fn holds(&self, lock: &str) -> bool {
        self.locks.holds(self.session, lock)
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }
}

impl Hub {
    /// A server that has only its own database `_Server`. `seed` determines the uuids that the hub chooses;
    /// each database that is added has its own seed.
    pub(crate) fn new(quotas: Quotas, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut hub = Self {
            quotas,
            id: super::engine::parse::random_uuid(&mut random),
            random,
            databases: BTreeMap::new(),
            sessions: BTreeMap::new(),
            locks: Locks::default(),
            next_session: 0,
            ready: Vec::new(),
            written: Vec::new(),
            forwarding: false,
            appended: false,
        };
        hub.add_server_database();
        hub
    }

    /// The quotas of sessions.
    pub(crate) const fn quotas(&self) -> Quotas {
        self.quotas
    }

    #[cfg(simulation)]
    pub(crate) const fn id(&self) -> Uuid {
        self.id
    }

    #[cfg(simulation)]
    pub(crate) fn simulated_sessions(&self, lock: &str) -> (usize, usize, usize) {
        let holders = self
            .sessions
            .keys()
            .filter(|id| self.locks.holds(**id, lock));
        let unsent = self
            .sessions
            .values()
            .map(|session| session.outgoing.unsent());
        (
            self.sessions.len(),
            holders.count(),
            unsent.max().unwrap_or(0),
        )
    }

    /// A client has connected. It is probed when it was not active for `interval`; zero turns probes off.
    /// Returns `None` when there are too many sessions.
    pub(crate) fn handle_connected(
        &mut self,
        now: Now,
        interval: Duration,
        read_only: bool,
    ) -> Option<SessionId> {
        if self.sessions.len() >= self.quotas.sessions {
            return None;
        }
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.sessions
            .insert(id, Session::new(now.instant, interval, read_only));
        Some(id)
    }

    /// A client has sent a message.
    pub(crate) fn handle_message(&mut self, id: SessionId, text: &str, now: Now) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.closing.is_some() {
            return;
        }
        session.record_activity(now.instant);
        match Message::parse(text) {
            Ok(Message::Request {
                id: request,
                method,
                params,
            }) => self.request(id, request.text, &method, params, now),
            Ok(Message::Notification { method, params }) if method == "cancel" => {
                self.cancel(id, params);
            }
            Ok(Message::Notification { .. } | Message::Reply { .. }) => {}
            Err(error) => session.close(format!("received a malformed message: {error}")),
        }
        self.ready.push(id);
    }

    /// Nothing more is read from a client: it has closed its end and everything that it sent was handled,
    /// or the server closes the connection. The client still gets the outstanding replies, but no more
    /// updates, and its transactions that wait are abandoned.
    pub(crate) fn handle_half_closed(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.monitors.clear();
        }
        for hosted in self.databases.values_mut() {
            hosted.waiting.retain(|waiting| waiting.session != id);
        }
    }

    /// Bytes were sent to a session.
    pub(crate) fn handle_sent(&mut self, id: SessionId, count: usize, now: Now) {
        if let Some(session) = self.sessions.get_mut(&id) {
            let was_paused = session.outgoing.unsent() > QUEUED;
            session.outgoing.sent(count);
            if was_paused && session.outgoing.unsent() <= QUEUED {
                // The output queue has room again, so further requests can be read.
                self.ready.push(id);
            }
            if session.outgoing.unsent() == 0 {
                self.flush(id);
            } else {
                // A slow reader is alive, but cannot answer probes before it has read everything sent
                // before them.
                session.record_activity(now.instant);
            }
        }
    }

    /// A client has disconnected.
    pub(crate) fn handle_closed(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        for lock in &session.locks {
            self.unlock(id, lock);
        }
        for hosted in self.databases.values_mut() {
            hosted.waiting.retain(|waiting| waiting.session != id);
            hosted.unsynced.retain(|unsynced| unsynced.session != id);
        }
    }

    /// A journal is on disk up to this position.
    pub(crate) fn handle_synced(&mut self, database: &str, position: Position) {
        let Some(hosted) = self.databases.get_mut(database) else {
            return;
        };
        let mut done = Vec::new();
        hosted.unsynced.retain_mut(|unsynced| {
            let left = unsynced.position > position;
            if !left {
                done.push((
                    unsynced.session,
                    std::mem::take(&mut unsynced.id),
                    std::mem::take(&mut unsynced.results),
                ));
            }
            left
        });
        for (session, id, results) in done {
            self.reply_synced(session, &id, results);
        }
    }

    /// A journal could not be synced to disk.
    pub(crate) fn handle_sync_failed(&mut self, database: &str, error: &str) {
        if let Some(hosted) = self.databases.get_mut(database) {
            let unsynced = std::mem::take(&mut hosted.unsynced);
            let reason = format!("database {database} could not be synced to disk: {error}");
            self.disconnect_unsynced(unsynced, &reason);
        }
    }

    /// Disconnects the clients whose replies wait for the disk. Their transactions were carried out, and may be on
    /// disk or not, so these clients must take the outcome for unknown: a reply with an error would say that nothing
    /// has changed.
    fn disconnect_unsynced(&mut self, unsynced: Vec<Unsynced>, reason: &str) {
        for Unsynced { session: id, .. } in unsynced {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.unsynced = session.unsynced.saturating_sub(1);
                session.close(reason.to_owned());
                self.ready.push(id);
            }
        }
    }

    fn reply_synced(&mut self, id: SessionId, request: &str, results: String) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.unsynced = session.unsynced.saturating_sub(1);
        }
        self.reply(id, request, results);
    }

    /// The databases to whose journals transactions were appended since the last call.
    pub(crate) fn poll_written(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.written)
    }

    /// Whether transactions for the source of a relay were added since the last call.
    pub(crate) fn poll_forwarding(&mut self) -> bool {
        std::mem::take(&mut self.forwarding)
    }

    /// Whether replies to durable transactions of a database wait until these are on disk.
    pub(crate) fn waits_for_disk(&self, database: &str) -> bool {
        let hosted = self.databases.get(database);
        hosted.is_some_and(|hosted| !hosted.unsynced.is_empty())
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        for (id, session) in &mut self.sessions {
            let before = session.outgoing.unsent();
            session.handle_timeout(now.instant);
            if session.outgoing.unsent() > before || session.closing.is_some() {
                self.ready.push(*id);
            }
        }
        let names: Vec<_> = self.databases.keys().cloned().collect();
        for name in names {
            self.retry(&name, now, false);
        }
    }

    /// The server neither read nor wrote for some time, and is about to begin again. Every client counts as
    /// active now, since what it sent meanwhile was not read yet.
    pub(crate) fn handle_resumed(&mut self, now: Now) {
        for session in self.sessions.values_mut() {
            session.record_activity(now.instant);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let probes = self.sessions.values().filter_map(Session::deadline);
        let waiting = self.databases.values().flat_map(|hosted| &hosted.waiting);
        probes
            .chain(waiting.filter_map(super::hosted::Waiting::deadline))
            .min()
    }

    /// The sessions that may have something to send, may have to be closed, or may be read from again;
    /// each once.
    pub(crate) fn poll_ready(&mut self) -> Vec<SessionId> {
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_unstable();
        ready.dedup();
        ready
    }

    /// Whether a transaction of the session waits for a change of the database or of the cluster.
    pub(crate) fn is_waiting(&self, id: SessionId) -> bool {
        let mut waiting = self.databases.values().flat_map(|hosted| &hosted.waiting);
        waiting.any(|waiting| waiting.session == id)
    }

    /// Whether a reply to the session waits for the disk, or for the source of a relay.
    pub(crate) fn owes_reply(&self, id: SessionId) -> bool {
        let session = self.sessions.get(&id);
        session.is_some_and(|session| session.unsynced > 0 || session.forwarded > 0)
    }

    /// Fills the empty queue `taken` with the bytes to send to a session.
    pub(crate) fn poll_transmit(&mut self, id: SessionId, taken: &mut VecDeque<Bytes>) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.outgoing.take(taken);
        }
    }

    /// Why a session must be closed; `None` if it need not be.
    pub(crate) fn poll_close(&self, id: SessionId) -> Option<String> {
        self.sessions.get(&id)?.closing.clone()
    }

    /// Whether to read from a session: not while it has much unsent output or many replies that wait for
    /// the disk, and not when it is being closed.
    pub(crate) fn wants_input(&self, id: SessionId) -> bool {
        let session = self.sessions.get(&id);
        session.is_some_and(|session| {
            session.closing.is_none()
                && session.outgoing.unsent() <= QUEUED
                && session.unsynced <= UNSYNCED
        })
    }

    /// Sends a successful reply, after the pending updates of the session's monitors.
    fn reply(&mut self, id: SessionId, request: &str, result: String) {
        self.flush(id);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.reply(request, result);
            self.ready.push(id);
        }
    }
}

/// The elements of a request's parameters.
fn elements(params: Raw<'_>) -> Vec<Raw<'_>> {
    let mut reader = Reader::of(params);
    let mut elements = Vec::new();
    if reader.array().is_err() {
        return elements;
    }
    while let Ok(true) = reader.element() {
        match reader.skip() {
            Ok(element) => elements.push(element),
            Err(_) => break,
        }
    }
    elements
}

/// The first element of a request's parameters.
fn first_element(params: Raw<'_>) -> Option<Raw<'_>> {
    let mut reader = Reader::of(params);
    reader.array().ok()?;
    reader.element().ok()?.then(|| reader.skip().ok()).flatten()
}

/// The string in this JSON text.
fn string(raw: Raw<'_>) -> Option<String> {
    Wire::from_json(raw.text)
        .ok()
        .map(|text: crate::value::Str| text.to_string())
}
