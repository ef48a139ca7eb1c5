//! Locks (RFC 7047 sections 4.1.8 to 4.1.10): the owner of each lock, and the sessions that wait for
//! it.

use std::collections::{BTreeMap, VecDeque};

use super::SessionId;

/// A session that holds a lock or waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiter {
    session: SessionId,
    /// Whether it got the lock by `steal`. If another session steals the lock in turn, this one does
    /// not wait for it.
    stole: bool,
}

/// All locks of a server.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// The first session holds the lock, the others wait.
    by_name: BTreeMap<Box<str>, VecDeque<Waiter>>,
}

impl Locks {
    /// Whether the session holds the lock.
    pub(super) fn holds(&self, session: SessionId, name: &str) -> bool {
        let waiters = self.by_name.get(name);
        waiters
            .and_then(VecDeque::front)
            .is_some_and(|first| first.session == session)
    }

    /// Queues the session for the lock. Returns whether it holds the lock.
    pub(super) fn lock(&mut self, session: SessionId, name: &str) -> bool {
        let waiters = self.by_name.entry(name.into()).or_default();
        waiters.push_back(Waiter {
            session,
            stole: false,
        });
        waiters.len() == 1 || planted!(ServerLockTwice)
    }

    /// Gives the lock to the session. Returns the session that held it before.
    pub(super) fn steal(&mut self, session: SessionId, name: &str) -> Option<SessionId> {
        let waiters = self.by_name.entry(name.into()).or_default();
        let victim = waiters.front().copied();
        if victim.is_some_and(|victim| victim.stole) {
            waiters.pop_front();
        }
        waiters.push_front(Waiter {
            session,
            stole: true,
        });
        victim.map(|victim| victim.session)
    }

    /// Removes the session from the lock's queue. Returns the session that holds the lock now; `None` also
    /// when the removed session was not in the queue. Like ovsdb-server, the caller notifies that session
    /// even if it held the lock before.
    pub(super) fn unlock(&mut self, session: SessionId, name: &str) -> Option<SessionId> {
        let waiters = self.by_name.get_mut(name)?;
        let at = waiters
            .iter()
            .position(|waiter| waiter.session == session)?;
        waiters.remove(at);
        let next = waiters.front().map(|first| first.session);
        if next.is_none() {
            self.by_name.remove(name);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId(1);
    const B: SessionId = SessionId(2);
    const C: SessionId = SessionId(3);

    #[test]
    fn locks_are_handed_on_in_order() {
        let mut locks = Locks::default();
        assert!(locks.lock(A, "l") && !locks.lock(B, "l") && !locks.lock(C, "l"));
        assert_eq!(locks.unlock(B, "l"), Some(A));
        assert_eq!(locks.unlock(A, "l"), Some(C));
        assert!(locks.holds(C, "l") && !locks.holds(A, "l"));
        assert_eq!(locks.unlock(C, "l"), None);
        assert!(!locks.holds(C, "l"));
    }

    #[test]
    fn a_lock_that_was_stolen_comes_back_unless_it_was_stolen_before() {
        let mut locks = Locks::default();
        assert!(locks.lock(A, "l"));
        assert_eq!(locks.steal(B, "l"), Some(A));
        assert!(locks.holds(B, "l"));
        assert_eq!(locks.steal(C, "l"), Some(B));
        assert_eq!(locks.unlock(B, "l"), None);
        assert_eq!(locks.unlock(C, "l"), Some(A));
    }
}
