//! Waiting until a replica shows something.

mod support;

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use ovsdb::cache::{Freshness, Index};
use ovsdb::{
    Cache, Client, CommitError, ConnectionState, DisconnectReason, Disconnected, Error, Ref,
    Snapshot, WaitError,
};
use support::inventory::{Database, Item};
use support::{connect, inventory_server, item};

const HANG: Duration = Duration::from_secs(30);

fn find(view: &Snapshot<Database>, name: &str) -> Option<Ref<Item>> {
    Some(view.get_by(Item::NAME, name)?.reference())
}

async fn insert(client: &Client<Database>, name: &str, total: i64) -> Ref<Item> {
    let mut txn = client.transaction();
    let row = txn.insert(item(name, total));
    txn.commit().await.expect("a commit");
    row
}

async fn items(client: &Client<Database>) -> Cache<Database> {
    let cache = client.cache().table::<Item>().start().await;
    cache.expect("a cache")
}

#[tokio::test]
async fn each_view_is_looked_at_once_until_one_yields_something() {
    let server = inventory_server();
    let client = connect(&server).await;
    let cache = items(&client).await;
    let first = insert(&client, "first", 1).await;
    let found = cache.wait_until(Duration::ZERO, |view| find(view, "first"));
    assert_eq!(found.await.expect("it exists already"), first);

    let looks = Cell::new(0);
    let second = cache.wait_until(HANG, |view| {
        looks.set(looks.get() + 1);
        find(view, "second")
    });
    let mut second = pin!(second);
    let begun = tokio::time::timeout(Duration::ZERO, &mut second).await;
    assert!(begun.is_err() && looks.get() == 1);
    // The wait is not polled again until it is awaited below. By then the row was inserted and deleted.
    insert(&client, "other", 3).await;
    let row = insert(&client, "second", 2).await;
    let mut txn = client.transaction();
    txn.delete(row);
    txn.commit().await.expect("a commit");
    assert!(cache.snapshot().get(row).is_none());
    assert_eq!(second.await.expect("it was inserted"), row);
    assert_eq!(looks.get(), 3, "the current view, and two later ones");
}

#[tokio::test]
async fn a_wait_that_is_not_fulfilled_ends_with_the_limit_and_the_state_of_the_cache() {
    let mut server = inventory_server();
    let client = connect(&server).await;
    let cache = items(&client).await;
    let (limit, looks) = (Duration::from_millis(100), Cell::new(0));
    let wait = |cache: Cache<Database>| async move {
        let wait = cache.wait_until(limit, |view| find(view, "never"));
        wait.await.expect_err("there is no such row")
    };
    let error = cache.wait_until(limit, |_| {
        looks.set(looks.get() + 1);
        None::<()>
    });
    let error = error.await.expect_err("it yields nothing");
    assert_eq!(looks.get(), 1, "nothing was published");
    assert_eq!(
        error.to_string(),
        "no view of the cache met the condition within 100ms; the cache follows the server"
    );
    server.kill().expect("killed");
    let mut freshness = cache.freshness();
    let stale = freshness.wait_for(|now| *now != Freshness::Current);
    stale.await.expect("the client lives");
    let error = wait(cache.clone()).await;
    assert!(
        matches!(error, WaitError::TimedOut { limit: l, freshness: Freshness::StaleSince(_), .. } if l == limit),
        "{error:?}"
    );

    // The end of the client ends every wait.
    let ended = tokio::spawn(async move {
        let wait = cache.wait_until(None, |view| find(view, "never"));
        wait.await
    });
    client.close().await;
    let ended = tokio::time::timeout(HANG, ended).await.expect("no hang");
    let error = ended.expect("no panic").expect_err("no such row");
    assert!(matches!(error, WaitError::Ended(_)), "{error:?}");
}

#[tokio::test]
async fn a_watched_value_shows_each_change_until_its_client_ends() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let mut state = client.state();
    assert!(state.get().is_connected() && !state.has_changed());
    client.reconnect();
    let lost = state.wait_for(|state| !state.is_connected());
    let lost = tokio::time::timeout(HANG, lost).await.expect("no hang");
    assert!(!lost.expect("the client lives").is_connected());
    let mut other = state.clone();
    while !state
        .changed()
        .await
        .expect("the client lives")
        .is_connected()
    {}
    assert!(other.has_changed() && !state.has_changed());
    assert!(other.changed().await.expect("a change").is_connected());
    client.close().await;
    // The last value is shown, then the end.
    let end = state.wait_for(|state| !state.is_connected());
    end.await.expect("the last value");
    assert!(state.changed().await.is_err() && !state.has_changed());
}

#[tokio::test]
async fn the_last_state_is_seen_and_nothing_waits_after_it() {
    let server = inventory_server();
    let client = connect(&server).await;
    let cache = items(&client).await;
    let (mut state, mut freshness) = (client.state(), cache.freshness());
    client.clone().close().await;
    // `client` and `cache` still exist.
    let seen = tokio::time::timeout(HANG, state.changed())
        .await
        .expect("no hang");
    assert!(
        matches!(seen, Ok(ConnectionState::Closed { .. })),
        "{seen:?}"
    );
    for outcome in [
        tokio::time::timeout(HANG, state.changed())
            .await
            .expect("no hang"),
        tokio::time::timeout(HANG, state.wait_for(ConnectionState::is_connected))
            .await
            .expect("no hang"),
    ] {
        let lost = outcome.expect_err("nothing follows");
        assert!(matches!(lost.reason(), DisconnectReason::Closed), "{lost}");
    }
    assert!(state.wait_for(|state| !state.is_connected()).await.is_ok());
    let seen = tokio::time::timeout(HANG, freshness.wait_for(|now| *now == Freshness::Ended));
    assert!(seen.await.expect("no hang").is_ok());
    let next = tokio::time::timeout(HANG, freshness.changed())
        .await
        .expect("no hang");
    assert!(next.is_err(), "{next:?}");
    assert!(!cache.is_current());
}

#[test]
fn a_session_ends_with_its_runtime() {
    let server = inventory_server();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let client: Client<Database> = runtime.block_on(connect(&server));
    let mut state = client.state();
    runtime.shutdown_timeout(HANG);
    let other = tokio::runtime::Runtime::new().expect("a runtime");
    let lost = other.block_on(async {
        let end = tokio::time::timeout(HANG, state.wait_for(|_| false)).await;
        end.expect("no hang").expect_err("nothing follows")
    });
    assert!(
        matches!(lost.reason(), DisconnectReason::RuntimeGone),
        "{lost}"
    );
}

#[tokio::test]
async fn a_cache_that_a_panic_has_ended_says_so() {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let index = Index::<Item, i64>::function(|item| {
        assert_ne!(item.total, 13, "the index has no key for 13");
        Some(item.total)
    });
    let started = client.cache().table::<Item>().index(&index).start();
    let cache = started.await.expect("a cache");
    let ended = |lost: &Disconnected| matches!(lost.reason(), DisconnectReason::DecoderPanicked);
    let wait = cache.wait_until(HANG, |view| find(view, "none"));
    let mut freshness = cache.freshness();
    let watched = freshness.wait_for(|_| false);
    let other = connect(&server).await;
    let (_, waited, watched) = tokio::join!(insert(&other, "last", 13), wait, watched);
    assert!(matches!(waited, Err(WaitError::Ended(lost)) if ended(&lost)));
    assert!(matches!(watched, Err(lost) if ended(&lost)));
    assert!(matches!(cache.current().await, Err(Error::Disconnected(lost)) if ended(&lost)));
    let applied = client.apply(&cache, |_, _| Ok::<_, CommitError>(())).await;
    assert!(matches!(applied, Err(CommitError::NotSent(lost)) if ended(&lost)));
    // The client itself goes on.
    let mut txn = client.transaction();
    txn.insert(item("more", 14));
    txn.commit().await.expect("a commit");
    client.close().await;
    assert!(matches!(cache.current().await, Err(Error::Disconnected(lost)) if ended(&lost)));
}
