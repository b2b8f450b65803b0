//! How a canary went: what its version and the base did, over all of its steps.
//!
//! The end of each step is kept in the store with the canary itself. What lies between is in memory alone, thinned so that
//! a step of a day takes no more room than one of a minute.

use brick_core::Version;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Canary, Look, Seen};

/// Points kept of one canary.
const POINTS_MAX: usize = 240;

/// What a version and its base had done since the step began, at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Point {
    /// When the instances were asked.
    #[schemars(with = "String")]
    pub(super) at: Timestamp,
    /// The step under way, from 0.
    pub(super) step: usize,
    /// Its share in percent.
    pub(super) share: u32,
    /// What the version did since the step began.
    pub(super) own: Seen,
    /// What the base did in the same time.
    pub(super) base: Seen,
}

impl Point {
    /// The look as a point of the canary that it was about.
    pub(super) fn of(canary: &Canary, look: &Look) -> Self {
        Self {
            at: look.at,
            step: look.step,
            share: canary.steps.get(look.step).copied().unwrap_or(100),
            own: look.own,
            base: look.base,
        }
    }
}

/// The points of one canary, in order of time.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    version: Version,
    started: Timestamp,
    points: Vec<Point>,
    /// Every how many looks one is kept.
    every: u32,
    /// Looks since the one that was kept last.
    passed: u32,
}

impl Course {
    /// Begins with what the store has of it.
    pub(super) fn new(canary: &Canary) -> Self {
        Self {
            version: canary.version.clone(),
            started: canary.started,
            points: canary.course.clone(),
            every: 1,
            passed: 0,
        }
    }

    /// Whether it is about this canary, and none that was there before.
    pub(super) fn is_of(&self, canary: &Canary) -> bool {
        self.started == canary.started && self.version == canary.version
    }

    /// Takes a look; one that ends a step is kept in any case.
    pub(super) fn push(&mut self, point: Point, ends: bool) {
        self.passed += 1;
        if self.passed < self.every && !ends {
            return;
        }
        self.passed = 0;
        if self.points.len() >= POINTS_MAX {
            let mut at = 0;
            self.points.retain(|_| {
                at += 1;
                at % 2 == 0
            });
            self.every = self.every.saturating_mul(2);
        }
        self.points.push(point);
    }

    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: usize, calls: u64) -> Point {
        let seen = Seen {
            calls,
            errors: 0,
            p99_ms: None,
        };
        Point {
            at: Timestamp::UNIX_EPOCH,
            step,
            share: 5,
            own: seen,
            base: seen,
        }
    }

    #[test]
    fn a_long_canary_is_told_from_its_begin_to_its_end_in_few_points() {
        let mut course = Course {
            version: Version::new("v2").unwrap(),
            started: Timestamp::UNIX_EPOCH,
            points: Vec::new(),
            every: 1,
            passed: 0,
        };
        for look in 0..100_000 {
            course.push(point(0, look), false);
        }
        course.push(point(1, 100_000), true);
        let calls: Vec<u64> = course.points().iter().map(|point| point.own.calls).collect();
        assert!(calls.len() > POINTS_MAX / 2 && calls.len() <= POINTS_MAX + 1);
        assert!(
            calls
                .windows(2)
                .all(|pair| pair[0] < pair[1] && pair[1] - pair[0] < 2_000)
        );
        assert!(calls[0] < 2_000, "the begin is there: {}", calls[0]);
        assert_eq!(calls.last(), Some(&100_000), "so is the end of the step");
    }
}
