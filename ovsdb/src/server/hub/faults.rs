//! Injected faults: their effects in the state machine.

use super::{Hub, Now};
use crate::server::SessionId;
use crate::server::engine::Proposal;
use crate::server::fault::TransactionFault;
use crate::server::history::History;
use crate::server::hosted::Waiting;
use crate::server::outgoing::Outgoing;
use crate::value::{Atom, Datum};

impl Hub {
    /// Injects a fault into a later transaction. Returns `None` when there is no such database.
    pub(crate) fn add_fault(&mut self, database: &str, fault: TransactionFault) -> Option<()> {
        self.databases.get_mut(database)?.faults.push_back(fault);
        Some(())
    }

    /// Applies a fault to a transaction that could be committed. Returns false when the transaction must
    /// first wait for the cluster.
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

    /// Closes a session, and drops its unsent output.
    fn cut(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.outgoing = Outgoing::default();
            (session.unsynced, session.forwarded) = (0, 0);
            session.close("an injected fault".into());
            self.ready.push(id);
        }
    }

    /// Forgets the transactions from which monitors could be resumed.
    pub(crate) fn forget_history(&mut self, database: &str) -> Option<()> {
        let hosted = self.databases.get_mut(database)?;
        hosted.history = History::new(hosted.database.last_transaction());
        Some(())
    }

    /// Tells clients whether the server leads the cluster of a database. Returns false when there is no
    /// such database, or it is in a [`Cluster`](crate::server::Cluster), which decides that itself.
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
