//! The bounded queue of a change stream: the server transactions that the stream has not taken yet.
//!
//! A server transaction is queued as the state after it. Queuing a state copies nothing, and later
//! transactions copy only the nodes that they change (copy-on-write). So a queue costs memory only for
//! what its transactions change, and the session fills it without reading any row. When a consumer is
//! too slow, the states in between are dropped. The consumer then gets the difference between the last
//! state that it saw and the newest, with each changed row once, and the number of transactions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::state::State;

/// How many transactions are queued before they are coalesced.
pub(super) const LONGEST: usize = 1024;
/// How many bytes the messages of the queued transactions may have before the transactions are
/// coalesced.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// The state after one server transaction, or after several that were coalesced.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) state: Arc<State>,
    /// The number of transactions.
    pub(super) transactions: u64,
    /// Whether one of them is the first reply of a monitor that was started again. The step then
    /// contains everything that changed meanwhile.
    pub(super) resync: bool,
    /// Whether the server's schema changed with one of them. Such a step goes to every stream, since a
    /// schema change concerns every table.
    pub(super) schema_change: bool,
    /// The bytes of the messages that carried them; 0 after they were coalesced.
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    steps: VecDeque<Step>,
    bytes: usize,
    ended: bool,
    waker: Option<Waker>,
}

/// The queue between the session and one stream.
#[derive(Debug)]
pub(super) struct Subscription {
    /// The position of the only table that the stream shows; `None` for all tables.
    table: Option<usize>,
    queue: Mutex<Queue>,
}

impl Subscription {
    pub(super) fn new(table: Option<usize>) -> Self {
        Self {
            table,
            queue: Mutex::default(),
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a transaction, unless it changes only other tables and not the schema. Returns the waker of the
    /// reader if it waits.
    pub(super) fn push(&self, before: &State, step: &Step) -> Option<Waker> {
        let same = |table| before.has_same(&step.state, table);
        if self.table.is_some_and(same) && !step.schema_change {
            return None;
        }
        if planted!(ResyncNotStreamed) && step.resync {
            return None;
        }
        let mut queue = self.queue();
        queue.bytes += step.bytes;
        queue.steps.push_back(step.clone());
        if queue.steps.len() > LONGEST || queue.bytes > LARGEST && queue.steps.len() > 1 {
            let mut steps = std::mem::take(&mut queue.steps).into_iter();
            if let Some(first) = steps.next() {
                let whole = steps.fold(first, |whole, step| Step {
                    state: step.state,
                    transactions: whole.transactions + step.transactions,
                    resync: whole.resync || step.resync,
                    schema_change: whole.schema_change || step.schema_change,
                    bytes: 0,
                });
                queue.steps.push_back(whole);
            }
            queue.bytes = 0;
        }
        queue.waker.take().filter(|_| !planted!(StreamNotWoken))
    }

    /// Ends the stream after the queued transactions. Returns the waker of the reader if it waits.
    pub(super) fn end(&self) -> Option<Waker> {
        let mut queue = self.queue();
        queue.ended = true;
        queue.waker.take()
    }

    /// The next transaction; `None` at the end.
    pub(super) fn poll_pop(&self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        let mut queue = self.queue();
        if let Some(step) = queue.steps.pop_front() {
            queue.bytes -= step.bytes;
            return Poll::Ready(Some(step));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        match &mut queue.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => queue.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// The next transaction, if one is queued.
    pub(super) fn pop(&self) -> Option<Step> {
        let mut queue = self.queue();
        let step = queue.steps.pop_front()?;
        queue.bytes -= step.bytes;
        Some(step)
    }

    /// How many batches are queued; coalesced transactions count as one.
    pub(super) fn len(&self) -> usize {
        self.queue().steps.len()
    }
}
