//! Quarantine: an instance leaves its pool at once and runs on, reachable by its own name, to be looked into.

use std::sync::Arc;

use axum::extract::State;
use brick_core::Incarnation;
use brick_http::{Json, Path, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::registry::{Wait, balancers_told};
use crate::audit::By;
use crate::service::Handle;
use crate::state::{Action, Registered, State as Known};

/// Longest reason.
const REASON_BYTES_MAX: usize = 500;
/// How long balancers may take to let go.
const LET_GO_MS: u64 = 1_000;

/// Why an instance leaves its pool.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuarantineBody {
    /// For whoever finds it.
    #[serde(default)]
    reason: String,
}

/// An instance that left its pool, or came back.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QuarantineView {
    /// Slot, `order/2`.
    instance: String,
    incarnation: Incarnation,
    /// Why it is out of its pool; none where it is not.
    quarantined: Option<String>,
    /// Its own name, by which callers still reach it: `http://order-2.order.brick` through the host proxy,
    /// `client("order-2.order")` of the SDK.
    own_name: String,
    /// Whether every connected balancer was told.
    told: bool,
}

type Named = Result<Path<String>, Problem>;

pub(crate) async fn set(
    State(handle): State<Handle>,
    by: By,
    path: Named,
    body: Result<Json<QuarantineBody>, Problem>,
) -> Result<Json<QuarantineView>, Problem> {
    let (Path(name), Json(QuarantineBody { reason })) = (path?, body?);
    if reason.len() > REASON_BYTES_MAX {
        let hint = format!(
            "expected a reason of at most {REASON_BYTES_MAX} bytes, found {}",
            reason.len()
        );
        return Err(Problem::unprocessable("invalid_reason", hint));
    }
    let reason = match reason.trim() {
        "" => "none was given".to_owned(),
        reason => reason.to_owned(),
    };
    turn(&handle, &by, &name, Some(reason)).await
}

pub(crate) async fn release(
    State(handle): State<Handle>,
    by: By,
    path: Named,
) -> Result<Json<QuarantineView>, Problem> {
    let Path(name) = path?;
    turn(&handle, &by, &name, None).await
}

async fn turn(
    handle: &Handle,
    by: &By,
    name: &str,
    why: Option<String>,
) -> Result<Json<QuarantineView>, Problem> {
    let one = find(&handle.state(), name)?;
    let slot = one.instance.slot_name();
    let incarnation = one.instance.incarnation;
    let action = match why {
        Some(_) => "quarantine.set",
        None => "quarantine.release",
    };
    let value = |why: &Option<String>| why.as_ref().map_or(Value::Null, |why| json!({ "reason": why }));
    let entry = by
        .did(action, &*slot)
        .turning(value(&one.quarantined), value(&why))
        .because(why.as_deref());
    let state = handle
        .change(Action::Quarantine(incarnation, why.clone()), entry)
        .await?;
    let wait = Wait {
        wait_ms: Some(LET_GO_MS),
    };
    let told = balancers_told(handle, &state, &one.instance.brick, &wait).await;
    tracing::warn!(slot, %incarnation, reason = why, "quarantine changed");
    Ok(Json(QuarantineView {
        own_name: format!("{}.{}", one.instance.own_name(), one.instance.brick),
        instance: slot,
        incarnation,
        quarantined: why,
        told,
    }))
}

/// By incarnation, or by the slot that it is the newest start in.
fn find(state: &Known, name: &str) -> Result<Arc<Registered>, Problem> {
    let by_incarnation = || state.instances.get(&name.parse::<Incarnation>().ok()?).cloned();
    let by_slot = || {
        let all = state.instances.values();
        all.filter(|one| one.instance.slot_name() == name)
            .max_by_key(|one| one.instance.incarnation)
            .cloned()
    };
    by_incarnation().or_else(by_slot).ok_or_else(|| {
        let name: String = name.chars().take(100).collect();
        let hint = format!("no instance {name} is registered; `brick ps` shows what there is");
        Problem::not_found("instance_unknown", hint)
    })
}
