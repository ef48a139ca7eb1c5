//! Tables of events, and clients in virtual time.

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
        let mut machine = Reconnect::new(TIMINGS, remotes, fastrand::Rng::with_seed(seed));
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
            let deadline = machine.deadline().expect("an action is always due");
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
fn a_session_that_lasted_resets_the_backoff() {
    run(
        1,
        &[
            (0, Nothing, Some(Action::Connect(0))),
            (0, Failed, None),
            (1_000, Nothing, Some(Action::Connect(0))),
            (1_000, Failed, None),
            (3_000, Nothing, Some(Action::Connect(0))),
            // It served for less than the next wait, so the wait keeps doubling.
            (3_000, Connected, None),
            (3_001, Failed, None),
            (5_000, Nothing, None),
            (7_001, Nothing, Some(Action::Connect(0))),
            // It served for longer, so the next wait is the first one again.
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
            // It did not last, so it waits for longer. The third is due.
            (1_006, Failed, Some(Action::Connect(2))),
            (1_007, Failed, None),
            (2_003, Nothing, None),
            (3_007, Nothing, Some(Action::Connect(0))),
            (3_008, Connected, None),
            (7_100, Heard, None),
            (12_000, Heard, None),
            // It lasted, so the others are tried at once.
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
            // It served for less than a backoff, but reports that it no longer leads: the failure
            // of the first is forgotten.
            (150, NotReady, Some(Action::Connect(0))),
            (151, Failed, Some(Action::Connect(1))),
            (152, Connected, None),
            // A leader that served for so short a time does not count: the waits continue.
            (153, NotReady, None),
            (174, Nothing, None),
            (200, Nothing, Some(Action::Connect(2))),
            (201, Connected, None),
            (5_201, Nothing, Some(Action::Probe)),
            // The same when the connection is lost after it served as long as a backoff.
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
            // It is elected, so standing by ends.
            (8_061, Ready, None),
            (9_000, Nothing, None),
            (9_000, Connected, None),
        ],
    );
}

#[test]
fn when_a_log_grows_the_other_members_are_tried_at_once_a_few_times() {
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
            // The leader cannot be reached, and the log keeps growing.
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
fn new_remotes_have_their_own_number_of_hints() {
    run(
        1,
        &[
            (0, SetRemotes(2, None), Some(Action::Connect(0))),
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
            (11, Hint, None),
        ],
    );
}

#[test]
fn a_hint_does_not_end_the_backoff_of_servers_that_are_down() {
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
fn a_late_probe_still_gets_its_whole_interval() {
    run(
        1,
        &[
            (0, Nothing, Some(Action::Connect(0))),
            (0, Connected, None),
            // The task was delayed for a long time.
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
            // During a wait.
            (5, RetryNow, Some(Action::Connect(0))),
            (6, Connected, None),
            // While connected: when that connection is given up.
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
fn a_reconnect_can_be_requested() {
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
    let mut machine = Reconnect::new(timings, 1, fastrand::Rng::with_seed(0));
    machine.connected(Duration::ZERO);
    assert_eq!(machine.poll(Duration::from_secs(1 << 30)), None);
    assert_eq!(machine.deadline(), None);
}

/// How often each of three remotes is tried within a minute and the next, when every server
/// behaves like this.
fn attempts(seed: u64, server: impl Fn(&mut Reconnect, Duration) -> bool) -> [[u32; 3]; 2] {
    const MINUTE: Duration = Duration::from_secs(60);
    let mut machine = Reconnect::new(TIMINGS, 3, fastrand::Rng::with_seed(seed));
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
            None => now = machine.deadline().expect("it continues").max(now),
        }
    }
    attempts
}

#[test]
fn servers_that_are_down_or_not_ready_get_a_bounded_number_of_attempts() {
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
fn a_leader_is_found_at_most_two_election_times_after_its_election() {
    for seed in 0..200 {
        for elected in [200, 1_000, 3_000].map(Duration::from_millis) {
            let mut machine = Reconnect::new(TIMINGS, 3, fastrand::Rng::with_seed(seed));
            let mut now = Duration::ZERO;
            // The second remote becomes the leader; the first is down.
            let found = loop {
                match machine.poll(now) {
                    Some(Action::Connect(0)) => machine.disconnected(now, End::Failed),
                    Some(Action::Connect(1)) if now >= elected => break now,
                    Some(Action::Connect(_)) if machine.stand_by(now) => {}
                    Some(Action::Connect(_) | Action::StandByOver) => {
                        machine.disconnected(now, End::NotReady);
                    }
                    Some(action) => panic!("{action:?}"),
                    None => now = machine.deadline().expect("it continues"),
                }
            };
            assert!(found <= 3 * elected + PAUSE, "{seed}: {found:?}");
        }
    }
}

#[test]
fn the_session_stands_by_until_a_remote_is_due_and_no_longer() {
    let mut machine = Reconnect::new(TIMINGS, 1, fastrand::Rng::with_seed(1));
    let connect = machine.poll(Duration::ZERO);
    assert_eq!(connect, Some(Action::Connect(0)));
    assert!(machine.stand_by(Duration::ZERO));
    let until = machine.deadline().expect("it stands by for a while");
    assert!(machine.stand_by(until.saturating_sub(Duration::from_nanos(1))));
    assert!(!machine.stand_by(until));
    assert_eq!(machine.poll(until), Some(Action::StandByOver));
}

#[test]
fn remotes_that_are_replaced_while_the_session_waits_are_tried_from_the_first() {
    run(
        3,
        &[
            (0, Nothing, Some(Action::Connect(0))),
            (1, Failed, Some(Action::Connect(1))),
            (2, Failed, Some(Action::Connect(2))),
            (3, Failed, None),
            (4, SetRemotes(3, Some(1)), Some(Action::Connect(0))),
        ],
    );
    // An index beyond the new remotes is none of theirs.
    run(
        3,
        &[
            (0, Nothing, Some(Action::Connect(0))),
            (1, Connected, None),
            (2, SetRemotes(2, Some(2)), None),
            (3, Failed, Some(Action::Connect(0))),
        ],
    );
}

/// Connects the machine at this time, to a server that owes rows.
fn owed(machine: &mut Reconnect, now: Duration) {
    while machine.poll(now) != Some(Action::Connect(0)) {
        assert!(
            machine.deadline().is_some_and(|at| at <= now),
            "it is to connect"
        );
    }
    machine.connected(now);
    machine.set_owes(true);
}

/// How long the machine waits for a server that never sends anything.
fn given_up_after(machine: &mut Reconnect, begun: Duration) -> Duration {
    let mut now = begun;
    loop {
        match machine.poll(now) {
            Some(Action::Silent) => {
                machine.fell_silent();
                machine.disconnected(now, End::Failed);
                return now - begun;
            }
            Some(Action::Probe) => {}
            other => assert_eq!(other, None),
        }
        now = machine.deadline().expect("it is given up some time");
    }
}

#[test]
fn patience_is_reset_only_by_rows_that_did_not_need_it() {
    let seconds = Duration::from_secs;
    for (silence, next) in [(9, 10), (10, 15), (14, 15)] {
        let mut machine = Reconnect::new(TIMINGS, 1, fastrand::Rng::with_seed(1));
        owed(&mut machine, Duration::ZERO);
        assert_eq!(given_up_after(&mut machine, Duration::ZERO), seconds(10));
        owed(&mut machine, seconds(20));
        assert_eq!(machine.poll(seconds(25)), Some(Action::Probe));
        machine.heard(seconds(20 + silence));
        machine.set_owes(false);
        // The silence after that does not count, since the server owes nothing.
        machine.heard(seconds(60));
        machine.set_owes(true);
        let again = given_up_after(&mut machine, seconds(60));
        assert_eq!(again, seconds(next), "rows after {silence} s");
    }
}

/// How many hints are followed while no member leads.
fn hints(machine: &mut Reconnect, mut now: Duration) -> usize {
    for count in 0.. {
        while !machine.stand_by(now) {
            machine.disconnected(now, End::NotReady);
            assert!(matches!(machine.poll(now), Some(Action::Connect(_))));
            now += Duration::from_micros(100);
        }
        machine.hint(now);
        if machine.poll(now) != Some(Action::StandByOver) {
            return count;
        }
        machine.disconnected(now, End::NotReady);
        assert!(matches!(machine.poll(now), Some(Action::Connect(_))));
    }
    unreachable!("the number of hints is limited")
}

#[test]
fn two_hints_for_each_remote_are_followed_until_one_serves() {
    for remotes in [2, 3] {
        let second = Duration::from_secs(1);
        let mut machine = Reconnect::new(TIMINGS, 1, fastrand::Rng::with_seed(7));
        machine.set_remotes(remotes, None);
        machine.poll(Duration::ZERO);
        assert_eq!(hints(&mut machine, Duration::ZERO), 2 * remotes);
        let now = 100 * second;
        machine.poll(now);
        machine.disconnected(now, End::NotReady);
        machine.poll(now);
        machine.connected(now);
        machine.disconnected(now + second, End::NotReady);
        machine.poll(now + second);
        assert_eq!(hints(&mut machine, now + second), 2 * remotes);
    }
}

#[test]
fn a_connection_that_serves_long_enough_shortens_the_pauses() {
    for (served, longest) in [(99, 100), (100, 50)] {
        let mut longer = 0;
        for seed in 0..50 {
            let mut machine = Reconnect::new(TIMINGS, 1, fastrand::Rng::with_seed(seed));
            let at = Duration::from_millis;
            machine.poll(at(0));
            machine.disconnected(at(1), End::NotReady);
            assert_eq!(machine.poll(at(51)), Some(Action::Connect(0)));
            machine.connected(at(60));
            machine.disconnected(at(60 + served), End::NotReady);
            let due = machine.deadline().expect("another attempt");
            let pause = due.checked_sub(at(60 + served)).expect("later");
            assert!(
                pause >= at(longest / 2) && pause <= at(longest),
                "{pause:?}"
            );
            longer += u32::from(pause > at(longest * 3 / 4));
        }
        // Pauses are drawn from the whole range.
        assert!((10..40).contains(&longer), "{longer} of 50");
    }
}

#[test]
fn a_peer_that_still_owes_rows_keeps_the_time_that_it_was_given() {
    let interval = TIMINGS.probe_interval.expect("probes");
    let mut machine = Reconnect::new(TIMINGS, 1, fastrand::Rng::with_seed(7));
    let mut now = Duration::ZERO;
    for patience in [1, 2] {
        assert_eq!(machine.poll(now), Some(Action::Connect(0)));
        machine.connected(now);
        machine.set_owes(true);
        // Bytes arrive soon, and another monitor is requested.
        now += Duration::from_secs(1);
        machine.heard(now);
        machine.set_owes(true);
        now += interval;
        assert_eq!(machine.poll(now), Some(Action::Probe));
        assert_eq!(machine.deadline(), Some(now + interval * patience));
        now += interval * patience;
        assert_eq!(machine.poll(now), Some(Action::Silent));
        machine.fell_silent();
        machine.disconnected(now, End::Failed);
        now += TIMINGS.max_backoff;
    }
}
