//! A log tail as server-sent events: `log` for each record, `dropped` where the reader was too slow.

use std::time::Duration;

use axum::response::Response;
use brick_core::Drain;
use brick_wire::sse;
use bytes::Bytes;
use futures_util::stream;

use crate::api;
use crate::tail::{Item, Tail};

const HEARTBEAT: Duration = Duration::from_secs(5);

pub(crate) fn answer(tail: Tail, drain: Drain) -> Response {
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
    sse::answer(events)
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
