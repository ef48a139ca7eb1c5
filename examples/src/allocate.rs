//! Allocates subnets to nodes and addresses to pods.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::addresses::{Family, bits, nth};
use crate::ranges::Ranges;
use crate::subnets::ClusterSubnet;

/// The most bits of a subnet's index. Subnets of a range whose index needs more bits are not used.
const MAX_INDEX_BITS: u32 = 24;

/// The subnet with this index in a range, by OVN-Kubernetes' rule: a plain shift, except that
/// - an IPv4 subnet field that begins inside a byte and extends into the next higher one is rotated, so
///   that its bits in the low byte vary last;
/// - an IPv6 range with 16 or more subnet bits skips each index whose low 16 bits are all 0.
///
/// `None` for an index that has no subnet; [`subnet_count`] tells where indexes end.
#[must_use]
pub fn subnet_at(range: &ClusterSubnet, index: u32) -> Option<IpNet> {
    let total = u32::from(range.family().bits());
    let host_bits = total.checked_sub(range.host_length.into())?;
    let subnet_bits =
        u32::from(range.host_length).checked_sub(range.network.prefix_len().into())?;
    if index >= subnet_count(range) {
        return None;
    }
    let mut place = u128::from(index);
    let crosses = host_bits % 8 != 0 && (host_bits - 1) / 8 != (host_bits + subnet_bits - 1) / 8;
    if range.family() == Family::V4 && crosses {
        let shift = 8 - host_bits % 8;
        if let Some(right) = subnet_bits.checked_sub(shift) {
            let left_mask = (1_u128 << subnet_bits) - 1;
            let right_mask = (1_u128 << shift) - 1;
            place = ((place << shift) & left_mask) | ((place >> right) & right_mask);
        }
    } else if range.family() == Family::V6 && subnet_bits >= 16 && place & 0xffff == 0 {
        return None;
    }
    let address = bits(range.network.network()).checked_add(place.checked_shl(host_bits)?)?;
    IpNet::new(range.family().address(address)?, range.host_length).ok()
}

/// How many indexes a range has.
#[must_use]
pub fn subnet_count(range: &ClusterSubnet) -> u32 {
    let subnet_bits = u32::from(range.host_length.saturating_sub(range.network.prefix_len()));
    1 << subnet_bits.min(MAX_INDEX_BITS)
}

/// Allocates a network's subnets to its nodes: one of each family, from the first range that has one
/// left.
#[derive(Debug)]
pub struct NodeSubnets {
    ranges: Vec<ClusterSubnet>,
    owners: BTreeMap<IpNet, String>,
    /// For each range, the index below which no subnet is free; subnets are never given back.
    searched: Vec<u32>,
}

impl NodeSubnets {
    /// No subnet is allocated yet.
    #[must_use]
    pub fn new(ranges: Vec<ClusterSubnet>) -> Self {
        Self {
            searched: vec![0; ranges.len()],
            ranges,
            owners: BTreeMap::new(),
        }
    }

    /// Allocates a given subnet to `node`, which already has this subnet or requests it.
    ///
    /// # Errors
    /// When the network does not have this subnet, or it belongs to another node.
    pub fn reserve(&mut self, node: &str, subnet: IpNet) -> Result<(), String> {
        let fits = self.ranges.iter().any(|range| {
            range.host_length == subnet.prefix_len() && range.network.contains(&subnet)
        });
        if !fits {
            return Err(format!("{subnet} is not a subnet of the network"));
        }
        match self.owners.get(&subnet) {
            Some(owner) if owner != node => Err(format!("{subnet} is {owner}'s")),
            _ => {
                self.owners.insert(subnet, node.to_owned());
                Ok(())
            }
        }
    }

    /// The subnet number `index`, counted from 0, of the first range of each family: the one that a node
    /// gets after this many other nodes.
    ///
    /// # Errors
    /// When a range does not have that many subnets.
    pub fn nth(&self, index: u32) -> Result<Vec<IpNet>, String> {
        let ranges = Family::BOTH
            .iter()
            .filter_map(|family| self.ranges.iter().find(|range| range.family() == *family));
        ranges
            .map(|range| {
                let missing = || format!("{} has no subnet number {index}", range.network);
                let mut all = (0..subnet_count(range)).filter_map(|at| subnet_at(range, at));
                all.nth(index as usize).ok_or_else(missing)
            })
            .collect()
    }

    /// Allocates the next free subnet of a family to `node`; `None` when the network has none left.
    #[must_use]
    pub fn allocate(&mut self, node: &str, family: Family) -> Option<IpNet> {
        for (range, searched) in self.ranges.iter().zip(&mut self.searched) {
            if range.family() != family {
                continue;
            }
            while *searched < subnet_count(range) {
                let subnet = subnet_at(range, *searched);
                *searched += 1;
                if let Some(subnet) = subnet
                    && !self.owners.contains_key(&subnet)
                {
                    self.owners.insert(subnet, node.to_owned());
                    return Some(subnet);
                }
            }
        }
        None
    }

    /// The families that the network has.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let has = |family: &Family| self.ranges.iter().any(|range| range.family() == *family);
        Family::BOTH.into_iter().filter(has).collect()
    }
}

/// Allocates the addresses of one subnet in turn: the search starts after the last allocated address,
/// and wraps around.
#[derive(Debug)]
pub struct Pool {
    subnet: IpNet,
    /// Usable offsets are below this number; offset 0 is the network's address + 1.
    size: u128,
    used: Ranges,
    next: u128,
}

impl Pool {
    /// All addresses of a subnet except the network's own and, in IPv4, the broadcast address; of an
    /// IPv6 subnet only the first 65,535.
    #[must_use]
    pub fn new(subnet: IpNet) -> Self {
        let host_bits = u32::from(subnet.max_prefix_len() - subnet.prefix_len());
        let all = 1_u128.checked_shl(host_bits).unwrap_or(u128::MAX);
        let size = match Family::of(subnet.network()) {
            Family::V4 => all.saturating_sub(2),
            Family::V6 => all.min(65_536).saturating_sub(1),
        };
        Self {
            subnet,
            size,
            used: Ranges::default(),
            next: 0,
        }
    }

    /// The pool of a layer3 node's subnet, in which the gateway's and the management port's
    /// addresses are taken.
    #[must_use]
    pub fn of_node(subnet: IpNet) -> Self {
        let mut pool = Self::new(subnet);
        pool.used.insert(0, 1);
        pool
    }

    /// Marks the addresses of a range as taken; addresses that are not in the pool are ignored.
    pub fn exclude(&mut self, range: &IpNet) {
        let own = bits(self.subnet.network());
        let same = Family::of(range.addr()) == Family::of(self.subnet.addr());
        // Offset 0 stands for the network's address + 1.
        let last = bits(range.broadcast()).checked_sub(own);
        let last = last.and_then(|last| last.checked_sub(1));
        let (Some(last), Some(end)) = (last.filter(|_| same), self.size.checked_sub(1)) else {
            return;
        };
        let first = bits(range.network()).saturating_sub(own).saturating_sub(1);
        self.used.insert(first, last.min(end));
    }

    /// The pool's subnet.
    #[must_use]
    pub const fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// The number of addresses in the pool, free or taken.
    #[must_use]
    pub const fn size(&self) -> u128 {
        self.size
    }

    fn offset(&self, address: IpAddr) -> Option<u128> {
        let offset = bits(address)
            .checked_sub(bits(self.subnet.network()))?
            .checked_sub(1)?;
        let same = Family::of(address) == Family::of(self.subnet.network());
        (same && offset < self.size).then_some(offset)
    }

    /// Whether the pool contains an address, free or taken.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.offset(address).is_some()
    }

    /// Takes this address. Returns false if it is taken, or not in the pool.
    pub fn reserve(&mut self, address: IpAddr) -> bool {
        let free = self
            .offset(address)
            .filter(|offset| !self.used.contains(*offset));
        if let Some(offset) = free {
            self.used.insert(offset, offset);
        }
        free.is_some()
    }

    /// Gives an address back.
    pub fn release(&mut self, address: IpAddr) {
        if let Some(offset) = self.offset(address) {
            self.used.remove(offset);
        }
    }

    /// Takes the next free address; `None` when there is none.
    pub fn take(&mut self) -> Option<IpAddr> {
        let ahead = self.used.first_free(self.next, self.size);
        let free = ahead.or_else(|| self.used.first_free(0, self.next))?;
        self.used.insert(free, free);
        self.next = (free + 1) % self.size;
        nth(&self.subnet, free + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subnets::cluster_subnets;

    /// The first subnets of a range.
    fn subnets(range: &str, count: usize) -> Vec<String> {
        let range = cluster_subnets(range).expect(range)[0];
        let all = (0..subnet_count(&range)).filter_map(|index| subnet_at(&range, index));
        all.take(count).map(|subnet| subnet.to_string()).collect()
    }

    // The expected values follow from OVN-Kubernetes' rules, worked out by an independent script.
    #[test]
    fn indexes_become_subnets() {
        assert_eq!(
            subnets("10.33.0.0/16/24", 3),
            ["10.33.0.0/24", "10.33.1.0/24", "10.33.2.0/24"]
        );
        assert_eq!(
            subnets("10.128.0.0/14/23", 3),
            ["10.128.0.0/23", "10.129.0.0/23", "10.130.0.0/23"]
        );
        assert_eq!(
            subnets("10.1.0.0/16/26", 3),
            ["10.1.0.0/26", "10.1.1.0/26", "10.1.2.0/26"]
        );
        assert_eq!(
            subnets("10.1.0.0/16/26", 257)[255..],
            ["10.1.255.0/26", "10.1.0.64/26"]
        );
        assert_eq!(
            subnets("192.168.1.0/26/28", 9),
            [
                "192.168.1.0/28",
                "192.168.1.16/28",
                "192.168.1.32/28",
                "192.168.1.48/28"
            ]
        );
        assert_eq!(
            subnets("10.0.0.0/15/25", 4),
            ["10.0.0.0/25", "10.0.1.0/25", "10.0.2.0/25", "10.0.3.0/25"]
        );
        assert_eq!(
            subnets("fd00:44::/48", 2),
            ["fd00:44:0:1::/64", "fd00:44:0:2::/64"]
        );
        assert_eq!(subnets("fda6::/56", 2), ["fda6::/64", "fda6:0:0:1::/64"]);
    }

    #[test]
    fn nodes_get_a_subnet_of_each_family_from_the_next_range_if_one_is_full() {
        let ranges = cluster_subnets("10.0.0.0/23/24,10.9.0.0/23/24,fd00::/48").expect("ranges");
        let mut subnets = NodeSubnets::new(ranges);
        assert_eq!(subnets.families(), Family::BOTH);
        subnets
            .reserve("a", "10.0.1.0/24".parse().expect("a subnet"))
            .expect("free");
        let mut next = |node, family| {
            subnets
                .allocate(node, family)
                .map(|subnet| subnet.to_string())
        };
        assert_eq!(next("b", Family::V4).as_deref(), Some("10.0.0.0/24"));
        assert_eq!(next("c", Family::V4).as_deref(), Some("10.9.0.0/24"));
        assert_eq!(next("d", Family::V4).as_deref(), Some("10.9.1.0/24"));
        assert_eq!(next("e", Family::V4), None);
        assert_eq!(next("e", Family::V6).as_deref(), Some("fd00:0:0:1::/64"));
        assert!(
            subnets
                .reserve("z", "10.0.1.0/24".parse().expect("a subnet"))
                .is_err()
        );
        assert!(
            subnets
                .reserve("z", "10.7.0.0/24".parse().expect("a subnet"))
                .is_err()
        );
        assert!(
            subnets
                .reserve("z", "10.0.0.0/25".parse().expect("a subnet"))
                .is_err()
        );
        let at = |turn| {
            subnets
                .nth(turn)
                .map(|all| all.iter().map(IpNet::to_string).collect())
        };
        let second = vec!["10.0.1.0/24".to_owned(), "fd00:0:0:2::/64".to_owned()];
        assert_eq!(at(1), Ok(second));
        assert!(at(2).is_err());
    }

    fn pool(subnet: &str) -> Pool {
        Pool::new(subnet.parse().expect(subnet))
    }

    fn take(pool: &mut Pool, count: usize) -> Vec<String> {
        (0..count)
            .map_while(|_| pool.take())
            .map(|address| address.to_string())
            .collect()
    }

    #[test]
    fn the_search_for_a_free_address_wraps_around() {
        let mut node = Pool::of_node("10.33.2.0/24".parse().expect("a subnet"));
        assert_eq!(take(&mut node, 2), ["10.33.2.3", "10.33.2.4"]);

        let mut localnet = pool("192.168.100.0/24");
        for excluded in [
            "192.168.100.1/32",
            "192.168.100.10/32",
            "192.168.100.101/32",
        ] {
            localnet.exclude(&excluded.parse().expect("a range"));
        }
        assert_eq!(take(&mut localnet, 2), ["192.168.100.2", "192.168.100.3"]);
        localnet.release("192.168.100.2".parse().expect("an address"));
        localnet.release("192.168.100.3".parse().expect("an address"));
        assert_eq!(take(&mut localnet, 2), ["192.168.100.4", "192.168.100.5"]);

        let mut excluded = pool("10.100.200.0/24");
        excluded.exclude(&"10.100.200.0/29".parse().expect("a range"));
        assert_eq!(take(&mut excluded, 1), ["10.100.200.8"]);
        excluded.exclude(&"9.0.0.0/8".parse().expect("a range"));
        assert_eq!(take(&mut excluded, 1), ["10.100.200.9"]);

        let mut small = pool("10.0.0.0/29");
        assert_eq!(take(&mut small, 7).len(), 6);
        small.release("10.0.0.3".parse().expect("an address"));
        assert_eq!(take(&mut small, 2), ["10.0.0.3"]);
        assert!(!small.reserve("10.0.0.3".parse().expect("an address")));
        assert!(!small.reserve("10.0.0.7".parse().expect("the broadcast")));
    }

    #[test]
    fn ranges_of_any_size_are_excluded() {
        for (subnet, excluded, first) in [
            ("10.0.0.0/8", &["10.128.0.0/9"][..], Some("10.0.0.1")),
            ("10.0.0.0/8", &["10.0.0.0/9"], Some("10.128.0.0")),
            ("10.0.0.0/8", &["10.0.0.0/9", "10.128.0.0/9"], None),
            ("0.0.0.0/0", &["0.0.0.0/1"], Some("128.0.0.0")),
            ("0.0.0.0/0", &["0.0.0.0/0"], None),
            ("::/0", &["::/120"], Some("::100")),
            ("::/0", &["::/1"], None),
            (
                "fd00::/64",
                &["fd00::/113", "fd00::8000/114"],
                Some("fd00::c000"),
            ),
            (
                "10.0.0.0/24",
                &["10.0.1.0/24", "9.0.0.0/8"],
                Some("10.0.0.1"),
            ),
            (
                "10.0.0.0/24",
                &["10.0.0.0/32", "10.0.0.255/32"],
                Some("10.0.0.1"),
            ),
            ("10.0.0.0/24", &["::/0"], Some("10.0.0.1")),
            ("255.255.255.255/32", &["255.255.255.255/32"], None),
            (
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
                &["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"],
                None,
            ),
        ] {
            let mut pool = pool(subnet);
            for range in excluded {
                pool.exclude(&range.parse().expect(range));
            }
            let address = pool.take().map(|address| address.to_string());
            assert_eq!(address.as_deref(), first, "{subnet} without {excluded:?}");
        }
    }

    #[test]
    fn sizes_leave_out_what_cannot_be_used() {
        for (subnet, size) in [
            ("10.0.0.0/30", 2),
            ("10.0.0.0/31", 0),
            ("10.0.0.0/32", 0),
            ("fd00:22::/64", 65_535),
        ] {
            let mut pool = pool(subnet);
            assert_eq!(pool.size(), size, "{subnet}");
            assert_eq!(pool.take().is_some(), size > 0);
        }
        assert_eq!(take(&mut pool("fd00:22::/64"), 1), ["fd00:22::1"]);
    }
}
