//! `Reconciler`: which keys are handled, when and how often, and what happens after failures.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ovsdb::cache::{Freshness, Index};
use ovsdb::nb::{self, AddressSet, LogicalSwitch, PortGroup};
use ovsdb::reconcile::{Ended, Reconciler, Runner, Unhealthy};
use ovsdb::testing::Server;
use ovsdb::{Client, CommitError, Ref, RetryPolicy, Str, Uuid};
use support::{bundled_server, connect};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes, so that a test that hangs fails.
const HANG: Duration = Duration::from_secs(60);
/// So long that it cannot pass within a test.
const LONG: Duration = Duration::from_secs(3600);

fn server() -> Server {
    bundled_server("OVN_Northbound")
}

async fn client(server: &Server) -> nb::Client {
    let client = Client::builder()
        .remotes(server.remote())
        .backoff(Duration::from_millis(10), Duration::from_millis(100));
    client.connect().await.expect("a client")
}

async fn cache(client: &nb::Client) -> nb::Cache {
    let cache = client.cache().table::<AddressSet>().table::<PortGroup>();
    cache.start().await.expect("a cache")
}

fn address_set(name: &str) -> AddressSet {
    AddressSet {
        name: name.into(),
        ..Default::default()
    }
}

async fn insert(client: &nb::Client, names: impl IntoIterator<Item = &str>) {
    let mut txn = client.transaction();
    for name in names {
        txn.insert(address_set(name));
    }
    txn.commit().await.expect("a commit");
}

/// Waits until a condition holds.
async fn until(what: impl Debug, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = timeout(HANG, wait).await;
    assert!(waited.is_ok(), "{what:?} did not happen");
}

/// For transactions that the server refuses however often they are decided again.
fn brief_conflicts() -> RetryPolicy {
    let brief = Duration::from_millis(1);
    RetryPolicy::default()
        .tries(3)
        .min_wait(brief)
        .max_wait(brief)
}

async fn idle(runner: &Runner<nb::Database, Str>) {
    let busy = || {
        let stats = runner.stats();
        stats.queued + stats.running
    };
    until("the last key is done", || busy() == 0).await;
}

async fn end(runner: &Runner<nb::Database, Str>) -> Ended {
    timeout(HANG, runner.ended()).await.expect("no hang")
}

/// What the closure reads for a key: the addresses of its set, and the names of its port groups.
type Seen = (Option<BTreeSet<String>>, BTreeSet<String>);

fn seen(view: &nb::Snapshot, key: &str, owner: &Index<PortGroup, Str>) -> Seen {
    let set = view.get_by(AddressSet::NAME, key);
    let addresses = set.map(|set| set.addresses.iter().map(ToString::to_string).collect());
    let groups = view.find(owner, key).map(|group| group.name.to_string());
    (addresses, groups.collect())
}

/// A random generator; its seed is printed, and `OVSDB_TEST_SEED` sets it.
#[allow(clippy::print_stderr, reason = "a failure is reproduced by it")]
fn rng() -> fastrand::Rng {
    let given = std::env::var("OVSDB_TEST_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    eprintln!("OVSDB_TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// In any order of changes, each key is handled after its last change, and only one worker handles a
/// key at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn every_key_is_worked_on_after_its_last_change() {
    changes_at_random(4, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn every_key_is_worked_on_after_its_last_change_where_keys_share_commits() {
    changes_at_random(3, 4).await;
}

async fn changes_at_random(concurrency: usize, share: usize) {
    const KEYS: usize = 6;
    let mut random = rng();
    let server = server();
    let (reader, writer) = (client(&server).await, client(&server).await);
    let owner = Index::map_key(PortGroup::EXTERNAL_IDS, "owner");
    let tables = reader.cache().table::<AddressSet>().index(&owner);
    let cache = tables.start().await.expect("a cache");
    let noted: Arc<Mutex<BTreeMap<Str, Seen>>> = Arc::default();
    let busy: Arc<Mutex<BTreeSet<Str>>> = Arc::default();
    let shared_key = Arc::new(AtomicBool::new(false));
    let runner = Reconciler::new(&reader, &cache)
        .share_commits(share)
        .watch::<AddressSet>(|set| set.name.clone())
        .watch_index(&owner)
        .run(concurrency, {
            let (noted, busy, shared_key) = (noted.clone(), busy.clone(), shared_key.clone());
            let owner = owner.clone();
            move |key, view, _| {
                if !busy.lock().expect("no panic").insert(key.clone()) {
                    shared_key.store(true, Ordering::SeqCst);
                }
                let now = seen(view, key, &owner);
                // Changes arrive meanwhile. A tokio worker that sleeps may keep the others from polling
                // sockets.
                let while_it_runs = Duration::from_millis(fastrand::u64(..10));
                tokio::task::block_in_place(|| std::thread::sleep(while_it_runs));
                noted.lock().expect("no panic").insert(key.clone(), now);
                busy.lock().expect("no panic").remove(key);
                Ok(())
            }
        });
    let view = self::cache(&writer).await;
    for _ in 0..400 {
        let mut txn = writer.transaction();
        let rows = view.snapshot();
        for _ in 0..random.usize(1..4) {
            let name = format!("k{}", random.usize(..KEYS));
            let group = format!("g{}", random.usize(..KEYS));
            match (random.u8(..5), rows.get_by(AddressSet::NAME, &*name)) {
                (0 | 1, Some(set)) => {
                    let address = Str::from(random.u16(..).to_string());
                    txn.update(set.reference())
                        .set(AddressSet::ADDRESSES, [address]);
                }
                (0 | 1, None) => {
                    txn.insert(address_set(&name));
                    break;
                }
                (2, Some(set)) => {
                    txn.delete(set.reference());
                }
                _ => match rows.get_by(PortGroup::NAME, &*group) {
                    Some(row) if random.bool() => {
                        txn.delete(row.reference());
                    }
                    Some(row) => {
                        let owner = [(Str::from("owner"), Str::from(name))];
                        txn.update(row.reference())
                            .set(PortGroup::EXTERNAL_IDS, owner);
                    }
                    None => {
                        txn.insert(PortGroup {
                            name: group.into(),
                            external_ids: [("owner", name)].into(),
                            ..Default::default()
                        });
                        break;
                    }
                },
            }
        }
        txn.commit().await.expect("a commit");
    }
    let last = view.snapshot();
    let expected: BTreeMap<Str, Seen> = (0..KEYS)
        .map(|number| Str::from(format!("k{number}")))
        .map(|key| {
            let groups = last.rows::<PortGroup>();
            let groups = groups.filter(|group| group.external_ids.get("owner") == Some(&key));
            let names = groups.map(|group| group.name.to_string()).collect();
            let set = last.get_by(AddressSet::NAME, &*key);
            let addresses = set.map(|set| set.addresses.iter().map(ToString::to_string).collect());
            (key, (addresses, names))
        })
        .collect();
    let matches = || *noted.lock().expect("no panic") == expected;
    let waited = timeout(HANG, async {
        while !matches() {
            sleep(Duration::from_millis(2)).await;
        }
    });
    let waited = waited.await;
    assert!(waited.is_ok(), "{:#?} is not {expected:#?}", noted.lock());
    idle(&runner).await;
    assert!(matches());
    assert!(!shared_key.load(Ordering::SeqCst), "two workers had a key");
    assert_eq!(runner.stop().await, Ended::Stopped);
}

/// The test's side of a closure that reports that it runs, and then waits until the test lets it continue.
struct Gate {
    begun: mpsc::Receiver<Str>,
    go_on: mpsc::Sender<()>,
}

/// The closure's side of a [`Gate`].
struct Gated {
    begun: mpsc::Sender<Str>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

fn gate() -> (Gate, Gated) {
    let (begin, begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let gated = Gated {
        begun: begin,
        go_on: Mutex::new(wait),
    };
    (Gate { begun, go_on }, gated)
}

impl Gated {
    fn pass(&self, key: &Str) {
        self.begun.send(key.clone()).expect("the test listens");
        let go_on = self.go_on.lock().expect("no panic");
        // A tokio worker that waits may keep the others from timers and sockets.
        let waited = tokio::task::block_in_place(|| go_on.recv_timeout(HANG));
        waited.expect("no hang");
    }
}

impl Gate {
    async fn begun(&self) -> Str {
        let wait = async {
            loop {
                match self.begun.try_recv() {
                    Ok(key) => return key,
                    Err(_) => sleep(Duration::from_millis(1)).await,
                }
            }
        };
        timeout(HANG, wait).await.expect("no hang")
    }

    fn let_go_on(&self) {
        self.go_on.send(()).expect("the closure waits");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_that_comes_while_the_key_is_worked_on_is_worked_on_afterwards() {
    let server = server();
    let (client, other) = (client(&server).await, client(&server).await);
    insert(&other, ["a"]).await;
    let cache = cache(&client).await;
    let (gate, gated) = gate();
    let noted: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let runner = Reconciler::new(&client, &cache)
        .watch::<AddressSet>(|set| set.name.clone())
        .run(4, {
            let noted = noted.clone();
            move |key, view, _| {
                gated.pass(key);
                let set = view.get_by(AddressSet::NAME, key).ok_or("no set")?;
                let addresses = set.addresses.iter().map(ToString::to_string).collect();
                noted.lock().expect("no panic").push(addresses);
                Ok(())
            }
        });
    gate.begun().await;
    // The closure has its view. Three changes follow, and the replica shows them.
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let mut txn = other.transaction();
        txn.update(AddressSet::NAME.eq("a"))
            .set(AddressSet::ADDRESSES, [address]);
        txn.commit().await.expect("a commit");
    }
    let shown = cache.wait_until(HANG, |view| {
        let set = view.get_by(AddressSet::NAME, "a")?;
        set.addresses.contains("192.0.2.3").then_some(())
    });
    shown.await.expect("shown");
    assert!(gate.begun.try_recv().is_err(), "one worker has the key");
    gate.let_go_on();
    assert_eq!(gate.begun().await, "a");
    gate.let_go_on();
    idle(&runner).await;
    let noted = noted.lock().expect("no panic").clone();
    assert_eq!(noted, [vec![], vec!["192.0.2.3".to_owned()]]);
    assert!(gate.begun.try_recv().is_err(), "the changes were coalesced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conflict_with_another_client_is_decided_again_in_the_same_attempt() {
    let server = server();
    let (client, other) = (client(&server).await, client(&server).await);
    insert(&other, ["a"]).await;
    let cache = cache(&client).await;
    let (gate, gated) = gate();
    let conflicts: Arc<Mutex<Vec<(u32, u32)>>> = Arc::default();
    let runner = Reconciler::new(&client, &cache)
        .watch::<AddressSet>(|set| set.name.clone())
        .run_attempts(1, {
            let conflicts = conflicts.clone();
            move |attempt, _, txn| {
                let set = txn.get_by(AddressSet::NAME, attempt.key).ok_or("no set")?;
                if set.external_ids.contains_key("done") {
                    return Ok(());
                }
                conflicts
                    .lock()
                    .expect("no panic")
                    .push((attempt.number, attempt.conflicts));
                gated.pass(attempt.key);
                let addresses = set.addresses.len().to_string();
                txn.edit(&set, |set| {
                    set.external_ids.insert("done", addresses);
                });
                Ok(())
            }
        });
    gate.begun().await;
    let mut txn = other.transaction();
    txn.update(AddressSet::NAME.eq("a"))
        .set(AddressSet::ADDRESSES, ["192.0.2.1"]);
    txn.commit().await.expect("a commit");
    gate.let_go_on();
    gate.begun().await;
    gate.let_go_on();
    let done = cache.wait_until(HANG, |view| {
        let set = view.get_by(AddressSet::NAME, "a")?;
        set.external_ids.get("done").cloned()
    });
    assert_eq!(done.await.expect("done"), "1");
    idle(&runner).await;
    assert_eq!(*conflicts.lock().expect("no panic"), [(1, 0), (1, 1)]);
    let stats = runner.stats();
    assert_eq!((stats.conflicts, stats.failures), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_that_fails_waits_and_blocks_no_other() {
    let server = server();
    let client = client(&server).await;
    let others: Vec<String> = (0..30).map(|number| format!("k{number}")).collect();
    insert(&client, others.iter().map(String::as_str).chain(["bad"])).await;
    let cache = cache(&client).await;
    let mended = Arc::new(AtomicBool::new(false));
    let attempts = Arc::new(Mutex::new(Vec::new()));
    // With a single worker, which must not wait for the key.
    let runner = Reconciler::new(&client, &cache)
        .name("groups")
        .backoff(LONG, LONG)
        .failing_limit(Duration::ZERO)
        .watch::<AddressSet>(|set| set.name.clone())
        .run_attempts(1, {
            let (mended, attempts) = (mended.clone(), attempts.clone());
            move |attempt, _, txn| {
                if attempt.key == "bad" && !mended.load(Ordering::SeqCst) {
                    let last = attempt.last_error.map(ToString::to_string);
                    attempts
                        .lock()
                        .expect("no panic")
                        .push((attempt.number, last));
                    // The attempt fails, so this is not committed.
                    txn.ensure(PortGroup::NAME, "never", |_| {});
                    return Err(format!("mistake {}", attempt.number).into());
                }
                txn.ensure(PortGroup::NAME, attempt.key, |_| {});
                Ok(())
            }
        });
    let groups = cache.wait_until(HANG, |view| {
        (view.rows::<PortGroup>().len() == others.len()).then_some(())
    });
    groups.await.expect("all others");
    idle(&runner).await;
    let stats = runner.stats();
    assert_eq!((stats.failures, stats.retries), (1, 0));
    assert_eq!((stats.delayed, stats.failing), (1, 1));
    assert_eq!(stats.attempts, 31);
    let unhealthy = runner.health().expect_err("a key fails");
    assert!(!runner.is_healthy());
    let Unhealthy::Failing { keys, key, .. } = &unhealthy else {
        panic!("{unhealthy:?}");
    };
    assert_eq!((*keys, &**key), (1, "\"bad\""));
    let text = ovsdb::ErrorChain::new(&unhealthy).to_string();
    assert!(text.ends_with(": mistake 1"), "{text}");

    // Before its delay has passed it is tried again if it changes, or is added.
    let mut txn = client.transaction();
    txn.update(AddressSet::NAME.eq("bad"))
        .set(AddressSet::ADDRESSES, ["192.0.2.1"]);
    txn.commit().await.expect("a commit");
    until("a second attempt", || runner.stats().failures == 2).await;
    runner.add("bad".into());
    until("a third attempt", || runner.stats().failures == 3).await;
    let failing = runner.failing();
    assert_eq!(
        (&*failing[0].key, failing[0].attempts, failing.len()),
        ("bad", 3, 1)
    );
    assert_eq!(
        *attempts.lock().expect("no panic"),
        [
            (1, None),
            (2, Some("mistake 1".to_owned())),
            (3, Some("mistake 2".to_owned()))
        ]
    );
    mended.store(true, Ordering::SeqCst);
    runner.add("bad".into());
    until("a success", || runner.failing().is_empty()).await;
    runner.health().expect("healthy");
    let view = cache.snapshot();
    assert!(view.get_by(PortGroup::NAME, "bad").is_some());
    assert!(view.get_by(PortGroup::NAME, "never").is_none());
    assert_eq!(runner.stats().retries, 3);
}

#[tokio::test]
async fn a_key_that_fails_is_tried_again_by_itself() {
    let server = server();
    let client = client(&server).await;
    insert(&client, ["a"]).await;
    let cache = cache(&client).await;
    let runner = Reconciler::new(&client, &cache)
        .backoff(Duration::from_millis(1), Duration::from_millis(20))
        .conflicts(brief_conflicts())
        .watch::<AddressSet>(|set| set.name.clone())
        .run_attempts(1, |attempt, _, txn| match attempt.number {
            1 => Err("not yet".into()),
            2 => panic!("a mistake"),
            // The server refuses it: the name of a port group is unique.
            3 => {
                for _ in 0..2 {
                    txn.insert(PortGroup {
                        name: "twice".into(),
                        ..Default::default()
                    });
                }
                Ok(())
            }
            4 => {
                let error = attempt.last_error.expect("an error");
                let error: &(dyn std::error::Error + 'static) = error;
                assert!(error.downcast_ref::<CommitError>().is_some());
                Err(error.to_string().into())
            }
            _ => Ok(()),
        });
    until("five attempts", || runner.stats().attempts == 5).await;
    until("a success", || runner.failing().is_empty()).await;
    idle(&runner).await;
    let stats = runner.stats();
    assert_eq!((stats.failures, stats.retries, stats.attempts), (4, 4, 5));
    assert!(stats.latency > Duration::ZERO);
    // The key is not tried again after the success.
    assert_eq!(runner.stats().delayed, 0);
}

/// Without a connection nothing is decided; what changed meanwhile is handled afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restart_of_the_server_is_survived() {
    let mut server = server();
    let (reader, other) = (client(&server).await, client(&server).await);
    let cache = cache(&reader).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let runner = Reconciler::new(&reader, &cache)
        .stale_limit(Duration::ZERO)
        .backoff(Duration::from_millis(1), Duration::from_millis(50))
        .watch::<AddressSet>(|set| set.name.clone())
        .watch::<PortGroup>(|group| group.name.clone())
        .run(4, {
            let runs = runs.clone();
            move |key, _, txn| {
                runs.fetch_add(1, Ordering::SeqCst);
                let wanted = txn.get_by(AddressSet::NAME, key).is_some();
                let group = txn.get_by(PortGroup::NAME, key);
                match group {
                    None if wanted => {
                        txn.ensure(PortGroup::NAME, key, |_| {});
                    }
                    Some(group) if !wanted => {
                        txn.delete(group.reference());
                    }
                    _ => {}
                }
                Ok(())
            }
        });
    let keys: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    insert(&other, keys[..20].iter().map(String::as_str)).await;
    // The server is killed while the keys are handled.
    server.kill().expect("killed");
    let stale = async {
        let mut freshness = cache.freshness();
        let stale = freshness.wait_for(|now| *now != Freshness::Current);
        stale.await.expect("the client lives");
    };
    timeout(HANG, stale).await.expect("no hang");
    let unhealthy = runner.health().expect_err("a stale replica");
    assert!(
        matches!(unhealthy, Unhealthy::Stale { .. }),
        "{unhealthy:?}"
    );
    until("no attempt runs", || {
        let before = runs.load(Ordering::SeqCst);
        runner.add("k0".into());
        runner.stats().queued > 0 && runs.load(Ordering::SeqCst) == before
    })
    .await;
    server.start().expect("started");
    let next = other.transaction();
    timeout(HANG, async {
        let mut txn = next;
        for name in &keys[20..] {
            txn.insert(address_set(name));
        }
        for name in &keys[..10] {
            txn.delete(AddressSet::NAME.eq(name.as_str()));
        }
        txn.commit().await.expect("a commit");
    })
    .await
    .expect("no hang");
    let wanted: BTreeSet<&str> = keys[10..].iter().map(String::as_str).collect();
    let done = cache.wait_until(HANG, |view| {
        let groups: BTreeSet<&str> = view.rows::<PortGroup>().map(|group| &*group.name).collect();
        (groups == wanted).then_some(())
    });
    done.await.expect("one group for each set");
    until("no key fails", || runner.failing().is_empty()).await;
    runner.health().expect("healthy");
    idle(&runner).await;
}

#[tokio::test]
async fn without_a_connection_keys_are_collected_and_nothing_runs() {
    let mut server = server();
    let client = Client::builder()
        .remotes(server.remote())
        .request_timeout(None)
        .connect();
    let client: nb::Client = client.await.expect("a client");
    let cache = cache(&client).await;
    let start = || {
        let reconciler = Reconciler::new(&client, &cache).stale_limit(LONG);
        reconciler.run(1, |_, _, _| Ok(()))
    };
    let (stopped, goes_on) = (start(), start());
    server.kill().expect("killed");
    let mut freshness = cache.freshness();
    let stale = freshness.wait_for(|now| *now != Freshness::Current);
    timeout(HANG, stale)
        .await
        .expect("no hang")
        .expect("a client");
    for runner in [&stopped, &goes_on] {
        runner.health().expect("not stale for so long");
        runner.add("a".into());
        // Long enough for a key to be taken.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let stats = runner.stats();
        assert_eq!((stats.queued, stats.running, stats.attempts), (1, 0, 0));
    }
    // If an attempt ran, it would wait for the connection, and `stop` for the attempt.
    let stopping = timeout(HANG, stopped.stop());
    assert_eq!(stopping.await.expect("no hang"), Ended::Stopped);
    server.start().expect("started");
    until("the key is done", || goes_on.stats().attempts == 1).await;
    idle(&goes_on).await;
    assert_eq!(goes_on.stats().failures, 0);
}

/// Two controllers, like the replicas of a deployment: no update is lost, and no row is inserted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_reconcilers_race_for_the_same_keys() {
    // Each of the 5 steps of each of the 10 keys is one commit.
    assert_eq!(race([1, 1]).await, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_reconcilers_race_where_keys_share_commits() {
    assert!((5..=50).contains(&race([1, 4]).await));
}

/// Two reconcilers count to five for each of ten keys. Returns how many transactions they committed.
async fn race(shares: [usize; 2]) -> u64 {
    const KEYS: usize = 10;
    const WANTED: usize = 5;
    let server = server();
    let other = client(&server).await;
    let names: Vec<String> = (0..KEYS).map(|number| format!("k{number}")).collect();
    insert(&other, names.iter().map(String::as_str)).await;
    // The schema does not keep the names of switches unique.
    let by_name = Index::column(LogicalSwitch::NAME);
    let mut runners = Vec::new();
    for share in shares {
        let client = client(&server).await;
        let tables = client.cache().table::<AddressSet>().index(&by_name);
        let cache = tables.start().await.expect("a cache");
        let by_name = by_name.clone();
        let runner = Reconciler::new(&client, &cache)
            .backoff(Duration::from_millis(1), Duration::from_millis(20))
            .share_commits(share)
            .watch::<AddressSet>(|set| set.name.clone())
            .watch::<LogicalSwitch>(|switch| switch.name.clone())
            .run(4, move |key, _, txn| {
                let switch = txn.ensure(&by_name, key, |_| {});
                let switch = txn.get(switch).ok_or("it was ensured")?;
                let count = switch.external_ids.get("count");
                let count: usize = count.map_or(Ok(0), |count| count.parse())?;
                if count < WANTED {
                    txn.edit(&switch, |switch| {
                        switch.external_ids.insert("count", (count + 1).to_string());
                    });
                }
                Ok(())
            });
        runners.push((client, runner));
    }
    let view = other.cache().table::<LogicalSwitch>().start();
    let view = view.await.expect("a cache");
    let wanted: BTreeMap<String, String> = names
        .iter()
        .map(|name| (name.clone(), WANTED.to_string()))
        .collect();
    let done = view.wait_until(HANG, |view| {
        let counts: BTreeMap<String, String> = view
            .rows::<LogicalSwitch>()
            .map(|switch| {
                let count = switch.external_ids.get("count");
                let count = count.map(ToString::to_string);
                (switch.name.to_string(), count.unwrap_or_default())
            })
            .collect();
        (counts == wanted).then(|| view.rows::<LogicalSwitch>().len())
    });
    assert_eq!(done.await.expect("counted"), KEYS, "each switch once");
    let mut committed = 0;
    for (client, runner) in runners {
        until("no key fails", || runner.failing().is_empty()).await;
        idle(&runner).await;
        runner.stop().await;
        committed += client.stats().committed;
    }
    committed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stopping_finishes_what_runs_and_takes_nothing_new() {
    let server = server();
    let client = client(&server).await;
    insert(&client, ["a", "b", "c"]).await;
    let cache = cache(&client).await;
    let (gate, gated) = gate();
    let runner = Reconciler::new(&client, &cache)
        .watch::<AddressSet>(|set| set.name.clone())
        .run(1, move |key, _, txn| {
            gated.pass(key);
            txn.ensure(PortGroup::NAME, key, |_| {});
            Ok(())
        });
    let running = gate.begun().await;
    assert_eq!(runner.stats().running, 1);
    until("the others are queued", || runner.stats().queued == 2).await;
    let stopping = {
        let runner = runner.clone();
        tokio::spawn(async move { runner.stop().await })
    };
    // The stop takes effect: keys that are added are no longer queued.
    until("nothing is added", || {
        let before = runner.stats().queued;
        runner.add(Str::from(before.to_string()));
        runner.stats().queued == before
    })
    .await;
    assert!(!stopping.is_finished(), "an attempt runs");
    gate.let_go_on();
    let stopped = timeout(HANG, stopping).await.expect("no hang");
    assert_eq!(stopped.expect("no panic"), Ended::Stopped);
    let view = cache.snapshot();
    let groups: Vec<&str> = view.rows::<PortGroup>().map(|group| &*group.name).collect();
    assert_eq!(groups, [&*running], "what ran is committed, nothing else");
    assert!(gate.begun.try_recv().is_err());
    assert!(matches!(
        runner.health(),
        Err(Unhealthy::Ended(Ended::Stopped))
    ));
    assert_eq!(runner.stats().running, 0);
}

/// Keys that are queued together are committed together, except those that fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_that_share_a_commit_fail_one_by_one() {
    let server = server();
    let (client, other) = (client(&server).await, client(&server).await);
    let good: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    let bad = ["error", "panic", "refused", "mistake"];
    insert(&other, good.iter().map(String::as_str).chain(bad)).await;
    let cache = cache(&client).await;
    let runner = Reconciler::new(&client, &cache)
        .backoff(LONG, LONG)
        .conflicts(brief_conflicts())
        .share_commits(16)
        .watch::<AddressSet>(|set| set.name.clone())
        .run(1, |key, _, txn| {
            txn.ensure(PortGroup::NAME, key, |_| {});
            match &**key {
                "error" => return Err("an error".into()),
                "panic" => panic!("a panic"),
                // The server refuses the second group with the same name.
                "refused" => {
                    for _ in 0..2 {
                        txn.insert(PortGroup {
                            name: "twice".into(),
                            ..Default::default()
                        });
                    }
                }
                // It is not sent, since the row does not exist.
                "mistake" => {
                    let nowhere = Ref::<PortGroup>::new(Uuid::nil());
                    txn.edit(nowhere, |group| group.name = "nothing".into());
                }
                _ => {
                    // What was written for the key is visible.
                    assert!(txn.get_by(PortGroup::NAME, key).is_some());
                }
            }
            Ok(())
        });
    let groups = cache.wait_until(HANG, |view| {
        (view.rows::<PortGroup>().len() >= good.len()).then_some(())
    });
    groups.await.expect("all others");
    until("four failures", || runner.stats().failures == 4).await;
    idle(&runner).await;
    let view = cache.snapshot();
    let groups: BTreeSet<&str> = view.rows::<PortGroup>().map(|group| &*group.name).collect();
    assert_eq!(groups, good.iter().map(String::as_str).collect());
    let mut failing: Vec<_> = runner.failing();
    failing.sort_by(|a, b| a.key.cmp(&b.key));
    let errors: Vec<(&str, String)> = failing
        .iter()
        .map(|failing| (&*failing.key, failing.error.to_string()))
        .collect();
    assert_eq!(errors[0], ("error", "an error".to_owned()));
    assert_eq!(
        errors[2],
        ("panic", "the closure panicked: a panic".to_owned())
    );
    assert_eq!(
        (errors[1].0, errors[3].0, errors.len()),
        ("mistake", "refused", 4)
    );
    for index in [1, 3] {
        let error: &(dyn std::error::Error + 'static) = &*failing[index].error;
        assert!(error.downcast_ref::<CommitError>().is_some(), "{error}");
    }
    let committed = client.stats().committed;
    assert!(committed < 20, "{committed} transactions for 44 keys");
}

/// When keys that shared a commit are split, the count of the closure's runs does not start again.
#[tokio::test]
async fn runs_are_counted_on_for_keys_that_no_longer_share_a_commit() {
    let server = server();
    let client: nb::Client = connect(&server).await;
    insert(&client, ["good", "refused"]).await;
    let cache = cache(&client).await;
    let runs: Arc<Mutex<Vec<(Str, u32)>>> = Arc::default();
    let runner = Reconciler::new(&client, &cache)
        .backoff(LONG, LONG)
        .conflicts(brief_conflicts())
        .share_commits(2)
        .watch::<AddressSet>(|set| set.name.clone())
        .run_attempts(1, {
            let runs = runs.clone();
            move |attempt, _, txn| {
                let run = (attempt.key.clone(), attempt.conflicts);
                runs.lock().expect("no panic").push(run);
                // The server refuses the second group with the same name.
                let groups = if attempt.key == "refused" { 2 } else { 1 };
                for _ in 0..groups {
                    txn.insert(PortGroup {
                        name: attempt.key.clone(),
                        ..Default::default()
                    });
                }
                Ok(())
            }
        });
    until("a failure", || runner.stats().failures == 1).await;
    idle(&runner).await;
    let runs = runs.lock().expect("no panic");
    let of = |wanted: &str| {
        let runs = runs.iter().filter(|(key, _)| key == wanted);
        runs.map(|(_, conflicts)| *conflicts).collect::<Vec<_>>()
    };
    assert_eq!(of("good"), [0, 1, 2, 3]);
    assert_eq!(of("refused"), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn the_last_handle_and_the_end_of_the_client_stop_it() {
    let server = server();
    let client: nb::Client = connect(&server).await;
    let cache = cache(&client).await;
    let held = Arc::new(());
    let start = || {
        let inside = held.clone();
        let reconciler = Reconciler::new(&client, &cache);
        let reconciler = reconciler.watch::<AddressSet>(|set| set.name.clone());
        reconciler.run(2, move |_, _, _| {
            let _ = &inside;
            Ok(())
        })
    };
    let runner = start();
    let clone = runner.clone();
    drop(runner);
    assert!(clone.is_healthy());
    drop(clone);
    until("the closure is dropped", || Arc::strong_count(&held) == 1).await;

    let runner = start();
    client.close().await;
    let unhealthy = runner.health().expect_err("the client is closed");
    assert!(
        matches!(unhealthy, Unhealthy::Ended(Ended::CacheEnded)),
        "{unhealthy}"
    );
    assert_eq!(end(&runner).await, Ended::CacheEnded);
    assert!(!runner.is_healthy());
}

#[tokio::test]
async fn a_panic_in_a_function_of_keys_ends_it_with_the_message() {
    let server = server();
    let client: nb::Client = connect(&server).await;
    insert(&client, ["a", "broken"]).await;
    let cache = cache(&client).await;
    let runner = Reconciler::new(&client, &cache)
        .watch::<AddressSet>(|set| {
            assert!(set.name != "broken", "a mistake in {}", set.name);
            set.name.clone()
        })
        .run(2, |_, _, _| Ok(()));
    assert_eq!(
        end(&runner).await,
        Ended::Panicked("a mistake in broken".to_owned())
    );
    let reconciler = Reconciler::<_, Str>::new(&client, &cache);
    let queue = reconciler.queue().clone();
    let runner = reconciler.run(2, |_, _, _| Ok(()));
    queue.close();
    assert_eq!(end(&runner).await, Ended::QueueEnded);
}
