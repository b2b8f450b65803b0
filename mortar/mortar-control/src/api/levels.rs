//! Levels of log lines of a brick, or of one instance, for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use brick_bus::{LogLevel, LogLevels};
use brick_http::{Json, Path, Problem, Query};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::By;
use crate::config::{change, level};
use crate::service::Handle;

/// What is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LevelBody {
    /// A filter such as `debug` or `info,order=debug`.
    level: String,
    /// One instance, `order/2`; all of them unless said.
    instance: Option<String>,
    /// After how many seconds it is over, at most a week; never unless said.
    for_s: Option<u64>,
}

/// Whose level is taken back.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct LevelQuery {
    /// One instance, `order/2`; that of the brick unless said.
    instance: Option<String>,
}

/// Levels that are other than a brick was started with.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LevelsView {
    /// The brick.
    brick: String,
    /// Of all its instances.
    all: Option<LevelView>,
    /// Of single ones.
    instances: BTreeMap<String, LevelView>,
}

/// One level.
#[derive(Debug, Serialize, JsonSchema)]
struct LevelView {
    /// The filter.
    level: String,
    /// When it is over, RFC 3339.
    until: Option<String>,
}

pub(crate) async fn show(
    State(handle): State<Handle>,
    path: Result<Path<String>, Problem>,
) -> Result<Json<LevelsView>, Problem> {
    let Path(brick) = path?;
    let state = handle.state();
    change::known(&state, &brick)?;
    let levels = level::of(&state, &brick);
    Ok(Json(view(brick, levels)))
}

pub(crate) async fn set(
    State(handle): State<Handle>,
    by: By,
    path: Result<Path<String>, Problem>,
    body: Result<Json<LevelBody>, Problem>,
) -> Result<Json<LevelsView>, Problem> {
    let (Path(brick), Json(body)) = (path?, body?);
    change::known(&handle.state(), &brick)?;
    brick_telemetry::check_filter(&body.level)
        .map_err(|error| Problem::unprocessable("level_invalid", error.to_string()))?;
    own(&handle, &brick, body.instance.as_deref())?;
    let lasts = body.for_s.map(Duration::from_secs);
    let wanted = level::level(&body.level, lasts, Timestamp::now());
    let levels = level::set(&handle, &brick, body.instance.as_deref(), Some(wanted), &by).await?;
    Ok(Json(view(brick, levels)))
}

pub(crate) async fn take_back(
    State(handle): State<Handle>,
    by: By,
    path: Result<Path<String>, Problem>,
    query: Result<Query<LevelQuery>, Problem>,
) -> Result<Json<LevelsView>, Problem> {
    let (Path(brick), Query(query)) = (path?, query?);
    change::known(&handle.state(), &brick)?;
    let levels = level::set(&handle, &brick, query.instance.as_deref(), None, &by).await?;
    Ok(Json(view(brick, levels)))
}

/// Whether the brick has the instance.
fn own(handle: &Handle, brick: &str, instance: Option<&str>) -> Result<(), Problem> {
    let Some(wanted) = instance else {
        return Ok(());
    };
    let state = handle.state();
    let own = state
        .instances
        .values()
        .filter(|one| one.instance.brick.as_str() == brick);
    let slots: Vec<String> = own.map(|one| one.instance.slot_name()).collect();
    if slots.iter().any(|slot| slot == wanted) {
        return Ok(());
    }
    let wanted: String = wanted.chars().take(80).collect();
    let there = slots.join(", ");
    let hint = format!("{brick} has no instance \"{wanted}\"; registered are: {there}");
    Err(Problem::not_found("instance_unknown", hint))
}

fn view(brick: String, levels: LogLevels) -> LevelsView {
    let one = |level: LogLevel| LevelView {
        level: level.level,
        until: level.until.map(|until| until.to_string()),
    };
    let instances = levels.instances.into_iter();
    LevelsView {
        brick,
        all: levels.brick.map(one),
        instances: instances.map(|(slot, level)| (slot, one(level))).collect(),
    }
}
