//! What the manifests and the command line ask for, put together: networks, nodes, and pods with
//! their attachments. Nothing here knows of databases.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::addresses::Mac;
use crate::config::{Profile, Topology};
use crate::error::{InputError, Place, Reason};
use crate::field::{Field, Wrong};
use crate::grant::{self, Grant, Grants};
use crate::json::{self, Shape};
use crate::manifest::{self, Manifests, POLICY, is_name};
use crate::names::pod_port;
use crate::network::{Nads, Network, Networks};
use crate::policy::selector::Labels;
use crate::policy::{self, Namespace, Peer, Policy, Rule};
use crate::report::Report;
use crate::selection::{self, Selection};

/// The annotation with a node's subnets.
pub const NODE_SUBNETS: &str = "k8s.ovn.org/node-subnets";
/// The annotation with a node's chassis.
const NODE_CHASSIS: &str = "k8s.ovn.org/node-chassis-id";
/// The annotation by which a node says that it cannot check the MTU at its gateways.
const NODE_GATEWAY_MTU: &str = "k8s.ovn.org/gateway-mtu-support";
/// The MTU of a cluster that says nothing of it.
const CLUSTER_MTU: u32 = 1400;

/// What is said besides the manifests.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which OVN-Kubernetes is followed.
    pub profile: Profile,
    /// Nodes, with their chassis where it is not called as the node is.
    pub nodes: Vec<(String, Option<String>)>,
    /// Which subnet of each layer3 network a node has, counted from 0.
    pub node_subnets: BTreeMap<String, u32>,
    /// The cluster's MTU; 1400 when `None`.
    pub cluster_mtu: Option<u32>,
}

impl Options {
    /// The MTU that routers check towards a node which can; nobody's in 2023.
    fn gateway_mtu(&self) -> Option<u32> {
        let mtu = self.cluster_mtu.unwrap_or(CLUSTER_MTU);
        (self.profile == Profile::Central2026).then_some(mtu)
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it was found.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Its chassis' name (`system-id`).
    pub chassis: String,
    /// The MTU that routers check towards it.
    pub gateway_mtu: Option<u32>,
    /// The subnets that its annotation says it has, by network.
    pub subnets: BTreeMap<String, Vec<IpNet>>,
    /// The index of its subnets in every layer3 network, which goes before the annotation.
    pub index: Option<u32>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Where it was found.
    pub place: Place,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The node it runs on.
    pub node: Option<String>,
    /// Whether it runs, or will: it has a node, and has not come to its end.
    pub live: bool,
    /// Whether it has come to its end.
    pub completed: bool,
    /// Its attachments to the networks here, in the order of its annotation.
    pub attachments: Vec<Attachment>,
}

/// A pod's attachment to one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network, by its place in [`Cluster::networks`].
    pub network: usize,
    /// The NAD, `namespace/name`.
    pub nad: String,
    /// What tells the attachment from the pod's others: the NAD, with a number behind it where the
    /// pod has several attachments to it.
    pub key: String,
    /// The name of its port.
    pub port: String,
    /// The interface's name in the pod.
    pub interface: String,
    /// Addresses that it asks for.
    pub addresses: Vec<IpNet>,
    /// The MAC address that it asks for.
    pub mac: Option<Mac>,
    /// The gateways that are to be its default route.
    pub default_route: Vec<IpAddr>,
    /// What it has been granted already.
    pub grant: Option<Grant>,
}

/// Everything that is asked for.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Which OVN-Kubernetes is followed.
    pub profile: Profile,
    /// The networks.
    pub networks: Vec<Network>,
    /// The nodes, in the order in which they get their subnets.
    pub nodes: Vec<Node>,
    /// The pods, in the order in which they get their addresses.
    pub pods: Vec<Pod>,
    /// The namespaces: those that have a manifest, and those that other objects are in.
    pub namespaces: BTreeMap<String, Namespace>,
    /// The policies.
    pub policies: Vec<Policy>,
    /// What was left out, and why.
    pub report: Report,
    /// The places of the nodes by name.
    node_places: HashMap<String, usize>,
}

impl Cluster {
    /// Puts the objects of the manifests together. One that is wrong, or does not go together with
    /// another, is left out and noted in the report.
    ///
    /// # Errors
    /// When the command line is wrong.
    pub fn new(manifests: &Manifests, options: &Options) -> Result<Self, InputError> {
        let mut report = manifests.report.clone();
        let networks = Networks::new(manifests, options.profile, &mut report);
        let nodes = nodes(&manifests.nodes, options, &mut report)?;
        let by_name = nodes.iter().enumerate();
        let named = inhabited(manifests);
        let mut cluster = Self {
            profile: options.profile,
            node_places: by_name.map(|(at, node)| (node.name.clone(), at)).collect(),
            nodes,
            pods: Vec::new(),
            namespaces: policy::namespaces(&manifests.namespaces, named, &mut report),
            policies: Vec::new(),
            networks: Vec::new(),
            report: Report::default(),
        };
        let mut left_out = BTreeMap::new();
        for pod in &manifests.pods {
            let pod = cluster.pod(pod, &networks, &mut report, &mut left_out);
            cluster.pods.push(pod);
        }
        for found in &manifests.policies {
            match policy::policy(found) {
                Ok(mut policy) => {
                    check_policy(&mut policy, &networks, &mut report, &mut left_out);
                    cluster.policies.push(policy);
                }
                Err(error) => {
                    report.refused.push(error);
                    report
                        .kept
                        .keep_object(POLICY, &found.namespace, &found.name);
                }
            }
        }
        for (object, users) in left_out {
            let text = format!("{users} attachments and policies that need it are left out");
            report.warn(&object, "", text);
        }
        cluster.networks = networks.networks;
        cluster.report = report;
        Ok(cluster)
    }

    /// The policies that are for a network.
    pub fn policies_of(&self, network: &Network) -> impl Iterator<Item = &Policy> {
        self.policies
            .iter()
            .filter(|policy| is_for(policy, network))
    }

    /// The node with this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.node_places.get(name).map(|at| &self.nodes[*at])
    }

    fn pod(
        &self,
        pod: &manifest::Pod,
        networks: &Networks,
        report: &mut Report,
        left_out: &mut LeftOut,
    ) -> Pod {
        let live = pod.node.is_some() && !pod.completed;
        let mut attachments = Vec::new();
        if !pod.host_network {
            let mut reader = PodReader {
                cluster: self,
                pod,
                networks,
                report,
                left_out,
            };
            attachments = reader.attachments();
            if live {
                attachments.retain(|attachment| reader.has_node(attachment));
            }
        }
        Pod {
            place: pod.place.clone(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            labels: pod.labels.clone(),
            annotations: pod.annotations.clone(),
            node: pod.node.clone(),
            live,
            completed: pod.completed,
            attachments,
        }
    }
}

/// Objects that were refused, with the number of others that need them.
type LeftOut = BTreeMap<Place, usize>;

/// Reads what a pod asks for.
struct PodReader<'a> {
    cluster: &'a Cluster,
    pod: &'a manifest::Pod,
    networks: &'a Networks,
    report: &'a mut Report,
    left_out: &'a mut LeftOut,
}

impl PodReader<'_> {
    /// Notes that a part of the pod is left out. Its ports stay as they are.
    fn refuse(&mut self, error: InputError) {
        self.report.refused.push(error);
        self.keep();
    }

    fn keep(&mut self) {
        let Self { pod, report, .. } = self;
        report.kept.keep_object("Pod", &pod.namespace, &pod.name);
    }

    /// Notes that an attachment is left out because of an object that was refused.
    fn leave_out(&mut self, because_of: &Place) {
        *self.left_out.entry(because_of.clone()).or_default() += 1;
        self.keep();
    }

    fn annotation(&self, key: &str) -> (String, &str) {
        let text = self.pod.annotations.get(key).map_or("", String::as_str);
        (format!("metadata.annotations.{key}"), text)
    }

    fn attachments(&mut self) -> Vec<Attachment> {
        let (path, text) = self.annotation(selection::ANNOTATION);
        let selections = match selection::parse(&path, text, &self.pod.namespace) {
            Ok(selections) => selections,
            Err(wrong) => {
                self.refuse(wrong.at(&self.pod.place));
                return Vec::new();
            }
        };
        let (grant_path, text) = self.annotation(grant::ANNOTATION);
        let grants = match Grants::read(&grant_path, text) {
            Ok(grants) => grants,
            Err(wrong) => {
                self.refuse(wrong.at(&self.pod.place));
                return Vec::new();
            }
        };
        let place = &self.pod.place;
        self.report
            .unknown_members(place, &path, &selections.unknown);
        self.report
            .unknown_members(place, &grant_path, &grants.unknown);
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut attachments = Vec::new();
        for selection in selections.selections {
            let network = match self.networks.nad(&selection.nad) {
                Some(Nads::Network(network)) => network,
                Some(Nads::Skipped) => continue,
                Some(Nads::Refused) => {
                    let place = self.networks.place(&selection.nad);
                    self.leave_out(&place);
                    continue;
                }
                None => {
                    let reason = Reason::UnknownNad(selection.nad);
                    self.refuse(InputError::new(&self.pod.place, &path, reason));
                    continue;
                }
            };
            let repetition = seen.entry(selection.nad.clone()).or_default();
            *repetition += 1;
            let repetition = *repetition - 1;
            match self.attachment(network, selection, repetition, &grants) {
                Ok(attachment) => attachments.push(attachment),
                Err(wrong) => self.refuse(wrong.at(&self.pod.place)),
            }
        }
        attachments
    }

    fn attachment(
        &self,
        network: usize,
        selection: Selection,
        repetition: usize,
        grants: &Grants,
    ) -> Result<Attachment, Wrong> {
        let (path, _) = self.annotation(selection::ANNOTATION);
        let field = Field::new(path, None);
        let profile = self.cluster.profile;
        let nad = selection.nad;
        if repetition > 0 && profile == Profile::Mid2023 {
            return Err(field.wrong(format!("the network {nad} is asked for more than once")));
        }
        let assigned = !self.networks.networks[network].config.is_without_ipam();
        if assigned && !selection.addresses.is_empty() && profile == Profile::Central2026 {
            let reason = format!("{nad} assigns addresses, and takes no requests for them");
            return Err(field.wrong(reason));
        }
        let key = match repetition {
            0 => nad.clone(),
            further => format!("{nad}/{further}"),
        };
        // A grant without addresses is none where addresses are assigned.
        let grant = grants.get(&key)?;
        let grant = grant.filter(|grant| !assigned || !grant.addresses.is_empty());
        Ok(Attachment {
            network,
            port: pod_port(&key, &self.pod.namespace, &self.pod.name),
            grant,
            key,
            nad,
            interface: selection.interface,
            addresses: selection.addresses,
            mac: selection.mac,
            default_route: selection.default_route,
        })
    }

    /// Whether the pod's node is one of those that have a switch of the network.
    fn has_node(&mut self, attachment: &Attachment) -> bool {
        let network = &self.networks.networks[attachment.network];
        let Some(node) = &self.pod.node else {
            return true;
        };
        if network.config.topology != Topology::Layer3 || self.cluster.node(node).is_some() {
            return true;
        }
        if self.report.kept.node(node) {
            self.keep();
        } else {
            let reason = Reason::UnknownNode(node.clone());
            self.refuse(InputError::new(&self.pod.place, "spec.nodeName", reason));
        }
        false
    }
}

/// Takes the networks out of a policy that it cannot be for.
fn check_policy(
    policy: &mut Policy,
    networks: &Networks,
    report: &mut Report,
    left_out: &mut LeftOut,
) {
    let by_pods = |rule: &Rule| rule.peers.iter().any(|p| matches!(p, Peer::Pods { .. }));
    let by_pods = policy.rules.iter().find(|rule| by_pods(rule));
    let field = format!("metadata.annotations.{}", policy::POLICY_FOR);
    let mut kept = false;
    policy.nads.retain(|nad| {
        let error = match networks.nad(nad) {
            Some(Nads::Network(network)) => {
                let config = &networks.networks[network].config;
                match by_pods {
                    // Nobody knows the addresses of pods there.
                    Some(rule) if config.is_without_ipam() => {
                        let direction = rule.direction.as_str().to_lowercase();
                        let field = format!("spec.{direction}[{}]", rule.index);
                        let reason = Reason::SelectorWithoutIpam(config.name.clone());
                        InputError::new(&policy.place, field, reason)
                    }
                    _ => return true,
                }
            }
            Some(Nads::Skipped) => return true,
            Some(Nads::Refused) => {
                *left_out.entry(networks.place(nad)).or_default() += 1;
                kept = true;
                return false;
            }
            None => {
                let reason = Reason::UnknownNad(nad.clone());
                InputError::new(&policy.place, &field, reason)
            }
        };
        report.refused.push(error);
        kept = true;
        false
    });
    if kept {
        report
            .kept
            .keep_object(POLICY, &policy.namespace, &policy.name);
    }
}

fn is_for(policy: &Policy, network: &Network) -> bool {
    policy.nads.iter().any(|nad| network.nads.contains(nad))
}

/// The namespaces that objects are in.
fn inhabited(manifests: &Manifests) -> impl Iterator<Item = &str> {
    let pods = manifests.pods.iter().map(|pod| pod.namespace.as_str());
    let policies = manifests
        .policies
        .iter()
        .map(|policy| policy.namespace.as_str());
    let nads = manifests
        .nads
        .iter()
        .filter_map(|nad| nad.key.split('/').next());
    pods.chain(policies).chain(nads)
}

/// The nodes of the manifests and of the command line.
fn nodes(
    manifests: &[manifest::Node],
    options: &Options,
    report: &mut Report,
) -> Result<Vec<Node>, InputError> {
    let mut nodes = Vec::new();
    for node in manifests {
        let subnets = match node_subnets(node) {
            Ok(subnets) => subnets,
            Err(wrong) => {
                report.refused.push(wrong.at(&node.place));
                report.kept.keep_object("Node", "", &node.name);
                continue;
            }
        };
        let chassis = node
            .annotations
            .get(NODE_CHASSIS)
            .filter(|id| !id.is_empty());
        let unable = node.annotations.get(NODE_GATEWAY_MTU).map(String::as_str) == Some("false");
        nodes.push(Node {
            place: node.place.clone(),
            gateway_mtu: options.gateway_mtu().filter(|_| !unable),
            chassis: chassis.unwrap_or(&node.name).clone(),
            name: node.name.clone(),
            subnets,
            index: None,
        });
    }
    let place = Place {
        file: "the command line".to_owned(),
        ..Place::default()
    };
    for (name, chassis) in &options.nodes {
        add_node(&mut nodes, &place, "--node", name, options)?;
        if let (Some(chassis), Some(node)) = (chassis, nodes.iter_mut().find(|n| n.name == *name)) {
            node.chassis.clone_from(chassis);
        }
    }
    // Without any other word about nodes, those that are given subnets are the nodes.
    let none_known = nodes.is_empty();
    for (name, index) in &options.node_subnets {
        if none_known {
            add_node(&mut nodes, &place, "--node-subnets", name, options)?;
        }
        let Some(node) = nodes.iter_mut().find(|node| node.name == *name) else {
            let reason = Reason::UnknownNode(name.clone());
            return Err(InputError::new(&place, "--node-subnets", reason));
        };
        node.index = Some(*index);
    }
    Ok(nodes)
}

fn add_node(
    nodes: &mut Vec<Node>,
    place: &Place,
    field: &str,
    name: &str,
    options: &Options,
) -> Result<(), InputError> {
    if !is_name(name) {
        return Err(InputError::new(
            place,
            field,
            Reason::BadName(name.to_owned()),
        ));
    }
    if !nodes.iter().any(|node| node.name == name) {
        nodes.push(Node {
            place: place.clone(),
            name: name.to_owned(),
            chassis: name.to_owned(),
            gateway_mtu: options.gateway_mtu(),
            subnets: BTreeMap::new(),
            index: None,
        });
    }
    Ok(())
}

/// The subnets that a node's annotation says it has: by network a list, or, as an older
/// OVN-Kubernetes wrote it, one.
fn node_subnets(node: &manifest::Node) -> Result<BTreeMap<String, Vec<IpNet>>, Wrong> {
    let Some(text) = node.annotations.get(NODE_SUBNETS) else {
        return Ok(BTreeMap::new());
    };
    let path = format!("metadata.annotations.{NODE_SUBNETS}");
    let wrong = |error: json::Syntax| Field::new(&path, None).wrong(error.to_string());
    let read = json::read(text, Shape::Map(&Shape::Any)).map_err(wrong)?;
    let networks = Field::new(&path, Some(&read.value)).entries()?;
    let networks = networks.into_iter().map(|(network, subnets)| {
        let elements = match subnets.value() {
            Some(Value::String(_)) => vec![subnets],
            _ => subnets.list()?,
        };
        let elements = elements.iter();
        let subnets = elements.map(|subnet| subnet.required("a subnet such as 10.1.2.0/24"));
        Ok((network.to_owned(), subnets.collect::<Result<_, _>>()?))
    });
    networks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: &str = r#"
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: n, namespace: s}
spec:
  config: '{"name": "net", "type": "ovn-k8s-cni-overlay", "topology": "layer3",
    "subnets": "10.0.0.0/16", "netAttachDefName": "s/n"}'
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: other, namespace: s}
spec: {config: '{"type": "bridge"}'}
---
"#;

    fn pod(annotation: &str, rest: &str) -> String {
        format!(
            "{NETWORK}apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: s, annotations: \
             {{k8s.v1.cni.cncf.io/networks: '{annotation}'}}}}\nspec: {{nodeName: w{rest}}}"
        )
    }

    fn cluster(text: &str, options: &Options) -> Result<Cluster, InputError> {
        let mut manifests = Manifests::default();
        manifests.add_text(&Place::default(), text)?;
        Cluster::new(&manifests, options)
    }

    fn with_node(profile: Profile) -> Options {
        Options {
            profile,
            nodes: vec![("w".to_owned(), None)],
            ..Options::default()
        }
    }

    #[test]
    fn pods_are_attached_to_the_networks_they_ask_for() {
        let options = with_node(Profile::Mid2023);
        let cluster_of = |text: &str| cluster(text, &options).expect(text);
        let attached = cluster_of(&pod("other,n@eth1", ""));
        let [attachment] = attached.pods[0].attachments.as_slice() else {
            panic!("one attachment, not {:?}", attached.pods);
        };
        assert_eq!(
            (attachment.port.as_str(), attachment.interface.as_str()),
            ("s.n_s_p", "eth1")
        );
        assert!(attached.pods[0].live);
        let host = cluster_of(&pod("n", ", hostNetwork: true"));
        assert!(host.pods[0].attachments.is_empty());
    }

    #[test]
    fn what_does_not_go_together_is_left_out() {
        let field = "metadata.annotations.k8s.v1.cni.cncf.io/networks";
        let mid = with_node(Profile::Mid2023);
        let current = with_node(Profile::Central2026);
        for (text, options, place, attached) in [
            (pod("unknown,n", ""), &mid, field, 1),
            (pod("n,n", ""), &mid, field, 1),
            (pod("n/n/n", ""), &mid, field, 0),
            (pod("n", ""), &Options::default(), "spec.nodeName", 0),
            (
                pod(r#"[{"name": "n", "ips": ["10.0.0.9/24"]}]"#, ""),
                &current,
                field,
                0,
            ),
        ] {
            let cluster = cluster(&text, options).expect(&text);
            let [error] = cluster.report.refused.as_slice() else {
                panic!("one error of {text}, not {:?}", cluster.report.refused);
            };
            assert_eq!(error.field(), place, "{error}");
            assert_eq!(cluster.networks.len(), 1);
            assert_eq!(cluster.pods[0].attachments.len(), attached, "{text}");
            assert!(cluster.report.kept.port("s/n", "s", "p"));
        }
        let twice = cluster(&pod("n,n", ""), &current).expect("allowed by now");
        assert_eq!(twice.pods[0].attachments[1].port, "s.n.1_s_p");
    }

    #[test]
    fn what_needs_a_refused_object_is_counted() {
        let mid = with_node(Profile::Mid2023);
        let text = pod("n", "").replace("10.0.0.0/16", "10.0.0/16");
        let cluster = cluster(&text, &mid).expect("a cluster");
        assert_eq!(
            (cluster.report.refused.len(), cluster.networks.len()),
            (1, 0)
        );
        let warnings: Vec<String> = cluster
            .report
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            warnings[1],
            ", document 1, NetworkAttachmentDefinition s/n: 1 attachments and policies that need it \
             are left out"
        );
        assert!(cluster.report.kept.port("s/n", "s", "p"));
    }

    #[test]
    fn a_grant_without_addresses_is_none_where_addresses_are_assigned() {
        let mid = with_node(Profile::Mid2023);
        let grant =
            r#"k8s.ovn.org/pod-networks: '{"s/n": {"mac_address": "02:00:00:00:00:01"}}', "#;
        let text = pod("n", "").replace("annotations: {", &format!("annotations: {{{grant}"));
        let cluster = cluster(&text, &mid).expect("a cluster");
        assert_eq!(cluster.pods[0].attachments[0].grant, None);
    }

    #[test]
    fn nodes_come_from_manifests_and_the_command_line() {
        let node = |subnets: &str| {
            format!(
                "apiVersion: v1\nkind: Node\nmetadata: {{name: w, annotations: \
                 {{k8s.ovn.org/node-chassis-id: id, k8s.ovn.org/node-subnets: '{subnets}'}}}}"
            )
        };
        let options = Options {
            nodes: vec![("x".to_owned(), Some("chassis".to_owned()))],
            node_subnets: [("w".to_owned(), 4)].into(),
            ..Options::default()
        };
        for subnets in [r#"{"net": ["10.0.1.0/24"]}"#, r#"{"net": "10.0.1.0/24"}"#] {
            let nodes = cluster(&node(subnets), &options).expect(subnets).nodes;
            assert_eq!(nodes[0].subnets["net"][0].to_string(), "10.0.1.0/24");
            assert_eq!((nodes[0].chassis.as_str(), nodes[0].index), ("id", Some(4)));
            assert_eq!(nodes[1].chassis, "chassis");
        }
        let malformed = cluster(&node("[]"), &with_node(Profile::Mid2023)).expect("a cluster");
        assert_eq!(
            malformed.report.refused[0].to_string(),
            ", document 1, Node w: metadata.annotations.k8s.ovn.org/node-subnets: must be a mapping, \
             not a list"
        );

        let unknown = Options {
            node_subnets: [("y".to_owned(), 0)].into(),
            ..Options::default()
        };
        let error = cluster(&node("{}"), &unknown).expect_err("no such node");
        assert_eq!(
            error.to_string(),
            "the command line: --node-subnets: the node \"y\" is not known"
        );
        assert_eq!(cluster("", &unknown).expect("one node").nodes[0].name, "y");
    }
}
