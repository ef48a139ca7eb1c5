//! The annotations that OVN-Kubernetes and Multus would write to pods and nodes for these networks.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::apply;
use crate::cluster::{Attachment, Cluster, NODE_SUBNETS, Pod};
use crate::config::Topology;
use crate::grant::{self, Grant, Grants};
use crate::json::{self, Shape};

/// The annotation with the addresses of each of a pod's interfaces.
pub const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// An element of the annotation, in the order in which Multus writes its members.
#[derive(Debug, Serialize)]
struct Interface {
    name: String,
    interface: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ips: Vec<String>,
    mac: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    dns: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gateway: Vec<String>,
}

/// The nodes of layer3 networks and the live pods with attachments as a `v1` List, with only the
/// annotations [`NODE_SUBNETS`], [`grant::ANNOTATION`] and [`NETWORK_STATUS`]. What a pod's annotations
/// say of other networks is kept.
#[must_use]
pub fn list(cluster: &Cluster, granted: &apply::Grants) -> Value {
    let nodes = cluster.nodes.iter().filter_map(|node| {
        let subnets = node_subnets(cluster, granted, &node.name);
        let annotations = json!({ NODE_SUBNETS: subnets.to_string() });
        let metadata = json!({ "name": node.name, "annotations": annotations });
        subnets
            .as_object()
            .is_some_and(|subnets| !subnets.is_empty())
            .then(|| json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata }))
    });
    let live = cluster
        .pods
        .iter()
        .filter(|pod| pod.live && !pod.attachments.is_empty());
    let pods = live.map(|pod| {
        let grants = grants(cluster, granted, pod);
        let annotations = json!({
            grant::ANNOTATION: pod_networks(pod, &grants),
            NETWORK_STATUS: network_status(pod, &grants),
        });
        let metadata = json!({
            "name": pod.name, "namespace": pod.namespace, "annotations": annotations,
        });
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata })
    });
    let items: Vec<Value> = nodes.chain(pods).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// A node's subnets by network.
fn node_subnets(cluster: &Cluster, granted: &apply::Grants, node: &str) -> Value {
    let layer3 = cluster
        .networks
        .iter()
        .filter(|n| n.config.topology == Topology::Layer3);
    let subnets = layer3.filter_map(|network| {
        let subnets = granted.get(&network.config.name)?.subnets.get(node)?;
        let texts = subnets.iter().map(IpNet::to_string).collect::<Vec<_>>();
        Some((network.config.name.clone(), json!(texts)))
    });
    Value::Object(subnets.collect())
}

type PodGrants<'a> = Vec<(&'a Attachment, &'a Grant)>;

/// What was granted for a pod's attachments.
fn grants<'a>(cluster: &'a Cluster, granted: &'a apply::Grants, pod: &'a Pod) -> PodGrants<'a> {
    let grants = pod.attachments.iter().filter_map(|attachment| {
        let network = &cluster.networks[attachment.network].config.name;
        let grant = granted.get(network)?.ports.get(&attachment.port)?;
        Some((attachment, grant))
    });
    grants.collect()
}

/// The annotation of OVN-Kubernetes. Entries of other networks in the manifest are kept.
fn pod_networks(pod: &Pod, grants: &PodGrants<'_>) -> String {
    let annotation = pod.annotations.get(grant::ANNOTATION);
    let before = annotation.and_then(|text| serde_json::from_str(text).ok());
    let mut networks: BTreeMap<String, Value> = before.unwrap_or_default();
    for (attachment, grant) in grants {
        networks.insert(attachment.key.clone(), grant::entry(grant));
    }
    serde_json::to_string(&networks).unwrap_or_default()
}

/// The annotation of Multus. Entries of the cluster's own network and of other plug-ins come first, as
/// they are in the manifest. If the manifest has no default entry, one is made from the pod's grant `default`, if any.
fn network_status(pod: &Pod, grants: &PodGrants<'_>) -> String {
    let annotation = pod.annotations.get(NETWORK_STATUS);
    let mut status: Vec<Status> = annotation.map_or(Vec::new(), |text| theirs(text));
    status.retain(|status| !grants.iter().any(|(ours, _)| ours.nad == status.name));
    if !status.iter().any(|status| status.default) {
        let annotation = pod.annotations.get(grant::ANNOTATION);
        let before = annotation.and_then(|text| Grants::read("", text).ok());
        if let Some(grant) = before.and_then(|grants| grants.get("default").ok().flatten()) {
            let mut interface = Interface::new("ovn-kubernetes", "eth0", &grant);
            interface.default = true;
            status.insert(0, interface.into());
        }
    }
    let ours = grants
        .iter()
        .map(|(attachment, grant)| Interface::new(&attachment.nad, &attachment.interface, grant));
    status.extend(ours.map(Status::from));
    let elements: Vec<Element> = status.into_iter().map(|status| status.element).collect();
    serde_json::to_string_pretty(&elements).unwrap_or_default()
}

/// An element of the annotation, with the members that are needed here.
struct Status {
    name: String,
    default: bool,
    element: Element,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Element {
    Ours(Interface),
    Theirs(Box<RawValue>),
}

impl From<Interface> for Status {
    fn from(interface: Interface) -> Self {
        Self {
            name: interface.name.clone(),
            default: interface.default,
            element: Element::Ours(interface),
        }
    }
}

/// The elements in a manifest; none where the annotation is not a list.
fn theirs(text: &str) -> Vec<Status> {
    const ELEMENT: Shape = Shape::Object(&[("name", Shape::Any), ("default", Shape::Any)]);
    let elements: Vec<Box<RawValue>> = serde_json::from_str(text).unwrap_or_default();
    let status = elements.into_iter().filter_map(|element| {
        let read = json::read(element.get(), ELEMENT).ok()?.value;
        Some(Status {
            name: read["name"].as_str().unwrap_or_default().to_owned(),
            default: read["default"].as_bool().unwrap_or_default(),
            element: Element::Theirs(element),
        })
    });
    status.collect()
}

impl Interface {
    fn new(name: &str, interface: &str, grant: &Grant) -> Self {
        Self {
            name: name.to_owned(),
            interface: interface.to_owned(),
            ips: grant
                .addresses
                .iter()
                .map(|address| address.addr().to_string())
                .collect(),
            mac: grant.mac.to_string(),
            default: false,
            dns: Map::new(),
            gateway: grant.gateways.iter().map(ToString::to_string).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::assign::{Known, assign};
    use crate::cluster::Options;
    use crate::error::Place;
    use crate::manifest::{self, Manifests};

    fn status(text: &str) -> Value {
        let mut manifests = Manifests::default();
        manifests
            .add_text(&Place::default(), text)
            .expect("manifests");
        let cluster = Cluster::new(&manifests, &Options::default()).expect("a cluster");
        let granted: apply::Grants = (0..cluster.networks.len())
            .map(|network| {
                let assignment = assign(&cluster, network, &Known::default()).expect("addresses");
                (
                    cluster.networks[network].config.name.clone(),
                    assignment.known(),
                )
            })
            .collect();
        list(&cluster, &granted)
    }

    /// An annotation's text as JSON.
    fn annotation(object: &Value, key: &str) -> Value {
        let text = object["metadata"]["annotations"][key]
            .as_str()
            .expect("an annotation");
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn pods_and_nodes_get_the_annotations_that_a_real_cluster_wrote() {
        let golden: Value =
            serde_json::from_str(include_str!("../tests/files/golden.json")).expect("golden.json");
        let samples = [
            include_str!("../manifests/nodes.yaml"),
            include_str!("../manifests/l3-network.yaml"),
            include_str!("../manifests/l2-network.yaml"),
            include_str!("../manifests/localnet-network.yaml"),
        ];
        let status = status(&samples.join("---\n"));
        let items = status["items"].as_array().expect("items");
        assert_eq!(items.len(), 3 + 6);
        for item in items {
            let name = item["metadata"]["name"].as_str().expect("a name");
            if item["kind"] == "Node" {
                let expected = &golden["derived"]["node_annotations"][name][NODE_SUBNETS];
                assert_eq!(&annotation(item, NODE_SUBNETS), expected, "{name}");
                continue;
            }
            let networks = &golden["derived"]["pod_annotation_pod-networks"][name];
            assert_eq!(&annotation(item, grant::ANNOTATION), networks, "{name}");
            let seed = golden["seed"].as_object().expect("networks").values();
            let printed = seed.filter_map(|network| network["pods"].get(name)).next();
            let expected = &printed.expect("the pod was printed")["network_status"];
            // The manifests do not contain what the cluster's own network gave the pod.
            assert_eq!(annotation(item, NETWORK_STATUS)[0], expected[1], "{name}");
        }
    }

    #[test]
    fn what_the_manifest_says_of_other_networks_stays() {
        let network = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
            metadata: {name: n, namespace: s}\nspec:\n  config: '{\"name\": \"net\", \
            \"type\": \"ovn-k8s-cni-overlay\", \"netAttachDefName\": \"s/n\", \
            \"topology\": \"layer2\"}'\n---\n";
        let default = r#"{"default": {"ip_addresses": ["10.124.1.7/24"],
            "mac_address": "0a:58:0a:7c:01:07", "role": "primary"}}"#;
        let pod = format!(
            "{network}apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: s\n  \
             annotations:\n    k8s.v1.cni.cncf.io/networks: \
             '[{{\"name\": \"n\", \"mac\": \"02:00:00:00:00:05\"}}]'\n    \
             k8s.ovn.org/pod-networks: '{default}'\nspec: {{nodeName: w}}\n"
        );
        let status = status(&pod);
        let pod = &status["items"][0];
        let networks = annotation(pod, grant::ANNOTATION);
        assert_eq!(networks["default"]["role"], "primary");
        let expected = json!({"ip_addresses": null, "mac_address": "02:00:00:00:00:05"});
        assert_eq!(networks["s/n"], expected);
        assert_eq!(
            annotation(pod, NETWORK_STATUS),
            json!([
                {"name": "ovn-kubernetes", "interface": "eth0", "ips": ["10.124.1.7"],
                 "mac": "0a:58:0a:7c:01:07", "default": true, "dns": {}},
                {"name": "s/n", "interface": "net1", "mac": "02:00:00:00:00:05", "dns": {}},
            ])
        );
    }

    #[test]
    fn what_other_plug_ins_wrote_stays_word_for_word() {
        let theirs = r#"{"name":"sriov","mac":"0A:00:00:00:00:01","ips":null,"mtu":9000,"dns":{}}"#;
        let annotations = [(NETWORK_STATUS.to_owned(), format!("[{theirs}]"))].into();
        let manifest = manifest::Pod {
            annotations,
            ..manifest::Pod::default()
        };
        let pod = Pod {
            manifest: Arc::new(manifest),
            ..Pod::default()
        };
        assert!(network_status(&pod, &Vec::new()).contains(theirs));
    }
}
