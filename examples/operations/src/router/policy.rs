//! Policies of routers.

use ovsdb::nb::{LogicalRouter, LogicalRouterPolicy as Policy};
use ovsdb::{Ref, Row};

use crate::{ROUTERS, Result, Transaction, children};

/// The policies of a router for which a test returns true.
pub fn find_policies(
    txn: &mut Transaction,
    router: &str,
    is_meant: impl Fn(&Row<Policy>) -> bool,
) -> Result<Vec<Ref<Policy>>> {
    children::find(txn, &*ROUTERS, router, LogicalRouter::POLICIES, is_meant)
}

/// Changes the policy of a router for which a test returns true, or adds a new one.
pub fn ensure_policy(
    txn: &mut Transaction,
    router: &str,
    is_meant: impl Fn(&Row<Policy>) -> bool,
    change: impl FnOnce(&mut Policy),
) -> Result<Ref<Policy>> {
    children::ensure(
        txn,
        &*ROUTERS,
        router,
        LogicalRouter::POLICIES,
        is_meant,
        change,
    )
}

/// Deletes the policies of a router for which a test returns true, if a router with this name exists.
pub fn delete_policies(
    txn: &mut Transaction,
    router: &str,
    is_meant: impl Fn(&Row<Policy>) -> bool,
) -> Result {
    let policies = find_policies(txn, router, is_meant)?;
    children::delete(txn, &*ROUTERS, router, LogicalRouter::POLICIES, &policies)
}

/// Adds the next hops of `wanted` to the policy for which a test returns true, or adds `wanted`.
pub fn add_next_hops(
    txn: &mut Transaction,
    router: &str,
    is_meant: impl Fn(&Row<Policy>) -> bool,
    wanted: &Policy,
) -> Result<Ref<Policy>> {
    let is_new = find_policies(txn, router, &is_meant)?.is_empty();
    ensure_policy(txn, router, is_meant, |policy| match is_new {
        true => *policy = wanted.clone(),
        false => policy.nexthops.extend(wanted.nexthops.clone()),
    })
}

/// Removes next hops from the policies for which a test returns true, and deletes those with none left.
pub fn remove_next_hops(
    txn: &mut Transaction,
    router: &str,
    is_meant: impl Fn(&Row<Policy>) -> bool,
    hops: &[&str],
) -> Result {
    for policy in find_policies(txn, router, &is_meant)? {
        txn.edit(policy, |policy| {
            policy.nexthops.retain(|hop| !hops.contains(&&**hop));
        });
    }
    delete_policies(txn, router, |policy| {
        is_meant(policy) && policy.nexthops.is_empty()
    })
}
