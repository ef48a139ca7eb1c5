//! What the operations on all tables have in common.

use ovsdb::transaction::{BuildError, FindBy};
use ovsdb::{Column, Map, Ref, Row, Str};

use crate::{Result, Table, Transaction};

/// The rows that are meant, as the transaction leaves them. The whole table is looked through, and not
/// verified.
pub fn find<T: Table>(txn: &Transaction, is_meant: impl Fn(&Row<T>) -> bool) -> Vec<Ref<T>> {
    let rows = txn.peek().rows::<T>().filter(|row| is_meant(row));
    rows.map(Row::reference).collect()
}

/// Changes all rows that are meant.
pub fn edit<T: Table>(
    txn: &mut Transaction,
    is_meant: impl Fn(&Row<T>) -> bool,
    change: impl Fn(&mut T),
) {
    for row in find(txn, is_meant) {
        txn.edit(row, &change);
    }
}

/// Deletes all rows that are meant. Rows of the root set only: others are in use by their parents.
pub fn delete<T: Table>(txn: &mut Transaction, is_meant: impl Fn(&Row<T>) -> bool) {
    for row in find(txn, is_meant) {
        txn.delete(row);
    }
}

/// Changes the one row with the key, which has to exist.
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

/// What was found, if it was: that there is none is no error then.
pub fn optional<R>(found: Result<R>) -> Result<Option<R>> {
    match found {
        Err(BuildError::NotFound { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// Inserts a row unless there is one with the key, which stays as it is.
pub fn create<T: Table, Q: Clone>(
    txn: &mut Transaction,
    by: impl FindBy<T, Q> + Copy,
    key: Q,
    fill: impl FnOnce(&mut T),
) -> Result<Ref<T>> {
    let found = optional(txn.one(by, key.clone()))?;
    Ok(found.unwrap_or_else(|| txn.ensure(by, key, fill)))
}

/// Sets keys of a map in a row that exists; an empty value takes the key out.
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
