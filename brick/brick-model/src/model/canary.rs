//! `[canary.default]` and `[canary.BRICK]`: how a version is tried where whoever begins a canary does not say it.

use std::ops::RangeInclusive;

use brick_core::duration::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Model;

/// Name of the table that counts for every brick.
pub const EVERY_BRICK: &str = "default";

/// `[canary.BRICK]`: the plan of a canary; what is left out is said by `[canary.default]`, else by nobody.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Shares in percent, ascending; the last is 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(range(min = 1, max = 100)))]
    pub steps: Option<Vec<u32>>,
    /// How long a step lasts at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Span>,
    /// Failed calls beyond the base's that are borne, as a share, below 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: Option<f64>,
    /// How many times the base's p99 is borne.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 100.0))]
    pub p99_times: Option<f64>,
    /// Calls of a step that are needed to say anything good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_calls: Option<u32>,
}

/// How a version is tried, with nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryPlan {
    /// Shares in percent, ascending to 100.
    pub steps: Vec<u32>,
    /// How long a step lasts at least.
    pub hold: Span,
    /// Failed calls beyond the base's that are borne, as a share.
    pub error_rate: f64,
    /// How many times the base's p99 is borne.
    pub p99_times: f64,
    /// Calls of a step that are needed to say anything good.
    pub min_calls: u32,
}

impl Default for CanaryPlan {
    /// What counts where nobody says anything.
    fn default() -> Self {
        Self {
            steps: vec![1, 5, 25, 100],
            hold: Span::from_secs(30),
            error_rate: 0.01,
            p99_times: 2.0,
            min_calls: 100,
        }
    }
}

impl Canary {
    /// Most steps.
    pub const STEPS_MAX: usize = 32;
    /// How long a step may last.
    pub const HOLD: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(86_400);
    /// Calls that a step may need.
    pub const MIN_CALLS: RangeInclusive<i64> = 1..=1_000_000;

    /// What is wrong with it, by key.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let steps = self.steps.as_deref().and_then(wrong_steps);
        let hold = self.hold.filter(|hold| !Self::HOLD.contains(hold)).map(|hold| {
            let (least, most) = Self::HOLD.into_inner();
            format!("expected {least} to {most}, found {hold}")
        });
        let errors = self.error_rate.filter(|rate| !(0.0..1.0).contains(rate));
        let errors = errors.map(|rate| format!("expected a share from 0 to below 1, found {rate}"));
        let times = self.p99_times.filter(|times| !(1.0..=100.0).contains(times));
        let times = times.map(|times| format!("expected a number from 1 to 100, found {times}"));
        let calls = self
            .min_calls
            .filter(|calls| !Self::MIN_CALLS.contains(&i64::from(*calls)));
        let calls = calls.map(|calls| {
            let (least, most) = Self::MIN_CALLS.into_inner();
            format!("expected {least} to {most}, found {calls}")
        });
        let found = [
            ("steps", steps),
            ("hold", hold),
            ("error_rate", errors),
            ("p99_times", times),
            ("min_calls", calls),
        ];
        found
            .into_iter()
            .filter_map(|(key, why)| Some((key, why?)))
            .collect()
    }

    /// The plan, with another in the place of what this does not say.
    pub fn over(&self, below: CanaryPlan) -> CanaryPlan {
        CanaryPlan {
            steps: self.steps.clone().unwrap_or(below.steps),
            hold: self.hold.unwrap_or(below.hold),
            error_rate: self.error_rate.unwrap_or(below.error_rate),
            p99_times: self.p99_times.unwrap_or(below.p99_times),
            min_calls: self.min_calls.unwrap_or(below.min_calls),
        }
    }
}

impl Model {
    /// How a version of a brick is tried: as its own table says, else `[canary.default]`, else as usual.
    pub fn canary_plan(&self, brick: &str) -> CanaryPlan {
        let tables = [EVERY_BRICK, brick]
            .into_iter()
            .filter_map(|name| self.canaries.get(name));
        tables.fold(CanaryPlan::default(), |below, table| table.over(below))
    }
}

fn wrong_steps(steps: &[u32]) -> Option<String> {
    let starts = steps.first().is_some_and(|first| *first > 0);
    let ascends = steps.windows(2).all(|pair| pair[0] < pair[1]);
    let fits = starts && ascends && steps.last() == Some(&100) && steps.len() <= Canary::STEPS_MAX;
    (!fits).then(|| {
        format!(
            "expected at most {} ascending shares from 1 to 100, the last 100, found {steps:?}",
            Canary::STEPS_MAX
        )
    })
}
