//! The work queue.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::cache::{Work, WorkQueue};

fn started(rows: usize) -> (ReplicaMonitor, Cache<Inventory>) {
    let mut monitor = monitor(MonitorVersion::MonitorCondSince);
    let rows: Vec<_> = (0..rows).map(|n| (n, initial("row", 0))).collect();
    monitor
        .start(raw(&since(false, 1, &items(&rows))))
        .expect("rows");
    let cache = cache(&monitor);
    (monitor, cache)
}

#[tokio::test]
async fn a_key_is_queued_once_and_again_if_it_changes_while_it_is_worked_on() {
    let queue = WorkQueue::new();
    for key in ["a", "b", "a"] {
        queue.add(key);
    }
    assert!(queue.len() == 2 && !queue.is_empty());
    let a = queue.next().await.expect("a key");
    let b = queue.next().await.expect("a key");
    assert_eq!((*a.key(), *b), ("a", "b"));
    queue.add("a");
    assert!(queue.is_empty(), "in work");
    b.done();
    assert!(queue.is_empty());
    drop(a);
    let a = queue.next().await.expect("added meanwhile");
    a.retry();
    let a = queue.next().await.expect("to be tried again");
    a.done();

    tokio::time::pause();
    queue.add("late");
    queue
        .next()
        .await
        .expect("a key")
        .retry_after(Duration::from_secs(5));
    let before = tokio::time::Instant::now();
    let late = queue.next().await.expect("a key");
    assert!(*late == "late" && before.elapsed() >= Duration::from_secs(5));
    queue.add("late");
    queue.close();
    let end = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.is_none() }
    });
    tokio::task::yield_now().await;
    late.done();
    assert_eq!(queue.next().await.map(|work| *work), Some("late"));
    assert!(end.await.expect("no panic"));
}

/// The next key; the test fails if the queue never returns.
async fn next<K: Hash + Eq + Clone + Send + 'static>(queue: &WorkQueue<K>) -> Option<Work<K>> {
    let next = tokio::time::timeout(Duration::from_secs(20), queue.next());
    next.await.expect("no worker waits for ever")
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_is_handed_out_though_another_one_is_always_queued() {
    let queue = WorkQueue::new();
    queue.add("late");
    let late = queue.next().await.expect("a key");
    late.retry_after(Duration::from_secs(5));
    tokio::time::advance(Duration::from_secs(10)).await;
    queue.add("busy");
    let mut handed_out = Vec::new();
    for _ in 0..2 {
        let work = queue.next().await.expect("a key");
        handed_out.push(*work);
        queue.add("busy");
        work.done();
    }
    assert!(handed_out.contains(&"late"), "{handed_out:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_is_handed_out_once_when_it_is_due_or_added() {
    let queue = WorkQueue::new();
    let seconds = Duration::from_secs;
    for (key, delay) in [("last", 30), ("first", 10), ("added", 20), ("second", 10)] {
        queue.add(key);
        let work = next_in_an_hour(&queue).await.expect("a key");
        tokio::time::advance(seconds(1)).await;
        assert!(work.age() >= seconds(1));
        work.retry_after(seconds(delay));
    }
    assert_eq!((queue.len(), queue.delayed()), (0, 4));
    let begun = tokio::time::Instant::now();
    // A worker that already waits for a delay gets a key that is added without one.
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { *next_in_an_hour(&queue).await.expect("a key") }
    });
    tokio::task::yield_now().await;
    queue.add("soon");
    assert_eq!(worker.await.expect("no panic"), "soon");
    queue.add("added");
    assert_eq!((queue.len(), queue.delayed()), (1, 3));
    let mut keys = Vec::new();
    while queue.len() + queue.delayed() > 0 {
        let work = next_in_an_hour(&queue).await.expect("a key");
        keys.push((*work.key(), begun.elapsed().as_secs()));
        // The age of a key counts from its change, not from the last attempt.
        let least = match *work.key() {
            "added" => 0,
            "last" => 30,
            _ => 10,
        };
        assert!(work.age() >= seconds(least), "{:?}", work.age());
        work.done();
    }
    // The delays count from when each key was given back: 3, 2 and 0 s ago.
    assert_eq!(
        keys,
        [("added", 0), ("first", 8), ("second", 10), ("last", 27)]
    );

    // A key that changes while in work is queued without the delay, and the end drops all delays.
    queue.add("a");
    let work = next_in_an_hour(&queue).await.expect("a key");
    queue.add("a");
    work.retry_after(seconds(10));
    assert_eq!((queue.len(), queue.delayed()), (1, 0));
    let work = next_in_an_hour(&queue).await.expect("a key");
    work.retry_after(seconds(10));
    assert_eq!(queue.delayed(), 1);
    queue.close();
    assert_eq!(queue.delayed(), 0);
    assert!(next_in_an_hour(&queue).await.is_none());
}

/// The next key, on a paused clock.
async fn next_in_an_hour<K: Hash + Eq + Clone + Send + 'static>(
    queue: &WorkQueue<K>,
) -> Option<Work<K>> {
    let next = tokio::time::timeout(Duration::from_secs(3600), queue.next());
    next.await.expect("no worker waits for ever")
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_key_counts_from_the_first_change_that_no_worker_has_finished() {
    let second = Duration::from_secs(1);
    for (is_done, age) in [(true, second), (false, 2 * second)] {
        let queue = WorkQueue::new();
        queue.add("a");
        let work = next_in_an_hour(&queue).await.expect("a key");
        tokio::time::advance(second).await;
        queue.add("a");
        tokio::time::advance(second).await;
        if is_done {
            work.done();
        } else {
            work.retry();
        }
        let work = next_in_an_hour(&queue).await.expect("added meanwhile");
        assert_eq!(work.age(), age);
    }
}

#[tokio::test]
async fn a_worker_that_begins_to_wait_while_another_one_looks_for_keys_is_woken_for_the_second_key()
{
    let (_monitor, cache) = started(2);
    let queue = WorkQueue::new();
    let wakes = Arc::new(Wakes::default());
    let (other, waker) = (queue.clone(), std::task::Waker::from(wakes.clone()));
    queue.feed(cache.changes::<Item>(), move |change, _| {
        let polled = other.poll_next(&std::task::Context::from_waker(&waker));
        assert!(polled.is_pending(), "the keys are not queued yet");
        [change.uuid()]
    });
    let first = next(&queue).await.expect("a key");
    assert_eq!(queue.len(), 1);
    assert!(wakes.0.load(Ordering::SeqCst) > 0);
    first.done();
    // Drops the feed, which holds a handle of the queue.
    queue.close();
}

/// The timer belongs to the queue: it still works when the worker that set it has ended.
#[tokio::test(start_paused = true)]
async fn a_worker_that_gives_up_leaves_the_timer_to_the_others() {
    let queue = WorkQueue::new();
    queue.add("a");
    let work = next_in_an_hour(&queue).await.expect("a key");
    work.retry_after(Duration::from_secs(60));
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { *next_in_an_hour(&queue).await.expect("a key") }
    });
    tokio::task::yield_now().await;
    let brief = tokio::time::timeout(Duration::from_secs(1), queue.next());
    assert!(brief.await.is_err());
    assert_eq!(worker.await.expect("no panic"), "a");
}

#[tokio::test]
async fn after_the_end_nothing_is_queued_again() {
    let queue = WorkQueue::new();
    queue.add("retried");
    queue.add("queued");
    let retried = next(&queue).await.expect("a key");
    queue.close();
    queue.add("late");
    retried.retry();
    let queued = next(&queue).await.expect("it was queued before the end");
    assert_eq!(*queued, "queued");
    queued.retry_after(Duration::ZERO);
    assert!(next(&queue).await.is_none());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(next(&queue).await.is_none());
    // A closed queue accepts no new feed either.
    let (_monitor, cache) = started(1);
    let queue = WorkQueue::new();
    queue.close();
    queue.feed(cache.changes::<Item>(), |change, _| [change.uuid()]);
    assert!(next(&queue).await.is_none());
}

#[tokio::test]
async fn a_worker_that_retries_stops_when_the_client_is_closed() {
    let (monitor, cache) = started(3);
    let queue = WorkQueue::new();
    queue.feed(cache.changes::<Item>(), |change, _| [change.uuid()]);
    let work = next(&queue).await.expect("a key");
    work.retry();
    drop(monitor);
    let mut rounds = 0;
    while let Some(work) = next(&queue).await {
        work.retry();
        rounds += 1;
        assert!(rounds < 100, "the end never comes");
    }

    // The client is closed, but another client may feed the queue.
    let (_monitor, cache) = started(1);
    queue.feed(cache.changes::<Item>(), |change, _| [change.uuid()]);
    assert!(next(&queue).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_worker_gets_the_end_of_the_last_feed() {
    for _ in 0..200 {
        let (monitor, cache) = started(2);
        let queue = WorkQueue::new();
        for _ in 0..3 {
            queue.feed(cache.changes::<Item>(), |change, _| [change.uuid()]);
        }
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { while next(&queue).await.is_some() {} })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(monitor);
        for worker in workers {
            worker.await.expect("no panic");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_in_a_feed_ends_the_queue_and_loses_no_other_key() {
    const ROWS: usize = 20;
    let (mut monitor, cache) = started(ROWS);
    let broken = uuid(7);
    let queue = WorkQueue::new();
    queue.feed_all(cache.all_changes(), |changes| {
        let items = changes.table::<Item>();
        items.iter().map(Change::uuid).collect::<Vec<_>>()
    });
    // Waits until all rows were handed out.
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (queue, sender) = (queue.clone(), sender.clone());
            tokio::spawn(async move {
                while let Some(work) = next(&queue).await {
                    sender.send(*work).expect("the test listens");
                }
            })
        })
        .collect();
    for _ in 0..ROWS {
        seen.recv().await.expect("a row");
    }
    queue.feed(cache.changes::<Item>(), move |change, _| {
        assert!(change.uuid() != broken, "the closure has a mistake");
        [change.uuid()]
    });
    apply(&mut monitor, 1, &[(3, modify(1))]);
    let mut panicked = 0;
    for worker in workers {
        panicked += usize::from(worker.await.is_err_and(|error| error.is_panic()));
    }
    assert_eq!(panicked, 1, "the worker that waited, and no other");
    drop(sender);
    let mut again = BTreeSet::new();
    while let Some(row) = seen.recv().await {
        again.insert(row);
    }
    assert_eq!(again.len(), ROWS - 1, "every other row");
    assert!(!again.contains(&broken));
}

#[tokio::test]
async fn the_key_of_a_worker_that_panics_goes_to_another_one() {
    let queue = WorkQueue::new();
    queue.add("a");
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move {
            let _work = next(&queue).await.expect("a key");
            panic!("the worker has a mistake");
        }
    });
    assert!(worker.await.is_err());
    let work = next(&queue).await.expect("the key came back");
    assert_eq!(*work, "a");
    work.done();
    queue.close();
    assert!(next(&queue).await.is_none());
}

#[tokio::test]
async fn a_queue_does_not_outlive_its_handles() {
    let (_monitor, cache) = started(1);
    let held = Arc::new(());
    let queue = WorkQueue::new();
    let inside = held.clone();
    queue.feed(cache.changes::<Item>(), move |change, _| {
        let _ = &inside;
        [change.uuid()]
    });
    drop(queue.next().await);
    // The worker waits now: the stream holds a waker of the queue.
    assert!(
        tokio::time::timeout(Duration::ZERO, queue.next())
            .await
            .is_err()
    );
    drop(queue);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_share_the_keys_and_miss_no_change() {
    const ROWS: usize = 50;
    let (mut monitor, cache) = started(ROWS);
    let queue = WorkQueue::new();
    queue.feed(cache.changes::<Item>(), |change, view| {
        assert!(view.get(change.reference()).is_some());
        [change.uuid()]
    });
    queue.feed_all(cache.all_changes(), |changes| {
        let items = changes.table::<Item>();
        items.iter().map(Change::uuid).collect::<Vec<_>>()
    });
    let seen: Arc<std::sync::Mutex<BTreeMap<Uuid, i64>>> = Arc::default();
    let busy: Arc<Vec<AtomicUsize>> = Arc::new((0..ROWS).map(|_| AtomicUsize::new(0)).collect());
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (queue, cache) = (queue.clone(), cache.clone());
            let (seen, busy) = (seen.clone(), busy.clone());
            tokio::spawn(async move {
                let mut handled = 0;
                while let Some(work) = queue.next().await {
                    let number = (work.as_u128() & 0xffff) as usize;
                    assert_eq!(busy[number].fetch_add(1, Ordering::SeqCst), 0, "one worker");
                    let view = cache.snapshot();
                    let row = view.get(crate::Ref::<Item>::new(*work)).expect("a row");
                    tokio::task::yield_now().await;
                    seen.lock().expect("no panic").insert(*work, row.count);
                    busy[number].fetch_sub(1, Ordering::SeqCst);
                    handled += 1;
                    work.done();
                }
                handled
            })
        })
        .collect();
    for round in 1..=2000 {
        apply(&mut monitor, round, &[(round % ROWS, modify(round as i64))]);
        if round % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    drop(monitor);
    let mut handled = 0;
    for worker in workers {
        handled += worker.await.expect("no panic");
    }
    assert!((ROWS..=2 * 2000 + 2 * ROWS).contains(&handled), "{handled}");
    let seen = seen.lock().expect("no panic");
    let view = cache.snapshot();
    let table: BTreeMap<_, _> = view
        .rows::<Item>()
        .map(|row| (row.uuid(), row.count))
        .collect();
    assert_eq!(*seen, table, "the last look was at the last state");
}

#[tokio::test]
async fn a_change_of_the_schema_queues_every_row_that_is_shown() {
    let (mut monitor, cache) = started(4);
    let queue = WorkQueue::new();
    let shown = cache.changes::<Item>().rows(|row| row.name != "hidden");
    // A feed may choose to look at changes of one column only.
    queue.feed(shown, |change, _| {
        change.changed(Item::NAME).then(|| change.uuid())
    });
    let drain = async || {
        let mut keys = BTreeSet::new();
        while let Ok(Some(work)) = tokio::time::timeout(Duration::ZERO, queue.next()).await {
            keys.insert(*work.key());
        }
        keys
    };
    let all: BTreeSet<_> = (0..4).map(uuid).collect();
    assert_eq!(drain().await, all);
    let older = SCHEMA.replace(r#","count":{"type":"integer"}"#, "");
    monitor.apply_schema(&schema(&older));
    let rows: Vec<_> = (0..4)
        .map(|number| {
            let name = if number == 3 { "hidden" } else { "row" };
            (number, format!(r#""initial":{{"name":"{name}"}}"#))
        })
        .collect();
    monitor
        .start(raw(&since(false, 2, &items(&rows))))
        .expect("rows");
    // The last row is queued by its own change.
    assert_eq!(drain().await, all);
    monitor
        .start(raw(&since(false, 3, &items(&rows))))
        .expect("rows");
    assert!(drain().await.is_empty());
    monitor.apply_schema(&schema(SCHEMA));
    monitor
        .start(raw(&since(false, 4, &items(&rows))))
        .expect("rows");
    assert_eq!(drain().await, (0..3).map(uuid).collect());
}

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_queued_while_no_key_may_be_taken() {
    let (mut monitor, cache) = started(2);
    let queue = WorkQueue::new();
    queue.feed(cache.changes::<Item>(), |change, _| [change.uuid()]);
    let wakes = Arc::new(Wakes::default());
    let waker = std::task::Waker::from(wakes.clone());
    let look = || queue.poll_sources(&std::task::Context::from_waker(&waker));
    assert_eq!(queue.counts(), [0, 0, 0]);
    look();
    // The counts are those of the queued keys, of those in work, and of the delayed ones.
    assert_eq!(queue.counts(), [2, 0, 0]);
    let [work] = <[_; 1]>::try_from(queue.take_queued(1)).expect("one key");
    assert_eq!(queue.counts(), [1, 1, 0]);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    apply(&mut monitor, 2, &[(0, modify(5)), (1, modify(5))]);
    assert!(
        wakes.0.load(Ordering::SeqCst) > 0,
        "there is something to look at"
    );
    look();
    assert_eq!(queue.counts(), [1, 1, 0]);
    work.done();
    assert_eq!(queue.counts(), [2, 0, 0], "it changed while in work");
    let works = queue.take_queued(5);
    assert_eq!((works.len(), queue.counts()), (2, [0, 2, 0]));
    for work in works {
        work.retry_after(Duration::from_secs(1));
    }
    assert_eq!(
        (queue.counts(), queue.len(), queue.delayed()),
        ([0, 0, 2], 0, 2)
    );
}

/// A key whose destructor looks at the queue that it was in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Looking(u8);

static LOOKED_AT: std::sync::OnceLock<WorkQueue<Looking>> = std::sync::OnceLock::new();

impl Drop for Looking {
    fn drop(&mut self) {
        if let Some(queue) = LOOKED_AT.get() {
            let _ = queue.len();
        }
    }
}

#[tokio::test]
async fn delayed_keys_are_dropped_after_the_queue_is_unlocked() {
    let queue = WorkQueue::new();
    queue.add(Looking(1));
    let work = queue.next().await.expect("a key");
    work.retry_after(Duration::from_secs(3600));
    LOOKED_AT.set(queue.clone()).expect("set once");
    let (closed, is_closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        queue.close();
        let _ = closed.send(());
    });
    let hang = Duration::from_secs(20);
    is_closed.recv_timeout(hang).expect("no deadlock");
}
