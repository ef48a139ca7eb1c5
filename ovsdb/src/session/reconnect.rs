//! When to connect, to ask for a sign of life, and to give up: a machine without clock or I/O.
//!
//! The session tells it what happened and when; it answers what to do next and when to ask again.
//! Times are durations since any fixed moment. The timings follow `reconnect.c` of Open vSwitch,
//! with jitter added, so that the clients of a server that restarts do not return all at once.

use std::time::Duration;

/// How a session treats its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timings {
    /// The first wait after a failure.
    pub(crate) min_backoff: Duration,
    /// The longest wait: each failure doubles the wait up to here.
    pub(crate) max_backoff: Duration,
    /// How long a connection may take until it is of use.
    pub(crate) connect_timeout: Duration,
    /// How long the peer may be silent before it is asked for a sign of life, and then again
    /// before it is given up; `None` never asks.
    pub(crate) probe_interval: Option<Duration>,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Connect to the remote with this index.
    Connect(usize),
    /// Ask the peer for a sign of life.
    Probe,
    /// Give the attempt to connect up.
    ConnectTimedOut,
    /// Give the connection up: the peer is silent.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Until then nothing is done.
    Waiting { until: Duration },
    /// Connecting, until then.
    Connecting { deadline: Duration },
    /// Connected.
    Connected {
        since: Duration,
        heard: Duration,
        /// When the peer was asked for a sign of life, since it was last heard.
        probed: Option<Duration>,
    },
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Reconnect {
    timings: Timings,
    state: State,
    remotes: usize,
    /// The remote of this attempt, or of the next one while waiting.
    remote: usize,
    /// The remotes that are tried without waiting, one after the other.
    free_tries: usize,
    /// The next wait, before jitter.
    backoff: Duration,
    random: u64,
}

impl Reconnect {
    /// A machine that connects at once to the first of `remotes` remotes.
    pub(crate) fn new(timings: Timings, remotes: usize, seed: u64) -> Self {
        Self {
            timings,
            state: State::Waiting {
                until: Duration::ZERO,
            },
            remotes: remotes.max(1),
            remote: 0,
            free_tries: remotes.saturating_sub(1),
            backoff: timings.min_backoff,
            random: seed,
        }
    }

    /// What to do now, if anything. To be asked again after each event, and at
    /// [`deadline`](Self::deadline).
    pub(crate) fn poll(&mut self, now: Duration) -> Option<Action> {
        match &mut self.state {
            State::Waiting { until } if now >= *until => {
                let deadline = now + self.timings.connect_timeout;
                self.state = State::Connecting { deadline };
                Some(Action::Connect(self.remote))
            }
            State::Connecting { deadline } if now >= *deadline => Some(Action::ConnectTimedOut),
            State::Connected { heard, probed, .. } => {
                let interval = self.timings.probe_interval?;
                // The peer gets its interval from when it was asked, however late that was.
                if let Some(probed) = probed {
                    (now >= *probed + interval).then_some(Action::Silent)
                } else if now >= *heard + interval {
                    *probed = Some(now);
                    Some(Action::Probe)
                } else {
                    None
                }
            }
            State::Waiting { .. } | State::Connecting { .. } => None,
        }
    }

    /// When there may be something to do without an event before.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Connecting { deadline } => Some(deadline),
            State::Connected { heard, probed, .. } => {
                let interval = self.timings.probe_interval?;
                Some(probed.unwrap_or(heard) + interval)
            }
        }
    }

    /// The connection is of use.
    pub(crate) fn connected(&mut self, now: Duration) {
        self.state = State::Connected {
            since: now,
            heard: now,
            probed: None,
        };
    }

    /// Something came from the peer: whatever it is, the peer lives.
    pub(crate) fn heard(&mut self, now: Duration) {
        if let State::Connected { heard, probed, .. } = &mut self.state {
            *heard = now;
            *probed = None;
        }
    }

    /// The connection is lost, or the attempt failed: the next remote follows, at once if it was
    /// not tried in this round.
    pub(crate) fn disconnected(&mut self, now: Duration) {
        if let State::Connected { since, .. } = self.state
            && now.saturating_sub(since) >= self.backoff
        {
            // It served for a while: the failures before it are past.
            self.backoff = self.timings.min_backoff;
            self.free_tries = self.remotes - 1;
        }
        self.remote = (self.remote + 1) % self.remotes;
        let mut wait = Duration::ZERO;
        if self.free_tries > 0 {
            self.free_tries -= 1;
        } else {
            self.free_tries = self.remotes - 1;
            wait = self.jittered(self.backoff);
            self.backoff = (self.backoff * 2).min(self.timings.max_backoff);
        }
        self.state = State::Waiting { until: now + wait };
    }

    /// Other remotes from now on: the next attempt is at the first, and does not wait. Whether a
    /// connection or an attempt is there, which is the caller's to end.
    pub(crate) fn set_remotes(&mut self, now: Duration, remotes: usize) -> bool {
        self.remotes = remotes.max(1);
        let busy = self.hurry(now);
        self.remote = if busy { self.remotes - 1 } else { 0 };
        self.free_tries = self.remotes - usize::from(!busy);
        busy
    }

    /// The next attempt does not wait. Whether a connection or an attempt is there.
    pub(crate) fn hurry(&mut self, now: Duration) -> bool {
        if let State::Waiting { until } = &mut self.state {
            *until = now;
            return false;
        }
        self.free_tries = self.free_tries.max(1);
        true
    }

    /// From the half of `wait` to the whole.
    fn jittered(&mut self, wait: Duration) -> Duration {
        // SplitMix64: enough to spread clients, and the same for the same seed.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = u32::try_from((bits ^ (bits >> 31)) & 0xffff).unwrap_or(0);
        wait / 2 + (wait / 2) * share / 0xffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMINGS: Timings = Timings {
        min_backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(8),
        connect_timeout: Duration::from_secs(10),
        probe_interval: Some(Duration::from_secs(5)),
    };

    /// What happens to the machine.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Nothing,
        Connected,
        Heard,
        Disconnected,
        SetRemotes(usize),
        Hurry,
    }
    use Event::{Connected, Disconnected, Heard, Hurry, Nothing, SetRemotes};

    /// Runs a table of (milliseconds, event, action after it). Waits are checked by their bounds:
    /// within them nothing happens, behind them something does.
    fn run(remotes: usize, table: &[(u64, Event, Option<Action>)]) {
        for seed in 0..50 {
            let mut machine = Reconnect::new(TIMINGS, remotes, seed);
            for (line, (at, event, action)) in table.iter().enumerate() {
                let now = Duration::from_millis(*at);
                match event {
                    Nothing => {}
                    Connected => machine.connected(now),
                    Heard => machine.heard(now),
                    Disconnected => machine.disconnected(now),
                    SetRemotes(remotes) => drop(machine.set_remotes(now, *remotes)),
                    Hurry => drop(machine.hurry(now)),
                }
                assert_eq!(machine.poll(now), *action, "seed {seed}, line {line}");
                let deadline = machine.deadline().expect("something is always to come");
                assert!(action.is_some() || deadline > now, "line {line}");
            }
        }
    }

    #[test]
    fn failures_double_the_wait_up_to_the_limit() {
        run(
            1,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (10, Disconnected, None),
                (509, Nothing, None),
                (1_010, Nothing, Some(Action::Connect(0))),
                (1_020, Disconnected, None),
                (2_019, Nothing, None),
                (3_020, Nothing, Some(Action::Connect(0))),
                (3_020, Disconnected, None),
                (5_019, Nothing, None),
                (7_020, Nothing, Some(Action::Connect(0))),
                (7_020, Disconnected, None),
                (11_019, Nothing, None),
                (15_020, Nothing, Some(Action::Connect(0))),
                // The longest wait is reached.
                (15_020, Disconnected, None),
                (19_019, Nothing, None),
                (23_020, Nothing, Some(Action::Connect(0))),
            ],
        );
    }

    #[test]
    fn a_session_that_lasted_makes_up_for_the_failures() {
        run(
            1,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (0, Disconnected, None),
                (1_000, Nothing, Some(Action::Connect(0))),
                (1_000, Disconnected, None),
                (3_000, Nothing, Some(Action::Connect(0))),
                // Shorter than the wait would be: the wait goes on doubling.
                (3_000, Connected, None),
                (3_001, Disconnected, None),
                (5_000, Nothing, None),
                (7_001, Nothing, Some(Action::Connect(0))),
                // Longer: it is back at the first.
                (7_001, Connected, None),
                (11_999, Heard, None),
                (16_998, Heard, None),
                (16_999, Disconnected, None),
                (17_998, Nothing, Some(Action::Connect(0))),
            ],
        );
    }

    #[test]
    fn every_remote_is_tried_before_any_wait() {
        run(
            3,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (1, Disconnected, Some(Action::Connect(1))),
                (2, Disconnected, Some(Action::Connect(2))),
                (3, Disconnected, None),
                (502, Nothing, None),
                (1_003, Nothing, Some(Action::Connect(0))),
                (1_004, Disconnected, Some(Action::Connect(1))),
                (1_005, Connected, None),
                // It did not last: the round goes on.
                (1_006, Disconnected, Some(Action::Connect(2))),
                (1_007, Disconnected, None),
                (3_007, Nothing, Some(Action::Connect(0))),
                (3_008, Connected, None),
                (7_100, Heard, None),
                (12_000, Heard, None),
                // It did: a new round begins at the next one.
                (13_000, Disconnected, Some(Action::Connect(1))),
                (13_001, Disconnected, Some(Action::Connect(2))),
                (13_002, Disconnected, None),
                (13_501, Nothing, None),
                (14_002, Nothing, Some(Action::Connect(0))),
            ],
        );
    }

    #[test]
    fn silence_is_probed_and_then_ends_the_connection() {
        run(
            1,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (100, Connected, None),
                (5_099, Nothing, None),
                (5_100, Nothing, Some(Action::Probe)),
                (5_200, Nothing, None),
                // Any byte counts, whether it answers the probe or not.
                (10_099, Heard, None),
                (15_098, Nothing, None),
                (15_099, Nothing, Some(Action::Probe)),
                (20_098, Nothing, None),
                (20_099, Nothing, Some(Action::Silent)),
                (20_099, Disconnected, None),
            ],
        );
    }

    #[test]
    fn a_probe_that_was_late_gets_its_time_all_the_same() {
        run(
            1,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (0, Connected, None),
                // The task was held up for long.
                (17_000, Nothing, Some(Action::Probe)),
                (17_000, Nothing, None),
                (21_999, Nothing, None),
                (22_000, Nothing, Some(Action::Silent)),
            ],
        );
    }

    #[test]
    fn an_attempt_ends_in_time() {
        run(
            1,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (9_999, Heard, None),
                (10_000, Nothing, Some(Action::ConnectTimedOut)),
                (10_000, Disconnected, None),
            ],
        );
    }

    #[test]
    fn new_remotes_are_tried_at_once() {
        run(
            1,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (1, Disconnected, None),
                (2, SetRemotes(2), Some(Action::Connect(0))),
                (3, Disconnected, Some(Action::Connect(1))),
                (4, Disconnected, None),
                // Out of a wait that has begun.
                (5, Hurry, Some(Action::Connect(0))),
                (6, Connected, None),
                // While connected: when that connection is let go.
                (7, SetRemotes(3), None),
                (8, Disconnected, Some(Action::Connect(0))),
                (9, Disconnected, Some(Action::Connect(1))),
                (10, Disconnected, Some(Action::Connect(2))),
                (11, Disconnected, None),
            ],
        );
    }

    #[test]
    fn another_connection_can_be_asked_for() {
        run(
            1,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (1, Connected, None),
                (2, Hurry, None),
                (3, Disconnected, Some(Action::Connect(0))),
                (4, Disconnected, None),
            ],
        );
    }

    #[test]
    fn without_an_interval_nothing_is_probed() {
        let timings = Timings {
            probe_interval: None,
            ..TIMINGS
        };
        let mut machine = Reconnect::new(timings, 1, 0);
        machine.connected(Duration::ZERO);
        assert_eq!(machine.poll(Duration::from_secs(1 << 30)), None);
        assert_eq!(machine.deadline(), None);
    }
}
