//! Logical routers, their ports and load balancers, and BFD sessions.

mod nat;
mod policy;
mod route;

use ovsdb::Ref;
use ovsdb::nb::{
    Bfd, GatewayChassis, LoadBalancer, LogicalRouter as Router, LogicalRouterPort as Port,
};

pub use self::nat::*;
pub use self::policy::*;
pub use self::route::*;
use crate::rows::{self, optional};
use crate::{ROUTERS, Result, Transaction, children};

/// Creates a router, or changes the one with this name.
pub fn ensure(txn: &mut Transaction, name: &str, change: impl FnOnce(&mut Router)) -> Ref<Router> {
    txn.ensure(&*ROUTERS, name, change)
}

/// Deletes the router with this name, if it exists.
pub fn delete(txn: &mut Transaction, name: &str) -> Result {
    rows::delete_one(txn, &*ROUTERS, name)
}

/// Sets external ids of a router; an empty value removes the key.
pub fn set_external_ids(txn: &mut Transaction, name: &str, ids: &[(&str, &str)]) -> Result {
    let router = txn.one(&*ROUTERS, name)?;
    rows::set_keys(txn, router, Router::EXTERNAL_IDS, ids)
}

/// Creates the port with this name or changes it, and adds it to the router if it is not there.
pub fn ensure_port(
    txn: &mut Transaction,
    router: &str,
    name: &str,
    change: impl FnOnce(&mut Port),
) -> Result<Ref<Port>> {
    let port = txn.ensure(Port::NAME, name, change);
    children::add(txn, &*ROUTERS, router, Router::PORTS, &[port])?;
    Ok(port)
}

/// Creates the gateway chassis with this name or changes it, and makes it the only one of a port.
pub fn ensure_gateway(
    txn: &mut Transaction,
    port: Ref<Port>,
    name: &str,
    change: impl FnOnce(&mut GatewayChassis),
) -> Ref<GatewayChassis> {
    let gateway = txn.ensure(GatewayChassis::NAME, name, change);
    txn.edit(port, |port| port.gateway_chassis = [gateway].into());
    gateway
}

/// Deletes the ports with these names that exist.
pub fn delete_ports(txn: &mut Transaction, router: &str, names: &[&str]) -> Result {
    for name in names {
        let port = optional(txn.one(Port::NAME, *name))?;
        children::delete(txn, &*ROUTERS, router, Router::PORTS, port.as_slice())?;
    }
    Ok(())
}

/// Adds load balancers to a router.
pub fn add_balancers(txn: &mut Transaction, name: &str, add: &[Ref<LoadBalancer>]) -> Result {
    children::add(txn, &*ROUTERS, name, Router::LOAD_BALANCER, add)
}

/// Removes load balancers from a router, if one with this name exists.
pub fn remove_balancers(txn: &mut Transaction, name: &str, gone: &[Ref<LoadBalancer>]) -> Result {
    children::remove(txn, &*ROUTERS, name, Router::LOAD_BALANCER, gone)
}

/// Creates a BFD session, or changes the one with this port and address.
pub fn ensure_bfd(
    txn: &mut Transaction,
    port: &str,
    dst_ip: &str,
    change: impl FnOnce(&mut Bfd),
) -> Ref<Bfd> {
    txn.ensure(Bfd::LOGICAL_PORT_AND_DST_IP, (port, dst_ip), change)
}

/// Deletes the BFD session with this port and address, if it exists.
pub fn delete_bfd(txn: &mut Transaction, port: &str, dst_ip: &str) -> Result {
    rows::delete_one(txn, Bfd::LOGICAL_PORT_AND_DST_IP, (port, dst_ip))
}
