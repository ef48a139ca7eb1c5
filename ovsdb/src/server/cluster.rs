//! Servers in one process that behave like the members of a cluster, for tests of clients.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::consensus::{Applied, CannotLead, Consensus, MemberFault, Membership};
use super::driver::{Shared, now};
use super::engine::{Database, parse};
use super::faults::Fault;
use super::hub::{Hub, Quotas};
use super::{Server, ServerError};
use crate::transport::Remote;

/// Why a member of a [`Cluster`] cannot become its leader.
///
/// ```
/// use ovsdb::server::{Cluster, ClusterError};
///
/// let cluster = Cluster::memory(r#"{"name": "Inventory", "tables": {}}"#, 3)?;
/// let _stopped = cluster.stop(2);
/// assert_eq!(cluster.transfer_leadership(2), Err(ClusterError::Unreachable(2)));
/// # Ok::<(), ovsdb::server::ServerError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The member does not run, does not reach a majority of the members, or was expelled.
    #[error("member {0} does not run, or does not reach a majority of the cluster")]
    Unreachable(usize),
    /// The member is [held back](Cluster::hold_back), and has not applied every committed transaction and
    /// every election of a leader.
    #[error("member {0} is held back and has not applied the whole log of the cluster")]
    Behind(usize),
}

/// The databases of one member of a [`Cluster`] at one moment; [`Cluster::backup`] makes one.
///
/// ```
/// use ovsdb::server::Cluster;
///
/// let cluster = Cluster::memory(r#"{"name": "Inventory", "tables": {}}"#, 3)?;
/// let backup = cluster.backup(1);
/// cluster.restore(1, &backup);
/// # Ok::<(), ovsdb::server::ServerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Backup {
    databases: Vec<Applied>,
}

/// Servers in this process that share their databases as the members of a raft cluster do, for tests of
/// failover (ovsdb(7), "Clustered Database Service Model").
///
/// Each member is a [`Server`] with its own remotes, sessions and locks. A transaction may be sent to any
/// member: it is committed once, under the same transaction id everywhere, and every member sends the
/// changes to its clients. So a client can resume its monitors on another member. The table `Database`
/// of `_Server` shows what clients look at: the model `clustered`, the ids of the cluster and of the
/// member, the index, whether the member is connected to a majority, and whether it leads.
///
/// The members share memory instead of exchanging messages, so they elect a leader at once, and
/// followers apply each commit at once. Faults of a cluster must be injected:
///
/// | method | what happens in a real cluster |
/// |---|---|
/// | [`transfer_leadership`](Self::transfer_leadership) | another member is elected |
/// | [`stop`](Self::stop) | a member is killed, and started again with its database |
/// | [`hang`](Self::hang) | a member's process is stopped (`SIGSTOP`), and continued (`SIGCONT`) |
/// | [`isolate`](Self::isolate) | a member loses the other members, but not its clients (a network partition) |
/// | [`hold_back`](Self::hold_back) | a follower lags |
/// | [`backup`](Self::backup), [`restore`](Self::restore) | a member comes back with an older database, so its index is lower |
/// | [`expel`](Self::expel) | a member is kicked from the cluster |
/// | [`Faults::forget_history`](super::Faults::forget_history) | a member has compacted its log: monitors that missed a transaction are not resumed |
///
/// A member without a majority reports that it is not connected. It answers reads, and keeps
/// transactions that would change something until it has a majority again; a conversion of the schema
/// fails.
///
/// Unlike in a real cluster, one member leads all databases, and the column `_version` is the same on
/// all members.
///
/// ```
/// # #[cfg(feature = "nb")] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ovsdb::nb::{self, LogicalSwitch};
/// use ovsdb::server::Server;
///
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let cluster = Server::cluster(schema, 3)?;
/// let client = nb::Client::builder().remotes(cluster.remotes()).leader_only(true);
/// let client = client.connect().await?;
/// let cache = client.cache().all_tables().start().await?;
///
/// // The leader dies, and the client continues on the next one.
/// let stopped = cluster.stop(0);
/// assert_eq!(cluster.leader(), Some(1));
/// let mut txn = client.transaction();
/// txn.insert(LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// txn.commit_once().await?;
/// assert_eq!(cache.snapshot().rows::<LogicalSwitch>().len(), 1);
/// drop(stopped);
/// # Ok(()) }
/// # #[cfg(not(feature = "nb"))] fn main() {}
/// ```
#[derive(Debug)]
#[must_use = "the servers end when this is dropped"]
pub struct Cluster {
    members: Vec<Server>,
    shared: Arc<Members>,
}

/// What the members share.
#[derive(Debug)]
struct Members {
    consensus: Arc<Consensus>,
    servers: OnceLock<Vec<Weak<Shared>>>,
    notifying: Mutex<Notifying>,
}

/// Whether a thread is notifying the members, and whether the cluster has changed since it began.
#[derive(Debug, Default)]
struct Notifying {
    running: bool,
    again: bool,
}

impl Members {
    fn server(&self, member: usize) -> Option<Arc<Shared>> {
        self.servers.get()?.get(member)?.upgrade()
    }

    /// Notifies the members that the cluster has changed. A member may change it again in response: the
    /// loop that is running notifies the members of that too, so calls do not nest.
    fn notify(&self) {
        {
            let mut notifying = self.notifying();
            if notifying.running {
                notifying.again = true;
                return;
            }
            notifying.running = true;
        }
        loop {
            for member in self.consensus.running() {
                if let Some(server) = self.server(member) {
                    server.with_hub(|hub| hub.handle_cluster(now()));
                }
            }
            let mut notifying = self.notifying();
            if !std::mem::take(&mut notifying.again) {
                notifying.running = false;
                return;
            }
        }
    }

    fn notifying(&self) -> std::sync::MutexGuard<'_, Notifying> {
        self.notifying
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// A cluster of this many members that share an empty database with this schema, given as the text
    /// of a schema file. [`ServerBuilder::start_cluster`](super::ServerBuilder::start_cluster) makes
    /// one with several databases or with other settings.
    ///
    /// # Errors
    /// When the schema is broken, its database is named `_Server`, like the server's own, or there are no
    /// members.
    pub fn memory(schema: impl Into<String>, members: usize) -> Result<Self, ServerError> {
        Server::builder().memory(schema).start_cluster(members)
    }

    pub(super) fn start(
        databases: &[Database],
        members: usize,
        quotas: Quotas,
        start: impl Fn(Hub, usize) -> Server,
    ) -> Self {
        let mut random = fastrand::Rng::new();
        let mut id = || parse::random_uuid(&mut random);
        let consensus = Arc::new(Consensus::new(members));
        let logs: Vec<_> = databases
            .iter()
            .map(|database| (database, consensus.add(database), id()))
            .collect();
        let shared = Arc::new(Members {
            consensus: consensus.clone(),
            servers: OnceLock::new(),
            notifying: Mutex::default(),
        });
        let members: Vec<_> = (0..members)
            .map(|member| {
                let mut hub = Hub::new(quotas, fastrand::u64(..));
                for (database, log, cid) in &logs {
                    let ids = (*cid, id());
                    let membership = Membership::new(consensus.clone(), (member, *log), ids);
                    hub.add_member(database.fork(fastrand::u64(..)), membership, now());
                }
                let server = start(hub, member);
                // A weak reference is enough: the `Cluster` keeps the shared state alive.
                let members = Arc::downgrade(&shared);
                server.shared.join_cluster(move || {
                    if let Some(members) = members.upgrade() {
                        members.notify();
                    }
                });
                server
            })
            .collect();
        let servers = members.iter().map(|server| Arc::downgrade(&server.shared));
        // It is set only here.
        let _ = shared.servers.set(servers.collect());
        Self { members, shared }
    }

    /// The members. Each can [listen](Server::listen) and has [faults](Server::faults), like any other
    /// server.
    pub fn members(&self) -> &[Server] {
        &self.members
    }

    /// The remotes of all members, for [`ClientBuilder::remotes`](crate::ClientBuilder::remotes).
    #[must_use]
    pub fn remotes(&self) -> Vec<Remote> {
        self.members.iter().map(Server::remote).collect()
    }

    /// The member that leads; `None` without a majority.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.shared.consensus.leader()
    }

    /// Makes a member the leader.
    ///
    /// # Errors
    /// When the member does not run, does not reach a majority, was expelled, or is held back and has not
    /// applied every committed transaction and every election of a leader.
    ///
    /// # Panics
    /// When there is no such member.
    #[track_caller]
    pub fn transfer_leadership(&self, to: usize) -> Result<(), ClusterError> {
        self.check(to);
        self.shared
            .consensus
            .transfer(to)
            .map_err(|error| match error {
                CannotLead::Unreachable => ClusterError::Unreachable(to),
                CannotLead::Behind => ClusterError::Behind(to),
            })?;
        self.shared.notify();
        Ok(())
    }

    /// Stops a member, as kill -9 does: its clients are disconnected, and it accepts no connections. If
    /// it led, another member is elected, unless no majority is left. When the fault ends, the member is
    /// started again and catches up.
    ///
    /// # Panics
    /// When there is no such member.
    #[track_caller]
    pub fn stop(&self, member: usize) -> Fault {
        self.check(member);
        let server = &self.members[member];
        let refusing = server.faults().refuse_connections();
        server.faults().disconnect();
        server.shared.with_hub(Hub::handle_stopped);
        self.fault(member, MemberFault::Stopped, Some(refusing))
    }

    /// Makes a member hang, like a stopped process: connections stay open, and requests are not
    /// answered. If it led, another member is elected, unless no majority is left. When the fault ends,
    /// the member catches up.
    ///
    /// # Panics
    /// When there is no such member.
    #[track_caller]
    pub fn hang(&self, member: usize) -> Fault {
        self.check(member);
        let hanging = self.members[member].faults().hang();
        self.fault(member, MemberFault::Hanging, Some(hanging))
    }

    /// Disconnects a member from all other members, but not from its clients. If it led, another member
    /// is elected, unless no majority is left. When the fault ends, the member catches up.
    ///
    /// # Panics
    /// When there is no such member.
    #[track_caller]
    pub fn isolate(&self, member: usize) -> Fault {
        self.fault(member, MemberFault::Isolated, None)
    }

    /// Makes a follower lag: until the fault ends, it applies no transaction that other members have
    /// committed. It answers reads from what it has applied. As soon as it lags, it keeps transactions
    /// that would change something until it has caught up. It also lags after the election of a leader,
    /// which is an entry of the log like a transaction.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use ovsdb::nb::{self, LogicalSwitch};
    /// use ovsdb::server::Cluster;
    ///
    /// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// let cluster = Cluster::memory(schema, 3)?;
    /// let slow = nb::Client::builder().server(&cluster.members()[2]).leader_only(false);
    /// let slow = slow.connect().await?;
    /// let cache = slow.cache().all_tables().start().await?;
    ///
    /// let held_back = cluster.hold_back(2);
    /// let fast = nb::Client::builder().server(&cluster.members()[0]).connect().await?;
    /// let mut txn = fast.transaction();
    /// txn.insert(LogicalSwitch { name: "sw0".into(), ..Default::default() });
    /// txn.commit().await?;
    /// assert_eq!(cache.snapshot().rows::<LogicalSwitch>().len(), 0);
    ///
    /// drop(held_back);
    /// let there = |view: &nb::Snapshot| view.rows::<LogicalSwitch>().next().map(|_| ());
    /// cache.wait_until(Duration::from_secs(10), there).await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "nb"))] fn main() {}
    /// ```
    ///
    /// # Panics
    /// When there is no such member.
    #[track_caller]
    pub fn hold_back(&self, member: usize) -> Fault {
        self.fault(member, MemberFault::HeldBack, None)
    }

    /// Expels a member for good: it stops serving the databases, and does not count for a majority.
    ///
    /// # Panics
    /// When there is no such member.
    #[track_caller]
    pub fn expel(&self, member: usize) {
        self.check(member);
        self.shared.consensus.expel(member);
        self.shared.notify();
    }

    /// The databases as the member has them now. No row is copied.
    ///
    /// # Panics
    /// When there is no such member.
    #[must_use]
    #[track_caller]
    pub fn backup(&self, member: usize) -> Backup {
        self.check(member);
        Backup {
            databases: self.members[member].shared.hub().backup(),
        }
    }

    /// Stops a member, and starts it again with the databases of a backup of this cluster. Its index
    /// goes back, and it forgets the transactions before the backup, so that it cannot resume monitors
    /// from them. It catches up at once, unless another fault prevents that, such as
    /// [`hold_back`](Self::hold_back) or [`isolate`](Self::isolate).
    ///
    /// # Panics
    /// When there is no such member.
    #[track_caller]
    pub fn restore(&self, member: usize, backup: &Backup) {
        let _stopped = self.stop(member);
        self.members[member]
            .shared
            .with_hub(|hub| hub.handle_restored(&backup.databases, now()));
    }

    #[track_caller]
    fn check(&self, member: usize) {
        let members = self.members.len();
        assert!(
            member < members,
            "there is no member {member} in a cluster of {members}"
        );
    }

    /// Begins a fault of a member. The fault of its connections ends after the member has caught up.
    #[track_caller]
    fn fault(&self, member: usize, kind: MemberFault, of_connections: Option<Fault>) -> Fault {
        self.check(member);
        self.shared.consensus.begin(member, kind);
        self.shared.notify();
        let shared = self.shared.clone();
        Fault::new(move || {
            // The closure owns this fault, so that it ends only after the closure was called.
            let _ = &of_connections;
            shared.consensus.end(member, kind);
            shared.notify();
        })
    }
}
