//! The addresses that a pod has on a network: the annotation `k8s.ovn.org/pod-networks`.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::addresses::{Family, Mac, MacError};
use crate::field::{Field, Wrong};
use crate::json::{self, Shape};

/// The annotation's key.
pub const ANNOTATION: &str = "k8s.ovn.org/pod-networks";

/// What was granted to a pod on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its MAC address.
    pub mac: Mac,
    /// Its addresses, with the prefix length of their subnet; empty if it has none.
    pub addresses: Vec<IpNet>,
    /// The gateways of its default route.
    pub gateways: Vec<IpAddr>,
    /// Its other routes.
    pub routes: Vec<Route>,
}

/// A route of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The destination network.
    pub dest: IpNet,
    /// The next hop; `None` if the destination is on the link.
    pub next_hop: Option<IpAddr>,
}

/// The annotation: one entry for each attachment, and one for the cluster's default network.
const ENTRIES: Shape = Shape::Map(&Shape::Object(&[
    ("ip_addresses", Shape::List(&Shape::Any)),
    ("mac_address", Shape::Any),
    ("gateway_ips", Shape::List(&Shape::Any)),
    (
        "routes",
        Shape::List(&Shape::Object(&[
            ("dest", Shape::Any),
            ("nextHop", Shape::Any),
        ])),
    ),
    ("ip_address", Shape::Any),
    ("gateway_ip", Shape::Any),
    ("ipv6_lla_gateway_ip", Shape::Any),
    ("tunnel_id", Shape::Any),
    ("role", Shape::Any),
    ("ipam_mode", Shape::Any),
]));

impl Grant {
    /// The address in the form of OVN's columns: the MAC address, followed by the addresses without
    /// prefix lengths.
    #[must_use]
    pub fn port_address(&self) -> String {
        let mut text = self.mac.to_string();
        for address in &self.addresses {
            text.push(' ');
            text.push_str(&address.addr().to_string());
        }
        text
    }

    fn read(entry: &Field<'_>) -> Result<Self, Wrong> {
        let mac = entry.member("mac_address")?;
        let parsed = mac.required_text()?.parse();
        let parsed = parsed.map_err(|error: MacError| mac.wrong(error.to_string()))?;
        let address = "an address with the length of its prefix, such as 10.1.0.5/24";
        let routes = entry.member("routes")?.list()?;
        Ok(Self {
            mac: parsed,
            addresses: merged(entry, "ip_address", "ip_addresses", address)?,
            gateways: merged(entry, "gateway_ip", "gateway_ips", "an address")?,
            routes: routes.iter().map(Route::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Route {
    fn read(route: &Field<'_>) -> Result<Self, Wrong> {
        let field = route.member("dest")?;
        let dest: IpNet = field.required("a network such as 10.1.0.0/16")?;
        if dest.addr().is_unspecified() {
            return Err(field.wrong(format!("a route to {dest} must be given in gateway_ips")));
        }
        let field = route.member("nextHop")?;
        let next_hop: Option<IpAddr> = field.parsed("an address")?;
        if let Some(next_hop) = next_hop
            && Family::of(next_hop) != Family::of(dest.addr())
        {
            return Err(field.wrong(format!("{next_hop} is not of the same family as {dest}")));
        }
        Ok(Self {
            dest: dest.trunc(),
            next_hop,
        })
    }

    fn entry(&self) -> Value {
        let next_hop = self.next_hop.map(|address| address.to_string());
        json!({"dest": self.dest, "nextHop": next_hop.unwrap_or_default()})
    }
}

/// The values of the field `list`, or else the single value of the field `only`. If both are given,
/// the single value must be the first of the list.
fn merged<T: FromStr + PartialEq>(
    entry: &Field<'_>,
    only: &str,
    list: &str,
    expected: &str,
) -> Result<Vec<T>, Wrong> {
    let only = entry.member(only)?;
    let elements = entry.member(list)?.list()?;
    let mut values = elements
        .iter()
        .map(|element| element.required(expected))
        .collect::<Result<Vec<T>, _>>()?;
    if let Some(value) = only.parsed::<T>(expected)? {
        match values.first() {
            None => values.push(value),
            Some(first) if *first != value => {
                return Err(only.wrong(format!("is not the first of {list}")));
            }
            Some(_) => {}
        }
    }
    Ok(values)
}

/// The annotation as it was read. An entry is parsed only when it is asked for, so an error in one does
/// not affect the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    path: String,
    entries: Value,
    /// The paths of unknown members.
    pub unknown: Vec<String>,
}

impl Grants {
    /// Reads the annotation's text; errors name the annotation by `path`.
    ///
    /// # Errors
    /// When it is neither empty, `null` nor a JSON object.
    pub fn read(path: &str, text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |error: json::Syntax| Field::new(path, None).wrong(error.to_string());
        let read = json::read(text, ENTRIES).map_err(wrong)?;
        Field::new(path, Some(&read.value)).entries()?;
        Ok(Self {
            path: path.to_owned(),
            entries: read.value,
            unknown: read.unknown,
        })
    }

    /// The grant for an attachment.
    ///
    /// # Errors
    /// When its entry is malformed.
    pub fn get(&self, key: &str) -> Result<Option<Grant>, Wrong> {
        let entry = self.entries.get(key).filter(|entry| !entry.is_null());
        let entry = entry.map(|entry| Field::new(format!("{}[{key:?}]", self.path), Some(entry)));
        entry.map(|entry| Grant::read(&entry)).transpose()
    }
}

/// One network's part of the annotation, as OVN-Kubernetes writes it.
#[must_use]
pub fn entry(grant: &Grant) -> Value {
    let mut entry = Map::new();
    let addresses = Some(&grant.addresses).filter(|list| !list.is_empty());
    entry.insert("ip_addresses".into(), json!(addresses));
    entry.insert("mac_address".into(), json!(grant.mac.to_string()));
    if !grant.gateways.is_empty() {
        entry.insert("gateway_ips".into(), json!(grant.gateways));
    }
    if !grant.routes.is_empty() {
        entry.insert(
            "routes".into(),
            grant.routes.iter().map(Route::entry).collect(),
        );
    }
    if let [only] = grant.addresses.as_slice() {
        entry.insert("ip_address".into(), json!(only));
        if let [only] = grant.gateways.as_slice() {
            entry.insert("gateway_ip".into(), json!(only));
        }
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &Value, key: &str) -> Result<Grant, Wrong> {
        let grants = Grants::read("pod-networks", &text.to_string())?;
        Ok(grants.get(key)?.expect("an entry"))
    }

    #[test]
    fn grants_are_read_and_written() {
        let text = json!({
            "kube-system/l3-network": {
                "ip_addresses": ["10.33.2.3/24"], "mac_address": "0a:58:0a:21:02:03",
                "ip_address": "10.33.2.3/24",
                "routes": [{"dest": "10.33.0.0/16", "nextHop": "10.33.2.1"},
                    {"dest": "10.34.0.0/16", "nextHop": ""}],
            },
            "a/bare": {"ip_addresses": null, "mac_address": "02:00:00:00:00:01"},
        });
        for (key, address) in [
            ("kube-system/l3-network", "0a:58:0a:21:02:03 10.33.2.3"),
            ("a/bare", "02:00:00:00:00:01"),
        ] {
            let grant = read(&text, key).expect(key);
            assert_eq!(grant.port_address(), address);
            assert_eq!(entry(&grant), text[key]);
        }
    }

    #[test]
    fn members_have_any_case_and_null_is_absent() {
        let text = json!({"default": {"mac_address": 5}, "n": {
            "IP_addresses": ["10.0.0.4/24"], "MAC_Address": "02-00-00-00-00-01", "role": "secondary",
            "gateway_ips": null, "routes": null, "ip_address": null, "gateway_ip": null, "vlan": 5,
        }});
        let grant = read(&text, "n").expect("a grant");
        assert_eq!(grant.port_address(), "02:00:00:00:00:01 10.0.0.4");
        let grants = Grants::read("pod-networks", &text.to_string()).expect("grants");
        assert_eq!(grants.unknown, [r#"["n"].vlan"#]);
        assert_eq!(grants.get("absent"), Ok(None));
    }

    #[test]
    fn the_old_form_is_read_and_a_contradiction_is_not() {
        let mac = "02:00:00:00:00:01";
        let old = json!({"n": {"ip_address": "10.0.0.4/24", "gateway_ip": "10.0.0.1", "mac_address": mac}});
        let grant = read(&old, "n").expect("the old form");
        assert_eq!((grant.addresses.len(), grant.gateways.len()), (1, 1));
        for (entry, message) in [
            (
                json!({"ip_address": "10.0.0.4/24", "ip_addresses": ["10.0.0.5/24"], "mac_address": mac}),
                ".ip_address: is not the first of ip_addresses",
            ),
            (
                json!({"ip_addresses": [], "mac_address": "x"}),
                ".mac_address: \"x\" is not a MAC address such as 02:00:5e:10:00:01, \
                 02-00-5e-10-00-01 or 0200.5e10.0001",
            ),
            (
                json!({"ip_addresses": ["10.0.0.4"], "mac_address": mac}),
                ".ip_addresses[0]: must be an address with the length of its prefix, such as \
                 10.1.0.5/24, not \"10.0.0.4\"",
            ),
            (
                json!({"ip_addresses": []}),
                ".mac_address: is missing; it must be a string",
            ),
            (
                json!({"mac_address": mac, "routes": [{"dest": "0.0.0.0/0", "nextHop": "10.0.0.1"}]}),
                ".routes[0].dest: a route to 0.0.0.0/0 must be given in gateway_ips",
            ),
            (
                json!({"mac_address": mac, "routes": [{"dest": "10.0.0.0/8", "nextHop": "fd00::1"}]}),
                ".routes[0].nextHop: fd00::1 is not of the same family as 10.0.0.0/8",
            ),
        ] {
            let wrong = read(&json!({"n": entry}), "n").expect_err("wrong");
            assert_eq!(wrong.to_string(), format!(r#"pod-networks["n"]{message}"#));
        }
        let wrong = Grants::read("pod-networks", "[]").expect_err("a list");
        assert_eq!(
            wrong.to_string(),
            "pod-networks: must be a mapping, not a list"
        );
    }
}
