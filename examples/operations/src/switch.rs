//! Logical switches and their ports.

use ovsdb::nb::{Acl, LoadBalancer, LogicalSwitch as Switch, LogicalSwitchPort as Port};
use ovsdb::{Ref, Row};

use crate::rows::{self, optional};
use crate::{Result, SWITCHES, Transaction, children};

/// Creates a switch, or changes the one with this name.
pub fn ensure(txn: &mut Transaction, name: &str, change: impl FnOnce(&mut Switch)) -> Ref<Switch> {
    txn.ensure(&*SWITCHES, name, change)
}

/// Deletes the switch with this name, if it exists.
pub fn delete(txn: &mut Transaction, name: &str) -> Result {
    rows::delete_one(txn, &*SWITCHES, name)
}

/// Sets external ids of a switch; an empty value removes the key.
pub fn set_external_ids(txn: &mut Transaction, name: &str, ids: &[(&str, &str)]) -> Result {
    let switch = txn.one(&*SWITCHES, name)?;
    rows::set_keys(txn, switch, Switch::EXTERNAL_IDS, ids)
}

/// Sets keys of a switch's `other_config`; an empty value removes the key.
pub fn set_other_config(txn: &mut Transaction, name: &str, config: &[(&str, &str)]) -> Result {
    let switch = txn.one(&*SWITCHES, name)?;
    rows::set_keys(txn, switch, Switch::OTHER_CONFIG, config)
}

/// Adds load balancers to a switch.
pub fn add_balancers(txn: &mut Transaction, name: &str, add: &[Ref<LoadBalancer>]) -> Result {
    children::add(txn, &*SWITCHES, name, Switch::LOAD_BALANCER, add)
}

/// Removes load balancers from a switch, if one with this name exists.
pub fn remove_balancers(txn: &mut Transaction, name: &str, gone: &[Ref<LoadBalancer>]) -> Result {
    children::remove(txn, &*SWITCHES, name, Switch::LOAD_BALANCER, gone)
}

/// Adds ACLs to a switch.
pub fn add_acls(txn: &mut Transaction, name: &str, acls: &[Ref<Acl>]) -> Result {
    children::add(txn, &*SWITCHES, name, Switch::ACLS, acls)
}

/// Removes ACLs from all switches for which a test returns true.
pub fn remove_acls(
    txn: &mut Transaction,
    is_meant: impl Fn(&Row<Switch>) -> bool,
    acls: &[Ref<Acl>],
) {
    rows::edit(txn, is_meant, |switch| {
        switch.acls.retain(|acl| !acls.contains(acl));
    });
}

/// Creates the port with this name or changes it, and adds it to the switch if it is not there.
pub fn ensure_port(
    txn: &mut Transaction,
    switch: &str,
    name: &str,
    change: impl FnOnce(&mut Port),
) -> Result<Ref<Port>> {
    let port = txn.ensure(Port::NAME, name, change);
    children::add(txn, &*SWITCHES, switch, Switch::PORTS, &[port])?;
    Ok(port)
}

/// Like [`ensure_port`], for an existing port.
pub fn update_port(
    txn: &mut Transaction,
    switch: &str,
    name: &str,
    change: impl FnOnce(&mut Port),
) -> Result<Ref<Port>> {
    txn.one(Port::NAME, name)?;
    ensure_port(txn, switch, name, change)
}

/// Deletes the ports with these names that exist.
pub fn delete_ports(txn: &mut Transaction, switch: &str, names: &[&str]) -> Result {
    for name in names {
        let port = optional(txn.one(Port::NAME, *name))?;
        children::delete(txn, &*SWITCHES, switch, Switch::PORTS, port.as_slice())?;
    }
    Ok(())
}

/// Deletes the ports of a switch for which a test returns true, if a switch with this name exists.
pub fn delete_ports_where(
    txn: &mut Transaction,
    switch: &str,
    is_meant: impl Fn(&Row<Port>) -> bool,
) -> Result {
    let ports = children::find(txn, &*SWITCHES, switch, Switch::PORTS, is_meant)?;
    children::delete(txn, &*SWITCHES, switch, Switch::PORTS, &ports)
}

/// Sets options of a port; an empty value removes the option.
pub fn set_port_options(txn: &mut Transaction, port: &str, options: &[(&str, &str)]) -> Result {
    let port = txn.one(Port::NAME, port)?;
    rows::set_keys(txn, port, Port::OPTIONS, options)
}
