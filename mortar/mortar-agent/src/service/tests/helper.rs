//! The parts that the test binary plays as a child: control, gateway, telemetry, or a brick.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use brick_core::{Drain, env};
use brick_wire::handover::{self, Named};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message as _;
use serde_json::{Value, json};

/// Plays the part and ends on SIGTERM; without a part it returns at once.
pub(super) fn play() {
    let Ok(part) = std::env::var(env::BRICK_NAME) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let serving = async {
            match part.as_str() {
                "control" => serve(number(env::PORT), control()).await,
                "gateway" => gateway().await,
                "telemetry" => {
                    tokio::join!(
                        serve(number(env::PORT), Router::new()),
                        serve(number(env::BRICK_OTLP_PORT), telemetry())
                    );
                }
                name => {
                    say(&format!("{name} starts"));
                    for line in 0..number("LINES") {
                        say(&format!("{name} line {line}"));
                    }
                    serve(number(env::PORT), Router::new()).await;
                }
            }
        };
        tokio::select! {
            () = serving => {}
            _ = term.recv() => {}
        }
    });
}

/// Straight to the file: the test harness would keep what goes through `println`.
fn say(msg: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), r#"{{"level":"info","msg":"{msg}"}}"#);
}

fn number(name: &str) -> u16 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

async fn serve(port: u16, app: Router) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let app = app.route("/health/ready", get(|| async { "ok" }));
    axum::serve(listener, app).await.unwrap();
}

async fn gateway() {
    let mut inherited = listenfd::ListenFd::from_env();
    let mut take = |index| -> TcpListener { inherited.take_tcp_listener(index).unwrap().unwrap() };
    let names = std::env::var("LISTEN_FDNAMES").unwrap();
    let named: Vec<Named> = names
        .split(':')
        .enumerate()
        .map(|(index, name)| Named {
            name: name.to_owned(),
            fd: take(index).into(),
        })
        .collect();
    let path = std::env::var(env::BRICK_HANDOVER_SOCKET).unwrap();
    let _ = std::fs::remove_file(&path);
    let socket = tokio::net::UnixListener::bind(path).unwrap();
    let offered = handover::serve(socket, named, Drain::never());
    let (_, offered) = tokio::join!(serve(number(env::PORT), Router::new()), offered);
    offered.unwrap();
}

/// Bricks by incarnation.
type Known = Arc<Mutex<BTreeMap<String, String>>>;

/// A control that tells on its output what it is told, and forgets everything when it dies.
fn control() -> Router {
    Router::new()
        .route(
            "/identity/token",
            post(|body: String| async move {
                let key =
                    std::fs::read_to_string(std::env::var(env::BRICK_BOOTSTRAP_KEY_FILE).unwrap()).unwrap();
                assert!(body.contains(&format!("client_id=agent&client_secret={key}")));
                Json(json!({ "access_token": "agent", "expires_in": 900 }))
            }),
        )
        .route(
            "/api/system/v1/manifest",
            put(|Json(_): Json<brick_model::Model>| async { say("manifest") }),
        )
        .route(
            "/api/identity/v1/process-tokens",
            post(|Json(asked): Json<Value>| async move {
                let scopes: Vec<&str> = asked["scopes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                Json(json!({ "token": scopes.join(" "), "expires_in_s": 900 }))
            }),
        )
        .route(
            "/api/identity/v1/tokens",
            post(|Json(asked): Json<Value>| async move {
                Json(json!({ "token": asked["subject"], "expires_in_s": 900 }))
            }),
        )
        .route(
            "/api/identity/v1/console-codes",
            post(|| async { Json(json!({ "code": "c", "expires_in_s": 600 })) }),
        )
        .route(
            "/api/registry/v1/instances",
            post(|State(known): State<Known>, Json(new): Json<Value>| async move {
                let text = |key: &str| new[key].as_str().unwrap().to_owned();
                known.lock().unwrap().insert(text("incarnation"), text("brick"));
                let of = match new["concurrent"] == true {
                    true => format!("{}@{}", text("brick"), text("version")),
                    false => text("brick"),
                };
                say(&format!("registered {of}/{}", new["slot"]));
                Json(json!({ "lease_ms": 10_000 }))
            }),
        )
        .route(
            "/api/registry/v1/leases",
            post(
                |State(known): State<Known>, Json(asked): Json<Value>| async move {
                    let known = known.lock().unwrap();
                    let asked = asked["renew"].as_array().unwrap().iter();
                    let unknown: Vec<&str> = asked
                        .filter_map(|renewal| renewal["incarnation"].as_str())
                        .filter(|incarnation| !known.contains_key(*incarnation))
                        .collect();
                    Json(json!({ "unknown": unknown }))
                },
            ),
        )
        .route(
            "/api/registry/v1/instances/{incarnation}",
            delete(
                |State(known): State<Known>, Path(incarnation): Path<String>| async move {
                    known.lock().unwrap().remove(&incarnation);
                    Json(json!({ "let_go": true }))
                },
            ),
        )
        .route(
            "/bus/v1/acks",
            get(|State(known): State<Known>| async move {
                let known = known.lock().unwrap();
                let follow = known.iter().filter(|(_, brick)| brick.as_str() != "legacy");
                let items: Vec<Value> = follow.map(|(one, _)| json!({ "incarnation": one })).collect();
                Json(json!({ "items": items }))
            }),
        )
        .with_state(Known::default())
}

/// A telemetry that writes the text of every record into a file.
fn telemetry() -> Router {
    let path = format!("{}/shipped.txt", std::env::var(env::BRICK_STATE_DIR).unwrap());
    Router::new().route(
        "/v1/logs",
        post(|body: Bytes| async move {
            use std::io::Write as _;
            let request = ExportLogsServiceRequest::decode(body).unwrap();
            let scopes = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
            let mut text = String::new();
            for record in scopes.flat_map(|scope| scope.log_records) {
                if let Some(Any::StringValue(line)) = record.body.and_then(|body| body.value) {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            let mut file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }),
    )
}
