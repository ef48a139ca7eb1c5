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

    /// The number of bits of an address.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The address with this number, if it fits.
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

/// The address at `offset` after the network's own, if it is within the network.
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
    /// The address made of the first six of these random bytes, marked as locally administered and
    /// unicast.
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

/// Why a text is not a port's MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacError {
    /// The text has none of the accepted forms.
    #[error(
        "{0:?} is not a MAC address such as 02:00:5e:10:00:01, 02-00-5e-10-00-01 or 0200.5e10.0001"
    )]
    Malformed(String),
    /// The text is an EUI-64 or InfiniBand address.
    #[error(
        "{text:?} is an address of {bytes} bytes; expected the 6 bytes of a port's MAC address"
    )]
    Length {
        /// The text.
        text: String,
        /// The number of bytes of the address.
        bytes: usize,
    },
}

/// Accepts the forms that Go's `net.ParseMAC` accepts, because OVN-Kubernetes uses that function:
/// bytes separated by colons or hyphens, or pairs of bytes separated by full stops.
impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let malformed = || MacError::Malformed(text.to_owned());
        let (separator, digits) = match text.as_bytes() {
            [_, _, separator @ (b':' | b'-'), ..] => (char::from(*separator), 2),
            [_, _, _, _, b'.', ..] => ('.', 4),
            _ => return Err(malformed()),
        };
        let mut bytes = Vec::new();
        for group in text.split(separator) {
            let hexadecimal = group.bytes().all(|digit| digit.is_ascii_hexdigit());
            if group.len() != digits || !hexadecimal {
                return Err(malformed());
            }
            let group = u16::from_str_radix(group, 16).map_err(|_| malformed())?;
            let [high, low] = group.to_be_bytes();
            bytes.extend((digits == 4).then_some(high));
            bytes.push(low);
        }
        match (<[u8; 6]>::try_from(bytes.as_slice()), bytes.len()) {
            (Ok(bytes), _) => Ok(Self(bytes)),
            (Err(_), bytes @ (8 | 20)) => Err(MacError::Length {
                text: text.to_owned(),
                bytes,
            }),
            _ => Err(malformed()),
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
    }

    #[test]
    fn macs_have_every_form_that_go_reads() {
        for text in [
            "02:ab:cd:ef:00:11",
            "02:AB:cd:EF:00:11",
            "02-AB-CD-EF-00-11",
            "02ab.cdef.0011",
            "02AB.CDEF.0011",
        ] {
            let mac = text.parse::<Mac>().expect(text);
            assert_eq!(mac.to_string(), "02:ab:cd:ef:00:11", "{text}");
        }
        for text in [
            "",
            "0a:58",
            "0a:58:0a:21:02:03:04",
            "0a:58:0a:21:02:3",
            "0a:58:0a:21:02:zz",
            "0a:58:0a:21:02:+3",
            "0a:58:0a-21-02-03",
            "0a58:0a21:0203",
            "0a580a.210203",
            "0a58.0a21.0203.0405.0607",
            "0a580a210203",
            "0a:58:0a:21:02:03 ",
            "é:58:0a:21:02:03",
        ] {
            let error = text.parse::<Mac>().expect_err(text);
            assert_eq!(error, MacError::Malformed(text.to_owned()));
        }
        let infiniband = "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01";
        for (text, bytes) in [
            ("02:00:5e:10:00:00:00:01", 8),
            ("02-00-5e-10-00-00-00-01", 8),
            ("0200.5e10.0000.0001", 8),
            (infiniband, 20),
        ] {
            let error = text.parse::<Mac>().expect_err(text);
            assert!(
                error.to_string().ends_with(&format!(
                    "is an address of {bytes} bytes; expected the 6 bytes of a port's MAC address"
                )),
                "{error}"
            );
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
