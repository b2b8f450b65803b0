//! The canned platform: an agent's socket and an admin listener that answer fixed documents.

use axum::extract::{Path as At, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use brick_wire::Problem;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use crate::program::{Ended, run};

#[path = "edges.rs"]
mod edges;

/// A folder in which an agent seems to run.
pub(crate) struct Platform {
    folder: TempDir,
    serving: [JoinHandle<()>; 2],
}

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::with(agent).await
    }

    /// With an agent of an older version.
    pub(crate) async fn older() -> Self {
        Self::with(|_| old()).await
    }

    async fn with(agent: impl FnOnce(String) -> Router) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(".brickwork")).expect("a folder in it");
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let admin_url = format!("http://{}", tcp.local_addr().expect("its address"));
        let unix = UnixListener::bind(folder.path().join(".brickwork/agent.sock")).expect("a socket");
        let (agent, admin) = (agent(admin_url), admin());
        let serving = [
            tokio::spawn(async move { axum::serve(unix, agent).await.expect("the agent serves") }),
            tokio::spawn(async move { axum::serve(tcp, admin).await.expect("the listener serves") }),
        ];
        Self { folder, serving }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        run(self.folder.path(), arguments)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

fn agent(admin_url: String) -> Router {
    let events = || async { std::future::pending::<()>().await };
    Router::new()
        .route("/v1/ps", get(|| async { Json(ps()) }))
        .route("/v1/status", get(|| async { Json(status()) }))
        .route("/v1/registry", get(|| async { Json(instances()) }))
        .route("/v1/logs", get(|| async { logs() }))
        .route("/v1/events", get(events))
        .route("/v1/scale", post(scale))
        .route("/v1/roll", post(roll))
        .route("/v1/kill", post(kill))
        .route(
            "/v1/env",
            get(|| async { Json(json!({ "dir": "/", "env": { "BRICK_NAME": "order" } })) }),
        )
        .route(
            "/v1/console-link",
            post(|| async { Json(json!({ "url": "http://127.0.0.1:7700/login?code=c0de" })) }),
        )
        .route("/v1/token", post(token))
        .with_state(admin_url)
}

async fn token(State(admin_url): State<String>) -> Json<Value> {
    Json(json!({ "token": "t", "admin_url": admin_url }))
}

async fn scale(Json(wish): Json<Value>) -> Result<Json<Value>, Problem> {
    if wish["brick"] == "nobody" {
        let detail = "there is no brick `nobody`; bricks: order, payment";
        return Err(Problem::not_found("unknown", detail));
    }
    Ok(Json(json!({ "changes": [format!("asked for {wish}")] })))
}

async fn kill(Json(wish): Json<Value>) -> Result<Json<Value>, Problem> {
    if wish["instance"] == "ordr/1" {
        let detail = "there is no running instance `ordr/1`; did you mean \"order/1\"?";
        return Err(Problem::not_found("unknown", detail));
    }
    Ok(Json(
        json!({ "instance": "order/1", "pid": 4_000_021, "signal": "KILL" }),
    ))
}

/// An agent that knows nothing but how it is, as an older one.
fn old() -> Router {
    Router::new()
        .route("/v1/status", get(|| async { Json(status()) }))
        .fallback(|| async { Problem::not_found("no_such_call", "the agent's socket has no such call") })
}

async fn roll(Json(wish): Json<Value>) -> Result<Json<Value>, Problem> {
    if wish["brick"] == "payment" {
        let detail = "payment/1 stays: its successor was not ready in 10 s";
        return Err(Problem::new(StatusCode::CONFLICT, "not_ready", detail));
    }
    Ok(Json(
        json!({ "brick": "order", "replaced": ["order/1", "order/2"] }),
    ))
}

/// Pids that no kernel gives out.
fn ps() -> Value {
    let row = |brick: &str, instance: &str, state: &str, pid: Option<u32>, port: u16, restarts: u32| {
        json!({ "brick": brick, "version": "v1", "instance": instance, "zone": "a", "state": state, "pid": pid,
            "port": port, "restarts": restarts, "revision": "abc1234", "adopted": false,
            "incarnation": pid.map(|_| "0191d5a0-0000-7000-8000-000000000001") })
    };
    let mut lost = row("payment", "payment/1", "crash-loop", None, 20_005, 9);
    lost["problem"] = "exit code 1, five times within a minute".into();
    json!([
        row("control", "control/1", "ready", Some(4_000_001), 20_000, 0),
        row("telemetry", "telemetry/1", "ready", Some(4_000_002), 20_001, 0),
        row("gateway", "gateway/1", "ready", Some(4_000_003), 20_002, 0),
        row("order", "order/1", "ready", Some(4_000_021), 20_003, 2),
        row("order", "order/2", "starting", Some(4_000_022), 20_004, 0),
        lost,
    ])
}

fn status() -> Value {
    json!({ "system": "shop", "version": env!("CARGO_PKG_VERSION"), "dir": "/systems/shop",
        "edge_url": "http://127.0.0.1:8080", "admin_url": "http://127.0.0.1:7700",
        "ports": { "console": 7700, "dns": 20_099, "edge": 8080, "order/1": 20_003, "otlp": 4318 },
        "agent_pid": 4_000_000, "uptime_s": 61, "bricks_ready": 1, "bricks": 2, "ready": false,
        "problems": ["payment/1 dies again and again"],
        "counters": { "log_lines_cut": 1, "log_bytes_dropped": 0, "log_records_shipped": 10, "state_writes_failed": 2 } })
}

fn logs() -> String {
    let line = |ts: &str, level: &str, msg: &str| {
        json!({ "ts": ts, "brick": "order", "version": "v1", "instance": "order/1", "stream": "output",
            "level": level, "msg": msg, "trace_id": "0af7651916cd43dd8448eb211c80319c", "line": msg })
    };
    format!(
        "{}\n{}\n",
        line("2026-11-20T10:00:00.123Z", "info", "placed"),
        line(
            "2026-11-20T10:00:01.456Z",
            "error",
            "declined \u{1b}[31mand\u{202e} loud"
        )
    )
}

fn admin() -> Router {
    let telemetry = Router::new()
        .route("/graph", get(|| async { Json(graph()) }))
        .route("/traces", get(|| async { Json(traces()) }))
        .route(
            "/traces/{id}",
            get(|At(id): At<String>| async move { Json(trace(&id)) }),
        )
        .route("/metrics", get(|| async { Json(metrics()) }))
        .route("/metrics/range", get(|| async { Json(range()) }))
        .route("/requests/tail", get(|| async { requests() }))
        .route("/stats", get(|| async { Json(stats()) }));
    Router::new()
        .nest("/api/telemetry/v1", telemetry)
        .merge(edges::router())
        .route("/api/system/v1", get(|| async { Json(system()) }))
        .route("/api/registry/v1/instances", get(|| async { Json(instances()) }))
        .route(
            "/api/identity/v1/tokens",
            post(|| async { Json(json!({ "token": "header.claims.signature", "expires_in_s": 900 })) }),
        )
}

/// What a tail tells until it ends.
fn requests() -> impl axum::response::IntoResponse {
    let one = |ts: &str, status: u16, ms: f64, caller: Option<&str>| {
        json!({ "ts": ts, "brick": "order", "version": "v1", "instance": "order/1", "method": "POST", "route": "/api/orders",
            "path": "/api/orders", "status": status, "error": status >= 500, "duration_ms": ms, "caller": caller,
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "00000000000000a1" })
    };
    let first = one("2026-11-20T10:00:00.123456Z", 201, 12.345, Some("storefront"));
    let many = json!([
        one("2026-11-20T10:00:01.123456Z", 409, 0.5, None),
        one(
            "2026-11-20T10:00:02.123456Z",
            503,
            2_000.25,
            Some("gateway\u{1b}[31m")
        ),
    ]);
    let body = format!("event: request\ndata: {first}\n\n:\n\nevent: requests\ndata: {many}\n\n");
    ([("content-type", "text/event-stream")], body)
}

fn system() -> Value {
    json!({ "name": "shop", "epoch": "e", "revision": 7,
        "bricks": [
            { "name": "order", "version": "v1", "replicas": 2, "optional": false, "needs": ["payment", "psp"] },
            { "name": "payment", "version": "v1", "replicas": 1, "optional": false, "needs": [] },
        ],
        "routes": [{ "name": "orders", "path": "/api/orders/**", "to": "order", "auth": "jwt" }],
        "externals": [{ "name": "psp", "url": "https://psp.example" }] })
}

fn instances() -> Value {
    let row = |slot: u32, supervised: bool| {
        json!({ "brick": "order", "version": "v1", "slot": slot, "incarnation": "i", "zone": "a",
            "addr": "127.0.0.1:20003", "state": "ready", "ready": true, "supervised": supervised, "lease_ms": 9_000 })
    };
    let mut outsider = row(1, true);
    for (key, value) in [
        ("brick", json!("stock")),
        ("incarnation", json!("o")),
        ("addr", json!("192.0.2.7:8080")),
        ("outsider", json!("stock-a")),
        ("joined", json!("eureka")),
        ("lease_ends", json!("2026-11-20T10:00:09Z")),
    ] {
        outsider[key] = value;
    }
    json!({ "items": [row(2, false), outsider], "preserving": false, "kept": 0 })
}

fn graph() -> Value {
    let node = |brick: &str, kind: &str, rate: f64, error_rate: f64| {
        json!({ "brick": brick, "kind": kind, "instances": 1, "rate": rate, "error_rate": error_rate,
            "p50_ms": 4.25, "p99_ms": 21.5 })
    };
    let edge = |from: &str, to: &str, rate: f64, error_rate: f64| json!({ "from": from, "to": to, "rate": rate, "error_rate": error_rate, "p50_ms": 3.5, "p99_ms": 20.0 });
    let both = |mut edge: Value, error_rate: f64, lost: f64| {
        edge["callee"] = json!({ "rate": 11.5, "error_rate": error_rate, "p50_ms": 2.5, "p99_ms": 9.0 });
        edge["lost"] = json!(lost);
        edge
    };
    json!({ "window_s": 60,
        "nodes": [node("gateway", "edge", 12.5, 0.0), node("order", "brick", 12.5, 0.08), node("payment", "brick", 2.0, 0.25)],
        "edges": [both(edge("gateway", "order", 12.5, 0.0), 0.0, 0.0), both(edge("order", "payment", 2.0, 0.25), 0.05, 0.2),
            edge("order", "\"odd\"", 0.5, 0.0)] })
}

fn traces() -> Value {
    json!({ "items": [{ "trace_id": "1bf7651916cd43dd8448eb211c80319c", "root_service": "gateway",
        "root_operation": "POST /api/orders/**", "start": "2026-11-20T10:00:00.123Z", "duration_ms": 36.125, "spans": 3,
        "services": [{ "name": "order", "spans": 2, "errors": 1 }, { "name": "gateway", "spans": 1, "errors": 0 }],
        "error": true }] })
}

fn trace(id: &str) -> Value {
    let slow = id.starts_with('1');
    let span = |id: &str, parent: Option<&str>, service: &str, operation: &str, start_ms: u64, ms: u64| {
        json!({ "span_id": id, "parent_id": parent, "service": service, "instance": format!("{service}/1"),
            "version": "v1", "zone": "a", "operation": operation, "kind": if parent.is_none() { "server" } else { "client" },
            "start_unix_ns": (1_000_000_000 + start_ms * 1_000_000).to_string(), "duration_ns": ms * 1_000_000,
            "status": if slow && service == "payment" { "error" } else { "ok" },
            "attributes": { "http.request.method": "POST", "http.response.status_code": 201, "cached": false },
            "events": [{ "name": "warned", "time_unix_ns": "1001000000", "attributes": { "why": "slow" } }] })
    };
    let payment_ms = if slow { 25 } else { 5 };
    json!({ "trace_id": id,
        "spans": [
            span("00000000000000a1", None, "gateway", "POST /api/orders/**", 0, payment_ms + 11),
            span("00000000000000b2", Some("00000000000000a1"), "order", "POST /api/orders", 2, payment_ms + 7),
            span("00000000000000c3", Some("00000000000000b2"), "payment", "POST /payments", 4, payment_ms),
        ],
        "logs": [{ "ts": "2026-11-20T10:00:00.123Z", "brick": "payment", "version": "v1", "instance": "payment/1",
            "level": "warn", "msg": "declined", "fields": {} }] })
}

fn metrics() -> Value {
    json!({ "items": [
        { "name": "http_server_request_duration_seconds", "kind": "histogram", "unit": "seconds", "help": "Requests served", "series": 12 },
        { "name": "shop_orders_placed_total", "kind": "counter", "help": "Orders placed", "series": 2 },
    ] })
}

fn range() -> Value {
    json!({ "series": [{ "labels": { "instance": "order/1" }, "points": [[1000.0, 0.0], [1015.0, 0.5], [1030.0, 1.25]] }] })
}

fn stats() -> Value {
    json!({ "spans": 1200, "logs": 340, "series": 56, "bytes": 5_242_880, "bytes_max": 50_331_648, "evicted_spans": 3,
        "evicted_logs": 0, "evicted_points": 0, "dropped": 0, "refused": 4, "duplicates": 0 })
}
