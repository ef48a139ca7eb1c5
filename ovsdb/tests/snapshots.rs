//! Snapshots that are made without a server equal those of a replica with the same rows.

mod support;

use ovsdb::cache::{Index, OrderedIndex};
use ovsdb::testing::SnapshotBuilder;
use ovsdb::{Client, Row};
use support::inventory::{Database, Item, Slot};
use support::{connect, inventory_server, item};

#[tokio::test]
async fn a_built_snapshot_equals_the_replicas() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    for (name, total) in [("one", 1), ("two", 2), ("three", 3)] {
        txn.insert(item(name, total));
    }
    txn.commit().await.expect("a commit");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let replica = cache.snapshot();

    let by_total = OrderedIndex::column(Item::TOTAL);
    let by_name = Index::column(Item::NAME);
    let mut rows = SnapshotBuilder::<Database>::new();
    rows.table::<Slot>()
        .index(&by_name)
        .ordered_index(&by_total);
    for row in replica.rows::<Item>() {
        rows.row(row);
    }
    let made = rows.build().expect("a snapshot");
    let sorted = |view: &ovsdb::Snapshot<Database>| {
        let mut all: Vec<Row<Item>> = view.rows::<Item>().cloned().collect();
        all.sort_by_key(Row::uuid);
        all
    };
    assert_eq!(sorted(&made), sorted(&replica));
    assert_eq!(made.rows::<Slot>().len(), 0);
    assert_eq!(made.get_by(&by_name, "two").map(|row| row.total), Some(2));
    let upper: Vec<_> = made.range(&by_total, 2..).map(|row| row.total).collect();
    assert_eq!(upper, [2, 3]);
}

#[test]
fn inserted_rows_have_uuids_in_order() {
    let mut rows = SnapshotBuilder::<Database>::new();
    let first = rows.insert(item("one", 1));
    let second = rows.insert(item("two", 2));
    let view = rows.build().expect("a snapshot");
    assert_eq!(first.uuid(), ovsdb::Uuid::from_u128(1));
    assert_eq!(view.get(second).expect("a row").name, "two");
}
