//! Transactions without a server: what they guard, find, edit and tell.

use ovsdb_schema::DatabaseSchema;

use super::*;
use crate::protocol::Wire as _;
use crate::transaction::TableOperation;
use crate::value::{Real, Set, Str};

#[derive(Debug)]
struct Inventory;

impl Database for Inventory {
    const NAME: &'static str = "Inventory";
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Inventory, table = "Item")]
struct Item {
    name: Str,
    kind: Str,
    count: i64,
    share: Real,
    tags: Set<i64>,
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Inventory, table = "Part")]
struct Part {
    name: Str,
}

/// The columns `name` and `kind` of items are immutable.
const SCHEMA: &str = r#"{"name":"Inventory","version":"1.0.0","tables":{
    "Item":{"isRoot":true,"indexes":[["name"],["count","kind"]],"columns":{
        "name":{"type":"string","mutable":false},"kind":{"type":"string","mutable":false},
        "count":{"type":"integer"},"share":{"type":"real"},
        "tags":{"type":{"key":"integer","min":0,"max":"unlimited"}}}},
    "Part":{"isRoot":true,"columns":{"name":{"type":"string"}}}}}"#;

fn transaction() -> Transaction<Inventory> {
    Transaction::detached_for(DatabaseSchema::parse(SCHEMA).expect("a schema"))
}

fn item(name: &str) -> Item {
    Item {
        name: name.into(),
        ..Item::default()
    }
}

#[test]
fn a_key_is_guarded_unless_an_index_over_the_same_columns_makes_it_unique() {
    let named = || Item::NAME.eq("a").into();
    for (condition, unique, guards) in [
        (named(), None, 1),
        (named(), Some(&["name"][..]), 0),
        (named(), Some(&["kind", "count"]), 0),
        (named(), Some(&["kind"]), 1),
        (named(), Some(&["name", "kind"]), 1),
        (named(), Some(&["name", "kind", "count"]), 1),
        // Servers send reals rounded.
        (Item::SHARE.eq(Real::from(0.5)).into(), None, 0),
    ] {
        let mut txn = transaction();
        txn.expect::<Item>(condition, Vec::new(), unique);
        txn.insert(Part::default());
        let sealed = txn.sealed();
        assert_eq!(sealed.operations.len(), guards + 1, "{unique:?} {sealed:?}");
    }
}

#[cfg(feature = "testing")]
#[test]
fn rows_are_found_by_the_keys_that_the_transaction_gives_them() {
    use crate::cache::Index;

    let by_kind = Index::column(Item::KIND);
    let mut rows = crate::testing::SnapshotBuilder::<Inventory>::default();
    rows.index(&by_kind);
    let [edited, other] = ["edited", "other"].map(|name| {
        rows.insert(Item {
            kind: "a".into(),
            ..item(name)
        })
    });
    let mut txn = Transaction::<Inventory>::detached();
    txn.overlay.view = Some(rows.build().expect("a view"));
    let found = |txn: &Transaction<Inventory>, kind: &str| {
        let rows = txn.peek().find(&by_kind, kind);
        let mut rows: Vec<_> = rows.into_iter().map(|row| row.name.clone()).collect();
        rows.sort();
        rows
    };
    assert_eq!(found(&txn, "a"), ["edited", "other"]);
    txn.edit(edited, |item: &mut Item| item.kind = "b".into());
    assert_eq!(found(&txn, "a"), ["other"]);
    assert_eq!(found(&txn, "b"), ["edited"]);
    txn.delete(other);
    assert!(found(&txn, "a").is_empty());
}

#[test]
fn a_uuid_may_be_used_again_only_for_the_row_that_was_deleted() {
    let uuid = Uuid::from_u128(7);
    let mut txn = transaction();
    for name in ["a", "b"] {
        let row = txn.insert_with_uuid(uuid, item(name));
        assert!(txn.mistake.is_none());
        txn.delete(row);
    }
    let mut other = txn.clone();
    other.insert_with_uuid(uuid, Part::default());
    txn.insert_with_uuid(uuid, item("c"));
    assert!(txn.mistake.is_none());
    txn.insert_with_uuid(uuid, item("d"));
    for txn in [txn, other] {
        assert!(matches!(txn.mistake, Some(BuildError::SameUuid { .. })));
    }
}

#[test]
fn an_immutable_column_of_a_new_row_changes_in_the_insert_until_an_operation_reads_it() {
    for (between, is_read) in [
        (r#"{"op":"comment","comment":"c"}"#, false),
        (r#"{"op":"insert","table":"Item","row":{}}"#, false),
        (r#"{"op":"select","table":"Item","where":[]}"#, true),
        (
            r#"{"op":"select","table":"Item","where":[],"columns":["count"]}"#,
            false,
        ),
        (
            r#"{"op":"select","table":"Item","where":[],"columns":["count","name"]}"#,
            true,
        ),
        (r#"{"op":"select","table":"Part","where":[]}"#, false),
        (
            r#"{"op":"wait","table":"Item","where":[],"columns":["name"],"until":"==","rows":[]}"#,
            true,
        ),
        (
            r#"{"op":"wait","table":"Item","where":[],"columns":["count"],"until":"==","rows":[]}"#,
            false,
        ),
        (
            r#"{"op":"wait","table":"Item","where":[["name","==","a"]],"columns":["count"],"until":"==","rows":[]}"#,
            true,
        ),
        (
            r#"{"op":"update","table":"Item","where":[["name","==","a"]],"row":{"count":1}}"#,
            true,
        ),
        (
            r#"{"op":"update","table":"Item","where":[["count","==",1]],"row":{"count":2}}"#,
            false,
        ),
        (
            r#"{"op":"mutate","table":"Item","where":[["name","==","a"]],"mutations":[["count","+=",1]]}"#,
            true,
        ),
        (
            r#"{"op":"delete","table":"Item","where":[["name","==","b"]]}"#,
            true,
        ),
        (
            r#"{"op":"delete","table":"Part","where":[["name","==","b"]]}"#,
            false,
        ),
    ] {
        let mut txn = transaction();
        let row = txn.insert(item("a"));
        txn.operation(Operation::from_json(between).expect(between));
        txn.edit(row, |item: &mut Item| {
            item.name = "b".into();
            item.count = 5;
        });
        let Operation::Insert { row, .. } = &txn.operations[0] else {
            panic!("{txn:?}");
        };
        let name = if is_read { "a" } else { "b" };
        assert_eq!(
            row.to_json(),
            format!(r#"{{"name":"{name}"}}"#),
            "{between}"
        );
        let is_mistake = matches!(
            txn.mistake,
            Some(BuildError::Immutable { column: "name", .. })
        );
        assert_eq!(is_mistake, is_read, "{between}");
        // A mutable column is changed by an operation of its own.
        let Some(Operation::Update { row, .. }) = txn.operations.get(2) else {
            panic!("{txn:?}");
        };
        assert_eq!(row.to_json(), r#"{"count":5}"#);
    }
}

#[test]
fn all_elements_that_a_mutation_inserts_and_deletes_are_told_together() {
    let mut txn = Transaction::<Inventory>::detached();
    let _ = txn
        .mutate(Item::NAME.eq("a"))
        .insert(Item::TAGS, [1])
        .insert(Item::TAGS, [2, 3])
        .delete(Item::TAGS, [4, 5])
        .delete(Item::TAGS, [5, 6]);
    let [TableOperation::Mutate { mutations, .. }] = &txn.operations_on::<Item>()[..] else {
        panic!("{txn:?}");
    };
    assert_eq!(mutations.inserted(Item::TAGS), [1, 2, 3].into());
    assert_eq!(mutations.deleted(Item::TAGS), [4, 5, 6].into());
}

#[test]
fn operations_that_are_put_first_move_all_others() {
    let mut txn = transaction();
    txn.insert(Part::default());
    let row = txn.insert(item("a")).uuid();
    let comment = || Operation::Comment {
        comment: "c".into(),
    };
    for (added, guards) in [(2, 2), (3, 5)] {
        txn.put_first(std::iter::repeat_with(comment).take(added));
        assert_eq!((txn.guards, txn.inserted[&row]), (guards, guards + 1));
    }
    assert!(matches!(&txn.operations[6], Operation::Insert { table, .. } if *table == "Item"));
}
