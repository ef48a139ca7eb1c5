//! Load balancers and their groups.

use ovsdb::Ref;
use ovsdb::nb::{LoadBalancer as Balancer, LoadBalancerGroup as Group};

use crate::{LOAD_BALANCERS, Result, Transaction, children, rows};

/// Creates a load balancer, or changes the one with this name.
pub fn ensure(
    txn: &mut Transaction,
    name: &str,
    change: impl FnOnce(&mut Balancer),
) -> Ref<Balancer> {
    txn.ensure(&*LOAD_BALANCERS, name, change)
}

/// Removes virtual addresses from a load balancer.
pub fn remove_vips(txn: &mut Transaction, name: &str, gone: &[&str]) -> Result<Ref<Balancer>> {
    rows::update(txn, &*LOAD_BALANCERS, name, |balancer| {
        balancer.vips.retain(|vip, _| !gone.contains(&&**vip));
    })
}

/// Deletes the load balancers with these names that exist. Switches, routers and groups refer to them
/// by weak references, which the server removes.
pub fn delete(txn: &mut Transaction, names: &[&str]) -> Result {
    names
        .iter()
        .try_for_each(|name| rows::delete_one(txn, &*LOAD_BALANCERS, *name))
}

/// Creates a group, unless one with this name exists.
pub fn ensure_group(txn: &mut Transaction, name: &str) -> Ref<Group> {
    txn.ensure(Group::NAME, name, |_| {})
}

/// Adds load balancers to a group.
pub fn add_to_group(txn: &mut Transaction, group: &str, add: &[Ref<Balancer>]) -> Result {
    children::add(txn, Group::NAME, group, Group::LOAD_BALANCER, add)
}

/// Removes load balancers from a group, if one with this name exists.
pub fn remove_from_group(txn: &mut Transaction, group: &str, gone: &[Ref<Balancer>]) -> Result {
    children::remove(txn, Group::NAME, group, Group::LOAD_BALANCER, gone)
}
