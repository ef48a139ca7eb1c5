//! Servers that are silent while they prepare the first rows of a monitor.

use super::*;

/// Waits for the next connection, and returns its request for the rows.
fn next_request(lab: &mut Lab) -> Received {
    while !matches!(lab.line, Line::Connecting(_)) {
        lab.pass(milliseconds(100));
    }
    lab.connect();
    lab.greet();
    let request = lab.request();
    assert_eq!(request.method, "monitor_cond_since");
    request
}

/// How long the session waited for the silent server, in milliseconds.
fn time_to_silence(lab: &mut Lab) -> u128 {
    let since = lab.now;
    while lab.is_connected() {
        lab.pass(milliseconds(100));
        assert!(lab.now - since < MINUTE, "it is never given up");
    }
    assert_eq!(lab.lost(), DisconnectReason::Silent.to_string());
    (lab.now - since).as_millis()
}

/// A session whose only monitor has its rows.
fn following() -> (Lab, Handle) {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let (monitor, replica) = items();
    let _started = lab.monitor(monitor);
    let request = lab.request();
    lab.reply(&request, &rows(1));
    (lab, replica)
}

#[test]
fn a_server_that_needs_long_for_the_first_rows_is_given_more_time_after_each_attempt() {
    let (mut lab, replica) = following();
    assert_eq!(time_to_silence(&mut lab), 10_000);
    for wait in [10_000, 15_000, 25_000] {
        let _unanswered = next_request(&mut lab);
        assert_eq!(time_to_silence(&mut lab), wait);
    }
    let request = next_request(&mut lab);
    lab.pass(milliseconds(29_000));
    assert!(lab.is_connected());
    lab.reply(&request, &rows(2));
    assert_eq!(replica.snapshot::<Inventory>().rows::<Item>().count(), 2);

    // A server that owes nothing is given up as soon as before.
    assert_eq!(lab.request().method, "echo");
    assert_eq!(time_to_silence(&mut lab), 10_000);
    // The next one needs as long as this one did, and gets the time at once.
    let request = next_request(&mut lab);
    lab.pass(milliseconds(29_000));
    lab.reply(&request, &rows(3));
    assert_eq!(replica.snapshot::<Inventory>().rows::<Item>().count(), 3);
}

#[test]
fn patience_has_a_limit_and_is_reset_when_rows_arrive_soon_enough() {
    let (mut lab, _replica) = following();
    lab.hang_up();
    for wait in [10_000, 15_000, 25_000, 45_000] {
        let _unanswered = next_request(&mut lab);
        assert_eq!(time_to_silence(&mut lab), wait);
    }
    let request = next_request(&mut lab);
    // Bytes that arrive show that the server works: only the longest silence counts.
    let reply = format!(
        r#"{{"id":{},"error":null,"result":{}}}"#,
        request.id,
        rows(2)
    );
    let (start, end) = reply.split_at(20);
    lab.pass(milliseconds(9_000));
    lab.send(start);
    lab.pass(milliseconds(9_000));
    lab.send(end);
    lab.hang_up();
    let _unanswered = next_request(&mut lab);
    assert_eq!(time_to_silence(&mut lab), 10_000);
}
