//! The record of one exchange: spans, figures and the access log, written when its last byte is gone.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brick_telemetry::context::{SpanContext, SpanId};
use brick_telemetry::span::{Kind, SpanRecord, Status, Value, unix_ns_now};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::call::{Call, mark, ns};

use crate::gate::{Client, Synthetic};
use crate::headers::{self, TRACEPARENT};
use crate::link::Link;
use crate::proxy::{Local, Side};
use crate::route::{Route, Target};
use crate::settings::AccessLog;
use crate::stats::method_name;
use crate::timer::Timer;

/// nginx's name for a client that went away before its answer; never sent.
const CLIENT_CLOSED: u16 = 499;

/// Field of a server span: the brick that sent the request.
const CALLER: &str = "brick.caller";

/// One exchange under way. Recorded when it is dropped.
pub(crate) struct Exchange {
    local: Arc<Local>,
    link: Arc<Link>,
    client: IpAddr,
    begun: Instant,
    begun_unix_ns: u64,
    context: SpanContext,
    parent: Option<SpanId>,
    method: Method,
    uri: Uri,
    route: Option<Arc<Route>>,
    /// Where it goes instead of to the route's target.
    target: Option<Arc<str>>,
    status: StatusCode,
    error: Option<&'static str>,
    bytes_out: u64,
    call: Option<Call>,
    /// The acceptance suite that it belongs to.
    synthetic: Option<Synthetic>,
    /// The brick that asks, where one does.
    caller: Option<Arc<str>>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("uri", &self.uri)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// Begins: continues the caller's trace, or starts one.
    pub(crate) fn begin(
        local: &Arc<Local>,
        link: &Arc<Link>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Box<Self> {
        let remote = headers
            .get(TRACEPARENT)
            .and_then(|value| value.to_str().ok())
            .and_then(SpanContext::parse);
        let begun = Instant::now();
        let is_recorded = local.shared.trace && local.traces.take(begun);
        let context = match (remote, local.shared.side) {
            (Some(remote), Side::Outside) => SpanContext {
                sampled: is_recorded,
                ..remote.child()
            },
            (Some(remote), Side::Before) => SpanContext {
                sampled: is_recorded && remote.sampled,
                ..remote.child()
            },
            // What is served here is the brick's own call: the span around it is the brick's, as is the decision
            // whether the trace is recorded.
            (Some(remote), Side::Inside) => SpanContext {
                sampled: is_recorded && remote.sampled,
                ..remote
            },
            (None, _) => SpanContext {
                sampled: is_recorded,
                ..SpanContext::root()
            },
        };
        Box::new(Self {
            local: Arc::clone(local),
            link: Arc::clone(link),
            client: link.client.ip,
            begun,
            begun_unix_ns: unix_ns_now(),
            context,
            parent: remote.map(|remote| remote.span_id),
            method: method.clone(),
            uri: uri.clone(),
            route: None,
            target: None,
            status: StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST),
            error: None,
            bytes_out: 0,
            call: None,
            synthetic: None,
            caller: None,
        })
    }

    pub(crate) fn trace_id(&self) -> String {
        self.context.trace_id.to_string()
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    pub(crate) fn set_route(&mut self, route: &Arc<Route>) {
        self.route = Some(Arc::clone(route));
    }

    /// It belongs to an acceptance suite, or to nobody in particular.
    pub(crate) fn set_synthetic(&mut self, synthetic: Option<Synthetic>) {
        self.synthetic = synthetic;
    }

    /// A brick of the system asks.
    pub(crate) fn set_caller(&mut self, caller: Option<Arc<str>>) {
        self.caller = caller;
    }

    /// The answer's head is known.
    pub(crate) fn answered(&mut self, status: StatusCode, error: Option<&'static str>) {
        self.status = status;
        self.error = self.error.or(error);
    }

    /// Gives the connection's timer back.
    pub(crate) fn return_timer(&self, timer: Timer) {
        self.link.return_timer(timer);
    }

    /// The answer's body ended early.
    pub(crate) fn cut(&mut self, why: &'static str) {
        self.error = self.error.or(Some(why));
    }

    pub(crate) fn count(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// The call to an instance begins: its span is what the instance is told.
    pub(crate) fn call(&mut self, headers: &mut HeaderMap) -> &mut Call {
        let call = match self.local.shared.side {
            // What the brick behind does is done within the span of what it serves.
            Side::Before => Call::alone(self.context),
            Side::Inside if self.parent.is_none() => Call::alone(self.context),
            Side::Inside | Side::Outside => Call::begin(&self.context),
        };
        call.propagate(headers);
        headers::trace_state(headers, self.parent.is_some());
        self.call.insert(call)
    }

    /// The span of the exchange.
    pub(crate) fn context(&self) -> SpanContext {
        self.context
    }

    /// A trusted hop says who asks.
    pub(crate) fn set_client(&mut self, client: &Client) {
        self.client = client.ip;
    }

    /// The request goes elsewhere than its route leads.
    pub(crate) fn set_target(&mut self, target: &Target) {
        self.target = Some(target.name().into());
    }

    fn server_span(&self, took: Duration) -> SpanRecord {
        let method = method_name(&self.method);
        let name: std::borrow::Cow<'static, str> = match &self.route {
            Some(route) => format!("{method} {}", route.pattern).into(),
            None => method.into(),
        };
        let mut span = SpanRecord::start(self.context, self.parent, name);
        span.kind = Kind::Server;
        span.start_unix_ns = self.begun_unix_ns;
        span.end_unix_ns = self.begun_unix_ns + ns(took);
        span.attributes.reserve(6);
        mark(&mut span, self.synthetic.as_ref());
        span.attributes
            .push(("http.request.method".into(), Value::Text(method.into())));
        span.attributes
            .push(("url.path".into(), Value::Text(self.uri.path().to_owned().into())));
        if let Some(route) = &self.route {
            span.attributes
                .push(("http.route".into(), Value::Text(route.pattern.to_string().into())));
        }
        span.attributes.push((
            "http.response.status_code".into(),
            Value::Int(i64::from(self.status.as_u16())),
        ));
        if let Some(caller) = &self.caller {
            span.attributes
                .push((CALLER.into(), Value::Text(caller.to_string().into())));
        }
        if let Some(error) = self.failure() {
            span.attributes
                .push(("error.type".into(), Value::Text(error.into())));
            span.status = Status::Error(error.into());
        }
        span
    }

    /// What a server span calls an error: what went wrong here or behind, never the client's mistake.
    fn failure(&self) -> Option<&'static str> {
        if self.error == Some("client_gone") || self.error == Some("stopping") {
            return None;
        }
        match self.error {
            Some(error) if !self.status.is_client_error() => Some(error),
            _ if self.status.is_server_error() => Some("server_error"),
            _ => None,
        }
    }

    fn log(&self, took: Duration) {
        let duration_ms = took.as_micros() as f64 / 1000.0;
        let (method, path, status) = (method_name(&self.method), self.uri.path(), self.status.as_u16());
        let (trace_id, span_id) = (self.context.trace_id, self.context.span_id);
        let route = self.route.as_ref().map_or("", |route| &*route.pattern);
        let to = self.target_name().map_or("", |name| name);
        let instance = self
            .call
            .as_ref()
            .and_then(Call::instance)
            .map(tracing::field::display);
        let (error, bytes) = (self.error.unwrap_or(""), self.bytes_out);
        let synthetic = self.synthetic.as_ref().map(|Synthetic(suite)| &**suite);
        if self.is_told(took) {
            tracing::info!(target: "gateway.access", %trace_id, %span_id, method, path, route, to, instance, status, duration_ms, bytes, error, synthetic, client = %self.client, "request");
        } else {
            tracing::debug!(target: "gateway.access", %trace_id, %span_id, method, path, route, to, instance, status, duration_ms, bytes, error, synthetic, client = %self.client, "request");
        }
    }

    /// Name of where it went.
    fn target_name(&self) -> Option<&Arc<str>> {
        let other = self.target.as_ref();
        other.or_else(|| Some(&self.route.as_ref()?.target_name))
    }

    /// Whether it failed here or behind, or took long.
    fn is_notable(&self, took: Duration) -> bool {
        self.failure().is_some() || took >= self.local.shared.settings.load().slow
    }

    /// Whether the access log tells of it at level info.
    fn is_told(&self, took: Duration) -> bool {
        let settings = self.local.shared.settings.load();
        match settings.access_log {
            AccessLog::All => true,
            AccessLog::Errors => self.is_notable(took),
            AccessLog::Off => false,
        }
    }

    /// Whether spans are written: what is worth telling is recorded although its trace was passed over.
    fn is_recorded(&mut self, took: Duration) -> bool {
        if !self.is_traced() {
            return false;
        }
        if !self.context.sampled && self.is_notable(took) && self.local.notable.take(self.begun) {
            self.context.sampled = true;
            if let Some(call) = &mut self.call {
                call.record();
            }
        }
        self.context.sampled
    }

    fn is_traced(&self) -> bool {
        let path = self.uri.path();
        let own =
            path == "/metrics" || path == "/info" || path.starts_with("/health") || path.starts_with("/bus/");
        self.local.shared.trace && !own
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let is_recorded = self.is_recorded(took);
        let local = &self.local;
        let stats = &local.stats;
        let pattern = self
            .route
            .as_ref()
            .map_or(&self.local.shared.no_route, |route| &route.pattern);
        let synthetic = self.synthetic.is_some();
        stats
            .server
            .add(&self.method, self.status, pattern, synthetic, took);
        stats.bytes_out.fetch_add(self.bytes_out, Ordering::Relaxed);
        if let (Some(call), Some(target)) = (&self.call, self.target_name()) {
            stats
                .client
                .add(&self.method, call.status(), target, synthetic, call.took());
            if is_recorded && local.shared.side != Side::Before {
                let span = call.span(&self.method, target, self.error, self.synthetic.as_ref());
                local.shared.spans.record(span);
            }
        }
        if is_recorded && local.shared.side != Side::Inside {
            local.shared.spans.record(self.server_span(took));
        }
        self.log(took);
        self.link.complete();
    }
}
