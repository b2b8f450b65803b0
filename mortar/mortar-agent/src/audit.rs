//! What an operator has the agent do over its socket, told to control for the audit trail.
//!
//! The agent does what it is asked while control is away; what is to be written down waits for it then, for a minute.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};

use crate::control::Control;

/// Entries that wait for control at most.
const WAITING_MAX: usize = 256;
const PAUSE: Duration = Duration::from_secs(1);
const TRIES: u32 = 60;

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Has control write down what was done, unless control itself asked for it and does so.
pub(crate) fn tell(
    control: &Control,
    headers: &HeaderMap,
    action: &'static str,
    target: String,
    after: Value,
) {
    if headers.contains_key(brick_wire::RECORDED) {
        return;
    }
    if WAITING.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
        WAITING.fetch_sub(1, Ordering::Relaxed);
        tracing::warn!(
            action,
            target,
            "control is away and too much waits to be written down; this is not"
        );
        return;
    }
    let control = control.clone();
    let why = headers
        .get("x-brick-why")
        .map(|why| String::from_utf8_lossy(why.as_bytes()).into_owned());
    let entry = json!({ "action": action, "target": target, "after": after, "why": why });
    tokio::spawn(async move {
        let told = until_told(&control, &entry).await;
        WAITING.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = told {
            let error = brick_core::chain(&error);
            tracing::warn!(action, target, error, "control could not write this down");
        }
    });
}

async fn until_told(control: &Control, entry: &Value) -> Result<(), brick_wire::Error> {
    let mut tries = 1;
    loop {
        match control.audit(entry).await {
            Err(error) if tries < TRIES && error.status().is_none_or(|status| status.is_server_error()) => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            told => return told,
        }
    }
}
