//! How far a change came that instances take over while they run.

use serde_json::Value;

use super::ps::text;

/// How many have applied it and how fast, in a line; none where no instance follows.
pub(crate) fn reach(answer: &Value) -> Option<String> {
    let number = |key: &str| answer[key].as_u64().unwrap_or(0);
    let of = Some(number("of")).filter(|of| *of > 0)?;
    Some(format!(
        "applied by {}/{of} in {} ms, spread {} ms",
        number("applied"),
        number("ms"),
        number("spread_ms")
    ))
}

/// Why an instance has not; none where it has.
pub(crate) fn missing(one: &Value) -> Option<String> {
    let instance = text(&one["instance"]);
    (one["applied"] != true).then(|| format!("{instance} has not: {}", text(&one["reason"])))
}
