//! Converts a database to another schema (ovsdb-server(7), "Schema Conversion").

use std::sync::Arc;

use super::cell::Cell;
use super::parse::{Context, read_cell};
use super::schema::{ColumnDef, Schema, TableDef};
use super::{Database, Proposal};
use crate::protocol::OvsdbError;
use crate::value::json::Reader;

impl Database {
    /// The same rows with another schema. Tables and columns that it lacks are dropped.
    ///
    /// # Errors
    /// When a value does not fit its new column, or the rows violate a constraint.
    pub(crate) fn convert(&self, schema: Arc<Schema>, seed: u64) -> Result<Self, OvsdbError> {
        let mut converted = Self::new(schema.clone(), seed);
        let old_schema = self.schema().clone();
        let mut load = converted.load();
        for (id, old) in old_schema.tables.iter().enumerate() {
            let Some(new_id) = schema.find(&old.name) else {
                continue;
            };
            let new = &schema.tables[new_id];
            for row in self.state().table(id).rows() {
                let mut cells = Vec::new();
                for column_id in old.ids() {
                    let column = old.column(column_id);
                    let Some(target) = new.find(&column.name) else {
                        continue;
                    };
                    let cell = row.get(old, column_id);
                    cells.push((
                        target,
                        convert_cell(&cell, column, new.column(target), new)?,
                    ));
                }
                load.insert(new_id, row.uuid(), cells);
            }
        }
        let proposal: Proposal = load.finish()?;
        converted.commit(proposal);
        Ok(converted)
    }
}

/// Converts a value to the type of another column.
fn convert_cell(
    cell: &Cell,
    old: &ColumnDef,
    new: &ColumnDef,
    table: &TableDef,
) -> Result<Cell, OvsdbError> {
    if old.kind == new.kind {
        return Ok(cell.clone());
    }
    let mut text = String::new();
    cell.write(&mut text);
    read_cell(
        &mut Reader::new(&text),
        &new.kind,
        &mut Context::without_names(),
    )
    .map_err(|error| {
        let details = error.details.as_deref().unwrap_or_default();
        OvsdbError {
            details: Some(format!("table {} column {}: {details}", table.name, new.name).into()),
            ..error
        }
    })
}
