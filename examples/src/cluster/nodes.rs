//! The nodes from manifests and from the command line.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::Value;

use super::{NODE_SUBNETS, Node, Options};
use crate::error::{InputError, Place, Reason};
use crate::field::{Field, Wrong};
use crate::json::{self, Shape};
use crate::manifest::{self, is_name};
use crate::report::Report;

/// The annotation with a node's chassis.
const NODE_CHASSIS: &str = "k8s.ovn.org/node-chassis-id";
/// The annotation that is `false` if routers cannot check the MTU towards the node.
const NODE_GATEWAY_MTU: &str = "k8s.ovn.org/gateway-mtu-support";
/// The nodes of the manifests and of the command line.
pub(super) fn nodes(
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
    // If nothing else names any node, the nodes are those that are given subnets.
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

/// The subnets in a node's annotation: for each network a list, or, in the form of an older
/// OVN-Kubernetes, a single subnet.
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
