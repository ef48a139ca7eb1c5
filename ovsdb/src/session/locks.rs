//! The locks that a client holds or waits for (RFC 7047 section 4.1.8).

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::command::LockReply;
use super::pending::Waiter;
use crate::error::Error;
use crate::protocol::Request;
use crate::value::Str;

#[derive(Debug)]
struct Entry {
    /// The number of handles, and of callers that wait for one.
    handles: usize,
    /// Whether this client holds the lock.
    held: watch::Sender<bool>,
    /// The callers that wait for the answer to the last request.
    waiting: Vec<Waiting>,
    /// The number of the last request for the lock: only its answer counts.
    last: u64,
    answer: Answer,
}

/// The answer to the last request for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It was not given yet. Without a connection, the request is made on the next one.
    Awaited,
    Given,
    /// No answer comes without a new request: the last answer was an error, or the connection was lost.
    NotRequested,
}

/// A caller that waits for a lock.
#[derive(Debug)]
struct Waiting {
    reply: LockReply,
    /// Whether the caller asked to take the lock from the client that holds it.
    steal: bool,
}

impl Entry {
    /// Whether a caller still waits for the lock to be stolen.
    fn steals(&self) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|caller| caller.steal && !caller.reply.is_closed())
    }
}

/// All locks of a session. They outlive connections.
#[derive(Debug, Default)]
pub(super) struct Locks {
    entries: BTreeMap<Str, Entry>,
    /// How many requests were made.
    requests: u64,
}

fn lock_request(name: &Str, steal: bool) -> Request {
    let name = name.clone();
    if steal {
        Request::Steal { name }
    } else {
        Request::Lock { name }
    }
}

/// The number of the next request.
const fn count(requests: &mut u64) -> u64 {
    *requests += 1;
    *requests
}

impl Locks {
    /// Whether there is no lock.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A caller asks for a handle of the lock. Returns the requests to send, if any. Without a
    /// connection they are dropped, since [`requests`](Self::requests) makes one for each lock on the next
    /// connection.
    pub(super) fn request(
        &mut self,
        name: Str,
        steal: bool,
        reply: LockReply,
    ) -> Vec<(Waiter, Request)> {
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.handles += 1;
            let steals = steal && !*entry.held.borrow();
            if !steals && entry.answer == Answer::Given {
                let told = reply.send(Ok(entry.held.subscribe())).is_ok();
                entry.handles -= usize::from(!told);
                return Vec::new();
            }
            entry.waiting.push(Waiting { reply, steal });
            if !steals && entry.answer == Answer::Awaited {
                return Vec::new();
            }
            entry.answer = Answer::Awaited;
            let number = count(&mut self.requests);
            entry.last = number;
            // A server refuses a second request for the same lock, so an earlier one is withdrawn.
            let unlock = Request::Unlock { name: name.clone() };
            let lock = lock_request(&name, steal);
            return vec![
                (Waiter::None, unlock),
                (Waiter::Lock { name, number }, lock),
            ];
        }
        let request = lock_request(&name, steal);
        let number = count(&mut self.requests);
        let entry = Entry {
            handles: 1,
            held: watch::Sender::new(false),
            waiting: vec![Waiting { reply, steal }],
            last: number,
            answer: Answer::Awaited,
        };
        self.entries.insert(name.clone(), entry);
        vec![(Waiter::Lock { name, number }, request)]
    }

    /// A handle was dropped. Returns true when it was the last, and the lock must be released.
    pub(super) fn release(&mut self, name: &str) -> bool {
        let Some(entry) = self.entries.get_mut(name) else {
            return false;
        };
        entry.handles -= 1;
        entry.handles == 0 && self.entries.remove(name).is_some()
    }

    /// The server answered the request for a lock with this number. Returns true when the answer is no error, but
    /// no handle is left, so the lock must be released.
    pub(super) fn answered(
        &mut self,
        name: &str,
        number: u64,
        answer: Result<bool, Error>,
    ) -> bool {
        let entry = self.entries.get_mut(name);
        let Some(entry) = entry.filter(|entry| entry.last == number) else {
            return false;
        };
        entry.answer = match answer {
            Ok(_) => Answer::Given,
            Err(_) => Answer::NotRequested,
        };
        let held = matches!(answer, Ok(true));
        entry
            .held
            .send_if_modified(|was| std::mem::replace(was, held) != held);
        for Waiting { reply, .. } in std::mem::take(&mut entry.waiting) {
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
            entry.answer = Answer::NotRequested;
            if !planted!(LockKept) {
                entry.held.send_if_modified(std::mem::take);
            }
        }
    }

    /// The requests for all locks, to be sent on a new connection.
    pub(super) fn requests(&mut self) -> Vec<(Waiter, Request)> {
        if planted!(LockForgotten) {
            return Vec::new();
        }
        let entries = self.entries.iter_mut();
        // A steal is repeated on each connection until the server has answered it. On later connections
        // the client requests the lock, and waits for it.
        let requests = entries.map(|(name, entry)| {
            let number = count(&mut self.requests);
            entry.last = number;
            entry.answer = Answer::Awaited;
            let name = name.clone();
            let request = lock_request(&name, entry.steals());
            (Waiter::Lock { name, number }, request)
        });
        requests.collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::protocol::OvsdbError;

    fn name() -> Str {
        "l".into()
    }

    /// A lock that the server has granted by the answer to request 1.
    fn granted() -> (Locks, watch::Receiver<bool>) {
        let mut locks = Locks::default();
        let (first, mut answer) = oneshot::channel();
        assert_eq!(locks.request(name(), false, first).len(), 1);
        assert!(!locks.answered("l", 1, Ok(true)));
        let held = answer.try_recv().expect("an answer").expect("a lock");
        (locks, held)
    }

    #[test]
    fn a_caller_that_has_gone_holds_no_handle() {
        let (mut locks, held) = granted();
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
    fn a_lock_that_was_refused_is_requested_again() {
        let (mut locks, held) = granted();
        // The server of the next connection refuses locks.
        locks.lost();
        assert_eq!(locks.requests().len(), 1);
        let refusal = || Error::Refused(OvsdbError::new("not allowed"));
        assert!(!locks.answered("l", 2, Err(refusal())));
        assert!(!*held.borrow());
        let (second, mut answer) = oneshot::channel();
        let requests = locks.request(name(), false, second);
        assert!(matches!(
            requests[..],
            [
                (Waiter::None, Request::Unlock { .. }),
                (Waiter::Lock { number: 3, .. }, Request::Lock { .. })
            ]
        ));
        // The next caller waits for the same answer.
        let (third, mut same) = oneshot::channel();
        assert!(locks.request(name(), false, third).is_empty());
        assert!(!locks.answered("l", 3, Err(refusal())));
        for answer in [&mut answer, &mut same] {
            let refused = answer.try_recv().expect("an answer");
            assert_eq!(
                refused.expect_err("no lock").to_string(),
                refusal().to_string()
            );
        }
        assert!(locks.release("l"), "the first handle is left");
    }

    #[test]
    fn a_caller_that_has_gone_before_the_answer_holds_no_handle() {
        let mut locks = Locks::default();
        let (reply, answer) = oneshot::channel();
        locks.request("l".into(), false, reply);
        drop(answer);
        assert!(
            locks.answered("l", 1, Ok(true)),
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
        assert!(matches!(&asked[..], [(_, Request::Steal { name })] if name == "l"));
        assert!(!locks.is_empty());
        assert!(!locks.answered("l", 1, Ok(true)) && !locks.answered("other", 1, Ok(true)));
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
        assert!(matches!(&requests[..], [(_, Request::Lock { name })] if name == "l"));
        assert!(!locks.release("other") && locks.release("l"));
        assert!(locks.is_empty() && !locks.release("l"));
    }

    #[test]
    fn a_second_handle_shares_the_lock_or_steals_it() {
        let mut locks = Locks::default();
        let (first, mut first_answer) = oneshot::channel();
        locks.request("l".into(), false, first);
        assert!(
            !locks.answered("l", 1, Ok(false)),
            "another client holds it"
        );
        let first = first_answer.try_recv().expect("an answer").expect("a lock");
        let (second, mut second_answer) = oneshot::channel();
        let asked = locks.request("l".into(), true, second);
        assert!(matches!(
            &asked[..],
            [(_, Request::Unlock { .. }), (_, Request::Steal { .. })]
        ));
        assert!(
            second_answer.try_recv().is_err(),
            "the server has not answered"
        );
        assert!(!locks.answered("l", 2, Ok(true)));
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
        let refused = Error::Refused(OvsdbError::new("syntax error"));
        assert!(
            !locks.answered("l", 1, Err(refused)),
            "nothing is to be released"
        );
        assert!(matches!(answer.try_recv(), Ok(Err(Error::Refused(_)))));
        assert!(locks.is_empty());
    }
}
