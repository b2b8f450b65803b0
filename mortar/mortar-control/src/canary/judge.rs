//! Whether a version does as well as the one it is held against, by what both did at the same time.
//!
//! Two questions, each answered by an exact binomial test (Clopper and Pearson 1934): does it fail more often than the
//! base and a tolerance, and is more of it slower than what 99 % of the base keep to. A version is worse where chance
//! would show so much only once in a thousand times; it is as good where chance would show so little of a version that
//! is clearly worse only once in twenty times. Between the two too little is known.

use brick_model::CanaryPlan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figures::Figures;

/// Chance at which a version counts as worse: low, for the question is asked again every second.
const WORSE: f64 = 0.001;
/// Chance at which a version counts as good.
const GOOD: f64 = 0.05;

/// When a canary is aborted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Limits {
    /// Failed calls beyond the base's that are borne, as a share.
    pub(crate) error_rate: f64,
    /// How many times the base's p99 is borne.
    pub(crate) p99_times: f64,
    /// Calls of a step that are needed to say anything good.
    pub(crate) min_calls: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let usual = CanaryPlan::default();
        Self {
            error_rate: usual.error_rate,
            p99_times: usual.p99_times,
            min_calls: usual.min_calls.into(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It is worse, and in what.
    Worse(String),
    /// It is as good.
    AsGood,
    /// Too little is known, and of what.
    Unknown(String),
}

/// Holds a version against the base.
pub(crate) fn judge(own: &Figures, base: &Figures, limits: &Limits) -> Verdict {
    let share = |errors: u64, calls: u64| match calls {
        0 => 0.0,
        calls => errors as f64 / calls as f64,
    };
    let (failed, base_failed) = (share(own.errors, own.calls), share(base.errors, base.calls));
    let borne = (base_failed + limits.error_rate).min(0.999);
    if at_least(own.calls, own.errors, borne) < WORSE {
        return Verdict::Worse(format!(
            "{:.1} % of {} calls failed, {:.1} % of the base's at the same time",
            failed * 100.0,
            own.calls,
            base_failed * 100.0
        ));
    }
    if base.calls < limits.min_calls {
        return Verdict::Unknown(format!(
            "{} of {} calls of the base",
            base.calls, limits.min_calls
        ));
    }
    // One bound of the histogram further than the base's own p99 times what is borne: a call beyond it is too slow.
    let base_p99 = base.quantile(0.99);
    let bound = base_p99.map(|p99| (p99 as f64 * limits.p99_times) as u64);
    let slow = bound.map_or(0, |bound| own.slower_than(bound));
    let base_slow = bound.map_or(0.0, |bound| share(base.slower_than(bound), base.calls));
    let slow_borne = (base_slow + 0.01).min(0.999);
    if at_least(own.calls, slow, slow_borne) < WORSE {
        let ms =
            |us: Option<u64>| us.map_or_else(|| "more".to_owned(), |us| format!("{:.0} ms", us as f64 / 1e3));
        return Verdict::Worse(format!(
            "p99 of {} calls is {}, the base's {} at the same time",
            own.calls,
            ms(own.quantile(0.99)),
            ms(base_p99)
        ));
    }
    if own.calls < limits.min_calls {
        return Verdict::Unknown(format!("{} of {} calls", own.calls, limits.min_calls));
    }
    let clearly_worse = |borne: f64| (borne + 0.03).min(0.999);
    if at_most(own.calls, own.errors, clearly_worse(borne)) > GOOD {
        return Verdict::Unknown(format!(
            "{} of {} calls failed, more are needed to tell",
            own.errors, own.calls
        ));
    }
    if at_most(own.calls, slow, clearly_worse(slow_borne)) > GOOD {
        return Verdict::Unknown(format!(
            "{slow} of {} calls were slow, more are needed to tell",
            own.calls
        ));
    }
    Verdict::AsGood
}

/// Chance of `k` or more of `n`, where each is one with chance `p`.
fn at_least(n: u64, k: u64, p: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    1.0 - at_most(n, k - 1, p)
}

/// Chance of `k` or fewer of `n`.
fn at_most(n: u64, k: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    // In logarithms, for the first term is as small as the numbers are large.
    let mut term = n as f64 * (1.0 - p).ln();
    let odds = (p / (1.0 - p)).ln();
    let mut sum = term.exp();
    for i in 1..=k {
        term += ((n - i + 1) as f64 / i as f64).ln() + odds;
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Calls of which so many failed and so many took 300 ms instead of 100 ms at most.
    fn figures(calls: u64, errors: u64, slow: u64) -> Figures {
        let buckets = BTreeMap::from([
            (50_000, 0),
            (100_000, calls - slow),
            (250_000, calls - slow),
            (500_000, calls),
        ]);
        Figures {
            calls,
            errors,
            buckets,
        }
    }

    #[test]
    fn chances_are_those_of_the_tables() {
        assert!((at_most(10, 3, 0.5) - 0.171_875).abs() < 1e-9);
        assert!((at_least(10, 9, 0.5) - 0.010_742_187_5).abs() < 1e-9);
        assert!((at_most(2_000, 100, 0.05) - 0.5266).abs() < 1e-3);
        assert_eq!((at_least(5, 0, 0.1), at_most(5, 5, 0.1)), (1.0, 1.0));
    }

    #[test]
    fn worse_as_good_and_too_little_are_told_apart() {
        let base = figures(10_000, 10, 0);
        let check = |own: Figures, expect: &str| {
            let found = judge(&own, &base, &Limits::default());
            let told = format!("{found:?}");
            assert!(told.contains(expect), "{told}");
        };
        check(figures(400, 20, 0), "Worse(\"5.0 % of 400 calls failed");
        check(
            figures(300, 0, 300),
            "Worse(\"p99 of 300 calls is 500 ms, the base's 100 ms",
        );
        check(figures(99, 0, 0), "Unknown(\"99 of 100 calls");
        check(figures(100, 3, 0), "Unknown(\"3 of 100 calls failed");
        check(figures(1_000, 2, 1), "AsGood");
        let quiet = judge(&figures(1_000, 0, 0), &figures(20, 0, 0), &Limits::default());
        assert!(matches!(quiet, Verdict::Unknown(_)), "{quiet:?}");
    }

    #[test]
    fn a_version_as_good_as_its_base_is_rarely_called_worse() {
        // Each second a look, as the figures grow: a seeded walk of one error in a hundred on both sides.
        let mut seed = 7_u64;
        let mut chance = move || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as f64 / f64::from(1_u32 << 31)
        };
        let mut aborted = 0;
        for _ in 0..200 {
            let (mut own, mut base) = (0, 0);
            for look in 1..=60_u64 {
                own += (0..10).filter(|_| chance() < 0.01).count() as u64;
                base += (0..100).filter(|_| chance() < 0.01).count() as u64;
                let found = judge(
                    &figures(look * 10, own, 0),
                    &figures(look * 100, base, 0),
                    &Limits::default(),
                );
                if matches!(found, Verdict::Worse(_)) {
                    aborted += 1;
                    break;
                }
            }
        }
        assert!(aborted <= 4, "{aborted} of 200 good versions were aborted");
    }
}
