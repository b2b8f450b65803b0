//! What the edge does about a brick that fails, and about faults on purpose.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::IntoResponse as _;
use brick_bus::{Change, Resource};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::harness::*;

const GET: &str = "GET /x HTTP/1.1\r\nHost: shop\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nok";
const POST_WITH_KEY: &str =
    "POST /x HTTP/1.1\r\nHost: shop\r\nIdempotency-Key: k1\r\nContent-Length: 5\r\n\r\nthree";
const PUT_IN_CHUNKS: &str =
    "PUT /x HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfou\r\n1\r\nr\r\n0\r\n\r\n";

/// A brick that answers 503 as often as it was told to.
struct Flaky {
    calls: Arc<AtomicUsize>,
    failing: Arc<AtomicUsize>,
    /// Body of the last request.
    body: Arc<Mutex<Bytes>>,
    gateway: Gateway,
}

impl Flaky {
    /// Behind a gateway that treats it by these limits.
    async fn behind(limits: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (calls, failing) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, left) = (Arc::clone(&calls), Arc::clone(&failing));
        let body = Arc::<Mutex<Bytes>>::default();
        let last = Arc::clone(&body);
        let router = Router::new().fallback(move |body: Bytes| {
            *last.lock().unwrap() = body;
            counted.fetch_add(1, Ordering::SeqCst);
            let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            async move {
                match fails {
                    Ok(_) => (
                        StatusCode::SERVICE_UNAVAILABLE,
                        axum::Json(json!({ "code": "sick" })),
                    )
                        .into_response(),
                    Err(_) => axum::Json(json!({ "text": "x".repeat(6_000) })).into_response(),
                }
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut all = route("/**", "order", "public");
        all["body_bytes_max"] = json!(1_000_000);
        let resources = vec![
            routes(vec![all]),
            endpoints("order", &[addr]),
            resource("limits/edge->order", limits),
        ];
        let gateway = Gateway::start(addr, resources).await;
        Self {
            calls,
            failing,
            body,
            gateway,
        }
    }

    /// Lets the next calls fail; gives the answer to a request, and how many calls it took.
    async fn asked(&self, failing: usize, request: &str) -> (u16, usize) {
        let before = self.calls();
        self.failing.store(failing, Ordering::SeqCst);
        let answer = self.gateway.edge(request).await;
        (answer.status, self.calls() - before)
    }

    fn last_body(&self) -> Bytes {
        self.body.lock().unwrap().clone()
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn says(&self, line: &str) -> bool {
        let figures = self.gateway.telemetry.metrics().encode();
        figures.lines().any(|own| own == line)
    }

    /// Puts faults into force.
    async fn faults(&mut self, of: &str, rules: Value) {
        let name = format!("faults/{of}");
        let faults = Resource {
            revision: 2,
            ..resource(&name, json!({ "rules": rules }))
        };
        self.gateway.publisher.apply(Change::Put(faults), None);
    }
}

#[tokio::test]
async fn what_may_be_repeated_is_tried_again_and_all_else_is_not() {
    let brick =
        Flaky::behind(json!({ "timeout_ms": 5_000, "breaker": false, "retry": { "base_ms": 1 } })).await;
    assert_eq!(brick.asked(1, GET).await, (200, 2));
    assert_eq!(brick.asked(1, POST).await, (503, 1));
    assert_eq!(brick.asked(1, POST_WITH_KEY).await, (200, 2));
    assert_eq!(brick.last_body(), "three", "the second try has the whole body");
    assert_eq!(brick.asked(1, PUT_IN_CHUNKS).await, (200, 2));
    assert_eq!(brick.last_body(), "four");
    assert_eq!(
        brick.asked(2, GET).await,
        (503, 2),
        "no more than one further try"
    );
    assert!(brick.says("brick_resilience_decisions_total{edge=\"edge->order\",decision=\"retry\"} 4"));
}

#[tokio::test]
async fn a_body_beyond_what_is_kept_is_sent_once_and_whole() {
    let brick =
        Flaky::behind(json!({ "timeout_ms": 5_000, "breaker": false, "retry": { "base_ms": 1 } })).await;
    for (bytes, came_to) in [
        (64 * 1024, (200, 2)),
        (64 * 1024 + 1, (503, 1)),
        (900_000, (503, 1)),
    ] {
        let chunk = "x".repeat(bytes);
        let chunked = format!(
            "PUT /x HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n{chunk}\r\n0\r\n\r\n"
        );
        assert_eq!(brick.asked(1, &chunked).await, came_to, "{bytes} in a chunk");
        assert_eq!(brick.last_body(), chunk);
        let declared = format!("PUT /x HTTP/1.1\r\nHost: shop\r\nContent-Length: {bytes}\r\n\r\n{chunk}");
        assert_eq!(brick.asked(1, &declared).await, came_to, "{bytes} declared");
        assert_eq!(brick.last_body(), chunk);
    }
}

#[tokio::test]
async fn further_tries_stay_within_the_budget() {
    let limits = json!({ "timeout_ms": 5_000, "breaker": false, "retry": { "base_ms": 1, "cap_ms": 1, "budget": 0.1 } });
    let brick = Flaky::behind(limits).await;
    brick.failing.store(usize::MAX, Ordering::SeqCst);
    for _ in 0..200 {
        assert_eq!(brick.gateway.edge(GET).await.status, 503);
    }
    let further = brick.calls() - 200;
    assert!(
        (20..=30).contains(&further),
        "{further} further tries of 200 requests"
    );
}

#[tokio::test]
async fn a_breaker_opens_lets_some_through_after_a_while_and_closes() {
    let limits = json!({ "timeout_ms": 5_000, "retry": false,
        "breaker": { "min_calls": 5, "open_ms": 300, "probes": 2 } });
    let brick = Flaky::behind(limits).await;
    let state = |number: u8| format!("brick_breaker_state{{edge=\"edge->order\"}} {number}");
    brick.failing.store(usize::MAX, Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(brick.gateway.edge(GET).await.code(), "sick");
    }
    let before = brick.calls();
    let stopped = brick.gateway.edge(GET).await;
    assert_eq!((stopped.status, &*stopped.code()), (503, "breaker_open"));
    assert!(stopped.head.contains("retry-after: 1"), "{}", stopped.head);
    assert_eq!(brick.calls(), before, "the brick is left alone");
    assert!(brick.says(&state(2)));

    brick.failing.store(0, Ordering::SeqCst);
    let begun = Instant::now();
    while brick.gateway.edge(GET).await.status != 200 {
        assert!(begun.elapsed() < LIMIT, "it stays open");
    }
    assert!(brick.says(&state(1)), "half open after one good call of two");
    assert_eq!(brick.gateway.edge(GET).await.status, 200);
    assert!(brick.says(&state(0)));
}

#[tokio::test]
async fn faults_hit_their_share_of_requests() {
    let mut brick = Flaky::behind(json!({ "timeout_ms": 5_000, "retry": false, "breaker": false })).await;
    brick
        .faults("edge->order", json!([{ "share": 0.5, "abort": 503 }]))
        .await;
    let mut hit = 0;
    for _ in 0..200 {
        let answer = brick.gateway.edge(GET).await;
        hit += usize::from(answer.status == 503 && answer.code() == "fault_injected");
    }
    // Seven standard deviations.
    assert!((50..=150).contains(&hit), "{hit} of 200");
    assert_eq!(
        brick.calls(),
        200 - hit,
        "what is aborted does not reach the brick"
    );
    assert!(brick.says(&format!(
        "brick_faults_injected_total{{edge=\"edge->order\",kind=\"abort\"}} {hit}"
    )));
}

#[tokio::test]
async fn faults_hit_who_carries_the_header_and_nobody_else() {
    let mut brick = Flaky::behind(json!({ "timeout_ms": 5_000, "retry": false, "breaker": false })).await;
    let rule = |value: &str, fault: Value| {
        let mut rule = json!({ "header": { "name": "x-fault", "value": value } });
        rule.as_object_mut()
            .unwrap()
            .extend(fault.as_object().unwrap().clone());
        rule
    };
    let rules = json!([
        rule("abort", json!({ "abort": 418 })),
        rule("reset", json!({ "reset": true })),
        rule("delay", json!({ "delay_ms": 200 })),
        rule("slow", json!({ "bytes_per_second": 20_000 })),
    ]);
    brick.faults("route->/**", rules).await;
    let ask = async |value: &str| {
        let (begun, before) = (Instant::now(), brick.calls());
        let answer = brick
            .gateway
            .edge(&get_with("/x", &format!("X-Fault: {value}\r\n")))
            .await;
        (answer.status, brick.calls() - before, begun.elapsed(), answer)
    };
    let (status, calls, took, plain) = ask("none").await;
    assert_eq!((status, calls), (200, 1));
    assert!(took < Duration::from_millis(200), "{took:?}");
    let (status, calls, ..) = ask("abort").await;
    assert_eq!((status, calls), (418, 0));
    let (status, calls, _, answer) = ask("reset").await;
    assert_eq!((status, calls, &*answer.code()), (502, 0, "upstream_reset"));
    let (status, _, took, _) = ask("delay").await;
    assert_eq!(status, 200);
    assert!(took >= Duration::from_millis(200), "{took:?}");
    let (status, _, took, slow) = ask("slow").await;
    assert_eq!((status, slow.body.len()), (200, plain.body.len()));
    // 6,011 bytes take 0.3 s at this pace.
    assert!(took >= Duration::from_millis(250), "{took:?}");
}

#[tokio::test]
async fn requests_of_one_key_meet_one_instance() {
    let (one, two) = (Brick::start("one").await, Brick::start("two").await);
    let balance = json!({ "by": "consistent-hash", "key": "header:x-cart" });
    let resources = vec![
        routes(vec![route("/**", "order", "public")]),
        endpoints("order", &[one.addr, two.addr]),
        resource(
            "limits/edge->order",
            json!({ "timeout_ms": 5_000, "balance": balance }),
        ),
    ];
    let gateway = Gateway::start(one.addr, resources).await;
    let mut met = BTreeSet::new();
    for cart in 0..16 {
        let request = get_with("/x", &format!("X-Cart: {cart}\r\n"));
        let first = gateway.edge(&request).await.json()["brick"].to_string();
        for _ in 0..3 {
            assert_eq!(gateway.edge(&request).await.json()["brick"].to_string(), first);
        }
        met.insert(first);
    }
    assert_eq!(met.len(), 2, "{met:?}");
}
