//! The limits of one edge, and what an operator wants of them otherwise.

use axum::extract::State;
use brick_bus::Limits;
use brick_http::{Json, Path, Problem};
use brick_model::{Link, Model};
use brick_resilience::Policy;
use http::header::{ETAG, HeaderName, IF_MATCH};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use crate::audit::By;
use crate::derive;
use crate::service::Handle;
use crate::state::{Action, State as Known, tag};

/// The limits of one edge.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LimitsView {
    /// `caller->callee`.
    edge: String,
    /// Revision of what is in force.
    revision: u64,
    /// What the manifest says, as the bus has it.
    manifest: Value,
    /// What an operator wants otherwise: a JSON merge patch (RFC 7396).
    #[serde(rename = "override")]
    patch: Option<Value>,
    /// What is in force, every default spelled out.
    effective: Value,
    /// Entity tag of the override, as the field `ETag` has it: sent as `If-Match`, a change is made only where nobody
    /// else made one meanwhile.
    tag: String,
}

type Shown = ([(HeaderName, String); 1], Json<LimitsView>);

/// With its tag as a field, too.
fn tagged(view: LimitsView) -> Shown {
    ([(ETAG, view.tag.clone())], Json(view))
}

/// The change of a setting, on the condition that the request names.
pub(super) fn action(name: String, value: Option<Value>, headers: &HeaderMap) -> Result<Action, Problem> {
    let Some(expected) = headers.get(IF_MATCH) else {
        return Ok(Action::Set(name, value));
    };
    match expected.to_str() {
        Ok("*") => Ok(Action::Set(name, value)),
        Ok(expected) => Ok(Action::SetWhere(name, value, expected.to_owned())),
        Err(_) => Err(Problem::bad_request(
            "invalid_header",
            "If-Match: expected the tag that a GET answered",
        )),
    }
}

pub(crate) async fn show(
    State(handle): State<Handle>,
    path: Result<Path<(String, String)>, Problem>,
) -> Result<Shown, Problem> {
    let Path((caller, callee)) = path?;
    let state = handle.state();
    view(&state, &link(&state, &caller, &callee)?).map(tagged)
}

pub(crate) async fn set(
    State(handle): State<Handle>,
    by: By,
    path: Result<Path<(String, String)>, Problem>,
    headers: HeaderMap,
    body: Result<Json<Value>, Problem>,
) -> Result<Shown, Problem> {
    let Path((caller, callee)) = path?;
    let Json(patch) = body?;
    let state = handle.state();
    let link = link(&state, &caller, &callee)?;
    let model = state.manifest.as_deref().ok_or_else(Problem::internal)?;
    check(&derive::limits(model, &link, Some(&patch)), &patch).map_err(invalid)?;
    let name = derive::limits_name(&link);
    let before = state.settings.get(&name).map(|held| Value::clone(held));
    let entry = by
        .did("limits.set", &*name)
        .turning(before.unwrap_or_default(), patch.clone());
    let state = handle.change(action(name, Some(patch), &headers)?, entry).await?;
    view(&state, &link).map(tagged)
}

pub(crate) async fn take_back(
    State(handle): State<Handle>,
    by: By,
    path: Result<Path<(String, String)>, Problem>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let Path((caller, callee)) = path?;
    let name = format!("limits/{caller}->{callee}");
    // What an edge had that is no more is taken back, too.
    if !headers.contains_key(IF_MATCH) && !handle.state().settings.contains_key(&name) {
        link(&handle.state(), &caller, &callee)?;
        return Ok(StatusCode::NO_CONTENT);
    }
    let before = handle.state().settings.get(&name).map(|held| Value::clone(held));
    let entry = by
        .did("limits.reset", &*name)
        .turning(before.unwrap_or_default(), Value::Null);
    handle.change(action(name, None, &headers)?, entry).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The link of the manifest, or why there is none.
pub(super) fn link(state: &Known, caller: &str, callee: &str) -> Result<Link, Problem> {
    let links = state.manifest.as_deref().map(Model::links).unwrap_or_default();
    let found = links
        .into_iter()
        .find(|link| link.caller.as_str() == caller && link.callee.as_str() == callee);
    found.ok_or_else(|| {
        let short = |name: &str| name.chars().take(63).collect::<String>();
        let hint = format!(
            "no calls go from \"{}\" to \"{}\": expected a brick and one that it needs, or edge and one that a route leads to",
            short(caller),
            short(callee)
        );
        Problem::not_found("edge_unknown", hint)
    })
}

fn view(state: &Known, link: &Link) -> Result<LimitsView, Problem> {
    let model = state.manifest.as_deref().ok_or_else(Problem::internal)?;
    let name = derive::limits_name(link);
    let patch = state.settings.get(&name).map(|patch| Value::clone(patch));
    let effective = derive::limits(model, link, patch.as_ref());
    let filled = Limits::deserialize(&effective).map(|limits| serde_json::to_value(limits.filled()));
    Ok(LimitsView {
        edge: format!("{}->{}", link.caller, link.callee),
        revision: state.resources.get(&name).map_or(0, |resource| resource.revision),
        manifest: derive::limits(model, link, None),
        tag: tag(patch.as_ref()),
        patch,
        effective: filled.ok().and_then(Result::ok).unwrap_or(effective),
    })
}

fn invalid(reason: String) -> Problem {
    Problem::unprocessable("limits_invalid", reason)
}

/// Limits that no caller could follow are refused here, where somebody is told.
fn check(effective: &Value, patch: &Value) -> Result<(), String> {
    if !patch.is_object() {
        return Err("expected a JSON merge patch such as {\"breaker\":{\"forced\":\"open\"}}".to_owned());
    }
    let limits = Limits::deserialize(effective).map_err(|error| error.to_string())?;
    Policy::compile(&limits).map_err(|error| error.to_string())?;
    // With the defaults filled in every known field has a value, but for those that stand in the patch.
    let known = serde_json::to_value(limits).map_err(|error| error.to_string())?;
    match unknown(patch, &known) {
        Some(path) => Err(format!("{path}: there is no such limit")),
        None => Ok(()),
    }
}

/// A field of the patch that was not understood.
fn unknown(patch: &Value, known: &Value) -> Option<String> {
    let patch = patch.as_object()?;
    patch
        .iter()
        .filter(|(_, value)| !value.is_null())
        .find_map(|(key, value)| {
            let Some(known) = known.get(key) else {
                return Some(key.clone());
            };
            unknown(value, known).map(|path| format!("{key}.{path}"))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_could_follow_is_refused_by_its_field() {
        let check = |patch: Value| {
            let mut effective = json!({ "timeout_ms": 1_000 });
            brick_bus::limits::merge(&mut effective, &patch);
            check(&effective, &patch)
        };
        assert_eq!(
            check(json!({ "breaker": { "forced": "open" }, "retry": false })),
            Ok(())
        );
        assert_eq!(check(json!({ "breaker": null })), Ok(()));
        assert_eq!(
            check(json!({ "breaker": { "mood": 1 } })).unwrap_err(),
            "breaker.mood: there is no such limit"
        );
        assert_eq!(
            check(json!({ "timout_ms": 1 })).unwrap_err(),
            "timout_ms: there is no such limit"
        );
        assert!(
            check(json!({ "timeout_ms": 0 }))
                .unwrap_err()
                .starts_with("timeout_ms: expected")
        );
        assert!(
            check(json!({ "timeout_ms": null }))
                .unwrap_err()
                .contains("timeout_ms")
        );
        assert!(check(json!(7)).is_err());
    }
}
