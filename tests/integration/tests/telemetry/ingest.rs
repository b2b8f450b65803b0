//! OTLP over HTTP: what is taken, and what is refused how.

use http::HeaderName;
use http::header::{CONTENT_ENCODING, HOST};
use mortar_telemetry::api;
use mortar_telemetry::ingest::status::Status;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics,
    metric::Data,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message as _;
use tracing::Instrument as _;

use super::harness::{PROTOBUF, attribute, resource, role, telemetry, text};

#[tokio::test]
async fn a_brick_s_spans_come_back_as_one_trace() {
    let role = role().await;
    let (brick, exporter) = telemetry("order", Some(role.otlp));
    let (trigger, drain) = brick_core::drain::channel();
    let exporting = tokio::spawn(exporter.run(drain));
    let trace_id = {
        let _guard = tracing::subscriber::set_default(brick.subscriber());
        let root = tracing::info_span!(
            "request",
            otel.name = "POST /api/orders",
            otel.kind = "server",
            order_id = 7
        );
        let work = async {
            let inner = tracing::info_span!("sql", otel.kind = "client", db.system.name = "sqlite");
            inner.in_scope(|| tracing::error!("declined"));
            brick_telemetry::context::current().unwrap().trace_id.to_string()
        };
        work.instrument(root).await
    };
    trigger.drain();
    exporting.await.unwrap();
    let trace: api::Trace = role.get(&format!("/traces/{trace_id}")).await;
    assert_eq!(trace.spans.len(), 2, "{trace:?}");
    let (root, sql) = (&trace.spans[0], &trace.spans[1]);
    assert_eq!(
        (root.operation.as_str(), root.kind.as_str()),
        ("POST /api/orders", "server")
    );
    assert_eq!(
        (root.service.as_str(), root.instance.as_str(), root.zone.as_str()),
        ("order", "order/1", "a")
    );
    assert_eq!(root.attributes["order_id"], 7);
    assert_eq!(sql.parent_id.as_ref(), Some(&root.span_id));
    assert_eq!(sql.attributes["db.system.name"], "sqlite");
    assert_eq!(sql.events.len(), 1);
}

#[tokio::test]
async fn only_protobuf_as_it_is_is_taken() {
    let role = role().await;
    let json = role.post("/v1/traces", "application/json", b"{}".to_vec()).await;
    assert_eq!(json.status, 415);
    let said = String::from_utf8_lossy(&json.body).into_owned();
    assert!(
        said.contains("application/x-protobuf") && said.contains("OTEL_EXPORTER_OTLP_PROTOCOL"),
        "{said}"
    );
    let gzip = role
        .post_with(
            "/v1/traces",
            PROTOBUF,
            vec![0x1f, 0x8b],
            &[(CONTENT_ENCODING, "gzip")],
        )
        .await;
    assert_eq!(gzip.status, 415);
    let get = role
        .client
        .get(format!("http://{}/v1/traces", role.otlp))
        .send()
        .await
        .unwrap();
    assert_eq!(get.status, 405);
}

#[tokio::test]
async fn malformed_protobuf_gets_a_status_message_and_is_counted() {
    let role = role().await;
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        let refused = role.post(path, PROTOBUF, b"hello".to_vec()).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.headers["content-type"], PROTOBUF);
        let status = Status::decode(refused.body).unwrap();
        assert_eq!(status.code, 3);
        assert!(status.message.contains("protobuf"), "{}", status.message);
    }
    assert_eq!(role.stats().await.refused, 3);
}

#[tokio::test]
async fn an_export_over_the_limit_is_refused() {
    let role = role().await;
    let large = role
        .post("/v1/traces", PROTOBUF, vec![0; 16 * 1024 * 1024 + 1])
        .await;
    assert_eq!(large.status, 413);
}

#[tokio::test]
async fn a_foreign_host_name_is_not_served() {
    let role = role().await;
    let answer = role
        .post_with("/v1/traces", PROTOBUF, Vec::new(), &[(HOST, "evil.example")])
        .await;
    assert_eq!(answer.status, 421);
    let own = role
        .post_with(
            "/v1/traces",
            PROTOBUF,
            Vec::new(),
            &[(HeaderName::from_static("x"), "y")],
        )
        .await;
    assert_eq!(
        (own.status.as_u16(), own.body.len()),
        (200, 0),
        "an empty export is taken whole"
    );
}

#[tokio::test]
async fn the_good_part_of_an_export_is_kept_and_the_rest_is_told() {
    let role = role().await;
    let good = Span {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        ..Span::default()
    };
    let bad = Span {
        trace_id: vec![0; 16],
        span_id: vec![1; 8],
        ..Span::default()
    };
    let export = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource("order")),
            scope_spans: vec![ScopeSpans {
                spans: vec![good, bad],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let answer = role.post("/v1/traces", PROTOBUF, export.encode_to_vec()).await;
    let partial = ExportTraceServiceResponse::decode(answer.body)
        .unwrap()
        .partial_success
        .unwrap();
    assert_eq!((answer.status.as_u16(), partial.rejected_spans), (200, 1));
    assert!(
        partial.error_message.contains("trace id"),
        "{}",
        partial.error_message
    );
    let stats = role.stats().await;
    assert_eq!((stats.spans, stats.refused), (1, 1));
}

#[tokio::test]
async fn log_lines_that_the_agent_sends_again_are_kept_once() {
    let role = role().await;
    let line = |offset: i64| LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000 + offset.unsigned_abs(),
        severity_number: 9,
        body: Some(AnyValue {
            value: Some(Value::StringValue(format!("line at {offset}"))),
        }),
        attributes: vec![
            text("log.file.name", "order.1.log"),
            attribute("log.file.offset", Value::IntValue(offset)),
            text("order_id", "o-7"),
        ],
        trace_id: vec![7; 16],
        span_id: vec![9; 8],
        ..LogRecord::default()
    };
    role.export_logs("order", vec![line(0), line(40)]).await;
    role.export_logs("order", vec![line(40), line(80)]).await;
    let page: api::Page<api::Log> = role
        .get("/logs?brick=order&trace=07070707070707070707070707070707")
        .await;
    let told: Vec<_> = page.items.iter().map(|log| log.msg.as_str()).collect();
    assert_eq!(told, ["line at 80", "line at 40", "line at 0"]);
    let newest = &page.items[0];
    assert_eq!(newest.span_id.as_deref(), Some("0909090909090909"));
    assert_eq!(
        (newest.instance.as_str(), newest.level.as_str()),
        ("order/1", "info")
    );
    assert_eq!(
        newest.fields.len(),
        1,
        "where the line lay is not told: {:?}",
        newest.fields
    );
    assert_eq!(role.stats().await.duplicates, 1);
}

#[tokio::test]
async fn metrics_that_are_pushed_answer_like_those_that_are_scraped() {
    let role = role().await;
    let seconds = 1_700_000_000_u64;
    let point = |at: u64, fast: u64, all: u64| HistogramDataPoint {
        time_unix_nano: (seconds + at) * 1_000_000_000,
        count: all,
        sum: Some(1.5),
        bucket_counts: vec![fast, all - fast],
        explicit_bounds: vec![0.1],
        ..HistogramDataPoint::default()
    };
    let export = |at, fast, all| ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource("order")),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![Metric {
                    name: "http.server.request.duration".to_owned(),
                    unit: "s".to_owned(),
                    data: Some(Data::Histogram(Histogram {
                        data_points: vec![point(at, fast, all)],
                        aggregation_temporality: AggregationTemporality::Cumulative as i32,
                    })),
                    ..Metric::default()
                }],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    };
    for (at, fast, all) in [(0, 0, 0), (5, 100, 100)] {
        let answer = role
            .post("/v1/metrics", PROTOBUF, export(at, fast, all).encode_to_vec())
            .await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    }
    let list: api::Metrics = role.get("/metrics").await;
    let metric = &list.items[0];
    assert_eq!(
        (metric.name.as_str(), metric.kind.as_str()),
        ("http_server_request_duration_seconds", "histogram")
    );
    let ask = |function: &str| {
        format!(
            "/metrics/range?name=http_server_request_duration_seconds&fn={function}&from={seconds}&to={}&step=5&by=service_name",
            seconds + 5
        )
    };
    let median: api::Range = role.get(&ask("p50")).await;
    assert_eq!(median.series[0].labels["service_name"], "order");
    assert_eq!(median.series[0].points, [[(seconds + 5) as f64, 0.05]]);
    let rate: api::Range = role.get(&ask("rate")).await;
    assert_eq!(rate.series[0].points.last().unwrap()[1], 20.0);
}

#[tokio::test]
async fn a_tail_tells_what_arrives_and_nothing_else() {
    let role = role().await;
    let call = role
        .client
        .get(role.url("/logs/tail?brick=order&level=warn"))
        .bearer(&role.issuer.operator_token());
    let mut stream = call.stream().await.unwrap();
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    let record = |severity_number: i32, message: &str| LogRecord {
        severity_number,
        body: Some(AnyValue {
            value: Some(Value::StringValue(message.to_owned())),
        }),
        ..LogRecord::default()
    };
    role.export_logs("payment", vec![record(17, "of another brick")])
        .await;
    role.export_logs("order", vec![record(9, "not severe"), record(17, "declined")])
        .await;
    let mut parser = brick_wire::sse::Parser::default();
    let event = loop {
        let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
        if let Some(event) = parser.feed(&chunk).unwrap().pop() {
            break event;
        }
    };
    let log: api::Log = serde_json::from_str(&event.data).unwrap();
    assert_eq!(
        (event.event.as_str(), log.msg.as_str(), log.brick.as_str()),
        ("log", "declined", "order")
    );
    role.export_logs("order", vec![record(17, "first"), record(17, "second")])
        .await;
    let event = loop {
        let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
        if let Some(event) = parser.feed(&chunk).unwrap().pop() {
            break event;
        }
    };
    let batch: Vec<api::Log> = serde_json::from_str(&event.data).unwrap();
    let messages: Vec<&str> = batch.iter().map(|log| log.msg.as_str()).collect();
    assert_eq!(
        (event.event.as_str(), messages),
        ("logs", vec!["first", "second"])
    );

    let facets: api::LogFacets = role.get("/logs/facets").await;
    let bricks: Vec<_> = facets.brick.iter().map(|f| (f.value.as_str(), f.count)).collect();
    assert_eq!(bricks, [("order", 4), ("payment", 1)]);
    let context: api::LogContext = role
        .get(&format!("/logs/{}/context?before=1&after=1", log.id))
        .await;
    let messages: Vec<&str> = context.items.iter().map(|log| log.msg.as_str()).collect();
    assert_eq!(messages, ["not severe", "declined", "first"]);
    role.trigger.drain();
    while let Ok(Some(_)) = stream.chunk().await {}
}

#[tokio::test]
async fn a_python_line_is_found_by_its_trace_id() {
    let role = role().await;
    let logs = ExportLogsServiceRequest::default();
    assert_eq!(
        role.post("/v1/logs", PROTOBUF, logs.encode_to_vec()).await.status,
        200
    );
    let record = LogRecord {
        body: Some(AnyValue {
            value: Some(Value::StringValue("recommended 3 trace_id=…".to_owned())),
        }),
        trace_id: vec![5; 16],
        ..LogRecord::default()
    };
    role.export_logs("recommendation", vec![record]).await;
    let trace: api::Trace = role.get("/traces/05050505050505050505050505050505").await;
    assert_eq!((trace.spans.len(), trace.logs.len()), (0, 1));
    assert_eq!(trace.logs[0].brick, "recommendation");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_bytes_make_ingest_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        use mortar_telemetry::ingest::{Sink, logs, metrics, traces};
        let sink = Sink::new(std::sync::Arc::new(mortar_telemetry::store::Memory::new(1024 * 1024)));
        if let Ok(export) = ExportTraceServiceRequest::decode(&bytes[..]) {
            traces::ingest(export, &sink);
        }
        if let Ok(export) = ExportLogsServiceRequest::decode(&bytes[..]) {
            logs::ingest(export, &sink);
        }
        if let Ok(export) = ExportMetricsServiceRequest::decode(&bytes[..]) {
            metrics::ingest(export, &sink);
        }
    }

    #[test]
    fn any_span_that_is_taken_is_found_again(
        trace_id in proptest::array::uniform16(any::<u8>()), span_id in proptest::array::uniform8(any::<u8>()),
        start in prop_oneof![0..1_700_000_000_000_000_000_u64, Just(u64::MAX)], end in 0..1_700_000_000_000_000_000_u64, name in ".{0,700}", kind in any::<i32>(),
        key in ".{0,20}", value in ".{0,40}",
    ) {
        use mortar_telemetry::ingest::{Sink, traces};
        let sink = Sink::new(std::sync::Arc::new(mortar_telemetry::store::Memory::new(1024 * 1024)));
        let span = Span {
            trace_id: trace_id.to_vec(), span_id: span_id.to_vec(), name, kind,
            start_time_unix_nano: start, end_time_unix_nano: end, attributes: vec![text(&key, &value)],
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let taken = traces::ingest(ExportTraceServiceRequest { resource_spans }, &sink);
        let found = sink.store().trace(&trace_id);
        prop_assert_eq!(taken.accepted, found.len() as u64);
        // An end before the start counts as the start, which may lie in the future.
        let valid = trace_id != [0; 16] && span_id != [0; 8] && start <= 1_700_000_000_000_000_000;
        prop_assert_eq!(taken.accepted, u64::from(valid));
    }
}
