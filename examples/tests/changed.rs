//! A plan for changed pods only has the same result as a plan for everything.

use std::path::PathBuf;

use multihoming::apply::{Grants, Others, Planned, apply, steps, steps_of_pods};
use multihoming::cluster::{Cluster, Options};
use multihoming::connection::Connection;
use multihoming::database::Northbound;
use multihoming::error::Place;
use multihoming::manifest::{Files, Manifests};
use ovsdb::nb::LogicalSwitchPort;
use ovsdb::server::Server;

const NETWORKS: &str = r#"
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "b"}}
{"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
 "metadata": {"name": "three", "namespace": "ns"}, "spec": {"config": "{\"name\": \"three\", \"type\": \"ovn-k8s-cni-overlay\", \"netAttachDefName\": \"ns/three\", \"topology\": \"layer3\", \"subnets\": \"10.0.0.0/16\"}"}}
{"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
 "metadata": {"name": "two", "namespace": "ns"}, "spec": {"config": "{\"name\": \"two\", \"type\": \"ovn-k8s-cni-overlay\", \"netAttachDefName\": \"ns/two\", \"topology\": \"layer2\", \"subnets\": \"10.1.0.0/29\"}"}}
"#;

fn pod(name: &str, uid: &str, node: &str, networks: &str, phase: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "{name}", "namespace": "ns", "uid": "{uid}",
        "annotations": {{"k8s.v1.cni.cncf.io/networks": "{networks}"}}}}, "spec": {{"nodeName": "{node}"}},
        "status": {{"phase": "{phase}"}}}}"#
    )
}

fn cluster(pods: &[String]) -> Cluster {
    let mut manifests = Manifests::default();
    let text = NETWORKS.to_owned() + &pods.join("\n");
    let place = Place::default();
    manifests.add_text(&place, &text).expect("JSON");
    Cluster::new(&manifests, &Options::default()).expect("a cluster")
}

/// Everything that was granted, now or before.
fn known(planned: &Planned) -> Grants {
    let mut known = planned.before.clone();
    for (name, granted) in &planned.granted {
        let known = known.entry(name.clone()).or_default();
        known.ports.extend(granted.ports.clone());
        known.subnets.extend(granted.subnets.clone());
    }
    known
}

#[tokio::test]
async fn a_plan_for_changed_pods_equals_a_plan_for_everything() {
    let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
    let memory = Connection::embedded(Server::memory(schema).expect("a server"));
    let northbound = Northbound::connect(memory).await.expect("a database");
    let before = cluster(&[
        pod("stays", "1", "a", "two,three", "Running"),
        pod("again", "2", "a", "two,three", "Running"),
        pod("ends", "3", "b", "two,three", "Running"),
        pod("moves", "4", "a", "three", "Running"),
        pod("goes", "5", "b", "two", "Running"),
    ]);
    let after = cluster(&[
        pod("stays", "1", "a", "two,three", "Running"),
        pod("again", "20", "a", "two,three", "Running"),
        pod("ends", "3", "b", "two,three", "Succeeded"),
        pod("moves", "40", "b", "three", "Running"),
        pod("new", "6", "b", "three", "Running"),
        pod("other", "7", "b", "two,three", "Running"),
    ]);
    for others in [Others::Keep, Others::Remove] {
        apply(
            &northbound,
            &before,
            &Grants::new(),
            Others::Remove,
            |_, _| {},
        )
        .await
        .expect("rows");
        let planned = steps(&northbound, &before, &Grants::new(), others).expect("a plan");
        assert!(planned.steps.steps().is_empty());
        let known = known(&planned);
        let changed = after.changed_pods(&before).expect("nothing but pods");
        assert_eq!(changed.places, [1, 2, 3, 4, 5].into());
        let quick = steps_of_pods(&northbound, &after, &known, others, &changed).expect("a plan");
        let mut done = Vec::new();
        quick
            .steps
            .commit(&mut done, |_, _| {})
            .await
            .expect("commits");
        assert!(!done.is_empty());
        let view = northbound.cache.snapshot();
        let has = |name| view.get_by(LogicalSwitchPort::NAME, name).is_some();
        assert!(has("ns.three_ns_new") && has("ns.two_ns_other") && !has("ns.three_ns_ends"));
        assert_eq!(has("ns.two_ns_goes"), others == Others::Keep);
        let mut granted = planned.granted;
        for (name, more) in quick.granted {
            granted.entry(name).or_default().ports.extend(more.ports);
        }
        let rest = steps(&northbound, &after, &granted, others).expect("a plan");
        let titles: Vec<_> = rest
            .steps
            .steps()
            .iter()
            .map(|step| step.title().to_owned())
            .collect();
        assert_eq!(titles, [""; 0], "nothing is left to do");
    }
}

#[test]
fn changes_beyond_pods_are_recognised() {
    let plain = cluster(&[pod("p", "1", "a", "two", "Running")]);
    assert!(
        plain
            .changed_pods(&plain)
            .expect("no change")
            .places
            .is_empty()
    );
    // Left out, since the network does not exist.
    let wrong = cluster(&[pod("p", "1", "a", "none", "Running")]);
    assert!(wrong.changed_pods(&plain).is_none() && plain.changed_pods(&wrong).is_none());
    let network = NETWORKS.replace("10.1.0.0/29", "10.1.0.0/28");
    let mut manifests = Manifests::default();
    manifests
        .add_text(&Place::default(), &network)
        .expect("JSON");
    let other = Cluster::new(&manifests, &Options::default()).expect("a cluster");
    assert!(other.changed_pods(&plain).is_none());
}

#[test]
fn files_that_did_not_change_are_read_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("a file");
    let names = |files: &Files| -> Vec<String> {
        let manifests = files.manifests().expect("manifests");
        manifests.pods.iter().map(|pod| pod.name.clone()).collect()
    };
    write("a.json", &pod("a", "1", "a", "two", "Running"));
    write("c.yaml", &pod("c", "1", "a", "two", "Running"));
    write("not-read", "kind: [");
    let mut files = Files::new(vec![folder.path().to_owned()]);
    assert_eq!(files.read().expect("manifests").pods.len(), 2);
    let looked = |names: &[&str]| {
        names
            .iter()
            .map(|name| path(name))
            .collect::<std::collections::BTreeSet<PathBuf>>()
    };

    write("b.yml", &pod("b", "1", "a", "two", "Running"));
    assert!(files.scan_changed(&looked(&["b.yml"])).changed);
    assert_eq!(names(&files), ["a", "b", "c"]);
    // Files that are not among the changed ones are not read again.
    write("a.json", &pod("z", "1", "a", "two", "Running"));
    std::fs::remove_file(path("c.yaml")).expect("no file");
    assert!(files.scan_changed(&looked(&["c.yaml"])).changed);
    assert_eq!(names(&files), ["a", "b"]);
    let later = files.scan(std::time::Duration::from_secs(60));
    assert!(later.unsettled && !later.changed);
    assert!(files.scan(std::time::Duration::ZERO).changed);
    assert_eq!(names(&files), ["z", "b"]);
    // While a file is not YAML, reading all manifests fails.
    write("b.yml", "kind: [");
    assert!(files.scan_changed(&looked(&["b.yml"])).changed);
    assert!(
        files
            .manifests()
            .expect_err("not YAML")
            .to_string()
            .contains("b.yml")
    );
    write("b.yml", "");
    assert!(files.scan_changed(&looked(&["b.yml"])).changed);
    assert_eq!(names(&files), ["z"]);
}
