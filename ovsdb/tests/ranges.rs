//! Reading ranges through a transaction, and what the commit verifies of them.

mod support;

use std::ops::Bound::{Excluded, Included, Unbounded};

use ovsdb::cache::OrderedIndex;
use ovsdb::testing::Server;
use ovsdb::{Cache, Client, CommitError, Str, Transaction};
use support::inventory::{Database, Item};
use support::{connect, inventory_server, item};

struct Setting {
    _server: Server,
    client: Client<Database>,
    cache: Cache<Database>,
    by_total: OrderedIndex<Item, i64>,
    by_weight: OrderedIndex<Item, Option<i64>>,
    by_name: OrderedIndex<Item, Str>,
    by_tag: OrderedIndex<Item, Str>,
}

/// Items from "a" with the total 10 and the weight 1 to "e" with 50 and 5, and one without a weight.
async fn setting() -> Setting {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let number = number as i64 + 1;
        txn.insert(Item {
            weight: Some(number),
            tags: [name, "z"].into(),
            ..item(name, 10 * number)
        });
    }
    txn.insert(item("none", 100));
    txn.commit().await.expect("a commit");
    let by_total = OrderedIndex::column(Item::TOTAL);
    let by_weight = OrderedIndex::column(Item::WEIGHT);
    let by_name = OrderedIndex::column(Item::NAME);
    let by_tag = OrderedIndex::elements(Item::TAGS);
    let cache = client.cache().all_tables().ordered_index(&by_total);
    let cache = cache.ordered_index(&by_weight).ordered_index(&by_name);
    let cache = cache.ordered_index(&by_tag).start().await;
    Setting {
        _server: server,
        client,
        cache: cache.expect("a cache"),
        by_total,
        by_weight,
        by_name,
        by_tag,
    }
}

fn names<R: std::ops::Deref<Target = ovsdb::Row<Item>>>(rows: Vec<R>) -> String {
    rows.iter()
        .map(|row| row.name.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test]
async fn a_range_shows_the_view_with_the_transactions_own_writes_applied() {
    let setting = setting().await;
    let mut txn = setting.client.transaction_on(&setting.cache);
    assert_eq!(names(txn.range(&setting.by_total, 20..=40)), "b c d");
    let row = |name: &str| {
        let view = setting.cache.snapshot();
        view.get_by(Item::NAME, name).expect("a row").reference()
    };
    txn.insert(item("new", 25));
    txn.delete(row("c"));
    txn.edit(row("d"), |d| d.total = 21);
    txn.edit(row("e"), |e| e.total = 26);
    assert_eq!(names(txn.range(&setting.by_total, 20..30)), "b d new e");
    assert_eq!(
        names(txn.peek().range(&setting.by_total, 20..30)),
        "b d new e"
    );
    assert_eq!(names(txn.range(&setting.by_weight, Some(2)..)), "b d e");
    let below = (Unbounded, Excluded(Some(2)));
    assert_eq!(
        names(txn.peek().range(&setting.by_weight, below)).len(),
        "none new a".len()
    );
    // A row with several keys in the range is found once.
    let tags = (Included(Str::from("a")), Unbounded);
    assert_eq!(names(txn.range(&setting.by_tag, tags)), "a b d e");
    txn.commit().await.expect("no other client writes");
}

#[tokio::test]
async fn the_commit_verifies_a_range_as_far_as_conditions_can_express_it() {
    let setting = setting().await;
    type Read = fn(&Setting, &mut Transaction<Database>) -> usize;
    let numbers: [Read; 5] = [
        |setting, txn| txn.range(&setting.by_total, 15..40).len(),
        |setting, txn| txn.range(&setting.by_total, ..=40).len(),
        |setting, txn| {
            let range = (Excluded(15), Excluded(60));
            txn.range(&setting.by_total, range).len()
        },
        |setting, txn| txn.range(&setting.by_total, 15..).len(),
        |setting, txn| txn.range(&setting.by_weight, Some(1)..Some(9)).len(),
    ];
    let others: [Read; 3] = [
        |setting, txn| txn.range(&setting.by_name, ..).len(),
        |setting, txn| txn.range(&setting.by_tag, ..).len(),
        |setting, txn| txn.range(&setting.by_weight, ..Some(9)).len(),
    ];
    let mut number = 0;
    let reads = numbers.map(|read| (read, true));
    for (read, is_verified) in reads.into_iter().chain(others.map(|read| (read, false))) {
        let begin = || {
            let mut txn = setting.client.transaction_on(&setting.cache);
            assert!(read(&setting, &mut txn) > 0);
            txn.comment("something");
            txn
        };
        begin().commit().await.expect("nothing has changed");
        // Another client changes a row of the range.
        let outdated = begin();
        let mut txn = setting.client.transaction();
        txn.mutate(Item::NAME.eq("b")).add(Item::COUNT, 1);
        txn.commit().await.expect("a commit");
        is_conflict(outdated.commit().await);
        // A row enters the range.
        let outdated = begin();
        number += 1;
        let mut txn = setting.client.transaction();
        let new = txn.insert(Item {
            weight: Some(3),
            tags: ["k"].into(),
            total: 22,
            ..item(&format!("new {number}"), 0)
        });
        txn.commit().await.expect("a commit");
        match is_verified {
            true => is_conflict(outdated.commit().await),
            false => drop(outdated.commit().await.expect("it is not noticed")),
        }
        let mut txn = setting.client.transaction();
        txn.delete(new);
        txn.commit().await.expect("a commit");
        // A row is inserted outside the range. The fourth range has no upper bound, so it contains the row.
        let outdated = begin();
        let mut txn = setting.client.transaction();
        txn.insert(item(&format!("far {number}"), 1000 + number));
        let far = txn.commit().await;
        far.expect("a commit");
        if is_verified && number != 4 {
            outdated.commit().await.expect("it is not in the range");
        }
    }
}

fn is_conflict(result: Result<ovsdb::Outcome, CommitError>) {
    match result {
        Err(CommitError::Refused(refusal)) if refusal.is_conflict() => {}
        other => panic!("{other:?}"),
    }
}
