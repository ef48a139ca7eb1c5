//! A client's cache, and the claims about it: each view is a state of the server, views do not go back, and
//! the changes of the stream add up to the replica.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ovsdb::cache::{Change, DatabaseChanges};
use ovsdb::{MonitorVersion, Row, Table, Uuid};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::oracle::{ItemFilter, Oracle, Selection};
use crate::scenario::ClientSetting;
use crate::tables::{AllChanges, Cache, Client, Counter, Database, Item, Part, Snapshot};
use crate::trace::note;
use crate::verdict::{claim, violated};

/// How many states a view may go back when the client changes to a follower. A server sends its index after
/// the rows of a transaction: when the connection is lost in between, the client cannot tell that a follower
/// lacks this transaction.
const ALLOWED_STEPS_BACK: usize = 3;

type Rows<T> = BTreeMap<Uuid, Arc<Row<T>>>;

/// The result of applying the changes of a stream.
#[derive(Default)]
struct Folded {
    items: Rows<Item>,
    parts: Rows<Part>,
    counters: Rows<Counter>,
    /// The state that the view after the last batch showed.
    place: usize,
}

/// A cache and its stream.
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) cache: Cache,
    lineage: usize,
    /// The conditions on `Item` that may be in force, with the numbers of their requests.
    asked: RefCell<Vec<(u64, ItemFilter)>>,
    /// The conditions that may have been in force since the stream was last read to its end.
    unread: RefCell<Vec<ItemFilter>>,
    asks: Cell<u64>,
    has_all_tables: bool,
    /// How many states the replica may go back when the client fails over to a follower that lags.
    pub(crate) behind: usize,
    /// The state that the last view showed.
    place: Cell<usize>,
    folded: RefCell<Folded>,
    /// The number of the last connection on which the replica was checked when it became current.
    shows: Cell<u64>,
    paused: Cell<Instant>,
    follower: RefCell<Option<JoinHandle<()>>>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
    }
}

/// The library's form of a condition.
pub(crate) fn condition(which: ItemFilter) -> ovsdb::model::AnyOf<Item> {
    match which {
        ItemFilter::All => ovsdb::model::AnyOf::all(),
        ItemFilter::Kind(kind) => Item::KIND.eq(crate::oracle::kind(kind)).into(),
        ItemFilter::Below(limit) => Item::VALUE.lt(limit).into(),
        ItemFilter::None => ovsdb::model::AnyOf::none(),
    }
}

fn fold<T: Table<Database = Database>>(
    name: &str,
    rows: &mut Rows<T>,
    batch: &DatabaseChanges<Database>,
    view: &Snapshot,
) {
    for change in batch.table::<T>() {
        let uuid = change.uuid();
        let (before, after) = match change {
            Change::Inserted(new) => (None, Some(new)),
            Change::Modified { old, new } => (Some(old), Some(new)),
            Change::Deleted(old) => (Some(old), None),
        };
        let known = match after {
            Some(row) => rows.insert(uuid, row),
            None => rows.remove(&uuid),
        };
        claim(
            "a change starts from the row as the stream left it",
            known == before,
            || format!("{name}: {} {known:?} was folded, not {before:?}", T::TABLE),
        );
    }
    claim(
        "the changes of a stream add up to the replica",
        is_folded(rows, view),
        || {
            let table = view.table::<T>();
            format!(
                "{name}: {} has {} rows, {} were folded",
                T::TABLE,
                table.rows().len(),
                rows.len()
            )
        },
    );
}

/// Whether these are the rows of a view.
fn is_folded<T: Table<Database = Database>>(rows: &Rows<T>, view: &Snapshot) -> bool {
    let same = |row: &Row<T>| rows.get(&row.uuid()).is_some_and(|other| **other == *row);
    let table = view.table::<T>();
    table.rows().len() == rows.len() && table.rows().all(same)
}

impl Replica {
    /// Starts a cache: with `which`, of these items; without, of every table and every row.
    pub(crate) async fn start(
        name: String,
        client: &Client,
        which: Option<ItemFilter>,
        setting: ClientSetting,
        (lineage, oracle): (usize, &Rc<RefCell<Oracle>>),
    ) -> Result<Rc<Self>, ovsdb::Error> {
        let builder = match which {
            None => client
                .cache()
                .table::<Item>()
                .table::<Part>()
                .table::<Counter>(),
            Some(ItemFilter::All) => client.cache().table::<Item>(),
            Some(which) => client.cache().table_where::<Item>(condition(which)),
        };
        let behind = if setting.uses_followers {
            ALLOWED_STEPS_BACK
        } else {
            0
        };
        let newest = match setting.older_monitor {
            0 => MonitorVersion::MonitorCondSince,
            1 => MonitorVersion::MonitorCond,
            _ => MonitorVersion::Monitor,
        };
        let cache = builder.newest_monitor(newest).start().await?;
        let which_now = which.unwrap_or(ItemFilter::All);
        let replica = Rc::new(Self {
            name,
            lineage,
            asked: RefCell::new(vec![(0, which_now)]),
            unread: RefCell::new(vec![which_now]),
            asks: Cell::new(0),
            has_all_tables: which.is_none(),
            behind,
            place: Cell::new(0),
            folded: RefCell::default(),
            shows: Cell::default(),
            paused: Cell::new(Instant::now()),
            follower: RefCell::default(),
            cache,
        });
        note!("{} is started", replica.name);
        let changes = replica.cache.all_changes();
        let follower = follow(Rc::downgrade(&replica), changes, oracle.clone());
        *replica.follower.borrow_mut() = Some(tokio::task::spawn_local(follower));
        Ok(replica)
    }

    /// The rows that the cache selects.
    pub(crate) fn selection(&self) -> Selection {
        let asked = self.asked.borrow();
        self.selecting(asked.iter().map(|(_, which)| *which).collect())
    }

    const fn selecting(&self, items: Vec<ItemFilter>) -> Selection {
        Selection {
            items,
            parts: self.has_all_tables,
            counters: self.has_all_tables,
        }
    }

    /// Changes the condition on `Item`, and waits until it is in force.
    pub(crate) async fn select(&self, which: ItemFilter) {
        let number = self.asks.get() + 1;
        self.asks.set(number);
        self.asked.borrow_mut().push((number, which));
        self.unread.borrow_mut().push(which);
        let selected = self.cache.set_condition::<Item>(condition(which)).await;
        match selected {
            Ok(()) => {
                self.asked
                    .borrow_mut()
                    .retain(|(asked, _)| *asked >= number);
                note!("{} now has the items {which:?}", self.name);
            }
            Err(error) => note!("{}: {which:?} is not in force: {error}", self.name),
        }
    }

    /// Leaves the stream unread until this moment.
    pub(crate) fn pause(&self, until: Instant) {
        self.paused.set(until);
    }

    /// Whether the stream has been read to its end.
    pub(crate) fn is_read(&self) -> bool {
        let (folded, view) = (self.folded.borrow(), self.cache.snapshot());
        self.cache.stats().longest_queue == 0
            && is_folded(&folded.items, &view)
            && (!self.has_all_tables
                || is_folded(&folded.parts, &view) && is_folded(&folded.counters, &view))
    }

    /// Applies a batch of the stream, and checks the result.
    fn fold(&self, batch: &DatabaseChanges<Database>, oracle: &RefCell<Oracle>) {
        let view = batch.snapshot();
        let mut folded = self.folded.borrow_mut();
        let (items, all) = (&mut folded.items, self.has_all_tables);
        fold::<Item>(&self.name, items, batch, &view);
        if all {
            fold::<Part>(&self.name, &mut folded.parts, batch, &view);
            fold::<Counter>(&self.name, &mut folded.counters, batch, &view);
        }
        let selection = self.selecting(self.unread.borrow().clone());
        folded.place = self.placed(&view, &selection, folded.place, oracle);
        note!("{}: a batch leads to state {}", self.name, folded.place);
    }

    /// The state that a view shows; checks that it is at most `behind` states older than `from`.
    fn placed(
        &self,
        view: &Snapshot,
        selection: &Selection,
        from: usize,
        oracle: &RefCell<Oracle>,
    ) -> usize {
        let mut oracle = oracle.borrow_mut();
        oracle.take();
        match oracle.lineages[self.lineage].place(
            view,
            selection,
            (from, self.behind, self.asks.get() > 0),
        ) {
            Ok(place) => {
                claim("views do not go back", place + self.behind >= from, || {
                    format!("{}: state {place} comes after state {from}", self.name)
                });
                place
            }
            Err(difference) => {
                violated(
                    "each view is a state of the server",
                    format!("{}, from state {from}: {difference}", self.name),
                );
                from
            }
        }
    }

    /// Checks the replica as it is now. `connection` is the number of the client's connection, and `state` is
    /// what the server had when it began.
    pub(crate) fn check(
        &self,
        is_connected: bool,
        (connection, state): (u64, usize),
        oracle: &RefCell<Oracle>,
    ) {
        let is_current = self.cache.is_current();
        claim(
            "without a connection no cache is current",
            is_connected || !is_current,
            || self.name.clone(),
        );
        let view = self.cache.snapshot();
        self.place
            .set(self.placed(&view, &self.selection(), self.place.get(), oracle));
        if is_current && self.shows.replace(connection) != connection {
            let oracle = oracle.borrow();
            claim(
                "a current cache shows at least what the server had when the connection began",
                oracle.lineages[self.lineage].shows(&view, &self.selection(), state),
                || format!("{}: state {}, not {state}", self.name, self.place.get()),
            );
        }
        let longest = self.cache.stats().longest_queue;
        claim("queues are bounded", longest <= 1025, || {
            format!("{}: {longest}", self.name)
        });
    }

    /// What the replica still lacks; `None` when it is at rest.
    pub(crate) fn unfinished(&self, oracle: &RefCell<Oracle>) -> Option<String> {
        if !self.cache.is_current() {
            let freshness = self.cache.freshness().get();
            let error = self.cache.monitor_error().map(|error| error.to_string());
            return Some(format!("{}: {freshness}; {error:?}", self.name));
        }
        let mut oracle = oracle.borrow_mut();
        oracle.take();
        let last = oracle.lineages[self.lineage].last();
        if let Some(difference) = last.difference(&self.cache.snapshot(), &self.selection()) {
            return Some(format!("{}: {difference}", self.name));
        }
        (!self.is_read()).then(|| format!("{}: its stream lacks changes", self.name))
    }
}

async fn follow(
    replica: std::rc::Weak<Replica>,
    mut changes: AllChanges,
    oracle: Rc<RefCell<Oracle>>,
) {
    while let Some(batch) = changes.next().await {
        let Some(paused) = replica.upgrade().map(|replica| replica.paused.get()) else {
            return;
        };
        if paused > Instant::now() {
            sleep_until(paused).await;
        }
        let Some(replica) = replica.upgrade() else {
            return;
        };
        replica.fold(&batch, &oracle);
        if changes.waiting() == 0 {
            let asked = replica.asked.borrow();
            *replica.unread.borrow_mut() = asked.iter().map(|(_, which)| *which).collect();
        }
    }
}
