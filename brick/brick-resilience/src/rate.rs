//! The rate limit: so many calls a second in the long run, so many at once.
//!
//! The generic cell rate algorithm (ITU-T I.371): one number, the theoretical arrival time of the next call, is all the
//! state there is, so that a call costs one atomic exchange.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::policy::Rate;

/// The rate limit of one edge.
#[derive(Debug)]
pub struct RateLimit {
    born: Instant,
    /// Nanoseconds after `born` at which a call would come that keeps to the rate.
    due_ns: AtomicU64,
}

impl RateLimit {
    /// One that saw no call yet.
    pub fn new(now: Instant) -> Self {
        Self {
            born: now,
            due_ns: AtomicU64::new(0),
        }
    }

    /// Lets a call pass, or says after what time the next may.
    pub fn admit(&self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let now_ns = nanos(now.saturating_duration_since(self.born));
        let each_ns = 1_000_000_000 / u64::from(rate.per_second.max(1));
        let room_ns = each_ns.saturating_mul(u64::from(rate.burst.max(1)));
        let mut due = self.due_ns.load(Relaxed);
        loop {
            let next = due.max(now_ns).saturating_add(each_ns);
            let ahead = next - now_ns;
            if ahead > room_ns {
                return Err(Duration::from_nanos(ahead - room_ns));
            }
            match self.due_ns.compare_exchange_weak(due, next, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(found) => due = found,
            }
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let start = Instant::now();
        let limit = RateLimit::new(start);
        let rate = Rate {
            per_second: 10,
            burst: 3,
        };
        let passed = (0..5).filter(|_| limit.admit(rate, start).is_ok()).count();
        assert_eq!(passed, 3);
        let wait = limit.admit(rate, start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(limit.admit(rate, start + wait).is_ok());
        assert!(limit.admit(rate, start + wait).is_err());
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_burst_and_rate(
            per_second in 1_u32..1_000,
            burst in 1_u32..50,
            gaps in prop::collection::vec(0_u64..50_000_000, 1..300),
        ) {
            let start = Instant::now();
            let limit = RateLimit::new(start);
            let mut now = start;
            let mut passed: Vec<Instant> = Vec::new();
            for gap in gaps {
                now += Duration::from_nanos(gap);
                if limit.admit(Rate { per_second, burst }, now).is_ok() {
                    passed.push(now);
                }
            }
            for (at, first) in passed.iter().enumerate() {
                for (later, last) in passed.iter().enumerate().skip(at) {
                    let most = f64::from(burst) + last.duration_since(*first).as_secs_f64() * f64::from(per_second);
                    prop_assert!((later - at + 1) as f64 <= most + 1e-3, "{} in {:?}", later - at + 1, last.duration_since(*first));
                }
            }
        }
    }
}
