//! What the manifests and the command line ask for, put together: networks, nodes, and pods with
//! their attachments. Nothing here knows of databases.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::addresses::Mac;
use crate::config::{Profile, Topology};
use crate::error::{InputError, Place, Reason};
use crate::field::{Field, Wrong};
use crate::grant::{self, Grant, Grants};
use crate::json::{self, Shape};
use crate::manifest::{self, Manifests, is_name};
use crate::names::pod_port;
use crate::network::{Network, networks};
use crate::policy::selector::Labels;
use crate::policy::{self, Namespace, Peer, Policy, Rule};
use crate::selection;

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
}

impl Cluster {
    /// Puts the objects of the manifests together.
    ///
    /// # Errors
    /// When an object is wrong, or does not go together with another.
    pub fn new(manifests: &Manifests, options: &Options) -> Result<Self, InputError> {
        let networks = networks(&manifests.nads, options.profile)?;
        let nodes = nodes(&manifests.nodes, options)?;
        let mut cluster = Self {
            profile: options.profile,
            networks,
            nodes,
            pods: Vec::new(),
            namespaces: policy::namespaces(&manifests.namespaces, inhabited(manifests))?,
            policies: Vec::new(),
        };
        for pod in &manifests.pods {
            let pod = cluster.pod(pod, manifests)?;
            cluster.pods.push(pod);
        }
        for policy in &manifests.policies {
            let policy = policy::policy(policy)?;
            cluster.check_policy(&policy, manifests)?;
            cluster.policies.push(policy);
        }
        Ok(cluster)
    }

    /// The policies that are for a network.
    pub fn policies_of(&self, network: &Network) -> impl Iterator<Item = &Policy> {
        self.policies
            .iter()
            .filter(|policy| is_for(policy, network))
    }

    fn check_policy(&self, policy: &Policy, manifests: &Manifests) -> Result<(), InputError> {
        let known = |key: &String| manifests.nads.iter().any(|nad| nad.key == *key);
        if let Some(unknown) = policy.nads.iter().find(|nad| !known(nad)) {
            let field = format!("metadata.annotations.{}", policy::POLICY_FOR);
            return Err(InputError::new(
                &policy.place,
                field,
                Reason::UnknownNad(unknown.clone()),
            ));
        }
        let by_pods = |rule: &Rule| rule.peers.iter().any(|p| matches!(p, Peer::Pods { .. }));
        let Some(rule) = policy.rules.iter().find(|rule| by_pods(rule)) else {
            return Ok(());
        };
        // Nobody knows the addresses of pods there.
        let bare = self
            .networks
            .iter()
            .filter(|network| network.config.is_without_ipam());
        match bare.into_iter().find(|network| is_for(policy, network)) {
            None => Ok(()),
            Some(network) => {
                let direction = rule.direction.as_str().to_lowercase();
                let field = format!("spec.{direction}[{}]", rule.index);
                let name = network.config.name.clone();
                Err(InputError::new(
                    &policy.place,
                    field,
                    Reason::SelectorWithoutIpam(name),
                ))
            }
        }
    }

    /// The node with this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    fn pod(&self, pod: &manifest::Pod, manifests: &Manifests) -> Result<Pod, InputError> {
        let mut attachments = Vec::new();
        if !pod.host_network {
            attachments = self.attachments(pod, manifests)?;
        }
        let live = pod.node.is_some() && !pod.completed;
        for attachment in &attachments {
            let topology = self.networks[attachment.network].config.topology;
            if let Some(node) = &pod.node
                && live
                && topology == Topology::Layer3
                && self.node(node).is_none()
            {
                let reason = Reason::UnknownNode(node.clone());
                return Err(InputError::new(&pod.place, "spec.nodeName", reason));
            }
        }
        Ok(Pod {
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
        })
    }

    fn attachments(
        &self,
        pod: &manifest::Pod,
        manifests: &Manifests,
    ) -> Result<Vec<Attachment>, InputError> {
        let wrong = |key: &str, reason: Reason| {
            InputError::new(&pod.place, format!("metadata.annotations.{key}"), reason)
        };
        let text = |key: &str| pod.annotations.get(key).map_or("", String::as_str);
        let path = |key: &str| format!("metadata.annotations.{key}");
        let selections = selection::parse(
            &path(selection::ANNOTATION),
            text(selection::ANNOTATION),
            &pod.namespace,
        );
        let selections = selections.map_err(|wrong| wrong.at(&pod.place))?;
        let grants = Grants::read(&path(grant::ANNOTATION), text(grant::ANNOTATION));
        let grants = grants.map_err(|wrong| wrong.at(&pod.place))?;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut attachments = Vec::new();
        for selection in selections.selections {
            let known = |network: &Network| network.nads.contains(&selection.nad);
            let Some(network) = self.networks.iter().position(known) else {
                // Another plug-in's network is none of our business.
                if manifests.nads.iter().any(|nad| nad.key == selection.nad) {
                    continue;
                }
                return Err(wrong(
                    selection::ANNOTATION,
                    Reason::UnknownNad(selection.nad),
                ));
            };
            let repetition = *seen.get(&selection.nad).unwrap_or(&0);
            seen.insert(selection.nad.clone(), repetition + 1);
            if repetition > 0 && self.profile == Profile::Mid2023 {
                return Err(wrong(
                    selection::ANNOTATION,
                    Reason::NetworkTwice(selection.nad),
                ));
            }
            let assigned = !self.networks[network].config.is_without_ipam();
            if assigned && !selection.addresses.is_empty() && self.profile == Profile::Central2026 {
                let nad = &selection.nad;
                let reason = format!("{nad} assigns addresses, and takes no requests for them");
                return Err(wrong(selection::ANNOTATION, Reason::Annotation(reason)));
            }
            let key = match repetition {
                0 => selection.nad.clone(),
                further => format!("{}/{further}", selection.nad),
            };
            attachments.push(Attachment {
                network,
                port: pod_port(&key, &pod.namespace, &pod.name),
                grant: grants.get(&key).map_err(|wrong| wrong.at(&pod.place))?,
                key,
                nad: selection.nad,
                interface: selection.interface,
                addresses: selection.addresses,
                mac: selection.mac,
                default_route: selection.default_route,
            });
        }
        Ok(attachments)
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
fn nodes(manifests: &[manifest::Node], options: &Options) -> Result<Vec<Node>, InputError> {
    let mut nodes = Vec::new();
    for node in manifests {
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
            subnets: node_subnets(node).map_err(|wrong| wrong.at(&node.place))?,
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
    fn what_does_not_go_together_is_refused() {
        let field = "metadata.annotations.k8s.v1.cni.cncf.io/networks";
        let mid = with_node(Profile::Mid2023);
        let current = with_node(Profile::Central2026);
        for (text, options, place) in [
            (pod("unknown", ""), &mid, field),
            (pod("n,n", ""), &mid, field),
            (pod("n/n/n", ""), &mid, field),
            (pod("n", ""), &Options::default(), "spec.nodeName"),
            (
                pod(r#"[{"name": "n", "ips": ["10.0.0.9/24"]}]"#, ""),
                &current,
                field,
            ),
        ] {
            let error = cluster(&text, options).expect_err(&text);
            assert_eq!(error.field(), place, "{error}");
        }
        let twice = cluster(&pod("n,n", ""), &current).expect("allowed by now");
        assert_eq!(twice.pods[0].attachments[1].port, "s.n.1_s_p");
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
        assert!(cluster(&node("[]"), &options).is_err());

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
