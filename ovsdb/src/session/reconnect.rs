//! Decides when to connect, when to probe, and when to give up: a machine without clock or I/O.
//!
//! The session reports what happened and when. The machine answers what to do next and when to ask
//! again. Times are durations since a fixed moment.
//!
//! Each remote has two waits, both exponential with jitter:
//!
//! - the *backoff*, 1 s to 8 s by default, after its server could not be reached or used, or the
//!   connection was lost: such a server gets at most 18 attempts in the first minute and 15 in each
//!   later one, on average 13 and 10; so 1,000 clients make 10,000 attempts a minute;
//! - the *pause*, 50 ms to 8 s by default, after its server answered but was not ready: for example,
//!   it is not its cluster's leader. Elections are usually short; during a long one, such a server
//!   gets 17 attempts in the first minute and 10 in each later one, on average.
//!
//! Remotes that are not waiting are tried at once, one after the other. If a server is not ready and all
//! other remotes are waiting, the session *stands by*: it keeps the connection to that server, which
//! reports when it becomes the leader, and moves on when a remote is due. If that server's log grows
//! meanwhile, another member must be leading. The machine follows this *hint*: it ends the pauses of
//! the other remotes that have no backoff, so that they are tried at once. It follows at most a few
//! hints until a connection serves again.
//!
//! A server that prepares the first rows of a large monitor may be silent for long. Giving it up makes
//! it prepare the same rows once more, for ever if it is always given up too early. So each connection
//! that is given up while its server owes such rows doubles the session's *patience*, up to
//! [`PATIENCE`]: how many probe intervals a server that owes rows may be silent after the probe. The
//! patience is one interval again once such rows arrive after less than two intervals of silence.
//!
//! A connection that served for [`SETTLED`] ends all pauses. In two cases it also ends all
//! backoffs, so that the other remotes are tried at once: if it served as long as its remote's
//! next backoff, and if its server reported that it is no longer ready (a leader that hands over).

#[cfg(test)]
mod tests;

use std::time::Duration;

/// The times by which a session connects and watches its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timings {
    /// The first backoff of a remote.
    pub(crate) min_backoff: Duration,
    /// The longest backoff; each failure doubles the backoff up to this.
    pub(crate) max_backoff: Duration,
    /// Time allowed per remote to connect and become usable.
    pub(crate) connect_timeout: Duration,
    /// How long the peer may be silent before it is probed, and how long after the probe before it is
    /// given up; the latter is multiplied by the patience if the peer owes rows. `None` turns probes off.
    pub(crate) probe_interval: Option<Duration>,
}

/// The first pause of a remote, unless the shortest backoff is shorter.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a connection must serve to end the pauses. Without this, servers that become ready only for
/// a moment would be connected to again and again without a wait.
const SETTLED: Duration = Duration::from_millis(100);
/// The longest patience, in probe intervals.
const PATIENCE: u32 = 8;
/// How many hints are followed, per remote, until a connection serves again.
const HINTS: usize = 2;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Connect to the remote with this index.
    Connect(usize),
    /// Probe the peer.
    Probe,
    /// Give up the attempt to connect.
    ConnectTimedOut,
    /// Leave the server that is not ready: a remote is due, which may be the same one.
    StandByOver,
    /// Give up the connection: the peer stopped responding.
    Silent,
}

/// How an attempt or a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The server could not be reached or used, or the connection was lost.
    Failed,
    /// The server answered, but is not ready, or no longer: it is not the leader, it has not joined its
    /// cluster, it lacks contact with the majority or with its source, or its data is stale.
    NotReady,
    /// The caller requested another connection.
    Requested,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting until a remote is due.
    Waiting,
    /// Connecting, until this deadline.
    Connecting { deadline: Duration },
    /// Connected to a server that is not ready, until this time.
    StandingBy { until: Duration },
    /// Connected.
    Connected {
        since: Duration,
        heard: Duration,
        /// When the peer was probed, if it has not sent anything since.
        probed: Option<Duration>,
        /// Whether the peer owes the first rows of a monitor.
        owes: bool,
        /// The longest silence that ended with a byte while the peer owed these rows; `None` before the
        /// first byte.
        silence: Option<Duration>,
    },
}

/// When a remote may be tried.
#[derive(Debug, Clone, Copy)]
struct Remote {
    /// Its last attempt failed: not before this time.
    failed_until: Duration,
    /// The next backoff, before jitter.
    backoff: Duration,
    /// Its server was not ready: not before this time.
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
    /// The remote of this attempt or connection; while waiting, of the last one.
    remote: usize,
    /// How many more hints may be followed.
    hints: usize,
    /// How many probe intervals a peer that owes rows may be silent after the probe.
    patience: u32,
    random: fastrand::Rng,
}

impl Reconnect {
    /// A machine that connects at once to the first of this many remotes.
    pub(crate) fn new(timings: Timings, remotes: usize, random: fastrand::Rng) -> Self {
        let remotes = remotes.max(1);
        Self {
            timings,
            state: State::Waiting,
            remotes: vec![Remote::new(&timings); remotes],
            remote: remotes - 1,
            hints: HINTS * remotes,
            patience: 1,
            random,
        }
    }

    /// What to do now, if anything. Called after each event, and at [`deadline`](Self::deadline).
    pub(crate) fn poll(&mut self, now: Duration) -> Option<Action> {
        if self.deadline().is_none_or(|at| now < at) {
            return None;
        }
        match &mut self.state {
            State::Waiting => {
                self.remote = self.due(now)?;
                let deadline = now + self.timings.connect_timeout;
                self.state = State::Connecting { deadline };
                Some(Action::Connect(self.remote))
            }
            State::Connecting { .. } => Some(Action::ConnectTimedOut),
            State::StandingBy { .. } => Some(Action::StandByOver),
            State::Connected {
                probed: Some(_), ..
            } => Some(Action::Silent),
            State::Connected { probed, .. } => {
                *probed = Some(now);
                Some(Action::Probe)
            }
        }
    }

    /// When to call [`poll`](Self::poll) if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Waiting => self.remotes.iter().map(Remote::due).min(),
            State::Connecting { .. } if planted!(AttemptUnlimited) => None,
            State::Connecting { deadline } => Some(deadline),
            State::StandingBy { until } => Some(until),
            State::Connected { .. } if planted!(NeverProbed) => None,
            State::Connected {
                heard,
                probed,
                owes,
                ..
            } => {
                let interval = self.timings.probe_interval?;
                let patience = if owes { self.patience } else { 1 };
                // The peer gets its time after the probe in full, however late the probe was.
                Some(probed.map_or(heard + interval, |probed| probed + interval * patience))
            }
        }
    }

    /// All remotes in the order in which they are tried next, this one last.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (remote, count) = (self.remote, self.remotes.len());
        (1..=count).map(move |step| (remote + step) % count)
    }

    /// The next remote that need not wait.
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
            owes: false,
            silence: None,
        };
    }

    /// Bytes arrived from the peer, so it is alive.
    pub(crate) fn heard(&mut self, now: Duration) {
        if let State::Connected {
            heard,
            probed,
            owes,
            silence,
            ..
        } = &mut self.state
        {
            if *owes {
                *silence = (*silence).max(Some(now.saturating_sub(*heard)));
            }
            *heard = now;
            *probed = None;
        }
    }

    /// Whether the peer owes the first rows of a monitor now.
    pub(crate) fn set_owes(&mut self, now_owes: bool) {
        let State::Connected { owes, silence, .. } = &mut self.state else {
            return;
        };
        let has_owed = std::mem::replace(owes, now_owes);
        if has_owed
            && !now_owes
            && let Some(silence) = silence.take()
            && let Some(interval) = self.timings.probe_interval
            && silence < interval * 2
        {
            self.patience = 1;
        }
    }

    /// The peer is given up because it was silent. If it owed rows, the next peer that owes rows gets
    /// more time.
    pub(crate) fn fell_silent(&mut self) {
        if let State::Connected { owes: true, .. } = self.state {
            self.patience = (self.patience * 2).min(PATIENCE);
        }
    }

    /// The server answered and is not ready. Returns true to stand by: keep the connection until the
    /// server is ready, or until [`Action::StandByOver`]. Returns false when another remote can be
    /// tried now, or when the time to stand by is over.
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

    /// The server that the session stands by applies new transactions, so another member leads. Ends
    /// the waits of members that answered and were not ready, so that they are tried at once.
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

    /// The server that the session stands by has become ready.
    pub(crate) fn ready(&mut self, now: Duration) {
        if let State::StandingBy { .. } = self.state {
            let deadline = now + self.timings.connect_timeout;
            self.state = State::Connecting { deadline };
        }
    }

    /// The connection is lost, or the attempt failed. The next remote that is due follows.
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

    /// Ends pauses and backoffs after a connection that served for this long.
    fn served(&mut self, served: Duration, end: End) {
        let settled = SETTLED.min(self.timings.min_backoff);
        if served < settled || planted!(BackoffKept) {
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

    /// The server of this remote is not ready: pauses the remote.
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

    /// Replaces the remotes; none of the new ones waits. To continue the present attempt or
    /// connection, pass the new index of its remote as `current`; otherwise the first remote is
    /// next. Returns whether there is an attempt or a connection. Without `current`, the caller
    /// must end it.
    pub(crate) fn set_remotes(&mut self, remotes: usize, current: Option<usize>) -> bool {
        let remotes = remotes.max(1);
        self.remotes = vec![Remote::new(&self.timings); remotes];
        self.hints = HINTS * remotes;
        let busy = self.state != State::Waiting;
        let current = current.filter(|current| busy && *current < remotes);
        self.remote = current.unwrap_or(remotes - 1);
        busy
    }

    /// Ends all waits. Returns whether there is an attempt or a connection, which the caller must end.
    pub(crate) fn retry_now(&mut self) -> bool {
        self.end_waits();
        self.state != State::Waiting
    }

    /// Adds jitter: between half of `wait` and all of it.
    fn jittered(&mut self, wait: Duration) -> Duration {
        let share = self.random.u32(0..=0xffff);
        wait / 2 + (wait / 2) * share / 0xffff
    }
}
