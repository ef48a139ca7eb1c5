//! Parses `subnets` and `excludeSubnets`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::addresses::Family;
use crate::config::{ConfigError, ConfigErrorKind};

/// One entry of a layer3 network's `subnets`: a range that is cut into a subnet for each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterSubnet {
    /// The whole range.
    pub network: IpNet,
    /// The prefix length of a node's subnet.
    pub host_length: u8,
}

impl ClusterSubnet {
    /// The range's family.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.network.network())
    }
}

/// The entries of a list; none in a blank text.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    let blank = text.trim().is_empty();
    text.split(',').map(str::trim).filter(move |_| !blank)
}

fn bad(field: &'static str, entry: &str) -> ConfigError {
    ConfigError::new(
        field,
        ConfigErrorKind::BadCidr {
            entry: entry.to_owned(),
        },
    )
}

/// `address/length`, with the host bits cleared.
fn cidr(field: &'static str, entry: &str, text: &str) -> Result<IpNet, ConfigError> {
    let error = || bad(field, entry);
    let Some((address, length)) = text.split_once('/') else {
        return Err(match text.parse::<IpAddr>() {
            Ok(address) if field == "excludeSubnets" => ConfigError::new(
                field,
                ConfigErrorKind::BareAddress {
                    address: address.to_string(),
                    length: Family::of(address).bits(),
                },
            ),
            _ => error(),
        });
    };
    let address: IpAddr = address.parse().map_err(|_| error())?;
    Ok(IpNet::new(address, number(field, entry, length)?)
        .map_err(|_| error())?
        .trunc())
}

fn number(field: &'static str, entry: &str, text: &str) -> Result<u8, ConfigError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| bad(field, entry))
}

/// The `subnets` of a layer3 network: `network/length[/hostlength]`, separated by commas.
///
/// # Errors
/// When an entry is malformed, or its host prefix length is too short or too long.
pub fn cluster_subnets(text: &str) -> Result<Vec<ClusterSubnet>, ConfigError> {
    entries(text).map(cluster_subnet).collect()
}

fn cluster_subnet(entry: &str) -> Result<ClusterSubnet, ConfigError> {
    let field = "subnets";
    let error = |kind| ConfigError::new(field, kind);
    let parts: Vec<&str> = entry.split('/').collect();
    let (network, host) = match parts.as_slice() {
        [address, length] => (format!("{address}/{length}"), None),
        [address, length, host] => (format!("{address}/{length}"), Some(*host)),
        _ => return Err(bad(field, entry)),
    };
    let network = cidr(field, entry, &network)?;
    let family = Family::of(network.network());
    let host_length = match (host, family) {
        (Some(host), _) => number(field, entry, host)?,
        (None, Family::V4) => 24,
        (None, Family::V6) => 64,
    };
    if family == Family::V6 && host_length != 64 {
        return Err(error(ConfigErrorKind::Ipv6HostPrefixNot64 {
            entry: entry.to_owned(),
        }));
    }
    if host_length <= network.prefix_len() || (family == Family::V4 && host_length >= 32) {
        return Err(error(ConfigErrorKind::HostPrefixOutOfRange {
            entry: entry.to_owned(),
        }));
    }
    Ok(ClusterSubnet {
        network,
        host_length,
    })
}

/// A list of plain CIDRs: the `subnets` of a layer2 or localnet network, and every `excludeSubnets`
/// and `joinSubnet`.
///
/// # Errors
/// When an entry is malformed, or has a host prefix length.
pub fn plain_subnets(field: &'static str, text: &str) -> Result<Vec<IpNet>, ConfigError> {
    entries(text)
        .map(|entry| {
            if entry.split('/').count() == 3 {
                let kind = ConfigErrorKind::HostPrefixNotAllowed {
                    entry: entry.to_owned(),
                };
                return Err(ConfigError::new(field, kind));
            }
            cidr(field, entry, entry)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let subnets = cluster_subnets(text).expect(text);
        subnets
            .iter()
            .map(|s| format!("{}/{}", s.network, s.host_length))
            .collect()
    }

    #[test]
    fn layer3_subnets_have_a_host_length() {
        assert_eq!(shown("10.33.0.0/16/24"), ["10.33.0.0/16/24"]);
        assert_eq!(
            shown("10.33.7.9/16, fd00:44::/48"),
            ["10.33.0.0/16/24", "fd00:44::/48/64"]
        );
        assert_eq!(shown("  "), [""; 0]);
    }

    #[test]
    fn plain_subnets_have_none() {
        let nets = plain_subnets("subnets", "192.168.1.1/26,fd00::1/64").expect("subnets");
        assert_eq!(
            nets.iter().map(IpNet::to_string).collect::<Vec<_>>(),
            ["192.168.1.0/26", "fd00::/64"]
        );
    }

    #[test]
    fn malformed_entries_are_refused() {
        use ConfigErrorKind as Kind;
        let entry = |text: &str| text.to_owned();
        for (text, kind) in [
            (
                "10.0.0.0",
                Kind::BadCidr {
                    entry: entry("10.0.0.0"),
                },
            ),
            ("10.0.0.0/16/24,", Kind::BadCidr { entry: entry("") }),
            (
                "10.0.0/16",
                Kind::BadCidr {
                    entry: entry("10.0.0/16"),
                },
            ),
            (
                "10.0.0.0/33",
                Kind::BadCidr {
                    entry: entry("10.0.0.0/33"),
                },
            ),
            (
                "10.0.0.0/+8",
                Kind::BadCidr {
                    entry: entry("10.0.0.0/+8"),
                },
            ),
            (
                "10.0.0.0/8/24/1",
                Kind::BadCidr {
                    entry: entry("10.0.0.0/8/24/1"),
                },
            ),
            (
                "10.0.0.0/24",
                Kind::HostPrefixOutOfRange {
                    entry: entry("10.0.0.0/24"),
                },
            ),
            (
                "10.0.0.0/16/16",
                Kind::HostPrefixOutOfRange {
                    entry: entry("10.0.0.0/16/16"),
                },
            ),
            (
                "10.0.0.0/16/32",
                Kind::HostPrefixOutOfRange {
                    entry: entry("10.0.0.0/16/32"),
                },
            ),
            (
                "fd00::/48/65",
                Kind::Ipv6HostPrefixNot64 {
                    entry: entry("fd00::/48/65"),
                },
            ),
            (
                "fd00::/64",
                Kind::HostPrefixOutOfRange {
                    entry: entry("fd00::/64"),
                },
            ),
        ] {
            assert_eq!(cluster_subnets(text).expect_err(text).kind, kind, "{text}");
        }
        let kind = plain_subnets("subnets", "10.0.0.0/16/24")
            .expect_err("a host length")
            .kind;
        assert_eq!(
            kind,
            Kind::HostPrefixNotAllowed {
                entry: entry("10.0.0.0/16/24")
            }
        );
        for (text, message) in [
            (
                "10.0.0.1",
                r#""excludeSubnets": "10.0.0.1" is not an address with a prefix length: write "10.0.0.1/32""#,
            ),
            (
                "10.0.0.0/24,fd00::1",
                r#""excludeSubnets": "fd00::1" is not an address with a prefix length: write "fd00::1/128""#,
            ),
            (
                "10.0.0.0/24,",
                r#""excludeSubnets": "" is not an address with a prefix length: is there a comma too many?"#,
            ),
        ] {
            let error = plain_subnets("excludeSubnets", text).expect_err(text);
            assert_eq!(error.to_string(), message);
        }
    }
}
