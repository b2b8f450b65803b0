//! Breakers and faults of the canned platform.

use axum::extract::Path as At;
use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get};
use axum::{Json, Router};
use brick_wire::Problem;
use serde_json::{Value, json};

/// Stands for what is in force.
const TAG: &str = "\"7\"";

type Edge = At<(String, String)>;

pub(super) fn router() -> Router {
    Router::new()
        .route("/api/limits/v1/edges", get(|| async { Json(edges()) }))
        .route(
            "/api/limits/v1/{caller}/{callee}",
            get(limits).put(hold).delete(|| async { StatusCode::NO_CONTENT }),
        )
        .route("/api/faults/v1", get(|| async { Json(faults()) }))
        .route(
            "/api/faults/v1/{caller}/{callee}",
            axum::routing::put(set).delete(|| async { StatusCode::NO_CONTENT }),
        )
        .route(
            "/api/faults/v1/routes/{name}",
            delete(|| async { StatusCode::NO_CONTENT }),
        )
}

fn edges() -> Value {
    let edge = |name: &str, state: &str, calls: u64, errors: u64, rejected: u64| {
        let (caller, callee) = name.split_once("->").expect("an arrow");
        json!({ "caller": caller, "callee": callee, "overridden": false, "edge": name, "state": state,
            "since": "2026-11-20T10:00:00Z", "window_ms": 10_000, "calls": calls, "errors": errors, "slow": 0,
            "rejected": rejected, "p50_ms": 4.25, "p99_ms": 21.5, "limit": 1_024, "in_flight": 1,
            "instances": [{ "instance": format!("{caller}/1") }] })
    };
    let mut held = edge("edge->order", "closed", 50, 0, 0);
    held["forced"] = "closed".into();
    let mut fresh = edge("order->psp", "half-open", 0, 0, 3);
    fresh["window_ms"] = 0.into();
    fresh.as_object_mut().expect("an object").remove("p99_ms");
    json!({ "items": [held, edge("order->payment", "open", 40, 30, 120), fresh] })
}

async fn limits(At((caller, callee)): Edge) -> Result<Json<Value>, Problem> {
    if callee == "nobody" {
        let hint = format!(
            "no calls go from \"{caller}\" to \"{callee}\": expected a brick and one that it needs, or edge and one that a route leads to"
        );
        return Err(Problem::not_found("edge_unknown", hint));
    }
    let patch = json!({ "breaker": { "forced": "closed" } });
    Ok(Json(
        json!({ "edge": format!("{caller}->{callee}"), "revision": 7, "override": patch, "tag": TAG }),
    ))
}

/// Of one edge somebody else changes the limits all the time.
async fn hold(at: Edge, headers: HeaderMap, body: Json<Value>) -> Result<Json<Value>, Problem> {
    let expected = headers.get(IF_MATCH).is_some_and(|tag| tag == TAG);
    if !expected || at.1 == "product" {
        let detail = "the limits were changed meanwhile; read them again";
        return Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "changed_meanwhile",
            detail,
        ));
    }
    Ok(set(at, body).await)
}

/// Gives back what was put, as both APIs do, but for the time, which differs each time.
async fn set(At((caller, callee)): Edge, Json(mut body): Json<Value>) -> Json<Value> {
    if let Some(rule) = body["rules"].get_mut(0) {
        rule["until"] = "2026-11-20T10:05:00Z".into();
    }
    body["edge"] = format!("{caller}->{callee}").into();
    Json(body)
}

fn faults() -> Value {
    json!({ "items": [
        { "edge": "order->payment", "rules": [{ "share": 0.2, "delay_ms": 300, "until": "2026-11-20T10:05:00Z" }] },
        { "edge": "route->orders", "rules": [
            { "abort": 503, "header": { "name": "x-chaos", "value": "yes" }, "until": "2026-11-20T10:05:00Z" },
            { "reset": true, "until": "2026-11-20T11:00:00Z" },
        ] },
    ] })
}
