//! What is answered where a brick fails: what the same GET gave last, a fixed document, or another brick's answer.
//!
//! A brick fails where it gives no answer, one of 500 and more, or is not asked at all (its breaker is open, say). Whoever
//! gets something else is told by the field `x-brick-degraded`, which names the brick that failed.

use std::collections::HashMap;
use std::sync::Arc;

use brick_bus::limits::Fallback;
use brick_discovery::balancer::Balancer;
use brick_resilience::{Decision, Stale};
use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HOST,
    HeaderName, HeaderValue, RANGE, SET_COOKIE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use parking_lot::Mutex;

use crate::answer::Answer;
use crate::body::{Body, Filter, RequestBody};
use crate::call::Call;
use crate::forward::{self, Errand, Reply};
use crate::headers;
use crate::proxy::Side;
use crate::route::Target;

/// Names the brick in whose place something else is answered.
const DEGRADED: HeaderName = HeaderName::from_static("x-brick-degraded");
/// Answers that a proxy keeps, and bytes of all of them together.
const ANSWERS_MAX: usize = 4_096;
const BYTES_MAX: usize = 16 << 20;
/// Bricks that stand in for others.
const BRICKS_MAX: usize = 1_024;
/// What an answer depends on beside its target.
const KEY: [HeaderName; 5] = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE];

/// What the proxy has for the calls that fail.
#[derive(Debug)]
pub(crate) struct Fallbacks {
    stale: Arc<Stale<Kept>>,
    bricks: Mutex<HashMap<String, Target>>,
}

/// An answer that was good.
#[derive(Debug, Clone)]
struct Kept {
    fields: HeaderMap,
    body: Bytes,
}

/// An answer, whoever gave it.
pub(crate) enum Given {
    /// An instance.
    Reply(Box<Reply>),
    /// Nobody: it stands in for one.
    Instead(Box<Response<Body>>),
}

impl Default for Fallbacks {
    fn default() -> Self {
        Self {
            stale: Arc::new(Stale::new(ANSWERS_MAX, BYTES_MAX)),
            bricks: Mutex::default(),
        }
    }
}

impl Fallbacks {
    /// Answers that are no longer kept.
    pub(crate) fn dropped(&self) -> u64 {
        self.stale.dropped()
    }

    /// Where a brick stands that answers in the place of another.
    fn target(&self, errand: &Errand<'_>, brick: &str) -> Option<Target> {
        let edges = errand.local.shared.edges()?;
        let mut bricks = self.bricks.lock();
        if let Some(known) = bricks.get(brick) {
            return Some(known.clone());
        }
        if bricks.len() >= BRICKS_MAX {
            bricks.clear();
        }
        let target = Target::Brick(Balancer::new(edges.watch().clone(), brick));
        bricks.insert(brick.to_owned(), target.clone());
        Some(target)
    }
}

/// What the edge that the errand passes has for failures; none for most.
pub(crate) fn of(errand: &Errand<'_>) -> Option<Fallback> {
    let (edges, brick) = (errand.local.shared.edges()?, errand.target.brick()?);
    if errand.upgrade {
        return None;
    }
    edges.edge(brick).get().policy().fallback.clone()
}

/// Sends the request as any, within the errand's time, and answers something else where that fails.
pub(crate) async fn send(
    errand: &Errand<'_>,
    fallback: Fallback,
    parts: &mut Parts,
    body: RequestBody,
    call: &mut Call,
) -> Result<Given, Answer> {
    let key = matches!(fallback, Fallback::Kept(_))
        .then(|| key(errand.target, parts))
        .flatten();
    let (body, spare) = match fallback {
        Fallback::Brick { .. } => {
            let body = body.keep();
            let spare = body.replay().map(|again| (parts.clone(), again));
            (body, spare)
        }
        _ => (body, None),
    };
    let sent = forward::send(errand, parts, body, call);
    let sent = tokio::time::timeout_at(errand.deadline.into(), sent).await;
    let sent = sent.unwrap_or_else(|_| Err(forward::timed_out(errand)));
    let failed = match &sent {
        Ok(reply) => reply.response.status().is_server_error(),
        // What is wrong with the request is its sender's to know.
        Err(answer) => answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS,
    };
    let fallbacks = &errand.local.shared.fallbacks;
    if !failed {
        return sent.map(|mut reply| {
            reply.seen = key.and_then(|key| recorder(fallbacks, key, &reply));
            Given::Reply(Box::new(reply))
        });
    }
    let instead = match &fallback {
        Fallback::Kept(_) => key.and_then(|key| kept(fallbacks, &key)).map(Given::Instead),
        Fallback::Value { status, json } => value(*status, json).map(Given::Instead),
        Fallback::Brick { brick } => match spare {
            Some(spare) => other(errand, fallbacks, brick, spare, call)
                .await
                .map(|reply| Given::Reply(Box::new(reply))),
            None => None,
        },
    };
    let Some(mut given) = instead else {
        return sent.map(|reply| Given::Reply(Box::new(reply)));
    };
    if let (Some(edges), Some(brick)) = (errand.local.shared.edges(), errand.target.brick()) {
        edges.edge(brick).get().decide(Decision::Fallback);
        call.note("resilience.fallback");
        if let Ok(name) = HeaderValue::from_str(brick) {
            given.headers_mut().insert(DEGRADED, name);
        }
    }
    Ok(given)
}

impl Given {
    fn headers_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Reply(reply) => reply.response.headers_mut(),
            Self::Instead(response) => response.headers_mut(),
        }
    }
}

fn kept(fallbacks: &Fallbacks, key: &str) -> Option<Box<Response<Body>>> {
    let (kept, age_s) = fallbacks.stale.get(key)?;
    let mut response = Response::new(Body::whole(kept.body));
    *response.headers_mut() = kept.fields;
    response.headers_mut().insert(AGE, HeaderValue::from(age_s));
    Some(Box::new(response))
}

fn value(status: u16, json: &str) -> Option<Box<Response<Body>>> {
    let mut response = Response::new(Body::whole(Bytes::from(json.to_owned())));
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Some(Box::new(response))
}

/// The same request to another brick, within what is left of its time.
async fn other(
    errand: &Errand<'_>,
    fallbacks: &Fallbacks,
    brick: &str,
    (mut parts, body): (Parts, RequestBody),
    call: &mut Call,
) -> Option<Reply> {
    let target = fallbacks.target(errand, brick)?;
    if errand.local.shared.side == Side::Inside
        && let Ok(host) = HeaderValue::try_from(format!("{brick}.brick"))
    {
        parts.headers.insert(HOST, host);
    }
    let lead = target.lead(&mut parts.headers, false);
    let errand = Errand {
        target: &target,
        lead,
        faults: None,
        ..*errand
    };
    let sent = forward::send(&errand, &mut parts, body, call);
    let sent = tokio::time::timeout_at(errand.deadline.into(), sent).await;
    let reply = sent.ok()?.ok()?;
    (!reply.response.status().is_server_error()).then_some(reply)
}

/// All that an answer depends on: the brick, the target, what is accepted, and for whom it is. None for what is never
/// kept.
fn key(target: &Target, parts: &Parts) -> Option<String> {
    if parts.method != Method::GET || parts.headers.contains_key(RANGE) {
        return None;
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut key = format!("{}\n{path}", target.name());
    for name in &KEY {
        for value in parts.headers.get_all(name) {
            key.push('\n');
            key.push_str(name.as_str());
            key.push_str(value.to_str().ok()?);
        }
    }
    Some(key)
}

/// Keeps a good answer while it goes by.
#[derive(Debug)]
struct Recorder {
    stale: Arc<Stale<Kept>>,
    /// What it is kept as, and its fields; none once it was kept, or cannot be.
    of: Option<(String, HeaderMap)>,
    declared: Option<usize>,
    body: BytesMut,
}

/// Of what may be kept: a GET's 200 that sets no cookie and does not say `no-store`.
fn recorder(fallbacks: &Fallbacks, key: String, reply: &Reply) -> Option<Box<dyn Filter>> {
    let headers = reply.response.headers();
    let forbidden = headers.get_all(CACHE_CONTROL).iter().any(|value| {
        let directives = value.to_str().unwrap_or("no-store");
        let mut directives = directives.split(',').map(str::trim);
        directives.any(|one| one.eq_ignore_ascii_case("no-store"))
    });
    if reply.response.status() != StatusCode::OK || forbidden || headers.contains_key(SET_COOKIE) {
        return None;
    }
    let mut fields = headers.clone();
    headers::remove_hop(&mut fields);
    Some(Box::new(Recorder {
        stale: Arc::clone(&fallbacks.stale),
        of: Some((key, fields)),
        declared: reply
            .lease
            .size_hint()
            .exact()
            .and_then(|length| length.try_into().ok()),
        body: BytesMut::new(),
    }))
}

impl Recorder {
    fn keep(&mut self) {
        if let Some((key, fields)) = self.of.take() {
            let bytes = fields
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len());
            let bytes = bytes.sum::<usize>() + self.body.len();
            let body = std::mem::take(&mut self.body).freeze();
            self.stale.keep(key, Kept { fields, body }, bytes);
        }
    }
}

impl Filter for Recorder {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        if self.body.len() + piece.len() > self.stale.answer_bytes_max() {
            (self.of, self.body) = (None, BytesMut::new());
        }
        if self.of.is_some() {
            self.body.extend_from_slice(&piece);
        }
        // Whoever sends it on asks for nothing more once the declared length is there.
        if self.declared == Some(self.body.len()) {
            self.keep();
        }
        piece
    }

    fn end(&mut self) -> Bytes {
        if self.declared.is_none_or(|declared| declared == self.body.len()) {
            self.keep();
        }
        Bytes::new()
    }
}
