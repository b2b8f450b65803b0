//! The PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt`): what a hop in front says of a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use memchr::memchr;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, with its line end.
const V1_BYTES_MAX: usize = 107;
/// The longest address block of version 2 that is taken: addresses and a few extensions.
const V2_BYTES_MAX: usize = 2048;
/// Fixed part of version 2.
const V2_HEAD: usize = 16;

/// Who opened the connection at the hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source(pub(crate) SocketAddr);

/// Bytes that are no such header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a PROXY protocol header, version 1 or 2")]
pub(crate) struct Invalid;

/// The header at the front of `bytes`, with its length; none while it is incomplete. A hop that speaks for itself
/// (`UNKNOWN`, `LOCAL`) names nobody.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(usize, Option<Source>)>, Invalid> {
    let v2 = bytes.len().min(SIGNATURE.len());
    if bytes[..v2] == SIGNATURE[..v2] {
        return version_2(bytes);
    }
    let v1 = bytes.len().min(6);
    if bytes[..v1] == b"PROXY "[..v1] {
        return version_1(bytes);
    }
    Err(Invalid)
}

fn version_1(bytes: &[u8]) -> Result<Option<(usize, Option<Source>)>, Invalid> {
    let Some(end) = memchr(b'\n', &bytes[..bytes.len().min(V1_BYTES_MAX)]) else {
        return if bytes.len() >= V1_BYTES_MAX {
            Err(Invalid)
        } else {
            Ok(None)
        };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Invalid)?;
    let line = std::str::from_utf8(line).map_err(|_| Invalid)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().ok_or(Invalid)?;
    if family == "UNKNOWN" {
        return Ok(Some((end + 1, None)));
    }
    let words: Vec<&str> = words.collect();
    let [from, to, from_port, to_port] = words[..] else {
        return Err(Invalid);
    };
    let address = |text: &str| -> Result<IpAddr, Invalid> {
        let ip: IpAddr = text.parse().map_err(|_| Invalid)?;
        let fits = match family {
            "TCP4" => ip.is_ipv4(),
            "TCP6" => ip.is_ipv6(),
            _ => false,
        };
        if fits { Ok(ip) } else { Err(Invalid) }
    };
    let port = |text: &str| text.parse::<u16>().map_err(|_| Invalid);
    let source = SocketAddr::new(address(from)?, port(from_port)?);
    address(to)?;
    port(to_port)?;
    Ok(Some((end + 1, Some(Source(source)))))
}

fn version_2(bytes: &[u8]) -> Result<Option<(usize, Option<Source>)>, Invalid> {
    let Some(head) = bytes.get(..V2_HEAD) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if head[12] >> 4 != 2 || length > V2_BYTES_MAX {
        return Err(Invalid);
    }
    let Some(block) = bytes.get(V2_HEAD..V2_HEAD + length) else {
        return Ok(None);
    };
    let source = match (head[12] & 0x0f, head[13]) {
        // LOCAL, and families without addresses of ours.
        (0, _) | (1, 0x00) => None,
        (1, 0x11) => Some(v4(block)?),
        (1, 0x21) => Some(v6(block)?),
        (1, _) => None,
        _ => return Err(Invalid),
    };
    Ok(Some((V2_HEAD + length, source.map(Source))))
}

fn v4(block: &[u8]) -> Result<SocketAddr, Invalid> {
    let &[a, b, c, d, _, _, _, _, p, q, _, _] = block.get(..12).ok_or(Invalid)? else {
        return Err(Invalid);
    };
    Ok((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p, q])).into())
}

fn v6(block: &[u8]) -> Result<SocketAddr, Invalid> {
    let ip: [u8; 16] = block.get(..16).and_then(|ip| ip.try_into().ok()).ok_or(Invalid)?;
    let port: [u8; 2] = block
        .get(32..34)
        .and_then(|port| port.try_into().ok())
        .ok_or(Invalid)?;
    block.get(34..36).ok_or(Invalid)?;
    Ok((Ipv6Addr::from(ip), u16::from_be_bytes(port)).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], expect: Result<Option<(usize, Option<&str>)>, Invalid>) {
        let expect = expect
            .map(|found| found.map(|(length, source)| (length, source.map(|s| Source(s.parse().unwrap())))));
        assert_eq!(parse(bytes), expect, "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn version_1_names_the_client() {
        let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n";
        check(line, Ok(Some((line.len(), Some("192.0.2.1:56324")))));
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 2\r\nGET /";
        check(line, Ok(Some((line.len() - 5, Some("[2001:db8::1]:1")))));
        check(b"PROXY UNKNOWN\r\n", Ok(Some((15, None))));
        check(b"PROXY UNKNOWN whatever it says\r\n", Ok(Some((32, None))));
        for whole in 0..line.len() - 6 {
            check(&line[..whole], Ok(None));
        }
        for bad in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 563240 443\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n",
            &[b'P', b'R', b'O', b'X', b'Y', b' '].repeat(20),
        ] {
            check(bad, Err(Invalid));
        }
    }

    #[test]
    fn version_2_names_the_client() {
        let mut header = SIGNATURE.to_vec();
        header.extend([
            0x21, 0x11, 0, 15, 192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 4, 1, 187, 3, 0, 0,
        ]);
        check(&header, Ok(Some((31, Some("192.0.2.1:56324")))));
        for whole in 1..header.len() {
            check(&header[..whole], Ok(None));
        }
        header[12] = 0x20;
        check(&header, Ok(Some((31, None))));
        header[12] = 0x11;
        check(&header, Err(Invalid));
        let mut header = SIGNATURE.to_vec();
        header.extend([0x21, 0x21, 0, 36]);
        header.extend(Ipv6Addr::LOCALHOST.octets());
        header.extend([0; 16]);
        header.extend([0, 80, 0, 81]);
        check(&header, Ok(Some((52, Some("[::1]:80")))));
        header[15] = 35;
        check(&header, Err(Invalid));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_beyond(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), like in 0..3) {
            match like {
                1 => { bytes.splice(0..0, *b"PROXY TCP4 "); }
                2 => { bytes.splice(0..0, *SIGNATURE); }
                _ => {}
            }
            if let Ok(Some((length, _))) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
