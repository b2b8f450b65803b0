//! The request as an instance gets it, and again where it is sent again.

use http::header::{CONTENT_TYPE, HOST, HeaderValue, TE};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};

use crate::body::RequestBody;

/// What is needed to send the same request again.
pub(super) struct Copy {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: RequestBody,
}

impl Copy {
    /// Of a request whose body can be sent again.
    pub(super) fn of(parts: &Parts, body: &RequestBody) -> Option<Self> {
        Some(Self {
            body: body.replay()?,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
        })
    }

    /// The request once more.
    pub(super) fn request(&self) -> Option<Request<RequestBody>> {
        let body = self.body.replay()?;
        Some(build(
            self.method.clone(),
            self.uri.clone(),
            self.headers.clone(),
            body,
        ))
    }
}

pub(super) fn build(method: Method, uri: Uri, headers: HeaderMap, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = origin_form(uri);
    *request.headers_mut() = headers;
    *request.version_mut() = Version::HTTP_11;
    request
}

/// As HTTP/2 has it: scheme and authority belong to the target, and `TE` says that trailers are understood
/// (RFC 9113 §8.2.2, §8.3.1).
pub(crate) fn http2(mut request: Request<RequestBody>, scheme: Scheme) -> Request<RequestBody> {
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
