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

/// Something that was done.
#[derive(Debug)]
pub(crate) struct Did {
    pub(crate) action: &'static str,
    pub(crate) target: String,
    pub(crate) before: Value,
    pub(crate) after: Value,
    pub(crate) why: Option<String>,
    /// Whether nobody asked the agent for it.
    pub(crate) by_itself: bool,
}

/// Has control write down what an operator asked for, unless control itself asked for it and does so.
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
    let why = headers
        .get("x-brick-why")
        .map(|why| String::from_utf8_lossy(why.as_bytes()).into_owned());
    let did = Did {
        action,
        target,
        before: Value::Null,
        after,
        why,
        by_itself: false,
    };
    write(control, did);
}

/// Has control write down what was done.
pub(crate) fn write(control: &Control, did: Did) {
    let Did { action, target, .. } = did;
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
    let entry = json!({ "action": action, "target": target, "before": did.before, "after": did.after,
        "why": did.why, "by_itself": did.by_itself });
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
