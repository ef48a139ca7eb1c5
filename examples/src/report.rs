//! The result of reading the manifests: warnings, objects that are left out, and what must be kept in
//! the database because these objects are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::error::{InputError, Place};
use crate::manifest::{NAD, POLICY};

/// Something that the author may not have intended. It does not stop anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {}{text}", crate::error::field_prefix(field))]
pub struct Warning {
    /// The object.
    pub place: Place,
    /// The field; empty for the whole.
    pub field: String,
    /// The problem.
    pub text: String,
}

/// The result of reading the manifests.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What is left out, and why, in the order in which it was found.
    pub refused: Vec<InputError>,
    /// What the author may not have intended.
    pub warnings: Vec<Warning>,
    /// How many objects there are of each kind that is not read.
    pub passed_over: BTreeMap<Kind, usize>,
    /// What must be kept in the database.
    pub kept: Kept,
}

/// A kind of object, with its API version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The kind.
    pub kind: String,
    /// The API version.
    pub version: String,
}

impl Kind {
    /// The known kind that may have been intended.
    #[must_use]
    pub fn similar(&self) -> Option<&'static str> {
        let written = self.kind.to_lowercase();
        let near = |known: &&str| {
            let mistakes = strsim::damerau_levenshtein(&written, &known.to_lowercase());
            self.kind != **known && mistakes <= (known.len() / 4).clamp(1, 3)
        };
        ["Pod", "Node", "Namespace", NAD, POLICY]
            .into_iter()
            .find(near)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.version)?;
        match self.similar() {
            Some(similar) => write!(f, "; did you mean {similar}?"),
            None => Ok(()),
        }
    }
}

impl Report {
    /// Whether nothing is left out, and nothing must be kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.refused.is_empty() && self.kept.is_empty()
    }

    /// Adds a warning about a field.
    pub fn warn(&mut self, place: &Place, field: impl Into<String>, text: impl Into<String>) {
        self.warnings.push(Warning {
            place: place.clone(),
            field: field.into(),
            text: text.into(),
        });
    }

    /// Warns of unknown members.
    pub fn unknown_members(&mut self, place: &Place, field: &str, unknown: &[String]) {
        for name in unknown {
            let text = format!("the member {name} is unknown and ignored");
            self.warn(place, field, text);
        }
    }
}

/// What must be kept in the database although no accepted object requests it: it may belong to an
/// object that was refused, and what that object requests is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    everything: bool,
    /// Set if a refused NAD's network has no readable name: it could be any network.
    every_network: bool,
    networks: BTreeSet<String>,
    nads: BTreeSet<String>,
    nodes: BTreeSet<String>,
    pods: BTreeSet<(String, String)>,
    policies: BTreeSet<(String, String)>,
}

impl Kept {
    /// Whether nothing must be kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Keeps everything, because it is unknown which object was refused.
    pub const fn keep_everything(&mut self) {
        self.everything = true;
    }

    /// Keeps what an object of this kind describes.
    pub fn keep_object(&mut self, kind: &str, namespace: &str, name: &str) {
        let pair = (namespace.to_owned(), name.to_owned());
        match kind {
            "Pod" => {
                self.pods.insert(pair);
            }
            "Node" => {
                self.nodes.insert(name.to_owned());
            }
            // A namespace is also known from the other objects in it.
            "Namespace" => {}
            POLICY => {
                self.policies.insert(pair);
            }
            NAD => self.keep_nad(&format!("{namespace}/{name}"), None),
            _ => self.everything = true,
        }
    }

    /// Keeps the ports of a NAD, and the network that it describes; every network if that is unknown.
    pub fn keep_nad(&mut self, key: &str, network: Option<&str>) {
        self.nads.insert(key.to_owned());
        match network {
            Some(network) => {
                self.networks.insert(network.to_owned());
            }
            None => self.every_network = true,
        }
    }

    /// Whether a network is kept.
    #[must_use]
    pub fn network(&self, name: &str) -> bool {
        self.everything || self.every_network || self.networks.contains(name)
    }

    /// Whether a node's switch is kept.
    #[must_use]
    pub fn node(&self, name: &str) -> bool {
        self.everything || self.nodes.contains(name)
    }

    /// Whether a pod's port for a NAD is kept.
    #[must_use]
    pub fn port(&self, nad: &str, namespace: &str, pod: &str) -> bool {
        let pair = (namespace.to_owned(), pod.to_owned());
        self.everything || self.nads.contains(nad) || self.pods.contains(&pair)
    }

    /// The policies whose rows are kept, as pairs of namespace and name.
    #[must_use]
    pub const fn policies(&self) -> &BTreeSet<(String, String)> {
        &self.policies
    }

    /// Whether the rows of every policy are kept.
    #[must_use]
    pub const fn every_policy(&self) -> bool {
        self.everything
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_kinds_are_suggested() {
        for (kind, similar) in [
            ("MultiNetworkPolcy", Some("MultiNetworkPolicy")),
            ("multinetworkpolicy", Some("MultiNetworkPolicy")),
            (
                "NetworkAttachmentDefinitions",
                Some("NetworkAttachmentDefinition"),
            ),
            (
                "NetworkAttachementDefintion",
                Some("NetworkAttachmentDefinition"),
            ),
            ("Pods", Some("Pod")),
            ("pod", Some("Pod")),
            ("NetworkPolicy", None),
            ("Job", None),
            ("Pod", None),
            ("VirtualMachine", None),
        ] {
            let kind = Kind {
                kind: kind.to_owned(),
                version: "v1".to_owned(),
            };
            assert_eq!(kind.similar(), similar, "{kind}");
        }
    }
}
