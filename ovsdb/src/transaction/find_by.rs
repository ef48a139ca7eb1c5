//! What a transaction can find rows by: a column that the schema makes unique, an index of the schema
//! over several columns, or an index that the program declares.

use std::hash::Hash;

use crate::cache::{Index, Key, KeyName, TableView};
use crate::model::{AllOf, Column, Mutability, Row, Table, Unique, UniqueIndex};
use crate::trie::hash_of;
use crate::value::{Sealed, Uuid, Value};

/// A column or an index by which [`Transaction::get_by`](super::Transaction::get_by),
/// [`find`](super::Transaction::find) and [`ensure`](super::Transaction::ensure) find rows of `T`. `Q`
/// converts into its key.
///
/// | | key |
/// |---|---|
/// | a column that an index of the schema makes [unique](Unique) | a value that converts into its type |
/// | a [`UniqueIndex`] over several columns | a tuple of such values |
/// | a reference to a declared [`Index`] | a value that converts into its key |
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
    label = "has no index, or its key has another type",
    note = "a column finds rows if the schema has an index over this column alone",
    note = "for other columns, declare an `ovsdb::cache::Index` when the cache is built"
)]
pub trait FindBy<T: Table, Q>: Sealed {
    /// The column or index itself, independent of the type `Q`.
    #[doc(hidden)]
    type By: RowKey<T> + Clone;
    /// The column or index itself.
    #[doc(hidden)]
    fn by(&self) -> &Self::By;
    /// Converts the value into a key.
    #[doc(hidden)]
    fn key(&self, query: Q) -> <Self::By as RowKey<T>>::Key;
}

/// Maps each uuid in a key to another one.
pub(crate) type OtherUuids<'a> = &'a mut dyn FnMut(Uuid) -> Uuid;

/// A column or an index that finds rows.
#[doc(hidden)]
#[expect(unnameable_types, reason = "no other crate implements it")]
pub trait RowKey<T: Table>: Sealed + Send + Sync + 'static {
    /// The type of the keys.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// Appends the rows of a view that have the key, in no particular order. Returns false when the
    /// cache was started without the index.
    fn find_in<'v>(
        &self,
        table: TableView<'v, T>,
        key: &Self::Key,
        found: &mut Vec<&'v Row<T>>,
    ) -> bool;
    /// Prefetches the rows with these keys, and these of their columns.
    fn look_ahead(&self, table: TableView<'_, T>, keys: &[&Self::Key], columns: &[usize]);
    /// Whether a row has the key.
    fn has(&self, row: &Row<T>, key: &Self::Key) -> bool;
    /// The keys of a row.
    fn each_key(&self, row: &Row<T>, each: &mut dyn FnMut(&Self::Key));
    /// The condition for rows with the key; `None` where conditions cannot express it.
    fn condition(&self, key: &Self::Key) -> Option<AllOf<T>>;
    /// Writes the key into a row, where that is possible.
    fn put(&self, row: &mut T, key: &Self::Key);
    /// The columns that an index of the compiled schema makes unique, if this is such an index.
    fn unique_columns(&self) -> Option<Vec<&'static str>>;
    /// What rows are found by.
    #[expect(private_interfaces, reason = "only this crate asks")]
    fn name(&self) -> KeyName;
    /// The key with its uuids mapped; `None` for an index by a function or by the values of a map.
    fn with_uuids(&self, key: &Self::Key, other: OtherUuids<'_>) -> Option<Self::Key>;
}

/// A value of a column with its uuids mapped.
fn value_with<V: Value>(value: &V, other: OtherUuids<'_>) -> V {
    let other = value.with_uuids(other);
    other.as_any().downcast_ref().unwrap_or(value).clone()
}

impl<T, V, M, Q> FindBy<T, Q> for Column<T, V, Unique<M>>
where
    T: Table,
    V: Value,
    M: Mutability,
    Q: Into<V>,
{
    type By = Self;

    fn by(&self) -> &Self {
        self
    }

    fn key(&self, query: Q) -> V {
        query.into()
    }
}

#[expect(private_interfaces, reason = "only this crate asks for the name")]
impl<T, V, M> RowKey<T> for Column<T, V, Unique<M>>
where
    T: Table,
    V: Value,
    M: Mutability,
{
    type Key = V;

    fn find_in<'v>(&self, table: TableView<'v, T>, key: &V, found: &mut Vec<&'v Row<T>>) -> bool {
        found.extend(table.get_by(*self, key));
        true
    }

    fn look_ahead(&self, table: TableView<'_, T>, keys: &[&V], columns: &[usize]) {
        let hashes = keys
            .iter()
            .map(|key| hash_of(|mut hasher| key.hash(&mut hasher)));
        let index = T::INDEXES.iter().position(|index| *index == [self.index()]);
        if let Some(index) = index {
            table.look_ahead(index, &hashes.collect::<Vec<_>>(), columns);
        }
    }

    fn has(&self, row: &Row<T>, key: &V) -> bool {
        self.get(row) == key
    }

    fn each_key(&self, row: &Row<T>, each: &mut dyn FnMut(&V)) {
        each(self.get(row));
    }

    fn condition(&self, key: &V) -> Option<AllOf<T>> {
        Some(self.eq(key.clone()).into())
    }

    fn put(&self, row: &mut T, key: &V) {
        Self::put(*self, row, key.clone());
    }

    fn unique_columns(&self) -> Option<Vec<&'static str>> {
        Some(vec![Self::name(*self)])
    }

    fn name(&self) -> KeyName {
        KeyName::Column(self.index())
    }

    fn with_uuids(&self, key: &V, other: OtherUuids<'_>) -> Option<V> {
        Some(value_with(key, other))
    }
}

impl<T, K, Q> FindBy<T, Q> for &Index<T, K>
where
    T: Table,
    K: Key,
    Q: Into<K>,
{
    type By = Index<T, K>;

    fn by(&self) -> &Index<T, K> {
        self
    }

    fn key(&self, query: Q) -> K {
        query.into()
    }
}

#[expect(private_interfaces, reason = "only this crate asks for the name")]
impl<T: Table, K: Key> RowKey<T> for Index<T, K> {
    type Key = K;

    fn find_in<'v>(&self, table: TableView<'v, T>, key: &K, found: &mut Vec<&'v Row<T>>) -> bool {
        table.find_into(self, key, found)
    }

    fn look_ahead(&self, table: TableView<'_, T>, keys: &[&K], columns: &[usize]) {
        table.look_ahead_in(self, keys.iter().copied(), columns);
    }

    fn has(&self, row: &Row<T>, key: &K) -> bool {
        Self::has(self, row, key)
    }

    fn each_key(&self, row: &Row<T>, each: &mut dyn FnMut(&K)) {
        self.keys(row).iter().for_each(each);
    }

    fn condition(&self, key: &K) -> Option<AllOf<T>> {
        Self::condition(self, key).map(Into::into)
    }

    fn put(&self, row: &mut T, key: &K) {
        Self::put(self, row, key);
    }

    fn unique_columns(&self) -> Option<Vec<&'static str>> {
        None
    }

    fn name(&self) -> KeyName {
        Self::name(self)
    }

    fn with_uuids(&self, key: &K, other: OtherUuids<'_>) -> Option<K> {
        Self::with_uuids(self, key, other)
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
            type By = Self;

            fn by(&self) -> &Self {
                self
            }

            fn key(&self, query: ($($query,)*)) -> ($($value,)*) {
                ($( query.$at.into(), )*)
            }
        }

        #[expect(private_interfaces, reason = "only this crate asks for the name")]
        impl<T: Table, $($value: Value),*> RowKey<T> for UniqueIndex<T, ($($value,)*)> {
            type Key = ($($value,)*);

            fn find_in<'v>(
                &self,
                table: TableView<'v, T>,
                key: &Self::Key,
                found: &mut Vec<&'v Row<T>>,
            ) -> bool {
                found.extend(table.get_by(*self, ($( &key.$at, )*)));
                true
            }

            fn look_ahead(&self, table: TableView<'_, T>, keys: &[&Self::Key], columns: &[usize]) {
                let hashes = keys.iter().map(|key| hash_of(|mut hasher| {
                    $( key.$at.hash(&mut hasher); )*
                }));
                table.look_ahead(self.position(), &hashes.collect::<Vec<_>>(), columns);
            }

            fn has(&self, row: &Row<T>, key: &Self::Key) -> bool {
                let get = self.accessors();
                $( *(get.$at)(row) == key.$at )&&*
            }

            fn each_key(&self, row: &Row<T>, each: &mut dyn FnMut(&Self::Key)) {
                let get = self.accessors();
                each(&($( (get.$at)(row).clone(), )*));
            }

            fn condition(&self, key: &Self::Key) -> Option<AllOf<T>> {
                let columns = T::INDEXES.get(self.position())?;
                let mut all = AllOf::all();
                $( all = all.and(AllOf::column_is(*columns.get($at)?, &key.$at)); )*
                Some(all)
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

            fn unique_columns(&self) -> Option<Vec<&'static str>> {
                let columns = T::INDEXES.get(self.position())?.iter();
                Some(columns.map(|column| T::COLUMNS[*column].name).collect())
            }

            fn name(&self) -> KeyName {
                KeyName::SchemaIndex(self.position())
            }

            fn with_uuids(&self, key: &Self::Key, other: OtherUuids<'_>) -> Option<Self::Key> {
                Some(($( value_with(&key.$at, other), )*))
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

#[cfg(test)]
#[cfg(feature = "nb")]
mod tests {
    use super::*;
    use crate::value::{Ref, Str};
    use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort};

    /// The keys of a row into which this key was put.
    fn keys_of<T: Table, B: RowKey<T>>(by: &B, key: &B::Key) -> Vec<B::Key> {
        let mut row = T::default();
        by.put(&mut row, key);
        let row = Row::new(Uuid::nil(), row);
        let mut keys = Vec::new();
        by.each_key(&row, &mut |key| keys.push(key.clone()));
        assert_eq!(by.has(&row, key), keys.contains(key));
        assert!(!by.has(&Row::new(Uuid::nil(), T::default()), key));
        keys
    }

    fn text<T: Table, B: RowKey<T>>(by: &B, key: &B::Key) -> Option<String> {
        Some(by.condition(key)?.to_text())
    }

    #[test]
    fn columns_and_indexes_find_rows_by_their_keys() {
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut other = |_: Uuid| second;
        let (name, key) = (LogicalSwitchPort::NAME, Str::from("p"));
        assert_eq!(keys_of(&name, &key), ["p"]);
        assert_eq!(text(&name, &key).as_deref(), Some("name == p"));
        assert_eq!(name.unique_columns(), Some(vec!["name"]));
        assert_eq!(RowKey::with_uuids(&name, &key, &mut other), Some(key));

        let (ports, port) = (
            Index::elements(LogicalSwitch::PORTS),
            Ref::<LogicalSwitchPort>::new(first),
        );
        assert_eq!(keys_of(&ports, &port), [port]);
        assert!(text(&ports, &port).is_some_and(|text| text.contains(&first.to_string())));
        assert_eq!(ports.unique_columns(), None);
        let tags = Index::elements(LogicalSwitchPort::TAG);
        assert_eq!(keys_of(&tags, &5), [5]);
        assert_eq!(
            RowKey::with_uuids(&ports, &port, &mut other),
            Some(Ref::new(second))
        );

        // Which columns a function reads is not known.
        let lengths = Index::function(|switch: &LogicalSwitch| [switch.name.len()]);
        assert_eq!(keys_of(&lengths, &7), [0]);
        assert_eq!(text(&lengths, &7), None);
        assert_eq!(RowKey::with_uuids(&lengths, &7, &mut other), None);
    }
}
