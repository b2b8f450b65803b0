use std::sync::Arc;

use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::{get, post};
use brick_telemetry::context::SpanContext;
use brick_telemetry::span::{Kind, Status, Value};
use brick_wire::Client;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::HOST;
use http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::*;
use crate::tests::{System, eventually};
use crate::{Json, Path, Query};

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    quantity: u32,
}

fn routes() -> Router {
    Router::new()
        .route("/lines/{id}", get(async |Path(id): Path<u32>| id.to_string()))
        .route(
            "/lines",
            post(async |Json(line): Json<Line>| Json(line)).get(async |Query(line): Query<Line>| Json(line)),
        )
        .route("/text", post(async |body: String| body.len().to_string()))
        .route("/panic", get(panics))
        .route(
            "/conflict",
            get(async || Problem::conflict("out_of_stock", "none left")),
        )
}

async fn panics() -> String {
    panic!("the secret is 42")
}

fn problem(answer: &brick_wire::Response) -> Problem {
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn every_error_is_a_problem_that_names_its_trace() {
    let system = System::new();
    let brick = system.brick("order");
    let _guard = tracing::subscriber::set_default(brick.telemetry.subscriber());
    let running = brick.serve(Access::new().public(routes())).await;
    let client = Client::new();
    let json = "application/json";
    let cases = [
        (client.get(running.url("/nowhere")), 404, "not_found"),
        (client.post(running.url("/lines/1")), 405, "method_not_allowed"),
        (client.get(running.url("/lines/x")), 400, "path_invalid"),
        (client.get(running.url("/lines?quantity=x")), 400, "query_invalid"),
        (
            client.post(running.url("/lines")).body(json, "{"),
            400,
            "json_malformed",
        ),
        (
            client.post(running.url("/lines")).body(json, "{\"quantity\":-1}"),
            422,
            "json_invalid",
        ),
        (
            client.post(running.url("/lines")).body("text/plain", "{}"),
            415,
            "json_expected",
        ),
        (client.get(running.url("/panic")), 500, "internal"),
        (client.get(running.url("/conflict")), 409, "out_of_stock"),
    ];
    for (call, status, code) in cases {
        let answer = call.send().await.unwrap();
        let told = problem(&answer);
        assert_eq!(
            (answer.status.as_u16(), told.code.as_str()),
            (status, code),
            "{told:?}"
        );
        assert_eq!(told.status, status);
        let trace_id = told.trace_id.clone().unwrap();
        assert_eq!(answer.headers["x-trace-id"], &*trace_id);
        assert!(!told.detail.contains("secret"), "{told:?}");
    }
    let answer = client.post(running.url("/lines/1")).send().await.unwrap();
    assert_eq!(answer.headers["allow"], "GET,HEAD");
    let lines = brick.telemetry.log_lines();
    assert!(
        lines.iter().any(|line| line.contains("the secret is 42")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_request_becomes_a_span_and_a_metric() {
    let system = System::new();
    let brick = system.brick("order");
    let _guard = tracing::subscriber::set_default(brick.telemetry.subscriber());
    let running = brick.serve(Access::new().public(routes())).await;
    let remote = SpanContext::root();
    let client = Client::new();
    let call = client.get(running.url("/lines/7?secret=1"));
    let traceparent = HeaderName::from_static("traceparent");
    let answer = call
        .header(traceparent, &remote.traceparent())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    Client::new().get(running.url("/panic")).send().await.unwrap();
    for path in ["/health/ready", "/metrics", "/info"] {
        let answer = Client::new().get(running.url(path)).send().await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }
    let spans = brick.telemetry.finished_spans();
    let [first, second] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(
        (first.name.as_ref(), first.kind),
        ("GET /lines/{id}", Kind::Server)
    );
    assert_eq!(
        (first.context.trace_id, first.parent),
        (remote.trace_id, Some(remote.span_id))
    );
    assert_eq!(
        first.attribute("http.response.status_code"),
        Some(&Value::Int(200))
    );
    assert_eq!(first.attribute("url.path"), Some(&"/lines/7".into()));
    assert_eq!(first.attribute("http.route"), Some(&"/lines/{id}".into()));
    assert_eq!(second.status, Status::Error("".into()));
    assert_eq!(second.attribute("error.type"), Some(&"500".into()));
    let text = brick.telemetry.metrics().encode();
    let series = "http_server_request_duration_seconds_count{http_request_method=\"GET\",http_route=\"/lines/{id}\",http_response_status_code=\"200\"} 1";
    assert!(text.contains(series), "{text}");
    assert!(text.contains(&format!("# {{trace_id=\"{}\"}}", remote.trace_id)));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_comes() {
    let system = System::new();
    let mut brick = system.brick("order");
    brick.options.body_bytes_max = 100;
    let running = brick.serve(Access::new().public(routes())).await;
    let client = Client::new();
    let post = |n: usize| {
        client
            .post(running.url("/text"))
            .body("text/plain", "x".repeat(n))
            .send()
    };
    assert_eq!(post(100).await.unwrap().status, StatusCode::OK);
    let answer = post(101).await.unwrap();
    assert_eq!(problem(&answer).code, "body_too_large");
    let chunked = format!(
        "POST /text HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nc8\r\n{}\r\n0\r\n\r\n",
        "x".repeat(200)
    );
    let text = raw(running.addr, &chunked).await;
    assert!(
        text.starts_with("HTTP/1.1 413 ") && text.contains("body_too_large"),
        "{text}"
    );
}

#[tokio::test]
async fn only_loopback_names_are_served_unless_a_platform_identity_comes_along() {
    let system = System::new();
    let mut brick = system.brick("order");
    let running = brick.serve(Access::new().public(routes())).await;
    let ask = async |running: &crate::tests::Running, identity: &str| {
        let client = Client::new();
        let mut call = client.get(running.url("/lines/1")).header(HOST, "evil.example");
        if !identity.is_empty() {
            call = call.header(HeaderName::from_static("x-brick-identity"), identity);
        }
        call.send().await.unwrap().status
    };
    assert_eq!(ask(&running, "").await, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(ask(&running, "forged").await, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(
        ask(&running, &system.process("gateway", "call:*")).await,
        StatusCode::OK
    );
    brick.options.hosts = Hosts::Any;
    let open = brick.serve(Access::new().public(routes())).await;
    assert_eq!(ask(&open, "").await, StatusCode::OK);
}

#[tokio::test]
async fn a_drain_finishes_open_requests_and_takes_no_new_connection() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let system = System::new();
    let brick = system.brick("order");
    let (inside, go) = (Arc::clone(&entered), Arc::clone(&release));
    let slow = get(async move || {
        inside.notify_one();
        go.notified().await;
        "done"
    });
    let running = brick
        .serve(Access::new().public(Router::new().route("/slow", slow)))
        .await;
    let open = ask(running.url("/slow"));
    entered.notified().await;
    running.trigger.drain();
    eventually("new connections are refused", || async {
        TcpStream::connect(running.addr).await.is_err()
    })
    .await;
    assert!(!brick.telemetry.health().is_ready());
    assert!(!running.task.is_finished());
    release.notify_one();
    assert_eq!(open.await.unwrap(), "done");
    running.task.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_drain() {
    let system = System::new();
    let running = system.brick("order").serve(Access::new().public(routes())).await;
    let client = Client::new();
    client.get(running.url("/lines/1")).send().await.unwrap();
    running.trigger.drain();
    tokio::time::timeout(DRAIN_LIMIT / 2, running.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_counted() {
    let entered = Arc::new(Notify::new());
    let system = System::new();
    let brick = system.brick("order");
    let inside = Arc::clone(&entered);
    let never = get(async move || {
        inside.notify_one();
        std::future::pending::<()>().await;
    });
    let running = brick
        .serve(Access::new().public(Router::new().route("/never", never)))
        .await;
    let open = ask(running.url("/never"));
    entered.notified().await;
    open.abort();
    let series = "http_route=\"/never\",http_response_status_code=\"499\"} 1";
    eventually("it is counted as 499", || async {
        brick.telemetry.metrics().encode().contains(series)
    })
    .await;
}

#[tokio::test]
async fn a_websocket_is_upgraded_and_speaks() {
    let echo = get(async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let _ = socket.send(Message::Text(text)).await;
            }
        })
    });
    let system = System::new();
    let running = system
        .brick("order")
        .serve(Access::new().public(Router::new().route("/ws", echo)))
        .await;
    let url = format!("ws://{}/ws", running.addr);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket.send("hello".into()).await.unwrap();
    let heard = socket.next().await.unwrap().unwrap();
    assert_eq!(heard.into_text().unwrap().as_str(), "hello");
}

/// A GET in a task of its own.
fn ask(url: String) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move {
        let answer = Client::new().get(url).send().await.unwrap();
        String::from_utf8_lossy(&answer.body).into_owned()
    })
}

/// Sends bytes as they are and reads to the end.
async fn raw(addr: SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// An answer whose second half comes when the test says so, and a task that outlives it.
fn slow_answer(first: Arc<Notify>, second: Arc<Notify>) -> Router {
    let handler = move || async move {
        let late = Arc::clone(&second);
        crate::spawn(async move {
            late.notified().await;
            tracing::info!("afterwards");
        });
        let parts = futures_util::stream::unfold(0, move |part| {
            let first = Arc::clone(&first);
            async move {
                match part {
                    0 => Some((Ok::<_, std::convert::Infallible>("one "), 1)),
                    1 => {
                        first.notified().await;
                        Some((Ok("two"), 2))
                    }
                    _ => None,
                }
            }
        });
        Body::from_stream(parts)
    };
    Router::new()
        .route("/slow", get(handler))
        .route("/empty", get(async || StatusCode::NO_CONTENT))
}

#[tokio::test]
async fn a_server_span_ends_with_the_last_byte_whatever_its_tasks_do() {
    let system = System::new();
    let brick = system.brick("order");
    let _guard = tracing::subscriber::set_default(brick.telemetry.subscriber());
    let (body, task) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let routes = slow_answer(Arc::clone(&body), Arc::clone(&task));
    let running = brick.serve(Access::new().public(routes)).await;
    let client = Client::new();
    let mut stream = client.get(running.url("/slow")).stream().await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "one ");
    assert!(
        brick.telemetry.finished_spans().is_empty(),
        "the body still flows"
    );
    body.notify_one();
    while stream.chunk().await.unwrap().is_some() {}
    let spans = brick.telemetry.finished_spans();
    let [server] = spans.as_slice() else {
        panic!("the server span alone, not {spans:?}")
    };
    assert_eq!(server.name, "GET /slow");
    task.notify_one();
    let telemetry = brick.telemetry.clone();
    eventually("the task's own span", || async {
        telemetry.finished_spans().len() == 2
    })
    .await;
    let late = &brick.telemetry.finished_spans()[1];
    assert_eq!(
        (late.name.as_ref(), late.parent),
        ("task", Some(server.context.span_id))
    );
    assert!(late.end_unix_ns >= server.end_unix_ns);
    let line = brick.telemetry.log_lines().pop().unwrap();
    assert!(line.contains(&server.context.trace_id.to_string()), "{line}");
    client.get(running.url("/empty")).send().await.unwrap();
    assert_eq!(brick.telemetry.finished_spans()[2].name, "GET /empty");
}

#[tokio::test]
async fn what_a_test_suite_asks_is_marked_in_spans_metrics_and_logs_only_where_the_platform_says_so() {
    let system = System::new();
    let product = system.brick("product");
    let order = system.brick("order");
    let _guard = tracing::subscriber::set_default(order.telemetry.subscriber());
    let stock = Router::new().route("/stock", get(async || "7"));
    let _product = product.serve(Access::new().bricks(stock)).await;
    let clients = order.clients.clone();
    let handler = move || {
        let client = clients.client("product");
        async move {
            tracing::info!("asked");
            client.get("/stock").send().await.unwrap();
        }
    };
    let routes = Router::new().route("/orders", get(handler));
    let running = order.serve(Access::new().public(routes)).await;
    let client = Client::new();
    let ask = |identity: &str| {
        let call = client.get(running.url("/orders"));
        let call = call.header(HeaderName::from_static("baggage"), "brick.synthetic=smoke");
        call.header(HeaderName::from_static("x-brick-identity"), identity)
            .send()
    };
    ask("forged").await.unwrap();
    ask(&system.process("gateway", "bus")).await.unwrap();
    let marked = |name: &str| -> Vec<bool> {
        let spans = order.telemetry.finished_spans();
        let named = spans.iter().filter(|span| span.name == name);
        named
            .map(|span| span.attribute("brick.synthetic") == Some(&"smoke".into()))
            .collect()
    };
    assert_eq!(marked("GET /orders"), [false, true]);
    assert_eq!(marked("GET"), [false, true], "the calls it makes");
    assert_eq!(marked("GET /stock"), [false, true], "and what they cause");
    let text = order.telemetry.metrics().encode();
    for (metric, labels) in [
        (
            "server",
            r#"http_request_method="GET",http_route="/orders",http_response_status_code="200""#,
        ),
        (
            "client",
            r#"server_address="product",http_request_method="GET",http_response_status_code="200""#,
        ),
    ] {
        for labels in [labels.to_owned(), format!("{labels},synthetic=\"true\"")] {
            let series = format!("http_{metric}_request_duration_seconds_count{{{labels}}} 1");
            assert!(text.contains(&series), "{series} is not in {text}");
        }
    }
    let lines = order.telemetry.log_lines();
    let synthetic: Vec<bool> = lines
        .iter()
        .filter(|line| line.contains("asked"))
        .map(|line| line.contains(r#""synthetic":"smoke""#))
        .collect();
    assert_eq!(synthetic, [false, true]);
}

#[tokio::test]
async fn a_server_with_more_than_it_can_do_turns_away_the_least_critical_first() {
    let system = System::new();
    let product = system.brick("product");
    system.put(
        "serve/product",
        serde_json::json!({ "concurrency": 1, "shed": { "target_ms": 5, "interval_ms": 10 } }),
    );
    let (open, gate) = tokio::sync::watch::channel(false);
    let slow = get(move || {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open).await;
            "done"
        }
    });
    let running = product
        .serve(Access::new().public(Router::new().route("/slow", slow)))
        .await;
    let url = running.url("/slow");
    let ask = |class: &'static str| {
        let call = brick_wire::Client::new();
        let url = url.clone();
        tokio::spawn(async move {
            let name = http::HeaderName::from_static("x-brick-criticality");
            call.get(url)
                .header(name, class)
                .send()
                .await
                .unwrap()
                .status
                .as_u16()
        })
    };
    let first = ask("default");
    // Those that wait in vain show that the queue stands.
    let shed = async |class| ask(class).await.unwrap() == 503;
    eventually("the queue stands", || shed("default")).await;
    let begun = tokio::time::Instant::now();
    assert!(shed("sheddable").await);
    assert!(shed("default").await);
    let critical = ask("critical");
    assert!(begun.elapsed() < Duration::from_secs(1));
    open.send(true).unwrap();
    assert_eq!((first.await.unwrap(), critical.await.unwrap()), (200, 200));
    let text = product.telemetry.metrics().encode();
    assert!(
        text.contains("brick_resilience_decisions_total{edge=\"*->product\",decision=\"shed\"}"),
        "{text}"
    );
}
