//! Sending a call: pick, connect, perhaps pick again, read the answer; measured and told.

use std::time::Duration;

use brick_auth::IDENTITY_HEADER;
use brick_core::Incarnation;
use brick_discovery::{Guard, Pick};
use brick_telemetry::context::{self as trace, SYNTHETIC};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::{Answer, Call, INSTANCES_MAX, Place};
use crate::server::{flag, method_name};
use crate::{Error, context};

/// What one attempt came to.
enum Attempt {
    Answered(Box<Response<Incoming>>),
    /// No connection: nothing was sent.
    Unconnected(BoxError),
    Failed(BoxError),
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Call {
    /// Sends it and reads the whole answer, whatever its status.
    pub async fn send(self) -> Result<Answer, Error> {
        let started = std::time::Instant::now();
        let method = method_name(&self.method);
        let client = self.client.clone();
        let name = client.target.name.as_str();
        let span = tracing::info_span!(
            "http client",
            otel.name = method,
            otel.kind = "client",
            http.request.method = method,
            server.address = name,
            peer.service = name,
            url.path = self.path,
            http.response.status_code = Empty,
            http.request.resend_count = Empty,
            "error.type" = Empty,
            otel.status_code = Empty,
            brick.synthetic = Empty,
        );
        let made = context::current();
        let synthetic = made.synthetic();
        if let Some(suite) = synthetic {
            span.record(SYNTHETIC, suite);
        }
        let limit = self.timeout.unwrap_or_else(|| client.timeout());
        let outcome = self.within(limit).instrument(span.clone()).await;
        let status = tell(&span, &outcome);
        let _entered = span.enter();
        client
            .shared
            .durations
            .with(&[name, method, &status, flag(synthetic.is_some())])
            .observe_duration(started.elapsed());
        outcome
    }

    async fn within(self, limit: Duration) -> Result<Answer, Error> {
        let brick = self.client.target.name.clone();
        if let Some(reason) = self.invalid {
            return Err(Error::Request { brick, reason });
        }
        let deadline = Instant::now() + limit;
        let timed_out = || Error::Timeout {
            brick: brick.clone(),
            limit,
        };
        let bytes_max = self.bytes_max;
        let (response, flight) = self.exchange(deadline, limit).await?;
        let (head, body) = response.into_parts();
        let read = collect(body, bytes_max);
        let body = match tokio::time::timeout_at(deadline, read).await {
            Err(_) => {
                if let Some(guard) = &flight {
                    guard.observe(limit, false);
                }
                return Err(timed_out());
            }
            Ok(Ok(Some(body))) => body,
            Ok(Ok(None)) => return Err(Error::TooLarge { brick, bytes_max }),
            Ok(Err(source)) => return Err(Error::Connect { brick, source }),
        };
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            brick,
        })
    }

    /// Sends the call until somebody has it; the guard counts it as in flight until it is dropped.
    async fn exchange(
        self,
        deadline: Instant,
        limit: Duration,
    ) -> Result<(Response<Incoming>, Option<Guard>), Error> {
        let target = &self.client.target;
        let headers = self.context_headers();
        let mut tried: Vec<Incarnation> = Vec::new();
        let mut unconnected: Option<BoxError> = None;
        loop {
            let picked = match &target.place {
                Place::External(base) => Some((base.clone(), None)),
                Place::Brick(balancer) => balancer.pick_excluding(&tried).map(|pick| {
                    let Pick { endpoint, guard } = pick;
                    tried.push(endpoint.incarnation);
                    (format!("http://{}", endpoint.addr), Some(guard))
                }),
            };
            let Some((base, guard)) = picked else {
                let brick = target.name.clone();
                return Err(match unconnected {
                    Some(source) => Error::Connect { brick, source },
                    None => Error::NoInstance { brick },
                });
            };
            let request = self.request(&base, &headers)?;
            let started = Instant::now();
            match self.attempt(request, deadline).await {
                None => {
                    if let Some(guard) = guard {
                        guard.done(started.elapsed(), false);
                    }
                    let brick = target.name.clone();
                    return Err(Error::Timeout { brick, limit });
                }
                Some(Attempt::Answered(response)) => {
                    if let Some(guard) = &guard {
                        guard.observe(started.elapsed(), !response.status().is_server_error());
                    }
                    return Ok((*response, guard));
                }
                Some(Attempt::Unconnected(source)) => {
                    if let Some(guard) = guard {
                        guard.connect_failed();
                    }
                    if target.is_external() || tried.len() >= INSTANCES_MAX {
                        let brick = target.name.clone();
                        return Err(Error::Connect { brick, source });
                    }
                    Span::current().record("http.request.resend_count", tried.len() as u64);
                    unconnected = Some(source);
                }
                Some(Attempt::Failed(source)) => {
                    if let Some(guard) = guard {
                        guard.done(started.elapsed(), false);
                    }
                    let brick = target.name.clone();
                    return Err(Error::Connect { brick, source });
                }
            }
        }
    }

    /// One attempt; none where the deadline came first.
    async fn attempt(&self, request: Request<Full<Bytes>>, deadline: Instant) -> Option<Attempt> {
        let sent = self.client.shared.pool.request(request);
        match tokio::time::timeout_at(deadline, sent).await.ok()? {
            Ok(response) => Some(Attempt::Answered(Box::new(response))),
            Err(error) => {
                let unconnected = error.is_connect();
                // The pool wraps what went wrong; the whole chain is what helps.
                let cause = BoxError::from(brick_core::chain(&error));
                Some(if unconnected {
                    Attempt::Unconnected(cause)
                } else {
                    Attempt::Failed(cause)
                })
            }
        }
    }

    fn request(&self, base: &str, headers: &HeaderMap) -> Result<Request<Full<Bytes>>, Error> {
        let invalid = |reason: String| Error::Request {
            brick: self.client.target.name.clone(),
            reason,
        };
        let join = match (self.query.is_empty(), self.path.contains('?')) {
            (true, _) => "",
            (false, true) => "&",
            (false, false) => "?",
        };
        let url = format!("{base}{}{join}{}", self.path, self.query);
        let uri: Uri = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| invalid(format!("\"{url}\": {error}")))?;
        if uri.scheme_str() != Some("http") {
            return Err(invalid(format!(
                "\"{url}\": expected a URL that starts with http://"
            )));
        }
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers.clone();
        Ok(request)
    }

    /// The call's headers and those that carry the context: trace, baggage, own identity, the user.
    fn context_headers(&self) -> HeaderMap {
        let external = self.client.target.is_external();
        let mut headers = self.headers.clone();
        let mut put = |name: &'static str, value: &str, secret: bool| {
            if let Ok(mut value) = HeaderValue::from_str(value) {
                value.set_sensitive(secret);
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        let context = context::current();
        if let Some(span) = trace::current() {
            put("traceparent", &span.traceparent(), false);
            if let Some(state) = context.trace_state() {
                put("tracestate", state.as_str(), false);
            }
        }
        let baggage = if external {
            context.baggage().without_prefix("brick.").to_header()
        } else {
            context.baggage().to_header()
        };
        if !baggage.is_empty() {
            put("baggage", &baggage, false);
        }
        if !external {
            if let Some(token) = self.client.shared.options.own_token.get() {
                put(IDENTITY_HEADER, &token, true);
            }
            if self.forward_user
                && !self.headers.contains_key(AUTHORIZATION)
                && let Some(token) = context.user_token()
            {
                put("authorization", &format!("Bearer {token}"), true);
            }
        }
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json, */*;q=0.5"));
        headers
    }
}

/// The whole body; none where it is larger than `bytes_max`.
async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Option<Bytes>, BoxError> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Ok(None);
    }
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let before = whole.len() + first.as_ref().map_or(0, Bytes::len);
        if before + data.len() > bytes_max {
            return Ok(None);
        }
        // Most answers are one piece: it is handed out as it came.
        if first.is_none() && whole.is_empty() {
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    Ok(Some(first.unwrap_or_else(|| whole.freeze())))
}

/// Notes the outcome in the span; gives the status for the metric, the error's code where none came.
fn tell(span: &Span, outcome: &Result<Answer, Error>) -> String {
    match outcome {
        Ok(answer) => {
            let status = answer.status.as_u16();
            span.record("http.response.status_code", u64::from(status));
            // A client's call failed where the callee refused it, too (OpenTelemetry HTTP conventions).
            if status >= 400 {
                span.record("error.type", status.to_string());
                span.record("otel.status_code", "error");
            }
            status.to_string()
        }
        Err(error) => {
            span.record("error.type", error.code());
            span.record("otel.status_code", "error");
            span.in_scope(|| tracing::warn!(reason = brick_core::chain(error), "a call failed"));
            error.code().to_owned()
        }
    }
}
