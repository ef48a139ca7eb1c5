//! The pools from which addresses are taken, and the owners of addresses.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::NodeGrant;
use crate::addresses::nth;
use crate::allocate::Pool;
use crate::cluster::Cluster;
use crate::config::Topology;
use crate::error::Reason;

/// The pools of a network's addresses, and the owners of addresses.
pub(super) struct Pools {
    /// The pools of each node; pools that all nodes share are under the empty name.
    pools: BTreeMap<String, Vec<Pool>>,
    owners: HashMap<IpAddr, Owner>,
}

/// The owner of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The node itself: its gateway, or its management port.
    Node,
    /// The attachment of a pod with this index among those that get addresses now.
    Pod(usize),
    /// A port to which nothing is assigned now.
    Other,
}

impl Pools {
    pub(super) fn new(cluster: &Cluster, network: usize, nodes: &[NodeGrant<'_>]) -> Self {
        let config = &cluster.networks[network].config;
        let mut owners = HashMap::new();
        let mut pools = BTreeMap::new();
        for grant in nodes {
            let node_pools = grant.subnets.iter().map(|subnet| Pool::of_node(*subnet));
            pools.insert(grant.node.name.clone(), node_pools.collect());
            let reserved = |(subnet, offset)| nth(subnet, offset);
            let reserved = grant
                .subnets
                .iter()
                .flat_map(|s| [(s, 1), (s, 2)])
                .filter_map(reserved);
            owners.extend(reserved.map(|address| (address, Owner::Node)));
        }
        if config.topology != Topology::Layer3 {
            let mut all: Vec<Pool> = config.subnets.iter().copied().map(Pool::new).collect();
            for pool in &mut all {
                for range in &config.exclude_subnets {
                    pool.exclude(range);
                }
            }
            pools.insert(String::new(), all);
        }
        Self { pools, owners }
    }

    fn of(&mut self, node: &str) -> (&mut [Pool], &mut HashMap<IpAddr, Owner>) {
        let key = if self.pools.contains_key(node) {
            node
        } else {
            ""
        };
        let pools = self
            .pools
            .get_mut(key)
            .map_or(&mut [][..], Vec::as_mut_slice);
        (pools, &mut self.owners)
    }

    /// Takes the addresses of a grant for `owner`. Returns the addresses that another attachment already has,
    /// each with the index of that attachment.
    pub(super) fn grant(
        &mut self,
        node: &str,
        owner: Owner,
        addresses: &[IpNet],
    ) -> Result<Vec<(IpAddr, usize)>, Reason> {
        let (pools, owners) = self.of(node);
        // Without a pool, no addresses are assigned, so any is accepted.
        for address in addresses.iter().map(IpNet::addr) {
            if owners.get(&address) == Some(&Owner::Node) {
                let (address, owner) = (address.to_string(), "the node".to_owned());
                return Err(Reason::AddressTaken { address, owner });
            }
            if !pools.is_empty() && !pools.iter().any(|pool| pool.has(address)) {
                let subnets: Vec<_> = pools.iter().map(|pool| pool.subnet().to_string()).collect();
                let (address, subnets) = (address.to_string(), subnets.join(", "));
                return Err(Reason::AddressOutside { address, subnets });
            }
        }
        let mut shared = Vec::new();
        for address in addresses.iter().map(IpNet::addr) {
            if let Some(pool) = pools.iter_mut().find(|pool| pool.has(address)) {
                // The result does not matter: an excluded address may have been granted explicitly.
                pool.reserve(address);
            }
            match owners.entry(address) {
                Entry::Occupied(other) => {
                    if let Owner::Pod(other) = other.get() {
                        shared.push((address, *other));
                    }
                }
                Entry::Vacant(entry) => {
                    entry.insert(owner);
                }
            }
        }
        Ok(shared)
    }

    /// Takes addresses for `owner`, unless one of them has an owner. Returns whether it took them.
    pub(super) fn reserve(&mut self, node: &str, owner: Owner, addresses: &[IpNet]) -> bool {
        let (pools, owners) = self.of(node);
        if addresses.iter().any(|it| owners.contains_key(&it.addr())) {
            return false;
        }
        for address in addresses.iter().map(IpNet::addr) {
            if let Some(pool) = pools.iter_mut().find(|pool| pool.has(address)) {
                pool.reserve(address);
            }
            owners.insert(address, owner);
        }
        true
    }

    /// Takes the next free address of each pool for `owner`.
    pub(super) fn take(&mut self, node: &str, owner: Owner) -> Result<Vec<IpNet>, Reason> {
        let (pools, owners) = self.of(node);
        let mut taken = Vec::new();
        for pool in pools {
            let subnet = pool.subnet();
            let address = pool.take().ok_or(Reason::NoAddressLeft(subnet))?;
            owners.insert(address, owner);
            taken.extend(IpNet::new(address, subnet.prefix_len()));
        }
        Ok(taken)
    }

    /// The addresses with their subnets' prefix lengths; `None` unless there is one from each pool.
    pub(super) fn fitted(&mut self, node: &str, addresses: &[IpNet]) -> Option<Vec<IpNet>> {
        let (pools, _) = self.of(node);
        if pools.len() != addresses.len() {
            return None;
        }
        let fitted = pools.iter().zip(addresses).map(|(pool, address)| {
            let address = Some(address.addr()).filter(|address| pool.has(*address))?;
            IpNet::new(address, pool.subnet().prefix_len()).ok()
        });
        fitted.collect()
    }

    /// Marks the addresses of another port as taken in the pools that contain them.
    pub(super) fn reserve_anywhere(&mut self, addresses: &[IpNet]) {
        for address in addresses.iter().map(IpNet::addr) {
            let mut pools = self.pools.values_mut().flatten();
            if let Some(pool) = pools.find(|pool| pool.has(address)) {
                pool.reserve(address);
                self.owners.entry(address).or_insert(Owner::Other);
            }
        }
    }
}
