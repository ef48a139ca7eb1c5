//! Keys that are queued again after a delay, and the one timer for the first of them.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// When a key is due, with a number that keeps keys due at the same time apart.
pub(super) type Slot = (Instant, u64);

/// The longest delay: a year. A timer of tokio is limited to about two years.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// The keys, sorted by when they are due.
#[derive(Debug)]
pub(super) struct Delays<K> {
    keys: BTreeMap<Slot, K>,
    number: u64,
}

impl<K> Delays<K> {
    pub(super) const fn new() -> Self {
        Self {
            keys: BTreeMap::new(),
            number: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds a key that is due after `delay`.
    pub(super) fn add(&mut self, key: K, delay: Duration) -> Slot {
        self.number += 1;
        let slot = (Instant::now() + delay.min(LONGEST), self.number);
        self.keys.insert(slot, key);
        slot
    }

    pub(super) fn remove(&mut self, slot: &Slot) {
        self.keys.remove(slot);
    }

    /// When the first key is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.keys.first_key_value().map(|((due, _), _)| *due)
    }

    /// Removes the first key, if it is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        self.keys.pop_first().map(|(_, key)| key)
    }

    /// Removes all keys.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = K> + use<K> {
        std::mem::take(&mut self.keys).into_values()
    }
}

/// Wakes when the first key is due.
#[derive(Debug, Default)]
pub(super) struct Timer(Mutex<Option<Pin<Box<Sleep>>>>);

impl Timer {
    /// Sets the timer to the time that `next` returns. Returns that time if it has come. `next` is
    /// called under the timer's lock, so the last caller sets the earliest time.
    pub(super) fn poll(
        &self,
        waker: &Waker,
        next: impl FnOnce() -> Option<Instant>,
    ) -> Option<Instant> {
        let mut timer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next()?;
        let sleep = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        let is_over = sleep.as_mut().poll(&mut Context::from_waker(waker));
        if is_over.is_pending() {
            return None;
        }
        *timer = None;
        Some(due)
    }
}
