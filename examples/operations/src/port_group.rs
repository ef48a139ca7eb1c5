//! Port groups.

use ovsdb::Ref;
use ovsdb::nb::{Acl, LogicalSwitchPort as Port, PortGroup as Group};

use crate::{Result, Transaction, children, rows};

/// Creates a port group, or changes the one with this name.
pub fn ensure(txn: &mut Transaction, name: &str, change: impl FnOnce(&mut Group)) -> Ref<Group> {
    txn.ensure(Group::NAME, name, change)
}

/// Creates a port group; if one with this name exists, it is left as it is.
pub fn create(
    txn: &mut Transaction,
    name: &str,
    fill: impl FnOnce(&mut Group),
) -> Result<Ref<Group>> {
    rows::create(txn, Group::NAME, name, fill)
}

/// Adds ports to a group.
pub fn add_ports(txn: &mut Transaction, name: &str, ports: &[Ref<Port>]) -> Result {
    children::add(txn, Group::NAME, name, Group::PORTS, ports)
}

/// Removes ports from a group, if one with this name exists.
pub fn remove_ports(txn: &mut Transaction, name: &str, ports: &[Ref<Port>]) -> Result {
    children::remove(txn, Group::NAME, name, Group::PORTS, ports)
}

/// Adds ACLs to a group.
pub fn add_acls(txn: &mut Transaction, name: &str, acls: &[Ref<Acl>]) -> Result {
    children::add(txn, Group::NAME, name, Group::ACLS, acls)
}

/// Sets the ACLs of a group.
pub fn set_acls(txn: &mut Transaction, name: &str, acls: &[Ref<Acl>]) -> Result<Ref<Group>> {
    rows::update(txn, Group::NAME, name, |group| {
        group.acls = acls.iter().copied().collect();
    })
}

/// Removes ACLs from the groups with these names that exist.
pub fn remove_acls(txn: &mut Transaction, names: &[&str], acls: &[Ref<Acl>]) -> Result {
    let mut names = names.iter();
    names.try_for_each(|name| children::remove(txn, Group::NAME, name, Group::ACLS, acls))
}

/// Removes ACLs from all groups.
pub fn remove_acls_from_all(txn: &mut Transaction, acls: &[Ref<Acl>]) {
    let remove = |group: &mut Group| group.acls.retain(|acl| !acls.contains(acl));
    rows::edit(txn, |_| true, remove);
}

/// Deletes the groups with these names that exist.
pub fn delete(txn: &mut Transaction, names: &[&str]) -> Result {
    names
        .iter()
        .try_for_each(|name| rows::delete_one(txn, Group::NAME, *name))
}
