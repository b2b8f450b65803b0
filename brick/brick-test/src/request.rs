//! A request to the brick under test.

use std::time::Duration;

use brick_wire::Client;
use brickwork::auth::IDENTITY_HEADER;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, Method};
use serde::Serialize;

use crate::{TestAnswer, TestIssuer};

/// A request in the making.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct TestRequest {
    pub(crate) client: Client,
    pub(crate) issuer: TestIssuer,
    pub(crate) brick: String,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
}

impl TestRequest {
    /// For a signed-in user with scope `customer`.
    pub fn as_user(self, subject: &str) -> Self {
        self.as_user_with(subject, &["customer"])
    }

    /// For a signed-in user with these scopes.
    pub fn as_user_with(self, subject: &str, scopes: &[&str]) -> Self {
        let token = self.issuer.user_token(subject, scopes);
        self.bearer(&token)
    }

    /// From another brick, which may call this one.
    pub fn as_brick(self, name: &str) -> Self {
        let scope = format!("call:{}", self.brick);
        let token = self.issuer.process_token(name, &[&scope, "bus"]);
        self.header(IDENTITY_HEADER, &token)
    }

    /// From an operator, with scope `admin`.
    pub fn as_operator(self) -> Self {
        let token = self.issuer.operator_token();
        self.bearer(&token)
    }

    /// With whatever token a test makes up.
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Adds a header. Panics where the name is none.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With a JSON body.
    pub fn json(self, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("a value that JSON can say");
        self.body("application/json", body)
    }

    /// With a form as body.
    pub fn form(self, pairs: &[(&str, &str)]) -> Self {
        self.body(brick_wire::form::CONTENT_TYPE, brick_wire::form::encode(pairs))
    }

    /// With any body.
    pub fn body(mut self, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some((content_type, body.into()));
        self
    }

    /// Sends it. Panics where no answer comes within 10 s: an answer that is an error is an answer.
    pub async fn send(self) -> TestAnswer {
        let shown = format!("{} {}", self.method, self.url);
        let mut call = self
            .client
            .call(self.method, self.url)
            .timeout(Duration::from_secs(10));
        if let Some((content_type, body)) = self.body {
            call = call.body(content_type, body);
        }
        for (name, value) in self.headers.into_iter().filter(|(name, _)| *name != CONTENT_TYPE) {
            call = call.header(name, &value);
        }
        match call.send().await {
            Ok(response) => TestAnswer {
                status: response.status,
                headers: response.headers,
                body: response.body.to_vec(),
            },
            Err(error) => panic!("{shown}: {error}"),
        }
    }
}
