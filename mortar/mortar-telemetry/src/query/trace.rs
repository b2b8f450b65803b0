//! One trace with its logs, told piece by piece: a trace of 80,000 spans is 35 MB of JSON and never lies in memory whole.

use serde::Serialize;

use crate::api;
use crate::record::{Event, Sent, Span, TraceId, span_hex, trace_hex};
use crate::store::{LogFilter, SpanPlace, Store};

use super::{Fields, logs};

/// Log records told with one trace.
const LOGS_MAX: usize = 1_000;
/// Spans of one piece.
const PIECE_SPANS: usize = 500;

/// What is left to tell of a trace; all pieces together are one [`api::Trace`] as JSON.
#[derive(Debug)]
pub struct Telling {
    head: Option<String>,
    places: std::vec::IntoIter<SpanPlace>,
    tail: Option<String>,
    first: bool,
}

/// Begins to tell a trace; none when it is unknown (not yet, or no longer).
pub fn tell(store: &dyn Store, id: &TraceId) -> Option<Telling> {
    let places = store.places(id);
    let filter = LogFilter {
        trace: Some(*id),
        ..LogFilter::default()
    };
    let mut found = store.find_logs(&filter, LOGS_MAX, None);
    if places.is_empty() && found.is_empty() {
        return None;
    }
    found.reverse();
    let logs: Vec<api::Log> = found
        .iter()
        .map(|((_, id), sent)| logs::to_api(*id, &sent.resource, &sent.record))
        .collect();
    let logs = serde_json::to_string(&logs).unwrap_or_default();
    Some(Telling {
        head: Some(format!("{{\"trace_id\":\"{}\",\"spans\":[", trace_hex(id))),
        places: places.into_iter(),
        tail: Some(format!("],\"logs\":{logs}}}")),
        first: true,
    })
}

impl Telling {
    /// Whether one piece is all.
    pub fn is_short(&self) -> bool {
        self.places.len() <= PIECE_SPANS
    }

    /// The next piece; none behind the last.
    pub fn next(&mut self, store: &dyn Store) -> Option<Vec<u8>> {
        self.tail.as_ref()?;
        let mut out = self.head.take().unwrap_or_default().into_bytes();
        let places: Vec<SpanPlace> = self.places.by_ref().take(PIECE_SPANS).collect();
        for sent in store.spans(&places) {
            if !std::mem::take(&mut self.first) {
                out.push(b',');
            }
            let before = out.len();
            if serde_json::to_writer(&mut out, &body(&sent)).is_err() {
                // Nothing of a span fails to be JSON; if it ever did, it would be an empty one.
                out.truncate(before);
                out.extend_from_slice(b"{}");
            }
        }
        if self.places.len() == 0 {
            out.extend_from_slice(self.tail.take()?.as_bytes());
        }
        Some(out)
    }
}

/// [`api::Span`] without a copy of its texts.
#[derive(Serialize)]
struct Body<'a> {
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    service: &'a str,
    instance: &'a str,
    version: &'a str,
    zone: &'a str,
    operation: &'a str,
    kind: &'static str,
    start_unix_ns: String,
    duration_ns: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    status_message: &'a str,
    attributes: Fields<'a>,
    events: Vec<EventBody<'a>>,
}

/// [`api::SpanEvent`] without a copy of its texts.
#[derive(Serialize)]
struct EventBody<'a> {
    name: &'a str,
    time_unix_ns: String,
    attributes: Fields<'a>,
}

fn body(sent: &Sent<Span>) -> Body<'_> {
    let Sent { resource, record } = sent;
    Body {
        span_id: span_hex(record.span_id),
        parent_id: (record.parent_id != 0).then(|| span_hex(record.parent_id)),
        service: &resource.service,
        instance: &resource.instance,
        version: &resource.version,
        zone: &resource.zone,
        operation: &record.name,
        kind: record.kind.as_str(),
        start_unix_ns: record.start_ns.to_string(),
        duration_ns: record.end_ns.saturating_sub(record.start_ns),
        status: record.status.as_str(),
        status_message: &record.status_message,
        attributes: Fields(&record.attributes),
        events: record.events.iter().map(event).collect(),
    }
}

fn event(event: &Event) -> EventBody<'_> {
    EventBody {
        name: &event.name,
        time_unix_ns: event.time_ns.to_string(),
        attributes: Fields(&event.attributes),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::{Kind, Level, Log, Resource, Status, Value};
    use crate::store::Memory;

    fn span(number: u64) -> Span {
        Span {
            trace_id: [7; 16],
            span_id: number,
            parent_id: number / 2,
            name: "GET \"/x\"".to_owned(),
            kind: Kind::Server,
            status: Status::Error,
            status_message: "no\nway".to_owned(),
            start_ns: number * 1_000,
            end_ns: number * 1_000 + 500,
            attributes: vec![
                ("text".to_owned(), Value::Text("<script>".to_owned())),
                ("list".to_owned(), Value::Json("[1,2]".to_owned())),
                ("nan".to_owned(), Value::Double(f64::NAN)),
                ("yes".to_owned(), Value::Bool(true)),
                ("int".to_owned(), Value::Int(-3)),
            ],
            events: vec![Event {
                name: "exception".to_owned(),
                time_ns: 9,
                attributes: vec![("x".to_owned(), Value::Double(0.5))],
            }],
        }
    }

    fn told(store: &dyn Store) -> Option<(api::Trace, usize)> {
        let mut telling = tell(store, &[7; 16])?;
        let mut text = Vec::new();
        let mut pieces = 0;
        while let Some(piece) = telling.next(store) {
            text.extend(piece);
            pieces += 1;
        }
        Some((serde_json::from_slice(&text).unwrap(), pieces))
    }

    #[test]
    fn the_pieces_are_one_answer() {
        let store = Memory::new(8 << 20);
        assert!(told(&store).is_none());
        let from = Arc::new(Resource {
            service: "order".to_owned(),
            ..Resource::default()
        });
        let spans: Vec<Span> = (1..=1_200).map(span).collect();
        store.append_spans(&from, &spans);
        let log = Log {
            time_ns: 5,
            level: Level::Warn,
            message: "low".to_owned(),
            trace_id: [7; 16],
            span_id: 1,
            fields: vec![("left".to_owned(), Value::Int(2))],
        };
        store.append_logs(&from, &[log], &mut |_, _| ());
        let (trace, pieces) = told(&store).unwrap();
        assert_eq!((trace.spans.len(), trace.logs.len(), pieces), (1_200, 1, 3));
        assert_eq!(trace.logs[0].fields["left"], 2);
        let first = &trace.spans[0];
        assert_eq!(
            (first.operation.as_str(), first.parent_id.as_ref()),
            ("GET \"/x\"", None)
        );
        let attributes = serde_json::to_value(&first.attributes).unwrap();
        let expect =
            serde_json::json!({"text": "<script>", "list": [1, 2], "nan": "NaN", "yes": true, "int": -3});
        assert_eq!(attributes, expect);
        assert_eq!(
            (first.status.as_str(), first.status_message.as_str()),
            ("error", "no\nway")
        );
        assert_eq!(first.events[0].attributes["x"], 0.5);
        assert_eq!(trace.spans[1].parent_id.as_deref(), Some("0000000000000001"));
    }

    #[test]
    fn a_trace_of_logs_alone_is_told_too() {
        let store = Memory::new(1 << 20);
        let log = Log {
            time_ns: 5,
            level: Level::Info,
            message: "alone".to_owned(),
            trace_id: [7; 16],
            span_id: 0,
            fields: Vec::new(),
        };
        store.append_logs(&Arc::default(), &[log], &mut |_, _| ());
        let (trace, pieces) = told(&store).unwrap();
        assert_eq!(
            (trace.spans.len(), trace.logs[0].msg.as_str(), pieces),
            (0, "alone", 1)
        );
    }
}
