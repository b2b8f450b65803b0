//! What processes report of their edges, and all of it together.

use std::collections::BTreeMap;

use axum::extract::State;
use brick_bus::report::EDGES_MAX;
use brick_core::Incarnation;
use brick_http::{Json, Problem};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reports::EdgeFigures;
use crate::service::Handle;

/// Longest name of an edge, in bytes.
const NAME_BYTES_MAX: usize = 160;

/// All edges of one process.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ReportBody {
    /// The process.
    incarnation: Incarnation,
    /// Its edges.
    edges: Vec<EdgeFigures>,
}

/// All edges.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EdgesView {
    /// By name.
    items: Vec<EdgeView>,
}

/// One edge, of all callers together.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EdgeView {
    /// Who calls.
    caller: String,
    /// Who is called.
    callee: String,
    /// Whether an operator wants the limits otherwise than the manifest.
    overridden: bool,
    #[serde(flatten)]
    figures: EdgeFigures,
    /// The callers.
    instances: Vec<InstanceView>,
}

/// One caller's sight of an edge.
#[derive(Debug, Serialize, JsonSchema)]
struct InstanceView {
    /// Its slot, `order/1`.
    instance: String,
    /// Its start.
    incarnation: Incarnation,
    /// When it said so, RFC 3339.
    at: String,
    #[serde(flatten)]
    figures: EdgeFigures,
}

pub(crate) async fn take(
    State(handle): State<Handle>,
    headers: HeaderMap,
    body: Result<Json<ReportBody>, Problem>,
) -> Result<StatusCode, Problem> {
    let claims = handle.verifier().platform_bearer(&headers, &["bus"])?;
    let Json(ReportBody { incarnation, edges }) = body?;
    let own = claims.incarnation.as_deref() == Some(&incarnation.to_string());
    let (true, Some(brick)) = (own, claims.brick.clone()) else {
        let hint = "a process reports for itself alone: the incarnation is not the token's";
        return Err(Problem::forbidden("foreign_incarnation", hint));
    };
    if edges.len() > EDGES_MAX {
        let hint = format!("expected at most {EDGES_MAX} edges in one report");
        return Err(Problem::unprocessable("too_many_edges", hint));
    }
    let caller = if brick == "gateway" {
        "edge"
    } else {
        brick.as_str()
    };
    let foreign = edges.iter().find(|figures| {
        let from = figures.edge.split_once("->").map(|(from, _)| from);
        // The host proxy speaks for the bricks whose calls it makes.
        let own = match caller {
            "proxy" => from.is_some_and(|from| from != "edge"),
            _ => from == Some(caller),
        };
        !own || figures.edge.len() > NAME_BYTES_MAX
    });
    if let Some(foreign) = foreign {
        let name: String = foreign.edge.chars().take(60).collect();
        let hint = format!("expected edges such as \"{caller}->callee\", found \"{name}\"");
        return Err(Problem::unprocessable("foreign_edge", hint));
    }
    handle.reports().take(incarnation, brick, edges);
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn edges(State(handle): State<Handle>) -> Json<EdgesView> {
    let state = handle.state();
    let mut edges: BTreeMap<String, EdgeView> = BTreeMap::new();
    let platform = handle.options().platform.iter().map(|(name, ..)| name.as_str());
    let platform: Vec<&str> = platform.collect();
    for (incarnation, held) in handle.reports().all() {
        let registered = state.instances.get(&incarnation);
        // What left the registry left for good; the platform's own processes are in none.
        let instance = match registered {
            Some(registered) => registered.instance.slot_name(),
            None if held.brick == "gateway" || platform.contains(&held.brick.as_str()) => {
                format!("{}/1", held.brick)
            }
            None => continue,
        };
        for figures in held.edges {
            let Some((caller, callee)) = figures.edge.split_once("->") else {
                continue;
            };
            let seen = InstanceView {
                instance: instance.clone(),
                incarnation,
                at: held.at.to_string(),
                figures: figures.clone(),
            };
            match edges.get_mut(&figures.edge) {
                Some(edge) => {
                    edge.figures.add(&figures);
                    edge.instances.push(seen);
                }
                None => {
                    let edge = EdgeView {
                        caller: caller.to_owned(),
                        callee: callee.to_owned(),
                        overridden: state.settings.contains_key(&format!("limits/{}", figures.edge)),
                        instances: vec![seen],
                        figures: figures.clone(),
                    };
                    edges.insert(figures.edge, edge);
                }
            }
        }
    }
    let mut items: Vec<EdgeView> = edges.into_values().collect();
    for edge in &mut items {
        edge.instances.sort_by(|a, b| a.instance.cmp(&b.instance));
    }
    Json(EdgesView { items })
}
