//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST_MS: u64 = 50;
const LAST_MS: u64 = 2_000;

/// Doubles from 50 ms to 2 s; each wait is drawn from its upper half, so that many clients do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next_ms: FIRST_MS }
    }
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let whole = self.next_ms;
        self.next_ms = (whole * 2).min(LAST_MS);
        Duration::from_millis(rand::random_range(whole / 2..=whole))
    }

    pub(super) fn reset(&mut self) {
        self.next_ms = FIRST_MS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_again_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..10).map(|_| backoff.next().as_millis() as u64).collect();
        assert!((25..=50).contains(&waits[0]));
        assert!((1_000..=2_000).contains(&waits[9]));
        backoff.reset();
        assert!(backoff.next().as_millis() <= 50);
    }
}
