//! The store: keeps spans, log records and metric points, and finds them again.
//!
//! [`Store`] is the seam: ingest writes through it, queries read through it, and neither knows what is behind.
//! Behind it today is [`Memory`], bounded by one byte cap; a columnar store takes the same place.

pub mod memory;

mod codec;
mod facets;
mod logs;
mod ring;
mod series;
mod spans;

use std::sync::Arc;

use crate::record::{Family, Level, Log, MetricBatch, Resource, Sent, Span, TraceId};

pub use memory::Memory;

/// Keeps records and finds them again. Every method is quick: it neither blocks on I/O nor waits.
pub trait Store: Send + Sync + 'static {
    /// Keeps spans of one sender.
    fn append_spans(&self, resource: &Arc<Resource>, spans: &[Span]) -> Appended;
    /// Keeps log records of one sender; `kept` is told each that is kept, with the id it got.
    fn append_logs(
        &self,
        resource: &Arc<Resource>,
        logs: &[Log],
        kept: &mut dyn FnMut(LogId, &Log),
    ) -> Appended;
    /// Keeps metric values.
    fn append_samples(&self, batch: &MetricBatch) -> Appended;
    /// Traces that match, newest first, at most `limit`, only those behind `after`.
    fn find_traces(&self, filter: &TraceFilter, limit: usize, after: Option<TraceKey>) -> Vec<TraceHead>;
    /// End, duration and outcome of every trace that matches, in no order.
    fn each_trace(&self, filter: &TraceFilter, each: &mut dyn FnMut(TraceShape));
    /// How the traces that match divide, at most `limit` values of each facet.
    fn trace_facets(&self, filter: &TraceFilter, limit: usize) -> TraceFacets;
    /// Where the spans of a trace are, in order of start, each once; empty when the trace is unknown.
    fn places(&self, id: &TraceId) -> Vec<SpanPlace>;
    /// The spans at these places; those that were evicted meanwhile are left out.
    fn spans(&self, places: &[SpanPlace]) -> Vec<Sent<Span>>;
    /// All spans of a trace in order of start; empty when the trace is unknown.
    fn trace(&self, id: &TraceId) -> Vec<Sent<Span>> {
        self.spans(&self.places(id))
    }
    /// Log records that match, newest first, at most `limit`, only those behind `after`.
    fn find_logs(&self, filter: &LogFilter, limit: usize, after: Option<LogKey>) -> Vec<(LogKey, Sent<Log>)>;
    /// How the log records that match divide, at most `limit` values of each facet.
    fn log_facets(&self, filter: &LogFilter, limit: usize) -> LogFacets;
    /// A record and those of the same instance around it, in order of arrival; none when the record is not kept.
    fn log_context(&self, id: LogId, before: usize, after: usize) -> Option<Vec<(LogKey, Sent<Log>)>>;
    /// The metric families that are kept, with their number of series.
    fn families(&self) -> Vec<(Family, u64)>;
    /// Points between two times (milliseconds since 1970, both included) of the series of that exact name that carry
    /// all the labels.
    fn series(&self, name: &str, labels: &[(String, String)], from_ms: u64, to_ms: u64) -> Vec<SeriesData>;
    /// What is kept and what the bounds have cost so far.
    fn usage(&self) -> Usage;
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Records that are kept now.
    pub accepted: u64,
    /// Records that were refused.
    pub refused: u64,
    /// Why, where some were.
    pub reason: Option<&'static str>,
}

/// Position of a trace in the order of a search: end of its root (of its last span while the root has not arrived),
/// then its id.
pub type TraceKey = (u64, TraceId);

/// Id of a log record: ascends in the order of arrival, over restarts too. It begins with the microseconds since 1970
/// at the start of the store and counts on by one for each record, so it stays below 2^53.
pub type LogId = u64;

/// Position of a log record in the order of a search: its time, then the order of arrival.
pub type LogKey = (u64, LogId);

/// Whether traffic that a test suite made counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synthetic {
    /// Together with all other.
    #[default]
    With,
    /// Not.
    Without,
    /// It alone.
    Only,
}

/// Which traces.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TraceFilter {
    /// A span of this service took part.
    pub service: Option<String>,
    /// A span of this name took part (of that service, where both are asked for).
    pub operation: Option<String>,
    /// Any span has status error, or none has.
    pub error: Option<bool>,
    /// Shortest duration in nanoseconds.
    pub min_ns: u64,
    /// Longest duration in nanoseconds.
    pub max_ns: Option<u64>,
    /// Attributes that a span of the trace carries, each somewhere in it.
    pub attributes: Vec<(String, String)>,
    /// Ended at or after this time, nanoseconds since 1970.
    pub since_ns: u64,
    /// Ended before this time, nanoseconds since 1970.
    pub until_ns: Option<u64>,
    /// Whether traces of test suites count.
    pub synthetic: Synthetic,
}

/// What every trace has, whatever its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceShape {
    /// End of its root, of its last span while the root has not arrived.
    pub end_ns: u64,
    /// Duration of the root, or of all that has arrived.
    pub duration_ns: u64,
    /// Whether any span has status error.
    pub error: bool,
}

/// Where a span is; what it says is the store's own business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanPlace(u32, u32);

/// One value of a facet of traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceShare {
    /// The value.
    pub value: String,
    /// Traces that have it.
    pub count: u64,
    /// Traces in which a span that has it failed.
    pub errors: u64,
}

/// How traces divide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceFacets {
    /// By services that took part, most traces first.
    pub services: Vec<TraceShare>,
    /// By names of spans that serve (kinds server and consumer) and of roots; of the service asked for alone, where one
    /// is.
    pub operations: Vec<TraceShare>,
    /// Traces without a failed span.
    pub ok: u64,
    /// Traces with one.
    pub failed: u64,
}

/// How log records divide: values and their counts, most first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFacets {
    /// By brick.
    pub bricks: Vec<(String, u64)>,
    /// By slot.
    pub instances: Vec<(String, u64)>,
    /// By level.
    pub levels: Vec<(String, u64)>,
    /// By version.
    pub versions: Vec<(String, u64)>,
}

/// What a search tells about a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceHead {
    /// Position in the order of the search.
    pub key: TraceKey,
    /// Service of the root, or of the earliest span.
    pub service: String,
    /// Name of the root, or of the earliest span.
    pub operation: String,
    /// Start, nanoseconds since 1970.
    pub start_ns: u64,
    /// Duration of the root, or of all that has arrived.
    pub duration_ns: u64,
    /// Spans.
    pub spans: u64,
    /// Service, spans, spans with status error; most spans first.
    pub services: Vec<(String, u64, u64)>,
    /// Whether any span has status error.
    pub error: bool,
    /// The test suite that made it.
    pub synthetic: Option<String>,
}

/// Which log records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogFilter {
    /// Of this brick.
    pub brick: Option<String>,
    /// Of this slot (`order/1`) or incarnation.
    pub instance: Option<String>,
    /// Of this version.
    pub version: Option<String>,
    /// At least as severe as this.
    pub level: Option<Level>,
    /// The message, or the value of a field, holds this text; ASCII letters compare without case.
    pub text: Option<String>,
    /// Of this trace.
    pub trace: Option<TraceId>,
    /// At or after this time, nanoseconds since 1970.
    pub since_ns: u64,
    /// Before this time, nanoseconds since 1970.
    pub until_ns: Option<u64>,
}

/// One series with the points that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesData {
    /// Labels, sorted by name.
    pub labels: Vec<(String, String)>,
    /// Milliseconds since 1970 and value, in order of time.
    pub points: Vec<(u64, f64)>,
}

/// What is kept, and what the bounds have cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Spans that can be found.
    pub spans: u64,
    /// Log records.
    pub logs: u64,
    /// Metric series.
    pub series: u64,
    /// Heap bytes of all of them, indexes and unused capacity included.
    pub bytes: u64,
    /// The cap on `bytes`.
    pub bytes_max: u64,
    /// Spans evicted.
    pub evicted_spans: u64,
    /// Log records evicted.
    pub evicted_logs: u64,
    /// Metric points evicted.
    pub evicted_points: u64,
    /// Records refused.
    pub refused: u64,
}

impl Synthetic {
    /// Whether what is (or is not) synthetic counts.
    pub fn takes(self, synthetic: bool) -> bool {
        match self {
            Self::With => true,
            Self::Without => !synthetic,
            Self::Only => synthetic,
        }
    }
}

impl Appended {
    pub(crate) fn accept(&mut self) {
        self.accepted += 1;
    }

    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.refused += 1;
        self.reason = Some(reason);
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            reason: self.reason.or(other.reason),
        }
    }
}

impl LogFilter {
    /// Whether the record is one of those asked for.
    pub fn matches(&self, resource: &Resource, log: &Log) -> bool {
        self.matches_resource(resource)
            && self.matches_head(log.time_ns, log.level, &log.trace_id)
            && self.matches_text(&log.message, log.fields.iter().map(|(_, value)| value.to_text()))
    }

    pub(crate) fn matches_resource(&self, resource: &Resource) -> bool {
        self.brick.as_ref().is_none_or(|brick| *brick == resource.service)
            && self
                .instance
                .as_ref()
                .is_none_or(|instance| *instance == resource.instance || *instance == resource.incarnation)
            && self
                .version
                .as_ref()
                .is_none_or(|version| *version == resource.version)
    }

    pub(crate) fn matches_head(&self, time_ns: u64, level: Level, trace_id: &TraceId) -> bool {
        time_ns >= self.since_ns
            && self.until_ns.is_none_or(|until| time_ns < until)
            && self.level.is_none_or(|least| level >= least)
            && self.trace.as_ref().is_none_or(|trace| trace == trace_id)
    }

    pub(crate) fn matches_text<'a>(
        &self,
        message: &str,
        mut fields: impl Iterator<Item = std::borrow::Cow<'a, str>>,
    ) -> bool {
        let Some(text) = &self.text else { return true };
        holds(message, text) || fields.any(|value| holds(&value, text))
    }
}

/// Whether `text` holds `part`, ASCII letters compared without case.
fn holds(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let Some(first) = part.first() else { return true };
    let Some(last_start) = text.len().checked_sub(part.len()) else {
        return false;
    };
    memchr::memchr2_iter(
        first.to_ascii_lowercase(),
        first.to_ascii_uppercase(),
        &text[..=last_start],
    )
    .any(|at| text[at..at + part.len()].eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_without_regard_to_case() {
        for (text, part, expect) in [
            ("Order placed", "order", true),
            ("Order placed", "PLACED", true),
            ("Order placed", "placed!", false),
            ("", "x", false),
            ("x", "", true),
            ("größe", "GRöß", true),
        ] {
            assert_eq!(holds(text, part), expect, "{part:?} in {text:?}");
        }
    }
}
