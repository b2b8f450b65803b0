//! Around every request: span, duration, body limit, panics, and errors as problems.
//!
//! The duration is that until the answer begins; the span lasts until its last byte, whoever else holds the span.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use brick_telemetry::context::{self, SpanContext};
use futures_util::FutureExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::Limited;
use hyper::body::{Frame, SizeHint};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::{Shared, bear};
use crate::Problem;

/// Names the trace of a request in its answer, for whoever looks at it with curl or a browser.
const TRACE_ID_HEADER: HeaderName = HeaderName::from_static("x-trace-id");
const PROBLEM: &str = "application/problem+json";
/// Largest problem document that is completed, in bytes.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// Measures one request; an answer that nobody waited for counts as 499.
struct Observation {
    shared: Arc<Shared>,
    method: &'static str,
    route: Option<MatchedPath>,
    span: Span,
    started: Instant,
    status: Option<StatusCode>,
    mark: Option<Mark>,
    ends: Ends,
}

/// Set where the caller is known to be a test suite. The one who checks callers sits within, the one who measures
/// around.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark(Arc<AtomicBool>);

/// Ends a server span when it is dropped.
struct Ends(Span);

/// A body whose last byte ends the span.
struct Answering {
    body: Body,
    ends: Option<Ends>,
}

pub(super) async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = method_name(request.method());
    let span = span(&shared, &request, method, route.as_ref());
    let mark = request.headers().contains_key("baggage").then(Mark::default);
    if let Some(mark) = &mark {
        request.extensions_mut().insert(mark.clone());
    }
    let mut observation = Observation {
        ends: Ends(span.clone()),
        span,
        mark,
        shared,
        method,
        route,
        started: Instant::now(),
        status: None,
    };
    let span = observation.span.clone();
    let bytes_max = observation.shared.options.body_bytes_max;
    let shared = Arc::clone(&observation.shared);
    let answered = async {
        let request = match limited(request, bytes_max) {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        match AssertUnwindSafe(bear::serve(shared.bearing.as_ref(), request, next))
            .catch_unwind()
            .await
        {
            Ok(response) => response,
            Err(panic) => {
                tracing::error!(panic = panic_text(&*panic), "a handler panicked");
                Problem::internal().into_response()
            }
        }
    };
    let response = answered.instrument(span.clone()).await;
    let trace_id = span
        .in_scope(context::current)
        .filter(|_| !span.is_none())
        .map(|context| context.trace_id.to_string());
    let mut response = with_problem(response, trace_id.as_deref(), bytes_max).await;
    if let Some(value) = trace_id.and_then(|id| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert(TRACE_ID_HEADER, value);
    }
    observation.status = Some(response.status());
    let ends = observation.finish();
    if span.is_none() || response.body().is_end_stream() {
        return response;
    }
    response.map(|body| {
        Body::new(Answering {
            body,
            ends: Some(ends),
        })
    })
}

impl Mark {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Observation {
    /// Tells how the request was answered; what is left is to end the span.
    fn finish(mut self) -> Ends {
        std::mem::replace(&mut self.ends, Ends(Span::none()))
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let status = self.status.map_or(499, |status| status.as_u16());
        let mut digits = [0; 5];
        let code = decimal(status, &mut digits);
        match self.status {
            Some(status) => {
                self.span
                    .record("http.response.status_code", u64::from(status.as_u16()));
                if status.is_server_error() {
                    self.span.record("error.type", code);
                    self.span.record("otel.status_code", "error");
                }
            }
            None => {
                self.span.record("error.type", "cancelled");
            }
        }
        let route = self.route.as_ref().map_or("", MatchedPath::as_str);
        let synthetic = self
            .mark
            .as_ref()
            .is_some_and(|mark| mark.0.load(Ordering::Relaxed));
        let _entered = self.span.enter();
        self.shared
            .durations
            .with(&[self.method, route, code, flag(synthetic)])
            .observe_duration(self.started.elapsed());
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        brick_telemetry::span::end(&self.0);
    }
}

impl HttpBody for Answering {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Err(error))) => {
                if let Some(Ends(span)) = &self.ends {
                    span.record("error.type", "body");
                    span.record("otel.status_code", "error");
                    span.in_scope(|| {
                        tracing::warn!(reason = brick_core::chain(error), "an answer broke off");
                    });
                }
                self.ends = None;
            }
            Poll::Ready(None) => self.ends = None,
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.ends = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The value of the label `synthetic`: empty, and so left out, for all other traffic.
pub(crate) fn flag(synthetic: bool) -> &'static str {
    if synthetic { "true" } else { "" }
}

fn span(shared: &Shared, request: &Request, method: &'static str, route: Option<&MatchedPath>) -> Span {
    let path = request.uri().path();
    let untraced = || {
        shared
            .options
            .untraced
            .iter()
            .any(|prefix| path.starts_with(prefix.as_str()))
    };
    if !shared.options.trace || untraced() {
        return Span::none();
    }
    let remote = remote_parent(request.headers());
    let route = route.map(MatchedPath::as_str);
    let name = match route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    context::with_remote_parent(remote, || {
        tracing::info_span!(
            parent: None,
            "http server",
            otel.name = name,
            otel.kind = "server",
            http.request.method = method,
            http.route = route,
            url.path = path,
            http.response.status_code = Empty,
            "error.type" = Empty,
            otel.status_code = Empty,
            brick.synthetic = Empty,
            brick.caller = Empty,
        )
    })
}

/// The span that the request continues, as its one `traceparent` field has it.
pub(crate) fn remote_parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(only), None) = (values.next(), values.next()) else {
        return None;
    };
    SpanContext::parse(only.to_str().ok()?)
}

/// Refuses a body that says it is too large, and stops one that turns out to be.
fn limited(request: Request, bytes_max: usize) -> Result<Request, Box<Problem>> {
    let declared = request.headers().get(CONTENT_LENGTH);
    let length = declared.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bytes_max as u64) {
        return Err(Box::new(too_large(bytes_max)));
    }
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(Request::from_parts(parts, body));
    }
    Ok(Request::from_parts(
        parts,
        Body::new(Limited::new(body, bytes_max)),
    ))
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the request's body is larger than {bytes_max} bytes"),
    )
}

/// An error answer without a body becomes a problem, and every problem names its trace.
async fn with_problem(response: Response, trace_id: Option<&str>, bytes_max: usize) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_problem = content_type.is_some_and(|value| value.as_bytes().starts_with(PROBLEM.as_bytes()));
    let size = response.body().size_hint().exact();
    if is_problem {
        let fits = size.is_some_and(|size| size <= PROBLEM_BYTES_MAX as u64);
        return if fits {
            name_trace(response, trace_id).await
        } else {
            response
        };
    }
    let bare = content_type.is_none() && size == Some(0);
    if !bare && status != StatusCode::PAYLOAD_TOO_LARGE {
        return response;
    }
    let problem = match status {
        StatusCode::NOT_FOUND => Problem::not_found("not_found", "nothing is served at this path"),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(
            status,
            "method_not_allowed",
            "this path does not take this method; the header Allow names those it takes",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => too_large(bytes_max),
        StatusCode::INTERNAL_SERVER_ERROR => Problem::internal(),
        status => Problem::new(status, "error", ""),
    };
    let (head, _) = response.into_parts();
    let mut response = problem.with_trace(trace_id.map(str::to_owned)).into_response();
    for (name, value) in &head.headers {
        if name != CONTENT_LENGTH && name != CONTENT_TYPE {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    response
}

/// Adds the trace id to a problem document that names none.
async fn name_trace(response: Response, trace_id: Option<&str>) -> Response {
    let Some(trace_id) = trace_id else { return response };
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, PROBLEM_BYTES_MAX).await else {
        return Problem::internal()
            .with_trace(Some(trace_id.to_owned()))
            .into_response();
    };
    let named = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes)
        .ok()
        .filter(|document| !document.contains_key("trace_id"))
        .and_then(|mut document| {
            document.insert("trace_id".to_owned(), trace_id.into());
            serde_json::to_vec(&document).ok()
        });
    let bytes = named.map_or(bytes, Into::into);
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(head, Body::from(bytes))
}

/// The method, `_OTHER` where it is none of RFC 9110 and 5789 (OpenTelemetry HTTP conventions).
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}

/// A status as text, without allocating.
pub(crate) fn decimal(mut number: u16, digits: &mut [u8; 5]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[at..]).unwrap_or_default()
}
