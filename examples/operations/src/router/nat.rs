//! NATs of routers.

use std::net::IpAddr;

use ovsdb::nb::{LogicalRouter, Nat, NatType};
use ovsdb::{Ref, Row};

use crate::{ROUTERS, Result, Transaction, children, rows};

fn nat(kind: NatType, external_ip: Option<IpAddr>, logical_ip: String) -> Nat {
    Nat {
        r#type: kind,
        external_ip: external_ip
            .map(|ip| ip.to_string())
            .unwrap_or_default()
            .into(),
        logical_ip: logical_ip.into(),
        options: [("stateless", "false")].into(),
        ..Default::default()
    }
}

/// A NAT of the source addresses in a network; of one host if the prefix is as long as the address.
pub fn snat(external_ip: Option<IpAddr>, (network, prefix): (IpAddr, u8)) -> Nat {
    let is_host = prefix == if network.is_ipv4() { 32 } else { 128 };
    let logical_ip = if is_host {
        network.to_string()
    } else {
        format!("{network}/{prefix}")
    };
    nat(NatType::Snat, external_ip, logical_ip)
}

/// A NAT in both directions: of destinations from the external to the logical address, and of sources
/// from the logical to the external one.
pub fn dnat_and_snat(external_ip: Option<IpAddr>, logical_ip: Option<IpAddr>) -> Nat {
    let logical_ip = logical_ip.map(|ip| ip.to_string()).unwrap_or_default();
    nat(NatType::DnatAndSnat, external_ip, logical_ip)
}

/// Whether a NAT is equivalent to `wanted`: it has the same type and match, and the external address,
/// logical port and external ids that `wanted` sets. For NATs of the type `snat`, the logical address
/// must be the same, too.
pub fn is_equivalent(nat: &Nat, wanted: &Nat) -> bool {
    let mut ids = wanted.external_ids.iter();
    nat.r#type == wanted.r#type
        && nat.r#match == wanted.r#match
        && (wanted.external_ip.is_empty() || nat.external_ip == wanted.external_ip)
        && (wanted.r#type != NatType::Snat || nat.logical_ip == wanted.logical_ip)
        && (wanted.logical_port.is_none() || nat.logical_port == wanted.logical_port)
        && ids.all(|(key, value)| nat.external_ids.get(key) == Some(value))
}

/// The NATs of a router for which a test returns true.
pub fn find_nats(
    txn: &mut Transaction,
    router: &str,
    is_meant: impl Fn(&Row<Nat>) -> bool,
) -> Result<Vec<Ref<Nat>>> {
    children::find(txn, &*ROUTERS, router, LogicalRouter::NAT, is_meant)
}

/// Updates the addresses, logical port, options and external ids of the first NAT of a router that is
/// equivalent to `wanted`, or adds a new one. Columns that `wanted` leaves empty and keys that it lacks
/// are kept.
pub fn ensure_nat(txn: &mut Transaction, router: &str, wanted: &Nat) -> Result<Ref<Nat>> {
    let found = find_nats(txn, router, |nat| is_equivalent(nat, wanted))?;
    let Some(nat) = found.first() else {
        let nat = txn.insert(wanted.clone());
        children::add(txn, &*ROUTERS, router, LogicalRouter::NAT, &[nat])?;
        return Ok(nat);
    };
    txn.edit(*nat, |nat| {
        if !wanted.external_ip.is_empty() {
            nat.external_ip.clone_from(&wanted.external_ip);
        }
        if !wanted.logical_ip.is_empty() {
            nat.logical_ip.clone_from(&wanted.logical_ip);
        }
        nat.external_mac = wanted.external_mac.clone().or(nat.external_mac.take());
        nat.logical_port = wanted.logical_port.clone().or(nat.logical_port.take());
        nat.options.extend(wanted.options.clone());
        nat.external_ids.extend(wanted.external_ids.clone());
    });
    Ok(*nat)
}

/// Deletes the NATs of a router that are equivalent to one of these, if a router with this name exists.
pub fn delete_nats(txn: &mut Transaction, router: &str, unwanted: &[Nat]) -> Result {
    let is_unwanted = |nat: &Row<Nat>| unwanted.iter().any(|other| is_equivalent(nat, other));
    let nats = find_nats(txn, router, is_unwanted)?;
    children::delete(txn, &*ROUTERS, router, LogicalRouter::NAT, &nats)
}

/// Deletes the NATs of all routers for which a test returns true.
pub fn delete_nats_where(txn: &mut Transaction, is_meant: impl Fn(&Row<Nat>) -> bool) {
    let nats = rows::find(txn, is_meant);
    let remove = |router: &mut LogicalRouter| router.nat.retain(|nat| !nats.contains(nat));
    rows::edit(txn, |_| true, remove);
    nats.iter().for_each(|nat| _ = txn.delete(*nat));
}
