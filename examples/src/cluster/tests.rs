//! What the manifests and the command line request together.

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
fn contradictory_requests_are_reported_and_left_out() {
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
        ", document 1, NetworkAttachmentDefinition s/n: attachments and policies that need it \
         and are left out: 1"
    );
    assert!(cluster.report.kept.port("s/n", "s", "p"));
}

#[test]
fn a_grant_without_addresses_is_none_where_addresses_are_assigned() {
    let mid = with_node(Profile::Mid2023);
    let grant = r#"k8s.ovn.org/pod-networks: '{"s/n": {"mac_address": "02:00:00:00:00:01"}}', "#;
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
