//! The bus over HTTP: watch and acknowledgements.

use std::collections::BTreeMap;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRef, RawQuery, State};
use axum::response::{IntoResponse, Response};
use brick_bus::{Ack, Cursor};
use brick_http::{Json, Problem, Query};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use brick_auth::Verifier;

use super::life;
use crate::Error;
use crate::acks::Told;
use crate::bus::view::{Scope, View};
use crate::bus::{Bus, Refused, stream};
use crate::service::Handle;
use crate::standby::Upstream;
use crate::state::Action;

/// Acknowledgements in one call at most.
const ACKS_MAX: usize = 1_024;

/// A watch, as the document describes it; the name may be repeated.
#[derive(Debug, Deserialize, JsonSchema)]
#[allow(dead_code, reason = "the query is read by hand, for its name may be repeated")]
pub(crate) struct WatchQuery {
    /// A name, or `prefix*`; may be repeated. Without any everything that the token may see is told.
    resource: Option<String>,
}

/// Acknowledgements.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct AckBatch {
    /// One for each resource that was applied or refused.
    acks: Vec<AckBody>,
}

/// One acknowledgement.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct AckBody {
    /// The resource.
    name: String,
    /// The revision that was applied or refused.
    revision: u64,
    /// Who applied it.
    incarnation: brick_core::Incarnation,
    /// Why it was refused; none means applied.
    #[serde(default)]
    refused: Option<String>,
    /// Keys of a configuration that do not count there, with the higher layer that has the word.
    #[serde(default)]
    shadowed: BTreeMap<String, String>,
    /// Keys of a configuration that it does not know, with the nearest that it does.
    #[serde(default)]
    unknown: BTreeMap<String, String>,
}

/// Whose acknowledgements.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct AckQuery {
    /// The resource.
    name: String,
}

/// Who applied which revision of a resource.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AckList {
    /// The resource.
    name: String,
    /// Its present revision; none where there is no such resource.
    revision: Option<u64>,
    /// The newest word of each process.
    items: Vec<Told>,
}

/// What a watch needs: whoever leads has it, and whoever stands by.
#[derive(Debug, Clone)]
pub(crate) struct Watching {
    pub(crate) bus: Arc<Bus>,
    pub(crate) verifier: Verifier,
    /// What the bus of who stands by follows.
    pub(crate) upstream: Option<Arc<Upstream>>,
}

impl Watching {
    /// A subscriber may come from the leader and be ahead of who stands by: what it has seen is stored, and is caught up
    /// with before it is told anything, for nobody goes back in time.
    pub(crate) async fn reach(&self, cursor: Option<&Cursor>) -> Result<(), Error> {
        let behind = cursor.is_some_and(|cursor| cursor.revision > self.bus.position().1);
        match &self.upstream {
            Some(upstream) if behind => upstream.catch_up(&self.bus).await,
            _ => Ok(()),
        }
    }
}

impl FromRef<Handle> for Watching {
    fn from_ref(handle: &Handle) -> Self {
        Self {
            bus: Arc::clone(handle.bus()),
            verifier: handle.verifier().clone(),
            upstream: None,
        }
    }
}

pub(crate) async fn watch(
    State(watching): State<Watching>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let claims = watching.verifier.platform_bearer(&headers, &["bus"])?;
    let patterns = patterns(query.as_deref().unwrap_or_default())?;
    let view = View::new(Scope::of(&claims), patterns)
        .map_err(|hint| Problem::bad_request("query_invalid", hint))?;
    let cursor = headers.get("last-event-id").map(|id| {
        let cursor = id.to_str().ok().and_then(|text| text.parse::<Cursor>().ok());
        // What is no cursor is one of an epoch that nobody knows.
        cursor.unwrap_or(Cursor {
            epoch: String::new(),
            revision: 0,
        })
    });
    let who = claims.incarnation.as_deref().and_then(|own| own.parse().ok());
    watching.reach(cursor.as_ref()).await?;
    let subscription = match watching.bus.subscribe(view, cursor, who) {
        Ok(subscription) => subscription,
        Err(Ok(refused)) => return Ok(refusal(refused)),
        Err(Err(error)) => return Err(error.into()),
    };
    let body = Body::from_stream(stream::body(subscription, life(&claims)));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

fn refusal(refused: Refused) -> Response {
    let problem = match refused {
        Refused::Full => Problem::unavailable(
            "too_many_subscribers",
            "too many streams are open; try again later",
        ),
        Refused::Stopping => {
            Problem::unavailable("stopping", "control is stopping; try again when it is back")
        }
    };
    ([(RETRY_AFTER, HeaderValue::from_static("1"))], problem).into_response()
}

/// The values of `resource=` in the query.
fn patterns(query: &str) -> Result<Vec<String>, Problem> {
    let invalid = |hint: &str| Problem::bad_request("query_invalid", hint);
    let mut patterns = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "resource" {
            return Err(invalid("expected only parameters named \"resource\""));
        }
        patterns.push(decode(value).ok_or_else(|| invalid("a pattern is not well percent-encoded"))?);
    }
    Ok(patterns)
}

/// Percent-encoding (RFC 3986 §2.1); none where it is not well formed or no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: u8| char::from(b).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

pub(crate) async fn acknowledge(
    State(handle): State<Handle>,
    headers: HeaderMap,
    body: Result<Json<AckBatch>, Problem>,
) -> Result<http::StatusCode, Problem> {
    let claims = handle.verifier().platform_bearer(&headers, &["bus"])?;
    let Json(AckBatch { acks }) = body?;
    if acks.len() > ACKS_MAX {
        let hint = format!("expected at most {ACKS_MAX} acknowledgements in one call");
        return Err(Problem::unprocessable("too_many_acks", hint));
    }
    // Who stands by tells of a change as soon as it is stored, which may be a moment before it is in force here.
    if acks.iter().any(|ack| ack.revision > handle.revision()) {
        handle.wish(Action::Nothing).await?;
    }
    let (scope, state) = (Scope::of(&claims), handle.state());
    for ack in acks {
        let own = claims
            .incarnation
            .as_deref()
            .is_none_or(|own| own == ack.incarnation.to_string());
        if !own {
            let hint = "a process acknowledges for itself alone: the incarnation is not the token's";
            return Err(Problem::forbidden("foreign_incarnation", hint));
        }
        let current = match state.resources.get(&ack.name) {
            Some(resource) if scope.sees(&ack.name) => resource.revision,
            _ => 0,
        };
        let ack = Ack {
            name: ack.name,
            revision: ack.revision,
            incarnation: ack.incarnation,
            refused: ack.refused,
            shadowed: ack.shadowed,
            unknown: ack.unknown,
        };
        handle.acks().take(ack, current);
    }
    Ok(http::StatusCode::NO_CONTENT)
}

pub(crate) async fn acknowledged(
    State(handle): State<Handle>,
    headers: HeaderMap,
    query: Result<Query<AckQuery>, Problem>,
) -> Result<Json<AckList>, Problem> {
    handle.verifier().platform_bearer(&headers, &["admin"])?;
    let Query(AckQuery { name }) = query?;
    Ok(Json(AckList {
        revision: handle
            .state()
            .resources
            .get(&name)
            .map(|resource| resource.revision),
        items: handle.acks().of(&name),
        name,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_are_read_from_the_query() {
        let check = |query: &str, expect: Option<&[&str]>| {
            let found = patterns(query).ok();
            let found = found
                .as_ref()
                .map(|p| p.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(found.as_deref(), expect, "{query}");
        };
        check("", Some(&[]));
        check(
            "resource=config/order&resource=limits/order-%3E%2a",
            Some(&["config/order", "limits/order->*"]),
        );
        check("resource=a%2", None);
        check("resource=%ff", None);
        check("other=1", None);
    }

    proptest! {
        #[test]
        fn no_query_makes_the_parser_panic(query in ".{0,80}") {
            let _ = patterns(&query);
        }
    }
}
