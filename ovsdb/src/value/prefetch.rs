//! What can be read of a value before it is copied or changed, so that cache misses overlap.
//!
//! The results mean nothing: they only keep the reads from being optimised away.

use std::any::Any;

use super::{Atomic, Map, Set, Str};

/// How many elements are read: more seldom change, and fewer lines would not be worth it.
const MOST_READ: usize = 8;

/// The supertrait of [`ColumnValue`](super::ColumnValue), which no other crate can name.
#[expect(unnameable_types, reason = "no other crate implements it")]
pub trait Prefetch {
    /// Reads the reference counts that a clone of the value changes.
    fn read_counts(&self) -> usize;
    /// Reads the first elements, which a change of the value reads, and what is behind them.
    fn read_elements(&self) -> usize {
        0
    }
}

/// Reads an atom, and the text of a string.
fn read<A: Atomic>(atom: &A) -> usize {
    match (atom as &dyn Any).downcast_ref::<Str>() {
        Some(text) => text.as_bytes().first().map_or(0, |byte| usize::from(*byte)),
        None => usize::from(*atom == A::default()),
    }
}

impl<A: Atomic> Prefetch for A {
    fn read_counts(&self) -> usize {
        read(self)
    }
}

impl<A: Atomic> Prefetch for Option<A> {
    fn read_counts(&self) -> usize {
        self.as_ref().map_or(1, read)
    }
}

impl<A: Atomic> Prefetch for Set<A> {
    fn read_counts(&self) -> usize {
        self.read_count()
    }

    fn read_elements(&self) -> usize {
        let first = self.iter().take(MOST_READ);
        first.fold(0, |all, atom| all ^ read(atom))
    }
}

impl<K: Atomic, V: Atomic> Prefetch for Map<K, V> {
    fn read_counts(&self) -> usize {
        self.read_count()
    }

    fn read_elements(&self) -> usize {
        let first = self.iter().take(MOST_READ);
        first.fold(0, |all, (key, value)| all ^ read(key) ^ read(value))
    }
}
