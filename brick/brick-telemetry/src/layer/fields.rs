//! Visitors that read the fields of tracing spans and events into attributes.

use std::borrow::Cow;
use std::fmt;

use tracing::field::{Field, Visit};

use crate::log::{REDACTED, is_secret};
use crate::span::{ATTRIBUTES_MAX, Kind, SpanRecord, Status, VALUE_BYTES_MAX, Value};

/// Reads a span's fields: `otel.*` steer the span, all others become attributes; a later value replaces.
pub(super) struct SpanFields<'a>(pub(super) &'a mut SpanRecord);

/// Reads an event's fields.
#[derive(Default)]
pub(super) struct EventFields {
    pub(super) message: String,
    pub(super) attributes: Vec<(Cow<'static, str>, Value)>,
}

impl SpanFields<'_> {
    fn text(&mut self, field: &Field, text: String) {
        let record = &mut *self.0;
        match field.name() {
            "otel.name" => record.name = cut(text).into(),
            "otel.kind" => record.kind = kind(&text),
            "otel.status_code" => record.status = status(&text, &record.status),
            "otel.status_description" => record.status = Status::Error(cut(text).into()),
            name if is_secret(name) => self.put(name, REDACTED.into()),
            name => self.put(name, cut(text).into()),
        }
    }

    fn put(&mut self, name: &'static str, value: Value) {
        let record = &mut *self.0;
        if let Some((_, old)) = record.attributes.iter_mut().find(|(key, _)| key == name) {
            *old = value;
        } else if record.attributes.len() < ATTRIBUTES_MAX {
            record.attributes.push((Cow::Borrowed(name), value));
        } else {
            record.cut = record.cut.saturating_add(1);
        }
    }

    fn plain(&mut self, field: &Field, value: Value) {
        if is_secret(field.name()) {
            self.put(field.name(), REDACTED.into());
        } else {
            self.put(field.name(), value);
        }
    }
}

impl Visit for SpanFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.plain(field, Value::Int(value)),
            Err(_) => self.plain(field, Value::from(value.to_string())),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.plain(field, Value::Float(value));
    }
}

impl EventFields {
    fn put(&mut self, field: &Field, value: Value) {
        let value = if is_secret(field.name()) {
            REDACTED.into()
        } else {
            value
        };
        if self.attributes.len() < ATTRIBUTES_MAX - 1 {
            self.attributes.push((Cow::Borrowed(field.name()), value));
        }
    }
}

impl Visit for EventFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = cut(format!("{value:?}"));
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text.into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = cut(value.to_owned());
        } else {
            self.put(field, cut(value.to_owned()).into());
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Int(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::Float(value));
    }
}

fn kind(text: &str) -> Kind {
    match text {
        "server" => Kind::Server,
        "client" => Kind::Client,
        "producer" => Kind::Producer,
        "consumer" => Kind::Consumer,
        _ => Kind::Internal,
    }
}

/// `error` keeps a description that came first.
fn status(text: &str, before: &Status) -> Status {
    match (text.to_ascii_lowercase().as_str(), before) {
        ("error", Status::Error(_)) => before.clone(),
        ("error", _) => Status::Error(Cow::Borrowed("")),
        ("ok", _) => Status::Ok,
        _ => Status::Unset,
    }
}

/// At most [`VALUE_BYTES_MAX`] bytes, cut where a character ends.
fn cut(mut text: String) -> String {
    if text.len() > VALUE_BYTES_MAX {
        let end = (0..=VALUE_BYTES_MAX)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}
