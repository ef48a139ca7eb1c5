//! MultiNetworkPolicies on private servers.

mod support;

use ovsdb::testing::Server;
use serde_json::{Value, json};
use support::{everything, history, map, names, on, row, rows, server, write};

const NETWORK: &str = r#"
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: n, namespace: default}
spec:
  config: '{"name": "l3-network", "type": "ovn-k8s-cni-overlay", "topology": "layer2",
    "subnets": "10.1.0.0/16", "netAttachDefName": "default/n"}'
"#;

fn pod(name: &str, namespace: &str, app: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, uid: \
         'u-{name}', labels: {{app: {app}}}, annotations: {{k8s.v1.cni.cncf.io/networks: \
         default/n}}}}\nspec: {{nodeName: w}}\n"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: k8s.cni.cncf.io/v1beta1\nkind: MultiNetworkPolicy\nmetadata: {{name: \
         {name}, namespace: default, annotations: {{k8s.v1.cni.cncf.io/policy-for: n}}}}\n\
         spec: {spec}\n"
    )
}

const WEB: &str = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: \
    [{from: [{podSelector: {matchLabels: {app: nginx1}}}], ports: [{port: 80}]}]}";

fn apply(server: &Server, text: &str, arguments: &[&str]) -> String {
    let file = write(server, "cluster.yaml", text);
    let mut all = vec!["-f", &file];
    all.extend(arguments);
    on(server, "apply", &all).succeeded()
}

/// The names of the ports of a group.
fn ports(server: &Server, group: &str) -> Vec<String> {
    let cell = row(server, "Port_Group", group)["ports"].clone();
    let cells = match cell[0].as_str() {
        Some("set") => cell[1].as_array().expect("a set").clone(),
        _ => vec![cell],
    };
    let all = rows(server, "Logical_Switch_Port");
    let mut names: Vec<String> = cells
        .iter()
        .map(|uuid| {
            let port = all
                .iter()
                .find(|port| port["_uuid"] == *uuid)
                .expect("the port");
            port["name"].as_str().expect("a name").to_owned()
        })
        .collect();
    names.sort();
    names
}

fn addresses(server: &Server, id: &str) -> Value {
    let sets = rows(server, "Address_Set");
    let set = sets
        .iter()
        .find(|set| map(&set["external_ids"])["k8s.ovn.org/id"] == id);
    set.unwrap_or_else(|| panic!("no set {id}"))["addresses"].clone()
}

const GROUP: &str = "a17865596555783207955";
const INGRESS: &str = "a11522518477448342262_ingressDefaultDeny";
const EGRESS: &str = "a11522518477448342262_egressDefaultDeny";
const OWNER: &str = "l3-network-network-controller";

#[test]
fn a_policy_has_its_groups_acls_and_address_sets() {
    for schema in support::SCHEMAS {
        let server = server(schema);
        let text = format!(
            "{NETWORK}{}{}{}{}",
            pod("web", "default", "web"),
            pod("client", "default", "nginx1"),
            pod("far", "other", "nginx1"),
            policy("web", WEB)
        );
        apply(&server, &text, &[]);
        assert_eq!(names(&server, "Port_Group"), [EGRESS, INGRESS, GROUP]);
        assert_eq!(ports(&server, GROUP), ["default.n_default_web"]);
        assert_eq!(ports(&server, INGRESS), ["default.n_default_web"]);
        assert_eq!(ports(&server, EGRESS), [""; 0]);
        let ids = json!({"name": "default_web", "k8s.ovn.org/network": "l3-network"});
        assert_eq!(map(&row(&server, "Port_Group", GROUP)["external_ids"]), ids);

        let acls = rows(&server, "ACL");
        let found: Vec<(i64, &str, &str, &str)> = acls
            .iter()
            .map(|acl| {
                let text = |column: &str| acl[column].as_str().expect("a text");
                let priority = acl["priority"].as_i64().expect("a number");
                (priority, text("direction"), text("action"), text("match"))
            })
            .collect();
        for expected in [
            (1000, "to-lport", "drop", format!("outport == @{INGRESS}")),
            (
                1001,
                "to-lport",
                "allow",
                format!("outport == @{INGRESS} && (arp || nd)"),
            ),
            (1000, "from-lport", "drop", format!("inport == @{EGRESS}")),
            (
                1001,
                "from-lport",
                "allow",
                format!("inport == @{EGRESS} && (arp || nd)"),
            ),
            (
                1001,
                "to-lport",
                "allow-related",
                format!(
                    "ip4.src == {{$a304099920123075977}} && tcp && tcp.dst==80 && outport == @{GROUP}"
                ),
            ),
        ] {
            let (priority, direction, action, matches) = &expected;
            let row = (*priority, *direction, *action, matches.as_str());
            assert!(found.contains(&row), "{expected:?} in {found:#?}");
        }
        assert_eq!(found.len(), 5);
        let allow = acls
            .iter()
            .find(|acl| acl["action"] == "allow-related")
            .expect("it");
        assert_eq!(allow["name"], "NP:default:web:Ingress:0");
        assert_eq!(
            (&allow["meter"], &allow["log"]),
            (&json!("acl-logging"), &json!(false))
        );
        let ids = json!({
            "direction": "Ingress", "gress-index": "0", "ip-block-index": "-1",
            "k8s.ovn.org/id": format!("{OWNER}:NetworkPolicy:default:web:Ingress:0:0:-1"),
            "k8s.ovn.org/name": "default:web", "k8s.ovn.org/owner-controller": OWNER,
            "k8s.ovn.org/owner-type": "NetworkPolicy", "port-policy-index": "0",
        });
        assert_eq!(map(&allow["external_ids"]), ids);
        if schema == "bundled" {
            assert!(acls.iter().all(|acl| acl["tier"] == 0));
        }

        let selected = format!("{OWNER}:PodSelector:default_LS{{ML:{{app: nginx1,}},}}:v4");
        assert_eq!(addresses(&server, &selected), "10.1.0.2");
        let default = addresses(&server, &format!("{OWNER}:Namespace:default:v4"));
        assert_eq!(default, json!(["set", ["10.1.0.1", "10.1.0.2"]]));
        assert_eq!(
            addresses(&server, &format!("{OWNER}:Namespace:other:v4")),
            "10.1.0.3"
        );
        assert_eq!(row(&server, "Meter", "acl-logging")["unit"], "pktps");

        let before = history(&server);
        assert_eq!(apply(&server, &text, &[]), "nothing to do\n");
        assert_eq!(history(&server), before);
    }
}

#[test]
fn policies_follow_pods_and_rules_and_are_deleted() {
    let server = server("ovn-23.03");
    let network = format!("{NETWORK}{}", pod("web", "default", "web"));
    let client = pod("client", "default", "nginx1");
    let second = policy("all", "{podSelector: {}, policyTypes: [Egress]}");
    apply(&server, &format!("{network}{}", policy("web", WEB)), &[]);
    let selected = format!("{OWNER}:PodSelector:default_LS{{ML:{{app: nginx1,}},}}:v4");
    assert_eq!(addresses(&server, &selected), json!(["set", []]));
    let group = row(&server, "Port_Group", GROUP)["_uuid"].clone();
    apply(
        &server,
        &format!("{network}{client}{}{second}", policy("web", WEB)),
        &[],
    );
    assert_eq!(addresses(&server, &selected), "10.1.0.2");
    assert_eq!(
        ports(&server, EGRESS),
        ["default.n_default_client", "default.n_default_web"]
    );

    // Another port, from all pods of the namespace: the address set of the old rule is removed.
    let changed = WEB
        .replace("80", "81")
        .replace("{matchLabels: {app: nginx1}}", "{}");
    let text = format!("{network}{client}{}{second}", policy("web", &changed));
    apply(&server, &text, &[]);
    assert_eq!(row(&server, "Port_Group", GROUP)["_uuid"], group);
    let acls = rows(&server, "ACL");
    let own =
        format!("ip4.src == {{$a114154188676516879}} && tcp && tcp.dst==81 && outport == @{GROUP}");
    assert!(acls.iter().any(|acl| acl["match"] == own), "{acls:#?}");
    assert_eq!(acls.len(), 5);
    let sets = rows(&server, "Address_Set");
    assert!(
        sets.iter()
            .all(|set| !set["external_ids"].to_string().contains("PodSelector"))
    );

    // A pod is removed, and its addresses too.
    let gone = write(&server, "gone.yaml", &client);
    on(&server, "delete", &["-f", &gone]).succeeded();
    assert_eq!(
        addresses(&server, &format!("{OWNER}:Namespace:default:v4")),
        "10.1.0.1"
    );
    assert_eq!(ports(&server, EGRESS), ["default.n_default_web"]);

    // One policy is removed, then the other one, and with it what they shared.
    let gone = write(&server, "gone.yaml", &second);
    on(&server, "delete", &["-f", &gone]).succeeded();
    assert_eq!(names(&server, "Port_Group"), [EGRESS, INGRESS, GROUP]);
    let gone = write(&server, "gone.yaml", &policy("web", WEB));
    on(&server, "delete", &["-f", &gone]).succeeded();
    for table in ["Port_Group", "Address_Set"] {
        assert_eq!(names(&server, table), [""; 0], "{table}");
    }
    assert_eq!(rows(&server, "ACL").len(), 0);
    assert_eq!(
        names(&server, "Logical_Switch_Port"),
        ["default.n_default_web"]
    );
}

#[test]
fn what_is_not_in_the_manifests_stays_isolated() {
    let server = server("bundled");
    let web = format!(
        "{NETWORK}{}{}",
        pod("web", "default", "web"),
        policy("web", WEB)
    );
    apply(&server, &web, &[]);
    // This time only another pod and another policy.
    let other = format!(
        "{NETWORK}{}{}",
        pod("db", "default", "db"),
        policy(
            "db",
            "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}"
        )
    );
    apply(&server, &other, &[]);
    assert_eq!(
        ports(&server, INGRESS),
        ["default.n_default_db", "default.n_default_web"]
    );
    assert_eq!(ports(&server, GROUP), ["default.n_default_web"]);
    let default = addresses(&server, &format!("{OWNER}:Namespace:default:v4"));
    assert_eq!(default, json!(["set", ["10.1.0.1", "10.1.0.2"]]));
    apply(&server, &other, &["--prune"]);
    assert_eq!(ports(&server, INGRESS), ["default.n_default_db"]);
    assert!(!names(&server, "Port_Group").contains(&GROUP.to_owned()));
    apply(&server, NETWORK, &["--prune"]);
    assert_eq!(names(&server, "Port_Group"), [""; 0]);
    assert_eq!(names(&server, "Address_Set"), [""; 0]);
}

#[test]
fn the_current_profile_names_rows_by_owner_and_uses_tiers_if_the_schema_has_them() {
    for schema in support::SCHEMAS {
        let server = server(schema);
        let text = format!(
            "{NETWORK}{}{}",
            pod("web", "default", "web"),
            policy("web", WEB)
        );
        let profile = ["--profile", "current"];
        apply(&server, &text, &profile);
        let groups = names(&server, "Port_Group");
        assert!(
            groups.contains(&"a10927173204198130550".to_owned()),
            "{groups:?}"
        );
        assert!(
            groups.contains(&"a2137749478927940710".to_owned()),
            "{groups:?}"
        );
        assert_eq!(
            ports(&server, "a2137749478927940710"),
            ["default.n_default_web"]
        );
        for acl in rows(&server, "ACL") {
            let tier = if schema == "bundled" {
                Some(&json!(2))
            } else {
                None
            };
            assert_eq!(acl.get("tier"), tier);
        }
        assert_eq!(apply(&server, &text, &profile), "nothing to do\n");
        let file = write(&server, "cluster.yaml", &text);
        on(&server, "delete", &["-f", &file]).succeeded();
        assert_eq!(names(&server, "Port_Group"), [""; 0]);
        assert_eq!(names(&server, "Address_Set"), [""; 0]);
    }
}

#[test]
fn logging_follows_the_namespace() {
    let server = server("bundled");
    let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default, annotations: \
        {k8s.ovn.org/acl-logging: '{\"deny\": \"alert\", \"allow\": \"notice\"}'}}\n";
    let text = format!(
        "{NETWORK}{namespace}{}{}",
        pod("web", "default", "web"),
        policy("web", WEB)
    );
    apply(&server, &text, &[]);
    for acl in rows(&server, "ACL") {
        let expected = match acl["action"].as_str() {
            Some("drop") => (json!(true), json!("alert")),
            Some("allow-related") => (json!(true), json!("notice")),
            _ => (json!(false), json!(["set", []])),
        };
        assert_eq!((acl["log"].clone(), acl["severity"].clone()), expected);
    }
}

#[test]
fn impossible_policies_are_refused() {
    let server = server("bundled");
    let bare = NETWORK.replace("\"subnets\": \"10.1.0.0/16\", ", "");
    let named = WEB.replace("80", "http");
    let elsewhere = policy("web", WEB).replace("policy-for: n", "policy-for: other/net");
    for (text, field, message) in [
        (
            format!("{bare}{}", policy("web", WEB)),
            "spec.ingress[0]",
            "pods cannot be selected on the network l3-network",
        ),
        (
            format!("{NETWORK}{}", policy("web", &named)),
            "spec.ingress[0].ports[0].port",
            "ports by name are not supported",
        ),
        (
            format!("{NETWORK}{elsewhere}"),
            "metadata.annotations.k8s.v1.cni.cncf.io/policy-for",
            "other/net is not among the manifests",
        ),
    ] {
        let file = write(&server, "policy.yaml", &text);
        let run = on(&server, "apply", &["-f", &file]);
        assert_eq!(run.status, Some(2), "{run:?}");
        let place = format!("{file}, document 2, MultiNetworkPolicy default/web: {field}: ");
        assert!(
            run.err.contains(&place) && run.err.contains(message),
            "{}",
            run.err
        );
        assert_eq!(names(&server, "Port_Group"), [""; 0]);
    }
    assert_eq!(rows(&server, "Logical_Switch").len(), 1);
}

#[test]
fn a_policy_without_types_isolates_no_pod_in_any_profile() {
    let file = support::file("policy-without-types.yaml");
    for profile in ["mid2023", "current"] {
        let server = server("bundled");
        on(&server, "apply", &["-f", &file, "--profile", profile]).succeeded();
        let groups = names(&server, "Port_Group");
        assert_eq!(groups.len(), 3, "{groups:?}");
        for group in groups {
            let drops = rows(&server, "ACL")
                .iter()
                .any(|acl| acl["action"] == "drop" && acl["match"].to_string().contains(&group));
            let expected: &[&str] = if drops {
                &[]
            } else {
                &["default.blue_default_a"]
            };
            assert_eq!(ports(&server, &group), expected, "{profile}");
        }
    }
}

#[test]
fn a_policy_that_becomes_invalid_keeps_its_rows() {
    for profile in ["mid2023", "central-2026"] {
        let server = server("bundled");
        let pods = pod("web", "default", "web") + &pod("db", "default", "db");
        let db = policy(
            "db",
            "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}",
        );
        let web = policy("web", WEB);
        let arguments = ["--prune", "--profile", profile];
        apply(&server, &format!("{NETWORK}{pods}{db}{web}"), &arguments);
        let before = everything(&server);
        for (right, wrong) in [
            ("k8s.cni.cncf.io/v1beta1", "k8s.cni.cncf.io/v1"),
            ("[Ingress]", "Ingress"),
            ("policy-for: n", "policy-for: none"),
        ] {
            let text = format!("{NETWORK}{pods}{db}{}", web.replace(right, wrong));
            let file = write(&server, "cluster.yaml", &text);
            let run = on(&server, "apply", &[&["-f", &file][..], &arguments].concat());
            assert_eq!(run.status, Some(2), "{run:?}");
            assert_eq!(everything(&server), before, "{wrong}");
        }
        // The pods of a removed policy are no longer isolated by it.
        let text = format!("{NETWORK}{pods}{}", web.replace("[Ingress]", "Ingress"));
        let file = write(&server, "cluster.yaml", &text);
        on(&server, "apply", &[&["-f", &file][..], &arguments].concat());
        assert_eq!(names(&server, "Port_Group").len(), 3);
        for group in names(&server, "Port_Group") {
            assert!(
                !ports(&server, &group).contains(&"default.n_default_db".to_owned()),
                "{group}"
            );
        }
    }
}
