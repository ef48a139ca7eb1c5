//! The networks that NADs describe together.

use std::collections::BTreeMap;

use crate::config::{ConfigError, ConfigErrorKind, NetworkConfig, Parsed, Profile, parse};
use crate::error::{InputError, Place, Reason};
use crate::manifest::Nad;
use crate::names::mangle;

/// A network, and the NADs that describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Where the first of its NADs was found.
    pub place: Place,
    /// What its NADs say.
    pub config: NetworkConfig,
    /// The NADs' keys, `namespace/name`.
    pub nads: Vec<String>,
}

/// The networks that the NADs describe, in the order in which they are first named.
///
/// # Errors
/// When a configuration is wrong, when two NADs describe one network in different ways, or when
/// two names are the same once they are written to the database.
pub fn networks(nads: &[Nad], profile: Profile) -> Result<Vec<Network>, InputError> {
    let mut networks: Vec<Network> = Vec::new();
    let mut network_names = Names::default();
    let mut nad_names = Names::default();
    for nad in nads {
        let wrong = |error: ConfigError| InputError::new(&nad.place, "spec.config", error);
        let Parsed::Network(config, _) = parse(&nad.key, &nad.config, profile).map_err(wrong)?
        else {
            continue;
        };
        network_names.add(&nad.place, "spec.config", &config.name)?;
        nad_names.add(&nad.place, "metadata.name", &nad.key)?;
        match networks
            .iter_mut()
            .find(|known| known.config.name == config.name)
        {
            None => networks.push(Network {
                place: nad.place.clone(),
                config: *config,
                nads: vec![nad.key.clone()],
            }),
            Some(known) if known.config.agrees_with(&config) => known.nads.push(nad.key.clone()),
            Some(known) => {
                let kind = ConfigErrorKind::InconsistentNetwork {
                    network: config.name,
                    nad: known.nads[0].clone(),
                };
                return Err(wrong(ConfigError::new("", kind)));
            }
        }
    }
    Ok(networks)
}

/// Names by what they become in the database.
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
            },
            key: key.to_owned(),
            config: config.to_string(),
        }
    }

    #[test]
    fn nads_of_one_network_are_put_together() {
        let same = json!({"subnets": "10.2.0.0/16, 10.1.0.0/16"});
        let nads = [
            nad("a/x", json!({})),
            nad("b/y", same),
            nad("c/z", json!({"name": "other"})),
            nad("d/w", json!({"type": "bridge"})),
        ];
        let networks = networks(&nads, Profile::Mid2023).expect("networks");
        assert_eq!(networks.len(), 2);
        assert_eq!(networks[0].nads, ["a/x", "b/y"]);

        let nads = [nad("a/x", json!({})), nad("b/y", json!({"mtu": 1300}))];
        let error = super::networks(&nads, Profile::Mid2023).expect_err("another MTU");
        assert_eq!(error.place().object, "b/y");
        assert!(matches!(
            error.reason(),
            Reason::Config(ConfigError { kind: ConfigErrorKind::InconsistentNetwork { nad, .. }, .. })
                if nad == "a/x"
        ));
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
            let error = networks(&nads, Profile::Mid2023).expect_err("a collision");
            assert!(
                matches!(error.reason(), Reason::NameCollision { .. }),
                "{error}"
            );
        }
    }
}
