//! The networks that a pod requests: the annotation `k8s.v1.cni.cncf.io/networks`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::addresses::{Mac, MacError};
use crate::field::{Field, Wrong};
use crate::json::{self, Shape};

/// The annotation's key.
pub const ANNOTATION: &str = "k8s.v1.cni.cncf.io/networks";

/// An attachment that a pod requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The NAD, `namespace/name`.
    pub nad: String,
    /// The interface's name in the pod.
    pub interface: String,
    /// The addresses that it requests.
    pub addresses: Vec<IpNet>,
    /// The MAC address that it requests.
    pub mac: Option<Mac>,
    /// The gateways of its default route, as requested.
    pub default_route: Vec<IpAddr>,
}

/// The members of an element in the JSON form. Some are for other plug-ins.
const ELEMENT: Shape = Shape::Object(&[
    ("name", Shape::Any),
    ("namespace", Shape::Any),
    ("ips", Shape::List(&Shape::Any)),
    ("mac", Shape::Any),
    ("infiniband-guid", Shape::Any),
    ("interface", Shape::Any),
    ("portMappings", Shape::Any),
    ("bandwidth", Shape::Any),
    ("cni-args", Shape::Any),
    ("default-route", Shape::List(&Shape::Any)),
    ("ipam-claim-reference", Shape::Any),
]);

/// The annotation as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selections {
    /// The pod's requests, in order.
    pub selections: Vec<Selection>,
    /// The paths of unknown members.
    pub unknown: Vec<String>,
}

/// Reads the annotation of a pod of this namespace, in either of its forms: a JSON array, or
/// `[namespace/]name[@interface]` separated by commas. Errors name the annotation by `path`.
///
/// # Errors
/// When it has neither form, or an element is malformed.
pub fn parse(path: &str, text: &str, namespace: &str) -> Result<Selections, Wrong> {
    let wrong = |reason: String| Field::new(path, None).wrong(reason);
    if text.trim().is_empty() {
        return Ok(Selections::default());
    }
    if !text.contains(['[', '{', '"']) {
        let elements = text.split(',').enumerate();
        let selections =
            elements.map(|(index, element)| short(index, element.trim(), namespace).map_err(wrong));
        return Ok(Selections {
            selections: selections.collect::<Result<_, _>>()?,
            unknown: Vec::new(),
        });
    }
    let read = json::read(text, Shape::List(&ELEMENT)).map_err(|error| wrong(error.to_string()))?;
    let elements = Field::new(path, Some(&read.value)).list()?;
    let selections = elements.iter().enumerate();
    let selections = selections.map(|(index, element)| selection(index, element, namespace));
    Ok(Selections {
        selections: selections.collect::<Result<_, _>>()?,
        unknown: read.unknown,
    })
}

/// Reads an element of the short form.
fn short(index: usize, element: &str, pod_namespace: &str) -> Result<Selection, String> {
    let (path, interface) = match element.split_once('@') {
        Some((path, interface)) => (path, Some(interface)),
        None => (element, None),
    };
    let (namespace, name) = match path.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, path),
    };
    let part = |kind, text| label(kind, text).map_err(|mistake| format!("{element:?} {mistake}"));
    let name =
        part("name", Some(name))?.ok_or("an entry has no name: is there a comma too many?")?;
    let namespace = part("namespace", namespace)?.unwrap_or(pod_namespace);
    let interface = part("interface", interface)?;
    Ok(Selection {
        nad: format!("{namespace}/{name}"),
        interface: interface.map_or_else(|| default_interface(index), str::to_owned),
        addresses: Vec::new(),
        mac: None,
        default_route: Vec::new(),
    })
}

/// A part of an element of the short form, unless it is empty.
fn label<'t>(kind: &str, text: Option<&'t str>) -> Result<Option<&'t str>, String> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match check_label(text) {
        Ok(()) => Ok(Some(text)),
        Err(mistake) => Err(format!(
            "is not [namespace/]name[@interface]: the {kind} {text:?} {mistake}"
        )),
    }
}

/// The interface name that Multus gives to an attachment without one.
fn default_interface(index: usize) -> String {
    format!("net{}", index + 1)
}

/// Explains why a text is not a DNS label in lower case.
fn check_label(text: &str) -> Result<(), String> {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let mut letters = text.chars().zip(1..);
    if let Some((letter, place)) = letters.find(|(letter, _)| !allowed(*letter) && *letter != '-') {
        return Err(format!(
            "has {letter:?} as its character {place}; lower-case letters, digits and '-' are \
             allowed (the JSON form takes other interface names)"
        ));
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("begins or ends with '-'".to_owned());
    }
    if text.len() > 63 {
        return Err("has more than 63 characters".to_owned());
    }
    Ok(())
}

/// Reads an element of the JSON form.
fn selection(index: usize, element: &Field<'_>, pod_namespace: &str) -> Result<Selection, Wrong> {
    let text = |name: &str| -> Result<Option<&str>, Wrong> {
        let text = element.member(name)?.text()?;
        Ok(text.filter(|text| !text.is_empty()))
    };
    let Some(name) = text("name")? else {
        return Err(element
            .member("name")?
            .must_be("the name of a NetworkAttachmentDefinition"));
    };
    let namespace = text("namespace")?.unwrap_or(pod_namespace);
    let mac = element.member("mac")?;
    let addresses = element.member("ips")?.list()?.into_iter().map(|ip| {
        let bare = ip.text()?.and_then(|text| text.parse::<IpAddr>().ok());
        // An address without a prefix length becomes a network of one address (/32 or /128).
        bare.map_or_else(
            || ip.required("an address such as 10.1.0.5/24"),
            |ip| Ok(ip.into()),
        )
    });
    let routes = element.member("default-route")?.list()?;
    let routes = routes
        .iter()
        .map(|route| route.required("an address such as 10.1.0.1"));
    Ok(Selection {
        nad: format!("{namespace}/{name}"),
        interface: text("interface")?.map_or_else(|| default_interface(index), str::to_owned),
        addresses: addresses.collect::<Result<_, _>>()?,
        mac: match text("mac")? {
            Some(text) => Some(
                text.parse()
                    .map_err(|error: MacError| mac.wrong(error.to_string()))?,
            ),
            None => None,
        },
        default_route: routes.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<Selection> {
        parse("networks", text, "default").expect(text).selections
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
            assert!(parse("networks", text, "default").is_err(), "{text}");
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
            panic!("expected two networks, got {selections:?}");
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
            assert!(parse("networks", text, "default").is_err(), "{text}");
        }
    }

    #[test]
    fn names_match_in_any_case_and_null_is_absent() {
        let read = parse(
            "networks",
            r#"[{"Name": "n", "Interface": "eth5", "IPs": null, "mac": null, "namespace": null,
                "default-route": null, "cni-args": null, "interfaceName": "eth6"}]"#,
            "default",
        );
        let read = read.expect("a selection");
        assert_eq!(read.selections, parsed("n@eth5"));
        assert_eq!(read.unknown, ["[0].interfaceName"]);
    }

    #[test]
    fn mistakes_are_reported_with_their_place() {
        for (text, message) in [
            (
                "n@eth0.100",
                "networks: \"n@eth0.100\" is not [namespace/]name[@interface]: the interface \
                 \"eth0.100\" has '.' as its character 5; lower-case letters, digits and '-' are \
                 allowed (the JSON form takes other interface names)",
            ),
            (
                "a,,b",
                "networks: an entry has no name: is there a comma too many?",
            ),
            (
                r#"[{"name": "n", "ips": "10.0.0.5/24"}]"#,
                "networks[0].ips: must be a list, not \"10.0.0.5/24\"",
            ),
            (
                r#"[{"name": "n"}, {"name": 5}]"#,
                "networks[1].name: must be a string, not the number 5",
            ),
            (
                r#"[{"name": "n", "mac": "02:00"}]"#,
                "networks[0].mac: \"02:00\" is not a MAC address such as 02:00:5e:10:00:01, \
                 02-00-5e-10-00-01 or 0200.5e10.0001",
            ),
            (
                r#"{"name": "n"}"#,
                "networks: must be a list, not a mapping",
            ),
            (
                r#"[{"name": "n",}]"#,
                "networks: not JSON: trailing comma (line 1, column 15 of the text)",
            ),
        ] {
            let wrong = parse("networks", text, "default").expect_err(text);
            assert_eq!(wrong.to_string(), message);
        }
    }
}
