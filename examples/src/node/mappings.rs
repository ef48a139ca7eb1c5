//! The text of `ovn-bridge-mappings` (ovn-controller(8)).

use std::fmt;
use std::str::FromStr;

/// The bridge that leads to a physical network: `NETWORK:BRIDGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The name that localnet ports have in `options:network_name`.
    pub network: String,
    /// The bridge.
    pub bridge: String,
}

/// A text that is not a mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad bridge mapping {0:?}: must be NETWORK:BRIDGE, without commas")]
pub struct BadMapping(pub String);

impl FromStr for Mapping {
    type Err = BadMapping;

    fn from_str(text: &str) -> Result<Self, BadMapping> {
        match text.trim().split_once(':') {
            Some((network, bridge))
                if !network.is_empty()
                    && !bridge.is_empty()
                    && !bridge.contains(':')
                    && !text.contains(',') =>
            {
                Ok(Self {
                    network: network.to_owned(),
                    bridge: bridge.to_owned(),
                })
            }
            _ => Err(BadMapping(text.to_owned())),
        }
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.network, self.bridge)
    }
}

/// The mappings of a node, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeMappings(Vec<Mapping>);

impl BridgeMappings {
    /// Adds a mapping, or changes its network's bridge. The mappings of other networks are kept.
    ///
    /// If the network has several mappings, one is left: ovn-controller uses a single one of those whose bridges
    /// exist, and which one is undefined.
    pub fn set(&mut self, mapping: Mapping) {
        let same = |other: &Mapping| other.network == mapping.network;
        let at = self.0.iter().position(same).unwrap_or(self.0.len());
        self.0.retain(|other| !same(other));
        self.0.insert(at, mapping);
    }

    /// Removes a network's mappings. All others are kept.
    pub fn remove(&mut self, network: &str) {
        self.0.retain(|mapping| mapping.network != network);
    }
}

impl FromStr for BridgeMappings {
    type Err = BadMapping;

    fn from_str(text: &str) -> Result<Self, BadMapping> {
        let entries = text.split(',').filter(|entry| !entry.trim().is_empty());
        entries.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for BridgeMappings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mapping) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{mapping}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_and_their_order_are_kept() {
        let mut mappings: BridgeMappings = "physnet:brens3f2,b:br-b".parse().expect("mappings");
        mappings.set("net:br-out".parse().expect("a mapping"));
        mappings.set("b:br-c".parse().expect("a mapping"));
        assert_eq!(mappings.to_string(), "physnet:brens3f2,b:br-c,net:br-out");
        mappings.remove("b");
        mappings.remove("nobody");
        assert_eq!(mappings.to_string(), "physnet:brens3f2,net:br-out");
        mappings.remove("physnet");
        mappings.remove("net");
        assert_eq!(mappings.to_string(), "");
        assert_eq!(
            " a:b ,".parse::<BridgeMappings>().expect("one").to_string(),
            "a:b"
        );
    }

    #[test]
    fn of_several_mappings_of_a_network_the_one_that_was_set_is_left() {
        for (before, after) in [
            ("a:b,x:y,a:c", "a:d,x:y"),
            ("x:y,a:b,a:d,z:b", "x:y,a:d,z:b"),
            ("a:d", "a:d"),
        ] {
            let mut mappings: BridgeMappings = before.parse().expect("mappings");
            mappings.set("a:d".parse().expect("a mapping"));
            assert_eq!(mappings.to_string(), after, "{before}");
            mappings.remove("a");
            assert!(!mappings.to_string().contains("a:"), "{mappings}");
        }
    }

    #[test]
    fn malformed_mappings_are_named() {
        for text in ["a", ":b", "a:", "a:b:c", "a,b:c", ""] {
            assert_eq!(text.parse::<Mapping>(), Err(BadMapping(text.to_owned())));
        }
        assert_eq!(
            "a:b,c".parse::<BridgeMappings>(),
            Err(BadMapping("c".to_owned()))
        );
    }
}
