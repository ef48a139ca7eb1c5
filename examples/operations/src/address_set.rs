//! Address sets.

use ovsdb::Ref;
use ovsdb::nb::AddressSet as Set;

use crate::{Result, Transaction, rows};

/// Creates an address set, or changes the one of this name.
pub fn ensure(txn: &mut Transaction, name: &str, change: impl FnOnce(&mut Set)) -> Ref<Set> {
    txn.ensure(Set::NAME, name, change)
}

/// Creates an address set unless there is one of this name, which stays as it is.
pub fn create(txn: &mut Transaction, name: &str, fill: impl FnOnce(&mut Set)) -> Result<Ref<Set>> {
    rows::create(txn, Set::NAME, name, fill)
}

/// Changes an address set that exists.
fn update(txn: &mut Transaction, name: &str, change: impl FnOnce(&mut Set)) -> Result {
    let set = txn.one(Set::NAME, name)?;
    txn.edit(set, change);
    Ok(())
}

/// Gives an address set these addresses and no others.
pub fn set_addresses(txn: &mut Transaction, name: &str, addresses: &[&str]) -> Result {
    update(txn, name, |set| {
        set.addresses = addresses.iter().copied().collect();
    })
}

/// Adds addresses to an address set.
pub fn add_addresses(txn: &mut Transaction, name: &str, addresses: &[&str]) -> Result {
    update(txn, name, |set| {
        set.addresses.extend(addresses.iter().copied());
    })
}

/// Takes addresses out of an address set.
pub fn remove_addresses(txn: &mut Transaction, name: &str, addresses: &[&str]) -> Result {
    update(txn, name, |set| {
        set.addresses
            .retain(|address| !addresses.contains(&&**address));
    })
}

/// Deletes the address sets of these names, as far as they exist.
pub fn delete(txn: &mut Transaction, names: &[&str]) -> Result {
    names
        .iter()
        .try_for_each(|name| rows::delete_one(txn, Set::NAME, *name))
}
