//! Changes of a monitor's conditions while it runs (ovsdb-server(7), "Monitor_cond_change").
//!
//! One change is in flight at a time. Conditions that are set meanwhile are coalesced into the next
//! change, which has the last condition of each table. A change that was not acknowledged when the
//! connection was lost becomes part of the request that starts the monitor on the next connection.

use std::collections::BTreeMap;

use super::command::ConditionReply;
use crate::cache::ReplicaMonitor;
use crate::error::{Disconnected, Error};
use crate::protocol::{Clause, Json, MonitorRequest, MonitorRequests, Request};
use crate::value::Str;

type ByTable<V> = BTreeMap<Str, V>;

/// The changes of one monitor's conditions.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// The conditions to send next.
    wanted: ByTable<Vec<Clause>>,
    callers: Vec<ConditionReply>,
    /// The conditions that were sent and are not acknowledged.
    sent: ByTable<Vec<Clause>>,
    callers_of_sent: Vec<ConditionReply>,
    /// The conditions that a restart of the monitor replaced. They are restored if the monitor cannot be
    /// started and the new ones may be the reason.
    replaced: ByTable<Option<Vec<Clause>>>,
}

impl Conditions {
    pub(super) fn set(&mut self, table: Str, clauses: Vec<Clause>, reply: ConditionReply) {
        self.wanted.insert(table, clauses);
        self.callers.push(reply);
    }

    /// The next change to send for the monitor with this id; `None` when none is wanted, or one is in
    /// flight.
    pub(super) fn next(&mut self, monitor: &ReplicaMonitor, wire: u64) -> Option<Request> {
        if !self.sent.is_empty() || self.wanted.is_empty() {
            return None;
        }
        self.sent = std::mem::take(&mut self.wanted);
        self.callers_of_sent = std::mem::take(&mut self.callers);
        if planted!(ConditionTooEarly) {
            for reply in self.callers_of_sent.drain(..) {
                let _ = reply.send(Ok(()));
            }
        }
        let requests: MonitorRequests = self
            .sent
            .iter()
            .filter(|(table, _)| monitor.has(table))
            .map(|(table, clauses)| {
                let request = MonitorRequest {
                    conditions: Some(clauses.clone()),
                    ..MonitorRequest::default()
                };
                (table.clone(), vec![request])
            })
            .collect();
        Some(Request::MonitorCondChange {
            id: Json::from(wire),
            new_id: Json::from(wire),
            requests,
        })
    }

    /// The monitor is about to be requested: all wanted conditions become part of the request.
    pub(super) fn restart(&mut self, monitor: &mut ReplicaMonitor) {
        self.lost();
        self.sent = std::mem::take(&mut self.wanted);
        self.callers_of_sent = std::mem::take(&mut self.callers);
        for (table, clauses) in &self.sent {
            let before = monitor.set_condition(table, Some(clauses.clone()));
            self.replaced.entry(table.clone()).or_insert(before);
        }
    }

    /// The server has applied the conditions that were sent, and the replica has all their rows.
    pub(super) fn acknowledged(&mut self, monitor: &mut ReplicaMonitor) {
        for (table, clauses) in std::mem::take(&mut self.sent) {
            monitor.set_condition(&table, Some(clauses));
        }
        self.replaced.clear();
        monitor.acknowledge();
        for reply in self.callers_of_sent.drain(..) {
            let _ = reply.send(Ok(()));
        }
    }

    /// The server refuses the conditions that were sent: the earlier ones stay. Returns false when none
    /// was sent.
    pub(super) fn refused(&mut self, monitor: &mut ReplicaMonitor, error: &Error) -> bool {
        for (table, before) in std::mem::take(&mut self.replaced) {
            monitor.set_condition(&table, before);
        }
        for reply in self.callers_of_sent.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
        !std::mem::take(&mut self.sent).is_empty()
    }

    /// Refuses the conditions that were not sent: this server can monitor whole tables only.
    pub(super) fn refuse_wanted(&mut self) {
        let mut tables = std::mem::take(&mut self.wanted).into_keys();
        let error = tables.next().map(Error::ConditionsNotSupported);
        for (reply, error) in self.callers.drain(..).zip(error.iter().cycle()) {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// The monitor cannot be started, but the cause is the condition of a table that this change
    /// does not touch. Keeps the new conditions, and reports the error to the callers that wait for
    /// them.
    pub(super) fn keep(&mut self, error: &Error) {
        self.sent.clear();
        self.replaced.clear();
        for reply in self.callers_of_sent.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// Whether the request changes the condition of this table.
    pub(super) fn changes(&self, table: &str) -> bool {
        self.sent.contains_key(table)
    }

    /// The monitor was stopped, for example because the connection was lost. Conditions that were not
    /// acknowledged are sent again, unless newer ones replaced them.
    pub(super) fn lost(&mut self) {
        if planted!(ConditionLost) {
            self.sent.clear();
        }
        for (table, clauses) in std::mem::take(&mut self.sent) {
            self.wanted.entry(table).or_insert(clauses);
        }
        self.callers.append(&mut self.callers_of_sent);
    }

    /// The session has ended, or the monitor was lost: tells all waiting callers why.
    pub(super) fn fail(&mut self, lost: &Disconnected) {
        for reply in self.callers.drain(..).chain(self.callers_of_sent.drain(..)) {
            let _ = reply.send(Err(lost.clone().into()));
        }
    }
}
