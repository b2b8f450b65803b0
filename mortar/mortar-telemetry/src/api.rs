//! The answers of the query API (`/api/telemetry/v1/…`), as `docs/reference/interfaces.md` describes them.
//!
//! Times are RFC 3339 in UTC where people read them and decimal text where nanoseconds count, for JSON numbers lose
//! them in browsers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A page of a list; `next` is the cursor of the page that follows, absent on the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Cursor for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One trace in a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceSummary {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// Service of the root span; of the earliest span while the root has not arrived.
    pub root_service: String,
    /// Name of that span.
    pub root_operation: String,
    /// Start of the trace, RFC 3339.
    pub start: String,
    /// Duration of the root span; from first start to last end while the root has not arrived.
    pub duration_ms: f64,
    /// Spans that have arrived.
    pub spans: u64,
    /// The services that took part, most spans first.
    pub services: Vec<ServiceShare>,
    /// Whether any span has status error.
    pub error: bool,
    /// The test suite that made it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<String>,
}

/// What one service adds to a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceShare {
    /// Service.
    pub name: String,
    /// Its spans in this trace.
    pub spans: u64,
    /// How many of them have status error.
    pub errors: u64,
}

/// One whole trace with the log records that carry its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// Its spans in order of start.
    pub spans: Vec<Span>,
    /// Its log records in order of time.
    pub logs: Vec<Log>,
}

/// One span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// Its parent; absent for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// `service.name`.
    pub service: String,
    /// `brick.slot`, else `service.instance.id`.
    pub instance: String,
    /// `service.version`.
    pub version: String,
    /// `brick.zone`.
    pub zone: String,
    /// Name of the span.
    pub operation: String,
    /// `server`, `client`, `internal`, `producer` or `consumer`.
    pub kind: String,
    /// Start, nanoseconds since 1970, as decimal text.
    pub start_unix_ns: String,
    /// Duration in nanoseconds.
    pub duration_ns: u64,
    /// `unset`, `ok` or `error`.
    pub status: String,
    /// What the error says, where it says something.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_message: String,
    /// Attributes.
    pub attributes: BTreeMap<String, Value>,
    /// Events in order of time.
    pub events: Vec<SpanEvent>,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpanEvent {
    /// Name.
    pub name: String,
    /// When, nanoseconds since 1970, as decimal text.
    pub time_unix_ns: String,
    /// Attributes.
    pub attributes: BTreeMap<String, Value>,
}

/// One value of a facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FacetValue {
    /// The value.
    pub value: String,
    /// Records that have it.
    pub count: u64,
}

/// One value of a facet of traces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceFacetValue {
    /// The value.
    pub value: String,
    /// Traces that have it.
    pub count: u64,
    /// Traces in which a span that has it failed.
    pub errors: u64,
}

/// How the traces that match divide: at most 50 values each, most traces first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceFacets {
    /// Services that took part.
    pub service: Vec<TraceFacetValue>,
    /// Names of spans that serve (kinds `server` and `consumer`) and of root spans; where a service is asked for, of
    /// its spans alone.
    pub operation: Vec<TraceFacetValue>,
    /// `ok` and `error`.
    pub status: Vec<FacetValue>,
}

/// When and how long: the traces that match, by the end of each and its duration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heatmap {
    /// Where the first column begins, Unix seconds.
    pub from_unix_s: u64,
    /// Width of a column in seconds.
    pub step_s: u64,
    /// Upper bounds of the rows in milliseconds, each excluded, ascending; one row more holds what is longer.
    pub bounds_ms: Vec<f64>,
    /// For each column for each row, the shortest durations first: traces, and how many of them have a failed span.
    pub cells: Vec<Vec<[u64; 2]>>,
}

/// How the log records that match divide: at most 50 values each, most records first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogFacets {
    /// By brick.
    pub brick: Vec<FacetValue>,
    /// By slot.
    pub instance: Vec<FacetValue>,
    /// By level.
    pub level: Vec<FacetValue>,
    /// By version.
    pub version: Vec<FacetValue>,
}

/// A log record among those of its instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogContext {
    /// In the order of arrival, the one asked for among them.
    pub items: Vec<Log>,
}

/// One log record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Log {
    /// Decimal digits; ascends in the order of arrival, over restarts too, and is below 2^53.
    pub id: String,
    /// When, RFC 3339 with microseconds.
    pub ts: String,
    /// `service.name`.
    pub brick: String,
    /// `service.version`.
    pub version: String,
    /// `brick.slot`, else `service.instance.id`.
    pub instance: String,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The message.
    pub msg: String,
    /// Trace that it belongs to, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Span that it belongs to, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// All other fields.
    pub fields: BTreeMap<String, Value>,
}

/// One request as who served it saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// When it came, RFC 3339 with microseconds.
    pub ts: String,
    /// `service.name`.
    pub brick: String,
    /// `service.version`.
    pub version: String,
    /// `brick.slot`, else `service.instance.id`.
    pub instance: String,
    /// Method.
    pub method: String,
    /// Route that it matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Status of the answer; 499 where nobody waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whether it failed: a status from 500 on, or a span that says so.
    pub error: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Who sent it, where it showed who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The test suite that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<String>,
    /// Trace, 32 hexadecimal digits.
    pub trace_id: String,
    /// Span, 16 hexadecimal digits.
    pub span_id: String,
}

/// One metric that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// The name that `metrics/range` takes.
    pub name: String,
    /// `counter`, `gauge`, `histogram`, `summary`, `info` or `unknown`.
    pub kind: String,
    /// Unit, where the metric says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What it measures, where the metric says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Series that are kept of it.
    pub series: u64,
}

/// All metrics that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// By name.
    pub items: Vec<Metric>,
}

/// Answer of `metrics/range`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// One per group.
    pub series: Vec<Series>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// What tells it from the others.
    pub labels: BTreeMap<String, String>,
    /// `[unix seconds, value]`; a step without data has no point.
    pub points: Vec<[f64; 2]>,
}

/// The service graph over a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Graph {
    /// The window in seconds.
    pub window_s: u64,
    /// Services that had traffic in the window.
    pub nodes: Vec<Node>,
    /// Who called whom, from the caller's spans.
    pub edges: Vec<Edge>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Name.
    pub brick: String,
    /// What it is.
    pub kind: NodeKind,
    /// Instances that the registry has.
    pub instances: u64,
    /// Requests served per second.
    pub rate: f64,
    /// Share of them that failed, 0 to 1.
    pub error_rate: f64,
    /// Median duration.
    pub p50_ms: f64,
    /// 99th percentile of the duration.
    pub p99_ms: f64,
}

/// What a node of the graph is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// The gateway.
    Edge,
    /// A brick of the system, or another service that sends spans.
    Brick,
    /// A process of the platform other than the gateway: `control`, `telemetry`.
    Platform,
    /// Something that is called but sends no spans and is not in the registry.
    External,
}

/// Calls from one service to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// Caller.
    pub from: String,
    /// Callee.
    pub to: String,
    /// Calls per second.
    pub rate: f64,
    /// Share of them that failed, 0 to 1.
    pub error_rate: f64,
    /// Median duration as the caller saw it.
    pub p50_ms: f64,
    /// 99th percentile of it.
    pub p99_ms: f64,
    /// The same calls as the callee saw them, where the callee tells who calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callee: Option<Callee>,
    /// Share of the calls that failed for the caller and not for the callee: they were lost on the way. Without what
    /// the caller's own breaker, bulkhead or rate limit did not let go, and without the last five seconds, of which
    /// one end may have told and the other not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<f64>,
}

/// Calls of one caller as the callee served them; each try of a call that was tried again counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Callee {
    /// Requests per second.
    pub rate: f64,
    /// Share of them that failed, 0 to 1, by the caller's measure: for a brick an answer with 4xx failed, for the edge
    /// it did not.
    pub error_rate: f64,
    /// Median duration as the callee saw it.
    pub p50_ms: f64,
    /// 99th percentile of it.
    pub p99_ms: f64,
}

/// What is kept, and what the bounds cost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// Spans kept.
    pub spans: u64,
    /// Log records kept.
    pub logs: u64,
    /// Metric series kept.
    pub series: u64,
    /// Heap bytes of all that is kept, indexes included.
    pub bytes: u64,
    /// The cap on them.
    pub bytes_max: u64,
    /// Spans evicted to stay under the cap.
    pub evicted_spans: u64,
    /// Log records evicted to stay under the cap.
    pub evicted_logs: u64,
    /// Metric points evicted by age or to stay under the cap.
    pub evicted_points: u64,
    /// Records that slow log tails and the bounded service graph did not take.
    pub dropped: u64,
    /// Records and series refused: malformed, too large, or over the limit of series.
    pub refused: u64,
    /// Log records that had been sent before.
    pub duplicates: u64,
}

/// Event `dropped` of a log tail: the reader was too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// Records left out since the last event.
    pub dropped: u64,
}
