//! What apply would do, and the annotations that it would print.

mod support;

use serde_json::Value;
use support::{everything, manifest, multihoming, nbctl, on, server};

#[test]
fn a_plan_tells_what_apply_would_do_and_does_nothing() {
    let server = server("ovn-23.03");
    let folder = manifest("").display().to_string();
    let empty = everything(&server);
    let run = on(&server, "plan", &["-f", &folder]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(
        run.out
            .contains("+ Logical_Router l3.network_ovn_cluster_router\n"),
        "{}",
        run.out
    );
    assert!(run.out.ends_with(" in 13 transactions\n"), "{}", run.out);
    assert_eq!(everything(&server), empty);

    on(&server, "apply", &["-f", &folder]).succeeded();
    let run = on(&server, "plan", &["-f", &folder]);
    assert_eq!((run.status, run.out.as_str()), (Some(0), "nothing to do\n"));

    nbctl(
        &server,
        &[
            "set",
            "Logical_Switch",
            "l3.network_work001",
            "other_config:subnet=1.0.0.0/8",
        ],
    );
    nbctl(
        &server,
        &["lsp-del", "kube.system.l2.network_default_nginx1-l2"],
    );
    let before = everything(&server);
    let run = on(&server, "plan", &["-f", &folder]);
    assert_eq!(run.status, Some(1), "{run:?}");
    let expected = "# pod default/nginx1-l2";
    assert!(
        !run.out.contains(expected),
        "two pods are one step: {}",
        run.out
    );
    for expected in [
        "~ Logical_Switch l3.network_work001\n    other_config: + subnet=10.33.2.0/24\n    \
         other_config: - subnet=1.0.0.0/8\n",
        "+ Logical_Switch_Port kube.system.l2.network_default_nginx1-l2\n",
        "    ports: + kube.system.l2.network_default_nginx1-l2\n",
        "1 rows to insert, 2 to update, 0 to delete, in 2 transactions\n",
    ] {
        assert!(run.out.contains(expected), "{expected:?} in {}", run.out);
    }
    assert_eq!(everything(&server), before);

    let file = manifest("l2-network.yaml").display().to_string();
    let run = on(
        &server,
        "plan",
        &["-f", &file, "--prune", "--format", "json"],
    );
    let steps: Value = serde_json::from_str(&run.out).expect("JSON");
    let gone = steps[0]["changes"].as_array().expect("changes");
    assert!(
        gone.iter().all(|change| change["action"] == "delete"),
        "{steps:#}"
    );
    assert_eq!(steps[0]["title"], "remove the network l3-network");
}

#[test]
fn a_plan_that_cannot_be_made_has_a_status_of_its_own() {
    let folder = manifest("").display().to_string();
    let run = multihoming(&["plan", "--nb", "unix:/nowhere/db.sock", "-f", &folder]);
    assert_eq!(run.status, Some(2), "{run:?}");
    let run = multihoming(&["plan", "--nb", "unix:/nowhere/db.sock", "-f", "/nowhere"]);
    assert_eq!(run.status, Some(2), "{run:?}");
}

#[test]
fn the_status_is_a_manifest_that_can_be_applied_again() {
    let server = server("bundled");
    let folder = manifest("").display().to_string();
    let text = on(&server, "apply", &["-f", &folder, "--status", "json"]).succeeded();
    let list: Value = serde_json::from_str(&text).expect("JSON");
    let items = list["items"].as_array().expect("items");
    assert_eq!(items.len(), 9);
    let pod = items
        .iter()
        .find(|item| item["metadata"]["name"] == "nginx1-l3")
        .expect("the pod");
    let annotations = &pod["metadata"]["annotations"];
    let networks = annotations["k8s.ovn.org/pod-networks"]
        .as_str()
        .expect("a text");
    let networks: Value = serde_json::from_str(networks).expect("JSON");
    assert_eq!(
        networks["kube-system/l3-network"]["routes"][0]["nextHop"],
        "10.33.2.1"
    );

    let yaml = on(&server, "apply", &["-f", &folder, "--status", "yaml"]).succeeded();
    let again: Value = serde_saphyr::from_str(&yaml).expect("YAML");
    assert_eq!(again, list);
}

#[test]
fn the_profile_of_2026_says_what_it_is_and_keeps_its_old_name() {
    let server = server("bundled");
    let folder = manifest("").display().to_string();
    let plan = |profile| {
        let run = on(&server, "plan", &["-f", &folder, "--profile", profile]);
        assert_eq!(run.status, Some(1), "{run:?}");
        run.out
    };
    assert_eq!(plan("central-2026"), plan("current"));
    assert_ne!(plan("central-2026"), plan("mid2023"));
    let help = multihoming(&["plan", "--help"]).succeeded();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "central-2026: As of April 2026, the last central mode",
        "`current` is another name for this profile",
        "since May 2026, have interconnect only, and are not supported",
    ] {
        assert!(help.contains(expected), "{expected:?} in {help}");
    }
}
