//! What the three OTLP signals share: resources, attributes, ids, all cut to bounds.

use std::fmt::Write as _;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1 as otlp;

use crate::record::{Attributes, Resource, SpanId, TraceId, Value};

/// Attributes of one record; what comes beyond is cut.
pub(super) const ATTRIBUTES_MAX: usize = 128;
/// Bytes of one text; what comes beyond is cut.
pub(super) const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a name or key; what comes beyond is cut.
pub(super) const NAME_BYTES_MAX: usize = 512;

pub(super) fn resource(from: Option<otlp::Resource>) -> Arc<Resource> {
    let mut made = Resource::default();
    let mut slot = String::new();
    for attribute in from.map(|r| r.attributes).unwrap_or_default() {
        let target = match attribute.key.as_str() {
            "service.name" => &mut made.service,
            "service.version" => &mut made.version,
            "service.instance.id" => &mut made.incarnation,
            "brick.slot" => &mut slot,
            "brick.zone" => &mut made.zone,
            _ => continue,
        };
        if let Some(Value::Text(text)) = attribute.value.and_then(value) {
            *target = name(text);
        }
    }
    if made.service.is_empty() {
        // What the specification asks for where a sender has no name.
        "unknown_service".clone_into(&mut made.service);
    }
    made.instance = if slot.is_empty() {
        made.incarnation.clone()
    } else {
        slot
    };
    Arc::new(made)
}

pub(super) fn attributes(from: Vec<KeyValue>) -> Attributes {
    from.into_iter()
        .take(ATTRIBUTES_MAX)
        .filter_map(|attribute| Some((name(attribute.key), value(attribute.value?)?)))
        .collect()
}

pub(super) fn value(from: AnyValue) -> Option<Value> {
    Some(match from.value? {
        any_value::Value::StringValue(text) => Value::Text(cut(text, TEXT_BYTES_MAX)),
        any_value::Value::BoolValue(value) => Value::Bool(value),
        any_value::Value::IntValue(value) => Value::Int(value),
        any_value::Value::DoubleValue(value) => Value::Double(value),
        any_value::Value::BytesValue(bytes) => Value::Text(hex(&bytes)),
        any_value::Value::StringValueStrindex(_) => return None,
        nested => {
            let text = json(nested).to_string();
            if text.len() > TEXT_BYTES_MAX {
                Value::Text(cut(text, TEXT_BYTES_MAX))
            } else {
                Value::Json(text)
            }
        }
    })
}

/// A value as a person reads it: the body of a log record.
pub(super) fn text(from: Option<AnyValue>) -> String {
    from.and_then(value)
        .map(|value| value.to_text().into_owned())
        .unwrap_or_default()
}

fn json(from: any_value::Value) -> serde_json::Value {
    let inner = |value: Option<AnyValue>| value.and_then(|v| v.value).map_or(serde_json::Value::Null, json);
    match from {
        any_value::Value::ArrayValue(list) => list.values.into_iter().map(|v| inner(Some(v))).collect(),
        any_value::Value::KvlistValue(map) => map
            .values
            .into_iter()
            .map(|entry| (entry.key, inner(entry.value)))
            .collect(),
        any_value::Value::StringValue(text) => text.into(),
        any_value::Value::BoolValue(value) => value.into(),
        any_value::Value::IntValue(value) => value.into(),
        any_value::Value::DoubleValue(value) => Value::Double(value).to_json(),
        any_value::Value::BytesValue(bytes) => hex(&bytes).into(),
        any_value::Value::StringValueStrindex(_) => serde_json::Value::Null,
    }
}

/// A trace id; none where it has the wrong length or is all zero.
pub(super) fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    bytes
        .try_into()
        .ok()
        .filter(|id: &TraceId| id.iter().any(|b| *b != 0))
}

/// A span id; zero where it has the wrong length.
pub(super) fn span_id(bytes: &[u8]) -> SpanId {
    bytes.try_into().map(u64::from_be_bytes).unwrap_or(0)
}

pub(super) fn name(text: String) -> String {
    cut(text, NAME_BYTES_MAX)
}

pub(super) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(TEXT_BYTES_MAX / 2)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
