//! Reads memory of values before they are copied or changed, so that cache misses overlap.
//!
//! [`Prefetch`] is a supertrait of [`ColumnValue`], so that the replica can prefetch any column; its
//! methods take other values of the column, which are `ColumnValue`s. So the two traits use each other.
//!
//! The results mean nothing; they only keep the compiler from removing the reads.

use std::any::Any;

use super::{Atomic, ColumnValue, Datum, Map, Set, Str};

/// At most how many elements of a value are read. A change reads the later ones without prefetching.
const MOST_READ: usize = 8;

/// The supertrait of [`ColumnValue`](super::ColumnValue). Other crates cannot name it.
#[expect(unnameable_types, reason = "no other crate implements it")]
pub trait Prefetch {
    /// Whether a clone of the value changes a reference count outside its row.
    fn has_counts(&self) -> bool;
    /// Reads the reference counts that clones of these values will change. The values are those of one
    /// column in several rows, of the same type as this one.
    fn read_counts(&self, column: &[&dyn ColumnValue]) -> usize;
    /// Reads the first elements of these values, with the text of strings, if their type is [`Set`] or
    /// [`Map`]: a change will read them. The values are of the same type as this one.
    fn read_elements(&self, column: &[&dyn ColumnValue]) -> usize;
}

/// How values of one column type are prefetched.
pub(super) trait Read: Any {
    /// Reads the reference count that a clone changes; `None` where there is none.
    fn counts(&self) -> Option<usize>;
    /// Reads the first elements of a [`Set`] or a [`Map`], and the text of their strings. Of any other
    /// type, also of [`Datum`], it reads nothing.
    fn elements(&self) -> usize {
        0
    }
}

impl<R: Read> Prefetch for R {
    fn has_counts(&self) -> bool {
        self.counts().is_some()
    }

    fn read_counts(&self, column: &[&dyn ColumnValue]) -> usize {
        read_all(column, |value: &Self| value.counts().unwrap_or(0))
    }

    fn read_elements(&self, column: &[&dyn ColumnValue]) -> usize {
        read_all(column, Self::elements)
    }
}

/// Downcasts all values before it reads the first one: the less work between two reads, the more cache
/// misses overlap.
pub(super) fn read_all<R: Read>(column: &[&dyn ColumnValue], read: impl Fn(&R) -> usize) -> usize {
    let typed = column.iter().map(|value| value.as_any().downcast_ref());
    let typed: Vec<Option<&R>> = typed.collect();
    let reads = typed.into_iter().flatten().map(read);
    reads.fold(0, usize::wrapping_add)
}

/// Reads the text of a string that is not stored inline.
fn read_text<A: Atomic>(atom: &A) -> Option<usize> {
    let text = (atom as &dyn Any).downcast_ref::<Str>()?;
    let first = text.as_bytes().first()?;
    (!Str::is_short(text)).then(|| usize::from(*first))
}

/// Reads an atom, and the text of a string.
fn read<A: Atomic>(atom: &A) -> usize {
    match (atom as &dyn Any).downcast_ref::<Str>() {
        Some(text) => text.as_bytes().first().map_or(0, |byte| usize::from(*byte)),
        None => usize::from(*atom == A::default()),
    }
}

impl<A: Atomic> Read for A {
    fn counts(&self) -> Option<usize> {
        read_text(self)
    }
}

impl<A: Atomic> Read for Option<A> {
    fn counts(&self) -> Option<usize> {
        self.as_ref().and_then(read_text)
    }
}

impl<A: Atomic> Read for Set<A> {
    fn counts(&self) -> Option<usize> {
        (!self.is_empty()).then(|| self.read_count())
    }

    fn elements(&self) -> usize {
        let first = self.iter().take(MOST_READ);
        first.fold(0, |all, atom| all ^ read(atom))
    }
}

impl<K: Atomic, V: Atomic> Read for Map<K, V> {
    fn counts(&self) -> Option<usize> {
        (!self.is_empty()).then(|| self.read_count())
    }

    fn elements(&self) -> usize {
        let first = self.iter().take(MOST_READ);
        first.fold(0, |all, (key, value)| all ^ read(key) ^ read(value))
    }
}

impl Read for Datum {
    fn counts(&self) -> Option<usize> {
        match self {
            Self::Set(set) => (!set.is_empty()).then(|| set.read_count()),
            Self::Map(map) => (!map.is_empty()).then(|| map.read_count()),
        }
    }
}
