//! Double buffering of a table's states.
//!
//! The newest published state is never changed, nor is any that a reader holds. Once no snapshot and no
//! stream holds an earlier state, the changes that this state missed are replayed into it, and it is
//! reused. In steady state two copies alternate. They share only nodes that no update has changed, so a
//! node is copied only at its first change; in exchange, changed nodes exist twice, and each of their
//! rows is referred to twice. While readers hold the other copy, the writer makes a third one, which at
//! first shares all nodes with the published state.
//!
//! When the server sends every row again, most of them are usually equal to those of the published
//! state. Then only the others are changed, as by an update: unchanged rows, nodes and index entries keep
//! their place in memory, and two copies keep alternating.

use std::collections::VecDeque;
use std::sync::Arc;

use super::erased::SharedRow;
use super::table_state::{RowChanges, TableState};
use super::table_type::TableType;
use crate::trie::{hash_uuid, twice};
use crate::value::Uuid;

/// How many earlier states are kept for reuse, and so how many updates a stream may lag before an
/// update has to copy. A state that shares no nodes takes at least 24 bytes a row, and 8 more for each
/// index of the schema.
const MOST: usize = 8;
/// How many changes of rows an earlier state may have missed. The old versions of these rows are kept
/// until it is reused.
const MISSED: usize = 4096;
/// When every row was sent and more than one in this many differs from the published rows, a new state
/// is built. That is faster than changing so many rows, and takes no more memory, since most nodes would
/// be copied anyway.
const SHARE: usize = 8;

/// The published state of a table, earlier ones, and the one that the next update changes.
#[derive(Debug)]
pub(super) struct Copies {
    published: Arc<TableState>,
    /// Earlier states, oldest first.
    earlier: VecDeque<Arc<TableState>>,
    /// The changes of rows since the oldest of the earlier states, one entry a version.
    log: VecDeque<Arc<RowChanges>>,
    working: Option<TableState>,
}

/// The rows of a message that contains every row of the table.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// The hashes of the uuids of rows that are equal to published ones, where no other published row
    /// has the hash. Usually most rows are equal. Only the four bytes of the hash are kept, because the
    /// allocator seldom returns to the system the memory that a decoding thread used for a short time.
    equal: Vec<u32>,
    /// All other rows, each with the hash of its uuid.
    others: Vec<(u32, SharedRow)>,
}

impl Gathered {
    /// Adds a row. It is freed if it is equal to a published one.
    pub(super) fn add(&mut self, published: &TableState, row: SharedRow) {
        let hash = hash_uuid(row.uuid());
        match published.equal(hash, &row) {
            Some((_, true)) => self.equal.push(hash),
            Some((known, false)) => self.others.push((hash, known.clone())),
            None => self.others.push((hash, row)),
        }
    }

    /// Sorts the rows. The error is a uuid that was added twice.
    fn sort(&mut self, published: &TableState) -> Result<(), Uuid> {
        self.others.sort_unstable_by_key(|row| row.0);
        if let Some(row) = twice(&self.others) {
            return Err(row.uuid());
        }
        self.equal.sort_unstable();
        let twice = self.equal.windows(2).find(|two| two[0] == two[1]);
        let row = twice.and_then(|two| published.rows.get(two[0], |_| true));
        // A row can be sent twice: once as it is published, and once with other columns.
        let mut others = self.others.iter().map(|(hash, row)| (hash, row.uuid()));
        let other = others.find(|(hash, uuid)| {
            self.equal.binary_search(hash).is_ok() && published.get(*uuid).is_some()
        });
        match row.map(|row| row.uuid()).or(other.map(|other| other.1)) {
            Some(uuid) => Err(uuid),
            None => Ok(()),
        }
    }
}

/// How a row differs from the published one.
enum Difference {
    /// It is new or changed.
    Put(SharedRow),
    /// It does not exist any more.
    Remove(Uuid),
}

impl Copies {
    pub(super) const fn new(published: Arc<TableState>) -> Self {
        Self {
            published,
            earlier: VecDeque::new(),
            log: VecDeque::new(),
            working: None,
        }
    }

    pub(super) const fn published(&self) -> &Arc<TableState> {
        &self.published
    }

    /// The state after the published one, to be changed.
    pub(super) fn working(&mut self) -> &mut TableState {
        let working = match self.working.take() {
            Some(working) => working,
            None => self.follow().unwrap_or_else(|| self.published.successor()),
        };
        self.working.insert(working)
    }

    /// How many versions a state has missed.
    fn missed(&self, state: &TableState) -> usize {
        let missed = self.published.version() - state.version();
        usize::try_from(missed).unwrap_or(usize::MAX)
    }

    /// The newest of the earlier states that no reader holds, brought up to date.
    fn follow(&mut self) -> Option<TableState> {
        let is_free = |state: &Arc<TableState>| Arc::strong_count(state) == 1;
        let at = self.earlier.iter().rposition(is_free)?;
        let mut state = Arc::into_inner(self.earlier.remove(at)?)?;
        let known = self.log.len().checked_sub(self.missed(&state))?;
        state.follow(self.log.iter().skip(known));
        Some(state)
    }

    /// Forgets the earlier states.
    fn forget(&mut self) {
        self.earlier.clear();
        self.log.clear();
    }

    /// Makes a working state with these rows and no others; none if they are the published rows. The
    /// error is a uuid that occurs twice.
    pub(super) fn fill(&mut self, table: &TableType, mut rows: Gathered) -> Result<(), Uuid> {
        self.working = None;
        rows.sort(&self.published)?;
        if let Some(differences) = self.differences(&rows) {
            drop(rows);
            if differences.is_empty() {
                return Ok(());
            }
            let working = self.working();
            working.table = table.clone();
            for difference in differences {
                match difference {
                    Difference::Put(row) => drop(working.insert(row)),
                    Difference::Remove(uuid) => drop(working.remove(uuid)),
                }
            }
            return Ok(());
        }
        self.forget();
        let mut state = self.published.emptied();
        state.table = table.clone();
        let mut all = rows.others;
        all.extend(self.published.rows.kept(&rows.equal));
        all.sort_unstable_by_key(|row| row.0);
        state.fill(all);
        self.working = Some(state);
        Ok(())
    }

    /// How the rows differ from the published ones; `None` when too many differ.
    fn differences(&self, rows: &Gathered) -> Option<Vec<Difference>> {
        let most = self.published.rows.len() / SHARE;
        let (mut differences, mut count) = (Vec::new(), 0);
        let mut each = |old: Option<&SharedRow>, new: Option<&SharedRow>| {
            count += 1;
            if count <= most {
                let put = new.map(|row| Difference::Put(row.clone()));
                differences.extend(put.or_else(|| Some(Difference::Remove(old?.uuid()))));
            }
        };
        let published = &self.published.rows;
        published.diff_sorted(&rows.equal, &rows.others, &mut each);
        (count <= most).then_some(differences)
    }

    /// Goes back to the published state.
    pub(super) fn roll_back(&mut self) {
        self.working = None;
    }

    /// Makes the working state the published one, if anything changed.
    pub(super) fn publish(&mut self) -> Option<&Arc<TableState>> {
        let mut state = self.working.take_if(|working| working.is_changed())?;
        state.finish();
        let changes = state.changes().cloned();
        let before = std::mem::replace(&mut self.published, Arc::new(state));
        match changes {
            None => self.forget(),
            Some(changes) => {
                self.earlier.push_back(before);
                self.log.push_back(changes);
                self.trim();
            }
        }
        Some(&self.published)
    }

    /// Drops the oldest states while there are too many or they missed too much, and the changes that no
    /// remaining state has missed.
    fn trim(&mut self) {
        if self.earlier.len() > MOST {
            self.earlier.pop_front();
        }
        let mut missed: usize = self.log.iter().map(|changes| changes.len()).sum();
        loop {
            let oldest = self.earlier.front();
            let versions = oldest.map_or(0, |state| self.missed(state));
            while self.log.len() > versions {
                missed -= self.log.pop_front().map_or(0, |changes| changes.len());
            }
            if missed <= MISSED {
                return;
            }
            self.earlier.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::erased::{SharedRow, typed};
    use crate::cache::table_type::TableType;
    use crate::model::Row;

    #[derive(Debug)]
    struct Inventory;

    impl ovsdb::Database for Inventory {
        const NAME: &'static str = "Inventory";
        const VERSION: Option<&'static str> = None;
    }

    #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
    #[ovsdb(database = Inventory, table = "Item")]
    struct Item {
        count: i64,
    }

    fn item(number: usize, count: i64) -> SharedRow {
        Arc::new(Row::new(uuid(number), Item { count }))
    }

    fn uuid(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    const ROWS: usize = 5000;

    /// Makes a working state with these rows and no others.
    fn fill(copies: &mut Copies, rows: impl Iterator<Item = SharedRow>) -> Result<(), Uuid> {
        let mut gathered = Gathered::default();
        rows.for_each(|row| gathered.add(&copies.published, row));
        copies.fill(&TableType::of::<Item>(), gathered)
    }

    fn started() -> Copies {
        let mut copies = Copies::new(Arc::new(TableState::new(TableType::of::<Item>())));
        fill(&mut copies, (0..ROWS).map(|number| item(number, 0))).expect("each once");
        copies.publish().expect("rows");
        copies
    }

    /// Changes every tenth row.
    fn update(copies: &mut Copies, step: usize) {
        for number in (step % 10..ROWS).step_by(10) {
            assert!(copies.working().insert(item(number, step as i64)));
        }
        copies.publish().expect("changes");
    }

    fn count(state: &TableState, number: usize) -> i64 {
        let row = state.get(uuid(number)).expect("a row");
        typed::<Item>(&**row).expect("an item").count
    }

    #[test]
    fn two_copies_alternate_and_end_up_sharing_nothing() {
        let mut copies = started();
        for step in 1..=40 {
            update(&mut copies, step);
            assert_eq!(copies.earlier.len(), 1, "one earlier state is kept");
        }
        let earlier = copies.earlier.pop_front().expect("a state");
        let [mut published, mut earlier] = [copies.published, earlier];
        assert_eq!((count(&published, 5), count(&published, 0)), (35, 40));
        assert_eq!((count(&earlier, 5), count(&earlier, 0)), (35, 30));
        for state in [&mut published, &mut earlier] {
            let state = Arc::get_mut(state).expect("the only handle");
            assert!(state.rows.is_mostly_unshared());
        }
    }

    #[test]
    fn nothing_is_published_when_no_row_has_changed() {
        let mut copies = started();
        assert!(copies.publish().is_none());
        let row = copies.published().get(uuid(7)).expect("a row").clone();
        copies.working().replace(&*row, item(7, 0), &[0]);
        assert!(copies.publish().is_none());
        copies.working().replace(&*row, item(7, 1), &[0]);
        assert!(copies.publish().is_some());
    }

    #[test]
    fn a_state_that_readers_hold_is_unchanged_and_is_reused_once_they_drop_it() {
        let mut copies = started();
        // Readers of all states, then of the last two.
        let mut held: Vec<_> = (1..=10)
            .map(|step| {
                update(&mut copies, step);
                copies.published().clone()
            })
            .collect();
        assert_eq!(copies.earlier.len(), MOST);
        for (state, step) in held.iter().zip(1..) {
            assert_eq!(count(state, step as usize % 10), step);
        }
        held.drain(..8);
        for step in 11..30 {
            update(&mut copies, step);
            held.push(copies.published().clone());
            held.remove(0);
            let now = copies.published();
            let expected = (0..10).map(|back| (step - back) as i64);
            let counts = (0..10).map(|back| count(now, (step - back) % 10));
            assert!(counts.eq(expected), "at {step}");
        }
        // One that is reused, and one that a reader holds. The other reader holds the published state.
        assert_eq!(copies.earlier.len(), 2);
    }

    #[test]
    fn a_state_that_was_held_for_a_while_is_reused_after_replaying_what_it_missed() {
        let mut copies = started();
        (1..=20).for_each(|step| update(&mut copies, step));
        let held = copies.published().clone();
        (21..=26).for_each(|step| update(&mut copies, step));
        assert_eq!(copies.earlier.len(), 2, "one is still held by a reader");
        assert_eq!(count(&held, 5), 15);
        drop(held);
        // The other state is held, so this one is reused, six updates late.
        let other = copies.earlier.back().expect("a state").clone();
        update(&mut copies, 27);
        assert_eq!(count(copies.published(), 5), 25);
        assert_eq!(count(copies.published(), 7), 27);
        assert_eq!(
            copies.log.len(),
            2,
            "exactly the changes that the other state missed are kept"
        );
        drop(other);

        // A state that missed too much is dropped, and with it the changes that it missed.
        let held = copies.published().clone();
        (28..=50).for_each(|step| update(&mut copies, step));
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(copies.log.len(), 1);
    }

    #[test]
    fn earlier_states_are_dropped_when_most_rows_are_replaced() {
        let mut copies = started();
        update(&mut copies, 1);
        update(&mut copies, 2);
        assert_eq!(copies.earlier.len(), 1);
        fill(&mut copies, (0..ROWS).map(|number| item(number, 7))).expect("each once");
        copies.publish().expect("rows");
        assert!(copies.earlier.is_empty());
        update(&mut copies, 13);
        update(&mut copies, 24);
        let now = copies.published();
        assert_eq!([2, 3, 4].map(|number| count(now, number)), [7, 13, 24]);
    }

    #[test]
    fn rows_that_are_sent_again_stay_where_they_are() {
        let mut copies = started();
        (1..=20).for_each(|step| update(&mut copies, step));
        assert_eq!(copies.earlier.len(), 1);
        let before = copies.published().clone();
        let rows: Vec<SharedRow> = before.rows.iter().cloned().collect();

        // All rows as they are: nothing changes.
        fill(&mut copies, rows.iter().cloned()).expect("each once");
        assert!(copies.publish().is_none());
        assert!(Arc::ptr_eq(&before, copies.published()));
        assert_eq!(copies.earlier.len(), 1, "the other copy is kept");

        // One row twice: nothing changes either.
        let again = rows.iter().chain(&rows[7..8]).cloned();
        assert_eq!(fill(&mut copies, again), Err(rows[7].uuid()));
        let changed = item(rows[9].uuid().as_u128() as usize, -1);
        let again = rows.iter().cloned().chain([changed]);
        assert_eq!(fill(&mut copies, again), Err(rows[9].uuid()));
        copies.roll_back();
        assert!(Arc::ptr_eq(&before, copies.published()));

        // A few rows are deleted, changed and new. The state before is not changed, since a reader holds it.
        let others = (0..10).map(|number| item(number, 77));
        let news = (ROWS..ROWS + 5).map(|number| item(number, 78));
        let kept = rows.iter().filter(|row| {
            let number = row.uuid().as_u128() as usize;
            (10..ROWS - 3).contains(&number)
        });
        let now = kept.cloned().chain(others).chain(news);
        fill(&mut copies, now).expect("each once");
        let now = copies.publish().expect("changes").clone();
        assert_eq!(now.rows.len(), ROWS + 2);
        assert_eq!(
            [5, 15, ROWS].map(|number| count(&now, number)),
            [77, 15, 78]
        );
        assert!(now.get(uuid(ROWS - 1)).is_none());
        assert_eq!([5, ROWS - 1].map(|number| count(&before, number)), [15, 19]);
        let recorded = now.changes().expect("few enough to be recorded");
        assert_eq!(recorded.len(), 10 + 3 + 5);
        let at = |state: &TableState, number| Arc::as_ptr(state.get(uuid(number)).expect("a row"));
        assert!(std::ptr::addr_eq(at(&before, 100), at(&now, 100)));
        drop(before);
        update(&mut copies, 21);
        assert_eq!(copies.earlier.len(), 1, "two copies keep alternating");
    }
}
