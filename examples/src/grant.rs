//! The addresses that a pod has on a network: the annotation `k8s.ovn.org/pod-networks`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::addresses::{Family, Mac, MacError};

/// The annotation's key.
pub const ANNOTATION: &str = "k8s.ovn.org/pod-networks";

/// What a pod has been granted on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its MAC address.
    pub mac: Mac,
    /// Its addresses, with the prefix length of their subnet; none where nobody assigns any.
    pub addresses: Vec<IpNet>,
    /// The gateways of its default route.
    pub gateways: Vec<IpAddr>,
    /// Its other routes.
    pub routes: Vec<Route>,
}

/// A route of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub dest: IpNet,
    /// By way of which router.
    #[serde(rename = "nextHop")]
    pub next_hop: IpAddr,
}

/// One network's part of the annotation, as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entry {
    #[serde(default)]
    ip_addresses: Option<Vec<IpNet>>,
    mac_address: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gateway_ips: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip_address: Option<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway_ip: Option<IpAddr>,
}

impl Grant {
    /// The address that OVN's columns want: the MAC address and the bare addresses.
    #[must_use]
    pub fn port_address(&self) -> String {
        let mut text = self.mac.to_string();
        for address in &self.addresses {
            text.push(' ');
            text.push_str(&address.addr().to_string());
        }
        text
    }

    fn read(entry: Entry) -> Result<Self, String> {
        let addresses = merged(
            "ip_address",
            entry.ip_address,
            entry.ip_addresses.unwrap_or_default(),
        )?;
        let gateways = merged("gateway_ip", entry.gateway_ip, entry.gateway_ips)?;
        for route in &entry.routes {
            if route.dest.prefix_len() == 0 {
                return Err(format!("the route to {} must be a gateway", route.dest));
            }
            if Family::of(route.dest.addr()) != Family::of(route.next_hop) {
                return Err(format!(
                    "the route to {} leads by way of {}, of the other family",
                    route.dest, route.next_hop
                ));
            }
        }
        Ok(Self {
            mac: entry
                .mac_address
                .parse()
                .map_err(|error: MacError| error.to_string())?,
            addresses,
            gateways,
            routes: entry.routes,
        })
    }

    fn entry(&self) -> Entry {
        let only_address = match self.addresses.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let only_gateway = match self.gateways.as_slice() {
            [only] => Some(*only).filter(|_| self.addresses.len() == 1),
            _ => None,
        };
        Entry {
            ip_addresses: Some(self.addresses.clone()).filter(|list| !list.is_empty()),
            mac_address: self.mac.to_string(),
            gateway_ips: self.gateways.clone(),
            routes: self.routes.clone(),
            ip_address: only_address,
            gateway_ip: only_gateway,
        }
    }
}

/// The list, or the only one in its stead.
fn merged<T: PartialEq + Copy>(
    name: &str,
    only: Option<T>,
    list: Vec<T>,
) -> Result<Vec<T>, String> {
    match only {
        Some(only) if list.is_empty() => Ok(vec![only]),
        Some(only) if list != [only] => Err(format!("{name} contradicts the list beside it")),
        _ => Ok(list),
    }
}

/// Reads the annotation: grants by NAD.
///
/// # Errors
/// When it is malformed; the text says where and why.
pub fn read(text: &str) -> Result<BTreeMap<String, Grant>, String> {
    let entries: BTreeMap<String, Entry> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let grants = entries.into_iter().map(|(nad, entry)| {
        let grant = Grant::read(entry).map_err(|error| format!("{nad}: {error}"))?;
        Ok((nad, grant))
    });
    grants.collect()
}

/// One network's part of the annotation, as OVN-Kubernetes writes it.
#[must_use]
pub fn entry(grant: &Grant) -> serde_json::Value {
    // It has text keys only, which is all that could fail.
    serde_json::to_value(grant.entry()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn grants_are_read_and_written() {
        let text = json!({
            "kube-system/l3-network": {
                "ip_addresses": ["10.33.2.3/24"], "mac_address": "0a:58:0a:21:02:03",
                "ip_address": "10.33.2.3/24",
                "routes": [{"dest": "10.33.0.0/16", "nextHop": "10.33.2.1"}],
            },
            "a/bare": {"ip_addresses": null, "mac_address": "02:00:00:00:00:01"},
        });
        let grants = read(&text.to_string()).expect("grants");
        let grant = &grants["kube-system/l3-network"];
        assert_eq!(grant.port_address(), "0a:58:0a:21:02:03 10.33.2.3");
        assert_eq!(grants["a/bare"].port_address(), "02:00:00:00:00:01");
        for (nad, grant) in &grants {
            assert_eq!(entry(grant), text[nad]);
        }
    }

    #[test]
    fn the_old_form_is_read_and_a_contradiction_is_not() {
        let mac = "02:00:00:00:00:01";
        let old = json!({"n": {"ip_address": "10.0.0.4/24", "gateway_ip": "10.0.0.1", "mac_address": mac}});
        let grants = read(&old.to_string()).expect("the old form");
        assert_eq!(
            (grants["n"].addresses.len(), grants["n"].gateways.len()),
            (1, 1)
        );
        for entry in [
            json!({"ip_address": "10.0.0.4/24", "ip_addresses": ["10.0.0.5/24"], "mac_address": mac}),
            json!({"ip_addresses": [], "mac_address": "x"}),
            json!({"ip_addresses": ["10.0.0.4"], "mac_address": mac}),
            json!({"ip_addresses": []}),
            json!({"mac_address": mac, "routes": [{"dest": "0.0.0.0/0", "nextHop": "10.0.0.1"}]}),
            json!({"mac_address": mac, "routes": [{"dest": "10.0.0.0/8", "nextHop": "fd00::1"}]}),
        ] {
            assert!(read(&json!({"n": entry}).to_string()).is_err(), "{entry}");
        }
        assert!(read("[]").is_err());
    }
}
