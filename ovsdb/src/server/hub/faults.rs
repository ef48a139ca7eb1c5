//! Injected faults: their effects in the state machine.

use super::{Hub, Now};
use crate::protocol::OvsdbError;
use crate::server::SessionId;
use crate::server::engine::Proposal;
use crate::server::engine::error::error;
use crate::server::fault::TransactionFault;
use crate::server::history::History;
use crate::server::hosted::Waiting;
use crate::server::outgoing::Outgoing;
use crate::value::{Atom, Datum};

fn unknown(database: &str) -> OvsdbError {
    let details = format!("there is no database {database}");
    error("unknown database", details)
}

impl Hub {
    /// Injects a fault into a later transaction.
    ///
    /// # Errors
    /// When there is no such database.
    pub(crate) fn add_fault(
        &mut self,
        database: &str,
        fault: TransactionFault,
    ) -> Result<(), OvsdbError> {
        let hosted = self.databases.get_mut(database);
        let hosted = hosted.ok_or_else(|| unknown(database))?;
        hosted.faults.push_back(fault);
        Ok(())
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

    /// Forgets the transactions from which monitors could be resumed, except the last one.
    ///
    /// # Errors
    /// When there is no such database.
    pub(crate) fn forget_history(&mut self, database: &str) -> Result<(), OvsdbError> {
        let hosted = self.databases.get_mut(database);
        let hosted = hosted.ok_or_else(|| unknown(database))?;
        hosted.history = History::new(hosted.database.last_transaction());
        Ok(())
    }

    /// Tells clients that the server does not lead the cluster of a database, until
    /// [`regain_leadership`](Self::regain_leadership) is called as often as this.
    ///
    /// # Errors
    /// When there is no such database, or the server is a member of a cluster or relays the database.
    pub(crate) fn lose_leadership(&mut self, database: &str, now: Now) -> Result<(), OvsdbError> {
        let Some(hosted) = self.databases.get_mut(database) else {
            return Err(unknown(database));
        };
        let reason = if hosted.membership.is_some() {
            "this server is a member of a Cluster, which elects the leader; use \
             Cluster::transfer_leadership"
        } else if hosted.forwards.is_some() {
            "this server relays the database, and relays never lead"
        } else {
            hosted.leadership_faults += 1;
            self.report_leader(database, now);
            return Ok(());
        };
        let details = format!("cannot lose the leadership of {database}: {reason}");
        Err(error("not allowed", details))
    }

    /// A fault injected by [`lose_leadership`](Self::lose_leadership) has ended.
    pub(crate) fn regain_leadership(&mut self, database: &str, now: Now) {
        if let Some(hosted) = self.databases.get_mut(database) {
            hosted.leadership_faults = hosted.leadership_faults.saturating_sub(1);
            self.report_leader(database, now);
        }
    }

    fn report_leader(&mut self, database: &str, now: Now) {
        let hosted = self.databases.get(database);
        let leads = hosted.is_some_and(|hosted| hosted.leadership_faults == 0);
        let model = Datum::from(Atom::String("clustered".into()));
        let leader = Datum::from(Atom::Boolean(leads));
        self.set_status(database, &[("model", model), ("leader", leader)], now);
    }
}
