//! Configuration of a brick: what counts and why, changes in two phases, what was changed, and the way back.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use brick_http::{Caller, Json, Path, Problem, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::audit::By;
use crate::bus::view::SECRETS;
use crate::config::change::{self, Report, What, Wish};
use crate::config::cipher::CipherError;
use crate::config::history::{self, Difference, Told};
use crate::config::layers::{self, Flat};
use crate::config::repository::layer::SHARED;
use crate::config::resource_name;
use crate::service::Handle;

/// Configuration of a brick.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConfigView {
    /// The brick.
    brick: String,
    /// Revision of the values.
    revision: u64,
    /// The values, nested; secret ones are `•••`.
    values: Value,
    /// Where each comes from, by dotted key: `manifest`, `repository FILE@REVISION`, `live`.
    origins: BTreeMap<String, String>,
    /// Keys whose values are hidden.
    secrets: BTreeSet<String>,
    /// Why an encrypted value, or what the repository says, does not count: what it was before stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Whether secrets are asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ConfigQuery {
    /// Show secret values, too: scope `config:secrets`, or the agent.
    #[serde(default)]
    secrets: bool,
}

/// Values to change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    /// The values, nested or by dotted key; of a `PATCH` null takes one back.
    values: Map<String, Value>,
    /// Why, for the history.
    why: Option<String>,
}

/// Where to go back to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackBody {
    /// Id or revision of a change: the values become what it left.
    to: Value,
    /// Why, for the history.
    why: Option<String>,
}

/// What was changed, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryView {
    /// The changes; the last 50 are kept.
    items: Vec<Told>,
}

/// What to compare.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct DiffQuery {
    /// Id or revision of a change, `repository` (it and the manifest) or `manifest`; `manifest` unless said.
    from: Option<String>,
    /// Id or revision of a change, or `now`; `now` unless said.
    to: Option<String>,
}

/// What differs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DiffView {
    /// The brick.
    brick: String,
    /// Every key that differs.
    items: Vec<Difference>,
}

/// A value to encrypt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlainBody {
    /// The key that it is for.
    key: String,
    /// The value.
    value: Value,
}

/// An encrypted value.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CipherView {
    /// The brick and the key that it is bound to.
    brick: String,
    key: String,
    /// `{cipher}…`: to be written into the manifest, or set.
    value: String,
}

/// Encrypts a value for one key of one brick; nothing is stored.
pub(crate) async fn encrypt(
    State(handle): State<Handle>,
    path: Name,
    body: Result<Json<PlainBody>, Problem>,
) -> Result<Json<CipherView>, Problem> {
    let (Path(brick), Json(body)) = (path?, body?);
    let state = handle.state();
    // Not a brick's, but bound the same: files for all applications, and the secret of the webhook.
    if brick != SHARED && brick != brick_model::CONFIG_REPOSITORY {
        change::known(&state, &brick)?;
    }
    let refused = |why: CipherError| Problem::unprocessable("cipher_invalid", why.to_string());
    let cipher = state.cipher.as_ref().ok_or(CipherError::NoKey).map_err(refused)?;
    let value = cipher.seal(&brick, &body.key, &body.value).map_err(refused)?;
    Ok(Json(CipherView {
        brick,
        key: body.key,
        value,
    }))
}

type Name = Result<Path<String>, Problem>;

pub(crate) async fn show(
    State(handle): State<Handle>,
    caller: Caller,
    path: Name,
    query: Result<Query<ConfigQuery>, Problem>,
) -> Result<Json<ConfigView>, Problem> {
    let (Path(brick), Query(query)) = (path?, query?);
    let state = handle.state();
    change::known(&state, &brick)?;
    let effective = layers::effective(&state, &brick);
    let values = match query.secrets {
        true => {
            let may = |scope: &str| caller.brick().is_some_and(|claims| claims.has_scope(scope));
            if !may(SECRETS) && !may("agent") {
                let hint = "secret values are shown to tokens with scope config:secrets alone";
                return Err(Problem::forbidden("scope_missing", hint));
            }
            layers::nested(&effective.opened_or_held(&state, &brick))
        }
        false => effective.masked(),
    };
    let resource = state.resources.get(&resource_name(&brick));
    Ok(Json(ConfigView {
        revision: resource.map_or(0, |resource| resource.revision),
        problem: effective
            .sealed(&state, &brick, effective.flat.keys())
            .map(|sealed| sealed.to_string())
            .or_else(|| handle.repository().problem_of(&brick)),
        brick,
        values: Value::Object(values),
        origins: effective.origins,
        secrets: effective.secrets,
    }))
}

pub(crate) async fn merge(
    State(handle): State<Handle>,
    by: By,
    path: Name,
    body: Result<Json<ChangeBody>, Problem>,
) -> Result<Json<Report>, Problem> {
    let (Path(brick), Json(body)) = (path?, body?);
    let values = layers::flat(&body.values);
    no_flags(values.iter().filter(|(_, value)| !value.is_null()))?;
    let changes = values.into_iter();
    let changes = changes.map(|(key, value)| (key, Some(value).filter(|value| !value.is_null())));
    let what = What::Merge(changes.collect());
    run(&handle, by, brick, body.why, what).await
}

pub(crate) async fn replace(
    State(handle): State<Handle>,
    by: By,
    path: Name,
    body: Result<Json<ChangeBody>, Problem>,
) -> Result<Json<Report>, Problem> {
    let (Path(brick), Json(body)) = (path?, body?);
    let mut values: Flat = layers::flat(&body.values);
    values.retain(|_, value| !value.is_null());
    no_flags(values.iter())?;
    run(&handle, by, brick, body.why, What::Replace(values)).await
}

pub(crate) async fn rollback(
    State(handle): State<Handle>,
    by: By,
    path: Name,
    body: Result<Json<RollbackBody>, Problem>,
) -> Result<Json<Report>, Problem> {
    let (Path(brick), Json(body)) = (path?, body?);
    let to = match body.to {
        Value::String(to) => to,
        to => to.to_string(),
    };
    run(&handle, by, brick, body.why, What::Rollback(to)).await
}

/// Flags are changed for all bricks that see them at once, and not here.
fn no_flags<'v>(mut values: impl Iterator<Item = (&'v String, &'v Value)>) -> Result<(), Problem> {
    match values.find(|(key, _)| layers::is_flag(key)) {
        Some((key, _)) => {
            let wrong = layers::Wrong::Flag(key.clone());
            Err(Problem::unprocessable("config_invalid", wrong.to_string()))
        }
        None => Ok(()),
    }
}

/// A change goes on to its end, whether or not whoever asked for it waits.
async fn run(
    handle: &Handle,
    by: By,
    brick: String,
    why: Option<String>,
    what: What,
) -> Result<Json<Report>, Problem> {
    let why = why.or(by.why).map(|why| why.chars().take(500).collect());
    let by = By { why, ..by };
    let wish = Wish { brick, by, what };
    let handle = handle.clone();
    let made = brick_http::spawn(async move { change::run(&handle, wish).await });
    let report = made.await.map_err(|_| Problem::internal())??;
    Ok(Json(report))
}

pub(crate) async fn history(State(handle): State<Handle>, path: Name) -> Result<Json<HistoryView>, Problem> {
    let Path(brick) = path?;
    let state = handle.state();
    change::known(&state, &brick)?;
    let all = history::of(&state, &brick).into_iter().rev();
    Ok(Json(HistoryView {
        items: all.map(|entry| entry.told).collect(),
    }))
}

pub(crate) async fn diff(
    State(handle): State<Handle>,
    path: Name,
    query: Result<Query<DiffQuery>, Problem>,
) -> Result<Json<DiffView>, Problem> {
    let (Path(brick), Query(query)) = (path?, query?);
    let state = handle.state();
    change::known(&state, &brick)?;
    let effective = layers::effective(&state, &brick);
    let all = history::of(&state, &brick);
    let side = |wanted: Option<&str>, otherwise: &str| {
        let wanted = wanted.unwrap_or(otherwise);
        match wanted {
            "now" => Ok(effective.flat.clone()),
            "repository" => Ok(layers::with(&state, &brick, &Flat::new()).flat),
            "manifest" => {
                let model = state.manifest.as_ref();
                Ok(model.map_or_else(Flat::new, |model| layers::flat(&model.config_of(&brick))))
            }
            _ => {
                let found = history::find(&all, wanted).and_then(|entry| entry.values.clone());
                let short: String = wanted.chars().take(40).collect();
                let hint = format!(
                    "expected now, repository, manifest, or an applied change of the history, found \"{short}\""
                );
                found.ok_or_else(|| Problem::not_found("change_unknown", hint))
            }
        }
    };
    let (before, after) = (
        side(query.from.as_deref(), "manifest")?,
        side(query.to.as_deref(), "now")?,
    );
    Ok(Json(DiffView {
        items: history::difference(&before, &after, &effective.secrets),
        brick,
    }))
}
