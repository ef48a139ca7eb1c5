//! Databases that this server relays from another one (ovsdb(7), "Relay Service Model"): reads are
//! answered here, and transactions that write are forwarded to the source.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Hub, Now};
use crate::protocol::{OvsdbError, Wire, write_failure};
use crate::server::engine::record::ForeignRow;
use crate::server::engine::{Database, Schema};
use crate::server::hosted::Forward;
use crate::value::{Atom, Datum};

/// The outcome of a forwarded transaction.
#[derive(Debug)]
pub(crate) enum Forwarded {
    /// The source returned these results, as JSON.
    Done(String),
    /// The source refused the request.
    Refused(OvsdbError),
    /// It was not sent, and must be tried again.
    NotSent,
    /// The outcome is unknown.
    Unknown,
}

impl Hub {
    /// Serves a database of another server. It is empty until the source's rows arrive.
    pub(crate) fn add_relay(&mut self, database: Database, now: Now) -> bool {
        let name: Arc<str> = database.schema().name().into();
        if !self.add(database, None, now) {
            return false;
        }
        if let Some(hosted) = self.databases.get_mut(&name) {
            hosted.forwards = Some(VecDeque::new());
        }
        let columns = [
            ("model", Datum::from(Atom::String("relay".into()))),
            ("connected", Datum::from(Atom::Boolean(false))),
            ("leader", Datum::from(Atom::Boolean(false))),
        ];
        self.set_status(&name, &columns, now);
        true
    }

    /// Reports to clients whether the relay is connected to its source.
    pub(crate) fn set_relay_connected(&mut self, name: &str, connected: bool, now: Now) {
        let connected = Datum::from(Atom::Boolean(connected));
        self.set_status(name, &[("connected", connected)], now);
    }

    /// Rows have changed at the source.
    ///
    /// # Errors
    /// When the rows violate a constraint, or a row to be deleted does not exist. Then nothing is changed.
    pub(crate) fn handle_relayed(
        &mut self,
        name: &Arc<str>,
        rows: Vec<ForeignRow>,
        now: Now,
    ) -> Result<(), OvsdbError> {
        let Some(hosted) = self.databases.get_mut(name) else {
            return Ok(());
        };
        let proposal = hosted.database.take_over(rows)?;
        let commit = proposal.commit().cloned();
        hosted.database.commit(proposal);
        if let Some(commit) = commit {
            hosted.history.add(commit.clone());
            self.publish(name, &commit);
            self.retry(name, now, true);
        }
        Ok(())
    }

    /// The source has another schema. Monitors are cancelled, and the rows are kept, without the tables
    /// and columns that the new schema lacks.
    ///
    /// # Errors
    /// When the relay no longer serves the database, the schema has another name, or the rows do not fit
    /// it. Then nothing is changed.
    pub(crate) fn handle_relayed_schema(
        &mut self,
        name: &str,
        schema: &Schema,
        now: Now,
    ) -> Result<(), OvsdbError> {
        self.convert(name, &schema.text, now)?;
        self.finish_conversion(name, now);
        Ok(())
    }

    /// The next transaction for the source of a relay.
    pub(crate) fn poll_forward(&mut self, name: &str) -> Option<Forward> {
        self.databases.get_mut(name)?.forwards.as_mut()?.pop_front()
    }

    /// Handles the outcome of a forwarded transaction. The caller has applied its changes before.
    pub(crate) fn handle_forwarded(&mut self, name: &str, forward: Forward, outcome: Forwarded) {
        if let Some(session) = self.sessions.get_mut(&forward.session) {
            let is_closing = session.closing.is_some();
            if is_closing || !matches!(outcome, Forwarded::NotSent) {
                session.forwarded = session.forwarded.saturating_sub(1);
            }
            // A session that is being closed gets no more updates. It must not get the reply either,
            // because a reply promises that the transaction's updates were sent.
            if is_closing {
                return;
            }
        }
        match outcome {
            Forwarded::Done(results) => self.reply(forward.session, &forward.id, results),
            Forwarded::Refused(error) => {
                self.flush(forward.session);
                if let Some(session) = self.sessions.get_mut(&forward.session) {
                    let error = error.to_json();
                    session
                        .outgoing
                        .write(|out| write_failure(out, &forward.id, &error));
                    self.ready.push(forward.session);
                }
            }
            Forwarded::NotSent => {
                let hosted = self.databases.get_mut(name);
                match hosted.and_then(|hosted| hosted.forwards.as_mut()) {
                    Some(forwards) => forwards.push_front(forward),
                    None => self.cancel_forward(&forward),
                }
            }
            // If the connection is closed, the client knows that the outcome is unknown.
            Forwarded::Unknown => {
                if let Some(session) = self.sessions.get_mut(&forward.session) {
                    session.close("the outcome of a transaction at the source is unknown".into());
                    self.ready.push(forward.session);
                }
            }
        }
    }

    /// A transaction is not forwarded, because its database was removed.
    pub(super) fn cancel_forward(&mut self, forward: &Forward) {
        if let Some(session) = self.sessions.get_mut(&forward.session) {
            session.forwarded = session.forwarded.saturating_sub(1);
            if session.closing.is_none() {
                session.fail_with_word(&forward.id, "canceled");
                self.ready.push(forward.session);
            }
        }
    }
}
