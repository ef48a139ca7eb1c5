//! What rows are looked up by: a column or several, and a key for them.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

use crate::model::{Column, Mutability, Table};
use crate::value::Value;

/// Columns of `T` that rows can be looked up by with a key of type `K`: one column with a
/// borrowed value, or a tuple of columns with a tuple of borrowed values.
pub trait LookUp<T: Table, K: Copy> {
    /// Whether these are the columns of an index, in its order.
    fn is(&self, index: &[usize]) -> bool;
    /// Feeds the key to a hasher as the row's columns would.
    fn hash_key(&self, key: K, hasher: &mut impl Hasher);
    /// Whether the row has this key.
    fn matches(&self, row: &T, key: K) -> bool;
}

impl<'k, T, V, M, Q> LookUp<T, &'k Q> for Column<T, V, M>
where
    T: Table,
    V: Value + Borrow<Q>,
    M: Mutability,
    Q: Hash + Eq + ?Sized,
{
    fn is(&self, index: &[usize]) -> bool {
        index == [self.index()]
    }

    fn hash_key(&self, key: &'k Q, hasher: &mut impl Hasher) {
        key.hash(hasher);
    }

    fn matches(&self, row: &T, key: &'k Q) -> bool {
        self.get(row).borrow() == key
    }
}

/// Tuples of columns.
macro_rules! tuples {
    ($( ($($marker:ident $value:ident $query:ident $at:tt),*) )*) => { $(
        impl<'k, T, $($value, $marker, $query),*> LookUp<T, ($(&'k $query,)*)>
            for ($(Column<T, $value, $marker>,)*)
        where
            T: Table,
            $(
                $value: Value + Borrow<$query>,
                $marker: Mutability,
                $query: Hash + Eq + ?Sized,
            )*
        {
            fn is(&self, index: &[usize]) -> bool {
                index == [$(self.$at.index()),*]
            }

            fn hash_key(&self, key: ($(&'k $query,)*), hasher: &mut impl Hasher) {
                $( self.$at.hash_key(key.$at, hasher); )*
            }

            fn matches(&self, row: &T, key: ($(&'k $query,)*)) -> bool {
                $( self.$at.matches(row, key.$at) )&&*
            }
        }
    )* };
}

tuples! {
    (A V P 0, B W Q 1)
    (A V P 0, B W Q 1, C X R 2)
    (A V P 0, B W Q 1, C X R 2, D Y S 3)
}
