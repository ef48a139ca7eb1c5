//! The errors of a network's configuration.

/// An error in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{kind}", member(field))]
pub struct ConfigError {
    /// The member of the configuration; empty for the whole.
    pub field: &'static str,
    /// What is wrong with it.
    pub kind: ConfigErrorKind,
}

fn member(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("\"{field}\": ")
    }
}

impl ConfigError {
    /// An error about a member.
    #[must_use]
    pub const fn new(field: &'static str, kind: ConfigErrorKind) -> Self {
        Self { field, kind }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The text is not JSON.
    #[error("not JSON: {message} (line {line} of the text){hint}")]
    BadJson {
        /// The line within the text, from 1 on.
        line: usize,
        /// What the JSON parser says.
        message: String,
        /// A hint at what the author may have intended.
        hint: &'static str,
    },
    /// A member has the wrong type or must be absent; the text says what it must be.
    #[error("must be {0}")]
    Expected(&'static str),
    /// `netAttachDefName` is missing.
    #[error("is missing; it must be {0:?}")]
    MissingNadName(String),
    /// `netAttachDefName` is another NAD's.
    #[error("is {found:?}, but the object is {object:?}")]
    NadNameMismatch {
        /// What it is.
        found: String,
        /// What it must be.
        object: String,
    },
    /// A network cannot have this name.
    #[error("a network cannot be called {0:?}")]
    ReservedOrEmptyName(String),
    /// The topology is unknown.
    #[error("unknown topology {0:?}; there are layer3, layer2 and localnet")]
    UnknownTopology(String),
    /// The `ipam` section names an IPAM plug-in.
    #[error("IPAM plug-ins are not supported, use \"subnets\" (found type {0:?})")]
    UnsupportedIpam(String),
    /// The entry is not a CIDR.
    #[error(
        "{entry:?} is not an address with a prefix length{}",
        comma_hint(entry)
    )]
    BadCidr {
        /// The entry.
        entry: String,
    },
    /// An address was given where ranges are expected.
    #[error("{address:?} is not an address with a prefix length: write \"{address}/{length}\"")]
    BareAddress {
        /// The address.
        address: String,
        /// The prefix length that makes it a range of one address.
        length: u8,
    },
    /// A host prefix length was given on a network whose nodes have no subnets of their own.
    #[error("{entry:?} has a host prefix length, which only layer3 subnets have")]
    HostPrefixNotAllowed {
        /// The entry.
        entry: String,
    },
    /// The host prefix length is not above the network's, or, in IPv4, not below 32.
    #[error(
        "the host prefix length of {entry:?} must be above the network's and, in IPv4, below 32"
    )]
    HostPrefixOutOfRange {
        /// The entry.
        entry: String,
    },
    /// The prefix length for hosts of an IPv6 range is not 64.
    #[error("the host prefix length of {entry:?} must be 64")]
    Ipv6HostPrefixNot64 {
        /// The entry.
        entry: String,
    },
    /// An excluded range is outside the subnets.
    #[error("{cidr} is in none of the subnets")]
    ExcludeOutsideSubnets {
        /// The range.
        cidr: String,
    },
    /// A layer3 network has no subnets.
    #[error("is missing: a layer3 network needs subnets")]
    SubnetsRequired,
    /// The VLAN does not exist.
    #[error("{0} is not a VLAN from 1 to 4094")]
    BadVlan(i64),
    /// A NAD describes its network differently from the first one.
    #[error("network {network:?} is described differently by {nad}")]
    InconsistentNetwork {
        /// The network.
        network: String,
        /// The first NAD.
        nad: String,
    },
    /// Persistent addresses on layer3.
    #[error("a layer3 network has no persistent addresses")]
    PersistentIpsOnLayer3,
    /// The role is unknown.
    #[error("unknown role {0:?}; there are primary and secondary")]
    BadRole(String),
    /// A localnet network has a role other than `secondary`.
    #[error("a localnet network is always secondary")]
    RoleOnLocalnet,
    /// The network has the role `primary`.
    #[error("primary networks are not supported")]
    PrimaryNotSupported,
    /// A localnet network has a join subnet.
    #[error("a localnet network has no join subnet")]
    JoinSubnetOnLocalnet,
    /// Only layer2 networks have this member.
    #[error("is for layer2 networks only")]
    OnlyOnLayer2,
    /// Two subnets overlap: subnets of the network, its join subnets, or subnets that OVN-Kubernetes itself
    /// uses.
    #[error("{first} and {second} overlap")]
    SubnetOverlap {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A list has more than one plug-in.
    #[error("a list of {0} plug-ins; chains are not supported")]
    Chained(usize),
}

fn comma_hint(entry: &str) -> &'static str {
    if entry.is_empty() {
        ": is there a comma too many?"
    } else {
        ""
    }
}
