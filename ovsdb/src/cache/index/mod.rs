//! The indexes that a program declares, and their keys.

mod hash;
mod ordered;
mod references;
mod treap;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::hash::Hash;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

pub(super) use self::hash::{Found, HashRows};
pub(super) use self::ordered::OrderedRows;
pub(super) use self::references::References;
use super::erased::{ErasedRow, typed};
use crate::model::{AllOf, Column, Condition, Mutability, Row, Table};
use crate::value::{Atom, Atomic, Map, Sealed, Set, Uuid, Value};

/// A key of a declared index: any type with these traits.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::cache::Index;
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// let by_type_and_state = Index::function(|port: &Port| [(port.r#type.clone(), port.up)]);
/// # let _ = by_type_and_state;
/// # }
/// ```
pub trait Key: Clone + Ord + Hash + fmt::Debug + Send + Sync + 'static {}

impl<K: Clone + Ord + Hash + fmt::Debug + Send + Sync + 'static> Key for K {}

/// A column type whose values consist of elements: a [`Set`] or an [`Option`].
///
/// ```
/// use ovsdb::Set;
/// use ovsdb::cache::Elements;
///
/// assert_eq!(Set::<i64>::from([2, 1]).elements(), [1, 2]);
/// assert!(None::<i64>.elements().is_empty());
/// ```
pub trait Elements: Value + Sealed {
    /// The type of an element.
    type Element: Atomic;
    /// The elements, each once.
    fn elements(&self) -> &[Self::Element];
    /// Adds an element; it replaces the one of an [`Option`].
    #[doc(hidden)]
    fn add_element(&mut self, element: Self::Element);
}

impl<A: Atomic> Elements for Set<A> {
    type Element = A;
    fn elements(&self) -> &[A] {
        self
    }
    fn add_element(&mut self, element: A) {
        self.insert(element);
    }
}

impl<A> Sealed for Option<A> {}

impl<A: Atomic> Elements for Option<A> {
    type Element = A;
    fn elements(&self) -> &[A] {
        self.as_slice()
    }
    fn add_element(&mut self, element: A) {
        *self = Some(element);
    }
}

/// Computes the keys of a row, each once.
type Keys<K> = dyn for<'a> Fn(&'a dyn ErasedRow) -> Cow<'a, [K]> + Send + Sync;

/// Erases the type of the function that computes the keys. The bound on `keys` makes the compiler infer
/// that a closure takes rows of any lifetime.
fn erase<K: Key>(
    keys: impl for<'a> Fn(&'a dyn ErasedRow) -> Cow<'a, [K]> + Send + Sync + 'static,
) -> Arc<Keys<K>> {
    Arc::new(keys)
}

/// The keys, sorted and without duplicates.
fn distinct<K: Key>(keys: impl IntoIterator<Item = K>) -> Cow<'static, [K]> {
    let mut keys: Vec<K> = keys.into_iter().collect();
    keys.sort_unstable();
    keys.dedup();
    Cow::Owned(keys)
}

fn holding<T: Table, V: Elements, M: Mutability>(
    column: Column<T, V, M>,
    element: &V::Element,
) -> Condition<T> {
    column.holds(element)
}

fn element_with<V: Elements>(
    element: &V::Element,
    other: &mut dyn FnMut(Uuid) -> Uuid,
) -> V::Element {
    element.with_uuid(other)
}

/// What a column or an index finds rows by. Equal names with the same type of keys find the same rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyName {
    /// The value of the column with this index.
    Column(usize),
    /// Each element of the column with this index.
    Elements(usize),
    /// The value that the map column with this index has for this key.
    MapKey(usize, Atom),
    /// The index with this position in [`Table::INDEXES`].
    SchemaIndex(usize),
    /// A function of the row, identified by its address.
    Function(usize),
}

/// What an index over columns can do with a key besides finding rows. An index by a function or by the
/// values of a map cannot do it.
struct Columns<T, K> {
    name: KeyName,
    /// Replaces the uuids in a key.
    with_uuids: Box<WithUuids<K>>,
    /// The condition for keys in a range; `None` where conditions cannot express it.
    in_range: Box<InRange<T, K>>,
    /// The condition for rows that have the key.
    condition: Box<ConditionOf<T, K>>,
    /// Writes the key into a row.
    put: Box<Put<T, K>>,
}

type ConditionOf<T, K> = dyn Fn(&K) -> Condition<T> + Send + Sync;
type WithUuids<K> = dyn Fn(&K, &mut dyn FnMut(Uuid) -> Uuid) -> K + Send + Sync;
type InRange<T, K> = dyn Fn((Bound<&K>, Bound<&K>)) -> Option<AllOf<T>> + Send + Sync;
type Put<T, K> = dyn Fn(&mut T, &K) + Send + Sync;

/// Declares a handle of an index with its constructors.
macro_rules! index {
    ($(#[$meta:meta])* $name:ident, $state:ident) => {
        $(#[$meta])*
        pub struct $name<T, K: Key> {
            keys: Arc<Keys<K>>,
            columns: Option<Arc<Columns<T, K>>>,
        }

        impl<T, K: Key> Clone for $name<T, K> {
            fn clone(&self) -> Self {
                Self { keys: self.keys.clone(), columns: self.columns.clone() }
            }
        }

        impl<T: Table, K: Key> fmt::Debug for $name<T, K> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("table", &T::TABLE).finish_non_exhaustive()
            }
        }

        impl<T: Table, K: Key> $name<T, K> {
            fn new(keys: impl for<'a> Fn(&'a T) -> Cow<'a, [K]> + Send + Sync + 'static) -> Self {
                let keys = erase(move |row| match typed::<T>(row) {
                    Some(row) => keys(row),
                    None => Cow::Borrowed(&[]),
                });
                Self { keys, columns: None }
            }

            fn over(
                mut self,
                name: KeyName,
                with_uuids: impl Fn(&K, &mut dyn FnMut(Uuid) -> Uuid) -> K + Send + Sync + 'static,
                condition: impl Fn(&K) -> Condition<T> + Send + Sync + 'static,
                put: impl Fn(&mut T, &K) + Send + Sync + 'static,
            ) -> Self {
                self.columns = Some(Arc::new(Columns {
                    name,
                    with_uuids: Box::new(with_uuids),
                    in_range: Box::new(|_: (Bound<&K>, Bound<&K>)| None),
                    condition: Box::new(condition),
                    put: Box::new(put),
                }));
                self
            }

            /// Finds rows by the value of a column.
            #[must_use]
            pub fn column<M: Mutability>(column: Column<T, K, M>) -> Self
            where
                K: Value,
            {
                Self::new(move |row| Cow::Borrowed(std::slice::from_ref(column.get(row)))).over(
                    KeyName::Column(column.index()),
                    |key, other| {
                        let key_with = key.with_uuids(other);
                        key_with.as_any().downcast_ref().unwrap_or(key).clone()
                    },
                    move |key| column.eq(key.clone()),
                    move |row, key| column.put(row, key.clone()),
                )
                .over_numbers(column)
            }

            /// Sets the condition for ranges, which exists for columns of numbers only.
            fn over_numbers<M: Mutability>(mut self, column: Column<T, K, M>) -> Self
            where
                K: Value,
            {
                if let Some(columns) = self.columns.as_mut().and_then(Arc::get_mut) {
                    columns.in_range =
                        Box::new(move |bounds: (Bound<&K>, Bound<&K>)| column.in_range(bounds));
                }
                self
            }

            /// Finds rows by each element of a column that is a set or optional. For columns of
            /// references,
            /// [`CacheBuilder::index_references_to`](crate::CacheBuilder::index_references_to) is
            /// shorter.
            #[must_use]
            pub fn elements<V: Elements<Element = K>, M: Mutability>(column: Column<T, V, M>) -> Self {
                Self::new(move |row| Cow::Borrowed(column.get(row).elements())).over(
                    KeyName::Elements(column.index()),
                    element_with::<V>,
                    move |key| holding(column, key),
                    move |row, key| {
                        let mut value = column.get(row).clone();
                        value.add_element(key.clone());
                        column.put(row, value);
                    },
                )
            }

            /// Finds rows by the value that a map column has for the key `key`. Rows without that key
            /// are not in the index.
            #[must_use]
            pub fn map_key<A: Atomic, M: Mutability>(
                column: Column<T, Map<A, K>, M>,
                key: impl Into<A>,
            ) -> Self
            where
                K: Atomic,
            {
                let key = key.into();
                let (named, own) = (key.clone(), key.clone());
                let name = KeyName::MapKey(column.index(), key.to_atom());
                Self::new(move |row| match column.get(row).get(&key) {
                    Some(value) => Cow::Borrowed(std::slice::from_ref(value)),
                    None => Cow::Borrowed(&[]),
                })
                .over(
                    name,
                    |value, other| value.with_uuid(other),
                    move |value| column.includes([(named.clone(), value.clone())]),
                    move |row, value| {
                        let mut map = column.get(row).clone();
                        map.insert(own.clone(), value.clone());
                        column.put(row, map);
                    },
                )
            }

            /// Finds rows by each value in a map column.
            #[must_use]
            pub fn map_values<A: Atomic, M: Mutability>(column: Column<T, Map<A, K>, M>) -> Self
            where
                K: Atomic,
            {
                Self::new(move |row| distinct(column.get(row).values().cloned()))
            }

            /// Finds rows by the keys that `keys` computes: none, one or several a row. It must always
            /// return the same keys for the same row.
            #[must_use]
            pub fn function<I: IntoIterator<Item = K>>(
                keys: impl Fn(&T) -> I + Send + Sync + 'static,
            ) -> Self {
                Self::new(move |row| distinct(keys(row)))
            }

            /// An empty index of this kind.
            pub(super) fn build(&self) -> Box<dyn DeclaredIndex> {
                Box::new($state::new(self.keys.clone()))
            }

            /// This index, among the indexes of a table.
            pub(super) fn of<'a>(
                &self,
                declared: &'a [Box<dyn DeclaredIndex>],
            ) -> Option<&'a $state<K>> {
                declared.iter().find_map(|index| {
                    let rows: &$state<K> = (&**index as &dyn Any).downcast_ref()?;
                    rows.is_by(&self.keys).then_some(rows)
                })
            }
        }
    };
}

index!(
    /// An index that finds the rows with a key, in constant time.
    ///
    /// [`CacheBuilder::index`](crate::CacheBuilder::index) adds it to a cache, and
    /// [`Snapshot::find`](super::Snapshot::find) looks up in it. The handle is cheap to clone.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// # let mut txn = client.transaction();
    /// # let port = txn.insert(ovsdb::nb::LogicalSwitchPort { name: "p1".into(), ..Default::default() });
    /// # txn.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
    /// # txn.commit().await?;
    /// use ovsdb::cache::Index;
    /// use ovsdb::nb::{LogicalSwitch, LogicalSwitchPort as Port};
    ///
    /// let by_name = Index::column(LogicalSwitch::NAME);
    /// let namespace = Index::map_key(Port::EXTERNAL_IDS, "namespace");
    /// let cache = client.cache().index(&by_name).index(&namespace).start().await?;
    ///
    /// let view = cache.snapshot();
    /// let switch = view.get_by(&by_name, "sw0");
    /// for port in view.find(&namespace, "default") {
    ///     println!("{} is in the namespace", port.name);
    /// }
    /// # let _ = switch;
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    Index, HashRows
);

index!(
    /// An index that keeps rows sorted by a key: for ranges, and for the least and the greatest key.
    ///
    /// [`CacheBuilder::ordered_index`](crate::CacheBuilder::ordered_index) adds it to a cache, and
    /// [`Snapshot::range`](super::Snapshot::range) looks up in it.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::cache::OrderedIndex;
    /// use ovsdb::nb::Acl;
    ///
    /// let priority = OrderedIndex::column(Acl::PRIORITY);
    /// let cache = client.cache().ordered_index(&priority).start().await?;
    /// let view = cache.snapshot();
    /// for acl in view.range(&priority, 1000..2000).rev() {
    ///     println!("{}: {}", acl.priority, acl.r#match);
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    OrderedIndex, OrderedRows
);

impl<T: Table, K: Key> Index<T, K> {
    /// The condition for rows that have this key; `None` for an index by a function or by the values of a
    /// map.
    pub(crate) fn condition(&self, key: &K) -> Option<Condition<T>> {
        Some((self.columns.as_ref()?.condition)(key))
    }

    /// Writes this key into a row; does nothing for an index by a function or by the values of a map.
    pub(crate) fn put(&self, row: &mut T, key: &K) {
        if let Some(columns) = &self.columns {
            (columns.put)(row, key);
        }
    }

    /// The keys of a row, each once.
    pub(crate) fn keys<'a>(&self, row: &'a Row<T>) -> Cow<'a, [K]> {
        (self.keys)(row)
    }

    /// Whether a row has this key.
    pub(crate) fn has(&self, row: &Row<T>, key: &K) -> bool {
        (self.keys)(row).contains(key)
    }

    /// What the index finds rows by.
    pub(crate) fn name(&self) -> KeyName {
        match &self.columns {
            Some(columns) => columns.name.clone(),
            None => KeyName::Function(Arc::as_ptr(&self.keys).addr()),
        }
    }

    /// The key with its uuids replaced; `None` for an index by a function or by the values of a map.
    pub(crate) fn with_uuids(&self, key: &K, other: &mut dyn FnMut(Uuid) -> Uuid) -> Option<K> {
        Some((self.columns.as_ref()?.with_uuids)(key, other))
    }
}

impl<T: Table, K: Key> OrderedIndex<T, K> {
    /// The condition for rows whose keys are in a range; `None` where conditions cannot express it.
    pub(crate) fn in_range(&self, bounds: (Bound<&K>, Bound<&K>)) -> Option<AllOf<T>> {
        (self.columns.as_ref()?.in_range)(bounds)
    }

    /// The first key of a row that is in a range.
    pub(crate) fn first_in(&self, row: &Row<T>, range: &impl RangeBounds<K>) -> Option<K> {
        let keys = (self.keys)(row);
        keys.iter().find(|key| range.contains(*key)).cloned()
    }
}

/// The rows of a declared index at one moment. It stores their uuids, so a change of a row that keeps
/// its keys does not touch the index.
pub(super) trait DeclaredIndex: Any + fmt::Debug + Send + Sync {
    /// Updates the index for a change of a row.
    fn change(&mut self, uuid: Uuid, old: Option<&dyn ErasedRow>, new: Option<&dyn ErasedRow>);
    /// An empty index of the same kind.
    fn emptied(&self) -> Box<dyn DeclaredIndex>;
    /// A copy of the index; cheap, since it shares all nodes.
    fn shared(&self) -> Box<dyn DeclaredIndex>;
}

/// The keys to remove from an index, and those to add to it, when a row's sorted keys change from
/// `old` to `new`. A key may be among both, so remove first.
fn changed<'a, K: PartialEq>(old: &'a [K], new: &'a [K]) -> (&'a [K], &'a [K]) {
    let front = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[front..], &new[front..]);
    let pairs = old.iter().rev().zip(new.iter().rev());
    let back = pairs.take_while(|(a, b)| a == b).count();
    (&old[..old.len() - back], &new[..new.len() - back])
}

/// The keys of a row; none if there is no row.
fn keys_of<'a, K: Key>(keys: &Keys<K>, row: Option<&'a dyn ErasedRow>) -> Cow<'a, [K]> {
    row.map_or(Cow::Borrowed(&[]), keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_differ_are_removed_and_added() {
        for (old, new, removed, added) in [
            ("", "", "", ""),
            ("abc", "abc", "", ""),
            ("", "ab", "", "ab"),
            ("ab", "", "ab", ""),
            ("abc", "axc", "b", "x"),
            ("abc", "ac", "b", ""),
            ("ac", "abc", "", "b"),
            ("abcd", "xbcy", "abcd", "xbcy"),
            ("abc", "xyc", "ab", "xy"),
            ("abc", "axy", "bc", "xy"),
        ] {
            let (old, new) = (old.as_bytes(), new.as_bytes());
            let expected = (removed.as_bytes(), added.as_bytes());
            assert_eq!(changed(old, new), expected, "{old:?} {new:?}");
        }
    }
}
