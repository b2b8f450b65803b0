//! What a line of output says: JSON lines of any logger, or plain text, and the trace it belongs to.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// A line understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) ts: Option<Timestamp>,
    pub(crate) level: Level,
    pub(crate) msg: String,
    pub(crate) trace_id: Option<String>,
    pub(crate) span_id: Option<String>,
    pub(crate) fields: Map<String, Value>,
}

impl Level {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// OpenTelemetry's severity number (logs data model, "Field: SeverityNumber").
    pub(crate) fn severity(self) -> i32 {
        match self {
            Self::Trace => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
        }
    }

    fn of(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "warn" | "warning" => Self::Warn,
            "error" | "err" | "critical" | "fatal" | "panic" => Self::Error,
            _ => Self::Info,
        }
    }
}

/// Reads a line; every line gives a record.
pub(crate) fn parse(line: &str) -> Parsed {
    if line.starts_with('{')
        && let Ok(fields) = serde_json::from_str::<Map<String, Value>>(line)
    {
        return structured(fields);
    }
    Parsed {
        ts: None,
        level: Level::Info,
        msg: line.to_owned(),
        trace_id: plain_trace_id(line),
        span_id: None,
        fields: Map::new(),
    }
}

fn structured(mut fields: Map<String, Value>) -> Parsed {
    let mut text = |names: &[&str]| {
        let name = names
            .iter()
            .find(|name| fields.get(**name).is_some_and(Value::is_string))?;
        match fields.remove(*name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    };
    let ts = text(&["ts", "timestamp", "time"]).and_then(|ts| ts.parse().ok());
    let level = text(&["level", "severity"]).map_or(Level::Info, |level| Level::of(&level));
    let msg = text(&["msg", "message"]).unwrap_or_default();
    let trace_id = text(&["trace_id"]).filter(|id| is_id(id, 32));
    let span_id = text(&["span_id"]).filter(|id| is_id(id, 16));
    Parsed {
        ts,
        level,
        msg,
        trace_id,
        span_id,
        fields,
    }
}

/// The trace id of a plain line: where it says `trace_id=<32 hex>` or `"trace_id":"<32 hex>"`.
fn plain_trace_id(line: &str) -> Option<String> {
    line.match_indices("trace_id").find_map(|(at, name)| {
        let rest = &line[at + name.len()..];
        let value = rest.trim_start_matches(['"', ' ', ':', '=']);
        let id = value.get(..32)?;
        let ends = !value[32..].starts_with(|c: char| c.is_ascii_hexdigit());
        (rest.len() > value.len() && ends && is_id(id, 32)).then(|| id.to_owned())
    })
}

/// Lower-case hexadecimal of that length, not all zeros (W3C Trace Context, "trace-id").
fn is_id(text: &str, length: usize) -> bool {
    let hexadecimal = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.len() == length && text.bytes().all(hexadecimal) && text.bytes().any(|b| b != b'0')
}

/// The bytes of a hexadecimal id.
pub(crate) fn id_bytes(text: Option<&str>) -> Vec<u8> {
    let text = text.unwrap_or_default();
    let pairs = (0..text.len() / 2).map(|i| text.get(2 * i..2 * i + 2));
    pairs
        .map(|pair| u8::from_str_radix(pair?, 16).ok())
        .collect::<Option<Vec<u8>>>()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn json_lines_of_any_logger_are_understood() {
        let line = format!(
            r#"{{"ts":"2026-11-20T21:00:00.5Z","level":"warn","target":"t","msg":"m","trace_id":"{ID}","span_id":"00f067aa0ba902b7","n":1}}"#
        );
        let parsed = parse(&line);
        assert_eq!(parsed.ts, Some("2026-11-20T21:00:00.5Z".parse().unwrap()));
        assert_eq!((parsed.level, parsed.msg.as_str()), (Level::Warn, "m"));
        assert_eq!(parsed.trace_id.as_deref(), Some(ID));
        assert_eq!(parsed.fields.keys().collect::<Vec<_>>().len(), 2);
        assert_eq!(id_bytes(parsed.span_id.as_deref()).len(), 8);
        let python = parse(r#"{"message":"x","severity":"CRITICAL","time":"yesterday"}"#);
        assert_eq!(
            (python.level, python.msg.as_str(), python.ts),
            (Level::Error, "x", None)
        );
    }

    #[test]
    fn plain_lines_keep_their_text_and_their_trace() {
        for (line, expect) in [
            (format!("GET /x trace_id={ID} 200"), true),
            (format!(r#"x "trace_id":"{ID}""#), true),
            (format!(r#"x "trace_id": "{ID}""#), true),
            (format!("trace_id={ID}0"), false),
            (format!("trace_id{ID}"), false),
            ("trace_id=00000000000000000000000000000000".to_owned(), false),
            ("trace_id=é".to_owned(), false),
            ("{not json".to_owned(), false),
        ] {
            let parsed = parse(&line);
            assert_eq!(parsed.trace_id.is_some(), expect, "{line}");
            assert_eq!((parsed.level, &parsed.msg), (Level::Info, &line));
        }
    }

    proptest! {
        #[test]
        fn any_line_gives_a_record(line in ".*", id in "[0-9a-zé]{0,40}") {
            let _ = parse(&line);
            let _ = parse(&format!("x trace_id={id}"));
            let _ = id_bytes(Some(&id));
        }
    }
}
