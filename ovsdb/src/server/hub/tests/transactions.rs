//! What transactions do and refuse: constraints of values, references, defaults, messages.

use super::*;

const CONSTRAINTS: &str = r#"{"name":"D","tables":{
    "Limits":{"isRoot":true,"columns":{
        "color":{"type":{"key":{"type":"string","enum":["set",["red","blue"]]},"min":0}},
        "level":{"type":{"key":{"type":"integer","enum":["set",[1,2]]},"min":0}},
        "share":{"type":{"key":{"type":"real","enum":["set",[0.5,1.5]]},"min":0}},
        "flag":{"type":{"key":{"type":"boolean","enum":["set",[true]]},"min":0}},
        "id":{"type":{"key":{"type":"uuid","enum":["set",[["uuid","00000000-0000-0000-0000-000000000007"]]]},"min":0}},
        "count":{"type":{"key":{"type":"integer","minInteger":2,"maxInteger":5},"min":0}},
        "word":{"type":{"key":{"type":"string","minLength":2,"maxLength":3},"min":0}}}},
    "Required":{"isRoot":true,"columns":{
        "count":{"type":{"key":{"type":"integer","minInteger":2}}},
        "kind":{"type":{"key":{"type":"string","enum":["set",["a","b"]]}}}}},
    "Few":{"isRoot":true,"maxRows":2,"columns":{"n":{"type":"integer"}}}}}"#;

const REFERENCES: &str = r#"{"name":"D","tables":{
    "Root":{"isRoot":true,"columns":{
        "name":{"type":"string"},
        "children":{"type":{"key":{"type":"uuid","refTable":"Child"},"min":0,"max":"unlimited"}},
        "peers":{"type":{"key":{"type":"uuid","refTable":"Root","refType":"weak"},"min":0,"max":"unlimited"}}}},
    "Child":{"columns":{
        "name":{"type":"string"},
        "children":{"type":{"key":{"type":"uuid","refTable":"Child"},"min":0,"max":"unlimited"}}}},
    "Bound":{"isRoot":true,"columns":{
        "peer":{"type":{"key":{"type":"uuid","refTable":"Root","refType":"weak"}}}}}}}"#;

/// Runs a transaction. Returns the reply.
fn transact(test: &mut Test, client: SessionId, operations: &str) -> String {
    test.call(client, "transact", &format!(r#"["D",{operations}]"#))
}

/// Runs transactions of one client. Checks that each reply contains the text given with the transaction.
fn run(schema: &str, transactions: &[(&str, &str)]) {
    let mut test = Test::with(Quotas::new(), schema);
    let client = test.connect();
    for (operations, expected) in transactions {
        let reply = transact(&mut test, client, operations);
        assert!(reply.contains(expected), "{operations}\n{reply}");
    }
}

/// An insert into `Limits` with a value in one column.
fn limited(column: &str, value: &str) -> String {
    format!(r#"{{"op":"insert","table":"Limits","row":{{"{column}":{value}}}}}"#)
}

#[test]
fn a_value_outside_the_constraints_of_its_column_is_refused() {
    let seven = r#"["uuid","00000000-0000-0000-0000-000000000007"]"#;
    let eight = r#"["uuid","00000000-0000-0000-0000-000000000008"]"#;
    let not_allowed = "is not one of the allowed values";
    for (column, allowed, refused, details) in [
        ("color", r#""blue""#, r#""green""#, not_allowed),
        ("level", "2", "3", not_allowed),
        ("share", "1.5", "1.25", not_allowed),
        ("flag", "true", "false", not_allowed),
        ("id", seven, eight, not_allowed),
        (
            "count",
            "2",
            "1",
            "is not in the valid range 2 to 5 (inclusive)",
        ),
        (
            "count",
            "5",
            "6",
            "is not in the valid range 2 to 5 (inclusive)",
        ),
        (
            "word",
            r#""ab""#,
            r#""a""#,
            "length 1 is less than minimum allowed length 2",
        ),
        (
            "word",
            r#""äbc""#,
            r#""äbcd""#,
            "length 4 is greater than maximum allowed length 3",
        ),
    ] {
        run(
            CONSTRAINTS,
            &[
                (&limited(column, allowed), r#""uuid""#),
                (&limited(column, refused), "constraint violation"),
                (&limited(column, refused), details),
            ],
        );
    }
}

#[test]
fn a_column_whose_default_its_constraints_do_not_allow_must_be_set() {
    let insert = |row| format!(r#"{{"op":"insert","table":"Required","row":{{{row}}}}}"#);
    run(
        CONSTRAINTS,
        &[
            (&insert(r#""count":3"#), "is not one of the allowed values"),
            (
                &insert(r#""kind":"a""#),
                "is less than minimum allowed value 2",
            ),
            (&insert(r#""kind":"b","count":2"#), r#""uuid""#),
        ],
    );
}

#[test]
fn a_table_has_no_more_rows_than_its_schema_allows() {
    let insert = r#"{"op":"insert","table":"Few","row":{}}"#;
    let delete = r#"{"op":"delete","table":"Few","where":[]}"#;
    let too_many = "table to contain 3 rows, greater than the schema-defined limit of 2 row(s)";
    run(
        CONSTRAINTS,
        &[
            (&format!("{insert},{insert},{insert}"), too_many),
            (&format!("{insert},{insert}"), r#""uuid""#),
            (insert, too_many),
            (&format!("{delete},{insert},{insert}"), r#""count":2"#),
            (&format!("{insert},{insert},{delete}"), r#""count":4"#),
            (&format!("{insert},{insert}"), r#""uuid""#),
        ],
    );
}

#[test]
fn an_error_names_the_operation_and_the_table() {
    run(
        CONSTRAINTS,
        &[
            (
                r#"{"op":"comment","comment":"x"},{"op":"insert","row":{}}"#,
                "Parsing ovsdb operation 2 of 2 failed: Required 'table' member is missing.",
            ),
            (
                r#"{"op":"insert","table":"Few","row":{},"extra":1}"#,
                "Parsing ovsdb operation 1 of 1 failed: Member 'extra' is present but not allowed here.",
            ),
        ],
    );
    let mut test = Test::with(Quotas::new(), CONSTRAINTS);
    let client = test.connect();
    let reply = test.call(
        client,
        "monitor",
        r#"["D","m",{"Few":{"select":{"new":true}}}]"#,
    );
    assert!(reply.contains("table Few select"), "{reply}");
    let reply = test.call(client, "monitor", r#"["D","m",{"Few":{"rows":[]}}]"#);
    assert!(reply.contains("table Few failed"), "{reply}");
}

/// Rows of `REFERENCES`: root `a` with a chain of three children, and two roots that refer weakly to each other; `b`
/// also refers to `a`.
const FAMILY: &str = r#"
    {"op":"insert","table":"Child","uuid-name":"last","row":{"name":"last"}},
    {"op":"insert","table":"Child","uuid-name":"middle","row":{"name":"middle","children":["named-uuid","last"]}},
    {"op":"insert","table":"Child","uuid-name":"first","row":{"name":"first","children":["named-uuid","middle"]}},
    {"op":"insert","table":"Root","uuid-name":"a","row":{"name":"a","children":["named-uuid","first"]}},
    {"op":"insert","table":"Root","uuid-name":"b","row":{"name":"b","peers":["set",[["named-uuid","a"],["named-uuid","c"]]]}},
    {"op":"insert","table":"Root","uuid-name":"c","row":{"name":"c","peers":["named-uuid","b"]}}"#;

/// A database with that family, a client, and another one that monitors these columns of the roots.
fn family(columns: &str) -> (Test, SessionId, SessionId) {
    let mut test = Test::with(Quotas::new(), REFERENCES);
    let (client, watcher) = (test.connect(), test.connect());
    transact(&mut test, client, FAMILY);
    let request = format!(r#"["D","m",{{"Root":{{"columns":{columns}}}}}]"#);
    test.call(watcher, "monitor_cond", &request);
    (test, client, watcher)
}

fn select(table: &str, column: &str) -> String {
    format!(r#"{{"op":"select","table":"{table}","where":[],"columns":["{column}"]}}"#)
}

fn delete(table: &str, name: &str) -> String {
    format!(r#"{{"op":"delete","table":"{table}","where":[["name","==","{name}"]]}}"#)
}

#[test]
fn rows_that_nothing_refers_to_any_longer_are_deleted_with_the_last_reference() {
    let children = select("Child", "name");
    run(
        REFERENCES,
        &[
            (FAMILY, r#""uuid""#),
            (
                &delete("Child", "middle"),
                "referential integrity violation",
            ),
            (&children, r#""name":"middle""#),
            // Root `b` gets a child of its own, which stays when the children of root `a` are deleted.
            (
                r#"{"op":"select","table":"Child","where":[["name","==","last"]],"columns":["name"]},
                   {"op":"insert","table":"Child","uuid-name":"own","row":{"name":"own"}},
                   {"op":"update","table":"Root","where":[["name","==","b"]],"row":{"children":["named-uuid","own"]}}"#,
                r#""count":1"#,
            ),
            (&delete("Root", "a"), r#""count":1"#),
            (&children, r#"{"rows":[{"name":"own"}]}"#),
            (&delete("Root", "b"), r#""count":1"#),
            (&children, r#"{"rows":[]}"#),
            // Two roots refer to one child, which stays until the second of them is deleted.
            (
                r#"{"op":"insert","table":"Child","uuid-name":"both","row":{"name":"both"}},
                   {"op":"insert","table":"Root","row":{"name":"d","children":["named-uuid","both"]}},
                   {"op":"insert","table":"Root","row":{"name":"e","children":["named-uuid","both"]}}"#,
                r#""uuid""#,
            ),
            (&delete("Root", "d"), r#""count":1"#),
            (&children, r#"{"rows":[{"name":"both"}]}"#),
            (&delete("Root", "e"), r#""count":1"#),
            (&children, r#"{"rows":[]}"#),
        ],
    );
}

#[test]
fn weak_references_to_a_deleted_row_are_removed() {
    let (mut test, client, watcher) = family(r#"["name","peers"]"#);
    let transact = |test: &mut Test, operations: &str| transact(test, client, operations);
    transact(&mut test, &delete("Root", "a"));
    let told = test.read(watcher);
    assert_eq!(told.matches(r#"{"delete":null}"#).count(), 1, "{told}");
    assert_eq!(told.matches(r#"{"modify":{"peers":"#).count(), 1, "{told}");
    transact(&mut test, &delete("Root", "c"));
    let left = transact(&mut test, &select("Root", "peers"));
    assert!(
        left.contains(r#"{"rows":[{"peers":["set",[]]}]}"#),
        "{left}"
    );

    // Rows `y` and `z` refer to `x`. Only the reference of `z` is left when `x` is deleted.
    let three = r#"{"op":"delete","table":"Root","where":[]},
        {"op":"insert","table":"Root","uuid-name":"x","row":{"name":"x"}},
        {"op":"insert","table":"Root","row":{"name":"y","peers":["named-uuid","x"]}},
        {"op":"insert","table":"Root","row":{"name":"z","peers":["named-uuid","x"]}}"#;
    let answer = transact(&mut test, three);
    assert!(answer.contains(r#""uuid""#), "{answer}");
    let none =
        r#"{"op":"update","table":"Root","where":[["name","==","y"]],"row":{"peers":["set",[]]}}"#;
    transact(&mut test, none);
    transact(&mut test, &delete("Root", "x"));
    let left = r#"{"op":"select","table":"Root","where":[],"columns":["name","peers"]}"#;
    let left = transact(&mut test, left);
    for name in ["y", "z"] {
        let row = format!(r#"{{"name":"{name}","peers":["set",[]]}}"#);
        assert!(left.contains(&row), "{left}");
    }

    // A transaction that empties a column which must have a reference is refused.
    let bound = r#"{"op":"insert","table":"Root","uuid-name":"d","row":{"name":"d"}},
        {"op":"insert","table":"Bound","row":{"peer":["named-uuid","d"]}}"#;
    transact(&mut test, bound);
    let refused = transact(&mut test, &delete("Root", "d"));
    assert!(
        refused.contains("Deletion of 1 weak reference(s) to deleted (or never-existing) rows"),
        "{refused}"
    );
    let refused = transact(&mut test, r#"{"op":"insert","table":"Bound","row":{}}"#);
    assert!(refused.contains("contained all-zeros UUID"), "{refused}");
    let unknown = r#"{"op":"insert","table":"Bound","row":{"peer":["uuid","00000000-0000-0000-0000-000000000007"]}}"#;
    let refused = transact(&mut test, unknown);
    assert!(
        refused.contains("(inserted within this transaction)"),
        "{refused}"
    );
}

#[test]
fn a_transaction_that_changes_nothing_sends_no_update() {
    let (mut test, client, watcher) = family(r#"["name","_version"]"#);
    let transact = |test: &mut Test, operations: &str| transact(test, client, operations);
    let written = test.journal.len();
    for operations in [
        r#"{"op":"update","table":"Root","where":[["name","==","a"]],"row":{"name":"a","peers":["set",[]]}}"#,
        r#"{"op":"insert","table":"Root","uuid-name":"d","row":{}},{"op":"delete","table":"Root","where":[["_uuid","==",["named-uuid","d"]]]}"#,
        r#"{"op":"insert","table":"Child","row":{}}"#,
    ] {
        let reply = transact(&mut test, operations);
        assert!(reply.contains(r#""error":null"#), "{reply}");
        assert_eq!(test.read(watcher), "", "{operations}");
        assert_eq!(test.journal.len(), written, "{operations}");
    }
    // A weak reference to a row that does not exist is not stored, but the row gets another version.
    let unknown = r#"{"op":"update","table":"Root","where":[["name","==","a"]],"row":{"peers":["uuid","00000000-0000-0000-0000-000000000007"]}}"#;
    transact(&mut test, unknown);
    let told = test.read(watcher);
    assert!(
        told.contains(r#""_version""#) && !told.contains(r#""name""#),
        "{told}"
    );
    // A row that changes has another version, which a monitor can select.
    transact(
        &mut test,
        r#"{"op":"update","table":"Root","where":[["name","==","a"]],"row":{"name":"e"}}"#,
    );
    let told = test.read(watcher);
    assert!(
        told.contains(r#""name":"e""#) && told.contains(r#""_version""#),
        "{told}"
    );
    let reply = test.call(
        client,
        "monitor_cond",
        r#"["D","n",{"Root":{"columns":["name","_version"]}}]"#,
    );
    assert_eq!(
        reply.matches(r#""_version":["uuid","#).count(),
        3,
        "{reply}"
    );
    let nil = Uuid::nil().to_string();
    assert!(
        !reply.contains(&nil) && !told.contains(&nil),
        "{told} {reply}"
    );
}

#[test]
fn a_mutation_whose_result_is_no_value_of_its_column_is_refused() {
    let schema = r#"{"name":"D","tables":{"T":{"isRoot":true,"columns":{
        "n":{"type":"integer"},"x":{"type":"real"},
        "set":{"type":{"key":"integer","min":0,"max":"unlimited"}},
        "few":{"type":{"key":{"type":"integer","maxInteger":9},"min":0,"max":2}}}}}}"#;
    let greatest = i64::MAX;
    let insert = format!(
        r#"{{"op":"insert","table":"T","row":{{"n":{greatest},"x":1e308,"set":["set",[1,2]],"few":["set",[3,4]]}}}}"#
    );
    let mut cases = vec![(insert, r#""uuid""#)];
    for (mutation, reply) in [
        (r#"["n","/=",0]"#, "Division by zero."),
        (r#"["n","%=",0]"#, "Division by zero."),
        (r#"["x","/=",0.0]"#, "Division by zero."),
        (
            r#"["n","+=",1]"#,
            r#"Result of \"+=\" operation is out of range."#,
        ),
        (
            r#"["n","*=",2]"#,
            r#"Result of \"*=\" operation is out of range."#,
        ),
        (
            r#"["x","*=",10.0]"#,
            r#"Result of \"*=\" operation is out of range."#,
        ),
        (r#"["set","/=",2]"#, r#""count":1"#),
        (
            r#"["set","*=",0]"#,
            r#"Result of \"*=\" operation contains duplicates."#,
        ),
        (r#"["few","+=",6]"#, "constraint violation"),
        (
            r#"["few","insert",5]"#,
            "Attempted to store 3 elements in set of up to 2 integers.",
        ),
        (r#"["few","delete",3]"#, r#""count":1"#),
        (r#"["n","-=",7]"#, r#""count":1"#),
        (r#"["n","%=",10]"#, r#""count":1"#),
    ] {
        let mutate =
            format!(r#"{{"op":"mutate","table":"T","where":[],"mutations":[{mutation}]}}"#);
        cases.push((mutate, reply));
    }
    let select = r#"{"op":"select","table":"T","where":[],"columns":["n","set","few"]}"#;
    let row = r#"{"rows":[{"n":0,"set":["set",[0,1]],"few":4}]}"#;
    cases.push((select.to_owned(), row));
    let cases: Vec<_> = cases
        .iter()
        .map(|(text, reply)| (&**text, *reply))
        .collect();
    run(schema, &cases);
}

#[test]
fn transactions_of_a_database_that_is_removed_get_an_outcome() {
    // Carried out, but not on disk: the client must not take it for refused.
    let mut test = Test::new(Quotas::new());
    let client = test.connect();
    test.call(client, "set_db_change_aware", "[true]");
    assert_eq!(test.insert(client, 1, "durable", true), "");
    assert!(test.hub.owes_reply(client));
    assert!(test.hub.remove("D", test.now));
    assert!(!test.hub.owes_reply(client));
    assert!(test.hub.poll_close(client).is_some());

    // Not sent to the source of a relay: it is cancelled.
    for is_taken in [false, true] {
        let mut test = Test::relay();
        let client = test.connect();
        test.call(client, "set_db_change_aware", "[true]");
        assert_eq!(test.insert(client, 1, "forwarded", false), "");
        let taken = is_taken.then(|| test.hub.poll_forward("D").expect("a transaction"));
        assert!(test.hub.remove("D", test.now));
        if let Some(forward) = taken {
            assert!(test.hub.owes_reply(client));
            test.hub.handle_forwarded("D", forward, Forwarded::NotSent);
        }
        assert!(!test.hub.owes_reply(client));
        assert!(test.read(client).contains(r#""error":"canceled""#));
        assert!(test.hub.poll_close(client).is_none());
    }

    // A session that is being closed owes nothing for a transaction that was not sent.
    let mut test = Test::relay();
    let client = test.connect();
    for n in 1..=2 {
        assert_eq!(test.insert(client, n, "forwarded", false), "");
    }
    for outcome in [Forwarded::Unknown, Forwarded::NotSent] {
        assert!(test.hub.owes_reply(client));
        let forward = test.hub.poll_forward("D").expect("a transaction");
        test.hub.handle_forwarded("D", forward, outcome);
    }
    assert!(!test.hub.owes_reply(client) && test.hub.poll_forward("D").is_none());
}

#[test]
fn pending_changes_of_a_row_are_merged() {
    let mut test = Test::new(Quotas::new());
    let (reader, writer) = (test.connect(), test.connect());
    test.call(reader, "monitor", r#"["D","m",{"T":{}}]"#);
    assert!(test.insert(writer, 1, "old", false).contains("uuid"));
    assert!(test.read(reader).contains("old"));
    // The reader is slow from now on.
    test.send(
        reader,
        "echo",
        &format!(r#"["{}"]"#, "x".repeat(2 * QUEUED)),
    );
    let write = |test: &mut Test, operation: &str| {
        let answer = test.call(writer, "transact", &format!(r#"["D",{operation}]"#));
        assert!(answer.contains(r#""error":null"#), "{answer}");
    };
    let all = r#""table":"T","where":[]"#;
    write(
        &mut test,
        r#"{"op":"insert","table":"T","row":{"n":2,"s":"new"}}"#,
    );
    write(
        &mut test,
        &format!(r#"{{"op":"update",{all},"row":{{"s":"changed"}}}}"#),
    );
    assert_eq!(test.pending(reader), 2);
    write(
        &mut test,
        r#"{"op":"delete","table":"T","where":[["n","==",1]]}"#,
    );
    assert_eq!(test.pending(reader), 2, "one row was deleted, one is new");
    write(&mut test, &format!(r#"{{"op":"delete",{all}}}"#));
    assert_eq!(test.pending(reader), 1, "the new row is gone again");
    let text = test.read(reader);
    assert!(
        text.contains("old") && !text.contains("new"),
        "{}",
        text.len()
    );
}

#[test]
fn locks_of_clients_that_are_disconnected_go_to_the_next() {
    let mut test = Test::new(Quotas::new());
    let (holder, next) = (test.connect(), test.connect());
    test.call(next, "set_db_change_aware", "[true]");
    assert!(
        test.call(holder, "lock", r#"["l"]"#)
            .contains(r#""locked":true"#)
    );
    assert!(
        test.call(next, "lock", r#"["l"]"#)
            .contains(r#""locked":false"#)
    );
    assert!(test.hub.remove("D", test.now));
    assert!(test.hub.poll_close(holder).is_some());
    assert!(test.read(next).contains(r#""method":"locked""#));
}
