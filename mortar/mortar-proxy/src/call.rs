//! One call to an instance: what its client span and its series say.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use brick_telemetry::context::{SYNTHETIC, SpanContext, SpanId};
use brick_telemetry::span::{EVENTS_MAX, Kind, SpanEvent, SpanRecord, Status, Value, unix_ns_now};
use http::header::HeaderValue;
use http::{HeaderMap, Method, StatusCode};

use crate::gate::Synthetic;
use crate::headers::TRACEPARENT;
use crate::stats::method_name;

/// A call under way.
#[derive(Debug)]
pub(crate) struct Call {
    context: SpanContext,
    parent: Option<SpanId>,
    begun: Instant,
    begun_unix_ns: u64,
    status: Option<StatusCode>,
    took: Option<Duration>,
    instance: Option<SocketAddr>,
    events: Vec<SpanEvent>,
}

impl Call {
    /// Begins a call within the span.
    pub(crate) fn begin(within: &SpanContext) -> Self {
        Self {
            parent: Some(within.span_id),
            ..Self::alone(within.child())
        }
    }

    /// Begins a call that is the first span of its trace.
    pub(crate) fn alone(context: SpanContext) -> Self {
        Self {
            context,
            parent: None,
            begun: Instant::now(),
            begun_unix_ns: unix_ns_now(),
            status: None,
            took: None,
            instance: None,
            events: Vec::new(),
        }
    }

    /// Tells the instance which span it works for.
    pub(crate) fn propagate(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.context.traceparent()) {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// Something that was decided about it: an event of its span.
    pub(crate) fn note(&mut self, name: &'static str) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(SpanEvent {
                time_unix_ns: unix_ns_now(),
                name: name.into(),
                attributes: Vec::new(),
            });
        }
    }

    /// The instance answered, or failed to.
    pub(crate) fn done(&mut self, status: Option<StatusCode>, addr: SocketAddr) {
        self.status = status;
        self.took = Some(self.begun.elapsed());
        self.instance = Some(addr);
    }

    /// It is recorded after all.
    pub(crate) fn record(&mut self) {
        self.context.sampled = true;
    }

    /// Until the head of the answer, or until now.
    pub(crate) fn took(&self) -> Duration {
        self.took.unwrap_or_else(|| self.begun.elapsed())
    }

    /// Of the answer; 502 stands for none.
    pub(crate) fn status(&self) -> StatusCode {
        self.status.unwrap_or(StatusCode::BAD_GATEWAY)
    }

    /// The last instance that was asked.
    pub(crate) fn instance(&self) -> Option<SocketAddr> {
        self.instance
    }

    /// The client span; `error` says why there was no answer.
    pub(crate) fn span(
        &self,
        method: &Method,
        target: &str,
        error: Option<&'static str>,
        synthetic: Option<&Synthetic>,
    ) -> SpanRecord {
        let method = method_name(method);
        let mut span = SpanRecord::start(self.context, self.parent, method);
        span.kind = Kind::Client;
        span.start_unix_ns = self.begun_unix_ns;
        span.end_unix_ns = self.begun_unix_ns + ns(self.took());
        span.events.clone_from(&self.events);
        span.attributes.reserve_exact(5);
        mark(&mut span, synthetic);
        let mut text = |key: &'static str, value: Value| span.attributes.push((key.into(), value));
        text("http.request.method", method.into());
        text("server.address", target.to_owned().into());
        text("peer.service", target.to_owned().into());
        match self.status {
            Some(status) => {
                text("http.response.status_code", status.as_u16().into());
                // A 4xx is the visitor's mistake; on the map it must not count against the brick.
                if status.is_server_error() {
                    text("error.type", status.as_str().to_owned().into());
                    span.status = Status::Error("".into());
                }
            }
            None => {
                let error = error.unwrap_or("client_gone");
                text("error.type", error.into());
                span.status = Status::Error(error.into());
            }
        }
        span
    }
}

/// Says that the span is of a suite, where it is.
pub(crate) fn mark(span: &mut SpanRecord, synthetic: Option<&Synthetic>) {
    if let Some(Synthetic(suite)) = synthetic {
        span.attributes.push((SYNTHETIC.into(), suite.to_string().into()));
    }
}

/// Nanoseconds, as spans have them.
pub(crate) fn ns(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
