//! Tests of correct and wrong configurations.

use super::*;
use serde_json::json;

/// The configuration of a good layer3 network, with some members changed.
fn with(changes: Value) -> String {
    let mut config = json!({
        "cniVersion": "0.3.1", "name": "net", "type": TYPE, "topology": "layer3",
        "subnets": "10.33.0.0/16/24", "netAttachDefName": "ns/nad", "mtu": 1400,
    });
    if let (Value::Object(config), Value::Object(changes)) = (&mut config, changes) {
        config.extend(changes);
    }
    config.to_string()
}

fn network(profile: Profile, changes: Value) -> NetworkConfig {
    match parse("ns/nad", &with(changes), profile) {
        Ok(Parsed::Network(config, _)) => *config,
        other => panic!("expected a network, got {other:?}"),
    }
}

#[test]
fn good_networks_are_read() {
    let config = network(Profile::Mid2023, json!({}));
    assert_eq!((config.name.as_str(), config.mtu), ("net", Some(1400)));
    assert_eq!(config.cluster_subnets.len(), 1);
    let layer2 = json!({"topology": "layer2", "subnets": "10.1.0.0/16, fd00::/64",
        "excludeSubnets": "10.1.2.0/24", "vlanID": 9999});
    let config = network(Profile::Mid2023, layer2);
    assert_eq!(
        (
            config.subnets.len(),
            config.exclude_subnets.len(),
            config.vlan
        ),
        (2, 1, None)
    );
    let localnet = json!({"topology": "localnet", "subnets": "", "vlanID": 7,
        "physicalNetworkName": "phys"});
    let config = network(Profile::Central2026, localnet.clone());
    assert_eq!(
        (config.vlan, config.physical_network.as_deref()),
        (Some(7), Some("phys"))
    );
    assert_eq!(network(Profile::Mid2023, localnet).physical_network, None);
    // Members that were added later are ignored.
    assert!(!network(Profile::Mid2023, json!({"allowPersistentIPs": true})).persistent_ips);
}

#[test]
fn networks_of_other_plugins_are_skipped() {
    let bridge = Skipped::OtherPlugin("bridge".to_owned());
    for (text, skipped) in [
        (with(json!({"type": "bridge"})), bridge.clone()),
        (
            with(json!({"type": null})),
            Skipped::OtherPlugin(String::new()),
        ),
        (with(json!({"topology": ""})), Skipped::DefaultNetwork),
        (" \n".to_owned(), Skipped::NoConfig),
    ] {
        let parsed = parse("ns/nad", &text, Profile::Mid2023);
        assert_eq!(parsed, Ok(Parsed::Skipped(skipped)));
    }
    // Several plug-ins are an error only if the first one is OVN-Kubernetes'.
    for list in [
        json!({"name": "n", "plugins": [{"type": "bridge"}]}),
        json!({"name": "n", "plugins": [{"type": "bridge"}, {"type": "tuning"}]}),
    ] {
        assert_eq!(
            parse("ns/nad", &list.to_string(), Profile::Central2026),
            Ok(Parsed::Skipped(bridge.clone()))
        );
    }
}

#[test]
fn members_have_any_case_and_others_are_named() {
    let text = r#"{"Name": "net", "TYPE": "ovn-k8s-cni-overlay", "topology": "localnet",
            "vlanId": 7, "Subnets": "10.1.0.0/24", "excludesubnets": "10.1.0.0/25",
            "NetAttachDefName": "ns/nad", "MTU": 1, "mtu": null, "subnet": "10.2.0.0/24",
            "IPAM": {"Type": ""}, "role": null, "physicalnetworkname": "phys"}"#;
    let Ok(Parsed::Network(config, unknown)) = parse("ns/nad", text, Profile::Central2026) else {
        panic!("a network");
    };
    assert_eq!((config.vlan, config.mtu), (Some(7), Some(1)));
    assert_eq!(config.exclude_subnets.len(), 1);
    assert_eq!(config.physical_network.as_deref(), Some("phys"));
    assert_eq!(unknown, ["subnet"]);

    let list = json!({"name": "net", "plugins": [{"type": TYPE, "Topology": "layer2",
        "netattachdefname": "ns/nad", "vlan": 1}]});
    let Ok(Parsed::Network(config, unknown)) =
        parse("ns/nad", &list.to_string(), Profile::Central2026)
    else {
        panic!("a network");
    };
    assert_eq!(
        (config.name.as_str(), config.topology),
        ("net", Topology::Layer2)
    );
    assert_eq!(unknown, ["plugins[0].vlan"]);
}

#[test]
fn wrong_members_are_named_with_what_is_wrong() {
    use ConfigErrorKind as Kind;
    let text = |text: &str| text.to_owned();
    for (changes, field, kind) in [
        (
            json!({"name": ""}),
            "name",
            Kind::ReservedOrEmptyName(text("")),
        ),
        (
            json!({"name": "default"}),
            "name",
            Kind::ReservedOrEmptyName(text("default")),
        ),
        (json!({"name": 5}), "name", Kind::Expected("a string")),
        (
            json!({"topology": "star"}),
            "topology",
            Kind::UnknownTopology(text("star")),
        ),
        (
            json!({"netAttachDefName": null}),
            "netAttachDefName",
            Kind::MissingNadName(text("ns/nad")),
        ),
        (
            json!({"netAttachDefName": "a/b"}),
            "netAttachDefName",
            Kind::NadNameMismatch {
                found: text("a/b"),
                object: text("ns/nad"),
            },
        ),
        (
            json!({"ipam": {"type": "static"}}),
            "ipam",
            Kind::UnsupportedIpam(text("static")),
        ),
        (json!({"ipam": "x"}), "ipam", Kind::Expected("an object")),
        (json!({"subnets": ""}), "subnets", Kind::SubnetsRequired),
        (
            json!({"subnets": "x"}),
            "subnets",
            Kind::BadCidr { entry: text("x") },
        ),
        (json!({"mtu": "1400"}), "mtu", Kind::Expected("an integer")),
        (
            json!({"topology": "layer2", "subnets": "10.0.0.0/16", "excludeSubnets": "11.0.0.0/24"}),
            "excludeSubnets",
            Kind::ExcludeOutsideSubnets {
                cidr: text("11.0.0.0/24"),
            },
        ),
        (
            json!({"topology": "layer2", "subnets": "", "excludeSubnets": "11.0.0.0/24"}),
            "excludeSubnets",
            Kind::ExcludeOutsideSubnets {
                cidr: text("11.0.0.0/24"),
            },
        ),
        (
            json!({"topology": "layer2"}),
            "subnets",
            Kind::HostPrefixNotAllowed {
                entry: text("10.33.0.0/16/24"),
            },
        ),
        (
            json!({"topology": "localnet", "subnets": "", "vlanID": 4095}),
            "vlanID",
            Kind::BadVlan(4095),
        ),
        (
            json!({"topology": "localnet", "subnets": "", "vlanID": -1}),
            "vlanID",
            Kind::BadVlan(-1),
        ),
        (
            json!({"subnets": "10.0.0.0/8,10.1.0.0/16"}),
            "subnets",
            Kind::SubnetOverlap {
                first: text("10.0.0.0/8"),
                second: text("10.1.0.0/16"),
            },
        ),
    ] {
        for profile in [Profile::Mid2023, Profile::Central2026] {
            let error = parse("ns/nad", &with(changes.clone()), profile).expect_err("wrong");
            assert_eq!((error.field, &error.kind), (field, &kind), "{changes}");
        }
    }
    for (changes, field, kind) in [
        (
            json!({"allowPersistentIPs": true}),
            "allowPersistentIPs",
            Kind::PersistentIpsOnLayer3,
        ),
        (json!({"role": "main"}), "role", Kind::BadRole(text("main"))),
        (
            json!({"role": "primary"}),
            "role",
            Kind::PrimaryNotSupported,
        ),
        (
            json!({"topology": "localnet", "subnets": "", "role": "primary"}),
            "role",
            Kind::RoleOnLocalnet,
        ),
        (
            json!({"topology": "localnet", "subnets": "", "joinSubnet": "1.0.0.0/8"}),
            "joinSubnet",
            Kind::JoinSubnetOnLocalnet,
        ),
        (
            json!({"subnets": "100.65.0.0/16/24"}),
            "subnets",
            Kind::SubnetOverlap {
                first: text("100.65.0.0/16"),
                second: text("100.65.0.0/16"),
            },
        ),
        (
            json!({"joinSubnet": "10.33.8.0/24"}),
            "subnets",
            Kind::SubnetOverlap {
                first: text("10.33.0.0/16"),
                second: text("10.33.8.0/24"),
            },
        ),
        (
            json!({"reservedSubnets": "10.33.8.0/24"}),
            "reservedSubnets",
            Kind::OnlyOnLayer2,
        ),
        (
            json!({"plugins": []}),
            "plugins",
            Kind::Expected("absent beside \"type\""),
        ),
    ] {
        let error = parse("ns/nad", &with(changes), Profile::Central2026).expect_err("wrong");
        assert_eq!((error.field, error.kind), (field, kind));
    }
    let chain = json!({"name": "n", "plugins": [{"type": TYPE}, {}]}).to_string();
    let error = parse("ns/nad", &chain, Profile::Central2026).expect_err("a chain");
    assert_eq!(error.kind, Kind::Chained(2));
}

#[test]
fn subnets_of_new_networks_keep_clear_of_those_that_ovn_kubernetes_uses() {
    let layer2 = |subnets: &str, exclude: &str| json!({"topology": "layer2", "subnets": subnets, "excludeSubnets": exclude});
    for (changes, field, first, second) in [
        (
            json!({"subnets": "100.64.8.0/21/24"}),
            "subnets",
            "100.64.8.0/21",
            "100.64.0.0/16",
        ),
        (
            json!({"subnets": "fd98::/48/64"}),
            "subnets",
            "fd98::/48",
            "fd98::/64",
        ),
        (
            json!({"subnets": "100.88.0.0/16/24"}),
            "subnets",
            "100.88.0.0/16",
            "100.88.0.0/16",
        ),
        (
            layer2("169.254.0.0/16", ""),
            "subnets",
            "169.254.0.0/16",
            "169.254.169.0/29",
        ),
        (
            layer2("fd69::/64", ""),
            "subnets",
            "fd69::/64",
            "fd69::/125",
        ),
        (
            json!({"joinSubnet": "100.64.0.0/10"}),
            "joinSubnet",
            "100.64.0.0/10",
            "100.64.0.0/16",
        ),
        (
            json!({"joinSubnet": "fd97::/80"}),
            "joinSubnet",
            "fd97::/80",
            "fd97::/64",
        ),
    ] {
        let wrong = with(changes.clone());
        let error = parse("ns/nad", &wrong, Profile::Central2026).expect_err("an overlap");
        let (first, second) = (first.to_owned(), second.to_owned());
        let expected = (field, ConfigErrorKind::SubnetOverlap { first, second });
        assert_eq!((error.field, error.kind), expected, "{changes}");
        // Older releases check nothing of this.
        parse("ns/nad", &wrong, Profile::Mid2023).expect("a network");
    }
    for allowed in [
        // Only layer3 networks of several nodes need transit subnets.
        layer2("100.88.0.0/16", ""),
        layer2("100.64.0.0/12", "100.64.0.0/15"),
        json!({"topology": "localnet", "subnets": "100.64.0.0/16"}),
    ] {
        parse("ns/nad", &with(allowed), Profile::Central2026).expect("a network");
    }
}

#[test]
fn comments_are_refused_with_their_line() {
    let text = "{\n  \"name\": \"a#b\",\n  \"mtu\": 1400, # the MTU\n  \"type\": \"x\"\n}";
    let error = parse("ns/nad", text, Profile::Mid2023).expect_err("a comment");
    assert!(
        matches!(&error.kind, ConfigErrorKind::BadJson { line: 3, hint, .. }
        if hint.contains("no comments")),
        "{error}"
    );
    let text = "{\n  \"name\": \"a#b\",\n  \"mtu\" 1400\n}";
    let error = parse("ns/nad", text, Profile::Mid2023).expect_err("no colon");
    assert!(matches!(
        error.kind,
        ConfigErrorKind::BadJson {
            line: 3,
            hint: "",
            ..
        }
    ));
    assert!(parse("ns/nad", "{} x", Profile::Mid2023).is_err());
    assert!(parse("ns/nad", "[]", Profile::Mid2023).is_err());
}

#[test]
fn nads_of_a_network_agree_as_sets() {
    let one = json!({"topology": "layer2", "subnets": "10.1.0.0/16,10.2.0.0/16"});
    let other = json!({"topology": "layer2", "subnets": "10.2.0.0/16,10.1.0.0/16"});
    let less = json!({"topology": "layer2", "subnets": "10.2.0.0/16"});
    let [one, other, less] = [one, other, less].map(|c| network(Profile::Mid2023, c));
    assert!(one.agrees_with(&other) && !one.agrees_with(&less));
}
