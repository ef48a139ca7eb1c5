//! The keys in `external_ids` by which OVN-Kubernetes finds its rows again.

use ovsdb::{Map, Str};

use crate::config::{NetworkConfig, Profile};

/// The network that a row belongs to.
pub const NETWORK: &str = "k8s.ovn.org/network";
/// The network's topology.
pub const TOPOLOGY: &str = "k8s.ovn.org/topology";
/// The network's role: always secondary here.
pub const ROLE: &str = "k8s.ovn.org/role";
/// The NAD that a pod's port is attached by.
pub const NAD: &str = "k8s.ovn.org/nad";
/// The mark of a pod's port.
pub const POD: &str = "pod";
/// The pod's namespace.
pub const NAMESPACE: &str = "namespace";
/// The mark of a cluster router.
pub const CLUSTER_ROUTER: &str = "k8s-cluster-router";
/// The version of a topology: [`UNFINISHED`] until the whole network exists.
pub const VERSION: &str = "k8s-ovn-topo-version";
/// The version while the network is being built.
pub const UNFINISHED: &str = "0";
/// The version once the whole network exists.
pub const FINISHED: &str = "5";
/// The owner of a row.
pub const OWNER: &str = "k8s.ovn.org/owner-controller";

/// The ids that say to which network a row belongs.
#[must_use]
pub fn of_network(config: &NetworkConfig) -> Map<Str, Str> {
    [
        (NETWORK, config.name.as_str()),
        (TOPOLOGY, config.topology.as_str()),
    ]
    .into()
}

/// The ids of a network's switches.
#[must_use]
pub fn of_switch(config: &NetworkConfig, profile: Profile) -> Map<Str, Str> {
    let mut ids = of_network(config);
    if profile == Profile::Central2026 {
        ids.insert(ROLE, "secondary");
    }
    ids
}
