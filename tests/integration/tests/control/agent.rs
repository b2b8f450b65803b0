//! The agent through control, and one instance looked at closely.

use std::path::Path;
use std::time::Duration;

use axum::extract::Query;
use axum::routing::{get, post};
use axum::{Json, Router};
use brick_core::Incarnation;
use brick_http::Problem;
use brick_wire::sse;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::{TcpListener, UnixListener};

use super::harness::{Control, control_with};

const EVENTS: &str = "{\"kind\":\"ready\",\"msg\":\"order/1 is ready\"}\n{\"kind\":\"done\"}\n";

/// Stands for the agent: answers its calls, and tells back what it was told.
fn agent() -> Router {
    let events = |Query(query): Query<Value>| async move {
        assert_eq!(query["follow"], "true");
        ([(CONTENT_TYPE, "application/x-ndjson")], EVENTS)
    };
    let echo = || post(async |Json(body): Json<Value>| Json(json!({ "told": body })));
    let refuse = || async { Problem::unprocessable("no_such_brick", "there is no brick \"nobody\"") };
    Router::new()
        .route("/v1/ps", get(async || Json(json!([{ "instance": "control/1" }]))))
        .route("/v1/status", get(async || Json(json!({ "system": "shop" }))))
        .route("/v1/events", get(events))
        .route("/v1/scale", echo())
        .route("/v1/kill", echo())
        .route("/v1/roll", post(refuse))
        .route("/v1/token", post(async || Json(json!({ "token": "never" }))))
        .route("/v1/down", post(async || StatusCode::ACCEPTED))
}

async fn with_agent(folder: &Path) -> Control {
    let socket = folder.join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, agent()).await });
    let any = "127.0.0.1:0".parse().unwrap();
    control_with(folder, |options| options.agent_socket = Some(socket), any).await
}

fn operator(control: &Control) -> String {
    control
        .identity
        .operator_token()
        .unwrap()
        .token
        .expose()
        .to_owned()
}

#[tokio::test]
async fn operators_reach_the_agent_through_control() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_agent(folder.path()).await;
    let token = operator(&control);
    let check = async |method: Method, path: &str, body: Option<Value>, status: u16, expect: Value| {
        let answer = control.call(method, path, &token, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json::<Value>().unwrap()),
            (status, expect),
            "{path}"
        );
    };
    let ps = json!([{ "instance": "control/1" }]);
    check(Method::GET, "/api/agent/v1/ps", None, 200, ps).await;
    let status = json!({ "system": "shop" });
    check(Method::GET, "/api/agent/v1/status", None, 200, status).await;
    for (path, body) in [
        ("/api/agent/v1/scale", json!({ "brick": "order", "replicas": 2 })),
        (
            "/api/agent/v1/scale",
            json!({ "brick": "payment", "version": "v2", "replicas": 0 }),
        ),
        ("/api/agent/v1/kill", json!({ "instance": "order/1" })),
        (
            "/api/agent/v1/kill",
            json!({ "instance": "order/1", "signal": "TERM" }),
        ),
    ] {
        let told = json!({ "told": body });
        check(Method::POST, path, Some(body), 200, told).await;
    }
    // What the agent refuses is told as the agent told it.
    let body = Some(json!({ "brick": "nobody" }));
    let refused = control
        .call(Method::POST, "/api/agent/v1/roll", &token, body)
        .await;
    assert_eq!(refused.status.as_u16(), 422);
    assert_eq!(refused.json::<Value>().unwrap()["code"], "no_such_brick");
}

#[tokio::test]
async fn nothing_else_of_the_agent_is_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_agent(folder.path()).await;
    let token = operator(&control);
    for path in [
        "token",
        "down",
        "apply",
        "console-link",
        "../v1/token",
        "%2e%2e/token",
    ] {
        let path = format!("/api/agent/v1/{path}");
        let answer = control.call(Method::POST, &path, &token, Some(json!({}))).await;
        assert_eq!(answer.status.as_u16(), 404, "{path}");
    }
    let body = Some(json!({ "brick": "order", "replicas": 1, "dir": "/" }));
    let answer = control
        .call(Method::POST, "/api/agent/v1/scale", &token, body)
        .await;
    assert_eq!(
        answer.status.as_u16(),
        422,
        "what is not in the contract is refused"
    );
}

#[tokio::test]
async fn only_operators_reach_the_agent_and_only_with_json() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_agent(folder.path()).await;
    let (process, _) = control.process("order", &["bus", "call:payment"]);
    let url = format!("{}/api/agent/v1/kill", control.url);
    let body = r#"{"instance":"order/1"}"#;
    let send = async |token: Option<&str>, content_type: &'static str| {
        let call = control.http.post(&url).body(content_type, body);
        let call = token.into_iter().fold(call, |call, token| call.bearer(token));
        call.send().await.unwrap().status.as_u16()
    };
    assert_eq!(send(None, "application/json").await, 401);
    assert_eq!(send(Some("a.b.c"), "application/json").await, 401);
    assert_eq!(send(Some(&process), "application/json").await, 403);
    let token = operator(&control);
    assert_eq!(send(Some(&token), "application/json").await, 200);
    // What a form of another page can send without asking first (Fetch, CORS-safelisted) is not taken.
    for simple in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        assert_eq!(send(Some(&token), simple).await, 415, "{simple}");
    }
}

#[tokio::test]
async fn an_agent_that_is_away_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let gone = folder.path().join("agent.sock");
    let control = control_with(
        folder.path(),
        |options| options.agent_socket = Some(gone.clone()),
        any,
    )
    .await;
    let token = operator(&control);
    for path in ["ps", "status", "events?follow=true"] {
        let path = format!("/api/agent/v1/{path}");
        let answer = control.call(Method::GET, &path, &token, None).await;
        let problem: Value = answer.json().unwrap();
        assert_eq!(
            (answer.status.as_u16(), problem["code"].as_str()),
            (503, Some("agent_away")),
            "{path}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains("brick up"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn events_of_the_agent_arrive_as_server_sent_events() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_agent(folder.path()).await;
    let url = format!("{}/api/agent/v1/events?follow=true", control.url);
    let opened = control.http.get(url).bearer(&operator(&control)).stream().await;
    let mut stream = opened.unwrap();
    assert_eq!(stream.headers[CONTENT_TYPE], "text/event-stream");
    let (mut parser, mut found) = (sse::Parser::default(), Vec::new());
    while let Some(chunk) = stream.chunk().await.unwrap() {
        found.extend(parser.feed(&chunk).unwrap());
    }
    let told: Vec<(&str, &str)> = found
        .iter()
        .map(|e| (e.event.as_str(), e.data.as_str()))
        .collect();
    let expect: Vec<(&str, &str)> = EVENTS.lines().map(|line| ("event", line)).collect();
    assert_eq!(told, expect);
}

#[tokio::test]
async fn an_instance_is_asked_for_what_it_says_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let down = (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({ "status": "down", "components": {} })),
    );
    let large = "x".repeat(300_000);
    let whole = Router::new()
        .route("/info", get(async || Json(json!({ "name": "order" }))))
        .route("/health", get(move || std::future::ready(down.clone())));
    let poor = Router::new().route("/health", get(move || std::future::ready(Json(large.clone()))));
    let mut addrs = Vec::new();
    for router in [whole, poor] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addrs.push(listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    let gateway = addrs[0];
    let any = "127.0.0.1:0".parse().unwrap();
    let edit =
        |options: &mut mortar_control::Options| options.platform = vec![("gateway".to_owned(), 1, gateway)];
    let control = control_with(folder.path(), edit, any).await;
    control.manifest().await;
    let register = async |brick: &str, slot, edit: Value| {
        let answer = control.register(brick, slot, Incarnation::new(), edit).await;
        assert!(answer.status.is_success());
    };
    register("order", 1, json!({ "addr": addrs[0] })).await;
    register("payment", 1, json!({ "addr": addrs[0] })).await;
    register("payment", 1, json!({ "addr": addrs[1], "version": "v2" })).await;
    let token = operator(&control);
    let show = async |slot: &str| {
        let path = format!("/api/system/v1/instances/{slot}");
        let answer = control.call(Method::GET, &path, &token, None).await;
        (answer.status.as_u16(), answer.json::<Value>().unwrap())
    };

    let expect = |slot: &str| {
        json!({
            "slot": slot, "addr": addrs[0].to_string(), "info": { "name": "order" },
            "health": { "status": "down", "components": {} },
        })
    };
    for slot in ["order/1", "gateway/1", "payment/1"] {
        assert_eq!(show(slot).await, (200, expect(slot)));
    }
    let (_, v2) = show("payment@v2/1").await;
    assert_eq!(v2["addr"], addrs[1].to_string());
    let reason = |part: &str| v2[part]["error"].as_str().unwrap().to_owned();
    assert!(reason("info").contains("404"), "{v2}");
    assert!(reason("health").contains("larger than"), "{v2}");
    for slot in ["order/2", "nobody/1", "gateway/2", "payment@v3/1"] {
        let (status, problem) = show(slot).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (404, Some("instance_unknown")),
            "{slot}"
        );
    }
}

#[tokio::test]
async fn an_instance_that_does_not_answer_is_told_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = with_agent(folder.path()).await;
    let addr = silent.local_addr().unwrap();
    control
        .register("order", 1, Incarnation::new(), json!({ "addr": addr }))
        .await;
    let (token, path) = (operator(&control), "/api/system/v1/instances/order/1");
    let asked = control.call(Method::GET, path, &token, None);
    let limit = Duration::from_secs(4);
    let answer = tokio::time::timeout(limit, asked)
        .await
        .expect("no answer in time");
    let view: Value = answer.json().unwrap();
    for part in ["info", "health"] {
        let error = view[part]["error"].as_str().unwrap();
        assert!(error.contains("within 2000 ms"), "{view}");
    }
}
