//! When to request a monitor again that was refused, or whose start lost several connections in a row.
//!
//! A refusal concerns one cache only: that cache is stale and reports why, while the connection serves
//! all others. If the server would refuse again for the same reason, the monitor is requested again
//! only after something has changed: the schema, the conditions, or the server. Other refusals may be
//! temporary, and are retried with backoff.

use std::time::Duration;

/// After this many connections in a row were lost while a monitor was being started, the monitor is
/// considered the cause: the server may close the connection because of it, or its first reply may be
/// longer than the limit for messages.
const LOSSES: u32 = 5;

/// The limits of the wait between two attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

/// The outcome of the attempts to start a monitor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refusal {
    /// Whether the monitor is refused now.
    refused: bool,
    /// When to request it again; `None` when something has to change first.
    retry_at: Option<Duration>,
    /// The last wait.
    wait: Duration,
    /// How many connections in a row were lost before the reply came.
    losses: u32,
}

impl Refusal {
    /// The server lacks what the monitor needs: trying again helps only after something has changed.
    pub(super) const fn refuse(&mut self) {
        self.refused = true;
        self.retry_at = None;
    }

    /// The monitor could not be started, for a reason that may be temporary.
    pub(super) fn refuse_for_now(&mut self, now: Duration, backoff: Backoff) {
        self.wait = (self.wait * 2).clamp(backoff.min, backoff.max);
        self.refused = true;
        self.retry_at = Some(now + self.wait);
    }

    /// The connection was lost before the reply came. Returns whether the monitor is considered the
    /// cause.
    pub(super) const fn lost(&mut self) -> bool {
        self.losses = self.losses.saturating_add(1);
        self.losses >= LOSSES
    }

    /// The replica follows the server.
    pub(super) fn started(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether the connection was lost too often while the monitor was being started. Such a monitor is
    /// requested alone, when it is due, and not with the others.
    pub(super) const fn is_costly(&self) -> bool {
        self.losses >= LOSSES
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.retry_at.is_some_and(|at| at <= now)
    }

    pub(super) const fn retry_at(&self) -> Option<Duration> {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        min: Duration::from_secs(1),
        max: Duration::from_secs(8),
    };

    #[test]
    fn refusals_that_may_be_temporary_are_tried_again_after_growing_waits() {
        let mut refusal = Refusal::default();
        let mut now = Duration::ZERO;
        for wait in [1, 2, 4, 8, 8] {
            refusal.refuse_for_now(now, BACKOFF);
            assert!(refusal.is_refused() && !refusal.is_costly() && !refusal.is_due(now));
            now += Duration::from_secs(wait);
            assert_eq!(refusal.retry_at(), Some(now));
            assert!(refusal.is_due(now));
        }
        refusal.refuse();
        assert!(refusal.is_refused() && refusal.retry_at().is_none());
        refusal.started();
        assert!(!refusal.is_refused());
    }

    #[test]
    fn a_monitor_that_keeps_losing_the_connection_waits() {
        let mut refusal = Refusal::default();
        for _ in 1..LOSSES {
            assert!(!refusal.lost());
            assert!(!refusal.is_costly());
        }
        assert!(refusal.lost());
        refusal.refuse_for_now(Duration::ZERO, BACKOFF);
        assert!(refusal.is_costly() && !refusal.is_due(Duration::ZERO));
        refusal.started();
        assert!(!refusal.is_costly());
    }
}
