//! Every operation on a real server, and the kinds of errors that operations and commits cause.

mod support;

use std::time::Duration;

use ovsdb::protocol::{
    Clause, Columns, ErrorKind, Function, Operation, OperationResult, Until, Wire,
};
use ovsdb::value::{Atom, Datum};
use ovsdb::{Client, Column, CommitError, RowIdentity, Str, Uuid};
use support::inventory::{Database, Item, ItemClass, ItemOnly, Part, Slot};
use support::{connect, inventory_server};

fn item(name: &str) -> Item {
    // The two indexes require a unique name, and a unique pair of `count` and `total`.
    let total = name
        .bytes()
        .fold(7_i64, |sum, byte| sum * 31 + i64::from(byte));
    Item {
        name: name.into(),
        total,
        only: ItemOnly::Sole,
        ..Default::default()
    }
}

#[tokio::test]
async fn every_operation_is_carried_out() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;

    let mut txn = client.transaction();
    let part = txn.insert(Part {
        label: "wheel".into(),
    });
    let full = Item {
        count: 5,
        ratio: 0.1.into(),
        active: true,
        serial: Some(Uuid::from_u128(7)),
        weight: Some(12),
        tags: ["b", "a"].into(),
        levels: [3, 1, 2].into(),
        notes: [("k", "v"), ("quote", "\"\\\n€😀")].into(),
        sizes: [("s", 1)].into(),
        class: Some(ItemClass::Large),
        parts: [part].into(),
        favourite: Some(part),
        ..item("full")
    };
    let inserted = txn.insert(full.clone());
    txn.insert(item("plain"));
    txn.comment("two items");
    let outcome = txn.commit().await.expect("a commit");
    assert_eq!(outcome.inserted(inserted), Some(inserted));
    assert!(matches!(outcome.results()[3], OperationResult::Done));

    let mut txn = client.transaction();
    let one = txn.select::<Item>(inserted);
    let both = txn.select::<Item>(Item::NAME.ne("nobody"));
    let none = txn.select::<Item>(Item::WEIGHT.gt(12));
    let some = txn.select::<Item>(Item::WEIGHT.ge(12).and(Item::RATIO.lt(0.2)));
    let tagged = txn.select::<Item>(Item::TAGS.includes(["a"]));
    let untagged = txn.select::<Item>(Item::NOTES.excludes([("k", "v")]));
    let outcome = txn.commit().await.expect("a commit");
    let rows = outcome.rows(&one).expect("rows");
    assert_eq!((rows.len(), rows[0].uuid()), (1, inserted.uuid()));
    assert_eq!(rows[0].clone().into_columns(), full);
    assert_eq!(outcome.rows(&both).expect("rows").len(), 2);
    assert_eq!(outcome.rows(&none).expect("rows").len(), 0);
    assert_eq!(outcome.rows(&some).expect("rows").len(), 1);
    assert_eq!(outcome.rows(&tagged).expect("rows")[0].name, "full");
    assert_eq!(outcome.rows(&untagged).expect("rows")[0].name, "plain");

    let mut txn = client.transaction();
    let update = txn
        .update(inserted)
        .set(Item::ACTIVE, false)
        .set(Item::CLASS, None)
        .index();
    let mutate = txn
        .mutate(Item::NAME.eq("full"))
        .add(Item::COUNT, 10)
        .subtract(Item::COUNT, 3)
        .multiply(Item::COUNT, 4)
        .divide(Item::COUNT, 5)
        .modulo(Item::COUNT, 6)
        .insert(Item::TAGS, ["c"])
        .delete(Item::TAGS, ["a", "b"])
        .insert(Item::NOTES, [("k", "kept as it was"), ("new", "n")])
        .delete(Item::NOTES, [("quote", "another value")])
        .delete_keys(Item::SIZES, ["s"])
        .index();
    let delete = txn.delete(Item::NAME.eq("plain"));
    txn.wait(Item::NAME.eq("plain"))
        .comparing(Item::NAME)
        .until([]);
    let after = txn.select::<Item>(inserted);
    txn.durable();
    let outcome = txn.commit().await.expect("a commit");
    assert_eq!(
        [update, mutate, delete].map(|index| outcome.count(index)),
        [1, 1, 1]
    );
    let row = &outcome.rows(&after).expect("rows")[0];
    // ((5 + 10 - 3) * 4 / 5) % 6
    assert_eq!((row.count, row.active, row.class.clone()), (3, false, None));
    assert_eq!(row.tags, ["c"].into());
    assert_eq!(
        row.notes,
        [("k", "v"), ("new", "n"), ("quote", "\"\\\n€😀")].into()
    );
    assert!(row.sizes.is_empty());
}

#[tokio::test]
async fn rows_are_named_by_the_server_on_request() {
    let server = inventory_server();
    let client = Client::<Database>::builder()
        .remotes(server.remote())
        .row_identity(RowIdentity::Named)
        .connect()
        .await
        .expect("a client");
    let mut txn = client.transaction();
    let part = txn.insert(Part {
        label: "wheel".into(),
    });
    let item_ref = txn.insert(Item {
        parts: [part].into(),
        ..item("a")
    });
    txn.mutate(item_ref).insert(Item::TAGS, ["t"]);
    let outcome = txn.commit().await.expect("a commit");
    let real = outcome.inserted(item_ref).expect("a row");
    assert_ne!(real, item_ref);

    let mut txn = client.transaction();
    let items = txn.select::<Item>(real);
    let parts = txn.select::<Part>(outcome.inserted(part).expect("a row"));
    let outcome = txn.commit().await.expect("a commit");
    assert_eq!(outcome.rows(&items).expect("rows")[0].tags, ["t"].into());
    assert_eq!(outcome.rows(&parts).expect("rows")[0].label, "wheel");
}

/// Commits operations of which one must fail. Returns the kind of the error, and the operation that failed.
async fn refused(
    client: &Client<Database>,
    operations: Vec<Operation>,
) -> (ErrorKind, Option<usize>) {
    let mut txn = client.transaction();
    for operation in operations {
        txn.operation(operation);
    }
    match txn.commit().await {
        Err(CommitError::Refused(refusal)) => (refusal.error.kind(), refusal.operation),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn insert(table: &str, columns: &[(&str, Atom)]) -> Operation {
    let columns = columns
        .iter()
        .map(|(name, atom)| (*name, Datum::from(atom.clone())));
    let mut row: Columns = columns.collect();
    if table == "Item" {
        row.insert("only", Datum::from(Atom::String("sole".into())));
    }
    Operation::Insert {
        table: table.into(),
        row,
        uuid_name: None,
        uuid: None,
    }
}

fn delete(table: &str, column: &str, atom: Atom) -> Operation {
    let argument = Datum::from(atom);
    let clause = Clause::Compare {
        column: column.into(),
        function: Function::Equal,
        argument,
    };
    Operation::Delete {
        table: table.into(),
        conditions: vec![clause],
    }
}

#[tokio::test]
async fn refusals_report_the_error_kind_and_the_failed_operation() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let comment = Operation::Comment {
        comment: "before".into(),
    };

    let cases = [
        // The server reports an unknown table as a syntax error.
        (ErrorKind::SyntaxError, insert("Nothing", &[])),
        (
            ErrorKind::UnknownColumn,
            insert("Item", &[("nothing", Atom::Integer(1))]),
        ),
        (
            ErrorKind::SyntaxError,
            insert("Item", &[("count", Atom::String("text".into()))]),
        ),
        (
            ErrorKind::SyntaxError,
            delete("Item", "name", Atom::Integer(1)),
        ),
        (
            ErrorKind::ConstraintViolation,
            insert("Item", &[("count", Atom::Integer(-1001))]),
        ),
        (
            ErrorKind::ConstraintViolation,
            insert("Item", &[("class", Atom::String("huge".into()))]),
        ),
        (ErrorKind::Aborted, Operation::Abort),
        (
            ErrorKind::NotOwner,
            Operation::Assert {
                lock: "nobody".into(),
            },
        ),
    ];
    for (kind, operation) in cases {
        let failed = refused(&client, vec![comment.clone(), operation.clone()]).await;
        assert_eq!(failed, (kind, Some(1)), "{}", operation.to_json());
    }

    // The server finds these errors at the commit, and adds them after the results of the operations. So the
    // refusal names no operation.
    let named = insert("Item", &[("parts", Atom::NamedUuid("nobody".into()))]);
    assert_eq!(
        refused(&client, vec![named]).await,
        (ErrorKind::ReferentialIntegrityViolation, None)
    );
    let missing = insert("Item", &[("parts", Atom::Uuid(Uuid::from_u128(1)))]);
    assert_eq!(
        refused(&client, vec![missing]).await,
        (ErrorKind::ReferentialIntegrityViolation, None)
    );
    let slot = |number| insert("Slot", &[("number", Atom::Integer(number))]);
    assert_eq!(
        refused(&client, vec![slot(1), slot(2), slot(3)]).await,
        (ErrorKind::ConstraintViolation, None)
    );

    let mut txn = client.transaction();
    txn.insert(item("twin"));
    txn.insert(Item {
        total: 1,
        ..item("twin")
    });
    let error = txn.commit().await.expect_err("a duplicate in an index");
    assert_eq!(error.kind(), Some(ErrorKind::ConstraintViolation));
    assert!(error.nothing_changed());

    let uuid = Uuid::from_u128(5);
    let mut txn = client.transaction();
    txn.insert_with_uuid(uuid, item("first"));
    txn.commit().await.expect("a commit");
    let mut txn = client.transaction();
    txn.insert_with_uuid(uuid, item("second try"));
    let error = txn.commit().await.expect_err("a uuid in use");
    assert_eq!(error.kind(), Some(ErrorKind::DuplicateUuid));

    let name = |n: &str| Operation::Insert {
        table: "Slot".into(),
        row: Columns::new(),
        uuid_name: Some(n.into()),
        uuid: None,
    };
    assert_eq!(
        refused(&client, vec![name("a"), name("a")]).await,
        (ErrorKind::DuplicateUuidName, Some(1))
    );

    let mut txn = client.transaction();
    txn.mutate(Item::NAME.eq("first")).divide(Item::COUNT, 0);
    assert_eq!(
        txn.commit().await.expect_err("/ 0").kind(),
        Some(ErrorKind::DomainError)
    );
    let mut txn = client.transaction();
    txn.update(Item::NAME.eq("first"))
        .set(Item::TOTAL, i64::MAX);
    txn.mutate(Item::NAME.eq("first")).add(Item::TOTAL, 1);
    assert_eq!(
        txn.commit().await.expect_err("an overflow").kind(),
        Some(ErrorKind::RangeError)
    );
    // `Item::NAME` is immutable in the compiled schema, so it cannot be set. A server's schema may differ, so
    // this builds a handle that can be set.
    let name: Column<Item, Str> = Column::new(Item::NAME.index(), |item| &item.name);
    let mut txn = client.transaction();
    txn.update(Item::NAME.eq("first")).set(name, "renamed");
    let kind = txn
        .commit()
        .await
        .expect_err("a column that cannot change")
        .kind();
    assert_eq!(kind, Some(ErrorKind::ConstraintViolation));
    let mut txn = client.transaction();
    txn.wait(Item::NAME.eq("first"))
        .comparing(Item::NAME)
        .until_not([item("first")]);
    txn.insert(item("not inserted"));
    let error = txn.commit().await.expect_err("a guard");
    assert_eq!(error.kind(), Some(ErrorKind::TimedOut));
    assert!(
        error.to_string().starts_with(
            "the server refused the transaction: operation 0, wait in Item: timed out"
        )
    );
}

#[tokio::test]
async fn a_wait_accepts_timeouts_from_zero_to_the_longest() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    for timeout in [
        Duration::MAX,
        Duration::from_millis(u64::MAX),
        Duration::ZERO,
    ] {
        let mut txn = client.transaction();
        txn.wait(Item::NAME.eq("none"))
            .timeout(Some(timeout))
            .comparing(Item::NAME)
            .until([]);
        txn.commit().await.expect("the wait is met already");
    }
    // The same with an operation that was built by hand.
    let mut txn = client.transaction();
    txn.operation(Operation::Wait {
        timeout: Some(u64::MAX),
        table: "Item".into(),
        conditions: Vec::new(),
        columns: None,
        until: Until::Equal,
        rows: Vec::new(),
    });
    txn.commit().await.expect("the wait is met already");
}

#[tokio::test]
async fn a_transaction_without_operations_commits_at_once() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    assert!(
        client
            .transaction()
            .commit()
            .await
            .expect("nothing to do")
            .results()
            .is_empty()
    );
}

#[tokio::test]
async fn requests_other_than_transact_are_answered() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let names = client.list_dbs().await.expect("names");
    assert!(names.iter().any(|name| name == "Inventory") && names.iter().any(|n| n == "_Server"));
    assert_eq!(
        client.get_schema("_Server").await.expect("a schema").name,
        "_Server"
    );
    assert!(!client.get_server_id().await.expect("an id").is_nil());
    let echo = Wire::from_json("[1,{\"a\":[]}]").expect("json");
    assert_eq!(
        client.echo(echo).await.expect("an echo").as_str(),
        "[1,{\"a\":[]}]"
    );

    let mut lock = client.lock("l").await.expect("a lock");
    assert!(lock.is_held());
    let second = client.lock("l").await.expect("the same lock again");
    let rival: Client<Database> = connect(&server).await;
    let queued = rival.lock("l").await.expect("a place in the queue");
    assert!(!queued.is_held());
    let mut txn = client.transaction();
    txn.assert_lock(lock.name());
    txn.commit().await.expect("we hold it");
    drop(second);
    assert!(lock.is_held(), "one handle is left");
    let stolen = rival.steal("l").await.expect("stolen");
    assert!(stolen.is_held() && queued.is_held());
    lock.lost().await.expect("the client lives");
    let mut txn = client.transaction();
    txn.assert_lock("l");
    assert_eq!(
        txn.commit().await.expect_err("stolen").kind(),
        Some(ErrorKind::NotOwner)
    );
    // The client that lost the lock stays in the queue.
    drop((queued, stolen));
    lock.held().await.expect("the client lives");

    let wider = support::INVENTORY.replace("\"maxRows\": 2", "\"maxRows\": 3");
    let schema = Wire::from_json(&wider).expect("json");
    client.convert(schema).await.expect("a conversion");
    assert_eq!(
        client.get_schema("Inventory").await.expect("it").tables["Slot"].max_rows,
        Some(3)
    );
    let mut txn = client.transaction();
    for number in 0..3 {
        txn.insert(Slot { number });
    }
    txn.commit().await.expect("three slots");

    let error = client
        .get_schema("Nobody")
        .await
        .expect_err("no such database");
    assert!(matches!(error, ovsdb::Error::Refused(e) if e.kind() == ErrorKind::UnknownDatabase));
}

#[tokio::test]
async fn no_lock_is_held_after_the_client_was_closed() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut lock = client.lock("l").await.expect("a lock");
    assert!(lock.is_held());
    client.close().await;
    assert!(!lock.is_held());
    lock.held().await.expect_err("the client is closed");
    lock.lost().await.expect_err("the client is closed");
}

#[tokio::test]
async fn a_client_of_a_database_that_does_not_exist_says_so() {
    #[derive(Debug)]
    struct Nobody;
    impl ovsdb::Database for Nobody {
        const NAME: &'static str = "Nobody";
    }
    let server = inventory_server();
    let error = Client::<Nobody>::builder()
        .remotes(server.remote())
        .connect()
        .await;
    let error = error.expect_err("no such database");
    let ovsdb::Error::Unusable { lost, .. } = error else {
        panic!("{error:?}")
    };
    assert!(matches!(
        lost.reason(),
        ovsdb::DisconnectReason::NoDatabase { database, .. } if database == "Nobody"
    ));
    let text = lost.reason().to_string();
    assert_eq!(
        text,
        "the server has no database Nobody; it has Inventory, _Server"
    );
}

#[tokio::test]
async fn the_values_of_keys_are_replaced_and_other_keys_stay() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    let row = txn.insert(Item {
        notes: [("a", "1"), ("b", "2"), ("c", "3")].into(),
        // As many as the schema allows.
        sizes: [("x", 1), ("y", 2), ("z", 3)].into(),
        ..item("map")
    });
    txn.commit().await.expect("a commit");

    let mut txn = client.transaction();
    txn.mutate(row)
        .set_keys(
            Item::NOTES,
            [("d", "4"), ("a", "7"), ("a", "9"), ("b", "2")],
        )
        .set_keys(Item::SIZES, [("y", 20)])
        .set_keys(Item::NOTES, [("", ""); 0]);
    let Operation::Mutate { mutations, .. } = &txn.operations()[0] else {
        panic!("{:?}", txn.operations());
    };
    let wire: Vec<String> = mutations.iter().map(Wire::to_json).collect();
    assert_eq!(
        wire,
        [
            r#"["notes","delete",["set",["a","b","d"]]]"#,
            r#"["notes","insert",["map",[["a","9"],["b","2"],["d","4"]]]]"#,
            r#"["sizes","delete","y"]"#,
            r#"["sizes","insert",["map",[["y",20]]]]"#,
        ]
    );
    let read = txn.select::<Item>(row);
    let outcome = txn.commit().await.expect("a commit");
    let rows = outcome.rows(&read).expect("rows");
    assert_eq!(
        rows[0].notes,
        [("a", "9"), ("b", "2"), ("c", "3"), ("d", "4")].into()
    );
    assert_eq!(rows[0].sizes, [("x", 1), ("y", 20), ("z", 3)].into());

    // If there is no room for new elements, nothing is carried out.
    let mut txn = client.transaction();
    txn.mutate(row).set_keys(Item::SIZES, [("x", 10), ("w", 4)]);
    let refused = txn.commit().await.expect_err("a fourth key");
    assert_eq!(refused.kind(), Some(ErrorKind::ConstraintViolation));
    let mut txn = client.transaction();
    txn.mutate(row).set_keys(Item::NOTES, [("", ""); 0]);
    assert!(txn.is_empty());
    let read = txn.select::<Item>(row);
    let outcome = txn.commit().await.expect("a commit");
    let rows = outcome.rows(&read).expect("rows");
    assert_eq!(rows[0].sizes, [("x", 1), ("y", 20), ("z", 3)].into());
}

/// The refusal of a transaction.
async fn refusal(txn: ovsdb::Transaction<Database>) -> ovsdb::transaction::Refusal {
    match txn.commit().await.expect_err("refused") {
        CommitError::Refused(refusal) => *refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_duplicate_key_is_reported_with_its_columns_values_and_rows() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let names = [
        "plain",
        "1",
        "",
        "two words",
        "quote \" (and, \\ more) for index on",
        "€.",
    ];
    for (total, name) in (100..).zip(names) {
        let mut txn = client.transaction();
        let row = txn.insert(Item {
            name: name.into(),
            total,
            ..item("")
        });
        txn.commit().await.expect("a commit");
        let mut txn = client.transaction();
        let other = txn.insert(Item {
            name: name.into(),
            total: -1,
            ..item("")
        });
        let refusal = refusal(txn).await;
        let duplicate = refusal.duplicate().expect("a duplicate");
        assert_eq!(duplicate.table, "Item");
        assert_eq!(duplicate.columns, ["name"]);
        assert_eq!(duplicate.values, [name]);
        let uuids = duplicate.rows.map(|row| row.uuid);
        assert!(uuids.contains(&row.uuid()) && uuids.contains(&other.uuid()));
        assert_eq!(duplicate.existing(), Some(row.uuid()));
    }

    // An index of two columns: an existing row gets the values of another existing row. The transaction
    // changes both rows.
    let mut txn = client.transaction();
    let first = txn.insert(Item {
        count: 5,
        ..item("first")
    });
    let second = txn.insert(item("second"));
    txn.commit().await.expect("a commit");
    let mut txn = client.transaction();
    txn.update(first).set(Item::RATIO, 0.5);
    txn.update(second)
        .set(Item::COUNT, 5)
        .set(Item::TOTAL, item("first").total);
    let refused = refusal(txn).await;
    let duplicate = refused.duplicate().expect("a duplicate");
    assert_eq!(duplicate.columns, ["count", "total"]);
    assert_eq!(
        duplicate.values,
        ["5", item("first").total.to_string().as_str()]
    );
    assert!(duplicate.rows.iter().all(|row| !row.inserted));
    assert_eq!(duplicate.existing(), None);

    // Two rows of one transaction.
    let mut txn = client.transaction();
    for total in [-2, -3] {
        txn.insert(Item {
            total,
            ..item("twice")
        });
    }
    let twice = refusal(txn).await.duplicate().expect("a duplicate");
    assert!(twice.rows.iter().all(|row| row.inserted) && twice.existing().is_none());

    // Other constraint violations are not duplicates.
    let mut txn = client.transaction();
    for number in 0..3 {
        txn.insert(Slot { number });
    }
    let refused = refusal(txn).await;
    assert_eq!(refused.error.kind(), ErrorKind::ConstraintViolation);
    assert_eq!(refused.duplicate(), None);
    let mut txn = client.transaction();
    txn.update(first).set(Item::COUNT, -1001);
    let refused = refusal(txn).await;
    assert_eq!(refused.error.kind(), ErrorKind::ConstraintViolation);
    assert_eq!(refused.duplicate(), None);
}
