//! What clients do with the database, and checks of the outcome.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ovsdb::cache::Freshness;
use ovsdb::protocol::{ErrorKind, Json, Wire as _};
use ovsdb::{CommitError, ConnectionState, DisconnectReason, Outcome};

use crate::client::{Agent, Connected, LOCK};
use crate::oracle::{Oracle, kind};
use crate::scenario::Work;
use crate::servers::{RELAY, SOURCE};
use crate::tables::{Counter, Item, Part, Transaction};
use crate::trace::note;
use crate::verdict::{claim, violated};

/// The outcome of a piece of work, as reported to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It succeeded. `changes` if it must have changed something.
    Done { changes: bool },
    /// Nothing has changed.
    Refused,
    /// The client cannot know.
    Unknown,
}

/// A piece of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) client: usize,
    pub(crate) work: Work,
    pub(crate) end: Option<End>,
}

/// All pieces of work, by number.
pub(crate) type Entries = RefCell<BTreeMap<u32, Entry>>;

/// The comment that marks the transactions of a piece of work.
pub(crate) fn comment(number: u32) -> String {
    format!("work {number}")
}

fn counter(number: u8) -> String {
    format!("c{number}")
}

fn item(number: u32, of: u8, value: i64) -> Item {
    Item {
        name: format!("i{number}").into(),
        kind: kind(of).into(),
        value,
        ..Item::default()
    }
}

fn key(number: u8) -> String {
    format!("k{number}")
}

type Done = Result<bool, CommitError>;

/// Does a piece of work, and returns whether it must have changed something.
async fn perform(number: u32, work: Work, connected: &Connected) -> Done {
    let (client, cache) = (&connected.client, &connected.main.cache);
    let said = comment(number);
    let mut txn = client.transaction();
    txn.comment(said.clone());
    let certain = |_: Outcome| true;
    let is_current = |what: &str| {
        claim(
            "`apply` decides on a current replica",
            cache.is_current(),
            || format!("{said}: {what}"),
        );
    };
    match work {
        Work::Insert(of, value) => {
            txn.insert(item(number, of, value));
            txn.commit().await.map(certain)
        }
        Work::InsertOnce(of, value) => {
            txn.insert(item(number, of, value));
            txn.commit_once().await.map(certain)
        }
        Work::Long(of) => {
            let mut item = item(number, of, 50);
            for label in 0..4 {
                item.labels.insert(format!("l{label}"), "x".repeat(500));
            }
            txn.insert(item);
            txn.commit().await.map(certain)
        }
        Work::Add(of) => {
            txn.mutate(Counter::NAME.eq(counter(of)))
                .add(Counter::VALUE, 1);
            txn.commit().await.map(certain)
        }
        Work::AddApplied(of) => {
            let added = client.edit(cache, |_, txn| {
                is_current("add");
                txn.comment(said.clone());
                txn.mutate(Counter::NAME.eq(counter(of)))
                    .add(Counter::VALUE, 1);
            });
            added.await.map(|_| true)
        }
        Work::Increment(of) => {
            let incremented = client.edit(cache, |_, txn| {
                is_current("increment");
                txn.comment(said.clone());
                let Some(row) = txn.get_by(Counter::NAME, counter(of)) else {
                    return false;
                };
                txn.edit(&row, |counter| counter.value += 1)
            });
            incremented.await.map(|(changes, _)| changes)
        }
        Work::Ensure(of, value) => {
            let ensured = client.edit(cache, |_, txn| {
                is_current("ensure");
                txn.comment(said.clone());
                txn.ensure(Item::NAME, key(of), |item| {
                    item.kind = kind(of).into();
                    item.value = value;
                });
            });
            ensured.await.map(|_| false)
        }
        Work::Delete(4) => {
            txn.delete(Item::KIND.eq(kind(2)));
            txn.commit().await.map(|_| false)
        }
        Work::Delete(of) => {
            txn.delete(Item::NAME.eq(key(of)));
            txn.commit().await.map(|_| false)
        }
        Work::Tag(of, tag) => {
            let edited = edit_item(connected, &said, of, |_, item| {
                let tag = format!("t{tag}");
                if !item.tags.remove(&*tag) {
                    item.tags.insert(tag);
                }
            });
            edited.await.map(|_| false)
        }
        Work::Label(of, label) => {
            let edited = edit_item(connected, &said, of, |_, item| {
                item.labels.insert(format!("l{label}"), said.clone());
                if client.has_column(Item::NOTE) {
                    item.note = said.clone().into();
                }
            });
            edited.await.map(|_| false)
        }
        Work::Attach(of) => {
            let edited = edit_item(connected, &said, of, |txn, item| {
                let part = txn.insert(Part {
                    label: said.clone().into(),
                });
                item.parts.insert(part);
            });
            edited.await.map(|_| false)
        }
        Work::Refer(of, other) => {
            let edited = client.edit(cache, |_, txn| {
                txn.comment(said.clone());
                let friend = txn.get_by(Item::NAME, key(other));
                let row = txn.get_by(Item::NAME, key(of));
                if let (Some(row), Some(friend)) = (row, friend) {
                    txn.edit(&row, |item| item.friend = Some(friend.reference()));
                }
            });
            edited.await.map(|_| false)
        }
        Work::Locked(of) => {
            txn.assert_lock(LOCK);
            txn.insert(item(number, of, 10));
            txn.commit().await.map(certain)
        }
        Work::Waiting(limit) => {
            let reached = Counter::NAME
                .eq(counter(0))
                .and(Counter::VALUE.ge(i64::from(limit)));
            txn.wait(reached)
                .comparing(Counter::NAME)
                .timeout(Some(Duration::from_secs(3)))
                .until([Counter {
                    name: counter(0).into(),
                    ..Counter::default()
                }]);
            txn.insert(item(number, 0, 20));
            txn.commit().await.map(certain)
        }
        Work::ChangeWanted(of, 1) => {
            txn.delete(Item::NAME.eq(crate::controller::name(of)));
            txn.commit().await.map(|_| false)
        }
        Work::ChangeWanted(of, how) => {
            let named = crate::controller::name(of);
            let edited = client.edit(cache, |_, txn| {
                txn.comment(said.clone());
                let Some(row) = txn.get_by(Item::NAME, &*named) else {
                    return;
                };
                txn.edit(&row, |item| match how {
                    0 => item.value = 1000,
                    2 => drop(item.tags.insert("foreign")),
                    3 => drop(item.tags.remove("wanted")),
                    _ => item.friend = None,
                });
            });
            edited.await.map(|_| false)
        }
        Work::Echo => {
            drop(txn);
            let sent = format!("[\"{said}\"]");
            let Ok(params) = Json::from_json(&sent) else {
                return Ok(false);
            };
            if let Ok(reply) = client.echo(params).await {
                claim(
                    "each reply goes to its own request",
                    reply.as_str() == sent,
                    || format!("{sent} was answered by {reply}"),
                );
            }
            Ok(false)
        }
    }
}

/// Edits an item, if it exists.
async fn edit_item(
    connected: &Connected,
    said: &str,
    of: u8,
    mut change: impl FnMut(&mut Transaction, &mut Item),
) -> Done {
    let edited = connected.client.edit(&connected.main.cache, |_, txn| {
        txn.comment(said.to_owned());
        let Some(row) = txn.get_by(Item::NAME, key(of)) else {
            return;
        };
        let mut item = Item::clone(&row);
        change(txn, &mut item);
        txn.edit(&row, |row| *row = item);
    });
    edited.await.map(|_| false)
}

fn end_of(done: &Done) -> End {
    match done {
        Ok(changes) => End::Done { changes: *changes },
        Err(error) if error.nothing_changed() => End::Refused,
        Err(_) => End::Unknown,
    }
}

/// Does a piece of work, and checks what its client sees afterwards.
pub(crate) async fn work(
    number: u32,
    work: Work,
    connected: &Rc<Connected>,
    replicas: impl Fn() -> Vec<Rc<crate::replica::Replica>>,
    oracle: &RefCell<Oracle>,
) -> End {
    let begun = tokio::time::Instant::now();
    let connections = connected.client.stats().connections;
    let done = perform(number, work, connected).await;
    match &done {
        Ok(_) => note!("{} is done", comment(number)),
        Err(error) => note!(
            "{} fails: {}",
            comment(number),
            ovsdb::ErrorChain::new(error)
        ),
    }
    // A conversion may have removed the column since the work asked whether it exists.
    if let Err(CommitError::Build(error)) = &done
        && !error.to_string().contains("Item.note")
    {
        violated(
            "transactions are well formed",
            format!("{}: {error}", comment(number)),
        );
    }
    if let (Err(error), Work::Increment(_) | Work::AddApplied(_)) = (&done, work)
        && error.kind() == Some(ErrorKind::ConstraintViolation)
    {
        violated(
            "increments violate no constraint",
            format!("{}: {error}", comment(number)),
        );
    }
    if done.is_ok() {
        // A stale cache must show the commit only if the connection is still the same.
        let is_connected = connected.client.state().get().is_connected()
            && connected.client.stats().connections == connections;
        let in_time = begun.elapsed() < crate::client::REQUEST;
        for replica in replicas() {
            is_shown(number, &replica, is_connected && in_time, oracle);
        }
    }
    end_of(&done)
}

/// Checks that a commit that resolved is visible in a cache that can follow the server.
fn is_shown(
    number: u32,
    replica: &crate::replica::Replica,
    is_connected: bool,
    oracle: &RefCell<Oracle>,
) {
    // A commit may resolve before a stale cache shows it only if the connection is lost or the time is over.
    let must_show = match replica.cache.freshness().get() {
        Freshness::Current => true,
        Freshness::StaleSince(_) => is_connected,
        _ => false,
    };
    if !must_show {
        return;
    }
    let mut oracle = oracle.borrow_mut();
    oracle.take();
    let source = &oracle.lineages[SOURCE];
    let Some(at) = source.commits(&comment(number)).last() else {
        return;
    };
    let (view, selection) = (replica.cache.snapshot(), replica.selection());
    let is_shown = match oracle.lineages.get(RELAY) {
        None => source.shows(&view, &selection, at.saturating_sub(replica.behind)),
        // The relay's transactions differ from the source's: each may combine several of them.
        Some(relay) => match relay.first_with(&format!("i{number}")) {
            Some(at) => relay.shows(&view, &selection, at),
            None => true,
        },
    };
    claim("a commit that resolved is visible", is_shown, || {
        format!("{} in {}, state {at}", comment(number), replica.name)
    });
}

/// Compares what was committed with what the clients were told.
pub(crate) fn settle(entries: &Entries, oracle: &RefCell<Oracle>) {
    let mut oracle = oracle.borrow_mut();
    oracle.take();
    let source = &oracle.lineages[SOURCE];
    let mut counters: BTreeMap<String, i64> = BTreeMap::new();
    for (number, Entry { client, work, end }) in &*entries.borrow() {
        let commits = source.commits(&comment(*number)).iter();
        let commits = commits
            .filter(|at| !source.made_again(**at, *work, *number))
            .count();
        if let Work::Increment(of) | Work::Add(of) | Work::AddApplied(of) = work {
            *counters.entry(counter(*of)).or_default() +=
                i64::try_from(commits).unwrap_or(i64::MAX);
        }
        let says = format!(
            "{} of client {client} ({work}), {end:?}: {commits} commits",
            comment(*number)
        );
        match end {
            Some(End::Done { changes: true }) => {
                claim("what is committed is present once", commits == 1, || says);
            }
            Some(End::Refused) => {
                claim("what is refused is absent", commits == 0, || says);
            }
            _ => claim("nothing is committed twice", commits <= 1, || says),
        }
    }
    for row in source.last().counters.values() {
        if crate::controller::is_mark(&row.name) {
            continue;
        }
        let added = counters.get(&*row.name).copied().unwrap_or_default();
        claim("no increment is lost", row.value == added, || {
            format!(
                "counter {} is {} after {added} increments",
                row.name, row.value
            )
        });
    }
}

/// Closes a client while it inserts an item, and checks that the insert is answered before the client ends.
pub(crate) async fn close(number: u32, connected: &Connected, agent: &Agent) -> End {
    let client = &connected.client;
    let mut txn = client.transaction();
    txn.comment(comment(number));
    txn.insert(item(number, 0, 1));
    let (done, ()) = tokio::join!(biased; txn.commit(), client.clone().close());
    let state = client.state().get();
    claim(
        "a client that was closed has ended",
        matches!(state, ConnectionState::Closed { .. }) && !connected.main.cache.is_current(),
        || format!("client {}: {state}", agent.number),
    );
    if let Err(error) = &done {
        note!(
            "{} fails: {}",
            comment(number),
            ovsdb::ErrorChain::new(error)
        );
    }
    // After a lost connection the outcome is unknown too, but the reason is not `Closed`.
    let is_forgotten = matches!(&done, Err(CommitError::Unknown(lost))
        if matches!(lost.reason(), DisconnectReason::Closed));
    claim(
        "requests made before a close are answered",
        !is_forgotten,
        || format!("client {}: {done:?}", agent.number),
    );
    let mut late = client.transaction();
    late.insert(item(number, 0, 1));
    let late = late.commit().await;
    claim(
        "nothing is sent after a close",
        late.as_ref().is_err_and(CommitError::nothing_changed),
        || format!("client {}: {late:?}", agent.number),
    );
    end_of(&done.map(|_| true))
}
