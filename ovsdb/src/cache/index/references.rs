//! An index of all references from one table to another.

use std::fmt;
use std::sync::Arc;

use super::hash::{Found, Groups};
use super::{DeclaredIndex, changed};
use crate::cache::erased::{ErasedRow, has_same};
use crate::model::ColumnInfo;
use crate::value::Uuid;

/// Which rows of a table refer to which rows of the target table.
pub(in crate::cache) struct References {
    /// The table that the references are to.
    target: &'static str,
    /// The columns that may refer to it.
    columns: Arc<[usize]>,
    rows: Groups<Uuid>,
    /// Buffers for the uuids that the old and the new version of a row refer to, kept to reuse their
    /// allocations.
    scratch: [Vec<Uuid>; 2],
}

impl fmt::Debug for References {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("References")
            .field("target", &self.target)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl References {
    /// An empty index over the columns that can refer to the table `target` of `database`; `None` if no
    /// column can.
    pub(in crate::cache) fn new(
        columns: &[ColumnInfo],
        database: &str,
        target: &'static str,
    ) -> Option<Self> {
        let columns = columns.iter().enumerate();
        let columns: Arc<[usize]> = columns
            .filter(|(_, column)| column.may_refer_to(database, target))
            .map(|(index, _)| index)
            .collect();
        (!columns.is_empty()).then(|| Self::over(target, columns, Groups::default()))
    }

    fn over(target: &'static str, columns: Arc<[usize]>, rows: Groups<Uuid>) -> Self {
        Self {
            target,
            columns,
            rows,
            scratch: Default::default(),
        }
    }

    pub(in crate::cache) fn is_to(&self, target: &str) -> bool {
        self.target == target
    }

    /// The uuids of the rows that refer to this one.
    pub(in crate::cache) fn find(&self, row: Uuid) -> Found<'_> {
        self.rows.find(&row)
    }

    /// Collects the uuids that a row refers to, sorted and without duplicates.
    fn collect(&self, row: Option<&dyn ErasedRow>, uuids: &mut Vec<Uuid>) {
        uuids.clear();
        let columns = self.columns.iter();
        for column in columns.filter_map(|column| row?.column(*column)) {
            column.each_reference(self.target, &mut |uuid| uuids.push(uuid));
        }
        if !uuids.is_sorted_by(|a, b| a < b) {
            uuids.sort_unstable();
            uuids.dedup();
        }
    }
}

impl DeclaredIndex for References {
    fn change(&mut self, uuid: Uuid, old: Option<&dyn ErasedRow>, new: Option<&dyn ErasedRow>) {
        if let (Some(old), Some(new)) = (old, new)
            && has_same(old, new, self.columns.iter().copied())
        {
            return;
        }
        let [mut before, mut after] = std::mem::take(&mut self.scratch);
        self.collect(old, &mut before);
        self.collect(new, &mut after);
        let (removed, added) = changed(&before, &after);
        removed.iter().for_each(|row| self.rows.remove(row, uuid));
        added.iter().for_each(|row| self.rows.add(row, uuid));
        self.scratch = [before, after];
    }

    fn emptied(&self) -> Box<dyn DeclaredIndex> {
        let columns = self.columns.clone();
        Box::new(Self::over(self.target, columns, Groups::default()))
    }

    fn shared(&self) -> Box<dyn DeclaredIndex> {
        let columns = self.columns.clone();
        Box::new(Self::over(self.target, columns, self.rows.clone()))
    }
}
