//! Typed conditions: clauses built from columns, and how they are combined.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::model::{Column, Mutability, Row, Table};
use crate::protocol::{Clause, Function, Wire};
use crate::value::{Atom, Atomic, Datum, Map, Real, Ref, Set, Str, Value};

/// One clause about the rows of `T`, made by the methods of [`Column`].
///
/// What a `where` means depends on who reads it, and the types keep the two apart: an operation
/// takes [`AllOf`] its clauses, a monitor [`AnyOf`] them. One clause is either.
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
    const fn new(clause: Clause) -> Self {
        Self {
            clause,
            table: PhantomData,
        }
    }

    /// Every row (true), or none (false).
    #[must_use]
    pub const fn always(always: bool) -> Self {
        Self::new(Clause::Always(always))
    }

    /// Rows for which this clause holds, or the other.
    #[must_use]
    pub fn or(self, other: impl Into<AnyOf<T>>) -> AnyOf<T> {
        AnyOf::from(self).or(other)
    }

    /// Rows for which this clause holds, and the other.
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
    ($(#[$meta:meta])* $name:ident, $join:ident, $join_doc:literal) => {
        $(#[$meta])*
        pub struct $name<T> {
            clauses: Vec<Clause>,
            table: PhantomData<fn() -> T>,
        }

        impl<T> $name<T> {
            #[doc = $join_doc]
            #[must_use]
            pub fn $join(mut self, other: impl Into<Self>) -> Self {
                self.clauses.extend(other.into().clauses);
                self
            }

            pub(crate) fn into_clauses(self) -> Vec<Clause> {
                self.clauses
            }
        }

        impl<T> From<Condition<T>> for $name<T> {
            fn from(condition: Condition<T>) -> Self {
                Self { clauses: vec![condition.clause], table: PhantomData }
            }
        }

        /// The one row.
        impl<T> From<Ref<T>> for $name<T> {
            fn from(row: Ref<T>) -> Self {
                Self::from(Condition::new(Clause::Compare {
                    column: Str::from("_uuid"),
                    function: Function::Equal,
                    argument: Datum::from(Atom::Uuid(row.uuid())),
                }))
            }
        }

        /// The one row.
        impl<T: Table> From<&Row<T>> for $name<T> {
            fn from(row: &Row<T>) -> Self {
                Self::from(row.reference())
            }
        }

        /// The one row, as a snapshot has it.
        impl<T: Table> From<&Arc<Row<T>>> for $name<T> {
            fn from(row: &Arc<Row<T>>) -> Self {
                Self::from(row.reference())
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self { clauses: self.clauses.clone(), table: PhantomData }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.clauses.to_json())
            }
        }
    };
}

clauses!(
    /// The rows for which every clause holds: the `where` of an operation (RFC 7047 section 5.2).
    AllOf, and, "Rows for which the other's clauses hold as well."
);

clauses!(
    /// The rows for which any clause holds: the `where` of a monitor (ovsdb-server(7),
    /// "Monitor_cond").
    AnyOf, or, "Also the rows for which any of the other's clauses holds."
);

/// A column type whose values have parts: what `includes`, `insert` and `delete` work on.
pub trait Collection: Value {
    /// What `delete` names a part by: an element, or a key.
    type Key: Atomic;
}

impl<A: Atomic> Collection for Set<A> {
    type Key = A;
}

impl<K: Atomic, V: Atomic> Collection for Map<K, V> {
    type Key = K;
}

/// Something that is parts of the collection `V`: an array or a vector of elements or of pairs, a
/// whole set or map.
pub trait PartsOf<V> {
    /// The parts as a collection.
    fn into_collection(self) -> V;
}

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

/// A column type that has an order: an integer or a real, optional or not.
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

    /// Rows whose column is `value`.
    #[must_use]
    pub fn eq(self, value: impl Into<V>) -> Condition<T> {
        self.compare(Function::Equal, value.into().to_datum())
    }

    /// Rows whose column is not `value`.
    #[must_use]
    pub fn ne(self, value: impl Into<V>) -> Condition<T> {
        self.compare(Function::NotEqual, value.into().to_datum())
    }
}

impl<T: Table, V: Collection, M: Mutability> Column<T, V, M> {
    /// Rows whose column holds all of `parts`.
    #[must_use]
    pub fn includes(self, parts: impl PartsOf<V>) -> Condition<T> {
        self.compare(Function::Includes, parts.into_collection().to_datum())
    }

    /// Rows whose column holds none of `parts`.
    #[must_use]
    pub fn excludes(self, parts: impl PartsOf<V>) -> Condition<T> {
        self.compare(Function::Excludes, parts.into_collection().to_datum())
    }
}

impl<T: Table, V: Ordered, M: Mutability> Column<T, V, M> {
    /// Rows whose column is less than `number`; an empty one is not.
    #[must_use]
    pub fn lt(self, number: impl Into<V::Number>) -> Condition<T> {
        self.compare(Function::Less, Datum::from(number.into().to_atom()))
    }

    /// Rows whose column is at most `number`; an empty one is not.
    #[must_use]
    pub fn le(self, number: impl Into<V::Number>) -> Condition<T> {
        self.compare(Function::LessOrEqual, Datum::from(number.into().to_atom()))
    }

    /// Rows whose column is more than `number`; an empty one is not.
    #[must_use]
    pub fn gt(self, number: impl Into<V::Number>) -> Condition<T> {
        self.compare(Function::Greater, Datum::from(number.into().to_atom()))
    }

    /// Rows whose column is at least `number`; an empty one is not.
    #[must_use]
    pub fn ge(self, number: impl Into<V::Number>) -> Condition<T> {
        self.compare(
            Function::GreaterOrEqual,
            Datum::from(number.into().to_atom()),
        )
    }
}
