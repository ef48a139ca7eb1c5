//! Rows of tables known at run time only: their columns are those of the server's schema.

use std::any::Any;
use std::sync::Arc;

use ovsdb_schema::{DatabaseSchema, TableSchema};

use super::any::{AnyColumns, AnyRow, NamedColumn};
use super::erased::{ErasedRow, SharedRow};
use super::skew::{Skew, SkewReport};
use crate::value::{Cell, ColumnKind, ColumnValue, Sealed, Str, Uuid};

/// A table known at run time only, with the columns of the server's schema.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedTable {
    name: Str,
    /// The requested columns; `None` for all.
    wanted: Option<Box<[Str]>>,
    /// The requested columns that the server has.
    columns: Box<[NamedColumn]>,
}

impl NamedTable {
    /// A table before a schema is applied to it.
    pub(crate) fn new(name: Str, wanted: Option<Box<[Str]>>) -> Self {
        Self {
            name,
            wanted,
            columns: Box::default(),
        }
    }

    /// The table with the columns of this schema; `None` when they are unchanged, or when the schema
    /// lacks the table. Reports requested columns that do not exist.
    pub(super) fn fitted(
        &self,
        schema: &DatabaseSchema,
        report: &mut SkewReport,
    ) -> Option<Arc<Self>> {
        // The plan reports a missing table.
        let server = schema.tables.get(self.name.as_str())?;
        for column in self.wanted.iter().flatten() {
            if !server.columns.contains_key(column.as_str()) {
                report.differences.push(Skew::MissingColumn {
                    table: self.name.clone(),
                    column: column.clone(),
                });
            }
        }
        let columns = self.columns_of(server);
        (columns != self.columns).then(|| {
            Arc::new(Self {
                name: self.name.clone(),
                wanted: self.wanted.clone(),
                columns,
            })
        })
    }

    fn columns_of(&self, server: &TableSchema) -> Box<[NamedColumn]> {
        let wanted = |name: &str| match &self.wanted {
            Some(wanted) => wanted.iter().any(|wanted| *wanted == name),
            None => true,
        };
        let columns = server.columns.iter().filter(|(name, _)| wanted(name));
        let columns = columns.map(|(name, column)| NamedColumn {
            name: Str::from(name),
            kind: ColumnKind::from(&column.kind),
        });
        columns.collect()
    }

    pub(super) const fn name(&self) -> &Str {
        &self.name
    }

    pub(super) fn wanted(&self) -> Option<&[Str]> {
        self.wanted.as_deref()
    }

    pub(super) const fn columns(&self) -> AnyColumns<'_> {
        AnyColumns::named(&self.columns)
    }

    /// A row whose columns are all empty.
    pub(super) fn empty_row(self: &Arc<Self>) -> SharedRow {
        Arc::new(NamedRow {
            uuid: Uuid::nil(),
            cells: self
                .columns
                .iter()
                .map(|column| Cell::new(column.kind))
                .collect(),
            table: self.clone(),
        })
    }
}

/// A row of a table known at run time only.
#[derive(Debug, Clone)]
struct NamedRow {
    uuid: Uuid,
    table: Arc<NamedTable>,
    cells: Box<[Cell]>,
}

impl Sealed for NamedRow {}

impl AnyRow for NamedRow {
    fn uuid(&self) -> Uuid {
        self.uuid
    }

    fn table(&self) -> &str {
        &self.table.name
    }

    fn columns(&self) -> AnyColumns<'_> {
        self.table.columns()
    }

    fn column(&self, index: usize) -> Option<&dyn ColumnValue> {
        let cell = self.cells.get(index)?;
        Some(cell)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl ErasedRow for NamedRow {
    fn column_mut(&mut self, index: usize) -> Option<&mut dyn ColumnValue> {
        let cell = self.cells.get_mut(index)?;
        Some(cell)
    }

    fn copy(&self, uuid: Uuid) -> SharedRow {
        Arc::new(Self {
            uuid,
            ..self.clone()
        })
    }

    fn copy_from(&mut self, other: &dyn ErasedRow) -> bool {
        match (other as &dyn Any).downcast_ref::<Self>() {
            Some(other) => {
                self.clone_from(other);
                true
            }
            None => false,
        }
    }
}
