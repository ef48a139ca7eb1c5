//! Requests that wait for their replies.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Answer, CallError, Ticket};
use crate::error::Disconnected;
use crate::value::Str;

/// Who waits for a reply.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A caller, for the text of the result.
    Call {
        reply: oneshot::Sender<Result<Answer, CallError>>,
        ticket: Arc<Ticket>,
        /// Whether it is a transaction: the server can be told to forget it, and the caller goes
        /// on when every replica shows it.
        transacts: bool,
    },
    /// The monitor with this key, asked for under this id, for its rows.
    Monitor { key: u64, wire: u64 },
    /// The conditions of the monitor with this key, asked for under this id.
    Conditions { key: u64, wire: u64 },
    /// A lock, for whether it is ours.
    Lock(Str),
    /// The session, for what the server says of its databases.
    ServerDatabases,
    /// The session, for the database's schema.
    Schema,
    /// Nobody, but the reply must be known to be one.
    Nobody,
}

/// The requests in flight on one connection, by their ids.
#[derive(Debug, Default)]
pub(super) struct Pending {
    next: u64,
    waiters: HashMap<u64, Waiter>,
    calls: usize,
}

impl Pending {
    /// Registers who waits, and returns the id for the request.
    pub(super) fn add(&mut self, waiter: Waiter) -> u64 {
        let id = self.next;
        self.next += 1;
        self.calls += usize::from(matches!(waiter, Waiter::Call { .. }));
        self.waiters.insert(id, waiter);
        id
    }

    /// Who waits for the reply with this id.
    pub(super) fn take(&mut self, id: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&id)?;
        self.calls -= usize::from(matches!(waiter, Waiter::Call { .. }));
        Some(waiter)
    }

    /// The callers that wait.
    pub(super) const fn calls(&self) -> usize {
        self.calls
    }

    /// Whether a request with this id was ever sent.
    pub(super) const fn knows(&self, id: u64) -> bool {
        id < self.next
    }

    /// Forgets a call that its caller has given up; the id, where the server can be told.
    pub(super) fn abandon(&mut self, ticket: &Arc<Ticket>) -> Option<u64> {
        let given_up = |waiter: &Waiter| matches!(waiter, Waiter::Call { ticket: other, .. } if Arc::ptr_eq(other, ticket));
        let id = *self
            .waiters
            .iter()
            .find(|(_, waiter)| given_up(waiter))
            .map(|(id, _)| id)?;
        match self.take(id) {
            Some(Waiter::Call {
                transacts: true, ..
            }) => Some(id),
            _ => None,
        }
    }

    /// Tells every caller that no reply will come.
    pub(super) fn fail(&mut self, lost: &Disconnected) {
        self.calls = 0;
        for (_, waiter) in self.waiters.drain() {
            if let Waiter::Call { reply, .. } = waiter {
                // A receiver that is gone does not mind.
                let _ = reply.send(Err(CallError::Lost(lost.clone())));
            }
        }
    }
}
