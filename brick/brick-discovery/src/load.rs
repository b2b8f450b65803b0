//! What is known of one endpoint's load: requests in flight, a moving average of latency, recent failures to connect.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// Time constant of the average: what was seen this long ago counts 1/e.
const DECAY: Duration = Duration::from_secs(5);
/// A failed call counts as if it had taken this long at least, so that failing fast attracts no load.
const FAILURE_COST: Duration = Duration::from_millis(250);
/// How long an endpoint that could not be connected to is avoided.
const PENALTY: Duration = Duration::from_secs(1);
/// Estimate for the first endpoint ever seen.
pub(crate) const FIRST_ESTIMATE: Duration = Duration::from_millis(1);

/// Load of one endpoint. Plain atomics: two observations at the same moment may cost one of them, never more.
#[derive(Debug)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    estimate_ns: AtomicU64,
    /// Nanoseconds after `born` of the latest observation.
    observed_ns: AtomicU64,
    /// Nanoseconds after `born` until which the endpoint is avoided.
    avoid_until_ns: AtomicU64,
    born: Instant,
}

impl Load {
    pub(crate) fn new(estimate: Duration, now: Instant) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            estimate_ns: AtomicU64::new(nanos(estimate)),
            observed_ns: AtomicU64::new(0),
            avoid_until_ns: AtomicU64::new(0),
            born: now,
        }
    }

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// The average, faded by the time since the latest observation, so that a slow endpoint is tried again some day.
    pub(crate) fn estimate_ns(&self, now: Instant) -> f64 {
        let idle_ns = self.age_ns(now).saturating_sub(self.observed_ns.load(Relaxed));
        self.estimate_ns.load(Relaxed) as f64 * fade(idle_ns)
    }

    /// A peak counts at once and in full, a fast answer only by its share.
    pub(crate) fn observe(&self, latency: Duration, ok: bool, now: Instant) {
        let counted = if ok { latency } else { latency.max(FAILURE_COST) };
        let (seen, age_ns) = (nanos(counted) as f64, self.age_ns(now));
        let before = self.estimate_ns.load(Relaxed) as f64;
        let next = if seen >= before {
            seen
        } else {
            let keep = fade(age_ns.saturating_sub(self.observed_ns.load(Relaxed)));
            // A share of a tenth at least: many answers within a moment count too.
            let keep = keep.min(0.9);
            before * keep + seen * (1.0 - keep)
        };
        self.estimate_ns.store(next as u64, Relaxed);
        self.observed_ns.store(age_ns, Relaxed);
    }

    pub(crate) fn avoid(&self, now: Instant) {
        self.avoid_until_ns
            .store(self.age_ns(now).saturating_add(nanos(PENALTY)), Relaxed);
    }

    pub(crate) fn is_avoided(&self, now: Instant) -> bool {
        let until = self.avoid_until_ns.load(Relaxed);
        until > 0 && self.age_ns(now) < until
    }

    /// What one more request would cost here.
    pub(crate) fn cost(&self, weight: u32, now: Instant) -> f64 {
        let queue = f64::from(self.in_flight()) + 1.0;
        queue * self.estimate_ns(now).max(1.0) / f64::from(weight.max(1))
    }

    fn age_ns(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.born))
    }
}

fn fade(elapsed_ns: u64) -> f64 {
    (-(elapsed_ns as f64) / DECAY.as_nanos() as f64).exp()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let start = Instant::now();
        let load = Load::new(FIRST_ESTIMATE, start);
        let at = |s| start + Duration::from_secs(s);
        load.observe(Duration::from_millis(800), true, at(0));
        assert_eq!(load.estimate_ns(at(0)), 800e6);
        load.observe(Duration::from_millis(1), true, at(0));
        assert!((700e6..800e6).contains(&load.estimate_ns(at(0))));
        assert!(load.estimate_ns(at(30)) < 5e6);
    }

    #[test]
    fn failing_fast_is_not_cheap() {
        let start = Instant::now();
        let load = Load::new(FIRST_ESTIMATE, start);
        load.observe(Duration::from_micros(50), false, start);
        assert_eq!(load.estimate_ns(start), 250e6);
    }
}
