//! What the edge does besides passing requests on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::harness::*;

/// A route with more than the plain one says.
fn with(path: &str, to: &str, more: Value) -> Value {
    let mut route = route(path, to, "public");
    for (key, value) in more.as_object().unwrap() {
        route[key] = value.clone();
    }
    route
}

async fn edge(routes_: Vec<Value>) -> (Gateway, Brick) {
    let brick = Brick::start("order").await;
    let resources = vec![routes(routes_), endpoints("order", &[brick.addr])];
    (Gateway::start(brick.addr, resources).await, brick)
}

fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let lines = answer.head.lines();
    lines
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[tokio::test]
async fn host_method_field_and_query_lead_and_the_path_is_rewritten() {
    let (gateway, _) = edge(vec![
        with("/api/**", "order", json!({ "name": "plain" })),
        with(
            "/api/**",
            "order",
            json!({ "name": "host", "host": "*.shop.test", "rewrite": { "prefix": "/host" } }),
        ),
        with(
            "/api/**",
            "order",
            json!({ "name": "beta", "headers": { "x-beta": "1" }, "rewrite": { "path": "/beta" } }),
        ),
        with("/w/**", "order", json!({ "name": "write", "methods": ["POST"] })),
    ])
    .await;
    let uri =
        async |path: &str, fields: &str| gateway.edge(&get_with(path, fields)).await.json()["uri"].clone();
    assert_eq!(uri("/api/1?a=b", "").await, "/api/1?a=b");
    assert_eq!(uri("/api/1?a=b", "X-Beta: 1\r\n").await, "/beta?a=b");
    let named = "GET /api/1?a=b HTTP/1.1\r\nHost: eu.shop.test:8080\r\n\r\n";
    assert_eq!(gateway.edge(named).await.json()["uri"], "/host/1?a=b");
    let refused = gateway.edge(&get_with("/w/1", "")).await;
    assert_eq!((refused.status, &*refused.code()), (405, "method_not_allowed"));
    assert_eq!(field(&refused, "allow"), Some("post"));
}

#[tokio::test]
async fn scopes_audience_and_keys_are_asked_for() {
    let (mut gateway, _) = edge(vec![
        with(
            "/a",
            "order",
            json!({ "auth": "jwt", "scopes": ["customer", "staff"] }),
        ),
        with("/b", "order", json!({ "auth": "jwt", "audience": "mobile" })),
        with("/c", "order", json!({ "auth": "api-key", "scopes": ["read"] })),
    ])
    .await;
    let bearer = |gateway: &Gateway, claims: Value| {
        format!("Authorization: Bearer {}\r\n", gateway.issuer.token(claims))
    };
    for (path, claims, expect) in [
        ("/a", json!({}), (403, "scope_missing")),
        ("/a", json!({ "scope": "staff customer" }), (200, "")),
        ("/b", json!({}), (403, "audience_missing")),
        ("/b", json!({ "aud": ["shop", "mobile"] }), (200, "")),
        ("/b", json!({ "aud": ["mobile"] }), (401, "token_audience")),
    ] {
        let answer = gateway.edge(&get_with(path, &bearer(&gateway, claims))).await;
        assert_eq!((answer.status, &*answer.code()), expect, "{path}");
    }
    // SHA-256 of "bk_till_secret".
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"bk_till_secret");
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = json!({ "keys": [{ "id": "till", "sha256": hex, "owner": "tills", "scopes": ["read"] }] });
    let shown = get_with("/c", "X-Api-Key: bk_till_secret\r\nX-Brick-Api-Client: me\r\n");
    assert_eq!(gateway.edge(&shown).await.code(), "key_unknown");
    gateway
        .publisher
        .apply(brick_bus::Change::Put(resource("keys/edge", keys)), None);
    let answer = async || gateway.edge(&shown).await;
    let mut seen = answer().await;
    while seen.status != 200 {
        tokio::task::yield_now().await;
        seen = answer().await;
    }
    assert_eq!(seen.json()["headers"]["x-brick-api-client"], "tills");
    assert_eq!(seen.json()["headers"]["x-api-key"], Value::Null);
    assert_eq!(gateway.edge(&get_with("/c", "")).await.code(), "key_missing");
}

#[tokio::test]
async fn preflights_are_answered_before_anybody_is_asked_for_a_token() {
    let cors = json!({ "origins": ["https://shop.test"], "methods": ["GET", "PUT"], "headers": ["x-a"], "credentials": true, "max_age_s": 60 });
    let (gateway, brick) = edge(vec![with(
        "/a",
        "order",
        json!({ "auth": "jwt", "methods": ["PUT"], "cors": cors }),
    )])
    .await;
    let preflight = "OPTIONS /a HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.test\r\nAccess-Control-Request-Method: PUT\r\n\r\n";
    let answer = gateway.edge(preflight).await;
    assert_eq!((answer.status, brick.calls()), (204, 0), "{answer:?}");
    assert_eq!(
        field(&answer, "access-control-allow-origin"),
        Some("https://shop.test")
    );
    assert_eq!(field(&answer, "access-control-allow-methods"), Some("get, put"));
    // A refusal too says who may read it.
    let refused = gateway
        .edge("PUT /a HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.test\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(refused.status, 401);
    assert_eq!(field(&refused, "access-control-allow-credentials"), Some("true"));
    let foreign = gateway
        .edge(&preflight.replace("shop.test\r\nAcc", "evil.test\r\nAcc"))
        .await;
    assert_eq!(field(&foreign, "access-control-allow-origin"), None);
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back_and_others_are_not_touched() {
    let rate = json!({ "rate": { "per_kilosecond": 100, "burst": 2, "by": "token" }, "auth": "jwt" });
    let (gateway, brick) = edge(vec![with("/a", "order", rate), route("/b", "order", "public")]).await;
    let bearer = |sub: &str| {
        format!(
            "Authorization: Bearer {}\r\n",
            gateway.issuer.token(json!({ "sub": sub }))
        )
    };
    let (one, other) = (bearer("u1"), bearer("u2"));
    for expect in [200, 200, 429] {
        let answer = gateway.edge(&get_with("/a", &one)).await;
        assert_eq!(answer.status, expect);
        if expect == 429 {
            assert_eq!(answer.code(), "rate_limited");
            assert_eq!(field(&answer, "retry-after"), Some("10"));
        }
    }
    assert_eq!(gateway.edge(&get_with("/a", &other)).await.status, 200);
    assert_eq!(gateway.edge(&get_with("/b", "")).await.status, 200);
    assert_eq!(brick.calls(), 4);
    let figures = gateway.telemetry.metrics().encode();
    assert!(
        figures.contains("gateway_rate_limited_total{route=\"/a\"} 1"),
        "{figures}"
    );
}

/// So many calls, and what waits is answered.
const OPEN: usize = 1_000;

/// A brick that counts its calls and answers by path.
async fn origin() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&calls));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (addr, calls)
}

async fn answer(State(calls): State<Arc<AtomicUsize>>, request: Request) -> Response {
    let n = calls.fetch_add(1, Ordering::SeqCst) + 1;
    let body = format!("answer {n}");
    let language = request
        .headers()
        .get("accept-language")
        .and_then(|v| v.to_str().ok())
        .unwrap_or("none");
    match request.uri().path() {
        "/fresh" => ([("cache-control", "max-age=60"), ("etag", "\"e\"")], body).into_response(),
        "/vary" => (
            [("cache-control", "max-age=60"), ("vary", "accept-language")],
            format!("{language} {n}"),
        )
            .into_response(),
        "/private" => ([("cache-control", "private, max-age=60")], body).into_response(),
        "/revalidate" => match request.headers().get("if-none-match") {
            Some(tag) if tag == "\"v\"" => (StatusCode::NOT_MODIFIED, [("etag", "\"v\"")]).into_response(),
            _ => ([("cache-control", "no-cache"), ("etag", "\"v\"")], body).into_response(),
        },
        "/error" if n > 1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/error" => ([("cache-control", "max-age=0, stale-if-error=60")], body).into_response(),
        // Answers once the test lets it.
        "/slow" => {
            while calls.load(Ordering::SeqCst) < OPEN {
                tokio::task::yield_now().await;
            }
            ([("cache-control", "max-age=60")], body).into_response()
        }
        "/stale" => ([("cache-control", "max-age=0, stale-while-revalidate=60")], body).into_response(),
        _ => body.into_response(),
    }
}

#[tokio::test]
async fn answers_are_kept_as_they_say() {
    let (addr, calls) = origin().await;
    let cache = json!({ "cache": { "bytes_max": 1000, "default_ttl_ms": 0, "stale_while_revalidate_ms": 0, "stale_if_error_ms": 0 } });
    let resources = vec![
        routes(vec![with("/**", "origin", cache)]),
        endpoints("origin", &[addr]),
    ];
    let gateway = Gateway::start(addr, resources).await;
    let get = async |path: &str, fields: &str| gateway.edge(&get_with(path, fields)).await;
    let check = async |path: &str, fields: &str, status: u16, body: &str| {
        let answer = get(path, fields).await;
        assert_eq!(
            (answer.status, &*answer.body),
            (status, body),
            "{path} {fields} {answer:?}"
        );
        answer
    };
    check("/fresh", "", 200, "answer 1").await;
    let hit = check("/fresh", "", 200, "answer 1").await;
    assert_eq!(
        (field(&hit, "age"), field(&hit, "cache-status")),
        (Some("0"), Some("brickwork; hit"))
    );
    check("/fresh", "If-None-Match: \"e\"\r\n", 304, "").await;
    check("/fresh?x", "", 200, "answer 2").await;
    check("/fresh", "Cache-Control: no-cache\r\n", 200, "answer 3").await;
    check("/fresh", "", 200, "answer 3").await;
    // Whoever changes it voids what is kept.
    gateway.edge("DELETE /fresh HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    check("/fresh", "", 200, "answer 5").await;
    check("/private", "", 200, "answer 6").await;
    check("/private", "", 200, "answer 7").await;
    check("/fresh?token", "Authorization: Bearer x\r\n", 200, "answer 8").await;
    check("/fresh?token", "", 200, "answer 9").await;
    check("/vary", "Accept-Language: de\r\n", 200, "de 10").await;
    check("/vary", "Accept-Language: en\r\n", 200, "en 11").await;
    check("/vary", "Accept-Language: de\r\n", 200, "de 10").await;
    check("/revalidate", "", 200, "answer 12").await;
    let held = check("/revalidate", "", 200, "answer 12").await;
    assert_eq!(
        field(&held, "cache-status"),
        Some("brickwork; hit; fwd=stale; fwd-status=304")
    );
    let only = get("/never-seen", "Cache-Control: only-if-cached\r\n").await;
    assert_eq!((only.status, &*only.code()), (504, "not_cached"));
    assert_eq!(calls.load(Ordering::SeqCst), 13);
}

#[tokio::test]
async fn of_many_who_miss_the_same_answer_one_fetches_it() {
    let (addr, calls) = origin().await;
    let cache = json!({ "cache": { "bytes_max": 1000, "default_ttl_ms": 0, "stale_while_revalidate_ms": 0, "stale_if_error_ms": 0 } });
    let resources = vec![
        routes(vec![with("/**", "origin", cache)]),
        endpoints("origin", &[addr]),
    ];
    let gateway = Gateway::start(addr, resources).await;
    let all = async |path: &str, fields: &str| {
        let request = get_with(path, fields);
        let asked = (0..20).map(|_| gateway.edge(&request));
        futures_util::future::join_all(asked).await
    };
    let waiting = "gateway_cache_requests_total{route=\"/**\",outcome=\"collapsed\"} 19";
    let opened = async {
        until(|| gateway.telemetry.metrics().encode().contains(waiting)).await;
        until(|| calls.load(Ordering::SeqCst) > 0).await;
        assert_eq!(calls.fetch_add(OPEN, Ordering::SeqCst), 1);
    };
    let (answers, ()) = tokio::join!(all("/slow", ""), opened);
    assert!(
        answers.iter().all(|answer| answer.body == "answer 1"),
        "{answers:?}"
    );
    let collapsed =
        |answer: &&Answer| field(answer, "cache-status") == Some("brickwork; fwd=uri-miss; collapsed");
    assert_eq!(answers.iter().filter(collapsed).count(), 19);
    // What one user alone may see is not waited for, and what turns out to be such is fetched by each.
    for (path, fields) in [
        ("/fresh", "Authorization: Bearer x\r\n"),
        ("/private", ""),
        ("/private", ""),
    ] {
        let before = calls.load(Ordering::SeqCst);
        let answers = all(path, fields).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        assert_eq!(calls.load(Ordering::SeqCst), before + 20, "{path}");
    }
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_an_error_and_while_a_fresh_one_is_fetched() {
    let cache = json!({ "cache": { "bytes_max": 1000, "default_ttl_ms": 0, "stale_while_revalidate_ms": 0, "stale_if_error_ms": 0 } });
    for (path, detail) in [("/error", "200"), ("/stale", "200")] {
        let (addr, calls) = origin().await;
        let resources = vec![
            routes(vec![with("/**", "origin", cache.clone())]),
            endpoints("origin", &[addr]),
        ];
        let gateway = Gateway::start(addr, resources).await;
        let get = async || gateway.edge(&get_with(path, "")).await;
        assert_eq!(get().await.body, "answer 1");
        let stale = get().await;
        assert_eq!(
            (stale.status.to_string(), &*stale.body),
            (detail.to_owned(), "answer 1"),
            "{path}"
        );
        assert_eq!(
            field(&stale, "cache-status"),
            Some("brickwork; hit; detail=stale")
        );
        until(|| calls.load(Ordering::SeqCst) == 2).await;
        if path == "/stale" {
            while get().await.body == "answer 1" {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn answers_are_compressed_and_requests_copied() {
    let (gateway, brick) = edge(vec![with("/a", "order", json!({ "compress": true }))]).await;
    let padding = format!("X-Padding: {}\r\n", "a".repeat(2_000));
    let plain = gateway.edge(&get_with("/a", &padding)).await;
    assert_eq!(
        (field(&plain, "content-encoding"), field(&plain, "vary")),
        (None, Some("accept-encoding"))
    );
    let packed = gateway
        .edge(&get_with("/a", &format!("{padding}Accept-Encoding: gzip\r\n")))
        .await;
    assert_eq!(
        (packed.status, field(&packed, "content-encoding")),
        (200, Some("gzip"))
    );
    assert_eq!(brick.calls(), 2);

    let (copies, order) = (Brick::start("copies").await, Brick::start("order").await);
    let mirror = json!({ "mirror": { "to": "copies", "per_million": 1_000_000 } });
    let resources = vec![
        routes(vec![with("/a", "order", mirror)]),
        endpoints("order", &[order.addr]),
        endpoints("copies", &[copies.addr]),
    ];
    let gateway = Gateway::start(order.addr, resources).await;
    assert_eq!(gateway.edge(&get_with("/a", "")).await.json()["brick"], "order");
    let post = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(gateway.edge(post).await.json()["body"], "hello");
    until(|| copies.calls() == 2).await;
    assert_eq!(order.calls(), 2);
}

#[tokio::test]
async fn versions_get_their_share_and_one_that_is_gone_leaves_it_to_the_others() {
    let (one, two) = (Brick::start("one").await, Brick::start("two").await);
    let pool = |versions: &[(&str, std::net::SocketAddr)]| {
        let instances: Vec<Value> = versions
            .iter()
            .map(|(version, addr)| json!({ "slot": 1, "incarnation": brick_core::Incarnation::new(), "version": version, "zone": "a", "addr": addr }))
            .collect();
        resource("endpoints/order", json!({ "instances": instances }))
    };
    let split = with(
        "/a",
        "order",
        json!({ "weights": { "v1": 0, "v2": 10, "v3": 90 } }),
    );
    let resources = vec![routes(vec![split]), pool(&[("v1", one.addr), ("v2", two.addr)])];
    let gateway = Gateway::start(one.addr, resources).await;
    for _ in 0..20 {
        assert_eq!(gateway.edge(&get_with("/a", "")).await.json()["brick"], "two");
    }
    assert_eq!((one.calls(), two.calls()), (0, 20));
}

#[tokio::test]
async fn a_browser_is_refused_with_a_page() {
    let (gateway, _) = edge(vec![]).await;
    let page = gateway
        .edge(&get_with("/nowhere", "Accept: text/html,*/*\r\n"))
        .await;
    assert_eq!(field(&page, "content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.contains("<h1>"), "{page:?}");
}
