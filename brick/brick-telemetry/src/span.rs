//! Finished spans, and the bounded sink that takes them to the exporter.
//!
//! Tracing spans arrive here through the layer; the data plane records directly, for it has no time for `tracing`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::context::{SpanContext, SpanId};

/// Most attributes of a span or of one of its events; what is beyond is counted in `cut`.
pub const ATTRIBUTES_MAX: usize = 64;
/// Longest attribute value, in bytes; the rest is cut off.
pub const VALUE_BYTES_MAX: usize = 4096;
/// Most events of a span; what is beyond is counted in `cut_events`.
pub const EVENTS_MAX: usize = 64;
/// Finished spans that wait for the exporter; more are dropped and counted.
pub const QUEUE_MAX: usize = 8192;
/// With as many waiting, the exporter does not wait any longer.
const HURRY_AT: usize = QUEUE_MAX / 4;

/// A finished span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanRecord {
    /// Trace, span and whether it is recorded.
    pub context: SpanContext,
    /// The span it was made in; none for the first of a trace.
    pub parent: Option<SpanId>,
    /// What was done, of low cardinality.
    pub name: Cow<'static, str>,
    /// Its part in a call.
    pub kind: Kind,
    /// Start, in nanoseconds of Unix time.
    pub start_unix_ns: u64,
    /// End, in nanoseconds of Unix time.
    pub end_unix_ns: u64,
    /// How it ended.
    pub status: Status,
    /// Attributes by OpenTelemetry's semantic conventions.
    pub attributes: Vec<(Cow<'static, str>, Value)>,
    /// What happened within.
    pub events: Vec<SpanEvent>,
    /// Attributes that were left out for their number.
    pub cut: u32,
    /// Events that were left out for their number.
    pub cut_events: u32,
}

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanEvent {
    /// When, in nanoseconds of Unix time.
    pub time_unix_ns: u64,
    /// What.
    pub name: Cow<'static, str>,
    /// Attributes.
    pub attributes: Vec<(Cow<'static, str>, Value)>,
}

/// The part of a span in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Inside the process.
    #[default]
    Internal,
    /// Answers a call.
    Server,
    /// Makes a call.
    Client,
    /// Sends a message.
    Producer,
    /// Takes a message.
    Consumer,
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Status {
    /// Nobody said.
    #[default]
    Unset,
    /// Said to be good.
    Ok,
    /// Failed, with what is to be told about it (may be empty).
    Error(Cow<'static, str>),
}

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, at most [`VALUE_BYTES_MAX`] when it came through `tracing`.
    Text(Cow<'static, str>),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
}

/// Takes finished spans without ever waiting; cloneable.
#[derive(Debug, Clone)]
pub struct SpanSink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Option<mpsc::Sender<Message>>,
    /// Wakes the exporter before its time; it sleeps between batches, so that a span wakes nobody.
    hurry: Arc<Notify>,
    kept: Option<Mutex<VecDeque<SpanRecord>>>,
    dropped: AtomicU64,
}

/// The exporter's end.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) messages: mpsc::Receiver<Message>,
    pub(crate) hurry: Arc<Notify>,
}

/// What waits for the exporter.
#[derive(Debug)]
pub(crate) enum Message {
    Span(SpanRecord),
    /// Answered when every span before it was sent (or given up).
    Flush(oneshot::Sender<()>),
}

impl SpanRecord {
    /// A span that starts now.
    pub fn start(context: SpanContext, parent: Option<SpanId>, name: impl Into<Cow<'static, str>>) -> Self {
        let now = unix_ns_now();
        Self {
            context,
            parent,
            name: name.into(),
            kind: Kind::Internal,
            start_unix_ns: now,
            end_unix_ns: now,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
            cut: 0,
            cut_events: 0,
        }
    }

    /// The attribute `key`.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }
}

impl Value {
    /// The value where it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

/// Now in nanoseconds of Unix time; 0 where the clock is before 1970.
pub fn unix_ns_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl SpanSink {
    /// A sink, and the end of its queue where spans are exported; `keep` keeps the last ones here too.
    pub(crate) fn new(export: bool, keep: bool) -> (Self, Queue) {
        let (sender, messages) = mpsc::channel(QUEUE_MAX);
        let hurry = Arc::<Notify>::default();
        let queue = Queue {
            messages,
            hurry: Arc::clone(&hurry),
        };
        let shared = Shared {
            queue: export.then_some(sender),
            hurry,
            kept: keep.then(Mutex::default),
            dropped: AtomicU64::new(0),
        };
        let sink = Self {
            shared: Arc::new(shared),
        };
        (sink, queue)
    }

    /// Takes a span. One whose trace is not recorded is passed over; one that finds the queue full is dropped and
    /// counted.
    pub fn record(&self, span: SpanRecord) {
        if !span.context.sampled {
            return;
        }
        if let Some(kept) = &self.shared.kept {
            let mut kept = kept.lock();
            if kept.len() >= QUEUE_MAX {
                kept.pop_front();
            }
            kept.push_back(span.clone());
        }
        let Some(queue) = &self.shared.queue else { return };
        if queue.try_send(Message::Span(span)).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        } else if queue.capacity() == QUEUE_MAX - HURRY_AT {
            self.shared.hurry.notify_one();
        }
    }

    /// Spans that found the queue full.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn kept(&self) -> Vec<SpanRecord> {
        let kept = self.shared.kept.as_ref();
        kept.map(|kept| kept.lock().iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Waits until all spans recorded so far have left; at once where nothing is exported.
    pub(crate) async fn flush(&self) {
        let Some(queue) = &self.shared.queue else { return };
        let (done, left) = oneshot::channel();
        if queue.send(Message::Flush(done)).await.is_ok() {
            self.shared.hurry.notify_one();
            let _ = left.await;
        }
    }
}

/// Ends a tracing span for the trace, though tasks may still hold it: what they do later is no part of it. Their own
/// spans still have it as parent, and their log lines still carry its id.
pub fn end(span: &tracing::Span) {
    crate::layer::end(span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (sink, _receiver) = SpanSink::new(true, false);
        for _ in 0..QUEUE_MAX + 3 {
            sink.record(SpanRecord::start(SpanContext::root(), None, "x"));
        }
        assert_eq!(sink.dropped(), 3);
    }

    #[test]
    fn a_trace_that_is_not_recorded_is_passed_over() {
        let (sink, _receiver) = SpanSink::new(true, true);
        let context = SpanContext {
            sampled: false,
            ..SpanContext::root()
        };
        sink.record(SpanRecord::start(context, None, "x"));
        assert!(sink.kept().is_empty());
    }
}
