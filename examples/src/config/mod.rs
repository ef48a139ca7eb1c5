//! A network's configuration: the JSON text in a NetworkAttachmentDefinition.

mod error;

use std::fmt;

use ipnet::IpNet;
use serde_json::{Map, Value};

pub use self::error::{ConfigError, ConfigErrorKind};
use crate::json::{self, Read, Shape};
use crate::subnets::{ClusterSubnet, cluster_subnets, plain_subnets};

/// The version of OVN-Kubernetes to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Profile {
    /// As of July 2023.
    #[default]
    Mid2023,
    /// As of April 2026, the last central mode: one northbound database for all nodes. In May 2026
    /// OVN-Kubernetes removed it in favour of interconnect, a database for each node. `current` is
    /// another name for this profile.
    #[value(name = "central-2026", alias = "current")]
    Central2026,
}

/// The shape of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topology {
    /// A router, and a switch for each node.
    Layer3,
    /// One switch.
    Layer2,
    /// One switch, connected to a physical network.
    Localnet,
}

impl Topology {
    /// The word in configurations and rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Layer3 => "layer3",
            Self::Layer2 => "layer2",
            Self::Localnet => "localnet",
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A network as one NAD describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The network's name.
    pub name: String,
    /// Its shape.
    pub topology: Topology,
    /// The ranges of a layer3 network.
    pub cluster_subnets: Vec<ClusterSubnet>,
    /// The subnets of a layer2 or localnet network; if there are none, no addresses are assigned.
    pub subnets: Vec<IpNet>,
    /// Ranges within `subnets` whose addresses are not assigned.
    pub exclude_subnets: Vec<IpNet>,
    /// The interfaces' MTU; the cluster's when `None`.
    pub mtu: Option<i64>,
    /// The VLAN of a localnet network.
    pub vlan: Option<u16>,
    /// Whether IPAMClaims keep addresses (`central-2026` only).
    pub persistent_ips: bool,
    /// The physical network's name, if it is not the network's (`central-2026` only).
    pub physical_network: Option<String>,
}

impl NetworkConfig {
    /// Whether no addresses are assigned on this network.
    #[must_use]
    pub fn is_without_ipam(&self) -> bool {
        self.subnets.is_empty() && self.cluster_subnets.is_empty()
    }

    /// Whether two NADs of one network agree; lists are compared as sets.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        fn sorted<T: Clone + Ord>(list: &[T]) -> Vec<T> {
            let mut list = list.to_vec();
            list.sort_unstable();
            list.dedup();
            list
        }
        self.topology == other.topology
            && self.mtu == other.mtu
            && self.vlan == other.vlan
            && self.persistent_ips == other.persistent_ips
            && self.physical_network == other.physical_network
            && sorted(&self.cluster_subnets) == sorted(&other.cluster_subnets)
            && sorted(&self.subnets) == sorted(&other.subnets)
            && sorted(&self.exclude_subnets) == sorted(&other.exclude_subnets)
    }
}

/// The result of reading a NAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A network, and the unknown members of its configuration.
    Network(Box<NetworkConfig>, Vec<String>),
    /// Not a secondary network of OVN-Kubernetes: skipped without an error.
    Skipped(Skipped),
}

/// Why a NAD does not describe a secondary network of OVN-Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// The object has no configuration: Multus looks for one in files on the node.
    #[error("has no spec.config: skipped")]
    NoConfig,
    /// It is for another plug-in.
    #[error("is for the CNI plug-in {0:?}, not for {TYPE}: skipped")]
    OtherPlugin(String),
    /// The cluster's default network.
    #[error("has no \"topology\", so it describes the cluster's default network: skipped")]
    DefaultNetwork,
}

/// The members of a list of plug-ins.
const LIST: Shape = Shape::Object(&[
    ("cniVersion", Shape::Any),
    ("cniVersions", Shape::Any),
    ("name", Shape::Any),
    ("type", Shape::Any),
    ("plugins", Shape::List(&Shape::Object(MEMBERS))),
    ("disableCheck", Shape::Any),
    ("disableGC", Shape::Any),
    ("loadOnlyInlinedPlugins", Shape::Any),
]);

/// The members of a configuration: CNI's, OVN-Kubernetes' own, and its plug-in's.
const MEMBERS: &[(&str, Shape)] = &[
    ("cniVersion", Shape::Any),
    ("cniVersions", Shape::Any),
    ("name", Shape::Any),
    ("type", Shape::Any),
    ("plugins", Shape::Any),
    ("capabilities", Shape::Any),
    ("ipam", Shape::Object(&[("type", Shape::Any)])),
    ("dns", Shape::Any),
    ("args", Shape::Any),
    ("prevResult", Shape::Any),
    ("runtimeConfig", Shape::Any),
    ("disableCheck", Shape::Any),
    ("disableGC", Shape::Any),
    ("topology", Shape::Any),
    ("netAttachDefName", Shape::Any),
    ("mtu", Shape::Any),
    ("subnets", Shape::Any),
    ("excludeSubnets", Shape::Any),
    ("vlanID", Shape::Any),
    ("role", Shape::Any),
    ("reservedSubnets", Shape::Any),
    ("infrastructureSubnets", Shape::Any),
    ("joinSubnet", Shape::Any),
    ("transitSubnet", Shape::Any),
    ("defaultGatewayIPs", Shape::Any),
    ("allowPersistentIPs", Shape::Any),
    ("physicalNetworkName", Shape::Any),
    ("transport", Shape::Any),
    ("outboundSNAT", Shape::Any),
    ("evpn", Shape::Any),
    ("uplink", Shape::Any),
    ("deviceID", Shape::Any),
    ("logFile", Shape::Any),
    ("logLevel", Shape::Any),
    ("logfile-maxsize", Shape::Any),
    ("logfile-maxbackups", Shape::Any),
    ("logfile-maxage", Shape::Any),
    ("cniRequestTimeout", Shape::Any),
];

/// The join subnets of a network that does not set any.
const JOIN_SUBNETS: &str = "100.65.0.0/16,fd99::/64";

/// The subnets that OVN-Kubernetes itself uses by default: the join and the masquerade subnets of the cluster's
/// default network.
const RESERVED_SUBNETS: &str = "100.64.0.0/16,fd98::/64,169.254.169.0/29,fd69::/125";

/// The subnets by which OVN-Kubernetes connects the nodes' routers by default.
const TRANSIT_SUBNETS: &str = "100.88.0.0/16,fd97::/64";

/// The plug-in's name.
const TYPE: &str = "ovn-k8s-cni-overlay";

type Result<T> = std::result::Result<T, ConfigError>;

/// Parses the configuration of the NAD `nad` (`namespace/name`).
///
/// # Errors
/// When the text is neither blank nor a JSON object, when its `type` or list of plug-ins is malformed, or
/// when the configuration is for OVN-Kubernetes and wrong.
pub fn parse(nad: &str, text: &str, profile: Profile) -> Result<Parsed> {
    if text.trim().is_empty() {
        return Ok(Parsed::Skipped(Skipped::NoConfig));
    }
    let read = |shape| json::read(text, shape).map_err(|error| bad_json(text, error));
    let not_object = || ConfigError::new("", ConfigErrorKind::Expected("a JSON object"));
    let list = read(LIST)?;
    let (object, unknown) = match list.value {
        Value::Object(members)
            if profile == Profile::Central2026 && members.contains_key("plugins") =>
        {
            match only_plugin(members)? {
                Plugin::Ours(plugin) => (plugin, list.unknown),
                Plugin::Other(kind) => return Ok(Parsed::Skipped(Skipped::OtherPlugin(kind))),
            }
        }
        _ => match read(Shape::Object(MEMBERS))? {
            Read {
                value: Value::Object(members),
                unknown,
            } => (members, unknown),
            _ => return Err(not_object()),
        },
    };
    let members = Members(&object);
    let kind = members.text("type")?.unwrap_or_default();
    if kind != TYPE {
        return Ok(Parsed::Skipped(Skipped::OtherPlugin(kind)));
    }
    let topology = match members.text("topology")?.unwrap_or_default().as_str() {
        "" => return Ok(Parsed::Skipped(Skipped::DefaultNetwork)),
        "layer3" => Topology::Layer3,
        "layer2" => Topology::Layer2,
        "localnet" => Topology::Localnet,
        other => {
            return fail(
                "topology",
                ConfigErrorKind::UnknownTopology(other.to_owned()),
            );
        }
    };
    let name = members.text("name")?.unwrap_or_default();
    if ["", "default", "ovn-kubernetes"].contains(&name.as_str()) {
        return fail("name", ConfigErrorKind::ReservedOrEmptyName(name));
    }
    match members.text("netAttachDefName")? {
        None => {
            return fail(
                "netAttachDefName",
                ConfigErrorKind::MissingNadName(nad.to_owned()),
            );
        }
        Some(found) if found != nad => {
            let object = nad.to_owned();
            return fail(
                "netAttachDefName",
                ConfigErrorKind::NadNameMismatch { found, object },
            );
        }
        Some(_) => {}
    }
    check_ipam(&members)?;
    let mut config = NetworkConfig {
        name,
        topology,
        cluster_subnets: Vec::new(),
        subnets: Vec::new(),
        exclude_subnets: Vec::new(),
        mtu: members.integer("mtu")?.filter(|mtu| *mtu != 0),
        vlan: None,
        persistent_ips: false,
        physical_network: None,
    };
    read_subnets(&members, &mut config)?;
    if topology == Topology::Localnet {
        config.vlan = match members.integer("vlanID")?.unwrap_or(0) {
            0 => None,
            vlan => match u16::try_from(vlan) {
                Ok(vlan @ 1..=4094) => Some(vlan),
                _ => return fail("vlanID", ConfigErrorKind::BadVlan(vlan)),
            },
        };
    }
    if profile == Profile::Central2026 {
        read_current(&members, &mut config)?;
    }
    Ok(Parsed::Network(Box::new(config), unknown))
}

/// The name of the network that a wrong configuration would describe, if it has one.
#[must_use]
pub fn network_name(text: &str) -> Option<String> {
    let read = json::read(text, Shape::Object(MEMBERS)).ok()?;
    let name = read.value.get("name")?.as_str()?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

fn fail<T>(field: &'static str, kind: ConfigErrorKind) -> Result<T> {
    Err(ConfigError::new(field, kind))
}

/// The error for a text that is not JSON, with the line that causes it.
fn bad_json(text: &str, error: json::Syntax) -> ConfigError {
    let comment = text.lines().position(has_comment);
    let (line, hint) = match comment {
        // The parser reports the line of a comment, or the line after it.
        Some(line) if line < error.line => (
            line + 1,
            "; JSON has no comments: remove the text from `#` on",
        ),
        _ => (error.line, ""),
    };
    ConfigError::new(
        "",
        ConfigErrorKind::BadJson {
            line,
            message: error.message,
            hint,
        },
    )
}

/// Whether a line has a `#` outside strings.
fn has_comment(line: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    line.chars().any(|character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => return true,
            _ => {}
        }
        false
    })
}

/// The plug-in in a list of plug-ins.
enum Plugin {
    /// OVN-Kubernetes' plug-in, as the only one.
    Ours(Map<String, Value>),
    /// The first one is of this type.
    Other(String),
}

/// The configuration in a list of one plug-in; the list's name and version win.
fn only_plugin(mut list: Map<String, Value>) -> Result<Plugin> {
    let Some(Value::Array(plugins)) = list.remove("plugins") else {
        return fail("plugins", ConfigErrorKind::Expected("a list"));
    };
    let count = plugins.len();
    let mut plugins = plugins.into_iter();
    let mut plugin = match plugins.next() {
        Some(Value::Object(plugin)) => plugin,
        Some(_) => return fail("plugins", ConfigErrorKind::Expected("a list of objects")),
        None => Map::new(),
    };
    let kind = Members(&plugin).text("type")?.unwrap_or_default();
    if list.contains_key("type") {
        return fail(
            "plugins",
            ConfigErrorKind::Expected("absent beside \"type\""),
        );
    }
    if kind != TYPE {
        return Ok(Plugin::Other(kind));
    }
    if count > 1 {
        return fail("plugins", ConfigErrorKind::Chained(count));
    }
    for key in ["name", "cniVersion"] {
        if let Some(value) = list.remove(key) {
            plugin.insert(key.to_owned(), value);
        }
    }
    Ok(Plugin::Ours(plugin))
}

fn check_ipam(members: &Members<'_>) -> Result<()> {
    let kind = match members.0.get("ipam") {
        None => return Ok(()),
        Some(Value::Object(ipam)) => ipam.get("type"),
        Some(_) => return fail("ipam", ConfigErrorKind::Expected("an object")),
    };
    match kind {
        None => Ok(()),
        Some(Value::String(kind)) if kind.is_empty() => Ok(()),
        Some(Value::String(kind)) => fail("ipam", ConfigErrorKind::UnsupportedIpam(kind.clone())),
        Some(_) => fail(
            "ipam",
            ConfigErrorKind::Expected("an object with a string \"type\""),
        ),
    }
}

fn read_subnets(members: &Members<'_>, config: &mut NetworkConfig) -> Result<()> {
    let subnets = members.text("subnets")?.unwrap_or_default();
    if config.topology == Topology::Layer3 {
        config.cluster_subnets = cluster_subnets(&subnets)?;
        if config.cluster_subnets.is_empty() {
            return fail("subnets", ConfigErrorKind::SubnetsRequired);
        }
        let networks: Vec<IpNet> = config.cluster_subnets.iter().map(|s| s.network).collect();
        return check_overlap(&networks);
    }
    config.subnets = plain_subnets("subnets", &subnets)?;
    check_overlap(&config.subnets)?;
    let exclude = members.text("excludeSubnets")?.unwrap_or_default();
    config.exclude_subnets = plain_subnets("excludeSubnets", &exclude)?;
    let mut subnets = config.subnets.clone();
    subnets.sort_unstable();
    // Subnets do not overlap, so only the last subnet that begins at or before a range can contain it.
    let outside = |range: &&IpNet| {
        let end = subnets.partition_point(|subnet| subnet.network() <= range.network());
        !subnets[..end]
            .last()
            .is_some_and(|subnet| subnet.contains(*range))
    };
    if let Some(outside) = config.exclude_subnets.iter().find(outside) {
        let cidr = outside.to_string();
        return fail(
            "excludeSubnets",
            ConfigErrorKind::ExcludeOutsideSubnets { cidr },
        );
    }
    Ok(())
}

fn check_overlap(networks: &[IpNet]) -> Result<()> {
    let mut sorted: Vec<(IpNet, usize)> = networks.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    // If two networks overlap, one contains the other and also every network that sorts between them.
    let overlap = sorted
        .windows(2)
        .find(|pair| pair[0].0.contains(&pair[1].0));
    let Some([first, second]) = overlap else {
        return Ok(());
    };
    let (first, second) = if first.1 < second.1 {
        (first, second)
    } else {
        (second, first)
    };
    let (first, second) = (first.0.to_string(), second.0.to_string());
    fail("subnets", ConfigErrorKind::SubnetOverlap { first, second })
}

/// The members that were added after mid-2023.
fn read_current(members: &Members<'_>, config: &mut NetworkConfig) -> Result<()> {
    config.persistent_ips = members.boolean("allowPersistentIPs")?.unwrap_or(false);
    if config.persistent_ips && config.topology == Topology::Layer3 {
        return fail("allowPersistentIPs", ConfigErrorKind::PersistentIpsOnLayer3);
    }
    match members.text("role")?.unwrap_or_default().as_str() {
        "" | "secondary" => {}
        _ if config.topology == Topology::Localnet => {
            return fail("role", ConfigErrorKind::RoleOnLocalnet);
        }
        "primary" => return fail("role", ConfigErrorKind::PrimaryNotSupported),
        other => return fail("role", ConfigErrorKind::BadRole(other.to_owned())),
    }
    check_reserved_subnets(members, config)?;
    for name in [
        "reservedSubnets",
        "infrastructureSubnets",
        "defaultGatewayIPs",
    ] {
        let text = members.text(name)?.unwrap_or_default();
        if !text.trim().is_empty() && config.topology != Topology::Layer2 {
            return fail(name, ConfigErrorKind::OnlyOnLayer2);
        }
    }
    if config.topology == Topology::Localnet {
        let name = members.text("physicalNetworkName")?;
        config.physical_network = name.filter(|name| !name.is_empty());
    }
    Ok(())
}

/// Checks that a localnet network sets no join subnet. On other networks, neither the join subnets nor the
/// pods' subnets may overlap a subnet that OVN-Kubernetes itself uses, and the pods' subnets may not overlap a join
/// subnet. A join subnet, or a subnet of OVN-Kubernetes, that is within an excluded range is not compared.
/// The subnets of the cluster's own pods and services are unknown here, and not checked.
fn check_reserved_subnets(members: &Members<'_>, config: &NetworkConfig) -> Result<()> {
    let text = members.text("joinSubnet")?.unwrap_or_default();
    let given = plain_subnets("joinSubnet", &text)?;
    if config.topology == Topology::Localnet {
        return match given.as_slice() {
            [] => Ok(()),
            _ => fail("joinSubnet", ConfigErrorKind::JoinSubnetOnLocalnet),
        };
    }
    let joins = if given.is_empty() {
        plain_subnets("joinSubnet", JOIN_SUBNETS)?
    } else {
        given
    };
    let mut reserved = plain_subnets("subnets", RESERVED_SUBNETS)?;
    if config.topology == Topology::Layer3 {
        reserved.extend(plain_subnets("subnets", TRANSIT_SUBNETS)?);
    }
    let is_used = |subnet: &IpNet| {
        let mut excluded = config.exclude_subnets.iter();
        !excluded.any(|range| range.contains(subnet))
    };
    reserved.retain(is_used);
    let joins: Vec<IpNet> = joins.into_iter().filter(is_used).collect();
    overlaps_none("joinSubnet", &joins, &reserved)?;
    reserved.extend(joins);
    let ranges = config.cluster_subnets.iter().map(|range| range.network);
    let pods: Vec<IpNet> = ranges.chain(config.subnets.iter().copied()).collect();
    overlaps_none("subnets", &pods, &reserved)
}

/// Checks that none of these subnets overlaps a reserved one.
fn overlaps_none(field: &'static str, subnets: &[IpNet], reserved: &[IpNet]) -> Result<()> {
    for subnet in subnets {
        let overlaps = |other: &&IpNet| other.contains(subnet) || subnet.contains(*other);
        if let Some(other) = reserved.iter().find(overlaps) {
            let (first, second) = (subnet.to_string(), other.to_string());
            return fail(field, ConfigErrorKind::SubnetOverlap { first, second });
        }
    }
    Ok(())
}

/// The members of a configuration, by type.
struct Members<'a>(&'a Map<String, Value>);

impl Members<'_> {
    fn text(&self, name: &'static str) -> Result<Option<String>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => fail(name, ConfigErrorKind::Expected("a string")),
        }
    }

    fn integer(&self, name: &'static str) -> Result<Option<i64>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(integer) => Ok(Some(integer)),
                None => fail(name, ConfigErrorKind::Expected("an integer")),
            },
        }
    }

    fn boolean(&self, name: &'static str) -> Result<Option<bool>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Bool(boolean)) => Ok(Some(*boolean)),
            Some(_) => fail(name, ConfigErrorKind::Expected("true or false")),
        }
    }
}

#[cfg(test)]
mod tests;
