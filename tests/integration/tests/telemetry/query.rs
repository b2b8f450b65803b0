//! The query API: who may ask, and what it answers about a checkout.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mortar_telemetry::api;
use mortar_telemetry::http::openapi;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::harness::{Role, role, role_with, text};

struct Call {
    service: &'static str,
    id: u8,
    parent: u8,
    kind: SpanKind,
    name: &'static str,
    ms: u64,
    peer: &'static str,
    failed: bool,
}

const fn call(
    service: &'static str,
    id: u8,
    parent: u8,
    kind: SpanKind,
    name: &'static str,
    ms: u64,
) -> Call {
    Call {
        service,
        id,
        parent,
        kind,
        name,
        ms,
        peer: "",
        failed: false,
    }
}

/// Gateway → storefront → order → {product, payment}; the payment is declined in every tenth.
async fn checkout(role: &Role, number: u8) {
    let failed = number.is_multiple_of(10);
    let calls = [
        call(
            "gateway",
            1,
            0,
            SpanKind::Server,
            "POST /checkout",
            100 + u64::from(number),
        ),
        Call {
            peer: "storefront",
            ..call("gateway", 2, 1, SpanKind::Client, "POST", 98)
        },
        call("storefront", 3, 2, SpanKind::Server, "POST /checkout", 96),
        Call {
            peer: "order",
            ..call("storefront", 4, 3, SpanKind::Client, "POST", 90)
        },
        call("order", 5, 4, SpanKind::Server, "POST /api/orders", 88),
        Call {
            peer: "product",
            ..call("order", 6, 5, SpanKind::Client, "POST", 10)
        },
        call("product", 7, 6, SpanKind::Server, "POST /api/reservations", 8),
        Call {
            peer: "payment",
            failed,
            ..call("order", 8, 5, SpanKind::Client, "POST", 40)
        },
        Call {
            failed,
            ..call("payment", 9, 8, SpanKind::Server, "POST /api/payments", 38)
        },
    ];
    let now_ns = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    for call in calls {
        let mut attributes = vec![text("order.number", &number.to_string())];
        if !call.peer.is_empty() {
            attributes.push(text("peer.service", call.peer));
        }
        let span = Span {
            trace_id: vec![number; 16],
            span_id: vec![call.id; 8],
            parent_span_id: if call.parent == 0 {
                Vec::new()
            } else {
                vec![call.parent; 8]
            },
            name: call.name.to_owned(),
            kind: call.kind as i32,
            start_time_unix_nano: now_ns - call.ms * 1_000_000,
            end_time_unix_nano: now_ns,
            attributes,
            status: Some(Status {
                code: if call.failed { 2 } else { 0 },
                message: String::new(),
            }),
            ..Span::default()
        };
        role.export_spans(call.service, vec![span]).await;
    }
}

#[tokio::test]
async fn only_operators_may_ask() {
    let role = role().await;
    let user = role.issuer.user_token("u-1", &["admin"]);
    let brick = role.issuer.process_token("order", &["call:telemetry"]);
    let paths = [
        "/traces",
        "/traces/05050505050505050505050505050505",
        "/traces/facets",
        "/traces/heatmap",
        "/logs",
        "/logs/tail",
        "/logs/facets",
        "/logs/1/context",
        "/metrics",
        "/metrics/range?name=up",
        "/graph",
        "/stats",
    ];
    for path in paths {
        let ask = |token: Option<&str>| {
            let call = role.client.get(role.url(path));
            let call = match token {
                Some(token) => call.bearer(token),
                None => call,
            };
            async { call.send().await.unwrap().status.as_u16() }
        };
        assert_eq!(ask(None).await, 401, "{path}");
        assert_eq!(ask(Some("nonsense")).await, 401, "{path}");
        assert_eq!(
            ask(Some(&user)).await,
            401,
            "a user's token is for another audience: {path}"
        );
        assert_eq!(ask(Some(&brick)).await, 403, "{path}");
    }
    assert_eq!(role.get_raw("/stats").await.status, 200);
    let nowhere = role.get_raw("/nowhere").await;
    assert_eq!(nowhere.status, 404);
}

#[tokio::test]
async fn traces_are_searched_paged_and_shown() {
    let role = role().await;
    for number in 1..=30 {
        checkout(&role, number).await;
    }
    let page: api::Page<api::TraceSummary> = role.get("/traces?limit=20").await;
    assert_eq!(page.items.len(), 20);
    let rest: api::Page<api::TraceSummary> = role
        .get(&format!("/traces?limit=20&cursor={}", page.next.unwrap()))
        .await;
    assert_eq!((rest.items.len(), rest.next), (10, None));
    let newest = &page.items[0];
    assert_eq!(newest.trace_id, "1e".repeat(16));
    assert_eq!(
        (newest.root_service.as_str(), newest.root_operation.as_str()),
        ("gateway", "POST /checkout")
    );
    assert_eq!((newest.spans, newest.duration_ms, newest.error), (9, 130.0, true));
    assert_eq!(newest.services.iter().map(|s| s.spans).sum::<u64>(), 9);

    let count = |query: &str| {
        let path = format!("/traces?limit=1000&{query}");
        let role = &role;
        async move { role.get::<api::Page<api::TraceSummary>>(&path).await.items.len() }
    };
    assert_eq!(count("error=true").await, 3);
    assert_eq!(count("service=payment").await, 30);
    assert_eq!(count("service=payment&operation=POST%20/checkout").await, 0);
    assert_eq!(count("min_duration_ms=126&max_duration_ms=128").await, 3);
    assert_eq!(count("attr=order.number=7").await, 1);
    assert_eq!(count("since=15m").await, 30);
    assert_eq!(count("since=2999-01-01T00:00:00Z").await, 0);

    let facets: api::TraceFacets = role.get("/traces/facets?since=15m").await;
    let status: Vec<_> = facets
        .status
        .iter()
        .map(|f| (f.value.as_str(), f.count))
        .collect();
    assert_eq!(status, [("ok", 27), ("error", 3)]);
    let payment = facets.service.iter().find(|f| f.value == "payment").unwrap();
    assert_eq!((payment.count, facets.service.len()), (30, 5));
    let map: api::Heatmap = role
        .get("/traces/heatmap?since=15m&columns=30&min_duration_ms=126")
        .await;
    let all: u64 = map.cells.iter().flatten().map(|[count, _]| count).sum();
    assert_eq!((map.step_s, map.cells.len(), all), (31, 30, 5));

    let trace: api::Trace = role.get(&format!("/traces/{}", "0a".repeat(16))).await;
    assert_eq!(trace.spans.len(), 9);
    assert_eq!(trace.spans[0].service, "gateway");
    assert_eq!(
        trace.spans.iter().filter(|span| span.status == "error").count(),
        2
    );
}

#[tokio::test]
async fn a_trace_of_eighty_thousand_spans_is_kept_and_told_whole() {
    const SPANS: u64 = 80_000;
    let role = role().await;
    let span = |number: u64| Span {
        trace_id: vec![9; 16],
        span_id: number.to_be_bytes().to_vec(),
        parent_span_id: (number / 3).to_be_bytes().to_vec(),
        name: format!("GET /items/{}", number % 50),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: 1_700_000_000_000_000_000 + number,
        end_time_unix_nano: 1_700_000_000_000_900_000 + number,
        attributes: vec![text("url.path", &format!("/items/{number}"))],
        ..Span::default()
    };
    for batch in 0..8 {
        let numbers = (1..=SPANS).skip(batch * 10_000).take(10_000);
        role.export_spans("order", numbers.map(span).collect()).await;
    }
    let call = role
        .client
        .get(role.url(&format!("/traces/{}", "09".repeat(16))))
        .bearer(&role.issuer.operator_token())
        .bytes_max(64 << 20)
        .timeout(Duration::from_secs(60));
    let trace: api::Trace = call.json().await.unwrap();
    assert_eq!(trace.spans.len() as u64, SPANS);
    assert!(
        trace
            .spans
            .iter()
            .zip(1_u64..)
            .all(|(span, number)| span.span_id == format!("{number:016x}"))
    );
    assert_eq!(trace.spans[6].parent_id.as_deref(), Some("0000000000000002"));
    let stats = role.stats().await;
    assert_eq!((stats.spans, stats.evicted_spans), (SPANS, 0));
}

#[tokio::test]
async fn the_graph_of_checkouts_has_rates_errors_and_percentiles() {
    let endpoint = |slot: u32, port: u16| {
        serde_json::json!({"slot": slot, "incarnation": brick_core::Incarnation::new(), "version": "v1", "zone": "a",
            "addr": format!("127.0.0.1:{port}")})
    };
    let registry = brick_bus::Resource {
        name: "endpoints/order".to_owned(),
        revision: 1,
        value: serde_json::json!({"instances": [endpoint(1, 1), endpoint(2, 1)]}),
    };
    let role = role_with(vec![registry], Vec::new()).await;
    for number in 1..=20 {
        checkout(&role, number).await;
    }
    let graph: api::Graph = role.get("/graph?window=60s").await;
    let edges: Vec<_> = graph
        .edges
        .iter()
        .map(|e| format!("{}>{}", e.from, e.to))
        .collect();
    assert_eq!(
        edges,
        [
            "gateway>storefront",
            "order>payment",
            "order>product",
            "storefront>order"
        ]
    );
    let payment = &graph.edges[1];
    assert!((payment.error_rate - 0.1).abs() < 1e-9, "{payment:?}");
    assert!(
        (payment.p50_ms - 40.0).abs() < 2.0 && payment.rate > 0.0,
        "{payment:?}"
    );
    let node = |name: &str| graph.nodes.iter().find(|node| node.brick == name).unwrap();
    assert_eq!(
        (node("gateway").kind, node("order").kind),
        (api::NodeKind::Edge, api::NodeKind::Brick)
    );
    assert_eq!(node("order").instances, 2);
    assert!((node("payment").p99_ms - 38.0).abs() < 2.0);
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let role = role().await;
    for (path, status, code, says) in [
        ("/traces?servise=x", 400, "invalid_parameter", "expected one of"),
        ("/traces/xyz", 400, "invalid_trace_id", "32 hexadecimal digits"),
        (
            "/traces/01010101010101010101010101010101",
            404,
            "unknown_trace",
            "evicted",
        ),
        ("/metrics/range?fn=rate", 400, "invalid_parameter", "name"),
        (
            "/graph?window=soon",
            400,
            "invalid_parameter",
            "expected a duration",
        ),
        ("/logs?level=loud", 400, "invalid_parameter", "warn"),
        ("/logs/x/context", 400, "invalid_log_id", "decimal digits"),
        ("/logs/7/context", 404, "unknown_log", "evicted"),
        (
            "/traces/heatmap?columns=x",
            400,
            "invalid_parameter",
            "a number from 1 to 240",
        ),
    ] {
        let answer = role.get_raw(path).await;
        let problem: brick_wire::Problem = answer.json().unwrap();
        assert_eq!(
            (answer.status.as_u16(), problem.code.as_str()),
            (status, code),
            "{path}: {problem:?}"
        );
        assert!(problem.summary().contains(says), "{path}: {problem:?}");
    }
}

#[test]
fn the_document_in_api_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../api/telemetry.openapi.json");
    let made = serde_json::to_string_pretty(&openapi::document().build()).unwrap() + "\n";
    if std::env::var_os("UPDATE_API").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "api/telemetry.openapi.json differs from the code; UPDATE_API=1 rewrites it"
    );
}
