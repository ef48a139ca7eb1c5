//! Bad input: the program reports where and what, does the rest (unless a file cannot be read or parsed),
//! and exits with the status 2.

mod support;

use serde_json::{Value, json};
use support::{everything, multihoming, on, server, write};

/// A good configuration with some members changed.
fn config(changes: &Value) -> String {
    let mut config = json!({
        "cniVersion": "0.3.1", "name": "net", "type": "ovn-k8s-cni-overlay", "topology": "layer2",
        "subnets": "10.1.0.0/16", "netAttachDefName": "ns/nad",
    });
    let members = config.as_object_mut().expect("an object");
    for (key, value) in changes.as_object().expect("an object") {
        members.insert(key.clone(), value.clone());
    }
    config.to_string()
}

/// A NAD that is fine.
fn good() -> String {
    nad(
        "good",
        &config(&json!({"name": "good", "netAttachDefName": "ns/good"})),
    )
}

/// A NAD after a document that is fine.
fn manifest(config: &str) -> String {
    good() + "---\n" + &nad("nad", config)
}

fn nad(name: &str, config: &str) -> String {
    let indented = config.replace('\n', "\n    ");
    format!(
        "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
         metadata:\n  name: {name}\n  namespace: ns\nspec:\n  config: |\n    {indented}\n"
    )
}

#[test]
fn every_wrong_configuration_is_reported_with_its_place() {
    let mid = "mid2023";
    let current = "current";
    let localnet = |changes: Value| {
        let mut all = json!({"topology": "localnet"});
        all.as_object_mut()
            .expect("an object")
            .extend(changes.as_object().expect("one").clone());
        all
    };
    let layer3 = |subnets: &str| json!({"topology": "layer3", "subnets": subnets});
    let cases = [
        (
            mid,
            json!({"netAttachDefName": null}),
            "\"netAttachDefName\": is missing",
        ),
        (
            mid,
            json!({"netAttachDefName": "a/b"}),
            "\"netAttachDefName\": is \"a/b\"",
        ),
        (
            mid,
            json!({"name": ""}),
            "\"name\": a network cannot be called \"\"",
        ),
        (
            mid,
            json!({"name": "default"}),
            "\"name\": a network cannot be called \"default\"",
        ),
        (
            mid,
            json!({"name": "ovn-kubernetes"}),
            "\"name\": a network cannot be called",
        ),
        (
            mid,
            json!({"topology": "ring"}),
            "\"topology\": unknown topology \"ring\"",
        ),
        (
            mid,
            json!({"ipam": {"type": "dhcp"}}),
            "\"ipam\": IPAM plug-ins are not supported",
        ),
        (mid, json!({"ipam": 5}), "\"ipam\": must be an object"),
        (
            mid,
            json!({"subnets": "10.1.0.0"}),
            "\"subnets\": \"10.1.0.0\" is not an address",
        ),
        (
            mid,
            json!({"subnets": "10.1.0.0/16,"}),
            "\"subnets\": \"\" is not an address",
        ),
        (
            mid,
            json!({"subnets": "10.1.0.0/16/24"}),
            "\"subnets\": \"10.1.0.0/16/24\" has a host",
        ),
        (
            mid,
            layer3("10.1.0.0/24"),
            "\"subnets\": the host prefix length of \"10.1.0.0/24\"",
        ),
        (
            mid,
            layer3("fd00::/48/65"),
            "\"subnets\": the host prefix length of \"fd00::/48/65\"",
        ),
        (
            mid,
            layer3(""),
            "\"subnets\": is missing: a layer3 network needs subnets",
        ),
        (
            mid,
            json!({"excludeSubnets": "10.2.0.0/24"}),
            "\"excludeSubnets\": 10.2.0.0/24 is in none",
        ),
        (
            mid,
            json!({"subnets": "", "excludeSubnets": "10.2.0.0/24"}),
            "\"excludeSubnets\": 10.2.0.0",
        ),
        (
            mid,
            json!({"excludeSubnets": "10.1.0.1"}),
            "\"excludeSubnets\": \"10.1.0.1\" is not",
        ),
        (
            mid,
            localnet(json!({"vlanID": 4095})),
            "\"vlanID\": 4095 is not a VLAN",
        ),
        (
            mid,
            localnet(json!({"vlanID": "7"})),
            "\"vlanID\": must be an integer",
        ),
        (
            mid,
            json!({"name": "good", "mtu": 1300}),
            "is described differently by ns/good",
        ),
        (
            current,
            json!({"topology": "layer3", "subnets": "10.1.0.0/16/24", "allowPersistentIPs": true}),
            "\"allowPersistentIPs\": a layer3 network has no persistent addresses",
        ),
        (
            current,
            json!({"role": "main"}),
            "\"role\": unknown role \"main\"",
        ),
        (
            current,
            localnet(json!({"role": "primary"})),
            "\"role\": a localnet network is always",
        ),
        (
            current,
            localnet(json!({"joinSubnet": "100.65.0.0/16"})),
            "\"joinSubnet\": a localnet",
        ),
        (
            current,
            json!({"subnets": "10.1.0.0/16,10.1.2.0/24"}),
            "\"subnets\": 10.1.0.0/16 and 10.1.2.0/24 overlap",
        ),
    ];
    let server = server("bundled");
    let good = write(&server, "good.yaml", &good());
    on(&server, "apply", &["-f", &good]).succeeded();
    let before = everything(&server);
    for (profile, changes, message) in cases {
        let file = write(&server, "network.yaml", &manifest(&config(&changes)));
        for command in [&["apply"][..], &["apply", "--prune"], &["plan"], &["check"]] {
            let mut arguments = vec!["-f", &file, "--profile", profile];
            arguments.extend(&command[1..]);
            let run = match command[0] {
                "check" => multihoming(&[&["check"], arguments.as_slice()].concat()),
                command => on(&server, command, &arguments),
            };
            assert_eq!(run.status, Some(2), "{changes}: {run:?}");
            let place = format!(
                "multihoming: {file}, document 2, NetworkAttachmentDefinition ns/nad: spec.config: "
            );
            assert!(run.err.starts_with(&place), "{changes}: {}", run.err);
            assert!(run.err.contains(message), "{changes}: {}", run.err);
            assert_eq!(run.err.lines().count(), 1, "{changes}: {}", run.err);
        }
        if profile == mid {
            assert_eq!(everything(&server), before, "{changes}: not as it was");
        }
    }
}

#[test]
fn comments_in_json_are_refused_with_their_line() {
    let server = server("bundled");
    let text = "{\n  \"name\": \"net\",   # the name\n  \"type\": \"ovn-k8s-cni-overlay\"\n}";
    let file = write(&server, "network.yaml", &manifest(text));
    let run = on(&server, "apply", &["-f", &file]);
    assert_eq!(run.status, Some(2), "{run:?}");
    let expected = "(line 2 of the text); JSON has no comments: remove the text from `#` on";
    assert!(
        run.err.contains(&file) && run.err.contains(expected),
        "{}",
        run.err
    );
    let switches = support::names(&server, "Logical_Switch");
    assert_eq!(switches, ["good_ovn_layer2_switch"]);
}

#[test]
fn networks_of_other_plugins_are_skipped() {
    let server = server("bundled");
    let bridge = json!({"type": "bridge"});
    let default = json!({"topology": ""});
    for changes in [bridge, default] {
        let file = write(&server, "other.yaml", &nad("nad", &config(&changes)));
        let run = on(&server, "apply", &["-f", &file]);
        let warning = format!("multihoming: warning: {file}, document 1, ");
        assert!(run.err.starts_with(&warning), "{}", run.err);
        assert_eq!(run.succeeded(), "nothing to do\n");
    }
}

#[test]
fn wrong_objects_are_reported_with_file_document_and_field() {
    let server = server("bundled");
    let good = nad("nad", &config(&json!({})));
    let pod = |annotations: &str| {
        format!(
            "{good}---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: ns\n  \
             annotations:\n    {annotations}\nspec: {{nodeName: w}}\n"
        )
    };
    let networks = "k8s.v1.cni.cncf.io/networks";
    let grants = "k8s.ovn.org/pod-networks";
    let granted = |address: &str| {
        pod(&format!(
            "{networks}: nad\n    {grants}: '{{\"ns/nad\": {{\"ip_addresses\": [\"{address}\"], \
             \"mac_address\": \"0a:00:00:00:00:01\"}}}}'"
        ))
    };
    let twins = nad(
        "a-b",
        &config(&json!({"name": "a-b", "netAttachDefName": "ns/a-b"})),
    ) + "---\n"
        + &nad(
            "other",
            &config(&json!({"name": "a.b", "netAttachDefName": "ns/other"})),
        );
    let layer3 = nad(
        "nad",
        &config(&json!({"topology": "layer3", "subnets": "10.1.0.0/16"})),
    );
    let lost = format!(
        "{layer3}---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: ns, annotations: \
         {{{networks}: nad}}}}\nspec: {{nodeName: nowhere}}\n"
    );
    for (text, place, message) in [
        ("kind: [".to_owned(), "", "not YAML"),
        (
            "kind: Pod\nmetadata: {name: p}".to_owned(),
            ", document 1, Pod default/p: apiVersion",
            "is missing",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: A}".to_owned(),
            ", document 1: metadata.name",
            "is not a name",
        ),
        (
            pod(&format!("{networks}: elsewhere")),
            ", document 2, Pod ns/p: metadata.annotations.k8s.v1.cni.cncf.io/networks",
            "ns/elsewhere is not among the manifests",
        ),
        (
            pod(&format!("{networks}: a/b/c")),
            ", document 2, Pod ns/p: metadata.annotations.k8s.v1.cni.cncf.io/networks",
            "is not [namespace/]name[@interface]",
        ),
        (
            granted("10.2.0.1/16"),
            ", document 2, Pod ns/p: metadata.annotations.k8s.ovn.org/pod-networks",
            "10.2.0.1 is in none of 10.1.0.0/16",
        ),
        (
            granted("10.1.0.1"),
            ", document 2, Pod ns/p: metadata.annotations.k8s.ovn.org/pod-networks",
            "must be an address with the length of its prefix, such as 10.1.0.5/24, not \"10.1.0.1\"",
        ),
        (
            twins,
            ", document 2, NetworkAttachmentDefinition ns/other: spec.config",
            "are the same in the database",
        ),
        (
            lost,
            ", document 2, Pod ns/p: spec.nodeName",
            "the node \"nowhere\" is not known",
        ),
    ] {
        let file = write(&server, "objects.yaml", &text);
        let run = on(&server, "apply", &["-f", &file]);
        assert_eq!(run.status, Some(2), "{text}: {run:?}");
        let start = format!("multihoming: {file}{place}");
        assert!(run.err.starts_with(&start), "{text}: {}", run.err);
        assert!(run.err.contains(message), "{text}: {}", run.err);
        let check = multihoming(&["check", "-f", &file]);
        assert_eq!(check.status, Some(2), "{text}: {check:?}");
        assert_eq!(check.err, run.err);
        let ports = support::names(&server, "Logical_Switch_Port");
        assert_eq!(ports, [""; 0], "{text}");
    }
}

#[test]
fn manifests_are_checked_without_a_database() {
    let samples = support::manifest("").display().to_string();
    let out = multihoming(&["check", "-f", &samples]).succeeded();
    assert!(
        out.contains("network l3-network (layer3), 0 policies\n"),
        "{out}"
    );
    assert!(out.contains("3 nodes, 6 pods\n"), "{out}");
    let l3 = support::manifest("l3-network.yaml").display().to_string();
    let run = multihoming(&["check", "-f", &l3]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(
        run.err.contains("the node \"work001\" is not known"),
        "{}",
        run.err
    );
}

#[test]
fn an_unreadable_file_is_bad_input_and_an_unreachable_server_is_not() {
    let server = server("bundled");
    let missing = server.folder().join("missing.yaml").display().to_string();
    let run = on(&server, "apply", &["-f", &missing]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(
        run.err.contains("missing.yaml: cannot be read"),
        "{}",
        run.err
    );
    let folder = server.folder().join("empty");
    std::fs::create_dir(&folder).expect("a folder");
    let run = on(&server, "apply", &["-f", &folder.display().to_string()]);
    assert_eq!(run.status, Some(2), "{run:?}");
    // A command line that clap refuses.
    for arguments in [
        &["apply"][..],
        &["apply", "--nb", "unix:/x"],
        &["apply", "--nb", "unix:/x", "-f", "x", "--node-subnets", "a"],
        &["apply", "--nb", "unix:/x", "-f", "x", "--profile", "old"],
    ] {
        assert_eq!(multihoming(arguments).status, Some(2), "{arguments:?}");
    }
    let samples = support::manifest("").display().to_string();
    let run = multihoming(&["apply", "--nb", "unix:/nowhere/db.sock", "-f", &samples]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.err.contains("/nowhere/db.sock"), "{}", run.err);
}
