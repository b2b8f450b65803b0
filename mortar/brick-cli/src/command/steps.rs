//! Steps of load scenarios and suites: one request each, with the values that earlier steps saved.
//!
//! The one implementation of steps. A load scenario counts what failed; a suite shows it whole, so an [`Exchange`]
//! holds both: what was sent, what came back, and each expectation that did not hold.

mod expect;

use std::collections::HashMap;
use std::time::Duration;

use brick_core::ExitCode;
use brick_model::load::template;
use brick_model::{Expect, Step};
use brick_telemetry::context::SpanContext;
use brick_wire::{Client, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::agent::Admin;
use crate::failure::{Failure, Outcome, is_away, passes};
use crate::patience::Patience;

/// Time limit of one request.
const LIMIT: Duration = Duration::from_secs(30);
/// How long an address may take to answer at all.
const REACH: Duration = Duration::from_secs(5);
/// Headers whose values are credentials: they are sent, never shown.
const SECRET: [&str; 4] = ["authorization", "cookie", "set-cookie", "x-brick-identity"];

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Values that steps saved, by name.
pub(crate) type Values = HashMap<String, String>;

/// Sends steps to an address.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    target: String,
    client: Client,
    headers: HeaderMap,
    /// Whether each request begins a trace, where nobody on the way does.
    begins_traces: bool,
}

/// What one step did.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Method and path as the step names them, without the query.
    pub(crate) what: String,
    /// What was sent, where it came to that.
    pub(crate) request: Option<Sent>,
    /// What came back.
    pub(crate) answer: Option<Received>,
    /// From the first byte sent to the last one read.
    pub(crate) took: Duration,
    /// What did not hold.
    pub(crate) misses: Vec<Miss>,
    /// Whether what did not hold may pass by itself: nobody was there to answer.
    pub(crate) passes: bool,
}

/// A request as it was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Something that did not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Miss {
    /// The same for every occurrence, to be counted by.
    pub(crate) kind: String,
    /// What was expected and what was found.
    pub(crate) told: String,
}

impl Miss {
    fn new(kind: impl Into<String>, told: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            told: told.into(),
        }
    }

    fn same(told: impl Into<String>) -> Self {
        let told = told.into();
        Self {
            kind: told.clone(),
            told,
        }
    }
}

impl Exchange {
    /// Whether everything held.
    pub(crate) fn passed(&self) -> bool {
        self.misses.is_empty()
    }

    /// What failed first, in words that are the same each time.
    pub(crate) fn failure(&self) -> Option<String> {
        let miss = self.misses.first()?;
        Some(format!("{}: {}", self.what, miss.kind))
    }

    /// The trace that the answer names, else the one that the request began.
    pub(crate) fn trace_id(&self) -> Option<&str> {
        let told = self
            .answer
            .as_ref()
            .and_then(|answer| answer.headers.get("x-trace-id"));
        let begun = || self.request.as_ref()?.headers.get(&TRACEPARENT)?.to_str().ok();
        match told {
            Some(told) => told.to_str().ok(),
            None => begun()?.split('-').nth(1),
        }
    }
}

impl Steps {
    /// Steps that go to this base URL by this client.
    pub(crate) fn new(target: &str, client: Client) -> Self {
        Self {
            target: target.trim_end_matches('/').to_owned(),
            client,
            headers: HeaderMap::new(),
            begins_traces: false,
        }
    }

    /// Begins a trace with each request: there is no edge that would.
    pub(crate) fn begin_traces(mut self) -> Self {
        self.begins_traces = true;
        self
    }

    /// Sends a header with every request.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Outcome<Self> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Failure::usage(format!("the value of header {name} cannot be sent")))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sends one step's request, holds the answer against what it expects, and keeps what it saves.
    pub(crate) async fn step(&self, step: &Step, values: &mut Values) -> Exchange {
        let what = step.request().map_or_else(String::new, |(method, target)| {
            let path = target.split('?').next().unwrap_or(target);
            format!("{} {path}", method.as_str())
        });
        let mut exchange = Exchange {
            what,
            request: None,
            answer: None,
            took: Duration::ZERO,
            misses: Vec::new(),
            passes: false,
        };
        let sent = match self.prepare(step, values) {
            Ok(sent) => sent,
            Err(reason) => {
                exchange.misses.push(Miss::same(reason));
                return exchange;
            }
        };
        let begin = Instant::now();
        let answer = self.send(&sent).await;
        exchange.took = begin.elapsed();
        exchange.request = Some(sent);
        match answer {
            Ok(answer) => {
                exchange.misses = expect::misses(step, &answer, values);
                exchange.passes = !exchange.misses.is_empty() && is_away(answer.status);
                if exchange.misses.is_empty() {
                    exchange.misses = expect::save(step, &answer, values);
                }
                exchange.answer = Some(Received {
                    status: answer.status,
                    body: String::from_utf8_lossy(&answer.body).into_owned(),
                    headers: answer.headers,
                });
            }
            Err(error) => {
                exchange.passes = passes(&error);
                exchange.misses.push(Miss::same(brick_core::chain(&error)));
            }
        }
        exchange
    }

    fn prepare(&self, step: &Step, values: &Values) -> Result<Sent, String> {
        let (method, target) = step.request().ok_or("a step names no request")?;
        let mut headers = self.headers.clone();
        if self.begins_traces {
            headers.insert(TRACEPARENT, header(&SpanContext::root().traceparent())?);
        }
        let body = step.body.as_deref().map(|body| fill(body, values)).transpose()?;
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = step.auth.as_ref().and_then(|_| values.get(&token_key(step))) {
            headers.insert(AUTHORIZATION, header(&format!("Bearer {token}"))?);
        }
        for (name, value) in &step.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            headers.insert(name, header(&fill(value, values)?)?);
        }
        Ok(Sent {
            method: Method::from_bytes(method.as_str().as_bytes()).map_err(|error| error.to_string())?,
            url: format!("{}{}", self.target, fill(target, values)?),
            headers,
            body: body.unwrap_or_default(),
        })
    }

    async fn send(&self, sent: &Sent) -> Result<Response, brick_wire::Error> {
        let call = self
            .client
            .call(sent.method.clone(), sent.url.as_str())
            .timeout(LIMIT)
            .headers(sent.headers.clone())
            .payload(sent.body.clone());
        call.send().await
    }
}

/// Whether anybody answers there, whatever the answer is; exit code 6 where nobody does.
pub(crate) async fn reach(what: &str, client: &Client, url: &str, patience: &Patience) -> Outcome {
    let knock = async || {
        let answer = client.get(format!("{url}/")).timeout(REACH).send().await;
        answer.map(drop).map_err(|error| {
            let message = format!("{what} cannot be reached: {}", brick_core::chain(&error));
            let hint = match error.io_kind() {
                Some(std::io::ErrorKind::InvalidData) => crate::tls::HINT,
                _ => "is it up, and is this the address of its edge?",
            };
            Failure {
                passes: passes(&error),
                ..Failure::new(ExitCode::Unhealthy, message).hint(hint)
            }
        })
    };
    patience.until_there(knock).await
}

/// A token of a user for each scope that a step names, issued by the system itself.
pub(crate) async fn issue_tokens(steps: &[Step], admin: &Admin, values: &mut Values) -> Outcome {
    for step in steps {
        let Some(scope) = &step.auth else { continue };
        if values.contains_key(&token_key(step)) {
            continue;
        }
        let subject = step
            .subject
            .clone()
            .unwrap_or_else(|| format!("imagined-{scope}"));
        let subject = fill(&subject, values).map_err(Failure::failed)?;
        let body = json!({ "subject": subject, "scopes": [scope], "audience": "user" });
        let issued: Value = admin.post("/api/identity/v1/tokens", &body).await?;
        let token = issued["token"].as_str().unwrap_or_default();
        values.insert(token_key(step), token.to_owned());
    }
    Ok(())
}

/// A platform token for the length of a run.
pub(crate) async fn platform_token(admin: &Admin, subject: &str, scopes: &[&str]) -> Outcome<String> {
    let body = json!({ "subject": subject, "scopes": scopes, "audience": "platform", "ttl_s": 3_600 });
    let issued: Value = admin.post("/api/identity/v1/tokens", &body).await?;
    Ok(issued["token"].as_str().unwrap_or_default().to_owned())
}

/// A header's value as it may be shown.
pub(crate) fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    if SECRET.contains(&name.as_str()) {
        "…".to_owned()
    } else {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    }
}

fn header(value: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(value).map_err(|_| "a header's value holds a control character".to_owned())
}

fn token_key(step: &Step) -> String {
    format!(
        "token of {} as {}",
        step.auth.as_deref().unwrap_or_default(),
        step.subject.as_deref().unwrap_or_default()
    )
}

/// The text with its placeholders filled in.
fn fill(text: &str, values: &Values) -> Result<String, String> {
    template::fill(text, |name| match name {
        template::UUID => Some(brick_core::Incarnation::new().to_string()),
        name => values.get(name).cloned(),
    })
    .map_err(|name| format!("no step saved a value called {name}"))
}

/// What a step expects of headers and body.
fn expected(step: &Step) -> Option<&brick_model::load::Answer> {
    step.expect.as_ref().and_then(Expect::answer)
}
