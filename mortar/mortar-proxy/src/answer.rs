//! What the data plane itself answers: problem documents (RFC 9457) with a stable code and the trace.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::framing::Refusal;

/// Type of a problem document.
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error answer of the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Stable code.
    pub code: &'static str,
    /// What happened, what was expected, what to do.
    pub detail: Cow<'static, str>,
    /// One more field, such as `WWW-Authenticate`.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// Whether the connection is closed behind it.
    pub close: bool,
}

impl Answer {
    /// With status, code and what happened.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            header: None,
            close: false,
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Closes the connection behind the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// 503 that asks to come back in a second.
    pub(crate) fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The response, and its document as a body.
    pub(crate) fn into_parts(self, trace_id: &str) -> (http::response::Parts, Bytes) {
        let document = document(self.status, self.code, &self.detail, trace_id);
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = self.status;
        parts.headers.insert(CONTENT_TYPE, PROBLEM);
        if let Some((name, value)) = self.header {
            parts.headers.insert(name, value);
        }
        if self.close {
            parts
                .headers
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        (parts, document.into())
    }
}

fn document(status: StatusCode, code: &str, detail: &str, trace_id: &str) -> Vec<u8> {
    let mut problem = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    if !trace_id.is_empty() {
        problem["trace_id"] = trace_id.into();
    }
    problem.to_string().into_bytes()
}

/// A whole answer as bytes, for connections whose input no parser may see.
pub(crate) fn raw(status: StatusCode, code: &str, detail: &str, trace_id: &str) -> Vec<u8> {
    let body = document(status, code, detail, trace_id);
    let mut out = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error"),
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(&body);
    out
}

/// The answer to refused bytes, under a trace id of its own that the log names too.
pub(crate) fn refusal(refusal: &Refusal) -> (String, Vec<u8>) {
    let trace_id = format!("{:032x}", rand::random::<u128>());
    let bytes = raw(refusal.status, refusal.code, refusal.detail, &trace_id);
    (trace_id, bytes)
}
