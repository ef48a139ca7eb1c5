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
    /// Adds a mapping, or changes its network's bridge. All others are kept.
    pub fn set(&mut self, mapping: Mapping) {
        let known = self.0.iter_mut().find(|m| m.network == mapping.network);
        match known {
            Some(known) => *known = mapping,
            None => self.0.push(mapping),
        }
    }

    /// Removes a network's mapping. All others are kept.
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
