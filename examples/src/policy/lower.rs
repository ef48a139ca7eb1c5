//! Translates policies to OVN: address sets, port groups and their ACLs.
//!
//! The profile of 2023 writes an ACL for each port and each block of addresses. Names of groups
//! contain a hash of the names of the network, the namespace and, for the group of a policy, the
//! policy. The profile of 2026 combines ports and blocks, and the name of a group is a hash of its
//! owner's ids.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ovsdb::nb::{Acl, AclAction, AclDirection, AclSeverity};
use ovsdb::{Map, Str};

use super::owner::{self, NAME, hash};
use super::selector::{Labels, Selector};
use super::{Direction, Namespace, Peer, Policy, Port, Protocol, Rule};
use crate::addresses::Family;
use crate::config::{NetworkConfig, Profile};

/// The meter for logging.
pub const LOGGING_METER: &str = "acl-logging";

/// The priority of ACLs that deny the traffic of isolated pods.
const DENY: i64 = 1000;
/// The priority of ACLs that allow traffic.
const ALLOW: i64 = 1001;
/// The tier of ACLs, if the schema has tiers.
const TIER: i64 = 2;
/// The longest name of an ACL.
const LONGEST_NAME: usize = 63;

/// A pod's port on a network.
#[derive(Debug, Clone)]
pub struct Endpoint<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's labels, where they are known.
    pub labels: Option<&'a Labels>,
    /// The port's name.
    pub port: &'a str,
    /// The pod's addresses.
    pub addresses: Vec<IpAddr>,
}

impl Endpoint<'_> {
    /// Whether a selector selects the pod. If the labels are unknown, only the empty selector does.
    fn is_selected(&self, selector: &Selector) -> bool {
        match self.labels {
            Some(labels) => selector.selects(labels),
            None => selector.is_empty(),
        }
    }
}

/// Everything that a network's policies select from.
#[derive(Debug, Clone)]
pub struct PolicyContext<'a> {
    /// The network.
    pub config: &'a NetworkConfig,
    /// The version of OVN-Kubernetes to follow.
    pub profile: Profile,
    /// Whether the server's schema has ACL tiers.
    pub tiers: bool,
    /// All namespaces.
    pub namespaces: &'a BTreeMap<String, Namespace>,
    /// The pods on the network.
    pub endpoints: Vec<Endpoint<'a>>,
}

/// An address set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// Its owner, as ids.
    pub ids: Map<Str, Str>,
    /// Its addresses.
    pub addresses: BTreeSet<Str>,
}

/// A port group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// Its owner, as ids.
    pub ids: Map<Str, Str>,
    /// The names of its ports.
    pub ports: BTreeSet<String>,
    /// Its ACLs.
    pub acls: Vec<Acl>,
}

/// The rows of a network's policies, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// The address sets.
    pub sets: BTreeMap<String, Set>,
    /// The port groups.
    pub groups: BTreeMap<String, Group>,
}

/// The rows of these policies, which must all be for the network.
#[must_use]
pub fn lower(context: &PolicyContext<'_>, policies: &[&Policy]) -> Rows {
    let mut rows = Rows::default();
    if policies.is_empty() {
        return rows;
    }
    if context.profile == Profile::Mid2023 {
        for namespace in context.namespaces.keys() {
            context.namespace_sets(&mut rows, namespace);
        }
    }
    for policy in policies {
        context.deny_groups(&mut rows, policy);
        context.policy_group(&mut rows, policy);
    }
    rows
}

impl PolicyContext<'_> {
    /// The families of the addresses that the network assigns.
    fn families(&self) -> Vec<Family> {
        let ranges = self
            .config
            .cluster_subnets
            .iter()
            .map(|range| range.network);
        let networks = ranges.chain(self.config.subnets.iter().copied());
        let present: BTreeSet<Family> =
            networks.map(|network| Family::of(network.addr())).collect();
        present.into_iter().collect()
    }

    fn ids(&self, kind: &str, keys: &[(&str, &str)]) -> Map<Str, Str> {
        owner::ids(&self.config.name, kind, keys)
    }

    /// Adds an address set for each family. Returns their names by family.
    fn sets<'e>(
        &self,
        rows: &mut Rows,
        kind: &str,
        name: &str,
        members: impl Iterator<Item = &'e Endpoint<'e>> + Clone,
    ) -> Vec<(Family, String)> {
        let families = self.families().into_iter();
        let added = families.map(|family| {
            let word = match family {
                Family::V4 => "v4",
                Family::V6 => "v6",
            };
            let ids = self.ids(kind, &[(NAME, name), ("ip-family", word)]);
            let set_name = hash(owner::id(&ids));
            let addresses = members.clone().flat_map(|member| &member.addresses);
            let addresses = addresses.filter(|address| Family::of(**address) == family);
            let addresses = addresses
                .map(|address| Str::from(address.to_string()))
                .collect();
            rows.sets.insert(set_name.clone(), Set { ids, addresses });
            (family, set_name)
        });
        added.collect()
    }

    fn namespace_sets(&self, rows: &mut Rows, namespace: &str) -> Vec<(Family, String)> {
        let members = self
            .endpoints
            .iter()
            .filter(|member| member.namespace == namespace);
        self.sets(rows, "Namespace", namespace, members)
    }

    /// The address sets of the pods that a peer selects.
    fn peer_sets(
        &self,
        rows: &mut Rows,
        policy: &Policy,
        pods: Option<&Selector>,
        namespaces: Option<&Selector>,
    ) -> Vec<(Family, String)> {
        let all_pods = pods.is_none_or(Selector::is_empty);
        if self.profile == Profile::Mid2023 && all_pods {
            match namespaces {
                None => return self.namespace_sets(rows, &policy.namespace),
                Some(selector) if !selector.is_empty() => {
                    let selected = self.namespaces.iter();
                    let selected = selected.filter(|(_, it)| selector.selects(&it.labels));
                    return selected
                        .flat_map(|(name, _)| self.namespace_sets(rows, name))
                        .collect();
                }
                Some(_) => {}
            }
        }
        let everybody = Selector::default();
        let pods_text = pods.unwrap_or(&everybody).to_string();
        let mut name = match namespaces {
            None => format!("{}_{pods_text}", policy.namespace),
            Some(selector) => format!("{selector}_{pods_text}"),
        };
        if self.profile == Profile::Central2026 && pods.is_none() {
            name.push_str("_LNM");
        }
        let in_namespace = |namespace: &str| match namespaces {
            None => namespace == policy.namespace,
            Some(selector) => self
                .namespaces
                .get(namespace)
                .is_some_and(|it| selector.selects(&it.labels)),
        };
        let members = self.endpoints.iter().filter(|member| {
            in_namespace(member.namespace) && pods.is_none_or(|pods| member.is_selected(pods))
        });
        self.sets(rows, "PodSelector", &name, members)
    }

    /// The ports of the pods to which a policy applies.
    fn subjects(&self, policy: &Policy) -> impl Iterator<Item = String> {
        let of_policy = |member: &&Endpoint<'_>| {
            member.namespace == policy.namespace && member.is_selected(&policy.selector)
        };
        self.endpoints
            .iter()
            .filter(of_policy)
            .map(|member| member.port.to_owned())
    }

    /// The ACL with these ids.
    fn acl(&self, ids: Map<Str, Str>, direction: Direction, matches: String) -> Acl {
        let (acl_direction, options) = match direction {
            Direction::Ingress => (AclDirection::ToLport, Map::new()),
            Direction::Egress => (
                AclDirection::FromLport,
                Map::from([("apply-after-lb", "true")]),
            ),
        };
        let tiers = self.profile == Profile::Central2026 && self.tiers;
        Acl {
            direction: acl_direction,
            r#match: matches.into(),
            meter: Some(LOGGING_METER.into()),
            options,
            external_ids: ids,
            tier: if tiers { TIER } else { 0 },
            ..Default::default()
        }
    }

    /// Sets the logging of an ACL as the namespace's annotation requests it.
    fn log(&self, acl: &mut Acl, severity: Option<&String>) {
        acl.log = severity.is_some();
        acl.severity = severity.map(|severity| AclSeverity::from(severity.as_str()));
    }

    /// Adds the two default-deny groups of the policy's namespace, one for each direction, and puts
    /// the ports that the policy isolates into them. A pod in such a group receives (or sends) only
    /// what policies allow.
    fn deny_groups(&self, rows: &mut Rows, policy: &Policy) {
        let namespace = policy.namespace.as_str();
        for direction in Direction::BOTH {
            let word = direction.as_str();
            let owner = [(NAME, namespace), ("direction", word)];
            let network = &self.config.name;
            let (name, ids) = owner::deny_group(network, namespace, direction, self.profile);
            let here = this_side(direction, &name);
            let group = rows.groups.entry(name).or_insert_with(|| {
                let deny = |kind, priority, action, matches| {
                    let keys = [owner[0], owner[1], ("type", kind)];
                    let ids = self.ids("NetpolNamespace", &keys);
                    Acl {
                        name: acl_name(&format!("NP:{namespace}:{word}")),
                        priority,
                        action,
                        ..self.acl(ids, direction, matches)
                    }
                };
                let mut drop = deny("defaultDeny", DENY, AclAction::Drop, here.clone());
                let severity = self
                    .namespaces
                    .get(namespace)
                    .and_then(|it| it.log_deny.as_ref());
                self.log(&mut drop, severity);
                let arp = format!("{here} && (arp || nd)");
                let allow = deny("arpAllow", ALLOW, AclAction::Allow, arp);
                Group {
                    ids,
                    ports: BTreeSet::new(),
                    acls: vec![drop, allow],
                }
            });
            if policy.isolates.contains(&direction) {
                group.ports.extend(self.subjects(policy));
            }
        }
    }

    fn policy_group(&self, rows: &mut Rows, policy: &Policy) {
        let Policy {
            namespace, name, ..
        } = policy;
        let network = &self.config.name;
        let (group_name, ids) = owner::policy_group(network, namespace, name, self.profile);
        let mut acls = Vec::new();
        for rule in &policy.rules {
            let here = this_side(rule.direction, &group_name);
            let peers = self.peers(rows, policy, rule);
            let what = match self.profile {
                Profile::Mid2023 => each_port(rule),
                Profile::Central2026 => ports_together(rule),
            };
            for (port_key, l4) in &what {
                for (block, l3) in &peers {
                    let l4 = l4.as_ref().map_or(String::new(), |l4| format!("{l4} && "));
                    let matches = format!("{l3} && {l4}{here}");
                    acls.push(self.allow(policy, rule, port_key, *block, matches));
                }
            }
        }
        let group = Group {
            ids,
            ports: self.subjects(policy).collect(),
            acls,
        };
        rows.groups.insert(group_name, group);
    }

    fn allow(
        &self,
        policy: &Policy,
        rule: &Rule,
        port_key: &str,
        block: i64,
        matches: String,
    ) -> Acl {
        let Policy {
            namespace, name, ..
        } = policy;
        let direction = rule.direction.as_str();
        let port_key_name = match self.profile {
            Profile::Mid2023 => "port-policy-index",
            Profile::Central2026 => "port-policy-protocol",
        };
        let ids = self.ids(
            "NetworkPolicy",
            &[
                (NAME, &format!("{namespace}:{name}")),
                ("direction", direction),
                ("gress-index", &rule.index.to_string()),
                (port_key_name, port_key),
                ("ip-block-index", &block.to_string()),
            ],
        );
        let mut acl = Acl {
            name: acl_name(&format!("NP:{namespace}:{name}:{direction}:{}", rule.index)),
            priority: ALLOW,
            action: match policy.stateless {
                true => AclAction::AllowStateless,
                false => AclAction::AllowRelated,
            },
            ..self.acl(ids, rule.direction, matches)
        };
        let severity = self
            .namespaces
            .get(namespace)
            .and_then(|it| it.log_allow.as_ref());
        self.log(&mut acl, severity);
        acl
    }

    /// The matches for a rule's peers, each with the index in its ACL's ids: for blocks of
    /// addresses their position, or -2 for all of them together; -1 for pods, or for all peers.
    fn peers(&self, rows: &mut Rows, policy: &Policy, rule: &Rule) -> Vec<(i64, String)> {
        let side = match rule.direction {
            Direction::Ingress => "src",
            Direction::Egress => "dst",
        };
        let mut matches = Vec::new();
        let mut blocks = Vec::new();
        let mut sets: BTreeSet<(Family, String)> = BTreeSet::new();
        for peer in &rule.peers {
            match peer {
                Peer::Block { cidr, except } => {
                    let ip = ip(Family::of(cidr.addr()));
                    let mut text = format!("{ip}.{side} == {cidr}");
                    if !except.is_empty() {
                        let list: Vec<String> = except.iter().map(ToString::to_string).collect();
                        text.push_str(&format!(" && {ip}.{side} != {{{}}}", list.join(", ")));
                    }
                    blocks.push((text, !except.is_empty()));
                }
                Peer::Pods { pods, namespaces } => {
                    let found = self.peer_sets(rows, policy, pods.as_ref(), namespaces.as_ref());
                    sets.extend(found);
                }
            }
        }
        match self.profile {
            Profile::Mid2023 => {
                let texts = blocks.into_iter().map(|(text, _)| text);
                matches.extend((0..).zip(texts));
            }
            Profile::Central2026 => {
                let several = blocks.len() > 1;
                let text = |(text, excepts): (String, bool)| match excepts {
                    true => format!("({text})"),
                    false => text,
                };
                let texts: Vec<String> = blocks.into_iter().map(text).collect();
                let joined = texts.join(" || ");
                if several {
                    matches.push((-2, format!("({joined})")));
                } else if !joined.is_empty() {
                    matches.push((-2, joined));
                }
            }
        }
        // In the profile of 2023, a selector that selects no namespace has no address set. Without a
        // set there is no ACL.
        let families = self.families().into_iter().filter_map(|family| {
            let names = sets.iter().filter(|(of, _)| *of == family);
            let names: Vec<String> = names.map(|(_, name)| format!("${name}")).collect();
            (!names.is_empty())
                .then(|| format!("{}.{side} == {{{}}}", ip(family), names.join(", ")))
        });
        let texts: Vec<String> = families.collect();
        if rule.peers.is_empty() {
            matches.push((-1, self.everybody()));
        } else if !texts.is_empty() {
            matches.push((-1, either(&texts)));
        }
        matches
    }

    fn everybody(&self) -> String {
        let mut families = self.families();
        if families.is_empty() {
            families.push(Family::V4);
        }
        let words: Vec<String> = families
            .into_iter()
            .map(|family| ip(family).to_owned())
            .collect();
        either(&words)
    }
}

const fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip4",
        Family::V6 => "ip6",
    }
}

fn either(texts: &[String]) -> String {
    match texts {
        [only] => only.clone(),
        several => format!("({})", several.join(" || ")),
    }
}

/// The match for the ports of a group.
fn this_side(direction: Direction, group: &str) -> String {
    match direction {
        Direction::Ingress => format!("outport == @{group}"),
        Direction::Egress => format!("inport == @{group}"),
    }
}

fn acl_name(name: &str) -> Option<Str> {
    Some(name.chars().take(LONGEST_NAME).collect::<String>().into())
}

/// The matches for ports: a key, and the match if there is one.
type Ports = Vec<(String, Option<String>)>;

/// One match for each port.
fn each_port(rule: &Rule) -> Ports {
    if rule.ports.is_empty() {
        return vec![("-1".to_owned(), None)];
    }
    let ports = rule.ports.iter().enumerate().map(|(index, port)| {
        let word = port.protocol.as_str();
        let text = match port.range {
            None => word.to_owned(),
            Some(range) => format!("{word} && {}", one_range(word, range)),
        };
        (index.to_string(), Some(text))
    });
    ports.collect()
}

/// One match for each protocol.
fn ports_together(rule: &Rule) -> Ports {
    if rule.ports.is_empty() {
        return vec![("None".to_owned(), None)];
    }
    let protocols: BTreeSet<Protocol> = rule.ports.iter().map(|port| port.protocol).collect();
    let matches = protocols.into_iter().map(|protocol| {
        let word = protocol.as_str();
        let ports: Vec<&Port> = rule
            .ports
            .iter()
            .filter(|p| p.protocol == protocol)
            .collect();
        // An entry without a port matches the whole protocol.
        let ranges: Option<Vec<(u16, u16)>> = ports.iter().map(|port| port.range).collect();
        let text = match ranges {
            None => word.to_owned(),
            Some(ranges) => format!("{word} && {}", all_ranges(word, &ranges)),
        };
        (word.to_owned(), Some(text))
    });
    matches.collect()
}

fn one_range(word: &str, (first, last): (u16, u16)) -> String {
    if first == last {
        format!("{word}.dst=={first}")
    } else {
        format!("{first}<={word}.dst<={last}")
    }
}

fn all_ranges(word: &str, ranges: &[(u16, u16)]) -> String {
    let single: Vec<String> = ranges
        .iter()
        .filter(|(first, last)| first == last)
        .map(|(port, _)| port.to_string())
        .collect();
    let mut texts = match single.as_slice() {
        [] => Vec::new(),
        [only] => vec![format!("{word}.dst=={only}")],
        several => vec![format!("{word}.dst=={{{}}}", several.join(","))],
    };
    let wide = ranges.iter().filter(|(first, last)| first != last);
    texts.extend(wide.map(|range| one_range(word, *range)));
    either(&texts)
}

#[cfg(test)]
mod tests;
