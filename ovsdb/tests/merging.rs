//! Transactions of several authors: merging them, and recording their authors.
#![cfg(feature = "server")]

mod support;

use std::process::Command;

use ovsdb::server::Server;
use ovsdb::transaction::MergeConflict;
use ovsdb::{Cache, Client, CommitError, Transaction, testing};
use support::inventory::{Database, Item, Slot};
use support::{connect, inventory_server, item};

/// A server that has the items "a" and "b", and a client with a replica of it.
async fn setting() -> (testing::Server, Client<Database>, Cache<Database>) {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    txn.insert(Item {
        notes: [("owner", "me"), ("color", "red")].into(),
        tags: ["x", "y"].into(),
        ..item("a", 1)
    });
    txn.insert(item("b", 2));
    txn.commit().await.expect("a commit");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    (server, client, cache)
}

type Write = fn(&mut Transaction<Database>);

#[tokio::test]
async fn two_transactions_are_merged() {
    let (_server, client, cache) = setting().await;
    let edit = |change: fn(&mut Item)| {
        let mut txn = client.transaction_on(&cache);
        txn.ensure(Item::NAME, "a", change);
        txn
    };
    let mut first = edit(|a| {
        a.total = 5;
        a.tags.insert("first");
        a.tags.remove("x");
        a.notes.insert("first", "1");
        a.notes.remove("color");
    });
    let c = first.insert(item("c", 3));
    let mut second = edit(|a| {
        a.weight = Some(2);
        a.tags.insert("second");
        a.tags.remove("x");
        a.notes.insert("second", "2");
        a.notes.insert("owner", "both");
    });
    let d = second.insert(item("d", 4));
    let changed = second
        .update(Item::NAME.eq("b"))
        .set(Item::TOTAL, 20)
        .index();
    second.edit(d, |d| d.weight = Some(1));
    let selected = second.select(Item::NAME.eq("b"));

    let moved = first.merge(&second).expect("no conflict");
    // The merged transaction shows the writes of both, and more can be written to it.
    assert_eq!(first.get(d).expect("a row").weight, Some(1));
    let a = first.get_by(Item::NAME, "a").expect("a row");
    assert_eq!(
        (a.total, a.weight, &a.tags),
        (5, Some(2), &["first", "second", "y"].into())
    );
    let notes = [("first", "1"), ("owner", "both"), ("second", "2")];
    assert_eq!(a.notes, notes.into());
    // Later edits become operations of their own, after those of both.
    let merged = first.operations().len();
    first.edit(&a, |a| drop(a.notes.insert("third", "3")));
    assert!(first.operations().len() > merged, "{first:?}");
    first.edit(d, |d| d.active = true);
    let outcome = first.commit().await.expect("a commit");
    assert_eq!(outcome.count(changed.after(moved)), 1);
    let rows = outcome.rows(&selected.after(moved)).expect("rows");
    assert_eq!((rows.len(), rows[0].total), (1, 20));
    assert_eq!(
        (outcome.inserted(c), outcome.inserted(d)),
        (Some(c), Some(d))
    );

    let view = cache.snapshot();
    let a = view.get_by(Item::NAME, "a").expect("a row");
    assert_eq!(
        (a.total, a.weight, &a.tags),
        (5, Some(2), &["first", "second", "y"].into())
    );
    let notes = notes.into_iter().chain([("third", "3")]);
    assert_eq!(a.notes, notes.collect());
    assert!(view.get(c).is_some());
    assert_eq!(
        view.get(d).map(|d| (d.weight, d.active)),
        Some((Some(1), true))
    );
    assert_eq!(view.get_by(Item::NAME, "b").expect("a row").total, 20);
}

#[tokio::test]
async fn transactions_that_conflict_are_not_merged() {
    let (_server, client, cache) = setting().await;
    let edit: Write = |txn| {
        txn.ensure(Item::NAME, "a", |a| a.total = 5);
    };
    let cases: [(&str, Write, Write, &str); 11] = [
        (
            "both change a value",
            edit,
            |txn| {
                txn.ensure(Item::NAME, "a", |a| a.total = 6);
            },
            "both transactions change the column Item.total of the row",
        ),
        (
            "both count",
            |txn| {
                txn.ensure(Item::NAME, "a", |a| a.total += 10);
            },
            |txn| {
                txn.ensure(Item::NAME, "a", |a| a.total += 10);
            },
            "both transactions change the column Item.total of the row",
        ),
        (
            "both set a key",
            |txn| {
                txn.ensure(Item::NAME, "a", |a| drop(a.notes.insert("k", "1")));
            },
            |txn| {
                txn.ensure(Item::NAME, "a", |a| drop(a.notes.insert("k", "2")));
            },
            "both transactions change the column Item.notes of the row",
        ),
        (
            "one removes what the other sets",
            |txn| {
                txn.ensure(Item::NAME, "a", |a| drop(a.notes.remove("owner")));
            },
            |txn| {
                txn.ensure(Item::NAME, "a", |a| drop(a.notes.insert("owner", "2")));
            },
            "both transactions change the column Item.notes of the row",
        ),
        (
            "one deletes what the other edits",
            |txn| {
                let a = txn.get_by(Item::NAME, "a").expect("a row");
                txn.delete(&a);
            },
            edit,
            "of Item, and one deletes or inserts it",
        ),
        (
            "both make the same row",
            |txn| {
                txn.ensure(Item::NAME, "new", |_| {});
            },
            |txn| {
                txn.ensure(Item::NAME, "new", |_| {});
            },
            "one transaction is based on rows of Item, and the other writes the row",
        ),
        (
            "the condition of the other would have found the row that this one inserts",
            |txn| {
                txn.ensure_where(Slot::NUMBER.gt(3), |slot| slot.number = 4);
            },
            |txn| {
                txn.ensure_where(Slot::NUMBER.gt(2), |slot| slot.number = 3);
            },
            "one transaction is based on rows of Slot, and the other writes the row",
        ),
        (
            "the other has read what this one changes",
            edit,
            |txn| {
                txn.get_by(Item::NAME, "a");
                txn.insert(Slot { number: 1 });
            },
            "one transaction is based on rows of Item, and the other writes the row",
        ),
        (
            "the other has read the column that this one changes",
            edit,
            |txn| {
                let a = txn.one(Item::NAME, "a").expect("a row");
                txn.get_column(a, Item::TOTAL);
                txn.insert(Slot { number: 1 });
            },
            "one transaction is based on rows of Item, and the other writes the row",
        ),
        (
            "the other has read a column of the row that this one deletes",
            |txn| {
                let a = txn.one(Item::NAME, "a").expect("a row");
                txn.delete(a);
            },
            |txn| {
                let a = txn
                    .peek()
                    .get_by(Item::NAME, "a")
                    .expect("a row")
                    .reference();
                txn.get_column(a, Item::TOTAL);
                txn.insert(Slot { number: 1 });
            },
            "one transaction is based on rows of Item, and the other writes the row",
        ),
        (
            "both insert a row with the same uuid",
            |txn| {
                txn.insert_with_uuid(ovsdb::Uuid::from_u128(1), Slot { number: 1 });
            },
            |txn| {
                txn.insert_with_uuid(ovsdb::Uuid::from_u128(1), Slot { number: 2 });
            },
            "of Slot, and one deletes or inserts it",
        ),
    ];
    for (what, one, two, expected) in cases {
        let (mut first, mut second) =
            (client.transaction_on(&cache), client.transaction_on(&cache));
        one(&mut first);
        two(&mut second);
        let before = first.operations().to_vec();
        let error = first.merge(&second).expect_err(what).to_string();
        assert!(error.contains(expected), "{what}: {error}");
        assert_eq!(first.operations(), before, "{what}");
    }
    // The second transaction may change what the first one has read, since its operations come later.
    let mut first = client.transaction_on(&cache);
    first.get_by(Item::NAME, "a");
    first.insert(Slot { number: 1 });
    let mut second = client.transaction_on(&cache);
    edit(&mut second);
    first.merge(&second).expect("no conflict");
    // A transaction on another replica, which may be in another state, is not merged.
    let other = client.cache().all_tables().start().await.expect("a cache");
    let error = first
        .merge(&client.transaction_on(&other))
        .expect_err("another replica");
    assert_eq!(error, MergeConflict::Replica);
    first.commit().await.expect("a commit");
    // One transaction may change a column of a row of which the other has read another column. The commit
    // verifies the column that was read.
    let mut counted = client.transaction_on(&cache);
    counted.ensure(Item::NAME, "a", |a| a.total = 7);
    let mut tags = client.transaction_on(&cache);
    let a = tags.one(Item::NAME, "a").expect("a row");
    tags.get_column(a, Item::TAGS);
    tags.edit(a, |a| a.weight = Some(9));
    counted.merge(&tags).expect("no conflict");
    let mut another = client.transaction();
    another.mutate(a).insert(Item::TAGS, ["faster"]);
    another.commit().await.expect("a commit");
    let error = counted.commit().await.expect_err("the tags were read");
    assert!(matches!(error, CommitError::Refused(refusal) if refusal.is_conflict()));
}

#[tokio::test]
async fn the_author_is_in_the_history() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("inventory.db");
    let server = Server::builder()
        .create(&file, support::INVENTORY)
        .start()
        .expect("a server");
    let client = Client::<Database>::builder()
        .server(&server)
        .author("the tests 1.0");
    let client = client.connect().await.expect("a client");
    let mut txn = client.transaction();
    let index = txn.insert(Slot { number: 1 });
    txn.comment("why");
    let outcome = txn.commit().await.expect("a commit");
    assert_eq!(
        (outcome.results().len(), outcome.inserted(index)),
        (2, Some(index))
    );
    // A transaction that writes nothing leaves no author.
    let mut txn = client.transaction();
    let selected = txn.select(Slot::NUMBER.eq(1));
    let outcome = txn.commit().await.expect("a commit");
    assert_eq!(outcome.rows(&selected).expect("rows").len(), 1);
    let mut txn = client.transaction();
    txn.update(Slot::NUMBER.eq(1)).set(Slot::NUMBER, 2);
    txn.commit().await.expect("a commit");
    let committed = server.transactions::<Database>();
    let comments: Vec<_> = committed
        .iter()
        .map(|txn| txn.comment().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(comments, ["the tests 1.0\nwhy", "the tests 1.0"]);
    drop((client, server));
    let log = Command::new(testing::program("ovsdb-tool").expect("ovsdb-tool"))
        .arg("show-log")
        .arg(&file)
        .output();
    let log = log.expect("ovsdb-tool");
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains("the tests 1.0"), "{log}");
}
