//! Spans as OTLP protobuf (opentelemetry-proto 1.x).

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
pub(super) use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status as OtlpStatus};

use crate::Identity;
use crate::info::SDK_VERSION;
use crate::span::{Kind, SpanEvent, SpanRecord, Status, Value};

/// Who the spans are of, by semantic convention.
pub(super) fn resource(identity: &Identity) -> Resource {
    let pairs = [
        ("service.name", identity.brick.as_str()),
        ("service.namespace", &identity.system),
        ("service.version", &identity.version),
        ("service.instance.id", &identity.incarnation),
        ("brick.slot", &identity.slot),
        ("brick.zone", &identity.zone),
        ("brick.revision", &identity.revision),
        ("telemetry.sdk.name", "brickwork"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", SDK_VERSION),
    ];
    let told = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    Resource {
        attributes: told
            .map(|(key, value)| pair(key, Any::StringValue(value.to_owned())))
            .collect(),
        ..Resource::default()
    }
}

/// One batch.
pub(super) fn request(resource: &Resource, spans: &[SpanRecord]) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "brick-telemetry".to_owned(),
        version: SDK_VERSION.to_owned(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: spans.iter().map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn span(record: &SpanRecord) -> Span {
    Span {
        trace_id: record.context.trace_id.to_bytes().to_vec(),
        span_id: record.context.span_id.to_bytes().to_vec(),
        parent_span_id: record.parent.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        flags: u32::from(record.context.sampled),
        name: record.name.clone().into_owned(),
        kind: kind(record.kind).into(),
        start_time_unix_nano: record.start_unix_ns,
        end_time_unix_nano: record.end_unix_ns,
        attributes: attributes(&record.attributes),
        dropped_attributes_count: record.cut,
        events: record.events.iter().map(event).collect(),
        dropped_events_count: record.cut_events,
        status: status(&record.status),
        ..Span::default()
    }
}

fn event(event: &SpanEvent) -> Event {
    Event {
        time_unix_nano: event.time_unix_ns,
        name: event.name.clone().into_owned(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: 0,
    }
}

fn kind(kind: Kind) -> SpanKind {
    match kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    }
}

fn status(status: &Status) -> Option<OtlpStatus> {
    let (code, message) = match status {
        Status::Unset => return None,
        Status::Ok => (StatusCode::Ok, String::new()),
        Status::Error(message) => (StatusCode::Error, message.clone().into_owned()),
    };
    Some(OtlpStatus {
        message,
        code: code.into(),
    })
}

fn attributes(attributes: &[(std::borrow::Cow<'static, str>, Value)]) -> Vec<KeyValue> {
    let value = |value: &Value| match value {
        Value::Text(text) => Any::StringValue(text.clone().into_owned()),
        Value::Bool(yes) => Any::BoolValue(*yes),
        Value::Int(number) => Any::IntValue(*number),
        Value::Float(number) => Any::DoubleValue(*number),
    };
    attributes.iter().map(|(key, v)| pair(key, value(v))).collect()
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
