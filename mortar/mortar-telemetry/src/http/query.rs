//! The query API, `/api/telemetry/v1/…`: for platform tokens with scope `admin`.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use brick_bus::{Endpoints, Watch};
use brick_core::Drain;
use brick_http::{Json, Path, Problem, Query};
use http::StatusCode;

use crate::api;
use crate::ingest::Sink;
use crate::query::{logs, metrics, traces};
use crate::record::parse_trace_id;
use crate::service::stats;

use super::{params, tail};

type Pairs = Query<Vec<(String, String)>>;

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) sink: Sink,
    pub(crate) watch: Watch,
    pub(crate) drain: Drain,
}

pub(crate) fn routes(app: App) -> Router {
    let routes = Router::new()
        .route("/traces", get(find_traces))
        .route("/traces/{trace_id}", get(trace))
        .route("/logs", get(find_logs))
        .route("/logs/tail", get(follow_logs))
        .route("/metrics", get(list_metrics))
        .route("/metrics/range", get(metric_range))
        .route("/graph", get(graph))
        .route("/stats", get(usage))
        .with_state(app);
    Router::new().nest("/api/telemetry/v1", routes)
}

async fn find_traces(
    State(app): State<App>,
    Query(pairs): Pairs,
) -> Result<Json<api::Page<api::TraceSummary>>, Problem> {
    let (filter, limit, after) = params::read::<params::Traces>(pairs)?.into_parts()?;
    Ok(Json(traces::search(app.sink.store(), &filter, limit, after)))
}

async fn trace(State(app): State<App>, Path(id): Path<String>) -> Result<Json<api::Trace>, Problem> {
    let Some(parsed) = parse_trace_id(&id) else {
        let detail = format!("expected a trace id of 32 hexadecimal digits, found \"{id}\"");
        return Err(Problem::bad_request("invalid_trace_id", detail));
    };
    traces::by_id(app.sink.store(), &parsed).map(Json).ok_or_else(|| {
        let detail =
            "no span and no log record of this trace is kept: it has not arrived yet, or was evicted";
        Problem::not_found("unknown_trace", detail)
    })
}

async fn find_logs(
    State(app): State<App>,
    Query(pairs): Pairs,
) -> Result<Json<api::Page<api::Log>>, Problem> {
    let (filter, limit, after) = params::read::<params::Logs>(pairs)?.into_parts()?;
    Ok(Json(logs::search(app.sink.store(), &filter, limit, after)))
}

async fn follow_logs(State(app): State<App>, Query(pairs): Pairs) -> Result<Response, Problem> {
    let (filter, ..) = params::read::<params::Logs>(pairs)?.into_parts()?;
    let tail = app.sink.tails().tail(filter).ok_or_else(|| {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_tails",
            "64 tails are open; close one",
        )
    })?;
    Ok(tail::answer(tail, app.drain))
}

async fn list_metrics(State(app): State<App>) -> Json<api::Metrics> {
    Json(metrics::list(app.sink.store()))
}

async fn metric_range(State(app): State<App>, Query(pairs): Pairs) -> Result<Json<api::Range>, Problem> {
    let query = params::read::<params::Range>(pairs)?.into_query()?;
    Ok(Json(metrics::range(app.sink.store(), &query)))
}

async fn graph(State(app): State<App>, Query(pairs): Pairs) -> Result<Json<api::Graph>, Problem> {
    let window_s = params::read::<params::Graph>(pairs)?.window_s();
    Ok(Json(app.sink.graph().query(window_s, &instances(&app.watch))))
}

async fn usage(State(app): State<App>) -> Json<api::Stats> {
    Json(stats(&app.sink))
}

/// Instances of each brick that the registry knows.
fn instances(watch: &Watch) -> BTreeMap<String, u64> {
    let state = watch.state();
    let of = |(name, resource): (&String, &std::sync::Arc<brick_bus::Resource>)| {
        let brick = name.strip_prefix("endpoints/")?;
        let endpoints: Endpoints = serde_json::from_value(resource.value.clone()).ok()?;
        Some((brick.to_owned(), endpoints.instances.len() as u64))
    };
    state.resources.iter().filter_map(of).collect()
}
