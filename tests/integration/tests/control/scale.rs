//! A hundred bricks, three hundred instances: everybody is told what concerns them, once.

use std::time::{Duration, Instant};

use brick_core::Incarnation;
use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::harness::{Control, control, eventually, subscribe};

const BRICKS: usize = 100;
const SLOTS: u32 = 3;

fn name(brick: usize) -> String {
    format!("b{}", brick % BRICKS)
}

/// Each brick needs the next one, the last needs the first.
async fn manifest(control: &Control, agent: &str) {
    let bricks: serde_json::Map<String, Value> = (0..BRICKS)
        .map(|n| {
            (
                name(n),
                json!({ "run": "x", "replicas": SLOTS, "needs": [name(n + 1)] }),
            )
        })
        .collect();
    let model = json!({ "brickwork": 1, "system": { "name": "shop" }, "brick": bricks });
    let answer = control
        .call(Method::PUT, "/api/system/v1/manifest", agent, Some(model))
        .await;
    assert!(
        answer.status.is_success(),
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
}

async fn register(control: &Control, agent: &str, brick: usize, slot: u32) -> Incarnation {
    let incarnation = Incarnation::new();
    let body = json!({
        "brick": name(brick), "slot": slot, "incarnation": incarnation, "ttl_ms": 60_000,
        "addr": format!("127.0.0.1:{}", 20_000 + brick * 10 + slot as usize),
    });
    let answer = control
        .call(Method::POST, "/api/registry/v1/instances", agent, Some(body))
        .await;
    assert!(answer.status.is_success());
    incarnation
}

fn figure(control: &Control, name: &str) -> u64 {
    let figures = control.telemetry.metrics().encode();
    let line = figures.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}

#[tokio::test]
async fn three_hundred_instances_of_a_hundred_bricks_reach_whom_they_concern() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    let agent = control.agent().await;
    manifest(&control, &agent).await;
    let mut gateway = subscribe(
        &control.url,
        control.process("gateway", &["bus", "call:*"]),
        &["endpoints/*"],
        None,
    );
    let mut bricks: Vec<_> = (0..BRICKS)
        .map(|n| {
            let scope = format!("call:{}", name(n + 1));
            let who = control.process(&name(n), &["bus", &scope]);
            subscribe(&control.url, who, &["*"], None)
        })
        .collect();
    eventually("everybody follows", async || {
        control.handle.subscribers() == BRICKS + 1
    })
    .await;

    let before = figure(&control, "brick_bus_changes_total");
    let begun = Instant::now();
    let slots = (1..=SLOTS).flat_map(|slot| (0..BRICKS).map(move |brick| (brick, slot)));
    let all: Vec<(usize, u32)> = slots.collect();
    let mut incarnations = Vec::new();
    for some in all.chunks(32) {
        let some = some
            .iter()
            .map(|(brick, slot)| register(&control, &agent, *brick, *slot));
        incarnations.extend(join_all(some).await);
    }
    let target = control.handle.revision();
    gateway
        .until("the gateway knows all", |state| state.revision() == target)
        .await;
    for (n, brick) in bricks.iter_mut().enumerate() {
        let needed = name(n + 1);
        let complete = |state: &brick_bus::State| {
            let pool = state.resources.get(&format!("endpoints/{needed}"));
            pool.is_some_and(|pool| pool.value["instances"].as_array().unwrap().len() == SLOTS as usize)
        };
        brick.until("a brick knows what it needs", complete).await;
        let pools = brick.watch.state();
        let pools = pools
            .resources
            .keys()
            .filter(|name| name.starts_with("endpoints/"));
        let pools: Vec<&String> = pools.collect();
        let mut told = [name(n), needed].map(|brick| format!("endpoints/{brick}"));
        told.sort();
        assert_eq!(pools, told.each_ref(), "a brick is told of nothing else");
    }
    println!(
        "300 registrations heard by 101 subscribers in {:?}",
        begun.elapsed()
    );
    let changes = figure(&control, "brick_bus_changes_total") - before;
    assert!(
        changes <= 300,
        "a registration changes one pool, found {changes} changes"
    );
    assert_eq!(figure(&control, "brick_bus_cut_total"), 0);
    assert_eq!(figure(&control, "brick_bus_resets_total"), 0);

    // Renewals of all leases in one call publish nothing.
    let renew: Vec<Value> = incarnations
        .iter()
        .map(|incarnation| json!({ "incarnation": incarnation, "ready": true }))
        .collect();
    let answer = control
        .call(
            Method::POST,
            "/api/registry/v1/leases",
            &agent,
            Some(json!({ "renew": renew })),
        )
        .await;
    assert_eq!(
        answer.json::<Value>().unwrap(),
        json!({ "unknown": [], "quarantined": [] })
    );
    assert_eq!(control.handle.revision(), target);
    assert_eq!(control.instances().await.len(), 300);
}

#[tokio::test]
async fn many_tabs_are_shown_three_hundred_instances_from_one_question() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    let agent = control.agent().await;
    manifest(&control, &agent).await;
    for slot in 1..=SLOTS {
        join_all((0..BRICKS).map(|brick| register(&control, &agent, brick, slot))).await;
    }
    let operator = control.identity.operator_token().unwrap();
    let options = mortar_console::Options::new(
        "http://127.0.0.1:1",
        control.url.as_str(),
        mortar_console::operators(control.identity.verifier()),
    );
    let console = mortar_console::Console::new(options);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router: axum::Router = console.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut tabs = Vec::new();
    for _ in 0..30 {
        let mut request = format!("ws://{addr}/api/console/v1/ws")
            .into_client_request()
            .unwrap();
        let cookie = format!("brick_console={}", operator.token.expose());
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let sub = r#"{"sub":[{"topic":"system"},{"topic":"instances"}]}"#;
        socket.send(Message::text(sub)).await.unwrap();
        tabs.push(socket);
    }
    let shown = tabs.iter_mut().map(async |socket| {
        let (mut bricks, mut instances, mut frames, mut heartbeats) = (0, 0, 0, 0);
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            let count = |list: &str| message["data"][list].as_array().map_or(0, Vec::len);
            match message["topic"].as_str() {
                Some("system") => bricks = count("bricks"),
                Some("instances") => (instances, frames) = (count("items"), frames + 1),
                // The first heartbeat comes at once, the second after five questions.
                Some("heartbeat") => heartbeats += 1,
                _ => {}
            }
            if heartbeats > 1 && bricks > 0 && instances > 0 {
                break;
            }
        }
        (bricks, instances, frames)
    });
    let shown = tokio::time::timeout(Duration::from_secs(20), join_all(shown)).await;
    // What does not change is not sent again, however often it is asked for.
    assert_eq!(shown.unwrap(), [(BRICKS, 300, 1); 30]);
    let counts = console.counts();
    assert_eq!((counts.tabs, counts.topics, counts.tabs_refused), (30, 2, 0));
}
