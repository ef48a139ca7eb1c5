//! Limits the warnings about failed attempts to connect.
//!
//! A client that finds no server tries forever. An operator must learn why, without the same line every
//! second. So each new reason, up to a limit, is logged as a warning once every remote has failed. After that, the
//! current reason is logged again at intervals that double.

use std::time::Duration;

use crate::transport::Remote;

/// The time from the first warning of an outage to its first repetition.
const FIRST_REPETITION: Duration = Duration::from_secs(10);
/// The longest time between two repetitions.
const LAST_REPETITION: Duration = Duration::from_secs(600);
/// How long after the loss of a connection there are no warnings about failed attempts: a restart of a
/// server, or an election, usually takes less. The loss of the connection itself is always logged.
const GRACE: Duration = Duration::from_secs(1);
/// How many different reasons are logged as new in one outage. Some contain numbers, and never repeat
/// exactly.
const REASONS: usize = 16;

/// The time without a connection.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Attempts that failed.
    failures: usize,
    /// No warning is given before this time.
    quiet_until: Duration,
    /// The reasons that were logged as new.
    warned: Vec<String>,
    /// New reasons, held back until every remote has failed and [`GRACE`] is over.
    held_back: Vec<Warning>,
    /// When to repeat a reason.
    repeat_at: Duration,
    /// The interval that ends at `repeat_at`.
    interval: Duration,
}

/// A failed attempt, for a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) remote: Option<Remote>,
    pub(super) reason: String,
}

impl Outage {
    /// A connection that served was lost at this time.
    pub(super) fn begin(&mut self, now: Duration) {
        *self = Self {
            quiet_until: now + GRACE,
            ..Self::default()
        };
    }

    /// How many attempts have failed.
    pub(super) const fn failures(&self) -> usize {
        self.failures
    }

    /// An attempt failed. `remotes` is the number of remotes. Returns the warnings to log now.
    pub(super) fn failed(
        &mut self,
        now: Duration,
        remotes: usize,
        warning: Warning,
    ) -> Vec<Warning> {
        self.failures += 1;
        let held_back = self.held_back.iter().map(|held| &held.reason);
        let is_new = !self.warned.contains(&warning.reason)
            && held_back.clone().all(|reason| *reason != warning.reason)
            && self.warned.len() + held_back.len() < REASONS;
        if is_new {
            self.held_back.push(warning.clone());
        }
        if self.failures < remotes || now < self.quiet_until {
            return Vec::new();
        }
        if !self.held_back.is_empty() {
            if self.warned.is_empty() {
                self.interval = FIRST_REPETITION;
                self.repeat_at = now + FIRST_REPETITION;
            }
            let reasons = self.held_back.iter().map(|held| held.reason.clone());
            self.warned.extend(reasons);
            return std::mem::take(&mut self.held_back);
        }
        if now < self.repeat_at {
            return Vec::new();
        }
        self.interval = (self.interval * 2).min(LAST_REPETITION);
        self.repeat_at = now + self.interval;
        vec![warning]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn failed(outage: &mut Outage, seconds: u64, remotes: usize, reason: &str) -> Vec<String> {
        let warning = Warning {
            remote: None,
            reason: reason.to_owned(),
        };
        let warnings = outage.failed(at(seconds), remotes, warning);
        warnings.into_iter().map(|warning| warning.reason).collect()
    }

    #[test]
    fn each_reason_is_logged_as_a_warning_at_once_and_then_at_growing_intervals() {
        let mut outage = Outage::default();
        let mut told = Vec::new();
        for second in 0..2000 {
            if !failed(&mut outage, second, 1, "refused").is_empty() {
                told.push(second);
            }
        }
        assert_eq!(told, [0, 10, 30, 70, 150, 310, 630, 1230, 1830]);
        assert_eq!(failed(&mut outage, 2000, 1, "no database"), ["no database"]);
        assert!(failed(&mut outage, 2001, 1, "no database").is_empty());
        assert_eq!(outage.failures(), 2002);
        // However many reasons differ, only the first few count as new.
        let many = (0..100).map(|number| failed(&mut outage, 2002, 1, &number.to_string()).len());
        assert_eq!(many.sum::<usize>(), REASONS - 2);
    }

    #[test]
    fn a_remote_that_fails_is_logged_as_a_warning_when_no_other_one_can_be_used() {
        let mut outage = Outage::default();
        assert!(failed(&mut outage, 0, 3, "refused").is_empty());
        assert!(failed(&mut outage, 0, 3, "not the leader").is_empty());
        assert_eq!(
            failed(&mut outage, 0, 3, "refused"),
            ["refused", "not the leader"]
        );
        // After a connection that served, a short outage gives no warning.
        outage.begin(at(100));
        assert!(failed(&mut outage, 100, 1, "refused").is_empty());
        assert_eq!(failed(&mut outage, 101, 1, "refused"), ["refused"]);
    }
}
