//! Locks (RFC 7047 sections 4.1.8 to 4.1.10): the owner of each, and the sessions that wait for it.

use std::collections::{BTreeMap, VecDeque};

use super::SessionId;

/// A session that holds a lock or waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiter {
    session: SessionId,
    /// Whether it took the lock by `steal`. Once that is taken from it, it does not wait for it.
    stole: bool,
}

/// All locks of a server.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// The first one holds the lock.
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

    /// Queues the session for the lock, and returns whether it holds it.
    pub(super) fn lock(&mut self, session: SessionId, name: &str) -> bool {
        let waiters = self.by_name.entry(name.into()).or_default();
        waiters.push_back(Waiter {
            session,
            stole: false,
        });
        waiters.len() == 1 || planted!(ServerLockTwice)
    }

    /// Gives the lock to the session, and returns the one from which it was taken.
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

    /// Removes the session from the lock, and returns the one that holds it now. It is told so, even
    /// if it held the lock before: that is what ovsdb-server does.
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
