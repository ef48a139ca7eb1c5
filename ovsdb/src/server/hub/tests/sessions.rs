//! What a session may do, and when it ends: read-only sessions, cancelled transactions, probes.

use super::*;

const WAIT: &str = r#"["D",{"op":"wait","table":"T","where":[["n","==",7]],"columns":["n"],"until":"==","rows":[{"n":7}]},{"op":"insert","table":"T","row":{"n":8}}]"#;

/// Sends a transaction that waits, with this id.
fn wait(test: &mut Test, session: SessionId, id: u32) {
    let text = format!(r#"{{"id":{id},"method":"transact","params":{WAIT}}}"#);
    test.hub.handle_message(session, &text, test.now);
    assert_eq!(test.read(session), "");
    assert!(test.hub.is_waiting(session));
}

#[test]
fn a_read_only_session_reads_and_changes_nothing() {
    let mut test = Test::new(Quotas::new());
    let client = test.connect();
    let reader = test.hub.handle_connected(test.now, Duration::ZERO, true);
    let reader = reader.expect("a session");
    test.insert(client, 1, "one", false);
    let refused = test.insert(reader, 2, "two", false);
    assert!(refused.contains("not allowed"), "{refused}");
    for (method, params) in [
        ("convert", &*format!(r#"["D",{SMALLER}]"#)),
        ("lock", r#"["l"]"#),
        ("steal", r#"["l"]"#),
        ("unlock", r#"["l"]"#),
    ] {
        let refused = test.call(reader, method, params);
        assert!(refused.contains("not allowed"), "{refused}");
    }
    assert_eq!(test.rows(), 1);
    let select = r#"["D",{"op":"select","table":"T","where":[]}]"#;
    assert!(test.call(reader, "transact", select).contains("one"));
    // Others may convert databases, but not the server's own.
    let refused = test.call(
        client,
        "convert",
        r#"["_Server",{"name":"_Server","tables":{}}]"#,
    );
    assert!(refused.contains("not allowed"), "{refused}");
    let converted = test.call(client, "convert", &format!(r#"["D",{SMALLER}]"#));
    assert!(converted.contains(r#""error":null"#), "{converted}");
}

#[test]
fn neither_the_servers_own_database_nor_a_relayed_one_is_converted_by_request() {
    let refused = |error: OvsdbError, details: &str| {
        assert_eq!(error.error, "not allowed");
        assert_eq!(error.details.as_deref(), Some(details));
    };
    let mut test = Test::new(Quotas::new());
    let own = r#"{"name":"_Server","tables":{}}"#;
    let error = test.hub.convert_now("_Server", own, test.now);
    let details = "conversion is not allowed for read-only database _Server";
    refused(error.expect_err("the server's own"), details);
    assert!(
        test.hub
            .database("_Server")
            .expect("it")
            .schema()
            .find("Database")
            .is_some()
    );

    let mut relay = Test::relay();
    let error = relay.hub.convert_now("D", SMALLER, relay.now);
    refused(
        error.expect_err("a relay"),
        "D is relayed; convert it at its source",
    );
    let client = relay.connect();
    let reply = relay.call(client, "convert", &format!(r#"["D",{SMALLER}]"#));
    assert!(reply.contains("convert it at its source"), "{reply}");
    let has_s = |relay: &Test| {
        relay
            .hub
            .database("D")
            .expect("it")
            .schema()
            .text
            .contains(r#""s""#)
    };
    assert!(has_s(&relay));
    // The source's conversions are followed.
    let source = ovsdb_schema::DatabaseSchema::parse(SMALLER).expect("a schema");
    let schema = Schema::new(source).expect("a schema");
    let followed = relay.hub.handle_relayed_schema("D", &schema, relay.now);
    followed.expect("the source's schema");
    assert!(!has_s(&relay));
}

/// Whether `_Server` reports that the server leads `D`.
fn leads(test: &mut Test, client: SessionId) -> bool {
    let select = r#"["_Server",{"op":"select","table":"Database","where":[["name","==","D"]],"columns":["leader"]}]"#;
    let reply = test.call(client, "transact", select);
    let leads = reply.contains(r#""leader":true"#);
    assert_ne!(leads, reply.contains(r#""leader":false"#), "{reply}");
    leads
}

#[test]
fn a_server_leads_again_after_the_last_fault_of_its_leadership() {
    let mut test = Test::new(Quotas::new());
    let client = test.connect();
    assert!(leads(&mut test, client));
    for _ in 0..2 {
        test.hub.lose_leadership("D", test.now).expect("lost");
        assert!(!leads(&mut test, client));
    }
    test.hub.regain_leadership("D", test.now);
    assert!(!leads(&mut test, client));
    test.hub.regain_leadership("D", test.now);
    assert!(leads(&mut test, client));

    let mut relay = Test::relay();
    let error = relay
        .hub
        .lose_leadership("D", relay.now)
        .expect_err("a relay");
    assert!(error.to_string().contains("relays never lead"), "{error}");
    let client = relay.connect();
    assert!(!leads(&mut relay, client));
    let unknown = relay
        .hub
        .lose_leadership("E", relay.now)
        .expect_err("no such database");
    assert_eq!(unknown.error, "unknown database");
}

#[test]
fn a_client_cancels_its_own_transaction_and_no_other() {
    let mut test = Test::new(Quotas::new());
    let (client, other, writer) = (test.connect(), test.connect(), test.connect());
    test.call(client, "set_db_change_aware", "[true]");
    for id in [1, 2] {
        wait(&mut test, client, id);
    }
    wait(&mut test, other, 1);
    let twice = format!(r#"{{"id":2,"method":"transact","params":{WAIT}}}"#);
    test.hub.handle_message(client, &twice, test.now);
    assert!(test.read(client).contains("duplicate request ID"));

    let cancel = r#"{"id":null,"method":"cancel","params":[1]}"#;
    test.hub.handle_message(client, cancel, test.now);
    let answer = test.read(client);
    assert!(
        answer.contains(r#""id":1"#) && answer.contains("canceled"),
        "{answer}"
    );
    assert_eq!(test.read(other), "");
    // No transaction with this id waits any longer.
    test.hub.handle_message(client, cancel, test.now);
    assert_eq!(test.read(client), "");
    test.insert(writer, 7, "", false);
    for (session, id) in [(client, 2), (other, 1)] {
        let answer = test.read(session);
        assert!(answer.contains(&format!(r#""id":{id},"#)), "{answer}");
    }
    assert_eq!(test.rows(), 3);
}

#[test]
fn the_transactions_of_a_client_that_has_closed_its_end_are_abandoned_and_those_of_others_wait_on()
{
    for is_end in [true, false] {
        let mut test = Test::new(Quotas::new());
        let (client, other, writer) = (test.connect(), test.connect(), test.connect());
        wait(&mut test, client, 1);
        wait(&mut test, other, 1);
        if is_end {
            test.hub.handle_half_closed(client);
        } else {
            test.hub.handle_closed(client);
        }
        assert!(!test.hub.is_waiting(client) && test.hub.is_waiting(other));
        test.insert(writer, 7, "", false);
        assert!(test.read(other).contains("uuid"));
        assert_eq!(test.read(client), "");
        assert_eq!(test.rows(), 2);
    }
}

#[test]
fn a_silent_session_is_probed_and_then_closed() {
    let mut test = Test::new(Quotas::new());
    let (client, talkative) = (test.connect(), test.connect());
    let begun = test.now.instant;
    assert_eq!(
        test.hub.poll_timeout(),
        Some(begun + Duration::from_secs(5))
    );
    test.now.instant += Duration::from_secs(4);
    test.call(talkative, "echo", "[]");
    test.hub.poll_ready();
    test.now.instant += Duration::from_secs(1);
    test.hub.handle_timeout(test.now);
    assert_eq!(test.hub.poll_ready(), [client]);
    assert!(test.read(client).contains(r#""method":"echo""#));
    assert_eq!(test.read(talkative), "");
    test.now.instant += Duration::from_secs(5);
    test.hub.handle_timeout(test.now);
    assert!(test.hub.poll_ready().contains(&client));
    let reason = test.hub.poll_close(client).expect("it is silent");
    assert_eq!(reason, "no reply to an inactivity probe within 5 s");
    assert_eq!(test.hub.poll_close(talkative), None);
}

#[test]
fn a_relay_owes_a_reply_for_each_transaction_that_its_source_has_not_answered() {
    let mut test = Test::relay();
    let client = test.connect();
    assert!(!test.hub.owes_reply(client) && !test.hub.poll_forwarding());
    let select = r#"["D",{"op":"select","table":"T","where":[]}]"#;
    assert!(test.call(client, "transact", select).contains("rows"));
    assert!(!test.hub.owes_reply(client) && test.hub.poll_forward("D").is_none());
    for n in 1..=2 {
        assert_eq!(test.insert(client, n, "", false), "");
        assert!(test.hub.poll_forwarding() && !test.hub.poll_forwarding());
    }
    for left in [1, 0] {
        assert!(test.hub.owes_reply(client));
        let forward = test.hub.poll_forward("D").expect("a transaction");
        let done = r#"[{"uuid":["uuid","00000000-0000-0000-0000-000000000001"]},{}]"#;
        test.hub
            .handle_forwarded("D", forward, Forwarded::Done(done.into()));
        assert!(test.read(client).contains("uuid"));
        assert_eq!(test.hub.owes_reply(client), left > 0);
    }
}

#[test]
fn all_requests_for_a_table_are_monitored() {
    for method in ["monitor", "monitor_cond"] {
        let mut test = Test::new(Quotas::new());
        let (client, watcher) = (test.connect(), test.connect());
        let parts = r#"["D","m",{"T":[{"columns":["n"]},{"columns":["s"]}]}]"#;
        test.call(watcher, method, parts);
        test.insert(client, 1, "one", false);
        let answer = test.read(watcher);
        assert!(
            answer.contains(r#""n":1"#) && answer.contains(r#""s":"one""#),
            "{method}: {answer}"
        );
        let twice = r#"["D","n",{"T":[{"columns":["n"]},{"columns":["n"]}]}]"#;
        let answer = test.call(watcher, method, twice);
        assert!(answer.contains("mentioned more than once"), "{answer}");
    }
}

#[test]
fn the_servers_own_database_shows_each_database_that_comes_and_goes() {
    let mut test = Test::new(Quotas::new());
    let watcher = test.connect();
    let answer = test.call(
        watcher,
        "monitor_cond",
        r#"["_Server","m",{"Database":{}}]"#,
    );
    assert!(answer.contains(r#""name":"D""#), "{answer}");
    let other = SCHEMA.replace(r#""name":"D""#, r#""name":"E""#);
    let source = ovsdb_schema::DatabaseSchema::parse(&other).expect("a schema");
    let database = Database::new(Arc::new(Schema::new(source).expect("a schema")), 2);
    assert!(test.hub.add(database, None, test.now));
    let answer = test.read(watcher);
    assert!(
        answer.contains(r#""insert""#) && answer.contains(r#""name":"E""#),
        "{answer}"
    );
    test.call(watcher, "set_db_change_aware", "[true]");
    assert!(!test.hub.remove("_Server", test.now) && !test.hub.remove("F", test.now));
    assert_eq!(test.read(watcher), "");
    assert!(test.hub.remove("E", test.now));
    let answer = test.read(watcher);
    assert!(answer.contains(r#"{"delete":null}"#), "{answer}");
}

#[test]
fn a_server_has_one_id_and_says_which_databases_it_has() {
    let mut test = Test::new(Quotas::new());
    let (one, other) = (test.connect(), test.connect());
    let id = test.call(one, "get_server_id", "[]");
    assert!(id.contains(&test.hub.id.to_string()), "{id}");
    assert_eq!(test.call(other, "get_server_id", "[]"), id);
    let names = test.call(one, "list_dbs", "[]");
    assert!(names.contains(r#"["D","_Server"]"#), "{names}");
}

#[test]
fn replies_that_wait_for_the_disk_are_dropped_when_their_client_leaves() {
    let mut test = Test::new(Quotas::new());
    let (client, other) = (test.connect(), test.connect());
    assert_eq!(test.insert(client, 1, "one", true), "");
    assert_eq!(test.insert(other, 2, "two", true), "");
    test.hub.handle_closed(client);
    assert!(test.hub.waits_for_disk("D") && test.hub.owes_reply(other));
    test.hub.handle_synced("D", Position(2));
    assert!(test.read(other).contains("uuid"));
    assert!(!test.hub.waits_for_disk("D"));
}

#[test]
fn a_conversion_checks_each_value_against_its_new_type() {
    let mut test = Test::new(Quotas::new());
    let client = test.connect();
    test.insert(client, 7, "seven", false);
    test.call(client, "set_db_change_aware", "[true]");
    let with = |kind: &str| {
        let plain = r#""n":{"type":"integer"}"#;
        let schema = SCHEMA.replace(plain, &format!(r#""n":{{"type":{kind}}}"#));
        format!(r#"["D",{schema}]"#)
    };
    let small = with(r#"{"key":{"type":"integer","maxInteger":5}}"#);
    let refused = test.call(client, "convert", &small);
    assert!(
        refused.contains("constraint violation") && refused.contains("column n"),
        "{refused}"
    );
    let texts = test.call(client, "convert", &with(r#""string""#));
    assert!(
        texts.contains("error") && !texts.contains(r#""error":null"#),
        "{texts}"
    );
    let optional = with(r#"{"key":{"type":"integer","maxInteger":9},"min":0}"#);
    let converted = test.call(client, "convert", &optional);
    assert!(converted.contains(r#""error":null"#), "{converted}");
    let rows = r#"["D",{"op":"update","table":"T","where":[],"row":{"n":["set",[]]}}]"#;
    let updated = test.call(client, "transact", rows);
    assert!(updated.contains(r#""count":1"#), "{updated}");
}

#[test]
fn a_fault_of_one_client_leaves_the_replies_of_others_that_wait_for_the_disk() {
    let mut test = Test::new(Quotas::new());
    let (client, other) = (test.connect(), test.connect());
    assert_eq!(test.insert(other, 1, "one", true), "");
    let fault = crate::server::fault::TransactionFault::DisconnectAfter;
    test.hub.add_fault("D", fault).expect("the database");
    assert_eq!(test.insert(client, 2, "two", true), "");
    assert!(test.hub.poll_close(client).is_some());
    test.hub.handle_synced("D", Position(2));
    assert!(test.read(other).contains("uuid"));
    assert_eq!((test.rows(), &*test.read(client)), (2, ""));
}
