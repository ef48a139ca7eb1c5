//! Read-your-writes: which commits still wait until the replicas show them.
//!
//! A server sends the updates of a transaction before its reply. So when a commit resolves, every
//! replica whose monitor is in force shows it. A monitor that is being started again (after a schema
//! conversion, or after an update that did not fit) shows the transaction only with its first rows,
//! which the server sends after the reply. The caller then gets the reply together with a signal to
//! wait for.

use tokio::sync::oneshot;

/// Commits that some replicas do not show yet.
#[derive(Debug, Default)]
pub(super) struct Unshown {
    commits: Vec<Commit>,
}

#[derive(Debug)]
struct Commit {
    /// The keys of the monitors that do not show it.
    monitors: Vec<u64>,
    /// Dropped once every monitor shows the commit, or cannot.
    _shown: oneshot::Sender<()>,
}

/// Resolves once every replica shows the commit, or cannot: its monitor has ended or was refused, or the
/// connection is lost. The sender is then dropped, so the result is always an error.
pub(super) type Shown = oneshot::Receiver<()>;

impl Unshown {
    /// Adds a commit that these monitors do not show yet. Returns `None` if the list is empty.
    pub(super) fn add(&mut self, monitors: Vec<u64>) -> Option<Shown> {
        if monitors.is_empty() {
            return None;
        }
        let (sender, shown) = oneshot::channel();
        self.commits.push(Commit {
            monitors,
            _shown: sender,
        });
        Some(shown)
    }

    /// This monitor shows every earlier commit, or never will.
    pub(super) fn settle(&mut self, monitor: u64) {
        self.commits.retain_mut(|commit| {
            commit.monitors.retain(|key| *key != monitor);
            !commit.monitors.is_empty()
        });
    }

    /// The connection is lost: all commits stop waiting. The replicas are stale, and report it.
    pub(super) fn release(&mut self) {
        self.commits.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    fn waits(shown: &mut Shown) -> bool {
        shown.try_recv() == Err(TryRecvError::Empty)
    }

    #[test]
    fn a_commit_waits_for_the_monitors_that_did_not_show_it_when_its_reply_came() {
        let mut unshown = Unshown::default();
        assert!(unshown.add(Vec::new()).is_none());
        let mut first = unshown.add(vec![1, 2]).expect("waits");
        unshown.settle(1);
        let mut second = unshown.add(vec![2, 3]).expect("waits");
        assert!(waits(&mut first) && waits(&mut second));
        // A monitor that no commit waits for.
        unshown.settle(7);
        unshown.settle(2);
        assert!(!waits(&mut first) && waits(&mut second));
        unshown.release();
        assert!(!waits(&mut second));
    }
}
