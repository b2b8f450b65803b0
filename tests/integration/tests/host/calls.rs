//! HTTP through the host proxy.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use brick_bus::Resource;
use brick_core::Incarnation;
use serde_json::{Value, json};

use super::harness::{Brick, Host, call, call_as, endpoints, free, listen, resource, until};
use crate::gateway::harness::{LIMIT, send};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn limits(value: Value) -> Resource {
    resource("limits/order->product", value)
}

/// A proxy for `order`, which needs `product` and not `payment`.
async fn proxied(product: &Brick, limits_value: Value) -> (Host, Value) {
    let host = Host::start(vec![
        endpoints("product", &[product.addr]),
        endpoints("payment", &[product.addr]),
        limits(limits_value),
    ])
    .await;
    let order = host.caller("order").await;
    host.tell(std::slice::from_ref(&order)).await;
    (host, order)
}

#[tokio::test]
async fn a_call_reaches_the_brick_with_token_trace_and_what_is_left_of_the_time() {
    let product = Brick::start("product").await;
    let (host, order) = proxied(&product, json!({ "timeout_ms": 2_000 })).await;
    let fields = format!(
        "Host: wrong\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\nx-brick-timeout-ms: 700\r\nbaggage: brick.synthetic=smoke\r\nauthorization: Bearer user\r\nx-brick-identity: forged\r\nx-forwarded-for: 10.0.0.9\r\n"
    );
    let answer = call(&order, "GET http://product.brick/things?limit=1", &fields).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.json();
    assert_eq!(seen["uri"], "/things?limit=1");
    let headers = &seen["headers"];
    assert_eq!(headers["host"], "product.brick");
    assert_eq!(headers["x-brick-identity"], "order-token");
    assert_eq!(headers["authorization"], "Bearer user");
    assert_eq!(headers["baggage"], "brick.synthetic=smoke");
    assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
    assert!(headers.get("proxy-authorization").is_none());
    let left: u64 = headers["x-brick-timeout-ms"].as_str().unwrap().parse().unwrap();
    assert!((1..=700).contains(&left), "{left}");
    let parent = headers["traceparent"].as_str().unwrap();
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && !parent.contains("00f067aa0ba902b7"));
    // The span is the caller's, not the proxy's.
    until("the span leaves in the caller's name", || {
        host.otlp.hold(&["order/1", "product", "smoke"])
    })
    .await;
    let metrics = host.metrics();
    for line in [
        "http_client_request_duration_seconds_count{caller=\"order/1\",http_request_method=\"GET\",server_address=\"product\",http_response_status_code=\"200\",synthetic=\"true\"} 1",
        "brick_breaker_state{edge=\"order->product\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn a_host_name_does_where_a_client_knows_no_proxy() {
    let product = Brick::start("product").await;
    let (_host, order) = proxied(&product, json!({ "timeout_ms": 1_000 })).await;
    let answer = call(&order, "GET /things", "Host: product.brick:80\r\n").await;
    assert_eq!(
        (answer.status, answer.json()["brick"].as_str()),
        (200, Some("product"))
    );
}

#[tokio::test]
async fn nobody_passes_without_the_secret_and_only_what_is_needed_is_reached() {
    let product = Brick::start("product").await;
    let (_host, order) = proxied(&product, json!({ "timeout_ms": 1_000 })).await;
    let plain = "GET http://product.brick/ HTTP/1.1\r\nHost: product.brick\r\n\r\n";
    let answer = send(listen(&order), plain).await;
    assert_eq!((answer.status, answer.code().as_str()), (407, "proxy_credential"));
    assert!(
        answer.head.contains("proxy-authenticate: basic realm=\"brick\""),
        "{}",
        answer.head
    );
    let check = async |url: &str, credential: &str, status: u16, code: &str| {
        let answer = call_as(&order, credential, &format!("GET {url}"), "Host: x\r\n").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{url}");
    };
    check("http://product.brick/", "order:guess", 407, "proxy_credential").await;
    check("http://nobody.brick/", "order:guess", 407, "proxy_credential").await;
    check("http://payment.brick/", "order:secret", 403, "not_needed").await;
    check("http://nobody.brick/", "order:secret", 404, "brick_unknown").await;
    check("http://example.org/", "order:secret", 403, "not_a_brick").await;
    check("http://127.0.0.1:22/", "order:secret", 403, "not_a_brick").await;
    let answer = call(&order, "CONNECT product.brick:80", "Host: product.brick:80\r\n").await;
    assert_eq!(answer.status, 405);
    assert_eq!(product.calls(), 0);
}

#[tokio::test]
async fn limits_faults_and_retries_are_those_of_the_edge() {
    let product = Brick::start("product").await;
    let dead = free().await;
    let (mut host, order) = proxied(&product, json!({ "timeout_ms": 300 })).await;
    let get = "GET http://product.brick/things";
    // Of two instances one takes no connection: the other is asked, whatever the method.
    host.put(
        2,
        "endpoints/product",
        endpoints("product", &[dead, product.addr]).value,
    );
    for _ in 0..8 {
        let answer = call(&order, "DELETE http://product.brick/things", "Host: x\r\n").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let answer = call(&order, "GET http://product.brick/never", "Host: x\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "upstream_timeout"));
    let abort = json!({ "rules": [{ "abort": 418 }] });
    host.put(3, "faults/order->product", abort);
    let answer = call(&order, get, "Host: x\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (418, "fault_injected"));
    host.put(4, "faults/order->product", json!({ "rules": [] }));
    let open = json!({ "timeout_ms": 300, "breaker": { "forced": "open" } });
    host.put(5, "limits/order->product", open);
    let answer = call(&order, get, "Host: x\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "breaker_open"));
    let metrics = host.metrics();
    for line in [
        "brick_breaker_state{edge=\"order->product\"} 2",
        "brick_faults_injected_total{edge=\"order->product\",kind=\"abort\"} 1",
        "brick_resilience_decisions_total{edge=\"order->product\",decision=\"rejected_breaker\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn a_token_that_is_written_anew_goes_along_at_once() {
    let product = Brick::start("product").await;
    let (_host, order) = proxied(&product, json!({ "timeout_ms": 1_000 })).await;
    let token = order["token_file"].as_str().unwrap();
    let shown = async || {
        let answer = call(&order, "GET http://product.brick/", "Host: x\r\n").await;
        answer.json()["headers"]["x-brick-identity"].clone()
    };
    assert_eq!(shown().await, "order-token");
    let begin = std::time::Instant::now();
    std::fs::write(format!("{token}.new"), "another-token\n").unwrap();
    std::fs::rename(format!("{token}.new"), token).unwrap();
    while shown().await != "another-token" {
        assert!(begin.elapsed() < LIMIT);
    }
}

#[tokio::test]
async fn callers_come_and_go_with_the_file() {
    let product = Brick::start("product").await;
    let (host, order) = proxied(&product, json!({ "timeout_ms": 1_000 })).await;
    let mut cart = host.caller("cart").await;
    host.tell(&[order.clone(), cart.clone()]).await;
    let answer = call(&cart, "GET http://product.brick/", "Host: x\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "not_needed"));
    cart["secret"] = "another".into();
    cart["listen"] = json!(free().await);
    host.tell(std::slice::from_ref(&cart)).await;
    let head = "GET http://product.brick/";
    let answer = call_as(&cart, "cart:secret", head, "Host: x\r\n").await;
    assert_eq!(answer.status, 407);
    let answer = call_as(&cart, "cart:another", head, "Host: x\r\n").await;
    assert_eq!(answer.status, 403);
    let old = listen(&order);
    let gone = async {
        while tokio::net::TcpStream::connect(old).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap();
}

#[tokio::test]
async fn an_instance_in_quarantine_is_reached_by_its_own_name_alone_and_versions_travel() {
    let (first, second) = (Brick::start("product").await, Brick::start("product").await);
    let instance = |addr: SocketAddr, version: &str, quarantined: bool| {
        json!({ "slot": 1, "incarnation": Incarnation::new(), "version": version, "zone": "a", "addr": addr,
            "concurrent": version != "v1", "quarantined": quarantined })
    };
    let told = |quarantined: bool| {
        let instances = [
            instance(first.addr, "v1", false),
            instance(second.addr, "v2", quarantined),
        ];
        resource("endpoints/product", json!({ "instances": instances }))
    };
    let pool = resource("pools/product", json!({ "base": "v1" }));
    let mut host = Host::start(vec![told(true), pool, limits(json!({ "timeout_ms": 2_000 }))]).await;
    let order = host.caller("order").await;
    host.tell(std::slice::from_ref(&order)).await;
    let led = "Host: product.brick\r\nbaggage: brick.pool=product:v2\r\n";
    for _ in 0..20 {
        let answer = call(&order, "GET http://product.brick/things", led).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(
        (
            first.calls.load(Ordering::Relaxed),
            second.calls.load(Ordering::Relaxed)
        ),
        (20, 0)
    );
    let answer = call(
        &order,
        "GET http://product-v2-1.product.brick/things",
        "Host: product.brick\r\n",
    )
    .await;
    assert_eq!(
        (answer.status, second.calls.load(Ordering::Relaxed)),
        (200, 1),
        "{answer:?}"
    );
    let answer = call(
        &order,
        "GET http://product-9.product.brick/things",
        "Host: product.brick\r\n",
    )
    .await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (503, Some("no_instance"))
    );
    let served = told(false);
    host.put(2, "endpoints/product", served.value);
    let answer = call(&order, "GET http://product.brick/things", led).await;
    assert_eq!((answer.status, second.calls.load(Ordering::Relaxed)), (200, 2));
    assert_eq!(answer.json()["headers"]["baggage"], "brick.pool=product:v2");
}

#[tokio::test]
async fn calls_go_to_instances_as_their_edge_has_it() {
    let (one, two) = (Brick::start("one").await, Brick::start("two").await);
    let host = Host::start(vec![
        endpoints("product", &[one.addr, two.addr]),
        limits(json!({ "timeout_ms": 2_000, "balance": { "by": "round-robin" } })),
    ])
    .await;
    let order = host.caller("order").await;
    host.tell(std::slice::from_ref(&order)).await;
    let mut met = Vec::new();
    for _ in 0..6 {
        let answer = call(
            &order,
            "GET http://product.brick/things",
            "Host: product.brick\r\n",
        )
        .await;
        met.push(answer.json()["brick"].as_str().unwrap().to_owned());
    }
    let turns = |first: &'static str, second: &'static str| [first, second].repeat(3);
    assert!(
        met == turns("one", "two") || met == turns("two", "one"),
        "{met:?}"
    );
}
