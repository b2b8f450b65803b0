//! Value of `routes/edge`: what the edge gateway serves, and what it does with a request besides passing it on.
//!
//! Everything that a route may do is optional and absent unless the manifest asks for it, so that gateways and
//! controls of different age understand each other.

use std::collections::BTreeMap;

use brick_core::{BrickName, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name of the resource.
pub const ROUTES: &str = "routes/edge";
/// Name of the resource with the digests of API keys.
pub const KEYS: &str = "keys/edge";

/// What the edge gateway serves, most specific match first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouteTable {
    /// The routes in the order in which they are tried.
    pub routes: Vec<Route>,
    /// Views: answers that the gateway puts together from several calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<View>,
    /// Largest size of all cached answers, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_bytes_max: Option<u64>,
    /// Where rate limits are counted for all gateways together, `redis://host:port/db`; here alone unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_store: Option<String>,
    /// Those of the bricks that routes and views lead to which run outside the system.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub externals: BTreeMap<BrickName, External>,
}

/// A service outside the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// Its base URL: `http://` or `https://`, host, port, and what its paths begin with.
    pub url: String,
    /// Whether it speaks HTTP/2 without TLS, by prior knowledge. With TLS that is agreed on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub h2c: bool,
    /// Whom it has to be and who the caller is, where the defaults do not do.
    #[serde(default, skip_serializing_if = "ExternalTls::is_usual")]
    pub tls: ExternalTls,
}

/// TLS towards a service outside the system. Files are relative to the system's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExternalTls {
    /// PEM file of the authorities that count; those of the machine unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// PEM file of the chain that is shown where a certificate is asked for, leaf first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// PEM file of its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Name that the service's certificate has to be for; the host of the URL unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl ExternalTls {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// One route of the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Name in the manifest.
    pub name: String,
    /// Path pattern: exact (`/health`), or a prefix (`/api/orders/**`: the prefix itself and all below it).
    pub path: String,
    /// What a request must be like besides its path.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Brick that serves it.
    pub to: BrickName,
    /// Who may pass.
    pub auth: RouteAuth,
    /// Scopes that the token or key must grant, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Audience that a token must have besides the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Whether the route lets `Upgrade: websocket` through.
    #[serde(default)]
    pub websocket: bool,
    /// Whether it lets `CONNECT` through, as a tunnel to an instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub connect: bool,
    /// Time limit of the whole exchange in milliseconds; `limits/edge-><brick>` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Largest request body in bytes.
    pub body_bytes_max: u64,
    /// The path that the brick is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// Share of requests by version, in parts of their sum; all instances alike unless said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<Version, u32>,
    /// Copies of requests go there too; their answers are thrown away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// What is done besides.
    #[serde(flatten)]
    pub functions: Functions,
}

/// What a request must be like besides its path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// Host that it names, in lower case: `shop.test`, or `*.shop.test` for all below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Methods; all unless said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Fields with their values; `*` stands for any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters with their values; `*` stands for any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
}

/// What the gateway does besides passing a request on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Functions {
    /// Pages of which other origins may call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// How many requests pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Whether answers are kept and used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Whether answers are compressed for clients that take that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compress: bool,
}

/// Who may pass a route of the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteAuth {
    /// Everybody; a token that comes along is neither checked nor removed.
    Public,
    /// A valid user token of this system.
    Jwt,
    /// A valid API key.
    ApiKey,
}

/// The path that the brick is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rewrite {
    /// Takes the place of what the pattern names: `/v1` for `/api/orders/**` makes `/v1/7` of `/api/orders/7`.
    Prefix(String),
    /// Takes the place of the whole path.
    Path(String),
}

/// Copies of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// Brick that gets them.
    pub to: BrickName,
    /// Version of it; all instances unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// How many of a million requests are copied.
    pub per_million: u32,
}

/// Cross-origin resource sharing (Fetch standard, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Origins that may call: `https://shop.test`, `https://*.shop.test`, or `*` for all.
    pub origins: Vec<String>,
    /// Methods that they may use besides the simple ones.
    pub methods: Vec<String>,
    /// Fields that they may send; `*` stands for all that they ask for.
    pub headers: Vec<String>,
    /// Fields of answers that they may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// Whether they may send cookies and the like.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember the answer to a preflight, in seconds.
    pub max_age_s: u64,
}

/// How many requests pass: a token bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Requests in a thousand seconds, on average.
    pub per_kilosecond: u64,
    /// Requests that may come at once.
    pub burst: u32,
    /// What has a bucket of its own.
    pub by: RateBy,
}

/// What has a bucket of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateBy {
    /// Every client address.
    Client,
    /// The route as a whole.
    Route,
    /// Every user, or every API key; clients without one by their address.
    Token,
}

/// Keeping answers (RFC 9111).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Largest answer that is kept, in bytes.
    pub bytes_max: u64,
    /// How long an answer is fresh that says nothing about it, in milliseconds; 0 keeps none of those.
    pub default_ttl_ms: u64,
    /// How long a stale answer may be used while a fresh one is fetched, where it does not say itself (RFC 5861).
    pub stale_while_revalidate_ms: u64,
    /// How long a stale answer may be used where no fresh one can be had, likewise.
    pub stale_if_error_ms: u64,
}

/// One view of a backend for frontend: several calls at a time, one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Name: that of the frontend and its own, `mobile.home`.
    pub name: String,
    /// Its path, with parameters: `/mobile/orders/{id}`.
    pub path: String,
    /// What a request must be like besides.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Who may pass.
    pub auth: RouteAuth,
    /// Scopes that the token or key must grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Time limit of the whole answer in milliseconds.
    pub timeout_ms: u64,
    /// Query parameters that it takes besides, with what stands for one that is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// The calls by name.
    pub parts: BTreeMap<String, Part>,
    /// A sentence instead of the parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub say: Option<Say>,
    /// What is done besides.
    #[serde(flatten)]
    pub functions: Functions,
}

/// One call of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Brick that is asked.
    pub from: BrickName,
    /// Path and query, with parameters of the view.
    pub get: String,
    /// Path into its answer to a list, of which every entry is taken; the whole answer unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// Most entries that are taken of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// What is taken, and under which name; all of it unless said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Time limit of the call in milliseconds; what the view has left unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What stands in for it where the call fails. Without one the view fails with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Value>,
}

/// A sentence, made of values of the parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Say {
    /// The sentence, with `{word}` for each word.
    pub text: String,
    /// The words, by path into the answer of the parts: `$.order.status`.
    #[serde(default)]
    pub words: BTreeMap<String, String>,
    /// What is said where a word is missing.
    pub otherwise: String,
}

/// Value of `keys/edge`: the API keys that count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApiKeys {
    /// The keys.
    pub keys: Vec<ApiKey>,
}

/// One API key, as its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// What the key begins with: its name, which is no secret.
    pub id: String,
    /// SHA-256 of the whole key, in hexadecimal.
    pub sha256: String,
    /// Whom it was made for.
    pub owner: String,
    /// What it grants.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Seconds since the epoch after which it is void; none means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_a_control_that_knows_no_functions_is_understood() {
        let old = serde_json::json!({ "routes": [{
            "name": "orders", "path": "/api/orders/**", "to": "order", "auth": "jwt", "websocket": false,
            "body_bytes_max": 1024,
        }] });
        let table: RouteTable = serde_json::from_value(old.clone()).unwrap();
        assert_eq!(table.routes[0].conditions, Conditions::default());
        assert_eq!(table.routes[0].functions, Functions::default());
        assert_eq!(serde_json::to_value(&table).unwrap(), old);
    }
}
