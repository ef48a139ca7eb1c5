//! Double buffering of a table's states.
//!
//! A published state is never changed. Once no snapshot and no stream holds the state before it,
//! the changes that it missed are replayed into it, and it is reused. In steady state two copies
//! alternate and share no node, so an update copies nothing; in exchange, each row has two
//! reference counts. While readers hold the other copy, the writer makes a third one, which at
//! first shares all nodes with the published state.

use std::collections::VecDeque;
use std::sync::Arc;

use super::table_state::{RowChanges, TableState};

/// How many earlier states are kept for reuse, and so how many updates a stream may lag before an
/// update has to copy. Each state takes about 25 bytes a row where there is an index.
const MOST: usize = 8;
/// How many changes of rows an earlier state may have missed. The old versions of these rows are kept
/// until it is reused.
const MISSED: usize = 4096;

/// The published state of a table, earlier ones, and the one that the next update changes.
#[derive(Debug)]
pub(super) struct Copies {
    published: Arc<TableState>,
    /// Earlier states, oldest first.
    earlier: VecDeque<Arc<TableState>>,
    /// The changes of rows since the oldest of them, one entry a version.
    log: VecDeque<Arc<RowChanges>>,
    working: Option<TableState>,
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

    /// Starts over with an empty working state.
    pub(super) fn begin_fresh(&mut self) {
        self.forget();
        self.working = Some(self.published.emptied());
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
    use crate::value::Uuid;

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

    fn started() -> Copies {
        let mut copies = Copies::new(Arc::new(TableState::new(TableType::of::<Item>())));
        copies.begin_fresh();
        let rows = (0..ROWS).map(|number| item(number, 0)).collect();
        copies.working().fill(rows).expect("each once");
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
        // One that is reused, and the two that readers hold.
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
    fn earlier_states_are_dropped_when_a_replica_starts_over() {
        let mut copies = started();
        update(&mut copies, 1);
        update(&mut copies, 2);
        copies.begin_fresh();
        assert!(copies.earlier.is_empty());
        let rows = (0..ROWS).map(|number| item(number, 7)).collect();
        copies.working().fill(rows).expect("each once");
        copies.publish().expect("rows");
        assert!(copies.earlier.is_empty());
        update(&mut copies, 13);
        update(&mut copies, 24);
        let now = copies.published();
        assert_eq!([2, 3, 4].map(|number| count(now, number)), [7, 13, 24]);
    }
}
