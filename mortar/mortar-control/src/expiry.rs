//! Ends faults and levels of log lines when their time is over.

use std::time::Duration;

use brick_bus::Faults;
use brick_core::Drain;
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use crate::config;
use crate::service::Handle;
use crate::state::Action;

/// How often faults are looked at. Whoever makes them knows their end, too.
const LOOK: Duration = Duration::from_secs(1);

/// Takes rules back whose time is over, until the drain is requested.
pub(crate) async fn watch(handle: Handle, drain: Drain) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = drain.requested() => return,
        }
        config::level::expire(&handle, Timestamp::now()).await;
        let state = handle.state();
        let faults = state.settings.range("faults/".to_owned()..);
        let faults = faults.take_while(|(name, _)| name.starts_with("faults/"));
        for (name, held) in faults {
            let Some(left) = left(held, Timestamp::now()) else {
                continue;
            };
            if let Err(error) = handle.wish(Action::Set(name.clone(), left)).await {
                tracing::warn!(
                    name,
                    error = brick_core::chain(&error),
                    "a fault that is over cannot be taken back yet"
                );
            }
        }
    }
}

/// What is left of faults; none where nothing ended. Faults that cannot be read are over.
fn left(held: &Value, now: Timestamp) -> Option<Option<Value>> {
    let Ok(mut faults) = Faults::deserialize(held) else {
        return Some(None);
    };
    let before = faults.rules.len();
    faults
        .rules
        .retain(|rule| rule.until.is_some_and(|until| now < until));
    if faults.rules.len() == before {
        return None;
    }
    let value = serde_json::to_value(&faults).ok();
    Some(value.filter(|_| !faults.rules.is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_end_one_by_one() {
        let held = json!({ "rules": [
            { "reset": true, "until": "2026-01-01T00:00:00Z" }, { "abort": 503, "until": "2026-01-02T00:00:00Z" },
        ] });
        let at = |text: &str| left(&held, text.parse().unwrap());
        assert_eq!(at("2025-12-31T00:00:00Z"), None);
        let one = at("2026-01-01T00:00:00Z").unwrap().unwrap();
        assert_eq!(one["rules"].as_array().unwrap().len(), 1);
        assert_eq!(at("2026-01-02T00:00:00Z"), Some(None));
    }
}
