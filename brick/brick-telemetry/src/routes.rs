//! The endpoints that every process serves: `/info`, `/health`, `/health/live`, `/health/ready`, `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use crate::Telemetry;
use crate::health::{Report, Status};
use crate::info::Info;
use crate::metrics::{Format, OPENMETRICS, PROMETHEUS};

/// The endpoints as a router without state.
pub(crate) fn router(telemetry: Telemetry) -> Router {
    Router::new()
        .route("/info", get(info))
        .route("/health", get(whole))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(telemetry)
}

async fn info(State(telemetry): State<Telemetry>) -> Json<Info> {
    Json(telemetry.info())
}

/// A process that answers lives; its parts are readiness' business.
async fn live() -> Response {
    (
        [(CACHE_CONTROL, "no-store")],
        Json(serde_json::json!({ "status": "up" })),
    )
        .into_response()
}

async fn ready(State(telemetry): State<Telemetry>) -> Response {
    answer(&telemetry.health().readiness().await)
}

async fn whole(State(telemetry): State<Telemetry>) -> Response {
    answer(&telemetry.health().whole().await)
}

fn answer(report: &Report) -> Response {
    let status = if report.status == Status::Down {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (status, [(CACHE_CONTROL, "no-store")], Json(report)).into_response()
}

async fn metrics(State(telemetry): State<Telemetry>, headers: HeaderMap) -> Response {
    let (format, media) = negotiate(&headers);
    ([(CONTENT_TYPE, media)], telemetry.metrics().encode_as(format)).into_response()
}

/// OpenMetrics, unless the scraper asks for plain text and not for OpenMetrics.
fn negotiate(headers: &HeaderMap) -> (Format, &'static str) {
    let accepts = |media: &str| {
        let values = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok());
        values
            .flat_map(|v| v.split(','))
            .any(|v| v.trim().starts_with(media))
    };
    if accepts("text/plain") && !accepts("application/openmetrics-text") {
        (Format::Prometheus, PROMETHEUS)
    } else {
        (Format::OpenMetrics, OPENMETRICS)
    }
}
