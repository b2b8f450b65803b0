//! What operators may ask of the agent through control.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use brick_core::{BrickName, Version};
use brick_http::{Caller, Json, Problem, Query};
use brick_wire::lines::Lines;
use brick_wire::sse;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::life;
use crate::agent::Follow;
use crate::audit::{By, Entry};
use crate::service::Handle;

/// Longest line of an event, in bytes; a longer one ends the stream.
const LINE_BYTES_MAX: usize = 1 << 20;
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Time for what the agent does at once.
const PROMPT: Duration = Duration::from_secs(30);
/// Time for what may build and replaces instances one after the other.
const LONG: Duration = Duration::from_secs(15 * 60);

/// How many instances a brick should have.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scale {
    /// The brick.
    brick: BrickName,
    /// Label of a concurrent version; none is the brick's base version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    /// Instances it should have; none for as many as the manifest says, or its requests need.
    #[serde(default)]
    replicas: Option<u32>,
}

/// Which brick's instances to replace, one after the other.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roll {
    /// The brick with all its versions, or one version of it: `payment`, `payment@v2`.
    brick: String,
    /// Whether to leave the build out.
    #[serde(default)]
    no_build: bool,
}

/// Which instance to send a signal.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kill {
    /// Slot, `order/1`.
    instance: String,
    /// Name of the signal without `SIG`, `KILL` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
}

/// Which events.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct EventQuery {
    /// Whether the stream goes on with what happens from now on; else it ends with what happened so far.
    #[serde(default)]
    follow: bool,
}

pub(crate) async fn ps(State(handle): State<Handle>) -> Result<Response, Problem> {
    handle.agent().get("/v1/ps").await.map(json)
}

pub(crate) async fn status(State(handle): State<Handle>) -> Result<Response, Problem> {
    handle.agent().get("/v1/status").await.map(json)
}

pub(crate) async fn scale(
    State(handle): State<Handle>,
    by: By,
    body: Result<Json<Scale>, Problem>,
) -> Result<Response, Problem> {
    let Json(body) = body?;
    let target = match &body.version {
        Some(version) => format!("{}@{version}", body.brick),
        None => body.brick.to_string(),
    };
    tell(&handle, by.did("scale", target), "/v1/scale", &body, PROMPT).await
}

pub(crate) async fn roll(
    State(handle): State<Handle>,
    by: By,
    body: Result<Json<Roll>, Problem>,
) -> Result<Response, Problem> {
    let Json(body) = body?;
    tell(&handle, by.did("roll", &*body.brick), "/v1/roll", &body, LONG).await
}

pub(crate) async fn kill(
    State(handle): State<Handle>,
    by: By,
    body: Result<Json<Kill>, Problem>,
) -> Result<Response, Problem> {
    let Json(body) = body?;
    tell(
        &handle,
        by.did("kill", &*body.instance),
        "/v1/kill",
        &body,
        PROMPT,
    )
    .await
}

/// Has the agent do it; what it did is written down.
async fn tell(
    handle: &Handle,
    entry: Entry,
    path: &str,
    body: &impl Serialize,
    limit: Duration,
) -> Result<Response, Problem> {
    let answer = handle.agent().post(path, body, limit).await?;
    let after = serde_json::to_value(body).unwrap_or_default();
    handle.record(entry.turning(Value::Null, after)).await?;
    Ok(json(answer))
}

pub(crate) async fn events(
    State(handle): State<Handle>,
    caller: Caller,
    query: Result<Query<EventQuery>, Problem>,
) -> Result<Response, Problem> {
    let Query(EventQuery { follow }) = query?;
    let left = caller.brick().map(life).unwrap_or_default();
    let path = format!("/v1/events?follow={follow}");
    let following = Events {
        follow: handle.agent().follow(&path).await?,
        lines: Lines::default(),
        end: Instant::now() + left,
    };
    Ok(sse::answer(unfold(following, |mut following| async move {
        let piece = following.next().await?;
        Some((piece, following))
    })))
}

/// JSON lines of the agent on their way to server-sent events.
struct Events {
    follow: Follow,
    lines: Lines,
    /// When the token that opened the stream is over.
    end: Instant,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.next() {
                if !line.is_empty() {
                    return Some(sse::encode("", "event", &line));
                }
                continue;
            }
            if self.lines.pending() > LINE_BYTES_MAX {
                tracing::warn!(
                    bytes_max = LINE_BYTES_MAX,
                    "an event of the agent is too long; the stream ends"
                );
                return None;
            }
            tokio::select! {
                biased;
                () = self.follow.drain.requested() => return None,
                () = tokio::time::sleep_until(self.end) => return None,
                chunk = self.follow.stream.chunk() => self.lines.push(&chunk.ok()??),
                () = tokio::time::sleep(HEARTBEAT) => return Some(sse::heartbeat()),
            }
        }
    }
}

fn json(body: Bytes) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}
