//! What trusted hops say of the client: `Forwarded` (RFC 7239), else `X-Forwarded-For` and `X-Forwarded-Proto`.
//!
//! Each hop adds itself at the end, so the list is read from there: the first address that is not a trusted hop's is the
//! client, and what stands before it is what that client claims.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use http::uri::Scheme;

use crate::gate::Client;
use crate::settings::Settings;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Hops that are looked at, from the last.
const HOPS_MAX: usize = 32;

/// Who asks, as `hop` tells; the hop itself where its word does not count, or it says nothing.
pub(crate) fn client(hop: &Client, settings: &Settings, headers: &HeaderMap) -> Option<Client> {
    if settings.trusted.is_empty() || !settings.trusts(hop.ip) {
        return None;
    }
    let told = if headers.contains_key(FORWARDED) {
        from_forwarded(headers)
    } else {
        from_x_forwarded(headers)
    };
    let mut client = hop.clone();
    for Hop { ip, scheme } in told {
        if let Some(scheme) = scheme {
            client.scheme = scheme;
        }
        let Some(ip) = ip else { break };
        client.ip = ip;
        if !settings.trusts(ip) {
            break;
        }
    }
    Some(client)
}

/// One entry.
struct Hop {
    /// None where it hides, or is none.
    ip: Option<IpAddr>,
    scheme: Option<Scheme>,
}

fn from_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let last_first = entries(headers, &FORWARDED);
    let hops = last_first.into_iter().map(|entry| {
        let pairs = entry.split(';').filter_map(|pair| pair.split_once('='));
        let mut hop = Hop {
            ip: None,
            scheme: None,
        };
        for (name, value) in pairs {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => hop.ip = address(value),
                "proto" => hop.scheme = scheme(value),
                _ => {}
            }
        }
        hop
    });
    hops.collect()
}

fn from_x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let mut schemes = entries(headers, &X_FORWARDED_PROTO).into_iter();
    let hops = entries(headers, &X_FORWARDED_FOR).into_iter().map(|entry| Hop {
        ip: address(entry),
        scheme: schemes.next().and_then(scheme),
    });
    hops.collect()
}

/// The list's entries, the last first.
fn entries<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let values = headers.get_all(name).iter().rev();
    let texts = values.map(|value| value.to_str().unwrap_or(""));
    texts
        .flat_map(|text| text.rsplit(',').map(str::trim))
        .take(HOPS_MAX)
        .collect()
}

fn scheme(text: &str) -> Option<Scheme> {
    match text {
        _ if text.eq_ignore_ascii_case("https") => Some(Scheme::HTTPS),
        _ if text.eq_ignore_ascii_case("http") => Some(Scheme::HTTP),
        _ => None,
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `[::1]:80`, `::1`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|addr| addr.ip());
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hop: &str, fields: &[(&str, &str)], expect: Option<(&str, Scheme)>) {
        let settings = Settings {
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            ..Settings::default()
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let hop = Client {
            ip: hop.parse().unwrap(),
            scheme: Scheme::HTTP,
            bound_for: None,
        };
        let expect = expect.map(|(ip, scheme)| Client {
            ip: ip.parse().unwrap(),
            scheme,
            bound_for: None,
        });
        assert_eq!(client(&hop, &settings, &headers), expect, "{fields:?}");
    }

    #[test]
    fn the_client_is_the_last_that_no_trusted_hop_is() {
        let http = Scheme::HTTP;
        let https = Scheme::HTTPS;
        check("192.0.2.9", &[("x-forwarded-for", "1.1.1.1")], None);
        check("10.0.0.1", &[], Some(("10.0.0.1", http.clone())));
        check(
            "10.0.0.1",
            &[
                ("x-forwarded-for", "6.6.6.6, 192.0.2.1, 10.0.0.2"),
                ("x-forwarded-proto", "https, http"),
            ],
            Some(("192.0.2.1", https.clone())),
        );
        check(
            "10.0.0.1",
            &[
                ("x-forwarded-for", "6.6.6.6"),
                ("x-forwarded-for", "192.0.2.1:99"),
            ],
            Some(("192.0.2.1", http.clone())),
        );
        check(
            "10.0.0.1",
            &[
                (
                    "forwarded",
                    "for=6.6.6.6, For=\"[2001:db8::1]:4711\";proto=HTTPS;by=x",
                ),
                ("x-forwarded-for", "7.7.7.7"),
            ],
            Some(("2001:db8::1", https)),
        );
        check(
            "10.0.0.1",
            &[("forwarded", "for=_hidden, for=10.0.0.3")],
            Some(("10.0.0.3", http.clone())),
        );
        check(
            "10.0.0.1",
            &[("x-forwarded-for", "garbage")],
            Some(("10.0.0.1", http)),
        );
    }
}
