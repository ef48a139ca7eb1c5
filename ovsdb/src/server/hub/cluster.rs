//! Databases of a cluster: each member applies the entries of the cluster's log, and tells its clients
//! whether it leads (ovsdb(7), "Clustered Database Service Model").

use std::sync::Arc;

use super::{Hub, Now};
use crate::server::consensus::{Applied, Entry, EntryKind, Membership, Status};
use crate::server::engine::Database;
use crate::value::{Atom, Datum};

impl Hub {
    /// Serves a database as a member of a cluster.
    pub(crate) fn add_member(
        &mut self,
        database: Database,
        membership: Membership,
        now: Now,
    ) -> bool {
        let name: Arc<str> = database.schema().name().into();
        if !self.add(database, None, now) {
            return false;
        }
        let uuid = |uuid| Datum::from(Atom::Uuid(uuid));
        let columns = [
            ("model", Datum::from(Atom::String("clustered".into()))),
            ("cid", uuid(membership.cid)),
            ("sid", uuid(membership.sid)),
        ];
        if let Some(hosted) = self.databases.get_mut(&name) {
            hosted.membership = Some(membership);
        }
        self.set_status(&name, &columns, now);
        self.handle_cluster(now);
        true
    }

    /// Whether this member has appended to the log of a cluster since the last call. Then
    /// [`handle_cluster`](Self::handle_cluster) must be called for every running member.
    pub(crate) fn poll_appended(&mut self) -> bool {
        std::mem::take(&mut self.appended)
    }

    /// The cluster may have changed: the log of a database, the leader, or the members that take part.
    /// Returns whether it has.
    pub(crate) fn handle_cluster(&mut self, now: Now) -> bool {
        let members = self.databases.iter();
        let members = members.filter(|(_, hosted)| hosted.membership.is_some());
        let names: Vec<_> = members.map(|(name, _)| name.clone()).collect();
        let mut changed = false;
        for name in names {
            changed |= self.catch_up(&name, now);
        }
        changed
    }

    fn catch_up(&mut self, name: &Arc<str>, now: Now) -> bool {
        let mut changed = false;
        loop {
            let hosted = self.databases.get(name);
            let Some(membership) = hosted.and_then(|hosted| hosted.membership.as_ref()) else {
                return changed;
            };
            if membership.is_expelled() {
                return self.remove(name, now);
            }
            let Some(entry) = membership.next() else {
                break;
            };
            changed |= !matches!(entry.kind, EntryKind::Nothing);
            self.apply(name, entry, now);
        }
        changed |= self.report_status(name, now);
        if changed {
            self.retry(name, now, true);
        }
        changed
    }

    /// Applies the next entry of the log.
    fn apply(&mut self, name: &Arc<str>, entry: Entry, now: Now) {
        let Some(hosted) = self.databases.get_mut(name) else {
            return;
        };
        match entry.kind {
            EntryKind::Nothing => {}
            EntryKind::Commit(commit) => {
                hosted.database.follow(entry.state, entry.last);
                hosted.history.add(commit.clone());
                self.publish(name, &commit);
            }
            EntryKind::FullState => {
                // This first sends the updates that were not sent yet, which are in the old schema.
                self.cancel_monitors(name);
                if let Some(hosted) = self.databases.get_mut(name) {
                    hosted.database.follow(entry.state, entry.last);
                    hosted.restart();
                    #[cfg(simulation)]
                    crate::server::simulated::replaced(self.id, hosted);
                }
                self.finish_conversion(name, now);
            }
        }
    }

    /// Reports the member's status in `_Server`. Returns whether it changed. After a change, the
    /// member may be able to commit transactions again.
    fn report_status(&mut self, name: &str, now: Now) -> bool {
        let hosted = self.databases.get_mut(name);
        let Some(membership) = hosted.and_then(|hosted| hosted.membership.as_mut()) else {
            return false;
        };
        let status = membership.status();
        let before = membership.reported.replace(status);
        if before == Some(status) {
            return false;
        }
        let Status {
            connected,
            leader,
            index,
        } = status;
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        let columns = [
            ("connected", Datum::from(Atom::Boolean(connected))),
            ("leader", Datum::from(Atom::Boolean(leader))),
            ("index", Datum::from(Atom::Integer(index))),
        ];
        self.set_status(name, &columns, now);
        true
    }

    /// Copies of this member's databases of a cluster.
    pub(crate) fn backup(&self) -> Vec<Applied> {
        let hosted = self.databases.values();
        let backups = hosted.filter_map(|hosted| {
            let membership = hosted.membership.as_ref()?;
            Some(membership.backup(&hosted.database))
        });
        backups.collect()
    }

    /// The member is stopped: its sessions end, with their locks and waiting transactions, and requests
    /// that were not handled yet are not executed.
    pub(crate) fn handle_stopped(&mut self) {
        for (id, session) in &mut self.sessions {
            session.close("the member of the cluster was stopped".into());
            self.ready.push(*id);
        }
        for hosted in self.databases.values_mut() {
            hosted.waiting.clear();
        }
        self.release_locks();
    }

    /// Replaces the databases of a cluster by those of a backup, and forgets their history. The member
    /// must be stopped.
    pub(crate) fn handle_restored(&mut self, backups: &[Applied], now: Now) {
        let mut restored = Vec::new();
        for (name, hosted) in &mut self.databases {
            let membership = hosted.membership.as_ref();
            if let Some(backup) = membership.and_then(|membership| membership.restore(backups)) {
                hosted.database.follow(backup.state.clone(), backup.last);
                hosted.restart();
                restored.push(name.clone());
            }
        }
        for name in restored {
            // The backup may have another schema.
            self.publish_schema(&name, now);
        }
    }
}
