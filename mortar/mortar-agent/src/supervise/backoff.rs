//! When a process that died is started again: exponential back-off with full jitter (AWS Architecture Blog,
//! "Exponential Backoff And Jitter"), and when its deaths are a crash loop.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(10);
/// A process that stays ready for so long starts over with the shortest pause.
const HEALTHY: Duration = Duration::from_secs(10);
const LOOP_DEATHS: usize = 5;
const LOOP_WINDOW: Duration = Duration::from_secs(30);

/// Deaths of one slot.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    exponent: u32,
    deaths: VecDeque<Instant>,
}

impl Backoff {
    /// Notes a death after `ready_for` of readiness; the pause before the next start, `random` of `[0, 1)` long.
    pub(crate) fn died(&mut self, now: Instant, ready_for: Duration, random: f64) -> Duration {
        if ready_for >= HEALTHY {
            self.exponent = 0;
        }
        if self.deaths.len() == LOOP_DEATHS {
            self.deaths.pop_front();
        }
        self.deaths.push_back(now);
        let ceiling = FIRST.saturating_mul(2_u32.saturating_pow(self.exponent)).min(CAP);
        self.exponent = self.exponent.saturating_add(1).min(16);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// Whether it died five times within thirty seconds.
    pub(crate) fn is_loop(&self, now: Instant) -> bool {
        self.deaths.len() == LOOP_DEATHS
            && self
                .deaths
                .front()
                .is_some_and(|first| now - *first <= LOOP_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_cap_and_start_over_after_health() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pauses.push(backoff.died(now, Duration::ZERO, 1.0).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff.died(now, HEALTHY, 1.0), FIRST);
        assert_eq!(backoff.died(now, Duration::ZERO, 0.5), FIRST);
        assert_eq!(backoff.died(now, Duration::ZERO, 0.0), Duration::ZERO);
    }

    #[test]
    fn five_deaths_in_thirty_seconds_are_a_crash_loop() {
        let mut backoff = Backoff::default();
        let begin = Instant::now();
        for n in 0..5 {
            assert!(!backoff.is_loop(begin));
            backoff.died(begin + Duration::from_secs(n * 7), Duration::ZERO, 1.0);
        }
        let now = begin + Duration::from_secs(28);
        assert!(backoff.is_loop(now));
        let later = now + Duration::from_secs(7);
        backoff.died(later, Duration::ZERO, 1.0);
        assert!(backoff.is_loop(later));
        assert!(!backoff.is_loop(later + Duration::from_secs(30)));
    }
}
