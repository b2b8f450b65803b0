//! A log tail as server-sent events: `log` for each record, `dropped` where the reader was too slow.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use brick_core::Drain;
use brick_wire::sse;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::api;
use crate::tail::{Item, Tail};

const HEARTBEAT: Duration = Duration::from_secs(5);

pub(crate) fn answer(tail: Tail, drain: Drain) -> Response {
    // The first comment makes the headers leave at once.
    let first = stream::once(std::future::ready(sse::heartbeat()));
    let events = stream::unfold((tail, drain), |(mut tail, drain)| async move {
        let event = tokio::select! {
            item = tokio::time::timeout(HEARTBEAT, tail.next()) => match item {
                Ok(item) => encode(&item?),
                Err(_) => sse::heartbeat(),
            },
            () = drain.requested() => return None,
        };
        Some((event, (tail, drain)))
    });
    let body = Body::from_stream(first.chain(events).map(Ok::<_, std::convert::Infallible>));
    (
        [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")],
        body,
    )
        .into_response()
}

fn encode(item: &Item) -> Bytes {
    let json =
        |event: &str, value: serde_json::Result<String>| sse::encode("", event, &value.unwrap_or_default());
    match item {
        Item::Log(log) => json("log", serde_json::to_string(log.as_ref())),
        Item::Dropped(dropped) => json(
            "dropped",
            serde_json::to_string(&api::Dropped { dropped: *dropped }),
        ),
    }
}
