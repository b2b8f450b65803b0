//! The audit trail: every change with who made it, what it was about, what was there before and is there after, why, and
//! the trace that it belongs to. Only ever added to, in the transaction of the change that it tells of.
//!
//! A handler takes [`By`] and hands what it did to [`Handle::change`](crate::Handle), or to `Handle::record` where the
//! change is none of control's own state (the agent's, say). Other routers that are mounted into control put a
//! [`brick_http::Audited`] into their answer; [`keep`] writes it down before the answer goes out.
//!
//! Secrets have no place in an entry: whoever makes one leaves them out.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use brick_http::{Audited, Problem};
use brick_telemetry::context::SpanContext;
use http::HeaderMap;
use http::request::Parts;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::service::Handle;
use crate::uses;

/// Field of a request: why somebody makes the change.
pub(crate) const WHY: &str = "x-brick-why";
/// Entries that are kept; the oldest go.
pub(crate) const ENTRIES_MAX: i64 = 100_000;
/// Longest text of an entry.
const TEXT_BYTES_MAX: usize = 500;
/// Largest value of an entry as JSON; of a larger one its size is kept.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Entry {
    /// When, RFC 3339.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who: subject of the token, `operator`, `agent`.
    pub who: String,
    /// What was done: `limits.set`.
    pub action: String,
    /// What it was done to: `limits/order->payment`.
    pub target: String,
    /// What was there before; null where nothing was.
    pub before: Value,
    /// What is there after; null where nothing is.
    pub after: Value,
    /// Why, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Trace that it belongs to, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this subject.
    pub who: Option<String>,
    /// This action, or a group of actions: `limits`.
    pub action: Option<String>,
    /// Whose target holds this text.
    pub target: Option<String>,
    /// Of which anything holds this text: who, action, target, values, why, trace.
    pub text: Option<String>,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Older than the entry with this number.
    pub older: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// Who makes a request, why, and in which trace. An extractor that never fails: who may, the route says.
#[derive(Debug, Clone, Default)]
pub(crate) struct By {
    pub(crate) who: String,
    pub(crate) why: Option<String>,
    pub(crate) trace_id: Option<String>,
}

impl Entry {
    /// An entry of now.
    pub(crate) fn new(who: &str, action: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            at: Timestamp::now(),
            who: short(who),
            action: short(&action.into()),
            target: short(&target.into()),
            before: Value::Null,
            after: Value::Null,
            why: None,
            trace_id: None,
        }
    }

    /// With what was there before and what is there after.
    #[must_use]
    pub(crate) fn turning(mut self, before: Value, after: Value) -> Self {
        (self.before, self.after) = (bounded(before), bounded(after));
        self
    }

    /// With the reason, where there is one.
    #[must_use]
    pub(crate) fn because(mut self, why: Option<&str>) -> Self {
        self.why = why.map(short).or(self.why);
        self
    }
}

impl By {
    fn of(handle: &Handle, headers: &HeaderMap) -> Self {
        let claims = brick_auth::bearer(headers).map(|token| handle.verifier().platform(token));
        let text = |name: &str| Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned());
        let trace = text("traceparent").and_then(|text| SpanContext::parse(&text));
        Self {
            who: match claims {
                Some(Ok(claims)) => claims.sub.clone(),
                _ => "unknown".to_owned(),
            },
            why: text(WHY)
                .map(|why| why.trim().to_owned())
                .filter(|why| !why.is_empty()),
            trace_id: trace.map(|trace| trace.trace_id.to_string()),
        }
    }

    /// What they did.
    pub(crate) fn did(&self, action: &str, target: impl Into<String>) -> Entry {
        let mut entry = Entry::new(&self.who, action, target).because(self.why.as_deref());
        entry.trace_id.clone_from(&self.trace_id);
        entry
    }
}

impl FromRequestParts<Handle> for By {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, handle: &Handle) -> Result<Self, Self::Rejection> {
        Ok(Self::of(handle, &parts.headers))
    }
}

/// Writes down what the answer says was changed. An answer whose change cannot be written down is withheld: a token
/// that nobody knows of is not given out.
pub(crate) async fn keep(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let mut answer = next.run(request).await;
    let Some(audited) = answer.extensions_mut().remove::<Audited>() else {
        return answer;
    };
    let by = By::of(&handle, &headers);
    handle.uses().add(&by.who, uses::TOKENS, true);
    let entry = by
        .did(audited.action, audited.target)
        .turning(audited.before, audited.after);
    match handle.record(entry).await {
        Ok(()) => answer,
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Numbered, as it is told.
pub type Numbered = (i64, Arc<Entry>);

fn short(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text[..end].to_owned()
}

fn bounded(value: Value) -> Value {
    let bytes = value.to_string().len();
    if bytes <= VALUE_BYTES_MAX {
        return value;
    }
    json!({ "left_out": format!("{bytes} bytes, more than the {VALUE_BYTES_MAX} that are kept") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_bounded() {
        let entry = Entry::new("operator", "limits.set", "é".repeat(600))
            .turning(Value::Null, "x".repeat(20_000).into())
            .because(Some("why not"));
        assert_eq!(entry.target.len(), TEXT_BYTES_MAX);
        assert!(
            entry.after["left_out"]
                .as_str()
                .unwrap()
                .starts_with("20002 bytes")
        );
        assert_eq!(entry.why.as_deref(), Some("why not"));
    }
}
