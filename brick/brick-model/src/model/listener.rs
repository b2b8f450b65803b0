//! `[edge]`: the listener for public traffic.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use brick_core::duration::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bff::Bff;
use super::route::{Auth, Cors};
use crate::size::Bytes;

/// Most workers of the edge.
pub const WORKERS_MAX: u32 = 16;

/// `[edge]`: the listener for public traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Address and port; port 0 takes a free one.
    #[serde(default = "default_listen")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Who may pass a route that does not say so itself.
    #[serde(default)]
    pub auth: Auth,
    /// Threads that serve, each with its own listening sockets; one for each core unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub workers: Option<u32>,
    /// A second address, with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<EdgeTls>,
    /// Whether HTTP/2 is spoken: by prior knowledge without TLS, by ALPN with it.
    #[serde(default = "yes")]
    pub http2: bool,
    /// Whether trusted hops begin each connection with a PROXY header, version 1 or 2.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Networks of hops whose `Forwarded`, `X-Forwarded-*` and PROXY headers count.
    #[serde(default)]
    pub trusted: Vec<String>,
    /// Open connections of all workers together; further ones get 503.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: u32,
    /// Time for a request's head to arrive; also for a TLS handshake.
    #[serde(default = "default_head_timeout")]
    pub head_timeout: Span,
    /// Time that a connection may be idle between requests.
    #[serde(default = "default_idle_timeout")]
    pub idle_timeout: Span,
    /// Which requests are logged.
    #[serde(default)]
    pub access_log: AccessLog,
    /// Pages of which other origins may call, of routes that do not say so themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// The store of answers that routes keep.
    #[serde(default)]
    pub cache: CacheStore,
    /// Where rate limits are counted for all gateways together, `redis://host:port/db`; each counts alone unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_store: Option<String>,
    /// Backends for frontends by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bff: BTreeMap<String, Bff>,
}

/// `[edge.cache]`: the store of answers that routes keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheStore {
    /// Largest size of all answers together; what was not used for longest goes first.
    pub bytes_max: Bytes,
}

/// `edge.tls`: the edge with TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeTls {
    /// Address and port; port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Certificates from files; more may be put by the API. The first is for clients that name no known host.
    #[serde(default)]
    pub certs: Vec<EdgeCert>,
    /// The oldest version of TLS that is taken.
    #[serde(default)]
    pub min: TlsVersion,
}

/// A certificate of `edge.tls`. The files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeCert {
    /// PEM file of the chain, leaf first, relative to `brick.toml`.
    pub cert: String,
    /// PEM file of the private key.
    pub key: String,
    /// Hosts that it is shown to: `shop.test`, `*.shop.test`.
    pub hosts: Vec<String>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// Which requests are logged at level info.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessLog {
    /// Those that failed, and slow ones.
    #[default]
    Errors,
    /// All.
    All,
    /// None.
    Off,
}

/// What a brick speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge: gRPC servers.
    H2c,
    /// No HTTP at all: a database, a cache, a broker.
    Tcp,
}

/// `brick.NAME.tls`: whom an external service has to be, and who the platform is to it. The files are read again when
/// they change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrickTls {
    /// PEM file of the authorities that count, relative to `brick.toml`; those of the machine unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// PEM file of the chain that is shown where a client certificate is asked for, leaf first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// PEM file of its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Name that the service's certificate has to be for; the host of `external` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Whom the host proxy lets through to a brick that stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Inbound {
    /// Everybody.
    #[serde(rename = "public")]
    Public,
    /// Whoever shows a valid user token.
    #[serde(rename = "users")]
    Users,
    /// Bricks that need it.
    #[serde(rename = "bricks")]
    Bricks,
    /// Either.
    #[serde(rename = "users or bricks")]
    UsersOrBricks,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn yes() -> bool {
    true
}

fn default_connections() -> u32 {
    10_000
}

fn default_head_timeout() -> Span {
    Span::from_secs(10)
}

fn default_idle_timeout() -> Span {
    Span::from_secs(75)
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            listen: default_listen(),
            auth: Auth::default(),
            workers: None,
            tls: None,
            http2: yes(),
            proxy_protocol: false,
            trusted: Vec::new(),
            connections_max: default_connections(),
            head_timeout: default_head_timeout(),
            idle_timeout: default_idle_timeout(),
            access_log: AccessLog::default(),
            cors: None,
            cache: CacheStore::default(),
            rate_store: None,
            bff: BTreeMap::new(),
        }
    }
}

impl Default for CacheStore {
    fn default() -> Self {
        Self {
            bytes_max: Bytes(32 << 20),
        }
    }
}
