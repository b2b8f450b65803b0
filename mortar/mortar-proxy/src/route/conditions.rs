//! What a request must be like besides its path.

use std::borrow::Cow;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Uri};

/// What a request must be like besides its path; all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Host in lower case: `shop.test`, or `*.shop.test` for all below it.
    pub host: Option<Box<str>>,
    /// Methods, one of them; all where empty. GET stands for HEAD too.
    pub methods: Vec<Method>,
    /// Fields, each with a value, or with any.
    pub headers: Vec<(HeaderName, Option<Box<str>>)>,
    /// Query parameters, each with a value, or with any.
    pub query: Vec<(Box<str>, Option<Box<str>>)>,
}

/// A request as routes are held against it.
#[derive(Debug)]
pub struct Sought<'r> {
    pub(super) path: &'r str,
    method: Cow<'r, Method>,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    /// It asks, without the fields of the request that it asks for, whether that may be sent.
    is_preflight: bool,
}

impl<'r> Sought<'r> {
    /// A request with its canonical path. A preflight (Fetch standard, section 3.2.2) is held against routes as the
    /// request that it asks for.
    pub fn new(head: &'r Parts, path: &'r str) -> Self {
        Self::of(&head.method, &head.uri, &head.headers, path)
    }

    /// As [`Self::new`], of the parts.
    pub fn of(method: &'r Method, uri: &'r Uri, headers: &'r HeaderMap, path: &'r str) -> Self {
        let asked = match *method == Method::OPTIONS && headers.contains_key(ORIGIN) {
            true => headers.get(ACCESS_CONTROL_REQUEST_METHOD),
            false => None,
        };
        let asked = asked.and_then(|value| Method::from_bytes(value.as_bytes()).ok());
        Self {
            path,
            uri,
            headers,
            is_preflight: asked.is_some(),
            method: asked.map_or(Cow::Borrowed(method), Cow::Owned),
        }
    }

    /// The host that it names, without port, in lower case.
    pub(super) fn host(&self) -> Option<Cow<'r, str>> {
        let host = match self.uri.host() {
            Some(host) => host,
            None => {
                let named = self.headers.get(HOST)?.to_str().ok()?;
                match named.rsplit_once(':') {
                    Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
                    _ => named,
                }
            }
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        Some(match host.bytes().any(|b| b.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        })
    }
}

impl Conditions {
    /// How many things are asked for besides the host.
    pub(super) fn count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len() + self.query.len()
    }

    /// Whether the request fits, its host aside.
    #[inline]
    pub(super) fn fit(&self, sought: &Sought<'_>) -> bool {
        self.count() == 0 || (self.fit_method(sought) && self.fit_but_for_method(sought))
    }

    /// Whether the request fits, host and method aside.
    pub(super) fn fit_but_for_method(&self, sought: &Sought<'_>) -> bool {
        let has_field = |(name, wanted): &(HeaderName, Option<Box<str>>)| {
            let mut values = sought.headers.get_all(name).iter();
            values.any(|value| {
                wanted
                    .as_ref()
                    .is_none_or(|wanted| value.as_bytes() == wanted.as_bytes())
            })
        };
        (sought.is_preflight || self.headers.iter().all(has_field))
            && (self.query.is_empty() || self.fit_query(sought.uri.query().unwrap_or_default()))
    }

    fn fit_method(&self, sought: &Sought<'_>) -> bool {
        let method = &*sought.method;
        self.methods.is_empty()
            || self.methods.contains(method)
            || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }

    fn fit_query(&self, query: &str) -> bool {
        let has = |(name, wanted): &(Box<str>, Option<Box<str>>)| {
            query.split('&').any(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                decoded(key) == **name && wanted.as_ref().is_none_or(|wanted| decoded(value) == **wanted)
            })
        };
        self.query.iter().all(has)
    }
}

/// A part of a query as a form means it: percent-encodings and `+` decoded; what is no UTF-8 becomes U+FFFD.
pub fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_or_else(
        |error| String::from_utf8_lossy(error.as_bytes()).into_owned().into(),
        Cow::Owned,
    )
}
