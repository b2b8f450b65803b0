//! The registry end to end: leases, fencing, probes, restarts.

use std::path::Path;
use std::time::Duration;

use brick_core::Incarnation;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::harness::{Control, Subscriber, control, control_with, eventually, subscribe};

async fn states(control: &Control) -> Vec<(String, String)> {
    let instances = control.instances().await;
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    instances
        .iter()
        .map(|one| {
            (
                format!("{}/{}", text(one, "brick"), one["slot"]),
                text(one, "state"),
            )
        })
        .collect()
}

/// Control with payment/1, and an order that follows its pool.
async fn followed(folder: &Path) -> (Control, Incarnation, Subscriber) {
    let control = control(folder).await;
    control.manifest().await;
    let incarnation = Incarnation::new();
    control.register("payment", 1, incarnation, json!({})).await;
    let who = control.process("order", &["bus", "call:payment"]);
    let mut order = subscribe(&control.url, who, &["endpoints/*"], None);
    order
        .until("a snapshot", |state| !state.resources.is_empty())
        .await;
    (control, incarnation, order)
}

async fn renew(control: &Control, renewals: Value) -> Value {
    let agent = control.agent().await;
    let body = Some(json!({ "renew": renewals }));
    let path = "/api/registry/v1/leases";
    let answer = control.call(Method::POST, path, &agent, body).await;
    answer.json().unwrap()
}

async fn deregister(control: &Control, incarnation: Incarnation) -> Value {
    let agent = control.agent().await;
    let path = format!("/api/registry/v1/instances/{incarnation}?wait_ms=5000");
    let answer = control.call(Method::DELETE, &path, &agent, None).await;
    answer.json().unwrap()
}

#[tokio::test]
async fn a_lease_that_runs_out_takes_a_dead_instance_along_and_keeps_a_living_one() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    let living = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = living.local_addr().unwrap().to_string();
    let (dead, alive) = (Incarnation::new(), Incarnation::new());
    control.register("order", 1, dead, json!({ "ttl_ms": 300 })).await;
    control
        .register("order", 2, alive, json!({ "ttl_ms": 300, "addr": addr }))
        .await;
    let kept = vec![("order/2".to_owned(), "unsupervised".to_owned())];
    eventually("order/1 left, order/2 stays", async || {
        states(&control).await == kept
    })
    .await;

    // A renewal brings supervision back; the instance that left has to register anew.
    let renewals = json!([{ "incarnation": alive, "ready": true }, { "incarnation": dead, "ready": true }]);
    assert_eq!(
        renew(&control, renewals).await,
        json!({ "unknown": [dead], "quarantined": [] })
    );
    assert_eq!(states(&control).await[0].1, "ready");

    drop(living);
    eventually("order/2 left when it did not answer", async || {
        states(&control).await.is_empty()
    })
    .await;
    let metrics = control.telemetry.metrics().encode();
    assert!(metrics.contains("brick_registry_expired_total 2"), "{metrics}");
}

#[tokio::test]
async fn a_restarted_control_keeps_instances_revision_and_epoch_and_renews_every_lease() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let incarnation = Incarnation::new();
    first
        .register("order", 1, incarnation, json!({ "ttl_ms": 60_000 }))
        .await;
    let system = async |control: &Control| {
        let agent = control.agent().await;
        control
            .call(Method::GET, "/api/system/v1", &agent, None)
            .await
            .json::<Value>()
            .unwrap()
    };
    let before = system(&first).await;
    assert_eq!(before["bricks"][1]["needs"], json!(["payment"]));
    first.kill().await;

    let begun = std::time::Instant::now();
    let second = control(folder.path()).await;
    println!("control opened and listening after {:?}", begun.elapsed());
    assert_eq!(system(&second).await, before);
    let instances = second.instances().await;
    assert_eq!(instances[0]["incarnation"], incarnation.to_string());
    assert!(instances[0]["lease_ms"].as_u64().unwrap() > 59_000);
    second.stop().await;
}

#[tokio::test]
async fn an_older_start_is_fenced_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    let (older, newer) = (Incarnation::new(), Incarnation::new());
    first.register("order", 1, older, json!({})).await;
    first.register("order", 1, newer, json!({})).await;
    assert_eq!(deregister(&first, newer).await, json!({ "let_go": true }));
    first.kill().await;

    let second = control(folder.path()).await;
    let refused = second.register("order", 1, older, json!({})).await;
    let problem: Value = refused.json().unwrap();
    assert_eq!(
        (refused.status.as_u16(), problem["code"].as_str()),
        (409, Some("fenced"))
    );
    assert!(second.instances().await.is_empty());
}

#[tokio::test]
async fn readiness_moves_an_instance_out_of_its_pool_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let (control, incarnation, mut order) = followed(folder.path()).await;
    assert_eq!(order.endpoints("payment"), 1);
    let ready = |ready: bool| json!([{ "incarnation": incarnation, "ready": ready }]);
    for (is_ready, expected) in [(false, 0), (true, 1)] {
        renew(&control, ready(is_ready)).await;
        let target = control.handle.revision();
        order
            .until("the pool changed", |state| state.revision() == target)
            .await;
        assert_eq!(order.endpoints("payment"), expected);
    }
    let before = control.handle.revision();
    renew(&control, ready(true)).await;
    let after = control.handle.revision();
    assert_eq!(after, before, "a renewed lease publishes nothing");
}

#[tokio::test]
async fn deregistration_waits_until_balancers_were_told() {
    let folder = tempfile::tempdir().unwrap();
    let (control, incarnation, mut order) = followed(folder.path()).await;
    assert_eq!(deregister(&control, incarnation).await, json!({ "let_go": true }));
    let target = control.handle.revision();
    order
        .until("the pool is empty", |state| state.revision() == target)
        .await;
    assert_eq!(order.endpoints("payment"), 0);
    let again = deregister(&control, incarnation).await;
    assert_eq!(again, json!({ "let_go": true }));
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    let cases = [
        (json!({ "slot": 0 }), 422, "invalid_slot"),
        (json!({ "ttl_ms": 1 }), 422, "invalid_ttl"),
        (json!({ "zone": "" }), 422, "invalid_zone"),
        (json!({ "brick": "Order" }), 422, "json_invalid"),
        (json!({ "color": "red" }), 422, "json_invalid"),
    ];
    for (edit, status, code) in cases {
        let answer = control
            .register("order", 1, Incarnation::new(), edit.clone())
            .await;
        let problem: Value = answer.json().unwrap();
        assert_eq!(
            (answer.status.as_u16(), problem["code"].as_str()),
            (status, Some(code)),
            "{edit}"
        );
    }
    let (process, _) = control.process("order", &["bus", "call:payment"]);
    let operator = control.identity.operator_token().unwrap();
    let calls = [
        (Method::POST, "/api/registry/v1/instances", process.as_str(), 403),
        (
            Method::POST,
            "/api/registry/v1/leases",
            operator.token.expose(),
            403,
        ),
        (
            Method::PUT,
            "/api/system/v1/manifest",
            operator.token.expose(),
            403,
        ),
        (Method::GET, "/api/system/v1", process.as_str(), 403),
        (Method::GET, "/api/config/v1/order", process.as_str(), 403),
        (Method::GET, "/api/config/v1/order", operator.token.expose(), 404),
        (Method::GET, "/api/registry/v1/instances", process.as_str(), 200),
        (Method::GET, "/bus/v1/acks?name=a", process.as_str(), 403),
        (Method::GET, "/api/system/v1", "a.b.c", 401),
    ];
    for (method, path, token, status) in calls {
        let body = (method != Method::GET).then(|| json!({}));
        let answer = control.call(method.clone(), path, token, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
    }
    let foreign = json!({ "brickwork": 1, "system": { "name": "other" } });
    let agent = control.agent().await;
    let refused = control
        .call(Method::PUT, "/api/system/v1/manifest", &agent, Some(foreign))
        .await;
    assert_eq!(refused.json::<Value>().unwrap()["code"], "other_system");
}

#[tokio::test]
async fn a_drained_control_ends_its_streams_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let control = control_with(
        folder.path(),
        |options| options.heartbeat = Duration::from_secs(60),
        any,
    )
    .await;
    control.manifest().await;
    let mut order = subscribe(
        &control.url,
        control.process("order", &["bus"]),
        &["config/order"],
        None,
    );
    order
        .until("a snapshot", |state| !state.resources.is_empty())
        .await;
    let stopping = tokio::time::timeout(Duration::from_secs(5), control.stop());
    assert!(stopping.await.is_ok(), "an open stream does not hold up the end");
    order.stop().await;
}
