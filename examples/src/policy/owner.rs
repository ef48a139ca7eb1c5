//! The ids by which OVN-Kubernetes finds the rows of policies again, and the names made from them.

use std::hash::Hasher as _;

use fnv::FnvHasher;
use ovsdb::{Map, Str};

use super::Direction;
use crate::config::Profile;
use crate::ids;
use crate::names::{controller, mangle};

/// The type of an object that a row belongs to.
const TYPE: &str = "k8s.ovn.org/owner-type";
/// The object's name.
pub const NAME: &str = "k8s.ovn.org/name";
/// All ids in one text.
pub const ID: &str = "k8s.ovn.org/id";

/// A name that is short enough for OVN: `a`, followed by the FNV-1a hash of a text.
#[must_use]
pub fn hash(text: &str) -> String {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    format!("a{}", hasher.finish())
}

/// The ids of a network's row: the kind of its owner, and the keys that distinguish it from others of
/// this kind, in order.
#[must_use]
pub fn ids(network: &str, kind: &str, keys: &[(&str, &str)]) -> Map<Str, Str> {
    let owner = controller(network);
    let mut id = format!("{owner}:{kind}");
    let mut ids = Map::<Str, Str>::from([(ids::OWNER, owner.as_str()), (TYPE, kind)]);
    for (key, value) in keys {
        id.push(':');
        id.push_str(value);
        ids.insert(*key, *value);
    }
    ids.insert(ID, id);
    ids
}

/// The text into which a row's ids are combined.
#[must_use]
pub fn id(ids: &Map<Str, Str>) -> &str {
    ids.get(ID).map_or("", Str::as_str)
}

/// The name and the ids of the group of a namespace's pods that receive (or send) only what policies
/// allow.
#[must_use]
pub fn deny_group(
    network: &str,
    namespace: &str,
    direction: Direction,
    profile: Profile,
) -> (String, Map<Str, Str>) {
    match profile {
        Profile::Mid2023 => {
            let hashed = hash(&format!("{}_{namespace}", mangle(network)));
            let name = match direction {
                Direction::Ingress => format!("{hashed}_ingressDefaultDeny"),
                Direction::Egress => format!("{hashed}_egressDefaultDeny"),
            };
            let ids = plain_ids(network, &name);
            (name, ids)
        }
        Profile::Central2026 => {
            let keys = [(NAME, namespace), ("direction", direction.as_str())];
            let ids = ids(network, "NetpolNamespace", &keys);
            (hash(id(&ids)), ids)
        }
    }
}

/// The name and the ids of the group of the pods to which a policy applies.
#[must_use]
pub fn policy_group(
    network: &str,
    namespace: &str,
    policy: &str,
    profile: Profile,
) -> (String, Map<Str, Str>) {
    match profile {
        Profile::Mid2023 => {
            let name = hash(&format!("{}_{namespace}_{policy}", mangle(network)));
            (name, plain_ids(network, &format!("{namespace}_{policy}")))
        }
        Profile::Central2026 => {
            let keys = [(NAME, format!("{namespace}:{policy}"))];
            let ids = ids(
                network,
                "NetworkPolicy",
                &keys.each_ref().map(|(k, v)| (*k, v.as_str())),
            );
            (hash(id(&ids)), ids)
        }
    }
}

/// The ids of a group in the profile of 2023.
fn plain_ids(network: &str, name: &str) -> Map<Str, Str> {
    Map::from([("name", name), (ids::NETWORK, network)])
}

/// The namespace of the policy whose group has these ids; `None` if it is not a group of a policy.
#[must_use]
pub fn policy_namespace<'a>(group: &str, ids: &'a Map<Str, Str>) -> Option<&'a str> {
    if ids.get(TYPE).is_some_and(|kind| *kind == *"NetworkPolicy") {
        return ids
            .get(NAME)?
            .split_once(':')
            .map(|(namespace, _)| namespace);
    }
    // In the profile of 2023, the id `name` of other groups is the group's own name.
    let name = ids.get("name").filter(|name| *name.as_str() != *group)?;
    name.split_once('_').map(|(namespace, _)| namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The hashes are those of OVN-Kubernetes' documentation and of an independent script.
    #[test]
    fn names_are_hashes_of_ids() {
        assert_eq!(hash("demo_allow-from-client"), "a13757631697825269621");
        assert_eq!(hash("default"), "a16982411286042166782");
        assert_eq!(hash("l3.network_default"), "a11522518477448342262");
        assert_eq!(hash("l3.network_default_web"), "a17865596555783207955");
        for (kind, keys, name) in [
            ("Namespace", &["default", "v4"][..], "a114154188676516879"),
            (
                "PodSelector",
                &["default_LS{ML:{app: nginx1,},}", "v4"],
                "a304099920123075977",
            ),
            ("NetworkPolicy", &["default:web"], "a10927173204198130550"),
            (
                "NetpolNamespace",
                &["default", "Ingress"],
                "a2137749478927940710",
            ),
        ] {
            let keys: Vec<(String, &str)> = keys
                .iter()
                .enumerate()
                .map(|(at, value)| (at.to_string(), *value))
                .collect();
            let keys: Vec<(&str, &str)> = keys.iter().map(|(key, v)| (key.as_str(), *v)).collect();
            let ids = ids("l3-network", kind, &keys);
            assert_eq!(hash(id(&ids)), name, "{}", id(&ids));
        }
    }
}
