//! The monitors of a session: how they are requested, refused, changed and ended.

use super::*;
use crate::cache::Freshness;
use crate::protocol::{Clause, Wire as _};

/// The reply to `monitor_cond_since` with a row, and the id of the last transaction.
fn row_of(last: Uuid) -> String {
    let row = Uuid::from_u128(1);
    format!(r#"[false,"{last}",{{"Item":{{"{row}":{{"initial":{{"name":"a"}}}}}}}}]"#)
}

/// A session without probes, with a monitor whose replica has one row.
fn started() -> (Lab, Handle) {
    let mut options = options("tcp:192.0.2.1:6641");
    options.timings.probe_interval = None;
    let mut lab = Lab::serving(options);
    let (monitor, replica) = items();
    let mut started = lab.monitor(monitor);
    let request = request_by(&mut lab, "monitor_cond_since");
    lab.reply(&request, &row_of(Uuid::from_u128(7)));
    assert!(matches!(started.try_recv(), Ok(Ok(0))));
    assert_eq!(*replica.shared().freshness().borrow(), Freshness::Current);
    (lab, replica)
}

/// The next request, which must have this method.
fn request_by(lab: &mut Lab, method: &str) -> Received {
    let request = lab.request();
    assert_eq!(request.method, method, "{request:?}");
    request
}

fn refuse(lab: &mut Lab, request: &Received, error: &str) {
    let mut text = String::new();
    write_failure(&mut text, &request.id, &format!(r#"{{"error":"{error}"}}"#));
    lab.send(&text);
}

/// The connection is lost, and another one serves.
fn reconnect(lab: &mut Lab) {
    lab.pass(milliseconds(3_000));
    lab.hang_up();
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
}

fn count(replica: &Handle) -> usize {
    replica.snapshot::<Inventory>().rows::<Item>().len()
}

/// A caller wants the rows with this name only.
fn select(lab: &mut Lab, name: &str) -> oneshot::Receiver<Result<(), Error>> {
    let (reply, selected) = oneshot::channel();
    let clause = format!(r#"["name","==","{name}"]"#);
    lab.order(Order::SetCondition {
        key: 0,
        table: "Item".into(),
        clauses: vec![Clause::from_json(&clause).expect("a condition")],
        reply,
    });
    selected
}

/// The names that the conditions of a request select.
fn selected(request: &Received) -> Vec<&str> {
    let mut names = vec!["a", "b", "c", "d"];
    names.retain(|name| {
        request
            .params
            .contains(&format!(r#"["name","==","{name}"]"#))
    });
    names
}

#[test]
fn an_older_server_is_asked_by_the_newest_method_that_it_knows() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let (monitor, replica) = items();
    let mut started = lab.monitor(monitor);
    for method in ["monitor_cond_since", "monitor_cond"] {
        let request = request_by(&mut lab, method);
        refuse(&mut lab, &request, "unknown method");
    }
    let request = request_by(&mut lab, "monitor");
    assert!(started.try_recv().is_err());
    let row = Uuid::from_u128(1);
    let reply = format!(r#"{{"Item":{{"{row}":{{"new":{{"name":"a"}}}}}}}}"#);
    lab.reply(&request, &reply);
    assert!(matches!(started.try_recv(), Ok(Ok(0))));
    assert_eq!(count(&replica), 1);
    assert_eq!(replica.shared().version(), MonitorVersion::Monitor);
    // The next server may be a newer one.
    reconnect(&mut lab);
    request_by(&mut lab, "monitor_cond_since");
}

#[test]
fn the_first_refusal_is_the_callers_error() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let (monitor, _replica) = items();
    let mut started = lab.monitor(monitor);
    let request = request_by(&mut lab, "monitor_cond_since");
    refuse(&mut lab, &request, "syntax error");
    assert!(matches!(started.try_recv(), Ok(Err(Error::Refused(_)))));
    lab.pass(MINUTE / 15);
    assert!(lab.is_connected() && lab.try_request().is_none());
}

#[test]
fn a_monitor_that_is_refused_later_is_requested_after_growing_waits() {
    let (mut lab, replica) = started();
    reconnect(&mut lab);
    for seconds in [1, 2, 4, 8, 8] {
        let request = request_by(&mut lab, "monitor_cond_since");
        refuse(&mut lab, &request, "resources exhausted");
        let freshness = *replica.shared().freshness().borrow();
        assert!(
            matches!(freshness, Freshness::RefusedSince(_)),
            "{freshness:?}"
        );
        lab.pass(Duration::from_secs(seconds) - milliseconds(1));
        assert!(lab.try_request().is_none(), "before {seconds} s");
        lab.pass(milliseconds(1));
    }
    let request = request_by(&mut lab, "monitor_cond_since");
    lab.reply(&request, &rows(2));
    assert_eq!(count(&replica), 2);
    assert_eq!(*replica.shared().freshness().borrow(), Freshness::Current);
    assert!(lab.is_connected() && lab.attempts.len() == 2);
}

#[test]
fn a_monitor_whose_caller_has_gone_is_not_kept() {
    let mut lab = Lab::new(options("tcp:192.0.2.1:6641"));
    lab.connect();
    drop(lab.monitor(items().0));
    lab.greet();
    assert!(lab.is_connected() && lab.try_request().is_none());
    // The caller leaves after the request was sent.
    let started = lab.monitor(items().0);
    let request = request_by(&mut lab, "monitor_cond_since");
    drop(started);
    lab.reply(&request, &rows(1));
    let cancel = request_by(&mut lab, "monitor_cancel");
    assert_eq!(cancel.params, "[1]");
    assert!(
        request.params.starts_with(r#"["Inventory",1,"#),
        "{request:?}"
    );
    reconnect(&mut lab);
    assert!(lab.try_request().is_none());
}

#[test]
fn after_an_update_that_does_not_fit_all_rows_are_fetched_again() {
    let (mut lab, replica) = started();
    let unknown = Uuid::from_u128(9);
    lab.send(&format!(
        r#"{{"id":null,"method":"update3","params":[1,"{unknown}",{{"Item":{{"{unknown}":{{"delete":null}}}}}}]}}"#
    ));
    assert_eq!(request_by(&mut lab, "monitor_cancel").params, "[1]");
    let request = request_by(&mut lab, "monitor_cond_since");
    let all = format!(r#","{}"]"#, Uuid::nil());
    assert!(request.params.ends_with(&all), "{request:?}");
    assert_eq!(count(&replica), 1);
    let freshness = *replica.shared().freshness().borrow();
    assert!(
        matches!(freshness, Freshness::StaleSince(_)),
        "{freshness:?}"
    );
    lab.reply(&request, &rows(3));
    assert_eq!(count(&replica), 3);
    assert_eq!(*replica.shared().freshness().borrow(), Freshness::Current);
    assert!(lab.is_connected() && lab.attempts.len() == 1);
}

#[test]
fn updates_of_a_monitor_that_was_ended_are_ignored() {
    let (mut lab, replica) = started();
    lab.order(Order::EndMonitor { key: 0 });
    let cancel = request_by(&mut lab, "monitor_cancel");
    assert_eq!(cancel.params, "[1]");
    let row = Uuid::from_u128(1);
    let update = format!(
        r#"{{"id":null,"method":"update3","params":[1,"{row}",{{"Item":{{"{row}":{{"delete":null}}}}}}]}}"#
    );
    lab.send(&update);
    lab.reply(&cancel, "{}");
    lab.send(&update);
    assert!(lab.is_connected() && lab.try_request().is_none());
    assert_eq!(count(&replica), 1);
    assert_eq!(*replica.shared().freshness().borrow(), Freshness::Ended);
}

#[test]
fn conditions_that_are_set_meanwhile_are_sent_together() {
    let (mut lab, _replica) = started();
    let mut a = select(&mut lab, "a");
    let first = request_by(&mut lab, "monitor_cond_change");
    assert_eq!(selected(&first), ["a"]);
    let (mut b, mut c) = (select(&mut lab, "b"), select(&mut lab, "c"));
    assert!(lab.try_request().is_none(), "one change at a time");
    lab.reply(&first, "{}");
    assert!(matches!(a.try_recv(), Ok(Ok(()))));
    let second = request_by(&mut lab, "monitor_cond_change");
    assert_eq!(selected(&second), ["c"], "the last one counts");
    assert!(b.try_recv().is_err() && c.try_recv().is_err());
    refuse(&mut lab, &second, "syntax error");
    for mut refused in [b, c] {
        assert!(matches!(refused.try_recv(), Ok(Err(Error::Refused(_)))));
    }
    // The first one is still in force, and the replica can be resumed with it.
    reconnect(&mut lab);
    let request = request_by(&mut lab, "monitor_cond_since");
    assert_eq!(selected(&request), ["a"]);
    let last = format!(r#","{}"]"#, Uuid::from_u128(7));
    assert!(request.params.ends_with(&last), "{request:?}");
}

#[test]
fn a_condition_that_was_not_acknowledged_is_part_of_the_next_request() {
    let (mut lab, _replica) = started();
    let mut a = select(&mut lab, "a");
    request_by(&mut lab, "monitor_cond_change");
    reconnect(&mut lab);
    let request = request_by(&mut lab, "monitor_cond_since");
    assert_eq!(selected(&request), ["a"]);
    assert!(a.try_recv().is_err());
    lab.reply(&request, &rows(0));
    assert!(matches!(a.try_recv(), Ok(Ok(()))));

    // The next server refuses the new condition, and gets the one before.
    let mut b = select(&mut lab, "b");
    request_by(&mut lab, "monitor_cond_change");
    let mut c = select(&mut lab, "c");
    reconnect(&mut lab);
    let request = request_by(&mut lab, "monitor_cond_since");
    assert_eq!(selected(&request), ["c"], "the last one counts");
    refuse(&mut lab, &request, "syntax error");
    for refused in [&mut b, &mut c] {
        assert!(matches!(refused.try_recv(), Ok(Err(Error::Refused(_)))));
    }
    let request = request_by(&mut lab, "monitor_cond_since");
    assert_eq!(selected(&request), ["a"]);
    lab.reply(&request, &rows(1));
    assert!(lab.try_request().is_none());
}

#[test]
fn callers_that_wait_for_a_condition_learn_of_the_end() {
    let (mut lab, replica) = started();
    let mut sent = select(&mut lab, "a");
    let mut queued = select(&mut lab, "b");
    lab.hang_up();
    let mut offline = select(&mut lab, "c");
    for waiting in [&mut sent, &mut queued, &mut offline] {
        assert!(matches!(
            waiting.try_recv(),
            Err(oneshot::error::TryRecvError::Empty)
        ));
    }
    let (done, _closed) = oneshot::channel();
    lab.order(Order::Close { done });
    assert!(lab.ended);
    for mut answer in [sent, queued, offline] {
        assert!(
            matches!(answer.try_recv(), Ok(Err(Error::Disconnected(lost)))
            if matches!(lost.reason(), DisconnectReason::Closed))
        );
    }
    assert_eq!(*replica.shared().freshness().borrow(), Freshness::Ended);
}

#[test]
fn a_refused_monitor_stays_refused_while_no_server_can_be_reached() {
    let (mut lab, replica) = started();
    for _ in 0..5 {
        reconnect(&mut lab);
        request_by(&mut lab, "monitor_cond_since");
    }
    lab.hang_up();
    let is_refused = || {
        let freshness = *replica.shared().freshness().borrow();
        matches!(freshness, Freshness::RefusedSince(_))
    };
    assert!(is_refused(), "it has cost five connections");
    while !matches!(lab.line, Line::Connecting(_)) {
        lab.pass(milliseconds(100));
    }
    lab.refuse();
    assert!(is_refused());
}

#[test]
fn a_condition_on_a_column_that_the_server_lacks_is_refused_and_the_earlier_one_stays() {
    let (mut lab, _replica) = started();
    lab.pass(milliseconds(3_000));
    lab.hang_up();
    let (reply, mut selected) = oneshot::channel();
    lab.order(Order::SetCondition {
        key: 0,
        table: "Item".into(),
        clauses: vec![Clause::from_json(r#"["color","==","red"]"#).expect("a condition")],
        reply,
    });
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    match selected.try_recv() {
        Ok(Err(Error::ConditionColumn { table, column })) => {
            assert_eq!((&*table, &*column), ("Item", "color"));
        }
        other => panic!("{other:?}"),
    }
    let request = request_by(&mut lab, "monitor_cond_since");
    assert!(!request.params.contains("color"), "{request:?}");
}

#[test]
fn a_monitor_that_the_server_cannot_serve_waits_until_something_changes() {
    let (mut lab, replica) = started();
    let mut selected = select(&mut lab, "a");
    let request = request_by(&mut lab, "monitor_cond_change");
    lab.reply(&request, "{}");
    assert!(matches!(selected.try_recv(), Ok(Ok(()))));
    let is_refused = || {
        let freshness = *replica.shared().freshness().borrow();
        matches!(freshness, Freshness::RefusedSince(_))
    };
    // The next server lacks the column.
    lab.pass(milliseconds(3_000));
    lab.hang_up();
    lab.pass(milliseconds(1_000));
    lab.connect();
    let server = lab.request_for_server();
    refuse(&mut lab, &server, "unknown database");
    let schema = request_by(&mut lab, "get_schema");
    lab.reply(&schema, &SCHEMA.replace("name\":{", "title\":{"));
    assert!(is_refused() && lab.try_request().is_none());
    assert_eq!(lab.machine.poll_timeout(), None);
    // The next one supports no conditions.
    reconnect(&mut lab);
    for method in ["monitor_cond_since", "monitor_cond"] {
        let request = request_by(&mut lab, method);
        refuse(&mut lab, &request, "unknown method");
    }
    assert!(is_refused() && lab.try_request().is_none());
    assert_eq!(lab.machine.poll_timeout(), None);
    reconnect(&mut lab);
    let request = request_by(&mut lab, "monitor_cond_since");
    lab.reply(&request, &rows(1));
    assert!(!is_refused());
}

#[test]
fn a_cache_reports_each_change_of_the_reason() {
    let (lab, replica) = started();
    let refuse = |table: &str| {
        let error = Error::ConditionsNotSupported(table.into());
        replica.shared().set_refused(Arc::new(error), lab.now)
    };
    assert!(refuse("Item"), "the first");
    assert!(!refuse("Item"), "the same again");
    assert!(refuse("Part"), "another one");
    assert!(refuse("Item"), "the first one again");
}
