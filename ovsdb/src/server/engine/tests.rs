//! Transactions on a database alone, without sessions, updates and files.

use ovsdb_schema::DatabaseSchema;

use super::*;
use crate::value::json::Reader;

/// A client that may do everything and holds every lock.
struct Anyone;

impl Caller for Anyone {
    fn holds(&self, _: &str) -> bool {
        true
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
    let strong = r#"{"type":{"key":{"type":"uuid","refTable":"B"},"min":0}}"#;
    let mut database = database(&format!(
        r#""A":{{"isRoot":true,"columns":{{"b":{strong}}}}},"B":{{"columns":{{"b":{strong}}}}}"#
    ));
    // Row 1 of table A refers to row 2 of table B, which refers to row 3. Nothing refers to row 4.
    let rows = [
        insert("A", 1, &format!(r#""b":{}"#, reference(2))),
        insert("B", 2, &format!(r#""b":{}"#, reference(3))),
        insert("B", 3, ""),
        insert("B", 4, ""),
    ];
    commit(&mut database, &rows.join(","));
    assert_eq!(counts(&database), [1, 2]);
    let refused = fail(&mut database, &delete("B", 3));
    let uuid = Uuid::from_u128(3);
    let details = format!("cannot delete B row {uuid} because of 1 remaining reference(s)");
    assert!(
        refused.starts_with(r#"[{"count":1},{"#)
            && refused.contains(r#""error":"referential integrity violation""#)
            && refused.contains(&details),
        "{refused}"
    );
    let unknown = fail(
        &mut database,
        &insert("A", 5, &format!(r#""b":{}"#, reference(6))),
    );
    assert!(unknown.contains("references nonexistent row"), "{unknown}");
    assert_eq!(counts(&database), [1, 2]);
    commit(&mut database, &delete("A", 1));
    assert_eq!(counts(&database), [0, 0]);
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

    // A row that is inserted without any of them is refused too. The error says which kind of uuid it was.
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
fn numbers_are_mutated() {
    let mut database = database(
        r#""T":{"columns":{"i":{"type":"integer"},"x":{"type":"real"},
            "all":{"type":{"key":"integer","min":0,"max":"unlimited"}}}}"#,
    );
    for (column, before, mutator, argument, after) in [
        ("i", "7", "+=", "2", "9"),
        ("i", "7", "-=", "2", "5"),
        ("i", "7", "*=", "2", "14"),
        ("i", "7", "/=", "2", "3"),
        ("i", "-7", "/=", "2", "-3"),
        ("i", "-7", "%=", "2", "-1"),
        ("x", "7.5", "+=", "2.5", "10.0"),
        ("x", "7.5", "-=", "2.5", "5.0"),
        ("x", "7.5", "*=", "2.5", "18.75"),
        ("x", "7.5", "/=", "2.5", "3.0"),
        ("all", r#"["set",[1,2,3]]"#, "*=", "2", r#"["set",[2,4,6]]"#),
    ] {
        let operations = format!(
            r#"{{"op":"delete","table":"T","where":[]}},
               {{"op":"insert","table":"T","row":{{"{column}":{before}}}}},
               {{"op":"mutate","table":"T","where":[],"mutations":[["{column}","{mutator}",{argument}]]}},
               {{"op":"select","table":"T","where":[],"columns":["{column}"]}}"#
        );
        let results = commit(&mut database, &operations);
        let row = format!(r#"{{"rows":[{{"{column}":{after}}}]}}]"#);
        assert!(
            results.ends_with(&row),
            "{before} {mutator} {argument}: {results}"
        );
    }
}

#[test]
fn a_mutation_without_effect_changes_no_row() {
    let mut database = database(
        r#""T":{"columns":{"i":{"type":"integer"},"s":{"type":{"key":"string","min":0,"max":"unlimited"}}}}"#,
    );
    commit(&mut database, &insert("T", 1, r#""i":1,"s":"a""#));
    let row = database.state().table(0).get(Uuid::from_u128(1)).cloned();
    for mutation in [
        r#"["i","+=",0]"#,
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
}
