//! The state machine without sockets, files and clocks: durability, slow readers, resuming, quotas.

mod cluster;
mod sessions;
mod transactions;

use std::sync::{Mutex, PoisonError};

use super::*;
use crate::server::engine::{Database, Schema};
use crate::server::hosted::{FullRecord, Journal};

const SCHEMA: &str = r#"{"name":"D","tables":{"T":{"isRoot":true,"columns":{"n":{"type":"integer"},"s":{"type":"string"}}}}}"#;
/// The schema with one column fewer.
const SMALLER: &str =
    r#"{"name":"D","tables":{"T":{"isRoot":true,"columns":{"n":{"type":"integer"}}}}}"#;

/// The records that were written to a journal, and whether its disk is full.
#[derive(Debug, Default)]
struct Written {
    records: Vec<String>,
    is_full: bool,
}

/// A journal that the test can make fail as if the disk were full.
#[derive(Debug, Clone, Default)]
struct TestJournal(Arc<Mutex<Written>>);

impl TestJournal {
    fn set_full(&self, is_full: bool) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.is_full = is_full;
    }

    fn len(&self) -> usize {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.records.len()
    }
}

impl Journal for TestJournal {
    fn append(&mut self, record: &str) -> Result<Position, OvsdbError> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_full {
            return Err(OvsdbError::new("I/O error"));
        }
        written.records.push(record.into());
        Ok(Position(written.records.len() as u64))
    }

    fn replace(&mut self, _: &str, record: &FullRecord<'_>) -> Result<Position, OvsdbError> {
        let mut text = String::new();
        record.pieces(|piece| {
            text.push_str(piece);
            Ok::<_, OvsdbError>(())
        })?;
        self.append(&text)
    }
}

/// A hub with the database `D`, in a journal.
struct Test {
    hub: Hub,
    journal: TestJournal,
    now: Now,
}

impl Test {
    fn new(quotas: Quotas) -> Self {
        Self::with(quotas, SCHEMA)
    }

    fn with(quotas: Quotas, schema: &str) -> Self {
        let now = Now {
            instant: Instant::now(),
            date: 1,
        };
        let source = ovsdb_schema::DatabaseSchema::parse(schema).expect("a schema");
        let database = Database::new(Arc::new(Schema::new(source).expect("a schema")), 1);
        let journal = TestJournal::default();
        let mut hub = Hub::new(quotas, 1);
        assert!(hub.add(database, Some(Box::new(journal.clone())), now));
        Self { hub, journal, now }
    }

    /// A relay of the database `D`.
    fn relay() -> Self {
        let source = ovsdb_schema::DatabaseSchema::parse(SCHEMA).expect("a schema");
        let mut test = Self::new(Quotas::new());
        let mut hub = Hub::new(Quotas::new(), 2);
        assert!(hub.add_relay(
            Database::new(Arc::new(Schema::new(source).expect("a schema")), 2),
            test.now
        ));
        test.hub = hub;
        test
    }

    fn connect(&mut self) -> SessionId {
        let connected = self
            .hub
            .handle_connected(self.now, Duration::from_secs(5), false);
        connected.expect("a session")
    }

    fn send(&mut self, id: SessionId, method: &str, params: &str) {
        let text = format!(r#"{{"id":"{method}","method":"{method}","params":{params}}}"#);
        self.hub.handle_message(id, &text, self.now);
    }

    /// The bytes sent to a session, as if it had read everything.
    fn read(&mut self, id: SessionId) -> String {
        let mut text = String::new();
        loop {
            let mut bytes = VecDeque::new();
            self.hub.poll_transmit(id, &mut bytes);
            if bytes.is_empty() {
                return text;
            }
            for part in bytes {
                text.push_str(std::str::from_utf8(&part).expect("text"));
                self.hub.handle_sent(id, part.len(), self.now);
            }
        }
    }

    /// Sends a request and reads everything.
    fn call(&mut self, id: SessionId, method: &str, params: &str) -> String {
        self.send(id, method, params);
        self.read(id)
    }

    fn insert(&mut self, id: SessionId, n: usize, s: &str, durable: bool) -> String {
        let params = format!(
            r#"["D",{{"op":"insert","table":"T","row":{{"n":{n},"s":"{s}"}}}},{{"op":"commit","durable":{durable}}}]"#
        );
        self.call(id, "transact", &params)
    }

    fn rows(&self) -> usize {
        self.hub
            .database("D")
            .expect("a database")
            .state()
            .table(0)
            .len()
    }

    fn unsent(&self, id: SessionId) -> usize {
        self.hub.sessions[&id].outgoing.unsent()
    }

    fn pending(&self, id: SessionId) -> usize {
        let monitors = &self.hub.sessions[&id].monitors;
        monitors
            .iter()
            .map(|monitor| monitor.pending.changes().count())
            .sum()
    }
}

#[test]
fn a_durable_transaction_is_acknowledged_after_the_disk_has_it() {
    let mut test = Test::new(Quotas::new());
    let (client, other) = (test.connect(), test.connect());
    test.call(other, "monitor", r#"["D","m",{"T":{}}]"#);
    assert_eq!(test.insert(client, 1, "durable", true), "");
    // Others get the update before, as with ovsdb-server; the reply is sent once the transaction is on the disk.
    assert!(test.read(other).contains("durable"));
    assert!(test.insert(client, 2, "not", false).contains("uuid"));
    assert_eq!(
        test.insert(other, 3, "durable", true)
            .matches("result")
            .count(),
        0
    );
    assert!(test.hub.waits_for_disk("D"));
    assert_eq!(test.hub.poll_written().len(), 1);

    test.hub.handle_synced("D", Position(0));
    assert_eq!(test.read(client), "");
    test.hub.handle_synced("D", Position(1));
    assert!(test.read(client).contains("uuid"));
    assert_eq!(test.read(other), "");
    test.hub.handle_synced("D", Position(3));
    assert!(test.read(other).contains("uuid"));
    assert!(!test.hub.waits_for_disk("D"));
}

#[test]
fn a_transaction_that_cannot_be_written_leaves_nothing() {
    let mut test = Test::new(Quotas::new());
    let (client, other) = (test.connect(), test.connect());
    test.call(other, "monitor", r#"["D","m",{"T":{}}]"#);
    test.journal.set_full(true);
    for durable in [false, true] {
        assert!(test.insert(client, 1, "one", durable).contains("I/O error"));
        assert_eq!((test.rows(), test.journal.len()), (0, 0));
        assert_eq!(test.read(other), "");
    }
    // Reading still works, and so does writing once there is space again.
    let select = r#"["D",{"op":"select","table":"T","where":[]}]"#;
    assert!(
        test.call(client, "transact", select)
            .contains(r#""rows":[]"#)
    );
    test.journal.set_full(false);
    assert!(test.insert(client, 2, "two", false).contains("uuid"));
    assert_eq!((test.rows(), test.journal.len()), (1, 1));
    assert!(test.read(other).contains("two"));
    // The same for a conversion.
    test.journal.set_full(true);
    let refused = test.call(client, "convert", &format!(r#"["D",{SMALLER}]"#));
    assert!(refused.contains("I/O error"), "{refused}");
    assert!(
        test.call(client, "get_schema", r#"["D"]"#)
            .contains(r#""s":"#)
    );
}

#[test]
fn clients_whose_transactions_wait_for_a_failing_disk_are_disconnected_without_a_reply() {
    let mut test = Test::new(Quotas::new());
    let (client, other) = (test.connect(), test.connect());
    assert_eq!(test.insert(client, 1, "one", true), "");
    test.hub.handle_sync_failed("D", "the disk is broken");
    assert_eq!(test.read(client), "");
    assert_eq!(
        test.hub.poll_close(client).as_deref(),
        Some("database D could not be synced to disk: the disk is broken")
    );
    assert!(test.hub.poll_ready().contains(&client));
    assert!(!test.hub.owes_reply(client));
    assert_eq!(test.hub.poll_close(other), None);
    assert!(!test.hub.waits_for_disk("D"));
}

#[test]
fn a_session_is_not_read_from_while_many_of_its_replies_wait_for_the_disk() {
    let mut test = Test::new(Quotas::new());
    let client = test.connect();
    for n in 0..=UNSYNCED {
        assert!(test.hub.wants_input(client));
        test.insert(client, n, "s", true);
    }
    assert!(!test.hub.wants_input(client));
    test.hub.handle_synced("D", Position(u64::MAX));
    test.read(client);
    assert!(test.hub.wants_input(client));
}

#[test]
fn a_client_that_does_not_read_costs_as_much_as_the_rows_that_changed() {
    let methods = ["monitor", "monitor_cond", "monitor_cond_since"];
    for (method, rest) in
        methods
            .into_iter()
            .zip(["", "", ",\"00000000-0000-0000-0000-000000000000\""])
    {
        let mut test = Test::new(Quotas::new());
        let (client, slow) = (test.connect(), test.connect());
        test.call(slow, method, &format!(r#"["D","m",{{"T":{{}}}}{rest}]"#));
        let text = "x".repeat(1000);
        for n in 0..100 {
            test.insert(client, n, &text, false);
        }
        let mut most = 0;
        for round in 0..10_000 {
            let n = round % 100;
            let update = format!(
                r#"["D",{{"op":"update","table":"T","where":[["n","==",{n}]],"row":{{"s":"{text}{round}"}}}}]"#
            );
            test.call(client, "transact", &update);
            most = most.max(test.unsent(slow));
        }
        assert!(most < QUEUED + 4096, "{method}: {most} bytes");
        assert!(
            (1..=100).contains(&test.pending(slow)),
            "{method}: {}",
            test.pending(slow)
        );
        // A row that was inserted and deleted meanwhile is not in the update.
        test.insert(client, 1000, "came", false);
        test.call(
            client,
            "transact",
            r#"["D",{"op":"delete","table":"T","where":[["n","==",1000]]}]"#,
        );
        test.call(
            client,
            "transact",
            r#"["D",{"op":"delete","table":"T","where":[["n","==",7]]}]"#,
        );

        let told = test.read(slow);
        assert!(!told.contains("came"), "{method}");
        // Each row is once in the merged update, with its last value.
        for n in (0..100).filter(|n| *n != 7) {
            let last = format!("{text}{}", 9_900 + n);
            assert_eq!(
                told.matches(&format!("{last}\"")).count(),
                1,
                "{method}, row {n}"
            );
        }
        assert_eq!(test.pending(slow), 0);
        // From then on it gets each change again.
        test.insert(client, 2000, "again", false);
        assert!(test.read(slow).contains("again"), "{method}");
        // And it gets changes before its own replies.
        let own = test.insert(slow, 2001, "own", false);
        assert!(own.find("\"own\"") < own.find("\"result\""), "{own}");
    }
}

/// The `found` and the last transaction of a reply to `monitor_cond_since`.
fn since(reply: &str) -> (bool, String) {
    let (_, result) = reply.split_once(r#""result":["#).expect(reply);
    let (found, rest) = result.split_once(',').expect(reply);
    (
        found == "true",
        rest.split('"').nth(1).expect(reply).to_owned(),
    )
}

#[test]
fn a_monitor_is_resumed_after_a_transaction_that_is_remembered() {
    let mut test = Test::new(Quotas::new());
    let client = test.connect();
    let resume = |test: &mut Test, condition: &str, last: &str| {
        let id = test.connect();
        let params = format!(r#"["D","m",{{"T":{{"where":{condition}}}}},"{last}"]"#);
        let reply = test.call(id, "monitor_cond_since", &params);
        test.hub.handle_closed(id);
        (since(&reply), reply)
    };
    let unknown = "00000000-0000-4000-8000-000000000000";
    let ((found, last), _) = resume(&mut test, "[true]", unknown);
    assert!(!found);
    // Nothing has changed since.
    let ((found, same), reply) = resume(&mut test, "[true]", &last);
    assert!(found && same == last && reply.contains(",{}]"), "{reply}");

    test.insert(client, 1, "one", false);
    test.insert(client, 2, "two", false);
    let ((found, later), reply) = resume(&mut test, "[true]", &last);
    assert!(
        found && later != last && reply.contains("one") && reply.contains("two"),
        "{reply}"
    );
    let ((found, _), reply) = resume(&mut test, r#"[["n","==",2]]"#, &last);
    assert!(
        found && !reply.contains("one") && reply.contains("two"),
        "{reply}"
    );
    // Rows that began to meet the condition, and rows that ceased to.
    test.call(
        client,
        "transact",
        r#"["D",{"op":"update","table":"T","where":[["n","==",2]],"row":{"n":3}}]"#,
    );
    let ((found, _), reply) = resume(&mut test, r#"[["n","==",2]]"#, &later);
    assert!(found && reply.contains(r#"{"delete":null}"#), "{reply}");
    let ((found, _), reply) = resume(&mut test, r#"[["n","==",3]]"#, &later);
    assert!(
        found && reply.contains(r#"{"insert":{"#) && reply.contains("two"),
        "{reply}"
    );

    // Old transactions are forgotten: a minimum is always kept, and more while they are small.
    let mut all = Vec::new();
    for n in 0..10_200 {
        test.insert(client, n, "", false);
        all.push(
            test.hub
                .database("D")
                .expect("a database")
                .last_transaction()
                .to_string(),
        );
    }
    for (at, is_found) in [
        (10_199, true),
        (10_000, true),
        (500, true),
        (100, false),
        (0, false),
    ] {
        let ((found, _), _) = resume(&mut test, "[[\"n\",\"==\",-1]]", &all[at]);
        assert_eq!(found, is_found, "transaction {at}");
    }
    // A conversion begins a new history, so no monitor is resumed from an earlier transaction.
    test.hub
        .convert_now("D", SMALLER, test.now)
        .expect("a conversion");
    let ((found, _), _) = resume(&mut test, "[[\"n\",\"==\",-1]]", &all[10_199]);
    assert!(!found);
}

#[test]
fn a_session_that_is_being_closed_gets_no_updates() {
    let mut test = Test::new(Quotas::new());
    let (client, old) = (test.connect(), test.connect());
    test.call(client, "set_db_change_aware", "[true]");
    test.call(
        old,
        "monitor_cond",
        r#"["D","m",{"T":{"where":[["s","==","x"]]}}]"#,
    );
    test.hub
        .convert_now("D", SMALLER, test.now)
        .expect("a conversion");
    assert!(test.hub.poll_close(old).is_some());
    // Its condition is on a column that no longer exists.
    let insert = r#"["D",{"op":"insert","table":"T","row":{"n":1}}]"#;
    assert!(test.call(client, "transact", insert).contains("uuid"));
    assert_eq!(test.read(old), "");
    // Nor is it probed again and again.
    test.now.instant += Duration::from_secs(60);
    test.hub.handle_closed(client);
    assert_eq!(test.hub.poll_timeout(), None);
}

#[test]
fn a_slow_reader_is_alive_as_long_as_it_reads() {
    let mut test = Test::new(Quotas::new());
    let (client, slow) = (test.connect(), test.connect());
    test.call(slow, "monitor", r#"["D","m",{"T":{}}]"#);
    let mut waiting = VecDeque::new();
    for n in 0..4 {
        test.insert(client, n, &"x".repeat(100_000), false);
    }
    test.hub.poll_transmit(slow, &mut waiting);
    for _ in 0..10 {
        test.now.instant += Duration::from_secs(4);
        test.hub.handle_sent(slow, 1000, test.now);
        test.hub.handle_timeout(test.now);
        assert_eq!(test.hub.poll_close(slow), None);
    }
    for _ in 0..3 {
        test.now.instant += Duration::from_secs(5);
        test.hub.handle_timeout(test.now);
    }
    assert!(
        test.hub
            .poll_close(slow)
            .is_some_and(|reason| reason.contains("probe"))
    );
}

#[test]
fn sessions_with_the_same_monitor_share_the_text_of_an_update() {
    let mut test = Test::new(Quotas::new());
    let writer = test.connect();
    let followers = [(); 3].map(|()| test.connect());
    for follower in followers {
        test.call(follower, "monitor", r#"["D","m",{"T":{}}]"#);
    }
    test.insert(writer, 1, "x", false);
    let sent = followers.map(|follower| {
        let mut pieces = VecDeque::new();
        test.hub.poll_transmit(follower, &mut pieces);
        assert_eq!(pieces.len(), 1);
        pieces.remove(0).expect("a message")
    });
    assert!(sent.iter().all(|message| *message == sent[0]));
    let addresses: std::collections::HashSet<_> = sent.iter().map(|text| text.as_ptr()).collect();
    // The first message has its own text, since it might have been the only one.
    assert!(addresses.len() < 3);
    let other = test.connect();
    test.call(other, "monitor", r#"["D","another",{"T":{}}]"#);
    test.insert(writer, 2, "x", false);
    let text = test.read(other);
    assert!(text.contains(r#""params":["another",{"T""#), "{text}");
}

#[test]
fn each_monitor_gets_its_own_columns_in_the_form_of_its_method() {
    let nil = Uuid::nil();
    let monitors = [
        ("monitor", "a", "n"),
        ("monitor", "a", "s"),
        ("monitor", "a", "n"),
        ("monitor_cond", "a", "s"),
        ("monitor_cond_since", "a", "s"),
        ("monitor_cond", "a", "s"),
        ("monitor_cond", "b", "s"),
        ("monitor_cond", "b", "n"),
        ("monitor", "b", "n"),
        ("monitor", "b", "n"),
    ];
    let mut test = Test::new(Quotas::new());
    let writer = test.connect();
    let followers = monitors.map(|(method, id, column)| {
        let follower = test.connect();
        let last = match method {
            "monitor_cond_since" => format!(",\"{nil}\""),
            _ => String::new(),
        };
        let params = format!(r#"["D","{id}",{{"T":{{"columns":["{column}"]}}}}{last}]"#);
        test.call(follower, method, &params);
        follower
    });
    let inserted = test.insert(writer, 1, "x", false);
    let (_, row) = inserted.split_once(r#"["uuid",""#).expect("a row");
    let (row, _) = row.split_once('"').expect("a row");
    for (follower, (method, id, column)) in followers.into_iter().zip(monitors) {
        let text = test.read(follower);
        let value = if column == "n" { "1" } else { "\"x\"" };
        let (update, kind) = match method {
            "monitor" => ("update", "new"),
            "monitor_cond" => ("update2", "insert"),
            _ => ("update3", "insert"),
        };
        let start = format!(r#"{{"id":null,"method":"{update}","params":["{id}","#);
        let end = format!(r#"{{"T":{{"{row}":{{"{kind}":{{"{column}":{value}}}}}}}}}]}}"#);
        assert!(
            text.starts_with(&start) && text.ends_with(&end),
            "{method} {id} {column}: {text}"
        );
        assert_eq!(text.matches("method").count(), 1, "{text}");
    }
}

#[test]
fn a_session_that_is_read_from_again_is_ready() {
    let mut test = Test::new(Quotas::new());
    let client = test.connect();
    let echo = format!(r#"["{}"]"#, "x".repeat(QUEUED));
    test.send(client, "echo", &echo);
    assert!(!test.hub.wants_input(client));
    let count = test.unsent(client);
    test.hub.poll_transmit(client, &mut VecDeque::new());
    test.hub.poll_ready();
    test.hub.handle_sent(client, 1, test.now);
    assert_eq!(test.hub.poll_ready(), []);
    test.hub.handle_sent(client, count / 2, test.now);
    assert!(test.hub.wants_input(client));
    assert_eq!(test.hub.poll_ready(), [client]);
}

#[test]
fn a_wait_that_fails_says_how_many_milliseconds_it_waited() {
    let mut test = Test::new(Quotas::new());
    let client = test.connect();
    let other = test.connect();
    for (number, microseconds, details) in [
        (1, 999, r#"\"where\" clause test failed"#),
        (2, 1999, r#"\"wait\" timed out after 1 ms"#),
    ] {
        // The first operation waits until there are this many rows, then the second one fails.
        let rows: String = (1..number).map(|n| format!(r#"{{"n":{n}}},"#)).collect();
        let first = format!(
            r#"{{"op":"wait","table":"T","where":[],"columns":["n"],"until":"==","rows":[{rows}{{"n":{number}}}]}}"#
        );
        let second = r#"{"op":"wait","timeout":0,"table":"T","where":[],"columns":["n"],"until":"==","rows":[]}"#;
        let request = format!(r#"{{"id":7,"method":"transact","params":["D",{first},{second}]}}"#);
        test.hub.handle_message(client, &request, test.now);
        assert_eq!(test.read(client), "");
        test.now.instant += Duration::from_micros(microseconds);
        test.insert(other, number, "", false);
        let reply = test.read(client);
        assert!(reply.contains(details), "{reply}");
    }
}

#[test]
fn only_the_wait_that_is_not_met_limits_the_time() {
    let mut test = Test::new(Quotas::new());
    let client = test.hub.handle_connected(test.now, Duration::ZERO, false);
    let client = client.expect("a session");
    for (id, limit) in [(1, None), (2, Some(5000))] {
        let wait = |limit: Option<u64>, until: &str| {
            let limit = limit.map_or(String::new(), |limit| format!(r#""timeout":{limit},"#));
            format!(
                r#"{{"op":"wait",{limit}"table":"T","where":[],"columns":["n"],"until":"{until}","rows":[]}}"#
            )
        };
        let (met, not_met) = (wait(Some(0), "=="), wait(limit, "!="));
        let request =
            format!(r#"{{"id":{id},"method":"transact","params":["D",{met},{not_met}]}}"#);
        test.hub.handle_message(client, &request, test.now);
        assert_eq!(test.read(client), "");
        let deadline = limit.map(|limit| test.now.instant + Duration::from_millis(limit));
        assert_eq!(test.hub.poll_timeout(), deadline);
    }
    test.now.instant += Duration::from_secs(5);
    test.hub.handle_timeout(test.now);
    let reply = test.read(client);
    assert!(
        reply.contains(r#""id":2"#) && reply.contains("timed out after 5000 ms"),
        "{reply}"
    );
    assert_eq!(test.hub.poll_timeout(), None);
}

#[test]
fn a_transaction_that_waits_fails_when_its_time_limit_has_passed() {
    let mut test = Test::new(Quotas::new());
    let client = test.connect();
    let wait = r#"["D",{"op":"wait","timeout":30,"table":"T","where":[],"columns":["n"],"until":"!=","rows":[]}]"#;
    let begun = test.now.instant;
    assert_eq!(test.call(client, "transact", wait), "");
    for (milliseconds, is_over) in [(29, false), (30, true)] {
        assert_eq!(
            test.hub.poll_timeout(),
            Some(begun + Duration::from_millis(30))
        );
        test.now.instant = begun + Duration::from_millis(milliseconds);
        test.hub.handle_timeout(test.now);
        let reply = test.read(client);
        let details = r#"\"wait\" timed out after 30 ms"#;
        assert_eq!(reply.contains(details), is_over, "{reply}");
        assert_eq!(test.hub.is_waiting(client), !is_over);
    }
}

#[test]
fn no_session_gets_more_than_its_quota() {
    let mut test = Test::new(Quotas {
        sessions: 3,
        monitors: 2,
    });
    let (client, other) = (test.connect(), test.connect());
    let third = test.connect();
    assert_eq!(
        test.hub.handle_connected(test.now, Duration::ZERO, false),
        None
    );
    test.hub.handle_closed(third);
    test.connect();

    for (n, is_refused) in [(0, false), (1, false), (2, true)] {
        for (method, params) in [
            ("monitor", format!(r#"["D",{n},{{"T":{{}}}}]"#)),
            ("lock", format!(r#"["l{n}"]"#)),
        ] {
            let reply = test.call(client, method, &params);
            assert_eq!(
                reply.contains("resources exhausted"),
                is_refused,
                "{method} {n}: {reply}"
            );
        }
        let wait = format!(
            r#"{{"id":{n},"method":"transact","params":["D",{{"op":"wait","table":"T","where":[],"columns":["n"],"until":"==","rows":[{{"n":5}}]}}]}}"#
        );
        test.hub.handle_message(client, &wait, test.now);
        let reply = test.read(client);
        assert_eq!(
            reply.contains("resources exhausted"),
            is_refused,
            "wait {n}: {reply}"
        );
    }
    // Resources that are given back can be used again, and other sessions have their own.
    test.call(client, "monitor_cancel", "[0]");
    test.call(client, "unlock", r#"["l0"]"#);
    assert!(
        !test
            .call(client, "monitor", r#"["D",7,{"T":{}}]"#)
            .contains("exhausted")
    );
    assert!(!test.call(client, "lock", r#"["l7"]"#).contains("exhausted"));
    assert!(
        !test
            .call(other, "monitor", r#"["D",7,{"T":{}}]"#)
            .contains("exhausted")
    );
}

#[test]
fn a_client_that_does_not_read_notifications_of_its_locks_is_closed() {
    let mut test = Test::new(Quotas::new());
    let (victim, thief) = (test.connect(), test.connect());
    test.call(victim, "lock", r#"["l"]"#);
    for _ in 0..UNREAD {
        test.call(thief, "steal", r#"["l"]"#);
        test.call(thief, "unlock", r#"["l"]"#);
        if test.hub.poll_close(victim).is_some() {
            break;
        }
        assert!(test.unsent(victim) < 2 * UNREAD);
    }
    assert!(
        test.hub
            .poll_close(victim)
            .is_some_and(|reason| reason.contains("does not read"))
    );
}

#[test]
fn the_transactions_of_a_session_that_is_being_closed_end_with_it() {
    let mut test = Test::new(Quotas::new());
    let (client, other) = (test.connect(), test.connect());
    for n in [2, 3] {
        let wait = format!(
            r#"{{"id":{n},"method":"transact","params":["D",{{"op":"wait","table":"T","where":[],"columns":["n"],"until":"!=","rows":[]}},{{"op":"insert","table":"T","row":{{"n":{n}}}}}]}}"#
        );
        test.hub.handle_message(client, &wait, test.now);
        assert_eq!(test.read(client), "");
    }
    // The first fault applies to the transaction for which the others wait.
    for _ in 0..2 {
        let fault = crate::server::fault::TransactionFault::DisconnectAfter;
        test.hub.add_fault("D", fault).expect("the database");
    }
    test.insert(other, 1, "", false);
    assert!(test.hub.poll_close(client).is_some());
    // The client gets no more updates, so a reply would promise updates that it did not get.
    assert_eq!((test.rows(), &*test.read(client)), (2, ""));
}

#[test]
fn a_relay_gives_no_reply_after_an_unknown_outcome() {
    let mut test = Test::relay();
    let client = test.connect();
    test.call(client, "monitor", r#"["D",0,{"T":{}}]"#);
    for n in 1..=2 {
        assert_eq!(test.insert(client, n, "", false), "");
    }
    let first = test.hub.poll_forward("D").expect("a transaction");
    let second = test.hub.poll_forward("D").expect("another one");
    test.hub.handle_forwarded("D", first, Forwarded::Unknown);
    let done =
        Forwarded::Done(r#"[{"uuid":["uuid","00000000-0000-0000-0000-000000000001"]}]"#.into());
    test.hub.handle_forwarded("D", second, done);
    assert!(test.hub.poll_close(client).is_some());
    // The client gets no more updates, so a reply would promise updates that it did not get.
    assert_eq!(test.read(client), "");
}

#[test]
fn a_slow_reader_gets_the_changes_before_a_conversion_in_the_old_schema() {
    let mut test = Test::new(Quotas::new());
    let (reader, writer) = (test.connect(), test.connect());
    test.call(reader, "set_db_change_aware", "[true]");
    for (version, method) in ["monitor", "monitor_cond"].into_iter().enumerate() {
        test.call(reader, method, &format!(r#"["D",{version},{{"T":{{}}}}]"#));
    }
    test.insert(writer, 1, "row", false);
    // The output before the conversion is not read.
    test.send(reader, "echo", &format!(r#"["{}"]"#, "x".repeat(QUEUED)));
    let update = r#"["D",{"op":"update","table":"T","where":[],"row":{"s":"changed"}}]"#;
    test.call(writer, "transact", update);
    assert!(test.pending(reader) > 0);
    let converted = test.hub.convert_now("D", SMALLER, test.now);
    converted.expect("a conversion");
    let text = test.read(reader);
    let last = text.rfind(r#""s":"changed""#).expect("the changes");
    let cancelled = text
        .find("monitor_canceled")
        .expect("the end of the monitors");
    assert!(last < cancelled, "{text}");
}

#[test]
fn a_monitor_gets_the_changes_that_it_selects_and_no_others() {
    let changes = [
        (
            "insert",
            r#"["D",{"op":"insert","table":"T","row":{"n":1}}]"#,
        ),
        (
            "modify",
            r#"["D",{"op":"update","table":"T","where":[],"row":{"n":2}}]"#,
        ),
        ("delete", r#"["D",{"op":"delete","table":"T","where":[]}]"#),
    ];
    for method in ["monitor", "monitor_cond"] {
        for (kind, _) in changes {
            let mut test = Test::new(Quotas::new());
            let (client, watcher) = (test.connect(), test.connect());
            let select = ["initial", "insert", "modify", "delete"]
                .map(|each| format!(r#""{each}":{}"#, each == kind))
                .join(",");
            let request = format!(r#"["D","m",{{"T":{{"select":{{{select}}}}}}}]"#);
            test.call(watcher, method, &request);
            for (made, params) in changes {
                test.call(client, "transact", params);
                let told = test.read(watcher);
                assert_eq!(!told.is_empty(), made == kind, "{method} of {kind}: {told}");
            }
        }
    }
}

#[test]
fn a_transaction_that_waits_ends_with_the_schema_that_it_was_made_for() {
    let wait = r#"["D",{"op":"wait","table":"T","where":[],"columns":["n"],"until":"==","rows":[{"n":7}]}]"#;
    let mut test = Test::new(Quotas::new());
    let (client, other) = (test.connect(), test.connect());
    test.call(client, "set_db_change_aware", "[true]");
    assert_eq!(test.call(client, "transact", wait), "");
    test.call(other, "convert", &format!(r#"["D",{SMALLER}]"#));
    let told = test.read(client);
    assert!(
        told.contains("canceled") && told.contains(r#""id":"transact""#),
        "{told}"
    );
    // It does not wait any longer.
    let insert = r#"["D",{"op":"insert","table":"T","row":{"n":7}}]"#;
    test.call(other, "transact", insert);
    assert_eq!(test.read(client), "");
}

#[test]
fn a_refused_row_names_the_values_that_two_rows_have() {
    let schema = r#"{"name":"D","tables":{"T":{"isRoot":true,"indexes":[["n","s"]],"columns":{
        "n":{"type":"integer"},"x":{"type":"integer"},
        "s":{"type":{"key":"string","min":0,"max":1}}}}}}"#;
    let mut test = Test::with(Quotas::new(), schema);
    let client = test.connect();
    let twice = r#"["D",{"op":"insert","table":"T","row":{"n":1,"s":"a"}},{"op":"insert","table":"T","row":{"n":1,"s":"a"}}]"#;
    let refused = test.call(client, "transact", twice);
    assert!(
        refused.contains(r#"identical values (1 and a) for index on columns \"n\" and \"s\""#),
        "{refused}"
    );
    let first = r#"["D",{"op":"insert","table":"T","row":{"n":1,"s":"a"}},{"op":"insert","table":"T","row":{"n":2}}]"#;
    test.call(client, "transact", first);
    let update = r#"["D",{"op":"update","table":"T","where":[],"row":{"n":3,"s":"b"}}]"#;
    let refused = test.call(client, "transact", update);
    for before in ["1 and a", "2 and []"] {
        let text = format!("had the following index values before the transaction: {before}.");
        assert!(refused.contains(&text), "{refused}");
    }
    // One row changes, but not in the columns of the index; the other one is inserted.
    let other = r#"["D",{"op":"update","table":"T","where":[["n","==",2]],"row":{"x":1}},{"op":"insert","table":"T","row":{"n":2}}]"#;
    let refused = test.call(client, "transact", other);
    for text in [
        "which modified some of the row's columns but not any columns in this index.",
        "was inserted by this transaction.",
    ] {
        assert!(refused.contains(text), "{refused}");
    }
    let one = r#"["D",{"op":"insert","table":"T","row":{"n":2}}]"#;
    let refused = test.call(client, "transact", one);
    let text =
        "existed in the database before this transaction and was not modified by the transaction.";
    assert!(refused.contains(text), "{refused}");
}
