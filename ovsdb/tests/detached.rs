//! Transactions without a client: what unit tests of code that writes transactions see. Most tests here
//! have no runtime.

mod support;

use ovsdb::model::Condition;
use ovsdb::protocol::{Mutator, Operation, Until};
use ovsdb::schema::DatabaseSchema;
use ovsdb::server::Server;
use ovsdb::testing::SnapshotBuilder;
use ovsdb::transaction::{BuildError, TableOperation};
use ovsdb::{CommitError, Ref, Retry, RowIdentity, Snapshot};
use support::inventory::{Client, Database, Item, ItemClass, Part, Slot, Transaction};
use support::{INVENTORY, item};

fn schema() -> DatabaseSchema {
    DatabaseSchema::parse(INVENTORY).expect("a schema")
}

/// What a user wrote: it reads a view, and writes every kind of operation.
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
fn what_was_written_is_read_with_its_types_and_in_order() {
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

/// The operations with the uuids of inserted rows counted.
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
fn mistakes_are_those_that_a_client_with_the_schema_finds() {
    let mut nul = Transaction::detached();
    nul.comment("first");
    nul.insert(item("a\0b", 1));
    match nul.check() {
        Err(BuildError::InvalidValue(invalid)) => assert_eq!(invalid.operation, Some(1)),
        other => panic!("{other:?}"),
    }
    assert!(nul.to_json().is_err());

    // Without a schema nothing is known of the root set.
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
