//! The records of commits, which files keep.

use super::*;

/// Commits a transaction. Returns its record, if files keep one.
fn record(database: &mut Database, operations: &str) -> Option<String> {
    let proposal = propose(database, operations);
    let commit = proposal.commit().cloned().expect("changes");
    database.commit(proposal);
    let mut text = String::new();
    record::write_commit(&mut text, &commit, database.schema()).then_some(text)
}

#[test]
fn a_record_has_the_changes_of_columns_that_are_not_ephemeral() {
    let mut database = database(
        r#""A":{"columns":{"kept":{"type":"integer"},"also":{"type":"integer"},
                "lost":{"type":"integer","ephemeral":true}}},
           "B":{"columns":{"n":{"type":"integer"}}}"#,
    );
    let [a, b] = [1, 2].map(Uuid::from_u128);
    let update = |table: &str, row: &str| {
        format!(r#"{{"op":"update","table":"{table}","where":[],"row":{{{row}}}}}"#)
    };
    let first = insert("A", 1, r#""kept":1,"lost":2"#);
    for (operations, expected) in [
        (
            vec![first, insert("B", 2, r#""n":3"#)],
            Some(format!(
                r#"{{"A":{{"{a}":{{"kept":1}}}},"B":{{"{b}":{{"n":3}}}}"#
            )),
        ),
        (vec![update("A", r#""lost":3"#)], None),
        (
            vec![update("A", r#""lost":4"#), update("B", r#""n":4"#)],
            Some(format!(r#"{{"B":{{"{b}":{{"n":4}}}}"#)),
        ),
        (
            vec![update("A", r#""lost":5,"kept":0,"also":6"#)],
            Some(format!(r#"{{"A":{{"{a}":{{"also":6,"kept":0}}}}"#)),
        ),
        (
            vec![delete("A", 1), update("B", r#""n":0"#)],
            Some(format!(r#"{{"A":{{"{a}":null}},"B":{{"{b}":{{"n":0}}}}"#)),
        ),
    ] {
        let operations = operations.join(",");
        assert_eq!(record(&mut database, &operations), expected, "{operations}");
    }
}

#[test]
fn a_record_has_each_row_of_a_table() {
    let mut database = database(
        r#""A":{"columns":{"n":{"type":"integer"},"lost":{"type":"integer","ephemeral":true}}}"#,
    );
    let rows: Vec<_> = (1..=5).map(|number| insert("A", number, "")).collect();
    record(&mut database, &rows.join(",")).expect("a record");
    // Every second row has a change that is not kept.
    let changes = (1..=5).map(|number| {
        let row = reference(number);
        let column = if number % 2 == 0 { "lost" } else { "n" };
        format!(
            r#"{{"op":"update","table":"A","where":[["_uuid","==",{row}]],"row":{{"{column}":7}}}}"#
        )
    });
    let changes: Vec<_> = changes.collect();
    let record = record(&mut database, &changes.join(",")).expect("a record");
    let object: serde_json::Value =
        serde_json::from_str(&format!("{record}}}")).expect("an object");
    let rows = object["A"].as_object().expect("a table");
    let expected = [1, 3, 5].map(|number| Uuid::from_u128(number).to_string());
    assert!(rows.keys().eq(expected.iter()), "{record}");
    assert!(rows.values().all(|row| *row == serde_json::json!({"n": 7})));
}
