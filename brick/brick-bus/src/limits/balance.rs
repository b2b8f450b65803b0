//! Which of the callee's instances a call goes to: `balance` of `limits/<caller>-><callee>`.

use serde::{Deserialize, Serialize};

use super::Setting;
use crate::pool::Sticky;

/// Longest slow start and longest ejection.
const MS_MAX: u64 = 3_600_000;

/// How a caller picks among the instances of a callee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Balance {
    /// What decides among those that are well.
    pub by: By,
    /// Of consistent hashing: what of a request is hashed. A request without it goes as by peak EWMA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Sticky>,
    /// Of consistent hashing: how many times the mean load an instance may have before its keys go to their next one.
    pub load_bound: f64,
    /// Whether instances of the caller's own zone are preferred while they have capacity.
    pub zone_aware: bool,
    /// How long an instance that joins others gets less than its share; 0 for not at all.
    pub slow_start_ms: u64,
    /// When an instance that fails is left out for a while; `false` for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eject: Option<Setting<Eject>>,
    /// Where a smaller share than this is well, those that were left out are called all the same.
    pub panic: f64,
}

/// What decides among the instances that are well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The cheaper of two that are drawn: requests in flight times a moving average of latency in which peaks count at
    /// once.
    #[default]
    PeakEwma,
    /// One after the other.
    RoundRobin,
    /// As often as their weights say, whatever they do.
    Weighted,
    /// The same instance for the same key, unless it has too much to do.
    ConsistentHash,
}

/// When an instance that fails is left out for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Eject {
    /// After so many failures one after the other: no answer, or a status from 500 on.
    pub failures: u32,
    /// For how long the first time; each further time so much longer, at most ten times.
    pub for_ms: u64,
    /// No larger share of the instances is left out at once.
    pub max_share: f64,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            by: By::default(),
            key: None,
            load_bound: 1.25,
            zone_aware: false,
            slow_start_ms: 0,
            eject: None,
            panic: 0.5,
        }
    }
}

impl Default for Eject {
    fn default() -> Self {
        Self {
            failures: 5,
            for_ms: 10_000,
            max_share: 0.5,
        }
    }
}

impl Balance {
    /// When an instance is left out; none for never.
    pub fn ejects(&self) -> Option<Eject> {
        let told = self.eject.as_ref();
        told.map_or_else(|| Some(Eject::default()), |told| told.get_or_else(Eject::default))
    }

    /// The same with every default spelled out.
    #[must_use]
    pub fn filled(&self) -> Self {
        let eject = self.ejects().map_or(Setting::On(false), Setting::Set);
        Self {
            eject: Some(eject),
            ..self.clone()
        }
    }

    /// What of it makes no sense: the field, and what was expected there.
    pub fn invalid(&self) -> Option<(&'static str, &'static str)> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let eject = self.ejects().unwrap_or_default();
        let checks = [
            (
                self.by != By::ConsistentHash || self.key.is_some(),
                "balance.key",
                "user, tenant, header:NAME or cookie:NAME",
            ),
            (
                (1.0..=100.0).contains(&self.load_bound),
                "balance.load_bound",
                "a number from 1 to 100",
            ),
            (
                self.slow_start_ms <= MS_MAX,
                "balance.slow_start_ms",
                "at most an hour",
            ),
            (share(self.panic), "balance.panic", "a number from 0 to 1"),
            (
                (1..=1_000_000).contains(&eject.failures),
                "balance.eject.failures",
                "a number from 1 to 1000000",
            ),
            (
                (1..=MS_MAX).contains(&eject.for_ms),
                "balance.eject.for_ms",
                "1 ms to an hour",
            ),
            (
                share(eject.max_share),
                "balance.eject.max_share",
                "a number from 0 to 1",
            ),
        ];
        let wrong = checks.into_iter().find(|(fits, ..)| !fits);
        wrong.map(|(_, field, expected)| (field, expected))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_makes_no_sense_is_named() {
        let read = |value: Value| serde_json::from_value::<Balance>(value).unwrap();
        assert_eq!(read(json!({})).invalid(), None);
        let hashed = json!({ "by": "consistent-hash", "key": "header:x-cart", "eject": false });
        let hashed = read(hashed);
        assert_eq!((hashed.invalid(), hashed.ejects()), (None, None));
        let field = |value: Value| read(value).invalid().unwrap().0;
        assert_eq!(field(json!({ "by": "consistent-hash" })), "balance.key");
        assert_eq!(field(json!({ "load_bound": 0.5 })), "balance.load_bound");
        assert_eq!(field(json!({ "panic": 2 })), "balance.panic");
        assert_eq!(
            field(json!({ "eject": { "max_share": -1 } })),
            "balance.eject.max_share"
        );
        assert_eq!(
            field(json!({ "eject": { "failures": 0 } })),
            "balance.eject.failures"
        );
        assert!(serde_json::from_value::<Balance>(json!({ "by": "luck" })).is_err());
    }
}
