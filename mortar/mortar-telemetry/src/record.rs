//! Our own records: what ingest hands to the store, whatever protocol it came by, and what the store hands to queries.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Trace id, W3C Trace Context.
pub type TraceId = [u8; 16];
/// Span id; zero means none.
pub type SpanId = u64;

/// Who sent a record: the resource of OpenTelemetry, as far as the system asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Resource {
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// `brick.slot`, else `service.instance.id`.
    pub instance: String,
    /// `service.instance.id`.
    pub incarnation: String,
    /// `brick.zone`.
    pub zone: String,
}

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Boolean.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Floating point.
    Double(f64),
    /// List or map, as JSON text.
    Json(String),
}

/// Value of an attribute where it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Text.
    Text(&'a str),
    /// Boolean.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Floating point.
    Double(f64),
    /// List or map, as JSON text.
    Json(&'a str),
}

/// Attributes in the order in which they came.
pub type Attributes = Vec<(String, Value)>;

/// Kind of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Inside one service.
    Internal = 0,
    /// Serves a request.
    Server = 1,
    /// Makes a request.
    Client = 2,
    /// Sends a message.
    Producer = 3,
    /// Handles a message.
    Consumer = 4,
}

/// Outcome of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Nobody said.
    Unset = 0,
    /// Said to be good.
    Ok = 1,
    /// Failed.
    Error = 2,
}

/// One span.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Trace.
    pub trace_id: TraceId,
    /// This span.
    pub span_id: SpanId,
    /// Parent; zero for a root.
    pub parent_id: SpanId,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// Status.
    pub status: Status,
    /// What the status says.
    pub status_message: String,
    /// Start, nanoseconds since 1970.
    pub start_ns: u64,
    /// End, nanoseconds since 1970; never before the start.
    pub end_ns: u64,
    /// Attributes.
    pub attributes: Attributes,
    /// Events.
    pub events: Vec<Event>,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Name.
    pub name: String,
    /// When, nanoseconds since 1970.
    pub time_ns: u64,
    /// Attributes.
    pub attributes: Attributes,
}

/// Level of a log record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Finest.
    Trace = 0,
    /// For developers.
    Debug = 1,
    /// Normal.
    Info = 2,
    /// Wants attention.
    Warn = 3,
    /// Failed.
    Error = 4,
}

/// One log record.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// When, nanoseconds since 1970.
    pub time_ns: u64,
    /// Level.
    pub level: Level,
    /// Message.
    pub message: String,
    /// Trace; all zero means none.
    pub trace_id: TraceId,
    /// Span; zero means none.
    pub span_id: SpanId,
    /// All other fields.
    pub fields: Attributes,
}

/// A span or log record together with who sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent<T> {
    /// Who.
    pub resource: Arc<Resource>,
    /// What.
    pub record: T,
}

/// What a metric family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, but for resets.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in cumulative buckets.
    Histogram,
    /// Quantiles made by the sender.
    Summary,
    /// Facts as labels.
    Info,
    /// Not said.
    Unknown,
}

/// What is said about a family of metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Name that queries use (`…_total` for a counter).
    pub name: String,
    /// Kind.
    pub kind: MetricKind,
    /// Unit; empty when not said.
    pub unit: String,
    /// Help; empty when not said.
    pub help: String,
}

/// One measured value of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the series (`…_total`, `…_bucket`).
    pub name: String,
    /// Labels; their order does not matter.
    pub labels: Vec<(String, String)>,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// The value; never NaN.
    pub value: f64,
    /// Whether it only grows, so that a smaller value is a reset.
    pub cumulative: bool,
    /// Whether `value` is to be added to the last one (delta temporality).
    pub delta: bool,
}

/// What one scrape or one export of metrics brings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricBatch {
    /// What is said about the families.
    pub families: Vec<Family>,
    /// The values.
    pub samples: Vec<Sample>,
    /// A cumulative series that is new with this batch is known to have been zero at this time (milliseconds since
    /// 1970), for its instance was seen without it then; so its first increase counts.
    pub zero_at_ms: Option<u64>,
}

impl Kind {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

impl Status {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

impl Level {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Reads what people and loggers write, in any case; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let known = [
            ("trace", Self::Trace),
            ("debug", Self::Debug),
            ("info", Self::Info),
            ("information", Self::Info),
            ("warn", Self::Warn),
            ("warning", Self::Warn),
            ("error", Self::Error),
            ("fatal", Self::Error),
            ("critical", Self::Error),
        ];
        known
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, level)| *level)
    }
}

impl MetricKind {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::Unknown => "unknown",
        }
    }
}

impl Value {
    /// As JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Double(value) => {
                serde_json::Number::from_f64(*value).map_or_else(|| value.to_string().into(), Into::into)
            }
            Self::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        }
    }

    /// As a person would write it; what filters compare with.
    pub fn to_text(&self) -> Cow<'_, str> {
        self.borrowed().to_text()
    }

    fn borrowed(&self) -> ValueRef<'_> {
        match self {
            Self::Text(text) => ValueRef::Text(text),
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Int(value) => ValueRef::Int(*value),
            Self::Double(value) => ValueRef::Double(*value),
            Self::Json(text) => ValueRef::Json(text),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Double(_) | Self::Json(_) => self.to_json().serialize(serializer),
        }
    }
}

impl<'a> ValueRef<'a> {
    /// As a person would write it; what filters compare with.
    pub fn to_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) | Self::Json(text) => text.into(),
            Self::Bool(value) => value.to_string().into(),
            Self::Int(value) => value.to_string().into(),
            Self::Double(value) => value.to_string().into(),
        }
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Text(text) => Self::Text(text.to_owned()),
            ValueRef::Bool(value) => Self::Bool(value),
            ValueRef::Int(value) => Self::Int(value),
            ValueRef::Double(value) => Self::Double(value),
            ValueRef::Json(text) => Self::Json(text.to_owned()),
        }
    }
}

/// A trace id as 32 hexadecimal digits.
pub fn trace_hex(id: &TraceId) -> String {
    let mut text = String::with_capacity(32);
    for byte in id {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A span id as 16 hexadecimal digits.
pub fn span_hex(id: SpanId) -> String {
    format!("{id:016x}")
}

/// Reads 32 hexadecimal digits; none for anything else, and for the invalid id of zeros.
pub fn parse_trace_id(text: &str) -> Option<TraceId> {
    if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let number = u128::from_str_radix(text, 16).ok()?;
    (number != 0).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text_and_foreign_text_is_refused() {
        let id = parse_trace_id("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
        assert_eq!(trace_hex(&id), "4bf92f3577b34da6a3ce929d0e0e4736");
        for bad in [
            "",
            "4bf9",
            "+bf92f3577b34da6a3ce929d0e0e4736",
            "00000000000000000000000000000000",
        ] {
            assert_eq!(parse_trace_id(bad), None, "{bad}");
        }
        assert_eq!(span_hex(0xb7), "00000000000000b7");
    }

    #[test]
    fn numbers_that_json_does_not_know_become_text() {
        assert_eq!(Value::Double(f64::NAN).to_json(), serde_json::json!("NaN"));
        assert_eq!(
            Value::Json("[1,2]".to_owned()).to_json(),
            serde_json::json!([1, 2])
        );
    }
}
