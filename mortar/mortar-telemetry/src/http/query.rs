//! The query API, `/api/telemetry/v1/…`: for platform tokens with scope `admin` or `telemetry:read`.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use brick_bus::Watch;
use brick_core::Drain;
use brick_http::{Json, Path, Problem, Query};
use futures_util::stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::api;
use crate::ingest::Sink;
use crate::query::{heatmap, logs, metrics, trace, traces};
use crate::record::parse_trace_id;
use crate::service::stats;
use crate::store::Synthetic;
use crate::tail::TAILS_MAX;

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
        .route("/traces/facets", get(trace_facets))
        .route("/traces/heatmap", get(trace_heatmap))
        .route("/traces/{trace_id}", get(one_trace))
        .route("/logs", get(find_logs))
        .route("/logs/tail", get(follow_logs))
        .route("/requests/tail", get(follow_requests))
        .route("/logs/facets", get(log_facets))
        .route("/logs/{id}/context", get(log_context))
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

async fn trace_facets(
    State(app): State<App>,
    Query(pairs): Pairs,
) -> Result<Json<api::TraceFacets>, Problem> {
    let (filter, ..) = params::read::<params::Traces>(pairs)?.into_parts()?;
    Ok(Json(traces::facets(app.sink.store(), &filter)))
}

async fn trace_heatmap(State(app): State<App>, Query(pairs): Pairs) -> Result<Json<api::Heatmap>, Problem> {
    let (filter, columns) = params::Heatmap::read(pairs)?;
    Ok(Json(heatmap::heatmap(app.sink.store(), &filter, columns)))
}

async fn one_trace(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let Some(parsed) = parse_trace_id(&id) else {
        let detail = format!("expected a trace id of 32 hexadecimal digits, found \"{id}\"");
        return Err(Problem::bad_request("invalid_trace_id", detail));
    };
    let mut telling = trace::tell(app.sink.store(), &parsed).ok_or_else(|| {
        let detail =
            "no span and no log record of this trace is kept: it has not arrived yet, or was evicted";
        Problem::not_found("unknown_trace", detail)
    })?;
    let body = if telling.is_short() {
        Body::from(telling.next(app.sink.store()).unwrap_or_default())
    } else {
        Body::from_stream(stream::unfold(
            (telling, app.sink),
            |(mut telling, sink)| async move {
                let piece = telling.next(sink.store())?;
                Some((Ok::<_, Infallible>(piece), (telling, sink)))
            },
        ))
    };
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

async fn find_logs(
    State(app): State<App>,
    Query(pairs): Pairs,
) -> Result<Json<api::Page<api::Log>>, Problem> {
    let (filter, limit, after) = params::read::<params::Logs>(pairs)?.into_parts()?;
    Ok(Json(logs::search(app.sink.store(), &filter, limit, after)))
}

async fn log_facets(State(app): State<App>, Query(pairs): Pairs) -> Result<Json<api::LogFacets>, Problem> {
    let (filter, ..) = params::read::<params::Logs>(pairs)?.into_parts()?;
    Ok(Json(logs::facets(app.sink.store(), &filter)))
}

async fn log_context(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
) -> Result<Json<api::LogContext>, Problem> {
    let (before, after) = params::read::<params::LogContext>(pairs)?.lines();
    let Ok(id) = id.parse() else {
        let detail = format!("expected the id of a log record, decimal digits, found \"{id}\"");
        return Err(Problem::bad_request("invalid_log_id", detail));
    };
    let context = logs::context(app.sink.store(), id, before, after);
    context.map(Json).ok_or_else(|| {
        let detail = "the log record is not kept: it was evicted, or telemetry was started anew";
        Problem::not_found("unknown_log", detail)
    })
}

async fn follow_logs(State(app): State<App>, Query(pairs): Pairs) -> Result<Response, Problem> {
    let (filter, ..) = params::read::<params::Logs>(pairs)?.into_parts()?;
    let tail = app.sink.tails().tail(filter);
    Ok(tail::answer(tail.ok_or_else(too_many_tails)?, app.drain))
}

async fn follow_requests(State(app): State<App>, Query(pairs): Pairs) -> Result<Response, Problem> {
    let filter = params::read::<params::Requests>(pairs)?.into_filter();
    let tail = app.sink.tails().requests(filter);
    Ok(tail::answer(tail.ok_or_else(too_many_tails)?, app.drain))
}

fn too_many_tails() -> Problem {
    let hint = format!("{TAILS_MAX} tails are open; close one");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tails", hint)
}

async fn list_metrics(State(app): State<App>) -> Json<api::Metrics> {
    Json(metrics::list(app.sink.store()))
}

async fn metric_range(State(app): State<App>, Query(pairs): Pairs) -> Result<Json<api::Range>, Problem> {
    let query = params::read::<params::Range>(pairs)?.into_query()?;
    Ok(Json(metrics::range(app.sink.store(), &query)))
}

async fn graph(State(app): State<App>, Query(pairs): Pairs) -> Result<Json<api::Graph>, Problem> {
    let params = params::read::<params::Graph>(pairs)?;
    let synthetic = params.synthetic.unwrap_or(Synthetic::Without);
    let graph = app.sink.graph();
    Ok(Json(graph.query(
        params.window_s(),
        synthetic,
        &instances(&app.watch),
    )))
}

async fn usage(State(app): State<App>) -> Json<api::Stats> {
    Json(stats(&app.sink))
}

/// Instances of each brick that the registry knows.
fn instances(watch: &Watch) -> BTreeMap<String, u64> {
    let state = watch.state();
    let of = |(name, resource): (&String, &std::sync::Arc<brick_bus::Resource>)| {
        let brick = name.strip_prefix("endpoints/")?;
        let instances = resource.value.get("instances")?.as_array()?;
        Some((brick.to_owned(), instances.len() as u64))
    };
    state.resources.iter().filter_map(of).collect()
}
