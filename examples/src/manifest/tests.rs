//! Objects in documents, lists and files.

use super::*;

fn read(text: &str) -> Result<Manifests, InputError> {
    let mut manifests = Manifests::default();
    let place = Place {
        file: "f.yaml".into(),
        ..Place::default()
    };
    manifests.add_text(&place, text)?;
    Ok(manifests)
}

#[test]
fn objects_are_found_in_documents_and_lists() {
    let manifests = read(
        "apiVersion: v1\nkind: Node\nmetadata: {name: n1, annotations: {k8s.ovn.org/a: 'b'}}\n---\n---\n\
         apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  \
         metadata: {name: p, uid: u}\n  spec: {nodeSelector: {kubernetes.io/hostname: n1}}\n\
         - {apiVersion: v1, kind: Service, metadata: {name: s}}\n",
    )
    .expect("manifests");
    assert_eq!(manifests.nodes[0].annotations["k8s.ovn.org/a"], "b");
    let pod = &manifests.pods[0];
    assert_eq!(
        (pod.namespace.as_str(), pod.node.as_deref()),
        ("default", Some("n1"))
    );
    let passed_over: Vec<String> = manifests
        .report
        .passed_over
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    assert_eq!(passed_over, ["1 Service (v1)"]);
}

#[test]
fn malformed_objects_are_reported_with_their_field_and_others_are_read() {
    for (text, place, message) in [
        (
            "apiVersion: v1\nkind: Pod",
            ", document 1",
            "metadata.name: is missing",
        ),
        (
            "kind: Pod\nmetadata: {name: p}",
            ", document 1, Pod default/p",
            "apiVersion: is missing",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: x",
            ", document 1",
            "metadata: must be a mapping, not \"x\"",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: A_b}",
            ", document 1",
            "metadata.name: \"A_b\" is not a name of lower-case letters, digits, `-` and `.`",
        ),
        ("---\nfoo: 1", ", document 1", "kind: is missing"),
        ("- 1", ", document 1", "must be a mapping, not a list"),
        (
            "just text",
            ", document 1",
            "must be a mapping, not \"just text\"",
        ),
        ("kind: List", ", document 1", "items: must be a list"),
        (
            "kind: List\nitems: [{apiVersion: v1, kind: Node, metadata: {name: m}}, {kind: Pod}]",
            ", document 1, item 2",
            "metadata.name: is missing",
        ),
        (
            "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {k8s.ovn.org/a: 1}}",
            ", document 2, Pod default/p",
            "metadata.annotations.k8s.ovn.org/a: must be a string, not the number 1",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostNetwork: 'yes'}",
            ", document 1, Pod default/p",
            "spec.hostNetwork: must be true or false, not \"yes\"",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: []",
            ", document 1, Pod default/p",
            "spec: must be a mapping, not a list",
        ),
        (
            "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
             metadata: {name: n}\nspec: {config: {}}",
            ", document 1, NetworkAttachmentDefinition default/n",
            "spec.config: must be a string, not a mapping",
        ),
        (
            "apiVersion: k8s.cni.cncf.io/v1\nkind: MultiNetworkPolicy\nmetadata: {name: n}",
            ", document 1, MultiNetworkPolicy default/n",
            "apiVersion: is k8s.cni.cncf.io/v1; the kind is served as k8s.cni.cncf.io/v1beta1 or \
             k8s.cni.cncf.io/v1beta2",
        ),
        (
            "apiVersion: v2\nkind: Pod\nmetadata: {name: n}",
            ", document 1, Pod default/n",
            "apiVersion: is v2; the kind is served as v1",
        ),
        (
            "kind: Pod\nkind: Pod",
            ", document 1",
            "not YAML: the key \"kind\" appears twice in a mapping (line 2)",
        ),
    ] {
        let more = "\n---\napiVersion: v1\nkind: Node\nmetadata: {name: more}\n";
        let manifests = read(&format!("{text}{more}")).expect(text);
        let [error] = manifests.report.refused.as_slice() else {
            panic!("one error of {text}, not {:?}", manifests.report.refused);
        };
        assert_eq!(error.to_string(), format!("f.yaml{place}: {message}"));
        let more = manifests.nodes.last().expect("the other object");
        assert_eq!(more.name, "more");
    }
}

#[test]
fn a_text_that_is_not_yaml_is_an_error_for_the_whole_file() {
    for (text, message) in [
        ("a: [1", "f.yaml: not YAML: "),
        ("a: 1\n---\nb: \"x", "f.yaml: not YAML: "),
        ("a: *unknown", "f.yaml: not YAML: "),
    ] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.starts_with(message), "{error}");
        for internal in ["expected struct", "Options", "budget", "sequence at"] {
            assert!(!error.contains(internal), "{error}");
        }
    }
}

#[test]
fn empty_documents_are_counted() {
    let text = "# a comment\n---\n# nothing\n---\n\n---\nkind: Pod\n";
    let manifests = read(text).expect("manifests");
    assert_eq!(manifests.report.refused[0].place().document, 3);
}

#[test]
fn json_is_read_as_json() {
    let pod = |name: &str| {
        format!(r#"{{"kind": "Pod", "apiVersion": "v1", "metadata": {{"name": "{name}"}}}}"#)
    };
    let list = format!(
        r#"{{"items": [{}, {}], "kind": "PodList", "apiVersion": "v1"}}"#,
        pod("a"),
        pod("b")
    );
    let text = format!("\u{feff}\t{list}\n{}", pod("c"));
    let manifests = read(&text).expect("manifests");
    let names: Vec<&str> = manifests.pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(manifests.pods[2].place.document, 2);

    // A YAML mapping in braces is not JSON.
    let manifests = read("{apiVersion: v1, kind: Pod, metadata: {name: p}}").expect("YAML");
    assert_eq!(manifests.pods.len(), 1);

    let place = Place {
        file: "f.json".into(),
        ..Place::default()
    };
    let error = Manifests::default().add_text(&place, "{\n\"kind\" 5}");
    assert_eq!(
        error.expect_err("no JSON").to_string(),
        "f.json: not JSON: expected `:` (line 2, column 8 of the text)"
    );
}

#[test]
fn null_is_absent_at_every_depth() {
    let manifests = read(
        "apiVersion: v1\nkind: List\nmetadata: null\nitems:\n\
         - {apiVersion: v1, kind: Pod, metadata: {name: p, namespace: null, uid: null, labels: \
         null, annotations: null}, spec: null, status: null}\n\
         - {apiVersion: v1, kind: Pod, metadata: {name: q, labels: {a: null}}, spec: {nodeName: \
         null, nodeSelector: null, hostNetwork: null}, status: {phase: null}}\n\
         - {apiVersion: v1, kind: Node, metadata: {name: n, annotations: null}}\n\
         - {apiVersion: k8s.cni.cncf.io/v1, kind: NetworkAttachmentDefinition, metadata: {name: \
         n}, spec: {config: null}}\n\
         - {apiVersion: k8s.cni.cncf.io/v1beta1, kind: MultiNetworkPolicy, metadata: {name: n}, \
         spec: null}\n---\nkind: List\napiVersion: v1\nitems: null\n",
    )
    .expect("manifests");
    assert!(
        manifests.report.refused.is_empty(),
        "{:?}",
        manifests.report
    );
    assert_eq!(
        (manifests.pods.len(), manifests.nads[0].config.as_str()),
        (2, "")
    );
    assert_eq!(manifests.pods[1].labels["a"], "", "what Go reads");
}

#[test]
fn only_what_is_read_is_kept() {
    let manifests = read(
        "spec: {nodeName: w, containers: [{image: x}]}\nstatus: {phase: Failed, podIPs: []}\n\
         metadata: {name: p, managedFields: [{}], annotations: {note: x, \
         k8s.v1.cni.cncf.io/networks: n, k8s.ovn.org/pod-networks: '{}'}}\n\
         apiVersion: v1\nkind: Pod\n",
    )
    .expect("manifests");
    let pod = &manifests.pods[0];
    assert_eq!((pod.node.as_deref(), pod.completed), (Some("w"), true));
    assert_eq!(pod.annotations.len(), 2);
}

#[test]
fn kinds_that_are_not_read_are_counted() {
    let manifests = read(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n\
         ---\napiVersion: k8s.cni.cncf.io/v1beta1\nkind: MultiNetworkPolcy\n\
         ---\napiVersion: management.cattle.io/v3\nkind: Node\nmetadata: {name: x}\n\
         ---\nkind: ServiceList\napiVersion: v1\nitems: [{kind: Service, apiVersion: v1}, \
         {kind: Service, apiVersion: v1}]\n",
    )
    .expect("manifests");
    let passed_over = manifests.report.passed_over.iter();
    let passed_over: Vec<String> = passed_over
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    assert_eq!(
        passed_over,
        [
            "1 Kustomization (kustomize.config.k8s.io/v1beta1)",
            "1 MultiNetworkPolcy (k8s.cni.cncf.io/v1beta1); did you mean MultiNetworkPolicy?",
            "1 Node (management.cattle.io/v3)",
            "2 Service (v1)",
        ]
    );
    assert!(manifests.report.refused.is_empty() && manifests.nodes.is_empty());
}

/// Large files are common: many documents, or many YAML nodes in one document.
#[test]
fn a_file_has_any_number_of_objects() {
    let metadata = "metadata: {name: p, labels: {a: b, c: d, e: f, g: h, i: j}}";
    let documents: String = (0..2000)
        .map(|at| format!("---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{at}}}\n"))
        .collect();
    assert_eq!(read(&documents).expect("documents").nodes.len(), 2000);
    let items: String = (0..20_000)
        .map(|at| {
            let metadata = metadata.replace("name: p", &format!("name: p{at}"));
            format!("- apiVersion: v1\n  kind: Pod\n  {metadata}\n")
        })
        .collect();
    let list = format!("apiVersion: v1\nitems:\n{items}kind: List\n");
    assert_eq!(read(&list).expect("a list").pods.len(), 20_000);
}

#[test]
fn aliases_describe_no_more_than_a_few_times_the_text() {
    let shared = "apiVersion: v1\nkind: List\nitems:\n- &n {apiVersion: v1, kind: Node, \
        metadata: {name: n}}\n";
    let few = format!("{shared}{}", "- *n\n".repeat(300));
    assert_eq!(read(&few).expect("aliases").nodes.len(), 1);

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..8 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let error = read(&bomb).expect_err("a bomb").to_string();
    assert!(
        error.contains("aliases describe many times more"),
        "{error}"
    );
}

#[test]
fn two_copies_of_an_object_must_be_equal() {
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n";
    let twice = read(&format!("{node}---\n{node}")).expect("the same twice");
    assert_eq!((twice.nodes.len(), twice.report.refused.len()), (1, 0));
    let other =
        "apiVersion: v1\nkind: Node\nmetadata: {name: n, annotations: {k8s.ovn.org/a: b}}\n";
    let both = read(&format!("{node}---\n{other}")).expect("two descriptions");
    assert_eq!(both.nodes.len(), 1);
    let error = &both.report.refused[0];
    assert!(
        matches!(error.reason(), Reason::Duplicate(Place { document: 1, .. })),
        "{error}"
    );
}
