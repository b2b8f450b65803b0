//! Faults on purpose, for tests: of an edge, and of a route.

use std::time::Duration;

use axum::extract::State;
use brick_bus::Faults;
use brick_http::{Json, Path, Problem};
use brick_resilience::fault::{LASTS, LASTS_MAX, Rules};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::limits::link;
use crate::audit::By;
use crate::service::Handle;
use crate::state::{Action, State as Known};

/// The faults of one edge or route.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FaultsView {
    /// `caller->callee`, or `route->name`.
    edge: String,
    /// The rules in the order in which they are tried.
    rules: Value,
}

/// All faults.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FaultsList {
    items: Vec<FaultsView>,
}

/// What to make go wrong.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultsBody {
    /// `{share?, header?:{name, value}, delay_ms?, abort?, reset?, bytes_per_second?, until?}` each; the first that fits
    /// a request applies.
    rules: Vec<Value>,
}

type Edge = Result<Path<(String, String)>, Problem>;
type Route = Result<Path<String>, Problem>;
type Body = Result<Json<FaultsBody>, Problem>;

pub(crate) async fn list(State(handle): State<Handle>) -> Json<FaultsList> {
    let state = handle.state();
    let all = state.settings_below("faults/");
    let all = all.map(|(name, value)| view(name, Some(&**value)));
    Json(FaultsList { items: all.collect() })
}

pub(crate) async fn show(State(handle): State<Handle>, path: Edge) -> Result<Json<FaultsView>, Problem> {
    let edge = edge(&handle.state(), path?)?;
    Ok(Json(shown(&handle.state(), &edge)))
}

pub(crate) async fn set(
    State(handle): State<Handle>,
    by: By,
    path: Edge,
    body: Body,
) -> Result<Json<FaultsView>, Problem> {
    let edge = edge(&handle.state(), path?)?;
    put(&handle, &by, &edge, body?).await
}

pub(crate) async fn clear(State(handle): State<Handle>, by: By, path: Edge) -> Result<StatusCode, Problem> {
    let Path((caller, callee)) = path?;
    remove(&handle, &by, format!("faults/{caller}->{callee}")).await
}

pub(crate) async fn show_route(
    State(handle): State<Handle>,
    path: Route,
) -> Result<Json<FaultsView>, Problem> {
    let edge = route(&handle.state(), path?)?;
    Ok(Json(shown(&handle.state(), &edge)))
}

pub(crate) async fn set_route(
    State(handle): State<Handle>,
    by: By,
    path: Route,
    body: Body,
) -> Result<Json<FaultsView>, Problem> {
    let edge = route(&handle.state(), path?)?;
    put(&handle, &by, &edge, body?).await
}

pub(crate) async fn clear_route(
    State(handle): State<Handle>,
    by: By,
    path: Route,
) -> Result<StatusCode, Problem> {
    let Path(name) = path?;
    remove(&handle, &by, format!("faults/route->{name}")).await
}

fn edge(state: &Known, Path((caller, callee)): Path<(String, String)>) -> Result<String, Problem> {
    link(state, &caller, &callee).map(|link| format!("{}->{}", link.caller, link.callee))
}

fn route(state: &Known, Path(name): Path<String>) -> Result<String, Problem> {
    let routes = state.manifest.as_ref().map(|model| &model.routes);
    if routes.is_some_and(|routes| routes.contains_key(&name)) {
        return Ok(format!("route->{name}"));
    }
    let name: String = name.chars().take(63).collect();
    let hint = format!("the manifest has no route \"{name}\"");
    Err(Problem::not_found("route_unknown", hint))
}

fn shown(state: &Known, edge: &str) -> FaultsView {
    let held = state.settings.get(&format!("faults/{edge}"));
    view(edge, held.map(|value| &**value))
}

fn view(edge: &str, value: Option<&Value>) -> FaultsView {
    let rules = value.and_then(|value| value.get("rules")).cloned();
    FaultsView {
        edge: edge.to_owned(),
        rules: rules.unwrap_or_else(|| Value::Array(Vec::new())),
    }
}

async fn put(
    handle: &Handle,
    by: &By,
    edge: &str,
    Json(body): Json<FaultsBody>,
) -> Result<Json<FaultsView>, Problem> {
    let faults =
        read(body, Timestamp::now()).map_err(|hint| Problem::unprocessable("faults_invalid", hint))?;
    let value = serde_json::to_value(&faults).map_err(|_| Problem::internal())?;
    // Without rules nothing goes wrong.
    let value = (!faults.rules.is_empty()).then_some(value);
    let name = format!("faults/{edge}");
    let before = handle.state().settings.get(&name).map(|held| Value::clone(held));
    let entry = by
        .did("faults.set", &*name)
        .turning(before.unwrap_or_default(), value.clone().unwrap_or_default());
    let state = handle.change(Action::Set(name, value), entry).await?;
    tracing::warn!(edge, rules = faults.rules.len(), "faults on purpose were set");
    Ok(Json(shown(&state, edge)))
}

async fn remove(handle: &Handle, by: &By, name: String) -> Result<StatusCode, Problem> {
    if let Some(before) = handle.state().settings.get(&name) {
        let entry = by
            .did("faults.clear", &*name)
            .turning(Value::clone(before), Value::Null);
        handle.change(Action::Set(name, None), entry).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Checks the rules. Each has an end.
fn read(body: FaultsBody, now: Timestamp) -> Result<Faults, String> {
    let value = serde_json::json!({ "rules": body.rules });
    let mut faults = Faults::deserialize(value).map_err(|error| error.to_string())?;
    Rules::compile(&faults).map_err(|error| error.to_string())?;
    let after = |lasts: Duration| now.saturating_add(SignedDuration::try_from(lasts).unwrap_or_default());
    let latest = after(LASTS_MAX).map_err(|error| error.to_string())?;
    let usual = after(LASTS).map_err(|error| error.to_string())?;
    for (at, rule) in faults.rules.iter_mut().enumerate() {
        let until = *rule.until.get_or_insert(usual);
        if until <= now || until > latest {
            return Err(format!(
                "rules.{at}: until: expected a time within the next 24 hours, found {until}"
            ));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_rule_ends_within_a_day() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let read = |rule: Value| {
            let faults = read(FaultsBody { rules: vec![rule] }, now)?;
            Ok::<_, String>(faults.rules[0].until.unwrap().to_string())
        };
        assert_eq!(read(json!({ "reset": true })).unwrap(), "2026-01-01T00:10:00Z");
        let set = read(json!({ "reset": true, "until": "2026-01-02T00:00:00Z" }));
        assert_eq!(set.unwrap(), "2026-01-02T00:00:00Z");
        for (rule, expect) in [
            (
                json!({ "reset": true, "until": "2026-01-02T00:00:01Z" }),
                "within the next 24 hours",
            ),
            (
                json!({ "reset": true, "until": "2025-01-02T00:00:01Z" }),
                "within the next 24 hours",
            ),
            (json!({ "abort": 99 }), "rules.0: abort"),
            (json!({ "kill": true }), "unknown field `kill`"),
        ] {
            let error = read(rule).unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
    }
}
