//! Mistakes that a transaction finds in itself before it is sent, and cases that only look like
//! mistakes.

mod support;

use ovsdb::cache::Index;
use ovsdb::testing::Server;
use ovsdb::transaction::{BuildError, MergeConflict};
use ovsdb::{Cache, Client, CommitError, Transaction, Uuid};
use support::inventory::{Database, Item, Slot};
use support::{INVENTORY, connect, inventory_server, item};

async fn setting() -> (Server, Client<Database>, Cache<Database>) {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    txn.insert(item("a", 1));
    txn.commit().await.expect("a commit");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    (server, client, cache)
}

#[test]
fn transactions_without_a_client_do_not_mix_their_rows() {
    let mut first = Transaction::<Database>::detached();
    let one = first.insert(item("i", 1));
    let mut same = Transaction::<Database>::detached();
    same.insert(item("j", 2));
    let conflict = first.merge(&same).expect_err("two rows with the same uuid");
    let expected = MergeConflict::Row {
        table: "Item",
        row: one.uuid(),
    };
    assert_eq!(conflict, expected);
    // A row of another table gets the same uuid, too.
    let mut other = Transaction::<Database>::detached();
    other.insert(Slot { number: 5 });
    assert_eq!(first.merge(&other), Err(expected));
    let mut named = Transaction::<Database>::detached();
    named.any_table("Slot").insert([("number", 5_i64)]);
    assert!(first.merge(&named).is_err());

    let mut after = Transaction::<Database>::detached_after(&first);
    let two = after.insert(Slot { number: 5 });
    assert_ne!(one.uuid(), two.uuid());
    first.merge(&after).expect("rows of their own");
    // A row that is inserted afterwards still gets its own uuid.
    let three = first.insert(item("k", 3));
    assert!(first.check().is_ok());
    assert_ne!(three.uuid(), two.uuid());
    assert_eq!(first.inserted::<Item>().len(), 2);
}

#[tokio::test]
async fn a_deleted_row_that_only_the_other_view_has_is_a_conflict() {
    let (_server, client, _) = setting().await;
    let by_weight = Index::column(Item::WEIGHT);
    let cache = client.cache().all_tables().index(&by_weight).start().await;
    let cache = cache.expect("a cache");
    let view = cache.snapshot();
    let a = view.get_by(Item::NAME, "a").expect("a row").reference();
    type Read = fn(&mut Transaction<Database>, &Index<Item, Option<i64>>);
    let reads: [Read; 3] = [
        |txn, by| assert_eq!(txn.find(by, None).len(), 1),
        |txn, _| assert!(txn.get_by(Item::NAME, "a").is_some()),
        |txn, by| {
            txn.ensure(by, None, |a| a.active = true);
        },
    ];
    for read in reads {
        let mut first = client.transaction();
        first.delete(a);
        let mut second = client.transaction_on(&cache);
        read(&mut second, &by_weight);
        second.insert(Slot { number: 1 });
        let conflict = first.merge(&second).expect_err("based on a deleted row");
        let row = match conflict {
            MergeConflict::Read { row, .. } | MergeConflict::Row { row, .. } => row,
            other => panic!("{other}"),
        };
        assert_eq!(row, a.uuid());
    }
}

#[tokio::test]
async fn two_inserts_with_the_same_uuid_are_a_mistake() {
    let (_server, client, cache) = setting().await;
    let uuid = Uuid::new_v4();
    let mut txn = client.transaction_on(&cache);
    txn.insert_with_uuid(uuid, item("c", 3));
    let mut again = txn.clone();
    txn.insert_with_uuid(uuid, Slot { number: 5 });
    let error = txn.check().expect_err("two rows");
    assert!(
        matches!(&error, BuildError::SameUuid { table: "Slot", other, .. } if *other == "Item"),
        "{error}"
    );
    again.insert_with_uuid(uuid, item("d", 4));
    assert!(matches!(
        again.commit().await,
        Err(CommitError::Build(BuildError::SameUuid { .. }))
    ));
}

#[tokio::test]
async fn an_immutable_column_of_an_inserted_row_can_be_edited_later() {
    let (_server, client, cache) = setting().await;
    let mut txn = client.transaction_on(&cache);
    let c = txn.insert(item("c", 3));
    txn.edit(c, |c| c.name = "d".into());
    txn.comment("between");
    txn.edit(c, |c| {
        c.name = "e".into();
        c.total = 4;
    });
    let outcome = txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    let row = view.get_by(Item::NAME, "e").expect("a row");
    assert_eq!((row.total, Some(row.reference())), (4, outcome.inserted(c)));
    // The column cannot be edited once another operation may have read the row.
    let mut txn = client.transaction_on(&cache);
    let f = txn.insert(item("f", 6));
    txn.update(Item::NAME.eq("f")).set(Item::TOTAL, 7);
    txn.edit(f, |f| f.name = "g".into());
    assert!(matches!(
        txn.check(),
        Err(BuildError::Immutable { column: "name", .. })
    ));
}

#[tokio::test]
async fn a_condition_on_a_column_that_the_server_lacks_is_a_mistake() {
    let weight = r#""weight": {"type": {"key": "integer", "min": 0, "max": 1}},"#;
    let older = INVENTORY.replace(weight, "");
    assert_ne!(older, INVENTORY);
    let server = Server::builder().schema(&older).start().expect("a server");
    let client: Client<Database> = connect(&server).await;
    let by_weight = Index::column(Item::WEIGHT);
    let cache = client.cache().all_tables().index(&by_weight).start().await;
    let cache = cache.expect("a cache");
    let heavy = || Item::NAME.eq("a").and(Item::WEIGHT.eq(Some(3)));
    type Write =
        fn(&mut Transaction<Database>, &Index<Item, Option<i64>>, ovsdb::model::AllOf<Item>);
    let writes: [Write; 7] = [
        |txn, _, rows| {
            let _ = txn.update(rows).set(Item::TOTAL, 1).index();
        },
        |txn, _, rows| {
            let _ = txn.mutate(rows).add(Item::TOTAL, 1).index();
        },
        |txn, _, rows| {
            let _ = txn.delete(rows);
        },
        |txn, _, rows| {
            let _ = txn.select(rows);
        },
        |txn, _, rows| {
            let _ = txn.wait(rows).comparing(Item::TOTAL).until([]);
        },
        |txn, by, _| assert!(txn.find(by, Some(3)).is_empty()),
        |txn, _, rows| {
            txn.ensure_where(rows, |new| new.weight = Some(3));
        },
    ];
    for (number, write) in writes.into_iter().enumerate() {
        let mut txn = client.transaction_on(&cache);
        write(&mut txn, &by_weight, heavy());
        let error = txn.check().expect_err("the server lacks the column");
        let is_column = matches!(
            error,
            BuildError::NoSuchColumn {
                column: "weight",
                ..
            }
        );
        assert!(is_column, "{number}: {error}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_found_by_the_check() {
    let (_server, client, cache) = setting().await;
    let mut txn = client.transaction_on(&cache);
    assert!(txn.get_by(Item::NAME, "x\0").is_none());
    txn.insert(item("fine", 8));
    let error = txn.check().expect_err("the guard has a NUL");
    assert!(matches!(error, BuildError::InvalidValue(_)), "{error}");
    assert!(matches!(
        txn.commit().await,
        Err(CommitError::Build(BuildError::InvalidValue(_)))
    ));
}
