//! Address sets.

use ovsdb::Ref;
use ovsdb::nb::AddressSet as Set;

use crate::{Result, Transaction, rows};

/// Creates an address set, or changes the one with this name.
pub fn ensure(txn: &mut Transaction, name: &str, change: impl FnOnce(&mut Set)) -> Ref<Set> {
    txn.ensure(Set::NAME, name, change)
}

/// Creates an address set; if one with this name exists, it is left as it is.
pub fn create(txn: &mut Transaction, name: &str, fill: impl FnOnce(&mut Set)) -> Result<Ref<Set>> {
    rows::create(txn, Set::NAME, name, fill)
}

/// Sets the addresses of an address set.
pub fn set_addresses(txn: &mut Transaction, name: &str, all: &[&str]) -> Result<Ref<Set>> {
    rows::update(txn, Set::NAME, name, |set| {
        set.addresses = all.iter().copied().collect();
    })
}

/// Adds addresses to an address set.
pub fn add_addresses(txn: &mut Transaction, name: &str, new: &[&str]) -> Result<Ref<Set>> {
    rows::update(txn, Set::NAME, name, |set| {
        set.addresses.extend(new.iter().copied());
    })
}

/// Removes addresses from an address set.
pub fn remove_addresses(txn: &mut Transaction, name: &str, gone: &[&str]) -> Result<Ref<Set>> {
    rows::update(txn, Set::NAME, name, |set| {
        set.addresses.retain(|address| !gone.contains(&&**address));
    })
}

/// Deletes the address sets with these names that exist.
pub fn delete(txn: &mut Transaction, names: &[&str]) -> Result {
    names
        .iter()
        .try_for_each(|name| rows::delete_one(txn, Set::NAME, *name))
}
