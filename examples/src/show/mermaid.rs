//! The picture as a Mermaid flowchart, for Markdown.

use std::fmt::Write as _;

use super::{End, Network, Picture, Switch, SwitchPort};

/// Draws the chart.
#[must_use]
pub fn draw(picture: &Picture) -> String {
    let mut chart = Chart {
        text: "flowchart TB\n".to_owned(),
        boxes: 0,
    };
    for network in &picture.networks {
        chart.network(network);
    }
    chart.text
}

/// The chart drawn so far.
struct Chart {
    text: String,
    boxes: usize,
}

impl Chart {
    fn line(&mut self, depth: usize, line: &str) {
        let _ = writeln!(self.text, "{:indent$}{line}", "", indent = 2 * depth);
    }

    /// A name for a new box.
    fn id(&mut self) -> String {
        self.boxes += 1;
        format!("b{}", self.boxes)
    }

    /// A box with this label, in brackets of this shape.
    fn put(&mut self, depth: usize, (open, close): (&str, &str), label: &str) -> String {
        let id = self.id();
        self.line(depth, &format!("{id}{open}\"{}\"{close}", escaped(label)));
        id
    }

    fn network(&mut self, network: &Network) {
        let id = self.id();
        let title = format!("{} ({})", network.name, network.topology);
        self.line(1, &format!("subgraph {id}[\"{}\"]", escaped(&title)));
        let router = network.router.as_ref().map(|router| {
            let id = self.put(2, ("{{", "}}"), &router.name);
            (router, id)
        });
        for switch in &network.switches {
            let id = self.switch(switch);
            let Some((router, router_id)) = &router else {
                continue;
            };
            for port in router
                .ports
                .iter()
                .filter(|p| p.switch.as_ref() == Some(&switch.name))
            {
                let label = escaped(&port.networks.join("\n"));
                self.line(2, &format!("{router_id} ---|\"{label}\"| {id}"));
            }
        }
        self.line(1, "end");
    }

    fn switch(&mut self, switch: &Switch) -> String {
        let mut label = switch.name.clone();
        for subnet in &switch.subnets {
            label.push('\n');
            label.push_str(subnet);
        }
        let id = self.put(2, ("[", "]"), &label);
        for port in &switch.ports {
            self.port(&id, port);
        }
        id
    }

    fn port(&mut self, switch: &str, port: &SwitchPort) {
        let label = match &port.end {
            // Drawn with the router already.
            End::Router { .. } => return,
            End::Pod {
                namespace,
                name,
                node,
                ..
            } => {
                let node = node.as_deref().unwrap_or("no node");
                let addresses = port.addresses.join("\n").replace(' ', "\n");
                format!("{namespace}/{name}\non {node}\n{addresses}")
            }
            End::Localnet { network_name, vlan } => match vlan {
                Some(vlan) => format!("{network_name}\nVLAN {vlan}"),
                None => network_name.clone(),
            },
            End::Other { kind } => format!("{}\n{kind}", port.name),
        };
        let shape = match port.end {
            End::Localnet { .. } => ("[(", ")]"),
            _ => ("([", "])"),
        };
        let id = self.put(2, shape, &label);
        self.line(2, &format!("{switch} --- {id}"));
    }
}

/// The text of a label, escaped for Mermaid's quotes.
fn escaped(label: &str) -> String {
    let mut text = String::new();
    for character in label.chars() {
        match character {
            '\n' => text.push_str("<br/>"),
            '#' => text.push_str("#35;"),
            '"' => text.push_str("#quot;"),
            '<' => text.push_str("#lt;"),
            '>' => text.push_str("#gt;"),
            other => text.push(other),
        }
    }
    text
}
