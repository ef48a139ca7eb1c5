//! The references in a column.

use ovsdb_schema::RefType;

use super::cell::Cell;
use super::schema::{ColumnDef, TableId};
use crate::value::{Atom, Uuid};

/// The strong references in a column: the table of each and the row.
pub(super) fn strong_targets(column: &ColumnDef, cell: &Cell) -> Vec<(TableId, Uuid)> {
    targets(column, cell, RefType::Strong)
}

/// The weak references in a column: the table of each and the row.
pub(super) fn weak_targets(column: &ColumnDef, cell: &Cell) -> Vec<(TableId, Uuid)> {
    targets(column, cell, RefType::Weak)
}

fn targets(column: &ColumnDef, cell: &Cell, strength: RefType) -> Vec<(TableId, Uuid)> {
    let (key, value) = column.targets(strength);
    let mut found = Vec::new();
    let mut add = |table: Option<TableId>, atom: &Atom| {
        if let (Some(table), Atom::Uuid(uuid)) = (table, atom) {
            found.push((table, *uuid));
        }
    };
    match cell.pairs() {
        Some(map) => {
            for (k, v) in map {
                add(key, k);
                add(value, v);
            }
        }
        None => cell.elements().iter().for_each(|atom| add(key, atom)),
    }
    found
}
