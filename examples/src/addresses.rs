//! Address arithmetic and MAC addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

/// An IP family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// An address's family.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The bits of an address.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The address with these bits, if they fit.
    #[must_use]
    pub fn address(self, bits: u128) -> Option<IpAddr> {
        match self {
            Self::V4 => u32::try_from(bits).ok().map(|bits| IpAddr::V4(bits.into())),
            Self::V6 => Some(IpAddr::V6(bits.into())),
        }
    }
}

/// An address as a number.
#[must_use]
pub fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address `offset` behind the network's own, if it is within the network.
#[must_use]
pub fn nth(network: &IpNet, offset: u128) -> Option<IpAddr> {
    let sum = bits(network.network()).checked_add(offset)?;
    Family::of(network.network())
        .address(sum)
        .filter(|address| network.contains(address))
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The address that OVN-Kubernetes derives from an IP address: `0a:58`, then the four bytes
    /// of an IPv4 address, or the first four of the SHA-256 of an IPv6 address's text.
    #[must_use]
    pub fn from_ip(address: IpAddr) -> Self {
        let tail: [u8; 4] = match address {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(address) => {
                let digest = Sha256::digest(address.to_string());
                [digest[0], digest[1], digest[2], digest[3]]
            }
        };
        let [a, b, c, d] = tail;
        Self([0x0a, 0x58, a, b, c, d])
    }
}

impl Mac {
    /// An address of random bytes: locally administered, and of one station.
    #[must_use]
    pub fn random(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, g, ..] = bytes;
        Self([(a | 2) & !1, b, c, d, e, g])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is not a MAC address");
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| part.len() == 2)
                .ok_or_else(error)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() {
            Err(error())
        } else {
            Ok(Self(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_derived_from_addresses() {
        for (address, mac) in [
            ("10.33.2.3", "0a:58:0a:21:02:03"),
            ("10.22.0.1", "0a:58:0a:16:00:01"),
            ("192.168.100.4", "0a:58:c0:a8:64:04"),
            ("fd00:44:0:1::1", "0a:58:4b:b4:f7:1f"),
            ("fd00:44:0:1::3", "0a:58:cf:5a:f0:ed"),
        ] {
            let derived = Mac::from_ip(address.parse().expect(address));
            assert_eq!(derived.to_string(), mac, "{address}");
            assert_eq!(mac.parse(), Ok(derived));
        }
        for text in [
            "",
            "0a:58",
            "0a:58:0a:21:02:03:04",
            "0a:58:0a:21:02:3",
            "0a:58:0a:21:02:zz",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_stay_within_their_network() {
        let network: IpNet = "10.0.0.0/30".parse().expect("a network");
        assert_eq!(
            nth(&network, 3),
            Some("10.0.0.3".parse().expect("an address"))
        );
        assert_eq!(nth(&network, 4), None);
        let last: IpNet = "255.255.255.252/30".parse().expect("a network");
        assert_eq!(nth(&last, 4), None);
        let v6: IpNet = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124"
            .parse()
            .expect("a network");
        assert_eq!(nth(&v6, 16), None);
    }
}
