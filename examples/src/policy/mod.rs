//! MultiNetworkPolicies: reading them, and translating them to rows of OVN.

pub mod lower;
pub mod owner;
pub mod selector;

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::Value;

use self::selector::{Labels, Selector};
use crate::error::{InputError, Place, Reason};
use crate::field::{Field, Wrong};
use crate::json::{self, Shape};
use crate::manifest;
use crate::report::Report;

/// The annotation with the networks that a policy applies to.
pub const POLICY_FOR: &str = "k8s.v1.cni.cncf.io/policy-for";
/// The annotation that makes a policy's rules stateless.
const STATELESS: &str = "k8s.ovn.org/acl-stateless";
/// The annotation of a namespace with its logging.
const LOGGING: &str = "k8s.ovn.org/acl-logging";
/// The severities that OVN knows.
const SEVERITIES: [&str; 5] = ["alert", "warning", "notice", "info", "debug"];
/// The label that Kubernetes gives every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A direction of traffic, as a pod sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards the pod.
    Ingress,
    /// From the pod.
    Egress,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The direction as a word of names and ids.
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
    /// Its labels, including the label with its name.
    pub labels: Labels,
    /// The severity at which denied traffic is logged.
    pub log_deny: Option<String>,
    /// The severity at which allowed traffic is logged.
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
    /// The NADs that it applies to, `namespace/name`.
    pub nads: Vec<String>,
    /// The pods of its namespace that it applies to.
    pub selector: Selector,
    /// The directions in which these pods get only what policies allow.
    pub isolates: Vec<Direction>,
    /// The rules, which allow traffic.
    pub rules: Vec<Rule>,
    /// Whether connections are not tracked.
    pub stateless: bool,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its direction.
    pub direction: Direction,
    /// Its position among the rules with the same direction.
    pub index: usize,
    /// The peers; all if empty.
    pub peers: Vec<Peer>,
    /// The ports; all if empty.
    pub ports: Vec<Port>,
}

/// A peer of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A block of addresses.
    Block {
        /// The block.
        cidr: IpNet,
        /// The ranges in it that are excepted.
        except: Vec<IpNet>,
    },
    /// A selection of pods.
    Pods {
        /// The pods; all if absent.
        pods: Option<Selector>,
        /// The namespaces; the policy's own if absent.
        namespaces: Option<Selector>,
    },
}

/// A port, or a range of ports, of a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The protocol.
    pub protocol: Protocol,
    /// The first and the last port; all ports if absent.
    pub range: Option<(u16, u16)>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The protocol's word in matches.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// The namespaces: those with a manifest, and those of other objects. A namespace with a malformed
/// annotation logs nothing.
pub fn namespaces<'a>(
    manifests: &[manifest::Namespace],
    named: impl IntoIterator<Item = &'a str>,
    report: &mut Report,
) -> BTreeMap<String, Namespace> {
    let mut namespaces: BTreeMap<String, Namespace> = BTreeMap::new();
    for name in named {
        if !namespaces.contains_key(name) {
            namespaces.insert(name.to_owned(), Namespace::default());
        }
    }
    for found in manifests {
        let mut namespace = Namespace {
            labels: found.labels.clone(),
            ..Namespace::default()
        };
        let levels = found.annotations.get(LOGGING);
        if let Some(text) = levels.filter(|text| !text.is_empty()) {
            match log_levels(text) {
                Ok((deny, allow)) => {
                    namespace.log_deny = deny;
                    namespace.log_allow = allow;
                }
                Err(wrong) => report.refused.push(wrong.at(&found.place)),
            }
        }
        namespaces.insert(found.name.clone(), namespace);
    }
    for (name, namespace) in &mut namespaces {
        namespace.labels.insert(NAME_LABEL.to_owned(), name.clone());
    }
    namespaces
}

/// The severities in a namespace's annotation, for denied and for allowed traffic.
fn log_levels(text: &str) -> Result<(Option<String>, Option<String>), Wrong> {
    const LEVELS: Shape = Shape::Object(&[("deny", Shape::Any), ("allow", Shape::Any)]);
    let path = format!("metadata.annotations.{LOGGING}");
    let wrong = |error: json::Syntax| Field::new(&path, None).wrong(error.to_string());
    let read = json::read(text, LEVELS).map_err(wrong)?;
    let levels = Field::new(&path, Some(&read.value));
    let level = |name: &str| {
        let level = levels.member(name)?;
        match level.text()? {
            None | Some("") => Ok(None),
            Some(text) if SEVERITIES.contains(&text) => Ok(Some(text.to_owned())),
            Some(_) => Err(level.must_be(format!("one of {}", SEVERITIES.join(", ")))),
        }
    };
    Ok((level("deny")?, level("allow")?))
}

/// Reads a policy.
///
/// `policyTypes` is taken literally: a policy without it isolates nothing. A NetworkPolicy without it
/// isolates, because the API server fills the list in, which it does not do for a custom resource.
///
/// # Errors
/// When it is malformed, names no network in its annotation, or refers to ports by name.
pub fn policy(found: &manifest::Policy) -> Result<Policy, InputError> {
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
        let field = format!("metadata.annotations.{POLICY_FOR}");
        return Err(InputError::new(&found.place, field, Reason::Missing));
    }
    let spec = Field::new("spec", Some(&found.spec));
    let spec = Spec::read(&spec).map_err(|wrong| wrong.at(&found.place))?;
    let stateless = found.annotations.get(STATELESS);
    Ok(Policy {
        place: found.place.clone(),
        namespace: found.namespace.clone(),
        name: found.name.clone(),
        nads,
        selector: spec.selector,
        isolates: spec.isolates,
        rules: spec.rules,
        stateless: stateless.is_some_and(|text| text == "true"),
    })
}

/// A policy's `spec`.
struct Spec {
    selector: Selector,
    isolates: Vec<Direction>,
    rules: Vec<Rule>,
}

impl Spec {
    fn read(spec: &Field<'_>) -> Result<Self, Wrong> {
        spec.only(&["podSelector", "policyTypes", "ingress", "egress"])?;
        let types = spec.member("policyTypes")?.list()?;
        let types = types.iter().map(|word| match word.text()? {
            Some("Ingress") => Ok(Direction::Ingress),
            Some("Egress") => Ok(Direction::Egress),
            _ => Err(word.must_be("Ingress or Egress")),
        });
        let mut rules = Vec::new();
        for (direction, name) in Direction::BOTH.into_iter().zip(["ingress", "egress"]) {
            for (index, rule) in spec.member(name)?.list()?.iter().enumerate() {
                rules.push(read_rule(rule, direction, index)?);
            }
        }
        Ok(Self {
            selector: Selector::read(&spec.member("podSelector")?)?.unwrap_or_default(),
            isolates: types.collect::<Result<_, _>>()?,
            rules,
        })
    }
}

fn read_rule(rule: &Field<'_>, direction: Direction, index: usize) -> Result<Rule, Wrong> {
    let (name, other) = match direction {
        Direction::Ingress => ("from", "to"),
        Direction::Egress => ("to", "from"),
    };
    // An absent element would be a rule that allows everything.
    if rule.value().is_none() {
        return Err(rule.must_be("a mapping"));
    }
    rule.only(&["from", "to", "ports"])?;
    let other = rule.member(other)?;
    if !other.list()?.is_empty() {
        return Err(other.wrong("must be absent in this direction"));
    }
    let peers = rule.member(name)?.list()?;
    let ports = rule.member("ports")?.list()?;
    Ok(Rule {
        direction,
        index,
        peers: peers.iter().map(read_peer).collect::<Result<_, _>>()?,
        ports: ports.iter().map(read_port).collect::<Result<_, _>>()?,
    })
}

fn read_peer(peer: &Field<'_>) -> Result<Peer, Wrong> {
    peer.only(&["ipBlock", "podSelector", "namespaceSelector"])?;
    let pods = Selector::read(&peer.member("podSelector")?)?;
    let namespaces = Selector::read(&peer.member("namespaceSelector")?)?;
    let block = peer.member("ipBlock")?;
    match (block.value(), &pods, &namespaces) {
        (None, None, None) => {
            Err(peer.wrong("must have one of ipBlock, podSelector and namespaceSelector"))
        }
        (None, ..) => Ok(Peer::Pods { pods, namespaces }),
        (Some(_), None, None) => read_block(&block),
        (Some(_), ..) => Err(block.wrong("must be absent beside a selector")),
    }
}

fn read_block(block: &Field<'_>) -> Result<Peer, Wrong> {
    block.only(&["cidr", "except"])?;
    let network = "a network such as 10.1.0.0/16";
    let cidr: IpNet = block.member("cidr")?.required(network)?;
    let excepted = block.member("except")?;
    let mut except = Vec::new();
    for range in excepted.list()? {
        let range: IpNet = range.required(network)?;
        if !cidr.contains(&range) {
            return Err(excepted.wrong(format!("{range} is not within {cidr}")));
        }
        except.push(range.trunc());
    }
    Ok(Peer::Block {
        cidr: cidr.trunc(),
        except,
    })
}

fn read_port(port: &Field<'_>) -> Result<Port, Wrong> {
    port.only(&["protocol", "port", "endPort"])?;
    if port.value().is_none() {
        return Err(port.must_be("a mapping"));
    }
    let protocol = port.member("protocol")?;
    let protocol = match protocol.text()? {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(_) => return Err(protocol.must_be("TCP, UDP or SCTP")),
    };
    let first = port.member("port")?;
    if first.value().is_some_and(Value::is_string) {
        return Err(first.must_be("a number: ports by name are not supported"));
    }
    let end = port.member("endPort")?;
    let range = match (read_number(&first)?, read_number(&end)?) {
        (Some(first), Some(last)) if last >= first => Some((first, last)),
        (Some(first), None) => Some((first, first)),
        (None, None) => None,
        _ => return Err(end.wrong("must come with a port, and not be below it")),
    };
    Ok(Port { protocol, range })
}

fn read_number(port: &Field<'_>) -> Result<Option<u16>, Wrong> {
    let Some(value) = port.value() else {
        return Ok(None);
    };
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    match number {
        Some(number @ 1..) => Ok(Some(number)),
        _ => Err(port.must_be("a port from 1 to 65535")),
    }
}
