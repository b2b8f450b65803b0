//! The bulkhead's limit by gradient: fewer calls pass when the callee grows slower than it was.
//!
//! After Netflix's Gradient2 (concurrency-limits): the ratio of long-term to present latency scales the limit down, the
//! root of the limit lets it grow again while all places are in use.

use std::time::Duration;

/// Calls that always pass.
pub(crate) const LIMIT_MIN: u32 = 4;
/// Limit that it starts with.
const FIRST: f64 = 32.0;
/// Present latency may be this much longer than in the long term.
const TOLERANCE: f64 = 1.5;
/// Share of each new value in the limit.
const SMOOTHING: f64 = 0.2;
/// Share of each sample in the long-term latency.
const LONG_TERM: f64 = 1.0 / 600.0;
/// Samples of which the long-term latency is a plain mean.
const WARM_UP: f64 = 10.0;
/// What a call that failed for lack of capacity makes of the limit.
const DROP: f64 = 0.9;

#[derive(Debug)]
pub(crate) struct Gradient {
    limit: f64,
    long_ns: f64,
    samples: f64,
}

impl Default for Gradient {
    fn default() -> Self {
        Self {
            limit: FIRST,
            long_ns: 0.0,
            samples: 0.0,
        }
    }
}

impl Gradient {
    /// Takes one latency, seen while so many calls were under way; gives the limit.
    pub(crate) fn note(&mut self, latency: Duration, dropped: bool, in_flight: u32, max: u32) -> u32 {
        let most = f64::from(max);
        if dropped {
            self.limit *= DROP;
        } else {
            self.sample(latency, f64::from(in_flight));
        }
        self.limit = self.limit.clamp(f64::from(LIMIT_MIN).min(most), most);
        self.limit as u32
    }

    fn sample(&mut self, latency: Duration, in_flight: f64) {
        let now_ns = (latency.as_nanos() as f64).max(1.0);
        self.samples += 1.0;
        let share = if self.samples <= WARM_UP {
            1.0 / self.samples
        } else {
            LONG_TERM
        };
        self.long_ns += (now_ns - self.long_ns) * share;
        // After a long slow time the present is the better measure.
        if self.long_ns / now_ns > 2.0 {
            self.long_ns *= 0.95;
        }
        // Where few places are in use the limit says nothing.
        if in_flight < self.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * self.long_ns / now_ns).clamp(0.5, 1.0);
        let next = self.limit * gradient + self.limit.sqrt();
        self.limit += (next - self.limit) * SMOOTHING;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shrinks_when_the_callee_grows_slow_and_recovers() {
        let mut gradient = Gradient::default();
        let mut feed = |ms: u64, times: u32| {
            let mut limit = 0;
            for _ in 0..times {
                limit = gradient.note(Duration::from_millis(ms), false, 1_000, 500);
            }
            limit
        };
        let well = feed(10, 500);
        let slow = feed(100, 60);
        let again = feed(10, 500);
        assert_eq!(well, 500);
        assert!(slow < well / 4, "{slow}");
        assert_eq!(again, 500);
    }

    #[test]
    fn it_stays_between_its_bounds() {
        let mut gradient = Gradient::default();
        for _ in 0..1_000 {
            gradient.note(Duration::ZERO, true, 1, 500);
        }
        assert_eq!(gradient.note(Duration::ZERO, true, 1, 500), LIMIT_MIN);
        assert_eq!(gradient.note(Duration::ZERO, false, 1, 2), 2);
    }
}
