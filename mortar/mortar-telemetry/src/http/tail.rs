//! A log tail as server-sent events: `log` for a record, `logs` for several at once, `dropped` where the reader was too
//! slow.

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
                Ok(item) => encode(&item),
                Err(_) => sse::heartbeat(),
            },
            () = drain.requested() => return None,
        };
        Some((event, (tail, drain)))
    });
    sse::answer(events)
}

fn encode(item: &Item) -> Bytes {
    match item {
        Item::Logs(records) => match records.as_slice() {
            [record] => sse::encode("", "log", record),
            records => sse::encode("", "logs", &format!("[{}]", records.join(","))),
        },
        Item::Dropped(dropped) => {
            let told = serde_json::to_string(&api::Dropped { dropped: *dropped });
            sse::encode("", "dropped", &told.unwrap_or_default())
        }
    }
}
