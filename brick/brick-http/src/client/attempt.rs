//! One try of a call: pick an instance, connect, send, read the whole answer.

use std::time::Duration;

use brick_auth::IDENTITY_HEADER;
use brick_core::Incarnation;
use brick_discovery::{Guard, Lead, Pick, Shadow};
use brick_resilience::Outcome;
use brick_resilience::drive::Tries;
use brick_resilience::shed::Criticality;
use brick_telemetry::context as trace;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::Span;

use super::pool::{self, BoxError, Failed};
use super::{Answer, Call, Place};
use crate::server::{CRITICALITY, TIMEOUT_MS};
use crate::{Error, Problem, context};

/// The tries of one call.
pub(super) struct Attempts<'a> {
    call: &'a Call,
    headers: HeaderMap,
    uri: Uri,
    /// Which instances it goes to.
    lead: Lead,
    tried: Mutex<Tried>,
}

/// Where the call was tried so far.
#[derive(Default)]
struct Tried {
    instances: Vec<Incarnation>,
    /// Why the last could not be connected to; none where one was connected to since.
    unconnected: Option<String>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(call: &'a Call) -> Result<Self, Error> {
        let mut headers = context_headers(call);
        let lead = match &call.client.target.place {
            Place::Brick(balancer) => balancer.lead(&mut headers),
            Place::Instance(balancer, name) => balancer.named(name),
            Place::External(_) => Lead::any(),
        };
        Ok(Self {
            headers,
            lead,
            uri: uri(call)?,
            tried: Mutex::default(),
            call,
        })
    }

    /// Sends a copy of the call to the version that is looked at beside, where the pool of its brick wants one. Nobody
    /// waits for it; it passes none of the edge's limits and counts for none.
    pub(super) fn shadow(&self) {
        let Place::Brick(balancer) = &self.call.client.target.place else {
            return;
        };
        let Some(shadow) = balancer.shadow(&self.call.method, &self.headers, &self.lead) else {
            return;
        };
        let mut copy = self.call.again(self.call.client.clone());
        copy.bytes_max = Shadow::ANSWER_BYTES_MAX;
        let uri = self.uri.clone();
        tokio::spawn(async move {
            let attempts = Attempts {
                headers: shadow.headers.clone(),
                lead: shadow.lead.clone(),
                uri,
                tried: Mutex::default(),
                call: &copy,
            };
            let answered = tokio::time::timeout(Shadow::TIMEOUT, attempts.exchange(Shadow::TIMEOUT)).await;
            if !answered.is_ok_and(|answer| answer.is_ok()) {
                tracing::debug!(to = attempts.brick(), "a copy of a call was not answered");
            }
        });
    }

    /// What is sent with each try.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn brick(&self) -> String {
        self.call.client.target.name.clone()
    }

    /// Where this try goes: an instance that was not tried, else any, unless none takes connections.
    fn pick(&self) -> Result<(pool::Place, HeaderValue, Option<Guard>), Error> {
        let balancer = match &self.call.client.target.place {
            Place::External(outside) => return Ok((outside.place.clone(), outside.host.clone(), None)),
            Place::Brick(balancer) | Place::Instance(balancer, _) => balancer,
        };
        let mut tried = self.tried.lock();
        let fresh = balancer.pick_led(&self.lead, &tried.instances);
        let again = || {
            (tried.unconnected.is_none())
                .then(|| balancer.pick_led(&self.lead, &[]))
                .flatten()
        };
        let Some(Pick { endpoint, guard }) = fresh.or_else(again) else {
            let brick = self.brick();
            return Err(match tried.unconnected.take() {
                Some(why) => Error::Connect {
                    brick,
                    source: why.into(),
                },
                None => Error::NoInstance { brick },
            });
        };
        tried.instances.push(endpoint.incarnation);
        let host = HeaderValue::try_from(endpoint.addr.to_string());
        let host = host.unwrap_or(HeaderValue::from_static("localhost"));
        Ok((pool::Place::Addr(endpoint.addr), host, Some(guard)))
    }

    fn request(&self, host: HeaderValue, limit: Duration) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.call.body.clone()));
        *request.method_mut() = self.call.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(HOST, host);
        if !self.call.client.target.is_external() {
            let left_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
            headers.insert(TIMEOUT_MS, HeaderValue::from(left_ms));
        }
        request
    }

    async fn exchange(&self, limit: Duration) -> Result<Answer, Error> {
        let (place, host, guard) = self.pick()?;
        let begun = Instant::now();
        let mut load = Load {
            guard,
            begun,
            told: false,
        };
        let request = self.request(host, limit);
        let pool = &self.call.client.shared.pool;
        let (response, lease) = match pool.send(&place, request).await {
            Ok(sent) => sent,
            Err(Failed::Unconnected(source)) => {
                load.unconnected();
                self.tried.lock().unconnected = Some(source.to_string());
                return Err(Error::Connect {
                    brick: self.brick(),
                    source,
                });
            }
            Err(Failed::Died(source)) => {
                self.tried.lock().unconnected = None;
                load.observe(false);
                return Err(Error::Broken {
                    brick: self.brick(),
                    source,
                });
            }
        };
        self.tried.lock().unconnected = None;
        let good = !response.status().is_server_error();
        load.observe(good);
        let (head, body) = response.into_parts();
        let bytes_max = self.call.bytes_max;
        let body = match collect(body, bytes_max).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                return Err(Error::TooLarge {
                    brick: self.brick(),
                    bytes_max,
                });
            }
            Err(source) => {
                return Err(Error::Broken {
                    brick: self.brick(),
                    source,
                });
            }
        };
        lease.give_back();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            brick: self.brick(),
            fallback: None,
        })
    }

    /// What goes wrong on purpose: none where the try goes on as it is.
    async fn aborted(&self, injection: &brick_resilience::fault::Injection) -> Option<Result<Answer, Error>> {
        if let Some(delay) = injection.delay {
            tokio::time::sleep(delay).await;
        }
        let brick = self.brick();
        if injection.reset {
            let source = "the connection was reset on purpose".into();
            return Some(Err(Error::Broken { brick, source }));
        }
        let status = injection.abort?;
        let detail = "this answer is a fault on purpose";
        let problem = Problem::new(status, "fault_injected", detail);
        Some(Ok(Answer {
            status,
            headers: HeaderMap::new(),
            body: serde_json::to_vec(&problem).unwrap_or_default().into(),
            brick,
            fallback: None,
        }))
    }
}

/// What the balancer is told of an instance; the call counts as in flight until this is dropped.
struct Load {
    guard: Option<Guard>,
    begun: Instant,
    told: bool,
}

/// A try that was given up after this long says something of the instance.
const GIVEN_UP: Duration = Duration::from_millis(250);

impl Load {
    fn observe(&mut self, good: bool) {
        self.told = true;
        if let Some(guard) = &self.guard {
            guard.observe(self.begun.elapsed(), good);
        }
    }

    fn unconnected(&mut self) {
        self.told = true;
        if let Some(guard) = self.guard.take() {
            guard.connect_failed();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.told && self.begun.elapsed() >= GIVEN_UP {
            self.observe(false);
        }
    }
}

impl Tries for Attempts<'_> {
    type Answer = Answer;
    type Error = Error;

    async fn attempt(&self, number: u32, limit: Duration) -> Result<Answer, Error> {
        if number > 0 {
            Span::current().record("http.request.resend_count", u64::from(number));
        }
        let injection = self.call.client.target.followed.inject(&self.headers);
        let Some(injection) = injection else {
            return self.exchange(limit).await;
        };
        if let Some(aborted) = self.aborted(&injection).await {
            return aborted;
        }
        let answer = self.exchange(limit).await?;
        tokio::time::sleep(injection.body_takes(answer.body.len())).await;
        Ok(answer)
    }

    fn outcome(&self, result: &Result<Answer, Error>) -> Outcome {
        match result {
            Ok(answer) => {
                let asked = answer.headers.get(RETRY_AFTER);
                let asked = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Outcome::of_status(answer.status.as_u16(), asked.map(Duration::from_secs))
            }
            Err(Error::Broken { .. }) => Outcome::Reset,
            // Where every instance was tried there is no point in another round.
            Err(Error::Connect { .. }) if self.tried.lock().unconnected.is_some() => Outcome::Unconnected,
            Err(_) => Outcome::Void,
        }
    }
}

/// The target as the callee gets it.
fn uri(call: &Call) -> Result<Uri, Error> {
    let invalid = |reason: String| Error::Request {
        brick: call.client.target.name.clone(),
        reason,
    };
    let prefix = match &call.client.target.place {
        Place::Brick(_) | Place::Instance(..) => "",
        Place::External(outside) => match &outside.invalid {
            Some(reason) => return Err(invalid(reason.clone())),
            None => outside.prefix.as_str(),
        },
    };
    let join = match (call.query.is_empty(), call.path.contains('?')) {
        (true, _) => "",
        (false, true) => "&",
        (false, false) => "?",
    };
    let parsed = match (prefix, join) {
        ("", "") => call.path.parse(),
        _ => format!("{prefix}{}{join}{}", call.path, call.query).parse(),
    };
    parsed.map_err(|error: http::uri::InvalidUri| invalid(format!("\"{}\": {error}", call.path)))
}

/// The call's headers and those that carry the context: trace, baggage, own identity, the user.
fn context_headers(call: &Call) -> HeaderMap {
    let external = call.client.target.is_external();
    let mut headers = call.headers.clone();
    let mut put = |name: &'static str, value: &str, secret: bool| {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(secret);
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let made = context::current();
    if let Some(span) = trace::current() {
        put("traceparent", &span.traceparent(), false);
        if let Some(state) = made.trace_state() {
            put("tracestate", state.as_str(), false);
        }
    }
    if !made.baggage().is_empty() {
        let baggage = if external {
            made.baggage().without_prefix("brick.").to_header()
        } else {
            made.baggage().to_header()
        };
        if !baggage.is_empty() {
            put("baggage", &baggage, false);
        }
    }
    if !external {
        if let Some(token) = call.client.shared.options.own_token.get() {
            put(IDENTITY_HEADER, &token, true);
        }
        if call.forward_user
            && !call.headers.contains_key(AUTHORIZATION)
            && let Some(token) = made.user_token()
        {
            put("authorization", &format!("Bearer {token}"), true);
        }
        let class = call.criticality.unwrap_or(made.criticality());
        if class != Criticality::Default {
            headers.insert(CRITICALITY, HeaderValue::from_static(class.as_str()));
        }
    }
    headers
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("application/json, */*;q=0.5"));
    headers
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
