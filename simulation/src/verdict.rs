//! What a run has violated. It ends at the first claim that does not hold.

use std::cell::RefCell;

use crate::trace::note;

/// A claim that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The claim, in a few words. Shrinking looks for the same claim.
    pub(crate) claim: &'static str,
    /// What was seen instead.
    pub(crate) seen: String,
}

thread_local! {
    static FIRST: RefCell<Option<Violation>> = const { RefCell::new(None) };
}

/// Forgets the violation of an earlier run.
pub(crate) fn reset() {
    FIRST.set(None);
}

/// The first violation of the run.
pub(crate) fn first() -> Option<Violation> {
    FIRST.with_borrow(Clone::clone)
}

/// Whether a claim is violated.
pub(crate) fn is_violated() -> bool {
    FIRST.with_borrow(Option::is_some)
}

/// Reports that a claim does not hold. Only the first report of a run counts.
pub(crate) fn violated(claim: &'static str, seen: String) {
    if is_violated() {
        return;
    }
    note!("VIOLATED: {claim}: {seen}");
    FIRST.set(Some(Violation { claim, seen }));
}

/// Checks a claim.
pub(crate) fn claim(claim: &'static str, holds: bool, seen: impl FnOnce() -> String) {
    if !holds {
        violated(claim, seen());
    }
}
