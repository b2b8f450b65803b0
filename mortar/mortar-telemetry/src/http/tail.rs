//! A tail as server-sent events: `log` or `request` for a record, `logs` or `requests` for several at once, `dropped`
//! where the reader was too slow.

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
                Ok(item) => encode(&item, tail.names()),
                Err(_) => sse::heartbeat(),
            },
            () = drain.requested() => return None,
        };
        Some((event, (tail, drain)))
    });
    sse::answer(events)
}

fn encode(item: &Item, [one, many]: [&str; 2]) -> Bytes {
    match item {
        Item::Records(records) => match records.as_slice() {
            [record] => sse::encode("", one, record),
            records => sse::encode("", many, &format!("[{}]", records.join(","))),
        },
        Item::Dropped(dropped) => {
            let told = serde_json::to_string(&api::Dropped { dropped: *dropped });
            sse::encode("", "dropped", &told.unwrap_or_default())
        }
    }
}
