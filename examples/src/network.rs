//! The networks that the NADs describe.

use std::collections::{BTreeMap, HashMap};

use crate::config::{
    ConfigError, ConfigErrorKind, NetworkConfig, Parsed, Profile, network_name, parse,
};
use crate::error::{InputError, Place, Reason};
use crate::manifest::{Manifests, Nad};
use crate::names::mangle;
use crate::report::Report;

/// A network, and the NADs that describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Where the first of its NADs was found.
    pub place: Place,
    /// The configuration that its NADs agree on.
    pub config: NetworkConfig,
    /// The NADs' keys, `namespace/name`.
    pub nads: Vec<String>,
}

/// The networks that the NADs describe, and the result for each NAD.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    /// The networks, in the order in which they are first named.
    pub networks: Vec<Network>,
    nads: HashMap<String, (Nads, Place)>,
}

/// The result for a NAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nads {
    /// It describes the network with this index in [`Networks::networks`].
    Network(usize),
    /// It does not describe a secondary network of OVN-Kubernetes.
    Skipped,
    /// It was refused.
    Refused,
}

impl Networks {
    /// Reads the NADs. If two describe a network differently, the first one is used. A NAD that is
    /// refused is recorded in the report.
    #[must_use]
    pub fn new(manifests: &Manifests, profile: Profile, report: &mut Report) -> Self {
        let mut networks = Self::default();
        let mut reading = Reading::default();
        for nad in &manifests.nads {
            let found = match parse(&nad.key, &nad.config, profile) {
                Ok(Parsed::Skipped(skipped)) => {
                    report.warn(&nad.place, "", skipped.to_string());
                    Nads::Skipped
                }
                Ok(Parsed::Network(config, unknown)) => {
                    report.unknown_members(&nad.place, "spec.config", &unknown);
                    let name = config.name.clone();
                    match reading.add(&mut networks.networks, nad, *config) {
                        Ok(network) => Nads::Network(network),
                        Err(error) => {
                            report.refused.push(error);
                            report.kept.keep_nad(&nad.key, Some(&name));
                            Nads::Refused
                        }
                    }
                }
                Err(error) => {
                    let error = InputError::new(&nad.place, "spec.config", error);
                    report.refused.push(error);
                    let name = network_name(&nad.config);
                    report.kept.keep_nad(&nad.key, name.as_deref());
                    Nads::Refused
                }
            };
            networks
                .nads
                .insert(nad.key.clone(), (found, nad.place.clone()));
        }
        networks
    }

    /// The result for a NAD; `None` if none has this key.
    #[must_use]
    pub fn nad(&self, key: &str) -> Option<Nads> {
        self.nads.get(key).map(|(nad, _)| *nad)
    }

    /// Where a NAD was found.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        let found = self.nads.get(key);
        found.map(|(_, place)| place.clone()).unwrap_or_default()
    }
}

/// What is known about the NADs read so far.
#[derive(Debug, Default)]
struct Reading {
    /// The networks by name.
    networks: HashMap<String, usize>,
    network_names: Names,
    nad_names: Names,
}

impl Reading {
    /// Adds a NAD to its network. Returns the network's index.
    fn add(
        &mut self,
        networks: &mut Vec<Network>,
        nad: &Nad,
        config: NetworkConfig,
    ) -> Result<usize, InputError> {
        self.network_names
            .add(&nad.place, "spec.config", &config.name)?;
        self.nad_names.add(&nad.place, "metadata.name", &nad.key)?;
        if let Some(index) = self.networks.get(&config.name) {
            let known = &mut networks[*index];
            if !known.config.agrees_with(&config) {
                let kind = ConfigErrorKind::InconsistentNetwork {
                    network: config.name,
                    nad: known.nads[0].clone(),
                };
                let error = ConfigError::new("", kind);
                return Err(InputError::new(&nad.place, "spec.config", error));
            }
            known.nads.push(nad.key.clone());
            return Ok(*index);
        }
        let index = networks.len();
        self.networks.insert(config.name.clone(), index);
        networks.push(Network {
            place: nad.place.clone(),
            config,
            nads: vec![nad.key.clone()],
        });
        Ok(index)
    }
}

/// Names, by their form in the database.
#[derive(Debug, Default)]
struct Names(BTreeMap<String, (String, Place)>);

impl Names {
    fn add(&mut self, place: &Place, field: &str, name: &str) -> Result<(), InputError> {
        let mangled = mangle(name);
        match self.0.get(&mangled) {
            Some((other, known)) if other != name => {
                let (name, other, place_of_other) = (name.to_owned(), other.clone(), known.clone());
                let reason = Reason::NameCollision {
                    name,
                    other,
                    mangled,
                    place: Box::new(place_of_other),
                };
                Err(InputError::new(place, field, reason))
            }
            Some(_) => Ok(()),
            None => {
                self.0.insert(mangled, (name.to_owned(), place.clone()));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn nad(key: &str, changes: Value) -> Nad {
        let mut config = json!({"name": "net", "type": "ovn-k8s-cni-overlay",
            "topology": "layer2", "subnets": "10.1.0.0/16,10.2.0.0/16", "netAttachDefName": key});
        if let (Value::Object(config), Value::Object(changes)) = (&mut config, changes) {
            config.extend(changes);
        }
        Nad {
            place: Place {
                file: "f.yaml".into(),
                document: 1,
                object: key.to_owned(),
                ..Place::default()
            },
            key: key.to_owned(),
            config: config.to_string(),
        }
    }

    fn networks(nads: impl Into<Vec<Nad>>) -> (Networks, Report) {
        let mut manifests = Manifests::default();
        manifests.nads = nads.into();
        let mut report = Report::default();
        let networks = Networks::new(&manifests, Profile::Mid2023, &mut report);
        (networks, report)
    }

    #[test]
    fn nads_of_one_network_are_merged() {
        let same = json!({"subnets": "10.2.0.0/16, 10.1.0.0/16"});
        let (found, report) = networks([
            nad("a/x", json!({})),
            nad("b/y", same),
            nad("c/z", json!({"name": "other"})),
            nad("d/w", json!({"type": "bridge"})),
        ]);
        assert_eq!(found.networks.len(), 2);
        assert_eq!(found.networks[0].nads, ["a/x", "b/y"]);
        assert_eq!(found.nad("c/z"), Some(Nads::Network(1)));
        assert_eq!(found.nad("d/w"), Some(Nads::Skipped));
        assert!(report.refused.is_empty());
        let warning = report.warnings[0].to_string();
        assert_eq!(
            warning,
            "f.yaml, document 1, d/w: is for the CNI plug-in \"bridge\", not for \
             ovn-k8s-cni-overlay: skipped"
        );
    }

    #[test]
    fn of_two_descriptions_of_a_network_the_first_counts() {
        let (found, report) = networks([
            nad("a/x", json!({})),
            nad("b/y", json!({"mtu": 1300, "mtuu": 1})),
        ]);
        assert_eq!(found.networks.len(), 1);
        assert_eq!(found.nad("b/y"), Some(Nads::Refused));
        let error = &report.refused[0];
        assert_eq!(error.place().object, "b/y");
        assert!(matches!(
            error.reason(),
            Reason::Config(ConfigError { kind: ConfigErrorKind::InconsistentNetwork { nad, .. }, .. })
                if nad == "a/x"
        ));
        assert!(report.kept.network("net") && report.kept.port("b/y", "any", "pod"));
        assert!(!report.kept.network("other") && !report.kept.port("a/x", "any", "pod"));
        assert_eq!(
            report.warnings[0].to_string(),
            "f.yaml, document 1, b/y: spec.config: the member mtuu is unknown and ignored"
        );
    }

    #[test]
    fn an_invalid_nad_does_not_affect_the_others() {
        let broken = Nad {
            config: "{".to_owned(),
            ..nad("a/broken", json!({}))
        };
        let (found, report) = networks([
            nad("a/wrong", json!({"name": "lost", "topology": "ring"})),
            nad("a/x", json!({})),
        ]);
        assert_eq!(found.networks.len(), 1);
        assert_eq!(
            (report.refused.len(), report.kept.network("lost")),
            (1, true)
        );
        assert!(!report.kept.network("another"));
        // A name that cannot be read could be any name.
        let (_, report) = networks([broken]);
        assert!(report.kept.network("another"));
    }

    #[test]
    fn names_that_collide_are_refused() {
        let pairs = [
            [
                nad("a/x", json!({"name": "a-b"})),
                nad("a/y", json!({"name": "a.b"})),
            ],
            [nad("a/b-c", json!({})), nad("a/b.c", json!({}))],
        ];
        for nads in pairs {
            let (found, report) = networks(nads);
            assert_eq!(found.networks.len(), 1);
            let error = &report.refused[0];
            assert!(
                matches!(error.reason(), Reason::NameCollision { .. }),
                "{error}"
            );
        }
    }
}
