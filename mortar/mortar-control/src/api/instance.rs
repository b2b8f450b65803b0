//! One instance, looked at closely: control asks the instance itself for `/info` and `/health`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use brick_core::Version;
use brick_http::{Json, Path, Problem};
use brick_wire::{Client, Error};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::service::Handle;
use crate::state::State as Control;

/// Time for each of the two questions.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer to each, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// An instance as it describes itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InstanceView {
    /// Slot, `order/1`; `payment@v2/1` for a concurrent version.
    slot: String,
    /// Where it serves HTTP.
    addr: String,
    /// Its `/info`, or `{"error": why it is not known}`.
    info: Value,
    /// Its `/health`, or `{"error": why it is not known}`.
    health: Value,
}

pub(crate) async fn show(
    State(handle): State<Handle>,
    path: Result<Path<(String, u32)>, Problem>,
) -> Result<Json<InstanceView>, Problem> {
    let Path((brick, number)) = path?;
    let addr = find(&handle, &brick, number).ok_or_else(|| {
        let brick: String = brick.chars().take(100).collect();
        let detail = format!(
            "no instance {brick}/{number} is registered: there is no such slot, or it is not running; `brick ps` \
             shows what there is"
        );
        Problem::not_found("instance_unknown", detail)
    })?;
    let client = handle.http();
    let (info, health) = tokio::join!(
        ask(client, addr, "/info", &[]),
        // A brick that is down says so with a 503 that holds the whole tree.
        ask(client, addr, "/health", &[StatusCode::SERVICE_UNAVAILABLE]),
    );
    Ok(Json(InstanceView {
        slot: format!("{brick}/{number}"),
        addr: addr.to_string(),
        info,
        health,
    }))
}

/// The address of a platform process, or of the instance in a slot.
fn find(handle: &Handle, brick: &str, number: u32) -> Option<SocketAddr> {
    let platform = handle.options().platform.iter();
    let asked = |(name, slot, _): &&(String, u32, SocketAddr)| name == brick && *slot == number;
    if let Some((_, _, addr)) = platform.clone().find(asked) {
        return Some(*addr);
    }
    registered(&handle.state(), brick, number)
}

/// `payment` is the version that the manifest calls the base, else any; `payment@v2` is that version alone.
fn registered(state: &Control, brick: &str, number: u32) -> Option<SocketAddr> {
    let (name, label) = match brick.split_once('@') {
        Some((name, label)) => (name, Some(Version::new(label).ok()?)),
        None => (brick, None),
    };
    let base = || {
        let (_, brick) = state
            .manifest
            .as_ref()?
            .bricks
            .iter()
            .find(|(n, _)| n.as_str() == name)?;
        Some(brick.version.base.clone())
    };
    let wanted = label.or_else(base);
    let mut found = state.instances.values().map(|one| &one.instance).filter(|one| {
        one.brick.as_str() == name
            && one.slot == number
            && wanted.as_ref().is_none_or(|version| one.version == *version)
    });
    found.next_back().map(|one| one.addr)
}

async fn ask(client: &Client, addr: SocketAddr, path: &str, also: &[StatusCode]) -> Value {
    let call = client.get(format!("http://{addr}{path}")).timeout(TIMEOUT);
    let answer = call.bytes_max(ANSWER_BYTES_MAX).send().await;
    let read = |answer: brick_wire::Response| -> Result<Value, Error> {
        if also.contains(&answer.status) && !is_problem(&answer) {
            answer.json()
        } else {
            answer.success()?.json()
        }
    };
    match answer.and_then(read) {
        Ok(value) => value,
        Err(error) => json!({ "error": brick_core::chain(&error) }),
    }
}

fn is_problem(answer: &brick_wire::Response) -> bool {
    let media = answer.headers.get(http::header::CONTENT_TYPE);
    media.is_some_and(|media| media.as_bytes().starts_with(b"application/problem+json"))
}
