//! Sessions that stand by a member of a cluster that does not lead: they stay connected until it leads, shows
//! that another member does, or another attempt is due.

use super::*;

/// The connection is made, to a member of a cluster that does not lead it.
fn connect_to_follower(lab: &mut Lab) {
    lab.connect();
    let server = lab.request_for_server();
    lab.reply(
        &server,
        r#"{"Database":{"00000000-0000-0000-0000-000000000001":{"initial":{"name":"Inventory",
            "model":"clustered","connected":true,"leader":false,"index":5,"schema":"first"}}}}"#,
    );
}

/// The member reports a change of its description of the database.
fn change(lab: &mut Lab, columns: &str) {
    lab.send(&format!(
        r#"{{"id":null,"method":"update2","params":[0,{{"Database":{{"00000000-0000-0000-0000-000000000001":{{"modify":{columns}}}}}}}]}}"#
    ));
}

/// A session that stands by the only member that it knows.
fn standing_by() -> Lab {
    let mut lab = Lab::new(Options {
        leader_only: true,
        wait_for_server: true,
        ..options("tcp:192.0.2.1:6641")
    });
    connect_to_follower(&mut lab);
    lab
}

#[test]
fn the_first_connection_is_given_up_when_no_remote_leads() {
    for wait_for_server in [false, true] {
        let mut lab = Lab::new(Options {
            leader_only: true,
            wait_for_server,
            ..options("tcp:192.0.2.1:6641")
        });
        connect_to_follower(&mut lab);
        assert_eq!(lab.first.try_recv().is_ok(), !wait_for_server);
        assert_eq!(lab.ended, !wait_for_server);
    }
}

#[test]
fn a_server_that_was_not_ready_in_time_is_left_for_its_reason() {
    for (connected, reason) in [
        (true, DisconnectReason::NotLeader),
        (false, DisconnectReason::NoQuorum),
    ] {
        let mut lab = Lab::new(Options {
            leader_only: true,
            wait_for_server: true,
            ..options("tcp:192.0.2.1:6641")
        });
        lab.connect();
        let server = lab.request_for_server();
        let row = format!(
            r#"{{"name":"Inventory","model":"clustered","connected":{connected},"leader":false,"schema":"s"}}"#
        );
        let uuid = Uuid::from_u128(1);
        lab.reply(
            &server,
            &format!(r#"{{"Database":{{"{uuid}":{{"initial":{row}}}}}}}"#),
        );
        while !matches!(lab.line, Line::Connecting(_)) {
            lab.pass(milliseconds(10));
        }
        let lost = lab.shared.lost.load_full().expect("it was left");
        assert_eq!(lost.reason().to_string(), reason.to_string());
    }
}

#[test]
fn a_growing_log_tells_a_session_that_stands_by_that_another_member_leads() {
    let mut lab = Lab::new(Options {
        leader_only: true,
        wait_for_server: true,
        ..options("tcp:192.0.2.1:6641,tcp:192.0.2.2:6641")
    });
    connect_to_follower(&mut lab);
    connect_to_follower(&mut lab);
    // Neither leads, so the session stands by at the second.
    let tried = lab.attempts.len();
    change(&mut lab, r#"{"index":5}"#);
    assert_eq!(lab.attempts.len(), tried, "the log has not grown");
    change(&mut lab, r#"{"index":6}"#);
    assert_eq!(lab.attempts.len(), tried + 1, "it asks the other member");
}

#[test]
fn a_member_that_is_elected_is_used_on_the_same_connection() {
    let mut lab = standing_by();
    lab.answer_schema();
    for columns in [r#"{"connected":false}"#, r#"{"index":7}"#] {
        change(&mut lab, columns);
        assert!(!lab.is_connected(), "{columns}");
    }
    change(&mut lab, r#"{"connected":true,"leader":true}"#);
    assert!(lab.is_connected() && lab.first.try_recv().is_ok());
    assert_eq!(lab.attempts.len(), 1);
}

#[test]
fn a_schema_that_changes_meanwhile_is_read_again() {
    let mut lab = standing_by();
    lab.answer_schema();
    change(&mut lab, r#"{"schema":"second"}"#);
    let request = lab.request();
    assert_eq!(request.method, "get_schema");
    change(&mut lab, r#"{"leader":true}"#);
    assert!(!lab.is_connected(), "the schema is not known");
    lab.reply(
        &request,
        &SCHEMA.replace("\"name\":{\"type", "\"label\":{\"type"),
    );
    assert!(lab.is_connected());
    let schema = lab.shared.schema.load_full();
    assert!(!schema.tables["Item"].columns.contains_key("name"));
}
