//! Bricks that stand behind the host proxy.

use serde_json::{Value, json};

use super::harness::{Brick, Host, free, resource, until};
use crate::gateway::harness::{Issuer, get_with, send};

struct Behind {
    host: Host,
    issuer: Issuer,
    told: Value,
}

impl Behind {
    /// The brick behind the proxy, which lets these through.
    async fn start(reviews: &Brick, allow: &str, more: Vec<brick_bus::Resource>) -> Self {
        let issuer = Issuer::new();
        let resources = std::iter::once(issuer.bundle()).chain(more).collect();
        let host = Host::start(resources).await;
        let told = json!({ "brick": "reviews", "slot": "reviews/1", "version": "v1", "zone": "a",
            "listen": free().await, "to": reviews.addr, "health": "/health", "allow": allow });
        host.tell_served(std::slice::from_ref(&told)).await;
        Self { host, issuer, told }
    }

    async fn get(&self, path: &str, fields: &str) -> super::harness::Answer {
        let listen = self.told["listen"].as_str().unwrap().parse().unwrap();
        send(listen, &get_with(path, fields)).await
    }

    fn caller(&self, scope: &str) -> String {
        let token = self
            .issuer
            .token(json!({ "aud": "shop:platform", "sub": "brick:order", "brick": "order", "scope": scope }));
        format!("x-brick-identity: {token}\r\n")
    }

    fn user(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.issuer.token(json!({})))
    }
}

#[tokio::test]
async fn who_may_call_is_judged_before_the_process_sees_anything() {
    let reviews = Brick::start("reviews").await;
    let check = async |allow: &str, expect: [u16; 5]| {
        let behind = Behind::start(&reviews, allow, Vec::new()).await;
        let shown = [
            String::new(),
            behind.user(),
            behind.caller("call:reviews"),
            behind.caller("call:product"),
            "x-brick-identity: forged\r\n".to_owned(),
        ];
        for (fields, expect) in shown.iter().zip(expect) {
            let before = reviews.calls();
            let answer = behind.get("/things", fields).await;
            assert_eq!(answer.status, expect, "{allow}: {fields} {answer:?}");
            assert_eq!(
                reviews.calls() - before,
                usize::from(expect == 200),
                "{allow}: {fields}"
            );
        }
    };
    check("public", [200, 200, 200, 200, 200]).await;
    check("users", [401, 200, 401, 401, 401]).await;
    check("bricks", [401, 401, 200, 403, 401]).await;
    check("users-or-bricks", [401, 200, 200, 403, 401]).await;
}

#[tokio::test]
async fn what_is_claimed_counts_with_an_identity_alone_and_requests_are_told_in_the_bricks_name() {
    let reviews = Brick::start("reviews").await;
    let behind = Behind::start(&reviews, "public", Vec::new()).await;
    let claims = "baggage: brick.synthetic=smoke,user=7\r\nx-brick-timeout-ms: 900\r\n";
    let forged = behind
        .get("/things", &format!("{claims}x-brick-identity: forged\r\n"))
        .await
        .json();
    assert_eq!(forged["headers"]["baggage"], "user=7");
    assert!(forged["headers"].get("x-brick-identity").is_none());
    let known = behind
        .get("/things", &format!("{claims}{}", behind.caller("call:reviews")))
        .await
        .json();
    assert_eq!(known["headers"]["baggage"], "brick.synthetic=smoke,user=7");
    assert!(known["headers"].get("x-brick-identity").is_some());
    let left: u64 = known["headers"]["x-brick-timeout-ms"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=900).contains(&left), "{left}");
    until("the server span in the brick's name", || {
        behind
            .host
            .otlp
            .hold(&["reviews/1", "GET /**", "brick.caller", "order"])
    })
    .await;
    let metrics = behind.get("/metrics", "").await;
    assert_eq!(metrics.status, 200);
    for text in [
        "http_server_request_duration_seconds_count{listener=\"reviews/1\",http_request_method=\"GET\",http_route=\"/**\",http_response_status_code=\"200\"} 1",
        "brick_bulkhead_limit{edge=\"*->reviews\"} 1024",
    ] {
        assert!(metrics.body.contains(text), "{text} in\n{}", metrics.body);
    }
    assert!(
        !metrics.body.contains("process_"),
        "the proxy's own process is not the brick's"
    );
    assert_eq!(behind.get("/info", "").await.json()["name"], "reviews");
    assert_eq!(behind.get("/health/ready", "").await.status, 200);
}

#[tokio::test]
async fn requests_are_bounded_and_follow_the_process_where_it_goes() {
    let (first, second) = (Brick::start("first").await, Brick::start("second").await);
    let bound = resource("serve/reviews", json!({ "concurrency": 1 }));
    let mut behind = Behind::start(&first, "public", vec![bound]).await;
    let never = behind.get("/never", "x-brick-timeout-ms: 400\r\n");
    let late = behind.get("/things", "x-brick-timeout-ms: 100\r\n");
    let (never, late) = tokio::join!(never, late);
    assert_eq!(never.status, 504, "{never:?}");
    assert!(late.status == 200 || late.status >= 503, "{late:?}");
    assert_eq!(behind.get("/things", "").await.json()["brick"], "first");
    behind.told["to"] = json!(second.addr);
    behind.host.tell_served(std::slice::from_ref(&behind.told)).await;
    let moved = async {
        while behind.get("/things", "").await.json()["brick"] != "second" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::gateway::harness::LIMIT, moved)
        .await
        .unwrap();
}
