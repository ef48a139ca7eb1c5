//! The locks that a client holds or waits for (RFC 7047 section 4.1.8).

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::command::LockReply;
use crate::error::Error;
use crate::protocol::Request;
use crate::value::Str;

#[derive(Debug)]
struct Entry {
    /// The number of handles, and of callers that wait for one.
    handles: usize,
    /// Whether this client holds the lock.
    held: watch::Sender<bool>,
    /// The callers that wait for the server's answer.
    replies: Vec<LockReply>,
    /// Whether the server has answered the last request for the lock on this connection.
    answered: bool,
}

/// All locks of a session. They outlive connections.
#[derive(Debug, Default)]
pub(super) struct Locks {
    entries: BTreeMap<Str, Entry>,
}

fn lock_request(name: &Str, steal: bool) -> Request {
    let name = name.clone();
    if steal {
        Request::Steal { name }
    } else {
        Request::Lock { name }
    }
}

impl Locks {
    /// Whether there is no lock.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A caller asks for a handle of the lock. Returns the requests to send, if any. The answer to
    /// the last of them must be passed to [`answered`](Self::answered).
    pub(super) fn request(&mut self, name: Str, steal: bool, reply: LockReply) -> Vec<Request> {
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.handles += 1;
            if steal && !*entry.held.borrow() {
                // A server refuses a second request for the same lock, so the first one is withdrawn.
                entry.replies.push(reply);
                entry.answered = false;
                return vec![
                    Request::Unlock { name: name.clone() },
                    lock_request(&name, true),
                ];
            }
            if entry.answered {
                let told = reply.send(Ok(entry.held.subscribe())).is_ok();
                entry.handles -= usize::from(!told);
            } else {
                entry.replies.push(reply);
            }
            return Vec::new();
        }
        let request = lock_request(&name, steal);
        let entry = Entry {
            handles: 1,
            held: watch::Sender::new(false),
            replies: vec![reply],
            answered: false,
        };
        self.entries.insert(name, entry);
        vec![request]
    }

    /// A handle was dropped. Returns true when it was the last, and the lock must be released.
    pub(super) fn release(&mut self, name: &str) -> bool {
        let Some(entry) = self.entries.get_mut(name) else {
            return false;
        };
        entry.handles -= 1;
        entry.handles == 0 && self.entries.remove(name).is_some()
    }

    /// The server answered the request for a lock. Returns true when the answer is no error, but
    /// no handle is left, so the lock must be released.
    pub(super) fn answered(&mut self, name: &str, answer: Result<bool, Error>) -> bool {
        let Some(entry) = self.entries.get_mut(name) else {
            return false;
        };
        if let Ok(held) = answer {
            entry.answered = true;
            entry.held.send_replace(held);
        }
        for reply in std::mem::take(&mut entry.replies) {
            let told = match &answer {
                Ok(_) => reply.send(Ok(entry.held.subscribe())).is_ok(),
                Err(error) => {
                    let _ = reply.send(Err(error.clone()));
                    false
                }
            };
            // Each caller that got the answer holds a handle from now on. Callers that no longer
            // wait hold none.
            entry.handles -= usize::from(!told);
        }
        entry.handles == 0 && self.entries.remove(name).is_some() && answer.is_ok()
    }

    /// The server reports that this client got the lock, or that another client stole it.
    pub(super) fn set_held(&self, name: &str, held: bool) {
        if let Some(entry) = self.entries.get(name) {
            entry.held.send_replace(held);
        }
    }

    /// The connection is lost, and every lock with it.
    pub(super) fn lost(&mut self) {
        for entry in self.entries.values_mut() {
            entry.answered = false;
            if !planted!(LockKept) {
                entry.held.send_if_modified(std::mem::take);
            }
        }
    }

    /// The requests for all locks, to be sent on a new connection.
    pub(super) fn requests(&self) -> Vec<(Str, Request)> {
        if planted!(LockForgotten) {
            return Vec::new();
        }
        let names = self.entries.keys();
        // A lock is stolen only once, when the caller asks for it. On later connections the client
        // waits for it.
        names
            .map(|name| (name.clone(), lock_request(name, false)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_caller_that_has_gone_holds_no_handle() {
        let mut locks = Locks::default();
        let name = || Str::from("l");
        let (first, mut answer) = oneshot::channel();
        assert_eq!(locks.request(name(), false, first).len(), 1);
        assert!(!locks.answered("l", Ok(true)));
        let held = answer.try_recv().expect("an answer").expect("a lock");
        assert!(*held.borrow());
        // The server has answered already, so the second caller would get its handle at once; but
        // it no longer waits.
        let (second, answer) = oneshot::channel();
        drop(answer);
        assert!(locks.request(name(), false, second).is_empty());
        assert!(locks.release("l"), "the first handle was the only one");
        assert!(locks.is_empty());
    }

    #[test]
    fn a_caller_that_has_gone_before_the_answer_holds_no_handle() {
        let mut locks = Locks::default();
        let (reply, answer) = oneshot::channel();
        locks.request("l".into(), false, reply);
        drop(answer);
        assert!(
            locks.answered("l", Ok(true)),
            "no caller waits: the lock must be released"
        );
        assert!(locks.is_empty());
    }

    #[test]
    fn a_lock_is_asked_for_again_on_the_next_connection() {
        let mut locks = Locks::default();
        assert!(locks.is_empty() && locks.requests().is_empty());
        let (reply, mut answer) = oneshot::channel();
        let asked = locks.request("l".into(), true, reply);
        assert!(matches!(&asked[..], [Request::Steal { name }] if name == "l"));
        assert!(!locks.is_empty());
        assert!(!locks.answered("l", Ok(true)) && !locks.answered("other", Ok(true)));
        let held = answer.try_recv().expect("an answer").expect("a lock");
        // Another client steals it, and gives it back.
        for now in [false, true] {
            locks.set_held("l", now);
            assert_eq!(*held.borrow(), now);
        }
        locks.lost();
        assert!(!*held.borrow());
        // It is waited for, not stolen again.
        let requests = locks.requests();
        assert!(matches!(&requests[..], [(name, Request::Lock { .. })] if name == "l"));
        assert!(!locks.release("other") && locks.release("l"));
        assert!(locks.is_empty() && !locks.release("l"));
    }

    #[test]
    fn a_second_handle_shares_the_lock_or_steals_it() {
        let mut locks = Locks::default();
        let (first, mut first_answer) = oneshot::channel();
        locks.request("l".into(), false, first);
        assert!(!locks.answered("l", Ok(false)), "another client holds it");
        let first = first_answer.try_recv().expect("an answer").expect("a lock");
        let (second, mut second_answer) = oneshot::channel();
        let asked = locks.request("l".into(), true, second);
        assert!(matches!(
            &asked[..],
            [Request::Unlock { .. }, Request::Steal { .. }]
        ));
        assert!(
            second_answer.try_recv().is_err(),
            "the server has not answered"
        );
        assert!(!locks.answered("l", Ok(true)));
        let second = second_answer
            .try_recv()
            .expect("an answer")
            .expect("a lock");
        assert!(*first.borrow() && *second.borrow());
        // It is held, so there is nothing to steal.
        let (third, mut third_answer) = oneshot::channel();
        assert!(locks.request("l".into(), true, third).is_empty());
        assert!(matches!(third_answer.try_recv(), Ok(Ok(_))));
        assert!(!locks.release("l") && !locks.release("l") && locks.release("l"));
    }

    #[test]
    fn a_lock_that_the_server_refuses_is_not_held() {
        let mut locks = Locks::default();
        let (reply, mut answer) = oneshot::channel();
        locks.request("l".into(), false, reply);
        let refused = Error::Refused(crate::protocol::OvsdbError::new("syntax error"));
        assert!(
            !locks.answered("l", Err(refused)),
            "nothing is to be released"
        );
        assert!(matches!(answer.try_recv(), Ok(Err(Error::Refused(_)))));
        assert!(locks.is_empty());
    }
}
