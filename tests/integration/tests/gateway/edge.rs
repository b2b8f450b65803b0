//! What the edge lets through, to whom, and what bricks are told.

use serde_json::{Value, json};

use super::harness::*;

async fn shop() -> (Gateway, Brick, Brick) {
    let (orders, pages) = (Brick::start("order").await, Brick::start("storefront").await);
    let resources = vec![
        routes(vec![
            route("/**", "storefront", "public"),
            route("/api/orders/**", "order", "jwt"),
            route("/api/orders/open", "storefront", "public"),
            route("/api/nobody/**", "nobody", "public"),
        ]),
        endpoints("order", &[orders.addr]),
        endpoints("storefront", &[pages.addr]),
    ];
    let gateway = Gateway::start(pages.addr, resources).await;
    (gateway, orders, pages)
}

#[tokio::test]
async fn the_most_specific_route_wins() {
    let (gateway, ..) = shop().await;
    let token = format!("Authorization: Bearer {}\r\n", gateway.issuer.token(json!({})));
    for (path, brick) in [
        ("/", "storefront"),
        ("/api/orders", "order"),
        ("/api/orders/1?x=%20y", "order"),
        ("/api/orders2", "storefront"),
        ("/api/orders/open", "storefront"),
    ] {
        let answer = gateway.edge(&get_with(path, &token)).await;
        assert_eq!(
            (answer.status, answer.json()["brick"].as_str()),
            (200, Some(brick)),
            "{path}"
        );
        assert_eq!(answer.json()["uri"], path);
    }
    for path in ["/public/../api/orders/1", "/x/%2e%2e/api/orders", "/%zz"] {
        assert_eq!(
            gateway.edge(&get_with(path, "")).await.code(),
            "invalid_path",
            "{path}"
        );
    }
    // An encoded letter does not lead around the rule of the route.
    let disguised = gateway.edge(&get_with("/api/%6frders/1", "")).await;
    assert_eq!((disguised.status, &*disguised.code()), (401, "token_missing"));
    let nobody = gateway.edge(&get_with("/api/nobody", "")).await;
    assert_eq!((nobody.status, &*nobody.code()), (503, "no_instance"));
    assert!(nobody.head.contains("retry-after: 1"), "{}", nobody.head);
}

#[tokio::test]
async fn a_token_is_checked_where_the_route_says_so() {
    let (gateway, orders, _) = shop().await;
    let issuer = &gateway.issuer;
    let none = {
        let token = issuer.sign(json!({ "alg": "none", "kid": "k1" }), json!({ "sub": "u1" }));
        format!("{}.", token.rsplit_once('.').unwrap().0)
    };
    for (token, status, code) in [
        (Some(issuer.token(json!({}))), 200, ""),
        (None, 401, "token_missing"),
        (Some(issuer.token(json!({ "exp": 1 }))), 401, "token_expired"),
        (
            Some(issuer.token(json!({ "aud": "other" }))),
            401,
            "token_audience",
        ),
        (Some(issuer.operator()), 401, "token_audience"),
        (Some(none), 401, "token_algorithm"),
        (Some(Issuer::new().token(json!({}))), 401, "token_signature"),
        (Some("nonsense".to_owned()), 401, "token_malformed"),
    ] {
        let field = token
            .map(|t| format!("Authorization: Bearer {t}\r\n"))
            .unwrap_or_default();
        let answer = gateway.edge(&get_with("/api/orders/1", &field)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 401 {
            assert_eq!(answer.code(), code);
            assert!(
                answer.head.contains("www-authenticate: bearer"),
                "{}",
                answer.head
            );
            assert!(
                answer.head.contains("application/problem+json"),
                "{}",
                answer.head
            );
            assert_eq!(answer.json()["trace_id"].as_str().map(str::len), Some(32));
        }
    }
    assert_eq!(orders.calls(), 1);
}

#[tokio::test]
async fn what_only_the_platform_may_say_is_not_taken_from_outside() {
    let (gateway, ..) = shop().await;
    let answer = gateway
        .edge(&get_with(
            "/x",
            "X-Brick-Identity: forged\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
             Baggage: brick.pool=v2,user=7\r\nBaggage: brick.zone=b;p=1\r\nCookie: a=1; brick_console=secret\r\n\
             Connection: close, x-brick-identity, traceparent, x-hop\r\nX-Hop: 1\r\nTE: trailers\r\n\
             Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
        ))
        .await
        .json();
    let headers = &answer["headers"];
    assert_eq!(headers["x-brick-identity"], "own-token");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-host"], "shop");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["baggage"], "user=7");
    assert_eq!(headers["cookie"], "a=1");
    for gone in ["x-hop", "te", "forwarded", "connection"] {
        assert_eq!(headers[gone], Value::Null, "{gone}");
    }
}

#[tokio::test]
async fn a_trace_is_continued_or_started_and_told_as_two_spans() {
    let (gateway, ..) = shop().await;
    let outer = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let seen = gateway
        .edge(&get_with("/x", &format!("Traceparent: {outer}\r\n")))
        .await
        .json();
    let told = seen["headers"]["traceparent"].as_str().unwrap().to_owned();
    assert!(
        told.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && told.ends_with("-01"),
        "{told}"
    );
    until(|| gateway.telemetry.finished_spans().len() >= 2).await;
    let spans = gateway.telemetry.finished_spans();
    let server = spans.iter().find(|s| s.name == "GET /**").unwrap();
    let client = spans.iter().find(|s| s.name == "GET").unwrap();
    assert_eq!(server.parent.unwrap().to_string(), "b7ad6b7169203331");
    assert_eq!(client.parent, Some(server.context.span_id));
    assert!(told.contains(&client.context.span_id.to_string()));
    let brick = brick_telemetry::span::Value::Text("storefront".into());
    assert_eq!(client.attribute("server.address"), Some(&brick));
    let fresh = gateway
        .edge(&get_with("/x", "Traceparent: nonsense\r\n"))
        .await
        .json();
    assert_ne!(
        fresh["headers"]["traceparent"].as_str().unwrap()[3..35],
        told[3..35]
    );
    let figures = gateway.telemetry.metrics().encode();
    assert!(figures.contains("http_route=\"/**\""), "{figures}");
}

#[tokio::test]
async fn new_routes_are_in_force_and_bad_ones_leave_the_present_ones() {
    let (mut gateway, ..) = shop().await;
    let put = |revision, list: Vec<Value>| {
        let mut resource = routes(list);
        resource.revision = revision;
        brick_bus::Change::Put(resource)
    };
    gateway
        .publisher
        .apply(put(2, vec![route("/only", "storefront", "public")]), None);
    until(|| {
        gateway
            .telemetry
            .metrics()
            .encode()
            .contains("gateway_routes{listener=\"edge\"} 1")
    })
    .await;
    assert_eq!(gateway.edge(&get_with("/only", "")).await.status, 200);
    assert_eq!(gateway.edge(&get_with("/", "")).await.code(), "no_route");
    gateway
        .publisher
        .apply(put(3, vec![route("*bad*", "storefront", "public")]), None);
    let acks = tokio::time::timeout(LIMIT, async {
        loop {
            let acks = gateway.publisher.acknowledgements().await;
            if let Some(ack) = acks.into_iter().find(|a| a.revision == 3) {
                return ack;
            }
        }
    });
    assert!(acks.await.unwrap().refused.unwrap().contains("*bad*"));
    assert_eq!(gateway.edge(&get_with("/only", "")).await.status, 200);
}
