//! The names of rows.

/// A network's or NAD's name in the names of rows: `-` and `/` become `.`.
#[must_use]
pub fn mangle(name: &str) -> String {
    name.replace(['-', '/'], ".")
}

/// The names of a network's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkNames {
    prefix: String,
}

impl NetworkNames {
    /// The names of the rows of this network.
    #[must_use]
    pub fn new(network: &str) -> Self {
        Self {
            prefix: format!("{}_", mangle(network)),
        }
    }

    /// The prefix of the names of the network's router, switches and localnet port.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The cluster router of a layer3 network.
    #[must_use]
    pub fn cluster_router(&self) -> String {
        format!("{}ovn_cluster_router", self.prefix)
    }

    /// The switch of a node.
    #[must_use]
    pub fn node_switch(&self, node: &str) -> String {
        format!("{}{node}", self.prefix)
    }

    /// The only switch of a layer2 network.
    #[must_use]
    pub fn layer2_switch(&self) -> String {
        format!("{}ovn_layer2_switch", self.prefix)
    }

    /// The only switch of a localnet network.
    #[must_use]
    pub fn localnet_switch(&self) -> String {
        format!("{}ovn_localnet_switch", self.prefix)
    }

    /// The port that connects a localnet switch to the physical network.
    #[must_use]
    pub fn localnet_port(&self) -> String {
        format!("{}ovn_localnet_port", self.prefix)
    }

    /// The router's port to a node's switch.
    #[must_use]
    pub fn router_to_switch(&self, node: &str) -> String {
        format!("rtos-{}{node}", self.prefix)
    }

    /// A node switch's port to the router.
    #[must_use]
    pub fn switch_to_router(&self, node: &str) -> String {
        format!("stor-{}{node}", self.prefix)
    }

    /// The row that pins a node's router port to its chassis.
    #[must_use]
    pub fn gateway_chassis(&self, node: &str, chassis: &str) -> String {
        format!("{}-{chassis}", self.router_to_switch(node))
    }
}

/// A pod's port: named after the NAD, not after the network. For a further attachment to the same NAD,
/// the attachment's number follows the NAD's name: `namespace/name/1`.
#[must_use]
pub fn pod_port(nad: &str, namespace: &str, pod: &str) -> String {
    format!("{}_{namespace}_{pod}", mangle(nad))
}

/// The owner in the external ids of a network's rows.
#[must_use]
pub fn controller(network: &str) -> String {
    format!("{network}-network-controller")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_equal_those_of_ovn_kubernetes() {
        let names = NetworkNames::new("l3-network");
        assert_eq!(names.cluster_router(), "l3.network_ovn_cluster_router");
        assert_eq!(names.node_switch("work001"), "l3.network_work001");
        assert_eq!(names.router_to_switch("work001"), "rtos-l3.network_work001");
        assert_eq!(names.switch_to_router("work001"), "stor-l3.network_work001");
        assert_eq!(
            names.gateway_chassis("work-1", "id"),
            "rtos-l3.network_work-1-id"
        );
        assert_eq!(
            pod_port("kube-system/l3-network", "default", "nginx1-l3"),
            "kube.system.l3.network_default_nginx1-l3"
        );
        assert_eq!(controller("l3-network"), "l3-network-network-controller");
    }
}
