//! How many traces a worker records in a second. Under load the rest is passed over, and counted; what fails or is slow
//! is recorded all the same, up to as many again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Traces that one worker records in a second.
const TRACES_MAX: u64 = 2_000;

/// What is left of this second. One worker writes, others may look.
#[derive(Debug)]
pub(crate) struct Sampler {
    since: Instant,
    second: AtomicU64,
    taken: AtomicU64,
    passed_over: AtomicU64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            second: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
        }
    }
}

impl Sampler {
    /// Whether a trace that begins now is recorded.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let second = now.duration_since(self.since).as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.taken.store(0, Ordering::Relaxed);
        }
        let is_taken = self.taken.fetch_add(1, Ordering::Relaxed) < TRACES_MAX;
        if !is_taken {
            self.passed_over.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// How many were passed over.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_records_so_many_and_counts_the_rest() {
        let sampler = Sampler::default();
        let taken = |at: Instant| (0..TRACES_MAX + 7).filter(|_| sampler.take(at)).count() as u64;
        let now = sampler.since;
        assert_eq!(taken(now), TRACES_MAX);
        assert_eq!(sampler.passed_over(), 7);
        assert!(!sampler.take(now + Duration::from_millis(999)));
        assert_eq!(taken(now + Duration::from_secs(1)), TRACES_MAX);
        assert_eq!(sampler.passed_over(), 15);
    }
}
