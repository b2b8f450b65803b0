//! How callers treat callees, and how bricks bear more than they can serve: `[limits.*]` and `[serve.*]`.
//!
//! What is left out is left to `[limits.default]`, then to the defaults of whoever makes the call.

use brick_core::BrickName;
use brick_core::duration::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `[limits.default]` or `[limits."a -> b"]`: how a caller treats a callee.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Time limit of a whole call, all tries included; 1s unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Time limit of one try; what is left of the call unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub try_timeout: Option<Span>,
    /// When a call is tried again; `false` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Switch<Retry>>,
    /// When a second try is sent beside a slow first one; never unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Switch<Hedge>>,
    /// How many calls may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// When calls are stopped because the callee fails; `false` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Switch<Breaker>>,
    /// How many calls a second; any number unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Switch<CallRate>>,
    /// What a call gives that fails; the failure unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Switch<Fallback>>,
    /// Which of the callee's instances a call goes to; the cheaper of two unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
}

/// `false` for off, or a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Switch<T> {
    /// Off, or on with every default.
    On(bool),
    /// As said.
    Set(T),
}

/// When a call is tried again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Further tries of one call; 1 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Further tries as a share of all calls; 0.2 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// Longest wait before the first further try, doubled for each next; 25ms unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Span>,
    /// Longest wait before any; 1s unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Span>,
    /// After what: `connect`, `reset`, `timeout`, `gateway` (502, 503, 504), `5xx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<String>>,
    /// Methods that are tried again without an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
}

/// When a second try is sent beside a slow first one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// How long the first may take.
    pub after: Span,
    /// Further tries; 1 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// How many calls may be under way at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// Calls under way; 1024 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Calls that may wait for a place; none unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// How long they may wait; 100ms unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Span>,
    /// Whether fewer pass when the callee grows slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<bool>,
}

/// When calls are stopped because the callee fails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// How far back outcomes count; 10s unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// With more than 0 the last so many outcomes count instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// Fewer outcomes decide nothing; 20 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_calls: Option<u32>,
    /// Share of failures that opens it; 0.5 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// From when on a call is slow; 1s unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Span>,
    /// Share of slow calls that opens it; 1.0 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_rate: Option<f64>,
    /// How long it stays open before probes; 5s unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Span>,
    /// Calls that then find out; 3 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<u32>,
}

/// Which of the callee's instances a call goes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// `peak-ewma`, `round-robin`, `weighted` or `consistent-hash`; `peak-ewma` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What `consistent-hash` hashes: `user`, `tenant`, `header:NAME`, `cookie:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many times the mean load an instance may have before its keys go elsewhere; 1.25 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_bound: Option<f64>,
    /// Whether the caller's own zone is preferred while it has capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_aware: Option<bool>,
    /// How long an instance that joins others gets less than its share; not at all unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<Span>,
    /// When an instance that fails is left out for a while; `false` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eject: Option<Switch<Eject>>,
    /// Share of instances that have to be well, else those that were left out are called too; 0.5 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic: Option<f64>,
}

/// When an instance that fails is left out for a while.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Eject {
    /// After so many failures one after the other; 5 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// For how long the first time; 10s unless said.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "for")]
    pub lasts: Option<Span>,
    /// No larger share is left out at once; 0.5 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_share: Option<f64>,
}

/// How many calls a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRate {
    /// In the long run.
    pub per_second: u32,
    /// At once after a pause; a second's worth unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// What a call gives that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Fallback {
    /// What the same GET gave last.
    Kept(Stale),
    /// A fixed answer.
    Value {
        /// Its status.
        status: u16,
        /// Its body, a JSON document as text.
        json: String,
    },
    /// The same call to another brick.
    Brick {
        /// The brick.
        brick: BrickName,
    },
}

/// The word `stale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stale {
    /// What the same GET gave last.
    Stale,
}

/// `[serve.BRICK]`: how a brick bears more than it can serve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// When requests are turned away because they wait too long; never unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shed: Option<Shed>,
    /// Requests that are worked on at once; 256 where requests are shed, else any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// When requests are turned away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shed {
    /// A wait that is fine; 50ms unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Span>,
    /// How long it may be longer; 100ms unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
}

impl Limit {
    /// What this one says, and where it says nothing what the other does.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            timeout: self.timeout.or(other.timeout),
            try_timeout: self.try_timeout.or(other.try_timeout),
            retry: self.retry.clone().or_else(|| other.retry.clone()),
            hedge: self.hedge.clone().or_else(|| other.hedge.clone()),
            concurrency: self.concurrency.clone().or_else(|| other.concurrency.clone()),
            breaker: self.breaker.clone().or_else(|| other.breaker.clone()),
            rate: self.rate.clone().or_else(|| other.rate.clone()),
            fallback: self.fallback.clone().or_else(|| other.fallback.clone()),
            balance: self.balance.clone().or_else(|| other.balance.clone()),
        }
    }

    /// As the bus has it: durations are milliseconds, and their keys end in `_ms`.
    pub fn wire(&self) -> Value {
        wire(serde_json::to_value(self).unwrap_or_default())
    }
}

impl Serve {
    /// As the bus has it: durations are milliseconds, and their keys end in `_ms`.
    pub fn wire(&self) -> Value {
        wire(serde_json::to_value(self).unwrap_or_default())
    }
}

/// Keys whose values are durations.
const DURATIONS: [&str; 13] = [
    "timeout",
    "try_timeout",
    "base",
    "cap",
    "after",
    "wait",
    "window",
    "slow",
    "open",
    "target",
    "interval",
    "slow_start",
    "for",
];

fn wire(value: Value) -> Value {
    let Value::Object(table) = value else { return value };
    let entries = table.into_iter().map(|(key, value)| {
        let span = value.as_str().filter(|_| DURATIONS.contains(&key.as_str()));
        match span.and_then(|text| text.parse::<Span>().ok()) {
            Some(Span(duration)) => {
                let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                (format!("{key}_ms"), Value::from(ms))
            }
            None => (key, wire(value)),
        }
    });
    Value::Object(entries.collect::<Map<String, Value>>())
}
