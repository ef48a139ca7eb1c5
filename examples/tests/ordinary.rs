//! Manifests as people write them, with the results of OVN-Kubernetes for the same objects.

mod support;

use ovsdb::testing::Server;
use serde_json::Value;
use support::{file, multihoming, names, on, row, rows, server, write};

/// A server with what one of the files describes.
fn applied(name: &str) -> Server {
    let server = server("bundled");
    on(&server, "apply", &["-f", &file(name)]).succeeded();
    server
}

/// The addresses of a port.
fn addresses(server: &Server, port: &str) -> Value {
    row(server, "Logical_Switch_Port", port)["addresses"].clone()
}

#[test]
fn half_of_a_large_subnet_is_excluded() {
    let server = applied("large-exclude.yaml");
    let addresses = addresses(&server, "vm.guests.net_vm-guests_p");
    assert_eq!(addresses, "0a:58:0a:00:00:01 10.0.0.1");
}

#[test]
fn mac_addresses_with_dashes_are_accepted() {
    let server = applied("mac-with-dashes.yaml");
    let addresses = addresses(&server, "default.flat_default_virt-launcher-vm-x");
    assert_eq!(addresses, "02:ab:cd:ef:00:11");
}

#[test]
fn members_of_json_have_any_case() {
    let server = applied("json-keys-any-case.yaml");
    let port = row(&server, "Logical_Switch_Port", "lab_ovn_localnet_port");
    assert_eq!(port["tag_request"], 123);
    let addresses = addresses(&server, "default.vlan_default_p");
    assert_eq!(addresses, "0a:58:c0:00:02:10 192.0.2.16");
    let file = file("json-keys-any-case.yaml");
    let out = on(&server, "apply", &["-f", &file, "--status", "json"]).succeeded();
    assert!(out.contains(r#"\"interface\": \"eth5\""#), "{out}");
}

#[test]
fn a_selector_that_is_null_is_absent() {
    let server = applied("podselector-null.yaml");
    let groups = names(&server, "Port_Group");
    assert_eq!(groups.len(), 3, "{groups:?}");
    assert_eq!(rows(&server, "ACL").len(), 5);
}

#[test]
fn a_nad_without_configuration_is_skipped_with_a_warning() {
    let server = server("bundled");
    let file = file("nad-without-config.yaml");
    let run = on(&server, "apply", &["-f", &file]);
    let warning = format!(
        "multihoming: warning: {file}, document 1, NetworkAttachmentDefinition default/istio-cni: has \
         no spec.config: skipped\n"
    );
    assert_eq!(run.err, warning);
    run.succeeded();
    assert_eq!(names(&server, "Logical_Switch"), ["blue_ovn_layer2_switch"]);
}

#[test]
fn objects_that_are_not_read_are_listed_and_unserved_ones_refused() {
    let server = server("bundled");
    let file = file("unread-objects-silent.yaml");
    let run = on(&server, "apply", &["-f", &file]);
    assert_eq!(run.status, Some(2), "{run:?}");
    let told = format!(
        "multihoming: ignored: 1 VirtualMachine (kubevirt.io/v1)\n\
         multihoming: {file}, document 2, MultiNetworkPolicy default/deny: apiVersion: is \
         k8s.cni.cncf.io/v1; the kind is served as k8s.cni.cncf.io/v1beta1 or \
         k8s.cni.cncf.io/v1beta2\n"
    );
    assert_eq!(run.err, told);
    assert_eq!(names(&server, "Logical_Switch"), ["blue_ovn_layer2_switch"]);
}

const MIGRATED: [&str; 2] = [
    "vms.flatl2_vms_virt-launcher-vm-a-6xk2p",
    "vms.flatl2_vms_virt-launcher-vm-a-q9z4r",
];

#[test]
fn a_virtual_machine_that_moves_has_one_address_on_two_nodes() {
    let server = server("bundled");
    let file = file("live-migration.yaml");
    let run = on(&server, "apply", &["-f", &file]);
    assert_eq!(run.err, "");
    run.succeeded();
    for port in MIGRATED {
        assert_eq!(addresses(&server, port), "02:00:00:00:00:05 10.55.0.7");
    }
    assert_eq!(
        on(&server, "apply", &["-f", &file]).succeeded(),
        "nothing to do\n"
    );
}

#[test]
fn an_address_stays_selected_while_one_of_its_ports_is_left() {
    let server = server("bundled");
    let policy = "---\napiVersion: k8s.cni.cncf.io/v1beta1\nkind: MultiNetworkPolicy\nmetadata: {name: \
         all, namespace: vms, annotations: {k8s.v1.cni.cncf.io/policy-for: flatl2}}\nspec: \
         {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}\n";
    let text = std::fs::read_to_string(file("live-migration.yaml")).expect("a file") + policy;
    let before = write(&server, "vm.yaml", &text);
    on(&server, "apply", &["-f", &before]).succeeded();
    // The virtual machine has moved: the pod that it left has completed.
    let moved = text.replacen("phase: Running", "phase: Succeeded", 1);
    let moved = write(&server, "vm.yaml", &moved);
    on(&server, "apply", &["-f", &moved]).succeeded();
    assert_eq!(names(&server, "Logical_Switch_Port"), MIGRATED[1..]);
    let sets = rows(&server, "Address_Set");
    assert!(
        sets.iter().any(|set| set["addresses"] == "10.55.0.7"),
        "{sets:?}"
    );
}

#[test]
fn a_file_that_is_not_text_is_reported_with_the_byte() {
    let server = server("bundled");
    let path = server.folder().join("latin1.yaml");
    std::fs::write(&path, b"kind: Pod\n# Gr\xfc\xdfe\n").expect("a file");
    let path = path.display().to_string();
    let run = on(&server, "apply", &["-f", &path]);
    assert_eq!(run.status, Some(2), "{run:?}");
    let told = format!(
        "multihoming: {path}: is not UTF-8: byte 14 is 0xfc (line 2, byte 5 of the line)\n"
    );
    assert_eq!(run.err, told);
}

/// `check` finds without a database what `plan` finds with an empty one.
#[test]
fn check_finds_what_plan_finds() {
    let server = server("bundled");
    let nad = |subnets: &str| {
        format!(
            "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {{name: n, \
             namespace: s}}\nspec:\n  config: '{{\"name\": \"net\", \"type\": \
             \"ovn-k8s-cni-overlay\", \"netAttachDefName\": \"s/n\", {subnets}}}'\n"
        )
    };
    let pod = |name: &str, address: Option<&str>| {
        let grant = address.map_or(String::new(), |address| {
            format!(
                ", k8s.ovn.org/pod-networks: '{{\"s/n\": {{\"ip_addresses\": [\"{address}\"], \
                 \"mac_address\": \"02:00:00:00:00:01\"}}}}'"
            )
        });
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: s, annotations: \
             {{k8s.v1.cni.cncf.io/networks: n{grant}}}}}\nspec: {{nodeName: w}}\n"
        )
    };
    let layer2 = nad(r#""topology": "layer2", "subnets": "10.0.0.0/30""#);
    let layer3 = nad(r#""topology": "layer3", "subnets": "10.0.0.0/24/25""#);
    let pods = pod("p", None) + &pod("q", None) + &pod("r", None);
    for (text, arguments, message) in [
        (
            layer2.clone() + &pods,
            &[][..],
            "Pod s/r: no address is left in 10.0.0.0/30",
        ),
        (
            layer2 + &pod("p", Some("10.9.0.1/30")),
            &[],
            "the address 10.9.0.1 is in none of 10.0.0.0/30",
        ),
        (
            layer3.clone(),
            &["--node", "a", "--node", "b", "--node", "c"],
            "no subnet is left in the network net",
        ),
        (
            layer3,
            &["--node-subnets", "a=2"],
            "--node-subnets: network net: 10.0.0.0/24 has no subnet number 2",
        ),
    ] {
        let file = write(&server, "cluster.yaml", &text);
        let arguments = [&["-f", file.as_str()], arguments].concat();
        let plan = on(&server, "plan", &arguments);
        assert!(plan.err.contains(message), "{}", plan.err);
        assert_eq!(plan.status, Some(2), "{plan:?}");
        let check = multihoming(&[&["check"], arguments.as_slice()].concat());
        assert_eq!((check.status, check.err), (plan.status, plan.err));
    }
}
