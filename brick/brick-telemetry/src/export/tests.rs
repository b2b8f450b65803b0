use std::collections::VecDeque;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use brick_core::drain;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;

use super::*;
use crate::context::SpanContext;
use crate::{LogTarget, Options, Telemetry};

/// A receiver that answers with these statuses, then with 200, and keeps what it was sent.
#[derive(Clone, Default)]
struct Collector {
    statuses: Arc<Mutex<VecDeque<StatusCode>>>,
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    async fn start(statuses: &[u16]) -> (Self, String) {
        let collector = Self::default();
        *collector.statuses.lock() = statuses
            .iter()
            .map(|s| StatusCode::from_u16(*s).unwrap())
            .collect();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (collector, url)
    }

    fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock();
        let resources = taken.iter().flat_map(|request| &request.resource_spans);
        resources
            .flat_map(|r| &r.scope_spans)
            .flat_map(|s| s.spans.clone())
            .collect()
    }
}

async fn take(State(collector): State<Collector>, headers: http::HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    if let Some(status) = collector.statuses.lock().pop_front() {
        return status;
    }
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    collector.taken.lock().push(request);
    StatusCode::OK
}

fn telemetry(url: String) -> (Telemetry, Exporter) {
    Telemetry::new(Options {
        identity: Identity {
            brick: "order".to_owned(),
            system: "shop".to_owned(),
            ..Identity::default()
        },
        otlp_endpoint: Some(url),
        log: LogTarget::Memory,
        ..Options::default()
    })
}

fn span(name: &'static str) -> SpanRecord {
    SpanRecord::start(SpanContext::root(), None, name)
}

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn spans_arrive_as_protobuf_with_their_resource() {
    let (collector, url) = Collector::start(&[]).await;
    let (telemetry, exporter) = telemetry(url);
    let (trigger, drain) = drain::channel();
    let running = tokio::spawn(exporter.run(drain));
    tracing::subscriber::with_default(telemetry.subscriber(), || {
        tracing::info_span!(
            "place",
            otel.kind = "server",
            otel.status_code = "error",
            lines = 2
        )
        .in_scope(|| tracing::warn!("low"));
    });
    assert!(telemetry.flush(LIMIT).await);
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(
        (spans[0].name.as_str(), spans[0].kind, spans[0].flags),
        ("place", 2, 1)
    );
    assert_eq!(spans[0].status.as_ref().map(|s| s.code), Some(2));
    assert_eq!(spans[0].events[0].name, "low");
    assert_eq!(spans[0].attributes[0].key, "lines");
    let resource = collector.taken.lock()[0].resource_spans[0]
        .resource
        .clone()
        .unwrap();
    let has = |key: &str, value: &str| {
        resource.attributes.iter().any(|a| {
            a.key == key
                && a.value.as_ref().and_then(|v| v.value.clone()) == Some(Any::StringValue(value.to_owned()))
        })
    };
    assert!(has("service.name", "order") && has("service.namespace", "shop") && has("brick.zone", "a"));
    trigger.drain();
    running.await.unwrap();
}

#[tokio::test]
async fn a_drain_sends_what_is_left() {
    let (collector, url) = Collector::start(&[]).await;
    let (telemetry, exporter) = telemetry(url);
    for _ in 0..BATCH_MAX + 7 {
        telemetry.spans().record(span("x"));
    }
    let (trigger, drain) = drain::channel();
    trigger.drain();
    exporter.run(drain).await;
    assert_eq!(collector.spans().len(), BATCH_MAX + 7);
    let sent = format!("brick_spans_exported_total {}\n", BATCH_MAX + 7);
    assert!(telemetry.metrics().encode().contains(&sent));
}

#[tokio::test]
async fn a_busy_receiver_is_asked_again() {
    let (collector, url) = Collector::start(&[503, 429]).await;
    let (telemetry, exporter) = telemetry(url);
    let running = tokio::spawn(exporter.run(Drain::never()));
    telemetry.spans().record(span("x"));
    assert!(telemetry.flush(LIMIT).await);
    assert_eq!(collector.spans().len(), 1);
    running.abort();
}

#[tokio::test]
async fn what_the_receiver_refuses_is_given_up_and_counted() {
    let (collector, url) = Collector::start(&[400]).await;
    let (telemetry, exporter) = telemetry(url);
    let running = tokio::spawn(exporter.run(Drain::never()));
    telemetry.spans().record(span("x"));
    assert!(telemetry.flush(LIMIT).await);
    assert!(collector.spans().is_empty());
    let counted = "brick_spans_dropped_total{reason=\"not_taken\"} 1\n";
    assert!(telemetry.metrics().encode().contains(counted));
    running.abort();
}

#[tokio::test]
async fn an_unreachable_receiver_does_not_hold_up_the_drain() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (telemetry, exporter) = telemetry(url);
    telemetry.spans().record(span("x"));
    let (trigger, drain) = drain::channel();
    trigger.drain();
    let bounded = tokio::time::timeout(DRAIN_LIMIT * 3, exporter.run(drain));
    bounded.await.unwrap();
    assert!(telemetry.metrics().encode().contains("reason=\"not_taken\"} 1\n"));
}

#[tokio::test]
async fn without_an_endpoint_the_exporter_waits_for_the_drain() {
    let (telemetry, exporter) = Telemetry::new(Options {
        log: LogTarget::Memory,
        ..Options::default()
    });
    telemetry.spans().record(span("x"));
    assert!(telemetry.flush(LIMIT).await);
    let (trigger, drain) = drain::channel();
    trigger.drain();
    exporter.run(drain).await;
    assert_eq!(telemetry.spans().dropped(), 0);
}
