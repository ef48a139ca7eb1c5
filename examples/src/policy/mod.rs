//! MultiNetworkPolicies: what they say, and which rows say it to OVN.

pub mod lower;
pub mod owner;
pub mod selector;

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use self::selector::{Labels, Selector};
use crate::error::{InputError, Place, Reason};
use crate::manifest;

/// The annotation with the networks that a policy is for.
pub const POLICY_FOR: &str = "k8s.v1.cni.cncf.io/policy-for";
/// The annotation that makes a policy's rules stateless.
const STATELESS: &str = "k8s.ovn.org/acl-stateless";
/// The annotation of a namespace with what is logged.
const LOGGING: &str = "k8s.ovn.org/acl-logging";
/// The label that Kubernetes gives every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A direction of traffic, as a pod sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Direction {
    /// Towards the pod.
    Ingress,
    /// From the pod.
    Egress,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The word in names and ids.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespace {
    /// Its labels, with that of its name.
    pub labels: Labels,
    /// The severity of what is logged of denied traffic.
    pub log_deny: Option<String>,
    /// The severity of what is logged of allowed traffic.
    pub log_allow: Option<String>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where it was found.
    pub place: Place,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The NADs that it is for, `namespace/name`.
    pub nads: Vec<String>,
    /// The pods of its namespace that it is for.
    pub selector: Selector,
    /// The directions in which these pods get only what a policy allows.
    pub isolates: Vec<Direction>,
    /// What is allowed.
    pub rules: Vec<Rule>,
    /// Whether connections are not tracked.
    pub stateless: bool,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its direction.
    pub direction: Direction,
    /// Its place among the rules of its direction.
    pub index: usize,
    /// From or to whom; everybody when empty.
    pub peers: Vec<Peer>,
    /// To which ports; all when empty.
    pub ports: Vec<Port>,
}

/// A rule's other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Addresses.
    Block {
        /// These,
        cidr: IpNet,
        /// except for these.
        except: Vec<IpNet>,
    },
    /// Pods.
    Pods {
        /// Those that it selects; all when absent.
        pods: Option<Selector>,
        /// In the namespaces that it selects; the policy's when absent.
        namespaces: Option<Selector>,
    },
}

/// A port, or a range of ports, of a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The protocol.
    pub protocol: Protocol,
    /// The first and the last port; all when absent.
    pub range: Option<(u16, u16)>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The word in matches.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A policy's `spec` as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    pod_selector: Selector,
    policy_types: Option<Vec<Direction>>,
    #[serde(default)]
    ingress: Vec<SpecRule>,
    #[serde(default)]
    egress: Vec<SpecRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecRule {
    #[serde(default)]
    from: Vec<SpecPeer>,
    #[serde(default)]
    to: Vec<SpecPeer>,
    #[serde(default)]
    ports: Vec<SpecPort>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SpecPeer {
    ip_block: Option<SpecBlock>,
    pod_selector: Option<Selector>,
    namespace_selector: Option<Selector>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecBlock {
    cidr: IpNet,
    #[serde(default)]
    except: Vec<IpNet>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SpecPort {
    protocol: Option<Protocol>,
    port: Option<Value>,
    end_port: Option<u16>,
}

/// The namespaces that there are: those of manifests, and those that other objects name.
///
/// # Errors
/// When an annotation is malformed.
pub fn namespaces<'a>(
    manifests: &[manifest::Namespace],
    named: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, Namespace>, InputError> {
    let mut namespaces: BTreeMap<String, Namespace> = BTreeMap::new();
    for name in named {
        namespaces.entry(name.to_owned()).or_default();
    }
    for found in manifests {
        let mut namespace = Namespace {
            labels: found.labels.clone(),
            ..Namespace::default()
        };
        if let Some(text) = found
            .annotations
            .get(LOGGING)
            .filter(|text| !text.is_empty())
        {
            let levels: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
                let reason = Reason::Annotation(error.to_string());
                InputError::new(
                    &found.place,
                    format!("metadata.annotations.{LOGGING}"),
                    reason,
                )
            })?;
            let level = |key: &str| levels.get(key).filter(|level| !level.is_empty()).cloned();
            namespace.log_deny = level("deny");
            namespace.log_allow = level("allow");
        }
        namespaces.insert(found.name.clone(), namespace);
    }
    for (name, namespace) in &mut namespaces {
        namespace.labels.insert(NAME_LABEL.to_owned(), name.clone());
    }
    Ok(namespaces)
}

/// Reads a policy.
///
/// `policyTypes` is taken literally: a policy without it isolates nobody. A NetworkPolicy without it
/// isolates, because the API server fills the list in; it does not for a custom resource.
///
/// # Errors
/// When it is malformed, or names ports by name.
pub fn policy(found: &manifest::Policy) -> Result<Policy, InputError> {
    let wrong = |field: String, reason: Reason| InputError::new(&found.place, field, reason);
    let spec: Spec = serde_path_to_error::deserialize(&found.spec).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." {
            "spec".to_owned()
        } else {
            format!("spec.{path}")
        };
        wrong(field, Reason::Malformed(error.into_inner().to_string()))
    })?;
    if let Some((field, why)) = spec.pod_selector.mistake() {
        return Err(wrong(
            format!("spec.podSelector.{field}"),
            Reason::Expected(why),
        ));
    }
    let annotated = found.annotations.get(POLICY_FOR).map_or("", String::as_str);
    let nads: Vec<String> = annotated
        .split(',')
        .map(|nad| nad.replace(' ', ""))
        .filter(|nad| !nad.is_empty())
        .map(|nad| {
            if nad.contains('/') {
                nad
            } else {
                format!("{}/{nad}", found.namespace)
            }
        })
        .collect();
    if nads.is_empty() {
        return Err(wrong(
            format!("metadata.annotations.{POLICY_FOR}"),
            Reason::Missing,
        ));
    }
    let mut rules = Vec::new();
    for (direction, name, list) in [
        (Direction::Ingress, "ingress", &spec.ingress),
        (Direction::Egress, "egress", &spec.egress),
    ] {
        for (index, rule) in list.iter().enumerate() {
            let rule = read_rule(rule, direction, index).map_err(|(field, reason)| {
                wrong(format!("spec.{name}[{index}].{field}"), reason)
            })?;
            rules.push(rule);
        }
    }
    Ok(Policy {
        place: found.place.clone(),
        namespace: found.namespace.clone(),
        name: found.name.clone(),
        nads,
        selector: spec.pod_selector,
        isolates: spec.policy_types.unwrap_or_default(),
        rules,
        stateless: found
            .annotations
            .get(STATELESS)
            .is_some_and(|text| text == "true"),
    })
}

/// A field within a rule, and what is wrong with it.
type Wrong = (String, Reason);

fn read_rule(rule: &SpecRule, direction: Direction, index: usize) -> Result<Rule, Wrong> {
    let (list, name, other, other_name) = match direction {
        Direction::Ingress => (&rule.from, "from", &rule.to, "to"),
        Direction::Egress => (&rule.to, "to", &rule.from, "from"),
    };
    if !other.is_empty() {
        return Err((
            other_name.to_owned(),
            Reason::Expected("absent in this direction"),
        ));
    }
    let within = |name: &str, at: usize| {
        let name = format!("{name}[{at}]");
        move |(field, reason): Wrong| {
            let dot = if field.is_empty() { "" } else { "." };
            (format!("{name}{dot}{field}"), reason)
        }
    };
    let mut peers = Vec::new();
    for (at, peer) in list.iter().enumerate() {
        peers.push(read_peer(peer).map_err(within(name, at))?);
    }
    let mut ports = Vec::new();
    for (at, port) in rule.ports.iter().enumerate() {
        ports.push(read_port(port).map_err(within("ports", at))?);
    }
    Ok(Rule {
        direction,
        index,
        peers,
        ports,
    })
}

fn read_peer(peer: &SpecPeer) -> Result<Peer, Wrong> {
    let selectors = [
        ("podSelector", &peer.pod_selector),
        ("namespaceSelector", &peer.namespace_selector),
    ];
    for (name, selector) in selectors {
        if let Some((field, why)) = selector.as_ref().and_then(Selector::mistake) {
            return Err((format!("{name}.{field}"), Reason::Expected(why)));
        }
    }
    match (&peer.ip_block, &peer.pod_selector, &peer.namespace_selector) {
        (None, None, None) => {
            let why = "one of ipBlock, podSelector and namespaceSelector";
            Err((String::new(), Reason::Expected(why)))
        }
        (None, pods, namespaces) => Ok(Peer::Pods {
            pods: pods.clone(),
            namespaces: namespaces.clone(),
        }),
        (Some(block), None, None) => {
            let inside = |except: &&IpNet| !block.cidr.contains(*except);
            if let Some(except) = block.except.iter().find(inside) {
                let reason = Reason::Malformed(format!("{except} is not within {}", block.cidr));
                return Err(("ipBlock.except".to_owned(), reason));
            }
            Ok(Peer::Block {
                cidr: block.cidr.trunc(),
                except: block.except.iter().map(IpNet::trunc).collect(),
            })
        }
        (Some(_), ..) => Err((
            "ipBlock".to_owned(),
            Reason::Expected("absent beside a selector"),
        )),
    }
}

fn read_port(port: &SpecPort) -> Result<Port, Wrong> {
    let number = match &port.port {
        None => None,
        Some(Value::Number(number)) => {
            let number = number
                .as_u64()
                .and_then(|number| u16::try_from(number).ok());
            let number = number.filter(|number| *number > 0);
            Some(number.ok_or((
                "port".to_owned(),
                Reason::Expected("a port from 1 to 65535"),
            ))?)
        }
        Some(_) => {
            let why = "a number: ports by name are not supported";
            return Err(("port".to_owned(), Reason::Expected(why)));
        }
    };
    let range = match (number, port.end_port) {
        (Some(first), Some(last)) if last >= first => Some((first, last)),
        (Some(first), None) => Some((first, first)),
        (None, None) => None,
        _ => {
            return Err((
                "endPort".to_owned(),
                Reason::Expected("behind a port, and not below it"),
            ));
        }
    };
    Ok(Port {
        protocol: port.protocol.unwrap_or(Protocol::Tcp),
        range,
    })
}
