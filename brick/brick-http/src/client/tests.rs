use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::routing::{get, post};
use brick_telemetry::context::Baggage;
use brick_telemetry::span::{Kind, SpanRecord, Value};
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::context::{self, Context};
use crate::tests::{System, closed_port};
use crate::{Access, Caller, Error, Json, Problem};

/// Answers with the request's headers.
fn mirror() -> Router {
    async fn headers(headers: HeaderMap) -> Json<BTreeMap<String, String>> {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        Json(
            headers
                .iter()
                .map(|(k, v)| (k.as_str().to_owned(), text(v)))
                .collect(),
        )
    }
    Router::new().route("/headers", get(headers))
}

type Seen = BTreeMap<String, String>;

fn named<'a>(spans: &'a [SpanRecord], name: &str) -> &'a SpanRecord {
    spans.iter().find(|span| span.name == name).unwrap()
}

#[tokio::test]
async fn a_trace_the_user_and_baggage_cross_two_bricks() {
    let system = System::new();
    let (order, product) = (system.brick("order"), system.brick("product"));
    let _guard = tracing::subscriber::set_default(order.telemetry.subscriber());
    let stock = get(async |caller: Caller, headers: HeaderMap| {
        let said = |name: &str| headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
        Json(json!({
            "user": caller.user().map(|c| c.sub.clone()),
            "brick": caller.brick().map(|c| c.sub.clone()),
            "baggage": said("baggage"),
            "tracestate": said("tracestate"),
        }))
    });
    let behind = product
        .serve(Access::new().users_or_bricks(Router::new().route("/stock", stock)))
        .await;
    let client = order.clients.client("product");
    let place = post(async move || {
        // A task of its own carries the context, too.
        let call = crate::spawn(async move { client.get("/stock").fetch::<serde_json::Value>().await });
        call.await.unwrap().map(Json)
    });
    let front = order
        .serve(Access::new().users(Router::new().route("/orders", place)))
        .await;
    let answer = brick_wire::Client::new()
        .post(front.url("/orders"))
        .bearer(&system.user("customer"))
        .header(
            http::HeaderName::from_static("baggage"),
            "brick.pool=v2,session=7",
        )
        .header(
            http::HeaderName::from_static("traceparent"),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header(http::HeaderName::from_static("tracestate"), "rojo=00f067, x@y=1")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    let seen: serde_json::Value = answer.json().unwrap();
    assert_eq!(
        seen,
        json!({
            "user": "u1", "brick": "brick:order", "baggage": "session=7", "tracestate": "rojo=00f067, x@y=1",
        })
    );
    let spans = order.telemetry.finished_spans();
    let (server, task, call, inner) = (
        named(&spans, "POST /orders"),
        named(&spans, "task"),
        named(&spans, "GET"),
        named(&spans, "GET /stock"),
    );
    assert_eq!(
        (call.kind, call.parent),
        (Kind::Client, Some(task.context.span_id))
    );
    assert_eq!(task.parent, Some(server.context.span_id));
    assert_eq!(inner.parent, Some(call.context.span_id));
    assert_eq!(inner.context.trace_id, server.context.trace_id);
    assert_eq!(
        call.attribute("server.address"),
        Some(&"product".to_owned().into())
    );
    assert_eq!(call.attribute("peer.service"), Some(&"product".to_owned().into()));
    let text = order.telemetry.metrics().encode();
    let series = "http_client_request_duration_seconds_count{server_address=\"product\",http_request_method=\"GET\",http_response_status_code=\"200\"} 1";
    assert!(text.contains(series), "{text}");
    behind.trigger.drain();
    behind.task.await.unwrap();
}

#[tokio::test]
async fn platform_baggage_passes_between_bricks() {
    let system = System::new();
    let (order, product) = (system.brick("order"), system.brick("product"));
    let pool = get(async || context::current().baggage().to_header());
    let _running = product
        .serve(Access::new().bricks(Router::new().route("/pool", pool)))
        .await;
    let client = order.clients.client("product");
    let context = Context::new(Baggage::parse("brick.pool=v2"));
    let answer = context::scope(context, client.get("/pool").send()).await.unwrap();
    assert_eq!(answer.body, "brick.pool=v2");
}

#[tokio::test]
async fn outside_of_the_system_neither_identity_nor_user_nor_platform_baggage_goes() {
    let system = System::new();
    let running = system.brick("psp").serve(Access::new().public(mirror())).await;
    let clients = system.brick("payment").clients;
    let context = Context::new(Baggage::parse("brick.pool=v2,session=7"));
    let context = context.with_user_token(Some(Arc::from("user-token")));
    let outside = clients.external("psp", &running.url("/"));
    let seen: Seen = context::scope(context.clone(), outside.get("/headers").fetch())
        .await
        .unwrap();
    assert_eq!(seen["baggage"], "session=7");
    assert!(!seen.contains_key("x-brick-identity") && !seen.contains_key("authorization"));
    let inside = clients.client("psp");
    let seen: Seen = context::scope(context.clone(), inside.get("/headers").fetch())
        .await
        .unwrap();
    assert_eq!(
        (seen["baggage"].as_str(), seen["authorization"].as_str()),
        ("brick.pool=v2,session=7", "Bearer user-token")
    );
    assert!(seen.contains_key("x-brick-identity"));
    let seen: Seen = context::scope(context, inside.get("/headers").as_self().fetch())
        .await
        .unwrap();
    assert!(!seen.contains_key("authorization"));
    let secure = clients.external("psp", "https://psp.example");
    let error = secure.get("/").send().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected a URL that starts with http://"),
        "{error}"
    );
}

#[tokio::test]
async fn a_refused_connection_is_tried_at_another_instance() {
    let system = System::new();
    let (order, product) = (system.brick("order"), system.brick("product"));
    let running = product.serve(Access::new().public(mirror())).await;
    let client = order.clients.client("product");
    // Fewer tries than the breaker wants to see; a new set each time, so that nothing learnt of a dead instance helps.
    for _ in 0..5 {
        system.endpoints("product", &[closed_port(), closed_port(), running.addr]);
        let answer = client.post("/nowhere").json(&1).send().await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    system.endpoints("product", &[closed_port(), closed_port()]);
    let error = client.get("/headers").send().await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    let problem = Problem::from(error);
    assert_eq!(
        (problem.status, problem.code.as_str()),
        (502, "callee_unreachable")
    );
}

#[tokio::test]
async fn each_failure_becomes_a_problem_that_names_the_callee() {
    let system = System::new();
    let (order, product) = (system.brick("order"), system.brick("product"));
    let routes = Router::new()
        .route("/never", get(std::future::pending::<()>))
        .route("/big", get(async || "x".repeat(1000)))
        .route("/odd", get(async || "no json"))
        .route(
            "/conflict",
            get(async || Problem::conflict("out_of_stock", "none left")),
        )
        .route("/busy", get(async || Problem::unavailable("busy", "later")));
    let _running = product.serve(Access::new().public(routes)).await;
    let client = order.clients.client("product");
    let quick = Duration::from_millis(50);
    let call = |path: &str| client.get(path).bytes_max(500);
    let cases = [
        (call("/never").timeout(quick), 504, "callee_timeout"),
        (call("/big"), 502, "callee_answer_too_large"),
        (call("/odd"), 502, "callee_answer_unexpected"),
        (call("/conflict"), 502, "callee_failed"),
        (call("/busy"), 503, "callee_failed"),
        (call("no-slash"), 500, "callee_request_invalid"),
        (order.clients.client("nobody").get("/"), 503, "callee_no_instance"),
    ];
    for (call, status, code) in cases {
        let error = call.fetch::<u32>().await.unwrap_err();
        let problem = Problem::from(error);
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (status, code),
            "{problem:?}"
        );
        assert!(
            problem.detail.contains("product") || problem.detail.contains("nobody"),
            "{problem:?}"
        );
    }
    let error = client.get("/conflict").fetch::<u32>().await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "out_of_stock");
    assert_eq!(error.status(), Some(StatusCode::CONFLICT));
    let text = order.telemetry.metrics().encode();
    assert!(
        text.contains("http_response_status_code=\"callee_timeout\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn the_manifest_limits_a_call_that_says_nothing_and_the_limit_is_acknowledged() {
    let system = System::new();
    let (order, product) = (system.brick("order"), system.brick("product"));
    let routes = Router::new().route("/never", get(std::future::pending::<()>));
    let _running = product.serve(Access::new().public(routes)).await;
    system.limit("order", "product", 30);
    let client = order.clients.client("product");
    let error = client.get("/never").send().await.unwrap_err();
    assert!(
        matches!(&error, Error::Timeout { limit, .. } if limit.as_millis() == 30),
        "{error}"
    );
    let acks = system.acknowledged().await;
    assert_eq!(
        (acks[0].name.as_str(), acks[0].refused.as_ref()),
        ("limits/order->product", None)
    );
    system.limit("order", "product", 0);
    let in_force = client.target.followed.get().policy().timeout;
    assert_eq!(in_force.as_millis(), 30, "the last good ones stay");
    assert!(system.acknowledged().await[0].refused.is_some());
}

#[tokio::test]
async fn a_query_is_encoded_from_its_fields() {
    let system = System::new();
    let (order, product) = (system.brick("order"), system.brick("product"));
    let echo = get(async |uri: http::Uri| uri.query().unwrap_or_default().to_owned());
    let _running = product
        .serve(Access::new().public(Router::new().route("/q", echo)))
        .await;
    let client = order.clients.client("product");
    let query = json!({ "q": "a lamp & more", "tag": ["x", "ü"], "none": null, "max": 3 });
    let answer = client.get("/q?fixed=1").query(&query).send().await.unwrap();
    let expected = [
        "fixed=1",
        "q=a%20lamp%20%26%20more",
        "tag=x",
        "tag=%C3%BC",
        "max=3",
    ];
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let mut parts: Vec<&str> = text.split('&').collect();
    parts.sort_unstable();
    let mut wanted = expected.to_vec();
    wanted.sort_unstable();
    assert_eq!(parts, wanted);
    let nested = client.get("/q").query(&json!({ "a": { "b": 1 } })).send().await;
    assert!(matches!(nested, Err(Error::Request { .. })));
}

#[tokio::test]
async fn a_failed_call_shows_in_its_span() {
    let system = System::new();
    let order = system.brick("order");
    let _guard = tracing::subscriber::set_default(order.telemetry.subscriber());
    let client = order.clients.client("nobody");
    assert!(client.get("/").send().await.is_err());
    assert!(!client.is_up());
    let spans = order.telemetry.finished_spans();
    assert_eq!(
        spans[0].attribute("error.type"),
        Some(&Value::from("callee_no_instance".to_owned()))
    );
    assert_eq!(spans[0].events[0].name, "a call failed");
}

proptest! {
    #[test]
    fn a_path_segment_stays_one_segment(text in any::<String>()) {
        let segment = path_segment(&text);
        prop_assert!(segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        prop_assert!(segment != "." && segment != "..");
    }
}

#[tokio::test]
async fn what_the_edge_stops_is_told_as_a_problem_an_event_and_a_figure() {
    let system = System::new();
    let (order, product) = (system.brick("order"), system.brick("product"));
    let _guard = tracing::subscriber::set_default(order.telemetry.subscriber());
    let _running = product.serve(Access::new().public(mirror())).await;
    let client = order.clients.client("product");
    let limits = |more: serde_json::Value| {
        let mut value = json!({ "timeout_ms": 500 });
        brick_bus::limits::merge(&mut value, &more);
        system.limits("order", "product", value);
    };
    limits(json!({ "breaker": { "forced": "open" } }));
    let problem = Problem::from(client.get("/headers").send().await.unwrap_err());
    assert_eq!(
        (problem.status, problem.code.as_str(), problem.retry_after_s),
        (503, "breaker_open", Some(1))
    );
    limits(json!({ "rate": { "per_second": 1, "burst": 1 } }));
    assert!(client.get("/headers").send().await.is_ok());
    let problem = Problem::from(client.get("/headers").send().await.unwrap_err());
    assert_eq!((problem.status, problem.code.as_str()), (429, "rate_limited"));
    let spans = order.telemetry.finished_spans();
    let events: Vec<&str> = spans
        .iter()
        .flat_map(|span| &span.events)
        .map(|event| &*event.name)
        .collect();
    assert!(events.contains(&"resilience.rejected_breaker"), "{events:?}");
    assert!(events.contains(&"resilience.rejected_rate"), "{events:?}");
    let text = order.telemetry.metrics().encode();
    let series = "brick_resilience_decisions_total{edge=\"order->product\",decision=\"rejected_breaker\"} 1";
    assert!(text.contains(series), "{text}");
    assert!(
        !order
            .telemetry
            .log_lines()
            .iter()
            .any(|line| line.contains("resilience.rejected"))
    );
}

#[tokio::test]
async fn a_failed_call_falls_back_as_the_manifest_says() {
    let system = System::new();
    let (order, product, lite) = (
        system.brick("order"),
        system.brick("product"),
        system.brick("lite"),
    );
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = Arc::clone(&fails);
    let stock = get(async move || match told.load(Ordering::Relaxed) {
        true => Err(Problem::unavailable("down", "later")),
        false => Ok("fresh"),
    });
    let _running = product
        .serve(Access::new().public(Router::new().route("/stock", stock)))
        .await;
    let less = Router::new().route("/stock", get(async || "less"));
    let _other = lite.serve(Access::new().public(less)).await;
    let client = order.clients.client("product");
    let ask = async || {
        let answer = client.get("/stock").send().await.unwrap();
        (
            answer.status.as_u16(),
            answer.fallback,
            String::from_utf8(answer.body.to_vec()).unwrap(),
        )
    };
    let fall_back = |to: serde_json::Value| {
        system.limits(
            "order",
            "product",
            json!({ "timeout_ms": 500, "retry": false, "fallback": to }),
        );
    };
    fall_back(json!("stale"));
    assert_eq!(ask().await, (200, None, "fresh".to_owned()));
    fails.store(true, Ordering::Relaxed);
    assert_eq!(ask().await, (200, Some(FallbackKind::Stale), "fresh".to_owned()));
    let other_user = client.get("/stock").user_token("another").send().await.unwrap();
    assert_eq!(
        (other_user.status.as_u16(), other_user.fallback),
        (503, None),
        "no user is given another's answer"
    );
    fall_back(json!({ "status": 203, "json": "{}" }));
    assert_eq!(ask().await, (203, Some(FallbackKind::Value), "{}".to_owned()));
    fall_back(json!({ "brick": "lite" }));
    assert_eq!(ask().await, (200, Some(FallbackKind::Brick), "less".to_owned()));
    fall_back(json!(false));
    assert_eq!(ask().await.0, 503);
}

#[tokio::test]
async fn what_is_left_of_the_time_goes_along_and_a_call_without_any_is_not_made() {
    let system = System::new();
    let (order, product) = (system.brick("order"), system.brick("product"));
    let behind = product.serve(Access::new().public(mirror())).await;
    let client = order.clients.client("product");
    let inner = client.clone();
    let routes = Router::new()
        .route(
            "/left",
            get(async move || inner.get("/headers").fetch::<Seen>().await.map(Json)),
        )
        .route("/never", get(std::future::pending::<()>));
    let front = order.serve(Access::new().public(routes)).await;
    let ask = async |path: &str, left_ms: &str| {
        let name = http::HeaderName::from_static("x-brick-timeout-ms");
        let call = brick_wire::Client::new();
        call.get(front.url(path))
            .header(name, left_ms)
            .send()
            .await
            .unwrap()
    };
    let seen: Seen = ask("/left", "700").await.json().unwrap();
    let left_ms: u64 = seen["x-brick-timeout-ms"].parse().unwrap();
    assert!((1..=700).contains(&left_ms), "{left_ms}");
    let seen: Seen = ask("/left", "soon").await.json().unwrap();
    let left_ms: u128 = seen["x-brick-timeout-ms"].parse().unwrap();
    assert!((701..=TIMEOUT.as_millis()).contains(&left_ms), "{left_ms}");
    for (path, left) in [("/left", "0"), ("/never", "20")] {
        let late = ask(path, left).await;
        let problem: Problem = late.json().unwrap();
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (504, "deadline_exceeded")
        );
    }
    let context = Context::default().with_deadline(Some(tokio::time::Instant::now()));
    let late = context::scope(context, client.get("/headers").send())
        .await
        .unwrap_err();
    assert!(matches!(late, Error::Deadline { .. }), "{late}");
    let text = order.telemetry.metrics().encode();
    assert!(
        text.contains("{edge=\"*->order\",decision=\"deadline\"} 2"),
        "{text}"
    );
    drop(behind);
}

#[tokio::test]
async fn faults_on_purpose_are_seen_by_the_caller_and_counted() {
    let system = System::new();
    let (order, product) = (system.brick("order"), system.brick("product"));
    let _running = product.serve(Access::new().public(mirror())).await;
    let client = order.clients.client("product");
    let fault = |rule: serde_json::Value| system.put("faults/order->product", json!({ "rules": [rule] }));
    fault(json!({ "abort": 418 }));
    assert_eq!(client.get("/headers").send().await.unwrap().status, 418);
    fault(json!({ "reset": true }));
    assert!(matches!(
        client.post("/headers").send().await,
        Err(Error::Broken { .. })
    ));
    fault(json!({ "delay_ms": 10_000 }));
    let slow = client
        .get("/headers")
        .timeout(Duration::from_millis(30))
        .send()
        .await;
    assert!(matches!(slow, Err(Error::Timeout { .. })));
    fault(json!({ "bytes_per_second": 1 }));
    let slow = client
        .get("/headers")
        .timeout(Duration::from_millis(30))
        .send()
        .await;
    assert!(matches!(slow, Err(Error::Timeout { .. })));
    fault(json!({ "abort": 500, "header": { "name": "x-chaos", "value": "1" } }));
    assert!(client.get("/headers").send().await.unwrap().status.is_success());
    let text = order.telemetry.metrics().encode();
    assert!(
        text.contains("brick_faults_injected_total{edge=\"order->product\",kind=\"abort\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn calls_go_to_instances_as_their_edge_has_it() {
    let system = System::new();
    let named = |name: &'static str| Router::new().route("/name", get(async move || name));
    let one = system
        .brick("product")
        .serve(Access::new().public(named("one")))
        .await;
    let two = system
        .brick("product")
        .serve(Access::new().public(named("two")))
        .await;
    system.endpoints("product", &[one.addr, two.addr]);
    let balance = json!({ "by": "round-robin" });
    system.limits(
        "order",
        "product",
        json!({ "timeout_ms": 5_000, "balance": balance }),
    );
    let client = system.brick("order").clients.client("product");
    let mut met = Vec::new();
    for _ in 0..4 {
        met.push(client.get("/name").send().await.unwrap().body);
    }
    assert_eq!(met, ["one", "two", "one", "two"]);
}
