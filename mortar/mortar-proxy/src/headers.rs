//! What happens to header fields on their way through. They are changed in place; names and most values are static.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use brick_telemetry::context::{Baggage, SYNTHETIC, TraceState};
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, UPGRADE,
};
use http::{HeaderMap, Uri, uri::Scheme};
use http_body::Frame;

use crate::gate::{Client, Synthetic};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_BRICK_IDENTITY: HeaderName = HeaderName::from_static(brick_auth::IDENTITY_HEADER);
/// How long the edge still waits for the answer, in milliseconds.
pub(crate) const X_BRICK_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-brick-timeout-ms");
/// W3C trace context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C trace context.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// W3C baggage.
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Fields of one hop (RFC 9110 §7.6.1).
fn is_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What only the gateway says.
fn is_ours(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "forwarded"
            | "x-forwarded-port"
            | "x-forwarded-prefix"
            | "x-real-ip"
            | "x-brick-timeout-ms"
            | "x-brick-criticality"
            | "expect"
            | brick_auth::IDENTITY_HEADER
            | crate::gate::SYNTHETIC_HEADER
    )
}

/// What a brick says for itself, and may say of those who asked it.
fn is_of_insiders(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "forwarded" | "x-forwarded-port" | "x-forwarded-prefix" | "x-real-ip" | "x-brick-criticality"
    )
}

/// Fields on which framing, routing or authentication rest.
const MEANING: [HeaderName; 4] = [CONTENT_LENGTH, HOST, AUTHORIZATION, COOKIE];

/// Whether a request asks for WebSocket (RFC 6455 §4.1).
pub(crate) fn asks_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers
        .get(UPGRADE)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"));
    upgrade && names(headers).any(|name| name.eq_ignore_ascii_case("upgrade"))
}

/// Removes what belongs to one hop: the fixed list, and what `Connection` names. Fields on which framing, routing or
/// authentication rest cannot be removed that way.
pub(crate) fn remove_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = names(headers)
            .filter_map(|name| name.parse().ok())
            .filter(|name| !MEANING.contains(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    strip(headers, is_hop);
}

/// Removes what is meant. Most often nothing is, so looking at each name is cheaper than asking for each.
pub(crate) fn strip(headers: &mut HeaderMap, is_meant: fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| is_meant(name)).cloned() {
        headers.remove(name);
    }
}

fn names(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .filter(|name| !name.is_empty())
}

/// What an instance is told of the outer side, whatever the client claimed. Comes after [`remove_hop`], so that
/// `Connection` cannot strip it.
pub(crate) fn forward(headers: &mut HeaderMap, uri: &Uri, client: &Client, identity: Option<HeaderValue>) {
    strip(headers, is_ours);
    // An absolute target takes the place of Host (RFC 9112 §3.2.2).
    let authority = uri
        .authority()
        .and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    if let Some(host) = authority {
        headers.insert(HOST, host);
    }
    match headers.get(HOST).cloned() {
        Some(host) => headers.insert(X_FORWARDED_HOST, host),
        None => headers.remove(X_FORWARDED_HOST),
    };
    headers.insert(X_FORWARDED_FOR, address(client.ip));
    headers.insert(X_FORWARDED_PROTO, scheme(client));
    if let Some(identity) = identity {
        headers.insert(X_BRICK_IDENTITY, identity);
    }
}

/// HTTP/2 may cut a cookie field into several, which belong together in HTTP/1 (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let values: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if values.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&values.join(&b"; "[..]))
    {
        headers.insert(COOKIE, whole);
    }
}

/// What an instance is told of a brick that calls: who it is, by its token. Comes after [`remove_hop`].
pub(crate) fn introduce(headers: &mut HeaderMap, uri: &Uri, identity: Option<HeaderValue>) {
    strip(headers, |name| is_ours(name) && !is_of_insiders(name));
    let authority = uri
        .authority()
        .and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    if let Some(host) = authority {
        headers.insert(HOST, host);
    }
    if let Some(identity) = identity {
        headers.insert(X_BRICK_IDENTITY, identity);
    }
}

/// Removes what only a process of the system may say from a request of somebody else.
pub(crate) fn unknown(headers: &mut HeaderMap) {
    headers.remove(X_BRICK_IDENTITY);
    baggage(headers, None);
}

/// How long a brick still waits for its own answer; what is no number says nothing.
pub(crate) fn left(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(X_BRICK_TIMEOUT_MS)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_millis)
}

/// The acceptance suite that a brick's request belongs to.
pub(crate) fn synthetic(headers: &HeaderMap) -> Option<Synthetic> {
    let values = headers.get_all(BAGGAGE).iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    if texts.is_empty() {
        return None;
    }
    let baggage = Baggage::parse(&texts.join(","));
    baggage.get(SYNTHETIC).map(|suite| Synthetic(suite.into()))
}

/// Deletes what only the platform may say from baggage that comes from outside, and says what the gate found.
pub(crate) fn baggage(headers: &mut HeaderMap, synthetic: Option<&Synthetic>) {
    let ours = synthetic.map(|Synthetic(suite)| format!("{SYNTHETIC}={suite}"));
    if ours.is_none() && !headers.contains_key(BAGGAGE) {
        return;
    }
    let values = headers.get_all(BAGGAGE).iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let kept = Baggage::parse(&texts.join(",")).without_prefix("brick.");
    // Ours goes first: what does not fit is left out at the end.
    let whole: Vec<String> = ours.into_iter().chain([kept.to_header()]).collect();
    let whole = Baggage::parse(&whole.join(","));
    headers.remove(BAGGAGE);
    if !whole.is_empty()
        && let Ok(value) = HeaderValue::try_from(whole.to_header())
    {
        headers.insert(BAGGAGE, value);
    }
}

/// Passes `tracestate` on as it came, within its bound; without the trace that it belongs to it means nothing.
pub(crate) fn trace_state(headers: &mut HeaderMap, is_continued: bool) {
    if !headers.contains_key(TRACESTATE) {
        return;
    }
    let values = headers.get_all(TRACESTATE).iter();
    let state = TraceState::parse(values.filter_map(|value| value.to_str().ok()));
    let state = state.filter(|_| is_continued);
    headers.remove(TRACESTATE);
    if let Some(value) = state.and_then(|state| HeaderValue::from_str(state.as_str()).ok()) {
        headers.insert(TRACESTATE, value);
    }
}

/// Trailers without what would change framing, routing or authentication (RFC 9110 §6.5.1).
pub(crate) fn trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        strip(trailers, |name| {
            is_hop(name) || is_ours(name) || MEANING.contains(name)
        });
    }
    frame
}

/// Asks the next hop for the upgrade that the route lets through.
pub(crate) fn upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
}

fn scheme(client: &Client) -> HeaderValue {
    if client.scheme == Scheme::HTTPS {
        HeaderValue::from_static("https")
    } else {
        HeaderValue::from_static("http")
    }
}

fn address(peer: IpAddr) -> HeaderValue {
    const LOOPBACK: HeaderValue = HeaderValue::from_static("127.0.0.1");
    if peer == IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) {
        return LOOPBACK;
    }
    let mut text = [0_u8; 64];
    let mut rest = &mut text[..];
    let _ = write!(rest, "{peer}");
    let left = rest.len();
    HeaderValue::from_bytes(&text[..64 - left]).unwrap_or(LOOPBACK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn what_belongs_to_one_hop_goes_and_what_carries_meaning_stays() {
        let mut map = headers(&[
            (
                "connection",
                "keep-alive, X-Secret , authorization,content-length",
            ),
            ("connection", "close"),
            ("x-secret", "1"),
            ("authorization", "Bearer x"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ]);
        remove_hop(&mut map);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "authorization", "content-length"]);
    }

    #[test]
    fn claims_from_outside_are_overwritten() {
        let mut map = headers(&[
            ("host", "shop.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-brick-identity", "forged"),
            ("x-brick-identity", "forged too"),
            ("x-brick-synthetic", "smoke"),
            ("connection", "x-brick-identity, x-forwarded-for"),
        ]);
        remove_hop(&mut map);
        forward(
            &mut map,
            &"/".parse().unwrap(),
            &Client {
                ip: "10.0.0.1".parse().unwrap(),
                scheme: Scheme::HTTP,
                bound_for: None,
            },
            Some("own".parse().unwrap()),
        );
        assert_eq!(map["x-forwarded-for"], "10.0.0.1");
        assert_eq!(map["x-forwarded-host"], "shop.example");
        assert_eq!(map["x-forwarded-proto"], "http");
        assert_eq!(
            map.get_all("x-brick-identity").iter().collect::<Vec<_>>(),
            ["own"]
        );
        for gone in ["forwarded", "x-real-ip", "x-brick-synthetic"] {
            assert!(!map.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn synthetic_traffic_is_told_however_full_the_baggage_is() {
        let full: Vec<String> = (0..64).map(|n| format!("k{n}={}", "v".repeat(100))).collect();
        let mut map = headers(&[("baggage", "user=7,brick.synthetic=forged")]);
        map.append(BAGGAGE, full.join(",").parse().unwrap());
        baggage(&mut map, Some(&Synthetic("smoke".into())));
        let found = Baggage::parse(map[BAGGAGE].to_str().unwrap());
        assert_eq!(found.get("brick.synthetic"), Some("smoke"));
        assert_eq!(found.get("user"), Some("7"));
        let mut map = headers(&[]);
        baggage(&mut map, Some(&Synthetic("smoke".into())));
        assert_eq!(map[BAGGAGE], "brick.synthetic=smoke");
    }

    #[test]
    fn cookies_that_were_cut_are_one_again() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2"), ("x", "y")]);
        join_cookies(&mut map);
        assert_eq!(map.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn trace_state_goes_along_with_its_trace_alone() {
        for (is_continued, expect) in [(true, Some("a=1,b=2")), (false, None)] {
            let mut map = headers(&[("tracestate", "a=1"), ("tracestate", "b=2")]);
            trace_state(&mut map, is_continued);
            assert_eq!(map.get(TRACESTATE).map(|v| v.to_str().unwrap()), expect);
        }
    }

    proptest! {
        #[test]
        fn nothing_from_outside_sets_baggage_of_the_platform(
            values in proptest::collection::vec("( ?(brick\\.[a-z]{0,4}|BRICK\\.x|[ -~]{0,6})[=;,%]{1,2}[ -~]{0,12},?){0,6}", 0..4)
        ) {
            let mut map = HeaderMap::new();
            for value in &values {
                if let Ok(value) = HeaderValue::from_str(value) {
                    map.append(BAGGAGE, value);
                }
            }
            baggage(&mut map, None);
            prop_assert!(map.get_all(BAGGAGE).iter().count() <= 1);
            if let Some(value) = map.get(BAGGAGE) {
                let found = Baggage::parse(value.to_str().unwrap());
                prop_assert!(found.iter().all(|(key, _)| !key.starts_with("brick.")), "{value:?}");
            }
        }
    }

    #[test]
    fn websocket_is_asked_for_by_both_fields() {
        assert!(asks_websocket(&headers(&[
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade")
        ])));
        assert!(!asks_websocket(&headers(&[("upgrade", "websocket")])));
        assert!(!asks_websocket(&headers(&[
            ("upgrade", "h2c"),
            ("connection", "upgrade")
        ])));
    }
}
