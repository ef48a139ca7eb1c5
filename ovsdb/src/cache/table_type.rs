//! Tables as the replica's engine handles them: compiled structs, or tables known at run time only.

use std::sync::Arc;

use super::any::AnyColumns;
use super::erased::SharedRow;
use super::named::NamedTable;
use crate::model::{ColumnInfo, Row, Table};
use crate::value::{Str, Uuid};

/// What the engine knows of a table.
#[derive(Debug, Clone)]
pub(crate) enum TableType {
    /// A struct of the program.
    Compiled(&'static CompiledTable),
    /// A table known at run time only.
    Named(Arc<NamedTable>),
}

/// A table that is a struct of the program.
#[derive(Debug)]
pub(crate) struct CompiledTable {
    /// [`Table::TABLE`].
    name: &'static str,
    /// [`Table::COLUMNS`].
    pub(super) columns: &'static [ColumnInfo],
    /// [`Table::INDEXES`].
    indexes: &'static [&'static [usize]],
    /// Makes a row with the compiled defaults.
    default_row: fn() -> SharedRow,
}

impl TableType {
    pub(crate) const fn of<T: Table>() -> Self {
        Self::Compiled(
            const {
                &CompiledTable {
                    name: T::TABLE,
                    columns: T::COLUMNS,
                    indexes: T::INDEXES,
                    default_row: || Arc::new(Row::new(Uuid::nil(), T::default())),
                }
            },
        )
    }

    pub(super) fn name(&self) -> Str {
        match self {
            Self::Compiled(table) => Str::from(table.name),
            Self::Named(table) => table.name().clone(),
        }
    }

    pub(super) fn columns(&self) -> AnyColumns<'_> {
        match self {
            Self::Compiled(table) => AnyColumns::compiled(table.columns),
            Self::Named(table) => table.columns(),
        }
    }

    /// The schema's indexes that the replica keeps, each as the positions of its columns.
    pub(super) const fn indexes(&self) -> &'static [&'static [usize]] {
        match self {
            Self::Compiled(table) => table.indexes,
            Self::Named(_) => &[],
        }
    }

    /// A row with the compiled defaults; empty where the table is known at run time only. The plan
    /// replaces them by the server's defaults in the columns that the server has with a type that fits.
    pub(super) fn default_row(&self) -> SharedRow {
        match self {
            Self::Compiled(table) => (table.default_row)(),
            Self::Named(table) => table.empty_row(),
        }
    }
}
