//! A cluster of servers.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ovsdb_schema::DatabaseSchema;

use super::kind::ServerError;
use super::server::{Server, Source, free_port};

/// How long an election may take: the timer is one second, but machines are slow.
const ELECTION: Duration = Duration::from_secs(60);
/// How long a leader is given to hand over: it does not when no other member is up to date.
const HAND_OVER: Duration = Duration::from_secs(3);

/// A database on several servers that keep it together (ovsdb(7), "Clustered Database Service
/// Model"), which talk over the loopback. They end when it is dropped.
///
/// ```no_run
/// use ovsdb::testing::Cluster;
///
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let mut cluster = Cluster::start(schema, 3)?;
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
}

/// What a member says of the cluster.
#[derive(Debug)]
struct Status {
    leads: bool,
    term: u64,
}

impl Cluster {
    /// Starts that many members of an empty database with this schema, and waits until all have
    /// joined.
    ///
    /// # Errors
    /// When a program is missing or fails, or a schema is broken.
    pub fn start(schema: &str, members: usize) -> Result<Self, ServerError> {
        let mut cluster = Self {
            database: DatabaseSchema::parse(schema)?.name,
            members: Vec::new(),
        };
        let founder = format!("tcp:127.0.0.1:{}", free_port()?);
        let mut source = Source::Founder {
            schema: schema.to_owned(),
            address: founder.clone(),
        };
        for _ in 0..members {
            let server = Server::builder().database(source).start()?;
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

    /// The members, the founder first.
    pub fn members(&self) -> &[Server] {
        &self.members
    }

    /// A member, to be killed or sent a signal.
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

    /// Starts a member again, and waits until it is back in the cluster.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart(&mut self, member: usize) -> Result<(), ServerError> {
        self.members[member].start()?;
        self.members[member].wait_until_connected(&self.database)
    }

    /// The member that leads, once there is one.
    ///
    /// # Errors
    /// When none does for a minute, as without a majority.
    pub fn leader(&self) -> Result<usize, ServerError> {
        self.wait_for_leader(ELECTION, |_| true)
    }

    /// Has the leader hand over to another member; returns who led and who leads.
    ///
    /// # Errors
    /// When no other member becomes the leader.
    pub fn transfer_leadership(&self) -> Result<(usize, usize), ServerError> {
        let deadline = Instant::now() + ELECTION;
        let before = self.leader()?;
        loop {
            let command = ["cluster/failure-test", "transfer-leadership"];
            self.members[self.leader()?].appctl(&command)?;
            match self.wait_for_leader(HAND_OVER, |member| member != before) {
                Err(ServerError::NoLeader(_)) if Instant::now() < deadline => {}
                after => return Ok((before, after?)),
            }
        }
    }

    /// Expels a member; it serves the database no longer.
    ///
    /// # Errors
    /// When the cluster does not agree.
    pub fn kick(&self, member: usize) -> Result<(), ServerError> {
        let id = self.members[member].appctl(&["cluster/sid", &self.database])?;
        let leader = &self.members[self.leader()?];
        leader
            .appctl(&["cluster/kick", &self.database, id.trim()])
            .map(drop)
    }

    /// What `ovsdb-client dump` prints of the leader's database, as JSON.
    ///
    /// # Errors
    /// When there is no leader.
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
            // A member that was stopped for a while may still think that it leads.
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

    /// What a member says, if it runs and answers.
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
