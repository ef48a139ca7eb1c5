//! Rows that a parent refers to: ports of switches, policies, routes and NATs of routers, ACLs. The
//! parent is found by its name.

use ovsdb::transaction::{BuildError, FindBy};
use ovsdb::{Column, Ref, Row, Set};

use crate::rows::optional;
use crate::{Result, Table, Transaction};

/// The column of a parent with its references to children.
pub type Children<P, T> = Column<P, Set<Ref<T>>>;

/// The children for which a test returns true; empty without a parent. The commit verifies that the
/// parent still has the same children, including those for which the test returns false.
pub fn find<'a, P: Table, T: Table>(
    txn: &mut Transaction,
    by: impl FindBy<P, &'a str>,
    parent: &'a str,
    column: Children<P, T>,
    is_meant: impl Fn(&Row<T>) -> bool,
) -> Result<Vec<Ref<T>>> {
    let parent = optional(txn.one(by, parent))?;
    let children = parent.and_then(|parent| txn.get_column(parent, column));
    let children = children.iter().flatten();
    let rows = children.filter_map(|child| txn.peek().get(*child));
    let meant = rows.filter(|row| is_meant(row));
    Ok(meant.map(Row::reference).collect())
}

/// Adds children to a parent. Children that other clients add meanwhile are kept.
pub fn add<'a, P: Table, T: Table>(
    txn: &mut Transaction,
    by: impl FindBy<P, &'a str>,
    parent: &'a str,
    column: Children<P, T>,
    children: &[Ref<T>],
) -> Result {
    let parent = txn.one(by, parent)?;
    txn.edit(parent, |parent| {
        column.edit(parent, |all| all.extend(children.iter().copied()));
    });
    Ok(())
}

/// Removes children from a parent, if it exists. If their table is not in the root set, the server
/// deletes those to which no row refers any more.
pub fn remove<'a, P: Table, T: Table>(
    txn: &mut Transaction,
    by: impl FindBy<P, &'a str>,
    parent: &'a str,
    column: Children<P, T>,
    children: &[Ref<T>],
) -> Result {
    if let Some(parent) = optional(txn.one(by, parent))? {
        txn.edit(parent, |parent| {
            column.edit(parent, |all| all.retain(|child| !children.contains(child)));
        });
    }
    Ok(())
}

/// Removes children from a parent, if it exists, and deletes them.
pub fn delete<'a, P: Table, T: Table>(
    txn: &mut Transaction,
    by: impl FindBy<P, &'a str>,
    parent: &'a str,
    column: Children<P, T>,
    children: &[Ref<T>],
) -> Result {
    children.iter().for_each(|child| _ = txn.delete(*child));
    remove(txn, by, parent, column, children)
}

/// Changes the only child for which a test returns true, or adds a new one.
pub fn ensure<'a, P: Table, T: Table>(
    txn: &mut Transaction,
    by: impl FindBy<P, &'a str> + Copy,
    parent: &'a str,
    column: Children<P, T>,
    is_meant: impl Fn(&Row<T>) -> bool,
    change: impl FnOnce(&mut T),
) -> Result<Ref<T>> {
    match find(txn, by, parent, column, is_meant)?[..] {
        [] => {
            let mut row = T::default();
            change(&mut row);
            let child = txn.insert(row);
            add(txn, by, parent, column, &[child])?;
            Ok(child)
        }
        [child] => {
            txn.edit(child, change);
            Ok(child)
        }
        ref several => {
            let (table, key) = (T::TABLE, format!("the requested properties in {parent}"));
            let count = several.len();
            Err(BuildError::Several { table, key, count })
        }
    }
}
