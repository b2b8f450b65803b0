//! Value of `limits/<caller>-><callee>`: how the caller treats the callee.
//!
//! Old and new processes share the bus: every field but `timeout_ms` may be missing and stands for its default then, and
//! fields that are not known are passed over. [`Limits::filled`] spells every default out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use balance::{Balance, By, Eject};

mod balance;

/// How a caller treats a callee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Time limit of a whole call in milliseconds: every try, every wait between two, and the answer's body.
    pub timeout_ms: u64,
    /// Time limit of one try in milliseconds; what is left of the call unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub try_timeout_ms: Option<u64>,
    /// When a call is tried again; `false` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Setting<Retry>>,
    /// When a second try is sent beside a slow first one; never unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Setting<Hedge>>,
    /// The bulkhead: how many calls may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// When calls are stopped because the callee fails; `false` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Setting<Breaker>>,
    /// How many calls a second; any number unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Setting<Rate>>,
    /// What a call gives that fails; the failure unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Setting<Fallback>>,
    /// Which of the callee's instances a call goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
}

/// `false` switches a mechanism off, `true` asks for its defaults, a table sets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected false, or a table whose values have the right types"
)]
pub enum Setting<T> {
    /// Off, or on with every default.
    On(bool),
    /// As said.
    Set(T),
}

impl<T> Setting<T> {
    /// The table; none where it is off.
    pub fn get_or_else(&self, default: impl FnOnce() -> T) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::On(false) => None,
            Self::On(true) => Some(default()),
            Self::Set(set) => Some(set.clone()),
        }
    }
}

/// When a call is tried again. A connection that cannot be made is tried at two other instances, whatever the method:
/// nothing was sent. All else is tried again only where the method says that this is safe, or an idempotency key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Further tries of one call.
    pub max: u32,
    /// Further tries for each call, as a share of all calls; there are ten at first, and a hundred may be saved up.
    pub budget: f64,
    /// Longest wait before the first further try, doubled for each next; the wait is drawn between zero and it.
    pub base_ms: u64,
    /// Longest wait before any further try.
    pub cap_ms: u64,
    /// After what a call is tried again.
    pub on: Vec<RetryOn>,
    /// Methods that are tried again without an idempotency key.
    pub methods: Vec<String>,
}

/// After what a call is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryOn {
    /// No connection could be made.
    Connect,
    /// The connection broke before the answer.
    Reset,
    /// A try took longer than it may.
    Timeout,
    /// 502, 503 or 504.
    Gateway,
    /// Any status from 500 on.
    #[serde(rename = "5xx")]
    ServerError,
}

/// When a second try is sent beside the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hedge {
    /// How long the first may take.
    pub after_ms: u64,
    /// Further tries.
    #[serde(default = "one")]
    pub max: u32,
}

/// How many calls may be under way at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Concurrency {
    /// Calls under way.
    pub max: u32,
    /// Calls that may wait for a place.
    pub queue: u32,
    /// How long they may wait.
    pub wait_ms: u64,
    /// Whether fewer are let through when the callee grows slow (a gradient of its latency).
    pub adaptive: bool,
}

/// When calls are stopped because the callee fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// How far back outcomes count.
    pub window_ms: u64,
    /// With more than 0 the last so many outcomes count instead, however old.
    pub calls: u32,
    /// Fewer outcomes than this decide nothing.
    pub min_calls: u32,
    /// Share of failures from which on calls are stopped.
    pub error_rate: f64,
    /// From when on a call counts as slow.
    pub slow_ms: u64,
    /// Share of slow calls from which on calls are stopped.
    pub slow_rate: f64,
    /// How long calls are stopped before some are let through to see.
    pub open_ms: u64,
    /// Calls that are let through then; all must succeed.
    pub probes: u32,
    /// Opened or closed by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
}

/// What an operator wants of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forced {
    /// No call passes.
    Open,
    /// Every call passes.
    Closed,
}

/// How many calls a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Calls a second in the long run.
    pub per_second: u32,
    /// Calls at once after a pause; a second's worth unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// What a call gives that fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fallback {
    /// What the same GET gave last.
    Kept(Stale),
    /// A fixed answer.
    Value {
        /// Its status.
        status: u16,
        /// Its body, a JSON document.
        json: String,
    },
    /// The same call to another brick.
    Brick {
        /// The brick.
        brick: String,
    },
}

/// The word `stale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stale {
    /// What the same GET gave last.
    Stale,
}

/// Value of `serve/<brick>`: how the brick bears more than it can serve.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Serve {
    /// When requests are turned away because they wait too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shed: Option<Shed>,
    /// Requests that are worked on at once; more wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// When requests are turned away (after CoDel, RFC 8289).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shed {
    /// The wait that is fine.
    pub target_ms: u64,
    /// How long it may be longer before requests are turned away.
    pub interval_ms: u64,
}

fn one() -> u32 {
    1
}

impl Default for Retry {
    fn default() -> Self {
        let methods = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
        Self {
            max: 1,
            budget: 0.2,
            base_ms: 25,
            cap_ms: 1_000,
            on: vec![RetryOn::Connect, RetryOn::Reset, RetryOn::Gateway],
            methods: methods.map(str::to_owned).to_vec(),
        }
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self {
            max: 1_024,
            queue: 0,
            wait_ms: 100,
            adaptive: false,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            window_ms: 10_000,
            calls: 0,
            min_calls: 20,
            error_rate: 0.5,
            slow_ms: 1_000,
            slow_rate: 1.0,
            open_ms: 5_000,
            probes: 3,
            forced: None,
        }
    }
}

impl Default for Shed {
    fn default() -> Self {
        Self {
            target_ms: 50,
            interval_ms: 100,
        }
    }
}

impl Limits {
    /// A time limit, all else as it is unless said.
    pub fn new(timeout_ms: u64) -> Self {
        Self {
            timeout_ms,
            try_timeout_ms: None,
            retry: None,
            hedge: None,
            concurrency: None,
            breaker: None,
            rate: None,
            fallback: None,
            balance: None,
        }
    }

    /// The same with every default spelled out.
    #[must_use]
    pub fn filled(&self) -> Self {
        fn on<T: Clone + Default>(setting: Option<&Setting<T>>) -> Option<Setting<T>> {
            let set = setting.map_or_else(|| Some(T::default()), |s| s.get_or_else(T::default));
            Some(set.map_or(Setting::On(false), Setting::Set))
        }
        Self {
            retry: on(self.retry.as_ref()),
            breaker: on(self.breaker.as_ref()),
            concurrency: Some(self.concurrency.clone().unwrap_or_default()),
            balance: Some(self.balance.clone().unwrap_or_default().filled()),
            ..self.clone()
        }
    }
}

/// Applies a JSON merge patch (RFC 7396): tables are merged, `null` removes, all else replaces.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_older_processes_say_is_read_and_what_newer_ones_say_passed_over() {
        let old: Limits = serde_json::from_value(json!({ "timeout_ms": 5 })).unwrap();
        assert_eq!(old, Limits::new(5));
        assert_eq!(serde_json::to_value(&old).unwrap(), json!({ "timeout_ms": 5 }));
        let new = json!({ "timeout_ms": 5, "breaker": { "min_calls": 3, "mood": "grim" }, "later": {} });
        let new: Limits = serde_json::from_value(new).unwrap();
        let Some(Setting::Set(breaker)) = new.breaker else {
            panic!()
        };
        assert_eq!((breaker.min_calls, breaker.open_ms), (3, 5_000));
    }

    #[test]
    fn a_switch_is_off_on_or_set() {
        let read = |value: Value| serde_json::from_value::<Limits>(value).unwrap().filled();
        let off = read(json!({ "timeout_ms": 5, "breaker": false, "retry": true }));
        assert_eq!(off.breaker, Some(Setting::On(false)));
        assert_eq!(off.retry, Some(Setting::Set(Retry::default())));
        let stale = read(json!({ "timeout_ms": 5, "fallback": "stale" }));
        assert_eq!(stale.fallback, Some(Setting::Set(Fallback::Kept(Stale::Stale))));
    }

    #[test]
    fn a_patch_merges_tables_and_null_removes() {
        // RFC 7396, appendix A.
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ];
        for (mut target, patch, expect) in cases {
            merge(&mut target, &patch);
            assert_eq!(target, expect);
        }
    }
}
