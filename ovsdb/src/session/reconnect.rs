//! When to connect, to probe, and to give up: a machine without clock or I/O.
//!
//! The session tells it what happened and when; it answers what to do next and when to ask again.
//! Times are durations since any fixed moment.
//!
//! Each remote has two waits of its own, both exponential with jitter:
//!
//! - the *backoff*, 1 s to 8 s by default, after its server could not be reached, or closed the
//!   connection: such a server gets at most 18 attempts in the first minute and 15 in each later
//!   one, on average 13 and 10, from 1,000 clients 10,000 a minute;
//! - the *pause*, 50 ms to 8 s by default, after its server answered but was not ready: not its
//!   cluster's leader, or without one. Elections are soon over; where they are not, such a server
//!   gets 16 attempts in the first minute and 10 in each later one, on average.
//!
//! A remote that is not waiting is tried at once, one after the other. When none is left, the
//! session *stands by*: it keeps the connection to the server that is not ready, which tells when
//! it becomes the leader, and moves on when another remote is due. A server that stands by shows
//! that another member leads as well, because the log grows; the machine follows that *hint* by
//! trying the others at once, a few times until a connection serves again.
//!
//! A connection that served for [`SETTLED`] ends all pauses. One that served as long as its remote's
//! backoff, or whose server said that it is no longer ready (a leader that hands over), also ends
//! all backoffs, so that the other remotes are tried at once.

use std::time::Duration;

/// How a session treats its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timings {
    /// The first backoff of a remote.
    pub(crate) min_backoff: Duration,
    /// The longest backoff: each failure doubles it up to here.
    pub(crate) max_backoff: Duration,
    /// Time allowed per remote to connect and become usable.
    pub(crate) connect_timeout: Duration,
    /// How long the peer may be silent before it is probed, and then again before it is given up;
    /// `None` never probes.
    pub(crate) probe_interval: Option<Duration>,
}

/// The first pause of a remote, unless the shortest backoff is shorter.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a connection has to serve until it counts: without a limit, servers that become ready
/// for a moment only would be connected to without any wait.
const SETTLED: Duration = Duration::from_millis(100);
/// How many hints per remote are followed until a connection serves again.
const HINTS: usize = 2;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Connect to the remote with this index.
    Connect(usize),
    /// Probe the peer.
    Probe,
    /// Give the attempt to connect up.
    ConnectTimedOut,
    /// Leave the server that is not ready: another remote is due.
    StandByOver,
    /// Give the connection up: the peer is silent.
    Silent,
}

/// How an attempt or a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The server could not be reached or used, or the connection was lost.
    Failed,
    /// The server answered, but is not ready, or not any more: it is not the leader, or the
    /// cluster has none.
    NotReady,
    /// The caller asked for another connection.
    Requested,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting until a remote is due.
    Waiting,
    /// Connecting, until then.
    Connecting { deadline: Duration },
    /// Connected to a server that is not ready, until then.
    StandingBy { until: Duration },
    /// Connected.
    Connected {
        since: Duration,
        heard: Duration,
        /// When the peer was probed, since it was last heard.
        probed: Option<Duration>,
    },
}

/// When a remote may be tried.
#[derive(Debug, Clone, Copy)]
struct Remote {
    /// It failed: not before then.
    failed_until: Duration,
    /// The next backoff, before jitter.
    backoff: Duration,
    /// Its server was not ready: not before then.
    not_ready_until: Duration,
    /// The next pause, before jitter.
    pause: Duration,
}

impl Remote {
    fn new(timings: &Timings) -> Self {
        Self {
            failed_until: Duration::ZERO,
            backoff: timings.min_backoff,
            not_ready_until: Duration::ZERO,
            pause: PAUSE.min(timings.min_backoff),
        }
    }

    fn due(&self) -> Duration {
        self.failed_until.max(self.not_ready_until)
    }
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Reconnect {
    timings: Timings,
    state: State,
    remotes: Vec<Remote>,
    /// The remote of this attempt or connection, or of the last one while waiting.
    remote: usize,
    /// How many hints may still be followed.
    hints: usize,
    random: u64,
}

impl Reconnect {
    /// A machine that connects at once to the first of `remotes` remotes.
    pub(crate) fn new(timings: Timings, remotes: usize, seed: u64) -> Self {
        let remotes = remotes.max(1);
        Self {
            timings,
            state: State::Waiting,
            remotes: vec![Remote::new(&timings); remotes],
            remote: remotes - 1,
            hints: HINTS * remotes,
            random: seed,
        }
    }

    /// What to do now, if anything. To be asked again after each event, and at
    /// [`deadline`](Self::deadline).
    pub(crate) fn poll(&mut self, now: Duration) -> Option<Action> {
        match &mut self.state {
            State::Waiting => {
                self.remote = self.due(now)?;
                let deadline = now + self.timings.connect_timeout;
                self.state = State::Connecting { deadline };
                Some(Action::Connect(self.remote))
            }
            State::Connecting { deadline } if now >= *deadline => Some(Action::ConnectTimedOut),
            State::StandingBy { until } if now >= *until => Some(Action::StandByOver),
            State::Connected { heard, probed, .. } => {
                let interval = self.timings.probe_interval?;
                // The peer gets its interval from when it was probed, however late that was.
                if let Some(probed) = probed {
                    (now >= *probed + interval).then_some(Action::Silent)
                } else if now >= *heard + interval {
                    *probed = Some(now);
                    Some(Action::Probe)
                } else {
                    None
                }
            }
            State::Connecting { .. } | State::StandingBy { .. } => None,
        }
    }

    /// When there may be something to do without an event before.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Waiting => self.remotes.iter().map(Remote::due).min(),
            State::Connecting { deadline } => Some(deadline),
            State::StandingBy { until } => Some(until),
            State::Connected { heard, probed, .. } => {
                let interval = self.timings.probe_interval?;
                Some(probed.unwrap_or(heard) + interval)
            }
        }
    }

    /// The remotes after this one, in the order in which they are tried; this one is the last.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (remote, count) = (self.remote, self.remotes.len());
        (1..=count).map(move |step| (remote + step) % count)
    }

    /// The next remote that does not wait.
    fn due(&self, now: Duration) -> Option<usize> {
        let mut order = self.order();
        order.find(|remote| self.remotes[*remote].due() <= now)
    }

    /// The connection serves.
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

    /// The server answered and is not ready. Whether to stand by: to keep the connection and wait
    /// until the server is, or until [`Action::StandByOver`]. Otherwise another remote is due.
    pub(crate) fn stand_by(&mut self, now: Duration) -> bool {
        if let State::StandingBy { until } = self.state {
            return now < until;
        }
        let others = self.order().filter(|remote| *remote != self.remote);
        let other = others.map(|remote| self.remotes[remote].due()).min();
        if other.is_some_and(|due| due <= now) {
            return false;
        }
        self.pause(now);
        let own = self.remotes[self.remote].not_ready_until;
        let until = other.map_or(own, |due| due.min(own));
        self.state = State::StandingBy { until };
        true
    }

    /// The server that the session stands by shows that its cluster goes on: then another member
    /// leads.
    pub(crate) fn hint(&mut self, now: Duration) {
        let State::StandingBy { until } = &mut self.state else {
            return;
        };
        let mut due = false;
        for (index, remote) in self.remotes.iter_mut().enumerate() {
            if index != self.remote && remote.failed_until <= now && self.hints > 0 {
                remote.not_ready_until = Duration::ZERO;
                due = true;
            }
        }
        if due {
            self.hints -= 1;
            *until = now;
        }
    }

    /// The server that the session stands by is ready.
    pub(crate) fn ready(&mut self, now: Duration) {
        if let State::StandingBy { .. } = self.state {
            let deadline = now + self.timings.connect_timeout;
            self.state = State::Connecting { deadline };
        }
    }

    /// The connection is lost, or the attempt failed: the next remote that is due follows.
    pub(crate) fn disconnected(&mut self, now: Duration, end: End) {
        let stood_by = matches!(self.state, State::StandingBy { .. });
        if let State::Connected { since, .. } = self.state {
            let served = now.saturating_sub(since);
            self.served(served, end);
        }
        self.state = State::Waiting;
        match end {
            End::Failed => {
                let backoff = self.remotes[self.remote].backoff;
                let until = now + self.jittered(backoff);
                let remote = &mut self.remotes[self.remote];
                remote.failed_until = until;
                remote.backoff = (backoff * 2).min(self.timings.max_backoff);
            }
            End::NotReady => {
                if !stood_by {
                    self.pause(now);
                }
                let remote = &mut self.remotes[self.remote];
                remote.failed_until = Duration::ZERO;
                remote.backoff = self.timings.min_backoff;
            }
            End::Requested => self.end_waits(),
        }
    }

    /// Draws the conclusions of a connection that served for so long.
    fn served(&mut self, served: Duration, end: End) {
        let settled = SETTLED.min(self.timings.min_backoff);
        if served < settled {
            return;
        }
        let fresh = Remote::new(&self.timings);
        let backoffs_end = end == End::NotReady || served >= self.remotes[self.remote].backoff;
        for remote in &mut self.remotes {
            *remote = if backoffs_end {
                fresh
            } else {
                Remote {
                    failed_until: remote.failed_until,
                    backoff: remote.backoff,
                    ..fresh
                }
            };
        }
        self.hints = HINTS * self.remotes.len();
    }

    /// The server of this remote is not ready: it waits.
    fn pause(&mut self, now: Duration) {
        let pause = self.remotes[self.remote].pause;
        let until = now + self.jittered(pause);
        let remote = &mut self.remotes[self.remote];
        remote.not_ready_until = until;
        remote.pause = (pause * 2).min(self.timings.max_backoff);
    }

    fn end_waits(&mut self) {
        for remote in &mut self.remotes {
            remote.failed_until = Duration::ZERO;
            remote.not_ready_until = Duration::ZERO;
        }
    }

    /// Other remotes from now on, none of which waits. `current` is the index among them of the
    /// remote that an attempt or a connection is to, which goes on; without it the first one is
    /// next. Whether there is an attempt or a connection; one that is not to go on is the caller's
    /// to end.
    pub(crate) fn set_remotes(&mut self, remotes: usize, current: Option<usize>) -> bool {
        let remotes = remotes.max(1);
        self.remotes = vec![Remote::new(&self.timings); remotes];
        self.hints = HINTS * remotes;
        let busy = self.state != State::Waiting;
        let current = current.filter(|current| busy && *current < remotes);
        self.remote = current.unwrap_or(remotes - 1);
        busy
    }

    /// The next attempt does not wait. Whether there is an attempt or a connection, which is the
    /// caller's to end.
    pub(crate) fn retry_now(&mut self) -> bool {
        self.end_waits();
        self.state != State::Waiting
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
        Failed,
        NotReady,
        Requested,
        /// The server is not ready; whether the machine is to stand by.
        StandBy(bool),
        Hint,
        Ready,
        SetRemotes(usize, Option<usize>),
        RetryNow,
    }
    use Event::{
        Connected, Failed, Heard, Hint, NotReady, Nothing, Ready, Requested, RetryNow, SetRemotes,
        StandBy,
    };

    /// Runs a table of (milliseconds, event, action after it). Waits are checked by their bounds:
    /// before them nothing happens, after them something does.
    fn run(remotes: usize, table: &[(u64, Event, Option<Action>)]) {
        for seed in 0..50 {
            let mut machine = Reconnect::new(TIMINGS, remotes, seed);
            for (line, (at, event, action)) in table.iter().enumerate() {
                let now = Duration::from_millis(*at);
                match event {
                    Nothing => {}
                    Connected => machine.connected(now),
                    Heard => machine.heard(now),
                    Failed => machine.disconnected(now, End::Failed),
                    NotReady => machine.disconnected(now, End::NotReady),
                    Requested => machine.disconnected(now, End::Requested),
                    StandBy(expected) => {
                        assert_eq!(machine.stand_by(now), *expected, "seed {seed}, line {line}");
                    }
                    Hint => machine.hint(now),
                    Ready => machine.ready(now),
                    SetRemotes(remotes, current) => drop(machine.set_remotes(*remotes, *current)),
                    RetryNow => drop(machine.retry_now()),
                }
                assert_eq!(machine.poll(now), *action, "seed {seed}, line {line}");
                let deadline = machine.deadline().expect("something is always to come");
                assert!(
                    action.is_some() || deadline > now,
                    "seed {seed}, line {line}"
                );
            }
        }
    }

    #[test]
    fn failures_double_the_wait_up_to_the_limit() {
        run(
            1,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (10, Failed, None),
                (509, Nothing, None),
                (1_010, Nothing, Some(Action::Connect(0))),
                (1_020, Failed, None),
                (2_019, Nothing, None),
                (3_020, Nothing, Some(Action::Connect(0))),
                (3_020, Failed, None),
                (5_019, Nothing, None),
                (7_020, Nothing, Some(Action::Connect(0))),
                (7_020, Failed, None),
                (11_019, Nothing, None),
                (15_020, Nothing, Some(Action::Connect(0))),
                // The longest wait is reached.
                (15_020, Failed, None),
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
                (0, Failed, None),
                (1_000, Nothing, Some(Action::Connect(0))),
                (1_000, Failed, None),
                (3_000, Nothing, Some(Action::Connect(0))),
                // Shorter than the wait would be: the wait goes on doubling.
                (3_000, Connected, None),
                (3_001, Failed, None),
                (5_000, Nothing, None),
                (7_001, Nothing, Some(Action::Connect(0))),
                // Longer: it is back at the first.
                (7_001, Connected, None),
                (11_999, Heard, None),
                (16_998, Heard, None),
                (16_999, Failed, None),
                (17_498, Nothing, None),
                (17_999, Nothing, Some(Action::Connect(0))),
            ],
        );
    }

    #[test]
    fn every_remote_is_tried_before_any_wait_and_each_waits_for_itself() {
        run(
            3,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (1, Failed, Some(Action::Connect(1))),
                (2, Failed, Some(Action::Connect(2))),
                (3, Failed, None),
                (500, Nothing, None),
                (1_003, Nothing, Some(Action::Connect(0))),
                (1_004, Failed, Some(Action::Connect(1))),
                (1_005, Connected, None),
                // It did not last: it waits longer. The third has waited.
                (1_006, Failed, Some(Action::Connect(2))),
                (1_007, Failed, None),
                (2_003, Nothing, None),
                (3_007, Nothing, Some(Action::Connect(0))),
                (3_008, Connected, None),
                (7_100, Heard, None),
                (12_000, Heard, None),
                // It did: the others are tried at once.
                (13_000, Failed, Some(Action::Connect(1))),
                (13_001, Failed, Some(Action::Connect(2))),
                (13_002, Failed, None),
                (13_499, Nothing, None),
                (14_002, Nothing, Some(Action::Connect(0))),
            ],
        );
    }

    #[test]
    fn a_leader_that_hands_over_is_followed_at_once() {
        run(
            3,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (1, Failed, Some(Action::Connect(1))),
                (2, NotReady, Some(Action::Connect(2))),
                (3, Connected, None),
                // It served for less than a backoff, but says itself that it leads no longer:
                // the failure of the first is forgotten.
                (150, NotReady, Some(Action::Connect(0))),
                (151, Failed, Some(Action::Connect(1))),
                (152, Connected, None),
                // A leader for so short a time does not count: what waits goes on waiting.
                (153, NotReady, None),
                (174, Nothing, None),
                (200, Nothing, Some(Action::Connect(2))),
                (201, Connected, None),
                (5_201, Nothing, Some(Action::Probe)),
                // The same when it is lost, after a backoff's time.
                (5_300, Failed, Some(Action::Connect(0))),
                (5_301, Failed, Some(Action::Connect(1))),
            ],
        );
    }

    #[test]
    fn the_session_stands_by_until_another_remote_is_due() {
        run(
            3,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (0, Connected, None),
                (4_000, Heard, None),
                // The leader dies, and the others have not elected one.
                (8_000, Failed, Some(Action::Connect(1))),
                (8_000, StandBy(false), None),
                (8_000, NotReady, Some(Action::Connect(2))),
                // Both others wait: the first for its backoff, the second for its pause.
                (8_000, StandBy(true), None),
                (8_024, Nothing, None),
                (8_050, Nothing, Some(Action::StandByOver)),
                // The one that was left had its pause while the session stood by.
                (8_050, NotReady, Some(Action::Connect(1))),
                (8_050, StandBy(false), None),
                (8_050, NotReady, Some(Action::Connect(2))),
                (8_051, StandBy(true), None),
                (8_060, StandBy(true), None),
                // It is elected, and the time that standing by may take is over.
                (8_061, Ready, None),
                (9_000, Nothing, None),
                (9_000, Connected, None),
            ],
        );
    }

    #[test]
    fn a_log_that_grows_has_the_other_members_tried_at_once_a_few_times() {
        run(
            2,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (1, NotReady, Some(Action::Connect(1))),
                (2, StandBy(true), None),
                (3, Hint, Some(Action::StandByOver)),
                (3, NotReady, Some(Action::Connect(0))),
                (4, StandBy(true), None),
                (5, Hint, Some(Action::StandByOver)),
                (5, NotReady, Some(Action::Connect(1))),
                (6, StandBy(true), None),
                (7, Hint, Some(Action::StandByOver)),
                (7, NotReady, Some(Action::Connect(0))),
                (8, StandBy(true), None),
                (9, Hint, Some(Action::StandByOver)),
                (9, NotReady, Some(Action::Connect(1))),
                (10, StandBy(true), None),
                // The leader cannot be reached, and the log goes on growing.
                (11, Hint, None),
                (12, Hint, None),
                (13, Connected, None),
                (4_013, Heard, None),
                // It served: hints count again.
                (8_000, NotReady, Some(Action::Connect(0))),
                (8_001, StandBy(true), None),
                (8_002, Hint, Some(Action::StandByOver)),
                (8_002, NotReady, Some(Action::Connect(1))),
            ],
        );
    }

    #[test]
    fn a_hint_does_not_have_servers_tried_that_are_down() {
        run(
            2,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (1, Failed, Some(Action::Connect(1))),
                (2, StandBy(true), None),
                (3, Hint, None),
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
                (20_099, Failed, None),
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
                (10_000, Failed, None),
            ],
        );
    }

    #[test]
    fn new_remotes_are_tried_at_once() {
        run(
            1,
            &[
                (0, Nothing, Some(Action::Connect(0))),
                (1, Failed, None),
                (2, SetRemotes(2, None), Some(Action::Connect(0))),
                (3, Failed, Some(Action::Connect(1))),
                (4, Failed, None),
                // Out of a wait that has begun.
                (5, RetryNow, Some(Action::Connect(0))),
                (6, Connected, None),
                // While connected: when that connection is let go.
                (7, SetRemotes(3, None), None),
                (8, Requested, Some(Action::Connect(0))),
                (9, Failed, Some(Action::Connect(1))),
                (10, Failed, Some(Action::Connect(2))),
                (11, Connected, None),
                // The connection stays, to what is now the first.
                (12, SetRemotes(2, Some(0)), None),
                (13, Failed, Some(Action::Connect(1))),
                (14, Failed, None),
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
                (2, RetryNow, None),
                (3, Requested, Some(Action::Connect(0))),
                (4, Failed, None),
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

    /// How often each of three remotes is tried within a minute and the next, when every server
    /// behaves like this.
    fn attempts(seed: u64, server: impl Fn(&mut Reconnect, Duration) -> bool) -> [[u32; 3]; 2] {
        const MINUTE: Duration = Duration::from_secs(60);
        let mut machine = Reconnect::new(TIMINGS, 3, seed);
        let (mut now, mut attempts) = (Duration::ZERO, [[0; 3]; 2]);
        while now < 2 * MINUTE {
            match machine.poll(now) {
                Some(Action::Connect(remote)) => {
                    attempts[usize::from(now >= MINUTE)][remote] += 1;
                    now += Duration::from_micros(500);
                    if !server(&mut machine, now) {
                        machine.disconnected(now, End::Failed);
                    }
                }
                Some(Action::StandByOver) => machine.disconnected(now, End::NotReady),
                Some(action) => panic!("{action:?}"),
                None => now = machine.deadline().expect("it goes on").max(now),
            }
        }
        attempts
    }

    #[test]
    fn servers_that_are_down_or_not_ready_are_not_stormed() {
        for seed in 0..50 {
            for (first, later, server) in [
                (
                    18,
                    16,
                    (|_, _| false) as fn(&mut Reconnect, Duration) -> bool,
                ),
                (25, 16, |machine, now| {
                    if !machine.stand_by(now) {
                        machine.disconnected(now, End::NotReady);
                    }
                    true
                }),
            ] {
                let [minute, next] = attempts(seed, server);
                assert!(
                    minute.iter().all(|count| (5..=first).contains(count)),
                    "{minute:?}"
                );
                assert!(
                    next.iter().all(|count| (5..=later).contains(count)),
                    "{next:?}"
                );
            }
        }
    }

    #[test]
    fn without_a_hint_a_leader_is_found_within_twice_the_time_that_its_election_took() {
        for seed in 0..200 {
            for elected in [200, 1_000, 3_000].map(Duration::from_millis) {
                let mut machine = Reconnect::new(TIMINGS, 3, seed);
                let mut now = Duration::ZERO;
                // The second remote comes to lead; the first is down.
                let found = loop {
                    match machine.poll(now) {
                        Some(Action::Connect(0)) => machine.disconnected(now, End::Failed),
                        Some(Action::Connect(1)) if now >= elected => break now,
                        Some(Action::Connect(_)) if machine.stand_by(now) => {}
                        Some(Action::Connect(_) | Action::StandByOver) => {
                            machine.disconnected(now, End::NotReady);
                        }
                        Some(action) => panic!("{action:?}"),
                        None => now = machine.deadline().expect("it goes on"),
                    }
                };
                assert!(found <= 3 * elected + PAUSE, "{seed}: {found:?}");
            }
        }
    }
}
