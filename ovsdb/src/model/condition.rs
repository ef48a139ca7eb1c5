//! Typed conditions: clauses built from columns, and combinations of them.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

use ovsdb_schema::AtomicType;

use crate::model::{Column, Mutability, Row, Table};
use crate::protocol::{Clause, Function, Wire};
use crate::value::{
    Atom, Atomic, ColumnValue, Datum, Map, Real, Ref, Sealed, Set, Str, Uuid, Value,
};

/// One clause about rows of `T`, made by the methods of [`Column`].
///
/// What several clauses mean depends on where they are used: in an operation, all of them must be true
/// ([`AllOf`]), in a monitor, any of them ([`AnyOf`]). A single clause converts into both types.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// let any = Port::TYPE.eq("localnet").or(Port::TYPE.eq("router"));
/// let all = Port::TYPE.eq("router").and(Port::TAG.gt(100));
/// # let _ = (any, all);
/// # }
/// ```
pub struct Condition<T> {
    clause: Clause,
    table: PhantomData<fn() -> T>,
}

impl<T> Condition<T> {
    pub(super) const fn new(clause: Clause) -> Self {
        Self {
            clause,
            table: PhantomData,
        }
    }

    /// Every row: `true` on the wire.
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    /// # let server = ovsdb::server::Server::memory(schema)?;
    /// # let mut rows = ovsdb::nb::Transaction::detached();
    /// # rows.insert(ovsdb::nb::AddressSet { name: "servers".into(), ..Default::default() });
    /// # rows.commit_on(&server)?;
    /// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
    /// use ovsdb::model::Condition;
    /// use ovsdb::nb::AddressSet;
    ///
    /// let mut txn = client.transaction();
    /// let deleted = txn.delete(Condition::<AddressSet>::all());
    /// assert_eq!(txn.commit().await?.count(deleted), 1);
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
    /// ```
    #[must_use]
    pub const fn all() -> Self {
        Self::new(Clause::Always(true))
    }

    /// No row: `false` on the wire.
    #[must_use]
    pub const fn none() -> Self {
        Self::new(Clause::Always(false))
    }

    /// Rows for which this clause or the other is true.
    #[must_use]
    pub fn or(self, other: impl Into<AnyOf<T>>) -> AnyOf<T> {
        AnyOf::from(self).or(other)
    }

    /// Rows for which both this clause and the other are true.
    #[must_use]
    pub fn and(self, other: impl Into<AllOf<T>>) -> AllOf<T> {
        AllOf::from(self).and(other)
    }
}

impl<T> Clone for Condition<T> {
    fn clone(&self) -> Self {
        Self::new(self.clause.clone())
    }
}

impl<T> PartialEq for Condition<T> {
    fn eq(&self, other: &Self) -> bool {
        self.clause == other.clause
    }
}

impl<T> Eq for Condition<T> {}

impl<T> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> fmt::Display for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clause.fmt(f)
    }
}

/// Declares a list of clauses with the word that joins them.
macro_rules! clauses {
    ($(#[$meta:meta])* $name:ident, $neutral:literal, $join:ident, $join_doc:literal) => {
        $(#[$meta])*
        pub struct $name<T> {
            /// Clauses that do not affect the others, `true` in `AllOf` and `false` in `AnyOf`, are
            /// left out. `into_clauses` adds one where no clause is left, because a server reads an empty
            /// `where` as `true`, also in a monitor.
            clauses: Vec<Clause>,
            table: PhantomData<fn() -> T>,
        }

        impl<T> $name<T> {
            const fn new(clauses: Vec<Clause>) -> Self {
                Self { clauses, table: PhantomData }
            }

            /// Every row: `[true]` on the wire.
            #[must_use]
            pub fn all() -> Self {
                Self::from(Condition::all())
            }

            /// No row: `[false]` on the wire.
            #[must_use]
            pub fn none() -> Self {
                Self::from(Condition::none())
            }

            #[doc = $join_doc]
            #[must_use]
            pub fn $join(mut self, other: impl Into<Self>) -> Self {
                self.clauses.extend(other.into().clauses);
                self
            }

            /// A list of the clauses of an operation.
            #[allow(dead_code, reason = "only one of the two kinds is read from operations")]
            pub(crate) fn from_clauses(clauses: Vec<Clause>) -> Self {
                clauses.into_iter().map(Condition::new).collect()
            }

            pub(crate) fn into_clauses(mut self) -> Vec<Clause> {
                if self.clauses.is_empty() {
                    self.clauses.push(Clause::Always($neutral));
                }
                self.clauses
            }
        }

        impl<T> From<Condition<T>> for $name<T> {
            fn from(condition: Condition<T>) -> Self {
                match condition.clause {
                    Clause::Always($neutral) => Self::new(Vec::new()),
                    clause => Self::new(vec![clause]),
                }
            }
        }

        impl<T, C: Into<Self>> FromIterator<C> for $name<T> {
            fn from_iter<I: IntoIterator<Item = C>>(conditions: I) -> Self {
                let mut all = Self::new(Vec::new());
                all.extend(conditions);
                all
            }
        }

        impl<T, C: Into<Self>> Extend<C> for $name<T> {
            fn extend<I: IntoIterator<Item = C>>(&mut self, conditions: I) {
                for condition in conditions {
                    self.clauses.extend(condition.into().clauses);
                }
            }
        }

        /// This row only.
        impl<T> From<Ref<T>> for $name<T> {
            fn from(row: Ref<T>) -> Self {
                Self::from(Condition::new(Clause::Compare {
                    column: Str::from("_uuid"),
                    function: Function::Equal,
                    argument: Datum::from(Atom::Uuid(row.uuid())),
                }))
            }
        }

        /// This row only.
        impl<T: Table> From<&Row<T>> for $name<T> {
            fn from(row: &Row<T>) -> Self {
                Self::from(row.reference())
            }
        }

        /// This row only, from a snapshot.
        impl<T: Table> From<&Arc<Row<T>>> for $name<T> {
            fn from(row: &Arc<Row<T>>) -> Self {
                Self::from(row.reference())
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self::new(self.clauses.clone())
            }
        }

        /// Lists are equal if they have the same clauses in the same order.
        impl<T> PartialEq for $name<T> {
            fn eq(&self, other: &Self) -> bool {
                self.clauses == other.clauses
            }
        }

        impl<T> Eq for $name<T> {}

        impl<T> PartialEq<Condition<T>> for $name<T> {
            fn eq(&self, other: &Condition<T>) -> bool {
                self.clauses == Self::from(other.clone()).clauses
            }
        }

        impl<T> PartialEq<Ref<T>> for $name<T> {
            fn eq(&self, other: &Ref<T>) -> bool {
                self.clauses == Self::from(*other).clauses
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.clone().into_clauses().to_json())
            }
        }
    };
}

clauses!(
    /// The rows for which every clause is true: the `where` of an operation (RFC 7047 section 5.2).
    ///
    /// Without clauses it selects every row, also when it is collected from an empty iterator.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::model::AllOf;
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    ///
    /// let labels = [("owner", "me"), ("kind", "pod")];
    /// let owned: AllOf<Port> = labels.iter().map(|label| Port::EXTERNAL_IDS.includes([*label])).collect();
    /// assert_eq!(
    ///     format!("{owned:?}"),
    ///     r#"[["external_ids","includes",["map",[["owner","me"]]]],["external_ids","includes",["map",[["kind","pod"]]]]]"#
    /// );
    /// assert_eq!(format!("{:?}", AllOf::<Port>::all()), "[true]");
    /// # }
    /// ```
    AllOf, true, and, "Rows for which the other's clauses hold as well."
);

clauses!(
    /// The rows for which any clause is true: the `where` of a monitor (ovsdb-server(7),
    /// "Monitor_cond").
    ///
    /// Without clauses it selects no row, also when it is collected from an empty iterator: an empty
    /// list of names to follow selects nothing.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::model::AnyOf;
    /// use ovsdb::nb::LogicalSwitch as Switch;
    ///
    /// let follow = |names: &[&str]| -> AnyOf<Switch> {
    ///     names.iter().map(|name| Switch::NAME.eq(*name)).collect()
    /// };
    /// assert_eq!(format!("{:?}", follow(&["a", "b"])), r#"[["name","==","a"],["name","==","b"]]"#);
    /// assert_eq!(format!("{:?}", follow(&[])), "[false]");
    /// # }
    /// ```
    AnyOf, false, or, "Also the rows for which any of the other's clauses holds."
);

impl<T: Table> AllOf<T> {
    /// The rows whose column with this index equals `value`.
    pub(crate) fn column_is(index: usize, value: &dyn ColumnValue) -> Self {
        Self::from(Condition::new(Clause::Compare {
            column: Str::from(T::COLUMNS[index].name),
            function: Function::Equal,
            argument: value.to_datum(),
        }))
    }

    /// The uuid of the row, if this selects a row by its uuid alone.
    pub(crate) fn as_row(&self) -> Option<Uuid> {
        match &self.clauses[..] {
            [
                Clause::Compare {
                    column,
                    function: Function::Equal,
                    argument,
                },
            ] if *column == "_uuid" => argument.as_uuid(),
            _ => None,
        }
    }

    /// The clauses in readable form: `name == p1`.
    pub(crate) fn to_text(&self) -> String {
        let clauses = self.clauses.iter().map(|clause| match clause {
            Clause::Always(always) => always.to_string(),
            Clause::Compare {
                column,
                function,
                argument,
            } => {
                let argument = match argument.as_str() {
                    Some(text) => text.to_owned(),
                    None => argument.to_string(),
                };
                format!(
                    "{column} {} {argument}",
                    function.to_json().trim_matches('"')
                )
            }
        });
        clauses.collect::<Vec<_>>().join(" and ")
    }

    /// Whether each clause compares with values that servers send [exactly](Atom::is_exact).
    pub(crate) fn is_exact(&self) -> bool {
        self.clauses.iter().all(|clause| match clause {
            Clause::Always(_) => true,
            Clause::Compare { argument, .. } => argument.atoms().all(Atom::is_exact),
        })
    }

    /// The only row that can be selected, if a clause says that `_uuid` is equal to a uuid.
    pub(crate) fn row(&self) -> Option<Ref<T>> {
        self.clauses.iter().find_map(|clause| match clause {
            Clause::Compare {
                column,
                function: Function::Equal,
                argument,
            } if column == "_uuid" => match argument.as_scalar()? {
                Atom::Uuid(uuid) => Some(Ref::new(*uuid)),
                _ => None,
            },
            _ => None,
        })
    }

    /// The uuids in the arguments of the clauses.
    pub(crate) fn uuids(&self) -> impl Iterator<Item = Uuid> {
        let arguments = self.clauses.iter().filter_map(|clause| match clause {
            Clause::Compare { argument, .. } => Some(argument),
            Clause::Always(_) => None,
        });
        arguments
            .flat_map(Datum::atoms)
            .filter_map(|atom| match atom {
                Atom::Uuid(uuid) => Some(*uuid),
                _ => None,
            })
    }

    /// The same clauses, with the uuids in their arguments replaced.
    pub(crate) fn with_uuids(&self, mut other: impl FnMut(Uuid) -> Uuid) -> Self {
        let mut change = |atom| match atom {
            Atom::Uuid(uuid) => Atom::Uuid(other(uuid)),
            atom => atom,
        };
        let clauses = self.clauses.iter().cloned();
        Self::new(
            clauses
                .map(|clause| clause.map_atoms(&mut change))
                .collect(),
        )
    }

    /// The clauses.
    pub(super) fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// The names of the columns that the clauses compare.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let columns = self.clauses.iter().filter_map(|clause| match clause {
            Clause::Compare { column, .. } => Some(column.as_str()),
            Clause::Always(_) => None,
        });
        columns.collect()
    }

    /// Whether a row meets the condition, decided as a server does (RFC 7047 section 5.1).
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::model::AllOf;
    /// use ovsdb::nb::LogicalSwitchPort as Port;
    /// use ovsdb::{Row, Uuid};
    ///
    /// let owned = AllOf::from(Port::EXTERNAL_IDS.includes([("owner", "me")]));
    /// let mut port = Port { external_ids: [("owner", "me"), ("pod", "a")].into(), ..Default::default() };
    /// assert!(owned.holds_for(&Row::new(Uuid::nil(), port.clone())));
    /// port.external_ids.remove("owner");
    /// assert!(!owned.holds_for(&Row::new(Uuid::nil(), port)));
    /// # }
    /// ```
    #[must_use]
    pub fn holds_for(&self, row: &Row<T>) -> bool {
        self.clauses.iter().all(|clause| holds(clause, row))
    }
}

/// Whether a clause is true for a row.
fn holds<T: Table>(clause: &Clause, row: &Row<T>) -> bool {
    let (column, function, argument) = match clause {
        Clause::Always(always) => return *always,
        Clause::Compare {
            column,
            function,
            argument,
        } => (column, *function, argument),
    };
    let value = if *column == "_uuid" {
        Datum::from(Atom::Uuid(row.uuid()))
    } else {
        let at = T::COLUMNS.iter().position(|info| *column == info.name);
        match at.and_then(|at| row.column(at)) {
            Some(value) => value.to_datum(),
            None => return false,
        }
    };
    let order = || match (&value, argument) {
        (Datum::Set(value), Datum::Set(argument)) => match (&value[..], &argument[..]) {
            ([value], [argument]) => Some(value.cmp(argument)),
            _ => None,
        },
        _ => None,
    };
    match function {
        Function::Equal => value == *argument,
        Function::NotEqual => value != *argument,
        Function::Less => order().is_some_and(std::cmp::Ordering::is_lt),
        Function::LessOrEqual => order().is_some_and(std::cmp::Ordering::is_le),
        Function::Greater => order().is_some_and(std::cmp::Ordering::is_gt),
        Function::GreaterOrEqual => order().is_some_and(std::cmp::Ordering::is_ge),
        Function::Includes => parts(&value, argument, true),
        Function::Excludes => parts(&value, argument, false),
    }
}

/// Whether `value` contains every part of `parts` or, if `present` is false, none.
fn parts(value: &Datum, parts: &Datum, present: bool) -> bool {
    match (value, parts) {
        (Datum::Set(value), Datum::Set(parts)) => {
            parts.iter().all(|part| value.contains(part) == present)
        }
        (Datum::Map(value), Datum::Map(parts)) => parts
            .iter()
            .all(|(key, part)| (value.get(key) == Some(part)) == present),
        // An empty set looks like an empty map.
        (_, parts) => parts.is_empty(),
    }
}

/// A column type whose values have parts: the elements of a [`Set`], or the pairs of a [`Map`]. The
/// methods `includes`, `excludes`, `insert` and `delete` take such parts.
///
/// ```
/// use ovsdb::model::{Collection, Condition, Mutability, PartsOf};
/// use ovsdb::{Column, Table};
///
/// /// The rows that have none of `parts`.
/// fn lacking<T: Table, V: Collection, M: Mutability>(
///     column: Column<T, V, M>,
///     parts: impl PartsOf<V>,
/// ) -> Condition<T> {
///     column.excludes(parts)
/// }
///
/// # #[cfg(feature = "nb")]
/// assert_eq!(
///     lacking(ovsdb::nb::LogicalSwitchPort::ADDRESSES, ["router"]).to_string(),
///     r#"["addresses","excludes","router"]"#
/// );
/// ```
pub trait Collection: Value + Sealed {
    /// What identifies a part for `delete_keys`: an element, or a key.
    type Key: Atomic;
    /// Adds these parts; an existing key gets the new value.
    #[doc(hidden)]
    fn add_all(&mut self, parts: &Self);
}

impl<A> Sealed for Set<A> {}
impl<K, V> Sealed for Map<K, V> {}

impl<A: Atomic> Collection for Set<A> {
    type Key = A;
    fn add_all(&mut self, parts: &Self) {
        for part in parts {
            self.insert(part.clone());
        }
    }
}

impl<K: Atomic, V: Atomic> Collection for Map<K, V> {
    type Key = K;
    fn add_all(&mut self, parts: &Self) {
        for (key, value) in parts {
            self.insert(key.clone(), value.clone());
        }
    }
}

/// Parts of the collection `V`: anything that iterates over elements or pairs, such as an array, a
/// vector, or a whole set or map.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::LogicalSwitchPort as Port;
///
/// let from_array = Port::EXTERNAL_IDS.includes([("owner", "me")]);
/// let from_vector = Port::ADDRESSES.includes(vec![String::from("router")]);
/// # let _ = (from_array, from_vector);
/// # }
/// ```
pub trait PartsOf<V>: Sealed<V> {
    /// The parts as a collection.
    fn into_collection(self) -> V;
}

impl<A, I: IntoIterator> Sealed<Set<A>> for I {}
impl<K, V, I: IntoIterator> Sealed<Map<K, V>> for I {}

impl<A: Ord + Clone, I> PartsOf<Set<A>> for I
where
    I: IntoIterator,
    I::Item: Into<A>,
{
    fn into_collection(self) -> Set<A> {
        self.into_iter().collect()
    }
}

impl<K: Ord + Clone, V: Clone, I, L, W> PartsOf<Map<K, V>> for I
where
    I: IntoIterator<Item = (L, W)>,
    L: Into<K>,
    W: Into<V>,
{
    fn into_collection(self) -> Map<K, V> {
        self.into_iter().collect()
    }
}

/// A column type with an order: an integer or a real, optional or not, or a user's [`Atomic`] type of
/// numbers.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::Acl;
///
/// assert_eq!(Acl::PRIORITY.ge(1000).to_string(), r#"["priority",">=",1000]"#);
/// # }
/// ```
pub trait Ordered: Value {
    /// The number's type.
    type Number: Atomic;
}

impl Ordered for i64 {
    type Number = Self;
}

impl Ordered for Real {
    type Number = Self;
}

impl Ordered for Option<i64> {
    type Number = i64;
}

impl Ordered for Option<Real> {
    type Number = Real;
}

impl<T: Table, V: Value, M: Mutability> Column<T, V, M> {
    fn compare(self, function: Function, argument: Datum) -> Condition<T> {
        Condition::new(Clause::Compare {
            column: Str::from(self.name()),
            function,
            argument,
        })
    }

    /// Rows whose column equals `value`.
    #[must_use]
    pub fn eq(self, value: impl Into<V>) -> Condition<T> {
        self.compare(Function::Equal, value.into().to_datum())
    }

    /// Rows whose column does not equal `value`.
    #[must_use]
    pub fn ne(self, value: impl Into<V>) -> Condition<T> {
        self.compare(Function::NotEqual, value.into().to_datum())
    }
}

impl<T: Table, V: Value, M: Mutability> Column<T, V, M> {
    /// Rows whose column is in a range. `None` unless the column is a number, optional or not, and no
    /// bound is empty. An optional column also needs a lower bound: without one, the range includes empty
    /// values, which `<` and `>` never select.
    pub(crate) fn in_range(self, (from, to): (Bound<&V>, Bound<&V>)) -> Option<AllOf<T>> {
        let number = |value: &V| match value.to_datum().as_scalar() {
            Some(atom @ (Atom::Integer(_) | Atom::Real(_))) => Some(atom.clone()),
            _ => None,
        };
        let is_number = matches!(V::KIND.key, AtomicType::Integer | AtomicType::Real);
        if !is_number || !V::KIND.single || (matches!(from, Bound::Unbounded) && !V::KIND.scalar) {
            return None;
        }
        let clause = |function, value| {
            let argument = Datum::from(number(value)?);
            Some(self.compare(function, argument))
        };
        let mut all = AllOf::all();
        match from {
            Bound::Included(from) => all = all.and(clause(Function::GreaterOrEqual, from)?),
            Bound::Excluded(from) => all = all.and(clause(Function::Greater, from)?),
            Bound::Unbounded => {}
        }
        match to {
            Bound::Included(to) => all = all.and(clause(Function::LessOrEqual, to)?),
            Bound::Excluded(to) => all = all.and(clause(Function::Less, to)?),
            Bound::Unbounded => {}
        }
        Some(all)
    }

    /// Rows whose column, a set or an optional value, contains this element.
    pub(crate) fn holds(self, element: &impl Atomic) -> Condition<T> {
        self.compare(Function::Includes, Datum::from(element.to_atom()))
    }
}

impl<T: Table, V: Collection, M: Mutability> Column<T, V, M> {
    /// Rows whose column contains all of `parts`.
    #[must_use]
    pub fn includes(self, parts: impl PartsOf<V>) -> Condition<T> {
        self.compare(Function::Includes, parts.into_collection().to_datum())
    }

    /// Rows whose column contains none of `parts`.
    #[must_use]
    pub fn excludes(self, parts: impl PartsOf<V>) -> Condition<T> {
        self.compare(Function::Excludes, parts.into_collection().to_datum())
    }
}

impl<T: Table, V: Ordered, M: Mutability> Column<T, V, M> {
    /// Rows whose column is less than `number`; an empty column never is.
    #[must_use]
    pub fn lt(self, number: impl Into<V::Number>) -> Condition<T> {
        self.compare(Function::Less, Datum::from(number.into().to_atom()))
    }

    /// Rows whose column is at most `number`; an empty column never is.
    #[must_use]
    pub fn le(self, number: impl Into<V::Number>) -> Condition<T> {
        self.compare(Function::LessOrEqual, Datum::from(number.into().to_atom()))
    }

    /// Rows whose column is more than `number`; an empty column never is.
    #[must_use]
    pub fn gt(self, number: impl Into<V::Number>) -> Condition<T> {
        self.compare(Function::Greater, Datum::from(number.into().to_atom()))
    }

    /// Rows whose column is at least `number`; an empty column never is.
    #[must_use]
    pub fn ge(self, number: impl Into<V::Number>) -> Condition<T> {
        self.compare(
            Function::GreaterOrEqual,
            Datum::from(number.into().to_atom()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Uuid;

    /// Stands for any table: clauses do not depend on it.
    struct Anything;

    fn row(number: u128) -> Ref<Anything> {
        Ref::new(Uuid::from_u128(number))
    }

    #[test]
    fn lists_of_the_same_clauses_are_equal() {
        let all = |rows: &[u128]| rows.iter().map(|number| row(*number)).collect::<AllOf<_>>();
        assert_eq!(all(&[1, 2]), all(&[1, 2]));
        assert_ne!(all(&[1, 2]), all(&[2, 1]));
        assert_eq!(all(&[1]), row(1));
        assert_ne!(all(&[1, 2]), row(1));
        assert_eq!(all(&[]).and(row(1)), row(1));
        assert_eq!(all(&[]), AllOf::from(Condition::all()));
        assert_eq!(all(&[]), Condition::all());
        assert_ne!(AnyOf::<Anything>::none(), Condition::all());
    }

    #[test]
    fn lists_of_clauses_grow_and_an_empty_one_says_what_it_means() {
        let any = |rows: &[u128]| rows.iter().map(|number| row(*number)).collect::<AnyOf<_>>();
        let all = |rows: &[u128]| rows.iter().map(|number| row(*number)).collect::<AllOf<_>>();
        assert_eq!(any(&[]).into_clauses(), [Clause::Always(false)]);
        assert_eq!(all(&[]).into_clauses(), [Clause::Always(true)]);
        assert_eq!(any(&[1, 2]).into_clauses().len(), 2);
        let mut more = any(&[1]);
        more.extend([row(2), row(3)]);
        more.extend([any(&[]), any(&[4])]);
        assert_eq!(more.into_clauses(), any(&[1, 2, 3, 4]).into_clauses());
        let mut more = all(&[1]);
        more.extend([Condition::all(), Condition::none()]);
        assert_eq!(more.into_clauses().last(), Some(&Clause::Always(false)));
    }

    #[test]
    fn clauses_for_every_row_and_no_row_are_dropped_where_they_have_no_effect() {
        let one = || AnyOf::from(row(1)).into_clauses();
        let always = |always| vec![Clause::Always(always)];
        assert_eq!(AnyOf::<Anything>::none().into_clauses(), always(false));
        assert_eq!(AnyOf::<Anything>::all().into_clauses(), always(true));
        assert_eq!(AllOf::<Anything>::none().into_clauses(), always(false));
        assert_eq!(AllOf::<Anything>::all().into_clauses(), always(true));
        assert_eq!(AnyOf::none().or(row(1)).into_clauses(), one());
        assert_eq!(
            AnyOf::from(row(1)).or(Condition::none()).into_clauses(),
            one()
        );
        assert_eq!(AllOf::all().and(row(1)).into_clauses(), one());
        assert_eq!(AllOf::none().and(row(1)).into_clauses().len(), 2);
        assert_eq!(AnyOf::all().or(row(1)).into_clauses().len(), 2);
    }
}
