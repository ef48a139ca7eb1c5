//! Manifests as people have them: what OVN-Kubernetes makes of the same objects.

mod support;

use ovsdb::testing::Server;
use serde_json::Value;
use support::{file, names, on, row, rows, server};

/// A server with what one of the files describes.
fn applied(name: &str) -> Server {
    let server = server("bundled");
    on(&server, "apply", &["-f", &file(name)]).well();
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
fn mac_addresses_have_dashes() {
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
    let out = on(&server, "apply", &["-f", &file, "--status", "json"]).well();
    assert!(out.contains(r#"\"interface\": \"eth5\""#), "{out}");
}

#[test]
fn a_selector_that_is_null_is_absent() {
    let server = applied("podselector-null.yaml");
    let groups = names(&server, "Port_Group");
    assert_eq!(groups.len(), 3, "{groups:?}");
    assert_eq!(rows(&server, "ACL").len(), 5);
}
