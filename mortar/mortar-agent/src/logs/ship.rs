//! Ships lines to telemetry as OTLP logs over HTTP, at least once: the offset moves when telemetry has said yes.

use std::sync::Arc;
use std::time::Duration;

use brick_core::{Drain, Incarnation};
use brick_wire::Client;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use serde_json::Value;

use super::lines::{Line, Lines};
use super::offsets::Offsets;
use super::{Found, Logs, Source, open_for_tail, parse};
use crate::events::{Event, EventKind, Events};
use crate::linux;

/// A batch is read until it has so many lines.
const BATCH_LINES: usize = 512;
/// How long lines may gather before they are read.
const BATCH_PAUSE: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(5);
/// Ranges are given back in pieces of this size.
const PUNCH_BYTES: u64 = 1024 * 1024;

/// What all shippers share.
#[derive(Debug, Clone)]
pub(crate) struct Shipping {
    pub(crate) logs: Logs,
    pub(crate) offsets: Offsets,
    pub(crate) events: Events,
    pub(crate) client: Client,
    /// `http://127.0.0.1:4318/v1/logs`.
    pub(crate) url: String,
    pub(crate) system: String,
    pub(crate) revision: String,
    pub(crate) retain_bytes: u64,
    pub(crate) backlog_bytes_max: u64,
    /// Whether the disk is full: then even the retained tail is given back.
    pub(crate) disk_full: Arc<std::sync::atomic::AtomicBool>,
}

/// One file being shipped.
#[derive(Debug)]
struct Shipper {
    shared: Shipping,
    source: Source,
    name: String,
    zone: String,
    found: Found,
    lines: Lines,
    punched: u64,
    told: bool,
}

/// Ships one file until the drain is requested and the end of the file was offered once more.
pub(crate) async fn run(shared: Shipping, source: Source, zone: String, drain: Drain) {
    let Ok(file) = open_for_tail(&source.path) else {
        return;
    };
    let name = source.slot.to_string();
    let found = Found::of(&file);
    let lines = match shared.offsets.shipped(&name) {
        Some(offset) => Lines::at(file, offset),
        None => Lines::resume(file, 0),
    };
    let mut shipper = Shipper {
        punched: linux::first_data(lines.file(), 0).unwrap_or(0),
        shared,
        source,
        name,
        zone,
        found,
        lines,
        told: false,
    };
    loop {
        let last = drain.is_requested();
        shipper.limit_backlog();
        let mut batch = Vec::new();
        while batch.len() < BATCH_LINES && shipper.lines.read(&mut batch).unwrap_or(false) {}
        if batch.is_empty() {
            if last {
                return;
            }
            gather(&drain).await;
            continue;
        }
        if !shipper.deliver(&batch, &drain).await {
            return;
        }
        shipper.give_back();
        // A call costs nearly the same for one line and for five hundred.
        if batch.len() < BATCH_LINES && !last {
            gather(&drain).await;
        }
    }
}

/// Lets lines gather, unless the end is near.
async fn gather(drain: &Drain) {
    tokio::select! {
        () = drain.requested() => {}
        () = tokio::time::sleep(BATCH_PAUSE) => {}
    }
}

impl Shipper {
    /// Sends until telemetry takes it; false when the drain ends the attempts.
    async fn deliver(&mut self, batch: &[Line], drain: &Drain) -> bool {
        let body = self.encode(batch).encode_to_vec();
        let mut pause = Duration::from_millis(100);
        loop {
            let last = drain.is_requested();
            let call = self.shared.client.post(&self.shared.url).timeout(LIMIT);
            let sent = call.body("application/x-protobuf", body.clone()).send().await;
            match sent.and_then(brick_wire::Response::success) {
                Ok(_) => {
                    self.shared.logs.count_shipped(batch.len() as u64);
                    break;
                }
                // The protocol says that 400 is for good: sending it again cannot help (OTLP/HTTP, "Failures").
                Err(error) if error.status().is_some_and(|s| s.as_u16() == 400) => {
                    let bytes = batch.iter().map(|line| line.end - line.offset).sum();
                    self.shared.logs.count_dropped(bytes);
                    break;
                }
                Err(_) if last => return false,
                Err(_) => {
                    tokio::select! {
                        () = drain.requested() => {}
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
                    }
                    self.limit_backlog();
                }
            }
        }
        self.shared.offsets.ship(&self.name, self.lines.position());
        true
    }

    /// Gives up the oldest lines when telemetry has not taken them for too long.
    fn limit_backlog(&mut self) {
        let length = self.lines.file().metadata().map_or(0, |meta| meta.len());
        let behind = length.saturating_sub(self.lines.position());
        if behind <= self.shared.backlog_bytes_max {
            return;
        }
        let Ok(file) = self.lines.file().try_clone() else {
            return;
        };
        let keep_from = length - self.shared.backlog_bytes_max / 2;
        self.shared.logs.count_dropped(keep_from - self.lines.position());
        self.lines = Lines::resume(file, keep_from);
        self.shared.offsets.ship(&self.name, self.lines.position());
        self.give_back();
        if !std::mem::replace(&mut self.told, true) {
            let msg = format!(
                "telemetry has not taken the output of {} for too long: the oldest lines are given up, the counter log_bytes_dropped says how much",
                self.name
            );
            self.shared
                .events
                .send(Event::new(EventKind::Warning, msg).instance(&self.name));
        }
    }

    /// Gives back what was shipped, but for the retained tail.
    fn give_back(&mut self) {
        let full = self.shared.disk_full.load(std::sync::atomic::Ordering::Relaxed);
        let retain = if full { 0 } else { self.shared.retain_bytes };
        let until = self.lines.position().saturating_sub(retain) / PUNCH_BYTES * PUNCH_BYTES;
        if until > self.punched && linux::punch_hole(self.lines.file(), self.punched, until).is_ok() {
            self.punched = until;
        }
    }

    fn encode(&self, batch: &[Line]) -> ExportLogsServiceRequest {
        let mut resources: Vec<(Option<Incarnation>, Vec<LogRecord>)> = Vec::new();
        for line in batch {
            let writer = self.shared.offsets.writer(&self.name, line.offset);
            let record = self.record(line);
            match resources.last_mut() {
                Some((last, records)) if *last == writer => records.push(record),
                _ => resources.push((writer, vec![record])),
            }
        }
        let resource_logs = resources.into_iter().map(|(writer, log_records)| ResourceLogs {
            resource: Some(self.resource(writer)),
            scope_logs: vec![ScopeLogs {
                log_records,
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        });
        ExportLogsServiceRequest {
            resource_logs: resource_logs.collect(),
        }
    }

    fn resource(&self, writer: Option<Incarnation>) -> Resource {
        let incarnation = writer.map(|w| w.to_string()).unwrap_or_default();
        let attributes = [
            ("service.namespace", self.shared.system.as_str()),
            ("service.name", self.source.slot.brick.as_str()),
            ("service.version", self.source.version.as_str()),
            ("service.instance.id", incarnation.as_str()),
            ("brick.slot", self.name.as_str()),
            ("brick.zone", self.zone.as_str()),
            ("brick.revision", self.shared.revision.as_str()),
        ];
        let known = attributes.into_iter().filter(|(_, value)| !value.is_empty());
        Resource {
            attributes: known.map(|(key, value)| pair(key, text(value))).collect(),
            ..Resource::default()
        }
    }

    fn record(&self, line: &Line) -> LogRecord {
        let parsed = parse::parse(&line.text);
        let now = nanoseconds(jiff::Timestamp::now());
        let file = self.source.path.file_name().unwrap_or_default().to_string_lossy();
        let offset = i64::try_from(line.offset).unwrap_or(i64::MAX);
        let mut attributes = vec![
            pair("log.file.name", text(&file)),
            pair("log.file.offset", any_value::Value::IntValue(offset)),
        ];
        attributes.extend(parsed.fields.iter().map(|(key, value)| pair(key, field(value))));
        LogRecord {
            time_unix_nano: nanoseconds(parsed.ts.unwrap_or_else(|| self.found.written(line))),
            observed_time_unix_nano: now,
            severity_number: parsed.level.severity(),
            severity_text: parsed.level.as_str().to_owned(),
            body: Some(AnyValue {
                value: Some(any_value::Value::StringValue(parsed.msg)),
            }),
            attributes,
            trace_id: parse::id_bytes(parsed.trace_id.as_deref()),
            span_id: parse::id_bytes(parsed.span_id.as_deref()),
            ..LogRecord::default()
        }
    }
}

fn nanoseconds(ts: jiff::Timestamp) -> u64 {
    u64::try_from(ts.as_nanosecond()).unwrap_or(0)
}

fn text(value: &str) -> any_value::Value {
    any_value::Value::StringValue(value.to_owned())
}

fn field(value: &Value) -> any_value::Value {
    match value {
        Value::String(value) => text(value),
        Value::Bool(value) => any_value::Value::BoolValue(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => any_value::Value::IntValue(int),
            (None, Some(double)) => any_value::Value::DoubleValue(double),
            (None, None) => text(&number.to_string()),
        },
        other => text(&other.to_string()),
    }
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
