//! Canaries: begun, looked at, promoted and aborted by hand.

use axum::extract::State;
use brick_core::Version;
use brick_core::duration::Span;
use brick_http::{Json, Path, Problem};
use brick_model::Canary as Plan;
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
use crate::state::State as Held;

/// A canary to begin. What is left out is as `[canary.BRICK]` of the manifest says, else `[canary.default]`, else as
/// usual.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CanaryBody {
    /// The version to try.
    version: Version,
    /// Shares in percent, ascending; the last is 100. 1, 5, 25, 100 unless anybody says.
    #[serde(default)]
    steps: Vec<u32>,
    /// How long a step lasts at least, in milliseconds; 30 s unless anybody says.
    #[serde(default)]
    hold_ms: Option<u64>,
    /// When to abort.
    #[serde(default)]
    limits: LimitsBody,
}

/// When a canary is to be aborted, as far as somebody says.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsBody {
    /// Failed calls beyond the base's that are borne, as a share; 0.01 unless anybody says.
    #[serde(default)]
    error_rate: Option<f64>,
    /// How many times the base's p99 is borne; 2 unless anybody says.
    #[serde(default)]
    p99_times: Option<f64>,
    /// Calls of a step that are needed to say anything good; 100 unless anybody says.
    #[serde(default)]
    min_calls: Option<u32>,
}

/// How a version is tried where whoever begins says nothing.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PlanView {
    /// Shares in percent, one after the other.
    steps: Vec<u32>,
    /// How long a step lasts at least, in milliseconds.
    hold_ms: u64,
    /// When it is aborted.
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

pub(crate) async fn plan(State(handle): State<Handle>, path: Named) -> Result<Json<PlanView>, Problem> {
    let Path(brick) = path?;
    let state = handle.state();
    pools::base(&state, &brick)?;
    planned(&state, &brick, &Plan::default()).map(Json)
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
    let PlanView {
        steps,
        hold_ms,
        limits,
    } = planned(&state, &brick, &body.asked())?;
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
    let after = serde_json::json!({ "version": begun.version, "steps": begun.steps, "hold_ms": hold_ms,
        "limits": begun.limits });
    let entry = by.did("canary.start", begun.name()).turning(Value::Null, after);
    begun.put(&handle, entry).await?;
    Ok(Json(view(&handle, begun)))
}

impl CanaryBody {
    /// What is asked for, in the manifest's words.
    fn asked(&self) -> Plan {
        Plan {
            steps: Some(self.steps.clone()).filter(|steps| !steps.is_empty()),
            hold: self.hold_ms.map(Span::from_millis),
            error_rate: self.limits.error_rate,
            p99_times: self.limits.p99_times,
            min_calls: self.limits.min_calls,
        }
    }
}

/// What is asked for over what the manifest says; what makes no sense is refused by its field.
fn planned(state: &Held, brick: &str, asked: &Plan) -> Result<PlanView, Problem> {
    let wrong: Vec<String> = asked
        .problems()
        .into_iter()
        .map(|(key, why)| match key {
            "error_rate" | "p99_times" | "min_calls" => format!("limits.{key}: {why}"),
            "hold" => format!("hold_ms: {why}"),
            key => format!("{key}: {why}"),
        })
        .collect();
    if !wrong.is_empty() {
        return Err(Problem::unprocessable("canary_invalid", wrong.join("; ")));
    }
    let usual = state.manifest.as_ref().map(|model| model.canary_plan(brick));
    let plan = asked.over(usual.unwrap_or_default());
    Ok(PlanView {
        steps: plan.steps,
        hold_ms: u64::try_from(plan.hold.0.as_millis()).unwrap_or(u64::MAX),
        limits: Limits {
            error_rate: plan.error_rate,
            p99_times: plan.p99_times,
            min_calls: plan.min_calls.into(),
        },
    })
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
