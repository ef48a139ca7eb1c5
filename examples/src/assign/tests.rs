//! Tests of assigning subnets and addresses.

use super::*;
use crate::cluster::Options;
use crate::error::Place;
use crate::manifest::Manifests;
use std::fmt::Write as _;

/// A network `net` with this topology and these subnets, and pods given by node, name and annotation.
fn cluster(network: &str, pods: &[(&str, &str, &str)], options: &Options) -> Cluster {
    let mut text = format!(
        "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
         metadata: {{name: n, namespace: s}}\nspec:\n  config: '{{\"name\": \"net\", \
         \"type\": \"ovn-k8s-cni-overlay\", \"netAttachDefName\": \"s/n\", {network}}}'\n"
    );
    for (node, name, annotation) in pods {
        let networks = if annotation.contains("cncf.io/networks") {
            ""
        } else {
            "k8s.v1.cni.cncf.io/networks: n, "
        };
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: s, \
             annotations: {{{networks}{annotation}}}}}\nspec: {{nodeName: {node}}}\n"
        );
    }
    let mut manifests = Manifests::default();
    manifests
        .add_text(&Place::default(), &text)
        .expect("manifests");
    Cluster::new(&manifests, options).expect("a cluster")
}

fn nodes() -> Options {
    Options {
        nodes: vec![("a".to_owned(), None), ("b".to_owned(), None)],
        ..Options::default()
    }
}

fn ports(assignment: &Assignment<'_>) -> Vec<String> {
    assignment
        .pods
        .iter()
        .map(|pod| pod.grant.port_address())
        .collect()
}

const LAYER3: &str = r#""topology": "layer3", "subnets": "10.0.0.0/16,fd00:44::/48""#;
const LAYER2: &str = r#""topology": "layer2", "subnets": "10.1.0.0/24,10.2.0.0/24",
        "excludeSubnets": "10.1.0.0/30""#;

#[test]
fn layer3_pods_live_in_their_nodes_subnets() {
    let options = nodes();
    let cluster = cluster(LAYER3, &[("b", "p", ""), ("a", "q", "")], &options);
    let assignment = assign(&cluster, 0, &Known::default()).expect("addresses");
    let node = &assignment.nodes[1];
    assert_eq!(node.subnets[0].to_string(), "10.0.1.0/24");
    assert_eq!(node.subnets[1].to_string(), "fd00:44:0:2::/64");
    assert_eq!(node.gateways()[1].to_string(), "fd00:44:0:2::1/64");
    assert_eq!(
        ports(&assignment),
        [
            "0a:58:0a:00:01:03 10.0.1.3 fd00:44:0:2::3",
            "0a:58:0a:00:00:03 10.0.0.3 fd00:44:0:1::3"
        ]
    );
    let routes = &assignment.pods[0].grant.routes;
    assert_eq!(routes[0].dest.to_string(), "10.0.0.0/16");
    assert_eq!(routes[1].next_hop, "fd00:44:0:2::1".parse().ok());
    // Assigning again, with what is known now, gives the same result.
    let again = assign(&cluster, 0, &assignment.known()).expect("addresses");
    assert_eq!(again.known(), assignment.known());
}

#[test]
fn a_pod_has_an_address_of_every_subnet() {
    let options = nodes();
    let cluster = cluster(LAYER2, &[("a", "p", ""), ("b", "q", "")], &options);
    let assignment = assign(&cluster, 0, &Known::default()).expect("addresses");
    let expected = [
        "0a:58:0a:01:00:04 10.1.0.4 10.2.0.1",
        "0a:58:0a:01:00:05 10.1.0.5 10.2.0.2",
    ];
    assert_eq!(ports(&assignment), expected);
}

#[test]
fn what_was_granted_before_stays() {
    let options = nodes();
    let one = cluster(LAYER2, &[("a", "q", "")], &options);
    let mut known = Known::default();
    let grant = |addresses: [&str; 2]| Grant {
        mac: "02:00:00:00:00:01".parse().expect("a MAC address"),
        addresses: addresses.map(|a| a.parse().expect("an address")).to_vec(),
        gateways: Vec::new(),
        routes: Vec::new(),
    };
    known
        .ports
        .insert("s.n_s_q".into(), grant(["10.1.0.9/32", "10.2.0.7/32"]));
    known
        .ports
        .insert("s.n_s_gone".into(), grant(["10.1.0.4/32", "10.2.0.1/32"]));
    let assignment = assign(&one, 0, &known).expect("addresses");
    assert_eq!(ports(&assignment), ["0a:58:0a:01:00:09 10.1.0.9 10.2.0.7"]);
    assert_eq!(assignment.pods[0].grant.addresses[0].prefix_len(), 24);
    // The addresses of a pod that is not in the manifests stay taken.
    let two = cluster(LAYER2, &[("a", "new", "")], &options);
    let assignment = assign(&two, 0, &known).expect("addresses");
    assert_eq!(ports(&assignment), ["0a:58:0a:01:00:05 10.1.0.5 10.2.0.2"]);

    known
        .subnets
        .insert("b".into(), vec!["10.0.0.0/24".parse().expect("a subnet")]);
    known.subnets.insert(
        "gone".into(),
        vec!["10.0.1.0/24".parse().expect("a subnet")],
    );
    let three = cluster(
        r#""topology": "layer3", "subnets": "10.0.0.0/16""#,
        &[],
        &options,
    );
    let assignment = assign(&three, 0, &known).expect("subnets");
    let subnets: Vec<_> = assignment
        .nodes
        .iter()
        .map(|n| n.subnets[0].to_string())
        .collect();
    assert_eq!(subnets, ["10.0.2.0/24", "10.0.0.0/24"]);
}

#[test]
fn grants_of_annotations_are_kept_and_checked() {
    let granted = |address: &str| {
        format!(
            "k8s.ovn.org/pod-networks: '{{\"s/n\": {{\"ip_addresses\": [\"{address}\"], \
             \"mac_address\": \"02:00:00:00:00:09\"}}}}'"
        )
    };
    let network =
        r#""topology": "layer2", "subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.1/32""#;
    let options = nodes();
    for (address, shown) in [("10.1.0.2/24", "10.1.0.3"), ("10.1.0.1/24", "10.1.0.2")] {
        let pods = [("a", "p", ""), ("b", "q", &granted(address))];
        let kept = cluster(network, &pods, &options);
        let assignment = assign(&kept, 0, &Known::default()).expect("addresses");
        let bare = address.trim_end_matches("/24");
        assert!(ports(&assignment)[0].ends_with(shown));
        assert_eq!(ports(&assignment)[1], format!("02:00:00:00:00:09 {bare}"));
    }
    let outside = granted("10.9.0.1/24");
    let outside = cluster(network, &[("a", "p", &outside)], &options);
    let error = refused(&outside);
    assert!(
        matches!(error.reason(), Reason::AddressOutside { .. }),
        "{error}"
    );
    let same = granted("10.1.0.7/24");
    let twice = cluster(network, &[("a", "p", &same), ("a", "q", &same)], &options);
    let assignment = assign(&twice, 0, &Known::default()).expect("addresses");
    assert_eq!(ports(&assignment), ["02:00:00:00:00:09 10.1.0.7"; 2]);
    let warning = assignment.warnings[0].to_string();
    assert!(
        warning.ends_with("10.1.0.7 is granted to the pod s/p as well"),
        "{warning}"
    );
    let gateway = granted("10.0.0.1/24");
    let gateway = cluster(LAYER3, &[("a", "p", &gateway)], &options);
    let error = refused(&gateway);
    assert!(
        matches!(error.reason(), Reason::AddressTaken { .. }),
        "{error}"
    );
}

#[test]
fn without_ipam_a_pod_has_what_it_asks_for() {
    let network = r#""topology": "layer2""#;
    let asks = |rest: &str| format!("k8s.v1.cni.cncf.io/networks: '[{{\"name\": \"n\"{rest}}}]'");
    let options = nodes();
    let shown = |rest: &str, known: &Known| {
        let asking = cluster(network, &[("a", "p", &asks(rest))], &options);
        ports(&assign(&asking, 0, known).expect("addresses")).remove(0)
    };
    let none = Known::default();
    assert_eq!(
        shown(r#", "mac": "02:00:00:00:00:05""#, &none),
        "02:00:00:00:00:05"
    );
    assert_eq!(
        shown(r#", "ips": ["10.7.0.5/24"]"#, &none),
        "0a:58:0a:07:00:05 10.7.0.5"
    );
    let random = shown("", &none);
    let first: u8 = u8::from_str_radix(&random[..2], 16).expect("hexadecimal");
    assert_eq!(first & 3, 2, "locally administered and unicast: {random}");
    let known = Known {
        ports: [(
            "s.n_s_p".to_owned(),
            Grant {
                mac: random.parse().expect("a MAC address"),
                addresses: Vec::new(),
                gateways: Vec::new(),
                routes: Vec::new(),
            },
        )]
        .into(),
        ..Known::default()
    };
    assert_eq!(shown("", &known), random);
}

#[test]
fn contradictions_and_exhaustion_are_reported() {
    let mut options = nodes();
    options.node_subnets = [("a".to_owned(), 1), ("b".to_owned(), 1)].into();
    let same = cluster(LAYER3, &[], &options);
    let error = assign(&same, 0, &Known::default()).expect_err("one subnet for two");
    assert_eq!(error.field(), "--node-subnets");
    options.node_subnets = [("a".to_owned(), 256)].into();
    let beyond = cluster(LAYER3, &[], &options);
    assert!(assign(&beyond, 0, &Known::default()).is_err());
    let options = nodes();
    let small = cluster(
        r#""topology": "layer3", "subnets": "10.0.0.0/24/25""#,
        &[],
        &{
            let mut options = options.clone();
            options.nodes.push(("c".to_owned(), None));
            options
        },
    );
    let error = refused(&small);
    assert!(matches!(error.reason(), Reason::NoSubnetLeft(_)), "{error}");
    let assignment = assign(&small, 0, &Known::default()).expect("subnets");
    assert_eq!(assignment.nodes.len(), 2);
    let tiny = r#""topology": "layer2", "subnets": "10.0.0.0/30""#;
    let pods = [("a", "p", ""), ("a", "q", ""), ("a", "r", "")];
    let tiny = cluster(tiny, &pods, &options);
    let error = refused(&tiny);
    assert!(
        matches!(error.reason(), Reason::NoAddressLeft(_)),
        "{error}"
    );
    let assignment = assign(&tiny, 0, &Known::default()).expect("addresses");
    assert_eq!(assignment.pods.len(), 2);
}

/// The only thing that is refused.
fn refused(cluster: &Cluster) -> InputError {
    let mut assignment = assign(cluster, 0, &Known::default()).expect("an assignment");
    assert_eq!(assignment.refused.len(), 1, "{:?}", assignment.refused);
    assignment.refused.remove(0)
}
