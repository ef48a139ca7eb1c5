//! What controllers do: bring rows to a wanted state, mark rows by a reconciler, and process the keys of a
//! work queue.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use ovsdb::cache::WorkQueue;
use ovsdb::desired::ConvergeError;
use ovsdb::{Ref, Uuid};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::oracle::{ItemFilter, Oracle, State, kind};
use crate::replica::Replica;
use crate::servers::SOURCE;
use crate::tables::{Cache, Client, Counter, Desired, Item, Reconciler, Runner};
use crate::trace::note;
use crate::verdict::{claim, violated};

/// How many rows may be wanted.
pub(crate) const WANTED: u8 = 6;

/// Which items are wanted (one bit for each), and the value from which theirs are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) some: u8,
    pub(crate) value: i64,
}

const OWNER: (&str, &str) = ("owner", "controller");
const TAG: &str = "wanted";

/// The name of a wanted item.
pub(crate) fn name(number: u8) -> String {
    format!("d{number}")
}

fn is_owned(item: &Item) -> bool {
    item.labels
        .get(OWNER.0)
        .is_some_and(|owner| *owner == *OWNER.1)
}

impl Wanted {
    fn numbers(self) -> impl Iterator<Item = u8> {
        (0..WANTED).filter(move |number| self.some & (1 << number) != 0)
    }

    fn value(self, number: u8) -> i64 {
        self.value + i64::from(number)
    }

    fn desired(self) -> Desired {
        let mut desired = Desired::new();
        desired.owned::<Item>(Item::LABELS.includes([OWNER]));
        // Each item refers to the one before it.
        let mut before: Option<Ref<Item>> = None;
        for number in self.numbers() {
            let row = desired.row(Item::NAME, name(number));
            let row = row
                .set(Item::VALUE, self.value(number))
                .set(Item::KIND, kind(number))
                .set(Item::FRIEND, before)
                .part(Item::TAGS, [TAG])
                .part(Item::LABELS, [OWNER]);
            before = Some(row.reference());
        }
        desired
    }

    /// How the items of a state differ from what is wanted.
    fn difference(self, state: &State) -> Option<String> {
        let owned = state.items.iter().filter(|(_, item)| is_owned(item));
        let owned: BTreeMap<&str, _> = owned
            .map(|(uuid, item)| (&*item.name, (uuid, item)))
            .collect();
        let mut before = None;
        for number in self.numbers() {
            let Some((uuid, item)) = owned.get(&*name(number)) else {
                return Some(format!("{} is missing", name(number)));
            };
            let is_right = item.value == self.value(number)
                && item.kind == kind(number)
                && item.friend.map(Ref::uuid) == before
                && item.tags.contains(TAG);
            if !is_right {
                return Some(format!("{item:?}"));
            }
            before = Some(**uuid);
        }
        let (there, wanted) = (
            state.items.values().filter(|item| is_owned(item)).count(),
            self.numbers().count(),
        );
        (there != wanted).then(|| format!("{there} items are owned, {wanted} wanted"))
    }
}

/// Brings the items to the wanted state, and returns how many transactions that took; `None` if it failed.
pub(crate) async fn converge(client: &Client, cache: &Cache, wanted: Wanted) -> Option<usize> {
    match client.converge(cache, &wanted.desired()).await {
        Ok(done) => {
            note!("{wanted:?} is reached after {} commits", done.commits);
            Some(done.commits)
        }
        Err(error) => {
            if let ConvergeError::Conflict(conflict) = &error {
                violated("a plan has no conflicts", conflict.to_string());
            }
            // Keep the rows that a refusal names out of the trace: which ones it names is random.
            let error = ovsdb::ErrorChain::new(&error).to_string();
            let error = error.split(". ").next().unwrap_or_default();
            let error = error.split(" (").next().unwrap_or_default();
            note!("{wanted:?} is not reached: {error}");
            None
        }
    }
}

/// Has one client bring the items to the wanted state while everything else is at rest, and checks that it
/// changes no others.
pub(crate) async fn converge_at_rest(
    client: &Client,
    replica: &Replica,
    wanted: Wanted,
    (oracle, is_relayed): (&RefCell<Oracle>, bool),
) {
    replica.select(ItemFilter::All).await;
    let before = others(&last(oracle));
    // A fault set before may still refuse the next transaction or disconnect its client.
    let mut tries = 0;
    while converge(client, &replica.cache, wanted).await.is_none() && tries < 5 {
        tries += 1;
    }
    let after = last(oracle);
    let difference = wanted.difference(&after);
    let after = others(&after);
    // A relay may still pass on transactions that clients have given up.
    let is_untouched = is_relayed
        || before
            .iter()
            .all(|(uuid, item)| after.get(uuid) == Some(item));
    claim("a plan changes no rows of others", is_untouched, || {
        format!("{wanted:?}: {before:?}, then {after:?}")
    });
    claim(
        "after `converge` the rows are as wanted",
        difference.is_none(),
        || format!("{wanted:?}: {difference:?}"),
    );
    let again = converge(client, &replica.cache, wanted).await;
    claim(
        "a plan is empty when nothing is left to do",
        again == Some(0),
        || format!("{wanted:?}: {again:?} commits"),
    );
}

/// The items that are not owned, without their references, since a weak reference to a deleted item is
/// removed with it.
fn others(state: &State) -> BTreeMap<Uuid, Item> {
    let others = state.items.iter().filter(|(_, item)| !is_owned(item));
    let others = others.map(|(uuid, item)| {
        let mut item = Item::clone(item);
        item.friend = None;
        (*uuid, item)
    });
    others.collect()
}

fn last(oracle: &RefCell<Oracle>) -> State {
    let mut oracle = oracle.borrow_mut();
    oracle.take();
    oracle.lineages[SOURCE].last().clone()
}

/// The prefix of the counters with which a client's reconciler marks items.
fn marks(client: usize) -> String {
    format!("seen {client} ")
}

/// Whether a counter is a mark.
pub(crate) fn is_mark(counter: &str) -> bool {
    counter.starts_with("seen ")
}

/// Keeps a counter with the item's value for each item in the cache. Every fourth attempt fails.
pub(crate) fn reconcile(number: usize, client: &Client, cache: &Cache) -> Runner<String> {
    let attempts = std::sync::atomic::AtomicU64::new(0);
    let marks = marks(number);
    let (of, made) = (marks.clone(), marks);
    Reconciler::new(client, cache)
        .backoff(Duration::from_millis(50), Duration::from_secs(2))
        .watch::<Item>(|item| item.name.to_string())
        .watch_keys::<Counter, _>(move |counter, _| {
            counter.name.strip_prefix(&*of).map(str::to_owned)
        })
        .share_commits(number + 1)
        .run(2, move |name, view, txn| {
            if attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 4 == 3 {
                return Err("every fourth attempt fails".into());
            }
            let mark = format!("{made}{name}");
            // Read the view, not the transaction: a cache with a condition cannot verify that an item is missing.
            match view.get_by(Item::NAME, &**name).map(|item| item.value) {
                Some(value) => {
                    txn.ensure(Counter::NAME, mark, |counter| counter.value = value);
                }
                None if txn.get_by(Counter::NAME, &*mark).is_some() => {
                    txn.delete(Counter::NAME.eq(mark));
                }
                None => {}
            }
            Ok(())
        })
}

/// The first item whose mark is missing or wrong, or mark without an item.
pub(crate) fn unmarked(number: usize, cache: &Cache) -> Option<String> {
    let view = cache.snapshot();
    let marks = marks(number);
    let mut wanted: BTreeMap<String, i64> = view
        .rows::<Item>()
        .map(|item| (format!("{marks}{}", item.name), item.value))
        .collect();
    for counter in view.rows::<Counter>() {
        if !counter.name.starts_with(&*marks) {
            continue;
        }
        match wanted.remove(&*counter.name) {
            Some(value) if value == counter.value => {}
            other => {
                return Some(format!(
                    "{}: {}, not {other:?}",
                    counter.name, counter.value
                ));
            }
        }
    }
    let missing = wanted.into_iter().next()?;
    Some(format!("{missing:?} is missing"))
}

/// A work queue whose keys are the items of a cache, and its workers.
pub(crate) struct Queue {
    queue: WorkQueue<Uuid>,
    state: Rc<WorkerState>,
    workers: Vec<JoinHandle<()>>,
}

/// What the workers have in work and have seen.
#[derive(Default)]
struct WorkerState {
    in_work: RefCell<BTreeSet<Uuid>>,
    /// The items as the workers saw them when they last completed work on them.
    seen: RefCell<BTreeMap<Uuid, Option<Item>>>,
    handed_out: Cell<u64>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.workers.iter().for_each(JoinHandle::abort);
    }
}

impl Queue {
    pub(crate) fn of(cache: &Cache) -> Self {
        let queue = WorkQueue::new();
        queue.feed(cache.changes::<Item>(), |change, _| [change.uuid()]);
        let state = Rc::<WorkerState>::default();
        let workers = (0..2).map(|_| {
            let (queue, state, cache) = (queue.clone(), state.clone(), cache.clone());
            spawn_local(async move { state.work(&queue, &cache).await })
        });
        Self {
            workers: workers.collect(),
            queue,
            state,
        }
    }

    /// What is still queued, delayed or in work; `None` when the queue is at rest.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let in_work = self.state.in_work.borrow().len();
        let left = (self.queue.len(), self.queue.delayed(), in_work);
        (left != (0, 0, 0)).then(|| format!("{left:?} keys are queued, delayed and in work"))
    }

    /// Checks the queue at rest.
    pub(crate) fn check(&self, name: &str, cache: &Cache) {
        let view = cache.snapshot();
        let mut left: BTreeSet<Uuid> = view.rows::<Item>().map(ovsdb::Row::uuid).collect();
        for (uuid, seen) in &*self.state.seen.borrow() {
            left.remove(uuid);
            let now = view
                .get(Ref::<Item>::new(*uuid))
                .map(|item| Item::clone(item));
            claim(
                "a work queue hands out each row after its last change",
                *seen == now,
                || format!("{name}: {seen:?}, not {now:?}"),
            );
        }
        claim(
            "a work queue hands out each row after its last change",
            left.is_empty(),
            || format!("{name}: never {left:?}"),
        );
    }
}

impl WorkerState {
    async fn work(&self, queue: &WorkQueue<Uuid>, cache: &Cache) {
        while let Some(work) = queue.next().await {
            let key = *work.key();
            claim(
                "a work queue hands a key to one worker at a time",
                self.in_work.borrow_mut().insert(key),
                || key.to_string(),
            );
            self.handed_out.set(self.handed_out.get() + 1);
            let view = cache.snapshot();
            let seen = view
                .get(Ref::<Item>::new(key))
                .map(|item| Item::clone(item));
            sleep(Duration::from_millis(fastrand::u64(0..100))).await;
            self.in_work.borrow_mut().remove(&key);
            match self.handed_out.get() % 8 {
                3 => work.retry(),
                7 => work.retry_after(Duration::from_millis(300)),
                _ => {
                    self.seen.borrow_mut().insert(key, seen);
                    work.done();
                }
            }
        }
    }
}
