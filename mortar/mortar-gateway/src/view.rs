//! *Backend for Frontend*: one answer for one kind of client, put together from several calls that go out at the same
//! time.
//!
//! What always holds: a view answers within its own time; a part that fails gives way to its declared fallback, and is
//! named in the answer's `x-brick-degraded`; what is taken of an answer is named by paths, so nothing that a manifest
//! says can run.

mod compose;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brick_bus::routes;
use brick_model::load::path::JsonPath;
use brick_model::load::template;
use brick_wire::form;
use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use mortar_proxy::route::decoded;
use mortar_proxy::{Answer, Body, Caller, Compiler, Target, canonical};
use serde_json::{Map, Value};

use crate::figures::Figures;

/// Names the parts that gave way to their fallback.
const DEGRADED: HeaderName = HeaderName::from_static("x-brick-degraded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Placeholder that is the user whom the token is about.
const SUBJECT: &str = "subject";
/// Largest answer of a part.
const PART_BYTES_MAX: usize = 1 << 20;
/// What of a view's request its parts are told.
const PASSED: [HeaderName; 2] = [AUTHORIZATION, ACCEPT_LANGUAGE];

/// A view, compiled.
#[derive(Debug)]
pub(crate) struct View {
    name: Box<str>,
    /// Its path, with parameters.
    path: Box<str>,
    query: BTreeMap<String, String>,
    parts: Vec<Part>,
    say: Option<Say>,
}

#[derive(Debug)]
struct Part {
    name: String,
    target: Target,
    get: String,
    each: Option<JsonPath>,
    limit: usize,
    fields: Vec<(String, JsonPath)>,
    timeout: Duration,
    fallback: Option<Value>,
}

#[derive(Debug)]
struct Say {
    text: String,
    words: BTreeMap<String, JsonPath>,
    otherwise: String,
}

/// A view's request, ready to be made: it borrows nothing.
#[derive(Debug)]
pub(crate) struct Asked {
    view: Arc<View>,
    targets: Vec<String>,
    fields: HeaderMap,
    caller: Caller,
    figures: Figures,
}

/// What became of a part.
enum Outcome {
    Taken(Value),
    Fallback(Value),
}

impl View {
    /// Compiles; the error names the path that is none.
    pub(crate) fn new(told: &routes::View, compiler: &mut Compiler) -> Result<Self, String> {
        let path = |text: &String| {
            text.parse::<JsonPath>()
                .map_err(|e| format!("view {}: {e}", told.name))
        };
        // A tenth of the time is kept for putting the answer together.
        let most = Duration::from_millis(told.timeout_ms) * 9 / 10;
        let part = |(name, part): (&String, &routes::Part)| {
            let field = |(name, text): (&String, &String)| Ok((name.clone(), path(text)?));
            Ok(Part {
                name: name.clone(),
                target: compiler.target(part.from.as_str(), &BTreeMap::new()),
                get: part.get.clone(),
                each: part.each.as_ref().map(path).transpose()?,
                limit: part
                    .limit
                    .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
                fields: part.fields.iter().map(field).collect::<Result<_, String>>()?,
                timeout: part
                    .timeout_ms
                    .map_or(most, |own| Duration::from_millis(own).min(most)),
                fallback: part.fallback.clone(),
            })
        };
        let parts = told.parts.iter().map(part).collect::<Result<_, String>>()?;
        let say = told.say.as_ref().map(|say| {
            let word = |(name, text): (&String, &String)| Ok((name.clone(), path(text)?));
            Ok::<_, String>(Say {
                text: say.text.clone(),
                words: say.words.iter().map(word).collect::<Result<_, String>>()?,
                otherwise: say.otherwise.clone(),
            })
        });
        Ok(Self {
            name: told.name.as_str().into(),
            path: told.path.as_str().into(),
            query: told.query.clone(),
            parts,
            say: say.transpose()?,
        })
    }

    /// Reads the request; `subject` is the user whom its token is about.
    pub(crate) fn ask(
        self: &Arc<Self>,
        head: &Parts,
        subject: Option<&str>,
        caller: Caller,
        figures: Figures,
    ) -> Result<Asked, Answer> {
        let parameters = self.parameters(head, subject)?;
        let mut targets = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let known = |name: &str| parameters.get(name).map(|value| component(value));
            let target = template::fill(&part.get, known).map_err(|name| {
                let detail = format!("the view {} has no value for {{{name}}}", self.name);
                Answer::new(StatusCode::BAD_REQUEST, "parameter_missing", detail)
            })?;
            targets.push(target);
        }
        let passed = PASSED
            .iter()
            .filter_map(|name| Some((name.clone(), head.headers.get(name)?.clone())));
        Ok(Asked {
            view: Arc::clone(self),
            targets,
            fields: passed.collect(),
            caller,
            figures,
        })
    }

    fn parameters(&self, head: &Parts, subject: Option<&str>) -> Result<BTreeMap<String, String>, Answer> {
        let mut parameters = self.query.clone();
        for pair in head.uri.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(known) = parameters.get_mut(&*decoded(name)) {
                *known = decoded(value).into_owned();
            }
        }
        let path = canonical(head.uri.path()).unwrap_or_default();
        for (wanted, found) in self.path.split('/').zip(path.split('/')) {
            if let Some(name) = template::placeholders(wanted).first() {
                // A plus is a plus in a path.
                let value = decoded(&found.replace('+', "%2B")).into_owned();
                parameters.insert((*name).to_owned(), value);
            }
        }
        if let Some(subject) = subject {
            parameters.insert(SUBJECT.to_owned(), subject.to_owned());
        }
        // They would lead elsewhere as a segment of a path.
        if parameters
            .values()
            .any(|value| matches!(value.as_str(), "." | ".."))
        {
            let detail = "a parameter cannot be a dot segment";
            return Err(Answer::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail));
        }
        Ok(parameters)
    }
}

impl Asked {
    /// Makes the calls and puts the answer together.
    pub(crate) async fn answer(self) -> Result<Response<Body>, Answer> {
        let calls = self.view.parts.iter().zip(&self.targets);
        let outcomes = join_all(calls.map(|(part, target)| self.part(part, target))).await;
        let mut whole = Map::new();
        let mut degraded = Vec::new();
        for (part, outcome) in self.view.parts.iter().zip(outcomes) {
            let value = match outcome? {
                Outcome::Taken(value) => value,
                Outcome::Fallback(value) => {
                    degraded.push(part.name.as_str());
                    value
                }
            };
            whole.insert(part.name.clone(), value);
        }
        let whole = Value::Object(whole);
        let shown = match &self.view.say {
            Some(say) => serde_json::json!({ "say": compose::sentence(say, &whole) }),
            None => whole,
        };
        let mut response = Response::new(Body::whole(shown.to_string().into()));
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, JSON);
        // It may be one user's; whoever knows better says so at the route.
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        if let Ok(names) = HeaderValue::from_str(&degraded.join(", "))
            && !degraded.is_empty()
        {
            fields.insert(DEGRADED, names);
        }
        Ok(response)
    }

    async fn part(&self, part: &Part, target: &str) -> Result<Outcome, Answer> {
        let count = |outcome: &str| {
            let labels = [&*self.view.name, part.name.as_str(), outcome];
            self.figures.parts.with(&labels).inc();
        };
        match self.call(part, target).await {
            Ok(value) => {
                count("ok");
                Ok(Outcome::Taken(value))
            }
            Err(answer) => match &part.fallback {
                Some(fallback) => {
                    count("fallback");
                    tracing::debug!(
                        view = &*self.view.name,
                        part = part.name,
                        code = answer.code,
                        "a part gave way to its fallback"
                    );
                    Ok(Outcome::Fallback(fallback.clone()))
                }
                None => {
                    count("failed");
                    Err(answer)
                }
            },
        }
    }

    async fn call(&self, part: &Part, target: &str) -> Result<Value, Answer> {
        let failed = |status, why: String| {
            Answer::new(
                status,
                "part_failed",
                format!("part {} of the view {}: {why}", part.name, self.view.name),
            )
        };
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = target
            .parse()
            .map_err(|_| failed(StatusCode::BAD_REQUEST, "its parameters make no path".to_owned()))?;
        *request.headers_mut() = self.fields.clone();
        request.headers_mut().insert(ACCEPT, JSON);
        let answered = self
            .caller
            .call(&part.target, request, part.timeout, PART_BYTES_MAX)
            .await;
        let response = answered.map_err(|answer| failed(answer.status, answer.detail.into_owned()))?;
        let (status, name) = (response.status(), part.target.name());
        if !status.is_success() {
            // What the client did wrong it is told as the brick tells it.
            let shown = if status.is_client_error() {
                status
            } else {
                StatusCode::BAD_GATEWAY
            };
            return Err(failed(shown, format!("{name} answered {status}")));
        }
        let value: Value = serde_json::from_slice(response.body()).map_err(|error| {
            failed(
                StatusCode::BAD_GATEWAY,
                format!("{name} answered no JSON: {error}"),
            )
        })?;
        compose::taken(part, value).ok_or_else(|| {
            failed(
                StatusCode::BAD_GATEWAY,
                format!("the answer of {name} has no such list"),
            )
        })
    }
}

fn component(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    form::component(&mut out, value);
    out
}

#[cfg(test)]
mod tests;
