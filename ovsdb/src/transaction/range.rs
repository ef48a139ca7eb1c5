//! Reading a range of keys through a transaction.

use std::collections::HashSet;
use std::ops::RangeBounds;
use std::sync::Arc;

use super::read::Peek;
use super::touched::{KeyRead, Touched};
use super::{BuildError, Transaction};
use crate::cache::{Key, OrderedIndex, Snapshot};
use crate::model::{AllOf, Database, Row, Table};

impl<D: Database> Transaction<D> {
    /// The rows with keys in a range of an index, as the transaction leaves them. Each row is returned
    /// once, sorted by its first key in the range.
    ///
    /// The commit verifies each row that is found, as for [`get`](Self::get). For an index over a
    /// column of integers, it also verifies that no other row has come into the range. OVSDB's
    /// conditions order only numbers and cannot find rows without a number, and the exact value of a
    /// real is not known, because servers send reals rounded. So rows that another client adds are not
    /// noticed in any other index, nor in a range of optional integers that has no lower bound, or a bound
    /// that is `None`.
    ///
    /// The server reads the whole table to verify a range.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::cache::OrderedIndex;
    /// use ovsdb::nb::{LogicalRouter as Router, LogicalRouterPolicy as Policy};
    /// use ovsdb::nb::LogicalRouterPolicyAction as Action;
    ///
    /// let priority = OrderedIndex::column(Policy::PRIORITY);
    /// let cache = client.cache().ordered_index(&priority).table::<Router>().start().await?;
    /// let apply = client.edit(&cache, |_, txn| {
    /// // The next free priority: two clients that look for one at the same time get different ones.
    ///     let last = txn.range(&priority, 1000..2000).pop();
    ///     let priority = last.map_or(1000, |last| last.priority + 1);
    ///     let policy = Policy { priority, action: Action::Drop, ..Default::default() };
    ///     let policy = txn.insert(policy);
    ///     txn.insert(Router { policies: [policy].into(), ..Default::default() });
    /// });
    /// apply.await?;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    pub fn range<T: Table<Database = D>, K: Key>(
        &mut self,
        index: &OrderedIndex<T, K>,
        range: impl RangeBounds<K>,
    ) -> Vec<Arc<Row<T>>> {
        if !self.has_table::<T>() {
            return Vec::new();
        }
        let view = self.overlay.view.as_ref();
        let table = view.and_then(Snapshot::try_table::<T>);
        let Some(found) = table.and_then(|table| table.try_range(index, &range)) else {
            self.mistake(BuildError::NoIndex { table: T::TABLE });
            return Vec::new();
        };
        let mut known = HashSet::new();
        let found = found.into_iter().filter(|row| known.insert(row.uuid()));
        let found = found.filter_map(|row| self.overlay.before(row.uuid()));
        let found: Vec<Arc<Row<T>>> = found.collect();
        let condition = index.in_range((range.start_bound(), range.end_bound()));
        let condition = condition.filter(AllOf::is_exact);
        if let Some(condition) = &condition {
            self.check_condition(condition);
        }
        let touched = self.overlay.touch::<T>();
        match condition {
            Some(condition) => touched.read_key(KeyRead {
                condition,
                rows: found.clone(),
                is_whole: true,
                is_guarded: true,
            }),
            None => {
                for row in &found {
                    let read = touched.read.entry(row.uuid());
                    read.or_insert_with(|| Some(row.clone()));
                }
            }
        }
        let untouched = found.into_iter();
        let untouched = untouched.filter(|row| !touched.written.contains_key(&row.uuid()));
        in_order(untouched.chain(touched.left().cloned()), index, &range)
    }
}

impl<'t, D: Database> Peek<'t, D> {
    /// The rows with keys in a range of an index, as the transaction leaves them; see
    /// [`Transaction::range`].
    #[must_use]
    #[track_caller]
    pub fn range<T: Table<Database = D>, K: Key>(
        self,
        index: &OrderedIndex<T, K>,
        range: impl RangeBounds<K>,
    ) -> Vec<&'t Row<T>> {
        let overlay = &self.txn.overlay;
        let touched = overlay.touched::<T>();
        let mut rows = Vec::new();
        if let Some(view) = &overlay.view {
            let Some(found) = view.table::<T>().try_range(index, &range) else {
                panic!("the cache was started without this index of {}", T::TABLE);
            };
            let mut known = HashSet::new();
            let is_written = |row: &Row<T>| {
                touched.is_some_and(|touched| touched.written.contains_key(&row.uuid()))
            };
            let untouched = found.into_iter().filter(|row| !is_written(row));
            rows.extend(untouched.filter(|row| known.insert(row.uuid())));
        }
        let own = touched.into_iter().flat_map(Touched::left);
        in_order(rows.into_iter().chain(own.map(|row| &**row)), index, &range)
    }
}

/// The rows with keys in a range, sorted by their first key in the range.
fn in_order<T: Table, K: Key, R: std::borrow::Borrow<Row<T>>>(
    rows: impl Iterator<Item = R>,
    index: &OrderedIndex<T, K>,
    range: &impl RangeBounds<K>,
) -> Vec<R> {
    let keyed = rows.filter_map(|row| Some((index.first_in(row.borrow(), range)?, row)));
    let mut keyed: Vec<(K, R)> = keyed.collect();
    keyed.sort_by(|(a, row), (b, other)| {
        let uuids = row.borrow().uuid().cmp(&other.borrow().uuid());
        a.cmp(b).then(uuids)
    });
    keyed.into_iter().map(|(_, row)| row).collect()
}
