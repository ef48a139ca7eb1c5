//! Scanning all rows of a table.

use std::array;
use std::iter::Flatten;

use super::erased::{SharedRow, typed};
use crate::model::{Row, Table};
use crate::trie;

/// How many rows are downcast together.
const GROUP: usize = 64;

/// All rows of a table, as rows of the type `T`.
///
/// Rows are scattered over the memory. The less a processor does between reading two of them, the more
/// cache misses overlap. So rows are downcast in groups, which does not read them, before the caller
/// gets the first one.
pub(super) struct Rows<'a, T> {
    rows: trie::Iter<'a, SharedRow>,
    group: Group<'a, T>,
    left: usize,
}

type Group<'a, T> = Flatten<array::IntoIter<Option<&'a Row<T>>, GROUP>>;

impl<'a, T: Table> Rows<'a, T> {
    pub(super) fn new(rows: trie::Iter<'a, SharedRow>) -> Self {
        Self {
            left: rows.len(),
            group: [None; GROUP].into_iter().flatten(),
            rows,
        }
    }

    /// Downcasts the next group, and returns its first row.
    #[inline(never)]
    fn next_group(&mut self) -> Option<&'a Row<T>> {
        let mut group = [None; GROUP];
        for (place, row) in group.iter_mut().zip(&mut self.rows) {
            *place = typed(&**row);
        }
        self.group = group.into_iter().flatten();
        self.group.next()
    }
}

impl<'a, T: Table> Iterator for Rows<'a, T> {
    type Item = &'a Row<T>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let row = match self.group.next() {
            Some(row) => row,
            None => self.next_group()?,
        };
        self.left -= 1;
        Some(row)
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, initial: B, mut fold: F) -> B {
        let mut folded = initial;
        loop {
            folded = self.group.by_ref().fold(folded, &mut fold);
            match self.next_group() {
                Some(row) => folded = fold(folded, row),
                None => return folded,
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Table> ExactSizeIterator for Rows<'_, T> {}
