//! Faults on demand: what the machine itself has to do with them.

use super::{Hub, Now};
use crate::server::SessionId;
use crate::server::engine::Proposal;
use crate::server::fault::TransactionFault;
use crate::server::history::History;
use crate::server::hosted::Waiting;
use crate::server::outgoing::Outgoing;
use crate::value::{Atom, Datum};

impl Hub {
    /// Decides on a transaction to come. `None` when there is no such database.
    pub(crate) fn add_fault(&mut self, database: &str, fault: TransactionFault) -> Option<()> {
        self.databases.get_mut(database)?.faults.push_back(fault);
        Some(())
    }

    /// Has a transaction that could be committed fail. False when the cluster has to be waited for
    /// first.
    pub(super) fn fail(
        &mut self,
        database: &std::sync::Arc<str>,
        waiting: &Waiting,
        proposal: Proposal,
        fault: &TransactionFault,
        now: Now,
    ) -> bool {
        match fault {
            TransactionFault::Refuse(error) => {
                let results = proposal.refuse(error);
                self.reply(waiting.session, &waiting.id, results);
            }
            TransactionFault::DisconnectBefore => self.cut(waiting.session),
            TransactionFault::DisconnectAfter => {
                if !self.commit(database, waiting, proposal, now) {
                    return false;
                }
                if let Some(hosted) = self.databases.get_mut(database) {
                    hosted
                        .unsynced
                        .retain(|unsynced| unsynced.session != waiting.session);
                }
                self.cut(waiting.session);
            }
        }
        true
    }

    /// Closes a session without what waits to be sent to it.
    fn cut(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.outgoing = Outgoing::default();
            (session.unsynced, session.forwarded) = (0, 0);
            session.close("a fault that was asked for".into());
            self.ready.push(id);
        }
    }

    /// Forgets the transactions that monitors could be resumed from.
    pub(crate) fn forget_history(&mut self, database: &str) -> Option<()> {
        let hosted = self.databases.get_mut(database)?;
        hosted.history = History::new(hosted.database.last_transaction());
        Some(())
    }

    /// Tells clients that the server leads the cluster of a database, or that it does not. False when
    /// there is no such database, or it has a cluster, which decides on that.
    pub(crate) fn set_leader(&mut self, database: &str, leader: bool, now: Now) -> bool {
        let hosted = self.databases.get(database);
        if hosted.is_none_or(|hosted| hosted.membership.is_some()) {
            return false;
        }
        let model = Datum::from(Atom::String("clustered".into()));
        let leader = Datum::from(Atom::Boolean(leader));
        self.set_status(database, &[("model", model), ("leader", leader)], now);
        true
    }
}
