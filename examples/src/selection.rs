//! Which networks a pod asks for: the annotation `k8s.v1.cni.cncf.io/networks`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::addresses::Mac;

/// The annotation's key.
pub const ANNOTATION: &str = "k8s.v1.cni.cncf.io/networks";

/// One attachment that a pod asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The NAD, `namespace/name`.
    pub nad: String,
    /// The interface's name in the pod.
    pub interface: String,
    /// Addresses that it asks for.
    pub addresses: Vec<IpNet>,
    /// The MAC address that it asks for.
    pub mac: Option<Mac>,
    /// The gateways that are to be its default route.
    pub default_route: Vec<IpAddr>,
}

/// An element of the JSON form. Members that do not matter here are passed over.
#[derive(Debug, Deserialize)]
struct Element {
    name: String,
    namespace: Option<String>,
    interface: Option<String>,
    #[serde(default)]
    ips: Vec<String>,
    mac: Option<String>,
    #[serde(default, rename = "default-route")]
    default_route: Vec<IpAddr>,
}

/// Reads the annotation of a pod of this namespace, in either of its forms: a JSON array, or
/// `[namespace/]name[@interface]` separated by commas.
///
/// # Errors
/// When it has neither form; the text says why.
pub fn parse(text: &str, namespace: &str) -> Result<Vec<Selection>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let elements: Vec<Element> = if text.contains(['[', '{', '"']) {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        text.split(',').map(short).collect::<Result<_, _>>()?
    };
    let selections = elements.into_iter().enumerate();
    selections
        .map(|(index, element)| selection(index, element, namespace))
        .collect()
}

/// An element of the short form.
fn short(item: &str) -> Result<Element, String> {
    let item = item.trim();
    let (path, interface) = match item.split_once('@') {
        Some((path, interface)) => (path, Some(interface)),
        None => (item, None),
    };
    let (namespace, name) = match path.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, path),
    };
    let part = |text: &str| -> Result<Option<String>, String> {
        let text = text.trim();
        if text.is_empty() || is_label(text) {
            Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
        } else {
            Err(format!("{item:?} is not [namespace/]name[@interface]"))
        }
    };
    Ok(Element {
        name: part(name)?.unwrap_or_default(),
        namespace: namespace.map_or(Ok(None), part)?,
        interface: interface.map_or(Ok(None), part)?,
        ips: Vec::new(),
        mac: None,
        default_route: Vec::new(),
    })
}

/// Whether a text is a DNS label in lower case.
fn is_label(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 63 && text.bytes().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

fn selection(index: usize, element: Element, pod_namespace: &str) -> Result<Selection, String> {
    if element.name.is_empty() {
        return Err("a network without a name".to_owned());
    }
    let namespace = element.namespace.filter(|namespace| !namespace.is_empty());
    let namespace = namespace.as_deref().unwrap_or(pod_namespace);
    let interface = element.interface.filter(|interface| !interface.is_empty());
    let mac = element.mac.filter(|mac| !mac.is_empty());
    Ok(Selection {
        nad: format!("{namespace}/{}", element.name),
        interface: interface.unwrap_or_else(|| format!("net{}", index + 1)),
        addresses: element
            .ips
            .iter()
            .map(|ip| address(ip))
            .collect::<Result<_, _>>()?,
        mac: mac
            .map(|mac| mac.parse::<Mac>().map_err(|error| error.to_string()))
            .transpose()?,
        default_route: element.default_route,
    })
}

/// An address with its prefix length; one without it is the only one of its network.
fn address(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{text:?} is not an address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<Selection> {
        parse(text, "default").expect(text)
    }

    #[test]
    fn the_short_form_is_a_list_of_names() {
        let selections = parsed(" kube-system/l3-network@eth1 , other,a/b");
        let shown = selections
            .iter()
            .map(|s| format!("{}@{}", s.nad, s.interface));
        let expected = [
            "kube-system/l3-network@eth1",
            "default/other@net2",
            "a/b@net3",
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        assert_eq!(parsed("  "), []);
        for text in ["a/b/c", "a@b@c", "A", "a,,b", "a,", "-a", "a_b", "/"] {
            assert!(parse(text, "default").is_err(), "{text}");
        }
    }

    #[test]
    fn the_json_form_has_requests() {
        let selections = parsed(
            r#"[{"name": "n", "namespace": "s", "ips": ["10.0.0.5/24", "fd00::5/64", "10.0.0.6"],
                "mac": "02:03:04:05:06:07", "default-route": ["10.0.0.1"], "cni-args": {"x": 1}},
                {"name": "m", "interface": "eth7"}]"#,
        );
        let [first, second] = selections.as_slice() else {
            panic!("two networks, not {selections:?}");
        };
        assert_eq!(
            (first.nad.as_str(), first.interface.as_str()),
            ("s/n", "net1")
        );
        assert_eq!(
            (second.nad.as_str(), second.interface.as_str()),
            ("default/m", "eth7")
        );
        assert_eq!(first.addresses[2].to_string(), "10.0.0.6/32");
        assert_eq!(
            first.mac.map(|mac| mac.to_string()).as_deref(),
            Some("02:03:04:05:06:07")
        );
        assert_eq!(first.default_route.len(), 1);
        for text in [
            r#"[{"namespace": "s"}]"#,
            r#"[{"name": ""}]"#,
            r#"[{"name": "n", "ips": ["x"]}]"#,
            r#"[{"name": "n", "mac": "x"}]"#,
            r#"{"name": "n"}"#,
            "[",
        ] {
            assert!(parse(text, "default").is_err(), "{text}");
        }
    }
}
