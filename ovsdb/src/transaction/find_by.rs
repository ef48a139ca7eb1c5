//! What a transaction finds rows by: a column that the schema makes unique, an index of the schema over
//! several columns, or an index that the program declares.

use crate::cache::{Index, Key, TableView};
use crate::model::{AllOf, Column, Mutability, Row, Table, Unique, UniqueIndex};
use crate::value::{Ref, Sealed, Value};

/// What [`Transaction::get_by`](super::Transaction::get_by), [`find`](super::Transaction::find) and
/// [`ensure`](super::Transaction::ensure) find rows of `T` by, with a key that is made of a `Q`.
///
/// | | key |
/// |---|---|
/// | a column that an index of the schema makes [unique](Unique) | what converts into its value |
/// | a [`UniqueIndex`] over several columns | a tuple of such |
/// | a reference to a declared [`Index`] | what converts into its key |
///
/// ```
/// # #[cfg(feature = "nb")]
/// # fn example(txn: &mut ovsdb::nb::Transaction) {
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// let port = txn.get_by(Port::NAME, "p1");
/// # let _ = port;
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "no index finds a row by `{Self}`",
    label = "not indexed, or not by a key of this type",
    note = "a column can be looked up by if the schema has an index over it alone",
    note = "for other columns, declare an `ovsdb::cache::Index` when the cache is built"
)]
pub trait FindBy<T: Table, Q>: Sealed {
    /// The key.
    #[doc(hidden)]
    type Key;
    /// The key that is made of this.
    #[doc(hidden)]
    fn key(&self, query: Q) -> Self::Key;
    /// The rows of a view that have the key; `None` when the cache was started without the index.
    #[doc(hidden)]
    fn find_in(&self, table: TableView<'_, T>, key: &Self::Key) -> Option<Vec<Ref<T>>>;
    /// Whether a row has the key.
    #[doc(hidden)]
    fn has(&self, row: &Row<T>, key: &Self::Key) -> bool;
    /// The rows that have the key; `None` where no condition says so.
    #[doc(hidden)]
    fn condition(&self, key: &Self::Key) -> Option<AllOf<T>>;
    /// Gives a row the key, where that is possible.
    #[doc(hidden)]
    fn put(&self, row: &mut T, key: &Self::Key);
    /// The columns that an index of the compiled schema makes unique, if it is one.
    #[doc(hidden)]
    fn unique_columns(&self) -> Option<Vec<&'static str>>;
    /// Finds the rows that have the key in any view.
    #[doc(hidden)]
    fn finder(&self, key: Self::Key) -> Finder<T>;
}

/// Finds rows in a view; `None` when the cache was started without the index.
pub(crate) type Finder<T> = Box<dyn Fn(TableView<'_, T>) -> Option<Vec<Ref<T>>> + Send + Sync>;

impl<T, V, M, Q> FindBy<T, Q> for Column<T, V, Unique<M>>
where
    T: Table,
    V: Value,
    M: Mutability,
    Q: Into<V>,
{
    type Key = V;

    fn key(&self, query: Q) -> V {
        query.into()
    }

    fn find_in(&self, table: TableView<'_, T>, key: &V) -> Option<Vec<Ref<T>>> {
        let row = table.get_by(*self, key);
        Some(row.map(Row::reference).into_iter().collect())
    }

    fn has(&self, row: &Row<T>, key: &V) -> bool {
        self.get(row) == key
    }

    fn condition(&self, key: &V) -> Option<AllOf<T>> {
        Some(self.eq(key.clone()).into())
    }

    fn put(&self, row: &mut T, key: &V) {
        Self::put(*self, row, key.clone());
    }

    fn unique_columns(&self) -> Option<Vec<&'static str>> {
        Some(vec![self.name()])
    }

    fn finder(&self, key: V) -> Finder<T> {
        let column = *self;
        Box::new(move |table| FindBy::<T, V>::find_in(&column, table, &key))
    }
}

impl<T, K, Q> FindBy<T, Q> for &Index<T, K>
where
    T: Table,
    K: Key,
    Q: Into<K>,
{
    type Key = K;

    fn key(&self, query: Q) -> K {
        query.into()
    }

    fn find_in(&self, table: TableView<'_, T>, key: &K) -> Option<Vec<Ref<T>>> {
        table.try_find(self, key)
    }

    fn has(&self, row: &Row<T>, key: &K) -> bool {
        Index::has(self, row, key)
    }

    fn condition(&self, key: &K) -> Option<AllOf<T>> {
        Index::condition(self, key).map(Into::into)
    }

    fn put(&self, row: &mut T, key: &K) {
        Index::put(self, row, key);
    }

    fn unique_columns(&self) -> Option<Vec<&'static str>> {
        None
    }

    fn finder(&self, key: K) -> Finder<T> {
        let index = (*self).clone();
        Box::new(move |table| table.try_find(&index, &key))
    }
}

/// Indexes over several columns.
macro_rules! tuples {
    ($( ($($value:ident $query:ident $at:tt),*) )*) => { $(
        impl<T, $($value, $query),*> FindBy<T, ($($query,)*)> for UniqueIndex<T, ($($value,)*)>
        where
            T: Table,
            $( $value: Value, $query: Into<$value>, )*
        {
            type Key = ($($value,)*);

            fn key(&self, query: ($($query,)*)) -> Self::Key {
                ($( query.$at.into(), )*)
            }

            fn find_in(&self, table: TableView<'_, T>, key: &Self::Key) -> Option<Vec<Ref<T>>> {
                let row = table.get_by(*self, ($( &key.$at, )*));
                Some(row.map(Row::reference).into_iter().collect())
            }

            fn has(&self, row: &Row<T>, key: &Self::Key) -> bool {
                let get = self.accessors();
                $( *(get.$at)(row) == key.$at )&&*
            }

            fn condition(&self, key: &Self::Key) -> Option<AllOf<T>> {
                let columns = T::INDEXES.get(self.position())?;
                let mut all = AllOf::all();
                $( all = all.and(AllOf::column_is(*columns.get($at)?, &key.$at)); )*
                Some(all)
            }

            fn unique_columns(&self) -> Option<Vec<&'static str>> {
                let columns = T::INDEXES.get(self.position())?.iter();
                Some(columns.map(|column| T::COLUMNS[*column].name).collect())
            }

            fn finder(&self, key: Self::Key) -> Finder<T> {
                let index = *self;
                Box::new(move |table| {
                    FindBy::<T, ($($value,)*)>::find_in(&index, table, &key)
                })
            }

            fn put(&self, row: &mut T, key: &Self::Key) {
                let columns = T::INDEXES[self.position()];
                $(
                    let place = columns.get($at).and_then(|index| row.column_mut(*index));
                    if let Some(place) = place.and_then(|place| place.as_any_mut().downcast_mut()) {
                        *place = key.$at.clone();
                    }
                )*
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
