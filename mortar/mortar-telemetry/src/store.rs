//! The store: keeps spans, log records and metric points, and finds them again.
//!
//! [`Store`] is the seam: ingest writes through it, queries read through it, and neither knows what is behind.
//! Behind it today is [`Memory`], bounded by one byte cap; a columnar store takes the same place.

pub mod memory;

mod codec;
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
    /// Keeps log records of one sender.
    fn append_logs(&self, resource: &Arc<Resource>, logs: &[Log]) -> Appended;
    /// Keeps metric values.
    fn append_samples(&self, batch: &MetricBatch) -> Appended;
    /// Traces that match, newest first, at most `limit`, only those behind `after`.
    fn find_traces(&self, filter: &TraceFilter, limit: usize, after: Option<TraceKey>) -> Vec<TraceHead>;
    /// All spans of a trace in order of start; empty when the trace is unknown.
    fn trace(&self, id: &TraceId) -> Vec<Sent<Span>>;
    /// Log records that match, newest first, at most `limit`, only those behind `after`.
    fn find_logs(&self, filter: &LogFilter, limit: usize, after: Option<LogKey>) -> Vec<(LogKey, Sent<Log>)>;
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

/// Position of a log record in the order of a search: its time, then the order of arrival.
pub type LogKey = (u64, u64);

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
}

/// Which log records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogFilter {
    /// Of this brick.
    pub brick: Option<String>,
    /// Of this slot (`order/1`) or incarnation.
    pub instance: Option<String>,
    /// At least as severe as this.
    pub level: Option<Level>,
    /// The message, or the value of a field, holds this text; ASCII letters compare without case.
    pub text: Option<String>,
    /// Of this trace.
    pub trace: Option<TraceId>,
    /// At or after this time, nanoseconds since 1970.
    pub since_ns: u64,
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
    }

    pub(crate) fn matches_head(&self, time_ns: u64, level: Level, trace_id: &TraceId) -> bool {
        time_ns >= self.since_ns
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
