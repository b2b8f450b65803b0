//! `[route.NAME]`: public paths that lead to a brick, and what the edge does with their requests.

use std::collections::BTreeMap;

use brick_core::duration::Span;
use brick_core::{BrickName, BrickRef, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::{PerSecond, Share};
use crate::pattern::Pattern;
use crate::size::Bytes;

/// `[route.NAME]`: public paths that lead to a brick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Path pattern: `/a/b` exactly, or `/a/**` for `/a` and all below it.
    #[serde(rename = "match")]
    pub path: Pattern,
    /// Host that a request names: `shop.test`, or `*.shop.test` for all below it; any unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Methods; all unless said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Fields that a request has, with their values; `*` stands for any value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters that a request has, with their values; `*` stands for any value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Brick that serves it.
    pub to: BrickName,
    /// Who may pass; `edge.auth` unless said. Read it through [`crate::Model::routes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Scopes that the token or key must grant, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Audience that a user token must have besides the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Time limit of the whole exchange; the limit of `edge -> BRICK` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Largest request body.
    #[serde(default = "default_body_max")]
    pub body_max: Bytes,
    /// Whether `Upgrade: websocket` passes.
    #[serde(default)]
    pub websocket: bool,
    /// Whether `CONNECT` passes: a tunnel to an instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub connect: bool,
    /// The path that the brick is asked for; that of the request unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// Pages of which other origins may call it; what `[edge.cors]` says unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Setting<Cors>>,
    /// How many requests pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Keeps answers and uses them again (RFC 9111); `true` with every default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Setting<Cache>>,
    /// Compresses answers for clients that take that.
    #[serde(default)]
    pub compress: bool,
    /// Copies of requests go there too; their answers are thrown away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// Share of the requests by version, in parts of their sum; all instances alike unless said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<Version, u32>,
}

/// Who may pass a route of the edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Everybody.
    Public,
    /// A valid user token of this system.
    #[default]
    Jwt,
    /// A valid API key.
    ApiKey,
}

/// A function that is switched on or off, or has settings of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Setting<T> {
    /// As said elsewhere or by default, or not at all.
    Switch(bool),
    /// Like this.
    Own(T),
}

/// The path that the brick is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rewrite {
    /// Takes the place of what the pattern names: `/v1` for `/api/orders/**` makes `/v1/7` of `/api/orders/7`.
    Prefix(String),
    /// Takes the place of the whole path.
    Path(String),
}

/// Cross-origin resource sharing: pages of which other origins may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Origins: `https://shop.test`, `https://*.shop.test`, or `*` for all.
    pub origins: Vec<String>,
    /// Methods that they may use.
    #[serde(default = "default_methods")]
    pub methods: Vec<String>,
    /// Fields that they may send; `*` stands for all that they ask for.
    #[serde(default = "default_headers")]
    pub headers: Vec<String>,
    /// Fields of answers that they may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// Whether they may send cookies and the like; not with all origins.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember the answer to a preflight.
    #[serde(default = "default_max_age")]
    pub max_age: Span,
}

/// How many requests pass: a token bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests a second, on average.
    pub per_second: PerSecond,
    /// Requests that may come at once; those of one second, at least 1, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// What has a bucket of its own.
    #[serde(default)]
    pub by: RateBy,
}

/// What has a bucket of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RateBy {
    /// Every client address.
    #[default]
    Client,
    /// The route as a whole.
    Route,
    /// Every user, or every API key; clients without one by their address.
    Token,
}

/// Keeping answers (RFC 9111).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Largest answer that is kept.
    pub bytes_max: Bytes,
    /// How long an answer is fresh that says nothing about it; none of those is kept unless said.
    pub default_ttl: Span,
    /// How long a stale answer may be used while a fresh one is fetched, where it does not say itself (RFC 5861).
    pub stale_while_revalidate: Span,
    /// How long a stale answer may be used where no fresh one can be had, where it does not say itself.
    pub stale_if_error: Span,
}

/// Copies of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Brick, or version of one, that gets them: `order@v2`.
    pub to: BrickRef,
    /// Share of the requests, 0 to 1.
    #[serde(default = "whole")]
    pub share: Share,
}

fn default_body_max() -> Bytes {
    Bytes(1 << 20)
}

fn default_methods() -> Vec<String> {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        .map(str::to_owned)
        .to_vec()
}

fn default_headers() -> Vec<String> {
    ["authorization", "content-type", "idempotency-key"]
        .map(str::to_owned)
        .to_vec()
}

fn default_max_age() -> Span {
    Span::from_secs(600)
}

fn whole() -> Share {
    Share(1_000_000)
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            methods: default_methods(),
            headers: default_headers(),
            expose: Vec::new(),
            credentials: false,
            max_age: default_max_age(),
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            bytes_max: Bytes(1 << 20),
            default_ttl: Span::default(),
            stale_while_revalidate: Span::default(),
            stale_if_error: Span::default(),
        }
    }
}

impl Rate {
    /// Requests that may come at once.
    pub fn burst(&self) -> u32 {
        let second = u32::try_from(self.per_second.0 / 1_000).unwrap_or(u32::MAX);
        self.burst.unwrap_or(second).max(1)
    }
}

impl Mirror {
    /// All requests are copied there.
    pub fn new(to: BrickRef) -> Self {
        Self { to, share: whole() }
    }
}

impl Route {
    /// A route with every default.
    pub fn new(path: Pattern, to: BrickName) -> Self {
        Self {
            path,
            host: None,
            methods: Vec::new(),
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            to,
            auth: None,
            scopes: Vec::new(),
            audience: None,
            timeout: None,
            body_max: default_body_max(),
            websocket: false,
            connect: false,
            rewrite: None,
            cors: None,
            rate: None,
            cache: None,
            compress: false,
            mirror: None,
            weights: BTreeMap::new(),
        }
    }

    /// What it asks of a request besides the path, as text: two routes with the same cannot be told apart.
    pub fn conditions(&self) -> String {
        let mut methods = self.methods.clone();
        methods.sort_unstable();
        let host = self.host.as_deref().unwrap_or_default();
        match self.conditions_count() {
            0 => host.to_owned(),
            _ => format!("{host} {methods:?} {:?} {:?}", self.headers, self.query),
        }
    }

    /// How many things it asks of a request besides host and path.
    pub fn conditions_count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len() + self.query.len()
    }
}
