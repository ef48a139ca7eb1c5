//! The servers of a run: a single server, a cluster, or a server with a relay.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use ovsdb::server::simulated::MemoryFile;
use ovsdb::server::{Backup, Cluster, Fault, Server, TransactionFault};
use ovsdb::{Database as _, Remote};
use tokio::time::sleep;

use crate::network::{Network, Session};
use crate::oracle::Oracle;
use crate::tables::{Database, FIRST, SECOND};
use crate::trace::{elapsed, note};
use crate::verdict::violated;

/// Which servers a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One server, at place 0.
    One,
    /// A cluster of three, at places 0 to 2.
    Cluster,
    /// A server at place 0, and its relay at place 1.
    Relay,
}

/// The client number by which the relay connects to its source.
pub(crate) const RELAY_CLIENT: usize = 9;

/// The servers.
pub(crate) struct Servers {
    pub(crate) kind: Kind,
    network: Network,
    one: RefCell<Option<Server>>,
    /// The file of the single server.
    file: Option<MemoryFile>,
    /// A copy of the single server, made before its database was removed.
    removed: RefCell<Option<Server>>,
    relay: RefCell<Option<Server>>,
    cluster: Option<Cluster>,
    backup: RefCell<Option<(usize, Backup)>>,
    faults: RefCell<Vec<Fault>>,
    expelled: Cell<Option<usize>>,
    /// Since when each member has lost the others, in milliseconds.
    isolated: Cell<[Option<u64>; 3]>,
}

/// A place where nothing listens.
const NOWHERE: usize = 7;

/// The lineage that clients of the source see, and the one that clients of the relay see.
pub(crate) const SOURCE: usize = 0;
pub(crate) const RELAY: usize = 1;

impl Servers {
    pub(crate) async fn start(
        (kind, has_file): (Kind, bool),
        network: Network,
        oracle: &RefCell<Oracle>,
    ) -> Result<Self, String> {
        let mut servers = Self {
            kind,
            network,
            one: RefCell::default(),
            file: has_file.then(|| MemoryFile::new(FIRST)),
            removed: RefCell::default(),
            relay: RefCell::default(),
            cluster: None,
            backup: RefCell::default(),
            faults: RefCell::default(),
            expelled: Cell::default(),
            isolated: Cell::default(),
        };
        let failed = |error: &dyn std::fmt::Display| format!("the servers do not start: {error}");
        if kind == Kind::Cluster {
            let cluster = Server::cluster(FIRST, 3).map_err(|error| failed(&error))?;
            oracle.borrow_mut().begin(&cluster.members()[0]);
            for (place, member) in cluster.members().iter().enumerate() {
                oracle.borrow_mut().join(member, SOURCE);
                servers.network.set_server(place, Some(member));
            }
            servers.cluster = Some(cluster);
            return Ok(servers);
        }
        let server = match &servers.file {
            Some(file) => Server::simulated_on(file, 0).map_err(|error| failed(&error))?,
            None => Server::memory(FIRST).map_err(|error| failed(&error))?,
        };
        oracle.borrow_mut().begin(&server);
        servers.network.set_server(0, Some(&server));
        *servers.one.borrow_mut() = Some(server);
        if kind == Kind::Relay {
            let session = servers.network.session(RELAY_CLIENT);
            let source = servers.network.remote(session, 0);
            let relay = Server::relay(Database::NAME, source).await;
            let relay = relay.map_err(|error| failed(&error))?;
            oracle.borrow_mut().begin(&relay);
            servers.network.set_server(1, Some(&relay));
            *servers.relay.borrow_mut() = Some(relay);
        }
        Ok(servers)
    }

    /// The lineage that a client sees.
    pub(crate) const fn lineage(&self) -> usize {
        match self.kind {
            Kind::Relay => RELAY,
            Kind::One | Kind::Cluster => SOURCE,
        }
    }

    /// The remotes of a client, and one where nothing listens.
    pub(crate) fn remotes(&self, session: Session) -> Vec<Remote> {
        let places = match self.kind {
            Kind::One => 0..1,
            Kind::Cluster => 0..3,
            Kind::Relay => 1..2,
        };
        places
            .chain([NOWHERE])
            .map(|place| self.network.remote(session, place))
            .collect()
    }

    /// The place of the leader; without a cluster, place 0.
    pub(crate) fn leader(&self) -> Option<usize> {
        match &self.cluster {
            Some(cluster) => cluster.leader(),
            None => Some(0),
        }
    }

    /// Calls a function with the server at a place, if one runs there.
    pub(crate) fn with<R>(&self, place: usize, call: impl FnOnce(&Server) -> R) -> Option<R> {
        if let Some(cluster) = &self.cluster {
            return cluster.members().get(place % 3).map(call);
        }
        let slot = if self.kind == Kind::Relay && place % 2 == 1 {
            &self.relay
        } else {
            &self.one
        };
        slot.borrow().as_ref().map(call)
    }

    fn hold(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Restarts the single server. It forgets its history.
    pub(crate) async fn restart(&self, oracle: &RefCell<Oracle>, down: Duration) {
        let Some(server) = self.one.borrow_mut().take() else {
            return;
        };
        let removed = self.removed.borrow_mut().take();
        let after = stopped(server, &self.network).await;
        note!("server 0 is down");
        sleep(down).await;
        let after = match &self.file {
            Some(file) => {
                drop((removed, after));
                file.set_full(false);
                // It was killed while it wrote a transaction that it had reported to no client.
                let torn = [0, 1, 60, 100][fastrand::usize(0..4)];
                match Server::simulated_on(file, torn) {
                    Ok(server) => server,
                    Err(error) => return violated("a server starts again", error.to_string()),
                }
            }
            None => removed.unwrap_or(after),
        };
        self.install(after, oracle);
    }

    fn install(&self, server: Server, oracle: &RefCell<Oracle>) {
        oracle.borrow_mut().go_on(&server, SOURCE, false);
        self.network.set_server(0, Some(&server));
        *self.one.borrow_mut() = Some(server);
        note!("server 0 is up");
    }

    /// Restarts the relay. It keeps nothing.
    pub(crate) async fn restart_relay(&self, oracle: &RefCell<Oracle>, down: Duration) {
        let Some(relay) = self.relay.borrow_mut().take() else {
            return;
        };
        self.network.set_server(1, None);
        self.network.cut_server(1);
        sleep(Duration::from_millis(1)).await;
        drop(relay);
        note!("the relay is down");
        sleep(down).await;
        let relay = loop {
            let session = self.network.session(RELAY_CLIENT);
            let source = self.network.remote(session, 0);
            match Server::relay(Database::NAME, source).await {
                Ok(relay) => break relay,
                Err(error) => note!("the relay does not start: {error}"),
            }
            sleep(Duration::from_millis(500)).await;
        };
        oracle.borrow_mut().go_on(&relay, RELAY, true);
        self.network.set_server(1, Some(&relay));
        *self.relay.borrow_mut() = Some(relay);
        note!("the relay is up");
    }

    /// Makes the disk of the single server full, or gives it space again.
    pub(crate) fn fill(&self, is_full: bool) {
        if let Some(file) = &self.file {
            file.set_full(is_full);
        }
    }

    /// Since when a member has lost the others, in milliseconds.
    pub(crate) fn isolated_since(&self, member: usize) -> Option<u64> {
        self.isolated.get().get(member).copied().flatten()
    }

    /// The member that was expelled.
    pub(crate) fn expelled(&self) -> Option<usize> {
        self.expelled.get()
    }

    /// Removes the database of the single server. A restart brings it back.
    pub(crate) async fn remove_database(&self) {
        let Some(server) = self.one.borrow_mut().take() else {
            return;
        };
        if self.removed.borrow().is_none() {
            let hang = server.faults().hang();
            sleep(Duration::from_millis(1)).await;
            *self.removed.borrow_mut() = Some(server.fork());
            drop(hang);
            server.remove(Database::NAME);
        }
        *self.one.borrow_mut() = Some(server);
    }

    /// Whether the database was removed.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.borrow().is_some()
    }

    /// Converts the database to its second schema, or back.
    pub(crate) fn convert(&self, second: bool) {
        let schema = if second { SECOND } else { FIRST };
        let Some(place) = self.leader() else {
            return;
        };
        let converted = self.with(place, |server| server.convert(Database::NAME, schema));
        if let Some(Err(error)) = converted {
            note!("the conversion fails: {error}");
        }
    }

    /// Makes a server forget its history.
    pub(crate) fn forget(&self, place: usize) {
        self.with(place, |server| {
            let _ = server.faults().forget_history(Database::NAME);
        });
    }

    /// Injects a fault into the next transaction.
    pub(crate) fn next_transaction(&self, place: usize, fault: TransactionFault) {
        self.with(place, |server| {
            let _ = server.faults().next_transaction(Database::NAME, fault);
        });
    }

    /// Makes a server hang until all faults end.
    pub(crate) fn hang(&self, place: usize) {
        let fault = match &self.cluster {
            Some(cluster) => Some(cluster.hang(place % 3)),
            None => self.with(place, |server| server.faults().hang()),
        };
        fault.into_iter().for_each(|fault| self.hold(fault));
    }

    /// Makes a server delay what it sends until all faults end.
    pub(crate) fn delay(&self, place: usize, delay: Duration) {
        let fault = self.with(place, |server| server.faults().delay(delay));
        fault.into_iter().for_each(|fault| self.hold(fault));
    }

    /// Injects a fault into a member of the cluster. It lasts until all faults end; an expulsion is permanent.
    pub(crate) fn member(&self, member: usize, fault: Member) {
        let Some(cluster) = &self.cluster else {
            return;
        };
        let member = member % 3;
        match fault {
            Member::Transfer => {
                let _ = cluster.transfer_leadership(member);
            }
            Member::Expel => {
                // Expel one at most: the other two remain a majority.
                if self.expelled.get().is_none() {
                    self.expelled.set(Some(member));
                    cluster.expel(member);
                }
            }
            Member::Stop => self.hold(cluster.stop(member)),
            Member::Isolate => {
                let mut isolated = self.isolated.get();
                isolated[member].get_or_insert(elapsed());
                self.isolated.set(isolated);
                self.hold(cluster.isolate(member));
            }
            Member::HoldBack => self.hold(cluster.hold_back(member)),
            Member::BackUp => *self.backup.borrow_mut() = Some((member, cluster.backup(member))),
            Member::Restore => {
                if let Some((_, backup)) = &*self.backup.borrow() {
                    self.hold(cluster.hold_back(member));
                    cluster.restore(member, backup);
                }
            }
        }
    }

    /// Ends all faults. An expulsion is permanent.
    pub(crate) fn end_faults(&self) {
        self.fill(false);
        self.isolated.take();
        // One at a time, in reverse order.
        while let Some(fault) = { self.faults.borrow_mut().pop() } {
            drop(fault);
        }
    }
}

/// What can happen to a member of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    /// It becomes the leader.
    Transfer,
    /// It is expelled for good.
    Expel,
    /// It is stopped.
    Stop,
    /// It loses the other members.
    Isolate,
    /// It lags.
    HoldBack,
    /// Its database is copied.
    BackUp,
    /// It is restarted with the copy, and lags.
    Restore,
}

/// Ends a server as if it were killed, and returns its successor.
async fn stopped(server: Server, network: &Network) -> Server {
    // Hang it first: it must not commit anything after its successor was forked.
    let hang = server.faults().hang();
    network.set_server(0, None);
    network.cut_server(0);
    sleep(Duration::from_millis(1)).await;
    let after = server.fork();
    drop(server);
    drop(hang);
    after
}
