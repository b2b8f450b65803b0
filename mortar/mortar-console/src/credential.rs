//! Whose tab it is: the operator's token from header or cookie, and the check that the page came from here.

use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName};

/// The cookie that `/login` sets.
const COOKIE_NAME: &str = "brick_console";

/// The operator's token: `Authorization: Bearer`, as the gateway passes it on, else the cookie itself.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    bearer(headers)
        .or_else(|| cookie(headers))
        .filter(|token| !token.is_empty())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == COOKIE_NAME).then(|| value.trim())
    })
}

/// Whether the page that asks was served from the address that it asks. A browser always sends `Origin` with a
/// WebSocket and cannot be made to send `X-Forwarded-Host`, which a gateway sets where it changes `Host`; a caller
/// without `Origin` is no browser.
pub(crate) fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let Some((_, authority)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let forwarded = HeaderName::from_static("x-forwarded-host");
    let mut hosts = [HOST, forwarded]
        .into_iter()
        .filter_map(|name| headers.get(name)?.to_str().ok());
    hosts.any(|host| host.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_token_comes_from_header_or_cookie() {
        let check = |pairs: &[(&'static str, &str)], expected: Option<&str>| {
            assert_eq!(token(&headers(pairs)), expected, "{pairs:?}");
        };
        check(&[], None);
        check(&[("authorization", "Bearer a.b.c")], Some("a.b.c"));
        check(&[("authorization", "Basic eDp5")], None);
        check(&[("cookie", "theme=dark; brick_console=a.b.c")], Some("a.b.c"));
        check(&[("cookie", "brick_console=; x=1")], None);
        check(&[("cookie", "xbrick_console=a")], None);
        check(
            &[("authorization", "Bearer one"), ("cookie", "brick_console=two")],
            Some("one"),
        );
    }

    #[test]
    fn only_a_page_from_here_may_ask() {
        let check = |pairs: &[(&'static str, &str)], expected: bool| {
            assert_eq!(same_origin(&headers(pairs)), expected, "{pairs:?}");
        };
        check(&[("host", "127.0.0.1:7700")], true);
        check(
            &[("host", "127.0.0.1:7700"), ("origin", "http://127.0.0.1:7700")],
            true,
        );
        check(
            &[("host", "127.0.0.1:7700"), ("origin", "http://evil.example")],
            false,
        );
        check(
            &[("host", "127.0.0.1:7700"), ("origin", "http://127.0.0.1:7701")],
            false,
        );
        check(&[("host", "127.0.0.1:7700"), ("origin", "null")], false);
        let forwarded = [
            ("host", "127.0.0.1:4001"),
            ("x-forwarded-host", "localhost:7700"),
            ("origin", "http://localhost:7700"),
        ];
        check(&forwarded, true);
    }
}
