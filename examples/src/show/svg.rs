//! The picture as an SVG document: a band for each network, with a frame for each node, which contains the
//! node's pods. The router or, in a network without one, the switches are above the frames. In a network
//! with a router, each frame also contains the node's switch.

use std::collections::BTreeMap;

use svg::node::element::{Circle, Line, Rectangle, Style, Text, Title};
use svg::{Document, Node as _};

use super::{End, Network, Picture, RouterPort, Switch, SwitchPort};

/// A character's width: the font is monospaced, so that widths are known.
const CHARACTER: f64 = 7.3;
/// The height of a line of text.
const LINE: f64 = 16.0;
/// The space around a text in its box.
const PADDING: f64 = 8.0;
/// The space between boxes.
const GAP: f64 = 14.0;
/// The space between rows of boxes, for the lines that join them.
const LEVEL: f64 = 34.0;
/// How many pods of a node are drawn below each other; further ones are drawn beside them.
const PODS_BELOW: usize = 8;

const STYLE: &str = "text { font: 12px 'DejaVu Sans Mono', monospace; fill: #1b1f24 } \
    .title { font-weight: bold; font-size: 15px } .minor { fill: #57606a } \
    .band { fill: #f6f8fa; stroke: #d0d7de } .node { fill: #fff; stroke: #8c959f; \
    stroke-dasharray: 5 4 } .router { fill: #ddf4ff; stroke: #0969da } \
    .switch { fill: #dafbe1; stroke: #1a7f37 } .pod { fill: #fff8c5; stroke: #9a6700 } \
    .physical { fill: #ffefe7; stroke: #bc4c00 } line { stroke: #57606a; stroke-width: 1.5 } \
    .up { fill: #1a7f37 } .down { fill: #afb8c1 }";

/// Draws the document.
#[must_use]
pub fn draw(picture: &Picture) -> String {
    let bands: Vec<Band> = picture.networks.iter().map(Band::new).collect();
    let width = bands.iter().map(|band| band.width).fold(200.0, f64::max) + 2.0 * GAP;
    let mut canvas = Canvas(Document::new().add(Style::new(STYLE)));
    let mut y = GAP;
    for band in &bands {
        canvas.rectangle("band", GAP, y, width - 2.0 * GAP, band.height, 6.0);
        band.draw(&mut canvas, GAP, y);
        y += band.height + GAP;
    }
    let size = (width.ceil(), y.ceil());
    let document = canvas.0.set("viewBox", (0.0, 0.0, size.0, size.1));
    let document = document.set("width", size.0).set("height", size.1);
    format!("{document}\n")
}

/// The document drawn so far.
struct Canvas(Document);

impl Canvas {
    fn add(&mut self, node: impl Into<Box<dyn svg::Node>>) {
        self.0.append(node);
    }

    fn rectangle(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64, round: f64) {
        let rectangle = Rectangle::new().set("class", class).set("x", x).set("y", y);
        let rectangle = rectangle.set("width", width).set("height", height);
        self.add(rectangle.set("rx", round));
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(
            Line::new()
                .set("x1", x1)
                .set("y1", y1)
                .set("x2", x2)
                .set("y2", y2),
        );
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        self.add(Text::new(text).set("class", class).set("x", x).set("y", y));
    }

    /// A box with lines of text, the first of which is its name.
    fn label(&mut self, class: &str, x: f64, y: f64, label: &Label, width: f64) {
        self.rectangle(class, x, y, width, label.height(), 4.0);
        for (at, line) in label.0.iter().enumerate() {
            let class = if at == 0 { "" } else { "minor" };
            let baseline = y + PADDING + LINE * (at as f64 + 0.75);
            self.text(class, x + PADDING, baseline, line);
        }
    }
}

/// The text of a box.
struct Label(Vec<String>);

impl Label {
    fn width(&self) -> f64 {
        let longest = self
            .0
            .iter()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0);
        longest as f64 * CHARACTER + 2.0 * PADDING
    }

    fn height(&self) -> f64 {
        self.0.len() as f64 * LINE + 2.0 * PADDING
    }
}

/// The part of a network on one node.
struct Column {
    node: String,
    /// In a layer3 network, the router's port and the node's switch.
    above: Vec<(&'static str, Label)>,
    pods: Vec<(Label, Option<bool>)>,
    width: f64,
    height: f64,
}

/// A network, measured for drawing.
struct Band {
    title: String,
    /// The boxes above the nodes' frames, below each other.
    above: Vec<(&'static str, Label)>,
    columns: Vec<Column>,
    width: f64,
    height: f64,
}

impl Band {
    fn new(network: &Network) -> Self {
        let unfinished = if network.finished == Some(false) {
            ", unfinished"
        } else {
            ""
        };
        let title = format!("{} ({}{unfinished})", network.name, network.topology);
        let (above, columns) = match &network.router {
            Some(router) => {
                let columns = network.switches.iter().map(|switch| {
                    let mut ports = router.ports.iter();
                    let port = ports.find(|port| port.switch.as_ref() == Some(&switch.name));
                    Column::routed(switch, port)
                });
                let label = Label(vec![router.name.clone()]);
                (vec![("router", label)], columns.collect())
            }
            None => (switches(network), nodes(network)),
        };
        Self::measured(title, above, columns)
    }

    fn measured(title: String, above: Vec<(&'static str, Label)>, columns: Vec<Column>) -> Self {
        let row: f64 = columns.iter().map(|column| column.width + GAP).sum();
        let widest = above
            .iter()
            .map(|(_, label)| label.width())
            .fold(row - GAP, f64::max);
        let widest = widest.max(title.chars().count() as f64 * CHARACTER * 1.25);
        let boxes: f64 = above.iter().map(|(_, label)| label.height() + LEVEL).sum();
        let tallest = columns
            .iter()
            .map(|column| column.height)
            .fold(0.0, f64::max);
        Self {
            title,
            above,
            columns,
            width: widest + 2.0 * GAP,
            height: 2.0 * LINE + boxes + tallest + GAP,
        }
    }

    fn draw(&self, canvas: &mut Canvas, x: f64, y: f64) {
        let (x, width) = (x + GAP, self.width - 2.0 * GAP);
        canvas.text("title", x, y + 1.4 * LINE, &self.title);
        let mut y = y + 2.0 * LINE;
        // Where the line to the next box begins.
        let mut joint: Option<(f64, f64)> = None;
        for (class, label) in &self.above {
            let box_width = if *class == "physical" {
                label.width()
            } else {
                width
            };
            if let Some(joint) = joint {
                canvas.line(joint, (joint.0, y));
            }
            canvas.label(class, x, y, label, box_width);
            y += label.height();
            joint = Some((x + 3.0 * PADDING, y));
            y += LEVEL;
        }
        let from = y - LEVEL;
        let mut x = x;
        for column in &self.columns {
            column.draw(canvas, x, y);
            if !self.above.is_empty() {
                let trunk = x + GAP + PADDING / 2.0;
                canvas.line((trunk, from), (trunk, y + Column::ENTRY));
            }
            x += column.width + GAP;
        }
    }
}

/// The boxes above the nodes of a network without a router: the physical networks that its switches
/// lead to, and the switches.
fn switches(network: &Network) -> Vec<(&'static str, Label)> {
    let mut boxes = Vec::new();
    for switch in &network.switches {
        for port in &switch.ports {
            if let End::Localnet { network_name, vlan } = &port.end {
                let vlan = vlan.map(|vlan| format!("VLAN {vlan}"));
                let lines = [Some(format!("physical network {network_name}")), vlan];
                boxes.push(("physical", Label(lines.into_iter().flatten().collect())));
            }
        }
    }
    boxes.extend(
        network
            .switches
            .iter()
            .map(|switch| ("switch", switch_label(switch))),
    );
    boxes
}

/// The pods of a network without a router, by their nodes.
fn nodes(network: &Network) -> Vec<Column> {
    let mut nodes: BTreeMap<&str, Vec<&SwitchPort>> = BTreeMap::new();
    for port in network.switches.iter().flat_map(|switch| &switch.ports) {
        match &port.end {
            End::Pod { node, .. } => {
                nodes
                    .entry(node.as_deref().unwrap_or("no node"))
                    .or_default()
                    .push(port);
            }
            End::Other { .. } => nodes.entry("no node").or_default().push(port),
            End::Router { .. } | End::Localnet { .. } => {}
        }
    }
    nodes
        .into_iter()
        .map(|(node, pods)| Column::new(node, Vec::new(), &pods))
        .collect()
}

fn switch_label(switch: &Switch) -> Label {
    let mut lines = vec![switch.name.clone()];
    lines.extend(switch.subnets.iter().cloned());
    Label(lines)
}

impl Column {
    /// The distance from the frame's top to its boxes.
    const ENTRY: f64 = 2.0 * LINE;

    fn routed(switch: &Switch, port: Option<&RouterPort>) -> Self {
        let mut above = Vec::new();
        if let Some(port) = port {
            let mut lines = vec![port.name.clone()];
            lines.extend(port.networks.iter().cloned());
            lines.push(port.mac.clone());
            above.push(("router", Label(lines)));
        }
        above.push(("switch", switch_label(switch)));
        let pods = switch.ports.iter();
        let pods: Vec<_> = pods
            .filter(|port| !matches!(port.end, End::Router { .. }))
            .collect();
        Self::new(switch.node.as_deref().unwrap_or("no node"), above, &pods)
    }

    fn new(node: &str, above: Vec<(&'static str, Label)>, pods: &[&SwitchPort]) -> Self {
        let pods: Vec<_> = pods.iter().map(|port| (pod_label(port), port.up)).collect();
        let mut column = Self {
            node: format!("node {node}"),
            above,
            pods,
            width: 0.0,
            height: 0.0,
        };
        let title = column.node.chars().count() as f64 * CHARACTER;
        let boxes = column
            .above
            .iter()
            .map(|(_, label)| label.width())
            .fold(title, f64::max);
        let stacks: Vec<(f64, f64)> = column.stacks().collect();
        let beside: f64 = stacks.iter().map(|(width, _)| width + GAP).sum();
        let tallest = stacks.iter().map(|(_, height)| *height).fold(0.0, f64::max);
        // The line from above passes beside the title.
        column.width = boxes.max(beside).max(title + 2.0 * GAP) + 2.0 * GAP;
        column.height = Self::ENTRY + column.boxes() + tallest + GAP;
        column
    }

    /// The widths and heights of the stacks of pods.
    fn stacks(&self) -> impl Iterator<Item = (f64, f64)> {
        self.pods.chunks(PODS_BELOW).map(|stack| {
            let width = stack
                .iter()
                .map(|(label, _)| label.width())
                .fold(0.0, f64::max);
            let height = stack.iter().map(|(label, _)| label.height() + GAP).sum();
            // The trunk line of the pods is beside them.
            (width + GAP, height)
        })
    }

    /// The height of the boxes above the pods, with the gaps below them.
    fn boxes(&self) -> f64 {
        self.above
            .iter()
            .map(|(_, label)| label.height() + GAP)
            .sum()
    }

    fn draw(&self, canvas: &mut Canvas, x: f64, y: f64) {
        canvas.rectangle("node", x, y, self.width, self.height, 8.0);
        let title = self.node.chars().count() as f64 * CHARACTER;
        canvas.text(
            "minor",
            x + self.width - title - GAP,
            y + 1.3 * LINE,
            &self.node,
        );
        let (x, width) = (x + GAP, self.width - 2.0 * GAP);
        let mut y = y + Self::ENTRY;
        for (at, (class, label)) in self.above.iter().enumerate() {
            canvas.label(class, x, y, label, width);
            y += label.height();
            if at + 1 < self.above.len() {
                canvas.line((x + PADDING / 2.0, y), (x + PADDING / 2.0, y + GAP));
            }
            y += GAP;
        }
        let top = y - if self.above.is_empty() { 0.0 } else { GAP };
        let mut x = x;
        for (stack, (width, _)) in self.pods.chunks(PODS_BELOW).zip(self.stacks()) {
            let trunk = x + PADDING / 2.0;
            let mut pod_y = y;
            let mut last = top;
            for (label, up) in stack {
                let middle = pod_y + label.height() / 2.0;
                canvas.line((trunk, middle), (x + GAP, middle));
                pod(canvas, x + GAP, pod_y, label, width - GAP, *up);
                last = middle;
                pod_y += label.height() + GAP;
            }
            canvas.line((trunk, top), (trunk, last));
            x += width + GAP;
        }
    }
}

fn pod(canvas: &mut Canvas, x: f64, y: f64, label: &Label, width: f64, up: Option<bool>) {
    canvas.label("pod", x, y, label, width);
    let (class, says) = match up {
        Some(true) => ("up", "up"),
        _ => ("down", "not up"),
    };
    let dot = Circle::new().set("class", class).set("r", 4);
    let dot = dot.set("cx", x + width - PADDING).set("cy", y + PADDING);
    canvas.add(dot.add(Title::new(says)));
}

fn pod_label(port: &SwitchPort) -> Label {
    let mut lines = vec![match &port.end {
        End::Pod {
            namespace, name, ..
        } => format!("{namespace}/{name}"),
        _ => port.name.clone(),
    }];
    let words = port.addresses.iter().flat_map(|address| address.split(' '));
    lines.extend(words.map(str::to_owned));
    // Space for the dot.
    lines[0].push_str("  ");
    Label(lines)
}
