//! Change streams on real servers: folding a stream from its start gives the replica, whatever the
//! consumer does.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ovsdb::cache::{Change, ChangeBatch};
use ovsdb::{Cache, Client, MonitorVersion, Row, Uuid};
use support::inventory::{Database, Item, ItemOnly, Part};
use support::{connect, inventory_server};

/// A random generator; its seed is printed, and `OVSDB_TEST_SEED` sets it.
#[allow(clippy::print_stderr, reason = "a failure is reproduced by it")]
fn random() -> fastrand::Rng {
    let given = std::env::var("OVSDB_TEST_SEED").ok();
    let seed = given.and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("OVSDB_TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

fn item(number: u64) -> Item {
    Item {
        name: format!("item-{number}").into(),
        total: number as i64,
        only: ItemOnly::Sole,
        ..Default::default()
    }
}

/// The table that a stream's batches add up to. Each batch must fit those before.
#[derive(Default)]
struct Folded(BTreeMap<Uuid, Arc<Row<Item>>>);

impl Folded {
    fn take(&mut self, batch: &ChangeBatch<Item>) {
        for change in batch {
            let replaced = match change {
                Change::Deleted(old) => self.0.remove(&old.uuid()),
                other => self.0.insert(other.uuid(), other.row().clone()),
            };
            assert_eq!(replaced.as_ref(), change.before(), "the row as it was");
        }
    }

    fn is_the_table_of(&self, cache: &Cache<Database>) {
        let view = cache.snapshot();
        let table: BTreeMap<_, _> = view
            .table::<Item>()
            .rows_shared()
            .map(|row| (row.uuid(), row))
            .collect();
        assert_eq!(self.0, table);
    }
}

/// A random transaction of a few operations on few names, so that transactions concern the same rows.
async fn write(client: &Client<Database>, random: &mut fastrand::Rng) {
    let mut txn = client.transaction();
    for _ in 0..=random.u64(..4) {
        let number = random.u64(..40);
        let name = format!("item-{number}");
        match random.u64(..4) {
            0 => drop(txn.delete::<Item>(Item::NAME.eq(name))),
            1 => {
                txn.delete::<Item>(Item::NAME.eq(name));
                txn.insert(item(number));
            }
            2 => drop(
                txn.update::<Item>(Item::NAME.eq(name))
                    .set(Item::ACTIVE, random.bool()),
            ),
            _ => drop(
                txn.mutate::<Item>(Item::NAME.eq(name))
                    .add(Item::COUNT, 1 << 10)
                    .insert(Item::TAGS, [format!("tag-{}", random.u64(..5))]),
            ),
        }
    }
    // A transaction may violate the index or a maximum, and then changes nothing; that is accepted here.
    let _ = txn.commit().await;
}

/// Waits until the cache shows what the client committed.
async fn settle(client: &Client<Database>, cache: &Cache<Database>) {
    let mut txn = client.transaction();
    let mark = txn.insert(item(1_000_000));
    txn.commit().await.expect("a mark");
    let mut changes = cache.changes::<Item>();
    while cache.snapshot().get(mark).is_none() {
        changes.next().await.expect("the client is not closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_folded_from_its_start_is_the_replica() {
    let server = inventory_server();
    let writer: Client<Database> = connect(&server).await;
    for version in [
        MonitorVersion::Monitor,
        MonitorVersion::MonitorCond,
        MonitorVersion::MonitorCondSince,
    ] {
        let mut random = random();
        for _ in 0..30 {
            write(&writer, &mut random).await;
        }
        let reader: Client<Database> = connect(&server).await;
        let cache = reader
            .cache()
            .table::<Item>()
            .table::<Part>()
            .newest_monitor(version)
            .start()
            .await
            .expect("a cache");

        let mut first = (cache.changes::<Item>(), Folded::default());
        let mut passing = Vec::new();
        for step in 0..300 {
            write(&writer, &mut random).await;
            if step % 30 == 0 {
                passing.push((cache.changes::<Item>(), Folded::default()));
            }
            if step % 40 == 0 && passing.len() > 3 {
                drop(passing.swap_remove(1));
            }
            // Some streams are read after each transaction, some now and then, one only at the end.
            for (changes, folded) in passing.iter_mut().skip(step % 5) {
                if let Some(batch) = changes.try_next() {
                    folded.take(&batch);
                }
            }
        }
        settle(&writer, &cache).await;
        passing.push((cache.changes::<Item>(), Folded::default()));
        passing.push((first.0, std::mem::take(&mut first.1)));
        for (mut changes, mut folded) in passing {
            while let Some(batch) = changes.try_next() {
                assert!(!batch.kind().is_coalesced() && !batch.kind().is_resync());
                folded.take(&batch);
            }
            folded.is_the_table_of(&cache);
        }
        let mut txn = writer.transaction();
        txn.delete::<Item>(Item::NAME.ne(""));
        txn.commit().await.expect("a commit");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_has_resolved_is_in_every_stream() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let mut changes = cache.changes::<Item>();
    let mut all = cache.all_changes();
    assert!(changes.try_next().expect("the start").kind().is_start());
    assert!(all.try_next().expect("the start").kind().is_start());
    for number in 0..200 {
        let mut txn = client.transaction();
        let part = txn.insert(Part {
            label: "wheel".into(),
        });
        let row = txn.insert(Item {
            parts: [part].into(),
            ..item(number)
        });
        txn.commit().await.expect("a commit");
        let batch = changes
            .try_next()
            .expect("there before the commit resolves");
        assert!(batch.snapshot().get(row).is_some() && batch.snapshot().get(part).is_some());
        assert_eq!(
            batch.iter().map(Change::reference).collect::<Vec<_>>(),
            [row]
        );
        let batch = all.try_next().expect("there before the commit resolves");
        assert_eq!(batch.table::<Item>().len(), 1);
        assert_eq!(batch.table::<Part>()[0].reference(), part);
        assert_eq!(batch.all().len(), 2);
        assert!(changes.try_next().is_none() && all.try_next().is_none());
    }
    client.close().await;
    assert!(changes.next().await.is_none() && all.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_ends_with_the_replica() {
    let server = inventory_server();
    let writer: Client<Database> = connect(&server).await;
    let reader: Client<Database> = connect(&server).await;
    let cache = reader
        .cache()
        .table::<Item>()
        .start()
        .await
        .expect("a cache");
    let mut changes = cache.changes::<Item>();
    let slow = tokio::spawn(async move {
        let (mut folded, mut transactions) = (Folded::default(), 0);
        while let Some(batch) = changes.next().await {
            transactions += batch.kind().transactions();
            folded.take(&batch);
            let over = folded.0.values().any(|row| row.name == "item-1000000");
            if over {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (folded, transactions)
    });
    let mut random = random();
    for _ in 0..3000 {
        write(&writer, &mut random).await;
    }
    settle(&writer, &cache).await;
    let (folded, transactions) = slow.await.expect("no panic");
    folded.is_the_table_of(&cache);
    assert!(transactions > 1024, "{transactions}");
}
