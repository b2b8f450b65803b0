//! The system: its manifest, and what of it the map shows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use brick_http::{Json, Problem};
use brick_model::{Brick, Elastic, Model};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::audit::By;
use crate::service::Handle;
use crate::state::Action;

/// Changed tables that the audit trail names.
const CHANGES_MAX: usize = 100;
/// How long a manifest waits for a configuration repository that it names first: less than the agent waits.
const REPOSITORY_WAIT: Duration = Duration::from_millis(1_000);

/// What a manifest led to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InForce {
    /// Revision that it is part of.
    revision: u64,
}

/// The system as the map draws it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SystemView {
    /// Its name.
    name: String,
    /// Identity of the bus's history.
    epoch: String,
    /// Revision of the newest change.
    revision: u64,
    /// What runs.
    bricks: Vec<BrickView>,
    /// The edge's routes in the order in which they are tried.
    routes: Vec<RouteView>,
    /// Services outside the system.
    externals: Vec<ExternalView>,
}

/// One brick.
#[derive(Debug, Serialize, JsonSchema)]
struct BrickView {
    name: String,
    /// Label of the base.
    version: String,
    /// Instances of the base that the manifest wants, at least where their number follows the requests.
    replicas: u32,
    /// The bounds between which their number follows the requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    elastic: Option<Elastic>,
    /// Versions of the same contract that may run beside the base.
    versions: Vec<VersionView>,
    /// Whether it may be left out.
    optional: bool,
    /// Bricks that it calls.
    needs: Vec<String>,
}

/// One concurrent version.
#[derive(Debug, Serialize, JsonSchema)]
struct VersionView {
    /// Its label.
    version: String,
    /// Instances that the manifest wants.
    replicas: u32,
}

/// One route.
#[derive(Debug, Serialize, JsonSchema)]
struct RouteView {
    name: String,
    path: String,
    to: String,
    /// `public` or `jwt`.
    auth: &'static str,
}

/// One service outside.
#[derive(Debug, Serialize, JsonSchema)]
struct ExternalView {
    name: String,
    url: String,
}

pub(crate) async fn manifest(
    State(handle): State<Handle>,
    by: By,
    headers: HeaderMap,
    body: Result<Json<Model>, Problem>,
) -> Result<Json<InForce>, Problem> {
    handle.verifier().platform_bearer(&headers, &["agent"])?;
    let Json(model) = body?;
    let held = handle.state();
    let repository = model.repository.clone();
    let fresh = repository != held.manifest.as_ref().and_then(|held| held.repository.clone());
    let changed = difference(held.manifest.as_deref(), &model);
    let action = Action::Manifest(Arc::new(model));
    // The agent sends the manifest whenever it meets control anew; what changes nothing is no change.
    let state = if changed.is_empty() {
        handle.wish(action).await?
    } else {
        let entry = by.did("manifest.put", "manifest");
        handle
            .change(action, entry.turning(Value::Null, json!({ "changed": changed })))
            .await?
    };
    if fresh && repository.is_some() {
        // Bricks that start next have what it says from the beginning, where it can be had at once.
        handle.repository().look(REPOSITORY_WAIT).await;
    } else {
        handle.repository().ask();
    }
    Ok(Json(InForce {
        revision: state.revision,
    }))
}

/// The tables of the manifest that differ, by name; what is in them may be secret.
fn difference(old: Option<&Model>, new: &Model) -> Vec<String> {
    let value = |model: Option<&Model>| serde_json::to_value(model).unwrap_or_default();
    let (old, new) = (value(old), value(Some(new)));
    let keys = |value: &Value| {
        let keys = value.as_object().into_iter().flat_map(|all| all.keys().cloned());
        keys.collect::<BTreeSet<String>>()
    };
    let mut changed = Vec::new();
    for table in keys(&old).union(&keys(&new)) {
        let (before, after) = (&old[table], &new[table]);
        let names: BTreeSet<String> = keys(before).union(&keys(after)).cloned().collect();
        if names.is_empty() && before != after {
            changed.push(table.clone());
        }
        let differs = |name: &&String| before.get(name.as_str()) != after.get(name.as_str());
        changed.extend(names.iter().filter(differs).map(|name| format!("{table}.{name}")));
    }
    changed.truncate(CHANGES_MAX);
    changed
}

pub(crate) async fn show(State(handle): State<Handle>) -> Json<SystemView> {
    let state = handle.state();
    let mut view = SystemView {
        name: handle.options().system.clone(),
        epoch: state.epoch.clone(),
        revision: state.revision,
        bricks: Vec::new(),
        routes: Vec::new(),
        externals: Vec::new(),
    };
    let Some(model) = &state.manifest else {
        return Json(view);
    };
    for (name, brick) in &model.bricks {
        let name = name.to_string();
        if let Some(url) = brick.external.clone() {
            view.externals.push(ExternalView { name, url });
            continue;
        }
        view.bricks.push(BrickView {
            name,
            version: brick.version.base.to_string(),
            replicas: brick.replicas.min(),
            elastic: brick.replicas.elastic().copied(),
            versions: versions(brick),
            optional: brick.optional,
            needs: brick.needs.iter().map(ToString::to_string).collect(),
        });
    }
    for route in model.routes() {
        view.routes.push(RouteView {
            name: route.name,
            path: route.path.as_str().to_owned(),
            to: route.to.to_string(),
            auth: match route.auth {
                brick_model::Auth::Public => "public",
                brick_model::Auth::Jwt => "jwt",
                brick_model::Auth::ApiKey => "api-key",
            },
        });
    }
    Json(view)
}

fn versions(brick: &Brick) -> Vec<VersionView> {
    let all = brick.version.concurrent.iter();
    all.map(|(label, own)| VersionView {
        version: label.to_string(),
        replicas: own.replicas,
    })
    .collect()
}
