//! The parsed system: what `brick.toml` says, typed, with every default filled in.
//!
//! The serialised form is the manifest's own shape, so the same types describe the file (JSON schema), travel from
//! the agent to control, and are read by every other part. A [`Model`] that came from [`crate::parse`] is valid as
//! a whole; one that was deserialised was valid where it came from.

use std::collections::BTreeMap;

use brick_core::BrickName;
use brick_core::duration::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::link::LimitKey;
use crate::load::Load;
use crate::size::Bytes;
use crate::suite::{Environment, Suite};

mod bff;
mod canary;
pub(crate) mod control;
mod demo;
mod flag;
mod limit;
pub(crate) mod listener;
mod number;
mod replicas;
pub(crate) mod repository;
mod route;
mod version;

pub use bff::{Bff, Part, Say, View};
pub use canary::{Canary, CanaryPlan, EVERY_BRICK};
pub use control::{CONTROLS_MAX, Control, state_password};
pub use demo::Demo;
pub use flag::{Flag, FlagDefault};
pub use limit::{
    Balance, Breaker, CallRate, Concurrency, Eject, Fallback, Hedge, Limit, Retry, Serve, Shed, Stale, Switch,
};
pub use listener::{
    AccessLog, BrickTls, CacheStore, Edge, EdgeCert, EdgeTls, Inbound, Protocol, TlsVersion, WORKERS_MAX,
};
pub use number::{PerSecond, Share};
pub use replicas::{Elastic, Replicas};
pub use repository::{CONFIG_REPOSITORY, ConfigRepository, is_label};
pub use route::{Auth, Cache, Cors, Mirror, Rate, RateBy, Rewrite, Route, Setting};
pub use version::{BASE, Concurrent, Versions};

/// Newest manifest format that this version reads.
pub const FORMAT: u32 = 1;

/// A whole system, the root of `brick.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Manifest format, 1.
    pub brickwork: u32,
    /// The system as a whole.
    pub system: System,
    /// The platform's own services.
    #[serde(default)]
    pub mortar: Mortar,
    /// The edge listener.
    #[serde(default)]
    pub edge: Edge,
    /// The bricks by name.
    #[serde(rename = "brick", default)]
    pub bricks: BTreeMap<BrickName, Brick>,
    /// The edge's routes by name; [`Model::routes`] gives them resolved and in the order in which they are tried.
    #[serde(rename = "route", default)]
    pub routes: BTreeMap<String, Route>,
    /// How callers treat callees: `default`, and `caller -> callee` where `caller` may be `edge`.
    #[serde(default)]
    pub limits: BTreeMap<LimitKey, Limit>,
    /// How bricks bear more than they can serve.
    #[serde(rename = "serve", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub serves: BTreeMap<BrickName, Serve>,
    /// How versions are tried: `default`, and by brick.
    #[serde(rename = "canary", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub canaries: BTreeMap<String, Canary>,
    /// Configuration values by brick. Values that change at run time override them.
    #[serde(default)]
    pub config: BTreeMap<BrickName, serde_json::Map<String, Value>>,
    /// Configuration that is kept in git.
    #[serde(
        rename = "config_repository",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub repository: Option<ConfigRepository>,
    /// Feature flags by name.
    #[serde(rename = "flag", default)]
    pub flags: BTreeMap<String, Flag>,
    /// Load scenarios by name, for `brick load NAME`.
    #[serde(rename = "load", default)]
    pub loads: BTreeMap<String, Load>,
    /// Acceptance suites by name, for `brick test NAME`.
    #[serde(rename = "test", default)]
    pub tests: BTreeMap<String, Suite>,
    /// Environments that suites can run against, by name.
    #[serde(rename = "env", default)]
    pub environments: BTreeMap<String, Environment>,
    /// What there is to see by name, for `brick demo NAME on`.
    #[serde(rename = "demo", default)]
    pub demos: BTreeMap<String, Demo>,
}

/// `[system]`: the system as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Name of the system, a DNS label; the audience of user tokens and `service.namespace` of telemetry.
    pub name: BrickName,
    /// Loopback port of console and platform API; 0 takes a free one.
    #[serde(default = "default_console")]
    pub console: u16,
}

/// `[mortar]`: the platform's own services. A line left out is the embedded default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mortar {
    /// Registry, routes, configuration and bus.
    #[serde(default)]
    pub control: Control,
    /// The issuer of tokens.
    #[serde(default)]
    pub identity: Identity,
    /// The telemetry store.
    #[serde(default)]
    pub telemetry: Telemetry,
}

/// `mortar.identity`: the issuer of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Life of user and process tokens; processes renew theirs at two thirds of it.
    #[serde(default = "default_token_ttl")]
    pub token_ttl: Span,
}

/// `mortar.telemetry`: the telemetry store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Most bytes of traces, logs and metrics kept in memory; the oldest go first.
    #[serde(default = "default_telemetry_bytes")]
    pub bytes_max: Bytes,
}

/// `[brick.NAME]`: one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brick {
    /// Command that starts it, split like a shell would but run without one. `{target}` stands for the cargo target
    /// folder of the profile. Exactly one of `run`, `external` and `registers` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Base URL of a service outside the system; it is on the map but never started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
    /// It is started elsewhere, and its instances register themselves: by the registry's HTTP API or as Eureka clients.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registers: bool,
    /// Command that builds it; equal `build` and `dir` run once for all bricks that share them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Folder that `run` and `build` start in, relative to `brick.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// A missing program skips the brick, loudly, instead of failing the start.
    #[serde(default)]
    pub optional: bool,
    /// Bricks that it calls: started before it, and the only ones that its token may call.
    #[serde(default)]
    pub needs: Vec<BrickName>,
    /// Name of the database that it alone owns, or its address on a server without the password
    /// (`postgres://USER@HOST:PORT/DATABASE`); it gets `DATABASE_URL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How many instances run: a number, or bounds between which it follows the requests.
    #[serde(default = "default_replicas")]
    pub replicas: Replicas,
    /// Version label, and the versions that run beside it.
    #[serde(default)]
    pub version: Versions,
    /// How its health is watched.
    #[serde(default)]
    pub health: Health,
    /// Zones that instances are spread over in turn.
    #[serde(default = "default_zones")]
    pub zones: Vec<String>,
    /// Platform scopes of its process token beyond calling what it needs: `identity:issue`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Extra environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Time from SIGTERM to SIGKILL.
    #[serde(default = "default_stop_grace")]
    pub stop_grace: Span,
    /// OpenAPI document of its API, relative to `brick.toml`; `api/<brick>.openapi.json` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openapi: Option<String>,
    /// What it speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// Whether its calls go through the host proxy: it reaches what it needs as `http://NAME.brick/`.
    #[serde(default)]
    pub proxy: bool,
    /// Whether the kernel leads what it connects to into the host proxy, so that it need know of no proxy; it then counts
    /// as one whose calls go through it.
    #[serde(default)]
    pub capture: bool,
    /// It stands behind the host proxy, which lets these through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<Inbound>,
    /// Time after which the host proxy closes a TCP connection to it on which nothing moves.
    #[serde(default = "default_idle_timeout")]
    pub idle_timeout: Span,
    /// TLS towards an external service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BrickTls>,
}

/// `brick.NAME.health`: how a brick's health is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Path that answers 2xx when the instance can take requests.
    #[serde(default = "default_health_path")]
    pub path: String,
    /// Interval between checks once it was ready.
    #[serde(default = "default_health_every")]
    pub every: Span,
    /// Time that a start may take until the first ready answer.
    #[serde(default = "default_health_grace")]
    pub grace: Span,
}

/// Time limit of a call where the manifest says nothing.
pub const TIMEOUT: Span = Span::from_secs(1);

fn default_console() -> u16 {
    7700
}

fn default_token_ttl() -> Span {
    Span::from_secs(15 * 60)
}

fn default_telemetry_bytes() -> Bytes {
    Bytes(48 << 20)
}

fn default_replicas() -> Replicas {
    Replicas::Fixed(1)
}

fn default_zones() -> Vec<String> {
    vec!["a".to_owned()]
}

fn default_stop_grace() -> Span {
    Span::from_secs(10)
}

fn default_idle_timeout() -> Span {
    Span::from_secs(3_600)
}

fn default_health_path() -> String {
    "/health/ready".to_owned()
}

fn default_health_every() -> Span {
    Span::from_secs(2)
}

fn default_health_grace() -> Span {
    Span::from_secs(10)
}

impl System {
    /// A system of that name with the default console port.
    pub fn new(name: BrickName) -> Self {
        Self {
            name,
            console: default_console(),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            token_ttl: default_token_ttl(),
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            bytes_max: default_telemetry_bytes(),
        }
    }
}

impl Default for Brick {
    fn default() -> Self {
        Self {
            run: None,
            external: None,
            registers: false,
            build: None,
            dir: None,
            optional: false,
            needs: Vec::new(),
            state: None,
            replicas: default_replicas(),
            version: Versions::default(),
            health: Health::default(),
            zones: default_zones(),
            scopes: Vec::new(),
            env: BTreeMap::new(),
            stop_grace: default_stop_grace(),
            openapi: None,
            protocol: Protocol::default(),
            proxy: false,
            capture: false,
            inbound: None,
            idle_timeout: default_idle_timeout(),
            tls: None,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            path: default_health_path(),
            every: default_health_every(),
            grace: default_health_grace(),
        }
    }
}
