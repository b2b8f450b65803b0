//! The policy of one edge: the bus's limits, checked and in the units that the hot path wants.

use std::time::Duration;

use brick_bus::Limits;
use brick_bus::limits::{self, Fallback, Forced, RetryOn, Setting};
use http::Method;

/// Longest time limit of a call.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);
/// Most tries beside the first.
const TRIES_MAX: u32 = 10;
/// Most outcomes of a window that counts calls.
const CALLS_MAX: u32 = 10_000;
const CONCURRENCY_MAX: u32 = 1_000_000;
const RATE_MAX: u32 = 1_000_000;

/// How a caller treats a callee.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Time limit of a whole call.
    pub timeout: Duration,
    /// Time limit of one try; none for what is left of the call.
    pub try_timeout: Option<Duration>,
    /// None for never.
    pub retry: Option<Retry>,
    /// None for never.
    pub hedge: Option<Hedge>,
    /// The bulkhead.
    pub concurrency: Concurrency,
    /// None for no breaker.
    pub breaker: Option<Breaker>,
    /// Calls a second and at once; none for any number.
    pub rate: Option<Rate>,
    /// None for the failure itself.
    pub fallback: Option<Fallback>,
}

/// When a call is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Further tries of one call.
    pub max: u32,
    /// Thousandths of a further try that each call adds to the budget.
    pub budget_milli: u32,
    /// Longest wait before the first further try.
    pub base: Duration,
    /// Longest wait before any.
    pub cap: Duration,
    /// After what.
    pub on: Vec<RetryOn>,
    /// Methods that need no idempotency key.
    pub methods: Vec<Method>,
}

/// When a second try is sent beside a slow one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// How long a try may take until the next is sent.
    pub after: Duration,
    /// Tries beside the first.
    pub max: u32,
}

/// The bulkhead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Calls under way.
    pub max: u32,
    /// Calls that wait.
    pub queue: u32,
    /// How long they wait.
    pub wait: Duration,
    /// Whether fewer pass when the callee grows slow.
    pub adaptive: bool,
}

/// The breaker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// How far back outcomes count.
    pub window: Duration,
    /// With more than 0 the last so many outcomes count.
    pub calls: u32,
    /// Fewer decide nothing.
    pub min_calls: u32,
    /// Share of failures that opens it.
    pub error_rate: f64,
    /// What is slow.
    pub slow: Duration,
    /// Share of slow calls that opens it.
    pub slow_rate: f64,
    /// How long it stays open.
    pub open: Duration,
    /// Calls that then find out.
    pub probes: u32,
    /// What an operator wants.
    pub forced: Option<Forced>,
}

/// Calls a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// A limit that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, found {found}")]
pub struct Invalid {
    field: &'static str,
    expected: String,
    found: String,
}

impl Policy {
    /// Checks limits and fills in what they leave out.
    pub fn compile(limits: &Limits) -> Result<Self, Invalid> {
        let limits = limits.filled();
        let senseless = limits.balance.as_ref().and_then(limits::Balance::invalid);
        if let Some((field, expected)) = senseless {
            return Err(Invalid {
                field,
                expected: expected.to_owned(),
                found: "something else".to_owned(),
            });
        }
        let timeout = time("timeout_ms", limits.timeout_ms)?;
        let try_timeout = limits.try_timeout_ms.map(|ms| time("try_timeout_ms", ms));
        let retry = set(limits.retry.as_ref(), limits::Retry::default);
        let hedge = match limits.hedge {
            Some(Setting::Set(hedge)) => Some(Hedge {
                after: time("hedge.after_ms", hedge.after_ms)?,
                max: within("hedge.max", hedge.max, 1, TRIES_MAX)?,
            }),
            // There is no delay that fits every callee.
            Some(Setting::On(true)) => return Err(needs("hedge", "false, or a table with after_ms")),
            Some(Setting::On(false)) | None => None,
        };
        let breaker = set(limits.breaker.as_ref(), limits::Breaker::default);
        let rate = match limits.rate {
            Some(Setting::Set(rate)) => {
                let burst = rate.burst.unwrap_or(rate.per_second);
                Some(Rate {
                    per_second: within("rate.per_second", rate.per_second, 1, RATE_MAX)?,
                    burst: within("rate.burst", burst, 1, RATE_MAX)?,
                })
            }
            Some(Setting::On(true)) => return Err(needs("rate", "false, or a table with per_second")),
            Some(Setting::On(false)) | None => None,
        };
        Ok(Self {
            timeout,
            try_timeout: try_timeout.transpose()?,
            retry: retry.map(|retry| Retry::compile(&retry)).transpose()?,
            hedge,
            concurrency: Concurrency::compile(&limits.concurrency.unwrap_or_default())?,
            breaker: breaker.map(|breaker| Breaker::compile(&breaker)).transpose()?,
            rate,
            fallback: fallback(limits.fallback.as_ref())?,
        })
    }

    /// The policy where nothing is said but the time limit.
    pub fn with_timeout(timeout: Duration) -> Self {
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let within = Limits::new(ms.clamp(1, TIMEOUT_MAX.as_millis() as u64));
        Self::compile(&within).unwrap_or(Self {
            timeout,
            try_timeout: None,
            retry: None,
            hedge: None,
            concurrency: Concurrency {
                max: 1_024,
                queue: 0,
                wait: Duration::ZERO,
                adaptive: false,
            },
            breaker: None,
            rate: None,
            fallback: None,
        })
    }

    /// Whether a call of this method may be tried again, or beside itself.
    pub fn is_repeatable(&self, method: &Method, has_key: bool) -> bool {
        has_key
            || match &self.retry {
                Some(retry) => retry.methods.contains(method),
                None => method.is_idempotent(),
            }
    }
}

impl Retry {
    fn compile(retry: &limits::Retry) -> Result<Self, Invalid> {
        let budget = share("retry.budget", retry.budget)?;
        let methods = retry.methods.iter().map(|name| {
            Method::from_bytes(name.as_bytes()).map_err(|_| Invalid {
                field: "retry.methods",
                expected: "names of methods such as GET".to_owned(),
                found: format!("\"{}\"", name.chars().take(40).collect::<String>()),
            })
        });
        let base = time("retry.base_ms", retry.base_ms)?;
        Ok(Self {
            max: within("retry.max", retry.max, 0, TRIES_MAX)?,
            budget_milli: (budget * 1_000.0).round() as u32,
            base,
            cap: time("retry.cap_ms", retry.cap_ms)?.max(base),
            on: retry.on.clone(),
            methods: methods.collect::<Result<_, Invalid>>()?,
        })
    }
}

impl Concurrency {
    fn compile(concurrency: &limits::Concurrency) -> Result<Self, Invalid> {
        Ok(Self {
            max: within("concurrency.max", concurrency.max, 1, CONCURRENCY_MAX)?,
            queue: within("concurrency.queue", concurrency.queue, 0, CONCURRENCY_MAX)?,
            wait: time("concurrency.wait_ms", concurrency.wait_ms)?,
            adaptive: concurrency.adaptive,
        })
    }
}

impl Breaker {
    fn compile(breaker: &limits::Breaker) -> Result<Self, Invalid> {
        let calls = within("breaker.calls", breaker.calls, 0, CALLS_MAX)?;
        let most = if calls == 0 { u32::MAX } else { calls };
        Ok(Self {
            window: time("breaker.window_ms", breaker.window_ms)?,
            calls,
            // Of the last ten outcomes there are never twenty.
            min_calls: within("breaker.min_calls", breaker.min_calls, 1, u32::MAX)?.min(most),
            error_rate: share("breaker.error_rate", breaker.error_rate)?,
            slow: time("breaker.slow_ms", breaker.slow_ms)?,
            slow_rate: share("breaker.slow_rate", breaker.slow_rate)?,
            open: time("breaker.open_ms", breaker.open_ms)?,
            probes: within("breaker.probes", breaker.probes, 1, 1_000)?,
            forced: breaker.forced,
        })
    }
}

fn set<T: Clone>(setting: Option<&Setting<T>>, default: impl FnOnce() -> T) -> Option<T> {
    setting.and_then(|setting| setting.get_or_else(default))
}

fn fallback(setting: Option<&Setting<Fallback>>) -> Result<Option<Fallback>, Invalid> {
    let fallback = match setting {
        None | Some(Setting::On(false)) => return Ok(None),
        Some(Setting::On(true)) => {
            let expected = "false, \"stale\", a table with status and json, or one with brick";
            return Err(needs("fallback", expected));
        }
        Some(Setting::Set(fallback)) => fallback.clone(),
    };
    if let Fallback::Value { status, json } = &fallback {
        within("fallback.status", u32::from(*status), 200, 599)?;
        let parsed = serde_json::from_str::<serde::de::IgnoredAny>(json);
        if let Err(error) = parsed {
            return Err(Invalid {
                field: "fallback.json",
                expected: "a JSON document as text".to_owned(),
                found: error.to_string(),
            });
        }
    }
    Ok(Some(fallback))
}

fn needs(field: &'static str, expected: &str) -> Invalid {
    Invalid {
        field,
        expected: expected.to_owned(),
        found: "true".to_owned(),
    }
}

fn time(field: &'static str, ms: u64) -> Result<Duration, Invalid> {
    let most = TIMEOUT_MAX.as_millis() as u64;
    if (1..=most).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    Err(Invalid {
        field,
        expected: format!("1 to {most}"),
        found: ms.to_string(),
    })
}

fn within(field: &'static str, value: u32, least: u32, most: u32) -> Result<u32, Invalid> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(Invalid {
        field,
        expected: format!("{least} to {most}"),
        found: value.to_string(),
    })
}

fn share(field: &'static str, value: f64) -> Result<f64, Invalid> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(Invalid {
        field,
        expected: "a share from 0 to 1".to_owned(),
        found: value.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn compile(value: Value) -> Result<Policy, String> {
        let limits: Limits = serde_json::from_value(value).map_err(|error| error.to_string())?;
        Policy::compile(&limits).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_unsaid_is_a_breaker_a_bulkhead_and_one_retry_within_a_budget() {
        let policy = compile(json!({ "timeout_ms": 250 })).unwrap();
        assert_eq!(policy, Policy::with_timeout(Duration::from_millis(250)));
        let (retry, breaker) = (policy.retry.clone().unwrap(), policy.breaker.unwrap());
        assert_eq!((retry.max, retry.budget_milli), (1, 200));
        assert_eq!((breaker.min_calls, breaker.probes), (20, 3));
        assert_eq!((policy.concurrency.max, policy.concurrency.queue), (1_024, 0));
        assert!(policy.hedge.is_none() && policy.rate.is_none() && policy.fallback.is_none());
        assert!(policy.is_repeatable(&Method::GET, false) && !policy.is_repeatable(&Method::POST, false));
        assert!(policy.is_repeatable(&Method::POST, true));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_field() {
        let cases = [
            (
                json!({ "timeout_ms": 0 }),
                "timeout_ms: expected 1 to 3600000, found 0",
            ),
            (
                json!({ "timeout_ms": 1, "retry": { "budget": 3.0 } }),
                "retry.budget: expected a share from 0 to 1, found 3",
            ),
            (
                json!({ "timeout_ms": 1, "hedge": true }),
                "hedge: expected false, or a table with after_ms, found true",
            ),
            (
                json!({ "timeout_ms": 1, "rate": { "per_second": 0 } }),
                "rate.per_second: expected 1 to 1000000, found 0",
            ),
            (
                json!({ "timeout_ms": 1, "breaker": { "probes": 0 } }),
                "breaker.probes: expected 1 to 1000, found 0",
            ),
            (
                json!({ "timeout_ms": 1, "fallback": { "status": 99, "json": "{}" } }),
                "fallback.status: expected 200 to 599, found 99",
            ),
        ];
        for (value, expect) in cases {
            assert_eq!(compile(value).unwrap_err(), expect);
        }
    }
}
