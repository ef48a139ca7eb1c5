//! The state of the servers after each of their transactions, and how replicas compare with it.
//!
//! The servers of a run report each commit in the order in which they made it. Servers that share a history
//! (the members of a cluster, or a server and its successor after a restart) form a lineage. A relay has its
//! own lineage, since its transactions have other ids.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ovsdb::Database as _;
use ovsdb::server::simulated::{Event, FullState, take_events};
use ovsdb::server::{Committed, Server};
use ovsdb::{Row, Table, Uuid};

use crate::scenario::Work;
use crate::tables::{Counter, Database, Item, Part, Snapshot};
use crate::trace::note;
use crate::verdict::claim;

/// Which rows of the table `Item` a replica has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemFilter {
    All,
    /// The items of a kind.
    Kind(u8),
    /// The items with a value below this.
    Below(i64),
    None,
}

/// The name of a kind.
pub(crate) const fn kind(kind: u8) -> &'static str {
    ["red", "green", "blue"][kind as usize % 3]
}

impl ItemFilter {
    fn selects(self, item: &Item) -> bool {
        match self {
            Self::All => true,
            Self::Kind(wanted) => item.kind == kind(wanted),
            Self::Below(limit) => item.value < limit,
            Self::None => false,
        }
    }
}

/// The rows that a replica has.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// The conditions on `Item`, any of which may be in force; empty if the replica lacks the table.
    pub(crate) items: Vec<ItemFilter>,
    pub(crate) parts: bool,
    pub(crate) counters: bool,
}

type Rows<T> = BTreeMap<Uuid, Rc<T>>;

/// The rows after a transaction.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) items: Rows<Item>,
    pub(crate) parts: Rows<Part>,
    pub(crate) counters: Rows<Counter>,
}

fn apply<T: Table<Database = Database>>(rows: &mut Rows<T>, commit: &Committed<Database>) {
    for row in commit.deleted::<T>() {
        rows.remove(&row.uuid());
    }
    let updated = commit.updated::<T>().into_iter().map(|(_, new)| new);
    for row in commit.inserted::<T>().into_iter().chain(updated) {
        rows.insert(row.uuid(), Rc::new(T::clone(&row)));
    }
}

fn rows_of<T: Table>(full: &FullState) -> Rows<T> {
    let rows = full.rows::<T>().into_iter();
    rows.map(|row: Row<T>| (row.uuid(), Rc::new(T::clone(&row))))
        .collect()
}

/// Describes the first row in which a view differs from these rows.
fn difference<T: Table<Database = Database>>(
    view: &Snapshot,
    rows: &Rows<T>,
    selects: impl Fn(&T) -> bool,
) -> Option<String> {
    let table = view.try_table::<T>()?;
    for row in view.rows::<T>() {
        match rows.get(&row.uuid()) {
            None => return Some(format!("{} {row:?} is not on the server", T::TABLE)),
            Some(other) if **other != **row => {
                return Some(format!("{} {row:?} is {other:?} on the server", T::TABLE));
            }
            Some(other) if !selects(other) => {
                return Some(format!("{} {row:?} is not selected", T::TABLE));
            }
            Some(_) => {}
        }
    }
    let mut selected = rows.iter().filter(|(_, row)| selects(row));
    if selected.clone().count() == table.rows().len() {
        return None;
    }
    let missing = selected.find(|(uuid, _)| table.get(ovsdb::Ref::new(**uuid)).is_none());
    Some(format!("{} lacks {missing:?}", T::TABLE))
}

impl State {
    fn of(source: &FullState) -> Self {
        Self {
            items: rows_of(source),
            parts: rows_of(source),
            counters: rows_of(source),
        }
    }

    /// How a view differs from the selected rows of this state; `None` if it does not.
    pub(crate) fn difference(&self, view: &Snapshot, selection: &Selection) -> Option<String> {
        let mut found = None;
        if !selection.items.is_empty() {
            let differences = selection
                .items
                .iter()
                .map(|which| difference::<Item>(view, &self.items, |item| which.selects(item)));
            let mut differences: Vec<_> = differences.collect();
            if differences.iter().all(Option::is_some) {
                found = differences.pop().flatten();
            }
        }
        if found.is_none() && selection.parts {
            found = difference::<Part>(view, &self.parts, |_| true);
        }
        if found.is_none() && selection.counters {
            found = difference::<Counter>(view, &self.counters, |_| true);
        }
        found
    }
}

/// The states of servers that share a history.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    states: Vec<State>,
    /// When each came about, in milliseconds.
    times: Vec<u64>,
    by_id: HashMap<Uuid, Vec<usize>>,
    by_comment: BTreeMap<String, Vec<usize>>,
}

impl Lineage {
    fn push(&mut self, id: Uuid, state: State) -> usize {
        let at = self.states.len();
        self.states.push(state);
        self.times.push(crate::trace::elapsed());
        self.by_id.entry(id).or_default().push(at);
        at
    }

    fn add(&mut self, commit: &Committed<Database>) -> bool {
        if self.by_id.contains_key(&commit.id()) {
            return false;
        }
        let mut state = self.last().clone();
        apply::<Item>(&mut state.items, commit);
        apply::<Part>(&mut state.parts, commit);
        apply::<Counter>(&mut state.counters, commit);
        let at = self.push(commit.id(), state);
        if let Some(comment) = commit.comment() {
            self.by_comment
                .entry(comment.to_owned())
                .or_default()
                .push(at);
        }
        note!("commit {at}: {}", commit.comment().unwrap_or("relayed"));
        true
    }

    fn add_full_state(&mut self, full: &FullState) -> bool {
        let state = State::of(full);
        let same = |at: &usize| {
            let known = &self.states[*at];
            known.items == state.items
                && known.parts == state.parts
                && known.counters == state.counters
        };
        let known = self.by_id.get(&full.last());
        if known.is_some_and(|known| known.iter().any(same)) {
            return false;
        }
        let at = self.push(full.last(), state);
        note!("commit {at}: every row");
        true
    }

    /// The last state.
    pub(crate) fn last(&self) -> &State {
        // A lineage begins with a state.
        &self.states[self.states.len() - 1]
    }

    /// The transactions with this comment.
    pub(crate) fn commits(&self, comment: &str) -> &[usize] {
        self.by_comment.get(comment).map_or(&[], Vec::as_slice)
    }

    /// Which state a view shows, or how the view differs from the state that it names. If it names none, the search
    /// begins `behind` states before `from`. When a condition changes and no row is added or removed, the server names
    /// no transaction. So a view that was `reselected` may show a later state than the one it names.
    pub(crate) fn place(
        &self,
        view: &Snapshot,
        selection: &Selection,
        (from, behind, reselected): (usize, usize, bool),
    ) -> Result<usize, String> {
        let id = view.last_txn_id();
        let mut found = None;
        let mut look = |at: &usize| match self.states[*at].difference(view, selection) {
            None => true,
            Some(difference) => {
                found = Some(difference);
                false
            }
        };
        let all = self.states.len();
        let at = if id.is_nil() {
            (from.saturating_sub(behind)..all).find(&mut look)
        } else {
            let named = self.by_id.get(&id).ok_or("the transaction is unknown")?;
            let latest = named.iter().copied().max().unwrap_or_default();
            let later = if reselected {
                latest.max(from)..all
            } else {
                0..0
            };
            later.chain(named.iter().rev().copied()).find(&mut look)
        };
        at.ok_or_else(|| found.unwrap_or_else(|| "no state is like it".to_owned()))
    }

    /// Whether a repeated commit is legitimate: since the first commit of the same work, another client
    /// deleted its item or changed it back, so that the client had to make or change it again.
    pub(crate) fn made_again(&self, at: usize, work: Work, number: u32) -> bool {
        let name = match work {
            Work::Ensure(key, _)
            | Work::Tag(key, _)
            | Work::Label(key, _)
            | Work::Attach(key)
            | Work::Refer(key, _) => format!("k{key}"),
            Work::ChangeWanted(key, _) => crate::controller::name(key),
            Work::Increment(_) | Work::Add(_) | Work::AddApplied(_) => return false,
            _ => format!("i{number}"),
        };
        let item = |state: &State| {
            let mut items = state.items.values();
            items.find(|item| *item.name == *name).cloned()
        };
        let commits = self.commits(&crate::work::comment(number));
        let first = commits.first().copied().unwrap_or(at);
        let before = |at: usize| item(&self.states[at.saturating_sub(1)]);
        self.states[first..at]
            .iter()
            .any(|state| item(state).is_none())
            || first < at && before(first) == before(at)
            // Conversions removed the column `note` and added it again: only the note is set again.
            || first < at
                && item(&self.states[at]).map(|item| item.labels.clone())
                    == before(at).map(|item| item.labels.clone())
                && matches!(work, Work::Label(..))
    }

    /// The first state that has an item of this name.
    pub(crate) fn first_with(&self, name: &str) -> Option<usize> {
        let has = |state: &State| state.items.values().any(|item| *item.name == *name);
        self.states.iter().position(has)
    }

    /// Whether a view shows the state `least` or a later one.
    pub(crate) fn shows(&self, view: &Snapshot, selection: &Selection, least: usize) -> bool {
        (least..self.states.len()).any(|at| self.states[at].difference(view, selection).is_none())
    }
}

/// The lineages of a run.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) lineages: Vec<Lineage>,
    servers: HashMap<Uuid, usize>,
}

impl Oracle {
    /// Begins a lineage with a server.
    pub(crate) fn begin(&mut self, server: &Server) -> usize {
        self.take();
        let lineage = self.lineages.len();
        self.lineages.push(Lineage::default());
        if let Some(full) = server.simulated_state(Database::NAME) {
            self.lineages[lineage].push(full.last(), State::of(&full));
        }
        self.join(server, lineage);
        lineage
    }

    /// Adds a server to a lineage.
    pub(crate) fn join(&mut self, server: &Server, lineage: usize) {
        self.servers.insert(server.simulated_id(), lineage);
    }

    /// Adds a restarted server to the lineage that it had. Its last transaction may have another id. With
    /// `may_differ`, for a relay, it may have other rows: those of its source.
    pub(crate) fn go_on(&mut self, server: &Server, lineage: usize, may_differ: bool) {
        self.take();
        if let Some(full) = server.simulated_state(Database::NAME) {
            let lineage = &mut self.lineages[lineage];
            let (last, state) = (lineage.last(), State::of(&full));
            let is_same = (&last.items, &last.parts, &last.counters)
                == (&state.items, &state.parts, &state.counters);
            claim(
                "a restarted server has the rows that it had before",
                is_same || may_differ,
                || format!("{last:?}, then {state:?}"),
            );
            lineage.add_full_state(&full);
        }
        self.join(server, lineage);
    }

    /// Which state of its lineage a server has; if that was made at the time `before` or later, the last one
    /// made earlier.
    pub(crate) fn state_of(&mut self, server: &Server, before: u64) -> Option<usize> {
        self.take();
        let lineage = self
            .lineages
            .get(*self.servers.get(&server.simulated_id())?)?;
        let last = server.simulated_state(Database::NAME)?.last();
        let state = lineage.by_id.get(&last)?.iter().copied().min()?;
        let earlier = lineage.times.partition_point(|time| *time < before);
        Some(state.min(earlier.saturating_sub(1)))
    }

    /// How many states the servers have had.
    pub(crate) fn states(&self) -> u64 {
        self.lineages
            .iter()
            .map(|lineage| lineage.states.len() as u64)
            .sum()
    }

    /// Adds what the servers have done since the last call, and returns whether they have done anything.
    pub(crate) fn take(&mut self) -> bool {
        let mut news = false;
        for (server, event) in take_events::<Database>() {
            let Some(lineage) = self.servers.get(&server) else {
                continue;
            };
            let lineage = &mut self.lineages[*lineage];
            news |= match event {
                Event::Commit(commit) => lineage.add(&commit),
                Event::FullState(full) => lineage.add_full_state(&full),
            };
        }
        news
    }
}
