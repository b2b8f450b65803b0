//! What the edge answers where a brick is slow or fails: another instance's answer, an older one, a fixed one, or another
//! brick's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::harness::*;

const GET: &str = "GET /x HTTP/1.1\r\nHost: shop\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nok";

/// An order brick that counts its answers, and fails while it is told to; beside it a spare one that stands in.
struct Sick {
    sick: Arc<AtomicBool>,
    gateway: Gateway,
}

impl Sick {
    async fn with(fallback: Value) -> Self {
        let (sick, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let fails = Arc::clone(&sick);
        let router = Router::new().fallback(move |request: Request| {
            let (fails, n) = (
                fails.load(Ordering::SeqCst),
                answered.fetch_add(1, Ordering::SeqCst),
            );
            async move {
                if fails {
                    return (
                        StatusCode::INTERNAL_SERVER_ERROR,
                        axum::Json(json!({ "code": "sick" })),
                    )
                        .into_response();
                }
                let mut response = axum::Json(json!({ "n": n })).into_response();
                if request.uri().path() == "/secret" {
                    let value = http::HeaderValue::from_static("private, no-store");
                    response.headers_mut().insert("cache-control", value);
                }
                response
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let spare = Brick::start("spare").await;
        let limits = json!({ "timeout_ms": 5_000, "retry": false, "breaker": false, "fallback": fallback });
        let resources = vec![
            routes(vec![route("/**", "order", "public")]),
            endpoints("order", &[addr]),
            endpoints("spare", &[spare.addr]),
            resource("limits/edge->order", limits),
        ];
        let gateway = Gateway::start(addr, resources).await;
        Self { sick, gateway }
    }

    async fn ask(&self, sick: bool, request: &str) -> Answer {
        self.sick.store(sick, Ordering::SeqCst);
        self.gateway.edge(request).await
    }

    fn decided(&self) -> u64 {
        decided(&self.gateway, "fallback")
    }
}

fn decided(gateway: &Gateway, decision: &str) -> u64 {
    let line = format!("brick_resilience_decisions_total{{edge=\"edge->order\",decision=\"{decision}\"}} ");
    let figures = gateway.telemetry.metrics().encode();
    let figure = figures.lines().find_map(|own| own.strip_prefix(&line));
    figure.map_or(0, |figure| figure.parse().unwrap())
}

#[tokio::test]
async fn a_slow_instance_is_overtaken_by_another_where_the_request_may_be_repeated() {
    let quick = Brick::start("order").await;
    // Takes connections, and answers nothing.
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addrs = [quick.addr, slow.local_addr().unwrap()];
    let limits = json!({ "timeout_ms": 60_000, "retry": {}, "breaker": false, "hedge": { "after_ms": 20 } });
    let resources = vec![
        routes(vec![route("/**", "order", "public")]),
        endpoints("order", &addrs),
        resource("limits/edge->order", limits),
    ];
    let gateway = Gateway::start(quick.addr, resources).await;
    let asked = async {
        let mut asked = 0;
        while decided(&gateway, "hedge_won") == 0 {
            let answer = gateway
                .edge("PUT /x HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nok")
                .await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json()["body"], "ok");
            asked += 1;
        }
        asked
    };
    let asked = tokio::time::timeout(LIMIT, asked)
        .await
        .expect("no try was overtaken");
    assert_eq!(quick.calls(), asked, "each request is answered once");
    assert!(decided(&gateway, "hedge") >= 1);
}

#[tokio::test]
async fn what_may_not_be_repeated_is_sent_once_however_slow_it_is() {
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addrs = [slow.local_addr().unwrap(), slow.local_addr().unwrap()];
    let limits = json!({ "timeout_ms": 200, "retry": {}, "breaker": false, "hedge": { "after_ms": 20 } });
    let resources = vec![
        routes(vec![route("/**", "order", "public")]),
        endpoints("order", &addrs),
        resource("limits/edge->order", limits),
    ];
    let gateway = Gateway::start(addrs[0], resources).await;
    assert_eq!(gateway.edge(POST).await.status, 504);
    assert_eq!(decided(&gateway, "hedge"), 0);
    assert_eq!(gateway.edge(GET).await.status, 504);
    assert_eq!(decided(&gateway, "hedge"), 1);
    drop(slow);
}

#[tokio::test]
async fn a_brick_that_fails_gives_way_to_a_fixed_answer() {
    let order = Sick::with(json!({ "status": 200, "json": "{\"n\":-1}" })).await;
    let answer = order.ask(false, GET).await;
    assert!(!answer.head.contains("x-brick-degraded"), "{answer:?}");
    for request in [GET, POST] {
        let answer = order.ask(true, request).await;
        assert_eq!((answer.status, &answer.json()["n"]), (200, &json!(-1)));
        assert!(answer.head.contains("x-brick-degraded: order"), "{answer:?}");
    }
    assert_eq!(order.decided(), 2);
}

#[tokio::test]
async fn a_brick_that_fails_gives_way_to_what_the_same_user_was_given_last() {
    let order = Sick::with(json!("stale")).await;
    let mine = get_with("/x", "Authorization: Bearer mine\r\n");
    let fresh = order.ask(false, &mine).await.json();
    let answer = order.ask(true, &mine).await;
    assert_eq!((answer.status, answer.json()), (200, fresh));
    assert!(
        answer.head.contains("x-brick-degraded: order") && answer.head.contains("\nage: "),
        "{answer:?}"
    );
    // Of nobody else, of no other method, and of nothing that must not be kept.
    let theirs = get_with("/x", "Authorization: Bearer theirs\r\n");
    assert_eq!(order.ask(true, &theirs).await.status, 500);
    assert_eq!(order.ask(true, POST).await.status, 500);
    let secret = get_with("/secret", "");
    assert_eq!(order.ask(false, &secret).await.status, 200);
    assert_eq!(order.ask(true, &secret).await.status, 500);
    assert_eq!(order.decided(), 1);
}

#[tokio::test]
async fn a_brick_that_fails_gives_way_to_another() {
    let order = Sick::with(json!({ "brick": "spare" })).await;
    assert!(order.ask(false, POST).await.json()["n"].is_number());
    let answer = order
        .ask(
            true,
            "PUT /x?q=1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nok",
        )
        .await;
    let seen = answer.json();
    assert_eq!(
        (&seen["brick"], &seen["body"], &seen["uri"]),
        (&json!("spare"), &json!("ok"), &json!("/x?q=1"))
    );
    assert!(answer.head.contains("x-brick-degraded: order"), "{answer:?}");
    assert_eq!(order.decided(), 1);
}

#[tokio::test]
async fn a_brick_without_instances_gives_way_at_once() {
    let gone = endpoints("order", &[]);
    let limits = json!({ "timeout_ms": 5_000, "fallback": { "status": 203, "json": "[]" } });
    let resources = vec![
        routes(vec![route("/**", "order", "public")]),
        gone,
        resource("limits/edge->order", limits),
    ];
    let nobody = "127.0.0.1:9".parse().unwrap();
    let gateway = Gateway::start(nobody, resources).await;
    let begun = std::time::Instant::now();
    assert_eq!(gateway.edge(GET).await.status, 203);
    assert!(begun.elapsed() < Duration::from_secs(5));
}
