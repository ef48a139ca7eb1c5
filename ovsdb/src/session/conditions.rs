//! Changes of a monitor's conditions while it runs (ovsdb-server(7), "Monitor_cond_change").
//!
//! One change is in flight at a time. Conditions that are asked for meanwhile are coalesced into the next
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
    waiting: Vec<ConditionReply>,
    /// The conditions that were sent and are not acknowledged.
    sent: ByTable<Vec<Clause>>,
    asking: Vec<ConditionReply>,
    /// The conditions that a restart replaced, restored when the server refuses.
    replaced: ByTable<Option<Vec<Clause>>>,
}

impl Conditions {
    pub(super) fn want(&mut self, table: Str, clauses: Vec<Clause>, reply: ConditionReply) {
        self.wanted.insert(table, clauses);
        self.waiting.push(reply);
    }

    /// The next change to send for the monitor with this id, if there is one and none is in flight.
    pub(super) fn next(&mut self, monitor: &ReplicaMonitor, wire: u64) -> Option<Request> {
        if !self.sent.is_empty() || self.wanted.is_empty() {
            return None;
        }
        self.sent = std::mem::take(&mut self.wanted);
        self.asking = std::mem::take(&mut self.waiting);
        if planted!(ConditionTooEarly) {
            for reply in self.asking.drain(..) {
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

    /// The monitor is about to be asked for: all that is wanted becomes part of the request.
    pub(super) fn restart(&mut self, monitor: &mut ReplicaMonitor) {
        self.lost();
        self.sent = std::mem::take(&mut self.wanted);
        self.asking = std::mem::take(&mut self.waiting);
        for (table, clauses) in &self.sent {
            let before = monitor.set_condition(table, Some(clauses.clone()));
            self.replaced.entry(table.clone()).or_insert(before);
        }
    }

    /// The server has done what was sent, and every row of it is in the replica.
    pub(super) fn acknowledged(&mut self, monitor: &mut ReplicaMonitor) {
        for (table, clauses) in std::mem::take(&mut self.sent) {
            monitor.set_condition(&table, Some(clauses));
        }
        self.replaced.clear();
        monitor.acknowledge();
        for reply in self.asking.drain(..) {
            let _ = reply.send(Ok(()));
        }
    }

    /// The server refuses what was sent: the conditions before it stay. False when nothing was.
    pub(super) fn refused(&mut self, monitor: &mut ReplicaMonitor, error: &Error) -> bool {
        for (table, before) in std::mem::take(&mut self.replaced) {
            monitor.set_condition(&table, before);
        }
        for reply in self.asking.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
        !std::mem::take(&mut self.sent).is_empty()
    }

    /// Refuses the changes that were not sent: the server can monitor whole tables only.
    pub(super) fn refuse_wanted(&mut self) {
        let mut tables = std::mem::take(&mut self.wanted).into_keys();
        let error = tables.next().map(Error::ConditionsNotSupported);
        for (reply, error) in self.waiting.drain(..).zip(error.iter().cycle()) {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// The monitor cannot be started, because of a table whose condition is not among those that
    /// were to change. These are kept, and the callers that wait for them get the reason.
    pub(super) fn keep(&mut self, error: &Error) {
        self.sent.clear();
        self.replaced.clear();
        for reply in self.asking.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// Whether the condition of this table was to change.
    pub(super) fn changes(&self, table: &str) -> bool {
        self.sent.contains_key(table)
    }

    /// The connection is lost: conditions that were sent are sent again, unless newer ones replace them.
    pub(super) fn lost(&mut self) {
        if planted!(ConditionLost) {
            self.sent.clear();
        }
        for (table, clauses) in std::mem::take(&mut self.sent) {
            self.wanted.entry(table).or_insert(clauses);
        }
        self.waiting.append(&mut self.asking);
    }

    /// The monitor has ended: tells all waiting callers.
    pub(super) fn fail(&mut self, lost: &Disconnected) {
        for reply in self.waiting.drain(..).chain(self.asking.drain(..)) {
            let _ = reply.send(Err(lost.clone().into()));
        }
    }
}
