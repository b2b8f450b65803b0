//! Backends for frontends: several calls, one answer, within its own time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::*;

fn view(path: &str, auth: &str, parts: Value) -> Value {
    json!({ "name": "mobile.home", "path": path, "methods": ["GET"], "auth": auth, "timeout_ms": 2_000, "query": { "q": "lamp" }, "parts": parts })
}

async fn edge(view: Value, resources: Vec<brick_bus::Resource>) -> Gateway {
    let mut all = vec![resource("routes/edge", json!({ "routes": [], "views": [view] }))];
    all.extend(resources);
    Gateway::start(([127, 0, 0, 1], 1).into(), all).await
}

#[tokio::test]
async fn parts_are_asked_at_once_and_chosen_and_renamed() {
    let (product, order) = (Brick::start("product").await, Brick::start("order").await);
    let parts = json!({
        "items": { "from": "product", "get": "/api/products/{id}?q={q}&u={subject}", "fields": { "asked": "$.uri", "by": "$.headers.authorization" } },
        "order": { "from": "order", "get": "/o", "fields": { "brick": "$.brick", "none": "$.none" } },
    });
    let pools = vec![
        endpoints("product", &[product.addr]),
        endpoints("order", &[order.addr]),
    ];
    let gateway = edge(view("/mobile/{id}/home", "jwt", parts), pools).await;
    let bearer = format!("Bearer {}", gateway.issuer.token(json!({})));
    let fields = format!("Authorization: {bearer}\r\n");
    let answer = gateway
        .edge(&get_with("/mobile/a%26b/home?q=x+y&z=1", &fields))
        .await;
    assert_eq!(
        answer.json(),
        json!({
            "items": { "asked": "/api/products/a%26b?q=x%20y&u=u1", "by": bearer },
            "order": { "brick": "order", "none": null },
        }),
        "{answer:?}"
    );
    assert!(!answer.head.contains("x-brick-degraded"), "{answer:?}");
    assert_eq!(
        gateway.edge(&get_with("/mobile/1/home", "")).await.code(),
        "token_missing"
    );
    assert_eq!(
        gateway.edge(&get_with("/mobile/1/2/home", "")).await.code(),
        "no_route"
    );
    let spans = gateway.telemetry.metrics().encode();
    assert!(spans.contains("server_address=\"product\""), "{spans}");
}

#[tokio::test]
async fn a_part_that_hangs_is_dead_or_wrong_gives_way_within_the_views_time() {
    let product = Brick::start("product").await;
    let parts = json!({
        "hangs": { "from": "product", "get": "/never", "fallback": ["kept"] },
        "slow": { "from": "product", "get": "/never", "timeout_ms": 50, "fallback": {} },
        "dead": { "from": "nobody", "get": "/", "fallback": "gone" },
        "list": { "from": "product", "get": "/", "each": "$.items", "fallback": [] },
        "good": { "from": "product", "get": "/", "fields": { "brick": "$.brick" } },
    });
    let gateway = edge(
        view("/mobile/home", "public", parts),
        vec![endpoints("product", &[product.addr])],
    )
    .await;
    let begun = Instant::now();
    let answer = gateway.edge(&get_with("/mobile/home", "")).await;
    let took = begun.elapsed();
    assert_eq!(
        answer.json(),
        json!({ "hangs": ["kept"], "slow": {}, "dead": "gone", "list": [], "good": { "brick": "product" } })
    );
    assert!(
        answer.head.contains("x-brick-degraded: dead, hangs, list, slow"),
        "{answer:?}"
    );
    // The parts have nine tenths of it; the rest is for this machine to be slow in.
    assert!(
        took >= Duration::from_millis(1_750) && took < Duration::from_millis(2_000),
        "{took:?}"
    );
    let figures = gateway.telemetry.metrics().encode();
    let counted = "gateway_view_parts_total{view=\"mobile.home\",part=\"hangs\",outcome=\"fallback\"} 1";
    assert!(figures.contains(counted), "{figures}");
}

#[tokio::test]
async fn without_a_fallback_the_view_fails_with_its_part_and_says_which() {
    let parts = json!({ "order": { "from": "nobody", "get": "/" } });
    let gateway = edge(view("/mobile/home", "public", parts), vec![]).await;
    let answer = gateway.edge(&get_with("/mobile/home", "")).await;
    assert_eq!((answer.status, &*answer.code()), (503, "part_failed"));
    assert!(
        answer.body.contains("part order of the view mobile.home"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_voice_says_a_sentence_whatever_is_dead() {
    let product = Brick::start("product").await;
    let mut spoken = view(
        "/voice/find",
        "public",
        json!({ "found": { "from": "product", "get": "/", "fallback": {} } }),
    );
    spoken["say"] =
        json!({ "text": "I found {name}.", "words": { "name": "$.found.brick" }, "otherwise": "Nothing." });
    let mut gateway = edge(spoken, vec![endpoints("product", &[product.addr])]).await;
    assert_eq!(
        gateway.edge(&get_with("/voice/find", "")).await.json(),
        json!({ "say": "I found product." })
    );
    gateway
        .publisher
        .apply(brick_bus::Change::Put(endpoints("product", &[])), None);
    assert_eq!(
        gateway.edge(&get_with("/voice/find", "")).await.json(),
        json!({ "say": "Nothing." })
    );
}
