//! One trace as other tools read it: OTLP in JSON (opentelemetry/proto/collector/trace/v1, protobuf's JSON mapping with
//! ids in hexadecimal) or Jaeger's JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::diff::{nanoseconds, times};
use crate::command::ps::text;

/// An `ExportTraceServiceRequest`.
pub(super) fn otlp(trace: &Value) -> Value {
    let mut resources: BTreeMap<[String; 4], Vec<Value>> = BTreeMap::new();
    for span in trace["spans"].as_array().into_iter().flatten() {
        let key = ["service", "version", "instance", "zone"].map(|key| text(&span[key]));
        let rows = resources.entry(key).or_default();
        rows.push(otlp_span(trace, span));
    }
    let spans: Vec<Value> = resources
        .into_iter()
        .map(|([service, version, instance, zone], spans)| {
            let pairs = [
                ("service.name", service),
                ("service.version", version),
                ("brick.slot", instance),
                ("brick.zone", zone),
            ];
            let known = pairs.into_iter().filter(|(_, value)| !value.is_empty());
            let attributes: Vec<Value> = known
                .map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } }))
                .collect();
            json!({ "resource": { "attributes": attributes },
                "scopeSpans": [{ "scope": { "name": "brickwork" }, "spans": spans }] })
        })
        .collect();
    json!({ "resourceSpans": spans })
}

fn otlp_span(trace: &Value, span: &Value) -> Value {
    let (start, end) = times(span);
    let kind = match span["kind"].as_str() {
        Some("server") => 2,
        Some("client") => 3,
        Some("producer") => 4,
        Some("consumer") => 5,
        _ => 1,
    };
    let code = match span["status"].as_str() {
        Some("ok") => 1,
        Some("error") => 2,
        _ => 0,
    };
    let events: Vec<Value> = span["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| {
            json!({ "name": event["name"], "timeUnixNano": event["time_unix_ns"],
                "attributes": attributes(&event["attributes"]) })
        })
        .collect();
    let mut status = json!({ "code": code });
    if span["status_message"].is_string() {
        status["message"] = span["status_message"].clone();
    }
    let mut out = json!({
        "traceId": trace["trace_id"],
        "spanId": span["span_id"],
        "name": span["operation"],
        "kind": kind,
        "startTimeUnixNano": start.to_string(),
        "endTimeUnixNano": end.to_string(),
        "attributes": attributes(&span["attributes"]),
        "events": events,
        "status": status,
    });
    if span["parent_id"].is_string() {
        out["parentSpanId"] = span["parent_id"].clone();
    }
    out
}

/// Attributes as a list of `KeyValue`.
fn attributes(values: &Value) -> Vec<Value> {
    let pairs = values.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| json!({ "key": key, "value": any_value(value) }))
        .collect()
}

/// A value as `AnyValue`; whole numbers are text there, for JSON's lose digits.
fn any_value(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(value) => json!({ "boolValue": value }),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!({ "intValue": whole.to_string() }),
            None => json!({ "doubleValue": number }),
        },
        Value::String(text) => json!({ "stringValue": text }),
        Value::Array(items) => {
            let values: Vec<Value> = items.iter().map(any_value).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Value::Object(_) => json!({ "kvlistValue": { "values": attributes(value) } }),
    }
}

/// What Jaeger's `GET /api/traces/{id}` answers; its page opens such a file.
pub(super) fn jaeger(trace: &Value) -> Value {
    let mut processes = Map::new();
    let mut names: BTreeMap<[String; 4], String> = BTreeMap::new();
    let mut spans = Vec::new();
    for span in trace["spans"].as_array().into_iter().flatten() {
        let key = ["service", "version", "instance", "zone"].map(|key| text(&span[key]));
        let next = format!("p{}", names.len() + 1);
        let process = names.entry(key.clone()).or_insert(next).clone();
        processes.entry(process.clone()).or_insert_with(|| {
            let [service, version, instance, zone] = key;
            let pairs = json!({ "service.version": version, "brick.slot": instance, "brick.zone": zone });
            json!({ "serviceName": service, "tags": tags(&pairs) })
        });
        spans.push(jaeger_span(trace, span, &process));
    }
    json!({ "data": [{ "traceID": trace["trace_id"], "spans": spans, "processes": processes }] })
}

fn jaeger_span(trace: &Value, span: &Value, process: &str) -> Value {
    let (start, end) = times(span);
    let mut all = tags(&span["attributes"]);
    all.extend(tags(&json!({ "span.kind": span["kind"] })));
    if span["status"] == "error" {
        all.extend(tags(&json!({ "error": true })));
    }
    let references = match span["parent_id"].as_str() {
        Some(parent) => {
            json!([{ "refType": "CHILD_OF", "traceID": trace["trace_id"], "spanID": parent }])
        }
        None => json!([]),
    };
    let logs: Vec<Value> = span["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| {
            let mut fields = tags(&json!({ "event": event["name"] }));
            fields.extend(tags(&event["attributes"]));
            json!({ "timestamp": nanoseconds(&event["time_unix_ns"]) / 1_000, "fields": fields })
        })
        .collect();
    json!({
        "traceID": trace["trace_id"],
        "spanID": span["span_id"],
        "operationName": span["operation"],
        "references": references,
        "startTime": start / 1_000,
        "duration": (end - start) / 1_000,
        "tags": all,
        "logs": logs,
        "processID": process,
    })
}

fn tags(values: &Value) -> Vec<Value> {
    let pairs = values.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| match value {
            Value::Bool(value) => json!({ "key": key, "type": "bool", "value": value }),
            Value::Number(number) if number.is_i64() => {
                json!({ "key": key, "type": "int64", "value": number })
            }
            Value::Number(number) => json!({ "key": key, "type": "float64", "value": number }),
            other => json!({ "key": key, "type": "string", "value": text(other) }),
        })
        .collect()
}
