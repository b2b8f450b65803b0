//! The OpenAPI document of the query API, checked in as `api/telemetry.openapi.json`.

use brick_http::openapi::{Document, Operation};

use crate::api;

use super::params;

/// The document.
pub fn document() -> Document {
    let document = Document::new("telemetry", env!("CARGO_PKG_VERSION")).description(
        "Traces, logs, metrics and the service graph of the system, as far as they are kept. OTLP/HTTP (protobuf) is \
         taken on its own port: POST /v1/traces, /v1/logs, /v1/metrics.",
    );
    metrics(logs(traces(document)))
        .operation(
            get("/graph", "who called whom in the window, from spans")
                .query::<params::Graph>()
                .answer::<api::Graph>(200, "the graph")
                .problem(400, "a parameter is wrong"),
        )
        .operation(
            get("/stats", "what is kept, and what the bounds cost").answer::<api::Stats>(200, "the figures"),
        )
}

fn get(rest: &str, summary: &str) -> Operation {
    Operation::get(&format!("/api/telemetry/v1{rest}"))
        .summary(summary)
        .access("operators:telemetry:read")
}

fn traces(document: Document) -> Document {
    document
        .operation(
            get("/traces", "traces that match, newest first")
                .query::<params::Traces>()
                .answer::<api::Page<api::TraceSummary>>(200, "a page of traces")
                .problem(400, "a parameter is wrong"),
        )
        .operation(
            get("/traces/facets", "how the traces that match divide")
                .query::<params::Traces>()
                .answer::<api::TraceFacets>(200, "values with their counts, at most 50 each")
                .problem(400, "a parameter is wrong"),
        )
        .operation(
            get("/traces/heatmap", "the traces that match by end and duration")
                .query::<params::Heatmap>()
                .answer::<api::Heatmap>(200, "the map")
                .problem(400, "a parameter is wrong"),
        )
        .operation(
            get(
                "/traces/{trace_id}",
                "one trace with the log records that carry its id",
            )
            .answer::<api::Trace>(200, "the trace")
            .problem(400, "no trace id")
            .problem(404, "nothing of this trace is kept"),
        )
}

fn logs(document: Document) -> Document {
    document
        .operation(
            get("/logs", "log records that match, newest first")
                .query::<params::Logs>()
                .answer::<api::Page<api::Log>>(200, "a page of log records")
                .problem(400, "a parameter is wrong"),
        )
        .operation(
            get("/logs/tail", "log records as they arrive: server-sent events `log` (a record), `logs` (a list of records) and `dropped`")
                .query::<params::Logs>()
                .empty(200, "text/event-stream")
                .problem(400, "a parameter is wrong")
                .problem(429, "too many tails are open"),
        )
        .operation(
            get("/requests/tail", "requests as bricks served them: server-sent events `request` (one, as `Request`), `requests` (a list) and `dropped`")
                .query::<params::Requests>()
                .empty(200, "text/event-stream")
                .problem(400, "a parameter is wrong")
                .problem(429, "too many tails are open"),
        )
        .operation(
            get("/logs/facets", "how the log records that match divide")
                .query::<params::Logs>()
                .answer::<api::LogFacets>(200, "values with their counts, at most 50 each")
                .problem(400, "a parameter is wrong"),
        )
        .operation(
            get("/logs/{id}/context", "a log record among those of its instance")
                .query::<params::LogContext>()
                .answer::<api::LogContext>(200, "the records in the order of arrival")
                .problem(400, "a parameter is wrong")
                .problem(404, "the record is not kept"),
        )
}

fn metrics(document: Document) -> Document {
    document
        .operation(get("/metrics", "all metrics that are kept").answer::<api::Metrics>(200, "the metrics"))
        .operation(
            get(
                "/metrics/range",
                "a metric over time: raw, as rate, as increase within each step, or a percentile of a histogram",
            )
            .query::<params::Range>()
            .answer::<api::Range>(200, "the series")
            .problem(400, "a parameter is wrong"),
        )
}
