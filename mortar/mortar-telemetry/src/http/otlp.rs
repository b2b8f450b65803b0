//! OTLP/HTTP with protobuf (OTLP specification 1.7): `POST /v1/traces`, `/v1/logs`, `/v1/metrics`.
//!
//! Bodies share one budget of memory: an export waits for room before it is read, so that many large ones at once are
//! taken one after the other.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use brick_http::Problem;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::sync::Semaphore;

use crate::ingest::status::{self, Status};
use crate::ingest::{Sink, logs, metrics, traces, wire};
use crate::store::Appended;

/// Largest export in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
const PROTOBUF: &str = "application/x-protobuf";
/// Bytes of all exports that are read and decoded at one time.
const BUDGET_BYTES: usize = 2 * BODY_BYTES_MAX;
const UNIT_BYTES: usize = 1024;
/// How long an export may wait for its turn, and how long its body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// From this size on, decoding leaves the threads that serve connections.
const LARGE_BYTES: usize = 128 * 1024;

#[derive(Clone)]
struct Ingest {
    sink: Sink,
    budget: Arc<Semaphore>,
}

/// What tells the three signals apart.
struct Signal<Export> {
    shape: &'static wire::Shape,
    ingest: fn(Export, &Sink) -> Appended,
    answer: fn(i64, String) -> Vec<u8>,
}

/// The routes; everybody on loopback may call them.
pub(crate) fn routes(sink: Sink) -> Router {
    Router::new()
        .route("/v1/traces", post(take_traces))
        .route("/v1/logs", post(take_logs))
        .route("/v1/metrics", post(take_metrics))
        .with_state(Ingest {
            sink,
            budget: Arc::new(Semaphore::new(BUDGET_BYTES / UNIT_BYTES)),
        })
}

async fn take_traces(State(ingest): State<Ingest>, request: Request) -> Response {
    let answer = |rejected_spans, error_message| {
        let partial = ExportTracePartialSuccess {
            rejected_spans,
            error_message,
        };
        ExportTraceServiceResponse {
            partial_success: told(partial, rejected_spans),
        }
        .encode_to_vec()
    };
    let signal = Signal::<ExportTraceServiceRequest> {
        shape: &wire::TRACES,
        ingest: traces::ingest,
        answer,
    };
    ingest.take(request, signal).await
}

async fn take_logs(State(ingest): State<Ingest>, request: Request) -> Response {
    let answer = |rejected_log_records, error_message| {
        let partial = ExportLogsPartialSuccess {
            rejected_log_records,
            error_message,
        };
        ExportLogsServiceResponse {
            partial_success: told(partial, rejected_log_records),
        }
        .encode_to_vec()
    };
    let signal = Signal::<ExportLogsServiceRequest> {
        shape: &wire::LOGS,
        ingest: logs::ingest,
        answer,
    };
    ingest.take(request, signal).await
}

async fn take_metrics(State(ingest): State<Ingest>, request: Request) -> Response {
    let answer = |rejected_data_points, error_message| {
        let partial = ExportMetricsPartialSuccess {
            rejected_data_points,
            error_message,
        };
        ExportMetricsServiceResponse {
            partial_success: told(partial, rejected_data_points),
        }
        .encode_to_vec()
    };
    let signal = Signal::<ExportMetricsServiceRequest> {
        shape: &wire::METRICS,
        ingest: metrics::ingest,
        answer,
    };
    ingest.take(request, signal).await
}

/// A server that took everything must leave `partial_success` out.
fn told<Partial>(partial: Partial, rejected: i64) -> Option<Partial> {
    (rejected > 0).then_some(partial)
}

impl Ingest {
    async fn take<Export>(self, request: Request, signal: Signal<Export>) -> Response
    where
        Export: Message + Default + 'static,
    {
        let (head, body) = request.into_parts();
        if let Err(problem) = check_head(&head.headers) {
            return problem.into_response();
        }
        let units =
            u32::try_from(expected_bytes(&head.headers).div_ceil(UNIT_BYTES).max(1)).unwrap_or(u32::MAX);
        let room = tokio::time::timeout(PATIENCE, Arc::clone(&self.budget).acquire_many_owned(units)).await;
        let Ok(Ok(_room)) = room else {
            return busy();
        };
        let body = match read(body).await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        let sink = self.sink.clone();
        let decode = move || decode(&body, &signal, &sink);
        if units as usize * UNIT_BYTES < LARGE_BYTES {
            return decode();
        }
        let decoded = tokio::task::spawn_blocking(decode).await;
        decoded.unwrap_or_else(|_| Problem::internal().into_response())
    }
}

fn decode<Export: Message + Default>(body: &[u8], signal: &Signal<Export>, sink: &Sink) -> Response {
    let refused = |message: String| {
        sink.refuse(1);
        failure(StatusCode::BAD_REQUEST, status::INVALID_ARGUMENT, message)
    };
    if let Err(error) = wire::check(body, signal.shape) {
        return refused(error.to_string());
    }
    match Export::decode(body) {
        Ok(export) => {
            let appended = (signal.ingest)(export, sink);
            let reason = appended.reason.unwrap_or_default().to_owned();
            let rejected = i64::try_from(appended.refused).unwrap_or(i64::MAX);
            protobuf(StatusCode::OK, (signal.answer)(rejected, reason))
        }
        Err(error) => refused(format!(
            "expected a protobuf message of the OTLP service: {error}"
        )),
    }
}

fn check_head(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: HeaderName| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let unsupported = |code, detail| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, detail);
    let content_type = text(CONTENT_TYPE);
    let media = content_type.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case(PROTOBUF) {
        return Err(unsupported(
            "protobuf_expected",
            format!(
                "expected Content-Type {PROTOBUF}, found \"{media}\"; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
            ),
        ));
    }
    let encoding = text(CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        return Err(unsupported(
            "encoding_not_taken",
            format!(
                "expected no Content-Encoding, found \"{encoding}\"; set OTEL_EXPORTER_OTLP_COMPRESSION=none"
            ),
        ));
    }
    Ok(())
}

/// What the body says that it has; without that, as much as it may have.
fn expected_bytes(headers: &HeaderMap) -> usize {
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse().ok());
    declared.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX)
}

async fn read(body: Body) -> Result<Bytes, Response> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let mut cause: &dyn std::error::Error = &error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            if cause.to_string().contains("length limit") {
                return Err(StatusCode::PAYLOAD_TOO_LARGE.into_response());
            }
            let message = format!("cannot read the body: {cause}");
            Err(failure(
                StatusCode::BAD_REQUEST,
                status::INVALID_ARGUMENT,
                message,
            ))
        }
        Err(_) => {
            let message = "the body did not arrive within 10 s".to_owned();
            Err(failure(StatusCode::REQUEST_TIMEOUT, status::UNAVAILABLE, message))
        }
    }
}

/// One of the answers after which a sender tries again (OTLP specification, "Retryable response codes").
fn busy() -> Response {
    let message = "too many exports at once; try again".to_owned();
    let mut answer = failure(StatusCode::SERVICE_UNAVAILABLE, status::UNAVAILABLE, message);
    answer
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn failure(http: StatusCode, code: i32, message: String) -> Response {
    protobuf(http, Status { code, message }.encode_to_vec())
}

fn protobuf(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, PROTOBUF)], body).into_response()
}
