//! Requests that wait for their replies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::command::{Answer, CallError, Ticket};
use super::shared::Shared;
use crate::error::Disconnected;
use crate::value::Str;

/// What waits for a reply.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A caller that waits for the text of the result.
    Call {
        reply: oneshot::Sender<Result<Answer, CallError>>,
        ticket: Arc<Ticket>,
        effect: Effect,
    },
    /// The monitor with this key, requested under this id, that waits for its rows.
    Monitor { key: u64, wire: u64 },
    /// The monitor with this key, requested under this id, that waits for its new conditions.
    Conditions { key: u64, wire: u64 },
    /// A lock, to learn whether this client holds it; and the number of the request for it.
    Lock { name: Str, number: u64 },
    /// The session, to learn about the server's databases.
    ServerDatabases,
    /// The session, to get the database's schema.
    Schema,
    /// No caller waits. The entry exists so that the reply is recognised.
    None,
}

/// What a call may change. The call returns once the replicas show the change, or cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that replicas show.
    None,
    /// Rows. The server can be asked to cancel the call.
    Transaction,
    /// The schema. The call returns once the session knows the new schema and every replica was
    /// started again, or cannot be.
    Conversion,
}

impl Effect {
    pub(super) fn of(method: &str) -> Self {
        match method {
            "transact" => Self::Transaction,
            "convert" => Self::Conversion,
            _ => Self::None,
        }
    }
}

/// The requests in flight on one connection, by their ids.
#[derive(Debug)]
pub(super) struct Pending {
    next: u64,
    waiters: BTreeMap<u64, Waiter>,
    calls: usize,
    shared: Arc<Shared>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.set_calls(0);
    }
}

impl Pending {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            next: 0,
            waiters: BTreeMap::new(),
            calls: 0,
            shared,
        }
    }

    /// Publishes the number of calls in flight. This happens before a caller gets its answer, since the
    /// caller may then read the number.
    fn set_calls(&mut self, calls: usize) {
        self.calls = calls;
        let in_flight = &self.shared.counters.in_flight;
        in_flight.store(calls as u64, Ordering::Relaxed);
    }

    /// Registers the waiter, and returns the id for the request.
    pub(super) fn add(&mut self, waiter: Waiter) -> u64 {
        let id = self.next;
        self.next += 1;
        if matches!(waiter, Waiter::Call { .. }) {
            self.set_calls(self.calls + 1);
        }
        self.waiters.insert(id, waiter);
        id
    }

    /// Takes the waiter for the reply with this id.
    pub(super) fn take(&mut self, id: u64) -> Option<Waiter> {
        let is_call = |waiter: Option<&Waiter>| matches!(waiter, Some(Waiter::Call { .. }));
        let other = planted!(ReplyToOther)
            && is_call(self.waiters.get(&id))
            && is_call(self.waiters.get(&(id + 1)));
        let waiter = if other {
            let waiter = self.waiters.remove(&(id + 1))?;
            let own = self.waiters.remove(&id)?;
            self.waiters.insert(id + 1, own);
            waiter
        } else {
            self.waiters.remove(&id)?
        };
        if matches!(waiter, Waiter::Call { .. }) {
            self.set_calls(self.calls - 1);
        }
        Some(waiter)
    }

    /// How many calls wait for their replies.
    pub(super) const fn calls(&self) -> usize {
        self.calls
    }

    /// Whether a request with this id was ever sent.
    pub(super) const fn knows(&self, id: u64) -> bool {
        id < self.next
    }

    /// Forgets a call that its caller has given up. Returns its id if the server can be asked to cancel
    /// it.
    pub(super) fn abandon(&mut self, ticket: &Arc<Ticket>) -> Option<u64> {
        let given_up = |waiter: &Waiter| matches!(waiter, Waiter::Call { ticket: other, .. } if Arc::ptr_eq(other, ticket));
        let id = *self
            .waiters
            .iter()
            .find(|(_, waiter)| given_up(waiter))
            .map(|(id, _)| id)?;
        match self.take(id) {
            Some(Waiter::Call {
                effect: Effect::Transaction,
                ..
            }) => Some(id),
            _ => None,
        }
    }

    /// Tells the caller of each call that no reply will come.
    pub(super) fn fail(&mut self, lost: &Disconnected) {
        self.set_calls(0);
        for waiter in std::mem::take(&mut self.waiters).into_values() {
            if let Waiter::Call { reply, .. } = waiter {
                // The receiver may have been dropped.
                let _ = reply.send(Err(CallError::Lost(lost.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_in_flight_are_counted_until_they_end() {
        let shared = Arc::new(Shared::new("Inventory"));
        let in_flight = || shared.counters.in_flight.load(Ordering::Relaxed);
        let mut pending = Pending::new(shared.clone());
        let mut add = || {
            let (reply, _) = oneshot::channel();
            pending.add(Waiter::Call {
                reply,
                ticket: Arc::default(),
                effect: Effect::None,
            })
        };
        let ids = [(); 3].map(|()| add());
        assert_eq!(in_flight(), 3);
        assert!(pending.take(ids[0]).is_some());
        assert_eq!((pending.calls(), in_flight()), (2, 2));
        // The driver is dropped with its runtime.
        drop(pending);
        assert_eq!(in_flight(), 0);
    }
}
