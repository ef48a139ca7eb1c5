//! The pictures: their contents, and that nothing covers anything else.

mod support;

use std::fmt::Write as _;

use ovsdb::testing::Server;
use support::{manifest, on, server, write};
use svg::node::element::tag::Type;
use svg::parser::Event;

/// The sample networks, with twelve pods on three nodes, each on all networks.
fn applied() -> Server {
    let server = server("bundled");
    let mut text = String::new();
    for (number, node) in (0..12).zip(["master001", "work001", "work002"].iter().cycle()) {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a-pod-with-a-longer-name-{number}, \
             uid: 'u', annotations: {{k8s.v1.cni.cncf.io/networks: 'kube-system/l3-network, \
             kube-system/l2-network, kube-system/localnet-network'}}}}\nspec: {{nodeName: {node}}}\n"
        );
    }
    let pods = write(&server, "pods.yaml", &text);
    let folder = manifest("").display().to_string();
    on(&server, "apply", &["-f", &folder, "-f", &pods]).succeeded();
    server
}

/// A rectangle of the document.
#[derive(Debug, Clone)]
struct Area {
    class: String,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right >= other.right
            && self.bottom >= other.bottom
    }
}

#[test]
fn nothing_in_the_document_overlaps() {
    let server = applied();
    let document = on(&server, "show", &["--format", "svg"]).succeeded();
    let (mut areas, mut texts) = (Vec::new(), Vec::new());
    let mut place = None;
    for event in svg::read(&document).expect("a document") {
        match event {
            Event::Tag("rect", _, attributes) => {
                let number = |name: &str| -> f64 { attributes[name].parse().expect("a number") };
                let (left, top) = (number("x"), number("y"));
                areas.push(Area {
                    class: attributes["class"].to_string(),
                    left,
                    top,
                    right: left + number("width"),
                    bottom: top + number("height"),
                });
            }
            Event::Tag("text", Type::Start, attributes) => {
                let number = |name: &str| -> f64 { attributes[name].parse().expect("a number") };
                place = Some((number("x"), number("y")));
            }
            Event::Text(text) => {
                if let Some((left, baseline)) = place.take() {
                    texts.push(Area {
                        class: text.to_owned(),
                        left,
                        top: baseline - 9.0,
                        // For a title, this is less than its width: its letters are larger.
                        right: left + text.chars().count() as f64 * 7.23,
                        bottom: baseline + 3.0,
                    });
                }
            }
            Event::Error(error) => panic!("{error}"),
            _ => {}
        }
    }
    let boxes: Vec<&Area> = areas
        .iter()
        .filter(|area| !["band", "node"].contains(&area.class.as_str()))
        .collect();
    let of = |class: &str| {
        areas
            .iter()
            .filter(|area| area.class == class)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("band").len(), of("node").len(), of("pod").len()),
        (3, 9, 3 * 12 + 6)
    );
    for (at, one) in boxes.iter().enumerate() {
        for other in &boxes[at + 1..] {
            assert!(!one.overlaps(other), "{one:?} and {other:?}");
        }
        assert!(
            of("band").iter().any(|band| band.holds(one)),
            "{one:?} is in no band"
        );
    }
    for pod in of("pod") {
        assert!(
            of("node").iter().any(|node| node.holds(pod)),
            "{pod:?} is in no node"
        );
    }
    for (at, one) in texts.iter().enumerate() {
        for other in &texts[at + 1..] {
            assert!(!one.overlaps(other), "{one:?} and {other:?}");
        }
        let around = areas.iter().filter(|area| area.overlaps(one));
        for area in around {
            assert!(area.holds(one), "{one:?} sticks out of {area:?}");
        }
    }
    assert!(
        texts
            .iter()
            .any(|text| text.class.contains("a-pod-with-a-longer-name-11"))
    );
}

#[test]
fn the_chart_has_every_row_once() {
    let server = applied();
    let chart = on(
        &server,
        "show",
        &["--format", "mermaid", "--network", "l3-network"],
    )
    .succeeded();
    assert!(
        chart.starts_with("flowchart TB\n  subgraph b1[\"l3-network (layer3)\"]\n"),
        "{chart}"
    );
    assert_eq!(chart.matches("subgraph").count(), 1);
    for text in [
        "{{\"l3.network_ovn_cluster_router\"}}",
        "[\"l3.network_work001<br/>10.33.2.0/24\"]",
        " ---|\"10.33.2.1/24\"| ",
        "([\"default/nginx1-l3<br/>on work001<br/>0a:58:0a:21:02:03<br/>10.33.2.3\"])",
    ] {
        assert_eq!(chart.matches(text).count(), 1, "{text} in\n{chart}");
    }
    let localnet = on(
        &server,
        "show",
        &["--format", "mermaid", "--network", "localnet-network"],
    );
    assert!(
        localnet
            .succeeded()
            .contains("[(\"localnet.network_br-localnet\")]")
    );
}

#[test]
fn texts_cannot_break_out_of_the_picture() {
    let server = server("bundled");
    let name = "a\"><b>&c";
    let config = serde_json::json!({"name": name, "type": "ovn-k8s-cni-overlay",
        "topology": "layer2", "netAttachDefName": "ns/nad"});
    let nad = serde_json::json!({"apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition", "metadata": {"name": "nad", "namespace": "ns"},
        "spec": {"config": config.to_string()}});
    let file = write(&server, "network.json", &nad.to_string());
    on(&server, "apply", &["-f", &file]).succeeded();
    let svg = on(&server, "show", &["--format", "svg"]).succeeded();
    assert!(!svg.contains("<b>"), "{svg}");
    assert!(svg.contains("&lt;b&gt;&amp;c"), "{svg}");
    let chart = on(&server, "show", &["--format", "mermaid"]).succeeded();
    assert!(
        !chart.contains("<b>") && chart.contains("a#quot;#gt;#lt;b#gt;"),
        "{chart}"
    );
}
