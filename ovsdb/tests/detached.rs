//! Transactions without a client, for unit tests of code that writes transactions. Most tests here have
//! no runtime.

mod support;

use ovsdb::model::Condition;
use ovsdb::protocol::{ErrorKind, Mutator, Operation, Until, Wire as _};
use ovsdb::schema::DatabaseSchema;
use ovsdb::server::{Server, TransactionFault};
use ovsdb::testing::SnapshotBuilder;
use ovsdb::transaction::{BuildError, TableOperation};
use ovsdb::value::Atom;
use ovsdb::{AnyDatabase, CommitError, Ref, Retry, RowIdentity, Snapshot, Uuid};
use support::inventory::{Client, Database, Item, ItemClass, Part, Slot, Transaction};
use support::{INVENTORY, item};

fn schema() -> DatabaseSchema {
    DatabaseSchema::parse(INVENTORY).expect("a schema")
}

/// A user's function: it reads a view, and writes every kind of operation that changes rows, a comment and a
/// guard.
fn stock_up(view: &Snapshot<Database>, txn: &mut Transaction) -> Ref<Item> {
    txn.comment("stock up");
    let part = txn.insert(Part {
        label: "wheel".into(),
    });
    let cart = txn.insert(Item {
        class: Some(ItemClass::Large),
        parts: [part].into(),
        ..item("cart", 1)
    });
    for row in view.rows::<Item>() {
        txn.verify(row, Item::COUNT);
        txn.update(row)
            .set(Item::COUNT, row.count + 1)
            .set(Item::WEIGHT, Some(3));
    }
    txn.mutate(Item::NAME.eq("box").and(Item::COUNT.gt(0)))
        .insert(Item::NOTES, [("a", "1")])
        .insert(Item::NOTES, [("a", "2"), ("b", "2")])
        .delete(Item::NOTES, [("c", "3")])
        .delete_keys(Item::NOTES, ["d"])
        .delete(Item::TAGS, ["old"])
        .insert(Item::PARTS, [part])
        .add(Item::COUNT, 5);
    txn.delete(Condition::<Slot>::all());
    cart
}

fn view() -> (Snapshot<Database>, Ref<Item>) {
    let mut rows = SnapshotBuilder::<Database>::new();
    let row = rows.insert(item("box", 7));
    (rows.build().expect("a snapshot"), row)
}

#[test]
fn a_mistake_names_its_operation_also_after_a_merge() {
    let mut first = ovsdb::Transaction::<AnyDatabase>::detached_for(schema());
    for _ in 0..2 {
        first.any_table("Part").insert([("label", "wheel")]);
    }
    let mut second = ovsdb::Transaction::detached_after(&first);
    second.any_table("Part").insert([("label", "axle")]);
    second.any_table("Part").insert([("unknown", "axle")]);
    for (txn, operation) in [(second.clone(), 1), (first, 3)] {
        let mut txn = txn;
        if operation == 3 {
            assert_eq!(txn.merge(&second), Ok(2));
        }
        match txn.check() {
            Err(BuildError::SchemaMismatch(mismatch)) => {
                assert_eq!(mismatch.operation, Some(operation), "{mismatch}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn operations_on_shows_a_select_with_its_condition() {
    let mut txn = Transaction::detached();
    let _selection = txn.select(Item::NAME.eq("box"));
    let [TableOperation::Select { rows }] = &txn.operations_on::<Item>()[..] else {
        panic!("{txn:?}");
    };
    assert_eq!(*rows, Item::NAME.eq("box"));
}

#[test]
fn operations_on_returns_typed_operations_in_order() {
    let (view, known) = view();
    let mut txn = Transaction::detached();
    let cart = stock_up(&view, &mut txn);

    let names: Vec<_> = txn.operations().iter().map(Operation::name).collect();
    let expected = [
        "comment", "insert", "insert", "wait", "update", "mutate", "delete",
    ];
    assert_eq!(names, expected);
    let part = txn.inserted::<Part>()[0].reference();
    let [
        TableOperation::Insert(inserted),
        TableOperation::Wait {
            rows: verified,
            until: Until::Equal,
            expected,
            timeout,
        },
        TableOperation::Update { rows, columns },
        TableOperation::Mutate {
            rows: mutated,
            mutations,
        },
    ] = &txn.operations_on::<Item>()[..]
    else {
        panic!("{txn:?}");
    };
    assert_eq!(inserted.reference(), cart);
    let row = Item {
        class: Some(ItemClass::Large),
        parts: [part].into(),
        ..item("cart", 1)
    };
    assert_eq!(*inserted.columns(), row);

    assert_eq!(*verified, known);
    assert_eq!(*timeout, Some(std::time::Duration::ZERO));
    assert_eq!(expected[0].get(Item::COUNT), Some(&0));
    assert_eq!(expected[0].get(Item::NAME), None);

    assert_eq!(*rows, known);
    assert_eq!(columns.names(), ["count", "weight"]);
    assert_eq!(columns.get(Item::WEIGHT), Some(&Some(3)));
    assert_eq!(columns.get(Item::TAGS), None);
    assert_eq!(format!("{columns:?}"), r#"{"count": 1, "weight": Some(3)}"#);

    assert_eq!(*mutated, Item::NAME.eq("box").and(Item::COUNT.gt(0)));
    assert_ne!(*mutated, Item::NAME.eq("box"));
    assert_eq!(
        mutations.inserted(Item::NOTES),
        [("a", "1"), ("b", "2")].into()
    );
    assert_eq!(mutations.deleted(Item::NOTES), [("c", "3")].into());
    assert_eq!(mutations.deleted_keys(Item::NOTES), ["d"].into());
    assert_eq!(mutations.deleted(Item::TAGS), ["old"].into());
    assert_eq!(mutations.deleted_keys(Item::TAGS), ["old"].into());
    assert_eq!(mutations.inserted(Item::PARTS), [part].into());
    assert_eq!(mutations.numbers(Item::COUNT, Mutator::Add), [5]);
    assert!(mutations.inserted(Item::TAGS).is_empty());
    assert_eq!(mutations.as_slice().len(), 7);
    let [first, .., last] = mutations.as_slice() else {
        panic!("{mutations:?}");
    };
    let shown = format!("{mutations:?}");
    assert!(
        shown.starts_with(&format!("[{},", first.to_json())),
        "{shown}"
    );
    assert!(shown.ends_with(&format!(",{}]", last.to_json())), "{shown}");
    let shown = format!("{txn:?}");
    let operations = format!(
        "Transaction {{ operations: {:?}, mistake: None",
        txn.operations()
    );
    assert!(shown.starts_with(&operations), "{shown}");

    let [TableOperation::Delete { rows }] = &txn.operations_on::<Slot>()[..] else {
        panic!("{txn:?}");
    };
    assert_eq!(*rows, Condition::all());
}

#[test]
fn the_same_operations_are_equal_and_have_the_same_text() {
    let (view, known) = view();
    let written = || {
        let mut txn = Transaction::detached();
        let cart = stock_up(&view, &mut txn);
        (txn, cart)
    };
    let (txn, cart) = written();
    let (other, same) = written();
    assert_eq!(cart, same);
    assert_ne!(cart.uuid(), known.uuid());
    assert_eq!(txn.operations(), other.operations());
    assert_eq!(txn.operations_on::<Item>(), other.operations_on::<Item>());
    let text = txn.to_json().expect("no mistake");
    assert_eq!(text, other.to_json().expect("no mistake"));
    let beginning = concat!(
        r#"["Inventory",{"op":"comment","comment":"stock up"},{"op":"insert","table":"Part","#,
        r#""uuid":"00000001-0000-0000-0000-000000000001","row":{"label":"wheel"}},"#,
        r#"{"op":"insert","table":"Item","uuid":"00000001-0000-0000-0000-000000000002","row":{"#,
    );
    assert_eq!(text.get(..beginning.len()), Some(beginning));
    let mut different = other.clone();
    different.delete(Item::NAME.eq("cart"));
    assert_ne!(
        txn.operations_on::<Item>(),
        different.operations_on::<Item>()
    );
}

/// The operations as JSON, with numbers instead of the uuids of inserted rows.
fn counted(txn: &Transaction) -> String {
    let mut text = txn.to_json().expect("no mistake");
    let inserted = txn
        .operations()
        .iter()
        .filter_map(|operation| match operation {
            Operation::Insert { uuid, .. } => *uuid,
            _ => None,
        });
    for (at, uuid) in inserted.enumerate() {
        text = text.replace(&uuid.to_string(), &format!("row {at}"));
    }
    text
}

#[tokio::test]
async fn a_client_sends_what_a_detached_transaction_shows() {
    let server = Server::memory(INVENTORY).expect("a server");
    let client = Client::builder().server(&server).connect().await;
    let client = client.expect("a client");
    let (view, _) = view();
    let mut of_client = client.transaction();
    stock_up(&view, &mut of_client);
    let with_schema = Transaction::detached_for(client.server_schema());
    for mut txn in [Transaction::detached(), with_schema] {
        stock_up(&view, &mut txn);
        assert_eq!(counted(&txn), counted(&of_client));
    }
    let named = Client::builder().row_identity(RowIdentity::Named);
    let named = named.server(&server).connect().await.expect("a client");
    let mut txn = named.transaction();
    let part = txn.insert(Part::default());
    txn.insert(Item {
        parts: [part].into(),
        ..item("cart", 1)
    });
    let text = txn.to_json().expect("no mistake");
    assert!(text.contains(r#""parts":["named-uuid","row"#), "{text}");
    assert_eq!(txn.inserted::<Item>()[0].parts, [part].into());
}

#[tokio::test]
async fn a_detached_transaction_is_not_committed() {
    let mut txn = Transaction::detached();
    txn.insert(item("cart", 1));
    for outcome in [
        Transaction::detached().commit().await,
        txn.clone().commit().await,
        txn.commit_once().await,
    ] {
        let error = outcome.expect_err("no client");
        assert!(
            matches!(error, CommitError::Build(BuildError::Detached)),
            "{error:?}"
        );
        assert_eq!(error.retry(), Retry::Never);
        assert!(error.nothing_changed());
    }
}

#[test]
fn check_finds_mistakes_with_and_without_a_schema() {
    let mut nul = Transaction::detached();
    nul.comment("first");
    nul.insert(item("a\0b", 1));
    match nul.check() {
        Err(BuildError::InvalidValue(invalid)) => assert_eq!(invalid.operation, Some(1)),
        other => panic!("{other:?}"),
    }
    assert!(nul.to_json().is_err());

    // Without a schema, nothing is known about the root set.
    for (mut txn, is_known) in [
        (Transaction::detached(), false),
        (Transaction::detached_for(schema()), true),
    ] {
        txn.insert(Part::default());
        assert_eq!(txn.check().is_err(), is_known, "{txn:?}");
        let mut unknown = txn.clone();
        unknown.any_table("Itme").delete(Condition::all());
        assert_eq!(unknown.to_json().is_err(), is_known, "{unknown:?}");
    }
    let older = INVENTORY.replacen(r#""ratio": {"type": "real"},"#, "", 1);
    let older = DatabaseSchema::parse(&older).expect("a schema");
    let mut txn = Transaction::detached_for(older);
    txn.update(Item::NAME.eq("cart")).set(Item::RATIO, 0.5);
    assert!(
        matches!(
            txn.check(),
            Err(BuildError::NoSuchColumn {
                table: "Item",
                column: "ratio"
            })
        ),
        "{txn:?}"
    );
}

#[test]
fn a_server_executes_a_detached_transaction_without_a_runtime() {
    let seed = Server::memory(INVENTORY).expect("a server");
    let mut first = Transaction::detached();
    first.insert(item("box", 7));
    first.insert(Slot { number: 1 });
    first.commit_on(&seed).expect("a commit");

    let (view, _) = view();
    for _ in 0..2 {
        let server = seed.fork();
        let mut txn = Transaction::detached();
        let cart = stock_up(&view, &mut txn);
        // The view has a row that the server does not have.
        let error = txn.commit_on(&server).expect_err("verified");
        match &error {
            CommitError::Refused(refusal) => assert_eq!(refusal.operation, Some(3)),
            other => panic!("{other:?}"),
        }
        assert_eq!(error.kind(), Some(ErrorKind::TimedOut));
        assert_eq!(server.transactions::<Database>().len(), 0);

        let mut rows = SnapshotBuilder::<Database>::new();
        rows.table::<Item>();
        let empty = rows.build().expect("a snapshot");
        let mut txn = Transaction::detached();
        assert_eq!(stock_up(&empty, &mut txn), cart);
        let outcome = txn.commit_on(&server).expect("a commit");
        let stored = outcome.inserted(cart).expect("a row");
        assert_ne!(stored, cart, "the server chose the uuid");
        let committed = server.transactions::<Database>();
        let [committed] = &committed[..] else {
            panic!("{committed:?}");
        };
        assert_eq!(committed.comment(), Some("stock up"));
        let rows = committed.inserted::<Item>();
        assert_eq!(rows[0].reference(), stored);
        let part = committed.inserted::<Part>()[0].reference();
        assert_eq!(rows[0].parts, [part].into());
        assert_eq!(committed.deleted::<Slot>()[0].number, 1);

        // A second commit inserts the same names, which the index over the names refuses.
        let error = txn.commit_on(&server).expect_err("a duplicate");
        assert_eq!(error.kind(), Some(ErrorKind::ConstraintViolation));
    }
    assert_eq!(seed.transactions::<Database>().len(), 1);
}

#[test]
fn a_detached_transaction_keeps_chosen_uuids_and_does_not_wait() {
    let server = Server::memory(INVENTORY).expect("a server");
    let random: Uuid = "b2a0a53e-6d5c-4a8b-9c39-0f1f4d6c2b11"
        .parse()
        .expect("a uuid");
    for (name, uuid, total) in [("cart", Uuid::from_u128(77), 1), ("box", random, 3)] {
        let mut txn = Transaction::detached();
        let row = txn.insert_with_uuid(uuid, item(name, total));
        let numbered = txn.insert(item(&format!("{name} 2"), total + 1));
        let outcome = txn.commit_on(&server).expect("a commit");
        assert_eq!(outcome.inserted(row), Some(row));
        let chosen = outcome.inserted(numbered).expect("a row");
        assert_ne!(chosen, numbered, "the server chooses the uuid");
    }
    let row = Ref::<Item>::new(Uuid::from_u128(77));

    for timeout in [None, Some(std::time::Duration::from_secs(3600))] {
        let mut txn = Transaction::detached();
        txn.wait(Item::NAME.eq("cart"))
            .timeout(timeout)
            .comparing(Item::NAME)
            .until([]);
        let error = txn.commit_on(&server).expect_err("nothing deletes it");
        assert_eq!(error.kind(), Some(ErrorKind::TimedOut));
    }
    // The `wait` operations are no longer pending on the server.
    let mut txn = Transaction::detached();
    txn.delete(row);
    txn.commit_on(&server).expect("a commit");

    let mut txn = Transaction::detached();
    txn.insert(item("cart", 1));
    let fault = TransactionFault::DisconnectAfter;
    let faults = server.faults();
    faults
        .next_transaction("Inventory", fault)
        .expect("a fault");
    let error = txn.commit_on(&server).expect_err("no reply");
    assert!(matches!(error, CommitError::Unknown(_)), "{error:?}");
    assert_eq!(server.transactions::<Database>().len(), 4);

    let empty = Server::builder().start().expect("a server");
    let error = txn.commit_on(&empty).expect_err("no database");
    assert_eq!(error.kind(), Some(ErrorKind::UnknownDatabase));
}

#[test]
fn tables_known_by_their_names_are_written_too() {
    let server = Server::memory(INVENTORY).expect("a server");
    let mut txn = ovsdb::Transaction::<AnyDatabase>::detached_for(schema());
    let slot = txn.any_table("Slot").insert([("number", Atom::Integer(4))]);
    let outcome = txn.commit_on(&server).expect("a commit");
    assert!(outcome.inserted_uuid(slot).is_some());
    let committed = server.transactions::<Database>();
    assert_eq!(committed[0].inserted::<Slot>()[0].number, 4);
}
