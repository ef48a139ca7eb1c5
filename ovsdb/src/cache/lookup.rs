//! Looking a row up by a key without a scan: by a column that the schema makes unique, by an index of
//! the schema over several columns, or by an index that the program declares.

use std::borrow::Borrow;
use std::hash::Hash;

use super::index::{Index, Key};
use super::snapshot::{Snapshot, TableView};
use crate::model::{Column, Database, Mutability, Row, Table, Unique, UniqueIndex};
use crate::trie::hash_of;
use crate::value::{Sealed, Value};

/// What [`Snapshot::get_by`](super::Snapshot::get_by) can find rows of `T` by, with a key of type `K`.
///
/// | | key |
/// |---|---|
/// | a column that an index of the schema makes [unique](Unique) | a borrowed value |
/// | a [`UniqueIndex`] over several columns | a tuple of borrowed values |
/// | a reference to a declared [`Index`] | a borrowed key |
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// # let mut rows = ovsdb::testing::SnapshotBuilder::<ovsdb::nb::Database>::new();
/// # rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
/// # let view = rows.build()?;
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// let port = view.get_by(Port::NAME, "p1");
/// assert!(port.is_some());
/// # }
/// # Ok::<(), ovsdb::testing::ReplayError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "no index finds a row by `{Self}`",
    label = "has no index, or its key has another type",
    note = "a column finds rows if the schema has an index over this column alone; the key is a reference to a value",
    note = "for other columns, declare an `ovsdb::cache::Index` when the cache is built, or read every row with `scan_by`"
)]
pub trait LookUp<T: Table, K>: Sealed {
    /// A row with this key.
    #[doc(hidden)]
    fn look_up<'a>(&self, table: TableView<'a, T>, key: K) -> Option<&'a Row<T>>;
}

impl<D: Database> Snapshot<D> {
    /// A row with this key, in a unique index of the schema or a declared index; see
    /// [`TableView::get_by`].
    #[must_use]
    #[track_caller]
    pub fn get_by<T: Table<Database = D>, K>(
        &self,
        by: impl LookUp<T, K>,
        key: K,
    ) -> Option<&Row<T>> {
        self.table().get_by(by, key)
    }
}

impl<'a, T: Table> TableView<'a, T> {
    /// A row with this key, in constant time: by a column that an index of the schema makes
    /// [unique](crate::Unique), by a [`UniqueIndex`](crate::UniqueIndex) over several columns, or by a
    /// declared [`Index`]. Where several rows have the key of a declared index, this returns one of
    /// them.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "testing"))] {
    /// # let mut rows = ovsdb::testing::SnapshotBuilder::<ovsdb::nb::Database>::new();
    /// # rows.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
    /// # rows.table::<ovsdb::nb::StaticMacBinding>();
    /// # let view = rows.build()?;
    /// use ovsdb::nb::{LogicalSwitchPort, StaticMacBinding};
    ///
    /// let port = view.get_by(LogicalSwitchPort::NAME, "p1");
    /// let binding = view.get_by(StaticMacBinding::LOGICAL_PORT_AND_IP, ("rp1", "192.0.2.1"));
    /// assert!(port.is_some() && binding.is_none());
    /// # }
    /// # Ok::<(), ovsdb::testing::ReplayError>(())
    /// ```
    ///
    /// It never reads all rows. A column without an index does not compile: declare an [`Index`], or
    /// use [`scan_by`](Self::scan_by).
    ///
    /// ```compile_fail
    /// # #[cfg(not(feature = "nb"))] compile_error!();
    /// # fn example(view: &ovsdb::Snapshot<ovsdb::nb::Database>) {
    /// use ovsdb::nb::LogicalSwitch;
    ///
    /// let switch = view.get_by(LogicalSwitch::NAME, "sw0"); // several switches may have the same name
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the cache was started without the declared index, which is a bug in the program.
    #[must_use]
    #[track_caller]
    pub fn get_by<K>(self, by: impl LookUp<T, K>, key: K) -> Option<&'a Row<T>> {
        by.look_up(self, key)
    }
}

impl<T, K: Key> Sealed for Index<T, K> {}
impl<T, K: Key> Sealed for &Index<T, K> {}

impl<'k, T, V, M, Q> LookUp<T, &'k Q> for Column<T, V, Unique<M>>
where
    T: Table,
    V: Value + Borrow<Q>,
    M: Mutability,
    Q: Hash + Eq + ?Sized,
{
    fn look_up<'a>(&self, table: TableView<'a, T>, key: &'k Q) -> Option<&'a Row<T>> {
        // The column compiles here only if it has an index.
        let at = T::INDEXES
            .iter()
            .position(|index| *index == [self.index()])?;
        let hash = hash_of(|mut hasher| key.hash(&mut hasher));
        table.indexed(at, hash, |row| self.get(row).borrow() == key)
    }
}

impl<'k, T, K, Q> LookUp<T, &'k Q> for &Index<T, K>
where
    T: Table,
    K: Key + Borrow<Q>,
    Q: Hash + Eq + ?Sized,
{
    #[track_caller]
    fn look_up<'a>(&self, table: TableView<'a, T>, key: &'k Q) -> Option<&'a Row<T>> {
        table.find(self, key).next()
    }
}

/// Indexes over several columns.
macro_rules! tuples {
    ($( ($($value:ident $query:ident $at:tt),*) )*) => { $(
        impl<'k, T, $($value, $query),*> LookUp<T, ($(&'k $query,)*)>
            for UniqueIndex<T, ($($value,)*)>
        where
            T: Table,
            $(
                $value: Value + Borrow<$query>,
                $query: Hash + Eq + ?Sized,
            )*
        {
            fn look_up<'a>(
                &self,
                table: TableView<'a, T>,
                key: ($(&'k $query,)*),
            ) -> Option<&'a Row<T>> {
                let hash = hash_of(|mut hasher| {
                    $( key.$at.hash(&mut hasher); )*
                });
                let get = self.accessors();
                table.indexed(self.position(), hash, |row| {
                    $( (get.$at)(row).borrow() == key.$at )&&*
                })
            }
        }
    )* };
}

tuples! {
    (A P 0, B Q 1)
    (A P 0, B Q 1, C R 2)
    (A P 0, B Q 1, C R 2, D S 3)
    (A P 0, B Q 1, C R 2, D S 3, E U 4)
    (A P 0, B Q 1, C R 2, D S 3, E U 4, F W 5)
}
