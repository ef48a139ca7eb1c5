//! Functions that the operations on all tables share.

use ovsdb::transaction::{BuildError, FindBy};
use ovsdb::{Column, Map, Ref, Row, Str};

use crate::{Result, Table, Transaction};

/// The rows for which a test returns true, as the transaction leaves them. This reads the whole table,
/// and verifies nothing.
pub fn find<T: Table>(txn: &Transaction, is_meant: impl Fn(&Row<T>) -> bool) -> Vec<Ref<T>> {
    let rows = txn.peek().rows::<T>().filter(|row| is_meant(row));
    rows.map(Row::reference).collect()
}

/// Changes all rows for which a test returns true.
pub fn edit<T: Table>(
    txn: &mut Transaction,
    is_meant: impl Fn(&Row<T>) -> bool,
    change: impl Fn(&mut T),
) {
    for row in find(txn, is_meant) {
        txn.edit(row, &change);
    }
}

/// Deletes all rows for which a test returns true. Only for tables in the root set: for a row of
/// another table, its parent's reference must be removed, too.
pub fn delete<T: Table>(txn: &mut Transaction, is_meant: impl Fn(&Row<T>) -> bool) {
    for row in find(txn, is_meant) {
        txn.delete(row);
    }
}

/// Changes the only row with the key, which must exist.
pub fn update<T: Table, Q>(
    txn: &mut Transaction,
    by: impl FindBy<T, Q>,
    key: Q,
    change: impl FnOnce(&mut T),
) -> Result<Ref<T>> {
    let row = txn.one(by, key)?;
    txn.edit(row, change);
    Ok(row)
}

/// Deletes the row with the key, if there is one.
pub fn delete_one<T: Table, Q>(txn: &mut Transaction, by: impl FindBy<T, Q>, key: Q) -> Result {
    if let Some(row) = optional(txn.one(by, key))? {
        txn.delete(row);
    }
    Ok(())
}

/// What was found, or `None`: not finding a row is not an error here.
pub fn optional<R>(found: Result<R>) -> Result<Option<R>> {
    match found {
        Err(BuildError::NotFound { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// Inserts a row; if one with the key exists, it is left as it is.
pub fn create<T: Table, Q: Clone>(
    txn: &mut Transaction,
    by: impl FindBy<T, Q> + Copy,
    key: Q,
    fill: impl FnOnce(&mut T),
) -> Result<Ref<T>> {
    let found = optional(txn.one(by, key.clone()))?;
    Ok(found.unwrap_or_else(|| txn.ensure(by, key, fill)))
}

/// Sets keys of a map in an existing row; an empty value removes the key.
pub fn set_keys<T: Table>(
    txn: &mut Transaction,
    row: Ref<T>,
    column: Column<T, Map<Str, Str>>,
    keys: &[(&str, &str)],
) -> Result {
    txn.edit(row, |row| {
        column.edit(row, |map| {
            map.extend(keys.iter().copied());
            map.retain(|key, _| !keys.contains(&(key, "")));
        });
    });
    Ok(())
}
