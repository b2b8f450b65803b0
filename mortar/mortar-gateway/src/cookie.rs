//! The operator's cookie. Browsers send a host's cookies to all of its ports, so the edge sees it too.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

/// Name of the cookie that holds an operator's token.
pub(crate) const NAME: &str = "brick_console";

/// Takes the operator's cookie out of the request and gives its value. Two of them are none: a page of another port
/// may have set the second.
pub(crate) fn take(headers: &mut HeaderMap) -> Option<String> {
    let mentions = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        bytes.windows(NAME.len()).any(|w| w == NAME.as_bytes())
    };
    if !headers.get_all(COOKIE).iter().any(mentions) {
        return None;
    }
    let mut found = Vec::new();
    let mut kept = Vec::new();
    for value in headers.get_all(COOKIE) {
        let text = String::from_utf8_lossy(value.as_bytes());
        for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((name, value)) if name.trim() == NAME => found.push(value.trim().to_owned()),
                _ => kept.push(pair.to_owned()),
            }
        }
    }
    headers.remove(COOKIE);
    if !kept.is_empty()
        && let Ok(value) = HeaderValue::from_str(&kept.join("; "))
    {
        headers.insert(COOKIE, value);
    }
    if found.len() == 1 { found.pop() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(cookies: &[&str], expect: Option<&str>, left: Option<&str>) {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, cookie.parse().unwrap());
        }
        assert_eq!(take(&mut headers).as_deref(), expect, "{cookies:?}");
        let rest = headers.get(COOKIE).map(|v| v.to_str().unwrap());
        assert_eq!(rest, left, "{cookies:?}");
    }

    #[test]
    fn the_operators_cookie_is_taken_and_others_stay() {
        check(&["brick_console=abc"], Some("abc"), None);
        check(&["a=1; brick_console=abc; b=2"], Some("abc"), Some("a=1; b=2"));
        check(&["a=1", "brick_console=abc"], Some("abc"), Some("a=1"));
        check(&["a=1"], None, Some("a=1"));
        check(&["not_brick_console=1"], None, Some("not_brick_console=1"));
        check(&["brick_console=a; brick_console=b"], None, None);
    }

    proptest! {
        #[test]
        fn no_cookie_makes_it_panic_and_none_of_it_is_left(text in "[ -~]{0,60}") {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_str(&format!("{text};brick_console=x")).unwrap());
            take(&mut headers);
            let left = headers.get(COOKIE).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
            prop_assert!(left.split(';').all(|pair| pair.trim().split('=').next().map(str::trim) != Some(NAME) || !pair.contains('=')));
        }
    }
}
