//! A cluster of servers.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ovsdb_schema::DatabaseSchema;

use super::embedded::{EmbeddedCluster, EmbeddedMember};
use super::kind::{ServerError, ServerKind};
use super::server::{Server, Source, free_port};

/// How long an election may take: the election timer is one second, but test machines are slow.
const ELECTION: Duration = Duration::from_secs(60);
/// How long a leader gets to hand over, which fails while no other member is up to date.
const HAND_OVER: Duration = Duration::from_secs(3);

/// A clustered database on several servers (ovsdb(7), "Clustered Database Service Model"), which
/// communicate over the loopback interface. The servers end when it is dropped. With the embedded
/// [kind](ServerKind) it is a [`server::Cluster`](crate::server::Cluster), with a socket for each
/// member.
///
/// ```
/// use ovsdb::testing::{Cluster, ServerKind};
///
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let mut cluster = Cluster::start_kind(ServerKind::Embedded, schema, 3)?;
/// let leader = cluster.leader()?;
/// cluster.member_mut(leader).kill()?;
/// assert_ne!(cluster.leader()?, leader);
/// cluster.restart(leader)?;
/// # Ok::<(), ovsdb::testing::ServerError>(())
/// ```
#[derive(Debug)]
#[must_use = "the servers end when this is dropped"]
pub struct Cluster {
    database: String,
    members: Vec<Server>,
    /// The cluster, if its members are embedded servers.
    embedded: Option<Arc<EmbeddedCluster>>,
}

/// The status that a member reports.
#[derive(Debug)]
struct Status {
    leads: bool,
    term: u64,
}

impl Cluster {
    /// Starts this many members with an empty database of this schema, and waits until all have joined.
    ///
    /// # Errors
    /// As [`ServerBuilder::start`](super::ServerBuilder::start); when a member does not join within 30
    /// seconds, or ovsdb-client is not installed; when no leader is elected.
    pub fn start(schema: &str, members: usize) -> Result<Self, ServerError> {
        Self::start_kind(ServerKind::from_environment()?, schema, members)
    }

    /// Like [`start`](Self::start), with servers of this kind.
    ///
    /// ```
    /// use ovsdb::testing::{Cluster, ServerKind};
    ///
    /// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// let mut cluster = Cluster::start_kind(ServerKind::Embedded, schema, 3)?;
    /// let leader = cluster.leader()?;
    /// cluster.member_mut(leader).kill()?;
    /// assert_ne!(cluster.leader()?, leader);
    /// # Ok::<(), ovsdb::testing::ServerError>(())
    /// ```
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_kind(kind: ServerKind, schema: &str, members: usize) -> Result<Self, ServerError> {
        let mut cluster = Self {
            database: DatabaseSchema::parse(schema)?.name,
            members: Vec::new(),
            embedded: None,
        };
        if kind == ServerKind::Embedded {
            cluster.embed(schema, members)?;
            return Ok(cluster);
        }
        let founder = format!("tcp:127.0.0.1:{}", free_port()?);
        let mut source = Source::Founder {
            schema: schema.to_owned(),
            address: founder.clone(),
        };
        for _ in 0..members {
            let server = Server::builder().kind(kind).database(source).start()?;
            server.wait_until_connected(&cluster.database)?;
            cluster.members.push(server);
            source = Source::Joiner {
                name: cluster.database.clone(),
                address: format!("tcp:127.0.0.1:{}", free_port()?),
                founder: founder.clone(),
            };
        }
        cluster.leader()?;
        Ok(cluster)
    }

    fn embed(&mut self, schema: &str, members: usize) -> Result<(), ServerError> {
        let members = (0..members).map(|_| Server::of_member());
        self.members = members.collect::<Result<_, _>>()?;
        let sockets = self.members.iter().map(Server::socket).collect();
        let embedded = Arc::new(EmbeddedCluster::start(schema, sockets)?);
        for (number, member) in self.members.iter_mut().enumerate() {
            member.join(EmbeddedMember::new(embedded.clone(), number));
        }
        self.embedded = Some(embedded);
        Ok(())
    }

    /// The members; the one that founded the cluster comes first.
    pub fn members(&self) -> &[Server] {
        &self.members
    }

    /// A member, to kill it or to send it a signal.
    ///
    /// # Panics
    /// When there is no such member.
    #[track_caller]
    pub fn member_mut(&mut self, member: usize) -> &mut Server {
        &mut self.members[member]
    }

    /// The remotes of all members, separated by commas.
    #[must_use]
    pub fn remotes(&self) -> String {
        let remotes: Vec<_> = self.members.iter().map(Server::remote).collect();
        remotes.join(",")
    }

    /// Starts a member again, and waits until it has joined the cluster again.
    ///
    /// # Errors
    /// When it cannot be started, or does not join again.
    ///
    /// # Panics
    /// When there is no such member.
    pub fn restart(&mut self, member: usize) -> Result<(), ServerError> {
        self.members[member].start()?;
        if self.embedded.is_some() {
            return Ok(());
        }
        self.members[member].wait_until_connected(&self.database)
    }

    /// The member that leads, as soon as there is one.
    ///
    /// # Errors
    /// When no member reports within a minute that it leads, as without a majority or without ovs-appctl.
    /// An embedded cluster elects at once, so this does not wait for it.
    pub fn leader(&self) -> Result<usize, ServerError> {
        self.wait_for_leader(ELECTION, |_| true)
    }

    /// Makes the leader hand over to another member. Returns the old leader and the new one.
    ///
    /// # Errors
    /// When there is no leader, it cannot be told to hand over, or no other member becomes the leader.
    pub fn transfer_leadership(&self) -> Result<(usize, usize), ServerError> {
        let deadline = Instant::now() + ELECTION;
        let before = self.leader()?;
        if let Some(embedded) = &self.embedded {
            let count = self.members.len();
            let others = (1..count).map(|step| (before + step) % count);
            let mut others = others.filter(|to| embedded.cluster.transfer_leadership(*to).is_ok());
            let after = others
                .next()
                .ok_or_else(|| ServerError::NoLeader("no other member can lead".into()))?;
            return Ok((before, after));
        }
        loop {
            let command = ["cluster/failure-test", "transfer-leadership"];
            self.members[self.leader()?].appctl(&command)?;
            match self.wait_for_leader(HAND_OVER, |member| member != before) {
                Err(ServerError::NoLeader(_)) if Instant::now() < deadline => {}
                after => return Ok((before, after?)),
            }
        }
    }

    /// Expels a member, which then stops serving the database.
    ///
    /// # Errors
    /// When there is no leader, the member does not run, the cluster refuses, or ovs-appctl is not
    /// installed.
    ///
    /// # Panics
    /// When there is no such member.
    pub fn kick(&self, member: usize) -> Result<(), ServerError> {
        if let Some(embedded) = &self.embedded {
            embedded.cluster.expel(member);
            return Ok(());
        }
        let id = self.members[member].appctl(&["cluster/sid", &self.database])?;
        let leader = &self.members[self.leader()?];
        leader
            .appctl(&["cluster/kick", &self.database, id.trim()])
            .map(drop)
    }

    /// The leader's database as JSON, as `ovsdb-client dump` prints it.
    ///
    /// # Errors
    /// When there is no leader; otherwise as [`Server::dump`].
    pub fn dump(&self) -> Result<String, ServerError> {
        self.members[self.leader()?].dump(&self.database, None)
    }

    fn wait_for_leader(
        &self,
        limit: Duration,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<usize, ServerError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(embedded) = &self.embedded {
                // An embedded cluster elects at once.
                let leader = embedded.cluster.leader();
                return leader.ok_or_else(|| ServerError::NoLeader("there is no majority".into()));
            }
            // A member that was stopped for a while may still believe that it leads.
            let leader = (0..self.members.len())
                .filter_map(|member| Some((self.status(member)?, member)))
                .filter(|(status, _)| status.leads)
                .max_by_key(|(status, _)| status.term);
            match leader {
                Some((_, leader)) if wanted(leader) => return Ok(leader),
                other if Instant::now() > deadline => {
                    return Err(ServerError::NoLeader(format!("found {other:?}")));
                }
                _ => sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The status of a member, if it runs and answers.
    fn status(&self, member: usize) -> Option<Status> {
        let server = &self.members[member];
        server.process_id()?;
        let text = server.appctl(&["cluster/status", &self.database]).ok()?;
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        Some(Status {
            leads: field("Role") == Some("leader"),
            term: field("Term")?.trim().parse().ok()?,
        })
    }
}
