//! Requests that wait for their replies.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::CallError;
use crate::cache::{MonitorVersion, ReplicaMonitor};
use crate::error::{Disconnected, Error};

/// Who waits for a reply.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A caller, for the text of the result.
    Call(oneshot::Sender<Result<String, CallError>>),
    /// A monitor, for its rows.
    Monitor(StartingMonitor),
    /// Nobody, but the reply must be known to be one.
    Nobody,
}

/// A monitor between its request and its reply.
#[derive(Debug)]
pub(super) struct StartingMonitor {
    pub(super) id: u64,
    pub(super) database: &'static str,
    pub(super) monitor: Box<ReplicaMonitor>,
    pub(super) started: oneshot::Sender<Result<(u64, MonitorVersion), Error>>,
}

/// The requests in flight, by their ids.
#[derive(Debug, Default)]
pub(super) struct Pending {
    next: u64,
    waiters: HashMap<u64, Waiter>,
}

impl Pending {
    /// Registers who waits, and returns the id for the request.
    pub(super) fn add(&mut self, waiter: Waiter) -> u64 {
        let id = self.next;
        self.next += 1;
        self.waiters.insert(id, waiter);
        id
    }

    /// Who waits for the reply with this id.
    pub(super) fn take(&mut self, id: u64) -> Option<Waiter> {
        self.waiters.remove(&id)
    }

    /// Tells everybody that no reply will come.
    pub(super) fn fail(&mut self, lost: &Disconnected) {
        for (_, waiter) in self.waiters.drain() {
            // A receiver that is gone does not mind.
            match waiter {
                Waiter::Call(reply) => {
                    let _ = reply.send(Err(CallError::Lost(lost.clone())));
                }
                Waiter::Monitor(starting) => {
                    let _ = starting.started.send(Err(lost.clone().into()));
                }
                Waiter::Nobody => {}
            }
        }
    }
}
