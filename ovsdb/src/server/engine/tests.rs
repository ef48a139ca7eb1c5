//! Transactions on a database alone, without sessions, updates and files.

mod operations;
mod records;

use ovsdb_schema::DatabaseSchema;

use super::*;
use crate::value::json::Reader;

/// A client that may do everything, and holds the lock `held`.
struct Anyone;

impl Caller for Anyone {
    fn holds(&self, lock: &str) -> bool {
        lock == "held"
    }

    fn is_read_only(&self) -> bool {
        false
    }
}

/// An empty database with these tables.
fn database(tables: &str) -> Database {
    let source = format!(r#"{{"name":"D","tables":{{{tables}}}}}"#);
    let source = DatabaseSchema::parse(&source).expect("a schema");
    Database::new(Arc::new(Schema::new(source).expect("a schema")), 1)
}

fn execute(database: &mut Database, operations: &str) -> Executed {
    let text = format!("[{operations}]");
    let mut reader = Reader::new(&text);
    let mut all = Vec::new();
    reader.array().expect("operations");
    while reader.element().expect("operations") {
        all.push(reader.skip().expect("an operation"));
    }
    database.execute(&all, &Anyone, Duration::ZERO)
}

/// Executes a transaction that can be committed.
fn propose(database: &mut Database, operations: &str) -> Proposal {
    match execute(database, operations) {
        Executed::Ready(proposal) => proposal,
        other => panic!("{operations}: {other:?}"),
    }
}

/// Commits a transaction. Returns its results.
fn commit(database: &mut Database, operations: &str) -> String {
    let proposal = propose(database, operations);
    database.commit(proposal)
}

/// The results of a transaction that fails.
fn fail(database: &mut Database, operations: &str) -> String {
    match execute(database, operations) {
        Executed::Failed { results } => results,
        other => panic!("{operations}: {other:?}"),
    }
}

/// An insert with a uuid that ends with this number.
fn insert(table: &str, number: u128, row: &str) -> String {
    let uuid = Uuid::from_u128(number);
    format!(r#"{{"op":"insert","table":"{table}","uuid":"{uuid}","row":{{{row}}}}}"#)
}

fn delete(table: &str, number: u128) -> String {
    let row = reference(number);
    format!(r#"{{"op":"delete","table":"{table}","where":[["_uuid","==",{row}]]}}"#)
}

fn reference(number: u128) -> String {
    format!(r#"["uuid","{}"]"#, Uuid::from_u128(number))
}

/// How many rows the tables have, in the order of their names.
fn counts<const N: usize>(database: &Database) -> [usize; N] {
    std::array::from_fn(|table| database.state().table(table).len())
}

#[test]
fn a_row_stays_as_long_as_a_strong_reference_to_it() {
    let strong = |table: &str| {
        format!(r#"{{"type":{{"key":{{"type":"uuid","refTable":"{table}"}},"min":0}}}}"#)
    };
    let mut database = database(&format!(
        r#""A":{{"isRoot":true,"columns":{{"b":{b}}}}},"B":{{"columns":{{"b":{b},"c":{c}}}}},"C":{{"isRoot":true,"columns":{{"b":{b}}}}}"#,
        b = strong("B"),
        c = strong("C")
    ));
    // Row 1 of table A refers to row 2 of table B, which refers to rows 3 and 5. Nothing refers to row 4.
    let references = format!(r#""b":{},"c":{}"#, reference(3), reference(5));
    let rows = [
        insert("A", 1, &format!(r#""b":{}"#, reference(2))),
        insert("B", 2, &references),
        insert("B", 3, ""),
        insert("B", 4, ""),
        insert("C", 5, ""),
    ];
    commit(&mut database, &rows.join(","));
    assert_eq!(counts(&database), [1, 2, 1]);
    let refused = fail(&mut database, &delete("B", 3));
    let uuid = Uuid::from_u128(3);
    let details = format!("cannot delete B row {uuid} because of 1 remaining reference(s)");
    assert!(
        refused.starts_with(r#"[{"count":1},{"#)
            && refused.contains(r#""error":"referential integrity violation""#)
            && refused.contains(&details),
        "{refused}"
    );
    let unknown = format!(r#""b":{}"#, reference(9));
    let unknown = fail(&mut database, &insert("A", 6, &unknown));
    assert!(unknown.contains("references nonexistent row"), "{unknown}");
    assert_eq!(counts(&database), [1, 2, 1]);

    // A second reference to row 3, which is no change of that row.
    let second = insert("A", 6, &format!(r#""b":{}"#, reference(3)));
    let proposal = propose(&mut database, &second);
    assert_eq!(proposal.commit().map(|commit| commit.row_count()), Some(1));
    database.commit(proposal);
    // Row 2 is deleted with row 1. Row 3 has another reference, and row 5 is in the root set.
    commit(&mut database, &delete("A", 1));
    assert_eq!(counts(&database), [1, 1, 1]);
    commit(&mut database, &delete("A", 6));
    assert_eq!(counts(&database), [0, 0, 1]);
}

#[test]
fn weak_references_to_rows_that_do_not_exist_are_removed_unless_a_column_would_be_empty() {
    let weak = |min| {
        format!(
            r#"{{"type":{{"key":{{"type":"uuid","refTable":"B","refType":"weak"}},"min":{min},"max":"unlimited"}}}}"#
        )
    };
    let mut database = database(&format!(
        r#""A":{{"isRoot":true,"columns":{{"any":{},"some":{}}}}},"B":{{"isRoot":true,"columns":{{"n":{{"type":"integer"}}}}}}"#,
        weak(0),
        weak(1)
    ));
    let both = format!(r#"["set",[{},{}]]"#, reference(2), reference(3));
    let rows = [
        insert("A", 1, &format!(r#""any":{},"some":{both}"#, reference(2))),
        insert("B", 2, ""),
        insert("B", 3, ""),
    ];
    commit(&mut database, &rows.join(","));
    commit(&mut database, &delete("B", 2));
    let select = r#"{"op":"select","table":"A","where":[],"columns":["any","some"]}"#;
    let left = format!(
        r#"[{{"rows":[{{"any":["set",[]],"some":{}}}]}}]"#,
        reference(3)
    );
    assert_eq!(commit(&mut database, select), left);
    let refused = fail(&mut database, &delete("B", 3));
    let uuid = Uuid::from_u128(1);
    let details =
        format!(r#"from column \"some\" in \"A\" row {uuid} caused this column to become empty"#);
    assert!(
        refused.contains("constraint violation") && refused.contains(&details),
        "{refused}"
    );
    assert_eq!(commit(&mut database, select), left);

    // An inserted row whose column would be empty is refused too. The error tells an unknown uuid from a zero one.
    for (row, details) in [
        (
            format!(r#""some":{}"#, reference(9)),
            "Deletion of 1 weak reference(s)",
        ),
        (String::new(), "contained all-zeros UUID"),
    ] {
        let refused = fail(&mut database, &insert("A", 8, &row));
        assert!(
            refused.contains(details) && refused.contains("(inserted within this transaction)"),
            "{refused}"
        );
    }
}

#[test]
fn keys_and_values_of_maps_are_references_too() {
    let mut database = database(
        r#""A":{"isRoot":true,"columns":{
                "strong":{"type":{"key":"string","value":{"type":"uuid","refTable":"B"},"min":0}},
                "weak":{"type":{"key":{"type":"uuid","refTable":"B","refType":"weak"},"value":"string","min":0}}}},
           "B":{"isRoot":true,"columns":{"n":{"type":"integer"}}}"#,
    );
    let maps = format!(
        r#""strong":["map",[["a",{}]]],"weak":["map",[[{},"a"]]]"#,
        reference(2),
        reference(3)
    );
    let rows = [
        insert("A", 1, &maps),
        insert("B", 2, ""),
        insert("B", 3, ""),
    ];
    commit(&mut database, &rows.join(","));
    let refused = fail(&mut database, &delete("B", 2));
    assert!(
        refused.contains("referential integrity violation"),
        "{refused}"
    );
    commit(&mut database, &delete("B", 3));
    let select = r#"{"op":"select","table":"A","where":[],"columns":["weak"]}"#;
    let left = r#"[{"rows":[{"weak":["map",[]]}]}]"#;
    assert_eq!(commit(&mut database, select), left);
}

#[test]
fn a_mutation_without_effect_changes_no_row() {
    let mut database = database(
        r#""T":{"columns":{"i":{"type":"integer"},"j":{"type":"integer"},
            "s":{"type":{"key":"string","min":0,"max":"unlimited"}}}}"#,
    );
    commit(&mut database, &insert("T", 1, r#""i":1,"s":"a""#));
    let row = database.state().table(0).get(Uuid::from_u128(1)).cloned();
    for mutation in [
        r#"["i","+=",0]"#,
        r#"["j","*=",2]"#,
        r#"["s","insert","a"]"#,
        r#"["s","delete","b"]"#,
    ] {
        let mutate =
            format!(r#"{{"op":"mutate","table":"T","where":[],"mutations":[{mutation}]}}"#);
        let proposal = propose(&mut database, &mutate);
        assert!(proposal.commit().is_none(), "{mutation}");
        assert_eq!(database.commit(proposal), r#"[{"count":1}]"#);
    }
    let after = database.state().table(0).get(Uuid::from_u128(1));
    let version = |row: Option<&Arc<Row>>| row.map(|row| row.version());
    assert_eq!(version(row.as_ref()), version(after));
    // A value that becomes the default again is not stored any more.
    let update = r#"{"op":"update","table":"T","where":[],"row":{"i":0}}"#;
    commit(&mut database, update);
    let row = database.state().table(0).get(Uuid::from_u128(1));
    assert_eq!(row.map(|row| row.cells().len()), Some(1));
}

#[test]
fn a_table_has_at_most_the_rows_that_the_schema_allows_at_the_commit() {
    let mut database = database(r#""T":{"columns":{"n":{"type":"integer"}},"maxRows":2}"#);
    let update = r#"{"op":"update","table":"T","where":[["n","==",1]],"row":{"n":7}}"#;
    let both = r#"{"op":"update","table":"T","where":[],"row":{"n":1}}"#;
    let (first, second, third) = (insert("T", 1, ""), insert("T", 2, ""), insert("T", 3, ""));
    for (operations, is_allowed, rows) in [
        (vec![&*first, &*second, &*third], false, 0),
        (vec![&*first, &*second], true, 2),
        (vec![both], true, 2),
        (vec![update, &*third], false, 2),
        (vec![&*third, &*delete("T", 1)], true, 2),
        (vec![&*delete("T", 2)], true, 1),
    ] {
        let operations = operations.join(",");
        if is_allowed {
            commit(&mut database, &operations);
        } else {
            let refused = fail(&mut database, &operations);
            let details = "to contain 3 rows, greater than the schema-defined limit of 2 row(s)";
            assert!(refused.contains(details), "{refused}");
        }
        assert_eq!(counts(&database), [rows], "{operations}");
    }
}

#[test]
fn rows_with_the_same_values_in_an_index_are_refused_with_these_values() {
    for (kind, value, words) in [
        (r#""integer""#, "5", "5"),
        (r#""string""#, r#""two words""#, r#"\"two words\""#),
        (r#"{"key":"integer","min":0}"#, "5", "5"),
        (r#"{"key":"integer","min":0}"#, r#"["set",[]]"#, "[]"),
        (r#"{"key":"integer","min":0,"max":2}"#, "5", "[5]"),
        (
            r#"{"key":"integer","min":0,"max":2}"#,
            r#"["set",[5,6]]"#,
            "[5, 6]",
        ),
        (
            r#"{"key":"string","value":"integer","min":0}"#,
            r#"["map",[["a",1]]]"#,
            "a=1",
        ),
        (
            r#"{"key":"string","value":"integer","min":0}"#,
            r#"["map",[]]"#,
            "{}",
        ),
        (
            r#"{"key":"string","value":"integer","min":0,"max":2}"#,
            r#"["map",[["a",1]]]"#,
            "{a=1}",
        ),
    ] {
        let mut database = database(&format!(
            r#""T":{{"columns":{{"c":{{"type":{kind}}}}},"indexes":[["c"]]}}"#
        ));
        let row = format!(r#""c":{value}"#);
        let rows = [insert("T", 1, &row), insert("T", 2, &row)];
        let refused = fail(&mut database, &rows.join(","));
        let details = format!(
            r#"Transaction causes multiple rows in \"T\" table to have identical values ({words}) for index on column \"c\"."#
        );
        assert!(refused.contains(&details), "{words}: {refused}");
    }
}

#[test]
fn the_error_of_a_transaction_that_is_not_committed_follows_its_results() {
    let mut database = database(r#""T":{"columns":{"n":{"type":"integer"}}}"#);
    let error = || OvsdbError::new("I/O error");
    let refused = propose(&mut database, "").refuse(&error());
    assert_eq!(refused, r#"[{"error":"I/O error"}]"#);
    let refused = propose(&mut database, r#"{"op":"comment","comment":"c"}"#).refuse(&error());
    assert_eq!(refused, r#"[{},{"error":"I/O error"}]"#);
    // Nothing is executed after an operation that fails.
    let comment = r#"{"op":"comment","comment":"c"}"#;
    let operations = [comment, r#"{"op":"abort"}"#, comment, comment];
    assert_eq!(
        fail(&mut database, &operations.join(",")),
        r#"[{},{"error":"aborted","details":"aborted by request"},null,null]"#
    );
}

#[test]
fn a_file_would_lose_the_references_of_an_ephemeral_column_that_must_not_be_empty() {
    let reference = r#"{"type":"uuid","refTable":"T"}"#;
    for (ephemeral, key, value, min, is_lost) in [
        (true, reference, None, 1, true),
        (true, reference, None, 0, false),
        (false, reference, None, 1, false),
        (true, r#""uuid""#, None, 1, false),
        (true, r#""string""#, Some(reference), 1, true),
    ] {
        let value = value.map_or_else(String::new, |value| format!(r#","value":{value}"#));
        let database = database(&format!(
            r#""T":{{"columns":{{"c":{{"type":{{"key":{key}{value},"min":{min},"max":2}},"ephemeral":{ephemeral}}}}}}}"#
        ));
        let lost = database.schema().lost_reference();
        assert_eq!(lost.is_some(), is_lost, "{ephemeral} {key} {value} {min}");
    }
}
