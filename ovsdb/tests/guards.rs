//! The commit verifies what was read through a transaction.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ovsdb::cache::Index;
use ovsdb::protocol::ErrorKind;
use ovsdb::testing::{Cut, Proxy, Server};
use ovsdb::transaction::BuildError;
use ovsdb::{
    Cache, Client, CommitError, ErrorChain, Outcome, Ref, Retry, RetryPolicy, Str, Transaction,
};
use support::inventory::{Database, Item, Part, Slot};
use support::scale::size;
use support::{connect, inventory_server, item};
use tokio::task::JoinSet;

struct Setting {
    _server: Server,
    client: Client<Database>,
    other: Client<Database>,
    cache: Cache<Database>,
    by_tag: Index<Item, Str>,
    a: Ref<Item>,
}

async fn setting() -> Setting {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let other: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    let a = txn.insert(Item {
        notes: [("owner", "me"), ("color", "red")].into(),
        tags: ["x", "y"].into(),
        // More digits than a server sends, so the replica has a rounded number.
        ratio: 0.123_456_789_012_345_68.into(),
        ..item("a", 1)
    });
    txn.commit().await.expect("a commit");
    let by_tag = Index::elements(Item::TAGS);
    let cache = client
        .cache()
        .all_tables()
        .index(&by_tag)
        .start()
        .await
        .expect("a cache");
    Setting {
        _server: server,
        client,
        other,
        cache,
        by_tag,
        a,
    }
}

type Txn = Transaction<Database>;

impl Setting {
    /// The result of the transaction `ours` when the other client commits `theirs` first.
    async fn race(
        &self,
        ours: impl FnOnce(&mut Txn),
        theirs: impl FnOnce(&mut Txn),
    ) -> Result<Outcome, CommitError> {
        let mut txn = self.client.transaction_on(&self.cache);
        ours(&mut txn);
        if txn.is_empty() {
            txn.insert(Slot { number: 1 });
        }
        let mut other = self.other.transaction();
        theirs(&mut other);
        other.commit().await.expect("the other's commit");
        txn.commit().await
    }
}

fn assert_conflict(answer: Result<Outcome, CommitError>, table: &str) {
    let Err(error) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (error.retry(), error.kind()),
        (Retry::Again, Some(ErrorKind::TimedOut))
    );
    let CommitError::Refused(refusal) = &error else {
        panic!("{error:?}")
    };
    assert!(
        refusal.is_conflict() && refusal.operation.is_none(),
        "{refusal:?}"
    );
    let expected =
        format!("another client has changed rows of {table} that the transaction is based on");
    assert!(error.to_string().contains(&expected), "{error}");
}

#[tokio::test]
async fn what_was_read_is_verified() {
    // The other client changes a row that was read, in a column that the transaction does not write.
    let setting = setting().await;
    let a = setting.a;
    let changed = |txn: &mut Txn| {
        txn.mutate(a).insert(Item::TAGS, ["z"]);
    };
    let read = |txn: &mut Txn| drop(txn.get(a));
    assert_conflict(setting.race(read, changed).await, "Item");
    let view = setting.cache.snapshot();
    assert_eq!(view.rows::<Slot>().len(), 0, "nothing was written");

    // A change of another row is not a conflict, and neither is a real that the server sends rounded, which
    // cannot be compared.
    setting.cache.current().await.expect("current");
    let elsewhere = |txn: &mut Txn| {
        txn.insert(item("b", 2));
    };
    let outcome = setting.race(read, elsewhere).await.expect("no conflict");
    assert_eq!(outcome.results().len(), 1, "the guards are not counted");

    // A key that a row has, and a key that no row has.
    let by_key = |txn: &mut Txn| drop(txn.get_by(Item::NAME, "a"));
    let again = |txn: &mut Txn| {
        txn.mutate(a).insert(Item::TAGS, ["zz"]);
    };
    assert_conflict(setting.race(by_key, again).await, "Item");
    let absent = |txn: &mut Txn| drop(txn.get_by(Item::NAME, "c"));
    let comes = |txn: &mut Txn| {
        txn.insert(item("c", 3));
    };
    assert_conflict(setting.race(absent, comes).await, "Item");

    // The rows of a declared index: one more, and one fewer.
    let tagged = |txn: &mut Txn| drop(txn.find(&setting.by_tag, "x"));
    let joins = |txn: &mut Txn| {
        txn.mutate(Item::NAME.eq("c")).insert(Item::TAGS, ["x"]);
    };
    assert_conflict(setting.race(tagged, joins).await, "Item");
    let leaves = |txn: &mut Txn| {
        txn.mutate(Item::NAME.eq("c")).delete(Item::TAGS, ["x"]);
    };
    wait_for(&setting.cache, "c", |c| c.tags.contains("x")).await;
    assert_conflict(setting.race(tagged, leaves).await, "Item");

    // A row that did not exist.
    let missing = Ref::<Item>::new(ovsdb::Uuid::from_u128(7));
    let absent = |txn: &mut Txn| assert!(txn.get(missing).is_none());
    let comes = |txn: &mut Txn| {
        txn.insert_with_uuid(missing.uuid(), item("m", 9));
    };
    assert_conflict(setting.race(absent, comes).await, "Item");

    // Rows that are only peeked at are not verified.
    let peeked = |txn: &mut Txn| assert!(txn.peek().get(a).is_some());
    let changed = |txn: &mut Txn| {
        txn.mutate(a).delete(Item::TAGS, ["z"]);
    };
    setting.race(peeked, changed).await.expect("no conflict");
}

/// Waits until the replica shows this row.
async fn wait_for(cache: &Cache<Database>, name: &str, is: impl Fn(&Item) -> bool) {
    let limit = Duration::from_secs(30);
    let waited = cache.wait_until(limit, |view| {
        let row = view.get_by(Item::NAME, name);
        row.is_some_and(|row| is(row)).then_some(())
    });
    waited.await.expect("the condition is met");
}

#[tokio::test]
async fn an_edit_fails_only_where_the_other_client_touched_what_it_replaces() {
    let setting = setting().await;
    let a = setting.a;
    let same = |change: fn(&mut Item)| {
        move |txn: &mut Txn| {
            txn.edit(a, change);
        }
    };
    // The other client's change, this client's change, and whether they conflict.
    let set_total = |txn: &mut Txn| drop(txn.update(a).set(Item::TOTAL, 5));
    let answer = setting.race(same(|a| a.total += 1), set_total).await;
    assert_conflict(answer, "Item");
    wait_for(&setting.cache, "a", |a| a.total == 5).await;

    let set_weight = |txn: &mut Txn| drop(txn.update(a).set(Item::WEIGHT, Some(2)));
    setting
        .race(same(|a| a.total += 1), set_weight)
        .await
        .expect("another column");

    let add_note = |txn: &mut Txn| drop(txn.mutate(a).insert(Item::NOTES, [("theirs", "1")]));
    let ours = same(|a| drop(a.notes.insert("ours", "1")));
    setting
        .race(ours, add_note)
        .await
        .expect("another key of the map");

    let set_color = |txn: &mut Txn| drop(txn.mutate(a).set_keys(Item::NOTES, [("color", "blue")]));
    let ours = same(|a| drop(a.notes.insert("color", "green")));
    assert_conflict(setting.race(ours, set_color).await, "Item");
    wait_for(&setting.cache, "a", |a| a.notes["color"] == "blue").await;

    let set_color = |txn: &mut Txn| drop(txn.mutate(a).set_keys(Item::NOTES, [("color", "red")]));
    let ours = same(|a| drop(a.notes.remove("color")));
    assert_conflict(setting.race(ours, set_color).await, "Item");
    wait_for(&setting.cache, "a", |a| a.notes["color"] == "red").await;

    // Both add the same key.
    let add_key = |txn: &mut Txn| drop(txn.mutate(a).insert(Item::NOTES, [("new", "1")]));
    let ours = same(|a| drop(a.notes.insert("new", "2")));
    assert_conflict(setting.race(ours, add_key).await, "Item");
    wait_for(&setting.cache, "a", |a| a.notes["new"] == "1").await;

    // Sets: both clients add two elements, of which they have one in common, and this client removes one.
    let add_tags = |txn: &mut Txn| drop(txn.mutate(a).insert(Item::TAGS, ["p", "q"]));
    let ours = same(|a| {
        a.tags.insert("q");
        a.tags.insert("r");
        a.tags.remove("x");
    });
    setting.race(ours, add_tags).await.expect("sets are joined");
    wait_for(&setting.cache, "a", |a| {
        a.tags == ["p", "q", "r", "y"].into()
    })
    .await;

    // A row that was deleted.
    let delete = |txn: &mut Txn| {
        txn.delete(a);
    };
    let ours = same(|a| {
        a.tags.insert("s");
    });
    assert_conflict(setting.race(ours, delete).await, "Item");
}

#[tokio::test]
async fn the_one_row_with_a_key_is_guarded_by_its_key_alone() {
    let setting = setting().await;
    let a = setting.a;
    let by_tag = &setting.by_tag;

    // Neither a change of another column, nor a key that another client adds to the same map, is a conflict.
    let ours = |txn: &mut Txn| {
        assert_eq!(txn.one(Item::NAME, "a"), Ok(a));
        assert_eq!(txn.one(by_tag, "x"), Ok(a));
        txn.edit(a, |a| drop(a.notes.insert("ours", "1")));
    };
    let theirs = |txn: &mut Txn| {
        txn.update(a).set(Item::TOTAL, 7);
        txn.mutate(a).insert(Item::NOTES, [("theirs", "1")]);
    };
    setting.race(ours, theirs).await.expect("no conflict");
    wait_for(&setting.cache, "a", |a| a.total == 7).await;

    // That this is the one row with the key is verified: in a declared index, no other row may get the
    // key; in the schema's index, the row must keep it.
    let tagged = |txn: &mut Txn| assert_eq!(txn.one(by_tag, "x"), Ok(a));
    let another = |txn: &mut Txn| {
        txn.insert(Item {
            tags: ["x"].into(),
            ..item("c", 3)
        });
    };
    assert_conflict(setting.race(tagged, another).await, "Item");
    wait_for(&setting.cache, "c", |_| true).await;
    let by_name = |txn: &mut Txn| _ = txn.one(Item::NAME, "c").expect("a row");
    let deleted = |txn: &mut Txn| {
        txn.delete(Item::NAME.eq("c"));
    };
    assert_conflict(setting.race(by_name, deleted).await, "Item");
    let is_gone =
        |view: &ovsdb::Snapshot<Database>| view.get_by(Item::NAME, "c").is_none().then_some(());
    let limit = Duration::from_secs(30);
    setting
        .cache
        .wait_until(limit, is_gone)
        .await
        .expect("it goes");

    // If the transaction continues after the error, the commit verifies that no row has the key.
    let absent = |txn: &mut Txn| {
        let error = txn.one(Item::NAME, "d").expect_err("there is none");
        assert_eq!(
            error.to_string(),
            "expected one row of Item with name == d, found none"
        );
        let error = txn.one(by_tag, "d").expect_err("there is none");
        assert!(matches!(error, BuildError::NotFound { table: "Item", .. }));
    };
    let comes = |txn: &mut Txn| _ = txn.insert(item("d", 4));
    assert_conflict(setting.race(absent, comes).await, "Item");
    let elsewhere = |txn: &mut Txn| _ = txn.insert(Slot { number: 9 });
    let absent = |txn: &mut Txn| drop(txn.one(Item::NAME, "e").expect_err("there is none"));
    setting.race(absent, elsewhere).await.expect("no conflict");

    // Several rows are an error; rows that the transaction itself writes are counted.
    let mut txn = setting.client.transaction_on(&setting.cache);
    let e = txn.insert(Item {
        tags: ["x"].into(),
        ..item("e", 5)
    });
    assert_eq!(txn.one(Item::NAME, "e"), Ok(e));
    let error = txn.one(by_tag, "x").expect_err("there are two");
    let several = "expected one row of Item with tags includes x, found 2";
    assert_eq!(error.to_string(), several);
    txn.delete(a);
    assert_eq!(txn.one(by_tag, "x"), Ok(e));
    assert!(txn.one(Item::NAME, "a").is_err());

    // Without a view, or without the index, `one` returns an error that says so. The commit returns it too.
    let mut txn = setting.client.transaction();
    txn.insert(item("f", 6));
    let no_view = BuildError::NoView { table: "Item" };
    assert_eq!(txn.one(Item::NAME, "a"), Err(no_view.clone()));
    let Err(CommitError::Build(error)) = txn.commit().await else {
        panic!("it must not be sent");
    };
    assert_eq!(error, no_view);
    let mut txn = setting.client.transaction_on(&setting.cache);
    let undeclared = Index::column(Item::COUNT);
    let no_index = BuildError::NoIndex { table: "Item" };
    assert_eq!(txn.one(&undeclared, 1), Err(no_index));
}

#[tokio::test]
async fn a_column_that_was_read_is_verified_alone() {
    let setting = setting().await;
    let a = setting.a;
    let tags = |txn: &mut Txn| {
        let tags = txn.get_column(a, Item::TAGS).expect("the row");
        assert_eq!(tags, ["x", "y"].into());
        assert_eq!(txn.get_column(a, Item::NAME).as_deref(), Some("a"));
    };
    let set_total = |txn: &mut Txn| _ = txn.update(a).set(Item::TOTAL, 5);
    setting.race(tags, set_total).await.expect("another column");
    wait_for(&setting.cache, "a", |a| a.total == 5).await;
    let add_tag = |txn: &mut Txn| _ = txn.mutate(a).insert(Item::TAGS, ["z"]);
    assert_conflict(setting.race(tags, add_tag).await, "Item");
    wait_for(&setting.cache, "a", |a| a.tags.len() == 3).await;

    // Decided on one column, and written to another.
    let ours = |txn: &mut Txn| {
        let tags = txn.get_column(a, Item::TAGS).expect("the row");
        txn.edit(a, |a| a.total = tags.len() as i64);
        assert_eq!(txn.get_column(a, Item::TOTAL), Some(3), "as edited");
    };
    let add_note = |txn: &mut Txn| _ = txn.mutate(a).insert(Item::NOTES, [("n", "1")]);
    setting.race(ours, add_note).await.expect("another column");
    wait_for(&setting.cache, "a", |a| a.notes.contains_key("n")).await;
    let drop_tag = |txn: &mut Txn| _ = txn.mutate(a).delete(Item::TAGS, ["z"]);
    let ours = |txn: &mut Txn| {
        let tags = txn.get_column(a, Item::TAGS).expect("the row");
        txn.edit(a, |a| a.weight = Some(tags.len() as i64));
    };
    assert_conflict(setting.race(ours, drop_tag).await, "Item");
    wait_for(&setting.cache, "a", |a| a.tags.len() == 2).await;

    // Rows that were deleted, that do not exist, and that the transaction inserts.
    let mut txn = setting.client.transaction_on(&setting.cache);
    let new = txn.insert(item("new", 8));
    assert_eq!(txn.get_column(new, Item::TOTAL), Some(8));
    txn.delete(new);
    assert_eq!(txn.get_column(new, Item::TOTAL), None);
    txn.delete(a);
    assert_eq!(txn.get_column(a, Item::TAGS), None);
    let missing = Ref::<Item>::new(ovsdb::Uuid::from_u128(7));
    let absent = |txn: &mut Txn| assert_eq!(txn.get_column(missing, Item::TAGS), None);
    let comes = |txn: &mut Txn| {
        txn.insert_with_uuid(missing.uuid(), item("m", 9));
    };
    assert_conflict(setting.race(absent, comes).await, "Item");
    let delete = |txn: &mut Txn| _ = txn.delete(a);
    assert_conflict(setting.race(tags, delete).await, "Item");
}

#[tokio::test]
async fn operations_and_inserts_are_counted_without_the_guards() {
    let setting = setting().await;
    let edit = setting.client.edit(&setting.cache, |_, txn| {
        txn.get_by(Item::NAME, "a");
        txn.get_by(Item::NAME, "none");
        let updated = txn.update(setting.a).set(Item::TOTAL, 3).index();
        let selected = txn.select(Slot::NUMBER.gt(0));
        let slot = txn.insert(Slot { number: 4 });
        (updated, selected, slot)
    });
    let ((updated, selected, slot), outcome) = edit.await.expect("a commit");
    assert_eq!(outcome.count(updated), 1);
    assert!(outcome.rows(&selected).expect("rows").is_empty());
    assert_eq!(outcome.inserted(slot), Some(slot));

    let mut txn = setting.client.transaction_on(&setting.cache);
    txn.get(setting.a);
    let bad = txn.update(setting.a).set(Item::COUNT, 2_000_000).index();
    let error = txn.commit().await.expect_err("out of range");
    let CommitError::Refused(refusal) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(refusal.operation, Some(bad.get()));
    assert!(!refusal.is_conflict());
    assert_eq!(error.retry(), Retry::Never);
}

#[cfg(feature = "server")]
#[tokio::test]
async fn an_increment_is_not_made_twice_when_the_outcome_is_unknown() {
    use ovsdb::server::{self, TransactionFault};

    let server = server::Server::memory(support::INVENTORY).expect("a server");
    let builder = Client::<Database>::builder().server(&server);
    let client = builder.connect().await.expect("a client");
    let mut txn = client.transaction();
    txn.insert(item("counter", 0));
    txn.commit().await.expect("a commit");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let total = || {
        cache
            .snapshot()
            .get_by(Item::NAME, "counter")
            .expect("a row")
            .total
    };
    let change = async |change: fn(&mut Item)| {
        let edit = client.edit(&cache, |_, txn| {
            txn.ensure(Item::NAME, "counter", change);
        });
        tokio::time::timeout(Duration::from_secs(30), edit)
            .await
            .expect("no hang")
    };
    let fail = |fault| {
        server
            .faults()
            .next_transaction("Inventory", fault)
            .expect("a fault");
    };

    // The first attempt was not carried out: the second one makes the change.
    fail(TransactionFault::DisconnectBefore);
    change(|row| row.total += 1).await.expect("a commit");
    assert_eq!(total(), 1);
    // The first attempt was carried out, but nothing shows which client made the change.
    fail(TransactionFault::DisconnectAfter);
    let error = change(|row| row.total += 1)
        .await
        .expect_err("the outcome is unknown");
    assert_eq!(error.retry(), Retry::Unknown, "{error}");
    assert_eq!(total(), 2);
    fail(TransactionFault::DisconnectAfter);
    let count = |row: &mut Item| {
        let count: i64 = row
            .notes
            .get("n")
            .map_or(0, |n| n.parse().expect("a number"));
        row.notes.insert("n", (count + 1).to_string());
    };
    let error = change(count).await.expect_err("the outcome is unknown");
    assert_eq!(error.retry(), Retry::Unknown, "{error}");
    cache.current().await.expect("current");
    let view = cache.snapshot();
    let counter = view.get_by(Item::NAME, "counter").expect("a row");
    assert_eq!(counter.notes["n"], "1");
    // A closure that sets fixed values finds that the row has them already.
    fail(TransactionFault::DisconnectAfter);
    change(|row| row.total = 9).await.expect("as it must be");
    assert_eq!(total(), 9);
}

/// The number of clients that race, and of workers on each.
const CLIENTS: usize = 4;
const WORKERS: usize = 8;
/// How many rows are incremented in a phase, and for how many rounds. After a phase, its rows are compared
/// with their expected values and deleted. So the tables stay small: after each cut, a server without a
/// history sends all rows to all clients again.
const COUNTERS: usize = 4;
const PHASE: usize = 50;

/// The number of the row that a worker increments.
const fn counter(worker: usize, round: usize) -> usize {
    (round / PHASE) * COUNTERS + (worker + round) % COUNTERS
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost_and_no_row_made_twice_among_many_clients() {
    let server = inventory_server();
    let proxy = Proxy::start(&server.remote(), 1).await.expect("a proxy");
    let rounds = size(1_600, 100_000) / (CLIENTS * WORKERS);
    let race = Arc::new(Race {
        rounds,
        runs: AtomicUsize::new(0),
        done: (0..CLIENTS * WORKERS)
            .map(|_| AtomicUsize::new(0))
            .collect(),
        checked: AtomicUsize::new(0),
    });
    let mut workers = JoinSet::new();
    for number in 0..CLIENTS {
        let builder = Client::<Database>::builder().remotes(proxy.remote());
        let builder = builder.backoff(Duration::from_millis(5), Duration::from_millis(50));
        let client = builder
            .request_timeout(None)
            .connect()
            .await
            .expect("a client");
        let by_label = Index::column(Part::LABEL);
        let start = client.cache().all_tables().index(&by_label).start();
        let cache = start.await.expect("a cache");
        for worker in 0..WORKERS {
            let number = number * WORKERS + worker;
            let (client, cache, by_label) = (client.clone(), cache.clone(), by_label.clone());
            workers.spawn(work(client, cache, by_label, number, race.clone()));
        }
    }
    let cuts = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            proxy.cut(Cut::Reset);
        }
    };
    let client: Client<Database> = connect(&server).await;
    let cache = client.cache().all_tables().start().await.expect("a cache");
    let phases = async {
        for phase in 0..rounds.div_ceil(PHASE) {
            let end = rounds.min((phase + 1) * PHASE);
            while race
                .done
                .iter()
                .any(|done| done.load(Ordering::SeqCst) < end)
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            check_phase(&client, &cache, phase, end - phase * PHASE).await;
            race.checked.store(phase + 1, Ordering::SeqCst);
        }
    };
    let joined = async {
        while let Some(worker) = workers.join_next().await {
            worker.expect("no panic");
        }
        std::future::pending::<()>().await;
    };
    let limit = Duration::from_secs(120 + rounds as u64);
    tokio::select! {
        () = cuts => {}
        () = joined => {}
        done = tokio::time::timeout(limit, phases) => {
            done.unwrap_or_else(|_| panic!("no hang: {:?}", race.done));
        }
    }
    let view = cache.snapshot();
    assert_eq!(view.rows::<Item>().len(), 0, "no counter is inserted again");
    assert_eq!(view.rows::<Part>().len(), 0);
    assert_eq!(
        view.rows::<Slot>().len(),
        1,
        "the table has no index: only the guard keeps others away"
    );
    let all = CLIENTS * WORKERS * rounds;
    let runs = race.runs.load(Ordering::Relaxed);
    assert!(runs > all, "some closures ran again");
}

/// The state that the workers share.
struct Race {
    rounds: usize,
    /// How many times a closure was run.
    runs: AtomicUsize,
    /// How many rounds each worker has done.
    done: Vec<AtomicUsize>,
    /// How many phases were compared and deleted. No worker is more than two phases ahead of the
    /// others.
    checked: AtomicUsize,
}

/// Compares the rows of a phase that all workers have finished, and deletes them in one transaction, so
/// that nothing can happen in between.
async fn check_phase(
    client: &Client<Database>,
    cache: &Cache<Database>,
    phase: usize,
    rounds: usize,
) {
    let workers = CLIENTS * WORKERS;
    let all = workers * rounds;
    let counters = phase * COUNTERS..(phase + 1) * COUNTERS;
    let apply = client.edit(cache, |_, txn| {
        let rows = counters.clone().filter_map(|counter| {
            let row = txn.get_by(Item::NAME, format!("counter {counter}"))?;
            txn.delete(&row);
            Some(row)
        });
        let rows: Vec<_> = rows.collect();
        let parts = rows.iter().flat_map(|row| row.parts.iter().copied());
        let parts: Vec<_> = parts.filter_map(|part| txn.get(part)).collect();
        (rows, parts)
    });
    let ((counters, parts), _) = apply.await.expect("a commit");
    assert_eq!(counters.len(), COUNTERS, "each name has one row");
    let totals = counters.iter().map(|row| row.total);
    assert_eq!(totals.sum::<i64>(), all as i64, "no update is lost");
    let tags: usize = counters.iter().map(|row| row.tags.len()).sum();
    assert_eq!(tags, all, "no tag is lost");
    for worker in 0..workers {
        let key = worker.to_string();
        let rounds_noted = counters.iter().filter_map(|row| row.notes.get(&*key));
        let last = rounds_noted.filter_map(|round| round.parse().ok()).max();
        let expected = phase * PHASE + rounds - 1;
        assert_eq!(last, Some(expected), "each worker's key of the shared maps");
    }
    assert_eq!(parts.len(), all, "no reference is lost");
    let uuids: BTreeSet<_> = parts.iter().map(|part| part.uuid()).collect();
    assert_eq!(uuids.len(), all, "each is referred to once");
    let labels: BTreeSet<_> = parts.iter().map(|part| &part.label).collect();
    assert_eq!(labels.len(), all, "nothing was made twice");
}

/// Increments, tags, inserts and adds references, repeatedly.
async fn work(
    client: Client<Database>,
    cache: Cache<Database>,
    by_label: Index<Part, Str>,
    number: usize,
    race: Arc<Race>,
) {
    let policy = RetryPolicy::default()
        .tries(100_000)
        .max_wait(Duration::from_millis(100));
    for round in 0..race.rounds {
        while race.checked.load(Ordering::SeqCst) + 2 < round / PHASE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        loop {
            let apply = client.apply_with(policy, &cache, |_, txn| {
                race.runs.fetch_add(1, Ordering::Relaxed);
                let counter = counter(number, round);
                let label = format!("{number}.{round}");
                let counter = txn.ensure(Item::NAME, format!("counter {counter}"), |item| {
                    item.only = support::inventory::ItemOnly::Sole;
                    item.count = counter as i64;
                    item.total += 1;
                    item.tags.insert(&*label);
                    item.notes.insert(number.to_string(), round.to_string());
                });
                let slot = txn.ensure_where(Slot::NUMBER.eq(1), |slot| slot.number = 1);
                let part = txn.ensure(&by_label, &*label, |_| {});
                txn.edit(counter, |counter| {
                    counter.parts.insert(part);
                });
                Ok::<_, CommitError>(slot)
            });
            match apply.await {
                Ok(_) => break,
                // The rows did not arrive before the connection was cut again.
                Err(CommitError::NotSent(_)) => {}
                Err(error) => panic!("{}", ErrorChain::new(&error)),
            }
        }
        race.done[number].store(round + 1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_condition_on_reals_guards_the_rows_that_it_finds() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut txn = client.transaction();
    // The server stores more digits than it sends.
    txn.insert(Item {
        ratio: (1.0 / 3.0).into(),
        ..item("a", 1)
    });
    txn.commit().await.expect("a commit");
    let cache = client.cache().all_tables().start().await;
    let cache = cache.expect("a cache");
    let view = cache.snapshot();
    let ratio = view.get_by(Item::NAME, "a").expect("a row").ratio;
    let ensure = |total| {
        let mut txn = client.transaction_on(&cache);
        txn.ensure_where(Item::RATIO.eq(ratio), |item| item.total = total);
        txn
    };
    ensure(2).commit().await.expect("nothing has changed");
    let outdated = ensure(3);
    let mut txn = client.transaction();
    txn.update(Item::NAME.eq("a")).set(Item::WEIGHT, Some(3));
    txn.commit().await.expect("a commit");
    let error = outdated.commit().await.expect_err("another weight");
    assert_eq!(error.retry(), Retry::Again, "{error}");
}
