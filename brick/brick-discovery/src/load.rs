//! What is known of one endpoint: requests in flight, a moving average of latency, failures, and for how long it is
//! avoided or left out.

use std::sync::Weak;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// Time constant of the average: what was seen this long ago counts 1/e.
const DECAY: Duration = Duration::from_secs(5);
/// A failed call counts as if it had taken this long at least, so that failing fast attracts no load.
const FAILURE_COST: Duration = Duration::from_millis(250);
/// How long an endpoint that could not be connected to is avoided.
const PENALTY: Duration = Duration::from_secs(1);
/// Ejections that make the next one longer.
const TIMES_MAX: u32 = 10;
/// Estimate for the first endpoint ever seen.
pub(crate) const FIRST_ESTIMATE: Duration = Duration::from_millis(1);
/// A whole share, in the parts that a ramp is told in.
pub(crate) const WHOLE: u64 = 1_000;
/// The share that a ramp begins with.
const RAMP_MIN: u64 = 100;
/// It joined nobody, or has its whole share by now.
const OLD: u64 = u64::MAX;

/// Load of one endpoint. Plain atomics: two observations at the same moment may cost one of them, never more.
#[derive(Debug)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    estimate_ns: AtomicU64,
    /// Nanoseconds after `born` of the latest observation.
    observed_ns: AtomicU64,
    /// Nanoseconds after `born` until which the endpoint is avoided.
    avoid_until_ns: AtomicU64,
    /// Failures one after the other.
    failures: AtomicU32,
    /// Nanoseconds after `born` until which the endpoint is ejected.
    eject_until_ns: AtomicU64,
    /// How often it was ejected lately.
    ejections: AtomicU32,
    /// Nanoseconds after `born` at which its ramp begins, or [`OLD`].
    fresh_ns: AtomicU64,
    born: Instant,
    /// Whose endpoint it is.
    home: Weak<crate::balancer::Inner>,
}

impl Load {
    /// Of one that joins others where it is `fresh`.
    pub(crate) fn new(
        estimate: Duration,
        fresh: bool,
        now: Instant,
        home: Weak<crate::balancer::Inner>,
    ) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            estimate_ns: AtomicU64::new(nanos(estimate)),
            observed_ns: AtomicU64::new(0),
            avoid_until_ns: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            eject_until_ns: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
            fresh_ns: AtomicU64::new(if fresh { 0 } else { OLD }),
            born: now,
            home,
        }
    }

    pub(crate) fn home(&self) -> &Weak<crate::balancer::Inner> {
        &self.home
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

    /// A peak counts at once and in full, a fast answer only by its share. Gives how many failures there are by now, one
    /// after the other.
    pub(crate) fn observe(&self, latency: Duration, ok: bool, now: Instant) -> u32 {
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
        if !ok {
            return self.failures.fetch_add(1, Relaxed).saturating_add(1);
        }
        // Nearly always there are none: then the line stays shared.
        if self.has_failed(1) {
            self.forgive();
        }
        0
    }

    /// Whether it failed so often by now, one time after the other.
    pub(crate) fn has_failed(&self, times: u32) -> bool {
        self.failures.load(Relaxed) >= times
    }

    /// Failures are counted from the beginning.
    pub(crate) fn forgive(&self) {
        self.failures.store(0, Relaxed);
    }

    pub(crate) fn avoid(&self, now: Instant) {
        self.avoid_until_ns
            .store(self.age_ns(now).saturating_add(nanos(PENALTY)), Relaxed);
    }

    pub(crate) fn is_avoided(&self, now: Instant) -> bool {
        let until = self.avoid_until_ns.load(Relaxed);
        until > 0 && self.age_ns(now) < until
    }

    /// Leaves it out; longer each time, unless the last time is long ago. Afterwards it begins anew.
    pub(crate) fn eject(&self, first: Duration, now: Instant) {
        let (first, now_ns) = (nanos(first), self.age_ns(now));
        let long_ago = self
            .eject_until_ns
            .load(Relaxed)
            .saturating_add(first.saturating_mul(10));
        let times = match long_ago < now_ns {
            true => 1,
            false => self.ejections.load(Relaxed).saturating_add(1).min(TIMES_MAX),
        };
        let until = now_ns.saturating_add(first.saturating_mul(u64::from(times)));
        self.ejections.store(times, Relaxed);
        self.forgive();
        self.fresh_ns.store(until, Relaxed);
        self.eject_until_ns.store(until, Relaxed);
    }

    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        let until = self.eject_until_ns.load(Relaxed);
        until > 0 && self.age_ns(now) < until
    }

    /// How much of its weight counts by now, in thousandths.
    pub(crate) fn ramp(&self, slow_start: Duration, now: Instant) -> u64 {
        let fresh = self.fresh_ns.load(Relaxed);
        if fresh == OLD || slow_start.is_zero() {
            return WHOLE;
        }
        let (since, whole) = (self.age_ns(now).saturating_sub(fresh), nanos(slow_start));
        if since >= whole && self.age_ns(now) >= fresh {
            self.fresh_ns.store(OLD, Relaxed);
            return WHOLE;
        }
        let share = u128::from(since) * u128::from(WHOLE) / u128::from(whole);
        u64::try_from(share).unwrap_or(WHOLE).clamp(RAMP_MIN, WHOLE)
    }

    /// What one more request would cost here, given its weight.
    pub(crate) fn cost(&self, weight: u64, now: Instant) -> f64 {
        let queue = f64::from(self.in_flight()) + 1.0;
        queue * self.estimate_ns(now).max(1.0) / weight.max(1) as f64
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

    fn load(fresh: bool, now: Instant) -> Load {
        Load::new(FIRST_ESTIMATE, fresh, now, Weak::new())
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let start = Instant::now();
        let load = load(false, start);
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
        let load = load(false, start);
        load.observe(Duration::from_micros(50), false, start);
        assert_eq!(load.estimate_ns(start), 250e6);
    }

    #[test]
    fn an_ejection_lasts_longer_each_time_unless_the_last_is_long_ago() {
        let start = Instant::now();
        let load = load(false, start);
        let at = |s| start + Duration::from_secs(s);
        let ten = Duration::from_secs(10);
        load.eject(ten, at(0));
        assert!(load.is_ejected(at(9)) && !load.is_ejected(at(10)));
        load.eject(ten, at(11));
        assert!(load.is_ejected(at(30)) && !load.is_ejected(at(31)));
        load.eject(ten, at(1_000));
        assert!(load.is_ejected(at(1_009)) && !load.is_ejected(at(1_010)));
    }

    #[test]
    fn a_share_grows_from_a_tenth_to_all_of_it() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let window = Duration::from_secs(10);
        let fresh = load(true, start);
        let ramp = [0, 5, 9, 10, 3].map(|s| fresh.ramp(window, at(s)));
        // Once it has its whole share it keeps it.
        assert_eq!(ramp, [100, 500, 900, 1_000, 1_000]);
        assert_eq!(load(false, start).ramp(window, start), 1_000);
        assert_eq!(load(true, start).ramp(Duration::ZERO, start), 1_000);
        fresh.eject(window, at(20));
        assert_eq!(fresh.ramp(window, at(35)), 500);
    }
}
