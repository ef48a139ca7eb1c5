//! Applying, changing and deleting networks.

mod support;

use std::fmt::Write as _;

use ovsdb::testing::Server;
use serde_json::{Value, json};
use support::{everything, history, manifest, map, names, nbctl, on, row, rows, server, write};

/// A NAD `ns/NAME` of the network `NETWORK`, with these further members.
fn nad(name: &str, network: &str, members: &str) -> String {
    format!(
        "---\napiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
         metadata: {{name: {name}, namespace: ns}}\nspec:\n  config: '{{\"name\": \"{network}\", \
         \"type\": \"ovn-k8s-cni-overlay\", \"netAttachDefName\": \"ns/{name}\", {members}}}'\n"
    )
}

fn pod(name: &str, node: &str, uid: &str, networks: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: ns, uid: '{uid}', \
         annotations: {{k8s.v1.cni.cncf.io/networks: '{networks}'}}}}\nspec: {{nodeName: {node}}}\n"
    )
}

fn node(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\n")
}

const LAYER2: &str = r#""topology": "layer2", "subnets": "10.1.0.0/24""#;
const LAYER3: &str = r#""topology": "layer3", "subnets": "10.0.0.0/16,fd00:44::/48""#;

fn apply(server: &Server, text: &str, arguments: &[&str]) -> String {
    let file = write(server, "cluster.yaml", text);
    let mut all = vec!["-f", &file];
    all.extend(arguments);
    on(server, "apply", &all).succeeded()
}

#[test]
fn a_dual_stack_network_has_both_families_everywhere() {
    let server = server("ovn-23.03");
    let text = nad("n", "net", LAYER3) + &node("a") + &node("b") + &pod("p", "b", "u", "n");
    apply(&server, &text, &[]);
    let switch = row(&server, "Logical_Switch", "net_b");
    let expected = json!({"subnet": "10.0.1.0/24", "exclude_ips": "10.0.1.2",
        "ipv6_prefix": "fd00:44:0:2::"});
    assert_eq!(map(&switch["other_config"]), expected);
    let port = row(&server, "Logical_Router_Port", "rtos-net_b");
    assert_eq!(
        port["networks"],
        json!(["set", ["10.0.1.1/24", "fd00:44:0:2::1/64"]])
    );
    assert_eq!(port["mac"], "0a:58:0a:00:01:01");
    let port = row(&server, "Logical_Switch_Port", "ns.n_ns_p");
    assert_eq!(
        port["addresses"],
        "0a:58:0a:00:01:03 10.0.1.3 fd00:44:0:2::3"
    );
    assert_eq!(port["port_security"], port["addresses"]);
    assert_eq!(apply(&server, &text, &[]), "nothing to do\n");
}

#[test]
fn layer2_and_localnet_have_what_their_configuration_says() {
    let server = server("bundled");
    let text = nad("bare", "bare", r#""topology": "layer2""#)
        + &nad(
            "two",
            "two",
            r#""topology": "layer2", "subnets": "10.1.0.0/24,fd00:22::/64""#,
        )
        + &nad(
            "vlan",
            "v-lan",
            r#""topology": "localnet", "vlanID": 7,
            "subnets": "10.2.0.0/24", "excludeSubnets": "10.2.0.0/29""#,
        )
        + &pod(
            "p",
            "w",
            "u",
            r#"[{"name": "bare", "mac": "02:00:00:00:00:05"}, {"name": "two"},
            {"name": "vlan"}]"#,
        );
    apply(&server, &text, &[]);
    let bare = row(&server, "Logical_Switch", "bare_ovn_layer2_switch");
    assert_eq!(map(&bare["other_config"]), json!({}));
    let two = row(&server, "Logical_Switch", "two_ovn_layer2_switch");
    let expected = json!({"subnet": "10.1.0.0/24", "ipv6_prefix": "fd00:22::"});
    assert_eq!(map(&two["other_config"]), expected);
    let port = row(&server, "Logical_Switch_Port", "v.lan_ovn_localnet_port");
    assert_eq!(
        (&port["tag_request"], &port["tag"]),
        (&json!(7), &json!(["set", []]))
    );
    assert_eq!(
        map(&port["options"]),
        json!({"network_name": "v.lan_br-localnet"})
    );
    for (port, address) in [
        ("ns.bare_ns_p", "02:00:00:00:00:05"),
        ("ns.two_ns_p", "0a:58:0a:01:00:01 10.1.0.1 fd00:22::1"),
        ("ns.vlan_ns_p", "0a:58:0a:02:00:08 10.2.0.8"),
    ] {
        assert_eq!(
            row(&server, "Logical_Switch_Port", port)["addresses"],
            address
        );
    }
    // Only routers need the control plane protection.
    assert_eq!(rows(&server, "Copp").len(), 0);
    assert_eq!(apply(&server, &text, &[]), "nothing to do\n");
}

#[test]
fn the_current_profile_writes_what_came_after_2023() {
    let server = server("bundled");
    let text = nad("l3", "l3", LAYER3)
        + &nad("lo", "l-o", r#""topology": "localnet""#)
        + &nad(
            "ph",
            "ph",
            r#""topology": "localnet", "physicalNetworkName": "physnet""#,
        )
        + &node("a")
        + &pod("p", "a", "u", "l3,l3");
    let profile = ["--profile", "current", "--node", "a=chassis-a"];
    apply(&server, &text, &profile);
    let router = row(&server, "Logical_Router", "l3_ovn_cluster_router");
    let ids = json!({"k8s-cluster-router": "yes", "k8s.ovn.org/network": "l3",
        "k8s.ovn.org/topology": "layer3"});
    assert_eq!(map(&router["external_ids"]), ids);
    let switch = row(&server, "Logical_Switch", "l3_a");
    assert_eq!(
        map(&switch["external_ids"])["k8s.ovn.org/role"],
        "secondary"
    );
    for (port, name) in [
        ("l.o_ovn_localnet_port", "l-o"),
        ("ph_ovn_localnet_port", "physnet"),
    ] {
        let port = row(&server, "Logical_Switch_Port", port);
        assert_eq!(map(&port["options"])["network_name"], name);
    }
    for port in ["ns.l3_ns_p", "ns.l3.1_ns_p"] {
        let port = row(&server, "Logical_Switch_Port", port);
        assert_eq!(map(&port["options"])["requested-chassis"], "chassis-a");
    }
    assert_eq!(names(&server, "Gateway_Chassis"), ["rtos-l3_a-chassis-a"]);
    assert_eq!(apply(&server, &text, &profile), "nothing to do\n");

    // Routers check the cluster's MTU towards nodes that support this.
    let mtu = |node: &str| {
        let port = row(&server, "Logical_Router_Port", &format!("rtos-l3_{node}"));
        map(&port["options"])["gateway_mtu"].clone()
    };
    assert_eq!(mtu("a"), "1400");
    let unable = node("b").replace(
        "metadata: {",
        "metadata: {annotations: {k8s.ovn.org/gateway-mtu-support: 'false'}, ",
    );
    assert_ne!(unable, node("b"));
    let jumbo = [&profile[..], &["--cluster-mtu", "8900"]].concat();
    apply(&server, &(text + &unable), &jumbo);
    assert_eq!((mtu("a"), mtu("b")), (json!("8900"), Value::Null));
}

#[test]
fn rows_edited_by_hand_are_corrected_and_foreign_keys_stay() {
    let server = server("ovn-23.03");
    let folder = manifest("").display().to_string();
    on(&server, "apply", &["-f", &folder]).succeeded();
    let pod_port = "kube.system.l3.network_default_nginx1-l3";
    let uuid = row(&server, "Logical_Switch_Port", pod_port)["_uuid"].clone();
    nbctl(
        &server,
        &[
            "set",
            "Logical_Switch_Port",
            pod_port,
            "port_security=unknown",
        ],
    );
    nbctl(
        &server,
        &[
            "set",
            "Logical_Switch_Port",
            pod_port,
            "external_ids:mine=1",
        ],
    );
    nbctl(
        &server,
        &[
            "clear",
            "Logical_Router",
            "l3.network_ovn_cluster_router",
            "copp",
        ],
    );
    let switch = "l2.network_ovn_layer2_switch";
    nbctl(
        &server,
        &[
            "set",
            "Logical_Switch",
            switch,
            "other_config:subnet=10.9.0.0/16",
        ],
    );
    let version = "external_ids:k8s-ovn-topo-version=0";
    nbctl(&server, &["set", "Logical_Switch", switch, version]);
    nbctl(&server, &["lrp-del", "rtos-l3.network_work002"]);
    let out = on(&server, "apply", &["-f", &folder]).succeeded();
    assert!(!out.contains("nothing"), "{out}");
    let port = row(&server, "Logical_Switch_Port", pod_port);
    assert_eq!(port["_uuid"], uuid);
    assert_eq!(port["port_security"], port["addresses"]);
    assert_eq!(map(&port["external_ids"])["mine"], "1");
    let router = row(&server, "Logical_Router", "l3.network_ovn_cluster_router");
    assert_eq!(router["copp"], rows(&server, "Copp")[0]["_uuid"]);
    let switch = row(&server, "Logical_Switch", switch);
    assert_eq!(map(&switch["other_config"])["subnet"], "10.22.0.0/16");
    assert_eq!(map(&switch["external_ids"])["k8s-ovn-topo-version"], "5");
    let port = row(&server, "Logical_Router_Port", "rtos-l3.network_work002");
    assert_eq!(port["networks"], "10.33.1.1/24");
    assert_eq!(
        on(&server, "apply", &["-f", &folder]).succeeded(),
        "nothing to do\n"
    );
}

#[test]
fn grants_are_read_back_from_the_database() {
    let server = server("bundled");
    let network = nad("n", "net", LAYER2);
    let first = format!(
        "{network}{}{}",
        pod("a", "w", "1", "n"),
        pod("b", "w", "2", "n")
    );
    apply(&server, &first, &[]);
    // In another order, and with a new pod in front, every pod keeps its address.
    let second = format!(
        "{network}{}{}{}",
        pod("c", "w", "3", "n"),
        pod("b", "w", "2", "n"),
        pod("a", "w", "1", "n")
    );
    apply(&server, &second, &[]);
    for (name, address) in [("a", "10.1.0.1"), ("b", "10.1.0.2"), ("c", "10.1.0.3")] {
        let port = row(&server, "Logical_Switch_Port", &format!("ns.n_ns_{name}"));
        assert!(
            port["addresses"].as_str().expect("one").ends_with(address),
            "{port:?}"
        );
    }
    // A node that is added later gets another subnet, whatever the order.
    let network = nad("r", "routed", LAYER3);
    apply(&server, &format!("{network}{}", node("x")), &[]);
    apply(
        &server,
        &format!("{network}{}{}", node("a"), node("x")),
        &[],
    );
    let subnet = |node: &str| {
        let row = row(&server, "Logical_Switch", &format!("routed_{node}"));
        map(&row["other_config"])["subnet"].clone()
    };
    assert_eq!(
        (subnet("x"), subnet("a")),
        (json!("10.0.0.0/24"), json!("10.0.1.0/24"))
    );
}

#[test]
fn what_is_not_in_the_manifests_stays_unless_pruned() {
    let server = server("bundled");
    let net = nad("n", "net", LAYER2);
    let routed = nad("r", "routed", LAYER3);
    let other = nad("o", "other", LAYER2);
    let all = format!(
        "{net}{routed}{other}{}{}{}{}{}",
        node("a"),
        node("b"),
        pod("p", "a", "1", "n,r"),
        pod("q", "b", "2", "n,r"),
        pod("o", "a", "3", "o"),
    );
    apply(&server, &all, &[]);
    nbctl(&server, &["ls-add", "mine"]);
    let less = format!("{net}{routed}{}{}", node("a"), pod("p", "a", "1", "n"));
    let before = history(&server);
    assert_eq!(apply(&server, &less, &[]), "nothing to do\n");
    assert_eq!(history(&server), before);
    apply(&server, &less, &["--prune"]);
    let expected = ["mine", "net_ovn_layer2_switch", "routed_a"];
    assert_eq!(names(&server, "Logical_Switch"), expected);
    assert_eq!(
        names(&server, "Logical_Switch_Port"),
        ["ns.n_ns_p", "stor-routed_a"]
    );
    assert_eq!(names(&server, "Logical_Router_Port"), ["rtos-routed_a"]);
    assert_eq!(apply(&server, &less, &["--prune"]), "nothing to do\n");
}

#[test]
fn a_network_that_changes_its_topology_leaves_nothing_of_the_old_one() {
    let server = server("bundled");
    let rest = node("a") + &pod("p", "a", "1", "n");
    apply(&server, &(nad("n", "net", LAYER2) + &rest), &[]);
    let routed = nad("n", "net", LAYER3) + &rest;
    // The port is still on the old switch.
    let file = write(&server, "routed.yaml", &routed);
    let run = on(&server, "apply", &["-f", &file]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(
        run.err.contains("on the switch net_ovn_layer2_switch"),
        "{}",
        run.err
    );
    let ports = ["ns.n_ns_p", "stor-net_a"];
    assert_eq!(names(&server, "Logical_Switch_Port"), ports);
    apply(&server, &routed, &["--prune"]);
    assert_eq!(names(&server, "Logical_Switch"), ["net_a"]);
    let ports = ["ns.n_ns_p", "stor-net_a"];
    assert_eq!(names(&server, "Logical_Switch_Port"), ports);
    assert_eq!(apply(&server, &routed, &["--prune"]), "nothing to do\n");
}

#[test]
fn a_completed_pod_loses_its_port_and_its_address() {
    let server = server("bundled");
    let network = nad("n", "net", LAYER2);
    let running = format!("{network}{}", pod("p", "w", "1", "n"));
    apply(&server, &running, &[]);
    let ended = format!(
        "{running}status: {{phase: Succeeded}}\n{}",
        pod("q", "w", "2", "n")
    );
    apply(&server, &ended, &[]);
    assert_eq!(names(&server, "Logical_Switch_Port"), ["ns.n_ns_q"]);
    assert_eq!(apply(&server, &ended, &[]), "nothing to do\n");
}

#[test]
fn a_pod_that_is_created_again_on_another_node_gets_a_new_port() {
    let server = server("bundled");
    let cluster = nad("n", "net", LAYER3) + &node("a") + &node("b");
    apply(&server, &(cluster.clone() + &pod("p", "a", "1", "n")), &[]);
    let before = row(&server, "Logical_Switch_Port", "ns.n_ns_p");
    // The same pod cannot move to another node.
    let file = write(
        &server,
        "moved.yaml",
        &(cluster.clone() + &pod("p", "b", "1", "n")),
    );
    let run = on(&server, "apply", &["-f", &file]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(
        run.err.contains("ns.n_ns_p is on the switch net_a"),
        "{}",
        run.err
    );
    let again = cluster + &pod("p", "b", "2", "n");
    apply(&server, &again, &[]);
    let after = row(&server, "Logical_Switch_Port", "ns.n_ns_p");
    assert_ne!(before["_uuid"], after["_uuid"]);
    assert_eq!(
        after["addresses"],
        "0a:58:0a:00:01:03 10.0.1.3 fd00:44:0:2::3"
    );
    assert_eq!(apply(&server, &again, &[]), "nothing to do\n");
}

#[test]
fn deleting_removes_what_the_manifests_describe() {
    for schema in support::SCHEMAS {
        let server = server(schema);
        nbctl(&server, &["ls-add", "mine"]);
        let folder = manifest("").display().to_string();
        on(&server, "apply", &["-f", &folder]).succeeded();
        on(&server, "delete", &["-f", &folder]).succeeded();
        assert_eq!(names(&server, "Logical_Switch"), ["mine"]);
        let gone = [
            "Logical_Router",
            "Logical_Switch_Port",
            "Logical_Router_Port",
            "Gateway_Chassis",
        ];
        for table in gone {
            assert_eq!(names(&server, table), [""; 0], "{table}");
        }
        // The rows that all routers share are kept.
        assert_eq!(
            (rows(&server, "Meter").len(), rows(&server, "Copp").len()),
            (8, 1)
        );
        let before = history(&server);
        assert_eq!(
            on(&server, "delete", &["-f", &folder]).succeeded(),
            "nothing to do\n"
        );
        assert_eq!(history(&server), before);
    }
}

#[test]
fn pods_nodes_and_nads_are_deleted_one_by_one() {
    let server = server("bundled");
    let first = nad("n", "net", LAYER3);
    let second = nad("m", "net", LAYER3);
    let pods = pod("p", "a", "1", "n") + &pod("q", "b", "2", "m") + &pod("pp", "a", "3", "n");
    apply(
        &server,
        &format!("{first}{second}{}{}{pods}", node("a"), node("b")),
        &[],
    );
    let delete = |text: &str| {
        let file = write(&server, "gone.yaml", text);
        on(&server, "delete", &["-f", &file]).succeeded()
    };
    delete(&pod("p", "a", "1", "n"));
    let expected = ["ns.m_ns_q", "ns.n_ns_pp", "stor-net_a", "stor-net_b"];
    assert_eq!(names(&server, "Logical_Switch_Port"), expected);
    // The network is kept because of the other NAD's pod.
    delete(&first);
    assert_eq!(
        names(&server, "Logical_Switch_Port"),
        ["ns.m_ns_q", "stor-net_a", "stor-net_b"]
    );
    delete(&node("a"));
    assert_eq!(names(&server, "Logical_Switch"), ["net_b"]);
    assert_eq!(names(&server, "Logical_Router_Port"), ["rtos-net_b"]);
    delete(&second);
    assert_eq!(names(&server, "Logical_Router"), [""; 0]);
}

#[test]
fn old_meters_and_rows_without_a_name_are_corrected() {
    let server = server("ovn-23.03");
    let text = nad("n", "net", LAYER3);
    nbctl(
        &server,
        &[
            "--",
            "--id=@b",
            "create",
            "Meter_Band",
            "action=drop",
            "rate=25",
            "--",
            "create",
            "Meter",
            "name=arp-rate-limiter",
            "unit=kbps",
            "bands=@b",
        ],
    );
    nbctl(&server, &["create", "Copp", "name=\"\""]);
    let band = rows(&server, "Meter_Band")[0]["_uuid"].clone();
    apply(&server, &text, &[]);
    assert_eq!(rows(&server, "Meter_Band").len(), 1);
    let meters = rows(&server, "Meter");
    assert_eq!(meters.len(), 8);
    for meter in meters {
        assert_eq!((&meter["bands"], &meter["unit"]), (&band, &json!("pktps")));
        assert_eq!(meter["fair"], true);
    }
    assert_eq!(names(&server, "Copp"), ["ovnkube-default"]);
}

#[test]
fn a_thousand_pods_take_a_few_transactions() {
    let server = server("bundled");
    let mut text = nad(
        "n",
        "net",
        r#""topology": "layer2", "subnets": "10.1.0.0/16""#,
    );
    for number in 0..1000 {
        let _ = write!(text, "{}", pod(&format!("p{number}"), "w", "u", "n"));
    }
    let out = apply(&server, &text, &[]);
    assert_eq!(out.lines().count(), 1 + 4 + 1, "{out}");
    assert_eq!(rows(&server, "Logical_Switch_Port").len(), 1000);
    assert_eq!(apply(&server, &text, &[]), "nothing to do\n");
}

#[test]
fn the_picture_shows_what_was_applied() {
    let server = server("bundled");
    let empty = everything(&server);
    assert_eq!(on(&server, "show", &[]).succeeded(), "");
    let folder = manifest("").display().to_string();
    on(&server, "apply", &["-f", &folder]).succeeded();
    let tree = on(&server, "show", &[]).succeeded();
    for line in [
        "l3-network (layer3)",
        "└── router l3.network_ovn_cluster_router",
        "    │   └── switch l3.network_work001 10.33.2.0/24",
        "    │       └── pod default/nginx1-l3 0a:58:0a:21:02:03 10.33.2.3 on work001",
        "    ├── physical network localnet.network_br-localnet",
    ] {
        assert!(
            tree.lines().any(|found| found == line),
            "{line:?} in\n{tree}"
        );
    }
    let text = on(
        &server,
        "show",
        &["--format", "json", "--network", "l3-network"],
    )
    .succeeded();
    let picture: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(picture["networks"].as_array().expect("networks").len(), 1);
    let network = &picture["networks"][0];
    assert_eq!(
        (&network["finished"], &network["topology"]),
        (&json!(true), &json!("layer3"))
    );
    let port = &network["router"]["ports"][1];
    assert_eq!(port["switch"], "l3.network_work001");
    assert_eq!(port["chassis"], json!(["work001"]));
    let pod = &network["switches"][1]["ports"][1];
    let expected = json!({"namespace": "default", "name": "nginx1-l3", "node": "work001",
        "nad": "kube-system/l3-network"});
    assert_eq!(pod["pod"], expected);
    assert_ne!(everything(&server), empty);
}
