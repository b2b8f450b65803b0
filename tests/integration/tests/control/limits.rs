//! Limits that operators override, faults on purpose, and what processes report of their edges.

use http::Method;
use serde_json::{Value, json};

use super::harness::{control, eventually, subscribe};

const LIMITS: &str = "/api/limits/v1/order/payment";
const FAULTS: &str = "/api/faults/v1/order/payment";

#[tokio::test]
async fn an_override_reaches_the_caller_survives_a_restart_and_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let admin = first.agent().await;
    let (process, _) = first.process("order", &["bus", "call:payment"]);
    let answer = first.call(Method::GET, LIMITS, &admin, None).await;
    let view: Value = answer.json().unwrap();
    assert_eq!(
        (&view["override"], &view["manifest"]["timeout_ms"]),
        (&Value::Null, &json!(1_000))
    );
    assert_eq!(view["effective"]["breaker"]["min_calls"], 20);
    let open = json!({ "breaker": { "forced": "open" } });
    assert_eq!(
        first
            .call(Method::PUT, LIMITS, &process, Some(open.clone()))
            .await
            .status,
        403
    );
    assert_eq!(
        first
            .call(Method::PUT, LIMITS, &admin, Some(open.clone()))
            .await
            .status,
        200
    );
    for (path, body, status) in [
        ("/api/limits/v1/payment/order", open.clone(), 404),
        (LIMITS, json!({ "breaker": { "mood": 1 } }), 422),
        (LIMITS, json!({ "timeout_ms": 0 }), 422),
        (LIMITS, json!([]), 422),
    ] {
        assert_eq!(
            first.call(Method::PUT, path, &admin, Some(body)).await.status,
            status,
            "{path}"
        );
    }
    first.stop().await;

    let second = control(folder.path()).await;
    let order = second.process("order", &["bus", "call:payment"]);
    let mut order = subscribe(&second.url, order, &["limits/order->*"], None);
    let forced = |state: &brick_bus::State| {
        let limits = state.resources.get("limits/order->payment");
        limits.map(|resource| resource.value["breaker"]["forced"].clone())
    };
    order
        .until("the override", |state| forced(state) == Some(json!("open")))
        .await;
    assert_eq!(
        second.call(Method::DELETE, LIMITS, &admin, None).await.status,
        204
    );
    order
        .until("the manifest", |state| forced(state) == Some(Value::Null))
        .await;
    order.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_fault_is_told_to_the_caller_alone_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let admin = control.agent().await;
    let order = control.process("order", &["bus", "call:payment"]);
    let mut order = subscribe(&control.url, order, &["faults/*"], None);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let faults = json!({ "rules": [{ "share": 0.5, "abort": 503, "until": until.to_string() }] });
    assert_eq!(
        control
            .call(Method::PUT, FAULTS, &admin, Some(faults))
            .await
            .status,
        200
    );
    let route = json!({ "rules": [{ "delay_ms": 10 }] });
    let path = "/api/faults/v1/routes/orders";
    assert_eq!(
        control.call(Method::PUT, path, &admin, Some(route)).await.status,
        200
    );
    let held = |state: &brick_bus::State| state.resources.keys().cloned().collect::<Vec<_>>();
    order
        .until("the fault", |state| held(state) == ["faults/order->payment"])
        .await;
    order.until("its end", |state| held(state).is_empty()).await;
    let left: Value = control
        .call(Method::GET, "/api/faults/v1", &admin, None)
        .await
        .json()
        .unwrap();
    assert_eq!(left["items"][0]["edge"], "route->orders");
    assert!(
        left["items"][0]["rules"][0]["until"].is_string(),
        "every fault has an end"
    );
    assert_eq!(control.call(Method::DELETE, path, &admin, None).await.status, 204);
    let none = json!({ "rules": [{}] });
    assert_eq!(
        control.call(Method::PUT, FAULTS, &admin, Some(none)).await.status,
        422
    );
    order.stop().await;
    control.stop().await;
}

#[tokio::test]
async fn reports_of_callers_become_one_edge_and_go_with_their_leases() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let admin = control.agent().await;
    let figures = |edge: &str, state: &str| {
        json!({ "edge": edge, "state": state, "since": "2026-01-01T00:00:00Z", "calls": 10, "errors": 5, "slow": 0,
            "rejected": 1, "p50_ms": 2.0, "p99_ms": 9.0, "limit": 1024, "in_flight": 1 })
    };
    let (one, two) = (
        control.process("order", &["bus"]),
        control.process("order", &["bus"]),
    );
    control.register("order", 1, one.1, json!({})).await;
    control.register("order", 2, two.1, json!({})).await;
    for ((token, incarnation), state) in [(&one, "closed"), (&two, "open")] {
        let report = json!({ "incarnation": incarnation, "edges": [figures("order->payment", state)] });
        let answer = control
            .call(Method::POST, "/bus/v1/reports", token, Some(report))
            .await;
        assert_eq!(answer.status, 204, "{}", String::from_utf8_lossy(&answer.body));
    }
    let foreign = json!({ "incarnation": two.1, "edges": [] });
    assert_eq!(
        control
            .call(Method::POST, "/bus/v1/reports", &one.0, Some(foreign))
            .await
            .status,
        403
    );
    let foreign = json!({ "incarnation": one.1, "edges": [figures("payment->order", "open")] });
    assert_eq!(
        control
            .call(Method::POST, "/bus/v1/reports", &one.0, Some(foreign))
            .await
            .status,
        422
    );
    let edges = async || {
        let answer = control
            .call(Method::GET, "/api/limits/v1/edges", &admin, None)
            .await;
        answer.json::<Value>().unwrap()["items"].clone()
    };
    let seen = edges().await;
    let edge = &seen[0];
    assert_eq!(
        (&edge["caller"], &edge["callee"], &edge["state"]),
        (&json!("order"), &json!("payment"), &json!("open"))
    );
    assert_eq!(
        (&edge["calls"], &edge["limit"], &edge["overridden"]),
        (&json!(20), &json!(2048), &json!(false))
    );
    let slots: Vec<&str> = edge["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["instance"].as_str().unwrap())
        .collect();
    assert_eq!(slots, ["order/1", "order/2"]);
    let gone = format!("/api/registry/v1/instances/{}", two.1);
    control.call(Method::DELETE, &gone, &admin, None).await;
    eventually("the other alone", async || edges().await[0]["state"] == "closed").await;
    control.stop().await;
}

#[tokio::test]
async fn operators_who_change_one_edge_at_the_same_moment_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let admin = control.agent().await;
    let client = brick_wire::Client::new();
    let url = format!("{}{LIMITS}", control.url);
    let read = async || -> Value { client.get(&*url).bearer(&admin).json().await.unwrap() };
    let change = async |method: Method, tag: &str, body: Option<&Value>| {
        let call = client.call(method, &*url).bearer(&admin);
        let call = call.header(http::header::IF_MATCH, tag);
        let call = match body {
            Some(body) => call.json_body(body),
            None => call,
        };
        call.send().await.unwrap().status.as_u16()
    };
    // Each counts up a field of its own, over whatever the other wants by then.
    let operator = async |field: &str| {
        let mut refused = 0;
        for value in 1..=20 {
            loop {
                let held = read().await;
                let mut patch = held["override"].as_object().cloned().unwrap_or_default();
                patch.insert(field.to_owned(), value.into());
                let tag = held["tag"].as_str().unwrap();
                match change(Method::PUT, tag, Some(&patch.into())).await {
                    200 => break,
                    412 => refused += 1,
                    other => panic!("{other}"),
                }
            }
        }
        refused
    };
    let (first, second) = tokio::join!(operator("timeout_ms"), operator("try_timeout_ms"));
    assert!(first + second > 0, "they met");
    let held = read().await;
    assert_eq!(
        held["override"],
        json!({ "timeout_ms": 20, "try_timeout_ms": 20 })
    );
    let stale = "\"0000000000000000\"";
    assert_eq!(change(Method::DELETE, stale, None).await, 412);
    assert_eq!(change(Method::DELETE, "\"none\"", None).await, 412);
    let tag = held["tag"].as_str().unwrap();
    assert_eq!(change(Method::DELETE, tag, None).await, 204);
    assert_eq!(read().await["tag"], "\"none\"");
    control.stop().await;
}
