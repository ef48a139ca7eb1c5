//! Change streams: no change is lost or delivered twice, and memory is bounded.

use super::*;
use crate::cache::subscription::{LARGEST, LONGEST};

/// A monitor with this many rows, their counts all 0.
fn started(rows: usize) -> (ReplicaMonitor, Cache<Inventory>) {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    let rows: Vec<_> = (0..rows).map(|n| (n, initial("row", 0))).collect();
    let reply = since(false, 1, &items(&rows));
    monitor.start(raw(&reply)).expect("rows");
    let cache = cache(&monitor);
    (monitor, cache)
}

/// The count of the first row.
fn cache_count(cache: &Cache<Inventory>) -> i64 {
    let view = cache.snapshot();
    let row = view.get(crate::Ref::<Item>::new(uuid(0)));
    row.expect("a row").count
}

#[test]
fn a_transaction_is_a_batch_and_each_row_is_in_it_once() {
    let (mut monitor, cache) = started(3);
    let mut changes = cache.changes::<Item>();
    let mut parts = cache.changes::<Part>();
    let mut all = cache.all_changes();
    let start = changes.try_next().expect("the start");
    assert!(start.kind().is_start() && start.len() == 3);
    assert!(parts.try_next().expect("a start, empty").is_empty());
    assert_eq!(
        all.try_next()
            .expect("the start")
            .tables()
            .collect::<Vec<_>>(),
        ["Item"]
    );
    assert!(changes.try_next().is_none() && all.try_next().is_none());

    apply(&mut monitor, 2, &[(0, modify(5)), (3, insert("new", 1))]);
    let mut changes_of_items = changes
        .try_next()
        .expect("a batch")
        .into_iter()
        .collect::<Vec<_>>();
    changes_of_items.sort_by_key(Change::uuid);
    let [Change::Modified { old, new }, Change::Inserted(row)] = &changes_of_items[..] else {
        panic!("{changes_of_items:?}")
    };
    assert_eq!((old.count, new.count, row.count), (0, 5, 1));
    assert!(changes_of_items[0].changed(Item::COUNT) && !changes_of_items[0].changed(Item::NAME));
    let columns = |change: &Change<Item>| change.columns().map(|c| c.name).collect::<Vec<_>>();
    assert_eq!(columns(&changes_of_items[0]), ["count"]);
    assert_eq!(columns(&changes_of_items[1]), ["name", "count", "tags"]);

    // The whole database: items and parts of one transaction come in one batch.
    let updates = format!(
        r#"{{"Item":{{"{}":{{"delete":null}}}},"Part":{{"{}":{{"insert":{{"label":"p"}}}}}}}}"#,
        uuid(1),
        uuid(1)
    );
    let before = all.try_next().expect("a batch").snapshot();
    update(&mut monitor, "update3", &update3(3, &updates)).expect("an update");
    let batch = all.try_next().expect("a batch");
    assert_eq!(batch.tables().collect::<Vec<_>>(), ["Item", "Part"]);
    assert!(matches!(&batch.table::<Item>()[..], [Change::Deleted(_)]));
    assert!(matches!(&batch.table::<Part>()[..], [Change::Inserted(_)]));
    assert_eq!(batch.all().len(), 2);
    assert_eq!(batch.all()[1].row().table(), "Part");
    assert_eq!(batch.snapshot().len(), before.len());
    assert_eq!(batch.before().expect("a state").last_txn_id(), uuid(2));
    assert_eq!(parts.try_next().expect("a batch").len(), 1);

    // A transaction that does not change the table gives no batch.
    let updates = format!(r#"{{"Part":{{"{}":{{"delete":null}}}}}}"#, uuid(1));
    update(&mut monitor, "update3", &update3(4, &updates)).expect("an update");
    assert!(changes.try_next().is_some() && changes.try_next().is_none());
    update(&mut monitor, "update3", &update3(5, "{}")).expect("an update");
    assert!(all.try_next().is_some() && all.try_next().is_none());
    assert_eq!(cache.snapshot().last_txn_id(), uuid(5));
    // Nor does one that sets a column to the value that it has.
    apply(&mut monitor, 6, &[(0, modify(cache_count(&cache)))]);
    assert!(changes.try_next().is_none());
}

#[test]
fn a_row_that_a_message_changes_twice_is_in_its_batch_once() {
    let (mut monitor, cache) = started(3);
    let mut changes = cache.changes::<Item>();
    let mut folded = Folded::default();
    folded.take(&changes.try_next().expect("the start"));
    let twice = [(0, modify(1)), (1, modify(1)), (0, modify(2))];
    apply(&mut monitor, 2, &twice);
    let batch = changes.try_next().expect("a batch");
    assert_eq!(batch.len(), 2);
    folded.take(&batch);
    assert!(folded.is(&cache));
}

/// A waker whose task opens a stream at once.
struct Opens(Cache<Inventory>);

impl std::task::Wake for Opens {
    fn wake(self: Arc<Self>) {
        drop(self.0.changes::<Item>());
    }
}

#[test]
fn a_reader_that_is_woken_may_open_a_stream() {
    let (mut monitor, cache) = started(1);
    let waker = std::task::Waker::from(Arc::new(Opens(cache.clone())));
    let mut context = std::task::Context::from_waker(&waker);
    let mut changes = cache.changes::<Item>();
    assert!(changes.try_next().is_some());
    let mut waits = |changes: &mut crate::cache::Changes<Item>| {
        let next = std::pin::pin!(changes.next());
        next.poll(&mut context).is_pending()
    };
    assert!(waits(&mut changes));
    apply(&mut monitor, 2, &[(0, modify(11))]);
    assert!(changes.try_next().is_some());
    assert!(waits(&mut changes));
    drop(monitor);
    assert!(!waits(&mut changes), "the end");
}

#[test]
fn rows_enter_and_leave_a_filtered_stream() {
    let (mut monitor, cache) = started(2);
    let mut named = cache.changes::<Item>().columns((Item::NAME, Item::TAGS));
    let mut large = cache.changes::<Item>().rows(|item| item.count > 10);
    assert_eq!(named.try_next().expect("the start").len(), 2);
    assert!(large.try_next().expect("the start").is_empty());

    apply(&mut monitor, 2, &[(0, modify(11))]);
    assert!(named.try_next().is_none());
    let batch = large.try_next().expect("a batch");
    assert!(matches!(batch.iter().next(), Some(Change::Inserted(row)) if row.count == 11));
    apply(&mut monitor, 3, &[(0, modify(12)), (1, modify(3))]);
    let batch = large.try_next().expect("a batch");
    assert!(matches!(batch.iter().next(), Some(Change::Modified { old, .. }) if old.count == 11));
    apply(
        &mut monitor,
        4,
        &[
            (0, modify(1)),
            (1, r#""modify":{"name":"other"}"#.to_owned()),
        ],
    );
    let batch = large.try_next().expect("a batch");
    assert!(matches!(batch.iter().next(), Some(Change::Deleted(row)) if row.count == 12));
    let batch = named.try_next().expect("a batch");
    assert_eq!(batch.len(), 1);
    assert_eq!(batch.iter().next().map(Change::uuid), Some(uuid(1)));
    apply(&mut monitor, 5, &[(1, delete())]);
    assert!(named.try_next().is_some() && large.try_next().is_none());
}

#[test]
fn a_slow_consumer_gets_its_pending_changes_coalesced() {
    let (mut monitor, cache) = started(4);
    let mut changes = cache.changes::<Item>();
    let mut folded = Folded::default();
    folded.take(&changes.try_next().expect("the start"));
    for step in 0..3 * LONGEST {
        // One row is inserted and deleted, one changes and changes back, one keeps its last change.
        let coming = if step % 2 == 0 {
            insert("brief", 1)
        } else {
            delete()
        };
        let back = i64::from(step % 2 == 0);
        let changes = [(9, coming), (0, modify(back)), (1, modify(step as i64 + 1))];
        apply(&mut monitor, step, &changes);
        assert!(cache.changes::<Item>().waiting() == 1);
    }
    assert!(changes.waiting() <= LONGEST);
    let batch = changes.try_next().expect("a batch");
    assert!(batch.kind().is_coalesced());
    let mut transactions = batch.kind().transactions();
    assert!(transactions > LONGEST as u64);
    folded.take(&batch);
    while let Some(batch) = changes.try_next() {
        transactions += batch.kind().transactions();
        folded.take(&batch);
    }
    assert_eq!(
        transactions,
        3 * LONGEST as u64,
        "every transaction is accounted for"
    );
    assert!(folded.is(&cache));
    assert_eq!(folded.0[&uuid(1)].count, 3 * LONGEST as i64);
}

#[test]
fn large_changes_are_coalesced_early_and_one_alone_is_not() {
    let (mut monitor, cache) = started(1);
    let mut changes = cache.changes::<Item>();
    changes.try_next().expect("the start");
    let mut rename = |last: usize, length| {
        let name = last.to_string().repeat(length);
        let change = format!(r#""modify":{{"name":"{name}"}}"#);
        apply(&mut monitor, last, &[(0, change)]);
    };
    rename(2, LARGEST + 1);
    let batch = changes.try_next().expect("a batch");
    assert_eq!(batch.kind().transactions(), 1);
    // The batch that was taken no longer counts toward the limit, so the next two fit.
    rename(3, LARGEST / 3);
    rename(4, LARGEST / 3);
    assert_eq!(changes.waiting(), 2);
    rename(5, LARGEST / 3 + 1);
    assert_eq!(changes.waiting(), 1);
    let batch = changes.try_next().expect("a batch");
    assert_eq!((batch.kind().transactions(), batch.len()), (3, 1));
    rename(6, 1);
    rename(7, 2);
    assert_eq!(changes.waiting(), 2);
}

/// Promise: with a handler 100 times slower than the server and 10^6 changes, memory is bounded, and
/// the handler ends with the same table.
#[test]
fn a_million_changes_and_a_handler_a_hundred_times_slower() {
    const ROWS: usize = 100;
    const CHANGES: usize = 1_000_000;
    let (mut monitor, cache) = started(ROWS);
    let mut changes = cache.changes::<Item>();
    let mut folded = Folded::default();
    folded.take(&changes.try_next().expect("the start"));
    let (mut batches, mut most) = (0, 0);
    let mut transactions = 0;
    for block in 0..CHANGES / ROWS / 10 {
        // One batch is handled for each hundred transactions of a hundred changes. Each row is
        // modified, or deleted and inserted again.
        for step in 0..10 {
            let round = block * 10 + step;
            let rows: Vec<_> = (0..ROWS)
                .map(|row| match (row % 10, round % 2) {
                    (0, 0) => (row, delete()),
                    (0, _) => (row, insert("again", round as i64)),
                    _ => (row, modify(round as i64 + 1)),
                })
                .collect();
            apply(&mut monitor, round, &rows);
        }
        if block % 10 == 9
            && let Some(batch) = changes.try_next()
        {
            transactions += batch.kind().transactions();
            batches += 1;
            folded.take(&batch);
        }
        most = most.max(changes.waiting());
    }
    assert!(most <= LONGEST, "{most} batches waited");
    assert!(batches <= CHANGES / ROWS / 100);
    while let Some(batch) = changes.try_next() {
        transactions += batch.kind().transactions();
        folded.take(&batch);
    }
    assert_eq!(transactions, (CHANGES / ROWS) as u64);
    assert!(folded.is(&cache));
}

#[tokio::test]
async fn streams_wait_and_end() {
    let (mut monitor, cache) = started(1);
    let mut changes = cache.changes::<Item>();
    let mut all = cache.all_changes();
    assert_eq!(changes.next().await.map(|batch| batch.len()), Some(1));
    assert!(all.next().await.is_some());
    let waiting = tokio::spawn(async move {
        let batch = changes.next().await;
        (batch.map(|batch| batch.len()), changes)
    });
    tokio::task::yield_now().await;
    apply(&mut monitor, 2, &[(0, modify(3))]);
    let (batch, mut changes) = waiting.await.expect("no panic");
    assert_eq!(batch, Some(1));

    // Queued batches are delivered, then the end; a stream that is opened later gets the last state.
    apply(&mut monitor, 3, &[(0, modify(4))]);
    let waiting = tokio::spawn(async move { while all.next().await.is_some() {} });
    drop(monitor);
    assert_eq!(changes.next().await.map(|batch| batch.len()), Some(1));
    assert!(changes.next().await.is_none() && changes.next().await.is_none());
    waiting.await.expect("no panic");
    assert!(cache.current().await.is_err());
    let mut late = cache.changes::<Item>();
    assert_eq!(late.next().await.map(|batch| batch.len()), Some(1));
    assert!(late.next().await.is_none());
}

/// The schema of an older server, which lacks a column.
fn older() -> DatabaseSchema {
    let older = SCHEMA.replace(r#","count":{"type":"integer"}"#, "");
    assert_ne!(older, SCHEMA);
    schema(&older)
}

#[test]
fn a_change_of_the_schema_is_delivered_even_if_no_row_changed() {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    monitor.apply_schema(&older());
    let cache = cache(&monitor);
    let rows = items(&[(1, r#""initial":{"name":"a"}"#.to_owned())]);
    monitor.start(raw(&since(false, 1, &rows))).expect("rows");
    let (mut items, mut parts) = (cache.changes::<Item>(), cache.changes::<Part>());
    let mut all = cache.all_changes();
    assert!(items.try_next().expect("the start").kind().is_start());
    assert!(parts.try_next().expect("the start").kind().is_start());
    assert!(all.try_next().expect("the start").kind().is_start());

    // Another connection with the same schema.
    monitor.apply_schema(&older());
    monitor.start(raw(&since(false, 2, &rows))).expect("rows");
    assert!(items.try_next().is_none() && all.try_next().is_none());

    monitor.apply_schema(&schema(SCHEMA));
    assert!(
        items.try_next().is_none(),
        "not before the rows are in step"
    );
    monitor.start(raw(&since(false, 3, &rows))).expect("rows");
    for kind in [
        items.try_next().map(|batch| (batch.kind(), batch.len())),
        parts.try_next().map(|batch| (batch.kind(), batch.len())),
        all.try_next()
            .map(|batch| (batch.kind(), batch.all().len())),
    ] {
        let (kind, changes) = kind.expect("a batch");
        assert!(kind.is_schema_change() && kind.is_resync() && !kind.is_start());
        assert_eq!(changes, 0);
    }
    assert!(cache.skew().is_empty());
    apply(&mut monitor, 4, &[(1, modify(7))]);
    let kind = items.try_next().expect("a batch").kind();
    assert!(!kind.is_schema_change() && !kind.is_resync());
    assert!(parts.try_next().is_none());
}

#[test]
fn a_change_of_the_schema_is_not_lost_when_batches_are_coalesced() {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    let rows = items(&[(1, initial("a", 0))]);
    monitor.start(raw(&since(false, 1, &rows))).expect("rows");
    let cache = cache(&monitor);
    let mut changes = cache.changes::<Item>();
    assert!(changes.try_next().is_some());
    monitor.apply_schema(&older());
    let rows = items(&[(1, r#""initial":{"name":"a"}"#.to_owned())]);
    monitor.start(raw(&since(false, 2, &rows))).expect("rows");
    for number in 0..2 * LONGEST {
        let name = format!(r#""modify":{{"name":"{number}"}}"#);
        apply(&mut monitor, number + 3, &[(1, name)]);
    }
    let mut told = 0;
    while let Some(batch) = changes.try_next() {
        told += usize::from(batch.kind().is_schema_change());
    }
    assert_eq!(told, 1);
}
