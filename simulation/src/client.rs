//! A client of a run: its caches, its locks, and what it does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ovsdb::server::Server;
use ovsdb::{ConnectionState, Remote, RowIdentity};

use crate::controller::{Queue, reconcile, unmarked};
use crate::network::{Network, Session};
use crate::oracle::{ItemFilter, Oracle};
use crate::replica::Replica;
use crate::scenario::ClientSetting;
use crate::servers::{Kind, Servers};
use crate::tables::{Client, Runner};
use crate::trace::elapsed;
use crate::trace::note;
use crate::verdict::{claim, violated};

/// The probe interval. A silent connection is given up after two of them, or after up to nine if the server owes
/// the first rows of a cache.
pub(crate) const PROBE: Duration = Duration::from_secs(2);
/// How long a request may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(8);
/// The client's time limit for connecting.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest wait between two attempts to connect.
const BACKOFF: Duration = Duration::from_secs(3);
/// The first wait between two attempts to connect.
pub(crate) const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// How long an attempt to connect may take in all, in milliseconds: reaching the server, and waiting until it
/// is ready and has reported its databases.
const ATTEMPT: u64 = 10_000;

/// The only lock.
pub(crate) const LOCK: &str = "L";

/// A client that has connected at least once.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) main: Rc<Replica>,
    session: Session,
    /// The reconciler that marks items. It ends when this handle is dropped.
    runner: RefCell<Option<Runner<String>>>,
    queue: Option<Queue>,
    /// All remotes that it may have. Nothing listens at the last one.
    pub(crate) remotes: Vec<Remote>,
}

impl Connected {
    /// What its reconciler and its queue still have to do; `None` when they are at rest.
    pub(crate) fn unfinished(&self, number: usize) -> Option<String> {
        let queue = self.queue.as_ref().and_then(Queue::unfinished);
        let reconciles = self.runner.borrow().is_some();
        let unmarked = || {
            reconciles
                .then(|| unmarked(number, &self.main.cache))
                .flatten()
        };
        queue.or_else(unmarked)
    }

    /// Checks the queue at rest.
    pub(crate) fn check_at_rest(&self) {
        if let Some(queue) = &self.queue {
            queue.check(&self.main.name, &self.main.cache);
        }
    }
}

/// A client of the scenario. When its [`Connected`] client is closed or replaced, it gets a new one.
pub(crate) struct Agent {
    pub(crate) number: usize,
    pub(crate) setting: ClientSetting,
    connected: RefCell<Option<Rc<Connected>>>,
    others: RefCell<Vec<Rc<Replica>>>,
    pub(crate) lock: RefCell<Option<ovsdb::Lock>>,
    /// Since when it has counted as connected although nothing can pass on any of its connections.
    pub(crate) dead_since: Cell<Option<u64>>,
    /// Since when all its connections have been at members that lost the others long ago.
    pub(crate) alone_since: Cell<Option<u64>>,
    /// How many caches are being started.
    starting: Cell<usize>,
    /// Whether the server owed it the first rows of a cache at the last check.
    pub(crate) was_owed_rows: Cell<bool>,
    /// When its remotes were last replaced, and by which.
    wanted: RefCell<(u64, Vec<Remote>)>,
    /// The number of the attempt to connect in progress, and when it began.
    attempt: Cell<(u64, u64)>,
    /// The number of the connection, and which state the server had when the connection began.
    serves: Cell<(u64, usize)>,
    /// Whether it took the lock from another client.
    pub(crate) stole: Cell<bool>,
}

impl Agent {
    pub(crate) fn new(number: usize, setting: ClientSetting) -> Self {
        Self {
            number,
            setting,
            connected: RefCell::default(),
            others: RefCell::default(),
            lock: RefCell::default(),
            dead_since: Cell::default(),
            alone_since: Cell::default(),
            starting: Cell::default(),
            was_owed_rows: Cell::default(),
            wanted: RefCell::default(),
            attempt: Cell::default(),
            serves: Cell::default(),
            stole: Cell::default(),
        }
    }

    /// Connects and starts the main cache, retrying until both succeed.
    pub(crate) async fn connect(
        &self,
        (servers, network): (&Servers, &Network),
        oracle: &Rc<RefCell<Oracle>>,
    ) {
        let identity = if self.setting.named_rows {
            RowIdentity::Named
        } else {
            RowIdentity::ClientChosen
        };
        loop {
            let session = network.session(self.number);
            let remotes = servers.remotes(session);
            let useful = &remotes[..remotes.len() - 1];
            self.wanted.replace((0, useful.to_vec()));
            let builder = Client::builder()
                .remotes(useful)
                .connect_timeout(CONNECT)
                .probe_interval(Some(PROBE))
                .backoff(FIRST_BACKOFF, BACKOFF)
                .request_timeout(Some(REQUEST))
                .leader_only(self.setting.leader_only)
                .row_identity(identity)
                .wait_for_server(true);
            let builder = match crate::tls::of_clients() {
                Ok(tls) => builder.tls(tls),
                Err(error) => return violated("the TLS configuration is valid", error.to_string()),
            };
            let client = match builder.connect().await {
                Ok(client) => client,
                Err(error) => {
                    note!("client {} cannot connect: {error}", self.number);
                    tokio::time::sleep(FIRST_BACKOFF).await;
                    continue;
                }
            };
            note!("client {} is connected", self.number);
            let (name, setting) = (format!("cache {}.0", self.number), self.setting);
            let place = (servers.lineage(), oracle);
            match Replica::start(name, &client, None, setting, place).await {
                Ok(main) => {
                    let runner = (self.setting.reconciles)
                        .then(|| reconcile(self.number, &client, &main.cache));
                    let queue = (self.setting.has_queue).then(|| Queue::of(&main.cache));
                    *self.connected.borrow_mut() = Some(Rc::new(Connected {
                        runner: RefCell::new(runner),
                        queue,
                        client,
                        main,
                        session,
                        remotes,
                    }));
                    return;
                }
                Err(error) => {
                    note!("client {} cannot start its cache: {error}", self.number);
                    tokio::time::sleep(FIRST_BACKOFF).await;
                }
            }
        }
    }

    /// The client and its main cache, once both exist.
    pub(crate) fn connected(&self) -> Option<Rc<Connected>> {
        self.connected.borrow().clone()
    }

    /// Drops everything.
    pub(crate) fn end(&self) {
        self.lock.take();
        self.others.take();
        // Unfinished work keeps the client alive, but its reconciler must end before its successor's starts.
        if let Some(connected) = self.connected.take() {
            connected.runner.take();
        }
        // The next client counts its connections and attempts from the start.
        self.serves.take();
        self.attempt.take();
    }

    /// All caches.
    pub(crate) fn replicas(&self) -> Vec<Rc<Replica>> {
        let main = self.connected().map(|connected| connected.main.clone());
        main.into_iter()
            .chain(self.others.borrow().iter().cloned())
            .collect()
    }

    /// The cache with this number, modulo the number of caches.
    pub(crate) fn replica(&self, number: usize) -> Option<Rc<Replica>> {
        let replicas = self.replicas();
        replicas.get(number % replicas.len().max(1)).cloned()
    }

    /// Starts another cache.
    pub(crate) async fn start(
        &self,
        which: ItemFilter,
        servers: &Servers,
        oracle: &Rc<RefCell<Oracle>>,
    ) {
        let Some(connected) = self.connected() else {
            return;
        };
        let number = self.others.borrow().len() + 1;
        if number > 3 {
            return;
        }
        let (name, setting) = (format!("cache {}.{number}", self.number), self.setting);
        let place = (servers.lineage(), oracle);
        let starting = Starting::new(&self.starting);
        let started = Replica::start(name, &connected.client, Some(which), setting, place).await;
        drop(starting);
        // The client may have been replaced meanwhile.
        let is_same = self
            .connected()
            .is_some_and(|now| Rc::ptr_eq(&now, &connected));
        match started {
            Ok(replica) if is_same => self.others.borrow_mut().push(replica),
            Ok(_) => {}
            Err(error) => note!("client {} does not start a cache: {error}", self.number),
        }
    }

    /// Drops a cache, but not the main one.
    pub(crate) fn drop_cache(&self, number: usize) {
        let dropped = {
            let mut others = self.others.borrow_mut();
            (number > 0 && number <= others.len()).then(|| others.remove(number - 1))
        };
        drop(dropped);
    }

    /// Whether a cache may be waiting for its first rows.
    pub(crate) fn awaits_rows(&self) -> bool {
        let mut replicas = self.replicas().into_iter();
        self.starting.get() > 0 || replicas.any(|replica| !replica.cache.is_current())
    }

    /// Whether the client has a connection that serves.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected()
            .is_some_and(|connected| connected.client.state().get().is_connected())
    }

    /// Whether the client holds the lock.
    pub(crate) fn holds_lock(&self) -> bool {
        self.lock
            .borrow()
            .as_ref()
            .is_some_and(ovsdb::Lock::is_held)
    }

    /// Checks the client as it is now.
    pub(crate) fn check(&self, oracle: &RefCell<Oracle>) {
        let is_connected = self.is_connected();
        let connected = self.connected();
        let number = connected.map_or(0, |connected| connected.client.stats().connections);
        // For the first connection no state was noted.
        let (noted, state) = self.serves.get();
        let serves = (number, if noted == number { state } else { 0 });
        for replica in self.replicas() {
            replica.check(is_connected, serves, oracle);
        }
        claim(
            "without a connection no lock is held",
            is_connected || !self.holds_lock(),
            || format!("client {}", self.number),
        );
    }

    /// Notes which state the server had when the connection began, once the connection serves.
    pub(crate) fn note_state(
        &self,
        connected: &Rc<Connected>,
        state: &ConnectionState,
        (servers, network): (&Servers, &Network),
        oracle: &RefCell<Oracle>,
    ) {
        let ConnectionState::Connected { remote } = state else {
            return;
        };
        // A client that was replaced stays alive as long as its work is unfinished.
        if !self
            .connected()
            .is_some_and(|now| Rc::ptr_eq(&now, connected))
        {
            return;
        }
        let place = connected.remotes.iter().position(|other| other == remote);
        // Clients of a relay have no remote for its source.
        let first = usize::from(servers.kind == Kind::Relay);
        let begun = network.last_begun(connected.session);
        let has = |server: &Server| oracle.borrow_mut().state_of(server, begun);
        let has = place.and_then(|place| servers.with(first + place, has));
        let has = has.flatten().unwrap_or_default();
        self.serves.set((connected.client.stats().connections, has));
    }

    /// Sets the client's remotes to those that these bits select.
    pub(crate) fn set_remotes(&self, some: u8) {
        let Some(connected) = self.connected() else {
            return;
        };
        let remotes = connected.remotes.iter().enumerate();
        let remotes = remotes.filter(|(place, _)| some & (1 << (place % 8)) != 0);
        let remotes: Vec<Remote> = remotes.map(|(_, remote)| remote.clone()).collect();
        if !remotes.is_empty() && connected.client.set_remotes(&remotes[..]).is_ok() {
            self.wanted.replace((elapsed(), remotes));
        }
    }

    /// Sets the client's remotes to all servers, unless they are that already.
    pub(crate) fn reset_remotes(&self) {
        let Some(connected) = self.connected() else {
            return;
        };
        let remotes = &connected.remotes[..connected.remotes.len() - 1];
        if self.wanted.borrow().1 != remotes && connected.client.set_remotes(remotes).is_ok() {
            self.wanted.replace((elapsed(), remotes.to_vec()));
        }
    }

    /// Checks the client's attempts to connect and its connection.
    pub(crate) fn check_attempts(&self, network: &Network) {
        let Some(connected) = self.connected() else {
            return;
        };
        let attempt = network.attempt_of(connected.session);
        let (number, since) = (connected.client.stats().attempts, elapsed());
        let (last, begun) = self.attempt.take();
        match connected.client.state().get() {
            ConnectionState::Waiting { lost: Some(lost) } => claim(
                "a TLS failure is reported as what it is",
                attempt.is_reported_by(lost.reason()),
                || format!("client {}: {attempt:?}: {lost:?}", self.number),
            ),
            ConnectionState::Connected { remote } => {
                let (set, wanted) = &*self.wanted.borrow();
                claim(
                    "a client is connected to one of its remotes",
                    *set == since || wanted.contains(&remote),
                    || format!("client {}: {remote}, not {wanted:?}", self.number),
                );
                claim(
                    "a server is used only when its TLS is good",
                    network.has_good_link(connected.session),
                    || format!("client {}: {attempt:?}", self.number),
                );
            }
            ConnectionState::Connecting { .. } => {
                let begun = if last == number { begun } else { since };
                self.attempt.set((number, begun));
                claim(
                    "an attempt to connect ends",
                    since - begun <= ATTEMPT,
                    || format!("client {}: for {} ms", self.number, since - begun),
                );
            }
            _ => {}
        }
    }
}

/// Counts a cache that is being started, until it has started or failed.
struct Starting<'a>(&'a Cell<usize>);

impl<'a> Starting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
