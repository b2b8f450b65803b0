//! The store in memory: one byte cap, split between spans, log records and metrics; each evicts its own oldest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;

use crate::record::{Family, Log, MetricBatch, Resource, Sent, Span, TraceId};

use super::logs::Logs;
use super::series::Metrics;
use super::spans::Spans;
use super::{
    Appended, LogFacets, LogFilter, LogId, LogKey, SeriesData, SpanPlace, Store, TraceFacets, TraceFilter,
    TraceHead, TraceKey, TraceShape, Usage,
};

/// Largest single record, in bytes of its texts.
const RECORD_BYTES_MAX: usize = 64 * 1024;
/// How far ahead of our clock a record may be: one from a wrong clock would stay newest for ever.
const AHEAD_MAX: Duration = Duration::from_secs(3_600);
const AHEAD: &str = "the record lies more than an hour in the future";

/// Keeps everything in this process.
#[derive(Debug)]
pub struct Memory {
    spans: RwLock<Spans>,
    logs: RwLock<Logs>,
    metrics: RwLock<Metrics>,
    bytes_max: usize,
    refused: AtomicU64,
}

impl Memory {
    /// A store of at most `bytes_max` bytes of heap: half of them for spans, a quarter each for log records and metrics.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            spans: RwLock::new(Spans::new(bytes_max / 2)),
            logs: RwLock::new(Logs::new(bytes_max / 4, unix_micros())),
            metrics: RwLock::new(Metrics::new(bytes_max / 4)),
            bytes_max,
            refused: AtomicU64::new(0),
        }
    }

    fn count(&self, appended: Appended) -> Appended {
        self.refused.fetch_add(appended.refused, Ordering::Relaxed);
        appended
    }
}

/// The latest time that is taken, nanoseconds since 1970.
fn latest_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from((now + AHEAD_MAX).as_nanos()).unwrap_or(u64::MAX)
}

/// Microseconds since 1970.
fn unix_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

fn attribute_bytes(attributes: &[(String, crate::record::Value)]) -> usize {
    attributes
        .iter()
        .map(|(key, value)| key.len() + value.to_text().len() + 16)
        .sum()
}

impl Store for Memory {
    fn append_spans(&self, resource: &Arc<Resource>, spans: &[Span]) -> Appended {
        let mut appended = Appended::default();
        let latest_ns = latest_ns();
        for span in spans {
            if span.end_ns > latest_ns {
                appended.refuse(AHEAD);
                continue;
            }
            let events: usize = span
                .events
                .iter()
                .map(|e| e.name.len() + 16 + attribute_bytes(&e.attributes))
                .sum();
            if span.name.len() + span.status_message.len() + attribute_bytes(&span.attributes) + events
                > RECORD_BYTES_MAX
            {
                appended.refuse("a span is larger than 64 KiB");
                continue;
            }
            // The lock is taken for each span, so that a large batch does not hold up a query.
            self.spans.write().push(resource, span);
            appended.accept();
        }
        self.count(appended)
    }

    fn append_logs(
        &self,
        resource: &Arc<Resource>,
        logs: &[Log],
        kept: &mut dyn FnMut(LogId, &Log),
    ) -> Appended {
        let mut appended = Appended::default();
        let latest_ns = latest_ns();
        for log in logs {
            if log.time_ns > latest_ns {
                appended.refuse(AHEAD);
                continue;
            }
            if log.message.len() + attribute_bytes(&log.fields) > RECORD_BYTES_MAX {
                appended.refuse("a log record is larger than 64 KiB");
                continue;
            }
            let id = self.logs.write().push(resource, log);
            kept(id, log);
            appended.accept();
        }
        self.count(appended)
    }

    fn append_samples(&self, batch: &MetricBatch) -> Appended {
        let appended = self.metrics.write().append(batch, latest_ns() / 1_000_000, AHEAD);
        self.count(appended)
    }

    fn find_traces(&self, filter: &TraceFilter, limit: usize, after: Option<TraceKey>) -> Vec<TraceHead> {
        self.spans.read().find(filter, limit, after)
    }

    fn each_trace(&self, filter: &TraceFilter, each: &mut dyn FnMut(TraceShape)) {
        self.spans.read().each(filter, each);
    }

    fn trace_facets(&self, filter: &TraceFilter, limit: usize) -> TraceFacets {
        self.spans.read().facets(filter, limit)
    }

    fn places(&self, id: &TraceId) -> Vec<SpanPlace> {
        self.spans.read().places(id)
    }

    fn spans(&self, places: &[SpanPlace]) -> Vec<Sent<Span>> {
        self.spans.read().at(places)
    }

    fn find_logs(&self, filter: &LogFilter, limit: usize, after: Option<LogKey>) -> Vec<(LogKey, Sent<Log>)> {
        self.logs.read().find(filter, limit, after)
    }

    fn log_facets(&self, filter: &LogFilter, limit: usize) -> LogFacets {
        self.logs.read().facets(filter, limit)
    }

    fn log_context(&self, id: LogId, before: usize, after: usize) -> Option<Vec<(LogKey, Sent<Log>)>> {
        self.logs.read().context(id, before, after)
    }

    fn families(&self) -> Vec<(Family, u64)> {
        self.metrics.read().families()
    }

    fn series(&self, name: &str, labels: &[(String, String)], from_ms: u64, to_ms: u64) -> Vec<SeriesData> {
        self.metrics.read().select(name, labels, from_ms, to_ms)
    }

    fn usage(&self) -> Usage {
        let (spans, logs, metrics) = (self.spans.read(), self.logs.read(), self.metrics.read());
        Usage {
            spans: spans.len(),
            logs: logs.len(),
            series: metrics.len(),
            bytes: (spans.bytes() + logs.bytes() + metrics.bytes()) as u64,
            bytes_max: self.bytes_max as u64,
            evicted_spans: spans.evicted,
            evicted_logs: logs.evicted,
            evicted_points: metrics.evicted,
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
