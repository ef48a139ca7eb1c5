//! The state that the members of a cluster agree on: the log of each database, which members take part,
//! and which one leads.
//!
//! The members share this memory instead of exchanging messages. Clients still see raft's guarantees: a
//! majority elects a leader, a member can commit only while it is connected to a majority and has applied
//! all earlier entries, and each member applies the log in order, at its own pace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::{Commit, Database, State};
use crate::value::Uuid;

/// The number of last entries that are always kept, for members that are restored from a backup.
const KEPT: usize = 100;
/// The most entries that are kept for members that have not applied them. A member that needs earlier
/// ones gets the whole database.
const KEPT_FOR_OTHERS: usize = 10_000;

/// The kind of an entry of a log.
#[derive(Debug, Clone)]
pub(super) enum EntryKind {
    /// Nothing changed: a leader was elected.
    Nothing,
    /// A transaction was committed.
    Commit(Arc<Commit>),
    /// The whole database: it was created or converted, or the member needs entries that are no longer
    /// kept.
    FullState,
}

/// An entry of a log, with the database after it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: EntryKind,
    pub(super) state: State,
    /// The id of the last transaction.
    pub(super) last: Uuid,
}

/// A database as a member has applied it up to an index of its log.
#[derive(Debug, Clone)]
pub(super) struct Applied {
    pub(super) database: usize,
    pub(super) index: u64,
    pub(super) state: State,
    pub(super) last: Uuid,
}

/// What a member's row in `_Server` reports about a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) connected: bool,
    pub(super) leader: bool,
    /// How many entries of the log it has applied.
    pub(super) index: u64,
}

/// A kind of fault. Several of the same kind may be in force at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberFault {
    /// The member does not run.
    Stopped,
    /// Its process is stopped, and its connections stay open.
    Hanging,
    /// It reaches no other member.
    Isolated,
    /// It does not apply what other members commit.
    HeldBack,
}

#[derive(Debug, Clone, Default)]
struct Member {
    stopped: u32,
    hanging: u32,
    isolated: u32,
    held_back: u32,
    expelled: bool,
}

impl Member {
    const fn count(&mut self, fault: MemberFault) -> &mut u32 {
        match fault {
            MemberFault::Stopped => &mut self.stopped,
            MemberFault::Hanging => &mut self.hanging,
            MemberFault::Isolated => &mut self.isolated,
            MemberFault::HeldBack => &mut self.held_back,
        }
    }

    /// Whether it communicates with the other members.
    const fn takes_part(&self) -> bool {
        self.runs() && self.isolated == 0 && !self.expelled
    }

    const fn runs(&self) -> bool {
        self.stopped == 0 && self.hanging == 0
    }
}

/// The log of one database.
#[derive(Debug)]
struct Log {
    /// The index of the last entry.
    last_index: u64,
    /// The last entries.
    entries: VecDeque<Entry>,
    /// How many entries each member has applied.
    applied: Vec<u64>,
    /// The database after the last entry.
    state: State,
    last: Uuid,
}

impl Log {
    /// Appends an entry, and drops old ones. The last [`KEPT`] entries are kept; more, up to
    /// [`KEPT_FOR_OTHERS`], while a member that was not expelled still has to apply them.
    fn push(&mut self, kind: EntryKind, members: &[Member]) {
        self.last_index += 1;
        self.entries.push_back(Entry {
            kind,
            state: self.state.clone(),
            last: self.last,
        });
        let applied = self.applied.iter().zip(members);
        let applied = applied.filter(|(_, member)| !member.expelled);
        let slowest = applied.map(|(index, _)| *index).min().unwrap_or_default();
        while self.entries.len() > KEPT
            && (self.first_index() <= slowest || self.entries.len() > KEPT_FOR_OTHERS)
        {
            self.entries.pop_front();
        }
    }

    /// The index of the first entry that is kept.
    fn first_index(&self) -> u64 {
        self.last_index + 1 - self.entries.len() as u64
    }
}

#[derive(Debug)]
struct Agreed {
    members: Vec<Member>,
    leader: Option<usize>,
    /// The last member that led.
    last_leader: usize,
    logs: Vec<Log>,
}

impl Agreed {
    fn is_behind(&self, member: usize) -> bool {
        let mut logs = self.logs.iter();
        logs.any(|log| log.applied[member] < log.last_index)
    }

    /// Whether the member belongs to a majority that has a leader.
    fn is_connected(&self, member: usize) -> bool {
        self.leader.is_some() && self.members[member].takes_part()
    }

    fn lead(&mut self, leader: usize) {
        self.leader = Some(leader);
        self.last_leader = leader;
        for log in &mut self.logs {
            log.push(EntryKind::Nothing, &self.members);
        }
    }

    /// Elects a leader if a majority has none, and deposes the leader if there is no majority.
    fn elect(&mut self) {
        let voters = self.members.iter().filter(|member| !member.expelled);
        let present = |member: &&Member| member.takes_part();
        let (voters, present) = (voters.clone().count(), voters.filter(present).count());
        if present * 2 <= voters {
            self.leader = None;
            return;
        }
        if self
            .leader
            .is_some_and(|leader| self.members[leader].takes_part())
        {
            return;
        }
        let count = self.members.len();
        let candidates = (1..=count).map(|step| (self.last_leader + step) % count);
        let candidates = candidates.filter(|member| self.members[*member].takes_part());
        // A member that is held back and has not applied the whole log is elected only if no other can be.
        let elected = candidates
            .min_by_key(|member| self.members[*member].held_back > 0 && self.is_behind(*member));
        if let Some(elected) = elected {
            self.lead(elected);
        }
    }
}

/// Why a member cannot lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CannotLead {
    /// It does not belong to a majority.
    Unreachable,
    /// It is held back, and has not applied the whole log.
    Behind,
}

/// The state that the members of a cluster agree on.
#[derive(Debug)]
pub(super) struct Consensus {
    agreed: Mutex<Agreed>,
}

impl Consensus {
    /// A cluster of this many running members; the first one leads.
    pub(super) fn new(members: usize) -> Self {
        Self {
            agreed: Mutex::new(Agreed {
                members: vec![Member::default(); members],
                leader: (members > 0).then_some(0),
                last_leader: 0,
                logs: Vec::new(),
            }),
        }
    }

    fn agreed(&self) -> MutexGuard<'_, Agreed> {
        // No method panics halfway through a change.
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the log of a database that all members have. Returns the log's number.
    pub(super) fn add(&self, database: &Database) -> usize {
        let mut agreed = self.agreed();
        let applied = vec![0; agreed.members.len()];
        let mut log = Log {
            last_index: 0,
            entries: VecDeque::new(),
            applied,
            state: database.state().clone(),
            last: database.last_transaction(),
        };
        // The first two entries: the database itself, and the election of the first leader.
        log.push(EntryKind::FullState, &agreed.members);
        log.applied.fill(1);
        log.push(EntryKind::Nothing, &agreed.members);
        agreed.logs.push(log);
        agreed.logs.len() - 1
    }

    /// The member that leads.
    pub(super) fn leader(&self) -> Option<usize> {
        self.agreed().leader
    }

    /// Makes another member the leader.
    pub(super) fn transfer(&self, to: usize) -> Result<(), CannotLead> {
        let mut agreed = self.agreed();
        if !agreed.is_connected(to) {
            return Err(CannotLead::Unreachable);
        }
        if agreed.leader == Some(to) {
            return Ok(());
        }
        if agreed.members[to].held_back > 0 && agreed.is_behind(to) {
            return Err(CannotLead::Behind);
        }
        agreed.lead(to);
        Ok(())
    }

    /// A fault of a member begins.
    pub(super) fn begin(&self, member: usize, fault: MemberFault) {
        let mut agreed = self.agreed();
        *agreed.members[member].count(fault) += 1;
        agreed.elect();
    }

    /// A fault of a member ends.
    pub(super) fn end(&self, member: usize, fault: MemberFault) {
        let mut agreed = self.agreed();
        let count = agreed.members[member].count(fault);
        *count = count.saturating_sub(1);
        agreed.elect();
    }

    /// Removes the member from the cluster.
    pub(super) fn expel(&self, member: usize) {
        let mut agreed = self.agreed();
        agreed.members[member].expelled = true;
        agreed.elect();
    }

    /// The running members, in the order in which they are notified of changes: the leader comes last,
    /// so that clients never see two leaders.
    pub(super) fn running(&self) -> Vec<usize> {
        let agreed = self.agreed();
        let members = 0..agreed.members.len();
        let mut running: Vec<_> = members
            .filter(|member| agreed.members[*member].runs())
            .collect();
        running.sort_by_key(|member| agreed.leader == Some(*member));
        running
    }
}

/// A member's access to the log of a database, to append to it.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    consensus: Arc<Consensus>,
    member: usize,
    log: usize,
}

/// The right to append the next entry to a log. Other members wait while one member holds it.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    agreed: MutexGuard<'a, Agreed>,
    member: usize,
    log: usize,
}

impl Seat {
    /// The right to append an entry; `None` when the member has no majority, or has not applied the
    /// whole log.
    pub(super) fn begin(&self) -> Option<Slot<'_>> {
        let agreed = self.consensus.agreed();
        let log = &agreed.logs[self.log];
        let is_behind = log.applied[self.member] < log.last_index;
        (agreed.is_connected(self.member) && !is_behind).then_some(Slot {
            agreed,
            member: self.member,
            log: self.log,
        })
    }
}

impl Slot<'_> {
    /// Appends an entry that the member has applied to its database already.
    pub(super) fn append(mut self, kind: EntryKind, database: &Database) {
        let Agreed { members, logs, .. } = &mut *self.agreed;
        let log = &mut logs[self.log];
        log.state = database.state().clone();
        log.last = database.last_transaction();
        log.push(kind, members);
        log.applied[self.member] = log.last_index;
    }
}

/// A member's position in the log of one database.
#[derive(Debug)]
pub(super) struct Membership {
    seat: Seat,
    /// The ids of the cluster, and of this member.
    pub(super) cid: Uuid,
    pub(super) sid: Uuid,
    /// The status that `_Server` reports.
    pub(super) reported: Option<Status>,
}

impl Membership {
    pub(super) const fn new(
        consensus: Arc<Consensus>,
        (member, log): (usize, usize),
        (cid, sid): (Uuid, Uuid),
    ) -> Self {
        Self {
            seat: Seat {
                consensus,
                member,
                log,
            },
            cid,
            sid,
            reported: None,
        }
    }

    pub(super) fn status(&self) -> Status {
        let agreed = self.seat.consensus.agreed();
        let connected = agreed.is_connected(self.seat.member);
        Status {
            connected,
            leader: connected && agreed.leader == Some(self.seat.member),
            index: agreed.logs[self.seat.log].applied[self.seat.member],
        }
    }

    /// Whether the member was expelled from the cluster.
    pub(super) fn is_expelled(&self) -> bool {
        self.seat.consensus.agreed().members[self.seat.member].expelled
    }

    /// The member's access to the log, to append to it.
    pub(super) const fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The next entry that the member must apply. It counts as applied from now on.
    pub(super) fn next(&self) -> Option<Entry> {
        let mut agreed = self.seat.consensus.agreed();
        let member = &agreed.members[self.seat.member];
        if !member.takes_part() || member.held_back > 0 {
            return None;
        }
        let log = &mut agreed.logs[self.seat.log];
        let applied = log.applied[self.seat.member];
        if applied >= log.last_index {
            return None;
        }
        let Some(at) = (applied + 1).checked_sub(log.first_index()) else {
            log.applied[self.seat.member] = log.last_index;
            return Some(Entry {
                kind: EntryKind::FullState,
                state: log.state.clone(),
                last: log.last,
            });
        };
        log.applied[self.seat.member] += 1;
        let at = usize::try_from(at).ok()?;
        log.entries.get(at).cloned()
    }

    /// A copy of the member's database.
    pub(super) fn backup(&self, database: &Database) -> Applied {
        Applied {
            database: self.seat.log,
            index: self.seat.consensus.agreed().logs[self.seat.log].applied[self.seat.member],
            state: database.state().clone(),
            last: database.last_transaction(),
        }
    }

    /// Finds the backup of this database. From now on the member counts as having applied the log only
    /// up to the backup's index.
    pub(super) fn restore<'a>(&self, backups: &'a [Applied]) -> Option<&'a Applied> {
        let backup = backups
            .iter()
            .find(|backup| backup.database == self.seat.log)?;
        let mut agreed = self.seat.consensus.agreed();
        agreed.logs[self.seat.log].applied[self.seat.member] = backup.index;
        Some(backup)
    }
}

#[cfg(test)]
mod tests {
    use ovsdb_schema::DatabaseSchema;

    use super::*;
    use crate::server::engine::Schema;

    const SCHEMA: &str =
        r#"{"name":"D","tables":{"T":{"isRoot":true,"columns":{"n":{"type":"integer"}}}}}"#;

    /// A cluster of three members with one database, and each member's position in its log.
    fn cluster() -> (Arc<Consensus>, Vec<Membership>, Database) {
        let consensus = Arc::new(Consensus::new(3));
        let schema = DatabaseSchema::parse(SCHEMA).expect("a schema");
        let database = Database::new(Arc::new(Schema::new(schema).expect("a schema")), 1);
        let log = consensus.add(&database);
        let members = (0..3).map(|member| {
            let ids = (Uuid::nil(), Uuid::from_u128(member as u128));
            Membership::new(consensus.clone(), (member, log), ids)
        });
        let members = members.collect();
        (consensus, members, database)
    }

    /// The member applies everything that it may. Returns how many entries it was given.
    fn catch_up(member: &Membership) -> usize {
        std::iter::from_fn(|| member.next()).count()
    }

    fn catch_up_all(members: &[Membership]) {
        for member in members {
            catch_up(member);
        }
    }

    fn append(member: &Membership, database: &Database) {
        let slot = member.seat().begin().expect("it may append");
        slot.append(EntryKind::Nothing, database);
    }

    #[test]
    fn a_member_that_is_held_back_leads_only_if_no_other_can() {
        let (consensus, members, database) = cluster();
        catch_up_all(&members);
        assert_eq!(consensus.running(), [1, 2, 0], "the leader comes last");
        consensus.begin(1, MemberFault::HeldBack);
        // It has applied everything, so it may lead.
        assert_eq!(consensus.transfer(1), Ok(()));
        assert_eq!(consensus.transfer(0), Ok(()));
        catch_up(&members[0]);
        append(&members[0], &database);
        assert_eq!(consensus.transfer(1), Err(CannotLead::Behind));
        // The third member is behind too, but not held back.
        assert!(consensus.agreed().is_behind(2));
        assert_eq!(consensus.transfer(2), Ok(()));
        assert_eq!(consensus.transfer(0), Ok(()));
        consensus.begin(0, MemberFault::Stopped);
        assert_eq!(consensus.leader(), Some(2), "the next one is held back");
        assert_eq!(consensus.transfer(0), Err(CannotLead::Unreachable));
        assert_eq!(consensus.running(), [1, 2]);
        consensus.end(0, MemberFault::Stopped);
        consensus.begin(2, MemberFault::Isolated);
        assert_eq!(consensus.leader(), Some(0));
        consensus.begin(0, MemberFault::Hanging);
        assert_eq!(consensus.leader(), None, "one member is no majority");
        consensus.end(2, MemberFault::Isolated);
        assert!(consensus.leader().is_some());
    }

    #[test]
    fn the_next_member_in_turn_is_elected_though_it_lags() {
        let (consensus, members, database) = cluster();
        catch_up(&members[0]);
        catch_up(&members[2]);
        append(&members[0], &database);
        catch_up(&members[2]);
        assert!(consensus.agreed().is_behind(1) && !consensus.agreed().is_behind(2));
        consensus.begin(0, MemberFault::Stopped);
        assert_eq!(consensus.leader(), Some(1));
    }

    #[test]
    fn entries_are_kept_for_members_that_need_them() {
        let (consensus, members, database) = cluster();
        let kept = || consensus.agreed().logs[0].entries.len();
        catch_up_all(&members);
        for _ in 0..2 * KEPT {
            append(&members[0], &database);
            catch_up(&members[2]);
        }
        assert_eq!(kept(), 2 * KEPT, "the second member needs them");
        assert_eq!(catch_up(&members[1]), 2 * KEPT);
        append(&members[0], &database);
        assert_eq!(kept(), KEPT);

        catch_up_all(&members);
        for _ in 0..=KEPT_FOR_OTHERS {
            append(&members[0], &database);
        }
        assert_eq!(kept(), KEPT_FOR_OTHERS);
        let entry = members[1].next().expect("it is behind");
        assert!(matches!(entry.kind, EntryKind::FullState), "{entry:?}");
        assert_eq!(catch_up(&members[1]), 0);

        // A member that was expelled needs nothing any longer.
        consensus.expel(2);
        append(&members[0], &database);
        assert_eq!(kept(), KEPT);
        assert!(members[2].is_expelled() && members[2].next().is_none());
    }
}
