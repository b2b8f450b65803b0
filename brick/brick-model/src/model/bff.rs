//! `[edge.bff.NAME]`: a backend for one frontend. Each of its views is one answer, put together from several calls.

use std::collections::BTreeMap;

use brick_core::BrickName;
use brick_core::duration::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::{Auth, Rate};

/// `[edge.bff.NAME]`: the views of one kind of client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bff {
    /// What the paths of its views begin with; `/NAME` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Host that a request names, as of a route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Who may pass; `edge.auth` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Time limit of a view's answer.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// How many requests for its views pass; each view counts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Compresses answers for clients that take that.
    #[serde(default)]
    pub compress: bool,
    /// The views by name.
    #[serde(rename = "view", default)]
    pub views: BTreeMap<String, View>,
}

/// `[edge.bff.NAME.view.NAME]`: one answer, put together from several calls that go out at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Path below that of the frontend, with parameters: `/orders/{id}`.
    pub get: String,
    /// Who may pass; that of the frontend unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Scopes that the token or key must grant, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Time limit of the answer; that of the frontend unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Query parameters that parts use, with what stands for one that is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// The calls; each is a field of the answer.
    #[serde(rename = "part", default)]
    pub parts: BTreeMap<String, Part>,
    /// A sentence instead of the parts, `{"say": "…"}`: what a voice tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub say: Option<Say>,
}

/// One call of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Brick that is asked.
    pub from: BrickName,
    /// Path and query; `{id}` is a parameter of the view's path or query, `{subject}` the user.
    pub get: String,
    /// Path into its answer to a list, of which every entry is taken: `$.items`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// Most entries that are taken of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// What is taken of the answer (with `each`, of every entry), by the name it gets: `{ title = "$.name" }`. All of it
    /// unless said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Time limit of the call; what the view has left unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What stands in for it where the call fails. Without one the whole view fails with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Value>,
}

/// A sentence, made of values of the parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// The sentence, `{word}` for each word.
    pub text: String,
    /// The words by path into the parts: `{ status = "$.order.status" }`.
    #[serde(default)]
    pub words: BTreeMap<String, String>,
    /// What is said where a word is missing.
    pub otherwise: String,
}

fn default_timeout() -> Span {
    Span::from_secs(1)
}

impl Default for Bff {
    fn default() -> Self {
        Self {
            path: None,
            host: None,
            auth: None,
            timeout: default_timeout(),
            rate: None,
            compress: false,
            views: BTreeMap::new(),
        }
    }
}

impl Bff {
    /// What the paths of its views begin with.
    pub fn path(&self, name: &str) -> String {
        self.path.clone().unwrap_or_else(|| format!("/{name}"))
    }
}
