//! Concurrent versions of bricks: shares, rules, and who would move.

use std::collections::BTreeMap;

use axum::extract::State;
use brick_bus::Pool;
use brick_core::Version;
use brick_http::{Json, Path, Problem};
use http::header::{ETAG, HeaderName, IF_MATCH};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use super::limits::action;
use crate::audit::By;
use crate::canary;
use crate::pools::{self, POOLS, Wanted};
use crate::service::Handle;
use crate::state::{State as Known, tag};

/// The versions of one brick.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PoolView {
    brick: String,
    /// Revision of what is published; 0 where operators say nothing.
    revision: u64,
    /// Every version that is known.
    versions: Vec<VersionView>,
    /// What operators want, as they said it.
    #[serde(flatten)]
    wanted: Wanted,
    /// Entity tag of what operators want, as the field `ETag` has it: sent as `If-Match`, a change is made only where
    /// nobody else made one meanwhile.
    tag: String,
}

/// One version.
#[derive(Debug, Serialize, JsonSchema)]
struct VersionView {
    version: Version,
    /// Whether it has what the others leave.
    base: bool,
    /// Share of the keys in percent; none where nothing is said: then requests go to any instance.
    share: Option<f64>,
    /// Instances that take requests.
    ready: usize,
    /// Instances that left the pool while they run on.
    quarantined: usize,
}

/// Every pool.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PoolList {
    items: Vec<PoolView>,
}

/// What a change would do.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PoolPreview {
    /// Keys of 10,000 that would change their version.
    moved: u32,
    /// The same by where from and where to: `v1->v2`.
    by: BTreeMap<String, u32>,
}

type Named = Result<Path<String>, Problem>;
type Body = Result<Json<Wanted>, Problem>;
type Shown = ([(HeaderName, String); 1], Json<PoolView>);

/// With its tag as a field, too.
fn tagged(view: PoolView) -> Shown {
    ([(ETAG, view.tag.clone())], Json(view))
}

pub(crate) async fn list(State(handle): State<Handle>) -> Json<PoolList> {
    let state = handle.state();
    let model = state.manifest.clone();
    let named = model.iter().flat_map(|model| model.running());
    let shown = named.filter_map(|(name, _)| view(&state, name.as_str()).ok());
    let told = |view: &PoolView| view.versions.len() > 1 || view.revision > 0;
    Json(PoolList {
        items: shown.filter(told).collect(),
    })
}

pub(crate) async fn show(State(handle): State<Handle>, path: Named) -> Result<Shown, Problem> {
    let Path(brick) = path?;
    view(&handle.state(), &brick).map(tagged)
}

pub(crate) async fn set(
    State(handle): State<Handle>,
    by: By,
    path: Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Shown, Problem> {
    let (Path(brick), Json(wanted)) = (path?, body?);
    let state = handle.state();
    check(&state, &brick, &wanted)?;
    canary::none_runs(&state, &brick)?;
    let name = format!("{POOLS}{brick}");
    let after = serde_json::to_value(&wanted).map_err(|_| Problem::internal())?;
    let before = state.settings.get(&name).map(|held| Value::clone(held));
    let entry = by
        .did("pools.set", &*name)
        .turning(before.unwrap_or_default(), after.clone());
    let state = handle.change(action(name, Some(after), &headers)?, entry).await?;
    view(&state, &brick).map(tagged)
}

pub(crate) async fn reset(
    State(handle): State<Handle>,
    by: By,
    path: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let Path(brick) = path?;
    let state = handle.state();
    canary::none_runs(&state, &brick)?;
    let name = format!("{POOLS}{brick}");
    let before = state.settings.get(&name).map(|held| Value::clone(held));
    if before.is_some() || headers.contains_key(IF_MATCH) {
        let entry = by
            .did("pools.reset", &*name)
            .turning(before.unwrap_or_default(), Value::Null);
        handle.change(action(name, None, &headers)?, entry).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn preview(
    State(handle): State<Handle>,
    path: Named,
    body: Body,
) -> Result<Json<PoolPreview>, Problem> {
    let (Path(brick), Json(wanted)) = (path?, body?);
    let state = handle.state();
    let after = check(&state, &brick, &wanted)?;
    let by = pools::moved(published(&state, &brick).as_ref(), &after);
    Ok(Json(PoolPreview {
        moved: by.values().sum(),
        by,
    }))
}

/// What is published of the brick's versions.
fn published(state: &Known, brick: &str) -> Option<Pool> {
    let resource = state.resources.get(&format!("{POOLS}{brick}"))?;
    Pool::deserialize(&resource.value).ok()
}

/// The pool as it would be published, of versions that are known.
pub(crate) fn check(state: &Known, brick: &str, wanted: &Wanted) -> Result<Pool, Problem> {
    let base = base(state, brick)?;
    let invalid = |reason| Problem::unprocessable("pool_invalid", reason);
    let pool = wanted.pool(&base).map_err(invalid)?;
    let known = versions(state, brick);
    let named = pool.shares.keys().chain(pool.rules.iter().map(|rule| &rule.to));
    let named = named.chain(pool.mirror.iter().map(|mirror| &mirror.version));
    for version in named {
        if !known.contains(version) {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let hint = format!(
                "{brick} has no version \"{version}\", it has {}",
                known.join(", ")
            );
            return Err(Problem::unprocessable("version_unknown", hint));
        }
    }
    Ok(pool)
}

/// Label of the base.
pub(crate) fn base(state: &Known, brick: &str) -> Result<Version, Problem> {
    let model = state.manifest.as_deref();
    model.and_then(|model| pools::base(model, brick)).ok_or_else(|| {
        let brick: String = brick.chars().take(63).collect();
        Problem::not_found(
            "brick_unknown",
            format!("no brick \"{brick}\" of the manifest runs here"),
        )
    })
}

/// The base first, then those of the manifest and those that are registered.
fn versions(state: &Known, brick: &str) -> Vec<Version> {
    let model = state.manifest.as_deref();
    let named = model.and_then(|model| model.bricks.iter().find(|(name, _)| name.as_str() == brick));
    let mut all: Vec<Version> = Vec::new();
    if let Some((_, brick)) = named {
        all.push(brick.version.base.clone());
        all.extend(brick.version.concurrent.keys().cloned());
    }
    for one in state.instances.values() {
        if one.instance.brick.as_str() == brick && !all.contains(&one.instance.version) {
            all.push(one.instance.version.clone());
        }
    }
    all
}

fn view(state: &Known, brick: &str) -> Result<PoolView, Problem> {
    let base = base(state, brick)?;
    let name = format!("{POOLS}{brick}");
    let pool = published(state, brick);
    let share = |version: &Version| {
        let pool = pool.as_ref()?;
        let others: u32 = pool.shares.values().sum();
        let own = match *version == base {
            true => brick_bus::pool::BUCKETS.saturating_sub(others),
            false => pool.shares.get(version).copied().unwrap_or(0),
        };
        Some(f64::from(own) / 100.0)
    };
    let count = |version: &Version, quarantined: bool| {
        let all = state.instances.values();
        let counted = all.filter(|one| {
            one.instance.brick.as_str() == brick
                && one.instance.version == *version
                && one.ready
                && one.quarantined.is_some() == quarantined
        });
        counted.count()
    };
    let versions = versions(state, brick).into_iter().map(|version| VersionView {
        base: version == base,
        share: share(&version),
        ready: count(&version, false),
        quarantined: count(&version, true),
        version,
    });
    let held = state.settings.get(&name);
    Ok(PoolView {
        brick: brick.to_owned(),
        revision: state.resources.get(&name).map_or(0, |resource| resource.revision),
        versions: versions.collect(),
        tag: tag(held.map(|held| &**held)),
        wanted: held
            .and_then(|held| Wanted::deserialize(&**held).ok())
            .unwrap_or_default(),
    })
}
