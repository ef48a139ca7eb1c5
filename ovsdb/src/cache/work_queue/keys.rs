//! The keys of a work queue, and the state of each.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::delays::{Delays, Slot};

/// The state of a key, with the time of the first change that no worker has finished.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Queued(Instant),
    InWork,
    /// In work, and added again meanwhile.
    InWorkAgain(Instant),
    /// Not queued until its delay ends.
    Delayed(Instant, Slot),
}

/// What happens to a key that a worker is done with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    Done,
    Again,
    After(Duration),
}

#[derive(Debug)]
pub(super) struct Keys<K> {
    pub(super) queue: VecDeque<K>,
    pub(super) places: HashMap<K, Place>,
    pub(super) delays: Delays<K>,
    /// Whether a source was added, or a source or the timer has woken the queue, and the sources were not
    /// polled since.
    pub(super) sources_ready: bool,
    /// Whether all sources have ended.
    pub(super) exhausted: bool,
    /// Whether the queue was closed, for good.
    pub(super) closed: bool,
    pub(super) waiting: Vec<Waker>,
}

impl<K: Hash + Eq + Clone> Keys<K> {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            places: HashMap::new(),
            delays: Delays::new(),
            sources_ready: false,
            exhausted: false,
            closed: false,
            waiting: Vec::new(),
        }
    }

    pub(super) fn wait(&mut self, context: &Context<'_>) {
        if !self.waiting.iter().any(|w| w.will_wake(context.waker())) {
            self.waiting.push(context.waker().clone());
        }
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.exhausted || self.closed
    }

    /// Adds a key. Returns false if it was queued or in work already.
    pub(super) fn add(&mut self, key: K, now: Instant) -> bool {
        match self.places.entry(key) {
            Entry::Vacant(entry) => {
                self.queue.push_back(entry.key().clone());
                entry.insert(Place::Queued(now));
                true
            }
            Entry::Occupied(mut entry) => match *entry.get() {
                Place::InWork if planted!(KeyLostInWork) => false,
                Place::InWork if planted!(KeyTwiceInWork) => {
                    self.queue.push_back(entry.key().clone());
                    entry.insert(Place::Queued(now));
                    true
                }
                Place::Queued(_) | Place::InWorkAgain(_) => false,
                Place::InWork => {
                    entry.insert(Place::InWorkAgain(now));
                    false
                }
                Place::Delayed(since, slot) => {
                    self.delays.remove(&slot);
                    self.queue.push_back(entry.key().clone());
                    entry.insert(Place::Queued(since));
                    true
                }
            },
        }
    }

    /// Takes a key back from a worker. Returns whether to wake the waiting workers.
    pub(super) fn done(&mut self, key: &K, since: Instant, next: Next) -> bool {
        let ended = self.has_ended();
        let Some(place) = self.places.get_mut(key) else {
            return false;
        };
        let queued = match (next, *place) {
            (Next::Done, Place::InWorkAgain(added)) => Some(added),
            (_, Place::InWorkAgain(_)) => Some(since),
            (Next::Again, _) if !ended => Some(since),
            (Next::After(_), _) if planted!(KeyLostInDelay) => None,
            (Next::After(delay), _) if !ended => {
                let slot = self.delays.add(key.clone(), delay);
                *place = Place::Delayed(since, slot);
                // One of the waiting workers must set the timer.
                return true;
            }
            _ => None,
        };
        if let Some(since) = queued {
            *place = Place::Queued(since);
            self.queue.push_back(key.clone());
            return true;
        }
        self.places.remove(key);
        ended && self.places.is_empty()
    }

    /// Queues the keys that are due.
    pub(super) fn queue_due(&mut self, now: Instant) {
        while let Some(key) = self.delays.take_due(now) {
            if let Some(place) = self.places.get_mut(&key)
                && let Place::Delayed(since, _) = *place
            {
                *place = Place::Queued(since);
                self.queue.push_back(key);
            }
        }
    }

    /// Removes the delayed keys, when the queue has ended. The caller drops them after it has unlocked
    /// the queue.
    #[must_use]
    pub(super) fn take_delayed(&mut self) -> Vec<(K, Option<K>)> {
        let keys = self.delays.take_all().map(|key| {
            let place = self.places.remove_entry(&key);
            (key, place.map(|(key, _)| key))
        });
        keys.collect()
    }
}
