//! What is read from the reply to a transaction, and how it is reported.

use super::*;

#[test]
fn a_refusal_names_the_operation_and_its_table() {
    let shown = |operation, name, table: Option<&str>, of_guard| {
        let refusal = Refusal {
            operation,
            name,
            table: table.map(Str::from),
            of_guard,
            ..Refusal::of_request(OvsdbError::new("no"))
        };
        refusal.to_string()
    };
    let insert = Some("insert");
    assert_eq!(
        shown(Some(2), insert, Some("T"), false),
        "operation 2, insert in T: no"
    );
    assert_eq!(
        shown(Some(2), Some("comment"), None, false),
        "operation 2, comment: no"
    );
    assert_eq!(shown(None, None, None, false), "no");
    assert_eq!(shown(None, insert, Some("T"), false), "no");
    let changed = "another client has changed rows of T that the transaction is based on: no";
    assert_eq!(shown(None, insert, Some("T"), true), changed);
}

#[test]
fn a_wrong_number_of_values_is_reported_with_the_right_one() {
    for (count, least, most, expected) in [
        (0, 1, Some(1), "exactly 1 value"),
        (2, 1, Some(1), "exactly 1 value"),
        (2, 0, Some(1), "at most 1 value"),
        (4, 1, Some(3), "at most 3 values"),
        (0, 1, Some(3), "at least 1 value"),
        (0, 1, None, "at least 1 value"),
    ] {
        let error = BuildError::Count {
            table: "T",
            column: "c",
            count,
            least,
            most,
        };
        let words = format!(
            "column T.c holds {count} values, but must hold {expected} by the server's schema"
        );
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn an_operation_of_a_merged_transaction_is_numbered_after_the_earlier_ones() {
    let second = OperationIndex(2).after(3);
    assert_eq!(second.get(), 5);
    assert_eq!(second.after(usize::MAX).get(), usize::MAX);
}

struct Inventory;

impl ovsdb::Database for Inventory {
    const NAME: &'static str = "Inventory";
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Inventory, table = "Item")]
struct Item {
    name: Str,
    count: i64,
}

fn operations() -> Vec<Operation> {
    let text = r#"[{"op":"insert","table":"Item","row":{}},
        {"op":"delete","table":"Item","where":[]},{"op":"select","table":"Item","where":[]}]"#;
    Vec::from_json(text).expect("operations")
}

#[test]
fn each_operation_has_its_result() {
    let (sent, row) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let text = format!(
        r#"[{{"uuid":["uuid","{row}"]}},{{"count":3}},{{"rows":[
            {{"_uuid":["uuid","{row}"],"name":"a","other":5}},
            {{"count":7,"_uuid":["uuid","{sent}"]}}]}}]"#
    );
    let inserted = HashMap::from([(sent, 0), (row, 1)]);
    let outcome = Outcome::read(text, &operations(), &inserted).expect("an outcome");
    assert_eq!(outcome.results().len(), 3);
    assert_eq!(
        [0, 1, 2, 9].map(|at| outcome.count(OperationIndex(at))),
        [0, 3, 0, 0]
    );
    assert_eq!(outcome.inserted_uuid(sent), Some(row));
    assert_eq!(
        outcome.inserted(Ref::<Item>::new(sent)),
        Some(Ref::new(row))
    );
    // The operation at this place is not an insert; and this row was not inserted at all.
    assert_eq!(outcome.inserted_uuid(row), None);
    assert_eq!(outcome.inserted_uuid(Uuid::nil()), None);
    assert!(!outcome.is_settled());
    let selection = |at| Selection::<Item>::new(OperationIndex(at));
    let rows = outcome.rows(&selection(2)).expect("rows");
    let [first, second] = &rows[..] else {
        panic!("{rows:?}");
    };
    assert_eq!((first.uuid(), &*first.name, first.count), (row, "a", 0));
    assert_eq!((second.uuid(), &*second.name, second.count), (sent, "", 7));
    assert!(outcome.rows(&selection(1)).expect("no rows").is_empty());
    outcome
        .rows(&selection(3))
        .expect_err("there is no such result");

    // Without the guards, the operations have the numbers that the caller knows.
    let text = format!(r#"[{{}},{{"uuid":["uuid","{row}"]}},{{"rows":[]}}]"#);
    let inserted = HashMap::from([(sent, 1)]);
    let outcome = Outcome::read(text, &operations(), &inserted).expect("an outcome");
    let outcome = outcome.without_first(1);
    assert_eq!(outcome.results().len(), 2);
    assert_eq!(outcome.inserted_uuid(sent), Some(row));
    outcome.rows(&selection(1)).expect("rows");
    outcome.rows(&selection(2)).expect_err("two are left");
    let settled = Outcome::settled(&HashMap::from([(sent, 0)]));
    assert!(settled.is_settled() && settled.results().is_empty());
    assert_eq!(settled.inserted_uuid(sent), Some(sent));
    assert_eq!(settled.inserted_uuid(row), None);
}

#[test]
fn a_selected_row_needs_a_uuid_and_values_of_its_types() {
    for (row, kind) in [
        (r#"{"name":"a"}"#, DecodeErrorKind::Missing("_uuid")),
        (r#"{"name":1}"#, DecodeErrorKind::Expected("a string")),
    ] {
        let text = format!(
            r#"[{{"uuid":["uuid","{0}"]}},{{}},{{"rows":[{row}]}}]"#,
            Uuid::nil()
        );
        let outcome = Outcome::read(text, &operations(), &HashMap::new()).expect("an outcome");
        let error = outcome.rows(&Selection::<Item>::new(OperationIndex(2)));
        assert_eq!(error.expect_err(row).kind, kind);
    }
}

#[test]
fn the_error_of_an_operation_or_of_the_commit_is_a_refusal() {
    let refused = |text: &str| match Outcome::read(text.to_owned(), &operations(), &HashMap::new())
    {
        Err(CommitError::Refused(refusal)) => *refusal,
        other => panic!("{text}: {other:?}"),
    };
    let at_delete = refused(r#"[{},{"error":"aborted"},null]"#);
    assert_eq!(
        (at_delete.operation, at_delete.name),
        (Some(1), Some("delete"))
    );
    assert_eq!(at_delete.table.as_deref(), Some("Item"));
    assert_eq!(at_delete.error.kind(), ErrorKind::Aborted);
    let error = CommitError::Refused(Box::new(at_delete));
    assert_eq!(error.kind(), Some(ErrorKind::Aborted));
    assert_eq!(CommitError::Build(BuildError::Detached).kind(), None);
    let at_commit = refused(r#"[{},{},{},{"error":"constraint violation"}]"#);
    assert_eq!((at_commit.operation, at_commit.name), (None, None));
    assert_eq!(at_commit.table, None);
    assert!(!at_commit.is_conflict() && !at_commit.of_request);
    for text in ["[{},{}]", "[{},{},{},{}]", "{}", "[{},{},"] {
        let malformed = Outcome::read(text.to_owned(), &operations(), &HashMap::new());
        assert!(matches!(malformed, Err(CommitError::Answer(_))), "{text}");
    }
}

#[test]
fn a_guard_that_fails_is_a_conflict_and_is_not_counted() {
    // Two guards come first, and the operation 1 after them is a guard too.
    let waits = BTreeSet::from([1]);
    for (at, error, operation, is_conflict) in [
        (Some(0), "timed out", None, true),
        (Some(1), "timed out", None, true),
        (Some(1), "unknown column", None, false),
        (Some(2), "timed out", Some(0), false),
        (Some(3), "timed out", None, true),
        (Some(4), "aborted", Some(2), false),
        (None, "constraint violation", None, false),
    ] {
        let refusal = Refusal {
            operation: at,
            ..Refusal::of_request(OvsdbError::new(error))
        };
        let refusal = refusal.without_guards(2, &waits);
        let found = (refusal.operation, refusal.is_conflict());
        assert_eq!(found, (operation, is_conflict), "{error} at {at:?}");
    }
}
