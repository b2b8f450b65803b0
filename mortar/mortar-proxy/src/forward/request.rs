//! The request as an instance gets it, and again where it is sent again.

use http::header::{CONTENT_TYPE, HOST, HeaderValue, TE};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Uri, Version};

use crate::body::RequestBody;

/// A request on its way: its head, which every try sends, and its body.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) head: Request<()>,
    /// What the present try sends; empty once it is taken.
    pub(crate) body: RequestBody,
    /// The same for the tries to come, where there may be any.
    again: Option<RequestBody>,
}

impl Outgoing {
    /// Takes the fields out of `parts`.
    pub(super) fn new(parts: &mut Parts, body: RequestBody, is_repeatable: bool) -> Self {
        let body = if is_repeatable { body.keep() } else { body };
        let mut head = Request::new(());
        *head.method_mut() = parts.method.clone();
        *head.uri_mut() = origin_form(parts.uri.clone());
        *head.headers_mut() = std::mem::take(&mut parts.headers);
        Self {
            head,
            again: is_repeatable.then(|| body.replay()).flatten(),
            body,
        }
    }

    /// Another one that says the same; none where it may be sent once alone.
    pub(super) fn spare(&self) -> Option<Self> {
        let again = self.again.as_ref()?;
        Some(Self {
            head: self.head.clone(),
            body: again.replay()?,
            again: again.replay(),
        })
    }

    /// Whether all of its body is at hand: two tries cannot wait for one client.
    pub(super) fn is_whole(&self) -> bool {
        self.body.is_whole()
    }

    /// Whether it can be sent again; then the next try sends it whole.
    pub(super) fn rewind(&mut self) -> bool {
        let body = self.again.as_ref().and_then(RequestBody::replay);
        let whole = body.is_some();
        if let Some(body) = body {
            self.body = body;
        }
        whole
    }
}

/// As HTTP/2 has it: scheme and authority belong to the target, and `TE` says that trailers are understood
/// (RFC 9113 §8.2.2, §8.3.1).
pub(crate) fn http2(head: &Request<()>, body: RequestBody, scheme: Scheme) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method().clone();
    *request.uri_mut() = head.uri().clone();
    *request.headers_mut() = head.headers().clone();
    *request.version_mut() = Version::HTTP_2;
    if request.uri().scheme().is_none() {
        let host = request.headers_mut().remove(HOST);
        let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or("");
        let path = request.uri().path_and_query().cloned();
        let whole = Uri::builder()
            .scheme(scheme)
            .authority(if host.is_empty() { "localhost" } else { host })
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build();
        if let Ok(whole) = whole {
            *request.uri_mut() = whole;
        }
    }
    let is_grpc = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        request
            .headers_mut()
            .insert(TE, HeaderValue::from_static("trailers"));
    }
    request
}

/// The target as instances get it. Only an absolute target, which clients send to proxies, has to be rebuilt.
fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    uri.path_and_query().cloned().map(Uri::from).unwrap_or_default()
}
