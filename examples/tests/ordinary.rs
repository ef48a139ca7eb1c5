//! Manifests as people have them: what OVN-Kubernetes makes of the same objects.

mod support;

use ovsdb::testing::Server;
use serde_json::Value;
use support::{file, on, row, server};

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
