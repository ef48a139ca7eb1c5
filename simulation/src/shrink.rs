//! Shrinks a scenario that violates a claim.

use crate::scenario::Scenario;
use crate::verdict::Violation;
use crate::world::{Report, run};

/// Leaves out steps as long as the same claim is violated. Returns the steps that are left, and the report of
/// their run.
pub(crate) fn shrink(scenario: &Scenario, violation: &Violation) -> (Vec<usize>, Report) {
    let mut kept: Vec<usize> = (0..scenario.steps.len()).collect();
    let mut report = run(scenario, true);
    let mut size = kept.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < kept.len() {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + size).min(kept.len()));
            let tried = run(&scenario.keeping(&fewer), true);
            if tried
                .violation
                .as_ref()
                .is_some_and(|other| other.claim == violation.claim)
            {
                (kept, report, shorter) = (fewer, tried, true);
            } else {
                at += size;
            }
        }
        if !shorter || size > 1 {
            size /= 2;
        }
    }
    (kept, report)
}
