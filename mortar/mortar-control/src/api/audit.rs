//! The audit trail as it is asked for, and what the agent adds to it.

use axum::extract::State;
use brick_core::duration::Span;
use brick_http::{Json, Problem, Query};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::{Entry, Filter};
use crate::service::Handle;

/// Entries of one answer at most.
const LIMIT_MAX: u32 = 1_000;

/// Which entries.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Only what this subject did.
    who: Option<String>,
    /// Only this action (`limits.set`), or a group of actions (`limits`).
    action: Option<String>,
    /// Only what was done to a target that holds this text.
    target: Option<String>,
    /// Only what holds this text anywhere: who, action, target, values, why or trace.
    text: Option<String>,
    /// Only what is younger: a duration ago (`15m`) or an RFC 3339 time.
    since: Option<String>,
    /// At most so many, 100 unless said, 1,000 at most.
    limit: Option<u32>,
    /// Where the answer before ended.
    cursor: Option<i64>,
}

/// Entries, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AuditList {
    items: Vec<AuditView>,
    /// Where to go on; none where there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// One entry.
#[derive(Debug, Serialize, JsonSchema)]
struct AuditView {
    /// Its number, ascending in time.
    id: i64,
    #[serde(flatten)]
    entry: Entry,
}

/// What the agent did, told by the agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditBody {
    /// What was done: `scale`.
    action: String,
    /// What it was done to: `order`.
    target: String,
    /// What was there before.
    #[serde(default)]
    before: Value,
    /// What is there after.
    #[serde(default)]
    after: Value,
    /// Why, where that was said.
    #[serde(default)]
    why: Option<String>,
    /// Whether the agent did it by itself: nobody asked it to.
    #[serde(default)]
    by_itself: bool,
}

/// Since when.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UseQuery {
    /// From the day of this time on: an age (`7d`) or an RFC 3339 time; 30 days unless said.
    since: Option<String>,
}

/// Who used what.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UseList {
    /// Most first, at most 1,000.
    items: Vec<UseView>,
}

/// One client's use of one area.
#[derive(Debug, Serialize, JsonSchema)]
struct UseView {
    /// Subject of its token; `client:NAME` of a registered client.
    client: String,
    /// The area of the APIs: `config`, `routes` …
    area: String,
    /// Requests that only looked.
    reads: u64,
    /// Requests that may have changed something; the audit trail says what they changed.
    writes: u64,
    /// The last day, UTC.
    last_day: String,
}

pub(crate) async fn list(
    State(handle): State<Handle>,
    query: Result<Query<AuditQuery>, Problem>,
) -> Result<Json<AuditList>, Problem> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(100);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let hint = format!("limit: expected 1 to {LIMIT_MAX}, found {limit}");
        return Err(Problem::bad_request("query_invalid", hint));
    }
    let filter = Filter {
        who: query.who,
        action: query.action,
        target: query.target,
        text: query.text,
        since: query
            .since
            .as_deref()
            .map(|text| since(text, Timestamp::now()))
            .transpose()?,
        older: query.cursor,
        limit,
    };
    let found = handle.audited(filter).await?;
    let next = (found.len() == limit as usize).then(|| found.last().map(|(id, _)| *id));
    let items = found.into_iter().map(|(id, entry)| AuditView {
        id,
        entry: Entry::clone(&entry),
    });
    Ok(Json(AuditList {
        items: items.collect(),
        next: next.flatten(),
    }))
}

pub(crate) async fn uses(
    State(handle): State<Handle>,
    query: Result<Query<UseQuery>, Problem>,
) -> Result<Json<UseList>, Problem> {
    let Query(query) = query?;
    let now = Timestamp::now();
    let from = since(query.since.as_deref().unwrap_or("30d"), now)?;
    // What was counted up to this moment is part of the answer.
    crate::uses::store(&handle).await;
    let found = handle.store().used(crate::uses::day(from)).await?;
    let items = found.into_iter().map(|one| UseView {
        client: one.client,
        area: one.area,
        reads: one.reads,
        writes: one.writes,
        last_day: one.day,
    });
    Ok(Json(UseList {
        items: items.collect(),
    }))
}

/// The agent's socket is the operator's: what comes over it is told by the agent in their name.
pub(crate) async fn add(
    State(handle): State<Handle>,
    headers: HeaderMap,
    body: Result<Json<AuditBody>, Problem>,
) -> Result<StatusCode, Problem> {
    handle.verifier().platform_bearer(&headers, &["agent"])?;
    let Json(body) = body?;
    let who = if body.by_itself { "agent" } else { "operator" };
    let entry = Entry::new(who, body.action, body.target)
        .turning(body.before, body.after)
        .because(body.why.as_deref());
    handle.record(entry).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn since(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    if let Ok(Span(age)) = text.parse() {
        return now
            .checked_sub(age)
            .map_err(|error| Problem::bad_request("query_invalid", format!("since: {error}")));
    }
    text.parse().map_err(|_| {
        let text: String = text.chars().take(60).collect();
        let hint = format!("since: expected an age such as 15m or an RFC 3339 time, found \"{text}\"");
        Problem::bad_request("query_invalid", hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_age_or_a_time() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let check = |text: &str, expect: Option<&str>| {
            let found = since(text, now).ok().map(|at| at.to_string());
            assert_eq!(found.as_deref(), expect, "{text}");
        };
        check("15m", Some("2025-12-31T23:45:00Z"));
        check("2025-01-01T00:00:00Z", Some("2025-01-01T00:00:00Z"));
        check("yesterday", None);
    }
}
