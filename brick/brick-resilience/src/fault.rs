//! Faults on purpose: which of the bus's rules fits a call, and what it does to it.

use std::time::Duration;

use brick_bus::fault::FaultRule;
use brick_bus::{Faults, fault};
use http::{HeaderMap, HeaderName, StatusCode};
use jiff::Timestamp;
use rand::RngExt as _;

/// Rules of one edge at most.
pub const RULES_MAX: usize = 32;
/// How long a fault lasts that says nothing.
pub const LASTS: Duration = Duration::from_secs(10 * 60);
/// How long one lasts at most.
pub const LASTS_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest delay.
const DELAY_MAX: Duration = Duration::from_secs(60 * 60);

/// The rules of one edge, ready for use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    share: f64,
    header: Option<(HeaderName, String)>,
    until: Option<Timestamp>,
    injection: Injection,
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Injection {
    /// It waits first.
    pub delay: Option<Duration>,
    /// It is answered with this status, not sent.
    pub abort: Option<StatusCode>,
    /// Its connection breaks.
    pub reset: bool,
    /// Its answer's body comes no faster.
    pub bytes_per_second: Option<u64>,
}

/// Faults that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rules.{at}: {what}")]
pub struct Invalid {
    at: usize,
    what: String,
}

impl Injection {
    /// What of it is counted: the names of what it does.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let kinds = [
            self.delay.map(|_| "delay"),
            self.abort.map(|_| "abort"),
            self.reset.then_some("reset"),
            self.bytes_per_second.map(|_| "bandwidth"),
        ];
        kinds.into_iter().flatten()
    }

    /// How much longer a body of so many bytes takes.
    pub fn body_takes(&self, bytes: usize) -> Duration {
        self.bytes_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64)
        })
    }
}

impl Rules {
    /// Checks rules.
    pub fn compile(faults: &Faults) -> Result<Self, Invalid> {
        if faults.rules.len() > RULES_MAX {
            let what = format!("expected at most {RULES_MAX} rules");
            return Err(Invalid { at: RULES_MAX, what });
        }
        let rules = faults.rules.iter().enumerate();
        let rules = rules.map(|(at, rule)| compile(rule).map_err(|what| Invalid { at, what }));
        rules.collect::<Result<_, _>>().map(Self)
    }

    /// What happens to a call with these headers; nothing to most.
    pub fn choose(&self, headers: &HeaderMap) -> Option<Injection> {
        if self.0.is_empty() {
            return None;
        }
        let now = Timestamp::now();
        self.choose_at(headers, now, &mut rand::rng())
    }

    fn choose_at(&self, headers: &HeaderMap, now: Timestamp, rng: &mut impl rand::Rng) -> Option<Injection> {
        let carries = |(name, value): &(HeaderName, String)| {
            let mut values = headers.get_all(name).iter();
            values.any(|found| found.as_bytes() == value.as_bytes())
        };
        let mut fits = |rule: &Rule| {
            rule.until.is_none_or(|until| now < until)
                && rule.header.as_ref().is_none_or(carries)
                && (rule.share >= 1.0 || rng.random::<f64>() < rule.share)
        };
        let fitting = self.0.iter().find(|rule| fits(rule))?;
        Some(fitting.injection)
    }
}

fn compile(rule: &FaultRule) -> Result<Rule, String> {
    let share = rule.share.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&share) {
        return Err(format!("share: expected 0 to 1, found {share}"));
    }
    let header = rule.header.as_ref().map(|fault::FaultHeader { name, value }| {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.map_err(|_| format!("header.name: \"{name}\" is no header's name"));
        parsed.map(|name| (name, value.clone()))
    });
    let delay = rule.delay_ms.map(Duration::from_millis);
    if delay.is_some_and(|delay| delay > DELAY_MAX) {
        return Err(format!("delay_ms: expected at most {}", DELAY_MAX.as_millis()));
    }
    let abort = rule.abort.map(|status| {
        let found = StatusCode::from_u16(status)
            .ok()
            .filter(|status| status.as_u16() >= 400);
        found.ok_or_else(|| format!("abort: expected a status from 400 to 599, found {status}"))
    });
    if rule.bytes_per_second == Some(0) {
        return Err("bytes_per_second: expected 1 or more, found 0".to_owned());
    }
    let injection = Injection {
        delay,
        abort: abort.transpose()?,
        reset: rule.reset,
        bytes_per_second: rule.bytes_per_second,
    };
    if injection.kinds().next().is_none() {
        return Err("expected one of delay_ms, abort, reset and bytes_per_second".to_owned());
    }
    Ok(Rule {
        share,
        header: header.transpose()?,
        until: rule.until,
        injection,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rand::SeedableRng as _;
    use serde_json::{Value, json};

    use super::*;

    fn rules(value: Value) -> Result<Rules, String> {
        let faults: Faults = serde_json::from_value(json!({ "rules": value })).map_err(|e| e.to_string())?;
        Rules::compile(&faults).map_err(|error| error.to_string())
    }

    #[test]
    fn a_rule_is_for_a_share_or_a_header_and_has_an_end() {
        let rules = rules(json!([
            { "header": { "name": "X-Chaos", "value": "yes" }, "reset": true },
            { "share": 0.25, "delay_ms": 100, "until": "2030-01-01T00:00:00Z" },
        ]))
        .unwrap();
        let mut rng = rand::rngs::SmallRng::seed_from_u64(7);
        let mut headers = HeaderMap::new();
        let before: Timestamp = "2029-12-31T23:59:59Z".parse().unwrap();
        let hit = (0..1_000)
            .filter(|_| rules.choose_at(&headers, before, &mut rng).is_some())
            .count();
        assert!((200..=300).contains(&hit), "{hit}");
        let after: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        assert!((0..100).all(|_| rules.choose_at(&headers, after, &mut rng).is_none()));
        headers.insert("x-chaos", HeaderValue::from_static("yes"));
        assert!(rules.choose_at(&headers, after, &mut rng).unwrap().reset);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_rule() {
        let cases = [
            (
                json!([{ "share": 2.0, "reset": true }]),
                "rules.0: share: expected 0 to 1, found 2",
            ),
            (
                json!([{ "reset": true }, {}]),
                "rules.1: expected one of delay_ms, abort, reset and bytes_per_second",
            ),
            (
                json!([{ "abort": 200 }]),
                "rules.0: abort: expected a status from 400 to 599, found 200",
            ),
            (
                json!([{ "bytes_per_second": 0 }]),
                "rules.0: bytes_per_second: expected 1 or more, found 0",
            ),
        ];
        for (value, expect) in cases {
            assert_eq!(rules(value).unwrap_err(), expect);
        }
    }
}
