//! The `Host` check against DNS rebinding.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::HOST;

/// Whether the `Host` header names this machine's loopback or the listener's own address. A request without one comes
/// from no browser and passes.
pub(super) fn is_own(headers: &HeaderMap, local: Option<SocketAddr>) -> bool {
    let Some(value) = headers.get(HOST) else {
        return true;
    };
    let Ok(text) = value.to_str() else { return false };
    let name = without_port(text);
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    name.parse::<IpAddr>()
        .is_ok_and(|ip| ip.is_loopback() || local.is_some_and(|local| local.ip() == ip))
}

/// The name without port, an IPv6 address without brackets.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_and_the_own_address_pass() {
        let local = Some("192.168.7.7:80".parse().unwrap());
        let check = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            is_own(&headers, local)
        };
        for good in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:80",
            "192.168.7.7",
        ] {
            assert!(check(good), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example:80",
            "10.0.0.1",
            "[::2]",
            "",
            "127.0.0.1.nip.io",
        ] {
            assert!(!check(bad), "{bad}");
        }
        assert!(is_own(&HeaderMap::new(), local));
    }
}
