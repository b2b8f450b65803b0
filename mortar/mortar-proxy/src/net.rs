//! Networks whose word counts: `10.0.0.0/8`, `::1`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    bits: u128,
    mask: u128,
}

/// Text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a network such as \"10.0.0.0/8\" or an address, found {0:?}")]
pub struct Invalid(String);

impl Net {
    /// Whether the address is of this network. An IPv4 address is the same as its mapped IPv6 form.
    pub fn contains(&self, ip: IpAddr) -> bool {
        bits(ip) & self.mask == self.bits
    }
}

impl FromStr for Net {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().map_err(|_| invalid())?;
        let (width, above) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
        let length = length.unwrap_or(width);
        if length > width {
            return Err(invalid());
        }
        let length = u32::from(length) + above;
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        Ok(Self {
            bits: bits(ip) & mask,
            mask,
        })
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = Ipv6Addr::from_bits(self.bits);
        write!(f, "{}/{}", ip, self.mask.count_ones())
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let check = |net: &str, ip: &str, expect: bool| {
            let net: Net = net.parse().unwrap();
            assert_eq!(net.contains(ip.parse().unwrap()), expect, "{net} {ip}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.1.2.3/8", "10.9.9.9", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "8.8.8.8", true);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("::1", "::1", true);
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "x", "::/129", "10.0.0.0/-1"] {
            assert!(bad.parse::<Net>().is_err(), "{bad}");
        }
    }
}
