//! The network: connections between clients and servers, with faults.
//!
//! A connection is two pipes within the process, one to the client and one to the server. A task moves the
//! bytes between them, in pieces, each of which may be delayed. A connection can be frozen (half-open:
//! nothing arrives, and neither side is told), and cut after any byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ovsdb::server::Server;
use ovsdb::{MemoryRemote, Remote};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::watch;

use crate::servers::RELAY_CLIENT;
use crate::tls::{Attempt, Bad, HOST, of_server};
use crate::trace::note;

/// How many bytes the client's end of a connection can hold.
const PIPE: usize = 4 * 1024;

/// The faults of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LinkFaults {
    /// No bytes are moved.
    frozen: bool,
    /// It has ended.
    cut: bool,
    /// How many more bytes are moved, both ways together, before it is cut or frozen.
    bytes_left: Option<usize>,
    /// Whether it is then frozen instead of cut.
    freezes: bool,
}

/// One of a client's sessions. A session that was replaced may continue for a while beside the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Session {
    client: usize,
    number: usize,
}

#[derive(Debug)]
struct Link {
    session: Session,
    server: usize,
    faults: watch::Sender<LinkFaults>,
    /// It never reached the server, or has lost bytes: it must not continue.
    is_lost: bool,
    frozen_since: Option<u64>,
    /// What was wrong with the server's TLS when the connection was made.
    bad: Option<Bad>,
    /// When it began, in milliseconds.
    begun: u64,
}

/// The limits of the delay and of the length of each piece of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The longest delay of a piece, in milliseconds.
    pub(crate) delay: u64,
    /// The longest piece, in bytes.
    pub(crate) piece: usize,
}

impl Pace {
    /// Whether a message of usual length passes within a second or two.
    const fn is_quick(self) -> bool {
        self.delay * 1024 <= 2000 * self.piece as u64
    }
}

#[derive(Debug)]
struct Inner {
    /// The remotes of the servers within the process, by place.
    servers: Vec<Option<MemoryRemote>>,
    /// The same with TLS.
    tls_servers: Vec<Option<MemoryRemote>>,
    /// Whether clients connect with TLS.
    has_tls: bool,
    /// The servers whose TLS is wrong, and how.
    bad: BTreeMap<usize, Bad>,
    /// Since when nothing passes between the relay and its source.
    stranded_since: Option<u64>,
    /// After how many bytes the next connection of a client ends, and whether it is then frozen instead of cut.
    next_ends: BTreeMap<usize, (usize, bool)>,
    /// How many sessions there have been.
    sessions: usize,
    /// The last attempt of each session to connect.
    attempts: BTreeMap<Session, Attempt>,
    links: BTreeMap<u64, Link>,
    next: u64,
    pace: Pace,
    /// Since when messages of usual length pass within a second or two, in milliseconds.
    quick_since: Option<u64>,
    refusing: BTreeSet<usize>,
    /// Pairs of client and server between which nothing passes.
    separated: BTreeSet<(usize, usize)>,
}

impl Inner {
    fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
        self.quick_since =
            (pace.is_quick()).then(|| self.quick_since.unwrap_or_else(crate::trace::elapsed));
    }
}

/// The network. Clones refer to the same network.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    inner: Arc<Mutex<Inner>>,
}

impl Network {
    pub(crate) fn new(pace: Pace, has_tls: bool) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                servers: Vec::new(),
                tls_servers: Vec::new(),
                has_tls,
                bad: BTreeMap::new(),
                stranded_since: None,
                next_ends: BTreeMap::new(),
                sessions: 0,
                attempts: BTreeMap::new(),
                links: BTreeMap::new(),
                next: 0,
                pace,
                quick_since: pace.is_quick().then_some(0),
                refusing: BTreeSet::new(),
                separated: BTreeSet::new(),
            })),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a server at a place; with `None`, nothing listens there.
    pub(crate) fn set_server(&self, place: usize, server: Option<&Server>) {
        let network = Arc::downgrade(&self.inner);
        let mut inner = self.inner();
        if inner.servers.len() <= place {
            inner.servers.resize(place + 1, None);
            inner.tls_servers.resize(place + 1, None);
        }
        inner.servers[place] = match server.map(Server::remote) {
            Some(Remote::Memory(remote)) => Some(remote),
            _ => None,
        };
        inner.tls_servers[place] = server.filter(|_| inner.has_tls).map(|server| {
            server.simulated_tls_remote(move || {
                let network = network.upgrade().map(|inner| Self { inner });
                let bad = network.and_then(|network| network.inner().bad.get(&place).copied());
                of_server(bad).map_err(io::Error::other)
            })
        });
    }

    /// A new session of a client. It connects through remotes of its own.
    pub(crate) fn session(&self, client: usize) -> Session {
        let mut inner = self.inner();
        inner.sessions += 1;
        Session {
            client,
            number: inner.sessions,
        }
    }

    /// The remote by which a session reaches the server at a place.
    pub(crate) fn remote(&self, session: Session, server: usize) -> Remote {
        let network = self.clone();
        let remote = MemoryRemote::new(&format!("server{server}"), move || {
            network.connect(session, server)
        });
        Remote::Memory(if self.has_tls(session.client) {
            remote.simulated_tls(HOST)
        } else {
            remote
        })
    }

    fn has_tls(&self, client: usize) -> bool {
        self.inner().has_tls && client != RELAY_CLIENT
    }

    fn connect(&self, session: Session, server: usize) -> io::Result<DuplexStream> {
        let client = session.client;
        let has_tls = self.has_tls(client);
        let mut inner = self.inner();
        let bad = inner.bad.get(&server).copied().filter(|_| has_tls);
        let next = inner.next_ends.remove(&client);
        let is_separated = inner.separated.contains(&(client, server));
        let attempt = Attempt {
            bad,
            is_disturbed: is_separated || next.is_some(),
        };
        inner.attempts.insert(session, attempt);
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        if inner.refusing.contains(&server) {
            note!("client {client} is refused by server {server}");
            return Err(refused());
        }
        let servers = if has_tls && bad != Some(Bad::Plain) {
            &inner.tls_servers
        } else {
            &inner.servers
        };
        let remote = servers.get(server).cloned().flatten();
        // Unlock: a server with TLS asks the network for its certificate.
        drop(inner);
        // When client and server are separated, the client waits for an answer that never comes.
        let far = match remote {
            _ if is_separated => None,
            Some(remote) => match remote.connect() {
                Ok(stream) => Some(stream),
                Err(error) => {
                    note!("client {client} cannot connect to server {server}");
                    return Err(error);
                }
            },
            None => {
                note!("client {client} finds no server {server}");
                return Err(refused());
            }
        };
        let mut inner = self.inner();
        let id = inner.next;
        inner.next += 1;
        let faults = LinkFaults {
            frozen: is_separated,
            cut: false,
            bytes_left: next.map(|(bytes, _)| bytes.max(1)),
            freezes: next.is_some_and(|(_, freezes)| freezes),
        };
        let (faults, watched) = watch::channel(faults);
        let link = Link {
            session,
            server,
            faults,
            is_lost: is_separated,
            frozen_since: is_separated.then(crate::trace::elapsed),
            bad,
            begun: crate::trace::elapsed(),
        };
        inner.links.insert(id, link);
        note!("client {client} connects to server {server}: link {id}");
        let (near, own) = tokio::io::duplex(PIPE);
        let network = self.clone();
        tokio::spawn(async move {
            match far {
                Some(far) => network.run(id, own, far, watched).await,
                None => cut(watched).await,
            }
            note!("link {id} ends");
            network.inner().links.remove(&id);
        });
        Ok(near)
    }

    async fn run(
        &self,
        id: u64,
        near: DuplexStream,
        far: DuplexStream,
        watched: watch::Receiver<LinkFaults>,
    ) {
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, far_write) = tokio::io::split(far);
        let up = self.pump(id, near_read, far_write, watched.clone());
        let down = self.pump(id, far_read, near_write, watched.clone());
        tokio::select! {
            biased;
            () = cut(watched) => {}
            () = async { tokio::join!(up, down); } => {}
        }
    }

    /// Moves bytes one way, until the sender ends its stream.
    async fn pump(
        &self,
        id: u64,
        mut from: ReadHalf<DuplexStream>,
        mut to: WriteHalf<DuplexStream>,
        mut faults: watch::Receiver<LinkFaults>,
    ) {
        let mut buffer = Vec::new();
        loop {
            if faults.wait_for(|faults| !faults.frozen).await.is_err() {
                return;
            }
            let Pace { delay, piece } = self.inner().pace;
            buffer.resize(piece, 0);
            let count = match from.read(&mut buffer).await {
                Ok(count) if count > 0 => count,
                _ => {
                    let _ = faults.wait_for(|faults| !faults.frozen).await;
                    let _ = to.shutdown().await;
                    return;
                }
            };
            let delay = fastrand::u64(0..=delay);
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            if faults.wait_for(|faults| !faults.frozen).await.is_err() {
                return;
            }
            let (count, is_cut) = self.spend(id, count);
            if to.write_all(&buffer[..count]).await.is_err() && !is_cut {
                // The receiver has stopped reading; the sender notices when its own pipe is closed.
                return;
            }
            if is_cut {
                self.end_link(id);
                std::future::pending::<()>().await;
            }
        }
    }

    /// How many of these bytes pass, and whether the connection is to be cut or frozen after them.
    fn spend(&self, id: u64, count: usize) -> (usize, bool) {
        let inner = self.inner();
        let Some(link) = inner.links.get(&id) else {
            return (count, false);
        };
        let mut spent = (count, false);
        link.faults.send_if_modified(|faults| {
            if let Some(left) = &mut faults.bytes_left {
                let passed = count.min(*left);
                *left -= passed;
                spent = (passed, *left == 0);
            }
            false
        });
        spent
    }

    /// All bytes that a link may move are spent: cuts or freezes it.
    fn end_link(&self, id: u64) {
        let mut inner = self.inner();
        let Some(link) = inner.links.get_mut(&id) else {
            return;
        };
        let session = link.session;
        if link.faults.borrow().freezes {
            note!("link {id} goes half-open");
            link.faults.send_modify(|faults| faults.frozen = true);
            link.frozen_since = Some(crate::trace::elapsed());
            // The rest of the piece is lost, so the link must not continue.
            link.is_lost = true;
        } else {
            note!("link {id} is cut");
            link.faults.send_modify(|faults| faults.cut = true);
        }
        inner.attempts.entry(session).or_default().is_disturbed = true;
    }

    fn change(&self, which: impl Fn(&Link) -> bool, change: impl Fn(&mut LinkFaults)) {
        let now = crate::trace::elapsed();
        let inner = &mut *self.inner();
        for link in inner.links.values_mut().filter(|link| which(link)) {
            let attempt = inner.attempts.entry(link.session).or_default();
            attempt.is_disturbed = true;
            link.faults.send_if_modified(|faults| {
                let before = *faults;
                change(faults);
                *faults != before
            });
            let is_frozen = link.faults.borrow().frozen;
            link.frozen_since = is_frozen.then(|| link.frozen_since.unwrap_or(now));
        }
    }

    // Faults.

    /// Cuts the connections of a client.
    pub(crate) fn cut_client(&self, client: usize) {
        self.change(
            |link| link.session.client == client,
            |faults| faults.cut = true,
        );
    }

    /// Cuts the connections to a server.
    pub(crate) fn cut_server(&self, server: usize) {
        self.change(|link| link.server == server, |faults| faults.cut = true);
    }

    /// Cuts every connection.
    pub(crate) fn cut_all(&self) {
        self.change(|_| true, |faults| faults.cut = true);
    }

    /// Cuts the connections of a client after this many more bytes.
    pub(crate) fn cut_after(&self, client: usize, bytes: usize) {
        let cut = |faults: &mut LinkFaults| faults.bytes_left = Some(bytes.max(1));
        self.change(|link| link.session.client == client, cut);
    }

    /// Cuts or freezes the next connection of a client after this many bytes.
    pub(crate) fn end_next(&self, client: usize, bytes: usize, freezes: bool) {
        self.inner().next_ends.insert(client, (bytes, freezes));
    }

    /// Makes the TLS of a server wrong on later connections.
    pub(crate) fn break_tls(&self, server: usize, bad: Bad) {
        self.inner().bad.insert(server, bad);
    }

    /// Lets nothing pass between the relay and its source.
    pub(crate) fn isolate_relay(&self) {
        let now = crate::trace::elapsed();
        self.inner().stranded_since.get_or_insert(now);
        self.separate(RELAY_CLIENT, 0);
    }

    /// Since when the relay has no source, in milliseconds.
    pub(crate) fn stranded_since(&self) -> Option<u64> {
        self.inner().stranded_since
    }

    /// Notes that something happens to the servers that may make attempts fail.
    pub(crate) fn disturb_attempts(&self) {
        for attempt in self.inner().attempts.values_mut() {
            attempt.is_disturbed = true;
        }
    }

    /// Lets nothing pass on the existing connections of a client. Neither side is told.
    pub(crate) fn freeze(&self, client: usize) {
        self.change(
            |link| link.session.client == client,
            |faults| faults.frozen = true,
        );
    }

    /// Lets what was held back pass.
    pub(crate) fn thaw(&self, client: usize) {
        let thaws = |link: &Link| link.session.client == client && !link.is_lost;
        self.change(thaws, |faults| faults.frozen = false);
    }

    /// Lets nothing pass between a client and a server, on existing and on later connections.
    pub(crate) fn separate(&self, client: usize, server: usize) {
        self.inner().separated.insert((client, server));
        let between = |link: &Link| (link.session.client, link.server) == (client, server);
        self.change(between, |faults| faults.frozen = true);
    }

    /// Has a server refuse connections.
    pub(crate) fn refuse(&self, server: usize) {
        self.inner().refusing.insert(server);
    }

    /// How fast bytes pass from now on.
    pub(crate) fn set_pace(&self, pace: Pace) {
        self.inner().set_pace(pace);
    }

    /// Ends all faults. Connections that were frozen are cut.
    pub(crate) fn heal(&self, pace: Pace) {
        {
            let mut inner = self.inner();
            inner.refusing.clear();
            inner.separated.clear();
            inner.bad.clear();
            inner.stranded_since = None;
            inner.next_ends.clear();
            inner.set_pace(pace);
        }
        let heal = |faults: &mut LinkFaults| {
            faults.cut |= faults.frozen;
            faults.bytes_left = None;
            faults.freezes = false;
        };
        self.change(|_| true, heal);
    }

    // Observations.

    /// The last attempt of a session to connect.
    pub(crate) fn attempt_of(&self, session: Session) -> Attempt {
        let attempts = &self.inner().attempts;
        attempts.get(&session).copied().unwrap_or_default()
    }

    /// Whether a session has a connection to a server whose TLS was good, or no connection at all.
    pub(crate) fn has_good_link(&self, session: Session) -> bool {
        let inner = self.inner();
        let mut links = inner.links.values().filter(|link| link.session == session);
        let mut any = false;
        let good = links.any(|link| {
            any = true;
            link.bad.is_none()
        });
        good || !any
    }

    /// Since when messages of usual length pass within a second or two, in milliseconds.
    pub(crate) fn quick_since(&self) -> Option<u64> {
        self.inner().quick_since
    }

    /// When the last link of a session began, in milliseconds.
    pub(crate) fn last_begun(&self, session: Session) -> u64 {
        self.last_link(|other| other == session).unwrap_or_default()
    }

    /// The server of each connection of a client, and since when the connection is frozen, in milliseconds.
    pub(crate) fn links_of(&self, client: usize) -> Vec<(usize, Option<u64>)> {
        let inner = self.inner();
        let links = inner
            .links
            .values()
            .filter(|link| link.session.client == client);
        links.map(|link| (link.server, link.frozen_since)).collect()
    }

    /// When the last link of a client began, in milliseconds.
    pub(crate) fn last_link_of(&self, client: usize) -> Option<u64> {
        self.last_link(|session| session.client == client)
    }

    fn last_link(&self, is_of: impl Fn(Session) -> bool) -> Option<u64> {
        let inner = self.inner();
        let links = inner.links.values().filter(|link| is_of(link.session));
        links.map(|link| link.begun).max()
    }
}

/// Waits until a connection is cut.
async fn cut(mut faults: watch::Receiver<LinkFaults>) {
    let _ = faults.wait_for(|faults| faults.cut).await;
}
