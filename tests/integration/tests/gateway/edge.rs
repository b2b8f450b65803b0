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
async fn a_suite_with_a_platform_token_is_told_apart_and_nobody_else() {
    let (gateway, ..) = shop().await;
    let platform = |scope: &str| {
        let claims = json!({ "aud": "shop:platform", "sub": "suite", "scope": scope });
        gateway.issuer.token(claims)
    };
    let (suite, operator) = (platform("synthetic"), gateway.issuer.operator());
    let expired = json!({ "aud": "shop:platform", "scope": "synthetic", "exp": 1 });
    let expired = gateway.issuer.token(expired);
    let user = gateway.issuer.token(json!({ "scope": "synthetic" }));
    let check = async |name: &str, token: Option<&str>, expect: Option<&str>| {
        let identity = token.map(|token| format!("X-Brick-Identity: {token}\r\n"));
        let fields = format!(
            "X-Brick-Synthetic: {name}\r\nBaggage: user=7,brick.synthetic=forged\r\n{}",
            identity.unwrap_or_default()
        );
        let seen = gateway.edge(&get_with("/x", &fields)).await.json();
        let headers = &seen["headers"];
        let expect = expect.map_or("user=7".to_owned(), |suite| {
            format!("brick.synthetic={suite},user=7")
        });
        assert_eq!(headers["baggage"], expect, "{fields}");
        assert_eq!(headers["x-brick-identity"], "own-token");
        assert_eq!(headers["x-brick-synthetic"], Value::Null);
    };
    check("smoke", Some(&suite), Some("smoke")).await;
    check("smoke", Some(&operator), Some("smoke")).await;
    for token in [
        None,
        Some(&*expired),
        Some(&*user),
        Some(&*platform("bus call:*")),
        Some("forged"),
    ] {
        check("smoke", token, None).await;
    }
    for name in ["", "a,brick.pool=v2", "a b", "a;p=1", &"x".repeat(64)] {
        check(name, Some(&suite), None).await;
    }
    // Two names are none: which one counts would be a guess.
    check("a\r\nX-Brick-Synthetic: b", Some(&suite), None).await;

    until(|| gateway.telemetry.finished_spans().len() >= 26).await;
    let spans = gateway.telemetry.finished_spans();
    let marked = spans.iter().filter(|s| s.attribute("brick.synthetic").is_some());
    assert_eq!(marked.count(), 4, "two requests of two spans each");
    let figures = gateway.telemetry.metrics().encode();
    let of = |synthetic: bool, family: &str| {
        let mut lines = figures
            .lines()
            .filter(|line| line.starts_with(&format!("{family}_count")));
        let line = lines.find(|line| line.contains("synthetic=\"true\"") == synthetic);
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    for family in [
        "http_server_request_duration_seconds",
        "http_client_request_duration_seconds",
    ] {
        assert_eq!(of(true, family).as_deref(), Some("2"), "{figures}");
        assert_eq!(of(false, family).as_deref(), Some("11"), "{figures}");
    }
}

#[tokio::test]
async fn trace_state_is_passed_on_with_the_trace_it_belongs_to() {
    let (gateway, ..) = shop().await;
    let trace = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let long = format!("rojo={},congo=t61rcWkgMzE", "x".repeat(600));
    let state = |value: &str| format!("Tracestate: {value}\r\n");
    for (fields, expect) in [
        (
            format!("{trace}{}", state("rojo=00f067, congo=t61@x")),
            json!("rojo=00f067, congo=t61@x"),
        ),
        (
            format!("{trace}{}{}", state("a=1"), state("b=2")),
            json!("a=1,b=2"),
        ),
        (format!("{trace}{}", state(&long)), json!("congo=t61rcWkgMzE")),
        (state("a=1"), Value::Null),
    ] {
        let seen = gateway.edge(&get_with("/x", &fields)).await.json();
        assert_eq!(seen["headers"]["tracestate"], expect, "{fields}");
    }
}

#[tokio::test]
async fn a_route_without_a_limit_of_its_own_follows_the_links() {
    let brick = Brick::start("storefront").await;
    let list = |own: Value| {
        let mut never = route("/never", "storefront", "public");
        never["timeout_ms"] = own;
        routes(vec![never])
    };
    let limits = |revision, value: Value| {
        let mut resource = resource("limits/edge->storefront", value);
        resource.revision = revision;
        brick_bus::Change::Put(resource)
    };
    let resources = vec![list(Value::Null), endpoints("storefront", &[brick.addr])];
    let mut gateway = Gateway::start(brick.addr, resources).await;
    let refused = |acks: &[brick_bus::watch::Acknowledgement], revision| {
        let mut acks = acks.iter().filter(|ack| ack.name.starts_with("limits/"));
        acks.find(|ack| ack.revision == revision)
            .map(|ack| ack.refused.is_some())
    };
    // The second cannot be read: the first stays in force.
    for (revision, value, expect) in [
        (2, json!({ "timeout_ms": 40 }), (false, "40 ms")),
        (3, json!({ "timeout_ms": 0 }), (true, "40 ms")),
        (4, json!({ "timeout_ms": 60 }), (false, "60 ms")),
    ] {
        gateway.publisher.apply(limits(revision, value), None);
        let told = async {
            loop {
                let acks = gateway.publisher.acknowledgements().await;
                if let Some(refused) = refused(&acks, revision) {
                    return refused;
                }
            }
        };
        let refused = tokio::time::timeout(LIMIT, told).await.unwrap();
        let answer = gateway.edge(&get_with("/never", "")).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!((answer.status, refused), (504, expect.0), "{answer:?}");
        assert!(detail.ends_with(expect.1), "{detail}");
    }
    let mut own = list(json!(30));
    own.revision = 5;
    gateway.publisher.apply(brick_bus::Change::Put(own), None);
    let answered = async { while !gateway.edge(&get_with("/never", "")).await.body.contains("30 ms") {} };
    tokio::time::timeout(LIMIT, answered)
        .await
        .expect("the route's own limit counts");
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
