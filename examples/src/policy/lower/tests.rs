//! Tests of the matches that policies are translated to.

use serde_json::{Value, json};

use super::*;
use crate::config::{Parsed, parse};
use crate::error::Place;
use crate::manifest;
use crate::policy::policy;

fn network(subnets: &str) -> NetworkConfig {
    let text = json!({"name": "l3-network", "type": "ovn-k8s-cni-overlay", "topology": "layer2",
        "subnets": subnets, "netAttachDefName": "ns/nad"});
    match parse("ns/nad", &text.to_string(), Profile::Mid2023) {
        Ok(Parsed::Network(config, _)) => *config,
        other => panic!("a network, not {other:?}"),
    }
}

fn read(spec: &Value) -> Result<Policy, crate::error::InputError> {
    let found = manifest::Policy {
        place: Place::default(),
        namespace: "default".into(),
        name: "web".into(),
        annotations: [(
            "k8s.v1.cni.cncf.io/policy-for".to_owned(),
            "ns/nad".to_owned(),
        )]
        .into(),
        spec: spec.clone(),
    };
    policy(&found)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Translates one policy on a network with three pods.
fn rows(subnets: &str, profile: Profile, spec: &Value) -> Rows {
    let config = network(subnets);
    let namespaces = [("default", "x"), ("other", "y")].map(|(name, team)| {
        let labels = labels(&[("kubernetes.io/metadata.name", name), ("team", team)]);
        (
            name.to_owned(),
            Namespace {
                labels,
                ..Namespace::default()
            },
        )
    });
    let namespaces = namespaces.into();
    let (web, db) = (labels(&[("app", "web")]), labels(&[("app", "db")]));
    let endpoint = |namespace, labels, port, address: &str| Endpoint {
        namespace,
        labels: Some(labels),
        port,
        addresses: vec![address.parse().expect("an address")],
    };
    let context = PolicyContext {
        config: &config,
        profile,
        tiers: true,
        namespaces: &namespaces,
        endpoints: vec![
            endpoint("default", &web, "web", "10.1.0.1"),
            endpoint("default", &db, "db", "10.1.0.2"),
            endpoint("other", &web, "far", "10.1.0.3"),
        ],
    };
    let policy = read(spec).expect("a policy");
    lower(&context, &[&policy])
}

/// The matches of ACLs that allow traffic, and the last part of their ids.
fn matches(subnets: &str, profile: Profile, spec: &Value) -> Vec<(String, String)> {
    let rows = rows(subnets, profile, spec);
    let acls = rows.groups.values().flat_map(|group| &group.acls);
    let allow = acls.filter(|acl| owner::id(&acl.external_ids).contains(":NetworkPolicy:"));
    let found = allow.map(|acl| {
        let id = owner::id(&acl.external_ids);
        let start = "l3-network-network-controller:NetworkPolicy:default:web:";
        let end = id.strip_prefix(start).expect("the policy's id");
        let group = match profile {
            Profile::Mid2023 => "a17865596555783207955",
            Profile::Central2026 => "a10927173204198130550",
        };
        let text = acl.r#match.replace(&format!("@{group}"), "@G");
        (end.to_owned(), text)
    });
    found.collect()
}

#[test]
fn rules_become_the_matches_of_2023() {
    let v4 = "10.1.0.0/16";
    let both = "10.1.0.0/16,fd00::/64";
    let own = "a114154188676516879";
    for (subnets, rule, expected) in [
        (v4, json!({}), vec![("-1:-1", "ip4 && outport == @G".to_owned())]),
        (both, json!({}), vec![("-1:-1", "(ip4 || ip6) && outport == @G".to_owned())]),
        ("", json!({}), vec![("-1:-1", "ip4 && outport == @G".to_owned())]),
        (
            v4,
            json!({"from": [{"podSelector": {}}]}),
            vec![("-1:-1", format!("ip4.src == {{${own}}} && outport == @G"))],
        ),
        (
            v4,
            json!({"from": [{"podSelector": {"matchLabels": {"app": "nginx1"}}}]}),
            vec![("-1:-1", "ip4.src == {$a304099920123075977} && outport == @G".to_owned())],
        ),
        (
            v4,
            json!({"from": [{"namespaceSelector": {"matchLabels": {"team": "x"}}}]}),
            vec![("-1:-1", format!("ip4.src == {{${own}}} && outport == @G"))],
        ),
        (v4, json!({"from": [{"namespaceSelector": {"matchLabels": {"team": "z"}}}]}), vec![]),
        (
            v4,
            json!({"from": [{"ipBlock": {"cidr": "10.0.0.1/8", "except": ["10.2.0.0/16", "10.3.0.0/16"]}},
                {"ipBlock": {"cidr": "fd00::/8"}}]}),
            vec![
                (
                    "-1:0",
                    "ip4.src == 10.0.0.0/8 && ip4.src != {10.2.0.0/16, 10.3.0.0/16} && outport == @G"
                        .to_owned(),
                ),
                ("-1:1", "ip6.src == fd00::/8 && outport == @G".to_owned()),
            ],
        ),
        (
            v4,
            json!({"ports": [{"port": 80}, {"protocol": "UDP"},
                {"protocol": "SCTP", "port": 5000, "endPort": 5010}]}),
            vec![
                ("0:-1", "ip4 && tcp && tcp.dst==80 && outport == @G".to_owned()),
                ("1:-1", "ip4 && udp && outport == @G".to_owned()),
                ("2:-1", "ip4 && sctp && 5000<=sctp.dst<=5010 && outport == @G".to_owned()),
            ],
        ),
    ] {
        let spec = json!({"ingress": [rule]});
        let expected: Vec<_> =
            expected.into_iter().map(|(id, text)| (format!("Ingress:0:{id}"), text)).collect();
        assert_eq!(matches(subnets, Profile::Mid2023, &spec), expected, "{rule}");
    }
}

#[test]
fn rules_become_the_matches_of_today() {
    let v4 = "10.1.0.0/16";
    for (rule, expected) in [
        (json!({}), vec![("None:-1", "ip4 && inport == @G")]),
        (
            json!({"ports": [{"port": 80}, {"port": 443}, {"port": 5000, "endPort": 5010},
                {"protocol": "UDP", "port": 53}]}),
            vec![
                (
                    "tcp:-1",
                    "ip4 && tcp && (tcp.dst=={80,443} || 5000<=tcp.dst<=5010) && inport == @G",
                ),
                ("udp:-1", "ip4 && udp && udp.dst==53 && inport == @G"),
            ],
        ),
        (
            json!({"ports": [{"port": 80}, {"protocol": "TCP"}]}),
            vec![("tcp:-1", "ip4 && tcp && inport == @G")],
        ),
        (
            json!({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}},
                {"ipBlock": {"cidr": "11.0.0.0/8", "except": ["11.1.0.0/16"]}}]}),
            vec![(
                "None:-2",
                "(ip4.dst == 10.0.0.0/8 || (ip4.dst == 11.0.0.0/8 && ip4.dst != {11.1.0.0/16})) \
                 && inport == @G",
            )],
        ),
        (
            json!({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}),
            vec![("None:-2", "ip4.dst == 10.0.0.0/8 && inport == @G")],
        ),
    ] {
        let spec = json!({"egress": [rule]});
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(id, text)| {
                // In an id, the protocol comes before the index of the block.
                (format!("Egress:0:{id}"), text.to_owned())
            })
            .collect();
        assert_eq!(matches(v4, Profile::Central2026, &spec), expected, "{rule}");
    }
}

#[test]
fn the_current_profile_has_an_address_set_for_each_pod_selector() {
    let ns2 = json!({"matchLabels": {"kubernetes.io/metadata.name": "ns2"}});
    let spec = json!({"ingress": [{"from": [{"namespaceSelector": ns2}]}]});
    let rows = rows("10.1.0.0/16", Profile::Central2026, &spec);
    let id = "l3-network-network-controller:PodSelector:\
              LS{ML:{kubernetes.io/metadata.name: ns2,},}_LS{}_LNM:v4";
    assert_eq!(rows.sets.keys().collect::<Vec<_>>(), [&hash(id)]);
    let acls = rows.groups.values().flat_map(|group| &group.acls);
    assert!(acls.clone().all(|acl| acl.tier == 2));
    assert_eq!(acls.count(), 5);
}

#[test]
fn groups_have_the_ports_of_the_pods_that_are_selected() {
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"],
        "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]}],
    });
    let rows = rows("10.1.0.0/16", Profile::Mid2023, &spec);
    let ports = |name: &str| rows.groups[name].ports.iter().cloned().collect::<Vec<_>>();
    assert_eq!(ports("a17865596555783207955"), ["web"]);
    assert_eq!(ports("a11522518477448342262_egressDefaultDeny"), ["web"]);
    assert_eq!(ports("a11522518477448342262_ingressDefaultDeny"), [""; 0]);
    let set = rows
        .sets
        .values()
        .find(|set| owner::id(&set.ids).contains("PodSelector"));
    let set = set.expect("the set of web pods");
    let addresses: Vec<&str> = set.addresses.iter().map(Str::as_str).collect();
    assert_eq!(addresses, ["10.1.0.1", "10.1.0.3"]);
}

#[test]
fn policy_types_are_taken_literally() {
    for (spec, isolates) in [
        (json!({}), vec![]),
        (json!({"egress": [{}]}), vec![]),
        (json!({"policyTypes": null}), vec![]),
        (json!({"policyTypes": []}), vec![]),
        (json!({"policyTypes": ["Egress"]}), vec![Direction::Egress]),
    ] {
        assert_eq!(read(&spec).expect("a policy").isolates, isolates, "{spec}");
    }
}

#[test]
fn wrong_policies_are_reported_with_their_field() {
    let rule = |rule: Value| json!({"ingress": [{}, rule]});
    for (spec, field) in [
        (json!({"policyTypes": ["Sideways"]}), "spec.policyTypes[0]"),
        (json!({"podSelektor": {}}), "spec.podSelektor"),
        (json!([]), "spec"),
        (json!({"ingress": [null]}), "spec.ingress[0]"),
        (json!({"ingress": {}}), "spec.ingress"),
        (rule(json!({"ports": [null]})), "spec.ingress[1].ports[0]"),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "spec.podSelector.matchExpressions[0].values",
        ),
        (rule(json!({"from": [{}]})), "spec.ingress[1].from[0]"),
        (
            rule(json!({"to": [{"podSelector": {}}]})),
            "spec.ingress[1].to",
        ),
        (
            rule(json!({"from": [{"ipBlock": {"cidr": "x"}}]})),
            "spec.ingress[1].from[0].ipBlock.cidr",
        ),
        (
            rule(json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]})),
            "spec.ingress[1].from[0].ipBlock.except",
        ),
        (
            rule(json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]})),
            "spec.ingress[1].from[0].ipBlock",
        ),
        (
            rule(json!({"ports": [{"port": "http"}]})),
            "spec.ingress[1].ports[0].port",
        ),
        (
            rule(json!({"ports": [{"port": 0}]})),
            "spec.ingress[1].ports[0].port",
        ),
        (
            rule(json!({"ports": [{"endPort": 5}]})),
            "spec.ingress[1].ports[0].endPort",
        ),
        (
            rule(json!({"ports": [{"port": 6, "endPort": 5}]})),
            "spec.ingress[1].ports[0].endPort",
        ),
        (
            rule(json!({"ports": [{"protocol": "ICMP"}]})),
            "spec.ingress[1].ports[0].protocol",
        ),
    ] {
        let error = read(&spec).expect_err(&spec.to_string());
        assert_eq!(error.field(), field, "{error}");
    }
}

#[test]
fn null_is_absent_at_every_depth() {
    let null = json!({"podSelector": null, "policyTypes": null, "egress": null, "ingress": [{
        "to": null, "from": [
            {"ipBlock": null, "namespaceSelector": null, "podSelector": {
                "matchLabels": null, "matchExpressions": null}},
            {"podSelector": null, "ipBlock": {"cidr": "10.0.0.0/8", "except": null}},
        ], "ports": [{"port": null, "endPort": null, "protocol": null}]}]});
    let absent = json!({"ingress": [{
        "from": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{}]}]});
    assert_eq!(
        read(&null).expect("a policy"),
        read(&absent).expect("a policy")
    );
}
