//! The desired rows of a table, without the table's type.

use std::any::Any;

use super::change::{NameIn, name_of};
use super::conflict::Conflict;
use super::matched::{AnyMatched, Matched};
use super::table::DesiredTable;
use crate::cache::Snapshot;
use crate::model::Table;
use crate::value::Ref;

/// A [`DesiredTable`] of any table of the database.
pub(super) trait AnyTable<D>: Send + Sync {
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// How many rows are wanted.
    fn len(&self) -> usize;
    /// Begins to compare the wanted rows with a view.
    fn matched<'v>(
        &'v self,
        view: &'v Snapshot<D>,
    ) -> Result<Box<dyn AnyMatched<D> + 'v>, Conflict>;
    /// The function that names rows of this table in a view.
    fn name(&self) -> NameIn<D>;
}

impl<T: Table> AnyTable<T::Database> for DesiredTable<T> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn matched<'v>(
        &'v self,
        view: &'v Snapshot<T::Database>,
    ) -> Result<Box<dyn AnyMatched<T::Database> + 'v>, Conflict> {
        match view.try_table::<T>() {
            Some(table) => Ok(Box::new(Matched::new(self, table))),
            None => Err(Conflict::NotReplicated { table: T::TABLE }),
        }
    }

    fn name(&self) -> NameIn<T::Database> {
        |view, row| {
            let row = view.try_table::<T>()?.get(Ref::new(row))?;
            name_of(row.columns())
        }
    }
}
