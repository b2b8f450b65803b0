//! The agent's socket: HTTP over `.brickwork/agent.sock`, for `ps`, `logs`, `scale`, `kill`, `down` without control.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use brick_core::{BrickRef, Drain, chain};
use brick_wire::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::UnixListener;
use tokio::sync::broadcast;

use crate::api::{LogLine, Scale};
use crate::{Error, Handle, audit};

const BODY_BYTES_MAX: usize = 64 * 1024;

/// Query of `GET /v1/logs`.
#[derive(Debug, Default, Deserialize)]
struct LogQuery {
    brick: Option<String>,
    since: Option<String>,
    grep: Option<String>,
    trace: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// Query of `GET /v1/events`.
#[derive(Debug, Default, Deserialize)]
struct EventQuery {
    #[serde(default)]
    follow: bool,
}

/// Query of `GET /v1/env`.
#[derive(Debug, Deserialize)]
struct EnvQuery {
    brick: String,
}

/// Which lines somebody wants.
#[derive(Debug)]
struct Filter {
    of: Option<String>,
    since: Option<jiff::Timestamp>,
    grep: Option<String>,
    trace: Option<String>,
}

/// Listens on the socket, for this user alone; what an agent that was killed left there is replaced.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("replace", path)(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(Error::file("listen on", path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(Error::file("protect", path))?;
    Ok(listener)
}

/// Serves until the drain is requested.
pub(crate) async fn serve(listener: UnixListener, handle: Handle, drain: Drain) {
    let served = axum::serve(listener, router(handle));
    tokio::select! {
        _ = served => {}
        () = async {
            drain.requested().await;
            // Followers get the last events before the connections go.
            tokio::time::sleep(Duration::from_millis(50)).await;
        } => {}
    }
}

fn router(handle: Handle) -> Router {
    Router::new()
        .route(
            "/v1/ps",
            get(|State(agent): State<Handle>| async move { Json(agent.ps()) }),
        )
        .route(
            "/v1/status",
            get(|State(agent): State<Handle>| async move { Json(agent.status()) }),
        )
        .route("/v1/registry", get(registry))
        .route("/v1/logs", get(logs))
        .route("/v1/events", get(events))
        .route("/v1/scale", post(scale))
        .route("/v1/kill", post(kill))
        .route("/v1/roll", post(roll))
        .route("/v1/env", get(one_off))
        .route("/v1/apply", post(apply))
        .route("/v1/down", post(down))
        .route("/v1/token", post(token))
        .route("/v1/console-link", post(console_link))
        .fallback(|| async { Problem::not_found("no_such_call", "the agent's socket has no such call") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(handle)
}

async fn scale(State(agent): State<Handle>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let scale: Scale = read(&body)?;
    let mut of = scale.brick.clone();
    of.version = of.version.or_else(|| scale.version.clone());
    let after = json!({ "replicas": scale.replicas });
    let changes = agent.scale(scale).await.map_err(|e| problem(&e))?;
    audit::tell(agent.control(), &headers, "scale", of.to_string(), after);
    Ok(Json(changes).into_response())
}

async fn kill(State(agent): State<Handle>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let killed = agent.kill(read(&body)?).await.map_err(|e| problem(&e))?;
    let after = json!({ "pid": killed.pid, "signal": killed.signal });
    audit::tell(agent.control(), &headers, "kill", killed.instance.clone(), after);
    Ok(Json(killed).into_response())
}

async fn roll(State(agent): State<Handle>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let rolled = agent.roll(read(&body)?).await.map_err(|e| problem(&e))?;
    let after = json!({ "replaced": rolled.replaced });
    audit::tell(agent.control(), &headers, "roll", rolled.brick.to_string(), after);
    Ok(Json(rolled).into_response())
}

async fn one_off(State(agent): State<Handle>, Query(query): Query<EnvQuery>) -> Result<Response, Problem> {
    let of = query.brick.parse::<BrickRef>();
    let of = of.map_err(|e| Problem::bad_request("invalid_brick", e.to_string()))?;
    let one_off = agent.one_off(&of).await.map_err(|e| problem(&e))?;
    Ok(Json(one_off).into_response())
}

async fn apply(State(agent): State<Handle>, body: Bytes) -> Result<Response, Problem> {
    let apply = if body.is_empty() {
        Default::default()
    } else {
        read(&body)?
    };
    let changes = agent.apply(apply).await.map_err(|e| problem(&e))?;
    Ok(Json(changes).into_response())
}

async fn down(State(agent): State<Handle>) -> StatusCode {
    agent.down();
    StatusCode::ACCEPTED
}

async fn registry(State(agent): State<Handle>) -> Result<Response, Problem> {
    let registry = agent.control().registry().await;
    let registry = registry.map_err(|error| Problem::unavailable("control_away", error.to_string()))?;
    Ok(Json(registry).into_response())
}

async fn token(State(agent): State<Handle>) -> Result<Response, Problem> {
    let token = agent.operator_token().await.map_err(|e| problem(&e))?;
    Ok(Json(token).into_response())
}

async fn console_link(State(agent): State<Handle>) -> Result<Response, Problem> {
    let link = agent.console_link().await.map_err(|e| problem(&e))?;
    Ok(Json(link).into_response())
}

async fn logs(State(agent): State<Handle>, Query(query): Query<LogQuery>) -> Result<Response, Problem> {
    let filter = Filter {
        since: query.since.as_deref().map(since).transpose()?,
        of: query.brick,
        grep: query.grep,
        trace: query.trace,
    };
    // Subscribed before the lines kept are read, so that none is missed; one that is in both is told by its place.
    let live = query.follow.then(|| agent.follow_logs());
    let mut lines = agent.logs(filter.of.as_deref());
    lines.retain(|line| filter.takes(line));
    let skip = lines.len().saturating_sub(query.limit.unwrap_or(1000));
    let newest = lines.last().cloned();
    let past = lines.split_off(skip);
    let Some(live) = live else {
        return Ok(ndjson(Body::from(past.iter().map(row).collect::<String>())));
    };
    let state = (past.into_iter(), live, filter, newest);
    let stream = futures_util::stream::unfold(state, |(mut past, mut live, filter, newest)| async move {
        if let Some(line) = past.next() {
            return Some((Ok::<_, Infallible>(row(&line)), (past, live, filter, newest)));
        }
        loop {
            match live.recv().await {
                Ok(line) if newest.as_ref() != Some(&line) && filter.takes(&line) => {
                    return Some((Ok(row(&line)), (past, live, filter, newest)));
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    Ok(ndjson(Body::from_stream(stream)))
}

async fn events(State(agent): State<Handle>, Query(query): Query<EventQuery>) -> Response {
    if !query.follow {
        let past: String = agent.past_events().iter().map(row).collect();
        return ndjson(Body::from(past));
    }
    let stream = futures_util::stream::unfold(agent.events(), |mut events| async move {
        let event = events.next().await?;
        Some((Ok::<_, Infallible>(row(&event)), events))
    });
    ndjson(Body::from_stream(stream))
}

impl Filter {
    fn takes(&self, line: &LogLine) -> bool {
        let of = |name: &String| {
            let slot_of = line.instance.rsplit_once('/').map(|(of, _)| of);
            line.brick.as_str() == name || line.instance == *name || slot_of == Some(name)
        };
        self.of.as_ref().is_none_or(of)
            && self.since.is_none_or(|since| line.ts >= since)
            && self
                .grep
                .as_ref()
                .is_none_or(|text| line.line.contains(text.as_str()))
            && self
                .trace
                .as_ref()
                .is_none_or(|id| line.trace_id.as_ref() == Some(id))
    }
}

/// `since` is an age (`15m`) or a time (RFC 3339).
fn since(text: &str) -> Result<jiff::Timestamp, Problem> {
    if let Ok(brick_core::duration::Span(age)) = text.parse() {
        return jiff::Timestamp::now()
            .checked_sub(age)
            .map_err(|e| Problem::bad_request("invalid_since", e.to_string()));
    }
    text.parse().map_err(|_| {
        let detail = format!("since: expected an age such as 15m or an RFC 3339 time, found \"{text}\"");
        Problem::bad_request("invalid_since", detail)
    })
}

fn row(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

fn ndjson(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|e| Problem::bad_request("invalid_body", e.to_string()))
}

fn problem(error: &Error) -> Problem {
    let status = match error {
        Error::Unknown { .. } => StatusCode::NOT_FOUND,
        Error::Invalid { .. }
        | Error::Manifest { .. }
        | Error::Command { .. }
        | Error::MissingProgram { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Control(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Stopping | Error::Build { .. } | Error::Roll { .. } => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Problem::new(status, error.code(), chain(error))
}
