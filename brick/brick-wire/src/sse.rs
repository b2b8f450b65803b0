//! Server-sent events (WHATWG HTML §9.2), the form in which bus and log tails stream.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::lines::Lines;

/// Largest single event taken from a stream, in bytes; a longer one is an error, never a growing buffer.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// `id:`, empty where the event has none.
    pub id: String,
    /// `event:`, `message` where the event names none.
    pub event: String,
    /// `data:` lines joined by line feeds.
    pub data: String,
}

/// An event is larger than [`EVENT_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is larger than {EVENT_BYTES_MAX} bytes")]
pub struct TooLarge;

/// Takes a byte stream apart into events; comments (heartbeats) are passed over.
#[derive(Debug, Default)]
pub struct Parser {
    lines: Lines,
    pending: Event,
    has_data: bool,
}

impl Parser {
    /// Feeds bytes and returns the events that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        self.lines.push(bytes);
        let mut events = Vec::new();
        while let Some(line) = self.lines.next() {
            events.extend(self.line(&line));
        }
        if self.lines.pending() + self.pending.data.len() > EVENT_BYTES_MAX {
            return Err(TooLarge);
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.pending);
            return std::mem::take(&mut self.has_data).then(|| Event {
                event: if event.event.is_empty() {
                    "message".to_owned()
                } else {
                    event.event
                },
                ..event
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.pending.id),
            "event" => value.clone_into(&mut self.pending.event),
            "data" => {
                if self.has_data {
                    self.pending.data.push('\n');
                }
                self.pending.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
        None
    }
}

/// Writes one event; `data` may hold line feeds.
pub fn encode(id: &str, event: &str, data: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(id.len() + event.len() + data.len() + 24);
    if !id.is_empty() {
        out.put_slice(b"id: ");
        out.put_slice(id.as_bytes());
        out.put_slice(b"\n");
    }
    out.put_slice(b"event: ");
    out.put_slice(event.as_bytes());
    for line in data.split('\n') {
        out.put_slice(b"\ndata: ");
        out.put_slice(line.as_bytes());
    }
    out.put_slice(b"\n\n");
    out.freeze()
}

/// A comment that keeps a connection alive.
pub fn heartbeat() -> Bytes {
    Bytes::from_static(b": heartbeat\n\n")
}

/// A stream of events as an answer. A comment goes ahead, so that the headers leave at once.
pub fn answer(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let first = stream::once(std::future::ready(heartbeat()));
    let body = Body::from_stream(first.chain(events).map(Ok::<_, std::convert::Infallible>));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_survive_any_cut_of_the_stream() {
        let mut stream = encode("e-1", "put", "{\"a\":1}\nsecond").to_vec();
        stream.extend_from_slice(&heartbeat());
        stream.extend_from_slice(b"data:x\r\n\r\n");
        for cut in 0..stream.len() {
            let mut parser = Parser::default();
            let mut events = parser.feed(&stream[..cut]).unwrap();
            events.extend(parser.feed(&stream[cut..]).unwrap());
            assert_eq!(events.len(), 2, "cut at {cut}");
            assert_eq!(events[0].data, "{\"a\":1}\nsecond");
            assert_eq!(
                (events[1].event.as_str(), events[1].data.as_str()),
                ("message", "x")
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Parser::default().feed(&bytes);
        }
    }
}
