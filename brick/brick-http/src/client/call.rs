//! A call being put together, and its answer.

use std::time::Duration;

use brick_resilience::shed::Criticality;
use brick_wire::form;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{BODY_BYTES_MAX, Client};
use crate::{Error, Problem};

/// A call being put together.
#[derive(Debug)]
#[must_use = "a call is sent by `send` or `fetch`"]
pub struct Call {
    pub(super) client: Client,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) timeout: Option<Duration>,
    pub(super) bytes_max: usize,
    pub(super) forward_user: bool,
    pub(super) criticality: Option<Criticality>,
    /// False for a call that is itself another's fallback.
    pub(super) may_fall_back: bool,
    pub(super) invalid: Option<String>,
}

/// A whole answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, within the limit.
    pub body: Bytes,
    /// What it is instead of the callee's answer, where the call failed and the manifest says what to answer then.
    pub fallback: Option<FallbackKind>,
    pub(super) brick: String,
}

/// What was answered instead of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackKind {
    /// What the same GET gave last; the header `age` says how many seconds ago.
    Stale,
    /// The manifest's fixed answer.
    Value,
    /// Another brick's answer.
    Brick,
}

impl Call {
    pub(super) fn new(client: Client, method: Method, path: String) -> Self {
        let invalid =
            (!path.starts_with('/')).then(|| format!("the path \"{path}\" does not start with \"/\""));
        Self {
            client,
            method,
            path,
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
            bytes_max: BODY_BYTES_MAX,
            forward_user: true,
            criticality: None,
            may_fall_back: true,
            invalid,
        }
    }

    /// Adds the fields of `query` to the query: scalars as they are, lists as repeated names, none left out.
    pub fn query(mut self, query: &impl Serialize) -> Self {
        match serde_json::to_value(query) {
            Ok(Value::Object(fields)) => {
                for (name, value) in &fields {
                    self.add_query(name, value);
                }
            }
            Ok(_) => self.invalid = Some("a query is made of a struct or a map".to_owned()),
            Err(error) => self.invalid = Some(error.to_string()),
        }
        self
    }

    /// Sets a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body("application/json", bytes),
            Err(error) => {
                self.invalid = Some(error.to_string());
                self
            }
        }
    }

    /// Sets a body as it is.
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body.into();
        self
    }

    /// Adds a header. Those that carry context (`traceparent`, `baggage`, `x-brick-identity`) are the client's own.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.append(name, value);
            }
            Err(_) => self.invalid = Some(format!("the value of header {name} holds a control character")),
        }
        self
    }

    /// Marks repeated calls as one: the callee does the work once and answers alike.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header(HeaderName::from_static("idempotency-key"), key)
    }

    /// Calls for the user of this token instead of the one behind the present request.
    pub fn user_token(mut self, token: &str) -> Self {
        self.headers.remove(AUTHORIZATION);
        self.header(AUTHORIZATION, &format!("Bearer {token}"))
    }

    /// Calls for the brick itself: the user behind the present request is not told.
    pub fn as_self(mut self) -> Self {
        self.forward_user = false;
        self
    }

    /// Sets the time limit of the whole call, all attempts and the answer's body included.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Says how much the call matters where the callee has more to do than it can; the present request's class unless
    /// said.
    pub fn criticality(mut self, class: Criticality) -> Self {
        self.criticality = Some(class);
        self
    }

    /// Sets the largest answer taken, in bytes.
    pub fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// The same call to another brick, as this one's fallback.
    pub(super) fn again(&self, client: Client) -> Self {
        Self {
            client,
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            timeout: None,
            bytes_max: self.bytes_max,
            forward_user: self.forward_user,
            criticality: self.criticality,
            may_fall_back: false,
            invalid: None,
        }
    }

    /// Sends it and reads a successful JSON answer; any other status is [`Error::Status`].
    pub async fn fetch<T: DeserializeOwned>(self) -> Result<T, Error> {
        self.send().await?.success()?.json()
    }

    fn add_query(&mut self, name: &str, value: &Value) {
        let text = match value {
            Value::Null => return,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(values) => {
                for value in values {
                    self.add_query(name, value);
                }
                return;
            }
            Value::Object(_) => {
                self.invalid = Some(format!(
                    "the query field \"{name}\" is a map; expected a scalar or a list"
                ));
                return;
            }
        };
        if !self.query.is_empty() {
            self.query.push('&');
        }
        form::component(&mut self.query, name);
        self.query.push('=');
        form::component(&mut self.query, &text);
    }
}

impl Answer {
    /// The answer if its status is a success, [`Error::Status`] otherwise.
    pub fn success(self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        let problem = Box::new(Problem::from_answer(self.status, &self.body));
        Err(Error::Status {
            brick: self.brick,
            problem,
        })
    }

    /// Reads the body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|source| Error::Decode {
            brick: self.brick.clone(),
            source,
        })
    }
}

/// The text as one segment of a path: what would end it is percent-encoded (RFC 3986 §3.3).
pub fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    form::component(&mut out, text);
    // A segment of dots would be taken away by whoever normalises the path.
    match out.as_str() {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => out,
    }
}
