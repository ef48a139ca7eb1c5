//! The counters of clients, replicas and reconcilers are right, and the exported metrics equal them.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use ovsdb::{Client, Reconciler};
use support::inventory::{Database, Item, ItemOnly};
use support::inventory_server;
use tokio::time::timeout;

const HANG: Duration = Duration::from_secs(30);

fn item(number: i64) -> Item {
    Item {
        name: number.to_string().into(),
        total: number,
        only: ItemOnly::Sole,
        ..Default::default()
    }
}

#[tokio::test]
async fn counters_are_right_and_metrics_equal_them() {
    let recorder = DebuggingRecorder::new();
    let shown = recorder.snapshotter();
    recorder.install().expect("no other recorder");

    let mut server = inventory_server();
    let client: Client<Database> = Client::builder()
        .remotes(server.remote())
        .backoff(Duration::from_millis(10), Duration::from_millis(100))
        .connect()
        .await
        .expect("a client");
    let begin = client.stats();
    assert_eq!((begin.attempts, begin.connections), (1, 1));
    // The first requests of a connection are the session's own, and not counted.
    assert!(begin.bytes_received > 1000 && begin.bytes_sent > 100);
    assert_eq!((begin.requests, begin.committed), (0, 0));

    let cache = client
        .cache()
        .table::<Item>()
        .start()
        .await
        .expect("a cache");
    let mut changes = cache.changes::<Item>();
    let first = cache.stats();
    assert_eq!((first.rows, first.transactions, first.resyncs), (0, 1, 0));
    assert_eq!((first.streams, first.longest_queue), (1, 0));
    for number in 0..10 {
        let mut txn = client.transaction();
        txn.insert(item(number));
        txn.commit().await.expect("a commit");
    }
    let mut refused = client.transaction();
    refused.abort();
    refused.commit().await.expect_err("aborted");
    let (now, taken) = (client.stats(), cache.stats());
    assert_eq!((now.committed, now.refused, now.unknown), (10, 1, 0));
    assert_eq!((now.requests, now.in_flight, now.waiting), (11, 0, 0));
    assert!(now.messages_received >= begin.messages_received + 21);
    assert_eq!(
        (taken.rows, taken.transactions, taken.longest_queue),
        (10, 11, 10)
    );
    assert!(taken.bytes > first.bytes && taken.lag > Duration::ZERO);
    while changes.try_next().is_some() {}
    assert_eq!(cache.stats().longest_queue, 0);
    drop(changes);
    assert_eq!(cache.stats().streams, 0);

    // Unanswered requests are in flight; requests made after the connection was lost wait.
    server.signal("STOP").expect("stopped");
    let asker = client.clone();
    let asked = tokio::spawn(async move { asker.list_dbs().await });
    timeout(HANG, async {
        while client.stats().in_flight == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the request is sent");
    server.kill().expect("killed");
    asked
        .await
        .expect("no panic")
        .expect_err("the connection is lost");
    let asker = client.clone();
    let asked = tokio::spawn(async move { asker.list_dbs().await });
    timeout(HANG, async {
        while client.stats().waiting == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the request waits");
    server.start().expect("started");
    asked.await.expect("no panic").expect("an answer");
    cache.current().await.expect("current");
    let (now, taken) = (client.stats(), cache.stats());
    assert_eq!((now.connections, now.in_flight, now.waiting), (2, 0, 0));
    assert!(now.attempts >= 2);
    assert_eq!((taken.rows, taken.resyncs), (10, 1));

    let metrics: BTreeMap<String, DebugValue> = shown
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key
                .key()
                .labels()
                .map(|label| label.value().to_owned())
                .collect();
            assert_eq!(labels, ["Inventory"]);
            (key.key().name().to_owned(), value)
        })
        .collect();
    for (name, count) in [
        ("ovsdb_connection_attempts_total", now.attempts),
        ("ovsdb_connections_total", now.connections),
        ("ovsdb_received_bytes_total", now.bytes_received),
        ("ovsdb_sent_bytes_total", now.bytes_sent),
        ("ovsdb_received_messages_total", now.messages_received),
        ("ovsdb_requests_total", now.requests),
        ("ovsdb_transactions_committed_total", now.committed),
        ("ovsdb_transactions_refused_total", now.refused),
        ("ovsdb_transactions_unknown_total", now.unknown),
        ("ovsdb_replica_transactions_total", taken.transactions),
        ("ovsdb_replica_bytes_total", taken.bytes),
        ("ovsdb_replica_resyncs_total", taken.resyncs),
    ] {
        assert_eq!(
            metrics.get(name),
            Some(&DebugValue::Counter(count)),
            "{name}"
        );
    }
    assert_eq!(
        metrics["ovsdb_replica_rows"],
        DebugValue::Gauge(10.0.into())
    );
    assert!(
        matches!(&metrics["ovsdb_replica_lag_seconds"], DebugValue::Histogram(lags) if lags.len() == 10)
    );

    // A reconciler of the ten rows, of which one fails.
    let runner = Reconciler::new(&client, &cache)
        .name("items")
        .backoff(HANG, HANG)
        .watch::<Item>(|item| item.name.clone())
        .run(2, |name, _, _| match &**name {
            "7" => Err("never".into()),
            _ => Ok(()),
        });
    timeout(HANG, async {
        while runner.stats().attempts < 10 || runner.stats().running > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("ten attempts");
    runner.stop().await;
    let done = runner.stats();
    assert_eq!((done.attempts, done.failures, done.retries), (10, 1, 0));
    assert_eq!((done.queued, done.running, done.failing), (0, 0, 1));
    let metrics: BTreeMap<String, DebugValue> = shown
        .snapshot()
        .into_vec()
        .into_iter()
        .filter(|(key, ..)| key.key().name().starts_with("ovsdb_reconciler_"))
        .map(|(key, _, _, value)| {
            let labels = key.key().labels();
            let labels: Vec<_> = labels.map(|label| (label.key(), label.value())).collect();
            assert_eq!(labels, [("database", "Inventory"), ("reconciler", "items")]);
            (key.key().name().to_owned(), value)
        })
        .collect();
    for (name, count) in [
        ("ovsdb_reconciler_attempts_total", 10),
        ("ovsdb_reconciler_failures_total", 1),
        ("ovsdb_reconciler_retries_total", 0),
        ("ovsdb_reconciler_conflicts_total", 0),
    ] {
        assert_eq!(metrics[name], DebugValue::Counter(count), "{name}");
    }
    let queued = &metrics["ovsdb_reconciler_queued"];
    assert_eq!(*queued, DebugValue::Gauge(0.0.into()));
    let latency = &metrics["ovsdb_reconciler_latency_seconds"];
    assert!(matches!(latency, DebugValue::Histogram(latency) if latency.len() == 9));
}
