//! Canaries: begun, looked at, promoted and aborted by hand.

use axum::extract::State;
use brick_core::Version;
use brick_http::{Json, Path, Problem};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::pools;
use crate::audit::By;
use crate::canary::judge::Limits;
use crate::canary::{self, CANARIES, Canary, Look, Phase};
use crate::pools::{POOLS, Wanted};
use crate::service::Handle;

/// Lives that a step may have, in milliseconds.
const HOLD_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;
const STEPS_MAX: usize = 32;

/// A canary to begin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CanaryBody {
    /// The version to try.
    version: Version,
    /// Shares in percent, ascending; the last is 100. 1, 5, 25, 100 unless said.
    #[serde(default)]
    steps: Vec<u32>,
    /// How long a step lasts at least, in milliseconds; 30 s unless said.
    #[serde(default)]
    hold_ms: Option<u64>,
    /// When to abort.
    #[serde(default)]
    limits: Limits,
}

/// A canary, and its share. Of one canary alone its course has what was seen within the steps as well, of a list of them
/// only the end of each step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CanaryView {
    #[serde(flatten)]
    canary: Canary,
    /// Share of the keys in percent.
    share: u32,
    /// How it does in the step under way, or did when it ended; absent until its instances were asked twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<Look>,
}

/// Every canary, running or over.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CanaryList {
    items: Vec<CanaryView>,
}

type Named = Result<Path<String>, Problem>;

pub(crate) async fn list(State(handle): State<Handle>) -> Json<CanaryList> {
    let state = handle.state();
    let named = state.settings_below(CANARIES);
    let items = named.filter_map(|(brick, _)| canary::of(&state, brick));
    let items = items.map(|canary| view(&handle, canary));
    Json(CanaryList {
        items: items.collect(),
    })
}

pub(crate) async fn show(State(handle): State<Handle>, path: Named) -> Result<Json<CanaryView>, Problem> {
    let Path(brick) = path?;
    let mut canary = held(&handle, &brick)?;
    canary.course = handle.looks().course(&canary);
    Ok(Json(view(&handle, canary)))
}

pub(crate) async fn start(
    State(handle): State<Handle>,
    by: By,
    path: Named,
    body: Result<Json<CanaryBody>, Problem>,
) -> Result<Json<CanaryView>, Problem> {
    let (Path(brick), Json(body)) = (path?, body?);
    let state = handle.state();
    let base = pools::base(&state, &brick)?;
    canary::none_runs(&state, &brick)?;
    let (steps, hold_ms) = checked(body.steps, body.hold_ms, &body.limits)?;
    let limits = body.limits;
    let tried = Wanted {
        weights: std::iter::once((body.version.clone(), 1)).collect(),
        ..Wanted::default()
    };
    pools::check(&state, &brick, &tried)?;
    let is_up = state
        .instances
        .values()
        .any(|one| one.instance.brick.as_str() == brick && one.instance.version == body.version && one.ready);
    if !is_up || body.version == base {
        let hint = format!(
            "expected a version beside {base} of which an instance is up; `brick scale {brick}@{}=1` starts one",
            body.version
        );
        return Err(Problem::conflict("version_not_up", hint));
    }
    let before = state
        .settings
        .get(&format!("{POOLS}{brick}"))
        .map(|held| Value::clone(held));
    let now = Timestamp::now();
    let begun = Canary {
        brick,
        version: body.version,
        base,
        steps,
        hold_ms,
        limits,
        phase: Phase::Running,
        step: 0,
        reason: String::new(),
        started: now,
        stepped: now,
        baseline: None,
        before,
        course: Vec::new(),
    };
    let after = serde_json::json!({ "version": begun.version, "steps": begun.steps, "hold_ms": hold_ms });
    let entry = by.did("canary.start", begun.name()).turning(Value::Null, after);
    begun.put(&handle, entry).await?;
    Ok(Json(view(&handle, begun)))
}

/// Steps and hold with their defaults; what makes no sense is refused by its field.
fn checked(steps: Vec<u32>, hold_ms: Option<u64>, limits: &Limits) -> Result<(Vec<u32>, u64), Problem> {
    let steps = match steps.is_empty() {
        true => vec![1, 5, 25, 100],
        false => steps,
    };
    let ascends = steps.windows(2).all(|pair| pair[0] < pair[1]) && steps[0] > 0;
    if !ascends || steps.last() != Some(&100) || steps.len() > STEPS_MAX {
        let hint =
            format!("steps: expected at most {STEPS_MAX} ascending shares from 1 to 100, found {steps:?}");
        return Err(Problem::unprocessable("canary_invalid", hint));
    }
    let hold_ms = hold_ms.unwrap_or(30_000);
    if !HOLD_MS.contains(&hold_ms) {
        let hint = format!(
            "hold_ms: expected {} to {}, found {hold_ms}",
            HOLD_MS.start(),
            HOLD_MS.end()
        );
        return Err(Problem::unprocessable("canary_invalid", hint));
    }
    if !(0.0..1.0).contains(&limits.error_rate)
        || !(1.0..=100.0).contains(&limits.p99_times)
        || limits.min_calls == 0
    {
        let hint =
            "limits: expected error_rate from 0 to below 1, p99_times from 1 to 100, min_calls of at least 1";
        return Err(Problem::unprocessable("canary_invalid", hint));
    }
    Ok((steps, hold_ms))
}

pub(crate) async fn promote(
    State(handle): State<Handle>,
    by: By,
    path: Named,
) -> Result<Json<CanaryView>, Problem> {
    end(
        &handle,
        &by,
        path,
        Phase::Promoted,
        "promoted by hand",
        "canary.promote",
    )
    .await
}

pub(crate) async fn abort(
    State(handle): State<Handle>,
    by: By,
    path: Named,
) -> Result<Json<CanaryView>, Problem> {
    end(
        &handle,
        &by,
        path,
        Phase::Aborted,
        "aborted by hand",
        "canary.abort",
    )
    .await
}

async fn end(
    handle: &Handle,
    by: &By,
    path: Named,
    phase: Phase,
    reason: &str,
    action: &str,
) -> Result<Json<CanaryView>, Problem> {
    let Path(brick) = path?;
    let mut canary = held(handle, &brick)?;
    if canary.phase != Phase::Running {
        let hint = format!("the canary of {brick} is over: {}", canary.reason);
        return Err(Problem::conflict("canary_over", hint));
    }
    let before = canary.share();
    let look = handle.looks().at(&canary);
    canary.end(phase, by.why.as_deref().unwrap_or(reason), look.as_ref());
    let entry = by
        .did(action, canary.name())
        .turning(before.into(), canary.share().into());
    canary.put(handle, entry).await?;
    Ok(Json(view(handle, canary)))
}

fn held(handle: &Handle, brick: &str) -> Result<Canary, Problem> {
    canary::of(&handle.state(), brick).ok_or_else(|| {
        let brick: String = brick.chars().take(63).collect();
        let hint =
            format!("there is no canary of \"{brick}\"; `brick canary start {brick} VERSION` begins one");
        Problem::not_found("canary_unknown", hint)
    })
}

fn view(handle: &Handle, canary: Canary) -> CanaryView {
    CanaryView {
        seen: handle.looks().at(&canary),
        share: canary.share(),
        canary,
    }
}
